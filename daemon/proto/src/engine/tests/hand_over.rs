//! Hand-over: a master that leaves on purpose keeps its addresses until its successor advertises.

use core::time::Duration;

use super::rig::*;
use crate::events::{Input, Link};
use crate::params::{Effect, GroupParams, NodeParams, RouterParams};
use crate::reasons::Due;
use crate::types::{AdvertInterval, State, Version};

const RELEASED: &str = "on 2 hold [], release [192.168.224.100/24]";

/// A master that has been stopped.
fn leaving(params: RouterParams) -> Node {
    let mut node = Node::mastering(routers([("VI_1", params)]));
    node.give(Input::Stop);
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
    node
}

// RFC 9568 6.4.3 MUST: Shutdown: cancel Adver_Timer, send priority 0, Initialize
#[test]
fn stopped_master_keeps_its_addresses_until_a_successor_advertises() {
    let mut node = leaving(vi_1());
    assert_eq!(node.state("VI_1"), State::Init);
    node.sleep(Duration::from_millis(609));
    assert_eq!(
        node.receive_advert(90),
        [
            RELEASED,
            "VI_1: handed over after 609ms: 192.168.224.11 advertises",
        ]
    );
    assert!(node.held().is_empty());
    assert!(!node.engine.is_handing_over());
    assert_eq!(node.engine.poll_timeout(), None);
}

#[test]
fn addresses_are_released_after_the_bound_without_a_successor() {
    let bounds = [
        (Version::V3, 10, 1_250),
        (Version::V3, 100, 1_250),
        (Version::V3, 300, 3_250),
        (Version::V2, 300, 1_250),
    ];
    for (version, centiseconds, bound) in bounds {
        let mut node = Node::running(routers([(
            "VI_1",
            RouterParams {
                version,
                interval: AdvertInterval::from_centiseconds(centiseconds).unwrap(),
                ..vi_1()
            },
        )]));
        node.advance(SECOND * 15);
        node.give(Input::Stop);
        let left = node.now;
        assert_eq!(node.engine.poll_timeout().unwrap().1, Due::HandOver);
        assert_eq!(node.step().len(), 2, "release and report");
        assert_eq!(node.now.since(left), Duration::from_millis(bound));
        assert!(node.held().is_empty());
    }
}

#[test]
fn leaving_router_is_silent_and_repairs_nothing() {
    let mut node = leaving(vi_1());
    for input in [
        Input::Tick,
        Input::Overrun,
        added(ETH1, "192.168.224.100/24", true),
        removed(ETH1, "192.168.224.100/24"),
        Input::Tick,
    ] {
        assert_eq!(node.give(input), [""; 0]);
        node.sleep(Duration::from_millis(100));
    }
    // Another master that leaves is no successor.
    assert_eq!(node.receive_advert(0), [""; 0]);
    assert!(node.engine.is_handing_over());
}

#[test]
fn rejected_packet_is_no_successor() {
    let mut node = leaving(vi_1());
    let mut bytes = advert(51, 90);
    bytes[6] ^= 1;
    node.receive(ETH1, PEER, &bytes);
    assert!(node.engine.is_handing_over());
}

#[test]
fn fault_ends_the_hand_over_at_once() {
    let mut node = leaving(vi_1());
    let unplugged = Link {
        carrier: false,
        ..link(ETH1, "eth1")
    };
    let lines = node.give(Input::Link(unplugged));
    let end = "VI_1: handed over after 0ns: interface eth1 has no carrier";
    assert_eq!(lines, [RELEASED, end]);
}

#[test]
fn master_in_fault_hands_nothing_over() {
    let mut params = routers([(
        "VI_1",
        RouterParams {
            tracks: vec![tracked("httpd", Effect::Fault)],
            ..vi_1()
        },
    )]);
    params.trackers.insert("httpd".into(), probed(1, 1));
    let mut node = Node::mastering(params);
    assert!(node.probe("httpd", false).contains(&RELEASED.to_owned()));
    assert!(!node.engine.is_handing_over());
}

#[test]
fn master_in_its_grace_hands_nothing_over() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(removed(ETH1, own(ETH1)));
    node.give(Input::Stop);
    assert!(!node.engine.is_handing_over());
    assert!(node.held().is_empty());
}

#[test]
fn status_shows_the_remaining_time_of_a_hand_over() {
    let mut node = leaving(vi_1());
    node.sleep(Duration::from_millis(500));
    let status = node.status("VI_1");
    assert_eq!(
        (status.state, status.releases_in),
        (State::Init, Some(0.75))
    );
    assert_eq!(
        &*status.cause,
        "handing over: holds its addresses until a successor advertises, 0.750 s at most"
    );
    node.receive_advert(90);
    assert_eq!(node.status("VI_1").releases_in, None);
}

