//! Restarts with SIGUSR2, after which everything goes on as if there had been none, and restarts that fail.

use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};
use serde_json::json;
use vrrp_lab::daemons::{VRRPD_CONFIG, VRRPD_STATE, Vrrpd, clean_up, vrrpd_program};
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Frame, Host, Moment, Result, Signal};
use vrrp_proto::State::{Backup, Master};
use vrrp_proto::wire::GROUP_V4;

use crate::common::{
    INTERVAL, LATE, SOON, VIP, config, instance, only, vip, wait_for_detection, wait_until, with,
};
use crate::packets::forge_from;
use crate::pair::{HIGH, LOW, Pair};

/// Notify script that keeps the events.
const NOTIFY: &str = "#!/bin/sh\necho \"$VRRP_EVENT\" >> /run/told\n";

/// Number of restarts of each test that only looks on.
const RESTARTS: usize = 5;

pub(crate) fn restart_of_the_master_is_no_event() -> Outcome {
    master_restarts(INTERVAL, RESTARTS)
}

pub(crate) fn restart_at_one_second_is_no_event() -> Outcome {
    master_restarts(Duration::from_secs(1), 2)
}

/// Checks that no backup can have missed the advertisements of a since `from`. A program without
/// optimisation takes longer than an interval of the lab for its start.
fn assert_no_gap(pair: &Pair, from: Moment, interval: Duration) {
    let adverts = pair.lan.adverts_of(&pair.a, 51, from);
    let pauses = adverts.windows(2).map(|two| two[1].at.since(two[0].at));
    let longest = pauses.max().unwrap_or_default();
    assert!(longest < interval + LATE, "{longest:?}");
}

fn master_restarts(interval: Duration, restarts: usize) -> Outcome {
    let pair = Pair::new()?;
    pair.a.host.write("/run/notify.sh", NOTIFY, 0o755)?;
    let millis = format!("{}ms", interval.as_millis());
    let timed = |priority| with(instance(priority), json!({ "advertInterval": millis }));
    let notify = json!({ "notify": { "any": ["/run/notify.sh"], "onStart": true } });
    let of_a = only(with(timed(HIGH), notify));
    let (mut a, b) = pair.start_with(&of_a, &only(timed(LOW)))?;
    pair.lan.settle(VIP)?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let told = pair.a.host.shell("cat /run/told")?;
    let since = a.instance("VI_1")?;

    for _ in 0..restarts {
        a = restart(&a, &pair.a.host, &of_a)?;
        pair.lan.pass(&pair.a, 2)?;
    }
    pair.lan.pass(&pair.a, 4)?;

    assert_no_gap(&pair, from, interval);
    let adverts = pair.lan.adverts();
    assert!(adverts.iter().all(|advert| advert.priority == HIGH));
    assert_eq!(pair.lan.announcements(VIP, from), []);
    let deleted = pair.a.address_events();
    assert!(deleted.iter().all(|event| event.added), "{deleted:?}");
    assert_eq!(pair.a.host.shell("cat /run/told")?, told);
    let status = a.instance("VI_1")?;
    assert_eq!(status.counters.became_master, 1);
    assert_eq!(status.history.len(), since.history.len());
    assert!(status.state_age > since.state_age);
    assert_eq!(b.instance("VI_1")?.counters.became_master, 0);
    assert_lives_for_ever(&pair.a.host)
}

