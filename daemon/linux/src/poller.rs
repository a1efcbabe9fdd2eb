//! Waits for several descriptors at once (epoll(7)), and wakes the waiting thread from other threads
//! (eventfd(2)).
//!
//! Everything is level-triggered: the next wait reports a descriptor again while data is left to read,
//! so that a busy descriptor cannot starve the rest.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Initial capacity of [`Events`], in descriptors.
const EVENTS: usize = 64;

/// The descriptors that the loop waits for, each with a token of the caller.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

/// Result of a wait. The loop reuses it.
#[derive(Debug)]
pub struct Events {
    buffer: Vec<EpollEvent>,
    len: usize,
}

impl Events {
    /// An empty result.
    pub fn new() -> Self {
        Self {
            buffer: vec![EpollEvent::empty(); EVENTS],
            len: 0,
        }
    }

    /// Tokens of the descriptors that are readable or have failed.
    pub fn tokens(&self) -> impl Iterator<Item = u64> {
        self.buffer[..self.len].iter().map(EpollEvent::data)
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Poller {
    /// A poller without descriptors.
    ///
    /// # Errors
    ///
    /// EMFILE when no file descriptor is free.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// Adds `fd`, which is reported as `token` while it is readable. The kernel removes a descriptor
    /// when it is closed.
    ///
    /// # Errors
    ///
    /// EEXIST when `fd` was added already, EPERM when epoll does not support it.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
        Ok(self.epoll.add(fd, event)?)
    }

    /// Removes `fd`.
    ///
    /// # Errors
    ///
    /// ENOENT when `fd` was not added.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until a descriptor is readable or `timeout` is over; in the latter case `events` is empty.
    /// `None` waits forever. A `timeout` is rounded up to whole milliseconds; for an exact deadline use
    /// a [`Timer`](crate::clock::Timer).
    ///
    /// When a stopped process continues or a suspended machine resumes, the wait is interrupted
    /// (signal(7)). The loop must read what arrived meanwhile before it acts on deadlines, so an
    /// interrupted wait is restarted. For the same reason all readable descriptors are reported at
    /// once, and the buffer grows if needed: any socket may contain the master's advertisement.
    ///
    /// # Errors
    ///
    /// Fails only if the poller is invalid.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let mut timeout = timeout.map_or(EpollTimeout::NONE, |timeout| {
            let millis = timeout.as_nanos().div_ceil(1_000_000);
            EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX)
        });
        loop {
            match self.epoll.wait(&mut events.buffer, timeout) {
                Ok(len) if len < events.buffer.len() => {
                    events.len = len;
                    return Ok(());
                }
                // A readable descriptor is reported again by the next call (epoll(7), level-triggered).
                Ok(len) => {
                    events.buffer.resize(2 * len, EpollEvent::empty());
                    timeout = EpollTimeout::ZERO;
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Wakes the waiting thread from any thread. Clones wake the same thread.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<EventFd>,
}

impl Waker {
    /// A waker, to be added to a poller.
    ///
    /// # Errors
    ///
    /// EMFILE when no file descriptor is free.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self {
            event: Arc::new(EventFd::from_flags(flags)?),
        })
    }

    /// Makes the waker readable. Never blocks; several wakes before an acknowledgement count as one.
    pub fn wake(&self) {
        // The only possible error is a counter at its limit (EAGAIN), which is readable as well.
        let _ = self.event.write(1);
    }

    /// Makes the waker unreadable until the next [`wake`](Self::wake). Call it before reading the data
    /// that the wake announced, so that no wake is lost.
    pub fn acknowledge(&self) {
        // The only possible error is a counter of zero (EAGAIN), which is the intended result.
        let _ = self.event.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn tokens(poller: &Poller, timeout: Option<Duration>) -> Vec<u64> {
        let mut events = Events::new();
        poller.wait(&mut events, timeout).unwrap();
        events.tokens().collect()
    }

    #[test]
    fn waker_wakes_across_threads_until_acknowledged() {
        let poller = Poller::new().unwrap();
        let waker = Waker::new().unwrap();
        poller.add(&waker, 7).unwrap();
        assert_eq!(tokens(&poller, NOW), []);
        let other = waker.clone();
        std::thread::spawn(move || {
            other.wake();
            other.wake();
        });
        assert_eq!(tokens(&poller, None), [7]);
        assert_eq!(tokens(&poller, NOW), [7], "level-triggered");
        waker.wake();
        waker.acknowledge();
        waker.acknowledge();
        // The second wake of the other thread may have come in between.
        if tokens(&poller, Some(Duration::from_millis(50))) == [7] {
            waker.acknowledge();
        }
        assert_eq!(tokens(&poller, NOW), []);
    }

    #[test]
    fn all_readable_descriptors_are_reported_at_once() {
        let poller = Poller::new().unwrap();
        let wakers: Vec<Waker> = (0..200).map(|_| Waker::new().unwrap()).collect();
        for (waker, token) in wakers.iter().zip(0..) {
            poller.add(waker, token).unwrap();
            waker.wake();
        }
        let mut reported = tokens(&poller, None);
        reported.sort_unstable();
        assert_eq!(reported, Vec::from_iter(0..200));
    }

    #[test]
    fn removed_or_closed_descriptor_is_not_reported() {
        let poller = Poller::new().unwrap();
        let [removed, closed] = [Waker::new().unwrap(), Waker::new().unwrap()];
        poller.add(&removed, 1).unwrap();
        poller.add(&closed, 2).unwrap();
        assert!(poller.add(&removed, 3).is_err(), "twice");
        removed.wake();
        closed.wake();
        assert_eq!(tokens(&poller, NOW).len(), 2);
        poller.remove(&removed).unwrap();
        drop(closed);
        assert_eq!(tokens(&poller, NOW), []);
    }

    #[test]
    fn a_timeout_ends_the_wait() {
        let poller = Poller::new().unwrap();
        let start = std::time::Instant::now();
        assert_eq!(tokens(&poller, Some(Duration::from_micros(1500))), []);
        assert!(start.elapsed() >= Duration::from_micros(1500));
    }
}
