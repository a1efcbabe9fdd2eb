//! Follower: runs what belongs to the configuration in force besides the node: trackers, peer
//! names, notifications and resources. It also sequences the stop of the daemon and the reload,
//! because both may have to wait for resources.

use std::collections::BTreeSet;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Level;
use vrrp_commands::Answer;
use vrrp_config::{LoadError, Loaded, Problem, Secrets, load};
use vrrp_proto::checkpoint::Notified;
use vrrp_proto::params::{NodeParams, changes};
use vrrp_proto::snapshot::Snapshot;

use super::names::Names;
use super::notify::{self, Notifier};
use super::params::ServiceParams;
use super::process;
use super::program::Runner;
use super::resources::{self, Order, Resources};
use super::systemd::{self, StateCounts};
use super::trackers::Trackers;
use crate::channel::{Inbox, Message, NodeEvent};
use crate::log_writer::Log;
use crate::text::count;
use crate::units::Units;

/// Additional time for the last notify commands and stops: a killed process has to end, too.
const GRACE: Duration = Duration::from_secs(1);

/// Time after which the log says that the configuration is still being read.
const SLOW: Duration = Duration::from_secs(5);

/// Trackers, peer names, notifications and resources of the configuration in force.
pub(super) struct Follower {
    file: PathBuf,
    /// The configuration, while it is being read.
    reading: Option<Reading>,
    runner: Runner,
    trackers: Trackers,
    names: Names,
    notifier: Notifier,
    resources: Resources,
    resources_board: resources::StatusHandle,
    process: process::StatusHandle,
    /// Configuration to put in force once resources have stopped.
    next: Option<Box<Loaded>>,
    /// Clients that wait for the result of the reload.
    reloaders: Vec<oneshot::Sender<Answer>>,
    /// Parameters of the node in force.
    running: Arc<NodeParams>,
    /// Routers whose resources have to stop first.
    waits_for: BTreeSet<Arc<str>>,
    times_told_to_stop: u32,
    /// Whether the node was asked to stop.
    is_node_told: bool,
    /// Longest time that the node then takes.
    longest_hand_over: Duration,
    /// Whether the node has left its state to the next process.
    has_left: bool,
    inbox: Inbox,
    state_counts: StateCounts,
    /// Counts that systemd has.
    told: StateCounts,
    log: Log,
}

/// Status of notifications, resources and the process. Clones show the same status.
#[derive(Clone)]
pub(super) struct StatusHandles {
    notify: notify::StatusHandle,
    resources: resources::StatusHandle,
    process: process::StatusHandle,
    unread_commands: Option<Arc<str>>,
}

/// Read of the configuration on another thread: its file system or the user database may not answer.
struct Reading {
    read: JoinHandle<Result<Loaded, LoadError>>,
    /// Time at which the log says that it takes long, until it has.
    slow_at: Option<Instant>,
    /// Whether a further reload was requested meanwhile: the file may have been read before that.
    is_outdated: bool,
}

impl Reading {
    fn begin(file: &Path) -> Self {
        let file = file.to_owned();
        Self {
            read: spawn_blocking(move || load(&file, Secrets::Read)),
            slow_at: Some(Instant::now() + SLOW),
            is_outdated: false,
        }
    }
}

impl StatusHandles {
    /// Adds notifications, resources, the process and the fate of former commands to a snapshot of the node.
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        self.notify.complete(snapshot);
        self.resources.complete(snapshot);
        self.process.complete(snapshot);
        snapshot.unread_commands.clone_from(&self.unread_commands);
    }
}

