//! What runs where a router is master: units of systemd, started in order when it has become master and
//! its addresses are there, stopped in reverse when it leaves.
//!
//! A [`Resources`] is one router's. It is told what happens ([`handle`](Resources::handle)) and says what is
//! to be done ([`poll`](Resources::poll)); [`deadline`](Resources::deadline) says when to come back with a
//! [`Tick`](Event::Tick). Whoever carries it out talks to systemd: a job is asked for once, and its end is
//! told once. There is one job at a time, so that the order of the list is the order in which units come and
//! go; only when stops take too long the rest is asked for without waiting.
//!
//! All that is asked for may be asked for again: systemd does not start twice what runs. So whatever the
//! machine does not know (after its start, after the bus was lost) it asks for anew.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::snapshot::{ResourceStatus, ResourcesStatus};
use crate::time::{Human, Instant};

/// How long a job that nobody could be asked for is asked for again before it counts as failed: systemd
/// and its bus may be restarted.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time between two such attempts.
const AGAIN: Duration = Duration::from_millis(500);

/// After a failure a router is kept from being master this long, twice as long after each further one,
/// and at most so long.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// What could not be stopped is told to stop again after this time, twice as long each time, and at most
/// so long.
const STUBBORN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// What a router's resources are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceParams {
    /// The units in the order in which they are started.
    pub units: Vec<Arc<str>>,
    /// What happens when one cannot be started or ends by itself.
    pub on_failure: OnFailure,
    /// Whether the router waits for them when it leaves of its own will.
    pub handover: Handover,
    /// How long the start of one unit may take; 100 ms to 1 h.
    pub start_timeout: Duration,
    /// How long the stop of all units may take before whoever waits for it goes on; 100 ms to 1 h.
    pub stop_timeout: Duration,
}

impl ResourceParams {
    /// Half a minute for a start and for all stops.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    /// These units with the defaults.
    pub const fn new(units: Vec<Arc<str>>) -> Self {
        Self {
            units,
            on_failure: OnFailure::Fault,
            handover: Handover::AtOnce,
            start_timeout: Self::DEFAULT_TIMEOUT,
            stop_timeout: Self::DEFAULT_TIMEOUT,
        }
    }
}

/// What happens when a resource cannot be started or ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The router is in fault for a while, so that another host can do better.
    Fault,
    /// Nothing but a line in the log.
    Log,
}

/// Whether a router waits for its resources when it leaves of its own will: when the daemon stops, when
/// it is no longer configured, and when a resource failed. It never waits when another one is to be master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// It resigns, and they are stopped meanwhile.
    AtOnce,
    /// They are stopped, and then it resigns.
    AfterStop,
}

/// The unit that stands for a router's being master, so that any other unit can say that it belongs there.
/// Whatever is special to systemd in the router's name is escaped as by systemd-escape(1).
pub fn target(router: &str) -> Arc<str> {
    let mut escaped = String::with_capacity(router.len());
    for (index, byte) in router.bytes().enumerate() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if index == 0 => escaped.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => {
                escaped.push(char::from(byte));
            }
            other => escaped.push_str(&format!("\\x{other:02x}")),
        }
    }
    format!("vrrp-master@{escaped}.target").into()
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The router is master, and its addresses are there.
    Master,
    /// The router is not master.
    Left,
    /// The router is to leave for good: all is to be stopped, whatever else is said. Ends with
    /// [`Rested`](Action::Rested).
    Retire,
    /// Its resources are these from now on. What is in `elsewhere` belongs to another router from now on
    /// and is left to that one.
    Configure {
        /// The new parameters.
        params: ResourceParams,
        /// What belongs to others.
        elsewhere: &'a BTreeSet<Arc<str>>,
    },
    /// A job ended.
    Ended {
        /// Which one.
        job: Job,
        /// How.
        outcome: Outcome,
    },
    /// A unit is like this. Repeating it changes nothing.
    Unit {
        /// Its name.
        unit: &'a str,
        /// How it is.
        state: UnitState,
    },
    /// Time has passed.
    Tick,
}

