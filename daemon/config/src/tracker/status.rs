//! Status codes of HTTP (RFC 9110 section 15).

use core::fmt;
use core::ops::RangeInclusive;
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// All status codes.
const ALL: RangeInclusive<u16> = 100..=599;

const RULE: &str = r#"must be a status code, 100 to 599, or a range, like "200-299""#;

/// A status code, or a range: `200`, `"200-299"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statuses(pub(crate) RangeInclusive<u16>);

impl Statuses {
    /// The status codes of success.
    pub(crate) const SUCCESS: Self = Self(200..=299);

    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let is_plain = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| text.parse::<u16>().ok())?
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (number(first.trim())?, number(last.trim())?);
        let is_right = ALL.contains(&first) && ALL.contains(&last) && first <= last;
        is_right.then_some(Self(first..=last))
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;

        impl Visitor<'_> for NumberOrText {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(RULE.trim_start_matches("must be "))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Statuses, E> {
                let status = u16::try_from(number).ok();
                let status = status.filter(|status| ALL.contains(status));
                let status = status.ok_or_else(|| E::custom(RULE))?;
                Ok(Statuses(status..=status))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Statuses, E> {
                Err(E::custom(RULE))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Statuses, E> {
                Err(E::custom(RULE))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                Statuses::parse(text).ok_or_else(|| E::custom(RULE))
            }
        }

        deserializer.deserialize_any(NumberOrText)
    }
}

/// Serializes the range, for the default in the schema.
impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}-{}", self.0.start(), self.0.end()))
    }
}

impl JsonSchema for Statuses {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": ALL.start(), "maximum": ALL.end() },
                { "type": "string", "pattern": "^[1-5][0-9]{2}-[1-5][0-9]{2}$" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_a_code_or_a_range() {
        let parse = |text| Statuses::parse(text).map(|statuses| statuses.0);
        assert_eq!(parse("204"), Some(204..=204));
        assert_eq!(parse("200-299"), Some(200..=299));
        assert_eq!(parse("200 - 399"), Some(200..=399));
        for text in [
            "", "-", "20", "2000", "099", "600", "299-200", "200-600", "+20", "2xx",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
