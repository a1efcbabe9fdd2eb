//! Services: all that may be slow, on a thread with an asynchronous runtime: signals, trackers, the
//! resolution of peer names, notifications, resources, the control socket and systemd. They send to
//! the node through its inbox, and never delay it.

mod children;
pub(crate) mod commands;
pub(crate) mod control;
mod follower;
pub(crate) mod listener;
mod names;
mod notify;
mod params;
mod process;
pub(crate) mod program;
pub(crate) mod resources;
mod systemd;
mod trackers;
mod users;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal as Number};
use nix::unistd::Pid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::Level;
use vrrp_linux::signal::keep_exit_statuses;
use vrrp_proto::checkpoint::Notified;

use self::children::{Ends, reap_orphans, settle};
use self::commands::{Executor, ReloadRequest, Store};
use self::follower::Follower;
pub(crate) use self::params::ServiceParams;
use self::program::Runner;
use crate::channel::{Inbox, Message, NodeEvent, NodeEvents};
use crate::log_writer::Log;
use crate::state_files::StateFiles;
use crate::units::{Units, is_restart, system_address};

/// Time between two writes of the sequence numbers.
const NUMBERS: Duration = Duration::from_secs(10);

/// Time limit for programs that are being started when the daemon ends.
const SETTLING: Duration = Duration::from_millis(100);

/// Parts that the services need to run.
pub(crate) struct Services {
    /// The configuration file, read again at SIGHUP.
    pub(crate) file: PathBuf,
    /// Parameters, until a reload.
    pub(crate) params: ServiceParams,
    /// Socket of the script runner, if that runs the programs.
    pub(crate) scripts: Option<PathBuf>,
    /// Socket that claims the network namespace.
    pub(crate) claim: Option<std::os::unix::net::UnixListener>,
    /// Listening control socket, if there is one.
    pub(crate) listener: Option<std::os::unix::net::UnixListener>,
    /// Listening command socket, if there is one.
    pub(crate) command_listener: Option<std::os::unix::net::UnixListener>,
    /// File of the standing commands.
    pub(crate) store: Store,
    /// Reason why the standing commands of a former run are not in force.
    pub(crate) unread_commands: Option<Arc<str>>,
    /// Inbox of the node.
    pub(crate) inbox: Inbox,
    /// Events of the node.
    pub(crate) node_events: NodeEvents,
    /// States that the former process has notified.
    pub(crate) notified: Notified,
    /// Files for the next process.
    pub(crate) state: StateFiles,
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
            if let Err(error) = handled().thread_unblock() {
                log.note(Level::WARN, format!("cannot unblock signals: {error}"));
            }
            if let Err(error) = runtime.block_on(services.run(signals)) {
                log.note(Level::ERROR, format!("background services failed: {error}"));
            }
            // The end of the runtime kills scripts that still run. It does not wait for the
            // resolution of a name.
            runtime.shutdown_background();
        })
}

/// Delays the signals of the daemon until the [services](start) handle them, if this is the first
/// process of a container: the kernel discards what such a process does not handle yet, and a
/// runtime that stops the container would wait in vain. Other processes end by the signal. To be
/// called before the first thread starts.
pub(crate) fn delay_signals() {
    if Pid::this().as_raw() == 1 {
        // Fails only for an invalid argument.
        let _ = handled().thread_block();
    }
}

/// Signals that the services handle.
fn handled() -> SigSet {
    [
        Number::SIGTERM,
        Number::SIGINT,
        Number::SIGHUP,
        Number::SIGUSR2,
        Number::SIGCHLD,
    ]
    .into_iter()
    .collect()
}

/// Handlers of the signals of the daemon.
struct Signals {
    stop: StopSignals,
    hangup: Signal,
    /// Request to leave everything to the next process.
    leave: Signal,
    /// End of children that the daemon did not start, if there may be some.
    ends: Option<Ends>,
}

