//! Address options: another interface than the router's, no advertisement, another form; and a
//! source address on any interface.

use core::net::IpAddr;

use super::rig::*;
use crate::events::{Input, Output};
use crate::params::{AddressOptions, RouterParams};
use crate::types::{AddressLabel, InterfaceIndex, MacAddress, Priority, State};

const HERE: &str = "192.168.224.100/24";
const AWAY: &str = "10.0.0.100/24";

/// VI_1 on eth1 with an address on eth1 and one on eth2.
fn split() -> RouterParams {
    on_eth2(vi_1_with(&[HERE, AWAY]), "10.0.0.100")
}

fn on_eth2(params: RouterParams, address: &str) -> RouterParams {
    special(params, address, |options| {
        options.device = Some("eth2".into())
    })
}

fn unadvertised(params: RouterParams, address: &str) -> RouterParams {
    special(params, address, |options| options.advertise = false)
}

/// VI_1 with a source address that may be on any interface.
fn sending_from(text: &str) -> RouterParams {
    RouterParams {
        source: Some(ip(text)),
        ..vi_1()
    }
}

// --- Addresses on another interface ------------------------------------------------------------

#[test]
fn address_is_held_and_announced_on_its_own_interface() {
    let mut node = Node::wired();
    assert_eq!(
        node.configure(routers([("VI_1", split())])),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "on 3 hold [], release [10.0.0.100/24]",
            "VI_1: init -> backup (started, listening first)",
        ]
    );
    let both = "192.168.224.100 10.0.0.100";
    assert_eq!(
        node.step(),
        [
            &format!("advertise on 2 from 192.168.224.12: VRID 51, priority 100, {both}"),
            "on 2 hold [192.168.224.100/24], release []",
            "on 3 hold [10.0.0.100/24], release []",
            "VI_1: backup -> master (no advertisement from any router for 3.609 s)",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
            "announce on 3 at 02:00:00:00:00:03: 10.0.0.100/24",
        ]
    );
    assert_eq!(
        node.held(),
        ["192.168.224.100/24 on 2", "10.0.0.100/24 on 3"]
    );
    let listens: Vec<_> = node.engine.listeners().map(|(index, ..)| index).collect();
    assert_eq!(listens, [ETH1], "VRRP runs on eth1 only");
    node.give(Input::Stop);
    assert_eq!(
        node.receive_advert(90),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "on 3 hold [], release [10.0.0.100/24]",
            "VI_1: handed over after 0ns: 192.168.224.11 advertises",
            "VI_1: 192.168.224.11 differs: does not list 10.0.0.100",
        ]
    );
}

#[test]
fn kernel_request_contains_the_address_options() {
    let label = AddressLabel::new("eth1:vip");
    let params = special(vi_1(), "192.168.224.100", |options| {
        options.form.label = label;
        options.form.scope = Some(253);
    });
    let mut node = Node::running(routers([("VI_1", params)]));
    node.now = node.due();
    let options: Vec<AddressOptions> = node
        .take(Input::Tick)
        .iter()
        .filter_map(|output| match output {
            Output::Kernel(desired) => desired.options.get(&ip("192.168.224.100")).cloned(),
            Output::Advertise(_)
            | Output::Device(_)
            | Output::Announce { .. }
            | Output::Routing(_)
            | Output::Lvs(_)
            | Output::Solicit(_)
            | Output::Report(_) => None,
        })
        .collect();
    let [options] = &*options else {
        panic!("{options:?}")
    };
    assert_eq!((options.form.label, options.form.scope), (label, Some(253)));
}

#[test]
fn failed_attachment_interface_is_a_fault_with_its_name() {
    type Change = fn(&mut crate::events::Link);
    let faults: [(Change, &str); 2] = [
        (|link| link.up = false, "interface eth2 is down"),
        (|link| link.carrier = false, "interface eth2 has no carrier"),
    ];
    for (change, cause) in faults {
        let mut node = Node::mastering(routers([("VI_1", split())]));
        let mut changed = link(ETH2, "eth2");
        change(&mut changed);
        assert_eq!(
            node.lose(Input::Link(changed))[1..],
            [
                "on 2 hold [], release [192.168.224.100/24]".to_owned(),
                "on 3 hold [], release [10.0.0.100/24]".to_owned(),
                format!("VI_1: master -> fault ({cause})"),
            ]
        );
        let lines = only("VI_1", node.give(Input::Link(link(ETH2, "eth2"))));
        assert_eq!(
            lines,
            [format!("VI_1: fault -> backup (recovered from: {cause})")]
        );
    }
}

