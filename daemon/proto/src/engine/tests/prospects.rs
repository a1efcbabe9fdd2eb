//! Prospects in the status: the next deadline, the reason to wait, and the master so far.

use core::net::Ipv4Addr;

use super::rig::*;
use crate::params::GroupParams;
use crate::reasons::Due;
use crate::snapshot::{HoldOffReason, NextStatus, RouterStatus};
use crate::types::{AdvertInterval, State};
use crate::wire::ChecksumForm;

fn next(status: &RouterStatus) -> (Due, f64) {
    let NextStatus { due, left } = status.next.as_ref().expect("a deadline");
    // To the microsecond.
    (*due, (left * 1e6).round() / 1e6)
}

#[test]
fn master_advertises_next_and_backup_takes_over() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    // Three intervals and the skew time of priority 100.
    assert_eq!(next(&node.status("VI_1")), (Due::TakeOver, 3.609_375));
    node.advance(SECOND / 4);
    assert_eq!(next(&node.status("VI_1")), (Due::TakeOver, 3.359_375));
    node.advance(SECOND * 4);
    assert_eq!(node.state("VI_1"), State::Master);
    let (due, left) = next(&node.status("VI_1"));
    assert_eq!(due, Due::Advertisement);
    assert!(left <= 1.0, "{left}");
}

#[test]
fn backups_of_group_have_a_common_next_deadline() {
    let mut second = vi_2();
    second.interval = AdvertInterval::from_centiseconds(200).unwrap();
    let mut params = routers([("VI_1", vi_1()), ("VI_2", second)]);
    let members = ["VI_1", "VI_2"].map(Into::into).into();
    let tracks = vec![];
    params
        .groups
        .insert("VG_1".into(), GroupParams { members, tracks });
    let node = Node::running(params);
    let of = |router| next(&node.status(router));
    let (due, left) = of("VI_1");
    assert_eq!(of("VI_2"), (due, left));
    assert_eq!(due, Due::TakeOver);
    assert!(left > 6.0, "{left}");
}

#[test]
fn master_is_heard_since_its_first_advertisement() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    assert_eq!(node.status("VI_1").master, None);
    let heard_for = |node: &Node| node.status("VI_1").master.expect("a master").heard_for;
    for _ in 0..3 {
        node.receive_advert(200);
        node.advance(SECOND);
    }
    assert!((heard_for(&node) - 3.0).abs() < 1e-9);
    // A lower priority of the same master is no interruption, another master is.
    node.receive_advert(50);
    assert!((heard_for(&node) - 3.0).abs() < 1e-9);
    let another = version_3(51, 200, 100, ChecksumForm::MessageOnly);
    node.receive(ETH1, Ipv4Addr::new(192, 168, 224, 13), &another);
    assert!(heard_for(&node) < 1e-9);
}

#[test]
fn hold_off_names_reason_and_remaining_time() {
    let mut params = vi_1();
    params.preempt_delay = SECOND * 10;
    let mut node = Node::running(routers([("VI_1", params)]));
    assert_eq!(node.status("VI_1").hold_off, None);
    node.receive_advert(50);
    let hold_off = node.status("VI_1").hold_off.expect("a preempt delay");
    assert_eq!(hold_off.reason, HoldOffReason::PreemptDelay);
    assert_eq!(hold_off.ends_in, Some(10.0));

    let mut params = vi_1();
    params.preempt = false;
    let mut node = Node::running(routers([("VI_1", params)]));
    node.receive_advert(50);
    let status = node.status("VI_1");
    let hold_off = status.hold_off.expect("no preemption");
    assert_eq!(
        (hold_off.reason, hold_off.ends_in),
        (HoldOffReason::NoPreemption, None)
    );
    assert!(!status.preempt);
}
