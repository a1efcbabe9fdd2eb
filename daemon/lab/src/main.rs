//! The program `vrrp-lab`: demonstrates, measures and attacks a pair of VRRP hosts that serve a
//! client, and explains captures of other networks.

mod bench;
mod experiments;
mod hostile;
mod post_mortem;
mod session;
mod timeline;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vrrp_lab::Result;

/// Runs both experiments of a keepalived course with the real daemon, on hosts that are network
/// namespaces.
///
/// Exit status 0 only if every step met its expectation.
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
    /// Measures the daemon, and keepalived where it is installed.
    Bench(bench::Options),
    /// Floods the daemon, and keepalived where it is installed, with packets that must not change
    /// its state.
    Hostile(hostile::Options),
    /// Explains a capture of any VRRP network: masters, reasons of each change, and faults.
    Capture(post_mortem::Options),
    /// Starts the hosts with both networks and keeps them running in the background.
    Up,
    /// Stops the hosts that `up` started.
    Down,
    /// Runs a command on a host and returns its exit status.
    Exec {
        /// Host: master, backup or client.
        host: String,
        /// Command, for example bash, or vrrpd status.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Prints the log of the daemon on a host.
    Log {
        /// Host: master or backup.
        host: String,
    },
    /// Switches the power of a host on or off; `off` kills all its processes at once.
    Power {
        /// Host: master or backup.
        host: String,
        power: session::Power,
    },
    /// Pulls a network cable of a host, or plugs it back in.
    Cable {
        /// Host: master, backup or client.
        host: String,
        /// Interface: ens33 or ens37.
        interface: String,
        plug: session::Plug,
    },
    /// Background process that runs the hosts of `up`.
    #[command(name = session::KEEPER, hide = true)]
    Keeper,
}

fn main() -> ExitCode {
    // Before clap, which does not know the hidden subcommands of init and web server.
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
        Some(Command::Capture(options)) => Ok(post_mortem::run(&options)),
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

/// Runs `job` in new namespaces and returns its verdict, `true` for success, as the exit status.
fn isolated(job: impl FnOnce() -> Result<bool>) -> Result<ExitCode> {
    // Before `isolate`: the build needs cargo's registry and the network.
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
