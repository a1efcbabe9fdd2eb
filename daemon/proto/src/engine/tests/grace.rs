//! Grace: an interface or an address that is missing for a moment.

use core::time::Duration;

use super::rig::*;
use crate::events::{Input, Link};
use crate::params::{Effect, GroupParams, RouterParams};
use crate::reasons::{Due, Loss};
use crate::routing::Routed;
use crate::types::{AdvertInterval, InterfaceIndex, Priority, State};

const MISSED: &str = "interface eth1 has no non-virtual IPv4 address to send from";

fn milliseconds(span: u64) -> Duration {
    Duration::from_millis(span)
}

fn cable(plugged: bool) -> Input<'static> {
    Input::Link(Link {
        carrier: plugged,
        ..link(ETH1, "eth1")
    })
}

/// Returns the grace of a router with this interval.
fn grace_of(centiseconds: u16) -> Duration {
    let params = RouterParams {
        interval: AdvertInterval::from_centiseconds(centiseconds).unwrap(),
        ..vi_1()
    };
    let mut node = Node::running(routers([("VI_1", params)]));
    node.give(cable(false));
    let (until, why) = node.engine.poll_timeout().unwrap();
    assert_eq!(why, Due::Grace);
    until.since(node.now)
}

#[test]
fn source_replaced_within_5_ms_keeps_the_master() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(node.give(removed(ETH1, own(ETH1))), [""; 0]);
    assert_eq!(
        &*node.status("VI_1").cause,
        format!("{MISSED}: fault in 0.500 s")
    );
    node.sleep(milliseconds(5));
    assert_eq!(
        node.give(added(ETH1, "192.168.224.21/24", false)),
        [
            format!("VI_1: no fault: {MISSED}, for 5ms"),
            "on 2 hold [192.168.224.100/24], release []".to_owned(),
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24".to_owned(),
        ]
    );
    let status = node.status("VI_1");
    assert_eq!((status.state, status.fault_in), (State::Master, None));
    assert_eq!(status.counters.interruptions, 1);
    assert_eq!(
        node.step()[0],
        "advertise on 2 from 192.168.224.21: VRID 51, priority 100, 192.168.224.100"
    );
}

#[test]
fn interrupted_master_announces_again_as_after_a_take_over() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.advance(Duration::from_secs(10));
    node.give(cable(false));
    node.sleep(milliseconds(5));
    node.give(cable(true));
    let announced = |outputs: Vec<String>| outputs.iter().any(|o| o.starts_with("announce "));
    let delay = vi_1().announce.delay;
    assert!(!announced(node.advance(delay - milliseconds(1))));
    assert!(announced(node.advance(milliseconds(1))));
}

#[test]
fn brief_carrier_loss_keeps_the_backup_and_its_timer() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let due = node.engine.poll_timeout();
    assert_eq!(node.give(cable(false)), [""; 0]);
    node.sleep(milliseconds(400));
    assert_eq!(
        node.give(cable(true)),
        ["VI_1: no fault: interface eth1 has no carrier, for 400ms"]
    );
    assert_eq!(node.engine.poll_timeout(), due);
}

#[test]
fn recreated_interface_keeps_the_master() {
    let again = InterfaceIndex(7);
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        node.give(Input::LinkRemoved(ETH1)),
        ["on 2 hold [], release [192.168.224.100/24], sparing foreign ones"]
    );
    assert_eq!(node.engine.held().count(), 0);
    assert_eq!(node.engine.listeners().count(), 0);
    node.sleep(milliseconds(30));
    assert_eq!(
        only("VI_1", node.give(Input::Link(link(again, "eth1")))),
        [""; 0]
    );
    let lines = node.give(added(again, own(ETH1), false));
    for line in [
        "on 7 hold [192.168.224.100/24], release []",
        "announce on 7 at 02:00:00:00:00:07: 192.168.224.100/24",
    ] {
        let count = lines.iter().filter(|l| *l == line).count();
        assert!(count >= 1, "{lines:?}");
    }
    assert_eq!(node.state("VI_1"), State::Master);
    let listeners = node.engine.listeners().map(|(index, ..)| index);
    assert_eq!(listeners.collect::<Vec<_>>(), [again]);
}

#[test]
fn grace_is_half_an_interval_up_to_500_ms() {
    let graces = [1, 10, 100, 4095].map(grace_of);
    assert_eq!(graces, [5, 50, 500, 500].map(milliseconds));
}

