//! Removes the addresses, interfaces, routes, rules and drop rules that a dead daemon left, so that no
//! address is on two hosts.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use vrrp_proto::InterfaceAddress;
use vrrp_proto::routing::Routed;

use crate::device;
use crate::execution::{PromotionFailure, carry_out};
use crate::host::{Kernel, OwnSources};
use crate::mirror::{Held, Mirror};
use crate::plan::{Change, Failure, strays};
use crate::routing;

/// Result of the cleanup of routes and rules.
#[derive(Debug, Default)]
pub struct CleanedRouting {
    /// Deleted routes and rules.
    pub removed: Vec<Routed>,
    /// Routes and rules that could not be deleted.
    pub failures: Vec<routing::plan::Failure>,
}

/// Result of the cleanup of addresses, interfaces and the drop filter's table.
#[derive(Debug)]
pub struct Cleaned<E> {
    /// Deleted addresses with the names of their interfaces.
    pub removed: Vec<(Arc<str>, InterfaceAddress)>,
    /// Addresses that could not be deleted.
    pub failures: Vec<Failure>,
    /// Rejected changes of `promote_secondaries`.
    pub promotion_failures: Vec<PromotionFailure>,
    /// Deleted interfaces with virtual MAC addresses.
    pub devices: Vec<Arc<str>>,
    /// Interfaces that could not be deleted, with the reason.
    pub stubborn: Vec<(Arc<str>, io::Error)>,
    /// Whether the drop filter's table existed and was deleted; or the reason why it could not be deleted.
    pub table: Result<bool, E>,
    /// Names of the interfaces on which `accept_local` is restored; or the reason why that failed.
    pub own_sources: io::Result<Vec<Arc<str>>>,
}

/// Deletes every route and every rule that bears the daemon's mark. To be called before [`addresses`], in
/// the order in which a master releases both.
///
/// # Errors
///
/// When the kernel cannot be read.
pub fn routing<K: Kernel>(kernel: &mut K) -> io::Result<CleanedRouting> {
    kernel.open_routing()?;
    let dump = kernel.dump_routing();
    let mut mirror = routing::mirror::Mirror::new();
    let mut failures = Vec::new();
    let mut changes = Vec::new();
    let outcome = dump.map(|dump| {
        mirror.replace(dump, &[]);
        routing::plan::strays(&mut mirror, |_| false, &mut changes);
        kernel.change_routing(changes.iter(), &mut mirror, &mut failures);
    });
    kernel.close_routing();
    outcome?;
    // A deletion that the kernel rejected is in the mirror again.
    let stays = |what: &Routed| match what {
        Routed::Route(place) => !mirror.routes(*place).is_empty(),
        Routed::Rule(rule) => mirror.has_rule(rule),
    };
    let removed = changes.iter().map(routing::plan::Change::what);
    Ok(CleanedRouting {
        removed: removed.filter(|what| !stays(what)).collect(),
        failures,
    })
}

