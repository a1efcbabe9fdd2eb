//! A daemon that is stopped and continued, as by suspending the machine.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use serde_json::json;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Filter, Moment, Result, Signal, held_twice, ipv4_frame};
use vrrp_proto::State::{Backup, Master};
use vrrp_proto::wire::{GROUP_V4, HOP_LIMIT, ipv4};

use crate::common::{
    INTERVAL, LATE, SOON, Station, VIP, assert_rhythm, down_interval, instance, only, with,
};
use crate::pair::{HIGH, LOW, Pair};

pub(crate) fn resumed_master_releases_addresses_and_listens_first() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let stopped = Moment::now();
    a.process().kill(Signal::SIGSTOP)?;
    b.wait_for("VI_1", Backup, Master, stopped, SOON)?;
    pair.lan.pass(&pair.b, 5)?;

    let woken = Moment::now();
    a.process().kill(Signal::SIGCONT)?;
    let gone = pair.a.address_event(VIP, false, woken)?;
    assert!(
        gone.since(woken) < LATE,
        "the address was kept for {:?}",
        gone.since(woken)
    );
    let line = a.wait_for("VI_1", Master, Backup, woken, SOON)?.text;
    assert!(
        line.contains("not scheduled for ") && line.ends_with(": another host may be master"),
        "{line}"
    );
    let first = pair.lan.advert_of(&pair.a, woken)?;
    let listened = first.at.since(woken);
    assert!(
        listened >= down_interval(HIGH, INTERVAL),
        "only {listened:?} without an advertisement"
    );
    // After that, a takes over by its higher priority.
    b.wait_for("VI_1", Master, Backup, woken, SOON)?;
    let end = pair.lan.pass(&pair.a, 3)?.at;
    for (from, to) in held_twice(&[&pair.a.watch, &pair.b.watch], VIP) {
        let to = to.unwrap_or(end);
        assert!(
            to <= woken + LATE || to.since(from) < LATE,
            "both hosts held the address from {from} to {to}"
        );
    }
    let status = a.instance("VI_1")?;
    assert_eq!((status.state, status.counters.became_master), (Master, 2));
    Ok(())
}

pub(crate) fn resumed_master_without_peer_listens_first() -> Outcome {
    let pair = Pair::new()?;
    let a = pair.start_a()?;
    a.wait_for_state("VI_1", Master, SOON)?;
    a.process().kill(Signal::SIGSTOP)?;
    sleep(INTERVAL * 8);
    let woken = Moment::now();
    a.process().kill(Signal::SIGCONT)?;
    pair.a.address_event(VIP, false, woken)?;
    let first = pair.lan.advert_of(&pair.a, woken)?;
    let listened = first.at.since(woken);
    assert!(
        listened >= down_interval(HIGH, INTERVAL),
        "only {listened:?} without an advertisement"
    );
    Ok(())
}

pub(crate) fn short_suspension_causes_no_transition() -> Outcome {
    let pair = Pair::new()?;
    let slow = |priority| {
        only(with(
            instance(priority),
            json!({ "advertInterval": "500ms" }),
        ))
    };
    let (a, b) = pair.start_with(&slow(HIGH), &slow(LOW))?;
    // The second announcement follows a second after the first; wait until only advertisements are sent.
    let from = pair.lan.pass(&pair.a, 3)?.at;
    let events = (pair.a.address_events(), pair.b.address_events());
    for daemon in [&a, &b] {
        daemon.process().kill(Signal::SIGSTOP)?;
        sleep(Duration::from_millis(200));
        daemon.process().kill(Signal::SIGCONT)?;
        pair.lan.pass(&pair.a, 2)?;
    }
    pair.lan.pass(&pair.a, 2)?;
    assert_rhythm(
        &pair.lan.adverts_of(&pair.a, 51, from),
        Duration::from_millis(500),
    );
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    assert_eq!(events, (pair.a.address_events(), pair.b.address_events()));
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    assert_eq!(b.instance("VI_1")?.counters.late_wakeups, 0);
    Ok(())
}