/// Handlers of the signals that stop the daemon.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        keep_exit_statuses()?;
        Ok(Self {
            stop: StopSignals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
            hangup: signal(SignalKind::hangup())?,
            leave: signal(SignalKind::user_defined2())?,
            ends: Ends::of_orphans()?,
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

/// Writes the sequence numbers of signed advertisements from time to time, so that a process that is killed, or a
/// host that is restarted, leaves them to the next process. Ends with the node.
async fn keep_numbers(inbox: Inbox, state: StateFiles, log: Log) {
    let mut is_failing = false;
    loop {
        sleep(NUMBERS).await;
        let (reply, numbers) = oneshot::channel();
        if inbox.send(Message::Numbers(reply)).is_err() {
            return;
        }
        let Ok(numbers) = numbers.await else {
            return;
        };
        let files = state.clone();
        let written = spawn_blocking(move || files.write_lasting_numbers(numbers)).await;
        let failed = matches!(written, Ok(Err(_)));
        if let Ok(Err(error)) = written
            && !is_failing
        {
            log.note(Level::WARN, error.to_string());
        }
        is_failing = failed;
    }
}

impl Services {
    async fn run(mut self, mut signals: Signals) -> io::Result<()> {
        let listener = self.listener.map(listener::adopt).transpose()?;
        let command_listener = self.command_listener.map(listener::adopt).transpose()?;
        if let Some(claim) = self.claim {
            tokio::spawn(control::dismiss(listener::adopt(claim)?));
        }
        let mut follower = Follower::new(
            self.file,
            self.params,
            Runner::new(self.scripts),
            Units::new(system_address()),
            self.inbox.clone(),
            self.log.clone(),
        );
        follower.omit(self.notified);
        let (reloads, mut reload_requests) = mpsc::channel(1);
        let executor = Executor::new(self.inbox.clone(), reloads, self.store, self.log.clone());
        let save_renamed = |event: &NodeEvent| {
            if let NodeEvent::Renamed(_) = event {
                tokio::spawn(executor.clone().save_renamed());
            }
        };
        // The routers have started: their states are counted before systemd is notified of them.
        while let Some(event) = self.node_events.next_sent() {
            save_renamed(&event);
            follower.take(&event);
            follower.go_on();
        }
        follower.tell_ready();
        if let Some(listener) = listener {
            let status_handles = follower.status_handles(self.unread_commands);
            let serving = control::serve(
                listener,
                self.inbox.clone(),
                status_handles,
                self.log.clone(),
            );
            tokio::spawn(serving);
        }
        if let Some(listener) = command_listener {
            tokio::spawn(commands::serve(listener, executor.clone()));
        }
        tokio::spawn(keep_numbers(
            self.inbox.clone(),
            self.state,
            self.log.clone(),
        ));
        if let Some(ends) = signals.ends.take() {
            tokio::spawn(reap_orphans(ends));
        }
        loop {
            tokio::select! {
                event = self.node_events.next() => match event {
                    Some(event) => {
                        save_renamed(&event);
                        follower.take(&event);
                        // Many routers may change their state at once.
                        if self.node_events.is_empty() {
                            follower.tell_counts();
                        }
                    }
                    None => break,
                },
                () = follower.turn() => {}
                _ = signals.hangup.recv() => follower.reload(None),
                Some(ReloadRequest { dry_run, reply }) = reload_requests.recv() => match dry_run {
                    true => follower.foresee(reply),
                    false => follower.reload(Some(reply)),
                },
                _ = signals.leave.recv() => follower.leave(),
                // A second signal is to hasten the end.
                () = signals.stop.recv() => match follower.is_stopping() {
                    false if is_restart(system_address()).await => follower.leave(),
                    true | false => follower.stop(),
                },
            }
            follower.go_on();
        }
        follower.finish(signals.stop.recv()).await;
        settle(SETTLING).await;
        Ok(())
    }
}
