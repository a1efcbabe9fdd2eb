//! Reload: changes what differs, and leaves the rest undisturbed.

use core::time::Duration;
use std::sync::Arc;

use super::rig::*;
use crate::events::{Advertisement, Input, Output};
use crate::operator::Order;
use crate::params::{Announcements, Effect, NodeParams, RouterParams, TrackerKind, TrackerParams};
use crate::types::{AdvertInterval, Password, Priority, State, Version, Vrid};

#[test]
fn unchanged_reload_does_nothing() {
    let mut params = both();
    params.routers.get_mut("VI_1").unwrap().tracks = vec![
        tracked("httpd", Effect::Weight(-5)),
        tracked("uplink", Effect::Fault),
    ];
    params.trackers.insert("httpd".into(), probed(1, 2));
    let kind = TrackerKind::Interface {
        name: "eth2".into(),
    };
    params.trackers.insert(
        "uplink".into(),
        TrackerParams {
            hold: SECOND * 30,
            ..TrackerParams::new(kind)
        },
    );
    for make in [Node::running, Node::mastering] {
        let mut node = make(params.clone());
        node.probe("httpd", false);
        node.probe("httpd", false);
        node.receive_advert(50);
        for _ in 0..5 {
            node.sleep(SECOND / 16);
            let (due, before) = (node.engine.poll_timeout(), node.engine.snapshot(node.now));
            assert_eq!(node.configure(params.clone()), [""; 0]);
            assert_eq!(node.engine.poll_timeout(), due);
            assert_eq!(node.engine.snapshot(node.now), before, "no counter changes");
        }
    }
}

#[test]
fn changed_parameters_cause_no_transition_and_keep_deadlines() {
    type Change = fn(&mut RouterParams);
    let changes: [(&str, Change); 11] = [
        ("priority", |p| p.priority = priority(150)),
        ("owner", |p| p.priority = Priority::OWNER),
        ("addresses", |p| {
            p.addresses = addresses(&["192.168.224.101/24"])
        }),
        ("longer interval", |p| {
            p.interval = AdvertInterval::from_centiseconds(300).unwrap()
        }),
        ("preempt", |p| p.preempt = false),
        ("preempt delay", |p| p.preempt_delay = SECOND * 10),
        ("accept", |p| p.accept = false),
        ("hint", |p| p.expect_master = true),
        ("startup delay", |p| p.startup_delay = SECOND * 10),
        ("announcements", |p| p.announce.burst = 3),
        ("tracks", |p| {
            p.tracks = vec![tracked("httpd", Effect::Weight(-5))]
        }),
    ];
    for (name, change) in changes {
        for make in [Node::running, Node::mastering] {
            let mut node = make(both());
            node.sleep(SECOND / 4);
            let (state, due) = (node.state("VI_1"), node.engine.poll_timeout());
            let mut params = both();
            params.trackers.insert("httpd".into(), probed(1, 1));
            change(params.routers.get_mut("VI_1").unwrap());
            let lines = node.configure(params);
            assert!(
                !lines
                    .iter()
                    .any(|line| line.contains("->") && !line.contains("priority"))
            );
            assert!(!lines.iter().any(|line| line.starts_with("advertise")));
            assert_eq!(node.state("VI_1"), state, "{name}");
            assert_eq!(node.engine.poll_timeout(), due, "{name}");
        }
    }
}

#[test]
fn reloaded_preempt_delay_applies_to_the_running_delay() {
    let delayed = |seconds| {
        routers([(
            "VI_1",
            RouterParams {
                preempt_delay: SECOND * seconds,
                ..vi_1()
            },
        )])
    };
    let mut node = Node::running(delayed(60));
    for _ in 0..6 {
        node.receive_advert(50);
        assert_eq!(node.advance(SECOND), [""; 0]);
    }
    let cause = "192.168.224.11 advertises priority 50, ours is 100";
    assert_eq!(
        *node.status("VI_1").cause,
        *format!("{cause}: to be preempted in 54.000 s (preemptDelay)")
    );
    assert_eq!(node.configure(delayed(7)), [""; 0]);
    assert_eq!(node.due(), T0 + SECOND * 7);
    assert_eq!(node.configure(delayed(8)), [""; 0]);
    assert_eq!(node.due(), T0 + SECOND * 8);
    let said = format!("VI_1: backup -> master ({cause}: preempted after 8.000 s)");
    assert!(node.step().contains(&said));
    assert!(node.status("VI_1").cause.ends_with("after 8.000 s"));
}