pub(crate) fn new_name_by_reload_or_restart_is_no_event() -> Outcome {
    let pair = Pair::new()?;
    let host = &pair.a.host;
    host.write("/run/notify.sh", NOTIFY, 0o755)?;
    let notify = json!({ "notify": { "any": ["/run/notify.sh"], "onStart": true } });
    let named = |name: &str| config(json!({ name: with(instance(HIGH), notify.clone()) }));
    let (a, b) = pair.start_with(&named("VI_1"), &only(instance(LOW)))?;
    pair.lan.settle(VIP)?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let told = host.shell("cat /run/told")?;
    a.operate(&["priority", "VI_1", "201", "--for", "1h"])?;

    host.write(VRRPD_CONFIG, named("WEB"), 0o600)?;
    let preview = a.operate(&["reload", "--dry-run"])?;
    assert!(
        preview.contains("VI_1: renamed to WEB: keeps its state"),
        "{preview}"
    );
    a.reload(&named("WEB"))?;
    pair.lan.pass(&pair.a, 2)?;
    let status = a.instance("WEB")?;
    assert_eq!((status.state, status.counters.became_master), (Master, 1));
    assert_eq!(status.priority.effective.get(), 201, "commands follow");
    wait_until(host, &format!("grep -q WEB {VRRPD_STATE}/commands.json"))?;

    let a = restart(&a, host, &named("FRONT"))?;
    pair.lan.pass(&pair.a, 2)?;
    let status = a.instance("FRONT")?;
    assert_eq!((status.state, status.counters.became_master), (Master, 1));
    assert_eq!(status.priority.effective.get(), 201, "commands follow");
    assert_no_gap(&pair, from, INTERVAL);
    assert_eq!(pair.lan.announcements(VIP, from), []);
    let events = pair.a.address_events();
    assert!(events.iter().all(|event| event.added), "{events:?}");
    assert_eq!(host.shell("cat /run/told")?, told);
    assert_eq!(b.instance("VI_1")?.counters.became_master, 0);
    Ok(())
}

pub(crate) fn restart_of_a_backup_is_no_event() -> Outcome {
    let pair = Pair::new()?;
    let (a, mut b) = pair.start()?;
    let before = b.instance("VI_1")?;
    for _ in 0..RESTARTS {
        b = restart(&b, &pair.b.host, &only(instance(LOW)))?;
        pair.lan.pass(&pair.a, 2)?;
    }
    let adverts = pair.lan.adverts_of(&pair.b, 51, Moment::default());
    assert_eq!(adverts, []);
    let status = b.instance("VI_1")?;
    assert_eq!(status.counters.late_wakeups, 0);
    assert_eq!(status.history.len(), before.history.len());

    // It still waits for the same master, for as long as before.
    let since = Moment::now();
    a.process().kill(Signal::SIGKILL)?;
    b = restart(&b, &pair.b.host, &only(instance(LOW)))?;
    let line = b.wait_for("VI_1", Backup, Master, since, SOON)?.text;
    assert!(line.contains("192.168.224.11"), "{line}");
    Ok(())
}

pub(crate) fn restart_touches_no_interface_route_or_rule() -> Outcome {
    let pair = Pair::new()?;
    let whole = |priority| {
        let first = with(
            instance(priority),
            json!({
                "virtualMac": true,
                "acceptMode": false,
                "virtualAddresses": ["192.168.224.100/24", "fe80::100/64", "2001:db8::100/64"],
                "routes": [{ "destination": "10.77.0.0/16", "gateway": "192.168.224.1" }],
                "rules": [{ "from": "10.78.0.0/16", "table": 100 }],
            }),
        );
        let second = with(
            instance(priority),
            json!({ "virtualRouterId": 52, "virtualAddresses": [
                { "address": "192.168.224.101/24", "label": "ens33:v" }
            ] }),
        );
        json!({
            "instances": { "VI_1": first, "VI_2": second },
            "syncGroups": { "both": { "members": ["VI_1", "VI_2"] } },
        })
        .to_string()
    };
    let (mut a, b) = pair.start_with(&whole(HIGH), &whole(LOW))?;
    pair.lan.settle(VIP)?;
    let held = || {
        let host = &pair.a.host;
        let state = "ip -o link; ip -o address; ip route; ip -6 route; ip rule; nft list ruleset";
        host.shell(&format!("{{ {state}; }} | sed 's/ expires [0-9]*sec//'"))
    };
    wait_for_detection(&pair.a.host)?;
    let before = held()?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    for _ in 0..RESTARTS {
        a = restart(&a, &pair.a.host, &whole(HIGH))?;
        pair.lan.pass(&pair.a, 2)?;
    }
    assert_eq!(held()?, before);
    for address in [VIP, vip(101), "2001:db8::100".parse()?] {
        assert_eq!(pair.lan.announcements(address, from), []);
    }
    let watched = pair.a.watch.events().entries();
    let deleted: Vec<_> = watched.iter().filter(|event| !event.added).collect();
    assert!(deleted.is_empty(), "{deleted:?}");
    for name in ["VI_1", "VI_2"] {
        let status = a.instance(name)?;
        assert_eq!(status.counters.became_master, 1);
        assert_eq!(
            (status.counters.repairs, status.counters.strays),
            (0, 0),
            "{name}"
        );
        assert_eq!(b.instance(name)?.counters.became_master, 0);
    }
    assert_lives_for_ever(&pair.a.host)
}

