//! Codec of rtnetlink(7) for routes and rules: encodes changes and dump requests, decodes the answers.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel has many more attributes, and none of them is used here"
)]

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use netlink_packet_core::{
    NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NlasIterator, Parseable,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop,
    RouteNextHopFlags, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use vrrp_proto::routing::{Network, RoutePlace, Rule, Scope, Selector, Table};
use vrrp_proto::{Family, InterfaceIndex};

use super::ROUTING_PROTOCOL;
use crate::netlink::{Message, push};
use vrrp_node::routing::change::{Change, Installed, Leg};
use vrrp_node::routing::mirror::Dump;

/// Flag of NLMSG_ERROR: attributes follow the request (linux/netlink.h, NLM_F_ACK_TLVS).
const ATTRIBUTES_FOLLOW: u16 = 0x200;
/// Attribute with the kernel's error text (linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;
/// Length of struct nlmsghdr.
const HEADER_LEN: usize = 16;

/// Appends the request that carries out `change`, with the sequence number `sequence`.
pub(super) fn push_change(change: &Change, sequence: u32, buffer: &mut Vec<u8>) {
    let (message, flags) = match change {
        Change::AddRoute { installed, .. } => (
            RouteNetlinkMessage::NewRoute(whole_route(installed)),
            NLM_F_CREATE | NLM_F_EXCL,
        ),
        Change::ExtendRoute {
            installed, missing, ..
        } => {
            let part = Installed {
                legs: missing.clone(),
                ..installed.clone()
            };
            (
                RouteNetlinkMessage::NewRoute(whole_route(&part)),
                NLM_F_CREATE | NLM_F_APPEND,
            )
        }
        Change::DeleteRoute(installed) => {
            let body = if installed.odd {
                // The attributes of this route are unknown, so the request matches the first of the
                // daemon's routes with this destination, table and metric.
                let mut body = route(installed);
                body.header.scope = RouteScope::NoWhere;
                body
            } else {
                whole_route(installed)
            };
            (RouteNetlinkMessage::DelRoute(body), 0)
        }
        Change::AddRule { rule, .. } => (
            RouteNetlinkMessage::NewRule(rule_message(rule)),
            NLM_F_CREATE | NLM_F_EXCL,
        ),
        Change::DeleteRule(rule) => (RouteNetlinkMessage::DelRule(rule_message(rule)), 0),
    };
    push(message, flags, sequence, buffer);
}

/// Appends the request that dumps the daemon's routes of a family. A kernel before 4.20, or without
/// NETLINK_GET_STRICT_CHK, dumps all routes.
pub(super) fn push_route_dump(family: Family, sequence: u32, buffer: &mut Vec<u8>) {
    let mut body = RouteMessage::default();
    body.header.address_family = family_of(family);
    body.header.protocol = RouteProtocol::Other(ROUTING_PROTOCOL);
    push(
        RouteNetlinkMessage::GetRoute(body),
        NLM_F_DUMP,
        sequence,
        buffer,
    );
}

/// Appends the request that dumps all rules of a family.
pub(super) fn push_rule_dump(family: Family, sequence: u32, buffer: &mut Vec<u8>) {
    let mut body = RuleMessage::default();
    body.header.family = family_of(family);
    push(
        RouteNetlinkMessage::GetRule(body),
        NLM_F_DUMP,
        sequence,
        buffer,
    );
}

/// Adds the route or rule of a message to `dump` if it is of `family` and has the daemon's mark.
pub(super) fn collect(message: &Message<'_>, family: Family, dump: &mut Dump) {
    match message.header.message_type {
        libc::RTM_NEWROUTE => {
            let ours = parse_route(message.body);
            dump.routes
                .extend(ours.filter(|route| route.place.destination.family() == family));
        }
        libc::RTM_NEWRULE => {
            let ours = parse_rule(message.body);
            dump.rules
                .extend(ours.filter(|rule| rule.family() == family));
        }
        _ => {}
    }
}

/// Error text of the kernel for a rejected request (NETLINK_EXT_ACK, since Linux 4.12).
pub(super) fn explanation(refusal: &Message<'_>) -> Option<String> {
    if refusal.header.flags & ATTRIBUTES_FOLLOW == 0 {
        return None;
    }
    let request = refusal.body.get(4..)?;
    let length = u32::from_ne_bytes(*request.first_chunk()?);
    let length = usize::try_from(length).ok()?.max(HEADER_LEN);
    let attributes = request.get(length.next_multiple_of(4)..)?;
    NlasIterator::new(attributes).find_map(|attribute| {
        let attribute = attribute.ok()?;
        let text = attribute.value().split(|byte| *byte == 0).next()?;
        (attribute.kind() == NLMSGERR_ATTR_MSG).then(|| String::from_utf8_lossy(text).into_owned())
    })
}

/// A route as ip-route(8) encodes it, with the daemon's mark.
fn whole_route(installed: &Installed) -> RouteMessage {
    let mut body = route(installed);
    body.header.kind = RouteType::Unicast;
    body.header.scope = RouteScope::from(installed.scope.0);
    let source = installed.source.map(RouteAddress::from);
    body.attributes
        .extend(source.map(RouteAttribute::PrefSource));
    match &installed.legs[..] {
        // A weight is encoded only in RTA_MULTIPATH, also where the other next hops are installed
        // already.
        [leg] if leg.weight == 1 => {
            body.attributes.extend(gateway(leg));
            let device = leg.device.map(|device| RouteAttribute::Oif(device.0));
            body.attributes.extend(device);
            if leg.on_link {
                body.header.flags |= RouteFlags::Onlink;
            }
        }
        legs => {
            let hops = legs.iter().map(next_hop).collect();
            body.attributes.push(RouteAttribute::MultiPath(hops));
        }
    }
    body
}

/// The part of a route that identifies it: destination, TOS, table and metric.
fn route(installed: &Installed) -> RouteMessage {
    let Installed { place, tos, .. } = installed;
    let mut body = RouteMessage::default();
    body.header.address_family = family_of(place.destination.family());
    body.header.destination_prefix_length = place.destination.prefix();
    body.header.tos = *tos;
    body.header.protocol = RouteProtocol::Other(ROUTING_PROTOCOL);
    body.header.table = short(place.table);
    if place.destination.prefix() > 0 {
        let destination = place.destination.address().into();
        body.attributes
            .push(RouteAttribute::Destination(destination));
    }
    if place.metric > 0 {
        body.attributes.push(RouteAttribute::Priority(place.metric));
    }
    body.attributes
        .push(RouteAttribute::Table(place.table.get()));
    body
}

fn gateway(leg: &Leg) -> Option<RouteAttribute> {
    Some(RouteAttribute::Gateway(leg.gateway?.into()))
}

fn next_hop(leg: &Leg) -> RouteNextHop {
    let mut hop = RouteNextHop::default();
    hop.hops = u8::try_from(leg.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    hop.interface_index = leg.device.map_or(0, |device| device.0);
    if leg.on_link {
        hop.flags |= RouteNextHopFlags::Onlink;
    }
    hop.attributes.extend(gateway(leg));
    hop
}

/// A rule as ip-rule(8) encodes it, with the daemon's mark.
fn rule_message(rule: &Rule) -> RuleMessage {
    let Selector {
        from,
        to,
        iif,
        oif,
        fwmark,
    } = rule.selector();
    let mut body = RuleMessage::default();
    body.header.family = family_of(rule.family());
    body.header.action = RuleAction::ToTable;
    body.header.table = short(rule.table());
    body.header.src_len = from.map_or(0, Network::prefix);
    body.header.dst_len = to.map_or(0, Network::prefix);
    let network = |network: &Option<Network>| network.map(Network::address);
    let name = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
    let mark = fwmark.map(NonZeroU32::get);
    let said = [
        Some(RuleAttribute::Priority(rule.priority())),
        Some(RuleAttribute::Table(rule.table().get())),
        Some(RuleAttribute::Protocol(RouteProtocol::Other(
            ROUTING_PROTOCOL,
        ))),
        network(from).map(RuleAttribute::Source),
        network(to).map(RuleAttribute::Destination),
        name(iif).map(RuleAttribute::Iifname),
        name(oif).map(RuleAttribute::Oifname),
        mark.map(RuleAttribute::FwMark),
    ];
    body.attributes = said.into_iter().flatten().collect();
    body
}

/// Parses a route; `None` without the daemon's mark. A route with properties that the daemon never sets
/// is marked as odd.
fn parse_route(body: &[u8]) -> Option<Installed> {
    let header = RouteHeader::parse(body).ok()?;
    if u8::from(header.protocol) != ROUTING_PROTOCOL {
        return None;
    }
    let message = RouteMessage::parse(body).ok()?;
    let family = family_from(header.address_family)?;
    let mut address = Network::everything(family).address();
    let (mut table, mut metric) = (u32::from(header.table), None);
    let mut source = None;
    let mut only = Leg {
        gateway: None,
        device: None,
        weight: 1,
        on_link: header.flags.contains(RouteFlags::Onlink),
    };
    let mut several = None;
    let mut odd =
        header.kind != RouteType::Unicast || header.tos != 0 || header.source_prefix_length != 0;
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Destination(destination) => address = ip(&destination)?,
            RouteAttribute::Table(number) => table = number,
            RouteAttribute::Priority(number) => metric = Some(number),
            RouteAttribute::PrefSource(address) => source = ip(&address),
            RouteAttribute::Gateway(address) => only.gateway = ip(&address),
            RouteAttribute::Oif(number) => only.device = Some(InterfaceIndex(number)),
            RouteAttribute::MultiPath(hops) => {
                // The daemon sets no attribute of a next hop except the gateway.
                odd |= hops.iter().any(|hop| hop.attributes.len() > 1);
                several = Some(hops.iter().map(leg).collect());
            }
            // The kernel adds these to every route of IPv6.
            RouteAttribute::CacheInfo(_) | RouteAttribute::Preference(_) => {}
            _ => odd = true,
        }
    }
    let destination = Network::new(address, header.destination_prefix_length).ok()?;
    Some(Installed {
        place: RoutePlace::new(destination, Table::new(table)?, metric),
        tos: header.tos,
        scope: Scope(header.scope.into()),
        source,
        legs: several.unwrap_or_else(|| vec![only]),
        odd,
    })
}

