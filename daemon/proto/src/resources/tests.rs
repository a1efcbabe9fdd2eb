//! Tests of one router's resources with a simulated systemd: jobs succeed, fail or hang.

use super::*;

const START: Duration = Duration::from_secs(3);
const STOP: Duration = Duration::from_secs(2);
const TARGET: &str = "vrrp-master@VI_1.target";
const NOTHING: [&str; 0] = [];

#[test]
fn units_start_in_order_and_stop_in_reverse() {
    let mut rig = Rig::new(&["a.service", "b.timer"]);
    rig.give(Event::Master);
    assert_eq!(
        rig.follow(),
        [
            "start vrrp-master@VI_1.target",
            "start a.service",
            "start b.timer",
            "tell: 2 resources started in 0.000 ms",
        ]
    );
    rig.give(Event::Left);
    assert_eq!(
        rig.follow(),
        [
            "stop b.timer",
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: 2 resources stopped in 0.000 ms",
        ]
    );
    assert!(rig.machine.is_settled() && rig.machine.deadline().is_none());
}

#[test]
fn no_job_before_router_state_is_known() {
    let mut rig = Rig::new(&["a.service"]);
    rig.give(Event::Tick);
    rig.state("a.service", "inactive");
    assert_eq!(rig.taken(), NOTHING);
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn first_backup_state_stops_all_units() {
    let mut rig = Rig::new(&["a.service"]);
    rig.give(Event::Left);
    assert_eq!(
        rig.follow(),
        [
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: 1 resource stopped in 0.000 ms",
        ]
    );
}

#[test]
fn repeated_events_change_nothing() {
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
fn unit_start_waits_for_preceding_unit() {
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
fn leaving_during_start_stops_units_and_ignores_old_result() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    let start = rig.begin("start a.service");
    rig.give(Event::Left);
    // Its start was never requested, but its state is unknown.
    let stop = rig.job("stop b.service");
    rig.end(start, Outcome::Failed("canceled".into()));
    assert_eq!(rig.taken(), NOTHING, "the start is no longer awaited");
    rig.end(stop, Outcome::Done);
    assert_eq!(
        rig.follow(),
        [
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: 2 resources stopped in 0.000 ms",
        ]
    );
}

#[test]
fn master_again_during_stop_restarts_units_of_unknown_state() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    rig.start();
    rig.give(Event::Left);
    let stop = rig.job("stop b.service");
    rig.give(Event::Master);
    let start = rig.job("start b.service");
    rig.end(stop, Outcome::Failed("canceled".into()));
    assert_eq!(rig.taken(), NOTHING, "the stop is no longer awaited");
    rig.end(start, Outcome::Done);
    assert_eq!(rig.taken(), ["tell: 2 resources started in 0.000 ms"]);
}

#[test]
fn failed_start_inhibits_router_for_back_off() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    let start = rig.begin("start a.service");
    rig.end(start, Outcome::Failed("it is broken".into()));
    assert_eq!(
        rig.follow(),
        [
            "tell: cannot start a.service: it is broken",
            "inhibit: cannot start a.service: it is broken",
            "stop b.service",
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: 2 resources stopped in 0.000 ms",
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
            "tell: hold-off after a resource failure ended after 10.000 s: may become master again",
            "inhibit: no longer"
        ]
    );
    rig.give(Event::Master);
    assert_eq!(rig.follow().len(), 4);
}

