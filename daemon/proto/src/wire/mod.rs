//! Formats on the wire.
//!
//! [`Advert`] is the content of an advertisement; [`Advert::parse`] and [`Advert::emit`] convert
//! between it and bytes, and `parse(emit(x)) == x`. A received packet is checked in the order of
//! the RFCs (9568 section 7.1, 3768 section 7.1); each failed check has its own [`DropCause`].

mod advert;
pub mod arp;
mod carp;
mod cause;
mod checksum;
pub mod echo;
pub mod ethernet;
mod field;
pub mod hmac;
mod inspect;
pub mod ipv4;
pub mod ipv6;
pub mod ndisc;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::time::Instant;
use crate::types::{Family, InterfaceIndex};

pub use advert::{AddressList, Advert, Auth, Expected, Received, most_addresses};
pub use cause::{DropCause, DropCounts};
pub use checksum::ChecksumForm;
pub use inspect::{AuthType, Checksum, Inspected, inspect};

/// IP protocol number of VRRP (RFC 9568 section 5.1.1.4).
pub const PROTOCOL: u8 = 112;

/// IPv4 multicast group of all VRRP routers (RFC 9568 section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// IPv6 multicast group of all VRRP routers (RFC 9568 section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// Multicast group of a family.
pub const fn group(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(GROUP_V4),
        Family::V6 => IpAddr::V6(GROUP_V6),
    }
}

/// TTL and hop limit of every multicast advertisement. Routers decrement it, so an advertisement
/// from another network has less and is dropped (RFC 9568 section 5.1.1.3).
pub const HOP_LIMIT: u8 = 255;

/// Priority in the last advertisement of a master that resigns (RFC 9568 section 5.2.4).
pub const PRIORITY_RESIGN: u8 = 0;

/// A received packet: the fields of its IP header that matter, and the payload.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Time of arrival, which may be before the input. A later time counts as the present.
    pub at: Instant,
    /// Receiving interface.
    pub interface: InterfaceIndex,
    /// Source address.
    pub source: IpAddr,
    /// Destination address: the multicast group, or an address of this host.
    pub destination: IpAddr,
    /// TTL or hop limit as received.
    pub hop_limit: u8,
    /// The VRRP message.
    pub payload: &'a [u8],
}
