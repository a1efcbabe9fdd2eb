//! Tests of one router's resources: a systemd that does what it is told, or does not.

use super::*;

const START: Duration = Duration::from_secs(3);
const STOP: Duration = Duration::from_secs(2);
const TARGET: &str = "vrrp-master@VI_1.target";
const NOTHING: [&str; 0] = [];

#[test]
fn they_are_started_in_order_and_stopped_in_reverse() {
    let mut rig = Rig::new(&["a.service", "b.timer"]);
    rig.give(Event::Master);
    assert_eq!(
        rig.follow(),
        [
            "start vrrp-master@VI_1.target",
            "start a.service",
            "start b.timer",
            "tell: its 2 resources were started in 0.000 ms",
        ]
    );
    rig.give(Event::Left);
    assert_eq!(
        rig.follow(),
        [
            "stop b.timer",
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: its 2 resources were stopped in 0.000 ms",
        ]
    );
    assert!(rig.machine.is_settled() && rig.machine.deadline().is_none());
}

#[test]
fn nothing_is_done_before_it_is_known_whether_the_router_is_master() {
    let mut rig = Rig::new(&["a.service"]);
    rig.give(Event::Tick);
    rig.state("a.service", "inactive");
    assert_eq!(rig.taken(), NOTHING);
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn what_runs_when_it_starts_as_a_backup_is_stopped() {
    let mut rig = Rig::new(&["a.service"]);
    rig.give(Event::Left);
    assert_eq!(
        rig.follow(),
        [
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: its resource was stopped in 0.000 ms",
        ]
    );
}

#[test]
fn the_same_news_again_is_no_news() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.give(Event::Master);
    rig.give(Event::Tick);
    rig.state("a.service", "active");
    rig.state("a.service", "active");
    assert_eq!(rig.taken(), NOTHING);
    rig.give(Event::Left);
    rig.follow();
    rig.give(Event::Left);
    assert_eq!(rig.taken(), NOTHING);
}

#[test]
fn each_waits_for_the_one_before() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    rig.give(Event::Master);
    let target = rig.job("start vrrp-master@VI_1.target");
    assert_eq!(rig.taken(), NOTHING);
    rig.end(target, Outcome::Done);
    let first = rig.job("start a.service");
    assert_eq!(rig.taken(), NOTHING);
    assert_eq!(rig.words(), ["started", "starting", "unknown"]);
    rig.end(first, Outcome::Done);
    rig.job("start b.service");
}

#[test]
fn a_router_that_leaves_during_the_start_stops_what_may_have_begun_and_hears_no_old_result() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    let start = rig.begin("start a.service");
    rig.give(Event::Left);
    // That one was never asked for, but nobody knows what runs.
    let stop = rig.job("stop b.service");
    rig.end(start, Outcome::Failed("canceled".into()));
    assert_eq!(rig.taken(), NOTHING, "of a start that is wanted no longer");
    rig.end(stop, Outcome::Done);
    assert_eq!(
        rig.follow(),
        [
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: its 2 resources were stopped in 0.000 ms",
        ]
    );
}

#[test]
fn a_router_that_is_master_again_during_the_stop_starts_what_is_not_known_to_run() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    rig.start();
    rig.give(Event::Left);
    let stop = rig.job("stop b.service");
    rig.give(Event::Master);
    let start = rig.job("start b.service");
    rig.end(stop, Outcome::Failed("canceled".into()));
    assert_eq!(rig.taken(), NOTHING, "of a stop that is wanted no longer");
    rig.end(start, Outcome::Done);
    assert_eq!(
        rig.taken(),
        ["tell: its 2 resources were started in 0.000 ms"]
    );
}

#[test]
fn a_failed_start_makes_the_router_give_way_and_is_tried_again_later() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    let start = rig.begin("start a.service");
    rig.end(start, Outcome::Failed("it is broken".into()));
    assert_eq!(
        rig.follow(),
        [
            "tell: cannot start a.service: it is broken",
            "hinder: cannot start a.service: it is broken",
            "stop b.service",
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: its 2 resources were stopped in 0.000 ms",
        ]
    );
    rig.give(Event::Left);
    assert_eq!(rig.taken(), NOTHING);
    assert_eq!(rig.machine.deadline(), Some(rig.now + BACK_OFF.0));
    let status = rig.machine.status(rig.now);
    let why = "cannot start a.service: it is broken";
    assert_eq!(status.failure.as_deref(), Some(why));
    assert_eq!(status.retry_in, Some(10.0));
    rig.wait();
    assert_eq!(
        rig.taken(),
        [
            "tell: its resources may be tried again, after 10.000 s",
            "hinder: no longer"
        ]
    );
    rig.give(Event::Master);
    assert_eq!(rig.follow().len(), 4);
}

