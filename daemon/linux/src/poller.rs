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

/// How many descriptors one wait reports at most. The rest is reported by the next one.
const EVENTS: usize = 64;

/// The descriptors that the loop waits for, each with a token that the loop understands.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

/// What a wait found. Kept and reused by the loop.
#[derive(Debug)]
pub struct Events {
    buffer: [EpollEvent; EVENTS],
    len: usize,
}

impl Events {
    /// Nothing yet.
    pub const fn new() -> Self {
        todo!()
    }

    /// The tokens of the descriptors that can be read, or have failed.
    pub fn tokens(&self) -> impl Iterator<Item = u64> {
        self.buffer[..self.len].iter().map(EpollEvent::data)
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
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Waits for `fd` no longer.
    ///
    /// # Errors
    ///
    /// When `fd` was not waited for.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until something is readable or a signal handler has run; then `events` may be empty.
    /// A `timeout` of zero only looks; `None` is without end.
    ///
    /// # Errors
    ///
    /// None that a valid poller could cause.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let _ = (events, timeout, EpollTimeout::NONE, Errno::EINTR);
        todo!()
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
        todo!()
    }

    /// Makes the waker unreadable until the next [`wake`](Self::wake). To be called before looking
    /// at what it announces, so that nothing is missed.
    pub fn acknowledge(&self) {
        todo!()
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
