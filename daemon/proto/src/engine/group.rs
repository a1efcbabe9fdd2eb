//! Sync groups: several routers that change their state together.
//!
//! Each member receives advertisements in its own network, but no member changes state alone: an
//! event of one member is evaluated for the whole group, and all members change in the same turn.
//! The member of the event records its own cause; the cause of the other members names that member.
//!
//! Take-over by a group of backups:
//!
//! 1. In each family of each member the group waits for a master, as a single router does.
//! 2. The group takes over when all these waits have ended.
//! 3. If a master of lower priority advertises in one member, that member decides, and masters of
//!    the same priority in other members are not waited for. A master of higher priority still is.
//! 4. A master of the same priority that does not step down after such a take-over is another host
//!    than the one of lower priority. From then on the group waits for it as for one of higher
//!    priority.
//!
//! A group of masters compares itself with other masters by [`peer_table::rank`]. A take-over needs
//! more than remaining master does: a priority that is higher in one member and lower in none. So
//! of several hosts that do not receive each other in all networks, none takes over from another in
//! a circle.
//!
//! Example: both members have priority 100 on this host. Another host advertises 100 in the first
//! member and 99 in the second: the second member decides, and the group takes over. Against 100
//! and 100, or 101 and 99, it remains backup.

mod peer_table;

use std::sync::Arc;

use self::peer_table::{Leg, Rank, rank};
use super::{Engine, Instance, RouterId};
use crate::params::GroupParams;
use crate::reasons::{Cause, FaultReason};
use crate::router::{Reaction, Send, Sighting};
use crate::snapshot::GroupStatus;
use crate::time::Instant;
use crate::types::{Family, State};
use crate::wire::Advert;

pub(super) use self::peer_table::PeerTable;

/// Position of a group in [`Engine::groups`], valid until the next reload.
pub(super) type GroupId = usize;

/// A sync group in the engine.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Arc<str>,
    /// Members in the configured order; at least one.
    pub(super) members: Vec<RouterId>,
    /// As masters: the time since which another master is seen in any member, or of the take-over.
    met_at: Instant,
    /// As backups: the time of the wake-up that was requested last.
    asked: Instant,
}

impl Group {
    /// The times that a reload and a restart keep: `met_at` and `asked`.
    pub(super) const fn times(&self) -> (Instant, Instant) {
        (self.met_at, self.asked)
    }
}

impl Engine {
    /// Rebuilds the groups for the present instances.
    pub(super) fn index_groups(
        &mut self,
        now: Instant,
        groups: impl IntoIterator<Item = (Arc<str>, GroupParams)>,
    ) {
        let former = core::mem::take(&mut self.groups);
        for instance in &mut self.instances {
            instance.group = None;
        }
        for (name, params) in groups {
            let id_of = |member: &Arc<str>| {
                let found = self
                    .instances
                    .binary_search_by(|instance| instance.name.cmp(member));
                found.ok()
            };
            let members: Vec<RouterId> = params.members.iter().filter_map(id_of).collect();
            for id in &members {
                self.instances[*id].group = Some(self.groups.len());
            }
            let former = former.iter().find(|former| former.name == name);
            let left = || {
                let left = self.left.as_ref()?.groups.get(&name)?;
                Some((left.met_at, left.asked))
            };
            let former = former.map(Group::times).or_else(left);
            self.groups.push(Group {
                name,
                members,
                met_at: former.map_or(now, |(met_at, _)| met_at),
                asked: former.map_or(now, |(_, asked)| asked),
            });
        }
        // All fault reasons are known before a member reacts to that of another one.
        for id in 0..self.instances.len() {
            if self.instances[id].group.is_some() {
                let (_, fault_reason) = self.assess(id);
                let is_tolerated = self.tolerates(id, fault_reason.as_ref());
                self.instances[id].fault_reason = fault_reason.filter(|_| !is_tolerated);
            }
        }
    }

    /// Begins a reload: members that cannot keep their state leave it before anything new is
    /// announced.
    pub(super) fn gather(&mut self, now: Instant, group: GroupId) {
        let is_inhibited = |instance: &Instance| instance.fault_reason.is_some();
        if (0..self.size(group)).any(|position| is_inhibited(self.member(group, position))) {
            self.share_fault_reasons(now, group);
            return;
        }
        if self.state_to_join(group) == State::Master {
            return;
        }
        let cause = self.joined(group, State::Backup);
        for position in 0..self.size(group) {
            let id = self.groups[group].members[position];
            let reaction = self.instances[id].router.hand_over(now, cause.clone());
            self.react(now, id, reaction);
        }
    }

