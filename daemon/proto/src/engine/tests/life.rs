//! Start, take-over and stop of routers without changes of the host.

use core::time::Duration;

use super::rig::*;
use crate::events::Input;
use crate::params::NodeParams;
use crate::reasons::Due;
use crate::types::{AdvertInterval, Priority, State, Vrid};

// RFC 9568 6.4.2 MUST NOT: answer ARP requests for a virtual address
// RFC 9568 6.4.2 MUST NOT: accept packets to a virtual address
#[test]
fn start_as_backup_releases_the_addresses() {
    let mut node = Node::wired();
    assert_eq!(
        node.configure(node_1()),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: init -> backup (started, listening first)",
        ]
    );
    assert!(node.held().is_empty());
}

// RFC 9568 6.4.2 MUST: when Active_Down_Timer fires, advertise and become Active
// RFC 9568 6.4.2 erratum 7949 MUST: the new Active sends gratuitous ARP for each address
// RFC 9568 8.1.2 MUST: gratuitous ARP waits until the address is on the interface
// RFC 3768 6.4.3 MUST NOT: accept packets to a virtual address unless it is the owner
#[test]
fn take_over_advertises_then_holds_then_announces() {
    let mut node = Node::running(node_1());
    assert_eq!(
        node.step(),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "on 2 hold [192.168.224.100/24], release []",
            "VI_1: backup -> master (no advertisement from any router for 3.609 s)",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
        ]
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
    let next: Vec<_> = (0..3).map(|_| node.step()).collect();
    let advert = "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100";
    let announcement = "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24";
    assert_eq!(
        next,
        [vec![advert, announcement], vec![advert], vec![advert]]
    );
}

#[test]
fn take_over_cause_names_the_master_and_the_silence() {
    let mut node = Node::running(node_1());
    node.advance(SECOND);
    assert_eq!(node.receive_advert(200), [""; 0]);
    let lines = only("VI_1", node.step());
    let cause = "no advertisement from 192.168.224.11 for 3.609 s";
    assert_eq!(lines, [format!("VI_1: backup -> master ({cause})")]);
    let status = node.status("VI_1");
    assert_eq!(&*status.cause, cause);
    assert_eq!(status.history.len(), 2);
    assert_eq!(status.counters.became_master, 1);
}

#[test]
fn resignation_leads_to_a_take_over_after_skew_time() {
    let mut node = Node::running(node_1());
    node.receive_advert(200);
    node.advance(SECOND / 2);
    let resigned = node.now;
    assert_eq!(node.receive_advert(0), [""; 0]);
    let lines = only("VI_1", node.step());
    assert_eq!(node.now.since(resigned).as_nanos(), 609_375_000);
    assert_eq!(
        lines,
        ["VI_1: backup -> master (192.168.224.11 resigned (priority 0))"]
    );
}

#[test]
fn higher_priority_backup_preempts_when_its_timer_expires() {
    let mut node = Node::running(node_1());
    for _ in 0..3 {
        node.advance(SECOND);
        node.receive_advert(99);
    }
    assert_eq!(
        only("VI_1", node.step()),
        ["VI_1: backup -> master (192.168.224.11 advertises priority 99, ours is 100: preempted)"]
    );
    assert_eq!(node.now.since(T0).as_nanos(), 3_609_375_000);
}

// RFC 9568 6.4.2 MUST NOT: answer ARP requests for a virtual address
// RFC 9568 6.4.2 MUST NOT: accept packets to a virtual address
#[test]
fn yielding_master_releases_its_addresses_at_once() {
    let mut node = Node::mastering(node_1());
    assert_eq!(
        node.receive_advert(101),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: master -> backup (192.168.224.11 advertises priority 101, ours is 100: yielded)",
        ]
    );
    let status = node.status("VI_1");
    let master = status.master.unwrap();
    assert_eq!((master.address, master.priority), (peer(), 101));
}

#[test]
fn second_stop_releases_what_the_first_one_kept() {
    let mut node = Node::running(two_nodes());
    node.advance(SECOND);
    node.receive(ETH2, PEER, &advert(52, 200));
    node.advance(SECOND * 3);
    assert_eq!(
        node.give(Input::Stop),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "VI_1: hands over for 1.25s",
            "VI_1: master -> init (the daemon stops)",
            "on 3 hold [], release [192.168.198.100/24]",
            "VI_2: backup -> init (the daemon stops)",
        ]
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
    assert_eq!(
        node.give(Input::Stop),
        [
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: handed over after 0ns: stop requested again",
        ]
    );
    assert_eq!(node.engine.poll_timeout(), None);
    assert_eq!(node.give(Input::Stop), [""; 0]);
    assert!(node.held().is_empty());
}

#[test]
fn expect_master_shortens_the_first_wait() {
    let mut params = vi_1();
    params.expect_master = true;
    let mut node = Node::running(routers([("VI_1", params)]));
    assert_eq!(
        only("VI_1", node.step()),
        ["VI_1: backup -> master (no advertisement from any router for 1.609 s)"]
    );
}