#[test]
fn lowered_priority_ends_the_preempt_delay() {
    let router = RouterParams {
        preempt_delay: SECOND * 2,
        tracks: vec![tracked("httpd", Effect::Weight(-60))],
        ..vi_1()
    };
    let mut params = routers([("VI_1", router)]);
    params.trackers.insert("httpd".into(), probed(1, 1));
    let mut node = Node::running(params);
    node.receive_advert(50);
    node.advance(SECOND);
    node.receive_advert(50);
    let preempts_at = node.due();
    assert_eq!(preempts_at, T0 + Duration::from_nanos(3_609_375_000));
    node.probe("httpd", false);
    assert_eq!(
        node.due(),
        T0 + SECOND + Duration::from_nanos(3_609_375_000),
        "from the last advertisement on"
    );
}

#[test]
fn startup_delay_applies_to_routers_new_in_a_reload() {
    let slow = |params| RouterParams {
        startup_delay: SECOND * 60,
        ..params
    };
    let mut node = Node::mastering(routers([("VI_1", slow(vi_1()))]));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(
        *node.status("VI_1").cause,
        *"started, listening for 54.000 s (startupDelay)"
    );
    node.advance(SECOND * 54);
    assert_eq!(node.state("VI_1"), State::Master);
    node.configure(routers([("VI_1", slow(vi_1())), ("VI_2", slow(vi_2()))]));
    node.advance(SECOND * 60 - Duration::from_nanos(1));
    assert_eq!(node.state("VI_2"), State::Backup);
    node.advance(Duration::from_nanos(1));
    assert_eq!(node.state("VI_2"), State::Master);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn reloaded_announcement_settings_apply_at_once() {
    let announcing = |announce| routers([("VI_1", RouterParams { announce, ..vi_1() })]);
    let mut node = Node::mastering(announcing(Announcements::DEFAULT));
    let said = |lines| only("announce", lines);
    assert_eq!(said(node.advance(SECOND * 60)), [""; 0]);
    let often = Announcements {
        burst: 2,
        refresh: SECOND * 5,
        pace: 100,
        ..Announcements::DEFAULT
    };
    assert_eq!(said(node.configure(announcing(often))), [""; 0]);
    let announcement =
        "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24 2 times, 100 a second";
    assert_eq!(said(node.advance(SECOND * 10)), [announcement; 2]);
    assert_eq!(
        said(node.configure(announcing(Announcements::DEFAULT))),
        [""; 0]
    );
    assert_eq!(said(node.advance(SECOND * 60)), [""; 0]);
}

#[test]
fn new_priority_and_password_are_in_the_next_advertisement() {
    let mut params = vi_1();
    params.version = Version::V2;
    let mut node = Node::mastering(routers([("VI_1", params.clone())]));
    params.priority = priority(150);
    params.authentication = Password::new(b"geheim").into();
    assert_eq!(
        node.configure(routers([("VI_1", params)])),
        ["VI_1: priority 100 -> 150"]
    );
    node.now = node.due();
    let sent = node.take(Input::Tick);
    let Output::Advertise(Advertisement { message, .. }) = &sent[0] else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (message[2], message[4], &message[12..]),
        (150, 1, &b"geheim\0\0"[..])
    );
}

// RFC 9568 7.2 MUST: the fields are those of the configuration
#[test]
fn each_changed_parameter_is_in_the_next_advertisement() {
    let mut params = vi_1();
    params.version = Version::V2;
    let mut node = Node::mastering(routers([("VI_1", params.clone())]));
    let mut message = |params: &RouterParams| {
        node.configure(routers([("VI_1", params.clone())]));
        node.now = node.due();
        let sent = node.take(Input::Tick);
        let Output::Advertise(Advertisement { message, .. }) = &sent[0] else {
            panic!("{sent:?}")
        };
        message.to_vec()
    };
    params.authentication = Password::new(b"geheim").into();
    assert_eq!(message(&params)[12..], *b"geheim\0\0");
    params.interval = AdvertInterval::from_seconds(2).unwrap();
    assert_eq!(message(&params)[5], 2);
    params.addresses = addresses(&["192.168.224.200/24"]);
    assert_eq!(message(&params)[8..12], [192, 168, 224, 200]);
    params.priority = priority(150);
    assert_eq!(message(&params)[2], 150);
}