/// A job's number: no two of one machine have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job(u64);

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Done,
    /// Otherwise, for this reason.
    Failed(Arc<str>),
    /// Nobody knows: systemd could not be asked, or is another one meanwhile.
    Lost(Arc<str>),
}

/// How a unit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitState {
    /// It runs.
    Active,
    /// It is about to run or to stop by a job.
    Changing(Arc<str>),
    /// It does not run, and systemd is about to start it again by itself.
    Restarting(Arc<str>),
    /// It does not run, in these words.
    Ended(Arc<str>),
    /// Nobody can say, for this reason.
    Unknown(Arc<str>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for a job, and tell how it [`Ended`](Event::Ended).
    Run {
        /// Its number.
        job: Job,
        /// What it does.
        verb: Verb,
        /// To which unit.
        unit: Arc<str>,
    },
    /// Keep the router from being master for this reason, or no longer.
    Inhibit(Option<Arc<str>>),
    /// Nothing is waited for any more before the router may leave.
    Rested,
    /// Something that people want to know.
    Tell(Notice),
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Starts a unit.
    Start,
    /// Stops it.
    Stop,
}

/// Something that people want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// All of them were started.
    Started {
        /// How many, the target not counted.
        count: usize,
        /// How long that took.
        after: Duration,
    },
    /// All of them were stopped.
    Stopped {
        /// How many, the target not counted.
        count: usize,
        /// How long that took.
        after: Duration,
    },
    /// A unit could not be started.
    CannotStart {
        /// The unit.
        unit: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
    /// A unit that was started is not running any more, and nobody here stopped it.
    Died {
        /// The unit.
        unit: Arc<str>,
        /// In systemd's words.
        why: Arc<str>,
    },
    /// A unit could not be stopped. It is tried again.
    CannotStop {
        /// The unit.
        unit: Arc<str>,
        /// Why.
        why: Arc<str>,
    },
    /// Stops took too long: the rest is stopped without waiting.
    SlowStop {
        /// The unit that is waited for.
        unit: Arc<str>,
        /// For how long all of them were waited for.
        after: Duration,
    },
    /// The router is kept from being master no longer.
    Again {
        /// How long it was.
        after: Duration,
    },
}

impl Notice {
    /// Whether somebody should do something about it.
    pub const fn is_bad(&self) -> bool {
        match self {
            Self::Started { .. } | Self::Stopped { .. } | Self::Again { .. } => false,
            Self::CannotStart { .. }
            | Self::Died { .. }
            | Self::CannotStop { .. }
            | Self::SlowStop { .. } => true,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { count, after } => {
                write!(f, "its {} started in {}", units(*count), Human(*after))
            }
            Self::Stopped { count, after } => {
                write!(f, "its {} stopped in {}", units(*count), Human(*after))
            }
            Self::CannotStart { unit, why } => write!(f, "cannot start {unit}: {why}"),
            Self::Died { unit, why } => write!(f, "{}", died(unit, why)),
            Self::CannotStop { unit, why } => {
                write!(f, "cannot stop {unit}: {why}; trying again")
            }
            Self::SlowStop { unit, after } => write!(
                f,
                "{unit} has not stopped after {}: the rest is stopped without waiting for it",
                Human(*after)
            ),
            Self::Again { after } => write!(
                f,
                "its resources may be tried again, after {}",
                Human(*after)
            ),
        }
    }
}

fn units(count: usize) -> String {
    match count {
        0 => "target was".to_owned(),
        1 => "resource was".to_owned(),
        count => format!("{count} resources were"),
    }
}

fn died(unit: &str, why: &str) -> String {
    format!("{unit} ended by itself: {why}; see journalctl -u {unit}")
}

/// One unit.
#[derive(Clone, Debug)]
struct Unit {
    name: Arc<str>,
    known: Known,
    /// What was last told of it.
    state: Option<UnitState>,
    /// Whether it ran since it was started: one that ends when its work is done never does.
    has_run: bool,
    /// Since when it does not run, while systemd may yet start it again.
    away_since: Option<Instant>,
    /// What was told of its last failure, so that it is not told again and again.
    told: Option<(Verb, Arc<str>)>,
}

