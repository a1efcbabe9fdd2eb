//! IPv6, alone and beside IPv4 in one instance.

use core::net::IpAddr;

use super::rig::*;
use crate::events::{Advertisement, Input, Output};
use crate::params::RouterParams;
use crate::types::{Family, Priority, State, Vrid};
use crate::wire::GROUP_V6;

const V4: &str = "192.168.224.100/24";
const V6: &str = "2001:db8::100/64";
/// The address list of [`PEER_V6`] for [`V6`].
const THEIRS: [&str; 2] = ["fe80::11", "2001:db8::100"];

/// VI_1 of IPv6 alone.
fn ipv6() -> RouterParams {
    vi_1_with(&[V6])
}

/// VI_1 with both families.
fn dual() -> RouterParams {
    vi_1_with(&[V4, V6])
}

// RFC 9568 7.2 MUST: send from the interface's link-local IPv6 address
// RFC 9568 7.2 MUST: send to the group ff02::12
// RFC 9568 6.4.2 MUST: announce each IPv6 address by an unsolicited neighbour advertisement
// RFC 9568 6.4.2 MUST: join the solicited-node group of each IPv6 address
// RFC 9568 8.2.2 MUST: neighbour discovery waits until the address and the MAC address are there
#[test]
fn ipv6_router_sends_from_link_local_to_the_group() {
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
            "VI_1: backup -> master (no advertisement from any router for 3.609 s)",
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
fn ipv6_owner_announces_its_address_at_start() {
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
fn ipv6_router_without_link_local_address_is_in_fault() {
    const LACKS: &str = "interface eth1 has no link-local IPv6 address to send from, or it is \
                         still being checked for duplicates";
    let mut node = Node::wired();
    // The host has addresses of both families, but none to send from.
    node.give(added(ETH1, "2001:db8::12/64", false));
    let lines = only("VI_1", node.configure(routers([("VI_1", ipv6())])));
    assert_eq!(lines, [format!("VI_1: init -> fault ({LACKS})")]);
    assert_eq!(node.engine.listeners().count(), 0);

    let comes = added(ETH1, link_local(ETH1), false);
    assert_eq!(
        only("VI_1", node.give(comes)),
        [format!("VI_1: fault -> backup (recovered from: {LACKS})")]
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
fn virtual_link_local_address_is_no_source() {
    let mut node = Node::wired();
    node.configure(routers([("VI_1", vi_1_with(&["fe80::100/64", V6]))]));
    // Another program added it, and the host has no other link-local address.
    node.give(added(ETH1, "fe80::100/64", false));
    assert_eq!(node.state("VI_1"), State::Fault);
    node.give(added(ETH1, link_local(ETH1), false));
    assert_eq!(node.status("VI_1").source, Some(ip("fe80::12")));
}

// RFC 9568 6.4.3 MUST: an equal priority from a greater address makes it Backup
#[test]
fn ipv6_tie_is_decided_by_the_link_local_address() {
    let mut node = Node::mastering_v6(routers([("VI_1", ipv6())]));
    assert_eq!(
        only("VI_1", node.receive_advert_v6(100, &THEIRS)),
        ["VI_1: second master fe80::11, priority 100"],
        "fe80::11 is the lesser address"
    );
    node.give(added(ETH1, "fe80::7/64", false));
    node.give(removed(ETH1, link_local(ETH1)));
    assert_eq!(
        only("VI_1", node.receive_advert_v6(100, &THEIRS)),
        ["VI_1: master -> backup (fe80::11 has the same priority 100 and the greater address)"]
    );
}

// RFC 9568 5.2.9 erratum 8300 MUST: the first IPv6 address is the link-local one
#[test]
fn ipv6_address_list_begins_with_a_link_local_address() {
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
        "the own address, if no virtual one is link-local"
    );
    assert_eq!(
        advertised(&[V6, "fe80::100/64", "2001:db8::101/64"]),
        said("fe80::100 2001:db8::100 2001:db8::101"),
        "the virtual address, at any position of the configuration"
    );
}

// RFC 9568 5.2.9 erratum 8300 MUST: the first IPv6 address is the link-local one
#[test]
fn own_link_local_is_omitted_as_by_the_peer() {
    let mut node = Node::mastering_v6(routers([("VI_1", ipv6())]));
    let counters = |node: &Node| node.status("VI_1").counters;
    node.receive_advert_v6(50, &["2001:db8::100"]);
    assert_eq!(
        only("advertise", node.advance(SECOND)),
        ["advertise on 2 from fe80::12: VRID 51, priority 100, 2001:db8::100"]
    );
    node.receive_advert_v6(50, &THEIRS);
    assert_eq!(
        only("advertise", node.advance(SECOND)),
        ["advertise on 2 from fe80::12: VRID 51, priority 100, fe80::12 2001:db8::100"]
    );
    assert_eq!(
        counters(&node).address_list_differs,
        0,
        "both forms of the list are right"
    );
    node.receive_advert_v6(50, &["fe80::11", "2001:db8::100", "2001:db8::101"]);
    assert_eq!(counters(&node).address_list_differs, 1);
}

#[test]
fn virtual_link_local_address_is_always_listed() {
    let params = vi_1_with(&["fe80::100/64", V6]);
    let mut node = Node::mastering_v6(routers([("VI_1", params)]));
    node.receive_advert_v6(50, &["2001:db8::100"]);
    assert_eq!(node.status("VI_1").counters.address_list_differs, 1);
    assert_eq!(
        node.step(),
        ["advertise on 2 from fe80::12: VRID 51, priority 100, fe80::100 2001:db8::100"]
    );
    node.receive_advert_v6(50, &["fe80::100", "2001:db8::100"]);
    assert_eq!(node.status("VI_1").counters.address_list_differs, 1);
}

// RFC 9568 5.2.9 MUST: the addresses are of the family of the IP header
#[test]
fn dual_stack_router_advertises_in_both_families() {
    let mut node = Node::running_v6(routers([("VI_1", dual())]));
    assert_eq!(
        node.step(),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "advertise on 2 from fe80::12: VRID 51, priority 100, fe80::12 2001:db8::100",
            "on 2 hold [192.168.224.100/24], release []",
            "on 2 hold [2001:db8::100/64], release []",
            "VI_1: backup -> master (no advertisement from any router for 3.609 s)",
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
fn dual_stack_master_hands_each_family_over_to_its_successor() {
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
            "VI_1: hands over for 1.25s",
            "VI_1: master -> init (the daemon stops)",
        ]
    );
    assert_eq!(
        node.receive_advert_v6(90, &THEIRS),
        ["on 2 hold [], release [2001:db8::100/64]"]
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
    assert_eq!(node.receive_advert_v6(90, &THEIRS), [""; 0]);
    assert_eq!(
        node.receive_advert(90),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "on 2 hold [], release [2001:db8::100/64]",
            "VI_1: handed over after 0ns: 192.168.224.11 advertises",
        ]
    );
}

#[test]
fn dual_stack_master_yields_in_both_families_at_once() {
    type Receive = fn(&mut Node) -> Vec<String>;
    let receives: [(Receive, &str); 2] = [
        (|node| node.receive_advert(101), "192.168.224.11"),
        (|node| node.receive_advert_v6(101, &THEIRS), "fe80::11"),
    ];
    for (receive, from) in receives {
        let mut node = Node::mastering_v6(routers([("VI_1", dual())]));
        assert_eq!(
            only("VI_1", receive(&mut node)),
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
fn dual_stack_router_needs_a_source_in_both_families() {
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
        "interface eth1 has no non-virtual IPv4 address to send from"
    );
    node.give(added(ETH1, own(ETH1), false));
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn received_packet_belongs_to_the_router_of_its_family() {
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
    node.receive_advert_v6(200, &THEIRS);
    assert_eq!(master(&node, "V4"), None);
    assert_eq!(master(&node, "V6"), Some(PEER_V6.into()));
    node.receive_advert(200);
    assert_eq!(master(&node, "V4"), Some(peer()));
    assert_eq!(
        node.receive(ETH1, PEER_V6, &advert_v6(52, 200, &THEIRS)),
        [
            "dropped for no router from fe80::11: no instance with this VRID on the receiving interface"
        ],
        "VRID 52 has IPv4 only"
    );
}

#[test]
fn own_ipv6_packet_returned_by_a_loop_is_dropped() {
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
        assert!(
            lines[0].contains("sent from this host's own address"),
            "{lines:?}"
        );
    }
    assert_eq!(node.status("VI_1").counters.dropped.OwnPacket, 2);
}

#[test]
fn deleted_ipv6_address_is_restored_without_a_transition() {
    let mut node = Node::mastering_v6(routers([("VI_1", dual())]));
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.give(removed(ETH1, V6)),
        [
            "VI_1: repaired 2001:db8::100/64 was deleted by another program",
            "on 2 hold [192.168.224.100/24], release []",
            "on 2 hold [2001:db8::100/64], release []",
            "announce on 2 at 02:00:00:00:00:02: 2001:db8::100/64",
        ]
    );
    assert_eq!(node.engine.poll_timeout(), due);
}

#[test]
fn stray_ipv6_address_is_deleted_from_a_backup() {
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
fn own_host_addresses_are_distinguished_per_family() {
    // Its only IPv4 address is configured as virtual.
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
            .contains("no address but 192.168.224.100/24")
    );
    // With an own address of the host the other one is a stray address.
    let lines = node.give(added(ETH1, own(ETH1), false));
    assert_eq!(lines[0], "on 2 hold [], release [192.168.224.100/24]");
    assert_eq!(node.state("VI_1"), State::Backup);
}

// RFC 9568 8.2.2 SHOULD: announce each address that an Active gets
#[test]
fn reload_of_a_family_keeps_the_master() {
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
fn backup_keeps_its_master_when_a_family_is_added() {
    let mut node = Node::running_v6(routers([("VI_1", vi_1())]));
    node.receive_advert(200);
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
fn reload_without_a_usable_family_is_a_silent_fault() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let lines = node.configure(routers([("VI_1", ipv6())]));
    assert_eq!(only("advertise", lines), [""; 0], "its list would be empty");
    assert_eq!(node.state("VI_1"), State::Fault);
    assert!(node.held().is_empty());
}

#[test]
fn added_family_without_a_source_address_is_a_fault() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let lines = node.configure(routers([("VI_1", dual())]));
    assert_eq!(
        lines[0], "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
        "a resignation"
    );
    assert_eq!(node.state("VI_1"), State::Fault);
    assert!(node.held().is_empty());
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