#[test]
fn each_further_failure_keeps_it_away_twice_as_long_until_it_has_run_well_for_longer() {
    let mut rig = Rig::new(&["a.service"]);
    let mut spans = Vec::new();
    for _ in 0..8 {
        rig.give(Event::Master);
        rig.follow();
        rig.state("a.service", "active");
        rig.state("a.service", "failed");
        rig.give(Event::Left);
        rig.follow();
        spans.push(rig.machine.deadline().unwrap().since(rig.now).as_secs());
        rig.wait();
        rig.taken();
    }
    assert_eq!(spans, [10, 20, 40, 80, 160, 320, 600, 600]);
    rig.give(Event::Master);
    rig.follow();
    rig.state("a.service", "active");
    rig.now = rig.now + Duration::from_secs(601);
    rig.state("a.service", "failed");
    rig.follow();
    assert_eq!(rig.machine.deadline(), Some(rig.now + BACK_OFF.0));
}

#[test]
fn a_failed_start_is_but_a_line_in_the_log_where_that_is_wanted() {
    let mut rig = Rig::with(&["a.service", "b.service"], |params| {
        params.on_failure = OnFailure::Log;
    });
    let start = rig.begin("start a.service");
    rig.end(start, Outcome::Failed("it is broken".into()));
    assert_eq!(
        rig.follow(),
        [
            "tell: cannot start a.service: it is broken",
            "start b.service"
        ]
    );
    assert!(rig.machine.is_settled());
    assert_eq!(rig.words(), ["started", "failed", "started"]);
}

#[test]
fn a_target_that_cannot_be_started_keeps_nobody_from_serving() {
    let mut rig = Rig::new(&["a.service"]);
    rig.give(Event::Master);
    let target = rig.job("start vrrp-master@VI_1.target");
    rig.end(target, Outcome::Failed("there is no such unit".into()));
    assert_eq!(
        rig.follow(),
        [
            "tell: cannot start vrrp-master@VI_1.target: there is no such unit",
            "start a.service",
        ]
    );
}

#[test]
fn a_start_that_takes_too_long_is_a_failed_one() {
    let mut rig = Rig::new(&["a.service"]);
    let start = rig.begin("start a.service");
    assert_eq!(rig.machine.deadline(), Some(rig.now + START));
    rig.wait();
    let told = rig.follow();
    assert_eq!(
        told[0],
        "tell: cannot start a.service: it has not started within 3.000 s; see journalctl -u a.service"
    );
    assert_eq!(told[2], "stop a.service", "so that it does not come late");
    rig.end(start, Outcome::Done);
    assert_eq!(rig.words(), ["stopped", "stopped"]);
}

#[test]
fn stops_that_take_too_long_are_waited_for_no_longer_but_all_are_asked_for() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    rig.start();
    rig.give(Event::Left);
    let slow = rig.job("stop b.service");
    assert_eq!(rig.machine.deadline(), Some(rig.now + STOP));
    rig.wait();
    assert_eq!(
        rig.follow(),
        [
            "tell: b.service has not stopped after 2.000 s: the rest is stopped without waiting for it",
            "stop a.service",
            "stop vrrp-master@VI_1.target",
        ]
    );
    assert!(rig.machine.is_settled());
    assert_eq!(rig.words(), ["stopped", "stopped", "unknown"]);
    rig.end(slow, Outcome::Done);
    assert_eq!(rig.words(), ["stopped"; 3]);
}

#[test]
fn what_cannot_be_stopped_is_tried_again_and_again_and_told_once() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.give(Event::Left);
    let mut spans = Vec::new();
    let mut told = Vec::new();
    for _ in 0..8 {
        let stop = rig.job("stop a.service");
        rig.end(stop, Outcome::Failed("access denied".into()));
        told.extend(rig.follow());
        spans.push(rig.machine.deadline().unwrap().since(rig.now).as_secs());
        rig.wait();
    }
    assert_eq!(
        told,
        [
            "tell: cannot stop a.service: access denied; trying again",
            "stop vrrp-master@VI_1.target",
        ]
    );
    assert_eq!(spans, [5, 10, 20, 40, 80, 160, 300, 300]);
    let stop = rig.job("stop a.service");
    rig.end(stop, Outcome::Done);
    assert_eq!(rig.machine.deadline(), None);
    assert_eq!(rig.words(), ["stopped"; 2]);
}

