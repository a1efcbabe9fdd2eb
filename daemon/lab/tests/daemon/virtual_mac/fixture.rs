//! Fixture of two hosts with virtual MAC addresses, captures of the frames that they send, and neighbour
//! tables of other hosts.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Capture, Error, Filter, Frame, Host, Moment, Process, Result};
use vrrp_proto::Family::{self, V4, V6};
use vrrp_proto::MacAddress;
use vrrp_proto::State::{Backup, Master};

use crate::common::{Lan, SOON, Station, VIP, instance, only, set, setting, with};

/// Virtual IPv6 address.
const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 224, 0, 0, 0, 0x100));

const VRRP: u8 = vrrp_proto::wire::PROTOCOL;

/// Two dual-stack hosts, a and b, on one segment, with a capture of the frames that each sends.
pub(super) struct Fixture {
    pub(super) lan: Lan,
    pub(super) a: Station,
    pub(super) b: Station,
    pub(super) at_a: Sent,
    pub(super) at_b: Sent,
}

impl Fixture {
    pub(super) fn new() -> Result<Self> {
        let lan = Lan::new()?;
        let [a, b] = [("a", 11), ("b", 12)].map(|(name, last)| station(&lan, name, last));
        let (a, b) = (a?, b?);
        let (at_a, at_b) = (Sent::by(&a)?, Sent::by(&b)?);
        Ok(Self {
            lan,
            a,
            b,
            at_a,
            at_b,
        })
    }

    pub(super) fn station(&self, name: &str, last: u8) -> Result<Station> {
        station(&self.lan, name, last)
    }

    /// Starts both daemons, each with an instance VI_1. On return a is master, and b has received its
    /// advertisements.
    pub(super) fn start(&self, a: Value, b: Value) -> Result<(Vrrpd<'_>, Vrrpd<'_>)> {
        let a = Vrrpd::start(&self.a.host, &only(a))?;
        a.wait_for_state("VI_1", Master, SOON)?;
        let b = Vrrpd::start(&self.b.host, &only(b))?;
        b.wait_for_state("VI_1", Backup, SOON)?;
        let first = self.at_a.advert(Moment::now())?;
        self.at_a.advert(first.at)?;
        b.wait_for_state("VI_1", Backup, SOON)?;
        Ok((a, b))
    }

    /// Asserts, some advertisements of the winner later, that the loser's last frame from each of `macs` is an
    /// advertisement that it sent after `since`.
    pub(super) fn assert_silent_after(
        &self,
        loser: &Sent,
        winner: &Sent,
        since: Moment,
        macs: &[[u8; 6]],
    ) -> Outcome {
        let mut last = Moment::now();
        for _ in 0..5 {
            last = winner.any_advert(last)?;
        }
        let sent = loser.sent();
        for mac in macs {
            let mut from_it = sent.iter().filter(|frame| frame.source() == *mac);
            let last = from_it.next_back().ok_or("no frame from the virtual MAC")?;
            assert!(is_vrrp(last), "after the final advertisement: {last:x?}");
            assert!(last.at > since, "no final advertisement");
        }
        Ok(())
    }

    /// Asserts that all captured frames with a mapping for a virtual address map it to the virtual MAC
    /// address, and that there is at least one.
    pub(super) fn assert_mappings(&self, families: &[Family]) -> Outcome {
        for family in families {
            let mut times = 0;
            for frame in self.lan.frames.frames().entries() {
                for said in mappings_of(&frame, vip(*family)) {
                    times += 1;
                    assert_eq!(said, mac(*family, 51), "{frame:x?}");
                }
            }
            assert!(times > 0, "{family:?}");
        }
        Ok(())
    }
}

/// Creates a dual-stack host without duplicate address detection.
pub(super) fn station(lan: &Lan, name: &str, last: u8) -> Result<Station> {
    let host = Host::new(name)?;
    set(&host, "ipv6/conf/default/accept_dad", "0")?;
    let station = lan.plug_in(host, last)?;
    add_ipv6(&station)?;
    Ok(station)
}

/// Adds the station's IPv6 address, with the same last number as the IPv4 address. A power-off deletes it.
pub(super) fn add_ipv6(station: &Station) -> Result<()> {
    station.host.add_address("ens33", own(station, V6), 64)
}

