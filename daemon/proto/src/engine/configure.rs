//! From what runs to what is to run, without touching what stays.
//!
//! Routers are the same when their name is the same; a router whose interface, VRID or version
//! changed is another one behind the same name. An address that moves from one router to another
//! is never taken away in between.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Engine, RouterId, Seat, Slot, Users};
use crate::border::{Cause, DesiredDevice, DeviceState, Output, State};
use crate::deadlines::Deadlines;
use crate::params::{Authentication, NodeParams, RouterParams, TrackerKind};
use crate::routing::{Routed, routed};
use crate::time::Instant;
use crate::track::Tracker;
use crate::types::InterfaceAddress;

/// What becomes of a router after the tables are made anew.
enum Plan {
    Start,
    /// The parameters and seats that it has had so far.
    Change(Box<RouterParams>, Vec<Seat>),
    Keep,
}

/// What the routers of the new configuration have.
struct Wanted {
    addresses: BTreeSet<(Arc<str>, IpAddr)>,
    routed: BTreeSet<Routed>,
}

impl Wanted {
    fn has_address(&self, interface: &Arc<str>, address: IpAddr) -> bool {
        self.addresses.contains(&(Arc::clone(interface), address))
    }
}

impl Engine {
    /// Runs `params` instead of what runs.
    pub(super) fn configure(&mut self, now: Instant, mut params: NodeParams) {
        for id in 0..self.slots.len() {
            self.wake(now, id);
        }
        let names = params.peer_names().into_iter();
        self.names = names
            .map(|name| {
                let addresses = self.names.get(&name).cloned().unwrap_or_default();
                (name, addresses)
            })
            .collect();
        params.unite();
        let NodeParams {
            routers,
            trackers,
            groups,
        } = params;
        let wanted: BTreeSet<(Arc<str>, IpAddr)> = routers
            .values()
            .flat_map(|router| {
                let addresses = router.addresses.iter();
                addresses.map(|a| (Arc::clone(router.device(a.address)), a.address))
            })
            .collect();
        let wanted = Wanted {
            addresses: wanted,
            routed: routers
                .values()
                .flat_map(|router| routed(&router.routes, &router.rules))
                .collect(),
        };
        self.stop_missing(now, &routers, &wanted);

        let mut kept: BTreeMap<Arc<str>, Slot> = core::mem::take(&mut self.slots)
            .into_iter()
            .filter(|slot| slot.router.state() != State::Init)
            .map(|slot| (Arc::clone(&slot.name), slot))
            .collect();
        let mut plans = Vec::with_capacity(routers.len());
        for (name, params) in routers {
            match kept.remove(&name) {
                None => {
                    self.slots.push(Slot::new(name, params, &self.names));
                    plans.push(Plan::Start);
                }
                Some(slot) if slot.params == params => {
                    self.slots.push(slot);
                    plans.push(Plan::Keep);
                }
                Some(mut slot) => {
                    let former = Box::new(slot.params.clone());
                    plans.push(Plan::Change(former, slot.seats.clone()));
                    slot.set_params(now, params, &self.names);
                    // What the reload brings to an interface is announced as that, and not as what
                    // its interface brings by coming.
                    for seat in &mut slot.seats {
                        if let Some(link) = self.interfaces.seat(seat) {
                            seat.index = seat.index.or(Some(link.index));
                            seat.mac = seat.mac.or(link.mac);
                        }
                    }
                    self.slots.push(slot);
                }
            }
        }
        self.index(trackers);
        self.index_groups(now, groups);

        let interface_trackers: Vec<Arc<str>> = self
            .users
            .values()
            .flat_map(|users| users.trackers.iter().cloned())
            .collect();
        for tracker in interface_trackers {
            self.refresh_tracker(now, &tracker);
        }
        for group in 0..self.groups.len() {
            // Who listens from now on does so by what it is from now on.
            self.refresh_group(now, group);
            self.gather(now, group);
        }
        // First those that hold addresses, so that none of them is released before.
        for (id, plan) in plans.iter().enumerate() {
            match plan {
                Plan::Change(former, seats) => self.change(now, id, former, seats, &wanted),
                Plan::Keep => self.refresh_router(now, id),
                Plan::Start => {}
            }
        }
        for (id, plan) in plans.iter().enumerate() {
            if matches!(plan, Plan::Start) {
                self.start(now, id);
            }
        }
        self.want_lvs();
        for group in 0..self.groups.len() {
            self.join(now, group);
        }
    }

