//! Announcements: tells the neighbours where the addresses are (packet(7)).
use std::io;
use std::net::Ipv4Addr;

use vrrp_proto::{InterfaceIndex, MacAddress};

/// A packet socket that sends on all interfaces and receives nothing.
#[derive(Debug)]
pub struct AnnounceSocket {
    _private: (),
}

impl AnnounceSocket {
    /// A socket for all interfaces of this network namespace.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        todo!()
    }

    /// Puts a gratuitous ARP into the batch that [`flush`](Self::flush) sends.
    pub fn queue(&mut self, _interface: InterfaceIndex, _mac: MacAddress, _address: Ipv4Addr) {
        todo!()
    }

    /// Sends all that was queued, by one system call for up to 64 frames. Calls `failed` for each
    /// frame that the kernel does not take; the others leave nevertheless.
    pub fn flush(&mut self, _failed: impl FnMut(InterfaceIndex, Ipv4Addr, io::Error)) {
        todo!()
    }
}