    /// Ends a reload: starts the members that do not run yet. In a group of masters such a member
    /// becomes master at once, because the group has already waited for other masters.
    pub(super) fn join(&mut self, now: Instant, group: GroupId) {
        self.share_fault_reasons(now, group);
        let state = self.state_to_join(group);
        let cause = self.joined(group, state);
        for position in 0..self.size(group) {
            let fault_reason = self.shared_fault(group, position);
            let id = self.groups[group].members[position];
            let instance = &mut self.instances[id];
            if instance.router.state() != State::Init {
                continue;
            }
            let reaction = match (fault_reason, state) {
                (None, State::Master) => instance.router.take_over(now, now, cause.clone()),
                (fault_reason, _) => {
                    let expect_master = instance.params.expect_master;
                    instance.router.start(now, fault_reason, expect_master)
                }
            };
            self.react(now, id, reaction);
            self.instances[id].prepare();
        }
        self.set_deadlines(now, group);
    }

    /// Returns the state in which new members start: master if all running members are master.
    fn state_to_join(&self, group: GroupId) -> State {
        let states = || {
            let members = (0..self.size(group)).map(|position| self.member(group, position));
            members.map(|instance| instance.router.state())
        };
        let is_whole = states().all(|state| matches!(state, State::Init | State::Master));
        match is_whole && states().any(|state| state == State::Master) {
            true => State::Master,
            false => State::Backup,
        }
    }

    fn joined(&self, group: GroupId, state: State) -> Cause {
        Cause::Joined {
            group: Arc::clone(&self.groups[group].name),
            state,
        }
    }

    /// Steps down the whole group if a member was suspended for longer than the backups wait.
    pub(super) fn wake_group(&mut self, now: Instant, group: GroupId) {
        let mut first: Option<Cause> = None;
        for position in 0..self.size(group) {
            let id = self.groups[group].members[position];
            let reaction = self.instances[id].router.wake(now);
            if let Some((_, cause)) = &reaction.change {
                first.get_or_insert_with(|| self.with(id, cause));
                self.react(now, id, reaction);
            }
        }
        let Some(cause) = first else { return };
        for position in 0..self.size(group) {
            let id = self.groups[group].members[position];
            let router = &mut self.instances[id].router;
            let reaction = router.step_down(now, Send::Resignation, None, cause.clone());
            self.react(now, id, reaction);
        }
        self.set_deadlines(now, group);
    }

    /// Handles an advertisement for a member that passed all checks. The caller carries out the
    /// returned reaction for that member.
    pub(super) fn record_in_group(
        &mut self,
        now: Instant,
        id: RouterId,
        group: GroupId,
        sighting: Sighting,
        advert: &Advert<'_>,
    ) -> Reaction {
        self.wake_group(now, group);
        if !self.has_sighting(now, group) {
            self.groups[group].met_at = now;
        }
        let family = Family::of(sighting.from);
        let instance = &mut self.instances[id];
        instance.peer_tables[family as usize].record(now, sighting, &instance.router);
        if instance.router.state() != State::Master {
            return instance.router.record(sighting.at, advert, sighting.from);
        }
        if let Rank::Behind { position, sighting } = self.rank(now, group)
            && !advert.resigns()
        {
            self.step_down(now, group, position, sighting);
            return Reaction::default();
        }
        if !advert.resigns() {
            self.correct_others(now, id, group);
        }
        self.instances[id]
            .router
            .remain_master(now, advert, sighting.from)
    }

    /// Announces the addresses of the members beside `id`, which has received from another master: that
    /// host moves its group together too, and what it sends in the other members may never arrive here (its
    /// signature is refused, one of the networks is cut).
    fn correct_others(&mut self, now: Instant, id: RouterId, group: GroupId) {
        for position in 0..self.size(group) {
            let member = self.groups[group].members[position];
            if member != id {
                let reaction = self.instances[member].router.correct_neighbours(now);
                self.react(now, member, reaction);
            }
        }
    }

    /// Handles the due deadline of a member.
    pub(super) fn tick_member(&mut self, now: Instant, id: RouterId, group: GroupId) {
        self.wake_group(now, group);
        if self.instances[id].router.state() == State::Master {
            let reaction = self.instances[id].router.handle_tick(now);
            self.react(now, id, reaction);
            return;
        }
        if self.over_at(now, group).is_some_and(|due| due <= now) {
            // As for a single router: a member in its grace may have missed advertisements.
            for position in 0..self.size(group) {
                self.cut_grace(now, self.groups[group].members[position]);
            }
        }
        if let Some(due) = self.over_at(now, group)
            && due <= now
            && !self.restart_timer(now, group, due)
        {
            self.take_over(now, group, due);
        }
        self.set_deadlines(now, group);
    }

