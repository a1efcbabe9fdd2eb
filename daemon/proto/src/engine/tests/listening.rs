//! Interfaces on which packets cannot be received: no silence there.

use std::sync::Arc;

use super::rig::*;
use crate::events::Input;
use crate::types::{Family, InterfaceIndex, State};

fn listening(interface: InterfaceIndex, family: Family, error: Option<&str>) -> Input<'static> {
    Input::Listening {
        interface,
        family,
        error: error.map(Arc::from),
    }
}

const NO_SOCKET: Option<&str> = Some("Too many open files");

#[test]
fn router_without_a_socket_is_in_fault() {
    let mut node = Node::running(routers([("VI_1", vi_1()), ("VI_2", vi_2())]));
    assert_eq!(
        only("VI_", node.give(listening(ETH1, Family::V4, NO_SOCKET))),
        [
            "VI_1: backup -> fault (advertisements on interface eth1 cannot be received: Too many open \
             files)"
        ]
    );
    assert_eq!(node.give(listening(ETH1, Family::V4, NO_SOCKET)), [""; 0]);
    node.advance(SECOND * 10);
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(node.state("VI_2"), State::Master);
    let begins = node.now;
    assert_eq!(
        only("VI_", node.give(listening(ETH1, Family::V4, None))),
        [
            "VI_1: fault -> backup (recovered from: advertisements on interface eth1 cannot be received: \
             Too many open files)"
        ]
    );
    node.advance(SECOND * 3);
    assert_eq!(node.state("VI_1"), State::Backup, "{begins:?}");
}

#[test]
fn router_without_a_socket_of_another_family_runs() {
    let mut node = Node::running_v6(routers([("VI_1", vi_1())]));
    let lines = node.give(listening(ETH1, Family::V6, NO_SOCKET));
    assert_eq!(only("VI_1", lines), [""; 0]);
    let both = vi_1_with(&["192.168.224.100/24", "fe80::100/64"]);
    node.configure(routers([("VI_1", both)]));
    assert_eq!(node.state("VI_1"), State::Fault);
}

/// The kernel gives a former index to no other interface while it is in use, but may do so later.
#[test]
fn router_on_a_new_interface_is_not_in_fault() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.give(listening(ETH1, Family::V4, NO_SOCKET));
    node.give(Input::LinkRemoved(ETH1));
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, own(ETH1), false));
    assert_eq!(node.state("VI_1"), State::Backup);
}
