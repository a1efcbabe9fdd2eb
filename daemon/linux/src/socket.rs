//! Advertisements in and out: one raw socket per interface (raw(7), RFC 9568 section 5.1.1).
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use vrrp_proto::{InterfaceIndex, Packet, Vrid};

/// The VRIDs that are served on one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VridSet {
    words: [u32; 8],
}

impl VridSet {
    /// Adds `vrid`.
    pub fn insert(&mut self, _vrid: Vrid) {
        todo!()
    }

    /// Whether `vrid` is among them.
    pub fn contains(&self, _vrid: Vrid) -> bool {
        todo!()
    }
}

impl FromIterator<Vrid> for VridSet {
    fn from_iter<T: IntoIterator<Item = Vrid>>(_vrids: T) -> Self {
        todo!()
    }
}

/// A raw socket for the advertisements of one interface.
#[derive(Debug)]
pub struct AdvertSocket {
    _private: (),
}

impl AdvertSocket {
    /// A socket that sends to and receives from the group on `interface`, and receives only what
    /// is for one of `vrids`.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW, ENODEV when there is no such interface.
    pub fn open(_interface: InterfaceIndex, _vrids: &VridSet) -> io::Result<Self> {
        todo!()
    }

    /// Receives only what is for one of `vrids` from now on.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn set_filter(&self, _vrids: &VridSet) -> io::Result<()> {
        todo!()
    }

    /// Takes packets that have come in: as many as fit into `batch`, by one system call. When
    /// there are more the socket stays readable.
    ///
    /// # Errors
    ///
    /// What the interface has to say, such as ENETDOWN, once.
    pub fn receive<'b>(&self, _batch: &'b mut ReceiveBatch) -> io::Result<Packets<'b>> {
        todo!()
    }

    /// Puts `message` into the batch that [`flush`](Self::flush) sends.
    pub fn queue(&mut self, _source: Ipv4Addr, _message: Arc<[u8]>) {
        todo!()
    }

    /// Sends all that was queued, by one system call for up to 64 messages. Calls `failed` for each
    /// message that the kernel does not take; the others leave nevertheless.
    pub fn flush(&mut self, _failed: impl FnMut(Ipv4Addr, io::Error)) {
        todo!()
    }
}

impl AsFd for AdvertSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!()
    }
}

/// Room for the packets of one [`AdvertSocket::receive`]. One serves all sockets.
#[derive(Debug)]
pub struct ReceiveBatch {
    _private: (),
}

impl ReceiveBatch {
    /// Empty room.
    pub fn new() -> Self {
        todo!()
    }
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

/// The packets of one [`AdvertSocket::receive`].
#[derive(Debug)]
pub struct Packets<'b> {
    _batch: &'b ReceiveBatch,
}

impl<'b> Iterator for Packets<'b> {
    type Item = Packet<'b>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
