//! Durations in the configuration: `1`, `0.5`, `"100ms"`, `"2s"`, `"1m"`.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::field::Field;
use crate::problem::{Findings, Path};

/// Duration: a number of seconds, or a string with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BoundedDuration(pub(crate) Duration);

/// Units with their lengths in nanoseconds.
const UNITS: [(&str, u64); 4] = [
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3600 * 1_000_000_000),
];

const RULE: &str =
    r#"must be a number of seconds (1, 0.5) or a string with a unit ("100ms", "2s", "1m", "1h")"#;

impl BoundedDuration {
    /// One second.
    pub(crate) const SECOND: Self = Self(Duration::from_secs(1));

    /// Parses a string with a unit, exact to the nanosecond.
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (number, None),
        };
        let mut nanos = digits(whole)?.checked_mul(*unit)?;
        if let Some(fraction) = fraction.map(|fraction| (digits(fraction), fraction.len())) {
            let (digits, len) = fraction;
            let scale = 10_u128.checked_pow(u32::try_from(len).ok()?)?;
            let part = u128::from(digits?) * u128::from(*unit) / scale;
            nanos = nanos.checked_add(u64::try_from(part).ok()?)?;
        }
        Some(Self(Duration::from_nanos(nanos)))
    }
}

/// Range of a duration, both ends included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) least: BoundedDuration,
    pub(crate) most: BoundedDuration,
    /// The range as it is written in messages: `10ms to 24h`.
    pub(crate) words: &'static str,
}

impl Bounds {
    /// Returns the duration at `path` if it is within the range. `None` if a problem has been
    /// reported.
    pub(crate) fn check(
        &self,
        path: &Path,
        span: &Field<BoundedDuration>,
        findings: &mut Findings,
    ) -> Option<Duration> {
        let span = span.value()?;
        if (self.least..=self.most).contains(span) {
            return Some(span.0);
        }
        findings.add(path, format!("must be {}", self.words));
        None
    }
}

/// Parses decimal digits without a sign; not empty.
fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

impl fmt::Display for BoundedDuration {
    /// Writes whole seconds, or else milliseconds with the necessary decimals: `2s`, `100ms`,
    /// `0.25ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos.is_multiple_of(1_000_000_000) {
            return write!(f, "{}s", self.0.as_secs());
        }
        let decimals = format!("{:06}", nanos % 1_000_000);
        write!(f, "{}", nanos / 1_000_000)?;
        match decimals.trim_end_matches('0') {
            "" => {}
            decimals => write!(f, ".{decimals}")?,
        }
        f.write_str("ms")
    }
}

impl<'de> Deserialize<'de> for BoundedDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BoundedDurationVisitor)
    }
}

struct BoundedDurationVisitor;

impl Visitor<'_> for BoundedDurationVisitor {
    type Value = BoundedDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RULE.trim_start_matches("must be "))
    }

    fn visit_u64<E>(self, seconds: u64) -> Result<BoundedDuration, E> {
        Ok(BoundedDuration(Duration::from_secs(seconds)))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<BoundedDuration, E> {
        Err(E::custom("must not be negative"))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<BoundedDuration, E> {
        if seconds < 0.0 {
            return Err(E::custom("must not be negative"));
        }
        Duration::try_from_secs_f64(seconds)
            .map(BoundedDuration)
            .map_err(|_| E::custom("is too long"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<BoundedDuration, E> {
        BoundedDuration::parse(text).ok_or_else(|| E::custom(RULE))
    }
}

/// Serializes as a number of seconds, for the defaults in the schema.
impl Serialize for BoundedDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.subsec_nanos() == 0 {
            serializer.serialize_u64(self.0.as_secs())
        } else {
            serializer.serialize_f64(self.0.as_secs_f64())
        }
    }
}

impl JsonSchema for BoundedDuration {
    fn schema_name() -> Cow<'static, str> {
        "LengthOfTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let units: Vec<_> = UNITS.iter().map(|(name, _)| *name).collect();
        json_schema!({
            "description": "Duration: a number of seconds (1, 0.5), or a string with a unit (\"100ms\", \"2s\", \"1m\", \"1h\").",
            "anyOf": [
                { "type": "number", "minimum": 0 },
                { "type": "string", "pattern": format!(r"^[0-9]+(\.[0-9]+)?({})$", units.join("|")) },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::Error as Plain;

    use super::*;

    fn nanos(text: &str) -> Option<u128> {
        BoundedDuration::parse(text).map(|span| span.0.as_nanos())
    }

    #[test]
    fn duration_parses_every_unit() {
        assert_eq!(nanos("100ms"), Some(100_000_000));
        assert_eq!(nanos("2s"), Some(2_000_000_000));
        assert_eq!(nanos("1.5s"), Some(1_500_000_000));
        assert_eq!(nanos("0.25ms"), Some(250_000));
        assert_eq!(nanos("1m"), Some(60_000_000_000));
        assert_eq!(nanos("0.5h"), Some(1_800_000_000_000));
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for text in [
            "",
            "1",
            "s",
            ".5s",
            "1.s",
            "-1s",
            "+1s",
            "1 s",
            "1x",
            "1ms2",
            "1e3s",
            "1.2.3s",
            "١s",
            "99999999999999999999s",
            "9999999999999999h",
            "0.0000000000000000000000000000000000000001s",
        ] {
            assert_eq!(BoundedDuration::parse(text), None, "{text}");
        }
    }

    #[test]
    fn fractional_seconds_are_exact_to_the_nanosecond() {
        let read = |seconds: f64| {
            BoundedDuration::deserialize(IntoDeserializer::<Plain>::into_deserializer(seconds))
                .unwrap()
                .0
        };
        assert_eq!(read(0.01), Duration::from_millis(10));
        assert_eq!(read(0.1), Duration::from_millis(100));
        assert_eq!(read(40.95), Duration::from_millis(40_950));
    }

    proptest! {
        #[test]
        fn displayed_duration_parses_back(nanos: u64) {
            let span = BoundedDuration(Duration::from_nanos(nanos));
            prop_assert_eq!(BoundedDuration::parse(&span.to_string()), Some(span));
        }

        #[test]
        fn serialized_duration_deserializes_back(millis in 0_u64..1_000_000_000) {
            let span = BoundedDuration(Duration::from_millis(millis));
            let value = serde_json::to_value(span).unwrap();
            prop_assert_eq!(BoundedDuration::deserialize(value).unwrap(), span);
        }
    }
}
