//! Addresses that an administrator or another program adds and deletes.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{AddressEvent, Error, Line, Moment, Signal};
use vrrp_proto::State::{Backup, Fault, Master};
use vrrp_proto::wire::PROTOCOL;

use crate::common::{
    INTERVAL, LATE, Lan, SOON, VIP, assert_rhythm, instance, only, set, setting, vip, wait_until,
    with,
};
use crate::pair::{HIGH, LOW, Pair};

pub(crate) fn deleted_address_is_restored_without_transition() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    for time in 1..=3 {
        let deleted = Moment::now();
        pair.a.host.delete_address("ens33", VIP)?;
        let back = pair.a.address_event(VIP, true, deleted)?;
        assert!(
            back.since(deleted) < LATE,
            "restored after {:?}",
            back.since(deleted)
        );
        let announced = pair.lan.announcement(VIP, deleted)?;
        assert_eq!(announced.source(), pair.a.host.mac("ens33")?);
        assert!(announced.at.since(deleted) < LATE);
        a.process()
            .output()
            .wait_for(
                |line| {
                    line.at > deleted
                        && line.text.contains(
                            "VI_1: 192.168.224.100/24 was deleted by another program; restored and announced",
                        )
                },
                SOON,
            )
            .ok_or("no log line about the repair")?;
        assert_eq!(a.instance("VI_1")?.counters.repairs, time);
    }
    pair.lan.pass(&pair.a, 6)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    let (a, b) = (a.instance("VI_1")?, b.instance("VI_1")?);
    assert_eq!((a.counters.became_master, b.counters.became_master), (1, 0));
    assert!(pair.a.host.holds(VIP)? && !pair.b.host.holds(VIP)?);
    Ok(())
}

pub(crate) fn backup_deletes_address_added_by_hand() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    for (time, prefix) in [(1, 24), (2, 32)] {
        let added = Moment::now();
        pair.b.host.add_address("ens33", VIP, prefix)?;
        let gone = pair.b.address_event(VIP, false, added)?;
        assert!(
            gone.since(added) < LATE,
            "deleted after {:?}",
            gone.since(added)
        );
        b.process()
            .output()
            .wait_for(
                |line| {
                    line.at > added
                        && line.text.contains(&format!(
                            "VI_1: 192.168.224.100/{prefix} was added although this host is not \
                         master; deleted"
                        ))
                },
                SOON,
            )
            .ok_or_else(|| b.process().log())?;
        assert_eq!(b.instance("VI_1")?.counters.strays, time);
    }
    pair.lan.pass(&pair.a, 6)?;
    assert!(!pair.b.host.holds(VIP)?);
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    assert_eq!(a.instance("VI_1")?.counters.repairs, 0);
    Ok(())
}

/// The virtual addresses were first in their networks, so the kernel makes the host's own addresses
/// secondary ones. Without `promote_secondaries`, the kernel's default, it deletes those together with the
/// primary ones. A running daemon moves its addresses behind them, with that setting on for a moment.
pub(crate) fn own_addresses_outlive_virtual_ones_that_came_first() -> Outcome {
    let lan = Lan::new()?;
    let elsewhere = json!({ "address": "198.51.100.100/24", "device": "wan" });
    let addresses = json!({ "virtualAddresses": ["203.0.113.100/24", elsewhere] });
    let config = only(with(instance(HIGH), addresses));
    for is_killed in [false, true] {
        let a = lan.station(if is_killed { "b" } else { "a" }, 11)?;
        let (host, settings) = (&a.host, ["all", "ens33", "wan"]);
        host.shell(
            "ip link add wan type veth peer name naw && ip link set wan up && ip link set naw up",
        )?;
        for interface in settings {
            let setting = format!("ipv4/conf/{interface}/promote_secondaries");
            set(host, &setting, "0")?;
        }
        let daemon = Vrrpd::start(host, &config)?;
        daemon.wait_for_state("VI_1", Master, SOON)?;
        a.address_event("198.51.100.100".parse()?, true, Moment::default())?;
        if is_killed {
            daemon.process().kill(Signal::SIGKILL)?;
            daemon.process().wait(SOON)?;
        }
        host.add_address("ens33", "203.0.113.50".parse()?, 24)?;
        host.shell("ip address add 198.51.100.7/24 dev wan label wan:own broadcast + valid_lft 1000 preferred_lft 500")?;
        if is_killed {
            assert_eq!(
                clean_up(host)?,
                "removed 203.0.113.100/24 from ens33\nremoved 198.51.100.100/24 from wan\n\
                 restored accept_local of ens33\n"
            );
        } else {
            let is_behind =
                |name, address| format!("ip address show dev {name} secondary | grep -q {address}");
            wait_until(host, &is_behind("ens33", "203.0.113.100/24"))?;
            wait_until(host, &is_behind("wan", "198.51.100.100/24"))?;
            assert!(daemon.stop()?.success());
        }
        let show = host.shell("ip -o -4 address show scope global")?;
        let left: Vec<_> = show
            .lines()
            .filter_map(|line| line.split_whitespace().nth(3))
            .collect();
        assert_eq!(
            left,
            ["192.168.224.11/24", "203.0.113.50/24", "198.51.100.7/24"],
            "{show}"
        );
        assert!(
            show.contains("198.51.100.255 scope global dynamic wan:own"),
            "{show}"
        );
        assert!(!show.contains("secondary"), "{show}");
        for interface in settings {
            let setting_now = setting(host, &format!("ipv4/conf/{interface}/promote_secondaries"))?;
            assert_eq!(
                setting_now, "0",
                "promote_secondaries of {interface} as before"
            );
        }
    }
    Ok(())
}

