//! Fixture of a measurement: two hosts, joined by one segment for each interface that the task
//! needs, a daemon of the same kind on each, and a capture on every segment.
//!
//! All times are the kernel's receive timestamps on the segments. The captures are read rarely, so
//! that the measurement does not disturb the daemons.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use vrrp_lab::daemons::vrrpd_program;
use vrrp_lab::{Capture, Error, Filter, Frame, Host, Result, Segment};

use super::subject::{Begin, Daemon, Kind, Task, WEIGHT_FILE};

/// Interval at which the captures are read.
const PACE: Duration = Duration::from_millis(20);
/// Time limit for any event, in addition to the protocol's limit.
const PATIENCE: Duration = Duration::from_secs(15);

/// A message of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// Time at which it reached the segment, on the wall clock.
    pub(crate) at: Duration,
    /// Index of the sending host.
    pub(crate) from: usize,
    pub(crate) what: What,
    /// Interface number, and VRID or last octet of the address.
    pub(crate) which: (u8, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Advert,
    /// A gratuitous ARP.
    Announcement,
}

#[derive(Debug)]
pub(crate) struct Fixture {
    kind: Kind,
    task: Task,
    daemons: [Option<Daemon>; 2],
    captures: Vec<Capture>,
    /// MAC addresses of the two hosts on each interface.
    macs: Vec<[[u8; 6]; 2]>,
    hosts: [Host; 2],
    segments: Vec<Segment>,
}

impl Fixture {
    /// Starts the daemon on the first host and waits until it is master of all instances.
    pub(crate) fn with_master(kind: Kind, task: Task) -> Result<Self> {
        let hosts = [Host::new("left")?, Host::new("right")?];
        let mut captures = Vec::new();
        let mut macs = Vec::new();
        let mut segments = Vec::new();
        for interface in 0..task.interfaces() {
            let segment = Segment::new("bench")?;
            let name = format!("eth{interface}");
            let mut ends = [[0; 6]; 2];
            for ((host, octet), end) in hosts.iter().zip([251_u8, 252]).zip(&mut ends) {
                segment.attach(host, &name, &format!("10.77.{interface}.{octet}/24"))?;
                *end = host.mac(&name)?;
            }
            captures.push(segment.capture_at_leisure(Filter::all(), PACE)?);
            macs.push(ends);
            segments.push(segment);
        }
        let mut fixture = Self {
            kind,
            task,
            daemons: [None, None],
            captures,
            macs,
            hosts,
            segments,
        };
        let start = fixture.mark();
        fixture.start(0, Begin::Master)?;
        fixture.wait("everything to be announced", &start, |sightings| {
            fixture.has_sent(sightings, 0, What::Announcement)
        })?;
        Ok(fixture)
    }

    /// As [`Fixture::with_master`], with a backup of all instances on the second host.
    pub(crate) fn with_pair(kind: Kind, task: Task) -> Result<Self> {
        let mut fixture = Self::with_master(kind, task)?;
        fixture.start(1, Begin::Backup)?;
        fixture.settle();
        Ok(fixture)
    }

    /// A third host on the first segment.
    pub(crate) fn client(&self) -> Result<Host> {
        let host = Host::new("client")?;
        let segment = self.segments.first();
        let segment = segment.ok_or_else(|| Error::new("attaching a client", "no segment"))?;
        segment.attach(&host, "eth0", "10.77.0.250/24")?;
        Ok(host)
    }

    pub(crate) fn start(&mut self, host: usize, begin: Begin) -> Result<()> {
        let daemon = Daemon::start(self.kind, &self.hosts[host], self.task, begin)?;
        self.daemons[host] = Some(daemon);
        Ok(())
    }

    /// Restarts the daemon of a host, as a backup or, if the daemon can, with its state.
    pub(crate) fn restart(&mut self, host: usize) -> Result<()> {
        let former = self.take(host)?;
        self.daemons[host] = Some(former.restart(&self.hosts[host], self.task)?);
        Ok(())
    }

    /// Gives a command to the vrrpd of a host.
    pub(crate) fn command(&self, host: usize, command: &str) -> Result<()> {
        let program = vrrpd_program()?.display();
        let host = &self.hosts[host];
        host.shell(&format!("{program} {command}")).map(drop)
    }

    /// Waits until a new backup has certainly received an advertisement of each instance.
    pub(crate) fn settle(&self) {
        sleep(self.task.interval + self.task.interval / 10 + Duration::from_millis(150));
    }

    /// Daemon of a host.
    pub(crate) fn daemon(&self, host: usize) -> Result<&Daemon> {
        self.daemons[host].as_ref().ok_or_else(|| no_daemon(host))
    }

