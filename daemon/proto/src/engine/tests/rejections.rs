//! Virtual addresses that the kernel rejects for a reason that lasts.

use super::rig::*;
use crate::events::{Input, Link};
use crate::params::{NodeParams, RouterParams};
use crate::types::{InterfaceIndex, State};

const VIP: &str = "192.168.224.100/24";
const SECOND_VIP: &str = "192.168.224.101/24";

fn rejected(
    interface: InterfaceIndex,
    address: &str,
    error: Option<&'static str>,
) -> Input<'static> {
    Input::Rejected {
        interface,
        address: address.parse().unwrap(),
        error: error.map(Into::into),
    }
}

fn with_two_addresses() -> NodeParams {
    let params = RouterParams {
        addresses: [VIP, SECOND_VIP].map(|a| a.parse().unwrap()).into(),
        ..vi_1()
    };
    routers([("VI_1", params)])
}

#[test]
fn router_without_any_of_its_addresses_is_in_fault() {
    let mut node = Node::mastering(with_two_addresses());
    assert_eq!(
        node.give(rejected(ETH1, VIP, Some("Invalid argument"))),
        [""; 0]
    );
    assert_eq!(node.state("VI_1"), State::Master, "it has the other one");
    let lines = node.give(rejected(ETH1, SECOND_VIP, Some("Invalid argument")));
    let cause = format!(
        "the kernel adds none of the virtual addresses: {VIP}: Invalid argument; the next attempt \
         follows a reload or a change of the interface"
    );
    assert!(
        lines.contains(&format!("VI_1: master -> fault ({cause})")),
        "{lines:?}"
    );
    assert!(
        lines[0].contains("VRID 51, priority 0"),
        "another host takes over at once: {lines:?}"
    );
    assert_eq!(node.advance(SECOND * 60), [""; 0], "time does not end it");
}

#[test]
fn reload_or_change_of_the_interface_ends_the_fault() {
    let down_and_up: fn(&mut Node) = |node| {
        let link = link(ETH1, "eth1");
        node.give(Input::Link(Link {
            carrier: false,
            ..link.clone()
        }));
        node.give(Input::Link(link));
    };
    let reload: fn(&mut Node) = |node| {
        node.configure(routers([("VI_1", vi_1())]));
    };
    for change in [down_and_up, reload] {
        let mut node = Node::mastering(routers([("VI_1", vi_1())]));
        node.give(rejected(ETH1, VIP, Some("Permission denied")));
        assert_eq!(node.state("VI_1"), State::Fault);
        change(&mut node);
        assert_eq!(node.state("VI_1"), State::Backup);
    }
}

#[test]
fn other_interfaces_and_addresses_do_not_end_the_fault() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(rejected(ETH1, VIP, Some("Permission denied")));
    node.give(Input::Link(Link {
        carrier: false,
        ..link(ETH2, "eth2")
    }));
    node.give(added(ETH1, "192.168.224.77/24", false));
    assert_eq!(node.state("VI_1"), State::Fault);
}

#[test]
fn first_address_of_the_family_ends_the_fault() {
    let params = RouterParams {
        addresses: [VIP, "2001:db8::100/64"].map(|a| a.parse().unwrap()).into(),
        ..special(vi_1(), "2001:db8::100", |options| {
            options.advertise = false;
        })
    };
    let mut node = Node::mastering(routers([("VI_1", params)]));
    node.give(rejected(ETH1, VIP, Some("Permission denied")));
    node.give(rejected(
        ETH1,
        "2001:db8::100/64",
        Some("Permission denied"),
    ));
    assert_eq!(node.state("VI_1"), State::Fault);
    node.give(added(ETH1, "2001:db8::12/64", false));
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn rejection_that_ends_is_forgotten() {
    let mut node = Node::mastering(with_two_addresses());
    node.give(rejected(ETH1, VIP, Some("Invalid argument")));
    node.give(rejected(ETH1, VIP, None));
    node.give(rejected(ETH1, SECOND_VIP, Some("Invalid argument")));
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn rejection_does_not_outlast_the_mastership() {
    let mut node = Node::mastering(with_two_addresses());
    node.give(rejected(ETH1, SECOND_VIP, Some("Invalid argument")));
    node.receive_advert(200);
    assert_eq!(node.state("VI_1"), State::Backup);
    node.advance(SECOND * 4);
    assert_eq!(node.state("VI_1"), State::Master);
    node.give(rejected(ETH1, VIP, Some("Invalid argument")));
    assert_eq!(node.state("VI_1"), State::Master, "the other one was added");
}

#[test]
fn rejection_of_an_unknown_address_is_ignored() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        node.give(rejected(ETH2, VIP, Some("Invalid argument"))),
        [""; 0]
    );
    assert_eq!(node.state("VI_1"), State::Master);
}
