//! State of the engine as one value, which status, JSON and metrics render.

use core::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::notify::event::Event;
use crate::operator::CommandKind;
use crate::params::{HmacMode, LvsRole};
use crate::reasons::Due;
use crate::types::{Family, InterfaceAddress, Priority, State, Version, Vrid};
use crate::wire::hmac::KeyId;
use crate::wire::{ChecksumForm, DropCounts};

/// State of the node at one moment. Ages are in seconds at that moment.
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
    /// Dropped packets that belong to none of the configured routers.
    pub dropped: DropCounts,
    /// Standing commands of the operator: the drain first, then those for one router, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandStatus>,
    /// Reason why the standing commands of a former run are not in force. The engine leaves this empty;
    /// the reader of their file fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread_commands: Option<Arc<str>>,
    /// Packets lost because a receive buffer overflowed. The engine leaves this 0; the reader of
    /// the sockets fills it in.
    #[serde(default)]
    pub lost: u64,
    /// Process of the daemon. The engine leaves this empty; the services fill it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon: Option<DaemonStatus>,
}

/// Process of the daemon, and its configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonStatus {
    /// Version of the program.
    pub version: Arc<str>,
    /// Start of the process by the wall clock of that moment, in seconds since the Unix epoch.
    pub started_at: f64,
    /// Number of reloads of the configuration that succeeded.
    pub reloads: u64,
    /// Number of reloads that failed; the configuration in force stayed.
    pub failed_reloads: u64,
    /// Last reload, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reload: Option<ReloadStatus>,
}

/// Result of a reload of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadStatus {
    /// Seconds since its end.
    pub age: f64,
    /// Kind of the failure, if it failed. The log has the mistakes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
}

/// Number of transitions that a router keeps for its status.
pub const HISTORY: usize = 16;

/// Virtual address of a master that the kernel does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingAddress {
    /// The address.
    pub address: InterfaceAddress,
    /// The interface.
    pub interface: Arc<str>,
    /// The kernel's last error, if it rejected the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
}

/// Family in which no advertisement of a router leaves this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnsentStatus {
    /// The family.
    pub family: Family,
    /// The kernel's last error.
    pub error: Arc<str>,
    /// Seconds since the first of these errors.
    pub age: f64,
}

/// State of a virtual router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouterStatus {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Name of the interface.
    pub interface: Arc<str>,
    /// VRID.
    pub virtual_router_id: Vrid,
    /// VRRP version.
    pub version: Version,
    /// Its state.
    pub state: State,
    /// Seconds since the last change of state.
    pub state_age: f64,
    /// Cause of the state.
    pub cause: Arc<str>,
    /// Seconds until the router enters fault for `cause`, while the cause is tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_in: Option<f64>,
    /// Seconds for which a router that was master until it was stopped or yielded on purpose holds its
    /// addresses at most, unless a successor advertises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases_in: Option<f64>,
    /// Advertisements because of which a take-over that was due is withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<WithheldStatus>,
    /// On a backup: seconds until the silence of its unicast peers counts, if they may not be able to reach
    /// it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_counts_in: Option<f64>,
    /// Reason why the interface has no link, if that is no fault (`trackInterface = false`). The
    /// router then neither sends nor receives advertisements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_link: Option<Arc<str>>,
    /// On a backup: reason why it does not take over although no master of its priority or a higher one
    /// is heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_off: Option<HoldOffStatus>,
    /// The next deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextStatus>,
    /// Number of transitions in the last minute, if there are ten or more; [`HISTORY`] stands for any
    /// greater number too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flapping: Option<usize>,
    /// Families in which the kernel rejects the router's advertisements. A master that can send in none
    /// yields to any other master, and does not preempt it until a reload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsent: Vec<UnsentStatus>,
    /// Last claim of one of the virtual addresses by another host, for ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_conflict: Option<ConflictStatus>,
    /// Standing commands of the operator that concern the router: the drain of the host, those for the
    /// router, and a step-down of its sync group. None concerns an owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandStatus>,
    /// Priority, and the trackers and commands that change it.
    pub priority: PriorityStatus,
    /// Whether the router takes over from a master of lower priority.
    #[serde(default)]
    pub preempt: bool,
    /// Advertisement interval, in seconds.
    pub advert_interval: f64,
    /// Source address of advertisements: the IPv4 one, if the router has addresses of both
    /// families.
    pub source: Option<IpAddr>,
    /// IPv6 source address of advertisements, if the router has addresses of both families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ipv6: Option<IpAddr>,
    /// On a backup: the master, known from its advertisements.
    pub master: Option<PeerStatus>,
    /// Virtual addresses.
    pub addresses: Arc<[InterfaceAddress]>,
    /// Virtual addresses that a master wants and the kernel does not have. The engine leaves this
    /// empty; the node fills it in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingAddress>,
    /// Routes that exist while the router is master, in the syntax of ip-route(8).
    #[serde(default)]
    pub routes: Vec<String>,
    /// Rules that exist while the router is master, in the syntax of ip-rule(8).
    #[serde(default)]
    pub rules: Vec<String>,
    /// Form of the checksum in sent advertisements, learned from received ones (version 3).
    pub checksum: ChecksumForm,
    /// Other routers of this virtual router, known from their advertisements, up to 8.
    #[serde(default)]
    pub others: Vec<OtherRouter>,
    /// Authentication by HMAC, where configured.
    #[serde(default)]
    pub hmac: Option<HmacStatus>,
    /// Unicast peers, where configured.
    #[serde(default)]
    pub unicast: Option<UnicastStatus>,
    /// Notifications of transitions, where configured. The engine leaves this empty; the notifier
    /// fills it in.
    #[serde(default)]
    pub notify: Option<NotifyStatus>,
    /// Synchronisation of IPVS connections, where configured.
    #[serde(default)]
    pub lvs: Option<LvsStatus>,
    /// Resources that run on the master, where configured.
    #[serde(default)]
    pub resources: Option<ResourcesStatus>,
    /// Counters.
    pub counters: Counters,
    /// Last transitions, oldest first.
    pub history: Vec<TransitionStatus>,
}

