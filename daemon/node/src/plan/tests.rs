use std::sync::Arc;

use proptest::prelude::*;
use vrrp_proto::params::AddressOptions;
use vrrp_proto::{AddressLabel, Link};

use super::*;
use crate::mirror::{Dump, Event, Extent, Held};

const ETH: InterfaceIndex = InterfaceIndex(2);
const OTHER: InterfaceIndex = InterfaceIndex(3);

#[test]
fn missing_addresses_are_added_in_requested_order() {
    let mut mirror = mirror([(ETH, held("10.0.0.1/24", false))]);
    let desired = desired(&["10.0.0.9/24", "10.0.0.8/24"], &[], false);
    assert_eq!(
        planned(&desired, &mut mirror),
        [add("10.0.0.9/24"), add("10.0.0.8/24")]
    );
}

#[test]
fn release_precedes_additions() {
    let mut mirror = mirror([(ETH, held("10.0.0.9/24", true))]);
    let desired = desired(&["10.0.0.8/24"], &["10.0.0.9/24"], false);
    assert_eq!(
        planned(&desired, &mut mirror),
        [delete("10.0.0.9/24"), add("10.0.0.8/24")]
    );
}

#[test]
fn release_covers_other_prefix_lengths() {
    let mut mirror = mirror([(ETH, held("10.0.0.9/32", false))]);
    let desired = desired(&[], &["10.0.0.9/24"], false);
    assert_eq!(planned(&desired, &mut mirror), [delete("10.0.0.9/32")]);
}

#[test]
fn a_new_prefix_length_replaces_the_old_one() {
    let mut mirror = mirror([(ETH, held("10.0.0.9/24", true))]);
    let desired = desired(&["10.0.0.9/32"], &["10.0.0.9/24"], false);
    assert_eq!(
        planned(&desired, &mut mirror),
        [delete("10.0.0.9/24"), add("10.0.0.9/32")]
    );
}

/// The kernel holds an IPv6 address only once, with any prefix length.
#[test]
fn ipv6_address_with_other_prefix_is_replaced() {
    for ours in [true, false] {
        let mut mirror = mirror([(ETH, held("2001:db8::9/64", ours))]);
        let desired = desired(&["2001:db8::9/128"], &[], false);
        assert_eq!(
            planned(&desired, &mut mirror),
            [delete("2001:db8::9/64"), add("2001:db8::9/128")]
        );
    }
    let mut mirror = mirror([(ETH, held("10.0.0.9/24", true))]);
    let desired = desired(&["10.0.0.9/32"], &[], false);
    assert_eq!(
        planned(&desired, &mut mirror),
        [add("10.0.0.9/32")],
        "an interface may hold an IPv4 address twice"
    );
}

#[test]
fn configured_address_form_is_requested() {
    let options = AddressOptions {
        form: AddressForm {
            scope: Some(253),
            ..AddressForm::default()
        },
        ..AddressOptions::default()
    };
    let mut desired = desired(&["10.0.0.9/24", "10.0.0.8/24"], &[], false);
    desired.options = Arc::new([(address_of("10.0.0.9/24").address, options.clone())].into());
    let special = Change::Add {
        interface: ETH,
        address: address_of("10.0.0.9/24"),
        form: options.form,
    };
    assert_eq!(
        planned(&desired, &mut mirror([])),
        [special, add("10.0.0.8/24")]
    );
}

#[test]
fn own_address_of_other_form_is_replaced() {
    let mut mirror = mirror([(ETH, held("10.0.0.8/24", false))]);
    let form = |label| AddressForm {
        label: AddressLabel::new(label),
        ..AddressForm::default()
    };
    let wish = |label| {
        let mut desired = desired(&["10.0.0.9/24", "10.0.0.8/24"], &[], false);
        let options = AddressOptions {
            form: form(label),
            ..AddressOptions::default()
        };
        let special = ["10.0.0.9/24", "10.0.0.8/24"].map(|text| address_of(text).address);
        desired.options = Arc::new(special.map(|address| (address, options.clone())).into());
        desired
    };
    let add = |label| Change::Add {
        interface: ETH,
        address: address_of("10.0.0.9/24"),
        form: form(label),
    };
    assert_eq!(
        planned(&wish("eth2:a"), &mut mirror),
        [add("eth2:a")],
        "an address without the daemon's mark keeps its form"
    );
    // The kernel reports the addition, and the next resynchronisation reads it.
    let there = Held {
        ours: true,
        secondary: true,
        ..held("10.0.0.9/24", true)
    };
    mirror.apply(Event::AddressAdded(ETH, there));
    mirror.replace(Dump {
        extent: Extent::All,
        links: mirror.links().cloned().collect(),
        addresses: mirror.all().collect(),
        marks: true,
    });
    assert_eq!(
        planned(&wish("eth2:a"), &mut mirror),
        [],
        "the form is right"
    );
    assert_eq!(
        planned(&wish("eth2:b"), &mut mirror),
        [delete("10.0.0.9/24"), add("eth2:b")]
    );
    assert_eq!(
        planned(&wish("eth2:b"), &mut mirror),
        [],
        "a second plan is empty"
    );
}

