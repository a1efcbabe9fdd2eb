//! Trackers: check scripts, and interfaces, files, processes, routes and gateways.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::{Vrrpd, start_scripts};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Error, Host, Moment, Result, Signal};
use vrrp_proto::State::{Backup, Fault, Master};
use vrrp_proto::snapshot::TrackerStatus;

use crate::common::{
    INTERVAL, LATE, Lan, SOON, VIP, assert_rhythm, assert_waited, instance, only, skew, tracked,
    with,
};
use crate::pair::{HIGH, LOW, Pair};

pub(crate) fn failed_script_causes_resignation_until_success() -> Outcome {
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
        (status.trackers[0].up, &*status.instances[0].cause),
        (Some(false), "tracker check is down")
    );

    let recovered = Moment::now();
    pair.a.host.shell("rm /run/down")?;
    let line = a.wait_for("VI_1", Fault, Backup, recovered, SOON)?.text;
    assert!(
        line.ends_with(": recovered from: tracker check is down"),
        "{line}"
    );
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
    let lowered = pair.lan.advert(failed, |advert| {
        advert.source == pair.a.address && advert.priority == HIGH - 150
    })?;
    let first = pair
        .lan
        .advert(lowered.at, |advert| advert.source == pair.b.address)?;
    let waited = first.at.since(lowered.at);
    assert!(
        waited < INTERVAL * 2,
        "{waited:?} are more than the skew time"
    );
    let line = b.wait_for("VI_1", Backup, Master, failed, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.11 advertises priority 50, ours is 100: preempted"),
        "{line}"
    );
    a.wait_for("VI_1", Master, Backup, failed, SOON)?;
    let priority = a.instance("VI_1")?.priority;
    assert_eq!(
        (priority.effective.get(), &*priority.reasons),
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

pub(crate) fn hanging_script_is_killed_and_never_runs_twice() -> Outcome {
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
    // The daemon keeps starting it, at most one at a time.
    let mut starts = 0;
    while starts < 6 {
        let count = pair.a.host.shell("pgrep -c -f 'sleep 8612[6]' || true")?;
        assert!(
            matches!(count.trim(), "0" | "1"),
            "{count} processes at a time"
        );
        starts = pair.a.host.shell("cat /run/starts")?.lines().count();
    }
    assert!(
        line.at.elapsed() >= INTERVAL * 9,
        "started too often: {starts} times"
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
    // The daemon kills its scripts when it ends.
    assert!(daemon.stop()?.success());
    assert_gone(&a.host, "sleep 8612[7]")?;
    Ok(())
}

pub(crate) fn tracked_interface_without_carrier_is_fault() -> Outcome {
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

pub(crate) fn flapping_tracked_interface_is_down_until_stable() -> Outcome {
    let pair = Pair::new()?;
    let inner = vrrp_lab::Segment::new("inner")?;
    let cable = inner.attach(&pair.a.host, "ens37", "192.168.198.11/24")?;
    let delay = Duration::from_secs(1);
    let whole = tracked(
        json!({ "inside": { "interface": { "name": "ens37", "upDelay": delay.as_secs() } } }),
        json!({ "VI_1": with(instance(HIGH), json!({ "track": ["inside"] })) }),
    );
    let (a, b) = pair.start_with(&whole, &only(instance(LOW)))?;
    let pulled = Moment::now();
    cable.pull()?;
    a.wait_for("VI_1", Master, Fault, pulled, SOON)?;
    b.wait_for("VI_1", Backup, Master, pulled, SOON)?;
    for _ in 0..3 {
        cable.plug()?;
        cable.pull()?;
    }
    // The kernel may skip events about a state that is already over, so the last loss of the carrier has to
    // be observed.
    wait_for_tracker(&a, |tracker| {
        &*tracker.detail == "interface ens37 has no carrier" && tracker.changes_in.is_none()
    })?;
    let plugged = Moment::now();
    cable.plug()?;
    let back = a.wait_for("VI_1", Fault, Backup, pulled, SOON)?;
    assert!(back.at.since(plugged) >= delay, "{}", back.text);
    a.wait_for("VI_1", Backup, Master, plugged, SOON)?;
    Ok(())
}

pub(crate) fn file_tracker_changes_priority_or_causes_fault() -> Outcome {
    let pair = Pair::new()?;
    // Neither the file nor its directory exists yet.
    let file = "/run/site/load";
    let whole = tracked(
        json!({ "load": { "file": { "path": file } } }),
        json!({ "VI_1": with(instance(HIGH), json!({ "track": [{ "tracker": "load", "weight": -3 }] })) }),
    );
    let (a, b) = pair.start_with(&whole, &only(instance(LOW)))?;
    let priority_becomes = |from, priority| {
        let is_it = move |advert: &crate::common::Advert| {
            advert.source == pair.a.address && advert.priority == priority
        };
        pair.lan.advert(from, is_it)
    };
    let begun = Moment::now();
    priority_becomes(begun, HIGH - 3)?;
    let says = |number: &str| -> Result<Moment> {
        let from = Moment::now();
        pair.a.host.write(file, number, 0o644)?;
        Ok(from)
    };
    priority_becomes(says("10\n")?, HIGH - 30)?;
    priority_becomes(says("-5")?, HIGH + 15)?;
    let status = a.status()?;
    let tracker = &status.trackers[0];
    assert_eq!((tracker.up, tracker.value), (Some(true), Some(-5)));
    assert_eq!(status.instances[0].priority.tracks[0].contribution, 15);
    // The file is replaced by a rename.
    let from = Moment::now();
    pair.a
        .host
        .shell("echo 1 >/run/new && mv /run/new /run/site/load")?;
    priority_becomes(from, HIGH - 3)?;
    let from = says("much")?;
    let said = r#"tracker load is down: /run/site/load contains "much", which is not an integer"#;
    a.process()
        .wait_for_line(|line| line.contains(said), SOON)?;
    priority_becomes(from, HIGH - 3)?;
    let from = says("85")?;
    let line = a.wait_for("VI_1", Master, Fault, from, SOON)?.text;
    let cause = ": tracker load reports 85: multiplied by weight -3 this is below -253";
    assert!(line.ends_with(cause), "{line}");
    b.wait_for("VI_1", Backup, Master, from, SOON)?;
    let from = says("0")?;
    a.wait_for("VI_1", Fault, Backup, from, SOON)?;
    a.wait_for("VI_1", Backup, Master, from, SOON)?;
    Ok(())
}

pub(crate) fn process_tracker_is_fault_until_process_returns() -> Outcome {
    let pair = Pair::new()?;
    // A duration that no other process sleeps for.
    let line = json!(["sleep", "86131.5"]);
    let start = "sleep 86131.5 >/dev/null 2>&1 & echo $!";
    let whole = tracked(
        json!({ "service": { "process": { "commandLine": line, "interval": "50ms", "initial": "down" } } }),
        json!({ "VI_1": with(instance(HIGH), json!({ "track": ["service"] })) }),
    );
    let first = pair.a.host.shell(start)?;
    let (a, b) = pair.start_with(&whole, &only(instance(LOW)))?;
    // The kernel reports process events only in the first network namespace, and a host of the lab is
    // another one.
    let text = "process connector not available";
    a.process()
        .wait_for_line(|line| line.contains(text), SOON)?;
    let killed = Moment::now();
    pair.a.host.shell(&format!("kill {}", first.trim()))?;
    let line = a.wait_for("VI_1", Master, Fault, killed, SOON)?.text;
    assert!(line.ends_with(": tracker service is down"), "{line}");
    b.wait_for("VI_1", Backup, Master, killed, SOON)?;
    let detail = a.status()?.trackers[0].detail.to_string();
    assert_eq!(
        detail,
        "no process matches sleep 86131.5: expected at least 1"
    );
    let started = Moment::now();
    let second = pair.a.host.shell(start)?;
    a.wait_for("VI_1", Fault, Backup, started, SOON)?;
    a.wait_for("VI_1", Backup, Master, started, SOON)?;
    pair.a.host.shell(&format!("kill {}", second.trim()))?;
    Ok(())
}

pub(crate) fn deleted_tracked_route_is_fault_until_restored() -> Outcome {
    let pair = Pair::new()?;
    let (add, del) = (
        "ip route add 10.9.0.0/16 via 192.168.224.1 table 100",
        "ip route del 10.9.0.0/16 table 100",
    );
    pair.a.host.shell(add)?;
    let route = json!({ "destination": "10.9.0.0/16", "table": 100, "initial": "down" });
    let (a, b) = start_by(&pair, &route)?;
    wait_for_detail(&a, true, "10.9.0.0/16 via 192.168.224.1 on ens33")?;
    let gone = Moment::now();
    pair.a.host.shell(del)?;
    let resigned = pair.lan.advert(gone, |advert| advert.priority == 0)?;
    assert!(
        resigned.at.since(gone) < LATE,
        "no repeated requests to the kernel"
    );
    assert_failover(&a, &b, gone)?;
    wait_for_detail(&a, false, "no route to 10.9.0.0/16 in table 100")?;
    // A change of another route has no effect.
    pair.a
        .host
        .shell("ip route add 10.9.0.0/16 via 192.168.224.1")?;
    pair.a
        .host
        .shell("ip route add unreachable 10.9.0.0/16 table 100")?;
    let nowhere = "the route to 10.9.0.0/16 in table 100 has type unreachable and forwards nothing";
    wait_for_detail(&a, false, nowhere)?;
    pair.a
        .host
        .shell("ip route del unreachable 10.9.0.0/16 table 100")?;
    let back = Moment::now();
    pair.a.host.shell(add)?;
    wait_for_failback(&a, back)
}

pub(crate) fn tracked_route_follows_device_and_gateway() -> Outcome {
    let pair = Pair::new()?;
    let uplink = "ip link set up0 up && ip address add 192.168.198.11/24 dev up0 \
                  && ip route add default via 192.168.198.1";
    let add = format!("ip link add up0 type veth peer name pu0 && ip link set pu0 up && {uplink}");
    pair.a.host.shell(&add)?;
    let route = json!({ "destination": "default", "gateway": "192.168.198.1", "device": "up0" });
    let (a, b) = start_by(&pair, &route)?;
    wait_for_detail(&a, true, "0.0.0.0/0 via 192.168.198.1 on up0")?;
    let dead = Moment::now();
    pair.a.host.shell("ip link set pu0 down")?;
    assert_failover(&a, &b, dead)?;
    let goal = "0.0.0.0/0 via 192.168.198.1 on up0 in table 254";
    let said = format!("the route to {goal} is dead: the link is down on up0");
    wait_for_detail(&a, false, &said)?;
    let alive = Moment::now();
    pair.a.host.shell("ip link set pu0 up")?;
    wait_for_failback(&a, alive)?;
    // The kernel sends no event when it deletes an IPv4 route.
    let gone = Moment::now();
    pair.a.host.shell("ip link del up0")?;
    assert_failover(&a, &b, gone)?;
    wait_for_detail(&a, false, &format!("no route to {goal}"))?;
    pair.a
        .host
        .shell("ip route add default via 192.168.224.1 metric 9")?;
    let other = format!("no route to {goal}: the kernel has one via 192.168.224.1 on ens33");
    wait_for_detail(&a, false, &other)?;
    let back = Moment::now();
    pair.a.host.shell(&add)?;
    wait_for_failback(&a, back)
}

pub(crate) fn silent_gateway_is_fault_despite_route() -> Outcome {
    assert_gateway_has_to_answer("192.168.224.1", "10.9.0.0/16", "ip")
}

pub(crate) fn ipv6_gateway_has_to_answer() -> Outcome {
    assert_gateway_has_to_answer("fe80::1", "2001:db8:9::/48", "ip -6")
}

/// Asserts that a route by `gateway` counts only while the gateway answers.
fn assert_gateway_has_to_answer(gateway: &str, destination: &str, ip: &str) -> Outcome {
    let pair = Pair::new()?;
    let router = pair.lan.station("gateway", 1)?;
    router
        .host
        .shell("ip address add fe80::1/64 dev ens33 nodad")?;
    let route = format!("route add {destination} via {gateway} dev ens33");
    pair.a.host.shell(&format!("{ip} {route}"))?;
    let rhythm = json!({ "neighbour": true, "interval": "200ms", "timeout": "500ms" });
    let tracker = with(json!({ "destination": destination }), rhythm);
    let (a, b) = start_by(&pair, &tracker)?;
    let way = format!("{destination} via {gateway} on ens33");
    wait_for_detail(&a, true, &format!("{way}: gateway answered after "))?;
    let pulled = Moment::now();
    router.cable.pull()?;
    assert_failover(&a, &b, pulled)?;
    let silence = format!("gateway {gateway} does not answer on ens33");
    wait_for_detail(&a, false, &silence)?;
    let plugged = Moment::now();
    router.cable.plug()?;
    wait_for_failback(&a, plugged)?;
    // The same text is logged only once.
    let text = format!("tracker way: {way}: gateway answered");
    let lines = a.process().log();
    assert_eq!(lines.matches(&text).count(), 2, "{lines}");
    // A route without a gateway cannot be checked by an answer.
    let changed = Moment::now();
    let bare = format!("{ip} route replace {destination} dev ens33");
    pair.a.host.shell(&bare)?;
    if ip == "ip -6" {
        let old = format!("{ip} route del {destination} via {gateway} dev ens33 || true");
        pair.a.host.shell(&old)?;
    }
    assert_failover(&a, &b, changed)?;
    let said = format!("{destination} on ens33: no gateway to probe");
    wait_for_detail(&a, false, &said)?;
    Ok(())
}

/// Starts a, which is master and in fault while it has no such route, and the usual backup.
fn start_by<'p>(pair: &'p Pair, route: &Value) -> Result<(Vrrpd<'p>, Vrrpd<'p>)> {
    let whole = tracked(
        json!({ "way": { "route": route } }),
        json!({ "VI_1": with(instance(HIGH), json!({ "track": ["way"] })) }),
    );
    pair.start_with(&whole, &only(instance(LOW)))
}

fn assert_failover(a: &Vrrpd<'_>, b: &Vrrpd<'_>, since: Moment) -> Result<()> {
    let line = a.wait_for("VI_1", Master, Fault, since, SOON)?.text;
    assert!(line.ends_with(": tracker way is down"), "{line}");
    b.wait_for("VI_1", Backup, Master, since, SOON)?;
    Ok(())
}

/// Waits until a is master again.
fn wait_for_failback(a: &Vrrpd<'_>, since: Moment) -> Outcome {
    a.wait_for("VI_1", Fault, Backup, since, SOON)?;
    a.wait_for("VI_1", Backup, Master, since, SOON)?;
    Ok(())
}

/// Waits until the only tracker has this state and detail in the status.
fn wait_for_detail(daemon: &Vrrpd<'_>, up: bool, beginning: &str) -> Result<()> {
    wait_for_tracker(daemon, |tracker| {
        tracker.up == Some(up) && tracker.detail.starts_with(beginning)
    })
}

/// Returns the configuration of a master that runs /run/check.sh every 100 ms.
fn check(track: Value, more: Value) -> String {
    let script = json!({ "command": ["/run/check.sh"], "interval": "100ms", "timeout": "1s" });
    tracked(
        json!({ "check": { "script": with(script, more) } }),
        json!({ "VI_1": with(instance(HIGH), json!({ "track": track })) }),
    )
}

/// Starts that master with a check that fails while /run/down exists, and the usual backup.
fn start<'p>(pair: &'p Pair, master: &str) -> Result<(Vrrpd<'p>, Vrrpd<'p>)> {
    let script = "#!/bin/sh\n[ -e /run/down ] || exit 0\necho no service\nexit 7\n";
    pair.a.host.write("/run/check.sh", script, 0o755)?;
    pair.start_with(master, &only(instance(LOW)))
}

/// Asserts that no process matches this pattern, as soon as the kernel has reaped the killed ones.
pub(crate) fn assert_gone(host: &Host, pattern: &str) -> Result<()> {
    let wait = format!(
        "n=0; while pgrep -f '{pattern}'; do n=$((n+1)); [ $n -lt 500 ] || exit 1; sleep 0.01; done"
    );
    host.shell(&wait).map(drop)
}

/// The script runner dies between two runs and during one: the last verdict stays, and the master with it.
pub(crate) fn dead_script_runner_is_no_verdict() -> Outcome {
    const SOCKET: &str = "/run/scripts.sock";
    let lost = |tracker: &TrackerStatus| {
        let told = "script runner at /run/scripts.sock does not answer";
        tracker.up == Some(true) && tracker.detail.contains(told)
    };
    let runs =
        |tracker: &TrackerStatus| tracker.up == Some(true) && *tracker.detail == *"exit status: 0";
    let pair = Pair::new()?;
    // Renamed, so that a reader never finds an empty file.
    let script = "#!/bin/sh\nwhile [ -e /run/hang ]; do\n  tr '\\0' ' ' </proc/$PPID/cmdline >/run/parent.new\n  \
                  mv /run/parent.new /run/parent\n  sleep 0.01\ndone\n";
    pair.a.host.write("/run/check.sh", script, 0o755)?;
    let config = check(json!(["check"]), json!({ "timeout": "20s" }));
    let a = Vrrpd::start_with_scripts(&pair.a.host, &config, SOCKET)?;
    let b = Vrrpd::start(&pair.b.host, &only(instance(LOW)))?;
    a.wait_for_state("VI_1", Master, SOON)?;
    a.process().wait_for_line(
        |line| line.contains("no result, the last verdict stays"),
        SOON,
    )?;

    // No thread of the daemon may start a program.
    let filters = format!(
        "cat /proc/{}/task/*/status | grep '^Seccomp:'",
        a.process().pid()
    );
    let filters = Command::new("/bin/sh").args(["-c", &filters]).output()?;
    let filters = String::from_utf8_lossy(&filters.stdout).into_owned();
    assert!(filters.lines().count() >= 3, "{filters}");
    assert!(
        filters.lines().all(|line| line == "Seccomp:\t2"),
        "{filters}"
    );

    let scripts = start_scripts(&pair.a.host, SOCKET)?;
    wait_for_tracker(&a, runs)?;
    pair.a.host.write("/run/hang", "", 0o644)?;
    pair.a.host.shell(
        "n=0; until [ -s /run/parent ]; do n=$((n+1)); [ $n -lt 500 ] || exit 1; sleep 0.01; done",
    )?;
    let parent = pair.a.host.shell("cat /run/parent")?;
    assert!(
        parent.contains(" scripts --listen "),
        "run by {parent} and not by the script runner"
    );
    scripts.kill(Signal::SIGKILL)?;
    wait_for_tracker(&a, lost)?;

    pair.a.host.shell("rm /run/hang")?;
    let _scripts = start_scripts(&pair.a.host, SOCKET)?;
    wait_for_tracker(&a, runs)?;
    let (a, b) = (a.instance("VI_1")?, b.instance("VI_1")?);
    assert_eq!((a.state, a.counters.became_master), (Master, 1));
    assert_eq!((b.state, b.counters.became_master), (Backup, 0));
    Ok(())
}

/// Waits until the only tracker in the status is as `wanted`.
pub(crate) fn wait_for_tracker(
    daemon: &Vrrpd<'_>,
    is_it: impl Fn(&TrackerStatus) -> bool,
) -> Result<()> {
    let started = Moment::now();
    loop {
        let tracker = daemon.status()?.trackers[0].clone();
        if is_it(&tracker) {
            return Ok(());
        }
        if started.elapsed() > SOON {
            return Err(Error::new("waiting for a tracker", format!("{tracker:?}")));
        }
    }
}
