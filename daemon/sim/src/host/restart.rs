//! Restart of a host's daemon: the state passes from one process to the next in its real format.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use vrrp_node::node::Node;
use vrrp_proto::checkpoint::Checkpoint;
use vrrp_proto::routing::Routed;
use vrrp_proto::snapshot::Snapshot;
use vrrp_proto::{Engine, Input, Instant, Output, Report, State};

use super::{Host, Process};
use crate::invariants::{Invariant, Violation};
use crate::machine::{Machine, Own};
use crate::records::Record;

impl Host {
    /// Whether a restart of the daemon is no event: a router in fault or in its grace starts anew, and what
    /// the kernel has rejected is tried again.
    pub(crate) fn may_restart(&self) -> bool {
        let Some(process) = self.process.as_ref().filter(|_| self.runs()) else {
            return false;
        };
        let engine = process.node.engine();
        let serves = |state| matches!(state, State::Backup | State::Master);
        engine.states().all(|(_, state)| serves(state))
            && engine.interrupted().next().is_none()
            && !engine.is_handing_over()
            && process.inbox.is_empty()
            // Nothing is to be announced, reported or tried again, and no silence is being observed.
            && process.node.due().is_none()
            && engine.watched().next().is_none()
            && !self.kernel.has_news()
            && !self.kernel.has_dropped_output()
            && !self.kernel.forbids()
            && !self.kernel.is_refusing()
            && self.has_only_own_routing(engine)
            && self.shows_all_addresses(engine)
    }

    /// Whether the kernel shows all addresses of the masters. It hides one in duplicate address detection, which
    /// another program has added before: the next process adds and announces that address once more.
    fn shows_all_addresses(&self, engine: &Engine) -> bool {
        let shown: BTreeSet<_> = self
            .kernel
            .addresses()
            .map(|(interface, address, _)| (interface, address))
            .collect();
        engine.held().all(|held| shown.contains(&held))
    }

    /// Whether no route or rule was added by hand that the daemon has not noticed.
    fn has_only_own_routing(&self, engine: &Engine) -> bool {
        let held: BTreeSet<Routed> = engine.held_routing().collect();
        self.kernel.routed().all(|what| held.contains(&what))
    }

    /// Restarts the daemon, and returns the inputs of its successor.
    pub(crate) fn restart(&mut self, world: Instant) -> Result<Vec<Record>, Violation> {
        let (now, wall) = (self.clock.shows(world), self.wall(world));
        let Some(mut process) = self.process.take() else {
            return Ok(Vec::new());
        };
        process.own.device_reaper.finish(&mut self.kernel);
        let withheld = withheld(&process.node, now);
        let before = (
            shown(&process.node, now, &withheld),
            self.kernel.configuration(),
        );
        let engine = process.node.engine();
        let due = engine.poll_timeout();
        process.own.begin_turn(now);
        let mut machine = Machine {
            kernel: &mut self.kernel,
            own: &mut process.own,
        };
        let left = process.node.hand_over(now, &mut machine);
        let (checkpoint, _) = left.map_err(|error| broken(error.to_string()))?;
        let (mut records, mut sent) = machine.end_turn();
        let Process { may_choose, .. } = process;
        let left: Checkpoint = carry_over(&checkpoint)?;

        self.kernel.listen(false);
        self.kernel.listen(true);
        let params = self.config.params(self.id, &self.stations);
        let mut node = Node::new();
        let mut own = Own::new(now, self.config.clone());
        let mut machine = Machine {
            kernel: &mut self.kernel,
            own: &mut own,
        };
        for command in self.commands.values() {
            node.handle(now, Input::Command(command.clone()), &mut machine);
        }
        // Never fails: the model of the kernel always returns a dump.
        let _ = node.resume(now, wall, params, left, &mut machine);
        let (more, further) = machine.end_turn();
        records.extend(more);
        sent.extend(further);
        let after = (shown(&node, now, &withheld), self.kernel.configuration());
        let due_after = node.engine().poll_timeout();
        self.process = Some(Process {
            node,
            own,
            inbox: VecDeque::new(),
            may_choose,
        });
        if let Some(sent) = sent.first() {
            return Err(broken(format!("{sent:?}")));
        }
        let mut outputs = records.iter().flat_map(|record| &record.outputs);
        if let Some(output) = outputs.find(|output| is_event(output)) {
            return Err(broken(format!("{output:?}")));
        }
        if due != due_after {
            return Err(broken(format!("due at {due_after:?} instead of {due:?}")));
        }
        if before != after {
            return Err(broken(format!("{after:#?} instead of {before:#?}")));
        }
        Ok(records)
    }
}

/// Writes a value as one process does, and reads it as the next one does.
pub(crate) fn carry_over<T: Serialize + DeserializeOwned>(value: &T) -> Result<T, Violation> {
    let text = serde_json::to_string(value).map_err(|error| broken(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| broken(format!("{error}: {text}")))
}

fn broken(how: String) -> Violation {
    Invariant::Restart.broken(how)
}

/// Whether an output is more than the repetition of a request to the kernel.
const fn is_event(output: &Output) -> bool {
    match output {
        Output::Kernel(_) | Output::Routing(_) | Output::Device(_) | Output::Lvs(_) => false,
        Output::Report(report) => !matches!(report, Report::Continued(_) | Report::Command { .. }),
        Output::Advertise(_) | Output::Announce(_) | Output::Solicit(_) => true,
    }
}

/// Names of the routers that withhold a take-over.
fn withheld(node: &Node, now: Instant) -> BTreeSet<Arc<str>> {
    let routers = node.snapshot(now).instances.into_iter();
    let withheld = routers.filter(|router| router.withheld.is_some());
    withheld.map(|router| router.name).collect()
}

/// Status of a node, without what the next advertisement of each other router brings again. A take-over that
/// is `withheld` is the cause of the status, and is noticed again by the next process.
fn shown(node: &Node, now: Instant, withheld: &BTreeSet<Arc<str>>) -> Snapshot {
    let mut snapshot = node.snapshot(now);
    snapshot.dropped = Default::default();
    for instance in &mut snapshot.instances {
        instance.others.clear();
        instance.address_conflict = None;
        if withheld.contains(&instance.name) {
            instance.withheld = None;
            instance.cause = "".into();
        }
    }
    for group in &mut snapshot.groups {
        if group.members.iter().any(|member| withheld.contains(member)) {
            group.cause = "".into();
        }
    }
    snapshot
}
