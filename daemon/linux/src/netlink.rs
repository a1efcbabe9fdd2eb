//! Codec of rtnetlink(7) for links and addresses: encodes address changes and dump requests, decodes
//! events.
//!
//! Messages are built and parsed with the types of `netlink-packet-route`. The `rtnetlink` crate above
//! it is not used: the kernel handles a request within send(2), many requests fit into one send, and
//! only rejected requests are answered, so a connection task would only add wakeups. Of a link only the
//! header, names, hardware address and port membership are parsed: the other fifty attributes, some of
//! which depend on the driver, must not make a link unreadable.

use std::ffi::CStr;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST, NetlinkBuffer,
    NetlinkHeader, NetlinkMessage, NlasIterator, Parseable,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol,
    AddressScope, CacheInfo,
};
use netlink_packet_route::link::{
    LinkAttribute, LinkExtentMask, LinkFlags, LinkHeader, LinkLayerType, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::sys::socket::{
    MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, recv, send, socket,
};
use vrrp_proto::params::AddressForm;
use vrrp_proto::{Family, InterfaceAddress, InterfaceIndex, Link, Loss, MacAddress};

use vrrp_node::change::Change;
use vrrp_node::mirror::{ADDRESS_PROTOCOL, Event, Held};

/// Size of the longest datagram that the kernel sends unasked or as part of a dump, in bytes.
pub(crate) const DATAGRAM_LEN: usize = 32 << 10;

/// Flag of a request that changes an existing object (linux/netlink.h).
const NLM_F_REPLACE: u16 = 0x100;

// Message types of linux/netlink.h.
pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;

// Attributes of a link (linux/if_link.h).
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_INFO_SLAVE_KIND: u16 = 4;

/// Length of struct nlmsghdr and struct ifinfomsg.
const HEADER_LEN: usize = 16;
const LINK_HEADER_LEN: usize = 16;

/// Opens a non-blocking socket for rtnetlink.
pub(crate) fn open() -> io::Result<OwnedFd> {
    open_for(SockProtocol::NetlinkRoute)
}

/// Opens a non-blocking socket for nfnetlink.
pub(crate) fn open_netfilter() -> io::Result<OwnedFd> {
    open_for(SockProtocol::NetlinkNetFilter)
}

/// Opens a non-blocking socket for generic netlink.
pub(crate) fn open_generic() -> io::Result<OwnedFd> {
    open_for(SockProtocol::NetlinkGeneric)
}

fn open_for(protocol: SockProtocol) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let family = nix::sys::socket::AddressFamily::Netlink;
    Ok(socket(family, SockType::Raw, flags, protocol)?)
}

/// Subscribes `socket` to the multicast `groups`. Returns the port ID that the kernel assigns to it.
pub(crate) fn bind_to(socket: &OwnedFd, groups: u32) -> io::Result<u32> {
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(getsockname::<NetlinkAddr>(socket.as_raw_fd())?.pid())
}

/// Receives the next datagram in full; `None` when there is none.
///
/// # Errors
///
/// ENOBUFS when datagrams were lost before this one, or when this one is longer than `buffer`.
pub(crate) fn receive<'b>(socket: &OwnedFd, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
    match news(socket, buffer)? {
        News::Datagram(datagram) => Ok(Some(datagram)),
        News::Lost => Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
        News::None => Ok(None),
    }
}

/// Result of a read from a socket with notifications.
pub(crate) enum News<'b> {
    /// A datagram in full.
    Datagram(&'b [u8]),
    /// Datagrams were lost (ENOBUFS), or this one is longer than the buffer.
    Lost,
    /// No datagram is waiting.
    None,
}

