//! Hardware and services of an experiment: networks, hosts, cables, web servers and daemons.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::{Cable, Error, Host, Journal, Line, Moment, Result, Segment, Signal};

use super::course::{
    CHECK, HTTPD_PID, Instance, Role, START_HTTPD, check_script, configuration, start_httpd_script,
};

/// Time limit for a clean shutdown of a host.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Name of the third host.
pub(crate) const CLIENT: &str = "client";

/// Two hosts and a client, with one network per instance.
pub(crate) struct Fixture {
    pub(crate) instances: &'static [Instance],
    pub(crate) master: Host,
    pub(crate) backup: Host,
    pub(crate) client: Host,
    /// Networks, in the order of the instances.
    pub(crate) networks: Vec<Segment>,
    /// Cables, each with the name of its host.
    cables: Vec<(&'static str, Cable)>,
}

impl Fixture {
    pub(crate) fn new(instances: &'static [Instance]) -> Result<Self> {
        let build = |role: Role| {
            let host = Host::with_disks(role.name(), &["/usr/local"])?;
            host.write(CHECK, check_script(), 0o755)?;
            host.write(START_HTTPD, start_httpd_script(role)?, 0o755)?;
            Ok(host)
        };
        let (master, backup) = (build(Role::Master)?, build(Role::Backup)?);
        let client = Host::new(CLIENT)?;
        let (mut networks, mut cables) = (Vec::new(), Vec::new());
        for instance in instances {
            let network = Segment::new(instance.interface)?;
            for (role, host) in [(Role::Master, &master), (Role::Backup, &backup)] {
                let cable = network.attach(host, instance.interface, &role.address(instance))?;
                cables.push((role.name(), cable));
            }
            let cable =
                network.attach(&client, instance.interface, &client_address(instance.vip))?;
            cables.push((CLIENT, cable));
            networks.push(network);
        }
        Ok(Self {
            instances,
            master,
            backup,
            client,
            networks,
            cables,
        })
    }

    pub(crate) const fn host(&self, role: Role) -> &Host {
        match role {
            Role::Master => &self.master,
            Role::Backup => &self.backup,
        }
    }

    /// Cable of a host's network card.
    pub(crate) fn cable(&self, host: &str, interface: &str) -> Option<&Cable> {
        self.cables
            .iter()
            .find(|(owner, cable)| *owner == host && cable.interface() == interface)
            .map(|(_, cable)| cable)
    }

    /// Pulls or plugs all cables of a host.
    pub(crate) fn plug(&self, role: Role, plugged: bool) -> Result<()> {
        self.cables
            .iter()
            .filter(|(owner, _)| *owner == role.name())
            .try_for_each(
                |(_, cable)| {
                    if plugged { cable.plug() } else { cable.pull() }
                },
            )
    }
}

/// Address of the client: .1 of the network.
fn client_address(vip: IpAddr) -> String {
    let network = vip.to_string();
    let prefix = network.rsplit_once('.').map_or("", |(prefix, _)| prefix);
    format!("{prefix}.1/24")
}

/// A host with its web server and its daemon, and the administrator's actions on it.
pub(crate) struct Machine<'h> {
    pub(crate) host: &'h Host,
    configuration: String,
    daemon: Option<Vrrpd<'h>>,
    /// All daemons of this host, including exited ones.
    lives: Vec<Life>,
}

/// Log of a daemon, with the times of its start and its end.
pub(crate) struct Life {
    pub(crate) log: Journal<Line>,
    pub(crate) started: Moment,
    pub(crate) ended: Option<Moment>,
}

impl<'h> Machine<'h> {
    pub(crate) fn new(fixture: &'h Fixture, role: Role) -> Self {
        Self {
            host: fixture.host(role),
            configuration: configuration(role, fixture.instances),
            daemon: None,
            lives: Vec::new(),
        }
    }

