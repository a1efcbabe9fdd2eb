//! Routes and rules against a real kernel.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vrrp_linux::kernel::Kernel;
use vrrp_linux::request::Requests;
use vrrp_linux::routing::Routing;
use vrrp_node::cleanup::{self, CleanedRouting};
use vrrp_node::mirror::Event;
use vrrp_node::routing::change::Change;
use vrrp_node::routing::mirror::Mirror;
use vrrp_node::routing::plan::plan;
use vrrp_proto::params::AddressForm;
use vrrp_proto::routing::{NextHop, Route, RoutePlace, Routed, Rule, Scope, Selector, Table};
use vrrp_proto::{DesiredRouting, Family, Input, InterfaceIndex, Loss};

use crate::host::{Host, pair};

crate::tests! {
    routes_are_added_as_by_ip_and_marked,
    rules_are_added_as_by_ip_and_marked,
    rule_for_every_packet_leaves_others_of_its_priority,
    dump_matches_the_installed_routing,
    own_routing_changes_are_not_notified,
    only_foreign_changes_of_own_routing_are_notified,
    route_with_other_next_hop_is_replaced,
    route_disappears_silently_with_device_or_source,
    route_survives_the_replacement_of_the_only_address,
    lost_next_hop_of_ipv6_route_is_restored,
    rejected_route_is_explained_and_the_rest_installed,
    foreign_routes_and_rules_are_never_changed,
    hundreds_of_routes_are_changed_together,
    cleanup_deletes_only_own_routing,
}

fn routes_are_added_as_by_ip_and_marked() {
    let (near, far) = pair();
    let mut node = Node::start(&near);
    near.ip("address add 10.0.0.3/24 dev eth0");
    far.ip("address add 10.0.0.3/24 dev eth0");
    for host in [&near, &far] {
        host.ip("address add 2001:db8::3/64 dev eth0 nodad");
    }
    let texts = [
        "10.1.0.0/16 via 10.0.0.9",
        "10.2.0.0/16 dev eth0",
        "0.0.0.0/0 via 10.0.0.9 dev eth0 src 10.0.0.3 table 1000 metric 7",
        "10.3.0.0/16 via 10.9.9.9 dev eth0 onlink",
        "10.4.0.1/32 dev eth0 scope host",
        "10.5.0.0/16 nexthop via 10.0.0.8 weight 3 nexthop via 10.0.0.9 dev eth0",
        "2001:db8:1::/48 via 2001:db8::9",
        "2001:db8:2::/48 dev eth0 metric 7",
        "::/0 via fe80::1 dev eth0 src 2001:db8::3 table 1000",
        "2001:db8:3::/48 nexthop via 2001:db8::8 nexthop via 2001:db8::9 weight 3",
    ];
    let routes: Vec<Route> = texts.iter().map(|text| route(text)).collect();
    // The text of a route is what `ip` accepts.
    for (text, route) in texts.iter().zip(&routes) {
        assert_eq!(*text, route.to_string());
        let family = family_option(route.place().destination.family());
        let (destination, rest) = text.split_once(' ').unwrap();
        far.ip(&format!(
            "{family} route add {destination} proto 0x56 {rest}"
        ));
    }
    node.hold(&routes, &[]);
    for family in ["-4", "-6"] {
        for table in ["main", "1000"] {
            let show = format!("{family} route show table {table} proto 0x56");
            let ours = near.ip(&show);
            assert_eq!(ours, far.ip(&show));
            assert!(!ours.is_empty(), "{show}");
        }
    }
}

fn rules_are_added_as_by_ip_and_marked() {
    let (near, far) = pair();
    let mut node = Node::start(&near);
    let texts = [
        "priority 100 from 10.0.0.0/8 lookup 1000",
        "priority 101 from 10.0.0.0/8 to 192.0.2.1/32 iif lo oif eth0 fwmark 0x10 lookup 100",
        "priority 102 iif eth7 lookup 100",
        "priority 32765 to 2001:db8::/32 lookup 4294967295",
        "priority 32770 lookup 250",
        "priority 32770 from ::/0 lookup 250",
    ];
    let rules: Vec<Rule> = texts.iter().map(|text| rule(text)).collect();
    for (text, rule) in texts.iter().zip(&rules) {
        let family = family_option(rule.family());
        far.ip(&format!("{family} rule add {text} protocol 0x56"));
    }
    node.hold(&[], &rules);
    for family in ["-4", "-6"] {
        let show = format!("-details {family} rule show");
        let ours = near.ip(&show);
        assert_eq!(ours, far.ip(&show));
        assert!(ours.contains("proto 86"), "{ours}");
    }
}

