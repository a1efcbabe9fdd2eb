//! The hardware of an experiment: networks, hosts and cables, and what runs on a host.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::{Cable, Host, Journal, Line, Moment, Result, Segment, Signal};

use super::course::{
    CHECK, HTTPD_PID, Instance, START_HTTPD, Who, check_script, configuration, start_httpd_script,
};

/// How long a host may take to shut down in order.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// Two hosts and a client, on one network for each instance.
pub(crate) struct Site {
    pub(crate) instances: &'static [Instance],
    pub(crate) master: Host,
    pub(crate) backup: Host,
    pub(crate) client: Host,
    /// Each host's cards, in the order of the instances.
    cables: Vec<(Who, Cable)>,
}

impl Site {
    pub(crate) fn new(instances: &'static [Instance]) -> Result<Self> {
        let build = |who: Who| {
            let host = Host::with_disks(who.name(), &["/usr/local"])?;
            host.write(CHECK, check_script(), 0o755)?;
            host.write(START_HTTPD, start_httpd_script(who)?, 0o755)?;
            Ok(host)
        };
        let (master, backup) = (build(Who::Master)?, build(Who::Backup)?);
        let client = Host::new("client")?;
        let mut cables = Vec::new();
        for instance in instances {
            let network = Segment::new(instance.interface)?;
            for (who, host) in [(Who::Master, &master), (Who::Backup, &backup)] {
                let cable = network.attach(host, instance.interface, &who.address(instance))?;
                cables.push((who, cable));
            }
            network.attach(&client, instance.interface, &client_address(instance.vip))?;
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

    /// The cables of a host.
    pub(crate) fn cables(&self, who: Who) -> impl Iterator<Item = &Cable> {
        self.cables
            .iter()
            .filter(move |(whose, _)| *whose == who)
            .map(|(_, cable)| cable)
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
    pub(crate) fn new(site: &'h Site, who: Who) -> Self {
        Self {
            host: site.host(who),
            configuration: configuration(who, site.instances),
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

    /// `systemctl stop httpd`.
    pub(crate) fn stop_httpd(&self) -> Result<()> {
        self.host
            .shell(&format!(
                "kill $(cat {HTTPD_PID}) && while [ -e {HTTPD_PID} ]; do sleep 0.01; done"
            ))
            .map(drop)
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
