//! Mirror of the kernel's routes and rules with the daemon's mark, as far as known. Pure.
//!
//! Routes and rules without the mark are left out. The mirror is filled by a [`Dump`], takes in the
//! daemon's own changes when they are planned, and is compared with a new dump whenever another program or
//! the kernel may have changed something. Differences that are new to the engine are returned as inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_proto::routing::{RoutePlace, Routed, Rule, Scope};
use vrrp_proto::{Family, Input, InterfaceAddress, InterfaceIndex, Loss};

use super::plan::Change;
use crate::mirror::Event;

/// Route as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Key of the route: table, destination and metric.
    pub place: RoutePlace,
    /// Type of service; 0 is any. A part of the kernel's key that the daemon's routes never use.
    pub tos: u8,
    /// Scope.
    pub scope: Scope,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Next hops.
    pub legs: Vec<Leg>,
    /// Whether the route has an attribute that a configured route cannot have.
    pub odd: bool,
}

/// Next hop as the kernel holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leg {
    /// Address of the gateway, if there is one.
    pub gateway: Option<IpAddr>,
    /// Device. A requested next hop may have none; then the kernel finds it from the gateway.
    pub device: Option<InterfaceIndex>,
    /// Share of the traffic, 1 to 256.
    pub weight: u16,
    /// Whether the gateway counts as directly reachable without a matching route (RTNH_F_ONLINK).
    pub on_link: bool,
}

impl Leg {
    /// Whether `shown` is how the kernel shows this next hop.
    fn fits(self, shown: Self) -> bool {
        let device = self.device.or(shown.device);
        Self { device, ..self } == shown
    }
}

impl Installed {
    /// Whether the kernel may delete the route when `device` goes down. A route without a configured device
    /// may use any device.
    pub fn may_lead_over(&self, device: InterfaceIndex) -> bool {
        let mut legs = self.legs.iter();
        legs.any(|leg| leg.device.is_none_or(|known| known == device))
    }

    /// Whether `shown` is how the kernel shows this route.
    pub fn fits(&self, shown: &Self) -> bool {
        self.legs.len() == shown.legs.len() && self.missing_in(shown).is_some_and(|m| m.is_empty())
    }

    /// Returns the next hops that `shown` lacks, or `None` if the routes differ in anything else.
    pub fn missing_in(&self, shown: &Self) -> Option<Vec<Leg>> {
        let is_same = (self.place, self.tos, self.scope, self.source, self.odd)
            == (shown.place, shown.tos, shown.scope, shown.source, shown.odd);
        if !is_same {
            return None;
        }
        // The kernel may show the next hops of an IPv6 route in another order than requested.
        let mut missing = self.legs.clone();
        for leg in &shown.legs {
            let place = missing.iter().position(|wanted| wanted.fits(*leg))?;
            missing.swap_remove(place);
        }
        Some(missing)
    }
}

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
        changes: &[crate::plan::Change],
        addresses: &crate::mirror::Mirror,
    ) -> Vec<Suspect> {
        changes
            .iter()
            .filter(|change| matches!(change, crate::plan::Change::Delete { .. }))
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