/// Receives the next notification; a call that a signal interrupts is repeated.
///
/// # Errors
///
/// Fails only if the socket is invalid.
pub(crate) fn news<'b>(socket: &OwnedFd, buffer: &'b mut [u8]) -> io::Result<News<'b>> {
    loop {
        // With MSG_TRUNC the result is the full length, so `get` fails if the datagram was truncated.
        return match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC) {
            Ok(len) => Ok(buffer.get(..len).map_or(News::Lost, News::Datagram)),
            Err(nix::Error::EAGAIN) => Ok(News::None),
            Err(nix::Error::ENOBUFS) => Ok(News::Lost),
            Err(nix::Error::EINTR) => continue,
            Err(error) => Err(error.into()),
        };
    }
}

/// Appends the request that carries out `change`.
///
/// It is the request of `ip address add ADDRESS/PREFIX dev INTERFACE` with the daemon's mark: no
/// broadcast address unless one is configured, and the kernel adds the route to the network. IPv6 adds
/// `nodad`: VRRP decides which host has the address, and duplicate address detection would delay its
/// use by a second. The sequence number is [`sequence`], as the filter of the monitor expects.
pub(crate) fn push_change(change: &Change, buffer: &mut Vec<u8>) {
    let address = change.address();
    let (body, is_addition) = address_message(change);
    let (message, flags): (fn(AddressMessage) -> _, _) = match is_addition {
        // The flags of `ip address add`: an existing address is an error (EEXIST).
        true => (RouteNetlinkMessage::NewAddress, NLM_F_CREATE | NLM_F_EXCL),
        false => (RouteNetlinkMessage::DelAddress, 0),
    };
    push(message(body), flags, sequence(address.address), buffer);
}

