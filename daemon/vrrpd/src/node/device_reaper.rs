//! Device reaper: sets down and deletes macvlan interfaces (virtual MAC addresses) on a thread of
//! its own. Meanwhile the kernel waits for all CPUs (synchronize_net), 20 ms for each, and no
//! advertisement can wait for that. The first change starts the thread.
//!
//! The kernel holds its lock (RTNL) during these changes, and the node needs the same lock to
//! change addresses. So the reaper begins when no further change has come for a while, because
//! routers tend to change state together, and pauses between one interface and the next.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::Level;
use vrrp_linux::device::Devices;
use vrrp_node::device::DeviceChange;
use vrrp_node::node::SECOND_LOOK;

use crate::complaints::Complaints;
use crate::log_writer::Log;

/// Time without a further change before the reaper begins.
const QUIET: Duration = Duration::from_millis(100);

/// Pause between two changes, in which other threads get the kernel's lock.
const BREATH: Duration = Duration::from_millis(5);

/// Thread and its work.
#[derive(Debug)]
pub(super) struct DeviceReaper {
    work: Arc<Work>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Work {
    list: Mutex<List>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct List {
    changes: VecDeque<DeviceChange>,
    /// Change that is being carried out; `None` once it was recalled.
    present: Option<DeviceChange>,
    /// Time at which the reaper begins.
    begins_at: Option<Instant>,
    is_last: bool,
}

impl DeviceReaper {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the process may open no more files or start no more threads.
    pub(super) fn start(log: Log) -> io::Result<Self> {
        let devices = Devices::open()?;
        let work = Arc::new(Work::default());
        let own = Arc::clone(&work);
        let thread = std::thread::Builder::new()
            .name("device-reaper".to_owned())
            .spawn(move || own.toil(devices, &log))?;
        Ok(Self {
            work,
            thread: Some(thread),
        })
    }

    /// Hands over changes. Earlier changes of the same interfaces that are not done yet are
    /// dropped.
    pub(super) fn hand(&self, changes: Vec<DeviceChange>) {
        let names: BTreeSet<_> = changes.iter().map(|c| Arc::clone(c.name())).collect();
        self.forget(|name| names.contains(name));
        let mut list = self.work.lock();
        list.changes.extend(changes);
        list.begins_at = Some(Instant::now() + QUIET);
        self.work.more.notify_one();
    }

    /// Drops the changes of matching interfaces that are not done yet.
    pub(super) fn forget(&self, which: impl Fn(&str) -> bool) {
        let mut list = self.work.lock();
        list.changes.retain(|known| !which(known.name()));
        list.present.take_if(|known| which(known.name()));
    }
}

impl Drop for DeviceReaper {
    /// Waits until all changes are done.
    fn drop(&mut self) {
        self.work.lock().is_last = true;
        self.work.more.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Work {
    fn lock(&self) -> std::sync::MutexGuard<'_, List> {
        // The list is consistent whenever the lock is released.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next change. `None` when no further one will come.
    fn next(&self) -> Option<DeviceChange> {
        let mut list = self.lock();
        loop {
            if list.changes.is_empty() {
                if list.is_last {
                    return None;
                }
                list = self.more.wait(list).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let now = Instant::now();
            let left = list.begins_at.map(|at| at.saturating_duration_since(now));
            let left = left.unwrap_or_default();
            if list.is_last || left.is_zero() {
                list.present = list.changes.pop_front();
                return list.present.clone();
            }
            let waited = self.more.wait_timeout(list, left);
            (list, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Repeats a rejected change later, unless it was recalled or the daemon is about to end.
    fn put_off(&self) {
        let mut list = self.lock();
        let refused = list.present.take();
        if !list.is_last {
            list.changes.extend(refused);
            list.begins_at = Some(Instant::now() + SECOND_LOOK);
        }
    }

    fn toil(&self, mut devices: Devices, log: &Log) {
        let mut complaints = Complaints::new(log.clone());
        while let Some(change) = self.next() {
            let mut is_done = true;
            devices.apply(&[change], |change, error| {
                let text = format!("cannot {change}: {error}; trying again every second");
                complaints.tell(Level::ERROR, text);
                is_done = false;
            });
            if !is_done {
                self.put_off();
            } else if !self.lock().is_last {
                std::thread::sleep(BREATH);
            }
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

    fn idle() -> DeviceReaper {
        DeviceReaper {
            work: Arc::default(),
            thread: None,
        }
    }

    #[test]
    fn rejected_change_is_retried_unless_recalled() {
        let device_reaper = idle();
        let (one, other) = (set_down("vrrp4.51.eth1"), set_down("vrrp4.52.eth1"));
        device_reaper.hand(vec![one.clone(), other.clone()]);
        let begun = Instant::now();
        assert_eq!(device_reaper.work.next(), Some(one.clone()));
        device_reaper.work.put_off();
        assert_eq!(device_reaper.work.next(), Some(other.clone()));
        assert!(begun.elapsed() >= SECOND_LOOK);
        device_reaper.forget(|name| name == &**other.name());
        device_reaper.work.put_off();
        assert_eq!(device_reaper.work.lock().changes, [one]);
    }

    #[test]
    fn end_does_not_wait_for_rejected_change() {
        let device_reaper = idle();
        device_reaper.hand(vec![set_down("vrrp4.51.eth1")]);
        device_reaper.work.lock().is_last = true;
        assert!(device_reaper.work.next().is_some());
        device_reaper.work.put_off();
        assert_eq!(device_reaper.work.next(), None);
    }
}
