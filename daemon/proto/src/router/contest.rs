//! Contest: other masters beside this one, and the report that the last of them has gone.
//!
//! What follows the master outside of the protocol, such as an address that a cloud attaches by a
//! request of the master, follows the second master too, and nothing brings it back: the first one
//! has been master all the time, without a transition that would attach it again.

use core::net::IpAddr;
use core::time::Duration;

use super::{Settings, down_interval, skew};
use crate::checkpoint::RivalCheckpoint;
use crate::reasons::Cause;
use crate::time::Instant;
use crate::types::{AdvertInterval, Family};

/// Least time between two reports: each runs a command, and other hosts can cause it.
const SPACING: Duration = Duration::from_secs(10);

/// Other masters of one router.
#[derive(Debug, Default)]
pub(super) struct Contest {
    /// The other master in each family, or the latest of several.
    rivals: [Option<Rival>; 2],
    reported_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Rival {
    from: IpAddr,
    priority: u8,
    /// Whether others than `from` advertised in the contest.
    is_one_of_several: bool,
    interval: AdvertInterval,
    /// Time for which a backup waits for it.
    wait: Duration,
    /// Time at which a backup that heard the same would take over.
    gone_at: Instant,
}

impl Contest {
    /// Records an advertisement of another master.
    pub(super) fn record(
        &mut self,
        now: Instant,
        source: IpAddr,
        priority: u8,
        interval: AdvertInterval,
        settings: &Settings,
    ) {
        let rival = &mut self.rivals[Family::of(source) as usize];
        let wait = down_interval(settings, interval);
        *rival = Some(Rival {
            from: source,
            priority,
            is_one_of_several: rival
                .is_some_and(|rival| rival.is_one_of_several || rival.from != source),
            interval,
            wait,
            gone_at: now + wait,
        });
    }

    /// Records a resignation, after which a backup waits for the skew time only.
    pub(super) fn record_resignation(&mut self, now: Instant, source: IpAddr, settings: &Settings) {
        if let Some(rival) = &mut self.rivals[Family::of(source) as usize]
            && rival.from == source
            && !rival.is_one_of_several
        {
            rival.wait = skew(settings, rival.interval);
            rival.gone_at = now + rival.wait;
        }
    }

    /// Continues after a disconnection from the network: an absence counts from now on.
    pub(super) fn listen_anew(&mut self, now: Instant) {
        for rival in self.rivals.iter_mut().flatten() {
            rival.gone_at = rival.gone_at.max(now + rival.wait);
        }
    }

    /// The other masters and the time of the last report, for a later process.
    pub(super) fn save(&self) -> (Vec<RivalCheckpoint>, Option<Instant>) {
        let rivals = self.rivals.iter().flatten().map(|rival| RivalCheckpoint {
            from: rival.from,
            priority: rival.priority,
            is_one_of_several: rival.is_one_of_several,
            interval: rival.interval.centiseconds(),
            wait: u64::try_from(rival.wait.as_nanos()).unwrap_or(u64::MAX),
            gone_at: rival.gone_at,
        });
        (rivals.collect(), self.reported_at)
    }

    /// Continues with what [`save`](Self::save) returned.
    pub(super) fn restore(rivals: &[RivalCheckpoint], reported_at: Option<Instant>) -> Self {
        let mut contest = Self {
            rivals: [None; 2],
            reported_at,
        };
        for rival in rivals {
            contest.rivals[Family::of(rival.from) as usize] =
                AdvertInterval::restore(rival.interval).map(|interval| Rival {
                    from: rival.from,
                    priority: rival.priority,
                    is_one_of_several: rival.is_one_of_several,
                    interval,
                    wait: Duration::from_nanos(rival.wait),
                    gone_at: rival.gone_at,
                });
        }
        contest
    }

    /// Whether another master is present.
    pub(super) fn is_open(&self) -> bool {
        self.rivals.iter().any(Option::is_some)
    }

    /// Time at which the end is reported, without further advertisements.
    pub(super) fn over_at(&self) -> Option<Instant> {
        let gone_at = self
            .rivals
            .iter()
            .flatten()
            .map(|rival| rival.gone_at)
            .max()?;
        let spaced = self.reported_at.map(|at| at + SPACING);
        Some(spaced.map_or(gone_at, |spaced| gone_at.max(spaced)))
    }

    /// Ends the contest, if it is over. The caller [reports](Self::report) that, in a sync group for
    /// all members together.
    pub(super) fn end(&mut self, now: Instant) -> Option<Cause> {
        self.over_at().filter(|at| *at <= now)?;
        let last = self
            .rivals
            .iter()
            .flatten()
            .max_by_key(|rival| rival.gone_at)?;
        let cause = Cause::Contested {
            master: last.from,
            theirs: last.priority,
        };
        self.rivals = [None; 2];
        Some(cause)
    }

    /// Records a report.
    pub(super) const fn report(&mut self, now: Instant) {
        self.reported_at = Some(now);
    }
}
