//! `vrrpd run`: opens what the daemon needs, connects the node and the services, runs both until the
//! node has stopped, and ends them.

use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::Level;
use vrrp_config::{Loaded, Secrets, load};
use vrrp_linux::capability;
use vrrp_linux::claim::{Claim, Unclaimed};
use vrrp_linux::seccomp;

use crate::Failed;
use crate::channel::{EventSender, Inbox};
use crate::cli::RunOptions;
use crate::log_writer::{self, Log};
use crate::node::Node;
use crate::services::commands::{self, Store};
use crate::services::{self, ServiceParams, Services, control};
use crate::state_files::{StateFiles, Taken};
use crate::text::count;

/// Open files of the daemon at most. Scripts inherit the limit; some close every possible descriptor at
/// their start, which takes a few milliseconds with this one.
const DESCRIPTORS: u64 = 16_384;

/// Time limit for the daemon that this one takes over from. It leaves within a second.
const LEAVING: Duration = Duration::from_secs(10);

pub(crate) fn run(options: &RunOptions) -> Result<(), Failed> {
    abort_on_panic();
    services::delay_signals();
    let file = options.configuration.file.clone();
    let files = StateFiles::new(&options.runtime.directory(), &options.state.directory());
    // Before anything can fail: from now on `vrrpd cleanup` deletes what the former process has left.
    let mut left = files.take();
    let loaded = load(&file, Secrets::Read)?;
    // Before the first thread is started: setns(2) moves only the calling thread.
    options.place.enter()?;
    capability::check().map_err(|missing| Failed::General.reasons(missing))?;
    // Before any change.
    let claim = match Claim::take() {
        Err(Unclaimed::Taken(holder)) if options.take_over => {
            holder
                .replace(LEAVING)
                .map_err(|unreplaced| Failed::General.reasons(unreplaced))?;
            left = files.take_from(&holder);
            Claim::take()
        }
        first => first,
    };
    let claim = claim.map_err(|unclaimed| match unclaimed {
        Unclaimed::Taken(holder) => Failed::General.reasons(format_args!(
            "{holder} and would delete the addresses of this one; run one daemon with all instances, or take \
             over from it with --take-over"
        )),
        Unclaimed::Rejected(_) => Failed::General.reasons(unclaimed),
    })?;
    let socket = options.runtime.control_socket();
    let listener = control::listen(&socket);
    if let Err(error) = &listener
        && error.kind() == ErrorKind::AddrInUse
    {
        return Err(Failed::General.reasons(format_args!(
            "cannot listen at {}: {error}",
            socket.display()
        )));
    }
    let (log, log_writer) = log_writer::start(options.verbose, options.runtime.directory())
        .map_err(|error| Failed::General.reasons(format_args!("cannot start a thread: {error}")))?;
    if let Err(error) = raise_descriptor_limit() {
        log.note(
            Level::WARN,
            format!("cannot raise the limit of open files: {error}"),
        );
    }
    if let Err(error) = capability::clear_ambient() {
        log.note(
            Level::WARN,
            format!("cannot clear the ambient capabilities: {error}; check scripts inherit them"),
        );
    }
    if let Some(squatter) = claim.squatter() {
        log.note(
            Level::WARN,
            format!(
                "{squatter}: a second vrrpd in this network namespace would not be noticed; end that \
                 process (ss -xlp)"
            ),
        );
    }
    // A full or read-only file system is no reason not to serve.
    if let Err(error) = &listener {
        log.note(
            Level::WARN,
            format!(
                "cannot listen at {}: {error}; vrrpd status will get no answer before the next start",
                socket.display()
            ),
        );
    }
    let listener = listener.ok();
    let command_socket = options.runtime.command_socket();
    // Only with the control socket, which shows that no other daemon uses the directory.
    let command_listener = listener.as_ref().and_then(|_| {
        commands::listen(&command_socket)
            .inspect_err(|error| {
                let text = format!(
                    "cannot listen at {}: {error}; the daemon takes no commands before the next start",
                    command_socket.display()
                );
                log.note(Level::WARN, text);
            })
            .ok()
    });
    let sockets: Vec<_> = [
        listener.as_ref().map(|_| socket),
        command_listener.as_ref().map(|_| command_socket),
    ]
    .into_iter()
    .flatten()
    .collect();
    let listeners = Listeners {
        control: listener,
        commands: command_listener,
    };
    let kept = Kept {
        left,
        files,
        commands: Store::in_directory(&options.state.directory()),
    };
    let scripts = options.scripts.clone();
    let outcome = serve(file, loaded, kept, &claim, listeners, scripts, &log);
    for socket in sockets {
        let _ = std::fs::remove_file(socket);
    }
    drop(claim);
    // The log writer ends with the last handle.
    drop(log);
    log_writer.finish();
    outcome
}

