//! What may be slow, on a thread of its own: signals, trackers, the names of peers, those who are told
//! of transitions, what runs where a router is master, the control socket and systemd. It talks to the node
//! through its inbox and never holds it up.

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

/// What the services works with.
pub(crate) struct Services {
    /// The configuration file, read again at SIGHUP.
    pub(crate) file: PathBuf,
    /// What to look at for which tracker.
    pub(crate) probes: BTreeMap<Arc<str>, Probe>,
    /// Who is told of transitions.
    pub(crate) notify: BTreeMap<Subject, Notify<Arc<Command>>>,
    /// What runs where a router is master.
    pub(crate) resources: Configured,
    /// The names of peers to look up.
    pub(crate) names: BTreeSet<Arc<str>>,
    /// The control socket.
    pub(crate) listener: std::os::unix::net::UnixListener,
    /// The way to the node.
    pub(crate) inbox: Inbox,
    /// The node's states.
    pub(crate) state_counts: watch::Receiver<StateCounts>,
    /// What becomes of its routers.
    pub(crate) node_events: NodeEvents,
    /// The log.
    pub(crate) log: Log,
}

/// Starts the services's thread. It ends with the node.
///
/// # Errors
/// When the system does not give a thread, or the runtime its descriptors.
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
                log.note(Level::ERROR, format!("the services gave up: {error}"));
            }
            // Scripts that are still running are killed by the runtime's end, which does not wait for
            // the answer to a name.
            runtime.shutdown_background();
        })
}

/// The signals that the daemon understands.
struct Signals {
    stop: StopSignals,
    hangup: Signal,
}

/// Those that tell it to stop.
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
    /// Waits for one of them.
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
                // Without the sender the node is gone, which its moves tell after all others.
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
