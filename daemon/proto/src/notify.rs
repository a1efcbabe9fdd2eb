//! Who is told of transitions: by which command, when, and in what order.
//!
//! Each [`Subject`] has a queue: one command at a time, in the order of the transitions. What has begun
//! is finished, and of what has not the newest state wins, but a stop is always told. A command that
//! fails is tried again, later and later, as long as nothing newer waits. A sync group is told of once,
//! when the last of its members has moved.
//!
//! The [`Scheduler`] decides and runs nothing: [`poll`](Scheduler::poll) gives a command that is to run now,
//! [`ended`](Scheduler::ended) says that it has, and [`poll_timeout`](Scheduler::poll_timeout) when to come back.

mod queue;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use self::queue::Then;

use self::queue::Queue;
use crate::events::Transition;
use crate::reasons::Cause;
use crate::snapshot::NotifyStatus;
use crate::time::Instant;
use crate::types::{Priority, State};

/// How many commands run at a time, of all owners: they share the host with the node.
const MOST_AT_ONCE: usize = 32;

/// Whose transitions are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The instance of this name.
    Instance(Arc<str>),
    /// The sync group of this name.
    Group(Arc<str>),
}

impl Subject {
    /// Its name.
    pub const fn name(&self) -> &Arc<str> {
        match self {
            Self::Instance(name) | Self::Group(name) => name,
        }
    }
}

/// How the transitions of an owner are told. A command is what whoever runs it knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify<C> {
    /// The command for becoming master.
    pub master: Option<C>,
    /// The command for becoming backup.
    pub backup: Option<C>,
    /// The command for getting into fault.
    pub fault: Option<C>,
    /// The command for the end: the daemon stops, or the owner is no longer configured or becomes
    /// another one.
    pub stop: Option<C>,
    /// The command for all of these, which runs after the other one.
    pub any: Option<C>,
    /// How long a command may take.
    pub timeout: Duration,
    /// How many times a command that failed is tried again.
    pub retries: u32,
    /// Whether the state in which the owner starts is told.
    pub on_start: bool,
    /// Whether the present state is told again after a reload.
    pub on_reload: bool,
    /// Of a sync group its members, in its order and each in no other group. An instance has none.
    pub members: Vec<Arc<str>>,
}

impl<C: Clone> Notify<C> {
    /// The commands for a state, in their order.
    fn commands(&self, state: State) -> VecDeque<C> {
        let own = match state {
            State::Init => &self.stop,
            State::Backup => &self.backup,
            State::Master => &self.master,
            State::Fault => &self.fault,
        };
        own.iter().chain(&self.any).cloned().collect()
    }
}

/// A transition as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// The effective priority: at that moment, or when it is told again the present one.
    pub priority: Priority,
    /// Whether it is told once more, after a reload.
    pub again: bool,
}

/// A command that is to run now.
#[derive(Debug)]
pub struct Run<C> {
    /// Whose transition it tells. No other command of this owner runs.
    pub owner: Subject,
    /// The command.
    pub command: C,
    /// What it tells.
    pub news: Arc<Notification>,
    /// How long it may take. Then it is to be killed, and counts as failed.
    pub limit: Duration,
}

/// All queues.
#[derive(Debug)]
pub struct Scheduler<C> {
    /// As configured.
    present: BTreeMap<Subject, Notify<C>>,
    /// What the node was given, and has not carried out yet.
    coming: VecDeque<BTreeMap<Subject, Notify<C>>>,
    owners: BTreeMap<Subject, Entry<C>>,
    /// How the routers are that are not stopped.
    routers: BTreeMap<Arc<str>, (State, Priority)>,
    /// In which of the present groups a router is.
    groups: BTreeMap<Arc<str>, Subject>,
    /// Of whom something may have to run now.
    ready: VecDeque<Subject>,
    /// Of whom something may have to run later.
    due: BTreeSet<(Instant, Subject)>,
    running: usize,
    is_finishing: bool,
}

#[derive(Debug)]
struct Entry<C> {
    /// Its last transition, with the present priority.
    last: Notification,
    /// Whether that came after the last configuration that the node was given.
    is_news: bool,
    queue: Queue<C>,
}

