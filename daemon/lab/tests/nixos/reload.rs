//! Reload of NixOS's iptables firewall, which drops all incoming packets for 0.6 s on a real host: longer
//! than the Master_Down_Interval at 100 ms, shorter than at 1 s. The advertisements that arrive at the interface
//! withhold the take-over.

use serde_json::json;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Moment, Result, held_twice};
use vrrp_proto::State::Backup;

use crate::common::{SOON, VIP, config, instance, vip, with};
use crate::firewall::{Backend, Firewall, begin_reload, end_reload};
use crate::pair::{HIGH, LOW, Pair};

/// Number of advertisements of VI_1 during the reload, which gives 0.6 s.
const DROPPED: usize = 6;

pub(crate) fn iptables_reload_makes_no_second_master() -> Outcome {
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

    begin_reload(&pair.b.host)?;
    pass(&pair, 51, DROPPED)?;
    assert!(b.instance("VI_1")?.counters.withheld > 0);
    end_reload(&pair.b.host)?;
    pass(&pair, 52, 2)?;

    for (name, vip) in [("VI_1", VIP), ("VI_2", vip(101))] {
        let status = b.instance(name)?;
        assert_eq!((status.state, status.counters.became_master), (Backup, 0));
        assert_eq!(held_twice(&[&pair.a.watch, &pair.b.watch], vip), []);
    }
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
