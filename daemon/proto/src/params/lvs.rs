//! Synchronisation of IPVS connections between hosts.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Parameters of the kernel's IPVS sync daemon (ipvsadm(8), `--start-daemon`). On the master it
/// sends the state of the connections that IPVS forwards; on backups it receives them, so that
/// connections survive a take-over. Each network namespace has at most one sync daemon per role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LvsSync {
    /// Name of the interface on which connections are sent and received, 1 to 15 bytes.
    pub interface: Arc<str>,
    /// Sync id: hosts with the same id share their connections. A backup with id 0 accepts all ids.
    pub sync_id: u8,
    /// Length limit of a message in bytes, 1024 to [`longest`](Self::longest). A backup drops
    /// longer messages.
    pub max_length: u16,
    /// UDP port, 1 to 65535. With several threads in the kernel (`net.ipv4.vs.sync_ports`) the next
    /// ports are used, too.
    pub port: u16,
    /// TTL or hop limit of sent messages, 1 to 255.
    pub ttl: u8,
    /// Multicast group that messages are sent to.
    pub group: IpAddr,
}

impl LvsSync {
    /// Port of the kernel's defaults (IP_VS_SYNC_PORT and IP_VS_SYNC_GROUP of its ip_vs_sync.c).
    pub const DEFAULT_PORT: u16 = 8848;
    /// TTL of the kernel's defaults; see [`DEFAULT_PORT`](Self::DEFAULT_PORT).
    pub const DEFAULT_TTL: u8 = 1;
    /// Group of the kernel's defaults; see [`DEFAULT_PORT`](Self::DEFAULT_PORT).
    pub const DEFAULT_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));

    /// Smallest length limit that a backup may have.
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

    /// Largest length of a message to `group` that fits into an Ethernet frame.
    pub const fn default_length(group: IpAddr) -> u16 {
        1500 - headers(group)
    }

    /// Largest possible length of a message to `group`.
    pub const fn longest(group: IpAddr) -> u16 {
        u16::MAX - headers(group)
    }
}

/// Role of the IPVS sync daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LvsRole {
    /// Sends the state of the local connections.
    Master,
    /// Receives the connections of the master.
    Backup,
}

impl fmt::Display for LvsRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// Length of the IP and UDP headers.
const fn headers(group: IpAddr) -> u16 {
    8 + match group {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    }
}