/// Appends the request that changes the lifetime of an address that the interface holds: to `seconds`, or to
/// that of the `addition`. It is the request of `ip address replace` with `valid_lft`.
pub(crate) fn push_lifetime(addition: &Change, seconds: Option<u32>, buffer: &mut Vec<u8>) {
    let (mut body, _) = address_message(addition);
    let mut lifetimes = CacheInfo::default();
    (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (u32::MAX, u32::MAX);
    let of_form = body.attributes.extract_if(.., |attribute| {
        matches!(attribute, AddressAttribute::CacheInfo(_))
    });
    for attribute in of_form {
        if let AddressAttribute::CacheInfo(configured) = attribute {
            lifetimes = configured;
        }
    }
    if let Some(seconds) = seconds {
        lifetimes.ifa_valid = seconds;
        lifetimes.ifa_preferred = lifetimes.ifa_preferred.min(seconds);
    }
    body.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    let sequence = sequence(addition.address().address);
    push(
        RouteNetlinkMessage::NewAddress(body),
        NLM_F_REPLACE,
        sequence,
        buffer,
    );
}

/// Returns the address of a request, and whether the request adds it.
fn address_message(change: &Change) -> (AddressMessage, bool) {
    let address = change.address();
    let mut body = AddressMessage::default();
    body.header.family = match address.family() {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    body.header.prefix_len = address.prefix;
    body.header.scope = AddressScope::Universe;
    body.header.index = change.interface().0;
    body.attributes = vec![
        AddressAttribute::Local(address.address),
        AddressAttribute::Address(address.address),
    ];
    match change {
        Change::Add { form, .. } => {
            shape(&mut body, address, form);
            (body, true)
        }
        Change::Delete { .. } => (body, false),
    }
}

/// Adds the configured properties of an address to the request.
fn shape(body: &mut AddressMessage, address: InterfaceAddress, form: &AddressForm) {
    let AddressForm {
        label,
        scope,
        broadcast,
        preferred_lifetime,
        no_prefix_route,
    } = form;
    if let Some(scope) = scope {
        body.header.scope = AddressScope::from(*scope);
    }
    // RFC 9568 8.2.2 MAY: the owner leaves out duplicate address detection
    if address.family() == Family::V6 {
        body.header.flags |= AddressHeaderFlags::Nodad;
    }
    if *no_prefix_route {
        // This attribute replaces the flags of the header, which has room for eight.
        let flags = u32::from(body.header.flags.bits());
        let flags = AddressFlags::from_bits_retain(flags) | AddressFlags::Noprefixroute;
        body.attributes.push(AddressAttribute::Flags(flags));
    }
    // As the source of new connections a /128 would break them when the master changes: preferred
    // lifetime 0 makes the kernel choose it only if there is no other address (ip-address(8),
    // preferred_lft).
    let is_hosts = address.family() == Family::V6 && address.prefix == 128;
    if let Some(preferred) = preferred_lifetime.or(is_hosts.then_some(0)) {
        let mut lifetimes = CacheInfo::default();
        lifetimes.ifa_preferred = preferred;
        // For IPv4 the kernel's check_lifetime skips addresses with infinite validity, so an address
        // that is to become deprecated is valid for 136 years.
        let counts_down = (1..u32::MAX).contains(&preferred);
        lifetimes.ifa_valid = if address.family() == Family::V4 && counts_down {
            u32::MAX - 1
        } else {
            u32::MAX
        };
        body.attributes.push(AddressAttribute::CacheInfo(lifetimes));
    }
    if let Some(label) = label {
        let label = label.as_str().to_owned();
        body.attributes.push(AddressAttribute::Label(label));
    }
    if let Some(broadcast) = broadcast {
        body.attributes
            .push(AddressAttribute::Broadcast(*broadcast));
    }
    let mark = AddressProtocol::Other(ADDRESS_PROTOCOL);
    body.attributes.push(AddressAttribute::Protocol(mark));
}

/// Sequence number of a request that changes `address`: the four bytes of an IPv4 address, or the first
/// four of an IPv6 address.
fn sequence(address: IpAddr) -> u32 {
    let bytes = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => *address
            .octets()
            .first_chunk()
            .expect("16 bytes are more than 4"),
    };
    u32::from_ne_bytes(bytes)
}

/// Appends the request that dumps all links, without their statistics.
pub(crate) fn push_link_dump(sequence: u32, buffer: &mut Vec<u8>) {
    push_link(0, NLM_F_DUMP, sequence, buffer);
}

/// Appends the request for the attributes of one link. The acknowledgement ends the answer.
pub(crate) fn push_link_request(interface: InterfaceIndex, sequence: u32, buffer: &mut Vec<u8>) {
    push_link(interface.0, NLM_F_ACK, sequence, buffer);
}

fn push_link(index: u32, flags: u16, sequence: u32, buffer: &mut Vec<u8>) {
    let mut body = LinkMessage::default();
    body.header.index = index;
    let mask = vec![LinkExtentMask::SkipStats];
    body.attributes.push(LinkAttribute::ExtMask(mask));
    push(RouteNetlinkMessage::GetLink(body), flags, sequence, buffer);
}

/// Appends the request that dumps the addresses of both families on all interfaces, or on one (since Linux
/// 4.20, with NETLINK_GET_STRICT_CHK).
pub(crate) fn push_address_dump(
    interface: Option<InterfaceIndex>,
    sequence: u32,
    buffer: &mut Vec<u8>,
) {
    let mut body = AddressMessage::default();
    body.header.family = AddressFamily::Unspec;
    body.header.index = interface.map_or(0, |interface| interface.0);
    push(
        RouteNetlinkMessage::GetAddress(body),
        NLM_F_DUMP,
        sequence,
        buffer,
    );
}

/// Appends a request with these flags (NLM_F_REQUEST is added) and this sequence number.
pub(crate) fn push(message: RouteNetlinkMessage, flags: u16, sequence: u32, buffer: &mut Vec<u8>) {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, message.into());
    message.finalize();
    let start = buffer.len();
    buffer.resize(start + message.buffer_len(), 0);
    message.serialize(&mut buffer[start..]);
}

