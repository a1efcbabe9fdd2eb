//! Measured daemons: configuration, start, exit and processes of each kind.
//!
//! Both kinds get the same task in their own configuration language, and nothing else: no scripts,
//! no notifications, and the log at its default level to a pipe.

use std::fmt::{self, Write as _};
use std::time::Duration;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use vrrp_lab::daemons::{PeerProgram, VRRPD_CONFIG, spawn_vrrpd};
use vrrp_lab::{Error, Host, Journal, Line, Process, Result, Signal};

use super::proc;

/// Time limit for the start of a daemon with a thousand instances, or for its exit.
const PATIENCE: Duration = Duration::from_secs(20);
const PID_FILES: [&str; 2] = ["/run/keepalived.pid", "/run/keepalived-vrrp.pid"];
/// Number of virtual routers per interface; VRIDs would allow 255.
pub(crate) const PER_INTERFACE: u8 = 250;
/// Priority of all routers on both hosts: none preempts, so the roles change with each killed
/// master.
const PRIORITY: u32 = 100;
/// File with a number that is added to the priority of a [weighted](Task::is_weighted) task.
pub(crate) const WEIGHT_FILE: &str = "/run/weight";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Vrrpd,
    Keepalived,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vrrpd => "vrrpd",
            Self::Keepalived => "keepalived",
        })
    }
}

/// Task of a daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) instances: u16,
    /// Virtual addresses per instance. More than one requires a single instance.
    pub(crate) addresses: u8,
    pub(crate) interval: Duration,
    /// Whether the number in [`WEIGHT_FILE`] is added to the priority.
    pub(crate) is_weighted: bool,
}

impl Task {
    /// One instance with one address.
    pub(crate) const fn single(interval: Duration) -> Self {
        Self {
            instances: 1,
            addresses: 1,
            interval,
            is_weighted: false,
        }
    }

    /// Master down interval: three intervals and the skew time.
    pub(crate) fn master_down(self) -> Duration {
        // The daemon's formula (RFC 9568 section 6.1).
        3 * self.interval + self.interval * (256 - PRIORITY) / 256
    }

    /// Number of interfaces that the instances need.
    pub(crate) fn interfaces(self) -> u8 {
        let count = self.instances.div_ceil(PER_INTERFACE.into());
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    /// Interface number and VRID of each instance.
    pub(crate) fn routers(self) -> impl Iterator<Item = (u8, u8)> {
        (0..self.interfaces())
            .flat_map(|interface| (1..=PER_INTERFACE).map(move |vrid| (interface, vrid)))
            .take(self.instances.into())
    }

    /// Interface number and last octet of each virtual address of an instance,
    /// `10.77.interface.octet`.
    pub(crate) fn addresses(self, (interface, vrid): (u8, u8)) -> impl Iterator<Item = (u8, u8)> {
        (vrid..=u8::MAX)
            .take(self.addresses.into())
            .map(move |octet| (interface, octet))
    }
}

/// Configured initial state of the instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Master,
    Backup,
}

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    kind: Kind,
    process: Process,
}

impl Daemon {
    /// Starts the daemon with its task and waits until it has read its configuration.
    pub(crate) fn start(kind: Kind, host: &Host, task: Task, begin: Begin) -> Result<Self> {
        if task.is_weighted {
            host.write(WEIGHT_FILE, "0\n", 0o644)?;
        }
        let config = match kind {
            Kind::Vrrpd => vrrpd_config(task, begin),
            Kind::Keepalived => keepalived_config(task, begin),
        };
        Self::start_with(kind, host, &config)
    }

    /// As [`Daemon::start`], with a configuration in the daemon's own language.
    pub(crate) fn start_with(kind: Kind, host: &Host, config: &str) -> Result<Self> {
        // keepalived does not start if the PID in a file left by a killed one is in use again.
        host.run(|| {
            for left in PID_FILES {
                let _ = std::fs::remove_file(left);
            }
        });
        let (process, ready) = match kind {
            Kind::Vrrpd => {
                host.write(VRRPD_CONFIG, config, 0o600)?;
                (spawn_vrrpd(host, &[])?, STARTED)
            }
            Kind::Keepalived => {
                host.write("/run/keepalived.conf", config, 0o600)?;
                let program = PeerProgram::keepalived()
                    .ok_or_else(|| Error::new("starting keepalived", "not installed"))?;
                let [parent, vrrp] = PID_FILES;
                let arguments = [
                    "--dont-fork",
                    "--vrrp",
                    "--log-console",
                    "--no-syslog",
                    "--use-file",
                    "/run/keepalived.conf",
                    "--pid",
                    parent,
                    "--vrrp_pid",
                    vrrp,
                ];
                (program.start(host, &arguments)?, "Startup complete")
            }
        };
        process.wait_for_line(|line| line.contains(ready), PATIENCE)?;
        Ok(Self { kind, process })
    }

