//! Virtual routes and rules.

use core::slice::Iter;

use crate::document::{Node, Object};
use crate::place::Place;
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;
use crate::settings::number;

const NUMBERS: core::ops::RangeInclusive<i64> = 0..=u32::MAX as i64;

/// Consequence of an option that has no equivalent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    /// The route or the rule is converted without it.
    Option,
    /// Without it the route or the rule would be another one.
    Whole,
}

/// An option without an equivalent: its name, the number of its values, and the reason.
type Lacking = (&'static str, usize, Without, &'static str);

const METRICS: &str = "use the `mtu` of the device, or a program of `notify`";
const ACTION: &str = "it does not depend on the master: write the same rule on all hosts";
const MARK: &str = "use a mark that nftables sets, and `fwmark`";

const LACKING_OF_ROUTES: &[Lacking] = &[
    ("mtu", 1, Without::Option, METRICS),
    ("advmss", 1, Without::Option, METRICS),
    ("rtt", 1, Without::Option, METRICS),
    ("rttvar", 1, Without::Option, METRICS),
    ("rto_min", 1, Without::Option, METRICS),
    ("window", 1, Without::Option, METRICS),
    ("cwnd", 1, Without::Option, METRICS),
    ("initcwnd", 1, Without::Option, METRICS),
    ("initrwnd", 1, Without::Option, METRICS),
    ("ssthresh", 1, Without::Option, METRICS),
    ("hoplimit", 1, Without::Option, METRICS),
    ("quickack", 1, Without::Option, METRICS),
    ("congctl", 1, Without::Option, METRICS),
    ("features", 1, Without::Option, METRICS),
    ("reordering", 1, Without::Option, METRICS),
    ("fastopen_no_cookie", 1, Without::Option, METRICS),
    ("pref", 1, Without::Option, METRICS),
    ("realms", 1, Without::Option, "vrrpd sets no realms"),
    (
        "protocol",
        1,
        Without::Option,
        "vrrpd marks its routes with its own protocol number, for cleanup",
    ),
    (
        "expires",
        1,
        Without::Whole,
        "a route of a master does not expire",
    ),
    (
        "tos",
        1,
        Without::Whole,
        "vrrpd has no routes for a type of service: use `virtual_rules`",
    ),
    (
        "encap",
        2,
        Without::Whole,
        "vrrpd has no encapsulating routes: use a tunnel interface",
    ),
    (
        "ttl-propagate",
        1,
        Without::Option,
        "vrrpd has no MPLS routes",
    ),
    ("vrf", 1, Without::Whole, "write the `table` of the VRF"),
    (
        "track_group",
        1,
        Without::Option,
        "a deleted route is added again and is no fault",
    ),
];

const LACKING_OF_RULES: &[Lacking] = &[
    (
        "suppress_prefixlength",
        1,
        Without::Whole,
        "write the rule with a priority of 32767: its table is looked up after `main`, without a default route there",
    ),
    (
        "suppress_ifgroup",
        1,
        Without::Whole,
        "vrrpd has no groups of interfaces",
    ),
    ("uidrange", 1, Without::Whole, MARK),
    ("ipproto", 1, Without::Whole, MARK),
    ("sport", 1, Without::Whole, MARK),
    ("dport", 1, Without::Whole, MARK),
    ("tos", 1, Without::Whole, MARK),
    ("dsfield", 1, Without::Whole, MARK),
    ("realms", 1, Without::Whole, "vrrpd sets no realms"),
    ("tunnel-id", 1, Without::Whole, MARK),
    (
        "goto",
        1,
        Without::Whole,
        "vrrpd has rules that look up a table only",
    ),
    (
        "nop",
        0,
        Without::Whole,
        "vrrpd has rules that look up a table only",
    ),
    (
        "not",
        0,
        Without::Whole,
        "vrrpd has no inverted rules: write a rule for the rest, with a greater priority",
    ),
    ("blackhole", 0, Without::Whole, ACTION),
    ("unreachable", 0, Without::Whole, ACTION),
    ("prohibit", 0, Without::Whole, ACTION),
    (
        "l3mdev",
        0,
        Without::Whole,
        "the kernel has this rule when there is a VRF",
    ),
    ("type", 1, Without::Whole, ACTION),
    (
        "protocol",
        1,
        Without::Option,
        "vrrpd marks its rules with its own protocol number, for cleanup",
    ),
    (
        "track_group",
        1,
        Without::Option,
        "a deleted rule is added again and is no fault",
    ),
];

