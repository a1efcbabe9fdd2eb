//! Trackers: results that lead to faults and priorities.

use super::rig::*;
use crate::events::Input;
use crate::params::{Effect, NodeParams, TrackerKind, TrackerParams, Verdict};
use crate::reasons::Due;
use crate::types::State;

#[test]
fn tracker_without_a_weight_causes_and_clears_a_fault() {
    let mut node = Node::mastering(following(Effect::Fault, probed(1, 1)));
    assert_eq!(
        node.probe("httpd", false),
        [
            "tracker httpd: down (exit status 1)",
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: master -> fault (tracker httpd is down)",
        ]
    );
    assert_eq!(
        node.engine.listeners().count(),
        1,
        "the VRID is still known"
    );
    assert_eq!(node.probe("httpd", false), [""; 0]);
    assert_eq!(
        node.probe("httpd", true),
        [
            "tracker httpd: up (exit status 0)",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: fault -> backup (recovered from: tracker httpd is down)",
        ]
    );
    assert_eq!(node.due().since(node.now).as_nanos(), 3_609_375_000);
}

#[test]
fn tracker_weight_changes_the_advertised_priority_only() {
    let mut node = Node::mastering(following(Effect::Weight(-30), probed(1, 1)));
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.probe("httpd", false),
        [
            "tracker httpd: down (exit status 1)",
            "VI_1: priority 100 -> 70"
        ]
    );
    assert_eq!(node.engine.poll_timeout(), due);
    assert_eq!(node.state("VI_1"), State::Master);
    let priority = node.status("VI_1").priority;
    assert_eq!(
        (priority.configured.get(), priority.effective.get()),
        (100, 70)
    );
    assert_eq!(priority.reasons, ["httpd -30"]);
    assert_eq!(
        node.step(),
        ["advertise on 2 from 192.168.224.12: VRID 51, priority 70, 192.168.224.100"]
    );
    assert_eq!(
        node.probe("httpd", true),
        [
            "tracker httpd: up (exit status 0)",
            "VI_1: priority 70 -> 100"
        ]
    );
}

#[test]
fn master_with_lowered_priority_yields() {
    let mut node = Node::mastering(following(Effect::Weight(-30), probed(1, 1)));
    node.probe("httpd", false);
    assert_eq!(
        only("VI_1", node.receive_advert(99)),
        ["VI_1: master -> backup (192.168.224.11 advertises priority 99, ours is 70: yielded)"]
    );
    node.probe("httpd", true);
    node.receive_advert(99);
    assert_eq!(
        only("VI_1", node.step()),
        ["VI_1: backup -> master (192.168.224.11 advertises priority 99, ours is 100: preempted)"]
    );
}

#[test]
fn rise_and_fall_count_consecutive_results() {
    let mut node = Node::running(following(Effect::Fault, probed(3, 2)));
    assert_eq!(node.probe("httpd", false), [""; 0]);
    assert_eq!(node.probe("httpd", true), [""; 0]);
    assert_eq!(node.probe("httpd", false), [""; 0]);
    assert_eq!(
        node.probe("httpd", false)[0],
        "tracker httpd: down (exit status 1)"
    );
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(node.probe("httpd", true), [""; 0]);
    assert_eq!(node.probe("httpd", true), [""; 0]);
    assert_eq!(
        node.probe("httpd", true)[0],
        "tracker httpd: up (exit status 0)"
    );
    assert_eq!(node.state("VI_1"), State::Backup);
    let tracker = &node.engine.snapshot(node.now).trackers[0];
    assert_eq!((tracker.results, tracker.failures), (7, 3));
}

#[test]
fn interface_tracker_ignores_rise_and_fall() {
    let mut params = following(Effect::Fault, interface("eth2"));
    params.trackers.insert(
        "httpd".into(),
        TrackerParams {
            rise: 3,
            fall: 3,
            ..interface("eth2")
        },
    );
    let mut node = Node::mastering(params);
    let mut unplugged = link(ETH2, "eth2");
    unplugged.carrier = false;
    let lines = node.give(Input::Link(unplugged));
    assert_eq!(
        lines[0],
        "tracker httpd: down (interface eth2 has no carrier)"
    );
    assert_eq!(node.state("VI_1"), State::Fault);
    let lines = node.give(Input::Link(link(ETH2, "eth2")));
    assert_eq!(lines[0], "tracker httpd: up (interface eth2 is up)");
    assert_eq!(node.state("VI_1"), State::Backup);
    let lines = node.give(Input::LinkRemoved(ETH2));
    assert_eq!(
        lines[0],
        "tracker httpd: down (interface eth2 does not exist)"
    );
}

