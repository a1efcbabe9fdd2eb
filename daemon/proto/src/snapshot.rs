//! What the engine shows of itself: one value that status, JSON and metrics render.

use core::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::events::LvsRole;
use crate::params::HmacMode;
use crate::types::{InterfaceAddress, Priority, State, Version, Vrid};
use crate::wire::hmac::KeyId;
use crate::wire::{ChecksumForm, DropCounts};

/// The whole node at one moment. Ages are in seconds at that moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The virtual routers, by name.
    pub instances: Vec<RouterStatus>,
    /// The sync groups, by name.
    #[serde(default)]
    pub groups: Vec<GroupStatus>,
    /// The trackers, by name.
    pub trackers: Vec<TrackerStatus>,
    /// Packets that belonged to no router here.
    pub dropped: DropCounts,
    /// Packets that were never looked at, because they came faster than that. The engine knows of
    /// none; whoever reads the sockets fills it in.
    #[serde(default)]
    pub lost: u64,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouterStatus {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The interface that it runs on.
    pub interface: Arc<str>,
    /// Its identifier.
    pub virtual_router_id: Vrid,
    /// The version it speaks.
    pub version: Version,
    /// Its state.
    pub state: State,
    /// For how many seconds it has been in that state.
    pub state_age: f64,
    /// Why it is in that state.
    pub cause: Arc<str>,
    /// In how many seconds it is in fault for `cause`, while that is tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_in: Option<f64>,
    /// Its priority and where that comes from.
    pub priority: PriorityStatus,
    /// The time between its advertisements, in seconds.
    pub advert_interval: f64,
    /// The address that it sends from: the IPv4 one, when it has addresses of both families.
    pub source: Option<IpAddr>,
    /// The IPv6 address that it sends from, when it has addresses of both families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ipv6: Option<IpAddr>,
    /// The master that it hears, when it is a backup.
    pub master: Option<PeerStatus>,
    /// Its virtual addresses.
    pub addresses: Arc<[InterfaceAddress]>,
    /// The routes that follow it, as ip-route(8) takes them.
    #[serde(default)]
    pub routes: Vec<String>,
    /// The rules that follow it, as ip-rule(8) takes them.
    #[serde(default)]
    pub rules: Vec<String>,
    /// The form of checksum that it sends, learned from the others (version 3).
    pub checksum: ChecksumForm,
    /// The other routers of this virtual router that were heard, up to 8.
    #[serde(default)]
    pub others: Vec<OtherRouter>,
    /// How it stands with authentication by HMAC, where that is configured.
    #[serde(default)]
    pub hmac: Option<HmacStatus>,
    /// With whom it speaks, where that is not the group.
    #[serde(default)]
    pub unicast: Option<UnicastStatus>,
    /// How it stands with those who are told of its transitions, where that is configured. The engine
    /// knows nothing of it; whoever tells them fills it in.
    #[serde(default)]
    pub notify: Option<NotifyStatus>,
    /// How it stands with the connections of IPVS, where they are synchronised.
    #[serde(default)]
    pub lvs: Option<LvsStatus>,
    /// What runs where it is master, where that is configured.
    #[serde(default)]
    pub resources: Option<ResourcesStatus>,
    /// What it counted.
    pub counters: Counters,
    /// Its last transitions, oldest first.
    pub history: Vec<TransitionStatus>,
}

/// A sync group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupStatus {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The state of all of its members.
    pub state: State,
    /// For how many seconds it has been in that state.
    pub state_age: f64,
    /// Its members in their order.
    pub members: Vec<Arc<str>>,
    /// The member that moved for a reason of its own, or is what keeps the others from serving.
    pub decided_by: Option<Arc<str>>,
    /// Why the group is in that state: the cause of that member.
    pub cause: Arc<str>,
    /// As that of a router.
    #[serde(default)]
    pub notify: Option<NotifyStatus>,
}

/// A priority and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriorityStatus {
    /// As configured.
    pub configured: Priority,
    /// As advertised.
    pub effective: Priority,
    /// What makes the difference: `httpd -20`.
    pub reasons: Vec<String>,
    /// The trackers that the router follows, in the order of the configuration.
    #[serde(default)]
    pub tracks: Vec<TrackStatus>,
}

/// What a tracker does to a router that follows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackStatus {
    /// Its name.
    pub tracker: Arc<str>,
    /// Its weight; `null` if down means fault.
    pub weight: Option<i16>,
    /// What it adds to the priority.
    pub contribution: i16,
    /// Why it puts the router in fault, if it does.
    pub fault: Option<String>,
}

/// Another router that was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// Its address.
    pub address: IpAddr,
    /// The priority that it advertised last; 0 after it resigned.
    pub priority: u8,
}

/// Another router of the same virtual router, as it was heard last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherRouter {
    /// Its address.
    pub address: IpAddr,
    /// The priority that it advertised; 0 after it resigned.
    pub priority: u8,
    /// How many seconds ago.
    pub age: f64,
    /// In what its advertisements differ from what this router would say, in words. It is obeyed
    /// all the same.
    pub differences: Vec<String>,
}

/// Authentication by HMAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HmacStatus {
    /// Who has to sign.
    pub mode: HmacMode,
    /// The key that it signs with, unless the mode is `receiveOnly`.
    pub active_key: KeyId,
    /// All keys that it accepts.
    pub accepted_keys: Vec<KeyId>,
    /// Who was heard with a right HMAC, the last one last.
    pub senders: Vec<SenderStatus>,
}

