//! Connections of IPVS that are known on several hosts.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// How the kernel tells other hosts of the connections that IPVS forwards, and hears of theirs: its
/// sync thread (ipvsadm(8), `--start-daemon`). The master tells and the others hear, so that
/// connections go on after a take-over. Each network namespace has one thread of each role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LvsSync {
    /// The name of the interface to tell and to hear on, 1 to 15 bytes.
    pub interface: Arc<str>,
    /// Which hosts belong together: what bears another number is not for them. As backup 0 hears all.
    pub sync_id: u8,
    /// How many bytes a message has at most, 1024 to [`longest`](Self::longest). A backup hears none
    /// that is longer.
    pub max_length: u16,
    /// The UDP port, 1 to 65535. Where the kernel has several threads (`net.ipv4.vs.sync_ports`) they
    /// use those behind it too.
    pub port: u16,
    /// The TTL or hop limit to send with, 1 to 255.
    pub ttl: u8,
    /// The multicast group to send to.
    pub group: IpAddr,
}

impl LvsSync {
    /// The kernel's own port, TTL and group (IP_VS_SYNC_PORT and IP_VS_SYNC_GROUP of its ip_vs_sync.c).
    pub const DEFAULT_PORT: u16 = 8848;
    /// See [`DEFAULT_PORT`](Self::DEFAULT_PORT).
    pub const DEFAULT_TTL: u8 = 1;
    /// See [`DEFAULT_PORT`](Self::DEFAULT_PORT).
    pub const DEFAULT_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));

    /// The least that a message of a backup may have.
    pub const LEAST_LENGTH: u16 = 1024;

    /// Synchronisation with the kernel's defaults.
    pub fn new(interface: Arc<str>, sync_id: u8) -> Self {
        Self {
            interface,
            sync_id,
            max_length: Self::default_length(Self::DEFAULT_GROUP),
            port: Self::DEFAULT_PORT,
            ttl: Self::DEFAULT_TTL,
            group: Self::DEFAULT_GROUP,
        }
    }

    /// How long a message to `group` may be when it is to fit into an Ethernet frame.
    pub const fn default_length(group: IpAddr) -> u16 {
        1500 - headers(group)
    }

    /// How long a message to `group` may be at most.
    pub const fn longest(group: IpAddr) -> u16 {
        u16::MAX - headers(group)
    }
}

/// The length of the headers of IP and UDP.
const fn headers(group: IpAddr) -> u16 {
    8 + match group {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    }
}
