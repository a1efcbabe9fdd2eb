//! Claims of virtual addresses by other hosts (RFC 5227, RFC 4861): a packet socket for ARP (packet(7)), and a
//! raw socket for neighbour advertisements (raw(7)), for each interface.
//!
//! Both are cheap for other traffic: the kernel runs the filter of a packet socket that is bound to ARP for
//! ARP packets only, and that of the raw socket for ICMPv6. A frame to another host does not arrive, so an
//! ARP reply to a third host is not heard.
//!
//! Closing a packet socket waits for all CPUs, some milliseconds.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};
use vrrp_proto::wire::{arp, ndisc};
use vrrp_proto::{Family, InterfaceIndex, MacAddress};

use crate::filter::{self, NOTHING};
use crate::socket::{ReceiveBatch, is_nothing};
use crate::sys;

/// Receive buffer in bytes, for some hundred packets. Of a flood the rest is dropped.
const RECEIVE_BUFFER: usize = 1 << 16;

/// Number of batches that one call reads, so that it ends under any flood.
const BATCHES: usize = 16;

/// Socket for the claims of addresses of one family at one interface.
#[derive(Debug)]
pub struct ConflictSocket {
    socket: Socket,
    family: Family,
}

impl ConflictSocket {
    /// Opens a socket for claims of `addresses`.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW, ENODEV when there is no such interface, EMFILE, EAFNOSUPPORT where IPv6 is
    /// disabled.
    pub fn open(
        interface: InterfaceIndex,
        family: Family,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> io::Result<Self> {
        let (domain, kind, protocol) = match family {
            // With protocol 0 it receives nothing until it is bound.
            Family::V4 => (Domain::PACKET, Type::DGRAM, Protocol::from(0)),
            Family::V6 => (Domain::IPV6, Type::RAW, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, kind.nonblocking(), Some(protocol))?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let socket = Self { socket, family };
        match family {
            Family::V4 => {
                socket.set_filter(addresses)?;
                sys::bind_to_link(socket.as_fd(), interface.0, libc::ETH_P_ARP)?;
            }
            Family::V6 => {
                // It receives from its creation on, and from all interfaces.
                filter::attach(&socket, NOTHING)?;
                socket
                    .socket
                    .bind_device_by_index_v6(NonZeroU32::new(interface.0))?;
                socket.receive(&mut ReceiveBatch::new(), |_, _| {})?;
                socket.set_filter(addresses)?;
            }
        }
        Ok(socket)
    }

    /// Replaces the addresses.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn set_filter(&self, addresses: impl Iterator<Item = IpAddr>) -> io::Result<()> {
        filter::attach(self, &filter::claims(self.family, addresses))
    }

    /// Calls `record` for the waiting claims with their address and hardware address. Other addresses with
    /// the same last byte are among them.
    ///
    /// # Errors
    ///
    /// A pending error of the socket.
    pub fn receive(
        &self,
        batch: &mut ReceiveBatch,
        mut record: impl FnMut(IpAddr, MacAddress),
    ) -> io::Result<()> {
        let ReceiveBatch { buffers, incoming } = batch;
        for _ in 0..BATCHES {
            let received = match sys::receive_many(self.as_fd(), buffers, incoming) {
                Ok(received) => received,
                Err(error) if is_nothing(&error) => return Ok(()),
                // Reported once, after the interface was down.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => continue,
                Err(error) => return Err(error),
            };
            for (buffer, incoming) in buffers.iter().zip(incoming.iter()).take(received) {
                let bytes = buffer.get(..incoming.length).unwrap_or(buffer);
                let claim = match self.family {
                    Family::V4 => arp::sender(bytes).map(|(it, mac)| (it.into(), mac)),
                    Family::V6 => ndisc::advertised(bytes).map(|(it, mac)| (it.into(), mac)),
                };
                if let Some((address, mac)) = claim {
                    record(address, mac);
                }
            }
            if received < buffers.len() {
                break;
            }
        }
        Ok(())
    }
}

impl AsFd for ConflictSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
