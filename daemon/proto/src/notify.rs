//! Notifications: decides which command announces a transition, when it runs, and in which order.
//!
//! Each [`Subject`] has a queue with these rules:
//!
//! 1. One command runs at a time, in the order of the transitions.
//! 2. A job that has begun is finished. Of the jobs that have not, only the newest state is kept,
//!    except that a stop is never discarded.
//! 3. A failed command is repeated after a growing delay, unless a newer notification waits.
//! 4. A sync group is notified once, when the last of its members has changed its state.
//! 5. The end of a contest (another master was seen beside this one and has gone) is notified after
//!    what the queue holds, and not at all if the state master has not been notified yet: the
//!    notification of that state comes later than the end.
//!
//! The [`Scheduler`] only decides: [`poll`](Scheduler::poll) returns a command that the caller has
//! to run now, [`ended`](Scheduler::ended) takes its result, and
//! [`poll_timeout`](Scheduler::poll_timeout) is the time of the next call.

pub(crate) mod event;
mod queue;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use self::queue::Then;

pub use self::event::Event;
use self::queue::Queue;
use crate::checkpoint::Notified;
use crate::events::Transition;
use crate::params::Renames;
use crate::reasons::Cause;
use crate::snapshot::NotifyStatus;
use crate::time::Instant;
use crate::types::{Priority, State};

/// Most commands that run at a time, of all subjects together: they share the host with the node.
const MOST_AT_ONCE: usize = 32;

/// Instance or sync group with notified transitions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Instance of this name.
    Instance(Arc<str>),
    /// Sync group of this name.
    Group(Arc<str>),
}

impl Subject {
    /// Name of the instance or group.
    pub const fn name(&self) -> &Arc<str> {
        match self {
            Self::Instance(name) | Self::Group(name) => name,
        }
    }
}

/// Notification settings of a subject. `C` is the caller's type of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify<C> {
    /// Command for the transition to master.
    pub master: Option<C>,
    /// Command for the transition to backup.
    pub backup: Option<C>,
    /// Command for the transition to fault.
    pub fault: Option<C>,
    /// Command for the end: the daemon stops, or a reload removes or redefines the subject.
    pub stop: Option<C>,
    /// Command for the end of a contest: the master was not the only one, and is again.
    pub contested: Option<C>,
    /// Command for each of these events, run after the specific one.
    pub any: Option<C>,
    /// Timeout of one run of a command.
    pub timeout: Duration,
    /// Repetitions of a command that failed.
    pub retries: u32,
    /// Whether the first state after the start is notified.
    pub on_start: bool,
    /// Whether the present state is notified again after a reload.
    pub on_reload: bool,
    /// Members of a sync group, in its order; a member is in one group at most. Empty for an
    /// instance.
    pub members: Vec<Arc<str>>,
}

impl<C> Notify<C> {
    /// All commands.
    pub fn all_commands(&self) -> impl Iterator<Item = &C> {
        self.commands_by_key().map(|(_, command)| command)
    }

    /// All commands, each with its key in the configuration.
    pub fn commands_by_key(&self) -> impl Iterator<Item = (&'static str, &C)> {
        let Self {
            master,
            backup,
            fault,
            stop,
            contested,
            any,
            ..
        } = self;
        let all = [
            ("master", master),
            ("backup", backup),
            ("fault", fault),
            ("stop", stop),
            ("contested", contested),
            ("any", any),
        ];
        all.into_iter()
            .filter_map(|(key, command)| Some((key, command.as_ref()?)))
    }
}

impl<C: Clone> Notify<C> {
    /// Commands for an event, in the order in which they run.
    fn commands(&self, event: Event) -> VecDeque<C> {
        let own = match event {
            Event::Stop => &self.stop,
            Event::Backup => &self.backup,
            Event::Master => &self.master,
            Event::Fault => &self.fault,
            Event::Contested => &self.contested,
        };
        own.iter().chain(&self.any).cloned().collect()
    }
}

