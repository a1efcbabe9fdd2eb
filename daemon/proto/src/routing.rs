//! Routes and rules that exist while a router is master, as types that cannot hold an invalid
//! value.
//!
//! The kernel identifies a route by table, destination and metric ([`RoutePlace`]). The other
//! attributes of a route may change, but no two routes of a node have the same three. A rule is
//! identified by all its attributes. [`Routed`] is the identity of either; the engine uses it as
//! key to find the owner.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::{NonZeroU8, NonZeroU32};
use core::str::FromStr;
use std::sync::Arc;

use crate::types::Family;

/// A network: an address and a prefix length. All bits of the address after the prefix are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Error of making a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The part before the slash is not an IP address.
    #[error("must be the prefix of a network, like 10.0.0.0/8 or 2001:db8::/32")]
    Address,
    /// The part after the slash is not a number, or too large for the family.
    #[error("the prefix length must be 0 to {0}")]
    Prefix(u8),
    /// The address has bits after the prefix.
    #[error("has bits beyond its prefix: write {0} for the network, or a longer prefix")]
    HostBits(Network),
}

impl Network {
    /// The network of `address` and `prefix`.
    ///
    /// # Errors
    ///
    /// When the prefix is too long for the family, or the address has bits after the prefix.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        let longest = Family::of(address).address_bits();
        if prefix > longest {
            return Err(NetworkError::Prefix(longest));
        }
        let rest = u32::from(prefix);
        let network = match address {
            IpAddr::V4(v4) => {
                let hosts = u32::MAX.checked_shr(rest).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & !hosts).into()
            }
            IpAddr::V6(v6) => {
                let hosts = u128::MAX.checked_shr(rest).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & !hosts).into()
            }
        };
        let network_only = Self {
            address: network,
            prefix,
        };
        if network == address {
            Ok(network_only)
        } else {
            Err(NetworkError::HostBits(network_only))
        }
    }

    /// The network of all addresses of a family.
    pub const fn everything(family: Family) -> Self {
        let address = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self { address, prefix: 0 }
    }

    /// The first address.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// Prefix length: up to 32 for IPv4, up to 128 for IPv6.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Family of the addresses.
    pub const fn family(self) -> Family {
        Family::of(self.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Parses `ADDRESS/PREFIX`. The default prefix is the length of the address: one host.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let longest = Family::of(address).address_bits();
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix.parse().map_err(|_| NetworkError::Prefix(longest))?,
        };
        Self::new(address, prefix)
    }
}

/// Routing table, 1 to 4,294,967,295 (ip-route(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Table(NonZeroU32);

impl Table {
    /// The table `main`, 254, which is used unless a rule selects another.
    pub const MAIN: Self = Self(NonZeroU32::new(254).expect("254 is not 0"));

    /// The table with this number, or `None` for 0, which is not a table.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Number of the table.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Scope of an IPv4 route (`rtm_scope`, rtnetlink(7)): the distance to the destination. 0 is
/// global; a larger number is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(pub u8);

impl Scope {
    /// Global: any distance.
    pub const GLOBAL: Self = Self(0);
    /// A neighbour on the link.
    pub const LINK: Self = Self(253);
    /// This host.
    pub const HOST: Self = Self(254);
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::GLOBAL => f.write_str("global"),
            Self::LINK => f.write_str("link"),
            Self::HOST => f.write_str("host"),
            Self(number) => number.fmt(f),
        }
    }
}

/// Next hop of a route: a gateway, a device, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    gateway: Option<IpAddr>,
    device: Option<Arc<str>>,
    weight: NonZeroU8,
    on_link: bool,
}

impl NextHop {
    /// Next hop over `gateway` and `device`. Without a device the kernel uses the one that the
    /// gateway is reachable through; without a gateway the destination is directly on the device.
    ///
    /// # Errors
    ///
    /// When both are missing, or a link-local gateway has no device.
    pub fn new(gateway: Option<IpAddr>, device: Option<Arc<str>>) -> Result<Self, RouteError> {
        if gateway.is_none() && device.is_none() {
            return Err(RouteError::LeadsNowhere);
        }
        if let (Some(IpAddr::V6(gateway)), None) = (gateway, &device)
            && gateway.is_unicast_link_local()
        {
            return Err(RouteError::LinkLocal { gateway });
        }
        Ok(Self {
            gateway,
            device,
            weight: NonZeroU8::MIN,
            on_link: false,
        })
    }

    /// The next hop with another weight (share of the traffic) than 1.
    #[must_use]
    pub fn with_weight(self, weight: NonZeroU8) -> Self {
        Self { weight, ..self }
    }

