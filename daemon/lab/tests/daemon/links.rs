//! Interfaces that disappear, go down or lose their carrier, and recover.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Line, Moment, Result};
use vrrp_proto::State::{Backup, Fault, Init, Master};

use crate::common::{LATE, SOON, VIP, instance, only, with};
use crate::pair::{HIGH, LOW, Pair};

pub(crate) fn an_interface_set_down_is_a_fault_and_recovers() -> Outcome {
    falls_and_recovers(
        "interface ens33 is down",
        |pair| pair.a.host.set_link("ens33", false),
        |pair| pair.a.host.set_link("ens33", true),
    )
}

pub(crate) fn a_pulled_cable_is_a_fault_and_recovers() -> Outcome {
    falls_and_recovers(
        "interface ens33 has no carrier",
        |pair| pair.a.cable.pull(),
        |pair| pair.a.cable.plug(),
    )
}

pub(crate) fn a_renamed_interface_is_a_fault_and_recovers() -> Outcome {
    falls_and_recovers(
        "interface ens33 does not exist",
        |pair| {
            let rename = "ip link set ens33 down && ip link set ens33 name other \
                          && ip link set other up";
            pair.a.host.shell(rename).map(drop)
        },
        |pair| {
            let rename = "ip link set other down && ip link set other name ens33 \
                          && ip link set ens33 up";
            pair.a.host.shell(rename).map(drop)
        },
    )
}

pub(crate) fn an_alternative_name_is_a_fault_with_the_name() -> Outcome {
    falls_and_recovers(
        "ens33 is an alternative name (altname) of the interface other: configure other",
        |pair| {
            let rename = "ip link set ens33 down && ip link set ens33 name other \
                          && ip link property add dev other altname ens33 && ip link set other up";
            pair.a.host.shell(rename).map(drop)
        },
        |pair| {
            let rename = "ip link set other down && ip link property del dev other altname ens33 \
                          && ip link set other name ens33 && ip link set ens33 up";
            pair.a.host.shell(rename).map(drop)
        },
    )
}

pub(crate) fn a_port_of_a_bridge_is_a_fault_and_recovers() -> Outcome {
    falls_and_recovers(
        "interface ens33 is a port of br0, which receives its packets: configure br0 instead",
        |pair| {
            let enslave = "ip link add br0 type bridge && ip link set br0 up \
                           && ip link set ens33 master br0";
            pair.a.host.shell(enslave).map(drop)
        },
        |pair| pair.a.host.shell("ip link set ens33 nomaster").map(drop),
    )
}

pub(crate) fn an_interface_without_an_own_address_is_a_fault_and_recovers() -> Outcome {
    falls_and_recovers(
        "interface ens33 has no non-virtual IPv4 address to send from",
        |pair| pair.a.host.delete_address("ens33", pair.a.address.into()),
        |pair| pair.a.host.add_address("ens33", pair.a.address.into(), 24),
    )
}

pub(crate) fn missing_interface_is_fault_until_created() -> Outcome {
    let host = Host::new("a")?;
    let there = only(with(
        instance(HIGH),
        json!({ "interface": "vex0", "virtualAddresses": ["192.168.198.100/24"] }),
    ));
    let vip = "192.168.198.100".parse()?;
    let daemon = Vrrpd::start(&host, &there)?;
    let line = daemon.wait_for("VI_1", Init, Fault, Moment::default(), SOON)?;
    assert!(
        line.text.ends_with(": interface vex0 does not exist"),
        "{}",
        line.text
    );
    for _ in 0..2 {
        assert_eq!(
            &*daemon.instance("VI_1")?.cause,
            "interface vex0 does not exist"
        );
        let made = Moment::now();
        host.shell("ip link add vex0 type veth peer name vex1 && ip link set vex1 up")?;
        host.shell("ip link set vex0 up && ip address add 192.168.198.11/24 dev vex0")?;
        daemon.wait_for("VI_1", Fault, Backup, made, SOON)?;
        daemon.wait_for("VI_1", Backup, Master, made, SOON)?;
        assert!(host.holds(vip)?);
        host.shell("ip link delete vex0")?;
        daemon.wait_for("VI_1", Master, Fault, made, SOON)?;
        // The order of the kernel's events varies, but the final cause is the missing interface.
        daemon.process().output();
        daemon.wait_for_state("VI_1", Fault, SOON)?;
    }
    assert!(daemon.stop()?.success());
    Ok(())
}

