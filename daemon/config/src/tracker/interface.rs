//! The kind `interface`.

use schemars::JsonSchema;
use serde::Deserialize;
use vrrp_proto::params::{TrackerKind, TrackerParams};

use crate::given::Given;
use crate::problem::{Findings, Path};
use crate::value::InterfaceName;

/// A network interface; up and with a carrier means well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedInterface {
    /// The name of the interface, 1 to 15 bytes. It need not exist yet.
    name: Given<InterfaceName>,
}

impl TrackedInterface {
    /// What the engine is told of it. `None` if what is wrong has been reported.
    pub(super) fn lower(&self, path: &Path, findings: &mut Findings) -> Option<TrackerParams> {
        const EXAMPLE: &str = r#""name": "eth2""#;
        let name = self.name.required(&path.key("name"), EXAMPLE, findings)?;
        Some(TrackerParams::new(TrackerKind::Interface {
            name: name.0.clone(),
        }))
    }
}