#[test]
fn source_is_kept_when_an_earlier_address_becomes_own() {
    let mut second = vi_1();
    second.vrid = Vrid::new(52).unwrap();
    second.addresses = addresses(&["192.168.224.5/24"]);
    let both = |second: &RouterParams| routers([("VI_1", vi_1()), ("VI_2", second.clone())]);
    let mut node = Node::mastering(both(&second));
    // Another daemon adds the virtual address, and the host changes its own one.
    node.give(added(ETH1, "192.168.224.5/24", false));
    node.give(added(ETH1, "192.168.224.13/24", false));
    node.give(removed(ETH1, own(ETH1)));
    let source = |node: &Node| node.status("VI_1").source.unwrap().to_string();
    assert_eq!(source(&node), "192.168.224.13");
    second.priority = Priority::OWNER;
    node.configure(both(&second));
    assert_eq!(source(&node), "192.168.224.13");
}

#[test]
fn shorter_interval_applies_at_once() {
    let mut node = Node::mastering(both());
    let mut params = both();
    params.routers.get_mut("VI_1").unwrap().interval =
        AdvertInterval::from_centiseconds(1).unwrap();
    node.configure(params);
    assert_eq!(node.due(), node.now + Duration::from_millis(10));
    let lines = only("advertise on 2", node.advance(SECOND));
    assert_eq!(lines.len(), 100);
}

// RFC 9568 8.1.2 SHOULD: announce each address that an Active gets
#[test]
fn master_announces_added_and_releases_removed_addresses() {
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.100/24", "192.168.224.101/24"]);
    let mut node = Node::mastering(routers([("VI_1", params.clone())]));
    params.addresses = addresses(&["192.168.224.101/24", "192.168.224.102/24"]);
    assert_eq!(
        node.configure(routers([("VI_1", params)])),
        [
            "on 2 hold [192.168.224.101/24 192.168.224.102/24], release [192.168.224.100/24]",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.102/24",
        ]
    );
}

#[test]
fn source_that_becomes_virtual_is_a_fault() {
    let mut params = vi_1();
    let mut node = Node::mastering(routers([("VI_1", params.clone())]));
    params.addresses = addresses(&["192.168.224.100/24", "192.168.224.12/24"]);
    let lines = node.configure(routers([("VI_1", params)]));
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(only("announce", lines), [""; 0]);
}

#[test]
fn changed_prefix_length_replaces_the_address() {
    let mut params = vi_1();
    let mut node = Node::mastering(routers([("VI_1", params.clone())]));
    params.addresses = addresses(&["192.168.224.100/32"]);
    assert_eq!(
        node.configure(routers([("VI_1", params)]))[0],
        "on 2 hold [192.168.224.100/32], release [192.168.224.100/24]"
    );
}

#[test]
fn changed_vrid_resigns_with_all_addresses_and_restarts() {
    let mut node = Node::mastering(both());
    let mut params = both();
    params.routers.get_mut("VI_1").unwrap().vrid = Vrid::new(61).unwrap();
    assert_eq!(
        node.configure(params),
        [
            // Other routers reject a resignation without addresses (RFC 9568 erratum 8299).
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "VI_1: master -> init (interface, VRID or version changed)",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: init -> backup (started, listening first)",
        ]
    );
    let listeners: Vec<_> = node
        .engine
        .listeners()
        .map(|(.., vrid)| vrid.get())
        .collect();
    assert_eq!(listeners, [61, 52]);
    assert_eq!(node.state("VI_2"), State::Master);
}

#[test]
fn changed_interface_or_version_restarts_the_router() {
    type Change = fn(&mut RouterParams);
    let changes: [Change; 2] = [|p| p.interface = "eth2".into(), |p| p.version = Version::V2];
    for change in changes {
        let mut node = Node::mastering(routers([("VI_1", vi_1())]));
        let mut params = vi_1();
        change(&mut params);
        let lines = node.configure(routers([("VI_1", params)]));
        assert_eq!(
            only("VI_1", lines.clone()),
            [
                "VI_1: master -> init (interface, VRID or version changed)",
                "VI_1: init -> backup (started, listening first)",
            ]
        );
        assert!(lines.contains(&"on 2 hold [], release [192.168.224.100/24]".to_owned()));
        assert!(node.held().is_empty());
    }
}

#[test]
fn removed_router_resigns_and_releases() {
    let mut node = Node::mastering(both());
    assert_eq!(
        node.configure(routers([("VI_2", vi_2())])),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: master -> init (removed from the configuration)",
        ]
    );
    assert_eq!(node.engine.states().count(), 1);
    assert_eq!(node.engine.listeners().count(), 1);
    let lines = node.step();
    assert_eq!(lines.len(), 1, "VI_2 goes on: {lines:?}");
}

