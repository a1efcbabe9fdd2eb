use State::{Backup, Fault, Init, Master};

use super::*;

#[test]
fn notifications_run_one_at_a_time_in_order() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    rig.moves(Backup, Master);
    assert_eq!(rig.runs(), [""; 0], "the first command runs");
    assert_eq!(rig.ends(true), Then::Over);
    assert_eq!(rig.runs(), ["VI_1 master"]);
    rig.ends(true);
    rig.moves(Master, Fault);
    assert_eq!(rig.runs(), ["VI_1 fault"]);
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
}

#[test]
fn any_command_runs_after_specific_command() {
    let any = Some("any");
    let mut rig = Rig::new(Notify { any, ..all() });
    rig.moves(Init, Backup);
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    rig.moves(Backup, Master);
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 any"], "a job that has begun is finished");
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 master"]);
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 any"]);
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
}

#[test]
fn newest_state_replaces_waiting_states() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    for (from, to) in [
        (Backup, Master),
        (Master, Backup),
        (Backup, Fault),
        (Fault, Backup),
    ] {
        rig.moves(from, to);
    }
    assert_eq!(rig.status().waiting, [Event::Backup]);
    assert_eq!(rig.status().dropped, 3);
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
}

#[test]
fn state_without_command_discards_waiting_states() {
    let fault = None;
    let mut rig = Rig::new(Notify { fault, ..all() });
    rig.moves(Init, Backup);
    rig.runs();
    rig.moves(Backup, Master);
    rig.moves(Master, Fault);
    assert_eq!(rig.ends(false), Then::GivenUp, "backup is out of date");
    assert_eq!(rig.runs(), [""; 0], "master is out of date");
    assert!(rig.scheduler.is_idle());
}

#[test]
fn stops_are_never_discarded_and_stay_in_order() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.moves(Backup, Master);
    rig.becomes(Master, Init, Cause::Redefined);
    rig.moves(Init, Backup);
    rig.moves(Backup, Master);
    rig.becomes(Master, Init, Cause::Redefined);
    rig.moves(Init, Fault);
    assert_eq!(
        rig.status().waiting,
        [Event::Stop, Event::Stop, Event::Fault]
    );
    rig.ends(true);
    for expected in ["VI_1 stop", "VI_1 stop", "VI_1 fault"] {
        assert_eq!(rig.runs(), [expected]);
        rig.ends(true);
    }
    assert!(rig.scheduler.is_idle());
}

#[test]
fn failed_command_is_retried_with_growing_delay() {
    let retries = 8;
    let mut rig = Rig::new(Notify { retries, ..all() });
    rig.moves(Init, Backup);
    for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(rig.runs(), ["VI_1 backup"]);
        let rest = Duration::from_secs(rest);
        assert_eq!(rig.ends(false), Then::Again(rest));
        assert_eq!(rig.runs(), [""; 0]);
        assert_eq!(rig.scheduler.poll_timeout(), Some(rig.now + rest));
        rig.now = rig.now + rest;
    }
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    assert_eq!(rig.ends(false), Then::GivenUp);
    assert!(rig.scheduler.is_idle());
    let status = rig.status();
    assert_eq!((status.runs, status.failures), (9, 9));
}

#[test]
fn outdated_command_is_not_retried() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    assert_eq!(rig.ends(false), Then::Again(Duration::from_secs(1)));
    rig.moves(Backup, Master);
    assert_eq!(rig.runs(), ["VI_1 master"], "at once");
    rig.moves(Master, Backup);
    assert_eq!(rig.ends(false), Then::GivenUp);
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    assert_eq!(
        rig.ends(false),
        Then::Again(Duration::from_secs(1)),
        "the count of attempts begins again"
    );
}

#[test]
fn on_start_controls_notification_of_first_state() {
    let on_start = false;
    let mut rig = Rig::new(Notify { on_start, ..all() });
    rig.moves(Init, Backup);
    assert_eq!(rig.runs(), [""; 0]);
    rig.moves(Backup, Master);
    assert_eq!(rig.runs(), ["VI_1 master"]);
}

