//! Parameters of the engine: the checked configuration in the protocol's own types.

mod changes;
mod group;
mod identity;
mod lvs;
mod unicast;

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::routing::{Route, Rule};
use crate::types::{
    AddressLabel, AdvertInterval, Family, InterfaceAddress, MacAddress, Password, Priority,
    Version, Vrid,
};
use crate::wire::hmac::{Key, KeyId};

pub use self::changes::changes;
pub use self::group::GroupParams;
pub(crate) use self::identity::Identity;
pub use self::identity::Renames;
pub use self::lvs::{LvsRole, LvsSync};
pub use self::unicast::{Peer, Unicast};

/// Parameters of one node. The keys are names; a reload compares routers, trackers and groups by
/// name, and finds renamed routers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeParams {
    /// The virtual routers.
    pub routers: BTreeMap<Arc<str>, RouterParams>,
    /// The trackers.
    pub trackers: BTreeMap<Arc<str>, TrackerParams>,
    /// The sync groups: routers that change their state together.
    pub groups: BTreeMap<Arc<str>, GroupParams>,
}

impl NodeParams {
    /// Whether any router drops packets to its addresses (`acceptMode` is false).
    pub fn refuses(&self) -> bool {
        self.routers.values().any(|router| !router.accepts())
    }

    /// Returns the routers that have another name in `after`, where interface, VRID, version and a family are
    /// the same.
    pub fn renames(&self, after: &Self) -> Renames {
        Renames::between(&identities(&self.routers), &identities(&after.routers))
    }

    /// Peers that are configured by name, each once. Their addresses have to be resolved.
    pub fn peer_names(&self) -> BTreeSet<Arc<str>> {
        let unicast = self.routers.values().filter_map(|r| r.unicast.as_ref());
        unicast.flat_map(Unicast::names).cloned().collect()
    }
}

/// Identities of routers, by name.
pub(crate) fn identities(
    routers: &BTreeMap<Arc<str>, RouterParams>,
) -> BTreeMap<Arc<str>, Identity> {
    let routers = routers.iter();
    routers
        .map(|(name, params)| (Arc::clone(name), params.into()))
        .collect()
}

/// Parameters of one virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterParams {
    /// Name of the interface on which the router sends and receives, and which carries its
    /// addresses.
    pub interface: Arc<str>,
    /// VRID: identifier on that interface.
    pub vrid: Vrid,
    /// VRRP version that the router sends and accepts.
    pub version: Version,
    /// Configured priority; [`Priority::OWNER`] for the owner of the addresses.
    pub priority: Priority,
    /// Advertisement interval as master; in version 2 also the interval required of received
    /// advertisements.
    pub interval: AdvertInterval,
    /// Whether an interface that is down or without carrier is a fault. If not, the router then
    /// neither sends nor receives advertisements, and is master like one that is alone.
    pub track_interface: bool,
    /// Preempt_Mode: whether the router takes over from a master of lower priority.
    pub preempt: bool,
    /// Delay before the router preempts a master of lower priority; 0 to 1000 s. It does not delay
    /// a take-over after the master-down interval, nor any take-over by the owner.
    pub preempt_delay: Duration,
    /// Accept_Mode: whether a master that does not own its addresses accepts packets to them.
    pub accept: bool,
    /// `state: "master"` in the configuration: the first listening period is one interval and the
    /// skew instead of three intervals and the skew.
    pub expect_master: bool,
    /// Least time from the start to a take-over; 0 to 1000 s. Does not apply to the owner, which
    /// starts as master.
    pub startup_delay: Duration,
    /// Whether advertisements that arrive at the interface and are dropped by this host before its
    /// sockets withhold a take-over: [`Input::Witnessed`](crate::Input::Witnessed). Only a caller
    /// that [watches](crate::Engine::watched) the wire sets it.
    pub trust_wire: bool,
    /// Authentication of advertisements.
    pub authentication: Authentication,
    /// Virtual addresses, in the order in which they are advertised. To the protocol the addresses
    /// of each family are a virtual router of their own; both change their state together.
    pub addresses: Arc<[InterfaceAddress]>,
    /// Options of some of the addresses.
    pub options: Arc<BTreeMap<IpAddr, AddressOptions>>,
    /// Source address of advertisements of its family, which the host has on any interface. For the
    /// other family, or with `None`: the primary IPv4 address or the link-local IPv6 address of the
    /// interface.
    pub source: Option<IpAddr>,
    /// Unicast peers instead of the multicast group.
    pub unicast: Option<Unicast>,
    /// Virtual MAC address (RFC 9568 section 7.3), if the router uses one instead of the
    /// interface's own.
    pub virtual_mac: Option<VirtualMac>,
    /// Announcements of the addresses to the neighbours.
    pub announce: Announcements,
    /// Trackers of the router.
    pub tracks: Vec<Track>,
    /// Routes that the kernel holds while the router is master. Unique in a node by table,
    /// destination and metric.
    pub routes: Vec<Route>,
    /// Rules that the kernel holds while the router is master. Unique in a node.
    pub rules: Vec<Rule>,
    /// Synchronisation of IPVS connections. At most one router of a node has it.
    pub lvs: Option<Arc<LvsSync>>,
}

