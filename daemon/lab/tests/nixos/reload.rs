//! Reload of NixOS's iptables firewall, which drops all incoming packets for 0.6 s on a real host: longer
//! than the Master_Down_Interval at 100 ms, shorter than at 1 s.

use serde_json::json;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Moment, Result, held_twice};
use vrrp_proto::State::{Backup, Master};

use crate::common::{SOON, VIP, config, instance, vip, with};
use crate::firewall::{Backend, Firewall, begin_reload, end_reload};
use crate::pair::{HIGH, LOW, Pair};

/// Number of advertisements of VI_1 during the reload, which gives 0.6 s.
const DROPPED: usize = 6;

pub(crate) fn iptables_reload_makes_two_masters_only_at_short_interval() -> Outcome {
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

/// Returns a configuration with VI_1 at an interval of 100 ms and VI_2 at 1 s.
fn configuration(priority: u8) -> String {
    let slow = json!({
        "virtualRouterId": 52,
        "advertInterval": "1s",
        "virtualAddresses": ["192.168.224.101/24"],
    });
    config(json!({ "VI_1": instance(priority), "VI_2": with(instance(priority), slow) }))
}

/// Waits until the master has sent `count` advertisements of an instance.
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
