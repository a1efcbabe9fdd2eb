//! A scenario: who there is, and what happens to them and when.
//!
//! It is data: a file of it can be read, replayed, and made shorter. Every number in it means
//! something whatever the others are (a host that is not there has nothing happen to it), so that
//! leaving out a part leaves a scenario.

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
use crate::world::{MAX_HOSTS, SEGMENTS};

/// The password of those that have one.
pub const PASSWORD: &[u8] = b"1111";

/// A world and its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// What the world draws its chances from: delays, losses, who is woken first.
    pub seed: u64,
    /// The hosts with the real engine.
    pub hosts: Vec<HostSpec>,
    /// Routers of other makes.
    pub foreign: Vec<ForeignSpec>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// A host that runs the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostSpec {
    /// How many millionths its clock is too fast.
    pub drift: i32,
    /// Whether its kernel keeps the mark of an address (Linux 5.18).
    pub marks: bool,
    /// Whether its kernel makes a secondary address primary when that is deleted
    /// (promote_secondaries of ip-sysctl).
    pub promotes: bool,
    /// Virtual IPv4 addresses that are its own, as (segment, number): it may be their owner.
    pub owns: Vec<(u8, u8)>,
    /// The same of IPv6.
    #[serde(default)]
    pub owns_ipv6: Vec<(u8, u8)>,
    /// Whether the order of the IPv6 addresses among such hosts is the opposite of that of the IPv4
    /// addresses. All of them have greater IPv6 addresses than the others.
    #[serde(default)]
    pub backwards: bool,
    /// Whether it has a second address of its own in each family on every segment.
    #[serde(default, skip_serializing_if = "is_false")]
    pub second: bool,
    /// What it is configured to run at first.
    pub config: Config,
}

/// The configuration of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Its virtual routers, by name.
    pub routers: BTreeMap<String, RouterConfig>,
    /// Its trackers, by name.
    pub trackers: BTreeMap<String, TrackerConfig>,
    /// How slow some of them are to judge, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub patience: BTreeMap<String, PatienceConfig>,
    /// The name of the router that the sync thread of IPVS follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronised: Option<String>,
    /// Its sync groups, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GroupConfig>,
}

/// A sync group in the configuration of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupConfig {
    /// Its members in their order, each a router of the host that owns nothing, in one group at most.
    pub members: Vec<String>,
    /// The trackers that it follows, as those of a router.
    pub tracks: Vec<(String, i16)>,
}

/// How slow a tracker is to judge, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatienceConfig {
    /// The least time between two changes of its verdict.
    pub hold: u32,
    /// For how long it has to be well.
    pub up_delay: u32,
    /// For how long it must not be well.
    pub down_delay: u32,
    /// Whether it is down before anything is known of it.
    pub doubts: bool,
}

/// A virtual router in the configuration of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouterConfig {
    /// The network that it serves.
    pub segment: u8,
    /// Its identifier there, 1 to 255.
    pub vrid: u8,
    /// The version it speaks.
    pub version: Version,
    /// Its priority, 1 to 255.
    pub priority: u8,
    /// Hundredths of a second between its advertisements; whole seconds in version 2.
    pub interval: u16,
    /// Whether it takes over from a lower priority.
    pub preempt: bool,
    /// Whether it accepts packets to its addresses although it does not own them.
    #[serde(default = "accepts")]
    pub accept: bool,
    /// Whether it listens for a shorter time at first.
    pub expect_master: bool,
    /// Whether it demands the password, version 2 only.
    pub password: bool,
    /// The families of its virtual addresses: each number stands for one of each.
    #[serde(default)]
    pub families: Families,
    /// The numbers of its virtual addresses.
    pub addresses: Vec<u8>,
    /// Those of its virtual addresses that it holds and does not advertise.
    #[serde(default)]
    pub unadvertised: Vec<(Family, u8)>,
    /// The trackers that it follows, each with its weight, or 0 where down means fault.
    pub tracks: Vec<(String, i16)>,
    /// The numbers of its routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<u8>,
    /// The numbers of its rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<u8>,
    /// For how many milliseconds it leaves a master of lower priority in peace.
    #[serde(default)]
    pub preempt_delay: u32,
    /// For how many milliseconds it listens at least after its start.
    #[serde(default)]
    pub startup_delay: u32,
    /// How it announces its addresses.
    #[serde(default)]
    pub announce: AnnounceConfig,
    /// Which hardware address its addresses are behind.
    #[serde(default, skip_serializing_if = "Behind::is_own")]
    pub behind: Behind,
    /// Which of its host's addresses it sends from, where that is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// With whom it speaks instead of with the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unicast: Option<UnicastConfig>,
    /// How it signs, and what it demands of the others. It has no password then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<HmacConfig>,
}

