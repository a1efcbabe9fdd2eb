//! What may be slow, on a thread of its own: signals, trackers, the names of peers, those who are told
//! of transitions, the control socket and systemd. It talks to the node through its inbox and never holds it up.

pub(crate) mod control;
mod names;
mod notify;
mod program;
mod systemd;
mod trackers;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Level;
use vrrp_config::{Command, Loaded, Probe, Secrets, load};
use vrrp_proto::notify::{Notify, Owner};

use self::names::Names;
use self::notify::Notifier;
use self::trackers::Trackers;
use crate::check::count;
use crate::run::{Inbox, Message, Moves, Tally};
use crate::scribe::Log;

/// How much longer than they should those who are told of the stop are waited for: what was killed
/// has to be gone, too.
const GRACE: Duration = Duration::from_secs(1);

/// What the attendant works with.
pub(crate) struct Attendant {
    /// The configuration file, read again at SIGHUP.
    pub(crate) file: PathBuf,
    /// What to look at for which tracker.
    pub(crate) probes: BTreeMap<Arc<str>, Probe>,
    /// Who is told of transitions.
    pub(crate) notify: BTreeMap<Owner, Notify<Arc<Command>>>,
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

impl Attendant {
    async fn run(self, mut signals: Signals) -> io::Result<()> {
        let Self {
            file,
            probes,
            notify,
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
        let mut notifier = Notifier::new(notify, log.clone());
        let listener = control::adopt(listener)?;
        let serving = control::serve(listener, inbox.clone(), notifier.board(), log.clone());
        tokio::spawn(serving);
        tokio::spawn(systemd::keep_watchdog(inbox.clone(), log.clone()));
        systemd::ready(*tally.borrow_and_update(), &log);
        let mut times_told_to_stop = 0_u32;
        loop {
            tokio::select! {
                // Without the sender the node is gone, which its moves tell after all others.
                Ok(()) = tally.changed() => {
                    systemd::status(*tally.borrow_and_update(), &log);
                }
                moved = moves.next() => match moved {
                    Some(moved) => notifier.take(&moved),
                    None => break,
                },
                () = notifier.turn() => {}
                _ = signals.hangup.recv() => {
                    systemd::reloading(&log);
                    reload(&file, &mut trackers, &mut asked, &notifier, &inbox, &log);
                    systemd::ready(*tally.borrow(), &log);
                }
                () = signals.stop.recv() => {
                    times_told_to_stop += 1;
                    if times_told_to_stop == 1 {
                        stop(&inbox, &log);
                    }
                }
            }
        }
        let told_again = async {
            if times_told_to_stop < 2 {
                signals.stop.recv().await;
            }
        };
        tell_the_last(notifier, told_again, &log).await;
        Ok(())
    }
}

/// The node is gone; what is still to be told is the reason to be here, as long as that may take and
/// until somebody is `told_again` to stop.
async fn tell_the_last(mut notifier: Notifier, told_again: impl Future<Output = ()>, log: &Log) {
    let longest = notifier.finish();
    if longest.is_zero() {
        return;
    }
    let longest = longest + GRACE;
    systemd::extend(longest, log);
    let impatient = tokio::select! {
        told = timeout(longest, notifier.tell_all()) => told.is_err(),
        () = told_again => true,
    };
    if impatient {
        let text = "not everybody was told of the stop: what still runs for that is killed";
        log.note(Level::WARN, text);
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
    notifier: &Notifier,
    inbox: &Inbox,
    log: &Log,
) {
    match load(file, Secrets::Read) {
        Ok(Loaded {
            node,
            probes,
            notify,
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
            notifier.configure(notify);
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

#[cfg(test)]
mod tests;
