//! Sync groups: experiment 2 of the course, VI_1 on eth1 and VI_2 on eth2, as one group.

use core::net::Ipv4Addr;

use super::rig::*;
use crate::events::Input;
use crate::params::{Effect, GroupParams, NodeParams, RouterParams};
use crate::types::{InterfaceIndex, State};
use crate::wire::{AddressList, Advert, Auth, ChecksumForm, GROUP_V4};

/// Address of the other host on eth2, the greater one there.
const PEER_2: Ipv4Addr = Ipv4Addr::new(192, 168, 198, 13);

/// VI_1 and VI_2 with these priorities in group VG_1.
fn grouped(priority_1: u8, priority_2: u8) -> NodeParams {
    let with = |priority_is: u8, params: RouterParams| RouterParams {
        priority: priority(priority_is),
        ..params
    };
    let mut node = routers([
        ("VI_1", with(priority_1, vi_1())),
        ("VI_2", with(priority_2, vi_2())),
    ]);
    node.groups
        .insert("VG_1".into(), members(&["VI_1", "VI_2"]));
    node
}

fn members(names: &[&str]) -> GroupParams {
    GroupParams {
        members: names.iter().map(|name| (*name).into()).collect(),
        tracks: vec![],
    }
}

/// Receives advertisements of the other host in both networks: priority 0 is a resignation, `None`
/// none.
fn receive_advert(node: &mut Node, priority_1: Option<u8>, priority_2: Option<u8>) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(priority) = priority_1 {
        lines.extend(node.receive(ETH1, PEER, &advert(51, priority)));
    }
    if let Some(priority) = priority_2 {
        lines.extend(node.receive(ETH2, PEER_2, &advert_2(priority)));
    }
    lines
}

/// An advertisement of VI_2 from [`PEER_2`].
fn advert_2(priority: u8) -> Vec<u8> {
    Advert {
        version: vi_2().version,
        vrid: vi_2().vrid,
        priority,
        interval: vi_2().interval,
        addresses: AddressList::new(&[[192, 168, 198, 100]]),
        auth: Auth::None,
    }
    .emit(ChecksumForm::WithPseudoHeader, PEER_2, GROUP_V4)
}

/// Lets `seconds` pass. At the beginning of each second the other host advertises these priorities.
fn go_on(
    node: &mut Node,
    seconds: u32,
    priority_1: Option<u8>,
    priority_2: Option<u8>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..seconds {
        lines.extend(receive_advert(node, priority_1, priority_2));
        lines.extend(node.advance(SECOND));
    }
    only("VI_", lines)
}

fn states(node: &Node) -> [State; 2] {
    ["VI_1", "VI_2"].map(|name| node.state(name))
}

fn carrier(index: InterfaceIndex, name: &str, carrier: bool) -> Input<'static> {
    let link = crate::events::Link {
        carrier,
        ..link(index, name)
    };
    Input::Link(link)
}

#[test]
fn backups_take_over_together_in_member_order() {
    let mut node = Node::running(grouped(99, 100));
    assert_eq!(go_on(&mut node, 2, Some(100), Some(100)), [""; 0]);
    // The master of VI_2 resigns; that of VI_1 remains.
    receive_advert(&mut node, None, Some(0));
    assert_eq!(go_on(&mut node, 3, Some(100), None), [""; 0]);
    receive_advert(&mut node, Some(0), None);
    let lines = node.step();
    assert_eq!(
        lines,
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 99, 192.168.224.100",
            "on 2 hold [192.168.224.100/24], release []",
            "VI_1: backup -> master (192.168.224.11 resigned (priority 0))",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
            "advertise on 3 from 192.168.198.12: VRID 52, priority 100, 192.168.198.100",
            "on 3 hold [192.168.198.100/24], release []",
            "VI_2: backup -> master (with VI_1: 192.168.224.11 resigned (priority 0))",
            "announce on 3 at 02:00:00:00:00:03: 192.168.198.100/24",
        ]
    );
}

