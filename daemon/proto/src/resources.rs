//! Resources: systemd units that run where a router is master. They are started in order when the
//! router has become master and its addresses are added, and stopped in reverse order when it
//! leaves that state.
//!
//! A [`Resources`] belongs to one router. The caller passes events ([`handle`](Resources::handle)),
//! carries out the actions that it returns ([`poll`](Resources::poll)) by requests to systemd, and
//! passes a [`Tick`](Event::Tick) at [`deadline`](Resources::deadline). Each job is requested once
//! and its end reported once. One job runs at a time, so that units start and stop in the order of
//! the list; only when stops take too long, the remaining ones are requested without waiting.
//!
//! Every job may be requested again: systemd does not start a running unit twice. So the machine
//! repeats the job of every unit of unknown state (after its own start, after the loss of the bus).

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::snapshot::{ResourceStatus, ResourcesStatus};
use crate::time::{Human, Instant};

/// Time for which a start is requested again while systemd cannot be reached, before it counts as
/// failed: systemd and its bus may be restarting.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two such requests.
const AGAIN: Duration = Duration::from_millis(500);

/// Time for which a router is inhibited after a failure: the first value, doubled after each
/// further failure, up to the second one.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// Delay before a failed stop is repeated: the first value, doubled each time, up to the second
/// one.
const STUBBORN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// Resources of a router and their settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceParams {
    /// Units in the order in which they are started.
    pub units: Vec<Arc<str>>,
    /// Reaction when a unit cannot be started or ends unexpectedly.
    pub on_failure: OnFailure,
    /// Whether the router waits for the stops before it steps down voluntarily.
    pub handover: Handover,
    /// Timeout for the start of one unit; 100 ms to 1 h.
    pub start_timeout: Duration,
    /// Timeout for the stops of all units together, after which the router no longer waits for
    /// them; 100 ms to 1 h.
    pub stop_timeout: Duration,
}

impl ResourceParams {
    /// Default of both timeouts, 30 s.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    /// `units` with the defaults.
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

/// Reaction when a resource cannot be started or ends unexpectedly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The router is in fault for a while, so that another host can take over.
    Fault,
    /// The failure is only logged.
    Log,
}

/// Whether a router waits for its resources when it leaves voluntarily: when the daemon stops, when
/// the router is no longer configured, and when a resource failed. It never waits when another
/// router preempts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// It steps down at once, while the resources are stopped.
    AtOnce,
    /// The resources are stopped first, then it steps down.
    AfterStop,
}

/// Name of the target that is active while a router is master; other units can depend on it.
/// Characters of the router's name that are special to systemd are escaped as by systemd-escape(1).
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

/// Event for the machine of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The router is master, and its addresses are added.
    Master,
    /// The router is not master.
    Left,
    /// The router leaves for good: all units are stopped, regardless of later events. Answered by
    /// [`Rested`](Action::Rested).
    Retire,
    /// The resources are reconfigured, or the router has another name. Units in `elsewhere` now belong to
    /// another router and are left to it.
    Configure {
        /// Name of the router.
        router: &'a str,
        /// New parameters.
        params: ResourceParams,
        /// Units that belong to other routers.
        elsewhere: &'a BTreeSet<Arc<str>>,
    },
    /// A job ended.
    Ended {
        /// Number of the job.
        job: Job,
        /// Its result.
        outcome: Outcome,
    },
    /// A unit has this state. Repeating it changes nothing.
    Unit {
        /// Name of the unit.
        unit: &'a str,
        /// Its state.
        state: UnitState,
    },
    /// The deadline has passed.
    Tick,
}

/// Number of a job, unique within a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job(u64);

/// Result of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The job succeeded.
    Done,
    /// The job failed for this reason.
    Failed(Arc<str>),
    /// The result is unknown: systemd could not be reached, or was restarted.
    Lost(Arc<str>),
}

/// State of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitState {
    /// The unit runs.
    Active,
    /// A job is about to start or to stop the unit.
    Changing(Arc<str>),
    /// The unit does not run, and systemd is about to restart it.
    Restarting(Arc<str>),
    /// The unit does not run, in systemd's words.
    Ended(Arc<str>),
    /// The state is unknown for this reason.
    Unknown(Arc<str>),
}

/// Action for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Request a job from systemd, and report its [end](Event::Ended).
    Run {
        /// Number of the job.
        job: Job,
        /// Start or stop.
        verb: Verb,
        /// Unit of the job.
        unit: Arc<str>,
    },
    /// Inhibit the router for this reason, or (`None`) no longer.
    Inhibit(Option<Arc<str>>),
    /// Nothing delays the departure of the router any longer.
    Rested,
    /// Log a notice.
    Tell(Notice),
}

/// Kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Starts a unit.
    Start,
    /// Stops a unit.
    Stop,
}

/// Notice for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// All units were started.
    Started {
        /// Number of units without the target.
        count: usize,
        /// Time that the starts took.
        after: Duration,
    },
    /// All units were stopped.
    Stopped {
        /// Number of units without the target.
        count: usize,
        /// Time that the stops took.
        after: Duration,
    },
    /// A unit could not be started.
    CannotStart {
        /// Unit of the job.
        unit: Arc<str>,
        /// Reason of the failure.
        why: Arc<str>,
    },
    /// A unit that was started has ended, and not by a request of the daemon.
    Died {
        /// Unit that has ended.
        unit: Arc<str>,
        /// Its state in systemd's words.
        why: Arc<str>,
    },
    /// A unit could not be stopped. The stop is repeated.
    CannotStop {
        /// Unit of the job.
        unit: Arc<str>,
        /// Reason of the failure.
        why: Arc<str>,
    },
    /// The stops took too long: the remaining units are stopped without waiting.
    SlowStop {
        /// Unit that has not stopped.
        unit: Arc<str>,
        /// Time since the first stop was requested.
        after: Duration,
    },
    /// The router is no longer inhibited.
    Again {
        /// Time for which it was.
        after: Duration,
    },
}

impl Notice {
    /// Whether the notice needs the attention of an operator.
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
                write!(f, "{} started in {}", units(*count), Human(*after))
            }
            Self::Stopped { count, after } => {
                write!(f, "{} stopped in {}", units(*count), Human(*after))
            }
            Self::CannotStart { unit, why } => write!(f, "cannot start {unit}: {why}"),
            Self::Died { unit, why } => write!(f, "{}", died(unit, why)),
            Self::CannotStop { unit, why } => {
                write!(f, "cannot stop {unit}: {why}; retrying")
            }
            Self::SlowStop { unit, after } => write!(
                f,
                "{unit} has not stopped after {}: stopping the remaining units without waiting for it",
                Human(*after)
            ),
            Self::Again { after } => write!(
                f,
                "hold-off after a resource failure ended after {}: may become master again",
                Human(*after)
            ),
        }
    }
}

fn units(count: usize) -> String {
    match count {
        0 => "target".to_owned(),
        1 => "1 resource".to_owned(),
        count => format!("{count} resources"),
    }
}

fn died(unit: &str, why: &str) -> String {
    format!("{unit} ended unexpectedly: {why}; see journalctl -u {unit}")
}

/// Unit and its known state.
#[derive(Clone, Debug)]
struct Unit {
    name: Arc<str>,
    known: Known,
    /// State that was reported last.
    state: Option<UnitState>,
    /// Whether the unit was active since its start: a unit that ends when its work is done never
    /// is.
    has_run: bool,
    /// Time since which the unit is not active although systemd may still restart it.
    away_since: Option<Instant>,
    /// Last failure that was logged, so that a repeated one is not.
    told: Option<(Verb, Arc<str>)>,
}

/// Result of the machine's own jobs for a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// No result is known.
    Unknown,
    /// A start succeeded, and no stop was requested since.
    Started,
    /// A stop succeeded, and no start was requested since.
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

/// Job to request for a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    verb: Verb,
    unit: Arc<str>,
}

/// Step that runs.
#[derive(Clone, Debug)]
struct Current {
    step: Step,
    /// Number of the job; `None` while systemd cannot be reached.
    job: Option<Job>,
    /// Time at which the step counts as failed.
    by: Instant,
    /// Time of the next request, time of the first lost one, and its reason.
    again: Option<(Instant, Instant, Arc<str>)>,
}

/// Failure that inhibits a router.
#[derive(Clone, Debug)]
struct Illness {
    why: Arc<str>,
    /// Time of the failure.
    since: Instant,
    /// Whether the caller was asked to inhibit the router; with [`Handover::AfterStop`] only after
    /// the stops.
    inhibited: bool,
    /// End of the inhibition, known once all units are stopped.
    until: Option<Instant>,
}

