//! Queue of one subject.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use super::{Event, Notification, Notify};
use crate::snapshot::{NotifyRunStatus, NotifyStatus};
use crate::time::Instant;

/// Delay before a failed command is repeated: doubled after each further failure, up to
/// [`LONGEST_REST`].
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Next step after the end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// None: the command succeeded.
    Over,
    /// The command failed. It is repeated after this time, unless a newer notification comes
    /// before.
    Again(Duration),
    /// The command failed and is not repeated.
    GivenUp,
}

/// Running and waiting jobs of one subject.
#[derive(Debug)]
pub(super) struct Queue<C> {
    current: Option<Telling<C>>,
    /// Stops, followed by at most one other state or the end of a contest.
    waiting: VecDeque<Job<C>>,
    runs: u64,
    failures: u64,
    dropped: u64,
    last: Option<LastRun>,
}

/// Transition and the commands that announce it, the next one first: at least one.
#[derive(Debug)]
struct Job<C> {
    news: Arc<Notification>,
    commands: VecDeque<C>,
    timeout: Duration,
    retries: u32,
}

/// Job that has begun.
#[derive(Debug)]
struct Telling<C> {
    job: Job<C>,
    /// Whether a newer notification waits.
    is_old: bool,
    /// First start of the command at the front, and the number of its attempts.
    begun_at: Instant,
    attempts: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The command has to run.
    Ready,
    /// The command runs, at most until this time.
    Running { until: Instant },
    /// The command failed, and is repeated at this time.
    Resting { until: Instant },
}

#[derive(Debug)]
struct LastRun {
    event: Event,
    succeeded: bool,
    detail: Arc<str>,
    at: Instant,
}

impl<C> Default for Queue<C> {
    fn default() -> Self {
        Self {
            current: None,
            waiting: VecDeque::new(),
            runs: 0,
            failures: 0,
            dropped: 0,
            last: None,
        }
    }
}

impl<C: Clone> Queue<C> {
    /// Queues a notification with the settings `notify`, or nothing without settings. Discards what
    /// waits, except for stops.
    pub(super) fn tell(&mut self, news: &Notification, notify: Option<&Notify<C>>) {
        let is_stop = |job: &Job<C>| job.news.event == Event::Stop;
        while let Some(job) = self.waiting.back().filter(|job| !is_stop(job)) {
            self.dropped += u64::from(job.news.event != Event::Contested);
            self.waiting.pop_back();
        }
        self.supersede();
        if let Some(notify) = notify {
            self.push(news, notify);
        }
    }

    /// Queues a notification that does not supersede others, with the settings `notify`, or nothing
    /// without settings. It is pointless if a state waits, which is notified later than this event,
    /// and replaces an earlier one of its kind.
    pub(super) fn append(&mut self, news: &Notification, notify: Option<&Notify<C>>) {
        let last = self.waiting.back().map(|job| job.news.event);
        match last {
            None | Some(Event::Stop) => {}
            Some(event) if event == news.event => drop(self.waiting.pop_back()),
            Some(_) => return,
        }
        let is_of_its_kind = |running: &Telling<C>| running.job.news.event == news.event;
        if self.current.as_ref().is_some_and(is_of_its_kind) {
            self.supersede();
        }
        if let Some(notify) = notify {
            self.push(news, notify);
        }
    }

    /// Ends the repetitions of the job that has begun: a newer notification waits.
    fn supersede(&mut self) {
        if let Some(running) = &mut self.current {
            running.is_old = true;
            if let Phase::Resting { .. } = running.phase {
                self.go_on();
            }
        }
    }

    fn push(&mut self, news: &Notification, notify: &Notify<C>) {
        let commands = notify.commands(news.event);
        if !commands.is_empty() {
            self.waiting.push_back(Job {
                news: Arc::new(news.clone()),
                commands,
                timeout: notify.timeout,
                retries: notify.retries,
            });
        }
    }

