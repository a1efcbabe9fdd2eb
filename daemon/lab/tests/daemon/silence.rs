//! Advertisements that Linux drops before the raw socket.

use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Result, Signal};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::{SOON, instance, only, with};
use crate::pair::{LOW, Pair};

/// An instance whose virtual address is the own address of host a, which owns it.
fn owned(priority: u8) -> Value {
    with(
        instance(priority),
        json!({ "virtualAddresses": ["192.168.224.11/24"] }),
    )
}

fn accept_local(host: &Host) -> Result<String> {
    let value = host.shell("cat /proc/sys/net/ipv4/conf/ens33/accept_local")?;
    Ok(value.trim().to_owned())
}

// RFC 9568 6.4.3 MUST: a greater priority makes it Backup
pub(crate) fn returning_owner_of_the_address_is_received_by_its_backup() -> Outcome {
    for rp_filter in ["0", "1", "2"] {
        let pair = Pair::new()?;
        pair.b.host.shell(&format!(
            "echo {rp_filter} > /proc/sys/net/ipv4/conf/ens33/rp_filter"
        ))?;
        let (a, b) = pair.start_with(&only(owned(255)), &only(owned(LOW)))?;
        let pulled = Moment::now();
        pair.a.cable.pull()?;
        a.wait_for("VI_1", Master, Fault, pulled, SOON)?;
        b.wait_for("VI_1", Backup, Master, pulled, SOON)?;
        assert!(pair.b.host.holds(pair.a.address.into())?);

        let back = Moment::now();
        pair.a.cable.plug()?;
        b.wait_for("VI_1", Master, Backup, back, SOON)?;
        a.wait_for_state("VI_1", Master, SOON)?;
        pair.lan.pass(&pair.a, 3)?;
        assert!(!pair.b.host.holds(pair.a.address.into())?);
        assert_eq!(b.instance("VI_1")?.counters.became_master, 1);
    }
    Ok(())
}

pub(crate) fn accept_local_is_set_while_the_daemon_runs_and_repaired() -> Outcome {
    let pair = Pair::new()?;
    let host = &pair.a.host;
    assert_eq!(accept_local(host)?, "0");
    let a = pair.start_a()?;
    a.wait_for_state("VI_1", Master, SOON)?;
    assert_eq!(accept_local(host)?, "1");

    host.shell("echo 0 > /proc/sys/net/ipv4/conf/ens33/accept_local")?;
    a.process().wait_for_line(
        |line| line.contains("another program set accept_local of ens33 to 0"),
        SOON + Duration::from_secs(10),
    )?;
    assert_eq!(accept_local(host)?, "1");
    a.stop()?;
    assert_eq!(accept_local(host)?, "0");
    Ok(())
}

pub(crate) fn accept_local_of_a_killed_daemon_is_restored_by_cleanup() -> Outcome {
    let pair = Pair::new()?;
    let host = &pair.a.host;
    let kill = |daemon: Vrrpd<'_>| -> Outcome {
        daemon.wait_for_state("VI_1", Master, SOON)?;
        daemon.process().kill(Signal::SIGKILL)?;
        daemon.process().wait(SOON)?;
        assert_eq!(accept_local(host)?, "1");
        Ok(())
    };
    kill(pair.start_a()?)?;
    // The next run adopts the setting and does not take it for the operator's.
    kill(pair.start_a()?)?;
    assert!(clean_up(host)?.contains("restored accept_local of ens33\n"));
    assert_eq!(accept_local(host)?, "0");

    // A setting of the operator stays.
    host.shell("echo 1 > /proc/sys/net/ipv4/conf/ens33/accept_local")?;
    kill(pair.start_a()?)?;
    assert!(!clean_up(host)?.contains("accept_local"));
    assert_eq!(accept_local(host)?, "1");
    Ok(())
}