#[test]
fn on_reload_repeats_notification_of_present_state() {
    let on_reload = true;
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.ends(true);
    rig.scheduler.configure(configured(all()));
    rig.scheduler.configured();
    assert_eq!(rig.runs(), [""; 0], "on_reload is off");
    for _ in 0..2 {
        rig.scheduler
            .configure(configured(Notify { on_reload, ..all() }));
        assert_eq!(rig.runs(), [""; 0], "the configuration is not in force yet");
        rig.scheduler
            .priority(&"VI_1".into(), Priority::new(80).unwrap());
        rig.scheduler.configured();
        let run = rig.scheduler.poll(rig.now).unwrap();
        assert_eq!(run.command, "backup");
        assert!(run.news.again);
        assert_eq!(run.news.priority.get(), 80, "the present priority");
        rig.running.push(run.number);
        rig.ends(true);
    }
}

/// Settings of instances with all commands.
fn instances(names: &[&str]) -> BTreeMap<Subject, Notify<&'static str>> {
    let owners = names.iter().map(|name| Subject::Instance((*name).into()));
    owners.map(|owner| (owner, all())).collect()
}

#[test]
fn renamed_instance_is_not_notified_again() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    rig.moves(Backup, Master);
    rig.scheduler.configure(instances(&["WEB"]));
    rig.scheduler.rename(&[("VI_1", "WEB")].into());
    rig.scheduler.configured();
    rig.ends(true);
    assert_eq!(rig.runs(), ["WEB master"], "the queue goes on");
    rig.ends(true);
    let stop = transition(&"WEB".into(), Master, Init, Cause::Stopped);
    rig.scheduler.transition(&stop);
    assert_eq!(rig.runs(), ["WEB stop"]);
}

#[test]
fn instances_exchange_their_names_while_commands_run() {
    let mut rig = Rig::new(all());
    rig.scheduler = Scheduler::new(instances(&["A", "B"]));
    for (name, to) in [("A", Backup), ("B", Master)] {
        let first = transition(&name.into(), Init, to, Cause::Started);
        rig.scheduler.transition(&first);
    }
    assert_eq!(rig.runs(), ["A backup", "B master"]);
    rig.scheduler.configure(instances(&["A", "B"]));
    rig.scheduler.rename(&[("A", "B"), ("B", "A")].into());
    rig.scheduler.configured();
    let next = transition(&"A".into(), Master, Fault, Cause::Stopped);
    rig.scheduler.transition(&next);
    assert_eq!(rig.runs(), [""; 0], "the command of the former B runs");
    rig.ends(true);
    assert_eq!(rig.runs(), ["A fault"]);
    rig.ends(true);
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
}

#[test]
fn stop_of_removed_instance_is_notified_when_another_takes_its_name() {
    let mut rig = Rig::new(all());
    rig.scheduler = Scheduler::new(instances(&["A", "B"]));
    for name in ["A", "B"] {
        let first = transition(&name.into(), Init, Backup, Cause::Started);
        rig.scheduler.transition(&first);
    }
    assert_eq!(rig.runs(), ["A backup", "B backup"]);
    rig.scheduler.configure(instances(&["B"]));
    let stop = transition(&"B".into(), Backup, Init, Cause::Removed);
    rig.scheduler.transition(&stop);
    rig.scheduler.rename(&[("A", "B")].into());
    rig.scheduler.configured();
    // The command of the removed B, which has the name that has become free.
    rig.ends(true);
    assert_eq!(rig.runs(), ["A stop"]);
    rig.ends(true);
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
}

#[test]
fn renamed_group_member_causes_no_notification_of_the_group() {
    let with = |members: [&str; 2]| {
        let members = members.map(Into::into).to_vec();
        let group = Notify { members, ..all() };
        BTreeMap::from([(Subject::Group("G".into()), group)])
    };
    let mut scheduler = Scheduler::new(with(["VI_1", "VI_2"]));
    all_move(&mut scheduler, Init, Backup, Cause::Started);
    assert_eq!(told(&mut scheduler).len(), 1);
    scheduler.configure(with(["VI_2", "WEB"]));
    scheduler.rename(&[("VI_1", "WEB")].into());
    scheduler.configured();
    assert_eq!(told(&mut scheduler), [""; 0]);
}

