//! Mirror of the kernel's routes and rules with the daemon's mark, as far as known. Pure.
//!
//! Routes and rules without the mark are left out. The mirror is filled by a [`Dump`], takes in the
//! daemon's own changes when they are planned, and is compared with a new dump whenever another program or
//! the kernel may have changed something. Differences that are new to the engine are returned as inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use vrrp_proto::routing::{RoutePlace, Routed, Rule, Scope};
use vrrp_proto::{Family, Input, InterfaceIndex};

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
    pub fn replace(&mut self, dump: Dump) -> Vec<Input<'static>> {
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
        let mut removed: Vec<Routed> = known
            .into_iter()
            .filter(|(_, routes)| !routes.is_empty())
            .map(|(place, _)| Routed::Route(place))
            .collect();

        let rules: BTreeSet<Rule> = dump.rules.into_iter().collect();
        removed.extend(self.rules.difference(&rules).cloned().map(Routed::Rule));
        added.extend(rules.difference(&self.rules).cloned().map(Routed::Rule));
        self.rules = rules;
        removed
            .into_iter()
            .map(Input::RoutingRemoved)
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

    /// Whether the kernel may have deleted or changed a route because of `event`, which `addresses` may
    /// already show. Then the routes have to be read again, because the kernel sends no event for IPv4
    /// routes.
    pub fn is_in_doubt_after(&self, event: &Event, addresses: &crate::mirror::Mirror) -> bool {
        match event {
            Event::Link(link) => !link.up && self.may_lead_over(link.index),
            Event::LinkRemoved(device) => self.may_lead_over(*device),
            Event::AddressRemoved(device, address) => {
                self.may_lose(*device, address.address, addresses)
            }
            Event::AddressAdded(..) => false,
        }
    }

    /// Whether the kernel may have deleted or changed a route because of the daemon's own `changes` of
    /// addresses.
    pub fn is_in_doubt_after_own(
        &self,
        changes: &[crate::plan::Change],
        addresses: &crate::mirror::Mirror,
    ) -> bool {
        changes
            .iter()
            .filter(|change| matches!(change, crate::plan::Change::Delete { .. }))
            .any(|gone| self.may_lose(gone.interface(), gone.address().address, addresses))
    }

    /// Whether the kernel may delete a route when `device` goes down. A route without a configured device
    /// may use any device.
    pub fn may_lead_over(&self, device: InterfaceIndex) -> bool {
        self.all_routes()
            .flat_map(|route| &route.legs)
            .any(|leg| leg.device.is_none_or(|known| known == device))
    }

    /// Whether the kernel may delete a route, or remove its source, when `address` is deleted from
    /// `device`; `addresses` knows the remaining addresses. When a device loses its last IPv4 address, the
    /// kernel deletes the IPv4 routes over that device.
    pub fn may_lose(
        &self,
        device: InterfaceIndex,
        address: IpAddr,
        addresses: &crate::mirror::Mirror,
    ) -> bool {
        let has_left = || {
            let left = addresses.addresses(device);
            left.iter()
                .map(|held| held.address.address)
                .any(|other| other.is_ipv4() && other != address)
        };
        self.all_routes().any(|route| route.source == Some(address))
            || address.is_ipv4() && self.may_lead_over(device) && !has_left()
    }
}

/// Whether the kernel keeps the next hops of a route separately, so that it can remove one of them and
/// accept it again.
pub(crate) fn loses_single_legs(route: &Installed) -> bool {
    route.place.destination.family() == Family::V6
}
