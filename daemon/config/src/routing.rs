//! Routes and rules in the configuration, which exist while the instance is master.

use core::fmt;
use core::num::{NonZeroU8, NonZeroU32};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use vrrp_proto::Family;
use vrrp_proto::routing::{
    self as kernel, Network, NextHop, RouteError, RoutePlace, Routed, RuleError, Selector, Table,
};

use crate::address::HostAddress;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, InterfaceName, Number};

/// Route that exists in the kernel while the instance is master.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Route {
    /// Destination network, like `10.0.0.0/8` or `2001:db8::/32`, or `default`, which has the
    /// family of the gateway, else of the source, else of the first virtual address.
    destination: Field<Destination>,
    /// Address of the next router. Default: none, the destination is on the link of the device.
    #[serde(default)]
    gateway: Field<HostAddress>,
    /// Outgoing device, 1 to 15 bytes. Default: the device of the gateway's network; without a
    /// gateway the interface of the instance.
    #[serde(default)]
    device: Field<InterfaceName>,
    /// Preferred source address of packets that this host sends on the route, such as a virtual
    /// address. Default: the kernel's choice.
    #[serde(default)]
    source: Field<HostAddress>,
    /// Number of the routing table, 1 to 4294967295. Default: 254 (`main`).
    #[serde(default)]
    table: Field<BoundedInteger<Table>>,
    /// Metric, 0 to 4294967295: of several routes to the same destination the one with the lowest
    /// metric is used. Default: 0, and 1024 for IPv6.
    #[serde(default)]
    metric: Field<BoundedInteger<Rank>>,
    /// Scope of the route, IPv4 only: `global`, `link`, `host` or a number, 0 to 255. Default:
    /// `global` with a gateway, else `link`.
    #[serde(default)]
    scope: Field<Scope>,
    /// Whether the gateway is on the link of the device although no address of the device covers
    /// it. Default: false.
    #[serde(default)]
    on_link: Field<bool>,
    /// Several next hops that share the traffic (multipath), instead of `gateway`, `device` and
    /// `onLink`. Default: none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    next_hops: Field<Vec<Field<Hop>>>,
}

/// Next hop of a multipath route: a gateway, a device, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Hop {
    /// Address of the next router. Default: none, the destination is on the link of the device.
    #[serde(default)]
    gateway: Field<HostAddress>,
    /// Outgoing device, 1 to 15 bytes. Default: the device of the gateway's network.
    #[serde(default)]
    device: Field<InterfaceName>,
    /// Relative share of the traffic, 1 to 255. Default: 1.
    #[serde(default)]
    weight: Field<BoundedInteger<Share>>,
    /// Whether the gateway is on the link of the device although no address of the device covers
    /// it. Default: false.
    #[serde(default)]
    on_link: Field<bool>,
}

/// Policy routing rule (ip-rule(8)), which exists in the kernel while the instance is master. A
/// packet that matches all selectors of the rule is looked up in its table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// Source network of the packets. A rule with neither `from` nor `to` applies to the families
    /// of the virtual addresses, without any to IPv4. A rule for every packet names all addresses of a family,
    /// `0.0.0.0/0` or `::/0`, here or in `to`. Default: any.
    #[serde(default)]
    from: Field<NetworkText>,
    /// Destination network of the packets. Default: any.
    #[serde(default)]
    to: Field<NetworkText>,
    /// Incoming device, 1 to 15 bytes; `lo` for packets that this host sends. Default: any.
    #[serde(default)]
    iif: Field<InterfaceName>,
    /// Outgoing device to which the sending socket is bound, 1 to 15 bytes. Default: any.
    #[serde(default)]
    oif: Field<InterfaceName>,
    /// Firewall mark of the packets, 1 to 4294967295. Default: any.
    #[serde(default)]
    fwmark: Field<BoundedInteger<Mark>>,
    /// Number of the routing table to look up, 1 to 4294967295.
    table: Field<BoundedInteger<Table>>,
    /// Priority of the rule, 0 to 4294967295: rules with a lower number come first. Default: 32765,
    /// just before the rule of the table `main`.
    #[serde(default)]
    priority: Field<BoundedInteger<Rank>>,
}

/// Properties of the instance that its routes and rules depend on.
#[derive(Debug)]
pub(crate) struct Context<'i> {
    pub(crate) interface: &'i Arc<str>,
    /// Families of the virtual addresses, that of the first address first.
    pub(crate) families: &'i [Family],
}