#[test]
fn instance_renamed_by_a_restart_is_not_notified_again() {
    let mut rig = Rig::new(all());
    rig.scheduler = Scheduler::new(instances(&["WEB"]));
    let instances = BTreeMap::from([("VI_1".into(), Master)]);
    rig.scheduler.omit(Notified {
        instances,
        ..Notified::default()
    });
    rig.scheduler.rename(&[("VI_1", "WEB")].into());
    let first = transition(&"WEB".into(), Init, Master, Cause::Started);
    rig.scheduler.transition(&first);
    assert_eq!(rig.runs(), [""; 0]);
}

#[test]
fn transition_during_reload_is_notified_once() {
    let on_reload = true;
    let mut rig = Rig::new(Notify { on_reload, ..all() });
    rig.moves(Init, Backup);
    rig.runs();
    rig.ends(true);
    rig.scheduler
        .configure(configured(Notify { on_reload, ..all() }));
    rig.moves(Backup, Fault);
    rig.scheduler.configured();
    assert_eq!(rig.runs(), ["VI_1 fault"]);
    rig.ends(true);
    assert_eq!(rig.runs(), [""; 0]);
}

#[test]
fn removed_instance_is_stopped_by_former_command() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.ends(true);
    rig.scheduler.configure(BTreeMap::new());
    rig.becomes(Backup, Init, Cause::Removed);
    rig.scheduler.configured();
    assert_eq!(rig.runs(), ["VI_1 stop"]);
    rig.ends(true);
    rig.scheduler.configure(BTreeMap::new());
    rig.scheduler.configured();
    assert!(rig.scheduler.owners.is_empty(), "the entry is deleted");
    assert_eq!(rig.scheduler.status(rig.now, &owner()), None);
}

#[test]
fn redefined_instance_stops_by_former_and_starts_by_new_command() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.ends(true);
    let (backup, stop) = (Some("new backup"), Some("new stop"));
    rig.scheduler.configure(configured(Notify {
        backup,
        stop,
        ..all()
    }));
    rig.becomes(Backup, Init, Cause::Redefined);
    rig.moves(Init, Backup);
    rig.scheduler.configured();
    rig.becomes(Backup, Init, Cause::Stopped);
    for expected in ["VI_1 stop", "VI_1 new stop"] {
        assert_eq!(rig.runs(), [expected]);
        rig.ends(true);
    }
    assert!(rig.scheduler.is_idle());
}

#[test]
fn reload_does_not_interrupt_running_command() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.moves(Backup, Master);
    rig.scheduler.configure(configured(all()));
    rig.scheduler.configured();
    assert_eq!(rig.runs(), [""; 0], "one command at a time");
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 master"]);
}

#[test]
fn finish_is_bounded_and_stop_is_notified() {
    let mut rig = Rig::new(Notify {
        any: Some("any"),
        ..all()
    });
    assert_eq!(rig.scheduler.finish(rig.now), Duration::ZERO);
    rig.scheduler.is_finishing = false;
    rig.moves(Init, Backup);
    rig.runs();
    rig.now = rig.now + Duration::from_secs(10);
    rig.becomes(Backup, Init, Cause::Stopped);
    // The remaining time of the running command, then three of 30 s.
    assert_eq!(rig.scheduler.finish(rig.now), Duration::from_secs(20 + 90));
    rig.ends(false);
    for expected in ["VI_1 any", "VI_1 stop"] {
        assert_eq!(rig.runs(), [expected]);
        assert_eq!(rig.ends(false) == Then::GivenUp, expected == "VI_1 any");
    }
    rig.now = rig.now + Duration::from_secs(1);
    let run = rig.scheduler.poll(rig.now).unwrap();
    assert_eq!(
        run.limit,
        Duration::from_secs(29),
        "the rest of the time for all attempts"
    );
    rig.now = rig.now + run.limit;
    rig.running.push(run.number);
    assert_eq!(rig.ends(false), Then::GivenUp);
    assert_eq!(rig.runs(), ["VI_1 any"]);
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
}

