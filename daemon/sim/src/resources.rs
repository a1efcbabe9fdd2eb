//! Simulation of the resources of a router: one router with random state changes, its units, and a
//! systemd whose jobs take time, fail, hang or get lost.
//!
//! Invariants:
//!
//! 1. A unit is started after all units before it, and stopped before they are stopped.
//! 2. A started unit is not started again.
//! 3. Without a master no unit runs after the bound.
//! 4. On a master all units run when nothing fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use vrrp_proto::Instant;
use vrrp_proto::resources::{
    Action, Event, Handover, Job, OnFailure, Outcome, ResourceParams, Resources, UnitState, Verb,
};

use crate::invariants::{Invariant, Violation};

/// Longest time that a unit may run after the router stopped being master: the daemon waits for a stop,
/// gives up, and repeats the request until the last failure that the simulation draws for it.
const BOUND: Duration = Duration::from_secs(120);

/// Duration of the random phase.
const WILD: Duration = Duration::from_secs(300);

/// Greatest number of consecutive failures of the stop of one unit.
const FAILURES: u32 = 2;

/// Plays one seed. Returns the number of jobs.
///
/// # Errors
///
/// The broken invariant, and the time.
pub fn play(seed: u64) -> Result<u64, (Instant, Violation)> {
    let mut world = World::new(seed);
    match play_in(&mut world) {
        Ok(()) => Ok(world.jobs),
        Err(how) => Err((world.now, Invariant::Resources.broken(how))),
    }
}

fn play_in(world: &mut World) -> Result<(), String> {
    world.wild()?;
    // End of the random phase: nothing fails any more, and the router stops being master soon.
    world.is_wild = false;
    world.set_bus(true)?;
    world.wants_master = false;
    world.tell_state()?;
    world.pass(BOUND * 2)?;
    if let Some(unit) = world.systemd.values().position(|unit| unit.runs) {
        return Err(format!("final state: unit {unit} runs without a master"));
    }
    // Then the router is master for longer than the longest back-off that keeps it from serving.
    world.wants_master = true;
    world.tell_state()?;
    world.pass(Duration::from_secs(1500))?;
    match world.systemd.values().position(|unit| !unit.runs) {
        Some(unit) => Err(format!("final state: unit {unit} of a master does not run")),
        None => Ok(()),
    }
}

struct World {
    dice: Pcg64Mcg,
    now: Instant,
    machine: Resources,
    names: Vec<Arc<str>>,
    systemd: BTreeMap<Arc<str>, Unit>,
    /// Future events, ordered by time and number.
    coming: BTreeMap<(Instant, u64), Coming>,
    last: u64,
    is_wild: bool,
    has_bus: bool,
    inhibited: bool,
    wants_master: bool,
    /// State that the machine was given last.
    is_master: Option<bool>,
    /// Time since which the router is not master and the bus is available.
    idle_since: Option<Instant>,
    jobs: u64,
}

/// Unit in systemd.
#[derive(Default)]
struct Unit {
    runs: bool,
    /// Running job, the requests that wait for it, and its number.
    job: Option<(Verb, BTreeSet<Job>, u64)>,
    failures: u32,
    /// Last request of the machine, and whether its completion was reported.
    asked: Option<(Verb, bool)>,
}

