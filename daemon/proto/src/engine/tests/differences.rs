//! Routers with a different configuration: their advertisements are accepted, and the difference is
//! shown and reported. Rejected advertisements would lead to a second master.

use core::net::Ipv4Addr;

use super::rig::*;
use crate::types::{AdvertInterval, State, Version, Vrid};
use crate::wire::{AddressList, Advert, Auth, ChecksumForm, DropCause, GROUP_V4};

// RFC 9568 7.1 MAY: another list of addresses is noticed
// RFC 9568 7.1 SHOULD: another list of addresses is logged
#[test]
fn different_address_list_is_reported_once_and_accepted() {
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.100/24", "192.168.224.101/24"]);
    let mut node = Node::running(routers([("VI_1", params)]));
    let theirs = advertisement(100, &[[192, 168, 224, 9], [192, 168, 224, 101]]);
    let report =
        "VI_1: 192.168.224.11 differs: does not list 192.168.224.100; also lists 192.168.224.9";
    assert_eq!(node.receive(ETH1, PEER, &theirs), [report]);
    assert_eq!(node.receive(ETH1, PEER, &theirs), [""; 0]);
    node.advance(SECOND * 2);
    node.receive(ETH1, PEER, &theirs);
    node.advance(SECOND * 2);
    assert_eq!(node.state("VI_1"), State::Backup);
    let status = node.status("VI_1");
    assert_eq!(status.counters.address_list_differs, 3);
    let other = &status.others[0];
    assert_eq!((other.address, other.priority), (PEER.into(), 100));
    assert_eq!(
        other.differences,
        ["does not list 192.168.224.100", "also lists 192.168.224.9"]
    );
    assert!((other.age - 2.0).abs() < 1e-9);
    // The peer is configured correctly now.
    let right = advertisement(100, &[[192, 168, 224, 100], [192, 168, 224, 101]]);
    assert_eq!(node.receive(ETH1, PEER, &right), [""; 0]);
    assert!(node.status("VI_1").others[0].differences.is_empty());
}

// RFC 9568 7.1 SHOULD: another interval than the own one is noticed
// RFC 9568 7.1 SHOULD: another interval than the own one is logged
#[test]
fn different_interval_is_reported_with_both_values() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let slow = Advert {
        interval: AdvertInterval::from_centiseconds(250).unwrap(),
        ..advert_of(100, &[[192, 168, 224, 100]])
    };
    let bytes = slow.emit(ChecksumForm::WithPseudoHeader, PEER, GROUP_V4);
    assert_eq!(
        node.receive(ETH1, PEER, &bytes),
        ["VI_1: 192.168.224.11 differs: advertisement interval 2.500 s, ours 1.000 s"]
    );
}

#[test]
fn peer_status_keeps_the_latest_senders() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    for last in 1..=40 {
        node.now = node.now + SECOND / 100;
        let source = Ipv4Addr::new(192, 168, 224, last);
        let bytes =
            advert_of(100, &[[192, 168, 224, 100]]).emit(ChecksumForm::default(), source, GROUP_V4);
        node.receive(ETH1, source, &bytes);
    }
    let mut others: Vec<_> = node
        .status("VI_1")
        .others
        .iter()
        .map(|other| other.address.to_string())
        .collect();
    others.sort();
    let mut expected: Vec<_> = (9..=40).map(|last| format!("192.168.224.{last}")).collect();
    expected.sort();
    assert_eq!(others, expected);
}

fn advert_of(priority: u8, addresses: &[[u8; 4]]) -> Advert<'_> {
    Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: AdvertInterval::DEFAULT,
        addresses: AddressList::new(addresses),
        auth: Auth::None,
    }
}

fn advertisement(priority: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
    advert_of(priority, addresses).emit(ChecksumForm::WithPseudoHeader, PEER, GROUP_V4)
}

#[test]
fn known_peer_with_new_addresses_stays_a_peer() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    assert_eq!(node.receive_advert(200), [""; 0]);
    // The address of the pair is changed, on the other host first.
    let renumbered = advertisement(200, &[[192, 168, 224, 9]]);
    assert_eq!(
        node.receive(ETH1, PEER, &renumbered),
        ["VI_1: 192.168.224.11 differs: does not list 192.168.224.100; also lists 192.168.224.9"]
    );
    assert_eq!(node.status("VI_1").master.unwrap().priority, 200);
    assert_eq!(node.status("VI_1").counters.dropped.total(), 0);
}

#[test]
fn reload_with_its_addresses_turns_another_router_into_a_peer() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let theirs = advertisement(200, &[[192, 168, 224, 9]]);
    node.receive(ETH1, PEER, &theirs);
    let dropped = node.status("VI_1").counters.dropped;
    assert_eq!(dropped.get(DropCause::ForeignRouter), 1);
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.9/24"]);
    node.configure(routers([("VI_1", params)]));
    node.receive(ETH1, PEER, &theirs);
    assert_eq!(node.status("VI_1").master.unwrap().priority, 200);
}

#[test]
fn reload_of_another_setting_keeps_the_differences() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let theirs = advertisement(200, &[[192, 168, 224, 100], [192, 168, 224, 9]]);
    node.receive(ETH1, PEER, &theirs);
    let mut params = vi_1();
    params.priority = priority(150);
    node.configure(routers([("VI_1", params)]));
    assert_eq!(
        node.status("VI_1").others[0].differences,
        ["also lists 192.168.224.9"]
    );
}
