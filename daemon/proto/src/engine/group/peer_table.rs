//! What is heard of others in one family of a member, and who goes before whom by all of it.
//!
//! Hosts have different addresses in different networks, so that nobody knows which of those heard
//! in one member are those heard in another. What is known is who speaks loudest in each of them.

use core::cmp::Ordering;
use core::net::IpAddr;

use crate::router::{Router, Sighting};
use crate::time::Instant;

/// How many others are kept in mind at most.
const MOST: usize = 8;

/// What is heard of others in one family of a member.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct PeerTable {
    /// Who was heard, each with its last word; none that resigned.
    sightings: Vec<Sighting>,
    /// Who had the same priority when the group took over because another member decided.
    accepted_tie: Option<IpAddr>,
    /// Who did not make way then, and so is another host than the one of the member that decided:
    /// as long as it is heard no other member decides against it.
    stands: Option<IpAddr>,
}

/// One family of a member, as it is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    /// The member, by its place in the group.
    pub(super) position: usize,
    /// Our effective priority.
    pub(super) ours: u8,
    /// The address that we send from.
    pub(super) own: Option<IpAddr>,
    /// Who speaks there.
    pub(super) first: Option<Sighting>,
    /// Whether somebody of lower priority than ours speaks there.
    pub(super) hears_lower: bool,
    /// Whether one has waited there for a master since others are heard anywhere: whoever was not
    /// heard then is not there.
    pub(super) has_waited: bool,
}

/// How a group of masters stands to those that it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// It goes before them, or there is nobody.
    Before,
    /// They go before it because of what this one says in the member of that place.
    Behind { position: usize, sighting: Sighting },
    /// It is not known yet.
    Open,
}

impl PeerTable {
    /// Takes note of somebody who advertises or, with priority 0, resigns.
    pub(in crate::engine) fn record(&mut self, now: Instant, sighting: Sighting, router: &Router) {
        let before = self.heard(now, router).find(|v| v.from == sighting.from);
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

    /// Who of the highest precedence is heard: for as long as one waits for a master.
    pub(in crate::engine) fn first(&self, now: Instant, router: &Router) -> Option<Sighting> {
        self.heard(now, router).max_by_key(precedence)
    }

    /// Whether somebody is heard whose priority is lower than ours.
    pub(super) fn hears_lower(&self, now: Instant, router: &Router) -> bool {
        let ours = router.settings().priority.get();
        self.heard(now, router)
            .any(|sighting| sighting.priority < ours)
    }

    /// Whether the first one has our priority, and another member may decide against it.
    pub(super) fn is_tie(&self, now: Instant, router: &Router) -> bool {
        let ours = router.settings().priority.get();
        let first = self.first(now, router);
        first.is_some_and(|first| first.priority == ours && self.stands != Some(first.from))
    }

    /// The group takes over, because another member decided or not.
    pub(super) fn accept_tie(&mut self, now: Instant, router: &Router, decided: bool) {
        let first = self.first(now, router).filter(|_| decided);
        self.accepted_tie = first.map(|first| first.from);
    }

    /// The group makes way for somebody of the same priority.
    pub(super) fn keep_rank(&mut self, sighting: &Sighting) {
        if self.accepted_tie == Some(sighting.from) {
            self.stands = self.accepted_tie;
        }
    }

    /// When the first one of several is heard no longer, so that another one is the first.
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

/// Compares by the first member that is no tie. Where all are, the address decides in the first one
/// where somebody is heard.
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
            // Of several the lower ones yield by this member, and what is heard in the next one may
            // be theirs.
            Ordering::Equal if leg.hears_lower => return Rank::Open,
            Ordering::Equal => {
                tie.get_or_insert((leg, sighting));
            }
        }
    }
    match tie {
        Some((Leg { position, own, .. }, sighting)) if Some(sighting.from) > own => {
            Rank::Behind { position, sighting }
        }
        Some(_) | None => Rank::Before,
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::types::AdvertInterval;

    /// What is heard in each member: `99<100` for 99 where ours is 100, `100=100+` for a tie with
    /// the greater address of the other one and `100=100-` with the lesser, `100=100&` for a tie
    /// beside somebody lower, `.` where nobody is heard and one has waited, `?` where not yet.
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
                    .trim_end_matches(['+', '-', '&'])
                    .parse()
                    .unwrap_or(100),
                own: Some(own),
                first,
                hears_lower: text.ends_with('&'),
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
    fn the_first_member_that_is_no_tie_decides() {
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
    fn among_full_ties_the_address_decides_where_somebody_is_heard_first() {
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
    fn who_is_not_heard_in_an_earlier_member_is_waited_for_there() {
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
    fn beside_somebody_lower_a_tie_is_not_decided_by_what_may_be_said_by_that_one() {
        assert_eq!(ranked(&["100=100&", "101>100"]), "open");
        assert_eq!(ranked(&["101>100&", "1<100"]), "behind 101 by 0");
        assert_eq!(ranked(&["99<100&", "101>100"]), "before");
    }

    /// Two hosts that hear each other in the same members, whatever their priorities are: one goes
    /// before the other.
    #[test]
    fn of_two_one_goes_first() {
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
                            hears_lower: false,
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