fn leg(hop: &RouteNextHop) -> Leg {
    let gateway = hop.attributes.iter().find_map(|attribute| {
        let RouteAttribute::Gateway(address) = attribute else {
            return None;
        };
        ip(address)
    });
    Leg {
        gateway,
        device: Some(InterfaceIndex(hop.interface_index)).filter(|device| device.0 != 0),
        weight: u16::from(hop.hops) + 1,
        on_link: hop.flags.contains(RouteNextHopFlags::Onlink),
    }
}

/// Parses a rule; `None` without the daemon's mark, or with properties that the daemon never sets.
fn parse_rule(body: &[u8]) -> Option<Rule> {
    let RuleMessage {
        header, attributes, ..
    } = RuleMessage::parse(body).ok()?;
    let (mut from, mut to, mut mask) = (None, None, u32::MAX);
    let (mut table, mut priority, mut ours) = (u32::from(header.table), 0, false);
    let mut selector = Selector::default();
    for attribute in attributes {
        match attribute {
            RuleAttribute::Source(address) => from = Some(address),
            RuleAttribute::Destination(address) => to = Some(address),
            RuleAttribute::Iifname(name) => selector.iif = Some(name.into()),
            RuleAttribute::Oifname(name) => selector.oif = Some(name.into()),
            RuleAttribute::FwMark(mark) => selector.fwmark = NonZeroU32::new(mark),
            RuleAttribute::FwMask(bits) => mask = bits,
            RuleAttribute::Table(number) => table = number,
            RuleAttribute::Priority(number) => priority = number,
            RuleAttribute::Protocol(protocol) => ours = u8::from(protocol) == ROUTING_PROTOCOL,
            // Default value, which the kernel adds to every rule.
            RuleAttribute::SuppressPrefixLen(u32::MAX) => {}
            _ => return None,
        }
    }
    let is_plain = header.action == RuleAction::ToTable
        && header.tos == 0
        && !header.flags.contains(RuleFlags::Invert)
        && mask == u32::MAX;
    if !ours || !is_plain {
        return None;
    }
    let network = |address: Option<IpAddr>, prefix| match address {
        Some(address) => Network::new(address, prefix).ok().map(Some),
        None => Some(None),
    };
    selector.from = network(from, header.src_len)?;
    selector.to = network(to, header.dst_len)?;
    let family = family_from(header.family)?;
    Rule::new(family, selector, Table::new(table)?, priority).ok()
}

const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

/// Table number in the one-byte field of a header; a greater number is only in an attribute.
pub(crate) fn short(table: Table) -> u8 {
    u8::try_from(table.get()).unwrap_or(RouteHeader::RT_TABLE_UNSPEC)
}

pub(crate) const fn family_of(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

const fn family_from(family: AddressFamily) -> Option<Family> {
    match family {
        AddressFamily::Inet => Some(Family::V4),
        AddressFamily::Inet6 => Some(Family::V6),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
