//! Receivers of notifications on a host.
//!
//! Runs the daemon's notification scheduler with commands that take time, fail or hang, and checks
//! which notifications the scheduler delivers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use vrrp_proto::notify::{Event, Notification, Notify, Run, Scheduler, Subject};
use vrrp_proto::{Cause, Instant, Output, Report, State};

use crate::coverage::Coverage;
use crate::host::{Turn, carry_over};
use crate::invariants::{Invariant, Violation};
use crate::records::{Fed, Record};
use crate::scenario::Config;

/// Notification command. Its event (`None` for a command of all events) and the number of its
/// configuration identify it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Command {
    event: Option<Event>,
    configuration: u32,
}

/// Notification scheduler of one host during one life of its daemon, with the expected notifications.
#[derive(Debug)]
pub(crate) struct Notifier {
    scheduler: Scheduler<Command>,
    /// Present configuration.
    present: BTreeMap<Subject, Notify<Command>>,
    configuration: u32,
    /// State of each router.
    states: BTreeMap<Arc<str>, State>,
    running: BTreeMap<Subject, Running>,
    heard: BTreeMap<Subject, Heard>,
    /// Time of the next event of the world for this notifier.
    next: Option<Instant>,
    /// Separate from the world's generator, so that notifications do not change the course of a run.
    rng: Pcg64Mcg,
}

#[derive(Debug)]
struct Running {
    /// Number that the scheduler gave it.
    number: u64,
    until: Instant,
    succeeded: bool,
}

/// Expected notifications of one subject (instance or group).
#[derive(Debug)]
struct Heard {
    state: State,
    /// Stops to report, in order.
    stops: Vec<ToTell>,
    /// State to report after the stops.
    newest: Option<ToTell>,
    /// End of a contest to report after the stops, if no state is.
    contested: Option<ToTell>,
    /// Whether a newer notification exists than the one that is being delivered.
    is_old: bool,
    running: Option<Telling>,
    /// Whether the last command failed. It may be repeated, before the end of a contest is reported.
    has_failed: bool,
}

#[derive(Debug)]
struct ToTell {
    event: Event,
    again: bool,
    commands: VecDeque<Command>,
}

/// Notification that is being delivered.
#[derive(Debug)]
struct Telling {
    news: Arc<Notification>,
    command: Command,
    /// Commands that have yet to deliver it.
    left: VecDeque<Command>,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            state: State::Init,
            stops: Vec::new(),
            newest: None,
            contested: None,
            is_old: false,
            running: None,
            has_failed: false,
        }
    }
}

impl Notifier {
    pub(crate) fn new(seed: u64, config: &Config) -> Self {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let present = configured(config, &BTreeMap::new(), 0, &mut rng);
        Self {
            scheduler: Scheduler::new(present.clone()),
            present,
            configuration: 0,
            states: BTreeMap::new(),
            running: BTreeMap::new(),
            heard: BTreeMap::new(),
            next: None,
            rng,
        }
    }

    /// Restarts the scheduler, unless it has work: a command that the former one has run does not run again.
    pub(crate) fn restart(&mut self, now: Instant, records: &[Record]) -> Result<(), Violation> {
        if !self.scheduler.is_idle() {
            return Ok(());
        }
        let notified = carry_over(&self.scheduler.notified())?;
        let mut next = Scheduler::new(self.present.clone());
        next.omit(notified);
        for output in records.iter().flat_map(|record| &record.outputs) {
            if let Output::Report(Report::Continued(transition)) = output {
                next.transition(transition);
            }
        }
        if let Some(run) = next.poll(now) {
            let how = format!("{:?} is notified again of {:?}", run.owner, run.news.event);
            return Err(Invariant::Restart.broken(how));
        }
        self.scheduler = next;
        Ok(())
    }