#[test]
fn missing_attachment_interface_releases_the_addresses() {
    const MISSING: &str = "interface eth2 does not exist";
    let mut node = Node::mastering(routers([("VI_1", split())]));
    assert_eq!(
        node.give(Input::Link(link(ETH2, "wan")))[1..],
        [
            "on 2 hold [], release [192.168.224.100/24]".to_owned(),
            "on 3 hold [], release [10.0.0.100/24]".to_owned(),
            format!("VI_1: master -> fault ({MISSING})"),
        ]
    );
    assert!(node.held().is_empty());
    node.give(Input::Link(link(ETH2, "eth2")));
    node.advance(SECOND * 6);
    assert_eq!(node.held().len(), 2);

    assert_eq!(
        only("VI_1", node.lose(Input::LinkRemoved(ETH2))),
        [format!("VI_1: master -> fault ({MISSING})")]
    );
    // Recreated with another index, and without an own address of the host yet.
    let again = InterfaceIndex(7);
    assert_eq!(
        node.give(Input::Link(link(again, "eth2"))),
        [
            "on 2 hold [], release [192.168.224.100/24]".to_owned(),
            "on 7 hold [], release [10.0.0.100/24], sparing foreign ones".to_owned(),
            format!("VI_1: fault -> backup (recovered from: {MISSING})"),
        ]
    );
    node.advance(SECOND * 6);
    assert_eq!(
        node.held(),
        ["192.168.224.100/24 on 2", "10.0.0.100/24 on 7"]
    );
}

/// The RTM_DELLINK message may be late, or lost in an overrun.
#[test]
fn recreated_attachment_interface_is_used_despite_the_old() {
    let mut node = Node::mastering(routers([("VI_1", split())]));
    let again = InterfaceIndex(7);
    let lines = node.give(Input::Link(link(again, "eth2")));
    assert!(
        lines.contains(&"on 3 hold [], release [10.0.0.100/24]".to_owned()),
        "{lines:?}"
    );
    assert_eq!(
        only("VI_1", lines),
        [
            "VI_1: master -> fault (interface eth2 does not exist)",
            "VI_1: fault -> backup (recovered from: interface eth2 does not exist)",
        ]
    );
}

#[test]
fn new_mac_address_is_announced_on_its_attachment_only() {
    let mut node = Node::mastering(routers([("VI_1", split())]));
    let mut moved = link(ETH2, "eth2");
    moved.mac = Some(MacAddress([2, 0, 0, 0, 0, 0x99]));
    assert_eq!(
        node.give(Input::Link(moved)),
        ["announce on 3 at 02:00:00:00:00:99: 10.0.0.100/24"]
    );
}

#[test]
fn attachment_without_mac_address_is_not_announced() {
    let mut node = Node::wired();
    let mut loopback = link(ETH2, "eth2");
    loopback.mac = None;
    node.give(Input::Link(loopback));
    node.configure(routers([("VI_1", split())]));
    let lines = node.step();
    assert_eq!(
        only("announce", lines),
        ["announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24"]
    );
    assert_eq!(node.held().len(), 2);
}

#[test]
fn deleted_and_stray_addresses_are_mended_per_attachment() {
    let mut node = Node::mastering(routers([("VI_1", split())]));
    let lines = node.give(removed(ETH2, AWAY));
    assert_eq!(
        lines[0],
        "VI_1: repaired 10.0.0.100/24 was deleted by another program"
    );
    assert_eq!(
        lines[3..],
        ["announce on 3 at 02:00:00:00:00:03: 10.0.0.100/24"]
    );
    // The same address on another interface is not a virtual one.
    assert_eq!(node.give(removed(ETH1, AWAY)), [""; 0]);

    let mut node = Node::running(routers([("VI_1", split())]));
    assert_eq!(
        node.give(added(ETH2, AWAY, false))[0],
        "VI_1: stray 10.0.0.100/24"
    );
    assert_eq!(node.give(added(ETH1, AWAY, false)), [""; 0]);
}

