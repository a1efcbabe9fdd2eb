//! IPv6, alone and together with IPv4 in one instance.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::process::Command;

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Host, Impairment, Moment, Process, Result, Signal, held_twice};
use vrrp_proto::State::{Backup, Fault, Init, Master};

use crate::common::{
    Advert, INTERVAL, LATE, Lan, SOON, Station, VIP, assert_rhythm, assert_waited, down_interval,
    instance, only, skew, with,
};
use crate::pair::{HIGH, LOW};
use crate::unicast::returns_to_master;

/// Virtual IPv6 address.
const VIP6: IpAddr = IpAddr::V6(own_network(0x100));

/// Returns an address in 2001:db8::/64.
const fn own_network(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

const fn link_local(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last)
}

pub(crate) fn dead_ipv6_master_is_replaced_within_master_down_interval() -> Outcome {
    let six = Six::new()?;
    let client = Side::new(&six.lan, "c", 20, 0x20)?;
    let _servers = [six.a.serve()?, six.b.serve()?];
    let (_a, b) = six.start(ipv6)?;
    let client = client.station.host.client(VIP6)?;
    client.wait_for("a", SOON)?;

    let died = Moment::now();
    six.a.station.host.power_off()?;
    let takeover = six.advert_of(&six.b, died)?;
    let last = six.adverts_of(&six.a, Moment::default()).pop();
    let last = last.ok_or("the master never advertised")?;
    assert_waited(last.at, takeover.at, down_interval(LOW, INTERVAL));
    six.lan.announcement(VIP6, died)?;
    let line = b.wait_for("VI_1", Backup, Master, died, SOON)?.text;
    assert!(
        line.contains(&format!("no advertisement from {} for ", six.a.link_local)),
        "{line}"
    );
    let back = client.wait_for("b", SOON)?;
    let outage = client.outage(died, back);
    let stood = client.standstill(died, back);
    assert!(
        outage <= down_interval(LOW, INTERVAL) + LATE + stood,
        "outage of {outage:?}, with the client itself not scheduled for {stood:?}"
    );
    assert_eq!(b.instance("VI_1")?.counters.dropped.total(), 0);
    Ok(())
}

/// As over IPv4, by neighbour discovery.
pub(crate) fn returned_backup_hears_ipv6_unicast_master_at_once() -> Outcome {
    let six = Six::new()?;
    let unicast = |priority| {
        let peers = json!(["fe80::11", "fe80::12"]);
        with(
            ipv6(priority),
            json!({ "unicast": { "peers": peers }, "preempt": false }),
        )
    };
    let daemons = six.start(unicast)?;
    let stations = (&six.a.station, &six.b.station);
    let addresses = (six.a.link_local.into(), six.b.link_local.into());
    returns_to_master(&six.lan, stations, &daemons, addresses)
}

pub(crate) fn dual_stack_master_hands_over_after_skew_time() -> Outcome {
    let six = Six::new()?;
    let (a, b) = six.start(dual)?;
    let stopped = Moment::now();
    assert_eq!(a.stop()?.code(), Some(0));
    let resigned = |from: IpAddr| {
        let is = |advert: &Advert| advert.priority == 0 && advert.source == from;
        six.lan.advert(stopped, is)
    };
    let first = resigned(six.a.station.address.into())?;
    let second = resigned(six.a.link_local.into())?;
    let came = six.lan.advert_of(&six.b.station, stopped)?;
    let came_v6 = six.advert_of(&six.b, stopped)?;
    for takeover in [came, came_v6] {
        assert_waited(first.at.max(second.at), takeover.at, skew(LOW, INTERVAL));
    }
    for address in [VIP, VIP6] {
        let gone = six.a.station.address_event(address, false, stopped)?;
        six.b.station.address_event(address, true, stopped)?;
        six.lan.announcement(address, stopped)?;
        let takeover = if address == VIP { came } else { came_v6 };
        assert!(
            takeover.at < gone && gone.since(takeover.at) < LATE,
            "{address} left at {gone}, its successor advertised at {}",
            takeover.at
        );
    }
    let line = b.wait_for("VI_1", Backup, Master, stopped, SOON)?;
    assert!(
        line.text.ends_with("192.168.224.11 resigned (priority 0)"),
        "{}",
        line.text
    );
    assert_eq!(b.instance("VI_1")?.counters.second_masters, 0);
    Ok(())
}

