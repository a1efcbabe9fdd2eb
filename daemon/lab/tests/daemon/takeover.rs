//! Elections: a master that dies, stops, returns or is cut off.

use std::time::Duration;

use serde_json::json;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Moment, Result, Signal, held_twice};
use vrrp_proto::State::{Backup, Init, Master};

use crate::common::{
    INTERVAL, LATE, Lan, SOON, VIP, assert_waited, down_interval, instance, only, skew, with,
};
use crate::pair::{HIGH, LOW, Pair};

pub(crate) fn dead_master_is_replaced_within_master_down_interval() -> Outcome {
    let pair = Pair::new()?;
    let (_a, b) = pair.start()?;
    let died = Moment::now();
    pair.a.host.power_off()?;
    let takeover = pair.lan.advert_of(&pair.b, died)?;
    let last = pair.lan.last_advert_of(&pair.a)?;
    assert_waited(last.at, takeover.at, down_interval(LOW, INTERVAL));
    assert_eq!(takeover.priority, LOW);
    pair.b.address_event(VIP, true, died)?;
    pair.lan.announcement(VIP, died)?;

    let line = b.wait_for("VI_1", Backup, Master, died, SOON)?.text;
    let lasted = silence(&line, "no advertisement from 192.168.224.11 for ")?;
    assert_silence(lasted, down_interval(LOW, INTERVAL));
    let status = b.instance("VI_1")?;
    assert!(
        line.ends_with(&*status.cause),
        "{line} but {}",
        status.cause
    );
    assert_eq!((status.state, status.counters.became_master), (Master, 1));
    assert_eq!(status.counters.dropped.total(), 0);
    Ok(())
}

pub(crate) fn stopped_master_hands_over_after_skew_time() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let stopped = Moment::now();
    assert_eq!(a.stop()?.code(), Some(0));
    let resigned = pair.lan.advert(stopped, |advert| advert.priority == 0)?;
    assert_eq!(resigned.source, pair.a.address);
    let takeover = pair.lan.advert_of(&pair.b, stopped)?;
    assert_waited(resigned.at, takeover.at, skew(LOW, INTERVAL));
    pair.b.address_event(VIP, true, stopped)?;
    let line = b.wait_for("VI_1", Backup, Master, stopped, SOON)?;
    assert!(
        line.text.ends_with("192.168.224.11 resigned (priority 0)"),
        "{}",
        line.text
    );
    a.wait_for("VI_1", Master, Init, stopped, SOON)?;
    let after = pair.lan.adverts_of(&pair.a, 51, resigned.at);
    assert_eq!(after, [], "advertisements after the resignation");
    Ok(())
}

pub(crate) fn higher_priority_router_fails_back() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    a.stop()?;
    b.wait_for_state("VI_1", Master, SOON)?;
    drop(a);
    let back = Moment::now();
    let a = pair.start_a()?;
    let line = a.wait_for("VI_1", Backup, Master, back, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.12 advertises priority 100, ours is 200: preempted"),
        "{line}"
    );
    let line = b.wait_for("VI_1", Master, Backup, back, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.11 advertises priority 200, ours is 100: yielded"),
        "{line}"
    );
    pair.b.address_event(VIP, false, back)?;
    let takeover = pair.lan.advert_of(&pair.a, back)?;
    let after = pair.lan.pass(&pair.a, 5)?;
    let both = held_twice(&[&pair.a.watch, &pair.b.watch], VIP);
    for (from, to) in both {
        let to = to.unwrap_or(after.at);
        assert!(
            to.since(from) < LATE,
            "both hosts held the address from {from} to {to}"
        );
    }
    let yielded = pair.lan.adverts_of(&pair.b, 51, takeover.at + LATE);
    assert_eq!(yielded, [], "the former master still advertises");
    Ok(())
}

pub(crate) fn without_preempt_higher_priority_waits_for_master_failure() -> Outcome {
    let pair = Pair::new()?;
    let b = Vrrpd::start(&pair.b.host, &only(instance(LOW)))?;
    b.wait_for_state("VI_1", Master, SOON)?;
    let patient = only(with(instance(HIGH), json!({ "preempt": false })));
    let started = Moment::now();
    let a = Vrrpd::start(&pair.a.host, &patient)?;
    pair.lan.pass(&pair.b, 12)?;
    assert_eq!(a.instance("VI_1")?.state, Backup);
    assert_eq!(pair.lan.adverts_of(&pair.a, 51, started), []);
    pair.b.host.power_off()?;
    a.wait_for("VI_1", Backup, Master, started, SOON)?;
    Ok(())
}