    /// Sets or clears the fault reason of a router, and of the other members of its group.
    pub(super) fn inhibit(
        &mut self,
        now: Instant,
        id: RouterId,
        fault_reason: Option<FaultReason>,
    ) {
        let instance = &mut self.instances[id];
        instance.fault_reason.clone_from(&fault_reason);
        match instance.group {
            None => {
                let reaction = instance.router.set_fault_reason(now, fault_reason);
                self.react(now, id, reaction);
            }
            Some(group) => {
                self.share_fault_reasons(now, group);
                self.set_deadlines(now, group);
            }
        }
    }

    /// Returns the time at which a group of backups takes over without further advertisements, or
    /// `None` if a member is not backup.
    pub(super) fn over_at(&self, now: Instant, group: GroupId) -> Option<Instant> {
        let decided = self.is_decided(now, group);
        let mut at = Instant::ZERO;
        for position in 0..self.size(group) {
            let instance = self.member(group, position);
            if instance.router.state() != State::Backup {
                return None;
            }
            at = at.max(member_over_at(now, instance, decided));
        }
        Some(at)
    }

    /// Sets the deadlines of a group: for backups one deadline, which the first member holds; for a
    /// master its own.
    pub(super) fn set_deadlines(&mut self, now: Instant, group: GroupId) {
        // An advertisement can make another member decide, and so end a wait in the past. The
        // take-over is then due now, and not late.
        let asked = self.groups[group].asked.min(now);
        // Of several masters in one network, one that falls silent can change the decision: wake up
        // then too.
        let over_at = self.over_at(now, group);
        // `MAX`: the group never takes over.
        let over_at = over_at.filter(|at| *at < Instant::MAX).map(|over_at| {
            let over_at = over_at.max(asked);
            let members = (0..self.size(group)).map(|position| self.member(group, position));
            let changes = members.flat_map(|instance| {
                let peer_tables = instance
                    .families()
                    .map(|family| &instance.peer_tables[family as usize]);
                peer_tables.filter_map(|peer_table| peer_table.changes_at(now, &instance.router))
            });
            changes.fold(over_at, Instant::min)
        });
        if let Some(over_at) = over_at {
            self.groups[group].asked = over_at;
        }
        for position in 0..self.size(group) {
            let id = self.groups[group].members[position];
            let router = &self.instances[id].router;
            let at = match router.state() {
                State::Backup => over_at.filter(|_| position == 0),
                State::Init | State::Master | State::Fault => router.deadline().map(|(at, _)| at),
            };
            self.deadlines.set(id, at);
        }
    }

    /// Returns the status of a group.
    pub(super) fn group_status(&self, now: Instant, group: &Group) -> GroupStatus {
        let members = || group.members.iter().map(|id| &self.instances[*id]);
        // The member that changed its state for its own reason.
        let decided_by = members().find(|instance| instance.leads());
        let first = members().next();
        let (state, state_age) = decided_by.or(first).map_or((State::Init, 0.0), |instance| {
            (instance.router.state(), instance.state_age(now))
        });
        GroupStatus {
            name: Arc::clone(&group.name),
            state,
            state_age,
            members: members()
                .map(|instance| Arc::clone(&instance.name))
                .collect(),
            decided_by: decided_by.map(|instance| Arc::clone(&instance.name)),
            cause: decided_by
                .or(first)
                .map_or_else(|| "not started".into(), |instance| instance.cause(now)),
            notify: None,
        }
    }

    pub(super) fn size(&self, group: GroupId) -> usize {
        self.groups[group].members.len()
    }

    fn member(&self, group: GroupId, position: usize) -> &Instance {
        &self.instances[self.groups[group].members[position]]
    }

    pub(super) fn member_id(&self, group: GroupId, position: usize) -> RouterId {
        self.groups[group].members[position]
    }

    /// Whether a member of a group of masters still sees another master.
    pub(super) fn is_group_contested(&self, group: GroupId) -> bool {
        let mut members = (0..self.size(group)).map(|position| self.member(group, position));
        members.any(|instance| instance.router.is_contested())
    }

    /// Returns the cause for the other members when a member changes its state for `cause`.
    pub(super) fn with(&self, id: RouterId, cause: &Cause) -> Cause {
        Cause::With {
            member: Arc::clone(&self.instances[id].name),
            cause: Arc::new(cause.clone()),
        }
    }

