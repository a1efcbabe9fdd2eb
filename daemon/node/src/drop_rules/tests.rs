use std::collections::BTreeMap;

use proptest::prelude::*;
use vrrp_proto::Link;

use super::*;
use crate::change::Change;
use crate::mirror::{Event, Held};
use crate::plan::plan;

const ETH1: InterfaceIndex = InterfaceIndex(2);
const ETH2: InterfaceIndex = InterfaceIndex(3);

#[test]
fn drop_rule_precedes_address_and_outlives_it() {
    let mut host = Host::new();
    assert_eq!(host.want(ETH1, &["10.0.0.9/24"], &[], false), ["10.0.0.9"]);
    assert_eq!(host.change(), [""; 0]);
    assert_eq!(
        host.want(ETH1, &["10.0.0.9/24"], &[], false),
        [""; 0],
        "its rule is installed already"
    );
    assert_eq!(host.want(ETH1, &[], &["10.0.0.9/24"], false), [""; 0]);
    assert!(host.is_refused("10.0.0.9"), "the address is still present");
    assert_eq!(host.change(), ["10.0.0.9"]);
    assert!(host.drop_rules.is_empty());
}

#[test]
fn accepted_address_loses_drop_rule_and_stays() {
    let mut host = Host::new();
    host.want(ETH1, &["10.0.0.9/24", "10.0.0.8/24"], &[], false);
    host.change();
    host.want(ETH1, &["10.0.0.9/24"], &[], true);
    assert_eq!(host.change(), ["10.0.0.9"]);
    assert!(host.mirror.held(ETH1, address("10.0.0.9/24")).is_some());
    assert!(
        host.is_refused("10.0.0.8"),
        "another router's address keeps its rule"
    );
}

#[test]
fn address_added_and_deleted_in_one_turn_has_rule() {
    let mut host = Host::new();
    assert_eq!(host.want(ETH1, &["10.0.0.9/24"], &[], false), ["10.0.0.9"]);
    assert_eq!(host.want(ETH1, &[], &["10.0.0.9/24"], false), [""; 0]);
    assert_eq!(host.change(), ["10.0.0.9"]);
}

#[test]
fn undeleted_address_keeps_drop_rule() {
    let mut host = Host::new();
    host.want(ETH1, &["10.0.0.9/24"], &[], false);
    host.change();
    host.want(ETH1, &[], &["10.0.0.9/24"], false);
    let [change] = host.changes[..] else {
        panic!("{:?}", host.changes)
    };
    host.mirror.refused(&change);
    assert_eq!(host.change(), [""; 0]);
    host.want(ETH1, &[], &["10.0.0.9/24"], false);
    assert_eq!(host.change(), ["10.0.0.9"]);
}

#[test]
fn spared_foreign_address_loses_drop_rule() {
    let mut host = Host::new();
    let foreign = Held {
        address: address("10.0.0.9/24"),
        ours: false,
        secondary: false,
    };
    host.mirror.apply(Event::AddressAdded(ETH1, foreign));
    host.want(ETH1, &["10.0.0.9/24"], &[], false);
    host.change();
    assert!(host.is_refused("10.0.0.9"));
    let spared = Desired {
        spare_foreign: true,
        ..desired(ETH1, &[], &["10.0.0.9/24"], false)
    };
    host.want_desired(&spared);
    assert_eq!(host.change(), ["10.0.0.9"]);
    assert!(host.mirror.held(ETH1, foreign.address).is_some());
}

#[test]
fn deleted_interface_ends_drop_rules() {
    let mut host = Host::new();
    host.want(ETH1, &["10.0.0.9/24"], &[], false);
    host.want(ETH2, &["10.0.0.8/24"], &[], false);
    host.change();
    host.mirror.apply(Event::LinkRemoved(ETH1));
    assert_eq!(host.change(), ["10.0.0.9"]);
    assert!(host.is_refused("10.0.0.8"));
}

