use std::num::NonZeroU8;

use proptest::prelude::*;
use vrrp_proto::routing::{NextHop, RoutePlace, Rule, Scope, Selector, Table};
use vrrp_proto::{Family, Input};

use super::super::mirror::Dump;
use super::*;

const ETH: InterfaceIndex = InterfaceIndex(2);
const OTHER: InterfaceIndex = InterfaceIndex(3);

#[test]
fn plan_adds_missing_routes_and_rules_only() {
    let desired = hold(&[four(1, "eth0"), four(2, "eth0")], &[rule(1)]);
    let mut mirror = filled([shown(&four(1, "eth0"))], []);
    assert_eq!(
        planned(&desired, &mut mirror),
        [
            "add the route 10.2.0.0/16 dev eth0",
            "add the rule priority 1000 from 10.1.0.0/16 lookup 100",
        ]
    );
    assert_eq!(planned(&desired, &mut mirror), [""; 0]);
}

#[test]
fn route_with_other_next_hop_is_replaced() {
    let mut mirror = filled([shown(&four(1, "eth0"))], []);
    assert_eq!(
        planned(&hold(&[four(1, "eth1")], &[]), &mut mirror),
        [
            "delete the route 10.1.0.0/16",
            "add the route 10.1.0.0/16 dev eth1"
        ]
    );
}

#[test]
fn next_hop_without_device_fits_any_device() {
    let gateway = Some("10.0.0.1".parse().unwrap());
    let route = Route::new(place(1), [NextHop::new(gateway, None).unwrap()]).unwrap();
    let mut found = shown(&route);
    found.legs[0].device = Some(ETH);
    let mut mirror = filled([found.clone()], []);
    assert_eq!(
        planned(&hold(std::slice::from_ref(&route), &[]), &mut mirror),
        [""; 0]
    );

    // Conversely, the next dump shows the device of a route that was requested without one.
    let mut mirror = Mirror::new();
    assert_eq!(planned(&hold(&[route], &[]), &mut mirror).len(), 1);
    let leads_over = |mirror: &Mirror, device| {
        let mut routes = mirror.all_routes();
        routes.any(|route| route.may_lead_over(device))
    };
    assert!(
        leads_over(&mirror, OTHER),
        "without a configured device it may use any"
    );
    let routes = vec![found];
    let dump = Dump {
        routes,
        ..Dump::default()
    };
    let news = mirror.replace(dump, &[]);
    assert!(news.is_empty(), "{news:?}");
    assert!(leads_over(&mirror, ETH) && !leads_over(&mirror, OTHER));
}

#[test]
fn missing_ipv6_next_hop_is_restored() {
    let route = six(1, &["eth0", "eth1"]);
    let mut left = shown(&route);
    left.legs.remove(0);
    let mut mirror = filled([left.clone()], []);
    assert_eq!(
        planned(&hold(std::slice::from_ref(&route), &[]), &mut mirror),
        [
            "restore next hops (1 missing) of the route 2001:db8:1::/48 nexthop dev eth0 nexthop dev eth1"
        ]
    );
    assert!(shown(&route).fits(&mirror.routes(route.place())[0]));

    // The kernel keeps an IPv4 route completely or not, so the remaining route is a different one.
    let several = [on("eth0"), on("eth1")];
    let route = Route::new(place(1), several).unwrap();
    let mut other = shown(&route);
    other.legs.remove(0);
    let mut mirror = filled([other], []);
    assert_eq!(planned(&hold(&[route], &[]), &mut mirror).len(), 2);
}

#[test]
fn next_hops_compare_by_weight_and_not_order() {
    let weighed = |weight| on("eth1").with_weight(NonZeroU8::new(weight).unwrap());
    let route = |weight| Route::new(place(1), [on("eth0"), weighed(weight)]).unwrap();
    let mut swapped = shown(&route(2));
    swapped.legs.reverse();
    assert!(shown(&route(2)).fits(&swapped));
    assert!(!shown(&route(3)).fits(&swapped));
}

#[test]
fn failure_names_missing_device() {
    let desired = hold(&[four(1, "eth9"), four(2, "eth0")], &[]);
    let (mut changes, mut failures) = (Vec::new(), Vec::new());
    plan(
        &[desired],
        device,
        &mut Mirror::new(),
        &mut changes,
        &mut failures,
    );
    assert_eq!(texts(&changes), ["add the route 10.2.0.0/16 dev eth0"]);
    let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(
        failures,
        ["VI_1: cannot add the route 10.1.0.0/16 dev eth9: there is no device eth9"]
    );
}