#[test]
fn interface_tracker_is_down_if_missing_at_start() {
    let mut node = Node::wired();
    let lines = node.configure(following(Effect::Fault, interface("eth9")));
    assert_eq!(
        lines,
        [
            "tracker httpd: down (interface eth9 does not exist)",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: init -> fault (tracker httpd is down)",
        ]
    );
}

#[test]
fn interface_tracker_of_the_own_interface_adds_no_fault() {
    let mut node = Node::mastering(following(Effect::Fault, interface("eth1")));
    let mut unplugged = link(ETH1, "eth1");
    unplugged.carrier = false;
    assert_eq!(
        only("VI_1", node.give(Input::Link(unplugged))),
        ["VI_1: master -> fault (interface eth1 has no carrier)"]
    );
    assert_eq!(
        only("VI_1", node.give(Input::Link(link(ETH1, "eth1")))),
        ["VI_1: fault -> backup (recovered from: interface eth1 has no carrier)"]
    );
}

#[test]
fn result_for_an_unknown_or_interface_tracker_is_ignored() {
    let mut node = Node::running(following(Effect::Fault, interface("eth2")));
    assert_eq!(node.probe("unknown", false), [""; 0]);
    assert_eq!(
        node.probe("httpd", false),
        [""; 0],
        "an interface tracker takes no results"
    );
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn owner_priority_is_not_changed_by_weights() {
    let mut params = following(Effect::Weight(-30), probed(1, 1));
    params.routers.get_mut("VI_1").unwrap().priority = crate::types::Priority::OWNER;
    let mut node = Node::mastering(params);
    assert_eq!(
        node.probe("httpd", false),
        ["tracker httpd: down (exit status 1)"]
    );
    let priority = node.status("VI_1").priority;
    assert!(priority.effective.is_owner());
    assert_eq!(priority.reasons, [""; 0]);
}

#[test]
fn tracker_affects_all_its_followers_only() {
    let mut params = following(Effect::Fault, probed(1, 1));
    let mut second = vi_2();
    second.tracks = vec![tracked("httpd", Effect::Weight(-1))];
    params.routers.insert("VI_2".into(), second);
    let mut third = vi_2();
    third.vrid = crate::types::Vrid::new(53).unwrap();
    third.addresses = addresses(&["192.168.198.101/24"]);
    params.routers.insert("VI_3".into(), third);
    let mut node = Node::mastering(params);
    node.probe("httpd", false);
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(node.status("VI_2").priority.effective.get(), 99);
    assert_eq!(node.status("VI_3").priority.effective.get(), 100);
}

#[test]
fn held_verdict_changes_at_the_end_of_hold() {
    let params = TrackerParams {
        hold: SECOND * 20,
        ..probed(1, 1)
    };
    let mut node = Node::running(following(Effect::Fault, params));
    node.probe("httpd", false);
    let down_at = node.now;
    node.now = node.now + SECOND;
    assert_eq!(node.probe("httpd", true), [""; 0]);
    let due = Some((down_at + SECOND * 20, Due::Verdict));
    assert_eq!(node.engine.poll_timeout(), due, "the only deadline");
    let tracker = &node.engine.snapshot(node.now).trackers[0];
    assert_eq!(tracker.up, Some(false));
    assert_eq!((tracker.age, tracker.changes_in), (Some(1.0), Some(19.0)));
    assert_eq!(
        node.step(),
        [
            "tracker httpd: up (exit status 0)",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: fault -> backup (recovered from: tracker httpd is down)",
        ]
    );
    let tracker = &node.engine.snapshot(node.now).trackers[0];
    assert_eq!((tracker.up, tracker.changes_in), (Some(true), None));
    assert_eq!(node.engine.poll_timeout().unwrap().1, Due::TakeOver);
}

#[test]
fn result_reverted_within_down_delay_is_no_verdict() {
    let params = TrackerParams {
        down_delay: SECOND / 2,
        ..probed(1, 1)
    };
    let mut node = Node::mastering(following(Effect::Fault, params));
    node.probe("httpd", true);
    let due = node.engine.poll_timeout();
    assert_eq!(node.probe("httpd", false), [""; 0]);
    assert_eq!(
        node.engine.poll_timeout(),
        Some((node.now + SECOND / 2, Due::Verdict))
    );
    assert_eq!(node.probe("httpd", true), [""; 0]);
    assert_eq!(node.engine.poll_timeout(), due);
}

#[test]
fn verdict_due_with_a_take_over_comes_first() {
    let params = TrackerParams {
        hold: SECOND * 3,
        ..probed(1, 1)
    };
    let mut node = Node::running(following(Effect::Fault, params));
    node.probe("httpd", false);
    node.probe("httpd", true);
    node.step();
    node.probe("httpd", false);
    // The backup starts its timer when the verdict is up, and the verdict is down again before it
    // ends.
    assert_eq!(node.engine.poll_timeout().unwrap().1, Due::Verdict);
    node.now = node.now + SECOND * 100;
    assert_eq!(
        only("VI_1", node.give(Input::Tick)),
        ["VI_1: backup -> fault (tracker httpd is down)"]
    );
}

#[test]
fn interface_tracker_with_hold_damps_flapping() {
    let params = TrackerParams {
        hold: SECOND * 5,
        ..interface("eth2")
    };
    let mut node = Node::mastering(following(Effect::Fault, params));
    let mut unplugged = link(ETH2, "eth2");
    unplugged.carrier = false;
    let begin = node.now;
    for _ in 0..3 {
        node.give(Input::Link(unplugged.clone()));
        assert_eq!(node.state("VI_1"), State::Fault);
        node.now = node.now + SECOND;
        assert_eq!(node.give(Input::Link(link(ETH2, "eth2"))), [""; 0]);
    }
    assert_eq!(node.due(), begin + SECOND * 5);
    assert_eq!(node.step()[0], "tracker httpd: up (interface eth2 is up)");
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn initial_down_is_a_fault_until_the_first_result() {
    let params = TrackerParams {
        initial: Verdict::DOWN,
        ..probed(2, 1)
    };
    let mut node = Node::running(following(Effect::Fault, params));
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(node.engine.snapshot(node.now).trackers[0].up, None);
    assert_eq!(node.probe("httpd", true), [""; 0]);
    assert_eq!(
        node.probe("httpd", true)[0],
        "tracker httpd: up (exit status 0)"
    );
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn tracker_value_changes_the_priority_without_a_report() {
    let params = TrackerParams {
        initial: Verdict::saying(0),
        ..probed(1, 1)
    };
    let mut node = Node::mastering(following(Effect::Weight(2), params));
    let report_value = |node: &mut Node, result| {
        node.give(Input::Probe {
            tracker: "httpd",
            result,
            detail: "as it says".into(),
        })
    };
    assert_eq!(node.status("VI_1").priority.effective.get(), 100);
    assert_eq!(
        report_value(&mut node, Verdict::saying(20)),
        ["VI_1: priority 100 -> 140"]
    );
    let priority = node.status("VI_1").priority;
    assert_eq!(priority.reasons, ["httpd +40"]);
    assert_eq!(
        (priority.tracks[0].weight, priority.tracks[0].contribution),
        (Some(2), 40)
    );
    assert_eq!(node.engine.snapshot(node.now).trackers[0].value, Some(20));
    assert_eq!(
        report_value(&mut node, Verdict::DOWN),
        [
            "tracker httpd: down (as it says)",
            "VI_1: priority 140 -> 100"
        ]
    );
    report_value(&mut node, Verdict::saying(-127));
    assert_eq!(node.state("VI_1"), State::Fault);
    let fault = "tracker httpd reports -127: multiplied by weight 2 this is below -253";
    let track = &node.status("VI_1").priority.tracks[0];
    assert_eq!(track.fault.as_deref(), Some(fault));
}

/// VI_1 that follows `httpd`, a tracker with these parameters.
fn following(effect: Effect, params: TrackerParams) -> NodeParams {
    let mut router = vi_1();
    router.tracks = vec![tracked("httpd", effect)];
    let mut node = routers([("VI_1", router)]);
    node.trackers.insert("httpd".into(), params);
    node
}

fn interface(name: &str) -> TrackerParams {
    TrackerParams::new(TrackerKind::Interface { name: name.into() })
}