/// A hardware address that virtual addresses can be behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Behind {
    /// That of the interface.
    #[default]
    Own,
    /// The virtual one, from which advertisements leave too.
    Virtual,
    /// The virtual one, while advertisements leave from the interface's own.
    VirtualButAdverts,
}

impl Behind {
    /// Whether it is the interface's.
    pub fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

/// An address of a host: in one family not the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// In which family.
    pub family: Family,
    /// Which one it is there.
    pub place: Place,
}

/// Which of the addresses that a host has in a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// The usual one on the segment.
    First,
    /// The second one on the segment.
    Second,
    /// The usual one on the other segment.
    Elsewhere,
}

/// With whom a router speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnicastConfig {
    /// The other stations. Its own may be among them.
    pub peers: Vec<PeerConfig>,
    /// The hop limit that it sends with, 1 to 255.
    pub ttl: u8,
    /// The least hop limit that it believes, 1 to 255.
    pub min_ttl: u8,
}

/// A station that a router speaks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerConfig {
    /// Which one.
    pub station: u8,
    /// Which of its addresses, where that is not the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Whether it is known by name.
    pub named: bool,
}

/// How a router signs. Keys of one number are the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HmacConfig {
    /// The number of the key that it signs with, 1 to 255.
    pub active: u8,
    /// The numbers of the other keys that it accepts.
    pub others: Vec<u8>,
    /// Who has to sign.
    pub mode: HmacMode,
    /// By how many seconds the clocks may differ, 1 to 300, or 0 when the order alone counts.
    pub window: u16,
}

impl HmacConfig {
    /// Whether it accepts the key of a number.
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

/// The key of a number, which is 0 for none.
pub fn key(number: u8) -> Key {
    let id = KeyId::new(number.max(1)).unwrap_or_else(|| unreachable!("1 to 255"));
    Key::new(id, &[number; 32]).unwrap_or_else(|| unreachable!("32 bytes are enough"))
}

/// How a master announces its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnnounceConfig {
    /// How many times at once.
    pub burst: u8,
    /// How many milliseconds after it became master a second time, or 0 for not at all.
    pub delay: u32,
    /// Every how many milliseconds, or 0 for never.
    pub refresh: u32,
    /// Whether because of a lower priority.
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

/// One family of addresses, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Families {
    /// IPv4 alone.
    #[default]
    Ipv4,
    /// IPv6 alone, which version 2 does not know.
    Ipv6,
    /// Both.
    Both,
}

impl Families {
    /// Each of them, IPv4 first.
    pub fn each(self) -> impl Iterator<Item = Family> + Clone {
        Family::ALL
            .into_iter()
            .filter(move |family| self.has(*family))
    }

    /// Whether a family is among them.
    pub const fn has(self, family: Family) -> bool {
        match family {
            Family::V4 => matches!(self, Self::Ipv4 | Self::Both),
            Family::V6 => matches!(self, Self::Ipv6 | Self::Both),
        }
    }
}

/// A tracker in the configuration of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum TrackerConfig {
    /// Something that is probed.
    Probe {
        /// Good results in a row that turn it up.
        rise: u32,
        /// Bad results in a row that turn it down.
        fall: u32,
    },
    /// The interface on a segment.
    Interface {
        /// The segment.
        segment: u8,
    },
}

