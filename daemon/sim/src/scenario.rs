//! Scenario: the stations, and the events that happen to them, with their times.
//!
//! A scenario is data: it can be stored in a file, replayed and shortened. Every number has a meaning
//! independent of the other parts (an event of a missing host does nothing), so that a scenario without
//! one of its parts is still a scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vrrp_proto::params::{
    AddressOptions, Announcements, AntiReplay, Authentication, Effect, GroupParams, HmacMode,
    HmacParams, LvsSync, NodeParams, Peer, RouterParams, Track, TrackerKind, TrackerParams,
    Unicast, Verdict, VirtualMac,
};
use vrrp_proto::routing::{Network, NextHop, Route, RoutePlace, Rule, Selector, Table};
use vrrp_proto::wire::hmac::{Key, KeyId};
use vrrp_proto::{
    AdvertInterval, Family, InterfaceAddress, MacAddress, Password, Priority, Version, Vrid,
};

use crate::network::Station;

/// Number of networks.
pub const SEGMENTS: u8 = 2;

/// Greatest number of hosts.
pub const MAX_HOSTS: usize = 7;

/// Password of the routers that use one.
pub const PASSWORD: &[u8] = b"1111";

/// Initial state of a simulated cluster, and the events that follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Seed of the world's random generator: delays, losses, the order of wake-ups.
    pub seed: u64,
    /// Hosts that run the daemon's engine.
    pub hosts: Vec<HostSpec>,
    /// Routers of other makes.
    pub foreign: Vec<ForeignSpec>,
    /// Events, in order.
    pub steps: Vec<Step>,
}

/// Host that runs the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostSpec {
    /// Clock drift, in millionths; positive is too fast.
    pub drift: i32,
    /// Whether the kernel stores the protocol of an address, the daemon's mark (Linux 5.18).
    pub marks: bool,
    /// Whether the kernel promotes a secondary address when the primary is deleted (promote_secondaries
    /// of ip-sysctl).
    pub promotes: bool,
    /// Virtual IPv4 addresses that are the host's own, as (segment, number). The host may be their
    /// owner.
    pub owns: Vec<(u8, u8)>,
    /// Virtual IPv6 addresses that are the host's own.
    #[serde(default)]
    pub owns_ipv6: Vec<(u8, u8)>,
    /// Whether the order of the IPv6 addresses among such hosts is the reverse of the order of their
    /// IPv4 addresses. All such hosts have greater IPv6 addresses than the hosts without this flag.
    #[serde(default)]
    pub backwards: bool,
    /// Whether the host has a second own address in each family on every segment.
    #[serde(default, skip_serializing_if = "is_false")]
    pub second: bool,
    /// Initial configuration.
    pub config: Config,
}

/// Configuration of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Virtual routers, by name.
    pub routers: BTreeMap<String, RouterConfig>,
    /// Trackers, by name.
    pub trackers: BTreeMap<String, TrackerConfig>,
    /// Hold time and delays of trackers, by name. Trackers that are not listed have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub patience: BTreeMap<String, PatienceConfig>,
    /// Name of the router that the IPVS sync daemon follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronised: Option<String>,
    /// Sync groups, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GroupConfig>,
}

/// Sync group in the configuration of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupConfig {
    /// Members in order. A member is a router of this host with a priority below 255, and is in one
    /// group only.
    pub members: Vec<String>,
    /// Trackers of the group, with the same weights as those of a router.
    pub tracks: Vec<(String, i16)>,
}

/// Hold time and delays of a tracker, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatienceConfig {
    /// Least time between two changes of the verdict.
    pub hold: u32,
    /// Time that the tracked object has to be up before the verdict becomes up.
    pub up_delay: u32,
    /// Time that the tracked object has to be down before the verdict becomes down.
    pub down_delay: u32,
    /// Whether the tracker is down before its first result.
    pub doubts: bool,
}

