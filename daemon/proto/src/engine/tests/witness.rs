//! Advertisements that arrive at the interface and that this host drops before its sockets.

use core::net::Ipv4Addr;
use core::time::Duration;

use super::rig::*;
use super::unicast::{ip, peers};
use crate::events::Input;
use crate::params::{Authentication, GroupParams, HmacMode, NodeParams, RouterParams};
use crate::reasons::Due;
use crate::time::Instant;
use crate::types::State;
use crate::wire::hmac::Sequence;
use crate::wire::{ChecksumForm, Packet};

const WITHHELD: &str = "VI_1: withheld: advertisements from 192.168.224.11 arrive on eth1 and are dropped \
                        by this host before vrrpd: firewall, rp_filter or a missing multicast membership";

fn trusting(params: RouterParams) -> RouterParams {
    RouterParams {
        trust_wire: true,
        ..params
    }
}

/// A backup of priority 100 with an interval of 1 s, which listens from now on.
fn backup() -> Node {
    Node::running(routers([("VI_1", trusting(vi_1()))]))
}

impl Node {
    /// Ticks at every deadline, and shows a router whose take-over is due what arrived at eth1 until then:
    /// `message` once a second, until `silent_at`. Returns the outputs until `end`.
    fn live(&mut self, message: &[u8], silent_at: Instant, end: Instant) -> Vec<String> {
        let (start, mut lines) = (self.now, Vec::new());
        while self.due() <= end {
            self.now = self.due();
            let arrivals = (1..).map(|n| start + SECOND * n);
            let arrivals = arrivals.take_while(|at| *at <= self.now.min(silent_at));
            let packets: Vec<Packet<'_>> = arrivals
                .map(|at| Packet {
                    at,
                    ..packet(ETH1, PEER, message)
                })
                .collect();
            if !self.engine.watched_and_due(self.now).is_empty() {
                lines.extend(self.give(Input::Witnessed(&packets)));
            }
            lines.extend(self.give(Input::Tick));
        }
        self.now = end;
        lines
    }
}

fn after(seconds: u64) -> Instant {
    T0 + SECOND * u32::try_from(seconds).unwrap()
}

fn at(since_start: f64) -> Instant {
    T0 + Duration::from_secs_f64(since_start)
}

#[test]
fn unreceived_master_withholds_the_take_over_until_it_dies() {
    let mut node = backup();
    let message = advert(51, 200);
    // A minute has one report, and each master-down interval one decision.
    assert_eq!(node.live(&message, after(20), after(20)), [WITHHELD]);
    assert_eq!(node.state("VI_1"), State::Backup);
    let status = node.status("VI_1");
    assert_eq!(
        (status.counters.withheld, status.counters.adverts_received),
        (6, 0)
    );
    let withheld = status.withheld.expect("the reason");
    assert_eq!(withheld.source, peer());
    assert!(status.cause.contains(&*withheld.reason), "{}", status.cause);

    // Its last advertisement arrived at 20 s, and is found at the next decision.
    let lines = node.live(&message, after(20), after(60));
    assert_eq!(
        only("VI_1: backup", lines),
        ["VI_1: backup -> master (no advertisement from 192.168.224.11 for 3.609 s)"]
    );
    assert_eq!(node.status("VI_1").withheld, None);
    assert!(node.status("VI_1").state_age > 60.0 - 20.0 - 3.609_375 - 0.001);
}

#[test]
fn wire_is_watched_only_while_the_master_is_silent() {
    let mut node = backup();
    let watched = |node: &Node| node.engine.watched().collect::<Vec<_>>();
    node.advance(SECOND);
    node.receive_advert(200);
    assert_eq!(
        node.engine.poll_timeout(),
        Some((at(2.859_375), Due::Watch))
    );
    node.advance(SECOND);
    node.receive_advert(200);
    assert_eq!(node.engine.take_begun_watches(), []);
    node.step();
    assert_eq!(node.now, at(3.859_375));
    assert_eq!(watched(&node), [(ETH1, vi_1().vrid)]);
    assert_eq!(node.engine.take_begun_watches(), watched(&node));
    assert_eq!(node.engine.take_begun_watches(), []);
    assert_eq!(node.due(), at(5.609_375), "the take-over is next");
    assert_eq!(node.engine.watched_and_due(node.now), []);
    node.receive_advert(200);
    assert_eq!(watched(&node), []);
}

#[test]
fn witnessed_packets_are_ignored_before_the_take_over_is_due() {
    let mut node = backup();
    node.advance(SECOND * 3);
    let due = node.due();
    let message = advert(51, 200);
    assert_eq!(
        node.give(Input::Witnessed(&[packet(ETH1, PEER, &message)])),
        [""; 0]
    );
    assert_eq!(node.due(), due);
    assert_eq!(node.status("VI_1").counters.withheld, 0);
}

#[test]
fn unreceived_first_advertisement_counts_from_the_start() {
    let mut node = backup();
    node.step();
    assert_eq!(node.now, at(1.859_375), "the watch begins");
    node.now = node.due();
    let message = advert(51, 200);
    let arrived = Packet {
        at: at(0.1),
        ..packet(ETH1, PEER, &message)
    };
    assert_eq!(node.give(Input::Witnessed(&[arrived])), [WITHHELD]);
    assert_eq!(node.due(), at(0.1 + 3.609_375));
}

