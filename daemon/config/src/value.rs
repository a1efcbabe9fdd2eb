//! The single values of the configuration. Each can only hold what is right by itself, and says
//! of anything else what would be right; what is right only together is in
//! [`lower`](crate::lower) and [`check`](crate::check).

use core::net::IpAddr;
use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vrrp_proto::{InterfaceAddress, ParseAddressError, Password, Priority, Version, Vrid};

/// Something that is written as a whole number.
pub(crate) trait Number: Copy {
    /// The least and the greatest of them.
    const RANGE: (i64, i64);
    /// What to write, for people.
    const RULE: &'static str;

    /// What `number` means, if anything.
    fn from_number(number: i64) -> Option<Self>;

    /// How it is written.
    fn number(self) -> i64;
}

/// A [`Number`] in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole<T>(pub(crate) T);

impl Number for Vrid {
    const RANGE: (i64, i64) = (1, 255);
    const RULE: &'static str = "must be 1 to 255";

    fn from_number(number: i64) -> Option<Self> {
        u8::try_from(number).ok().and_then(Self::new)
    }

    fn number(self) -> i64 {
        self.get().into()
    }
}

impl Number for Priority {
    const RANGE: (i64, i64) = (1, 255);
    const RULE: &'static str = "must be 1 to 254, or 255 if this host owns the addresses";

    fn from_number(number: i64) -> Option<Self> {
        u8::try_from(number).ok().and_then(Self::new)
    }

    fn number(self) -> i64 {
        self.get().into()
    }
}

impl Number for Version {
    const RANGE: (i64, i64) = (2, 3);
    const RULE: &'static str = "must be 2 (RFC 3768) or 3 (RFC 9568)";

    fn from_number(number: i64) -> Option<Self> {
        match number {
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            _ => None,
        }
    }

    fn number(self) -> i64 {
        self.number().into()
    }
}

/// What a tracker adds to the priority: -253 to 253, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight(pub(crate) i16);

impl Number for Weight {
    const RANGE: (i64, i64) = (-253, 253);
    const RULE: &'static str =
        "must be -253 to 253 and not 0: without a weight, down means that the instance is in fault";

    fn from_number(number: i64) -> Option<Self> {
        let (least, greatest) = Self::RANGE;
        let weight = i16::try_from(number).ok()?;
        (number != 0 && (least..=greatest).contains(&number)).then_some(Self(weight))
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// How many results in a row it takes: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u32);

impl Number for Count {
    const RANGE: (i64, i64) = (1, 1000);
    const RULE: &'static str = "must be 1 to 1000";

    fn from_number(number: i64) -> Option<Self> {
        u32::try_from(number)
            .ok()
            .filter(|count| (1..=1000).contains(count))
            .map(Self)
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

impl<'de, T: Number> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        T::from_number(number)
            .map(Self)
            .ok_or_else(|| D::Error::custom(T::RULE))
    }
}

impl<T: Number> Serialize for Whole<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.number())
    }
}

impl<T: Number> JsonSchema for Whole<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WholeNumber".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let (minimum, maximum) = T::RANGE;
        if minimum < 0 {
            json_schema!({ "type": "integer", "minimum": minimum, "maximum": maximum, "not": { "const": 0 } })
        } else {
            json_schema!({ "type": "integer", "minimum": minimum, "maximum": maximum })
        }
    }
}

/// The name of an interface, as the kernel takes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct InterfaceName(pub(crate) Arc<str>);

impl TryFrom<String> for InterfaceName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let sane = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':';
        if !(1..=15).contains(&name.len()) {
            Err("must be the name of an interface: 1 to 15 bytes")
        } else if name == "." || name == ".." || !name.chars().all(sane) {
            Err("must be the name of an interface: without spaces, \"/\" and \":\"")
        } else {
            Ok(Self(name.into()))
        }
    }
}

impl JsonSchema for InterfaceName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "InterfaceName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^[^\s/:]{1,15}$" })
    }
}

/// A virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct VirtualAddress(pub(crate) InterfaceAddress);

impl TryFrom<String> for VirtualAddress {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const PREFIX: &str = "the prefix length must be 1 to 32";
        // RFC 9568 5.2.9 MUST: the addresses are of the family of the IP header
        const IPV6: &str = "IPv6 is not supported yet by this version";
        let parsed: InterfaceAddress = text.parse().map_err(|error| match error {
            ParseAddressError::Address => {
                "must be an IPv4 address with its prefix, like 192.168.224.100/24"
            }
            ParseAddressError::Prefix(..=32) => PREFIX,
            ParseAddressError::Prefix(_) => IPV6,
        })?;
        match parsed.address {
            IpAddr::V6(_) => Err(IPV6),
            IpAddr::V4(v4) if v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() => {
                Err("must be an address that a host can have")
            }
            IpAddr::V4(_) if parsed.prefix == 0 => Err(PREFIX),
            IpAddr::V4(_) => Ok(Self(parsed)),
        }
    }
}

impl JsonSchema for VirtualAddress {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "VirtualAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3}){3}(/([1-9]|[12][0-9]|3[0-2]))?$",
            "examples": ["192.168.224.100/24"],
        })
    }
}

/// The password of PASS authentication, 1 to 8 bytes. Its text is in no message and no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PasswordText(pub(crate) Password);

impl TryFrom<String> for PasswordText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let rule = || format!("must be 1 to 8 bytes long, this one is {}", text.len());
        Password::new(text.as_bytes()).map(Self).ok_or_else(rule)
    }
}

impl JsonSchema for PasswordText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Password".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": 8 })
    }
}
