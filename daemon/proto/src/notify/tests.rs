use State::{Backup, Fault, Init, Master};

use super::*;

#[test]
fn every_transition_is_told_in_order_and_one_at_a_time() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    rig.moves(Backup, Master);
    assert_eq!(rig.runs(), [""; 0], "the first one runs");
    assert_eq!(rig.ends(true), Then::Over);
    assert_eq!(rig.runs(), ["VI_1 master"]);
    rig.ends(true);
    rig.moves(Master, Fault);
    assert_eq!(rig.runs(), ["VI_1 fault"]);
    rig.ends(true);
    assert!(rig.desk.is_idle());
}

#[test]
fn the_command_for_any_state_runs_after_the_own_one() {
    let any = Some("any");
    let mut rig = Rig::new(Notify { any, ..all() });
    rig.moves(Init, Backup);
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    rig.moves(Backup, Master);
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 any"], "what has begun is finished");
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 master"]);
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 any"]);
    rig.ends(true);
    assert!(rig.desk.is_idle());
}

#[test]
fn of_what_has_not_begun_the_newest_state_wins() {
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
    assert_eq!(rig.status().waiting, [Backup]);
    assert_eq!(rig.status().dropped, 3);
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    rig.ends(true);
    assert!(rig.desk.is_idle());
}

#[test]
fn a_state_without_a_command_makes_what_waits_old_too() {
    let fault = None;
    let mut rig = Rig::new(Notify { fault, ..all() });
    rig.moves(Init, Backup);
    rig.runs();
    rig.moves(Backup, Master);
    rig.moves(Master, Fault);
    assert_eq!(rig.ends(false), Then::GivenUp, "it is no backup any more");
    assert_eq!(rig.runs(), [""; 0], "it is no master any more");
    assert!(rig.desk.is_idle());
}

#[test]
fn a_stop_is_always_told_and_in_its_place() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.moves(Backup, Master);
    rig.becomes(Master, Init, Cause::Redefined);
    rig.moves(Init, Backup);
    rig.moves(Backup, Master);
    rig.becomes(Master, Init, Cause::Redefined);
    rig.moves(Init, Fault);
    assert_eq!(rig.status().waiting, [Init, Init, Fault]);
    rig.ends(true);
    for expected in ["VI_1 stop", "VI_1 stop", "VI_1 fault"] {
        assert_eq!(rig.runs(), [expected]);
        rig.ends(true);
    }
    assert!(rig.desk.is_idle());
}

#[test]
fn what_fails_is_tried_again_later_and_later() {
    let retries = 8;
    let mut rig = Rig::new(Notify { retries, ..all() });
    rig.moves(Init, Backup);
    for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(rig.runs(), ["VI_1 backup"]);
        let rest = Duration::from_secs(rest);
        assert_eq!(rig.ends(false), Then::Again(rest));
        assert_eq!(rig.runs(), [""; 0]);
        assert_eq!(rig.desk.poll_timeout(), Some(rig.now + rest));
        rig.now = rig.now + rest;
    }
    assert_eq!(rig.runs(), ["VI_1 backup"]);
    assert_eq!(rig.ends(false), Then::GivenUp);
    assert!(rig.desk.is_idle());
    let status = rig.status();
    assert_eq!((status.runs, status.failures), (9, 9));
}

#[test]
fn what_is_old_is_not_tried_again() {
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
        "counted anew"
    );
}

#[test]
fn the_state_at_the_start_is_told_when_that_is_wanted() {
    let on_start = false;
    let mut rig = Rig::new(Notify { on_start, ..all() });
    rig.moves(Init, Backup);
    assert_eq!(rig.runs(), [""; 0]);
    rig.moves(Backup, Master);
    assert_eq!(rig.runs(), ["VI_1 master"]);
}

