//! The words of the configuration, their meaning, and their defaults, which are here and nowhere
//! else.
//!
//! The doc comments become the descriptions in the JSON Schema. No `flatten`, `untagged` or `tag`:
//! each would hide from the [`reader`](crate::reader) which keys an object has.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::Announcements;
use vrrp_proto::wire::hmac::KeyId;
use vrrp_proto::{AdvertInterval, Priority, Version, Vrid};

use crate::address::{Entry, PlainAddress};
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::group::SyncGroup;
use crate::lvs::Lvs;
use crate::notify::Notify;
use crate::resources::Resources;
use crate::routing::{Route, Rule};
use crate::tracker::{Follow, Tracker};
use crate::unicast::Unicast;
use crate::value::{BoundedInteger, Burst, InterfaceName, KeyText, Pace, PasswordText};
use crate::virtual_mac::UseVirtualMac;

/// Configuration of the VRRP daemon vrrpd.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Config {
    /// What is watched, by name. Default: nothing. A name is 1 to 64 letters, digits and `_-.:@`,
    /// beginning with a letter, a digit or `_`.
    #[serde(default = "default::trackers")]
    pub(crate) trackers: Field<BTreeMap<String, Field<Tracker>>>,
    /// The virtual routers, by name. Default: none. Names as those of trackers.
    #[serde(default = "default::instances")]
    pub(crate) instances: Field<BTreeMap<String, Field<Instance>>>,
    /// Instances that are all master or all backup on a host, by the name of the group. Default:
    /// none, each instance for itself. Names as those of trackers.
    #[serde(default = "default::sync_groups")]
    pub(crate) sync_groups: Field<BTreeMap<String, Field<SyncGroup>>>,
}

