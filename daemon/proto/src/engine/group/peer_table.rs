//! Peer table: the masters seen in one family of a member, and the comparison of a group with them.
//!
//! A host has different addresses in different networks. The sightings in one member can therefore
//! not be matched to those in another. Only the master of highest precedence in each member is
//! comparable.

use core::cmp::Ordering;
use core::net::IpAddr;

use crate::checkpoint::{PeersCheckpoint, SightingCheckpoint};
use crate::router::{Router, Sighting};
use crate::time::Instant;
use crate::types::{AdvertInterval, Family};

/// Maximum number of sightings in a table.
const MOST: usize = 8;

/// Masters seen in one family of a member.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct PeerTable {
    /// The last sighting of each master, without those that resigned.
    sightings: Vec<Sighting>,
    /// The master with our priority at the last take-over, if another member decided it.
    accepted_tie: Option<IpAddr>,
    /// The master of `accepted_tie` that did not step down after that take-over, and is therefore
    /// another host than the one in the deciding member. While it advertises, no other member
    /// decides against it.
    stands: Option<IpAddr>,
}

/// One family of a member, as input of [`rank`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    /// Position of the member in its group.
    pub(super) position: usize,
    /// Our effective priority.
    pub(super) ours: u8,
    /// Source address of our advertisements.
    pub(super) own: Option<IpAddr>,
    /// The master of highest precedence there.
    pub(super) first: Option<Sighting>,
    /// Whether a master of lower priority than ours advertises there.
    pub(super) has_lower: bool,
    /// Whether the wait for a master there has ended since the first sighting in any member: a
    /// master without a sighting is then known to be absent.
    pub(super) has_waited: bool,
}

/// Result of comparing a group of masters with the other masters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// The group has precedence, or there is no other master.
    Before,
    /// The master of `sighting` has precedence in the member at `position`.
    Behind { position: usize, sighting: Sighting },
    /// Undecided until further advertisements arrive.
    Open,
}

impl PeerTable {
    /// The masters, for a later process.
    pub(in crate::engine) fn save(&self, family: Family) -> PeersCheckpoint {
        let sightings = self.sightings.iter().map(|sighting| SightingCheckpoint {
            from: sighting.from,
            priority: sighting.priority,
            interval: sighting.interval.centiseconds(),
            at: sighting.at,
        });
        PeersCheckpoint {
            family,
            sightings: sightings.collect(),
            accepted_tie: self.accepted_tie,
            stands: self.stands,
        }
    }

    /// Continues with what [`save`](Self::save) returned.
    pub(in crate::engine) fn restore(saved: &PeersCheckpoint) -> Self {
        let sightings = saved.sightings.iter().take(MOST).filter_map(|sighting| {
            Some(Sighting {
                from: sighting.from,
                priority: sighting.priority,
                interval: AdvertInterval::restore(sighting.interval)?,
                at: sighting.at,
            })
        });
        Self {
            sightings: sightings.collect(),
            accepted_tie: saved.accepted_tie,
            stands: saved.stands,
        }
    }

    /// Records an advertisement. One of priority 0 deletes the sighting of its sender.
    pub(in crate::engine) fn record(&mut self, now: Instant, sighting: Sighting, router: &Router) {
        let before = self.heard(now, router).find(|v| v.from == sighting.from);
        // With another priority it is no tie any more, or a new one that has to be decided anew.
        if before.is_none_or(|before| before.priority != sighting.priority) {
            self.stands = self.stands.filter(|stands| *stands != sighting.from);
        }
        let is_kept =
            |known: &Sighting| known.from != sighting.from && is_heard(now, known, router);
        self.sightings.retain(is_kept);
        if sighting.priority == 0 {
            return;
        }
        if self.sightings.len() == MOST {
            // A full table keeps the masters of highest precedence: these decide.
            let sightings = self.sightings.iter().enumerate();
            let least = sightings.min_by_key(|(_, known)| precedence(known));
            match least {
                Some((position, least)) if precedence(least) < precedence(&sighting) => {
                    self.sightings.swap_remove(position);
                }
                Some(_) | None => return,
            }
        }
        self.sightings.push(sighting);
    }

    /// Returns the master of highest precedence. A sighting is valid for the Active_Down_Interval.
    pub(in crate::engine) fn first(&self, now: Instant, router: &Router) -> Option<Sighting> {
        self.heard(now, router).max_by_key(precedence)
    }

