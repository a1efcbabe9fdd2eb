//! The engine: all virtual routers of a node.
//!
//! [`Engine::handle`] takes every input, [`Engine::poll`] returns the outputs and has to be drained
//! after each call, and [`Engine::poll_timeout`] returns the time and the kind of the next
//! [`Tick`](Input::Tick). A caller that has packets and a tick at the same time hands in the
//! packets first: a queued advertisement proves that the master is alive, however late the caller
//! reads it.
//!
//! The cost of an event is that of the routers that it concerns, and log(n) to find them.

mod address_list;
mod admission;
mod conditions;
mod configure;
mod destinations;
mod effects;
mod grace;
mod group;
mod instance;
mod interfaces;
mod lvs;
mod operator;
mod packet;
mod peers;
mod rejections;
mod resume;
mod routing;
mod solicit;
mod witness;

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::destinations::Names;
use self::group::Group;
use self::instance::Instance;
use self::instance::attachment::Attachment;
use self::interfaces::Interfaces;
use crate::checkpoint::Checkpoint;
use crate::deadlines::Deadlines;
use crate::events::{
    DesiredLvs, DeviceState, HandOverEnd, Input, Link, Output, Report, Solicitation,
};
use crate::limiter::Limiter;
use crate::operator::StandingCommands;
use crate::params::{TrackerKind, Verdict};
use crate::reasons::{Cause, Due, FaultReason, Loss};
use crate::routing::Routed;
use crate::snapshot::{NextStatus, RouterStatus, Snapshot, TrackerStatus};
use crate::time::{Instant, WallClock};
use crate::track::Tracker;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, Priority, State, Vrid};
use crate::wire::DropCounts;

/// Position of a router in [`Engine::instances`], valid until the next reload.
type RouterId = usize;

/// All virtual routers of a node, their trackers, and the known state of the host's interfaces.
#[derive(Debug, Default)]
pub struct Engine {
    /// The routers, sorted by name.
    instances: Vec<Instance>,
    groups: Vec<Group>,
    deadlines: Deadlines,
    /// The times at which the routers begin to watch the wire.
    watches: Deadlines,
    /// Interfaces and VRIDs of the routers that began to watch the wire since the caller asked.
    begun_watches: Vec<(InterfaceIndex, Vrid)>,
    /// The routers that a tick serves. Empty between ticks; a field so that its allocation is
    /// reused.
    due: Vec<RouterId>,
    /// The router that receives a VRID on an interface, per family of the packets.
    bound: BTreeMap<(InterfaceIndex, Family, Vrid), RouterId>,
    /// The routers with a configured source address, which may be on any interface, by that
    /// address.
    sources: BTreeMap<IpAddr, Vec<RouterId>>,
    /// The routers and trackers that depend on an interface, by its name.
    users: BTreeMap<Arc<str>, Users>,
    trackers: BTreeMap<Arc<str>, Tracker>,
    /// The trackers with a verdict that changes without another result, and the time of the change.
    verdicts: BTreeSet<(Instant, Arc<str>)>,
    /// The routers in their grace (see the module `grace`), with the time at which a fault follows.
    graces: BTreeSet<(Instant, RouterId)>,
    /// The routers that hand over (see the module `hand_over`), with the time at which that ends.
    hand_overs: BTreeSet<(Instant, RouterId)>,
    /// The requests for unicast peers because of the present input (see the module `solicit`).
    solicited: BTreeSet<Solicitation>,
    /// Standing commands of the operator.
    commands: StandingCommands,
    /// The routers that follow a tracker.
    followers: BTreeMap<Arc<str>, Vec<RouterId>>,
    /// The router that a route or a rule is configured for.
    routed: BTreeMap<Routed, RouterId>,
    /// The router that determines the role of the IPVS sync daemon.
    synchronised: Option<RouterId>,
    /// The state of the IPVS sync daemon that was requested last.
    lvs: Option<DesiredLvs>,
    interfaces: Interfaces,
    /// Interfaces and families on which packets cannot be received, and why.
    deaf: BTreeMap<(InterfaceIndex, Family), Arc<str>>,
    names: Names,
    /// Error of the drop filter: the kernel cannot drop packets to virtual addresses.
    drop_filter_failed: Option<Arc<str>>,
    outputs: VecDeque<Output>,
    limiter: Limiter,
    wall_clock: WallClock,
    /// Whether a router uses the wall clock (HMAC with replay protection).
    wants_wall_clock: bool,
    /// Dropped packets that belong to no configured router.
    dropped: DropCounts,
    /// State that an earlier process has left for the next configuration.
    left: Option<Checkpoint>,
}

/// Routers and trackers that depend on one interface.
#[derive(Debug, Default)]
struct Users {
    routers: Vec<RouterId>,
    /// Trackers that watch the interface.
    trackers: Vec<Arc<str>>,
    /// The router that a virtual address on the interface belongs to.
    addresses: BTreeMap<IpAddr, RouterId>,
}

