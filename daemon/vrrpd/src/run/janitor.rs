//! Takes interfaces with virtual MAC addresses down and away, on a thread of its own: the kernel
//! waits for all CPUs meanwhile (synchronize_net), 20 ms for each, and no advertisement can wait for
//! that. The thread is started for the first of them.
//!
//! Whoever waits for the same lock of the kernel waits for the janitor, and that is the node when it
//! changes addresses. So the janitor begins when nothing more has come for a while, because routers
//! tend to move together, and makes way between one interface and the next.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::Level;
use vrrp_linux::device::{DeviceChange, Devices};

use crate::scribe::Log;

/// For how long nothing more has to come before it begins.
const QUIET: Duration = Duration::from_millis(100);

/// How long it makes way for whoever waits for the kernel.
const BREATH: Duration = Duration::from_millis(5);

/// The thread, and what it has to do.
#[derive(Debug)]
pub(super) struct Janitor {
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
    /// When something came last.
    handed_at: Option<Instant>,
    is_last: bool,
}

impl Janitor {
    /// Starts it.
    ///
    /// # Errors
    /// When the process may open no more files or start no more threads.
    pub(super) fn start(log: Log) -> io::Result<Self> {
        let devices = Devices::open()?;
        let work = Arc::new(Work::default());
        let own = Arc::clone(&work);
        let thread = std::thread::Builder::new()
            .name("janitor".to_owned())
            .spawn(move || own.toil(devices, &log))?;
        Ok(Self {
            work,
            thread: Some(thread),
        })
    }

    /// Gives it something to do. What was to be done to the same interface and is not done yet is
    /// left out.
    pub(super) fn hand(&self, change: DeviceChange) {
        self.forget(change.name());
        let mut list = self.work.lock();
        list.changes.push_back(change);
        list.handed_at = Some(Instant::now());
        self.work.more.notify_one();
    }

    /// Leaves out what is to be done to an interface and not begun yet.
    pub(super) fn forget(&self, name: &Arc<str>) {
        self.work
            .lock()
            .changes
            .retain(|known| known.name() != name);
    }
}

impl Drop for Janitor {
    /// Waits until all is done.
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
        // A list is whole whenever it is let go of.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be done next, when it is time. `None` when nothing will come any more.
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
            let since = list.handed_at.map_or(QUIET, |at| at.elapsed());
            if list.is_last || since >= QUIET {
                return list.changes.pop_front();
            }
            let waited = self.more.wait_timeout(list, QUIET - since);
            (list, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn toil(&self, mut devices: Devices, log: &Log) {
        while let Some(change) = self.next() {
            devices.apply(&[change], |change, error| {
                log.note(Level::ERROR, format!("cannot {change}: {error}"));
            });
            if !self.lock().is_last {
                std::thread::sleep(BREATH);
            }
        }
    }
}
