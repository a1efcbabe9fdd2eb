use std::sync::Arc;

use proptest::prelude::*;
use vrrp_proto::params::AddressOptions;
use vrrp_proto::{AddressLabel, Link};

use super::*;
use crate::mirror::{Dump, Event, Held};

const ETH: InterfaceIndex = InterfaceIndex(2);
const OTHER: InterfaceIndex = InterfaceIndex(3);

#[test]
fn what_is_missing_is_added_in_the_order_of_the_wish() {
    let mut mirror = mirror([(ETH, held("10.0.0.1/24", false))]);
    let desired = desired(&["10.0.0.9/24", "10.0.0.8/24"], &[], false);
    assert_eq!(
        planned(&desired, &mut mirror),
        [add("10.0.0.9/24"), add("10.0.0.8/24")]
    );
}

#[test]
fn what_is_released_goes_before_anything_is_added() {
    let mut mirror = mirror([(ETH, held("10.0.0.9/24", true))]);
    let desired = desired(&["10.0.0.8/24"], &["10.0.0.9/24"], false);
    assert_eq!(
        planned(&desired, &mut mirror),
        [delete("10.0.0.9/24"), add("10.0.0.8/24")]
    );
}

#[test]
fn another_prefix_length_is_released_too() {
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

/// The kernel holds an IPv6 address once.
#[test]
fn an_ipv6_address_of_another_prefix_makes_room_whoever_added_it() {
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
        "an IPv4 address may be there twice"
    );
}

#[test]
fn what_is_special_about_an_address_is_asked_for() {
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
fn an_address_of_ours_that_is_to_be_of_another_form_is_replaced() {
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
        "what somebody else added is left as it is"
    );
    // The kernel tells of it, and everything is looked at again.
    let there = Held {
        ours: true,
        secondary: true,
        ..held("10.0.0.9/24", true)
    };
    mirror.apply(Event::AddressAdded(ETH, there));
    mirror.replace(Dump {
        links: mirror.links().cloned().collect(),
        addresses: mirror.all().collect(),
        marks: true,
    });
    assert_eq!(planned(&wish("eth2:a"), &mut mirror), [], "it is so");
    assert_eq!(
        planned(&wish("eth2:b"), &mut mirror),
        [delete("10.0.0.9/24"), add("eth2:b")]
    );
    assert_eq!(planned(&wish("eth2:b"), &mut mirror), [], "and again");
}

#[test]
fn the_owners_own_addresses_are_spared() {
    let mut mirror = mirror([
        (ETH, held("10.0.0.9/24", false)),
        (ETH, held("10.0.0.8/24", true)),
    ]);
    let desired = desired(&[], &["10.0.0.9/24", "10.0.0.8/24"], true);
    assert_eq!(planned(&desired, &mut mirror), [delete("10.0.0.8/24")]);
}

#[test]
fn the_last_of_two_wishes_counts_even_before_the_first_is_carried_out() {
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
fn an_interface_that_does_not_exist_gets_nothing() {
    let mut mirror = Mirror::new();
    let desired = desired(&["10.0.0.9/24"], &["10.0.0.8/24"], false);
    assert_eq!(planned(&desired, &mut mirror), []);
}

#[test]
fn strays_are_what_bears_our_mark_and_nobody_wants() {
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
    assert_eq!(changes, [], "they are gone already");
}

proptest! {
    #[test]
    fn carrying_out_a_plan_gives_what_is_desired(
        observed in observed(),
        desired in any_desired(),
    ) {
        let mut mirror = mirror(observed.clone());
        let changes = planned(&desired, &mut mirror);

        // The mirror agrees with a kernel that was told the changes.
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

/// Addresses of a small domain, so that collisions occur.
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

/// The items but for those that collide with an earlier one.
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
fn secondaries_leave_before_their_primary_and_both_before_anything_comes() {
    let mut mirror = mirror([]);
    let mut changes = planned(
        &desired(&["10.9.0.1/24", "10.9.0.2/24"], &[], false),
        &mut mirror,
    );
    arrange(&mut changes, &mut mirror);
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
    arrange(&mut changes, &mut mirror);
    assert_eq!(
        changes,
        [
            delete("10.9.0.2/24"),
            delete("10.9.0.1/24"),
            add("10.8.0.1/24")
        ]
    );
}

#[test]
fn what_comes_and_goes_in_one_batch_keeps_its_order() {
    let mut mirror = mirror([(ETH, held("10.9.0.1/24", true))]);
    let mut changes = planned(&desired(&["10.8.0.1/24"], &[], false), &mut mirror);
    plan(
        &desired(&[], &["10.8.0.1/24", "10.9.0.1/24"], false),
        &mut mirror,
        &mut changes,
    );
    arrange(&mut changes, &mut mirror);
    assert_eq!(
        changes,
        [
            delete("10.9.0.1/24"),
            add("10.8.0.1/24"),
            delete("10.8.0.1/24")
        ]
    );
}

/// Whether an interface cannot hold both: it holds an IPv6 address once, whatever its prefix.
fn collide(a: InterfaceAddress, b: InterfaceAddress) -> bool {
    a == b || a.family() == Family::V6 && a.address == b.address
}

/// What a kernel that held `observed` holds after `changes`, none of which may be in vain.
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
    };
    let mut mirror = Mirror::new();
    mirror.replace(Dump {
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