impl Engine {
    /// Creates an engine without routers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Handles one input. The caller then drains [`poll`](Self::poll).
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.solicited.clear();
        match input {
            Input::Resume(checkpoint) => self.left = Some(checkpoint),
            Input::Configure(params) => {
                self.configure(now, params);
                self.left = None;
            }
            Input::Link(link) => self.handle_link(now, link),
            Input::LinkRemoved(index) => {
                self.deaf.retain(|(on, _), _| *on != index);
                if let Some((names, addresses)) = self.interfaces.remove_link(index) {
                    for address in addresses {
                        self.refresh_senders(now, address.address);
                    }
                    for name in names {
                        self.forget_rejections(&name, None);
                        self.refresh_interface(now, &name);
                    }
                    self.want_lvs();
                }
            }
            Input::AddressAdded {
                interface,
                address,
                ours,
            } => {
                self.handle_address_added(now, interface, address, ours);
            }
            Input::AddressRemoved {
                interface,
                address,
                loss,
            } => {
                self.handle_address_removed(now, interface, address, loss);
            }
            Input::RoutingAdded(what) => self.handle_routing_added(now, what),
            Input::RoutingRemoved { what, loss } => {
                self.handle_routing_removed(now, &what, loss);
            }
            Input::Packet(packet) => self.handle_packet(now, &packet),
            Input::Witnessed(packets) => self.handle_witnessed(now, packets),
            Input::AddressConflict(conflict) => self.handle_conflict(now, &conflict),
            Input::Listening {
                interface,
                family,
                error,
            } => self.handle_listening(now, (interface, family), error),
            Input::Probe {
                tracker,
                result,
                detail,
            } => {
                self.handle_probe(now, tracker, result, detail);
            }
            Input::Resolved { name, addresses } => self.handle_resolved(now, name, addresses),
            Input::DropFilter(fault_reason) => {
                if self.drop_filter_failed != fault_reason {
                    self.drop_filter_failed = fault_reason;
                    for id in 0..self.instances.len() {
                        self.refresh_router(now, id);
                    }
                }
            }
            Input::Rejected {
                interface,
                address,
                error,
            } => self.handle_rejected(now, interface, address, error),
            Input::Unsent {
                interface,
                family,
                vrid,
                messages,
                error,
            } => self.handle_unsent(now, (interface, family, vrid), messages, error),
            Input::Inhibited { router, why } => self.handle_inhibited(now, router, why),
            Input::Command(command) => self.handle_command(now, command),
            Input::EndCommand { key, by } => self.end_command(now, &key, by),
            Input::Announce(router) => self.announce_by_order(now, router),
            Input::Overrun => {
                // Requests are idempotent: the receiver compares them with what the kernel holds.
                for id in 0..self.instances.len() {
                    self.wake(now, id);
                    self.want(id, &[]);
                    self.want_routing(id, Vec::new());
                    self.look_for_unheard(id);
                }
                self.want_lvs_again();
            }
            Input::WallClock(shows) => self.wall_clock = WallClock::new(now, shows),
            Input::Tick => self.handle_tick(now),
            Input::Leave => self.prepare_to_leave(now),
            Input::Stop => {
                for id in 0..self.instances.len() {
                    self.wake(now, id);
                    if self.instances[id].router.state() == State::Init {
                        self.end_hand_over(now, id, HandOverEnd::Stopped);
                    }
                    let reaction = self.instances[id].router.stop(Cause::Stopped);
                    self.react(now, id, reaction);
                }
            }
        }
    }

    /// Returns the next output, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns the time of the next [`Tick`](Input::Tick) and what is due then. Every call of
    /// [`handle`](Self::handle) may change it.
    pub fn poll_timeout(&self) -> Option<(Instant, Due)> {
        let router = self.deadlines.first().and_then(|(at, id)| {
            let instance = &self.instances[id];
            match instance.group {
                // In a group of backups the deadline is that of the whole group, set by `set_deadlines`.
                Some(_) if instance.router.state() == State::Backup => Some((at, Due::TakeOver)),
                Some(_) | None => instance.router.deadline(),
            }
        });
        let verdict = self.verdicts.first().map(|(at, _)| (*at, Due::Verdict));
        let grace = self.graces.first().map(|(at, _)| (*at, Due::Grace));
        let watch = self.watches.first().map(|(at, _)| (at, Due::Watch));
        let hand_over = self.hand_overs.first().map(|(at, _)| (*at, Due::HandOver));
        let command = self.commands.next_end().map(|at| (at, Due::Command));
        let due = [router, verdict, grace, watch, hand_over, command];
        let due = due.into_iter().flatten();
        due.min_by_key(|(at, _)| *at)
    }

    /// Whether a take-over is due. If so, the caller hands in every packet that has arrived by
    /// `now` before the next [`Tick`](Input::Tick), however many there are: one of them may be the
    /// master's.
    pub fn is_take_over_due(&self, now: Instant) -> bool {
        let alone = self
            .instances
            .iter()
            .filter(|instance| instance.group.is_none());
        let mut groups = 0..self.groups.len();
        alone
            .filter_map(|instance| instance.router.deadline())
            .any(|(at, due)| due == Due::TakeOver && at <= now)
            || groups.any(|group| self.over_at(now, group).is_some_and(|at| at <= now))
    }

    /// Whether a router uses the wall clock: see [`Input::WallClock`].
    pub const fn wants_wall_clock(&self) -> bool {
        self.wants_wall_clock
    }

    /// Returns the interfaces, families and VRIDs for which the engine expects packets.
    pub fn listeners(&self) -> impl Iterator<Item = (InterfaceIndex, Family, Vrid)> + '_ {
        self.bound.keys().copied()
    }

    /// Returns the virtual addresses that this node holds as master or for a successor, with their interfaces.
    pub fn held(&self) -> impl Iterator<Item = (InterfaceIndex, InterfaceAddress)> + '_ {
        self.instances.iter().flat_map(Instance::held)
    }

    /// Returns the virtual addresses that a router holds as master or for its successor, with their
    /// interfaces.
    pub fn held_by<'a>(
        &'a self,
        router: &str,
    ) -> impl Iterator<Item = (InterfaceIndex, InterfaceAddress)> + use<'a> {
        let instance = self.position(router).map(|id| &self.instances[id]);
        instance.into_iter().flat_map(Instance::held)
    }

    /// Position of a router.
    fn position(&self, router: &str) -> Option<RouterId> {
        // Sorted by name, as `configure` receives a sorted map.
        self.instances
            .binary_search_by(|instance| (*instance.name).cmp(router))
            .ok()
    }

    /// Returns the names of the interfaces with virtual MAC addresses that the running routers
    /// require.
    pub fn devices(&self) -> impl Iterator<Item = &Arc<str>> + '_ {
        self.devices_of(|instance, family| {
            instance.router.state() != State::Init || instance.keeps(family)
        })
    }

    /// Returns the names of the interfaces with virtual MAC addresses from which this node serves as
    /// master, or for a successor.
    pub fn serving_devices(&self) -> impl Iterator<Item = &Arc<str>> + '_ {
        self.devices_of(Instance::holds)
    }

    fn devices_of(
        &self,
        is_meant: fn(&Instance, Family) -> bool,
    ) -> impl Iterator<Item = &Arc<str>> + '_ {
        self.instances.iter().flat_map(move |instance| {
            instance
                .attachments
                .iter()
                .filter(|attachment| attachment.virtual_mac.is_some())
                .filter(move |attachment| is_meant(instance, attachment.family))
                .map(|attachment| &attachment.device)
        })
    }

    /// Returns the state of every router, sorted by name.
    pub fn states(&self) -> impl Iterator<Item = (&Arc<str>, State)> + '_ {
        self.instances
            .iter()
            .map(|instance| (&instance.name, instance.router.state()))
    }

    /// Returns the names of the routers in their grace: the interface or address is missing for a
    /// moment.
    pub fn interrupted(&self) -> impl Iterator<Item = &Arc<str>> {
        self.graces.iter().map(|(_, id)| &self.instances[*id].name)
    }

    /// Returns the status of the whole node. The cost grows with the number of routers.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let take_overs: Vec<Option<Instant>> = (0..self.groups.len())
            .map(|group| self.over_at(now, group))
            .collect();
        Snapshot {
            instances: self
                .instances
                .iter()
                .map(|instance| RouterStatus {
                    next: next(now, instance, &take_overs),
                    without_link: self
                        .without_link(instance)
                        .map(|fault_reason| fault_reason.to_string().into()),
                    commands: self.commands_of(now, instance),
                    ..instance.status(now, &self.trackers, &self.names)
                })
                .collect(),
            commands: self.command_statuses(now),
            unread_commands: None,
            groups: self
                .groups
                .iter()
                .map(|group| self.group_status(now, group))
                .collect(),
            trackers: self
                .trackers
                .iter()
                .map(|(name, tracker)| tracker_status(now, name, tracker))
                .collect(),
            dropped: self.dropped,
            lost: 0,
            daemon: None,
        }
    }

    fn handle_tick(&mut self, now: Instant) {
        // Commands and verdicts first: they change priorities and faults, on which the due actions below
        // depend.
        self.expire_commands(now);
        for name in self.due_verdicts(now) {
            self.judge(now, &name, |tracker| tracker.settle(now));
        }
        for id in self.due_graces(now) {
            self.cut_grace(now, id);
        }
        self.cut_hand_overs(now);
        self.begin_watches(now);
        // Each due router is served exactly once, so that a tick ends even if reactions schedule
        // more.
        let mut due = core::mem::take(&mut self.due);
        self.deadlines.take_due(now, &mut due);
        for id in due.drain(..) {
            match self.instances[id].group {
                None => {
                    // During its grace a backup may have missed advertisements: a fault instead of
                    // a take-over.
                    if self.instances[id].router.state() == State::Backup {
                        self.cut_grace(now, id);
                    }
                    let reaction = self.instances[id].router.handle_tick(now);
                    self.react(now, id, reaction);
                }
                Some(group) => self.tick_member(now, id, group),
            }
        }
        self.due = due;
        debug_assert!(
            self.poll_timeout().is_none_or(|(at, _)| at > now),
            "still due after it was served: {:?}",
            self.poll_timeout()
        );
    }

    /// Returns the trackers with a verdict that changes by `now`, the earliest first.
    fn due_verdicts(&self, now: Instant) -> Vec<Arc<str>> {
        let due = self.verdicts.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, name)| Arc::clone(name)).collect()
    }

    fn handle_link(&mut self, now: Instant, link: Link) {
        for name in self.interfaces.set_link(link) {
            self.forget_rejections(&name, None);
            self.refresh_interface(now, &name);
        }
        self.want_lvs();
    }

    fn handle_address_added(
        &mut self,
        now: Instant,
        interface: InterfaceIndex,
        address: InterfaceAddress,
        ours: bool,
    ) {
        let is_first = !self
            .interfaces
            .has_own_address(interface, address.family(), |_| false);
        let name = if ours {
            self.interfaces.name(interface).cloned()
        } else {
            self.interfaces.add_address(interface, address)
        };
        let Some(name) = name else { return };
        if is_first && !ours {
            self.forget_rejections(&name, Some(address.family()));
        }
        self.refresh_senders(now, address.address);
        let Some(users) = self.users.get(&name) else {
            return;
        };
        match users.addresses.get(&address.address).copied() {
            Some(id) => {
                let attachment = self.instances[id].attachment_of(address.address);
                // Our own marked address (IFA_PROTO) is a leftover; only foreign ones may be the
                // host's own.
                let spared = !ours
                    && attachment.is_some_and(|attachment| {
                        self.spares_foreign(id, &self.instances[id].attachments[attachment], &[])
                    });
                let instance = &mut self.instances[id];
                if let Some(attachment) = attachment.filter(|_| spared) {
                    instance.attachments[attachment].spared_foreign = true;
                }
                if !instance.holds(address.family()) && !spared {
                    instance.counters.strays += 1;
                    let router = Arc::clone(&instance.name);
                    self.outputs.push_back(Output::Report(Report::Stray {
                        router,
                        interface,
                        address,
                        done: false,
                    }));
                    self.want(id, &[]);
                }
                // For an address owner the address can be the source of its advertisements.
                self.refresh_router(now, id);
            }
            // The address can be the source address that routers in fault lack.
            None => {
                self.refresh_interface(now, &name);
                self.solicit_network(now, &name, address);
            }
        }
    }

    fn handle_address_removed(
        &mut self,
        now: Instant,
        interface: InterfaceIndex,
        address: InterfaceAddress,
        loss: Loss,
    ) {
        let Some(name) = self.interfaces.remove_address(interface, address) else {
            return;
        };
        self.refresh_senders(now, address.address);
        let holder = self
            .users
            .get(&name)
            .and_then(|users| users.addresses.get(&address.address).copied())
            .filter(|id| self.instances[*id].params.addresses.contains(&address));
        let Some(id) = holder else {
            self.refresh_interface(now, &name);
            return;
        };
        self.wake(now, id);
        if self.instances[id].router.state() == State::Master {
            self.repair(now, id, address, loss);
        }
    }

    /// Restores an address that disappeared from a master. The router stays master.
    fn repair(&mut self, now: Instant, id: RouterId, address: InterfaceAddress, loss: Loss) {
        let instance = &self.instances[id];
        let attachment = instance.attachment_of(address.address);
        let waits = attachment.is_some_and(|number| self.awaits_own_address(id, number));
        let instance = &mut self.instances[id];
        if waits && let Some(grace) = &mut instance.grace {
            grace.lose_address(address, loss);
            return;
        }
        if instance.params.priority.is_owner()
            && let Some(attachment) = attachment
            && let Some(index) = instance.attachments[attachment].index
        {
            // The owner may send its advertisements from this address.
            self.interfaces.restore(index, address);
        }
        self.report_repair(id, address, loss);
        self.note_repair(now, id, address);
        self.want(id, &[]);
        self.announce(id, &[address]);
        if self.instances[id].grace.is_some() {
            // An owner has a source address again.
            self.refresh_router(now, id);
        }
    }

    /// Counts and reports an address of a master that is requested again.
    fn report_repair(&mut self, id: RouterId, address: InterfaceAddress, loss: Loss) {
        let instance = &mut self.instances[id];
        let attachment = instance.attachment_of(address.address);
        // A reload during the grace may have removed the address.
        let Some(interface) = attachment.and_then(|number| instance.attachments[number].index)
        else {
            return;
        };
        instance.counters.repairs += 1;
        self.outputs.push_back(Output::Report(Report::Repaired {
            router: Arc::clone(&instance.name),
            interface,
            address,
            loss,
            done: false,
        }));
    }

    /// Reassesses the routers with this address as configured source, on any interface.
    fn refresh_senders(&mut self, now: Instant, address: IpAddr) {
        for id in self.sources.get(&address).cloned().unwrap_or_default() {
            self.begin_grace(now, id);
            self.refresh_router(now, id);
        }
    }

    fn handle_resolved(&mut self, now: Instant, name: &str, addresses: &[IpAddr]) {
        // A reload may have removed the name since the query was sent.
        let Some((name, known)) = self.names.get_key_value(name) else {
            return;
        };
        if **known == *addresses {
            return;
        }
        let name = Arc::clone(name);
        let gone: Vec<IpAddr> = known
            .iter()
            .copied()
            .filter(|a| !addresses.contains(a))
            .collect();
        self.names.insert(Arc::clone(&name), addresses.into());
        for id in 0..self.instances.len() {
            let instance = &mut self.instances[id];
            let unicast = instance.params.unicast.as_ref();
            if !unicast.is_some_and(|unicast| unicast.names().any(|peer| *peer == name)) {
                continue;
            }
            instance.retire(now, &name, &gone);
            instance.set_peers(now, &self.names);
            instance.prepare();
            self.solicit(now, id);
            self.update_deadline(now, id);
        }
    }

    fn handle_listening(
        &mut self,
        now: Instant,
        path: (InterfaceIndex, Family),
        error: Option<Arc<str>>,
    ) {
        let former = match &error {
            Some(error) => self.deaf.insert(path, Arc::clone(error)),
            None => self.deaf.remove(&path),
        };
        let (interface, _) = path;
        if former != error
            && let Some(name) = self.interfaces.name(interface).cloned()
        {
            self.refresh_interface(now, &name);
        }
    }

    fn handle_inhibited(&mut self, now: Instant, router: &str, why: Option<Arc<str>>) {
        let Some(id) = self.position(router) else {
            return;
        };
        let resources = &mut self.instances[id].conditions.resources;
        if *resources != why {
            *resources = why;
            self.refresh_router(now, id);
        }
    }

    fn handle_probe(&mut self, now: Instant, name: &str, result: Verdict, detail: Arc<str>) {
        let Some((name, tracker)) = self.trackers.get_key_value(name) else {
            return;
        };
        if matches!(tracker.params.kind, TrackerKind::Probe { .. }) {
            let name = Arc::clone(name);
            self.judge(now, &name, |tracker| {
                tracker.handle_result(now, result, detail)
            });
        }
    }

    /// Feeds a tracker by `take`, reports a verdict that changed between up and down, and
    /// reassesses the routers that follow the tracker.
    fn judge(
        &mut self,
        now: Instant,
        name: &Arc<str>,
        take: impl FnOnce(&mut Tracker) -> Option<Verdict>,
    ) {
        let Some(tracker) = self.trackers.get_mut(name) else {
            return;
        };
        let due = tracker.due();
        let former = take(tracker);
        if tracker.due() != due {
            if let Some(at) = due {
                self.verdicts.remove(&(at, Arc::clone(name)));
            }
            if let Some(at) = tracker.due() {
                self.verdicts.insert((at, Arc::clone(name)));
            }
        }
        let Some(former) = former else { return };
        let Verdict { up, .. } = tracker.verdict();
        // A value alone changes weights and no verdict: no report, but the followers need it.
        if up != former.up {
            self.outputs.push_back(Output::Report(Report::Verdict {
                tracker: Arc::clone(name),
                up,
                detail: Arc::clone(&tracker.detail),
            }));
        }
        for id in self.followers.get(name).cloned().unwrap_or_default() {
            self.refresh_router(now, id);
        }
    }

    /// Reassesses the routers and trackers that depend on an interface.
    fn refresh_interface(&mut self, now: Instant, name: &Arc<str>) {
        let Some(users) = self.users.get(name) else {
            return;
        };
        let (routers, trackers) = (users.routers.clone(), users.trackers.clone());
        // Graces begin before a tracker of the same interface reassesses these routers.
        for id in &routers {
            self.begin_grace(now, *id);
        }
        for tracker in trackers {
            self.refresh_tracker(now, &tracker);
        }
        for id in routers {
            self.refresh_router(now, id);
        }
    }

    /// Feeds a tracker that watches an interface with the present state of the interface.
    fn refresh_tracker(&mut self, now: Instant, name: &Arc<str>) {
        let Some(tracker) = self.trackers.get(name) else {
            return;
        };
        let TrackerKind::Interface { name: interface } = &tracker.params.kind else {
            return;
        };
        let (up, detail) = match self.interfaces.check_link(interface) {
            Ok(_) => (true, format!("interface {interface} is up")),
            Err(fault_reason) => (false, fault_reason.to_string()),
        };
        self.judge(now, name, |tracker| tracker.observe(now, up, detail.into()));
    }

    /// Reassesses a router: its endpoint, its priority and its fault reason, in this order:
    ///
    /// 1. The new priority, so that a router that recovers uses it.
    /// 2. The fault or the move away from a former interface, which releases the addresses there.
    /// 3. The new endpoint.
    /// 4. The recovery, or the end of a grace.
    fn refresh_router(&mut self, now: Instant, id: RouterId) {
        self.wake(now, id);
        // A router that recovers below already uses the new priority.
        self.refresh_priorities(now, id);
        let (endpoint, fault_reason) = self.assess(id);
        if let Some(fault_reason) = &fault_reason {
            self.end_hand_over(now, id, HandOverEnd::Fault(fault_reason.clone()));
        }
        if self.tolerates(id, fault_reason.as_ref()) {
            self.leave_missing(id);
            self.stop_sparing(id);
            // That of a master is restored at the end of the grace.
            if self.instances[id].router.state() == State::Backup {
                self.mend_devices(id);
            }
            return;
        }
        let grace = self.end_grace(id);
        // A name that now means another interface: release the addresses there before the new one
        // gets them.
        let moved = self.moved(id).cloned().map(FaultReason::InterfaceMissing);
        let before = fault_reason.clone().or(moved);
        let is_up = before.is_none();
        if let Some(before) = before {
            self.end_hand_over(now, id, HandOverEnd::Fault(before.clone()));
            self.inhibit(now, id, Some(before));
        }
        let state = self.instances[id].router.state();
        let former = self.instances[id].endpoint;
        let has_moved = self.set_endpoint(id, endpoint);
        self.inhibit(now, id, fault_reason);
        self.report_link(now, id, former);
        let stays = self.instances[id].router.state() == state;
        if has_moved && stays && matches!(state, State::Backup | State::Fault) {
            // Addresses that this router must not hold may already be on the new interface.
            self.want(id, &[]);
        }
        self.instances[id].prepare();
        if stays && (grace.is_some() || endpoint != former) {
            // The peers may have no neighbour entry for this host, or one with the former MAC address.
            self.solicit(now, id);
        }
        match grace.filter(|_| is_up) {
            Some(grace) => self.resume(now, id, grace),
            None => self.announce_unheard(id),
        }
        self.stop_sparing(id);
        self.mend_devices(id);
    }

    /// Reports that a router that does not track its interface runs without a link, or has one again.
    /// From then on a silence proves something, and the neighbours receive announcements.
    fn report_link(&mut self, now: Instant, id: RouterId, former: Option<interfaces::Endpoint>) {
        let instance = &self.instances[id];
        let router = Arc::clone(&instance.name);
        let was_unlinked = former.is_some_and(|endpoint| !endpoint.has_link);
        if let Some(fault_reason) = self.without_link(instance) {
            if !was_unlinked {
                self.outputs.push_back(Output::Report(Report::LinkLost {
                    router,
                    fault_reason,
                }));
            }
        } else if was_unlinked && instance.endpoint.is_some() {
            self.outputs
                .push_back(Output::Report(Report::LinkRestored { router }));
            let reaction = self.instances[id].router.reconnect(now);
            self.react(now, id, reaction);
        }
    }

    /// Returns the name of a router's interface if it now means another interface or none, while
    /// the former interface still exists under another name.
    fn moved(&self, id: RouterId) -> Option<&Arc<str>> {
        let instance = &self.instances[id];
        let is_other = |former: Option<InterfaceIndex>, name: &Arc<str>| {
            let is_there = former.is_some_and(|index| self.interfaces.name(index).is_some());
            is_there && self.interfaces.index(name) != former
        };
        let interface = &instance.params.interface;
        if is_other(instance.endpoint.map(|endpoint| endpoint.index), interface) {
            return Some(interface);
        }
        // The engine requests missing interfaces with virtual MAC addresses again (`mend_devices`).
        let mut attachments = instance
            .attachments
            .iter()
            .filter(|attachment| attachment.virtual_mac.is_none());
        let attachment =
            attachments.find(|attachment| is_other(attachment.index, &attachment.device));
        attachment.map(|attachment| &attachment.device)
    }

    /// Requests again the interfaces with virtual MAC addresses that differ from their desired
    /// state.
    fn mend_devices(&mut self, id: RouterId) {
        for family in Family::ALL {
            let Some(desired) = self.desired_device(id, family) else {
                continue;
            };
            let is_so = match (self.interfaces.link(&desired.name), desired.state) {
                (link, DeviceState::Absent) => link.is_none(),
                (None, DeviceState::Down | DeviceState::Up) => desired.parent.is_none(),
                // Whether what the kernel sends from it is blocked only the node knows.
                (Some(_), DeviceState::Up) => false,
                (Some(link), DeviceState::Down) => link.mac == Some(desired.mac) && !link.up,
            };
            if !is_so {
                self.outputs.push_back(Output::Device(desired));
            }
        }
    }

    /// Marks the attachments of a master with an interface that is down, because the kernel
    /// rejected the request to set it up: the neighbours received no announcement.
    fn look_for_unheard(&mut self, id: RouterId) {
        let instance = &mut self.instances[id];
        let is_master = instance.router.state() == State::Master;
        for attachment in instance.attachments.iter_mut().filter(|_| is_master) {
            attachment.is_unheard |= self
                .interfaces
                .attachment(attachment)
                .is_some_and(|link| !link.up);
        }
    }

    /// Releases the addresses that were spared as the last ones of their interface, once the
    /// interface has an address of the host.
    fn stop_sparing(&mut self, id: RouterId) {
        let instance = &self.instances[id];
        let leaves = |attachment: &Attachment| {
            attachment.spared_foreign && !self.spares_foreign(id, attachment, &[])
        };
        if instance.router.state() != State::Master && instance.attachments.iter().any(leaves) {
            self.want(id, &[]);
        }
    }

    /// Steps down a master that was suspended for longer than the backups wait, before any other
    /// input makes it send.
    fn wake(&mut self, now: Instant, id: RouterId) {
        if let Some(group) = self.instances[id].group {
            return self.wake_group(now, group);
        }
        let reaction = self.instances[id].router.wake(now);
        self.react(now, id, reaction);
    }

    /// Recalculates the priority of a router, and of all members of its group, because they recover
    /// together.
    fn refresh_priorities(&mut self, now: Instant, id: RouterId) {
        match self.instances[id].group {
            None => self.refresh_priority(now, id),
            Some(group) => {
                self.refresh_group(now, group);
                self.set_deadlines(now, group);
            }
        }
    }

    /// Recalculates the priorities of all members of a group.
    fn refresh_group(&mut self, now: Instant, group: group::GroupId) {
        for position in 0..self.size(group) {
            let id = self.groups[group].members[position];
            self.refresh_priority(now, id);
        }
    }

    fn refresh_priority(&mut self, now: Instant, id: RouterId) {
        if let Some(from) = self.apply_influence(now, id) {
            let instance = &self.instances[id];
            self.outputs.push_back(Output::Report(Report::Priority {
                router: Arc::clone(&instance.name),
                from,
                to: instance.priority(),
            }));
        }
    }

    /// Applies what trackers and standing commands make of a router's priority. Returns the former effective
    /// priority if that changed.
    fn apply_influence(&mut self, now: Instant, id: RouterId) -> Option<Priority> {
        let influence = self.instances[id].influence(&self.trackers);
        let instance = &mut self.instances[id];
        let from = instance.set_priority(now, influence.priority);
        let barred = instance.conditions.is_barred();
        instance.router.set_barred(now, barred);
        from
    }

    /// Returns the endpoint on which a router can run, and the reason that keeps it from serving
    /// there.
    fn assess(&self, id: RouterId) -> (Option<interfaces::Endpoint>, Option<FaultReason>) {
        let instance = &self.instances[id];
        let (params, current) = (&instance.params, instance.endpoint);
        let endpoint = self.check_endpoint(instance).or_else(|fault_reason| {
            let endpoint = self.interfaces.endpoint_without_link(params, current);
            endpoint.ok_or(fault_reason)
        });
        let endpoint = match endpoint {
            Err(fault_reason) => return (None, Some(fault_reason)),
            Ok(endpoint) => endpoint,
        };
        let mut errors = instance
            .families()
            .filter_map(|family| self.deaf.get(&(endpoint.index, family)));
        if let Some(error) = errors.next() {
            let fault_reason = FaultReason::CannotReceive {
                interface: Arc::clone(&instance.params.interface),
                error: Arc::clone(error),
            };
            return (Some(endpoint), Some(fault_reason));
        }
        // The daemon itself makes and repairs the interfaces with virtual MAC addresses: no fault.
        let is_away = |attachment: &&Attachment| {
            attachment.device != instance.params.interface && attachment.virtual_mac.is_none()
        };
        for attachment in instance.attachments.iter().filter(is_away) {
            if let Err(fault_reason) = self.interfaces.check_serving(&attachment.device) {
                return (Some(endpoint), Some(fault_reason));
            }
        }
        (Some(endpoint), self.lasting_fault(id))
    }

    fn check_endpoint(&self, instance: &Instance) -> Result<interfaces::Endpoint, FaultReason> {
        let params = &instance.params;
        let is_virtual = |address| self.is_virtual(&params.interface, address);
        self.interfaces
            .check_endpoint(params, instance.endpoint, is_virtual)
    }

    /// Returns the reason why a router runs without a link, if it does.
    fn without_link(&self, instance: &Instance) -> Option<FaultReason> {
        let _ = instance.endpoint.filter(|endpoint| !endpoint.has_link)?;
        self.check_endpoint(instance).err()
    }

    /// Returns the fault reason of a router that does not depend on its interfaces and addresses.
    fn lasting_fault(&self, id: RouterId) -> Option<FaultReason> {
        let instance = &self.instances[id];
        let fault = instance.influence(&self.trackers).fault;
        // Without the drop filter this router would accept packets that it must not accept. In
        // fault it leaves the mastership to another host, where the filter may work.
        let refuses = !instance.params.accepts();
        let drop_filter_failed = self.drop_filter_failed.clone().filter(|_| refuses);
        let fault_reason = fault.or_else(|| drop_filter_failed.map(FaultReason::DropFilterError));
        let fault_reason = fault_reason.or_else(|| instance.rejection());
        fault_reason.or_else(|| instance.conditions.fault_reason())
    }

    /// Whether an address on the interface of that name is a virtual one, and its router is not the
    /// owner.
    fn is_virtual(&self, interface: &Arc<str>, address: IpAddr) -> bool {
        self.users
            .get(interface)
            .and_then(|users| users.addresses.get(&address))
            .is_some_and(|id| !self.instances[*id].params.priority.is_owner())
    }

    /// Whether to spare addresses of a router that the daemon did not add: those of the owner, and
    /// the last ones of an interface, without which the host would lose its network. `former` are addresses
    /// that the router no longer has.
    fn spares_foreign(
        &self,
        id: RouterId,
        attachment: &Attachment,
        former: &[InterfaceAddress],
    ) -> bool {
        let params = &self.instances[id].params;
        // A macvlan of the daemon has virtual addresses only.
        let is_made = attachment.virtual_mac.is_some();
        params.priority.is_owner() || !is_made && !self.has_own_address(attachment, former)
    }

    /// Whether the interface of an attachment has a non-virtual address in its family, apart from the `former`
    /// addresses of its router.
    fn has_own_address(&self, attachment: &Attachment, former: &[InterfaceAddress]) -> bool {
        let is_virtual = |address| {
            self.is_virtual(&attachment.device, address)
                || former.iter().any(|former| former.address == address)
        };
        attachment.index.is_some_and(|index| {
            self.interfaces
                .has_own_address(index, attachment.family, is_virtual)
        })
    }

    /// Announces the attachments that were not announced on their present, running interface.
    fn announce_unheard(&mut self, id: RouterId) {
        for number in 0..self.instances[id].attachments.len() {
            let attachment = &self.instances[id].attachments[number];
            let is_up = self
                .interfaces
                .attachment(attachment)
                .is_some_and(|link| link.up);
            if attachment.is_unheard && is_up {
                let addresses = Arc::clone(&attachment.addresses);
                self.instances[id].counters.announcements += 1;
                self.announce_attachment(id, number, addresses);
            }
        }
    }

    /// Sets the endpoint of a router and looks up its attachments. Returns whether an attachment is
    /// on another interface now.
    fn set_endpoint(&mut self, id: RouterId, endpoint: Option<interfaces::Endpoint>) -> bool {
        let instance = &mut self.instances[id];
        let index =
            |endpoint: Option<interfaces::Endpoint>| endpoint.map(|endpoint| endpoint.index);
        let (old, new) = (index(instance.endpoint), index(endpoint));
        instance.set_endpoint(endpoint);
        let is_master = instance.router.state() == State::Master;
        let mut has_moved = false;
        for number in 0..self.instances[id].attachments.len() {
            let attachment = &mut self.instances[id].attachments[number];
            let known = (attachment.index, attachment.mac);
            let link = self.interfaces.attachment(attachment);
            (attachment.index, attachment.mac) =
                (link.map(|link| link.index), link.and_then(|link| link.mac));
            let is_other = attachment.index != known.0;
            let is_known_elsewhere = (attachment.index, attachment.mac) != known;
            let is_up = link.is_some_and(|link| link.up);
            // The neighbours know the former hardware address, or the interface appeared or came up
            // only now.
            attachment.is_unheard =
                is_master && (attachment.is_unheard || !is_up || is_known_elsewhere);
            if is_other {
                // On every other interface a move is a fault first, which has already released the
                // addresses.
                if let Some(former) = known.0.filter(|_| attachment.virtual_mac.is_some()) {
                    self.leave(id, number, former);
                }
                if is_master {
                    self.want_attachment(id, number, Arc::default());
                }
                has_moved |= self.instances[id].attachments[number].index.is_some();
            }
        }
        let instance = &self.instances[id];
        let vrid = instance.params.vrid;
        if old != new {
            for family in instance.families() {
                // When interfaces swap names, another router is already bound to this key.
                if let Some(old) = old
                    && self.bound.get(&(old, family, vrid)) == Some(&id)
                {
                    self.bound.remove(&(old, family, vrid));
                }
                if let Some(new) = new {
                    self.bound.insert((new, family, vrid), id);
                }
            }
        }
        has_moved
    }
}

