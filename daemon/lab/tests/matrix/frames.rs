//! VRRP frames of both families.

use std::net::IpAddr;

use vrrp_lab::{Frame, Moment};

use crate::configuration::VRID;

/// IP protocol number of VRRP.
const VRRP: u8 = vrrp_proto::wire::PROTOCOL;

/// Advertisement that a host sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advert {
    pub(crate) at: Moment,
    pub(crate) priority: u8,
    /// Source MAC address of the frame; `to` is the destination.
    pub(crate) from: [u8; 6],
    pub(crate) to: [u8; 6],
}

impl Advert {
    /// Parses an outgoing frame.
    pub(crate) fn of(frame: &Frame) -> Option<Self> {
        if !frame.outgoing {
            return None;
        }
        let message = match frame.ip_protocol() {
            Some(VRRP) => frame.ip_payload()?,
            Some(_) => return None,
            None => frame.ipv6_payload(VRRP)?,
        };
        let [_, VRID, priority, ..] = *message else {
            return None;
        };
        Some(Self {
            at: frame.at,
            priority,
            from: frame.source(),
            to: frame.destination(),
        })
    }
}

/// Whether a frame announces the MAC address of an address to all hosts: a gratuitous ARP, or an
/// unsolicited neighbour advertisement (RFC 4861 section 4.4: type, and the target after eight octets).
pub(crate) fn announces(frame: &Frame, address: IpAddr) -> bool {
    const ICMPV6: u8 = 58;
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
    match address {
        IpAddr::V4(address) => frame.is_gratuitous_arp(address),
        IpAddr::V6(address) => frame.ipv6_payload(ICMPV6).is_some_and(|message| {
            message.first() == Some(&NEIGHBOUR_ADVERTISEMENT)
                && message.get(8..24) == Some(&address.octets())
                && frame.destination() == ALL_NODES
        }),
    }
}