/// Virtual MAC addresses of a router, one per family. Each belongs to a macvlan on top of the
/// router's interface, which carries the addresses of its family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualMac {
    /// Names of the macvlans for IPv4 and IPv6, 1 to 15 bytes. No other router may use them.
    pub devices: [Arc<str>; 2],
    /// Whether advertisements are sent from the virtual MAC address, as the RFC requires, or from
    /// the interface's own.
    pub sends: bool,
}

impl VirtualMac {
    /// Prefixes of the names of the macvlans, for IPv4 and IPv6.
    pub const PREFIXES: [&'static str; 2] = ["vrrp4.", "vrrp6."];

    /// Virtual MAC addresses of the router `vrid` on `interface`. The names of the macvlans contain
    /// both, as in `vrrp4.51.eth1`; a number replaces an interface name that is too long.
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

/// Families in which a router sends and accepts advertisements: those of its `advertised` addresses. One
/// that advertises none has one family, the first of `hints` that its version has, else IPv4.
pub fn spoken_families(
    version: Version,
    advertised: impl Iterator<Item = Family>,
    mut hints: impl Iterator<Item = Family>,
) -> [bool; 2] {
    let mut spoken = [false; 2];
    for family in advertised {
        spoken[family as usize] = true;
    }
    if spoken == [false; 2] {
        let family = match version {
            Version::V2 => Family::V4,
            Version::V3 => hints.next().unwrap_or(Family::V4),
        };
        spoken[family as usize] = true;
    }
    spoken
}

/// Length limit of interface names, in bytes (IFNAMSIZ of linux/if.h without the NUL).
const MAX_NAME: usize = 15;

/// Hash of `text`, 20 bits (FNV-1a, folded).
fn number_of(text: &str) -> u32 {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash >> 20) ^ (hash & 0xf_ffff)
}

/// Options of a virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressOptions {
    /// Name of the interface that carries the address, if other than the router's.
    pub device: Option<Arc<str>>,
    /// Whether the address is listed in advertisements.
    pub advertise: bool,
    /// Attributes of the address in the kernel.
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

/// Attributes of an address in the kernel, beyond its prefix (rtnetlink(7), RTM_NEWADDR).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressForm {
    /// Label (IFA_LABEL), IPv4 only.
    pub label: Option<AddressLabel>,
    /// Scope (ifa_scope, RT_SCOPE_* of linux/rtnetlink.h); `None` is global.
    pub scope: Option<u8>,
    /// Broadcast address (IFA_BROADCAST), IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// Preferred lifetime in seconds (IFA_CACHEINFO): for how long the address is preferred as
    /// source of new connections; 0 is never. `None` is for ever, except that an IPv6 address with
    /// a prefix of 128 bits is never preferred.
    pub preferred_lifetime: Option<u32>,
    /// Whether the kernel adds no route to the network of the address (IFA_F_NOPREFIXROUTE).
    pub no_prefix_route: bool,
}

impl RouterParams {
    /// Whether both are configurations of one virtual router, and not of two under the same name:
    /// interface, VRID and version are the same.
    pub fn is_same_router(&self, other: &Self) -> bool {
        (&self.interface, self.vrid, self.version) == (&other.interface, other.vrid, other.version)
    }

