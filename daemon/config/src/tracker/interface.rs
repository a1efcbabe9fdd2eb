//! The kind `interface`.

use schemars::JsonSchema;
use serde::Deserialize;
use vrrp_proto::params::{TrackerKind, TrackerParams};

use super::{LASTING, default};
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::InterfaceName;

/// A network interface; up and with a carrier means well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedInterface {
    /// The name of the interface, 1 to 15 bytes. It need not exist yet.
    name: Field<InterfaceName>,
    /// For how long it has to be well before it is up, 0 to 1 day. At the start it counts as it is.
    /// Default: 0.
    #[serde(default = "default::none")]
    up_delay: Field<BoundedDuration>,
    /// For how long it has to be anything but well before it is down, 0 to 1 day. Default: 0.
    #[serde(default = "default::none")]
    down_delay: Field<BoundedDuration>,
    /// The least time between two changes of the verdict, 0 to 1 day; what is still so when it ends
    /// counts then. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
}

impl TrackedInterface {
    /// What the engine is told of it. `None` if what is wrong has been reported.
    pub(super) fn lower(&self, path: &Path, findings: &mut Findings) -> Option<TrackerParams> {
        const EXAMPLE: &str = r#""name": "eth2""#;
        let name = self.name.required(&path.key("name"), EXAMPLE, findings);
        let up_delay = LASTING.check(&path.key("upDelay"), &self.up_delay, findings);
        let down_delay = LASTING.check(&path.key("downDelay"), &self.down_delay, findings);
        let hold = LASTING.check(&path.key("hold"), &self.hold, findings);
        let kind = TrackerKind::Interface {
            name: name?.0.clone(),
        };
        Some(TrackerParams {
            up_delay: up_delay?,
            down_delay: down_delay?,
            hold: hold?,
            ..TrackerParams::new(kind)
        })
    }
}
