//! Virtual MAC addresses: neighbour tables of other hosts, and the macvlans that have the addresses.

mod fixture;

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Result, Segment, Signal};
use vrrp_proto::Family::{self, V4, V6};
use vrrp_proto::MacAddress;
use vrrp_proto::State::{Backup, Master};

use self::fixture::{
    Fixture, Learning, add_ipv6, arp, device, devices, is_reached, is_vrrp, mac, own, reaches,
    router, until, vip,
};
use crate::common::{
    INTERVAL, LATE, Lan, SOON, Station, VIP, assert_rhythm, assert_waited, config, down_interval,
    instance, only, set, setting, skew, with,
};
use crate::pair::{HIGH, LOW};

// --- Neighbour tables of other hosts -----------------------------------------------------------

// RFC 9568 8.1.2 MUST: answer ARP requests with the virtual router MAC address
pub(crate) fn takeover_changes_no_ipv4_neighbour_entry() -> Outcome {
    assert_no_neighbour_entry_changes(&[V4])
}

// RFC 9568 8.2.2 MUST: answer solicitations with the virtual router MAC address
pub(crate) fn takeover_changes_no_ipv6_neighbour_entry() -> Outcome {
    assert_no_neighbour_entry_changes(&[V6])
}

pub(crate) fn takeover_changes_no_neighbour_entry_of_both_families() -> Outcome {
    assert_no_neighbour_entry_changes(&Family::ALL)
}

fn assert_no_neighbour_entry_changes(families: &[Family]) -> Outcome {
    let fixture = Fixture::new()?;
    let client = fixture.station("c", 13)?;
    let learns = Learning::of(&client.host)?;
    let (a, b) = fixture.start(router(HIGH, families), router(LOW, families))?;
    let reached = || -> Outcome {
        for family in families {
            assert!(is_reached(&client.host, vip(*family)), "{family:?}");
            let known = client.host.neighbour(vip(*family))?;
            assert_eq!(known, Some(mac(*family, 51)), "{family:?}");
        }
        Ok(())
    };
    reached()?;

    // The power fails between two advertisements, so that the last one is delivered.
    fixture.at_a.advert(Moment::now())?;
    let died = Moment::now();
    fixture.a.host.power_off()?;
    let takeover = fixture.at_b.advert(died)?;
    let last = fixture.at_a.adverts(Moment::default()).pop();
    let last = last.ok_or("the master never advertised")?;
    assert_waited(last.at, takeover.at, down_interval(LOW, INTERVAL));
    b.wait_for("VI_1", Backup, Master, died, SOON)?;
    reached()?;
    drop(a);

    // The former master returns.
    fixture.a.host.power_on()?;
    add_ipv6(&fixture.a)?;
    let back = Moment::now();
    let a = Vrrpd::start(&fixture.a.host, &only(router(HIGH, families)))?;
    a.wait_for("VI_1", Backup, Master, back, SOON)?;
    b.wait_for("VI_1", Master, Backup, back, SOON)?;
    reached()?;

    // The master stops in order.
    let stopped = Moment::now();
    a.stop()?;
    let resigned = fixture.at_a.resignation(stopped)?;
    let takeover = fixture.at_b.advert(resigned.at)?;
    assert_waited(resigned.at, takeover.at, skew(LOW, INTERVAL));
    reached()?;

    for family in families {
        learns.assert_never_another(vip(*family), mac(*family, 51));
    }
    fixture.assert_mappings(families)
}

// RFC 9568 8.1.2 MUST NOT: answer ARP requests with the physical MAC address
// RFC 9568 8.1.2 SHOULD NOT: send ARP of the physical MAC address for an owned address
// RFC 9568 8.2.2 MUST NOT: answer solicitations with the physical MAC address
// RFC 9568 8.2.2 MUST: a solicitation's source option is the virtual router MAC address
// RFC 9568 8.2.2 MUST NOT: a solicitation's source option is the physical MAC address
// RFC 9568 8.2.2 SHOULD NOT: send neighbour discovery of the physical MAC address for an owned address
pub(crate) fn virtual_address_is_never_at_physical_mac() -> Outcome {
    let fixture = Fixture::new()?;
    let clients = [fixture.station("c", 13)?, fixture.station("d", 14)?];
    let (a, _b) = fixture.start(router(HIGH, &Family::ALL), router(LOW, &Family::ALL))?;
    for family in Family::ALL {
        let [c, d] = clients.each_ref().map(|client| own(client, family));
        // The first client sends ARP requests to the master, and the master sends some to both clients,
        // from each of its addresses.
        assert!(is_reached(&clients[0].host, vip(family)));
        for from in [vip(family), own(&fixture.a, family)] {
            for to in [c, d] {
                fixture.a.host.shell("ip neigh flush all")?;
                assert!(reaches(&fixture.a.host, from, to), "{from} reaches {to}");
            }
        }
        // The client also learns the master's own address with its physical MAC address.
        let physical = fixture.a.host.mac("ens33")?;
        assert_eq!(
            clients[1].host.neighbour(own(&fixture.a, family))?,
            Some(physical)
        );
    }
    assert!(is_reached(&clients[1].host, vip(V6)));
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    fixture.assert_mappings(&Family::ALL)
}

