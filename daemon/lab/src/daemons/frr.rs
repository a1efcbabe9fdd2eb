//! FRR: its vrrpd, and its zebra, without which that does nothing.
//!
//! FRR makes no interface. A virtual router runs on a macvlan with the virtual router's Ethernet
//! address that there must be already ([`Host::add_macvlan`]), with the virtual address on it;
//! vrrpd finds it by that Ethernet address, and zebra lets its carrier come and go.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};

use super::PATIENCE;
use crate::clock::Moment;
use crate::error::{Doing, Error, Result};
use crate::host::Host;
use crate::isolate::mount_tmpfs;
use crate::process::{Line, Process};

/// Where Debian and others have FRR's daemons, which nobody has in `$PATH`: one is called vrrpd.
const DIRECTORY: &str = "/usr/lib/frr";

const RUN: &str = "/run/frr";
const ZEBRA_SOCKET: &str = "/run/frr/zserv.api";
const GROUP_FILE: &str = "/run/frr/group";

/// FRR's daemons want to be of a group with this name, if there is one.
const GROUPS: &str = "root:x:0:\nfrrvty:x:1:root\n";

/// How often zebra is asked whether it listens. It says it nowhere.
const LOOK: Duration = Duration::from_millis(2);

/// The program vrrpd of FRR, where it is installed with zebra.
pub fn frr_program() -> Option<PathBuf> {
    let [zebra, vrrpd] = ["zebra", "vrrpd"].map(|name| Path::new(DIRECTORY).join(name));
    (zebra.is_file() && vrrpd.is_file()).then_some(vrrpd)
}

/// A running vrrpd of FRR, with its zebra. Dropped, both are killed.
#[derive(Debug)]
pub struct Frr {
    // In this order, so that zebra outlives the other.
    vrrpd: Process,
    zebra: Process,
}

impl Frr {
    /// Starts both on a host, vrrpd with this configuration, and waits until the virtual router
    /// `vrid` has left its initial state.
    ///
    /// # Errors
    /// When it is not installed, or does not come that far; with what it said.
    pub fn start(host: &Host, config: &str, vrid: u8) -> Result<Self> {
        let program = frr_program().ok_or_else(|| {
            Error::new(
                "starting FRR's vrrpd",
                format!("it is not in {DIRECTORY}: apt-get install frr"),
            )
        })?;
        prepare(host)?;
        let zebra = launch(host, &program.with_file_name("zebra"), "")?;
        wait_for_zebra(host, &zebra)?;
        let config = format!("debug vrrp protocol\ndebug vrrp packets\n{config}");
        let vrrpd = launch(host, &program, &config)?;
        let left = format!("[VRID {vrid}]");
        vrrpd.wait_for_line(
            |line| line.contains(&left) && line.contains("Initialize -> "),
            PATIENCE,
        )?;
        Ok(Self { vrrpd, zebra })
    }

    /// Waits for its line of a virtual router that enters a state: `Backup`, `Master`.
    ///
    /// # Errors
    /// When it does not come within `timeout`; with the log.
    pub fn wait_for(
        &self,
        vrid: u8,
        state: &str,
        since: Moment,
        timeout: Duration,
    ) -> Result<Line> {
        let this = format!("[VRID {vrid}]");
        let arrival = format!(" -> {state}");
        let wanted = |line: &Line| {
            line.at >= since && line.text.contains(&this) && line.text.ends_with(&arrival)
        };
        self.vrrpd
            .output()
            .wait_for(wanted, timeout)
            .ok_or_else(|| {
                let doing = format!("waiting {timeout:?} for{arrival} of {this}");
                Error::new(doing, self.vrrpd.log())
            })
    }

    /// Stops vrrpd in order and waits for its end. Its zebra goes on.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<ExitStatus> {
        self.vrrpd.terminate(PATIENCE)
    }

    /// The process vrrpd.
    pub fn process(&self) -> &Process {
        &self.vrrpd
    }

    /// The process zebra.
    pub fn zebra(&self) -> &Process {
        &self.zebra
    }
}

/// Gives a host, once in a boot, what FRR expects of it.
fn prepare(host: &Host) -> Result<()> {
    if host.run(|| Path::new(GROUP_FILE).exists()) {
        return Ok(());
    }
    host.write(GROUP_FILE, GROUPS, 0o644)?;
    host.run(|| {
        // The daemons leave files here that may be of use after a crash.
        mount_tmpfs("/var/tmp")?;
        // A host has the machine's accounts, and perhaps no other user than root.
        let none = None::<&str>;
        mount(Some(GROUP_FILE), "/etc/group", none, MsFlags::MS_BIND, none)
            .doing(format!("giving {} the groups of FRR", host.name()))
    })
}

/// Starts one of FRR's daemons as root, which a host may have alone, with its log as output.
fn launch(host: &Host, program: &Path, config: &str) -> Result<Process> {
    let name = program.file_name().unwrap_or_default().display();
    let file = format!("{RUN}/{name}.conf");
    host.write(&file, format!("log stdout debugging\n{config}"), 0o644)?;
    let mut command = Command::new(program);
    command.args(["--user", "root", "--group", "root"]);
    command.args(["--config_file", &file]);
    command.args(["--pid_file", &format!("{RUN}/{name}.pid")]);
    command.args(["--socket", ZEBRA_SOCKET, "--vty_socket", RUN]);
    // No terminal over TCP.
    command.args(["--vty_port", "0"]);
    host.spawn(command)
}

fn wait_for_zebra(host: &Host, zebra: &Process) -> Result<()> {
    let started = Moment::now();
    let listens = host.run(|| {
        while UnixStream::connect(ZEBRA_SOCKET).is_err() {
            if !zebra.is_running() || started.elapsed() > PATIENCE {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    });
    if listens {
        Ok(())
    } else {
        Err(Error::new("waiting for zebra to listen", zebra.log()))
    }
}