impl<C: Clone> Scheduler<C> {
    /// A desk that tells as `notify` says.
    pub fn new(notify: BTreeMap<Subject, Notify<C>>) -> Self {
        Self {
            groups: groups(&notify),
            present: notify,
            coming: VecDeque::new(),
            owners: BTreeMap::new(),
            routers: BTreeMap::new(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            running: 0,
            is_finishing: false,
        }
    }

    /// The node is about to be given another configuration. Until that is
    /// [carried out](Self::configured) the former commands tell what was, stops of owners that are
    /// removed or redefined among it; what starts is told by these already.
    pub fn configure(&mut self, notify: BTreeMap<Subject, Notify<C>>) {
        self.coming.push_back(notify);
        self.begin_anew();
    }

    /// The node has carried out a configuration, and every transition that came of it was handed in.
    pub fn configured(&mut self) {
        let Some(notify) = self.coming.pop_front() else {
            return;
        };
        self.groups = groups(&notify);
        let former = core::mem::replace(&mut self.present, notify);
        for owner in former.keys().filter(|owner| is_group(owner)) {
            if !self.present.contains_key(owner) {
                self.group_becomes(owner, State::Init, Cause::Removed, former.get(owner));
            }
        }
        let present: Vec<Subject> = self
            .present
            .keys()
            .filter(|owner| is_group(owner))
            .cloned()
            .collect();
        for owner in present {
            if let Some(state) = self.state_of(&owner) {
                let group = Arc::clone(owner.name());
                let cause = Cause::Joined { group, state };
                self.group_moves(&owner, state, cause);
            }
        }
        for (owner, notify) in &self.present {
            if let Some(entry) = self.owners.get_mut(owner)
                && notify.on_reload
                && !entry.is_news
            {
                let again = true;
                entry.last = Notification {
                    again,
                    ..entry.last.clone()
                };
                entry.queue.tell(&entry.last, Some(notify));
                self.ready.push_back(owner.clone());
            }
        }
        self.begin_anew();
        let present = &self.present;
        self.owners.retain(|owner, entry| {
            let is_over = entry.last.to == State::Init && !present.contains_key(owner);
            !is_over || !entry.queue.is_idle()
        });
    }

    fn begin_anew(&mut self) {
        for entry in self.owners.values_mut() {
            entry.is_news = false;
        }
    }

    /// A router changed its state.
    pub fn transition(&mut self, transition: &Transition) {
        let owner = Subject::Instance(Arc::clone(&transition.router));
        let starts = transition.from == State::Init;
        let notify = match self.coming.front() {
            Some(coming) if starts => coming,
            _ => &self.present,
        };
        let notify = notify
            .get(&owner)
            .filter(|notify| notify.on_start || !starts);
        let last = Notification {
            from: transition.from,
            to: transition.to,
            cause: transition.cause.clone(),
            priority: transition.priority,
            again: false,
        };
        tell(&mut self.owners, &owner, last, notify);
        self.ready.push_back(owner);
        let router = Arc::clone(&transition.router);
        let group = self.groups.get(&router).cloned();
        if transition.to == State::Init {
            self.routers.remove(&router);
        } else {
            let state = (transition.to, transition.priority);
            self.routers.insert(router, state);
        }
        if let Some(group) = group
            && let Some(state) = self.state_of(&group)
        {
            self.group_moves(&group, state, transition.cause.root().clone());
        }
    }

    /// The state of all members of a group, when it is that of all.
    fn state_of(&self, group: &Subject) -> Option<State> {
        let members = &self.present.get(group)?.members;
        let mut states = members.iter().map(|member| {
            let known = self.routers.get(member);
            known.map_or(State::Init, |(state, _)| *state)
        });
        let first = states.next()?;
        states.all(|state| state == first).then_some(first)
    }

    /// A group has a state, which is told when it is another one than before.
    fn group_moves(&mut self, group: &Subject, to: State, cause: Cause) {
        let notify = self.present.get(group).cloned();
        self.group_becomes(group, to, cause, notify.as_ref());
    }

    fn group_becomes(
        &mut self,
        group: &Subject,
        to: State,
        cause: Cause,
        notify: Option<&Notify<C>>,
    ) {
        let last = self.owners.get(group).map(|entry| &entry.last);
        let from = last.map_or(State::Init, |last| last.to);
        if from == to {
            return;
        }
        let first = notify.and_then(|notify| notify.members.first());
        let priority = first.and_then(|first| self.routers.get(first));
        let priority = priority.map(|(_, priority)| *priority);
        let last = Notification {
            from,
            to,
            cause,
            priority: priority
                .or(last.map(|last| last.priority))
                .unwrap_or(Priority::DEFAULT),
            again: false,
        };
        let starts = from == State::Init;
        let notify = notify.filter(|notify| notify.on_start || !starts);
        tell(&mut self.owners, group, last, notify);
        self.ready.push_back(group.clone());
    }

    /// The effective priority of a router changed.
    pub fn priority(&mut self, router: &Arc<str>, priority: Priority) {
        if let Some((_, known)) = self.routers.get_mut(router) {
            *known = priority;
        }
        let group = self.groups.get(router).filter(|group| {
            let notify = self.present.get(group);
            notify.is_some_and(|notify| notify.members.first() == Some(router))
        });
        for owner in [Some(&Subject::Instance(Arc::clone(router))), group] {
            if let Some(entry) = owner.and_then(|owner| self.owners.get_mut(owner)) {
                entry.last.priority = priority;
            }
        }
    }

    /// A command that is to run now. To be asked until there is none, after everything that was
    /// handed in and at [`poll_timeout`](Self::poll_timeout).
    pub fn poll(&mut self, now: Instant) -> Option<Run<C>> {
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let owner = self.due.pop_first().map(|(_, owner)| owner);
            self.ready.extend(owner);
        }
        while self.running < MOST_AT_ONCE {
            let owner = self.ready.pop_front()?;
            let Some(entry) = self.owners.get_mut(&owner) else {
                continue;
            };
            if let Some((command, news, limit)) = entry.queue.poll(now, self.is_finishing) {
                self.running += 1;
                return Some(Run {
                    owner,
                    command,
                    news,
                    limit,
                });
            }
            let due = entry.queue.due();
            self.due.extend(due.map(|at| (at, owner)));
        }
        None
    }

