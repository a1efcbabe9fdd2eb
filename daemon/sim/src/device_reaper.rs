//! Model of the daemon's device reaper, which is a separate thread in the daemon.
//!
//! The reaper sets interfaces with virtual MAC addresses down and deletes them, one after the other,
//! after a quiet period without new requests.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use vrrp_node::device::DeviceChange;
use vrrp_node::node::SECOND_LOOK;
use vrrp_proto::Instant;

use crate::kernel::Kernel;

/// Quiet period: time without new requests before the reaper starts.
const QUIET: Duration = Duration::from_millis(100);

/// Time between two changes: the duration of one in the kernel, and the pause in which the node gets
/// its turn.
const BREATH: Duration = Duration::from_millis(25);

/// Queue of pending interface changes.
#[derive(Debug, Default)]
pub(crate) struct DeviceReaper {
    changes: VecDeque<DeviceChange>,
    begins_at: Instant,
    /// Whether the world has an event for the next start of the reaper.
    pub(crate) is_arranged: bool,
}

impl DeviceReaper {
    /// Adds changes. They replace pending changes of the same interfaces.
    pub(crate) fn hand(&mut self, now: Instant, changes: Vec<DeviceChange>) {
        if changes.is_empty() {
            return;
        }
        let names: BTreeSet<_> = changes.iter().map(|c| Arc::clone(c.name())).collect();
        // The new changes were planned from newer states, so they supersede the pending ones.
        self.forget(|name| names.contains(name));
        self.changes.extend(changes);
        self.begins_at = now + QUIET;
    }

    /// Removes the pending changes of the interfaces with the given names.
    pub(crate) fn forget(&mut self, which: impl Fn(&str) -> bool) {
        self.changes.retain(|known| !which(known.name()));
    }

    /// Whether no change is pending.
    pub(crate) fn is_idle(&self) -> bool {
        self.changes.is_empty()
    }

    /// Time of the next change, by the clock of the host.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.is_idle()).then_some(self.begins_at)
    }

    /// Applies the next change when it is due. A rejected change is queued again.
    pub(crate) fn toil(&mut self, now: Instant, kernel: &mut Kernel) {
        if now < self.begins_at {
            return;
        }
        let Some(change) = self.changes.pop_front() else {
            return;
        };
        let refused = kernel.apply_devices(&[change]);
        let pause = if refused.is_empty() {
            BREATH
        } else {
            SECOND_LOOK
        };
        self.changes.extend(refused);
        self.begins_at = now + pause;
    }

    /// Applies all pending changes, once.
    pub(crate) fn finish(&mut self, kernel: &mut Kernel) {
        let all = self.changes.make_contiguous();
        let _ = kernel.apply_devices(all);
        self.changes.clear();
    }
}
