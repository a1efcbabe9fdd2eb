//! Sockets for advertisements: one raw socket per interface and family (raw(7), ipv6(7), RFC 9568
//! section 5.1).
//!
//! A socket is bound to its interface by index, so that it survives a rename. It receives packets to
//! the multicast group or to an address of the host. A filter drops messages for VRIDs that this host
//! does not serve, and the socket does not receive what it sends itself. There is no other check here:
//! the TTL and everything else is checked by the engine.
//!
//! Messages are queued, and sent together when the loop flushes. The daemon builds the IP header,
//! because a router sends from the interface's primary address, and one socket serves routers with
//! different ones.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use vrrp_proto::wire::{GROUP_V4, GROUP_V6, PROTOCOL, ipv4, ipv6};
use vrrp_proto::{Family, Instant, InterfaceIndex, Packet};

use crate::batch;
use crate::clock;
use crate::filter::{self, NOTHING};
use crate::sys::{self, Destination, Incoming, MANY, Outgoing, PACKET_LEN};
use vrrp_node::host::RejectedAdvert;
use vrrp_node::listeners::VridSet;

/// Queueing priority of sent packets: TC_PRIO_CONTROL of linux/pkt_sched.h, the highest.
const QUEUE_PRIORITY: u32 = 7;

/// Number of packets received by one call. Buffers for [`MANY`] would rarely be filled.
const RECEIVE: usize = 32;

/// Receive buffer in bytes, for packets that arrive while the daemon is not scheduled: 40,000 packets,
/// which a fast sender needs a third of a second for. Later packets are lost, and the master's
/// advertisement may be among them. The value is a limit; unused buffer takes no memory.
const RECEIVE_BUFFER: usize = 16 << 20;

/// Initial capacity of the send queue, in messages.
const ROUTERS: usize = 8;

/// A raw socket for the advertisements of one interface and family.
#[derive(Debug)]
pub struct AdvertSocket {
    socket: Socket,
    interface: InterfaceIndex,
    family: Family,
    queue: Vec<Queued>,
    /// Time at which no packet waited: what is read later arrived later.
    emptied_at: Cell<Instant>,
}

#[derive(Debug)]
struct Queued {
    source: IpAddr,
    to: Destination,
    header: Header,
    message: Arc<[u8]>,
}

/// IP header of a message.
#[derive(Debug)]
enum Header {
    V4([u8; ipv4::HEADER_LEN]),
    V6([u8; ipv6::HEADER_LEN]),
}

impl Header {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }
}