// RFC 9568 7.2 MUST: send from the virtual router MAC address
pub(crate) fn advertisements_use_configured_source_mac() -> Outcome {
    for send_from in ["virtual", "base"] {
        let fixture = Fixture::new()?;
        let config = json!({ "virtualMac": { "sendFrom": send_from } });
        let configured = |priority| with(router(priority, &Family::ALL), config.clone());
        let (a, _b) = fixture.start(configured(HIGH), configured(LOW))?;
        a.stop()?;
        fixture.at_a.resignation(Moment::default())?;
        let adverts = fixture.at_a.adverts(Moment::default());
        for family in Family::ALL {
            let expected = match send_from {
                "base" => fixture.a.host.mac("ens33")?,
                _ => mac(family, 51),
            };
            let mut sources = adverts.iter().filter(|advert| advert.family == family);
            assert!(sources.clone().count() >= 3, "{adverts:#?}");
            let other = sources.find(|advert| advert.from != expected);
            assert_eq!(other, None, "{send_from}");
        }
        fixture.assert_mappings(&Family::ALL)?;
    }
    Ok(())
}

pub(crate) fn backup_neither_sends_from_macvlan_nor_holds_addresses() -> Outcome {
    let fixture = Fixture::new()?;
    let client = fixture.station("c", 13)?;
    let (_a, b) = fixture.start(router(HIGH, &Family::ALL), router(LOW, &Family::ALL))?;
    for family in Family::ALL {
        assert!(is_reached(&client.host, vip(family)));
        assert!(is_reached(&client.host, own(&fixture.b, family)));
        assert!(reaches(
            &fixture.b.host,
            own(&fixture.b, family),
            own(&client, family)
        ));
        assert!(
            is_reached(&fixture.b.host, vip(family)),
            "host b reaches the virtual address as any host does"
        );
        let name = device(family);
        assert_eq!(fixture.b.host.addresses(name)?, []);
        assert!(!fixture.b.host.is_running(name)?);
    }
    let mut last = fixture.at_a.advert(Moment::now())?;
    for _ in 0..6 {
        last = fixture.at_a.advert(last.at)?;
    }
    let virtual_macs = Family::ALL.map(|family| mac(family, 51));
    let sent = fixture.at_b.sent();
    assert!(!sent.is_empty());
    let from_it = sent
        .iter()
        .find(|frame| virtual_macs.contains(&frame.source()));
    assert_eq!(from_it, None);
    assert_eq!(b.instance("VI_1")?.state, Backup);
    Ok(())
}

pub(crate) fn final_advertisement_is_the_last_frame_from_the_virtual_mac() -> Outcome {
    const MIDDLE: u8 = 150;
    let fixture = Fixture::new()?;
    let client = fixture.station("c", 13)?;
    let of = |priority| only(router(priority, &Family::ALL));
    let (a, b) = fixture.start(router(MIDDLE, &Family::ALL), router(LOW, &Family::ALL))?;
    for round in 0..5 {
        let (daemons, captures) = ([&a, &b], [&fixture.at_a, &fixture.at_b]);
        for (winner, loser, priority) in [(1, 0, HIGH), (0, 1, LOW)] {
            let told = Moment::now();
            b.reload(&of(priority))?;
            daemons[loser].wait_for("VI_1", Master, Backup, told, SOON)?;
            captures[winner].advert(told)?;
            let lasts = Family::ALL.map(|family| mac(family, 51));
            fixture.assert_silent_after(captures[loser], captures[winner], told, &lasts)?;
            let name = device(V6);
            let loser = [&fixture.a, &fixture.b][loser];
            until("its interface is down", || {
                Ok(!loser.host.is_running(name)?)
            })?;
            assert_eq!(loser.host.addresses(name)?, [], "round {round}");
        }
    }
    // An interface that is recalled before the device reaper has set it down serves again.
    for priority in [HIGH, LOW] {
        b.reload(&of(priority))?;
        fixture.at_a.advert(Moment::now())?;
    }
    a.wait_for_state("VI_1", Master, SOON)?;
    for family in Family::ALL {
        assert!(is_reached(&client.host, vip(family)), "{family:?}");
    }
    Ok(())
}