    /// Returns the command to run now, its notification and its timeout. At the stop of the daemon
    /// (`is_finishing`) the timeout covers all attempts together.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        is_finishing: bool,
    ) -> Option<(C, Arc<Notification>, Duration)> {
        if self.current.is_none() {
            let next = self.waiting.pop_front();
            let is_newer = |job: &Job<C>| job.news.event != Event::Contested;
            self.current = next.map(|job| Telling {
                job,
                is_old: self.waiting.iter().any(is_newer),
                begun_at: now,
                attempts: 0,
                phase: Phase::Ready,
            });
        }
        let running = self.current.as_mut()?;
        match running.phase {
            Phase::Running { .. } => return None,
            Phase::Resting { until } if now < until => return None,
            Phase::Resting { .. } | Phase::Ready => {}
        }
        if running.attempts == 0 {
            running.begun_at = now;
        }
        let limit = match is_finishing {
            true => running.end().since(now),
            false => running.job.timeout,
        };
        running.attempts += 1;
        running.phase = Phase::Running { until: now + limit };
        let command = running.job.commands.front()?.clone();
        Some((command, Arc::clone(&running.job.news), limit))
    }

    /// Time of the next repetition.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.current.as_ref()?.phase {
            Phase::Resting { until } => Some(until),
            Phase::Ready | Phase::Running { .. } => None,
        }
    }

    /// Takes in the end of the running command.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        succeeded: bool,
        detail: Arc<str>,
        is_finishing: bool,
    ) -> Then {
        let Some(running) = &mut self.current else {
            return Then::Over;
        };
        self.runs += 1;
        self.failures += u64::from(!succeeded);
        self.last = Some(LastRun {
            event: running.job.news.event,
            succeeded,
            detail,
            at: now,
        });
        if succeeded {
            self.go_on();
            return Then::Over;
        }
        // Bounds the shift; the bound of the delay is `LONGEST_REST`.
        let doublings = (running.attempts - 1).min(LONGEST_REST.as_secs().ilog2() + 1);
        let rest = (REST * (1 << doublings)).min(LONGEST_REST);
        let has_time = !is_finishing || now + rest < running.end();
        if running.is_old || running.attempts > running.job.retries || !has_time {
            self.go_on();
            return Then::GivenUp;
        }
        running.phase = Phase::Resting { until: now + rest };
        Then::Again(rest)
    }

    /// Drops the command at the front, and continues with the next one of the job.
    fn go_on(&mut self) {
        self.current = self.current.take().and_then(|mut running| {
            running.job.commands.pop_front();
            running.attempts = 0;
            running.phase = Phase::Ready;
            (!running.job.commands.is_empty()).then_some(running)
        });
    }

    /// Prepares the stop of the daemon: a repetition that would come too late is dropped. Returns
    /// the longest time that the rest takes.
    pub(super) fn finish(&mut self, now: Instant) -> Duration {
        if let Some(running) = &self.current
            && let Phase::Resting { until } = running.phase
            && until >= running.end()
        {
            self.go_on();
        }
        let mut longest = Duration::ZERO;
        if let Some(running) = &self.current {
            longest += match running.phase {
                Phase::Ready => running.job.timeout,
                Phase::Running { until } => until.since(now),
                Phase::Resting { .. } => running.end().since(now),
            };
            longest += running.job.time(1);
        }
        longest + self.waiting.iter().map(|job| job.time(0)).sum::<Duration>()
    }

    /// Whether no command runs or waits.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    pub(super) fn status(&self, now: Instant) -> NotifyStatus {
        let event = |job: &Job<C>| job.news.event;
        NotifyStatus {
            running: self.current.as_ref().map(|running| event(&running.job)),
            waiting: self.waiting.iter().map(event).collect(),
            dropped: self.dropped,
            runs: self.runs,
            failures: self.failures,
            last: self.last.as_ref().map(|run| NotifyRunStatus {
                event: run.event,
                succeeded: run.succeeded,
                detail: Arc::clone(&run.detail),
                age: now.since(run.at).as_secs_f64(),
            }),
        }
    }
}

impl<C> Telling<C> {
    /// Time at which all attempts of the command at the front must have ended when the daemon
    /// stops.
    fn end(&self) -> Instant {
        self.begun_at + self.job.timeout
    }
}

impl<C> Job<C> {
    /// Sum of the timeouts of all commands but the first `begun`.
    fn time(&self, begun: usize) -> Duration {
        let left = self.commands.len().saturating_sub(begun);
        self.timeout * u32::try_from(left).unwrap_or(u32::MAX)
    }
}
