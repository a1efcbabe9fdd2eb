//! Fixture of an attack: a master and a backup of one kind, and an attacker on the same segment.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use vrrp_lab::{Capture, Error, Filter, Flood, Frame, Host, Moment, Result, Segment};
use vrrp_proto::Version;
use vrrp_proto::wire::GROUP_V4;

use super::At;
use super::attack::{Attack, PASSWORD, PRIORITIES};
use super::clients::Clients;
use crate::bench::proc::{self, Memory};
use crate::bench::subject::{Daemon, Kind};

/// Time limit for events without a limit in the protocol.
const PATIENCE: Duration = Duration::from_secs(20);
/// Interval at which the capture is read, so that no frame wakes a thread.
const PACE: Duration = Duration::from_millis(20);
const CARD: &str = "eth0";

/// Master and backup, in this order, and the attacker.
#[derive(Debug)]
pub(crate) struct Fixture {
    kind: Kind,
    daemons: [Daemon; 2],
    macs: [[u8; 6]; 2],
    /// Captured VRRP frames, without those of the attacker.
    frames: Capture,
    attacker: Host,
    hosts: [Host; 2],
}

/// An advertisement of master or backup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) at: Moment,
    /// Kernel timestamp on the wall clock, the exact time.
    pub(crate) wall: Duration,
    /// 0 for the master, 1 for the backup.
    pub(crate) from: usize,
    pub(crate) vrid: u8,
}

/// Counters of a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) at: Instant,
    pub(crate) cpu: Duration,
    pub(crate) memory: Memory,
    /// Packets dropped by the full socket buffers of its daemon.
    pub(crate) lost: u64,
    /// Log lines of its daemon.
    pub(crate) lines: usize,
}

impl Fixture {
    /// Starts a pair and waits until it is at rest.
    pub(crate) fn new(kind: Kind, attack: Attack) -> Result<Self> {
        let segment = Segment::new("lan")?;
        let attacker = Host::new("attacker")?;
        segment.attach(&attacker, CARD, "10.77.0.66/16")?;
        let hosts = [Host::new("master")?, Host::new("backup")?];
        let mut macs = [[0; 6]; 2];
        for ((host, octet), mac) in hosts.iter().zip([11_u8, 12]).zip(&mut macs) {
            segment.attach(host, CARD, &format!("10.77.0.{octet}/16"))?;
            *mac = host.mac(CARD)?;
        }
        let unwanted = attacker.mac(CARD)?;
        let filter = Filter::vrrp().not_from(unwanted);
        let frames = segment.capture_at_leisure(filter, PACE)?;
        let start = |role: usize| {
            let config = match kind {
                Kind::Vrrpd => vrrpd_config(attack, role),
                Kind::Keepalived => keepalived_config(attack, role),
            };
            Daemon::start_with(kind, &hosts[role], &config)
        };
        let master = start(0)?;
        for (vrid, _) in attack.routers() {
            wait(&frames, "the master to advertise", |frame| {
                frame.source() == macs[0]
                    && frame
                        .ip_payload()
                        .is_some_and(|it| it.get(1) == Some(&vrid))
            })?;
        }
        // Started only now, so that the backup never takes the role of a master that is still starting.
        let backup = start(1)?;
        let fixture = Self {
            kind,
            daemons: [master, backup],
            macs,
            frames,
            attacker,
            hosts,
        };
        // The announcements of the new master are complete, and the backup has received its
        // advertisements.
        sleep(attack.interval() * 2 + Duration::from_millis(1500));
        Ok(fixture)
    }

    /// Starts the attack.
    pub(crate) fn flood(&self, attack: Attack, at: At) -> Result<Flood> {
        let source = self.attacker.mac(CARD)?;
        let destination = match at {
            At::Master => self.macs[0],
            At::Backup => self.macs[1],
            // RFC 1112 section 6.4: 01-00-5e and the lower 23 bits of the group address.
            At::Both => {
                let [_, b, c, d] = GROUP_V4.octets();
                [1, 0, 0x5e, b & 0x7f, c, d]
            }
        };
        let frames = attack.frames(source, destination)?;
        self.attacker.flood(CARD, frames, None)
    }

    /// Starts clients of the sockets of the master's or the backup's daemon.
    pub(crate) fn disturb(&self, role: usize) -> Result<Clients> {
        Clients::start(&self.hosts[role])
    }

