//! HMAC: accepted and rejected packets, signed advertisements, and the state kept over a reload.

use core::net::IpAddr;
use core::time::Duration;

use super::rig::*;
use crate::events::{Advertisement, Input, Output};
use crate::params::{AntiReplay, Authentication, HmacMode, RouterParams};
use crate::types::{State, Version};
use crate::wire::hmac::{Sequence, TRAILER_LEN, Trailer};
use crate::wire::{Auth, ChecksumForm, DropCause, Packet};

/// Wall-clock time at the beginning: a day in 2027, and a fraction of a second.
const WALL: Duration = Duration::from_millis(1_800_000_000_250);

/// VI_1 with HMAC.
fn signing(mode: HmacMode) -> RouterParams {
    RouterParams {
        authentication: Authentication::Hmac(hmac(mode)),
        ..vi_1()
    }
}

/// Node that runs `params` from the wall-clock time [`WALL`] on.
fn node(params: RouterParams) -> Node {
    since(params, Duration::ZERO)
}

/// The same after it became master.
fn master(params: RouterParams) -> Node {
    since(params, SECOND * 6)
}

/// The same, after it has run for that time.
fn since(params: RouterParams, span: Duration) -> Node {
    let mut node = Node::wired();
    node.give(Input::WallClock(WALL - span));
    node.configure(routers([("VI_1", params)]));
    node.advance(span);
    node
}

/// Signed advertisement of the other host at its wall-clock time `wall`.
fn from_peer(priority: u8, wall: Duration, key: u8) -> Vec<u8> {
    signed(advert(51, priority), key, Sequence::at(wall))
}

/// Returns the messages sent for `input`.
fn messages(node: &mut Node, input: Input<'_>) -> Vec<Vec<u8>> {
    let outputs = node.take(input);
    let message = |output: Output| {
        let Output::Advertise(Advertisement { message, .. }) = output else {
            return None;
        };
        Some(message.to_vec())
    };
    outputs.into_iter().filter_map(message).collect()
}

/// Returns the next advertisement of a master.
fn next_message(node: &mut Node) -> Vec<u8> {
    node.now = node.due();
    messages(node, Input::Tick).remove(0)
}

fn dropped(node: &Node, cause: DropCause) -> u64 {
    node.status("VI_1").counters.dropped.get(cause)
}

#[test]
fn hmac_with_a_shared_key_is_accepted() {
    for version in [Version::V2, Version::V3] {
        let params = RouterParams {
            version,
            ..signing(HmacMode::Enforce)
        };
        let mut node = node(params);
        let bytes = match version {
            Version::V2 => version_2(51, 200, Auth::None),
            Version::V3 => advert(51, 200),
        };
        let bytes = signed(bytes, 1, Sequence::at(WALL));
        assert_eq!(node.receive(ETH1, PEER, &bytes), [""; 0]);
        assert_eq!(node.status("VI_1").master.unwrap().priority, 200);
    }
}

#[test]
fn hmac_failures_are_counted_by_cause_and_dropped() {
    let good = from_peer(200, WALL, 1);
    let end = good.len();
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let seconds = |span: u64| Duration::from_secs(span);
    let cases = [
        (advert(51, 200), DropCause::HmacMissing),
        (good[..end - 1].to_vec(), DropCause::HmacMissing),
        (changed(end - TRAILER_LEN, 2), DropCause::HmacMalformed),
        (from_peer(200, WALL + seconds(6), 1), DropCause::HmacTime),
        (from_peer(200, WALL - seconds(6), 1), DropCause::HmacTime),
        (from_peer(200, WALL, 9), DropCause::HmacKey),
        (changed(end - 1, !good[end - 1]), DropCause::HmacWrong),
    ];
    for make in [node, master] {
        let mut node = make(signing(HmacMode::Enforce));
        let (state, due) = (node.state("VI_1"), node.engine.poll_timeout());
        for (bytes, cause) in &cases {
            let before = dropped(&node, *cause);
            let lines = node.receive(ETH1, PEER, bytes);
            assert_eq!(lines.len(), usize::from(before == 0), "{lines:?}");
            assert_eq!(dropped(&node, *cause), before + 1, "{cause:?}");
        }
        assert_eq!(
            (node.state("VI_1"), node.engine.poll_timeout()),
            (state, due)
        );
        assert_eq!(node.status("VI_1").counters.adverts_received, 0);
        // The rejected packets did not use up the sequence number of the genuine one.
        node.receive(ETH1, PEER, &good);
        assert_eq!(node.status("VI_1").counters.adverts_received, 1);
    }
}

