//! Sync groups: experiment 2 of the course, VI_1 on eth1 and VI_2 on eth2, as one group.

use core::net::Ipv4Addr;

use super::rig::*;
use crate::events::Input;
use crate::params::{Effect, GroupParams, NodeParams, RouterParams};
use crate::types::{InterfaceIndex, State};
use crate::wire::{AddressList, Advert, Auth, ChecksumForm, GROUP_V4};

/// The other host on eth2, whose address is the greater one there.
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

/// Hears the other host in both networks: of priority 0 it resigns, and `None` is silence.
fn hear(node: &mut Node, priority_1: Option<u8>, priority_2: Option<u8>) -> Vec<String> {
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

/// Lets `seconds` pass, at the beginning of each of which the other host advertises these.
fn go_on(
    node: &mut Node,
    seconds: u32,
    priority_1: Option<u8>,
    priority_2: Option<u8>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..seconds {
        lines.extend(hear(node, priority_1, priority_2));
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
fn backups_take_over_together_in_the_order_of_the_members_and_in_one_turn() {
    let mut node = Node::running(grouped(99, 100));
    assert_eq!(go_on(&mut node, 2, Some(100), Some(100)), [""; 0]);
    // The master of VI_2 resigns; that of VI_1 is there.
    hear(&mut node, None, Some(0));
    assert_eq!(go_on(&mut node, 3, Some(100), None), [""; 0]);
    hear(&mut node, Some(0), None);
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
fn experiment_2_fails_back_whole_although_vi_2_is_a_tie() {
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(
        go_on(&mut node, 4, Some(99), Some(100)),
        [
            "VI_1: backup -> master (192.168.224.11 advertises priority 99, ours is 100: preempted)",
            "VI_2: backup -> master (with VI_1: 192.168.224.11 advertises priority 99, ours is 100: \
             preempted)",
        ]
    );
    // Its last advertisements are still on their way, and it has the greater address in VI_2.
    assert_eq!(only("VI_", hear(&mut node, None, Some(100))), [""; 0]);
    assert_eq!(states(&node), [State::Master; 2]);
}

#[test]
fn a_full_tie_is_left_in_peace() {
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(go_on(&mut node, 10, Some(100), Some(100)), [""; 0]);
    assert_eq!(states(&node), [State::Backup; 2]);
}

#[test]
fn who_is_lower_anywhere_does_not_preempt() {
    let mut node = Node::running(grouped(100, 99));
    assert_eq!(go_on(&mut node, 10, Some(99), Some(100)), [""; 0]);
}

#[test]
fn one_member_without_preemption_keeps_all_from_it() {
    let mut params = grouped(100, 100);
    params.routers.get_mut("VI_2").unwrap().preempt = false;
    let mut node = Node::running(params);
    assert_eq!(go_on(&mut node, 10, Some(99), Some(99)), [""; 0]);
    assert_eq!(go_on(&mut node, 10, Some(99), Some(100)), [""; 0]);
}

#[test]
fn with_one_network_cut_between_the_hosts_nobody_moves() {
    let mut node = Node::running(grouped(99, 100));
    assert_eq!(go_on(&mut node, 20, Some(100), None), [""; 0]);
    // And so where the tie is heard and the other member is not.
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(go_on(&mut node, 20, None, Some(100)), [""; 0]);
}

/// VI_1 waits for no master since long, VI_2 follows one of the same priority. A lower priority in
/// VI_1 decides: the take-over is due at that moment, and no wake-up was late.
#[test]
fn a_take_over_that_an_advertisement_decides_is_due_when_it_arrives() {
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(go_on(&mut node, 8, None, Some(100)), [""; 0]);
    hear(&mut node, Some(99), None);
    node.take(Input::Tick);
    assert_eq!(states(&node), [State::Master; 2]);
    let late = |name| node.status(name).counters.late_wakeups;
    assert_eq!(["VI_1", "VI_2"].map(late), [0, 0]);
}

/// The same advertisement, read by a host that slept past its own deadline before.
#[test]
fn a_decision_that_is_read_late_is_still_late() {
    let mut node = Node::running(grouped(100, 100));
    assert_eq!(go_on(&mut node, 3, None, Some(100)), [""; 0]);
    node.now = node.due() + SECOND * 5;
    hear(&mut node, Some(99), None);
    node.take(Input::Tick);
    assert_eq!(states(&node), [State::Backup; 2]);
    assert!(node.due() > node.now);
    assert_eq!(node.status("VI_1").counters.late_wakeups, 1);
}

/// The socket of a frozen host keeps the first packets of the freeze and loses the others.
#[test]
fn a_packet_that_waited_in_the_socket_of_a_frozen_host_ends_no_wait() {
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
fn a_fault_of_one_is_a_fault_of_all_and_over_for_all() {
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
    // A second fault_reason takes the place of the first in none but its own member.
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
            "VI_1: fault -> backup (over: interface eth1 has no carrier)",
            "VI_2: fault -> backup (over: with VI_1: interface eth1 has no carrier)",
        ]
    );
}

#[test]
fn masters_yield_whole_to_who_goes_before_in_the_first_member_that_is_no_tie() {
    let mut node = Node::mastering(grouped(99, 100));
    assert_eq!(
        hear(&mut node, Some(100), None),
        [
            "advertise on 2 from 192.168.224.12: VRID 51, priority 99, 192.168.224.100",
            "on 2 hold [], release [192.168.224.100/24]",
            "VI_1: master -> backup (192.168.224.11 advertises priority 100, ours is 99: yielded)",
            // Who waits for it here is not to wait in vain.
            "advertise on 3 from 192.168.198.12: VRID 52, priority 100, 192.168.198.100",
            "advertise on 3 from 192.168.198.12: VRID 52, priority 0, 192.168.198.100",
            "on 3 hold [], release [192.168.198.100/24]",
            "VI_2: master -> backup (with VI_1: 192.168.224.11 advertises priority 100, ours is 99: \
             yielded)",
        ]
    );
}

#[test]
fn whichever_packet_comes_first_the_first_member_decides() {
    let mut node = Node::mastering(grouped(100, 99));
    // A loss in VI_2, and it is not known yet how VI_1 stands.
    assert_eq!(states(&node), [State::Master; 2]);
    hear(&mut node, None, Some(100));
    assert_eq!(states(&node), [State::Master; 2]);
    assert_eq!(
        only("VI_1: master", go_on(&mut node, 20, Some(99), Some(100))),
        [""; 0]
    );
    assert_eq!(states(&node), [State::Master; 2]);
}

#[test]
fn a_loss_in_a_later_member_counts_when_nobody_is_heard_in_the_first_for_a_wait() {
    let mut node = Node::mastering(grouped(100, 99));
    let lines = go_on(&mut node, 4, None, Some(100));
    assert_eq!(only("VI_2: master -> backup", lines), [""; 0], "not yet");
    let lines = go_on(&mut node, 1, None, Some(100));
    assert_eq!(
        lines,
        [
            "VI_1: master -> backup (with VI_2: 192.168.198.13 advertises priority 100, ours is 99: \
             yielded)",
            "VI_2: master -> backup (192.168.198.13 advertises priority 100, ours is 99: yielded)",
        ]
    );
}

#[test]
fn among_full_ties_the_greater_address_of_the_first_member_wins() {
    // 192.168.224.11 is the lesser one, and 192.168.198.13 the greater.
    let mut node = Node::mastering(grouped(100, 100));
    let lines = go_on(&mut node, 10, Some(100), Some(100));
    assert_eq!(only("VI_1: master -> backup", lines), [""; 0]);
    // Where the other one is heard in VI_2 alone, that is the first.
    let mut node = Node::mastering(grouped(100, 100));
    let lines = go_on(&mut node, 5, None, Some(100));
    assert_eq!(
        only("VI_1: master -> backup", lines),
        [
            "VI_1: master -> backup (with VI_2: 192.168.198.13 has the same priority 100 and the greater address)"
        ]
    );
}

#[test]
fn the_weights_of_all_members_and_of_the_group_count_in_each() {
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
fn the_longest_delay_before_preemption_is_that_of_all() {
    let mut params = grouped(100, 100);
    params.routers.get_mut("VI_2").unwrap().preempt_delay = SECOND * 10;
    let mut node = Node::running(params);
    assert_eq!(go_on(&mut node, 9, Some(99), Some(100)), [""; 0]);
    assert_eq!(go_on(&mut node, 2, Some(99), Some(100)).len(), 2);
}

#[test]
fn masters_that_overslept_in_one_member_are_masters_in_none() {
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
            "VI_1: master -> backup (stood still for 5.906 s: others may be master)",
            "advertise on 3 from 192.168.198.12: VRID 52, priority 0, 192.168.198.100",
            "VI_2: master -> backup (with VI_1: stood still for 5.906 s: others may be master)",
        ]
    );
}

#[test]
fn who_joins_masters_is_master_and_who_leaves_stays_what_it_is() {
    let mut alone = grouped(100, 100);
    alone.routers.remove("VI_2");
    alone.groups.insert("VG_1".into(), members(&["VI_1"]));
    let mut node = Node::mastering(alone);
    let both = grouped(100, 100);
    assert_eq!(
        only("VI_", node.configure(both.clone())),
        ["VI_2: init -> master (in sync group VG_1 from now on, which is master)"]
    );
    let mut apart = both;
    apart.groups.clear();
    assert_eq!(node.configure(apart.clone()), [""; 0]);
    // Each for itself: VI_1 yields, and VI_2 does not.
    assert_eq!(
        only("VI_", hear(&mut node, Some(101), None)),
        ["VI_1: master -> backup (192.168.224.11 advertises priority 101, ours is 100: yielded)"]
    );
    apart
        .groups
        .insert("VG_2".into(), members(&["VI_2", "VI_1"]));
    assert_eq!(
        only("VI_", node.configure(apart)),
        ["VI_2: master -> backup (in sync group VG_2 from now on, which is backup)"]
    );
}

#[test]
fn a_reload_that_changes_nothing_moves_nobody() {
    let mut node = Node::mastering(grouped(100, 100));
    assert_eq!(node.configure(grouped(100, 100)), [""; 0]);
    let mut node = Node::running(grouped(99, 100));
    go_on(&mut node, 5, Some(100), Some(100));
    let due = node.due();
    assert_eq!(node.configure(grouped(99, 100)), [""; 0]);
    assert_eq!(node.due(), due);
}

#[test]
fn a_backup_that_wakes_late_listens_anew_in_the_members_that_it_slept_through() {
    let mut node = Node::running(grouped(100, 100));
    node.sleep(SECOND * 5);
    assert_eq!(only("VI_", node.give(Input::Tick)), [""; 0]);
    assert_eq!(node.status("VI_1").counters.late_wakeups, 1);
    assert_eq!(node.status("VI_2").counters.late_wakeups, 1);
    assert_eq!(only("VI_", node.advance(SECOND * 4)).len(), 2);
}
