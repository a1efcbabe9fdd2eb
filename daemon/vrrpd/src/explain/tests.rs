use vrrp_proto::Priority;
use vrrp_proto::snapshot::{
    CommandStatus, ConflictStatus, NextStatus, TrackerStatus, TransitionStatus,
};

use super::*;
use crate::status::tests::instance;

/// A backup of priority 99 that waits for the end of its master-down interval.
fn backup() -> RouterStatus {
    RouterStatus {
        cause: "started".into(),
        next: Some(NextStatus {
            due: Due::TakeOver,
            left: 3.2,
        }),
        ..instance("VI_1", 51, State::Backup)
    }
}

/// A backup that hears a master of this priority.
fn behind(priority: u8) -> RouterStatus {
    let address = [192, 168, 224, 11].into();
    RouterStatus {
        cause: format!("192.168.224.11 advertises priority {priority}, ours is 99").into(),
        master: Some(PeerStatus {
            address,
            priority,
            heard_for: 300.0,
        }),
        others: vec![OtherRouter {
            address,
            priority,
            age: 0.4,
            interval: 1.0,
            checksum: None,
            differences: vec!["also lists 192.0.2.1".to_owned()],
        }],
        ..backup()
    }
}

fn explained(instance: RouterStatus) -> String {
    explained_with(instance, Vec::new())
}

fn explained_with(instance: RouterStatus, trackers: Vec<TrackerStatus>) -> String {
    let snapshot = Snapshot {
        trackers,
        ..Snapshot::default()
    };
    describe(&snapshot, &instance)
}

/// The lines with this subject.
fn lines<'a>(text: &'a str, subject: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| {
        let (first, rest) = line.strip_prefix("  ")?.split_at_checked(12)?;
        (first.trim_end() == subject).then_some(rest)
    });
    lines.collect()
}