/// Returns the next deadline of a router. Backups in a group have one in common, that of `take_overs`.
fn next(now: Instant, instance: &Instance, take_overs: &[Option<Instant>]) -> Option<NextStatus> {
    let (at, due) = match instance.group {
        Some(group) if instance.router.state() == State::Backup => {
            // `MAX`: the group never takes over.
            let over_at = take_overs[group].filter(|at| *at < Instant::MAX);
            (over_at?, Due::TakeOver)
        }
        Some(_) | None => instance.router.deadline()?,
    };
    Some(NextStatus {
        due,
        left: at.since(now).as_secs_f64(),
    })
}

fn tracker_status(now: Instant, name: &Arc<str>, tracker: &Tracker) -> TrackerStatus {
    let Verdict { up, value } = tracker.verdict();
    let in_seconds = |at: Instant| at.since(now).as_secs_f64();
    TrackerStatus {
        name: Arc::clone(name),
        up: tracker.is_known().then_some(up),
        value: value.filter(|_| tracker.is_known()),
        age: tracker.since().map(|at| now.since(at).as_secs_f64()),
        changes_in: tracker.due().map(in_seconds),
        detail: Arc::clone(&tracker.detail),
        results: tracker.results,
        failures: tracker.failures,
    }
}

#[cfg(test)]
mod tests;