/// One virtual router: addresses that one of several hosts holds at a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Instance {
    /// A hint for the start, as in keepalived: `master` listens for one interval and the skew time
    /// instead of three before it takes over. Priority alone decides who is master (RFC 9568:
    /// Active). Default: `backup`.
    #[serde(default = "default::state")]
    pub(crate) state: Field<InitialState>,
    /// The interface that it speaks on and that carries its addresses, 1 to 15 bytes. It need not
    /// exist yet.
    pub(crate) interface: Field<InterfaceName>,
    /// The virtual router identifier (VRID), 1 to 255, the same on all hosts of this virtual router
    /// and used once on an interface (RFC 9568 section 5.2.3).
    pub(crate) virtual_router_id: Field<BoundedInteger<Vrid>>,
    /// Who of several wants to be master most, 1 to 254; 255 if this host owns the addresses
    /// (RFC 9568 section 5.2.4). Default: 100.
    #[serde(default = "default::priority")]
    pub(crate) priority: Field<BoundedInteger<Priority>>,
    /// The version of the protocol: 2 (RFC 3768) or 3 (RFC 9568), the same on all hosts.
    /// Default: 3.
    #[serde(default = "default::version")]
    pub(crate) version: Field<BoundedInteger<Version>>,
    /// Time between two advertisements of the master. Version 3: 10 ms to 40.95 s in steps of 10 ms
    /// (RFC 9568 section 5.2.7). Version 2: 1 s to 255 s in whole seconds, the same on all hosts
    /// (RFC 3768 section 5.3.7). Default: 1 s.
    #[serde(default = "default::advert_interval")]
    pub(crate) advert_interval: Field<BoundedDuration>,
    /// Whether to take over from a master of lower priority (RFC 9568 section 6.1). Default: true.
    #[serde(default = "default::preempt")]
    pub(crate) preempt: Field<bool>,
    /// How long to leave a master of lower priority in peace before taking over from it, 0 to 1000 s,
    /// counted from when it was first possible. When that master falls silent or resigns it is
    /// succeeded as any other. Default: 0.
    #[serde(default = "default::none")]
    pub(crate) preempt_delay: Field<BoundedDuration>,
    /// How long to listen at least after the start before taking over, 0 to 1000 s. With priority
    /// 255 it does not listen at all (RFC 9568 section 6.4.1). Default: 0, so that `state` decides
    /// alone.
    #[serde(default = "default::none")]
    pub(crate) startup_delay: Field<BoundedDuration>,
    /// How the master tells the neighbours where the addresses are. Default: at once, and once more
    /// a second later.
    #[serde(default)]
    pub(crate) announce: Field<Announce>,
    /// Whether the master accepts packets to the virtual addresses although it does not own them
    /// (RFC 9568 section 6.1, Accept_Mode). With false it answers for them to the neighbours and
    /// forwards, and drops what is addressed to them, pings too; neighbour discovery is never dropped.
    /// That takes nf_tables in the kernel; an instance that cannot have it is in fault. Default: true,
    /// as with every VRRP router on Linux, so that services can run on the addresses; the RFC's own
    /// default is false. The owner (priority 255) always accepts.
    #[serde(default = "default::accept_mode")]
    pub(crate) accept_mode: Field<bool>,
    /// How peers prove who they are. Default: not at all.
    #[serde(default)]
    pub(crate) authentication: Field<Authentication>,
    /// The trackers that it follows. Default: none.
    #[serde(default = "default::track")]
    pub(crate) track: Field<Vec<Field<Follow>>>,
    /// Programs that are run when its state changes, one at a time and in order. Of what has not begun
    /// the newest state wins, but a stop is always told. What a program is told stands in its
    /// environment (`VRRP_INSTANCE`, `VRRP_FROM`, `VRRP_TO`, `VRRP_CAUSE`, `VRRP_PRIORITY`,
    /// `VRRP_ADDRESSES`, `VRRP_AGAIN`) and as a JSON object on its standard input. Default: none.
    #[serde(default)]
    pub(crate) notify: Field<Notify>,
    /// Whether the addresses are behind the virtual MAC address of the RFC, 00-00-5E-00-01-VRID or, for
    /// IPv6, 00-00-5E-00-02-VRID (RFC 9568 section 7.3), and not behind the interface's own: then no
    /// neighbour has to learn anything at a take-over. `true`, or an object. The daemon makes an
    /// interface for it (a macvlan named `vrrp4.VRID.INTERFACE`). Default: false, as on every peer
    /// but FRR.
    #[serde(default)]
    pub(crate) virtual_mac: Field<UseVirtualMac>,
    /// The address to send advertisements from, which this host has on any interface. Default: the
    /// primary IPv4 address of the interface (RFC 9568 section 5.1.1.1), and its link-local IPv6
    /// address (section 5.1.2.1).
    #[serde(default)]
    pub(crate) source: Field<PlainAddress>,
    /// With whom it speaks instead of with the group, for networks that forward no multicast.
    /// Default: with the group, and so with everybody on the network (RFC 9568 section 5.1).
    #[serde(default)]
    pub(crate) unicast: Field<Unicast>,
    /// The addresses that the master holds, 1 to 4096, as ADDRESS/PREFIX or as objects. Without a
    /// prefix it is /32, or /128. Addresses of both families move together; to the protocol they are
    /// two virtual routers, and those of IPv6 need version 3. An advertisement lists 255 IPv4 or 89
    /// IPv6 addresses; those beyond are held and not advertised.
    #[schemars(length(min = 1, max = 4096))]
    pub(crate) virtual_addresses: Field<Vec<Field<Entry>>>,
    /// Routes that come with the addresses and leave with them. No two instances of a host may have
    /// one to the same destination with the same table and metric. Default: none.
    #[serde(default = "default::routes")]
    pub(crate) routes: Field<Vec<Field<Route>>>,
    /// Rules for the choice of a routing table that come with the addresses and leave with them.
    /// Default: none.
    #[serde(default = "default::rules")]
    pub(crate) rules: Field<Vec<Field<Rule>>>,
    /// The interface on which the kernel tells other hosts of the connections that IPVS (LVS) forwards
    /// here, and hears of theirs, 1 to 15 bytes: its sync thread is master while the instance is, and
    /// backup otherwise, also in fault. So connections go on after a take-over. The interface need not
    /// exist yet. The kernel has one thread of each role, so one instance of a host may have this
    /// (keepalived's `lvs_sync_daemon_interface` has no effect but in the first), and whatever thread
    /// somebody else starts is stopped. It takes the module ip_vs; without that the
    /// instance serves all the same. Default: none.
    #[serde(default)]
    pub(crate) lvs_sync_interface: Field<InterfaceName>,
    /// How that thread speaks. Default: as the kernel does, with the `virtualRouterId` as syncId.
    #[serde(default)]
    pub(crate) lvs: Field<Lvs>,
    /// Units of systemd that run where the instance is master and nowhere else: a list, or an object.
    /// They are started in order when it has become master and its addresses are there, after
    /// `vrrp-master@NAME.target`, and stopped in reverse when it leaves; what runs without its being
    /// master is stopped when the daemon starts. Default: nothing, and systemd is not spoken to.
    #[serde(default)]
    pub(crate) resources: Field<Resources>,
}