#[test]
fn last_request_of_turn_counts() {
    let held = hold(&[four(1, "eth0")], &[rule(1)]);
    let both = [held.clone(), release(&held)];
    let turn = |desired: &[DesiredRouting], mirror: &mut Mirror| {
        let mut changes = Vec::new();
        plan(desired, device, mirror, &mut changes, &mut Vec::new());
        texts(&changes)
    };
    assert_eq!(turn(&both, &mut Mirror::new()), [""; 0]);
    let there = || filled([shown(&four(1, "eth0"))], [rule(1)]);
    assert_eq!(turn(&both, &mut there()).len(), 2);
    let again = [release(&held), held];
    assert_eq!(turn(&again, &mut there()), [""; 0]);
}

#[test]
fn rejected_routing_changes_are_reverted() {
    let before = || filled([shown(&four(1, "eth0"))], [rule(1)]);
    let mut mirror = before();
    let desired = [
        hold(&[four(1, "eth1"), four(2, "eth0")], &[rule(2)]),
        release(&hold(&[], &[rule(1)])),
    ];
    let mut changes = Vec::new();
    plan(&desired, device, &mut mirror, &mut changes, &mut Vec::new());
    assert_eq!(changes.len(), 5);
    for change in changes.iter().rev() {
        mirror.refused(change);
    }
    assert!(mirror.all_routes().eq(before().all_routes()));
    assert!(mirror.all_rules().eq(before().all_rules()));
}

#[test]
fn strays_are_unwanted_routes_and_rules() {
    let mut odd = shown(&four(3, "eth0"));
    odd.odd = true;
    let mut mirror = filled([shown(&four(1, "eth0")), odd], [rule(1), rule(2)]);
    let mut changes = Vec::new();
    let wanted = [Routed::Route(place(1)), Routed::Rule(rule(2))];
    strays(&mut mirror, |what| wanted.contains(what), &mut changes);
    assert_eq!(
        texts(&changes),
        [
            "delete the route 10.3.0.0/16",
            "delete the rule priority 1000 from 10.1.0.0/16 lookup 100"
        ]
    );
}

#[test]
fn routing_dump_returns_differences() {
    let mut mirror = filled(
        [shown(&four(1, "eth0")), shown(&four(2, "eth0"))],
        [rule(1)],
    );
    let dump = Dump {
        routes: vec![shown(&four(1, "eth1")), shown(&four(2, "eth0"))],
        rules: vec![rule(2)],
    };
    let news = mirror.replace(dump, &[]);
    let news: Vec<_> = news.iter().map(describe).collect();
    assert_eq!(
        news,
        [
            "- route 10.1.0.0/16",
            "- rule priority 1000 from 10.1.0.0/16 lookup 100",
            "+ route 10.1.0.0/16",
            "+ rule priority 1000 from 10.2.0.0/16 lookup 100",
        ]
    );
}

proptest! {
    #[test]
    fn applied_routing_plans_reach_desired_state(
        observed in any_observed(),
        rules in prop::collection::btree_set(0_u8..4, 0..4),
        wishes in prop::collection::vec(any_desired(), 1..4),
    ) {
        let rules: Vec<Rule> = rules.into_iter().map(rule).collect();
        let mut mirror = filled(observed.clone(), rules.clone());
        let mut changes = Vec::new();
        plan(&wishes, device, &mut mirror, &mut changes, &mut Vec::new());
        // The node makes deletions first.
        let mut kernel = filled(observed, rules);
        let (gone, come): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.deletes());
        for change in gone.into_iter().chain(come) {
            kernel.applied(change);
        }
        for place in (0..4).map(place) {
            let shown = kernel.routes(place).len();
            prop_assert_eq!(mirror.routes(place).len(), shown);
            for route in mirror.routes(place) {
                prop_assert!(kernel.routes(place).iter().any(|other| route.fits(other)));
            }
        }
        prop_assert!(mirror.all_rules().eq(kernel.all_rules()));
        // The last request of the turn counts.
        let last = &wishes[wishes.len() - 1];
        for route in &last.routes {
            let there = kernel.routes(route.place());
            prop_assert!(there.len() == 1 && shown(route).fits(&there[0]), "{}", route);
        }
        for wanted in &last.rules {
            prop_assert!(kernel.has_rule(wanted));
        }
        for released in &last.release {
            let is_held = match released {
                Routed::Route(place) => {
                    let is_wanted = last.routes.iter().any(|route| route.place() == *place);
                    is_wanted != kernel.routes(*place).is_empty()
                }
                Routed::Rule(rule) => last.rules.contains(rule) == kernel.has_rule(rule),
            };
            prop_assert!(is_held, "{}", released);
        }
        prop_assert_eq!(planned(last, &mut mirror), [""; 0]);
    }
}

