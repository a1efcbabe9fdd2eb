//! Conditions that keep an instance from being master, by source. Each source sets and clears its own
//! and knows nothing of the others, so that the end of one leaves the others in force.
//!
//! The conditions of the host's interfaces, addresses and trackers are not stored here: the engine
//! derives them from the state of these whenever it assesses an instance.

use std::sync::Arc;

use crate::operator::CommandKind;
use crate::reasons::FaultReason;
use crate::types::Priority;

/// Conditions of one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    /// Failure of its resources: a fault.
    pub(super) resources: Option<Arc<str>>,
    /// Order of the operator to leave mastership to other hosts: no fault.
    pub(super) standby: Option<Standby>,
    /// Priority of the operator instead of the configured one.
    pub(super) priority: Option<Priority>,
}

/// Order of the operator to leave mastership to other hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standby {
    /// Command that orders it, or the one without last resort of several.
    pub(super) kind: CommandKind,
    /// Whether the instance becomes master if no other host does.
    pub(super) last_resort: bool,
}

impl Conditions {
    /// Fault reason that follows from the conditions.
    pub(super) fn fault_reason(&self) -> Option<FaultReason> {
        self.resources.clone().map(FaultReason::Resource)
    }

    /// Whether the instance is never to take over.
    pub(super) fn is_barred(&self) -> bool {
        self.standby.is_some_and(|standby| !standby.last_resort)
    }
}
