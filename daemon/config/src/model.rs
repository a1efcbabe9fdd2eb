//! Schema of the configuration: its keys, types and ranges. The defaults are defined here and
//! nowhere else.
//!
//! The doc comments become the descriptions in the JSON Schema and in the NixOS options. The types
//! use no `flatten`, `untagged` or `tag`, because each would hide the keys of an object from the
//! [`reader`](crate::reader).

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::Announcements;
use vrrp_proto::wire::hmac::KeyId;
use vrrp_proto::{AdvertInterval, Priority, Version, Vrid};

use crate::address::{Entry, HostAddress};
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
    /// Trackers by name: scripts, interfaces, files, processes, pings, TCP ports, HTTP pages,
    /// systemd units and kernel routes that the daemon monitors. Instances and sync groups follow
    /// them with `track`. A name has 1 to 64 letters, digits and `_-.:@` and begins with a letter,
    /// a digit or `_`. Default: none.
    #[serde(default = "default::trackers")]
    pub(crate) trackers: Field<BTreeMap<String, Field<Tracker>>>,
    /// Virtual routers by name. Names have the same form as those of trackers. Default: none.
    #[serde(default = "default::instances")]
    pub(crate) instances: Field<BTreeMap<String, Field<Instance>>>,
    /// Sync groups by name: instances that are all master or all backup on a host. Names have the
    /// same form as those of trackers. Default: none, each instance changes its state
    /// independently.
    #[serde(default = "default::sync_groups")]
    pub(crate) sync_groups: Field<BTreeMap<String, Field<SyncGroup>>>,
}

