//! The routes to one destination, as far as known. Pure.
//!
//! It is filled by a dump and takes in what the kernel tells of routes that come and go. What that does
//! to several routes of one metric cannot always be told from the news; then everything has to be looked at
//! again, which is so with a few routes of one destination, however many others there are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_proto::routing::{Network, Table};
use vrrp_proto::{InterfaceIndex, Link};

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where the route leads to, exactly.
    pub destination: Network,
    /// The table that it stands in.
    pub table: Table,
    /// The gateway that it leads by; any, or none, where there is none here.
    pub gateway: Option<IpAddr>,
    /// The name of the device that it leads over; any where there is none here.
    pub device: Option<Arc<str>>,
}

/// A route as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Among several the least counts.
    pub(super) metric: u32,
    pub(super) kind: Kind,
    /// The preferred source, with which an IPv4 route goes.
    pub(super) source: Option<IpAddr>,
    /// The number of the nexthop object that it leads by.
    pub(super) object: Option<u32>,
    pub(super) legs: Vec<Leg>,
}

/// A next hop of a route as the kernel shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) gateway: Option<IpAddr>,
    pub(super) device: Option<InterfaceIndex>,
    /// Whether the kernel uses it: it does not while its link is down.
    pub(super) alive: bool,
}

impl Shown {
    /// Whether this is that route, alive or not.
    fn is(&self, other: &Self) -> bool {
        let place = |leg: &Leg| (leg.gateway, leg.device);
        (self.metric, self.kind, self.source, self.object)
            == (other.metric, other.kind, other.source, other.object)
            && self.legs.iter().map(place).eq(other.legs.iter().map(place))
    }
}

/// What a route does with packets (rtm_type, rtnetlink(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It sends them on, or takes them in.
    Leads,
    /// It drops them.
    Blackhole,
    /// It drops them and says that nobody is there.
    Unreachable,
    /// It drops them and says that somebody forbids it.
    Prohibit,
    /// It has the next table looked up.
    Throw,
}

impl Kind {
    /// The word for it (ip-route(8)), where it leads nowhere.
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

/// Where a route leads over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The gateway; without one the destination is a neighbour on the device, or this host.
    pub gateway: Option<IpAddr>,
    /// The number of the device.
    pub device: Option<InterfaceIndex>,
    /// The name of the device, if it has one.
    pub name: Option<Arc<str>>,
}

impl core::fmt::Display for Way {
    /// ` by GATEWAY on DEVICE`, as far as there are these.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Some(gateway) = self.gateway {
            write!(f, " by {gateway}")?;
        }
        if let Some(name) = &self.name {
            write!(f, " on {name}")?;
        }
        Ok(())
    }
}

/// Why there is no way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// No route leads there.
    #[error("no route to {0}")]
    NoRoute(Goal),
    /// Routes to the destination lead another way.
    #[error("no route to {goal}: there is one{other}")]
    Elsewhere {
        /// What is looked for.
        goal: Goal,
        /// Where one of them leads.
        other: Way,
    },
    /// The link of the route is down.
    #[error("the route to {goal} is dead: the link is down{}", on(name.as_ref()))]
    Dead {
        /// What is looked for.
        goal: Goal,
        /// Where it leads.
        name: Option<Arc<str>>,
    },
    /// The route leads nowhere.
    #[error("the route to {goal} leads nowhere: it is of type {kind}")]
    Nowhere {
        /// What is looked for.
        goal: Goal,
        /// The word for its type.
        kind: &'static str,
    },
    /// The kernel does not say where the route leads.
    #[error(
        "where the route to {0} leads by its nexthop object is not told: it is by \
         \"sysctl net.ipv4.nexthop_compat_mode=1\""
    )]
    Hidden(Goal),
}

fn on(name: Option<&Arc<str>>) -> String {
    name.map(|name| format!(" on {name}")).unwrap_or_default()
}

