//! Interfaces that are not tracked: a router goes on without a link on its own interface.

use super::rig::*;
use crate::events::{Input, Link};
use crate::params::RouterParams;
use crate::types::{InterfaceIndex, State};

const NO_CARRIER: &str = "interface eth1 has no carrier";
const NO_ADDRESS: &str = "interface eth1 has no non-virtual IPv4 address to send from";

/// VI_1 on eth1, a direct cable to the other host, with its address on eth2.
fn heartbeat() -> RouterParams {
    let params = special(vi_1(), "192.168.224.100", |options| {
        options.device = Some("eth2".into());
    });
    RouterParams {
        track_interface: false,
        ..params
    }
}

fn cable(index: InterfaceIndex, name: &str, plugged: bool) -> Input<'static> {
    Input::Link(Link {
        carrier: plugged,
        ..link(index, name)
    })
}

/// State of VI_1, and the reason why it runs without a link.
fn shown(node: &Node) -> (State, Option<String>) {
    let status = node.status("VI_1");
    let without_link = status.without_link.as_deref();
    (status.state, without_link.map(str::to_owned))
}

#[test]
fn master_without_link_serves_and_sends_nothing() {
    let mut node = Node::mastering(routers([("VI_1", heartbeat())]));
    assert_eq!(
        node.give(cable(ETH1, "eth1", false)),
        [format!("VI_1: no link: {NO_CARRIER}")]
    );
    assert_eq!(node.advance(SECOND * 5), [""; 0]);
    assert_eq!(shown(&node), (State::Master, Some(NO_CARRIER.into())));
    assert_eq!(node.held(), ["192.168.224.100/24 on 3"]);
    assert_eq!(
        node.give(cable(ETH1, "eth1", true)),
        [
            "VI_1: link",
            "announce on 3 at 02:00:00:00:00:03: 192.168.224.100/24",
        ]
    );
    assert_eq!(shown(&node), (State::Master, None));
    assert_eq!(
        node.step(),
        ["advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100"]
    );
}

#[test]
fn backup_without_link_takes_over_unless_the_link_returns() {
    let mut node = Node::running(routers([("VI_1", heartbeat())]));
    node.receive_advert(200);
    node.give(cable(ETH1, "eth1", false));
    let due = node.due();
    node.sleep(SECOND * 3);
    node.give(cable(ETH1, "eth1", true));
    assert_eq!(node.due(), due + SECOND * 3);
    node.give(cable(ETH1, "eth1", false));
    node.advance(SECOND * 4);
    assert_eq!(shown(&node), (State::Master, Some(NO_CARRIER.into())));
    node.give(cable(ETH1, "eth1", true));
    node.receive_advert(200);
    assert_eq!(shown(&node), (State::Backup, None));
}

#[test]
fn owner_starts_as_master_without_a_link() {
    let mut node = Node::wired();
    node.give(cable(ETH1, "eth1", false));
    let params = RouterParams {
        priority: priority(255),
        ..heartbeat()
    };
    node.configure(routers([("VI_1", params)]));
    assert_eq!(shown(&node), (State::Master, Some(NO_CARRIER.into())));
}

#[test]
fn address_lost_with_the_link_may_return_later() {
    let mut node = Node::mastering(routers([("VI_1", heartbeat())]));
    node.give(cable(ETH1, "eth1", false));
    node.give(removed(ETH1, own(ETH1)));
    assert_eq!(node.give(cable(ETH1, "eth1", true)), [""; 0]);
    node.advance(SECOND * 10);
    assert_eq!(shown(&node), (State::Master, Some(NO_ADDRESS.into())));
    // Without a source address the router could not answer.
    let received = node.status("VI_1").counters.adverts_received;
    node.receive_advert(200);
    assert_eq!(node.status("VI_1").counters.adverts_received, received);
    node.give(added(ETH1, own(ETH1), false));
    assert_eq!(shown(&node), (State::Master, None));
}

#[test]
fn other_losses_of_an_untracked_interface_are_faults() {
    for loss in [
        Input::LinkRemoved(ETH1),
        removed(ETH1, own(ETH1)),
        cable(ETH2, "eth2", false),
    ] {
        let mut node = Node::mastering(routers([("VI_1", heartbeat())]));
        node.lose(loss);
        assert_eq!(shown(&node), (State::Fault, None));
    }
}

#[test]
fn reload_that_tracks_the_interface_is_a_fault_at_once() {
    let tracked = RouterParams {
        track_interface: true,
        ..heartbeat()
    };
    let mut node = Node::mastering(routers([("VI_1", heartbeat())]));
    node.give(cable(ETH1, "eth1", false));
    node.configure(routers([("VI_1", tracked)]));
    assert_eq!(shown(&node), (State::Fault, None));
    node.configure(routers([("VI_1", heartbeat())]));
    assert_eq!(shown(&node), (State::Backup, Some(NO_CARRIER.into())));
}