/// Path of the first occurrence of each route and each rule.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<Routed, Path>);

impl Seen {
    /// Records `what`, and reports it if it occurred before.
    fn note(&mut self, what: Routed, path: &Path, remedy: &str, findings: &mut Findings) {
        if let Some(other) = self.0.get(&what) {
            findings.add(path, format!("{other} is the same: {remedy}"));
        } else {
            self.0.insert(what, path.clone());
        }
    }
}

impl Route {
    /// Returns the route for the engine. `None` if a problem has been reported.
    pub(crate) fn lower(
        &self,
        path: &Path,
        around: &Context<'_>,
        seen: &mut Seen,
        findings: &mut Findings,
    ) -> Option<kernel::Route> {
        let example = r#""destination": "default", or a network like "10.0.0.0/8""#;
        let destination = self
            .destination
            .required(&path.key("destination"), example, findings);
        let hops = self.hops(path, around, findings);
        let source = self.source.optional().map(|source| source.map(|s| s.0));
        let table = self.table.optional();
        let metric = self.metric.optional();
        let scope = self.scope.optional();
        let (hops, source) = (hops?, source?);

        let said = hops.iter().find_map(|(_, hop)| hop.gateway()).or(source);
        let destination = match *destination? {
            Destination::Network(network) => network,
            Destination::Default => {
                let first = around.families.first().copied().unwrap_or(Family::V4);
                Network::everything(said.map_or(first, Family::of))
            }
        };
        let place = RoutePlace::new(
            destination,
            table?.map_or(Table::MAIN, |table| table.0),
            metric?.map(|metric| metric.0.0),
        );
        let remedy = "keep one of them, or choose another \"metric\" or \"table\"";
        seen.note(Routed::Route(place), path, remedy, findings);

        let family = destination.family();
        let mut is_right = true;
        for (path, hop) in &hops {
            if hop.gateway().is_some_and(|g| Family::of(g) != family) {
                let wrong = RouteError::GatewayFamily {
                    destination: family,
                };
                findings.add(&path.key("gateway"), wrong.to_string());
                is_right = false;
            }
        }
        let hops: Vec<NextHop> = hops.into_iter().map(|(_, hop)| hop).collect();
        if !is_right {
            return None;
        }
        let mut explain = |wrong: RouteError, key: &str| {
            findings.add(&path.key(key), wrong.to_string());
        };
        let mut route = kernel::Route::new(place, hops)
            .map_err(|wrong| explain(wrong, "nextHops"))
            .ok()?;
        if let Some(source) = source {
            route = route
                .with_source(source)
                .map_err(|wrong| explain(wrong, "source"))
                .ok()?;
        }
        if let Some(Scope(scope)) = scope? {
            route = route
                .with_scope(*scope)
                .map_err(|wrong| explain(wrong, "scope"))
                .ok()?;
        }
        Some(route)
    }

    /// Returns the next hops with their paths, at least one.
    fn hops(
        &self,
        path: &Path,
        around: &Context<'_>,
        findings: &mut Findings,
    ) -> Option<Vec<(Path, NextHop)>> {
        let Some(several) = self.next_hops.optional()? else {
            let is_bare = !self.gateway.is_present() && !self.device.is_present();
            let hop = SingleHop {
                gateway: &self.gateway,
                device: &self.device,
                on_link: &self.on_link,
                interface: is_bare.then_some(around.interface),
            };
            return Some(vec![(path.clone(), hop.lower(path, findings)?)]);
        };
        let given = [
            ("gateway", self.gateway.is_present()),
            ("device", self.device.is_present()),
            ("onLink", self.on_link.is_present()),
        ];
        for (key, _) in given.iter().filter(|(_, given)| *given) {
            findings.add(
                &path.key(key),
                "not allowed beside \"nextHops\": move it into each next hop, or leave \"nextHops\" out",
            );
        }
        let path = path.key("nextHops");
        if several.is_empty() {
            findings.add(
                &path,
                "must not be empty: list the next hops, or write \"gateway\" instead",
            );
            return None;
        }
        let lowered: Vec<_> = (0..)
            .zip(several)
            .map(|(index, hop)| {
                let path = path.index(index);
                let hop = hop.value()?.lower(&path, findings)?;
                Some((path, hop))
            })
            .collect();
        lowered.into_iter().collect()
    }
}