/// Reason why a backup does not take over, or not yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldOffStatus {
    /// The reason.
    pub reason: HoldOffReason,
    /// Remaining seconds, if the reason ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_in: Option<f64>,
}

/// Kind of a hold-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HoldOffReason {
    /// The startup delay (`startupDelay`).
    StartupDelay,
    /// The hold-down after several take-overs in quick succession.
    Flapping,
    /// The preempt delay (`preemptDelay`) for a master of lower priority.
    PreemptDelay,
    /// `preempt` is false, and the master has a lower priority.
    NoPreemption,
    /// No advertisement left this host when the router was master last.
    Unsent,
}

/// Next deadline of a router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NextStatus {
    /// Event that is due then.
    pub due: Due,
    /// Remaining seconds; 0 for a deadline that has passed.
    #[serde(rename = "in")]
    pub left: f64,
}

/// Advertisements that arrive at the interface and are dropped by this host before its sockets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WithheldStatus {
    /// Sender.
    pub source: IpAddr,
    /// The likely causes, in words.
    pub reason: Arc<str>,
    /// Seconds since the arrival of the last one that was read.
    pub age: f64,
}

/// Claim of a virtual address by another host, while this one is master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictStatus {
    /// The address.
    pub address: IpAddr,
    /// Hardware address of the other host.
    pub mac: String,
    /// Interface at which the claim arrived.
    pub interface: Arc<str>,
    /// Seconds since the claim.
    pub age: f64,
}

/// Standing command of the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandStatus {
    /// Kind of the command.
    pub command: CommandKind,
    /// Router that it is for, or `None` for the whole host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Arc<str>>,
    /// Priority instead of the configured one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Whether a router that leaves mastership to other hosts becomes master if no other host does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_resort: Option<bool>,
    /// User who gave it: `alice (uid 1000)`.
    pub by: Arc<str>,
    /// Reason in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// Seconds until its end, or `None` if only another command ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_in: Option<f64>,
}

/// State of a sync group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupStatus {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Common state of all members.
    pub state: State,
    /// Seconds since the last change of state.
    pub state_age: f64,
    /// Names of the members, in the configured order.
    pub members: Vec<Arc<str>>,
    /// Member that made the group change its state, or that keeps the group in fault.
    pub decided_by: Option<Arc<str>>,
    /// Cause of the group's state: that of the member in `decidedBy`.
    pub cause: Arc<str>,
    /// Notifications of the group, as in a router's status.
    #[serde(default)]
    pub notify: Option<NotifyStatus>,
}