/// Deletes every address that bears the daemon's mark and every interface with a virtual MAC address that a
/// daemon created, and restores `accept_local`. On kernels without marks, deletes the `configured` addresses
/// on interfaces that also hold another address. Deletes the drop filter's table only if all
/// addresses and interfaces could be deleted.
///
/// # Errors
///
/// When the kernel cannot be read.
pub fn addresses<'a, K: Kernel>(
    configured: impl IntoIterator<Item = (&'a str, InterfaceAddress)>,
    kernel: &mut K,
) -> io::Result<Cleaned<K::DropFilterError>> {
    let mut mirror = Mirror::new();
    mirror.replace(kernel.dump()?);

    // Another host may be master by now: a frame from a virtual MAC address would mislead the switches. A
    // rejected request matters only until the interface is deleted below.
    let idle = device::idle(&mirror, |_| false);
    if !idle.is_empty() {
        kernel.change_devices(&idle, &mut |_, _| {})?;
    }
    let mut changes = leftovers(configured, &mut mirror);
    let mut failures = Vec::new();
    let promotion_failures = carry_out(&mut changes, &mut mirror, &mut failures, kernel);
    let refused = |change: &Change| failures.iter().any(|failure| failure.change == *change);
    let removed = changes
        .iter()
        .filter(|change| !refused(change))
        .map(|change| (mirror.name(change.interface()), change.address()));
    let removed = removed.collect();

    let gone = device::strays(&mirror, |_| false);
    let mut stubborn: Vec<(Arc<str>, io::Error)> = Vec::new();
    if !gone.is_empty() {
        kernel.change_devices(&gone, &mut |change, error| {
            stubborn.push((Arc::clone(change.name()), error));
        })?;
    }
    let is_gone = |name: &Arc<str>| stubborn.iter().all(|(other, _)| other != name);
    let names = gone.iter().map(|change| Arc::clone(change.name()));
    let devices = names.filter(is_gone).collect();

    let is_all_gone = failures.is_empty() && stubborn.is_empty();
    let table = match is_all_gone {
        true => kernel.delete_drop_rules(),
        false => Ok(false),
    };
    let own_sources = kernel.accept_own_sources(&BTreeSet::new());
    let names = |done: OwnSources| {
        let restored = done.restored.into_iter();
        restored.map(|interface| mirror.name(interface)).collect()
    };
    Ok(Cleaned {
        removed,
        failures,
        promotion_failures,
        devices,
        stubborn,
        table,
        own_sources: own_sources.map(names),
    })
}

/// Returns the deletion of the addresses that bear the daemon's mark. A kernel older than 5.18 stores no
/// marks: there it is each of `configured` (interface name and address) on an interface that holds another
/// address as well, because the only addresses of an interface are most likely the host's own.
fn leftovers<'a>(
    configured: impl IntoIterator<Item = (&'a str, InterfaceAddress)>,
    mirror: &mut Mirror,
) -> Vec<Change> {
    let mut changes = Vec::new();
    strays(mirror, |_, _| false, &mut changes);
    if !mirror.marks() {
        let configured: Vec<_> = configured.into_iter().collect();
        changes.extend(present(&configured, mirror));
    }
    changes
}

/// Returns the deletion of the `configured` addresses on interfaces that also hold an address outside
/// `configured`.
fn present<'a>(
    configured: &'a [(&'a str, InterfaceAddress)],
    mirror: &'a Mirror,
) -> impl Iterator<Item = Change> + 'a {
    let is_configured = |held: &Held| configured.iter().any(|(_, each)| *each == held.address);
    configured.iter().filter_map(move |&(name, address)| {
        let interface = mirror.link_named(name)?.index;
        mirror.held(interface, address)?;
        let others = mirror
            .addresses(interface)
            .iter()
            .any(|held| !is_configured(held));
        others.then_some(Change::Delete { interface, address })
    })
}

#[cfg(test)]
mod tests {
    use vrrp_proto::{InterfaceIndex, Link};

    use super::*;
    use crate::mirror::Event;

    #[test]
    fn without_marks_last_address_of_interface_is_kept() {
        let eth1 = InterfaceIndex(2);
        let address = |text: &str| text.parse::<InterfaceAddress>().unwrap();
        let held = |text| Held {
            address: address(text),
            ours: false,
            secondary: false,
        };
        let mut mirror = Mirror::new();
        mirror.apply(Event::Link(Link {
            index: eth1,
            name: "eth1".into(),
            up: true,
            carrier: true,
            mac: None,
            port_of: None,
            alternative_names: Arc::default(),
        }));
        mirror.apply(Event::AddressAdded(eth1, held("192.168.224.100/24")));
        let configured = [
            ("eth1", address("192.168.224.100/24")),
            ("eth2", address("10.0.0.1/8")),
        ];
        assert_eq!(
            present(&configured, &mirror).count(),
            0,
            "the host's only address"
        );
        mirror.apply(Event::AddressAdded(eth1, held("192.168.224.11/24")));
        let changes: Vec<_> = present(&configured, &mirror).collect();
        let delete = Change::Delete {
            interface: eth1,
            address: address("192.168.224.100/24"),
        };
        assert_eq!(changes, [delete]);
    }
}
