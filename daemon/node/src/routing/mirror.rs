//! Mirror of the kernel's routes and rules with the daemon's mark, as far as known. Pure.
//!
//! Routes and rules without the mark are left out. The mirror is filled by a [`Dump`], takes in the
//! daemon's own changes when they are planned, and is compared with a new dump whenever another program or
//! the kernel may have changed something. Differences that are new to the engine are returned as inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vrrp_proto::routing::{RoutePlace, Routed, Rule};
use vrrp_proto::{Family, Input, InterfaceAddress, InterfaceIndex, Loss};

use super::change::{Change, Installed};
use crate::mirror::Event;

/// All routes and rules with the daemon's mark at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The routes.
    pub routes: Vec<Installed>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Change of links or addresses with which the kernel may have deleted routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// The device of this name went down or was deleted.
    Device(InterfaceIndex, Arc<str>),
    /// The device lost the address.
    Address(InterfaceIndex, InterfaceAddress),
}

impl Suspect {
    /// Whether the kernel may have deleted `route`, or removed its source, because of this change.
    fn explains(&self, route: &Installed) -> bool {
        match self {
            Self::Device(device, _) => route.may_lead_over(*device),
            Self::Address(device, gone) => {
                route.source == Some(gone.address)
                    || route.place.destination.family() == Family::V4
                        && gone.family() == Family::V4
                        && route.may_lead_over(*device)
            }
        }
    }

    fn loss(&self) -> Loss {
        match self {
            Self::Device(_, name) => Loss::WithDevice(Arc::clone(name)),
            Self::Address(_, address) => Loss::WithAddress(*address),
        }
    }
}

/// Mirror of the kernel's routes and rules with the daemon's mark.
#[derive(Debug, Default)]
pub struct Mirror {
    routes: BTreeMap<RoutePlace, Vec<Installed>>,
    rules: BTreeSet<Rule>,
}

impl Mirror {
    /// Returns an empty mirror.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the mirror with a dump and returns the differences: removals first, then additions.
    /// `suspects` are the changes that may have caused them.
    pub fn replace(&mut self, dump: Dump, suspects: &[Suspect]) -> Vec<Input<'static>> {
        let loss = |lost: &[Installed]| {
            let mut suspects = suspects.iter();
            let suspect = suspects.find(|suspect| lost.iter().any(|route| suspect.explains(route)));
            suspect.map_or(Loss::Unknown, Suspect::loss)
        };
        let mut known = std::mem::take(&mut self.routes);
        let mut added: Vec<Routed> = Vec::new();
        for shown in dump.routes {
            let place = shown.place;
            let former = known.get_mut(&place).and_then(|routes| {
                let at = routes.iter().position(|route| route.fits(&shown))?;
                Some(routes.swap_remove(at))
            });
            if former.is_none() {
                added.push(Routed::Route(place));
            }
            self.routes.entry(place).or_default().push(shown);
        }
        let mut removed: Vec<(Routed, Loss)> = known
            .into_iter()
            .filter(|(_, routes)| !routes.is_empty())
            .map(|(place, routes)| (Routed::Route(place), loss(&routes)))
            .collect();