#[test]
fn adopted_address_keeps_drop_rule_until_deleted_or_accepted() {
    let mut host = Host::new();
    for text in ["10.0.0.8/24", "10.0.0.9/24"] {
        let held = Held {
            address: address(text),
            ours: true,
            secondary: false,
        };
        host.mirror.apply(Event::AddressAdded(ETH1, held));
    }
    host.drop_rules.adopt(&host.mirror);
    host.table.extend(host.drop_rules.refused());
    assert!(host.is_refused("10.0.0.8") && host.is_refused("10.0.0.9"));
    host.want(ETH1, &["10.0.0.8/24"], &[], true);
    assert_eq!(host.change(), ["10.0.0.8"], "the owner accepts packets");
    host.want(ETH1, &[], &["10.0.0.9/24"], true);
    assert_eq!(host.change(), ["10.0.0.9"]);
}

#[test]
fn both_families_get_drop_rules() {
    let mut host = Host::new();
    let missing = host.want(ETH1, &["10.0.0.9/24", "fd00::9/64"], &[], false);
    assert_eq!(missing, ["10.0.0.9", "fd00::9"]);
}

#[test]
fn link_local_drop_rule_is_bound_to_interface() {
    let mut host = Host::new();
    let vip = &["fe80::9/64"];
    assert_eq!(host.want(ETH1, vip, &[], false), ["fe80::9 on 2"]);
    assert_eq!(host.want(ETH2, vip, &[], true), [""; 0]);
    assert_eq!(host.change(), [""; 0]);
    assert_eq!(host.want(ETH2, vip, &[], false), ["fe80::9 on 3"]);
    host.want(ETH1, &[], vip, false);
    assert_eq!(host.change(), ["fe80::9 on 2"]);
    assert!(host.is_refused("fe80::9 on 3"));
}

#[test]
fn drop_rule_stays_while_any_interface_wants_it() {
    let mut host = Host::new();
    let vip = &["10.0.0.9/24"];
    assert_eq!(host.want(ETH1, vip, &[], false), ["10.0.0.9"]);
    assert_eq!(host.want(ETH2, vip, &[], false), [""; 0]);
    host.want(ETH1, &[], vip, false);
    assert_eq!(host.change(), [""; 0]);
    host.want(ETH2, &[], vip, false);
    assert_eq!(host.change(), ["10.0.0.9"]);
}

#[derive(Clone, Debug)]
struct Wish {
    interface: InterfaceIndex,
    hold: Vec<u8>,
    release: Vec<u8>,
    accept: bool,
    /// Bit mask of the following changes that the kernel rejects.
    refused: u8,
    /// Whether the turn ends after this request.
    ends: bool,
}

proptest! {
    /// Routers on two interfaces, each with its own addresses, which are added and released.
    #[test]
    fn every_unaccepted_address_has_drop_rule_and_none_remains(
        wishes in prop::collection::vec(any_wish(), 1..30),
    ) {
        let mut host = Host::new();
        // Whether the last request for each held address allows accepting packets.
        let mut accepts: BTreeMap<AddressKey, bool> = BTreeMap::new();
        for wish in &wishes {
            let addresses = |numbers: &[u8]| -> Vec<String> {
                numbers.iter().map(|n| format!("10.0.{}.{n}/24", wish.interface.0)).collect()
            };
            let (hold, release) = (addresses(&wish.hold), addresses(&wish.release));
            let texts = |list: &[String]| -> Vec<&'static str> {
                list.iter().map(|text| &*text.clone().leak()).collect()
            };
            let place = |text: &String| (address(text).address, wish.interface);
            accepts.retain(|known, _| !release.iter().any(|text| place(text) == *known));
            accepts.extend(hold.iter().map(|text| (place(text), wish.accept)));

            host.want(wish.interface, &texts(&hold), &texts(&release), wish.accept);
            // An address that is present or about to be added has its drop rule first.
            for ((ip, interface), accept) in &accepts {
                let there = host.mirror.forms(*interface, *ip).next().is_some();
                let rule = DropRule::of((*ip, *interface));
                prop_assert!(*accept || !there || host.table.contains(&rule), "{ip} without its drop rule");
            }
            for (n, change) in host.changes.clone().iter().enumerate() {
                if wish.refused >> (n % 8) & 1 == 1 {
                    host.mirror.refused(change);
                }
            }
            if wish.ends {
                host.change();
                for DropRule { address: ip, .. } in &host.table {
                    let wanted = accepts.iter().any(|((known, _), accept)| known == ip && !accept);
                    let there = [ETH1, ETH2].iter().any(|i| host.mirror.forms(*i, *ip).any(|h| h.ours));
                    prop_assert!(wanted || there, "{ip} has a drop rule that no address needs");
                }
            }
        }
        let all: Vec<&str> = (0..4).map(|n| &*format!("10.0.2.{n}/24").leak()).collect();
        host.want(ETH1, &[], &all, false);
        let all: Vec<&str> = (0..4).map(|n| &*format!("10.0.3.{n}/24").leak()).collect();
        host.want(ETH2, &[], &all, false);
        host.change();
        prop_assert!(host.table.is_empty() && host.drop_rules.is_empty());
    }
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let numbers = || prop::collection::vec(0_u8..4, 0..4);
    let refused = prop_oneof![3 => Just(0), 1 => any::<u8>()];
    let interface = prop_oneof![Just(ETH1), Just(ETH2)];
    (
        interface,
        numbers(),
        numbers(),
        any::<bool>(),
        refused,
        any::<bool>(),
    )
        .prop_map(|(interface, hold, release, accept, refused, ends)| Wish {
            interface,
            hold,
            release,
            accept,
            refused,
            ends,
        })
}

