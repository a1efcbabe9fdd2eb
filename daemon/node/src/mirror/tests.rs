use std::sync::Arc;

use proptest::prelude::*;
use vrrp_proto::MacAddress;

use super::*;

const ETH: InterfaceIndex = InterfaceIndex(2);

#[test]
fn a_link_is_news_when_something_about_it_is() {
    let mut mirror = Mirror::new();
    let news = |input: Option<Input<'_>>| input.map(|input| format!("{input:?}"));
    assert!(news(mirror.apply(Event::Link(link("eth0", true)))).is_some());
    assert_eq!(news(mirror.apply(Event::Link(link("eth0", true)))), None);
    assert!(news(mirror.apply(Event::Link(link("eth0", false)))).is_some());
    let renamed = mirror.apply(Event::Link(link("wan", false)));
    assert!(
        matches!(renamed, Some(Input::Link(link)) if link.index == ETH && &*link.name == "wan")
    );
    assert_eq!(mirror.links().count(), 1);
}

#[test]
fn a_name_means_the_link_that_has_it_now() {
    let mut mirror = Mirror::new();
    let numbered = |index, name| Link {
        index: InterfaceIndex(index),
        ..link(name, true)
    };
    let index = |mirror: &Mirror, name| mirror.link_named(name).map(|link| link.index.0);
    mirror.apply(Event::Link(numbered(2, "eth0")));
    mirror.apply(Event::Link(numbered(2, "wan")));
    assert_eq!(index(&mirror, "eth0"), None);
    assert_eq!(index(&mirror, "wan"), Some(2));
    // The news that the first one is gone are lost.
    mirror.apply(Event::Link(numbered(3, "wan")));
    assert_eq!(index(&mirror, "wan"), Some(2));
    let dump = Dump {
        links: vec![numbered(3, "wan")],
        ..Dump::default()
    };
    mirror.replace(dump);
    assert_eq!(index(&mirror, "wan"), Some(3));
    mirror.apply(Event::LinkRemoved(InterfaceIndex(3)));
    assert_eq!(index(&mirror, "wan"), None);
}

#[test]
fn a_removed_link_takes_its_addresses_along() {
    let mut mirror = started(&["10.0.0.1/24"]);
    assert!(matches!(
        mirror.apply(Event::LinkRemoved(ETH)),
        Some(Input::LinkRemoved(ETH))
    ));
    assert_eq!(mirror.addresses(ETH), []);
    assert!(mirror.apply(Event::LinkRemoved(ETH)).is_none());
}

#[test]
fn an_address_is_news_when_its_link_is_known_at_last() {
    // The news of the link were lost.
    let mut mirror = Mirror::new();
    assert!(mirror.apply(added("10.0.0.1/24", false)).is_none());
    let dump = Dump {
        links: vec![link("eth0", true)],
        addresses: vec![held("10.0.0.1/24")],
        marks: true,
    };
    let news = mirror.replace(dump);
    assert!(matches!(
        news[..],
        [Input::Link(_), Input::AddressAdded { .. }]
    ));
}

#[test]
fn our_own_changes_are_no_news() {
    let mut mirror = started(&[]);
    let address = address_of("10.0.0.9/24");
    mirror.applied(&Change::add(ETH, address));
    assert!(mirror.apply(added("10.0.0.9/24", true)).is_none());
    mirror.applied(&Change::Delete {
        interface: ETH,
        address,
    });
    assert!(mirror.apply(Event::AddressRemoved(ETH, address)).is_none());
}

#[test]
fn a_refused_change_is_taken_back() {
    let mut mirror = started(&[]);
    let address = address_of("10.0.0.9/24");
    let change = Change::add(ETH, address);
    mirror.applied(&change);
    mirror.refused(&change);
    assert_eq!(mirror.held(ETH, address), None);
}

#[test]
fn somebody_elses_removal_is_news_once() {
    let mut mirror = started(&["10.0.0.9/24"]);
    let removed = Event::AddressRemoved(ETH, address_of("10.0.0.9/24"));
    assert!(matches!(
        mirror.apply(removed.clone()),
        Some(Input::AddressRemoved { interface: ETH, address }) if address == address_of("10.0.0.9/24")
    ));
    assert!(mirror.apply(removed).is_none());
}

#[test]
fn the_kernel_says_whose_an_address_is_if_it_keeps_marks() {
    let address = address_of("10.0.0.9/24");
    for marks in [true, false] {
        let mut mirror = started(&[]);
        mirror.marks = marks;
        mirror.applied(&Change::add(ETH, address));
        let news = mirror.apply(added("10.0.0.9/24", false));
        assert_eq!(news.is_some(), marks);
        assert_eq!(
            mirror.held(ETH, address).map(|held| held.ours),
            Some(!marks)
        );
    }
}