/// Three absences: an address that is replaced, as network scripts do, a link set down and up, and a cable
/// pulled for a moment. None causes a transition, and the addresses are restored and announced.
pub(crate) fn short_absence_of_address_or_link_causes_no_transition() -> Outcome {
    let pair = Pair::new()?;
    // A grace period of 500 ms, long enough for the test to observe its start.
    let slowly = |priority| only(with(instance(priority), json!({ "advertInterval": "1s" })));
    let (a, b) = pair.start_with(&slowly(HIGH), &slowly(LOW))?;
    let own = pair.a.address;
    let replace = format!("ip address del {own}/24 dev ens33; ip address add {own}/24 dev ens33");
    let flicker = "ip link set ens33 down; ip link set ens33 up";
    let absences: [&dyn Fn() -> Result<()>; 3] = [
        &|| pair.a.host.shell(&replace).map(drop),
        &|| pair.a.host.shell(flicker).map(drop),
        &|| {
            pair.a.cable.pull()?;
            // The kernel reports the carrier from a work queue, so a carrier that is restored before the
            // queue runs was never lost.
            let pulled = Moment::now();
            while a.instance("VI_1")?.fault_in.is_none() {
                assert!(pulled.elapsed() < SOON, "{}", a.process().log());
            }
            pair.a.cable.plug()
        },
    ];
    for absence in absences {
        let begun = Moment::now();
        absence()?;
        let is_over = |line: &Line| {
            line.at > begun && line.text.contains("VI_1: short interruption, no fault: ")
        };
        let over = a.process().output().wait_for(is_over, SOON);
        assert!(over.is_some(), "{}", a.process().log());
        pair.lan.announcement(VIP, begun)?;
        assert!(
            pair.a.host.holds(VIP)?,
            "the virtual address was not restored"
        );
        pair.lan.pass(&pair.a, 2)?;
    }
    let master = a.instance("VI_1")?;
    assert_eq!((master.state, master.counters.became_master), (Master, 1));
    assert_eq!(master.counters.interruptions, 3);
    let backup = b.instance("VI_1")?;
    assert_eq!((backup.state, backup.counters.became_master), (Backup, 0));
    Ok(())
}

/// The hosts advertise over a direct cable, and the address is on another interface. The master serves while
/// the cable has no carrier, and leads when it has one again; the loss of the other interface is a fault.
pub(crate) fn untracked_heartbeat_cable_without_carrier_is_no_fault() -> Outcome {
    let pair = Pair::new()?;
    for station in [&pair.a, &pair.b] {
        station.host.shell(
            "ip link add wan type veth peer name naw && ip link set wan up && ip link set naw up",
        )?;
    }
    let address = json!({ "address": "198.51.100.100/24", "device": "wan" });
    let settings = json!({ "trackInterface": false, "virtualAddresses": [address] });
    let of = |priority| only(with(instance(priority), settings.clone()));
    let (a, b) = pair.start_with(&of(HIGH), &of(LOW))?;
    let pulled = Moment::now();
    pair.a.cable.pull()?;
    let why = "interface ens33 has no carrier";
    let is_told = |line: &Line| {
        line.text
            .contains(&format!("VI_1: {why}: no advertisements"))
    };
    assert!(a.process().output().wait_for(is_told, SOON).is_some());
    b.wait_for("VI_1", Backup, Master, pulled, SOON)?;
    let status = a.instance("VI_1")?;
    assert_eq!(status.state, Master);
    assert_eq!(status.without_link.as_deref(), Some(why));
    assert!(pair.a.host.holds("198.51.100.100".parse()?)?);
    let plugged = Moment::now();
    pair.a.cable.plug()?;
    b.wait_for("VI_1", Master, Backup, plugged, SOON)?;
    let status = a.instance("VI_1")?;
    assert_eq!((status.state, status.counters.became_master), (Master, 1));
    assert_eq!(status.without_link, None);
    let cut = Moment::now();
    pair.a.host.set_link("naw", false)?;
    a.wait_for("VI_1", Master, Fault, cut, SOON)?;
    assert_eq!(current_reason(&a)?, "interface wan has no carrier");
    Ok(())
}