impl AdvertSocket {
    /// Opens a socket that sends on `interface`, and receives there the messages for `vrids` to the
    /// group of `family` or to an address of the host.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW, ENODEV when there is no such interface, EAFNOSUPPORT and EACCES where
    /// IPv6 is disabled.
    pub fn open(interface: InterfaceIndex, family: Family, vrids: &VridSet) -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(PROTOCOL));
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;

        // A raw socket receives from its creation on, and from all interfaces. So the filter drops
        // everything until the socket is bound, and packets that arrived before the filter are
        // discarded below.
        filter::attach(&socket, NOTHING)?;
        let index = NonZeroU32::new(interface.0).ok_or_else(no_such_interface)?;
        // SO_BINDTOIFINDEX, since Linux 5.0. It also selects the interface for multicast
        // (IP_MULTICAST_IF).
        match family {
            Family::V4 => socket.bind_device_by_index_v4(Some(index))?,
            Family::V6 => socket.bind_device_by_index_v6(Some(index))?,
        }
        let mut nothing = [Incoming::default(); MANY];
        while sys::receive_many(socket.as_fd(), &mut [[0; PACKET_LEN]], &mut nothing).is_ok() {}

        // Arrival time of a packet, independent of the time at which it is read.
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        socket.set_priority(QUEUE_PRIORITY)?;
        batch::grow_receive_buffer(&socket, RECEIVE_BUFFER)?;
        batch::grow_send_buffer(&socket, batch::KERNEL_BUFFER)?;
        match family {
            Family::V4 => prepare_v4(&socket)?,
            Family::V6 => prepare_v6(&socket, interface)?,
        }
        filter::attach(&socket, &filter::only(family, vrids))?;
        match family {
            Family::V4 => socket
                .join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(interface.0))?,
            Family::V6 => socket.join_multicast_v6(&GROUP_V6, interface.0)?,
        }
        Ok(Self {
            socket,
            interface,
            family,
            queue: Vec::with_capacity(ROUTERS),
            emptied_at: Cell::new(Instant::ZERO),
        })
    }

    /// Replaces the set of served VRIDs.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn set_filter(&self, vrids: &VridSet) -> io::Result<()> {
        filter::attach(&self.socket, &filter::only(self.family, vrids))
    }

    /// Receives as many packets as fit into `batch`, by one system call. With more packets waiting the
    /// socket stays readable; with none the iterator is empty.
    ///
    /// # Errors
    ///
    /// A pending error of the socket, such as ENETDOWN, which the kernel reports once.
    pub fn receive<'b>(&self, batch: &'b mut ReceiveBatch) -> io::Result<Packets<'b>> {
        let ReceiveBatch { buffers, incoming } = batch;
        let before = clock::now();
        let received = match sys::receive_many(self.socket.as_fd(), buffers, incoming) {
            Ok(received) => received,
            Err(error) if is_nothing(&error) => 0,
            Err(error) => return Err(error),
        };
        let earliest = self.emptied_at.get();
        if received < buffers.len() {
            self.emptied_at.set(before);
        }
        Ok(Packets {
            interface: self.interface,
            clocks: Clocks::read(),
            earliest,
            batch_is_full: received == buffers.len(),
            buffers: buffers[..received].iter(),
            incoming: incoming.iter(),
        })
    }

    /// Number of packets for the served VRIDs that the kernel has dropped so far because the receive
    /// buffer was full.
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT before Linux 4.12.
    pub fn lost(&self) -> io::Result<u32> {
        sys::overflowed(self.socket.as_fd())
    }

    /// Queues `message` for [`flush`](Self::flush). `destination` is the group or a peer of the same
    /// family as `source`, `hop_limit` its TTL. With or without a gateway, the packet leaves by the
    /// socket's interface.
    pub fn queue(
        &mut self,
        source: impl Into<IpAddr>,
        destination: impl Into<IpAddr>,
        hop_limit: u8,
        message: Arc<[u8]>,
    ) {
        let (source, length) = (source.into(), message.len());
        let (header, to) = match (source, destination.into()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => (
                Header::V4(ipv4::header(source, destination, hop_limit, length)),
                to_ipv4(destination),
            ),
            (IpAddr::V6(source), IpAddr::V6(destination)) => (
                Header::V6(ipv6::header(source, destination, hop_limit, length)),
                to_ipv6(destination, self.interface),
            ),
            // No caller mixes families.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return,
        };
        self.queue.push(Queued {
            source,
            to,
            header,
            message,
        });
    }

    /// Sends all queued messages, up to 64 by one system call. Appends each message that the kernel rejects
    /// (ENETDOWN, ENODEV, ENOBUFS, EPERM) to `rejected`, and goes on with the next.
    pub fn flush(&mut self, rejected: &mut Vec<RejectedAdvert>) {
        let interface = self.interface;
        let queue = &self.queue;
        batch::send_all(
            self.socket.as_fd(),
            queue.len(),
            |number| Outgoing {
                parts: [
                    IoSlice::new(queue[number].header.bytes()),
                    IoSlice::new(&queue[number].message),
                ],
                to: &queue[number].to,
            },
            |number, error| {
                let Queued {
                    source, message, ..
                } = &queue[number];
                rejected.extend(RejectedAdvert::of(interface, *source, message, error));
            },
        );
        self.queue.clear();
    }
}

impl AsFd for AdvertSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Options of an IPv4 socket: the daemon builds the header, and the socket receives neither its own
/// multicast packets nor groups that other sockets of this host have joined.
fn prepare_v4(socket: &Socket) -> io::Result<()> {
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_all_v4(false)
}

/// As [`prepare_v4`]; also has the kernel deliver the fields of the IPv6 header as control messages.
fn prepare_v6(socket: &Socket, interface: InterfaceIndex) -> io::Result<()> {
    // IPV6_HDRINCL, since Linux 4.5; IPV6_MULTICAST_ALL, since 4.20.
    socket.set_header_included_v6(true)?;
    socket.set_multicast_if_v6(interface.0)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_all_v6(false)?;
    setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    socket.set_recv_hoplimit_v6(true)
}

/// An IPv4 destination.
fn to_ipv4(address: Ipv4Addr) -> Destination {
    #[expect(clippy::cast_possible_truncation, reason = "2")]
    const FAMILY: libc::sa_family_t = libc::AF_INET as libc::sa_family_t;
    Destination::Ipv4(libc::sockaddr_in {
        sin_family: FAMILY,
        sin_port: 0,
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(address.octets()),
        },
        sin_zero: [0; 8],
    })
}

