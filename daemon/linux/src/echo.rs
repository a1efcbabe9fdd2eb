//! Pings of a host (ICMP and ICMPv6 echo requests).
//!
//! There are two kinds of socket for this:
//!
//! - A ping socket (icmp(7)) receives only the replies to its own requests. The sysctl
//!   `net.ipv4.ping_group_range` lists the groups that may open one, for both families.
//! - A raw socket (raw(7)) requires CAP_NET_RAW. It receives everything that its peer sends, and a
//!   filter keeps the replies to its own requests.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::sys::socket::{MsgFlags, SockaddrStorage, recvfrom, send, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp_proto::Family;
use vrrp_proto::wire::echo::Echo;
use vrrp_proto::wire::ipv4;

use crate::filter;

/// Buffer size: a reply with the longest header of IPv4. A longer packet is no reply.
const REPLY_LEN: usize = 256;

/// Target and source of the requests.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The pinged host.
    pub target: IpAddr,
    /// Source address; the kernel chooses one if this is `None`.
    pub source: Option<IpAddr>,
    /// Outgoing interface. Required for a link-local target.
    pub interface: Option<&'a str>,
}

/// The socket for the requests could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// To be solved by the operator: neither kind of socket is permitted.
    #[error(
        "not permitted to ping: CAP_NET_RAW is missing, and no group of the process is within the \
         sysctl net.ipv4.ping_group_range"
    )]
    NotAllowed,
    /// The host has no such interface (ENODEV), or the process may not choose one (EPERM).
    #[error("cannot use interface {name}: {source}")]
    Interface {
        /// Name of the interface.
        name: String,
        /// Error of the kernel.
        source: io::Error,
    },
    /// The host does not have the source address (EADDRNOTAVAIL).
    #[error("cannot send from {address}: {source}")]
    Source {
        /// The source address.
        address: IpAddr,
        /// Error of the kernel.
        source: io::Error,
    },
    /// The host has no route to the target (ENETUNREACH, EHOSTUNREACH).
    #[error("no route to {target}: {source}")]
    Target {
        /// The target.
        target: IpAddr,
        /// Error of the kernel.
        source: io::Error,
    },
    /// Any other error of the kernel.
    #[error("cannot ping: {0}")]
    Other(#[from] io::Error),
}

/// Requests to one host, and its replies.
#[derive(Clone, Copy, Debug)]
pub struct Echoes {
    kind: Kind,
    target: IpAddr,
    identifier: u16,
    token: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ping,
    Raw,
}

impl Echoes {
    /// Opens a ping socket, or a raw socket where ping sockets are not permitted, for requests along
    /// `route`. The socket is non-blocking. It is returned as a `UdpSocket`, the only datagram socket
    /// type of the standard library, although it carries ICMP. `token` should be unguessable: replies
    /// must repeat it. Its lower 16 bits are the identifier of a raw socket.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; EAFNOSUPPORT where IPv6 is switched off.
    pub fn open(route: Route<'_>, token: u64) -> Result<(Self, UdpSocket), OpenError> {
        let Route {
            target,
            source,
            interface,
        } = route;
        let family = Family::of(target);
        let (socket, kind) = make(family)?;
        let [.., high, low] = token.to_be_bytes();
        let identifier = u16::from_be_bytes([high, low]);
        if kind == Kind::Raw {
            filter::attach(&socket, &filter::echo_replies(family, identifier))?;
        }
        // Reports ICMP errors of routers and of this host as errors of the socket.
        match family {
            Family::V4 => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
            Family::V6 => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
        }
        .map_err(io::Error::from)?;
        if let Some(name) = interface {
            let bound = socket.bind_device(Some(name.as_bytes()));
            bound.map_err(|source| OpenError::Interface {
                name: name.to_owned(),
                source,
            })?;
        }
        if let Some(address) = source {
            let bound = socket.bind(&SocketAddr::new(address, 0).into());
            bound.map_err(|source| OpenError::Source { address, source })?;
        }
        // Connecting checks the route at once, and restricts a raw socket to packets of the target.
        let connected = socket.connect(&SocketAddr::new(target, 0).into());
        connected.map_err(|source| OpenError::Target { target, source })?;
        let echoes = Self {
            kind,
            target,
            identifier,
            token,
        };
        Ok((echoes, socket.into()))
    }

    /// Sends the request with this number.
    ///
    /// # Errors
    ///
    /// Errors that the kernel knows at once: ENETUNREACH, EHOSTUNREACH, EPERM of a firewall, ENOBUFS.
    /// Also an ICMP error in answer to an earlier request.
    pub fn ask(&self, socket: impl AsFd, sequence: u16) -> io::Result<()> {
        let request = self.echo(sequence).request(Family::of(self.target));
        let socket = socket.as_fd().as_raw_fd();
        send(socket, &request, MsgFlags::empty())?;
        Ok(())
    }

    /// Receives a reply to one of the requests, and returns the number of that request.
    ///
    /// # Errors
    ///
    /// EAGAIN when there is none. Otherwise the ICMP error in answer to a request: EHOSTUNREACH when no
    /// host has the address or a router has no route, ECONNREFUSED and EACCES when a host or router
    /// forbids it.
    pub fn receive(&self, socket: impl AsFd) -> io::Result<u16> {
        let socket = socket.as_fd().as_raw_fd();
        let mut buffer = [0; REPLY_LEN];
        loop {
            let (length, from) = recvfrom::<SockaddrStorage>(socket, &mut buffer)?;
            let bytes = buffer.get(..length).unwrap_or_default();
            // A raw socket may have queued packets of other hosts before it was connected.
            if from.is_some_and(|from| address(&from) == Some(self.target))
                && let Some(sequence) = self.reply(bytes)
            {
                return Ok(sequence);
            }
        }
    }

    const fn echo(&self, sequence: u16) -> Echo {
        Echo {
            identifier: self.identifier,
            sequence,
            token: self.token,
        }
    }

    /// Number of the request that is answered by `bytes`, which come from the socket.
    fn reply(&self, bytes: &[u8]) -> Option<u16> {
        let family = Family::of(self.target);
        let message = match (self.kind, family) {
            (Kind::Raw, Family::V4) => ipv4::split(bytes)?.1,
            (Kind::Raw, Family::V6) | (Kind::Ping, _) => bytes,
        };
        let reply = Echo::parse_reply(family, message)?;
        // The kernel chooses the identifier of a ping socket.
        let is_ours = self.kind == Kind::Ping || reply.identifier == self.identifier;
        (is_ours && reply.token == self.token).then_some(reply.sequence)
    }
}

fn make(family: Family) -> Result<(Socket, Kind), OpenError> {
    let (domain, protocol) = match family {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = |kind: Type| Socket::new(domain, kind.nonblocking(), Some(protocol));
    let is_forbidden = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    match socket(Type::DGRAM) {
        Ok(socket) => return Ok((socket, Kind::Ping)),
        Err(error) if is_forbidden(&error) => {}
        // The kernel has no ping sockets.
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => {}
        Err(error) => return Err(error.into()),
    }
    match socket(Type::RAW) {
        Ok(socket) => Ok((socket, Kind::Raw)),
        Err(error) if is_forbidden(&error) => Err(OpenError::NotAllowed),
        Err(error) => Err(error.into()),
    }
}

fn address(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}
