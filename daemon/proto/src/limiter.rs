//! Keeps what is told to people bounded: the same thing once a minute, and not too many things.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::time::Instant;
use crate::types::InterfaceIndex;
use crate::wire::DropCause;

/// How long the same thing is not told again.
const QUIET: Duration = Duration::from_secs(60);

/// How many different things are remembered. A sender that invents addresses fills it once a
/// minute; what does not fit is counted and not told.
const CAPACITY: usize = 256;

/// What is told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) interface: InterfaceIndex,
    /// The VRID byte, whatever it is.
    pub(crate) vrid: u8,
    pub(crate) source: IpAddr,
    pub(crate) matter: Matter,
}

/// What is told of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Matter {
    /// Its packet was dropped.
    Dropped(DropCause),
    /// It is configured otherwise.
    Drift,
    /// It is master as well.
    SecondMaster,
}

/// Remembers what was told when.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    told: BTreeMap<Subject, Instant>,
    swept_at: Option<Instant>,
}

impl Limiter {
    /// Whether `subject` is to be told now.
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

    /// Forgets what is older than [`QUIET`], at most once in that time. Returns whether there is
    /// room.
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
    fn the_same_is_told_once_a_minute() {
        let mut limiter = Limiter::default();
        assert!(limiter.admit(at(0), subject(1)));
        assert!(!limiter.admit(at(59), subject(1)));
        assert!(limiter.admit(at(59), subject(2)));
        assert!(limiter.admit(at(60), subject(1)));
    }

    #[test]
    fn invented_senders_fill_it_once_a_minute() {
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
    fn a_minute_after_it_was_full_the_first_who_comes_is_told() {
        let mut limiter = Limiter::default();
        assert!((0..256).all(|n| limiter.admit(at(0), subject(n))));
        assert!(!limiter.admit(at(0), subject(256)));
        assert!(limiter.admit(at(60), subject(257)));
    }
}
