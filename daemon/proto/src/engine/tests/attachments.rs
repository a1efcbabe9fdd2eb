//! What is special about some addresses: another interface than the router's, no advertisement,
//! another form; and a source on any interface.

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

/// VI_1 that sends from an address that may be on any interface.
fn sending_from(text: &str) -> RouterParams {
    RouterParams {
        source: Some(ip(text)),
        ..vi_1()
    }
}

// --- Addresses on another interface ------------------------------------------------------------

#[test]
fn an_address_is_held_released_and_announced_on_its_own_interface() {
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
            "VI_1: backup -> master (no advertisement from anybody for 3.609 s)",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
            "announce on 3 at 02:00:00:00:00:03: 10.0.0.100/24",
        ]
    );
    assert_eq!(
        node.held(),
        ["192.168.224.100/24 on 2", "10.0.0.100/24 on 3"]
    );
    let listens: Vec<_> = node.engine.listeners().map(|(index, ..)| index).collect();
    assert_eq!(listens, [ETH1], "the protocol is spoken on one");
    assert_eq!(
        node.give(Input::Stop),
        [
            &format!("advertise on 2 from 192.168.224.12: VRID 51, priority 0, {both}"),
            "on 2 hold [], release [192.168.224.100/24]",
            "on 3 hold [], release [10.0.0.100/24]",
            "VI_1: master -> init (the daemon stops)",
        ]
    );
}

#[test]
fn the_wish_says_what_is_special_about_an_address() {
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
            | Output::Report(_) => None,
        })
        .collect();
    let [options] = &*options else {
        panic!("{options:?}")
    };
    assert_eq!((options.form.label, options.form.scope), (label, Some(253)));
}

#[test]
fn an_interface_that_carries_an_address_and_fails_is_a_fault_that_names_it() {
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
        assert_eq!(lines, [format!("VI_1: fault -> backup (over: {cause})")]);
    }
}

#[test]
fn an_interface_that_is_gone_or_renamed_is_a_fault_and_its_address_is_taken_off_where_it_was() {
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
    // It is made again with another number and no address of the host's own yet.
    let again = InterfaceIndex(7);
    assert_eq!(
        node.give(Input::Link(link(again, "eth2"))),
        [
            "on 2 hold [], release [192.168.224.100/24]".to_owned(),
            "on 7 hold [], release [10.0.0.100/24], sparing foreign ones".to_owned(),
            format!("VI_1: fault -> backup (over: {MISSING})"),
        ]
    );
    node.advance(SECOND * 6);
    assert_eq!(
        node.held(),
        ["192.168.224.100/24 on 2", "10.0.0.100/24 on 7"]
    );
}

/// The message of its removal may be late, or lost in an overrun.
#[test]
fn an_interface_that_is_made_again_takes_its_address_although_the_old_one_is_still_known() {
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
            "VI_1: fault -> backup (over: interface eth2 does not exist)",
        ]
    );
}

#[test]
fn a_new_hardware_address_is_announced_where_it_is() {
    let mut node = Node::mastering(routers([("VI_1", split())]));
    let mut moved = link(ETH2, "eth2");
    moved.mac = Some(MacAddress([2, 0, 0, 0, 0, 0x99]));
    assert_eq!(
        node.give(Input::Link(moved)),
        ["announce on 3 at 02:00:00:00:00:99: 10.0.0.100/24"]
    );
}