/// Types of routes that exist on all hosts.
const TYPES: [&str; 9] = [
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "local",
    "broadcast",
    "multicast",
    "anycast",
    "nat",
];

/// Converts a route; `None` if it has been reported.
pub(super) fn route(statement: &Statement, notes: &mut Notes) -> Option<Node> {
    let place = statement.place();
    let words: Vec<&Word> = statement.words().collect();
    let mut words = words.iter();
    let mut route = Object::default();
    let mut hops: Vec<Node> = Vec::new();
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "to" => destination(&mut route, value(word, &mut words, notes)?, notes)?,
            "via" | "gw" => gateway(&mut route, word, &mut words, notes)?,
            "dev" | "oif" => text(&mut route, "device", value(word, &mut words, notes)?),
            "src" => text(&mut route, "source", value(word, &mut words, notes)?),
            "table" => table(&mut route, value(word, &mut words, notes)?, notes)?,
            "metric" | "priority" | "preference" => {
                let given = value(word, &mut words, notes)?;
                let metric = number(&word.text, given, NUMBERS, notes)?;
                route.set("metric", metric.value, metric.place);
            }
            "scope" => {
                let given = value(word, &mut words, notes)?;
                match (given.text.as_str(), given.text.parse::<i64>()) {
                    ("site", _) => route.set("scope", 200, given.place),
                    ("nowhere", _) => route.set("scope", 255, given.place),
                    (_, Ok(scope)) => route.set("scope", scope, given.place),
                    (_, Err(_)) => text(&mut route, "scope", given),
                }
            }
            "onlink" => route.set("onLink", true, word.place),
            "nexthop" => hops.push(hop(word, &mut words, notes)?),
            "inet" | "inet6" | "no_track" | "unicast" | "add" => {}
            kind if TYPES.contains(&kind) => {
                let message = format!(
                    "a `{kind}` route does not depend on the master: write it on all hosts"
                );
                notes.not_converted(word.place, message);
                return None;
            }
            "append" | "prepend" | "or" => {
                notes.not_converted(
                    word.place,
                    "vrrpd has one route for a destination, table and metric",
                );
                return None;
            }
            _ if !route.has("destination") => destination(&mut route, word, notes)?,
            _ => lacking(word, &mut words, LACKING_OF_ROUTES, "route", notes)?,
        }
    }
    if !route.has("destination") {
        notes.error(
            place,
            "the route needs a destination: a network, or `default`",
        );
        return None;
    }
    route.set_some("nextHops", hops, place);
    Some(Node {
        value: route.into(),
        place,
    })
}

fn destination(route: &mut Object, word: &Word, notes: &mut Notes) -> Option<()> {
    let text = match word.text.as_str() {
        "default" | "any" | "all" => "default",
        "default6" => "::/0",
        network if network.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') => network,
        _ => {
            let known = LACKING_OF_ROUTES.iter().map(|(name, ..)| *name);
            notes.unknown(
                word.place,
                "word in a route",
                &word.text,
                known.chain(["via", "dev", "src", "table"]),
            );
            return None;
        }
    };
    route.set("destination", text, word.place);
    Some(())
}

/// Reads `via [inet|inet6] ADDRESS`.
fn gateway(
    route: &mut Object,
    word: &Word,
    words: &mut Iter<'_, &Word>,
    notes: &mut Notes,
) -> Option<()> {
    let mut given = value(word, words, notes)?;
    if matches!(given.text.as_str(), "inet" | "inet6") {
        given = value(word, words, notes)?;
    }
    text(route, "gateway", given);
    Some(())
}

