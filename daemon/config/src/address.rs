//! Virtual addresses in the configuration: a text, or an object with options.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use vrrp_proto::params::{AddressForm, AddressOptions};
use vrrp_proto::{AddressLabel, Family, InterfaceAddress, ParseAddressError};

use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::InterfaceName;

/// A virtual address: a text with the default options, or an object.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) address: Field<VirtualAddress>,
    special: Field<Special>,
    /// Whether it was written as an object.
    pub(crate) object: bool,
}

/// Virtual address with options.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Special {
    /// The address, as ADDRESS/PREFIX; without a prefix length it is /32, or /128 for IPv6.
    address: Field<VirtualAddress>,
    /// Interface that carries the address, 1 to 15 bytes. Advertisements still use the interface of
    /// the instance. Default: the interface of the instance.
    #[serde(default)]
    device: Field<InterfaceName>,
    /// Label of the address (`ip address` shows it), 1 to 15 bytes, IPv4 only. Default: the name of
    /// the interface.
    #[serde(default)]
    label: Field<Label>,
    /// Scope of the address: `global`, `site` (IPv6, deprecated), `link` or `host`. Default:
    /// `global`.
    #[serde(default)]
    scope: Field<Scope>,
    /// Broadcast address, IPv4 only, or `auto` for the last address of the network. Default: none.
    #[serde(default)]
    broadcast: Field<Broadcast>,
    /// Preferred lifetime: time during which the kernel prefers the address as the source of new
    /// connections, in whole seconds; 0 is never. Default: unlimited, and 0 for an IPv6 address
    /// with a prefix of 128 bits.
    #[serde(default)]
    preferred_lifetime: Field<BoundedDuration>,
    /// Whether the kernel adds a route to the network of the address while this host has it. Without
    /// (`noprefixroute` of ip-address(8)), an address with the prefix of its network takes no traffic
    /// away from another interface of the same network. Default: true.
    #[serde(default = "yes")]
    prefix_route: Field<bool>,
    /// Whether advertisements list the address. All hosts of a virtual router have to list the same
    /// addresses. Default: true.
    #[serde(default = "yes")]
    advertise: Field<bool>,
}

const fn yes() -> Field<bool> {
    Field::Value(true)
}

impl Entry {
    /// Keys of the object: those of [`Special`].
    const KEYS: &'static [&'static str] = &[
        "address",
        "advertise",
        "broadcast",
        "device",
        "label",
        "preferredLifetime",
        "prefixRoute",
        "scope",
    ];

    /// Path of the address in the entry at `path`.
    pub(crate) fn path(&self, path: Path) -> Path {
        if self.object {
            path.key("address")
        } else {
            path
        }
    }

    /// Interface that carries the address, if it is configured.
    pub(crate) fn device(&self) -> Option<&InterfaceName> {
        self.special.value()?.device.value()
    }

    /// Whether advertisements list the address.
    pub(crate) fn is_advertised(&self) -> bool {
        let special = self.special.value();
        special.is_none_or(|special| special.advertise.value() != Some(&false))
    }

    /// Returns the address and its options for the engine. `None` if a problem has been reported.
    pub(crate) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(InterfaceAddress, AddressOptions)> {
        if !self.object {
            return Some((self.address.value()?.0, AddressOptions::default()));
        }
        let special = self.special.value()?;
        let example = r#""address": "192.168.224.100/24""#;
        let address = special
            .address
            .required(&path.key("address"), example, findings)?
            .0;
        let only_ipv4 = |given: bool, key: &str, findings: &mut Findings| {
            if given && address.family() == Family::V6 {
                findings.add(&path.key(key), "not available for IPv6: leave it out");
            }
        };
        only_ipv4(special.label.is_present(), "label", findings);
        only_ipv4(special.broadcast.is_present(), "broadcast", findings);
        let preferred_lifetime = special.preferred_lifetime.optional()?.map(|span| {
            let seconds = u32::try_from(span.0.as_secs()).ok();
            if span.0.subsec_nanos() > 0 || seconds.is_none_or(|seconds| seconds == u32::MAX) {
                findings.add(
                    &path.key("preferredLifetime"),
                    "must be 0s to 4294967294s in whole seconds",
                );
            }
            seconds.unwrap_or_default()
        });
        let broadcast = special.broadcast.optional()?;
        Some((
            address,
            AddressOptions {
                device: special.device.optional()?.map(|name| name.0.clone()),
                advertise: *special.advertise.value()?,
                form: AddressForm {
                    label: special.label.optional()?.map(|label| label.0),
                    scope: special.scope.optional()?.map(|scope| scope.number()),
                    broadcast: broadcast.and_then(|broadcast| broadcast.of(address)),
                    preferred_lifetime,
                    no_prefix_route: !*special.prefix_route.value()?,
                },
            },
        ))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrObject;

        impl<'de> Visitor<'de> for TextOrObject {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"an address like "192.168.224.100/24" or { "address": ... }"#)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Entry, E> {
                let address = VirtualAddress::try_from(text.to_owned()).map_err(E::custom)?;
                Ok(Entry {
                    address: Field::Value(address),
                    special: Field::Absent,
                    object: false,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                let special = Special::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Entry {
                    address: special.address,
                    special: Field::Value(special),
                    object: true,
                })
            }
        }

        deserializer.deserialize_struct("VirtualAddress", Self::KEYS, TextOrObject)
    }
}

impl JsonSchema for Entry {
    fn schema_name() -> Cow<'static, str> {
        "VirtualAddress".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = VirtualAddress::json_schema(generator);
        json_schema!({ "anyOf": [text, Special::json_schema(generator)] })
    }
}

