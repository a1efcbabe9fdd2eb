//! Virtual addresses.

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::timing::is_ipv6;
use crate::document::{Node, Object, Value};
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;
use crate::settings::{Settings, number};

/// Addresses of all instances, to find those that occur twice.
#[derive(Debug, Default)]
pub(super) struct Addresses(BTreeMap<IpAddr, Vec<Occurrence>>);

/// Instance and device of an address.
#[derive(Clone, Debug)]
struct Occurrence {
    instance: String,
    device: String,
}

impl Addresses {
    /// Returns whether an address is new, and reports one that is not. keepalived accepts both. A link-local
    /// address belongs to its device.
    fn is_new(
        &mut self,
        instance: &str,
        own: &str,
        statement: &Statement,
        notes: &mut Notes,
    ) -> bool {
        let Some(address) = ip(&statement.keyword.text) else {
            return true;
        };
        let words = &statement.arguments;
        let mut options = words.iter().zip(words.iter().skip(1));
        let device = options.rfind(|(word, _)| word.text == "dev");
        let device = device.map_or(own, |(_, device)| &device.text);
        let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let known = self.0.entry(address).or_default();
        let other = known
            .iter()
            .find(|other| other.instance == instance || !is_link_local || other.device == device);
        let Some(other) = other else {
            known.push(Occurrence {
                instance: instance.to_owned(),
                device: device.to_owned(),
            });
            return true;
        };
        if other.instance != instance {
            let message = format!(
                "instance `{}` has the same address, and would lose it when this instance ceases to be master: \
                 left out here",
                other.instance
            );
            notes.not_converted(statement.place(), message);
        } else if other.device != device {
            let message = "this instance has the same address on another device: move it to an instance of its own";
            notes.not_converted(statement.place(), message);
        } else {
            let message = "the address occurs before in this instance: written once. keepalived counts both, and drops \
                           advertisements with another number: remove one from the files of all hosts first";
            notes.differs(statement.place(), message);
        }
        false
    }
}

/// Converts all lists of addresses of an instance.
pub(super) fn addresses(
    instance: &str,
    settings: &Settings<'_>,
    all: &mut Addresses,
    notes: &mut Notes,
) -> Vec<Node> {
    let is_ipv6 = is_ipv6(settings);
    let own = settings
        .last("interface")
        .and_then(|given| given.arguments.first());
    let own = own.map_or("", |word| &word.text);
    let mut addresses = Vec::new();
    for (keyword, is_advertised) in [
        ("virtual_ipaddress", true),
        ("virtual_ipaddress_excluded", false),
    ] {
        for statement in settings.entries(keyword, notes) {
            let is_v6 = family(&statement.keyword.text);
            if is_advertised && is_v6.is_some_and(|v6| v6 != is_ipv6) {
                let message = "keepalived ignores an address of another family than the first one: write it into \
                               `virtual_ipaddress_excluded`, or into another instance";
                notes.error(statement.place(), message);
            } else if let Some(address) = address(statement, is_advertised, notes)
                && all.is_new(instance, own, statement, notes)
            {
                addresses.push(address);
            }
        }
    }
    if let Some(none) = settings.last("no_virtual_ipaddress")
        && !addresses.is_empty()
    {
        notes.error(
            none.place(),
            "the instance has addresses: remove them, or `no_virtual_ipaddress`",
        );
    }
    addresses
}

/// Whether an address is IPv6.
fn family(text: &str) -> Option<bool> {
    ip(text).map(|address| address.is_ipv6())
}

/// Reads an address, whose prefix length has to be valid, too.
fn ip(text: &str) -> Option<IpAddr> {
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv6() { 128 } else { 32 };
    let is_valid = |length: &str| length.parse::<u8>().is_ok_and(|length| length <= longest);
    length.is_none_or(is_valid).then_some(address)
}