impl Follower {
    /// A follower with the first configuration of the node. `file` is read at a reload, `units` leads
    /// to systemd, and `inbox` to the node.
    pub(super) fn new(
        file: PathBuf,
        params: ServiceParams,
        runner: Runner,
        units: Units,
        inbox: Inbox,
        log: Log,
    ) -> Self {
        let resources_board = resources::StatusHandle::default();
        runner.look_up(params.users());
        let mut follower = Self {
            file,
            reading: None,
            runner: runner.clone(),
            trackers: Trackers::new(units.clone(), runner.clone(), inbox.clone(), log.clone()),
            names: Names::new(inbox.clone(), log.clone()),
            notifier: Notifier::new(params.notify, runner, log.clone()),
            resources: Resources::new(units, resources_board.clone()),
            resources_board,
            process: process::StatusHandle::new(),
            next: None,
            reloaders: Vec::new(),
            running: params.node,
            waits_for: BTreeSet::new(),
            times_told_to_stop: 0,
            is_node_told: false,
            longest_hand_over: params.longest_hand_over,
            has_left: false,
            inbox,
            state_counts: StateCounts::default(),
            told: StateCounts::default(),
            log,
        };
        follower.resources.set(params.resources);
        follower.trackers.set(params.probes);
        follower.names.set(params.names);
        follower
    }

    /// Omits the first notifications that the former process has carried out.
    pub(super) fn omit(&self, notified: Notified) {
        self.notifier.omit(notified);
    }

    /// Handles of the status. `unread_commands` is the reason why standing commands of a former run are
    /// not in force.
    pub(super) fn status_handles(&self, unread_commands: Option<Arc<str>>) -> StatusHandles {
        StatusHandles {
            notify: self.notifier.status_handle(),
            resources: self.resources_board.clone(),
            process: self.process.clone(),
            unread_commands,
        }
    }

    /// Reports to systemd that a configuration is in force.
    pub(super) fn tell_ready(&mut self) {
        self.told = self.state_counts;
        systemd::ready(self.state_counts, &self.log);
    }

    /// Reports to systemd the number of routers in each state, if it has changed.
    pub(super) fn tell_counts(&mut self) {
        if self.told != self.state_counts {
            self.told = self.state_counts;
            systemd::status(self.state_counts, &self.log);
        }
    }

    /// Takes in a change of the routers. Notifications and resources learn of changes only here.
    pub(super) fn take(&mut self, moved: &NodeEvent) {
        self.notifier.take(moved);
        match moved {
            NodeEvent::Transition(transition) => {
                self.state_counts.take(transition);
                self.resources.moved(transition);
            }
            NodeEvent::Renamed(_) => self.resources.renamed(),
            NodeEvent::Configured => self.resources.configured(),
            NodeEvent::Left => self.has_left = true,
            NodeEvent::Priority { .. } | NodeEvent::Contested { .. } => {}
        }
    }

    /// Handles the next event of notifications or resources. Nothing is lost if the future is
    /// dropped before its end.
    pub(super) async fn turn(&mut self) {
        let file = &self.file;
        let reading = &mut self.reading;
        tokio::select! {
            () = self.notifier.turn() => {}
            news = self.resources.next() => self.resources.take(news),
            loaded = read(file, reading, &self.log) => self.end_reading(loaded),
        }
    }

    /// Begins the stop of the daemon: hands over mastership, or first stops the resources that have
    /// to stop before. A second call no longer waits for them, nor for the successors of the masters.
    pub(super) fn stop(&mut self) {
        self.times_told_to_stop += 1;
        if self.times_told_to_stop > 1 {
            if !self.waits_for.is_empty() {
                let text = format!(
                    "second stop signal: handing over mastership while the resources of {} still run",
                    list(&self.waits_for)
                );
                self.log.note(Level::WARN, text);
                self.waits_for.clear();
            } else if self.is_node_told {
                // The second request makes the node release its addresses at once.
                let _ = self.inbox.send(Message::Stop);
            }
            return;
        }
        systemd::stopping(&self.log);
        self.reading = None;
        self.next = None;
        let first = self.resources.wait_for(None);
        if first.is_empty() {
            self.log
                .note(Level::INFO, "stopping: handing over mastership");
        } else {
            let text = format!(
                "stopping: first the resources of {}, then handing over mastership",
                list(&first)
            );
            self.log.note(Level::INFO, text);
        }
        self.wait_for(first);
        let longest = self.resources.longest_stop(&self.waits_for) + self.longest_hand_over;
        if !longest.is_zero() {
            systemd::extend(longest + GRACE, &self.log);
        }
    }

