//! IPv6, alone and beside IPv4 in one instance.

use core::net::IpAddr;

use super::rig::*;
use crate::events::{Advertisement, Input, Output};
use crate::params::RouterParams;
use crate::types::{Family, Priority, State, Vrid};
use crate::wire::GROUP_V6;

const V4: &str = "192.168.224.100/24";
const V6: &str = "2001:db8::100/64";
/// What [`PEER_V6`] lists for [`V6`].
const THEIRS: [&str; 2] = ["fe80::11", "2001:db8::100"];

/// VI_1 of IPv6 alone.
fn ipv6() -> RouterParams {
    vi_1_with(&[V6])
}

/// VI_1 of both families.
fn dual() -> RouterParams {
    vi_1_with(&[V4, V6])
}

// RFC 9568 7.2 MUST: send from the interface's link-local IPv6 address
// RFC 9568 7.2 MUST: send to the group ff02::12
// RFC 9568 6.4.2 MUST: announce each IPv6 address by an unsolicited neighbour advertisement
// RFC 9568 6.4.2 MUST: join the solicited-node group of each IPv6 address
// RFC 9568 8.2.2 MUST: neighbour discovery waits until the address and the MAC address are there
#[test]
fn a_router_of_ipv6_sends_from_its_link_local_address_to_the_group() {
    let mut node = Node::wired_v6();
    node.give(added(ETH1, "2001:db8::12/64", false));
    assert_eq!(
        node.configure(routers([("VI_1", ipv6())])),
        [
            "on 2 hold [], release [2001:db8::100/64]",
            "VI_1: init -> backup (started, listening first)",
        ]
    );
    node.now = node.due();
    let outputs = node.take(Input::Tick);
    assert_eq!(
        outputs.iter().map(line).collect::<Vec<_>>(),
        [
            "advertise on 2 from fe80::12: VRID 51, priority 100, fe80::12 2001:db8::100",
            "on 2 hold [2001:db8::100/64], release []",
            "VI_1: backup -> master (no advertisement from anybody for 3.609 s)",
            "announce on 2 at 02:00:00:00:00:02: 2001:db8::100/64",
        ]
    );
    let Output::Advertise(Advertisement { destination, .. }) = outputs[0] else {
        panic!("{outputs:?}")
    };
    assert_eq!(destination, IpAddr::from(GROUP_V6));
    let listeners: Vec<_> = node.engine.listeners().collect();
    assert_eq!(listeners, [(ETH1, Family::V6, Vrid::new(51).unwrap())]);
    assert_eq!(node.held(), ["2001:db8::100/64 on 2"]);
}

// RFC 9568 6.4.1 MUST: a starting owner announces each IPv6 address likewise
#[test]
fn the_owner_of_an_ipv6_address_announces_it_at_once() {
    let params = RouterParams {
        priority: Priority::OWNER,
        ..ipv6()
    };
    let mut node = Node::wired_v6();
    node.give(added(ETH1, V6, false));
    assert_eq!(
        node.configure(routers([("VI_1", params)])),
        [
            "advertise on 2 from fe80::12: VRID 51, priority 255, fe80::12 2001:db8::100",
            "on 2 hold [2001:db8::100/64], release [], sparing foreign ones",
            "VI_1: init -> master (owner of the addresses (priority 255))",
            "announce on 2 at 02:00:00:00:00:02: 2001:db8::100/64",
        ]
    );
}

#[test]
fn a_router_of_ipv6_waits_for_a_link_local_address_and_falls_when_it_goes() {
    const LACKS: &str = "interface eth1 has no link-local IPv6 address to send from, or it is \
                         still being checked for duplicates";
    let mut node = Node::wired();
    // The host has addresses of both families, and may send from none of them.
    node.give(added(ETH1, "2001:db8::12/64", false));
    let lines = only("VI_1", node.configure(routers([("VI_1", ipv6())])));
    assert_eq!(lines, [format!("VI_1: init -> fault ({LACKS})")]);
    assert_eq!(node.engine.listeners().count(), 0);

    let comes = added(ETH1, link_local(ETH1), false);
    assert_eq!(
        only("VI_1", node.give(comes)),
        [format!("VI_1: fault -> backup (over: {LACKS})")]
    );
    assert_eq!(node.status("VI_1").source, Some(ip("fe80::12")));

    node.advance(SECOND * 6);
    let goes = removed(ETH1, link_local(ETH1));
    assert_eq!(
        node.lose(goes),
        [
            "advertise on 2 from fe80::12: VRID 51, priority 0, fe80::12 2001:db8::100".to_owned(),
            "on 2 hold [], release [2001:db8::100/64]".to_owned(),
            format!("VI_1: master -> fault ({LACKS})"),
        ]
    );
}