/// In which state a virtual router expects to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum InitialState {
    Master,
    Backup,
}

/// How the master tells the neighbours where the addresses are: by gratuitous ARP and, for IPv6, by
/// unsolicited neighbour advertisements.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Announce {
    /// How many times each announcement is sent, 1 to 100. Default: 1.
    #[serde(default = "default::burst")]
    pub(crate) burst: Field<BoundedInteger<Burst>>,
    /// How long after it became master the addresses are announced a second time, for neighbours
    /// that the first announcement did not reach, up to 1000 s; 0 for not at all. Default: 1 s.
    #[serde(default = "default::announce_delay")]
    pub(crate) delay: Field<BoundedDuration>,
    /// How often they are announced as long as it is master, 1 s to 1 day; 0 for never. Default: 0.
    #[serde(default = "default::none")]
    pub(crate) refresh: Field<BoundedDuration>,
    /// Whether they are announced after an advertisement of lower precedence, whose sender may have
    /// misled the neighbours; at most once a second. Default: true.
    #[serde(default = "default::on_lower_priority")]
    pub(crate) on_lower_priority: Field<bool>,
    /// How many announcements leave in a second, 1 to 1000000, for switches and neighbours that
    /// cannot bear more; 0 for as fast as possible. Instances on one interface wait for each other.
    /// Default: 0.
    #[serde(default = "default::pace")]
    pub(crate) pace: Field<BoundedInteger<Pace>>,
}

/// How peers prove who they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Authentication {
    /// A password in each packet, in clear (RFC 2338 section 5.3.6). It keeps out mistakes, nobody
    /// else. Version 2 only.
    Pass(Field<Pass>),
    /// A signature of each packet, HMAC-SHA-256, which only who knows a key can make, and which is
    /// believed once. keepalived 2.4.2 and later understand it (`auth_hmac`).
    Hmac(Field<Hmac>),
}

/// The keys, and who has to use them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Hmac {
    /// The keys that are accepted, by their numbers, 1 to 255; the same numbers on all hosts. To
    /// change a key, give all hosts the new one beside the old one, then make it the active one
    /// everywhere, then take the old one away.
    pub(crate) keys: Field<BTreeMap<String, Field<HmacKey>>>,
    /// The number of the key to sign with. Default: the only key.
    #[serde(default)]
    pub(crate) active_key: Field<BoundedInteger<KeyId>>,
    /// Who has to sign. To begin with HMAC while the hosts run, go through `receiveOnly` and
    /// `permissive` on all of them. Default: `enforce`.
    #[serde(default = "default::hmac_mode")]
    pub(crate) mode: Field<HmacMode>,
    /// How a packet that somebody has recorded and repeats is told: by the `time` at which it was
    /// signed, for which the clocks of the hosts must be about right, or by its number alone, which
    /// never gets smaller (`monotonic`). Default: `time`.
    #[serde(default = "default::anti_replay")]
    pub(crate) anti_replay: Field<AntiReplayBy>,
    /// How far the clocks of two hosts may be apart, 1 s to 300 s in whole seconds. Default: three
    /// intervals, but at least 5 s.
    #[serde(default)]
    pub(crate) time_window: Field<BoundedDuration>,
}

/// A secret of 32 to 64 bytes that all hosts share: exactly one of the two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum HmacKey {
    /// The key itself: `hex:` and two digits for each byte, or 32 to 64 bytes of text.
    Key(Field<KeyText>),
    /// A file that holds it in the same form, read at start; one newline at its end does not count.
    /// An absolute path, or one relative to $CREDENTIALS_DIRECTORY (systemd's `LoadCredential=`).
    KeyFile(Field<String>),
}