pub(crate) fn higher_priority_fails_back_in_both_families() -> Outcome {
    let six = Six::new()?;
    let (a, b) = six.start(dual)?;
    a.stop()?;
    b.wait_for_state("VI_1", Master, SOON)?;
    drop(a);
    let back = Moment::now();
    let a = Vrrpd::start(&six.a.station.host, &only(dual(HIGH)))?;
    a.wait_for("VI_1", Backup, Master, back, SOON)?;
    b.wait_for("VI_1", Master, Backup, back, SOON)?;
    let takeover = six.advert_of(&six.a, back)?;
    let after = six.lan.pass(&six.a.station, 5)?;
    for address in [VIP, VIP6] {
        six.b.station.address_event(address, false, back)?;
        let watches = [&six.a.station.watch, &six.b.station.watch];
        for (from, to) in held_twice(&watches, address) {
            let to = to.unwrap_or(after.at);
            assert!(
                to.since(from) < LATE,
                "both hosts held {address} from {from} to {to}"
            );
        }
    }
    let yielded = six.adverts_of(&six.b, takeover.at + LATE);
    assert_eq!(yielded, [], "the former master still advertises");
    Ok(())
}

pub(crate) fn deleted_ipv6_address_is_restored_without_transition() -> Outcome {
    let six = Six::new()?;
    let (a, b) = six.start(dual)?;
    let from = six.advert_of(&six.a, Moment::now())?.at;
    for time in 1..=3 {
        let deleted = Moment::now();
        six.a.station.host.delete_address("ens33", VIP6)?;
        six.a.station.address_event(VIP6, true, deleted)?;
        let announced = six.lan.announcement(VIP6, deleted)?;
        assert_eq!(announced.source(), six.a.station.host.mac("ens33")?);
        assert!(announced.at.since(deleted) < LATE);
        six.lan.pass(&six.a.station, 1)?;
        assert_eq!(a.instance("VI_1")?.counters.repairs, time);
    }
    six.lan.pass(&six.a.station, 6)?;
    assert_rhythm(&six.adverts_of(&six.a, from), INTERVAL);
    assert_rhythm(&six.lan.adverts_of(&six.a.station, 51, from), INTERVAL);
    let (a, b) = (a.instance("VI_1")?, b.instance("VI_1")?);
    assert_eq!((a.counters.became_master, b.counters.became_master), (1, 0));
    assert!(six.a.station.host.holds(VIP6)? && !six.b.station.host.holds(VIP6)?);
    Ok(())
}

pub(crate) fn backup_deletes_ipv6_address_added_by_hand() -> Outcome {
    let six = Six::new()?;
    let (_a, b) = six.start(dual)?;
    let added = Moment::now();
    six.b.station.host.add_address("ens33", VIP6, 64)?;
    six.b.station.address_event(VIP6, false, added)?;
    six.lan.pass(&six.a.station, 3)?;
    assert!(!six.b.station.host.holds(VIP6)?);
    assert_eq!(b.instance("VI_1")?.counters.strays, 1);
    Ok(())
}

pub(crate) fn reload_adds_and_removes_ipv6_without_transition() -> Outcome {
    let six = Six::new()?;
    let (a, b) = six.start(instance)?;
    let from = six.lan.pass(&six.a.station, 1)?.at;
    for daemon in [(&b, LOW), (&a, HIGH)] {
        let (daemon, priority) = daemon;
        daemon.reload(&only(dual(priority)))?;
    }
    six.a.station.address_event(VIP6, true, from)?;
    six.lan.announcement(VIP6, from)?;
    let first = six.advert_of(&six.a, from)?.at;
    six.lan.pass(&six.a.station, 8)?;
    assert_rhythm(&six.adverts_of(&six.a, first - INTERVAL / 2), INTERVAL);
    for (daemon, priority) in [(&a, HIGH), (&b, LOW)] {
        daemon.reload(&only(instance(priority)))?;
    }
    six.a.station.address_event(VIP6, false, first)?;
    let last = six.lan.pass(&six.a.station, 6)?.at;
    assert_eq!(six.adverts_of(&six.a, last - INTERVAL * 2), []);
    assert_rhythm(&six.lan.adverts_of(&six.a.station, 51, from), INTERVAL);
    let (a, b) = (a.instance("VI_1")?, b.instance("VI_1")?);
    assert_eq!((a.counters.became_master, b.counters.became_master), (1, 0));
    Ok(())
}

