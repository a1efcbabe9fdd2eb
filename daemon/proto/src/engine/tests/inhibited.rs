//! Routers that a resource other than their addresses inhibits.

use super::rig::*;
use crate::events::Input;
use crate::types::State;

#[test]
fn inhibited_master_is_in_fault_until_cleared() {
    let mut node = Node::mastering(routers([("VI_1", vi_1()), ("VI_2", vi_2())]));
    let why = "cannot start httpd.service: its start failed";
    assert_eq!(
        node.give(inhibited("VI_1", Some(why))),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "on 2 hold [], release [192.168.224.100/24]",
            &format!("VI_1: master -> fault ({why})"),
        ]
    );
    assert_eq!(node.state("VI_2"), State::Master, "it has its own");
    assert_eq!(node.give(inhibited("VI_1", Some(why))), [""; 0]);
    assert_eq!(
        node.give(inhibited("VI_1", None)),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            &format!("VI_1: fault -> backup (recovered from: {why})"),
        ]
    );
}

#[test]
fn inhibited_router_remains_so_after_a_reload() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(inhibited("VI_1", Some("broken")));
    let mut changed = vi_1();
    changed.preempt = false;
    node.configure(routers([("VI_1", changed)]));
    assert_eq!(node.state("VI_1"), State::Fault);
    node.give(inhibited("VI_1", None));
    assert_eq!(node.state("VI_1"), State::Backup);
}

#[test]
fn inhibit_of_an_unknown_router_is_ignored() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(node.give(inhibited("VI_0", Some("broken"))), [""; 0]);
    assert_eq!(node.give(inhibited("VI_2", Some("broken"))), [""; 0]);
}

fn inhibited<'a>(router: &'a str, why: Option<&str>) -> Input<'a> {
    Input::Inhibited {
        router,
        why: why.map(Into::into),
    }
}