/// Any routes that a kernel may hold, without duplicates.
fn any_observed() -> impl Strategy<Value = Vec<Installed>> {
    prop::collection::vec(any_installed(), 0..6).prop_map(|mut routes| {
        let mut seen: Vec<Installed> = Vec::new();
        routes.retain(|route| {
            let is_new = !seen.iter().any(|other| route.fits(other));
            seen.push(route.clone());
            is_new
        });
        routes
    })
}

fn any_installed() -> impl Strategy<Value = Installed> {
    let odd = prop::bool::weighted(0.1);
    (any_route(), odd).prop_map(|(route, odd)| Installed {
        odd,
        ..shown(&route)
    })
}

fn any_route() -> impl Strategy<Value = Route> {
    let device = || prop_oneof![Just("eth0"), Just("eth1")];
    prop_oneof![
        (0_u8..4, device()).prop_map(|(number, device)| four(number, device)),
        (0_u8..2, prop::collection::vec(device(), 1..3)).prop_map(|(n, devices)| six(n, &devices)),
    ]
}

fn any_desired() -> impl Strategy<Value = DesiredRouting> {
    let routes = prop::collection::vec(any_route(), 0..4);
    let rules = prop::collection::btree_set(0_u8..4, 0..4);
    let released = prop::collection::vec((any_route(), 0_u8..4), 0..3);
    (routes, rules, released).prop_map(|(mut routes, rules, released)| {
        // A node never has two routes with the same key.
        routes.sort_by_key(Route::place);
        routes.dedup_by_key(|route| route.place());
        let released = released
            .into_iter()
            .flat_map(|(route, number)| [Routed::Route(route.place()), Routed::Rule(rule(number))]);
        DesiredRouting {
            router: "VI_1".into(),
            routes,
            rules: rules.into_iter().map(rule).collect(),
            release: released.collect(),
        }
    })
}

fn device(name: &str) -> Option<InterfaceIndex> {
    match name {
        "eth0" => Some(ETH),
        "eth1" => Some(OTHER),
        _ => None,
    }
}

fn place(number: u8) -> RoutePlace {
    let network = format!("10.{number}.0.0/16").parse().unwrap();
    RoutePlace::new(network, Table::MAIN, None)
}

fn on(device: &str) -> NextHop {
    NextHop::new(None, Some(device.into())).unwrap()
}

fn four(number: u8, device: &str) -> Route {
    Route::new(place(number), [on(device)]).unwrap()
}

fn six(number: u8, devices: &[&str]) -> Route {
    let network = format!("2001:db8:{number}::/48").parse().unwrap();
    let hops: Vec<NextHop> = devices.iter().map(|device| on(device)).collect();
    Route::new(RoutePlace::new(network, Table::MAIN, None), hops).unwrap()
}

fn rule(number: u8) -> Rule {
    let selector = Selector {
        from: Some(format!("10.{number}.0.0/16").parse().unwrap()),
        ..Selector::default()
    };
    Rule::new(Family::V4, selector, Table::new(100).unwrap(), 1000).unwrap()
}

/// Returns a route as the kernel shows it.
fn shown(route: &Route) -> Installed {
    let installed = install(route, device).unwrap();
    assert_eq!(installed.scope, route.scope());
    assert!(route.scope() <= Scope::LINK);
    installed
}

fn filled(
    routes: impl IntoIterator<Item = Installed>,
    rules: impl IntoIterator<Item = Rule>,
) -> Mirror {
    let mut mirror = Mirror::new();
    let dump = Dump {
        routes: routes.into_iter().collect(),
        rules: rules.into_iter().collect(),
    };
    mirror.replace(dump, &[]);
    mirror
}

fn hold(routes: &[Route], rules: &[Rule]) -> DesiredRouting {
    DesiredRouting {
        router: "VI_1".into(),
        routes: routes.to_vec(),
        rules: rules.to_vec(),
        release: Vec::new(),
    }
}

/// Returns the request that releases everything that `held` holds.
fn release(held: &DesiredRouting) -> DesiredRouting {
    let routes = held.routes.iter().map(|route| Routed::Route(route.place()));
    let rules = held.rules.iter().cloned().map(Routed::Rule);
    DesiredRouting {
        release: routes.chain(rules).collect(),
        ..hold(&[], &[])
    }
}

fn planned(desired: &DesiredRouting, mirror: &mut Mirror) -> Vec<String> {
    let (mut changes, mut failures) = (Vec::new(), Vec::new());
    let desired = std::slice::from_ref(desired);
    plan(desired, device, mirror, &mut changes, &mut failures);
    assert!(failures.is_empty(), "{failures:?}");
    texts(&changes)
}

fn texts(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

fn describe(input: &Input<'_>) -> String {
    if let Input::RoutingAdded(what) = input {
        format!("+ {what}")
    } else if let Input::RoutingRemoved { what, .. } = input {
        format!("- {what}")
    } else {
        unreachable!("a routing mirror returns no other input: {input:?}")
    }
}
