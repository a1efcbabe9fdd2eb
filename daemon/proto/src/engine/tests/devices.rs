//! Virtual MAC addresses: the interfaces that bear them, and what is sent from them.

use std::sync::Arc;

use super::rig::*;
use crate::events::{Advertisement, DesiredDevice, DeviceState, Input, Link, Output};
use crate::params::{RouterParams, VirtualMac};
use crate::types::{Family, InterfaceIndex, MacAddress, State, Vrid};

/// The interface with the virtual MAC address, once the kernel has made it.
const DEVICE: InterfaceIndex = InterfaceIndex(7);
const NAME: &str = "vrrp4.51.eth1";

#[test]
fn its_interface_is_made_at_once_and_up_on_a_master_alone() {
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
            "VI_1: backup -> master (no advertisement from anybody for 3.609 s)",
        ]
    );
    assert_eq!(
        master[4],
        "announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24"
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 7"]);
    let yielded = node.hear(150);
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
fn advertisements_leave_from_the_virtual_mac_address_unless_told_otherwise() {
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
fn a_master_whose_interface_comes_late_puts_its_addresses_there_then() {
    let mut node = Node::mastering(routers([("VI_1", virtual_vi_1(true))]));
    assert_eq!(node.state("VI_1"), State::Master);
    assert!(node.held().is_empty(), "there is nowhere to hold it");
    assert_eq!(
        node.give(Input::Link(device(true))),
        [
            "on 7 hold [192.168.224.100/24], release []",
            "announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24",
        ]
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 7"]);
}

#[test]
fn what_somebody_does_to_its_interface_is_mended_without_a_transition() {
    let mut node = with_device();
    let up = "vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Up".to_owned();
    assert!(node.give(Input::Link(device(false))).contains(&up));
    let strange = Link {
        mac: Some(MacAddress([2, 0, 0, 0, 0, 9])),
        ..device(true)
    };
    assert!(node.give(Input::Link(strange)).contains(&up));
    node.give(Input::Link(device(true)));
    assert!(node.give(Input::LinkRemoved(DEVICE)).contains(&up));
    assert_eq!(node.state("VI_1"), State::Master);
    assert_eq!(node.status("VI_1").counters.became_master, 1);
}

#[test]
fn what_is_not_done_is_not_asked_for_again_and_again() {
    let mut node = with_device();
    assert!(!node.give(Input::Link(device(false))).is_empty());
    // Somebody refuses. The kernel tells the same again, and whatever else it has to tell.
    assert_eq!(node.give(Input::Link(device(false))), [""; 0]);
    assert_eq!(node.advance(SECOND / 2), [""; 0]);
    assert_eq!(
        node.give(Input::Link(device(true))),
        ["announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24"]
    );
}

#[test]
fn what_was_announced_on_an_interface_that_could_not_be_set_up_is_announced_when_it_is_up() {
    let announced = "announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24".to_owned();
    let mut node = Node::running(routers([("VI_1", virtual_vi_1(true))]));
    node.give(Input::Link(device(false)));
    assert!(node.advance(SECOND * 4).contains(&announced));
    // The kernel refused, and everything is looked at again.
    assert!(!node.give(Input::Overrun).contains(&announced));
    assert_eq!(node.give(Input::Link(device(true))), [&*announced]);
    assert_eq!(node.give(Input::Overrun).len(), 2, "the wishes");
}

#[test]
fn an_interface_of_its_name_with_another_address_gets_nothing() {
    let stranger = || Link {
        mac: Some(MacAddress([2, 0, 0, 0, 0, 9])),
        ..device(true)
    };
    let mut node = Node::mastering(routers([("VI_1", virtual_vi_1(true))]));
    let up = "vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Up";
    assert_eq!(node.give(Input::Link(stranger())), [up]);
    assert!(node.held().is_empty());
    assert_eq!(node.give(Input::Overrun), [up]);
    // It was ours, and meddled with.
    assert_eq!(
        node.give(Input::Link(device(true))),
        [
            "on 7 hold [192.168.224.100/24], release []",
            "announce on 7 at 00:00:5e:00:01:33: 192.168.224.100/24",
        ]
    );
    assert_eq!(
        node.give(Input::Link(stranger())),
        [
            "on 7 hold [], release [192.168.224.100/24], sparing foreign ones",
            up
        ]
    );
}

#[test]
fn it_goes_when_the_router_stops_or_does_without() {
    let gone = "vrrp4.51.eth1 (00:00:5e:00:01:33) on 2: Absent".to_owned();
    let mut node = with_device();
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
fn under_an_interface_that_got_another_name_it_is_down_or_goes_all_the_same() {
    let name = "vrrp4.51.eth1 (00:00:5e:00:01:33)";
    let mut node = with_device();
    let lines = node.give(Input::Link(link(ETH1, "wan")));
    assert!(lines.contains(&format!("{name} on 2: Down")), "{lines:?}");
    assert_eq!(node.state("VI_1"), State::Fault);
    let lines = node.give(Input::Link(device(true)));
    assert_eq!(lines, [""; 0], "nothing new");
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
fn one_that_got_another_name_keeps_no_address() {
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

/// A master whose interface is as it should be.
fn with_device() -> Node {
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

fn device(up: bool) -> Link {
    Link {
        up,
        carrier: up,
        mac: Some(MacAddress([0, 0, 0x5e, 0, 1, 51])),
        name: Arc::from(NAME),
        ..link(DEVICE, NAME)
    }
}