    /// Records the transitions of a turn of the daemon. The configuration of the first turn is already
    /// known.
    pub(crate) fn take(&mut self, turn: &Turn, is_first: bool) {
        for record in &turn.records {
            let mut former = None;
            if let Fed::Configure(config) = &record.fed
                && !is_first
            {
                self.configuration += 1;
                let next = configured(config, &self.present, self.configuration, &mut self.rng);
                self.scheduler.configure(next.clone());
                former = Some(std::mem::replace(&mut self.present, next));
            }
            let before = former.as_ref().unwrap_or(&self.present);
            let mut moved = BTreeSet::new();
            for output in &record.outputs {
                if let Output::Report(Report::Priority { router, to, .. }) = output {
                    self.scheduler.priority(router, *to);
                }
                if let Output::Report(Report::Contested {
                    router,
                    cause,
                    priority,
                }) = output
                {
                    end_contest(&mut self.heard, before, router, cause);
                    self.scheduler.contested(router, cause, *priority);
                }
                let Output::Report(Report::Transition(transition)) = output else {
                    continue;
                };
                let router = &transition.router;
                let owner = Subject::Instance(Arc::clone(router));
                let starts = transition.from == State::Init;
                // A reload reports the start of a router with the new configuration, and every other
                // transition with the former one.
                let by = if starts { &self.present } else { before };
                let notify = by.get(&owner);
                let heard = self.heard.entry(owner.clone()).or_default();
                heard.becomes(transition.to, notify);
                moved.insert(owner);
                self.states.insert(Arc::clone(router), transition.to);
                for (group, notify) in before {
                    if notify.members.contains(router)
                        && let Some(state) = common(&self.states, &notify.members)
                    {
                        let heard = self.heard.entry(group.clone()).or_default();
                        if heard.state != state {
                            heard.becomes(state, Some(notify));
                            moved.insert(group.clone());
                        }
                    }
                }
                self.scheduler.transition(transition);
            }
            if let Some(former) = former {
                self.end_reload(&former, moved);
            }
        }
    }

    /// Completes a reload. `moved` are the subjects with a transition during the reload.
    fn end_reload(
        &mut self,
        former: &BTreeMap<Subject, Notify<Command>>,
        mut moved: BTreeSet<Subject>,
    ) {
        let is_gone = |(group, _): &(&Subject, _)| !self.present.contains_key(*group);
        let gone = former.iter().filter(is_gone);
        let gone = gone.map(|(group, notify)| (group, notify, Some(State::Init)));
        let present = self.present.iter().map(|(group, notify)| {
            let state = common(&self.states, &notify.members);
            (group, notify, state)
        });
        let is_group = |(owner, ..): &(&Subject, _, _)| matches!(owner, Subject::Group(_));
        for (group, notify, state) in gone.chain(present).filter(is_group) {
            let heard = self.heard.entry(group.clone()).or_default();
            if let Some(state) = state.filter(|state| *state != heard.state) {
                heard.becomes(state, Some(notify));
                moved.insert(group.clone());
            }
        }
        self.scheduler.configured();
        for (owner, notify) in &self.present {
            if let Some(heard) = self.heard.get_mut(owner)
                && notify.on_reload
                && !moved.contains(owner)
                && heard.state != State::Init
            {
                heard.is_to_hear(heard.state, true, Some(notify));
            }
        }
    }

    /// Ends and starts commands. Returns the time at which there is work again.
    pub(crate) fn work(
        &mut self,
        now: Instant,
        coverage: &mut Coverage,
    ) -> Result<Option<Instant>, Violation> {
        loop {
            while let Some(run) = self.scheduler.poll(now) {
                self.begin(now, run, coverage)?;
            }
            let ended = self
                .running
                .iter()
                .find(|(_, running)| running.until <= now);
            let Some(owner) = ended.map(|(owner, _)| owner.clone()) else {
                break;
            };
            if let Some(running) = self.running.remove(&owner) {
                self.scheduler
                    .ended(now, running.number, running.succeeded, "".into());
                if let Some(heard) = self.heard.get_mut(&owner) {
                    heard.has_failed = !running.succeeded;
                }
            }
        }
        for (owner, heard) in &self.heard {
            if !self.running.contains_key(owner) && heard.is_due() {
                let how =
                    format!("no command runs for {owner:?}; expected notifications: {heard:?}");
                return Err(Invariant::Notification.broken(how));
            }
        }
        let ends = self.running.values().map(|running| running.until);
        Ok(ends.chain(self.scheduler.poll_timeout()).min())
    }

    /// Whether the world needs a new event at `at`, because none is scheduled before that time.
    pub(crate) fn is_awaited_before(&mut self, now: Instant, at: Instant) -> bool {
        let known = self.next.filter(|next| *next > now);
        let is_sooner = known.is_none_or(|next| at < next);
        self.next = if is_sooner { Some(at) } else { known };
        is_sooner
    }