    /// The next hop with the flag `onlink`: the kernel treats the gateway as a neighbour although
    /// no address of the device covers it.
    ///
    /// # Errors
    ///
    /// When the gateway or the device is missing.
    pub fn on_link(self) -> Result<Self, RouteError> {
        if self.gateway.is_none() || self.device.is_none() {
            return Err(RouteError::OnLinkIncomplete);
        }
        Ok(Self {
            on_link: true,
            ..self
        })
    }

    /// Gateway.
    pub const fn gateway(&self) -> Option<IpAddr> {
        self.gateway
    }

    /// Name of the device.
    pub const fn device(&self) -> Option<&Arc<str>> {
        self.device.as_ref()
    }

    /// Weight: share of the traffic among several next hops.
    pub const fn weight(&self) -> NonZeroU8 {
        self.weight
    }

    /// Whether the flag `onlink` is set.
    pub const fn is_on_link(&self) -> bool {
        self.on_link
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        if let Some(gateway) = self.gateway {
            write!(f, "via {gateway}")?;
            space = " ";
        }
        if let Some(device) = &self.device {
            write!(f, "{space}dev {device}")?;
        }
        if self.weight > NonZeroU8::MIN {
            write!(f, " weight {}", self.weight)?;
        }
        if self.on_link {
            f.write_str(" onlink")?;
        }
        Ok(())
    }
}

/// Identity of a route in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoutePlace {
    /// Routing table.
    pub table: Table,
    /// Destination.
    pub destination: Network,
    /// Metric: among routes to the same destination the lowest is used.
    pub metric: u32,
}

impl RoutePlace {
    /// The kernel's metric of an IPv6 route without one (IP6_RT_PRIO_USER of linux/ipv6_route.h);
    /// IPv4 has 0.
    pub const IPV6_METRIC: u32 = 1024;

    /// Identity in `table`. Without a metric, or with 0, the kernel's default applies.
    pub fn new(destination: Network, table: Table, metric: Option<u32>) -> Self {
        let default = match destination.family() {
            Family::V4 => 0,
            Family::V6 => Self::IPV6_METRIC,
        };
        Self {
            table,
            destination,
            metric: metric.filter(|metric| *metric > 0).unwrap_or(default),
        }
    }

    /// Writes table and metric unless they are the defaults.
    fn fmt_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::new(self.destination, Table::MAIN, None);
        if self.table != usual.table {
            write!(f, " table {}", self.table)?;
        }
        if self.metric != usual.metric {
            write!(f, " metric {}", self.metric)?;
        }
        Ok(())
    }
}

impl fmt::Display for RoutePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.destination.fmt(f)?;
        self.fmt_rest(f)
    }
}

/// A unicast route. Gateways and preferred source are of the destination's family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    place: RoutePlace,
    next_hops: Arc<[NextHop]>,
    source: Option<IpAddr>,
    scope: Scope,
}

/// Error of making a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A next hop without gateway and device.
    #[error("a next hop is a gateway, a device, or both")]
    LeadsNowhere,
    /// A link-local gateway, which exists on any link, without a device.
    #[error("{gateway} is a link-local address: name the device, too")]
    LinkLocal {
        /// The gateway.
        gateway: Ipv6Addr,
    },
    /// The flag `onlink` without gateway or device.
    #[error("on-link needs both the gateway and the device that it is a neighbour on")]
    OnLinkIncomplete,
    /// A route without a next hop.
    #[error("a route needs at least one next hop")]
    NoNextHop,
    /// A gateway of the other family than the destination.
    #[error("the destination is {destination}: the gateway must be of the same family")]
    GatewayFamily {
        /// The family of the destination.
        destination: Family,
    },
    /// A preferred source of the other family than the destination.
    #[error("the destination is {destination}: the source must be of the same family")]
    SourceFamily {
        /// The family of the destination.
        destination: Family,
    },
    /// A scope on an IPv6 route, which has none.
    #[error("routes of IPv6 have no scope: leave it out")]
    ScopeOfIpv6,
    /// Scope link or nearer on a route with a gateway.
    #[error("a route through a gateway leads beyond the link: must be \"global\" or 0 to 252")]
    ScopeOfGateway,
}