fn rule_for_every_packet_leaves_others_of_its_priority() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    let rules = [
        "priority 100 iif eth7 lookup 100",
        "priority 100 from 10.0.0.0/8 lookup 100",
        "priority 100 lookup 100",
    ]
    .map(rule);
    node.hold(&[], &rules);
    node.release(&[], &rules[2..]);
    let left = near.ip("rule show priority 100 proto 0x56");
    assert_eq!(left.lines().count(), 2, "{left}");
    assert!(!left.contains("from all lookup"), "{left}");
}

fn dump_matches_the_installed_routing() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    near.ip("address add 2001:db8::3/64 dev eth0 nodad");
    let routes = [
        "10.1.0.0/16 via 10.0.0.9",
        "10.2.0.0/16 dev eth0 table 4294967295",
        "10.3.0.0/16 via 10.9.9.9 dev eth0 onlink src 10.0.0.1",
        "10.5.0.0/16 nexthop via 10.0.0.8 weight 3 nexthop via 10.9.9.9 dev eth0 onlink",
        "2001:db8:1::/48 via 2001:db8::9 src 2001:db8::3",
        "2001:db8:2::/48 nexthop via 2001:db8::8 nexthop via 2001:db8::9 weight 3",
        "2001:db8:4::/48 via fe80::9 dev eth0 onlink",
    ]
    .map(route);
    let rules = [
        "priority 100 from 10.0.0.0/8 iif eth7 fwmark 0x1 lookup 1000",
        "priority 0 to 2001:db8::/32 oif eth0 lookup 100",
    ]
    .map(rule);
    node.hold(&routes, &rules);
    assert_eq!(node.look(), [""; 0], "differences");
    assert_eq!(node.plan_for(&routes, &rules), [""; 0], "pending changes");
    assert_eq!(node.mirror.all_routes().count(), routes.len());
    assert_eq!(node.mirror.all_rules().count(), rules.len());
}

fn own_routing_changes_are_not_notified() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    let routes = ["10.1.0.0/16 dev eth0", "2001:db8:1::/48 dev eth0"].map(route);
    let rules = ["priority 100 from 10.0.0.0/8 lookup 100"].map(rule);
    for _ in 0..3 {
        node.hold(&routes, &rules);
        node.release(&routes, &rules);
    }
    assert!(!node.is_woken());
    assert!(node.mirror.is_empty());
    assert_eq!(node.look(), [""; 0]);
}

fn only_foreign_changes_of_own_routing_are_notified() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    let routes = ["10.1.0.0/16 dev eth0", "2001:db8:1::/48 dev eth0"].map(route);
    let rules = ["priority 100 from 10.0.0.0/8 lookup 100"].map(rule);
    node.hold(&routes, &rules);

    near.ip("route add 10.7.0.0/16 dev eth0");
    near.ip("route add 10.8.0.0/16 dev eth0 proto bgp");
    near.ip("-6 route add 2001:db8:7::/48 dev eth0");
    near.ip("rule add from 10.7.0.0/16 lookup 7");
    near.ip("route del 10.7.0.0/16");
    assert!(!node.is_woken(), "changes of foreign routing");

    near.ip("route del 10.1.0.0/16");
    assert_eq!(node.hear(), ["- route 10.1.0.0/16"]);
    near.ip("-6 route del 2001:db8:1::/48");
    assert_eq!(node.hear(), ["- route 2001:db8:1::/48"]);
    near.ip("rule del priority 100");
    assert_eq!(
        node.hear(),
        ["- rule priority 100 from 10.0.0.0/8 lookup 100"]
    );
    assert!(!node.is_woken());
    node.hold(&routes, &rules);
    assert_eq!(node.look(), [""; 0], "everything is restored");

    near.ip("route add 10.2.0.0/16 dev eth0 proto 0x56");
    assert_eq!(node.hear(), ["+ route 10.2.0.0/16"]);
    near.ip("rule add priority 7 from 10.7.0.0/16 lookup 7 protocol 0x56");
    assert_eq!(node.hear(), ["+ rule priority 7 from 10.7.0.0/16 lookup 7"]);
}