/// Listening sockets for the programs of this host, where they could be opened.
struct Listeners {
    control: Option<UnixListener>,
    commands: Option<UnixListener>,
}

/// State that outlives a process.
struct Kept {
    /// State of the former process, if it was restarted.
    left: Taken,
    /// Files for the next process.
    files: StateFiles,
    /// Standing commands of the operator.
    commands: Store,
}

/// Runs the node and the services until the node has stopped.
fn serve(
    file: PathBuf,
    loaded: Loaded,
    kept: Kept,
    claim: &Claim,
    listeners: Listeners,
    scripts: Option<PathBuf>,
    log: &Log,
) -> Result<(), Failed> {
    let Kept {
        left,
        files,
        commands: store,
    } = kept;
    let complain = |what: &str, error: std::io::Error| {
        Failed::General.reasons(format_args!("cannot {what}: {error}"))
    };
    for warning in &loaded.warnings {
        log.note(Level::WARN, warning.to_string());
    }
    log.note(
        Level::INFO,
        format!(
            "vrrpd {} started: {} from {}",
            env!("CARGO_PKG_VERSION"),
            count(loaded.node.routers.len(), "instance"),
            file.display()
        ),
    );
    for (level, text) in left.notes {
        log.note(level, text);
    }
    let (standing, unread_commands) = match store.load() {
        Ok(standing) => (standing, None),
        // No reason not to serve.
        Err(error) => {
            log.note(Level::ERROR, &*error);
            (Vec::new(), Some(error.into()))
        }
    };
    let (node_params, params) = ServiceParams::split(loaded);
    let (events, node_events) = EventSender::new();
    let opened = Inbox::new().and_then(|(inbox, messages)| {
        let node = Node::new(
            node_params,
            standing,
            left.checkpoint,
            messages,
            events,
            log.clone(),
        )?;
        Ok((inbox, node))
    });
    let (inbox, mut node) =
        opened.map_err(|error| complain("open the sockets of the daemon", error))?;
    let claim = claim
        .listener()
        .map_err(|error| complain("open the sockets of the daemon", error))?;
    let starts_no_program = scripts.is_some();
    let services = Services {
        file,
        params,
        scripts,
        claim,
        listener: listeners.control,
        command_listener: listeners.commands,
        store,
        unread_commands,
        inbox,
        node_events,
        notified: left.notified,
        state: files.clone(),
        log: log.clone(),
    };
    let services = services::start(services).map_err(|error| complain("start a thread", error))?;
    if starts_no_program && let Err(error) = seccomp::forbid_programs() {
        log.note(
            Level::WARN,
            format!("{error}; an attacker in this process could start programs"),
        );
    }
    let outcome = node
        .run(&files)
        .map_err(|error| complain("wait for events", error));
    // This closes its inbox: the services end as soon as they notice.
    drop(node);
    let _ = services.join();
    outcome
}

/// Raises the soft limit of open files (RLIMIT_NOFILE of getrlimit(2)) as far as [`DESCRIPTORS`]: each
/// socket of an interface, running script and connection takes some. The usual limit of 1,024 is one
/// for programs that use select(2).
pub(crate) fn raise_descriptor_limit() -> Result<(), nix::Error> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = hard.min(DESCRIPTORS);
    match soft < wanted {
        true => setrlimit(Resource::RLIMIT_NOFILE, wanted, hard),
        false => Ok(()),
    }
}

/// Lets a panic in any thread end the whole process, so that systemd cleans up and restarts the
/// daemon.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