#[test]
fn an_interface_without_a_hardware_address_carries_addresses_that_nobody_is_told_of() {
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
fn a_deleted_address_is_put_back_on_its_own_interface_and_a_stray_taken_off_there() {
    let mut node = Node::mastering(routers([("VI_1", split())]));
    let lines = node.give(removed(ETH2, AWAY));
    assert_eq!(lines[0], "VI_1: repaired 10.0.0.100/24");
    assert_eq!(
        lines[3..],
        ["announce on 3 at 02:00:00:00:00:03: 10.0.0.100/24"]
    );
    // The same address elsewhere is none of its business.
    assert_eq!(node.give(removed(ETH1, AWAY)), [""; 0]);

    let mut node = Node::running(routers([("VI_1", split())]));
    assert_eq!(
        node.give(added(ETH2, AWAY, false))[0],
        "VI_1: stray 10.0.0.100/24"
    );
    assert_eq!(node.give(added(ETH1, AWAY, false)), [""; 0]);
}

#[test]
fn a_reload_moves_an_address_from_one_interface_to_another_without_a_transition() {
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
fn a_reload_that_moves_an_address_to_an_interface_that_is_missing_is_a_fault_that_leaves_nothing() {
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
fn an_address_that_moves_to_another_router_and_interface_leaves_the_old_one() {
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
fn a_reload_that_changes_the_form_of_an_address_asks_for_it_anew_and_disturbs_nobody() {
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
fn the_last_foreign_address_of_another_interface_is_left_alone_there() {
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
    // With an address of the host's own beside it, it is a stray like any other.
    assert_eq!(
        only("on 3", node.give(added(ETH2, own(ETH2), false))),
        ["on 3 hold [], release [10.0.0.100/24]"]
    );
}

// --- Addresses that are not advertised ---------------------------------------------------------

#[test]
fn an_address_that_is_not_advertised_is_held_and_announced_nevertheless() {
    let params = unadvertised(vi_1_with(&[HERE, "192.168.224.101/24"]), "192.168.224.101");
    let mut node = Node::running(routers([("VI_1", params)]));
    assert_eq!(
        node.step(),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "on 2 hold [192.168.224.100/24 192.168.224.101/24], release []",
            "VI_1: backup -> master (no advertisement from anybody for 3.609 s)",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24 192.168.224.101/24",
        ]
    );
    node.hear(50);
    assert_eq!(
        node.status("VI_1").counters.address_list_differs,
        0,
        "nobody is to list it"
    );
}

#[test]
fn a_family_of_which_nothing_is_advertised_is_not_spoken() {
    let params = unadvertised(vi_1_with(&[HERE, "2001:db8::100/64"]), "2001:db8::100");
    // Nor does it need an address to send from.
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
fn a_virtual_link_local_address_that_is_not_advertised_leaves_the_first_place_to_the_own_one() {
    let params = vi_1_with(&["fe80::100/64", "2001:db8::100/64"]);
    let mut node = Node::mastering_v6(routers([("VI_1", unadvertised(params, "fe80::100"))]));
    assert_eq!(
        node.step(),
        ["advertise on 2 from fe80::12: VRID 51, priority 100, fe80::12 2001:db8::100"]
    );
}

// --- A source on any interface -----------------------------------------------------------------

#[test]
fn a_router_sends_from_an_address_of_another_interface() {
    let mut node = Node::mastering(routers([("VI_1", sending_from("192.168.198.12"))]));
    assert_eq!(
        node.step(),
        ["advertise on 2 from 192.168.198.12: VRID 51, priority 100, 192.168.224.100"]
    );
    assert_eq!(node.status("VI_1").source, Some(ip("192.168.198.12")));
    // The address of its own interface does not concern it.
    assert_eq!(node.give(removed(ETH1, own(ETH1))), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn a_source_that_the_host_does_not_have_is_a_fault_until_it_comes_and_when_it_goes() {
    const LACKS: &str = "this host does not have 10.9.9.9, the address to send from";
    let mut node = Node::wired();
    let lines = only(
        "VI_1",
        node.configure(routers([("VI_1", sending_from("10.9.9.9"))])),
    );
    assert_eq!(lines, [format!("VI_1: init -> fault ({LACKS})")]);
    assert_eq!(
        only("VI_1", node.give(added(ETH2, "10.9.9.9/8", false))),
        [format!("VI_1: fault -> backup (over: {LACKS})")]
    );
    node.advance(SECOND * 6);
    assert_eq!(
        only("VI_1", node.lose(removed(ETH2, "10.9.9.9/8"))),
        [format!("VI_1: master -> fault ({LACKS})")]
    );
    // It comes with an interface, and goes with it.
    let tunnel = InterfaceIndex(7);
    node.give(Input::Link(link(tunnel, "eth7")));
    node.give(added(tunnel, "10.9.9.9/8", false));
    assert_eq!(node.state("VI_1"), State::Backup);
    node.lose(Input::LinkRemoved(tunnel));
    assert_eq!(node.state("VI_1"), State::Fault);
}

#[test]
fn a_source_is_that_of_its_family_alone() {
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
fn a_reload_of_the_source_counts_from_the_next_advertisement_on() {
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
fn an_owners_address_may_be_on_another_interface() {
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
        "VI_1: repaired 10.0.0.100/24"
    );
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