/// Resources of one router.
#[derive(Debug)]
pub struct Resources {
    params: ResourceParams,
    /// Target and units, in the order in which they are started.
    units: Vec<Unit>,
    /// Units of a former configuration, which are to be stopped.
    dropped: Vec<Unit>,
    /// Whether the router is master; `None` before the first event.
    master: Option<bool>,
    retires: bool,
    ill: Option<Illness>,
    /// Steps after the current one.
    todo: VecDeque<Step>,
    current: Option<Current>,
    /// Stops that are no longer waited for.
    loose: BTreeMap<Job, Arc<str>>,
    /// Beginning of the present starts or stops.
    since: Instant,
    /// Time after which stops are no longer waited for.
    stop_by: Instant,
    /// Whether all steps are done, and whether any was necessary.
    settled: bool,
    busy: bool,
    /// Time since which all units run.
    running_since: Option<Instant>,
    /// Time at which failed stops are repeated.
    retry_at: Option<Instant>,
    retries: u32,
    /// Number of failures in a row.
    illnesses: u32,
    last_job: u64,
    actions: VecDeque<Action>,
}

impl Resources {
    /// The resources of `router`. Neither its state nor the states of the units are known yet.
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

    /// Takes in an event. Afterwards call [`poll`](Self::poll) until it returns `None`.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        match event {
            Event::Master => self.set_master(now, true),
            Event::Left => self.set_master(now, false),
            Event::Retire => {
                self.retires = true;
                self.pursue(now);
            }
            Event::Configure {
                router,
                params,
                elsewhere,
            } => self.configure(now, router, params, elsewhere),
            Event::Ended { job, outcome } => self.handle_end(now, job, outcome),
            Event::Unit { unit, state } => self.handle_state(now, unit, state),
            Event::Tick => self.handle_tick(now),
        }
    }

    /// Returns the next action.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Time of the next [`Tick`](Event::Tick).
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

    /// Present parameters.
    pub const fn params(&self) -> &ResourceParams {
        &self.params
    }

    /// Names of the units that the machine may start or stop, the target first.
    pub fn units(&self) -> impl Iterator<Item = &Arc<str>> + '_ {
        self.units
            .iter()
            .chain(&self.dropped)
            .map(|unit| &unit.name)
    }

    /// Whether no job is awaited: all units that should run were started, or all that should not
    /// were stopped.
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Reason that inhibits the router, if any.
    pub fn hinders(&self) -> Option<&Arc<str>> {
        let illness = self.ill.as_ref().filter(|illness| illness.inhibited)?;
        Some(&illness.why)
    }

    /// Status of the resources.
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

    /// Whether the units should run; `None` before the first event.
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

    fn configure(
        &mut self,
        now: Instant,
        router: &str,
        params: ResourceParams,
        elsewhere: &BTreeSet<Arc<str>>,
    ) {
        let target = target(router);
        let is_renamed = self.units.first().is_none_or(|it| it.name != target);
        if self.params == params && !is_renamed {
            return;
        }
        let others = is_renamed || self.params.units != params.units;
        self.params = params;
        // The new configuration may remove the cause of the failure: it is tried at once.
        if self.ill.take().is_some_and(|illness| illness.inhibited) {
            self.actions.push_back(Action::Inhibit(None));
        }
        self.illnesses = 0;
        if others {
            let mut known = core::mem::take(&mut self.units);
            known.append(&mut self.dropped);
            for name in core::iter::once(&target).chain(&self.params.units) {
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

    /// Plans the steps anew, and begins with the first one.
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

    /// Begins with the next step, unless one runs.
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

    /// Requests the job of a step.
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

    /// Concludes a plan after its last step.
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

    /// Ends the wait for the stops: a router that leaves may go on, and the inhibition after a
    /// failure begins to run out.
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
            // The job belongs to a plan that was replaced.
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
        // The target only lets other units follow the router: the resources start without it.
        if !is_target {
            self.fall_ill(now, text.into());
        }
    }

    /// Stops the units and inhibits the router for a while, if so configured.
    fn fall_ill(&mut self, now: Instant, why: Arc<str>) {
        if self.params.on_failure == OnFailure::Log || self.ill.is_some() {
            return;
        }
        // A long run since the last failure makes this one the first of a row.
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
            // systemd may bring the unit back; the wait is bounded by the deadline.
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

    /// Handles the loss of a unit that should run.
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

    /// Handles a step that exceeded its timeout.
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
                        "not started within {}; see journalctl -u {}",
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
                // The remaining stops are requested now; starts still wait for their turn.
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

/// `first`, doubled for each time after the first one, and at most `most`.
fn back_off((first, most): (Duration, Duration), times: u32) -> Duration {
    let doubled = 1_u32
        .checked_shl(times.saturating_sub(1))
        .unwrap_or(u32::MAX);
    first.saturating_mul(doubled).min(most)
}

#[cfg(test)]
mod tests;
