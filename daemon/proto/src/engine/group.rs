//! Sync groups: one machine of several routers, as an instance of both families is one of two.
//!
//! Each member listens in its own network, and none acts for itself: what happens to one is looked
//! at for all of them, and all move in the same turn. The one that it happened to has its own cause,
//! and that of the others names it.
//!
//! A group of backups takes over when nobody stands in its way in any member. A master of the same
//! priority does not when one of lower priority is heard in another member: then that one decides.
//! (Where the one does not make way then, they were two hosts, and it is left in peace.)
//! Two groups of masters compare by [`ear::rank`]. To take over is harder than to stay: it takes a
//! priority that is higher somewhere and lower nowhere, so that of several hosts that do not hear
//! each other everywhere none takes over from another in a circle.

mod ear;

use std::sync::Arc;

use self::ear::{Leg, Rank, rank};
use super::{Engine, RouterId, Slot};
use crate::border::{Cause, Obstacle, State};
use crate::params::GroupParams;
use crate::router::{Reaction, Send, Voice};
use crate::snapshot::GroupStatus;
use crate::time::Instant;
use crate::types::Family;
use crate::wire::Advert;

pub(super) use self::ear::Ear;

/// Where a group stands in [`Engine::groups`], until the next reload.
pub(super) type GroupId = usize;

/// A sync group in the engine.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: Arc<str>,
    /// Its members in their order; one at least.
    pub(super) members: Vec<RouterId>,
    /// As masters: since when others are heard beside it, or it is master.
    met_at: Instant,
    /// As backups: the time at which the group asked last to be woken.
    asked: Instant,
}

impl Engine {
    /// Makes the groups anew for the present slots.
    pub(super) fn index_groups(
        &mut self,
        now: Instant,
        groups: impl IntoIterator<Item = (Arc<str>, GroupParams)>,
    ) {
        let former = core::mem::take(&mut self.groups);
        for slot in &mut self.slots {
            slot.group = None;
        }
        for (name, params) in groups {
            let id_of = |member: &Arc<str>| {
                let found = self.slots.binary_search_by(|slot| slot.name.cmp(member));
                found.ok()
            };
            let members: Vec<RouterId> = params.members.iter().filter_map(id_of).collect();
            for id in &members {
                self.slots[*id].group = Some(self.groups.len());
            }
            let former = former.iter().find(|former| former.name == name);
            self.groups.push(Group {
                name,
                members,
                met_at: former.map_or(now, |former| former.met_at),
                asked: former.map_or(now, |former| former.asked),
            });
        }
        // Before any of them goes by what keeps another one from serving.
        for id in 0..self.slots.len() {
            if self.slots[id].group.is_some() {
                let (_, obstacle) = self.assess(id);
                let is_tolerated = self.tolerates(id, obstacle.as_ref());
                self.slots[id].obstacle = obstacle.filter(|_| !is_tolerated);
            }
        }
    }

    /// Begins a reload: members that cannot go on as they are stop doing so, before anything new is
    /// announced.
    pub(super) fn gather(&mut self, now: Instant, group: GroupId) {
        let is_hindered = |slot: &Slot| slot.obstacle.is_some();
        if (0..self.size(group)).any(|place| is_hindered(self.member(group, place))) {
            self.share_obstacles(now, group);
            return;
        }
        if self.state_to_join(group) == State::Master {
            return;
        }
        let cause = self.joined(group, State::Backup);
        for place in 0..self.size(group) {
            let id = self.groups[group].members[place];
            let router = &mut self.slots[id].router;
            let reaction = router.make_way(now, Send::Resignation, None, cause.clone());
            self.react(now, id, reaction);
        }
    }

    /// Ends a reload: starts the members that do not run yet. Who joins a group of masters is master
    /// with it, because the group has listened.
    pub(super) fn join(&mut self, now: Instant, group: GroupId) {
        self.share_obstacles(now, group);
        let state = self.state_to_join(group);
        let cause = self.joined(group, state);
        for place in 0..self.size(group) {
            let obstacle = self.shared_obstacle(group, place);
            let id = self.groups[group].members[place];
            let slot = &mut self.slots[id];
            if slot.router.state() != State::Init {
                continue;
            }
            let reaction = match (obstacle, state) {
                (None, State::Master) => slot.router.take_over(now, now, cause.clone()),
                (obstacle, _) => {
                    let expect_master = slot.params.expect_master;
                    slot.router.start(now, obstacle, expect_master)
                }
            };
            self.react(now, id, reaction);
            self.slots[id].prepare();
        }
        self.reckon(now, group);
    }

