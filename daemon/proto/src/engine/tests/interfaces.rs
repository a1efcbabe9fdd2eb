//! Interfaces that appear, disappear, or change their name, index or address.

use core::net::IpAddr;

use super::rig::*;
use crate::events::{Advertisement, Input, Link, Output};
use crate::params::{Effect, TrackerKind, TrackerParams};
use crate::types::{InterfaceIndex, MacAddress, State};

#[test]
fn each_interface_fault_is_named_until_it_ends() {
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
            "interface eth1 has no non-virtual IPv4 address to send from",
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
            "VI_1: fault -> backup (recovered from: interface eth1 has no non-virtual IPv4 address \
             to send from)",
        ]
    );
    assert_eq!(
        node.status("VI_1").source,
        Some(IpAddr::from([192, 168, 224, 12]))
    );
}

#[test]
fn alternative_name_is_a_fault_that_names_the_interface() {
    let missing = "interface eth1 does not exist";
    let other = "eth1 is an alternative name (altname) of the interface enp2s1: configure enp2s1";
    let mut node = Node::empty();
    node.configure(routers([("VI_1", vi_1())]));
    let plain = link(ETH1, "enp2s1");
    let mut with_name = plain.clone();
    with_name.alternative_names = ["enx0200".into(), "eth1".into()].into();
    for (input, cause) in [
        (Input::Link(plain.clone()), missing),
        (Input::Link(with_name.clone()), other),
        (Input::Link(plain), missing),
        (Input::Link(with_name), other),
        (Input::LinkRemoved(ETH1), missing),
    ] {
        node.give(input);
        assert_eq!(node.state("VI_1"), State::Fault);
        assert_eq!(&*node.status("VI_1").cause, cause);
    }
    // A real interface of that name comes before the alternative name.
    node.give(Input::Link(link(ETH1, "eth1")));
    assert_eq!(
        &*node.status("VI_1").cause,
        "interface eth1 has no non-virtual IPv4 address to send from"
    );
}

#[test]
fn bridge_port_is_a_fault_that_names_the_bridge() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let mut port = link(ETH1, "eth1");
    port.port_of = Some(InterfaceIndex(9));
    node.give(Input::Link(port.clone()));
    assert_eq!(node.state("VI_1"), State::Fault);
    let cause = |of| {
        format!(
            "interface eth1 is a port of {of}, which receives its packets: configure {of} \
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
fn interface_tracker_accepts_a_bridge_port_with_carrier() {
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
fn start_in_fault_releases_leftover_addresses() {
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
fn last_address_of_an_interface_is_spared() {
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, "192.168.224.100/24", false));
    assert_eq!(
        node.configure(routers([("VI_1", vi_1())])),
        [
            "on 2 hold [], release [192.168.224.100/24], sparing foreign ones",
            "VI_1: init -> fault (interface eth1 has no address but 192.168.224.100/24, which \
             this daemon did not add: give the host an address of its own, or set priority 255 if \
             it owns this address)",
        ]
    );
    // Beside an own address of the host it is a stray address.
    assert_eq!(
        node.give(added(ETH1, own(ETH1), false))[0],
        "on 2 hold [], release [192.168.224.100/24]"
    );
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn virtual_address_added_to_an_empty_interface_is_spared() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.lose(removed(ETH1, own(ETH1)));
    assert_eq!(node.give(added(ETH1, "192.168.224.100/24", false)), [""; 0]);
    assert_eq!(node.status("VI_1").counters.strays, 0);
    assert!(
        node.status("VI_1")
            .cause
            .contains("no address but 192.168.224.100/24")
    );
}

#[test]
fn spared_address_is_released_once_another_exists() {
    let mut params = routers([("VI_1", vi_1())]);
    params.trackers.insert("check".into(), probed(1, 1));
    let router = params.routers.get_mut("VI_1").unwrap();
    router.tracks = vec![tracked("check", Effect::Fault)];
    let mut node = Node::running(params);
    node.give(removed(ETH1, own(ETH1)));
    node.give(added(ETH1, "192.168.224.100/24", false));
    // The tracker keeps it in fault, whatever its addresses are.
    node.probe("check", false);
    let lines = node.give(added(ETH1, "192.168.224.7/24", false));
    assert_eq!(lines, ["on 2 hold [], release [192.168.224.100/24]"]);
    assert_eq!(node.give(added(ETH1, "192.168.224.8/24", false)), [""; 0]);
}

#[test]
fn address_spared_in_fault_is_released_once_another_exists() {
    let mut params = routers([("VI_1", vi_1())]);
    params.trackers.insert("check".into(), probed(1, 1));
    let router = params.routers.get_mut("VI_1").unwrap();
    router.tracks = vec![tracked("check", Effect::Fault)];
    let mut node = Node::running(params);
    // No request to the kernel since then.
    node.probe("check", false);
    node.give(removed(ETH1, own(ETH1)));
    assert_eq!(node.give(added(ETH1, "192.168.224.100/24", false)), [""; 0]);
    let lines = node.give(added(ETH1, "192.168.224.7/24", false));
    assert_eq!(lines, ["on 2 hold [], release [192.168.224.100/24]"]);
    assert_eq!(node.give(added(ETH1, "192.168.224.8/24", false)), [""; 0]);
}

#[test]
fn carrier_loss_is_a_fault_and_recovery_a_backup() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let mut unplugged = link(ETH1, "eth1");
    unplugged.carrier = false;
    assert_eq!(
        node.lose(Input::Link(unplugged)),
        [
            // The resignation is lost without a carrier, which does no harm.
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
            "VI_1: fault -> backup (recovered from: interface eth1 has no carrier)",
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
fn events_of_unused_interfaces_are_ignored() {
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
fn renamed_interface_releases_its_virtual_addresses() {
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
            "VI_1: fault -> backup (recovered from: interface eth1 does not exist)",
        ]
    );
}

#[test]
fn recreated_interface_is_used_by_its_new_index() {
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

/// The RTM_DELLINK message may be late, or lost in an overrun.
#[test]
fn recreated_interface_is_used_before_the_old_is_removed() {
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
fn source_address_is_kept_while_it_exists() {
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
    assert_eq!(
        source(&node),
        "192.168.224.5",
        "the former source is not restored"
    );
    assert_eq!(node.due(), due);
    assert_eq!(
        node.step(),
        ["advertise on 2 from 192.168.224.5: VRID 51, priority 100, 192.168.224.100"]
    );
    // The tie-break uses the new source too: 192.168.224.11 was below .12 and is above .5.
    node.receive_advert(100);
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn checksum_covers_the_current_source_address() {
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
fn new_mac_address_is_announced_by_a_master() {
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
fn deletion_of_the_last_own_address_is_a_fault() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        only("VI_1", node.lose(removed(ETH1, own(ETH1)))),
        ["VI_1: master -> fault (interface eth1 has no non-virtual IPv4 address to send from)"]
    );
}
