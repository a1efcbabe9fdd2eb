//! Services: all that may be slow, on a thread with an asynchronous runtime: signals, trackers, the
//! resolution of peer names, notifications, resources, the control socket and systemd. They send to
//! the node through its inbox, and never delay it.

pub(crate) mod control;
mod follower;
mod names;
mod notify;
mod params;
mod program;
pub(crate) mod resources;
mod systemd;
mod trackers;

use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::Level;

use self::follower::Follower;
pub(crate) use self::params::ServiceParams;
use self::systemd::Watchdog;
use crate::channel::{Inbox, Message, NodeEvent, NodeEvents};
use crate::log_writer::Log;
use crate::units::{Units, system_address};

/// Parts that the services need to run.
pub(crate) struct Services {
    /// The configuration file, read again at SIGHUP.
    pub(crate) file: PathBuf,
    /// Parameters, until a reload.
    pub(crate) params: ServiceParams,
    /// Listening control socket.
    pub(crate) listener: std::os::unix::net::UnixListener,
    /// Inbox of the node.
    pub(crate) inbox: Inbox,
    /// Events of the node.
    pub(crate) node_events: NodeEvents,
    /// Log.
    pub(crate) log: Log,
}

/// Starts the thread of the services. It ends when the node has ended.
///
/// # Errors
/// If the system cannot create the thread, or the runtime its descriptors.
pub(crate) fn start(services: Services) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = {
        let _guard = runtime.enter();
        Signals::new()?
    };
    std::thread::Builder::new()
        .name("services".to_owned())
        .spawn(move || {
            let log = services.log.clone();
            if let Err(error) = runtime.block_on(services.run(signals)) {
                log.note(Level::ERROR, format!("background services failed: {error}"));
            }
            // The end of the runtime kills scripts that still run. It does not wait for the
            // resolution of a name.
            runtime.shutdown_background();
        })
}

/// Handlers of the signals of the daemon.
struct Signals {
    stop: StopSignals,
    hangup: Signal,
}

/// Handlers of the signals that stop the daemon.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            stop: StopSignals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

impl StopSignals {
    /// Waits for one of the signals.
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Services {
    async fn run(mut self, mut signals: Signals) -> io::Result<()> {
        let listener = control::adopt(self.listener)?;
        let mut follower = Follower::new(
            self.file,
            self.params,
            Units::new(system_address()),
            self.inbox.clone(),
            self.log.clone(),
        );
        // The routers have started: their states are counted before systemd is notified of them.
        while let Some(event) = self.node_events.next_sent() {
            follower.take(&event);
            follower.go_on();
        }
        follower.tell_ready();
        let mut watchdog = Watchdog::new();
        let status_handles = follower.status_handles();
        let serving = control::serve(
            listener,
            self.inbox.clone(),
            status_handles,
            self.log.clone(),
        );
        tokio::spawn(serving);
        loop {
            tokio::select! {
                event = self.node_events.next() => match event {
                    Some(NodeEvent::Alive) => watchdog.feed(&self.log),
                    Some(event) => {
                        follower.take(&event);
                        // Many routers may change their state at once.
                        if self.node_events.is_empty() {
                            follower.tell_counts();
                        }
                    }
                    None => break,
                },
                () = watchdog.due() => {
                    // A node that has ended closes its events.
                    let _ = self.inbox.send(Message::Alive);
                }
                () = follower.turn() => {}
                _ = signals.hangup.recv() => follower.reload(),
                () = signals.stop.recv() => follower.stop(),
            }
            follower.go_on();
        }
        follower.finish(signals.stop.recv()).await;
        Ok(())
    }
}
