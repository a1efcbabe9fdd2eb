//! Events that are notified.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::types::State;

/// Event that is notified, by the key of its command in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// Transition to master.
    Master,
    /// Transition to backup.
    Backup,
    /// Transition to fault.
    Fault,
    /// End of the subject.
    Stop,
    /// End of a contest: no transition.
    Contested,
}

impl From<State> for Event {
    fn from(to: State) -> Self {
        match to {
            State::Init => Self::Stop,
            State::Backup => Self::Backup,
            State::Master => Self::Master,
            State::Fault => Self::Fault,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Master => "master",
            Self::Backup => "backup",
            Self::Fault => "fault",
            Self::Stop => "stop",
            Self::Contested => "contested",
        })
    }
}
