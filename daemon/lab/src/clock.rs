//! One clock for everything that the lab sees.
//!
//! Frames, address events, lines of output and answers of the web server are all stamped on
//! `CLOCK_BOOTTIME`, which is also the daemon's clock, so that any two of them can be compared.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A point on `CLOCK_BOOTTIME`, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// This very moment.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        Self::from_clock(now)
    }

    /// Nanoseconds on the clock.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here, or zero when `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time from here to now.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// When the wall clock (`CLOCK_REALTIME`, the kernel's receive timestamps) showed `wall`.
    ///
    /// Asked soon after the event, so that a step of the wall clock in between is unlikely.
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

/// Seconds with microseconds, as the kernel log shows them.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1_000;
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}
