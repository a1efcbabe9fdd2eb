//! Standing commands of the operator.

use core::time::Duration;

use super::rig::*;
use crate::events::Input;
use crate::operator::{CommandKey, CommandKind, Order, StandingCommand};
use crate::params::{GroupParams, NodeParams};
use crate::types::{Priority, State};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn step_down_resigns_and_stands_back_for_a_peer() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        node.step_down("VI_1", true),
        [
            "VI_1: step-down Begun(Some(60s))",
            "VI_1: priority 100 -> 1",
            "advertise on 2 from 192.168.224.12: VRID 51, priority 0, 192.168.224.100",
            "VI_1: hands over for 1.25s",
            "VI_1: master -> backup (step-down by root (uid 0): kernel update)",
        ]
    );
    assert_eq!(node.held(), ["192.168.224.100/24 on 2"]);
    node.receive_advert(50);
    assert_eq!(node.held(), [""; 0], "its successor serves");
    for _ in 0..58 {
        node.advance(SECOND);
        node.receive_advert(50);
    }
    assert_eq!(node.state("VI_1"), State::Backup, "no preemption");
    let lines = node.advance(SECOND * 2);
    assert!(
        lines.contains(&"VI_1: step-down Expired".into()),
        "{lines:?}"
    );
    node.receive_advert(50);
    node.advance(SECOND);
    assert_eq!(node.state("VI_1"), State::Master, "it preempts again");
}

#[test]
fn step_down_without_a_successor_ends_as_last_resort() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.step_down("VI_1", true);
    // Three intervals, and the skew time of priority 1.
    node.advance(Duration::from_millis(3990));
    assert_eq!(node.state("VI_1"), State::Backup);
    node.advance(Duration::from_millis(10));
    assert_eq!(node.state("VI_1"), State::Master);
    assert_eq!(node.status("VI_1").priority.effective, Priority::MIN);
    node.receive_advert(50);
    assert_eq!(node.state("VI_1"), State::Backup, "it yields to any peer");
}

#[test]
fn step_down_without_last_resort_waits_for_its_end() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.step_down("VI_1", false);
    node.advance(Duration::from_secs(59));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(
        &*node.status("VI_1").cause,
        "step-down without last resort: no take-over"
    );
    node.advance(SECOND * 4);
    assert_eq!(node.state("VI_1"), State::Backup, "it listens first");
    node.advance(SECOND);
    assert_eq!(node.state("VI_1"), State::Master);
}

/// The wait that the end of the drain begins is that of the priority without the other command.
#[test]
fn commands_that_expire_together_end_before_their_routers_change() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.command(Order::Priority {
        router: "VI_1".into(),
        priority: Priority::MIN,
    });
    node.drain(false);
    node.advance(MINUTE);
    let skew = SECOND * 156 / 256;
    assert_eq!(node.due().since(node.now), SECOND * 3 + skew);
}

#[test]
fn drained_master_advertises_the_lowest_priority() {
    let mut node = Node::mastering(routers([("VI_1", vi_1()), ("VI_2", vi_2())]));
    let lines = node.drain(true);
    assert_eq!(
        lines,
        [
            "node: drain Begun(Some(60s))",
            "VI_1: priority 100 -> 1",
            "VI_2: priority 100 -> 1",
        ]
    );
    let lines = only("advertise", node.advance(SECOND));
    assert!(
        lines.iter().all(|line| line.contains("priority 1,")),
        "{lines:?}"
    );
    assert_eq!(node.state("VI_1"), State::Master, "without a peer");
    node.receive_advert(50);
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(node.status("VI_1").priority.reasons, ["drain -99"]);
    let lines = node.give(Input::EndCommand {
        key: CommandKey::DRAIN,
        by: "root".into(),
    });
    assert_eq!(
        lines,
        [
            "node: drain Ended(\"root\")",
            "VI_1: priority 1 -> 100",
            "VI_2: priority 1 -> 100"
        ]
    );
    assert_eq!(node.engine.snapshot(node.now).commands, []);
}

#[test]
fn drain_without_last_resort_resigns_everywhere() {
    let mut node = Node::mastering(routers([("VI_1", vi_1()), ("VI_2", vi_2())]));
    let lines = node.drain(false);
    assert_eq!(only("advertise", lines).len(), 2);
    // Without a successor the addresses leave after the longest skew time and a margin.
    assert_eq!(node.held().len(), 2);
    node.advance(Duration::from_secs(30));
    assert_eq!(node.held(), [""; 0]);
}

#[test]
fn drain_of_an_unconfigured_node_applies_at_the_start() {
    let mut node = Node::wired();
    node.drain(false);
    node.configure(routers([("VI_1", vi_1())]));
    node.advance(Duration::from_secs(30));
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(node.status("VI_1").commands.len(), 1);
}

