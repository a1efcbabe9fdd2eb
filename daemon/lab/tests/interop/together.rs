//! vrrpd and keepalived through power failure, return and hand-over.

use vrrp_lab::harness::Outcome;
use vrrp_lab::{Impairment, Moment};
use vrrp_proto::State::{Backup, Master};

use crate::common::tshark::Checksum;
use crate::common::{LATE, SOON, VIP, assert_waited};
use crate::dialect::Dialect;
use crate::peers::Peers;

pub(crate) fn ours_leads_in_version_2_with_the_courses_configuration() -> Outcome {
    ours_leads(Dialect::Two)
}

pub(crate) fn ours_leads_in_version_3() -> Outcome {
    ours_leads(Dialect::Three)
}

pub(crate) fn ours_leads_when_keepalived_leaves_out_the_pseudo_header() -> Outcome {
    ours_leads(Dialect::ThreeMessageOnly)
}

pub(crate) fn keepalived_leads_in_version_2_with_the_courses_configuration() -> Outcome {
    keepalived_leads(Dialect::Two)
}

pub(crate) fn keepalived_leads_in_version_3() -> Outcome {
    keepalived_leads(Dialect::Three)
}

pub(crate) fn keepalived_leads_and_leaves_out_the_pseudo_header() -> Outcome {
    keepalived_leads(Dialect::ThreeMessageOnly)
}

pub(crate) fn equal_priority_elects_greater_address_in_version_2() -> Outcome {
    equals(Dialect::Two)
}

pub(crate) fn equal_priority_elects_greater_address_in_version_3() -> Outcome {
    equals(Dialect::Three)
}

/// vrrpd has priority 100, keepalived the course's 99.
fn ours_leads(dialect: Dialect) -> Outcome {
    let peers = Peers::new(dialect, 11, 12)?;
    let ours = peers.start_ours("master", 100)?;
    ours.wait_for_state("VI_1", Master, SOON)?;
    let theirs = peers.start_theirs("BACKUP", 99)?;
    theirs.wait_for("VI_1", "BACKUP", Moment::default(), SOON)?;
    peers.assert_rest(&peers.ours)?;
    peers.assert_content(&ours, &[&theirs])?;

    // The host of vrrpd loses its power.
    let died = Moment::now();
    peers.ours.host.power_off()?;
    drop(ours);
    theirs.wait_for("VI_1", "MASTER", died, SOON)?;
    let takeover = peers.lan.advert_of(&peers.theirs, died)?;
    let last = peers
        .lan
        .adverts_of(&peers.ours, 51, Moment::default())
        .pop();
    let silence = takeover.at.since(last.ok_or("vrrpd never advertised")?.at);
    assert!(silence < dialect.down_interval(99) + LATE, "{silence:?}");
    peers.theirs.address_event(VIP, true, died)?;

    // vrrpd returns and takes over by its higher priority.
    peers.ours.host.power_on()?;
    let back = Moment::now();
    let ours = peers.start_ours("master", 100)?;
    ours.wait_for("VI_1", Backup, Master, back, SOON)?;
    theirs.wait_for("VI_1", "BACKUP", back, SOON)?;
    peers.assert_rest(&peers.ours)?;

    // vrrpd stops in order.
    let stopped = Moment::now();
    peers.assert_content(&ours, &[&theirs])?;
    assert_eq!(ours.stop()?.code(), Some(0));
    let resigned = peers.lan.advert(stopped, |advert| advert.priority == 0)?;
    assert_eq!(resigned.source, peers.ours.address);
    let takeover = peers.lan.advert_of(&peers.theirs, stopped)?;
    let waited = takeover.at.since(resigned.at);
    assert!(waited < dialect.skew(99) + LATE, "{waited:?}");
    let gone = peers.ours.address_event(VIP, false, stopped)?;
    let held = gone.since(takeover.at);
    assert!(takeover.at < gone && held < LATE, "held for {held:?}");
    peers.assert_rest(&peers.theirs)?;

    // The same start again, and keepalived stops in order.
    let ours = peers.start_ours("backup", 100)?;
    ours.wait_for("VI_1", Backup, Master, stopped, SOON)?;
    theirs.wait_for("VI_1", "BACKUP", takeover.at, SOON)?;
    peers.assert_rest(&peers.ours)?;
    assert!(theirs.stop()?.success());
    peers.assert_rest(&peers.ours)?;
    assert_eq!(ours.instance("VI_1")?.counters.became_master, 1);
    peers.assert_content(&ours, &[&theirs])?;
    peers.assert_one_holder(&[&peers.ours.watch, &peers.theirs.watch]);
    // keepalived advertised for the first time when the host of vrrpd had lost its power.
    peers.assert_dissected(|at| {
        if at < died {
            Checksum::WithPseudoHeader
        } else {
            dialect.adopted()
        }
    })?;
    Ok(())
}

