//! Command line.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use vrrp_commands::Lasting;
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
    /// SIGTERM and SIGINT hand over mastership, SIGHUP reloads the configuration. SIGUSR2 ends the daemon and
    /// leaves everything to the next one, which has to start at once: a restart without a change of master.
    /// `systemctl restart` does the same, and so does a second daemon with --take-over.
    Run(RunOptions),
    /// Runs check scripts and notification programs for a daemon, as users without rights over it.
    ///
    /// `vrrpd run --scripts SOCKET` lets this process run them. Only the owner of the socket may connect to it.
    /// To run programs as other users than its own it needs the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL.
    Scripts(ScriptsOptions),
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
    /// Makes other hosts master of all instances, for maintenance of this host.
    ///
    /// Every instance advertises priority 1 until the drain ends, so that a backup that preempts takes
    /// over within a second. The drain survives restarts of the daemon and of the host.
    Drain(DrainOptions),
    /// Ends the drain of this host.
    Undrain(OperateOptions),
    /// Makes another host master of an instance and its sync group.
    ///
    /// A master resigns at once (priority 0), so that also a backup that does not preempt takes over. The
    /// instance has priority 1 until the end.
    StepDown(StepDownOptions),
    /// Replaces the configured priority of an instance for a time. The weights of trackers still count.
    Priority(PriorityOptions),
    /// Announces the addresses of a master again (gratuitous ARP, neighbour advertisements).
    Announce(AnnounceOptions),
    /// Reloads the configuration, and prints the result or all mistakes.
    Reload(ReloadOptions),
    /// Deletes the virtual addresses, routes and interfaces that a dead daemon left on this host.
    Cleanup(CleanupOptions),
    /// Examines this host and its network before the daemon runs, and changes nothing.
    ///
    /// Prints each finding with the command that mends it. Listens for three advertisement intervals. Exit status 0
    /// without findings, 1 if there are warnings, 2 if there are errors or nothing could be examined.
    Doctor(DoctorOptions),
    /// Prints the JSON Schema of the configuration.
    Schema,
    /// Prints a manual page.
    #[command(hide = true)]
    Man {
        /// Section of the manual.
        #[arg(value_enum, default_value_t = Manual::Program)]
        section: Manual,
    },
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
    pub(crate) state: StateOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
    /// Socket of `vrrpd scripts`, which then runs all check scripts and notification programs [default: the
    /// daemon runs them].
    #[arg(long, value_name = "SOCKET")]
    pub(crate) scripts: Option<PathBuf>,
    /// Takes over from the daemon that runs in this network namespace, if there is one, without a change of
    /// master. It is asked to leave (SIGUSR2) only once the configuration of this process is found valid. A daemon
    /// that systemd has started is restarted with `systemctl restart` instead.
    #[arg(long)]
    pub(crate) take_over: bool,
    /// Logs debug messages too, such as the results of notify commands that succeeded.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScriptsOptions {
    /// Listens at this path [default: standard input is the listening socket].
    #[arg(long, value_name = "SOCKET")]
    pub(crate) listen: Option<PathBuf>,
    /// User of programs for which the configuration names none [default: the user of this process].
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Further user that the configuration may name; may be repeated.
    #[arg(long, value_name = "USER")]
    pub(crate) allow: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Configuration file, or one of each host [default: /etc/vrrpd/config.json].
    #[arg(value_name = "FILE", conflicts_with = "config")]
    files: Vec<PathBuf>,
    /// Configuration file, as for `run`.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Skips the files with passwords and keys: they may exist on the target host only.
    #[arg(long)]
    pub(crate) without_secrets: bool,
}

impl CheckOptions {
    /// The configuration files.
    pub(crate) fn files(&self) -> Vec<&Path> {
        let named = self.files.iter().chain(&self.config);
        let named: Vec<&Path> = named.map(PathBuf::as_path).collect();
        match named.is_empty() {
            true => vec![Path::new(DEFAULT_CONFIGURATION)],
            false => named,
        }
    }
}

/// Options of all commands to the running daemon.
#[derive(Debug, Args)]
pub(crate) struct OperateOptions {
    #[command(flatten)]
    pub(crate) runtime: RuntimeOptions,
}

#[derive(Debug, Args)]
pub(crate) struct DrainOptions {
    #[command(flatten)]
    pub(crate) stand: StandOptions,
    #[command(flatten)]
    pub(crate) last_resort: LastResortOptions,
    #[command(flatten)]
    pub(crate) operate: OperateOptions,
}