#[test]
fn back_off_doubles_until_a_long_run_resets_it() {
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
fn failed_start_is_only_logged_with_on_failure_log() {
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
fn failed_target_does_not_inhibit_router() {
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
fn start_timeout_counts_as_failure() {
    let mut rig = Rig::new(&["a.service"]);
    let start = rig.begin("start a.service");
    assert_eq!(rig.machine.deadline(), Some(rig.now + START));
    rig.wait();
    let told = rig.follow();
    assert_eq!(
        told[0],
        "tell: cannot start a.service: not started within 3.000 s; see journalctl -u a.service"
    );
    assert_eq!(told[2], "stop a.service", "a late start is undone");
    rig.end(start, Outcome::Done);
    assert_eq!(rig.words(), ["stopped", "stopped"]);
}

#[test]
fn stop_timeout_requests_remaining_stops_without_waiting() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    rig.start();
    rig.give(Event::Left);
    let slow = rig.job("stop b.service");
    assert_eq!(rig.machine.deadline(), Some(rig.now + STOP));
    rig.wait();
    assert_eq!(
        rig.follow(),
        [
            "tell: b.service has not stopped after 2.000 s: stopping the remaining units without waiting for it",
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
fn failed_stop_is_retried_and_logged_once() {
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
            "tell: cannot stop a.service: access denied; retrying",
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
fn lost_job_is_requested_again_after_short_delay() {
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
fn without_bus_start_fails_and_stop_is_retried() {
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
fn unexpected_end_of_unit_inhibits_router() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.state("a.service", "active");
    rig.give(Event::Unit {
        unit: "a.service",
        state: UnitState::Restarting("activating (auto-restart)".into()),
    });
    assert_eq!(rig.taken(), NOTHING, "systemd restarts the unit");
    assert_eq!(rig.machine.deadline(), Some(rig.now + START));
    rig.state("a.service", "active");
    assert_eq!(rig.machine.deadline(), None);
    rig.state("a.service", "failed");
    let told = rig.follow();
    let text = "a.service ended unexpectedly: failed; see journalctl -u a.service";
    assert_eq!(
        told[..2],
        [format!("tell: {text}"), format!("inhibit: {text}")]
    );
    assert_eq!(told[2], "stop a.service");
}

#[test]
fn restart_by_systemd_is_awaited_for_start_timeout() {
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
    let text = "a.service ended unexpectedly: activating (auto-restart) for 3.000 s; see journalctl -u a.service";
    assert_eq!(
        rig.told()[..2],
        [format!("tell: {text}"), format!("inhibit: {text}")]
    );
    assert_eq!(rig.jobs()[0].1, "stop a.service");
}

#[test]
fn end_of_oneshot_unit_is_no_failure() {
    let mut rig = Rig::new(&["once.service"]);
    let start = rig.begin("start once.service");
    rig.state("once.service", "inactive");
    rig.end(start, Outcome::Done);
    rig.state("once.service", "inactive again");
    assert_eq!(
        rig.taken(),
        ["tell: 1 resource started in 0.000 ms"],
        "the unit was never active"
    );
}

#[test]
fn unit_active_before_job_end_is_watched() {
    let mut rig = Rig::new(&["a.service"]);
    let start = rig.begin("start a.service");
    rig.state("a.service", "active");
    rig.end(start, Outcome::Done);
    rig.taken();
    rig.state("a.service", "failed");
    assert_eq!(rig.taken().len(), 3, "logged, inhibited, stopped");
}

#[test]
fn states_of_stopped_and_foreign_units_are_ignored() {
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
fn handover_after_stop_inhibits_only_after_stops() {
    let mut rig = Rig::with(&["a.service", "b.service"], |params| {
        params.handover = Handover::AfterStop;
    });
    rig.start();
    rig.state("b.service", "active");
    rig.state("b.service", "failed");
    assert_eq!(
        rig.follow(),
        [
            "tell: b.service ended unexpectedly: failed; see journalctl -u b.service",
            "stop b.service",
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: 2 resources stopped in 0.000 ms",
            "inhibit: b.service ended unexpectedly: failed; see journalctl -u b.service",
        ]
    );
}

#[test]
fn retiring_router_rests_after_stops_or_stop_timeout() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.give(Event::Retire);
    rig.give(Event::Master);
    assert_eq!(
        rig.follow(),
        [
            "stop a.service",
            "stop vrrp-master@VI_1.target",
            "tell: 1 resource stopped in 0.000 ms",
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
fn retiring_at_rest_requests_no_job() {
    let mut rig = Rig::new(&["a.service"]);
    rig.give(Event::Left);
    rig.follow();
    rig.give(Event::Retire);
    assert_eq!(rig.taken(), ["rested"]);
}

#[test]
fn changed_list_stops_removed_and_starts_new_units_only() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    rig.start();
    rig.params.units = ["c.service", "b.service"].map(Into::into).into();
    rig.reconfigure();
    assert_eq!(
        rig.follow(),
        [
            "stop a.service",
            "start c.service",
            "tell: 2 resources started in 0.000 ms",
        ]
    );
    assert_eq!(rig.words(), ["started"; 3]);
    rig.reconfigure();
    assert_eq!(rig.taken(), NOTHING);
}

#[test]
fn unit_moved_to_another_router_is_not_stopped() {
    let mut rig = Rig::new(&["a.service", "b.service"]);
    rig.start();
    rig.params.units = vec!["b.service".into()];
    let params = rig.params.clone();
    rig.give(Event::Configure {
        router: "VI_1",
        params,
        elsewhere: &BTreeSet::from(["a.service".into()]),
    });
    assert_eq!(rig.taken(), NOTHING);
    rig.give(Event::Left);
    assert_eq!(rig.follow()[..1], ["stop b.service"]);
}

#[test]
fn renamed_router_has_another_target_and_keeps_its_units() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    let params = rig.params.clone();
    rig.give(Event::Configure {
        router: "WEB",
        params,
        elsewhere: &BTreeSet::new(),
    });
    let steps = [
        "stop vrrp-master@VI_1.target",
        "start vrrp-master@WEB.target",
    ];
    assert_eq!(rig.follow()[..2], steps);
}

#[test]
fn changed_configuration_ends_inhibition_at_once() {
    let mut rig = Rig::new(&["a.service"]);
    rig.start();
    rig.state("a.service", "active");
    rig.state("a.service", "failed");
    rig.follow();
    rig.params.start_timeout = START * 2;
    rig.reconfigure();
    assert_eq!(rig.taken()[0], "inhibit: no longer");
}

#[test]
fn target_name_is_escaped_as_by_systemd_escape() {
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
fn notices_of_failures_are_bad() {
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

/// Resources of one router, and the time.
struct Rig {
    machine: Resources,
    params: ResourceParams,
    now: Instant,
    /// Actions that were returned and not examined yet.
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
            router: "VI_1",
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

    /// Makes the router master; all jobs succeed.
    fn start(&mut self) {
        self.give(Event::Master);
        self.follow();
        assert!(self.machine.is_settled());
    }

    /// Makes the router master, up to the request `expected` after the start of the target.
    fn begin(&mut self, expected: &str) -> Job {
        self.give(Event::Master);
        let target = self.job(&format!("start {TARGET}"));
        self.end(target, Outcome::Done);
        self.job(expected)
    }

    /// Advances the time to the next deadline.
    fn wait(&mut self) {
        self.now = self.machine.deadline().expect("nothing is due");
        self.give(Event::Tick);
    }

    /// Takes the next action, which must be the job `expected`.
    fn job(&mut self, expected: &str) -> Job {
        assert!(!self.actions.is_empty(), "no action was returned");
        let action = self.actions.remove(0);
        assert_eq!(text(&action), expected);
        let Action::Run { job, .. } = action else {
            panic!("{action:?} is not a job");
        };
        job
    }

    /// Takes all jobs, with their texts.
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

    /// Takes all actions that are not jobs.
    fn told(&mut self) -> Vec<String> {
        let is_job = |action: &Action| matches!(action, Action::Run { .. });
        let (jobs, others): (Vec<_>, Vec<_>) = self.actions.drain(..).partition(is_job);
        self.actions = jobs;
        others.iter().map(text).collect()
    }

    /// Takes all actions without carrying them out.
    fn taken(&mut self) -> Vec<String> {
        self.actions.drain(..).map(|action| text(&action)).collect()
    }

    /// Carries out all actions until none is left; all jobs succeed. Returns their texts.
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

    /// States of the units as the status shows them, the target first.
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
        Action::Inhibit(Some(why)) => format!("inhibit: {why}"),
        Action::Inhibit(None) => "inhibit: no longer".to_owned(),
        Action::Rested => "rested".to_owned(),
        Action::Tell(notice) => format!("tell: {notice}"),
    }
}
