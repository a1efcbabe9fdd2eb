//! Reloads by SIGHUP: only differences between the configurations take effect.

use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::daemons::Vrrpd;
use vrrp_lab::harness::Outcome;
use vrrp_lab::{Frame, Moment};
use vrrp_proto::State::{Backup, Init, Master};
use vrrp_proto::snapshot::Snapshot;

use crate::common::{
    INTERVAL, Lan, SOON, VIP, assert_rhythm, config, instance, only, tracked, vip, with,
};
use crate::pair::{HIGH, LOW, Pair};

pub(crate) fn unchanged_reload_has_no_effect() -> Outcome {
    let pair = Pair::new()?;
    pair.a.host.write("/run/check.sh", "#!/bin/sh\n", 0o755)?;
    let whole = |priority| {
        tracked(
            json!({ "check": { "script": { "command": ["/run/check.sh"], "interval": 60 } } }),
            json!({ "VI_1": with(instance(priority), json!({ "track": ["check"] })) }),
        )
    };
    pair.b.host.write("/run/check.sh", "#!/bin/sh\n", 0o755)?;
    let (a, b) = pair.start_with(&whole(HIGH), &whole(LOW))?;
    // Wait until the second announcement and the kernel's IGMP reports have passed.
    let quiet = Moment::now() + Duration::from_millis(2500);
    while pair.lan.pass(&pair.a, 1)?.at < quiet {}

    let from = pair.lan.pass(&pair.a, 10)?.at;
    let before = (a.status()?, b.status()?);
    let events = (pair.a.address_events(), pair.b.address_events());
    let lines = (a.process().output().len(), b.process().output().len());
    for _ in 0..3 {
        a.reload(&whole(HIGH))?;
        b.reload(&whole(LOW))?;
        pair.lan.pass(&pair.a, 3)?;
    }
    pair.lan.pass(&pair.a, 6)?;

    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    let is_advert = |frame: &Frame| frame.ip_source() == Some(pair.a.address);
    let frames = pair.lan.frames.frames().entries();
    let others: Vec<_> = frames
        .iter()
        .filter(|frame| frame.at > from && is_ipv4_or_arp(frame) && !is_advert(frame))
        .collect();
    assert!(
        others.is_empty(),
        "frames besides advertisements: {others:?}"
    );
    assert_eq!(events, (pair.a.address_events(), pair.b.address_events()));
    assert_eq!(settled(before.0), settled(a.status()?));
    assert_eq!(settled(before.1), settled(b.status()?));
    for (daemon, from) in [(&a, lines.0), (&b, lines.1)] {
        let said = daemon.process().output().entries_from(from);
        let other: Vec<_> = said
            .iter()
            .filter(|line| {
                !line
                    .text
                    .contains("configuration reloaded from /run/vrrpd.json: 1 instance")
            })
            .collect();
        assert!(other.is_empty(), "unexpected log lines: {other:?}");
    }
    Ok(())
}

pub(crate) fn changed_priority_applies_without_transition() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    a.reload(&only(instance(150)))?;
    let changed = pair.lan.advert(from, |advert| advert.priority == 150)?;
    pair.lan.pass(&pair.a, 6)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);

    // The priority is now lower than that of b, so b preempts in the usual way.
    a.reload(&only(instance(50)))?;
    let line = b.wait_for("VI_1", Backup, Master, changed.at, SOON)?.text;
    assert!(
        line.ends_with("192.168.224.11 advertises priority 50, ours is 100: preempted"),
        "{line}"
    );
    Ok(())
}

pub(crate) fn addresses_are_added_and_removed_without_transition() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let addresses = |list: Value| only(with(instance(HIGH), json!({ "virtualAddresses": list })));
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let events = pair.a.address_events().len();
    a.reload(&addresses(json!([
        "192.168.224.100/24",
        "192.168.224.101/24"
    ])))?;
    pair.a.address_event(vip(101), true, from)?;
    pair.lan.announcement(vip(101), from)?;
    pair.lan.pass(&pair.a, 3)?;
    assert_eq!(
        pair.a.address_events().len(),
        events + 1,
        "one address was added and no other changed"
    );

    a.reload(&addresses(json!(["192.168.224.101/24"])))?;
    pair.a.address_event(VIP, false, from)?;
    pair.lan.pass(&pair.a, 3)?;
    assert_eq!(
        pair.a.address_events().len(),
        events + 2,
        "one address was deleted and no other changed"
    );
    assert!(pair.a.host.holds(vip(101))? && !pair.a.host.holds(VIP)?);

    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    assert_eq!(a.instance("VI_1")?.counters.repairs, 0);
    let b = b.instance("VI_1")?;
    assert_eq!((b.counters.became_master, b.state), (0, Backup));
    assert!(
        b.counters.address_list_differs > 0,
        "b still has the old address list"
    );
    Ok(())
}

