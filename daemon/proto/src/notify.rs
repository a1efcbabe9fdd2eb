//! Who is told of transitions: by which command, when, and in what order.
//!
//! Each [`Owner`] has a queue: one command at a time, in the order of the transitions. What has begun
//! is finished, and of what has not the newest state wins, but a stop is always told. A command that
//! fails is tried again, later and later, as long as nothing newer waits.
//!
//! The [`Desk`] decides and runs nothing: [`poll`](Desk::poll) gives a command that is to run now,
//! [`ended`](Desk::ended) says that it has, and [`poll_timeout`](Desk::poll_timeout) when to come back.

mod queue;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use self::queue::Then;

use self::queue::Queue;
use crate::border::{Cause, State, Transition};
use crate::snapshot::NotifyStatus;
use crate::time::Instant;
use crate::types::Priority;

/// How many commands run at a time, of all owners: they share the host with the node.
const MOST_AT_ONCE: usize = 32;

/// Whose transitions are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The instance of this name.
    Instance(Arc<str>),
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
pub struct News {
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
    pub owner: Owner,
    /// The command.
    pub command: C,
    /// What it tells.
    pub news: Arc<News>,
    /// How long it may take. Then it is to be killed, and counts as failed.
    pub limit: Duration,
}

/// All queues.
#[derive(Debug)]
pub struct Desk<C> {
    /// As configured.
    present: BTreeMap<Owner, Notify<C>>,
    /// What the node was given, and has not carried out yet.
    coming: VecDeque<BTreeMap<Owner, Notify<C>>>,
    owners: BTreeMap<Owner, Entry<C>>,
    /// Of whom something may have to run now.
    ready: VecDeque<Owner>,
    /// Of whom something may have to run later.
    due: BTreeSet<(Instant, Owner)>,
    running: usize,
    is_finishing: bool,
}

#[derive(Debug)]
struct Entry<C> {
    /// Its last transition, with the present priority.
    last: News,
    /// Whether that came after the last configuration that the node was given.
    is_news: bool,
    queue: Queue<C>,
}

impl<C: Clone> Desk<C> {
    /// A desk that tells as `notify` says.
    pub const fn new(notify: BTreeMap<Owner, Notify<C>>) -> Self {
        Self {
            present: notify,
            coming: VecDeque::new(),
            owners: BTreeMap::new(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            running: 0,
            is_finishing: false,
        }
    }

    /// The node is about to be given another configuration. Until that is
    /// [carried out](Self::configured) the former commands tell what was, stops of owners that are
    /// removed or redefined among it; what starts is told by these already.
    pub fn configure(&mut self, notify: BTreeMap<Owner, Notify<C>>) {
        self.coming.push_back(notify);
        self.begin_anew();
    }

    /// The node has carried out a configuration, and every transition that came of it was handed in.
    pub fn configured(&mut self) {
        let Some(notify) = self.coming.pop_front() else {
            return;
        };
        self.present = notify;
        for (owner, notify) in &self.present {
            if let Some(entry) = self.owners.get_mut(owner)
                && notify.on_reload
                && !entry.is_news
            {
                let again = true;
                entry.last = News {
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
        let owner = Owner::Instance(Arc::clone(&transition.router));
        let starts = transition.from == State::Init;
        let notify = match self.coming.front() {
            Some(coming) if starts => coming,
            _ => &self.present,
        };
        let notify = notify
            .get(&owner)
            .filter(|notify| notify.on_start || !starts);
        let last = News {
            from: transition.from,
            to: transition.to,
            cause: transition.cause.clone(),
            priority: transition.priority,
            again: false,
        };
        let queue = match self.owners.remove(&owner) {
            Some(entry) => entry.queue,
            None => Queue::default(),
        };
        let mut entry = Entry {
            last,
            is_news: true,
            queue,
        };
        entry.queue.tell(&entry.last, notify);
        self.owners.insert(owner.clone(), entry);
        self.ready.push_back(owner);
    }

    /// The effective priority of a router changed.
    pub fn priority(&mut self, router: &Arc<str>, priority: Priority) {
        let owner = Owner::Instance(Arc::clone(router));
        if let Some(entry) = self.owners.get_mut(&owner) {
            entry.last.priority = priority;
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
    pub fn ended(&mut self, now: Instant, owner: &Owner, well: bool, detail: Arc<str>) -> Then {
        self.running = self.running.saturating_sub(1);
        self.ready.push_back(owner.clone());
        match self.owners.get_mut(owner) {
            Some(entry) => entry.queue.ended(now, well, detail, self.is_finishing),
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
    pub fn status(&self, now: Instant, owner: &Owner) -> Option<NotifyStatus> {
        let queue = self.owners.get(owner).map(|entry| &entry.queue);
        let status = queue.map(|queue| queue.status(now)).unwrap_or_default();
        (self.present.contains_key(owner) || status != NotifyStatus::default()).then_some(status)
    }
}

#[cfg(test)]
mod tests;
