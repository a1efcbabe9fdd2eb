//! Notifications to systemd (sd_notify(3)). Without systemd these functions do nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::Level;
use vrrp_proto::{State, Transition};

use crate::log_writer::Log;

/// Number of routers in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StateCounts {
    master: usize,
    backup: usize,
    fault: usize,
}

impl StateCounts {
    /// Takes in a transition.
    pub(super) fn take(&mut self, transition: &Transition) {
        if let Some(count) = self.of(transition.from) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.of(transition.to) {
            *count += 1;
        }
    }

    const fn of(&mut self, state: State) -> Option<&mut usize> {
        match state {
            State::Init => None,
            State::Master => Some(&mut self.master),
            State::Backup => Some(&mut self.backup),
            State::Fault => Some(&mut self.fault),
        }
    }
}

/// Reports that the daemon is ready, and the number of routers in each state.
pub(super) fn ready(state_counts: StateCounts, log: &Log) {
    notify(
        &[NotifyState::Ready, NotifyState::Status(&text(state_counts))],
        log,
    );
}

/// Reports the number of routers in each state.
pub(super) fn status(state_counts: StateCounts, log: &Log) {
    notify(&[NotifyState::Status(&text(state_counts))], log);
}

/// Reports the beginning of a reload; [`ready`] reports its end.
pub(super) fn reloading(log: &Log) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now], log),
        Err(error) => log.note(
            Level::WARN,
            format!("cannot notify systemd of a reload: {error}"),
        ),
    }
}

/// Reports that the daemon is stopping.
pub(super) fn stopping(log: &Log) {
    notify(&[NotifyState::Stopping], log);
}

/// Extends the stop timeout of the unit to this time.
pub(super) fn extend(longest: Duration, log: &Log) {
    let micros = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::ExtendTimeoutUsec(micros)], log);
}

fn notify(states: &[NotifyState<'_>], log: &Log) {
    if let Err(error) = sd_notify::notify(states) {
        log.note(Level::WARN, format!("cannot notify systemd: {error}"));
    }
}

fn text(state_counts: StateCounts) -> String {
    let StateCounts {
        master,
        backup,
        fault,
    } = state_counts;
    format!("{master} master, {backup} backup, {fault} in fault")
}
