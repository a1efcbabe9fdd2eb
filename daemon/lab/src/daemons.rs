//! The daemons under trial, each as a process of a host: `vrrpd` and, where they are installed,
//! keepalived and FRR.

mod frr;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;
use vrrp_proto::State;
use vrrp_proto::snapshot::{RouterStatus, Snapshot};

use crate::clock::Moment;
use crate::error::{Doing, Error, Result};
use crate::host::Host;
use crate::process::{Line, Process};

pub use frr::{Frr, frr_program};

/// Where a host has its configurations. `/run` is its own.
const VRRPD_CONFIG: &str = "/run/vrrpd.json";
const KEEPALIVED_CONFIG: &str = "/run/keepalived.conf";

/// How long a daemon may take for what it does at once.
const PATIENCE: Duration = Duration::from_secs(10);

static VRRPD: OnceLock<PathBuf> = OnceLock::new();

/// The program `vrrpd`: `$VRRPD`, or beside this program, or in `$PATH`. Under cargo it is built
/// first, in the profile of this program. Call it before [`isolate`](crate::isolate()), from where
/// cargo reaches its registry.
///
/// # Errors
/// When there is none, or it cannot be built.
pub fn vrrpd_program() -> Result<&'static Path> {
    if let Some(program) = VRRPD.get() {
        return Ok(program);
    }
    let program = find_vrrpd()?;
    Ok(VRRPD.get_or_init(|| program))
}

fn find_vrrpd() -> Result<PathBuf> {
    if let Some(program) = env::var_os("VRRPD") {
        // Hosts have other working directories.
        return std::path::absolute(program).doing("reading $VRRPD");
    }
    let exe = crate::exe()?;
    // Tests stand in `deps` below the profile's directory.
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
            "it is neither at {} nor in $PATH: cargo build -p vrrpd, or set $VRRPD",
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

/// A program in `$PATH`, or where Debian has those of root.
pub fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

/// A running `vrrpd`.
#[derive(Debug)]
pub struct Vrrpd<'h> {
    host: &'h Host,
    process: Process,
}

impl<'h> Vrrpd<'h> {
    /// Starts it on a host with this configuration, and waits until it answers.
    ///
    /// # Errors
    /// When it ends instead; with what it said.
    pub fn start(host: &'h Host, config: &str) -> Result<Self> {
        let daemon = Self::launch(host, config)?;
        daemon.process.wait_for_line(
            |line| line.contains("vrrpd") && line.contains(" runs "),
            PATIENCE,
        )?;
        Ok(daemon)
    }

    /// Starts it and does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(host: &'h Host, config: &str) -> Result<Self> {
        host.write(VRRPD_CONFIG, config, 0o600)?;
        let mut command = Command::new(vrrpd_program()?);
        command.args(["run", "--config", VRRPD_CONFIG]);
        let process = host.spawn(command)?;
        Ok(Self { host, process })
    }

    /// Changes its configuration and waits until it has read it.
    ///
    /// # Errors
    /// When it says nothing about that.
    pub fn reload(&self, config: &str) -> Result<Line> {
        self.host.write(VRRPD_CONFIG, config, 0o600)?;
        let before = self.process.output().len();
        self.process.kill(Signal::SIGHUP)?;
        self.process
            .output()
            .wait_from(
                before,
                |line| line.text.contains("read again") || line.text.contains("in force stays"),
                PATIENCE,
            )
            .ok_or_else(|| Error::new("reloading vrrpd", self.process.log()))
    }

    /// Waits for the line of a change of state, `VI_1: backup -> master`, among those after
    /// `since`.
    ///
    /// # Errors
    /// When it does not come within `timeout`; with the log.
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

    /// Waits until an instance is in a state, however it came there.
    ///
    /// # Errors
    /// When it is not after `timeout`; with the log.
    pub fn wait_for_state(&self, instance: &str, state: State, timeout: Duration) -> Result<()> {
        let arrival = format!("-> {state} ");
        let this = format!("{instance}: ");
        let started = Moment::now();
        let mut seen = 0;
        loop {
            if self.instance(instance)?.state == state {
                return Ok(());
            }
            // Whatever the state was when asked: the next arrival is told by a line.
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

    /// What it shows of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&self) -> Result<Snapshot> {
        let program = vrrpd_program()?.display().to_string();
        let output = self.host.exec(&[&program, "status", "--json"])?;
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            Error::new(
                "asking vrrpd for its status",
                format!("{error}: {text}{said}"),
            )
        })
    }

    /// What it shows of one instance.
    ///
    /// # Errors
    /// When it does not answer, or has no such instance.
    pub fn instance(&self, name: &str) -> Result<RouterStatus> {
        self.status()?
            .instances
            .into_iter()
            .find(|instance| &*instance.name == name)
            .ok_or_else(|| Error::new("asking vrrpd for its status", format!("it has no {name}")))
    }

    /// Stops it in order and waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.process.terminate(PATIENCE)
    }

    /// The process itself.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Takes off a host what a dead `vrrpd` left, as systemd would. Returns what it said.
///
/// # Errors
/// When it fails.
pub fn clean_up(host: &Host) -> Result<String> {
    let program = vrrpd_program()?.display();
    host.shell(&format!("{program} cleanup --config {VRRPD_CONFIG}"))
}

/// The program keepalived, where it is installed.
pub fn keepalived_program() -> Option<PathBuf> {
    find_in_path("keepalived")
}

/// A running keepalived.
#[derive(Debug)]
pub struct Keepalived {
    process: Process,
}

impl Keepalived {
    /// Words of its lines with which it complains of what it hears.
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

    /// Starts it on a host with this configuration, and waits until its VRRP process reads it.
    ///
    /// # Errors
    /// When it is not installed, or ends instead; with what it said.
    pub fn start(host: &Host, config: &str) -> Result<Self> {
        let program = keepalived_program().ok_or_else(|| {
            Error::new(
                "starting keepalived",
                "it is not installed: apt-get install keepalived",
            )
        })?;
        host.write(KEEPALIVED_CONFIG, config, 0o644)?;
        let mut command = Command::new(program);
        command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"]);
        command.args(["--use-file", KEEPALIVED_CONFIG]);
        command.args([
            "--pid",
            "/run/keepalived.pid",
            "--vrrp_pid",
            "/run/keepalived-vrrp.pid",
        ]);
        let process = host.spawn(command)?;
        process.wait_for_line(|line| line.contains("Startup complete"), PATIENCE)?;
        Ok(Self { process })
    }

    /// Waits for its line of an instance that enters a state: `BACKUP`, `MASTER`, `FAULT`.
    ///
    /// # Errors
    /// When it does not come within `timeout`; with the log.
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

    /// Stops it in order and waits for its end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.process.terminate(PATIENCE)
    }

    /// The process itself.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// The first line with `wanted` in it that a daemon wrote since then.
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
