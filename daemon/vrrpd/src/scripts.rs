//! `vrrpd scripts`: the [script runner](script_runner), a process beside the daemon.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;

use nix::sys::socket::{getsockopt, sockopt};
use vrrp_linux::signal::keep_exit_statuses;

use crate::Failed;
use crate::cli::ScriptsOptions;
use crate::daemon::raise_descriptor_limit;
use crate::services::listener;
use crate::services::program::script_runner::{self, Allowed};

/// Runs programs for the daemon until a signal ends this process.
pub(crate) fn scripts(options: ScriptsOptions) -> Result<(), Failed> {
    let listener = match &options.listen {
        Some(path) => listener::bind(path, 0o600).map_err(|error| {
            let path = path.display();
            Failed::General.reasons(format_args!("cannot listen at {path}: {error}"))
        })?,
        None => standard_input().map_err(|error| {
            Failed::General.reasons(format_args!(
                "cannot listen at standard input: {error}; use --listen, or StandardInput=socket in a unit"
            ))
        })?,
    };
    let allowed = Allowed {
        default: options.user,
        others: options.allow.into_iter().collect(),
    };
    keep_exit_statuses()
        .and_then(|()| raise_descriptor_limit().map_err(io::Error::from))
        .and_then(|()| script_runner::serve(listener, allowed))
        .map_err(|error| Failed::General.reasons(format_args!("cannot run scripts: {error}")))
}

/// The listening socket that is standard input (`StandardInput=socket` of systemd.exec(5)).
fn standard_input() -> io::Result<UnixListener> {
    let input: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    match getsockopt(&input, sockopt::AcceptConn) {
        Ok(true) => Ok(UnixListener::from(input)),
        Ok(false) | Err(_) => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is no listening socket",
        )),
    }
}
