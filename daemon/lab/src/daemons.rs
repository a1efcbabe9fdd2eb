//! The tested daemons, each a process of a host: `vrrpd` and, where they are installed, keepalived
//! and FRR.

mod frr;
mod peer;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;
use vrrp_proto::State;
use vrrp_proto::snapshot::{RouterStatus, Snapshot};

use crate::clock::Moment;
use crate::error::{Doing, Error, Result};
use crate::host::Host;
use crate::process::{Line, Process};

pub use frr::Frr;
pub use peer::PeerProgram;

/// Path of the configuration of `vrrpd`; `/run` is private to each host.
pub const VRRPD_CONFIG: &str = "/run/vrrpd.json";
/// State directory of `vrrpd`.
pub const VRRPD_STATE: &str = "/run/vrrpd-state";
const KEEPALIVED_CONFIG: &str = "/run/keepalived.conf";

/// Time limit for start, reload and exit of a daemon.
const PATIENCE: Duration = Duration::from_secs(10);

static VRRPD: OnceLock<PathBuf> = OnceLock::new();

/// Path of the program `vrrpd`: `$VRRPD`, or beside this program, or in `$PATH`. Under cargo the
/// program is built first, in the profile of this program. Call it before
/// [`isolate`](crate::isolate()), after which cargo cannot reach its registry.
///
/// # Errors
/// If there is none, or the build fails.
pub fn vrrpd_program() -> Result<&'static Path> {
    if let Some(program) = VRRPD.get() {
        return Ok(program);
    }
    let program = find_vrrpd()?;
    Ok(VRRPD.get_or_init(|| program))
}

fn find_vrrpd() -> Result<PathBuf> {
    if let Some(program) = env::var_os("VRRPD") {
        // Absolute, because hosts have another working directory.
        return std::path::absolute(program).doing("reading $VRRPD");
    }
    let exe = crate::exe()?;
    // Test programs are in `deps` below the profile's directory.
    let directory = exe.parent().unwrap_or(Path::new("/"));
    let profile = directory
        .parent()
        .filter(|_| directory.ends_with("deps"))
        .unwrap_or(directory);
    if let Some(cargo) = env::var_os("CARGO") {
        build(Path::new(&cargo), profile)?;
    }
    let beside = profile.join("vrrpd");
    if beside.is_file() {
        return Ok(beside);
    }
    find_in_path("vrrpd").ok_or_else(|| {
        let text = format!(
            "not at {} and not in $PATH: run cargo build -p vrrpd, or set $VRRPD",
            beside.display()
        );
        Error::new("looking for vrrpd", text)
    })
}

fn build(cargo: &Path, profile: &Path) -> Result<()> {
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "vrrpd"]);
    command
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../vrrpd/Cargo.toml"));
    if let Some(target) = profile.parent() {
        command.arg("--target-dir").arg(target);
    }
    if profile.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().doing("building vrrpd")?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new("building vrrpd", status.to_string()))
    }
}

/// Finds a program in `$PATH`, /usr/sbin or /sbin.
pub fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// Starts `vrrpd` on a host with the configuration at [`VRRPD_CONFIG`] and further options, without waiting.
///
/// # Errors
/// If it cannot be started.
pub fn spawn_vrrpd(host: &Host, options: &[&str]) -> Result<Process> {
    let mut command = Command::new(vrrpd_program()?);
    command.args(["run", "--config", VRRPD_CONFIG, "--state-dir", VRRPD_STATE]);
    command.args(options);
    host.spawn(command)
}

/// A running `vrrpd`.
#[derive(Debug)]
pub struct Vrrpd<'h> {
    host: &'h Host,
    process: Process,
}

impl<'h> Vrrpd<'h> {
    /// Starts the daemon on a host with this configuration, and waits for its start message.
    ///
    /// # Errors
    /// If it exits instead; the error contains its log.
    pub fn start(host: &'h Host, config: &str) -> Result<Self> {
        Self::launch(host, config)?.wait_for_start()
    }