    /// Starts a command. Checks that it is the only one of its subject and delivers the expected
    /// notification.
    fn begin(
        &mut self,
        now: Instant,
        run: Run<Command>,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let heard = self.heard.entry(run.owner.clone()).or_default();
        let how = format!(
            "{:?} with command {:?} for {:?}; expected: {heard:?}",
            run.news, run.command, run.owner
        );
        let wrong = |what: &str| Invariant::Notification.broken(format!("{what}: {how}"));
        if self.running.contains_key(&run.owner) {
            return Err(wrong("second command of the same subject at the same time"));
        }
        heard.hears(&run).map_err(wrong)?;
        let (kind, takes, succeeded) = match self.rng.random_range(0..10) {
            // A command that hangs is killed at its timeout.
            0 => ("CommandHangs", run.limit, false),
            1..3 => ("CommandFails", run.limit / 20, false),
            _ => (
                "CommandDoesWell",
                run.limit / self.rng.random_range(1..50),
                true,
            ),
        };
        coverage.fault(kind);
        let until = now + takes;
        let running = Running {
            number: run.number,
            until,
            succeeded,
        };
        self.running.insert(run.owner, running);
        Ok(())
    }

    /// Stops the notifier: the remaining notifications have to be delivered within the time that the
    /// scheduler grants.
    pub(crate) fn finish(mut self, now: Instant, coverage: &mut Coverage) -> Result<(), Violation> {
        let end = now + self.scheduler.finish(now);
        let mut now = now;
        loop {
            let next = self.work(now, coverage)?;
            if self.scheduler.is_idle() {
                let mut all = self.heard.values();
                return match all.find(|heard| heard.is_due() || heard.contested.is_some()) {
                    Some(heard) => Err(Invariant::Notification
                        .broken(format!("forgotten notification at the end: {heard:?}"))),
                    None => Ok(()),
                };
            }
            let Some(next) = next else {
                return Err(Invariant::Notification
                    .broken("undelivered notification at the end of the daemon"));
            };
            now = now.max(next);
            if now > end {
                return Err(
                    Invariant::Notification.broken("final notifications exceed the time limit")
                );
            }
        }
    }
}

impl Heard {
    /// Records a new state of the subject, with the configuration `notify` that may report it.
    fn becomes(&mut self, to: State, notify: Option<&Notify<Command>>) {
        let starts = self.state == State::Init;
        let notify = notify.filter(|notify| notify.on_start || !starts);
        self.is_to_hear(to, false, notify);
        self.state = to;
    }

    /// Adds the end of a contest, which does not replace other notifications, and is pointless before
    /// that of a state.
    fn was_contested(&mut self, notify: Option<&Notify<Command>>) {
        if self.newest.is_some() {
            return;
        }
        let event = Event::Contested;
        let running = self.running.as_ref();
        self.is_old |= running.is_some_and(|running| running.news.event == event);
        let commands = notify
            .map(|notify| commands(notify, event))
            .unwrap_or_default();
        self.contested = (!commands.is_empty()).then_some(ToTell {
            event,
            again: true,
            commands,
        });
    }

    /// Sets the next notification of the subject, if `notify` has commands for it.
    fn is_to_hear(&mut self, to: State, again: bool, notify: Option<&Notify<Command>>) {
        let commands = notify
            .map(|notify| commands(notify, to.into()))
            .unwrap_or_default();
        self.is_old = true;
        self.newest = None;
        self.contested = None;
        if commands.is_empty() {
            return;
        }
        let told = ToTell {
            event: to.into(),
            again,
            commands,
        };
        match to {
            State::Init => self.stops.push(told),
            State::Backup | State::Master | State::Fault => self.newest = Some(told),
        }
    }

    /// Whether a notification is due now, unless a command runs.
    const fn is_due(&self) -> bool {
        let is_contested = self.contested.is_some() && !self.has_failed;
        self.newest.is_some() || !self.stops.is_empty() || is_contested
    }