/// keepalived has priority 100, vrrpd 99.
fn keepalived_leads(dialect: Dialect) -> Outcome {
    let peers = Peers::new(dialect, 12, 11)?;
    let first = peers.start_theirs("MASTER", 100)?;
    first.wait_for("VI_1", "MASTER", Moment::default(), SOON)?;
    let started = Moment::now();
    let ours = peers.start_ours("backup", 99)?;
    peers.assert_rest(&peers.theirs)?;
    assert_eq!(ours.instance("VI_1")?.state, Backup);
    assert_eq!(peers.lan.adverts_of(&peers.ours, 51, started), []);

    // The host of keepalived loses its power.
    let died = Moment::now();
    peers.theirs.host.power_off()?;
    let line = ours.wait_for("VI_1", Backup, Master, died, SOON)?.text;
    assert!(
        line.contains("no advertisement from 192.168.224.11 for "),
        "{line}"
    );
    let takeover = peers.lan.advert_of(&peers.ours, died)?;
    let last = peers
        .lan
        .adverts_of(&peers.theirs, 51, Moment::default())
        .pop();
    let last = last.ok_or("keepalived never advertised")?;
    assert_waited(last.at, takeover.at, dialect.down_interval(99));
    peers.ours.address_event(VIP, true, died)?;

    // keepalived returns and takes over by its higher priority.
    peers.theirs.host.power_on()?;
    let back = Moment::now();
    let second = peers.start_theirs("MASTER", 100)?;
    second.wait_for("VI_1", "MASTER", back, SOON)?;
    let line = ours.wait_for("VI_1", Master, Backup, back, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.11 advertises priority 100, ours is 99: yielded"),
        "{line}"
    );
    peers.assert_rest(&peers.theirs)?;

    // keepalived stops in order.
    let stopped = Moment::now();
    assert!(second.stop()?.success());
    let resigned = peers.lan.advert(stopped, |advert| advert.priority == 0)?;
    assert_eq!(resigned.source, peers.theirs.address);
    let takeover = peers.lan.advert_of(&peers.ours, stopped)?;
    assert_waited(resigned.at, takeover.at, dialect.skew(99));
    let line = ours.wait_for("VI_1", Backup, Master, stopped, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.11 resigned (priority 0)"),
        "{line}"
    );
    peers.assert_rest(&peers.ours)?;

    let third = peers.start_theirs("BACKUP", 100)?;
    ours.wait_for("VI_1", Master, Backup, stopped, SOON)?;
    peers.assert_rest(&peers.theirs)?;
    peers.assert_content(&ours, &[&first, &second, &third])?;
    peers.assert_one_holder(&[&peers.ours.watch, &peers.theirs.watch]);
    peers.assert_dissected(|_| dialect.adopted())?;
    Ok(())
}

/// Both have priority 100, and neither receives the other's advertisements until both are masters.
fn equals(dialect: Dialect) -> Outcome {
    for (ours, theirs) in [(11, 12), (12, 11)] {
        let peers = Peers::new(dialect, ours, theirs)?;
        peers.ours.cable.set(Impairment::cut())?;
        let keepalived = peers.start_theirs("MASTER", 100)?;
        let daemon = peers.start_ours("master", 100)?;
        keepalived.wait_for("VI_1", "MASTER", Moment::default(), SOON)?;
        daemon.wait_for_state("VI_1", Master, SOON)?;
        let joined = Moment::now();
        peers.ours.cable.set(Impairment::default())?;
        let winner = if ours > theirs {
            keepalived.wait_for("VI_1", "BACKUP", joined, SOON)?;
            &peers.ours
        } else {
            let line = daemon.wait_for("VI_1", Master, Backup, joined, SOON)?.text;
            assert!(
                line.ends_with("192.168.224.12 has the same priority 100 and the greater address"),
                "{line}"
            );
            &peers.theirs
        };
        peers.assert_rest(winner)?;
        peers.assert_content(&daemon, &[&keepalived])?;
    }
    Ok(())
}
