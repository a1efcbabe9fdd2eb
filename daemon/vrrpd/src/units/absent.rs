//! systemd for a program without D-Bus (feature `dbus`): no unit can be asked for. The configuration cannot
//! contain any (`check/parts.rs` of `vrrp-config`).

use std::sync::Arc;

use tokio::sync::watch;
use vrrp_proto::resources::{Outcome, UnitState, Verb};

/// State of a unit, `None` until it is known, and its changes.
pub(crate) type States = watch::Receiver<Option<UnitState>>;

/// Whether systemd stops the unit of this process to start it again: not known without D-Bus, so that each
/// stop hands over.
pub(crate) async fn is_restart(_: String) -> bool {
    false
}

/// Address of the system bus: none.
pub(crate) const fn system_address() -> String {
    String::new()
}

/// Handle of no systemd.
#[derive(Clone, Debug)]
pub(crate) struct Units;

impl Units {
    pub(crate) fn new(_: String) -> Self {
        Self
    }

    /// Fails.
    #[expect(clippy::unused_async, reason = "with D-Bus it waits")]
    pub(crate) async fn job(&self, _: Verb, _: Arc<str>) -> Outcome {
        Outcome::Failed("this vrrpd was built without the feature \"dbus\"".into())
    }

    /// Watches nothing.
    #[expect(clippy::unused_async, reason = "with D-Bus it waits")]
    pub(crate) async fn watch(&self, _: Arc<str>) -> Option<States> {
        None
    }
}