pub(crate) fn changed_priority_applies_after_the_restart() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let a = restart(&a, &pair.a.host, &only(instance(150)))?;
    pair.lan.advert(from, |advert| advert.priority == 150)?;
    pair.lan.pass(&pair.a, 6)?;
    assert_no_gap(&pair, from, INTERVAL);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    assert_eq!(b.instance("VI_1")?.counters.became_master, 0);
    Ok(())
}

pub(crate) fn added_and_removed_addresses_apply_after_the_restart() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start()?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let other = json!({ "virtualAddresses": ["192.168.224.101/24"] });
    let a = restart(&a, &pair.a.host, &only(with(instance(HIGH), other)))?;
    pair.lan.announcement(vip(101), from)?;
    pair.a.address_event(VIP, false, from)?;
    assert!(pair.a.host.holds(vip(101))?);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    Ok(())
}

/// No process is left to delete the address: the kernel does.
pub(crate) fn address_leaves_without_a_next_process() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let since = Moment::now();
    leave(&a)?;
    assert!(pair.a.host.holds(VIP)?);
    b.wait_for("VI_1", Backup, Master, since, SOON)?;
    let gone = pair.a.address_event(VIP, false, since)?;
    let after = gone.since(since);
    assert!(after < Duration::from_millis(2500), "{after:?}");
    // The next process comes too late: it listens first, and preempts as usual.
    let a = pair.start_a()?;
    let line = a.wait_for("VI_1", Backup, Master, since, SOON)?.text;
    assert!(
        line.contains("192.168.224.12 advertises priority 100"),
        "{line}"
    );
    Ok(())
}

pub(crate) fn cleanup_waits_for_the_next_process_unless_it_failed() -> Outcome {
    let pair = Pair::new()?;
    let slow = only(with(instance(HIGH), json!({ "advertInterval": "10s" })));
    let a = Vrrpd::start(&pair.a.host, &slow)?;
    a.wait_for_state("VI_1", Master, Duration::from_secs(60))?;
    leave(&a)?;
    let said = clean_up(&pair.a.host)?;
    assert_eq!(
        said,
        "a restart is under way: left everything to the next vrrpd\n"
    );
    assert!(pair.a.host.holds(VIP)?);

    // As systemd runs it after a next process that could not be started.
    let program = vrrpd_program()?.display().to_string();
    let failed = "SERVICE_RESULT=exit-code";
    pair.a.host.shell(&format!(
        "{failed} {program} cleanup --config /run/vrrpd.json"
    ))?;
    assert!(!pair.a.host.holds(VIP)?);
    Ok(())
}

pub(crate) fn invalid_configuration_leaves_nothing_behind() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start()?;
    leave(&a)?;
    pair.a.host.write("/run/vrrpd.json", "{", 0o600)?;
    let program = vrrpd_program()?.display().to_string();
    let run = [&*program, "run", "--config", "/run/vrrpd.json"];
    assert_eq!(pair.a.host.exec(&run)?.status.code(), Some(2));
    // systemd runs it after every end of the daemon.
    let said = pair
        .a
        .host
        .exec(&[&program, "cleanup", "--config", "/run/vrrpd.json"])?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.starts_with("removed 192.168.224.100/24 from ens33\n"),
        "{said}"
    );
    Ok(())
}