#[test]
fn finish_gives_up_retry_after_timeout() {
    let mut rig = Rig::new(Notify {
        timeout: Duration::from_millis(500),
        ..all()
    });
    rig.moves(Init, Backup);
    rig.runs();
    assert_eq!(rig.ends(false), Then::Again(Duration::from_secs(1)));
    assert_eq!(rig.scheduler.finish(rig.now), Duration::ZERO);
    assert!(rig.scheduler.is_idle());
}

#[test]
fn running_commands_are_limited() {
    let names: Vec<Arc<str>> = (0..MOST_AT_ONCE + 5)
        .map(|n| format!("VI_{n:02}").into())
        .collect();
    let notify = names
        .iter()
        .map(|name| (Subject::Instance(Arc::clone(name)), all()));
    let mut rig = Rig::new(all());
    rig.scheduler = Scheduler::new(notify.collect());
    for name in &names {
        rig.scheduler
            .transition(&transition(name, Init, Backup, Cause::Started));
    }
    assert_eq!(rig.runs().len(), MOST_AT_ONCE);
    assert_eq!(rig.scheduler.finish(rig.now), Duration::from_secs(2 * 30));
    let first = rig.running.remove(0);
    rig.scheduler.ended(rig.now, first, true, "".into());
    assert_eq!(
        rig.runs(),
        [format!("VI_{MOST_AT_ONCE:02} backup")],
        "in the order of the transitions"
    );
}

#[test]
fn status_shows_result_of_last_command() {
    let mut rig = Rig::new(all());
    assert_eq!(
        rig.status(),
        NotifyStatus::default(),
        "before the first transition"
    );
    rig.moves(Init, Backup);
    rig.runs();
    rig.moves(Backup, Master);
    let run = rig.running.remove(0);
    rig.scheduler
        .ended(rig.now, run, false, "exit status: 7: no".into());
    rig.now = rig.now + Duration::from_secs(3);
    assert_eq!(rig.status().waiting, [Event::Master]);
    rig.scheduler.poll(rig.now);
    assert_eq!(
        rig.status(),
        NotifyStatus {
            running: Some(Event::Master),
            waiting: vec![],
            dropped: 0,
            runs: 1,
            failures: 1,
            last: Some(crate::snapshot::NotifyRunStatus {
                event: Event::Backup,
                succeeded: false,
                detail: "exit status: 7: no".into(),
                age: 3.0,
            }),
        }
    );
}

#[test]
fn group_is_notified_once_after_last_member_moved() {
    let mut scheduler = Scheduler::new(grouped(&["VI_1", "VI_2"]));
    all_move(&mut scheduler, Init, Backup, Cause::Started);
    assert_eq!(
        told(&mut scheduler),
        ["VG backup init->backup: started, listening first"]
    );
    let [first, second] = ["VI_1", "VI_2"].map(Arc::<str>::from);
    scheduler.transition(&transition(&first, Backup, Master, SILENT));
    assert_eq!(told(&mut scheduler), [""; 0], "the other member is backup");
    let cause = Arc::new(SILENT);
    let with = Cause::With {
        member: Arc::clone(&first),
        cause,
    };
    scheduler.transition(&transition(&second, Backup, Master, with));
    assert_eq!(
        told(&mut scheduler),
        ["VG master backup->master: no advertisement from any router for 3.000 s"]
    );
    all_move(&mut scheduler, Master, Init, Cause::Stopped);
    assert_eq!(
        told(&mut scheduler),
        ["VG stop master->init: the daemon stops"]
    );
    assert!(scheduler.is_idle());
}

#[test]
fn reload_notifies_of_created_and_removed_group() {
    let mut scheduler = Scheduler::new(BTreeMap::new());
    all_move(&mut scheduler, Init, Master, Cause::Started);
    assert_eq!(told(&mut scheduler), [""; 0]);
    let mut reload = |notify: BTreeMap<_, _>| {
        scheduler.configure(notify);
        scheduler.configured();
        told(&mut scheduler)
    };
    assert_eq!(
        reload(grouped(&["VI_1", "VI_2"])),
        ["VG master init->master: joined sync group VG, which is master"]
    );
    assert_eq!(
        reload(grouped(&["VI_2"])),
        [""; 0],
        "the group is still master"
    );
    assert_eq!(
        reload(BTreeMap::new()),
        ["VG stop master->init: removed from the configuration"]
    );
    assert_eq!(reload(BTreeMap::new()), [""; 0]);
}