/// Address of the station itself.
pub(super) fn own(station: &Station, family: Family) -> IpAddr {
    match family {
        V4 => station.address.into(),
        V6 => {
            let [.., last] = station.address.octets();
            let last = u16::from(last);
            Ipv6Addr::new(0x2001, 0xdb8, 0, 224, 0, 0, 0, last).into()
        }
    }
}

/// Capture of the frames that a host sends.
pub(super) struct Sent(Capture);

/// Advertisement or resignation of VRID 51.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advert {
    pub(super) at: Moment,
    pub(super) family: Family,
    pub(super) priority: u8,
    /// Source MAC address of the frame.
    pub(super) from: [u8; 6],
}

impl Sent {
    pub(super) fn by(station: &Station) -> Result<Self> {
        station.host.capture("ens33", Filter::all()).map(Self)
    }

    pub(super) fn sent(&self) -> Vec<Frame> {
        let mut frames = self.0.frames().entries();
        frames.retain(|frame| frame.outgoing);
        frames
    }

    /// Captured advertisements after `since`.
    pub(super) fn adverts(&self, since: Moment) -> Vec<Advert> {
        let sent = self.sent();
        let adverts = sent.iter().filter_map(Advert::of);
        adverts.filter(|advert| advert.at > since).collect()
    }

    /// Waits for the first advertisement after `since`.
    pub(super) fn advert(&self, since: Moment) -> Result<Advert> {
        self.advert_where(since, |advert| advert.priority > 0)
    }

    /// Time of the next advertisement of any router after `since`, waiting for it.
    pub(super) fn any_advert(&self, since: Moment) -> Result<Moment> {
        let is_one = |frame: &Frame| frame.outgoing && frame.at > since && is_vrrp(frame);
        let frame = self.0.frames().wait_for(is_one, SOON);
        let frame = frame.ok_or_else(|| Error::new("waiting for an advertisement", "none"))?;
        Ok(frame.at)
    }

    /// Waits for the resignation after `since`.
    pub(super) fn resignation(&self, since: Moment) -> Result<Advert> {
        self.advert_where(since, |advert| advert.priority == 0)
    }

    pub(super) fn advert_where(
        &self,
        since: Moment,
        wanted: impl Fn(&Advert) -> bool,
    ) -> Result<Advert> {
        let of = |frame: &Frame| {
            let advert = Advert::of(frame).filter(|advert| advert.at > since);
            advert.filter(|advert| frame.outgoing && wanted(advert))
        };
        let frame = self.0.frames().wait_for(|frame| of(frame).is_some(), SOON);
        frame.and_then(|frame| of(&frame)).ok_or_else(|| {
            let said = format!("{:#?}", self.adverts(since));
            Error::new("waiting for an advertisement", said)
        })
    }
}

/// Whether a frame is an advertisement of any router.
pub(super) fn is_vrrp(frame: &Frame) -> bool {
    frame.ip_protocol() == Some(VRRP) || frame.ipv6_payload(VRRP).is_some()
}

impl Advert {
    pub(super) fn of(frame: &Frame) -> Option<Self> {
        let (family, message) = match frame.ip_protocol() {
            Some(VRRP) => (V4, frame.ip_payload()?),
            Some(_) => return None,
            None => (V6, frame.ipv6_payload(VRRP)?),
        };
        let [_, 51, priority, ..] = *message else {
            return None;
        };
        Some(Self {
            at: frame.at,
            family,
            priority,
            from: frame.source(),
        })
    }
}

/// Changes of a host's neighbour table, by `ip monitor neigh`.
pub(super) struct Learning(Process);

impl Learning {
    pub(super) fn of(host: &Host) -> Result<Self> {
        let mut command = Command::new("ip");
        command.args(["monitor", "neigh"]);
        host.spawn(command).map(Self)
    }

    /// Asserts that the host learnt the neighbour's MAC address and never a different one.
    pub(super) fn assert_never_another(&self, neighbour: IpAddr, mac: [u8; 6]) {
        let (neighbour, mac) = (format!("{neighbour} "), MacAddress(mac).to_string());
        let events = self.0.output().entries();
        let places: Vec<&str> = events
            .iter()
            .filter(|line| line.text.starts_with(&neighbour))
            .filter_map(|line| line.text.split_once("lladdr "))
            .filter_map(|(_, rest)| rest.split(' ').next())
            .collect();
        assert!(!places.is_empty(), "{}", self.0.log());
        assert!(places.iter().all(|place| *place == mac), "{}", self.0.log());
    }
}