    /// Kills the daemon: it sends no final advertisement, and its addresses stay on the host.
    pub(crate) fn die(self) -> Result<()> {
        if self.kind == Kind::Keepalived {
            // The parent would restart its child, and the child, which the kernel notifies of its
            // parent's death (PDEATHSIG), would resign cleanly. So the parent is stopped first,
            // then the child killed, then the parent.
            self.process.kill(Signal::SIGSTOP)?;
            for child in proc::children(self.process.pid()) {
                kill(Pid::from_raw(child.cast_signed()), Signal::SIGKILL)
                    .map_err(|errno| Error::new("killing keepalived's child", errno))?;
            }
        }
        self.process.kill(Signal::SIGKILL)?;
        self.process.wait(PATIENCE).map(drop)
    }

    /// Stops the daemon with SIGTERM and waits for its exit.
    pub(crate) fn stop(self) -> Result<()> {
        self.process.terminate(PATIENCE).map(drop)
    }

    /// Restarts the daemon. keepalived is stopped and started, and vrrpd replaced by a process that goes on with its
    /// state.
    pub(crate) fn restart(self, host: &Host, task: Task) -> Result<Self> {
        if self.kind == Kind::Keepalived {
            self.stop()?;
            return Self::start(Kind::Keepalived, host, task, Begin::Backup);
        }
        let process = spawn_vrrpd(host, &["--take-over"])?;
        process.wait_for_line(|line| line.contains(STARTED), PATIENCE)?;
        self.process.wait(PATIENCE)?;
        Ok(Self { process, ..self })
    }

    /// Log of the daemon so far.
    pub(crate) fn output(&self) -> &Journal<Line> {
        self.process.output()
    }

    /// PIDs of its processes in the lab's PID namespace, without the scripts that it runs.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let own = self.process.pid();
        match self.kind {
            Kind::Vrrpd => vec![own],
            // The parent forks children of the same program, and those run the scripts.
            Kind::Keepalived => {
                let mut all = proc::children(own);
                all.push(own);
                all
            }
        }
    }
}

/// Part of a line of vrrpd's log once it runs.
const STARTED: &str = " started: ";

fn vrrpd_config(task: Task, begin: Begin) -> String {
    let state = match begin {
        Begin::Master => "master",
        Begin::Backup => "backup",
    };
    let (trackers, tracks) = if task.is_weighted {
        let file = serde_json::json!({ "weight": { "file": { "path": WEIGHT_FILE } } });
        let track = serde_json::json!([{ "tracker": "weight", "weight": 1 }]);
        (file, track)
    } else {
        (serde_json::json!({}), serde_json::json!([]))
    };
    let mut instances = serde_json::Map::new();
    for (interface, vrid) in task.routers() {
        let addresses: Vec<_> = task
            .addresses((interface, vrid))
            .map(|(_, octet)| format!("10.77.{interface}.{octet}/24"))
            .collect();
        let instance = serde_json::json!({
            "state": state,
            "interface": format!("eth{interface}"),
            "virtualRouterId": vrid,
            "priority": PRIORITY,
            "advertInterval": format!("{}ms", task.interval.as_millis()),
            "virtualAddresses": addresses,
            "track": tracks,
        });
        instances.insert(format!("VI_{interface}_{vrid}"), instance);
    }
    serde_json::json!({ "trackers": trackers, "instances": instances }).to_string()
}

fn keepalived_config(task: Task, begin: Begin) -> String {
    let state = match begin {
        Begin::Master => "MASTER",
        Begin::Backup => "BACKUP",
    };
    let interval = task.interval.as_secs_f64();
    let mut text = String::from("global_defs {\n  router_id bench\n  vrrp_version 3\n}\n");
    let mut track = "";
    if task.is_weighted {
        let _ = write!(
            text,
            "vrrp_track_file weight {{\n  file \"{WEIGHT_FILE}\"\n  weight 1\n}}\n"
        );
        track = "  track_file {\n    weight weight 1\n  }\n";
    }
    for (interface, vrid) in task.routers() {
        let addresses: String = task
            .addresses((interface, vrid))
            .map(|(_, octet)| format!("    10.77.{interface}.{octet}/24\n"))
            .collect();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "vrrp_instance VI_{interface}_{vrid} {{\n  state {state}\n  interface eth{interface}\n  \
             virtual_router_id {vrid}\n  priority {PRIORITY}\n  advert_int {interval}\n  \
             virtual_ipaddress {{\n{addresses}  }}\n{track}}}\n"
        );
    }
    text
}
