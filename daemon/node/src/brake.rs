//! Rate limit for repeated repairs: another program deletes an address, a route or a rule, and the daemon
//! restores it, thousands of times a second. Pure.
//!
//! The repair itself is never delayed. Its announcement and its report are: the first ones are made at once,
//! then at most one in [`SPACING`], and a report names the number of the omitted ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vrrp_proto::routing::Routed;
use vrrp_proto::{Instant, InterfaceAddress, InterfaceIndex, MacAddress, Report};

/// Number of announcements or reports that are made at once.
const BURST: u128 = 5;

/// Least time between two further ones.
const SPACING: Duration = Duration::from_millis(100);

/// Rate of one kind of announcement or report: [`BURST`] at once, then one in each [`SPACING`].
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Number of the last ones that still count. Each [`SPACING`] takes one off.
    recent: u128,
    /// Time since which `recent` was not reduced.
    since: Instant,
}

impl Rate {
    const fn new(now: Instant) -> Self {
        Self {
            recent: 0,
            since: now,
        }
    }

    /// Whether another one may be made now. If so, it counts.
    fn admit(&mut self, now: Instant) -> bool {
        self.forget(now);
        let is_admitted = self.recent < BURST;
        self.recent += u128::from(is_admitted);
        is_admitted
    }

    /// Whether none counts any more.
    fn is_over(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.recent == 0
    }

    /// Time at which another one may be made, after one that was not admitted.
    fn next(&self) -> Instant {
        self.since + SPACING
    }

    fn forget(&mut self, now: Instant) {
        let spacings = now.since(self.since).as_nanos() / SPACING.as_nanos();
        if spacings > 0 {
            self.recent = self.recent.saturating_sub(spacings);
            self.since = now;
        }
    }
}

/// Announcements of repaired addresses.
#[derive(Debug, Default)]
pub(crate) struct Announcements(BTreeMap<(InterfaceIndex, InterfaceAddress), Announced>);

#[derive(Debug)]
struct Announced {
    rate: Rate,
    /// The announcement to send as soon as the rate admits it.
    next: Option<Next>,
}

/// Delayed announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) mac: MacAddress,
    pub(crate) burst: u8,
}

impl Announcements {
    /// Whether to announce a repaired address now. If not, [`take`](Self::take) returns it later.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        interface: InterfaceIndex,
        address: InterfaceAddress,
        next: Next,
    ) -> bool {
        let fresh = || Announced {
            rate: Rate::new(now),
            next: None,
        };
        let announced = self.0.entry((interface, address)).or_insert_with(fresh);
        let is_admitted = announced.rate.admit(now);
        announced.next = (!is_admitted).then_some(next);
        is_admitted
    }

    /// Time of the next call of [`take`](Self::take).
    pub(crate) fn due(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|announced| announced.next.is_some());
        waiting.map(|announced| announced.rate.next()).min()
    }

    /// Calls `send` for each announcement that is due.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        mut send: impl FnMut(InterfaceIndex, InterfaceAddress, Next),
    ) {
        self.0.retain(|(interface, address), announced| {
            if let Some(next) = announced.next
                && announced.rate.admit(now)
            {
                announced.next = None;
                send(*interface, *address, next);
            }
            announced.next.is_some() || !announced.rate.is_over(now)
        });
    }
}

/// Reports on repairs and removals.
#[derive(Debug, Default)]
pub(crate) struct Told(BTreeMap<Subject, Last>);

/// Subject of a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) router: Arc<str>,
    pub(crate) object: Object,
    pub(crate) is_addition: bool,
}

/// Object that was added or deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Object {
    Address(InterfaceIndex, InterfaceAddress),
    Routed(Routed),
}

#[derive(Debug)]
struct Last {
    rate: Rate,
    omitted: u64,
}

impl Told {
    /// Whether to make a report on `subject` now. If not, [`take`](Self::take) counts it.
    pub(crate) fn admit(&mut self, now: Instant, subject: Subject) -> bool {
        let fresh = || Last {
            rate: Rate::new(now),
            omitted: 0,
        };
        let last = self.0.entry(subject).or_insert_with(fresh);
        // The omitted ones are reported first.
        let is_admitted = last.omitted == 0 && last.rate.admit(now);
        last.omitted += u64::from(!is_admitted);
        is_admitted
    }

    /// Time of the next call of [`take`](Self::take).
    pub(crate) fn due(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|last| last.omitted > 0);
        waiting.map(|last| last.rate.next()).min()
    }

    /// Returns the reports that are due on omitted ones.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Report> {
        let mut omitted: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        self.0.retain(|subject, last| {
            if last.omitted > 0 && last.rate.admit(now) {
                let times = std::mem::take(&mut last.omitted);
                *omitted.entry(Arc::clone(&subject.router)).or_default() += times;
            }
            last.omitted > 0 || !last.rate.is_over(now)
        });
        let report = |(router, times)| Report::Repeated { router, times };
        omitted.into_iter().map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH: InterfaceIndex = InterfaceIndex(2);
    const T0: Instant = Instant::from_nanos(1_000_000_000_000);
    const NEXT: Next = Next {
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
        burst: 1,
    };

    fn address(text: &str) -> InterfaceAddress {
        text.parse().expect("an address with its prefix")
    }

    fn repair(last: u8) -> Subject {
        Subject {
            router: "VI_1".into(),
            object: Object::Address(ETH, address(&format!("10.0.0.{last}/24"))),
            is_addition: true,
        }
    }

    fn at(millis: u64) -> Instant {
        T0 + Duration::from_millis(millis)
    }

    #[test]
    fn first_and_last_repairs_are_announced() {
        let mut announcements = Announcements::default();
        let one = address("10.0.0.1/24");
        let other = address("10.0.0.2/24");
        let admitted = (0..50).filter(|n| announcements.admit(at(*n), ETH, one, NEXT));
        assert_eq!(admitted.collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(announcements.admit(at(99), ETH, other, NEXT));
        assert_eq!(announcements.due(), Some(at(100)));
        let mut sent = Vec::new();
        let mut take = |announcements: &mut Announcements, millis| {
            announcements.take(at(millis), |_, address, _| sent.push((millis, address)));
        };
        take(&mut announcements, 99);
        take(&mut announcements, 100);
        assert_eq!(announcements.due(), None);
        assert!(!announcements.admit(at(150), ETH, one, NEXT), "it counts");
        take(&mut announcements, 200);
        take(&mut announcements, 5_000);
        assert!(announcements.0.is_empty(), "nothing is kept");
        assert_eq!(sent, [(100, one), (200, one)]);
    }

    #[test]
    fn omitted_reports_are_counted() {
        let mut told = Told::default();
        let admitted = (0..50).filter(|n| told.admit(at(*n), repair(1)));
        assert_eq!(admitted.count(), 5);
        assert!(told.admit(at(50), repair(2)), "another address");
        assert_eq!(told.due(), Some(at(100)));
        assert_eq!(told.take(at(99)), []);
        let repeated = Report::Repeated {
            router: "VI_1".into(),
            times: 45,
        };
        assert_eq!(told.take(at(100)), [repeated]);
        assert_eq!(told.due(), None);
        assert_eq!(told.take(at(5_000)), []);
        assert!(told.0.is_empty(), "nothing is kept");
        assert!(told.admit(at(5_000), repair(2)));
    }
}
