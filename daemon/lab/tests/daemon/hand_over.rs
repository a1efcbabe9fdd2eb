//! Hand-over: a master that is stopped holds its addresses until its successor advertises.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::json;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Echoes, Error, Moment, Result, Signal};
use vrrp_proto::State::{Backup, Init, Master};

use crate::common::{LATE, SOON, Station, VIP, assert_waited, instance, only, skew, with};
use crate::pair::{HIGH, LOW, Pair};

const SECOND: Duration = Duration::from_secs(1);
/// Longest hand-over at intervals up to a second.
const BOUND: Duration = Duration::from_millis(1_250);

/// An instance with an interval of a second, in which a take-over without a hand-over costs the skew time.
fn slow(priority: u8) -> serde_json::Value {
    with(instance(priority), json!({ "advertInterval": "1s" }))
}

fn vip() -> Result<Ipv4Addr> {
    match VIP {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Error::new("sending echo requests", "not an IPv4 address")),
    }
}

/// Stops `a` while a client sends echo requests, until `b` serves.
fn hand_over(pair: &Pair, client: &Station, a: &Vrrpd<'_>, b: &Vrrpd<'_>) -> Result<Echoes> {
    let echo = client.host.echo(vip()?)?;
    let stopped = Moment::now();
    a.process().kill(Signal::SIGTERM)?;
    b.wait_for("VI_1", Backup, Master, stopped, SOON)?;
    a.process().wait(SOON)?;
    pair.lan.pass(&pair.b, 1)?;
    echo.stop()
}

/// Starts a without a backup, stops it, and returns while it hands over, with the time of the stop.
fn stop_alone(pair: &Pair) -> Result<(Vrrpd<'_>, Moment)> {
    let a = pair.start_a()?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let stopped = Moment::now();
    a.process().kill(Signal::SIGTERM)?;
    pair.lan.advert(stopped, |advert| advert.priority == 0)?;
    Ok((a, stopped))
}

#[track_caller]
fn assert_no_outage(echoes: &Echoes) {
    // The longest time between a successor's first advertisement and its announcement on a busy machine.
    let most = skew(LOW, SECOND) / 4;
    let (outage, lost) = (echoes.outage(), echoes.lost());
    assert!(echoes.sent() > 100, "{} requests", echoes.sent());
    assert!(outage < most, "{lost} requests lost, outage {outage:?}");
}

pub(crate) fn stopped_master_answers_until_its_successor_does() -> Outcome {
    let pair = Pair::new()?;
    let client = pair.lan.station("c", 13)?;
    let (a, b) = pair.start_with(&only(slow(HIGH)), &only(slow(LOW)))?;
    let stopped = Moment::now();
    let echoes = hand_over(&pair, &client, &a, &b)?;
    assert_no_outage(&echoes);
    let takeover = pair.lan.advert_of(&pair.b, stopped)?;
    let gone = pair.a.address_event(VIP, false, stopped)?;
    assert!(takeover.at < gone, "{} and {gone}", takeover.at);
    assert!(gone.since(takeover.at) < LATE);
    let resigned = pair.lan.advert(stopped, |advert| advert.priority == 0)?;
    assert_eq!(
        pair.lan.adverts_of(&pair.a, 51, resigned.at),
        [],
        "advertisements after the resignation"
    );
    let is_end = |line: &str| {
        line.contains("VI_1: addresses released") && line.ends_with(": 192.168.224.12 advertises")
    };
    a.process().wait_for_line(is_end, SOON)?;
    Ok(())
}

pub(crate) fn status_shows_the_hand_over_of_a_stopping_daemon() -> Outcome {
    let pair = Pair::new()?;
    let a = Vrrpd::start(&pair.a.host, &only(slow(HIGH)))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let stopped = Moment::now();
    a.process().kill(Signal::SIGTERM)?;
    pair.lan.advert(stopped, |advert| advert.priority == 0)?;
    let status = a.instance("VI_1")?;
    assert_eq!(status.state, Init);
    let left = status.releases_in.ok_or("no hand-over")?;
    assert!(left > 0.0 && left <= BOUND.as_secs_f64(), "{left}");
    assert!(status.cause.starts_with("handing over"), "{}", status.cause);
    Ok(())
}

pub(crate) fn stop_without_successor_releases_after_the_bound() -> Outcome {
    let pair = Pair::new()?;
    let a = pair.start_a()?;
    a.wait_for_state("VI_1", Master, SOON)?;
    let stopped = Moment::now();
    assert_eq!(a.stop()?.code(), Some(0));
    let resigned = pair.lan.advert(stopped, |advert| advert.priority == 0)?;
    let gone = pair.a.address_event(VIP, false, stopped)?;
    assert_waited(resigned.at, gone, BOUND);
    assert!(!pair.a.host.holds(VIP)?);
    Ok(())
}

pub(crate) fn second_stop_signal_releases_at_once() -> Outcome {
    let pair = Pair::new()?;
    let (a, stopped) = stop_alone(&pair)?;
    assert!(pair.a.host.holds(VIP)?);
    let again = Moment::now();
    a.process().kill(Signal::SIGTERM)?;
    let gone = pair.a.address_event(VIP, false, stopped)?;
    assert!(gone.since(again) < LATE, "{:?}", gone.since(again));
    a.process().wait(SOON)?;
    Ok(())
}

pub(crate) fn lost_link_ends_the_hand_over() -> Outcome {
    let pair = Pair::new()?;
    let (a, stopped) = stop_alone(&pair)?;
    let pulled = Moment::now();
    pair.a.cable.pull()?;
    let gone = pair.a.address_event(VIP, false, stopped)?;
    assert!(gone.since(pulled) < LATE, "{:?}", gone.since(pulled));
    a.process().wait(SOON)?;
    Ok(())
}

pub(crate) fn virtual_mac_is_handed_over_without_outage() -> Outcome {
    let pair = Pair::new()?;
    let client = pair.lan.station("c", 13)?;
    let configured = |priority| only(with(slow(priority), json!({ "virtualMac": {} })));
    let (a, b) = pair.start_with(&configured(HIGH), &configured(LOW))?;
    let echoes = hand_over(&pair, &client, &a, &b)?;
    assert_no_outage(&echoes);
    Ok(())
}