#[test]
fn address_owner_keeps_unmarked_addresses() {
    let mut mirror = mirror([
        (ETH, held("10.0.0.9/24", false)),
        (ETH, held("10.0.0.8/24", true)),
    ]);
    let desired = desired(&[], &["10.0.0.9/24", "10.0.0.8/24"], true);
    assert_eq!(planned(&desired, &mut mirror), [delete("10.0.0.8/24")]);
}

#[test]
fn later_request_reverses_planned_addition() {
    let mut mirror = mirror([]);
    let mut changes = Vec::new();
    plan(
        &desired(&["10.0.0.9/24"], &[], false),
        &mut mirror,
        &mut changes,
    );
    plan(
        &desired(&[], &["10.0.0.9/24"], false),
        &mut mirror,
        &mut changes,
    );
    assert_eq!(changes, [add("10.0.0.9/24"), delete("10.0.0.9/24")]);
}

#[test]
fn missing_interface_gives_empty_plan() {
    let mut mirror = Mirror::new();
    let desired = desired(&["10.0.0.9/24"], &["10.0.0.8/24"], false);
    assert_eq!(planned(&desired, &mut mirror), []);
}

#[test]
fn strays_are_unwanted_addresses_with_mark() {
    let mut mirror = mirror([
        (ETH, held("10.0.0.1/24", false)),
        (ETH, held("10.0.0.8/24", true)),
        (ETH, held("10.0.0.9/24", true)),
    ]);
    let mut changes = Vec::new();
    let wanted = |interface, address| (interface, address) == (ETH, address_of("10.0.0.8/24"));
    strays(&mut mirror, wanted, &mut changes);
    assert_eq!(changes, [delete("10.0.0.9/24")]);
    changes.clear();
    strays(&mut mirror, wanted, &mut changes);
    assert_eq!(changes, [], "the first call has planned them already");
}

proptest! {
    #[test]
    fn applied_plan_reaches_desired_addresses(
        observed in observed(),
        desired in any_desired(),
    ) {
        let mut mirror = mirror(observed.clone());
        let changes = planned(&desired, &mut mirror);

        // The mirror agrees with a kernel that has applied the changes.
        let kernel = carried_out(&observed, &changes);
        for (interface, held) in mirror.all() {
            prop_assert!(kernel.contains(&(interface, held.address)));
        }
        prop_assert_eq!(mirror.all().count(), kernel.len());

        for address in desired.hold.iter() {
            prop_assert!(kernel.contains(&(ETH, *address)), "{} is held", address);
        }
        for (_, before) in observed.iter().filter(|(interface, _)| *interface == ETH) {
            let is_there = kernel.contains(&(ETH, before.address));
            let released = desired.release.iter().any(|r| r.address == before.address.address)
                && !desired.hold.contains(&before.address);
            let spared = desired.spare_foreign && !before.ours;
            let replaced = before.address.family() == Family::V6
                && desired.hold.iter().any(|h| h.address == before.address.address)
                && !desired.hold.contains(&before.address);
            prop_assert_eq!(is_there, !replaced && (!released || spared), "{:?}", before);
        }
        for (_, before) in observed.iter().filter(|(interface, _)| *interface == OTHER) {
            prop_assert!(kernel.contains(&(OTHER, before.address)), "another interface");
        }
    }

    #[test]
    fn a_second_plan_is_empty(observed in observed(), desired in any_desired()) {
        let mut mirror = mirror(observed);
        planned(&desired, &mut mirror);
        prop_assert_eq!(planned(&desired, &mut mirror), []);
    }
}

