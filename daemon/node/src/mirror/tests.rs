use std::sync::Arc;

use proptest::prelude::*;
use vrrp_proto::MacAddress;

use super::*;

const ETH: InterfaceIndex = InterfaceIndex(2);

#[test]
fn link_event_is_news_only_with_difference() {
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
fn link_name_follows_rename_and_removal() {
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
    // The event about the deletion of the first one is lost.
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
fn removed_link_removes_its_addresses() {
    let mut mirror = started(&["10.0.0.1/24"]);
    assert!(matches!(
        mirror.apply(Event::LinkRemoved(ETH)),
        Some(Input::LinkRemoved(ETH))
    ));
    assert_eq!(mirror.addresses(ETH), []);
    assert!(mirror.apply(Event::LinkRemoved(ETH)).is_none());
}

#[test]
fn address_of_unknown_link_waits_for_dump() {
    // The event about the link is lost.
    let mut mirror = Mirror::new();
    assert!(mirror.apply(added("10.0.0.1/24", false)).is_none());
    let dump = Dump {
        links: vec![link("eth0", true)],
        addresses: vec![held("10.0.0.1/24")],
        marks: true,
        extent: Extent::All,
    };
    let news = mirror.replace(dump);
    assert!(matches!(
        news[..],
        [Input::Link(_), Input::AddressAdded { .. }]
    ));
}

#[test]
fn address_in_dump_without_its_link_waits_for_event() {
    // The link was created after the links were dumped and before the addresses were.
    let mut mirror = Mirror::new();
    let dump = Dump {
        links: Vec::new(),
        ..dump_of(&["10.0.0.1/24"])
    };
    assert!(mirror.replace(dump).is_empty());
    mirror.apply(Event::Link(link("eth0", true)));
    let news = mirror.apply(added("10.0.0.1/24", false));
    assert!(matches!(news, Some(Input::AddressAdded { .. })));
}

#[test]
fn interrupted_dump_of_links_removes_none() {
    let mut mirror = started(&["10.0.0.1/24"]);
    let dump = Dump {
        extent: Extent::Interrupted,
        marks: true,
        ..Dump::default()
    };
    assert!(mirror.replace(dump).is_empty());
    assert_eq!(order(&mirror), ["10.0.0.1/24"]);
    // The interface is gone.
    let gone = Dump {
        extent: Extent::Interface(ETH),
        marks: true,
        ..Dump::default()
    };
    assert!(matches!(
        mirror.replace(gone)[..],
        [Input::LinkRemoved(ETH)]
    ));
    assert!(!is_in_doubt(&mirror) && order(&mirror).is_empty());
}

#[test]
fn dump_of_one_interface_leaves_the_others() {
    let other = InterfaceIndex(3);
    let mut mirror = started(&["10.0.0.1/24"]);
    mirror.apply(Event::Link(Link {
        index: other,
        ..link("eth1", true)
    }));
    let (_, address) = held("10.0.1.1/24");
    mirror.apply(Event::AddressAdded(other, address));
    let dump = Dump {
        extent: Extent::Interface(ETH),
        ..dump_of(&["10.0.0.2/24"])
    };
    assert!(matches!(
        mirror.replace(dump)[..],
        [Input::AddressRemoved { .. }, Input::AddressAdded { .. }]
    ));
    assert_eq!(order(&mirror), ["10.0.0.2/24"]);
    assert_eq!(mirror.addresses(other).len(), 1);
}

#[test]
fn own_changes_are_not_news() {
    let mut mirror = started(&[]);
    let address = address_of("10.0.0.9/24");
    mirror.applied(&Change::add(ETH, address));
    assert!(mirror.apply(added("10.0.0.9/24", true)).is_none());
    mirror.applied(&Change::Delete {
        interface: ETH,
        address,
    });
    assert!(mirror.apply(removed(address)).is_none());
}

#[test]
fn rejected_address_change_is_reverted() {
    let mut mirror = started(&[]);
    let address = address_of("10.0.0.9/24");
    let change = Change::add(ETH, address);
    mirror.applied(&change);
    mirror.refused(&change);
    assert_eq!(mirror.held(ETH, address), None);
}

#[test]
fn rejected_deletion_restores_the_address_as_it_was() {
    let mut mirror = started(&["10.0.0.1/24"]);
    let address = address_of("10.0.0.9/24");
    let form = AddressForm {
        scope: Some(253),
        ..AddressForm::default()
    };
    mirror.applied(&Change::Add {
        interface: ETH,
        address,
        form,
    });
    let before = mirror.held(ETH, address);
    assert!(before.is_some_and(|held| held.ours && held.secondary));
    let delete = Change::Delete {
        interface: ETH,
        address,
    };
    mirror.applied(&delete);
    mirror.refused(&delete);
    assert_eq!(mirror.held(ETH, address), before);
    assert!(!mirror.is_of_another_form(ETH, address, &form));

    // An address without the daemon's mark stays one.
    let own = address_of("10.0.0.1/24");
    let before = mirror.held(ETH, own);
    let delete = Change::Delete {
        interface: ETH,
        address: own,
    };
    mirror.applied(&delete);
    mirror.refused(&delete);
    assert_eq!(mirror.held(ETH, own), before);
}

#[test]
fn removal_of_an_own_address_precedes_its_secondaries() {
    let secondary = |text| Held {
        ours: true,
        secondary: true,
        ..held(text).1
    };
    let mut removals = Removals::default();
    // As the kernel reports it.
    for own in [
        secondary("10.0.0.8/24"),
        secondary("10.9.0.8/24"),
        secondary("10.0.0.9/16"),
    ] {
        assert!(removals.add(ETH, own, Loss::Deleted).is_none(), "it waits");
    }
    let primary = removals.add(ETH, held("10.0.0.1/24").1, Loss::Deleted);
    assert!(matches!(primary, Some(Input::AddressRemoved { .. })));
    let losses = |removals: &mut Removals| {
        let all = removals.take().map(|input| {
            let Input::AddressRemoved { address, loss, .. } = input else {
                panic!("{input:?}")
            };
            format!("{address} {loss}")
        });
        all.collect::<Vec<_>>()
    };
    assert_eq!(
        losses(&mut removals),
        [
            "10.0.0.8/24 was deleted by the kernel with its primary address 10.0.0.1/24",
            "10.9.0.8/24 was deleted by another program",
            "10.0.0.9/16 was deleted by another program",
        ]
    );
    assert!(losses(&mut removals).is_empty(), "once");
}

#[test]
fn address_dump_reports_removals_of_own_addresses_last() {
    let mut mirror = started(&["10.0.0.50/24"]);
    mirror.applied(&Change::add(ETH, address_of("10.0.0.9/24")));
    let inputs = mirror.replace(dump_of(&["10.0.0.51/24"]));
    let [
        Input::AddressRemoved { address: first, .. },
        Input::AddressRemoved {
            address: second,
            loss,
            ..
        },
        Input::AddressAdded { .. },
    ] = &inputs[..]
    else {
        panic!("{inputs:?}")
    };
    assert_eq!(
        [first, second].map(ToString::to_string),
        ["10.0.0.50/24", "10.0.0.9/24"]
    );
    assert_eq!(*loss, Loss::WithPrimary(*first));
}

#[test]
fn foreign_removal_is_news_once() {
    let mut mirror = started(&["10.0.0.9/24"]);
    let gone = removed(address_of("10.0.0.9/24"));
    assert!(matches!(
        mirror.apply(gone.clone()),
        Some(Input::AddressRemoved { interface: ETH, address, .. }) if address == address_of("10.0.0.9/24")
    ));
    assert!(mirror.apply(gone).is_none());
}

#[test]
fn address_ownership_follows_mark_where_kernel_stores_it() {
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
fn promoted_secondary_becomes_last_primary() {
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
    mirror.apply(removed(address_of("10.0.0.1/24")));
    assert!(
        mirror.apply(secondary("10.0.0.2/24", false)).is_none(),
        "no new address"
    );
    assert_eq!(
        order(&mirror),
        ["10.9.0.1/24", "10.0.0.2/24", "10.0.0.3/24"]
    );
}

#[test]
fn address_dump_returns_differences() {
    let mut mirror = started(&["10.0.0.1/24", "10.0.0.2/24"]);
    let inputs = mirror.replace(Dump {
        extent: Extent::All,
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
fn contradicting_event_about_own_ipv6_address_causes_doubt() {
    let ours = || {
        let mut dump = dump_of(&["2001:db8::9/64"]);
        dump.addresses[0].1.ours = true;
        dump
    };
    let removed = |text| removed(address_of(text));
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
        assert_eq!(is_in_doubt(&mirror), doubt, "{event:?}");
        assert_eq!(
            order(&mirror),
            ["2001:db8::9/64"],
            "the event does not change the mirror"
        );
        let looked = mirror.replace(ours());
        assert!(looked.is_empty() && !is_in_doubt(&mirror));
    }
    // A dump resolves the doubt.
    mirror.apply(removed("2001:db8::9/64"));
    let inputs = mirror.replace(dump_of(&[]));
    let gone = address_of("2001:db8::9/64");
    assert!(
        matches!(inputs[..], [Input::AddressRemoved { address, .. }] if address == gone),
        "{inputs:?}"
    );
}

#[test]
fn unmarked_ipv6_address_is_news_where_kernel_stores_marks() {
    for marks in [true, false] {
        let mut mirror = started(&[]);
        mirror.marks = marks;
        let news = mirror.apply(added("2001:db8::9/64", false));
        assert_eq!(news.is_some(), marks);
        assert_eq!(is_in_doubt(&mirror), !marks);
    }
    let mut mirror = started(&["2001:db8::9/64"]);
    let gone = removed(address_of("2001:db8::9/64"));
    assert!(mirror.apply(gone).is_some() && !is_in_doubt(&mirror));
}

#[test]
fn ipv6_address_with_other_prefix_causes_doubt() {
    let mut mirror = started(&[]);
    // An address that another program had added was still in duplicate address detection, and prevented the
    // addition.
    mirror.applied(&Change::add(ETH, address_of("2001:db8::9/64")));
    assert!(mirror.apply(added("2001:db8::9/128", false)).is_none());
    assert!(is_in_doubt(&mirror));
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
fn late_event_about_own_ipv6_addition_causes_doubt() {
    let address = address_of("2001:db8::9/64");
    let mut mirror = started(&[]);
    mirror.applied(&Change::add(ETH, address));
    assert!(mirror.apply(added("2001:db8::9/64", true)).is_none());
    assert!(!is_in_doubt(&mirror), "the event confirms the mirror");
    mirror.applied(&Change::Delete {
        interface: ETH,
        address,
    });
    // The event about the addition arrives after the deletion.
    mirror.apply(added("2001:db8::9/64", true));
    assert!(is_in_doubt(&mirror));
    assert!(mirror.replace(dump_of(&[])).is_empty());
}

/// The kernel promotes a secondary address because the primary one is deleted. The daemon deletes the secondary
/// one, too, before it reads the event.
#[test]
fn event_that_may_precede_own_ipv4_deletion_causes_doubt() {
    let address = address_of("10.0.0.2/24");
    let mut mirror = started(&["10.0.0.2/24"]);
    mirror.no_news_waits();
    mirror.applied(&Change::Delete {
        interface: ETH,
        address,
    });
    assert!(mirror.apply(added("10.0.0.2/24", true)).is_none());
    assert!(is_in_doubt(&mirror));
    assert_eq!(order(&mirror), [""; 0]);
    // Another program added it after the deletion.
    let inputs = mirror.replace(dump_of(&["10.0.0.2/24"]));
    assert!(matches!(inputs[..], [Input::AddressAdded { .. }]));
    mirror.applied(&Change::Delete {
        interface: ETH,
        address,
    });
    mirror.no_news_waits();
    assert!(
        mirror.apply(added("10.0.0.2/24", false)).is_some(),
        "it is later"
    );
    assert!(!is_in_doubt(&mirror));
}

#[test]
fn event_of_unknown_link_causes_no_doubt() {
    let mut mirror = Mirror::new();
    mirror.apply(added("2001:db8::9/64", true));
    assert!(!is_in_doubt(&mirror));
}

#[test]
fn ipv6_has_no_secondary_addresses() {
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
    fn mirror_equals_latest_dump(
        before in prop::collection::btree_map(0_u8..8, any::<bool>(), 0..8),
        after in prop::collection::btree_map(0_u8..8, any::<bool>(), 0..8),
        missing in prop::option::of(prop::collection::btree_set(0_u8..8, 0..8)),
    ) {
        let dump = |addresses: &BTreeMap<u8, bool>| Dump {
            links: vec![link("eth0", true)],
            addresses: addresses.iter().map(|(last, ours)| {
                let address = address_of(&format!("10.0.0.{last}/24"));
                (ETH, Held { address, ours: *ours, secondary: false })
            }).collect(),
            marks: true,
            extent: Extent::All,
        };
        let mut mirror = Mirror::new();
        mirror.replace(dump(&before));
        // The engine's view, from the inputs so far.
        let mut known = before.clone();
        let mut inputs = Vec::new();
        if let Some(missing) = missing {
            let mut seen = after.clone();
            seen.retain(|last, _| !missing.contains(last));
            let extent = Extent::Interrupted;
            inputs.extend(mirror.replace(Dump { extent, ..dump(&seen) }));
            let is_removal = |input: &Input<'_>| matches!(input, Input::AddressRemoved { .. });
            prop_assert!(!inputs.iter().any(is_removal));
            let contradicts = before.keys().any(|last| !seen.contains_key(last));
            prop_assert_eq!(is_in_doubt(&mirror), contradicts);
            let extent = Extent::Interface(ETH);
            inputs.extend(mirror.replace(Dump { extent, ..dump(&after) }));
        } else {
            inputs.extend(mirror.replace(dump(&after)));
        }
        for input in inputs {
            if let Input::AddressAdded { address, ours, .. } = input {
                prop_assert_ne!(known.insert(last_byte(address), ours), Some(ours), "not a difference");
            } else if let Input::AddressRemoved { address, .. } = input {
                prop_assert!(known.remove(&last_byte(address)).is_some(), "not a difference");
            } else {
                prop_assert!(false, "{:?}", input);
            }
        }
        prop_assert_eq!(known, after.clone());
        let held: Vec<_> = mirror.addresses(ETH).into_iter().map(|held| (ETH, held)).collect();
        prop_assert_eq!(held, dump(&after).addresses);
        prop_assert!(mirror.replace(dump(&after)).is_empty());
    }
}

fn last_byte(address: InterfaceAddress) -> u8 {
    address.ipv4().unwrap().octets()[3]
}

fn is_in_doubt(mirror: &Mirror) -> bool {
    !mirror.in_doubt().is_empty()
}

fn started(addresses: &[&str]) -> Mirror {
    let mut mirror = Mirror::new();
    mirror.replace(dump_of(addresses));
    mirror
}

/// Returns a dump with eth0 and these addresses, none with the daemon's mark.
fn dump_of(addresses: &[&str]) -> Dump {
    Dump {
        links: vec![link("eth0", true)],
        addresses: addresses.iter().map(|text| held(text)).collect(),
        marks: true,
        extent: Extent::All,
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
        alternative_names: Arc::default(),
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

fn removed(address: InterfaceAddress) -> Event {
    Event::AddressRemoved(ETH, address, Loss::Deleted)
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