/// Virtual router (RFC 9568): addresses that one of several hosts holds at a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Instance {
    /// Initial state, as a hint and as in keepalived: it determines how long the instance waits
    /// after the start before it takes over. Priority alone decides the election. RFC 9568 calls
    /// the states Active (`master`) and Backup. Default: `backup`.
    #[serde(default = "default::state")]
    pub(crate) state: Field<InitialState>,
    /// Network interface on which advertisements are sent and received and which carries the
    /// virtual addresses, 1 to 15 bytes. It need not exist yet; without it the instance is in
    /// fault.
    pub(crate) interface: Field<InterfaceName>,
    /// Whether it is a fault if `interface` is down or without carrier (keepalived:
    /// `dont_track_primary`). With `false` the instance goes on: it sends and receives no
    /// advertisements then, and a backup becomes master after the master-down interval. It is for a
    /// direct cable to the other host, which has no carrier when that host is off; the addresses
    /// have another `device`, whose loss is a fault in any case. If the cable is the only path of
    /// the advertisements, both hosts are master when it breaks. An interface that does not exist is
    /// a fault, and so is the loss of its own address while it has a link. Default: `true` if the
    /// interface carries one of the addresses, `false` if all of them are on other interfaces.
    #[serde(default)]
    pub(crate) track_interface: Field<bool>,
    /// Virtual router identifier (VRID), 1 to 255 (RFC 9568 section 5.2.3): the same on all hosts
    /// of this virtual router, and unique on the interface for each address family.
    pub(crate) virtual_router_id: Field<BoundedInteger<Vrid>>,
    /// Election priority, 1 to 254: the host with the highest priority becomes master. 255 is for
    /// the host that owns the addresses (RFC 9568 section 5.2.4). Default: 100.
    #[serde(default = "default::priority")]
    pub(crate) priority: Field<BoundedInteger<Priority>>,
    /// VRRP version: 2 (RFC 3768) or 3 (RFC 9568), the same on all hosts of this virtual router.
    /// Default: 3.
    #[serde(default = "default::version")]
    pub(crate) version: Field<BoundedInteger<Version>>,
    /// Interval between two advertisements of the master. Version 3: 10 ms to 40.95 s in steps of
    /// 10 ms (RFC 9568 section 5.2.7). Version 2: 1 s to 255 s in whole seconds, the same on all
    /// hosts (RFC 3768 section 5.3.7). Default: 1 s.
    #[serde(default = "default::advert_interval")]
    pub(crate) advert_interval: Field<BoundedDuration>,
    /// Whether this host takes over from a master of lower priority (Preempt_Mode, RFC 9568 section
    /// 6.1). Default: true.
    #[serde(default = "default::preempt")]
    pub(crate) preempt: Field<bool>,
    /// Delay before this host takes over from a master of lower priority, 0 to 1000 s, counted from
    /// the moment when preemption first became possible. It does not delay the succession of a
    /// master that goes silent or resigns. Default: 0.
    #[serde(default = "default::none")]
    pub(crate) preempt_delay: Field<BoundedDuration>,
    /// Minimum time from the start until this host takes over, 0 to 1000 s. Priority 255 ignores it
    /// and becomes master at once (RFC 9568 section 6.4.1). Default: 0, so that only `state`
    /// determines the time.
    #[serde(default = "default::none")]
    pub(crate) startup_delay: Field<BoundedDuration>,
    /// Whether advertisements withhold a take-over that arrive at the interface and are dropped by
    /// this host before the daemon receives them, by a firewall, a reverse path filter or a missing
    /// multicast membership. Log and status name their sender. With false the backup takes over, and
    /// there are two masters. Default: true.
    #[serde(default = "default::trust_wire")]
    pub(crate) trust_wire: Field<bool>,
    /// Announcement of the virtual addresses to the neighbours by gratuitous ARP and unsolicited
    /// neighbour advertisements. Default: once when the instance becomes master and once more 1 s
    /// later.
    #[serde(default)]
    pub(crate) announce: Field<Announce>,
    /// Whether the master accepts packets to virtual addresses that it does not own (Accept_Mode,
    /// RFC 9568 section 6.1). With false it answers ARP and neighbour discovery for the addresses
    /// and forwards packets, but drops packets addressed to them, pings included; it never drops
    /// neighbour discovery. The drop rules need nf_tables in the kernel; an instance that cannot
    /// install them is in fault. The owner (priority 255) always accepts. Default: true, as with
    /// every VRRP router on Linux, so that services can run on the addresses; the RFC's default is
    /// false.
    #[serde(default = "default::accept_mode")]
    pub(crate) accept_mode: Field<bool>,
    /// Authentication of advertisements. Default: none.
    #[serde(default)]
    pub(crate) authentication: Field<Authentication>,
    /// Trackers that the instance follows. Default: none.
    #[serde(default = "default::track")]
    pub(crate) track: Field<Vec<Field<Follow>>>,
    /// Programs that the daemon runs when the state of the instance changes, one at a time and in
    /// order. A state that has not been reported when the next one comes is skipped, except a stop,
    /// which is always reported. A program receives the transition in its environment
    /// (`VRRP_INSTANCE`, `VRRP_FROM`, `VRRP_TO`, `VRRP_CAUSE`, `VRRP_PRIORITY`, `VRRP_ADDRESSES`,
    /// `VRRP_AGAIN`) and as a JSON object on its standard input. Default: none.
    #[serde(default)]
    pub(crate) notify: Field<Notify>,
    /// Virtual MAC address of RFC 9568 section 7.3 (00-00-5E-00-01-VRID, for IPv6
    /// 00-00-5E-00-02-VRID) for the virtual addresses instead of the interface's own, so that the
    /// caches of the neighbours stay valid across a take-over: `true`, `false` or an object. The
    /// daemon creates a macvlan interface with that MAC address (`vrrp4.VRID.INTERFACE`, for IPv6
    /// `vrrp6.VRID.INTERFACE`). Default: false, as with the other implementations except FRR.
    #[serde(default)]
    pub(crate) virtual_mac: Field<UseVirtualMac>,
    /// Source address of the advertisements, which may be on any interface of this host. Default:
    /// the primary IPv4 address of the interface (RFC 9568 section 5.1.1.1) and its link-local IPv6
    /// address (section 5.1.2.1).
    #[serde(default)]
    pub(crate) source: Field<HostAddress>,
    /// Unicast peers, for networks that do not forward multicast: advertisements are sent to the
    /// peers instead of the multicast group, and accepted from the peers only. All hosts of a
    /// virtual router need it. Default: multicast to all hosts on the network (RFC 9568 section
    /// 5.1).
    #[serde(default)]
    pub(crate) unicast: Field<Unicast>,
    /// Virtual addresses that the master holds, up to 4096, each as ADDRESS/PREFIX or as an object;
    /// without a prefix length it is /32 or /128. With `[]`, or if none is advertised, the
    /// advertisements list the source address only: for networks in which a program of `notify`
    /// moves the addresses, such as clouds (keepalived: `no_virtual_ipaddress`). The IPv4 and IPv6
    /// addresses of an instance move together; in the protocol each family is a virtual router, and
    /// advertised IPv6 addresses need version 3. An advertisement lists at most 255 IPv4 or 89 IPv6
    /// addresses; the master holds the remaining ones without advertising them.
    #[schemars(length(max = 4096))]
    pub(crate) virtual_addresses: Field<Vec<Field<Entry>>>,
    /// Routes that exist while the instance is master. No two routes of a host may have the same
    /// destination, table and metric. Default: none.
    #[serde(default = "default::routes")]
    pub(crate) routes: Field<Vec<Field<Route>>>,
    /// Policy routing rules (ip-rule(8)) that exist while the instance is master. Default: none.
    #[serde(default = "default::rules")]
    pub(crate) rules: Field<Vec<Field<Rule>>>,
    /// Interface on which the kernel synchronises the connections of IPVS (LVS) with other hosts, 1
    /// to 15 bytes. The daemon runs the kernel's IPVS sync thread as master while the instance is
    /// master and as backup otherwise, also in fault, so that connections continue after a
    /// take-over. The interface need not exist yet. The kernel has one sync thread of each role, so
    /// only one instance of a host may set this (keepalived ignores `lvs_sync_daemon_interface` in
    /// all but the first), and the daemon stops sync threads that other programs start. This needs
    /// the kernel module ip_vs; without it the instance works and connections are not synchronised.
    /// Default: none.
    #[serde(default)]
    pub(crate) lvs_sync_interface: Field<InterfaceName>,
    /// Parameters of the IPVS sync thread. Default: those of the kernel, with the `virtualRouterId`
    /// as `syncId`.
    #[serde(default)]
    pub(crate) lvs: Field<Lvs>,
    /// Resources: systemd units that run only on the host where the instance is master, as a list
    /// or as an object. When the instance has become master and its addresses are configured, the
    /// daemon starts `vrrp-master@NAME.target` and then the units in their order; when the instance
    /// ceases to be master, it stops them in reverse order. When the daemon starts, it stops those
    /// that run although the instance is not master. Default: none, and the daemon makes no request
    /// to systemd.
    #[serde(default)]
    pub(crate) resources: Field<Resources>,
}

