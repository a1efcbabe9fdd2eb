//! Unicast peers instead of the multicast group.

use core::net::IpAddr;
use std::sync::Arc;

use super::rig::*;
use crate::events::{Advertisement, Input, Output};
use crate::params::{Authentication, HmacMode, Peer, RouterParams, Unicast, VirtualMac};
use crate::types::{Family, MacAddress, State};
use crate::wire::hmac::{Sequence, TRAILER_LEN, Trailer};
use crate::wire::{Advert, ChecksumForm, DropCause, GROUP_V4, GROUP_V6, PRIORITY_RESIGN, Packet};

/// Address of this host on eth1.
pub(super) const OWN: &str = "192.168.224.12";
pub(super) const THIRD: &str = "192.168.224.13";

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Peers by address, or by name.
pub(super) fn peers(texts: &[&str]) -> Unicast {
    let peer = |text: &&str| match text.parse() {
        Ok(address) => Peer::Address(address),
        Err(_) => Peer::Name((*text).into()),
    };
    Unicast::new(texts.iter().map(peer).collect::<Vec<_>>())
}

pub(super) fn unicast(texts: &[&str]) -> RouterParams {
    RouterParams {
        unicast: Some(peers(texts)),
        ..vi_1()
    }
}

/// Returns destination, hop limit and message of the advertisements.
pub(super) fn sent(outputs: Vec<Output>) -> Vec<(IpAddr, u8, Arc<[u8]>)> {
    let sent = outputs.into_iter().filter_map(|output| match output {
        Output::Advertise(Advertisement {
            destination,
            hop_limit,
            message,
            ..
        }) => Some((destination, hop_limit, message)),
        Output::Kernel(_)
        | Output::Device(_)
        | Output::Routing(_)
        | Output::Lvs(_)
        | Output::Solicit(_)
        | Output::Announce(_)
        | Output::Report(_) => None,
    });
    sent.collect()
}

/// Returns the destinations of its next advertisement.
pub(super) fn receivers(node: &mut Node) -> Vec<String> {
    node.now = node.due();
    let sent = sent(node.take(Input::Tick));
    sent.iter().map(|(to, ..)| to.to_string()).collect()
}

/// A packet from a peer to this host.
pub(super) fn to_us<'a>(source: &str, payload: &'a [u8]) -> Packet<'a> {
    let source = ip(source);
    let own = match Family::of(source) {
        Family::V4 => OWN,
        Family::V6 => "fe80::12",
    };
    Packet {
        destination: ip(own),
        ..packet(ETH1, source, payload)
    }
}

/// An advertisement to this host, with a checksum over the message alone.
pub(super) fn plain(priority: u8) -> Vec<u8> {
    version_3(51, priority, 100, ChecksumForm::MessageOnly)
}

pub(super) fn dropped(node: &Node, cause: DropCause) -> u64 {
    node.status("VI_1").counters.dropped.get(cause)
}

// --- Sending -----------------------------------------------------------------------------------

#[test]
fn unicast_master_sends_to_each_peer_only() {
    let mut params = unicast(&["192.168.224.11", THIRD]);
    params.unicast.as_mut().unwrap().ttl = 64;
    let mut node = Node::mastering(routers([("VI_1", params)]));
    for input in [Input::Tick, Input::Stop] {
        let is_stop = matches!(input, Input::Stop);
        node.now = node.due();
        let sent = sent(node.take(input));
        let to: Vec<_> = sent.iter().map(|(to, ttl, _)| (*to, *ttl)).collect();
        assert_eq!(to, [(ip("192.168.224.11"), 64), (ip(THIRD), 64)]);
        for (_, _, message) in sent {
            assert_eq!(message[2] == PRIORITY_RESIGN, is_stop);
        }
    }
}

#[test]
fn unicast_checksum_covers_the_receiver_address() {
    let v6 = RouterParams {
        unicast: Some(peers(&["fe80::11", "fe80::13"])),
        ..vi_1_with(&["fe80::100/64"])
    };
    let v4 = unicast(&["192.168.224.11", THIRD]);
    for (params, own) in [(v4, OWN), (v6, "fe80::12")] {
        let params = routers([("VI_1", params)]);
        let mut node = Node::mastering_v6(params.clone());
        let expected = crate::wire::Expected {
            version: crate::types::Version::V3,
            interval: crate::types::AdvertInterval::DEFAULT,
            auth: crate::wire::Auth::None,
            hop_limit: 255,
            may_be_empty: false,
        };
        node.now = node.due();
        let copies = sent(node.take(Input::Tick));
        let [(_, _, first), (_, _, second)] = &*copies else {
            panic!("{copies:?}")
        };
        assert_ne!(first, second);
        for (destination, _, message) in &copies {
            let packet = Packet {
                destination: *destination,
                ..packet(ETH1, ip(own), message)
            };
            let received = Advert::parse(&packet, &expected).unwrap();
            assert_eq!(received.checksum, ChecksumForm::WithPseudoHeader);
        }
    }
}

