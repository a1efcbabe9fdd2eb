//! A process or host that is suspended for longer than the backups wait.

use super::rig::*;
use crate::events::{Input, Output};
use crate::params::{Effect, Verdict};
use crate::types::State;

/// After a suspension the masters neither send nor announce on any first input, because another
/// master may exist by now.
#[test]
fn overslept_master_sends_nothing_on_any_input() {
    let bytes = advert(51, 50);
    let mut more = vi_1();
    more.addresses = addresses(&["192.168.224.100/24", "192.168.224.101/24"]);
    more.tracks = tracks();
    let unplugged = {
        let mut unplugged = link(ETH1, "eth1");
        unplugged.carrier = false;
        unplugged
    };
    let moved = {
        let mut moved = link(ETH1, "eth1");
        moved.mac.as_mut().unwrap().0[5] = 0x99;
        moved
    };
    let probe = || Input::Probe {
        tracker: "httpd",
        result: Verdict::DOWN,
        detail: "exit status 1".into(),
    };
    let wakers: [(&str, Input<'_>); 12] = [
        ("tick", Input::Tick),
        ("packet", Input::Packet(packet(ETH1, PEER, &bytes))),
        ("deleted address", removed(ETH1, "192.168.224.100/24")),
        ("added address", added(ETH1, "192.168.224.100/24", false)),
        ("deleted source", removed(ETH1, own(ETH1))),
        ("carrier loss", Input::Link(unplugged)),
        ("new MAC address", Input::Link(moved)),
        ("deleted interface", Input::LinkRemoved(ETH1)),
        ("tracker", probe()),
        ("overrun", Input::Overrun),
        ("reload", Input::Configure(tracking(more))),
        ("stop", Input::Stop),
    ];
    for (name, waker) in wakers {
        let mut node = Node::mastering(tracking(followed()));
        node.sleep(SECOND * 8);
        let mut outputs = node.take(waker);
        outputs.extend(node.take(Input::Tick));
        let lines: Vec<_> = outputs.iter().map(line).collect();
        for output in &outputs {
            let sent = matches!(output, Output::Advertise(_) | Output::Announce(_));
            let held = matches!(output, Output::Kernel(desired) if !desired.hold.is_empty());
            assert!(!sent && !held, "{name}: {lines:#?}");
        }
        let overslept = "VI_1: master -> backup (not scheduled for 8.391 s (suspended or \
             stopped): another host may be master)";
        assert!(
            lines.iter().any(|line| line == overslept),
            "{name}: {lines:#?}"
        );
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("on 2 hold [], release")),
            "{name}"
        );
        assert_ne!(node.state("VI_1"), State::Master, "{name}");
    }
}

#[test]
fn oversleeping_is_measured_by_each_router_interval() {
    let mut slow = vi_2();
    slow.interval = crate::types::AdvertInterval::from_centiseconds(1000).unwrap();
    let mut node = Node::running(routers([("VI_1", vi_1()), ("VI_2", slow)]));
    node.advance(SECOND * 40);
    node.sleep(SECOND * 8);
    node.give(Input::Tick);
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(
        node.state("VI_2"),
        State::Master,
        "the backups wait for more than 30 s"
    );
}

#[test]
fn late_wakeup_restarts_the_timer_and_is_counted() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.advance(SECOND);
    node.receive_advert(200);
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
    let mut node = routers([("VI_1", params)]);
    node.trackers.insert("httpd".into(), probed(1, 1));
    node
}
