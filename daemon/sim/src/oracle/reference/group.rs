//! Expected behaviour of sync groups, written from the meaning of a common state and without code of
//! the engine.
//!
//! The RFCs define no groups. docs/sync-groups.md has the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vrrp_proto::{Cause, Family, FaultReason, Instant, State, Transition};

use super::{Expected, Phase, Watched};
use crate::foreign::skew;
use crate::invariants::{Invariant, Violation};
use crate::oracle::listening::Listening;
use crate::oracle::{Oracle, compare, transitions};
use crate::records::{Content, Datagram, Record};

/// Last advertisement of another router.
#[derive(Clone, Copy, Debug)]
pub(in crate::oracle) struct Sighting {
    pub(in crate::oracle) from: IpAddr,
    pub(in crate::oracle) priority: u8,
    interval: Duration,
    at: Instant,
}

/// Last advertisements of other routers, by family and address.
pub(in crate::oracle) type Sightings = BTreeMap<(Family, IpAddr), Sighting>;

/// Expected transitions of the members.
pub(in crate::oracle) type Moves = BTreeMap<String, Expected>;

impl Oracle {
    /// Group of a router.
    pub(in crate::oracle) fn group_of(&self, name: &str) -> Option<String> {
        let groups = &mut self.config.groups.iter();
        let found = groups.find(|(_, group)| group.members.iter().any(|member| member == name));
        found.map(|(group, _)| group.clone())
    }

    /// Members of a group, in order.
    pub(crate) fn members_of(&self, group: &str) -> Vec<String> {
        let group = self.config.groups.get(group);
        group.map_or_else(Vec::new, |group| group.members.clone())
    }

