//! Drifting clock of one host.

use std::time::Duration;

use vrrp_proto::Instant;

const MILLION: u128 = 1_000_000;

/// Clock with a constant rate, slightly faster or slower than the world's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    offset: u64,
    /// Nanoseconds of this clock per millisecond of the world's time.
    rate: u128,
}

impl Clock {
    /// Creates a clock that is `drift` millionths too fast.
    pub(crate) fn new(offset: Duration, drift: i32) -> Self {
        // A scenario from a file or a fuzzer may contain any drift.
        let rate = i64::from(drift.clamp(-500_000, 500_000)) + 1_000_000;
        Self {
            offset: u64::try_from(offset.as_nanos()).unwrap_or(u64::MAX),
            rate: u128::from(rate.unsigned_abs()),
        }
    }

    /// Reading of the clock at a moment of the world's time.
    pub(crate) fn shows(&self, world: Instant) -> Instant {
        let own = u128::from(world.as_nanos()) * self.rate / MILLION;
        Instant::from_nanos(self.offset + narrow(own))
    }

    /// First moment of the world's time at which the clock shows `own` or later.
    pub(crate) fn world(&self, own: Instant) -> Instant {
        let span = own.as_nanos().saturating_sub(self.offset);
        // Rounded up: at an earlier moment the clock would not have reached `own`.
        let world = (u128::from(span) * MILLION).div_ceil(self.rate);
        Instant::from_nanos(narrow(world))
    }
}

fn narrow(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_maps_to_first_world_moment() {
        for drift in [-50_000, -1, 0, 1, 33_333, 50_000] {
            let clock = Clock::new(Duration::from_secs(7), drift);
            for own in [7_000_000_000, 7_000_000_001, 8_333_333_333, 999_999_999_999] {
                let own = Instant::from_nanos(own);
                let world = clock.world(own);
                assert!(clock.shows(world) >= own);
                let before = Instant::from_nanos(world.as_nanos().saturating_sub(1));
                assert!(world == before || clock.shows(before) < own);
            }
        }
    }
}