/// Reads the words of a next hop, up to another one.
fn hop(start: &Word, words: &mut Iter<'_, &Word>, notes: &mut Notes) -> Option<Node> {
    let mut hop = Object::default();
    while let Some(word) = words
        .as_slice()
        .first()
        .filter(|word| word.text != "nexthop")
    {
        words.next();
        match word.text.as_str() {
            "via" => gateway(&mut hop, word, words, notes)?,
            "dev" => text(&mut hop, "device", value(word, words, notes)?),
            "weight" => {
                let weight = number("weight", value(word, words, notes)?, 1..=255, notes)?;
                hop.set("weight", weight.value, weight.place);
            }
            "onlink" => hop.set("onLink", true, word.place),
            _ => lacking(word, words, LACKING_OF_ROUTES, "next hop", notes)?,
        }
    }
    Some(Node {
        value: hop.into(),
        place: start.place,
    })
}

/// Converts a rule; `None` if it has been reported.
pub(super) fn rule(statement: &Statement, notes: &mut Notes) -> Option<Node> {
    let place = statement.place();
    let words: Vec<&Word> = statement.words().collect();
    let mut words = words.iter();
    let mut rule = Object::default();
    let mut everything = "0.0.0.0/0";
    while let Some(word) = words.next() {
        match word.text.as_str() {
            key @ ("from" | "to") => {
                let given = value(word, &mut words, notes)?;
                match given.text.as_str() {
                    "all" | "any" | "default" => {}
                    network => rule.set(key, network, given.place),
                }
            }
            "iif" | "dev" => text(&mut rule, "iif", value(word, &mut words, notes)?),
            "oif" => text(&mut rule, "oif", value(word, &mut words, notes)?),
            "fwmark" => {
                let given = value(word, &mut words, notes)?;
                if given.text.contains('/') {
                    notes.not_converted(given.place, "`fwmark` with a mask: write the whole mark");
                    return None;
                }
                let mark = number("fwmark", given, 1..=u32::MAX.into(), notes)?;
                rule.set("fwmark", mark.value, mark.place);
            }
            "table" | "lookup" => table(&mut rule, value(word, &mut words, notes)?, notes)?,
            "priority" | "order" | "preference" => {
                let priority = number(&word.text, value(word, &mut words, notes)?, NUMBERS, notes)?;
                rule.set("priority", priority.value, priority.place);
            }
            "inet6" => everything = "::/0",
            "inet" | "no_track" => {}
            _ => lacking(word, &mut words, LACKING_OF_RULES, "rule", notes)?,
        }
    }
    if !["from", "to", "iif", "oif", "fwmark"]
        .iter()
        .any(|key| rule.has(key))
    {
        rule.set("to", everything, place);
    }
    Some(Node {
        value: rule.into(),
        place,
    })
}

/// Reads the number of a table, or one of the names that are the same on every host.
fn table(object: &mut Object, word: &Word, notes: &mut Notes) -> Option<()> {
    let table = match word.text.as_str() {
        "local" => 255,
        "main" => 254,
        "default" => 253,
        name if name.starts_with(|c: char| !c.is_ascii_digit()) => {
            let message = "write the number of the table: the names in /etc/iproute2/rt_tables differ from host to host";
            notes.not_converted(word.place, message);
            return None;
        }
        _ => number("table", word, 1..=u32::MAX.into(), notes)?.value,
    };
    object.set("table", table, word.place);
    Some(())
}

/// Reports an option without an equivalent, and an unknown word. `None` if nothing is left to convert.
fn lacking(
    word: &Word,
    words: &mut Iter<'_, &Word>,
    table: &[Lacking],
    what: &str,
    notes: &mut Notes,
) -> Option<()> {
    let name = word.text.as_str();
    let Some((_, values, without, reason)) = table.iter().find(|(lacking, ..)| *lacking == name)
    else {
        let known = table.iter().map(|(lacking, ..)| *lacking);
        let taken = [
            "from", "to", "via", "dev", "src", "table", "iif", "oif", "fwmark", "metric",
            "priority",
        ];
        notes.unknown(
            word.place,
            &format!("word in a {what}"),
            name,
            known.chain(taken),
        );
        return None;
    };
    for _ in 0..*values {
        let is_lock = words.next().is_some_and(|value| value.text == "lock");
        if is_lock {
            words.next();
        }
    }
    notes.not_converted(word.place, format!("`{name}` of a {what}: {reason}"));
    (*without == Without::Option).then_some(())
}