/// A router that does not run our engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForeignSpec {
    /// How it behaves.
    pub make: Make,
    /// The last octet of its address.
    pub host: u8,
    /// What it runs, of one family. It follows no trackers.
    pub config: RouterConfig,
}

/// How a foreign router behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Make {
    /// To the letter of RFC 9568, and of RFC 3768 in version 2.
    Rfc,
    /// As keepalived does with its defaults: it answers a lower priority in version 2 too, and puts
    /// off its own advertisement whenever it rejects somebody's.
    Keepalived,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Microseconds since the step before.
    pub after: u64,
    /// What.
    pub action: Action,
}

/// What can happen. `host`, `from`, `to` and the bits of `side` number the stations as they stand in the scenario: hosts,
/// then foreign routers. `segment` is a network, `number` one of its virtual addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "what a field is stands in the text of its variant or above"
)]
pub enum Action {
    /// The network loses this part of the packets, in percent.
    Lose { segment: u8, percent: u8 },
    /// Packets take up to this many microseconds, and overtake each other.
    Delay { segment: u8, micros: u32 },
    /// The network delivers this part of the packets twice, in percent.
    Duplicate { segment: u8, percent: u8 },
    /// The network falls apart: those whose bit is set hear only each other, and so do the rest.
    Partition { segment: u8, side: u16 },
    /// What one says does not reach another, while the other way works.
    Mute { segment: u8, from: u8, to: u8 },
    /// The network is whole again, and as fast and reliable as at first.
    Heal { segment: u8 },
    /// Somebody pulls a host's cable, or plugs it in.
    Cable {
        host: u8,
        segment: u8,
        plugged: bool,
    },
    /// Somebody sets an interface up or down.
    Admin { host: u8, segment: u8, up: bool },
    /// An interface is renamed, or gets its own name back.
    Rename { host: u8, segment: u8, back: bool },
    /// An interface is deleted, or made again, with a new number.
    Exist { host: u8, segment: u8, exists: bool },
    /// Somebody deletes a virtual address.
    TakeVirtual {
        host: u8,
        segment: u8,
        number: u8,
        #[serde(default)]
        families: Families,
    },
    /// Somebody adds a virtual address, with its prefix or as that of a host alone.
    PutVirtual {
        host: u8,
        segment: u8,
        number: u8,
        #[serde(default)]
        families: Families,
        #[serde(default)]
        bare: bool,
    },
    /// Somebody deletes the route and the rule of that number.
    TakeRouting { host: u8, number: u8 },
    /// Somebody adds the route and the rule of that number, with the daemon's mark, of which the route
    /// leads over the interface on a segment.
    PutRouting { host: u8, segment: u8, number: u8 },
    /// Somebody deletes a host's own address (of IPv6 the link-local one) or its second one, or puts it
    /// back.
    Own {
        host: u8,
        segment: u8,
        there: bool,
        #[serde(default)]
        families: Families,
        #[serde(default, skip_serializing_if = "is_false")]
        second: bool,
    },
    /// Somebody does something to the interface of the name that the daemon gives to the one with the
    /// virtual MAC address of a VRID, or to another one because of it.
    Meddle {
        host: u8,
        segment: u8,
        vrid: u8,
        family: Family,
        how: Meddling,
    },
    /// The names of a station mean something else from now on, and its peers come to know.
    Name { station: u8, means: Meaning },
    /// What the kernel tells the daemon of its next changes is lost, this many of them.
    LoseNews { host: u8, count: u8 },
    /// Somebody flushes the rules of nf_tables.
    Flush { host: u8 },
    /// The kernel refuses the next requests of the daemon, this many of them.
    Refuse { host: u8, count: u8 },
    /// The daemon is killed. What it leaves is cleaned up, and it is started again, so many
    /// milliseconds later.
    Kill {
        host: u8,
        cleanup: u16,
        restart: u16,
    },
    /// The daemon is stopped in an orderly way, or started.
    Run { host: u8, runs: bool },
    /// The process stands still for so many milliseconds.
    Freeze { host: u8, millis: u32 },
    /// The whole machine is suspended for so many milliseconds.
    Suspend { host: u8, millis: u32 },
    /// The host loses its power, or gets it back and boots.
    Power { host: u8, on: bool },
    /// A probe of a tracker has a result.
    Probe { host: u8, tracker: u8, up: bool },
    /// A host is given another configuration.
    Reload { host: u8, config: Config },
    /// A foreign router is switched off without a word, or on.
    Foreign { index: u8, on: bool },
    /// Somebody sends what no router may believe, once a millisecond.
    Junk {
        segment: u8,
        vrid: u8,
        count: u8,
        kinds: u16,
    },
    /// A host's wall clock is set so many seconds ahead of the world's time, or behind.
    Clock { host: u8, ahead: i16 },
    /// Somebody sends again what was sent before on a network, so many advertisements from a place on
    /// (0 for the first that there was, 255 for the last); some of them in the name of another host.
    Repeat {
        segment: u8,
        from: u8,
        count: u8,
        renamed: bool,
    },
    /// Somebody without a key sends what only who has one may say, once a millisecond, in one of the
    /// ways whose bits are set.
    Forge {
        segment: u8,
        vrid: u8,
        version: Version,
        count: u8,
        ways: u16,
    },
    /// All is well again: networks, machines, processes, interfaces, trackers, names, clocks.
    Mend,
}