/// Converts one address with its options.
fn address(statement: &Statement, is_advertised: bool, notes: &mut Notes) -> Option<Node> {
    let place = statement.place();
    let text = statement.keyword.text.as_str();
    let Some(is_v6) = family(text) else {
        notes.error(
            place,
            format!("`{text}` is no address: write it like 192.168.224.100/24"),
        );
        return None;
    };
    let mut options = Options {
        object: Object::default(),
        is_v6,
    };
    options.object.set("address", text, place);
    let mut words = statement.arguments.iter();
    while let Some(word) = words.next() {
        let takes_value = options.option(word, words.as_slice().first(), notes)?;
        if takes_value {
            words.next();
        }
    }
    let Options { mut object, .. } = options;
    if !is_advertised {
        object.set("advertise", false, place);
    }
    let is_plain = object.0.len() == 1;
    let value = if is_plain {
        Value::from(text)
    } else {
        object.into()
    };
    Some(Node { value, place })
}

struct Options {
    object: Object,
    is_v6: bool,
}

/// Scopes with their numbers in /etc/iproute2/rt_scopes.
const SCOPES: [(&str, &str); 4] = [
    ("global", "0"),
    ("site", "200"),
    ("link", "253"),
    ("host", "254"),
];
/// Options without a value that need no setting.
const SAME: [&str; 2] = ["home", "no_track"];
/// Options that are not converted, with the number of their values and the reason.
const LACKING: [(&str, usize, &str); 6] = [
    (
        "-nodad",
        0,
        "vrrpd adds addresses without duplicate address detection, because the former master may still answer",
    ),
    (
        "mngtmpaddr",
        0,
        "a virtual address has no temporary addresses",
    ),
    ("autojoin", 0, "a virtual address joins no multicast group"),
    (
        "track_group",
        1,
        "groups of trackers do not apply to addresses",
    ),
    (
        "use_vmac",
        0,
        "an instance has one interface with a virtual MAC address: `use_vmac` of the instance",
    ),
    (
        "peer",
        1,
        "write the address as /32, and a `virtual_routes` entry to the other end with `dev`",
    ),
];
const KNOWN: [&str; 7] = [
    "dev",
    "scope",
    "brd",
    "broadcast",
    "label",
    "preferred_lft",
    "noprefixroute",
];

impl Options {
    /// Converts an option. Returns whether it has a value; `None` if the address cannot be converted.
    fn option(&mut self, word: &Word, value: Option<&Word>, notes: &mut Notes) -> Option<bool> {
        let name = word.text.as_str();
        if SAME.contains(&name) {
            return Some(false);
        }
        if let Some((_, values, reason)) = LACKING.iter().find(|(lacking, ..)| *lacking == name) {
            notes.not_converted(word.place, format!("`{name}` of an address: {reason}"));
            return Some(*values > 0);
        }
        if name == "noprefixroute" {
            self.object.set("prefixRoute", false, word.place);
            return Some(false);
        }
        if !KNOWN.contains(&name) {
            let lacking = LACKING.iter().map(|(lacking, ..)| *lacking);
            notes.unknown(
                word.place,
                "option of an address",
                name,
                KNOWN.into_iter().chain(lacking).chain(SAME),
            );
            return None;
        }
        let Some(value) = value else {
            notes.error(word.place, format!("`{name}` needs a value"));
            return None;
        };
        self.set(name, value, notes);
        Some(true)
    }

