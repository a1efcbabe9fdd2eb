//! Status of the daemon's process: its version, its start, and the reloads of its configuration.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use vrrp_proto::snapshot::{DaemonStatus, ReloadStatus, Snapshot};

/// Status of the process. Clones show the same status.
#[derive(Clone)]
pub(super) struct StatusHandle {
    /// In seconds since the Unix epoch.
    started_at: f64,
    reloads: Arc<Mutex<Reloads>>,
}

#[derive(Default)]
struct Reloads {
    succeeded: u64,
    failed: u64,
    last: Option<Reload>,
}

/// Result of a reload.
struct Reload {
    at: Instant,
    error: Option<Arc<str>>,
}

impl StatusHandle {
    /// A process that starts now.
    pub(super) fn new() -> Self {
        // Before 1970 the clock is wrong anyway.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started_at: since_epoch.unwrap_or_default().as_secs_f64(),
            reloads: Arc::default(),
        }
    }

    /// Counts a reload, which failed if there is an error.
    pub(super) fn reloaded(&self, error: Option<Arc<str>>) {
        let mut reloads = self.reloads();
        match error {
            None => reloads.succeeded += 1,
            Some(_) => reloads.failed += 1,
        }
        let at = Instant::now();
        reloads.last = Some(Reload { at, error });
    }

    /// Adds the status of the process to a snapshot of the node.
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        let reloads = self.reloads();
        snapshot.daemon = Some(DaemonStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at,
            reloads: reloads.succeeded,
            failed_reloads: reloads.failed,
            last_reload: reloads.last.as_ref().map(|last| ReloadStatus {
                age: last.at.elapsed().as_secs_f64(),
                error: last.error.clone(),
            }),
        });
    }

    fn reloads(&self) -> MutexGuard<'_, Reloads> {
        // The counters are consistent whenever the lock is released.
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(handle: &StatusHandle) -> DaemonStatus {
        let mut snapshot = Snapshot::default();
        handle.complete(&mut snapshot);
        snapshot.daemon.expect("the handle adds it")
    }

    #[test]
    fn reloads_are_counted_and_the_last_error_is_kept() {
        let handle = StatusHandle::new();
        let at_start = status(&handle);
        assert_eq!((at_start.reloads, at_start.failed_reloads), (0, 0));
        assert_eq!(at_start.last_reload, None);

        handle.reloaded(None);
        handle.reloaded(Some("vrrpd.json: invalid configuration".into()));
        let failed = status(&handle);
        assert_eq!((failed.reloads, failed.failed_reloads), (1, 1));
        let error = failed.last_reload.expect("there was one").error;
        assert_eq!(error.as_deref(), Some("vrrpd.json: invalid configuration"));

        handle.reloaded(None);
        let error = status(&handle).last_reload.expect("there was one").error;
        assert_eq!(error, None);
    }
}