/// An IPv6 destination. The interface is the scope of a link-local address.
fn to_ipv6(address: Ipv6Addr, interface: InterfaceIndex) -> Destination {
    #[expect(clippy::cast_possible_truncation, reason = "10")]
    const FAMILY: libc::sa_family_t = libc::AF_INET6 as libc::sa_family_t;
    Destination::Ipv6(libc::sockaddr_in6 {
        sin6_family: FAMILY,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr {
            s6_addr: address.octets(),
        },
        sin6_scope_id: interface.0,
    })
}

fn no_such_interface() -> io::Error {
    io::Error::from_raw_os_error(libc::ENODEV)
}

/// Whether an error only means that no packet is waiting.
pub(crate) fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        // After an interrupted call the socket is still readable, and the loop calls again.
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Buffers for the packets of one [`AdvertSocket::receive`]. One batch serves all sockets.
#[derive(Debug)]
pub struct ReceiveBatch {
    pub(crate) buffers: Vec<[u8; PACKET_LEN]>,
    pub(crate) incoming: [Incoming; MANY],
}

impl ReceiveBatch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self {
            buffers: vec![[0; PACKET_LEN]; RECEIVE],
            incoming: [Incoming::default(); MANY],
        }
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
    interface: InterfaceIndex,
    clocks: Clocks,
    /// Time before which none of the packets arrived.
    earliest: Instant,
    batch_is_full: bool,
    buffers: std::slice::Iter<'b, [u8; PACKET_LEN]>,
    incoming: std::slice::Iter<'b, Incoming>,
}

impl Packets<'_> {
    /// Arrival of a packet, by the stamp of the kernel. If the wall clock was set ahead after that, the stamp
    /// seems to be as old as the step is long.
    fn arrival(&self, stamp: Option<Duration>) -> Instant {
        let present = self.clocks.daemon;
        let arrival = stamp.map_or(present, |stamp| self.clocks.translate(stamp));
        arrival.max(self.earliest)
    }

    /// Whether the batch was filled, so that more packets may be waiting.
    pub const fn batch_is_full(&self) -> bool {
        self.batch_is_full
    }
}

/// Readings of two clocks at the same moment: the kernel's packet timestamps use `CLOCK_REALTIME`, the
/// daemon `CLOCK_BOOTTIME`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    pub(crate) daemon: Instant,
    real: Duration,
}

impl Clocks {
    pub(crate) fn read() -> Self {
        let real = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            daemon: clock::now(),
            real,
        }
    }

    /// Converts a timestamp to the daemon's clock. A timestamp in the future, after the wall clock was
    /// set back, becomes the present.
    pub(crate) fn translate(&self, stamp: Duration) -> Instant {
        self.daemon - self.real.saturating_sub(stamp)
    }
}

impl<'b> Iterator for Packets<'b> {
    type Item = Packet<'b>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (buffer, incoming) = (self.buffers.next()?, self.incoming.next()?);
            let bytes = buffer.get(..incoming.length).unwrap_or(buffer);
            let (source, destination, hop_limit, payload) = match incoming.ipv6 {
                Some(header) => (
                    header.source.into(),
                    header.destination.into(),
                    header.hop_limit,
                    bytes,
                ),
                // The kernel has checked the header, so a packet that does not parse is one that is
                // longer than any advertisement and was truncated.
                None => match ipv4::split(bytes) {
                    Some((header, payload)) => (
                        header.source.into(),
                        header.destination.into(),
                        header.ttl,
                        payload,
                    ),
                    None => continue,
                },
            };
            return Some(Packet {
                at: self.arrival(incoming.stamp),
                interface: self.interface,
                source,
                destination,
                hop_limit,
                payload,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_is_never_older_than_the_last_empty_queue() {
        let seconds = Duration::from_secs;
        let (present, real) = (Instant::ZERO + seconds(10_000), seconds(1_800_000_000));
        let packets = Packets {
            interface: InterfaceIndex(2),
            clocks: Clocks {
                daemon: present,
                real,
            },
            earliest: present - seconds(1),
            batch_is_full: false,
            buffers: [].iter(),
            incoming: [].iter(),
        };
        let arrival = |stamp| packets.arrival(Some(stamp));
        assert_eq!(arrival(real - seconds(1) / 2), present - seconds(1) / 2);
        // The wall clock was set by an hour while the packet waited.
        assert_eq!(arrival(real - seconds(3_600)), present - seconds(1));
        assert_eq!(arrival(real + seconds(3_600)), present);
        assert_eq!(packets.arrival(None), present);
    }
}