pub(crate) fn stop_and_cleanup_send_nothing_from_the_virtual_macs() -> Outcome {
    // The kernel takes 20 ms to delete each of them, and reports over MLD 10 ms after the deletion of its
    // address.
    let vrids = 60..70_u8;
    let names = |vrid| format!("VI_{vrid}");
    let several = |priority| {
        let own = |vrid| {
            json!({
                "virtualRouterId": vrid,
                "virtualAddresses": [format!("2001:db8:0:e0::{vrid}/64")],
            })
        };
        let all = vrids.clone().map(|vrid| {
            let router = with(router(priority, &[V6]), own(vrid));
            (names(vrid), router)
        });
        config(all.collect())
    };
    let fixture = Fixture::new()?;
    let macs: Vec<_> = vrids.clone().map(|vrid| mac(V6, vrid)).collect();
    let a = Vrrpd::start(&fixture.a.host, &several(HIGH))?;
    for vrid in vrids.clone() {
        a.wait_for_state(&names(vrid), Master, SOON)?;
    }
    let told = Moment::now();
    assert!(a.stop()?.success());
    // Until then it serves: there is no successor.
    let is_release = |line: &str| line.contains(": addresses released ");
    let released = a.process().wait_for_line(is_release, SOON)?.at;
    let b = Vrrpd::start(&fixture.b.host, &several(LOW))?;
    for vrid in vrids.clone() {
        b.wait_for_state(&names(vrid), Master, SOON)?;
    }
    let sent = fixture.at_a.sent();
    for mac in &macs {
        let from_it = || sent.iter().filter(|frame| frame.source() == *mac);
        let has_resigned = from_it().any(|frame| frame.at > told && is_vrrp(frame));
        assert!(has_resigned, "no final advertisement from {mac:x?}");
        let late = from_it().find(|frame| frame.at > released);
        assert!(late.is_none(), "after the release: {late:x?}");
    }

    b.process().kill(Signal::SIGKILL)?;
    b.process().wait(SOON)?;
    let begun = Moment::now();
    clean_up(&fixture.b.host)?;
    assert_eq!(devices(&fixture.b.host)?, [""; 0]);
    let a = Vrrpd::start(&fixture.a.host, &several(HIGH))?;
    for vrid in vrids {
        a.wait_for_state(&names(vrid), Master, SOON)?;
    }
    let sent = fixture.at_b.sent();
    let late = sent
        .iter()
        .find(|frame| frame.at > begun && macs.contains(&frame.source()));
    assert_eq!(late, None);
    Ok(())
}

// RFC 9568 6.4.2 MUST: discard frames to the virtual router MAC address
// RFC 9568 6.4.3 MUST: forward frames to the virtual router MAC address
pub(crate) fn only_master_forwards_frames_to_virtual_mac() -> Outcome {
    let lan = Lan::new()?;
    let gateway = lan.station("r", 11)?;
    let client = lan.station("c", 13)?;
    let far = Segment::new("far")?;
    let server = Host::new("s")?;
    let _cables = [
        far.attach(&gateway.host, "ens37", "10.9.9.1/24")?,
        far.attach(&server, "ens33", "10.9.9.2/24")?,
    ];
    set(&gateway.host, "ipv4/ip_forward", "1")?;
    server.shell("ip route add default via 10.9.9.1")?;
    // The switch floods frames to the virtual MAC address, and the client has a static neighbour entry with
    // it.
    let there = MacAddress(mac(V4, 51));
    client.host.shell(&format!(
        "ip neigh add {VIP} lladdr {there} dev ens33 nud permanent && \
         ip route add 10.9.9.0/24 via {VIP}"
    ))?;
    let server = "10.9.9.2".parse()?;
    let slow = with(
        router(LOW, &[V4]),
        json!({ "advertInterval": 1, "state": "backup" }),
    );
    let daemon = Vrrpd::start(&gateway.host, &only(slow.clone()))?;
    assert!(
        !is_reached(&client.host, server),
        "a backup does not forward"
    );
    assert_eq!(daemon.instance("VI_1")?.state, Backup);
    daemon.wait_for_state("VI_1", Master, SOON)?;
    assert!(is_reached(&client.host, server), "the master forwards");
    assert!(is_reached(&client.host, VIP));
    Ok(())
}