#[test]
fn the_present_state_is_told_again_after_a_reload_when_that_is_wanted() {
    let on_reload = true;
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.ends(true);
    rig.desk.configure(configured(all()));
    rig.desk.configured();
    assert_eq!(rig.runs(), [""; 0], "nobody wants it");
    for _ in 0..2 {
        rig.desk
            .configure(configured(Notify { on_reload, ..all() }));
        assert_eq!(rig.runs(), [""; 0], "the node has not carried it out");
        rig.desk
            .priority(&"VI_1".into(), Priority::new(80).unwrap());
        rig.desk.configured();
        let run = rig.desk.poll(rig.now).unwrap();
        assert_eq!(run.command, "backup");
        assert!(run.news.again);
        assert_eq!(run.news.priority.get(), 80, "as it is now");
        rig.running.push(run.owner);
        rig.ends(true);
    }
}

#[test]
fn what_a_reload_changes_is_told_once() {
    let on_reload = true;
    let mut rig = Rig::new(Notify { on_reload, ..all() });
    rig.moves(Init, Backup);
    rig.runs();
    rig.ends(true);
    rig.desk
        .configure(configured(Notify { on_reload, ..all() }));
    rig.moves(Backup, Fault);
    rig.desk.configured();
    assert_eq!(rig.runs(), ["VI_1 fault"]);
    rig.ends(true);
    assert_eq!(rig.runs(), [""; 0]);
}

#[test]
fn the_stop_of_what_is_removed_is_told_by_the_former_commands() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.ends(true);
    rig.desk.configure(BTreeMap::new());
    rig.becomes(Backup, Init, Cause::Removed);
    rig.desk.configured();
    assert_eq!(rig.runs(), ["VI_1 stop"]);
    rig.ends(true);
    rig.desk.configure(BTreeMap::new());
    rig.desk.configured();
    assert!(rig.desk.owners.is_empty(), "nothing of it is kept");
    assert_eq!(rig.desk.status(rig.now, &owner()), None);
}

#[test]
fn what_is_redefined_stops_by_the_former_commands_and_starts_by_the_new_ones() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.ends(true);
    let (backup, stop) = (Some("new backup"), Some("new stop"));
    rig.desk.configure(configured(Notify {
        backup,
        stop,
        ..all()
    }));
    rig.becomes(Backup, Init, Cause::Redefined);
    rig.moves(Init, Backup);
    rig.desk.configured();
    rig.becomes(Backup, Init, Cause::Stopped);
    for expected in ["VI_1 stop", "VI_1 new stop"] {
        assert_eq!(rig.runs(), [expected]);
        rig.ends(true);
    }
    assert!(rig.desk.is_idle());
}

#[test]
fn a_reload_leaves_alone_what_is_being_told() {
    let mut rig = Rig::new(all());
    rig.moves(Init, Backup);
    rig.runs();
    rig.moves(Backup, Master);
    rig.desk.configure(configured(all()));
    rig.desk.configured();
    assert_eq!(rig.runs(), [""; 0], "still one at a time");
    rig.ends(true);
    assert_eq!(rig.runs(), ["VI_1 master"]);
}

#[test]
fn the_end_is_bounded_and_the_stop_still_told() {
    let mut rig = Rig::new(Notify {
        any: Some("any"),
        ..all()
    });
    assert_eq!(rig.desk.finish(rig.now), Duration::ZERO);
    rig.desk.is_finishing = false;
    rig.moves(Init, Backup);
    rig.runs();
    rig.now = rig.now + Duration::from_secs(10);
    rig.becomes(Backup, Init, Cause::Stopped);
    // The rest of the one that runs, then three of 30 s.
    assert_eq!(rig.desk.finish(rig.now), Duration::from_secs(20 + 90));
    rig.ends(false);
    for expected in ["VI_1 any", "VI_1 stop"] {
        assert_eq!(rig.runs(), [expected]);
        assert_eq!(rig.ends(false) == Then::GivenUp, expected == "VI_1 any");
    }
    rig.now = rig.now + Duration::from_secs(1);
    let run = rig.desk.poll(rig.now).unwrap();
    assert_eq!(run.limit, Duration::from_secs(29), "its time altogether");
    rig.now = rig.now + run.limit;
    rig.running.push(run.owner);
    assert_eq!(rig.ends(false), Then::GivenUp);
    assert_eq!(rig.runs(), ["VI_1 any"]);
    rig.ends(true);
    assert!(rig.desk.is_idle());
}

