//! The routes to one destination as far as known. Pure: no system calls.
//!
//! A dump fills the table, and notifications of added and deleted routes update it. Some notifications
//! are ambiguous if several routes have the same metric; then the routes are in doubt and have to be
//! dumped again. This happens rarely, because only the routes of one destination are tracked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_proto::routing::{Network, Table};
use vrrp_proto::{InterfaceIndex, Link};

/// Description of the route that a tracker wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Destination network, compared exactly.
    pub destination: Network,
    /// Routing table.
    pub table: Table,
    /// Required gateway; `None` accepts any next hop.
    pub gateway: Option<IpAddr>,
    /// Name of the required device; `None` accepts any.
    pub device: Option<Arc<str>>,
}

/// A route as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Metric; the kernel uses the route with the lowest.
    pub(super) metric: u32,
    pub(super) kind: Kind,
    /// Preferred source. The kernel removes an IPv4 route together with this address.
    pub(super) source: Option<IpAddr>,
    /// ID of the nexthop object that the route uses.
    pub(super) object: Option<u32>,
    pub(super) legs: Vec<Leg>,
}

/// A next hop of a route as the kernel shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) gateway: Option<IpAddr>,
    pub(super) device: Option<InterfaceIndex>,
    /// Whether the kernel uses the next hop. It does not while the link is down.
    pub(super) alive: bool,
}

impl Shown {
    /// Whether both are the same route, regardless of `alive`.
    fn is(&self, other: &Self) -> bool {
        let place = |leg: &Leg| (leg.gateway, leg.device);
        (self.metric, self.kind, self.source, self.object)
            == (other.metric, other.kind, other.source, other.object)
            && self.legs.iter().map(place).eq(other.legs.iter().map(place))
    }
}

/// Type of a route (rtm_type, rtnetlink(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Forwards packets, or delivers them to this host.
    Leads,
    /// Drops packets.
    Blackhole,
    /// Drops packets and answers with ICMP unreachable.
    Unreachable,
    /// Drops packets and answers with ICMP administratively prohibited.
    Prohibit,
    /// Continues the lookup in the next table.
    Throw,
}

impl Kind {
    /// Name of the type in ip-route(8); `None` for a route that leads somewhere.
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::Leads => None,
            Self::Blackhole => Some("blackhole"),
            Self::Unreachable => Some("unreachable"),
            Self::Prohibit => Some("prohibit"),
            Self::Throw => Some("throw"),
        }
    }
}

/// A next hop of the wanted route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Gateway; `None` if the destination is a neighbour on the device, or this host.
    pub gateway: Option<IpAddr>,
    /// Index of the device.
    pub device: Option<InterfaceIndex>,
    /// Name of the device, if it has one.
    pub name: Option<Arc<str>>,
}

impl core::fmt::Display for Way {
    /// ` via GATEWAY on DEVICE`, without the missing parts.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " on {name}")?;
        }
        Ok(())
    }
}

/// Reason why there is no usable route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// There is no route to the destination.
    #[error("no route to {0}")]
    NoRoute(Goal),
    /// Routes to the destination exist, but none by the wanted gateway and device.
    #[error("no route to {goal}: the kernel has one{other}")]
    Elsewhere {
        /// The wanted route.
        goal: Goal,
        /// Next hop of an existing route.
        other: Way,
    },
    /// The link of the route is down.
    #[error("the route to {goal} is dead: the link is down{}", on(name.as_ref()))]
    Dead {
        /// The wanted route.
        goal: Goal,
        /// Name of the device.
        name: Option<Arc<str>>,
    },
    /// The route has a type that forwards nothing.
    #[error("the route to {goal} has type {kind} and forwards nothing")]
    Nowhere {
        /// The wanted route.
        goal: Goal,
        /// Name of the type in ip-route(8).
        kind: &'static str,
    },
    /// The kernel does not show the next hops of the route.
    #[error(
        "the kernel hides the next hops of the route to {0}, which uses a nexthop object: set \
         the sysctl net.ipv4.nexthop_compat_mode=1"
    )]
    Hidden(Goal),
}

fn on(name: Option<&Arc<str>>) -> String {
    name.map(|name| format!(" on {name}")).unwrap_or_default()
}

/// Text of the wanted route: `10.0.0.0/8 via 192.168.224.1 in table 254`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal(Arc<str>);

