//! Reload: changes the running routers to the new configuration without touching what stays the
//! same.
//!
//! A router keeps its identity through its name, but with a changed interface, VRID or version it
//! is stopped and started as a new one. A router with another name and the same interface, VRID and
//! version is renamed. An address that moves from one router to another is not deleted in between.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Attachment, Engine, Instance, RouterId, Users};
use crate::deadlines::Deadlines;
use crate::events::{DesiredDevice, DeviceState, HandOverEnd, Output, Report};
use crate::params::{
    Authentication, Identity, NodeParams, Renames, RouterParams, TrackerKind, identities,
};
use crate::reasons::Cause;
use crate::routing::{Routed, routed};
use crate::time::Instant;
use crate::track::Tracker;
use crate::types::{InterfaceAddress, State};

/// Action for a router after the tables are rebuilt.
enum Plan {
    Start,
    /// The former parameters and attachments.
    Change(Box<RouterParams>, Vec<Attachment>),
    Keep,
}

/// Addresses (with their interface), routes and rules of the new configuration.
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
    /// Replaces the running configuration by `params`.
    pub(super) fn configure(&mut self, now: Instant, mut params: NodeParams) {
        for id in 0..self.instances.len() {
            self.wake(now, id);
        }
        self.end_hand_overs(now, &HandOverEnd::Reloaded);
        let names = params.peer_names().into_iter();
        self.names = names
            .map(|name| {
                let known = self.names.get(&name).cloned();
                let left = || {
                    let addresses = self.left.as_ref()?.names.get(&name)?;
                    Some(addresses.as_slice().into())
                };
                let addresses = known.or_else(left).unwrap_or_default();
                (name, addresses)
            })
            .collect();
        // Members of a group share delays and trackers; from here on each router has the effective
        // ones.
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
        let renames = self.renames(&routers);
        self.stop_missing(now, &routers, &renames, &wanted);
        self.rename_others(&renames);

        let mut kept: BTreeMap<Arc<str>, Instance> = core::mem::take(&mut self.instances)
            // Init: stopped above. A router under that name starts as a new instance.
            .into_iter()
            .filter(|instance| instance.router.state() != State::Init)
            .map(|mut instance| {
                instance.name = Arc::clone(renames.present(&instance.name));
                (Arc::clone(&instance.name), instance)
            })
            .collect();
        let mut plans = Vec::with_capacity(routers.len());
        for (name, params) in routers {
            match kept.remove(&name) {
                None => {
                    let mut instance = Instance::new(name, params, &self.names);
                    if let Some(left) = self.left_of(&instance) {
                        instance.restore(now, left, &self.names);
                    }
                    self.instances.push(instance);
                    plans.push(Plan::Start);
                }
                Some(instance) if instance.params == params => {
                    self.instances.push(instance);
                    plans.push(Plan::Keep);
                }
                Some(mut instance) => {
                    let former = Box::new(instance.params.clone());
                    plans.push(Plan::Change(former, instance.attachments.clone()));
                    instance.set_params(now, params, &self.names);
                    // An interface that existed before the reload is no new one: `change` announces
                    // the added addresses, and `set_endpoint` must not announce them too.
                    for attachment in &mut instance.attachments {
                        if let Some(link) = self.interfaces.attachment(attachment) {
                            attachment.index = attachment.index.or(Some(link.index));
                            attachment.mac = attachment.mac.or(link.mac);
                        }
                    }
                    self.instances.push(instance);
                }
            }
        }
        self.forget_all_rejections();
        self.forget_unsent();
        self.index(trackers);
        self.index_groups(now, groups);
        self.assign_commands();

        self.restore_priorities(now);

        let interface_trackers: Vec<Arc<str>> = self
            .users
            .values()
            .flat_map(|users| users.trackers.iter().cloned())
            .collect();
        for tracker in interface_trackers {
            self.refresh_tracker(now, &tracker);
        }
        for group in 0..self.groups.len() {
            // Priorities first: a member that becomes backup calculates its timer from the new one.
            self.refresh_group(now, group);
            self.gather(now, group);
        }
        // Routers that may hold addresses come before those that start and release theirs.
        for (id, plan) in plans.iter().enumerate() {
            match plan {
                Plan::Change(former, attachments) => {
                    self.change(now, id, former, attachments, &wanted)
                }
                Plan::Keep => self.refresh_router(now, id),
                Plan::Start => {}
            }
        }
        for (id, plan) in plans.iter().enumerate() {
            if matches!(plan, Plan::Start) {
                self.start(now, id);
            }
        }
        if self.left.is_some() {
            for id in 0..self.instances.len() {
                self.wake(now, id);
            }
        }
        self.want_lvs();
        for group in 0..self.groups.len() {
            if self.left.is_some() {
                // Members whose former states differ: the group was configured otherwise.
                self.gather(now, group);
            }
            self.join(now, group);
        }
        self.step_down_barred(now, 0..self.instances.len());
    }

    /// The running routers, and those of an earlier process, that continue under another name.
    fn renames(&self, routers: &BTreeMap<Arc<str>, RouterParams>) -> Renames {
        let running = self.instances.iter();
        let running = running
            .filter(|instance| instance.router.state() != State::Init)
            .map(|instance| (&instance.name, Identity::from(&instance.params)));
        let left = self.left.iter().flat_map(|left| &left.routers);
        let left = left.map(|(name, router)| (name, Identity::from(router)));
        let before = running.chain(left);
        let before = before.map(|(name, it)| (Arc::clone(name), it)).collect();
        Renames::between(&before, &identities(routers))
    }

    /// Renames what stands beside the routers.
    fn rename_others(&mut self, renames: &Renames) {
        if renames.is_empty() {
            return;
        }
        self.commands.rename(renames);
        if let Some(left) = &mut self.left {
            renames.apply(&mut left.routers);
        }
        self.outputs
            .push_back(Output::Report(Report::Renamed(renames.clone())));
    }

    /// Stops the routers that are no longer configured or have another identity now. Their
    /// addresses, routes and rules that belong to another router from now on are left for that
    /// router.
    fn stop_missing(
        &mut self,
        now: Instant,
        routers: &BTreeMap<Arc<str>, RouterParams>,
        renames: &Renames,
        wanted: &Wanted,
    ) {
        let taken: BTreeSet<&Arc<str>> = renames.iter().map(|(_, new)| new).collect();
        for id in 0..self.instances.len() {
            let instance = &mut self.instances[id];
            let cause = match routers.get(&instance.name) {
                _ if renames.new_name(&instance.name).is_some() => continue,
                None => Cause::Removed,
                Some(_) if taken.contains(&instance.name) => Cause::Redefined,
                Some(params) if !instance.params.is_same_router(params) => Cause::Redefined,
                Some(_) => continue,
            };
            let mut reaction = instance.router.stop(cause);
            // The instance ends with this reload, and could not hear its successor.
            reaction.hands_over = false;
            // Before the address list is cut below: a receiver may reject a resignation with
            // another list.
            if let Some(send) = reaction.send.take() {
                self.send(now, id, send);
            }
            let instance = &mut self.instances[id];
            let params = &instance.params;
            instance.params.addresses = params
                .addresses
                .iter()
                .filter(|a| !wanted.has_address(params.device(a.address), a.address))
                .copied()
                .collect();
            let RouterParams { routes, rules, .. } = &mut instance.params;
            routes.retain(|route| !wanted.routed.contains(&Routed::Route(route.place())));
            rules.retain(|rule| !wanted.routed.contains(&Routed::Rule(rule.clone())));
            instance.reattach();
            self.react(now, id, reaction);
        }
    }

    /// Rebuilds the lookup tables for the present instances.
    fn index(&mut self, trackers: BTreeMap<Arc<str>, crate::params::TrackerParams>) {
        let mut known = core::mem::take(&mut self.trackers);
        self.users = BTreeMap::new();
        self.followers = BTreeMap::new();
        self.bound = BTreeMap::new();
        self.sources = BTreeMap::new();
        self.routed = BTreeMap::new();
        self.deadlines = Deadlines::new(self.instances.len());
        self.watches = Deadlines::new(self.instances.len());
        self.verdicts = BTreeSet::new();
        self.graces = BTreeSet::new();
        self.wants_wall_clock = self
            .instances
            .iter()
            .any(|instance| matches!(instance.params.authentication, Authentication::Hmac(_)));
        for (name, params) in trackers {
            if let TrackerKind::Interface { name: interface } = &params.kind {
                let users: &mut Users = self.users.entry(Arc::clone(interface)).or_default();
                users.trackers.push(Arc::clone(&name));
            }
            let tracker = known
                .remove(&name)
                .and_then(|tracker| tracker.with_params(&params))
                .unwrap_or_else(|| {
                    let tracker = Tracker::new(params);
                    let left = self.left.as_ref().and_then(|left| left.trackers.get(&name));
                    match left {
                        Some(left) => tracker.restore(left),
                        None => tracker,
                    }
                });
            if let Some(at) = tracker.due() {
                self.verdicts.insert((at, Arc::clone(&name)));
            }
            self.trackers.insert(name, tracker);
        }
        self.synchronised = self
            .instances
            .iter()
            .position(|instance| instance.params.lvs.is_some());
        for (id, instance) in self.instances.iter().enumerate() {
            self.graces
                .extend(instance.grace.as_ref().map(|grace| (grace.until, id)));
            let users = self
                .users
                .entry(Arc::clone(&instance.params.interface))
                .or_default();
            users.routers.push(id);
            for attachment in &instance.attachments {
                let users = self
                    .users
                    .entry(Arc::clone(&attachment.device))
                    .or_default();
                if !users.routers.contains(&id) {
                    users.routers.push(id);
                }
                for address in attachment.addresses.iter() {
                    users.addresses.insert(address.address, id);
                }
            }
            if let Some(source) = instance.params.source {
                self.sources.entry(source).or_default().push(id);
            }
            for what in routed(&instance.params.routes, &instance.params.rules) {
                self.routed.insert(what, id);
            }
            for track in &instance.params.tracks {
                self.followers
                    .entry(Arc::clone(&track.tracker))
                    .or_default()
                    .push(id);
            }
            if let Some(endpoint) = instance.endpoint {
                for family in instance.families() {
                    self.bound
                        .insert((endpoint.index, family, instance.params.vrid), id);
                }
            }
            self.deadlines
                .set(id, instance.router.deadline().map(|(at, _)| at));
            self.watches.set(id, instance.router.watch_at());
        }
    }

    /// Applies the changed parameters of a running router. Its state changes only if its trackers
    /// or its interfaces require it.
    fn change(
        &mut self,
        now: Instant,
        id: RouterId,
        former: &RouterParams,
        former_attachments: &[Attachment],
        wanted: &Wanted,
    ) {
        self.end_grace_of_others(id);
        // A member that gave up its mastership in this reload never held the addresses of the new parameters.
        self.end_hand_over(now, id, HandOverEnd::Reloaded);
        self.refresh_router(now, id);
        let instance = &self.instances[id];
        // The addresses of an owner are spared; those of any other router have to be released.
        let other_owner = former.priority.is_owner() != instance.params.priority.is_owner();
        let other_accept = former.accepts() != instance.params.accepts();
        let other_form = former.options != instance.params.options;
        let none: &[_] = &[];
        let here = |old: &Attachment| {
            let same = instance
                .attachments
                .iter()
                .find(|attachment| attachment.is_same_place(old));
            same.map_or(none, |attachment| &*attachment.addresses)
        };
        let dropped = former_attachments.iter().map(|attachment| {
            let current = here(attachment);
            let gone = attachment
                .addresses
                .iter()
                .filter(|old| !current.contains(old))
                // An address that only changed its prefix length is replaced; one that moved to
                // another router is not released, because that router now has it.
                .filter(|old| {
                    current.iter().any(|new| new.address == old.address)
                        || !wanted.has_address(&attachment.device, old.address)
                })
                .copied();
            Attachment {
                addresses: gone.collect(),
                ..attachment.clone()
            }
        });
        let dropped: Vec<Attachment> = dropped
            .filter(|attachment| !attachment.addresses.is_empty())
            .collect();
        let former_devices = self.former_devices(id, former_attachments);
        let had = |new: &InterfaceAddress| {
            let device = instance.params.device(new.address);
            former.addresses.contains(new) && former.device(new.address) == device
        };
        let current = instance.params.addresses.iter();
        let added: Vec<_> = current.filter(|new| !had(new)).copied().collect();
        // RFC 9568 8.1.2 SHOULD: announce each address that an Active gets
        // RFC 9568 8.2.2 SHOULD: announce each address that an Active gets
        let other = other_owner || other_accept || other_form;
        if !dropped.is_empty() || !added.is_empty() || other {
            self.want(id, &dropped);
            let gone = former_devices.into_iter().map(Output::Device);
            self.outputs.extend(gone);
            if self.instances[id].router.state() == State::Master && !added.is_empty() {
                self.announce(id, &added);
            }
        }
        if former.unicast != self.instances[id].params.unicast {
            self.solicit(now, id);
            self.update_deadline(now, id);
        }
        let params = &self.instances[id].params;
        if (&former.routes, &former.rules) != (&params.routes, &params.rules) {
            // A route or a rule that stays under its key is replaced in place.
            let dropped = routed(&former.routes, &former.rules)
                .filter(|old| !wanted.routed.contains(old))
                .collect();
            self.want_routing(id, dropped);
        }
    }

    /// Returns the interfaces with virtual MAC addresses that a router had and no longer needs.
    fn former_devices(&self, id: RouterId, attachments: &[Attachment]) -> Vec<DesiredDevice> {
        let instance = &self.instances[id];
        let is_gone = |name: &Arc<str>| {
            instance
                .attachments
                .iter()
                .all(|attachment| attachment.device != *name)
        };
        attachments
            .iter()
            .filter(|attachment| is_gone(&attachment.device))
            .filter_map(|attachment| {
                Some(DesiredDevice {
                    name: Arc::clone(&attachment.device),
                    parent: self.interfaces.index(&instance.params.interface),
                    mac: attachment.virtual_mac?,
                    state: DeviceState::Absent,
                })
            })
            .collect()
    }

    fn start(&mut self, now: Instant, id: RouterId) {
        // Of several possible source addresses a router that continues keeps its own.
        self.restore_own_source(id);
        self.instances[id].endpoint = self.former_endpoint(id);
        let (endpoint, fault_reason) = self.assess(id);
        self.instances[id].endpoint = None;
        let _ = self.set_endpoint(id, endpoint);
        self.instances[id].fault_reason.clone_from(&fault_reason);
        if self.continue_state(now, id) {
            if self.instances[id].group.is_none() {
                self.inhibit(now, id, fault_reason);
            }
            return;
        }
        self.report_link(now, id, None);
        self.refresh_priority(now, id);
        if self.instances[id].group.is_some() {
            // `join` starts all members of a group together.
            return;
        }
        let expect_master = self.instances[id].params.expect_master;
        let reaction = self.instances[id]
            .router
            .start(now, fault_reason, expect_master);
        self.react(now, id, reaction);
        self.instances[id].prepare();
    }
}
