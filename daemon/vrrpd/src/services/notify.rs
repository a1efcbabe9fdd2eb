//! Notifications: runs the notify commands as the [`Scheduler`] decides.
//!
//! A command receives the event in its environment and as one line of JSON on its standard
//! input. It is [run](Runner::run) in the same way as a check script.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;
use vrrp_config::{Command, Style};
use vrrp_linux::clock;
use vrrp_proto::State;
use vrrp_proto::checkpoint::Notified;
use vrrp_proto::notify::{Event, Notification, Notify, Run, Scheduler, Subject};
use vrrp_proto::snapshot::Snapshot;

use super::program::{Outcome, Program, Runner};
use crate::channel::NodeEvent;
use crate::log_writer::{Log, Record};

/// Most bytes of addresses in the environment: the kernel limits a variable to 128 KiB (execve(2)).
/// The list on standard input is complete.
const ROOM: usize = 100 << 10;

/// Notify commands that run or wait.
pub(super) struct Notifier {
    status_handle: StatusHandle,
    runs: JoinSet<Ended>,
    runner: Runner,
    log: Log,
}

/// Status of the notifications. Clones show the same status.
#[derive(Clone)]
pub(super) struct StatusHandle(Arc<Mutex<Scheduler<Arc<Command>>>>);

/// Notify command that has ended.
struct Ended {
    number: u64,
    owner: Subject,
    event: Event,
    succeeded: bool,
    detail: String,
}

impl Notifier {
    pub(super) fn new(
        notify: BTreeMap<Subject, Notify<Arc<Command>>>,
        runner: Runner,
        log: Log,
    ) -> Self {
        Self {
            status_handle: StatusHandle(Arc::new(Mutex::new(Scheduler::new(notify)))),
            runs: JoinSet::new(),
            runner,
            log,
        }
    }

    /// Handle of the status.
    pub(super) fn status_handle(&self) -> StatusHandle {
        self.status_handle.clone()
    }

    /// Announces the notification settings of a configuration that the node is about to be handed.
    pub(super) fn configure(&self, notify: BTreeMap<Subject, Notify<Arc<Command>>>) {
        self.status_handle.scheduler().configure(notify);
    }

    /// Takes in a change of the routers.
    pub(super) fn take(&self, moved: &NodeEvent) {
        let mut scheduler = self.status_handle.scheduler();
        match moved {
            NodeEvent::Transition(transition) => scheduler.transition(transition),
            NodeEvent::Priority { router, priority } => scheduler.priority(router, *priority),
            NodeEvent::Contested {
                router,
                cause,
                priority,
            } => scheduler.contested(router, cause, *priority),
            NodeEvent::Renamed(renames) => scheduler.rename(renames),
            NodeEvent::Configured => scheduler.configured(),
            NodeEvent::Left => {}
        }
    }

    /// Starts the commands that are due, and waits until others may be. Nothing is lost if the
    /// future is dropped before its end.
    pub(super) async fn turn(&mut self) {
        let due = {
            let mut scheduler = self.status_handle.scheduler();
            while let Some(run) = scheduler.poll(clock::now()) {
                self.runs.spawn(tell(run, self.runner.clone()));
            }
            scheduler.poll_timeout()
        };
        let rest = async {
            match due {
                Some(due) => sleep(due.since(clock::now())).await,
                None => pending().await,
            }
        };
        tokio::select! {
            Some(Ok(ended)) = self.runs.join_next() => self.note(ended),
            () = rest => {}
        }
    }

    fn note(&self, ended: Ended) {
        let Ended {
            number,
            owner,
            event,
            succeeded,
            detail,
        } = ended;
        let detail: Arc<str> = detail.into();
        let now = clock::now();
        let then =
            self.status_handle
                .scheduler()
                .ended(now, number, succeeded, Arc::clone(&detail));
        self.log.record(Record::Notified {
            owner,
            event,
            succeeded,
            detail,
            then,
        });
    }

    /// States that were notified completely, for the next process.
    pub(super) fn notified(&self) -> Notified {
        self.status_handle.scheduler().notified()
    }

    /// Omits the first notifications that the former process has carried out.
    pub(super) fn omit(&self, notified: Notified) {
        self.status_handle.scheduler().omit(notified);
    }

