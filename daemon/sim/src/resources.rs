//! What follows a master, in a world of its own: one router whose state somebody throws dice for, its
//! resources, and a systemd whose jobs take their time, fail, hang or get lost.
//!
//! The laws: a unit that is asked for comes after all before it and leaves before them; what was started is
//! not started again; where the router is not master nothing runs after the bound; and where it is master
//! and nothing goes wrong all of them run.

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

/// After this long without being master nothing may run any more: a stop is waited for, given up, and asked
/// for again until the last of the failures that are thrown for it.
const BOUND: Duration = Duration::from_secs(120);

/// For how long dice are thrown.
const WILD: Duration = Duration::from_secs(300);

/// How often in a row the stop of one unit fails at most.
const FAILURES: u32 = 2;

/// Plays one seed. Returns how many jobs there were.
///
/// # Errors
/// The law that was broken, and when.
pub fn play(seed: u64) -> Result<u64, (Instant, Violation)> {
    let mut world = World::new(seed);
    match play_in(&mut world) {
        Ok(()) => Ok(world.jobs),
        Err(how) => Err((world.now, Invariant::Resources.broken(how))),
    }
}

fn play_in(world: &mut World) -> Result<(), String> {
    world.wild()?;
    // All is well now, and it is no master for long.
    world.is_wild = false;
    world.set_bus(true)?;
    world.wants_master = false;
    world.tell_state()?;
    world.pass(BOUND * 2)?;
    if let Some(unit) = world.systemd.values().position(|unit| unit.runs) {
        return Err(format!("in the end unit {unit} runs, and nobody is master"));
    }
    // Then it is master for longer than it may be kept from it.
    world.wants_master = true;
    world.tell_state()?;
    world.pass(Duration::from_secs(1500))?;
    match world.systemd.values().position(|unit| !unit.runs) {
        Some(unit) => Err(format!("in the end unit {unit} of a master does not run")),
        None => Ok(()),
    }
}

struct World {
    dice: Pcg64Mcg,
    now: Instant,
    machine: Resources,
    names: Vec<Arc<str>>,
    systemd: BTreeMap<Arc<str>, Unit>,
    /// What is to come, in its order.
    coming: BTreeMap<(Instant, u64), Coming>,
    last: u64,
    is_wild: bool,
    has_bus: bool,
    inhibited: bool,
    wants_master: bool,
    /// What the machine was told last.
    is_master: Option<bool>,
    /// Since when it is no master and the bus is there.
    idle_since: Option<Instant>,
    jobs: u64,
}

/// A unit in systemd.
#[derive(Default)]
struct Unit {
    runs: bool,
    /// What is being done to it, for whom, and what becomes of that.
    job: Option<(Verb, BTreeSet<Job>, u64)>,
    failures: u32,
    /// What the machine asked for last, and whether it was told that this is done.
    asked: Option<(Verb, bool)>,
}

enum Coming {
    /// A job of this unit is done, or fails, if it is still that one.
    End(Arc<str>, u64, bool),
    /// The machine is told that nobody can be asked.
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

    /// Throws dice.
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

    /// Lets time pass, and everything happen that is due.
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

    /// The bus comes or goes; jobs go on, and nobody hears of their ends.
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

    /// A unit that runs ends by itself.
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

    /// Takes note of what the machine knows: the end of what it waits for no longer is no news to it.
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

    /// systemd is asked for a job.
    fn run(&mut self, job: Job, verb: Verb, name: &Arc<str>) -> Result<(), String> {
        self.jobs += 1;
        self.check_order(verb, name)?;
        let (up, after) = self.fate(verb, name);
        let has_bus = self.has_bus;
        let number = self.last + 1;
        let Some(unit) = self.systemd.get_mut(name) else {
            return Err(format!("there is no unit {name}"));
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
                // Whoever wanted the other is told, which is old news.
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

    /// Whether a job will do, and after how long.
    fn fate(&mut self, verb: Verb, name: &Arc<str>) -> (bool, Duration) {
        if !self.is_wild {
            return (true, Duration::from_millis(10));
        }
        let failures = self.systemd[name].failures;
        let quick = Duration::from_millis(self.dice.random_range(1..1_500));
        match (self.dice.random_range(0..10_u8), verb) {
            (0, Verb::Stop) if failures < FAILURES => (false, quick),
            (0 | 1, Verb::Start) => (false, quick),
            // Longer than anybody waits: systemd has limits of its own.
            (2, _) => (true, Duration::from_secs(20)),
            _ => (true, quick),
        }
    }

    /// In order, in reverse, and once.
    fn check_order(&self, verb: Verb, name: &Arc<str>) -> Result<(), String> {
        let place = self.names.iter().position(|other| other == name);
        let place = place.unwrap_or_default();
        let asked = |index: usize| &self.systemd[&self.names[index]];
        match verb {
            Verb::Start => {
                // Or has failed, also by taking too long or because nobody could be asked.
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
                "{name} runs, and nobody has been master for longer than the bound"
            )),
            None => Ok(()),
        }
    }
}
