//! FRR: its vrrpd, and zebra, which vrrpd requires.
//!
//! FRR creates no interface. A virtual router runs on an existing macvlan ([`Host::add_macvlan`])
//! that has the virtual MAC address and the virtual address; vrrpd finds it by that MAC address,
//! and zebra sets and clears its carrier (`protodown`).

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use nix::mount::{MsFlags, mount};

use super::{PATIENCE, PeerProgram};
use crate::clock::Moment;
use crate::error::{Doing, Error, Result};
use crate::host::Host;
use crate::namespace::mount_tmpfs;
use crate::process::{Line, Process};

const RUN: &str = "/run/frr";
const ZEBRA_SOCKET: &str = "/run/frr/zserv.api";
const GROUP_FILE: &str = "/run/frr/group";

/// FRR's daemons join the group with this name, if it exists.
const GROUPS: &str = "root:x:0:\nfrrvty:x:1:root\n";

/// Interval of the connection attempts to zebra, which does not report that it listens.
const LOOK: Duration = Duration::from_millis(2);

/// A running vrrpd of FRR, with its zebra. Dropping it kills both.
#[derive(Debug)]
pub struct Frr {
    // In this order, so that vrrpd is dropped first.
    vrrpd: Process,
    zebra: Process,
}

impl Frr {
    /// Starts both daemons on a host, vrrpd with this configuration, and waits until the virtual
    /// router `vrid` has left its initial state.
    ///
    /// # Errors
    /// If FRR is not installed, or the virtual router stays in its initial state; the error
    /// contains the log.
    pub fn start(host: &Host, config: &str, vrid: u8) -> Result<Self> {
        let program = PeerProgram::frr().ok_or_else(|| {
            Error::new("starting FRR's vrrpd", "not installed: apt-get install frr")
        })?;
        prepare(host, &program)?;
        let zebra = launch(host, &program.sibling("zebra"), "")?;
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

    /// Waits for the log line of a virtual router that enters a state: `Backup`, `Master`.
    ///
    /// # Errors
    /// If it does not appear within `timeout`; the error contains the log.
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

    /// Sends SIGTERM to vrrpd and waits for its exit. zebra keeps running.
    ///
    /// # Errors
    /// If it does not exit.
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

/// Creates the files and mounts that FRR expects on a host, once per boot.
fn prepare(host: &Host, program: &PeerProgram) -> Result<()> {
    if host.run(|| Path::new(GROUP_FILE).exists()) {
        return Ok(());
    }
    host.write(GROUP_FILE, GROUPS, 0o644)?;
    host.run(|| {
        // The daemons write crash logs here.
        mount_tmpfs("/var/tmp")?;
        // A host shows the machine's accounts, and in a user namespace root may be the only usable
        // user.
        let none = None::<&str>;
        mount(Some(GROUP_FILE), "/etc/group", none, MsFlags::MS_BIND, none)
            .doing(format!("mounting FRR's groups on {}", host.name()))?;
        // FRR and its library libyang have this path in their programs.
        let models = program.of_root("usr/share/yang");
        models.map_or(Ok(()), |models| show(&models, Path::new("/usr/share/yang")))
    })
}

/// Mounts a directory at a path that the machine may not have.
fn show(directory: &Path, path: &Path) -> Result<()> {
    let doing = || format!("mounting {} at {}", directory.display(), path.display());
    let none = None::<&str>;
    if !path.exists()
        && let (Some(above), Some(shared)) = (path.parent(), directory.parent())
    {
        let layers = format!("lowerdir={}:{}", shared.display(), above.display());
        let overlay = Some("overlay");
        let flags = MsFlags::empty();
        mount(overlay, above, overlay, flags, Some(layers.as_str())).doing(doing())?;
    }
    mount(Some(directory), path, none, MsFlags::MS_BIND, none).doing(doing())
}

/// Starts one of FRR's daemons as root, the only user that a host surely has, with its log on
/// standard output.
fn launch(host: &Host, program: &PeerProgram, config: &str) -> Result<Process> {
    let name = program.name();
    let file = format!("{RUN}/{name}.conf");
    host.write(&file, format!("log stdout debugging\n{config}"), 0o644)?;
    let arguments = [
        "--user",
        "root",
        "--group",
        "root",
        "--config_file",
        &file,
        "--pid_file",
        &format!("{RUN}/{name}.pid"),
        "--socket",
        ZEBRA_SOCKET,
        "--vty_socket",
        RUN,
        // Disables the vty terminal over TCP.
        "--vty_port",
        "0",
    ];
    program.start(host, &arguments)
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
