//! Removes the addresses, interfaces, routes, rules and drop rules that a dead daemon left, so that no
//! address is on two hosts.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_proto::params::RouterParams;
use vrrp_proto::routing::Routed;
use vrrp_proto::{Family, InterfaceAddress};

use crate::change::{Change, Failure};
use crate::device;
use crate::execution::{PromotionFailure, carry_out};
use crate::host::{Kernel, OwnSources};
use crate::mirror::{Held, Mirror};
use crate::plan::strays;
use crate::routing;

/// Result of the cleanup of routes and rules.
#[derive(Debug, Default)]
pub struct CleanedRouting {
    /// Deleted routes and rules.
    pub removed: Vec<Routed>,
    /// Routes and rules that could not be deleted.
    pub failures: Vec<routing::change::Failure>,
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
    let removed = changes.iter().map(routing::change::Change::what);
    Ok(CleanedRouting {
        removed: removed.filter(|what| !stays(what)).collect(),
        failures,
    })
}

/// Deletes every address that bears the daemon's mark and every interface with a virtual MAC address that a
/// daemon created, and restores `accept_local`. On kernels without marks, and only there, asks for the
/// configured `routers` and deletes their virtual addresses on interfaces that also hold an address of the
/// host. Deletes the drop filter's table only if all of that succeeded.
///
/// # Errors
///
/// When the kernel cannot be read.
pub fn addresses<'a, K: Kernel, R: IntoIterator<Item = &'a RouterParams>>(
    routers: impl FnOnce() -> R,
    kernel: &mut K,
) -> io::Result<Cleaned<K::DropFilterError>> {
    let mut mirror = Mirror::new();
    mirror.replace(kernel.dump_first()?);

    // Another host may be master by now: a frame from a virtual MAC address would mislead the switches. A
    // rejected request matters only until the interface is deleted below.
    let idle = device::idle(&mirror, |_| false);
    if !idle.is_empty() {
        kernel.change_devices(&idle, &mut |_, _| {})?;
    }
    let mut changes = leftovers(routers, &mut mirror);
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
/// marks: there it is the deletion of the virtual addresses of `routers`.
fn leftovers<'a, R: IntoIterator<Item = &'a RouterParams>>(
    routers: impl FnOnce() -> R,
    mirror: &mut Mirror,
) -> Vec<Change> {
    let mut changes = Vec::new();
    strays(mirror, |_, _| false, &mut changes);
    if !mirror.marks() {
        changes.extend(unmarked(routers(), mirror));
    }
    changes
}

/// Returns the deletion of the virtual addresses of `routers`, without looking at marks. It spares what the
/// daemon spares: the addresses of an owner, and those on an interface without an address of the host in
/// the same family, because such addresses are most likely the host's own. On an interface that a daemon
/// created the host has no address of its own.
fn unmarked<'a>(
    routers: impl IntoIterator<Item = &'a RouterParams>,
    mirror: &Mirror,
) -> Vec<Change> {
    let places: BTreeSet<(&Arc<str>, IpAddr)> = routers
        .into_iter()
        .filter(|router| !router.priority.is_owner())
        .flat_map(RouterParams::places)
        .map(|(device, address)| (device, address.address))
        .collect();
    let mut changes = Vec::new();
    for &(device, address) in &places {
        let Some(link) = mirror.link_named(device) else {
            continue;
        };
        let family = Family::of(address);
        let is_own = |held: &Held| {
            held.address.family() == family && !places.contains(&(device, held.address.address))
        };
        if device::is_ours(link) || mirror.addresses(link.index).iter().any(is_own) {
            // The host answers for the address with any prefix length.
            let forms = mirror.forms(link.index, address);
            changes.extend(forms.map(|held| Change::Delete {
                interface: link.index,
                address: held.address,
            }));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vrrp_proto::params::{AddressOptions, VirtualMac};
    use vrrp_proto::{InterfaceIndex, Link, MacAddress, Priority, Vrid};

    use super::*;
    use crate::mirror::{Dump, Event, Extent};

    const ETH1: InterfaceIndex = InterfaceIndex(2);
    const ETH2: InterfaceIndex = InterfaceIndex(3);
    const VRID: Vrid = Vrid::new(51).unwrap();

    #[test]
    fn without_marks_last_address_of_interface_is_kept() {
        let routers = [router(&["192.168.224.100/24", "fd00::100/64"])];
        let mut mirror = mirror();
        hold(&mut mirror, ETH1, &["192.168.224.100/24"]);
        assert_eq!(
            deleted(&routers, &mirror),
            [""; 0],
            "the host's only address"
        );

        // An address of the other family is no reason to take the only one of a family away.
        hold(&mut mirror, ETH1, &["fe80::11/64", "fd00::100/64"]);
        assert_eq!(deleted(&routers, &mirror), ["2 fd00::100/64"]);

        hold(&mut mirror, ETH1, &["192.168.224.11/24"]);
        let both = ["2 192.168.224.100/24", "2 fd00::100/64"];
        assert_eq!(deleted(&routers, &mirror), both);
    }

    #[test]
    fn without_marks_address_is_deleted_where_its_device_is() {
        let mut elsewhere = router(&["192.168.224.100/24", "10.0.0.100/24"]);
        let options = AddressOptions {
            device: Some("eth2".into()),
            ..AddressOptions::default()
        };
        let address = "10.0.0.100".parse().unwrap();
        elsewhere.options = Arc::new(BTreeMap::from([(address, options)]));
        let routers = [elsewhere];
        let mut mirror = mirror();
        hold(
            &mut mirror,
            ETH1,
            &["192.168.224.11/24", "192.168.224.100/24"],
        );
        hold(&mut mirror, ETH2, &["10.0.0.11/24", "10.0.0.100/24"]);
        assert_eq!(
            deleted(&routers, &mirror),
            ["2 192.168.224.100/24", "3 10.0.0.100/24"]
        );

        // On another interface than the configured ones they are the host's own.
        hold(&mut mirror, ETH1, &["10.0.0.100/24"]);
        hold(&mut mirror, ETH2, &["192.168.224.100/24"]);
        assert_eq!(
            deleted(&routers, &mirror),
            ["2 192.168.224.100/24", "3 10.0.0.100/24"]
        );
    }

    #[test]
    fn without_marks_address_is_deleted_with_any_prefix_length() {
        let routers = [router(&["192.168.224.100/24"])];
        let mut mirror = mirror();
        hold(
            &mut mirror,
            ETH1,
            &["192.168.224.11/24", "192.168.224.100/32"],
        );
        assert_eq!(deleted(&routers, &mirror), ["2 192.168.224.100/32"]);
    }

    #[test]
    fn without_marks_addresses_of_owner_are_kept() {
        let mut owner = router(&["192.168.224.11/24"]);
        owner.priority = Priority::OWNER;
        let mut mirror = mirror();
        hold(
            &mut mirror,
            ETH1,
            &["192.168.224.11/24", "192.168.224.100/24"],
        );
        assert_eq!(deleted(&[owner.clone()], &mirror), [""; 0]);

        // They are addresses of the host, beside which those of another router are deleted.
        let routers = [owner, router(&["192.168.224.100/24"])];
        assert_eq!(deleted(&routers, &mirror), ["2 192.168.224.100/24"]);
    }

    #[test]
    fn without_marks_interface_of_virtual_mac_is_emptied() {
        let mut with_mac = router(&["192.168.224.100/24"]);
        with_mac.virtual_mac = Some(VirtualMac::new("eth1", VRID, true));
        let mut mirror = mirror();
        let mut link = link(InterfaceIndex(9), "vrrp4.51.eth1");
        link.mac = Some(MacAddress::of_virtual_router(Family::V4, VRID));
        mirror.apply(Event::Link(link));
        hold(&mut mirror, InterfaceIndex(9), &["192.168.224.100/24"]);
        // The host's own, on the interface below.
        hold(
            &mut mirror,
            ETH1,
            &["192.168.224.11/24", "192.168.224.100/24"],
        );
        assert_eq!(deleted(&[with_mac], &mirror), ["9 192.168.224.100/24"]);
    }

    fn router(addresses: &[&str]) -> RouterParams {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        RouterParams::new("eth1".into(), VRID, addresses.collect())
    }

    /// Mirror with two interfaces of a kernel without marks.
    fn mirror() -> Mirror {
        let mut mirror = Mirror::new();
        mirror.apply(Event::Link(link(ETH1, "eth1")));
        mirror.apply(Event::Link(link(ETH2, "eth2")));
        mirror
    }

    fn link(index: InterfaceIndex, name: &str) -> Link {
        Link {
            index,
            name: name.into(),
            up: true,
            carrier: true,
            mac: None,
            port_of: None,
            alternative_names: Arc::default(),
        }
    }

    fn hold(mirror: &mut Mirror, interface: InterfaceIndex, addresses: &[&str]) {
        let held = addresses.iter().map(|text| Held {
            address: text.parse().unwrap(),
            ours: false,
            secondary: false,
        });
        let addresses = mirror.all().chain(held.map(|held| (interface, held)));
        let dump = Dump {
            extent: Extent::All,
            links: mirror.links().cloned().collect(),
            addresses: addresses.collect(),
            marks: false,
        };
        mirror.replace(dump);
    }

    /// Interfaces and addresses that are deleted, sorted.
    fn deleted(routers: &[RouterParams], mirror: &Mirror) -> Vec<String> {
        let changes = unmarked(routers, mirror);
        let show = |change: &Change| format!("{} {}", change.interface().0, change.address());
        let mut shown: Vec<String> = changes.iter().map(show).collect();
        shown.sort();
        shown
    }
}