#[test]
fn a_virtual_link_local_address_is_none_to_send_from() {
    let mut node = Node::wired();
    node.configure(routers([("VI_1", vi_1_with(&["fe80::100/64", V6]))]));
    // Somebody added it, and the host has no other.
    node.give(added(ETH1, "fe80::100/64", false));
    assert_eq!(node.state("VI_1"), State::Fault);
    node.give(added(ETH1, link_local(ETH1), false));
    assert_eq!(node.status("VI_1").source, Some(ip("fe80::12")));
}

// RFC 9568 6.4.3 MUST: an equal priority from a greater address makes it Backup
#[test]
fn of_equals_over_ipv6_the_greater_link_local_address_is_master() {
    let mut node = Node::mastering_v6(routers([("VI_1", ipv6())]));
    assert_eq!(
        only("VI_1", node.hear_v6(100, &THEIRS)),
        ["VI_1: second master fe80::11, priority 100"],
        "fe80::11 is the smaller one"
    );
    node.give(added(ETH1, "fe80::7/64", false));
    node.give(removed(ETH1, link_local(ETH1)));
    assert_eq!(
        only("VI_1", node.hear_v6(100, &THEIRS)),
        ["VI_1: master -> backup (fe80::11 has the same priority 100 and the greater address)"]
    );
}

// RFC 9568 5.2.9 erratum 8300 MUST: the first IPv6 address is the link-local one
#[test]
fn the_list_begins_with_a_link_local_address() {
    let advertised = |texts: &[&str]| {
        let mut node = Node::mastering_v6(routers([("VI_1", vi_1_with(texts))]));
        node.step()
    };
    let said = |list: &str| {
        [format!(
            "advertise on 2 from fe80::12: VRID 51, priority 100, {list}"
        )]
    };
    assert_eq!(
        advertised(&[V6, "2001:db8::101/64"]),
        said("fe80::12 2001:db8::100 2001:db8::101"),
        "the own one, where none is virtual"
    );
    assert_eq!(
        advertised(&[V6, "fe80::100/64", "2001:db8::101/64"]),
        said("fe80::100 2001:db8::100 2001:db8::101"),
        "the virtual one, wherever it is configured"
    );
}

#[test]
fn the_own_link_local_address_is_left_out_while_the_others_leave_theirs_out() {
    let mut node = Node::mastering_v6(routers([("VI_1", ipv6())]));
    let counters = |node: &Node| node.status("VI_1").counters;
    node.hear_v6(50, &["2001:db8::100"]);
    assert_eq!(
        only("advertise", node.advance(SECOND)),
        ["advertise on 2 from fe80::12: VRID 51, priority 100, 2001:db8::100"]
    );
    node.hear_v6(50, &THEIRS);
    assert_eq!(
        only("advertise", node.advance(SECOND)),
        ["advertise on 2 from fe80::12: VRID 51, priority 100, fe80::12 2001:db8::100"]
    );
    assert_eq!(counters(&node).address_list_differs, 0, "neither is wrong");
    node.hear_v6(50, &["fe80::11", "2001:db8::101"]);
    assert_eq!(counters(&node).address_list_differs, 1);
}

#[test]
fn a_virtual_link_local_address_is_listed_whatever_the_others_list() {
    let params = vi_1_with(&["fe80::100/64", V6]);
    let mut node = Node::mastering_v6(routers([("VI_1", params)]));
    node.hear_v6(50, &["2001:db8::100"]);
    assert_eq!(node.status("VI_1").counters.address_list_differs, 1);
    assert_eq!(
        node.step(),
        ["advertise on 2 from fe80::12: VRID 51, priority 100, fe80::100 2001:db8::100"]
    );
    node.hear_v6(50, &["fe80::100", "2001:db8::100"]);
    assert_eq!(node.status("VI_1").counters.address_list_differs, 1);
}