impl Instance {
    /// Whether a missing link of its interface is a fault, unless the value is invalid.
    pub(crate) fn tracks_interface(&self) -> Option<bool> {
        let given = self.track_interface.optional()?.copied();
        Some(given.unwrap_or_else(|| self.has_address_on_interface()))
    }

    /// Whether the list of virtual addresses is empty.
    pub(crate) fn has_no_address(&self) -> bool {
        self.virtual_addresses.value().is_some_and(Vec::is_empty)
    }

    /// Whether its interface carries one of the addresses that could be read.
    pub(crate) fn has_address_on_interface(&self) -> bool {
        let interface = self.interface.value().map(|interface| &interface.0);
        let entries = self.virtual_addresses.value().into_iter().flatten();
        let mut entries = entries.filter_map(Field::value).peekable();
        entries.peek().is_none()
            || entries.any(|entry| match entry.device() {
                None => true,
                Some(device) => Some(&device.0) == interface,
            })
    }
}

/// Initial state of a virtual router, as a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum InitialState {
    /// Waits one `advertInterval` plus the skew time after the start.
    Master,
    /// Waits three intervals plus the skew time after the start.
    Backup,
}

/// Announcements of the virtual addresses by the master: gratuitous ARP and, for IPv6, unsolicited
/// neighbour advertisements.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Announce {
    /// Number of times that each announcement is sent, 1 to 100. Default: 1.
    #[serde(default = "default::burst")]
    pub(crate) burst: Field<BoundedInteger<Burst>>,
    /// Delay from becoming master to the second announcement, for neighbours that missed the first,
    /// up to 1000 s; 0 disables it. Default: 1 s.
    #[serde(default = "default::announce_delay")]
    pub(crate) delay: Field<BoundedDuration>,
    /// Interval of repeated announcements while the instance is master, 1 s to 1 day; 0 disables
    /// them. Default: 0.
    #[serde(default = "default::none")]
    pub(crate) refresh: Field<BoundedDuration>,
    /// Whether the master announces the addresses again after it receives an advertisement of lower
    /// precedence, because the sender may have changed the caches of the neighbours; at most once a
    /// second. Also after a packet by which another host claims one of them (ARP, neighbour
    /// advertisement); at most once in 10 s. Default: true.
    #[serde(default = "default::on_lower_priority")]
    pub(crate) on_lower_priority: Field<bool>,
    /// Maximum number of announcements per second, 1 to 1000000, for switches and neighbours that
    /// lose packets of a burst; 0 is unlimited. Instances on the same interface share the queue.
    /// Default: 0.
    #[serde(default = "default::pace")]
    pub(crate) pace: Field<BoundedInteger<Pace>>,
}

