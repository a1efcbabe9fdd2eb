//! Advertisements that Linux drops before the raw socket.

use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, clean_up};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Result, Signal};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::{INTERVAL, SOON, assert_waited, down_interval, instance, only, with};
use crate::pair::{HIGH, LOW, Pair};

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

/// Has the reverse path filter of the pair's host b drop the advertisements of a, to which another route leads.
fn misroute(pair: &Pair) -> Outcome {
    pair.b.host.shell(&format!(
        "ip link add elsewhere up type veth peer name nowhere && ip link set nowhere up && \
         ip route add {}/32 dev elsewhere && sysctl -q net.ipv4.conf.all.rp_filter=1",
        pair.a.address
    ))?;
    Ok(())
}

/// Has a firewall drop the advertisements that arrive at a host, in this hook of nftables.
fn drop_adverts(host: &Host, hook: &str) -> Outcome {
    let table = match hook.contains("device") {
        true => "netdev",
        false => "inet",
    };
    host.shell(&format!(
        "nft 'add table {table} dropping' && \
         nft 'add chain {table} dropping adverts {{ type filter hook {hook} priority 0; }}' && \
         nft 'add rule {table} dropping adverts meta l4proto 112 drop'"
    ))?;
    Ok(())
}

pub(crate) fn dropped_advertisements_withhold_take_over_until_master_dies() -> Outcome {
    for hook in ["input", "prerouting", "ingress device ens33", "rp_filter"] {
        let pair = Pair::new()?;
        let (a, b) = pair.start()?;
        match hook {
            "rp_filter" => misroute(&pair)?,
            hook => drop_adverts(&pair.b.host, hook)?,
        }
        let line = format!(
            "VI_1: take-over withheld, the master is alive: advertisements from {} arrive on ens33 and are \
             dropped by this host before vrrpd",
            pair.a.address
        );
        b.process()
            .wait_for_line(|said| said.contains(&line), SOON)?;
        // The master-down interval of many decisions.
        pair.lan.pass(&pair.a, 30)?;
        let status = b.instance("VI_1")?;
        assert_eq!(status.state, Backup, "{hook}");
        assert_eq!(status.counters.became_master, 0, "{hook}");
        assert!(
            status.counters.withheld > 2,
            "{hook}: {:?}",
            status.counters
        );
        let withheld = status.withheld.ok_or("the status has no reason")?;
        assert_eq!(withheld.source, pair.a.address);
        assert!(withheld.reason.contains("firewall"), "{}", withheld.reason);
        assert_eq!(pair.lan.adverts_of(&pair.b, 51, Moment::default()), []);

        pair.lan.pass(&pair.a, 1)?;
        let died = Moment::now();
        pair.a.host.power_off()?;
        let takeover = pair.lan.advert_of(&pair.b, died)?;
        let last = pair.lan.last_advert_of(&pair.a)?;
        assert_waited(last.at, takeover.at, down_interval(LOW, INTERVAL));
        b.wait_for("VI_1", Backup, Master, died, SOON)?;
        assert_eq!(b.instance("VI_1")?.withheld, None);
        drop(a);
    }
    Ok(())
}

pub(crate) fn dropped_ipv6_advertisements_withhold_take_over() -> Outcome {
    let pair = Pair::new()?;
    let six = json!({ "virtualAddresses": ["2001:db8::100/64"] });
    let config = |priority| only(with(instance(priority), six.clone()));
    drop_adverts(&pair.b.host, "input")?;
    let a = Vrrpd::start(&pair.a.host, &config(HIGH))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let b = Vrrpd::start(&pair.b.host, &config(LOW))?;
    b.process()
        .wait_for_line(|line| line.contains("take-over withheld"), SOON)?;
    assert_eq!(b.instance("VI_1")?.state, Backup);

    // What is received again is no reason any more.
    pair.b.host.shell("nft delete table inet dropping")?;
    let heard = || -> Result<bool> {
        let status = b.instance("VI_1")?;
        Ok(status.counters.adverts_received > 2 && status.withheld.is_none())
    };
    let begun = Moment::now();
    while !heard()? {
        assert!(begun.elapsed() < SOON, "nothing is received");
        std::thread::sleep(INTERVAL);
    }
    assert_eq!(b.instance("VI_1")?.counters.became_master, 0);
    Ok(())
}

pub(crate) fn distrusted_wire_lets_backup_take_over() -> Outcome {
    let pair = Pair::new()?;
    let distrusting = with(instance(LOW), json!({ "trustWire": false }));
    let (a, b) = pair.start_with(&only(instance(HIGH)), &only(distrusting))?;
    let since = Moment::now();
    drop_adverts(&pair.b.host, "input")?;
    b.wait_for("VI_1", Backup, Master, since, SOON)?;
    assert_eq!(a.instance("VI_1")?.state, Master);
    assert_eq!(b.instance("VI_1")?.counters.withheld, 0);
    Ok(())
}
