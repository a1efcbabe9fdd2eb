//! What goes along with the node: what it needs looked at, who is told of what becomes of its routers, and
//! what runs where they are master. How the daemon stops and is given another configuration is decided here,
//! because both may have to wait.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Level;
use vrrp_config::{Command, Loaded, Probe, Secrets, load};
use vrrp_proto::notify::{Notify, Subject};
use vrrp_proto::snapshot::Snapshot;

use super::names::Names;
use super::notify::{self, Notifier};
use super::resources::{self, Configured, Order, Resources, configured};
use super::systemd;
use super::trackers::Trackers;
use crate::check::count;
use crate::log_writer::Log;
use crate::run::{Inbox, Message, NodeEvent, StateCounts};
use crate::units::Units;

/// How much longer than they should those who are told of the stop and what is stopped are waited for: what
/// was killed has to be gone, too.
const GRACE: Duration = Duration::from_secs(1);

/// What goes along with the node.
pub(super) struct Follower {
    file: PathBuf,
    trackers: Trackers,
    names: Names,
    notifier: Notifier,
    resources: Resources,
    resources_board: resources::StatusHandle,
    /// What is to be run when resources have stopped.
    next: Option<Box<Loaded>>,
    /// The routers whose resources are waited for.
    waits_for: BTreeSet<Arc<str>>,
    times_told_to_stop: u32,
    /// Whether the node was told to stop.
    is_node_told: bool,
    inbox: Inbox,
    state_counts: watch::Receiver<StateCounts>,
    log: Log,
}

/// What those who go along with the node add to what it shows of itself. Clones show the same.
#[derive(Clone)]
pub(super) struct StatusHandles {
    notify: notify::StatusHandle,
    resources: resources::StatusHandle,
}

impl StatusHandles {
    /// Adds to a snapshot of the node what the node does not know.
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        self.notify.complete(snapshot);
        self.resources.complete(snapshot);
    }
}

impl Follower {
    /// Nobody is told of anything and nothing follows yet. `file` is read again at a reload, `units` lead to systemd,
    /// and the node is behind `inbox`.
    pub(super) fn new(
        file: PathBuf,
        units: Units,
        inbox: Inbox,
        state_counts: watch::Receiver<StateCounts>,
        log: Log,
    ) -> Self {
        let resources_board = resources::StatusHandle::default();
        Self {
            file,
            trackers: Trackers::new(units.clone(), inbox.clone(), log.clone()),
            names: Names::new(inbox.clone(), log.clone()),
            notifier: Notifier::new(BTreeMap::new(), log.clone()),
            resources: Resources::new(units, resources_board.clone()),
            resources_board,
            next: None,
            waits_for: BTreeSet::new(),
            times_told_to_stop: 0,
            is_node_told: false,
            inbox,
            state_counts,
            log,
        }
    }

    /// Begins with what belongs to the configuration that the node begins with, and tells systemd so.
    pub(super) fn begin(
        &mut self,
        probes: BTreeMap<Arc<str>, Probe>,
        notify: BTreeMap<Subject, Notify<Arc<Command>>>,
        resources: Configured,
        names: BTreeSet<Arc<str>>,
    ) {
        self.notifier = Notifier::new(notify, self.log.clone());
        self.resources.set(resources);
        self.trackers.set(probes);
        self.names.set(names);
        self.tell_ready();
    }

    /// How it stands, now and later.
    pub(super) fn status_handles(&self) -> StatusHandles {
        StatusHandles {
            notify: self.notifier.status_handle(),
            resources: self.resources_board.clone(),
        }
    }

    fn tell_ready(&self) {
        systemd::ready(*self.state_counts.borrow(), &self.log);
    }

    /// Takes in what has become of the routers: this is the only way on which anybody who follows them
    /// hears of it.
    pub(super) fn take(&mut self, moved: &NodeEvent) {
        self.notifier.take(moved);
        match moved {
            NodeEvent::Transition(transition) => self.resources.moved(transition),
            NodeEvent::Priority { .. } | NodeEvent::Configured => {}
        }
    }

