//! Routes and rules that follow the master.

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Line, Moment, Result, Signal};
use vrrp_proto::State::{Backup, Master};

use crate::common::{INTERVAL, SOON, VIP, assert_rhythm, instance, only, with};
use crate::pair::{HIGH, LOW, Pair};

/// Output of `ip` for the routes and rules of [`routed`].
const ROUTE: &str = "10.1.0.0/16 via 192.168.224.1 dev ens33 src 192.168.224.100";
const SIX: &str = "2001:db8:1::/48 dev ens33";
const RULE: &str = "from 10.9.0.0/16 lookup 100";

pub(crate) fn routes_follow_master_at_takeover() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start_with(&routed(HIGH), &routed(LOW))?;
    assert_eq!(held(&pair.a.host)?, [ROUTE, SIX, RULE]);
    assert_eq!(held(&pair.b.host)?, [""; 0]);
    assert_eq!(a.instance("VI_1")?.routes.len(), 2);

    let stopped = Moment::now();
    assert!(a.stop()?.success());
    assert_eq!(held(&pair.a.host)?, [""; 0], "after the stop");
    b.wait_for("VI_1", Backup, Master, stopped, SOON)?;
    // The announcement follows the routes and rules.
    pair.lan.announcement(VIP, stopped)?;
    assert_eq!(held(&pair.b.host)?, [ROUTE, SIX, RULE]);
    Ok(())
}

pub(crate) fn deleted_routes_are_restored_without_transition() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start_with(&routed(HIGH), &routed(LOW))?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    for (command, what) in [
        ("ip route del 10.1.0.0/16", "route 10.1.0.0/16 was missing"),
        (
            "ip -6 route del 2001:db8:1::/48",
            "route 2001:db8:1::/48 was missing",
        ),
        (
            "ip rule del from 10.9.0.0/16",
            "rule priority 32765 from 10.9.0.0/16 lookup 100 was missing",
        ),
        // The kernel deletes the route that has this address as its source.
        (
            "ip address del 192.168.224.100/24 dev ens33",
            "route 10.1.0.0/16 was deleted by the kernel with the address 192.168.224.100/24",
        ),
    ] {
        let deleted = Moment::now();
        pair.a.host.shell(command)?;
        said(&a, deleted, &format!("VI_1: {what}; restored"))?;
        assert_eq!(held(&pair.a.host)?, [ROUTE, SIX, RULE], "after {command}");
    }
    pair.lan.pass(&pair.a, 6)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    let counters = a.instance("VI_1")?.counters;
    assert_eq!((counters.became_master, counters.routing_repairs), (1, 4));
    Ok(())
}

pub(crate) fn backup_deletes_foreign_route_with_mark() -> Outcome {
    let pair = Pair::new()?;
    let (_a, b) = pair.start_with(&routed(HIGH), &routed(LOW))?;
    let added = Moment::now();
    pair.b
        .host
        .shell("ip route add 10.1.0.0/16 dev ens33 proto 0x56")?;
    let text = "VI_1: route 10.1.0.0/16 was added although this host is not master; deleted";
    said(&b, added, text)?;
    assert_eq!(held(&pair.b.host)?, [""; 0]);
    // A route without the mark belongs to another program.
    pair.b
        .host
        .shell("ip route add 10.1.0.0/16 dev ens33 proto static")?;
    pair.lan.pass(&pair.a, 6)?;
    let left = pair.b.host.shell("ip route show 10.1.0.0/16")?;
    assert_eq!(left.trim(), "10.1.0.0/16 dev ens33 proto static scope link");
    assert_eq!(b.instance("VI_1")?.counters.routing_strays, 1);
    Ok(())
}