    /// The state in which members begin that do not run yet: master if all others are.
    fn state_to_join(&self, group: GroupId) -> State {
        let states = || {
            let members = (0..self.size(group)).map(|place| self.member(group, place));
            members.map(|slot| slot.router.state())
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

    /// Members that overslept are no masters any more, and neither are the others then.
    pub(super) fn wake_group(&mut self, now: Instant, group: GroupId) {
        let mut first: Option<Cause> = None;
        for place in 0..self.size(group) {
            let id = self.groups[group].members[place];
            let reaction = self.slots[id].router.wake(now);
            if let Some((_, cause)) = &reaction.change {
                first.get_or_insert_with(|| self.with(id, cause));
                self.react(now, id, reaction);
            }
        }
        let Some(cause) = first else { return };
        for place in 0..self.size(group) {
            let id = self.groups[group].members[place];
            let router = &mut self.slots[id].router;
            let reaction = router.make_way(now, Send::Resignation, None, cause.clone());
            self.react(now, id, reaction);
        }
        self.reckon(now, group);
    }

    /// Handles an advertisement for a member that passed all checks. What is returned is left to be
    /// done for that member.
    pub(super) fn hear_in_group(
        &mut self,
        now: Instant,
        id: RouterId,
        group: GroupId,
        voice: Voice,
        advert: &Advert<'_>,
    ) -> Reaction {
        self.wake_group(now, group);
        if !self.hears_anybody(now, group) {
            self.groups[group].met_at = now;
        }
        let family = Family::of(voice.from);
        let slot = &mut self.slots[id];
        slot.ears[family as usize].hear(now, voice, &slot.router);
        if slot.router.state() != State::Master {
            return slot.router.note(voice.at, advert, voice.from);
        }
        if let Rank::Behind { place, voice } = self.rank(now, group)
            && !advert.resigns()
        {
            self.make_way(now, group, place, voice);
            return Reaction::default();
        }
        self.slots[id].router.stay(now, advert, voice.from)
    }

    /// Does what is due in a member.
    pub(super) fn tick_member(&mut self, now: Instant, id: RouterId, group: GroupId) {
        self.wake_group(now, group);
        if self.slots[id].router.state() == State::Master {
            let reaction = self.slots[id].router.handle_tick(now);
            self.react(now, id, reaction);
            return;
        }
        if self.over_at(now, group).is_some_and(|due| due <= now) {
            for place in 0..self.size(group) {
                self.cut_grace(now, self.groups[group].members[place]);
            }
        }
        if let Some(due) = self.over_at(now, group)
            && due <= now
            && !self.wait_anew(now, group, due)
        {
            self.take_over(now, group, due);
        }
        self.reckon(now, group);
    }

    /// Says what keeps a member from serving, and the others with it.
    pub(super) fn hinder(&mut self, now: Instant, id: RouterId, obstacle: Option<Obstacle>) {
        let slot = &mut self.slots[id];
        slot.obstacle.clone_from(&obstacle);
        match slot.group {
            None => {
                let reaction = slot.router.set_obstacle(now, obstacle);
                self.react(now, id, reaction);
            }
            Some(group) => {
                self.share_obstacles(now, group);
                self.reckon(now, group);
            }
        }
    }

    /// When a group of backups takes over unless somebody is heard, or `None` when it is none.
    pub(super) fn over_at(&self, now: Instant, group: GroupId) -> Option<Instant> {
        let decided = self.is_decided(now, group);
        let mut at = Instant::ZERO;
        for place in 0..self.size(group) {
            let slot = self.member(group, place);
            if slot.router.state() != State::Backup {
                return None;
            }
            at = at.max(member_over_at(now, slot, decided));
        }
        Some(at)
    }

    /// Takes note of when a group wants to be ticked: all backups together at the deadline of the
    /// first, and each master at its own.
    pub(super) fn reckon(&mut self, now: Instant, group: GroupId) {
        // An advertisement heard now can end a wait that was over before: then the take-over is due
        // now, and not late.
        let asked = self.groups[group].asked.min(now);
        // What is heard of several in one network may decide otherwise as soon as one falls silent.
        let over_at = self.over_at(now, group).map(|over_at| {
            let over_at = over_at.max(asked);
            let members = (0..self.size(group)).map(|place| self.member(group, place));
            let changes = members.flat_map(|slot| {
                let ears = slot.families().map(|family| &slot.ears[family as usize]);
                ears.filter_map(|ear| ear.changes_at(now, &slot.router))
            });
            changes.fold(over_at, Instant::min)
        });
        if let Some(over_at) = over_at {
            self.groups[group].asked = over_at;
        }
        for place in 0..self.size(group) {
            let id = self.groups[group].members[place];
            let router = &self.slots[id].router;
            let at = match router.state() {
                State::Backup => over_at.filter(|_| place == 0),
                State::Init | State::Master | State::Fault => router.deadline().map(|(at, _)| at),
            };
            self.deadlines.set(id, at);
        }
    }

    /// What a group shows of itself.
    pub(super) fn group_status(&self, now: Instant, group: &Group) -> GroupStatus {
        let members = || group.members.iter().map(|id| &self.slots[*id]);
        // Who moved for a reason of its own.
        let decides = members().find(|slot| slot.leads());
        let first = members().next();
        let (state, state_age) = decides.or(first).map_or((State::Init, 0.0), |slot| {
            (slot.router.state(), slot.state_age(now))
        });
        GroupStatus {
            name: Arc::clone(&group.name),
            state,
            state_age,
            members: members().map(|slot| Arc::clone(&slot.name)).collect(),
            decides: decides.map(|slot| Arc::clone(&slot.name)),
            cause: decides
                .or(first)
                .map_or_else(|| "not started".into(), |slot| slot.cause(now)),
            notify: None,
        }
    }

    pub(super) fn size(&self, group: GroupId) -> usize {
        self.groups[group].members.len()
    }

    fn member(&self, group: GroupId, place: usize) -> &Slot {
        &self.slots[self.groups[group].members[place]]
    }

    /// The cause of the others when a member changes its state for `cause`.
    fn with(&self, id: RouterId, cause: &Cause) -> Cause {
        Cause::With {
            member: Arc::clone(&self.slots[id].name),
            cause: Arc::new(cause.clone()),
        }
    }

    /// What keeps a member from serving: its own obstacle, or that of the first other that has one.
    fn shared_obstacle(&self, group: GroupId, place: usize) -> Option<Obstacle> {
        let own = self.member(group, place).obstacle.clone();
        own.or_else(|| {
            let all = self.groups[group].members.iter();
            let mut hindered = all.filter_map(|id| {
                let slot = &self.slots[*id];
                Some((slot, slot.obstacle.clone()?))
            });
            let (slot, obstacle) = hindered.next()?;
            Some(Obstacle::Member {
                member: Arc::clone(&slot.name),
                obstacle: Arc::new(obstacle),
            })
        })
    }

    fn share_obstacles(&mut self, now: Instant, group: GroupId) {
        for place in 0..self.size(group) {
            let obstacle = self.shared_obstacle(group, place);
            let id = self.groups[group].members[place];
            let reaction = self.slots[id].router.set_obstacle(now, obstacle);
            self.react(now, id, reaction);
        }
    }

    fn hears_anybody(&self, now: Instant, group: GroupId) -> bool {
        let mut members = (0..self.size(group)).map(|place| self.member(group, place));
        members.any(|slot| firsts(now, slot).next().is_some())
    }

    /// Whether one of lower priority is heard in a member, by whom those of the same priority in
    /// others are decided.
    fn is_decided(&self, now: Instant, group: GroupId) -> bool {
        let mut members = (0..self.size(group)).map(|place| self.member(group, place));
        members.clone().all(|slot| slot.router.preempts())
            && members.any(|slot| hears_lower(now, slot))
    }

    /// How a group of masters stands to those that it hears.
    fn rank(&self, now: Instant, group: GroupId) -> Rank {
        let since = now.since(self.groups[group].met_at);
        let legs = (0..self.size(group)).flat_map(|place| {
            let slot = self.member(group, place);
            let router = &slot.router;
            slot.families().map(move |family| {
                let ear = &slot.ears[family as usize];
                Leg {
                    place,
                    ours: slot.priority().get(),
                    own: slot.source(family),
                    first: ear.first(now, router),
                    hears_lower: ear.hears_lower(now, router),
                    has_waited: since >= router.wait_for(slot.params.interval),
                }
            })
        });
        rank(legs)
    }

    /// Becomes backup whole, because of somebody who is heard in the member of that place.
    fn make_way(&mut self, now: Instant, group: GroupId, leader: usize, voice: Voice) {
        let leading = self.groups[group].members[leader];
        let ours = self.slots[leading].priority().get();
        let cause = if voice.priority > ours {
            Cause::HigherPriority {
                master: voice.from,
                theirs: voice.priority,
                ours,
            }
        } else {
            Cause::HigherAddress {
                master: voice.from,
                priority: ours,
            }
        };
        let others = self.with(leading, &cause);
        if voice.priority == ours {
            self.slots[leading].ears[Family::of(voice.from) as usize].let_stand(&voice);
        }
        for place in 0..self.size(group) {
            let id = self.groups[group].members[place];
            let (last, cause) = if place == leader {
                (Send::Advert, cause.clone())
            } else {
                // Whether the other one is there too, and hears this, is not known.
                (Send::Farewell, others.clone())
            };
            let slot = &mut self.slots[id];
            let voices = Family::ALL.map(|family| {
                let first = slot.ears[family as usize].first(now, &slot.router);
                first.filter(|_| slot.params.speaks(family))
            });
            let voices = voices.into_iter().flatten();
            let reaction = slot.router.make_way(now, last, voices, cause);
            self.react(now, id, reaction);
        }
        self.reckon(now, group);
    }

    /// Whether the group woke so late that a member may have slept through advertisements; such a
    /// member waits in full once more. A member that others decide is not waited for.
    fn wait_anew(&mut self, now: Instant, group: GroupId, due: Instant) -> bool {
        let late = now.since(due.max(self.groups[group].asked));
        let decided = self.is_decided(now, group);
        let mut is_late = false;
        for place in 0..self.size(group) {
            let id = self.groups[group].members[place];
            let slot = &self.slots[id];
            let interval = slot.router.awaited_interval();
            if interval.is_some_and(|interval| late > interval)
                && awaited(now, slot, decided).next().is_some()
            {
                is_late = true;
                let reaction = self.slots[id].router.wait_anew(now);
                self.react(now, id, reaction);
            }
        }
        is_late
    }

    fn take_over(&mut self, now: Instant, group: GroupId, due: Instant) {
        let leader = self.leader(now, group, due);
        let leading = self.groups[group].members[leader];
        let Some(cause) = self.slots[leading].router.reason(now) else {
            return;
        };
        let others = self.with(leading, &cause);
        let decided = self.is_decided(now, group);
        self.groups[group].met_at = now;
        for place in 0..self.size(group) {
            let id = self.groups[group].members[place];
            let Slot { ears, router, .. } = &mut self.slots[id];
            for ear in ears {
                ear.pass_over(now, router, decided);
            }
            let cause = if place == leader { &cause } else { &others };
            let reaction = self.slots[id].router.take_over(now, due, cause.clone());
            self.react(now, id, reaction);
        }
    }

    /// Whose cause is that of a take-over: the member where somebody lower decides, or the one that
    /// was waited for last. A master of all advertises in all at nearly the same time; then it is the
    /// first of them, so that the answer does not depend on which packet came first.
    fn leader(&self, now: Instant, group: GroupId, due: Instant) -> usize {
        let decided = self.is_decided(now, group);
        let is_waited_for = |place: &usize| {
            let slot = self.member(group, *place);
            if decided {
                return hears_lower(now, slot);
            }
            let interval = slot.router.awaited_interval().unwrap_or_default();
            member_over_at(now, slot, decided) + interval > due
        };
        let has_heard = |place: &usize| self.member(group, *place).router.heard().is_some();
        let candidates = || (0..self.size(group)).filter(is_waited_for);
        let heard = candidates().find(has_heard);
        heard.or_else(|| candidates().next()).unwrap_or_default()
    }
}

/// Who is heard in each family.
fn firsts(now: Instant, slot: &Slot) -> impl Iterator<Item = Voice> + '_ {
    let ears = slot.families().map(|family| &slot.ears[family as usize]);
    ears.filter_map(move |ear| ear.first(now, &slot.router))
}

fn hears_lower(now: Instant, slot: &Slot) -> bool {
    let ours = slot.priority().get();
    firsts(now, slot).any(|voice| voice.priority < ours)
}

/// The end of a member's wait for a master.
fn member_over_at(now: Instant, slot: &Slot, decided: bool) -> Instant {
    awaited(now, slot, decided).fold(slot.router.quiet_until(), Instant::max)
}

/// The end of the wait in each family of a member that counts. When another member decides, a
/// master of the same priority is not waited for.
fn awaited(now: Instant, slot: &Slot, decided: bool) -> impl Iterator<Item = Instant> + '_ {
    let counts =
        move |family: &Family| !(decided && slot.ears[*family as usize].is_tie(now, &slot.router));
    let families = slot.families().filter(counts);
    families.filter_map(|family| slot.router.over_at(family))
}