#[test]
fn contested_group_reports_all_members_once_the_last_rival_has_gone() {
    let mut node = Node::mastering(grouped(101, 102));
    node.advance(2 * SECOND);
    let contested = |lines: Vec<String>| -> Vec<String> {
        let is_report = |line: &String| line.contains("contested");
        lines.into_iter().filter(is_report).collect()
    };
    assert_eq!(
        contested(receive_advert(&mut node, Some(100), Some(100))),
        [""; 0]
    );
    // The other host is silent in VI_1 first.
    node.advance(SECOND);
    receive_advert(&mut node, None, Some(100));
    assert_eq!(contested(node.advance(3 * SECOND)), [""; 0]);
    assert_eq!(
        contested(node.advance(SECOND)),
        [
            "VI_1 contested: with VI_2: 192.168.198.13 (priority 100) was master too and has gone",
            "VI_2 contested: 192.168.198.13 (priority 100) was master too and has gone",
        ]
    );
    assert_eq!(contested(node.advance(20 * SECOND)), [""; 0]);
    assert_eq!(node.status("VI_1").counters.contests, 1);
    // Where one of the networks is cut, the other host moved its whole group all the same.
    receive_advert(&mut node, Some(100), None);
    let lines = contested(node.advance(20 * SECOND));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[1].starts_with("VI_2 contested: with VI_1: "),
        "{lines:?}"
    );
}

#[test]
fn group_of_experiment_2_fails_back_despite_a_tie() {
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(
        go_on(&mut node, 4, Some(99), Some(100)),
        [
            "VI_1: backup -> master (192.168.224.11 advertises priority 99, ours is 100: \
             preempted)",
            "VI_2: backup -> master (with VI_1: 192.168.224.11 advertises priority 99, ours is \
             100: \
             preempted)",
        ]
    );
    // Its last advertisements are still in flight, and it has the greater address in VI_2.
    assert_eq!(
        only("VI_", receive_advert(&mut node, None, Some(100))),
        [""; 0]
    );
    assert_eq!(states(&node), [State::Master; 2]);
}

#[test]
fn full_tie_keeps_the_backups() {
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(go_on(&mut node, 10, Some(100), Some(100)), [""; 0]);
    assert_eq!(states(&node), [State::Backup; 2]);
}

#[test]
fn lower_priority_in_any_member_prevents_preemption() {
    let mut node = Node::running(grouped(100, 99));
    assert_eq!(go_on(&mut node, 10, Some(99), Some(100)), [""; 0]);
}

#[test]
fn one_member_without_preempt_disables_group_preemption() {
    let mut params = grouped(100, 100);
    params.routers.get_mut("VI_2").unwrap().preempt = false;
    let mut node = Node::running(params);
    assert_eq!(go_on(&mut node, 10, Some(99), Some(99)), [""; 0]);
    assert_eq!(go_on(&mut node, 10, Some(99), Some(100)), [""; 0]);
}

#[test]
fn one_partitioned_network_causes_no_take_over() {
    let mut node = Node::running(grouped(99, 100));
    assert_eq!(go_on(&mut node, 20, Some(100), None), [""; 0]);
    // The same with the tie in the connected network and silence in the other one.
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(go_on(&mut node, 20, None, Some(100)), [""; 0]);
}

/// VI_1 has long ended its wait for a master, VI_2 follows one of the same priority. A lower
/// priority in VI_1 decides: the take-over is due at that moment, and no wake-up was late.
#[test]
fn take_over_decided_by_an_advertisement_is_due_immediately() {
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(go_on(&mut node, 8, None, Some(100)), [""; 0]);
    receive_advert(&mut node, Some(99), None);
    node.take(Input::Tick);
    assert_eq!(states(&node), [State::Master; 2]);
    let late = |name| node.status(name).counters.late_wakeups;
    assert_eq!(["VI_1", "VI_2"].map(late), [0, 0]);
}

