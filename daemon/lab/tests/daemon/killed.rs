//! State that a killed daemon leaves, and its removal by `vrrpd cleanup` or the next start.

use serde_json::json;
use vrrp_lab::daemons::{Vrrpd, clean_up, vrrpd_program};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Moment, Result, Signal};
use vrrp_proto::State::{Backup, Master};

use crate::common::INTERVAL;
use crate::common::{LATE, SOON, VIP, down_interval, instance, only, vip, with};
use crate::pair::{HIGH, Pair};

pub(crate) fn cleanup_removes_only_addresses_of_killed_daemon() -> Outcome {
    let pair = Pair::new()?;
    // Foreign addresses: one in the same network, added before the daemon's address, and one in another
    // network, added after it.
    let foreign = [vip(77), "10.9.9.9".parse()?];
    pair.a.host.add_address("ens33", foreign[0], 24)?;
    let (a, b) = pair.start()?;
    pair.a.host.add_address("ens33", foreign[1], 32)?;
    let before = Moment::now();
    a.process().kill(Signal::SIGKILL)?;
    a.process().wait(SOON)?;
    b.wait_for("VI_1", Backup, Master, before, SOON)?;
    assert!(
        pair.a.host.holds(VIP)?,
        "no daemon is left to delete the address"
    );

    let said = clean_up(&pair.a.host)?;
    assert_eq!(
        said,
        "removed 192.168.224.100/24 from ens33\nrestored accept_local of ens33\n"
    );
    let mut left = pair.a.host.addresses("ens33")?;
    left.retain(|(address, _)| address.is_ipv4());
    left.sort();
    let own = (pair.a.address.into(), 24);
    assert_eq!(left, [(foreign[1], 32), own, (foreign[0], 24)]);
    assert_eq!(
        clean_up(&pair.a.host)?,
        "",
        "a second cleanup finds nothing"
    );
    assert!(pair.b.host.holds(VIP)?);
    Ok(())
}

pub(crate) fn cleanup_refuses_while_the_daemon_runs() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start()?;
    let program = vrrpd_program()?.display().to_string();
    let command = [&*program, "cleanup", "--config", "/run/vrrpd.json"];
    let events = pair.a.address_events();
    let output = pair.a.host.exec(&command)?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("vrrpd: another vrrpd runs in this network namespace (process ")
            && said.ends_with(") and would restore its addresses; stop it first\n"),
        "{said}"
    );
    pair.lan.pass(&pair.a, 3)?;
    assert_eq!(pair.a.address_events(), events);
    assert_eq!(a.instance("VI_1")?.counters.repairs, 0);
    Ok(())
}

/// The addresses leave before anything is read.
pub(crate) fn cleanup_does_not_wait_for_its_configuration() -> Outcome {
    let pair = with_killed_master()?;
    let since = Moment::now();
    pair.a
        .host
        .shell("rm /run/vrrpd.json; mkfifo /run/vrrpd.json")?;
    let mut command = std::process::Command::new(vrrpd_program()?);
    command.args(["cleanup", "--config", "/run/vrrpd.json"]);
    let stuck = pair.a.host.spawn(command)?;
    pair.a.address_event(VIP, false, since)?;
    stuck.kill(Signal::SIGKILL)?;
    stuck.wait(SOON)?;
    Ok(())
}

pub(crate) fn cleanup_works_without_valid_configuration() -> Outcome {
    let pair = with_killed_master()?;
    for (content, complaint) in [("{ \"instances\": 7 }", "instances"), ("{", "line 1")] {
        pair.a.host.write("/run/vrrpd.json", content, 0o600)?;
        let program = vrrpd_program()?.display().to_string();
        let output = pair
            .a
            .host
            .exec(&[&program, "cleanup", "--config", "/run/vrrpd.json"])?;
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(complained.contains(complaint), "{complained}");
        assert!(output.status.success(), "{complained}");
        assert!(!pair.a.host.holds(VIP)?);
    }
    Ok(())
}

pub(crate) fn restart_deletes_strays_before_first_wait() -> Outcome {
    let pair = Pair::new()?;
    let foreign = vip(77);
    pair.a.host.add_address("ens33", foreign, 24)?;
    let former = only(with(
        instance(HIGH),
        json!({ "virtualAddresses": ["192.168.224.100/24", "192.168.224.101/24", "192.168.224.102"] }),
    ));
    let former = Vrrpd::start(&pair.a.host, &former)?;
    former.wait_for_state("VI_1", Master, SOON)?;
    for last in 100..=102 {
        pair.a.address_event(vip(last), true, Moment::default())?;
    }
    former.process().kill(Signal::SIGKILL)?;
    former.process().wait(SOON)?;

    // Since then .101 and .102 were removed from the configuration.
    let restarted = Moment::now();
    let daemon = Vrrpd::start(&pair.a.host, &only(instance(HIGH)))?;
    let line = daemon.wait_for("VI_1", Backup, Master, restarted, SOON)?;
    let first = pair.lan.advert_of(&pair.a, restarted)?;
    for last in 100..=102 {
        let gone = pair.a.address_event(vip(last), false, restarted)?;
        let listened = first.at.since(gone);
        assert!(
            listened + LATE > down_interval(HIGH, INTERVAL) && gone < first.at,
            ".{last} was deleted {listened:?} before the first advertisement: {}",
            line.text
        );
    }
    pair.a.address_event(VIP, true, first.at - LATE)?;
    assert!(!pair.a.host.holds(vip(101))? && !pair.a.host.holds(vip(102))?);
    assert!(pair.a.host.holds(foreign)?);
    daemon
        .process()
        .wait_for_line(|line| line.contains("left by an earlier run: "), SOON)?;
    Ok(())
}

/// Pair of hosts, on one of which the daemon was killed as master.
fn with_killed_master() -> Result<Pair> {
    let pair = Pair::new()?;
    let a = pair.start_a()?;
    a.wait_for_state("VI_1", Master, SOON)?;
    a.process().kill(Signal::SIGKILL)?;
    a.process().wait(SOON)?;
    drop(a);
    Ok(pair)
}