    /// Groups, by name.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &String> {
        self.config.groups.keys()
    }

    /// Checks that the members of each group are in the same state after a turn.
    pub(in crate::oracle) fn watch_groups(&self) -> Result<(), Violation> {
        for group in self.groups() {
            let members = self.members_of(group);
            let states: BTreeSet<State> = members
                .iter()
                .filter_map(|member| Some(self.routers.get(member)?.state()))
                .collect();
            if states.len() > 1 {
                let apart =
                    format!("{group}: members {members:?} are in different states: {states:?}");
                return Err(Invariant::Together.broken(apart));
            }
        }
        Ok(())
    }

    /// Checks the effect of a packet for one member on all members.
    pub(in crate::oracle) fn watch_packet_together(
        &mut self,
        now: Instant,
        arrived: Instant,
        name: &str,
        (packet, content): (&Datagram, &Content),
        own_source: Option<IpAddr>,
        record: &Record,
    ) -> Result<(), Violation> {
        let Some(group) = self.group_of(name) else {
            return Ok(());
        };
        let members = self.members_of(&group);
        let mut moves = self.oversleep_together(now, &members);
        if !members
            .iter()
            .any(|member| self.loudest(now, member).is_some())
        {
            self.met.insert(group.clone(), now);
        }
        let priority = self.priority(&self.routers[name].config);
        let goes_on = self.heard_in(now, name, packet.family()).any(|sighting| {
            sighting.from == packet.source && sighting.priority == content.priority
        });
        if let Some(router) = self.routers.get_mut(name) {
            let family = packet.family();
            if let Some(own) = own_source {
                router.sources.insert(family, own);
            }
            router.sight(arrived, packet, content, goes_on);
            if let Phase::Backup(listening) = &mut router.phase {
                listening.hear(&router.config, arrived, packet, content, priority, false);
            }
        }
        let is_master = self.routers[name].state() == State::Master;
        if is_master
            && content.priority > 0
            && let Some((leader, sighting)) = self.goes_before(now, &group, &members)
        {
            moves = self.make_way(now, &members, &leader, sighting);
        }
        if let Some(router) = self.routers.get_mut(name).filter(|_| moves.is_empty()) {
            router.meet_rival(now, packet, content, priority);
        }
        for member in &members {
            compare(member, moves.get(member), record, |_| true)?;
            // The other host moves its group together, and has announced the addresses of each member.
            let announces = moves.is_empty()
                && self
                    .routers
                    .get_mut(member)
                    .is_some_and(|router| router.announces_against(now, content));
            self.compare_announcement(member, announces, record)?;
        }
        let mut moved = transitions(record);
        match moved.find(|transition| !members.iter().any(|name| **name == *transition.router)) {
            Some(other) => Err(Invariant::Cause.broken(format!(
                "{} changed state after a packet for {name} and is not in {group}",
                other.router
            ))),
            None => Ok(()),
        }
    }

    /// Checks the effect of a deadline of a group.
    pub(in crate::oracle) fn watch_tick_together(
        &mut self,
        now: Instant,
        group: &str,
        record: &Record,
        by_verdict: &dyn Fn(&Transition) -> bool,
    ) -> Result<(), Violation> {
        let members = self.members_of(group);
        let mut moves = self.oversleep_together(now, &members);
        if let Some(due) = self.over_at(now, group)
            && due <= now
        {
            let late = now.since(self.asked_at(now, group, due));
            let decided = self.is_decided(now, &members);
            let mut is_late = false;
            for member in &members {
                let priority = self.priority(&self.routers[member].config);
                // A tie does not delay a member when another member decides the election.
                let counted = self.counted_in(now, member, decided);
                let Some(router) = self.routers.get_mut(member) else {
                    continue;
                };
                if let Phase::Backup(listening) = &mut router.phase
                    && late > listening.interval(&router.config, priority)
                    && !counted.is_empty()
                {
                    // The wake-up is so late that advertisements may have been lost.
                    listening.wait_anew(&router.config, now, priority);
                    is_late = true;
                } else if let Phase::Backup(listening) = &mut router.phase
                    && router.config.trust_wire
                {
                    let counts = |family| counted.contains(&family);
                    is_late |= listening.watch_longer(&router.config, now, priority, counts);
                }
            }
            if !is_late {
                moves = self.take_over(now, group, &members, due);
            }
        }
        for member in &members {
            compare(member, moves.get(member), record, |t| !by_verdict(t))?;
            let announces = match moves.get(member) {
                Some(expected) => expected.to == State::Master,
                None => self
                    .routers
                    .get_mut(member)
                    .is_some_and(|router| router.announces_by_time(now)),
            };
            if !transitions(record).any(|t| *t.router == **member && by_verdict(t)) {
                self.compare_announcement(member, announces, record)?;
            }
        }
        Ok(())
    }

    /// Records the wake-up time that each group of backups asks for.
    pub(in crate::oracle) fn note_asked(&mut self, now: Instant) {
        let groups = self.groups().cloned().collect::<Vec<_>>();
        for group in groups {
            let over_at = self.over_at(now, &group);
            if let Some(over_at) = over_at.filter(|at| *at < Instant::MAX) {
                let later = self.due_at(now, &group).filter(|at| *at > now);
                let asked = later.unwrap_or_else(|| self.asked_at(now, &group, over_at));
                self.asked.insert(group, asked);
            }
        }
    }

    /// Wake-up time that a group asked for, when its wait ended at `over_at`, in the past. The event
    /// that ended the wait may have occurred after that time.
    fn asked_at(&self, now: Instant, group: &str, over_at: Instant) -> Instant {
        let asked = self.asked.get(group).copied().unwrap_or(now);
        over_at.max(asked.min(now))
    }

    /// Time at which a group of backups takes over by its present knowledge: the end of the wait in all
    /// members.
    pub(in crate::oracle) fn over_at(&self, now: Instant, group: &str) -> Option<Instant> {
        let members = self.members_of(group);
        let decided = self.is_decided(now, &members);
        let each = members.iter();
        each.map(|member| self.over_at_in(now, member, decided))
            .try_fold(Instant::ZERO, |latest, at| Some(latest.max(at?)))
    }

    /// Time at which a group of backups takes over without a further advertisement. It can be earlier
    /// than [`Self::over_at`]: the silence of one router may let another member decide.
    pub(in crate::oracle) fn due_at(&self, now: Instant, group: &str) -> Option<Instant> {
        let at_present = self.over_at(now, group)?;
        let members = self.members_of(group);
        let silences = members.iter().flat_map(|member| {
            let router = &self.routers[member];
            let priority = self.priority(&router.config);
            let sightings = router.sightings.values();
            sightings.map(move |sighting| sighting.at + wait(router, priority, sighting.interval))
        });
        let later = silences.filter(|at| (now..at_present).contains(at));
        let due = later.filter_map(|at| Some(self.over_at(at, group)?.max(at)));
        Some(due.fold(at_present, Instant::min))
    }

    /// End of the wait of one member. A master of the same priority does not delay it when another
    /// member decides.
    fn over_at_in(&self, now: Instant, member: &str, decided: bool) -> Option<Instant> {
        let router = self.routers.get(member)?;
        matches!(router.phase, Phase::Backup(_)).then(|| {
            let awaited = self.awaited_in(now, member, decided);
            awaited.fold(router.held_until(), Instant::max)
        })
    }

    /// Ends of the wait in the families of a member that count.
    fn awaited_in<'w>(
        &'w self,
        now: Instant,
        member: &'w str,
        decided: bool,
    ) -> impl Iterator<Item = Instant> + 'w {
        let router = &self.routers[member];
        let priority = self.priority(&router.config);
        let counted = self.counted_in(now, member, decided).into_iter();
        counted.filter_map(move |family| {
            let Phase::Backup(listening) = &router.phase else {
                return None;
            };
            Some(listening.over_in(family, &router.config, priority))
        })
    }

    /// Families in which a member is waited for.
    fn counted_in(&self, now: Instant, member: &str, decided: bool) -> Vec<Family> {
        let router = &self.routers[member];
        let priority = self.priority(&router.config);
        let counts = |family: &Family| {
            let loudest = self.loudest_in(now, member, *family);
            let is_tie = loudest.is_some_and(|sighting| {
                sighting.priority == priority && router.stands.get(family) != Some(&sighting.from)
            });
            !(decided && is_tie)
        };
        router.config.spoken().filter(counts).collect()
    }

    /// Whether a member receives advertisements that the group may preempt.
    fn is_decided(&self, now: Instant, members: &[String]) -> bool {
        let preempts = |member: &String| {
            let router = &self.routers[member];
            router.config.preempt && !router.is_unsent
        };
        members.iter().all(preempts) && members.iter().any(|member| self.is_above(now, member))
    }

    /// Whether a member receives only lower priorities in one of its families.
    fn is_above(&self, now: Instant, member: &str) -> bool {
        self.lower_families(now, member).next().is_some()
    }

    /// Families in which a member receives only lower priorities.
    fn lower_families<'o>(
        &'o self,
        now: Instant,
        member: &'o str,
    ) -> impl Iterator<Item = Family> + 'o {
        let config = &self.routers[member].config;
        let priority = self.priority(config);
        config.spoken().filter(move |family| {
            let loudest = self.loudest_in(now, member, *family);
            loudest.is_some_and(|sighting| sighting.priority < priority)
        })
    }

    fn take_over(&mut self, now: Instant, group: &str, members: &[String], due: Instant) -> Moves {
        let decided = self.is_decided(now, members);
        let listening = |member: &str| {
            let router = &self.routers[member];
            let Phase::Backup(listening) = &router.phase else {
                unreachable!("all members are backups");
            };
            (listening, &router.config, self.priority(&router.config))
        };
        let waited_for: Vec<&String> = members
            .iter()
            .filter(|member| {
                if decided {
                    return self.is_above(now, member);
                }
                let (listening, config, priority) = listening(member);
                let over = self.over_at_in(now, member, false);
                over.is_some_and(|over| over + listening.interval(config, priority) > due)
            })
            .collect();
        let has_heard = |member: &&&String| {
            let (listening, config, priority) = listening(member);
            listening.has_heard(config, priority)
        };
        let leader = waited_for.iter().find(has_heard);
        let leader = leader.or(waited_for.first()).map(|name| (*name).clone());
        let Some(leader) = leader else {
            unreachable!("the member with the latest wait is awaited");
        };
        let cause = {
            let (listening, config, priority) = listening(&leader);
            let lower: Vec<Family> = self.lower_families(now, &leader).collect();
            let family = match lower[..] {
                [family] if decided => Some(family),
                _ => None,
            };
            listening.cause(config, now, priority, family)
        };
        self.met.insert(group.to_owned(), now);
        let expected = moves(members, &leader, State::Master, &cause);
        for member in members {
            let loudest: BTreeMap<Family, IpAddr> = Family::ALL
                .into_iter()
                // Only a takeover because of a lower priority elsewhere passes over masters of the same
                // priority.
                .filter(|_| decided)
                .filter_map(|family| Some((family, self.loudest_in(now, member, family)?.from)))
                .collect();
            if let Some(router) = self.routers.get_mut(member) {
                router.passed_over = loudest;
            }
            if let Some(router) = self.routers.get_mut(member) {
                router.phase = router.master(now, &cause);
                router.losing = None;
            }
        }
        expected
    }

    /// Handles a late wake-up: a master that was not scheduled for longer than the other routers wait
    /// becomes backup, and all members with it.
    fn oversleep_together(&mut self, now: Instant, members: &[String]) -> Moves {
        let mut all = Moves::new();
        let mut first: Option<(String, Cause)> = None;
        for member in members {
            let priority = self.priority(&self.routers[member].config);
            let router = self.routers.get_mut(member);
            if let Some(expected) = router.and_then(|router| router.oversleep(now, priority)) {
                first.get_or_insert_with(|| (member.clone(), expected.cause.clone()));
                all.insert(member.clone(), expected);
            }
        }
        let Some((leader, cause)) = first else {
            return all;
        };
        for member in members {
            let priority = self.priority(&self.routers[member].config);
            if let Some(router) = self.routers.get_mut(member)
                && router.state() == State::Master
            {
                router.phase = router.listen_to_all(now, priority);
                all.insert(member.clone(), follows(&leader, State::Backup, &cause));
            }
        }
        all
    }

    fn make_way(
        &mut self,
        now: Instant,
        members: &[String],
        leader: &str,
        sighting: Sighting,
    ) -> Moves {
        let ours = self.priority(&self.routers[leader].config);
        let master = sighting.from;
        let cause = if sighting.priority > ours {
            Cause::HigherPriority {
                master,
                theirs: sighting.priority,
                ours,
            }
        } else if self.routers[leader].is_unsent {
            let theirs = sighting.priority;
            Cause::Unsent { master, theirs }
        } else {
            Cause::HigherAddress {
                master,
                priority: ours,
            }
        };
        if let Some(router) = self.routers.get_mut(leader) {
            let family = Family::of(master);
            if sighting.priority == ours && router.passed_over.get(&family) == Some(&master) {
                router.stands.insert(family, master);
            }
        }
        for member in members {
            let config = self.routers[member].config.clone();
            let priority = self.priority(&config);
            let mut listening = Listening::begin(&config, now, priority, 3);
            for family in config.spoken() {
                if let Some(Sighting {
                    from,
                    priority: theirs,
                    interval,
                    at,
                }) = self.loudest_in(now, member, family)
                {
                    listening.obey(&config, (family, from), theirs, interval, at, priority);
                }
            }
            if let Some(router) = self.routers.get_mut(member) {
                router.phase = Phase::Backup(listening.unsent(router.is_unsent));
            }
        }
        moves(members, leader, State::Backup, &cause)
    }

    /// Returns the sighting that a group of masters yields to, and its member, if the decision can be
    /// made.
    fn goes_before(
        &self,
        now: Instant,
        group: &str,
        members: &[String],
    ) -> Option<(String, Sighting)> {
        if members.iter().any(|member| self.routers[member].is_unsent) {
            let mut heard = members.iter().filter_map(|member| {
                let mut families = self.routers[member].config.spoken();
                let loudest = families.find_map(|family| self.loudest_in(now, member, family))?;
                Some((member.clone(), loudest))
            });
            return heard.next();
        }
        let met = self.met.get(group).copied().unwrap_or(Instant::ZERO);
        let mut tie = None;
        for member in members {
            let router = &self.routers[member];
            let config = &router.config;
            let priority = self.priority(config);
            for family in config.spoken() {
                let Some(sighting) = self.loudest_in(now, member, family) else {
                    // The rival may exist in this member too: wait as long as for a master before a
                    // later member decides.
                    if now.since(met) < wait(router, priority, config.interval()) {
                        return None;
                    }
                    continue;
                };
                if sighting.priority > priority {
                    return Some((member.clone(), sighting));
                }
                let mut heard = self.heard_in(now, member, family);
                // A lower priority beside a tie: a third group is involved, and this group does not
                // yield.
                if heard.any(|sighting| sighting.priority < priority) {
                    return None;
                }
                // The greater address counts in the first member only.
                if tie.is_none() {
                    let is_greater = Some(sighting.from) > router.source(family);
                    tie = Some((is_greater, member.clone(), sighting));
                }
            }
        }
        let (is_greater, member, sighting) = tie?;
        is_greater.then_some((member, sighting))
    }

    fn loudest(&self, now: Instant, member: &str) -> Option<Sighting> {
        let mut families = self.routers[member].config.spoken();
        families.find_map(|family| self.loudest_in(now, member, family))
    }

    fn loudest_in(&self, now: Instant, member: &str, family: Family) -> Option<Sighting> {
        let heard = self.heard_in(now, member, family);
        heard.max_by_key(|sighting| (sighting.priority, sighting.from))
    }

    /// Last advertisements in a family of a member that are not older than the master-down interval.
    pub(in crate::oracle) fn heard_in(
        &self,
        now: Instant,
        member: &str,
        family: Family,
    ) -> impl Iterator<Item = Sighting> + '_ {
        let router = &self.routers[member];
        let priority = self.priority(&router.config);
        let sightings = router.sightings.iter();
        sightings
            .filter(move |((of, _), sighting)| *of == family && sighting.priority > 0)
            .map(|(_, sighting)| *sighting)
            .filter(move |sighting| now < sighting.at + wait(router, priority, sighting.interval))
    }

    /// Whether a master of the same priority is tolerated in any of these members.
    pub(crate) fn lets_stand(&self, members: &[String]) -> bool {
        let mut members = members.iter();
        members.any(|member| !self.routers[member].stands.is_empty())
    }

    /// Whether the fault reason of another member is true.
    pub(in crate::oracle) fn is_true_of(
        &self,
        name: &str,
        member: &str,
        fault_reason: &FaultReason,
    ) -> bool {
        let group = self.group_of(name);
        if member == name || group.is_none() || self.group_of(member) != group {
            return false;
        }
        let config = &self.routers[member].config;
        match fault_reason {
            FaultReason::TrackerDown(tracker) => {
                self.faults(config).any(|fault| *fault == **tracker)
            }
            FaultReason::DropFilterError(_) => self.drop_filter_failed && !config.accepts(),
            // The simulation has neither value trackers nor resources in these worlds.
            FaultReason::TrackerValue { .. }
            | FaultReason::Resource(_)
            | FaultReason::Member { .. } => false,
            FaultReason::InterfaceDown(_) | FaultReason::NoCarrier(_) => config.track_interface,
            FaultReason::InterfaceMissing(_)
            | FaultReason::AlternativeName { .. }
            | FaultReason::NoAddress(_)
            | FaultReason::NoLinkLocal(_)
            | FaultReason::NoSource(_)
            | FaultReason::OnlyVirtual { .. }
            | FaultReason::Port { .. }
            | FaultReason::CannotReceive { .. }
            | FaultReason::AddressesRejected { .. }
            | FaultReason::NotEthernet(_) => true,
        }
    }

    /// Whether the transition that caused this one occurred in the same record, for the same reason.
    pub(in crate::oracle) fn moved_with(record: &Record, member: &str, cause: &Cause) -> bool {
        transitions(record).any(|other| *other.router == *member && other.cause == *cause)
    }
}

