//! When a master announces its addresses again, a second time: written from what the settings mean.

use std::time::Duration;

use vrrp_proto::Instant;

use crate::scenario::AnnounceConfig;

/// The least time between an announcement and the next because of somebody else.
const SPACING: Duration = Duration::from_secs(1);

/// What a master still has to announce.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcing {
    /// Since when it is master, or back after an interruption.
    since: Instant,
    /// When it announced last.
    last: Instant,
    second: Option<Instant>,
    refresh: Option<Instant>,
    /// What it owes to those whom somebody else misled.
    owed: Option<Instant>,
}

impl Announcing {
    /// Of somebody who has just become master and announced its addresses.
    pub(super) fn since(now: Instant, config: &AnnounceConfig) -> Self {
        let mut announcing = Self {
            since: now,
            last: now,
            second: None,
            refresh: None,
            owed: None,
        };
        announcing.plan(now, config);
        announcing
    }

    /// Of the same master, back after an interruption: neighbours may have missed what it announced.
    pub(super) fn resume(&mut self, now: Instant, config: &AnnounceConfig) {
        self.since = now;
        self.plan(now, config);
    }

    /// Plans by the clock anew what is to come after `now`.
    pub(super) fn plan(&mut self, now: Instant, config: &AnnounceConfig) {
        let second = self.since + Duration::from_millis(config.delay.into());
        self.second = (config.delay > 0 && second > now).then_some(second);
        self.refresh = (config.refresh > 0).then(|| self.refresh_after(now, config));
    }

    fn refresh_after(&self, now: Instant, config: &AnnounceConfig) -> Instant {
        let period = u64::from(config.refresh) * 1_000_000;
        let nanos = now.as_nanos() - self.since.as_nanos();
        Instant::from_nanos(self.since.as_nanos() + (nanos / period + 1) * period)
    }

    /// When it wants to be woken.
    pub(super) fn next(&self) -> Option<Instant> {
        let all = [self.second, self.refresh, self.owed];
        all.into_iter().flatten().min()
    }

    /// Whether it announces by `now`.
    pub(super) fn tick(&mut self, now: Instant, config: &AnnounceConfig) -> bool {
        if self.next().is_none_or(|next| now < next) {
            return false;
        }
        self.second = self.second.filter(|at| *at > now);
        if self.refresh.is_some_and(|at| at <= now) {
            self.refresh = Some(self.refresh_after(now, config));
        }
        self.owed = None;
        self.last = now;
        true
    }

    /// Whether it announces at once because somebody of lower precedence advertised; else it owes
    /// that.
    pub(super) fn contradict(&mut self, now: Instant) -> bool {
        if now < self.last + SPACING {
            self.owed = Some(self.last + SPACING);
            return false;
        }
        self.owed = None;
        self.last = now;
        true
    }
}
