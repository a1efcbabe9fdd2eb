//! A master with `acceptMode` = false: who it answers, what it drops, and who keeps it so.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Result, Segment, Signal};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::{SOON, Station, VIP, instance, only, with};
use crate::pair::{HIGH, LOW, Pair};

/// How long an answer may take of which none is expected.
const PATIENCE: Duration = Duration::from_millis(500);

// RFC 9568 6.4.3 MUST NOT: accept packets to a virtual address otherwise
pub(crate) fn a_master_that_does_not_accept_is_a_router_and_no_host() -> Outcome {
    let pair = Pair::new()?;
    // What is behind the master.
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
    // The answer comes from the other end: the way to it is through the virtual address, for which
    // somebody has to answer.
    assert!(takes(&client, "10.1.0.2".parse()?));
    assert!(drops(&client, VIP));
    assert!(takes(&client, pair.a.address.into()));
    assert!(drops(&pair.a, VIP), "from the host itself");

    // It may be told so while it is master.
    a.reload(&only(instance(HIGH)))?;
    wait_for_table(&pair.a.host, false)?;
    assert!(takes(&client, VIP));
    a.reload(&refusing(HIGH))?;
    wait_for_table(&pair.a.host, true)?;
    assert!(drops(&client, VIP));
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);

    // Whoever takes over does the same, and whoever has left refuses nothing.
    let before = Moment::now();
    a.stop()?;
    assert_eq!(ruleset(&pair.a.host)?, "");
    b.wait_for("VI_1", Backup, Master, before, SOON)?;
    assert!(drops(&client, VIP));
    Ok(())
}

pub(crate) fn a_ruleset_that_is_flushed_is_repaired_at_once() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start_with(&refusing(HIGH), &refusing(LOW))?;
    let intact = ruleset(&pair.a.host)?;
    assert!(
        intact.contains("elements = { 192.168.224.100 }"),
        "{intact}"
    );
    pair.a.host.shell("nft flush ruleset")?;
    let is_said = |line: &str| line.contains("somebody changed the table inet vrrpd");
    a.process().wait_for_line(is_said, SOON)?;
    assert!(drops(&pair.b, VIP));
    assert_eq!(ruleset(&pair.a.host)?, intact);

    // So it is again and again, once a second.
    pair.a.host.shell("nft delete table inet vrrpd")?;
    wait_for_table(&pair.a.host, true)?;
    assert_eq!(ruleset(&pair.a.host)?, intact);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    Ok(())
}

pub(crate) fn what_a_killed_daemon_refused_is_refused_until_it_is_cleaned_up() -> Outcome {
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
        "removed 192.168.224.100/24 from ens33\nremoved the table inet vrrpd of nf_tables\n"
    );
    assert_eq!(ruleset(&pair.a.host)?, "");
    assert_eq!(clean_up(&pair.a.host)?, "");
    Ok(())
}

pub(crate) fn a_daemon_that_accepts_takes_away_what_an_earlier_one_refused() -> Outcome {
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

pub(crate) fn who_cannot_refuse_is_in_fault_until_it_can() -> Outcome {
    let pair = Pair::new()?;
    // Somebody else has a table of that name for himself.
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
    let cause = "acceptMode is false, and packets to its addresses cannot be refused: cannot change \
                 the table inet vrrpd of nf_tables: Operation not permitted (os error 1): either \
                 CAP_NET_ADMIN is missing, or the table belongs to another program: it must be none \
                 with `flags owner`";
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

/// Whether `address` takes what is sent to it: nobody listens at that port, and a host says so.
fn takes(from: &Station, address: IpAddr) -> bool {
    knock(from, address, SOON) == ErrorKind::ConnectionRefused
}

/// Whether `address` lets what is sent to it fall.
fn drops(from: &Station, address: IpAddr) -> bool {
    knock(from, address, PATIENCE) == ErrorKind::TimedOut
}

fn knock(from: &Station, address: IpAddr, patience: Duration) -> ErrorKind {
    let connect = || TcpStream::connect_timeout(&(address, 9).into(), patience);
    match from.host.run(connect) {
        Ok(_) => panic!("somebody listens at port 9 of {address}"),
        Err(error) => error.kind(),
    }
}

/// Waits until packets to the address are refused, or the table is gone.
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

/// Waits until a command succeeds.
fn wait_until(host: &Host, is_so: &str) -> Result<()> {
    let script = format!("for i in $(seq 200); do {is_so} && exit; sleep 0.1; done; exit 1");
    host.shell(&script).map(drop)
}

fn ruleset(host: &Host) -> Result<String> {
    host.shell("nft list ruleset")
}