/// Authentication of advertisements: exactly one method.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Authentication {
    /// Password in each advertisement, in clear text (RFC 2338 section 5.3.6). It protects against
    /// mistakes, not against attackers. Version 2 only.
    Pass(Field<Pass>),
    /// HMAC-SHA-256 signature of each advertisement with a shared key, with replay protection.
    /// Compatible with `auth_hmac` of keepalived 2.4.2 and later.
    Hmac(Field<Hmac>),
}

/// Keys and rules of the authentication by HMAC.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Hmac {
    /// Accepted keys by number, 1 to 255; a key has the same number on all hosts. To change a key,
    /// first add the new key on all hosts, then make it the `activeKey` on all hosts, then remove
    /// the old key.
    pub(crate) keys: Field<BTreeMap<String, Field<HmacKey>>>,
    /// Number of the key that signs advertisements, 1 to 255. Default: the only key; with several
    /// keys it is required.
    #[serde(default)]
    pub(crate) active_key: Field<BoundedInteger<KeyId>>,
    /// Signing and verification of advertisements. To introduce HMAC while the hosts run, set all
    /// of them to `receiveOnly`, then all to `permissive`, then all to `enforce`. Wrong signatures
    /// are dropped in every mode. Default: `enforce`.
    #[serde(default = "default::hmac_mode")]
    pub(crate) mode: Field<HmacMode>,
    /// Replay protection of signed advertisements. Default: `time`.
    #[serde(default = "default::anti_replay")]
    pub(crate) anti_replay: Field<AntiReplayBy>,
    /// Largest accepted difference between the clocks of two hosts, 1 s to 300 s in whole seconds,
    /// for `antiReplay` = `time`. Default: three intervals, but at least 5 s.
    #[serde(default)]
    pub(crate) time_window: Field<BoundedDuration>,
}

/// Secret of 32 to 64 bytes that all hosts share: exactly one of `key` and `keyFile`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum HmacKey {
    /// The key: `hex:` and two hexadecimal digits for each byte, or 32 to 64 bytes of text.
    Key(Field<KeyText>),
    /// File that contains the key in the form of `key`, read when the daemon loads its
    /// configuration; a newline at its end is ignored. An absolute path, or a path relative to
    /// $CREDENTIALS_DIRECTORY (systemd's `LoadCredential=`).
    KeyFile(Field<String>),
}

/// Signing and verification of advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub(crate) enum HmacMode {
    /// Signs its advertisements and accepts only signed ones.
    Enforce,
    /// Signs its advertisements and accepts unsigned ones too.
    Permissive,
    /// Does not sign and accepts unsigned advertisements; a signature that is present has to be
    /// right.
    ReceiveOnly,
}

/// Replay protection of signed advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum AntiReplayBy {
    /// The time of signing is within `timeWindow` of this host's clock and later than that of the
    /// sender's last accepted advertisement. The clocks of the hosts have to be about right.
    Time,
    /// The sequence number is greater than that of the sender's last accepted advertisement. The
    /// clocks need not be right, but must not go back.
    Monotonic,
}

/// The password: exactly one of `password` and `passwordFile`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Pass {
    /// The password, 1 to 8 bytes.
    Password(Field<PasswordText>),
    /// File that contains the password, read when the daemon loads its configuration; a newline at
    /// its end is ignored. An absolute path, or a path relative to $CREDENTIALS_DIRECTORY
    /// (systemd's `LoadCredential=`).
    PasswordFile(Field<String>),
}

/// Defaults of the keys that have one; a key without a default is absent.
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
        // RFC 9568 6.1 MUST: the priority is 100 by default
        Field::Value(BoundedInteger(Priority::DEFAULT))
    }

    pub(super) const fn version() -> Field<BoundedInteger<Version>> {
        Field::Value(BoundedInteger(Version::V3))
    }

    pub(super) const fn advert_interval() -> Field<BoundedDuration> {
        // RFC 9568 6.1 MUST: the interval is one second by default
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
        // RFC 9568 6.1 MUST: Preempt_Mode is True by default
        Field::Value(true)
    }

    pub(super) const fn trust_wire() -> Field<bool> {
        Field::Value(true)
    }

    pub(super) const fn accept_mode() -> Field<bool> {
        // RFC 9568 6.1 MUST: Accept_Mode is False by default
        Field::Value(true)
    }
}
