//! What changes in the kernel: links and IPv4 addresses (rtnetlink(7)).
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::mirror::Event;
use crate::request::Requests;

/// A netlink socket that hears of changes by others; what `Requests` did is filtered out in the
/// kernel.
#[derive(Debug)]
pub struct Monitor {
    _private: (),
}

/// Whether all changes were heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Heard {
    /// All of them.
    All,
    /// Some were lost: look at everything again by [`Requests::dump`].
    Overrun,
}

impl Monitor {
    /// A monitor that does not hear what `requests` does.
    ///
    /// # Errors
    ///
    /// When the process may open no more files.
    pub fn open(_requests: &Requests) -> io::Result<Self> {
        todo!()
    }

    /// Takes all that has changed, and appends it to `events`.
    ///
    /// # Errors
    ///
    /// None that a valid socket could cause.
    pub fn read(&mut self, _events: &mut Vec<Event>) -> io::Result<Heard> {
        todo!()
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!()
    }
}
