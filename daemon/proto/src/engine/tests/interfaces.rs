//! Interfaces that are missing, come, go, and change their name, number or address.

use core::net::IpAddr;

use super::rig::*;
use crate::events::{Advertisement, Input, Link, Output};
use crate::params::{Effect, TrackerKind, TrackerParams};
use crate::types::{InterfaceIndex, MacAddress, State};

#[test]
fn each_thing_that_an_interface_lacks_is_named_until_it_is_there() {
    let mut node = Node::empty();
    assert_eq!(
        node.configure(routers([("VI_1", vi_1())])),
        ["VI_1: init -> fault (interface eth1 does not exist)"]
    );
    let whole = link(ETH1, "eth1");
    let mut down = whole.clone();
    (down.up, down.carrier, down.mac) = (false, false, None);
    let mut unplugged = down.clone();
    unplugged.up = true;
    let mut tunnel = unplugged.clone();
    tunnel.carrier = true;
    for (link, cause) in [
        (down, "interface eth1 is down"),
        (unplugged, "interface eth1 has no carrier"),
        (tunnel, "interface eth1 is not an Ethernet interface"),
        (
            whole,
            "interface eth1 has no IPv4 address of its own to send from",
        ),
    ] {
        assert_eq!(only("VI_1", node.give(Input::Link(link))), [""; 0]);
        assert_eq!(node.state("VI_1"), State::Fault);
        assert_eq!(&*node.status("VI_1").cause, cause);
        assert_eq!(node.engine.poll_timeout(), None);
    }
    assert_eq!(
        node.give(added(ETH1, own(ETH1), false)),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: fault -> backup (over: interface eth1 has no IPv4 address of its own to send \
             from)",
        ]
    );
    assert_eq!(
        node.status("VI_1").source,
        Some(IpAddr::from([192, 168, 224, 12]))
    );
}

#[test]
fn a_port_of_a_bridge_is_deaf_and_the_bridge_is_named() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let mut port = link(ETH1, "eth1");
    port.port_of = Some(InterfaceIndex(9));
    node.give(Input::Link(port.clone()));
    assert_eq!(node.state("VI_1"), State::Fault);
    let cause = |of| {
        format!(
            "interface eth1 is a port of {of}, which receives what comes in there: configure {of} \
             instead"
        )
    };
    assert_eq!(*node.status("VI_1").cause, cause("interface 9"));
    node.give(Input::Link(link(InterfaceIndex(9), "br0")));
    node.give(Input::Link(Link {
        up: false,
        ..port.clone()
    }));
    node.give(Input::Link(port));
    assert_eq!(*node.status("VI_1").cause, cause("br0"));
    node.give(Input::Link(link(ETH1, "eth1")));
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn a_tracker_of_a_port_goes_by_its_carrier() {
    let mut params = routers([("VI_1", vi_1())]);
    let kind = TrackerKind::Interface {
        name: "eth2".into(),
    };
    params
        .trackers
        .insert("uplink".into(), TrackerParams::new(kind));
    let router = params.routers.get_mut("VI_1").unwrap();
    router.tracks = vec![tracked("uplink", Effect::Fault)];
    let mut node = Node::running(params);
    let mut port = link(ETH2, "eth2");
    port.port_of = Some(InterfaceIndex(9));
    node.give(Input::Link(port));
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn a_start_with_an_obstacle_releases_what_an_earlier_daemon_left() {
    let mut node = Node::empty();
    let mut unplugged = link(ETH1, "eth1");
    unplugged.carrier = false;
    node.give(Input::Link(unplugged));
    node.give(added(ETH1, own(ETH1), false));
    assert_eq!(
        node.configure(routers([("VI_1", vi_1())])),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: init -> fault (interface eth1 has no carrier)",
        ]
    );
}

