//! What the engine is told to run: the checked configuration in the protocol's own types.

mod group;
mod lvs;
mod unicast;

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::routing::{Route, Rule};
use crate::types::{
    AddressLabel, AdvertInterval, Family, InterfaceAddress, MacAddress, Password, Priority,
    Version, Vrid,
};
use crate::wire::hmac::{Key, KeyId};

pub use self::group::GroupParams;
pub use self::lvs::LvsSync;
pub use self::unicast::{Peer, Unicast};

/// Everything that one node runs. Routers, trackers and groups are known by name: a reload compares
/// by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeParams {
    /// The virtual routers.
    pub routers: BTreeMap<Arc<str>, RouterParams>,
    /// The trackers that they follow.
    pub trackers: BTreeMap<Arc<str>, TrackerParams>,
    /// The sync groups of routers that move together.
    pub groups: BTreeMap<Arc<str>, GroupParams>,
}

impl NodeParams {
    /// Whether packets to the addresses of any router are not to be accepted.
    pub fn refuses(&self) -> bool {
        self.routers.values().any(|router| !router.accepts())
    }

    /// The names of peers whose addresses are to be found out, each once.
    pub fn peer_names(&self) -> BTreeSet<Arc<str>> {
        let unicast = self.routers.values().filter_map(|r| r.unicast.as_ref());
        unicast.flat_map(Unicast::names).cloned().collect()
    }
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
    /// How long it leaves a master of lower priority in peace before it takes over from it; 0 to
    /// 1000 s. It delays no succession after a silence, and nothing of the owner's.
    pub preempt_delay: Duration,
    /// Accept_Mode: whether it accepts packets to its addresses as master although it does not own
    /// them.
    pub accept: bool,
    /// `state: "master"` in the configuration: the first listening lasts one interval and the skew
    /// instead of three.
    pub expect_master: bool,
    /// How long it listens at least after its start before it takes over; 0 to 1000 s. The owner
    /// does not listen at all.
    pub startup_delay: Duration,
    /// How it and the others prove who they are.
    pub authentication: Authentication,
    /// The virtual addresses, in the order in which they are advertised. Those of each family are
    /// a virtual router of their own to the protocol, and both move together.
    pub addresses: Arc<[InterfaceAddress]>,
    /// What is special about some of them.
    pub options: Arc<BTreeMap<IpAddr, AddressOptions>>,
    /// The address to send from in its family, which the host has on any interface; else the
    /// primary IPv4 address or the link-local IPv6 address of the interface.
    pub source: Option<IpAddr>,
    /// With whom it speaks instead of with the group.
    pub unicast: Option<Unicast>,
    /// The virtual MAC address, when its addresses are to be behind that (RFC 9568 section 7.3) and
    /// not behind the interface's own.
    pub virtual_mac: Option<VirtualMac>,
    /// How it tells the neighbours where the addresses are.
    pub announce: Announcements,
    /// The trackers that it follows.
    pub tracks: Vec<Track>,
    /// The routes that the kernel holds while it is master. No two of a node are in one place.
    pub routes: Vec<Route>,
    /// The rules that the kernel holds while it is master. No two of a node are the same.
    pub rules: Vec<Rule>,
    /// How connections of IPVS are synchronised between its hosts. No two routers of a node have it.
    pub lvs: Option<Arc<LvsSync>>,
}

/// How a router uses its virtual MAC addresses. Each is that of an interface of its own, a macvlan
/// on top of the router's, which carries the addresses of its family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualMac {
    /// The names of the interfaces for IPv4 and IPv6, 1 to 15 bytes, used by no other router.
    pub devices: [Arc<str>; 2],
    /// Whether advertisements are sent from it, as the RFC demands, and not from the interface's.
    pub sends: bool,
}