#[test]
fn renamed_router_keeps_its_state() {
    let mut node = Node::mastering(both());
    let (due, before) = (node.due(), node.status("VI_1"));
    node.command(Order::Priority {
        router: "VI_1".into(),
        priority: priority(7),
    });
    let renamed = routers([("WEB", vi_1()), ("VI_2", vi_2())]);
    assert_eq!(
        node.configure(renamed.clone()),
        [r#"renamed: Renames({"VI_1": "WEB"})"#]
    );
    assert_eq!(node.due(), due);
    let after = node.status("WEB");
    assert_eq!(after.counters, before.counters);
    assert_eq!(after.history, before.history);
    assert_eq!(after.priority.effective, priority(7), "commands follow");
    assert_eq!(node.engine.states().count(), 2);
    assert_eq!(node.configure(renamed), [""; 0]);
}

#[test]
fn routers_exchange_their_names() {
    let mut node = Node::mastering(both());
    let lines = node.configure(routers([("VI_1", vi_2()), ("VI_2", vi_1())]));
    assert_eq!(
        lines,
        [r#"renamed: Renames({"VI_1": "VI_2", "VI_2": "VI_1"})"#]
    );
}

#[test]
fn renamed_router_takes_the_name_of_a_removed_one() {
    let mut node = Node::mastering(both());
    let lines = node.configure(routers([("VI_2", vi_1())]));
    assert_eq!(
        only("VI_2", lines),
        ["VI_2: master -> init (interface, VRID or version changed)"]
    );
    assert_eq!(node.state("VI_2"), State::Master);
}

#[test]
fn added_router_starts_without_affecting_the_rest() {
    let mut node = Node::mastering(routers([("VI_2", vi_2())]));
    let due = node.engine.poll_timeout();
    assert_eq!(
        only("VI_", node.configure(both())),
        ["VI_1: init -> backup (started, listening first)"]
    );
    assert_eq!(node.engine.poll_timeout(), due);
    assert_eq!(node.state("VI_2"), State::Master);
}

#[test]
fn address_moved_between_masters_is_never_released() {
    let swapped = |a: &str, b: &str| {
        let (mut first, mut second) = (vi_1(), vi_1());
        second.vrid = Vrid::new(52).unwrap();
        first.addresses = addresses(&[a, "192.168.224.1/24"]);
        second.addresses = addresses(&[b, "192.168.224.2/24"]);
        routers([("VI_1", first), ("VI_2", second)])
    };
    let (a, b) = ("192.168.224.100/24", "192.168.224.101/24");
    let mut node = Node::mastering(swapped(a, b));
    assert_eq!(
        node.configure(swapped(b, a)),
        [
            "on 2 hold [192.168.224.101/24 192.168.224.1/24], release []",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.101/24",
            "on 2 hold [192.168.224.100/24 192.168.224.2/24], release []",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
        ]
    );
}

#[test]
fn address_moved_from_a_removed_master_is_never_released() {
    let mut second = vi_1();
    second.vrid = Vrid::new(52).unwrap();
    second.addresses = addresses(&["192.168.224.101/24"]);
    let mut node = Node::mastering(routers([("VI_1", vi_1()), ("VI_2", second.clone())]));
    second.addresses = addresses(&["192.168.224.101/24", "192.168.224.100/24"]);
    let lines = node.configure(routers([("VI_2", second)]));
    assert_eq!(
        only("on 2", lines),
        ["on 2 hold [192.168.224.101/24 192.168.224.100/24], release []",]
    );
}

#[test]
fn address_moved_to_a_backup_is_released_once() {
    let mut second = vi_1();
    second.vrid = Vrid::new(52).unwrap();
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let lines = node.configure(routers([("VI_2", second)]));
    assert_eq!(
        only("on 2", lines),
        ["on 2 hold [], release [192.168.224.100/24]"]
    );
}

#[test]
fn tracker_keeps_its_verdict_with_an_unchanged_definition() {
    let mut params = tracking(probed(1, 1));
    let mut node = Node::running(params.clone());
    node.probe("httpd", false);
    assert_eq!(node.state("VI_1"), State::Fault);
    params.trackers.insert("httpd".into(), probed(5, 5));
    assert_eq!(node.configure(params.clone()), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Fault);
    for _ in 0..4 {
        assert_eq!(node.probe("httpd", true), [""; 0]);
    }
    assert_eq!(node.probe("httpd", true).len(), 3, "the new rise applies");

    node.probe("httpd", false);
    let kind = TrackerKind::Probe {
        definition: "/other.sh".into(),
    };
    let other = TrackerParams::new(kind);
    params.trackers.insert("httpd".into(), other);
    node.configure(params);
    assert_eq!(
        node.engine.snapshot(node.now).trackers[0].up,
        None,
        "a new tracker"
    );
}

#[test]
fn router_recovers_when_a_failed_track_is_removed() {
    let mut node = Node::running(tracking(probed(1, 1)));
    node.probe("httpd", false);
    let lines = node.configure(routers([("VI_1", vi_1())]));
    assert_eq!(
        only("VI_1", lines),
        ["VI_1: fault -> backup (recovered from: tracker httpd is down)"]
    );
}

#[test]
fn former_owner_recovers_from_fault_as_backup() {
    let mut params = tracking(probed(1, 1));
    params.routers.get_mut("VI_1").unwrap().priority = Priority::OWNER;
    let mut node = Node::running(params);
    node.probe("httpd", false);
    assert_eq!(node.state("VI_1"), State::Fault);
    let lines = node.configure(routers([("VI_1", vi_1())]));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(only("advertise", lines), [""; 0]);
    assert_eq!(
        node.due().since(node.now).as_nanos(),
        3_609_375_000,
        "with its new priority"
    );
}

#[test]
fn former_owner_as_backup_releases_its_address() {
    let mut params = vi_1();
    params.priority = Priority::OWNER;
    let mut node = Node::running(routers([("VI_1", params)]));
    node.give(added(ETH1, "192.168.224.100/24", false));
    let greater = core::net::Ipv4Addr::new(192, 168, 224, 13);
    let bytes = crate::wire::Advert::emit(
        &crate::wire::Advert {
            version: Version::V3,
            vrid: Vrid::new(51).unwrap(),
            priority: 255,
            interval: AdvertInterval::DEFAULT,
            addresses: crate::wire::AddressList::new(&[[192, 168, 224, 100]]),
            auth: crate::wire::Auth::None,
        },
        crate::wire::ChecksumForm::MessageOnly,
        greater,
        crate::wire::GROUP_V4,
    );
    node.receive(ETH1, greater, &bytes);
    assert_eq!(node.state("VI_1"), State::Backup);
    let lines = node.configure(routers([("VI_1", vi_1())]));
    assert!(
        lines.contains(&"on 2 hold [], release [192.168.224.100/24]".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn counters_and_history_survive_a_reload() {
    let mut node = Node::mastering(both());
    let before = node.status("VI_1");
    let mut params = both();
    params.routers.get_mut("VI_1").unwrap().priority = priority(120);
    node.configure(params);
    let after = node.status("VI_1");
    assert_eq!(after.counters, before.counters);
    assert_eq!(after.history, before.history);
}

#[test]
fn reload_keeps_encoded_messages_of_unchanged_routers() {
    let mut node = Node::mastering(both());
    let mut changed = both();
    changed.routers.get_mut("VI_2").unwrap().priority = priority(120);
    let mut advertise = || {
        node.now = node.due();
        let outputs = node.take(Input::Tick);
        let messages = outputs.into_iter().filter_map(|output| {
            let Output::Advertise(Advertisement { message, .. }) = output else {
                return None;
            };
            Some(message)
        });
        let messages: Vec<_> = messages.collect();
        node.configure(changed.clone());
        messages
    };
    let (first, second) = (advertise(), advertise());
    assert!(Arc::ptr_eq(&first[0], &second[0]), "VI_1 is unchanged");
    assert!(!Arc::ptr_eq(&first[1], &second[1]), "VI_2 changed");
}

#[test]
fn configuration_after_a_stop_starts_the_routers_again() {
    let mut node = Node::mastering(both());
    node.give(Input::Stop);
    let lines = only("VI_", node.configure(both()));
    let ends = [
        "handed over after 0ns: configuration reloaded",
        "init -> backup (started, listening first)",
    ];
    for end in ends {
        assert_eq!(lines.iter().filter(|line| line.ends_with(end)).count(), 2);
    }
    assert_eq!(lines.len(), 4);
    assert!(node.held().is_empty());
}

fn both() -> NodeParams {
    routers([("VI_1", vi_1()), ("VI_2", vi_2())])
}

fn tracking(params: TrackerParams) -> NodeParams {
    let mut router = vi_1();
    router.tracks = vec![tracked("httpd", Effect::Fault)];
    let mut node = routers([("VI_1", router)]);
    node.trackers.insert("httpd".into(), params);
    node
}
