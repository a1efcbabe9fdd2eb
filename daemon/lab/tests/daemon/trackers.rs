//! Check scripts and watched interfaces.

use serde_json::{Value, json};
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Host, Moment, Result};
use vrrp_proto::State::{Backup, Fault, Master};

use crate::common::{
    INTERVAL, LATE, Lan, SOON, VIP, assert_rhythm, assert_waited, instance, only, skew, tracked,
    with,
};
use crate::pair::{HIGH, LOW, Pair};

pub(crate) fn a_failed_script_resigns_and_recovers() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = start(&pair, &check(json!(["check"]), json!({})))?;
    let failed = Moment::now();
    pair.a.host.write("/run/down", "", 0o644)?;
    let resigned = pair.lan.advert(failed, |advert| advert.priority == 0)?;
    let takeover = pair.lan.advert_of(&pair.b, failed)?;
    assert_waited(resigned.at, takeover.at, skew(LOW, INTERVAL));
    let line = a.wait_for("VI_1", Master, Fault, failed, SOON)?.text;
    assert!(line.ends_with(": tracker check is down"), "{line}");
    let gone = pair.a.address_event(VIP, false, failed)?;
    assert!(gone < pair.b.address_event(VIP, true, failed)?);
    let said = "tracker check is down: exit status: 7: no service";
    a.process()
        .wait_for_line(|line| line.contains(said), SOON)?;
    let status = a.status()?;
    assert_eq!(
        (status.trackers[0].well, &*status.instances[0].cause),
        (Some(false), "tracker check is down")
    );

    let recovered = Moment::now();
    pair.a.host.shell("rm /run/down")?;
    let line = a.wait_for("VI_1", Fault, Backup, recovered, SOON)?.text;
    assert!(line.ends_with(": over: tracker check is down"), "{line}");
    b.wait_for("VI_1", Master, Backup, recovered, SOON)?;
    a.wait_for_state("VI_1", Master, SOON)?;
    Ok(())
}

pub(crate) fn a_weight_lowers_the_advertised_priority() -> Outcome {
    let pair = Pair::new()?;
    let track = json!([{ "tracker": "check", "weight": -150 }]);
    let (a, b) = start(&pair, &check(track, json!({})))?;
    let failed = Moment::now();
    pair.a.host.write("/run/down", "", 0o644)?;
    pair.lan.advert(failed, |advert| {
        advert.source == pair.a.address && advert.priority == HIGH - 150
    })?;
    let line = b.wait_for("VI_1", Backup, Master, failed, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.11 advertises priority 50, ours is 100: preempted"),
        "{line}"
    );
    a.wait_for("VI_1", Master, Backup, failed, SOON)?;
    let priority = a.instance("VI_1")?.priority;
    assert_eq!(
        (priority.effective.get(), &*priority.because),
        (50, &["check -150".to_owned()][..])
    );
    pair.a.host.shell("rm /run/down")?;
    let line = a.wait_for("VI_1", Backup, Master, failed, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.12 advertises priority 100, ours is 200: preempted"),
        "{line}"
    );
    Ok(())
}

pub(crate) fn a_script_that_hangs_is_killed_with_its_children_and_never_runs_twice() -> Outcome {
    let pair = Pair::new()?;
    let script = "#!/bin/sh\n\
        echo start >>/run/starts\n\
        while [ -e /run/hang ]; do sleep 86125 & sleep 86126; done\n";
    let timeout = json!({ "timeout": "300ms" });
    let (a, _b) = start(&pair, &check(json!(["check"]), timeout))?;
    let from = Moment::now();
    pair.a.host.write("/run/hang", "", 0o644)?;
    pair.a.host.write("/run/check.sh", script, 0o755)?;
    let line = a.wait_for("VI_1", Master, Fault, from, SOON)?;
    a.process().wait_for_line(
        |line| line.contains("tracker check is down: killed, because it took longer than 0.3 s"),
        SOON,
    )?;
    // It goes on trying, and there is one at a time, or none between two.
    let mut starts = 0;
    while starts < 6 {
        let count = pair.a.host.shell("pgrep -c -f 'sleep 8612[6]' || true")?;
        assert!(matches!(count.trim(), "0" | "1"), "{count} at a time");
        starts = pair.a.host.shell("cat /run/starts")?.lines().count();
    }
    assert!(
        line.at.elapsed() >= INTERVAL * 9,
        "started {starts} times too fast"
    );
    pair.a.host.shell("rm /run/hang")?;
    a.wait_for("VI_1", Fault, Backup, from, SOON)?;
    assert_gone(&pair.a.host, "sleep 8612[56]")?;
    Ok(())
}