    fn set(&mut self, name: &str, value: &Word, notes: &mut Notes) {
        let text = value.text.as_str();
        let only_ipv4 = "labels and broadcast addresses exist for IPv4 only";
        match name {
            "dev" => self.object.set("device", text, value.place),
            "label" | "brd" | "broadcast" if self.is_v6 => notes.error(value.place, only_ipv4),
            "label" => self.object.set("label", text, value.place),
            "brd" | "broadcast" if text == "+" => self.object.set("broadcast", "auto", value.place),
            "brd" | "broadcast" if text == "-" => {
                notes.not_converted(
                    value.place,
                    "`brd -`: write the broadcast address, or `brd +`",
                );
            }
            "brd" | "broadcast" => self.object.set("broadcast", text, value.place),
            "scope" => match SCOPES
                .iter()
                .find(|(name, number)| text == *name || text == *number)
            {
                Some((name, _)) => self.object.set("scope", *name, value.place),
                None if text == "nowhere" || text.parse::<u8>().is_ok() => {
                    let message = "addresses have the scopes global, site, link and host only";
                    notes.not_converted(value.place, message);
                }
                None => notes.error(value.place, "`scope` must be global, site, link or host"),
            },
            _ if text == "forever" => {}
            _ => {
                let seconds = number("preferred_lft", value, 0..=i64::from(u32::MAX - 1), notes);
                if let Some(seconds) = seconds {
                    self.object
                        .set("preferredLifetime", seconds.value, seconds.place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Kind::{Differs, Error, NotConverted};
    use crate::testing::{file, instance};

    #[test]
    fn repeated_address_is_left_out() {
        let found = instance(
            "",
            "virtual_ipaddress {\n192.0.2.1/24\n192.0.2.1 dev eth1 label eth1:1\n}\n\
             virtual_ipaddress_excluded {\n192.0.2.1\n}",
        );
        assert_eq!(
            found.instance()["virtualAddresses"],
            json!(["192.0.2.1/24", "192.0.2.100/24"]),
            "{found}"
        );
        for place in ["6:1", "9:1"] {
            let beginning = format!("{place}: the address occurs before in this instance");
            assert!(found.reports(Differs, &beginning), "{found}");
        }
    }

    #[test]
    fn address_on_another_device_or_in_another_instance_is_not_converted() {
        let found = instance("", "virtual_ipaddress {\n192.0.2.1\n192.0.2.1 dev eth2\n}");
        let beginning = "6:1: this instance has the same address on another device";
        assert!(found.reports(NotConverted, beginning), "{found}");
        let one = |name, vrid| {
            format!(
                "vrrp_instance {name} {{\ninterface eth{vrid}\nvirtual_router_id {vrid}\n\
                 virtual_ipaddress {{\n192.0.2.{vrid}\n192.0.2.9\nfe80::1\n}}\n}}\n"
            )
        };
        let found = file(&(one("A", 1) + &one("B", 2)));
        assert!(
            found.reports(NotConverted, "15:1: instance `A` has the same address"),
            "{found}"
        );
        assert_eq!(found.count(NotConverted), 1, "{found}");
    }

    #[test]
    fn link_local_address_belongs_to_its_device() {
        let one = |name, vrid| {
            format!(
                "vrrp_instance {name} {{\ninterface eth{vrid}\nvirtual_router_id {vrid}\n\
                 virtual_ipaddress {{\nfe80::1/64\n}}\n}}\n"
            )
        };
        let found = file(&(one("VI_1", 1) + &one("VI_2", 2)));
        assert_eq!(
            found.json["instances"]["VI_2"]["virtualAddresses"],
            json!(["fe80::1/64"]),
            "{found}"
        );
    }

    #[test]
    fn options_of_addresses_are_converted_or_named() {
        let found = instance(
            "",
            "virtual_ipaddress {\n192.0.2.1/24 brd + dev eth2 scope link preferred_lft 0 noprefixroute\n\
             192.0.2.2 peer 192.0.2.3\n192.0.2.4 home no_track\n}",
        );
        let first = json!({ "address": "192.0.2.1/24", "broadcast": "auto", "device": "eth2", "scope": "link",
            "preferredLifetime": 0, "prefixRoute": false });
        assert_eq!(found.instance()["virtualAddresses"][0], first, "{found}");
        assert_eq!(
            found.instance()["virtualAddresses"][2],
            "192.0.2.4",
            "{found}"
        );
        assert!(
            found.reports(NotConverted, "6:11: `peer` of an address"),
            "{found}"
        );
        let found = instance(
            "",
            "virtual_ipaddress {\n192.0.2.1 scope 253\n192.0.2.2 scope 7\n}",
        );
        assert_eq!(
            found.instance()["virtualAddresses"][0]["scope"],
            "link",
            "{found}"
        );
        assert!(
            found.reports(NotConverted, "6:17: addresses have the scopes"),
            "{found}"
        );
        let found = instance("", "virtual_ipaddress {\n192.0.2.1 dev\n}");
        assert!(found.reports(Error, "5:11: `dev` needs a value"), "{found}");
    }
}