// RFC 9568 6.4.1 MUST: the owner starts as Active and advertises
// RFC 9568 6.4.1 erratum 7947 MUST: a starting owner sends gratuitous ARP for each address
#[test]
fn owner_sends_from_its_address_and_spares_it() {
    let mut params = vi_1();
    params.priority = Priority::OWNER;
    let mut node = Node::empty();
    node.give(Input::Link(link(ETH1, "eth1")));
    node.give(added(ETH1, "192.168.224.100/24", false));
    assert_eq!(
        node.configure(routers([("VI_1", params)])),
        [
            "advertise on 2 from 192.168.224.100: VRID 51, priority 255, 192.168.224.100",
            "on 2 hold [192.168.224.100/24], release [], sparing foreign ones",
            "VI_1: init -> master (owner of the addresses (priority 255))",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
        ]
    );
    node.give(Input::Stop);
    let lines = node.step();
    assert!(
        lines.contains(
            &"on 2 hold [], release [192.168.224.100/24], sparing foreign ones".to_owned()
        )
    );
}

#[test]
fn two_vrids_on_one_interface_are_independent() {
    let mut second = vi_1();
    second.vrid = Vrid::new(52).unwrap();
    second.addresses = addresses(&["192.168.198.100/24"]);
    let mut node = Node::mastering(routers([("VI_1", vi_1()), ("VI_2", second)]));
    node.receive(ETH1, PEER, &advert(52, 101));
    assert_eq!(node.state("VI_1"), State::Master);
    assert_eq!(node.state("VI_2"), State::Backup);
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
}

#[test]
fn same_vrid_on_two_interfaces_is_independent() {
    let mut second = vi_2();
    second.vrid = Vrid::new(51).unwrap();
    second.addresses = addresses(&["192.168.224.100/24"]);
    let mut node = Node::mastering(routers([("VI_1", vi_1()), ("VI_2", second)]));
    let listeners: Vec<_> = node
        .engine
        .listeners()
        .map(|(index, _, vrid)| (index.0, vrid.get()))
        .collect();
    assert_eq!(listeners, [(2, 51), (3, 51)]);
    node.receive(ETH2, PEER, &advert(51, 101));
    assert_eq!(node.state("VI_1"), State::Master);
    assert_eq!(node.state("VI_2"), State::Backup);
}

#[test]
fn simultaneous_deadlines_are_served_by_one_tick() {
    let mut params = NodeParams::default();
    for n in 1..=250_u8 {
        let mut router = vi_1();
        router.vrid = Vrid::new(n).unwrap();
        router.addresses = addresses(&[&format!("10.0.0.{n}/24")]);
        params.routers.insert(format!("VI_{n:03}").into(), router);
    }
    let mut node = Node::running(params);
    let lines = node.step();
    assert_eq!(only("VI_", lines).len(), 250, "all take over");
    let lines = node.step();
    assert_eq!(only("advertise", lines.clone()).len(), 250);
    assert_eq!(
        only("announce", lines).len(),
        250,
        "the second announcements"
    );
    assert_eq!(node.step().len(), 250, "advertisements only");
    assert_eq!(
        node.give(Input::Tick),
        [""; 0],
        "a repeated tick does nothing"
    );
}

#[test]
fn poll_timeout_names_the_next_action() {
    let mut long = vi_2();
    long.interval = AdvertInterval::from_centiseconds(1000).unwrap();
    let mut node = Node::running(routers([("VI_1", vi_1()), ("VI_2", long)]));
    assert_eq!(node.engine.poll_timeout().unwrap().1, Due::TakeOver);
    node.step();
    assert_eq!(node.engine.poll_timeout().unwrap().1, Due::Advertisement);
    node.advance(SECOND * 32);
    assert_eq!(node.state("VI_2"), State::Backup);
    node.advance(SECOND * 5);
    assert_eq!(node.state("VI_2"), State::Master);
}

/// For an advertisement of a master the queued packets do not have to be read first.
#[test]
fn take_over_due_follows_the_backup_deadline() {
    let mut node = Node::running(two_nodes());
    node.receive(ETH2, PEER, &advert(52, 200));
    let due = node.due();
    assert!(!node.engine.is_take_over_due(due - Duration::from_nanos(1)));
    assert!(node.engine.is_take_over_due(due));
    node.step();
    assert!(!node.engine.is_take_over_due(node.now));
    node.receive(ETH2, PEER, &advert(52, 200));
    let (due, what) = node.engine.poll_timeout().unwrap();
    assert_eq!(what, Due::Advertisement);
    assert!(!node.engine.is_take_over_due(due));
    assert!(node.engine.is_take_over_due(due + SECOND * 3));
}

#[test]
fn sent_advertisements_and_resignations_are_counted() {
    let mut node = Node::mastering(node_1());
    let before = node.status("VI_1").counters;
    assert_eq!(before.became_master, 1);
    node.step();
    node.step();
    assert_eq!(only("VI_1", node.receive_advert(200)).len(), 1, "yielded");
    let after = node.status("VI_1").counters;
    assert_eq!(
        after.adverts_sent,
        before.adverts_sent + 3,
        "including the final advertisement"
    );
    assert_eq!((after.became_master, after.resignations_sent), (1, 0));
    node.advance(SECOND * 6);
    assert_eq!(node.status("VI_1").counters.became_master, 2);
    node.give(Input::Stop);
    let counters = node.status("VI_1").counters;
    assert_eq!((counters.became_master, counters.resignations_sent), (2, 1));
}

#[test]
fn received_resignations_are_counted_as_advertisements_too() {
    let mut node = Node::running(node_1());
    node.receive_advert(200);
    node.receive_advert(0);
    let counters = node.status("VI_1").counters;
    let received = (counters.adverts_received, counters.resignations_received);
    assert_eq!(received, (2, 1));
}

fn node_1() -> NodeParams {
    routers([("VI_1", vi_1())])
}

fn two_nodes() -> NodeParams {
    routers([("VI_1", vi_1()), ("VI_2", vi_2())])
}