pub(crate) fn changed_interval_applies_without_transition() -> Outcome {
    let pair = Pair::new()?;
    let (a, b) = pair.start()?;
    let interval = |text: &str| only(with(instance(HIGH), json!({ "advertInterval": text })));
    for (text, length) in [("200ms", 200), ("50ms", 50), ("100ms", 100)] {
        let from = pair.lan.pass(&pair.a, 1)?.at;
        a.reload(&interval(text))?;
        // The new interval applies after the advertisement that was due.
        let start = pair.lan.pass(&pair.a, 2)?.at;
        pair.lan.pass(&pair.a, 8)?;
        assert_rhythm(
            &pair.lan.adverts_of(&pair.a, 51, start),
            Duration::from_millis(length),
        );
        assert_eq!(pair.lan.adverts_of(&pair.b, 51, from), []);
    }
    for daemon in [&a, &b] {
        daemon.reload(&interval("100ms"))?;
    }
    assert_eq!(a.instance("VI_1")?.counters.became_master, 1);
    assert_eq!(b.instance("VI_1")?.counters.became_master, 0);
    Ok(())
}

pub(crate) fn trackers_are_added_and_removed_without_transition() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start()?;
    pair.a
        .host
        .write("/run/down.sh", "#!/bin/sh\nexit 1\n", 0o755)?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let weighted = tracked(
        json!({ "check": { "script": { "command": ["/run/down.sh"], "interval": "100ms" } } }),
        json!({ "VI_1": with(
            instance(HIGH),
            json!({ "track": [{ "tracker": "check", "weight": -30 }] }),
        ) }),
    );
    a.reload(&weighted)?;
    pair.lan
        .advert(from, |advert| advert.priority == HIGH - 30)?;
    assert_eq!(a.instance("VI_1")?.priority.reasons, ["check -30"]);
    let removed = Moment::now();
    a.reload(&only(instance(HIGH)))?;
    pair.lan.advert(removed, |advert| advert.priority == HIGH)?;
    pair.lan.pass(&pair.a, 6)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    let status = a.status()?;
    assert_eq!(status.instances[0].counters.became_master, 1);
    assert_eq!(status.trackers, []);
    Ok(())
}

pub(crate) fn address_moved_between_instances_is_never_deleted() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let two = |first: Value, second: Value| {
        config(json!({
            "VI_1": with(instance(HIGH), json!({ "virtualAddresses": first })),
            "VI_2": with(
                instance(HIGH),
                json!({ "virtualRouterId": 52, "virtualAddresses": second }),
            ),
        }))
    };
    let daemon = Vrrpd::start(
        &a.host,
        &two(
            json!(["192.168.224.100/24", "192.168.224.101/24"]),
            json!(["192.168.224.102/24"]),
        ),
    )?;
    for name in ["VI_1", "VI_2"] {
        daemon.wait_for_state(name, Master, SOON)?;
    }
    let from = lan.pass(&a, 1)?.at;
    let events = a.address_events();
    // Moved there and back, because the order of the instances' names must not matter.
    for (first, second) in [
        (
            json!(["192.168.224.101/24"]),
            json!(["192.168.224.102/24", "192.168.224.100/24"]),
        ),
        (
            json!(["192.168.224.100/24", "192.168.224.101/24"]),
            json!(["192.168.224.102/24"]),
        ),
    ] {
        let moved = Moment::now();
        daemon.reload(&two(first, second))?;
        lan.announcement(VIP, moved)?;
        lan.pass(&a, 6)?;
        assert_eq!(a.address_events(), events);
    }
    for vrid in [51, 52] {
        assert_rhythm(&lan.adverts_of(&a, vrid, from), INTERVAL);
    }
    for instance in daemon.status()?.instances {
        assert_eq!(instance.counters.became_master, 1);
        assert_eq!(instance.counters.repairs, 0);
    }
    // Also when its instance is removed and another one takes the address.
    let rest = config(json!({ "VI_2": with(
        instance(HIGH),
        json!({ "virtualRouterId": 52, "virtualAddresses": ["192.168.224.102/24", "192.168.224.100/24"] }),
    ) }));
    let removed = Moment::now();
    daemon.reload(&rest)?;
    a.address_event(vip(101), false, removed)?;
    lan.pass(&a, 3)?;
    assert_eq!(a.address_events().len(), events.len() + 1);
    lan.advert(removed, |advert| advert.vrid == 51 && advert.priority == 0)?;
    Ok(())
}

