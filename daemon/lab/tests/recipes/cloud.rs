//! docs/recipes/cloud.md, with a fake of the cloud's API.

use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Impairment, Line, Moment, Process, Result};
use vrrp_proto::State::{Backup, Master};

use crate::common::SOON;
use crate::fake;
use crate::site::{INSTANCE, Site};

/// Path of the address in the API.
const PATH: &str = "/v1/addresses/192.0.2.100";

pub(crate) fn cloud_address_follows_the_master() -> Outcome {
    let site = Site::new("cloud", "node1", "node2")?;
    let cloud = site.station("cloud", 1)?;
    let api = fake::serve(&cloud.host, "192.0.2.1", "80")?;
    // Of node2, as after a crash of both hosts.
    let path = PATH.trim_matches('/').replace('/', "_");
    fake::set(&cloud.host, &path, Some("node2"))?;
    let (_a, b) = site.daemons()?;
    wait_for_answer(&api, &format!("PUT {PATH} node1 200"), Moment::default())?;

    // The first request of node2 fails, and is repeated a second later.
    fake::set(&cloud.host, "fail", Some(""))?;
    let dead = Moment::now();
    site.a.host.power_off()?;
    wait_for_answer(&api, &format!("PUT {PATH} node2 500"), dead)?;
    let attached = wait_for_answer(&api, &format!("PUT {PATH} node2 200"), dead)?;
    site.assert_bound(
        "`node1` loses power, and the API fails once",
        attached.at.since(dead),
    )?;

    // node1 asks for its release at its start, and must not take the address away from node2.
    let booted = Moment::now();
    site.a.host.power_on()?;
    let a = site.daemon(&site.a)?;
    wait_for_answer(&api, &format!("DELETE {PATH} node1 409"), booted)?;
    wait_for_answer(&api, &format!("PUT {PATH} node1 200"), booted)?;
    b.wait_for(INSTANCE, Master, Backup, booted, SOON)?;
    wait_for_answer(&api, &format!("DELETE {PATH} node2 "), booted)?;
    assert_eq!(owner(&api)?, "node1");
    site.wait_for_only_holder(&site.a)?;

    // Frames from node1 are lost: node2 becomes master, too, and attaches the address. node1 has to attach it
    // again.
    let cut = Moment::now();
    site.a.cable.set(Impairment::mute())?;
    b.wait_for(INSTANCE, Backup, Master, cut, SOON)?;
    wait_for_answer(&api, &format!("PUT {PATH} node2 200"), cut)?;
    let healed = Moment::now();
    site.a.cable.set(Impairment::default())?;
    b.wait_for(INSTANCE, Master, Backup, healed, SOON)?;
    wait_for_answer(&api, &format!("PUT {PATH} node1 200"), healed)?;
    assert_eq!(owner(&api)?, "node1");
    assert_eq!(a.instance(INSTANCE)?.counters.became_master, 1);
    site.wait_for_only_holder(&site.a)?;

    // A master that stops detaches the address before its process ends.
    assert!(b.stop()?.success());
    let stopped = Moment::now();
    assert!(a.stop()?.success());
    wait_for_answer(&api, &format!("DELETE {PATH} node1 200"), stopped)?;
    Ok(())
}

/// Waits for a request that the API answered after `since`.
fn wait_for_answer(api: &Process, wanted: &str, since: Moment) -> Result<Line> {
    let is_it = |line: &Line| line.at > since && line.text.starts_with(wanted);
    api.output()
        .wait_for(is_it, SOON)
        .ok_or_else(|| Error::new(format!("waiting for `{wanted}`"), api.log()))
}

/// Host to which the API has attached the address, according to the answered requests.
fn owner(api: &Process) -> Result<String> {
    let log = api.log();
    let mut owner = None;
    for line in log.lines().filter(|line| line.ends_with(" 200")) {
        let mut words = line.split(' ');
        owner = match words.next() {
            Some("PUT") => words.nth(1),
            _ => None,
        };
    }
    owner
        .map(str::to_owned)
        .ok_or_else(|| Error::new("reading the owner of the address", log))
}
