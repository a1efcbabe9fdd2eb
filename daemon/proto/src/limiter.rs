//! Rate limit of reports: each subject once a minute, and a limited number of subjects of each matter.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::time::Instant;
use crate::types::InterfaceIndex;
use crate::wire::DropCause;

/// Least time between two reports on the same subject.
const QUIET: Duration = Duration::from_secs(60);

/// Maximum number of remembered senders of each matter. A flood with invented source addresses fills the
/// places of its own matter once a minute and leaves those of the others free.
const CAPACITY: usize = 64;

/// Subject of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) interface: InterfaceIndex,
    /// VRID as received; not checked.
    pub(crate) vrid: u8,
    pub(crate) source: IpAddr,
}

/// Kind of report on a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// A packet was dropped.
    Dropped(DropCause),
    /// Its configuration differs.
    Mismatch,
    /// Its clock differs.
    Clock,
    /// It is master, too.
    SecondMaster,
    /// Its advertisements are dropped by this host.
    Unreceived,
    /// Another host claims a virtual address, which takes the place of a sender.
    AddressConflict,
}

impl fmt::Display for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped(cause) => write!(f, "packet dropped: {cause}"),
            Self::Mismatch => f.write_str("configuration mismatch"),
            Self::Clock => f.write_str("clocks differ"),
            Self::SecondMaster => f.write_str("second master"),
            Self::Unreceived => f.write_str("advertisements dropped by this host"),
            Self::AddressConflict => f.write_str("address conflict"),
        }
    }
}

/// Decision of the limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Report now. So many reports of the same matter were suppressed for want of a place since the last
    /// one that was not.
    Report { suppressed: u64 },
    /// The subject was reported within [`QUIET`], or has no place.
    Suppress,
}

/// The rate limit of all matters.
#[derive(Debug, Default)]
pub(crate) struct Limiter(BTreeMap<Matter, Places>);

/// The subjects of one matter with the time of their last report.
#[derive(Debug, Default)]
struct Places {
    reported: BTreeMap<Subject, Instant>,
    swept_at: Option<Instant>,
    suppressed: u64,
}

impl Limiter {
    /// Decides on a report. If it is to be made, records it.
    pub(crate) fn admit(&mut self, now: Instant, matter: Matter, subject: Subject) -> Decision {
        self.0.entry(matter).or_default().admit(now, subject)
    }
}

impl Places {
    fn admit(&mut self, now: Instant, subject: Subject) -> Decision {
        let last = self.reported.get(&subject);
        if last.is_some_and(|at| now.since(*at) < QUIET) {
            return Decision::Suppress;
        }
        if last.is_none() && self.reported.len() >= CAPACITY && !self.sweep(now) {
            self.suppressed += 1;
            return Decision::Suppress;
        }
        self.reported.insert(subject, now);
        Decision::Report {
            suppressed: core::mem::take(&mut self.suppressed),
        }
    }

    /// Forgets reports older than [`QUIET`], at most once in that time. Returns whether there is room
    /// for another subject.
    fn sweep(&mut self, now: Instant) -> bool {
        if self.swept_at.is_none_or(|at| now.since(at) >= QUIET) {
            self.swept_at = Some(now);
            self.reported.retain(|_, at| now.since(*at) < QUIET);
        }
        self.reported.len() < CAPACITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: Matter = Matter::Dropped(DropCause::Checksum);

    fn subject(source: u32) -> Subject {
        Subject {
            interface: InterfaceIndex(1),
            vrid: 51,
            source: IpAddr::V4(source.into()),
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn is_reported(limiter: &mut Limiter, seconds: u64, source: u32) -> bool {
        limiter.admit(at(seconds), FLOOD, subject(source)) != Decision::Suppress
    }

    #[test]
    fn same_subject_is_reported_once_a_minute() {
        let mut limiter = Limiter::default();
        assert!(is_reported(&mut limiter, 0, 1));
        assert!(!is_reported(&mut limiter, 59, 1));
        assert!(is_reported(&mut limiter, 59, 2));
        assert!(is_reported(&mut limiter, 60, 1));
    }

    #[test]
    fn invented_senders_fill_their_matter_once_a_minute() {
        let mut limiter = Limiter::default();
        let reported = |limiter: &mut Limiter, half_minute: u32| {
            let seconds = u64::from(half_minute) * 30;
            (0..10_000)
                .filter(|n| is_reported(limiter, seconds, half_minute * 10_000 + n))
                .count()
        };
        assert_eq!(reported(&mut limiter, 0), 64);
        assert_eq!(reported(&mut limiter, 1), 0);
        assert_eq!(reported(&mut limiter, 2), 64);
    }

    #[test]
    fn flood_of_one_matter_suppresses_no_other_matter() {
        let mut limiter = Limiter::default();
        for source in 0..1000 {
            is_reported(&mut limiter, 0, source);
        }
        assert_eq!(
            limiter.admit(at(0), Matter::SecondMaster, subject(1)),
            Decision::Report { suppressed: 0 }
        );
    }

    #[test]
    fn next_report_counts_the_suppressed_ones() {
        let mut limiter = Limiter::default();
        for source in 0..100 {
            is_reported(&mut limiter, 0, source);
        }
        let next = limiter.admit(at(60), FLOOD, subject(200));
        assert_eq!(next, Decision::Report { suppressed: 36 });
        let after = limiter.admit(at(60), FLOOD, subject(201));
        assert_eq!(after, Decision::Report { suppressed: 0 });
    }
}
