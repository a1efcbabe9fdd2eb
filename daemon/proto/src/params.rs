//! What the engine is told to run: the checked configuration in the protocol's own types.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::{
    AddressLabel, AdvertInterval, Family, InterfaceAddress, Password, Priority, Version, Vrid,
};

/// Everything that one node runs. Routers and trackers are known by name: a reload compares by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeParams {
    /// The virtual routers.
    pub routers: BTreeMap<Arc<str>, RouterParams>,
    /// The trackers that they follow.
    pub trackers: BTreeMap<Arc<str>, TrackerParams>,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterParams {
    /// The name of the interface that it speaks on and that carries its addresses.
    pub interface: Arc<str>,
    /// Its identifier on that interface.
    pub vrid: Vrid,
    /// The version it speaks and accepts.
    pub version: Version,
    /// The configured priority; [`Priority::OWNER`] for the owner of the addresses.
    pub priority: Priority,
    /// The time between its advertisements as master, and in version 2 the one it demands.
    pub interval: AdvertInterval,
    /// Whether it takes over from a master of lower priority.
    pub preempt: bool,
    /// `state: "master"` in the configuration: the first listening lasts one interval and the skew
    /// instead of three.
    pub expect_master: bool,
    /// PASS authentication, version 2 only.
    pub password: Option<Password>,
    /// The virtual addresses, in the order in which they are advertised. Those of each family are
    /// a virtual router of their own to the protocol, and both move together.
    pub addresses: Arc<[InterfaceAddress]>,
    /// What is special about some of them.
    pub options: Arc<BTreeMap<IpAddr, AddressOptions>>,
    /// The address to send from in its family, which the host has on any interface; else the
    /// primary IPv4 address or the link-local IPv6 address of the interface.
    pub source: Option<IpAddr>,
    /// The trackers that it follows.
    pub tracks: Vec<Track>,
}

/// What is special about a virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressOptions {
    /// The name of the interface that carries it, when that is not the router's.
    pub device: Option<Arc<str>>,
    /// Whether it is listed in advertisements.
    pub advertise: bool,
    /// How the kernel is to hold it.
    pub form: AddressForm,
}

impl Default for AddressOptions {
    fn default() -> Self {
        Self {
            device: None,
            advertise: true,
            form: AddressForm::default(),
        }
    }
}

/// How the kernel is to hold an address, beyond its prefix (rtnetlink(7), RTM_NEWADDR).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressForm {
    /// Its label (IFA_LABEL), IPv4 only.
    pub label: Option<AddressLabel>,
    /// How far it is valid (ifa_scope, RT_SCOPE_* of linux/rtnetlink.h); else as far as any.
    pub scope: Option<u8>,
    /// Its broadcast address (IFA_BROADCAST), IPv4 only; else none.
    pub broadcast: Option<Ipv4Addr>,
    /// For how many seconds it is preferred as source of new connections (IFA_CACHEINFO), 0 for
    /// never; else for ever, and an IPv6 address of a prefix of 128 bits never.
    pub preferred_lifetime: Option<u32>,
}

impl RouterParams {
    /// A router of version 3 with the protocol's defaults (RFC 9568 section 6.1): what is to be
    /// different is said by struct update.
    pub fn new(interface: Arc<str>, vrid: Vrid, addresses: Arc<[InterfaceAddress]>) -> Self {
        Self {
            interface,
            vrid,
            version: Version::V3,
            priority: Priority::DEFAULT,
            interval: AdvertInterval::DEFAULT,
            preempt: true,
            expect_master: false,
            password: None,
            addresses,
            options: Arc::new(BTreeMap::new()),
            source: None,
            tracks: Vec::new(),
        }
    }

    /// The addresses of a family that are advertised, in their order.
    pub fn advertised(&self, family: Family) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses
            .iter()
            .filter(move |address| address.family() == family && self.advertises(address.address))
            .map(|address| address.address)
    }

    /// Whether advertisements of a family are sent and listened to.
    pub fn speaks(&self, family: Family) -> bool {
        self.advertised(family).next().is_some()
    }

    /// The name of the interface that carries an address.
    pub fn device(&self, address: IpAddr) -> &Arc<str> {
        self.options
            .get(&address)
            .and_then(|options| options.device.as_ref())
            .unwrap_or(&self.interface)
    }

    fn advertises(&self, address: IpAddr) -> bool {
        self.options
            .get(&address)
            .is_none_or(|options| options.advertise)
    }

    /// Whether both families are spoken: then it is run as two routers of the protocol that move
    /// together (RFC 9568 section 5.2.9).
    pub fn is_dual(&self) -> bool {
        Family::ALL.iter().all(|family| self.speaks(*family))
    }
}

/// One tracker as a router follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The tracker's name.
    pub tracker: Arc<str>,
    /// What its verdict does.
    pub effect: Effect,
}

/// What a tracker's verdict does to a router that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Down means that the router is in fault.
    Fault,
    /// A negative weight is added to the priority while the tracker is down, a positive one while
    /// it is up. Never 0; -253 to 253. The sum stays within 1 to 254.
    Weight(i16),
}

/// One thing that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerParams {
    /// Who finds out.
    pub kind: TrackerKind,
    /// How many good results in a row turn it up. At least 1.
    pub rise: u32,
    /// How many bad results in a row turn it down. At least 1.
    pub fall: u32,
}

/// Who finds out how a tracked thing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerKind {
    /// The engine itself, from the links it is told of: up means up and with a carrier.
    Interface {
        /// The interface's name.
        name: Arc<str>,
    },
    /// Somebody outside, who reports each result as [`Input::Probe`](crate::Input::Probe).
    Probe {
        /// What is probed and how, in words that change whenever the definition does: a reload
        /// keeps the verdict of a tracker whose definition stays.
        definition: Arc<str>,
        /// The time between two results, for the record in the snapshot.
        interval: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_is_dual_when_its_addresses_are_of_both_families() {
        for (texts, dual) in [
            (&["192.0.2.1/24", "192.0.2.2/24"][..], false),
            (&["fe80::1/64", "2001:db8::1/64"], false),
            (&["192.0.2.1/24", "2001:db8::1/64"], true),
            (&["fe80::1/64", "2001:db8::1/64", "192.0.2.1/24"], true),
            (&[], false),
        ] {
            let addresses = texts.iter().map(|text| text.parse().unwrap()).collect();
            let router = RouterParams::new("eth1".into(), Vrid::new(51).unwrap(), addresses);
            assert_eq!(router.is_dual(), dual, "{texts:?}");
        }
    }
}
