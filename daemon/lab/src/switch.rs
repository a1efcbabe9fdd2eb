//! Switch of a segment: what its cables share.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::namespace::Namespaces;
use crate::netlink::Netlink;

/// State that cables share with their segment.
#[derive(Debug)]
pub(crate) struct Switch {
    pub(crate) name: String,
    pub(crate) namespaces: Namespaces,
    pub(crate) netlink: Netlink,
    pub(crate) bridge: u32,
    pub(crate) ports: AtomicU32,
}

impl Switch {
    /// Returns the number of the next port, unique in this switch.
    pub(crate) fn next_port(&self) -> u32 {
        self.ports.fetch_add(1, Ordering::Relaxed)
    }
}