    /// Whether the daemon was told to stop or to leave.
    pub(super) const fn is_stopping(&self) -> bool {
        self.times_told_to_stop > 0
    }

    /// Begins to leave everything to the next process: no resource is stopped, and nothing is notified. If
    /// the node cannot, it stops. Without effect after a request to stop.
    pub(super) fn leave(&mut self) {
        if self.is_stopping() {
            return;
        }
        self.times_told_to_stop += 1;
        self.is_node_told = true;
        systemd::stopping(&self.log);
        self.reading = None;
        self.next = None;
        self.waits_for.clear();
        let text = "restarting: leaving mastership, addresses and resources to the next process";
        self.log.note(Level::INFO, text);
        let _ = self.inbox.send(Message::Leave(self.notifier.notified()));
    }

    /// Begins to reload the configuration. If it contains a mistake, the configuration in force stays
    /// as a whole. `reply` receives the result.
    pub(super) fn reload(&mut self, reply: Option<oneshot::Sender<Answer>>) {
        if self.is_stopping() {
            return;
        }
        self.reloaders.extend(reply);
        systemd::reloading(&self.log);
        match &mut self.reading {
            Some(reading) => reading.is_outdated = true,
            none => *none = Some(Reading::begin(&self.file)),
        }
    }

    fn end_reading(&mut self, loaded: Result<Loaded, LoadError>) {
        if let Some(Reading {
            is_outdated: true, ..
        }) = self.reading.take()
        {
            self.reading = Some(Reading::begin(&self.file));
            return;
        }
        match loaded {
            Ok(loaded) => {
                let first = self.resources.wait_for(Some((&self.running, &loaded.node)));
                if !first.is_empty() {
                    let text = format!(
                        "reload of {}: first stopping the resources of {}",
                        self.file.display(),
                        list(&first)
                    );
                    self.log.note(Level::INFO, text);
                }
                self.next = Some(Box::new(loaded));
                self.wait_for(first);
            }
            Err(error) => {
                let error = error.to_string();
                for line in error.lines() {
                    self.log.note(Level::ERROR, line);
                }
                // Not the mistakes: every user may read the status, and they quote the file.
                self.process.reloaded(error.lines().next().map(Into::into));
                let text = "reload failed: the configuration in force stays";
                self.log.note(Level::ERROR, text);
                let lines = error.to_string();
                let lines = lines.lines().chain([text]).map(ToOwned::to_owned);
                self.answer_reloaders(&Answer {
                    problems: lines.collect(),
                    ..Answer::default()
                });
                if self.next.is_none() {
                    self.tell_ready();
                }
            }
        }
    }

    fn wait_for(&mut self, routers: BTreeSet<Arc<str>>) {
        self.resources.retire(|router| routers.contains(router));
        self.waits_for.extend(routers);
    }

    /// Carries out the consequences of the last event.
    pub(super) fn go_on(&mut self) {
        self.carry_out();
        if !self.resources.have_rested(&self.waits_for) {
            return;
        }
        self.waits_for.clear();
        if let Some(next) = self.next.take() {
            self.run(*next);
            self.carry_out();
        }
        if self.is_stopping() && !std::mem::replace(&mut self.is_node_told, true) {
            // A node that has ended has stopped already.
            let _ = self.inbox.send(Message::Stop);
        }
    }

    /// Puts another configuration in force.
    fn run(&mut self, loaded: Loaded) {
        for warning in &loaded.warnings {
            self.log.note(Level::WARN, warning.to_string());
        }
        let instances = count(loaded.node.routers.len(), "instance");
        let text = format!(
            "configuration reloaded from {}: {instances}",
            self.file.display()
        );
        self.log.note(Level::INFO, &text);
        let answer = Answer {
            done: true,
            lines: vec![text],
            problems: loaded.warnings.iter().map(warning).collect(),
        };
        let (node, params) = ServiceParams::split(loaded);
        let renames = self.running.renames(&params.node);
        self.running = Arc::clone(&params.node);
        self.runner.look_up(params.users());
        self.longest_hand_over = params.longest_hand_over;
        self.notifier.configure(params.notify);
        // First the node, so that it knows the tracker or name of every result.
        let _ = self.inbox.send(Message::Configure(node));
        self.answer_reloaders(&answer);
        self.resources.reconfigure(params.resources, renames);
        self.trackers.set(params.probes);
        self.names.set(params.names);
        self.process.reloaded(None);
        self.tell_ready();
    }

