//! Time of the engine: a number that the caller passes in.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Point on the caller's monotonic clock, in nanoseconds since an arbitrary start.
///
/// The daemon reads `CLOCK_BOOTTIME`, which also counts while the machine is suspended; tests and
/// simulations count themselves. 64 bits last for 584 years, so arithmetic saturates.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Instant(u64);

impl Instant {
    /// Start of the clock.
    pub const ZERO: Self = Self(0);
    /// Last representable point in time.
    pub const MAX: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the start of the clock.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start of the clock.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Duration from `earlier` to this point, or zero if `earlier` is later.
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

/// Wall clock: its last reading plus the engine's time since then. Before the first reading it
/// equals the engine's time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock {
    read_at: Instant,
    showed: Duration,
}

impl WallClock {
    /// Clock that reads `shows` at `now`, since the beginning of 1970.
    pub(crate) const fn new(now: Instant, shows: Duration) -> Self {
        Self {
            read_at: now,
            showed: shows,
        }
    }

    /// Reading at `instant`, which may be before the last reading.
    pub(crate) fn at(&self, instant: Instant) -> Duration {
        (self.showed + instant.since(self.read_at)).saturating_sub(self.read_at.since(instant))
    }
}

/// A duration formatted for people: seconds with three decimals, or milliseconds below a tenth of a
/// second.
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
    fn instant_arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(
            Instant::from_nanos(u64::MAX) + Duration::MAX,
            Instant::from_nanos(u64::MAX)
        );
        assert_eq!(Instant::ZERO.since(Instant::from_nanos(5)), Duration::ZERO);
    }

    #[test]
    fn instant_keeps_its_nanoseconds() {
        let instant = Instant::from_nanos(7);
        assert_eq!((instant + Duration::from_nanos(3)).as_nanos(), 10);
    }

    #[test]
    fn wall_clock_extrapolates_in_both_directions() {
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
    fn durations_are_formatted_for_people() {
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