#[test]
fn a_bus_that_is_away_for_a_moment_is_waited_for() {
    let mut rig = Rig::new(&[]);
    rig.give(Event::Master);
    for _ in 0..3 {
        let start = rig.job("start vrrp-master@VI_1.target");
        rig.end(start, Outcome::Lost("no bus".into()));
        assert_eq!(rig.machine.deadline(), Some(rig.now + AGAIN));
        assert_eq!(rig.taken(), NOTHING);
        rig.wait();
    }
    let start = rig.job("start vrrp-master@VI_1.target");
    rig.end(start, Outcome::Done);
    assert_eq!(rig.words(), ["started"]);
}

#[test]
fn without_a_bus_a_start_fails_and_a_stop_is_tried_for_ever() {
    let mut rig = Rig::with(&["a.service"], |params| {
        params.start_timeout = Duration::from_secs(60);
    });
    let begun = rig.now;
    let mut job = rig.begin("start a.service");
    for _ in 0..9 {
        rig.end(job, Outcome::Lost("no bus".into()));
        rig.wait();
        job = rig.job("start a.service");
    }
    rig.end(job, Outcome::Lost("no bus".into()));
    rig.wait();
    assert_eq!(rig.told()[0], "tell: cannot start a.service: no bus");
    assert_eq!(rig.now.since(begun), PATIENCE);
    rig.give(Event::Left);
    // Each attempt to stop is bounded, and the next one comes later.
    let mut stops = 0;
    while rig.now.since(begun) < Duration::from_secs(100) {
        for (job, text) in rig.jobs() {
            assert!(text.starts_with("stop"), "{text}");
            stops += 1;
            rig.end(job, Outcome::Lost("no bus".into()));
        }
        rig.wait();
    }
    assert!((20..200).contains(&stops), "{stops}");
    let cannot = |text: &String| text.starts_with("tell: cannot stop");
    assert_eq!(rig.told().iter().filter(|text| cannot(text)).count(), 2);
}

#[test]
fn a_unit_that_ends_by_itself_makes_the_router_give_way() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.state("a.service", "active");
    rig.give(Event::Unit {
        unit: "a.service",
        state: UnitState::Restarting("activating (auto-restart)".into()),
    });
    assert_eq!(rig.taken(), NOTHING, "systemd starts it again");
    assert_eq!(rig.machine.deadline(), Some(rig.now + START));
    rig.state("a.service", "active");
    assert_eq!(rig.machine.deadline(), None);
    rig.state("a.service", "failed");
    let told = rig.follow();
    let text = "a.service ended by itself: failed; see journalctl -u a.service";
    assert_eq!(
        told[..2],
        [format!("tell: {text}"), format!("hinder: {text}")]
    );
    assert_eq!(told[2], "stop a.service");
}

#[test]
fn a_unit_that_systemd_starts_again_in_vain_is_waited_for_as_long_as_a_start_may_take() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.state("a.service", "active");
    let began = rig.now;
    for state in [
        UnitState::Restarting("activating (auto-restart)".into()),
        UnitState::Changing("activating (start)".into()),
        UnitState::Restarting("activating (auto-restart)".into()),
    ] {
        let unit = "a.service";
        rig.give(Event::Unit { unit, state });
        rig.now = rig.now + Duration::from_millis(100);
    }
    rig.wait();
    assert_eq!(rig.now, began + START);
    let text = "a.service ended by itself: activating (auto-restart) for 3.000 s; see journalctl -u a.service";
    assert_eq!(
        rig.told()[..2],
        [format!("tell: {text}"), format!("hinder: {text}")]
    );
    assert_eq!(rig.jobs()[0].1, "stop a.service");
}

#[test]
fn a_unit_whose_work_is_done_when_it_is_started_is_no_failure() {
    let mut rig = Rig::new(&["once.service"]);
    let start = rig.begin("start once.service");
    rig.state("once.service", "inactive");
    rig.end(start, Outcome::Done);
    rig.state("once.service", "inactive again");
    assert_eq!(
        rig.taken(),
        ["tell: its resource was started in 0.000 ms"],
        "it never ran on"
    );
}

