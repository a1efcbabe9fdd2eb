//! Evaluates the ruleset of nftables for an advertisement, from the output of `nft --json list ruleset`
//! (libnftables-json(5)).
//!
//! A condition is true, false or unknown: unknown conditions are those that this file does not know, such as
//! sets and rate limits. A rule with an unknown condition may apply or not, so that an evaluation ends with all
//! verdicts that are possible.

use std::net::IpAddr;

use serde_json::Value;
use vrrp_proto::{Family, InterfaceAddress};

/// Most nested chains, as in the kernel (NFT_JUMP_STACK_SIZE).
const DEEPEST: usize = 16;

/// Protocol number of VRRP.
const VRRP: u64 = 112;

/// Direction of an advertisement, as seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// An advertisement that arrives, or one that this host sends.
#[derive(Clone, Debug)]
pub(super) struct Passage<'a> {
    pub(super) direction: Direction,
    pub(super) interface: &'a str,
    pub(super) family: Family,
    /// Sender, if it is known.
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
    /// Whether the sender is on a network of the interface, so that the reverse path leads there.
    pub(super) is_from_own_network: bool,
    pub(super) hop_limit: u64,
}

/// Verdict of the whole ruleset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Accepted by all chains.
    Accepted,
    /// Dropped by this chain.
    Dropped(Chain),
    /// This chain may drop it, depending on conditions that are not evaluated.
    Unknown(Chain),
}

/// Name of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) family: String,
    pub(super) table: String,
    pub(super) name: String,
}

/// Evaluates the ruleset for an advertisement.
pub(super) fn evaluate(ruleset: &Value, packet: &Passage<'_>) -> Verdict {
    let objects = ruleset["nftables"].as_array().map_or(&[][..], |all| all);
    let ruleset = Ruleset { objects };
    let mut chains: Vec<&Value> = ruleset
        .chains()
        .filter(|it| is_passed(it, packet))
        .collect();
    // The hooks in their order; each base chain may drop what another one has accepted.
    let hooks = packet.direction.hooks();
    let hook = |chain: &Value| hooks.iter().position(|hook| chain["hook"] == **hook);
    chains.sort_by_key(|chain| (hook(chain), chain["prio"].as_i64()));
    let mut unknown = None;
    for chain in chains {
        let name = Chain::of(chain);
        let mut outcomes = ruleset.walk(&name, packet, DEEPEST);
        if outcomes.falls_through {
            match chain["policy"] == "drop" {
                true => outcomes.drops = true,
                false => outcomes.accepts = true,
            }
        }
        match (outcomes.drops, outcomes.accepts) {
            (true, false) => return Verdict::Dropped(name),
            (true, true) => drop(unknown.get_or_insert(name)),
            (false, _) => {}
        }
    }
    unknown.map_or(Verdict::Accepted, Verdict::Unknown)
}

impl Direction {
    /// Hooks of the kernel in their order: the first one is that of the interface.
    const fn hooks(self) -> [&'static str; 3] {
        match self {
            Self::In => ["ingress", "prerouting", "input"],
            Self::Out => ["egress", "output", "postrouting"],
        }
    }

    /// Keys of the interface in conditions.
    const fn keys(self) -> [&'static str; 2] {
        match self {
            Self::In => ["iifname", "iif"],
            Self::Out => ["oifname", "oif"],
        }
    }
}

/// Whether a packet passes this base chain between the interface and a raw socket.
fn is_passed(chain: &Value, packet: &Passage<'_>) -> bool {
    let is_filter = chain["type"] == "filter";
    let family = chain["family"].as_str().unwrap_or_default();
    let is_of_family = match packet.family {
        Family::V4 => matches!(family, "inet" | "ip"),
        Family::V6 => matches!(family, "inet" | "ip6"),
    };
    let [at_interface, others @ ..] = packet.direction.hooks();
    let is_at_interface = chain["hook"] == at_interface && names(&chain["dev"], packet.interface);
    let is_inside = others.iter().any(|hook| chain["hook"] == **hook);
    is_filter
        && (is_at_interface && matches!(family, "netdev" | "inet") || is_inside && is_of_family)
}

