//! Hold-down of a router that takes over again and again.

use core::time::Duration;

use super::rig::*;
use crate::params::NodeParams;
use crate::types::State;

/// The other host becomes master and resigns at once. Returns the time until this one takes over.
fn provoke(node: &mut Node) -> Duration {
    node.receive_advert(254);
    node.receive_advert(0);
    let resigned = node.now;
    while node.state("VI_1") == State::Backup {
        node.step();
    }
    node.now.since(resigned)
}

fn vi_1_only() -> NodeParams {
    routers([("VI_1", vi_1())])
}

// RFC 9568 6.4.2 MUST: when Active_Down_Timer fires, advertise and become Active
#[test]
fn take_overs_in_quick_succession_are_held_down() {
    let mut node = Node::mastering(vi_1_only());
    let skew = provoke(&mut node);
    assert!(skew < SECOND, "{skew:?}");
    // Three intervals before the sixth one, and then before each.
    let waits: Vec<Duration> = (0..10).map(|_| provoke(&mut node)).collect();
    let held = waits.iter().position(|wait| *wait > skew).unwrap();
    assert!((3..=6).contains(&held), "{waits:?}");
    for wait in &waits[held + 1..] {
        assert_eq!(*wait, SECOND * 3, "{waits:?}");
    }
    node.receive_advert(254);
    node.receive_advert(0);
    let status = node.status("VI_1");
    assert_eq!(
        &*status.cause,
        "flapping: 5 take-overs in quick succession, the next one in 3.000 s at the earliest"
    );
    assert_eq!(status.flapping, Some(16));
}

#[test]
fn hold_down_ends_with_a_quiet_time() {
    let mut node = Node::mastering(vi_1_only());
    let skew = provoke(&mut node);
    while provoke(&mut node) == skew {}
    node.advance(SECOND * 15);
    for _ in 0..5 {
        assert_eq!(provoke(&mut node), skew);
    }
    node.advance(SECOND * 60);
    assert_eq!(node.status("VI_1").flapping, None);
}

#[test]
fn rare_take_overs_are_never_held_down() {
    let mut node = Node::mastering(vi_1_only());
    let skew = provoke(&mut node);
    for _ in 0..20 {
        node.advance(SECOND * 3);
        assert_eq!(provoke(&mut node), skew);
    }
}
