//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use vrrp_linux::namespace;

use crate::Failed;

/// Keeps virtual IP addresses alive on two or more Linux hosts (VRRP, RFC 9568 and RFC 3768).
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the daemon until it is told to stop.
    ///
    /// SIGTERM and SIGINT hand all addresses over, SIGHUP reads the configuration again.
    Run(RunOptions),
    /// Says what is wrong with a configuration, all of it. Exit status 2 when something is.
    Check(CheckOptions),
    /// Shows the state of the daemon.
    Status(StatusOptions),
    /// Takes off this host the virtual addresses that a dead daemon left.
    Cleanup(CleanupOptions),
    /// Prints the JSON Schema of the configuration.
    Schema,
    /// Prints the manual page.
    #[command(hide = true)]
    Man,
    /// Prints what completes the words of this command line in a shell.
    #[command(hide = true)]
    Completions {
        /// Whose language it is in.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationOptions,
    #[command(flatten)]
    pub(crate) runtime: RuntimeOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
    /// Says more: each dropped packet's cause and each script's result.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// The configuration.
    #[arg(default_value = DEFAULT_CONFIGURATION)]
    pub(crate) file: PathBuf,
    /// Leaves files with passwords and keys alone: they may exist on the target host only.
    #[arg(long)]
    pub(crate) without_secrets: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    pub(crate) runtime: RuntimeOptions,
    /// Prints everything as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CleanupOptions {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationOptions,
    #[command(flatten)]
    pub(crate) runtime: RuntimeOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Debug, Args)]
pub(crate) struct PlaceOptions {
    /// The network namespace to work in: a name of `ip netns`, or the path of its file. Check scripts
    /// run there as well. Needs CAP_SYS_ADMIN [default: the one that it is started in].
    #[arg(long = "netns", value_name = "NAME")]
    namespace: Option<PathBuf>,
}

impl PlaceOptions {
    /// Goes there. To be called before there is a second thread.
    pub(crate) fn enter(&self) -> Result<(), Failed> {
        let Some(name) = &self.namespace else {
            return Ok(());
        };
        namespace::enter(name).map_err(|error| {
            Failed::General.reasons(format_args!(
                "cannot enter the network namespace {}: {error}; `ip netns list` tells the names that \
                 there are, and it needs CAP_SYS_ADMIN",
                namespace::file_of(name).display()
            ))
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct ConfigurationOptions {
    /// The configuration.
    #[arg(long = "config", short = 'c', value_name = "FILE", default_value = DEFAULT_CONFIGURATION)]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RuntimeOptions {
    /// Where the control socket is [default: $RUNTIME_DIRECTORY, or /run/vrrpd].
    #[arg(long = "runtime-dir", value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl RuntimeOptions {
    /// The control socket.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.directory
            .clone()
            .or_else(|| std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("/run/vrrpd"))
            .join("control.sock")
    }
}

pub(crate) const DEFAULT_CONFIGURATION: &str = "/etc/vrrpd/config.json";