/// Virtual address with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct VirtualAddress(pub(crate) InterfaceAddress);

impl TryFrom<String> for VirtualAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let prefix = |longest| format!("the prefix length must be 1 to {longest}");
        let parsed: InterfaceAddress = text.parse().map_err(|error| match error {
            ParseAddressError::Address => {
                "must be an address with its prefix, like 192.168.224.100/24 or 2001:db8::100/64"
                    .to_owned()
            }
            ParseAddressError::Prefix(longest) => prefix(longest),
        })?;
        HostAddress::check(parsed.address)?;
        if parsed.prefix == 0 {
            return Err(prefix(parsed.family().address_bits()));
        }
        Ok(Self(parsed))
    }
}

impl JsonSchema for VirtualAddress {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AddressWithPrefix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An address as ADDRESS/PREFIX.",
            "type": "string",
            "pattern": concat!(
                r"^([0-9]{1,3}(\.[0-9]{1,3}){3}(/([1-9]|[12][0-9]|3[0-2]))?",
                r"|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(/([1-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))?)$",
            ),
            "examples": ["192.168.224.100/24", "2001:db8::100/64"],
        })
    }
}

/// Address without a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PlainAddress(pub(crate) IpAddr);

impl TryFrom<String> for PlainAddress {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let address = text
            .parse()
            .map_err(|_| "must be an address without a prefix, like 192.168.224.11 or fe80::11")?;
        Ok(Self(address))
    }
}

impl JsonSchema for PlainAddress {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$",
        })
    }
}

/// Address without a prefix length that a host on a network can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HostAddress(pub(crate) IpAddr);

impl HostAddress {
    /// Checks that other hosts can reach a host at `address`. The error says what the address is instead.
    pub(crate) fn check(address: IpAddr) -> Result<(), String> {
        let is_in_first_network = |v4: Ipv4Addr| v4.octets()[0] == 0;
        let what = match address {
            IpAddr::V4(v4) if is_in_first_network(v4) => {
                "0.0.0.0/8 is no network of hosts (RFC 6890)"
            }
            IpAddr::V4(v4) if v4.is_loopback() => "127.0.0.0/8 never leaves the host (RFC 6890)",
            IpAddr::V4(Ipv4Addr::BROADCAST) => "this is the broadcast address",
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => "this is no address of a host (RFC 4291)",
            IpAddr::V6(Ipv6Addr::LOCALHOST) => "::1 never leaves the host (RFC 4291)",
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => {
                    return Err(format!(
                        "must not be an IPv4-mapped address, which is none of a network (RFC 4291): write {v4}"
                    ));
                }
                None if v6.is_multicast() => "this is a multicast group",
                None => return Ok(()),
            },
            IpAddr::V4(v4) if v4.is_multicast() => "this is a multicast group",
            IpAddr::V4(_) => return Ok(()),
        };
        Err(format!("must be a unicast address of a network: {what}"))
    }
}

impl TryFrom<String> for HostAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let PlainAddress(address) = PlainAddress::try_from(text)?;
        Self::check(address).map(|()| Self(address))
    }
}

impl JsonSchema for HostAddress {
    fn inline_schema() -> bool {
        PlainAddress::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        PlainAddress::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PlainAddress::json_schema(generator)
    }
}

/// Label of an address.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Label(AddressLabel);

impl TryFrom<String> for Label {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        AddressLabel::new(&text)
            .map(Self)
            .ok_or("must be 1 to 15 bytes, like \"eth1:vip\"")
    }
}

impl JsonSchema for Label {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Label".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": 15 })
    }
}

/// Scope of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Scope {
    Global,
    Site,
    Link,
    Host,
}

impl Scope {
    /// Returns its number in the kernel (RT_SCOPE_* of linux/rtnetlink.h).
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Global => 0,
            Self::Site => 200,
            Self::Link => 253,
            Self::Host => 254,
        }
    }
}

/// Broadcast address of a network.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
enum Broadcast {
    Auto,
    Field(Ipv4Addr),
}

impl Broadcast {
    fn of(self, address: InterfaceAddress) -> Option<Ipv4Addr> {
        match self {
            Self::Field(broadcast) => Some(broadcast),
            Self::Auto => {
                let hosts = u32::MAX.checked_shr(address.prefix.into()).unwrap_or(0);
                Some(Ipv4Addr::from_bits(address.ipv4()?.to_bits() | hosts))
            }
        }
    }
}

impl TryFrom<String> for Broadcast {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match (text.as_str(), text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(address)) => Ok(Self::Field(address)),
            (_, Err(_)) => Err("must be an IPv4 address like 192.168.224.255, or \"auto\""),
        }
    }
}

impl JsonSchema for Broadcast {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Broadcast".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(auto|[0-9]{1,3}(\.[0-9]{1,3}){3})$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_keys_match_schema() {
        let schema = serde_json::to_value(schemars::schema_for!(Special)).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, Entry::KEYS);
    }

    #[test]
    fn auto_broadcast_is_last_address_of_network() {
        let auto = |text: &str| {
            let address = text.parse().unwrap();
            Broadcast::Auto.of(address).unwrap().to_string()
        };
        assert_eq!(auto("192.168.224.100/24"), "192.168.224.255");
        assert_eq!(auto("10.1.2.3/8"), "10.255.255.255");
        assert_eq!(auto("10.1.2.3/32"), "10.1.2.3");
    }
}