#[test]
fn primaries_come_before_secondaries_and_a_promoted_one_is_the_last_of_them() {
    let mut mirror = started(&["10.0.0.1/24"]);
    let secondary = |text, secondary| {
        let address = address_of(text);
        Event::AddressAdded(
            ETH,
            Held {
                address,
                ours: false,
                secondary,
            },
        )
    };
    mirror.apply(secondary("10.0.0.3/24", true));
    mirror.apply(secondary("10.0.0.2/24", true));
    mirror.apply(secondary("10.9.0.1/24", false));
    assert_eq!(
        order(&mirror),
        ["10.0.0.1/24", "10.9.0.1/24", "10.0.0.3/24", "10.0.0.2/24"]
    );
    mirror.apply(Event::AddressRemoved(ETH, address_of("10.0.0.1/24")));
    assert!(
        mirror.apply(secondary("10.0.0.2/24", false)).is_none(),
        "it was there"
    );
    assert_eq!(
        order(&mirror),
        ["10.9.0.1/24", "10.0.0.2/24", "10.0.0.3/24"]
    );
}

#[test]
fn a_dump_tells_what_was_missed() {
    let mut mirror = started(&["10.0.0.1/24", "10.0.0.2/24"]);
    let inputs = mirror.replace(Dump {
        links: vec![link("eth0", false)],
        addresses: vec![held("10.0.0.3/24"), held("10.0.0.1/24")],
        marks: true,
    });
    assert_eq!(inputs.len(), 3);
    assert!(matches!(&inputs[0], Input::Link(link) if !link.carrier));
    assert!(
        matches!(inputs[1], Input::AddressRemoved { address, .. } if address == address_of("10.0.0.2/24"))
    );
    assert!(
        matches!(inputs[2], Input::AddressAdded { address, .. } if address == address_of("10.0.0.3/24"))
    );
    assert_eq!(order(&mirror), ["10.0.0.3/24", "10.0.0.1/24"], "as dumped");

    let inputs = mirror.replace(Dump::default());
    assert!(matches!(inputs[..], [Input::LinkRemoved(ETH)]));
    assert_eq!(mirror.all().count(), 0);
}

#[test]
fn an_event_of_an_ipv6_address_of_ours_is_no_news_and_a_reason_to_look_when_it_contradicts() {
    let ours = || {
        let mut dump = dump_of(&["2001:db8::9/64"]);
        dump.addresses[0].1.ours = true;
        dump
    };
    let removed = |text| Event::AddressRemoved(ETH, address_of(text));
    let mut mirror = Mirror::new();
    mirror.replace(ours());
    for (event, doubt) in [
        (added("2001:db8::9/64", true), false),
        (added("2001:db8::8/64", true), true),
        (removed("2001:db8::9/64"), true),
        (removed("2001:db8::8/64"), false),
        (added("2001:db8::9/128", true), true),
    ] {
        assert!(mirror.apply(event.clone()).is_none());
        assert_eq!(mirror.is_in_doubt(), doubt, "{event:?}");
        assert_eq!(order(&mirror), ["2001:db8::9/64"], "it believes nothing");
        let looked = mirror.replace(ours());
        assert!(looked.is_empty() && !mirror.is_in_doubt());
    }
    // Who looks finds out.
    mirror.apply(removed("2001:db8::9/64"));
    let inputs = mirror.replace(dump_of(&[]));
    let gone = address_of("2001:db8::9/64");
    assert!(
        matches!(inputs[..], [Input::AddressRemoved { address, .. }] if address == gone),
        "{inputs:?}"
    );
}

#[test]
fn an_ipv6_address_of_others_is_believed_at_once_where_the_kernel_keeps_marks() {
    for marks in [true, false] {
        let mut mirror = started(&[]);
        mirror.marks = marks;
        let news = mirror.apply(added("2001:db8::9/64", false));
        assert_eq!(news.is_some(), marks);
        assert_eq!(mirror.is_in_doubt(), !marks);
    }
    let mut mirror = started(&["2001:db8::9/64"]);
    let gone = Event::AddressRemoved(ETH, address_of("2001:db8::9/64"));
    assert!(mirror.apply(gone).is_some() && !mirror.is_in_doubt());
}

#[test]
fn an_ipv6_address_with_another_prefix_is_a_reason_to_look() {
    let mut mirror = started(&[]);
    // What somebody else added before was still being checked for duplicates, and stood in its way.
    mirror.applied(&Change::add(ETH, address_of("2001:db8::9/64")));
    assert!(mirror.apply(added("2001:db8::9/128", false)).is_none());
    assert!(mirror.is_in_doubt());
    let inputs = mirror.replace(dump_of(&["2001:db8::9/128"]));
    let [
        Input::AddressRemoved { address: gone, .. },
        Input::AddressAdded { address: come, .. },
    ] = &inputs[..]
    else {
        panic!("{inputs:?}")
    };
    assert_eq!(
        [gone, come].map(ToString::to_string),
        ["2001:db8::9/64", "2001:db8::9/128"]
    );
}