pub(crate) fn cleanup_removes_addresses_of_both_families() -> Outcome {
    let six = Six::new()?;
    let (a, b) = six.start(dual)?;
    let host = &six.a.station.host;
    let killed = Moment::now();
    a.process().kill(Signal::SIGKILL)?;
    a.process().wait(SOON)?;
    b.wait_for("VI_1", Backup, Master, killed, SOON)?;
    assert!(
        host.holds(VIP)? && host.holds(VIP6)?,
        "no daemon is left to delete the addresses"
    );
    assert_eq!(
        clean_up(host)?,
        "removed 192.168.224.100/24 from ens33\nremoved 2001:db8::100/64 from ens33\n\
         restored accept_local of ens33\n"
    );
    let mut left: Vec<_> = host.addresses("ens33")?;
    left.sort();
    assert_eq!(
        left,
        [
            (six.a.station.address.into(), 24),
            (own_network(0x11).into(), 64),
            (six.a.link_local.into(), 64),
        ]
    );
    assert_eq!(clean_up(host)?, "", "a second cleanup finds nothing");
    Ok(())
}

/// Each host has the greater address in one family: if each family were compared on its own, both hosts
/// would yield.
pub(crate) fn dual_stack_tie_is_decided_by_ipv4_address() -> Outcome {
    let lan = Lan::new()?;
    let a = Side::new(&lan, "a", 11, 0x22)?;
    let b = Side::new(&lan, "b", 12, 0x21)?;
    let equal = only(dual(LOW));
    // The cut keeps the hosts from receiving each other's advertisements until both are masters.
    a.station.cable.set(Impairment::cut())?;
    let daemons = [
        Vrrpd::start(&a.station.host, &equal)?,
        Vrrpd::start(&b.station.host, &equal)?,
    ];
    for daemon in &daemons {
        daemon.wait_for_state("VI_1", Master, SOON)?;
    }
    let joined = Moment::now();
    a.station.cable.set(Impairment::default())?;
    let [of_a, of_b] = &daemons;
    let line = of_a.wait_for("VI_1", Master, Backup, joined, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.12 has the same priority 100 and the greater address"),
        "{line}"
    );
    for address in [VIP, VIP6] {
        a.station.address_event(address, false, joined)?;
    }
    lan.pass(&b.station, 10)?;
    let (of_a, of_b) = (of_a.instance("VI_1")?, of_b.instance("VI_1")?);
    assert_eq!((of_a.state, of_b.state), (Backup, Master));
    assert_eq!(of_b.counters.became_master, 1);
    Ok(())
}

pub(crate) fn startup_waits_for_duplicate_address_detection() -> Outcome {
    let lan = Lan::new()?;
    let host = Host::new("a")?;
    let a = lan.plug_in(host, 11)?;
    // Setting the interface down and up starts duplicate address detection again.
    a.host.set_link("ens33", false)?;
    let daemon = Vrrpd::start(&a.host, &only(ipv6(HIGH)))?;
    daemon.wait_for("VI_1", Init, Fault, Moment::default(), SOON)?;
    a.host.set_link("ens33", true)?;
    let line = daemon.wait_for("VI_1", Fault, Backup, Moment::default(), SOON)?;
    // The cause is the last reason of the fault: the interface that is down, or the tentative address after
    // that.
    let tentative = a.host.shell("ip -6 address show dev ens33 tentative")?;
    assert!(!tentative.contains("fe80"), "{}: {tentative}", line.text);
    daemon.wait_for_state("VI_1", Master, SOON)?;
    a.address_event(VIP6, true, Moment::default())?;
    Ok(())
}