/// Priority of a router, and the trackers that change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriorityStatus {
    /// Configured priority.
    pub configured: Priority,
    /// Advertised priority.
    pub effective: Priority,
    /// Trackers and standing commands that change the priority, with their contribution: `httpd -20`,
    /// `drain -79`.
    pub reasons: Vec<String>,
    /// Trackers of the router, in the order of the configuration.
    #[serde(default)]
    pub tracks: Vec<TrackStatus>,
}

/// Effect of a tracker on a router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackStatus {
    /// Name of the tracker.
    pub tracker: Arc<str>,
    /// Weight; `null` if the router is in fault while the tracker is down.
    pub weight: Option<i16>,
    /// Present contribution to the priority.
    pub contribution: i16,
    /// Reason why the tracker puts the router in fault, if it does.
    pub fault: Option<String>,
}

/// Another router, known from its advertisements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// Address.
    pub address: IpAddr,
    /// Last advertised priority; 0 after a resignation.
    pub priority: u8,
    /// Seconds since the first of its advertisements that no other router interrupted.
    #[serde(default)]
    pub heard_for: f64,
}

/// Another router of the same virtual router, with its last advertisement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherRouter {
    /// Address.
    pub address: IpAddr,
    /// Advertised priority; 0 after a resignation.
    pub priority: u8,
    /// Seconds since its last advertisement.
    pub age: f64,
    /// Its advertisement interval, in seconds. Version 2 accepts no other interval than the own one.
    #[serde(default)]
    pub interval: f64,
    /// Form of its checksum, where there are several: IPv4 of version 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<ChecksumForm>,
    /// Differences between its advertisements and this router's configuration, in words. Its
    /// advertisements are still accepted.
    pub differences: Vec<String>,
}

/// Authentication by HMAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HmacStatus {
    /// Which routers have to sign.
    pub mode: HmacMode,
    /// Id of the key that the router signs with, unless the mode is `receiveOnly`.
    pub active_key: KeyId,
    /// Ids of all keys that are accepted.
    pub accepted_keys: Vec<KeyId>,
    /// Senders of advertisements with a correct HMAC, the most recent one last.
    pub senders: Vec<SenderStatus>,
}

/// Sender of signed advertisements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SenderStatus {
    /// Address.
    pub address: IpAddr,
    /// Id of the key in its last advertisement.
    pub key: KeyId,
    /// Seconds by which its wall clock was ahead of this host's at its last advertisement; negative
    /// if behind.
    pub ahead: i64,
}

/// Advertisements to unicast peers instead of the multicast group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnicastStatus {
    /// Peers.
    pub peers: Vec<UnicastPeerStatus>,
    /// Senders that are accepted while the name of a peer is not resolved, and to which the router
    /// advertises too.
    #[serde(default)]
    pub senders: Vec<IpAddr>,
    /// TTL or hop limit of sent advertisements.
    pub ttl: u8,
    /// Minimum TTL or hop limit of accepted advertisements.
    pub min_ttl: u8,
}

/// A unicast peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnicastPeerStatus {
    /// Name or address in the configuration.
    pub peer: String,
    /// Addresses; none while the name is not resolved.
    pub addresses: Vec<IpAddr>,
    /// Former addresses of the name that are still peers, because they advertise, or did so or were
    /// the answer of the name service a few minutes ago.
    #[serde(default)]
    pub former: Vec<IpAddr>,
}

/// Notifications of a router or a sync group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyStatus {
    /// Event of the running notification.
    pub running: Option<Event>,
    /// Events of the queued notifications.
    pub waiting: Vec<Event>,
    /// Number of states without a notification, because a newer state replaced them in the queue.
    pub dropped: u64,
    /// Number of commands run.
    pub runs: u64,
    /// Number of failed commands.
    pub failures: u64,
    /// Command that ended last.
    pub last: Option<NotifyRunStatus>,
}

/// An ended notification command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotifyRunStatus {
    /// Event that the command was run for.
    pub event: Event,
    /// Whether the command succeeded (exit status 0).
    pub succeeded: bool,
    /// Exit status and last line of output.
    pub detail: Arc<str>,
    /// Seconds since the end of the command.
    pub age: f64,
}

/// State of the IPVS sync daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LvsStatus {
    /// Interface on which connections are sent and received.
    pub interface: Arc<str>,
    /// Sync id: hosts with the same id share their connections.
    pub sync_id: u8,
    /// Desired role; `null` if no sync daemon should run.
    pub role: Option<LvsRole>,
    /// Reason why the sync daemon is not as desired. The engine leaves this and `repairs` empty;
    /// the reconciler fills both in.
    #[serde(default)]
    pub error: Option<Arc<str>>,
    /// Number of times that another program stopped or changed the sync daemon and it was restored.
    #[serde(default)]
    pub repairs: u64,
}

