//! Which of our routes and rules the kernel holds, as far as known. Pure.
//!
//! Only what bears our mark is in it. It is filled by a [`Dump`], takes in our own changes as they are
//! planned, and is compared with a new dump whenever somebody else may have changed something: what
//! is news to the engine comes out as inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use vrrp_proto::routing::{RoutePlace, Routed, Rule, Scope};
use vrrp_proto::{Family, Input, InterfaceIndex};

use super::plan::Change;
use crate::mirror::Event;

/// A route as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Where it stands.
    pub place: RoutePlace,
    /// The type of service that it is for; 0 is any. A part of the place that ours never use.
    pub tos: u8,
    /// Its scope.
    pub scope: Scope,
    /// The preferred source.
    pub source: Option<IpAddr>,
    /// Where it leads over.
    pub legs: Vec<Leg>,
    /// Whether it says anything that a route of a configuration cannot say.
    pub odd: bool,
}

/// A next hop as the kernel holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leg {
    /// The gateway.
    pub gateway: Option<IpAddr>,
    /// The device. In what is asked for it may be none, and then the kernel finds it.
    pub device: Option<InterfaceIndex>,
    /// Its share of the traffic, 1 to 256.
    pub weight: u16,
    /// Whether the gateway is believed to be a neighbour.
    pub on_link: bool,
}

impl Leg {
    /// Whether the kernel shows `shown` for this.
    fn fits(self, shown: Self) -> bool {
        let device = self.device.or(shown.device);
        Self { device, ..self } == shown
    }
}

impl Installed {
    /// Whether the kernel shows `shown` for this.
    pub fn fits(&self, shown: &Self) -> bool {
        self.legs.len() == shown.legs.len() && self.missing_in(shown).is_some_and(|m| m.is_empty())
    }

    /// The next hops of this that `shown` lacks, if it lacks nothing else and has nothing more.
    pub fn missing_in(&self, shown: &Self) -> Option<Vec<Leg>> {
        let is_same = (self.place, self.tos, self.scope, self.source, self.odd)
            == (shown.place, shown.tos, shown.scope, shown.source, shown.odd);
        if !is_same {
            return None;
        }
        // The kernel need not show them in the order in which it was given them (IPv6).
        let mut missing = self.legs.clone();
        for leg in &shown.legs {
            let place = missing.iter().position(|wanted| wanted.fits(*leg))?;
            missing.swap_remove(place);
        }
        Some(missing)
    }
}

/// All that bears our mark at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The routes.
    pub routes: Vec<Installed>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Which of our routes and rules the kernel holds, as far as known.
#[derive(Debug, Default)]
pub struct Mirror {
    routes: BTreeMap<RoutePlace, Vec<Installed>>,
    rules: BTreeSet<Rule>,
}

impl Mirror {
    /// A mirror that knows of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in all that is, and says what is new: first what is gone, then what is there.
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

    /// Takes in a change of our own.
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

    /// Takes back a change of our own that the kernel refused.
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

    /// Whether nothing of ours is there.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.rules.is_empty()
    }

    /// The routes in a place.
    pub fn routes(&self, place: RoutePlace) -> &[Installed] {
        self.routes.get(&place).map_or(&[], Vec::as_slice)
    }

    /// Whether a rule is there.
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

    /// Whether the kernel may have taken a route away, or changed it, because of `event`, which
    /// `addresses` shows or not yet. Then all is to be looked at: of IPv4 it does not tell.
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

    /// The same of changes of our own.
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

    /// Whether the kernel may take a route away when `device` goes down. Without a device in the
    /// configuration it may be any.
    pub fn may_lead_over(&self, device: InterfaceIndex) -> bool {
        self.all_routes()
            .flat_map(|route| &route.legs)
            .any(|leg| leg.device.is_none_or(|known| known == device))
    }

    /// Whether the kernel may take a route away, or make it go without its source, when `address`
    /// leaves `device`, where `addresses` knows the others. Of IPv4 it takes the routes over a device
    /// that has none left.
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

/// Whether the kernel keeps the next hops of a route apart, so that it can lose one of them and be
/// given it back.
pub(crate) fn loses_single_legs(route: &Installed) -> bool {
    route.place.destination.family() == Family::V6
}