fn route_with_other_next_hop_is_replaced() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    node.hold(&[route("10.1.0.0/16 via 10.0.0.8")], &[]);
    node.hold(&[route("10.1.0.0/16 via 10.0.0.9")], &[]);
    assert_eq!(
        near.ip("route show 10.1.0.0/16"),
        "10.1.0.0/16 via 10.0.0.9 dev eth0 proto 86 \n"
    );
    // The kernel accepts further routes with the same destination and metric, which the plan deletes.
    near.ip("route append 10.1.0.0/16 via 10.0.0.7 proto 0x56");
    near.ip("route prepend 10.1.0.0/16 via 10.0.0.6 proto 0x56");
    assert_eq!(node.hear(), ["+ route 10.1.0.0/16", "+ route 10.1.0.0/16"]);
    node.hold(&[route("10.1.0.0/16 via 10.0.0.9")], &[]);
    assert_eq!(
        near.ip("route show 10.1.0.0/16"),
        "10.1.0.0/16 via 10.0.0.9 dev eth0 proto 86 \n"
    );
    assert_eq!(node.look(), [""; 0]);
}

fn route_disappears_silently_with_device_or_source() {
    let (near, _far) = pair();
    near.ip("address add 10.0.0.3/24 dev eth0");
    let mut node = Node::start(&near);
    let eth0 = near.eth0();
    let with_source = [route("10.1.0.0/16 via 10.0.0.9 src 10.0.0.3")];
    node.hold(&with_source, &[]);
    let mut requests = near.within(|| Requests::open().unwrap());
    let mut may_lose = |node: &Node, address: &str| {
        let mut addresses = vrrp_node::mirror::Mirror::new();
        addresses.replace(requests.dump().unwrap());
        let gone = Event::AddressRemoved(eth0, address.parse().unwrap(), Loss::Deleted);
        node.mirror.suspect(&gone, &addresses).is_some()
    };
    assert!(may_lose(&node, "10.0.0.3/24"));
    assert!(!may_lose(&node, "10.0.0.4/24"));
    near.ip("address del 10.0.0.3/24 dev eth0");
    // Some kernels notify of the removal, some do not.
    assert_eq!(node.look(), ["- route 10.1.0.0/16"]);

    let plain = [route("10.1.0.0/16 via 10.0.0.9")];
    node.hold(&plain, &[]);
    let down = Event::LinkRemoved(eth0);
    let addresses = vrrp_node::mirror::Mirror::new();
    assert!(node.mirror.suspect(&down, &addresses).is_some());
    near.ip("link set eth0 down");
    assert_eq!(node.look(), ["- route 10.1.0.0/16"]);

    // Deleting the last address removes all routes of the device.
    near.ip("link set eth0 up");
    node.hold(&plain, &[]);
    near.ip("address del 10.0.0.1/24 dev eth0");
    assert!(may_lose(&node, "10.0.0.1/24"));
    assert_eq!(node.look(), ["- route 10.1.0.0/16"]);
}

fn route_survives_the_replacement_of_the_only_address() {
    let (near, _far) = pair();
    near.ip("address del 10.0.0.1/24 dev eth0");
    let mut addresses = crate::addresses::Node::start(&near);
    addresses.hold(&["10.0.0.4/24"]);
    let mut node = Node::start(&near);
    let default = [route("0.0.0.0/0 via 10.0.0.2")];
    node.hold(&default, &[]);
    near.ip("route add 10.7.0.0/16 dev eth0");
    addresses.replace_by("10.0.0.5/24", "10.0.0.4/24");
    assert_eq!(addresses.in_kernel(), ["10.0.0.5/24"]);
    assert_eq!(node.look(), [""; 0], "the route is there");
    assert!(
        near.ip("route show").contains("10.7.0.0/16"),
        "a foreign one too"
    );

    // The same address in another form has to be deleted first.
    let delete = |address: &str| vrrp_node::change::Change::Delete {
        interface: near.eth0(),
        address: address.parse().unwrap(),
    };
    let gone = [delete("10.0.0.5/24")];
    let suspects = node.mirror.suspects(&gone, &addresses.mirror);
    addresses.hold_as(
        "10.0.0.5/24",
        AddressForm {
            scope: Some(200),
            ..AddressForm::default()
        },
    );
    let news = node.mirror.replace(node.routing.dump().unwrap(), &suspects);
    let lost: Vec<_> = news.iter().map(|input| format!("{input:?}")).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].contains("WithAddress"), "{lost:?}");
}