// RFC 9568 6.4.2 MUST NOT: answer ARP requests for a virtual address
// RFC 9568 6.4.3 MUST: answer ARP requests for the virtual addresses
// RFC 9568 6.4.3 MUST: accept packets to its addresses as owner or in Accept_Mode
pub(crate) fn only_the_master_answers_for_the_address() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    // Each client has an empty neighbour table, so it has to send an ARP request.
    let (early, late) = (pair.lan.station("c", 13)?, pair.lan.station("d", 14)?);
    assert_eq!(pair.answering_macs(&early)?, [pair.a.host.mac("ens33")?]);
    a.stop()?;
    b.wait_for_state("VI_1", Master, SOON)?;
    assert_eq!(pair.answering_macs(&late)?, [pair.b.host.mac("ens33")?]);
    Ok(())
}

pub(crate) fn equal_priority_elects_greater_address() -> Outcome {
    let pair = Pair::new()?;
    let equal = only(instance(LOW));
    // The cut keeps the hosts from receiving each other's advertisements until both are masters.
    pair.a.cable.pull()?;
    let b = Vrrpd::start(&pair.b.host, &equal)?;
    b.wait_for_state("VI_1", Master, SOON)?;
    let a = Vrrpd::start(&pair.a.host, &equal)?;
    pair.a.cable.set(vrrp_lab::Impairment::cut())?;
    pair.a.cable.plug()?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let joined = Moment::now();
    pair.a.cable.set(vrrp_lab::Impairment::default())?;
    let line = a.wait_for("VI_1", Master, Backup, joined, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.12 has the same priority 100 and the greater address"),
        "{line}"
    );
    pair.a.address_event(VIP, false, joined)?;
    pair.lan.pass(&pair.b, 5)?;
    assert_eq!(b.instance("VI_1")?.state, Master);
    Ok(())
}

pub(crate) fn state_master_shortens_first_wait_to_interval_and_skew() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let hint = only(with(
        instance(HIGH),
        json!({ "state": "master", "advertInterval": 1 }),
    ));
    let daemon = Vrrpd::start(&a.host, &hint)?;
    let line = daemon
        .wait_for("VI_1", Backup, Master, Moment::default(), SOON)?
        .text;
    let second = Duration::from_secs(1);
    let listened = silence(&line, "no advertisement from any router for ")?;
    assert_silence(listened, second + skew(HIGH, second));
    Ok(())
}

pub(crate) fn isolated_master_recovers_after_link_is_restored() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    // Nothing that a sends is delivered: the backup takes over, and a receives its advertisements but
    // cannot answer.
    let cut = Moment::now();
    pair.a.cable.set(vrrp_lab::Impairment::mute())?;
    b.wait_for("VI_1", Backup, Master, cut, SOON)?;
    let warned = a.process().wait_for_line(
        |line| line.contains("192.168.224.12 advertises priority 100 although this host is master"),
        SOON,
    )?;
    assert!(warned.at > cut);
    let joined = Moment::now();
    pair.a.cable.set(vrrp_lab::Impairment::default())?;
    b.wait_for("VI_1", Master, Backup, joined, SOON)?;
    assert_eq!(a.instance("VI_1")?.state, Master);
    // The neighbours have learnt the MAC address of b, so a has to announce the address again.
    pair.lan.announcement(VIP, joined - LATE)?;
    Ok(())
}

pub(crate) fn terminating_signals_hand_over() -> Outcome {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let pair = Pair::new()?;
        let (a, b) = pair.start()?;
        let stopped = Moment::now();
        a.process().kill(signal)?;
        assert_eq!(a.process().wait(SOON)?.code(), Some(0), "{signal}");
        pair.lan.advert(stopped, |advert| advert.priority == 0)?;
        b.wait_for("VI_1", Backup, Master, stopped, SOON)?;
        assert!(!pair.a.host.holds(VIP)?);
    }
    Ok(())
}

/// Reads the duration of a silence from a log line, after the text `before`: `0.361 s`.
fn silence(line: &str, before: &str) -> Result<Duration> {
    line.split_once(before)
        .and_then(|(_, words)| words.strip_suffix(" s")?.parse().ok())
        .map(Duration::from_secs_f64)
        .ok_or_else(|| Error::new("reading the cause of a transition", line.to_owned()))
}

/// Asserts that a logged silence, which is in milliseconds, is the one of the protocol.
#[track_caller]
fn assert_silence(lasted: Duration, wait: Duration) {
    let resolution = Duration::from_millis(1);
    assert!(
        (wait - resolution..wait + LATE).contains(&lasted),
        "the silence lasted {lasted:?}, by the protocol {wait:?}"
    );
}