// RFC 9568 5.2.9 MUST: the addresses are of the family of the IP header
#[test]
fn an_instance_of_both_families_is_one_router_that_speaks_twice() {
    let mut node = Node::running_v6(routers([("VI_1", dual())]));
    assert_eq!(
        node.step(),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "advertise on 2 from fe80::12: VRID 51, priority 100, fe80::12 2001:db8::100",
            "on 2 hold [192.168.224.100/24], release []",
            "on 2 hold [2001:db8::100/64], release []",
            "VI_1: backup -> master (no advertisement from anybody for 3.609 s)",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
            "announce on 2 at 02:00:00:00:00:02: 2001:db8::100/64",
        ]
    );
    let status = node.status("VI_1");
    assert_eq!(status.source, Some(ip("192.168.224.12")));
    assert_eq!(status.source_ipv6, Some(ip("fe80::12")));
    assert_eq!(status.counters.adverts_sent, 1);
    let families: Vec<_> = node
        .engine
        .listeners()
        .map(|(_, family, _)| family)
        .collect();
    assert_eq!(families, Family::ALL);
}

// RFC 9568 6.4.2 MUST NOT: answer neighbour solicitations for a virtual address
// RFC 9568 6.4.3 MUST: be a member of the solicited-node group of each IPv6 address
#[test]
fn a_master_of_both_families_resigns_and_releases_in_both() {
    let mut node = Node::mastering_v6(routers([("VI_1", dual())]));
    assert_eq!(
        node.held(),
        ["192.168.224.100/24 on 2", "2001:db8::100/64 on 2"]
    );
    assert_eq!(
        node.give(Input::Stop),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "advertise on 2 from fe80::12: VRID 51, priority 0, fe80::12 2001:db8::100",
            "on 2 hold [], release [192.168.224.100/24]",
            "on 2 hold [], release [2001:db8::100/64]",
            "VI_1: master -> init (the daemon stops)",
        ]
    );
}

#[test]
fn a_greater_priority_in_either_family_takes_both() {
    type Hear = fn(&mut Node) -> Vec<String>;
    let hears: [(Hear, &str); 2] = [
        (|node| node.hear(101), "192.168.224.11"),
        (|node| node.hear_v6(101, &THEIRS), "fe80::11"),
    ];
    for (hear, from) in hears {
        let mut node = Node::mastering_v6(routers([("VI_1", dual())]));
        assert_eq!(
            only("VI_1", hear(&mut node)),
            [format!(
                "VI_1: master -> backup ({from} advertises priority 101, ours is 100: yielded)"
            )]
        );
        assert!(node.held().is_empty());
        let status = node.status("VI_1");
        assert_eq!(status.master.unwrap().address, ip(from));
    }
}

#[test]
fn an_instance_of_both_families_serves_only_where_it_can_speak_in_both() {
    let mut node = Node::mastering_v6(routers([("VI_1", dual())]));
    let lines = only("VI_1", node.lose(removed(ETH1, link_local(ETH1))));
    assert!(
        lines[0].contains("master -> fault (interface eth1 has no link-local"),
        "{lines:?}"
    );
    node.give(removed(ETH1, own(ETH1)));
    node.give(added(ETH1, link_local(ETH1), false));
    assert_eq!(
        &*node.status("VI_1").cause,
        "interface eth1 has no IPv4 address of its own to send from"
    );
    node.give(added(ETH1, own(ETH1), false));
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn a_packet_belongs_to_the_router_of_its_family() {
    let params = routers([
        ("V4", vi_1()),
        ("V6", ipv6()),
        (
            "OTHER",
            RouterParams {
                vrid: Vrid::new(52).unwrap(),
                ..vi_1_with(&["192.168.224.102/24"])
            },
        ),
    ]);
    let mut node = Node::running_v6(params);
    let master = |node: &Node, name| node.status(name).master.map(|master| master.address);
    node.hear_v6(200, &THEIRS);
    assert_eq!(master(&node, "V4"), None);
    assert_eq!(master(&node, "V6"), Some(PEER_V6.into()));
    node.hear(200);
    assert_eq!(master(&node, "V4"), Some(peer()));
    assert_eq!(
        node.receive(ETH1, PEER_V6, &advert_v6(52, 200, &THEIRS)),
        ["dropped for nobody from fe80::11: no router here has its VRID"],
        "52 is one of IPv4 alone"
    );
}

#[test]
fn an_own_packet_of_ipv6_that_comes_back_is_dropped() {
    let mut node = Node::mastering_v6(routers([("VI_1", dual())]));
    node.now = node.due();
    let sent = node.take(Input::Tick);
    for output in &sent {
        let Output::Advertise(Advertisement {
            source, message, ..
        }) = output
        else {
            panic!("{sent:?}")
        };
        let lines = node.receive(ETH1, *source, message);
        assert!(lines[0].contains("it bears our own address"), "{lines:?}");
    }
    assert_eq!(node.status("VI_1").counters.dropped.OwnPacket, 2);
}

#[test]
fn a_deleted_ipv6_address_is_put_back_and_announced_without_a_transition() {
    let mut node = Node::mastering_v6(routers([("VI_1", dual())]));
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.give(removed(ETH1, V6)),
        [
            "VI_1: repaired 2001:db8::100/64",
            "on 2 hold [192.168.224.100/24], release []",
            "on 2 hold [2001:db8::100/64], release []",
            "announce on 2 at 02:00:00:00:00:02: 2001:db8::100/64",
        ]
    );
    assert_eq!(node.engine.poll_timeout(), due);
}