#[test]
fn replayed_advertisement_does_not_restart_the_timer() {
    let mut node = node(signing(HmacMode::Enforce));
    let bytes = version_3(51, 200, 100, ChecksumForm::MessageOnly);
    let bytes = signed(bytes, 1, Sequence::at(WALL));
    node.receive(ETH1, PEER, &bytes);
    let due = node.due();
    node.sleep(SECOND);
    assert_eq!(
        node.receive(ETH1, PEER, &bytes),
        [
            "dropped for VI_1 from 192.168.224.11: replayed: a copy of an earlier packet, or the \
             sender's clock was set back"
        ]
    );
    assert_eq!(node.due(), due);
    // The copy is not accepted from another source address either.
    let other = [192, 168, 224, 77];
    node.receive(ETH1, other, &bytes);
    assert_eq!(dropped(&node, DropCause::HmacWrong), 1);
}

#[test]
fn monotonic_anti_replay_compares_sequence_numbers_only() {
    let mut params = hmac(HmacMode::Enforce);
    params.anti_replay = AntiReplay::Monotonic;
    let mut node = node(RouterParams {
        authentication: Authentication::Hmac(params),
        ..vi_1()
    });
    // The clocks of both hosts are years apart.
    for (wall, is_new) in [(5, true), (5, false), (4, false), (6, true)] {
        let before = node.status("VI_1").counters.adverts_received;
        node.receive(ETH1, PEER, &from_peer(200, Duration::from_secs(wall), 1));
        let received = node.status("VI_1").counters.adverts_received - before;
        assert_eq!(received, u64::from(is_new), "{wall}");
    }
}

#[test]
fn queued_packet_is_checked_at_its_arrival_time() {
    let mut node = node(signing(HmacMode::Enforce));
    let arrival = node.now;
    let bytes = from_peer(200, WALL, 1);
    // The process was suspended, and its clock is read again.
    node.sleep(SECOND * 60);
    node.give(Input::WallClock(WALL + SECOND * 60));
    let late = Packet {
        at: arrival,
        ..packet(ETH1, PEER, &bytes)
    };
    assert_eq!(node.give(Input::Packet(late)), [""; 0]);
    assert_eq!(node.status("VI_1").counters.adverts_received, 1);
}

#[test]
fn all_configured_keys_are_accepted_during_a_change() {
    let mut node = node(signing(HmacMode::Enforce));
    for (n, key) in [(0, 1), (1, 2)] {
        let wall = WALL + SECOND * n;
        node.receive(ETH1, PEER, &from_peer(200, wall, key));
        let hmac = node.status("VI_1").hmac.unwrap();
        assert_eq!(hmac.senders.len(), 1);
        assert_eq!(hmac.senders[0].key.get(), key, "{hmac:?}");
        assert_eq!(hmac.active_key.get(), 1);
    }
    assert_eq!(node.status("VI_1").counters.dropped.total(), 0);
    let hmac = node.status("VI_1").hmac.unwrap();
    assert_eq!(hmac.senders[0].ahead, 1, "clock of the sender");
    let accepted: Vec<u8> = hmac.accepted_keys.iter().map(|key| key.get()).collect();
    assert_eq!(accepted, [1, 2]);
}

#[test]
fn advertisements_are_signed_with_increasing_sequence_numbers() {
    for version in [Version::V2, Version::V3] {
        let mut node = master(RouterParams {
            version,
            ..signing(HmacMode::Permissive)
        });
        let active = hmac(HmacMode::Permissive).active;
        let source = IpAddr::from([192, 168, 224, 12]);
        let number = |message: &[u8]| {
            let trailer = Trailer::parse(message).unwrap();
            assert!(trailer.is_genuine(source, &active));
            trailer.sequence
        };
        let due = WALL + node.due().since(node.now);
        assert_eq!(number(&next_message(&mut node)), Sequence::at(due));
        let second = number(&next_message(&mut node));
        assert_eq!(second, Sequence::at(due + SECOND));
        // The clock of this host is set back.
        node.give(Input::WallClock(WALL));
        let third = number(&next_message(&mut node));
        assert_eq!(third, second.next());
        let resignation = messages(&mut node, Input::Stop).remove(0);
        assert_eq!(number(&resignation), third.next());
    }
}

