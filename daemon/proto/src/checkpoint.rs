//! Checkpoint: the state that an engine has learned and that the configuration does not contain, in a form
//! that a later process of the same host can read.
//!
//! A process that is to be replaced takes the checkpoint with [`Engine::checkpoint`](crate::Engine::checkpoint);
//! its successor passes it to [`Input::Resume`](crate::Input::Resume) before the configuration. The times are
//! those of `CLOCK_BOOTTIME`, so they mean the same to both. The types of this module are a format and
//! nothing else: they change only together with [`FORMAT`], and no part of the engine computes with them.
//!
//! A checkpoint contains no key and no password.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::params::{AddressForm, Identity};
use crate::snapshot::Counters;
use crate::time::Instant;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, Priority, State, Version, Vrid};
use crate::wire::ChecksumForm;
use crate::wire::hmac::KeyId;

/// Version of the format. A reader accepts no other.
pub const FORMAT: u32 = 1;

/// Learned state of all routers of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    /// Time from which on no packet was received.
    pub taken_at: Instant,
    /// The routers, by name.
    pub routers: BTreeMap<Arc<str>, RouterCheckpoint>,
    /// The sync groups, by name.
    pub groups: BTreeMap<Arc<str>, GroupCheckpoint>,
    /// The trackers with a verdict or a result, by name.
    pub trackers: BTreeMap<Arc<str>, TrackerCheckpoint>,
    /// Addresses of the unicast peers' names.
    pub names: BTreeMap<Arc<str>, Vec<IpAddr>>,
    /// Virtual addresses that the kernel holds for this node and deletes unless a successor asks it to keep
    /// them. The node fills them in.
    pub addresses: Vec<AddressCheckpoint>,
}

/// A virtual address in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressCheckpoint {
    /// The interface.
    pub interface: InterfaceIndex,
    /// The address.
    pub address: InterfaceAddress,
    /// Form in which it was requested.
    pub form: AddressForm,
}

/// Instances and sync groups whose present state has been notified completely, with that state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notified {
    /// The instances, by name.
    pub instances: BTreeMap<Arc<str>, State>,
    /// The sync groups, by name.
    pub groups: BTreeMap<Arc<str>, State>,
}

/// Learned state of one router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouterCheckpoint {
    /// Interface, a part of the router's identity.
    pub interface: Arc<str>,
    /// VRID, a part of the identity.
    pub virtual_router_id: Vrid,
    /// Protocol version, a part of the identity.
    pub version: Version,
    /// Source addresses of its advertisements: of several possible ones it keeps them.
    pub sources: Vec<IpAddr>,
    /// Whether its interface had a link.
    pub has_link: bool,
    /// State with its timers. `None` if the router is to start anew: it was in fault, or has resigned.
    pub phase: Option<PhaseCheckpoint>,
    /// End of the startup delay.
    pub startup_until: Instant,
    /// Time from which the silence of its peers counts.
    pub silence_counts_at: Instant,
    /// Hold-down: time of the last take-over.
    pub took_over_at: Instant,
    /// Hold-down: time at which take-overs are not limited any more.
    pub hold_down_until: Instant,
    /// Last sequence number of its signed advertisements.
    pub sent: Option<u64>,
    /// Sequence numbers of other routers, the most recent sender last.
    pub heard: Vec<SenderCheckpoint>,
    /// Unicast peers beyond the configuration: former addresses of names, and senders while a name is not
    /// resolved.
    pub further_peers: Vec<FurtherPeerCheckpoint>,
    /// Form of the checksum in its IPv4 advertisements.
    pub checksum: ChecksumForm,
    /// Whether its IPv6 advertisements list no link-local address, as those of the others.
    pub without_link_local: bool,
    /// Other routers of the virtual router from which advertisements were received.
    pub others: Vec<OtherCheckpoint>,
    /// Masters that a member of a sync group has seen, by family.
    pub peers: Vec<PeersCheckpoint>,
    /// Counters.
    pub counters: Counters,
    /// Last transitions, the latest one last.
    pub history: Vec<TransitionCheckpoint>,
}

impl From<&RouterCheckpoint> for Identity {
    fn from(left: &RouterCheckpoint) -> Self {
        Self {
            interface: Arc::clone(&left.interface),
            vrid: left.virtual_router_id,
            version: left.version,
            families: left.sources.iter().map(|it| Family::of(*it)).collect(),
        }
    }
}

/// State of a router with its timers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PhaseCheckpoint {
    /// Backup: each of its families.
    Backup(Vec<LegCheckpoint>),
    /// Master.
    Master(MasterCheckpoint),
}

/// A backup in one family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LegCheckpoint {
    /// The family.
    pub family: Family,
    /// Beginning of the present wait.
    pub listening_since: Instant,
    /// Master-down timer.
    pub down_at: Instant,
    /// Beginning of the present silence.
    pub heard_at: Instant,
    /// Advertisement interval of the master, in hundredths of a second.
    pub interval: u16,
    /// Sender of the last recorded advertisement.
    pub last: Option<HeardCheckpoint>,
    /// Preempt delay: its beginning, and the time of a preemption without it.
    pub preempt_delay: Option<(Instant, Instant)>,
}

/// Sender of the last advertisement that a backup recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeardCheckpoint {
    /// Its address.
    pub from: IpAddr,
    /// Advertised priority.
    pub priority: u8,
    /// Whether the backup follows it.
    pub followed: bool,
    /// Arrival of the first of its advertisements that no other router interrupted.
    pub since: Instant,
}

