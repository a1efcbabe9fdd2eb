//! Planning of addresses: from the desired state to changes of the kernel. Pure.
//!
//! The engine says which addresses one router should hold. [`plan`] compares that with the [`Mirror`] and
//! returns the missing changes. Start, restart, reload, a lost netlink message and an administrator who
//! deletes an address by hand all take this one path. A second plan for the same desired state is empty.
//!
//! [`arrange`] sorts the changes of a turn, and [`carry_out`](crate::execution::carry_out) passes them to the
//! kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vrrp_proto::params::AddressForm;
use vrrp_proto::{Announcement, Desired, Family, InterfaceAddress, InterfaceIndex};

use crate::change::Change;
use crate::mirror::{BeforeOwn, Mirror};

/// Appends to `changes` the changes after which the kernel holds the `desired` addresses.
///
/// `mirror` shows the result at once, so that the next plan builds on this one, even when it reverses this
/// one. [`carry_out`](crate::execution::carry_out) has to follow.
///
/// An address is released with every prefix length with which the interface holds it, because the host
/// answers ARP and neighbour discovery for each of them. For an interface that does not exist the plan is
/// empty.
pub fn plan(desired: &Desired, mirror: &mut Mirror, changes: &mut Vec<Change>) {
    let interface = desired.interface;
    if mirror.link(interface).is_none() {
        return;
    }
    let first = changes.len();
    for released in desired.release.iter() {
        for held in mirror.forms(interface, released.address) {
            let spared = desired.spare_foreign && !held.ours;
            if !spared && !desired.hold.contains(&held.address) {
                push_new(
                    changes,
                    first,
                    Change::Delete {
                        interface,
                        address: held.address,
                    },
                );
            }
        }
        for address in mirror.forms_maybe_held(interface, released.address) {
            if !desired.hold.contains(&address) {
                push_new(changes, first, Change::Delete { interface, address });
            }
        }
    }
    for &address in desired.hold.iter() {
        let form = desired
            .options
            .get(&address.address)
            .map_or_else(AddressForm::default, |options| options.form);
        let add = Change::Add {
            interface,
            address,
            form,
        };
        if mirror.is_of_another_form(interface, address, &form)
            || mirror.may_be_held(interface, address)
        {
            // The kernel changes few attributes of an existing address, so the address is deleted and added
            // again. An address that may be held may also precede the host's own.
            push_new(changes, first, Change::Delete { interface, address });
            push_new(changes, first, add);
            continue;
        }
        if mirror.held(interface, address).is_some() {
            continue;
        }
        if address.family() == Family::V6 {
            // An interface holds an IPv6 address only once, with any prefix length (ipv6_add_addr in the
            // kernel).
            for held in mirror.forms(interface, address.address) {
                let address = held.address;
                push_new(changes, first, Change::Delete { interface, address });
            }
        }
        push_new(changes, first, add);
    }
    for change in &changes[first..] {
        mirror.applied(change);
    }
}

/// Appends to `changes` the deletion and addition of each `wanted` address that is before the host's own one
/// in its network (see [`Mirror::take_before_own`]). Returns those addresses.
pub(crate) fn put_behind_own(
    mirror: &mut Mirror,
    wanted: impl Fn(InterfaceIndex, InterfaceAddress) -> bool,
    changes: &mut Vec<Change>,
) -> Vec<BeforeOwn> {
    let mut all = mirror.take_before_own();
    all.retain(|each| wanted(each.interface, each.address));
    let first = changes.len();
    changes.extend(all.iter().flat_map(|each| {
        let &BeforeOwn {
            interface,
            address,
            form,
            ..
        } = each;
        let again = Change::Add {
            interface,
            address,
            form,
        };
        [Change::Delete { interface, address }, again]
    }));
    for change in &changes[first..] {
        mirror.applied(change);
    }
    all
}

/// Appends to `changes` the deletion of all addresses that bear the daemon's mark and are not `wanted`: an
/// earlier daemon left them. As with [`plan`], `mirror` shows the result at once.
pub fn strays(
    mirror: &mut Mirror,
    wanted: impl Fn(InterfaceIndex, InterfaceAddress) -> bool,
    changes: &mut Vec<Change>,
) {
    let first = changes.len();
    changes.extend(
        mirror
            .all()
            .filter(|(interface, held)| held.ours && !wanted(*interface, held.address))
            .map(|(interface, held)| Change::Delete {
                interface,
                address: held.address,
            }),
    );
    for change in &changes[first..] {
        mirror.applied(change);
    }
}