pub(crate) fn rejected_route_is_logged_and_added_later() -> Outcome {
    let pair = Pair::new()?;
    let routes = json!([
        { "destination": "10.2.0.0/16", "gateway": "192.168.77.1" },
        { "destination": "10.3.0.0/16", "device": "wan" },
    ]);
    let started = Moment::now();
    let a = Vrrpd::start(
        &pair.a.host,
        &only(with(instance(HIGH), json!({ "routes": routes }))),
    )?;
    for text in [
        "VI_1: cannot add the route 10.2.0.0/16 via 192.168.77.1: Nexthop has invalid gateway",
        "VI_1: cannot add the route 10.3.0.0/16 dev wan: there is no device wan",
    ] {
        said(&a, started, text)?;
    }
    assert!(pair.a.host.holds(VIP)?);
    pair.a
        .host
        .shell("ip link add wan type veth peer name naw && ip link set wan up")?;
    pair.a
        .host
        .shell("ip address add 192.168.77.2/24 dev wan")?;
    let end = Moment::now() + SOON;
    while held(&pair.a.host)?.len() < 2 {
        assert!(Moment::now() < end, "{}", a.process().log());
        pair.lan.pass(&pair.a, 1)?;
    }
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    Ok(())
}

pub(crate) fn cleanup_deletes_routes_of_killed_daemon() -> Outcome {
    let pair = Pair::new()?;
    let a = Vrrpd::start(&pair.a.host, &routed(HIGH))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    pair.lan.announcement(VIP, Moment::default())?;
    pair.a.host.shell("ip route add 10.7.0.0/16 dev ens33")?;
    a.process().kill(Signal::SIGKILL)?;
    a.process().wait(SOON)?;
    assert_eq!(held(&pair.a.host)?, [ROUTE, SIX, RULE]);
    assert_eq!(
        clean_up(&pair.a.host)?,
        "removed route 10.1.0.0/16\nremoved route 2001:db8:1::/48\n\
         removed rule priority 32765 from 10.9.0.0/16 lookup 100\n\
         removed 192.168.224.100/24 from ens33\nrestored accept_local of ens33\n"
    );
    assert_eq!(held(&pair.a.host)?, [""; 0]);
    assert!(pair.a.host.shell("ip route show")?.contains("10.7.0.0/16"));
    Ok(())
}

pub(crate) fn restart_deletes_routes_of_killed_daemon() -> Outcome {
    for next in [only(instance(HIGH)), routed(HIGH)] {
        let pair = Pair::new()?;
        let former = Vrrpd::start(&pair.a.host, &routed(HIGH))?;
        former.wait_for_state("VI_1", Master, SOON)?;
        pair.lan.announcement(VIP, Moment::default())?;
        former.process().kill(Signal::SIGKILL)?;
        former.process().wait(SOON)?;
        assert_eq!(held(&pair.a.host)?, [ROUTE, SIX, RULE]);

        let restarted = Moment::now();
        let daemon = Vrrpd::start(&pair.a.host, &next)?;
        // Before the first advertisement.
        daemon.wait_for("VI_1", Backup, Master, restarted, SOON)?;
        pair.lan.announcement(VIP, restarted)?;
        let expected: &[&str] = if next == routed(HIGH) {
            &[ROUTE, SIX, RULE]
        } else {
            &[]
        };
        assert_eq!(held(&pair.a.host)?, expected);
    }
    Ok(())
}

pub(crate) fn reload_adds_and_removes_routes_without_transition() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start_with(&routed(HIGH), &routed(LOW))?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    let reload = |routes: Value| -> Result<Vec<String>> {
        a.reload(&only(with(instance(HIGH), json!({ "routes": routes }))))?;
        pair.lan.pass(&pair.a, 2)?;
        held(&pair.a.host)
    };
    let other = json!([{ "destination": "10.1.0.0/16", "gateway": "192.168.224.2" },
                       { "destination": "10.2.0.0/16" }]);
    assert_eq!(
        reload(other)?,
        [
            "10.1.0.0/16 via 192.168.224.2 dev ens33",
            "10.2.0.0/16 dev ens33 scope link"
        ]
    );
    assert_eq!(reload(json!([]))?, [""; 0]);
    assert_eq!(
        reload(json!([{ "destination": "10.2.0.0/16" }]))?,
        ["10.2.0.0/16 dev ens33 scope link"]
    );
    pair.lan.pass(&pair.a, 6)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    let counters = a.instance("VI_1")?.counters;
    assert_eq!((counters.became_master, counters.routing_repairs), (1, 0));
    Ok(())
}

