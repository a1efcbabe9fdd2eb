//! Requests to the kernel: address changes in batches, and dumps (rtnetlink(7)).
use std::io;

use crate::mirror::{Dump, Mirror};
use crate::plan::Change;

/// A netlink socket for requests.
#[derive(Debug)]
pub struct Requests {
    _private: (),
}

/// A change that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {change}: {error}")]
pub struct Failure {
    /// The change.
    pub change: Change,
    /// Why: EPERM, ENODEV, ENOBUFS, and so on.
    #[source]
    pub error: io::Error,
}

impl Requests {
    /// A socket for requests in this network namespace.
    ///
    /// # Errors
    ///
    /// When the process may open no more files.
    pub fn open() -> io::Result<Self> {
        todo!()
    }

    /// Carries out `changes` in their order, and takes into `mirror` what was done. Those that the
    /// kernel refused are appended to `failures`; the others are done nevertheless.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked: ENOMEM.
    pub fn apply(
        &mut self,
        _changes: &[Change],
        _mirror: &mut Mirror,
        _failures: &mut Vec<Failure>,
    ) -> io::Result<()> {
        todo!()
    }

    /// All links and IPv4 addresses.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or changes all the time.
    pub fn dump(&mut self) -> io::Result<Dump> {
        todo!()
    }
}