#[test]
fn drain_does_not_concern_the_owner_of_addresses() {
    let mut owner = vi_1();
    owner.priority = Priority::OWNER;
    let mut node = Node::mastering(routers([("VI_1", owner), ("VI_2", vi_2())]));
    node.drain(false);
    assert_eq!(node.state("VI_1"), State::Master);
    assert_eq!(node.status("VI_1").priority.effective, Priority::OWNER);
    assert_eq!(node.status("VI_1").commands, []);
    assert_eq!(node.state("VI_2"), State::Backup);
}

#[test]
fn priority_of_the_operator_replaces_the_configured_one() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        node.command(Order::Priority {
            router: "VI_1".into(),
            priority: priority(150),
        }),
        [
            "VI_1: priority Begun(Some(60s))",
            "VI_1: priority 100 -> 150"
        ]
    );
    let status = node.status("VI_1").priority;
    assert_eq!(status.configured, priority(100));
    assert_eq!(status.reasons, ["priority +50"]);
    node.drain(true);
    let status = node.status("VI_1").priority;
    assert_eq!(status.reasons, ["priority +50", "drain -149"]);
    let mut reloaded = vi_1();
    reloaded.preempt = false;
    node.configure(routers([("VI_1", reloaded)]));
    assert_eq!(node.status("VI_1").priority.effective, Priority::MIN);
    node.advance(MINUTE);
    assert_eq!(node.status("VI_1").priority.effective, priority(100));
}

#[test]
fn step_down_of_one_member_is_that_of_its_group() {
    let mut node = Node::mastering(grouped());
    let lines = node.step_down("VI_2", false);
    assert_eq!(
        only("VI", lines),
        [
            "VI_2: step-down Begun(Some(60s))",
            "VI_1: priority 100 -> 1",
            "VI_2: priority 100 -> 1",
            "VI_1: hands over for 1.25s",
            "VI_1: master -> backup (with VI_2: step-down by root (uid 0): kernel update)",
            "VI_2: hands over for 1.25s",
            "VI_2: master -> backup (step-down by root (uid 0): kernel update)",
        ]
    );
    node.advance(Duration::from_secs(30));
    assert_eq!(node.held(), [""; 0]);
    assert_eq!(
        node.status("VI_1").commands[0].command,
        CommandKind::StepDown
    );
    node.advance(Duration::from_secs(36));
    assert_eq!(node.held().len(), 2);
}

#[test]
fn barred_router_that_joins_a_group_of_masters_makes_it_backup() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.step_down("VI_2", false);
    node.configure(grouped());
    assert_eq!(node.state("VI_1"), State::Backup);
    assert_eq!(node.state("VI_2"), State::Backup);
}

#[test]
fn commands_are_independent_of_failed_resources() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    node.give(Input::Inhibited {
        router: "VI_1",
        why: Some("broken".into()),
    });
    node.step_down("VI_1", false);
    assert_eq!(node.state("VI_1"), State::Fault);
    node.give(Input::Inhibited {
        router: "VI_1",
        why: None,
    });
    node.advance(Duration::from_secs(30));
    assert_eq!(node.state("VI_1"), State::Backup, "the step-down stands");
}

#[test]
fn announcement_by_order_is_that_of_masters_only() {
    let mut node = Node::mastering(routers([("VI_1", vi_1()), ("VI_2", vi_2())]));
    assert_eq!(node.give(Input::Announce(None)).len(), 2);
    assert_eq!(
        node.give(Input::Announce(Some("VI_1"))),
        ["announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24"]
    );
    node.step_down("VI_1", true);
    assert_eq!(node.give(Input::Announce(Some("VI_1"))), [""; 0]);
    assert_eq!(node.give(Input::Announce(Some("VI_0"))), [""; 0]);
}

impl Node {
    pub(super) fn command(&mut self, order: Order) -> Vec<String> {
        let until = Some(self.now + MINUTE);
        self.give(Input::Command(StandingCommand {
            order,
            until,
            by: "root (uid 0)".into(),
            reason: Some("kernel update".into()),
        }))
    }

    fn step_down(&mut self, router: &str, last_resort: bool) -> Vec<String> {
        let router = router.into();
        self.command(Order::StepDown {
            router,
            last_resort,
        })
    }

    fn drain(&mut self, last_resort: bool) -> Vec<String> {
        self.command(Order::Drain { last_resort })
    }
}

/// VI_1 and VI_2 in one sync group.
fn grouped() -> NodeParams {
    let members = vec!["VI_1".into(), "VI_2".into()];
    NodeParams {
        groups: [(
            "G".into(),
            GroupParams {
                members,
                ..GroupParams::default()
            },
        )]
        .into(),
        ..routers([("VI_1", vi_1()), ("VI_2", vi_2())])
    }
}