    /// Whether a master of lower priority than ours advertises.
    pub(super) fn has_lower(&self, now: Instant, router: &Router) -> bool {
        let ours = router.settings().priority.get();
        self.heard(now, router)
            .any(|sighting| sighting.priority < ours)
    }

    /// Whether the first master has our priority, and another member may decide against it.
    pub(super) fn is_tie(&self, now: Instant, router: &Router) -> bool {
        let ours = router.settings().priority.get();
        let first = self.first(now, router);
        first.is_some_and(|first| first.priority == ours && self.stands != Some(first.from))
    }

    /// Remembers the tied master when the group takes over. `decided`: another member decided.
    pub(super) fn accept_tie(&mut self, now: Instant, router: &Router, decided: bool) {
        let first = self.first(now, router).filter(|_| decided);
        self.accepted_tie = first.map(|first| first.from);
    }

    /// Marks a tied master that remained master, when the group steps down for it.
    pub(super) fn keep_rank(&mut self, sighting: &Sighting) {
        if self.accepted_tie == Some(sighting.from) {
            self.stands = self.accepted_tie;
        }
    }

    /// Returns the time at which the first of several masters falls silent and another one becomes
    /// the first.
    pub(super) fn changes_at(&self, now: Instant, router: &Router) -> Option<Instant> {
        let first = self.first(now, router)?;
        let is_other = |sighting: Sighting| sighting.from != first.from;
        let changes = self.heard(now, router).any(is_other);
        changes.then(|| first.at + router.wait_for(first.interval))
    }

    fn heard<'a>(
        &'a self,
        now: Instant,
        router: &'a Router,
    ) -> impl Iterator<Item = Sighting> + Clone + 'a {
        let heard = self.sightings.iter().copied();
        heard.filter(move |sighting| is_heard(now, sighting, router))
    }
}

fn precedence(sighting: &Sighting) -> (u8, IpAddr) {
    (sighting.priority, sighting.from)
}

fn is_heard(now: Instant, sighting: &Sighting, router: &Router) -> bool {
    now < sighting.at + router.wait_for(sighting.interval)
}