impl Watched {
    /// Records the advertisement of another router. `goes_on`: with the priority of its last one.
    pub(in crate::oracle) fn sight(
        &mut self,
        arrived: Instant,
        packet: &Datagram,
        content: &Content,
        goes_on: bool,
    ) {
        let family = packet.family();
        if !goes_on && self.stands.get(&family) == Some(&packet.source) {
            self.stands.remove(&family);
        }
        let sighting = Sighting {
            from: packet.source,
            priority: content.priority,
            interval: content.interval,
            at: arrived,
        };
        self.sightings.insert((family, packet.source), sighting);
    }
}

/// Master-down interval of a member for a master with this interval.
fn wait(router: &Watched, priority: u8, interval: Duration) -> Duration {
    3 * interval + skew(router.config.version, priority, interval)
}

pub(in crate::oracle) fn moves(
    members: &[String],
    leader: &str,
    to: State,
    cause: &Cause,
) -> Moves {
    let each = members.iter().map(|member| {
        let expected = match member == leader {
            true => Expected {
                to,
                cause: cause.clone(),
            },
            false => follows(leader, to, cause),
        };
        (member.clone(), expected)
    });
    each.collect()
}

fn follows(leader: &str, to: State, cause: &Cause) -> Expected {
    let cause = Cause::With {
        member: leader.into(),
        cause: Arc::new(cause.clone()),
    };
    Expected { to, cause }
}
