//! Asking a host whether it is there (ICMP, ICMPv6).
//!
//! Two kinds of socket can do that. To a ping socket (icmp(7)) the kernel gives the replies to its own
//! requests and nothing else; who may have one says the sysctl `net.ipv4.ping_group_range`, for both
//! families. A raw socket (raw(7)) takes CAP_NET_RAW; it hears all that its peer sends, of which a
//! filter keeps what is for it.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::sys::socket::{MsgFlags, SockaddrStorage, recvfrom, send, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp_proto::Family;
use vrrp_proto::wire::echo::Echo;
use vrrp_proto::wire::ipv4;

use crate::filter;

/// Room for a reply with the longest header of IPv4. What is longer is none.
const REPLY_LEN: usize = 256;

/// Who is asked, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// Who.
    pub target: IpAddr,
    /// From which address of this host; the kernel chooses where there is none.
    pub source: Option<IpAddr>,
    /// Through which interface. A link-local address has to be asked through one.
    pub interface: Option<&'a str>,
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operator's: neither kind of socket is allowed.
    #[error(
        "may not ping: it takes CAP_NET_RAW, or a group within the sysctl net.ipv4.ping_group_range"
    )]
    NotAllowed,
    /// The host's: it has no such interface (ENODEV), or may not choose one (EPERM).
    #[error("cannot use interface {name}: {source}")]
    Interface {
        /// Its name.
        name: String,
        /// The reason.
        source: io::Error,
    },
    /// The host's: it does not have the address to ask from (EADDRNOTAVAIL).
    #[error("cannot ask from {address}: {source}")]
    Source {
        /// The address.
        address: IpAddr,
        /// The reason.
        source: io::Error,
    },
    /// The network's: there is no way to who is asked (ENETUNREACH, EHOSTUNREACH).
    #[error("no way to {target}: {source}")]
    Target {
        /// Who.
        target: IpAddr,
        /// The reason.
        source: io::Error,
    },
    /// The kernel's.
    #[error("cannot ping: {0}")]
    Other(#[from] io::Error),
}

/// The requests to one host, and its replies.
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
    /// Opens a ping socket, or a raw socket where that is not allowed, for requests along `route`. It is
    /// non-blocking, and bears the type that there is for a socket with datagrams, whatever is in them.
    /// `token` is what nobody else knows; the lower part of it tells raw sockets of this host apart.
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
        // What routers, and this host itself, say of a request is an error of the socket.
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
    /// What is known at once: ENETUNREACH, EHOSTUNREACH, EPERM of a firewall, ENOBUFS; and what was
    /// said of an earlier request.
    pub fn ask(&self, socket: impl AsFd, sequence: u16) -> io::Result<()> {
        let request = self.echo(sequence).request(Family::of(self.target));
        let socket = socket.as_fd().as_raw_fd();
        send(socket, &request, MsgFlags::empty())?;
        Ok(())
    }

    /// Takes a reply to one of the requests, and says to which.
    ///
    /// # Errors
    ///
    /// EAGAIN when there is none. Else what was said of a request: EHOSTUNREACH when nobody has the
    /// address or a router knows no way, ECONNREFUSED and EACCES when somebody forbids it.
    pub fn receive(&self, socket: impl AsFd) -> io::Result<u16> {
        let socket = socket.as_fd().as_raw_fd();
        let mut buffer = [0; REPLY_LEN];
        loop {
            let (length, from) = recvfrom::<SockaddrStorage>(socket, &mut buffer)?;
            let bytes = buffer.get(..length).unwrap_or_default();
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

    /// The number of the request that `bytes`, as the socket gives them, replies to.
    fn reply(&self, bytes: &[u8]) -> Option<u16> {
        let family = Family::of(self.target);
        let message = match (self.kind, family) {
            (Kind::Raw, Family::V4) => ipv4::split(bytes)?.1,
            (Kind::Raw, Family::V6) | (Kind::Ping, _) => bytes,
        };
        let reply = Echo::parse_reply(family, message)?;
        // Of a ping socket the identifier is the kernel's.
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
        // A kernel without ping sockets.
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
