//! Time limit of a probe, for all of its parts together.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// Beginning and length of the time for a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLimit {
    begun: Instant,
    length: Duration,
}

impl TimeLimit {
    /// A limit of `length` from now on.
    pub(super) fn of(length: Duration) -> Self {
        Self {
            begun: Instant::now(),
            length,
        }
    }

    /// An equal share, for one of `number` parts, of the remaining time.
    pub(super) fn share(&self, number: usize) -> Self {
        let number = u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self::of(self.length.saturating_sub(self.begun.elapsed()) / number)
    }

    /// Time since the beginning.
    pub(super) fn so_far(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The limit in words: `within 1 s`.
    pub(super) fn limit(&self) -> String {
        format!("within {} s", self.length.as_secs_f64())
    }

    /// Waits for `future` until the limit.
    ///
    /// # Errors
    ///
    /// If the time is over: `what` happened, with the limit in words.
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
