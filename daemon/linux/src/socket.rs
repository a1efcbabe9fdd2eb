//! Advertisements in and out: one raw socket per interface and family (raw(7), ipv6(7), RFC 9568
//! section 5.1).
//!
//! A socket is bound to its interface by number, so that it survives a rename, and receives what is
//! sent to the group there or to the host itself, except for messages to VRIDs that nobody here serves
//! and for what the socket itself sends. It judges nothing else: TTL and all the rest go to the engine.
//!
//! Messages to be sent are queued, and leave together when the loop flushes. The header in front of
//! them is our own, because a router sends from the interface's primary address, and one socket
//! serves routers with different ones.

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
use vrrp_node::listeners::VridSet;

/// The priority of what we send among other packets of the interface: TC_PRIO_CONTROL of
/// linux/pkt_sched.h, the greatest.
const QUEUE_PRIORITY: u32 = 7;

/// How many packets are received at once. Buffers for [`MANY`] would rarely be filled.
const RECEIVE: usize = 32;

/// Room in the kernel for what arrives while the daemon does not run: 40,000 packets, which one fast
/// sender needs a third of a second for. What comes after that is lost, and it may be the master's
/// advertisement. It is a limit; what is not used takes no memory.
const RECEIVE_BUFFER: usize = 16 << 20;

/// For how many messages there is room from the start on.
const ROUTERS: usize = 8;

/// A raw socket for the advertisements of one interface and family.
#[derive(Debug)]
pub struct AdvertSocket {
    socket: Socket,
    interface: InterfaceIndex,
    family: Family,
    queue: Vec<Queued>,
}

#[derive(Debug)]
struct Queued {
    source: IpAddr,
    to: Destination,
    header: Header,
    message: Arc<[u8]>,
}

/// The IP header of a message.
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
    /// A socket that sends on `interface`, and receives what comes in there for the group of `family`
    /// or for an address of the host, of it only what is for one of `vrids`.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW, ENODEV when there is no such interface, EAFNOSUPPORT and EACCES
    /// where IPv6 is switched off.
    pub fn open(interface: InterfaceIndex, family: Family, vrids: &VridSet) -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(PROTOCOL));
        let domain = match family {
            Family::V4 => Domain::IPV4,
            Family::V6 => Domain::IPV6,
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;

        // A raw socket receives from its creation on, and from all interfaces. So nothing is let in
        // until it is bound, and what came before that is thrown away.
        filter::attach(&socket, NOTHING)?;
        let index = NonZeroU32::new(interface.0).ok_or_else(no_such_interface)?;
        // SO_BINDTOIFINDEX, since Linux 5.0. It is also what multicast leaves by (IP_MULTICAST_IF).
        match family {
            Family::V4 => socket.bind_device_by_index_v4(Some(index))?,
            Family::V6 => socket.bind_device_by_index_v6(Some(index))?,
        }
        let mut nothing = [Incoming::default(); MANY];
        while sys::receive_many(socket.as_fd(), &mut [[0; PACKET_LEN]], &mut nothing).is_ok() {}

        // When a packet arrived, whenever it is looked at.
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
        })
    }

    /// Receives only what is for one of `vrids` from now on.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn set_filter(&self, vrids: &VridSet) -> io::Result<()> {
        filter::attach(&self.socket, &filter::only(self.family, vrids))
    }

    /// Takes packets that have come in: as many as fit into `batch`, by one system call. When
    /// there are more the socket stays readable; when there are none the iterator is empty.
    ///
    /// # Errors
    ///
    /// What the interface has to say, such as ENETDOWN, once.
    pub fn receive<'b>(&self, batch: &'b mut ReceiveBatch) -> io::Result<Packets<'b>> {
        let ReceiveBatch { buffers, incoming } = batch;
        let received = match sys::receive_many(self.socket.as_fd(), buffers, incoming) {
            Ok(received) => received,
            Err(error) if is_nothing(&error) => 0,
            Err(error) => return Err(error),
        };
        Ok(Packets {
            interface: self.interface,
            clocks: Clocks::read(),
            batch_is_full: received == buffers.len(),
            buffers: buffers[..received].iter(),
            incoming: incoming.iter(),
        })
    }

    /// How many packets for its VRIDs the kernel has thrown away so far, because they came faster
    /// than they were received.
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT before Linux 4.12.
    pub fn lost(&self) -> io::Result<u32> {
        sys::overflowed(self.socket.as_fd())
    }

    /// Puts `message` to `destination`, the group or a peer of the same family as `source`, into the
    /// batch that [`flush`](Self::flush) sends; `hop_limit` is its TTL. By way of a gateway or not, it
    /// leaves through the socket's interface.
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
            // Nobody is of another family than the packets to it.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return,
        };
        self.queue.push(Queued {
            source,
            to,
            header,
            message,
        });
    }

    /// Sends all that was queued, by one system call for up to 64 messages. Calls `failed` with the
    /// source of each message that the kernel does not take (ENETDOWN, ENODEV, ENOBUFS, EPERM);
    /// the others leave nevertheless.
    pub fn flush(&mut self, mut failed: impl FnMut(IpAddr, io::Error)) {
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
            |number, error| failed(queue[number].source, error),
        );
        self.queue.clear();
    }
}

impl AsFd for AdvertSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The header in front of a message is our own, and we hear neither ourselves nor what other
/// sockets of this host have joined.
fn prepare_v4(socket: &Socket) -> io::Result<()> {
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_all_v4(false)
}

/// As [`prepare_v4`]; and what the header of a received packet said comes beside it.
fn prepare_v6(socket: &Socket, interface: InterfaceIndex) -> io::Result<()> {
    // IPV6_HDRINCL, since Linux 4.5; IPV6_MULTICAST_ALL, since 4.20.
    socket.set_header_included_v6(true)?;
    socket.set_multicast_if_v6(interface.0)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_all_v6(false)?;
    setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    socket.set_recv_hoplimit_v6(true)
}

/// An IPv4 address to send to.
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

/// An IPv6 address to send to, on an interface where it is one of a link.
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

/// Whether an error only says that there is nothing to receive.
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Room for the packets of one [`AdvertSocket::receive`]. One serves all sockets.
#[derive(Debug)]
pub struct ReceiveBatch {
    buffers: Vec<[u8; PACKET_LEN]>,
    incoming: [Incoming; MANY],
}

impl ReceiveBatch {
    /// Empty room.
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
    batch_is_full: bool,
    buffers: std::slice::Iter<'b, [u8; PACKET_LEN]>,
    incoming: std::slice::Iter<'b, Incoming>,
}

impl Packets<'_> {
    /// Whether the batch had room for no more, so that more may be waiting.
    pub const fn batch_is_full(&self) -> bool {
        self.batch_is_full
    }
}

/// Two clocks at one moment: the kernel stamps packets by the one, the daemon goes by the other.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    daemon: Instant,
    real: Duration,
}

impl Clocks {
    fn read() -> Self {
        let real = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            daemon: clock::now(),
            real,
        }
    }

    /// A stamp by the daemon's clock. One from the future, because the wall clock was set back
    /// meanwhile, is the present.
    fn translate(&self, stamp: Duration) -> Instant {
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
                // The kernel has checked the header before it gave us the packet, so that only what
                // is longer than any advertisement, and was cut off, is not whole.
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
                at: incoming
                    .stamp
                    .map_or(self.clocks.daemon, |stamp| self.clocks.translate(stamp)),
                interface: self.interface,
                source,
                destination,
                hop_limit,
                payload,
            });
        }
    }
}
