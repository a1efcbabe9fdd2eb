//! Accept_Mode: whether a master accepts packets to addresses that it does not own.

use super::rig::*;
use crate::events::Input;
use crate::params::{NodeParams, RouterParams};
use crate::types::{Priority, State};

// RFC 9568 6.4.3 MUST NOT: accept packets to a virtual address otherwise
#[test]
fn accept_mode_false_requests_the_drop_filter() {
    let mut node = Node::running(filtering());
    let lines = node.step();
    assert_eq!(
        lines[1],
        "on 2 hold filtered [192.168.224.100/24], release []"
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
    node.give(removed(ETH1, "192.168.224.100/24"));
    let lines = node.give(Input::Overrun);
    assert_eq!(
        lines,
        ["on 2 hold filtered [192.168.224.100/24], release []"]
    );
}

// RFC 9568 6.4.3 MUST: accept packets to its addresses as owner or in Accept_Mode
#[test]
fn owner_accepts_packets_with_any_accept_mode() {
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
fn accept_mode_is_reloaded_without_a_transition() {
    let mut node = Node::mastering(accepting());
    let due = node.engine.poll_timeout();
    assert_eq!(
        node.configure(filtering()),
        ["on 2 hold filtered [192.168.224.100/24], release []"]
    );
    assert_eq!(node.configure(filtering()), [""; 0]);
    assert_eq!(
        node.configure(accepting()),
        ["on 2 hold [192.168.224.100/24], release []"]
    );
    assert_eq!(node.engine.poll_timeout(), due);
}

#[test]
fn drop_filter_error_is_a_fault_until_it_ends() {
    let cause = "acceptMode is false, but packets to the virtual addresses cannot be dropped: no \
         nf_tables";
    let drop_filter_error = || Input::DropFilter(Some("no nf_tables".into()));
    let params = routers([("VI_1", unaccepting()), ("VI_2", vi_2())]);
    let mut node = Node::mastering(params);
    assert_eq!(
        node.give(drop_filter_error()),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "on 2 hold filtered [], release [192.168.224.100/24]",
            &format!("VI_1: master -> fault ({cause})"),
        ]
    );
    assert_eq!(node.state("VI_2"), State::Master, "it accepts");
    assert_eq!(node.give(drop_filter_error()), [""; 0]);
    assert_eq!(
        node.give(Input::DropFilter(None)),
        [
            "on 2 hold filtered [], release [192.168.224.100/24]",
            &format!("VI_1: fault -> backup (recovered from: {cause})"),
        ]
    );
}

#[test]
fn drop_filter_error_at_start_is_a_fault() {
    let mut node = Node::wired();
    node.give(Input::DropFilter(Some("no nf_tables".into())));
    node.configure(filtering());
    assert_eq!(node.state("VI_1"), State::Fault);
    node.configure(accepting());
    assert_eq!(node.state("VI_1"), State::Backup);
}

/// VI_1 with `accept = false`.
fn unaccepting() -> RouterParams {
    RouterParams {
        accept: false,
        ..vi_1()
    }
}

fn accepting() -> NodeParams {
    routers([("VI_1", vi_1())])
}

fn filtering() -> NodeParams {
    let params = routers([("VI_1", unaccepting())]);
    assert!(params.refuses() && !accepting().refuses());
    params
}
