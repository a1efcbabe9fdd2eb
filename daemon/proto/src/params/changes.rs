//! Differences between two configurations of a node, in words, with the transitions that a reload may
//! cause.

use core::fmt::Display;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{NodeParams, RouterParams};
use crate::types::InterfaceAddress;

/// Returns the changes of a reload from `before` to `after`, a line for each.
pub fn changes(before: &NodeParams, after: &NodeParams) -> Vec<String> {
    let mut lines = Vec::new();
    let renames = before.renames(after);
    let mut known: BTreeMap<Arc<str>, &RouterParams> = before
        .routers
        .iter()
        .map(|(name, router)| (Arc::clone(name), router))
        .collect();
    renames.apply(&mut known);
    for name in names(&before.routers, &after.routers) {
        if before.routers.contains_key(name) {
            match renames.follow(name) {
                Some(new) if new != name => {
                    lines.push(format!("{name}: renamed to {new}: keeps its state"));
                }
                None => lines.push(removed(name)),
                Some(_) => {}
            }
        }
        match (known.get(name).copied(), after.routers.get(name)) {
            (Some(_), None) => lines.push(removed(name)),
            (None, Some(_)) => lines.push(format!("{name}: added: listens first")),
            (Some(before), Some(after)) if !before.is_same_router(after) => lines.push(format!(
                "{name}: {}: another virtual router: a master resigns, then the new one listens first",
                identity(before, after)
            )),
            (Some(before), Some(after)) => {
                let changes = of_router(before, after).into_iter();
                lines.extend(changes.map(|change| format!("{name}: {change}")));
            }
            (None, None) => {}
        }
    }
    lines.extend(others("tracker", &before.trackers, &after.trackers));
    lines.extend(others("sync group", &before.groups, &after.groups));
    if lines.is_empty() {
        lines.push("no change".to_owned());
    }
    lines
}

fn removed(name: &str) -> String {
    format!("{name}: removed: a master resigns")
}

fn names<'a, V>(
    before: &'a BTreeMap<Arc<str>, V>,
    after: &'a BTreeMap<Arc<str>, V>,
) -> BTreeSet<&'a Arc<str>> {
    before.keys().chain(after.keys()).collect()
}

/// Changes of objects that are described by their name only.
fn others<V: PartialEq>(
    kind: &str,
    before: &BTreeMap<Arc<str>, V>,
    after: &BTreeMap<Arc<str>, V>,
) -> Vec<String> {
    let change = |name: &Arc<str>| match (before.get(name), after.get(name)) {
        (Some(_), None) => Some("removed"),
        (None, Some(_)) => Some("added"),
        (before, after) => (before != after).then_some("changed"),
    };
    let all = names(before, after).into_iter();
    all.filter_map(|name| Some(format!("{kind} {name}: {}", change(name)?)))
        .collect()
}

