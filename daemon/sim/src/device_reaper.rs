//! What the daemon's janitor does, a thread of its own there: it takes interfaces with virtual MAC
//! addresses down and away, when nothing more has come for a while and one after another.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use vrrp_node::device::DeviceChange;
use vrrp_node::node::SECOND_LOOK;
use vrrp_proto::Instant;

use crate::kernel::Kernel;

/// For how long nothing more has to come before it begins.
const QUIET: Duration = Duration::from_millis(100);

/// How long the kernel needs for one of them, and others get their turn.
const BREATH: Duration = Duration::from_millis(25);

/// What it has to do.
#[derive(Debug, Default)]
pub(crate) struct DeviceReaper {
    changes: VecDeque<DeviceChange>,
    begins_at: Instant,
    /// For when the world has arranged that it begins.
    pub(crate) is_arranged: bool,
}

impl DeviceReaper {
    /// Gives it something to do instead of what was to be done to the same interfaces.
    pub(crate) fn hand(&mut self, now: Instant, changes: Vec<DeviceChange>) {
        if changes.is_empty() {
            return;
        }
        let names: BTreeSet<_> = changes.iter().map(|c| Arc::clone(c.name())).collect();
        self.forget(|name| names.contains(name));
        self.changes.extend(changes);
        self.begins_at = now + QUIET;
    }

    /// Leaves out what is to be done to the interfaces of some names.
    pub(crate) fn forget(&mut self, which: impl Fn(&str) -> bool) {
        self.changes.retain(|known| !which(known.name()));
    }

    /// Whether there is nothing left.
    pub(crate) fn is_idle(&self) -> bool {
        self.changes.is_empty()
    }

    /// When it goes on, by the clock of its host.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.is_idle()).then_some(self.begins_at)
    }

    /// Does what is next, when that is due.
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

    /// Does all that is left, once.
    pub(crate) fn finish(&mut self, kernel: &mut Kernel) {
        let all = self.changes.make_contiguous();
        let _ = kernel.apply_devices(all);
        self.changes.clear();
    }
}