    /// Starts the daemon without waiting.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn launch(host: &'h Host, config: &str) -> Result<Self> {
        Self::launch_with(host, config, &[])
    }

    /// As [`start`](Self::start), with a script runner that listens at `socket`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with_scripts(host: &'h Host, config: &str, socket: &str) -> Result<Self> {
        let daemon = Self::launch_with(host, config, &["--scripts", socket])?;
        daemon.wait_for_start()
    }

    /// As [`start`](Self::start), taking over from the daemon that runs on the host.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn take_over(host: &'h Host, config: &str) -> Result<Self> {
        Self::launch_with(host, config, &["--take-over"])?.wait_for_start()
    }

    fn launch_with(host: &'h Host, config: &str, options: &[&str]) -> Result<Self> {
        host.write(VRRPD_CONFIG, config, 0o600)?;
        let process = spawn_vrrpd(host, options)?;
        Ok(Self { host, process })
    }

    fn wait_for_start(self) -> Result<Self> {
        self.process.wait_for_line(
            |line| line.contains("vrrpd") && line.contains(" started: "),
            PATIENCE,
        )?;
        Ok(self)
    }

    /// Replaces the configuration, sends SIGHUP, and waits until the daemon reports the result of
    /// the reload.
    ///
    /// # Errors
    /// If the daemon reports no result.
    pub fn reload(&self, config: &str) -> Result<Line> {
        self.host.write(VRRPD_CONFIG, config, 0o600)?;
        // Only lines after the signal: earlier reloads wrote the same text.
        let before = self.process.output().len();
        self.process.kill(Signal::SIGHUP)?;
        self.process
            .output()
            .wait_from(
                before,
                |line| {
                    line.text.contains("configuration reloaded")
                        || line.text.contains("in force stays")
                },
                PATIENCE,
            )
            .ok_or_else(|| Error::new("reloading vrrpd", self.process.log()))
    }

    /// Waits for the log line of a transition, `VI_1: backup -> master`, written since `since`.
    ///
    /// # Errors
    /// If it does not appear within `timeout`; the error contains the log.
    pub fn wait_for(
        &self,
        instance: &str,
        from: State,
        to: State,
        since: Moment,
        timeout: Duration,
    ) -> Result<Line> {
        let wanted = format!("{instance}: {from} -> {to} ");
        wait_for_line(&self.process, &wanted, since, timeout)
    }

    /// Waits until an instance is in a state.
    ///
    /// # Errors
    /// If it is not after `timeout`; the error contains the log.
    pub fn wait_for_state(&self, instance: &str, state: State, timeout: Duration) -> Result<()> {
        let arrival = format!("-> {state} ");
        let this = format!("{instance}: ");
        let started = Moment::now();
        let mut seen = 0;
        loop {
            if self.instance(instance)?.state == state {
                return Ok(());
            }
            // A transition after the status query above appears as a log line, so none is missed.
            let left = timeout.saturating_sub(started.elapsed());
            let output = self.process.output();
            let arrived = |line: &Line| line.text.contains(&this) && line.text.contains(&arrival);
            if left.is_zero() || output.wait_from(seen, arrived, left).is_none() {
                let doing = format!("waiting {timeout:?} for {instance} to be {state}");
                return Err(Error::new(doing, self.process.log()));
            }
            seen = output.len();
        }
    }

    /// Status of the daemon, from `vrrpd status --json`.
    ///
    /// # Errors
    /// If the daemon does not answer.
    pub fn status(&self) -> Result<Snapshot> {
        let program = vrrpd_program()?.display().to_string();
        let output = self.host.exec(&[&program, "status", "--json"])?;
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            Error::new(
                "reading the status of vrrpd",
                format!("{error}: {text}{said}"),
            )
        })
    }

    /// Status of one instance.
    ///
    /// # Errors
    /// If the daemon does not answer, or has no such instance.
    pub fn instance(&self, name: &str) -> Result<RouterStatus> {
        self.status()?
            .instances
            .into_iter()
            .find(|instance| &*instance.name == name)
            .ok_or_else(|| {
                Error::new(
                    "reading the status of vrrpd",
                    format!("there is no instance {name}"),
                )
            })
    }

    /// Runs a command to the daemon, such as `vrrpd drain`, and returns its exit status, standard output
    /// and standard error.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        let program = vrrpd_program()?.display().to_string();
        let command: Vec<&str> = [&*program]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.host.exec(&command)
    }

    /// Runs a command to the daemon that has to succeed, and returns its standard output.
    ///
    /// # Errors
    /// If the command fails; the error contains its messages.
    pub fn operate(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments)?;
        if output.status.success() && output.stderr.is_empty() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let doing = format!("running vrrpd {}", arguments.join(" "));
        Err(Error::new(doing, String::from_utf8_lossy(&output.stderr)))
    }

    /// Sends SIGTERM to the daemon and waits for its exit.
    ///
    /// # Errors
    /// If it does not exit.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.process.terminate(PATIENCE)
    }

    /// The process of the daemon.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Starts `vrrpd scripts`, which runs the scripts of a daemon.
