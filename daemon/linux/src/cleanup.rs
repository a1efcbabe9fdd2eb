//! Takes away what a dead daemon left.
use std::io;

use vrrp_proto::InterfaceAddress;

use crate::request::Failure;

/// What a cleanup did.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// What was removed: the interface's name and the address.
    pub removed: Vec<(std::sync::Arc<str>, InterfaceAddress)>,
    /// What could not be removed.
    pub failures: Vec<Failure>,
}

/// Removes every address that bears our mark, and on kernels without marks each of `configured`
/// (the interface's name and the address).
///
/// # Errors
///
/// When the kernel cannot be asked.
pub fn cleanup<'a>(
    _configured: impl IntoIterator<Item = (&'a str, InterfaceAddress)>,
) -> io::Result<Cleaned> {
    todo!()
}
