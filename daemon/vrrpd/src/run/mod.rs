//! `vrrpd run`: starts the three threads and ends them.

mod complaints;
mod device_reaper;
mod event_sender;
mod inbox;
mod lvs;
mod machine;
mod node;
mod sockets;

use std::path::PathBuf;

use tracing::Level;
use vrrp_config::{Loaded, Secrets, load};
use vrrp_linux::capability;

pub(crate) use self::event_sender::{NodeEvent, NodeEvents};
pub(crate) use self::inbox::{Inbox, Message};
pub(crate) use self::machine::StateCounts;
pub(crate) use self::node::Node;
use crate::check::count;
use crate::cli::RunOptions;
use crate::services::resources::configured;
use crate::services::{self, Services, control};
use crate::{Failed, log_writer};

pub(crate) fn run(options: &RunOptions) -> Result<(), Failed> {
    abort_on_panic();
    let file = options.configuration.file.clone();
    let loaded = load(&file, Secrets::Read)?;
    // Before the first thread is started: setns(2) moves only the calling thread.
    options.place.enter()?;
    capability::check().map_err(|missing| Failed::General.reasons(missing))?;
    let socket = options.runtime.control_socket();
    // The socket also keeps a second daemon from starting, so it is taken before any change.
    let listener = control::listen(&socket).map_err(|error| {
        Failed::General.reasons(format_args!(
            "cannot listen at {}: {error}",
            socket.display()
        ))
    })?;
    let (log, log_writer) = log_writer::start(options.verbose)
        .map_err(|error| Failed::General.reasons(format_args!("cannot start a thread: {error}")))?;
    if let Err(error) = capability::clear_ambient() {
        log.note(
            Level::WARN,
            format!("cannot clear the ambient capabilities: {error}; check scripts inherit them"),
        );
    }
    let outcome = serve(file, loaded, listener, &log);
    let _ = std::fs::remove_file(&socket);
    // The log writer ends with the last handle.
    drop(log);
    log_writer.finish();
    outcome
}

/// Runs the node and the services until the node has stopped.
fn serve(
    file: PathBuf,
    loaded: Loaded,
    listener: std::os::unix::net::UnixListener,
    log: &log_writer::Log,
) -> Result<(), Failed> {
    let Loaded {
        node: params,
        probes,
        notify,
        resources,
        warnings,
    } = loaded;
    for warning in &warnings {
        log.note(Level::WARN, warning.to_string());
    }
    let complain = |what: &str, error: std::io::Error| {
        Failed::General.reasons(format_args!("cannot {what}: {error}"))
    };
    log.note(
        Level::INFO,
        format!(
            "vrrpd {} started: {} from {}",
            env!("CARGO_PKG_VERSION"),
            count(params.routers.len(), "instance"),
            file.display()
        ),
    );
    let names = params.peer_names();
    let resources = configured(&params, resources);
    let (mut node, inbox, state_counts, node_events) = Node::new(params, log.clone())
        .map_err(|error| complain("open the sockets of the daemon", error))?;
    let services = Services {
        file,
        probes,
        notify,
        resources,
        names,
        listener,
        inbox,
        state_counts,
        node_events,
        log: log.clone(),
    };
    let services = services::start(services).map_err(|error| complain("start a thread", error))?;
    let outcome = node
        .run()
        .map_err(|error| complain("wait for events", error));
    // This closes its inbox: the services end as soon as they notice.
    drop(node);
    let _ = services.join();
    outcome
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