/// What somebody does about an interface with a virtual MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Meddling {
    /// It is deleted.
    Delete,
    /// It gets another name.
    Rename,
    /// It is set up.
    Up,
    /// It is set down.
    Down,
    /// It gets another hardware address.
    Address,
    /// Unless there is one, another interface of its name is made, with another hardware address.
    TakeName,
    /// Another interface with its hardware address is made and set up, if it is not up itself.
    TakeAddress,
}

/// What the names of a station mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Meaning {
    /// Its addresses.
    #[default]
    Right,
    /// Nothing: nobody has the name.
    Nothing,
    /// Addresses that nobody has.
    Wrong,
}

impl RouterConfig {
    /// The time between its advertisements.
    pub fn interval(&self) -> Duration {
        self.advert_interval().duration()
    }

    /// The same in the protocol's own type.
    pub fn advert_interval(&self) -> AdvertInterval {
        let interval = match self.version {
            Version::V2 => u8::try_from(self.interval / 100)
                .ok()
                .and_then(AdvertInterval::from_seconds),
            Version::V3 => AdvertInterval::from_centiseconds(self.interval),
        };
        interval.unwrap_or(AdvertInterval::DEFAULT)
    }

    /// Its identifier.
    pub fn id(&self) -> Vrid {
        Vrid::new(self.vrid.max(1)).unwrap_or_else(|| unreachable!("1 to 255"))
    }

    /// Its configured priority.
    pub fn configured_priority(&self) -> Priority {
        Priority::new(self.priority).unwrap_or(Priority::DEFAULT)
    }

    /// The password that it demands.
    pub fn password(&self) -> Option<Password> {
        (self.version == Version::V2 && self.password && self.hmac.is_none())
            .then(|| Password::new(PASSWORD))
            .flatten()
    }

    /// The hop limit that it sends with.
    pub fn hop_limit(&self) -> u8 {
        self.unicast.as_ref().map_or(255, |unicast| unicast.ttl)
    }

