//! Values that may be absent or invalid without invalidating the values around them.

use core::fmt;
use core::marker::PhantomData;
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Error, Serialize, Serializer};

use crate::problem::{Findings, Path};

/// A value in the configuration.
///
/// Serde stops at the first error. Every value of the model is therefore a `Field`: it asks the
/// reader to try to deserialize the value. If that fails, the reader reports the reason, the field
/// is [`Wrong`](Self::Wrong), and deserialization continues with the next value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// The key is missing and has no default.
    #[default]
    Absent,
    /// The value is present and invalid; the problem has been reported.
    Wrong,
    /// A valid value, or the default.
    Value(T),
}

impl<T> Field<T> {
    /// Returns the value, if there is a valid one.
    pub(crate) const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// Returns the value. Reports an absent one, with `example` as the text to write.
    pub(crate) fn required(
        &self,
        path: &Path,
        example: &str,
        findings: &mut Findings,
    ) -> Option<&T> {
        if matches!(self, Self::Absent) {
            findings.add(path, format!("missing: write {example}"));
        }
        self.value()
    }

    /// Returns `Some(None)` if the key is absent, and `None` if the value is invalid.
    pub(crate) const fn optional(&self) -> Option<Option<&T>> {
        match self {
            Self::Absent => Some(None),
            Self::Wrong => None,
            Self::Value(value) => Some(Some(value)),
        }
    }

    /// Whether the key is present, with a valid or an invalid value.
    pub(crate) const fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As an option, because serde deserializes a missing key as `None` of an option.
        deserializer.deserialize_option(Attempt(PhantomData))
    }
}

struct Attempt<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Attempt<T> {
    type Value = Field<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E>(self) -> Result<Field<T>, E> {
        Ok(Field::Absent)
    }

    /// Serde has no operation for "try". The [`reader`](crate::reader) offers the value as a
    /// sequence of one element, and has reported the error of that element when this function
    /// receives it.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<T>, A::Error> {
        Ok(match seq.next_element() {
            Ok(Some(value)) => Field::Value(value),
            Ok(None) => Field::Absent,
            Err(_) => Field::Wrong,
        })
    }
}

/// Serializes the value, for the defaults in the schema. An absent field has no default there.
impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value()
            .ok_or_else(|| S::Error::custom("there is no value"))?
            .serialize(serializer)
    }
}

/// A `Field<T>` has the schema of `T`.
impl<T: JsonSchema> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Collects all of `items`, or returns `None` if one is missing. Unlike `collect` it evaluates
/// every item, so that all problems are reported.
pub(crate) fn all<T, C: FromIterator<T>>(items: impl Iterator<Item = Option<T>>) -> Option<C> {
    let items: Vec<_> = items.collect();
    items.into_iter().collect()
}