/// Addresses from a small domain, so that collisions occur.
fn any_address() -> impl Strategy<Value = InterfaceAddress> {
    (0_u8..5, any::<bool>(), any::<bool>()).prop_map(|(last, ipv6, long)| {
        let (network, prefix) = match (ipv6, long) {
            (false, false) => ("10.0.0.", 24),
            (false, true) => ("10.0.0.", 32),
            (true, false) => ("2001:db8::", 64),
            (true, true) => ("2001:db8::", 128),
        };
        address_of(&format!("{network}{last}/{prefix}"))
    })
}

fn any_desired() -> impl Strategy<Value = Desired> {
    let addresses = || prop::collection::vec(any_address(), 0..6);
    (addresses(), addresses(), any::<bool>()).prop_map(|(hold, release, spare_foreign)| Desired {
        options: Arc::default(),
        interface: ETH,
        hold: without_collisions(hold, |a, b| a != b && collide(*a, *b)).into(),
        release: release.into(),
        accept: true,
        spare_foreign,
    })
}

fn observed() -> impl Strategy<Value = Vec<(InterfaceIndex, Held)>> {
    let place = (prop_oneof![Just(ETH), Just(OTHER)], any_address());
    prop::collection::vec((place, any::<bool>()), 0..10).prop_map(|held| {
        let held = held.into_iter().map(|((interface, address), ours)| {
            let held = Held {
                address,
                ours,
                secondary: false,
            };
            (interface, held)
        });
        without_collisions(held.collect(), |(on, a), (other, b)| {
            on == other && collide(a.address, b.address)
        })
    })
}

/// Removes items that collide with an earlier one.
fn without_collisions<T>(items: Vec<T>, collide: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut kept = Vec::<T>::new();
    for item in items {
        if !kept.iter().any(|known| collide(known, &item)) {
            kept.push(item);
        }
    }
    kept
}

#[test]
fn additions_precede_deletions_of_secondaries_and_primaries() {
    let mut mirror = mirror([]);
    let mut changes = planned(
        &desired(&["10.9.0.1/24", "10.9.0.2/24"], &[], false),
        &mut mirror,
    );
    arrange(&mut changes, &mirror);
    assert_eq!(changes, [add("10.9.0.1/24"), add("10.9.0.2/24")]);

    let mut changes = planned(
        &desired(&["10.8.0.1/24"], &["10.9.0.1/24"], false),
        &mut mirror,
    );
    plan(
        &desired(&[], &["10.9.0.2/24"], false),
        &mut mirror,
        &mut changes,
    );
    arrange(&mut changes, &mirror);
    assert_eq!(
        changes,
        [
            add("10.8.0.1/24"),
            delete("10.9.0.2/24"),
            delete("10.9.0.1/24"),
        ]
    );
}

#[test]
fn address_added_and_deleted_in_one_turn_is_not_touched() {
    let mut mirror = mirror([(ETH, held("10.9.0.1/24", true))]);
    let mut changes = planned(&desired(&["10.8.0.1/24"], &[], false), &mut mirror);
    plan(
        &desired(&[], &["10.8.0.1/24", "10.9.0.1/24"], false),
        &mut mirror,
        &mut changes,
    );
    arrange(&mut changes, &mirror);
    assert_eq!(changes, [delete("10.9.0.1/24")], "10.8.0.1 was never there");
}

#[test]
fn replaced_address_is_deleted_before_it_is_added_again() {
    let mut mirror = mirror([
        (ETH, held("10.9.0.1/24", true)),
        (ETH, held("10.9.0.2/24", true)),
        (ETH, held("2001:db8::9/64", true)),
    ]);
    let label = |label| {
        let mut labelled = desired(&["10.9.0.1/24"], &["10.9.0.2/24"], false);
        let form = AddressForm {
            label: AddressLabel::new(label),
            ..AddressForm::default()
        };
        let options = AddressOptions {
            form,
            ..AddressOptions::default()
        };
        let address = address_of("10.9.0.1/24");
        labelled.options = Arc::new([(address.address, options)].into());
        let interface = ETH;
        let add = Change::Add {
            interface,
            address,
            form,
        };
        (labelled, add)
    };
    let (labelled, again) = label("eth2:a");
    let mut changes = planned(&labelled, &mut mirror);
    plan(
        &desired(&["2001:db8::9/128", "10.9.0.3/24"], &[], false),
        &mut mirror,
        &mut changes,
    );
    arrange(&mut changes, &mirror);
    assert_eq!(
        changes,
        [
            add("10.9.0.3/24"),
            delete("10.9.0.2/24"),
            delete("10.9.0.1/24"),
            delete("2001:db8::9/64"),
            again,
            add("2001:db8::9/128"),
        ]
    );
}