    /// Compares a command with the expectation: the next command of the current notification, else the
    /// next stop, else the present state, else the end of a contest.
    fn hears(&mut self, run: &Run<Command>) -> Result<(), &'static str> {
        if let Some(running) = &mut self.running
            && Arc::ptr_eq(&running.news, &run.news)
        {
            if running.command == run.command {
                let is_old = self.is_old;
                return if is_old {
                    Err("retry of a superseded notification")
                } else {
                    Ok(())
                };
            }
            if running.left.pop_front() != Some(run.command) {
                return Err("not the next command of the notification");
            }
            running.command = run.command;
            return Ok(());
        }
        if self
            .running
            .as_ref()
            .is_some_and(|running| !running.left.is_empty())
        {
            return Err("previous notification has commands left");
        }
        let next = match self.stops.is_empty() {
            false => self.stops.remove(0),
            true => {
                let next = self.newest.take().or_else(|| self.contested.take());
                next.ok_or("unexpected notification")?
            }
        };
        let mut left = next.commands;
        if (next.event, next.again) != (run.news.event, run.news.again) {
            return Err("not the next notification");
        }
        if left.pop_front() != Some(run.command) {
            return Err("not the configured command");
        }
        self.is_old = !self.stops.is_empty() || self.newest.is_some();
        self.running = Some(Telling {
            news: Arc::clone(&run.news),
            command: run.command,
            left,
        });
        Ok(())
    }
}

/// Records the end of a contest: for the router, and by the report of the deciding member for its
/// group.
fn end_contest(
    heard: &mut BTreeMap<Subject, Heard>,
    present: &BTreeMap<Subject, Notify<Command>>,
    router: &Arc<str>,
    cause: &Cause,
) {
    let is_of_group = |(_, notify): &(&Subject, &Notify<Command>)| {
        !matches!(cause, Cause::With { .. }) && notify.members.contains(router)
    };
    let groups = present.iter().filter(is_of_group);
    let own = Subject::Instance(Arc::clone(router));
    for owner in groups.map(|(group, _)| group.clone()).chain([own]) {
        if let Some(heard) = heard.get_mut(&owner)
            && heard.state == State::Master
        {
            heard.was_contested(present.get(&owner));
        }
    }
}

/// Common state of all members of a group, if they agree.
fn common(states: &BTreeMap<Arc<str>, State>, members: &[Arc<str>]) -> Option<State> {
    let of = |member| states.get(member).copied().unwrap_or(State::Init);
    let first = of(members.first()?);
    members
        .iter()
        .all(|member| of(member) == first)
        .then_some(first)
}

/// Commands that report an event.
fn commands(notify: &Notify<Command>, event: Event) -> VecDeque<Command> {
    let own = match event {
        Event::Stop => notify.stop,
        Event::Backup => notify.backup,
        Event::Master => notify.master,
        Event::Fault => notify.fault,
        Event::Contested => notify.contested,
    };
    own.into_iter().chain(notify.any).collect()
}

/// Draws a random notification configuration; some subjects keep their former one.
fn configured(
    config: &Config,
    former: &BTreeMap<Subject, Notify<Command>>,
    configuration: u32,
    rng: &mut Pcg64Mcg,
) -> BTreeMap<Subject, Notify<Command>> {
    let mut notify = BTreeMap::new();
    let instances = config.routers.keys();
    let instances = instances.map(|name| (Subject::Instance(name.as_str().into()), Vec::new()));
    let groups = config.groups.iter().map(|(name, group)| {
        let members = group.members.iter().map(|member| member.as_str().into());
        (Subject::Group(name.as_str().into()), members.collect())
    });
    for (owner, members) in instances.chain(groups) {
        let same = former.get(&owner).filter(|_| rng.random());
        let mut own = same.cloned().unwrap_or_else(|| {
            let mut command = |event| {
                let command = Command {
                    event,
                    configuration,
                };
                rng.random_bool(0.7).then_some(command)
            };
            Notify {
                master: command(Some(Event::Master)),
                backup: command(Some(Event::Backup)),
                fault: command(Some(Event::Fault)),
                stop: command(Some(Event::Stop)),
                contested: command(Some(Event::Contested)),
                any: command(None),
                timeout: Duration::from_millis(rng.random_range(10..3_000)),
                retries: rng.random_range(0..4),
                on_start: rng.random(),
                on_reload: rng.random(),
                members: Vec::new(),
            }
        });
        own.members = members;
        if rng.random_bool(0.9) {
            notify.insert(owner, own);
        }
    }
    notify
}
