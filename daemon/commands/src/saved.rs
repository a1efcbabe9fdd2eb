//! File of the standing commands, which keeps them over a restart of the daemon and of the host.
//!
//! A command ends at a time of the wall clock: no other clock survives the restart of the host.

use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vrrp_proto::operator::{CommandKind, Order, StandingCommand};
use vrrp_proto::{Instant, Priority};

use crate::request::LONGEST_TIME;

/// Version of the format.
const VERSION: u32 = 1;

/// Content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Saved {
    version: u32,
    commands: Vec<SavedCommand>,
}

/// A standing command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedCommand {
    command: CommandKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_resort: Option<bool>,
    by: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
    /// End in milliseconds since the beginning of 1970 (UTC), or `None` without a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
}

/// Reason why a text is no content of the file.
#[derive(Debug, Error)]
pub enum SavedError {
    /// The text is not of the format.
    #[error("malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The format has another version.
    #[error("it has version {0} of the format, and this vrrpd knows {VERSION}")]
    Version(u32),
    /// A command lacks a field of its kind.
    #[error("a {0} command lacks a field, or has the priority of an owner")]
    Incomplete(CommandKind),
    /// A command stands for longer than any request allows.
    #[error("a {0} command ends in more than ten years: is the clock of this host right?")]
    Clock(CommandKind),
}

impl Saved {
    /// Content for commands that stand at `now`, when the wall clock shows `wall` (since 1970).
    pub fn new(
        commands: impl IntoIterator<Item = StandingCommand>,
        now: Instant,
        wall: Duration,
    ) -> Self {
        let save = |command: StandingCommand| SavedCommand {
            command: command.order.kind(),
            instance: command.order.router().cloned(),
            priority: command.order.priority(),
            last_resort: command.order.last_resort(),
            by: command.by,
            reason: command.reason,
            until: command.until.map(|until| {
                let end = (wall + until.since(now)).as_millis();
                u64::try_from(end).unwrap_or(u64::MAX)
            }),
        };
        Self {
            version: VERSION,
            commands: commands.into_iter().map(save).collect(),
        }
    }

    /// Parses the file.
    ///
    /// # Errors
    /// If the text is not of the format, or of another version.
    pub fn parse(text: &[u8]) -> Result<Self, SavedError> {
        /// The part that every version has.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_slice(text)?;
        if version != VERSION {
            return Err(SavedError::Version(version));
        }
        Ok(serde_json::from_slice(text)?)
    }

    /// The file.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Commands that still stand at `now`, when the wall clock shows `wall`.
    ///
    /// # Errors
    /// If a command lacks a field, or its end is so far away that the clock must be wrong.
    pub fn commands(
        self,
        now: Instant,
        wall: Duration,
    ) -> Result<Vec<StandingCommand>, SavedError> {
        let mut commands = Vec::new();
        for saved in self.commands {
            let until = saved.until.map(Duration::from_millis);
            if until.is_some_and(|until| until <= wall) {
                continue;
            }
            let order = saved.order().ok_or(SavedError::Incomplete(saved.command))?;
            if until.is_some_and(|until| until - wall > LONGEST_TIME) {
                return Err(SavedError::Clock(saved.command));
            }
            commands.push(StandingCommand {
                order,
                until: until.map(|until| now + (until - wall)),
                by: saved.by,
                reason: saved.reason,
            });
        }
        Ok(commands)
    }
}

impl SavedCommand {
    fn order(&self) -> Option<Order> {
        let router = || self.instance.clone();
        Some(match self.command {
            CommandKind::Drain => Order::Drain {
                last_resort: self.last_resort?,
            },
            CommandKind::Priority => Order::Priority {
                router: router()?,
                priority: self.priority.filter(|priority| !priority.is_owner())?,
            },
            CommandKind::StepDown => Order::StepDown {
                router: router()?,
                last_resort: self.last_resort?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Duration = Duration::from_secs(1_800_000_000);

    fn seconds(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn drain(until: Option<Instant>) -> StandingCommand {
        StandingCommand {
            order: Order::Drain { last_resort: true },
            until,
            by: "root (uid 0)".into(),
            reason: None,
        }
    }

    #[test]
    fn commands_end_at_their_time_of_the_wall_clock() {
        let commands = [drain(Some(seconds(160)))];
        let text = Saved::new(commands, seconds(100), WALL).text();
        let after = |passed| {
            let saved = Saved::parse(text.as_bytes()).unwrap();
            // Another boot: the monotonic clock began anew.
            saved.commands(seconds(5), WALL + Duration::from_secs(passed))
        };
        assert_eq!(after(20).unwrap(), [drain(Some(seconds(45)))]);
        assert_eq!(after(60).unwrap(), []);
    }

    #[test]
    fn command_without_a_bound_stands_forever() {
        let text = Saved::new([drain(None)], seconds(100), WALL).text();
        let saved = Saved::parse(text.as_bytes()).unwrap();
        let commands = saved.commands(seconds(5), WALL * 2).unwrap();
        assert_eq!(commands, [drain(None)]);
    }

    #[test]
    fn end_after_ten_years_is_rejected() {
        let text = Saved::new([drain(Some(seconds(200)))], seconds(100), WALL).text();
        // The clock of a host without a battery begins in 1970.
        let saved = Saved::parse(text.as_bytes()).unwrap();
        let error = saved.commands(seconds(5), Duration::from_secs(60));
        assert!(matches!(error, Err(SavedError::Clock(CommandKind::Drain))));
    }

    #[test]
    fn file_of_another_version_is_rejected() {
        let error = Saved::parse(br#"{"version":2,"orders":[]}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has version 2 of the format, and this vrrpd knows 1"
        );
    }

    #[test]
    fn command_without_a_field_is_rejected() {
        let text =
            br#"{"version":1,"commands":[{"command":"priority","instance":"VI_1","by":"x"}]}"#;
        let error = Saved::parse(text).unwrap().commands(seconds(1), WALL);
        assert_eq!(
            error.unwrap_err().to_string(),
            "a priority command lacks a field, or has the priority of an owner"
        );
    }
}