#[test]
fn address_of_another_scope_waits_for_the_deletion() {
    let mut mirror = mirror([(ETH, held("10.9.0.1/24", true))]);
    let scoped = |text: &str| {
        let options = AddressOptions {
            form: AddressForm {
                scope: Some(253),
                ..AddressForm::default()
            },
            ..AddressOptions::default()
        };
        let mut scoped = desired(&[text], &[], false);
        scoped.options = Arc::new([(address_of(text).address, options)].into());
        scoped
    };
    let mut changes = planned(&scoped("10.9.0.2/24"), &mut mirror);
    for desired in [
        scoped("10.8.0.2/24"),
        desired(&["10.9.0.3/16"], &["10.9.0.1/24"], false),
    ] {
        plan(&desired, &mut mirror, &mut changes);
    }
    arrange(&mut changes, &mirror);
    let order: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        order,
        [
            "add 10.8.0.2/24 to interface 2",
            "add 10.9.0.3/16 to interface 2",
            "delete 10.9.0.1/24 from interface 2",
            "add 10.9.0.2/24 to interface 2",
        ]
    );
}

/// Whether an interface cannot hold both addresses: it holds an IPv6 address only once, with any prefix
/// length.
fn collide(a: InterfaceAddress, b: InterfaceAddress) -> bool {
    a == b || a.family() == Family::V6 && a.address == b.address
}

/// Returns the addresses of a kernel that held `observed` and then applied `changes`. Panics on a change
/// without effect.
fn carried_out(
    observed: &[(InterfaceIndex, Held)],
    changes: &[Change],
) -> Vec<(InterfaceIndex, InterfaceAddress)> {
    let mut kernel: Vec<_> = observed
        .iter()
        .map(|(i, held)| (*i, held.address))
        .collect();
    for change in changes {
        match *change {
            Change::Add {
                interface, address, ..
            } => {
                let is_there = |there: &(InterfaceIndex, InterfaceAddress)| {
                    there.0 == interface && collide(there.1, address)
                };
                assert!(!kernel.iter().any(is_there), "{change}");
                kernel.push((interface, address));
            }
            Change::Delete { interface, address } => {
                let before = kernel.len();
                kernel.retain(|there| *there != (interface, address));
                assert_eq!(kernel.len() + 1, before, "{change}");
            }
        }
    }
    kernel
}

fn mirror(addresses: impl IntoIterator<Item = (InterfaceIndex, Held)>) -> Mirror {
    let link = |index: InterfaceIndex| Link {
        index,
        name: format!("eth{}", index.0).into(),
        up: true,
        carrier: true,
        mac: None,
        port_of: None,
        alternative_names: Arc::default(),
    };
    let mut mirror = Mirror::new();
    mirror.replace(Dump {
        extent: Extent::All,
        links: [ETH, OTHER].map(link).into(),
        addresses: addresses.into_iter().collect(),
        marks: true,
    });
    mirror
}

fn planned(desired: &Desired, mirror: &mut Mirror) -> Vec<Change> {
    let mut changes = Vec::new();
    plan(desired, mirror, &mut changes);
    changes
}

fn desired(hold: &[&str], release: &[&str], spare_foreign: bool) -> Desired {
    let addresses = |texts: &[&str]| texts.iter().map(|text| address_of(text)).collect();
    Desired {
        options: Arc::default(),
        interface: ETH,
        hold: addresses(hold),
        release: addresses(release),
        accept: true,
        spare_foreign,
    }
}

fn held(text: &str, ours: bool) -> Held {
    Held {
        address: address_of(text),
        ours,
        secondary: false,
    }
}

fn address_of(text: &str) -> InterfaceAddress {
    text.parse().unwrap()
}

fn add(text: &str) -> Change {
    Change::add(ETH, address_of(text))
}

fn delete(text: &str) -> Change {
    Change::Delete {
        interface: ETH,
        address: address_of(text),
    }
}