/// Virtual router in the configuration of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouterConfig {
    /// Number of the network.
    pub segment: u8,
    /// VRID, 1 to 255.
    pub vrid: u8,
    /// Protocol version.
    pub version: Version,
    /// Configured priority, 1 to 255.
    pub priority: u8,
    /// Advertisement interval in hundredths of a second; whole seconds in version 2.
    pub interval: u16,
    /// Whether an interface without a link is a fault.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub track_interface: bool,
    /// Whether the router preempts a master of lower priority.
    pub preempt: bool,
    /// Whether a master accepts packets to virtual addresses that it does not own (Accept_Mode).
    #[serde(default = "yes")]
    pub accept: bool,
    /// Whether the router waits for one interval and the skew only after its start (expect master).
    pub expect_master: bool,
    /// Whether the router requires the password; version 2 only.
    pub password: bool,
    /// Address families: each number in `addresses` stands for one address of each family.
    #[serde(default)]
    pub families: Families,
    /// Numbers of the virtual addresses.
    pub addresses: Vec<u8>,
    /// Virtual addresses that the router holds and does not advertise.
    #[serde(default)]
    pub unadvertised: Vec<(Family, u8)>,
    /// Trackers of the router with their weights. With weight 0 a tracker that is down causes a fault.
    pub tracks: Vec<(String, i16)>,
    /// Numbers of the routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<u8>,
    /// Numbers of the rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<u8>,
    /// Preempt delay, in milliseconds.
    #[serde(default)]
    pub preempt_delay: u32,
    /// Startup delay, in milliseconds.
    #[serde(default)]
    pub startup_delay: u32,
    /// Whether advertisements that the host drops withhold a take-over.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub trust_wire: bool,
    /// Announcement settings.
    #[serde(default)]
    pub announce: AnnounceConfig,
    /// Hardware address of the virtual addresses.
    #[serde(default, skip_serializing_if = "Behind::is_own")]
    pub behind: Behind,
    /// Source address of the advertisements, if it is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Unicast peers, if the router does not use the multicast group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unicast: Option<UnicastConfig>,
    /// HMAC configuration. A router with one has no password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<HmacConfig>,
}

/// Hardware address of the virtual addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Behind {
    /// Hardware address of the interface.
    #[default]
    Own,
    /// Virtual MAC address, also for advertisements.
    Virtual,
    /// Virtual MAC address for the virtual addresses only; advertisements are sent from the interface's
    /// own.
    VirtualButAdverts,
}

impl Behind {
    /// Whether this is the hardware address of the interface.
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

/// Configured source address of a router, in one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Family of the address.
    pub family: Family,
    /// Address among those of the host in this family.
    pub place: Place,
}

/// Address of a host within a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// Primary address on the segment.
    First,
    /// Second address on the segment.
    Second,
    /// Primary address on the other segment.
    Elsewhere,
}

/// Unicast configuration of a router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnicastConfig {
    /// Peers. The station itself may be among them.
    pub peers: Vec<PeerConfig>,
    /// Hop limit of sent packets, 1 to 255.
    pub ttl: u8,
    /// Lowest accepted hop limit, 1 to 255.
    pub min_ttl: u8,
}

/// Unicast peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerConfig {
    /// Number of the station.
    pub station: u8,
    /// Address of the station, if it is not the primary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Whether the peer is configured by host name.
    pub named: bool,
}

/// HMAC configuration. A key number stands for the same key on all hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HmacConfig {
    /// Number of the key that signs, 1 to 255.
    pub active: u8,
    /// Numbers of the other accepted keys.
    pub others: Vec<u8>,
    /// HMAC mode: whether the router signs, and whether it requires a signature.
    pub mode: HmacMode,
    /// Time window of the replay protection in seconds, 1 to 300, or 0 for the order of the numbers
    /// alone.
    pub window: u16,
}

impl HmacConfig {
    /// Whether the key with this number is accepted.
    pub fn accepts(&self, key: u8) -> bool {
        self.active == key || self.others.contains(&key)
    }

    fn params(&self) -> HmacParams {
        HmacParams {
            active: key(self.active),
            others: self.others.iter().map(|number| key(*number)).collect(),
            mode: self.mode,
            anti_replay: match self.window {
                0 => AntiReplay::Monotonic,
                seconds => AntiReplay::Time {
                    window: Duration::from_secs(seconds.into()),
                },
            },
        }
    }
}

/// Returns the key of a number. Number 0 stands for no key and gives the key of number 1.
pub fn key(number: u8) -> Key {
    let id = KeyId::new(number.max(1)).unwrap_or_else(|| unreachable!("1 to 255"));
    Key::new(id, &[number; 32]).unwrap_or_else(|| unreachable!("32 bytes are enough"))
}

/// Announcement settings of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnnounceConfig {
    /// Number of announcements per burst.
    pub burst: u8,
    /// Delay of the second announcement after the transition to master, in milliseconds; 0 disables it.
    pub delay: u32,
    /// Period of repeated announcements, in milliseconds; 0 disables them.
    pub refresh: u32,
    /// Whether the master announces its addresses after an advertisement of lower priority.
    pub on_lower_priority: bool,
}

impl Default for AnnounceConfig {
    fn default() -> Self {
        Self {
            burst: 1,
            delay: 1_000,
            refresh: 0,
            on_lower_priority: true,
        }
    }
}

/// Address families of a router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Families {
    /// IPv4 only.
    #[default]
    Ipv4,
    /// IPv6 only; not in version 2.
    Ipv6,
    /// IPv4 and IPv6.
    Both,
}

impl Families {
    /// Iterates over the families, IPv4 first.
    pub fn each(self) -> impl Iterator<Item = Family> + Clone {
        Family::ALL
            .into_iter()
            .filter(move |family| self.has(*family))
    }