/// The same advertisement, read by a host that slept past its own deadline before.
#[test]
fn cause_of_a_decided_take_over_is_the_family_with_the_lower_priority() {
    let both = vi_1_with(&["192.168.224.100/24", "fe80::100/64"]);
    let mut params = routers([("VI_1", both), ("VI_2", vi_2())]);
    params
        .groups
        .insert("VG_1".into(), members(&["VI_1", "VI_2"]));
    let mut node = Node::running_v6(params);
    let mut lines = Vec::new();
    while node.state("VI_1") == State::Backup {
        node.receive_advert(50);
        node.receive_advert_v6(100, &["fe80::100"]);
        lines = only("VI_", node.advance(SECOND));
    }
    let cause = "192.168.224.11 advertises priority 50, ours is 100: preempted";
    assert_eq!(lines[0], format!("VI_1: backup -> master ({cause})"));
}

#[test]
fn take_over_decided_after_oversleeping_is_late() {
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(go_on(&mut node, 3, None, Some(100)), [""; 0]);
    node.now = node.due() + SECOND * 5;
    receive_advert(&mut node, Some(99), None);
    node.take(Input::Tick);
    assert_eq!(states(&node), [State::Backup; 2]);
    assert!(node.due() > node.now);
    assert_eq!(node.status("VI_1").counters.late_wakeups, 1);
}

/// The socket of a frozen host keeps the first packets of the freeze and drops the later ones.
#[test]
fn queued_packet_of_a_frozen_host_ends_no_wait() {
    let mut alone = grouped(100, 100);
    alone.routers.remove("VI_2");
    alone.groups.insert("VG_1".into(), members(&["VI_1"]));
    let mut node = Node::mastering(alone);
    let frozen = node.now;
    node.sleep(SECOND * 6);
    let message = advert(51, 254);
    let mut waited = packet(ETH1, PEER, &message);
    waited.at = frozen + SECOND / 10;
    node.take(Input::Packet(waited));
    node.take(Input::Tick);
    assert_eq!(node.state("VI_1"), State::Backup);
    assert!(node.due() > node.now + SECOND * 3);
}

#[test]
fn fault_of_one_member_applies_to_all_members() {
    let mut node = Node::mastering(grouped(100, 100));
    assert_eq!(
        node.lose(carrier(ETH2, "eth2", false)),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: master -> fault (with VI_2: interface eth2 has no carrier)",
            "advertise on 3 from 192.168.198.12: VRID 52, priority 0, 192.168.198.100",
            "on 3 hold [], release [192.168.198.100/24]",
            "VI_2: master -> fault (interface eth2 has no carrier)",
        ]
    );
    let group = &node.engine.snapshot(node.now).groups[0];
    assert_eq!(
        (group.state, group.decided_by.as_deref(), &*group.cause),
        (State::Fault, Some("VI_2"), "interface eth2 has no carrier")
    );
    // A second fault replaces the first in its own member only.
    node.give(carrier(ETH1, "eth1", false));
    assert_eq!(&*node.status("VI_1").cause, "interface eth1 has no carrier");
    assert_eq!(only("VI_", node.give(carrier(ETH2, "eth2", true))), [""; 0]);
    assert_eq!(
        &*node.status("VI_2").cause,
        "with VI_1: interface eth1 has no carrier"
    );
    assert_eq!(
        only("VI_", node.give(carrier(ETH1, "eth1", true))),
        [
            "VI_1: fault -> backup (recovered from: interface eth1 has no carrier)",
            "VI_2: fault -> backup (recovered from: with VI_1: interface eth1 has no carrier)",
        ]
    );
}