#[test]
fn reload_does_not_change_the_grace() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(cable(false));
    let params = RouterParams {
        interval: AdvertInterval::from_centiseconds(10).unwrap(),
        ..vi_1()
    };
    node.configure(routers([("VI_1", params)]));
    assert_eq!(node.status("VI_1").fault_in, Some(0.5));
}

#[test]
fn address_missing_after_the_grace_is_a_fault() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(node.give(removed(ETH1, own(ETH1))), [""; 0]);
    assert_eq!(
        only("VI_1", node.advance(milliseconds(500))),
        [format!("VI_1: master -> fault ({MISSED})")]
    );
    let counters = node.status("VI_1").counters;
    assert_eq!((counters.interruptions, counters.resignations_sent), (0, 1));
}

/// Another fault reason during the grace begins no new grace.
#[test]
fn grace_is_not_extended_by_a_second_fault() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(removed(ETH1, own(ETH1)));
    node.sleep(milliseconds(300));
    assert_eq!(node.give(cable(false)), [""; 0]);
    assert_eq!(only("VI_1", node.advance(milliseconds(199))), [""; 0]);
    assert_eq!(
        only("VI_1", node.advance(milliseconds(1))),
        ["VI_1: master -> fault (interface eth1 has no carrier)"]
    );
}

/// The backup may have missed the master's last advertisements.
#[test]
fn take_over_due_in_the_grace_is_a_fault() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.now = node.due() - milliseconds(100);
    assert_eq!(node.give(cable(false)), [""; 0]);
    assert_eq!(
        only("VI_1", node.advance(milliseconds(100))),
        ["VI_1: backup -> fault (interface eth1 has no carrier)"]
    );
}

#[test]
fn tracker_fault_in_the_grace_takes_effect_at_once() {
    let following = RouterParams {
        tracks: vec![tracked("check", Effect::Fault)],
        ..vi_1()
    };
    let mut params = routers([("VI_1", following)]);
    params.trackers.insert("check".into(), probed(1, 1));
    let mut node = Node::running(params);
    node.probe("check", true);
    node.advance(SECOND * 6);
    node.give(removed(ETH1, own(ETH1)));
    assert_eq!(node.state("VI_1"), State::Master);
    node.probe("check", false);
    assert_eq!(node.state("VI_1"), State::Fault);
}

#[test]
fn bridge_port_is_a_fault_without_grace() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let port = Link {
        port_of: Some(ETH2),
        ..link(ETH1, "eth1")
    };
    node.give(Input::Link(port));
    assert_eq!(node.state("VI_1"), State::Fault);
}

#[test]
fn group_changes_to_fault_when_the_grace_ends() {
    let mut params = routers([("VI_1", vi_1()), ("VI_2", vi_2())]);
    let members = ["VI_1", "VI_2"].map(Into::into).to_vec();
    let tracks = Vec::new();
    params
        .groups
        .insert("VG_1".into(), GroupParams { members, tracks });
    let mut node = Node::mastering(params);
    let states = |node: &Node| ["VI_1", "VI_2"].map(|name| node.state(name));
    node.give(cable(false));
    node.sleep(milliseconds(10));
    node.give(cable(true));
    assert_eq!(states(&node), [State::Master; 2]);
    node.lose(cable(false));
    assert_eq!(states(&node), [State::Fault; 2]);
}

#[test]
fn reload_to_a_missing_source_has_no_grace() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let params = RouterParams {
        source: Some("10.9.9.9".parse().unwrap()),
        ..vi_1()
    };
    node.configure(routers([("VI_1", params)]));
    assert_eq!(node.state("VI_1"), State::Fault);
}

/// Another program adds a virtual address while the host has no own address, all during a grace.
#[test]
fn spared_address_is_released_during_the_grace() {
    const VIRTUAL: &str = "192.168.224.100/24";
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.give(cable(false));
    node.give(removed(ETH1, own(ETH1)));
    assert_eq!(node.give(added(ETH1, VIRTUAL, false)), [""; 0]);
    assert_eq!(
        node.give(added(ETH1, own(ETH1), false)),
        [format!("on 2 hold [], release [{VIRTUAL}]")]
    );
}

/// The kernel deletes the virtual address together with the own one, its primary.
fn taken_along() -> Input<'static> {
    Input::AddressRemoved {
        interface: ETH1,
        address: address(VIRTUAL),
        loss: Loss::WithPrimary(address(own(ETH1))),
    }
}

const VIRTUAL: &str = "192.168.224.100/24";

