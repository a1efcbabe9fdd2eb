//! Comparison of the configurations of several hosts: settings of a virtual router that have to agree, and
//! settings that have to differ.
//!
//! [`virtual_router`] finds the instances of the hosts that are one virtual router. [`settings`], [`peers`] and
//! [`groups`] compare them. If more than half of the hosts agree, the others are marked as odd.

mod agreement;
mod difference;
mod groups;
mod peers;
mod settings;
mod virtual_router;

use std::collections::BTreeMap;

use vrrp_proto::Vrid;

pub use difference::{Difference, Setting, Severity};
pub use virtual_router::Host;

use groups::Groups;
use virtual_router::{Instance, VirtualRouter, virtual_routers};

/// Compares the configurations of `hosts`, and returns the differences in the order of the virtual routers,
/// as the first host has them.
pub fn compare(hosts: &[Host<'_>]) -> Vec<Difference> {
    let routers = virtual_routers(hosts);
    let groups = Groups::new(hosts, &routers);
    let mut found = Vec::new();
    for (index, router) in routers.iter().enumerate() {
        settings::check(router, &mut found);
        peers::check(router, &mut found);
        let is_decided = |a, b| groups.decide(index, &routers, a, b);
        settings::ties(router, is_decided, &mut found);
        found.extend(absence(router, hosts));
    }
    found.extend(clashes(&routers));
    groups.check(&mut found);
    found
}

/// Returns a warning if only one host has `router`, and a note if several have it but not all.
fn absence(router: &VirtualRouter<'_>, hosts: &[Host<'_>]) -> Option<Difference> {
    if router.instances.len() == hosts.len() {
        return None;
    }
    let missing: Vec<String> = hosts
        .iter()
        .enumerate()
        .filter(|(number, _)| !router.instances.contains_key(number))
        .map(|(_, host)| host.file.to_owned())
        .collect();
    let missing = difference::shortened(&missing);
    let (severity, message) = match router.instances.len() {
        1 => (
            Severity::Warning,
            format!("no other host has this virtual router, and none takes over: {missing}"),
        ),
        _ => (
            Severity::Note,
            format!("hosts without this virtual router: {missing}"),
        ),
    };
    let settings = router.iter().map(|instance| {
        let value = instance.params.vrid.to_string();
        instance.setting("virtualRouterId", Some(value), None)
    });
    Some(Difference {
        severity,
        message,
        settings: settings.collect(),
    })
}

/// Reports different virtual routers with the same VRID on one network.
fn clashes(routers: &[VirtualRouter<'_>]) -> Vec<Difference> {
    let mut by_vrid: BTreeMap<Vrid, Vec<&VirtualRouter<'_>>> = BTreeMap::new();
    for router in routers {
        if let Some(instance) = router.iter().next() {
            by_vrid
                .entry(instance.params.vrid)
                .or_default()
                .push(router);
        }
    }
    let mut found = Vec::new();
    for (vrid, routers) in by_vrid {
        for (index, router) in routers.iter().enumerate() {
            let others = &routers[index + 1..];
            let clashing = others
                .iter()
                .filter(|other| router.shares_network_with(other));
            let clashing: Vec<&Instance<'_>> = clashing.flat_map(|other| other.iter()).collect();
            if !clashing.is_empty() {
                let settings = router.iter().chain(clashing).map(|instance| {
                    instance.setting("virtualRouterId", Some(vrid.to_string()), None)
                });
                found.push(Difference {
                    severity: Severity::Error,
                    message: "the same VRID on one network, for instances without a common address or name: \
                              choose another VRID for one of them, or write the same addresses on all hosts"
                        .to_owned(),
                    settings: settings.collect(),
                });
            }
        }
    }
    found
}
