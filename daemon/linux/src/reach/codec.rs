//! Codec of rtnetlink(7) for routes of any program and for neighbours. Only the attributes that the
//! trackers need are parsed: unknown ones must not make a route unreadable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NlasIterator};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
    NeighbourState,
};
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use vrrp_proto::routing::{Network, Table};
use vrrp_proto::{Family, InterfaceIndex};

use super::known::{Kind, Leg, Shown, Wanted};
use crate::netlink::push;
use crate::routing::codec::{family_of, short};

// Attributes of a route (linux/rtnetlink.h).
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;

/// Length of struct rtmsg and of struct rtnexthop.
const ROUTE_HEADER_LEN: usize = 12;
const HOP_HEADER_LEN: usize = 8;

// Flags of a route and of a next hop: the kernel does not use it, because its device or its link is
// down.
const RTNH_F_DEAD: u32 = 1;
const RTNH_F_LINKDOWN: u32 = 16;
/// Flag of a cached path to one address, such as a path MTU, which is no route.
const RTM_F_CLONED: u32 = 0x200;

// Attributes of a neighbour (linux/neighbour.h).
const NDA_DST: u16 = 1;
const NDA_FLAGS_EXT: u16 = 15;

/// Length of struct ndmsg.
const NEIGHBOUR_HEADER_LEN: usize = 12;

// States of a neighbour. In all but the last two the kernel knows its hardware address.
const NUD_REACHABLE: u16 = 0x02;
const NUD_STALE: u16 = 0x04;
const NUD_DELAY: u16 = 0x08;
const NUD_PROBE: u16 = 0x10;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const NUD_INCOMPLETE: u16 = 0x01;
const NUD_FAILED: u16 = 0x20;

/// Flags of a neighbour that a probe must preserve (learned by another program, router), and the flag
/// that makes the kernel resolve it.
const NTF_EXT_LEARNED: u8 = 0x10;
const NTF_ROUTER: u8 = 0x80;
const NTF_USE: u8 = 0x01;

/// Appends the request that dumps all routes of a table.
pub(super) fn push_route_dump(
    destination: Network,
    table: Table,
    sequence: u32,
    buffer: &mut Vec<u8>,
) {
    let mut body = RouteMessage::default();
    body.header.address_family = family_of(destination.family());
    body.header.table = short(table);
    body.attributes.push(RouteAttribute::Table(table.get()));
    let message = RouteNetlinkMessage::GetRoute(body);
    push(message, NLM_F_DUMP, sequence, buffer);
}

/// Parses a route; `None` unless it is one to the wanted destination in the wanted table, for packets
/// of any source and TOS.
pub(super) fn parse_route(body: &[u8], wanted: &Wanted) -> Option<Shown> {
    let (header, attributes) = body.split_first_chunk::<ROUTE_HEADER_LEN>()?;
    let [
        family,
        prefix,
        source_prefix,
        tos,
        table,
        _,
        _,
        kind,
        flags @ ..,
    ] = *header;
    let flags = u32::from_ne_bytes(flags);
    let destination = wanted.destination;
    let is_plain = source_prefix == 0 && tos == 0 && flags & RTM_F_CLONED == 0;
    if prefix != destination.prefix()
        || family != u8::from(family_of(destination.family()))
        || !is_plain
    {
        return None;
    }
    let mut address = Network::everything(destination.family()).address();
    let mut table = u32::from(table);
    let (mut metric, mut source, mut object) = (0, None, None);
    let (mut gateway, mut device, mut several) = (None, None, None);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.ok()?;
        let value = attribute.value();
        match attribute.kind() {
            RTA_DST => address = ip(value)?,
            RTA_OIF => device = number(value).map(InterfaceIndex),
            RTA_GATEWAY => gateway = ip(value),
            RTA_VIA => gateway = via(value),
            RTA_PRIORITY => metric = number(value)?,
            RTA_PREFSRC => source = ip(value),
            RTA_TABLE => table = number(value)?,
            RTA_NH_ID => object = number(value),
            RTA_MULTIPATH => several = Some(hops(value)),
            _ => {}
        }
    }
    if address != destination.address() || table != wanted.table.get() {
        return None;
    }
    let only = Leg {
        gateway,
        device,
        alive: is_alive(flags),
    };
    let one = (gateway.is_some() || device.is_some()).then_some(only);
    Some(Shown {
        metric,
        kind: kind_of(kind),
        source,
        object,
        legs: several.unwrap_or_else(|| one.into_iter().collect()),
    })
}

const fn kind_of(number: u8) -> Kind {
    match number {
        libc::RTN_BLACKHOLE => Kind::Blackhole,
        libc::RTN_UNREACHABLE => Kind::Unreachable,
        libc::RTN_PROHIBIT => Kind::Prohibit,
        libc::RTN_THROW => Kind::Throw,
        _ => Kind::Leads,
    }
}

const fn is_alive(flags: u32) -> bool {
    flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN) == 0
}

