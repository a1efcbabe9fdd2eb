//! The daemon's clock and its one timer, both on `CLOCK_BOOTTIME`, which goes on while the machine
//! is suspended (clock_gettime(2)).
//!
//! The loop arms the timer with the engine's next deadline before each wait. A timer that is armed
//! for an earlier one is left so: waking early does nothing, and a backup, whose deadline moves
//! away with every advertisement, arms once in three intervals and not once in each. Arming an
//! expired timer makes it unreadable again (timerfd_create(2)), so that an expiry costs no read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;
use vrrp_proto::Instant;

/// What time it is.
///
/// # Panics
///
/// On kernels without `CLOCK_BOOTTIME`, which are older than 2.6.39.
pub fn now() -> Instant {
    let time = clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .expect("every kernel that this runs on has CLOCK_BOOTTIME");
    let nanos = Duration::from(time).as_nanos();
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// What the wall clock shows, since the beginning of 1970 (UTC). It may go back.
pub fn wall() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// A timer that becomes readable at a deadline (timerfd_create(2)).
#[derive(Debug)]
pub struct Timer {
    fd: TimerFd,
    state: TimerState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimerState {
    /// Never readable.
    Disarmed,
    /// Readable from this point on.
    Armed(Instant),
    /// Readable, and the loop has seen it.
    Acknowledged,
}

impl Timer {
    /// A timer that is not armed.
    ///
    /// # Errors
    ///
    /// When the process may open no more files.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Self {
            fd: TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?,
            state: TimerState::Disarmed,
        })
    }

    /// Makes the timer readable at `deadline`, at once when that has passed, or earlier when it is
    /// armed for an earlier one.
    ///
    /// # Errors
    ///
    /// None that a valid deadline could cause.
    pub fn arm(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let early_enough = |armed| deadline.is_none_or(|deadline| armed <= deadline);
        match (self.state, deadline) {
            (TimerState::Armed(armed), _) if early_enough(armed) => {}
            (TimerState::Disarmed, None) => {}
            (_, None) => {
                self.fd.unset()?;
                self.state = TimerState::Disarmed;
            }
            (_, Some(deadline)) => {
                // Zero would disarm the timer.
                let span = Duration::from_nanos(deadline.as_nanos().max(1));
                self.fd.set(
                    Expiration::OneShot(TimeSpec::from_duration(span)),
                    TimerSetTimeFlags::TFD_TIMER_ABSTIME,
                )?;
                self.state = TimerState::Armed(deadline);
            }
        }
        Ok(())
    }

    /// Notes that the timer was seen readable. It stays so until the next [`arm`](Self::arm),
    /// which must follow before the next wait.
    pub const fn acknowledge(&mut self) {
        self.state = TimerState::Acknowledged;
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn readable_within(timer: &Timer, millis: u16) -> bool {
        let mut fds = [PollFd::new(timer.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(millis)).unwrap() == 1
    }

    #[test]
    fn a_timer_fires_at_its_deadline_and_not_before() {
        let mut timer = Timer::new().unwrap();
        assert!(!readable_within(&timer, 1), "not armed");
        let deadline = now() + Duration::from_millis(20);
        timer.arm(Some(deadline)).unwrap();
        assert!(readable_within(&timer, 10_000));
        assert!(now() >= deadline);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_once() {
        for deadline in [Instant::ZERO, Instant::from_nanos(1), now()] {
            let mut timer = Timer::new().unwrap();
            timer.arm(Some(deadline)).unwrap();
            assert!(readable_within(&timer, 10_000), "{deadline:?}");
        }
    }

    #[test]
    fn a_deadline_that_moves_away_leaves_the_earlier_one_armed() {
        let mut timer = Timer::new().unwrap();
        timer.arm(Some(now() + Duration::from_millis(20))).unwrap();
        timer.arm(Some(now() + Duration::from_secs(3600))).unwrap();
        assert!(readable_within(&timer, 10_000));
    }

    #[test]
    fn a_deadline_that_comes_nearer_counts() {
        let mut timer = Timer::new().unwrap();
        timer.arm(Some(now() + Duration::from_secs(3600))).unwrap();
        timer.arm(Some(now() + Duration::from_millis(20))).unwrap();
        assert!(readable_within(&timer, 10_000));
    }

    #[test]
    fn arming_anew_takes_back_an_expiry() {
        let mut timer = Timer::new().unwrap();
        timer.arm(Some(Instant::ZERO)).unwrap();
        assert!(readable_within(&timer, 10_000));
        timer.acknowledge();
        timer.arm(Some(now() + Duration::from_secs(3600))).unwrap();
        assert!(!readable_within(&timer, 0));
    }

    #[test]
    fn an_expired_deadline_that_is_armed_again_fires_again() {
        let mut timer = Timer::new().unwrap();
        for _ in 0..2 {
            timer.arm(Some(Instant::ZERO)).unwrap();
            assert!(readable_within(&timer, 10_000));
            timer.acknowledge();
        }
        timer.arm(None).unwrap();
        assert!(!readable_within(&timer, 0), "disarmed after an expiry");
    }

    #[test]
    fn the_end_of_time_can_be_armed() {
        let mut timer = Timer::new().unwrap();
        timer.arm(Some(Instant::from_nanos(u64::MAX))).unwrap();
        assert!(!readable_within(&timer, 1));
    }
}