#[test]
fn a_unit_that_runs_before_its_job_ends_is_watched_all_the_same() {
    let mut rig = Rig::new(&["a.service"]);
    let start = rig.begin("start a.service");
    rig.state("a.service", "active");
    rig.end(start, Outcome::Done);
    rig.taken();
    rig.state("a.service", "failed");
    assert_eq!(rig.taken().len(), 3, "told, hindered, stopped");
}

#[test]
fn units_that_are_stopped_or_of_others_are_nobodys_concern() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.state("a.service", "active");
    rig.give(Event::Left);
    rig.state("a.service", "inactive");
    rig.follow();
    rig.state("a.service", "failed");
    rig.state("b.service", "failed");
    assert_eq!(rig.taken(), NOTHING);
}

#[test]
fn with_a_hand_over_after_the_stop_a_failed_one_gives_way_when_the_others_are_stopped() {
    let mut rig = Rig::with(&["a.service", "b.service"], |params| {
        params.handover = Handover::AfterStop;
    });
    rig.start();
    rig.state("b.service", "active");
    rig.state("b.service", "failed");
    assert_eq!(
        rig.follow(),
        [
            "tell: b.service ended by itself: failed; see journalctl -u b.service",
            "stop b.service",
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: its 2 resources were stopped in 0.000 ms",
            "hinder: b.service ended by itself: failed; see journalctl -u b.service",
        ]
    );
}

#[test]
fn who_retires_rests_when_all_is_stopped_and_not_longer_than_that_may_take() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.give(Event::Retire);
    rig.give(Event::Master);
    assert_eq!(
        rig.follow(),
        [
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: its resource was stopped in 0.000 ms",
            "rested",
        ]
    );
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.give(Event::Retire);
    rig.job("stop a.service");
    rig.wait();
    let told = rig.told();
    assert_eq!(told.last().map(String::as_str), Some("rested"));
}

#[test]
fn who_retires_at_rest_does_nothing() {
    let mut rig = Rig::new(&["a.service"]);
    rig.give(Event::Left);
    rig.follow();
    rig.give(Event::Retire);
    assert_eq!(rig.taken(), ["rested"]);
}

#[test]
fn a_changed_list_stops_what_left_it_and_starts_what_is_new_and_touches_nothing_else() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    rig.start();
    rig.params.units = ["c.service", "b.service"].map(Into::into).into();
    rig.reconfigure();
    assert_eq!(
        rig.follow(),
        [
            "stop a.service",
            "start c.service",
            "tell: its 2 resources were started in 0.000 ms",
        ]
    );
    assert_eq!(rig.words(), ["started"; 3]);
    rig.reconfigure();
    assert_eq!(rig.taken(), NOTHING);
}

#[test]
fn what_moves_to_another_router_is_left_to_that() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    rig.start();
    rig.params.units = vec!["b.service".into()];
    let params = rig.params.clone();
    rig.give(Event::Configure {
        params,
        elsewhere: &BTreeSet::from(["a.service".into()]),
    });
    assert_eq!(rig.taken(), NOTHING);
    rig.give(Event::Left);
    assert_eq!(rig.follow()[..1], ["stop b.service"]);
}

#[test]
fn a_changed_configuration_is_tried_at_once() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.state("a.service", "active");
    rig.state("a.service", "failed");
    rig.follow();
    rig.params.start_timeout = START * 2;
    rig.reconfigure();
    assert_eq!(rig.taken()[0], "hinder: no longer");
}

#[test]
fn the_name_of_the_target_is_escaped_as_systemd_does() {
    for (router, expected) in [
        ("VI_1", "vrrp-master@VI_1.target"),
        ("web.front:1", "vrrp-master@web.front:1.target"),
        ("web-front@2", r"vrrp-master@web\x2dfront\x402.target"),
        (".a/b", r"vrrp-master@\x2ea-b.target"),
    ] {
        assert_eq!(&*target(router), expected);
    }
}

#[test]
fn what_is_bad_can_be_told_from_what_is_not() {
    let (unit, why): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let after = Duration::ZERO;
    let slow = Notice::SlowStop {
        unit: Arc::clone(&unit),
        after,
    };
    for (notice, bad) in [
        (Notice::Started { count: 0, after }, false),
        (Notice::Stopped { count: 1, after }, false),
        (Notice::Again { after }, false),
        (slow, true),
        (Notice::CannotStart { unit, why }, true),
    ] {
        assert_eq!(notice.is_bad(), bad, "{notice}");
    }
}