/// Compares a group of masters with the masters seen in its members, in the order of the members.
///
/// 1. The first member with different priorities decides.
/// 2. If the priorities are equal in all members, the greater address decides in the first member
///    with another master.
/// 3. A member without another master is skipped, after the wait for one. Before, the result is
///    open.
/// 4. A tie is open if a master of lower priority advertises in the same member, or if our member has no
///    address, in its grace.
pub(super) fn rank(legs: impl Iterator<Item = Leg>) -> Rank {
    let mut tie = None;
    for leg in legs {
        let Some(sighting) = leg.first else {
            if leg.has_waited {
                continue;
            }
            return Rank::Open;
        };
        match sighting.priority.cmp(&leg.ours) {
            Ordering::Less => return Rank::Before,
            Ordering::Greater => {
                let position = leg.position;
                return Rank::Behind { position, sighting };
            }
            // The lower one steps down because of this member, and the sighting in the next member
            // may be its.
            Ordering::Equal if leg.has_lower => return Rank::Open,
            Ordering::Equal => {
                tie.get_or_insert((leg, sighting));
            }
        }
    }
    let Some((Leg { position, own, .. }, sighting)) = tie else {
        return Rank::Before;
    };
    match own {
        None => Rank::Open,
        Some(own) if sighting.from > own => Rank::Behind { position, sighting },
        Some(_) => Rank::Before,
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::types::AdvertInterval;

    /// Compares the given members: `99<100` for 99 against our 100, `100=100+` for a tie with a
    /// greater address of the other master and `100=100-` with a lower one, `100=100&` for a tie
    /// beside a master of lower priority, `100=100!` for one without an own address, `.` for no other
    /// master after the wait, `?` before the end of the wait.
    fn ranked(members: &[&str]) -> String {
        let legs = members.iter().enumerate().map(|(position, text)| {
            let (theirs, ours) = text.split_once(['<', '=', '>']).unwrap_or(("", ""));
            let own: IpAddr = [192, 168, 224, 12].into();
            let from = if text.ends_with('+') { 13 } else { 11 };
            let first = theirs.parse().ok().map(|priority| Sighting {
                from: [192, 168, 224, from].into(),
                priority,
                interval: AdvertInterval::DEFAULT,
                at: Instant::ZERO,
            });
            Leg {
                position,
                ours: ours
                    .trim_end_matches(['+', '-', '&', '!'])
                    .parse()
                    .unwrap_or(100),
                own: (!text.ends_with('!')).then_some(own),
                first,
                has_lower: text.ends_with('&'),
                has_waited: *text == ".",
            }
        });
        match rank(legs) {
            Rank::Before => "before".to_owned(),
            Rank::Behind { position, sighting } => {
                format!("behind {} by {position}", sighting.priority)
            }
            Rank::Open => "open".to_owned(),
        }
    }

    #[test]
    fn rank_is_decided_by_the_first_differing_member() {
        for (members, rank) in [
            (&["99<100", "200>100"][..], "before"),
            (&["101>100", "1<100"], "behind 101 by 0"),
            (&["100=100+", "99<100"], "before"),
            (&["100=100-", "101>100"], "behind 101 by 1"),
            (&["100=100-", "100=100+", "50=50+", "3>2"], "behind 3 by 3"),
        ] {
            assert_eq!(ranked(members), rank, "{members:?}");
        }
    }

    #[test]
    fn rank_of_full_ties_is_decided_by_the_address() {
        for (members, rank) in [
            (&["100=100+", "100=100-"][..], "behind 100 by 0"),
            (&["100=100-", "100=100+"], "before"),
            (&[".", "100=100+", "100=100-"], "behind 100 by 1"),
            (&[".", "."], "before"),
        ] {
            assert_eq!(ranked(members), rank, "{members:?}");
        }
    }

    #[test]
    fn rank_is_open_until_the_wait_has_ended() {
        for (members, rank) in [
            (&["?", "101>100"][..], "open"),
            (&[".", "101>100"], "behind 101 by 1"),
            (&["101>100", "?"], "behind 101 by 0"),
            (&["100=100+", "?"], "open"),
            (&["100=100+", "."], "behind 100 by 0"),
        ] {
            assert_eq!(ranked(members), rank, "{members:?}");
        }
    }

    #[test]
    fn rank_of_a_tie_beside_lower_is_open() {
        assert_eq!(ranked(&["100=100&", "101>100"]), "open");
        assert_eq!(ranked(&["101>100&", "1<100"]), "behind 101 by 0");
        assert_eq!(ranked(&["99<100&", "101>100"]), "before");
    }

    #[test]
    fn rank_of_a_tie_is_open_without_an_own_address() {
        assert_eq!(ranked(&["100=100!", "100=100+"]), "open");
        assert_eq!(ranked(&["100=100!", "101>100"]), "behind 101 by 1");
    }

    /// Two hosts that see each other in the same members, with any priorities: exactly one has
    /// precedence.
    #[test]
    fn rank_is_antisymmetric_between_two_hosts() {
        let priorities = [1, 2, 3];
        let all = |members: u32| {
            let count = 3_usize.pow(members);
            (0..count).map(move |n| {
                (0..members).map(move |position| priorities[n / 3_usize.pow(position) % 3])
            })
        };
        for (heard, greater) in (0..8_u8).flat_map(|heard| (0..8_u8).map(move |g| (heard, g))) {
            for (a, b) in all(3).flat_map(|a| all(3).map(move |b| (a.clone(), b))) {
                let address = |host: u8, position: usize| {
                    let greater = greater >> position & 1 == host;
                    IpAddr::from([10, 0, 0, if greater { 2 } else { 1 }])
                };
                let seen_by = |host: u8| {
                    let (a, b) = (a.clone(), b.clone());
                    let legs = a.zip(b).enumerate().map(move |(position, (a, b))| {
                        let (ours, theirs) = if host == 0 { (a, b) } else { (b, a) };
                        let sighting = Sighting {
                            from: address(1 - host, position),
                            priority: theirs,
                            interval: AdvertInterval::DEFAULT,
                            at: Instant::ZERO + Duration::ZERO,
                        };
                        Leg {
                            position,
                            ours,
                            own: Some(address(host, position)),
                            first: (heard >> position & 1 == 1).then_some(sighting),
                            has_lower: false,
                            has_waited: true,
                        }
                    });
                    rank(legs)
                };
                let ranks = [seen_by(0), seen_by(1)];
                let behind = ranks.iter().filter(|rank| **rank != Rank::Before).count();
                assert_eq!(behind, usize::from(heard > 0), "{ranks:?}");
            }
        }
    }
}