fn lost_next_hop_of_ipv6_route_is_restored() {
    let (near, _far) = pair();
    let make_eth1 = || {
        near.ip("link add eth1 type veth peer name eth2");
        near.ip("link set eth1 up");
        near.ip("address add 2001:db8:0:1::3/64 dev eth1 nodad");
    };
    make_eth1();
    near.ip("address add 2001:db8:0:2::3/64 dev eth0 nodad");
    let mut node = Node::start(&near);
    let text = "2001:db8:7::/48 nexthop via 2001:db8:0:2::9 dev eth0 \
                nexthop via 2001:db8:0:1::9 dev eth1 weight 3";
    let both = [route(text)];
    let lost = ["- route 2001:db8:7::/48", "+ route 2001:db8:7::/48"];
    let show = || {
        near.ip("-6 route show 2001:db8:7::/48")
            .replace(" linkdown", "")
    };
    node.hold(&both, &[]);
    let whole = show();

    near.ip("-6 route del 2001:db8:7::/48 nexthop via 2001:db8:0:1::9 dev eth1");
    assert_eq!(node.hear(), lost);
    node.hold(&both, &[]);
    assert_eq!(show(), whole);
    assert_eq!(node.look(), [""; 0]);

    near.ip("link del eth1");
    assert_eq!(node.look(), lost);
    node.eth = devices(&near);
    let failures = node.want(&both, &[], &[]);
    assert_eq!(failures.len(), 1);
    assert!(
        failures[0].ends_with("there is no device eth1"),
        "{failures:?}"
    );
    let left = show();
    assert!(
        left.contains("eth0"),
        "the remaining next hop stays: {left}"
    );
    make_eth1();
    node.eth = devices(&near);
    node.hold(&both, &[]);
    assert_eq!(show(), whole);
}

fn rejected_route_is_explained_and_the_rest_installed() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    let routes = [
        "10.1.0.0/16 via 192.0.2.1",
        "10.2.0.0/16 dev eth9",
        "10.3.0.0/16 dev eth0",
        "10.4.0.0/16 dev eth0 src 192.0.2.9",
    ]
    .map(route);
    let failures = node.want(&routes, &[], &[]);
    assert_eq!(
        failures,
        [
            "VI_1: cannot add the route 10.2.0.0/16 dev eth9: there is no device eth9",
            "VI_1: cannot add the route 10.1.0.0/16 via 192.0.2.1: Nexthop has invalid gateway \
             (Network is unreachable (os error 101))",
            "VI_1: cannot add the route 10.4.0.0/16 dev eth0 src 192.0.2.9: Invalid prefsrc address \
             (Invalid argument (os error 22))",
        ]
    );
    assert_eq!(
        near.ip("route show proto 0x56"),
        "10.3.0.0/16 dev eth0 scope link \n"
    );
    assert_eq!(node.look(), [""; 0], "the mirror has no rejected route");
    // The rejected routes are installed as soon as the kernel accepts them.
    near.ip("address add 192.0.2.9/24 dev eth0");
    node.hold(&[routes[0].clone(), routes[3].clone()], &[]);
}

fn foreign_routes_and_rules_are_never_changed() {
    let (near, _far) = pair();
    near.ip("route add 10.1.0.0/16 via 10.0.0.9");
    near.ip("rule add priority 100 from 10.0.0.0/8 lookup 100");
    let before = (near.ip("route show"), near.ip("rule show"));
    let mut node = Node::start(&near);
    let routes = ["10.1.0.0/16 dev eth0"].map(route);
    let rules = ["priority 100 from 10.0.0.0/8 lookup 100"].map(rule);
    let failures = node.want(&routes, &rules, &[]);
    // The protocol number is part of a rule's identity in the kernel, but not of a route's.
    let remedy = "the kernel already holds one that another program added: delete that, or \
                  choose another metric, priority or table";
    assert_eq!(
        failures,
        [format!(
            "VI_1: cannot add the route 10.1.0.0/16 dev eth0: {remedy}"
        )]
    );
    assert_eq!(near.ip("rule show priority 100").lines().count(), 2);
    node.release(&routes, &rules);
    near.within(clean_up);
    assert_eq!((near.ip("route show"), near.ip("rule show")), before);
}