    /// Whether the set contains a family.
    pub const fn has(self, family: Family) -> bool {
        match family {
            Family::V4 => matches!(self, Self::Ipv4 | Self::Both),
            Family::V6 => matches!(self, Self::Ipv6 | Self::Both),
        }
    }
}

/// Tracker in the configuration of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum TrackerConfig {
    /// Tracker with external probe results.
    Probe {
        /// Consecutive good results before the tracker is up.
        rise: u32,
        /// Consecutive bad results before the tracker is down.
        fall: u32,
    },
    /// Tracker of the interface on a segment.
    Interface {
        /// Number of the segment.
        segment: u8,
    },
}

/// Router of another make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForeignSpec {
    /// Behaviour.
    pub make: Make,
    /// Last octet of its address.
    pub host: u8,
    /// Configuration, with one family and without trackers.
    pub config: RouterConfig,
}

/// Behaviour of a foreign router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Make {
    /// Strictly as in RFC 9568, or as in RFC 3768 for version 2.
    Rfc,
    /// As keepalived with its defaults: answers a lower priority in version 2 too, and restarts its
    /// advertisement timer whenever it rejects an advertisement of its virtual router.
    Keepalived,
}

/// Event of a scenario, with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Time since the previous step, in microseconds.
    pub after: u64,
    /// Event.
    pub action: Action,
}

/// Event that a scenario can contain. `host`, `from`, `to` and the bits of `side` are station numbers
/// in the order of the scenario: hosts, then foreign routers. `segment` is a network, `number` one of
/// its virtual addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the documentation of the enum or of the variant describes the fields"
)]
pub enum Action {
    /// Sets the packet loss of the network, in percent.
    Lose { segment: u8, percent: u8 },
    /// Sets the longest delay of a packet, in microseconds; packets may overtake each other.
    Delay { segment: u8, micros: u32 },
    /// Sets the share of duplicated packets, in percent.
    Duplicate { segment: u8, percent: u8 },
    /// Partitions the network: stations with a set bit reach only each other, and so do the other
    /// stations.
    Partition { segment: u8, side: u16 },
    /// Blocks the packets from one station to another, in this direction only.
    Mute { segment: u8, from: u8, to: u8 },
    /// Repairs the network: no partition, no loss, default delay.
    Heal { segment: u8 },
    /// Unplugs or plugs in the cable of a host.
    Cable {
        host: u8,
        segment: u8,
        plugged: bool,
    },
    /// Sets an interface up or down.
    Admin { host: u8, segment: u8, up: bool },
    /// Renames an interface, or restores its name.
    Rename { host: u8, segment: u8, back: bool },
    /// Deletes an interface, or creates it again with a new index.
    Exist { host: u8, segment: u8, exists: bool },
    /// Deletes a virtual address by hand.
    TakeVirtual {
        host: u8,
        segment: u8,
        number: u8,
        #[serde(default)]
        families: Families,
    },
    /// Adds a virtual address by hand, with its usual prefix length or, if `bare`, with that of a
    /// single host.
    PutVirtual {
        host: u8,
        segment: u8,
        number: u8,
        #[serde(default)]
        families: Families,
        #[serde(default)]
        bare: bool,
    },
    /// Deletes the route and the rule with this number by hand.
    TakeRouting { host: u8, number: u8 },
    /// Adds the route and the rule with this number by hand, with the daemon's mark. The route uses the
    /// interface on `segment`.
    PutRouting { host: u8, segment: u8, number: u8 },
    /// Deletes or restores the host's own address (in IPv6 the link-local one), or its second address.
    Own {
        host: u8,
        segment: u8,
        there: bool,
        #[serde(default)]
        families: Families,
        #[serde(default, skip_serializing_if = "is_false")]
        second: bool,
    },
    /// Changes the interface that the daemon creates for the virtual MAC address of a VRID, or creates
    /// an interface that conflicts with it.
    Meddle {
        host: u8,
        segment: u8,
        vrid: u8,
        family: Family,
        how: Meddling,
    },
    /// Changes the resolution of the host names of a station. Its peers resolve the names again.
    Name { station: u8, means: Meaning },
    /// Loses this number of kernel notifications to the daemon.
    LoseNews { host: u8, count: u8 },
    /// Flushes the nftables ruleset.
    Flush { host: u8 },
    /// Begins or ends to drop the packets of protocol 112 that arrive at a host, before its sockets.
    Firewall { host: u8, on: bool },
    /// Makes the kernel reject this number of requests of the daemon.
    Refuse { host: u8, count: u8 },
    /// Begins or ends to reject every address of the daemon, for a reason that lasts. The administrator
    /// reloads the configuration after the end.
    Forbid { host: u8, on: bool },
    /// Begins or ends to drop the advertisements that a host sends, in its own output. The administrator
    /// reloads the configuration at the end of the scenario.
    DropOutput { host: u8, on: bool },
    /// Kills the daemon. `vrrpd cleanup` runs `cleanup` milliseconds later, and the daemon starts
    /// `restart` milliseconds after that.
    Kill {
        host: u8,
        cleanup: u16,
        restart: u16,
    },
    /// Stops the daemon in an orderly way, or starts it.
    Run { host: u8, runs: bool },
    /// Freezes the process for this number of milliseconds.
    Freeze { host: u8, millis: u32 },
    /// Suspends the machine for this number of milliseconds.
    Suspend { host: u8, millis: u32 },
    /// Cuts the power of the host, or restores it and boots.
    Power { host: u8, on: bool },
    /// Delivers a probe result of a tracker.
    Probe { host: u8, tracker: u8, up: bool },
    /// Gives a host a standing command of the operator, for this number of milliseconds, or until it is
    /// ended if that is 0.
    Command { host: u8, order: Order, millis: u32 },
    /// Ends the standing command of this kind and router.
    EndCommand { host: u8, order: Order },
    /// Has the addresses of a router announced, or those of all routers.
    Announce { host: u8, router: Option<u8> },
    /// Reloads a host with another configuration.
    Reload { host: u8, config: Config },
    /// Switches a foreign router off, without an advertisement of priority 0, or on.
    Foreign { index: u8, on: bool },
    /// Sends messages that every router has to reject, one per millisecond.
    Junk {
        segment: u8,
        vrid: u8,
        count: u8,
        kinds: u16,
    },
    /// Sets the wall clock of a host this number of seconds ahead of the world's time, or behind it.
    Clock { host: u8, ahead: i16 },
    /// Replays advertisements that were sent on a network: `count` of them from a position on (0 for
    /// the first ever, 255 for the last). If `renamed`, some of them have the address of another
    /// station as their source.
    Repeat {
        segment: u8,
        from: u8,
        count: u8,
        renamed: bool,
    },
    /// Sends advertisements that are signed without the key, one per millisecond, each with one of the
    /// defects that the bits of `ways` select.
    Forge {
        segment: u8,
        vrid: u8,
        version: Version,
        count: u8,
        ways: u16,
    },
    /// Repairs everything: networks, machines, processes, interfaces, trackers, names, clocks.
    Mend,
}

