//! What the kernel refuses, told once a minute: a refusal tends to come again with every
//! advertisement.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::Level;
use vrrp_linux::clock;
use vrrp_proto::Instant;

use crate::log_writer::Log;

/// How long the same is not told again.
const QUIET: Duration = Duration::from_secs(60);

/// How many different complaints are remembered. When there are more, all are forgotten: then one
/// may be told sooner.
const CAPACITY: usize = 256;

/// The complaints of the last minute.
#[derive(Debug)]
pub(super) struct Complaints {
    told: BTreeMap<String, Instant>,
    log: Log,
}

impl Complaints {
    pub(super) const fn new(log: Log) -> Self {
        let told = BTreeMap::new();
        Self { told, log }
    }

    /// Tells `text`, unless that was done lately.
    pub(super) fn tell(&mut self, level: Level, text: String) {
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
    use crate::log_writer;

    #[test]
    fn the_same_complaint_is_told_once_a_minute_and_another_at_once() {
        let (log, _scribe) = log_writer::start(false).unwrap();
        let mut complaints = Complaints::new(log);
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        assert!(complaints.is_news(at(0), "cannot send"));
        assert!(!complaints.is_news(at(59), "cannot send"));
        assert!(complaints.is_news(at(59), "cannot announce"));
        assert!(complaints.is_news(at(60), "cannot send"));
    }

    #[test]
    fn they_do_not_fill_the_memory() {
        let (log, _scribe) = log_writer::start(false).unwrap();
        let mut complaints = Complaints::new(log);
        for number in 0..10_000 {
            complaints.is_news(Instant::ZERO, &number.to_string());
        }
        assert!(complaints.told.len() <= CAPACITY);
    }
}
