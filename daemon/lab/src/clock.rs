//! The common clock of all observations.
//!
//! Frames, address events, output lines and answers of the web server are all timestamped on
//! `CLOCK_BOOTTIME`, which is also the daemon's clock, so that any two of them can be compared.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Point in time on `CLOCK_BOOTTIME`, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The current time.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        Self::from_clock(now)
    }

    /// Nanoseconds on the clock.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to this moment, or zero if `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Time from this moment to now.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// Converts a time of the wall clock (`CLOCK_REALTIME`, the kernel's receive timestamps).
    ///
    /// Call it soon after the event: a step of the wall clock in between falsifies the result.
    pub(crate) fn from_wall(wall: Duration) -> Self {
        let wall_now =
            clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from);
        Self::now() - wall_now.saturating_sub(wall)
    }

    fn from_clock(span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_clock(span).0))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(Self::from_clock(span).0))
    }
}

/// Shows seconds with microseconds, as the kernel log does.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1_000;
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}
