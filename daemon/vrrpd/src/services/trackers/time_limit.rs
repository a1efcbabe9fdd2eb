//! How long a probe waits: for all of it together, not for each of its parts.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    begun: Instant,
    length: Duration,
}

impl TimeLimit {
    /// From now on for `length`.
    pub(super) fn of(length: Duration) -> Self {
        Self {
            begun: Instant::now(),
            length,
        }
    }

    /// For the rest of it, shared by `number`.
    pub(super) fn share(&self, number: usize) -> Self {
        let number = u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self::of(self.length.saturating_sub(self.begun.elapsed()) / number)
    }

    /// How long it has taken so far.
    pub(super) fn so_far(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How long it may take in all, as people read it.
    pub(super) fn limit(&self) -> String {
        format!("within {} s", self.length.as_secs_f64())
    }

    /// Waits for `future`.
    ///
    /// # Errors
    ///
    /// That it was not there in time, and `what` that means.
    pub(super) async fn wait<F: Future>(
        &self,
        future: F,
        what: impl FnOnce() -> String,
    ) -> Result<F::Output, String> {
        let until = self.begun + self.length;
        let waited = timeout_at(until, future).await;
        waited.map_err(|_| format!("{} {}", what(), self.limit()))
    }
}