#[test]
fn signed_advertisements_are_accepted_by_another_node() {
    let mut master = master(signing(HmacMode::Enforce));
    let mut backup = Node::wired();
    backup.give(Input::WallClock(WALL));
    backup.give(removed(ETH1, own(ETH1)));
    backup.give(added(ETH1, "192.168.224.77/24", false));
    backup.configure(routers([("VI_1", signing(HmacMode::Enforce))]));
    for _ in 0..3 {
        let message = next_message(&mut master);
        backup.receive(ETH1, [192, 168, 224, 12], &message);
        backup.give(Input::WallClock(WALL + SECOND));
    }
    let counters = backup.status("VI_1").counters;
    assert_eq!(
        (counters.adverts_received, counters.dropped.total()),
        (3, 0)
    );
}

#[test]
fn dual_stack_advertisements_are_signed_per_family() {
    let params = |mode| RouterParams {
        addresses: addresses(&["192.168.224.100/24", "2001:db8::100/64"]),
        ..signing(mode)
    };
    let wired = |link_local: &str, params| {
        let mut node = Node::wired();
        node.give(Input::WallClock(WALL));
        node.give(added(ETH1, link_local, false));
        node.configure(routers([("VI_1", params)]));
        node
    };
    let mut master = wired("fe80::12/64", params(HmacMode::Enforce));
    master.advance(SECOND * 6);
    let mut backup = wired("fe80::77/64", params(HmacMode::Enforce));
    backup.give(removed(ETH1, own(ETH1)));
    backup.give(added(ETH1, "192.168.224.77/24", false));
    backup.give(Input::WallClock(WALL + SECOND * 7));
    master.now = master.due();
    let sent = master.take(Input::Tick);
    let mut families = Vec::new();
    for output in &sent {
        let Output::Advertise(Advertisement {
            source,
            destination,
            message,
            ..
        }) = output
        else {
            panic!("{sent:?}")
        };
        families.push(source.is_ipv6());
        let packet = Packet {
            source: *source,
            destination: *destination,
            ..packet(ETH1, PEER, message)
        };
        assert_eq!(backup.give(Input::Packet(packet)), [""; 0]);
        // The master recognises its own packets in both families.
        master.give(Input::Packet(packet));
    }
    assert_eq!(families, [false, true]);
    let counters = backup.status("VI_1").counters;
    assert_eq!(
        (counters.adverts_received, counters.dropped.total()),
        (2, 0)
    );
    assert_eq!(backup.status("VI_1").hmac.unwrap().senders.len(), 2);
    let dropped = master.status("VI_1").counters.dropped;
    assert_eq!((dropped.OwnPacket, dropped.total()), (2, 2));
}

#[test]
fn hmac_mode_determines_whether_unsigned_packets_are_accepted() {
    for (mode, received) in [
        (HmacMode::Enforce, 0),
        (HmacMode::Permissive, 1),
        (HmacMode::ReceiveOnly, 1),
    ] {
        let mut node = node(signing(mode));
        node.receive_advert(200);
        let counters = node.status("VI_1").counters;
        assert_eq!(counters.adverts_received, received, "{mode:?}");
        assert_eq!(counters.adverts_without_hmac, received, "{mode:?}");
        assert_eq!(counters.dropped.HmacMissing, 1 - received);
        // A wrong HMAC is rejected in every mode.
        let mut wrong = from_peer(200, WALL, 1);
        wrong[2] = 201;
        seal(&mut wrong);
        node.receive(ETH1, PEER, &wrong);
        assert_eq!(dropped(&node, DropCause::HmacWrong), 1, "{mode:?}");
        node.receive(ETH1, PEER, &from_peer(200, WALL, 1));
        let counters = node.status("VI_1").counters;
        assert_eq!(counters.adverts_received, received + 1, "{mode:?}");
        assert_eq!(counters.adverts_without_hmac, received, "{mode:?}");
    }
}

#[test]
fn receive_only_mode_sends_unsigned_advertisements() {
    let mut plain = master(vi_1());
    let mut node = master(signing(HmacMode::ReceiveOnly));
    assert_eq!(next_message(&mut node), next_message(&mut plain));
}

#[test]
fn router_without_hmac_accepts_signed_advertisements() {
    let mut node = node(vi_1());
    assert_eq!(node.receive(ETH1, PEER, &from_peer(200, WALL, 1)), [""; 0]);
    let status = node.status("VI_1");
    assert_eq!(status.master.unwrap().priority, 200);
    assert_eq!(
        (status.hmac, status.counters.adverts_without_hmac),
        (None, 0)
    );
}

