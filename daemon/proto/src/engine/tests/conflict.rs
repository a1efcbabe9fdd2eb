//! Claims of virtual addresses by other hosts.

use core::net::IpAddr;
use core::time::Duration;

use super::devices::{device, with_device};
use super::rig::*;
use crate::events::{AddressConflict, Input};
use crate::types::{InterfaceIndex, MacAddress, State};

const STRANGER: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x66]);

fn claim(mac: MacAddress, packets: u64) -> Input<'static> {
    Input::AddressConflict(AddressConflict {
        interface: ETH1,
        address: IpAddr::from([192, 168, 224, 100]),
        mac,
        packets,
    })
}

fn master() -> Node {
    Node::mastering(routers([("VI_1", vi_1())]))
}

fn is_announcement(line: &str) -> bool {
    line.starts_with("announce ")
}

/// The lines without announcements.
fn reports(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| !is_announcement(line));
    lines
}

fn defended(node: &Node) -> Vec<(InterfaceIndex, IpAddr)> {
    node.engine.defended().collect()
}

#[test]
fn claim_is_counted_reported_once_a_minute_and_shown_for_ten_minutes() {
    let mut node = master();
    assert_eq!(
        reports(node.give(claim(STRANGER, 1))),
        ["VI_1: 02:00:00:00:00:66 claims 192.168.224.100 on eth1, 1 packets"]
    );
    let other = MacAddress([2, 0, 0, 0, 0, 0x67]);
    assert_eq!(node.give(claim(other, 20)), [""; 0]);
    node.advance(SECOND * 30);
    assert_eq!(reports(node.give(claim(STRANGER, 3))), [""; 0]);
    let status = node.status("VI_1");
    assert_eq!(
        (status.state, status.counters.address_conflicts),
        (State::Master, 24)
    );
    node.advance(SECOND * 30);
    assert_eq!(
        reports(node.give(claim(STRANGER, 2))),
        ["VI_1: 02:00:00:00:00:66 claims 192.168.224.100 on eth1, 25 packets"]
    );
    node.advance(SECOND * 599);
    let shown = node.status("VI_1").address_conflict.expect("the claim");
    assert_eq!(
        (shown.address, &*shown.mac, &*shown.interface, shown.age),
        (
            IpAddr::from([192, 168, 224, 100]),
            "02:00:00:00:00:66",
            "eth1",
            599.0
        )
    );
    node.advance(SECOND);
    let status = node.status("VI_1");
    assert_eq!(status.address_conflict, None);
    assert_eq!(status.counters.address_conflicts, 26);
}

/// Claims a second for a minute, and returns the seconds at which the master announces its address.
fn answers(node: &mut Node) -> Vec<u64> {
    let seconds = (0..60).filter(|_| {
        let answers = node
            .give(claim(STRANGER, 1))
            .iter()
            .any(|line| is_announcement(line));
        let later = node.advance(SECOND);
        answers || later.iter().any(|line| is_announcement(line))
    });
    seconds.collect()
}

#[test]
fn claim_is_answered_once_in_ten_seconds() {
    let mut node = master();
    node.advance(SECOND * 10);
    assert_eq!(answers(&mut node), [0, 10, 20, 30, 40, 50]);
}

#[test]
fn claim_without_an_answer_does_not_delay_one_after_a_reload() {
    let mut silent = vi_1();
    silent.announce.on_lower_priority = false;
    let mut node = Node::mastering(routers([("VI_1", silent)]));
    node.advance(SECOND * 10);
    assert!(
        !node
            .give(claim(STRANGER, 1))
            .iter()
            .any(|line| is_announcement(line))
    );
    node.configure(routers([("VI_1", vi_1())]));
    assert!(
        node.give(claim(STRANGER, 1))
            .iter()
            .any(|line| is_announcement(line))
    );
}

#[test]
fn only_another_host_beside_a_master_is_a_conflict() {
    let own = link(ETH2, "eth2").mac.unwrap();
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    assert_eq!(defended(&node), []);
    node.give(claim(STRANGER, 1));
    node.advance(SECOND * 6);
    assert_eq!(defended(&node), [(ETH1, [192, 168, 224, 100].into())]);
    node.give(claim(own, 1));
    for (interface, last) in [(ETH2, 100), (ETH1, 101), (InterfaceIndex(9), 100)] {
        node.give(Input::AddressConflict(AddressConflict {
            interface,
            address: [192, 168, 224, last].into(),
            mac: STRANGER,
            packets: 1,
        }));
    }
    assert_eq!(node.status("VI_1").counters.address_conflicts, 0);
    node.receive_advert(200);
    assert_eq!(defended(&node), []);
    node.give(claim(STRANGER, 1));
    assert_eq!(node.status("VI_1").counters.address_conflicts, 0);
}

#[test]
fn claim_of_a_former_or_a_second_master_is_no_conflict() {
    let counted = |node: &mut Node| {
        node.give(claim(STRANGER, 1));
        node.status("VI_1").counters.address_conflicts
    };
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.receive_advert(99);
    while node.state("VI_1") != State::Master {
        node.step();
    }
    node.advance(SECOND - Duration::from_millis(1));
    assert_eq!(counted(&mut node), 0, "the former one may answer");
    node.advance(SECOND);
    assert_eq!(counted(&mut node), 1);

    node.receive_advert(99);
    assert_eq!(counted(&mut node), 1, "the second one announces");
    node.advance(SECOND * 3);
    assert_eq!(counted(&mut node), 1);
    node.advance(SECOND);
    assert_eq!(counted(&mut node), 2, "the second one has gone");
}

#[test]
fn conflict_about_a_virtual_mac_address_arrives_at_the_parent() {
    let mut node = with_device();
    node.advance(SECOND);
    let mac = device(true).mac.unwrap();
    assert_eq!(node.held(), ["192.168.224.100/24 on 7"]);
    assert_eq!(defended(&node), [(ETH1, [192, 168, 224, 100].into())]);
    node.give(claim(mac, 1));
    assert_eq!(node.status("VI_1").counters.address_conflicts, 0);
    node.give(claim(STRANGER, 1));
    assert_eq!(node.status("VI_1").counters.address_conflicts, 1);
}

#[test]
fn master_that_was_suspended_listens_before_it_reports_a_claim() {
    let mut node = master();
    node.sleep(SECOND * 60);
    node.give(claim(STRANGER, 1));
    let status = node.status("VI_1");
    assert_eq!(
        (status.state, status.counters.address_conflicts),
        (State::Backup, 0)
    );
}