/// Resources of a router: units that run while it is master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesStatus {
    /// Units in the order of their start, the target first.
    pub units: Vec<ResourceStatus>,
    /// Reason why the router is inhibited, or is about to be.
    pub failure: Option<Arc<str>>,
    /// Seconds until the next attempt to start the units.
    pub retry_in: Option<f64>,
}

/// A unit of the resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    /// Name.
    pub unit: Arc<str>,
    /// Result of the last job: `starting`, `started`, `stopping`, `stopped`, `failed` or `unknown`.
    pub state: Arc<str>,
    /// State in systemd's terms, unless the unit is active.
    pub detail: Arc<str>,
}

/// A past transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransitionStatus {
    /// Former state.
    pub from: State,
    /// New state.
    pub to: State,
    /// Cause.
    pub cause: Arc<str>,
    /// Effective priority at that moment.
    pub priority: Priority,
    /// Seconds since the transition.
    pub age: f64,
}

/// Counters of a router since its start. A reload keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Advertisements sent, without those of priority 0. Those without a destination or a link count,
    /// and those that the kernel rejected (`advertsUnsent`).
    pub adverts_sent: u64,
    /// Messages with advertisements that the kernel did not send: one for each family and peer.
    #[serde(default)]
    pub adverts_unsent: u64,
    /// Advertisements received and accepted, including those of priority 0.
    pub adverts_received: u64,
    /// Advertisements of priority 0 sent.
    pub resignations_sent: u64,
    /// Advertisements of priority 0 received.
    pub resignations_received: u64,
    /// Transitions to master.
    pub became_master: u64,
    /// Announcements; one for all addresses together.
    pub announcements: u64,
    /// Virtual addresses that another program deleted and that were added again.
    pub repairs: u64,
    /// Virtual addresses that were found while the router was not master, and deleted.
    pub strays: u64,
    /// Routes and rules of a master that were deleted and added again.
    #[serde(default)]
    pub routing_repairs: u64,
    /// Routes and rules that were found while the router was not master, and deleted.
    #[serde(default)]
    pub routing_strays: u64,
    /// Late wake-ups of a backup: the master-down timer was restarted, because advertisements may
    /// have been missed.
    pub late_wakeups: u64,
    /// Take-overs that were due and withheld, because advertisements of a living master arrive at the
    /// interface and are dropped by this host.
    #[serde(default)]
    pub withheld: u64,
    /// Short absences of the interface or of the source address that caused no fault.
    #[serde(default)]
    pub interruptions: u64,
    /// Advertisements of lower precedence received while master.
    pub second_masters: u64,
    /// ARP packets and neighbour advertisements by which another host claimed a virtual address while this
    /// one was master. Of a flood only those count that the receive buffer held.
    #[serde(default)]
    pub address_conflicts: u64,
    /// Number of times that all other masters beside this one have gone: they resigned, yielded or
    /// fell silent.
    #[serde(default)]
    pub contests: u64,
    /// Received advertisements with a checksum over message and pseudo-header (version 3).
    pub checksums_with_pseudo_header: u64,
    /// Received advertisements with a checksum over the message only.
    pub checksums_message_only: u64,
    /// Accepted advertisements without an HMAC, where the mode allows them.
    #[serde(default)]
    pub adverts_without_hmac: u64,
    /// Received advertisements with another address list than this router's.
    pub address_list_differs: u64,
    /// Received advertisements with another interval than this router's (version 3).
    pub interval_differs: u64,
    /// Dropped packets, by cause.
    pub dropped: DropCounts,
}

/// State of a tracker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackerStatus {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Verdict: whether the tracked object is up; `null` before the first verdict.
    pub up: Option<bool>,
    /// Reported number, if the tracker reports one.
    #[serde(default)]
    pub value: Option<i64>,
    /// Seconds since the last change of the verdict.
    #[serde(default)]
    pub age: Option<f64>,
    /// Seconds until the verdict changes unless a result contradicts the change; `null` if no
    /// change is pending.
    #[serde(default)]
    pub changes_in: Option<f64>,
    /// Last result in words.
    pub detail: Arc<str>,
    /// Number of results.
    pub results: u64,
    /// Number of bad results.
    pub failures: u64,
}
