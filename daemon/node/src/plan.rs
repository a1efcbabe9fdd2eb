//! From what is wanted to what is to be done. Pure.
//!
//! The engine says what one router should hold; [`plan`] compares it with the [`Mirror`] and gives
//! the changes that are missing. Start, restart, reload, a lost message and an administrator who
//! deletes an address by hand are all this one path, and doing it twice does nothing.
//!
//! Deletions come first: without `promote_secondaries` (ip-sysctl) the kernel deletes the
//! secondaries of a network along with its primary, and would take what was just added.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use vrrp_proto::params::AddressForm;
use vrrp_proto::{Announcement, Desired, Family, InterfaceAddress, InterfaceIndex};

use crate::mirror::Mirror;

/// One change of the kernel's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The interface gets the address.
    Add {
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
        /// How the interface is to hold it.
        form: AddressForm,
    },
    /// The interface loses the address.
    Delete {
        /// The interface.
        interface: InterfaceIndex,
        /// The address.
        address: InterfaceAddress,
    },
}

impl Change {
    /// The addition of an address that is held as any other.
    pub fn add(interface: InterfaceIndex, address: InterfaceAddress) -> Self {
        Self::Add {
            interface,
            address,
            form: AddressForm::default(),
        }
    }

    /// The interface that it changes.
    pub const fn interface(&self) -> InterfaceIndex {
        match self {
            Self::Add { interface, .. } | Self::Delete { interface, .. } => *interface,
        }
    }

    /// The address that is to come or go.
    pub const fn address(&self) -> InterfaceAddress {
        match self {
            Self::Add { address, .. } | Self::Delete { address, .. } => *address,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add {
                interface, address, ..
            } => {
                write!(f, "add {address} to interface {}", interface.0)
            }
            Self::Delete { interface, address } => {
                write!(f, "delete {address} from interface {}", interface.0)
            }
        }
    }
}

/// A change that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {change}: {error}")]
pub struct Failure {
    /// The change.
    pub change: Change,
    /// Why: EPERM, ENODEV, ENOBUFS, and so on.
    #[source]
    pub error: io::Error,
}

/// Appends to `changes` what makes the kernel hold what is `desired`.
///
/// `mirror` shows the result at once, so that the next plan builds upon this one, also when it
/// takes back what this one wants. [`Kernel::change_addresses`](crate::host::Kernel::change_addresses), which is
/// meant to follow soon, corrects the mirror where the kernel refuses.
///
/// An address is released with whatever prefix length it is there, because it answers to the
/// neighbours with any. On an interface that does not exist there is nothing to do.
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
        if mirror.is_of_another_form(interface, address, &form) {
            // The kernel changes little of an address that it has.
            push_new(changes, first, Change::Delete { interface, address });
            push_new(changes, first, add);
            continue;
        }
        if mirror.held(interface, address).is_some() {
            continue;
        }
        if address.family() == Family::V6 {
            // An interface holds an IPv6 address once, whatever its prefix (ipv6_add_addr of the
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

/// Appends to `changes` the removal of all addresses that bear our mark and are not `wanted`:
/// what an earlier daemon left. As with [`plan`], `mirror` shows the result at once.
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

/// Puts `changes` into the order in which they are to be carried out: secondary addresses leave
/// before primary ones, and both before anything is added.
///
/// Whoever deletes the primary address of a network first makes the kernel promote a secondary
/// (with `promote_secondaries`), tell everybody, and lose it a moment later: what was told is news of
/// an address that is there no more. An address that is added and deleted again keeps its order.
pub fn arrange(changes: &mut [Change], mirror: &mut Mirror) {
    let deletes = |change: &Change| matches!(change, Change::Delete { .. });
    if changes.len() > 1 && changes.iter().any(deletes) {
        let mut added = BTreeSet::new();
        let mut ranked: Vec<(u8, Change)> = Vec::with_capacity(changes.len());
        for &change in &*changes {
            let rank = match change {
                Change::Add {
                    interface, address, ..
                } => {
                    added.insert((interface, address));
                    2
                }
                Change::Delete { interface, address } if added.contains(&(interface, address)) => 2,
                Change::Delete { interface, address } => {
                    u8::from(!mirror.was_secondary(interface, address))
                }
            };
            ranked.push((rank, change));
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        for (place, (_, change)) in changes.iter_mut().zip(ranked) {
            *place = change;
        }
    }
    mirror.forget_departed();
}

/// What has to be announced of `changes` beyond `announced`: an address that was asked for in vain
/// when its router became master is there only now. It leaves once and at once; its router's next
/// announcement is as the settings say.
///
/// The cost grows with the product of both, so this is for a second look and not for a take-over.
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

/// Appends `change` unless it is among the changes from `first` on: the lists of one router, which
/// are short, may name an address twice.
fn push_new(changes: &mut Vec<Change>, first: usize, change: Change) {
    if !changes[first..].contains(&change) {
        changes.push(change);
    }
}

#[cfg(test)]
mod tests;
