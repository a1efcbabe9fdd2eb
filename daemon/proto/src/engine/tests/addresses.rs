//! Virtual addresses that another program adds or deletes.

use super::rig::*;
use crate::events::Input;
use crate::types::{Priority, State};

#[test]
fn deleted_address_is_restored_and_announced() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.sleep(SECOND / 4);
    let due = node.engine.poll_timeout();
    let before = node.status("VI_1").counters;
    assert_eq!(
        node.give(removed(ETH1, "192.168.224.100/24")),
        [
            "VI_1: repaired 192.168.224.100/24 was deleted by another program",
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
fn only_the_deleted_address_is_announced_again() {
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
fn deletion_with_another_prefix_length_is_ignored() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(node.give(removed(ETH1, "192.168.224.100/32")), [""; 0]);
}

#[test]
fn released_address_is_never_a_source() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.give(added(ETH1, "192.168.224.100/24", false));
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.101/24"]);
    node.configure(routers([("VI_1", params)]));
    node.lose(removed(ETH1, own(ETH1)));
    assert_eq!(node.state("VI_1"), State::Fault);
}

/// The operator had configured the host's only address as a virtual one, and corrects that.
#[test]
fn only_address_of_the_host_outlives_its_removal_from_the_configuration() {
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.101/24"]);
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.give(removed(ETH1, own(ETH1)));
    node.give(added(ETH1, "192.168.224.100/24", false));
    let lines = node.configure(routers([("VI_1", params)]));
    let released =
        "on 2 hold [], release [192.168.224.100/24 192.168.224.101/24], sparing foreign ones";
    assert!(lines.contains(&released.to_owned()), "{lines:#?}");
}

#[test]
fn backup_ignores_a_deleted_virtual_address() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    assert_eq!(node.give(removed(ETH1, "192.168.224.100/24")), [""; 0]);
}

#[test]
fn stray_address_is_deleted_from_a_backup() {
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
fn stray_address_is_deleted_in_fault_too() {
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
fn stray_address_is_found_with_another_prefix_length() {
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
fn owner_address_is_no_stray() {
    let mut params = vi_1();
    params.priority = Priority::OWNER;
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.configure(routers([("VI_1", params)]));
    assert_eq!(
        only("VI_1", node.give(added(ETH1, "192.168.224.100/24", false))),
        [
            "VI_1: fault -> master (recovered from: interface eth1 has no non-virtual IPv4 address \
             to send from)"
        ]
    );
    assert_eq!(node.status("VI_1").counters.strays, 0);
}

#[test]
fn owner_keeps_running_after_its_only_address_is_restored() {
    let mut params = vi_1();
    params.priority = Priority::OWNER;
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, "192.168.224.100/24", false));
    node.configure(routers([("VI_1", params.clone())]));
    assert_eq!(
        node.give(removed(ETH1, "192.168.224.100/24"))[..2],
        [
            "VI_1: repaired 192.168.224.100/24 was deleted by another program",
            "on 2 hold [192.168.224.100/24], release [], sparing foreign ones",
        ]
    );
    // A reassessment finds the restored address on its interface.
    let mut moved = link(ETH1, "eth1");
    moved.mac.as_mut().unwrap().0[5] = 0x99;
    node.give(Input::Link(moved));
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn overrun_repeats_all_requests_and_changes_nothing_else() {
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
