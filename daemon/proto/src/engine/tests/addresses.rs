//! Virtual addresses that somebody takes away or adds.

use super::rig::*;
use crate::events::Input;
use crate::types::{Priority, State};

#[test]
fn a_deleted_virtual_address_is_put_back_and_announced_without_a_transition() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.sleep(SECOND / 4);
    let due = node.engine.poll_timeout();
    let before = node.status("VI_1").counters;
    assert_eq!(
        node.give(removed(ETH1, "192.168.224.100/24")),
        [
            "VI_1: repaired 192.168.224.100/24",
            "on 2 hold [192.168.224.100/24], release []",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
        ]
    );
    assert_eq!(node.state("VI_1"), State::Master);
    assert_eq!(node.engine.poll_timeout(), due);
    let after = node.status("VI_1").counters;
    assert_eq!(after.repairs, before.repairs + 1);
    assert_eq!(after.announcements, before.announcements + 1);
    assert_eq!(after.became_master, before.became_master);
}

#[test]
fn only_the_deleted_address_is_announced() {
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.100/24", "192.168.224.101/24"]);
    let mut node = Node::mastering(routers([("VI_1", params)]));
    assert_eq!(
        node.give(removed(ETH1, "192.168.224.101/24"))[1..],
        [
            "on 2 hold [192.168.224.100/24 192.168.224.101/24], release []",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.101/24",
        ]
    );
}

#[test]
fn the_same_address_with_another_prefix_is_not_missed() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(node.give(removed(ETH1, "192.168.224.100/32")), [""; 0]);
}

#[test]
fn an_address_that_was_taken_off_is_never_a_source() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.give(added(ETH1, "192.168.224.100/24", false));
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.101/24"]);
    node.configure(routers([("VI_1", params)]));
    node.lose(removed(ETH1, own(ETH1)));
    assert_eq!(node.state("VI_1"), State::Fault);
}

#[test]
fn a_backup_does_not_miss_a_virtual_address() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    assert_eq!(node.give(removed(ETH1, "192.168.224.100/24")), [""; 0]);
}

#[test]
fn a_stray_virtual_address_on_a_backup_is_taken_off_whoever_added_it() {
    for ours in [false, true] {
        let mut node = Node::running(routers([("VI_1", vi_1())]));
        let due = node.engine.poll_timeout();
        assert_eq!(
            node.give(added(ETH1, "192.168.224.100/24", ours)),
            [
                "VI_1: stray 192.168.224.100/24",
                "on 2 hold [], release [192.168.224.100/24]"
            ]
        );
        assert_eq!(node.status("VI_1").counters.strays, 1);
        assert_eq!(node.engine.poll_timeout(), due);
    }
}

#[test]
fn a_stray_virtual_address_is_taken_off_in_fault_too() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let mut unplugged = link(ETH1, "eth1");
    unplugged.carrier = false;
    node.lose(Input::Link(unplugged));
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(
        node.give(added(ETH1, "192.168.224.100/24", false)),
        [
            "VI_1: stray 192.168.224.100/24",
            "on 2 hold [], release [192.168.224.100/24]"
        ]
    );
}

#[test]
fn a_stray_with_another_prefix_is_one_as_well() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let lines = node.give(added(ETH1, "192.168.224.100/32", false));
    assert_eq!(
        lines,
        [
            "VI_1: stray 192.168.224.100/32",
            "on 2 hold [], release [192.168.224.100/24]"
        ]
    );
}

#[test]
fn the_owners_address_is_no_stray() {
    let mut params = vi_1();
    params.priority = Priority::OWNER;
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.configure(routers([("VI_1", params)]));
    assert_eq!(
        only("VI_1", node.give(added(ETH1, "192.168.224.100/24", false))),
        [
            "VI_1: fault -> master (over: interface eth1 has no IPv4 address of its own to send \
          from)"
        ]
    );
    assert_eq!(node.status("VI_1").counters.strays, 0);
}

#[test]
fn the_owner_that_loses_its_only_address_gets_it_back_and_goes_on() {
    let mut params = vi_1();
    params.priority = Priority::OWNER;
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, "192.168.224.100/24", false));
    node.configure(routers([("VI_1", params.clone())]));
    assert_eq!(
        node.give(removed(ETH1, "192.168.224.100/24"))[..2],
        [
            "VI_1: repaired 192.168.224.100/24",
            "on 2 hold [192.168.224.100/24], release [], sparing foreign ones",
        ]
    );
    // Whatever makes it look again finds the address where it was put.
    let mut moved = link(ETH1, "eth1");
    moved.mac.as_mut().unwrap().0[5] = 0x99;
    node.give(Input::Link(moved));
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn after_an_overrun_everything_is_asked_for_again_and_nothing_else_happens() {
    let params = routers([("VI_1", vi_1()), ("VI_2", vi_2())]);
    let mut node = Node::running(params);
    node.advance(SECOND);
    node.receive(ETH2, PEER, &advert(52, 200));
    node.advance(SECOND * 3);
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.give(Input::Overrun),
        [
            "on 2 hold [192.168.224.100/24], release []",
            "on 3 hold [], release [192.168.198.100/24]",
        ]
    );
    assert_eq!(node.engine.poll_timeout(), due);
}
