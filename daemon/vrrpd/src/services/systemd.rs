//! What systemd is told (sd_notify(3)). Without systemd nothing happens here.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::oneshot;
use tracing::Level;

use crate::log_writer::Log;
use crate::run::{Inbox, Message, StateCounts};

/// The daemon serves.
pub(super) fn ready(state_counts: StateCounts, log: &Log) {
    notify(
        &[NotifyState::Ready, NotifyState::Status(&text(state_counts))],
        log,
    );
}

/// The states changed.
pub(super) fn status(state_counts: StateCounts, log: &Log) {
    notify(&[NotifyState::Status(&text(state_counts))], log);
}

/// The configuration is being read; [`ready`] ends it.
pub(super) fn reloading(log: &Log) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now], log),
        Err(error) => log.note(
            Level::WARN,
            format!("systemd is not told of a reload: {error}"),
        ),
    }
}

/// The daemon hands over.
pub(super) fn stopping(log: &Log) {
    notify(&[NotifyState::Stopping], log);
}

/// The daemon needs this long to end, whatever the unit allows for.
pub(super) fn extend(longest: Duration, log: &Log) {
    let micros = u32::try_from(longest.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::ExtendTimeoutUsec(micros)], log);
}

/// Feeds the watchdog as long as the node turns, twice in its time.
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