impl VirtualMac {
    /// What the names of the interfaces begin with, for IPv4 and IPv6.
    pub const PREFIXES: [&'static str; 2] = ["vrrp4.", "vrrp6."];

    /// The virtual MAC addresses of the router `vrid` on `interface`, with names for their
    /// interfaces: `vrrp4.51.eth1`, or with a number that stands for an interface whose name is too
    /// long for that.
    pub fn new(interface: &str, vrid: Vrid, sends: bool) -> Self {
        let name = |prefix: &str| {
            let plain = format!("{prefix}{vrid}.{interface}");
            if plain.len() <= MAX_NAME {
                plain.into()
            } else {
                format!("{prefix}{vrid}.{:05x}", number_of(interface)).into()
            }
        };
        Self {
            devices: Self::PREFIXES.map(name),
            sends,
        }
    }
}

/// The longest name of an interface, in bytes (IFNAMSIZ of linux/if.h without the NUL).
const MAX_NAME: usize = 15;

/// A number of 20 bits for a text, which is rarely another one's (FNV-1a, folded).
fn number_of(text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash >> 20) ^ (hash & 0xf_ffff)
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
    /// A router of version 3 with the protocol's defaults (RFC 9568 section 6.1), but for
    /// Accept_Mode, which is True here as with every router on Linux: what is to be different is said
    /// by struct update.
    pub fn new(interface: Arc<str>, vrid: Vrid, addresses: Arc<[InterfaceAddress]>) -> Self {
        Self {
            interface,
            vrid,
            version: Version::V3,
            priority: Priority::DEFAULT,
            interval: AdvertInterval::DEFAULT,
            preempt: true,
            preempt_delay: Duration::ZERO,
            accept: true,
            expect_master: false,
            startup_delay: Duration::ZERO,
            authentication: Authentication::None,
            addresses,
            options: Arc::new(BTreeMap::new()),
            source: None,
            unicast: None,
            virtual_mac: None,
            announce: Announcements::DEFAULT,
            tracks: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            lvs: None,
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
        // The kernel tells neighbours where an address is by the interface that has it.
        // RFC 9568 8.1.2 MUST: answer ARP requests with the virtual router MAC address
        // RFC 9568 8.2.2 MUST: answer solicitations with the virtual router MAC address
        // RFC 9568 8.2.2 MUST NOT: answer solicitations with the physical MAC address
        // RFC 9568 8.2.2 SHOULD NOT: send neighbour discovery of the physical MAC address for an owned address
        self.options
            .get(&address)
            .and_then(|options| options.device.as_ref())
            .or_else(|| self.virtual_device(Family::of(address)))
            .unwrap_or(&self.interface)
    }

    /// The name of the interface with the virtual MAC address of a family.
    pub fn virtual_device(&self, family: Family) -> Option<&Arc<str>> {
        let virtual_mac = self.virtual_mac.as_ref()?;
        Some(&virtual_mac.devices[family as usize])
    }

    /// The hardware address that advertisements are sent from, when that is not the interface's: by
    /// unicast it always is, because the kernel has to find out where the peers are.
    pub fn sending_mac(&self, family: Family) -> Option<MacAddress> {
        let sends = self
            .virtual_mac
            .as_ref()
            .is_some_and(|virtual_mac| virtual_mac.sends);
        (sends && self.unicast.is_none()).then(|| MacAddress::of_virtual_router(family, self.vrid))
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

    /// Whether packets to its addresses are accepted: by their owner always.
    pub const fn accepts(&self) -> bool {
        self.accept || self.priority.is_owner()
    }
}

/// How a master tells the neighbours where its addresses are: by gratuitous ARP, which nobody
/// acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcements {
    /// How many times each announcement is sent; 1 to 100.
    pub burst: u8,
    /// How long after it became master the addresses are announced a second time, for neighbours
    /// that the first announcement did not reach; up to 1000 s, zero for not at all.
    pub delay: Duration,
    /// How often they are announced as long as it is master; 1 s to a day, zero for never.
    pub refresh: Duration,
    /// Whether they are announced after an advertisement of lower precedence, whose sender may have
    /// misled the neighbours.
    pub on_lower_priority: bool,
    /// How many announcements leave in a second, for switches and neighbours that cannot bear more;
    /// 1 to 1,000,000, or 0 for as fast as possible.
    pub pace: u32,
}

impl Announcements {
    /// At once and once more a second later.
    pub const DEFAULT: Self = Self {
        burst: 1,
        delay: Duration::from_secs(1),
        refresh: Duration::ZERO,
        on_lower_priority: true,
        pace: 0,
    };
}

/// How the routers of one virtual router prove to each other who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all: who is on the network is believed.
    #[default]
    None,
    /// By a password in clear, version 2 only (RFC 2338 section 5.3.6).
    Pass(Password),
    /// By an HMAC of each advertisement ([`wire::hmac`](crate::wire::hmac)).
    Hmac(HmacParams),
}

