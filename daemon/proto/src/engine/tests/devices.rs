//! Interfaces with virtual MAC addresses, and the source MAC address of advertisements.

use std::sync::Arc;

use super::rig::*;
use crate::events::{Advertisement, DesiredDevice, DeviceState, Input, Link, Output};
use crate::params::{RouterParams, VirtualMac};
use crate::types::{Family, InterfaceIndex, MacAddress, State, Vrid};

/// Index of the interface with the virtual MAC address, after the kernel has made it.
const DEVICE: InterfaceIndex = InterfaceIndex(7);
const NAME: &str = "vrrp4.51.eth1";

/// The request for the interface of a master. It is repeated when the interface has changed, because what the
/// kernel sends from it may be blocked.
const UP: &str = "vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Up";

#[test]
fn virtual_mac_interface_is_up_on_a_master_only() {
    let mut node = Node::wired();
    let started = node.configure(routers([("VI_1", virtual_vi_1(true))]));
    assert!(
        started.contains(&"vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Down".to_owned()),
        "{started:?}"
    );
    node.give(Input::Link(device(false)));
    let master = node.advance(SECOND * 4);
    assert_eq!(
        master[..4],
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Up",
            "on 7 hold [192.168.224.100/24], release []",
            "VI_1: backup -> master (no advertisement from any router for 3.609 s)",
        ]
    );
    assert_eq!(
        master[4],
        "announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24"
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 7"]);
    let yielded = node.receive_advert(150);
    assert_eq!(
        yielded[1..3],
        [
            "vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Down",
            "on 7 hold [], release [192.168.224.100/24]",
        ]
    );
}

// RFC 9568 7.2 MUST: send from the virtual router MAC address
#[test]
fn advertisements_have_the_virtual_mac_address_unless_disabled() {
    let vrid = Vrid::new(51).unwrap();
    let virtual_mac = MacAddress::of_virtual_router(Family::V4, vrid);
    for (sends, expected) in [(true, Some(virtual_mac)), (false, None)] {
        let mut node = Node::running(routers([("VI_1", virtual_vi_1(sends))]));
        node.now = node.due();
        let outputs = node.take(Input::Tick);
        let Some(Output::Advertise(Advertisement { mac, .. })) = outputs.first() else {
            panic!("no advertisement: {outputs:?}");
        };
        assert_eq!(*mac, expected);
    }
}

#[test]
fn interface_of_a_master_that_changes_is_requested_again() {
    let mut node = Node::mastering(routers([("VI_1", virtual_vi_1(true))]));
    node.give(Input::Link(device(true)));
    let other = Link {
        mac: Some(MacAddress([2, 0, 0, 0, 0, 0x99])),
        ..device(true)
    };
    node.give(Input::Link(other));
    let lines = node.give(Input::Link(device(true)));
    assert!(lines.contains(&UP.to_owned()), "{lines:?}");
    assert_eq!(node.give(Input::Link(device(true))), [""; 0]);
}