    /// Prepares the end of the daemon, after the last transition. Returns the longest time that the
    /// remaining commands take; zero when there are none.
    pub(super) fn finish(&self) -> Duration {
        self.status_handle.scheduler().finish(clock::now())
    }

    /// Whether no notification is left.
    pub(super) fn has_told_all(&self) -> bool {
        self.status_handle.scheduler().is_idle()
    }
}

impl StatusHandle {
    fn scheduler(&self) -> MutexGuard<'_, Scheduler<Arc<Command>>> {
        // The scheduler is consistent whenever the lock is released.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the status of the notifications to a snapshot of the node.
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        let scheduler = self.scheduler();
        let now = clock::now();
        for instance in &mut snapshot.instances {
            instance.notify = scheduler.status(now, &Subject::Instance(Arc::clone(&instance.name)));
        }
        for group in &mut snapshot.groups {
            group.notify = scheduler.status(now, &Subject::Group(Arc::clone(&group.name)));
        }
    }
}

/// Runs a command to its end.
async fn tell(run: Run<Arc<Command>>, runner: Runner) -> Ended {
    let Run {
        number,
        owner,
        command,
        news,
        limit,
    } = run;
    let mut words = command.words.clone();
    if command.style == Style::Keepalived {
        words.extend(keepalived(&owner, &news));
    }
    let program = Program {
        command: words,
        user: command.user.clone(),
        environment: environment(&owner, &news, &command),
        input: Some(input(&owner, &news, &command)),
    };
    let outcome = runner.run(program, limit).await;
    let (succeeded, detail) = outcome.describe();
    if let Outcome::TooSlow { rest, .. } = outcome {
        // The next command must not start before this one has ended.
        rest.wait().await;
    }
    Ended {
        number,
        owner,
        event: news.event,
        succeeded,
        detail,
    }
}

fn environment(
    owner: &Subject,
    news: &Notification,
    command: &Command,
) -> Vec<(Cow<'static, str>, String)> {
    let mut addresses = String::new();
    for address in command.addresses.iter() {
        let address = address.to_string();
        // The environment has no JSON: a part of the list is better than a command that cannot
        // start.
        if addresses.len() + address.len() >= ROOM {
            break;
        }
        if !addresses.is_empty() {
            addresses.push(' ');
        }
        addresses.push_str(&address);
    }
    let instance = instance(owner).map(|name| ("VRRP_INSTANCE", name.to_string()));
    let group = command.group.iter();
    let group = group.map(|name| ("VRRP_GROUP", name.to_string()));
    let told = [
        ("VRRP_EVENT", news.event.to_string()),
        ("VRRP_FROM", news.from.to_string()),
        ("VRRP_TO", news.to.to_string()),
        ("VRRP_CAUSE", news.cause.to_string()),
        ("VRRP_PRIORITY", news.priority.to_string()),
        ("VRRP_ADDRESSES", addresses),
        ("VRRP_AGAIN", news.again.to_string()),
    ];
    let all = instance.into_iter().chain(group).chain(told);
    all.map(|(name, value)| (name.into(), value)).collect()
}

const fn instance(owner: &Subject) -> Option<&Arc<str>> {
    match owner {
        Subject::Instance(name) => Some(name),
        Subject::Group(_) => None,
    }
}

fn input(owner: &Subject, news: &Notification, command: &Command) -> String {
    let object = json!({
        "instance": instance(owner),
        "group": command.group,
        "event": news.event,
        "from": news.from,
        "to": news.to,
        "cause": news.cause.to_string(),
        "priority": news.priority,
        "addresses": command.addresses,
        "again": news.again,
    });
    format!("{object}\n")
}

/// Arguments that keepalived appends to a command (keepalived.conf(5), `notify`).
fn keepalived(owner: &Subject, news: &Notification) -> [String; 4] {
    let state = match news.to {
        State::Init => "STOP",
        State::Backup => "BACKUP",
        State::Master => "MASTER",
        State::Fault => "FAULT",
    };
    let kind = match owner {
        Subject::Instance(_) => "INSTANCE",
        Subject::Group(_) => "GROUP",
    };
    [kind, owner.name(), state, &news.priority.to_string()].map(str::to_owned)
}

#[cfg(test)]
mod tests;