/// The number of the last advertisement is known after every restart, also of a killed process, which has
/// written it before.
pub(crate) fn recording_is_rejected_after_any_restart() -> Outcome {
    let pair = Pair::new()?;
    let stranger = pair.lan.station("stranger", 99)?;
    let hmac = json!({
        "keys": { "1": { "key": "0123456789abcdef0123456789abcdef" } },
        "antiReplay": "monotonic",
    });
    let signing = |priority| {
        let changes = json!({ "authentication": { "hmac": hmac } });
        only(with(instance(priority), changes))
    };
    let (a, mut b) = pair.start_with(&signing(HIGH), &signing(LOW))?;
    let last = pair.lan.pass(&pair.a, 3)?;
    let recorded = pair.lan.frames.frames();
    let recorded = recorded
        .wait_for(|frame: &Frame| frame.at == last.at, SOON)
        .ok_or("the advertisement was not captured")?;
    // Written every ten seconds, for the first time after the recording.
    wait_until(&pair.b.host, "test -e /run/vrrpd-state/numbers.json")?;
    a.process().kill(Signal::SIGKILL)?;
    b.wait_for_state("VI_1", Master, SOON)?;

    let socket = forge_from(&stranger.host)?;
    let group = SockaddrIn::from(std::net::SocketAddrV4::new(GROUP_V4, 0));
    for (way, reboots) in [
        (Signal::SIGKILL, false),
        (Signal::SIGTERM, false),
        (Signal::SIGUSR2, false),
        (Signal::SIGKILL, true),
    ] {
        b.process().kill(way)?;
        b.process().wait(SOON)?;
        if reboots {
            let other_boot = r#"sed -i 's/"bootId":"[^"]*"/"bootId":"another"/'"#;
            let command =
                format!("rm /run/vrrpd/*.json && {other_boot} /run/vrrpd-state/numbers.json");
            pair.b.host.shell(&command)?;
        }
        b = Vrrpd::start(&pair.b.host, &signing(LOW))?;
        // It answers once its sockets are open.
        b.status()?;
        let (descriptor, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        sendto(descriptor, recorded.payload(), &group, flags)?;
        b.wait_for_state("VI_1", Master, SOON)?;
        let counters = b.instance("VI_1")?.counters;
        assert!(counters.dropped.HmacReplayed > 0, "{way}: {counters:?}");
        assert_eq!(counters.dropped.HmacReplayed, counters.dropped.total());
    }
    Ok(())
}

/// Without a service manager: the second process replaces the first one.
pub(crate) fn take_over_from_a_daemon_is_no_event() -> Outcome {
    let pair = Pair::new()?;
    let (mut a, b) = pair.start()?;
    pair.lan.settle(VIP)?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    for _ in 0..RESTARTS {
        let next = Vrrpd::take_over(&pair.a.host, &only(instance(HIGH)))?;
        let status = a.process().wait(SOON)?;
        assert!(status.success(), "{status}: {}", a.process().log());
        a = next;
        pair.lan.pass(&pair.a, 2)?;
    }
    assert_no_gap(&pair, from, INTERVAL);
    assert_eq!(pair.lan.announcements(VIP, from), []);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    assert_eq!(b.instance("VI_1")?.counters.became_master, 0);
    assert_lives_for_ever(&pair.a.host)
}

pub(crate) fn rejected_take_over_leaves_the_daemon_alone() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start()?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    pair.a.host.write("/run/other.json", "{", 0o600)?;
    let program = vrrpd_program()?.display().to_string();
    let run = [
        &*program,
        "run",
        "--take-over",
        "--config",
        "/run/other.json",
    ];
    assert_eq!(pair.a.host.exec(&run)?.status.code(), Some(2));
    pair.lan.pass(&pair.a, 3)?;
    assert_no_gap(&pair, from, INTERVAL);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    Ok(())
}

pub(crate) fn take_over_without_a_daemon_is_a_start() -> Outcome {
    let pair = Pair::new()?;
    let a = Vrrpd::take_over(&pair.a.host, &only(instance(HIGH)))?;
    Ok(a.wait_for_state("VI_1", Master, SOON)?)
}

/// Restarts the daemon of a host as a service manager would.
fn restart<'h>(daemon: &Vrrpd<'_>, host: &'h Host, config: &str) -> Result<Vrrpd<'h>> {
    leave(daemon)?;
    Vrrpd::start(host, config)
}

/// Ends the daemon, which leaves everything to the next one.
fn leave(daemon: &Vrrpd<'_>) -> Result<()> {
    daemon.process().kill(Signal::SIGUSR2)?;
    let status = daemon.process().wait(SOON)?;
    assert!(status.success(), "{status}: {}", daemon.process().log());
    Ok(())
}

/// Asserts that the kernel keeps the virtual addresses without a limit again.
fn assert_lives_for_ever(host: &Host) -> Outcome {
    let limited = host.shell("ip -o address | grep -v 'valid_lft forever' || true")?;
    assert_eq!(limited, "");
    Ok(())
}