/// Authentication by HMAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacParams {
    /// The key that it signs with.
    pub active: Key,
    /// The other keys that it accepts: those of hosts that sign with their next or their last one.
    pub others: Vec<Key>,
    /// Who has to sign.
    pub mode: HmacMode,
    /// How an advertisement that was sent before is told.
    pub anti_replay: AntiReplay,
}

impl HmacParams {
    /// All keys that it accepts, the active one first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        core::iter::once(&self.active).chain(&self.others)
    }

    /// The key of that number.
    pub fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys().find(|key| key.id() == id)
    }
}

/// Who has to sign. A wrong HMAC is dropped in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HmacMode {
    /// Everybody.
    #[default]
    Enforce,
    /// This router signs; of others an advertisement without HMAC counts too.
    Permissive,
    /// Nobody: this router does not sign, so that others come to know the keys before.
    ReceiveOnly,
}

impl HmacMode {
    /// Whether this router signs what it sends.
    pub const fn signs(self) -> bool {
        match self {
            Self::Enforce | Self::Permissive => true,
            Self::ReceiveOnly => false,
        }
    }
}

/// How an advertisement that was sent before is told from one that was sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AntiReplay {
    /// By the wall clocks, which differ by no more than this between the hosts, and by order within
    /// that. Whole seconds, 1 to 300.
    Time {
        /// How far the time of an advertisement may be from the present, either way.
        window: Duration,
    },
    /// By order alone: the wall clock of each host never goes back, and need not be right.
    Monotonic,
}

impl From<Option<Password>> for Authentication {
    fn from(password: Option<Password>) -> Self {
        password.map_or(Self::None, Self::Pass)
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
    /// it is up; of a tracker that says a number that many times the weight, and less than -253 means
    /// fault. Never 0; -253 to 253. The sum stays within 1 to 254.
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
    /// For how long it has to be well before it is up.
    pub up_delay: Duration,
    /// For how long it has to be anything but well before it is down.
    pub down_delay: Duration,
    /// The least time between two changes of the verdict. What is still so when it ends counts then.
    pub hold: Duration,
    /// What is assumed before the first result. `rise`, `fall` and `hold` begin from it, the delays
    /// do not.
    pub initial: Verdict,
}

impl TrackerParams {
    /// A tracker whose verdict is that of its last result, and up before the first: what has not been
    /// looked at is no reason to refuse it.
    pub const fn new(kind: TrackerKind) -> Self {
        Self {
            kind,
            rise: 1,
            fall: 1,
            up_delay: Duration::ZERO,
            down_delay: Duration::ZERO,
            hold: Duration::ZERO,
            initial: Verdict::UP,
        }
    }
}

/// How a tracked thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is well.
    pub up: bool,
    /// The number that it says, where it says one. Then it is that which counts: it is multiplied by
    /// the weight of whoever follows, and without a weight all but 0 means fault.
    pub value: Option<i64>,
}

impl Verdict {
    /// Well.
    pub const UP: Self = Self::of(true);
    /// Not well.
    pub const DOWN: Self = Self::of(false);

    /// Of a thing that says no number.
    pub const fn of(up: bool) -> Self {
        Self { up, value: None }
    }

    /// Of a thing that says a number, which it could not if it were not well.
    pub const fn saying(value: i64) -> Self {
        Self {
            up: true,
            value: Some(value),
        }
    }
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

    #[test]
    fn the_interfaces_of_virtual_mac_addresses_have_names_that_the_kernel_takes() {
        let names = |interface: &str, vrid| {
            VirtualMac::new(interface, Vrid::new(vrid).unwrap(), true).devices
        };
        assert_eq!(
            names("ens33", 51).map(|n| n.to_string()),
            ["vrrp4.51.ens33", "vrrp6.51.ens33"]
        );
        let [a, b] = ["enp3s0f0np0.100", "enp3s0f0np0.200"].map(|name| names(name, 255));
        assert_ne!(a, b);
        assert!(
            a.iter().chain(&b).all(|name| name.len() == 15),
            "{a:?} {b:?}"
        );
    }
}
