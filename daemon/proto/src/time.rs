//! Time as the engine sees it: a number that the caller hands in.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the caller's monotonic clock, in nanoseconds since an arbitrary start.
///
/// The daemon reads `CLOCK_BOOTTIME`, which goes on while the machine is suspended; tests and
/// simulations count for themselves. 64 bits last for 584 years, so arithmetic saturates.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Instant(u64);

impl Instant {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);
    /// The end of time.
    pub const MAX: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the start of the clock.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start of the clock.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here, or zero when `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// A wall clock that was read once and goes on with the engine's time. Before it is read it is that
/// itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock {
    read_at: Instant,
    showed: Duration,
}

impl WallClock {
    /// A clock that shows `shows` at `now`, since the beginning of 1970.
    pub(crate) const fn new(now: Instant, shows: Duration) -> Self {
        Self {
            read_at: now,
            showed: shows,
        }
    }

    /// What it shows at `instant`, which may be before it was read.
    pub(crate) fn at(&self, instant: Instant) -> Duration {
        (self.showed + instant.since(self.read_at)).saturating_sub(self.read_at.since(instant))
    }
}

/// A span for people: seconds with three decimals, or milliseconds below a tenth of a second.
#[derive(Clone, Copy, Debug)]
pub struct Human(pub Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= Duration::from_millis(100) {
            write!(f, "{:.3} s", self.0.as_secs_f64())
        } else {
            write!(f, "{:.3} ms", self.0.as_secs_f64() * 1e3)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(
            Instant::from_nanos(u64::MAX) + Duration::MAX,
            Instant::from_nanos(u64::MAX)
        );
        assert_eq!(Instant::ZERO.since(Instant::from_nanos(5)), Duration::ZERO);
    }

    #[test]
    fn an_instant_is_the_number_that_it_was_made_of() {
        let instant = Instant::from_nanos(7);
        assert_eq!((instant + Duration::from_nanos(3)).as_nanos(), 10);
    }

    #[test]
    fn a_wall_clock_goes_on_in_both_directions() {
        let seconds = Duration::from_secs;
        let now = Instant::ZERO + seconds(10);
        let clock = WallClock::new(now, seconds(1000));
        assert_eq!(clock.at(now), seconds(1000));
        assert_eq!(clock.at(now + seconds(5)), seconds(1005));
        assert_eq!(clock.at(Instant::ZERO), seconds(990));
        assert_eq!(WallClock::default().at(now), seconds(10));
        assert_eq!(
            WallClock::new(now, seconds(3)).at(Instant::ZERO),
            seconds(0)
        );
    }

    #[test]
    fn spans_read_as_people_write_them() {
        assert_eq!(
            Human(Duration::from_micros(3_609_375)).to_string(),
            "3.609 s"
        );
        assert_eq!(
            Human(Duration::from_micros(30_250)).to_string(),
            "30.250 ms"
        );
    }
}
