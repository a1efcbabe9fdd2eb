//! NixOS's filter of reverse paths, where `source` is an address of another interface: the way back
//! to it does not lead out of the interface on which its advertisements come in.

use serde_json::{Value, json};
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Moment, Result, Segment, held_twice};
use vrrp_proto::State::{Backup, Master};

use crate::common::{Lan, SOON, VIP, instance, only, with};
use crate::firewall::Firewall;
use crate::pair::{HIGH, LOW, Pair};

/// Addresses of the hosts on ens34, from which they send.
const SOURCES: [&str; 2] = ["10.9.0.1", "10.9.0.2"];

pub(crate) fn the_filter_of_iptables_makes_two_masters_until_it_excepts_advertisements() -> Outcome
{
    assert_needs_the_exception(Firewall::Iptables, to_the_group)
}

pub(crate) fn the_filter_of_nftables_makes_two_masters_until_it_excepts_advertisements() -> Outcome
{
    assert_needs_the_exception(Firewall::Nftables, to_the_group)
}

pub(crate) fn the_filter_of_iptables_makes_two_masters_of_a_unicast_pair() -> Outcome {
    assert_needs_the_exception(Firewall::Iptables, to_the_peer)
}

pub(crate) fn the_filter_of_nftables_makes_two_masters_of_a_unicast_pair() -> Outcome {
    assert_needs_the_exception(Firewall::Nftables, to_the_peer)
}

fn to_the_group(source: &str, _: &str) -> Value {
    json!({ "source": source })
}

fn to_the_peer(source: &str, peer: &str) -> Value {
    json!({ "source": source, "unicast": { "peers": [peer] } })
}

/// Two masters without the exception, and one as soon as both firewalls have it.
fn assert_needs_the_exception(firewall: Firewall, destination: fn(&str, &str) -> Value) -> Outcome {
    let pair = Pair::new()?;
    let hosts = [&pair.a.host, &pair.b.host];
    let back = Segment::new("back")?;
    let mut cables = Vec::new();
    for (host, source) in hosts.into_iter().zip(SOURCES) {
        cables.push(back.attach(host, "ens34", &format!("{source}/24"))?);
        firewall.start(host)?;
    }
    let [first, second] = SOURCES;
    let a = with(instance(HIGH), destination(first, second));
    let b = with(instance(LOW), destination(second, first));
    let a = Vrrpd::start(hosts[0], &only(a))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let b = Vrrpd::start(hosts[1], &only(b))?;
    b.wait_for_state("VI_1", Master, SOON)?;
    pair.b.address_event(VIP, true, Moment::default())?;
    pass(&pair.lan)?;
    for daemon in [&a, &b] {
        let status = daemon.instance("VI_1")?;
        assert_eq!(
            (status.state, status.counters.adverts_received),
            (Master, 0)
        );
    }
    assert!(!held_twice(&[&pair.a.watch, &pair.b.watch], VIP).is_empty());

    let excepted = Moment::now();
    for host in hosts {
        firewall.except_advertisements(host)?;
    }
    b.wait_for("VI_1", Master, Backup, excepted, SOON)?;
    pair.b.address_event(VIP, false, excepted)?;
    pass(&pair.lan)?;
    assert_eq!(b.instance("VI_1")?.state, Backup);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    Ok(())
}

/// Waits until the first host has advertised more often than a backup needs to believe in it.
fn pass(lan: &Lan) -> Result<()> {
    let mut since = Moment::now();
    for _ in 0..5 {
        let advert = lan.advert(since, |advert| advert.source.to_string() == SOURCES[0])?;
        since = advert.at;
    }
    Ok(())
}
