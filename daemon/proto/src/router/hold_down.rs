//! Hold-down: a limit to the rate of take-overs.
//!
//! Another host may become master and resign again and again: its service flaps, or it is an attacker. Each
//! take-over moves the addresses, announces them to the neighbours and runs programs. The first ones follow at
//! once; after [`BURST`] of them a router takes over at most once in three advertisement intervals, so that it
//! waits no longer than for a master that fell silent.

use core::time::Duration;

use super::Settings;
use crate::time::Instant;

/// Number of take-overs that may follow one another at once.
pub(crate) const BURST: u32 = 5;

/// Least time between two take-overs after that.
const LEAST: Duration = Duration::from_secs(1);

/// The take-overs of one router so far (generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct HoldDown {
    /// Time of the last take-over.
    last_at: Instant,
    /// Time at which [`BURST`] take-overs are possible at once again.
    full_at: Instant,
}

impl HoldDown {
    pub(super) const fn new() -> Self {
        Self {
            last_at: Instant::ZERO,
            full_at: Instant::ZERO,
        }
    }

    /// Time of the last take-over, and time at which take-overs are not limited any more.
    pub(super) const fn save(&self) -> (Instant, Instant) {
        (self.last_at, self.full_at)
    }

    /// Continues with what [`save`](Self::save) returned.
    pub(super) const fn restore((last_at, full_at): (Instant, Instant)) -> Self {
        Self { last_at, full_at }
    }

    /// Records a take-over.
    pub(super) fn record(&mut self, now: Instant, settings: &Settings) {
        self.last_at = now;
        self.full_at = self.full_at.max(now) + spacing(settings);
    }

    /// Time before which there is no further take-over.
    pub(super) fn until(&self, settings: &Settings) -> Instant {
        let spacing = spacing(settings);
        // An owner takes over nevertheless, and a reload changes the interval: neither makes it longer.
        (self.full_at - spacing * (BURST - 1)).min(self.last_at + spacing)
    }
}

fn spacing(settings: &Settings) -> Duration {
    (settings.interval.duration() * 3).max(LEAST)
}
