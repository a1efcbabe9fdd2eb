//! Helpers of several tests.

use std::time::Duration;

use crate::log_writer::{self, Log};

/// Time limit of tests: far longer than anything that ends takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Log without an event log: its directory does not exist.
pub(crate) fn log() -> Log {
    let (log, _) = log_writer::start(false, "/nonexistent".into()).unwrap();
    log
}

/// Directory of one test, removed at its end.
pub(crate) struct Directory(std::path::PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("vrrpd-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