        let rules: BTreeSet<Rule> = dump.rules.into_iter().collect();
        let gone = self.rules.difference(&rules).cloned();
        removed.extend(gone.map(|rule| (Routed::Rule(rule), Loss::Unknown)));
        added.extend(rules.difference(&self.rules).cloned().map(Routed::Rule));
        self.rules = rules;
        removed
            .into_iter()
            .map(|(what, loss)| Input::RoutingRemoved { what, loss })
            .chain(added.into_iter().map(Input::RoutingAdded))
            .collect()
    }

    /// Applies a planned change of the daemon.
    pub fn applied(&mut self, change: &Change) {
        match change {
            Change::AddRoute { installed, .. } => {
                let routes = self.routes.entry(installed.place).or_default();
                routes.push(installed.clone());
            }
            Change::ExtendRoute {
                installed, missing, ..
            } => {
                for route in self.routes.entry(installed.place).or_default() {
                    if installed.missing_in(route).is_some() {
                        route.legs.extend_from_slice(missing);
                    }
                }
            }
            Change::DeleteRoute(installed) => {
                if let Some(routes) = self.routes.get_mut(&installed.place) {
                    routes.retain(|route| route != installed);
                    if routes.is_empty() {
                        self.routes.remove(&installed.place);
                    }
                }
            }
            Change::AddRule { rule, .. } => drop(self.rules.insert(rule.clone())),
            Change::DeleteRule(rule) => drop(self.rules.remove(rule)),
        }
    }

    /// Reverts a planned change that the kernel rejected.
    pub fn refused(&mut self, change: &Change) {
        match change {
            Change::AddRoute { installed, .. } => {
                self.applied(&Change::DeleteRoute(installed.clone()));
            }
            Change::ExtendRoute {
                installed, missing, ..
            } => {
                for route in self.routes.entry(installed.place).or_default() {
                    route.legs.retain(|leg| !missing.contains(leg));
                }
            }
            Change::DeleteRoute(installed) => {
                let routes = self.routes.entry(installed.place).or_default();
                routes.push(installed.clone());
            }
            Change::AddRule { rule, .. } => drop(self.rules.remove(rule)),
            Change::DeleteRule(rule) => drop(self.rules.insert(rule.clone())),
        }
    }

    /// Whether the mirror holds neither routes nor rules.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.rules.is_empty()
    }

    /// Routes with that key (table, destination, metric), normally at most one.
    pub fn routes(&self, place: RoutePlace) -> &[Installed] {
        self.routes.get(&place).map_or(&[], Vec::as_slice)
    }

    /// Whether the kernel holds the rule.
    pub fn has_rule(&self, rule: &Rule) -> bool {
        self.rules.contains(rule)
    }

    /// All routes.
    pub fn all_routes(&self) -> impl Iterator<Item = &Installed> {
        self.routes.values().flatten()
    }

    /// All rules.
    pub fn all_rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// Returns `event` as a suspect if the kernel may have deleted or changed a route because of it. Then
    /// the routes have to be read again, because the kernel sends no event for IPv4 routes. `addresses` does
    /// not show the event yet.
    pub fn suspect(&self, event: &Event, addresses: &crate::mirror::Mirror) -> Option<Suspect> {
        let down = |device: InterfaceIndex| {
            let is_concerned = self.all_routes().any(|route| route.may_lead_over(device));
            is_concerned.then(|| Suspect::Device(device, addresses.name(device)))
        };
        match event {
            Event::Link(link) if link.up => None,
            Event::Link(link) => down(link.index),
            Event::LinkRemoved(device) => down(*device),
            Event::AddressRemoved(device, address, _) => {
                self.suspect_address(*device, *address, addresses)
            }
            Event::AddressAdded(..) => None,
        }
    }

    /// Returns the deletions among the daemon's own `changes` because of which the kernel may have deleted
    /// or changed a route, as [`suspect`](Self::suspect) does for an event. `addresses` shows all of them.
    pub fn suspects(
        &self,
        changes: &[crate::change::Change],
        addresses: &crate::mirror::Mirror,
    ) -> Vec<Suspect> {
        changes
            .iter()
            .filter(|change| matches!(change, crate::change::Change::Delete { .. }))
            .filter_map(|gone| self.suspect_address(gone.interface(), gone.address(), addresses))
            .collect()
    }

    /// When a device loses its last IPv4 address, the kernel deletes the IPv4 routes over that device. An
    /// address of the daemon proves nothing: it may have been added after that moment, before the daemon
    /// read the event.
    fn suspect_address(
        &self,
        device: InterfaceIndex,
        gone: InterfaceAddress,
        addresses: &crate::mirror::Mirror,
    ) -> Option<Suspect> {
        let keeps_another = || {
            let mut left = addresses.addresses(device).into_iter();
            left.any(|held| {
                held.address.family() == Family::V4 && held.address != gone && !held.ours
            })
        };
        let suspect = Suspect::Address(device, gone);
        let mut concerned = self.all_routes().filter(|route| suspect.explains(route));
        let is_source = |route: &Installed| route.source == Some(gone.address);
        let is_concerned = concerned.any(|route| is_source(route) || !keeps_another());
        is_concerned.then_some(suspect)
    }
}

/// Whether the kernel keeps the next hops of a route separately, so that it can remove one of them and
/// accept it again.
pub(crate) fn loses_single_legs(route: &Installed) -> bool {
    route.place.destination.family() == Family::V6
}