#[test]
fn unicast_copies_share_one_sequence_number() {
    let params = RouterParams {
        authentication: Authentication::Hmac(hmac(HmacMode::Enforce)),
        ..unicast(&["192.168.224.11", THIRD])
    };
    let mut node = Node::mastering(routers([("VI_1", params)]));
    let trailer = |message: &[u8]| message[message.len() - TRAILER_LEN..].to_vec();
    let mut before = None;
    for _ in 0..3 {
        node.now = node.due();
        let copies = sent(node.take(Input::Tick));
        let [first, second] = [0, 1].map(|number| trailer(&copies[number].2));
        assert_eq!(first, second);
        assert_ne!(
            before.replace(first),
            Some(second),
            "each advertisement has the next number"
        );
    }
}

/// The wall clock is set forward while no peer has an address, and back again: the next advertisement
/// to a peer is newer than the last one that it received.
#[test]
fn unicast_without_receivers_uses_no_sequence_number() {
    let with = |peer: &str| {
        let params = RouterParams {
            authentication: Authentication::Hmac(hmac(HmacMode::Enforce)),
            ..unicast(&[peer])
        };
        routers([("VI_1", params)])
    };
    let mut node = Node::mastering(with(THIRD));
    let wall = |seconds: u32| Input::WallClock(SECOND * (1_800_000_000 + seconds));
    let number = |node: &mut Node| {
        node.now = node.due();
        let outputs = sent(node.take(Input::Tick));
        let message = outputs.first().map(|(_, _, message)| message);
        message.map(|message| Trailer::parse(message).unwrap().sequence)
    };
    node.give(wall(5));
    let before = number(&mut node).unwrap();
    node.configure(with("unknown.example"));
    node.give(wall(20));
    assert_eq!(number(&mut node), None);
    node.give(wall(0));
    node.configure(with(THIRD));
    assert!(number(&mut node).unwrap().is_after(before));
}

#[test]
fn unicast_peers_are_selected_per_family() {
    let params = RouterParams {
        unicast: Some(peers(&["192.168.224.11", "fe80::11", "fe80::13"])),
        ..vi_1_with(&["192.168.224.100/24", "fe80::100/64"])
    };
    let mut node = Node::mastering_v6(routers([("VI_1", params)]));
    assert_eq!(
        receivers(&mut node),
        ["192.168.224.11", "fe80::11", "fe80::13"]
    );
}