/// Whether `value` is `name`, or a list with it.
fn names(value: &Value, name: &str) -> bool {
    value == name
        || value
            .as_array()
            .is_some_and(|all| all.iter().any(|it| it == name))
}

/// Possible ends of a chain.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    accepts: bool,
    drops: bool,
    /// The end of the chain, or a return.
    falls_through: bool,
}

impl Outcomes {
    const ANY: Self = Self {
        accepts: true,
        drops: true,
        falls_through: true,
    };
}

struct Ruleset<'a> {
    objects: &'a [Value],
}

impl<'a> Ruleset<'a> {
    fn chains(&self) -> impl Iterator<Item = &'a Value> {
        let chains = self.objects.iter().map(|object| &object["chain"]);
        chains.filter(|chain| chain.is_object())
    }

    /// Follows the rules of a chain.
    fn walk(&self, chain: &Chain, packet: &Passage<'_>, depth: usize) -> Outcomes {
        let mut outcomes = Outcomes::default();
        let rules = self.objects.iter().map(|object| &object["rule"]);
        for rule in rules.filter(|rule| Chain::of_rule(rule) == *chain) {
            let Some(statements) = rule["expr"].as_array() else {
                continue;
            };
            let conditions = statements.iter().map(|it| condition(it, packet));
            let Some(is_certain) = conditions.fold(Some(true), and) else {
                continue;
            };
            for statement in statements {
                let Some(ends) = self.ends(statement, chain, packet, depth) else {
                    continue;
                };
                outcomes.accepts |= ends.accepts;
                outcomes.drops |= ends.drops;
                let leaves = is_last(statement);
                outcomes.falls_through |= leaves && ends.falls_through;
                // Where a called chain ends without a verdict, the next rule follows.
                if is_certain && (leaves || !ends.falls_through) {
                    return outcomes;
                }
            }
        }
        outcomes.falls_through = true;
        outcomes
    }

    /// Possible ends of a statement, or `None` if it is no verdict.
    fn ends(
        &self,
        statement: &Value,
        chain: &Chain,
        packet: &Passage<'_>,
        depth: usize,
    ) -> Option<Outcomes> {
        let (word, value) = statement.as_object()?.iter().next()?;
        let none = Outcomes::default();
        Some(match word.as_str() {
            "accept" => Outcomes {
                accepts: true,
                ..none
            },
            "drop" | "reject" => Outcomes {
                drops: true,
                ..none
            },
            "return" | "continue" => Outcomes {
                falls_through: true,
                ..none
            },
            "jump" | "goto" => {
                let name = value["target"].as_str()?.to_owned();
                let target = Chain {
                    name,
                    ..chain.clone()
                };
                self.walk(&target, packet, depth.checked_sub(1)?)
            }
            "vmap" => self.ends_of_map(value, chain, packet, depth),
            // Match or target of an extension of iptables, or a program.
            "xt" | "queue" => Outcomes::ANY,
            _ => return None,
        })
    }

    /// Possible ends of a map from values to verdicts.
    fn ends_of_map(
        &self,
        map: &Value,
        chain: &Chain,
        packet: &Passage<'_>,
        depth: usize,
    ) -> Outcomes {
        let Some(elements) = map["data"]["set"].as_array() else {
            return Outcomes::ANY;
        };
        let mut all = Outcomes::default();
        for element in elements {
            let truth = is_equal(&map["key"], &element[0], packet);
            if truth == Truth::False {
                continue;
            }
            let ends = self.ends(&element[1], chain, packet, depth);
            let ends = ends.unwrap_or(Outcomes::ANY);
            if truth == Truth::True {
                return ends;
            }
            all.accepts |= ends.accepts;
            all.drops |= ends.drops;
        }
        all.falls_through = true;
        all
    }
}

/// Whether the chain ends here: a call that does not come back, too.
fn is_last(statement: &Value) -> bool {
    ["return", "goto"]
        .iter()
        .any(|word| statement.get(word).is_some())
}

