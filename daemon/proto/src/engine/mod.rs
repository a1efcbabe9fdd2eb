//! All virtual routers of a node.
//!
//! One way in, [`Engine::handle`]; one way out, [`Engine::poll`], to be drained after each call;
//! and [`Engine::poll_timeout`], which says when to come back with a [`Tick`](Input::Tick) and
//! why. A caller that has packets and a tick at once gives the packets first: an advertisement
//! that lies in the queue proves that the master lives, however late it is read.
//!
//! An event costs what the routers that it concerns cost, and log(n) to find them.

mod configure;
mod effects;
mod grace;
mod group;
mod interfaces;
mod lvs;
mod packet;
mod peers;
mod routing;
mod slot;

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::group::Group;
use self::interfaces::Interfaces;
use self::slot::{Names, Seat, Slot};
use crate::border::{
    Cause, DesiredLvs, DeviceState, Due, Input, Link, Obstacle, Output, Report, State,
};
use crate::deadlines::Deadlines;
use crate::limiter::Limiter;
use crate::params::{TrackerKind, Verdict};
use crate::routing::Routed;
use crate::snapshot::{Snapshot, TrackerStatus};
use crate::time::{Instant, WallClock};
use crate::track::Tracker;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, Vrid};
use crate::wire::DropCounts;

/// Where a router stands in [`Engine::slots`], until the next reload.
type RouterId = usize;

/// All virtual routers of a node, their trackers, and what they need to know of its interfaces.
#[derive(Debug, Default)]
pub struct Engine {
    /// The routers in the order of their names.
    slots: Vec<Slot>,
    groups: Vec<Group>,
    deadlines: Deadlines,
    /// The routers that a tick serves; empty between ticks, kept for its room.
    due: Vec<RouterId>,
    /// Which router hears a VRID on an interface, by the family of the packets.
    bound: BTreeMap<(InterfaceIndex, Family, Vrid), RouterId>,
    /// Which routers send from an address that may be on any interface.
    sources: BTreeMap<IpAddr, Vec<RouterId>>,
    /// Who depends on an interface, by its name.
    users: BTreeMap<Arc<str>, Users>,
    trackers: BTreeMap<Arc<str>, Tracker>,
    /// The trackers whose verdict changes by itself, and when.
    verdicts: BTreeSet<(Instant, Arc<str>)>,
    /// The routers whose interface or address is away for a moment, and until when that is no fault.
    graces: BTreeSet<(Instant, RouterId)>,
    /// Which routers follow a tracker.
    followers: BTreeMap<Arc<str>, Vec<RouterId>>,
    /// Whose a route or a rule is.
    routed: BTreeMap<Routed, RouterId>,
    /// Which router the sync thread of IPVS follows.
    synchronised: Option<RouterId>,
    /// What it was last said to be.
    lvs: Option<DesiredLvs>,
    interfaces: Interfaces,
    names: Names,
    /// Why the kernel cannot be made to refuse packets to addresses.
    cannot_refuse: Option<Arc<str>>,
    outputs: VecDeque<Output>,
    limiter: Limiter,
    wall_clock: WallClock,
    /// Whether a router goes by it.
    wants_wall_clock: bool,
    /// Packets that belong to no router.
    dropped: DropCounts,
}

/// Who depends on an interface.
#[derive(Debug, Default)]
struct Users {
    routers: Vec<RouterId>,
    /// Trackers that watch it.
    trackers: Vec<Arc<str>>,
    /// Whose a virtual address is.
    addresses: BTreeMap<IpAddr, RouterId>,
}