impl Route {
    /// Route with the identity `place` over `next_hops`.
    ///
    /// # Errors
    ///
    /// When `next_hops` is empty, or a gateway is of the other family than the destination.
    pub fn new(
        place: RoutePlace,
        next_hops: impl Into<Arc<[NextHop]>>,
    ) -> Result<Self, RouteError> {
        let mut next_hops = next_hops.into();
        if let [hop] = &*next_hops {
            // The weight of a single next hop has no effect: it carries all traffic.
            next_hops = Arc::from([hop.clone().with_weight(NonZeroU8::MIN)]);
        }
        let destination = place.destination.family();
        if next_hops.is_empty() {
            return Err(RouteError::NoNextHop);
        }
        let mut gateways = next_hops.iter().filter_map(NextHop::gateway);
        if gateways.any(|gateway| Family::of(gateway) != destination) {
            return Err(RouteError::GatewayFamily { destination });
        }
        // The default of ip-route(8).
        let is_direct = next_hops.len() == 1 && next_hops[0].gateway.is_none();
        let scope = if is_direct && destination == Family::V4 {
            Scope::LINK
        } else {
            Scope::GLOBAL
        };
        Ok(Self {
            place,
            next_hops,
            source: None,
            scope,
        })
    }

    /// The route with a preferred source: the address that the host itself sends from on this
    /// route.
    ///
    /// # Errors
    ///
    /// When it is of the other family than the destination.
    pub fn with_source(self, source: IpAddr) -> Result<Self, RouteError> {
        let destination = self.place.destination.family();
        if Family::of(source) != destination {
            return Err(RouteError::SourceFamily { destination });
        }
        Ok(Self {
            source: Some(source),
            ..self
        })
    }

    /// The route with another scope than the default: global, or link without a gateway.
    ///
    /// # Errors
    ///
    /// When the route is IPv6, or has a gateway and a scope of link or nearer.
    pub fn with_scope(self, scope: Scope) -> Result<Self, RouteError> {
        if self.place.destination.family() == Family::V6 {
            return Err(RouteError::ScopeOfIpv6);
        }
        if scope >= Scope::LINK && self.next_hops.iter().any(|hop| hop.gateway.is_some()) {
            return Err(RouteError::ScopeOfGateway);
        }
        Ok(Self { scope, ..self })
    }

    /// Identity in the kernel.
    pub const fn place(&self) -> RoutePlace {
        self.place
    }

    /// Next hops, at least one.
    pub fn next_hops(&self) -> &[NextHop] {
        &self.next_hops
    }

    /// Preferred source: the address that the host itself sends from on this route.
    pub const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Scope; global for IPv6.
    pub const fn scope(&self) -> Scope {
        self.scope
    }
}

impl fmt::Display for Route {
    /// Formats the route in the syntax of ip-route(8).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.destination.fmt(f)?;
        if let [hop] = &*self.next_hops {
            write!(f, " {hop}")?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        self.place.fmt_rest(f)?;
        let usual = Self::new(self.place, Arc::clone(&self.next_hops)).map(|route| route.scope);
        if usual != Ok(self.scope) {
            write!(f, " scope {}", self.scope)?;
        }
        if self.next_hops.len() > 1 {
            for hop in &*self.next_hops {
                write!(f, " nexthop {hop}")?;
            }
        }
        Ok(())
    }
}

/// Selector of a rule: a packet has to match all given fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// Network of the source address.
    pub from: Option<Network>,
    /// Network of the destination address.
    pub to: Option<Network>,
    /// Name of the receiving device; `lo` for packets of this host.
    pub iif: Option<Arc<str>>,
    /// Name of the device that the socket is bound to.
    pub oif: Option<Arc<str>>,
    /// Firewall mark.
    pub fwmark: Option<NonZeroU32>,
}

/// A routing rule: selects the table for some packets (ip-rule(8)).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    priority: u32,
    family: Family,
    selector: Selector,
    table: Table,
}

/// Error of making a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A network of the other family.
    #[error("\"from\" and \"to\" must be of the same family")]
    Family,
}

impl Rule {
    /// Priority of the kernel's rule of the table `main` (fib_default_rules_init).
    pub const PRIORITY_OF_MAIN: u32 = 32_766;

    /// Default priority of a rule: just before the rule of the table `main`, as the kernel assigns
    /// it to the first rule.
    pub const DEFAULT_PRIORITY: u32 = 32_765;

    /// Rule of `family` that selects `table` for packets that match `selector`, which is all of them if the
    /// selector is empty. Rules with a lower `priority` are evaluated first. A network of all addresses is
    /// none, as the kernel stores it.
    ///
    /// # Errors
    ///
    /// When the selector has a network of the other family.
    pub fn new(
        family: Family,
        mut selector: Selector,
        table: Table,
        priority: u32,
    ) -> Result<Self, RuleError> {
        let mut networks = [selector.from, selector.to].into_iter().flatten();
        if networks.any(|network| network.family() != family) {
            return Err(RuleError::Family);
        }
        for network in [&mut selector.from, &mut selector.to] {
            *network = network.filter(|network| network.prefix > 0);
        }
        Ok(Self {
            priority,
            family,
            selector,
            table,
        })
    }