    /// Does what is to be done, and waits until that may be something else. Nothing is lost when it is
    /// dropped before its end.
    pub(super) async fn turn(&mut self) {
        tokio::select! {
            () = self.notifier.turn() => {}
            news = self.resources.next() => self.resources.take(news),
        }
    }

    /// Hands over, or first has stopped what is to be stopped before. Told so again, it waits for nothing.
    pub(super) fn stop(&mut self) {
        self.times_told_to_stop += 1;
        if self.times_told_to_stop > 1 {
            if !self.waits_for.is_empty() {
                let text = format!(
                    "told to stop again: handing over, though the resources of {} still run",
                    list(&self.waits_for)
                );
                self.log.note(Level::WARN, text);
                self.waits_for.clear();
            }
            return;
        }
        systemd::stopping(&self.log);
        self.next = None;
        let first = self.resources.wait_for(None);
        if first.is_empty() {
            self.log.note(Level::INFO, "told to stop: handing over");
        } else {
            let text = format!("told to stop: first the resources of {}", list(&first));
            self.log.note(Level::INFO, text);
        }
        self.wait_for(first);
        let longest = self.resources.longest_stop(&self.waits_for);
        if !longest.is_zero() {
            systemd::extend(longest + GRACE, &self.log);
        }
    }

    /// Reads the configuration again, as a whole: when anything in it is wrong, everything stays.
    pub(super) fn reload(&mut self) {
        if self.times_told_to_stop > 0 {
            return;
        }
        systemd::reloading(&self.log);
        match load(&self.file, Secrets::Read) {
            Ok(loaded) => {
                let first = self.resources.wait_for(Some(&loaded.node));
                if !first.is_empty() {
                    let text = format!(
                        "{} read again: first the resources of {} are stopped",
                        self.file.display(),
                        list(&first)
                    );
                    self.log.note(Level::INFO, text);
                }
                self.next = Some(Box::new(loaded));
                self.wait_for(first);
            }
            Err(error) => {
                for line in error.to_string().lines() {
                    self.log.note(Level::ERROR, line);
                }
                let text = "the configuration is wrong: the one in force stays";
                self.log.note(Level::ERROR, text);
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

    /// Carries out what came of the last event.
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
        if self.times_told_to_stop > 0 && !std::mem::replace(&mut self.is_node_told, true) {
            // A node that is gone has stopped already.
            let _ = self.inbox.send(Message::Stop);
        }
    }

    /// Runs another configuration.
    fn run(&mut self, loaded: Loaded) {
        let Loaded {
            node,
            probes,
            notify,
            resources,
            warnings,
        } = loaded;
        for warning in &warnings {
            self.log.note(Level::WARN, warning.to_string());
        }
        let instances = count(node.routers.len(), "instance");
        self.log.note(
            Level::INFO,
            format!("{} read again: {instances}", self.file.display()),
        );
        let names = node.peer_names();
        let resources = configured(&node, resources);
        self.notifier.configure(notify);
        // First the node, so that no result comes in for a tracker or a name that it does not know.
        let _ = self.inbox.send(Message::Configure(node));
        self.resources.set(resources);
        self.trackers.set(probes);
        self.names.set(names);
        self.tell_ready();
    }

    /// Does what resources want done.
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

    /// The node is gone: what is still to be told is told, and what still runs is stopped, both at once, as
    /// long as that may take and until somebody is `told_again` to stop.
    pub(super) async fn finish(mut self, told_again: impl Future<Output = ()>) {
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
            let text = "not everybody was told of the stop: what still runs for that is killed";
            self.log.note(Level::WARN, text);
        }
        if !self.resources.are_at_rest() {
            let text = "not all resources were stopped: vrrpd cleanup stops the rest";
            self.log.note(Level::WARN, text);
        }
    }
}

fn list(names: &BTreeSet<Arc<str>>) -> String {
    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