/// Conjunction of conditions: `None` if one is false, otherwise whether all are known to be true.
fn and(before: Option<bool>, next: Truth) -> Option<bool> {
    match next {
        Truth::False => None,
        Truth::True => before,
        Truth::Unknown => before.map(|_| false),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    True,
    False,
    Unknown,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// Evaluates a statement that may be a condition. Other statements are true.
fn condition(statement: &Value, packet: &Passage<'_>) -> Truth {
    let Some((word, value)) = statement.as_object().and_then(|all| all.iter().next()) else {
        return Truth::Unknown;
    };
    match word.as_str() {
        "match" => compare(value, packet),
        "limit" | "quota" | "ct count" | "xt" => Truth::Unknown,
        _ => Truth::True,
    }
}

/// Evaluates a comparison.
fn compare(comparison: &Value, packet: &Passage<'_>) -> Truth {
    let (left, right) = (&comparison["left"], &comparison["right"]);
    let truth = is_equal(left, right, packet);
    match (comparison["op"].as_str(), truth) {
        (Some("==" | "in"), truth) => truth,
        (Some("!="), Truth::True) => Truth::False,
        (Some("!="), Truth::False) => Truth::True,
        _ => Truth::Unknown,
    }
}

/// Whether a property of the packet is among the values of `right`.
fn is_equal(left: &Value, right: &Value, packet: &Passage<'_>) -> Truth {
    let (meta, payload) = (&left["meta"]["key"], &left["payload"]);
    let field = payload["field"].as_str().unwrap_or_default();
    match (meta.as_str(), payload["protocol"].as_str(), field) {
        (Some(key), ..) if packet.direction.keys().contains(&key) => {
            any(right, |value| is_interface(value, packet.interface))
        }
        (Some("l4proto"), ..) | (_, Some("ip"), "protocol") | (_, Some("ip6"), "nexthdr") => {
            any(right, is_vrrp)
        }
        (Some("nfproto"), ..) => any(right, |value| {
            let is_v4 = packet.family == Family::V4;
            (value == if is_v4 { "ipv4" } else { "ipv6" }).into()
        }),
        (Some("protocol"), ..) => any(right, |value| {
            let is_v4 = packet.family == Family::V4;
            (value == if is_v4 { "ip" } else { "ip6" }).into()
        }),
        (Some("pkttype"), ..) => {
            let is_multicast = packet.destination.is_some_and(|it| it.is_multicast());
            any(right, |value| {
                (value == if is_multicast { "multicast" } else { "host" }).into()
            })
        }
        (_, Some("ip" | "ip6"), "saddr") => any(right, |value| covers(value, packet.source)),
        (_, Some("ip" | "ip6"), "daddr") => any(right, |value| covers(value, packet.destination)),
        (_, Some("ip"), "ttl") | (_, Some("ip6"), "hoplimit") => any(right, |value| {
            (value.as_u64() == Some(packet.hop_limit)).into()
        }),
        // Fields of other transport protocols.
        (_, Some("tcp" | "udp" | "icmp" | "icmpv6" | "sctp" | "dccp" | "esp" | "ah"), _) => {
            Truth::False
        }
        // No packet answers an advertisement, so that each of them is a new connection.
        _ if left["ct"]["key"] == "state" => any(right, |value| (value == "new").into()),
        // The reverse path: true is an existing one.
        _ if left["fib"]["result"] == "oif" && packet.is_from_own_network => {
            (*right != Value::Bool(false)).into()
        }
        _ => Truth::Unknown,
    }
}

/// Whether one of the values of a comparison's right side is it.
fn any(right: &Value, is_it: impl Fn(&Value) -> Truth) -> Truth {
    let values = match right["set"].as_array().or_else(|| right.as_array()) {
        Some(values) => values.as_slice(),
        None => std::slice::from_ref(right),
    };
    let truths: Vec<Truth> = values.iter().map(is_it).collect();
    match truths {
        truths if truths.contains(&Truth::True) => Truth::True,
        truths if truths.contains(&Truth::Unknown) => Truth::Unknown,
        _ => Truth::False,
    }
}

/// Whether a value is the name of the interface, or a pattern for it: `eth*`.
fn is_interface(value: &Value, interface: &str) -> Truth {
    match value.as_str() {
        Some(name) if is_set(name) => Truth::Unknown,
        Some(name) => match name.strip_suffix('*') {
            Some(beginning) => interface.starts_with(beginning).into(),
            None => (name == interface).into(),
        },
        None => Truth::Unknown,
    }
}

fn is_vrrp(value: &Value) -> Truth {
    match (value.as_u64(), value.as_str()) {
        (Some(number), _) => (number == VRRP).into(),
        (_, Some(name)) if is_set(name) => Truth::Unknown,
        (_, Some(name)) => ["vrrp", "112", "carp"].contains(&name).into(),
        _ => Truth::Unknown,
    }
}

/// Whether an address or a network contains the packet's address.
fn covers(value: &Value, address: Option<IpAddr>) -> Truth {
    let prefix = &value["prefix"];
    let network = match (
        value.as_str(),
        prefix["addr"].as_str(),
        prefix["len"].as_u64(),
    ) {
        (Some(one), ..) if is_set(one) => return Truth::Unknown,
        (Some(one), ..) => one.to_owned(),
        (_, Some(network), Some(length)) => format!("{network}/{length}"),
        _ => return Truth::Unknown,
    };
    let Some(address) = address else {
        return Truth::Unknown;
    };
    if let Ok(one) = network.parse::<IpAddr>() {
        return (one == address).into();
    }
    match network.parse::<InterfaceAddress>() {
        Ok(network) => network.is_network_of(address).into(),
        Err(_) => Truth::Unknown,
    }
}

/// Whether a value is the name of a set.
fn is_set(name: &str) -> bool {
    name.starts_with('@')
}

impl Chain {
    fn of(chain: &Value) -> Self {
        Self::named(chain, "name")
    }

    fn of_rule(rule: &Value) -> Self {
        Self::named(rule, "chain")
    }

    fn named(object: &Value, key: &str) -> Self {
        let word = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        Self {
            family: word("family"),
            table: word("table"),
            name: word(key),
        }
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.family, self.table, self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;

    use super::*;

    /// Advertisement of a host on the same network.
    fn advert() -> Passage<'static> {
        Passage {
            direction: Direction::In,
            interface: "eth1",
            family: Family::V4,
            source: None,
            destination: Some(Ipv4Addr::new(224, 0, 0, 18).into()),
            is_from_own_network: true,
            hop_limit: 255,
        }
    }

    /// Verdict of a table `inet filter` with the chain `input` (policy drop) and a chain `called`.
    fn verdict(input: &[Value], called: &[Value]) -> Verdict {
        let chain = |name: &str| json!({ "family": "inet", "table": "filter", "name": name });
        let mut base = chain("input");
        base["type"] = "filter".into();
        base["hook"] = "input".into();
        base["prio"] = 0.into();
        base["policy"] = "drop".into();
        let rule = |name: &str, expr: &Value| json!({ "rule": { "family": "inet", "table": "filter", "chain": name, "expr": expr } });
        let mut objects = vec![
            json!({ "chain": base }),
            json!({ "chain": chain("called") }),
        ];
        objects.extend(input.iter().map(|expr| rule("input", expr)));
        objects.extend(called.iter().map(|expr| rule("called", expr)));
        evaluate(&json!({ "nftables": objects }), &advert())
    }

    fn dropped() -> Verdict {
        Verdict::Dropped(input())
    }

    fn input() -> Chain {
        Chain {
            family: "inet".to_owned(),
            table: "filter".to_owned(),
            name: "input".to_owned(),
        }
    }

    fn matching(left: Value, right: Value) -> Value {
        json!({ "match": { "op": "==", "left": left, "right": right } })
    }

    fn protocol(name: &str) -> Value {
        matching(json!({ "meta": { "key": "l4proto" } }), name.into())
    }

    fn interface(name: &str) -> Value {
        matching(json!({ "meta": { "key": "iifname" } }), name.into())
    }

    fn from_set() -> Value {
        let source = json!({ "payload": { "protocol": "ip", "field": "saddr" } });
        matching(source, "@peers".into())
    }

    fn accept() -> Value {
        json!({ "accept": null })
    }

    #[test]
    fn policy_drop_without_a_rule_drops_advertisements() {
        assert_eq!(verdict(&[], &[]), dropped());
        let others = [
            json!([protocol("tcp"), accept()]),
            json!([interface("lo"), accept()]),
        ];
        assert_eq!(verdict(&others, &[]), dropped());
        assert_eq!(
            evaluate(&json!({ "nftables": [] }), &advert()),
            Verdict::Accepted
        );
    }

    #[test]
    fn rule_for_the_protocol_accepts_advertisements() {
        for name in ["vrrp", "112"] {
            let rule = json!([interface("eth*"), protocol(name), { "counter": null }, accept()]);
            assert_eq!(verdict(&[rule], &[]), Verdict::Accepted, "{name}");
        }
        let group = matching(
            json!({ "payload": { "protocol": "ip", "field": "daddr" } }),
            json!({ "prefix": { "addr": "224.0.0.0", "len": 4 } }),
        );
        assert_eq!(verdict(&[json!([group, accept()])], &[]), Verdict::Accepted);
        let both = matching(
            json!({ "meta": { "key": "l4proto" } }),
            json!({ "set": ["tcp", "vrrp"] }),
        );
        assert_eq!(verdict(&[json!([both, accept()])], &[]), Verdict::Accepted);
    }

    #[test]
    fn condition_that_is_not_evaluated_leaves_the_verdict_open() {
        let rule = json!([protocol("vrrp"), from_set(), accept()]);
        assert_eq!(verdict(&[rule], &[]), Verdict::Unknown(input()));
        // What follows does not matter where both ends are the same.
        let drops = json!([from_set(), { "drop": null }]);
        assert_eq!(verdict(&[drops], &[]), dropped());
    }

    #[test]
    fn called_chains_return_and_maps_select_verdicts() {
        let call = |word: &str| json!([{ word: { "target": "called" } }]);
        let accepting = [json!([protocol("vrrp"), accept()])];
        let dropping = json!([{ "drop": null }]);
        assert_eq!(
            verdict(&[call("jump"), dropping.clone()], &accepting),
            Verdict::Accepted
        );
        // A call that does not come back ends with the policy.
        let after = json!([protocol("vrrp"), accept()]);
        assert_eq!(verdict(&[call("goto"), after.clone()], &[]), dropped());
        assert_eq!(verdict(&[call("jump"), after], &[]), Verdict::Accepted);
        // As in the firewall of NixOS.
        let states = json!([{ "vmap": {
            "key": { "ct": { "key": "state" } },
            "data": { "set": [
                ["invalid", { "drop": null }],
                ["established", { "accept": null }],
                ["new", { "jump": { "target": "called" } }],
            ] },
        } }]);
        assert_eq!(
            verdict(std::slice::from_ref(&states), &accepting),
            Verdict::Accepted
        );
        assert_eq!(verdict(&[states], &[]), dropped());
    }

    #[test]
    fn only_chains_of_the_direction_are_evaluated() {
        let drops = |family: &str, hook: &str, dev: &str| {
            let chain = json!({ "chain": {
                "family": family, "table": "filter", "name": "drops", "dev": dev,
                "type": "filter", "hook": hook, "prio": 0, "policy": "drop",
            } });
            let ruleset = json!({ "nftables": [chain] });
            [Direction::In, Direction::Out].map(|direction| {
                let packet = Passage {
                    direction,
                    ..advert()
                };
                evaluate(&ruleset, &packet) != Verdict::Accepted
            })
        };
        for (family, hook) in [
            ("inet", "input"),
            ("ip", "prerouting"),
            ("netdev", "ingress"),
        ] {
            assert_eq!(drops(family, hook, "eth1"), [true, false], "{hook}");
        }
        for (family, hook) in [
            ("inet", "output"),
            ("ip", "postrouting"),
            ("netdev", "egress"),
        ] {
            assert_eq!(drops(family, hook, "eth1"), [false, true], "{hook}");
        }
        assert_eq!(drops("netdev", "ingress", "eth2"), [false, false]);
        assert_eq!(drops("ip6", "input", ""), [false, false]);
        assert_eq!(drops("inet", "forward", ""), [false, false]);
    }

    #[test]
    fn chain_that_calls_itself_is_followed_a_limited_number_of_times() {
        let calls = json!([from_set(), { "jump": { "target": "called" } }]);
        assert_eq!(
            verdict(std::slice::from_ref(&calls), std::slice::from_ref(&calls)),
            dropped()
        );
    }
}