/// A DHCP client or a network manager deletes the host's own address and adds another one a moment later.
/// The kernel deletes the virtual address together with the own one. If the virtual address came back
/// first, the next own address would be a secondary one.
pub(crate) fn changed_own_address_stays_primary() -> Outcome {
    const CHANGES: u8 = 180;
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    for interface in ["all", "ens33"] {
        set(
            &a.host,
            &format!("ipv4/conf/{interface}/promote_secondaries"),
            "0",
        )?;
    }
    // A grace period of 500 ms.
    let config = only(with(instance(HIGH), json!({ "advertInterval": "1s" })));
    let daemon = Vrrpd::start(&a.host, &config)?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    lan.announcement(VIP, Moment::default())?;
    let mut own = IpAddr::from(a.address);
    for change in 0..CHANGES {
        let next = if own == vip(12) { vip(11) } else { vip(12) };
        let changed = Moment::now();
        a.host.delete_address("ens33", own)?;
        // From 0 to 120 us, in which the daemon may read the notification.
        let pause = Duration::from_micros(u64::from(change % 13) * 10);
        let deleted = Instant::now();
        while deleted.elapsed() < pause {
            std::hint::spin_loop();
        }
        a.host.add_address("ens33", next, 24)?;
        a.address_event(VIP, true, changed)?;
        // Where the daemon reads the notifications separately, it restores the virtual address too early,
        // and retracts that.
        loop {
            let mut held = a.host.addresses("ens33")?;
            held.retain(|(address, _)| address.is_ipv4());
            if held == [(next, 24), (VIP, 24)] {
                break;
            }
            let log = daemon.process().log();
            assert!(changed.elapsed() < SOON, "change {change}: {held:?}\n{log}");
        }
        own = next;
    }
    let status = daemon.instance("VI_1")?;
    assert_eq!((status.state, status.counters.became_master), (Master, 1));
    let text = "VI_1: 192.168.224.100/24 was deleted by the kernel with its primary address \
                192.168.224.11/24; restored and announced";
    assert!(
        daemon.process().log().contains(text),
        "{}",
        daemon.process().log()
    );
    Ok(())
}

/// Another program deletes the address in a loop. It is restored each time; after the first five times it
/// is announced and reported at most once in 100 ms.
pub(crate) fn address_deleted_in_a_loop_is_restored_and_reported_at_a_bounded_rate() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let daemon = Vrrpd::start(&a.host, &only(instance(HIGH)))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    lan.settle(VIP)?;
    let begun = Moment::now();
    a.host.shell(
        "for n in $(seq 300); do ip address delete 192.168.224.100/24 dev ens33 2>/dev/null; done; true",
    )?;
    let spacings = begun.elapsed().as_millis() / 100;
    let omitted = |line: &Line| line.text.contains("more of these repairs or removals");
    let line = daemon.process().output().wait_for(omitted, SOON);
    assert!(line.is_some(), "{}", daemon.process().log());
    // The last one is announced 100 ms later at the latest.
    lan.announcement(VIP, begun)?;
    let status = daemon.instance("VI_1")?;
    assert_eq!((status.state, status.counters.became_master), (Master, 1));
    let most = u64::try_from(spacings)? + 7;
    assert!(
        status.counters.repairs > 2 * most,
        "{} repairs",
        status.counters.repairs
    );
    let announced = lan.announcements(VIP, begun).len();
    assert!(u64::try_from(announced)? <= most, "{announced} of {most}");
    let log = daemon.process().log();
    let lines = log.matches("restored and announced").count();
    assert!(u64::try_from(lines)? <= most, "{log}");
    assert!(a.host.holds(VIP)?);
    Ok(())
}