    fn answer_reloaders(&mut self, answer: &Answer) {
        for reply in self.reloaders.drain(..) {
            // The client may have disconnected.
            let _ = reply.send(answer.clone());
        }
    }

    /// Answers with the changes that a reload would make.
    pub(super) fn foresee(&self, reply: oneshot::Sender<Answer>) {
        let (file, running) = (self.file.clone(), Arc::clone(&self.running));
        // On another thread, as a reload.
        spawn_blocking(move || {
            let answer = match load(&file, Secrets::Read) {
                Ok(loaded) => Answer {
                    done: true,
                    lines: changes(&running, &loaded.node),
                    problems: loaded.warnings.iter().map(warning).collect(),
                },
                Err(error) => Answer {
                    problems: error.to_string().lines().map(ToOwned::to_owned).collect(),
                    ..Answer::default()
                },
            };
            let _ = reply.send(answer);
        });
    }

    /// Carries out the orders of the resources.
    fn carry_out(&mut self) {
        for order in self.resources.orders() {
            if let Some((level, text)) = order.words() {
                self.log.note(level, text);
            }
            if let Order::Inhibit { router, why } = order {
                let _ = self.inbox.send(Message::Inhibited { router, why });
            }
        }
    }

    /// Finishes after the end of the node: runs the remaining notify commands and stops the
    /// remaining units, both at the same time. Waits as long as that may take, or until
    /// `told_again`, a further stop signal.
    pub(super) async fn finish(mut self, told_again: impl Future<Output = ()>) {
        if self.has_left {
            return;
        }
        self.resources.retire(|_| true);
        self.carry_out();
        let all = self.resources.names();
        let longest = self
            .notifier
            .finish()
            .max(self.resources.longest_stop(&all));
        if longest.is_zero() {
            return;
        }
        let longest = longest + GRACE;
        systemd::extend(longest, &self.log);
        let is_patient = self.times_told_to_stop < 2;
        let finishing = async {
            while !self.notifier.has_told_all() || !self.resources.are_at_rest() {
                self.turn().await;
                self.carry_out();
            }
        };
        let told_again = async {
            if is_patient {
                told_again.await;
            }
        };
        tokio::select! {
            biased;
            _ = timeout(longest, finishing) => {}
            () = told_again => {}
        }
        if !self.notifier.has_told_all() {
            let text = "notify commands of the stop did not end in time: killing them";
            self.log.note(Level::WARN, text);
        }
        if !self.resources.are_at_rest() {
            let text = "resources did not stop in time: vrrpd cleanup stops the rest";
            self.log.note(Level::WARN, text);
        }
    }
}

/// Waits until the configuration has been read. Nothing is lost if the future is dropped before its
/// end.
async fn read(file: &Path, reading: &mut Option<Reading>, log: &Log) -> Result<Loaded, LoadError> {
    let Some(reading) = reading else {
        return pending().await;
    };
    loop {
        let slow = async {
            match reading.slow_at {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            read = &mut reading.read => match read {
                Ok(loaded) => return loaded,
                // A panic ends the process, and nothing aborts the task.
                Err(_) => return pending().await,
            },
            () = slow => {
                reading.slow_at = None;
                let text = format!(
                    "reading {} takes longer than {SLOW:?} (does its file system answer?): the configuration \
                     in force stays until it has been read",
                    file.display()
                );
                log.note(Level::WARN, text);
            }
        }
    }
}

fn warning(problem: &Problem) -> String {
    format!("warning: {problem}")
}

fn list(names: &BTreeSet<Arc<str>>) -> String {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