/// A master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MasterCheckpoint {
    /// Time of the take-over.
    pub since: Instant,
    /// Whether another router may have been master until then.
    pub has_displaced: bool,
    /// Time of the next advertisement.
    pub advert_at: Instant,
    /// Time of the last advertisement.
    pub sent_at: Instant,
    /// Interval in the last advertisement, in hundredths of a second.
    pub told: u16,
    /// Beginning of the series of announcements.
    pub arrived_at: Instant,
    /// Time of the next announcement by the settings.
    pub announce_at: Option<Instant>,
    /// Time of a delayed announcement because of another master.
    pub correct_at: Option<Instant>,
    /// Time of the last announcement because of a claim of another host.
    pub defended_at: Option<Instant>,
    /// Last reply to an advertisement of lower precedence.
    pub replied_at: Option<Instant>,
    /// Last announcement.
    pub announced_at: Instant,
    /// Beginning and end of a series of ties that were lost in IPv6 only.
    pub losing: Option<(Instant, Instant)>,
    /// Other masters that are present, with the interval of each in hundredths of a second.
    pub rivals: Vec<RivalCheckpoint>,
    /// Last report of the end of a contest.
    pub contest_reported_at: Option<Instant>,
}

/// Another master beside this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RivalCheckpoint {
    /// Its address.
    pub from: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// Whether it is one of several.
    pub is_one_of_several: bool,
    /// Its interval, in hundredths of a second.
    pub interval: u16,
    /// Nanoseconds for which a backup waits for it.
    pub wait: u64,
    /// Time at which it counts as gone.
    pub gone_at: Instant,
}

/// A unicast peer that the configuration does not contain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FurtherPeerCheckpoint {
    /// Its address.
    pub address: IpAddr,
    /// The name that had the address; none for a sender.
    pub name: Option<Arc<str>>,
    /// End of the silence after which it is no peer any more.
    pub until: Instant,
}

/// Another router of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherCheckpoint {
    /// Its address.
    pub address: IpAddr,
    /// Priority in its last advertisement.
    pub priority: u8,
    /// Arrival of that.
    pub heard_at: Instant,
    /// Form of its checksum.
    pub checksum: ChecksumForm,
}

/// Last accepted sequence number of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderCheckpoint {
    /// Its address.
    pub address: IpAddr,
    /// The number.
    pub sequence: u64,
    /// Key of its last advertisement.
    pub key: KeyId,
    /// Seconds by which its clock was ahead.
    pub ahead: i64,
    /// Time until which a greater number continues its series.
    pub continues_until: Instant,
}

/// Masters that a member of a sync group has seen in one family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeersCheckpoint {
    /// The family.
    pub family: Family,
    /// Last advertisement of each.
    pub sightings: Vec<SightingCheckpoint>,
    /// Master with our priority at the last take-over that another member decided.
    pub accepted_tie: Option<IpAddr>,
    /// Such a master that did not step down.
    pub stands: Option<IpAddr>,
}

/// Last advertisement of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SightingCheckpoint {
    /// Its address.
    pub from: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// Its interval, in hundredths of a second.
    pub interval: u16,
    /// Arrival.
    pub at: Instant,
}

/// A past transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransitionCheckpoint {
    /// Former state.
    pub from: State,
    /// New state.
    pub to: State,
    /// Text of the cause.
    pub cause: Arc<str>,
    /// Whether the cause is that of another member of its sync group.
    pub follows_member: bool,
    /// Effective priority.
    pub priority: Priority,
    /// Time.
    pub at: Instant,
}

/// Learned state of a sync group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupCheckpoint {
    /// As masters: time since which another master is seen, or of the take-over.
    pub met_at: Instant,
    /// As backups: time of the wake-up that was requested last.
    pub asked: Instant,
}

/// Learned state of a tracker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackerCheckpoint {
    /// Digest of the interface or the definition of the check, its identity.
    pub checks: String,
    /// Verdict and its number.
    pub verdict: (bool, Option<i64>),
    /// Time since which the verdict is known to hold.
    pub since: Option<Instant>,
    /// Last change of the verdict.
    pub changed_at: Option<Instant>,
    /// Pending change of the verdict, and the time since which results demand it.
    pub opposed: Option<((bool, Option<i64>), Instant)>,
    /// Results in a row against the ones before.
    pub streak: u32,
    /// Last result in words.
    pub detail: Arc<str>,
    /// Number of results.
    pub results: u64,
    /// Number of bad results.
    pub failures: u64,
}

impl Checkpoint {
    /// The checkpoint without anything that grows old: counters, history and sequence numbers. Every router
    /// starts anew, and accepts no advertisement a second time.
    #[must_use]
    pub fn without_states(self) -> Self {
        let mut routers = self.routers;
        for router in routers.values_mut() {
            router.phase = None;
            router.startup_until = Instant::ZERO;
            router.silence_counts_at = Instant::ZERO;
            router.took_over_at = Instant::ZERO;
            router.hold_down_until = Instant::ZERO;
            router.further_peers.clear();
            router.others.clear();
            router.peers.clear();
            router.history.clear();
            router.counters = Counters::default();
            for sender in &mut router.heard {
                sender.continues_until = Instant::ZERO;
            }
        }
        Self {
            routers,
            ..Self::default()
        }
    }
}
