//! A VRRP daemon for Linux.
//!
//! `vrrpd run` is three threads, and more where something takes the kernel long. The main one runs
//! [`run::Node`]: it owns the engine, the clock and the sockets, and never waits for anything but
//! them. The [`services`] is a small runtime for what may be slow: signals, trackers, notifications, the
//! control socket, systemd. The [`log_writer`] writes the log, so that a full pipe stops nobody else. They
//! reach the main thread by its [`inbox`](run::Inbox) and hear from it by bounded channels that drop
//! rather than wait.

mod check;
mod cleanup;
mod cli;
mod log_writer;
mod manual;
mod run;
mod services;
mod status;
#[cfg(test)]
mod testing;
mod units;

use std::process::ExitCode;

use clap::Parser as _;
use vrrp_config::LoadError;

use self::cli::{Cli, Command};

/// What was to be said has been said; only the exit status is left.
#[derive(Clone, Copy, Debug)]
enum Failed {
    /// Something went wrong: exit status 1.
    General,
    /// The configuration or the command line is wrong: exit status 2.
    Configuration,
}

impl Failed {
    /// Says what went wrong, on standard error.
    #[expect(
        clippy::print_stderr,
        reason = "the one place where a command complains"
    )]
    fn reasons(self, complaint: impl std::fmt::Display) -> Self {
        eprintln!("vrrpd: {complaint}");
        self
    }
}

impl From<LoadError> for Failed {
    fn from(error: LoadError) -> Self {
        let failed = match error {
            LoadError::Invalid { .. } => Self::Configuration,
            LoadError::Unreadable { .. } | LoadError::Secrets { .. } => Self::General,
        };
        failed.reasons(error)
    }
}

impl From<Failed> for ExitCode {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::General => Self::from(1),
            Failed::Configuration => Self::from(2),
        }
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Check(options) => check::check(&options),
        Command::Status(options) => status::status(&options),
        Command::Cleanup(options) => cleanup::cleanup(&options),
        Command::Schema => check::schema(),
        Command::Man => manual::man(),
        Command::Completions { shell } => manual::completions(shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => failed.into(),
    }
}

/// Writes to standard output. A reader that went away is no error: `vrrpd status | head -1`.
fn print(text: &str) -> Result<(), Failed> {
    use std::io::{ErrorKind, Write as _};

    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failed::General.reasons(format_args!("cannot write to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