pub(crate) fn resumed_backup_reads_queue_behind_flood() -> Outcome {
    let mut pair = Pair::new()?;
    let stranger = pair.lan.station("stranger", 66)?;
    let source = stranger.host.mac("ens33")?;
    // Without the filter the stranger's frames would fill the memory of the test.
    pair.lan.frames = pair.lan.segment.capture(Filter::all().not_from(source))?;
    let interval = Duration::from_secs(1);
    let slow = |priority| only(with(instance(priority), json!({ "advertInterval": "1s" })));
    let (a, b) = pair.start_with(&slow(HIGH), &slow(LOW))?;
    let junk = junk(source, &pair.b)?;

    let last = pair.lan.advert_of(&pair.a, Moment::now())?;
    // The answer comes after the advertisement was read, from which the daemon counts.
    b.status()?;
    b.process().kill(Signal::SIGSTOP)?;
    // Only root may enlarge a socket's receive buffer beyond the packets that the daemon reads in one turn.
    let (pace, least) = if roomy(&pair.b)? {
        (10, 4_000)
    } else {
        (1_000, 256)
    };
    let pace = Some(Duration::from_millis(pace));
    let flood = stranger.host.flood("ens33", vec![junk], pace)?;
    sleep(interval / 2);
    let sent = flood.stop()?;
    assert!(sent.frames >= least, "too few frames for a flood: {sent:?}");
    // Half an interval after its deadline the daemon would still take over for a missing advertisement.
    sleep((down_interval(LOW, interval) + interval / 2).saturating_sub(last.at.elapsed()));
    b.process().kill(Signal::SIGCONT)?;
    pair.lan.pass(&pair.a, 2)?;
    assert_eq!(
        pair.lan.adverts_of(&pair.b, 51, last.at),
        [],
        "{sent:?}\n{:?}\n{}",
        b.status()?,
        b.process().log()
    );
    let counters = b.instance("VI_1")?.counters;
    assert_eq!((counters.became_master, counters.late_wakeups), (0, 0));
    assert_eq!(counters.dropped.Checksum, sent.frames);
    assert_eq!(a.instance("VI_1")?.counters.second_masters, 0);
    assert_eq!(b.status()?.lost, 0);
    Ok(())
}

pub(crate) fn receive_buffer_overflow_is_logged() -> Outcome {
    let mut pair = Pair::new()?;
    let stranger = pair.lan.station("stranger", 66)?;
    let source = stranger.host.mac("ens33")?;
    pair.lan.frames = pair.lan.segment.capture(Filter::all().not_from(source))?;
    let (_a, b) = pair.start()?;
    let junk = junk(source, &pair.b)?;
    b.process().kill(Signal::SIGSTOP)?;
    let flood = stranger.host.flood("ens33", vec![junk], None)?;
    // The last column of /proc/net/raw counts the packets that the kernel dropped at a full socket.
    let full = "until awk 'NR > 1 && $NF > 0 { found = 1 } END { exit !found }' /proc/net/raw; do \
                sleep 0.05; done";
    pair.b.host.shell(full)?;
    flood.stop()?;
    b.process().kill(Signal::SIGCONT)?;
    b.process()
        .wait_for_line(|line| line.contains("receive buffer overflow on "), SOON)?;
    assert!(b.status()?.lost > 0);
    Ok(())
}

pub(crate) fn resumed_backup_does_not_replace_living_master() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let from = pair.lan.advert_of(&pair.a, Moment::now())?.at;
    // Once with packets in the queue of b, and once without any, because nothing was delivered to b while
    // it was stopped.
    for mute in [false, true] {
        b.process().kill(Signal::SIGSTOP)?;
        if mute {
            pair.b.cable.set(vrrp_lab::Impairment::deaf())?;
        }
        pair.lan.pass(&pair.a, 10)?;
        if mute {
            pair.b.cable.set(vrrp_lab::Impairment::default())?;
        }
        b.process().kill(Signal::SIGCONT)?;
        pair.lan.pass(&pair.a, 10)?;
    }
    assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    let status = b.instance("VI_1")?;
    assert_eq!((status.state, status.counters.became_master), (Backup, 0));
    assert_eq!(a.instance("VI_1")?.counters.second_masters, 0);
    Ok(())
}

/// Whether a socket may exceed the limit of its receive buffer: CAP_NET_ADMIN of a user namespace is not
/// sufficient (socket(7), SO_RCVBUFFORCE).
fn roomy(station: &Station) -> Result<bool> {
    let forced = station.host.run(|| -> nix::Result<bool> {
        let socket = socket(
            AddressFamily::Inet,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        Ok(setsockopt(&socket, sockopt::RcvBufForce, &(1 << 20)).is_ok())
    });
    forced.map_err(|errno| Error::new("opening a socket", errno))
}

/// Returns a frame to the card of a station, with an advertisement that has a wrong checksum.
fn junk(source: [u8; 6], to: &Station) -> Result<Vec<u8>> {
    let message = [0x31, 51, 254, 0, 0, 100, 0, 0];
    let header = ipv4::header(
        Ipv4Addr::new(192, 168, 224, 66),
        GROUP_V4,
        HOP_LIMIT,
        message.len(),
    );
    let packet = [&header[..], &message].concat();
    Ok(ipv4_frame(to.host.mac("ens33")?, source, &packet))
}