#[test]
fn group_has_priority_of_first_member() {
    let mut scheduler = Scheduler::new(grouped(&["VI_2", "VI_1"]));
    all_move(&mut scheduler, Init, Backup, Cause::Started);
    told(&mut scheduler);
    let priority = |number| Priority::new(number).unwrap();
    scheduler.priority(&"VI_2".into(), priority(80));
    scheduler.priority(&"VI_1".into(), priority(70));
    let notify = grouped(&["VI_2", "VI_1"])
        .into_iter()
        .map(|(owner, notify)| {
            let on_reload = true;
            (
                owner,
                Notify {
                    on_reload,
                    ..notify
                },
            )
        });
    scheduler.configure(notify.collect());
    scheduler.configured();
    let run = scheduler
        .poll(Instant::ZERO)
        .expect("the state is notified again");
    assert_eq!((run.news.priority, run.news.again), (priority(80), true));
}

#[test]
fn contested_master_is_notified_with_any_command_after_it() {
    let any = Some("any");
    let mut rig = Rig::new(Notify { any, ..all() });
    rig.moves(Init, Backup);
    rig.moves(Backup, Master);
    for expected in ["VI_1 master", "VI_1 any"] {
        assert_eq!(rig.runs(), [expected]);
        rig.ends(true);
    }
    rig.contest();
    let run = rig
        .scheduler
        .poll(rig.now)
        .expect("the contest is notified");
    assert_eq!(run.command, "contested");
    let expected = Notification {
        event: Event::Contested,
        from: Master,
        to: Master,
        cause: GONE,
        priority: Priority::DEFAULT,
        again: true,
    };
    assert_eq!(*run.news, expected);
    rig.running.push(run.number);
    assert_eq!(rig.status().running, Some(Event::Contested));
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 any"]);
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
}

/// The notification of the state comes after the end of the contest.
#[test]
fn contested_master_is_not_notified_while_its_state_waits() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.moves(Backup, Master);
    rig.contest();
    assert_eq!(rig.status().waiting, [Event::Master]);
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 master"]);
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
}

#[test]
fn contested_notification_follows_master_and_its_retries() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Master);
    rig.runs();
    rig.contest();
    rig.contest();
    assert_eq!(
        rig.status().waiting,
        [Event::Contested],
        "a later one replaces an earlier one"
    );
    let rest = Duration::from_secs(1);
    assert_eq!(
        rig.ends(false),
        Then::Again(rest),
        "the state is not superseded"
    );
    assert_eq!(rig.runs(), [""; 0]);
    rig.now = rig.now + rest;
    assert_eq!(rig.runs(), ["VI_1 master"]);
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 contested"]);
    assert_eq!(rig.ends(false), Then::Again(rest));
    rig.contest();
    assert_eq!(rig.runs(), ["VI_1 contested"], "instead of the retry");
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
    assert_eq!(rig.status().dropped, 0);
}

#[test]
fn newer_state_supersedes_contested_notification() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Master);
    rig.runs();
    rig.contest();
    rig.moves(Master, Backup);
    rig.contest();
    assert_eq!(
        rig.status().waiting,
        [Event::Backup],
        "a report that is late"
    );
    assert_eq!(rig.status().dropped, 0, "the state was notified");
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    rig.ends(true);
    assert!(rig.scheduler.is_idle());
}

#[test]
fn contested_group_is_notified_once_with_deciding_member() {
    let mut scheduler = Scheduler::new(grouped(&["VI_1", "VI_2"]));
    all_move(&mut scheduler, Init, Master, SILENT);
    told(&mut scheduler);
    let with = Cause::With {
        member: "VI_2".into(),
        cause: Arc::new(GONE),
    };
    scheduler.contested(&"VI_1".into(), &with, Priority::DEFAULT);
    assert_eq!(told(&mut scheduler), [""; 0]);
    scheduler.contested(&"VI_2".into(), &GONE, Priority::DEFAULT);
    assert_eq!(
        told(&mut scheduler),
        ["VG contested master->master: 192.168.224.11 (priority 99) was master too and has gone"]
    );
}