#[test]
fn what_is_told_late_of_our_own_changes_of_an_ipv6_address_is_a_reason_to_look_and_no_news() {
    let address = address_of("2001:db8::9/64");
    let mut mirror = started(&[]);
    mirror.applied(&Change::add(ETH, address));
    assert!(mirror.apply(added("2001:db8::9/64", true)).is_none());
    assert!(!mirror.is_in_doubt(), "it is so");
    mirror.applied(&Change::Delete {
        interface: ETH,
        address,
    });
    // The first was told after the second was done.
    mirror.apply(added("2001:db8::9/64", true));
    assert!(mirror.is_in_doubt());
    assert!(mirror.replace(dump_of(&[])).is_empty());
}

#[test]
fn an_event_of_a_link_that_is_not_known_is_no_reason_to_look() {
    let mut mirror = Mirror::new();
    mirror.apply(added("2001:db8::9/64", true));
    assert!(!mirror.is_in_doubt());
}

#[test]
fn no_ipv6_address_is_a_secondary_one() {
    let mut mirror = started(&["2001:db8::1/64"]);
    let address = address_of("2001:db8::9/64");
    mirror.applied(&Change::add(ETH, address));
    assert_eq!(
        mirror.held(ETH, address).map(|held| held.secondary),
        Some(false)
    );
}

proptest! {
    #[test]
    fn after_a_dump_the_mirror_is_the_dump(
        before in prop::collection::btree_map(0_u8..8, any::<bool>(), 0..8),
        after in prop::collection::btree_map(0_u8..8, any::<bool>(), 0..8),
    ) {
        let dump = |addresses: &BTreeMap<u8, bool>| Dump {
            links: vec![link("eth0", true)],
            addresses: addresses.iter().map(|(last, ours)| {
                let address = address_of(&format!("10.0.0.{last}/24"));
                (ETH, Held { address, ours: *ours, secondary: false })
            }).collect(),
            marks: true,
        };
        let mut mirror = Mirror::new();
        mirror.replace(dump(&before));
        // What the engine knows, by what it was told.
        let mut told = before.clone();
        for input in mirror.replace(dump(&after)) {
            if let Input::AddressAdded { address, ours, .. } = input {
                prop_assert_ne!(told.insert(last_byte(address), ours), Some(ours), "no news");
            } else if let Input::AddressRemoved { address, .. } = input {
                prop_assert!(told.remove(&last_byte(address)).is_some(), "no news");
            } else {
                prop_assert!(false, "{:?}", input);
            }
        }
        prop_assert_eq!(told, after.clone());
        let held: Vec<_> = mirror.addresses(ETH).into_iter().map(|held| (ETH, held)).collect();
        prop_assert_eq!(held, dump(&after).addresses);
        prop_assert!(mirror.replace(dump(&after)).is_empty());
    }
}

fn last_byte(address: InterfaceAddress) -> u8 {
    address.ipv4().unwrap().octets()[3]
}

fn started(addresses: &[&str]) -> Mirror {
    let mut mirror = Mirror::new();
    mirror.replace(dump_of(addresses));
    mirror
}

/// eth0 with these addresses, none of them ours.
fn dump_of(addresses: &[&str]) -> Dump {
    Dump {
        links: vec![link("eth0", true)],
        addresses: addresses.iter().map(|text| held(text)).collect(),
        marks: true,
    }
}

fn order(mirror: &Mirror) -> Vec<String> {
    let addresses = mirror.addresses(ETH);
    addresses
        .iter()
        .map(|held| held.address.to_string())
        .collect()
}

fn link(name: &str, carrier: bool) -> Link {
    Link {
        index: ETH,
        name: Arc::from(name),
        up: true,
        carrier,
        mac: Some(MacAddress([2, 0, 0, 0, 0, 1])),
        port_of: None,
    }
}

fn held(text: &str) -> (InterfaceIndex, Held) {
    let address = address_of(text);
    (
        ETH,
        Held {
            address,
            ours: false,
            secondary: false,
        },
    )
}

fn added(text: &str, ours: bool) -> Event {
    let address = address_of(text);
    Event::AddressAdded(
        ETH,
        Held {
            address,
            ours,
            secondary: false,
        },
    )
}

fn address_of(text: &str) -> InterfaceAddress {
    text.parse().unwrap()
}