#[test]
fn group_of_masters_yields_by_the_first_differing_member() {
    let mut node = Node::mastering(grouped(99, 100));
    assert_eq!(
        receive_advert(&mut node, Some(100), None),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 99, 192.168.224.100",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: master -> backup (192.168.224.11 advertises priority 100, ours is 99: yielded)",
            // A host that is backup in this network only does not have to wait for its timer.
            "advertise on 3 from 192.168.198.12: VRID 52, priority 100, 192.168.198.100",
            "advertise on 3 from 192.168.198.12: VRID 52, priority 0, 192.168.198.100",
            "on 3 hold [], release [192.168.198.100/24]",
            "VI_2: master -> backup (with VI_1: 192.168.224.11 advertises priority 100, ours is \
             99: \
             yielded)",
        ]
    );
}

#[test]
fn first_member_decides_regardless_of_packet_order() {
    let mut node = Node::mastering(grouped(100, 99));
    // Lower in VI_2, but the priority of the other host in VI_1 is not known yet.
    assert_eq!(states(&node), [State::Master; 2]);
    receive_advert(&mut node, None, Some(100));
    assert_eq!(states(&node), [State::Master; 2]);
    assert_eq!(
        only("VI_1: master", go_on(&mut node, 20, Some(99), Some(100))),
        [""; 0]
    );
    assert_eq!(states(&node), [State::Master; 2]);
}

#[test]
fn later_member_decides_after_silence_in_the_first() {
    let mut node = Node::mastering(grouped(100, 99));
    let lines = go_on(&mut node, 4, None, Some(100));
    assert_eq!(only("VI_2: master -> backup", lines), [""; 0], "not yet");
    let lines = go_on(&mut node, 1, None, Some(100));
    assert_eq!(
        lines,
        [
            "VI_1: master -> backup (with VI_2: 192.168.198.13 advertises priority 100, ours is \
             99: \
             yielded)",
            "VI_2: master -> backup (192.168.198.13 advertises priority 100, ours is 99: yielded)",
        ]
    );
}

#[test]
fn full_tie_is_decided_by_the_first_member_address() {
    // 192.168.224.11 is the lesser address, and 192.168.198.13 the greater one.
    let mut node = Node::mastering(grouped(100, 100));
    let lines = go_on(&mut node, 10, Some(100), Some(100));
    assert_eq!(only("VI_1: master -> backup", lines), [""; 0]);
    // With advertisements in VI_2 only, VI_2 is the first member that counts.
    let mut node = Node::mastering(grouped(100, 100));
    let lines = go_on(&mut node, 5, None, Some(100));
    assert_eq!(
        only("VI_1: master -> backup", lines),
        [
            "VI_1: master -> backup (with VI_2: 192.168.198.13 has the same priority 100 and the \
             greater address)"
        ]
    );
}

#[test]
fn weights_of_members_and_group_apply_to_each_member() {
    let mut params = grouped(100, 90);
    for name in ["t1", "t2"] {
        params.trackers.insert(name.into(), probed(1, 1));
    }
    let vi_2 = params.routers.get_mut("VI_2").unwrap();
    vi_2.tracks = vec![tracked("t1", Effect::Weight(-20))];
    let group = params.groups.get_mut("VG_1").unwrap();
    group.tracks = vec![
        tracked("t2", Effect::Weight(-5)),
        tracked("t1", Effect::Weight(-20)),
    ];
    let mut node = Node::running(params);
    assert_eq!(
        only("VI_", node.probe("t1", false)),
        ["VI_1: priority 100 -> 80", "VI_2: priority 90 -> 70"]
    );
    assert_eq!(
        only("VI_", node.probe("t2", false)),
        ["VI_1: priority 80 -> 75", "VI_2: priority 70 -> 65"]
    );
}

#[test]
fn longest_preempt_delay_applies_to_all_members() {
    let mut params = grouped(100, 100);
    params.routers.get_mut("VI_2").unwrap().preempt_delay = SECOND * 10;
    let mut node = Node::running(params);
    assert_eq!(go_on(&mut node, 9, Some(99), Some(100)), [""; 0]);
    assert_eq!(go_on(&mut node, 2, Some(99), Some(100)).len(), 2);
}

