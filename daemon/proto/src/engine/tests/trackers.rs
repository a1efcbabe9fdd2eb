//! Trackers: from results to faults and priorities.

use super::rig::*;
use crate::events::{Due, Input};
use crate::params::{Effect, NodeParams, TrackerKind, TrackerParams, Verdict};
use crate::types::State;

#[test]
fn a_tracker_without_a_weight_puts_its_router_in_fault_and_lets_it_out() {
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
        "it still knows whose packets these are"
    );
    assert_eq!(node.probe("httpd", false), [""; 0]);
    assert_eq!(
        node.probe("httpd", true),
        [
            "tracker httpd: up (exit status 0)",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: fault -> backup (over: tracker httpd is down)",
        ]
    );
    assert_eq!(node.due().since(node.now).as_nanos(), 3_609_375_000);
}

#[test]
fn a_weight_changes_the_priority_that_is_advertised_and_no_state() {
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
fn a_lowered_master_yields_to_the_next_who_speaks_up() {
    let mut node = Node::mastering(following(Effect::Weight(-30), probed(1, 1)));
    node.probe("httpd", false);
    assert_eq!(
        only("VI_1", node.hear(99)),
        ["VI_1: master -> backup (192.168.224.11 advertises priority 99, ours is 70: yielded)"]
    );
    node.probe("httpd", true);
    node.hear(99);
    assert_eq!(
        only("VI_1", node.step()),
        ["VI_1: backup -> master (192.168.224.11 advertises priority 99, ours is 100: preempted)"]
    );
}

#[test]
fn results_in_a_row_count_and_the_verdict_is_told_once() {
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
fn a_tracked_interface_counts_as_it_is_however_many_results_others_need() {
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
fn a_tracked_interface_that_is_missing_at_the_start_is_down_from_the_start() {
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
fn a_tracked_interface_is_no_obstacle_twice_when_it_is_the_routers_own() {
    let mut node = Node::mastering(following(Effect::Fault, interface("eth1")));
    let mut unplugged = link(ETH1, "eth1");
    unplugged.carrier = false;
    assert_eq!(
        only("VI_1", node.give(Input::Link(unplugged))),
        ["VI_1: master -> fault (interface eth1 has no carrier)"]
    );
    assert_eq!(
        only("VI_1", node.give(Input::Link(link(ETH1, "eth1")))),
        ["VI_1: fault -> backup (over: interface eth1 has no carrier)"]
    );
}

#[test]
fn a_result_for_a_tracker_that_is_unknown_or_watched_by_the_engine_is_ignored() {
    let mut node = Node::running(following(Effect::Fault, interface("eth2")));
    assert_eq!(node.probe("nobody", false), [""; 0]);
    assert_eq!(
        node.probe("httpd", false),
        [""; 0],
        "the engine knows better"
    );
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn the_owners_priority_stays_and_nothing_is_said_to_change_it() {
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
fn one_tracker_moves_all_who_follow_it_and_nobody_else() {
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
fn a_held_verdict_changes_by_itself_when_its_time_has_come() {
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
    assert_eq!(
        node.engine.poll_timeout(),
        due,
        "there is nothing else to do"
    );
    let tracker = &node.engine.snapshot(node.now).trackers[0];
    assert_eq!(tracker.up, Some(false));
    assert_eq!((tracker.age, tracker.changes_in), (Some(1.0), Some(19.0)));
    assert_eq!(
        node.step(),
        [
            "tracker httpd: up (exit status 0)",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: fault -> backup (over: tracker httpd is down)",
        ]
    );
    let tracker = &node.engine.snapshot(node.now).trackers[0];
    assert_eq!((tracker.up, tracker.changes_in), (Some(true), None));
    assert_eq!(node.engine.poll_timeout().unwrap().1, Due::TakeOver);
}

#[test]
fn what_is_taken_back_in_time_is_no_verdict() {
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
fn a_verdict_that_is_due_with_a_take_over_comes_first() {
    let params = TrackerParams {
        hold: SECOND * 3,
        ..probed(1, 1)
    };
    let mut node = Node::running(following(Effect::Fault, params));
    node.probe("httpd", false);
    node.probe("httpd", true);
    node.step();
    node.probe("httpd", false);
    // It begins to listen anew when the verdict is up, and is down again before that ends.
    assert_eq!(node.engine.poll_timeout().unwrap().1, Due::Verdict);
    node.now = node.now + SECOND * 100;
    assert_eq!(
        only("VI_1", node.give(Input::Tick)),
        ["VI_1: backup -> fault (tracker httpd is down)"]
    );
}

#[test]
fn a_watched_interface_that_flickers_is_held_down() {
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
fn what_is_not_known_to_be_well_can_be_a_reason_to_wait() {
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
fn a_number_moves_the_priority_without_a_word_of_up_or_down() {
    let params = TrackerParams {
        initial: Verdict::saying(0),
        ..probed(1, 1)
    };
    let mut node = Node::mastering(following(Effect::Weight(2), params));
    let says = |node: &mut Node, result| {
        node.give(Input::Probe {
            tracker: "httpd",
            result,
            detail: "as it says".into(),
        })
    };
    assert_eq!(node.status("VI_1").priority.effective.get(), 100);
    assert_eq!(
        says(&mut node, Verdict::saying(20)),
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
        says(&mut node, Verdict::DOWN),
        [
            "tracker httpd: down (as it says)",
            "VI_1: priority 140 -> 100"
        ]
    );
    says(&mut node, Verdict::saying(-127));
    assert_eq!(node.state("VI_1"), State::Fault);
    let fault = "tracker httpd says -127, which with weight 2 is below -253";
    let track = &node.status("VI_1").priority.tracks[0];
    assert_eq!(track.fault.as_deref(), Some(fault));
}

/// VI_1 following `httpd`, which is watched as `params` say.
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
