//! Unicast peers that are configured by name: names that resolve to other addresses later, and names that
//! are not resolved yet.

use core::net::IpAddr;

use super::rig::*;
use super::unicast::*;
use crate::events::Input;
use crate::params::{Authentication, GroupParams, HmacMode, RouterParams};
use crate::types::{AdvertInterval, State, Version};
use crate::wire::{AddressList, Advert, Auth, ChecksumForm, DropCause, PRIORITY_RESIGN, Packet};

pub(super) fn resolved<'a>(name: &'a str, addresses: &'a [IpAddr]) -> Input<'a> {
    Input::Resolved { name, addresses }
}

#[test]
fn peer_name_means_all_its_resolved_addresses() {
    let params = routers([("VI_1", unicast(&["pair.example", "192.168.224.11"]))]);
    assert_eq!(
        params.peer_names().iter().map(|n| &**n).collect::<Vec<_>>(),
        ["pair.example"]
    );
    let mut node = Node::mastering(params);
    assert_eq!(receivers(&mut node), ["192.168.224.11"]);
    let addresses = [THIRD, "192.168.224.14", "2001:db8::13"].map(ip);
    assert_eq!(node.give(resolved("pair.example", &addresses)), [""; 0]);
    assert_eq!(
        receivers(&mut node),
        [THIRD, "192.168.224.14", "192.168.224.11"]
    );
    let status = node.status("VI_1").unicast.unwrap();
    assert_eq!(status.peers[0].peer, "pair.example");
    assert_eq!(status.peers[0].addresses, addresses);
    node.give(Input::Packet(to_us(THIRD, &plain(200))));
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn former_address_of_a_name_remains_a_peer() {
    let mut node = Node::mastering(routers([("VI_1", unicast(&["pair.example"]))]));
    node.give(resolved("pair.example", &[peer()]));
    assert_eq!(receivers(&mut node), ["192.168.224.11"]);
    node.give(resolved("pair.example", &[ip(THIRD)]));
    assert_eq!(receivers(&mut node), [THIRD, "192.168.224.11"]);
    let status = node.status("VI_1").unicast.unwrap();
    assert_eq!(status.peers[0].addresses, [ip(THIRD)]);
    assert_eq!(status.peers[0].former, [peer()]);
    node.give(Input::Packet(to_us("192.168.224.11", &plain(200))));
    assert_eq!(node.state("VI_1"), State::Backup);
}

/// The master-down interval of a router of priority 100 is 3.609 s.
#[test]
fn former_address_is_a_peer_until_it_is_silent() {
    let silence = SECOND * 603 + SECOND * 609 / 1000;
    let mut node = Node::running(routers([("VI_1", unicast(&["pair.example"]))]));
    node.give(resolved("pair.example", &[peer()]));
    node.give(resolved("pair.example", &[ip(THIRD)]));
    node.sleep(silence);
    // The arrival counts, not the time of reading.
    let late = plain(200);
    let packet = Packet {
        at: node.now - SECOND,
        ..to_us("192.168.224.11", &late)
    };
    node.now = node.now + SECOND;
    node.give(Input::Packet(packet));
    assert_eq!(dropped(&node, DropCause::NotAPeer), 0);
    node.sleep(silence - SECOND * 3);
    let former = |node: &Node| node.status("VI_1").unicast.unwrap().peers[0].former.clone();
    assert_eq!(former(&node), [peer()]);
    node.sleep(SECOND * 2);
    assert!(former(&node).is_empty());
    node.give(Input::Packet(to_us("192.168.224.11", &plain(200))));
    assert_eq!(dropped(&node, DropCause::NotAPeer), 1);
    node.advance(SECOND * 12);
    assert_eq!(receivers(&mut node), [THIRD]);
}

#[test]
fn former_address_of_a_master_is_removed_after_its_time() {
    let mut node = Node::running(routers([("VI_1", unicast(&["pair.example"]))]));
    node.give(resolved("pair.example", &[peer()]));
    node.advance(SECOND * 6);
    node.give(resolved("pair.example", &[ip(THIRD)]));
    node.advance(SECOND * 600);
    assert_eq!(receivers(&mut node), [THIRD, "192.168.224.11"]);
    node.advance(SECOND * 4);
    assert_eq!(receivers(&mut node), [THIRD]);
}

#[test]
fn former_address_in_a_later_answer_is_an_ordinary_peer() {
    let mut node = Node::mastering(routers([("VI_1", unicast(&["pair.example"]))]));
    for addresses in [[peer()], [ip(THIRD)], [peer()]] {
        node.give(resolved("pair.example", &addresses));
    }
    assert_eq!(receivers(&mut node), ["192.168.224.11", THIRD]);
    let status = node.status("VI_1").unicast.unwrap();
    assert_eq!(status.peers[0].former, [ip(THIRD)]);
}

#[test]
fn former_addresses_are_limited_and_advertising_ones_are_kept() {
    let mut node = Node::running(routers([("VI_1", unicast(&["pair.example"]))]));
    let many: Vec<IpAddr> = (20..40)
        .map(|n| ip(&format!("192.168.224.{n}")))
        .chain([peer()])
        .collect();
    node.give(resolved("pair.example", &many));
    node.give(Input::Packet(to_us("192.168.224.11", &plain(200))));
    node.give(resolved("pair.example", &[ip(THIRD)]));
    let former = &node.status("VI_1").unicast.unwrap().peers[0].former;
    assert_eq!(former.len(), 8);
    assert!(former.contains(&peer()), "{former:?}");
    // Later former addresses have been silent for less time.
    node.sleep(SECOND);
    node.give(resolved("pair.example", &[ip("192.168.224.14")]));
    let former = &node.status("VI_1").unicast.unwrap().peers[0].former;
    assert_eq!(former.len(), 8);
    assert!(former.contains(&ip(THIRD)), "{former:?}");
}

#[test]
fn former_address_is_forgotten_with_its_name() {
    let named = routers([("VI_1", unicast(&["pair.example"]))]);
    let mut node = Node::mastering(named.clone());
    node.give(resolved("pair.example", &[peer()]));
    node.give(resolved("pair.example", &[ip(THIRD)]));
    node.configure(routers([("VI_1", unicast(&["192.168.224.14"]))]));
    node.configure(named);
    assert_eq!(receivers(&mut node), [""; 0]);
}

#[test]
fn peer_name_and_equal_address_are_one_receiver() {
    let params = unicast(&["pair.example", "192.168.224.11"]);
    let mut node = Node::mastering(routers([("VI_1", params)]));
    node.give(resolved("pair.example", &[peer()]));
    assert_eq!(receivers(&mut node), ["192.168.224.11"]);
}

#[test]
fn reload_keeps_resolved_names_in_use_only() {
    let named = routers([("VI_1", unicast(&["pair.example"]))]);
    let mut node = Node::mastering(named.clone());
    node.give(resolved("pair.example", &[peer()]));
    node.give(resolved("unused.example", &[ip(THIRD)]));
    let mut changed = unicast(&["pair.example", "unused.example"]);
    changed.priority = priority(120);
    node.configure(routers([("VI_1", changed)]));
    assert_eq!(receivers(&mut node), ["192.168.224.11"]);
    node.configure(routers([("VI_1", unicast(&[THIRD]))]));
    node.configure(named);
    assert_eq!(receivers(&mut node), [""; 0]);
}

// --- A name that is not resolved ---------------------------------------------------------------

/// Node that starts with a peer of an unknown address.
fn unresolved(params: RouterParams) -> Node {
    let params = RouterParams {
        unicast: Some(peers(&["pair.example"])),
        ..params
    };
    Node::running(routers([("VI_1", params)]))
}

#[test]
fn unresolved_name_accepts_any_sender_as_master() {
    let mut node = unresolved(vi_1());
    for _ in 0..20 {
        node.advance(SECOND);
        assert_eq!(node.give(Input::Packet(to_us(THIRD, &plain(150)))), [""; 0]);
    }
    let status = node.status("VI_1");
    assert_eq!(status.state, State::Backup);
    assert_eq!(status.master.unwrap().address, ip(THIRD));
    let unicast = status.unicast.unwrap();
    assert_eq!(unicast.senders, [ip(THIRD)]);
}

#[test]
fn unresolved_name_suspends_no_other_check() {
    let with_hmac = RouterParams {
        authentication: Authentication::Hmac(hmac(HmacMode::Enforce)),
        ..vi_1()
    };
    let of_another = Advert {
        version: Version::V3,
        vrid: vi_1().vrid,
        priority: 200,
        interval: AdvertInterval::DEFAULT,
        addresses: AddressList::new(&[[192, 168, 224, 99]]),
        auth: Auth::None,
    };
    let of_another = of_another.emit(ChecksumForm::MessageOnly, ip(THIRD), ip(OWN));
    let usual = plain(200);
    for (params, payload, hop_limit, source, cause) in [
        (vi_1(), &usual, 254, THIRD, DropCause::HopLimit),
        (vi_1(), &of_another, 255, THIRD, DropCause::ForeignRouter),
        (vi_1(), &usual, 255, OWN, DropCause::OwnPacket),
        (with_hmac, &usual, 255, THIRD, DropCause::HmacMissing),
    ] {
        let mut node = unresolved(params);
        let packet = to_us(source, payload);
        node.give(Input::Packet(Packet {
            hop_limit,
            ..packet
        }));
        assert_eq!(dropped(&node, cause), 1, "{cause}");
        let unicast = node.status("VI_1").unicast.unwrap();
        assert!(unicast.senders.is_empty());
    }
}

/// A router of a higher priority could not make the other one step down without sending to it.
#[test]
fn unresolved_name_makes_senders_receivers() {
    let mut node = unresolved(vi_1());
    node.advance(SECOND * 11);
    assert_eq!(node.state("VI_1"), State::Master);
    assert_eq!(receivers(&mut node), [""; 0]);
    node.sleep(SECOND / 2);
    let answer = sent(node.take(Input::Packet(to_us(THIRD, &plain(50)))));
    let to: Vec<_> = answer.iter().map(|(to, ..)| *to).collect();
    assert_eq!(to, [ip(THIRD)]);
    assert_eq!(receivers(&mut node), [THIRD]);
}

#[test]
fn unresolved_name_makes_a_limited_number_of_senders_receivers() {
    let mut node = unresolved(vi_1());
    for number in 20..40 {
        let source = format!("192.168.224.{number}");
        node.give(Input::Packet(to_us(&source, &plain(150))));
    }
    assert_eq!(node.status("VI_1").unicast.unwrap().senders.len(), 8);
    assert_eq!(dropped(&node, DropCause::NotAPeer), 0);
}

#[test]
fn resolved_name_ends_the_acceptance_of_other_senders() {
    let mut node = unresolved(vi_1());
    node.give(Input::Packet(to_us(THIRD, &plain(150))));
    node.give(Input::Packet(to_us("192.168.224.11", &plain(50))));
    node.give(resolved("pair.example", &[ip(THIRD)]));
    let unicast = node.status("VI_1").unicast.unwrap();
    assert!(unicast.senders.is_empty());
    node.give(Input::Packet(to_us("192.168.224.11", &plain(200))));
    assert_eq!(dropped(&node, DropCause::NotAPeer), 1);
    node.give(Input::Packet(to_us(THIRD, &plain(150))));
    assert_eq!(dropped(&node, DropCause::NotAPeer), 1);
}

#[test]
fn unresolved_name_delays_a_take_over_for_ten_seconds() {
    let mut node = unresolved(vi_1());
    assert_eq!(node.due(), T0 + SECOND * 10);
    node.now = T0 + SECOND * 4;
    assert_eq!(
        &*node.status("VI_1").cause,
        "listening for 6.000 s: the name of peer pair.example is not resolved"
    );
    assert_eq!(node.give(Input::Tick), [""; 0]);
    assert_eq!(
        only("VI_1", node.step()),
        ["VI_1: backup -> master (no advertisement from any router for 10.000 s)"]
    );
}

#[test]
fn unresolved_name_delays_a_take_over_after_each_fault() {
    let mut node = unresolved(vi_1());
    node.advance(SECOND * 11);
    node.lose(Input::LinkRemoved(ETH1));
    assert_eq!(node.state("VI_1"), State::Fault);
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, own(ETH1), false));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(node.due(), node.now + SECOND * 10);
}