impl Hop {
    fn lower(&self, path: &Path, findings: &mut Findings) -> Option<NextHop> {
        let hop = SingleHop {
            gateway: &self.gateway,
            device: &self.device,
            on_link: &self.on_link,
            interface: None,
        };
        let hop = hop.lower(path, findings);
        let weight = self.weight.optional()?;
        let weight = weight.map_or(NonZeroU8::MIN, |weight| weight.0.0);
        Some(hop?.with_weight(weight))
    }
}

/// Gateway and device of a route or of one of its next hops.
struct SingleHop<'r> {
    gateway: &'r Field<HostAddress>,
    device: &'r Field<InterfaceName>,
    on_link: &'r Field<bool>,
    /// Device if neither gateway nor device is given.
    interface: Option<&'r Arc<str>>,
}

impl SingleHop<'_> {
    fn lower(&self, path: &Path, findings: &mut Findings) -> Option<NextHop> {
        let gateway = self.gateway.optional()?.map(|gateway| gateway.0);
        let device = self.device.optional()?.map(|name| &name.0);
        let on_link = self.on_link.optional()?.copied().unwrap_or(false);
        let device = device.or(self.interface).cloned();
        let hop = NextHop::new(gateway, device)
            .map_err(|wrong| {
                let is_gateway = matches!(wrong, RouteError::LinkLocal { .. });
                let gateway = is_gateway.then(|| path.key("gateway"));
                findings.add(gateway.as_ref().unwrap_or(path), wrong.to_string());
            })
            .ok()?;
        if !on_link {
            return Some(hop);
        }
        hop.on_link()
            .map_err(|wrong| findings.add(&path.key("onLink"), wrong.to_string()))
            .ok()
    }
}

impl Rule {
    /// Priority, if the rule is for every packet of a family.
    pub(crate) fn priority_for_all(&self) -> Option<u32> {
        let is_any = |network: &Field<NetworkText>| {
            let network = network.optional();
            network.is_some_and(|network| network.is_none_or(|network| network.0.prefix() == 0))
        };
        let selects_all = is_any(&self.from)
            && is_any(&self.to)
            && !self.iif.is_present()
            && !self.oif.is_present()
            && !self.fwmark.is_present();
        let priority = self.priority.optional()?;
        selects_all.then(|| priority.map_or(kernel::Rule::DEFAULT_PRIORITY, |rank| rank.0.0))
    }

    /// Returns the rules for the engine, one for each address family that the rule applies to.
    /// `None` if a problem has been reported.
    pub(crate) fn lower(
        &self,
        path: &Path,
        around: &Context<'_>,
        seen: &mut Seen,
        findings: &mut Findings,
    ) -> Option<Vec<kernel::Rule>> {
        let example = r#""table": 100, the number of the table to look up"#;
        let table = self.table.required(&path.key("table"), example, findings);
        let network = |given: &Field<NetworkText>| Some(given.optional()?.map(|text| text.0));
        let name =
            |given: &Field<InterfaceName>| Some(given.optional()?.map(|name| name.0.clone()));
        let selector = Selector {
            from: network(&self.from)?,
            to: network(&self.to)?,
            iif: name(&self.iif)?,
            oif: name(&self.oif)?,
            fwmark: self.fwmark.optional()?.map(|mark| mark.0.0),
        };
        let priority = self.priority.optional()?;
        let priority = priority.map_or(kernel::Rule::DEFAULT_PRIORITY, |rank| rank.0.0);
        let family = selector.from.or(selector.to).map(Network::family);
        let families = match &family {
            Some(family) => core::slice::from_ref(family),
            None => around.families,
        };
        if selector == Selector::default() {
            findings.add(
                path,
                "selects every packet: if that is meant, write \"to\": \"0.0.0.0/0\", or \"::/0\" for IPv6; else \
                 write \"from\", \"to\", \"iif\", \"oif\" or \"fwmark\"",
            );
            return None;
        }
        // A missing table must not hide the problems of the selectors.
        let table = table.map(|table| table.0);
        let rules: Result<Vec<_>, RuleError> = families
            .iter()
            .map(|family| {
                let table = table.unwrap_or(Table::MAIN);
                kernel::Rule::new(*family, selector.clone(), table, priority)
            })
            .collect();
        match rules {
            Ok(rules) => {
                table?;
                for rule in &rules {
                    let what = Routed::Rule(rule.clone());
                    seen.note(what, path, "keep one of them", findings);
                }
                Some(rules)
            }
            Err(wrong) => {
                let path = match wrong {
                    RuleError::Family => path.key("to"),
                };
                findings.add(&path, wrong.to_string());
                None
            }
        }
    }
}