enum Coming {
    /// End of a job with its success, if the unit still has the job with this number.
    End(Arc<str>, u64, bool),
    /// Report to the machine that a request was lost because the bus is away.
    Lost(Job),
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Pcg64Mcg::seed_from_u64(seed);
        let count = dice.random_range(1..=4_u8);
        let units = (0..count).map(|n| format!("{n}.service").into()).collect();
        let mut params = ResourceParams {
            start_timeout: Duration::from_secs(3),
            stop_timeout: Duration::from_secs(2),
            ..ResourceParams::new(units)
        };
        if dice.random_bool(0.3) {
            params.on_failure = OnFailure::Log;
        }
        if dice.random_bool(0.5) {
            params.handover = Handover::AfterStop;
        }
        let machine = Resources::new("VI_1", params);
        let names: Vec<Arc<str>> = machine.units().cloned().collect();
        let systemd = names.iter().map(|name| {
            let runs = dice.random_bool(0.3);
            (
                Arc::clone(name),
                Unit {
                    runs,
                    ..Unit::default()
                },
            )
        });
        Self {
            systemd: systemd.collect(),
            dice,
            now: Instant::from_nanos(1_000_000_000),
            machine,
            names,
            coming: BTreeMap::new(),
            last: 0,
            is_wild: true,
            has_bus: true,
            inhibited: false,
            wants_master: false,
            is_master: None,
            idle_since: None,
            jobs: 0,
        }
    }

    /// Runs the random phase.
    fn wild(&mut self) -> Result<(), String> {
        let end = self.now + WILD;
        while self.now < end {
            let span = Duration::from_millis(self.dice.random_range(1..20_000));
            let part = self.dice.random_range(0.0..1.0);
            self.pass(span.mul_f64(part))?;
            match self.dice.random_range(0..10_u8) {
                0..=5 => {
                    self.wants_master = !self.wants_master;
                    self.tell_state()?;
                }
                6 | 7 => self.set_bus(!self.has_bus)?,
                _ => self.crash()?,
            }
        }
        Ok(())
    }

    /// Lets time pass and handles all events that are due.
    fn pass(&mut self, span: Duration) -> Result<(), String> {
        let end = self.now + span;
        loop {
            let next = self.coming.first_key_value().map(|((at, _), _)| *at);
            let due = self.machine.deadline();
            let Some(at) = [next, due]
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at <= end)
            else {
                self.now = end;
                return self.check_bound();
            };
            self.now = self.now.max(at);
            if next == Some(at)
                && let Some((_, coming)) = self.coming.pop_first()
            {
                match coming {
                    Coming::Lost(job) => {
                        let outcome = Outcome::Lost("no bus".into());
                        self.give(Event::Ended { job, outcome })?;
                    }
                    Coming::End(name, number, up) => self.end(&name, number, up)?,
                }
            } else {
                self.give(Event::Tick)?;
            }
            self.check_bound()?;
        }
    }

    fn later(&mut self, after: Duration, coming: Coming) {
        self.last += 1;
        self.coming.insert((self.now + after, self.last), coming);
    }

    fn tell_state(&mut self) -> Result<(), String> {
        let is_master = self.wants_master && !self.inhibited;
        if self.is_master == Some(is_master) {
            return Ok(());
        }
        self.is_master = Some(is_master);
        self.mark_idle();
        self.give(if is_master {
            Event::Master
        } else {
            Event::Left
        })
    }

    fn mark_idle(&mut self) {
        let is_idle = self.is_master == Some(false) && self.has_bus;
        self.idle_since = is_idle.then(|| self.idle_since.unwrap_or(self.now));
    }

    /// Connects or disconnects the bus. Jobs continue without the bus, and their ends are not reported.
    fn set_bus(&mut self, there: bool) -> Result<(), String> {
        if self.has_bus == there {
            return Ok(());
        }
        self.has_bus = there;
        self.mark_idle();
        if there {
            for name in self.names.clone() {
                self.tell_unit(&name)?;
            }
            return Ok(());
        }
        let waiting: Vec<Job> = self
            .systemd
            .values_mut()
            .filter_map(|unit| unit.job.as_mut())
            .flat_map(|(_, jobs, _)| std::mem::take(jobs))
            .collect();
        for job in waiting {
            self.later(Duration::from_millis(1), Coming::Lost(job));
        }
        Ok(())
    }

    /// Ends a running unit without a request.
    fn crash(&mut self) -> Result<(), String> {
        let name = Arc::clone(&self.names[self.dice.random_range(0..self.names.len())]);
        if let Some(unit) = self.systemd.get_mut(&name)
            && unit.job.is_none()
        {
            unit.runs = false;
        }
        self.tell_unit(&name)
    }

    fn tell_unit(&mut self, name: &Arc<str>) -> Result<(), String> {
        if !self.has_bus {
            return Ok(());
        }
        let state = match self.systemd[name] {
            Unit { job: Some(_), .. } => UnitState::Changing("changing".into()),
            Unit { runs: true, .. } => UnitState::Active,
            Unit { runs: false, .. } => UnitState::Ended("failed".into()),
        };
        self.give(Event::Unit { unit: name, state })
    }

    fn end(&mut self, name: &Arc<str>, number: u64, up: bool) -> Result<(), String> {
        let Some(unit) = self.systemd.get_mut(name) else {
            return Ok(());
        };
        let Some((verb, jobs, _)) = unit.job.take_if(|(_, _, own)| *own == number) else {
            return Ok(());
        };
        match (verb, up) {
            (Verb::Start, up) => unit.runs = up,
            (Verb::Stop, true) => (unit.runs, unit.failures) = (false, 0),
            (Verb::Stop, false) => unit.failures += 1,
        }
        self.tell_unit(name)?;
        for job in jobs {
            let outcome = if up {
                Outcome::Done
            } else {
                Outcome::Failed("failed".into())
            };
            self.give(Event::Ended { job, outcome })?;
        }
        Ok(())
    }

    /// Records the states that the machine knows. The end of a job that it no longer waits for does not
    /// change them.
    fn take_note(&mut self) {
        for known in self.machine.status(self.now).units {
            if let Some(unit) = self.systemd.get_mut(&known.unit)
                && let Some((asked, done)) = &mut unit.asked
            {
                *done = match asked {
                    Verb::Start => &*known.state == "started",
                    Verb::Stop => &*known.state == "stopped",
                };
            }
        }
    }

    fn give(&mut self, event: Event<'_>) -> Result<(), String> {
        // State before the event: a unit that is already started must not be started by it.
        let before = self.machine.status(self.now).units.into_iter();
        let running = before.filter(|unit| &*unit.state == "started");
        let running: BTreeSet<Arc<str>> = running.map(|unit| unit.unit).collect();
        self.machine.handle(self.now, event);
        self.take_note();
        while let Some(action) = self.machine.poll() {
            match action {
                Action::Run {
                    verb: Verb::Start,
                    unit,
                    ..
                } if running.contains(&unit) => {
                    return Err(format!("{unit} is started a second time"));
                }
                Action::Run { job, verb, unit } => self.run(job, verb, &unit)?,
                Action::Inhibit(why) => {
                    self.inhibited = why.is_some();
                    self.tell_state()?;
                }
                Action::Rested | Action::Tell(_) => {}
            }
        }
        Ok(())
    }

    /// Submits a job to systemd.
    fn run(&mut self, job: Job, verb: Verb, name: &Arc<str>) -> Result<(), String> {
        self.jobs += 1;
        self.check_order(verb, name)?;
        let (up, after) = self.fate(verb, name);
        let has_bus = self.has_bus;
        let number = self.last + 1;
        let Some(unit) = self.systemd.get_mut(name) else {
            return Err(format!("unknown unit {name}"));
        };
        unit.asked = Some((verb, false));
        if !has_bus {
            self.later(Duration::from_millis(1), Coming::Lost(job));
            return Ok(());
        }
        match &mut unit.job {
            Some((same, jobs, _)) if *same == verb => {
                jobs.insert(job);
                return Ok(());
            }
            other => {
                // systemd cancels the job that was replaced and reports that to its requests.
                let replaced = other.replace((verb, BTreeSet::from([job]), number));
                self.later(after, Coming::End(Arc::clone(name), number, up));
                for job in replaced.into_iter().flat_map(|(_, jobs, _)| jobs) {
                    let outcome = Outcome::Failed("canceled".into());
                    self.give(Event::Ended { job, outcome })?;
                }
            }
        }
        Ok(())
    }

    /// Draws whether a job succeeds, and its duration.
    fn fate(&mut self, verb: Verb, name: &Arc<str>) -> (bool, Duration) {
        if !self.is_wild {
            return (true, Duration::from_millis(10));
        }
        let failures = self.systemd[name].failures;
        let quick = Duration::from_millis(self.dice.random_range(1..1_500));
        match (self.dice.random_range(0..10_u8), verb) {
            (0, Verb::Stop) if failures < FAILURES => (false, quick),
            (0 | 1, Verb::Start) => (false, quick),
            // Longer than the start and stop timeouts of the machine: systemd has its own limits.
            (2, _) => (true, Duration::from_secs(20)),
            _ => (true, quick),
        }
    }

    /// Checks the order: starts in order, stops in reverse order, each once.
    fn check_order(&self, verb: Verb, name: &Arc<str>) -> Result<(), String> {
        let place = self.names.iter().position(|other| other == name);
        let place = place.unwrap_or_default();
        let asked = |index: usize| &self.systemd[&self.names[index]];
        match verb {
            Verb::Start => {
                // A failed unit counts as done, also after a timeout or a lost request.
                let status = self.machine.status(self.now);
                let is_there = |before: usize| {
                    asked(before).asked == Some((Verb::Start, true))
                        || &*status.units[before].state == "failed"
                };
                match (0..place).find(|before| !is_there(*before)) {
                    Some(before) => Err(format!("{name} is started before unit {before}")),
                    None => Ok(()),
                }
            }
            Verb::Stop => {
                let is_there = |unit: &Unit| matches!(unit.asked, Some((Verb::Start, true)));
                match (place + 1..self.names.len()).find(|after| is_there(asked(*after))) {
                    Some(after) => Err(format!("{name} is stopped before unit {after}")),
                    None => Ok(()),
                }
            }
        }
    }

    fn check_bound(&self) -> Result<(), String> {
        let is_over = self
            .idle_since
            .is_some_and(|since| self.now.since(since) > BOUND);
        let running = self.systemd.iter().find(|(_, unit)| unit.runs);
        match running.filter(|_| is_over) {
            Some((name, _)) => Err(format!(
                "{name} still runs without a master after the bound"
            )),
            None => Ok(()),
        }
    }
}
