//! The program `vrrp-lab`: two hosts keep a virtual address alive for a client, for people to see.

mod bench;
mod experiments;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

fn main() -> ExitCode {
    vrrp_lab::dispatch();
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "vrrp-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all was as it must be.
fn run(cli: Cli) -> vrrp_lab::Result<bool> {
    vrrp_lab::daemons::vrrpd_program()?;
    vrrp_lab::isolate()?;
    match cli.command {
        Some(Command::Bench(options)) => bench::run(&options),
        None => experiments::run(&cli.experiments),
    }
}