    /// Removes the daemon of a host from the fixture, to stop or kill it.
    pub(crate) fn take(&mut self, host: usize) -> Result<Daemon> {
        self.daemons[host].take().ok_or_else(|| no_daemon(host))
    }

    /// Deletes the virtual addresses that a killed daemon left on a host.
    pub(crate) fn clean_up(&self, host: usize) -> Result<()> {
        for interface in 0..self.task.interfaces() {
            let name = format!("eth{interface}");
            for (address, _) in self.hosts[host].addresses(&name)? {
                let own = |octet| address == Ipv4Addr::new(10, 77, interface, octet);
                if address.is_ipv4() && !own(251) && !own(252) {
                    self.hosts[host].delete_address(&name, address)?;
                }
            }
        }
        Ok(())
    }

    /// Changes the number that is added to the priority of a host's instances.
    pub(crate) fn weigh(&self, host: usize, number: &str) -> Result<()> {
        self.hosts[host].write(WEIGHT_FILE, number, 0o644)
    }

    /// Index of the host that sent the last advertisement since `mark`.
    pub(crate) fn master(&self, mark: &[usize]) -> Option<usize> {
        self.sightings(mark)
            .iter()
            .rfind(|sighting| sighting.what == What::Advert)
            .map(|sighting| sighting.from)
    }

    /// Current position in the captures.
    pub(crate) fn mark(&self) -> Vec<usize> {
        self.captures.iter().map(|c| c.frames().len()).collect()
    }

    /// Messages since `mark`, in the order of time.
    pub(crate) fn sightings(&self, mark: &[usize]) -> Vec<Sighting> {
        let mut sightings = Vec::new();
        for ((interface, capture), from) in (0..).zip(&self.captures).zip(mark) {
            let frames = capture.frames().entries_from(*from);
            sightings.extend(
                frames
                    .iter()
                    .filter_map(|frame| self.read(interface, frame)),
            );
        }
        sightings.sort_by_key(|sighting| sighting.at);
        sightings
    }

    /// Waits until the messages since `mark` are `enough`, and returns them.
    pub(crate) fn wait(
        &self,
        what: &str,
        mark: &[usize],
        enough: impl Fn(&[Sighting]) -> bool,
    ) -> Result<Vec<Sighting>> {
        let deadline = Instant::now() + self.task.master_down() + PATIENCE;
        loop {
            let sightings = self.sightings(mark);
            if enough(&sightings) {
                return Ok(sightings);
            }
            if Instant::now() > deadline {
                let doing = format!("waiting with {} for {what}", self.kind);
                return Err(Error::new(doing, "timed out"));
            }
            sleep(PACE);
        }
    }

    /// Whether `host` has sent `what` for every router.
    pub(crate) fn has_sent(&self, sightings: &[Sighting], host: usize, what: What) -> bool {
        let sent: BTreeSet<_> = sightings
            .iter()
            .filter(|sighting| sighting.from == host && sighting.what == what)
            .map(|sighting| sighting.which)
            .collect();
        let each = match what {
            What::Advert => 1,
            What::Announcement => self.task.addresses,
        };
        sent.len() == usize::from(self.task.instances) * usize::from(each)
    }

    /// Number of frames that a host has sent on all its network cards.
    pub(crate) fn frames_sent(&self, host: usize) -> Result<u64> {
        let text = self.hosts[host].shell("cat /proc/net/dev")?;
        let sent = |line: &str| -> Option<u64> {
            let (name, counters) = line.trim().split_once(':')?;
            let counters = name.starts_with("eth").then_some(counters)?;
            counters.split_whitespace().nth(9)?.parse().ok()
        };
        Ok(text.lines().filter_map(sent).sum())
    }

    /// Ends the captures: their CPU time in the kernel would be counted as that of the daemons.
    pub(crate) fn stop_captures(&mut self) {
        self.captures.clear();
    }

    fn read(&self, interface: u8, frame: &Frame) -> Option<Sighting> {
        const VRRP: u8 = 112;
        let mac = frame.source();
        let ends = self.macs.get(usize::from(interface))?;
        let from = ends.iter().position(|end| *end == mac)?;
        let (number, what) = if frame.ip_protocol() == Some(VRRP) {
            (*frame.ip_payload()?.get(1)?, What::Advert)
        } else {
            let octet = *frame.payload().get(17)?;
            let address = Ipv4Addr::new(10, 77, interface, octet);
            if !frame.is_gratuitous_arp(address) {
                return None;
            }
            (octet, What::Announcement)
        };
        Some(Sighting {
            at: frame.wall,
            from,
            what,
            which: (interface, number),
        })
    }
}

fn no_daemon(host: usize) -> Error {
    Error::new(
        format!("looking for the daemon of host {host}"),
        "no daemon is running",
    )
}