/// Destination of a route.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Destination {
    Default,
    Network(Network),
}

impl TryFrom<String> for Destination {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "default" {
            return Ok(Self::Default);
        }
        let network = NetworkText::try_from(text);
        network
            .map(|network| Self::Network(network.0))
            .map_err(|wrong| match wrong.strip_prefix("must be ") {
                Some(rest) => format!("must be \"default\", or {rest}"),
                None => wrong,
            })
    }
}

impl JsonSchema for Destination {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Destination".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let network = NetworkText::json_schema(generator);
        json_schema!({ "anyOf": [{ "type": "string", "const": "default" }, network] })
    }
}

/// Network with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct NetworkText(Network);

impl TryFrom<String> for NetworkText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let network: Result<Network, _> = text.parse();
        network.map(Self).map_err(|wrong| wrong.to_string())
    }
}

impl JsonSchema for NetworkText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": concat!(
                r"^([0-9]{1,3}(\.[0-9]{1,3}){3}(/([0-9]|[12][0-9]|3[0-2]))?",
                r"|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))?)$",
            ),
            "examples": ["10.0.0.0/8", "2001:db8::/32"],
        })
    }
}

/// Scope of a route.
#[derive(Clone, Copy, Debug)]
struct Scope(kernel::Scope);

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrNumber;

        impl Visitor<'_> for WordOrNumber {
            type Value = Scope;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#""global", "link", "host", or a number, 0 to 255"#)
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Scope, E> {
                match word {
                    "global" => Ok(Scope(kernel::Scope::GLOBAL)),
                    "link" => Ok(Scope(kernel::Scope::LINK)),
                    "host" => Ok(Scope(kernel::Scope::HOST)),
                    _ => Err(E::custom(format_args!(
                        "must be {}",
                        &self as &dyn serde::de::Expected
                    ))),
                }
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Scope, E> {
                let number = u8::try_from(number);
                number
                    .map(|number| Scope(kernel::Scope(number)))
                    .map_err(|_| E::custom("must be 0 to 255"))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Scope, E> {
                Err(E::custom("must be 0 to 255"))
            }
        }

        deserializer.deserialize_any(WordOrNumber)
    }
}

impl JsonSchema for Scope {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RouteScope".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "enum": ["global", "link", "host"] },
                { "type": "integer", "minimum": 0, "maximum": 255 },
            ],
        })
    }
}

impl Number for Table {
    const RANGE: (i64, i64) = (1, u32::MAX as i64);
    const RULE: &'static str = "must be 1 to 4294967295; the table \"main\" is 254";

    fn from_number(number: i64) -> Option<Self> {
        u32::try_from(number).ok().and_then(Self::new)
    }

    fn number(self) -> i64 {
        self.get().into()
    }
}

/// Metric of a route, or priority of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rank(u32);

impl Number for Rank {
    const RANGE: (i64, i64) = (0, u32::MAX as i64);
    const RULE: &'static str = "must be 0 to 4294967295";

    fn from_number(number: i64) -> Option<Self> {
        u32::try_from(number).ok().map(Self)
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// Firewall mark of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark(NonZeroU32);

impl Number for Mark {
    const RANGE: (i64, i64) = (1, u32::MAX as i64);
    const RULE: &'static str = "must be 1 to 4294967295";

    fn from_number(number: i64) -> Option<Self> {
        let number = u32::try_from(number).ok()?;
        NonZeroU32::new(number).map(Self)
    }

    fn number(self) -> i64 {
        self.0.get().into()
    }
}

/// Share of the traffic of a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share(NonZeroU8);

impl Number for Share {
    const RANGE: (i64, i64) = (1, 255);
    const RULE: &'static str = "must be 1 to 255";

    fn from_number(number: i64) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        NonZeroU8::new(number).map(Self)
    }

    fn number(self) -> i64 {
        self.0.get().into()
    }
}