/// MAC addresses that a frame associates with an address: the source of the frame, and the one in its ARP
/// or neighbour discovery message.
pub(super) fn mappings_of(frame: &Frame, address: IpAddr) -> Vec<[u8; 6]> {
    const ICMPV6: u8 = 58;
    let mac = |bytes: Option<&[u8]>| bytes.and_then(|bytes| bytes.try_into().ok());
    let said = match address {
        IpAddr::V4(address) => {
            // Sender hardware address and sender protocol address (RFC 826).
            let arp = frame.payload();
            let speaks = frame.ethertype() == 0x0806 && arp.get(14..18) == Some(&address.octets());
            speaks.then(|| mac(arp.get(8..14))).flatten()
        }
        IpAddr::V6(address) => frame.ipv6_payload(ICMPV6).and_then(|message| {
            // A solicitation has the MAC address of its source, an advertisement that of its target, both
            // in an option after the target (RFC 4861 sections 4.3 and 4.4).
            let source = frame.payload().get(8..24);
            let subject = match message.first()? {
                135 => source,
                136 => message.get(8..24),
                _ => None,
            };
            let speaks = subject == Some(&address.octets());
            speaks.then(|| mac(message.get(26..32))).flatten()
        }),
    };
    said.map(|said| vec![frame.source(), said])
        .unwrap_or_default()
}

/// Whether a host can reach an address: a closed port there refuses the connection.
pub(super) fn is_reached(host: &Host, address: IpAddr) -> bool {
    // A lost packet is sent again after a second: the kernel adds the route to an IPv6 address from a work
    // queue (addrconf_dad_work), a moment after the address.
    let patience = Duration::from_secs(2);
    let answer = host.run(|| TcpStream::connect_timeout(&(address, 9).into(), patience));
    answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Whether a host can reach the address `to` from its address `from`.
pub(super) fn reaches(host: &Host, from: IpAddr, to: IpAddr) -> bool {
    host.run(|| {
        let socket = UdpSocket::bind((from, 0))?;
        socket.connect((to, 9))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.send(&[0])?;
        socket.recv(&mut [0])
    })
    .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Polls until `is_so` returns true.
pub(super) fn until(what: &str, is_so: impl Fn() -> Result<bool>) -> Outcome {
    let begun = Moment::now();
    while !is_so().unwrap_or(false) {
        assert!(begun.elapsed() < SOON, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Returns an instance with virtual MAC addresses and an address of each of `families`.
pub(super) fn router(priority: u8, families: &[Family]) -> Value {
    let address = |family: &Family| match family {
        V4 => format!("{VIP}/24"),
        V6 => format!("{VIP6}/64"),
    };
    let addresses: Vec<String> = families.iter().map(address).collect();
    with(
        instance(priority),
        json!({ "virtualMac": true, "virtualAddresses": addresses }),
    )
}

pub(super) const fn vip(family: Family) -> IpAddr {
    match family {
        V4 => VIP,
        V6 => VIP6,
    }
}

pub(super) const fn device(family: Family) -> &'static str {
    match family {
        V4 => "vrrp4.51.ens33",
        V6 => "vrrp6.51.ens33",
    }
}

/// Virtual MAC address of a router.
pub(super) fn mac(family: Family, vrid: u8) -> [u8; 6] {
    [0, 0, 0x5e, 0, family as u8 + 1, vrid]
}

/// Names of a host's macvlans with virtual MAC addresses.
pub(super) fn devices(host: &Host) -> Result<Vec<String>> {
    let shown = host.shell("ip -brief link show type macvlan")?;
    let names = shown
        .lines()
        .filter_map(|line| line.split(['@', ' ']).next());
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with("vrrp"))
        .map(str::to_owned)
        .collect();
    names.sort();
    Ok(names)
}

/// `arp_ignore` and `arp_announce` of a station's card.
pub(super) fn arp(station: &Station) -> Result<[String; 2]> {
    let of = |name| setting(&station.host, &format!("ipv4/conf/ens33/{name}"));
    Ok([of("arp_ignore")?, of("arp_announce")?])
}