#[test]
fn resolved_name_leaves_a_master_down_interval_for_the_answer() {
    let mut node = unresolved(vi_1());
    node.now = T0 + SECOND * 2;
    node.give(resolved("pair.example", &[peer()]));
    let whole = SECOND * 3 + SECOND * 156 / 256;
    assert_eq!(node.due(), node.now + whole);
}

#[test]
fn first_advertisement_ends_the_delay_of_an_unresolved_name() {
    let skew = SECOND * 156 / 256;
    let mut node = unresolved(vi_1());
    node.now = T0 + SECOND;
    node.give(Input::Packet(to_us(THIRD, &plain(150))));
    node.now = T0 + SECOND * 2;
    node.give(Input::Packet(to_us(THIRD, &plain(PRIORITY_RESIGN))));
    assert_eq!(node.due(), node.now + skew);
    // A master of lower priority is preempted, after the master-down interval since the start.
    let mut node = unresolved(vi_1());
    node.now = T0 + SECOND * 5;
    node.give(Input::Packet(to_us(THIRD, &plain(50))));
    assert_eq!(node.due(), node.now);
    assert_eq!(
        only("VI_1", node.give(Input::Tick)),
        [format!(
            "VI_1: backup -> master ({THIRD} advertises priority 50, ours is 100: preempted)"
        )]
    );
}

#[test]
fn unresolved_name_delays_a_whole_sync_group() {
    let second = RouterParams {
        unicast: Some(peers(&["pair.example"])),
        ..vi_2()
    };
    let mut params = routers([("VI_1", vi_1()), ("VI_2", second)]);
    let group = GroupParams {
        members: vec!["VI_1".into(), "VI_2".into()],
        tracks: vec![],
    };
    params.groups = [("VG_1".into(), group)].into();
    let mut node = Node::running(params);
    assert_eq!(node.due(), T0 + SECOND * 10);
    node.give(resolved("pair.example", &[peer()]));
    assert_eq!(node.due(), T0 + SECOND * 3 + SECOND * 156 / 256);
}