    /// Starts web server and daemon, as systemd does at boot. Returns the time at which the daemon
    /// was started.
    pub(crate) fn start_services(&mut self) -> Result<Moment> {
        self.host.shell(START_HTTPD)?;
        self.start_daemon()
    }

    /// Starts the daemon, as `systemctl start vrrpd` does. Returns the time of the start.
    pub(crate) fn start_daemon(&mut self) -> Result<Moment> {
        let started = Moment::now();
        let daemon = Vrrpd::start(self.host, &self.configuration)?;
        self.end_life();
        self.lives.push(Life {
            log: daemon.process().output().clone(),
            started,
            ended: None,
        });
        self.daemon = Some(daemon);
        Ok(started)
    }

    /// Stops the daemon, as `systemctl stop vrrpd` does.
    pub(crate) fn stop_daemon(&mut self) -> Result<()> {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop()?;
            self.end_life();
        }
        Ok(())
    }

    /// Kills the daemon with SIGKILL and runs the cleanup, as systemd does (`ExecStopPost`).
    pub(crate) fn kill_daemon(&mut self) -> Result<String> {
        if let Some(daemon) = self.daemon.take() {
            daemon.process().kill(Signal::SIGKILL)?;
            self.end_life();
            daemon.process().wait(SHUTDOWN)?;
        }
        clean_up(self.host)
    }

    /// PID of the web server.
    pub(crate) fn httpd(&self) -> Result<String> {
        let pid = self.host.shell(&format!("cat {HTTPD_PID}"))?;
        Ok(pid.trim().to_owned())
    }

    /// Stops the web server, as `systemctl stop httpd` does.
    pub(crate) fn stop_httpd(&self, pid: &str) -> Result<()> {
        self.host.shell(&format!("kill {pid}")).map(drop)
    }

    /// Waits for a web server other than `old`, and returns the time at which it was running.
    pub(crate) fn wait_for_httpd(&self, old: &str, patience: Duration) -> Result<Moment> {
        let start = Moment::now();
        while start.elapsed() < 2 * patience {
            // The PID file may be missing, or empty while it is written.
            if self.httpd().is_ok_and(|new| !new.is_empty() && new != old) {
                return Ok(Moment::now());
            }
            sleep(Duration::from_millis(10));
        }
        let doing = format!("waiting for httpd on {}", self.host.name());
        Err(Error::new(doing, "it was not started again"))
    }

    /// Switches the power off.
    pub(crate) fn power_off(&mut self) -> Result<()> {
        self.end_life();
        let done = self.host.power_off();
        self.daemon = None;
        done
    }

    /// Shuts the host down cleanly, as `poweroff` does.
    pub(crate) fn shut_down(&mut self) -> Result<()> {
        let done = self.host.shut_down(SHUTDOWN);
        self.end_life();
        self.daemon = None;
        done
    }

    /// Switches the power on and starts the services. Returns the time at which the daemon was
    /// started.
    pub(crate) fn power_on(&mut self) -> Result<Moment> {
        self.host.power_on()?;
        self.start_services()
    }

    /// The daemon, if it is started.
    pub(crate) const fn daemon(&self) -> Option<&Vrrpd<'h>> {
        self.daemon.as_ref()
    }

    /// All daemons so far, the present one last.
    pub(crate) fn lives(&self) -> &[Life] {
        &self.lives
    }

    /// Records that the present daemon has ended.
    fn end_life(&mut self) {
        if let Some(life) = self.lives.last_mut() {
            life.ended.get_or_insert_with(Moment::now);
        }
    }

    /// Log lines of its daemons since `since`, in the order of time.
    pub(crate) fn log(&self, since: Moment) -> Vec<Line> {
        let mut lines: Vec<Line> = self
            .lives
            .iter()
            .flat_map(|life| life.log.entries())
            .collect();
        lines.retain(|line| line.at >= since);
        lines.sort_by_key(|line| line.at);
        lines
    }
}
