//! Rate limit for errors and warnings: a request that the kernel rejects is often rejected again
//! with every advertisement.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::Level;
use vrrp_linux::clock;
use vrrp_proto::Instant;

use crate::log_writer::Log;

/// Time for which the same text is not logged again.
const QUIET: Duration = Duration::from_secs(60);

/// Most texts that are remembered. Beyond that all are forgotten, and a text may be logged earlier.
const CAPACITY: usize = 256;

/// Texts of the last minute, with the time at which they were logged.
#[derive(Debug)]
pub(crate) struct Complaints {
    told: BTreeMap<String, Instant>,
    log: Log,
}

impl Complaints {
    pub(crate) const fn new(log: Log) -> Self {
        let told = BTreeMap::new();
        Self { told, log }
    }

    /// Logs `text`, unless it was logged less than [`QUIET`] ago.
    pub(crate) fn tell(&mut self, level: Level, text: String) {
        if self.is_news(clock::now(), &text) {
            self.log.note(level, text);
        }
    }

    fn is_news(&mut self, now: Instant, text: &str) -> bool {
        let quiet = |at: &Instant| now.since(*at) < QUIET;
        if self.told.get(text).is_some_and(quiet) {
            return false;
        }
        if self.told.len() >= CAPACITY {
            self.told.clear();
        }
        self.told.insert(text.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_complaint_is_logged_once_a_minute() {
        let log = crate::testing::log();
        let mut complaints = Complaints::new(log);
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        assert!(complaints.is_news(at(0), "cannot send"));
        assert!(!complaints.is_news(at(59), "cannot send"));
        assert!(complaints.is_news(at(59), "cannot announce"));
        assert!(complaints.is_news(at(60), "cannot send"));
    }

    #[test]
    fn number_of_remembered_complaints_is_limited() {
        let log = crate::testing::log();
        let mut complaints = Complaints::new(log);
        for number in 0..10_000 {
            complaints.is_news(Instant::ZERO, &number.to_string());
        }
        assert!(complaints.told.len() <= CAPACITY);
    }
}
