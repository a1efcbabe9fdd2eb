//! Fixtures of the tests with running daemons: a segment with hosts, configurations, and the captured
//! advertisements.
#![allow(
    dead_code,
    reason = "each test program compiles this for itself and uses another part"
)]

pub(crate) mod tshark;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::vrrpd_program;
use vrrp_lab::{
    AddressEvent, AddressWatch, Cable, Capture, Error, Filter, Frame, Host, Moment, Result,
    Segment, harness,
};

/// Time limit for steps without a limit in the protocol.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Advertisement interval of most tests.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// Allowance for a busy machine, added to times that follow from the protocol. It is not a measure of the
/// daemon's lateness; `vrrp-lab bench` measures that.
pub(crate) const LATE: Duration = Duration::from_millis(250);

/// Allowed difference between two clocks: frames are stamped on the wall clock.
const CLOCKS: Duration = Duration::from_millis(2);

/// Virtual address of the usual instance.
pub(crate) const VIP: IpAddr = vip(100);

/// Returns the virtual address with this last byte.
pub(crate) const fn vip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 168, 224, last))
}

/// Runs the tests of a test program; its `main`.
pub(crate) fn main(tests: &[harness::Test<'_>], missing: &[&str]) -> ExitCode {
    built().unwrap_or_else(|| harness::run_where(tests, missing))
}

/// Runs tests that are generated from data or that not every machine can run, `side_by_side` at a time; the
/// `main` of such a test program.
pub(crate) fn main_of(
    tests: Vec<harness::MadeTest>,
    missing: &[&str],
    side_by_side: Option<usize>,
) -> ExitCode {
    built().unwrap_or_else(|| harness::run_made(tests, missing, side_by_side))
}

/// Builds the daemon. Returns an exit code if that failed.
fn built() -> Option<ExitCode> {
    vrrp_lab::dispatch();
    let error = vrrpd_program().err()?;
    #[expect(clippy::print_stderr, reason = "the outcome of the program")]
    {
        eprintln!("{error}");
    }
    Some(ExitCode::FAILURE)
}

/// Lists tests, each named after its module and function.
#[macro_export]
macro_rules! tests {
    ($($module:ident: $($test:ident),+ $(,)?;)+) => {
        [$($((
            concat!(stringify!($module), "::", stringify!($test)),
            $module::$test as fn() -> vrrp_lab::harness::Outcome,
        )),+),+]
    };
}

/// Segment with a capture of all its frames.
pub(crate) struct Lan {
    pub(crate) segment: Segment,
    pub(crate) frames: Capture,
}

impl Lan {
    pub(crate) fn new() -> Result<Self> {
        let segment = Segment::new("lan")?;
        let frames = segment.capture(Filter::all())?;
        Ok(Self { segment, frames })
    }

    /// Creates a host with the address 192.168.224.`last` on ens33.
    pub(crate) fn station(&self, name: &str, last: u8) -> Result<Station> {
        self.plug_in(Host::new(name)?, last)
    }

    /// Attaches an existing host, as [`Lan::station`] does.
    pub(crate) fn plug_in(&self, host: Host, last: u8) -> Result<Station> {
        let address = Ipv4Addr::new(192, 168, 224, last);
        Station::attach(&self.segment, host, "ens33", address)
    }

    /// Captured advertisements, in order.
    pub(crate) fn adverts(&self) -> Vec<Advert> {
        let frames = self.frames.frames().entries();
        frames.iter().filter_map(Advert::of).collect()
    }

    /// Captured advertisements after `since` from one sender and VRID.
    pub(crate) fn adverts_of(&self, sender: &Station, vrid: u8, since: Moment) -> Vec<Advert> {
        self.adverts()
            .into_iter()
            .filter(|advert| {
                advert.at > since && advert.source == sender.address && advert.vrid == vrid
            })
            .collect()
    }

    /// Last captured advertisement of VRID 51 of a station that was master.
    pub(crate) fn last_advert_of(&self, sender: &Station) -> Result<Advert> {
        let last = self.adverts_of(sender, 51, Moment::default()).pop();
        last.ok_or_else(|| Error::new("looking for the last advertisement", "never advertised"))
    }

    /// Waits for the first advertisement after `since` that is `wanted`.
    pub(crate) fn advert(&self, since: Moment, wanted: impl Fn(&Advert) -> bool) -> Result<Advert> {
        let is = |frame: &Frame| {
            frame.at > since && Advert::of(frame).is_some_and(|advert| wanted(&advert))
        };
        self.frames
            .frames()
            .wait_for(is, SOON)
            .and_then(|frame| Advert::of(&frame))
            .ok_or_else(|| {
                let seen = self.adverts();
                let last = &seen[seen.len().saturating_sub(10)..];
                Error::new(
                    "waiting for an advertisement",
                    format!("timed out; the last ones are {last:#?}"),
                )
            })
    }

    /// Waits for the first advertisement of a station after `since`.
    pub(crate) fn advert_of(&self, sender: &Station, since: Moment) -> Result<Advert> {
        self.advert(since, |advert| advert.source == sender.address)
    }

    /// Waits until a station has advertised `count` times from now on, which measures time by the
    /// protocol's own clock. Returns the last advertisement.
    pub(crate) fn pass(&self, sender: &Station, count: usize) -> Result<Advert> {
        self.pass_of(count, |advert| advert.source == sender.address)
    }

    /// As [`Lan::pass`], for the advertisements that are `wanted`.
    pub(crate) fn pass_of(&self, count: usize, wanted: impl Fn(&Advert) -> bool) -> Result<Advert> {
        let mut last = self.advert(Moment::now(), &wanted)?;
        for _ in 1..count {
            last = self.advert(last.at, &wanted)?;
        }
        Ok(last)
    }

    /// Captured announcements of `address` after `since`: gratuitous ARPs or neighbour advertisements.
    pub(crate) fn announcements(&self, address: IpAddr, since: Moment) -> Vec<Frame> {
        self.frames
            .frames()
            .entries()
            .into_iter()
            .filter(|frame| frame.at > since && frame.announces(address))
            .collect()
    }

    /// Waits for the second announcement of `address` by a new master, a second after the first. From then
    /// on the master only advertises.
    pub(crate) fn settle(&self, address: IpAddr) -> Result<()> {
        let first = self.announcement(address, Moment::default())?;
        self.announcement(address, first.at + Duration::from_millis(500))
            .map(drop)
    }

    /// Waits for the first announcement of `address` after `since`.
    pub(crate) fn announcement(&self, address: IpAddr, since: Moment) -> Result<Frame> {
        self.frames
            .frames()
            .wait_for(|frame| frame.at > since && frame.announces(address), SOON)
            .ok_or_else(|| Error::new("waiting for an announcement", format!("of {address}")))
    }
}

/// Host on a [`Lan`] with a watch of its addresses.
pub(crate) struct Station {
    pub(crate) host: Host,
    pub(crate) cable: Cable,
    pub(crate) address: Ipv4Addr,
    pub(crate) watch: AddressWatch,
}

impl Station {
    /// Attaches a host to a segment by an interface with this address, in a network of 256.
    pub(crate) fn attach(
        segment: &Segment,
        host: Host,
        interface: &str,
        address: Ipv4Addr,
    ) -> Result<Self> {
        let cable = segment.attach(&host, interface, &format!("{address}/24"))?;
        let watch = host.watch_addresses()?;
        Ok(Self {
            host,
            cable,
            address,
            watch,
        })
    }

    /// Waits until an address is added or deleted after `since`. Returns the time.
    pub(crate) fn address_event(
        &self,
        address: IpAddr,
        added: bool,
        since: Moment,
    ) -> Result<Moment> {
        self.watch
            .events()
            .wait_for(
                |event| event.at > since && event.address == address && event.added == added,
                SOON,
            )
            .map(|event| event.at)
            .ok_or_else(|| {
                let what = if added { "be added" } else { "be deleted" };
                Error::new(
                    format!("waiting for {address} to {what} on {}", self.host.name()),
                    format!("{:#?}", self.watch.events().entries()),
                )
            })
    }

    /// IPv4 address events so far. IPv6 is left out, because the kernel itself adds and changes IPv6
    /// addresses.
    pub(crate) fn address_events(&self) -> Vec<AddressEvent> {
        let mut events = self.watch.events().entries();
        events.retain(|event| event.address.is_ipv4());
        events
    }
}

/// Captured advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advert {
    pub(crate) at: Moment,
    pub(crate) source: IpAddr,
    pub(crate) version: u8,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
}