    /// Family of the packets.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Selector.
    pub const fn selector(&self) -> &Selector {
        &self.selector
    }

    /// Selected table.
    pub const fn table(&self) -> Table {
        self.table
    }

    /// Priority: position among the rules.
    pub const fn priority(&self) -> u32 {
        self.priority
    }
}

impl fmt::Display for Rule {
    /// Formats the rule in the syntax of ip-rule(8).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "priority {}", self.priority)?;
        let Selector {
            from,
            to,
            iif,
            oif,
            fwmark,
        } = &self.selector;
        if let Some(from) = from {
            write!(f, " from {from}")?;
        }
        if let Some(to) = to {
            write!(f, " to {to}")?;
        }
        if let Some(iif) = iif {
            write!(f, " iif {iif}")?;
        }
        if let Some(oif) = oif {
            write!(f, " oif {oif}")?;
        }
        if let Some(fwmark) = fwmark {
            write!(f, " fwmark {fwmark:#x}")?;
        }
        write!(f, " lookup {}", self.table)?;
        // No network shows the family.
        if from.or(*to).is_none() {
            write!(f, " ({})", self.family)?;
        }
        Ok(())
    }
}

/// Identity of a route or a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Routed {
    /// A route.
    Route(RoutePlace),
    /// A rule.
    Rule(Rule),
}

impl Routed {
    /// Family.
    pub const fn family(&self) -> Family {
        match self {
            Self::Route(place) => place.destination.family(),
            Self::Rule(rule) => rule.family(),
        }
    }
}

impl fmt::Display for Routed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(place) => write!(f, "route {place}"),
            Self::Rule(rule) => write!(f, "rule {rule}"),
        }
    }
}

