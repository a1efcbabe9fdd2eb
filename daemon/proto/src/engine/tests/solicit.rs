//! Requests for unicast peers: their neighbour entries for this host.

use super::names::resolved;
use super::rig::*;
use super::unicast::*;
use crate::events::{Input, Link};
use crate::params::{NodeParams, RouterParams};
use crate::types::{MacAddress, Priority, State};

const FIRST: &str = "ask on 2 for 192.168.224.11 from 192.168.224.12 at 02:00:00:00:00:02";
const SECOND_PEER: &str = "ask on 2 for 192.168.224.13 from 192.168.224.12 at 02:00:00:00:00:02";

fn asked(lines: Vec<String>) -> Vec<String> {
    only("ask", lines)
}

fn pair() -> NodeParams {
    routers([("VI_1", unicast(&["192.168.224.11"]))])
}

fn down() -> Input<'static> {
    Input::Link(Link {
        up: false,
        ..link(ETH1, "eth1")
    })
}

fn up() -> Input<'static> {
    Input::Link(link(ETH1, "eth1"))
}

#[test]
fn started_backup_asks_for_each_peer_on_its_network() {
    let list = ["192.168.224.11", THIRD, OWN, "192.168.198.13", "10.9.9.9"];
    let mut node = Node::wired();
    let lines = node.configure(routers([("VI_1", unicast(&list))]));
    assert_eq!(asked(lines), [FIRST, SECOND_PEER]);
    assert_eq!(asked(node.advance(SECOND * 10)), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn backup_asks_for_peers_from_its_link_local_address() {
    let params = RouterParams {
        unicast: Some(peers(&["fe80::11", "2001:db8::11"])),
        ..vi_1_with(&["fe80::100/64"])
    };
    let mut node = Node::wired_v6();
    assert_eq!(
        asked(node.configure(routers([("VI_1", params)]))),
        ["ask on 2 for fe80::11 from fe80::12 at 02:00:00:00:00:02"]
    );
}

#[test]
fn router_without_unicast_and_owner_ask_for_nobody() {
    let mut node = Node::wired();
    let owner = RouterParams {
        priority: Priority::OWNER,
        ..unicast(&["192.168.224.11"])
    };
    let params = routers([("VI_1", owner), ("VI_2", vi_2())]);
    assert_eq!(asked(node.configure(params)), [""; 0]);
}

#[test]
fn backup_asks_again_after_a_fault() {
    let mut node = Node::mastering(pair());
    let lines = node.lose(down());
    assert_eq!(asked(lines), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(asked(node.give(up())), [FIRST]);
}

#[test]
fn backup_asks_again_after_an_interruption() {
    let mut node = Node::running(pair());
    node.sleep(SECOND);
    assert_eq!(asked(node.give(down())), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(asked(node.give(up())), [FIRST]);
}

#[test]
fn master_does_not_ask_after_an_interruption() {
    let mut node = Node::mastering(pair());
    node.give(down());
    assert_eq!(asked(node.give(up())), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn backup_asks_again_after_a_late_wake_up() {
    let mut node = Node::running(pair());
    node.sleep(SECOND * 20);
    assert_eq!(asked(node.give(Input::Tick)), [FIRST]);
    assert_eq!(node.status("VI_1").counters.late_wakeups, 1);
}

#[test]
fn master_that_overslept_asks_as_a_backup() {
    let mut node = Node::mastering(pair());
    node.sleep(SECOND * 20);
    assert_eq!(asked(node.give(Input::Tick)), [FIRST]);
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn master_that_yields_asks_for_nobody() {
    let mut node = Node::mastering(pair());
    let lines = node.give(Input::Packet(to_us("192.168.224.11", &plain(200))));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(asked(lines), [""; 0]);
}

#[test]
fn owner_that_yields_waits_for_no_name() {
    let owner = RouterParams {
        priority: Priority::OWNER,
        ..unicast(&["pair.example"])
    };
    let mut node = Node::mastering(routers([("VI_1", owner)]));
    node.give(Input::Packet(to_us(THIRD, &plain(255))));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(node.status("VI_1").silence_counts_in, None);
}

#[test]
fn backup_asks_again_with_another_mac_address() {
    let mut node = Node::running(pair());
    node.sleep(SECOND);
    let other = Link {
        mac: Some(MacAddress([2, 0, 0, 0, 0, 0x99])),
        ..link(ETH1, "eth1")
    };
    assert_eq!(
        asked(node.give(Input::Link(other))),
        ["ask on 2 for 192.168.224.11 from 192.168.224.12 at 02:00:00:00:00:99"]
    );
}

#[test]
fn backup_asks_for_peers_of_a_network_that_its_interface_joins() {
    let params = RouterParams {
        unicast: Some(peers(&["fe80::11", "2001:db8::11"])),
        ..vi_1_with(&["fe80::100/64"])
    };
    let mut node = Node::running_v6(routers([("VI_1", params)]));
    node.sleep(SECOND);
    assert_eq!(
        asked(node.give(added(ETH1, "2001:db8::12/64", false))),
        ["ask on 2 for 2001:db8::11 from fe80::12 at 02:00:00:00:00:02"]
    );
}

#[test]
fn backup_asks_for_peers_that_a_reload_or_an_answer_adds() {
    let mut node = Node::running(pair());
    node.sleep(SECOND);
    let more = unicast(&["192.168.224.11", "pair.example"]);
    assert_eq!(
        asked(node.configure(routers([("VI_1", more.clone())]))),
        [FIRST]
    );
    node.sleep(SECOND);
    assert_eq!(
        asked(node.give(resolved("pair.example", &[ip(THIRD)]))),
        [SECOND_PEER, FIRST].into_iter().rev().collect::<Vec<_>>()
    );
    node.sleep(SECOND);
    let same = routers([("VI_1", more)]);
    assert_eq!(asked(node.configure(same)), [""; 0]);
}

#[test]
fn backup_does_not_ask_from_a_virtual_address() {
    let other = RouterParams {
        vrid: vi_2().vrid,
        ..vi_1_with(&["192.168.224.50/24"])
    };
    let params = RouterParams {
        source: Some(ip("192.168.224.50")),
        ..unicast(&["192.168.224.11"])
    };
    let mut node = Node::wired();
    node.give(added(ETH1, "192.168.224.50/24", false));
    let lines = node.configure(routers([("VI_1", params), ("VI_2", other)]));
    assert_eq!(asked(lines), [""; 0]);
}

#[test]
fn instances_of_one_turn_share_one_request() {
    let second = RouterParams {
        vrid: vi_2().vrid,
        addresses: addresses(&["192.168.224.101/24"]),
        ..unicast(&["192.168.224.11"])
    };
    let first = unicast(&["192.168.224.11"]);
    let mut node = Node::wired();
    let lines = node.configure(routers([("VI_1", first), ("VI_2", second)]));
    assert_eq!(asked(lines), [FIRST]);
}