/// The virtual address is the only one of its device. When the kernel deletes the last address of a device,
/// it deletes all routes over the device.
pub(crate) fn default_route_survives_replaced_only_address() -> Outcome {
    let pair = Pair::new()?;
    pair.a.host.shell(
        "ip link add wan type veth peer name naw && ip link set wan up && ip link set naw up",
    )?;
    let uplink = |address: &str, scope: &str| {
        let address = json!({ "address": address, "device": "wan", "scope": scope });
        let changes = json!({
            "virtualAddresses": ["192.168.224.100/24", address],
            "routes": [{ "destination": "default", "gateway": "1.2.3.1" }],
        });
        only(with(instance(HIGH), changes))
    };
    let a = Vrrpd::start(&pair.a.host, &uplink("1.2.3.4/24", "global"))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    pair.lan.announcement(VIP, Moment::default())?;
    let route = "default via 1.2.3.1 dev wan";
    assert_eq!(held(&pair.a.host)?, [route]);
    // A route of another program stays as well.
    pair.a.host.shell("ip route add 10.7.0.0/16 dev wan")?;

    a.reload(&uplink("1.2.3.5/24", "global"))?;
    let former = "1.2.3.4".parse()?;
    pair.a.address_event(former, false, Moment::default())?;
    pair.lan.pass(&pair.a, 2)?;
    assert!(pair.a.host.holds("1.2.3.5".parse()?)?);
    assert_eq!(held(&pair.a.host)?, [route]);
    assert!(pair.a.host.shell("ip route show")?.contains("10.7.0.0/16"));
    let repairs = a.instance("VI_1")?.counters.routing_repairs;
    assert_eq!(repairs, 0, "the route was never gone");

    // In another form the same address is deleted first, and the kernel deletes the routes.
    let reloaded = Moment::now();
    a.reload(&uplink("1.2.3.5/24", "link"))?;
    let text =
        "VI_1: route 0.0.0.0/0 was deleted by the kernel with the address 1.2.3.5/24; restored";
    said(&a, reloaded, text)?;
    assert_eq!(held(&pair.a.host)?, [route]);
    assert_eq!(a.instance("VI_1")?.counters.routing_repairs, 1);
    Ok(())
}

/// Returns the usual instance with routes of both families and a rule.
fn routed(priority: u8) -> String {
    let routing = json!({
        "routes": [
            { "destination": "10.1.0.0/16", "gateway": "192.168.224.1", "source": "192.168.224.100" },
            { "destination": "2001:db8:1::/48" },
        ],
        "rules": [{ "from": "10.9.0.0/16", "table": 100 }],
    });
    only(with(instance(priority), routing))
}

/// Routes and rules of a host that bear the mark, printed without it.
fn held(host: &vrrp_lab::Host) -> Result<Vec<String>> {
    let routes = host.shell("ip -4 route show proto 0x56; ip -6 route show proto 0x56")?;
    let rules = host.shell("ip -details rule show")?;
    let routes = routes.lines().map(|line| {
        let line = line.replace(" proto 86", "");
        line.replace(" metric 1024 pref medium", "")
    });
    let rules = rules.lines().filter(|line| line.ends_with("proto 86"));
    let rules = rules.filter_map(|line| {
        let (_, rule) = line.split_once(":\t")?;
        Some(rule.replace(" proto 86", ""))
    });
    let all = routes.chain(rules).map(|line| line.trim().to_owned());
    Ok(all.filter(|line| !line.is_empty()).collect())
}

/// Waits until the daemon logs `text`.
fn said(daemon: &Vrrpd<'_>, since: Moment, text: &str) -> Result<()> {
    let is_it = |line: &Line| line.at > since && line.text.contains(text);
    let line = daemon.process().output().wait_for(is_it, SOON);
    line.map(drop)
        .ok_or_else(|| Error::new(format!("waiting for {text:?}"), daemon.process().log()))
}