#[test]
fn master_shows_its_address_claims_and_history() {
    let master = RouterStatus {
        next: Some(NextStatus {
            due: Due::Advertisement,
            left: 0.4,
        }),
        address_conflict: Some(ConflictStatus {
            address: [192, 168, 224, 100].into(),
            mac: "02:00:00:00:00:07".to_owned(),
            interface: "eth1".into(),
            age: 5.0,
        }),
        history: vec![TransitionStatus {
            from: State::Backup,
            to: State::Master,
            cause: "no advertisement from 192.168.224.11 for 3.609 s".into(),
            priority: Priority::new(99).unwrap(),
            age: 125.25,
        }],
        ..instance("VI_1", 51, State::Master)
    };
    insta::assert_snapshot!(explained(master), @"
    VI_1
      state       master for 2 min, on eth1 with VRID 51, version 2
      why         no advertisement from 192.168.224.11 for 3.609 s
      master      this host (192.168.224.12)
      priority    99, as configured
      attention   address conflict: 02:00:00:00:00:07 claimed 192.168.224.100 on eth1 5 s ago
      next        advertisement in 0.4 s
      before      2 min ago backup -> master (priority 99): no advertisement from 192.168.224.11 for 3.609 s
    ");
}

#[test]
fn backup_behind_better_master_waits_for_its_silence() {
    insta::assert_snapshot!(explained(behind(100)), @"
    VI_1
      state       backup for 2 min, on eth1 with VRID 51, version 2
      why         192.168.224.11 advertises priority 100, ours is 99
      master      192.168.224.11 with priority 100, heard for 5 min, last advertisement 0.4 s ago
      not master  priority 99 is lower than 100 of 192.168.224.11
      becomes it  in 3.2 s, unless another advertisement of 192.168.224.11 arrives; or earlier when it resigns (priority 0) or advertises a priority below 99
      priority    99, as configured
      peer        192.168.224.11 advertised priority 100 0.4 s ago, its interval is 1 s; also lists 192.0.2.1
    ");
}

#[test]
fn backup_that_hears_nobody_waits_for_its_timer() {
    let text = explained(backup());
    assert_eq!(lines(&text, "master"), ["none heard for 2 min"]);
    insta::assert_snapshot!(lines(&text, "not master").join("\n"), @"it has not listened for long enough to know that there is no master");
    insta::assert_snapshot!(lines(&text, "becomes it").join("\n"), @"in 3.2 s, unless an advertisement arrives");
}

#[test]
fn priority_of_master_decides_the_reason() {
    let reason = |instance| lines(&explained(instance), "not master").join("\n");
    insta::assert_snapshot!(reason(behind(99)), @"192.168.224.11 has the same priority 99, and only a higher one preempts");
    insta::assert_snapshot!(reason(behind(80)), @"192.168.224.11 has the lower priority 80: its preemption is due");
    insta::assert_snapshot!(reason(behind(0)), @"192.168.224.11 has resigned, and the skew time has not passed");
}

#[test]
fn hold_off_names_setting_and_remaining_time() {
    let reason = |reason, ends_in| {
        let held = RouterStatus {
            hold_off: Some(HoldOffStatus { reason, ends_in }),
            ..behind(80)
        };
        lines(&explained(held), "not master").join("\n")
    };
    insta::assert_snapshot!(reason(HoldOffReason::StartupDelay, Some(12.0)), @"startupDelay ends in 12 s");
    insta::assert_snapshot!(reason(HoldOffReason::Flapping, Some(9.5)), @"too many take-overs in quick succession: the next one in 9.5 s at the earliest");
    insta::assert_snapshot!(reason(HoldOffReason::PreemptDelay, Some(200.0)), @"192.168.224.11 has the lower priority 80, and preemptDelay ends in 3 min");
    insta::assert_snapshot!(reason(HoldOffReason::NoPreemption, None), @"192.168.224.11 has the lower priority 80, and preempt is false");
    insta::assert_snapshot!(reason(HoldOffReason::Unsent, None), @"192.168.224.11 has the lower priority 80, and no advertisement left this host when it was master last; mend that, then reload");
}

#[test]
fn preemption_off_is_no_condition_for_a_take_over() {
    let held = RouterStatus {
        preempt: false,
        hold_off: Some(HoldOffStatus {
            reason: HoldOffReason::NoPreemption,
            ends_in: None,
        }),
        ..behind(80)
    };
    insta::assert_snapshot!(lines(&explained(held), "becomes it").join("\n"), @"in 3.2 s, unless another advertisement of 192.168.224.11 arrives; or earlier when it resigns (priority 0)");
}

#[test]
fn tracker_shows_its_verdict_and_its_part() {
    let track = |tracker: &str, weight, contribution, fault: Option<&str>| TrackStatus {
        tracker: tracker.into(),
        weight,
        contribution,
        fault: fault.map(str::to_owned),
    };
    let tracker = |name: &str, up| TrackerStatus {
        name: name.into(),
        up,
        value: None,
        age: up.map(|_| 4.0),
        changes_in: None,
        detail: if up == Some(false) {
            "exit status: 1"
        } else {
            ""
        }
        .into(),
        results: 1,
        failures: 0,
    };
    let mut fault = RouterStatus {
        next: None,
        cause: "tracker web is down: exit status: 1".into(),
        ..instance("VI_1", 51, State::Fault)
    };
    fault.priority.tracks = vec![
        track("web", None, 0, Some("tracker web is down: exit status: 1")),
        track("load", Some(-20), -20, None),
        track("new", Some(5), 0, None),
    ];
    let trackers = vec![
        tracker("web", Some(false)),
        tracker("load", Some(false)),
        tracker("new", None),
    ];
    insta::assert_snapshot!(explained_with(fault, trackers), @"
    VI_1
      state       fault for 2 min, on eth1 with VRID 51, version 2
      why         tracker web is down: exit status: 1
      master      unknown: this instance does not listen
      not master  tracker web is down: exit status: 1
      becomes it  not before the fault is over; then it listens as a backup first
      priority    99, as configured
      tracker     web is down for 4.0 s (exit status: 1); a fault while down
      tracker     load is down for 4.0 s (exit status: 1); weight -20, adds -20 now
      tracker     new is without a verdict so far; weight 5, adds 0 now
    ");
}

#[test]
fn member_of_group_names_the_member_that_decided() {
    let snapshot = Snapshot {
        groups: vec![GroupStatus {
            name: "gateway".into(),
            state: State::Backup,
            state_age: 5.0,
            members: vec!["VI_1".into(), "VI_2".into()],
            decided_by: Some("VI_2".into()),
            cause: "192.168.198.11 advertises priority 100, ours is 99".into(),
            notify: None,
        }],
        ..Snapshot::default()
    };
    let text = describe(&snapshot, &backup());
    insta::assert_snapshot!(lines(&text, "sync group").join("\n"), @"gateway: VI_1, VI_2 change their state together; VI_2 decided: 192.168.198.11 advertises priority 100, ours is 99");
}

#[test]
fn standing_command_is_shown_with_its_end() {
    let drain = CommandStatus {
        command: CommandKind::Drain,
        instance: None,
        priority: None,
        last_resort: Some(true),
        by: "alice (uid 1000)".into(),
        reason: Some("kernel update".into()),
        ends_in: Some(1800.0),
    };
    let drained = RouterStatus {
        commands: vec![drain.clone()],
        ..behind(100)
    };
    let text = explained(drained);
    let command = lines(&text, "command");
    assert_eq!(command.len(), 1, "{text}");
    assert!(
        command[0].starts_with("drain by alice (uid 1000)"),
        "{text}"
    );
    assert!(command[0].ends_with("kernel update"), "{text}");
    assert!(
        lines(&text, "becomes it")[0].starts_with("in 3.2 s, unless"),
        "{text}"
    );

    let barred = RouterStatus {
        commands: vec![CommandStatus {
            last_resort: Some(false),
            ..drain
        }],
        ..behind(100)
    };
    let text = explained(barred);
    assert_eq!(
        lines(&text, "not master"),
        ["the drain without last resort"],
        "{text}"
    );
    assert_eq!(
        lines(&text, "becomes it"),
        ["not before the end of the drain, even if there is no other master"],
        "{text}"
    );
}
