//! A process or machine that stood still for longer than the others wait.

use super::rig::*;
use crate::border::{Input, Output, State};
use crate::params::Effect;

#[test]
fn only_the_masters_that_were_needed_by_others_yield() {
    let mut slow = vi_2();
    slow.interval = crate::types::AdvertInterval::from_centiseconds(1000).unwrap();
    let mut node = Node::running(node([("VI_1", vi_1()), ("VI_2", slow)]));
    node.advance(SECOND * 40);
    node.sleep(SECOND * 8);
    node.give(Input::Tick);
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(
        node.state("VI_2"),
        State::Master,
        "the others wait for 30 s"
    );
}

#[test]
fn a_backup_that_slept_listens_anew_and_counts_it() {
    let mut node = Node::running(node([("VI_1", vi_1())]));
    node.advance(SECOND);
    node.hear(200);
    node.sleep(SECOND * 60);
    assert_eq!(node.give(Input::Tick), [""; 0]);
    assert_eq!(node.status("VI_1").counters.late_wakeups, 1);
    assert_eq!(node.due().since(node.now).as_nanos(), 3_609_375_000);
    assert_eq!(
        only("VI_1", node.step()),
        ["VI_1: backup -> master (no advertisement from 192.168.224.11 for 63.609 s)"]
    );
}

fn tracks() -> Vec<crate::params::Track> {
    vec![tracked("httpd", Effect::Weight(-10))]
}

fn followed() -> crate::params::RouterParams {
    let mut params = vi_1();
    params.tracks = tracks();
    params
}

fn tracking(params: crate::params::RouterParams) -> crate::params::NodeParams {
    let mut node = node([("VI_1", params)]);
    node.trackers.insert("httpd".into(), probed(1, 1));
    node
}