    /// Stops the routers that are no longer configured or are others now. What another
    /// router has from now on is left for that one to keep or release.
    fn stop_missing(
        &mut self,
        now: Instant,
        routers: &BTreeMap<Arc<str>, RouterParams>,
        wanted: &Wanted,
    ) {
        for id in 0..self.slots.len() {
            let slot = &mut self.slots[id];
            let cause = match routers.get(&slot.name) {
                None => Cause::Removed,
                Some(params) if !slot.is_same_router(params) => Cause::Redefined,
                Some(_) => continue,
            };
            let mut reaction = slot.router.stop(cause);
            // The resignation lists all addresses: without any nobody would believe it.
            if let Some(send) = reaction.send.take() {
                self.send(now, id, send);
            }
            let slot = &mut self.slots[id];
            let params = &slot.params;
            slot.params.addresses = params
                .addresses
                .iter()
                .filter(|a| !wanted.has_address(params.device(a.address), a.address))
                .copied()
                .collect();
            let RouterParams { routes, rules, .. } = &mut slot.params;
            routes.retain(|route| !wanted.routed.contains(&Routed::Route(route.place())));
            rules.retain(|rule| !wanted.routed.contains(&Routed::Rule(rule.clone())));
            slot.reseat();
            self.react(now, id, reaction);
        }
    }

    /// Makes the tables anew for the present slots.
    fn index(&mut self, trackers: BTreeMap<Arc<str>, crate::params::TrackerParams>) {
        let mut known = core::mem::take(&mut self.trackers);
        self.users = BTreeMap::new();
        self.followers = BTreeMap::new();
        self.bound = BTreeMap::new();
        self.sources = BTreeMap::new();
        self.routed = BTreeMap::new();
        self.deadlines = Deadlines::new(self.slots.len());
        self.verdicts = BTreeSet::new();
        self.graces = BTreeSet::new();
        self.wants_wall_clock = self
            .slots
            .iter()
            .any(|slot| matches!(slot.params.authentication, Authentication::Hmac(_)));
        for (name, params) in trackers {
            if let TrackerKind::Interface { name: interface } = &params.kind {
                let users: &mut Users = self.users.entry(Arc::clone(interface)).or_default();
                users.trackers.push(Arc::clone(&name));
            }
            let tracker = known
                .remove(&name)
                .and_then(|tracker| tracker.with_params(&params))
                .unwrap_or_else(|| Tracker::new(params));
            if let Some(at) = tracker.due() {
                self.verdicts.insert((at, Arc::clone(&name)));
            }
            self.trackers.insert(name, tracker);
        }
        self.synchronised = self.slots.iter().position(|slot| slot.params.lvs.is_some());
        for (id, slot) in self.slots.iter().enumerate() {
            self.graces
                .extend(slot.grace.as_ref().map(|grace| (grace.until, id)));
            let users = self
                .users
                .entry(Arc::clone(&slot.params.interface))
                .or_default();
            users.routers.push(id);
            for seat in &slot.seats {
                let users = self.users.entry(Arc::clone(&seat.device)).or_default();
                if !users.routers.contains(&id) {
                    users.routers.push(id);
                }
                for address in seat.addresses.iter() {
                    users.addresses.insert(address.address, id);
                }
            }
            if let Some(source) = slot.params.source {
                self.sources.entry(source).or_default().push(id);
            }
            for what in routed(&slot.params.routes, &slot.params.rules) {
                self.routed.insert(what, id);
            }
            for track in &slot.params.tracks {
                self.followers
                    .entry(Arc::clone(&track.tracker))
                    .or_default()
                    .push(id);
            }
            if let Some(place) = slot.place {
                for family in slot.families() {
                    self.bound
                        .insert((place.index, family, slot.params.vrid), id);
                }
            }
            self.deadlines
                .set(id, slot.router.deadline().map(|(at, _)| at));
        }
    }