impl Advert {
    fn of(frame: &Frame) -> Option<Self> {
        const VRRP: u8 = vrrp_proto::wire::PROTOCOL;
        let (source, message): (IpAddr, _) = match frame.ipv6_source() {
            Some(source) => (source.into(), frame.ipv6_payload(VRRP)?),
            None if frame.ip_protocol()? == VRRP => {
                (frame.ip_source()?.into(), frame.ip_payload()?)
            }
            None => return None,
        };
        let [head, vrid, priority, ..] = *message else {
            return None;
        };
        Some(Self {
            at: frame.at,
            source,
            version: head >> 4,
            vrid,
            priority,
        })
    }
}

/// Returns an instance on ens33 with VRID 51, the usual interval and the usual address.
pub(crate) fn instance(priority: u8) -> Value {
    json!({
        "interface": "ens33",
        "virtualRouterId": 51,
        "priority": priority,
        "advertInterval": "100ms",
        "virtualAddresses": ["192.168.224.100/24"],
    })
}

/// Returns `value` with the keys of `changes` set.
pub(crate) fn with(mut value: Value, changes: Value) -> Value {
    if let (Value::Object(object), Value::Object(changes)) = (&mut value, changes) {
        object.extend(changes);
    }
    value
}

/// Returns a configuration with one instance, VI_1.
pub(crate) fn only(instance: Value) -> String {
    config(json!({ "VI_1": instance }))
}

