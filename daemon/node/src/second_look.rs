//! When the node resynchronises: repeats the engine's requests, and reads the kernel's state again.

use std::time::Duration;

use vrrp_proto::Instant;

/// Delay between a request that the kernel rejected and the resynchronisation that repeats it.
pub const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Maximum pause between two readings of the kernel while it keeps rejecting requests.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// Time of the next resynchronisation.
///
/// A rejected request is repeated every [`SECOND_LOOK`], which costs one request. To read the kernel takes
/// long on a host with many interfaces or routes: if it rejects the same request for ever, or changes during
/// each reading, the pauses between the readings are 1, 2, 4, ..., 64 s.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SecondLook {
    at: Option<Instant>,
    /// Whether the next resynchronisation has to read the kernel: events were lost.
    is_blind: bool,
    /// Time of the last resynchronisation.
    last: Option<Instant>,
    /// Earliest time of the next reading, and the pause after it.
    reading: Option<(Instant, Duration)>,
    /// Whether the last reading was interrupted.
    is_incomplete: bool,
}

impl SecondLook {
    /// Time of the next resynchronisation.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.at
    }

    /// Schedules a resynchronisation at `at` that reads the kernel: events were lost, or cannot be received.
    pub(crate) fn read_at(&mut self, at: Instant) {
        self.is_blind = true;
        self.schedule(at);
    }

    /// Schedules the next resynchronisation after a rejected request.
    pub(crate) fn repeat(&mut self, now: Instant) {
        // Otherwise the last one was of use, and this rejection is a new one.
        let continues = |last| now.since(last) < SECOND_LOOK;
        if !self.last.is_some_and(continues) {
            self.reading = None;
        }
        self.schedule(now + SECOND_LOOK);
    }

    /// Schedules the next reading after one that was interrupted.
    pub(crate) fn complete(&mut self, now: Instant) {
        self.is_incomplete = true;
        let (earliest, _) = *self.reading.get_or_insert((now + SECOND_LOOK, SECOND_LOOK));
        self.schedule(earliest);
    }

    /// Schedules a resynchronisation at `at`, unless an earlier one is.
    fn schedule(&mut self, at: Instant) {
        self.at = Some(self.at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Takes the resynchronisation that is due at `now`. Returns whether it has to read the kernel.
    pub(crate) fn take(&mut self, now: Instant) -> Option<bool> {
        self.at.take_if(|at| *at <= now)?;
        self.last = Some(now);
        let (earliest, pause) = self.reading.unwrap_or((now, SECOND_LOOK));
        let reads = std::mem::take(&mut self.is_blind) || earliest <= now;
        if reads {
            self.reading = Some((now + pause, LONGEST_PAUSE.min(pause * 2)));
            self.is_incomplete = false;
        } else if self.is_incomplete {
            self.at = Some(earliest);
        }
        Some(reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds at which the kernel is read while it rejects a request from `first` to `last` in each second.
    fn readings(looks: &mut SecondLook, first: u64, last: u64) -> Vec<u64> {
        let at = |second| Instant::ZERO + Duration::from_secs(second);
        looks.repeat(at(first));
        let due = (first + 1)..=last;
        due.filter(|second| {
            let reads = looks.take(at(*second));
            looks.repeat(at(*second));
            reads.expect("a resynchronisation in each second")
        })
        .collect()
    }

    #[test]
    fn readings_become_rare_while_rejections_last() {
        let mut looks = SecondLook::default();
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 192];
        assert_eq!(readings(&mut looks, 0, 200), expected);
    }

    #[test]
    fn rejection_after_a_successful_look_is_new() {
        let mut looks = SecondLook::default();
        readings(&mut looks, 0, 100);
        looks.take(Instant::ZERO + Duration::from_secs(101));
        assert_eq!(readings(&mut looks, 110, 115), [111, 112, 114]);
    }

    #[test]
    fn interrupted_reading_is_repeated_whatever_the_kernel_accepts() {
        let mut looks = SecondLook::default();
        let at = |second| Instant::ZERO + Duration::from_secs(second);
        let mut readings = Vec::new();
        looks.read_at(at(0));
        looks.repeat(at(0));
        while let Some(now) = looks.due().filter(|now| *now < at(30)) {
            if looks.take(now) == Some(true) {
                readings.push(now);
                looks.complete(now);
            }
        }
        assert_eq!(readings, [0, 1, 3, 7, 15].map(at));
    }

    #[test]
    fn rejection_does_not_wait_for_the_end_of_a_long_pause() {
        let mut looks = SecondLook::default();
        let at = |second| Instant::ZERO + Duration::from_secs(second);
        looks.read_at(at(0));
        while let Some(now) = looks.due().filter(|now| *now < at(60)) {
            looks.take(now);
            looks.complete(now);
        }
        assert_eq!(looks.due(), Some(at(63)));
        looks.repeat(at(40));
        assert_eq!(looks.due(), Some(at(41)));
    }

    #[test]
    fn lost_events_are_read_at_once_and_not_put_off() {
        let mut looks = SecondLook::default();
        let first = readings(&mut looks, 0, 40).len();
        let now = Instant::ZERO + Duration::from_secs(41);
        looks.read_at(now);
        looks.repeat(now);
        assert_eq!((first, looks.take(now)), (6, Some(true)));
    }
}