impl Engine {
    /// A node that runs nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what happened. Afterwards [`poll`](Self::poll) until there is nothing left.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Configure(params) => self.configure(now, params),
            Input::Link(link) => self.handle_link(now, link),
            Input::LinkRemoved(index) => {
                if let Some((name, addresses)) = self.interfaces.remove_link(index) {
                    for address in addresses {
                        self.refresh_senders(now, address.address);
                    }
                    self.refresh_interface(now, &name);
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
            Input::AddressRemoved { interface, address } => {
                self.handle_address_removed(now, interface, address);
            }
            Input::RoutingAdded(what) => self.handle_routing_added(now, what),
            Input::RoutingRemoved(what) => self.handle_routing_removed(now, what),
            Input::Packet(packet) => self.handle_packet(now, &packet),
            Input::Probe {
                tracker,
                result,
                detail,
            } => {
                self.handle_probe(now, tracker, result, detail);
            }
            Input::Resolved { name, addresses } => self.handle_resolved(name, addresses),
            Input::Refusal(obstacle) => {
                if self.cannot_refuse != obstacle {
                    self.cannot_refuse = obstacle;
                    for id in 0..self.slots.len() {
                        self.refresh_router(now, id);
                    }
                }
            }
            Input::Hindered { router, why } => self.handle_hindered(now, router, why),
            Input::Overrun => {
                for id in 0..self.slots.len() {
                    self.wake(now, id);
                    self.want(id, &[]);
                    self.want_routing(id, Vec::new());
                    self.look_for_unheard(id);
                }
                self.want_lvs_again();
            }
            Input::WallClock(shows) => self.wall_clock = WallClock::new(now, shows),
            Input::Tick => self.handle_tick(now),
            Input::Stop => {
                for id in 0..self.slots.len() {
                    self.wake(now, id);
                    let reaction = self.slots[id].router.stop(Cause::Stopped);
                    self.react(now, id, reaction);
                }
            }
        }
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with a [`Tick`](Input::Tick), and what is due then. May change with every
    /// [`handle`](Self::handle).
    pub fn poll_timeout(&self) -> Option<(Instant, Due)> {
        let router = self.deadlines.first().and_then(|(at, id)| {
            let slot = &self.slots[id];
            match slot.group {
                Some(_) if slot.router.state() == State::Backup => Some((at, Due::TakeOver)),
                Some(_) | None => slot.router.deadline(),
            }
        });
        let verdict = self.verdicts.first().map(|(at, _)| (*at, Due::Verdict));
        let grace = self.graces.first().map(|(at, _)| (*at, Due::Grace));
        let due = [router, verdict, grace].into_iter().flatten();
        due.min_by_key(|(at, _)| *at)
    }

    /// Whether a take-over is due. Then every packet that has arrived by `now` is to be handed in
    /// before the next [`Tick`](Input::Tick), however many there are: one may be the master's.
    pub fn is_take_over_due(&self, now: Instant) -> bool {
        let alone = self.slots.iter().filter(|slot| slot.group.is_none());
        let mut groups = 0..self.groups.len();
        alone
            .filter_map(|slot| slot.router.deadline())
            .any(|(at, due)| due == Due::TakeOver && at <= now)
            || groups.any(|group| self.over_at(now, group).is_some_and(|at| at <= now))
    }

    /// Whether a router goes by the wall clock: see [`Input::WallClock`].
    pub const fn wants_wall_clock(&self) -> bool {
        self.wants_wall_clock
    }

    /// What is heard where: the interfaces on which packets of a family are wanted, with their
    /// VRIDs.
    pub fn listeners(&self) -> impl Iterator<Item = (InterfaceIndex, Family, Vrid)> + '_ {
        self.bound.keys().copied()
    }