#[test]
fn what_rests_for_too_long_is_given_up_at_the_end() {
    let mut rig = Rig::new(Notify {
        timeout: Duration::from_millis(500),
        ..all()
    });
    rig.moves(Init, Backup);
    rig.runs();
    assert_eq!(rig.ends(false), Then::Again(Duration::from_secs(1)));
    assert_eq!(rig.desk.finish(rig.now), Duration::ZERO);
    assert!(rig.desk.is_idle());
}

#[test]
fn so_many_at_once_and_no_more() {
    let names: Vec<Arc<str>> = (0..MOST_AT_ONCE + 5)
        .map(|n| format!("VI_{n:02}").into())
        .collect();
    let notify = names
        .iter()
        .map(|name| (Owner::Instance(Arc::clone(name)), all()));
    let mut rig = Rig::new(all());
    rig.desk = Desk::new(notify.collect());
    for name in &names {
        rig.desk
            .transition(&transition(name, Init, Backup, Cause::Started));
    }
    assert_eq!(rig.runs().len(), MOST_AT_ONCE);
    assert_eq!(rig.desk.finish(rig.now), Duration::from_secs(2 * 30));
    let first = rig.running.remove(0);
    rig.desk.ended(rig.now, &first, true, "".into());
    assert_eq!(
        rig.runs(),
        [format!("VI_{MOST_AT_ONCE:02} backup")],
        "in their order"
    );
}

#[test]
fn the_status_tells_how_the_last_command_ended() {
    let mut rig = Rig::new(all());
    assert_eq!(rig.status(), NotifyStatus::default(), "nothing yet");
    rig.moves(Init, Backup);
    rig.runs();
    rig.moves(Backup, Master);
    rig.desk
        .ended(rig.now, &owner(), false, "exit status: 7: no".into());
    rig.now = rig.now + Duration::from_secs(3);
    assert_eq!(rig.status().waiting, [Master]);
    rig.desk.poll(rig.now);
    assert_eq!(
        rig.status(),
        NotifyStatus {
            telling: Some(Master),
            waiting: vec![],
            dropped: 0,
            runs: 1,
            failures: 1,
            last: Some(crate::snapshot::NotifyRunStatus {
                state: Backup,
                well: false,
                detail: "exit status: 7: no".into(),
                age: 3.0,
            }),
        }
    );
}

/// A desk with one owner, and what runs.
#[test]
fn a_group_is_told_of_once_when_the_last_of_its_members_has_moved() {
    let mut desk = Desk::new(grouped(&["VI_1", "VI_2"]));
    all_move(&mut desk, Init, Backup, Cause::Started);
    assert_eq!(
        told(&mut desk),
        ["VG backup init->backup: started, listening first"]
    );
    let [first, second] = ["VI_1", "VI_2"].map(Arc::<str>::from);
    desk.transition(&transition(&first, Backup, Master, SILENT));
    assert_eq!(told(&mut desk), [""; 0], "the other one is backup");
    let cause = Arc::new(SILENT);
    let with = Cause::With {
        member: Arc::clone(&first),
        cause,
    };
    desk.transition(&transition(&second, Backup, Master, with));
    assert_eq!(
        told(&mut desk),
        ["VG master backup->master: no advertisement from anybody for 3.000 s"]
    );
    all_move(&mut desk, Master, Init, Cause::Stopped);
    assert_eq!(told(&mut desk), ["VG stop master->init: the daemon stops"]);
    assert!(desk.is_idle());
}

