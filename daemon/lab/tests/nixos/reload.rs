//! A reload of NixOS's iptables firewall, which drops all that comes in for 0.6 s on a real host:
//! longer than a backup waits at 100 ms, shorter than it waits at 1 s.

use serde_json::json;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Moment, Result, held_twice};
use vrrp_proto::State::{Backup, Master};

use crate::common::{SOON, VIP, config, instance, vip, with};
use crate::firewall::{Backend, Firewall, begin_reload, end_reload};
use crate::pair::{HIGH, LOW, Pair};

/// Advertisements of VI_1 that pass during the reload, which makes 0.6 s.
const DROPPED: usize = 6;

pub(crate) fn a_reload_of_the_iptables_firewall_makes_two_masters_at_100_ms_and_none_at_1_s()
-> Outcome {
    let pair = Pair::new()?;
    let firewall = Firewall {
        backend: Backend::Iptables,
        peer: None,
    };
    for host in [&pair.a.host, &pair.b.host] {
        firewall.start(host)?;
    }
    let (_a, b) = pair.start_with(&configuration(HIGH), &configuration(LOW))?;
    b.wait_for_state("VI_2", Backup, SOON)?;

    let begun = Moment::now();
    begin_reload(&pair.b.host)?;
    pass(&pair, 51, DROPPED)?;
    b.wait_for("VI_1", Backup, Master, begun, SOON)?;
    let ended = Moment::now();
    end_reload(&pair.b.host)?;
    b.wait_for("VI_1", Master, Backup, ended, SOON)?;
    pair.b.address_event(VIP, false, ended)?;
    pass(&pair, 52, 2)?;

    let watches = [&pair.a.watch, &pair.b.watch];
    assert!(!held_twice(&watches, VIP).is_empty());
    assert_eq!(held_twice(&watches, vip(101)), []);
    assert_eq!(b.instance("VI_2")?.counters.became_master, 0);
    Ok(())
}

/// VI_1 with the interval of 100 ms, VI_2 with that of 1 s.
fn configuration(priority: u8) -> String {
    let slow = json!({
        "virtualRouterId": 52,
        "advertInterval": "1s",
        "virtualAddresses": ["192.168.224.101/24"],
    });
    config(json!({ "VI_1": instance(priority), "VI_2": with(instance(priority), slow) }))
}

/// Waits until the master has advertised an instance `count` times.
fn pass(pair: &Pair, vrid: u8, count: usize) -> Result<()> {
    let mut since = Moment::now();
    for _ in 0..count {
        let advert = pair.lan.advert(since, |advert| {
            advert.source == pair.a.address && advert.vrid == vrid
        })?;
        since = advert.at;
    }
    Ok(())
}
