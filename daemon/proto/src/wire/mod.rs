//! The bytes on the wire.
//!
//! [`Advert`] is what an advertisement means; [`Advert::parse`] and [`Advert::emit`] go between it
//! and bytes, and `parse(emit(x)) == x`. The checks of a received packet run in the order of the
//! RFCs (9568 section 7.1, 3768 section 7.1), and the first that fails is one [`DropCause`].

mod advert;
pub mod arp;
mod cause;
mod checksum;
pub mod ipv4;

use core::net::Ipv4Addr;

pub use advert::{AddressList, Advert, Auth, Expected, Received};
pub use cause::{DropCause, DropCounts};
pub use checksum::ChecksumForm;

/// The number of VRRP among the IP protocols (RFC 9568 section 5.1.1.4).
pub const PROTOCOL: u8 = 112;

/// The IPv4 group that all VRRP routers join (RFC 9568 section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// TTL and hop limit of every advertisement, so that none from another network is believed
/// (RFC 9568 section 5.1.1.3).
pub const HOP_LIMIT: u8 = 255;

/// The priority that a master sends when it leaves (RFC 9568 section 5.2.4).
pub const PRIORITY_RESIGN: u8 = 0;