/// Identities of `routes` and `rules`.
pub(crate) fn routed(routes: &[Route], rules: &[Rule]) -> impl Iterator<Item = Routed> {
    let routes = routes.iter().map(|route| Routed::Route(route.place));
    routes.chain(rules.iter().cloned().map(Routed::Rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<Network, NetworkError> {
        text.parse()
    }

    fn place(text: &str) -> RoutePlace {
        RoutePlace::new(network(text).unwrap(), Table::MAIN, None)
    }

    fn via(gateway: &str) -> NextHop {
        NextHop::new(Some(gateway.parse().unwrap()), None).unwrap()
    }

    fn on(device: &str) -> NextHop {
        NextHop::new(None, Some(device.into())).unwrap()
    }

    #[test]
    fn network_with_host_bits_is_rejected() {
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("::/0"), Ok(Network::everything(Family::V6)));
        assert_eq!(network("0.0.0.0/0"), Ok(Network::everything(Family::V4)));
        let error = network("10.1.2.3/8").unwrap_err();
        assert_eq!(
            error.to_string(),
            "has bits beyond its prefix: write 10.0.0.0/8 for the network, or a longer prefix"
        );
        assert_eq!(network("10.0.0.0/33"), Err(NetworkError::Prefix(32)));
        assert_eq!(network("2001:db8::/x"), Err(NetworkError::Prefix(128)));
        assert_eq!(network("default"), Err(NetworkError::Address));
    }

    #[test]
    fn route_without_metric_has_the_kernels_default() {
        let six = network("2001:db8::/32").unwrap();
        let metric = |network, metric| RoutePlace::new(network, Table::MAIN, metric).metric;
        assert_eq!(metric(six, None), 1024);
        assert_eq!(metric(six, Some(0)), 1024);
        assert_eq!(metric(six, Some(7)), 7);
        assert_eq!(metric(network("10.0.0.0/8").unwrap(), None), 0);
    }

    #[test]
    fn route_scope_defaults_as_in_ip_route() {
        let scope = |text, hops: &[NextHop]| Route::new(place(text), hops).unwrap().scope();
        assert_eq!(scope("10.0.0.0/8", &[via("192.0.2.1")]), Scope::GLOBAL);
        assert_eq!(scope("10.0.0.0/8", &[on("eth0")]), Scope::LINK);
        assert_eq!(
            scope("10.0.0.0/8", &[on("eth0"), on("eth1")]),
            Scope::GLOBAL
        );
        assert_eq!(scope("2001:db8::/32", &[on("eth0")]), Scope::GLOBAL);
    }

    #[test]
    fn route_that_the_kernel_always_rejects_is_invalid() {
        let route = |text, hops: &[NextHop]| Route::new(place(text), hops);
        let four = || route("10.0.0.0/8", &[via("192.0.2.1")]).unwrap();
        let six = || route("2001:db8::/32", &[on("eth0")]).unwrap();
        assert_eq!(NextHop::new(None, None), Err(RouteError::LeadsNowhere));
        let gateway = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        assert_eq!(
            NextHop::new(Some(gateway.into()), None),
            Err(RouteError::LinkLocal { gateway })
        );
        assert!(NextHop::new(Some(gateway.into()), Some("eth0".into())).is_ok());
        assert_eq!(
            via("192.0.2.1").on_link(),
            Err(RouteError::OnLinkIncomplete)
        );
        assert_eq!(on("eth0").on_link(), Err(RouteError::OnLinkIncomplete));
        assert_eq!(route("10.0.0.0/8", &[]), Err(RouteError::NoNextHop));
        assert_eq!(
            route("10.0.0.0/8", &[on("eth0"), via("2001:db8::1")]),
            Err(RouteError::GatewayFamily {
                destination: Family::V4
            })
        );
        assert_eq!(
            six().with_source("192.0.2.1".parse().unwrap()),
            Err(RouteError::SourceFamily {
                destination: Family::V6
            })
        );
        assert_eq!(
            six().with_scope(Scope::GLOBAL),
            Err(RouteError::ScopeOfIpv6)
        );
        assert_eq!(
            four().with_scope(Scope::LINK),
            Err(RouteError::ScopeOfGateway)
        );
        assert!(four().with_scope(Scope(200)).is_ok());
    }

    #[test]
    fn routes_are_formatted_for_ip_route() {
        let table = Table::new(100).unwrap();
        let eth0: Arc<str> = "eth0".into();
        let gateway = Some("192.0.2.1".parse().unwrap());
        let hop = NextHop::new(gateway, Some(eth0))
            .unwrap()
            .on_link()
            .unwrap();
        let place_100 = RoutePlace::new(Network::everything(Family::V4), table, Some(5));
        let route = Route::new(place_100, [hop])
            .and_then(|route| route.with_source("192.0.2.9".parse().unwrap()))
            .and_then(|route| route.with_scope(Scope(200)))
            .unwrap();
        assert_eq!(
            route.to_string(),
            "0.0.0.0/0 via 192.0.2.1 dev eth0 onlink src 192.0.2.9 table 100 metric 5 scope 200"
        );
        let weighed = via("2001:db8::2").with_weight(NonZeroU8::new(3).unwrap());
        let route = Route::new(place("2001:db8:1::/48"), [via("2001:db8::1"), weighed]).unwrap();
        assert_eq!(
            route.to_string(),
            "2001:db8:1::/48 nexthop via 2001:db8::1 nexthop via 2001:db8::2 weight 3"
        );
        assert_eq!(
            Routed::Route(route.place()).to_string(),
            "route 2001:db8:1::/48"
        );
    }

    #[test]
    fn rule_selects_packets_of_one_family() {
        let table = Table::new(100).unwrap();
        let rule = |selector| Rule::new(Family::V4, selector, table, Rule::DEFAULT_PRIORITY);
        assert_eq!(
            rule(Selector::default()).unwrap().to_string(),
            "priority 32765 lookup 100 (IPv4)"
        );
        let six = Selector {
            from: Some(network("2001:db8::/32").unwrap()),
            ..Selector::default()
        };
        assert_eq!(rule(six), Err(RuleError::Family));
        let everything = Network::everything(Family::V4);
        let from_everywhere = Selector {
            from: Some(everything),
            iif: Some("eth0".into()),
            ..Selector::default()
        };
        assert_eq!(
            rule(from_everywhere).unwrap().to_string(),
            "priority 32765 iif eth0 lookup 100 (IPv4)"
        );
        let all = Selector {
            from: Some(network("10.0.0.0/8").unwrap()),
            to: Some(network("192.0.2.1").unwrap()),
            iif: Some("eth0".into()),
            oif: Some("eth1".into()),
            fwmark: NonZeroU32::new(16),
        };
        assert_eq!(
            rule(all).unwrap().to_string(),
            "priority 32765 from 10.0.0.0/8 to 192.0.2.1/32 iif eth0 oif eth1 fwmark 0x10 lookup 100"
        );
        let marked = Selector {
            fwmark: NonZeroU32::new(1),
            ..Selector::default()
        };
        let rule = rule(marked).unwrap();
        assert_eq!(
            Routed::Rule(rule).to_string(),
            "rule priority 32765 fwmark 0x1 lookup 100 (IPv4)"
        );
    }
}