    /// Advertisements since `since`.
    pub(crate) fn passed(&self, since: Moment) -> Vec<Passed> {
        let frames = self.frames.frames().entries();
        let passed = |frame: &Frame| {
            let from = self.macs.iter().position(|mac| *mac == frame.source())?;
            let Frame { at, wall, .. } = *frame;
            let vrid = *frame.ip_payload()?.get(1)?;
            Some(Passed {
                at,
                wall,
                from,
                vrid,
            })
        };
        let since = |passed: &Passed| passed.at > since;
        frames.iter().filter_map(passed).filter(since).collect()
    }

    /// Reads the counters of the master's or the backup's host.
    pub(crate) fn counted(&self, role: usize) -> Result<Counted> {
        let processes = self.daemons[role].processes();
        Ok(Counted {
            at: Instant::now(),
            cpu: proc::cpu_time(&processes)?,
            memory: proc::memory(&processes)?,
            lost: self.lost(role)?,
            lines: self.daemons[role].output().len(),
        })
    }

    /// Number of transitions in a daemon's log since line `line`.
    pub(crate) fn transitions(&self, role: usize, line: usize) -> usize {
        let mark = match self.kind {
            Kind::Vrrpd => " -> ",
            Kind::Keepalived => "Entering ",
        };
        let lines = self.daemons[role].output().entries_from(line);
        lines.iter().filter(|line| line.text.contains(mark)).count()
    }

    /// Packets dropped by the raw sockets of a host (last column of /proc/net/raw).
    fn lost(&self, role: usize) -> Result<u64> {
        let text = self.hosts[role].shell("cat /proc/net/raw")?;
        let lost = |line: &str| line.split_whitespace().last()?.parse::<u64>().ok();
        Ok(text.lines().skip(1).filter_map(lost).sum())
    }
}

fn wait(frames: &Capture, what: &str, wanted: impl Fn(&Frame) -> bool) -> Result<()> {
    match frames.frames().wait_for(wanted, PATIENCE) {
        Some(_) => Ok(()),
        None => Err(Error::new(
            format!("waiting for {what}"),
            format!("not within {PATIENCE:?}"),
        )),
    }
}

fn vrrpd_config(attack: Attack, role: usize) -> String {
    let instance = |(vrid, addresses): (u8, Vec<Ipv4Addr>)| {
        let addresses = addresses.iter().map(|address| format!("{address}/16"));
        let mut instance = json!({
            "state": if role == 0 { "master" } else { "backup" },
            "interface": CARD,
            "virtualRouterId": vrid,
            "priority": PRIORITIES[role],
            "version": attack.version().number(),
            "advertInterval": format!("{}ms", attack.interval().as_millis()),
            "virtualAddresses": addresses.collect::<Vec<_>>(),
        });
        if attack.version() == Version::V2 {
            instance["authentication"] = json!({ "pass": { "password": PASSWORD } });
        }
        (format!("VI_{vrid}"), instance)
    };
    let instances: Map<String, Value> = attack.routers().into_iter().map(instance).collect();
    json!({ "instances": instances }).to_string()
}

fn keepalived_config(attack: Attack, role: usize) -> String {
    let authentication = match attack.version() {
        Version::V2 => {
            format!("  authentication {{\n    auth_type PASS\n    auth_pass {PASSWORD}\n  }}\n")
        }
        Version::V3 => String::new(),
    };
    let instance = |(vrid, addresses): (u8, Vec<Ipv4Addr>)| {
        let addresses = addresses
            .iter()
            .map(|address| format!("    {address}/16\n"));
        format!(
            "vrrp_instance VI_{vrid} {{\n  state {}\n  interface {CARD}\n  \
             virtual_router_id {vrid}\n  priority {}\n  version {}\n  advert_int {}\n\
             {authentication}  virtual_ipaddress {{\n{}  }}\n}}\n",
            if role == 0 { "MASTER" } else { "BACKUP" },
            PRIORITIES[role],
            attack.version().number(),
            attack.interval().as_secs_f64(),
            addresses.collect::<String>(),
        )
    };
    let instances = attack.routers().into_iter().map(instance);
    let global = "global_defs {\n  router_id hostile\n}\n".to_owned();
    [global].into_iter().chain(instances).collect()
}
