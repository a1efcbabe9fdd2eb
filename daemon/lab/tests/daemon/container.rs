//! The daemon as the first process of a container (PID 1), and what it inherits otherwise: orphans, signals
//! and the log.

use std::process::Command;

use serde_json::{Value, json};
use vrrp_lab::daemons::vrrpd_program;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Host, Moment, Process, Result};
use vrrp_proto::snapshot::{Snapshot, TrackerStatus};

use crate::common::{Lan, SOON, VIP, instance, only, with};
use crate::pair::HIGH;

/// Script that leaves two orphans, of which one outlives it, and ends with the status $1.
const LEAVES: &str = "#!/bin/sh\n\
    if [ -e /run/leave ]; then (: &); (sleep 0.05 &); fi\n\
    exit $1\n";

pub(crate) fn first_process_of_container_reaps_orphans_of_scripts() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    a.host.write("/run/leaves", LEAVES, 0o755)?;
    a.host.write("/run/leave", "", 0o644)?;
    let script = |status: &str| json!({ "script": { "command": ["/run/leaves", status], "interval": "50ms" } });
    let mut config: Value = serde_json::from_str(&only(with(
        instance(HIGH),
        json!({ "track": [{ "tracker": "bad", "weight": -10 }, "good"],
                "notify": { "any": ["/run/leaves", "0"] } }),
    )))?;
    config["trackers"] = json!({ "bad": script("7"), "good": script("0") });
    a.host.write("/run/vrrpd.json", config.to_string(), 0o600)?;
    let container = Container::start(&a.host)?;
    let has_run = |tracker: &TrackerStatus| tracker.results >= 30;
    container.wait_for(|status| status.trackers.iter().all(has_run))?;
    a.host.shell("rm /run/leave")?;
    wait_without_zombies(&a.host)?;
    // No exit status of a script was lost to whatever waits for the orphans.
    let status = container.status()?;
    let [bad, good] = &*status.trackers else {
        return Err(format!("{:?}", status.trackers).into());
    };
    assert_eq!(bad.failures, bad.results, "{bad:?}");
    assert_eq!(&*bad.detail, "exit status: 7");
    assert_eq!(good.failures, 0, "{good:?}");
    let notify = status.instances[0].notify.as_ref();
    assert_eq!(notify.map(|notify| notify.failures), Some(0));
    Ok(())
}

pub(crate) fn first_process_of_container_obeys_signals_and_logs_to_its_output() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    a.host
        .write("/run/vrrpd.json", only(instance(HIGH)), 0o600)?;
    let container = Container::start(&a.host)?;
    let says = |text: &'static str| move |line: &str| line.contains(text);
    container
        .process
        .wait_for_line(says("VI_1: backup -> master"), SOON)?;
    container.kill("HUP")?;
    container
        .process
        .wait_for_line(says("configuration reloaded"), SOON)?;
    let stopped = Moment::now();
    container.kill("TERM")?;
    lan.advert(stopped, |advert| advert.priority == 0)?;
    a.address_event(VIP, false, stopped)?;
    container
        .process
        .wait_for_line(says("VI_1: master -> init"), SOON)?;
    assert!(container.process.wait(SOON)?.success());
    Ok(())
}

/// The kernel discards a signal for the first process of a container that has no handler for it.
pub(crate) fn first_process_of_container_obeys_signal_during_start() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    a.host
        .write("/run/real.json", only(instance(HIGH)), 0o600)?;
    a.host.shell("mkfifo /run/vrrpd.json")?;
    let container = Container::start(&a.host)?;
    // Opening the FIFO succeeds when the daemon has begun to read its configuration.
    let pid = "$(pgrep -x vrrpd)";
    let script = format!("exec 3>/run/vrrpd.json; kill -TERM {pid}; cat /run/real.json >&3");
    a.host.shell(&script)?;
    assert!(container.process.wait(SOON)?.success());
    Ok(())
}

/// A wrapper script that ends with `exec vrrpd` may have started processes, and whatever started that script
/// may have ignored or blocked signals.
pub(crate) fn inherited_children_and_signal_settings_have_no_effect() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    a.host.write("/run/leaves", LEAVES, 0o755)?;
    let script = json!({ "command": ["/run/leaves", "0"], "interval": "50ms" });
    let mut config: Value =
        serde_json::from_str(&only(with(instance(HIGH), json!({ "track": ["good"] }))))?;
    config["trackers"] = json!({ "good": { "script": script } });
    a.host.write("/run/vrrpd.json", config.to_string(), 0o600)?;
    let mut command = Command::new("/bin/sh");
    let program = vrrpd_program()?.display();
    command.arg("-c").arg(format!(
        "sleep 0.2 & exec env --ignore-signal=CHLD --block-signal=TERM,CHLD \
         {program} run --config /run/vrrpd.json"
    ));
    let process = a.host.spawn(command)?;
    let daemon = Container {
        host: &a.host,
        process,
    };
    let has_run = |tracker: &TrackerStatus| tracker.results >= 20;
    daemon.wait_for(|status| status.trackers.iter().all(has_run))?;
    assert_eq!(daemon.status()?.trackers[0].failures, 0);
    wait_without_zombies(&a.host)?;
    assert!(daemon.process.terminate(SOON)?.success());
    Ok(())
}

/// Waits until no process of a host is a zombie. A look may see a script that has just ended; orphans that no
/// process waits for stay.
fn wait_without_zombies(host: &Host) -> Result<()> {
    let started = Moment::now();
    while has_zombies(host)? {
        if started.elapsed() > SOON {
            let processes = host.shell("ps -ef")?;
            return Err(Error::new("waiting for the end of all zombies", processes));
        }
    }
    Ok(())
}

fn has_zombies(host: &Host) -> Result<bool> {
    let files = host.shell("grep -l '^State:.Z' /proc/[0-9]*/status || true")?;
    Ok(!files.is_empty())
}

/// The daemon as the first process of a container on a host, with the configuration `/run/vrrpd.json`.
struct Container<'h> {
    host: &'h Host,
    /// The process that created the container. It ends with the exit status of the daemon.
    process: Process,
}

impl<'h> Container<'h> {
    fn start(host: &'h Host) -> Result<Self> {
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--mount-proc", "--kill-child"])
            .arg(vrrpd_program()?)
            .args(["run", "--config", "/run/vrrpd.json"]);
        let process = host.spawn(command)?;
        Ok(Self { host, process })
    }

    /// Sends a signal to the daemon.
    fn kill(&self, signal: &str) -> Result<()> {
        let script = format!("kill -{signal} $(pgrep -x vrrpd)");
        self.host.shell(&script).map(drop)
    }

    fn status(&self) -> Result<Snapshot> {
        let program = vrrpd_program()?.display();
        let text = self.host.shell(&format!("{program} status --json"))?;
        serde_json::from_str(&text).map_err(|error| Error::new("reading the status", error))
    }

    /// Waits until the status is as `wanted`.
    fn wait_for(&self, wanted: impl Fn(&Snapshot) -> bool) -> Result<()> {
        let started = Moment::now();
        loop {
            // The daemon may not listen yet.
            let status = self.status();
            if status.as_ref().is_ok_and(&wanted) {
                return Ok(());
            }
            if started.elapsed() > SOON {
                let found = format!("{status:?}: {}", self.process.log());
                return Err(Error::new("waiting for a status", found));
            }
        }
    }
}