/// Changes of what makes a virtual router another one.
fn identity(before: &RouterParams, after: &RouterParams) -> String {
    let changes = [
        change("interface", &before.interface, &after.interface),
        change("virtualRouterId", before.vrid, after.vrid),
        change("version", before.version, after.version),
    ];
    changes.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn change<T: PartialEq + Display>(key: &str, before: T, after: T) -> Option<String> {
    (before != after).then(|| format!("{key} {before} -> {after}"))
}

/// Changes of a virtual router, by the keys of the configuration.
fn of_router(before: &RouterParams, after: &RouterParams) -> Vec<String> {
    let mut changes = Vec::new();
    if let Some(change) = change("priority", before.priority, after.priority) {
        let effect = if after.priority.is_owner() {
            "the owner becomes master"
        } else if before.priority.is_owner() || after.priority < before.priority {
            "a backup of higher priority may take over from this host"
        } else if after.preempt {
            "this host may take over from a master of lower priority"
        } else {
            "no transition: preempt is false"
        };
        changes.push(format!("{change}: {effect}"));
    }
    changes.extend(of_addresses(&before.addresses, &after.addresses));
    let seconds = |span: core::time::Duration| format!("{} s", span.as_secs_f64());
    let plain = [
        change(
            "advertInterval",
            seconds(before.interval.duration()),
            seconds(after.interval.duration()),
        ),
        change("preempt", before.preempt, after.preempt),
        change(
            "preemptDelay",
            seconds(before.preempt_delay),
            seconds(after.preempt_delay),
        ),
        change(
            "startupDelay",
            seconds(before.startup_delay),
            seconds(after.startup_delay),
        ),
        change("acceptMode", before.accept, after.accept),
        change(
            "trackInterface",
            before.track_interface,
            after.track_interface,
        ),
        change("trustWire", before.trust_wire, after.trust_wire),
    ];
    changes.extend(plain.into_iter().flatten());
    let differ = [
        ("state", before.expect_master != after.expect_master),
        (
            "authentication: other hosts must change it too",
            before.authentication != after.authentication,
        ),
        ("options of addresses", before.options != after.options),
        ("source", before.source != after.source),
        ("unicast", before.unicast != after.unicast),
        ("virtualMac", before.virtual_mac != after.virtual_mac),
        ("announce", before.announce != after.announce),
        ("track", before.tracks != after.tracks),
        ("routes", before.routes != after.routes),
        ("rules", before.rules != after.rules),
        ("lvs", before.lvs != after.lvs),
    ];
    let differ = differ.into_iter().filter(|(_, differs)| *differs);
    changes.extend(differ.map(|(key, _)| format!("changed {key}")));
    changes
}

/// Addresses that a master removes, and those that it adds and announces.
fn of_addresses(before: &[InterfaceAddress], after: &[InterfaceAddress]) -> Vec<String> {
    let list = |from: &[InterfaceAddress], without: &[InterfaceAddress]| {
        let all = from.iter().filter(|address| !without.contains(address));
        let all: Vec<String> = all.map(ToString::to_string).collect();
        (!all.is_empty()).then(|| all.join(" "))
    };
    let added = list(after, before).map(|all| format!("virtualAddresses added: {all}"));
    let removed = list(before, after).map(|all| format!("virtualAddresses removed: {all}"));
    let mut changes: Vec<String> = added.into_iter().chain(removed).collect();
    if changes.is_empty() && before != after {
        changes.push("virtualAddresses in another order".to_owned());
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Priority, Vrid};

    fn router(interface: &str, addresses: &[&str]) -> RouterParams {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        let vrid = Vrid::new(51).unwrap();
        RouterParams::new(interface.into(), vrid, addresses.collect())
    }

    fn node<const N: usize>(routers: [(&str, RouterParams); N]) -> NodeParams {
        NodeParams {
            routers: routers.map(|(name, params)| (name.into(), params)).into(),
            ..NodeParams::default()
        }
    }

    #[test]
    fn same_configuration_has_no_changes() {
        let node = node([("VI_1", router("eth1", &["192.0.2.1/24"]))]);
        assert_eq!(changes(&node, &node.clone()), ["no change"]);
    }

    #[test]
    fn changes_name_the_key_and_the_effect() {
        let before = node([
            ("VI_1", router("eth1", &["192.0.2.1/24"])),
            ("VI_2", router("eth2", &["192.0.2.2/24"])),
            ("VI_3", router("eth3", &["192.0.2.3/24"])),
            ("VI_5", router("eth5", &["192.0.2.5/24"])),
        ]);
        let mut raised = router("eth1", &["192.0.2.1/24", "192.0.2.9/24"]);
        raised.priority = Priority::new(150).unwrap();
        raised.preempt_delay = core::time::Duration::from_millis(1500);
        let after = node([
            ("VI_1", raised),
            ("VI_2", router("eth9", &["192.0.2.2/24"])),
            ("VI_4", router("eth4", &["192.0.2.4/24"])),
            ("WEB", router("eth5", &["192.0.2.5/24", "192.0.2.6/24"])),
        ]);
        assert_eq!(
            changes(&before, &after),
            [
                "VI_1: priority 100 -> 150: this host may take over from a master of lower priority",
                "VI_1: virtualAddresses added: 192.0.2.9/24",
                "VI_1: preemptDelay 0 s -> 1.5 s",
                "VI_2: interface eth2 -> eth9: another virtual router: a master resigns, then the new one \
                 listens first",
                "VI_3: removed: a master resigns",
                "VI_4: added: listens first",
                "VI_5: renamed to WEB: keeps its state",
                "WEB: virtualAddresses added: 192.0.2.6/24",
            ]
        );
    }

    #[test]
    fn router_that_takes_the_name_of_a_removed_one_is_named_with_it() {
        let [one, two] = ["eth1", "eth2"].map(|interface| router(interface, &["192.0.2.1/24"]));
        let before = node([("VI_1", one.clone()), ("VI_2", two.clone())]);
        let moved = ["VI_1: renamed to VI_2: keeps its state"];
        let removed = ["VI_2: removed: a master resigns"];
        let after = node([("VI_2", one.clone())]);
        assert_eq!(changes(&before, &after), [moved, removed].concat());
        let after = node([("VI_1", two), ("VI_2", one)]);
        let back = ["VI_2: renamed to VI_1: keeps its state"];
        assert_eq!(changes(&before, &after), [moved, back].concat());
    }
}