/// Who has to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) enum HmacMode {
    /// Everybody.
    Enforce,
    /// This host signs; what others do not sign counts too.
    Permissive,
    /// Nobody; what is signed has to be right.
    ReceiveOnly,
}

/// How a packet that was sent before is told from one that was sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum AntiReplayBy {
    Time,
    Monotonic,
}

/// The password: exactly one of the two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Pass {
    /// The password itself, 1 to 8 bytes.
    Password(Field<PasswordText>),
    /// A file that holds it, read at start; one newline at its end does not count. An absolute
    /// path, or one relative to $CREDENTIALS_DIRECTORY (systemd's `LoadCredential=`).
    PasswordFile(Field<String>),
}

/// The defaults; what has none here is absent.
mod default {
    use super::{
        AdvertInterval, Announcements, AntiReplayBy, BTreeMap, BoundedDuration, BoundedInteger,
        Burst, Duration, Field, Follow, HmacMode, InitialState, Instance, Pace, Priority, Route,
        Rule, SyncGroup, Tracker, Version,
    };

    pub(super) const fn trackers() -> Field<BTreeMap<String, Field<Tracker>>> {
        Field::Value(BTreeMap::new())
    }

    pub(super) const fn instances() -> Field<BTreeMap<String, Field<Instance>>> {
        Field::Value(BTreeMap::new())
    }

    pub(super) const fn sync_groups() -> Field<BTreeMap<String, Field<SyncGroup>>> {
        Field::Value(BTreeMap::new())
    }

    pub(super) const fn track() -> Field<Vec<Field<Follow>>> {
        Field::Value(Vec::new())
    }

    pub(super) const fn routes() -> Field<Vec<Field<Route>>> {
        Field::Value(Vec::new())
    }

    pub(super) const fn rules() -> Field<Vec<Field<Rule>>> {
        Field::Value(Vec::new())
    }

    pub(super) const fn state() -> Field<InitialState> {
        Field::Value(InitialState::Backup)
    }

    pub(super) const fn priority() -> Field<BoundedInteger<Priority>> {
        // RFC 9568 6.1 MUST: the priority is 100 when nobody says otherwise
        Field::Value(BoundedInteger(Priority::DEFAULT))
    }

    pub(super) const fn version() -> Field<BoundedInteger<Version>> {
        Field::Value(BoundedInteger(Version::V3))
    }

    pub(super) const fn advert_interval() -> Field<BoundedDuration> {
        // RFC 9568 6.1 MUST: the interval is one second when nobody says otherwise
        Field::Value(BoundedDuration(AdvertInterval::DEFAULT.duration()))
    }

    pub(super) const fn none() -> Field<BoundedDuration> {
        Field::Value(BoundedDuration(Duration::ZERO))
    }

    pub(super) const fn burst() -> Field<BoundedInteger<Burst>> {
        Field::Value(BoundedInteger(Burst(Announcements::DEFAULT.burst)))
    }

    pub(super) const fn announce_delay() -> Field<BoundedDuration> {
        Field::Value(BoundedDuration(Announcements::DEFAULT.delay))
    }

    pub(super) const fn on_lower_priority() -> Field<bool> {
        Field::Value(Announcements::DEFAULT.on_lower_priority)
    }

    pub(super) const fn pace() -> Field<BoundedInteger<Pace>> {
        Field::Value(BoundedInteger(Pace(Announcements::DEFAULT.pace)))
    }

    pub(super) const fn hmac_mode() -> Field<HmacMode> {
        Field::Value(HmacMode::Enforce)
    }

    pub(super) const fn anti_replay() -> Field<AntiReplayBy> {
        Field::Value(AntiReplayBy::Time)
    }

    pub(super) const fn preempt() -> Field<bool> {
        // RFC 9568 6.1 MUST: Preempt_Mode is True when nobody says otherwise
        Field::Value(true)
    }

    pub(super) const fn accept_mode() -> Field<bool> {
        // RFC 9568 6.1 MUST: Accept_Mode is False when nobody says otherwise
        Field::Value(true)
    }
}
