//! A value that may be absent or wrong without spoiling what stands beside it.

use core::fmt;
use core::marker::PhantomData;
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Error, Serialize, Serializer};

use crate::problem::{Findings, Path};

/// A value in the configuration.
///
/// Serde gives up at the first error. Every value of the model is therefore a `Field`: it asks the
/// reader to *try*, and where that fails it is [`Wrong`](Self::Wrong), the reader has reported why,
/// and reading goes on beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Field<T> {
    /// It is not there.
    #[default]
    Absent,
    /// It is there and of no use; what is wrong has been reported.
    Wrong,
    /// It is there, or it is the default.
    Value(T),
}

impl<T> Field<T> {
    /// The value, if there is one.
    pub(crate) const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }

    /// The value; if it is absent this is reported, with `example` as what to write.
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

    /// `Some(None)` when it is absent, and nothing when it is wrong.
    pub(crate) const fn optional(&self) -> Option<Option<&T>> {
        match self {
            Self::Absent => Some(None),
            Self::Wrong => None,
            Self::Value(value) => Some(Some(value)),
        }
    }

    /// Whether something is there, be it wrong.
    pub(crate) const fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An option, because serde takes a key that is not there as an option that is none.
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

    /// Serde has no word for "try". [`reader`](crate::reader) offers the value as a sequence of
    /// one, whose error it has reported by the time it is seen here.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<T>, A::Error> {
        Ok(match seq.next_element() {
            Ok(Some(value)) => Field::Value(value),
            Ok(None) => Field::Absent,
            Err(_) => Field::Wrong,
        })
    }
}

/// For the defaults in the schema: what is not there has no default to be written.
impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value()
            .ok_or_else(|| S::Error::custom("there is no value"))?
            .serialize(serializer)
    }
}

/// In the schema a `Field<T>` is a `T`.
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