/// Sends a dump request with the number `sequence`, and calls `each` for each message of the answer.
/// Returns `false` when the dumped data changed during the dump (NLM_F_DUMP_INTR).
pub(crate) fn dump(
    socket: &OwnedFd,
    request: &[u8],
    sequence: u32,
    incoming: &mut [u8],
    mut each: impl FnMut(&Message<'_>),
) -> io::Result<bool> {
    send(socket.as_raw_fd(), request, MsgFlags::empty())?;
    let mut consistent = true;
    while let Some(datagram) = receive(socket, incoming)? {
        for message in Message::all_of(datagram) {
            // Answers to earlier requests.
            if message.header.sequence_number != sequence {
                continue;
            }
            consistent &= message.header.flags & NLM_F_DUMP_INTR == 0;
            match message.header.message_type {
                NLMSG_DONE | NLMSG_ERROR => return message.result().map(|()| consistent),
                _ => each(&message),
            }
        }
    }
    // No datagram may be missing here: the kernel prepares the next part while the previous one is
    // received.
    Err(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "netlink: the dump ended without NLMSG_DONE",
    ))
}

/// One message of a datagram: its header, and the bytes that follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'b> {
    pub(crate) header: NetlinkHeader,
    pub(crate) body: &'b [u8],
}

impl<'b> Message<'b> {
    /// Iterates over the messages of a datagram.
    pub(crate) fn all_of(mut datagram: &'b [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let message = Self::first_of(datagram)?;
            let len = (HEADER_LEN + message.body.len()).next_multiple_of(4);
            datagram = datagram.get(len..).unwrap_or_default();
            Some(message)
        })
    }

    fn first_of(bytes: &'b [u8]) -> Option<Self> {
        let buffer = NetlinkBuffer::new_checked(bytes).ok()?;
        let header = NetlinkHeader::parse(&buffer).ok()?;
        let body = bytes.get(HEADER_LEN..usize::try_from(header.length).ok()?)?;
        Some(Self { header, body })
    }

    /// Result of the request that an NLMSG_ERROR or NLMSG_DONE answers: a negative number is an errno.
    pub(crate) fn result(&self) -> io::Result<()> {
        match self
            .body
            .first_chunk()
            .map(|code| i32::from_ne_bytes(*code))
        {
            Some(code @ ..0) => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
            Some(0..) | None => Ok(()),
        }
    }

    /// The change that the kernel rejected with this NLMSG_ERROR, which contains the request.
    pub(crate) fn refused_change(&self) -> Option<Change> {
        let request = Self::first_of(self.body.get(4..)?)?;
        match request.event()? {
            Event::AddressAdded(interface, Held { address, .. }) => {
                Some(Change::add(interface, address))
            }
            Event::AddressRemoved(interface, address, _) => {
                Some(Change::Delete { interface, address })
            }
            Event::Link(_) | Event::LinkRemoved(_) => None,
        }
    }

    /// The change of a link or an address that the message reports, if any.
    pub(crate) fn event(&self) -> Option<Event> {
        match self.header.message_type {
            libc::RTM_NEWLINK => parse_link(self.body).map(Event::Link),
            libc::RTM_DELLINK => parse_link(self.body).map(|link| Event::LinkRemoved(link.index)),
            libc::RTM_NEWADDR => {
                let (interface, held) = parse_address(self.body)?;
                Some(Event::AddressAdded(interface, held))
            }
            libc::RTM_DELADDR => {
                let (interface, held) = parse_address(self.body)?;
                // The port ID of the request that caused it; the kernel has none, and notifications of
                // IPv6 addresses never have one.
                let loss = match self.header.port_number {
                    0 => Loss::Unknown,
                    _ => Loss::Deleted,
                };
                Some(Event::AddressRemoved(interface, held.address, loss))
            }
            _ => None,
        }
    }
}