/// Manual change of an interface with a virtual MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Meddling {
    /// Deletes it.
    Delete,
    /// Renames it.
    Rename,
    /// Sets it up.
    Up,
    /// Sets it down.
    Down,
    /// Changes its hardware address.
    Address,
    /// Creates another interface with its name and a different hardware address, if there is none with
    /// the name.
    TakeName,
    /// Creates another interface with its hardware address and sets that up, if the original is not up.
    TakeAddress,
}

/// Standing command of the operator. A router is the one with this number of the host's configuration,
/// by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "the documentation of the enum or of the variant describes the fields"
)]
pub enum Order {
    /// Leaves mastership of all routers to other hosts.
    Drain { last_resort: bool },
    /// Leaves mastership of a router to another host.
    StepDown { router: u8, last_resort: bool },
    /// Replaces the configured priority of a router.
    Priority { router: u8, priority: u8 },
}

/// Resolution of the host names of a station.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Meaning {
    /// The addresses of the station.
    #[default]
    Right,
    /// No addresses.
    Nothing,
    /// Addresses that no station has.
    Wrong,
}

impl RouterConfig {
    /// Advertisement interval.
    pub fn interval(&self) -> Duration {
        self.advert_interval().duration()
    }

    /// Advertisement interval in the type of the protocol crate.
    pub fn advert_interval(&self) -> AdvertInterval {
        let interval = match self.version {
            Version::V2 => u8::try_from(self.interval / 100)
                .ok()
                .and_then(AdvertInterval::from_seconds),
            Version::V3 => AdvertInterval::from_centiseconds(self.interval),
        };
        interval.unwrap_or(AdvertInterval::DEFAULT)
    }

    /// VRID.
    pub fn id(&self) -> Vrid {
        Vrid::new(self.vrid.max(1)).unwrap_or_else(|| unreachable!("1 to 255"))
    }

    /// Configured priority.
    pub fn configured_priority(&self) -> Priority {
        Priority::new(self.priority).unwrap_or(Priority::DEFAULT)
    }

    /// Password that the router sends and requires.
    pub fn password(&self) -> Option<Password> {
        (self.version == Version::V2 && self.password && self.hmac.is_none())
            .then(|| Password::new(PASSWORD))
            .flatten()
    }

    /// Hop limit of sent packets.
    pub fn hop_limit(&self) -> u8 {
        self.unicast.as_ref().map_or(255, |unicast| unicast.ttl)
    }