#[test]
fn reload_moves_an_address_between_interfaces_without_a_transition() {
    let here = vi_1_with(&[HERE, AWAY]);
    let mut node = Node::mastering(routers([("VI_1", here.clone())]));
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.configure(routers([("VI_1", split())])),
        [
            "on 2 hold [192.168.224.100/24], release [10.0.0.100/24]",
            "on 3 hold [10.0.0.100/24], release []",
            "announce on 3 at 02:00:00:00:00:03: 10.0.0.100/24",
        ]
    );
    assert_eq!(
        node.configure(routers([("VI_1", here)])),
        [
            "on 2 hold [192.168.224.100/24 10.0.0.100/24], release []",
            "on 3 hold [], release [10.0.0.100/24]",
            "announce on 2 at 02:00:00:00:00:02: 10.0.0.100/24",
        ]
    );
    assert_eq!(node.engine.poll_timeout(), due);
    assert_eq!(node.status("VI_1").counters.became_master, 1);
}

#[test]
fn reload_to_a_missing_interface_releases_every_address() {
    let mut node = Node::mastering(routers([("VI_1", vi_1_with(&[HERE, AWAY]))]));
    node.give(Input::LinkRemoved(ETH2));
    let lines = node.configure(routers([("VI_1", split())]));
    assert_eq!(
        only("VI_1", lines.clone()),
        ["VI_1: master -> fault (interface eth2 does not exist)"]
    );
    let released = |address: &str| {
        let is = |line: &String| {
            let (_, release) = line.split_once("release ").unwrap_or_default();
            line.starts_with("on 2 hold []") && release.contains(address)
        };
        lines.iter().any(is)
    };
    assert!(released(HERE) && released(AWAY), "{lines:?}");
    assert!(node.held().is_empty());
}

#[test]
fn address_moved_to_another_router_is_released_before() {
    let both = |first: RouterParams, second: RouterParams| {
        routers([
            ("VI_1", first),
            (
                "VI_2",
                RouterParams {
                    interface: "eth2".into(),
                    vrid: vi_2().vrid,
                    ..second
                },
            ),
        ])
    };
    let before = both(vi_1_with(&[HERE, AWAY]), vi_1_with(&["192.168.198.100/24"]));
    let after = both(vi_1_with(&[HERE]), vi_1_with(&["192.168.198.100/24", AWAY]));
    let mut node = Node::mastering(before);
    assert_eq!(
        node.configure(after),
        [
            "on 2 hold [192.168.224.100/24], release [10.0.0.100/24]",
            "on 3 hold [192.168.198.100/24 10.0.0.100/24], release []",
            "announce on 3 at 02:00:00:00:00:03: 10.0.0.100/24",
        ]
    );
}

#[test]
fn reloaded_address_options_are_requested_without_a_transition() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let due = node.engine.poll_timeout();
    let labelled = special(vi_1(), "192.168.224.100", |options| {
        options.form.label = AddressLabel::new("eth1:vip");
    });
    assert_eq!(
        node.configure(routers([("VI_1", labelled)])),
        ["on 2 hold [192.168.224.100/24], release []"]
    );
    assert_eq!(node.engine.poll_timeout(), due);
}

#[test]
fn last_foreign_address_of_an_attachment_is_spared() {
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, own(ETH1), false));
    node.give(Input::Link(link(ETH2, "eth2")));
    node.give(added(ETH2, AWAY, false));
    assert_eq!(
        node.configure(routers([("VI_1", split())]))[..2],
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "on 3 hold [], release [10.0.0.100/24], sparing foreign ones",
        ]
    );
    // Beside an own address of the host it is a stray address.
    assert_eq!(
        only("on 3", node.give(added(ETH2, own(ETH2), false))),
        ["on 3 hold [], release [10.0.0.100/24]"]
    );
}

// --- Addresses that are not advertised ---------------------------------------------------------

#[test]
fn unadvertised_address_is_held_and_announced() {
    let params = unadvertised(vi_1_with(&[HERE, "192.168.224.101/24"]), "192.168.224.101");
    let mut node = Node::running(routers([("VI_1", params)]));
    assert_eq!(
        node.step(),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "on 2 hold [192.168.224.100/24 192.168.224.101/24], release []",
            "VI_1: backup -> master (no advertisement from any router for 3.609 s)",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24 192.168.224.101/24",
        ]
    );
    node.receive_advert(50);
    assert_eq!(
        node.status("VI_1").counters.address_list_differs,
        0,
        "the unadvertised address is not expected in the list"
    );
}