#[test]
fn returned_own_signed_packet_is_no_replay() {
    let mut node = master(signing(HmacMode::Enforce));
    let earlier = next_message(&mut node);
    let _ = next_message(&mut node);
    let own = [192, 168, 224, 12];
    node.receive(ETH1, own, &earlier);
    let dropped = node.status("VI_1").counters.dropped;
    assert_eq!((dropped.OwnPacket, dropped.total()), (1, 1));
}

#[test]
fn reload_keeps_sent_and_received_sequence_numbers() {
    let mut node = master(signing(HmacMode::Enforce));
    let lower = from_peer(50, WALL, 1);
    node.receive(ETH1, PEER, &lower);
    let before = next_message(&mut node);
    node.give(Input::WallClock(WALL));
    let mut params = signing(HmacMode::Enforce);
    let mut hmac = hmac(HmacMode::Enforce);
    hmac.others = vec![core::mem::replace(&mut hmac.active, hmac.others[0])];
    params.authentication = Authentication::Hmac(hmac);
    assert_eq!(node.configure(routers([("VI_1", params)])), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Master);
    node.receive(ETH1, PEER, &lower);
    assert_eq!(dropped(&node, DropCause::HmacReplayed), 1);
    node.now = node.due();
    node.give(Input::WallClock(WALL));
    let after = messages(&mut node, Input::Tick).remove(0);
    let (before, after) = (
        Trailer::parse(&before).unwrap(),
        Trailer::parse(&after).unwrap(),
    );
    assert!(after.sequence.is_after(before.sequence));
    assert_eq!((before.key.get(), after.key.get()), (1, 2));
}

#[test]
fn clock_that_is_set_ends_no_uninterrupted_series() {
    let hour = Duration::from_secs(3_600);
    let mut node = node(signing(HmacMode::Enforce));
    let receive = |node: &mut Node, ahead: Duration| {
        let wall = WALL + node.now.since(T0) + ahead;
        let before = node.status("VI_1").counters.adverts_received;
        node.receive(ETH1, PEER, &from_peer(200, wall, 1));
        node.status("VI_1").counters.adverts_received > before
    };
    assert!(!receive(&mut node, hour), "an unknown sender");
    assert!(receive(&mut node, Duration::ZERO));
    node.advance(SECOND * 3);
    assert!(receive(&mut node, hour));
    assert!(!receive(&mut node, hour), "the same number");
    node.advance(SECOND);
    assert!(receive(&mut node, hour));
    assert_eq!(node.state("VI_1"), State::Backup);
    // The clock is corrected: the sender begins anew.
    node.advance(SECOND);
    assert!(receive(&mut node, Duration::ZERO));
    node.advance(SECOND * 5);
    assert!(!receive(&mut node, hour), "after an interruption");
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn clock_that_nearly_leaves_the_window_is_reported_once_a_minute() {
    let mut node = node(signing(HmacMode::Enforce));
    let said = |node: &mut Node, ahead: u64| {
        let wall = WALL + node.now.since(T0) + Duration::from_secs(ahead);
        let lines = node.receive(ETH1, PEER, &from_peer(200, wall, 1));
        only("VI_1: clock", lines)
    };
    assert_eq!(said(&mut node, 2), [""; 0]);
    node.advance(SECOND * 5);
    let warning = "VI_1: clock of 192.168.224.11 is 3 s ahead";
    assert_eq!(said(&mut node, 3), [warning]);
    node.advance(SECOND);
    assert_eq!(said(&mut node, 3), [""; 0]);
    node.advance(SECOND * 60);
    assert_eq!(said(&mut node, 3), [warning]);
}

#[test]
fn wall_clock_is_wanted_only_with_hmac() {
    let mut node = node(vi_1());
    assert!(!node.engine.wants_wall_clock());
    node.configure(routers([
        ("VI_1", signing(HmacMode::ReceiveOnly)),
        ("VI_2", vi_2()),
    ]));
    assert!(node.engine.wants_wall_clock());
    node.configure(routers([("VI_2", vi_2())]));
    assert!(!node.engine.wants_wall_clock());
}

#[test]
fn packet_received_in_fault_is_a_replay_afterwards() {
    let mut node = node(signing(HmacMode::Enforce));
    let mut down = link(ETH1, "eth1");
    down.carrier = false;
    let bytes = from_peer(200, WALL, 1);
    node.receive(ETH1, PEER, &bytes);
    node.lose(Input::Link(down));
    assert_eq!(node.state("VI_1"), State::Fault);
    node.give(Input::Link(link(ETH1, "eth1")));
    node.receive(ETH1, PEER, &bytes);
    assert_eq!(dropped(&node, DropCause::HmacReplayed), 1);
    assert_eq!(node.status("VI_1").master, None);
}