pub(crate) fn invalid_reload_keeps_configuration_in_force() -> Outcome {
    let pair = Pair::new()?;
    let (a, _b) = pair.start()?;
    pair.lan.settle(VIP)?;
    let from = pair.lan.pass(&pair.a, 1)?.at;
    let before = a.status()?;
    let events = pair.a.address_events();
    let mistakes = [
        (
            with(instance(HIGH), json!({ "priority": 300 })),
            "instances.VI_1.priority",
        ),
        (
            with(instance(HIGH), json!({ "virtualAdresses": [] })),
            "instances.VI_1.virtualAdresses",
        ),
        (
            with(
                instance(HIGH),
                json!({ "priority": 7, "track": ["missing"] }),
            ),
            "instances.VI_1.track[0]",
        ),
    ];
    for (mistake, path) in mistakes {
        let asked = a.process().output().len();
        let line = a.reload(&only(mistake))?;
        assert!(
            line.text
                .ends_with("reload failed: the configuration in force stays")
        );
        let said = a.process().output().entries_from(asked);
        assert!(
            said.iter().any(|line| line.text.contains(path)),
            "{path} is not in {said:#?}"
        );
        assert!(
            said.iter().all(|line| line.text.contains(" ERROR ")),
            "{said:#?}"
        );
    }
    for broken in ["{", ""] {
        a.reload(broken)?;
    }
    pair.lan.pass(&pair.a, 6)?;
    let after = a.status()?;
    let daemon = after.daemon.as_ref().expect("the services fill it in");
    assert_eq!((daemon.reloads, daemon.failed_reloads), (0, 5));
    assert_eq!(settled(before), settled(after));
    assert_eq!(pair.a.address_events(), events);
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);

    // The rejected configuration left no trace: the next valid one is compared with the one in force.
    a.reload(&only(instance(HIGH)))?;
    pair.lan.pass(&pair.a, 3)?;
    assert_rhythm(&pair.lan.adverts_of(&pair.a, 51, from), INTERVAL);
    Ok(())
}

pub(crate) fn reload_leaves_unchanged_instances_alone() -> Outcome {
    let lan = Lan::new()?;
    let a = lan.station("a", 11)?;
    let other = with(
        instance(HIGH),
        json!({ "virtualRouterId": 52, "virtualAddresses": ["192.168.224.102/24"] }),
    );
    let both = |first: Value| config(json!({ "VI_1": first, "VI_2": other }));
    let daemon = Vrrpd::start(&a.host, &both(instance(HIGH)))?;
    for name in ["VI_1", "VI_2"] {
        daemon.wait_for_state(name, Master, SOON)?;
    }
    lan.settle(vip(102))?;
    let from = lan.pass(&a, 1)?.at;

    // Another VRID makes another router: the former one resigns, and the new one waits before it takes
    // over.
    let changed = Moment::now();
    daemon.reload(&both(with(
        instance(HIGH),
        json!({ "virtualRouterId": 53 }),
    )))?;
    lan.advert(changed, |advert| advert.vrid == 51 && advert.priority == 0)?;
    let line = daemon.wait_for("VI_1", Master, Init, changed, SOON)?.text;
    assert!(
        line.ends_with("interface, VRID or version changed"),
        "{line}"
    );
    a.address_event(VIP, false, changed)?;
    daemon.wait_for("VI_1", Backup, Master, changed, SOON)?;
    lan.advert(changed, |advert| advert.vrid == 53)?;

    // VI_2 is removed and added again.
    let removed = Moment::now();
    daemon.reload(&config(json!({ "VI_2": other })))?;
    lan.advert(removed, |advert| advert.vrid == 53 && advert.priority == 0)?;
    a.address_event(VIP, false, removed)?;
    daemon.reload(&both(instance(HIGH)))?;
    daemon.wait_for("VI_1", Backup, Master, removed, SOON)?;

    lan.pass(&a, 6)?;
    assert_rhythm(&lan.adverts_of(&a, 52, from), INTERVAL);
    let held = a.watch.held(vip(102));
    assert!(matches!(held[..], [(_, None)]), "{held:?}");
    let status = daemon.instance("VI_2")?;
    assert_eq!(
        (status.history.len(), status.counters.became_master),
        (2, 1)
    );
    assert!(lan.announcements(vip(102), from).is_empty());
    Ok(())
}

/// Removes the clocks, and the counters of reloads and of regular advertisements, from a status.
fn settled(mut status: Snapshot) -> Snapshot {
    status.daemon = None;
    for instance in &mut status.instances {
        instance.state_age = 0.0;
        if let Some(next) = &mut instance.next {
            next.left = 0.0;
        }
        if let Some(master) = &mut instance.master {
            master.heard_for = 0.0;
        }
        instance.counters.adverts_sent = 0;
        instance.counters.adverts_received = 0;
        instance.counters.checksums_with_pseudo_header = 0;
        for transition in &mut instance.history {
            transition.age = 0.0;
        }
        for other in &mut instance.others {
            other.age = 0.0;
        }
    }
    for tracker in &mut status.trackers {
        tracker.age = tracker.age.map(|_| 0.0);
    }
    status
}

fn is_ipv4_or_arp(frame: &Frame) -> bool {
    matches!(frame.ethertype(), 0x0800 | 0x0806)
}