#[test]
fn family_without_advertised_addresses_has_no_advertisements() {
    let params = unadvertised(vi_1_with(&[HERE, "2001:db8::100/64"]), "2001:db8::100");
    // The family needs no source address either.
    let mut node = Node::mastering(routers([("VI_1", params)]));
    assert_eq!(
        node.step(),
        ["advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100"]
    );
    assert_eq!(node.engine.listeners().count(), 1);
    assert_eq!(
        node.held(),
        ["192.168.224.100/24 on 2", "2001:db8::100/64 on 2"]
    );
}

#[test]
fn own_link_local_replaces_an_unadvertised_virtual_one() {
    let params = vi_1_with(&["fe80::100/64", "2001:db8::100/64"]);
    let mut node = Node::mastering_v6(routers([("VI_1", unadvertised(params, "fe80::100"))]));
    assert_eq!(
        node.step(),
        ["advertise on 2 from fe80::12: VRID 51, priority 100, fe80::12 2001:db8::100"]
    );
}

// --- A source on any interface -----------------------------------------------------------------

#[test]
fn source_address_may_be_on_another_interface() {
    let mut node = Node::mastering(routers([("VI_1", sending_from("192.168.198.12"))]));
    assert_eq!(
        node.step(),
        ["advertise on 2 from 192.168.198.12: VRID 51, priority 100, 192.168.224.100"]
    );
    assert_eq!(node.status("VI_1").source, Some(ip("192.168.198.12")));
    // The address of the router's own interface is not its source.
    assert_eq!(node.give(removed(ETH1, own(ETH1))), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn missing_source_address_is_a_fault_until_added() {
    const LACKS: &str = "this host does not have 10.9.9.9, the address to send from";
    let mut node = Node::wired();
    let lines = only(
        "VI_1",
        node.configure(routers([("VI_1", sending_from("10.9.9.9"))])),
    );
    assert_eq!(lines, [format!("VI_1: init -> fault ({LACKS})")]);
    assert_eq!(
        only("VI_1", node.give(added(ETH2, "10.9.9.9/8", false))),
        [format!("VI_1: fault -> backup (recovered from: {LACKS})")]
    );
    node.advance(SECOND * 6);
    assert_eq!(
        only("VI_1", node.lose(removed(ETH2, "10.9.9.9/8"))),
        [format!("VI_1: master -> fault ({LACKS})")]
    );
    // The source address is added and deleted together with its interface.
    let tunnel = InterfaceIndex(7);
    node.give(Input::Link(link(tunnel, "eth7")));
    node.give(added(tunnel, "10.9.9.9/8", false));
    assert_eq!(node.state("VI_1"), State::Backup);
    node.lose(Input::LinkRemoved(tunnel));
    assert_eq!(node.state("VI_1"), State::Fault);
}

#[test]
fn source_address_applies_to_its_family_only() {
    let params = RouterParams {
        addresses: addresses(&[HERE, "2001:db8::100/64"]),
        ..sending_from("2001:db8::12")
    };
    let mut node = Node::wired();
    node.give(added(ETH2, "2001:db8::12/64", false));
    node.configure(routers([("VI_1", params)]));
    node.advance(SECOND * 6);
    assert_eq!(
        node.step(),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "advertise on 2 from 2001:db8::12: VRID 51, priority 100, 2001:db8::100",
        ]
    );
}

#[test]
fn reloaded_source_is_used_from_the_next_advertisement() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let due = node.engine.poll_timeout();
    let params = routers([("VI_1", sending_from("192.168.198.12"))]);
    assert_eq!(node.configure(params), [""; 0]);
    assert_eq!(node.engine.poll_timeout(), due);
    assert_eq!(
        node.step(),
        ["advertise on 2 from 192.168.198.12: VRID 51, priority 100, 192.168.224.100"]
    );
}

#[test]
fn owner_address_may_be_on_another_interface() {
    let params = RouterParams {
        priority: Priority::OWNER,
        ..split()
    };
    let mut node = Node::wired();
    node.give(added(ETH2, AWAY, false));
    let lines = node.configure(routers([("VI_1", params)]));
    assert_eq!(
        only("on 3", lines),
        ["on 3 hold [10.0.0.100/24], release [], sparing foreign ones"]
    );
    assert_eq!(
        node.give(removed(ETH2, AWAY))[0],
        "VI_1: repaired 10.0.0.100/24 was deleted by another program"
    );
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