#[test]
fn oversleeping_in_one_member_steps_down_the_group() {
    let mut params = grouped(100, 100);
    params.routers.get_mut("VI_2").unwrap().interval =
        crate::types::AdvertInterval::from_centiseconds(1_000).unwrap();
    let mut node = Node::running(params);
    node.advance(SECOND * 50);
    assert_eq!(states(&node), [State::Master; 2]);
    node.sleep(SECOND * 5);
    let lines = node.give(Input::Tick);
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains("->") || line.starts_with("adv"))
            .collect::<Vec<_>>(),
        [
            "VI_1: master -> backup (not scheduled for 5.906 s (suspended or stopped): another \
             host may be master)",
            "advertise on 3 from 192.168.198.12: VRID 52, priority 0, 192.168.198.100",
            "VI_2: master -> backup (with VI_1: not scheduled for 5.906 s (suspended or stopped): \
             another host may be master)",
        ]
    );
}

#[test]
fn joining_member_becomes_master_and_leaving_member_keeps_state() {
    let mut alone = grouped(100, 100);
    alone.routers.remove("VI_2");
    alone.groups.insert("VG_1".into(), members(&["VI_1"]));
    let mut node = Node::mastering(alone);
    let both = grouped(100, 100);
    assert_eq!(
        only("VI_", node.configure(both.clone())),
        ["VI_2: init -> master (joined sync group VG_1, which is master)"]
    );
    let mut apart = both;
    apart.groups.clear();
    assert_eq!(node.configure(apart.clone()), [""; 0]);
    // Without the group VI_1 yields alone.
    assert_eq!(
        only("VI_", receive_advert(&mut node, Some(101), None)),
        ["VI_1: master -> backup (192.168.224.11 advertises priority 101, ours is 100: yielded)"]
    );
    apart
        .groups
        .insert("VG_2".into(), members(&["VI_2", "VI_1"]));
    assert_eq!(
        only("VI_", node.configure(apart)),
        [
            "VI_2: hands over for 1.25s",
            "VI_2: master -> backup (joined sync group VG_2, which is backup)"
        ]
    );
}

#[test]
fn unchanged_reload_keeps_group_states() {
    let mut node = Node::mastering(grouped(100, 100));
    assert_eq!(node.configure(grouped(100, 100)), [""; 0]);
    let mut node = Node::running(grouped(99, 100));
    go_on(&mut node, 5, Some(100), Some(100));
    let due = node.due();
    assert_eq!(node.configure(grouped(99, 100)), [""; 0]);
    assert_eq!(node.due(), due);
}

#[test]
fn late_wakeup_restarts_the_timers_of_affected_members() {
    let mut node = Node::running(grouped(100, 100));
    node.sleep(SECOND * 5);
    assert_eq!(only("VI_", node.give(Input::Tick)), [""; 0]);
    assert_eq!(node.status("VI_1").counters.late_wakeups, 1);
    assert_eq!(node.status("VI_2").counters.late_wakeups, 1);
    assert_eq!(only("VI_", node.advance(SECOND * 4)).len(), 2);
}

#[test]
fn second_master_in_one_member_corrects_neighbours_in_all() {
    let mut node = Node::running(grouped(150, 150));
    go_on(&mut node, 10, None, None);
    assert_eq!(states(&node), [State::Master; 2]);
    // The other host was cut off in eth1, took over as a group and announced both addresses. Its
    // advertisements in eth2 are refused here, so that only those in eth1 show that it did.
    let lines = node.receive(ETH1, PEER, &advert(51, 100));
    let announced: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("announce"))
        .collect();
    assert_eq!(
        announced,
        [
            "announce on 3 at 02:00:00:00:00:03: 192.168.198.100/24",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
        ]
    );
}
