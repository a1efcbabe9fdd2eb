//! The queue of one owner.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use super::{News, Notify};
use crate::border::State;
use crate::snapshot::{NotifyRunStatus, NotifyStatus};
use crate::time::Instant;

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
    waiting: VecDeque<Notice<C>>,
    runs: u64,
    failures: u64,
    dropped: u64,
    last: Option<LastRun>,
}

/// One transition and the commands that tell it, the next one first: at least one.
#[derive(Debug)]
struct Notice<C> {
    news: Arc<News>,
    commands: VecDeque<C>,
    timeout: Duration,
    retries: u32,
}

/// What has begun to be told.
#[derive(Debug)]
struct Telling<C> {
    notice: Notice<C>,
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
    well: bool,
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
    pub(super) fn tell(&mut self, news: &News, notify: Option<&Notify<C>>) {
        let is_state = |notice: &Notice<C>| notice.news.to != State::Init;
        while self.waiting.back().is_some_and(is_state) {
            self.waiting.pop_back();
            self.dropped += 1;
        }
        if let Some(telling) = &mut self.current {
            telling.is_old = true;
            if let Phase::Resting { .. } = telling.phase {
                self.go_on();
            }
        }
        let Some(notify) = notify else { return };
        let commands = notify.commands(news.to);
        if !commands.is_empty() {
            self.waiting.push_back(Notice {
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
    ) -> Option<(C, Arc<News>, Duration)> {
        if self.current.is_none() {
            self.current = self.waiting.pop_front().map(|notice| Telling {
                notice,
                is_old: !self.waiting.is_empty(),
                begun_at: now,
                attempts: 0,
                phase: Phase::Ready,
            });
        }
        let telling = self.current.as_mut()?;
        match telling.phase {
            Phase::Running { .. } => return None,
            Phase::Resting { until } if now < until => return None,
            Phase::Resting { .. } | Phase::Ready => {}
        }
        if telling.attempts == 0 {
            telling.begun_at = now;
        }
        let limit = match is_finishing {
            true => telling.end().since(now),
            false => telling.notice.timeout,
        };
        telling.attempts += 1;
        telling.phase = Phase::Running { until: now + limit };
        let command = telling.notice.commands.front()?.clone();
        Some((command, Arc::clone(&telling.notice.news), limit))
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
        well: bool,
        detail: Arc<str>,
        is_finishing: bool,
    ) -> Then {
        let Some(telling) = &mut self.current else {
            return Then::Over;
        };
        self.runs += 1;
        self.failures += u64::from(!well);
        self.last = Some(LastRun {
            state: telling.notice.news.to,
            well,
            detail,
            at: now,
        });
        if well {
            self.go_on();
            return Then::Over;
        }
        let doublings = (telling.attempts - 1).min(LONGEST_REST.as_secs().ilog2() + 1);
        let rest = (REST * (1 << doublings)).min(LONGEST_REST);
        let has_time = !is_finishing || now + rest < telling.end();
        if telling.is_old || telling.attempts > telling.notice.retries || !has_time {
            self.go_on();
            return Then::GivenUp;
        }
        telling.phase = Phase::Resting { until: now + rest };
        Then::Again(rest)
    }

    /// Goes on to the next command.
    fn go_on(&mut self) {
        self.current = self.current.take().and_then(|mut telling| {
            telling.notice.commands.pop_front();
            telling.attempts = 0;
            telling.phase = Phase::Ready;
            (!telling.notice.commands.is_empty()).then_some(telling)
        });
    }

    /// The end has come: what rests too long for it is given up. Returns how long it takes at most.
    pub(super) fn finish(&mut self, now: Instant) -> Duration {
        if let Some(telling) = &self.current
            && let Phase::Resting { until } = telling.phase
            && until >= telling.end()
        {
            self.go_on();
        }
        let mut longest = Duration::ZERO;
        if let Some(telling) = &self.current {
            longest += match telling.phase {
                Phase::Ready => telling.notice.timeout,
                Phase::Running { until } => until.since(now),
                Phase::Resting { .. } => telling.end().since(now),
            };
            longest += telling.notice.time(1);
        }
        longest
            + self
                .waiting
                .iter()
                .map(|notice| notice.time(0))
                .sum::<Duration>()
    }

    /// Whether everything is told.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    pub(super) fn status(&self, now: Instant) -> NotifyStatus {
        let to = |notice: &Notice<C>| notice.news.to;
        NotifyStatus {
            telling: self.current.as_ref().map(|telling| to(&telling.notice)),
            waiting: self.waiting.iter().map(to).collect(),
            dropped: self.dropped,
            runs: self.runs,
            failures: self.failures,
            last: self.last.as_ref().map(|run| NotifyRunStatus {
                state: run.state,
                well: run.well,
                detail: Arc::clone(&run.detail),
                age: now.since(run.at).as_secs_f64(),
            }),
        }
    }
}

impl<C> Telling<C> {
    /// Until when all attempts of its command may take at the end.
    fn end(&self) -> Instant {
        self.begun_at + self.notice.timeout
    }
}

impl<C> Notice<C> {
    /// How long its commands may take, without the first `begun`.
    fn time(&self, begun: usize) -> Duration {
        let left = self.commands.len().saturating_sub(begun);
        self.timeout * u32::try_from(left).unwrap_or(u32::MAX)
    }
}