/// Sorts `changes` into the order of execution: additions first, then deletions of secondary addresses,
/// then those of primary ones.
///
/// When an interface loses its last IPv4 address, the kernel deletes all IPv4 routes and neighbour entries
/// of that interface without a notification (fib_disable_ip).
///
/// If the primary address of a network were deleted before a secondary one that has to go as well, the
/// kernel would promote that, send an event about it, and then delete it a moment later: the event would
/// announce an address that no longer exists. An address that is deleted and added again, in another form
/// or with another prefix length, keeps that order. So does an address that the kernel accepts only after one
/// of another scope is gone. An address that is added and deleted again in the same turn is not touched: a
/// router that gives up a preemption never had it.
pub fn arrange(changes: &mut Vec<Change>, mirror: &Mirror) {
    let deletes = |change: &Change| matches!(change, Change::Delete { .. });
    if changes.len() < 2 || !changes.iter().any(deletes) {
        return;
    }
    omit_reversed(changes);
    // An interface holds an IPv6 address only once, with any prefix length.
    let key = |change: &Change| {
        let InterfaceAddress { address, prefix } = change.address();
        let prefix = if address.is_ipv4() { prefix } else { 0 };
        (change.interface(), address, prefix)
    };
    let (mut deleted, mut added_again) = (BTreeSet::new(), BTreeSet::new());
    let mut ranked: Vec<(u8, Change)> = Vec::with_capacity(changes.len());
    for change in &*changes {
        let key = key(change);
        let rank = match *change {
            Change::Add {
                interface,
                address,
                ref form,
            } if !deleted.contains(&key) && !mirror.is_kept_out(interface, address, form) => 0,
            Change::Add { .. } => {
                added_again.insert(key);
                3
            }
            Change::Delete { .. } if added_again.contains(&key) => 3,
            Change::Delete { interface, address } => {
                deleted.insert(key);
                2 - u8::from(mirror.was_secondary(interface, address))
            }
        };
        ranked.push((rank, *change));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    for (place, (_, change)) in changes.iter_mut().zip(ranked) {
        *place = change;
    }
}

/// Removes each addition that a later deletion reverses, with that deletion. An address that was deleted before
/// is needed in its new form.
fn omit_reversed(changes: &mut Vec<Change>) {
    let mut added: BTreeMap<_, usize> = BTreeMap::new();
    let mut reversed = BTreeSet::new();
    let mut deleted = BTreeSet::new();
    for (place, change) in changes.iter().enumerate() {
        let key = (change.interface(), change.address());
        match change {
            Change::Add { .. } if !deleted.contains(&key) => drop(added.insert(key, place)),
            Change::Add { .. } => {}
            Change::Delete { .. } => match added.remove(&key) {
                Some(addition) => reversed.extend([addition, place]),
                None => drop(deleted.insert(key)),
            },
        }
    }
    let mut place = 0;
    changes.retain(|_| {
        place += 1;
        !reversed.contains(&(place - 1))
    });
}

/// Returns the announcements that `changes` need beyond `announced`: the kernel rejected an address when
/// its router became master and has accepted it only now. Each such address is announced once, without a
/// pace; later announcements of its router follow the configuration.
///
/// The cost grows with the product of both lists, so this is for a resynchronisation and not for a
/// take-over.
pub fn unannounced(
    changes: &[Change],
    mirror: &Mirror,
    announced: &[Announcement],
) -> Vec<Announcement> {
    let is_announced = |interface, address| {
        announced
            .iter()
            .any(|known| known.interface == interface && known.addresses.contains(&address))
    };
    changes
        .iter()
        .filter_map(|change| match *change {
            Change::Add {
                interface, address, ..
            } if !is_announced(interface, address) => {
                let mac = mirror.link(interface)?.mac?;
                Some(Announcement {
                    interface,
                    mac,
                    addresses: Arc::from([address]),
                    burst: 1,
                    pace: 0,
                })
            }
            Change::Add { .. } | Change::Delete { .. } => None,
        })
        .collect()
}

/// Appends `change` unless it is among the changes from `first` on. The lists of one router may name an
/// address twice; they are short, so a linear search suffices.
fn push_new(changes: &mut Vec<Change>, first: usize, change: Change) {
    if !changes[first..].contains(&change) {
        changes.push(change);
    }
}

#[cfg(test)]
mod tests;
