//! Advertisements to configured peers instead of the multicast group.

use core::fmt;
use core::net::IpAddr;
use std::sync::Arc;

use crate::types::Family;
use crate::wire::HOP_LIMIT;

/// Unicast peers of a router: it sends each advertisement to all peers and accepts advertisements
/// from peers only. Not part of any RFC; keepalived has the same feature, and clouds that forward
/// no multicast require it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unicast {
    /// Peers. The host's own address may be among them, so that all hosts can have the same list;
    /// the router skips it.
    pub peers: Arc<[Peer]>,
    /// TTL or hop limit of sent advertisements, 1 to 255.
    pub ttl: u8,
    /// Minimum TTL or hop limit of accepted advertisements: 255 if the peers are on the same
    /// network, and one less for every IP router in between.
    pub min_ttl: u8,
}

impl Unicast {
    /// Default of both limits: the protocol's own 255, so that no advertisement from another
    /// network is accepted.
    pub const DEFAULT_TTL: u8 = HOP_LIMIT;

    /// Unicast with `peers` on the same network.
    pub fn new(peers: impl Into<Arc<[Peer]>>) -> Self {
        Self {
            peers: peers.into(),
            ttl: Self::DEFAULT_TTL,
            min_ttl: Self::DEFAULT_TTL,
        }
    }

    /// Families of the peers that are configured by address.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        self.peers.iter().filter_map(|peer| match peer {
            Peer::Name(_) => None,
            Peer::Address(address) => Some(Family::of(*address)),
        })
    }

    /// Peers that are configured by name.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.peers.iter().filter_map(|peer| match peer {
            Peer::Name(name) => Some(name),
            Peer::Address(_) => None,
        })
    }
}

/// Another host of a virtual router.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// Configured by address.
    Address(IpAddr),
    /// Configured by name. Its addresses are those of the last
    /// [`Input::Resolved`](crate::Input::Resolved); it has none before the first.
    Name(Arc<str>),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}
