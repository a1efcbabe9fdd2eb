//! What a sync group does, a second time: written from what it means that routers move together, and
//! not from the engine.
//!
//! The RFCs know no groups; what was agreed on stands in docs/simulation.md.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vrrp_proto::{Cause, Family, FaultReason, Instant, State, Transition};

use super::listening::Listening;
use super::reference::{Expected, Phase, Watched};
use super::{Oracle, compare, transitions};
use crate::foreign::skew;
use crate::host::{Datagram, Record, Says};
use crate::invariants::{Invariant, Violation};

/// The last word of another router.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) from: IpAddr,
    pub(super) priority: u8,
    interval: Duration,
    at: Instant,
}

/// Who was heard in each family of a member.
pub(super) type Sightings = BTreeMap<(Family, IpAddr), Sighting>;

/// What has to happen to each member.
type Moves = BTreeMap<String, Expected>;

impl Oracle {
    /// The group that a router is in.
    pub(super) fn group_of(&self, name: &str) -> Option<String> {
        let groups = &mut self.config.groups.iter();
        let found = groups.find(|(_, group)| group.members.iter().any(|member| member == name));
        found.map(|(group, _)| group.clone())
    }

    /// The members of a group in their order.
    pub(crate) fn members_of(&self, group: &str) -> Vec<String> {
        let group = self.config.groups.get(group);
        group.map_or_else(Vec::new, |group| group.members.clone())
    }