/// What became of a unit by our own doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Nothing is known.
    Unknown,
    /// A start succeeded, and no stop was asked for since.
    Started,
    /// A stop succeeded, and no start was asked for since.
    Stopped,
    /// A start failed.
    Failed,
}

impl Unit {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            known: Known::Unknown,
            state: None,
            has_run: false,
            away_since: None,
            told: None,
        }
    }

    fn is_active(&self) -> bool {
        self.state == Some(UnitState::Active)
    }
}

/// What is to be done to a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    verb: Verb,
    unit: Arc<str>,
}

/// The step that is waited for.
#[derive(Clone, Debug)]
struct Current {
    step: Step,
    /// Its job, or none while nobody can be asked.
    job: Option<Job>,
    /// When it counts as failed.
    by: Instant,
    /// When it is asked for again, and since when and why nobody could be asked.
    again: Option<(Instant, Instant, Arc<str>)>,
}

/// Why a router is kept from being master.
#[derive(Clone, Debug)]
struct Illness {
    why: Arc<str>,
    /// Since when it is.
    since: Instant,
    /// Whether that was said: with a hand-over after the stop not before that.
    inhibited: bool,
    /// When it is over: known when all is stopped.
    until: Option<Instant>,
}

/// The resources of one router.
#[derive(Debug)]
pub struct Resources {
    params: ResourceParams,
    /// The target and the units, in the order in which they are started.
    units: Vec<Unit>,
    /// Units of a former configuration, which are to be stopped.
    dropped: Vec<Unit>,
    /// Whether the router is master, once that is known.
    master: Option<bool>,
    retires: bool,
    ill: Option<Illness>,
    /// What is to be done after the current step.
    todo: VecDeque<Step>,
    current: Option<Current>,
    /// Stops that nobody waits for any more.
    loose: BTreeMap<Job, Arc<str>>,
    /// Since when it does what it does.
    since: Instant,
    /// When stops are waited for no longer.
    stop_by: Instant,
    /// Whether all steps are done, and whether they did anything.
    settled: bool,
    busy: bool,
    /// Since when all of them run.
    running_since: Option<Instant>,
    /// When stops that failed are tried again.
    retry_at: Option<Instant>,
    retries: u32,
    /// How often in a row it was ill.
    illnesses: u32,
    last_job: u64,
    actions: VecDeque<Action>,
}

impl Resources {
    /// The resources of `router`, of which nothing is known yet: neither whether it is master nor what
    /// runs.
    pub fn new(router: &str, params: ResourceParams) -> Self {
        let all = core::iter::once(target(router)).chain(params.units.iter().cloned());
        Self {
            units: all.map(Unit::new).collect(),
            params,
            dropped: Vec::new(),
            master: None,
            retires: false,
            ill: None,
            todo: VecDeque::new(),
            current: None,
            loose: BTreeMap::new(),
            since: Instant::ZERO,
            stop_by: Instant::ZERO,
            settled: true,
            busy: false,
            running_since: None,
            retry_at: None,
            retries: 0,
            illnesses: 0,
            last_job: 0,
            actions: VecDeque::new(),
        }
    }