    /// Destinations of the advertisements in a family and, with unicast, the accepted sources: the
    /// peers that are configured by address, and the addresses to which `names` resolves the other
    /// peers.
    pub fn receivers<'n>(
        &self,
        stations: &Stations,
        family: Family,
        names: impl Fn(&str) -> &'n [IpAddr],
    ) -> BTreeSet<IpAddr> {
        let Some(unicast) = &self.unicast else {
            return BTreeSet::from([vrrp_proto::wire::group(family)]);
        };
        let mut receivers = BTreeSet::new();
        for peer in &unicast.peers {
            if peer.named {
                let known = names(&peer.name(self.segment));
                receivers.extend(known.iter().filter(|ip| Family::of(**ip) == family));
            // A peer by address is reached in the families of the router, a peer by name in those of
            // its addresses.
            } else if self.speaks(family) {
                receivers.insert(peer.address(stations, self.segment, family));
            }
        }
        receivers
    }

    /// HMAC configuration, if the router signs its advertisements.
    pub fn signs(&self) -> Option<&HmacConfig> {
        let signs = |hmac: &&HmacConfig| match hmac.mode {
            HmacMode::Enforce | HmacMode::Permissive => true,
            HmacMode::ReceiveOnly => false,
        };
        self.hmac.as_ref().filter(signs)
    }

    /// Whether the router accepts packets to its addresses as master.
    pub const fn accepts(&self) -> bool {
        self.accept || self.priority == 255
    }

    /// All virtual addresses.
    pub fn virtual_addresses(&self) -> impl Iterator<Item = InterfaceAddress> + '_ {
        self.families
            .each()
            .flat_map(|family| self.addresses_of(family))
    }

    /// Virtual addresses of a family.
    pub fn addresses_of(&self, family: Family) -> impl Iterator<Item = InterfaceAddress> + '_ {
        self.numbers_of(family)
            .map(move |number| virtual_address(family, self.segment, number))
    }

    /// Advertised virtual addresses of a family.
    pub fn advertised(&self, family: Family) -> impl Iterator<Item = InterfaceAddress> + '_ {
        self.numbers_of(family)
            .filter(move |number| !self.unadvertised.contains(&(family, *number)))
            .map(move |number| virtual_address(family, self.segment, number))
    }

    /// Whether the router sends advertisements in a family. One that advertises no address has one family:
    /// that of its source, else that of its first address.
    pub fn speaks(&self, family: Family) -> bool {
        let advertises = |family| self.advertised(family).next().is_some();
        if Family::ALL.into_iter().any(advertises) {
            return advertises(family);
        }
        let of_source = self.source.map(|source| source.family);
        let of_addresses = || Some(self.virtual_addresses().next()?.family());
        family
            == match self.version {
                Version::V2 => Family::V4,
                Version::V3 => of_source.or_else(of_addresses).unwrap_or(Family::V4),
            }
    }

    /// Families in which the router sends advertisements.
    pub fn spoken(&self) -> impl Iterator<Item = Family> + '_ {
        Family::ALL
            .into_iter()
            .filter(|family| self.speaks(*family))
    }

    /// Whether the router is a virtual router of each family, with one common state.
    pub fn is_dual(&self) -> bool {
        self.spoken().count() == 2
    }

    fn numbers_of(&self, family: Family) -> impl Iterator<Item = u8> + '_ {
        let has = self.families.has(family);
        self.addresses.iter().copied().filter(move |_| has)
    }

    /// Interfaces with the virtual MAC addresses, if the router uses them.
    fn virtual_mac(&self) -> Option<VirtualMac> {
        let sends = self.behind == Behind::Virtual;
        (!self.behind.is_own()).then(|| virtual_mac(self.segment, self.id(), sends))
    }

    /// Name of the interface with the virtual MAC address of a family, if the router uses one.
    pub fn device(&self, family: Family) -> Option<Arc<str>> {
        let [ipv4, ipv6] = self.virtual_mac()?.devices;
        self.addresses_of(family).next()?;
        Some(match family {
            Family::V4 => ipv4,
            Family::V6 => ipv6,
        })
    }

    /// Virtual MAC address of a family, if the router uses one.
    pub fn mac(&self, family: Family) -> Option<MacAddress> {
        (!self.behind.is_own()).then(|| MacAddress::of_virtual_router(family, self.id()))
    }

    /// Preempt delay.
    pub fn preempt_delay(&self) -> Duration {
        Duration::from_millis(self.preempt_delay.into())
    }

    /// Startup delay.
    pub fn startup_delay(&self) -> Duration {
        Duration::from_millis(self.startup_delay.into())
    }

    /// Routes. The number of a route decides whether it has a device, a gateway and a source, and
    /// whether it uses the other segment. One without a gateway uses the interface of the virtual MAC
    /// address, if there is one.
    pub fn kernel_routes(&self) -> impl Iterator<Item = Route> + '_ {
        self.routes.iter().map(|number| {
            let segment = match number % 5 {
                4 => (self.segment + 1) % SEGMENTS,
                _ => self.segment,
            };
            let gateway = (number % 5 != 1).then(|| own_ipv4(segment, 254).address);
            let device = (number % 5 != 2).then(|| match self.device(Family::V4) {
                Some(device) if number % 5 == 1 => device,
                Some(_) | None => interface_name(segment).into(),
            });
            let mut sources = self.addresses_of(Family::V4);
            let source = sources.next().filter(|_| number % 5 == 3);
            let hop = NextHop::new(gateway, device);
            let route = hop.and_then(|hop| Route::new(route_place(*number), [hop]));
            let route = route.and_then(|route| match source {
                Some(source) => route.with_source(source.address),
                None => Ok(route),
            });
            route.unwrap_or_else(|error| unreachable!("{error}"))
        })
    }

    /// Rules.
    pub fn kernel_rules(&self) -> impl Iterator<Item = Rule> + '_ {
        self.rules.iter().map(|number| rule(*number))
    }

    /// Configured source address in a family, if there is one.
    pub fn source_of(&self, own: Station, stations: &Stations, family: Family) -> Option<IpAddr> {
        let source = self.source.filter(|source| source.family == family)?;
        Some(stations.address(own, self.segment, family, source.place))
    }

    fn params(&self, own: Station, stations: &Stations) -> RouterParams {
        let interface = interface_name(self.segment).into();
        let source = Family::ALL
            .into_iter()
            .find_map(|family| self.source_of(own, stations, family));
        let unadvertised = AddressOptions {
            advertise: false,
            ..AddressOptions::default()
        };
        let options: BTreeMap<IpAddr, AddressOptions> = self
            .unadvertised
            .iter()
            .filter(|(family, number)| {
                self.families.has(*family) && self.addresses.contains(number)
            })
            .map(|(family, number)| {
                let hidden = virtual_address(*family, self.segment, *number);
                (hidden.address, unadvertised.clone())
            })
            .collect();
        RouterParams {
            options: Arc::new(options),
            version: self.version,
            priority: self.configured_priority(),
            interval: self.advert_interval(),
            track_interface: self.track_interface,
            preempt: self.preempt,
            preempt_delay: self.preempt_delay(),
            accept: self.accept,
            expect_master: self.expect_master,
            startup_delay: self.startup_delay(),
            trust_wire: self.trust_wire,
            announce: Announcements {
                burst: self.announce.burst,
                delay: Duration::from_millis(self.announce.delay.into()),
                refresh: Duration::from_millis(self.announce.refresh.into()),
                on_lower_priority: self.announce.on_lower_priority,
                pace: 0,
            },
            authentication: match &self.hmac {
                Some(hmac) => Authentication::Hmac(hmac.params()),
                None => self.password().into(),
            },
            source,
            unicast: self
                .unicast
                .as_ref()
                .map(|unicast| self.unicast_params(unicast, stations, source)),
            tracks: tracks(&self.tracks),
            routes: self.kernel_routes().collect(),
            rules: self.kernel_rules().collect(),
            virtual_mac: self.virtual_mac(),
            ..RouterParams::new(interface, self.id(), self.virtual_addresses().collect())
        }
    }

    /// Returns the peers. A router with a configured source address does not list that address as a
    /// peer.
    fn unicast_params(
        &self,
        unicast: &UnicastConfig,
        stations: &Stations,
        source: Option<IpAddr>,
    ) -> Unicast {
        let mut peers = Vec::new();
        for peer in &unicast.peers {
            if peer.named {
                peers.push(Peer::Name(peer.name(self.segment).into()));
                continue;
            }
            let addresses = self
                .spoken()
                .map(|family| peer.address(stations, self.segment, family));
            let others = addresses.filter(|address| Some(*address) != source);
            peers.extend(others.map(Peer::Address));
        }
        Unicast {
            ttl: unicast.ttl,
            min_ttl: unicast.min_ttl,
            ..Unicast::new(peers)
        }
    }
}

