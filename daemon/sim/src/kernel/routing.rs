//! The routes and rules of the model that bear the daemon's mark. Others are nobody's concern.

use std::collections::BTreeSet;

use vrrp_node::routing::mirror::{Dump, Installed, Leg};
use vrrp_node::routing::plan::Change;
use vrrp_proto::routing::{Routed, Rule, Scope};
use vrrp_proto::{Family, InterfaceAddress, InterfaceIndex};

use super::Kernel;
use crate::scenario::{route_place, rule};

/// What the kernel holds of the daemon's, and whether it has been changed by others.
#[derive(Debug, Default)]
pub(super) struct Routing {
    routes: Vec<Installed>,
    rules: BTreeSet<Rule>,
    heard: bool,
    news: bool,
}

impl Kernel {
    /// All that bears the mark.
    pub(super) fn all_routing(&self) -> Dump {
        Dump {
            routes: self.routing.routes.clone(),
            rules: self.routing.rules.iter().cloned().collect(),
        }
    }

    /// All that bears the mark, as what it is known by.
    pub(crate) fn routed(&self) -> impl Iterator<Item = Routed> + '_ {
        let routes = self.routing.routes.iter();
        let routes = routes.map(|route| Routed::Route(route.place));
        routes.chain(self.routing.rules.iter().cloned().map(Routed::Rule))
    }

    /// The routes that bear the mark.
    pub(crate) fn routes(&self) -> &[Installed] {
        &self.routing.routes
    }

    /// A daemon begins to listen to news of routing, or stops.
    pub(crate) fn hear_of_routing(&mut self, heard: bool) {
        self.routing.heard = heard;
        self.routing.news = false;
    }

    /// Whether there were news since this was asked last.
    pub(crate) fn take_routing_news(&mut self) -> bool {
        std::mem::take(&mut self.routing.news)
    }

    pub(super) const fn has_routing_news(&self) -> bool {
        self.routing.news
    }

    /// An administrator deletes a route and a rule.
    pub(crate) fn take_routing(&mut self, number: u8) {
        let before = self.all_routing();
        let place = route_place(number);
        self.routing.routes.retain(|route| route.place != place);
        self.routing.rules.remove(&rule(number));
        self.tell_of_routing(&before);
    }

    /// Somebody adds a route, if the interface is there, and a rule.
    pub(crate) fn put_routing(&mut self, segment: u8, number: u8) {
        let before = self.all_routing();
        let place = route_place(number);
        let is_free = self.routing.routes.iter().all(|route| route.place != place);
        let device = self.on(segment).filter(|device| self.is_up(*device));
        if is_free && device.is_some() {
            let leg = Leg {
                gateway: None,
                device,
                weight: 1,
                on_link: false,
            };
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

    /// A device is down or gone, and with it what leads over it, without a word.
    pub(super) fn forget_routes_over(&mut self, device: InterfaceIndex) {
        let leads_there = |leg: &Leg| leg.device == Some(device);
        self.routing
            .routes
            .retain(|route| !route.legs.iter().any(leads_there));
    }

    /// An address is gone, and with it the routes that have it as their source and, if it was the
    /// last one of IPv4, all that lead over its device, without a word.
    pub(super) fn forget_routes_from(&mut self, device: InterfaceIndex, gone: InterfaceAddress) {
        self.routing
            .routes
            .retain(|route| route.source != Some(gone.address));
        let is_ipv4 = |held: InterfaceAddress| held.family() == Family::V4;
        if !self
            .addresses()
            .any(|(on, held, _)| on == device && is_ipv4(held))
        {
            self.forget_routes_over(device);
        }
    }

    fn tell_of_routing(&mut self, before: &Dump) {
        self.routing.news |= self.routing.heard && self.all_routing() != *before;
    }

    /// Whether it could be done. What is to be deleted and gone is done.
    pub(super) fn change_route_or_rule(&mut self, change: &Change) -> bool {
        match change {
            Change::AddRoute { installed, .. } => self.install(installed),
            // Of IPv4 a route has all of its next hops.
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

    /// A next hop with its device, where there is one that is up and on which the gateway is a
    /// neighbour.
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