/// Event as it is notified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The event.
    pub event: Event,
    /// State before the event.
    pub from: State,
    /// State after it.
    pub to: State,
    /// Cause of the event.
    pub cause: Cause,
    /// Effective priority at the transition; for a repetition after a reload the present one.
    pub priority: Priority,
    /// Whether the subject was notified of this state before: after a reload, and at the end of a
    /// contest.
    pub again: bool,
}

/// Command that the caller has to run now.
#[derive(Debug)]
pub struct Run<C> {
    /// Number of the run, for [`ended`](Scheduler::ended).
    pub number: u64,
    /// Subject of the transition. None of its other commands runs.
    pub owner: Subject,
    /// Command to run.
    pub command: C,
    /// Transition that the command announces.
    pub news: Arc<Notification>,
    /// Timeout. The caller then kills the command and reports it as failed.
    pub limit: Duration,
}

/// Queues of all subjects.
#[derive(Debug)]
pub struct Scheduler<C> {
    /// Configuration in force.
    present: BTreeMap<Subject, Notify<C>>,
    /// Configurations that were handed to the node and are not in force yet, oldest first.
    coming: VecDeque<BTreeMap<Subject, Notify<C>>>,
    owners: BTreeMap<Subject, Entry<C>>,
    /// State and effective priority of each running router.
    routers: BTreeMap<Arc<str>, (State, Priority)>,
    /// Group in force of each router that is in one.
    groups: BTreeMap<Arc<str>, Subject>,
    /// Subjects that may have a command to run now.
    ready: VecDeque<Subject>,
    /// Subjects that may have a command to run later, with the time.
    due: BTreeSet<(Instant, Subject)>,
    /// Commands that run, by number, with the present name of their subject.
    running: BTreeMap<u64, Subject>,
    /// Number of the last run.
    last_run: u64,
    is_finishing: bool,
    /// States that an earlier process has notified, until the first transition of each subject.
    notified: Notified,
}

#[derive(Debug)]
struct Entry<C> {
    /// Last transition, with the present priority.
    last: Notification,
    /// Whether this transition came after the node was handed its last configuration.
    is_news: bool,
    queue: Queue<C>,
}

impl<C: Clone> Scheduler<C> {
    /// A scheduler for the settings `notify`, with empty queues.
    pub fn new(notify: BTreeMap<Subject, Notify<C>>) -> Self {
        Self {
            groups: groups(&notify),
            present: notify,
            coming: VecDeque::new(),
            owners: BTreeMap::new(),
            routers: BTreeMap::new(),
            ready: VecDeque::new(),
            due: BTreeSet::new(),
            running: BTreeMap::new(),
            last_run: 0,
            is_finishing: false,
            notified: Notified::default(),
        }
    }

    /// Returns the states that have been notified completely, for a later process.
    pub fn notified(&self) -> Notified {
        let mut notified = Notified::default();
        let configured = self.present.keys();
        for (owner, entry) in configured.filter_map(|owner| self.owners.get_key_value(owner)) {
            if entry.queue.is_idle() {
                let states = match owner {
                    Subject::Instance(_) => &mut notified.instances,
                    Subject::Group(_) => &mut notified.groups,
                };
                states.insert(Arc::clone(owner.name()), entry.last.to);
            }
        }
        notified
    }

    /// Omits the notification of a first state that an earlier process has notified.
    pub fn omit(&mut self, notified: Notified) {
        self.notified = notified;
    }

    /// Whether an earlier process has notified the first state of a subject. Every later state is notified.
    fn was_notified(&mut self, owner: &Subject, first: State) -> bool {
        let states = match owner {
            Subject::Instance(_) => &mut self.notified.instances,
            Subject::Group(_) => &mut self.notified.groups,
        };
        states.remove(owner.name()) == Some(first)
    }

