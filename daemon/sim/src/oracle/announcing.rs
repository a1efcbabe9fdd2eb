//! Expected announcements of a master, written from the meaning of the settings and without code of the
//! engine.

use std::time::Duration;

use vrrp_proto::Instant;

use crate::scenario::AnnounceConfig;

/// Least time between an announcement and a further one that another router caused.
const SPACING: Duration = Duration::from_secs(1);

/// Least time between two answers to claims of hosts that are no routers.
const DEFENCE: Duration = Duration::from_secs(10);

/// Future announcements of a master.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcing {
    /// Time of the transition to master, or of the end of the last interruption.
    since: Instant,
    /// Time of the last announcement.
    last: Instant,
    second: Option<Instant>,
    refresh: Option<Instant>,
    /// Time of a postponed announcement that corrects the neighbours after an advertisement of another
    /// router.
    owed: Option<Instant>,
    /// Time of the last claim of another host that was answered.
    defended: Option<Instant>,
}

impl Announcing {
    /// Announcements of a router that has just become master and announced its addresses.
    pub(super) fn since(now: Instant, config: &AnnounceConfig) -> Self {
        let mut announcing = Self {
            since: now,
            last: now,
            second: None,
            refresh: None,
            owed: None,
            defended: None,
        };
        announcing.plan(now, config);
        announcing
    }

    /// Continues after an interruption: the neighbours may have missed the announcements during it.
    pub(super) fn resume(&mut self, now: Instant, config: &AnnounceConfig) {
        self.since = now;
        self.plan(now, config);
    }

    /// Recomputes the announcements after `now`.
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

    /// Time of the next announcement.
    pub(super) fn next(&self) -> Option<Instant> {
        let all = [self.second, self.refresh, self.owed];
        all.into_iter().flatten().min()
    }

    /// Returns whether the master announces at `now`.
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

    /// Returns whether the master announces at once after a claim of a host that is no router.
    pub(super) fn defend(&mut self, now: Instant) -> bool {
        let answers = self.defended.is_none_or(|at| now.since(at) >= DEFENCE);
        if answers {
            self.defended = Some(now);
        }
        answers && self.contradict(now)
    }

    /// Returns whether the master announces at once after an advertisement of lower precedence.
    /// Otherwise the announcement is postponed.
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
