//! The hardware of an experiment: networks, hosts and cables, and what runs on a host.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::{Cable, Error, Host, Journal, Line, Moment, Result, Segment, Signal};

use super::course::{
    CHECK, HTTPD_PID, Instance, START_HTTPD, Who, check_script, configuration, start_httpd_script,
};

/// How long a host may take to shut down in order.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// The third host.
pub(crate) const CLIENT: &str = "client";

/// Two hosts and a client, on one network for each instance.
pub(crate) struct Fixture {
    pub(crate) instances: &'static [Instance],
    pub(crate) master: Host,
    pub(crate) backup: Host,
    pub(crate) client: Host,
    /// The cables, each with the name of its host.
    cables: Vec<(&'static str, Cable)>,
}

impl Fixture {
    pub(crate) fn new(instances: &'static [Instance]) -> Result<Self> {
        let build = |who: Who| {
            let host = Host::with_disks(who.name(), &["/usr/local"])?;
            host.write(CHECK, check_script(), 0o755)?;
            host.write(START_HTTPD, start_httpd_script(who)?, 0o755)?;
            Ok(host)
        };
        let (master, backup) = (build(Who::Master)?, build(Who::Backup)?);
        let client = Host::new(CLIENT)?;
        let mut cables = Vec::new();
        for instance in instances {
            let network = Segment::new(instance.interface)?;
            for (who, host) in [(Who::Master, &master), (Who::Backup, &backup)] {
                let cable = network.attach(host, instance.interface, &who.address(instance))?;
                cables.push((who.name(), cable));
            }
            let cable =
                network.attach(&client, instance.interface, &client_address(instance.vip))?;
            cables.push((CLIENT, cable));
        }
        Ok(Self {
            instances,
            master,
            backup,
            client,
            cables,
        })
    }

    pub(crate) const fn host(&self, who: Who) -> &Host {
        match who {
            Who::Master => &self.master,
            Who::Backup => &self.backup,
        }
    }

    /// The cable of a host's network card.
    pub(crate) fn cable(&self, host: &str, interface: &str) -> Option<&Cable> {
        self.cables
            .iter()
            .find(|(whose, cable)| *whose == host && cable.interface() == interface)
            .map(|(_, cable)| cable)
    }

    /// Pulls or plugs all cables of a host.
    pub(crate) fn plug(&self, who: Who, plugged: bool) -> Result<()> {
        self.cables
            .iter()
            .filter(|(whose, _)| *whose == who.name())
            .try_for_each(
                |(_, cable)| {
                    if plugged { cable.plug() } else { cable.pull() }
                },
            )
    }
}

/// .1 of the network.
fn client_address(vip: IpAddr) -> String {
    let network = vip.to_string();
    let prefix = network.rsplit_once('.').map_or("", |(prefix, _)| prefix);
    format!("{prefix}.1/24")
}

/// A host with its web server and its daemon, and what an administrator does to it.
pub(crate) struct Machine<'h> {
    pub(crate) host: &'h Host,
    configuration: String,
    daemon: Option<Vrrpd<'h>>,
    /// What the daemons of this host said, also those that are gone.
    logs: Vec<Journal<Line>>,
}

impl<'h> Machine<'h> {
    pub(crate) fn new(fixture: &'h Fixture, who: Who) -> Self {
        Self {
            host: fixture.host(who),
            configuration: configuration(who, fixture.instances),
            daemon: None,
            logs: Vec::new(),
        }
    }

    /// What systemd does at boot: starts the web server and the daemon. Returns when the daemon
    /// was started.
    pub(crate) fn start_services(&mut self) -> Result<Moment> {
        self.host.shell(START_HTTPD)?;
        self.start_daemon()
    }

    /// `systemctl start vrrpd`. Returns when it was started.
    pub(crate) fn start_daemon(&mut self) -> Result<Moment> {
        let started = Moment::now();
        let daemon = Vrrpd::start(self.host, &self.configuration)?;
        self.logs.push(daemon.process().output().clone());
        self.daemon = Some(daemon);
        Ok(started)
    }

    /// `systemctl stop vrrpd`.
    pub(crate) fn stop_daemon(&mut self) -> Result<()> {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop()?;
        }
        Ok(())
    }

    /// SIGKILL for the daemon, and what systemd does then (`ExecStopPost`).
    pub(crate) fn kill_daemon(&mut self) -> Result<String> {
        if let Some(daemon) = self.daemon.take() {
            daemon.process().kill(Signal::SIGKILL)?;
            daemon.process().wait(SHUTDOWN)?;
        }
        clean_up(self.host)
    }

    /// The number of the web server.
    pub(crate) fn httpd(&self) -> Result<String> {
        let number = self.host.shell(&format!("cat {HTTPD_PID}"))?;
        Ok(number.trim().to_owned())
    }

    /// `systemctl stop httpd`.
    pub(crate) fn stop_httpd(&self, number: &str) -> Result<()> {
        self.host.shell(&format!("kill {number}")).map(drop)
    }

    /// Waits until there is a web server other than `old`; when there was.
    pub(crate) fn wait_for_httpd(&self, old: &str, patience: Duration) -> Result<Moment> {
        let start = Moment::now();
        while start.elapsed() < 2 * patience {
            // Gone, or empty while it is written.
            if self.httpd().is_ok_and(|new| !new.is_empty() && new != old) {
                return Ok(Moment::now());
            }
            sleep(Duration::from_millis(10));
        }
        let doing = format!("waiting for httpd on {}", self.host.name());
        Err(Error::new(doing, "nobody started it again"))
    }

    /// Pulls the power plug.
    pub(crate) fn power_off(&mut self) -> Result<()> {
        let done = self.host.power_off();
        self.daemon = None;
        done
    }

    /// `poweroff` in order.
    pub(crate) fn shut_down(&mut self) -> Result<()> {
        let done = self.host.shut_down(SHUTDOWN);
        self.daemon = None;
        done
    }

    /// Power and a whole boot. Returns when the daemon was started.
    pub(crate) fn power_on(&mut self) -> Result<Moment> {
        self.host.power_on()?;
        self.start_services()
    }

    /// The daemon, when it is started.
    pub(crate) const fn daemon(&self) -> Option<&Vrrpd<'h>> {
        self.daemon.as_ref()
    }

    /// What its daemons said since `since`.
    pub(crate) fn log(&self, since: Moment) -> Vec<Line> {
        let mut lines: Vec<Line> = self.logs.iter().flat_map(Journal::entries).collect();
        lines.retain(|line| line.at >= since);
        lines.sort_by_key(|line| line.at);
        lines
    }
}