    /// Announces that the node is about to be handed another configuration. Until it is [in
    /// force](Self::configured), the former settings apply to transitions, which include the stops
    /// of subjects that are removed or redefined. A subject that starts is notified by the new
    /// settings.
    pub fn configure(&mut self, notify: BTreeMap<Subject, Notify<C>>) {
        self.coming.push_back(notify);
        self.begin_anew();
    }

    /// Puts the oldest announced configuration in force. The node has carried it out, and every
    /// transition that resulted from it was passed to [`transition`](Self::transition).
    pub fn configured(&mut self) {
        let Some(notify) = self.coming.pop_front() else {
            return;
        };
        self.groups = groups(&notify);
        let former = core::mem::replace(&mut self.present, notify);
        // The stop of a removed group is notified by its former commands.
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
        // A subject that moved because of the reload has been notified already.
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
        // The entry of a removed subject is kept until its stop has been notified.
        let present = &self.present;
        self.owners.retain(|owner, entry| {
            let is_over = entry.last.to == State::Init && !present.contains_key(owner);
            !is_over || !entry.queue.is_idle()
        });
    }

    /// Gives routers other names, all at the same time. State, queue and running command of a router stay, and no
    /// command runs because of the new name. The settings in force stay those of the former
    /// name until the announced ones are [in force](Self::configured).
    pub fn rename(&mut self, renames: &Renames) {
        let instance = |name: &Arc<str>| Subject::Instance(Arc::clone(name));
        for notify in self.present.values_mut() {
            for member in &mut notify.members {
                *member = Arc::clone(renames.present(member));
            }
        }
        self.groups = groups(&self.present);
        renames.apply_by(instance, &mut self.present);
        renames.apply(&mut self.routers);
        renames.apply(&mut self.notified.instances);
        // Removed subjects with a stop that is still to be notified get the names that have become free.
        let mut removed = BTreeMap::new();
        for (former, new, entry) in renames.apply_by(instance, &mut self.owners) {
            if !entry.queue.is_idle() && !self.owners.contains_key(&former) {
                self.ready.push_back(former.clone());
                self.owners.insert(former.clone(), entry);
                removed.insert(new, former);
            }
        }
        for owner in self.running.values_mut() {
            let new = match owner {
                Subject::Instance(name) => renames.new_name(name).map(instance),
                Subject::Group(_) => None,
            };
            if let Some(new) = new.or_else(|| removed.get(owner).cloned()) {
                *owner = new;
            }
        }
        let renamed = renames.iter().map(|(_, new)| instance(new));
        self.ready.extend(renamed);
    }

    fn begin_anew(&mut self) {
        for entry in self.owners.values_mut() {
            entry.is_news = false;
        }
    }