/// A router's resources and the time.
struct Rig {
    machine: Resources,
    params: ResourceParams,
    now: Instant,
    /// What is to be done and has not been looked at.
    actions: Vec<Action>,
}

impl Rig {
    fn new(units: &[&str]) -> Self {
        Self::with(units, |_| {})
    }

    fn with(units: &[&str], change: impl Fn(&mut ResourceParams)) -> Self {
        let units = units.iter().map(|unit| Arc::from(*unit)).collect();
        let mut params = ResourceParams {
            start_timeout: START,
            stop_timeout: STOP,
            ..ResourceParams::new(units)
        };
        change(&mut params);
        Self {
            machine: Resources::new("VI_1", params.clone()),
            params,
            now: Instant::ZERO + Duration::from_secs(100),
            actions: Vec::new(),
        }
    }

    fn give(&mut self, event: Event<'_>) {
        self.machine.handle(self.now, event);
        let machine = &mut self.machine;
        self.actions.extend(core::iter::from_fn(|| machine.poll()));
    }

    fn reconfigure(&mut self) {
        let params = self.params.clone();
        self.give(Event::Configure {
            params,
            elsewhere: &BTreeSet::new(),
        });
    }

    fn end(&mut self, job: Job, outcome: Outcome) {
        self.give(Event::Ended { job, outcome });
    }

    fn state(&mut self, unit: &str, word: &str) {
        let state = match word {
            "active" => UnitState::Active,
            ended => UnitState::Ended(ended.into()),
        };
        self.give(Event::Unit { unit, state });
    }

    /// Becomes master, and all goes well.
    fn start(&mut self) {
        self.give(Event::Master);
        self.follow();
        assert!(self.machine.is_settled());
    }

    /// Becomes master, as far as the start of the first unit.
    fn begin(&mut self, expected: &str) -> Job {
        self.give(Event::Master);
        let target = self.job(&format!("start {TARGET}"));
        self.end(target, Outcome::Done);
        self.job(expected)
    }

    /// Lets time pass until something is due.
    fn wait(&mut self) {
        self.now = self.machine.deadline().expect("nothing is due");
        self.give(Event::Tick);
    }

    /// The next action, which is this job.
    fn job(&mut self, expected: &str) -> Job {
        assert!(!self.actions.is_empty(), "nothing is to be done");
        let action = self.actions.remove(0);
        assert_eq!(text(&action), expected);
        let Action::Run { job, .. } = action else {
            panic!("{action:?} is no job");
        };
        job
    }

    /// Takes the jobs that are to be done, with their texts.
    fn jobs(&mut self) -> Vec<(Job, String)> {
        let mut jobs = Vec::new();
        self.actions.retain(|action| {
            if let Action::Run { job, .. } = action {
                jobs.push((*job, text(action)));
                return false;
            }
            true
        });
        jobs
    }

    /// Takes what is no job.
    fn told(&mut self) -> Vec<String> {
        let is_job = |action: &Action| matches!(action, Action::Run { .. });
        let (jobs, others): (Vec<_>, Vec<_>) = self.actions.drain(..).partition(is_job);
        self.actions = jobs;
        others.iter().map(text).collect()
    }

    /// Takes all that is to be done, and leaves it undone.
    fn taken(&mut self) -> Vec<String> {
        self.actions.drain(..).map(|action| text(&action)).collect()
    }

    /// Does all that is to be done, as long as something is. Returns it.
    fn follow(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        while !self.actions.is_empty() {
            let action = self.actions.remove(0);
            done.push(text(&action));
            if let Action::Run { job, .. } = action {
                self.end(job, Outcome::Done);
            }
        }
        done
    }

    fn words(&self) -> Vec<String> {
        let status = self.machine.status(self.now);
        assert_eq!(&*status.units[0].unit, TARGET);
        let words = status.units.iter().map(|unit| unit.state.to_string());
        words.collect()
    }
}

fn text(action: &Action) -> String {
    match action {
        Action::Run {
            verb: Verb::Start,
            unit,
            ..
        } => format!("start {unit}"),
        Action::Run {
            verb: Verb::Stop,
            unit,
            ..
        } => format!("stop {unit}"),
        Action::Inhibit(Some(why)) => format!("hinder: {why}"),
        Action::Inhibit(None) => "hinder: no longer".to_owned(),
        Action::Rested => "rested".to_owned(),
        Action::Tell(notice) => format!("tell: {notice}"),
    }
}