#[test]
fn only_an_advertisement_that_is_followed_withholds() {
    let wrong = {
        let mut message = advert(51, 200);
        message[6] ^= 0x5a;
        message
    };
    let to_another = |packet| Packet {
        destination: Ipv4Addr::new(192, 168, 224, 13).into(),
        ..packet
    };
    let messages = [
        ("lower priority", advert(51, 99)),
        ("wrong checksum", wrong),
        ("another VRID", advert(52, 200)),
    ];
    for (what, message) in &messages {
        let mut node = backup();
        let lines = node.live(message, after(10), after(10));
        assert_eq!(node.state("VI_1"), State::Master, "{what}: {lines:#?}");
        assert_eq!(node.status("VI_1").counters.withheld, 0, "{what}");
    }
    let mut node = backup();
    node.advance(Duration::from_millis(3_600));
    node.now = node.due();
    let message = advert(51, 200);
    node.give(Input::Witnessed(&[to_another(packet(
        ETH1, PEER, &message,
    ))]));
    node.give(Input::Tick);
    assert_eq!(
        node.state("VI_1"),
        State::Master,
        "forwarded to another host"
    );
}

#[test]
fn peer_that_sends_to_another_own_address_withholds_too() {
    let params = RouterParams {
        unicast: Some(peers(&["192.168.224.11"])),
        ..trusting(vi_1())
    };
    for (to, state) in [
        ("192.168.198.12", State::Backup),
        ("192.168.198.13", State::Master),
    ] {
        let mut node = Node::running(routers([("VI_1", params.clone())]));
        let message = version_3(51, 200, 100, ChecksumForm::MessageOnly);
        while node.due() <= after(6) {
            node.now = node.due();
            let arrival = Packet {
                at: node.now,
                destination: ip(to),
                ..packet(ETH1, PEER, &message)
            };
            if !node.engine.watched_and_due(node.now).is_empty() {
                node.give(Input::Witnessed(&[arrival]));
            }
            node.give(Input::Tick);
        }
        assert_eq!(node.state("VI_1"), state, "{to}");
    }
}

#[test]
fn resignation_on_the_wire_ends_the_wait_after_the_skew() {
    let mut node = backup();
    node.advance(Duration::from_millis(3_600));
    node.now = node.due();
    let (alive, resigned) = (advert(51, 200), advert(51, 0));
    let arrived = |seconds, message| Packet {
        at: at(seconds),
        ..packet(ETH1, PEER, message)
    };
    node.give(Input::Witnessed(&[
        arrived(3.0, &alive),
        arrived(3.5, &resigned),
    ]));
    node.give(Input::Tick);
    assert_eq!(node.due(), at(3.5 + 0.609_375));
    assert_eq!(
        only("VI_1: backup", node.step()),
        ["VI_1: backup -> master (192.168.224.11 resigned (priority 0))"]
    );
}

#[test]
fn received_advertisement_clears_the_reason() {
    let mut node = backup();
    node.live(&advert(51, 200), after(10), after(10));
    assert!(node.status("VI_1").withheld.is_some());
    node.receive_advert(200);
    assert_eq!(node.status("VI_1").withheld, None);
    assert_eq!(node.status("VI_1").counters.withheld, 3);
}

#[test]
fn replayed_packet_on_the_wire_withholds_once() {
    let mut params = trusting(vi_1());
    params.authentication = Authentication::Hmac(hmac(HmacMode::Enforce));
    let mut node = Node::wired();
    let wall = Duration::from_secs(1_800_000_000);
    node.give(Input::WallClock(wall));
    node.configure(routers([("VI_1", params)]));
    // Sent after 3 s, and shown again whenever a take-over is due.
    let message = signed(advert(51, 200), 1, Sequence::at(wall + SECOND * 3));
    let lines = node.live(&message, after(60), after(60));
    assert_eq!(node.status("VI_1").counters.withheld, 1);
    assert_eq!(
        only("VI_1: backup", lines),
        ["VI_1: backup -> master (no advertisement from 192.168.224.11 for 3.609 s)"]
    );
}

#[test]
fn distrusted_wire_withholds_nothing() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.live(&advert(51, 200), after(10), after(10));
    assert_eq!(node.engine.take_begun_watches(), []);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn sync_group_is_withheld_as_a_whole() {
    let mut params: NodeParams = routers([("VI_1", trusting(vi_1())), ("VI_2", trusting(vi_2()))]);
    let members = ["VI_1".into(), "VI_2".into()].into();
    let tracks = vec![];
    params
        .groups
        .insert("VG_1".into(), GroupParams { members, tracks });
    let mut node = Node::running(params);
    let message = advert(51, 200);
    assert_eq!(node.live(&message, after(20), after(20)), [WITHHELD]);
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(node.state("VI_2"), State::Backup);
    let counts = ["VI_1", "VI_2"].map(|name| node.status(name).counters.withheld);
    assert_eq!(counts, [6, 0]);
    node.live(&message, after(20), after(60));
    assert_eq!(node.state("VI_1"), State::Master);
    assert_eq!(node.state("VI_2"), State::Master);
}

/// A host that was suspended before the watch and woke up after the deadline knows nothing of the wire.
#[test]
fn unwatched_silence_is_extended_by_an_interval_and_the_skew() {
    let mut node = backup();
    node.advance(SECOND);
    node.sleep(SECOND * 3);
    assert_eq!(node.give(Input::Tick), [""; 0]);
    assert_eq!(node.status("VI_1").counters.late_wakeups, 1);
    assert_eq!(node.due(), at(4.0 + 1.609_375));
    assert_eq!(
        only("VI_1: backup", node.step()),
        ["VI_1: backup -> master (no advertisement from any router for 5.609 s)"]
    );
}