// --- The macvlans ------------------------------------------------------------------------------

pub(crate) fn changed_macvlan_is_restored_without_transition() -> Outcome {
    let fixture = Fixture::new()?;
    let client = fixture.station("c", 13)?;
    let (a, b) = fixture.start(router(HIGH, &Family::ALL), router(LOW, &Family::ALL))?;
    let from = fixture.at_a.advert(Moment::now())?.at;
    for family in Family::ALL {
        let (name, vip) = (device(family), vip(family));
        for harm in [
            format!("ip link delete {name}"),
            format!("ip link set {name} down"),
            format!("ip link set {name} address 02:00:00:00:00:09"),
            format!(
                "ip address del {vip}/{} dev {name}",
                if family == V4 { 24 } else { 64 }
            ),
        ] {
            fixture.a.host.shell(&harm)?;
            until(&harm, || {
                let host = &fixture.a.host;
                let is_there = host.is_running(name).is_ok_and(|running| running)
                    && host.mac(name).is_ok_and(|there| there == mac(family, 51))
                    && host
                        .addresses(name)?
                        .iter()
                        .any(|(address, _)| *address == vip);
                Ok(is_there)
            })?;
            // The client's neighbour entry is unchanged, and the address answers.
            assert!(is_reached(&client.host, vip), "after {harm}");
            assert_eq!(
                client.host.neighbour(vip)?,
                Some(mac(family, 51)),
                "after {harm}"
            );
        }
        // On a backup the macvlan is set down again.
        fixture.b.host.shell(&format!("ip link set {name} up"))?;
        until("the backup's macvlan is down", || {
            Ok(!fixture.b.host.is_running(name)?)
        })?;
    }
    set(&fixture.a.host, "ipv4/conf/ens33/arp_ignore", "0")?;
    let mut last = fixture.at_a.advert(Moment::now())?;
    for _ in 0..6 {
        last = fixture.at_a.advert(last.at)?;
    }
    for family in Family::ALL {
        let adverts = fixture.lan.adverts_of(&fixture.a, 51, from);
        assert_rhythm(&adverts, INTERVAL);
        let of_b = fixture.at_b.adverts(from);
        assert_eq!(of_b, [], "{family:?}");
    }
    // The kernel does not report changed settings; they are looked at every ten seconds.
    let is_said = |line: &str| {
        line.contains(
            "another program set arp_ignore of ens33 to 0: set to 1 again, which the virtual MAC",
        )
    };
    a.process()
        .wait_for_line(is_said, SOON + Duration::from_secs(10))?;
    assert_eq!(setting(&fixture.a.host, "ipv4/conf/ens33/arp_ignore")?, "1");
    let (a, b) = (a.instance("VI_1")?, b.instance("VI_1")?);
    assert_eq!((a.counters.became_master, b.counters.became_master), (1, 0));
    Ok(())
}

