//! Services: all that may be slow, on a thread with an asynchronous runtime: signals, trackers, the
//! resolution of peer names, notifications, resources, the control socket and systemd. They send to
//! the node through its inbox, and never delay it.

pub(crate) mod control;
mod follower;
mod names;
mod notify;
mod program;
pub(crate) mod resources;
mod systemd;
mod trackers;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::Level;
use vrrp_config::{Command, Probe};
use vrrp_proto::notify::{Notify, Subject};

use self::follower::Follower;
use self::resources::Configured;
use crate::log_writer::Log;
use crate::run::{Inbox, NodeEvents, StateCounts};
use crate::units::{Units, system_address};

/// Parameters of the services.
pub(crate) struct Services {
    /// The configuration file, read again at SIGHUP.
    pub(crate) file: PathBuf,
    /// Probe of each tracker.
    pub(crate) probes: BTreeMap<Arc<str>, Probe>,
    /// Notification settings.
    pub(crate) notify: BTreeMap<Subject, Notify<Arc<Command>>>,
    /// Resources of the routers.
    pub(crate) resources: Configured,
    /// Names of peers to resolve.
    pub(crate) names: BTreeSet<Arc<str>>,
    /// Listening control socket.
    pub(crate) listener: std::os::unix::net::UnixListener,
    /// Inbox of the node.
    pub(crate) inbox: Inbox,
    /// Number of routers in each state.
    pub(crate) state_counts: watch::Receiver<StateCounts>,
    /// Changes of the routers.
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
            Units::new(system_address()),
            self.inbox.clone(),
            self.state_counts.clone(),
            self.log.clone(),
        );
        follower.begin(self.probes, self.notify, self.resources, self.names);
        let status_handles = follower.status_handles();
        let serving = control::serve(
            listener,
            self.inbox.clone(),
            status_handles,
            self.log.clone(),
        );
        tokio::spawn(serving);
        tokio::spawn(systemd::keep_watchdog(self.inbox, self.log.clone()));
        loop {
            tokio::select! {
                // A closed channel means that the node has ended, which its events report last.
                Ok(()) = self.state_counts.changed() => {
                    systemd::status(*self.state_counts.borrow_and_update(), &self.log);
                }
                moved = self.node_events.next() => match moved {
                    Some(moved) => follower.take(&moved),
                    None => break,
                },
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