    /// Returns the fault reason of a member: its own, or that of the first member that has one.
    fn shared_fault(&self, group: GroupId, position: usize) -> Option<FaultReason> {
        let own = self.member(group, position).fault_reason.clone();
        own.or_else(|| {
            let all = self.groups[group].members.iter();
            let mut inhibited = all.filter_map(|id| {
                let instance = &self.instances[*id];
                Some((instance, instance.fault_reason.clone()?))
            });
            let (instance, fault_reason) = inhibited.next()?;
            Some(FaultReason::Member {
                member: Arc::clone(&instance.name),
                fault_reason: Arc::new(fault_reason),
            })
        })
    }

    fn share_fault_reasons(&mut self, now: Instant, group: GroupId) {
        for position in 0..self.size(group) {
            let fault_reason = self.shared_fault(group, position);
            let id = self.groups[group].members[position];
            let reaction = self.instances[id]
                .router
                .set_fault_reason(now, fault_reason);
            self.react(now, id, reaction);
        }
    }

    fn has_sighting(&self, now: Instant, group: GroupId) -> bool {
        let mut members = (0..self.size(group)).map(|position| self.member(group, position));
        members.any(|instance| firsts(now, instance).next().is_some())
    }

    /// Whether a member with a master of lower priority decides the ties of the other members. All
    /// members have to preempt.
    fn is_decided(&self, now: Instant, group: GroupId) -> bool {
        let mut members = (0..self.size(group)).map(|position| self.member(group, position));
        members.clone().all(|instance| instance.router.preempts())
            && members.any(|instance| has_lower(now, instance))
    }

    /// Whether no advertisement of any member leaves this host.
    fn is_unsent(&self, group: GroupId) -> bool {
        // The members have this setting together.
        self.member(group, 0).router.settings().unsent
    }

    /// Compares a group of masters with the other masters seen in its members.
    fn rank(&self, now: Instant, group: GroupId) -> Rank {
        if self.is_unsent(group) {
            let mut firsts = (0..self.size(group)).filter_map(|position| {
                let sighting = firsts(now, self.member(group, position)).next()?;
                Some(Rank::Behind { position, sighting })
            });
            return firsts.next().unwrap_or(Rank::Before);
        }
        let since = now.since(self.groups[group].met_at);
        let legs = (0..self.size(group)).flat_map(|position| {
            let instance = self.member(group, position);
            let router = &instance.router;
            instance.families().map(move |family| {
                let peer_table = &instance.peer_tables[family as usize];
                Leg {
                    position,
                    ours: instance.priority().get(),
                    own: instance.source(family),
                    first: peer_table.first(now, router),
                    has_lower: peer_table.has_lower(now, router),
                    has_waited: since >= router.wait_for(instance.params.interval),
                }
            })
        });
        rank(legs)
    }

    /// Steps down the whole group because of the master of `sighting` in the member at position
    /// `leader`.
    fn step_down(&mut self, now: Instant, group: GroupId, leader: usize, sighting: Sighting) {
        let leading = self.groups[group].members[leader];
        let ours = self.instances[leading].priority().get();
        let cause = if sighting.priority > ours {
            Cause::HigherPriority {
                master: sighting.from,
                theirs: sighting.priority,
                ours,
            }
        } else if self.is_unsent(group) {
            Cause::Unsent {
                master: sighting.from,
                theirs: sighting.priority,
            }
        } else {
            Cause::HigherAddress {
                master: sighting.from,
                priority: ours,
            }
        };
        let others = self.with(leading, &cause);
        if sighting.priority == ours {
            self.instances[leading].peer_tables[Family::of(sighting.from) as usize]
                .keep_rank(&sighting);
        }
        for position in 0..self.size(group) {
            let id = self.groups[group].members[position];
            let (last, cause) = if position == leader {
                (Send::Advert, cause.clone())
            } else {
                // Whether the new master also receives advertisements in this network is unknown.
                (Send::FinalAdvertisement, others.clone())
            };
            let instance = &mut self.instances[id];
            let sightings = Family::ALL.map(|family| {
                let first = instance.peer_tables[family as usize].first(now, &instance.router);
                first.filter(|_| instance.params.speaks(family))
            });
            let sightings = sightings.into_iter().flatten();
            let reaction = instance.router.step_down(now, last, sightings, cause);
            self.react(now, id, reaction);
        }
        self.set_deadlines(now, group);
    }

