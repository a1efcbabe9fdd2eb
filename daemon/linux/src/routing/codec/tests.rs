use std::io;
use std::num::{NonZeroU8, NonZeroU32};

use proptest::prelude::*;
use vrrp_node::routing::mirror::Mirror;
use vrrp_node::routing::plan::plan;
use vrrp_proto::DesiredRouting;
use vrrp_proto::routing::{NextHop, Route};

use super::*;

proptest! {
    #[test]
    fn encoded_route_is_parsed_back(route in any_route()) {
        let change = planned(&route);
        let mut expected = Dump::default();
        if let Change::AddRoute { installed, .. } = &change {
            expected.routes.push(installed.clone());
        }
        prop_assert_eq!(read(&change, route.place().destination.family()), expected);
    }

    #[test]
    fn encoded_rule_is_parsed_back(rule in any_rule()) {
        let expected = Dump { rules: vec![rule.clone()], ..Dump::default() };
        let family = rule.family();
        prop_assert_eq!(read(&Change::AddRule { router: "VI_1".into(), rule }, family), expected);
    }

    #[test]
    fn parsing_any_bytes_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = (parse_route(&bytes), parse_rule(&bytes));
    }
}

#[test]
fn unmarked_routes_and_rules_are_skipped() {
    for protocol in [
        RouteProtocol::Kernel,
        RouteProtocol::Static,
        RouteProtocol::Bgp,
    ] {
        let mut body = whole_route(&installed("10.0.0.0/8"));
        body.header.protocol = protocol;
        assert_eq!(
            collected(RouteNetlinkMessage::NewRoute(body)),
            Dump::default()
        );
    }
    let mut body = rule_message(&marked());
    body.attributes
        .retain(|attribute| !matches!(attribute, RuleAttribute::Protocol(_)));
    assert_eq!(
        collected(RouteNetlinkMessage::NewRule(body)),
        Dump::default()
    );
}

#[test]
fn unknown_properties_make_a_route_odd() {
    let mut body = whole_route(&installed("10.0.0.0/8"));
    body.header.kind = RouteType::BlackHole;
    let dump = collected(RouteNetlinkMessage::NewRoute(body));
    assert!(dump.routes[0].odd);

    // A rule with unknown properties cannot be deleted by the known ones, so it is skipped.
    let mut body = rule_message(&marked());
    body.attributes.push(RuleAttribute::SuppressPrefixLen(0));
    assert_eq!(
        collected(RouteNetlinkMessage::NewRule(body)),
        Dump::default()
    );
}

#[test]
fn extended_ack_text_of_an_error_is_parsed() {
    let mut request = Vec::new();
    push_change(&planned(&four("10.0.0.0/8")), 7, &mut request);
    let refusal = |flags: u16, more: &[u8]| {
        let body = [&(-22_i32).to_ne_bytes()[..], &request, more].concat();
        let length = u32::try_from(HEADER_LEN + body.len()).unwrap();
        let header = [
            &length.to_ne_bytes()[..],
            &2_u16.to_ne_bytes(),
            &flags.to_ne_bytes(),
            &[0; 8],
        ];
        [&header.concat()[..], &body].concat()
    };
    let text = b"Nexthop has invalid gateway\0";
    let attribute = [
        &u16::try_from(4 + text.len()).unwrap().to_ne_bytes()[..],
        &1_u16.to_ne_bytes(),
        text,
    ]
    .concat();
    let explained = |bytes: &[u8]| explanation(&Message::all_of(bytes).next().unwrap());
    assert_eq!(
        explained(&refusal(ATTRIBUTES_FOLLOW, &attribute)).as_deref(),
        Some("Nexthop has invalid gateway")
    );
    assert_eq!(explained(&refusal(0, &[])), None);
    assert_eq!(explained(&refusal(ATTRIBUTES_FOLLOW, &[])), None);
    let bytes = refusal(ATTRIBUTES_FOLLOW, &attribute);
    let message = Message::all_of(&bytes).next().unwrap();
    let error = message.result().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

fn any_network() -> impl Strategy<Value = Network> {
    prop_oneof![
        (any::<u32>(), 0_u8..=32).prop_map(|(bits, prefix)| {
            let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
            Network::new(IpAddr::V4((bits & mask).into()), prefix).unwrap()
        }),
        (any::<u128>(), 0_u8..=128).prop_map(|(bits, prefix)| {
            let mask = u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0);
            Network::new(IpAddr::V6((bits & mask).into()), prefix).unwrap()
        }),
    ]
}

