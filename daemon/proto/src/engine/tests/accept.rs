//! Accept_Mode: whether a master accepts packets to addresses that it does not own.

use super::rig::*;
use crate::events::Input;
use crate::params::{NodeParams, RouterParams};
use crate::types::{Priority, State};

// RFC 9568 6.4.3 MUST NOT: accept packets to a virtual address otherwise
#[test]
fn a_master_that_does_not_accept_has_packets_to_its_addresses_refused() {
    let mut node = Node::running(refusing());
    let lines = node.step();
    assert_eq!(
        lines[1],
        "on 2 hold refusing [192.168.224.100/24], release []"
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
    node.give(removed(ETH1, "192.168.224.100/24"));
    let lines = node.give(Input::Overrun);
    assert_eq!(
        lines,
        ["on 2 hold refusing [192.168.224.100/24], release []"]
    );
}

// RFC 9568 6.4.3 MUST: accept packets to its addresses as owner or in Accept_Mode
#[test]
fn the_owner_accepts_whatever_accept_mode_says() {
    let owner = RouterParams {
        priority: Priority::OWNER,
        ..unaccepting()
    };
    assert!(owner.accepts() && !unaccepting().accepts() && vi_1().accepts());
    let mut node = Node::wired();
    node.give(Input::DropFilter(Some("no nf_tables".into())));
    let lines = node.configure(routers([("VI_1", owner)]));
    let hold = "on 2 hold [192.168.224.100/24], release [], sparing foreign ones";
    assert!(lines.contains(&hold.to_owned()), "{lines:?}");
}

#[test]
fn a_reload_of_accept_mode_is_applied_without_a_transition() {
    let mut node = Node::mastering(accepting());
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.configure(refusing()),
        ["on 2 hold refusing [192.168.224.100/24], release []"]
    );
    assert_eq!(node.configure(refusing()), [""; 0]);
    assert_eq!(
        node.configure(accepting()),
        ["on 2 hold [192.168.224.100/24], release []"]
    );
    assert_eq!(node.engine.poll_timeout(), due);
}

#[test]
fn who_has_to_refuse_and_cannot_is_in_fault_until_it_can() {
    let cause = "acceptMode is false, and packets to its addresses cannot be refused: no nf_tables";
    let unable = || Input::DropFilter(Some("no nf_tables".into()));
    let params = routers([("VI_1", unaccepting()), ("VI_2", vi_2())]);
    let mut node = Node::mastering(params);
    assert_eq!(
        node.give(unable()),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "on 2 hold refusing [], release [192.168.224.100/24]",
            &format!("VI_1: master -> fault ({cause})"),
        ]
    );
    assert_eq!(node.state("VI_2"), State::Master, "it accepts");
    assert_eq!(node.give(unable()), [""; 0]);
    assert_eq!(
        node.give(Input::DropFilter(None)),
        [
            "on 2 hold refusing [], release [192.168.224.100/24]",
            &format!("VI_1: fault -> backup (over: {cause})"),
        ]
    );
}

#[test]
fn who_cannot_refuse_starts_in_fault_and_serves_when_it_may_accept() {
    let mut node = Node::wired();
    node.give(Input::DropFilter(Some("no nf_tables".into())));
    node.configure(refusing());
    assert_eq!(node.state("VI_1"), State::Fault);
    node.configure(accepting());
    assert_eq!(node.state("VI_1"), State::Backup);
}

/// VI_1 that does not accept.
fn unaccepting() -> RouterParams {
    RouterParams {
        accept: false,
        ..vi_1()
    }
}

fn accepting() -> NodeParams {
    routers([("VI_1", vi_1())])
}

fn refusing() -> NodeParams {
    let params = routers([("VI_1", unaccepting())]);
    assert!(params.refuses() && !accepting().refuses());
    params
}
