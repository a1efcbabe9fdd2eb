//! Restart: an engine continues with the state of another one.

use core::time::Duration;

use super::rig::*;
use crate::checkpoint::Checkpoint;
use crate::events::Input;
use crate::params::{AntiReplay, Authentication, Effect, HmacMode, NodeParams, RouterParams};
use crate::types::State;
use crate::wire::hmac::Sequence;

const INTERVAL: Duration = SECOND;

/// What the node leaves now.
fn leave(node: &mut Node) -> Checkpoint {
    assert_eq!(node.give(Input::Leave), Vec::<String>::new());
    node.engine.checkpoint(node.now)
}

/// Node that continues with `left`, after `absence`, and its outputs at the start.
fn resumed(
    node: &Node,
    left: Checkpoint,
    absence: Duration,
    params: NodeParams,
) -> (Node, Vec<String>) {
    let mut next = Node::wired();
    next.now = node.now + absence;
    assert_eq!(next.give(Input::Resume(left)), Vec::<String>::new());
    let lines = next.configure(params);
    (next, lines)
}

fn vi_1_only() -> NodeParams {
    routers([("VI_1", vi_1())])
}

#[test]
fn master_continues_with_its_next_advertisement() {
    let mut node = Node::mastering(vi_1_only());
    let (due, before) = (node.due(), node.status("VI_1"));
    let left = leave(&mut node);
    let absence = Duration::from_millis(10);
    let (next, lines) = resumed(&node, left, absence, vi_1_only());
    assert_eq!(
        lines,
        [
            "on 2 hold [192.168.224.100/24], release []",
            "VI_1: master (continues after a restart of the daemon in 10.000 ms)",
        ]
    );
    assert_eq!(next.due(), due);
    let after = next.status("VI_1");
    assert_eq!(after.counters, before.counters);
    assert_eq!(after.history.len(), before.history.len());
    assert!(after.state_age > before.state_age);
}

#[test]
fn master_that_continues_too_late_listens_first() {
    let mut node = Node::mastering(vi_1_only());
    let left = leave(&mut node);
    let (next, lines) = resumed(&node, left, INTERVAL * 4, vi_1_only());
    assert_eq!(next.state("VI_1"), State::Backup);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("VI_1: master -> backup (not scheduled for")),
        "{lines:?}"
    );
    assert_eq!(next.held(), Vec::<String>::new());
}

#[test]
fn backup_keeps_its_timer_for_an_absence_of_one_interval() {
    for (absence, late) in [(INTERVAL, 0), (INTERVAL + Duration::from_millis(1), 1)] {
        let mut node = Node::running(vi_1_only());
        node.receive_advert(200);
        let due = node.due();
        let left = leave(&mut node);
        let (next, _) = resumed(&node, left, absence, vi_1_only());
        assert_eq!(next.state("VI_1"), State::Backup);
        assert_eq!(
            next.status("VI_1").counters.late_wakeups,
            late,
            "{absence:?}"
        );
        assert_eq!(next.due() == due, late == 0, "{absence:?}");
        let master = next.status("VI_1").master.expect("it follows a master");
        assert_eq!(master.priority, 200);
    }
}

#[test]
fn router_of_another_identity_starts_anew() {
    let other = RouterParams {
        vrid: vi_2().vrid,
        ..vi_1()
    };
    let mut node = Node::mastering(vi_1_only());
    let left = leave(&mut node);
    let (next, _) = resumed(&node, left, Duration::ZERO, routers([("VI_1", other)]));
    assert_eq!(next.state("VI_1"), State::Backup);
    assert_eq!(next.status("VI_1").counters.became_master, 0);
}