    /// Restarts the master-down timers if the group woke so late that advertisements may be lost, or
    /// that the wire was not watched for long enough, and returns whether it did. Members that another
    /// member decides for are not waited for, and not restarted.
    fn restart_timer(&mut self, now: Instant, group: GroupId, due: Instant) -> bool {
        let late = now.since(due.max(self.groups[group].asked));
        let decided = self.is_decided(now, group);
        let mut is_late = false;
        for position in 0..self.size(group) {
            let id = self.groups[group].members[position];
            let instance = &self.instances[id];
            let interval = instance.router.awaited_interval();
            if interval.is_some_and(|interval| late > interval)
                && awaited(now, instance, decided).next().is_some()
            {
                is_late = true;
                let reaction = self.instances[id].router.restart_timer(now);
                self.react(now, id, reaction);
                continue;
            }
            let Instance {
                peer_tables,
                router,
                ..
            } = &mut self.instances[id];
            let ties = peer_tables
                .each_ref()
                .map(|table| decided && table.is_tie(now, router));
            let reaction = router.watch_longer(now, |family| !ties[family as usize]);
            if reaction.late {
                is_late = true;
                self.react(now, id, reaction);
            }
        }
        is_late
    }

    fn take_over(&mut self, now: Instant, group: GroupId, due: Instant) {
        let leader = self.leader(now, group, due);
        let leading = self.groups[group].members[leader];
        let decided = self.is_decided(now, group);
        let instance = &self.instances[leading];
        // A master of the same priority in the other family is not waited for, and not the cause.
        let family = lower_family(now, instance).filter(|_| decided);
        let Some(cause) = instance.router.reason(now, family) else {
            return;
        };
        let others = self.with(leading, &cause);
        self.groups[group].met_at = now;
        for position in 0..self.size(group) {
            let id = self.groups[group].members[position];
            let Instance {
                peer_tables,
                router,
                ..
            } = &mut self.instances[id];
            for peer_table in peer_tables {
                peer_table.accept_tie(now, router, decided);
            }
            let cause = if position == leader { &cause } else { &others };
            let reaction = self.instances[id].router.take_over(now, due, cause.clone());
            self.react(now, id, reaction);
        }
    }

    /// Returns the member that supplies the cause of the take-over: the one with a master of lower
    /// priority, if that decides, or else the one that waited longest. A host advertises in all its
    /// networks at nearly the same time, so waits that end within one interval count as equal. The
    /// first of them is returned, so that the result does not depend on the order of packets.
    fn leader(&self, now: Instant, group: GroupId, due: Instant) -> usize {
        let decided = self.is_decided(now, group);
        let is_waited_for = |position: &usize| {
            let instance = self.member(group, *position);
            if decided {
                return has_lower(now, instance);
            }
            let interval = instance.router.awaited_interval().unwrap_or_default();
            member_over_at(now, instance, decided) + interval > due
        };
        let has_heard = |position: &usize| self.member(group, *position).router.heard().is_some();
        let candidates = || (0..self.size(group)).filter(is_waited_for);
        // The cause names the former master, so a member that knows it is preferred.
        let heard = candidates().find(has_heard);
        heard.or_else(|| candidates().next()).unwrap_or_default()
    }
}

/// Returns the master of highest precedence in each family.
fn firsts(now: Instant, instance: &Instance) -> impl Iterator<Item = Sighting> + '_ {
    let peer_tables = instance
        .families()
        .map(|family| &instance.peer_tables[family as usize]);
    peer_tables.filter_map(move |peer_table| peer_table.first(now, &instance.router))
}

/// Returns the masters of [`firsts`] with a lower priority.
fn lower(now: Instant, instance: &Instance) -> impl Iterator<Item = Sighting> + '_ {
    let ours = instance.priority().get();
    firsts(now, instance).filter(move |sighting| sighting.priority < ours)
}

/// Returns the only family in which the master has a lower priority, or `None` if there are two.
fn lower_family(now: Instant, instance: &Instance) -> Option<Family> {
    let mut lower = lower(now, instance);
    let family = Family::of(lower.next()?.from);
    lower.next().is_none().then_some(family)
}

fn has_lower(now: Instant, instance: &Instance) -> bool {
    lower(now, instance).next().is_some()
}

/// Returns the end of a member's wait for a master.
fn member_over_at(now: Instant, instance: &Instance, decided: bool) -> Instant {
    awaited(now, instance, decided).fold(instance.router.held_until(), Instant::max)
}

/// Returns the end of the wait in each family of a member that counts. When another member decides,
/// a master of the same priority is not waited for.
fn awaited(now: Instant, instance: &Instance, decided: bool) -> impl Iterator<Item = Instant> + '_ {
    let counts = move |family: &Family| {
        !(decided && instance.peer_tables[*family as usize].is_tie(now, &instance.router))
    };
    let families = instance.families().filter(counts);
    families.filter_map(|family| instance.router.over_at(family))
}