fn hundreds_of_routes_are_changed_together() {
    let (near, _far) = pair();
    let mut node = Node::start(&near);
    let routes: Vec<Route> = (0..600)
        .map(|n| route(&format!("10.{}.{}.0/24 dev eth0", 100 + n / 250, n % 250)))
        .collect();
    node.hold(&routes, &[]);
    assert_eq!(node.look(), [""; 0]);
    assert_eq!(near.ip("route show proto 0x56").lines().count(), 600);

    // The kernel rejects all of them.
    node.release(&routes, &[]);
    near.ip("link set eth0 down");
    assert_eq!(node.want(&routes, &[], &[]).len(), 600);
    assert!(node.mirror.is_empty());
    assert_eq!(node.look(), [""; 0]);
}

fn cleanup_deletes_only_own_routing() {
    let (near, _far) = pair();
    near.ip("route add 10.9.0.0/16 dev eth0");
    near.ip("rule add priority 9 from 10.9.0.0/16 lookup 9");
    let before = || {
        (
            near.ip("route show table all"),
            near.ip("-6 route show table all"),
            near.ip("rule show"),
        )
    };
    let untouched = before();
    let mut node = Node::start(&near);
    let routes = ["10.1.0.0/16 dev eth0 table 7", "2001:db8:1::/48 dev eth0"].map(route);
    let rules = ["priority 100 to 2001:db8::/32 lookup 100"].map(rule);
    node.hold(&routes, &rules);
    // A marked route of a type that no configuration can create.
    near.ip("route add blackhole 10.2.0.0/16 proto 0x56");
    let cleaned = near.within(clean_up);
    let removed: Vec<_> = cleaned.removed.iter().map(Routed::to_string).collect();
    assert_eq!(
        removed,
        [
            "route 10.1.0.0/16 table 7",
            "route 10.2.0.0/16",
            "route 2001:db8:1::/48",
            "rule priority 100 to 2001:db8::/32 lookup 100",
        ]
    );
    assert!(cleaned.failures.is_empty(), "{:?}", cleaned.failures);
    assert_eq!(before(), untouched);
    assert!(near.within(clean_up).removed.is_empty());
}

fn clean_up() -> CleanedRouting {
    cleanup::routing(&mut Kernel::open().unwrap()).unwrap()
}

/// The parts of the daemon's loop without the engine.
struct Node {
    routing: Routing,
    mirror: Mirror,
    eth: Vec<(String, InterfaceIndex)>,
}

impl Node {
    fn start(host: &Host) -> Self {
        let eth = devices(host);
        host.within(|| {
            let mut routing = Routing::open().unwrap();
            let mut mirror = Mirror::new();
            mirror.replace(routing.dump().unwrap(), &[]);
            Self {
                routing,
                mirror,
                eth,
            }
        })
    }

    fn hold(&mut self, routes: &[Route], rules: &[Rule]) {
        assert_eq!(self.want(routes, rules, &[]), [""; 0]);
    }

    fn release(&mut self, routes: &[Route], rules: &[Rule]) {
        let routes = routes.iter().map(|route| Routed::Route(route.place()));
        let rules = rules.iter().cloned().map(Routed::Rule);
        let release: Vec<_> = routes.chain(rules).collect();
        assert_eq!(self.want(&[], &[], &release), [""; 0]);
    }

