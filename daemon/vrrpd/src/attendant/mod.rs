//! What may be slow, on a thread of its own: signals, trackers, the names of peers, the control
//! socket and systemd. It talks to the node through its inbox and never holds it up.

pub(crate) mod control;
mod names;
mod program;
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
use vrrp_config::{Loaded, Probe, Secrets, load};

use self::names::Names;
use self::trackers::Trackers;
use crate::check::count;
use crate::run::{Inbox, Message, Moves, Tally};
use crate::scribe::Log;

/// What the attendant works with.
pub(crate) struct Attendant {
    /// The configuration file, read again at SIGHUP.
    pub(crate) file: PathBuf,
    /// What to look at for which tracker.
    pub(crate) probes: BTreeMap<Arc<str>, Probe>,
    /// The names of peers to look up.
    pub(crate) names: BTreeSet<Arc<str>>,
    /// The control socket.
    pub(crate) listener: std::os::unix::net::UnixListener,
    /// The way to the node.
    pub(crate) inbox: Inbox,
    /// The node's states.
    pub(crate) tally: watch::Receiver<Tally>,
    /// What becomes of its routers.
    pub(crate) moves: Moves,
    /// The log.
    pub(crate) log: Log,
}

/// Starts the attendant's thread. It ends with the node.
///
/// # Errors
/// When the system does not give a thread, or the runtime its descriptors.
pub(crate) fn start(attendant: Attendant) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals = {
        let _guard = runtime.enter();
        Signals::new()?
    };
    std::thread::Builder::new()
        .name("attendant".to_owned())
        .spawn(move || {
            let log = attendant.log.clone();
            if let Err(error) = runtime.block_on(attendant.run(signals)) {
                log.note(Level::ERROR, format!("the attendant gave up: {error}"));
            }
            // Scripts that are still running are killed by the runtime's end, which does not wait for
            // the answer to a name.
            runtime.shutdown_background();
        })
}

/// The signals that the daemon understands.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

impl Attendant {
    async fn run(self, mut signals: Signals) -> io::Result<()> {
        let Self {
            file,
            probes,
            names,
            listener,
            inbox,
            mut tally,
            mut moves,
            log,
        } = self;
        let mut trackers = Trackers::new(inbox.clone(), log.clone());
        trackers.set(probes);
        let mut asked = Names::new(inbox.clone(), log.clone());
        asked.set(names);
        let listener = control::adopt(listener)?;
        tokio::spawn(control::serve(listener, inbox.clone(), log.clone()));
        tokio::spawn(systemd::keep_watchdog(inbox.clone(), log.clone()));
        systemd::ready(*tally.borrow_and_update(), &log);
        loop {
            tokio::select! {
                changed = tally.changed() => {
                    if changed.is_err() {
                        // The node is gone, and with it the reason to be here.
                        return Ok(());
                    }
                    systemd::status(*tally.borrow_and_update(), &log);
                }
                moved = moves.next() => {
                    // The node is gone, and with it the reason to be here.
                    let Some(_moved) = moved else { return Ok(()) };
                }
                _ = signals.hangup.recv() => {
                    systemd::reloading(&log);
                    reload(&file, &mut trackers, &mut asked, &inbox, &log);
                    systemd::ready(*tally.borrow(), &log);
                }
                _ = signals.terminate.recv() => stop(&inbox, &log),
                _ = signals.interrupt.recv() => stop(&inbox, &log),
            }
        }
    }
}

fn stop(inbox: &Inbox, log: &Log) {
    log.note(Level::INFO, "told to stop: handing over");
    systemd::stopping(log);
    // A node that is gone has stopped already.
    let _ = inbox.send(Message::Stop);
}

/// Reads the configuration again, as a whole: when anything in it is wrong, everything stays.
fn reload(
    file: &std::path::Path,
    trackers: &mut Trackers,
    asked: &mut Names,
    inbox: &Inbox,
    log: &Log,
) {
    match load(file, Secrets::Read) {
        Ok(Loaded {
            node,
            probes,
            warnings,
        }) => {
            for warning in &warnings {
                log.note(Level::WARN, warning.to_string());
            }
            let instances = count(node.routers.len(), "instance");
            log.note(
                Level::INFO,
                format!("{} read again: {instances}", file.display()),
            );
            let names = node.peer_names();
            // First the node, so that no result comes in for a tracker or a name that it does not know.
            let _ = inbox.send(Message::Configure(node));
            trackers.set(probes);
            asked.set(names);
        }
        Err(error) => {
            for line in error.to_string().lines() {
                log.note(Level::ERROR, line);
            }
            log.note(
                Level::ERROR,
                "the configuration is wrong: the one in force stays",
            );
        }
    }
}