    /// Goes on with a router whose parameters changed: no change of state, unless its trackers say
    /// so.
    fn change(
        &mut self,
        now: Instant,
        id: RouterId,
        former: &RouterParams,
        former_seats: &[Seat],
        wanted: &Wanted,
    ) {
        self.end_grace_of_others(id);
        self.refresh_router(now, id);
        let slot = &self.slots[id];
        // What was the owner's own and left to it is to be released by anybody else.
        let other_owner = former.priority.is_owner() != slot.params.priority.is_owner();
        let other_accept = former.accepts() != slot.params.accepts();
        let other_form = former.options != slot.params.options;
        let none: &[_] = &[];
        let here = |old: &Seat| {
            let same = slot.seats.iter().find(|seat| seat.is_same_place(old));
            same.map_or(none, |seat| &*seat.addresses)
        };
        let dropped = former_seats.iter().map(|seat| {
            let current = here(seat);
            let gone = seat
                .addresses
                .iter()
                .filter(|old| !current.contains(old))
                // An address that changed its prefix only is replaced; one that moved to another
                // router is that one's.
                .filter(|old| {
                    current.iter().any(|new| new.address == old.address)
                        || !wanted.has_address(&seat.device, old.address)
                })
                .copied();
            Seat {
                addresses: gone.collect(),
                ..seat.clone()
            }
        });
        let dropped: Vec<Seat> = dropped.filter(|seat| !seat.addresses.is_empty()).collect();
        let former_devices = self.former_devices(id, former_seats);
        let had = |new: &InterfaceAddress| {
            let device = slot.params.device(new.address);
            former.addresses.contains(new) && former.device(new.address) == device
        };
        let current = slot.params.addresses.iter();
        let added: Vec<_> = current.filter(|new| !had(new)).copied().collect();
        // RFC 9568 8.1.2 SHOULD: announce each address that an Active gets
        // RFC 9568 8.2.2 SHOULD: announce each address that an Active gets
        let other = other_owner || other_accept || other_form;
        if !dropped.is_empty() || !added.is_empty() || other {
            self.want(id, &dropped);
            let gone = former_devices.into_iter().map(Output::Device);
            self.outputs.extend(gone);
            if self.slots[id].router.state() == State::Master && !added.is_empty() {
                self.announce(id, &added);
            }
        }
        let params = &self.slots[id].params;
        if (&former.routes, &former.rules) != (&params.routes, &params.rules) {
            // What stays in its place is replaced there.
            let dropped = routed(&former.routes, &former.rules)
                .filter(|old| !wanted.routed.contains(old))
                .collect();
            self.want_routing(id, dropped);
        }
    }

    /// The interfaces with virtual MAC addresses that a router had and has no longer.
    fn former_devices(&self, id: RouterId, seats: &[Seat]) -> Vec<DesiredDevice> {
        let slot = &self.slots[id];
        let is_gone = |name: &Arc<str>| slot.seats.iter().all(|seat| seat.device != *name);
        seats
            .iter()
            .filter(|seat| is_gone(&seat.device))
            .filter_map(|seat| {
                Some(DesiredDevice {
                    name: Arc::clone(&seat.device),
                    parent: self.interfaces.index(&slot.params.interface),
                    mac: seat.virtual_mac?,
                    state: DeviceState::Absent,
                })
            })
            .collect()
    }

    fn start(&mut self, now: Instant, id: RouterId) {
        let (place, obstacle) = self.assess(id);
        let _ = self.set_place(id, place);
        self.refresh_priority(now, id);
        self.slots[id].obstacle.clone_from(&obstacle);
        if self.slots[id].group.is_some() {
            // It starts with all of them.
            return;
        }
        let expect_master = self.slots[id].params.expect_master;
        let reaction = self.slots[id].router.start(now, obstacle, expect_master);
        self.react(now, id, reaction);
        self.slots[id].prepare();
    }
}
