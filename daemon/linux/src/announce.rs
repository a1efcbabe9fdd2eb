//! Frames that the daemon builds itself (packet(7)): announcements, which update the ARP and neighbour
//! caches of other hosts, requests for unicast peers, and advertisements with a virtual MAC address as
//! source.
//!
//! One socket serves all interfaces, because each frame names its interface. The socket has protocol 0
//! and receives nothing. Frames are queued, and sent together when the loop flushes, also for different
//! interfaces.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use vrrp_node::host::RejectedAdvert;
use vrrp_proto::wire::ethernet::Head;
use vrrp_proto::wire::{arp, ndisc};
use vrrp_proto::{InterfaceIndex, MacAddress, Solicitation};

use crate::batch;
use crate::sys::{Destination, MANY, Outgoing};

/// A packet socket that sends on all interfaces and receives nothing.
#[derive(Debug)]
pub struct AnnounceSocket {
    socket: Socket,
    queue: Vec<Queued>,
}

#[derive(Debug)]
struct Queued {
    interface: InterfaceIndex,
    address: IpAddr,
    frame: Frame,
    to: Destination,
}

#[derive(Debug)]
enum Frame {
    Arp([u8; arp::FRAME_LEN]),
    Neighbour([u8; ndisc::FRAME_LEN]),
    Advertisement(Head, Arc<[u8]>),
}

impl Frame {
    fn parts(&self) -> [&[u8]; 2] {
        match self {
            Self::Arp(bytes) => [bytes, &[]],
            Self::Neighbour(bytes) => [bytes, &[]],
            Self::Advertisement(head, message) => [head.bytes(), message],
        }
    }
}

impl AnnounceSocket {
    /// Opens a socket for all interfaces of this network namespace.
    ///
    /// # Errors
    ///
    /// EPERM without CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        let kind = Type::RAW.nonblocking();
        let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(0)))?;
        batch::grow_send_buffer(&socket, batch::KERNEL_BUFFER)?;
        Ok(Self {
            socket,
            queue: Vec::with_capacity(MANY),
        })
    }

    /// Queues the announcement of `address` for [`flush`](Self::flush): a gratuitous ARP, or an
    /// unsolicited neighbour advertisement for IPv6.
    pub fn queue(
        &mut self,
        interface: InterfaceIndex,
        mac: MacAddress,
        address: impl Into<IpAddr>,
    ) {
        let address = address.into();
        let frame = match address {
            IpAddr::V4(v4) => Frame::Arp(arp::gratuitous(mac, v4)),
            IpAddr::V6(v6) => Frame::Neighbour(ndisc::unsolicited(mac, v6)),
        };
        self.push(interface, address, frame);
    }

    /// Queues a request for the hardware address of a unicast peer: an ARP request, or a neighbour
    /// solicitation for IPv6.
    pub fn queue_solicitation(&mut self, solicitation: Solicitation) {
        let Solicitation {
            interface,
            mac,
            source,
            target,
        } = solicitation;
        let frame = match (source, target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                Frame::Arp(arp::request(mac, source, target))
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                Frame::Neighbour(ndisc::solicitation(mac, source, target))
            }
            // The engine asks for peers of the family of the source only.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return,
        };
        self.push(interface, target, frame);
    }

    /// Queues an advertisement to the multicast group, with the source addresses `mac` and `source`.
    pub fn queue_advert(
        &mut self,
        interface: InterfaceIndex,
        mac: MacAddress,
        source: IpAddr,
        message: Arc<[u8]>,
    ) {
        let head = Head::new(mac, source, message.len());
        self.push(interface, source, Frame::Advertisement(head, message));
    }

    fn push(&mut self, interface: InterfaceIndex, address: IpAddr, frame: Frame) {
        let ethertype = match (&frame, address) {
            (Frame::Arp(_), _) => libc::ETH_P_ARP,
            (Frame::Neighbour(_), _) | (Frame::Advertisement(..), IpAddr::V6(_)) => {
                libc::ETH_P_IPV6
            }
            (Frame::Advertisement(..), IpAddr::V4(_)) => libc::ETH_P_IP,
        };
        self.queue.push(Queued {
            interface,
            address,
            frame,
            to: frame_on(interface, ethertype),
        });
    }

    /// Sends all queued frames, up to 64 by one system call. Appends each advertisement that the kernel
    /// rejects (ENETDOWN, ENXIO, ENOBUFS) to `rejected`, calls `failed` with the interface and the address
    /// (of a request its target) of each other frame that it rejects, and goes on with the next.
    pub fn flush(
        &mut self,
        rejected: &mut Vec<RejectedAdvert>,
        mut failed: impl FnMut(InterfaceIndex, IpAddr, io::Error),
    ) {
        let queue = &self.queue;
        batch::send_all(
            self.socket.as_fd(),
            queue.len(),
            |number| Outgoing {
                parts: queue[number].frame.parts().map(IoSlice::new),
                to: &queue[number].to,
            },
            |number, error| {
                let Queued {
                    interface,
                    address,
                    frame,
                    ..
                } = &queue[number];
                match frame {
                    Frame::Advertisement(_, message) => {
                        rejected.extend(RejectedAdvert::of(*interface, *address, message, error));
                    }
                    Frame::Arp(_) | Frame::Neighbour(_) => failed(*interface, *address, error),
                }
            },
        );
        self.queue.clear();
    }
}

/// Destination of a frame: `interface`. The hardware address comes from the frame itself.
fn frame_on(interface: InterfaceIndex, ethertype: i32) -> Destination {
    #[expect(clippy::cast_possible_truncation, reason = "17")]
    let family = libc::AF_PACKET as u16;
    Destination::Link(libc::sockaddr_ll {
        sll_family: family,
        sll_protocol: u16::try_from(ethertype).unwrap_or_default().to_be(),
        // An index above i32::MAX is invalid in the kernel.
        sll_ifindex: i32::try_from(interface.0).unwrap_or(-1),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    })
}
