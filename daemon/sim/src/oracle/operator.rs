//! Expected effect of the operator's commands: docs/operations.md has the rules.
//!
//! A router that stands back advertises priority 1. One that is not to be the last resort takes over
//! never, and resigns if it is master, as does one that steps down. No command concerns an owner.

use vrrp_proto::operator::{CommandKey, CommandKind, Order, StandingCommand};
use vrrp_proto::{Cause, Instant, State};

use super::reference::Phase;
use super::reference::group::{Moves, moves};
use super::{Oracle, compare};
use crate::invariants::Violation;
use crate::records::Record;
use crate::scenario::RouterConfig;

impl Oracle {
    /// Name of the router with this configuration.
    pub(super) fn name_of(&self, config: &RouterConfig) -> Option<&str> {
        if self.commands.is_empty() {
            return None;
        }
        let running = self.routers.iter();
        let running = running.map(|(name, router)| (name, &router.config));
        let mut all = running.chain(&self.config.routers);
        let (name, _) = all.find(|(_, own)| *own == config)?;
        Some(name)
    }

    /// Whether a router leaves mastership to other hosts.
    pub(super) fn stands_back(&self, name: &str) -> bool {
        self.orders_for(name)
            .any(|order| order.last_resort().is_some())
    }

    /// Whether a router never takes over.
    pub(crate) fn is_barred(&self, name: &str) -> bool {
        self.orders_for(name)
            .any(|order| order.last_resort() == Some(false))
    }

    /// Whether a router never takes over, by a command of this kind.
    pub(super) fn is_barred_by(&self, name: &str, kind: CommandKind) -> bool {
        let mut orders = self.orders_for(name);
        orders.any(|order| order.last_resort() == Some(false) && order.kind() == kind)
    }

    /// Priority that the operator gave a router.
    pub(super) fn ordered_priority(&self, name: &str) -> Option<u8> {
        let mut orders = self.orders_for(name);
        orders.find_map(|order| Some(order.priority()?.get()))
    }

    /// Whether the time of a command that concerns a router is over.
    pub(super) fn has_expired_command(&self, now: Instant, name: &str) -> bool {
        let is_over = |command: &StandingCommand| command.until.is_some_and(|at| at <= now);
        let mut commands = self.commands.values();
        commands.any(|command| is_over(command) && self.concerns(&command.order, name))
    }

    /// Orders that concern a router.
    fn orders_for<'o>(&'o self, name: &'o str) -> impl Iterator<Item = &'o Order> {
        let orders = self.commands.values().map(|command| &command.order);
        orders.filter(move |order| self.concerns(order, name))
    }

    fn concerns(&self, order: &Order, name: &str) -> bool {
        let configs = [
            self.routers.get(name).map(|router| &router.config),
            self.config.routers.get(name),
        ];
        if configs
            .into_iter()
            .flatten()
            .next()
            .is_none_or(|c| c.priority == 255)
        {
            return false;
        }
        let is_in_its_group = |other: &str| {
            let group = self.group_of(name);
            group.is_some() && group == self.group_of(other)
        };
        match order {
            Order::Drain { .. } => true,
            Order::Priority { router, .. } => **router == *name,
            Order::StepDown { router, .. } => **router == *name || is_in_its_group(router),
        }
    }

    /// Applies the commands in force. A backup that may take over again waits from now on.
    pub(super) fn apply_commands(&mut self, now: Instant) {
        let names: Vec<String> = self.routers.keys().cloned().collect();
        for name in names {
            let barred = self.is_barred(&name);
            let priority = self.priority(&self.routers[&name].config);
            let Some(router) = self.routers.get_mut(&name) else {
                continue;
            };
            let was_barred = std::mem::replace(&mut router.barred, barred);
            if let Phase::Backup(listening) = &mut router.phase
                && was_barred
                && !barred
            {
                listening.wait_anew(&router.config, now, priority);
                listening.end_watch();
            }
        }
        self.may_settle_late = true;
    }

    /// Ends the commands whose time is over.
    pub(super) fn expire_commands(&mut self, now: Instant) {
        let before = self.commands.len();
        self.commands
            .retain(|_, command| command.until.is_none_or(|at| at > now));
        if self.commands.len() < before {
            self.apply_commands(now);
        }
    }

    /// Checks the effect of a command.
    pub(super) fn watch_command(
        &mut self,
        now: Instant,
        command: &StandingCommand,
        record: &Record,
    ) -> Result<(), Violation> {
        if command.until.is_some_and(|at| at <= now) {
            return self.watch_end_of_command(now, &command.order.key(), record);
        }
        let order = &command.order;
        self.commands.insert(order.key(), command.clone());
        self.apply_commands(now);
        let resigns = match order {
            Order::StepDown { .. } => true,
            Order::Drain { last_resort } => !last_resort,
            Order::Priority { .. } => false,
        };
        let mut expected = Moves::new();
        let cause = Cause::Command {
            kind: order.kind(),
            by: command.by.clone(),
            reason: command.reason.clone(),
        };
        let named = order.router().map(ToString::to_string);
        let names: Vec<String> = self.routers.keys().cloned().collect();
        for name in named.into_iter().chain(names).filter(|_| resigns) {
            let Some(router) = self.routers.get(&name) else {
                continue;
            };
            if router.state() != State::Master || !self.concerns(order, &name) {
                continue;
            }
            let group = self.group_of(&name);
            let all = group.map_or(vec![name.clone()], |group| self.members_of(&group));
            for member in &all {
                let priority = self.priority(&self.routers[member].config);
                if let Some(router) = self.routers.get_mut(member) {
                    router.phase = router.listen_to_all(now, priority);
                }
            }
            expected.extend(moves(&all, &name, State::Backup, &cause));
        }
        self.watch_moves(&expected, record)
    }

    /// Checks the end of a command: no router changes its state at once.
    pub(super) fn watch_end_of_command(
        &mut self,
        now: Instant,
        key: &CommandKey,
        record: &Record,
    ) -> Result<(), Violation> {
        if self.commands.remove(key).is_some() {
            self.apply_commands(now);
        }
        self.watch_moves(&Moves::new(), record)
    }

    /// Checks that the masters, or the named one, announce their addresses.
    pub(super) fn watch_ordered_announcement(
        &self,
        router: Option<&str>,
        record: &Record,
    ) -> Result<(), Violation> {
        for (name, watched) in &self.routers {
            compare(name, None, record, |t| !super::overslept(t))?;
            let is_named = router.is_none_or(|router| router == name);
            let announces = is_named && watched.state() == State::Master;
            self.compare_announcement(name, announces, record)?;
        }
        Ok(())
    }

    fn watch_moves(&self, expected: &Moves, record: &Record) -> Result<(), Violation> {
        for name in self.routers.keys() {
            compare(name, expected.get(name), record, |t| !super::overslept(t))?;
            self.compare_announcement(name, false, record)?;
        }
        Ok(())
    }
}
