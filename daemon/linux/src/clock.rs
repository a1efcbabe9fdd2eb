//! The daemon's clock and its timer, both on `CLOCK_BOOTTIME`, which continues while the machine is
//! suspended (clock_gettime(2)).
//!
//! The loop arms the timer with the engine's next deadline before each wait. A timer that is armed for
//! an earlier deadline is left alone: a wakeup that is too early does no harm. The deadline of a
//! backup moves with every advertisement, so the timer is armed once in three intervals instead of once
//! in each.
//! Arming an expired timer makes it unreadable again (timerfd_create(2)), so that an expiry costs no
//! read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;
use vrrp_proto::Instant;

use crate::sys;

/// Current time of `CLOCK_BOOTTIME`.
///
/// # Panics
///
/// On kernels without `CLOCK_BOOTTIME`, which are older than 2.6.39.
pub fn now() -> Instant {
    let time = clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .expect("kernels since 2.6.39 have CLOCK_BOOTTIME");
    let nanos = Duration::from(time).as_nanos();
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Time of the wall clock since the beginning of 1970 (UTC). It may go back.
pub fn wall() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Whether an NTP client reports that the wall clock is synchronised (adjtimex(2), STA_UNSYNC).
///
/// # Errors
///
/// EPERM where a filter of system calls denies it.
pub fn is_synchronised() -> io::Result<bool> {
    sys::is_clock_synchronised()
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
    /// A disarmed timer.
    ///
    /// # Errors
    ///
    /// EMFILE when no file descriptor is free.
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Self {
            fd: TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?,
            state: TimerState::Disarmed,
        })
    }

    /// Makes the timer readable at `deadline`, at once when that has passed. It may become readable
    /// earlier when it is armed for an earlier deadline already.
    ///
    /// # Errors
    ///
    /// Fails only if the deadline is invalid.
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
                // Zero would disarm the timer (timerfd_settime(2)).
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

    /// Notes that the loop has seen the expiry. The timer stays readable until the next
    /// [`arm`](Self::arm), which must follow before the next wait.
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
    fn later_deadline_leaves_the_earlier_one_armed() {
        let mut timer = Timer::new().unwrap();
        timer.arm(Some(now() + Duration::from_millis(20))).unwrap();
        timer.arm(Some(now() + Duration::from_secs(3600))).unwrap();
        assert!(readable_within(&timer, 10_000));
    }

    #[test]
    fn earlier_deadline_rearms_the_timer() {
        let mut timer = Timer::new().unwrap();
        timer.arm(Some(now() + Duration::from_secs(3600))).unwrap();
        timer.arm(Some(now() + Duration::from_millis(20))).unwrap();
        assert!(readable_within(&timer, 10_000));
    }

    #[test]
    fn rearming_clears_an_expiry() {
        let mut timer = Timer::new().unwrap();
        timer.arm(Some(Instant::ZERO)).unwrap();
        assert!(readable_within(&timer, 10_000));
        timer.acknowledge();
        timer.arm(Some(now() + Duration::from_secs(3600))).unwrap();
        assert!(!readable_within(&timer, 0));
    }

    #[test]
    fn expired_deadline_fires_again_when_rearmed() {
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
    fn maximum_instant_can_be_armed() {
        let mut timer = Timer::new().unwrap();
        timer.arm(Some(Instant::from_nanos(u64::MAX))).unwrap();
        assert!(!readable_within(&timer, 1));
    }
}