pub(crate) fn rejected_macvlan_is_logged_and_retried_every_second() -> Outcome {
    let name = device(V4);
    for (stranger, complaint) in [
        (
            format!("link add {name} link ens33 address 02:00:00:00:00:09 type macvlan"),
            "vrrpd did not make that interface: rename or delete it",
        ),
        (
            "link add keepalived link ens33 address 00:00:5e:00:01:33 up type macvlan".to_owned(),
            "another interface with this MAC address is up: is a second VRRP daemon running?",
        ),
    ] {
        let lan = Lan::new()?;
        let a = lan.station("a", 11)?;
        a.host.shell(&format!("ip {stranger}"))?;
        let theirs = stranger.split(' ').nth(2).ok_or("no name")?;
        let looks = || -> Result<_> { Ok((a.host.mac(theirs)?, a.host.is_running(theirs)?)) };
        let before = looks()?;
        let daemon = Vrrpd::start(&a.host, &only(router(HIGH, &[V4])))?;
        daemon.wait_for_state("VI_1", Master, SOON)?;
        let first = lan.advert_of(&a, Moment::now())?;
        let busy = || processor_time(daemon.process().pid()).ok_or("no such process");
        let before_that = busy()?;
        let last = lan.pass(&a, 30)?;
        let spent = busy()? - before_that;
        assert!(spent < last.at.since(first.at) / 20, "{spent:?}");
        let said = daemon.process().output().entries();
        let complaints = said.iter().filter(|line| line.text.contains(complaint));
        assert_eq!(complaints.count(), 1, "{}", daemon.process().log());
        assert_eq!(
            looks()?,
            before,
            "the other program's interface is unchanged"
        );

        // After its deletion the daemon creates its own.
        a.host.shell(&format!("ip link delete {theirs}"))?;
        until("the daemon's macvlan is up with the address", || {
            let held = a.host.addresses(name)?;
            Ok(a.host.is_running(name)? && held.iter().any(|(held, _)| *held == VIP))
        })?;
        assert_eq!(a.host.mac(name)?, mac(V4, 51));
        assert!(daemon.stop()?.success());
        assert_eq!(devices(&a.host)?, [""; 0]);
    }
    Ok(())
}

/// Processor time of a process, by /proc/PID/schedstat: the first number is nanoseconds of the main thread,
/// which runs the node.
fn processor_time(pid: u32) -> Option<Duration> {
    let said = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let nanoseconds = said.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

pub(crate) fn reload_enables_and_disables_virtual_mac() -> Outcome {
    let fixture = Fixture::new()?;
    let client = fixture.station("c", 13)?;
    let without = |priority| {
        with(
            router(priority, &Family::ALL),
            json!({ "virtualMac": false }),
        )
    };
    let (a, _b) = fixture.start(without(HIGH), without(LOW))?;
    let physical = fixture.a.host.mac("ens33")?;
    let from = fixture.at_a.advert(Moment::now())?.at;
    for round in 0..2 {
        let mut reloaded = Moment::now();
        a.reload(&only(router(HIGH, &Family::ALL)))?;
        for family in Family::ALL {
            let at = (vip(family), device(family), mac(family, 51));
            assert_moves(&fixture, &client, at, reloaded)?;
        }
        assert_eq!(arp(&fixture.a)?, ["1", "2"], "round {round}");
        reloaded = Moment::now();
        a.reload(&only(without(HIGH)))?;
        for family in Family::ALL {
            let at = (vip(family), "ens33", physical);
            assert_moves(&fixture, &client, at, reloaded)?;
        }
        until("the macvlans are deleted", || {
            Ok(devices(&fixture.a.host)?.is_empty())
        })?;
        until("arp_ignore and arp_announce are restored", || {
            Ok(arp(&fixture.a)? == ["0", "0"])
        })?;
    }
    let mut last = fixture.at_a.advert(Moment::now())?;
    for _ in 0..6 {
        last = fixture.at_a.advert(last.at)?;
    }
    assert_rhythm(&fixture.lan.adverts_of(&fixture.a, 51, from), INTERVAL);
    assert_eq!(fixture.at_b.adverts(from), []);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    Ok(())
}

/// Waits until the address is on this interface alone, advertisements are sent from it, and a client finds
/// the address there.
fn assert_moves(
    fixture: &Fixture,
    client: &Station,
    (vip, interface, mac): (IpAddr, &str, [u8; 6]),
    since: Moment,
) -> Outcome {
    until(&format!("{vip} is on {interface}"), || {
        let has = |name| -> Result<bool> {
            let held = fixture.a.host.addresses(name)?;
            Ok(held.iter().any(|(address, _)| *address == vip))
        };
        let elsewhere = match interface {
            "ens33" => false,
            _ => has("ens33")?,
        };
        Ok(has(interface)? && !elsewhere)
    })?;
    let advert = fixture.at_a.advert_where(since, |advert| {
        advert.from == mac && (advert.family == V4) == vip.is_ipv4()
    })?;
    assert!(advert.at.since(since) < INTERVAL + LATE);
    until(
        &format!("the client learns the MAC address of {vip}"),
        || {
            let reached = is_reached(&client.host, vip);
            Ok(reached && client.host.neighbour(vip)? == Some(mac))
        },
    )
}

pub(crate) fn macvlans_of_killed_daemon_are_adopted_or_deleted() -> Outcome {
    let fixture = Fixture::new()?;
    set(&fixture.a.host, "ipv4/conf/ens33/arp_ignore", "8")?;
    set(&fixture.a.host, "ipv4/conf/ens33/arp_announce", "1")?;
    let (a, b) = fixture.start(router(HIGH, &Family::ALL), router(LOW, &Family::ALL))?;
    let killed = Moment::now();
    a.process().kill(Signal::SIGKILL)?;
    a.process().wait(SOON)?;
    b.wait_for("VI_1", Backup, Master, killed, SOON)?;
    assert_eq!(devices(&fixture.a.host)?, Family::ALL.map(device));
    drop(a);

    // The next daemon adopts the macvlans.
    let again = Moment::now();
    let a = Vrrpd::start(&fixture.a.host, &only(router(HIGH, &Family::ALL)))?;
    a.wait_for("VI_1", Backup, Master, again, SOON)?;
    assert_eq!(arp(&fixture.a)?, ["1", "2"]);
    a.process().kill(Signal::SIGKILL)?;
    a.process().wait(SOON)?;

    let said = clean_up(&fixture.a.host)?;
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "removed 192.168.224.100/24 from vrrp4.51.ens33",
            "removed 2001:db8:0:e0::100/64 from vrrp6.51.ens33",
            "removed the interface vrrp4.51.ens33",
            "removed the interface vrrp6.51.ens33",
            "restored accept_local of ens33",
        ]
    );
    assert_eq!(devices(&fixture.a.host)?, [""; 0]);
    assert_eq!(arp(&fixture.a)?, ["8", "1"]);
    assert_eq!(clean_up(&fixture.a.host)?, "");
    Ok(())
}