/// A process that has reached its limit of open files gets no socket for an interface that appears.
pub(crate) fn rejected_socket_is_fault_until_it_opens() -> Outcome {
    let host = Host::new("a")?;
    let there = only(with(
        instance(HIGH),
        json!({ "interface": "vex0", "virtualAddresses": ["192.168.198.100/24"] }),
    ));
    let daemon = Vrrpd::start(&host, &there)?;
    // An answer shows that the start is over, which needs further descriptors.
    assert_eq!(daemon.instance("VI_1")?.state, Fault);
    let pid = daemon.process().pid();
    let limit = |files: &str| {
        let mut set = Command::new("prlimit");
        set.args(["--pid", &pid.to_string(), &format!("--nofile={files}:")]);
        let status = set.status().map(|status| status.success());
        assert!(matches!(status, Ok(true)), "{set:?}: {status:?}");
    };
    // No status is read before the limit is raised: it would need a descriptor too.
    let descriptor = |number: &u32| PathBuf::from(format!("/proc/{pid}/fd/{number}"));
    let next = || (0..).find(|number| fs::symlink_metadata(descriptor(number)).is_err());
    let mut lowest = u32::MAX;
    // A descriptor of the start may close after the look, and leave room for the socket.
    while let Some(free) = next().filter(|free| *free < lowest) {
        limit(&free.to_string());
        lowest = free;
        thread::sleep(Duration::from_millis(300));
    }
    let made = Moment::now();
    host.shell("ip link add vex0 type veth peer name vex1 && ip link set vex1 up")?;
    host.shell("ip link set vex0 up && ip address add 192.168.198.11/24 dev vex0")?;
    let line = daemon.wait_for("VI_1", Backup, Fault, made, SOON)?;
    let reason = ": advertisements on interface vex0 cannot be received: Too many open files";
    assert!(line.text.contains(reason), "{}", line.text);
    limit("1024");
    daemon.wait_for("VI_1", Fault, Backup, line.at, SOON)?;
    daemon.wait_for("VI_1", Backup, Master, line.at, SOON)?;
    Ok(())
}

/// An administrator deletes an interface and creates it again with another index: its router becomes master
/// there and was never in fault.
pub(crate) fn interface_recreated_within_grace_causes_no_transition() -> Outcome {
    let host = Host::new("a")?;
    let make = "ip link add vex0 type veth peer name vex1 && ip link set vex1 up \
                && ip link set vex0 up && ip address add 192.168.198.11/24 dev vex0";
    host.shell(make)?;
    let there = json!({
        "interface": "vex0",
        "virtualAddresses": ["192.168.198.100/24"],
        "advertInterval": "1s",
    });
    let daemon = Vrrpd::start(&host, &only(with(instance(HIGH), there)))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    host.shell(&format!("ip link delete vex0 && {make}"))?;
    let is_over = |line: &Line| {
        line.text
            .contains("VI_1: short interruption, no fault: interface vex0 ")
    };
    let over = daemon.process().output().wait_for(is_over, SOON);
    assert!(over.is_some(), "{}", daemon.process().log());
    let before = daemon.instance("VI_1")?;
    assert_eq!((before.state, before.counters.became_master), (Master, 1));
    assert!(
        host.holds("192.168.198.100".parse()?)?,
        "the virtual address is not on the new interface"
    );
    let speaks = Moment::now();
    while daemon.instance("VI_1")?.counters.adverts_sent <= before.counters.adverts_sent + 1 {
        assert!(speaks.elapsed() < SOON, "{}", daemon.process().log());
    }
    assert!(daemon.stop()?.success());
    Ok(())
}

/// Asserts the course of a fault with this reason on the master of a pair, and of its recovery.
fn falls_and_recovers(
    reason: &str,
    fall: impl Fn(&Pair) -> Result<()>,
    recover: impl Fn(&Pair) -> Result<()>,
) -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let fell = Moment::now();
    fall(&pair)?;
    a.wait_for("VI_1", Master, Fault, fell, SOON)?;
    b.wait_for("VI_1", Backup, Master, fell, SOON)?;
    let status = a.instance("VI_1")?;
    assert_eq!(status.state, Fault);
    assert_eq!(current_reason(&a)?, reason);
    assert!(
        !pair.a.host.holds(VIP)?,
        "the master in fault still holds the address"
    );

    pair.lan.pass(&pair.b, 3)?;
    let recovered = Moment::now();
    recover(&pair)?;
    let line = a.wait_for("VI_1", Fault, Backup, recovered, SOON)?.text;
    assert!(
        line.contains(": recovered from: interface ens33 "),
        "{line}"
    );
    a.wait_for("VI_1", Backup, Master, recovered, SOON)?;
    let yielded = b.wait_for("VI_1", Master, Backup, recovered, SOON)?;
    let first = pair.lan.advert_of(&pair.a, recovered)?;
    assert_eq!(first.priority, HIGH);
    assert!(yielded.at.since(first.at) < LATE);
    pair.b.address_event(VIP, false, recovered)?;
    pair.a.address_event(VIP, true, recovered)?;
    let status = b.instance("VI_1")?;
    assert_eq!(status.priority.effective.get(), LOW);
    assert_eq!(status.counters.dropped.total(), 0);
    Ok(())
}

/// Reads the reason of a fault from the status.
fn current_reason(daemon: &Vrrpd<'_>) -> Result<String> {
    Ok(daemon.instance("VI_1")?.cause.to_string())
}