/// Drop rules, mirror and table of one node.
struct Host {
    drop_rules: DropRules,
    mirror: Mirror,
    /// Changes of this turn.
    changes: Vec<Change>,
    table: BTreeSet<DropRule>,
}

impl Host {
    fn new() -> Self {
        let mut mirror = Mirror::new();
        for (index, name) in [(ETH1, "eth1"), (ETH2, "eth2")] {
            mirror.apply(Event::Link(Link {
                index,
                name: name.into(),
                up: true,
                carrier: true,
                mac: None,
                port_of: None,
                alternative_names: std::sync::Arc::default(),
            }));
        }
        Self {
            drop_rules: DropRules::default(),
            mirror,
            changes: Vec::new(),
            table: BTreeSet::new(),
        }
    }

    /// Requests addresses and plans the changes. Returns the drop rules to install first.
    fn want(
        &mut self,
        interface: InterfaceIndex,
        hold: &[&str],
        release: &[&str],
        accept: bool,
    ) -> Vec<String> {
        self.want_desired(&desired(interface, hold, release, accept))
    }

    fn want_desired(&mut self, desired: &Desired) -> Vec<String> {
        let mut missing = Vec::new();
        self.drop_rules.want(desired, &mut missing);
        self.table.extend(&missing);
        plan(desired, &mut self.mirror, &mut self.changes);
        missing.iter().map(text).collect()
    }

    /// Ends the turn: applies the address changes. Returns the drop rules to remove.
    fn change(&mut self) -> Vec<String> {
        self.changes.clear();
        let surplus = self.drop_rules.surplus(&self.mirror);
        self.table.retain(|address| !surplus.contains(address));
        assert!(self.drop_rules.refused().eq(self.table.iter().copied()));
        surplus.iter().map(text).collect()
    }

    fn is_refused(&self, text: &str) -> bool {
        self.drop_rules
            .refused()
            .any(|refusal| self::text(&refusal) == text)
    }
}

fn text(refusal: &DropRule) -> String {
    match refusal.interface {
        Some(interface) => format!("{} on {}", refusal.address, interface.0),
        None => refusal.address.to_string(),
    }
}

fn desired(interface: InterfaceIndex, hold: &[&str], release: &[&str], accept: bool) -> Desired {
    let list = |texts: &[&str]| texts.iter().map(|text| address(text)).collect();
    Desired {
        interface,
        hold: list(hold),
        options: std::sync::Arc::default(),
        release: list(release),
        accept,
        spare_foreign: false,
    }
}

fn address(text: &str) -> InterfaceAddress {
    text.parse().unwrap()
}
