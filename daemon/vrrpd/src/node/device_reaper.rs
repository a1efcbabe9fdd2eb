//! Device reaper: sets down and deletes macvlan interfaces (virtual MAC addresses) on a thread of
//! its own. Meanwhile the kernel waits for all CPUs (synchronize_net), 20 ms for each, and no
//! advertisement can wait for that. The first change starts the thread.
//!
//! The kernel holds its lock (RTNL) during these changes, and the node needs the same lock to
//! change addresses. So the reaper begins when no further change has come for a while, because
//! routers tend to change state together, and pauses between one interface and the next.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Level;
use vrrp_linux::device::Devices;
use vrrp_node::device::DeviceChange;
use vrrp_node::node::SECOND_LOOK;

use super::worker::{Next, Shared, Worker};
use crate::complaints::Complaints;
use crate::log_writer::Log;

/// Time without a further change before the reaper begins.
const QUIET: Duration = Duration::from_millis(100);

/// Pause between two changes, in which other threads get the kernel's lock.
const BREATH: Duration = Duration::from_millis(5);

/// Thread and its work. Dropping it waits until all changes are done.
#[derive(Debug)]
pub(super) struct DeviceReaper(Worker<List>);

#[derive(Debug, Default)]
struct List {
    changes: VecDeque<DeviceChange>,
    /// Change that is being carried out; `None` once it was recalled.
    present: Option<DeviceChange>,
    /// Time at which the reaper begins.
    begins_at: Option<Instant>,
}

impl DeviceReaper {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the process may open no more files or start no more threads.
    pub(super) fn start(log: Log) -> io::Result<Self> {
        let devices = Devices::open()?;
        let toil = move |list: &Shared<List>| toil(list, devices, &log);
        Worker::start("device-reaper", toil).map(Self)
    }

    /// Hands over changes. Earlier changes of the same interfaces that are not done yet are
    /// dropped.
    pub(super) fn hand(&self, changes: Vec<DeviceChange>) {
        self.0.change(|list| list.add(Instant::now(), changes));
    }

    /// Drops the changes of matching interfaces that are not done yet.
    pub(super) fn forget(&self, which: impl Fn(&str) -> bool) {
        self.0.change(|list| list.forget(which));
    }
}

impl List {
    fn add(&mut self, now: Instant, changes: Vec<DeviceChange>) {
        let names: BTreeSet<_> = changes.iter().map(|c| Arc::clone(c.name())).collect();
        self.forget(|name| names.contains(name));
        self.changes.extend(changes);
        self.begins_at = Some(now + QUIET);
    }

    fn forget(&mut self, which: impl Fn(&str) -> bool) {
        self.changes.retain(|known| !which(known.name()));
        self.present.take_if(|known| which(known.name()));
    }

    /// Next change, or the time until it.
    fn next(&mut self, now: Instant, is_last: bool) -> Next<DeviceChange> {
        let left = self.begins_at.map(|at| at.saturating_duration_since(now));
        let left = left.unwrap_or_default();
        if !self.changes.is_empty() && !is_last && !left.is_zero() {
            return Next::Wait(Some(left));
        }
        self.present = self.changes.pop_front();
        match &self.present {
            Some(change) => Next::Do(change.clone()),
            None if is_last => Next::End,
            None => Next::Wait(None),
        }
    }

    /// Repeats a rejected change later, unless it was recalled or the daemon is about to end.
    fn put_off(&mut self, now: Instant, is_last: bool) {
        let refused = self.present.take();
        if !is_last {
            self.changes.extend(refused);
            self.begins_at = Some(now + SECOND_LOOK);
        }
    }
}

fn toil(list: &Shared<List>, mut devices: Devices, log: &Log) {
    let mut complaints = Complaints::new(log.clone());
    while let Some(change) = list.next(List::next) {
        let mut is_done = true;
        devices.apply(&[change], |change, error| {
            let text = format!("cannot {change}: {error}; trying again every second");
            complaints.tell(Level::ERROR, text);
            is_done = false;
        });
        let is_last = list.record(|list, is_last| {
            if !is_done {
                list.put_off(Instant::now(), is_last);
            }
            is_last
        });
        if is_done && !is_last {
            std::thread::sleep(BREATH);
        }
    }
}

#[cfg(test)]
mod tests {
    use vrrp_proto::InterfaceIndex;

    use super::*;

    fn set_down(name: &str) -> DeviceChange {
        DeviceChange::Set {
            index: InterfaceIndex(7),
            name: name.into(),
            up: false,
        }
    }

    #[test]
    fn rejected_change_is_retried_unless_recalled() {
        let mut list = List::default();
        let (one, other) = (set_down("vrrp4.51.eth1"), set_down("vrrp4.52.eth1"));
        let begun = Instant::now();
        list.add(begun, vec![one.clone(), other.clone()]);
        assert_eq!(list.next(begun, false), Next::Wait(Some(QUIET)));
        let now = begun + QUIET;
        assert_eq!(list.next(now, false), Next::Do(one.clone()));
        list.put_off(now, false);
        assert_eq!(list.next(now, false), Next::Wait(Some(SECOND_LOOK)));
        let now = now + SECOND_LOOK;
        assert_eq!(list.next(now, false), Next::Do(other.clone()));
        list.forget(|name| name == &**other.name());
        list.put_off(now, false);
        assert_eq!(list.changes, [one]);
    }

    #[test]
    fn end_does_not_wait_for_rejected_change() {
        let (mut list, now) = (List::default(), Instant::now());
        list.add(now, vec![set_down("vrrp4.51.eth1")]);
        assert!(matches!(list.next(now, true), Next::Do(_)));
        list.put_off(now, true);
        assert_eq!(list.next(now, true), Next::End);
    }
}