pub(crate) fn parse_link(body: &[u8]) -> Option<Link> {
    let header = LinkHeader::parse(body).ok()?;
    // Bridges report their ports with the same message types: a port that leaves is not a deleted link.
    if header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let (mut name, mut mac, mut master, mut receives) = (None, None, None, true);
    let mut alternative_names = Arc::default();
    for attribute in NlasIterator::new(body.get(LINK_HEADER_LEN..)?) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            IFLA_IFNAME => name = parse_name(attribute.value()),
            IFLA_ADDRESS => mac = attribute.value().try_into().ok().map(MacAddress),
            IFLA_MASTER => master = attribute.value().try_into().ok().map(u32::from_ne_bytes),
            // The kernel sends this attribute with or without the nested flag.
            IFLA_LINKINFO => receives = receives_for_itself(attribute.value()),
            // As IFLA_LINKINFO, with or without the nested flag.
            IFLA_PROP_LIST => alternative_names = parse_alternative_names(attribute.value()),
            _ => {}
        }
    }
    Some(Link {
        index: InterfaceIndex(header.index),
        name: name?,
        up: header.flags.contains(LinkFlags::Up),
        carrier: header.flags.contains(LinkFlags::LowerUp),
        mac: mac.filter(|_| header.link_layer_type == LinkLayerType::Ether),
        port_of: master.filter(|_| !receives).map(InterfaceIndex),
        alternative_names,
    })
}

/// Whether a link with this IFLA_LINKINFO receives packets itself although it may have a master device:
/// true for a member of a VRF, false for a port of a bridge, bond or team.
fn receives_for_itself(info: &[u8]) -> bool {
    let mut kinds = NlasIterator::new(info)
        .filter_map(Result::ok)
        .filter(|attribute| attribute.kind() == IFLA_INFO_SLAVE_KIND);
    kinds.all(|kind| matches!(kind.value(), b"vrf" | b"vrf\0"))
}

/// Alternative names in an IFLA_PROP_LIST.
fn parse_alternative_names(list: &[u8]) -> Arc<[Arc<str>]> {
    NlasIterator::new(list)
        .filter_map(Result::ok)
        .filter(|attribute| attribute.kind() == IFLA_ALT_IFNAME)
        .filter_map(|attribute| parse_name(attribute.value()))
        .collect()
}

fn parse_name(value: &[u8]) -> Option<Arc<str>> {
    let name = CStr::from_bytes_until_nul(value).ok()?;
    Some(name.to_str().ok()?.into())
}

/// Parses an address message. Of an address with a peer the local address counts.
///
/// A tentative IPv6 address, or one found to be a duplicate, yields `None`: nothing can be sent from
/// it. The kernel notifies again when duplicate address detection has succeeded.
fn parse_address(body: &[u8]) -> Option<(InterfaceIndex, Held)> {
    let message = AddressMessage::parse(body).ok()?;
    let flags = message.header.flags;
    let (mut local, mut address, mut ours) = (None, None, false);
    for attribute in message.attributes {
        if let AddressAttribute::Local(given) = attribute {
            local = Some(given);
        } else if let AddressAttribute::Address(given) = attribute {
            address = Some(given);
        } else if let AddressAttribute::Protocol(protocol) = attribute {
            ours = u8::from(protocol) == ADDRESS_PROTOCOL;
        }
    }
    let is_ipv6 = message.header.family == AddressFamily::Inet6;
    if is_ipv6 && flags.contains(AddressHeaderFlags::Tentative) {
        return None;
    }
    // IPv6 has IFA_LOCAL only beside a peer, IPv4 always.
    let address = local.or(address.filter(|_| is_ipv6))?;
    // In IPv6 the same bit means IFA_F_TEMPORARY.
    let secondary = !is_ipv6 && flags.contains(AddressHeaderFlags::Secondary);
    let held = Held {
        address: InterfaceAddress {
            address,
            prefix: message.header.prefix_len,
        },
        ours,
        secondary,
    };
    Some((InterfaceIndex(message.header.index), held))
}

#[cfg(test)]
mod tests;