/// Parses the next hops of RTA_MULTIPATH: each a struct rtnexthop and attributes.
fn hops(mut bytes: &[u8]) -> Vec<Leg> {
    let mut legs = Vec::new();
    while let Some((header, _)) = bytes.split_first_chunk::<HOP_HEADER_LEN>() {
        let [low, high, flags, _, device @ ..] = *header;
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let Some(attributes) = bytes.get(HOP_HEADER_LEN..length) else {
            break;
        };
        let mut gateway = None;
        for attribute in NlasIterator::new(attributes).filter_map(Result::ok) {
            match attribute.kind() {
                RTA_GATEWAY => gateway = ip(attribute.value()),
                RTA_VIA => gateway = via(attribute.value()),
                _ => {}
            }
        }
        let device = u32::from_ne_bytes(device);
        legs.push(Leg {
            gateway,
            device: (device != 0).then_some(InterfaceIndex(device)),
            alive: is_alive(flags.into()),
        });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    legs
}

/// Parses a gateway of another family than the destination: struct rtvia.
fn via(value: &[u8]) -> Option<IpAddr> {
    ip(value.get(2..)?)
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(value).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

/// A neighbour as the kernel shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) device: InterfaceIndex,
    pub(super) address: IpAddr,
    state: u16,
    flags: u8,
    extended: u32,
}

/// Reachability of a neighbour in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The neighbour has answered recently.
    Reachable,
    /// The neighbour has not answered, and the kernel has given up for now.
    Failed,
    /// The neighbour is never probed.
    Given,
    /// A probe is running.
    Asked,
    /// The neighbour has answered earlier, and can be probed at once.
    Remembered,
    /// The kernel has no state.
    Unknown,
}

impl Neighbour {
    pub(super) const fn standing(&self) -> Standing {
        match self.state {
            state if state & (NUD_NOARP | NUD_PERMANENT) != 0 => Standing::Given,
            state if state & NUD_REACHABLE != 0 => Standing::Reachable,
            state if state & (NUD_PROBE | NUD_INCOMPLETE) != 0 => Standing::Asked,
            state if state & (NUD_STALE | NUD_DELAY) != 0 => Standing::Remembered,
            state if state & NUD_FAILED != 0 => Standing::Failed,
            _ => Standing::Unknown,
        }
    }
}

/// Parses a neighbour.
pub(super) fn parse_neighbour(body: &[u8]) -> Option<Neighbour> {
    let (header, attributes) = body.split_first_chunk::<NEIGHBOUR_HEADER_LEN>()?;
    let [_, _, _, _, a, b, c, d, low, high, flags, _] = *header;
    let (mut address, mut extended) = (None, 0);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            NDA_DST => address = ip(attribute.value()),
            NDA_FLAGS_EXT => extended = number(attribute.value())?,
            _ => {}
        }
    }
    Some(Neighbour {
        device: InterfaceIndex(u32::from_ne_bytes([a, b, c, d])),
        address: address?,
        state: u16::from_ne_bytes([low, high]),
        flags,
        extended,
    })
}

/// Appends the request for the kernel's entry of a neighbour.
pub(super) fn push_neighbour_question(
    (device, address): (InterfaceIndex, IpAddr),
    sequence: u32,
    buffer: &mut Vec<u8>,
) {
    let message = RouteNetlinkMessage::GetNeighbour(neighbour(device, address));
    push(message, NLM_F_ACK, sequence, buffer);
}

/// Appends the request that probes a known neighbour by unicast.
pub(super) fn push_probe(known: &Neighbour, sequence: u32, buffer: &mut Vec<u8>) {
    let mut body = neighbour(known.device, known.address);
    body.header.state = NeighbourState::Probe;
    // Without NLM_F_REPLACE the kernel keeps the hardware address and the router flag.
    let kept = known.flags & (NTF_EXT_LEARNED | NTF_ROUTER);
    body.header.flags = NeighbourFlags::from_bits_retain(kept);
    if known.extended != 0 {
        let extended = NeighbourExtFlags::from_bits_retain(known.extended);
        body.attributes.push(NeighbourAttribute::ExtFlags(extended));
    }
    let message = RouteNetlinkMessage::NewNeighbour(body);
    push(message, NLM_F_ACK, sequence, buffer);
}

/// Appends the request that resolves the hardware address of an unknown neighbour.
pub(super) fn push_search(
    (device, address): (InterfaceIndex, IpAddr),
    sequence: u32,
    buffer: &mut Vec<u8>,
) {
    let mut body = neighbour(device, address);
    body.header.flags = NeighbourFlags::from_bits_retain(NTF_USE);
    let message = RouteNetlinkMessage::NewNeighbour(body);
    push(message, NLM_F_ACK | NLM_F_CREATE, sequence, buffer);
}

fn neighbour(device: InterfaceIndex, address: IpAddr) -> NeighbourMessage {
    let mut body = NeighbourMessage::default();
    body.header.family = family_of(Family::of(address));
    body.header.ifindex = device.0;
    let address = match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    };
    body.attributes
        .push(NeighbourAttribute::Destination(address));
    body
}
