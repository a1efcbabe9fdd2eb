//! NixOS's reverse path filter with a `source` address on another interface: the route back to that address
//! does not use the interface on which its advertisements arrive.

use serde_json::json;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Moment, Result, Segment, held_twice};
use vrrp_proto::State::{Backup, Master};

use crate::common::{Lan, SOON, VIP, instance, only, with};
use crate::firewall::{Backend, Firewall};
use crate::pair::{HIGH, LOW, Pair};

/// Addresses of the hosts on ens34, the sources of their advertisements.
const SOURCES: [&str; 2] = ["10.9.0.1", "10.9.0.2"];

pub(crate) fn iptables_reverse_path_filter_needs_multicast_exemption() -> Outcome {
    assert_needs_exemption(Backend::Iptables, Casting::Multicast)
}

pub(crate) fn nftables_reverse_path_filter_needs_multicast_exemption() -> Outcome {
    assert_needs_exemption(Backend::Nftables, Casting::Multicast)
}

pub(crate) fn iptables_reverse_path_filter_needs_unicast_exemption() -> Outcome {
    assert_needs_exemption(Backend::Iptables, Casting::Unicast)
}

pub(crate) fn nftables_reverse_path_filter_needs_unicast_exemption() -> Outcome {
    assert_needs_exemption(Backend::Nftables, Casting::Unicast)
}

/// Multicast or unicast advertisements.
#[derive(Clone, Copy)]
enum Casting {
    Multicast,
    Unicast,
}

impl Casting {
    fn configuration(self, priority: u8, source: &str, peer: &str) -> String {
        let words = match self {
            Self::Multicast => json!({ "source": source }),
            Self::Unicast => json!({ "source": source, "unicast": { "peers": [peer] } }),
        };
        only(with(instance(priority), words))
    }

    fn firewall(self, backend: Backend, peer: &'static str) -> Firewall {
        let peer = match self {
            Self::Multicast => None,
            Self::Unicast => Some(peer),
        };
        Firewall { backend, peer }
    }
}

/// Asserts that a backup receives no advertisement without the exemption and withholds its take-over because
/// they arrive at the interface, and that it receives them as soon as both firewalls have the exemption.
fn assert_needs_exemption(backend: Backend, casting: Casting) -> Outcome {
    let pair = Pair::new()?;
    let back = Segment::new("back")?;
    let (at_a, at_b) = (&pair.a.host, &pair.b.host);
    let [of_a, of_b] = SOURCES;
    let mut firewalls = Vec::new();
    for (host, source, peer) in [(at_a, of_a, of_b), (at_b, of_b, of_a)] {
        back.attach(host, "ens34", &format!("{source}/24"))?;
        let firewall = casting.firewall(backend, peer);
        firewall.start(host)?;
        firewalls.push((firewall, host));
    }
    let a = Vrrpd::start(at_a, &casting.configuration(HIGH, of_a, of_b))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let b = Vrrpd::start(at_b, &casting.configuration(LOW, of_b, of_a))?;
    let is_withheld = |line: &str| line.contains("VI_1: take-over withheld");
    b.process().wait_for_line(is_withheld, SOON)?;
    pass(&pair.lan)?;
    let status = b.instance("VI_1")?;
    assert_eq!(
        (status.state, status.counters.adverts_received),
        (Backup, 0)
    );

    let excepted = Moment::now();
    for (firewall, host) in &firewalls {
        firewall.except_advertisements(host)?;
    }
    let is_received = || -> Result<bool> {
        pass(&pair.lan)?;
        let status = b.instance("VI_1")?;
        Ok(status.counters.adverts_received > 0 && status.withheld.is_none())
    };
    while !is_received()? {
        assert!(excepted.elapsed() < SOON, "nothing is received");
    }
    assert_eq!(b.instance("VI_1")?.state, Backup);
    for (daemon, masters) in [(&a, 1), (&b, 0)] {
        assert_eq!(daemon.instance("VI_1")?.counters.became_master, masters);
    }
    assert_eq!(held_twice(&[&pair.a.watch, &pair.b.watch], VIP), []);
    Ok(())
}

/// Waits until the first host has sent more advertisements than a backup needs to recognise it as master.
fn pass(lan: &Lan) -> Result<()> {
    let mut since = Moment::now();
    for _ in 0..5 {
        let advert = lan.advert(since, |advert| advert.source.to_string() == SOURCES[0])?;
        since = advert.at;
    }
    Ok(())
}
