//! Routes and rules with the daemon's mark. The model contains no other ones.

use std::collections::BTreeSet;

use vrrp_node::routing::change::{Change, Installed, Leg};
use vrrp_node::routing::mirror::Dump;
use vrrp_proto::routing::{Routed, Rule, Scope};
use vrrp_proto::{Family, InterfaceAddress, InterfaceIndex};

use super::Kernel;
use crate::scenario::{route_place, rule};

/// Routes and rules with the daemon's mark, and whether they were changed by hand.
#[derive(Debug, Default)]
pub(super) struct Routing {
    routes: Vec<Installed>,
    rules: BTreeSet<Rule>,
    heard: bool,
    news: bool,
}

impl Kernel {
    /// Complete dump of the routes and rules with the mark.
    pub(super) fn all_routing(&self) -> Dump {
        Dump {
            routes: self.routing.routes.clone(),
            rules: self.routing.rules.iter().cloned().collect(),
        }
    }

    /// Identities of the routes and rules with the mark.
    pub(crate) fn routed(&self) -> impl Iterator<Item = Routed> + '_ {
        let routes = self.routing.routes.iter();
        let routes = routes.map(|route| Routed::Route(route.place));
        routes.chain(self.routing.rules.iter().cloned().map(Routed::Rule))
    }

    /// Routes with the mark.
    pub(crate) fn routes(&self) -> &[Installed] {
        &self.routing.routes
    }

    /// Subscribes the daemon to routing notifications, or ends its subscription.
    pub(crate) fn hear_of_routing(&mut self, heard: bool) {
        self.routing.heard = heard;
        self.routing.news = false;
    }

    /// Returns whether there were routing notifications since the last call.
    pub(crate) fn take_routing_news(&mut self) -> bool {
        std::mem::take(&mut self.routing.news)
    }

    pub(super) const fn has_routing_news(&self) -> bool {
        self.routing.news
    }

    /// Deletes a route and a rule by hand.
    pub(crate) fn take_routing(&mut self, number: u8) {
        let before = self.all_routing();
        let place = route_place(number);
        self.routing.routes.retain(|route| route.place != place);
        self.routing.rules.remove(&rule(number));
        self.tell_of_routing(&before);
    }

    /// Adds a rule by hand, and a route if the interface is up, which replaces another one of the same place
    /// (`ip route replace`).
    pub(crate) fn put_routing(&mut self, segment: u8, number: u8) {
        let before = self.all_routing();
        let place = route_place(number);
        let device = self.on(segment).filter(|device| self.is_up(*device));
        if device.is_some() {
            let leg = Leg {
                gateway: None,
                device,
                weight: 1,
                on_link: false,
            };
            self.routing.routes.retain(|route| route.place != place);
            self.routing.routes.push(Installed {
                place,
                tos: 0,
                scope: Scope::LINK,
                source: None,
                legs: vec![leg],
                odd: false,
            });
        }
        self.routing.rules.insert(rule(number));
        self.tell_of_routing(&before);
    }

    /// Removes the routes over a device that is down or deleted. The kernel sends no notification of
    /// them.
    pub(super) fn forget_routes_over(&mut self, device: InterfaceIndex) {
        let leads_there = |leg: &Leg| leg.device == Some(device);
        self.routing
            .routes
            .retain(|route| !route.legs.iter().any(leads_there));
    }

    /// Removes the routes with a deleted address as their source, and with the last IPv4 address of a
    /// device all routes over it. The kernel sends no notification of them.
    pub(super) fn forget_routes_from(&mut self, device: InterfaceIndex, gone: InterfaceAddress) {
        self.routing
            .routes
            .retain(|route| route.source != Some(gone.address));
        let is_ipv4 = |held: InterfaceAddress| held.family() == Family::V4;
        let mut left = self.addresses();
        if is_ipv4(gone) && !left.any(|(on, held, _)| on == device && is_ipv4(held)) {
            drop(left);
            self.forget_routes_over(device);
        }
    }

    fn tell_of_routing(&mut self, before: &Dump) {
        self.routing.news |= self.routing.heard && self.all_routing() != *before;
    }

    /// Applies one change. Returns whether it succeeded; the deletion of a missing route or rule
    /// succeeds.
    pub(super) fn change_route_or_rule(&mut self, change: &Change) -> bool {
        match change {
            Change::AddRoute { installed, .. } => self.install(installed),
            // An IPv4 route is created with all of its next hops.
            Change::ExtendRoute { .. } => false,
            Change::DeleteRoute(gone) => {
                self.routing.routes.retain(|route| !gone.fits(route));
                true
            }
            Change::AddRule { rule, .. } => self.routing.rules.insert(rule.clone()),
            Change::DeleteRule(rule) => {
                self.routing.rules.remove(rule);
                true
            }
        }
    }

    fn install(&mut self, route: &Installed) -> bool {
        // The kernel allows one route per destination, table and metric.
        let is_taken = self
            .routing
            .routes
            .iter()
            .any(|known| known.place == route.place);
        let has_source = route
            .source
            .is_none_or(|source| self.addresses().any(|(_, held, _)| held.address == source));
        let legs: Option<Vec<Leg>> = route.legs.iter().map(|leg| self.resolve(*leg)).collect();
        let (Some(legs), false, true) = (legs, is_taken, has_source) else {
            return false;
        };
        self.routing.routes.push(Installed {
            legs,
            ..route.clone()
        });
        true
    }

    /// Resolves the device of a next hop: one that is up and has an address in the network of the
    /// gateway.
    fn resolve(&self, leg: Leg) -> Option<Leg> {
        let segment_of = |address: std::net::IpAddr| match address {
            std::net::IpAddr::V4(v4) => v4.octets()[2],
            std::net::IpAddr::V6(_) => u8::MAX,
        };
        let reaches = |device: InterfaceIndex| {
            let mut held = self.addresses().filter(|(on, _, _)| *on == device);
            leg.gateway.is_none_or(|gateway| {
                held.any(|(_, held, _)| segment_of(held.address) == segment_of(gateway))
            })
        };
        let mut all = self.interfaces.keys().copied();
        let device = match leg.device {
            Some(device) => Some(device),
            None => all.find(|device| self.is_up(*device) && reaches(*device)),
        };
        let device = device.filter(|device| self.is_up(*device) && reaches(*device))?;
        Some(Leg {
            device: Some(device),
            ..leg
        })
    }

    fn is_up(&self, device: InterfaceIndex) -> bool {
        let interface = self.interfaces.get(&device);
        interface.is_some_and(|interface| interface.link.up)
    }
}