///
/// # Errors
/// If it cannot be started.
pub fn start_scripts(host: &Host, socket: &str) -> Result<Process> {
    let mut command = Command::new(vrrpd_program()?);
    command.args(["scripts", "--listen", socket]);
    host.spawn(command)
}

/// Runs `vrrpd cleanup` on a host after the daemon died, as systemd would, and returns its output.
///
/// # Errors
/// If the command fails.
pub fn clean_up(host: &Host) -> Result<String> {
    let program = vrrpd_program()?.display();
    host.shell(&format!("{program} cleanup --config {VRRPD_CONFIG}"))
}

/// A running keepalived.
#[derive(Debug)]
pub struct Keepalived {
    process: Process,
}

impl Keepalived {
    /// Words in log lines with which keepalived rejects or criticises a received advertisement.
    pub const COMPLAINTS: &[&str] = &[
        "nvalid",
        "mismatch",
        "incorrect",
        "wrong",
        "drop",
        "ignor",
        "differ",
        "expect",
        "bogus",
        "not match",
        "too short",
        "truncated",
        "error",
    ];

    /// Starts keepalived on a host with this configuration, and waits until its VRRP process has
    /// read it.
    ///
    /// # Errors
    /// If it is not installed, or exits instead; the error contains its log.
    pub fn start(host: &Host, config: &str) -> Result<Self> {
        let program = PeerProgram::keepalived().ok_or_else(|| {
            Error::new(
                "starting keepalived",
                "not installed: apt-get install keepalived",
            )
        })?;
        host.write(KEEPALIVED_CONFIG, config, 0o644)?;
        let arguments = [
            "--dont-fork",
            "--log-console",
            "--log-detail",
            "--vrrp",
            "--use-file",
            KEEPALIVED_CONFIG,
            "--pid",
            "/run/keepalived.pid",
            "--vrrp_pid",
            "/run/keepalived-vrrp.pid",
        ];
        let process = program.start(host, &arguments)?;
        process.wait_for_line(|line| line.contains("Startup complete"), PATIENCE)?;
        Ok(Self { process })
    }

    /// Waits for the log line of an instance that enters a state: `BACKUP`, `MASTER`, `FAULT`.
    ///
    /// # Errors
    /// If it does not appear within `timeout`; the error contains the log.
    pub fn wait_for(
        &self,
        instance: &str,
        state: &str,
        since: Moment,
        timeout: Duration,
    ) -> Result<Line> {
        let wanted = format!("({instance}) Entering {state} STATE");
        wait_for_line(&self.process, &wanted, since, timeout)
    }

    /// Sends SIGTERM to the daemon and waits for its exit.
    ///
    /// # Errors
    /// If it does not exit.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.process.terminate(PATIENCE)
    }

    /// The process of the daemon.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Waits for the first log line since `since` that contains `wanted`.
fn wait_for_line(
    process: &Process,
    wanted: &str,
    since: Moment,
    timeout: Duration,
) -> Result<Line> {
    let is_wanted = |line: &Line| line.at >= since && line.text.contains(wanted);
    process
        .output()
        .wait_for(is_wanted, timeout)
        .ok_or_else(|| Error::new(format!("waiting {timeout:?} for `{wanted}`"), process.log()))
}
