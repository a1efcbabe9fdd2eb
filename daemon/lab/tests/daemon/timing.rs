//! Configured delays, bursts and paces.

use std::time::Duration;

use serde_json::json;
use vrrp_lab::Moment;
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_proto::State::{Backup, Init, Master};

use crate::common::{
    INTERVAL, LATE, Lan, SOON, VIP, assert_waited, down_interval, instance, only, vip, with,
};
use crate::pair::{HIGH, LOW, Pair};

pub(crate) fn preempt_delay_postpones_preemption() -> Outcome {
    let pair = Pair::new()?;
    let b = Vrrpd::start(&pair.b.host, &only(instance(LOW)))?;
    b.wait_for_state("VI_1", Master, SOON)?;
    let patient = only(with(instance(HIGH), json!({ "preemptDelay": "3s" })));
    let a = Vrrpd::start(&pair.a.host, &patient)?;
    let started = a.wait_for("VI_1", Init, Backup, Moment::default(), SOON)?;
    pair.lan.pass(&pair.b, 5)?;
    let status = a.instance("VI_1")?;
    let waits = "192.168.224.12 advertises priority 100, ours is 200: to be preempted in ";
    assert!(status.cause.starts_with(waits), "{}", status.cause);
    assert!(
        status.cause.ends_with(" s (preemptDelay)"),
        "{}",
        status.cause
    );
    let takeover = pair.lan.advert_of(&pair.a, started.at)?;
    assert_waited(started.at, takeover.at + LATE / 2, Duration::from_secs(3));
    let line = a.wait_for("VI_1", Backup, Master, started.at, SOON)?.text;
    assert!(line.contains("ours is 200: preempted after 3.0"), "{line}");
    b.wait_for("VI_1", Master, Backup, started.at, SOON)?;
    Ok(())
}

pub(crate) fn preempt_delay_does_not_delay_failover() -> Outcome {
    let pair = Pair::new()?;
    let b = Vrrpd::start(&pair.b.host, &only(instance(LOW)))?;
    b.wait_for_state("VI_1", Master, SOON)?;
    let patient = only(with(instance(HIGH), json!({ "preemptDelay": 1000 })));
    let a = Vrrpd::start(&pair.a.host, &patient)?;
    a.wait_for("VI_1", Init, Backup, Moment::default(), SOON)?;
    pair.lan.pass(&pair.b, 6)?;
    let died = Moment::now();
    pair.b.host.power_off()?;
    let takeover = pair.lan.advert_of(&pair.a, died)?;
    let last = pair.lan.last_advert_of(&pair.b)?;
    assert_waited(last.at, takeover.at, down_interval(HIGH, INTERVAL));
    let line = a.wait_for("VI_1", Backup, Master, died, SOON)?.text;
    assert!(
        line.contains("no advertisement from 192.168.224.12 for "),
        "{line}"
    );
    Ok(())
}

pub(crate) fn startup_delay_applies_even_with_state_master() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let slow = json!({ "state": "master", "startupDelay": "2s" });
    let daemon = Vrrpd::start(&a.host, &only(with(instance(HIGH), slow)))?;
    let started = daemon.wait_for("VI_1", Init, Backup, Moment::default(), SOON)?;
    let status = daemon.instance("VI_1")?;
    assert!(
        status.cause.starts_with("started, listening for "),
        "{}",
        status.cause
    );
    let first = lan.advert_of(&a, Moment::default())?;
    assert_waited(started.at, first.at + LATE / 2, Duration::from_secs(2));
    Ok(())
}

pub(crate) fn announcement_burst_is_sent_at_once_and_refreshed() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let announce = json!({ "announce": { "burst": 3, "delay": 0, "refresh": 1 } });
    let daemon = Vrrpd::start(&a.host, &only(with(instance(HIGH), announce)))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    let first = lan.announcement(VIP, Moment::default())?;
    let refreshed = lan.announcement(VIP, first.at + LATE)?;
    // The burst is due when the router becomes master, and sent once the address is there.
    assert_waited(first.at, refreshed.at + LATE / 2, Duration::from_secs(1));
    // The third burst shows that the second one is complete.
    lan.announcement(VIP, refreshed.at + LATE)?;
    let all = lan.announcements(VIP, Moment::default());
    let count = |from: Moment| {
        let here = all
            .iter()
            .filter(|frame| frame.at >= from && frame.at < from + LATE);
        here.count()
    };
    assert_eq!((count(first.at), count(refreshed.at)), (3, 3));
    Ok(())
}

pub(crate) fn announcements_keep_configured_pace() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let addresses: Vec<_> = (100..110).map(|n| format!("192.168.224.{n}/24")).collect();
    let slow = json!({
        "virtualAddresses": addresses,
        "announce": { "burst": 2, "delay": 0, "pace": 20 },
    });
    let daemon = Vrrpd::start(&a.host, &only(with(instance(HIGH), slow)))?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    let gap = Duration::from_millis(50);
    // The burst is complete when the last address is announced the second time.
    let once = lan.announcement(vip(109), Moment::default())?;
    let twice = lan.announcement(vip(109), once.at)?;
    let mut times: Vec<Moment> = (100..110)
        .flat_map(|n| lan.announcements(vip(n), Moment::default()))
        .map(|frame| frame.at)
        .collect();
    times.sort();
    assert_eq!(times.len(), 20);
    assert_eq!(times.last(), Some(&twice.at));
    for pair in times.windows(2) {
        let apart = pair[1].since(pair[0]);
        assert!(apart + Duration::from_millis(10) >= gap, "{apart:?}");
    }
    assert!(times[19].since(times[0]) < gap * 19 + LATE, "{times:?}");
    // Advertisements continued in the meantime.
    let sent = lan.adverts_of(&a, 51, times[0]);
    let meanwhile = sent.iter().filter(|advert| advert.at < times[19]).count();
    assert!(meanwhile >= 8, "only {meanwhile} advertisements in 950 ms");
    Ok(())
}
