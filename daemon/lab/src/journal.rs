//! Lists of past events that can be waited on.
//!
//! Output lines, address events, frames and answers of the web server each arrive on a separate
//! thread and are read by the test. A [`Journal`] connects the two: the observer appends entries;
//! the test reads them, or sleeps until a wanted entry arrives.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Append-only list that can be waited on. Clones are the same list.
#[derive(Debug)]
pub struct Journal<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    entries: Mutex<Vec<T>>,
    grown: Condvar,
}

impl<T: Clone> Journal<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            entries: Mutex::new(Vec::new()),
            grown: Condvar::new(),
        }))
    }

    pub(crate) fn push(&self, entry: T) {
        lock(&self.0.entries).push(entry);
        self.0.grown.notify_all();
    }

    /// All entries so far.
    pub fn entries(&self) -> Vec<T> {
        lock(&self.0.entries).clone()
    }

    /// All entries from position `from` on.
    pub fn entries_from(&self, from: usize) -> Vec<T> {
        lock(&self.0.entries)
            .get(from..)
            .unwrap_or_default()
            .to_vec()
    }

    /// Number of entries, which is a position for [`Journal::wait_from`].
    pub fn len(&self) -> usize {
        lock(&self.0.entries).len()
    }

    /// Whether there is no entry yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the first entry that is `wanted`, past or arriving within `timeout`.
    pub fn wait_for(&self, wanted: impl FnMut(&T) -> bool, timeout: Duration) -> Option<T> {
        self.wait_from(0, wanted, timeout)
    }

    /// As [`Journal::wait_for`], for the entries from position `from` on.
    pub fn wait_from(
        &self,
        from: usize,
        mut wanted: impl FnMut(&T) -> bool,
        timeout: Duration,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut seen = from;
        let mut entries = lock(&self.0.entries);
        loop {
            if let Some(found) = entries.iter().skip(seen).find(|entry| wanted(entry)) {
                return Some(found.clone());
            }
            seen = seen.max(entries.len());
            let left = deadline.checked_duration_since(Instant::now())?;
            entries = self
                .0
                .grown
                .wait_timeout(entries, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Locks a mutex, also a poisoned one: a test that panicked left no half-made change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
