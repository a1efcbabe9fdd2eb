//! docs/recipes/patroni.md, with fakes of Patroni's REST API.

use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::SOON;
use crate::fake;
use crate::site::{INSTANCE, Site, VIP};

pub(crate) fn address_follows_the_leader_of_patroni() -> Outcome {
    let site = Site::new("patroni", "db1", "db2")?;
    let (db1, db2) = (&site.a, &site.b);
    let _first = patroni(&db1.host)?;
    let _second = patroni(&db2.host)?;
    promote(&db1.host)?;
    let a = site.daemon(&site.a)?;
    let b = site.daemon(&site.b)?;
    a.wait_for_state(INSTANCE, Master, SOON)?;
    b.wait_for_state(INSTANCE, Fault, SOON)?;
    site.wait_for_only_holder(db1)?;

    // A switchover: for a time there is no leader.
    demote(&db1.host)?;
    a.wait_for_state(INSTANCE, Fault, SOON)?;
    let promoted = Moment::now();
    promote(&db2.host)?;
    b.wait_for(INSTANCE, Fault, Backup, promoted, SOON)?;
    let moved = db2.address_event(VIP, true, promoted)?;
    site.assert_bound("switchover", moved.since(promoted))?;
    site.wait_for_only_holder(db2)?;

    // The leader is lost; Patroni promotes the other host after its ttl.
    let dead = Moment::now();
    db2.host.power_off()?;
    let promoted = Moment::now();
    promote(&db1.host)?;
    let moved = db1.address_event(VIP, true, promoted)?;
    site.assert_bound("the leader loses power", moved.since(promoted))?;
    a.wait_for(INSTANCE, Backup, Master, dead, SOON)?;
    site.wait_for_only_holder(db1)?;

    // It comes back as a replica: Patroni may start later than vrrpd, and the address stays.
    db2.host.power_on()?;
    let b = site.daemon(db2)?;
    b.wait_for_state(INSTANCE, Fault, SOON)?;
    let _second = patroni(&db2.host)?;
    let replies = |line: &str| line.contains("tracker leader: status 503");
    b.process().wait_for_line(replies, SOON)?;
    b.wait_for_state(INSTANCE, Fault, SOON)?;
    site.wait_for_only_holder(db1)?;
    Ok(())
}

/// Starts a fake of Patroni, which is a replica.
fn patroni(host: &Host) -> vrrp_lab::Result<vrrp_lab::Process> {
    fake::serve(host, "0.0.0.0", "8008")
}

fn promote(host: &Host) -> vrrp_lab::Result<()> {
    fake::set(host, "primary", Some("{\"role\": \"master\"}\n"))
}

fn demote(host: &Host) -> vrrp_lab::Result<()> {
    fake::set(host, "primary", None)
}
