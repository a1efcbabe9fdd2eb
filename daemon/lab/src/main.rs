//! The program `vrrp-lab`: two hosts keep a virtual address alive for a client, for people to see.

mod bench;
mod experiments;
mod hostile;
mod session;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vrrp_lab::Result;

/// Plays the course's experiments with the real daemon on hosts made of network namespaces.
///
/// Exit status 0 only if all was as it must be.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    experiments: experiments::Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures the daemon, beside keepalived where it is installed.
    Bench(bench::Options),
    /// Attacks the daemon with packets that nobody should believe, and keepalived beside it.
    Hostile(hostile::Options),
    /// Leaves the hosts standing in the background, with both networks.
    Up,
    /// Takes them down.
    Down,
    /// Runs a command on a host, with its exit status.
    Exec {
        /// master, backup or client.
        host: String,
        /// The command, for example bash, or vrrpd status.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Shows what the daemons of a host said.
    Log {
        /// master or backup.
        host: String,
    },
    /// Switches the power of a host off, killing all that runs there, or on.
    Power {
        /// master or backup.
        host: String,
        power: session::Power,
    },
    /// Pulls a cable, or plugs it in again.
    Cable {
        /// master, backup or client.
        host: String,
        /// ens33 or ens37.
        interface: String,
        plug: session::Plug,
    },
    /// The process that keeps the hosts of `up`.
    #[command(name = session::KEEPER, hide = true)]
    Keeper,
}

fn main() -> ExitCode {
    vrrp_lab::dispatch();
    run(Cli::parse()).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "vrrp-lab: {error}");
        ExitCode::FAILURE
    })
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        None => isolated(|| experiments::run(&cli.experiments)),
        Some(Command::Bench(options)) => isolated(|| bench::run(&options)),
        Some(Command::Hostile(options)) => isolated(|| hostile::run(&options)),
        Some(Command::Exec { host, command }) => session::exec(&host, &command),
        Some(Command::Up) => session::up().map(done),
        Some(Command::Down) => session::down().map(done),
        Some(Command::Log { host }) => session::log(&host).map(done),
        Some(Command::Power { host, power }) => session::power(&host, power).map(done),
        Some(Command::Cable {
            host,
            interface,
            plug,
        }) => session::cable(&host, &interface, plug).map(done),
        Some(Command::Keeper) => session::keep().map(done),
    }
}

/// Runs `job` in namespaces of its own. It says whether all was as it must be.
fn isolated(job: impl FnOnce() -> Result<bool>) -> Result<ExitCode> {
    vrrp_lab::daemons::vrrpd_program()?;
    vrrp_lab::isolate()?;
    Ok(if job()? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