impl core::fmt::Display for Goal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Wanted {
    fn goal(&self) -> Goal {
        let way = Way {
            gateway: self.gateway,
            device: None,
            name: self.device.clone(),
        };
        Goal(format!("{}{way} in table {}", self.destination, self.table).into())
    }
}

/// The routes to one destination.
#[derive(Debug)]
pub(super) struct Known {
    wanted: Wanted,
    /// Ordered by metric.
    routes: Vec<Shown>,
    links: BTreeMap<InterfaceIndex, Link>,
    in_doubt: bool,
}

impl Known {
    pub(super) const fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            routes: Vec::new(),
            links: BTreeMap::new(),
            in_doubt: true,
        }
    }

    pub(super) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether links and routes have to be dumped again.
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Marks everything as in doubt: notifications were lost, or a change happened of which the kernel
    /// may not notify.
    pub(super) const fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// Replaces everything by the result of a dump.
    pub(super) fn replace(&mut self, mut routes: Vec<Shown>, links: Vec<Link>) {
        routes.sort_by_key(|route| route.metric);
        self.routes = routes;
        self.links = links.into_iter().map(|link| (link.index, link)).collect();
        self.in_doubt = false;
    }

    /// Adds a route, either in place of another one with its metric or beside these.
    pub(super) fn add(&mut self, route: Shown, replaces: bool) {
        let mut equals = self
            .routes
            .iter_mut()
            .filter(|known| known.metric == route.metric);
        match (equals.next(), equals.next()) {
            (Some(known), None) if replaces || known.is(&route) => *known = route,
            (None, _) => {
                let place = self
                    .routes
                    .partition_point(|known| known.metric < route.metric);
                self.routes.insert(place, route);
            }
            // Ambiguous: the kernel may have appended, joined or replaced.
            (Some(_), _) => self.in_doubt = true,
        }
    }

    /// Removes a route.
    pub(super) fn remove(&mut self, route: &Shown) {
        if let Some(place) = self.routes.iter().position(|known| known.is(route)) {
            self.routes.remove(place);
        } else if self.routes.iter().any(|known| known.metric == route.metric) {
            // The notification may concern one of several next hops.
            self.in_doubt = true;
        }
    }

    /// Updates a link. Routes over it may become dead, become alive or disappear without a
    /// notification.
    pub(super) fn put_link(&mut self, link: Link) {
        let known = self.links.insert(link.index, link.clone());
        if known.is_none_or(|known| known != link) {
            self.doubt_those_over(link.index);
        }
    }

    /// Removes a link.
    pub(super) fn remove_link(&mut self, interface: InterfaceIndex) {
        self.links.remove(&interface);
        self.doubt_those_over(interface);
    }

    /// Handles the removal of an address: the kernel silently removes an IPv4 route when this was its
    /// source, or the last address of its device.
    pub(super) fn remove_address(&mut self, interface: InterfaceIndex, address: IpAddr) {
        self.in_doubt |= self
            .routes
            .iter()
            .any(|route| route.source == Some(address));
        self.doubt_those_over(interface);
    }

    /// Handles a change of nexthop objects.
    pub(super) fn touch_objects(&mut self) {
        self.in_doubt |= self.routes.iter().any(|route| route.object.is_some());
    }

    fn doubt_those_over(&mut self, interface: InterfaceIndex) {
        let mut legs = self.routes.iter().flat_map(|route| &route.legs);
        // A route by a hidden nexthop object may use any device.
        self.in_doubt |= legs.any(|leg| leg.device == Some(interface))
            || self.routes.iter().any(|route| route.legs.is_empty());
    }

    /// Next hops of the usable routes, at least one, the lowest metric first.
    pub(super) fn ways(&self) -> Result<Vec<Way>, NoWay> {
        let mut ways = Vec::new();
        let (mut dead, mut nowhere, mut elsewhere, mut hidden) = (None, None, None, false);
        // Without a required gateway or device a hidden next hop is good enough.
        let is_any = self.wanted.gateway.is_none() && self.wanted.device.is_none();
        for route in &self.routes {
            if let Some(word) = route.kind.word() {
                nowhere.get_or_insert(word);
                continue;
            }
            if route.legs.is_empty() {
                hidden = true;
                if is_any {
                    ways.push(Way {
                        gateway: None,
                        device: None,
                        name: None,
                    });
                }
            }
            for leg in &route.legs {
                let way = self.way(leg);
                if !self.fits(&way) {
                    elsewhere.get_or_insert(way);
                } else if !leg.alive {
                    dead.get_or_insert(way.name);
                } else if !ways.contains(&way) {
                    ways.push(way);
                }
            }
        }
        if !ways.is_empty() {
            return Ok(ways);
        }
        let goal = self.wanted.goal();
        // The reason closest to a usable route comes first.
        Err(if let Some(name) = dead {
            NoWay::Dead { goal, name }
        } else if let Some(other) = elsewhere {
            NoWay::Elsewhere { goal, other }
        } else if hidden {
            NoWay::Hidden(goal)
        } else if let Some(kind) = nowhere {
            NoWay::Nowhere { goal, kind }
        } else {
            NoWay::NoRoute(goal)
        })
    }

    fn way(&self, leg: &Leg) -> Way {
        let link = leg.device.and_then(|device| self.links.get(&device));
        Way {
            gateway: leg.gateway,
            device: leg.device,
            name: link.map(|link| Arc::clone(&link.name)),
        }
    }

    fn fits(&self, way: &Way) -> bool {
        let Wanted {
            gateway, device, ..
        } = &self.wanted;
        (gateway.is_none() || *gateway == way.gateway) && (device.is_none() || *device == way.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(gateway: Option<&str>, device: Option<&str>) -> Wanted {
        Wanted {
            destination: "10.0.0.0/8".parse().unwrap(),
            table: Table::MAIN,
            gateway: gateway.map(|text| text.parse().unwrap()),
            device: device.map(Into::into),
        }
    }

    fn link(index: u32, up: bool) -> Link {
        Link {
            index: InterfaceIndex(index),
            name: format!("eth{index}").into(),
            up,
            carrier: up,
            mac: None,
            port_of: None,
            alternative_names: Arc::default(),
        }
    }

    fn leg(gateway: &str, device: u32) -> Leg {
        Leg {
            gateway: Some(gateway.parse().unwrap()),
            device: Some(InterfaceIndex(device)),
            alive: true,
        }
    }

    fn route(metric: u32, legs: &[Leg]) -> Shown {
        Shown {
            metric,
            kind: Kind::Leads,
            source: None,
            object: None,
            legs: legs.to_vec(),
        }
    }

    fn known(wanted: Wanted, routes: &[Shown]) -> Known {
        let mut known = Known::new(wanted);
        assert!(known.is_in_doubt(), "before the first dump");
        known.replace(routes.to_vec(), vec![link(1, true), link(2, true)]);
        assert!(!known.is_in_doubt());
        known
    }

    /// Texts of the next hops, or of the reason why there is none.
    fn said(known: &Known) -> Result<Vec<String>, String> {
        let ways = known.ways().map_err(|reason| reason.to_string())?;
        Ok(ways.iter().map(ToString::to_string).collect())
    }

    fn by(ways: &[&str]) -> Result<Vec<String>, String> {
        Ok(ways.iter().map(|way| (*way).to_owned()).collect())
    }

    fn none(reason: &str) -> Result<Vec<String>, String> {
        Err(reason.to_owned())
    }

    #[test]
    fn routes_are_ordered_by_metric() {
        let mut known = known(wanted(None, None), &[]);
        assert_eq!(said(&known), none("no route to 10.0.0.0/8 in table 254"));
        known.add(route(7, &[leg("192.0.2.7", 1)]), false);
        known.add(route(3, &[leg("192.0.2.3", 2)]), false);
        let both = by(&[" via 192.0.2.3 on eth2", " via 192.0.2.7 on eth1"]);
        assert_eq!(said(&known), both);
        // A route in the dump is notified once more.
        known.add(route(3, &[leg("192.0.2.3", 2)]), false);
        assert_eq!(said(&known), both);
        known.add(route(3, &[leg("192.0.2.4", 2)]), true);
        known.remove(&route(7, &[leg("192.0.2.7", 1)]));
        assert_eq!(said(&known), by(&[" via 192.0.2.4 on eth2"]));
        known.remove(&route(9, &[leg("192.0.2.9", 2)]));
        assert!(!known.is_in_doubt(), "the route was unknown");
    }

    #[test]
    fn ambiguous_notifications_need_a_new_dump() {
        let two = || [route(0, &[leg("192.0.2.1", 1)])];
        let mut known_one = known(wanted(None, None), &two());
        known_one.add(route(0, &[leg("192.0.2.2", 1)]), false);
        assert!(known_one.is_in_doubt(), "added or replaced");
        let both = [route(0, &[leg("192.0.2.1", 1), leg("192.0.2.2", 2)])];
        let mut multipath = known(wanted(None, None), &both);
        multipath.remove(&route(0, &[leg("192.0.2.2", 2)]));
        assert!(multipath.is_in_doubt(), "one of two next hops");
        let objects = [Shown {
            object: Some(7),
            ..route(0, &[leg("192.0.2.1", 1)])
        }];
        let mut known_by_object = known(wanted(None, None), &objects);
        known_by_object.touch_objects();
        assert!(known_by_object.is_in_doubt());
    }

    #[test]
    fn links_and_addresses_of_a_route_need_a_new_dump() {
        let source = Some("192.0.2.9".parse().unwrap());
        let routes = [Shown {
            source,
            ..route(0, &[leg("192.0.2.1", 1)])
        }];
        let fresh = || known(wanted(None, None), &routes);
        let is_in_doubt = |change: &dyn Fn(&mut Known)| {
            let mut known = fresh();
            change(&mut known);
            known.is_in_doubt()
        };
        assert!(is_in_doubt(&|known| known.put_link(link(1, false))));
        assert!(!is_in_doubt(&|known| known.put_link(link(1, true))));
        assert!(!is_in_doubt(&|known| known.put_link(link(2, false))));
        assert!(is_in_doubt(&|known| known.remove_link(InterfaceIndex(1))));
        assert!(!is_in_doubt(&|known| known.remove_link(InterfaceIndex(2))));
        let left = |address: &str, device| {
            let address = address.parse().unwrap();
            is_in_doubt(&|known| known.remove_address(InterfaceIndex(device), address))
        };
        assert!(left("192.0.2.8", 1), "may be the last of the device");
        assert!(left("192.0.2.9", 2), "the source");
        assert!(!left("192.0.2.8", 2));
        assert!(!is_in_doubt(&Known::touch_objects));
    }

    #[test]
    fn route_must_have_the_wanted_gateway_and_device() {
        let routes = [route(0, &[leg("192.0.2.1", 1), leg("192.0.2.2", 2)])];
        let said = |gateway, device| said(&known(wanted(gateway, device), &routes));
        assert_eq!(
            said(Some("192.0.2.2"), None),
            by(&[" via 192.0.2.2 on eth2"])
        );
        assert_eq!(said(None, Some("eth1")), by(&[" via 192.0.2.1 on eth1"]));
        assert_eq!(
            said(Some("192.0.2.2"), Some("eth1")),
            none(
                "no route to 10.0.0.0/8 via 192.0.2.2 on eth1 in table 254: the kernel has one via \
                 192.0.2.1 on eth1"
            )
        );
    }

    #[test]
    fn dead_and_blackhole_routes_are_unusable() {
        let dead = Leg {
            alive: false,
            ..leg("192.0.2.1", 1)
        };
        let blackhole = Shown {
            kind: Kind::Blackhole,
            ..route(0, &[])
        };
        let said = |routes: &[Shown]| said(&known(wanted(None, None), routes));
        assert_eq!(
            said(std::slice::from_ref(&blackhole)),
            none("the route to 10.0.0.0/8 in table 254 has type blackhole and forwards nothing")
        );
        assert_eq!(
            said(&[route(0, &[dead])]),
            none("the route to 10.0.0.0/8 in table 254 is dead: the link is down on eth1")
        );
        assert_eq!(
            said(&[blackhole, route(7, &[dead, leg("192.0.2.2", 2)])]),
            by(&[" via 192.0.2.2 on eth2"])
        );
    }

    #[test]
    fn hidden_nexthop_object_satisfies_only_any_next_hop() {
        let hidden = [Shown {
            object: Some(7),
            ..route(0, &[])
        }];
        assert_eq!(said(&known(wanted(None, None), &hidden)), by(&[""]));
        assert_eq!(
            said(&known(wanted(None, Some("eth1")), &hidden)),
            none(
                "the kernel hides the next hops of the route to 10.0.0.0/8 on eth1 in table 254, which \
                 uses a nexthop object: set the sysctl net.ipv4.nexthop_compat_mode=1"
            )
        );
    }
}
