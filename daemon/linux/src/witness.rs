//! What arrives at an interface for the served VRIDs, whether or not this host drops it before its raw
//! sockets: a packet socket (packet(7)), which the kernel serves before netfilter, traffic control and
//! routing.
//!
//! The kernel runs the socket's filter for each frame of the interface, so the socket is open only while a
//! backup is silent. Closing waits for all CPUs, some milliseconds, and is left to another thread.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::AsFd;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp_node::host::WitnessedPacket;
use vrrp_node::listeners::VridSet;
use vrrp_proto::wire::ipv4;
use vrrp_proto::{Instant, InterfaceIndex};

use crate::batch;
use crate::filter;
use crate::socket::{Clocks, ReceiveBatch, is_nothing};
use crate::sys;

/// Receive buffer in bytes, for about a thousand packets. A master sends one in each interval, and the
/// socket is read after three of them at the latest.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Number of batches that one call reads, so that it ends under any flood.
const BATCHES: usize = 64;

/// Length of an IPv6 header.
const IPV6_HEADER_LEN: usize = 40;

/// A packet socket that records what arrives at one interface.
#[derive(Debug)]
pub struct WitnessSocket {
    socket: Socket,
    interface: InterfaceIndex,
}

impl WitnessSocket {
    /// Opens a socket that records the packets for `vrids` from now on.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW, ENODEV when there is no such interface, EMFILE.
    pub fn open(interface: InterfaceIndex, vrids: &VridSet) -> io::Result<Self> {
        // With protocol 0 it receives nothing until it is bound.
        let kind = Type::DGRAM.nonblocking();
        let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(0)))?;
        filter::attach(&socket, &filter::on_wire(vrids))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        // Before Linux 4.20 the filter alone drops what this host sends.
        let _ = sys::set_ignore_outgoing(socket.as_fd());
        batch::grow_receive_buffer(&socket, RECEIVE_BUFFER)?;
        sys::bind_to_link(socket.as_fd(), interface.0, libc::ETH_P_ALL)?;
        Ok(Self { socket, interface })
    }

    /// Replaces the set of VRIDs.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn set_filter(&self, vrids: &VridSet) -> io::Result<()> {
        filter::attach(&self.socket, &filter::on_wire(vrids))
    }

    /// Appends the recorded packets, in the order of their arrival.
    ///
    /// # Errors
    ///
    /// A pending error of the socket.
    pub fn receive(
        &self,
        batch: &mut ReceiveBatch,
        packets: &mut Vec<WitnessedPacket>,
    ) -> io::Result<()> {
        let ReceiveBatch { buffers, incoming } = batch;
        for _ in 0..BATCHES {
            let received = match sys::receive_many(self.socket.as_fd(), buffers, incoming) {
                Ok(received) => received,
                Err(error) if is_nothing(&error) => return Ok(()),
                // Reported once, before the packets, after the interface was down.
                Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => continue,
                Err(error) => return Err(error),
            };
            let clocks = Clocks::read();
            for (buffer, incoming) in buffers.iter().zip(incoming.iter()).take(received) {
                let at = incoming
                    .stamp
                    .map_or(clocks.daemon, |stamp| clocks.translate(stamp));
                let bytes = buffer.get(..incoming.length);
                packets.extend(bytes.and_then(|bytes| parse(self.interface, at, bytes)));
            }
            if received < buffers.len() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Closes the socket on another thread. Without one it closes it here.
    pub fn close(self) {
        let thread = std::thread::Builder::new().name("witness".to_owned());
        // On failure the closure, and the socket with it, is dropped.
        let _ = thread.spawn(move || drop(self));
    }
}

/// Parses a packet from its IP header on. `None` if the kernel would not deliver it to a raw socket.
fn parse(interface: InterfaceIndex, at: Instant, bytes: &[u8]) -> Option<WitnessedPacket> {
    let (source, destination, hop_limit, payload) = match bytes.first()? >> 4 {
        4 => {
            let (header, payload) = ipv4::split(bytes)?;
            (
                header.source.into(),
                header.destination.into(),
                header.ttl,
                payload,
            )
        }
        6 => {
            let (header, rest) = bytes.split_first_chunk::<IPV6_HEADER_LEN>()?;
            let address = |at: usize| -> Option<Ipv6Addr> {
                Some(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?))
            };
            let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
            (
                address(8)?.into(),
                address(24)?.into(),
                header[7],
                rest.get(..length)?,
            )
        }
        _ => return None,
    };
    Some(WitnessedPacket {
        at,
        interface,
        source,
        destination,
        hop_limit,
        payload: payload.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use vrrp_proto::wire::{GROUP_V4, GROUP_V6, ipv6};

    use super::*;

    fn parsed(bytes: &[u8]) -> Option<(IpAddr, IpAddr, u8, Vec<u8>)> {
        let packet = parse(InterfaceIndex(2), Instant::ZERO, bytes)?;
        let WitnessedPacket {
            source,
            destination,
            hop_limit,
            payload,
            ..
        } = packet;
        Some((source, destination, hop_limit, payload.into()))
    }

    #[test]
    fn witnessed_packet_is_parsed_without_padding() {
        let (four, six) = ([10, 0, 0, 1].into(), "fe80::1".parse().unwrap());
        let header = ipv4::header(four, GROUP_V4, 255, 3);
        let packet = [&header[..], b"abc", &[0; 17]].concat();
        let expected = (four.into(), GROUP_V4.into(), 255, b"abc".to_vec());
        assert_eq!(parsed(&packet), Some(expected));
        assert_eq!(parsed(&packet[..22]), None);

        let header = ipv6::header(six, GROUP_V6, 254, 3);
        let packet = [&header[..], b"abc", &[0; 7]].concat();
        let expected = (six.into(), GROUP_V6.into(), 254, b"abc".to_vec());
        assert_eq!(parsed(&packet), Some(expected));
        assert_eq!(parsed(&packet[..42]), None);
        assert_eq!(parsed(&[]), None);
        assert_eq!(parsed(&[0x50; 60]), None);
    }
}