#[test]
fn the_last_address_of_an_interface_is_left_alone_although_it_is_configured_as_virtual() {
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, "192.168.224.100/24", false));
    assert_eq!(
        node.configure(routers([("VI_1", vi_1())])),
        [
            "on 2 hold [], release [192.168.224.100/24], sparing foreign ones",
            "VI_1: init -> fault (interface eth1 has no address beside 192.168.224.100/24, which \
             this daemon did not put there: a host needs one of its own, or priority 255 if it \
             owns this one)",
        ]
    );
    // With an address of the host's own beside it, it is a stray like any other.
    assert_eq!(
        node.give(added(ETH1, own(ETH1), false))[0],
        "on 2 hold [], release [192.168.224.100/24]"
    );
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn a_virtual_address_that_comes_to_an_interface_without_any_is_left_alone() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.lose(removed(ETH1, own(ETH1)));
    assert_eq!(node.give(added(ETH1, "192.168.224.100/24", false)), [""; 0]);
    assert_eq!(node.status("VI_1").counters.strays, 0);
    assert!(
        node.status("VI_1")
            .cause
            .contains("no address beside 192.168.224.100/24")
    );
}

#[test]
fn what_was_left_alone_leaves_when_the_host_has_another_address() {
    let mut params = routers([("VI_1", vi_1())]);
    params.trackers.insert("check".into(), probed(1, 1));
    let router = params.routers.get_mut("VI_1").unwrap();
    router.tracks = vec![tracked("check", Effect::Fault)];
    let mut node = Node::running(params);
    node.give(removed(ETH1, own(ETH1)));
    node.give(added(ETH1, "192.168.224.100/24", false));
    // It stays in fault, whatever its addresses.
    node.probe("check", false);
    let lines = node.give(added(ETH1, "192.168.224.7/24", false));
    assert_eq!(lines, ["on 2 hold [], release [192.168.224.100/24]"]);
    assert_eq!(node.give(added(ETH1, "192.168.224.8/24", false)), [""; 0]);
}

#[test]
fn what_is_left_alone_in_fault_leaves_when_the_host_has_another_address() {
    let mut params = routers([("VI_1", vi_1())]);
    params.trackers.insert("check".into(), probed(1, 1));
    let router = params.routers.get_mut("VI_1").unwrap();
    router.tracks = vec![tracked("check", Effect::Fault)];
    let mut node = Node::running(params);
    // Since then nothing was wanted of the kernel.
    node.probe("check", false);
    node.give(removed(ETH1, own(ETH1)));
    assert_eq!(node.give(added(ETH1, "192.168.224.100/24", false)), [""; 0]);
    let lines = node.give(added(ETH1, "192.168.224.7/24", false));
    assert_eq!(lines, ["on 2 hold [], release [192.168.224.100/24]"]);
    assert_eq!(node.give(added(ETH1, "192.168.224.8/24", false)), [""; 0]);
}

#[test]
fn a_pulled_cable_is_fault_and_a_plugged_one_begins_with_listening() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let mut unplugged = link(ETH1, "eth1");
    unplugged.carrier = false;
    assert_eq!(
        node.lose(Input::Link(unplugged)),
        [
            // Nobody hears it, which does not matter.
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: master -> fault (interface eth1 has no carrier)",
        ]
    );
    assert_eq!(node.engine.listeners().count(), 0);
    assert_eq!(node.engine.poll_timeout(), None);
    node.sleep(SECOND * 60);
    assert_eq!(
        node.give(Input::Link(link(ETH1, "eth1"))),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: fault -> backup (over: interface eth1 has no carrier)",
        ]
    );
    assert_eq!(node.due().since(node.now).as_nanos(), 3_609_375_000);
}

#[test]
fn a_repeated_link_or_address_changes_nothing() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let due = node.engine.poll_timeout();
    assert_eq!(node.give(Input::Link(link(ETH1, "eth1"))), [""; 0]);
    assert_eq!(node.give(added(ETH1, own(ETH1), false)), [""; 0]);
    assert_eq!(node.give(added(ETH1, "192.168.224.100/24", true)), [""; 0]);
    assert_eq!(node.engine.poll_timeout(), due);
}

#[test]
fn other_interfaces_concern_nobody() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(node.give(Input::LinkRemoved(ETH2)), [""; 0]);
    assert_eq!(node.give(Input::LinkRemoved(InterfaceIndex(99))), [""; 0]);
    assert_eq!(
        node.give(added(InterfaceIndex(99), "10.0.0.1/8", false)),
        [""; 0]
    );
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn an_interface_that_is_renamed_away_takes_its_virtual_addresses_off() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        node.give(Input::Link(link(ETH1, "lan"))),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: master -> fault (interface eth1 does not exist)",
        ]
    );
    assert_eq!(
        node.give(Input::Link(link(ETH1, "eth1"))),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: fault -> backup (over: interface eth1 does not exist)",
        ]
    );
}

