//! A VRRP daemon for Linux.
//!
//! [`daemon`] is `vrrpd run`: it starts three threads, and the node further ones where the kernel
//! takes long for a request or others may send any number of packets. The main thread runs [`node::Node`]: it owns the engine, the clock and
//! the sockets, and waits for nothing else. The [`services`] thread is a small runtime for all that
//! may be slow: signals, trackers, notifications, the control socket, systemd. The [`log_writer`]
//! writes the log, so that a full pipe blocks no other thread. Node and services know only the
//! [`channel`] between them, on which the node never waits.

mod answer;
mod channel;
mod check;
mod cleanup;
mod cli;
mod complaints;
mod convert;
mod daemon;
mod doctor;
mod event_log;
mod events;
mod explain;
#[cfg(feature = "http")]
mod exporter;
#[cfg(not(feature = "http"))]
#[path = "exporter/absent.rs"]
mod exporter;
#[cfg(feature = "http")]
mod http_stream;
mod log_writer;
mod manual;
mod node;
mod operate;
mod replace;
mod scripts;
mod services;
mod state_files;
mod status;
#[cfg(test)]
mod testing;
mod text;
#[cfg(feature = "dbus")]
mod units;
#[cfg(not(feature = "dbus"))]
#[path = "units/absent.rs"]
mod units;

use std::process::ExitCode;

use clap::Parser as _;
use vrrp_config::LoadError;

use self::cli::{Cli, Command};

/// Failure of a command, after its message was printed: the exit status.
#[derive(Clone, Copy, Debug)]
enum Failed {
    /// Any failure: exit status 1.
    General,
    /// Invalid configuration or command line: exit status 2.
    Configuration,
}

impl Failed {
    /// Prints `complaint` on standard error.
    #[expect(
        clippy::print_stderr,
        reason = "the one place that prints errors of a command"
    )]
    fn reasons(self, complaint: impl std::fmt::Display) -> Self {
        eprintln!("vrrpd: {complaint}");
        self
    }
}

impl From<LoadError> for Failed {
    fn from(error: LoadError) -> Self {
        let failed = match error {
            LoadError::Invalid { .. } | LoadError::Unusable { .. } => Self::Configuration,
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
        Command::Run(options) => daemon::run(&options),
        Command::Scripts(options) => scripts::scripts(options),
        Command::Check(options) => check::check(&options),
        Command::Convert(options) => convert::convert(&options),
        Command::Status(options) => status::status(&options),
        Command::Explain(options) => explain::explain(&options),
        Command::Events(options) => events::events(&options),
        Command::Exporter(options) => exporter::exporter(&options),
        Command::Drain(options) => operate::drain(options),
        Command::Undrain(options) => operate::undrain(&options),
        Command::StepDown(options) => operate::step_down(options),
        Command::Priority(options) => operate::priority(options),
        Command::Announce(options) => operate::announce(options),
        Command::Reload(options) => operate::reload(&options),
        Command::Cleanup(options) => cleanup::cleanup(&options),
        Command::Doctor(options) => return doctor::doctor(&options),
        Command::Schema => check::schema(),
        Command::Man { section } => manual::man(section),
        Command::Completions { shell } => manual::completions(shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => failed.into(),
    }
}

/// Writes to standard output. It is no error when the reader has closed the pipe:
/// `vrrpd status | head -1`.
fn print(text: &str) -> Result<(), Failed> {
    print_while_read(text).map(|_| ())
}

/// Writes to standard output, with colours if that is a terminal that has them (`NO_COLOR` turns them off).
/// Returns whether there is still a reader.
fn print_while_read(text: &str) -> Result<bool, Failed> {
    use std::io::{ErrorKind, Write as _};

    let mut output = anstream::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(Failed::General.reasons(format_args!("cannot write to standard output: {error}")))
        }
    }
}