#[test]
fn a_reload_that_makes_changes_and_ends_a_group_tells_what_it_is_from_then_on() {
    let mut desk = Desk::new(BTreeMap::new());
    all_move(&mut desk, Init, Master, Cause::Started);
    assert_eq!(told(&mut desk), [""; 0]);
    let mut reload = |notify: BTreeMap<_, _>| {
        desk.configure(notify);
        desk.configured();
        told(&mut desk)
    };
    assert_eq!(
        reload(grouped(&["VI_1", "VI_2"])),
        ["VG master init->master: in sync group VG from now on, which is master"]
    );
    assert_eq!(reload(grouped(&["VI_2"])), [""; 0], "it is still master");
    assert_eq!(
        reload(BTreeMap::new()),
        ["VG stop master->init: removed from the configuration"]
    );
    assert_eq!(reload(BTreeMap::new()), [""; 0]);
}

#[test]
fn a_group_has_the_priority_of_its_first_member() {
    let mut desk = Desk::new(grouped(&["VI_2", "VI_1"]));
    all_move(&mut desk, Init, Backup, Cause::Started);
    told(&mut desk);
    let priority = |number| Priority::new(number).unwrap();
    desk.priority(&"VI_2".into(), priority(80));
    desk.priority(&"VI_1".into(), priority(70));
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
    desk.configure(notify.collect());
    desk.configured();
    let run = desk.poll(Instant::ZERO).expect("it is told again");
    assert_eq!((run.news.priority, run.news.again), (priority(80), true));
}

const SILENT: Cause = Cause::Silence {
    master: None,
    lasted: Duration::from_secs(3),
};

fn grouped(members: &[&str]) -> BTreeMap<Owner, Notify<&'static str>> {
    let notify = Notify {
        members: members.iter().map(|member| Arc::from(*member)).collect(),
        ..all()
    };
    BTreeMap::from([(Owner::Group("VG".into()), notify)])
}

/// Both members move, one after the other.
fn all_move(desk: &mut Desk<&'static str>, from: State, to: State, cause: Cause) {
    for router in ["VI_1", "VI_2"] {
        desk.transition(&transition(&router.into(), from, to, cause.clone()));
    }
}

/// What is told now, one after the other.
fn told(desk: &mut Desk<&'static str>) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(run) = desk.poll(Instant::ZERO) {
        let News {
            from, to, cause, ..
        } = &*run.news;
        let (name, command) = (run.owner.name(), run.command);
        told.push(format!("{name} {command} {from}->{to}: {cause}"));
        desk.ended(Instant::ZERO, &run.owner, true, "".into());
    }
    told
}

struct Rig {
    desk: Desk<&'static str>,
    now: Instant,
    running: Vec<Owner>,
}

impl Rig {
    fn new(notify: Notify<&'static str>) -> Self {
        Self {
            desk: Desk::new(configured(notify)),
            now: Instant::ZERO + Duration::from_secs(100),
            running: Vec::new(),
        }
    }

    fn moves(&mut self, from: State, to: State) {
        self.becomes(from, to, Cause::Started);
    }

    fn becomes(&mut self, from: State, to: State, cause: Cause) {
        self.desk
            .transition(&transition(&"VI_1".into(), from, to, cause));
    }

    /// What is to run now.
    fn runs(&mut self) -> Vec<String> {
        let mut runs = Vec::new();
        while let Some(run) = self.desk.poll(self.now) {
            runs.push(format!("{} {}", run.owner.name(), run.command));
            self.running.push(run.owner);
        }
        runs
    }

    /// What began last ends.
    fn ends(&mut self, well: bool) -> Then {
        let owner = self.running.pop().expect("something runs");
        self.desk.ended(self.now, &owner, well, "".into())
    }

    fn status(&self) -> NotifyStatus {
        self.desk
            .status(self.now, &owner())
            .expect("it is configured")
    }
}

fn owner() -> Owner {
    Owner::Instance("VI_1".into())
}

fn configured(notify: Notify<&'static str>) -> BTreeMap<Owner, Notify<&'static str>> {
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
        any: None,
        timeout: Duration::from_secs(30),
        retries: 2,
        on_start: true,
        on_reload: false,
        members: Vec::new(),
    }
}
