//! Instances that advertise no address: a cloud moves the addresses, or none is listed.

use core::net::IpAddr;
use std::sync::Arc;

use super::rig::*;
use crate::events::{Advertisement, Input, Output};
use crate::params::{AddressOptions, RouterParams, Unicast};
use crate::types::{AdvertInterval, Family, State, Version, Vrid};
use crate::wire::{AddressList, Advert, Auth, ChecksumForm, DropCause, GROUP_V4};

fn none() -> RouterParams {
    vi_1_with(&[])
}

/// An instance of which no address is advertised.
fn unadvertised(texts: &[&str]) -> RouterParams {
    let mut params = vi_1_with(texts);
    let options = params.addresses.iter().map(|address| {
        let options = AddressOptions {
            advertise: false,
            ..AddressOptions::default()
        };
        (address.address, options)
    });
    params.options = Arc::new(options.collect());
    params
}

/// The bytes that a master of `params` sends next.
fn sent(params: RouterParams) -> Vec<Arc<[u8]>> {
    let mut node = Node::mastering_v6(routers([("VI_1", params)]));
    node.now = node.due();
    let outputs = node.take(Input::Tick).into_iter();
    let messages = outputs.filter_map(|output| {
        let Output::Advertise(Advertisement { message, .. }) = output else {
            return None;
        };
        Some(message)
    });
    messages.collect()
}

/// The bytes that follow the header of version 3.
fn listed(params: RouterParams) -> Vec<u8> {
    let messages = sent(params);
    let [message] = &*messages else {
        panic!("one family: {messages:?}");
    };
    message[8..].to_vec()
}

fn advertisement(version: Version, priority: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
    Advert {
        version,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: AdvertInterval::DEFAULT,
        addresses: AddressList::new(addresses),
        auth: Auth::None,
    }
    .emit(ChecksumForm::MessageOnly, PEER, GROUP_V4)
}

#[test]
fn instance_without_addresses_takes_over_and_holds_nothing() {
    let mut node = Node::running(routers([("VI_1", none())]));
    let lines = node.advance(SECOND * 6);
    assert_eq!(node.state("VI_1"), State::Master);
    assert!(node.held().is_empty());
    assert!(lines.iter().all(|line| !line.contains("hold")), "{lines:?}");
    node.receive_advert(200);
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn version_3_lists_the_source_where_no_address_is_advertised() {
    let own = [192, 168, 224, 12];
    assert_eq!(listed(none()), own);
    assert_eq!(listed(unadvertised(&["192.168.224.100/24"])), own);
    let v6 = "fe80::12".parse::<core::net::Ipv6Addr>().unwrap().octets();
    assert_eq!(listed(unadvertised(&["2001:db8::1/64"])), v6);
    let by_peer = RouterParams {
        unicast: Some(Unicast::new([crate::params::Peer::Address(PEER_V6.into())])),
        ..none()
    };
    assert_eq!(listed(by_peer), v6, "the family of the peers");
}

#[test]
fn version_2_lists_nothing_where_no_address_is_advertised() {
    for params in [
        none(),
        unadvertised(&["192.168.224.100/24", "2001:db8::1/64"]),
    ] {
        let params = RouterParams {
            version: Version::V2,
            ..params
        };
        assert!(params.speaks(Family::V4) && !params.speaks(Family::V6));
        let message = sent(params);
        assert_eq!(message[0][3], 0, "count");
        assert_eq!(message[0].len(), 16, "header and authentication data");
    }
}

// RFC 9568 5.2.5 erratum 8299 MUST: ignore an advertisement that counts no address
#[test]
fn list_of_no_address_is_accepted_only_without_an_address() {
    let empty = advertisement(Version::V3, 200, &[]);
    let filled = advertisement(Version::V3, 200, &[PEER.octets()]);
    for params in [none(), unadvertised(&["192.168.224.100/24"])] {
        let mut node = Node::mastering(routers([("VI_1", params)]));
        for bytes in [&empty, &filled] {
            let lines = node.receive(ETH1, PEER, bytes);
            assert!(
                lines.iter().all(|line| !line.contains("differs")),
                "{lines:?}"
            );
            assert_eq!(node.state("VI_1"), State::Backup);
            assert_eq!(node.status("VI_1").counters.address_list_differs, 0);
            node.advance(SECOND * 6);
            assert_eq!(node.state("VI_1"), State::Master);
        }
    }
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    for (bytes, cause) in [
        (empty, DropCause::NoAddresses),
        (filled, DropCause::ForeignRouter),
    ] {
        node.receive(ETH1, PEER, &bytes);
        assert_eq!(node.state("VI_1"), State::Master);
        assert_eq!(node.status("VI_1").counters.dropped.get(cause), 1);
    }
}

#[test]
fn list_of_a_peer_is_named_where_there_is_none_here() {
    let mut node = Node::running(routers([("VI_1", none())]));
    assert_eq!(
        node.receive_advert(200),
        ["VI_1: 192.168.224.11 differs: also lists 192.168.224.100"]
    );
    let source: Option<IpAddr> = node.status("VI_1").master.map(|master| master.address);
    assert_eq!(source, Some(PEER.into()));
}