impl PeerConfig {
    /// Host name of the peer.
    pub fn name(&self, segment: u8) -> String {
        match self.source {
            None => format!("station{}.net{segment}", self.station),
            Some(Source { family, place }) => {
                format!("{place:?}.{family:?}.station{}.net{segment}", self.station)
            }
        }
    }

    /// Address of the peer in a family.
    pub fn address(&self, stations: &Stations, segment: u8, family: Family) -> IpAddr {
        let place = match self.source {
            Some(source) if source.family == family => source.place,
            Some(_) | None => Place::First,
        };
        stations.address(self.station, segment, family, place)
    }

    /// Addresses to which the host name resolves.
    pub fn meaning(&self, stations: &Stations, segment: u8, means: Meaning) -> Vec<IpAddr> {
        let each = |of: &Self| {
            let address = |family| of.address(stations, segment, family);
            Family::ALL.into_iter().map(address).collect()
        };
        match means {
            Meaning::Right => each(self),
            Meaning::Nothing => Vec::new(),
            Meaning::Wrong => each(&Self {
                station: Station::MAX,
                ..*self
            }),
        }
    }
}

/// Addresses of the stations: the last byte in each family.
#[derive(Clone, Debug, Default)]
pub struct Stations(Vec<[u8; 2]>);

impl Stations {
    /// Returns the stations of a scenario: hosts, then foreign routers.
    pub fn of(scenario: &Scenario) -> Self {
        let hosts = (0..).zip(scenario.hosts.iter().take(MAX_HOSTS));
        let hosts = hosts.map(|(id, spec)| [host_octet(id), identifier(id, spec)]);
        let foreign = scenario.foreign.iter().map(|router| [router.host; 2]);
        Self(hosts.chain(foreign).collect())
    }

