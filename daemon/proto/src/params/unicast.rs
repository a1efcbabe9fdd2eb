//! Advertisements to hosts that are named one by one instead of to the group.

use core::fmt;
use core::net::IpAddr;
use std::sync::Arc;

use crate::wire::HOP_LIMIT;

/// With whom a router speaks that does not speak with the group: it sends to each of the peers, and
/// listens to nobody else. No RFC knows this; keepalived does it, and clouds that forward no multicast
/// demand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unicast {
    /// The other hosts. The host's own address may be among them, so that all hosts can have the same
    /// list, and is passed over.
    pub peers: Arc<[Peer]>,
    /// The TTL or hop limit to send with, 1 to 255.
    pub ttl: u8,
    /// The least TTL or hop limit that a packet has left when it is to be believed: 255 when the
    /// peers are on the same network, and one less for every router in between.
    pub min_ttl: u8,
}

impl Unicast {
    /// What is sent with, and what is demanded, where nobody says otherwise: that of the protocol, so
    /// that none from another network is believed.
    pub const DEFAULT_TTL: u8 = HOP_LIMIT;

    /// Unicast with `peers` of the same network.
    pub fn new(peers: impl Into<Arc<[Peer]>>) -> Self {
        Self {
            peers: peers.into(),
            ttl: Self::DEFAULT_TTL,
            min_ttl: Self::DEFAULT_TTL,
        }
    }

    /// The names among the peers.
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
    /// By its address.
    Address(IpAddr),
    /// By a name, which stands for the addresses of the last
    /// [`Input::Resolved`](crate::Input::Resolved), and for none before.
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
