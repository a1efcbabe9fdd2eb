//! Virtual addresses.

use core::net::IpAddr;

use super::timing::is_ipv6;
use crate::document::{Node, Object, Value};
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;
use crate::settings::{Settings, number};

/// Converts all lists of addresses of an instance.
pub(super) fn addresses(settings: &Settings<'_>, notes: &mut Notes) -> Vec<Node> {
    let is_ipv6 = is_ipv6(settings);
    let mut addresses = Vec::new();
    for statement in settings.entries("virtual_ipaddress", notes) {
        if family(&statement.keyword.text).is_some_and(|v6| v6 != is_ipv6) {
            let message = "keepalived ignores an address of another family than the first one: write it into \
                           `virtual_ipaddress_excluded`, or into another instance";
            notes.error(statement.place(), message);
            continue;
        }
        addresses.extend(address(statement, true, notes));
    }
    for statement in settings.entries("virtual_ipaddress_excluded", notes) {
        addresses.extend(address(statement, false, notes));
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
    let address = text.split('/').next()?;
    address
        .parse()
        .ok()
        .map(|address: IpAddr| address.is_ipv6())
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
            "scope" => match text {
                "global" | "site" | "link" | "host" => self.object.set("scope", text, value.place),
                _ => notes.error(value.place, "`scope` must be global, site, link or host"),
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