/// Returns a configuration with these instances.
pub(crate) fn config(instances: Value) -> String {
    json!({ "instances": instances }).to_string()
}

/// Returns a configuration with these trackers and instances.
pub(crate) fn tracked(trackers: Value, instances: Value) -> String {
    json!({ "trackers": trackers, "instances": instances }).to_string()
}

/// Sets a sysctl variable on a host.
pub(crate) fn set(host: &Host, variable: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{variable}");
    host.run(|| fs::write(&path, value))
        .map_err(|error| Error::new(format!("writing {path} on {}", host.name()), error))
}

/// Reads a sysctl variable on a host.
pub(crate) fn setting(host: &Host, variable: &str) -> Result<String> {
    let path = format!("/proc/sys/net/{variable}");
    host.run(|| fs::read_to_string(&path))
        .map(|value| value.trim().to_owned())
        .map_err(|error| Error::new(format!("reading {path} on {}", host.name()), error))
}

/// Waits until a command succeeds.
pub(crate) fn wait_until(host: &Host, is_so: &str) -> Result<()> {
    let script = format!("for i in $(seq 200); do {is_so} && exit; sleep 0.1; done; exit 1");
    host.shell(&script).map(drop)
}

/// Waits for the end of duplicate address detection, at which the kernel adds the routes of an address.
pub(crate) fn wait_for_detection(host: &Host) -> Result<()> {
    wait_until(host, "test -z \"$(ip -6 address show tentative)\"")
}

/// Skew_Time of a priority in version 3.
pub(crate) fn skew(priority: u8, interval: Duration) -> Duration {
    interval * (256 - u32::from(priority)) / 256
}

/// Master_Down_Interval of a priority in version 3.
pub(crate) fn down_interval(priority: u8, interval: Duration) -> Duration {
    interval * 3 + skew(priority, interval)
}

/// Asserts that `later` followed `earlier` after `wait`: not earlier than the protocol allows, and not
/// later than a busy machine explains.
#[track_caller]
pub(crate) fn assert_waited(earlier: Moment, later: Moment, wait: Duration) {
    let waited = later.since(earlier);
    assert!(
        waited + CLOCKS >= wait,
        "the event came after {waited:?}, earlier than {wait:?}"
    );
    assert!(
        waited <= wait + LATE,
        "the event came after {waited:?}, later than {wait:?} and {LATE:?}"
    );
}

/// Asserts that `adverts` are periodic: one in each interval, none missing and none too many, and without a
/// shift of phase between the first and the second half.
#[track_caller]
pub(crate) fn assert_rhythm(adverts: &[Advert], interval: Duration) {
    let times: Vec<Moment> = adverts.iter().map(|advert| advert.at).collect();
    assert!(times.len() >= 6, "too few advertisements: {times:?}");
    // The least late advertisement defines the phase.
    let beat = |index: usize| interval * u32::try_from(index).unwrap_or(u32::MAX);
    let starts = times.iter().enumerate().map(|(i, at)| *at - beat(i));
    let start = starts.min().unwrap_or_default();
    let lateness: Vec<Duration> = times
        .iter()
        .enumerate()
        .map(|(index, at)| at.since(start + beat(index)))
        .collect();
    assert!(
        lateness.iter().all(|late| *late < interval * 3 / 4),
        "an advertisement is missing or surplus: lateness {lateness:?}"
    );
    let (first, second) = lateness.split_at(lateness.len() / 2);
    let shift = median(first).abs_diff(median(second));
    assert!(
        shift < interval / 4,
        "the phase shifted by {shift:?}: lateness {lateness:?}"
    );
}

fn median(values: &[Duration]) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}