#[test]
fn renamed_router_continues() {
    let mut node = Node::mastering(vi_1_only());
    let left = leave(&mut node);
    let renamed = routers([("WEB", vi_1())]);
    let (next, lines) = resumed(&node, left, Duration::ZERO, renamed);
    assert_eq!(lines[0], r#"renamed: Renames({"VI_1": "WEB"})"#);
    assert_eq!(next.state("WEB"), State::Master);
    assert_eq!(next.due(), node.due());
}

#[test]
fn changed_priority_and_shorter_interval_apply_at_once() {
    let quick = RouterParams {
        priority: priority(150),
        interval: crate::types::AdvertInterval::from_centiseconds(10).expect("in range"),
        ..vi_1()
    };
    let mut node = Node::mastering(vi_1_only());
    let left = leave(&mut node);
    let (mut next, _) = resumed(&node, left, Duration::ZERO, routers([("VI_1", quick)]));
    assert_eq!(next.state("VI_1"), State::Master);
    assert!(next.due() <= next.now + Duration::from_millis(100));
    assert_eq!(next.status("VI_1").priority.effective, priority(150));
    assert!(next.step().iter().any(|line| line.contains("150")));
}

#[test]
fn master_in_its_grace_resigns_instead_of_continuing() {
    let mut node = Node::mastering(vi_1_only());
    node.give(removed(ETH1, own(ETH1)));
    let lines = node.give(Input::Leave);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("VI_1: master -> init")),
        "{lines:?}"
    );
    let left = node.engine.checkpoint(node.now);
    assert_eq!(left.routers["VI_1"].phase, None);
}

#[test]
fn fault_found_at_the_start_is_a_transition() {
    let mut node = Node::mastering(vi_1_only());
    let left = leave(&mut node);
    let mut next = Node::wired();
    next.now = node.now;
    next.give(Input::Link(crate::events::Link {
        carrier: false,
        ..link(ETH1, "eth1")
    }));
    next.give(Input::Resume(left));
    next.configure(vi_1_only());
    assert_eq!(next.state("VI_1"), State::Fault);
}

#[test]
fn verdict_of_a_tracker_is_kept_without_a_result() {
    let mut params = routers([(
        "VI_1",
        RouterParams {
            tracks: vec![tracked("check", Effect::Weight(-20))],
            ..vi_1()
        },
    )]);
    params.trackers.insert("check".into(), probed(1, 1));
    let mut node = Node::mastering(params.clone());
    node.probe("check", false);
    let left = leave(&mut node);
    let (next, lines) = resumed(&node, left, Duration::ZERO, params);
    assert_eq!(next.status("VI_1").priority.effective, priority(80));
    assert!(
        !lines.iter().any(|line| line.contains("priority")),
        "{lines:?}"
    );
}

#[test]
fn accepted_number_is_not_accepted_after_any_restart() {
    let mut params = hmac(HmacMode::Enforce);
    params.anti_replay = AntiReplay::Monotonic;
    let signing = || {
        let authentication = Authentication::Hmac(params.clone());
        routers([(
            "VI_1",
            RouterParams {
                authentication,
                ..vi_1()
            },
        )])
    };
    let wall = Duration::from_secs(1_800_000_000);
    let recorded = signed(advert(51, 200), 1, Sequence::at(wall));
    let mut node = Node::wired();
    node.give(Input::WallClock(wall));
    node.configure(signing());
    node.receive(ETH1, PEER, &recorded);
    assert_eq!(node.status("VI_1").counters.adverts_received, 1);
    let left = leave(&mut node);
    let numbers = node.engine.numbers(node.now);
    for left in [left.clone(), left.without_states(), numbers] {
        let (mut next, _) = resumed(&node, left, Duration::ZERO, signing());
        next.receive(ETH1, PEER, &recorded);
        assert_eq!(next.status("VI_1").counters.dropped.HmacReplayed, 1);
    }
}

#[test]
fn numbers_are_those_of_signed_advertisements_only() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.receive_advert(50);
    assert_eq!(node.engine.numbers(node.now).routers.len(), 0);
}

#[test]
fn time_to_leave_is_before_the_longest_pause() {
    let node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(node.engine.quiet_at(node.now), node.due());
    let backup = Node::running(vi_1_only());
    assert_eq!(backup.engine.quiet_at(backup.now), backup.now);
}
