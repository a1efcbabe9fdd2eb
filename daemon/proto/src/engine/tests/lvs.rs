//! IPVS sync daemon: its role follows the state of its router.

use std::sync::Arc;

use super::rig::*;
use crate::events::Input;
use crate::params::{Effect, LvsRole, LvsSync, RouterParams};
use crate::time::Instant;

const MASTER: &str = "sync 51 of eth1: master on 2";
const BACKUP: &str = "sync 51 of eth1: backup on 2";
const NOTHING: &str = "sync 51 of eth1: nothing on 2";

#[test]
fn sync_daemon_role_follows_the_router_state() {
    let mut node = Node::wired();
    let lines = node.configure(routers([("VI_1", with_sync())]));
    assert_eq!(only("sync", lines), [BACKUP]);
    let lines = node.advance(SECOND * 6);
    assert_eq!(only("sync", lines), [MASTER]);
    let lines = node.receive_advert(200);
    assert_eq!(only("sync", lines), [BACKUP]);
    let lines = node.give(Input::Stop);
    assert_eq!(only("sync", lines), [NOTHING]);
}

#[test]
fn sync_daemon_stays_master_until_a_successor_advertises() {
    let mut node = Node::mastering(routers([("VI_1", with_sync())]));
    assert_eq!(only("sync", node.give(Input::Stop)), [""; 0]);
    let status = node.status("VI_1").lvs.unwrap();
    assert_eq!(status.role, Some(LvsRole::Master));
    assert_eq!(only("sync", node.receive_advert(90)), [NOTHING]);
}

#[test]
fn sync_daemon_is_backup_while_in_fault() {
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
fn router_without_sync_daemon_requests_none() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let mut lines = node.advance(SECOND * 6);
    lines.extend(node.give(Input::Overrun));
    lines.extend(node.give(Input::Stop));
    assert_eq!(only("sync", lines), [""; 0]);
    assert_eq!(node.status("VI_1").lvs, None);
}

#[test]
fn overrun_repeats_the_sync_daemon_request() {
    let mut node = Node::mastering(routers([("VI_1", with_sync())]));
    let lines = node.give(Input::Overrun);
    assert_eq!(only("sync", lines), [MASTER]);
}

#[test]
fn sync_daemon_request_follows_the_interface_index() {
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
    // A repeated or unrelated link event causes no request.
    let lines = node.give(Input::Link(link(ETH2, "eth2")));
    assert_eq!(only("sync", lines), [""; 0]);
    let lines = node.give(Input::LinkRemoved(ETH2));
    assert_eq!(only("sync", lines), ["sync 7 of eth2: backup on nowhere"]);
    let another = crate::types::InterfaceIndex(9);
    let lines = node.give(Input::Link(link(another, "eth2")));
    assert_eq!(only("sync", lines), ["sync 7 of eth2: backup on 9"]);
}

#[test]
fn reload_changes_the_sync_daemon_without_a_transition() {
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
fn reload_moves_the_sync_daemon_between_routers() {
    let vi_2 = |lvs| RouterParams {
        addresses: addresses(&["192.168.224.200/24"]),
        vrid: crate::types::Vrid::new(52).unwrap(),
        lvs,
        ..vi_1()
    };
    let both = routers([("VI_1", with_sync()), ("VI_2", vi_2(None))]);
    let mut node = Node::mastering(both);
    // The state of the kernel is already the desired one.
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