    /// The groups, by name.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &String> {
        self.config.groups.keys()
    }

    /// After a turn the members of a group are in one state.
    pub(super) fn watch_groups(&self) -> Result<(), Violation> {
        for group in self.groups() {
            let members = self.members_of(group);
            let states: BTreeSet<State> = members
                .iter()
                .filter_map(|member| Some(self.routers.get(member)?.state()))
                .collect();
            if states.len() > 1 {
                let apart = format!("{group}: its members {members:?} are {states:?}");
                return Err(Invariant::Together.broken(apart));
            }
        }
        Ok(())
    }

    /// What a packet for a member leads to in all of them is foretold.
    pub(super) fn watch_packet_together(
        &mut self,
        now: Instant,
        arrived: Instant,
        name: &str,
        (packet, says): (&Datagram, &Says),
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
        let goes_on = self
            .heard_in(now, name, packet.family())
            .any(|sighting| sighting.from == packet.source && sighting.priority == says.priority);
        if let Some(router) = self.routers.get_mut(name) {
            let family = packet.family();
            if !goes_on && router.stands.get(&family) == Some(&packet.source) {
                router.stands.remove(&family);
            }
            if let Some(own) = own_source {
                router.sources.insert(family, own);
            }
            let sighting = Sighting {
                from: packet.source,
                priority: says.priority,
                interval: says.interval,
                at: arrived,
            };
            router.sightings.insert((family, packet.source), sighting);
            if let Phase::Backup(listening) = &mut router.phase {
                listening.hear(&router.config, arrived, packet, says, priority, false);
            }
        }
        let is_master = self.routers[name].state() == State::Master;
        if is_master
            && says.priority > 0
            && let Some((leader, sighting)) = self.goes_before(now, &group, &members)
        {
            moves = self.make_way(now, &members, &leader, sighting);
        }
        for member in &members {
            compare(member, moves.get(member), record, |_| true)?;
            let announces = member == name
                && moves.is_empty()
                && self
                    .routers
                    .get_mut(name)
                    .is_some_and(|router| router.announces_against(now, says));
            self.compare_announcement(member, announces, record)?;
        }
        let mut moved = transitions(record);
        match moved.find(|transition| !members.iter().any(|name| **name == *transition.router)) {
            Some(other) => Err(Invariant::Cause.broken(format!(
                "{} moved by a packet of {name}, and is not in {group}",
                other.router
            ))),
            None => Ok(()),
        }
    }

    /// What is due in a group is foretold.
    pub(super) fn watch_tick_together(
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
                // A member that others decide is not waited for.
                let is_awaited = self.awaited_in(now, member, decided).next().is_some();
                let Some(router) = self.routers.get_mut(member) else {
                    continue;
                };
                if let Phase::Backup(listening) = &mut router.phase
                    && late > listening.interval(&router.config, priority)
                    && is_awaited
                {
                    // It has slept through advertisements as well.
                    listening.wait_anew(&router.config, now, priority);
                    is_late = true;
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

    /// Notes the time at which each group of backups asks to be woken.
    pub(super) fn note_asked(&mut self, now: Instant) {
        let groups = self.groups().cloned().collect::<Vec<_>>();
        for group in groups {
            if let Some(over_at) = self.over_at(now, &group) {
                let later = self.due_at(now, &group).filter(|at| *at > now);
                let asked = later.unwrap_or_else(|| self.asked_at(now, &group, over_at));
                self.asked.insert(group, asked);
            }
        }
    }

    /// The time at which a group asked to be woken, for a wait that was over at `over_at`, in the past.
    /// The event that ended the wait may have happened later than that.
    fn asked_at(&self, now: Instant, group: &str, over_at: Instant) -> Instant {
        let asked = self.asked.get(group).copied().unwrap_or(now);
        over_at.max(asked.min(now))
    }

    /// When a group of backups takes over unless somebody is heard: when nobody stands in its way
    /// anywhere.
    pub(super) fn over_at(&self, now: Instant, group: &str) -> Option<Instant> {
        let members = self.members_of(group);
        let decided = self.is_decided(now, &members);
        let each = members.iter();
        each.map(|member| self.over_at_in(now, member, decided))
            .try_fold(Instant::ZERO, |latest, at| Some(latest.max(at?)))
    }

    /// When a group of backups takes over if nothing more is heard: whoever falls silent first may have
    /// kept another one from deciding.
    pub(super) fn due_at(&self, now: Instant, group: &str) -> Option<Instant> {
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

    /// When nobody stands in the way of one member. Where another member decides, somebody of the
    /// same priority does not.
    fn over_at_in(&self, now: Instant, member: &str, decided: bool) -> Option<Instant> {
        let router = self.routers.get(member)?;
        matches!(router.phase, Phase::Backup(_)).then(|| {
            let awaited = self.awaited_in(now, member, decided);
            awaited.fold(router.quiet_until, Instant::max)
        })
    }

    /// The end of the wait in each family of a member that counts.
    fn awaited_in<'w>(
        &'w self,
        now: Instant,
        member: &'w str,
        decided: bool,
    ) -> impl Iterator<Item = Instant> + 'w {
        let router = &self.routers[member];
        let priority = self.priority(&router.config);
        router.config.spoken().filter_map(move |family| {
            let Phase::Backup(listening) = &router.phase else {
                return None;
            };
            let loudest = self.loudest_in(now, member, family);
            let is_tie = loudest.is_some_and(|sighting| {
                sighting.priority == priority && router.stands.get(&family) != Some(&sighting.from)
            });
            let counts = !(decided && is_tie);
            counts.then(|| listening.over_in(family, &router.config, priority))
        })
    }

    /// Whether somebody is heard somewhere whom the group may preempt.
    fn is_decided(&self, now: Instant, members: &[String]) -> bool {
        let preempts = |member: &String| self.routers[member].config.preempt;
        members.iter().all(preempts) && members.iter().any(|member| self.is_above(now, member))
    }

    /// Whether in a family of a member all who are heard are of lower priority.
    fn is_above(&self, now: Instant, member: &str) -> bool {
        let config = &self.routers[member].config;
        let priority = self.priority(config);
        let mut loudest = config
            .spoken()
            .filter_map(|family| self.loudest_in(now, member, family));
        loudest.any(|sighting| sighting.priority < priority)
    }

    fn take_over(&mut self, now: Instant, group: &str, members: &[String], due: Instant) -> Moves {
        let decided = self.is_decided(now, members);
        let listening = |member: &str| {
            let router = &self.routers[member];
            let Phase::Backup(listening) = &router.phase else {
                unreachable!("all are backups");
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
            unreachable!("the last one is waited for");
        };
        let cause = {
            let (listening, config, priority) = listening(&leader);
            listening.cause(config, now, priority)
        };
        self.met.insert(group.to_owned(), now);
        let expected = moves(members, &leader, State::Master, &cause);
        for member in members {
            let loudest: BTreeMap<Family, IpAddr> = Family::ALL
                .into_iter()
                .filter(|_| decided)
                .filter_map(|family| Some((family, self.loudest_in(now, member, family)?.from)))
                .collect();
            if let Some(router) = self.routers.get_mut(member) {
                router.passed_over = loudest;
            }
            if let Some(router) = self.routers.get_mut(member) {
                router.phase = router.master(now);
                router.losing = None;
            }
        }
        expected
    }

    /// Whoever slept for longer than others wait listens first, and the others with it.
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
                router.phase = Phase::Backup(listening);
            }
        }
        moves(members, leader, State::Backup, &cause)
    }

    /// Who goes before a group of masters, and in which member, if it is known.
    fn goes_before(
        &self,
        now: Instant,
        group: &str,
        members: &[String],
    ) -> Option<(String, Sighting)> {
        let met = self.met.get(group).copied().unwrap_or(Instant::ZERO);
        let mut tie = None;
        for member in members {
            let router = &self.routers[member];
            let config = &router.config;
            let priority = self.priority(config);
            for family in config.spoken() {
                let Some(sighting) = self.loudest_in(now, member, family) else {
                    if now.since(met) < wait(router, priority, config.interval()) {
                        return None;
                    }
                    continue;
                };
                if sighting.priority > priority {
                    return Some((member.clone(), sighting));
                }
                let mut heard = self.heard_in(now, member, family);
                if heard.any(|sighting| sighting.priority < priority) {
                    return None;
                }
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

    /// Who is heard in a family of a member, for as long as one waits for a master.
    fn heard_in(
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

    /// Whether somebody of the same priority is left in peace in any of these members.
    pub(crate) fn lets_stand(&self, members: &[String]) -> bool {
        let mut members = members.iter();
        members.any(|member| !self.routers[member].stands.is_empty())
    }

    /// Whether what another member cannot do is true of it.
    pub(super) fn is_true_of(&self, name: &str, member: &str, fault_reason: &FaultReason) -> bool {
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
            // Nobody here has a tracker that says a number, or resources that hinder a router.
            FaultReason::TrackerValue { .. }
            | FaultReason::Resource(_)
            | FaultReason::Member { .. } => false,
            FaultReason::InterfaceMissing(_)
            | FaultReason::InterfaceDown(_)
            | FaultReason::NoCarrier(_)
            | FaultReason::NoAddress(_)
            | FaultReason::NoLinkLocal(_)
            | FaultReason::NoSource(_)
            | FaultReason::OnlyVirtual { .. }
            | FaultReason::Port { .. }
            | FaultReason::NotEthernet(_) => true,
        }
    }

    /// Whether a router moved with another one for the reason that it says.
    pub(super) fn moved_with(record: &Record, member: &str, cause: &Cause) -> bool {
        transitions(record).any(|other| *other.router == *member && other.cause == *cause)
    }
}

/// For how long one waits in a member for a master with this interval.
fn wait(router: &Watched, priority: u8, interval: Duration) -> Duration {
    3 * interval + skew(router.config.version, priority, interval)
}

fn moves(members: &[String], leader: &str, to: State, cause: &Cause) -> Moves {
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
