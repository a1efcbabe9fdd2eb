//! Command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use vrrp_linux::namespace;

use crate::{Failed, text};

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
    ///
    /// With the configurations of several hosts it also compares what has to agree between them, such as VRID,
    /// addresses and authentication, and what has to differ, such as the priorities. These may be files of
    /// keepalived, which are converted first.
    Check(CheckOptions),
    /// Converts a keepalived.conf and prints the configuration.
    ///
    /// Standard error lists what has no equivalent, what behaves otherwise, and all mistakes, each with its
    /// line. Exit status 2 if there is a mistake; nothing is printed then.
    Convert(ConvertOptions),
    /// Shows the state of the running daemon.
    Status(StatusOptions),
    /// Explains the state of the instances: why this host is master or not, and until when.
    Explain(ExplainOptions),
    /// Prints transitions and other events of the daemon, also of one that has ended.
    Events(EventsOptions),
    /// Serves the state of the running daemon as metrics of Prometheus.
    ///
    /// A process of its own, which needs no rights. While the daemon does not answer, vrrp_up is 0.
    Exporter(ExporterOptions),
    /// Deletes the virtual addresses, routes and interfaces that a dead daemon left on this host.
    Cleanup(CleanupOptions),
    /// Examines this host and its network before the daemon runs, and changes nothing.
    ///
    /// Prints each finding with the command that mends it. Listens for three advertisement intervals. Exit status 0
    /// without findings, 1 if there are warnings, 2 if there are errors or nothing could be examined.
    Doctor(DoctorOptions),
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
    /// Configuration file, or one of each host.
    #[arg(value_name = "FILE", default_value = DEFAULT_CONFIGURATION)]
    pub(crate) files: Vec<PathBuf>,
    /// Skips the files with passwords and keys: they may exist on the target host only.
    #[arg(long)]
    pub(crate) without_secrets: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertOptions {
    /// Configuration file of keepalived.
    #[arg(default_value = "/etc/keepalived/keepalived.conf")]
    pub(crate) file: PathBuf,
    /// Form of the result: a configuration file, or a NixOS module.
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(crate) to: Format,
    /// Name of the host for which lines with a condition (`@NAME`) are kept [default: this host].
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Name in conditions, as `--config-id` of keepalived [default: the host name up to the first dot].
    #[arg(long, value_name = "ID", conflicts_with = "host")]
    id: Option<String>,
    /// Exit status 2 also if a setting has no equivalent.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl ConvertOptions {
    /// Name in conditions.
    pub(crate) fn id(&self) -> String {
        match (&self.id, &self.host) {
            (Some(id), _) => id.clone(),
            (None, Some(host)) => short_name(host),
            (None, None) => this_host(),
        }
    }
}

/// Name of this host up to the first dot; empty if it has none.
pub(crate) fn this_host() -> String {
    nix::unistd::gethostname().map_or_else(
        |_| String::new(),
        |name| short_name(&name.to_string_lossy()),
    )
}

fn short_name(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    Json,
    Nix,
}

#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    pub(crate) runtime: RuntimeOptions,
    /// Prints the whole status as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints the status every second until SIGINT.
    #[arg(long, short)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    /// Name of an instance [default: all].
    pub(crate) instance: Option<String>,
    #[command(flatten)]
    pub(crate) runtime: RuntimeOptions,
}

#[derive(Debug, Args)]
pub(crate) struct EventsOptions {
    /// Name of an instance: prints only its events [default: all events].
    pub(crate) instance: Option<String>,
    #[command(flatten)]
    pub(crate) runtime: RuntimeOptions,
    /// Prints further events as they happen, until SIGINT.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Prints only later events: a time span (10min, 2h 30min) before now, or a time (UTC) as
    /// "2026-11-30 07:45:00".
    #[arg(long, value_name = "TIME", value_parser = text::since)]
    pub(crate) since: Option<SystemTime>,
    /// Prints one JSON object for each event.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExporterOptions {
    /// Address and port for HTTP requests, such as [::]:9650 for all addresses of the host.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9650")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) runtime: RuntimeOptions,
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
pub(crate) struct DoctorOptions {
    #[command(flatten)]
    pub(crate) configuration: ConfigurationOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
    /// Prints the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
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
    /// Directory of the control socket and of the events [default: $RUNTIME_DIRECTORY, or /run/vrrpd].
    #[arg(long = "runtime-dir", value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl RuntimeOptions {
    /// Path of the control socket.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.directory().join("control.sock")
    }

    /// Directory of the files that the daemon leaves for other programs.
    pub(crate) fn directory(&self) -> PathBuf {
        self.directory
            .clone()
            .or_else(|| std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("/run/vrrpd"))
    }
}

pub(crate) const DEFAULT_CONFIGURATION: &str = "/etc/vrrpd/config.json";