/// What is looked for, in words: `10.0.0.0/8 by 192.168.224.1 in table 254`.
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
    /// In the order of their metrics.
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

    /// Whether everything has to be looked at again.
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// News may have been lost, or something happened that the kernel may not tell of.
    pub(super) const fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// Takes in all that is.
    pub(super) fn replace(&mut self, mut routes: Vec<Shown>, links: Vec<Link>) {
        routes.sort_by_key(|route| route.metric);
        self.routes = routes;
        self.links = links.into_iter().map(|link| (link.index, link)).collect();
        self.in_doubt = false;
    }

    /// Takes in that a route came, in the place of another one of its metric or beside those.
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
            // The kernel appends, joins or replaces.
            (Some(_), _) => self.in_doubt = true,
        }
    }

    /// Takes in that a route went.
    pub(super) fn remove(&mut self, route: &Shown) {
        if let Some(place) = self.routes.iter().position(|known| known.is(route)) {
            self.routes.remove(place);
        } else if self.routes.iter().any(|known| known.metric == route.metric) {
            // One of several next hops, perhaps.
            self.in_doubt = true;
        }
    }

    /// Takes in how a link is. Routes over it die, come to life and go without a word.
    pub(super) fn put_link(&mut self, link: Link) {
        let known = self.links.insert(link.index, link.clone());
        if known.is_none_or(|known| known != link) {
            self.doubt_those_over(link.index);
        }
    }

    /// Takes in that a link is gone.
    pub(super) fn remove_link(&mut self, interface: InterfaceIndex) {
        self.links.remove(&interface);
        self.doubt_those_over(interface);
    }

    /// Takes in that an address left: an IPv4 route goes without a word when that was its source, or the
    /// last one of its device.
    pub(super) fn remove_address(&mut self, interface: InterfaceIndex, address: IpAddr) {
        self.in_doubt |= self
            .routes
            .iter()
            .any(|route| route.source == Some(address));
        self.doubt_those_over(interface);
    }

    /// Takes in that something is new about nexthop objects.
    pub(super) fn touch_objects(&mut self) {
        self.in_doubt |= self.routes.iter().any(|route| route.object.is_some());
    }

    fn doubt_those_over(&mut self, interface: InterfaceIndex) {
        let mut legs = self.routes.iter().flat_map(|route| &route.legs);
        // Where it leads by a nexthop object that is hidden, it may be anywhere.
        self.in_doubt |= legs.any(|leg| leg.device == Some(interface))
            || self.routes.iter().any(|route| route.legs.is_empty());
    }

    /// The ways there, those of the least metric first and at least one.
    pub(super) fn ways(&self) -> Result<Vec<Way>, NoWay> {
        let mut ways = Vec::new();
        let (mut dead, mut nowhere, mut elsewhere, mut hidden) = (None, None, None, false);
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
        assert!(known.is_in_doubt(), "nobody has looked yet");
        known.replace(routes.to_vec(), vec![link(1, true), link(2, true)]);
        assert!(!known.is_in_doubt());
        known
    }

    /// The ways, or why there is none.
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
    fn routes_come_and_go_and_those_of_the_least_metric_are_the_first() {
        let mut known = known(wanted(None, None), &[]);
        assert_eq!(said(&known), none("no route to 10.0.0.0/8 in table 254"));
        known.add(route(7, &[leg("192.0.2.7", 1)]), false);
        known.add(route(3, &[leg("192.0.2.3", 2)]), false);
        let both = by(&[" by 192.0.2.3 on eth2", " by 192.0.2.7 on eth1"]);
        assert_eq!(said(&known), both);
        // What the dump has shown already is told once more.
        known.add(route(3, &[leg("192.0.2.3", 2)]), false);
        assert_eq!(said(&known), both);
        known.add(route(3, &[leg("192.0.2.4", 2)]), true);
        known.remove(&route(7, &[leg("192.0.2.7", 1)]));
        assert_eq!(said(&known), by(&[" by 192.0.2.4 on eth2"]));
        known.remove(&route(9, &[leg("192.0.2.9", 2)]));
        assert!(!known.is_in_doubt(), "it was never there");
    }

    #[test]
    fn what_cannot_be_told_from_the_news_is_looked_at() {
        let two = || [route(0, &[leg("192.0.2.1", 1)])];
        let mut known_one = known(wanted(None, None), &two());
        known_one.add(route(0, &[leg("192.0.2.2", 1)]), false);
        assert!(known_one.is_in_doubt(), "beside it or in its place");
        let both = [route(0, &[leg("192.0.2.1", 1), leg("192.0.2.2", 2)])];
        let mut multipath = known(wanted(None, None), &both);
        multipath.remove(&route(0, &[leg("192.0.2.2", 2)]));
        assert!(multipath.is_in_doubt(), "one leg of it");
        let objects = [Shown {
            object: Some(7),
            ..route(0, &[leg("192.0.2.1", 1)])
        }];
        let mut known_by_object = known(wanted(None, None), &objects);
        known_by_object.touch_objects();
        assert!(known_by_object.is_in_doubt());
    }

    #[test]
    fn links_and_addresses_matter_where_a_route_leads_over_them() {
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
        assert!(left("192.0.2.8", 1), "the last of the device, perhaps");
        assert!(left("192.0.2.9", 2), "the source");
        assert!(!left("192.0.2.8", 2));
        assert!(!is_in_doubt(&Known::touch_objects));
    }

    #[test]
    fn only_a_route_by_the_gateway_and_over_the_device_counts() {
        let routes = [route(0, &[leg("192.0.2.1", 1), leg("192.0.2.2", 2)])];
        let said = |gateway, device| said(&known(wanted(gateway, device), &routes));
        assert_eq!(
            said(Some("192.0.2.2"), None),
            by(&[" by 192.0.2.2 on eth2"])
        );
        assert_eq!(said(None, Some("eth1")), by(&[" by 192.0.2.1 on eth1"]));
        assert_eq!(
            said(Some("192.0.2.2"), Some("eth1")),
            none(
                "no route to 10.0.0.0/8 by 192.0.2.2 on eth1 in table 254: there is one by \
                 192.0.2.1 on eth1"
            )
        );
    }

    #[test]
    fn what_leads_nowhere_is_no_way_and_another_one_is() {
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
            none("the route to 10.0.0.0/8 in table 254 leads nowhere: it is of type blackhole")
        );
        assert_eq!(
            said(&[route(0, &[dead])]),
            none("the route to 10.0.0.0/8 in table 254 is dead: the link is down on eth1")
        );
        assert_eq!(
            said(&[blackhole, route(7, &[dead, leg("192.0.2.2", 2)])]),
            by(&[" by 192.0.2.2 on eth2"])
        );
    }

    #[test]
    fn a_route_by_a_hidden_nexthop_object_counts_where_any_does() {
        let hidden = [Shown {
            object: Some(7),
            ..route(0, &[])
        }];
        assert_eq!(said(&known(wanted(None, None), &hidden)), by(&[""]));
        assert_eq!(
            said(&known(wanted(None, Some("eth1")), &hidden)),
            none(
                "where the route to 10.0.0.0/8 on eth1 in table 254 leads by its nexthop object is \
                 not told: it is by \"sysctl net.ipv4.nexthop_compat_mode=1\""
            )
        );
    }
}