    /// Number of stations.
    pub fn count(&self) -> Station {
        Station::try_from(self.0.len()).unwrap_or(Station::MAX)
    }

    /// Address of a station on a segment. For a missing station it is an address that no station has.
    pub fn address(&self, of: Station, segment: u8, family: Family, place: Place) -> IpAddr {
        let known = self.0.get(usize::from(of));
        let end = known.map_or(NOBODY, |ends| ends[family as usize]);
        let (segment, second) = match place {
            Place::First => (segment, false),
            Place::Second => (segment, true),
            Place::Elsewhere => ((segment + 1) % SEGMENTS, false),
        };
        let address = match (family, second) {
            (Family::V4, false) => own_ipv4(segment, end),
            (Family::V6, false) => link_local(segment, end),
            (family, true) => second_address(family, segment, end),
        };
        address.address
    }
}

/// Last byte of the addresses that no station has.
const NOBODY: u8 = 98;

/// Last octet of a host's own IPv4 addresses.
pub(crate) const fn host_octet(id: Station) -> u8 {
    10 + id
}

/// Last byte of a host's link-local addresses.
pub(crate) const fn identifier(id: Station, spec: &HostSpec) -> u8 {
    if spec.backwards {
        u8::MAX - host_octet(id)
    } else {
        host_octet(id)
    }
}

/// Second address of a host on a segment, computed from the last byte of the first one. The IPv6 one is
/// global.
pub fn second_address(family: Family, segment: u8, end: u8) -> InterfaceAddress {
    match family {
        Family::V4 => ipv4_in_segment(segment, end.wrapping_add(40)),
        Family::V6 => InterfaceAddress {
            address: Ipv6Addr::new(0x2001, 0xdb8, 0, segment.into(), 0, 0, 1, end.into()).into(),
            prefix: 64,
        },
    }
}

impl Config {
    /// Configuration of the IPVS sync daemon, on the interface of the followed router.
    pub fn sync(&self) -> Option<Arc<LvsSync>> {
        let router = self.routers.get(self.synchronised.as_ref()?)?;
        let interface = interface_name(router.segment).into();
        Some(LvsSync::new(interface, router.vrid).into())
    }

    /// Converts the configuration to the parameters of the engine.
    pub fn params(&self, own: Station, stations: &Stations) -> NodeParams {
        NodeParams {
            routers: self
                .routers
                .iter()
                .map(|(name, router)| {
                    let params = RouterParams {
                        lvs: self
                            .sync()
                            .filter(|_| self.synchronised.as_ref() == Some(name)),
                        ..router.params(own, stations)
                    };
                    (name.as_str().into(), params)
                })
                .collect(),
            trackers: self
                .trackers
                .iter()
                .map(|(name, tracker)| {
                    let params = self.patience(name).of(tracker.params());
                    (name.as_str().into(), params)
                })
                .collect(),
            groups: self
                .groups
                .iter()
                .map(|(name, group)| (name.as_str().into(), group.params()))
                .collect(),
        }
    }

    /// Returns the configuration with the properties of each group copied to its members: the longest
    /// delays, the weights of all members, and the trackers of the group.
    pub fn united(&self) -> Self {
        let mut united = self.clone();
        for group in self.groups.values() {
            let members = || {
                let names = group.members.iter();
                names.filter_map(|name| self.routers.get(name))
            };
            let mut shared = group.tracks.clone();
            for member in members() {
                let weights = member.tracks.iter().filter(|(_, weight)| *weight != 0);
                shared.extend(weights.cloned());
            }
            let preempt_delay = members().map(|member| member.preempt_delay).max();
            let startup_delay = members().map(|member| member.startup_delay).max();
            for name in &group.members {
                let Some(member) = united.routers.get_mut(name) else {
                    continue;
                };
                member.preempt_delay = preempt_delay.unwrap_or_default();
                member.startup_delay = startup_delay.unwrap_or_default();
                member.tracks.extend(shared.iter().cloned());
                // Each tracker and weight counts once, even if several members follow it.
                let mut known = BTreeSet::new();
                member.tracks.retain(|track| known.insert(track.clone()));
            }
        }
        united
    }
}