#[test]
fn unicast_skips_the_own_address_in_the_list() {
    let mut node = Node::mastering(routers([("VI_1", unicast(&["192.168.224.11", OWN]))]));
    assert_eq!(receivers(&mut node), ["192.168.224.11"]);
    node.give(Input::Packet(to_us(OWN, &plain(200))));
    assert_eq!(dropped(&node, DropCause::OwnPacket), 1);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn unicast_uses_the_mac_address_of_the_interface() {
    let virtual_mac = |unicast| {
        let params = RouterParams { unicast, ..vi_1() };
        RouterParams {
            virtual_mac: Some(VirtualMac::new("eth1", params.vrid, true)),
            ..params
        }
        .sending_mac(Family::V4)
    };
    assert_eq!(virtual_mac(None), Some(MacAddress([0, 0, 0x5e, 0, 1, 51])));
    assert_eq!(virtual_mac(Some(peers(&[THIRD]))), None);
}

// --- Receiving ---------------------------------------------------------------------------------

#[test]
fn unicast_advertisement_of_a_peer_is_accepted() {
    let mut node = Node::mastering(routers([("VI_1", unicast(&["192.168.224.11"]))]));
    let lines = node.give(Input::Packet(to_us("192.168.224.11", &plain(200))));
    assert_eq!(
        only("VI_1", lines),
        ["VI_1: master -> backup (192.168.224.11 advertises priority 200, ours is 100: yielded)"]
    );
}

#[test]
fn unicast_from_an_unknown_sender_is_dropped() {
    let mut node = Node::mastering(routers([("VI_1", unicast(&["192.168.224.11"]))]));
    assert_eq!(
        node.give(Input::Packet(to_us(THIRD, &plain(200)))),
        ["dropped for VI_1 from 192.168.224.13: the sender is not among the configured peers"]
    );
    assert_eq!(dropped(&node, DropCause::NotAPeer), 1);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn unicast_router_drops_multicast_packets() {
    let mut node = Node::mastering(routers([("VI_1", unicast(&["192.168.224.11"]))]));
    assert_eq!(
        node.receive_advert(200),
        [
            "dropped for VI_1 from 192.168.224.11: sent by multicast where unicast is configured, \
             or the reverse (destination 224.0.0.18)"
        ]
    );
    assert_eq!(dropped(&node, DropCause::WrongCast), 1);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn multicast_router_drops_unicast_packets() {
    let mut node = Node::mastering_v6(routers([(
        "VI_1",
        vi_1_with(&["192.168.224.100/24", "fe80::100/64"]),
    )]));
    node.give(Input::Packet(to_us("192.168.224.11", &plain(200))));
    node.give(Input::Packet(to_us("fe80::11", &plain(200))));
    assert_eq!(dropped(&node, DropCause::WrongCast), 2);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn unicast_packet_below_min_ttl_is_dropped() {
    for (min_ttl, ttl, state) in [
        (255, 255, State::Backup),
        (255, 254, State::Master),
        (253, 253, State::Backup),
        (253, 252, State::Master),
    ] {
        let mut params = unicast(&["192.168.224.11"]);
        params.unicast.as_mut().unwrap().min_ttl = min_ttl;
        let mut node = Node::mastering(routers([("VI_1", params)]));
        let message = plain(200);
        let packet = to_us("192.168.224.11", &message);
        node.give(Input::Packet(Packet {
            hop_limit: ttl,
            ..packet
        }));
        assert_eq!(node.state("VI_1"), state, "{min_ttl} and {ttl}");
        let is_dropped = state == State::Master;
        assert_eq!(dropped(&node, DropCause::HopLimit), u64::from(is_dropped));
    }
}

#[test]
fn unicast_packet_with_hmac_is_accepted() {
    let params = RouterParams {
        authentication: Authentication::Hmac(hmac(HmacMode::Enforce)),
        ..unicast(&["192.168.224.11"])
    };
    let mut node = Node::mastering(routers([("VI_1", params)]));
    let sequence = Sequence::at(node.now.since(crate::time::Instant::ZERO));
    let message = signed(plain(200), 1, sequence);
    node.give(Input::Packet(to_us("192.168.224.11", &message)));
    assert_eq!(node.state("VI_1"), State::Backup);
}

// --- Waiting and changing ----------------------------------------------------------------------

#[test]
fn unicast_router_waits_for_its_source_address() {
    let params = RouterParams {
        source: Some(ip("10.9.9.9")),
        ..unicast(&["192.168.224.11"])
    };
    let mut node = Node::running(routers([("VI_1", params)]));
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(
        only("VI_1", node.give(added(ETH2, "10.9.9.9/32", false))),
        [
            "VI_1: fault -> backup (recovered from: this host does not have 10.9.9.9, the address \
             to send from)"
        ]
    );
}

#[test]
fn reloaded_peers_are_used_without_a_transition() {
    let mut node = Node::mastering(routers([("VI_1", unicast(&["192.168.224.11"]))]));
    assert_eq!(receivers(&mut node), ["192.168.224.11"]);
    assert_eq!(
        node.configure(routers([("VI_1", unicast(&[THIRD]))])),
        [""; 0]
    );
    assert_eq!(receivers(&mut node), [THIRD]);
    node.give(Input::Packet(to_us("192.168.224.11", &plain(200))));
    assert_eq!(dropped(&node, DropCause::NotAPeer), 1);
    node.configure(routers([("VI_1", vi_1())]));
    assert_eq!(receivers(&mut node), ["224.0.0.18"]);
}

// --- Both at once ------------------------------------------------------------------------------

#[test]
fn multicast_advertisements_have_hop_limit_255() {
    let both = vi_1_with(&["192.168.224.100/24", "fe80::100/64"]);
    let mut node = Node::mastering_v6(routers([("VI_1", both)]));
    node.now = node.due();
    let sent = sent(node.take(Input::Tick));
    let to: Vec<_> = sent.iter().map(|(to, ttl, _)| (*to, *ttl)).collect();
    assert_eq!(to, [(GROUP_V4.into(), 255), (GROUP_V6.into(), 255)]);
}
