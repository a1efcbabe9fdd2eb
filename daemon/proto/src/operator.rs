//! Standing commands of the operator. A standing command changes the elections of a node until it
//! ends: by itself at a time that is part of it, or by another command.
//!
//! | command | effect |
//! | --- | --- |
//! | drain | every instance has the lowest priority, 1, and preempts no master |
//! | step-down | the same for one instance and its sync group; a master resigns at once |
//! | priority | another priority replaces the configured one; the weights of trackers are added to it |
//!
//! A drained or stepped-down instance that is not to be the last resort never takes over, and a
//! master resigns at once. No command concerns the owner of the addresses: its priority has to be 255
//! (RFC 9568 section 5.2.4), and its addresses stay on the host in any case.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::params::Renames;
use crate::time::Instant;
use crate::types::Priority;

/// Standing command of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingCommand {
    /// Effect.
    pub order: Order,
    /// Time of its end, or `None` if only another command ends it.
    pub until: Option<Instant>,
    /// User who gave it, in words: `alice (uid 1000)`.
    pub by: Arc<str>,
    /// Reason in the operator's words.
    pub reason: Option<Arc<str>>,
}

/// Effect of a standing command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Leaves mastership of all routers to other hosts.
    Drain {
        /// Whether a router of this node becomes master if no other host does.
        last_resort: bool,
    },
    /// Replaces the configured priority of a router.
    Priority {
        /// Name of the router.
        router: Arc<str>,
        /// Priority, 1 to 254.
        priority: Priority,
    },
    /// Leaves mastership of a router and its sync group to another host.
    StepDown {
        /// Name of the router.
        router: Arc<str>,
        /// Whether the router becomes master if no other host does.
        last_resort: bool,
    },
}

/// Kind of a standing command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CommandKind {
    /// [`Order::Drain`].
    Drain,
    /// [`Order::Priority`].
    Priority,
    /// [`Order::StepDown`].
    StepDown,
}

/// Identity of a standing command: one of each kind stands for a router, and one drain for the node.
/// A further one replaces it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandKey {
    /// Kind.
    pub kind: CommandKind,
    /// Name of the router, or `None` for the whole node.
    pub router: Option<Arc<str>>,
}

/// Change of a standing command, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandChange {
    /// It stands from now on, for this time, or until it is ended.
    Begun(Option<Duration>),
    /// Its time is over.
    Expired,
    /// This user ended it.
    Ended(Arc<str>),
}

impl CommandKey {
    /// Key of the drain of the node.
    pub const DRAIN: Self = Self {
        kind: CommandKind::Drain,
        router: None,
    };

    /// Key of a command for a router.
    pub(crate) fn of(kind: CommandKind, router: &Arc<str>) -> Self {
        Self {
            kind,
            router: Some(Arc::clone(router)),
        }
    }
}

impl Order {
    /// Kind of the command.
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::Drain { .. } => CommandKind::Drain,
            Self::Priority { .. } => CommandKind::Priority,
            Self::StepDown { .. } => CommandKind::StepDown,
        }
    }

    /// Router that the command is for, or `None` for the whole node.
    pub const fn router(&self) -> Option<&Arc<str>> {
        match self {
            Self::Drain { .. } => None,
            Self::Priority { router, .. } | Self::StepDown { router, .. } => Some(router),
        }
    }

    /// Whether a router that stands back becomes master if no other host does. `None` for a command
    /// after which routers do not stand back.
    pub const fn last_resort(&self) -> Option<bool> {
        match self {
            Self::Drain { last_resort } | Self::StepDown { last_resort, .. } => Some(*last_resort),
            Self::Priority { .. } => None,
        }
    }

    /// Priority that replaces the configured one.
    pub const fn priority(&self) -> Option<Priority> {
        match self {
            Self::Priority { priority, .. } => Some(*priority),
            Self::Drain { .. } | Self::StepDown { .. } => None,
        }
    }

    /// Identity of the command.
    pub fn key(&self) -> CommandKey {
        CommandKey {
            kind: self.kind(),
            router: self.router().cloned(),
        }
    }
}

impl fmt::Display for CommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Drain => "drain",
            Self::Priority => "priority",
            Self::StepDown => "step-down",
        })
    }
}

/// The standing commands of a node.
#[derive(Debug, Default)]
pub(crate) struct StandingCommands {
    commands: BTreeMap<CommandKey, StandingCommand>,
    /// Ends of the commands that have one.
    ends: BTreeSet<(Instant, CommandKey)>,
}

impl StandingCommands {
    /// Adds a command, in place of one with the same key.
    pub(crate) fn set(&mut self, command: StandingCommand) {
        let key = command.order.key();
        self.end(&key);
        if let Some(until) = command.until {
            self.ends.insert((until, key.clone()));
        }
        self.commands.insert(key, command);
    }

    /// Gives the commands for renamed routers the new names. A command that stands for a router of a new name is replaced.
    pub(crate) fn rename(&mut self, renames: &Renames) {
        let is_renamed = |key: &&CommandKey| {
            let router = key.router.as_ref();
            router.is_some_and(|router| renames.new_name(router).is_some())
        };
        let keys: Vec<_> = self.commands.keys().filter(is_renamed).cloned().collect();
        let commands: Vec<_> = keys.iter().filter_map(|key| self.end(key)).collect();
        for mut command in commands {
            if let Order::Priority { router, .. } | Order::StepDown { router, .. } =
                &mut command.order
            {
                *router = Arc::clone(renames.present(router));
            }
            self.set(command);
        }
    }

    /// Removes and returns a command.
    pub(crate) fn end(&mut self, key: &CommandKey) -> Option<StandingCommand> {
        let ended = self.commands.remove(key)?;
        if let Some(until) = ended.until {
            self.ends.remove(&(until, key.clone()));
        }
        Some(ended)
    }

    /// Removes and returns the command that ends first, if it ends by `now`.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<StandingCommand> {
        let (until, key) = self.ends.first()?;
        if *until > now {
            return None;
        }
        let key = key.clone();
        self.end(&key)
    }

    /// Earliest end of a command.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Command with a key.
    pub(crate) fn get(&self, key: &CommandKey) -> Option<&StandingCommand> {
        self.commands.get(key)
    }

    /// All commands, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &StandingCommand> {
        self.commands.values()
    }
}