const GONE: Cause = Cause::Contested {
    master: core::net::IpAddr::V4(core::net::Ipv4Addr::new(192, 168, 224, 11)),
    theirs: 99,
};

const SILENT: Cause = Cause::Silence {
    master: None,
    lasted: Duration::from_secs(3),
};

fn grouped(members: &[&str]) -> BTreeMap<Subject, Notify<&'static str>> {
    let notify = Notify {
        members: members.iter().map(|member| Arc::from(*member)).collect(),
        ..all()
    };
    BTreeMap::from([(Subject::Group("VG".into()), notify)])
}

/// Moves both members, one after the other.
fn all_move(scheduler: &mut Scheduler<&'static str>, from: State, to: State, cause: Cause) {
    for router in ["VI_1", "VI_2"] {
        scheduler.transition(&transition(&router.into(), from, to, cause.clone()));
    }
}

/// Runs all commands that are due, and describes them.
fn told(scheduler: &mut Scheduler<&'static str>) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(run) = scheduler.poll(Instant::ZERO) {
        let Notification {
            from, to, cause, ..
        } = &*run.news;
        let (name, command) = (run.owner.name(), run.command);
        told.push(format!("{name} {command} {from}->{to}: {cause}"));
        scheduler.ended(Instant::ZERO, run.number, true, "".into());
    }
    told
}

/// A scheduler with one instance, and its running commands.
struct Rig {
    scheduler: Scheduler<&'static str>,
    now: Instant,
    running: Vec<u64>,
}

impl Rig {
    fn new(notify: Notify<&'static str>) -> Self {
        Self {
            scheduler: Scheduler::new(configured(notify)),
            now: Instant::ZERO + Duration::from_secs(100),
            running: Vec::new(),
        }
    }

    fn moves(&mut self, from: State, to: State) {
        self.becomes(from, to, Cause::Started);
    }

    fn becomes(&mut self, from: State, to: State, cause: Cause) {
        self.scheduler
            .transition(&transition(&"VI_1".into(), from, to, cause));
    }

    fn contest(&mut self) {
        self.scheduler
            .contested(&"VI_1".into(), &GONE, Priority::DEFAULT);
    }

    /// Starts the commands that are due, and describes them.
    fn runs(&mut self) -> Vec<String> {
        let mut runs = Vec::new();
        while let Some(run) = self.scheduler.poll(self.now) {
            runs.push(format!("{} {}", run.owner.name(), run.command));
            self.running.push(run.number);
        }
        runs
    }

    /// Ends the command that began last.
    fn ends(&mut self, succeeded: bool) -> Then {
        let run = self.running.pop().expect("a command runs");
        self.scheduler.ended(self.now, run, succeeded, "".into())
    }

    fn status(&self) -> NotifyStatus {
        self.scheduler
            .status(self.now, &owner())
            .expect("the instance is configured")
    }
}

fn owner() -> Subject {
    Subject::Instance("VI_1".into())
}

fn configured(notify: Notify<&'static str>) -> BTreeMap<Subject, Notify<&'static str>> {
    BTreeMap::from([(owner(), notify)])
}

fn transition(router: &Arc<str>, from: State, to: State, cause: Cause) -> Transition {
    Transition {
        router: Arc::clone(router),
        from,
        to,
        cause,
        priority: Priority::DEFAULT,
        at: Instant::ZERO,
    }
}

fn all() -> Notify<&'static str> {
    Notify {
        master: Some("master"),
        backup: Some("backup"),
        fault: Some("fault"),
        stop: Some("stop"),
        contested: Some("contested"),
        any: None,
        timeout: Duration::from_secs(30),
        retries: 2,
        on_start: true,
        on_reload: false,
        members: Vec::new(),
    }
}