#[derive(Debug, Args)]
pub(crate) struct StepDownOptions {
    #[command(flatten)]
    pub(crate) instance: InstanceOptions,
    #[command(flatten)]
    pub(crate) stand: StandOptions,
    #[command(flatten)]
    pub(crate) last_resort: LastResortOptions,
    /// Ends a step-down instead.
    #[arg(long, conflicts_with_all = ["lasts", "reason"])]
    pub(crate) end: bool,
    #[command(flatten)]
    pub(crate) operate: OperateOptions,
}

#[derive(Debug, Args)]
pub(crate) struct PriorityOptions {
    /// Name of the instance.
    pub(crate) instance: String,
    /// Priority, 1 to 254.
    #[arg(required_unless_present = "end", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) value: Option<u8>,
    #[command(flatten)]
    pub(crate) stand: StandOptions,
    /// Returns to the configured priority instead.
    #[arg(long, conflicts_with_all = ["value", "lasts", "reason"])]
    pub(crate) end: bool,
    #[command(flatten)]
    pub(crate) operate: OperateOptions,
}

#[derive(Debug, Args)]
pub(crate) struct AnnounceOptions {
    /// Name of the instance [default: all masters of this host].
    pub(crate) instance: Option<String>,
    #[command(flatten)]
    pub(crate) operate: OperateOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ReloadOptions {
    /// Prints what would change, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) operate: OperateOptions,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct InstanceOptions {
    /// Name of the instance.
    pub(crate) instance: Option<String>,
    /// All instances.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StandOptions {
    /// Time until the command ends by itself: `30s`, `10m`, `2h`, `1d`, or `forever`
    /// [default: 1m for step-down, 1h else].
    #[arg(long = "for", value_name = "TIME", value_parser = lasting)]
    pub(crate) lasts: Option<Lasting>,
    /// Reason, for status and log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LastResortOptions {
    /// Becomes master if no other host does. This is the default.
    #[arg(long, overrides_with = "no_last_resort")]
    last_resort: bool,
    /// Does not become master even if no other host does.
    #[arg(long)]
    no_last_resort: bool,
}

impl LastResortOptions {
    /// Whether an instance becomes master if no other host does.
    pub(crate) const fn is_on(&self) -> bool {
        self.last_resort || !self.no_last_resort
    }
}

/// Parses a time of whole units.
fn lasting(text: &str) -> Result<Lasting, String> {
    if text == "forever" {
        return Ok(Lasting::Forever);
    }
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let parse = |(unit, seconds): (&str, u32)| {
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        NonZeroU32::new(number.checked_mul(seconds)?)
    };
    let seconds = units.into_iter().find_map(parse);
    seconds.map(Lasting::Seconds).ok_or_else(|| {
        "must be a whole number with a unit (30s, 10m, 2h, 1d), or forever".to_owned()
    })
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

/// Page of the manual, by its section.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Manual {
    /// vrrpd(8): the program.
    #[value(name = "8")]
    Program,
    /// vrrpd.json(5): the configuration.
    #[value(name = "5")]
    Configuration,
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
    /// Address and port for HTTP requests, such as 0.0.0.0:9650 for all IPv4 addresses of the host.
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
    /// Directory of the sockets and of the events [default: $RUNTIME_DIRECTORY, or /run/vrrpd].
    #[arg(long = "runtime-dir", value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl RuntimeOptions {
    /// Path of the control socket.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.directory().join("control.sock")
    }

    /// Path of the command socket.
    pub(crate) fn command_socket(&self) -> PathBuf {
        self.directory().join("command.sock")
    }

    /// Directory of the control socket and of the files that the daemon leaves for other processes.
    pub(crate) fn directory(&self) -> PathBuf {
        given_or(self.directory.as_ref(), "RUNTIME_DIRECTORY", "/run/vrrpd")
    }
}

#[derive(Debug, Args)]
pub(crate) struct StateOptions {
    /// Directory of the standing commands and of sequence numbers, kept over restarts of the host [default:
    /// $STATE_DIRECTORY, or /var/lib/vrrp].
    #[arg(long = "state-dir", value_name = "DIR")]
    state_directory: Option<PathBuf>,
}

impl StateOptions {
    /// The directory.
    pub(crate) fn directory(&self) -> PathBuf {
        given_or(
            self.state_directory.as_ref(),
            "STATE_DIRECTORY",
            "/var/lib/vrrp",
        )
    }
}

/// The given directory, or that of an environment variable of systemd, or else `default`.
fn given_or(given: Option<&PathBuf>, variable: &str, default: &str) -> PathBuf {
    given
        .cloned()
        .or_else(|| std::env::var_os(variable).map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(default))
}

pub(crate) const DEFAULT_CONFIGURATION: &str = "/etc/vrrpd/config.json";