#[test]
fn members_of_a_group_wait_for_a_successor_each() {
    let mut node = Node::mastering(together());
    node.give(Input::Stop);
    assert_eq!(node.held().len(), 2);
    node.receive_advert(90);
    assert_eq!(node.held(), ["192.168.198.100/24 on 3"]);
    node.receive(ETH2, PEER, &advert(52, 90));
    assert!(node.held().is_empty());
}

/// A master that continues as backup, because a member that is backup joins its group.
fn joined() -> Node {
    let mut node = Node::running(routers([("VI_1", vi_1()), ("VI_2", vi_2())]));
    for _ in 0..6 {
        node.receive(ETH2, PEER, &advert(52, 200));
        node.advance(SECOND);
    }
    let lines = node.configure(together());
    assert!(lines.contains(&"VI_1: hands over for 1.25s".to_owned()));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
    node
}

// RFC 9568 6.4.2 MUST NOT: answer ARP requests for a virtual address
// RFC 9568 6.4.2 MUST NOT: answer neighbour solicitations for a virtual address
// RFC 9568 6.4.2 MUST NOT: accept packets to a virtual address
#[test]
fn backup_keeps_the_addresses_for_its_successor() {
    let mut node = joined();
    let lines = node.receive_advert(200);
    assert_eq!(
        lines,
        [
            RELEASED,
            "VI_1: handed over after 0ns: 192.168.224.11 advertises",
        ]
    );
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn stop_continues_the_hand_over_of_a_backup() {
    let mut node = joined();
    let until = node.engine.hand_overs.first().unwrap().0;
    node.give(Input::Stop);
    assert_eq!(node.state("VI_1"), State::Init);
    assert_eq!(node.due(), until);
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
}

#[test]
fn fault_of_another_member_ends_the_hand_over() {
    let mut node = joined();
    let unplugged = Link {
        carrier: false,
        ..link(ETH2, "eth2")
    };
    node.lose(Input::Link(unplugged));
    assert_eq!(node.state("VI_1"), State::Fault);
    assert!(!node.engine.is_handing_over());
    assert!(node.held().is_empty());
}

#[test]
fn reload_ends_the_hand_over() {
    let mut node = joined();
    let lines = node.configure(together());
    let end = "VI_1: handed over after 0ns: configuration reloaded";
    assert_eq!(lines, [RELEASED, end]);
}

#[test]
fn router_that_becomes_master_again_keeps_its_addresses() {
    let fast = |params| RouterParams {
        interval: AdvertInterval::from_centiseconds(10).unwrap(),
        ..params
    };
    let mut node = Node::running(routers([("VI_1", fast(vi_1())), ("VI_2", fast(vi_2()))]));
    for _ in 0..20 {
        node.receive(ETH2, PEER, &version_3_of_vi_2(200));
        node.advance(Duration::from_millis(100));
    }
    let mut group = routers([("VI_1", fast(vi_1())), ("VI_2", fast(vi_2()))]);
    group.groups.insert("G".into(), group_of_both());
    node.configure(group);
    assert!(node.engine.is_handing_over());
    let lines = node.advance(SECOND);
    assert_eq!(node.state("VI_1"), State::Master);
    assert!(!node.engine.is_handing_over());
    assert!(!lines.contains(&RELEASED.to_owned()), "{lines:#?}");
}

fn version_3_of_vi_2(priority: u8) -> Vec<u8> {
    use crate::wire::ChecksumForm;
    version_3(52, priority, 10, ChecksumForm::WithPseudoHeader)
}

fn group_of_both() -> GroupParams {
    GroupParams {
        members: vec!["VI_1".into(), "VI_2".into()],
        ..GroupParams::default()
    }
}

fn together() -> NodeParams {
    let mut params = routers([("VI_1", vi_1()), ("VI_2", vi_2())]);
    params.groups.insert("G".into(), group_of_both());
    params
}

#[test]
fn name_of_the_interface_that_moves_to_another_ends_the_hand_over() {
    let mut node = leaving(vi_1());
    let lines = node.give(Input::Link(link(ETH2, "eth1")));
    assert_eq!(lines[0], RELEASED, "{lines:?}");
    assert!(
        lines[1].starts_with("VI_1: handed over after 0ns: "),
        "{lines:?}"
    );
    assert!(node.held().is_empty());
    assert!(!node.engine.is_handing_over());
}
