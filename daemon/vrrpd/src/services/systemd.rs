//! Notifications to systemd (sd_notify(3)). Without systemd these functions do nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tracing::Level;

use crate::log_writer::Log;
use crate::run::{Inbox, Message, StateCounts};

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

/// Notifies the watchdog twice in its interval, as long as the node answers.
pub(super) async fn keep_watchdog(inbox: Inbox, log: Log) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut rhythm = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    loop {
        rhythm.tick().await;
        let (reply, alive) = oneshot::channel();
        if inbox.send(Message::Alive(reply)).is_err() || alive.await.is_err() {
            return;
        }
        notify(&[NotifyState::Watchdog], &log);
    }
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
