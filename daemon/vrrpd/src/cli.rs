//! Command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use vrrp_linux::namespace;

use crate::Failed;

/// Provides highly available virtual IP addresses on Linux (VRRP, RFC 9568 and RFC 3768).
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the daemon until SIGTERM or SIGINT.
    ///
    /// SIGTERM and SIGINT hand over mastership, SIGHUP reloads the configuration.
    Run(RunOptions),
    /// Checks a configuration and prints all mistakes. Exit status 2 if there is one.
    Check(CheckOptions),
    /// Shows the state of the running daemon.
    Status(StatusOptions),
    /// Deletes the virtual addresses, routes and interfaces that a dead daemon left on this host.
    Cleanup(CleanupOptions),
    /// Prints the JSON Schema of the configuration.
    Schema,
    /// Prints the manual page.
    #[command(hide = true)]
    Man,
    /// Prints the completion script of a shell.
    #[command(hide = true)]
    Completions {
        /// Shell that the script is for.
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
    /// Logs debug messages too, such as the results of notify commands that succeeded.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Configuration file.
    #[arg(default_value = DEFAULT_CONFIGURATION)]
    pub(crate) file: PathBuf,
    /// Skips the files with passwords and keys: they may exist on the target host only.
    #[arg(long)]
    pub(crate) without_secrets: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    pub(crate) runtime: RuntimeOptions,
    /// Prints the whole status as JSON.
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
    /// Network namespace to work in: a name as in `ip netns`, or the path of its file. Check
    /// scripts run there as well. Needs CAP_SYS_ADMIN [default: that of the calling process].
    #[arg(long = "netns", value_name = "NAME")]
    namespace: Option<PathBuf>,
}

impl PlaceOptions {
    /// Enters the namespace. Has to be called before the process has a second thread.
    pub(crate) fn enter(&self) -> Result<(), Failed> {
        let Some(name) = &self.namespace else {
            return Ok(());
        };
        namespace::enter(name).map_err(|error| {
            Failed::General.reasons(format_args!(
                "cannot enter the network namespace {}: {error}; `ip netns list` shows the names, \
                 and CAP_SYS_ADMIN is required",
                namespace::file_of(name).display()
            ))
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct ConfigurationOptions {
    /// Configuration file.
    #[arg(long = "config", short = 'c', value_name = "FILE", default_value = DEFAULT_CONFIGURATION)]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RuntimeOptions {
    /// Directory of the control socket [default: $RUNTIME_DIRECTORY, or /run/vrrpd].
    #[arg(long = "runtime-dir", value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl RuntimeOptions {
    /// Path of the control socket.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.directory
            .clone()
            .or_else(|| std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("/run/vrrpd"))
            .join("control.sock")
    }
}

pub(crate) const DEFAULT_CONFIGURATION: &str = "/etc/vrrpd/config.json";