// RFC 9568 8.1.2 MUST: gratuitous ARP waits until the address is on the interface
// RFC 9568 8.2.2 MUST: neighbour discovery waits until the address and the MAC address are there
#[test]
fn late_virtual_mac_interface_gets_the_addresses() {
    let mut node = Node::mastering(routers([("VI_1", virtual_vi_1(true))]));
    assert_eq!(node.state("VI_1"), State::Master);
    assert!(node.held().is_empty(), "no interface to hold it");
    assert_eq!(
        node.give(Input::Link(device(true))),
        [
            "on 7 hold [192.168.224.100/24], release []",
            "announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24",
            UP,
        ]
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 7"]);
}

#[test]
fn changed_virtual_mac_interface_is_repaired_without_a_transition() {
    let mut node = with_device();
    let up = UP.to_owned();
    assert!(node.give(Input::Link(device(false))).contains(&up));
    let changed = Link {
        mac: Some(MacAddress([2, 0, 0, 0, 0, 9])),
        ..device(true)
    };
    assert!(node.give(Input::Link(changed)).contains(&up));
    node.give(Input::Link(device(true)));
    assert!(node.give(Input::LinkRemoved(DEVICE)).contains(&up));
    assert_eq!(node.state("VI_1"), State::Master);
    assert_eq!(node.status("VI_1").counters.became_master, 1);
}

#[test]
fn rejected_device_request_is_not_repeated() {
    let mut node = with_device();
    assert!(!node.give(Input::Link(device(false))).is_empty());
    // The kernel rejects the request. Repeated events lead to no further request.
    assert_eq!(node.give(Input::Link(device(false))), [""; 0]);
    assert_eq!(node.advance(SECOND / 2), [""; 0]);
    assert_eq!(
        node.give(Input::Link(device(true))),
        ["announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24", UP]
    );
}

#[test]
fn announcement_is_repeated_once_the_interface_is_up() {
    let announced = "announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24".to_owned();
    let mut node = Node::running(routers([("VI_1", virtual_vi_1(true))]));
    node.give(Input::Link(device(false)));
    assert!(node.advance(SECOND * 4).contains(&announced));
    // The kernel rejected the request, and everything is reassessed.
    assert!(!node.give(Input::Overrun).contains(&announced));
    assert_eq!(node.give(Input::Link(device(true))), [&*announced, UP]);
    assert_eq!(
        node.give(Input::Overrun).len(),
        2,
        "device and address request"
    );
}

#[test]
fn foreign_interface_of_the_same_name_gets_no_address() {
    let foreign = || Link {
        mac: Some(MacAddress([2, 0, 0, 0, 0, 9])),
        ..device(true)
    };
    let mut node = Node::mastering(routers([("VI_1", virtual_vi_1(true))]));
    assert_eq!(node.give(Input::Link(foreign())), [UP]);
    assert!(node.held().is_empty());
    assert_eq!(node.give(Input::Overrun), [UP]);
    // The interface was made by the daemon and then changed by another program.
    assert_eq!(
        node.give(Input::Link(device(true))),
        [
            "on 7 hold [192.168.224.100/24], release []",
            "announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24",
            UP,
        ]
    );
    assert_eq!(
        node.give(Input::Link(foreign())),
        [
            "on 7 hold [], release [192.168.224.100/24], sparing foreign ones",
            UP
        ]
    );
}

// RFC 9568 6.4.2 MUST: discard frames to the virtual router MAC address
#[test]
fn virtual_mac_interface_stays_up_for_the_successor() {
    let gone = "vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Absent".to_owned();
    let mut node = with_device();
    let serves = |node: &Node| node.engine.serving_devices().next().is_some();
    assert_eq!(only("vrrp4", node.give(Input::Stop)), [""; 0]);
    assert!(serves(&node));
    assert!(node.receive_advert(90).contains(&gone));
    assert!(!serves(&node));
}

#[test]
fn virtual_mac_interface_is_deleted_with_its_router() {
    let gone = "vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Absent".to_owned();
    let mut node = with_device();
    node.give(Input::Stop);
    assert!(node.give(Input::Stop).contains(&gone));
    let mut node = with_device();
    assert!(node.configure(routers([])).contains(&gone));
    let mut node = with_device();
    let lines = node.configure(routers([("VI_1", vi_1())]));
    assert!(lines.contains(&gone), "{lines:?}");
    assert!(
        lines.contains(&"on 2 hold [192.168.224.100/24], release []".to_owned()),
        "{lines:?}"
    );
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn virtual_mac_interface_is_managed_on_a_renamed_parent() {
    let name = "vrrp4.51.eth1 (00:00:5e:00:01:33)";
    let mut node = with_device();
    let lines = node.give(Input::Link(link(ETH1, "wan")));
    assert!(lines.contains(&format!("{name} on 2: Down")), "{lines:?}");
    assert_eq!(node.state("VI_1"), State::Fault);
    let lines = node.give(Input::Link(device(true)));
    assert_eq!(lines, [""; 0], "an unchanged interface");
    node.give(Input::Link(device(false)));
    let lines = node.give(Input::Link(device(true)));
    assert_eq!(lines, [format!("{name} on nothing: Down")]);
    let lines = node.configure(routers([("VI_1", vi_1())]));
    assert!(
        lines.contains(&format!("{name} on nothing: Absent")),
        "{lines:?}"
    );
}

#[test]
fn renamed_virtual_mac_interface_keeps_no_address() {
    let mut node = with_device();
    let renamed = Link {
        name: "mine".into(),
        ..device(true)
    };
    let lines = node.give(Input::Link(renamed));
    let released = "on 7 hold [], release [192.168.224.100/24], sparing foreign ones";
    assert!(lines.contains(&released.to_owned()), "{lines:?}");
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn each_family_has_its_own() {
    let mut params = virtual_vi_1(true);
    params.addresses = addresses(&["192.168.224.100/24", "2001:db8::100/64"]);
    let mut node = Node::wired();
    node.give(added(ETH1, "fe80::12/64", false));
    let outputs = node.take(Input::Configure(routers([("VI_1", params)])));
    let devices: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Device(DesiredDevice {
                name,
                mac,
                state: DeviceState::Down,
                ..
            }) => Some(format!("{name} {mac}")),
            Output::Device(_)
            | Output::Advertise(_)
            | Output::Announce { .. }
            | Output::Kernel(_)
            | Output::Routing(_)
            | Output::Lvs(_)
            | Output::Solicit(_)
            | Output::Report(_) => None,
        })
        .collect();
    assert_eq!(
        devices[..2],
        [
            "vrrp4.51.eth1 00:00:5e:00:01:33",
            "vrrp6.51.eth1 00:00:5e:00:02:33"
        ]
    );
}

#[test]
fn backup_in_grace_sets_repaired_interface_down() {
    let mut node = with_device();
    node.give(removed(ETH1, own(ETH1)));
    node.give(Input::Link(Link {
        mac: Some(MacAddress([2, 0, 0, 0, 0, 0x99])),
        ..device(true)
    }));
    node.receive_advert(150);
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(
        node.give(Input::Link(device(true))),
        ["vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Down"]
    );
}

/// A master with the interface in its desired state.
pub(super) fn with_device() -> Node {
    let mut node = Node::running(routers([("VI_1", virtual_vi_1(true))]));
    node.give(Input::Link(device(false)));
    node.advance(SECOND * 4);
    node.give(Input::Link(device(true)));
    node
}

fn virtual_vi_1(sends: bool) -> RouterParams {
    let vrid = Vrid::new(51).unwrap();
    RouterParams {
        virtual_mac: Some(VirtualMac::new("eth1", vrid, sends)),
        ..vi_1()
    }
}

pub(super) fn device(up: bool) -> Link {
    Link {
        up,
        carrier: up,
        mac: Some(MacAddress([0, 0, 0x5e, 0, 1, 51])),
        name: Arc::from(NAME),
        ..link(DEVICE, NAME)
    }
}