    /// Plans and applies. Returns the texts of the failures.
    fn want(&mut self, routes: &[Route], rules: &[Rule], release: &[Routed]) -> Vec<String> {
        let (mut changes, mut failures) = (Vec::new(), Vec::new());
        let desired = [desired(routes, rules, release)];
        let device = |name: &str| number(&self.eth, name);
        plan(
            &desired,
            device,
            &mut self.mirror,
            &mut changes,
            &mut failures,
        );
        let (gone, come): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.deletes());
        for part in [gone, come] {
            self.routing
                .apply(part.into_iter(), &mut self.mirror, &mut failures);
        }
        failures.iter().map(ToString::to_string).collect()
    }

    /// Plans without applying. Returns the texts of the changes.
    fn plan_for(&mut self, routes: &[Route], rules: &[Rule]) -> Vec<String> {
        let (mut changes, mut failures) = (Vec::new(), Vec::new());
        let desired = [desired(routes, rules, &[])];
        let device = |name: &str| number(&self.eth, name);
        plan(
            &desired,
            device,
            &mut self.mirror,
            &mut changes,
            &mut failures,
        );
        changes.iter().map(Change::to_string).collect()
    }

    /// Dumps again. Returns the differences.
    fn look(&mut self) -> Vec<String> {
        let dump = self.routing.dump().unwrap();
        let news = self.mirror.replace(dump, &[]);
        news.iter().map(describe).collect()
    }

    /// Reads the notifications, of which at least one must be waiting, and dumps again.
    fn hear(&mut self) -> Vec<String> {
        assert!(self.is_woken(), "no notification");
        assert!(self.routing.take_news().unwrap());
        assert!(!self.routing.take_news().unwrap());
        self.look()
    }

    fn is_woken(&self) -> bool {
        let mut fds = [PollFd::new(self.routing.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }
}

/// Names and indexes of a host's devices.
fn devices(host: &Host) -> Vec<(String, InterfaceIndex)> {
    let all = host.within(|| nix::net::if_::if_nameindex().unwrap());
    let device = |device: &nix::net::if_::Interface| {
        let name = device.name().to_str().unwrap().to_owned();
        (name, InterfaceIndex(device.index()))
    };
    all.iter().map(device).collect()
}

fn number(eth: &[(String, InterfaceIndex)], wanted: &str) -> Option<InterfaceIndex> {
    let (_, number) = eth.iter().find(|(name, _)| name == wanted)?;
    Some(*number)
}

fn desired(routes: &[Route], rules: &[Rule], release: &[Routed]) -> DesiredRouting {
    DesiredRouting {
        router: "VI_1".into(),
        routes: routes.to_vec(),
        rules: rules.to_vec(),
        release: release.to_vec(),
    }
}

fn describe(input: &Input<'_>) -> String {
    if let Input::RoutingAdded(what) = input {
        format!("+ {what}")
    } else if let Input::RoutingRemoved { what, .. } = input {
        format!("- {what}")
    } else {
        unreachable!("a routing mirror yields only routes and rules: {input:?}")
    }
}

const fn family_option(family: Family) -> &'static str {
    match family {
        Family::V4 => "-4",
        Family::V6 => "-6",
    }
}

/// Parses a route in the syntax of `ip route`, as far as the tests use it.
fn route(text: &str) -> Route {
    let mut parts = text.split(" nexthop ");
    let mut words = parts.next().unwrap().split(' ');
    let destination = words.next().unwrap().parse().unwrap();
    let rest: Vec<&str> = words.collect();
    let value = |key: &str| value_of(&rest, key);
    let table = value("table").map_or(Table::MAIN, |table| {
        Table::new(table.parse().unwrap()).unwrap()
    });
    let metric = value("metric").map(|metric| metric.parse().unwrap());
    let place = RoutePlace::new(destination, table, metric);
    let several: Vec<NextHop> = parts
        .map(|hop| next_hop(&hop.split(' ').collect::<Vec<_>>()))
        .collect();
    let hops = if several.is_empty() {
        vec![next_hop(&rest)]
    } else {
        several
    };
    let mut route = Route::new(place, hops).unwrap();
    if let Some(source) = value("src") {
        route = route.with_source(source.parse().unwrap()).unwrap();
    }
    if value("scope") == Some("host") {
        route = route.with_scope(Scope::HOST).unwrap();
    }
    route
}

fn next_hop(words: &[&str]) -> NextHop {
    let gateway = value_of(words, "via").map(|gateway| gateway.parse().unwrap());
    let mut hop = NextHop::new(gateway, value_of(words, "dev").map(Into::into)).unwrap();
    if let Some(weight) = value_of(words, "weight") {
        hop = hop.with_weight(weight.parse().unwrap());
    }
    if words.contains(&"onlink") {
        hop = hop.on_link().unwrap();
    }
    hop
}

/// Parses a rule in the syntax of `ip rule`.
fn rule(text: &str) -> Rule {
    let words: Vec<&str> = text.split(' ').collect();
    let value = |key: &str| value_of(&words, key);
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).unwrap(),
        None => text.parse().unwrap(),
    };
    let selector = Selector {
        from: value("from").map(|network| network.parse().unwrap()),
        to: value("to").map(|network| network.parse().unwrap()),
        iif: value("iif").map(Into::into),
        oif: value("oif").map(Into::into),
        fwmark: value("fwmark").and_then(|mark| std::num::NonZeroU32::new(number(mark))),
    };
    let network = selector.from.or(selector.to);
    let family = network.map_or(Family::V4, vrrp_proto::routing::Network::family);
    let table = Table::new(number(value("lookup").unwrap())).unwrap();
    Rule::new(family, selector, table, number(value("priority").unwrap())).unwrap()
}

fn value_of<'t>(words: &[&'t str], key: &str) -> Option<&'t str> {
    let at = words.iter().position(|word| *word == key)?;
    words.get(at + 1).copied()
}