impl GroupConfig {
    fn params(&self) -> GroupParams {
        GroupParams {
            members: self
                .members
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            tracks: tracks(&self.tracks),
        }
    }
}

fn tracks(tracks: &[(String, i16)]) -> Vec<Track> {
    let track = |(tracker, weight): &(String, i16)| Track {
        tracker: tracker.as_str().into(),
        effect: match weight {
            0 => Effect::Fault,
            weight => Effect::Weight(*weight),
        },
    };
    tracks.iter().map(track).collect()
}

impl Config {
    /// Hold time and delays of a tracker; zero if none are configured.
    pub(crate) fn patience(&self, tracker: &str) -> PatienceConfig {
        self.patience.get(tracker).copied().unwrap_or_default()
    }
}

impl PatienceConfig {
    /// Least time between two changes of the verdict.
    pub(crate) fn hold(self) -> Duration {
        Duration::from_millis(self.hold.into())
    }

    /// Delay before the verdict changes to up, or to down.
    pub(crate) fn delay(self, up: bool) -> Duration {
        let millis = if up { self.up_delay } else { self.down_delay };
        Duration::from_millis(millis.into())
    }

    fn of(self, params: TrackerParams) -> TrackerParams {
        TrackerParams {
            hold: self.hold(),
            up_delay: self.delay(true),
            down_delay: self.delay(false),
            initial: Verdict::of(!self.doubts),
            ..params
        }
    }
}

impl TrackerConfig {
    fn params(self) -> TrackerParams {
        match self {
            Self::Probe { rise, fall } => TrackerParams {
                rise,
                fall,
                ..TrackerParams::new(TrackerKind::Probe {
                    definition: "".into(),
                })
            },
            Self::Interface { segment } => TrackerParams::new(TrackerKind::Interface {
                name: interface_name(segment).into(),
            }),
        }
    }
}

/// Name of the interface that every host has on a segment.
pub fn interface_name(segment: u8) -> String {
    format!("eth{segment}")
}

/// Interfaces with the virtual MAC addresses of a VRID on a segment.
pub fn virtual_mac(segment: u8, vrid: Vrid, sends: bool) -> VirtualMac {
    VirtualMac::new(&interface_name(segment), vrid, sends)
}

/// Hardware address of a station on a segment.
pub const fn physical_mac(segment: u8, station: u8) -> MacAddress {
    MacAddress([2, 0, 0, 0, segment, station])
}

/// IPv4 address of a station on a segment, the source of its packets.
pub fn own_ipv4(segment: u8, host: u8) -> InterfaceAddress {
    ipv4_in_segment(segment, host)
}

/// Link-local address of a station on a segment, the source of its IPv6 packets.
pub fn link_local(segment: u8, host: u8) -> InterfaceAddress {
    link_local_in_segment(segment, host.into())
}

/// Virtual address of a segment. Every sixth IPv6 address is link-local, so that some lists contain
/// one, as RFC 9568 section 5.2.9 requires for the first address, and some do not.
pub fn virtual_address(family: Family, segment: u8, number: u8) -> InterfaceAddress {
    let place = 100_u8.saturating_add(number);
    match family {
        Family::V4 => ipv4_in_segment(segment, place),
        Family::V6 if number.is_multiple_of(6) => {
            link_local_in_segment(segment, u16::from(place) << 8)
        }
        Family::V6 => InterfaceAddress {
            address: Ipv6Addr::new(0x2001, 0xdb8, 0, segment.into(), 0, 0, 0, place.into()).into(),
            prefix: 64,
        },
    }
}

/// Default for stories without this field.
const fn yes() -> bool {
    true
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
const fn is_true(value: &bool) -> bool {
    *value
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Destination of the route with this number.
pub fn route_place(number: u8) -> RoutePlace {
    RoutePlace::new(network(number), Table::MAIN, None)
}

/// Rule with this number.
pub fn rule(number: u8) -> Rule {
    let selector = Selector {
        from: Some(network(number)),
        ..Selector::default()
    };
    let rule = Rule::new(Family::V4, selector, Table::MAIN, Rule::DEFAULT_PRIORITY);
    rule.unwrap_or_else(|error| unreachable!("{error}"))
}

fn network(number: u8) -> Network {
    let address = Ipv4Addr::new(10, 100_u8.saturating_add(number), 0, 0);
    Network::new(address.into(), 16).unwrap_or_else(|error| unreachable!("{error}"))
}

fn ipv4_in_segment(segment: u8, host: u8) -> InterfaceAddress {
    InterfaceAddress {
        address: Ipv4Addr::new(10, 0, segment, host).into(),
        prefix: 24,
    }
}

fn link_local_in_segment(segment: u8, host: u16) -> InterfaceAddress {
    InterfaceAddress {
        address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, segment.into(), host).into(),
        prefix: 64,
    }
}