    /// Takes in a transition of a router, and queues notifications for it and perhaps for its
    /// group.
    pub fn transition(&mut self, transition: &Transition) {
        let owner = Subject::Instance(Arc::clone(&transition.router));
        let starts = transition.from == State::Init;
        let is_known = self.was_notified(&owner, transition.to) && starts;
        let notify = match self.coming.front() {
            Some(coming) if starts => coming,
            _ => &self.present,
        };
        let notify = notify
            .get(&owner)
            .filter(|notify| (notify.on_start || !starts) && !is_known);
        let last = Notification {
            event: transition.to.into(),
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

    /// State that all members of a group have; `None` while they differ.
    fn state_of(&self, group: &Subject) -> Option<State> {
        let members = &self.present.get(group)?.members;
        let mut states = members.iter().map(|member| {
            let known = self.routers.get(member);
            known.map_or(State::Init, |(state, _)| *state)
        });
        let first = states.next()?;
        states.all(|state| state == first).then_some(first)
    }

    /// Records the state of a configured group, and notifies it if it has changed.
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
        // A member that has stopped is no longer known: the group keeps its last priority.
        let priority = first.and_then(|first| self.routers.get(first));
        let priority = priority.map(|(_, priority)| *priority);
        let last = Notification {
            event: to.into(),
            from,
            to,
            cause,
            priority: priority
                .or(last.map(|last| last.priority))
                .unwrap_or(Priority::DEFAULT),
            again: false,
        };
        let starts = from == State::Init;
        let is_known = self.was_notified(group, to) && starts;
        let notify = notify.filter(|notify| (notify.on_start || !starts) && !is_known);
        tell(&mut self.owners, group, last, notify);
        self.ready.push_back(group.clone());
    }

    /// Takes in the end of a contest of a router, and queues notifications for it and perhaps for
    /// its group, which is notified by the report of the member that decided the end.
    pub fn contested(&mut self, router: &Arc<str>, cause: &Cause, priority: Priority) {
        let is_decisive = !matches!(cause, Cause::With { .. });
        let group = self.groups.get(router).filter(|_| is_decisive).cloned();
        let owner = Subject::Instance(Arc::clone(router));
        for (owner, cause) in [(Some(owner), cause), (group, cause.root())] {
            let Some(owner) = owner else { continue };
            let Some(entry) = self.owners.get_mut(&owner) else {
                continue;
            };
            // A transition that was taken in since is newer.
            if entry.last.to != State::Master {
                continue;
            }
            let priority = match &owner {
                Subject::Instance(_) => priority,
                Subject::Group(_) => entry.last.priority,
            };
            let news = Notification {
                event: Event::Contested,
                from: State::Master,
                to: State::Master,
                cause: cause.clone(),
                priority,
                again: true,
            };
            entry.queue.append(&news, self.present.get(&owner));
            self.ready.push_back(owner);
        }
    }

    /// Takes in a change of a router's effective priority.
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

    /// Returns a command to run now. Call it until it returns `None`: after every other call, and
    /// at [`poll_timeout`](Self::poll_timeout).
    pub fn poll(&mut self, now: Instant) -> Option<Run<C>> {
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let owner = self.due.pop_first().map(|(_, owner)| owner);
            self.ready.extend(owner);
        }
        while self.running.len() < MOST_AT_ONCE {
            let owner = self.ready.pop_front()?;
            let Some(entry) = self.owners.get_mut(&owner) else {
                continue;
            };
            if let Some((command, news, limit)) = entry.queue.poll(now, self.is_finishing) {
                self.last_run += 1;
                self.running.insert(self.last_run, owner.clone());
                return Some(Run {
                    number: self.last_run,
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

    /// Time of the next call of [`poll`](Self::poll), if no other call comes before. Early or
    /// repeated calls do no harm.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes in the end of a command by the number of its run: whether it succeeded, and a line of its output. Only
    /// processes that the command left in the background may still run.
    pub fn ended(&mut self, now: Instant, number: u64, succeeded: bool, detail: Arc<str>) -> Then {
        let Some(owner) = self.running.remove(&number) else {
            return Then::Over;
        };
        let then = match self.owners.get_mut(&owner) {
            Some(entry) => entry.queue.ended(now, succeeded, detail, self.is_finishing),
            None => Then::Over,
        };
        self.ready.push_back(owner);
        then
    }

    /// Prepares the stop of the daemon, after the last transition. Queued notifications still run,
    /// but each command has its timeout for all of its attempts together. Returns the longest time
    /// that this takes; zero when nothing is queued.
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

    /// Whether no command runs or waits.
    pub fn is_idle(&self) -> bool {
        self.owners.values().all(|entry| entry.queue.is_idle())
    }

    /// Status of a subject, if it has notifications.
    pub fn status(&self, now: Instant, owner: &Subject) -> Option<NotifyStatus> {
        let queue = self.owners.get(owner).map(|entry| &entry.queue);
        let status = queue.map(|queue| queue.status(now)).unwrap_or_default();
        (self.present.contains_key(owner) || status != NotifyStatus::default()).then_some(status)
    }
}

/// Queues the notification of a transition with the settings `notify`; `None` queues nothing but
/// discards older states.
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

/// Group of each router that is in one.
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
