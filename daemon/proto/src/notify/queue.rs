//! The queue of one owner.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use super::{Notification, Notify};
use crate::snapshot::{NotifyRunStatus, NotifyStatus};
use crate::time::Instant;
use crate::types::State;

/// How long after a failure a command is tried again: this first, then twice as long each time, and
/// at most [`LONGEST_REST`].
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What comes after the end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing more of it: it did well.
    Over,
    /// It failed, and is tried again after this time unless something newer is to be told by then.
    Again(Duration),
    /// It failed, and is not tried again.
    GivenUp,
}

/// What is told of one owner, and what waits for it.
#[derive(Debug)]
pub(super) struct Queue<C> {
    current: Option<Telling<C>>,
    /// Stops, and behind them at most one state.
    waiting: VecDeque<Job<C>>,
    runs: u64,
    failures: u64,
    dropped: u64,
    last: Option<LastRun>,
}

/// One transition and the commands that tell it, the next one first: at least one.
#[derive(Debug)]
struct Job<C> {
    news: Arc<Notification>,
    commands: VecDeque<C>,
    timeout: Duration,
    retries: u32,
}

/// What has begun to be told.
#[derive(Debug)]
struct Telling<C> {
    job: Job<C>,
    /// Whether there is something newer.
    is_old: bool,
    /// When the first of the commands that is left was run first, and how many times it was.
    begun_at: Instant,
    attempts: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// It is to run.
    Ready,
    /// It runs, until then at most.
    Running { until: Instant },
    /// It failed, and is to run again then.
    Resting { until: Instant },
}

#[derive(Debug)]
struct LastRun {
    state: State,
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
    /// Takes in what is to be told next, by commands of `notify` or by none. Either way what waited
    /// is no longer so, unless it was a stop.
    pub(super) fn tell(&mut self, news: &Notification, notify: Option<&Notify<C>>) {
        let is_state = |job: &Job<C>| job.news.to != State::Init;
        while self.waiting.back().is_some_and(is_state) {
            self.waiting.pop_back();
            self.dropped += 1;
        }
        if let Some(running) = &mut self.current {
            running.is_old = true;
            if let Phase::Resting { .. } = running.phase {
                self.go_on();
            }
        }
        let Some(notify) = notify else { return };
        let commands = notify.commands(news.to);
        if !commands.is_empty() {
            self.waiting.push_back(Job {
                news: Arc::new(news.clone()),
                commands,
                timeout: notify.timeout,
                retries: notify.retries,
            });
        }
    }

    /// What is to run now, what it tells, and for how long at most. At the end, `is_finishing`, that
    /// is the time for all attempts together.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        is_finishing: bool,
    ) -> Option<(C, Arc<Notification>, Duration)> {
        if self.current.is_none() {
            self.current = self.waiting.pop_front().map(|job| Telling {
                job,
                is_old: !self.waiting.is_empty(),
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

    /// When there is something to run again.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.current.as_ref()?.phase {
            Phase::Resting { until } => Some(until),
            Phase::Ready | Phase::Running { .. } => None,
        }
    }

    /// What runs has ended.
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
            state: running.job.news.to,
            succeeded,
            detail,
            at: now,
        });
        if succeeded {
            self.go_on();
            return Then::Over;
        }
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

    /// Goes on to the next command.
    fn go_on(&mut self) {
        self.current = self.current.take().and_then(|mut running| {
            running.job.commands.pop_front();
            running.attempts = 0;
            running.phase = Phase::Ready;
            (!running.job.commands.is_empty()).then_some(running)
        });
    }

    /// The end has come: what rests too long for it is given up. Returns how long it takes at most.
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

    /// Whether everything is told.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    pub(super) fn status(&self, now: Instant) -> NotifyStatus {
        let to = |job: &Job<C>| job.news.to;
        NotifyStatus {
            running: self.current.as_ref().map(|running| to(&running.job)),
            waiting: self.waiting.iter().map(to).collect(),
            dropped: self.dropped,
            runs: self.runs,
            failures: self.failures,
            last: self.last.as_ref().map(|run| NotifyRunStatus {
                state: run.state,
                succeeded: run.succeeded,
                detail: Arc::clone(&run.detail),
                age: now.since(run.at).as_secs_f64(),
            }),
        }
    }
}

impl<C> Telling<C> {
    /// Until when all attempts of its command may take at the end.
    fn end(&self) -> Instant {
        self.begun_at + self.job.timeout
    }
}

impl<C> Job<C> {
    /// How long its commands may take, without the first `begun`.
    fn time(&self, begun: usize) -> Duration {
        let left = self.commands.len().saturating_sub(begun);
        self.timeout * u32::try_from(left).unwrap_or(u32::MAX)
    }
}
