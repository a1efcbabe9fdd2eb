//! Standing commands of the operator, applied to the routers: see [`crate::operator`].
//!
//! A router that stands back has the lowest priority, 1, so that every backup that preempts takes over
//! after its skew time, and this router preempts no other. A step-down resigns in addition (priority 0),
//! so that also a backup that does not preempt takes over. The router then waits as any backup, for the
//! longest of all waits because of its priority: without another master it is master again after that,
//! unless it is not to be the last resort.
//!
//! A step-down of one member of a sync group is that of all members. Another priority concerns its
//! router only.

use core::ops::Range;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::conditions::Standby;
use super::instance::Instance;
use super::{Engine, RouterId};
use crate::events::{Output, Report};
use crate::operator::{CommandChange, CommandKey, CommandKind, Order, StandingCommand};
use crate::reasons::Cause;
use crate::snapshot::CommandStatus;
use crate::time::Instant;
use crate::types::State;

impl Engine {
    pub(super) fn handle_command(&mut self, now: Instant, command: StandingCommand) {
        if command.until.is_some_and(|at| at <= now) {
            // It still replaces an earlier command of its kind.
            let StandingCommand { order, by, .. } = command;
            return self.end_command(now, &order.key(), by);
        }
        let left = command.until.map(|at| at.since(now));
        self.report_command(command.clone(), CommandChange::Begun(left));
        let order = command.order.clone();
        let cause = cause(&command);
        self.commands.set(command);
        let routers = self.concerned(&order.key());
        self.apply_commands(now, &routers);
        let resigns = match &order {
            Order::StepDown { .. } => true,
            Order::Drain { last_resort } => !last_resort,
            Order::Priority { .. } => false,
        };
        if resigns {
            // Of a group the named member comes first, and the others follow it.
            let named = order.router().and_then(|router| self.position(router));
            for id in named.into_iter().chain(routers) {
                self.step_down_by_order(now, id, &cause);
            }
        }
    }

    pub(super) fn end_command(&mut self, now: Instant, key: &CommandKey, by: Arc<str>) {
        if let Some(command) = self.commands.end(key) {
            self.report_command(command, CommandChange::Ended(by));
            let routers = self.concerned(key);
            self.apply_commands(now, &routers);
        }
    }

    /// Ends the commands whose time is over, all of them before their routers change: a timer that one of them
    /// restarts depends on the priority that another one sets.
    pub(super) fn expire_commands(&mut self, now: Instant) {
        let mut routers = BTreeSet::new();
        while let Some(command) = self.commands.take_expired(now) {
            routers.extend(self.concerned(&command.order.key()));
            self.report_command(command, CommandChange::Expired);
        }
        let routers: Vec<RouterId> = routers.into_iter().collect();
        self.apply_commands(now, &routers);
    }

    /// Returns the standing commands of the operator: the drain first, then those for one router, by
    /// kind and name.
    pub fn standing_commands(&self) -> impl Iterator<Item = &StandingCommand> {
        self.commands.iter()
    }

    /// Whether a router is the owner of its addresses, so that no command of the operator concerns it.
    /// `None` if no router has the name.
    pub fn is_owner(&self, router: &str) -> Option<bool> {
        let id = self.position(router)?;
        Some(self.instances[id].params.priority.is_owner())
    }

    /// Announces the addresses of a master, or of all masters.
    pub(super) fn announce_by_order(&mut self, now: Instant, router: Option<&str>) {
        let routers = match router {
            Some(router) => self.position(router).map_or(0..0, |id| id..id + 1),
            None => 0..self.instances.len(),
        };
        for id in routers {
            self.wake(now, id);
            let instance = &self.instances[id];
            // During its grace the interface is missing, and the end of the grace announces.
            if instance.router.state() == State::Master && instance.grace.is_none() {
                self.announce_all(id);
            }
        }
    }

    /// Determines the effect of all commands on all routers.
    pub(super) fn assign_commands(&mut self) {
        for id in 0..self.instances.len() {
            self.assign_commands_to(id);
        }
    }

    /// Makes backups of the masters that are never to take over.
    pub(super) fn step_down_barred(&mut self, now: Instant, routers: Range<RouterId>) {
        for id in routers {
            let instance = &self.instances[id];
            let barred = self
                .commands_for(instance)
                .find(|command| command.order.last_resort() == Some(false));
            if let Some(cause) = barred.map(cause) {
                self.step_down_by_order(now, id, &cause);
            }
        }
    }