    /// When to come back, unless something happens before. Early or repeated calls do nothing.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A command has ended and nothing is left of it but what it keeps in the background: whether it
    /// did well, and in one line what it said.
    pub fn ended(
        &mut self,
        now: Instant,
        owner: &Subject,
        succeeded: bool,
        detail: Arc<str>,
    ) -> Then {
        self.running = self.running.saturating_sub(1);
        self.ready.push_back(owner.clone());
        match self.owners.get_mut(owner) {
            Some(entry) => entry.queue.ended(now, succeeded, detail, self.is_finishing),
            None => Then::Over,
        }
    }

    /// The daemon stops: all transitions were handed in. What is to be told still is, and a command
    /// gets no more than its time, with all that is tried again. Returns how long that takes at
    /// most; zero when there is nothing.
    pub fn finish(&mut self, now: Instant) -> Duration {
        self.is_finishing = true;
        let mut longest = Duration::ZERO;
        let mut busy = 0_usize;
        for (owner, entry) in &mut self.owners {
            if entry.queue.is_idle() {
                continue;
            }
            busy += 1;
            longest = longest.max(entry.queue.finish(now));
            self.ready.push_back(owner.clone());
        }
        let rounds = u32::try_from(busy.div_ceil(MOST_AT_ONCE)).unwrap_or(u32::MAX);
        longest.saturating_mul(rounds)
    }

    /// Whether everything is told.
    pub fn is_idle(&self) -> bool {
        self.owners.values().all(|entry| entry.queue.is_idle())
    }

    /// How it stands with an owner, if there is anything to be told of it.
    pub fn status(&self, now: Instant, owner: &Subject) -> Option<NotifyStatus> {
        let queue = self.owners.get(owner).map(|entry| &entry.queue);
        let status = queue.map(|queue| queue.status(now)).unwrap_or_default();
        (self.present.contains_key(owner) || status != NotifyStatus::default()).then_some(status)
    }
}

/// Has an owner told of what has become of it, by commands of `notify` or by none.
fn tell<C: Clone>(
    owners: &mut BTreeMap<Subject, Entry<C>>,
    owner: &Subject,
    last: Notification,
    notify: Option<&Notify<C>>,
) {
    let queue = owners.remove(owner).map(|entry| entry.queue);
    let mut entry = Entry {
        last,
        is_news: true,
        queue: queue.unwrap_or_default(),
    };
    entry.queue.tell(&entry.last, notify);
    owners.insert(owner.clone(), entry);
}

const fn is_group(owner: &Subject) -> bool {
    matches!(owner, Subject::Group(_))
}

/// In which group each router is.
fn groups<C>(notify: &BTreeMap<Subject, Notify<C>>) -> BTreeMap<Arc<str>, Subject> {
    let members = |(owner, notify): (&Subject, &Notify<C>)| {
        let owner = owner.clone();
        let members = notify.members.clone().into_iter();
        members.map(move |member| (member, owner.clone()))
    };
    notify.iter().flat_map(members).collect()
}

#[cfg(test)]
mod tests;
