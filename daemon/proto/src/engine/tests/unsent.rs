//! Advertisements that the kernel does not send.

use super::rig::*;
use crate::events::Input;
use crate::params::{GroupParams, NodeParams, RouterParams};
use crate::types::{Family, InterfaceIndex, State, Vrid};

const ERROR: &str = "Operation not permitted";

/// Outcome of the last advertisement of a router: rejected, or sent.
fn unsent(interface: InterfaceIndex, family: Family, vrid: u8, sent: bool) -> Input<'static> {
    Input::Unsent {
        interface,
        family,
        vrid: Vrid::new(vrid).unwrap(),
        messages: u64::from(!sent),
        error: (!sent).then(|| ERROR.into()),
    }
}

fn rejected() -> Input<'static> {
    unsent(ETH1, Family::V4, 51, false)
}

/// VI_1 with priority 100, as master that cannot send.
fn unheard_master() -> Node {
    let mut node = Node::mastering(routers([("VI_1", at(100))]));
    assert_eq!(node.give(rejected()), [""; 0]);
    node
}

fn at(priority_is: u8) -> RouterParams {
    RouterParams {
        priority: priority(priority_is),
        ..vi_1()
    }
}

// RFC 9568 6.4.3 MUST: anything else is discarded and answered at once
#[test]
fn unheard_master_yields_to_any_other_master() {
    let mut node = unheard_master();
    assert_eq!(node.state("VI_1"), State::Master, "no other host serves");
    let lines = node.receive_advert(1);
    let cause = "192.168.224.11 advertises priority 1, and no advertisement of this router leaves this \
                 host: yielded";
    assert!(
        lines.contains(&format!("VI_1: master -> backup ({cause})")),
        "{lines:?}"
    );
}

// RFC 9568 6.4.2 MUST: discard a lower priority, in Preempt_Mode
#[test]
fn unheard_backup_preempts_no_master_and_replaces_a_silent_one() {
    let mut node = unheard_master();
    node.receive_advert(90);
    for _ in 0..10 {
        assert_eq!(only("VI_", node.advance(SECOND)), [""; 0]);
        node.receive_advert(90);
    }
    assert_eq!(
        &*node.status("VI_1").cause,
        "192.168.224.11 advertises priority 90, ours is 100: it stays master, because no \
         advertisement left this host; mend that, then reload"
    );
    node.advance(SECOND * 4);
    assert_eq!(
        node.state("VI_1"),
        State::Master,
        "the other host is silent"
    );
}

#[test]
fn unheard_router_takes_part_again_after_one_advertisement_or_a_reload() {
    let sends: fn(&mut Node) = |node| {
        node.advance(SECOND * 4);
        assert_eq!(node.state("VI_1"), State::Master);
        node.give(unsent(ETH1, Family::V4, 51, true));
    };
    let reload: fn(&mut Node) = |node| {
        node.configure(routers([("VI_1", at(101))]));
        node.advance(SECOND * 4);
    };
    for change in [sends, reload] {
        let mut node = unheard_master();
        node.receive_advert(90);
        assert_eq!(node.state("VI_1"), State::Backup);
        change(&mut node);
        assert_eq!(node.status("VI_1").unsent, []);
        node.receive_advert(90);
        assert_eq!(node.state("VI_1"), State::Master);
    }
}

#[test]
fn preemption_that_cannot_be_advertised_is_abandoned_at_once() {
    let mut node = Node::running(routers([("VI_1", at(100))]));
    while node.state("VI_1") == State::Backup {
        node.receive_advert(90);
        node.step();
    }
    let lines = node.give(rejected());
    assert_eq!(
        lines,
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: master -> backup (192.168.224.11 advertises priority 90, and no advertisement of \
             this router leaves this host: yielded)",
        ]
    );
    for _ in 0..10 {
        node.receive_advert(90);
        assert_eq!(only("VI_", node.advance(SECOND)), [""; 0]);
    }
}

#[test]
fn take_over_from_a_silent_master_needs_no_advertisement() {
    let mut node = Node::running(routers([("VI_1", at(100))]));
    while node.state("VI_1") == State::Backup {
        node.step();
    }
    assert_eq!(node.give(rejected()), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Master);
}

#[test]
fn status_shows_the_error_and_counts_messages() {
    let mut node = unheard_master();
    node.now = node.now + SECOND;
    node.give(rejected());
    let status = node.status("VI_1");
    let [unsent] = &status.unsent[..] else {
        panic!("{:?}", status.unsent);
    };
    assert_eq!((unsent.family, &*unsent.error), (Family::V4, ERROR));
    assert_eq!((unsent.age, status.counters.adverts_unsent), (1.0, 2));
}

#[test]
fn router_of_both_families_yields_if_it_sends_in_neither() {
    let params = RouterParams {
        addresses: ["192.168.224.100/24", "2001:db8::100/64"]
            .map(|a| a.parse().unwrap())
            .into(),
        ..at(100)
    };
    let mut node = Node::mastering_v6(routers([("VI_1", params)]));
    node.give(rejected());
    node.receive_advert(90);
    assert_eq!(node.state("VI_1"), State::Master);
    node.give(unsent(ETH1, Family::V6, 51, false));
    node.receive_advert(90);
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn resignation_of_a_router_in_fault_ends_it() {
    let mut node = unheard_master();
    node.give(removed(ETH1, "192.168.224.12/24"));
    node.advance(SECOND);
    assert_eq!(node.state("VI_1"), State::Fault);
    node.give(unsent(ETH1, Family::V4, 51, true));
    assert_eq!(node.status("VI_1").unsent, []);
}

#[test]
fn group_yields_if_no_member_sends() {
    let mut node = Node::mastering(grouped());
    node.give(rejected());
    node.receive_advert(90);
    assert_eq!(node.state("VI_1"), State::Master, "VI_2 is heard");
    node.give(unsent(ETH2, Family::V4, 52, false));
    let lines = only("VI_", node.receive_advert(90));
    let cause = "192.168.224.11 advertises priority 90, and no advertisement of this router leaves this \
                 host: yielded";
    assert_eq!(
        lines,
        [
            format!("VI_1: master -> backup ({cause})"),
            format!("VI_2: master -> backup (with VI_1: {cause})"),
        ]
    );
    for _ in 0..10 {
        node.receive_advert(90);
        assert_eq!(only("VI_", node.advance(SECOND)), [""; 0]);
    }
}

#[test]
fn group_abandons_a_preemption_that_no_member_can_advertise() {
    let mut node = Node::running(grouped());
    while node.state("VI_1") == State::Backup {
        node.receive_advert(90);
        node.step();
    }
    assert_eq!(node.give(rejected()), [""; 0]);
    let lines = only("VI_", node.give(unsent(ETH2, Family::V4, 52, false)));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(node.state("VI_2"), State::Backup);
}

fn grouped() -> NodeParams {
    let mut params = routers([("VI_1", at(100)), ("VI_2", vi_2())]);
    let members = ["VI_1", "VI_2"].map(Into::into).into();
    let tracks = vec![];
    params
        .groups
        .insert("VG_1".into(), GroupParams { members, tracks });
    params
}