    /// Takes in what happened. Afterwards [`poll`](Self::poll) until there is nothing left.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        match event {
            Event::Master => self.set_master(now, true),
            Event::Left => self.set_master(now, false),
            Event::Retire => {
                self.retires = true;
                self.pursue(now);
            }
            Event::Configure { params, elsewhere } => self.configure(now, params, elsewhere),
            Event::Ended { job, outcome } => self.handle_end(now, job, outcome),
            Event::Unit { unit, state } => self.handle_state(now, unit, state),
            Event::Tick => self.handle_tick(now),
        }
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to come back with a [`Tick`](Event::Tick).
    pub fn deadline(&self) -> Option<Instant> {
        let step = self.current.as_ref().map(|current| match &current.again {
            Some((at, ..)) => current.by.min(*at),
            None => current.by,
        });
        let until = self.ill.as_ref().and_then(|illness| illness.until);
        let back = self.units.iter().filter_map(|unit| unit.away_since);
        let back = back.min().map(|since| since + self.params.start_timeout);
        [step, until, self.retry_at, back]
            .into_iter()
            .flatten()
            .min()
    }

    /// The parameters.
    pub const fn params(&self) -> &ResourceParams {
        &self.params
    }

    /// The units that it may start or stop: the target first.
    pub fn units(&self) -> impl Iterator<Item = &Arc<str>> + '_ {
        self.units
            .iter()
            .chain(&self.dropped)
            .map(|unit| &unit.name)
    }

    /// Whether nothing is waited for: all that should run was started, or all that should not was stopped.
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Why the router is kept from being master, if it is.
    pub fn hinders(&self) -> Option<&Arc<str>> {
        let illness = self.ill.as_ref().filter(|illness| illness.inhibited)?;
        Some(&illness.why)
    }

    /// What it shows of itself.
    pub fn status(&self, now: Instant) -> ResourcesStatus {
        let inhibited = self.ill.as_ref().filter(|illness| illness.inhibited);
        ResourcesStatus {
            units: self
                .units
                .iter()
                .chain(&self.dropped)
                .map(|unit| ResourceStatus {
                    unit: Arc::clone(&unit.name),
                    state: self.word(unit),
                    detail: match &unit.state {
                        None | Some(UnitState::Active) => Arc::default(),
                        Some(
                            UnitState::Changing(text)
                            | UnitState::Restarting(text)
                            | UnitState::Ended(text)
                            | UnitState::Unknown(text),
                        ) => Arc::clone(text),
                    },
                })
                .collect(),
            failure: self.ill.as_ref().map(|illness| Arc::clone(&illness.why)),
            retry_in: inhibited
                .and_then(|illness| illness.until)
                .map(|until| until.since(now).as_secs_f64()),
        }
    }

    fn word(&self, unit: &Unit) -> Arc<str> {
        let current = self.current.as_ref().map(|current| &current.step);
        match current {
            Some(Step {
                verb: Verb::Start,
                unit: name,
            }) if *name == unit.name => "starting",
            Some(Step {
                verb: Verb::Stop,
                unit: name,
            }) if *name == unit.name => "stopping",
            _ => match unit.known {
                Known::Unknown => "unknown",
                Known::Started => "started",
                Known::Stopped => "stopped",
                Known::Failed => "failed",
            },
        }
        .into()
    }

    /// Whether they are to run; nothing before anything is known.
    fn wish(&self) -> Option<bool> {
        if self.retires || self.ill.is_some() {
            return Some(false);
        }
        self.master
    }

    fn set_master(&mut self, now: Instant, master: bool) {
        if self.master != Some(master) {
            let before = self.wish();
            self.master = Some(master);
            if self.wish() != before {
                self.pursue(now);
            }
        }
    }

    fn configure(&mut self, now: Instant, params: ResourceParams, elsewhere: &BTreeSet<Arc<str>>) {
        if self.params == params {
            return;
        }
        let others = self.params.units != params.units;
        self.params = params;
        if self.ill.take().is_some_and(|illness| illness.inhibited) {
            self.actions.push_back(Action::Inhibit(None));
        }
        self.illnesses = 0;
        if others {
            let mut known = core::mem::take(&mut self.units);
            let target = known.remove(0);
            known.append(&mut self.dropped);
            self.units.push(target);
            for name in &self.params.units {
                let unit = known.iter().position(|unit| unit.name == *name);
                let unit =
                    unit.map_or_else(|| Unit::new(Arc::clone(name)), |index| known.remove(index));
                self.units.push(unit);
            }
            known.retain(|unit| unit.known != Known::Stopped && !elsewhere.contains(&unit.name));
            self.dropped = known;
        }
        self.pursue(now);
    }

    /// Works out anew what is to be done.
    fn pursue(&mut self, now: Instant) {
        let Some(wish) = self.wish() else { return };
        self.todo.clear();
        self.current = None;
        self.loose.clear();
        self.retry_at = None;
        self.retries = 0;
        self.running_since = None;
        self.settled = false;
        self.busy = false;
        self.since = now;
        self.stop_by = now + self.params.stop_timeout;
        self.plan(wish);
        self.advance(now);
    }

    fn plan(&mut self, wish: bool) {
        let stop = |unit: &Unit| Step {
            verb: Verb::Stop,
            unit: Arc::clone(&unit.name),
        };
        let remains = |unit: &&Unit| unit.known != Known::Stopped;
        self.todo
            .extend(self.dropped.iter().rev().filter(remains).map(stop));
        if wish {
            let missing = self
                .units
                .iter()
                .filter(|unit| unit.known != Known::Started);
            self.todo.extend(missing.map(|unit| Step {
                verb: Verb::Start,
                unit: Arc::clone(&unit.name),
            }));
        } else {
            self.todo
                .extend(self.units.iter().rev().filter(remains).map(stop));
        }
    }

    /// Begins with what is to be done next.
    fn advance(&mut self, now: Instant) {
        if self.current.is_some() {
            return;
        }
        match self.todo.pop_front() {
            Some(step) => self.begin(now, step),
            None => self.settle(now),
        }
    }

    fn begin(&mut self, now: Instant, step: Step) {
        let by = match step.verb {
            Verb::Start => now + self.params.start_timeout,
            Verb::Stop => self.stop_by,
        };
        let job = self.run(&step);
        self.current = Some(Current {
            step,
            job: Some(job),
            by,
            again: None,
        });
    }

    /// Asks for a job.
    fn run(&mut self, step: &Step) -> Job {
        self.busy = true;
        self.last_job += 1;
        let job = Job(self.last_job);
        if let Some(unit) = self.unit_mut(&step.unit) {
            unit.known = Known::Unknown;
            unit.has_run = false;
            unit.away_since = None;
        }
        self.actions.push_back(Action::Run {
            job,
            verb: step.verb,
            unit: Arc::clone(&step.unit),
        });
        job
    }

    fn unit_mut(&mut self, name: &str) -> Option<&mut Unit> {
        let mut all = self.units.iter_mut().chain(&mut self.dropped);
        all.find(|unit| *unit.name == *name)
    }

    /// Nothing is left to be done.
    fn settle(&mut self, now: Instant) {
        if self.settled {
            return;
        }
        self.settled = true;
        self.dropped.retain(|unit| unit.known != Known::Stopped);
        let after = now.since(self.since);
        let count = self.params.units.len();
        if self.wish() == Some(true) {
            let all = self.units.iter().all(|unit| unit.known == Known::Started);
            self.running_since = Some(now);
            if all && self.busy {
                self.tell(Notice::Started { count, after });
            }
            return;
        }
        if self.retry_at.is_none() && self.busy {
            self.tell(Notice::Stopped { count, after });
        }
        self.rest(now);
    }

    /// Whoever waits for the stops may go on.
    fn rest(&mut self, now: Instant) {
        if let Some(illness) = &mut self.ill
            && illness.until.is_none()
        {
            illness.until = Some(now + back_off(BACK_OFF, self.illnesses));
            if !core::mem::replace(&mut illness.inhibited, true) {
                let why = Arc::clone(&illness.why);
                self.actions.push_back(Action::Inhibit(Some(why)));
            }
        }
        if self.retires {
            self.actions.push_back(Action::Rested);
        }
    }

    fn handle_end(&mut self, now: Instant, job: Job, outcome: Outcome) {
        if let Some(name) = self.loose.remove(&job) {
            self.handle_stop(now, &name, outcome);
            return;
        }
        let Some(current) = &mut self.current else {
            return;
        };
        if current.job != Some(job) {
            // Of something that is wanted no longer.
            return;
        }
        if let Outcome::Lost(why) = outcome {
            let since = current.again.take().map_or(now, |(_, since, _)| since);
            current.job = None;
            current.again = Some((now + AGAIN, since, why));
            return;
        }
        let step = current.step.clone();
        self.current = None;
        match step.verb {
            Verb::Stop => self.handle_stop(now, &step.unit, outcome),
            Verb::Start => match outcome {
                Outcome::Done => {
                    if let Some(unit) = self.unit_mut(&step.unit) {
                        unit.known = Known::Started;
                        unit.has_run = unit.is_active();
                        unit.told = None;
                    }
                }
                Outcome::Failed(why) | Outcome::Lost(why) => {
                    self.cannot_start(now, &step.unit, why)
                }
            },
        }
        self.advance(now);
    }

    fn handle_stop(&mut self, now: Instant, name: &Arc<str>, outcome: Outcome) {
        let Some(unit) = self.unit_mut(name) else {
            return;
        };
        match outcome {
            Outcome::Done => {
                unit.known = Known::Stopped;
                unit.told = None;
            }
            Outcome::Failed(why) | Outcome::Lost(why) => {
                let failure = Some((Verb::Stop, Arc::clone(&why)));
                if unit.told != failure {
                    unit.told = failure;
                    let unit = Arc::clone(name);
                    self.tell(Notice::CannotStop { unit, why });
                }
                let again = now + back_off(STUBBORN, self.retries + 1);
                self.retry_at = Some(self.retry_at.map_or(again, |at| at.min(again)));
            }
        }
    }

    fn cannot_start(&mut self, now: Instant, name: &Arc<str>, why: Arc<str>) {
        let is_target = self.units.first().is_some_and(|unit| unit.name == *name);
        let unit = Arc::clone(name);
        let mut is_news = true;
        if let Some(known) = self.unit_mut(name) {
            known.known = Known::Failed;
            let failure = Some((Verb::Start, Arc::clone(&why)));
            is_news = known.told != failure;
            known.told = failure;
        }
        let notice = Notice::CannotStart { unit, why };
        let text = notice.to_string();
        if is_news {
            self.tell(notice);
        }
        // That other units follow the target is a convenience: without it the resources come all the
        // same.
        if !is_target {
            self.fall_ill(now, text.into());
        }
    }

    /// Gives way for a while, if that is wanted.
    fn fall_ill(&mut self, now: Instant, why: Arc<str>) {
        if self.params.on_failure == OnFailure::Log || self.ill.is_some() {
            return;
        }
        // What ran well for long is not what failed before.
        let ran = self
            .running_since
            .map_or(Duration::ZERO, |at| now.since(at));
        if ran > back_off(BACK_OFF, self.illnesses) {
            self.illnesses = 0;
        }
        self.illnesses = self.illnesses.saturating_add(1);
        let inhibited = self.params.handover == Handover::AtOnce;
        if inhibited {
            self.actions
                .push_back(Action::Inhibit(Some(Arc::clone(&why))));
        }
        self.ill = Some(Illness {
            why,
            since: now,
            inhibited,
            until: None,
        });
        self.pursue(now);
    }

    fn handle_state(&mut self, now: Instant, name: &str, state: UnitState) {
        let Some(unit) = self.unit_mut(name) else {
            return;
        };
        if unit.state.as_ref() == Some(&state) {
            return;
        }
        unit.state = Some(state);
        if unit.known != Known::Started {
            return;
        }
        match &unit.state {
            Some(UnitState::Active) => {
                unit.has_run = true;
                unit.away_since = None;
                unit.told = None;
            }
            Some(UnitState::Ended(why)) if unit.has_run => {
                let (name, why) = (Arc::clone(&unit.name), Arc::clone(why));
                self.lose(now, &name, why);
            }
            // It may be back soon, but not for ever.
            Some(UnitState::Changing(_) | UnitState::Restarting(_)) if unit.has_run => {
                unit.away_since.get_or_insert(now);
            }
            Some(
                UnitState::Ended(_)
                | UnitState::Changing(_)
                | UnitState::Restarting(_)
                | UnitState::Unknown(_),
            )
            | None => {}
        }
    }

    /// A unit that should run does not.
    fn lose(&mut self, now: Instant, name: &Arc<str>, why: Arc<str>) {
        if let Some(unit) = self.unit_mut(name) {
            unit.has_run = false;
            unit.away_since = None;
        }
        let is_target = self.units.first().is_some_and(|unit| unit.name == *name);
        let text = died(name, &why);
        let unit = Arc::clone(name);
        self.tell(Notice::Died { unit, why });
        if !is_target {
            self.fall_ill(now, text.into());
        }
    }

    fn handle_tick(&mut self, now: Instant) {
        if let Some(illness) = &self.ill
            && illness.until.is_some_and(|until| until <= now)
        {
            let after = now.since(illness.since);
            self.ill = None;
            self.tell(Notice::Again { after });
            self.actions.push_back(Action::Inhibit(None));
            if self.wish() == Some(true) {
                self.pursue(now);
            }
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.retries = self.retries.saturating_add(1);
            if self.current.is_none() {
                self.settled = false;
                self.since = now;
                self.stop_by = now + self.params.stop_timeout;
                if let Some(wish) = self.wish() {
                    self.plan(wish);
                }
                self.advance(now);
            }
        }
        let hold_off = self.params.start_timeout;
        let is_lost = |unit: &&Unit| unit.away_since.is_some_and(|since| since + hold_off <= now);
        if let Some(unit) = self.units.iter().find(is_lost) {
            let name = Arc::clone(&unit.name);
            let why = match &unit.state {
                Some(UnitState::Changing(text) | UnitState::Restarting(text)) => Arc::clone(text),
                Some(UnitState::Active | UnitState::Ended(_) | UnitState::Unknown(_)) | None => {
                    Arc::default()
                }
            };
            let why = format!("{why} for {}", Human(hold_off));
            self.lose(now, &name, why.into());
        }
        let Some(current) = &mut self.current else {
            return;
        };
        if current.job.is_none()
            && let Some((at, since, why)) = &current.again
        {
            let tired = current.step.verb == Verb::Start && now.since(*since) >= PATIENCE;
            if tired {
                let (unit, why) = (Arc::clone(&current.step.unit), Arc::clone(why));
                self.current = None;
                self.cannot_start(now, &unit, why);
                self.advance(now);
                return;
            }
            if *at <= now && now < current.by {
                let again = Some((Instant::MAX, *since, Arc::clone(why)));
                let step = current.step.clone();
                let job = self.run(&step);
                if let Some(current) = &mut self.current {
                    current.job = Some(job);
                    current.again = again;
                }
                return;
            }
        }
        if current.by <= now {
            self.time_out(now);
        }
    }

    /// The current step takes too long.
    fn time_out(&mut self, now: Instant) {
        let Some(Current {
            step, job, again, ..
        }) = self.current.take()
        else {
            return;
        };
        match step.verb {
            Verb::Start => {
                let why = match again {
                    Some((_, _, why)) => why,
                    None => format!(
                        "it has not started within {}; see journalctl -u {}",
                        Human(self.params.start_timeout),
                        step.unit
                    )
                    .into(),
                };
                self.cannot_start(now, &step.unit, why);
                self.advance(now);
            }
            Verb::Stop => {
                match (job, again) {
                    (None, Some((_, _, why))) => {
                        self.handle_stop(now, &step.unit, Outcome::Lost(why));
                    }
                    (job, _) => {
                        self.loose
                            .extend(job.map(|job| (job, Arc::clone(&step.unit))));
                        self.tell(Notice::SlowStop {
                            unit: Arc::clone(&step.unit),
                            after: now.since(self.since),
                        });
                    }
                }
                let rest: Vec<Step> = self.todo.drain(..).collect();
                for step in rest {
                    match step.verb {
                        Verb::Stop => {
                            let job = self.run(&step);
                            self.loose.insert(job, step.unit);
                        }
                        Verb::Start => self.todo.push_back(step),
                    }
                }
                if self.todo.is_empty() && self.wish() == Some(false) {
                    self.settled = true;
                    self.rest(now);
                } else {
                    self.advance(now);
                }
            }
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.actions.push_back(Action::Tell(notice));
    }
}

/// The first of the two spans, doubled with every time after the first, and at most the other.
fn back_off((first, most): (Duration, Duration), times: u32) -> Duration {
    let doubled = 1_u32
        .checked_shl(times.saturating_sub(1))
        .unwrap_or(u32::MAX);
    first.saturating_mul(doubled).min(most)
}

#[cfg(test)]
mod tests;