    /// Router of version 3 with the defaults of RFC 9568 section 6.1, except for Accept_Mode, which
    /// is True here, as in every VRRP implementation on Linux. Use struct update for other values.
    pub fn new(interface: Arc<str>, vrid: Vrid, addresses: Arc<[InterfaceAddress]>) -> Self {
        Self {
            interface,
            vrid,
            version: Version::V3,
            priority: Priority::DEFAULT,
            interval: AdvertInterval::DEFAULT,
            track_interface: true,
            preempt: true,
            preempt_delay: Duration::ZERO,
            accept: true,
            expect_master: false,
            startup_delay: Duration::ZERO,
            trust_wire: false,
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

    /// Advertised addresses of a family, in their order.
    pub fn advertised(&self, family: Family) -> impl Iterator<Item = IpAddr> + '_ {
        self.addresses
            .iter()
            .filter(move |address| address.family() == family && self.advertises(address.address))
            .map(|address| address.address)
    }

    /// Whether the router sends and accepts advertisements of a family.
    pub fn speaks(&self, family: Family) -> bool {
        let of_addresses = || self.addresses.iter().map(InterfaceAddress::family);
        let advertised = Family::ALL
            .into_iter()
            .filter(|family| self.advertised(*family).next().is_some());
        let peers = self.unicast.iter().flat_map(Unicast::families);
        let hints = self.source.map(Family::of).into_iter().chain(peers);
        spoken_families(self.version, advertised, hints.chain(of_addresses()))[family as usize]
    }

    /// Whether the router advertises no address of its own: it has none, or leaves all of them out.
    pub fn advertises_none(&self) -> bool {
        !self
            .addresses
            .iter()
            .any(|address| self.advertises(address.address))
    }

    /// Name of the interface that carries an address.
    pub fn device(&self, address: IpAddr) -> &Arc<str> {
        // The kernel answers ARP and neighbour solicitations with the MAC address of that
        // interface.
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

    /// All addresses, each with the name of the interface that carries it.
    pub fn places(&self) -> impl Iterator<Item = (&Arc<str>, InterfaceAddress)> {
        let addresses = self.addresses.iter();
        addresses.map(|address| (self.device(address.address), *address))
    }

    /// Name of the macvlan with the virtual MAC address of a family.
    pub fn virtual_device(&self, family: Family) -> Option<&Arc<str>> {
        let virtual_mac = self.virtual_mac.as_ref()?;
        Some(&virtual_mac.devices[family as usize])
    }

    /// Source MAC address of advertisements, if other than the interface's. `None` with unicast,
    /// because the kernel resolves the MAC addresses of the peers and builds the frames.
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

    /// Whether the router has advertised addresses of both families. Then it is two virtual routers
    /// of the protocol that change their state together (RFC 9568 section 5.2.9).
    pub fn is_dual(&self) -> bool {
        Family::ALL.iter().all(|family| self.speaks(*family))
    }

    /// Longest time for which a master that leaves on purpose keeps its addresses: the longest skew time of
    /// a successor, and a margin.
    pub fn longest_hand_over(&self) -> Duration {
        /// Time for a loaded or virtual host to send its first advertisement.
        const MARGIN: Duration = Duration::from_millis(250);
        /// Skew time of version 2 at most, and of implementations that use the same for version 3.
        const LONGEST_SKEW: Duration = Duration::from_secs(1);
        let skew = match self.version {
            Version::V2 => LONGEST_SKEW,
            Version::V3 => self.interval.duration().max(LONGEST_SKEW),
        };
        skew + MARGIN
    }

    /// Whether packets to the virtual addresses are accepted. Always true for the owner.
    pub const fn accepts(&self) -> bool {
        self.accept || self.priority.is_owner()
    }
}

/// Announcements of a master's addresses to its neighbours: gratuitous ARP or unsolicited neighbour
/// advertisements, which are not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcements {
    /// Number of times that each announcement is sent; 1 to 100.
    pub burst: u8,
    /// Time from the transition to master to the second announcement, for neighbours that missed
    /// the first; up to 1000 s, zero for none.
    pub delay: Duration,
    /// Interval of repeated announcements while master; 1 s to one day, zero for none.
    pub refresh: Duration,
    /// Whether to announce after an advertisement of lower precedence, because its sender may have
    /// announced the addresses too.
    pub on_lower_priority: bool,
    /// Announcements per second, for switches and neighbours with a limit; 1 to 1,000,000, or 0 for
    /// no limit.
    pub pace: u32,
}

impl Announcements {
    /// At once, and a second time after one second.
    pub const DEFAULT: Self = Self {
        burst: 1,
        delay: Duration::from_secs(1),
        refresh: Duration::ZERO,
        on_lower_priority: true,
        pace: 0,
    };
}

/// Authentication of the advertisements of a virtual router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// No authentication: every host on the network can send valid advertisements.
    #[default]
    None,
    /// Password in clear text, version 2 only (RFC 2338 section 5.3.6).
    Pass(Password),
    /// HMAC of each advertisement ([`wire::hmac`](crate::wire::hmac)).
    Hmac(HmacParams),
}