    /// The addresses that this node holds now.
    pub fn held(&self) -> impl Iterator<Item = (InterfaceIndex, InterfaceAddress)> + '_ {
        self.slots
            .iter()
            .filter(|slot| slot.router.state() == State::Master)
            .flat_map(|slot| &slot.seats)
            .filter_map(|seat| Some((seat.index?, &seat.addresses)))
            .flat_map(|(index, addresses)| addresses.iter().map(move |address| (index, *address)))
    }

    /// The names of the interfaces with virtual MAC addresses that this node has made.
    pub fn devices(&self) -> impl Iterator<Item = &Arc<str>> + '_ {
        let running = self.slots.iter();
        let seats = running
            .filter(|slot| slot.router.state() != State::Init)
            .flat_map(|slot| &slot.seats);
        seats
            .filter(|seat| seat.virtual_mac.is_some())
            .map(|seat| &seat.device)
    }

    /// The state of every router, by name.
    pub fn states(&self) -> impl Iterator<Item = (&Arc<str>, State)> + '_ {
        self.slots
            .iter()
            .map(|slot| (&slot.name, slot.router.state()))
    }

    /// The routers that go on although their interface or address is away for a moment, by name.
    pub fn interrupted(&self) -> impl Iterator<Item = &Arc<str>> {
        self.graces.iter().map(|(_, id)| &self.slots[*id].name)
    }

    /// What the node shows of itself. The cost grows with the number of routers.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        Snapshot {
            instances: self
                .slots
                .iter()
                .map(|slot| slot.status(now, &self.trackers, &self.names))
                .collect(),
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
        }
    }

    fn handle_tick(&mut self, now: Instant) {
        // Before a router does what it would not do with another verdict.
        for name in self.due_verdicts(now) {
            self.judge(now, &name, |tracker| tracker.settle(now));
        }
        for id in self.due_graces(now) {
            self.cut_grace(now, id);
        }
        // Each router that is due is served once, so that a tick ends whatever serving it does.
        let mut due = core::mem::take(&mut self.due);
        self.deadlines.take_due(now, &mut due);
        for id in due.drain(..) {
            match self.slots[id].group {
                None => {
                    // A backup may have been deaf in its grace.
                    if self.slots[id].router.state() == State::Backup {
                        self.cut_grace(now, id);
                    }
                    let reaction = self.slots[id].router.handle_tick(now);
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

    /// The trackers whose verdict changes by `now`, the earliest first.
    fn due_verdicts(&self, now: Instant) -> Vec<Arc<str>> {
        let due = self.verdicts.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, name)| Arc::clone(name)).collect()
    }

    fn handle_link(&mut self, now: Instant, link: Link) {
        for name in self.interfaces.set_link(link) {
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
        let name = if ours {
            self.interfaces.name(interface).cloned()
        } else {
            self.interfaces.add_address(interface, address)
        };
        let Some(name) = name else { return };
        self.refresh_senders(now, address.address);
        let Some(users) = self.users.get(&name) else {
            return;
        };
        match users.addresses.get(&address.address).copied() {
            Some(id) => {
                let seat = self.slots[id].seat_of(address.address);
                let spared = !ours
                    && seat
                        .is_some_and(|seat| self.spares_foreign(id, &self.slots[id].seats[seat]));
                let slot = &mut self.slots[id];
                if let Some(seat) = seat.filter(|_| spared) {
                    slot.seats[seat].spared_foreign = true;
                }
                if slot.router.state() != State::Master && !spared {
                    slot.counters.strays += 1;
                    let router = Arc::clone(&slot.name);
                    self.outputs
                        .push_back(Output::Report(Report::Stray { router, address }));
                    self.want(id, &[]);
                }
                // For the owner it is the address that it sends from.
                self.refresh_router(now, id);
            }
            // It may be the address that its routers were waiting for.
            None => self.refresh_interface(now, &name),
        }
    }

    fn handle_address_removed(
        &mut self,
        now: Instant,
        interface: InterfaceIndex,
        address: InterfaceAddress,
    ) {
        let Some(name) = self.interfaces.remove_address(interface, address) else {
            return;
        };
        self.refresh_senders(now, address.address);
        let holder = self
            .users
            .get(&name)
            .and_then(|users| users.addresses.get(&address.address).copied())
            .filter(|id| self.slots[*id].params.addresses.contains(&address));
        let Some(id) = holder else {
            self.refresh_interface(now, &name);
            return;
        };
        self.wake(now, id);
        if self.slots[id].router.state() == State::Master {
            self.repair(id, address);
        }
    }

    /// Puts back an address that somebody took away from a master. Its state stays.
    fn repair(&mut self, id: RouterId, address: InterfaceAddress) {
        let slot = &mut self.slots[id];
        slot.counters.repairs += 1;
        let router = Arc::clone(&slot.name);
        self.outputs
            .push_back(Output::Report(Report::Repaired { router, address }));
        if slot.params.priority.is_owner()
            && let Some(seat) = slot.seat_of(address.address)
            && let Some(index) = slot.seats[seat].index
        {
            // It may be the address that the owner sends from.
            self.interfaces.restore(index, address);
        }
        self.want(id, &[]);
        self.announce(id, &[address]);
    }

    /// Looks again at the routers that send from an address wherever it is.
    fn refresh_senders(&mut self, now: Instant, address: IpAddr) {
        for id in self.sources.get(&address).cloned().unwrap_or_default() {
            self.begin_grace(now, id);
            self.refresh_router(now, id);
        }
    }

    fn handle_resolved(&mut self, name: &str, addresses: &[IpAddr]) {
        // Nobody wants to know of a name that a reload took away meanwhile.
        let Some(known) = self.names.get_mut(name) else {
            return;
        };
        if **known != *addresses {
            *known = addresses.into();
            for slot in &mut self.slots {
                slot.set_peers(&self.names);
                slot.prepare();
            }
        }
    }

    fn handle_hindered(&mut self, now: Instant, router: &str, why: Option<Arc<str>>) {
        let Ok(id) = self.slots.binary_search_by(|slot| (*slot.name).cmp(router)) else {
            return;
        };
        if self.slots[id].hindered != why {
            self.slots[id].hindered = why;
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

    /// Lets a tracker take something in, tells of its verdict if that is another one now, and lets
    /// those who follow it act on it.
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
        let Verdict { well, .. } = tracker.verdict();
        if well != former.well {
            self.outputs.push_back(Output::Report(Report::Verdict {
                tracker: Arc::clone(name),
                well,
                detail: Arc::clone(&tracker.detail),
            }));
        }
        for id in self.followers.get(name).cloned().unwrap_or_default() {
            self.refresh_router(now, id);
        }
    }

    /// Looks again at everything that depends on an interface.
    fn refresh_interface(&mut self, now: Instant, name: &Arc<str>) {
        let Some(users) = self.users.get(name) else {
            return;
        };
        let (routers, trackers) = (users.routers.clone(), users.trackers.clone());
        // Before a tracker of the interface has them looked at.
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

    /// Gives a tracker that watches an interface the present state of that.
    fn refresh_tracker(&mut self, now: Instant, name: &Arc<str>) {
        let Some(tracker) = self.trackers.get(name) else {
            return;
        };
        let TrackerKind::Interface { name: interface } = &tracker.params.kind else {
            return;
        };
        let (well, detail) = match self.interfaces.check_link(interface) {
            Ok(_) => (true, format!("interface {interface} is up")),
            Err(obstacle) => (false, obstacle.to_string()),
        };
        self.judge(now, name, |tracker| {
            tracker.observe(now, well, detail.into())
        });
    }

    /// Works out anew where a router runs, what its priority is, and whether it can serve.
    fn refresh_router(&mut self, now: Instant, id: RouterId) {
        self.wake(now, id);
        // Before a router that recovers goes by it.
        self.refresh_priorities(now, id);
        let (place, obstacle) = self.assess(id);
        if self.tolerates(id, obstacle.as_ref()) {
            self.leave_missing(id);
            self.stop_sparing(id);
            return;
        }
        let grace = self.end_grace(id);
        // Addresses leave the old interface before they come to the new one of that name.
        let moved = self.moved(id).cloned().map(Obstacle::InterfaceMissing);
        let before = obstacle.clone().or(moved);
        let is_well = before.is_none();
        if before.is_some() {
            self.hinder(now, id, before);
        }
        let state = self.slots[id].router.state();
        let has_moved = self.set_place(id, place);
        self.hinder(now, id, obstacle);
        let stays = self.slots[id].router.state() == state;
        if has_moved && stays && matches!(state, State::Backup | State::Fault) {
            // The addresses that the router does not hold may have been there already.
            self.want(id, &[]);
        }
        self.slots[id].prepare();
        match grace.filter(|_| is_well) {
            Some(grace) => self.resume(now, id, grace),
            None => self.announce_unheard(id),
        }
        self.stop_sparing(id);
        self.mend_devices(id);
    }

    /// The name of a router's interface that means another one now or none, while the former one is
    /// still there under another name.
    fn moved(&self, id: RouterId) -> Option<&Arc<str>> {
        let slot = &self.slots[id];
        let is_other = |former: Option<InterfaceIndex>, name: &Arc<str>| {
            let is_there = former.is_some_and(|index| self.interfaces.name(index).is_some());
            is_there && self.interfaces.index(name) != former
        };
        let interface = &slot.params.interface;
        if is_other(slot.place.map(|place| place.index), interface) {
            return Some(interface);
        }
        // An interface with a virtual MAC address is made again by itself.
        let mut seats = slot.seats.iter().filter(|seat| seat.virtual_mac.is_none());
        let seat = seats.find(|seat| is_other(seat.index, &seat.device));
        seat.map(|seat| &seat.device)
    }

    /// Asks again for interfaces with virtual MAC addresses that are not as they should be.
    fn mend_devices(&mut self, id: RouterId) {
        for family in Family::ALL {
            let Some(desired) = self.desired_device(id, family) else {
                continue;
            };
            let is_so = match (self.interfaces.link(&desired.name), desired.state) {
                (link, DeviceState::Absent) => link.is_none(),
                (None, DeviceState::Down | DeviceState::Up) => desired.parent.is_none(),
                (Some(link), state) => {
                    link.mac == Some(desired.mac) && link.up == (state == DeviceState::Up)
                }
            };
            if !is_so {
                self.outputs.push_back(Output::Device(desired));
            }
        }
    }

    /// Takes note of what a master announced in vain: that its interfaces be up was refused.
    fn look_for_unheard(&mut self, id: RouterId) {
        let slot = &mut self.slots[id];
        let is_master = slot.router.state() == State::Master;
        for seat in slot.seats.iter_mut().filter(|_| is_master) {
            seat.is_unheard |= self.interfaces.seat(seat).is_some_and(|link| !link.up);
        }
    }

    /// What was left alone because the interface had nothing else leaves when it has.
    fn stop_sparing(&mut self, id: RouterId) {
        let slot = &self.slots[id];
        let leaves = |seat: &Seat| seat.spared_foreign && !self.spares_foreign(id, seat);
        if slot.router.state() != State::Master && slot.seats.iter().any(leaves) {
            self.want(id, &[]);
        }
    }

    /// A master that overslept is none any more, before anything else makes it speak.
    fn wake(&mut self, now: Instant, id: RouterId) {
        if let Some(group) = self.slots[id].group {
            return self.wake_group(now, group);
        }
        let reaction = self.slots[id].router.wake(now);
        self.react(now, id, reaction);
    }

    /// Works out anew what the priority of a router is, and of those that recover with it.
    fn refresh_priorities(&mut self, now: Instant, id: RouterId) {
        match self.slots[id].group {
            None => self.refresh_priority(now, id),
            Some(group) => {
                self.refresh_group(now, group);
                self.reckon(now, group);
            }
        }
    }

    /// Works out anew what the priorities of all members of a group are.
    fn refresh_group(&mut self, now: Instant, group: group::GroupId) {
        for place in 0..self.size(group) {
            let id = self.groups[group].members[place];
            self.refresh_priority(now, id);
        }
    }

    fn refresh_priority(&mut self, now: Instant, id: RouterId) {
        let influence = self.slots[id].influence(&self.trackers);
        let slot = &mut self.slots[id];
        if let Some(from) = slot.set_priority(now, influence.priority) {
            self.outputs.push_back(Output::Report(Report::Priority {
                router: Arc::clone(&slot.name),
                from,
                to: influence.priority,
            }));
        }
    }

    /// Where a router can run, and what keeps it from serving there.
    fn assess(&self, id: RouterId) -> (Option<interfaces::Usable>, Option<Obstacle>) {
        let slot = &self.slots[id];
        let is_virtual = |address| self.is_virtual(&slot.params.interface, address);
        let place = match self
            .interfaces
            .check_usable(&slot.params, slot.place, is_virtual)
        {
            Err(obstacle) => return (None, Some(obstacle)),
            Ok(place) => place,
        };
        // Its own interfaces with virtual MAC addresses are made and repaired when they are missed.
        let is_away =
            |seat: &&Seat| seat.device != slot.params.interface && seat.virtual_mac.is_none();
        for seat in slot.seats.iter().filter(is_away) {
            if let Err(obstacle) = self.interfaces.check_serving(&seat.device) {
                return (Some(place), Some(obstacle));
            }
        }
        (Some(place), self.lasting_obstacle(id))
    }

    /// What keeps a router from serving beside its interfaces and addresses.
    fn lasting_obstacle(&self, id: RouterId) -> Option<Obstacle> {
        let slot = &self.slots[id];
        let fault = slot.influence(&self.trackers).fault;
        // Who cannot do what it must is no master: another one can perhaps.
        let refuses = !slot.params.accepts();
        let cannot_refuse = self.cannot_refuse.clone().filter(|_| refuses);
        let obstacle = fault.or_else(|| cannot_refuse.map(Obstacle::CannotRefuse));
        obstacle.or_else(|| slot.hindered.clone().map(Obstacle::Resource))
    }

    /// Whether an address of the interface of that name is none of the host's own.
    fn is_virtual(&self, interface: &Arc<str>, address: IpAddr) -> bool {
        self.users
            .get(interface)
            .and_then(|users| users.addresses.get(&address))
            .is_some_and(|id| !self.slots[*id].params.priority.is_owner())
    }

    /// Whether addresses of a router that the daemon did not add are to be left alone: the owner's,
    /// and the last ones of an interface, without which the host would be cut off.
    fn spares_foreign(&self, id: RouterId, seat: &Seat) -> bool {
        let params = &self.slots[id].params;
        let is_virtual = |address| self.is_virtual(&seat.device, address);
        let has_own = |index| {
            self.interfaces
                .has_own_address(index, seat.family, is_virtual)
        };
        // The host has nothing of its own on an interface that was made for the virtual MAC address.
        let is_made = seat.virtual_mac.is_some();
        params.priority.is_owner() || !is_made && !seat.index.is_some_and(has_own)
    }

    /// Announces the addresses of seats that were not announced where they are now.
    fn announce_unheard(&mut self, id: RouterId) {
        for number in 0..self.slots[id].seats.len() {
            let seat = &self.slots[id].seats[number];
            let is_up = self.interfaces.seat(seat).is_some_and(|link| link.up);
            if seat.is_unheard && is_up {
                let addresses = Arc::clone(&seat.addresses);
                self.slots[id].counters.announcements += 1;
                self.announce_seat(id, number, addresses);
            }
        }
    }

    /// Takes over where a router runs. Returns whether a seat is on another interface now.
    fn set_place(&mut self, id: RouterId, place: Option<interfaces::Usable>) -> bool {
        let slot = &mut self.slots[id];
        let index = |place: Option<interfaces::Usable>| place.map(|place| place.index);
        let (old, new) = (index(slot.place), index(place));
        slot.set_place(place);
        let is_master = slot.router.state() == State::Master;
        let mut has_moved = false;
        for number in 0..self.slots[id].seats.len() {
            let seat = &mut self.slots[id].seats[number];
            let known = (seat.index, seat.mac);
            let link = self.interfaces.seat(seat);
            (seat.index, seat.mac) = (link.map(|link| link.index), link.and_then(|link| link.mac));
            let is_other = seat.index != known.0;
            let is_known_elsewhere = (seat.index, seat.mac) != known;
            let is_up = link.is_some_and(|link| link.up);
            // The neighbours know it by its former hardware address, or its interface is there only
            // now, or up.
            seat.is_unheard = is_master && (seat.is_unheard || !is_up || is_known_elsewhere);
            if is_other {
                // From any other place they have left before, because without that nobody serves.
                if let Some(former) = known.0.filter(|_| seat.virtual_mac.is_some()) {
                    self.leave(id, number, former);
                }
                if is_master {
                    self.want_seat(id, number, Arc::default());
                }
                has_moved |= self.slots[id].seats[number].index.is_some();
            }
        }
        let slot = &self.slots[id];
        let vrid = slot.params.vrid;
        if old != new {
            for family in slot.families() {
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

fn tracker_status(now: Instant, name: &Arc<str>, tracker: &Tracker) -> TrackerStatus {
    let Verdict { well, value } = tracker.verdict();
    let in_seconds = |at: Instant| at.since(now).as_secs_f64();
    TrackerStatus {
        name: Arc::clone(name),
        well: tracker.is_known().then_some(well),
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