#[test]
fn an_interface_that_is_made_again_is_used_by_its_new_number() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let again = InterfaceIndex(7);
    assert_eq!(
        only("VI_1", node.lose(Input::LinkRemoved(ETH1))),
        ["VI_1: master -> fault (interface eth1 does not exist)"]
    );
    node.give(Input::Link(link(again, "eth1")));
    node.give(added(again, own(ETH1), false));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(
        node.engine
            .listeners()
            .map(|(index, ..)| index)
            .collect::<Vec<_>>(),
        [again]
    );
    let lines = node.step();
    assert_eq!(
        lines[0..2],
        [
            "advertise on 7 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "on 7 hold [192.168.224.100/24], release []",
        ]
    );
}

/// The message of its removal may be late, or lost in an overrun.
#[test]
fn an_interface_that_is_made_again_is_used_although_the_old_one_is_still_known() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let again = InterfaceIndex(7);
    let lines = node.give(Input::Link(link(again, "eth1")));
    assert!(
        lines.contains(&"on 2 hold [], release [192.168.224.100/24]".to_owned()),
        "{lines:?}"
    );
    assert_eq!(node.state("VI_1"), State::Fault);
    node.give(added(again, own(ETH1), false));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(node.give(Input::LinkRemoved(ETH1)), [""; 0]);
    assert_eq!(
        node.engine
            .listeners()
            .map(|(index, ..)| index)
            .collect::<Vec<_>>(),
        [again]
    );
}

// RFC 9568 7.2 MUST: send from the interface's primary IPv4 address
#[test]
fn the_source_stays_as_long_as_it_is_there() {
    let source = |node: &Node| node.status("VI_1").source.unwrap().to_string();
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(added(ETH1, "192.168.224.5/24", false));
    assert_eq!(source(&node), "192.168.224.12");
    let due = node.due();
    assert_eq!(
        node.give(removed(ETH1, "192.168.224.12/24")),
        [""; 0],
        "no transition"
    );
    assert_eq!(source(&node), "192.168.224.5");
    node.give(added(ETH1, "192.168.224.12/24", false));
    assert_eq!(source(&node), "192.168.224.5", "nor does it go back");
    assert_eq!(node.due(), due);
    assert_eq!(
        node.step(),
        ["advertise on 2 from 192.168.224.5: VRID 51, priority 100, 192.168.224.100"]
    );
    // Ties are broken by it too: 192.168.224.11 was below .12 and is above .5.
    node.hear(100);
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn a_checksum_is_made_for_the_address_that_is_sent_from() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(added(ETH1, "192.168.224.5/24", false));
    node.give(removed(ETH1, "192.168.224.12/24"));
    node.now = node.due();
    let sent = node.take(Input::Tick);
    let Output::Advertise(Advertisement { message, .. }) = &sent[0] else {
        panic!("{sent:?}")
    };
    let mut other = Node::wired();
    other.configure(routers([("VI_1", vi_1())]));
    assert_eq!(
        other.receive(ETH1, "192.168.224.5".parse::<IpAddr>().unwrap(), message),
        [""; 0]
    );
    assert_eq!(
        other.status("VI_1").counters.checksums_with_pseudo_header,
        1
    );
}

#[test]
fn a_new_hardware_address_is_announced_by_a_master() {
    let mut moved = link(ETH1, "eth1");
    moved.mac = Some(MacAddress([2, 0, 0, 0, 0, 0x99]));
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.give(Input::Link(moved.clone())),
        ["announce on 2 at 02:00:00:00:00:99: 192.168.224.100/24"]
    );
    assert_eq!(node.engine.poll_timeout(), due);
    let mut backup = Node::running(routers([("VI_1", vi_1())]));
    assert_eq!(backup.give(Input::Link(moved)), [""; 0]);
}

#[test]
fn the_loss_of_the_last_own_address_is_fault() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        only("VI_1", node.lose(removed(ETH1, own(ETH1)))),
        ["VI_1: master -> fault (interface eth1 has no IPv4 address of its own to send from)"]
    );
}