/// Returns an instance with an IPv6 address only.
fn ipv6(priority: u8) -> Value {
    with(
        instance(priority),
        json!({ "virtualAddresses": ["2001:db8::100/64"] }),
    )
}

/// Returns an instance with addresses of both families.
fn dual(priority: u8) -> Value {
    with(
        instance(priority),
        json!({ "virtualAddresses": ["192.168.224.100/24", "2001:db8::100/64"] }),
    )
}

/// Two dual-stack hosts on one segment, without duplicate address detection.
struct Six {
    lan: Lan,
    a: Side,
    b: Side,
}

/// One of the two hosts.
struct Side {
    station: Station,
    link_local: Ipv6Addr,
}

impl Six {
    fn new() -> Result<Self> {
        let lan = Lan::new()?;
        let a = Side::new(&lan, "a", 11, 0x11)?;
        let b = Side::new(&lan, "b", 12, 0x12)?;
        Ok(Self { lan, a, b })
    }

    /// Starts the usual daemons. On return a is master, and b has received its advertisements.
    fn start(&self, instance: fn(u8) -> Value) -> Result<(Vrrpd<'_>, Vrrpd<'_>)> {
        let a = Vrrpd::start(&self.a.station.host, &only(instance(HIGH)))?;
        a.wait_for_state("VI_1", Master, SOON)?;
        let b = Vrrpd::start(&self.b.station.host, &only(instance(LOW)))?;
        b.wait_for("VI_1", Init, Backup, Moment::default(), SOON)?;
        // Advertisements of each family arrive.
        let families = b.instance("VI_1")?.addresses.len();
        let heard = |advert: &Advert| self.a.sends(advert);
        let mut last = Moment::now();
        for _ in 0..3 * families {
            last = self.lan.advert(last, heard)?.at;
        }
        b.wait_for_state("VI_1", Backup, SOON)?;
        Ok((a, b))
    }

    /// IPv6 advertisements of a host after `since`.
    fn adverts_of(&self, side: &Side, since: Moment) -> Vec<Advert> {
        let mut adverts = self.lan.adverts();
        adverts.retain(|advert| advert.at > since && advert.source == side.link_local);
        adverts
    }

    /// Waits for the first IPv6 advertisement of a host after `since`.
    fn advert_of(&self, side: &Side, since: Moment) -> Result<Advert> {
        self.lan
            .advert(since, |advert| advert.source == side.link_local)
    }
}

impl Side {
    /// Creates a host with 192.168.224.`last`, fe80::`last_v6` and 2001:db8::`last_v6` on ens33.
    fn new(lan: &Lan, name: &str, last: u8, last_v6: u16) -> Result<Self> {
        let host = Host::new(name)?;
        // No link-local address from the kernel, and no duplicate address detection.
        for (key, value) in [("addr_gen_mode", "1"), ("accept_dad", "0")] {
            let path = format!("/proc/sys/net/ipv6/conf/default/{key}");
            host.run(|| fs::write(&path, value))
                .map_err(|error| Error::new(format!("writing {path}"), error))?;
        }
        let station = lan.plug_in(host, last)?;
        let link_local = link_local(last_v6);
        for address in [link_local, own_network(last_v6)] {
            station.host.add_address("ens33", address.into(), 64)?;
        }
        Ok(Self {
            station,
            link_local,
        })
    }

    /// Whether this host sent the advertisement, in either family.
    fn sends(&self, advert: &Advert) -> bool {
        advert.source == self.station.address || advert.source == self.link_local
    }

    /// Starts a web server on all addresses that answers with its host's name.
    fn serve(&self) -> Result<Process> {
        let host = &self.station.host;
        let mut command = Command::new(vrrp_lab::exe()?);
        command.args(["__httpd", "--name", host.name(), "--listen", "[::]:80"]);
        let server = host.spawn(command)?;
        server.wait_for_line(|line| line.contains("listening"), SOON)?;
        Ok(server)
    }
}
