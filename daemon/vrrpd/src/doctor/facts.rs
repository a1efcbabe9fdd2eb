//! Facts about this host and its network, as values. [`super::read`] and [`super::listen`] read them,
//! [`super::judge`] judges them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;
use vrrp_proto::{Family, InterfaceAddress, InterfaceIndex, MacAddress};

/// Facts about a host.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Capabilities that this process lacks, in words. Without them parts of the host remain unexamined.
    pub(super) missing_rights: Option<String>,
    /// Whether a vrrpd runs in this network namespace.
    pub(super) has_daemon: bool,
    /// Interfaces by name.
    pub(super) interfaces: BTreeMap<String, Interface>,
    /// Ruleset of nftables as `nft --json list ruleset` prints it, or the reason why it is unknown.
    pub(super) ruleset: Option<Result<Value, String>>,
    /// Whether tables of iptables-legacy exist, which nft does not show.
    pub(super) has_legacy_tables: bool,
    /// Whether keepalived runs.
    pub(super) has_keepalived: bool,
    /// Whether dhcpcd runs and is not kept off the interfaces of virtual MAC addresses.
    pub(super) has_greedy_dhcpcd: bool,
    /// Kernel modules that are neither loaded nor available.
    pub(super) missing_modules: BTreeSet<&'static str>,
    /// Whether the wall clock is synchronised, if the kernel tells.
    pub(super) is_clock_synchronised: Option<bool>,
    /// Sockets of TCP and UDP that receive at a single address.
    pub(super) listeners: BTreeSet<Listener>,
    /// Families in which a program may listen at an address that the host does not hold.
    pub(super) nonlocal_binds: BTreeSet<Family>,
    /// Advertisements that arrived, one for each sender and virtual router.
    pub(super) adverts: Vec<Advert>,
    /// Answers for virtual addresses by other hosts.
    pub(super) claims: BTreeSet<Claim>,
}

/// Facts about an interface.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) index: InterfaceIndex,
    pub(super) mac: Option<MacAddress>,
    pub(super) is_up: bool,
    pub(super) has_carrier: bool,
    pub(super) addresses: Vec<InterfaceAddress>,
    /// Reverse path filter in force: the greater one of the interface's setting and that of `all`.
    pub(super) rp_filter: u8,
    /// Bridge, bond or team of which the interface is a port.
    pub(super) port_of: Option<String>,
    /// Whether the interface is a bridge that snoops IGMP and MLD without a querier.
    pub(super) snoops_without_querier: bool,
    /// Program that configures the interface and deletes addresses which are not its own.
    pub(super) manager: Option<Manager>,
}

/// Program that configures interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Manager {
    /// systemd-networkd, with the file that configures the interface.
    Networkd(String),
    /// NetworkManager.
    NetworkManager,
}

/// Socket that receives at one address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listener {
    pub(super) protocol: &'static str,
    pub(super) address: IpAddr,
    pub(super) port: u16,
}

/// Advertisement that arrived at an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advert {
    pub(super) interface: InterfaceIndex,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) hop_limit: u8,
    /// The VRRP message.
    pub(super) payload: Box<[u8]>,
}

/// ARP packet or neighbour advertisement with a virtual address as the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) interface: InterfaceIndex,
    pub(super) address: IpAddr,
    pub(super) mac: [u8; 6],
}

/// Directory of the kernel settings of a family below /proc/sys/net.
pub(super) const fn settings_of(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}