#[test]
fn address_lost_with_the_own_one_is_restored_after_it() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(node.give(removed(ETH1, own(ETH1))), [""; 0]);
    assert_eq!(node.give(taken_along()), [""; 0]);
    assert_eq!(
        node.give(Input::Overrun),
        ["on 2 hold [], release [], sparing foreign ones"],
        "a second look restores nothing either"
    );
    assert_eq!(node.status("VI_1").counters.repairs, 0);
    node.sleep(milliseconds(5));
    assert_eq!(
        node.give(added(ETH1, "192.168.224.21/24", false)),
        [
            format!("VI_1: no fault: {MISSED}, for 5ms"),
            format!(
                "VI_1: repaired {VIRTUAL} was deleted by the kernel with its primary address {}",
                own(ETH1)
            ),
            format!("on 2 hold [{VIRTUAL}], release []"),
            format!("announce on 2 at 02:00:00:00:00:02: {VIRTUAL}"),
        ]
    );
    assert_eq!(node.status("VI_1").counters.repairs, 1);
}

/// The notification of the deleted primary address comes a moment after that of its secondary.
#[test]
fn address_restored_a_moment_too_early_is_retracted() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let hold = format!("on 2 hold [{VIRTUAL}], release []");
    assert!(node.give(removed(ETH1, VIRTUAL)).contains(&hold));
    node.sleep(milliseconds(1));
    assert_eq!(
        node.give(removed(ETH1, own(ETH1))),
        [format!(
            "on 2 hold [], release [{VIRTUAL}], sparing foreign ones"
        )]
    );
    node.sleep(milliseconds(5));
    assert!(node.give(added(ETH1, own(ETH1), false)).contains(&hold));
    assert_eq!(node.state("VI_1"), State::Master);

    // A deletion a second before has nothing to do with the own address.
    node.give(removed(ETH1, VIRTUAL));
    node.advance(SECOND);
    assert_eq!(node.give(removed(ETH1, own(ETH1))), [""; 0]);
}

#[test]
fn address_lost_with_the_own_one_stays_away_in_fault() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(removed(ETH1, own(ETH1)));
    node.give(taken_along());
    let lines = node.advance(milliseconds(500));
    assert_eq!(node.state("VI_1"), State::Fault);
    let mut holds = lines.iter().filter(|line| line.contains("hold ["));
    assert!(holds.all(|line| line.contains("hold [], ")), "{lines:?}");
    assert_eq!(node.status("VI_1").counters.repairs, 0);
}

#[test]
fn address_beside_an_own_one_is_restored_during_the_grace() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(cable(false));
    assert_eq!(
        node.give(removed(ETH1, VIRTUAL))[..2],
        [
            format!("VI_1: repaired {VIRTUAL} was deleted by another program"),
            format!("on 2 hold [{VIRTUAL}], release []"),
        ]
    );
}

#[test]
fn owner_address_is_restored_during_the_grace() {
    let owner = RouterParams {
        priority: Priority::OWNER,
        ..vi_1()
    };
    let mut node = Node::wired();
    node.give(removed(ETH1, own(ETH1)));
    node.give(added(ETH1, VIRTUAL, false));
    node.configure(routers([("VI_1", owner)]));
    assert_eq!(node.state("VI_1"), State::Master);
    node.give(cable(false));
    let lines = node.give(removed(ETH1, VIRTUAL));
    let hold = format!("on 2 hold [{VIRTUAL}], release [], sparing foreign ones");
    assert!(lines.contains(&hold), "{lines:?}");
}

#[test]
fn route_lost_during_the_grace_is_restored_after_it() {
    let routed = RouterParams {
        routes: vec![route("10.1.0.0/16")],
        ..vi_1()
    };
    let mut node = Node::mastering(routers([("VI_1", routed)]));
    node.give(removed(ETH1, own(ETH1)));
    let lost = Input::RoutingRemoved {
        what: Routed::Route(route("10.1.0.0/16").place()),
        loss: Loss::WithAddress(address(own(ETH1))),
    };
    assert_eq!(node.give(lost), [""; 0]);
    let lines = node.give(added(ETH1, own(ETH1), false));
    let reported = format!(
        "VI_1: repaired route 10.1.0.0/16 was deleted by the kernel with the address {}",
        own(ETH1)
    );
    assert!(lines.contains(&reported), "{lines:?}");
    let held = "VI_1 route [10.1.0.0/16 via 192.168.224.1 dev eth1], rule [], release []";
    assert_eq!(only("VI_1 route", lines), [held]);
    assert_eq!(node.status("VI_1").counters.routing_repairs, 1);
}
