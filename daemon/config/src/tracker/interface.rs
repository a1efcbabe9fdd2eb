//! Trackers of the kind `interface`.

use schemars::JsonSchema;
use serde::Deserialize;
use vrrp_proto::params::{TrackerKind, TrackerParams};

use super::{LASTING, default};
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::InterfaceName;

/// Network interface. Up means administratively up and with a carrier.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedInterface {
    /// Name of the interface, 1 to 15 bytes. It need not exist yet.
    name: Field<InterfaceName>,
    /// Time that a good result has to last until the tracker is up, 0 to 1 day. It does not delay
    /// the first result after the start. Default: 0.
    #[serde(default = "default::none")]
    up_delay: Field<BoundedDuration>,
    /// Time that a bad result has to last until the tracker is down, 0 to 1 day. Default: 0.
    #[serde(default = "default::none")]
    down_delay: Field<BoundedDuration>,
    /// Minimum time between two changes of the verdict, 0 to 1 day; a change during that time takes
    /// effect at its end if it still applies. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
}

impl TrackedInterface {
    /// Returns the parameters for the engine. `None` if a problem has been reported.
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