/// Parameters of authentication by HMAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacParams {
    /// Key for signing.
    pub active: Key,
    /// Other keys that are accepted, during a key change: the next or the previous key of other
    /// hosts.
    pub others: Vec<Key>,
    /// Which routers have to sign.
    pub mode: HmacMode,
    /// Protection against replayed advertisements.
    pub anti_replay: AntiReplay,
}

impl HmacParams {
    /// All accepted keys, the active one first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        core::iter::once(&self.active).chain(&self.others)
    }

    /// The key with this id.
    pub fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys().find(|key| key.id() == id)
    }
}

/// Which routers have to sign. Advertisements with a wrong HMAC are dropped in every mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HmacMode {
    /// All routers sign.
    #[default]
    Enforce,
    /// This router signs; it also accepts advertisements without HMAC.
    Permissive,
    /// This router does not sign yet, so that the keys can be distributed first. It accepts
    /// advertisements with and without HMAC.
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

/// Criterion that tells a replayed advertisement from a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AntiReplay {
    /// Wall clock and order: the clocks of the hosts differ by at most the window, and within the
    /// window each sequence number is greater than the previous one. Whole seconds, 1 to 300. The
    /// advertisements of a sender that arrive without interruption prove that they are new by their
    /// order alone, so that a clock may be set.
    Time {
        /// Largest accepted difference between the time of an advertisement and the present, in
        /// either direction.
        window: Duration,
    },
    /// Order alone: the wall clock of each host never goes back, and need not be correct.
    Monotonic,
}

impl From<Option<Password>> for Authentication {
    fn from(password: Option<Password>) -> Self {
        password.map_or(Self::None, Self::Pass)
    }
}

/// Reference from a router to a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Name of the tracker.
    pub tracker: Arc<str>,
    /// Effect of the tracker's verdict.
    pub effect: Effect,
}

/// Effect of a tracker's verdict on a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The router is in fault while the tracker is down.
    Fault,
    /// Change of the priority. A negative weight is added while the tracker is down, a positive one
    /// while it is up. If the tracker reports a number, the number is multiplied by the weight, and
    /// a product below -253 is a fault. -253 to 253, never 0. The sum stays within 1 to 254.
    Weight(i16),
}

/// Parameters of a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerParams {
    /// Source of the results.
    pub kind: TrackerKind,
    /// Number of good results in a row that set the verdict to up. At least 1.
    pub rise: u32,
    /// Number of bad results in a row that set the verdict to down. At least 1.
    pub fall: u32,
    /// Time that the results have to be good before the verdict is up.
    pub up_delay: Duration,
    /// Time that the results have to be bad before the verdict is down.
    pub down_delay: Duration,
    /// Least time between two changes of the verdict. A change that still holds at its end takes
    /// effect then.
    pub hold: Duration,
    /// Verdict before the first result. `rise` and `fall` apply to the first change, the delays do not;
    /// `hold` begins with it.
    pub initial: Verdict,
}

impl TrackerParams {
    /// Tracker with the verdict of its last result, and up before the first result, so that a
    /// router does not wait for a check that has not run yet.
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

/// State of a tracked object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the object is up.
    pub up: bool,
    /// Reported number, if the object reports one. It is multiplied by the weight of each router
    /// that tracks it; without a weight every value but 0 is a fault.
    pub value: Option<i64>,
}

impl Verdict {
    /// Up, without a number.
    pub const UP: Self = Self::of(true);
    /// Down.
    pub const DOWN: Self = Self::of(false);

    /// Verdict on an object that reports no number.
    pub const fn of(up: bool) -> Self {
        Self { up, value: None }
    }

    /// Verdict on an object that reports a number, and is therefore up.
    pub const fn saying(value: i64) -> Self {
        Self {
            up: true,
            value: Some(value),
        }
    }
}

/// Source of a tracker's results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerKind {
    /// State of an interface, from [`Input::Link`](crate::Input::Link): up means administratively
    /// up and with a carrier.
    Interface {
        /// Name of the interface.
        name: Arc<str>,
    },
    /// A check outside the engine. Its results arrive as [`Input::Probe`](crate::Input::Probe).
    Probe {
        /// Text that identifies the check and changes with its definition: a reload keeps the
        /// verdict of a tracker with an unchanged definition.
        definition: Arc<str>,
    },
}

impl TrackerKind {
    /// Digest that identifies the check for a later process. The definition itself may contain a password.
    pub(crate) fn digest(&self) -> String {
        let text = match self {
            Self::Interface { name } => format!("interface {name}"),
            Self::Probe { definition } => format!("probe {definition}"),
        };
        let digest = Sha256::digest(text);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn router_with_addresses_of_both_families_is_dual() {
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
    fn macvlan_names_fit_the_kernels_length_limit() {
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