#[test]
fn a_stray_ipv6_address_on_a_backup_is_taken_off() {
    let mut node = Node::running_v6(routers([("VI_1", ipv6())]));
    assert_eq!(
        node.give(added(ETH1, V6, false)),
        [
            "VI_1: stray 2001:db8::100/64",
            "on 2 hold [], release [2001:db8::100/64]",
        ]
    );
}

#[test]
fn whether_the_host_has_an_address_of_its_own_is_asked_in_each_family() {
    // Of IPv4 it has nothing but what is configured as virtual.
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, V4, false));
    node.give(added(ETH1, link_local(ETH1), false));
    node.give(added(ETH1, V6, false));
    assert_eq!(
        node.configure(routers([("VI_1", dual())]))[..2],
        [
            "on 2 hold [], release [192.168.224.100/24], sparing foreign ones",
            "on 2 hold [], release [2001:db8::100/64]",
        ]
    );
    assert!(
        node.status("VI_1")
            .cause
            .contains("no address beside 192.168.224.100/24")
    );
    // With one of its own, that one is a stray too.
    let lines = node.give(added(ETH1, own(ETH1), false));
    assert_eq!(lines[0], "on 2 hold [], release [192.168.224.100/24]");
    assert_eq!(node.state("VI_1"), State::Backup);
}

// RFC 9568 8.2.2 SHOULD: announce each address that an Active gets
#[test]
fn a_reload_that_adds_a_family_or_takes_one_away_keeps_the_master() {
    let mut node = Node::mastering_v6(routers([("VI_1", vi_1())]));
    node.sleep(SECOND / 4);
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.configure(routers([("VI_1", dual())])),
        [
            "on 2 hold [192.168.224.100/24], release []",
            "on 2 hold [2001:db8::100/64], release []",
            "announce on 2 at 02:00:00:00:00:02: 2001:db8::100/64",
        ]
    );
    assert_eq!(node.engine.poll_timeout(), due);
    assert_eq!(node.engine.listeners().count(), 2);
    assert_eq!(
        node.step(),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "advertise on 2 from fe80::12: VRID 51, priority 100, fe80::12 2001:db8::100",
        ]
    );
    node.sleep(SECOND / 4);
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.configure(routers([("VI_1", ipv6())])),
        [
            "on 2 hold [2001:db8::100/64], release []",
            "on 2 hold [], release [192.168.224.100/24]",
        ]
    );
    assert_eq!(node.engine.poll_timeout(), due);
    let families: Vec<_> = node
        .engine
        .listeners()
        .map(|(_, family, _)| family)
        .collect();
    assert_eq!(families, [Family::V6]);
    assert_eq!(
        node.step(),
        ["advertise on 2 from fe80::12: VRID 51, priority 100, fe80::12 2001:db8::100"]
    );
    assert_eq!(node.status("VI_1").counters.became_master, 1);
}

#[test]
fn a_backup_that_gets_a_family_goes_on_listening_to_its_master() {
    let mut node = Node::running_v6(routers([("VI_1", vi_1())]));
    node.hear(200);
    assert_eq!(
        node.configure(routers([("VI_1", dual())])),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "on 2 hold [], release [2001:db8::100/64]",
        ]
    );
    assert_eq!(node.status("VI_1").master.unwrap().address, peer());
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn a_family_that_goes_while_the_other_cannot_come_is_a_fault_without_a_word() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let lines = node.configure(routers([("VI_1", ipv6())]));
    assert_eq!(only("advertise", lines), [""; 0], "it would list nothing");
    assert_eq!(node.state("VI_1"), State::Fault);
    assert!(node.held().is_empty());
}

#[test]
fn a_new_family_without_an_address_to_send_from_is_a_fault() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let lines = node.configure(routers([("VI_1", dual())]));
    assert_eq!(
        lines[0], "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
        "the others are told so"
    );
    assert_eq!(node.state("VI_1"), State::Fault);
    assert!(node.held().is_empty());
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