    /// Returns the routers that a command concerns.
    fn concerned(&self, key: &CommandKey) -> Vec<RouterId> {
        match &key.router {
            None => (0..self.instances.len()).collect(),
            Some(router) => self
                .position(router)
                .map_or_else(Vec::new, |id| self.united(id)),
        }
    }

    /// Applies the commands in force to some routers.
    fn apply_commands(&mut self, now: Instant, routers: &[RouterId]) {
        for id in routers {
            self.wake(now, *id);
            self.assign_commands_to(*id);
        }
        for id in routers {
            self.refresh_priority(now, *id);
            self.update_deadline(now, *id);
            self.instances[*id].prepare();
        }
    }

    fn assign_commands_to(&mut self, id: RouterId) {
        let (mut standby, mut priority): (Option<Standby>, _) = (None, None);
        for StandingCommand { order, .. } in self.commands_for(&self.instances[id]) {
            priority = priority.or(order.priority());
            let Some(last_resort) = order.last_resort() else {
                continue;
            };
            if standby.is_none_or(|known| known.last_resort && !last_resort) {
                let kind = order.kind();
                standby = Some(Standby { kind, last_resort });
            }
        }
        let conditions = &mut self.instances[id].conditions;
        (conditions.standby, conditions.priority) = (standby, priority);
    }

    /// Returns the commands in force for a router: the drain, its own, and the step-downs of the other
    /// members of its group.
    fn commands_for<'a>(
        &'a self,
        instance: &'a Instance,
    ) -> impl Iterator<Item = &'a StandingCommand> {
        let group = instance.group.map(|group| &self.groups[group]);
        let members = group.map_or(&[][..], |group| &group.members);
        let others = members
            .iter()
            .map(|id| &self.instances[*id].name)
            .filter(|name| **name != instance.name);
        let keys = [
            CommandKey::DRAIN,
            CommandKey::of(CommandKind::Priority, &instance.name),
            CommandKey::of(CommandKind::StepDown, &instance.name),
        ];
        let shared = others.map(|name| CommandKey::of(CommandKind::StepDown, name));
        let all = keys.into_iter().chain(shared);
        // RFC 9568 5.2.4 MUST: the owner's priority is 255
        let concerned = !instance.params.priority.is_owner();
        all.filter_map(move |key| self.commands.get(&key).filter(|_| concerned))
    }

    /// Makes backups of a master and of the other members of its group, which hand over.
    fn step_down_by_order(&mut self, now: Instant, id: RouterId, cause: &Cause) {
        let instance = &self.instances[id];
        if instance.router.state() != State::Master || instance.conditions.standby.is_none() {
            return;
        }
        let others = self.with(id, cause);
        for member in self.united(id) {
            let cause = if member == id { cause } else { &others };
            let router = &mut self.instances[member].router;
            let reaction = router.hand_over(now, cause.clone());
            self.react(now, member, reaction);
        }
    }

    fn report_command(&mut self, command: StandingCommand, change: CommandChange) {
        self.outputs
            .push_back(Output::Report(Report::Command { command, change }));
    }

    /// Returns the status of all commands.
    pub(super) fn command_statuses(&self, now: Instant) -> Vec<CommandStatus> {
        let all = self.commands.iter();
        all.map(|command| status(now, command)).collect()
    }

    /// Returns the status of the commands in force for a router.
    pub(super) fn commands_of(&self, now: Instant, instance: &Instance) -> Vec<CommandStatus> {
        let all = self.commands_for(instance);
        all.map(|command| status(now, command)).collect()
    }
}

/// Cause of the transition of a master that a command makes backup.
fn cause(command: &StandingCommand) -> Cause {
    Cause::Command {
        kind: command.order.kind(),
        by: Arc::clone(&command.by),
        reason: command.reason.clone(),
    }
}

fn status(now: Instant, command: &StandingCommand) -> CommandStatus {
    CommandStatus {
        command: command.order.kind(),
        instance: command.order.router().cloned(),
        priority: command.order.priority(),
        last_resort: command.order.last_resort(),
        by: Arc::clone(&command.by),
        reason: command.reason.clone(),
        ends_in: command.until.map(|at| at.since(now).as_secs_f64()),
    }
}