pub(crate) fn scripts_never_delay_an_advertisement() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    a.host.write(
        "/run/check.sh",
        "#!/bin/sh\nyes | head -c 5000000\nexec sleep 86127\n",
        0o755,
    )?;
    let trackers: serde_json::Map<String, Value> = (0..8)
        .map(|n| {
            let script =
                json!({ "command": ["/run/check.sh"], "interval": "200ms", "timeout": "200ms" });
            (format!("check{n}"), json!({ "script": script }))
        })
        .collect();
    let track: Vec<Value> = trackers
        .keys()
        .map(|name| json!({ "tracker": name, "weight": -1 }))
        .collect();
    let whole = tracked(
        trackers.into(),
        json!({ "VI_1": with(instance(HIGH), json!({ "track": track })) }),
    );
    let daemon = Vrrpd::start(&a.host, &whole)?;
    daemon.wait_for_state("VI_1", Master, SOON)?;
    let from = lan.pass(&a, 1)?.at;
    lan.advert(from, |advert| advert.priority == HIGH - 8)?;
    lan.pass(&a, 20)?;
    assert_rhythm(&lan.adverts_of(&a, 51, from), INTERVAL);
    // With its end its scripts end too.
    assert!(daemon.stop()?.success());
    assert_gone(&a.host, "sleep 8612[7]")?;
    Ok(())
}

pub(crate) fn a_watched_interface_without_carrier_is_a_fault() -> Outcome {
    let pair = Pair::new()?;
    let inner = vrrp_lab::Segment::new("inner")?;
    let cable = inner.attach(&pair.a.host, "ens37", "192.168.198.11/24")?;
    let whole = tracked(
        json!({ "inside": { "interface": { "name": "ens37" } } }),
        json!({ "VI_1": with(instance(HIGH), json!({ "track": ["inside"] })) }),
    );
    let (a, b) = pair.start_with(&whole, &only(instance(LOW)))?;
    let pulled = Moment::now();
    cable.pull()?;
    let resigned = pair.lan.advert(pulled, |advert| advert.priority == 0)?;
    assert!(resigned.at.since(pulled) < LATE);
    let line = a.wait_for("VI_1", Master, Fault, pulled, SOON)?.text;
    assert!(line.ends_with(": tracker inside is down"), "{line}");
    b.wait_for("VI_1", Backup, Master, pulled, SOON)?;
    let detail = a.status()?.trackers[0].detail.to_string();
    assert_eq!(detail, "interface ens37 has no carrier");
    let plugged = Moment::now();
    cable.plug()?;
    a.wait_for("VI_1", Fault, Backup, plugged, SOON)?;
    a.wait_for("VI_1", Backup, Master, plugged, SOON)?;
    Ok(())
}

/// The configuration of a master that runs /run/check.sh every 100 ms.
fn check(track: Value, more: Value) -> String {
    let script = json!({ "command": ["/run/check.sh"], "interval": "100ms", "timeout": "1s" });
    tracked(
        json!({ "check": { "script": with(script, more) } }),
        json!({ "VI_1": with(instance(HIGH), json!({ "track": track })) }),
    )
}

/// Starts that master, whose check fails while there is /run/down, and the usual backup.
fn start<'p>(pair: &'p Pair, master: &str) -> Result<(Vrrpd<'p>, Vrrpd<'p>)> {
    let script = "#!/bin/sh\n[ -e /run/down ] || exit 0\necho no service\nexit 7\n";
    pair.a.host.write("/run/check.sh", script, 0o755)?;
    pair.start_with(master, &only(instance(LOW)))
}

/// Asserts that no process of this pattern is left, as soon as the kernel has buried the killed.
fn assert_gone(host: &Host, pattern: &str) -> Result<()> {
    let wait = format!(
        "n=0; while pgrep -f '{pattern}'; do n=$((n+1)); [ $n -lt 500 ] || exit 1; sleep 0.01; done"
    );
    host.shell(&wait).map(drop)
}
