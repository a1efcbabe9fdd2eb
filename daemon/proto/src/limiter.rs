//! Rate limit of reports: each subject once a minute, and a limited number of subjects.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::time::Instant;
use crate::types::InterfaceIndex;
use crate::wire::DropCause;

/// Least time between two reports on the same subject.
const QUIET: Duration = Duration::from_secs(60);

/// Maximum number of remembered subjects. A sender with invented source addresses can fill them once a
/// minute; further subjects are counted in the statistics but not reported.
const CAPACITY: usize = 256;

/// Subject of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) interface: InterfaceIndex,
    /// VRID as received; not checked.
    pub(crate) vrid: u8,
    pub(crate) source: IpAddr,
    pub(crate) matter: Matter,
}

/// Kind of report on a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Matter {
    /// A packet was dropped.
    Dropped(DropCause),
    /// Its configuration differs.
    Drift,
    /// It is master, too.
    SecondMaster,
}

/// Subjects with the time of their last report.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    told: BTreeMap<Subject, Instant>,
    swept_at: Option<Instant>,
}

impl Limiter {
    /// Whether `subject` may be reported now. If so, records it.
    pub(crate) fn admit(&mut self, now: Instant, subject: Subject) -> bool {
        if let Some(at) = self.told.get_mut(&subject) {
            let due = now.since(*at) >= QUIET;
            if due {
                *at = now;
            }
            return due;
        }
        if self.told.len() >= CAPACITY && !self.sweep(now) {
            return false;
        }
        self.told.insert(subject, now);
        true
    }

    /// Forgets reports older than [`QUIET`], at most once in that time. Returns whether there is room
    /// for another subject.
    fn sweep(&mut self, now: Instant) -> bool {
        if self.swept_at.is_none_or(|at| now.since(at) >= QUIET) {
            self.swept_at = Some(now);
            self.told.retain(|_, at| now.since(*at) < QUIET);
        }
        self.told.len() < CAPACITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(source: u32) -> Subject {
        Subject {
            interface: InterfaceIndex(1),
            vrid: 51,
            source: IpAddr::V4(source.into()),
            matter: Matter::Dropped(DropCause::Checksum),
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn same_subject_is_reported_once_a_minute() {
        let mut limiter = Limiter::default();
        assert!(limiter.admit(at(0), subject(1)));
        assert!(!limiter.admit(at(59), subject(1)));
        assert!(limiter.admit(at(59), subject(2)));
        assert!(limiter.admit(at(60), subject(1)));
    }

    #[test]
    fn invented_senders_fill_the_limiter_once_a_minute() {
        let mut limiter = Limiter::default();
        let told = |limiter: &mut Limiter, half_minute: u32| {
            let now = at(u64::from(half_minute) * 30);
            (0..10_000)
                .filter(|n| limiter.admit(now, subject(half_minute * 10_000 + n)))
                .count()
        };
        assert_eq!(told(&mut limiter, 0), 256);
        assert_eq!(told(&mut limiter, 1), 0);
        assert_eq!(told(&mut limiter, 2), 256);
    }

    #[test]
    fn full_limiter_accepts_a_subject_after_a_minute() {
        let mut limiter = Limiter::default();
        assert!((0..256).all(|n| limiter.admit(at(0), subject(n))));
        assert!(!limiter.admit(at(0), subject(256)));
        assert!(limiter.admit(at(60), subject(257)));
    }
}
