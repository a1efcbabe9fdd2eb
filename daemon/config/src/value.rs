//! Single values of the configuration. A type contains only values that are valid separately, and
//! its error contains the remedy. Conflicts between values are found in [`lower`](crate::lower) and
//! [`check`](crate::check).

use core::fmt;
use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vrrp_proto::wire::hmac::{Key, KeyId};
use vrrp_proto::{Password, Priority, Version, Vrid};

/// A value that is written as a whole number.
pub(crate) trait Number: Copy {
    /// Least and greatest number.
    const RANGE: (i64, i64);
    /// Message about a number that is out of range.
    const RULE: &'static str;

    /// Returns the value that `number` stands for, if it is in range.
    fn from_number(number: i64) -> Option<Self>;

    /// Returns the number that stands for the value.
    fn number(self) -> i64;
}

/// A [`Number`] in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoundedInteger<T>(pub(crate) T);

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

impl Number for KeyId {
    const RANGE: (i64, i64) = (1, 255);
    const RULE: &'static str = "must be the number of a key, 1 to 255";

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

/// Weight of a tracker, added to the priority: -253 to 253, not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight(pub(crate) i16);

impl Number for Weight {
    const RANGE: (i64, i64) = (-253, 253);
    const RULE: &'static str =
        "must be -253 to 253 and not 0; leave it out for a fault while the tracker is down";

    fn from_number(number: i64) -> Option<Self> {
        let (least, greatest) = Self::RANGE;
        let weight = i16::try_from(number).ok()?;
        (number != 0 && (least..=greatest).contains(&number)).then_some(Self(weight))
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// TCP or UDP port: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) u16);

impl Number for Port {
    const RANGE: (i64, i64) = (1, 65_535);
    const RULE: &'static str = "must be 1 to 65535";

    fn from_number(number: i64) -> Option<Self> {
        let port = u16::try_from(number).ok()?;
        (port > 0).then_some(Self(port))
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// Number of results in a row: 1 to 1000.
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

/// Number of times that each announcement is sent: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burst(pub(crate) u8);

impl Number for Burst {
    const RANGE: (i64, i64) = (1, 100);
    const RULE: &'static str = "must be 1 to 100";

    fn from_number(number: i64) -> Option<Self> {
        u8::try_from(number)
            .ok()
            .filter(|times| (1..=100).contains(times))
            .map(Self)
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// Announcements per second: 1 to 1,000,000, or 0 for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace(pub(crate) u32);

impl Number for Pace {
    const RANGE: (i64, i64) = (0, 1_000_000);
    const RULE: &'static str = "must be 1 to 1000000 announcements per second, or 0 for no limit";

    fn from_number(number: i64) -> Option<Self> {
        u32::try_from(number)
            .ok()
            .filter(|pace| *pace <= 1_000_000)
            .map(Self)
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

impl<'de, T: Number> Deserialize<'de> for BoundedInteger<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        T::from_number(number)
            .map(Self)
            .ok_or_else(|| D::Error::custom(T::RULE))
    }
}

impl<T: Number> Serialize for BoundedInteger<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.number())
    }
}

impl<T: Number> JsonSchema for BoundedInteger<T> {
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

/// Name of a network interface, as the kernel accepts it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct InterfaceName(pub(crate) Arc<str>);

impl TryFrom<String> for InterfaceName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let sane = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != ':';
        if !(1..=15).contains(&name.len()) {
            Err(
                "must be the name of an interface: 1 to 15 bytes; a longer one is an alternative name (altname), \
                 write the name that `ip link` shows first",
            )
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

/// Use that keepalived makes of a password that is too long for the field of the packet.
pub(crate) const TRUNCATION: &str = ": keepalived sends the first 8 bytes of a longer one and ignores the \
                                      rest; write those 8 to stay compatible with it";

/// Password of PASS authentication, 1 to 8 bytes. It appears in no message and no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct PasswordText(pub(crate) Password);

impl TryFrom<String> for PasswordText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let rule = || {
            let habit = if text.is_empty() { "" } else { TRUNCATION };
            format!(
                "must be 1 to 8 bytes long, this one is {}{habit}",
                text.len()
            )
        };
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

/// Secret of an HMAC key. It appears in no message and no log.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct KeyText(Vec<u8>);

impl KeyText {
    /// Maximum length of the text in bytes: `hex:` and the hexadecimal digits of 64 bytes.
    pub(crate) const LONGEST: usize = Self::HEX.len() + 2 * *Key::SECRET_LEN.end();

    const HEX: &'static [u8] = b"hex:";

    /// Parses `text`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let secret = match text.strip_prefix(Self::HEX) {
            Some(digits) => hex::decode(digits)
                .map_err(|_| "must have two hexadecimal digits for each byte after \"hex:\"")?,
            None => text.to_vec(),
        };
        let length = Key::SECRET_LEN;
        if length.contains(&secret.len()) {
            return Ok(Self(secret));
        }
        Err(format!(
            "must be {} to {} bytes long, this one is {}: generate one with `openssl rand -hex 32` \
             and write \"hex:\" before it",
            length.start(),
            length.end(),
            secret.len()
        ))
    }

    /// Returns the key with the number `id`.
    pub(crate) fn key(&self, id: KeyId) -> Option<Key> {
        Key::new(id, &self.0)
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

impl TryFrom<String> for KeyText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(text.as_bytes())
    }
}

impl JsonSchema for KeyText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": Key::SECRET_LEN.start(), "maxLength": Self::LONGEST })
    }
}