pub(crate) fn stop_deletes_macvlans() -> Outcome {
    let fixture = Fixture::new()?;
    let (a, b) = fixture.start(router(HIGH, &Family::ALL), router(LOW, &Family::ALL))?;
    for (daemon, station) in [(a, &fixture.a), (b, &fixture.b)] {
        assert_eq!(arp(station)?, ["1", "2"]);
        assert!(daemon.stop()?.success());
        assert_eq!(devices(&station.host)?, [""; 0]);
        assert_eq!(arp(station)?, ["0", "0"]);
    }
    Ok(())
}

// Setting a macvlan down takes the kernel a while (synchronize_net). All of them together take several
// advertisement intervals of the router that remains.
pub(crate) fn handover_delays_no_advertisement_of_other_routers() -> Outcome {
    const STAYS: u8 = 99;
    const SHORT: Duration = Duration::from_millis(20);
    let names = |vrid: &u8| (format!("VI_{vrid}"), format!("vrrp4.{vrid}.ens33"));
    let many: Vec<_> = (1..=16).collect();
    let fixture = Fixture::new()?;
    let moving = |priority| {
        let of = move |vrid: &u8| {
            let address = format!("192.168.224.{}/24", 200 + vrid);
            let own = json!({ "virtualRouterId": vrid, "virtualAddresses": [address] });
            (names(vrid).0, with(router(priority, &[V4]), own))
        };
        many.iter().map(of)
    };
    let stays = with(
        instance(HIGH),
        json!({ "virtualRouterId": STAYS, "advertInterval": "20ms" }),
    );
    let ours = moving(LOW).chain([("stays".to_owned(), stays)]);
    let a = Vrrpd::start(&fixture.a.host, &config(ours.collect()))?;
    for (name, _) in many.iter().map(names) {
        a.wait_for_state(&name, Master, SOON)?;
    }
    a.wait_for_state("stays", Master, SOON)?;

    let begun = Moment::now();
    let b = Vrrpd::start(&fixture.b.host, &config(moving(HIGH).collect()))?;
    for (name, device) in many.iter().map(names) {
        a.wait_for(&name, Master, Backup, begun, SOON)?;
        b.wait_for_state(&name, Master, SOON)?;
        until("the macvlan is down", || {
            Ok(!fixture.a.host.is_running(&device)?)
        })?;
    }
    fixture.lan.pass(&fixture.a, 3)?;
    let adverts = fixture.lan.adverts_of(&fixture.a, STAYS, begun);
    let gaps = adverts
        .windows(2)
        .map(|pair| pair[1].at.since(pair[0].at))
        .max();
    assert!(
        gaps.is_some_and(|longest| longest < SHORT * 5),
        "gaps between two advertisements: {gaps:?}"
    );
    Ok(())
}