/// One who signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderStatus {
    /// Its address.
    pub address: IpAddr,
    /// The key that it signed with last.
    pub key: KeyId,
    /// By how many seconds its wall clock was ahead of ours then, negative when behind.
    pub ahead: i64,
}

/// Advertisements to peers instead of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnicastStatus {
    /// The other hosts.
    pub peers: Vec<UnicastPeerStatus>,
    /// The TTL or hop limit that it sends with.
    pub ttl: u8,
    /// The least TTL or hop limit that it believes.
    pub min_ttl: u8,
}

/// One of the peers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnicastPeerStatus {
    /// The name or the address in the configuration.
    pub peer: String,
    /// Its addresses: none while nobody knows what the name stands for.
    pub addresses: Vec<IpAddr>,
}

/// Those who are told of transitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyStatus {
    /// The state that is being told; `init` is the stop.
    pub running: Option<State>,
    /// The states that are to be told after it.
    pub waiting: Vec<State>,
    /// How many states were never told, because there was a newer one before their turn.
    pub dropped: u64,
    /// How many commands were run.
    pub runs: u64,
    /// How many of them failed.
    pub failures: u64,
    /// The command that ended last.
    pub last: Option<NotifyRunStatus>,
}

/// A command that told of a transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyRunStatus {
    /// The state that it told.
    pub state: State,
    /// Whether the command succeeded (exit status 0).
    pub succeeded: bool,
    /// How it ended and what it said last.
    pub detail: Arc<str>,
    /// How many seconds ago it ended.
    pub age: f64,
}

/// The sync thread of IPVS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LvsStatus {
    /// The interface to tell and to hear on.
    pub interface: Arc<str>,
    /// Which hosts belong together.
    pub sync_id: u8,
    /// What it should be; `null` when there should be none.
    pub role: Option<LvsRole>,
    /// Why it is not so, in words. The engine knows nothing of this and the next; whoever starts the
    /// thread fills both in.
    #[serde(default)]
    pub error: Option<Arc<str>>,
    /// How often somebody had stopped or changed it and it was put right.
    #[serde(default)]
    pub repairs: u64,
}

/// What runs where a router is master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesStatus {
    /// The units in the order in which they are started, the target first.
    pub units: Vec<ResourceStatus>,
    /// Why the router is kept from being master, or is about to be.
    pub failure: Option<Arc<str>>,
    /// In how many seconds they may be tried again.
    pub retry_in: Option<f64>,
}

/// One unit of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    /// Its name.
    pub unit: Arc<str>,
    /// What was done to it: `starting`, `started`, `stopping`, `stopped`, `failed` or `unknown`.
    pub state: Arc<str>,
    /// How it is, in systemd's words, unless it is simply active.
    pub detail: Arc<str>,
}

/// One transition of the past.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransitionStatus {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub cause: Arc<str>,
    /// The effective priority at that moment.
    pub priority: Priority,
    /// How many seconds ago.
    pub age: f64,
}

/// What a router counts, from its start on; a reload keeps the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Advertisements sent, resignations not counted.
    pub adverts_sent: u64,
    /// Advertisements received and accepted, resignations counted in.
    pub adverts_received: u64,
    /// Advertisements of priority 0 sent.
    pub resignations_sent: u64,
    /// Advertisements of priority 0 received.
    pub resignations_received: u64,
    /// How often it became master.
    pub became_master: u64,
    /// How often it announced addresses; one for all addresses together.
    pub announcements: u64,
    /// Addresses that somebody took away and that were put back.
    pub repairs: u64,
    /// Addresses that were found on a router that is not master, and taken off.
    pub strays: u64,
    /// Routes and rules of a master that were gone and were put back.
    #[serde(default)]
    pub routing_repairs: u64,
    /// Routes and rules that were found on a router that is not master, and taken away.
    #[serde(default)]
    pub routing_strays: u64,
    /// How often it woke too late to trust its own silence and listened anew.
    pub late_wakeups: u64,
    /// Short absences of its interface or of the address it sends from that caused no fault.
    #[serde(default)]
    pub interruptions: u64,
    /// Advertisements of lower precedence heard while it was master.
    pub second_masters: u64,
    /// Received advertisements whose checksum covers the pseudo-header (version 3).
    pub checksums_with_pseudo_header: u64,
    /// Received advertisements whose checksum covers the message only.
    pub checksums_message_only: u64,
    /// Received advertisements that counted without an HMAC, which the mode let pass.
    #[serde(default)]
    pub adverts_without_hmac: u64,
    /// Received advertisements that list other addresses than ours.
    pub address_list_differs: u64,
    /// Received advertisements whose interval is not ours (version 3).
    pub interval_differs: u64,
    /// Received packets that were dropped, by cause.
    pub dropped: DropCounts,
}

/// One tracker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackerStatus {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The verdict, whether the checked thing is up; `null` before the first one.
    pub up: Option<bool>,
    /// The number that it says, where it says one.
    #[serde(default)]
    pub value: Option<i64>,
    /// For how many seconds the verdict has been such.
    #[serde(default)]
    pub age: Option<f64>,
    /// In how many seconds the verdict is another one unless that is found to be wrong; `null` if
    /// nothing speaks against it.
    #[serde(default)]
    pub changes_in: Option<f64>,
    /// What it said last.
    pub detail: Arc<str>,
    /// How many results there were.
    pub results: u64,
    /// How many of them were bad.
    pub failures: u64,
}