fn any_table() -> impl Strategy<Value = Table> {
    prop_oneof![Just(254), 1..=u32::MAX].prop_map(|number| Table::new(number).unwrap())
}

fn any_route() -> impl Strategy<Value = Route> {
    let hop = (any::<bool>(), any::<bool>(), 1_u8..=255, any::<bool>());
    (
        any_network(),
        any_table(),
        prop::option::of(any::<u32>()),
        prop::collection::vec(hop, 1..4),
        any::<bool>(),
        any::<u8>(),
    )
        .prop_map(|(network, table, metric, hops, with_source, scope)| {
            let address: IpAddr = match network.family() {
                Family::V4 => "192.0.2.1".parse().unwrap(),
                Family::V6 => "2001:db8::1".parse().unwrap(),
            };
            let several = hops.len() > 1;
            let hops: Vec<NextHop> = hops
                .into_iter()
                .map(|(with_gateway, with_device, weight, on_link)| {
                    let gateway = with_gateway.then_some(address);
                    let device = (with_device || !with_gateway).then(|| "eth0".into());
                    let hop = NextHop::new(gateway, device).unwrap();
                    let hop = match hop.clone().on_link() {
                        Ok(hop) if on_link => hop,
                        _ => hop,
                    };
                    // A single next hop has no weight.
                    let weight = if several { weight } else { 1 };
                    hop.with_weight(NonZeroU8::new(weight).unwrap())
                })
                .collect();
            let place = RoutePlace::new(network, table, metric);
            let route = Route::new(place, hops).unwrap();
            let route = if with_source {
                route.with_source(address).unwrap()
            } else {
                route
            };
            route.clone().with_scope(Scope(scope)).unwrap_or(route)
        })
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let name = || prop::option::of(prop_oneof![Just("lo"), Just("fifteen-letters")]);
    (
        prop::option::of(any_network()),
        name(),
        name(),
        1..=u32::MAX,
        any_table(),
        any::<u32>(),
    )
        .prop_filter_map("selects all", |(from, iif, oif, mark, table, priority)| {
            let selector = Selector {
                from,
                to: from,
                iif: iif.map(Into::into),
                oif: oif.map(Into::into),
                fwmark: NonZeroU32::new(mark),
            };
            let family = from.map_or(Family::V6, Network::family);
            Rule::new(family, selector, table, priority).ok()
        })
}

fn four(network: &str) -> Route {
    let hop = NextHop::new(None, Some("eth0".into())).unwrap();
    let place = RoutePlace::new(network.parse().unwrap(), Table::MAIN, None);
    Route::new(place, [hop]).unwrap()
}

fn installed(network: &str) -> Installed {
    let Change::AddRoute { installed, .. } = planned(&four(network)) else {
        panic!("a new route is added");
    };
    installed
}

fn marked() -> Rule {
    let selector = Selector {
        fwmark: NonZeroU32::new(1),
        ..Selector::default()
    };
    Rule::new(Family::V4, selector, Table::MAIN, 1).unwrap()
}

/// The planned change that adds a route.
fn planned(route: &Route) -> Change {
    let desired = DesiredRouting {
        router: "VI_1".into(),
        routes: vec![route.clone()],
        rules: Vec::new(),
        release: Vec::new(),
    };
    let (mut changes, device) = (Vec::new(), |_: &str| Some(InterfaceIndex(2)));
    let mut mirror = Mirror::new();
    plan(
        &[desired],
        device,
        &mut mirror,
        &mut changes,
        &mut Vec::new(),
    );
    changes.pop().unwrap()
}

/// Parses the request that carries out `change`.
fn read(change: &Change, family: Family) -> Dump {
    let mut bytes = Vec::new();
    push_change(change, 7, &mut bytes);
    let mut dump = Dump::default();
    for message in Message::all_of(&bytes) {
        collect(&message, family, &mut dump);
    }
    dump
}

fn collected(message: RouteNetlinkMessage) -> Dump {
    let mut bytes = Vec::new();
    push(message, 0, 0, &mut bytes);
    let mut dump = Dump::default();
    for message in Message::all_of(&bytes) {
        collect(&message, Family::V4, &mut dump);
    }
    dump
}
