//! The sync thread of IPVS follows the state of the router that has it.

use std::sync::Arc;

use super::rig::*;
use crate::events::{Input, LvsRole};
use crate::params::{Effect, LvsSync, RouterParams};
use crate::time::Instant;

const MASTER: &str = "sync 51 of eth1: master on 2";
const BACKUP: &str = "sync 51 of eth1: backup on 2";
const NOTHING: &str = "sync 51 of eth1: nothing on 2";

#[test]
fn the_sync_thread_is_backup_and_master_as_its_router_is() {
    let mut node = Node::wired();
    let lines = node.configure(routers([("VI_1", with_sync())]));
    assert_eq!(only("sync", lines), [BACKUP]);
    let lines = node.advance(SECOND * 6);
    assert_eq!(only("sync", lines), [MASTER]);
    let lines = node.hear(200);
    assert_eq!(only("sync", lines), [BACKUP]);
    let lines = node.give(Input::Stop);
    assert_eq!(only("sync", lines), [NOTHING]);
}

#[test]
fn a_router_in_fault_goes_on_hearing_of_connections() {
    let mut params = routers([(
        "VI_1",
        RouterParams {
            tracks: vec![tracked("httpd", Effect::Fault)],
            ..with_sync()
        },
    )]);
    params.trackers.insert("httpd".into(), probed(1, 1));
    let mut node = Node::mastering(params);
    let lines = node.probe("httpd", false);
    assert_eq!(only("sync", lines), [BACKUP]);
    let status = node.status("VI_1").lvs.unwrap();
    assert_eq!((status.role, status.sync_id), (Some(LvsRole::Backup), 51));
}

#[test]
fn a_router_without_any_says_nothing_of_it() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let mut lines = node.advance(SECOND * 6);
    lines.extend(node.give(Input::Overrun));
    lines.extend(node.give(Input::Stop));
    assert_eq!(only("sync", lines), [""; 0]);
    assert_eq!(node.status("VI_1").lvs, None);
}

#[test]
fn it_is_said_again_when_the_kernel_may_hold_something_else() {
    let mut node = Node::mastering(routers([("VI_1", with_sync())]));
    let lines = node.give(Input::Overrun);
    assert_eq!(only("sync", lines), [MASTER]);
}

#[test]
fn its_interface_may_come_later_and_be_another_one_of_the_same_name() {
    let params = RouterParams {
        lvs: Some(Arc::new(LvsSync::new("eth2".into(), 7))),
        ..vi_1()
    };
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, own(ETH1), false));
    let lines = node.configure(routers([("VI_1", params)]));
    assert_eq!(only("sync", lines), ["sync 7 of eth2: backup on nowhere"]);
    let lines = node.give(Input::Link(link(ETH2, "eth2")));
    assert_eq!(only("sync", lines), ["sync 7 of eth2: backup on 3"]);
    // Again, and other news of it, say nothing new.
    let lines = node.give(Input::Link(link(ETH2, "eth2")));
    assert_eq!(only("sync", lines), [""; 0]);
    let lines = node.give(Input::LinkRemoved(ETH2));
    assert_eq!(only("sync", lines), ["sync 7 of eth2: backup on nowhere"]);
    let another = crate::types::InterfaceIndex(9);
    let lines = node.give(Input::Link(link(another, "eth2")));
    assert_eq!(only("sync", lines), ["sync 7 of eth2: backup on 9"]);
}

#[test]
fn a_reload_changes_it_adds_it_and_takes_it_away_without_a_transition() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let since = node.status("VI_1").history.len();
    let lines = node.configure(routers([("VI_1", with_sync())]));
    assert_eq!(lines, [MASTER]);
    let lines = node.configure(routers([("VI_1", with_sync())]));
    assert_eq!(lines, [""; 0]);
    let other = RouterParams {
        lvs: Some(Arc::new(LvsSync::new("eth2".into(), 52))),
        ..vi_1()
    };
    let lines = node.configure(routers([("VI_1", other)]));
    assert_eq!(lines, ["sync 52 of eth2: master on 3"]);
    let lines = node.configure(routers([("VI_1", vi_1())]));
    assert_eq!(lines, ["sync 52 of eth2: nothing on 3"]);
    assert_eq!(node.status("VI_1").history.len(), since);
}

#[test]
fn a_reload_hands_it_from_one_router_to_another() {
    let vi_2 = |lvs| RouterParams {
        addresses: addresses(&["192.168.224.200/24"]),
        vrid: crate::types::Vrid::new(52).unwrap(),
        lvs,
        ..vi_1()
    };
    let both = routers([("VI_1", with_sync()), ("VI_2", vi_2(None))]);
    let mut node = Node::mastering(both);
    // What the kernel has is what it should have still.
    let lines = node.configure(routers([("VI_1", vi_1()), ("VI_2", vi_2(with_sync().lvs))]));
    assert_eq!(only("sync", lines), [""; 0]);
    let lines = node.configure(routers([("VI_1", vi_1())]));
    assert_eq!(only("sync", lines), [NOTHING]);
    assert!(
        node.engine.snapshot(Instant::ZERO).instances[0]
            .lvs
            .is_none()
    );
}

fn with_sync() -> RouterParams {
    RouterParams {
        lvs: Some(Arc::new(LvsSync::new("eth1".into(), 51))),
        ..vi_1()
    }
}