/// The kernel rejects an address. The log says that it is restored only when it is.
pub(crate) fn rejected_repair_is_logged_as_such() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let six: IpAddr = "2001:db8::100".parse()?;
    let hidden = json!({ "address": "2001:db8::100/64", "advertise": false });
    let addresses = json!({ "virtualAddresses": ["192.168.224.100/24", hidden] });
    let daemon = Vrrpd::start(&a.host, &only(with(instance(HIGH), addresses)))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    a.address_event(six, true, Moment::default())?;
    let logged = |since: Moment, text: &str| {
        let is_it = |line: &Line| line.at > since && line.text.contains(text);
        let line = daemon.process().output().wait_for(is_it, SOON);
        line.ok_or_else(|| Error::new(format!("waiting for {text:?}"), daemon.process().log()))
    };
    let disabled = Moment::now();
    set(&a.host, "ipv6/conf/ens33/disable_ipv6", "1")?;
    logged(
        disabled,
        "VI_1: 2001:db8::100/64 was missing; could not be restored",
    )?;
    let missing = daemon.instance("VI_1")?.missing;
    let [missing] = &missing[..] else {
        return Err(Error::new("missing addresses", format!("{missing:?}")).into());
    };
    assert_eq!(missing.address, "2001:db8::100/64".parse()?);
    let error = missing.error.as_deref().unwrap_or_default();
    assert!(error.contains("Permission denied"), "{error:?}");
    logged(disabled, "cannot add 2001:db8::100/64 to ")?;
    let done = "VI_1: 2001:db8::100/64 was missing; restored and announced";
    assert!(
        !daemon.process().log().contains(done),
        "{}",
        daemon.process().log()
    );
    let enabled = Moment::now();
    set(&a.host, "ipv6/conf/ens33/disable_ipv6", "0")?;
    logged(enabled, done)?;
    assert!(a.host.holds(six)?);
    lan.announcement(six, enabled)?;
    assert_eq!(daemon.instance("VI_1")?.counters.became_master, 1);
    Ok(())
}

/// The kernel rejects the only address of a master, because IPv6 is off: the other host takes over, and the
/// first one tries again when IPv6 is back, not before.
pub(crate) fn master_without_any_of_its_addresses_is_in_fault() -> Outcome {
    let pair = Pair::new()?;
    let six: IpAddr = "2001:db8::100".parse()?;
    let hidden = json!({ "address": "2001:db8::100/64", "advertise": false });
    // Version 2 advertises over IPv4.
    let settings = |priority| {
        let keys = json!({ "version": 2, "advertInterval": "1s", "virtualAddresses": [hidden] });
        only(with(instance(priority), keys))
    };
    let (a, b) = pair.start_with(&settings(HIGH), &settings(LOW))?;
    assert!(pair.a.host.holds(six)?);
    let disabled = Moment::now();
    set(&pair.a.host, "ipv6/conf/ens33/disable_ipv6", "1")?;
    a.wait_for("VI_1", Master, Fault, disabled, SOON)?;
    b.wait_for("VI_1", Backup, Master, disabled, SOON)?;
    assert!(pair.b.host.holds(six)?);
    let cause = a.instance("VI_1")?.cause;
    assert!(
        cause.starts_with("the kernel adds none of the virtual addresses: 2001:db8::100/64: "),
        "{cause}"
    );
    pair.lan.pass(&pair.b, 5)?;
    assert_eq!(a.instance("VI_1")?.state, Fault, "not by time");
    let enabled = Moment::now();
    set(&pair.a.host, "ipv6/conf/ens33/disable_ipv6", "0")?;
    a.wait_for("VI_1", Fault, Backup, enabled, SOON)?;
    a.wait_for("VI_1", Backup, Master, enabled, SOON)?;
    assert!(pair.a.host.holds(six)?);
    assert_eq!(a.instance("VI_1")?.missing, []);
    Ok(())
}

/// As in a cloud, where a program of `notify` moves the addresses.
pub(crate) fn pair_without_addresses_fails_over_and_back() -> Outcome {
    let pair = Pair::new()?;
    let without = |priority| {
        only(with(
            instance(priority),
            json!({ "virtualAddresses": [], "notify": { "any": ["/bin/true"] } }),
        ))
    };
    let (a, b) = pair.start_with(&without(HIGH), &without(LOW))?;
    let frames = pair.lan.frames.frames().entries();
    let sent = frames
        .iter()
        .find(|frame| frame.ip_protocol() == Some(PROTOCOL));
    let message = &sent.ok_or("no advertisement")?.payload()[20..];
    assert_eq!(message[3], 1, "count");
    assert_eq!(
        message[8..12],
        pair.a.address.octets(),
        "the source fills the list"
    );
    let stopped = Moment::now();
    assert_eq!(a.stop()?.code(), Some(0));
    b.wait_for("VI_1", Backup, Master, stopped, SOON)?;
    let a = Vrrpd::start(&pair.a.host, &without(HIGH))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    b.wait_for_state("VI_1", Backup, SOON)?;
    for daemon in [&a, &b] {
        let status = daemon.instance("VI_1")?;
        let counters = &status.counters;
        assert_eq!(
            (counters.dropped.total(), counters.address_list_differs),
            (0, 0)
        );
        assert!(
            status
                .others
                .iter()
                .all(|other| other.differences.is_empty())
        );
    }
    let foreign = |event: &AddressEvent| {
        event.address.is_ipv4()
            && event.interface == "ens33"
            && event.address != IpAddr::from(pair.a.address)
    };
    assert!(!pair.a.address_events().iter().any(foreign));
    Ok(())
}
