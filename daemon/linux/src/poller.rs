//! Waiting for several descriptors at once (epoll(7)), and waking the waiter from other threads
//! (eventfd(2)).
//!
//! Everything is level-triggered: a descriptor with something left to read is reported again by
//! the next wait, so that a busy one cannot keep the loop from the others.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// For how many descriptors there is room at first.
const EVENTS: usize = 64;

/// The descriptors that the loop waits for, each with a token that the loop understands.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

/// What a wait found. Reconciled and reused by the loop.
#[derive(Debug)]
pub struct Events {
    buffer: Vec<EpollEvent>,
    len: usize,
}

impl Events {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            buffer: vec![EpollEvent::empty(); EVENTS],
            len: 0,
        }
    }

    /// The tokens of the descriptors that can be read, or have failed.
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
    /// A poller that waits for nothing.
    ///
    /// # Errors
    ///
    /// When the process may open no more files.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll })
    }

    /// Waits for `fd` to be readable from now on, and reports it as `token`. A descriptor that is
    /// closed is forgotten by itself.
    ///
    /// # Errors
    ///
    /// When `fd` is waited for already or is no descriptor that can be waited for.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
        Ok(self.epoll.add(fd, event)?)
    }

    /// Waits for `fd` no longer.
    ///
    /// # Errors
    ///
    /// When `fd` was not waited for.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until something is readable or `timeout` is over; then `events` is empty. `None` waits
    /// without end, and a `timeout` is rounded up to whole milliseconds: what must be exact is a
    /// [`Timer`](crate::clock::Timer).
    ///
    /// A process that was stopped and goes on, or a machine that was suspended, is interrupted in its
    /// wait (signal(7)). Then it has to find out what came meanwhile before it does what is due, so
    /// an interrupted wait begins again. For the same reason all that is readable is reported at once,
    /// and the room grows where it does not suffice: a master's advertisement may be in any socket.
    ///
    /// # Errors
    ///
    /// None that a valid poller could cause.
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
                // What is readable stays so, and is reported again (epoll(7), level-triggered).
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

/// Wakes the waiter from any thread. Clones wake the same waiter.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<EventFd>,
}

impl Waker {
    /// A waker to be added to a poller.
    ///
    /// # Errors
    ///
    /// When the process may open no more files.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self {
            event: Arc::new(EventFd::from_flags(flags)?),
        })
    }

    /// Makes the waker readable. Never blocks; repeated wakes before an acknowledgement are one.
    pub fn wake(&self) {
        // The one possible error is a counter at its limit (EAGAIN), which is readable as well.
        let _ = self.event.write(1);
    }

    /// Makes the waker unreadable until the next [`wake`](Self::wake). To be called before looking
    /// at what it announces, so that nothing is missed.
    pub fn acknowledge(&self) {
        // The one possible error is a counter of zero (EAGAIN), which is what is wanted.
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
    fn a_waker_wakes_from_another_thread_until_it_is_acknowledged() {
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
        // The other thread may have woken once more in between.
        if tokens(&poller, Some(Duration::from_millis(50))) == [7] {
            waker.acknowledge();
        }
        assert_eq!(tokens(&poller, NOW), []);
    }

    #[test]
    fn everything_that_is_readable_is_reported_at_once() {
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
    fn what_is_removed_or_closed_is_not_reported() {
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
