//! Conditions that keep an instance from being master, by source. Each source sets and clears its own
//! and knows nothing of the others, so that the end of one leaves the others in force.
//!
//! The conditions of the host's interfaces, addresses and trackers are not stored here: the engine
//! derives them from the state of these whenever it assesses an instance.

use std::sync::Arc;

use crate::reasons::FaultReason;

/// Conditions of one instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    /// Failure of its resources.
    pub(super) resources: Option<Arc<str>>,
}

impl Conditions {
    /// Fault reason that follows from the conditions.
    pub(super) fn fault_reason(&self) -> Option<FaultReason> {
        self.resources.clone().map(FaultReason::Resource)
    }
}