    /// Whom it sends to in a family and, unless that is a group, listens to: those of its peers that it
    /// knows by address, and by name when these mean what `names` says.
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
            } else if self.speaks(family) {
                receivers.insert(peer.address(stations, self.segment, family));
            }
        }
        receivers
    }

    /// Its HMAC, when it signs what it sends.
    pub fn signs(&self) -> Option<&HmacConfig> {
        self.hmac.as_ref().filter(|hmac| hmac.mode.signs())
    }

    /// Whether it accepts packets to its addresses as master.
    pub const fn accepts(&self) -> bool {
        self.accept || self.priority == 255
    }

    /// Its virtual addresses.
    pub fn virtual_addresses(&self) -> impl Iterator<Item = InterfaceAddress> + '_ {
        self.families
            .each()
            .flat_map(|family| self.addresses_of(family))
    }

    /// Its virtual addresses of a family.
    pub fn addresses_of(&self, family: Family) -> impl Iterator<Item = InterfaceAddress> + '_ {
        self.numbers_of(family)
            .map(move |number| virtual_address(family, self.segment, number))
    }

    /// Its virtual addresses of a family that it advertises.
    pub fn advertised(&self, family: Family) -> impl Iterator<Item = InterfaceAddress> + '_ {
        self.numbers_of(family)
            .filter(move |number| !self.unadvertised.contains(&(family, *number)))
            .map(move |number| virtual_address(family, self.segment, number))
    }

    /// Whether it speaks to the others of a family.
    pub fn speaks(&self, family: Family) -> bool {
        self.advertised(family).next().is_some()
    }

    /// The families that it speaks.
    pub fn spoken(&self) -> impl Iterator<Item = Family> + '_ {
        Family::ALL
            .into_iter()
            .filter(|family| self.speaks(*family))
    }

    /// Whether it is two routers of the protocol that move together.
    pub fn is_dual(&self) -> bool {
        self.spoken().count() == 2
    }

    fn numbers_of(&self, family: Family) -> impl Iterator<Item = u8> + '_ {
        let has = self.families.has(family);
        self.addresses.iter().copied().filter(move |_| has)
    }

    /// The interfaces with its virtual MAC addresses, if it uses these.
    fn virtual_mac(&self) -> Option<VirtualMac> {
        let sends = self.behind == Behind::Virtual;
        (!self.behind.is_own()).then(|| virtual_mac(self.segment, self.id(), sends))
    }

    /// The name of the interface with its virtual MAC address of a family, if there is to be one.
    pub fn device(&self, family: Family) -> Option<Arc<str>> {
        let [ipv4, ipv6] = self.virtual_mac()?.devices;
        self.addresses_of(family).next()?;
        Some(match family {
            Family::V4 => ipv4,
            Family::V6 => ipv6,
        })
    }

    /// Its virtual MAC address of a family, if its addresses are behind that.
    pub fn mac(&self, family: Family) -> Option<MacAddress> {
        (!self.behind.is_own()).then(|| MacAddress::of_virtual_router(family, self.id()))
    }

    /// For how long it leaves a master of lower priority in peace.
    pub fn preempt_delay(&self) -> Duration {
        Duration::from_millis(self.preempt_delay.into())
    }

    /// For how long it listens at least after its start.
    pub fn startup_delay(&self) -> Duration {
        Duration::from_millis(self.startup_delay.into())
    }

    /// Its routes. What the number says of one is whether it has a device, a gateway, a source, and
    /// whether it leads over the other segment.
    pub fn kernel_routes(&self) -> impl Iterator<Item = Route> + '_ {
        self.routes.iter().map(|number| {
            let segment = match number % 5 {
                4 => (self.segment + 1) % SEGMENTS,
                _ => self.segment,
            };
            let gateway = (number % 5 != 1).then(|| own_ipv4(segment, 254).address);
            let device = (number % 5 != 2).then(|| interface_name(segment).into());
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

    /// Its rules.
    pub fn kernel_rules(&self) -> impl Iterator<Item = Rule> + '_ {
        self.rules.iter().map(|number| rule(*number))
    }

    /// The address that it is told to send from in a family, where it is.
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
            preempt: self.preempt,
            preempt_delay: self.preempt_delay(),
            accept: self.accept,
            expect_master: self.expect_master,
            startup_delay: self.startup_delay(),
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

    /// Its peers. Who is told which of its addresses is its own does not list it.
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
    /// Its name.
    pub fn name(&self, segment: u8) -> String {
        match self.source {
            None => format!("station{}.net{segment}", self.station),
            Some(Source { family, place }) => {
                format!("{place:?}.{family:?}.station{}.net{segment}", self.station)
            }
        }
    }

    /// Its address in a family.
    pub fn address(&self, stations: &Stations, segment: u8, family: Family) -> IpAddr {
        let place = match self.source {
            Some(source) if source.family == family => source.place,
            Some(_) | None => Place::First,
        };
        stations.address(self.station, segment, family, place)
    }

    /// What its name means.
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

/// Where the stations are: the ends of their addresses in each family.
#[derive(Clone, Debug, Default)]
pub struct Stations(Vec<[u8; 2]>);

impl Stations {
    /// Those of a scenario: hosts, then foreign routers.
    pub fn of(scenario: &Scenario) -> Self {
        let hosts = (0..).zip(scenario.hosts.iter().take(MAX_HOSTS));
        let hosts = hosts.map(|(id, spec)| [host_octet(id), identifier(id, spec)]);
        let foreign = scenario.foreign.iter().map(|router| [router.host; 2]);
        Self(hosts.chain(foreign).collect())
    }

    /// How many there are.
    pub fn count(&self) -> Station {
        Station::try_from(self.0.len()).unwrap_or(Station::MAX)
    }

    /// An address of a station on a segment; of one that there is not an address that nobody has.
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

/// The end of addresses that nobody has.
const NOBODY: u8 = 98;

/// The last octet of a host's own IPv4 addresses.
pub(crate) const fn host_octet(id: Station) -> u8 {
    10 + id
}

/// The last byte of its link-local addresses.
pub(crate) const fn identifier(id: Station, spec: &HostSpec) -> u8 {
    if spec.backwards {
        u8::MAX - host_octet(id)
    } else {
        host_octet(id)
    }
}

/// The second address that a host has on a segment when its first one ends so. That of IPv6 is global.
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
    /// How connections of IPVS are synchronised, if they are: on the interface of the router.
    pub fn sync(&self) -> Option<Arc<LvsSync>> {
        let router = self.routers.get(self.synchronised.as_ref()?)?;
        let interface = interface_name(router.segment).into();
        Some(LvsSync::new(interface, router.vrid).into())
    }

    /// What the engine of a host is told.
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

    /// What its routers have to do with those of their groups put into each of them: the longest
    /// delays, the weights of all, and what the group follows.
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
    /// How slow a tracker is to judge.
    pub(crate) fn patience(&self, tracker: &str) -> PatienceConfig {
        self.patience.get(tracker).copied().unwrap_or_default()
    }
}

impl PatienceConfig {
    /// The least time between two changes of the verdict.
    pub(crate) fn hold(self) -> Duration {
        Duration::from_millis(self.hold.into())
    }

    /// For how long a thing that is known has to be well, or anything but that.
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

/// The name of the interface that every host has on a segment.
pub fn interface_name(segment: u8) -> String {
    format!("eth{segment}")
}

/// The interfaces with the virtual MAC addresses of a VRID on a segment.
pub fn virtual_mac(segment: u8, vrid: Vrid, sends: bool) -> VirtualMac {
    VirtualMac::new(&interface_name(segment), vrid, sends)
}

/// The hardware address of a station on a segment.
pub const fn physical_mac(segment: u8, station: u8) -> MacAddress {
    MacAddress([2, 0, 0, 0, segment, station])
}

/// The IPv4 address of a station on a segment, from which it sends.
pub fn own_ipv4(segment: u8, host: u8) -> InterfaceAddress {
    ipv4_in_segment(segment, host)
}

/// The link-local address of a station on a segment, from which it sends in IPv6.
pub fn link_local(segment: u8, host: u8) -> InterfaceAddress {
    link_local_in_segment(segment, host.into())
}

/// A virtual address of a segment. Every sixth one of IPv6 is link-local: so some lists have one, as
/// RFC 9568 section 5.2.9 wants the first to be, and some do not.
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

/// What stories that say nothing of it mean.
const fn accepts() -> bool {
    true
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// Where the route of a number leads to.
pub fn route_place(number: u8) -> RoutePlace {
    RoutePlace::new(network(number), Table::MAIN, None)
}

/// The rule of a number.
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
