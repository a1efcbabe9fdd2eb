//! A master with `acceptMode = false`: forwarded and dropped packets, and the repair of the drop rules.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Result, Segment, Signal};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::{SOON, Station, VIP, instance, only, wait_until, with};
use crate::pair::{HIGH, LOW, Pair};

/// Time to wait for an answer where none is expected.
const PATIENCE: Duration = Duration::from_millis(500);

// RFC 9568 6.4.3 MUST NOT: accept packets to a virtual address otherwise
pub(crate) fn master_without_accept_mode_forwards_and_drops_local_packets() -> Outcome {
    let pair = Pair::new()?;
    // A network behind the master.
    let inside = Segment::new("inside")?;
    let _uplink = inside.attach(&pair.a.host, "ens34", "10.1.0.1/24")?;
    let server = Host::new("server")?;
    let _cable = inside.attach(&server, "ens33", "10.1.0.2/24")?;
    server.shell("ip route add default via 10.1.0.1")?;
    pair.a
        .host
        .shell("echo 1 > /proc/sys/net/ipv4/ip_forward")?;

    let (a, b) = pair.start_with(&refusing(HIGH), &refusing(LOW))?;
    let client = pair.lan.station("c", 13)?;
    client
        .host
        .shell("ip route add 10.1.0.0/24 via 192.168.224.100")?;
    // The server answers, through the virtual address as the next hop, so the master has to answer ARP
    // requests for it.
    assert!(takes(&client, "10.1.0.2".parse()?));
    assert!(drops(&client, VIP));
    assert!(takes(&client, pair.a.address.into()));
    assert!(drops(&pair.a, VIP), "packets from host a itself");

    // A reload changes acceptMode on a master.
    a.reload(&only(instance(HIGH)))?;
    wait_for_table(&pair.a.host, false)?;
    assert!(takes(&client, VIP));
    a.reload(&refusing(HIGH))?;
    wait_for_table(&pair.a.host, true)?;
    assert!(drops(&client, VIP));
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);

    // The new master drops packets as well, and the former one has no drop rules left.
    let before = Moment::now();
    a.stop()?;
    assert_eq!(ruleset(&pair.a.host)?, "");
    b.wait_for("VI_1", Backup, Master, before, SOON)?;
    assert!(drops(&client, VIP));
    Ok(())
}

pub(crate) fn flushed_ruleset_is_restored_at_once() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start_with(&refusing(HIGH), &refusing(LOW))?;
    let intact = ruleset(&pair.a.host)?;
    assert!(
        intact.contains("elements = { 192.168.224.100 }"),
        "{intact}"
    );
    pair.a.host.shell("nft flush ruleset")?;
    let is_said =
        |line: &str| line.contains("another program changed the nf_tables table inet vrrpd");
    a.process().wait_for_line(is_said, SOON)?;
    assert!(drops(&pair.b, VIP));
    assert_eq!(ruleset(&pair.a.host)?, intact);

    // A second change is repaired too, but at most once a second.
    pair.a.host.shell("nft delete table inet vrrpd")?;
    wait_for_table(&pair.a.host, true)?;
    assert_eq!(ruleset(&pair.a.host)?, intact);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    Ok(())
}

pub(crate) fn drop_rules_outlive_killed_daemon_until_cleanup() -> Outcome {
    let pair = Pair::new()?;
    let a = Vrrpd::start(&pair.a.host, &refusing(HIGH))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    pair.a.address_event(VIP, true, Moment::default())?;
    a.process().kill(Signal::SIGKILL)?;
    a.process().wait(SOON)?;
    assert!(pair.a.host.holds(VIP)?);
    assert!(drops(&pair.b, VIP));
    assert_eq!(
        clean_up(&pair.a.host)?,
        "removed 192.168.224.100/24 from ens33\nremoved the table inet vrrpd of nf_tables\n\
         restored accept_local of ens33\n"
    );
    assert_eq!(ruleset(&pair.a.host)?, "");
    assert_eq!(clean_up(&pair.a.host)?, "");
    Ok(())
}

pub(crate) fn accepting_daemon_deletes_drop_rules_of_earlier_one() -> Outcome {
    let pair = Pair::new()?;
    let former = Vrrpd::start(&pair.a.host, &refusing(HIGH))?;
    former.wait_for_state("VI_1", Master, SOON)?;
    former.process().kill(Signal::SIGKILL)?;
    former.process().wait(SOON)?;
    let a = Vrrpd::start(&pair.a.host, &only(instance(HIGH)))?;
    a.process().wait_for_line(
        |line| line.contains("left by an earlier run: the table inet vrrpd of nf_tables"),
        SOON,
    )?;
    a.wait_for_state("VI_1", Master, SOON)?;
    assert!(takes(&pair.b, VIP));
    Ok(())
}

pub(crate) fn missing_drop_rules_are_fault_until_installed() -> Outcome {
    let pair = Pair::new()?;
    // Another process owns a table of that name.
    let shell = |script: &str| -> Result<_> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        pair.a.host.spawn(command)
    };
    pair.a.host.shell("mkfifo /run/nft")?;
    let _owner = shell("exec nft -i < /run/nft")?;
    let hold =
        shell("exec > /run/nft; echo 'add table inet vrrpd { flags owner; }'; exec sleep 1000")?;
    let is_there = "nft list table inet vrrpd 2>/dev/null";
    wait_until(&pair.a.host, is_there)?;

    let a = Vrrpd::start(&pair.a.host, &refusing(HIGH))?;
    let b = Vrrpd::start(&pair.b.host, &refusing(LOW))?;
    a.wait_for_state("VI_1", Fault, SOON)?;
    b.wait_for_state("VI_1", Master, SOON)?;
    let cause = "acceptMode is false, but packets to the virtual addresses cannot be dropped: \
                 cannot change \
                 the table inet vrrpd of nf_tables: another program made a table of that name \
                 (`nft list table inet vrrpd`): rename it, or leave out \"acceptMode\": false";
    assert_eq!(&*a.instance("VI_1")?.cause, cause);
    assert!(!pair.a.host.holds(VIP)?);

    let before = Moment::now();
    hold.kill(Signal::SIGKILL)?;
    a.wait_for("VI_1", Backup, Master, before, SOON)?;
    assert!(drops(&pair.b, VIP));
    Ok(())
}

fn refusing(priority: u8) -> String {
    let accept_mode: Value = json!({ "acceptMode": false });
    only(with(instance(priority), accept_mode))
}

/// Whether `address` accepts packets: a closed port refuses the connection.
fn takes(from: &Station, address: IpAddr) -> bool {
    knock(from, address, SOON) == ErrorKind::ConnectionRefused
}

/// Whether packets to `address` are dropped.
fn drops(from: &Station, address: IpAddr) -> bool {
    knock(from, address, PATIENCE) == ErrorKind::TimedOut
}

fn knock(from: &Station, address: IpAddr, patience: Duration) -> ErrorKind {
    let connect = || TcpStream::connect_timeout(&(address, 9).into(), patience);
    match from.host.run(connect) {
        Ok(_) => panic!("port 9 of {address} is open"),
        Err(error) => error.kind(),
    }
}

/// Waits until the table has the drop rule, or until the table is deleted.
fn wait_for_table(host: &Host, there: bool) -> Result<()> {
    wait_until(
        host,
        if there {
            "nft list ruleset | grep -q 192.168.224.100"
        } else {
            "! nft list table inet vrrpd 2>/dev/null"
        },
    )
}

fn ruleset(host: &Host) -> Result<String> {
    host.shell("nft list ruleset")
}
