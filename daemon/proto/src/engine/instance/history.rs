//! Last transitions of a router: the cause of its present state, and its status.

use core::cell::OnceCell;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::checkpoint::TransitionCheckpoint;
use crate::events::Transition;
use crate::reasons::{Cause, FaultReason};
use crate::snapshot::{HISTORY, TransitionStatus};
use crate::time::Instant;
use crate::types::{Priority, State};

/// Time in which the transitions of a flapping router are counted, and the least number of them.
const MINUTE: Duration = Duration::from_secs(60);
const FLAPPING: usize = 10;

/// The last [`HISTORY`] transitions, the latest last.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<Remembered>);

impl History {
    /// Adds a transition.
    pub(super) fn add(&mut self, transition: &Transition) {
        if self.0.len() == HISTORY {
            self.0.pop_front();
        }
        self.0.push_back(Remembered::new(transition));
    }

    pub(super) fn save(&self) -> Vec<TransitionCheckpoint> {
        self.0.iter().map(Remembered::save).collect()
    }

    pub(super) fn restore(saved: &[TransitionCheckpoint]) -> Self {
        Self(
            saved
                .iter()
                .take(HISTORY)
                .map(Remembered::restore)
                .collect(),
        )
    }

    /// Time and cause of the last transition, if this process made it.
    pub(super) fn last_cause(&self) -> Option<(Instant, &Cause)> {
        let last = self.0.back()?;
        Some((last.at, last.cause.as_ref()?))
    }

    /// Cause of the last transition as text.
    pub(super) fn last_text(&self) -> Option<Arc<str>> {
        self.0.back().map(Remembered::text)
    }

    /// Whether the last transition followed another member of the sync group. `None` without a transition.
    pub(super) fn follows_member(&self) -> Option<bool> {
        self.0.back().map(|last| last.follows_member)
    }

    /// Time since the last transition.
    pub(super) fn state_age(&self, now: Instant) -> Duration {
        self.0
            .back()
            .map_or(Duration::ZERO, |last| now.since(last.at))
    }

    /// Number of transitions in the last minute, if they are many.
    pub(super) fn flapping(&self, now: Instant) -> Option<usize> {
        let is_recent = |remembered: &&Remembered| now.since(remembered.at) < MINUTE;
        let recent = self.0.iter().filter(is_recent).count();
        (recent >= FLAPPING).then_some(recent)
    }

    pub(super) fn status(&self, now: Instant) -> Vec<TransitionStatus> {
        let transitions = self.0.iter();
        transitions
            .map(|remembered| TransitionStatus {
                from: remembered.from,
                to: remembered.to,
                cause: remembered.text(),
                priority: remembered.priority,
                age: now.since(remembered.at).as_secs_f64(),
            })
            .collect()
    }
}

/// Transition in the history.
#[derive(Clone, Debug)]
struct Remembered {
    from: State,
    to: State,
    /// Cause; `None` for a transition in an earlier process, which left the text only.
    cause: Option<Cause>,
    /// Text of the cause, formatted on first use, so that a take-over does not wait for it.
    text: OnceCell<Arc<str>>,
    /// Whether the cause is that of another member of the group.
    follows_member: bool,
    priority: Priority,
    at: Instant,
}

impl Remembered {
    fn new(transition: &Transition) -> Self {
        let of_member =
            |fault_reason: &FaultReason| matches!(fault_reason, FaultReason::Member { .. });
        let cause = &transition.cause;
        let follows_member = matches!(cause, Cause::With { .. })
            || matches!(cause, Cause::Faulted(o) | Cause::Recovered(o) if of_member(o));
        Self {
            from: transition.from,
            to: transition.to,
            cause: Some(transition.cause.clone()),
            text: OnceCell::new(),
            follows_member,
            priority: transition.priority,
            at: transition.at,
        }
    }

    fn text(&self) -> Arc<str> {
        let text = || {
            self.cause
                .as_ref()
                .map_or_else(Arc::default, |cause| cause.to_string().into())
        };
        Arc::clone(self.text.get_or_init(text))
    }

    fn save(&self) -> TransitionCheckpoint {
        TransitionCheckpoint {
            from: self.from,
            to: self.to,
            cause: self.text(),
            follows_member: self.follows_member,
            priority: self.priority,
            at: self.at,
        }
    }

    fn restore(saved: &TransitionCheckpoint) -> Self {
        Self {
            from: saved.from,
            to: saved.to,
            cause: None,
            text: OnceCell::from(Arc::clone(&saved.cause)),
            follows_member: saved.follows_member,
            priority: saved.priority,
            at: saved.at,
        }
    }
}