fn value<'w>(word: &Word, words: &mut Iter<'_, &'w Word>, notes: &mut Notes) -> Option<&'w Word> {
    let value = words.next();
    if value.is_none() {
        notes.error(word.place, format!("`{}` needs a value", word.text));
    }
    value.copied()
}

fn text(object: &mut Object, key: &str, word: &Word) {
    object.set(key, word.text.as_str(), word.place);
}

/// Place of a list, that of its first element.
pub(super) fn place(list: &[Node]) -> Place {
    list.first().map(|node| node.place).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Kind::{Differs, Error, NotConverted};
    use crate::testing::instance;

    #[test]
    fn repeated_routes_and_rules_are_written_once() {
        let found = instance(
            "",
            "virtual_routes {\n10.0.0.0/8 via 192.0.2.9 dev eth1\nto 10.0.0.0/8 gw 192.0.2.9 oif eth1\n}\n\
             virtual_rules {\nfrom 192.0.2.0/24 table 9\nfrom 192.0.2.0/24 lookup 9\n}",
        );
        let route =
            json!([{ "destination": "10.0.0.0/8", "gateway": "192.0.2.9", "device": "eth1" }]);
        assert_eq!(found.instance()["routes"], route, "{found}");
        let rule = json!([{ "from": "192.0.2.0/24", "table": 9 }]);
        assert_eq!(found.instance()["rules"], rule, "{found}");
        assert!(
            found.reports(Differs, "6:1: the route occurs before"),
            "{found}"
        );
        assert!(
            found.reports(Differs, "10:1: the rule occurs before"),
            "{found}"
        );
    }

    #[test]
    fn route_without_its_metrics_is_still_a_route() {
        let found = instance(
            "",
            "virtual_routes {\ndefault via 192.0.2.9 mtu 1400\n10.0.0.0/8 tos 4\n}",
        );
        let route = json!([{ "destination": "default", "gateway": "192.0.2.9" }]);
        assert_eq!(found.instance()["routes"], route, "{found}");
        assert!(
            found.reports(NotConverted, "5:23: `mtu` of a route"),
            "{found}"
        );
        assert!(
            found.reports(NotConverted, "6:12: `tos` of a route"),
            "{found}"
        );
    }

    #[test]
    fn words_without_an_equivalent_are_no_mistakes() {
        let found = instance(
            "",
            "virtual_routes {\ndefault via 192.0.2.9 mtu lock 1400 scope site\nlocal 10.0.0.1\n}\n\
             virtual_rules {\nnot from 192.0.2.0/24 table 9\nfrom 192.0.2.0/24 blackhole\n}",
        );
        let route = json!([{ "destination": "default", "gateway": "192.0.2.9", "scope": 200 }]);
        assert_eq!(found.instance()["routes"], route, "{found}");
        assert_eq!(found.instance()["rules"], json!(null), "{found}");
        for place in ["5:23", "6:1", "9:1", "10:19"] {
            assert!(
                found.reports(NotConverted, &format!("{place}: ")),
                "{found}"
            );
        }
    }

    #[test]
    fn names_of_tables_and_unknown_words_are_reported() {
        let found = instance("", "virtual_rules {\nfrom 192.0.2.0/24 table blue\n}");
        assert!(
            found.reports(NotConverted, "5:25: write the number of the table"),
            "{found}"
        );
        let found = instance("", "virtual_rules {\nform 192.0.2.0/24\n}");
        assert!(
            found.reports(Error, "5:1: unknown word in a rule `form`"),
            "{found}"
        );
    }
}
