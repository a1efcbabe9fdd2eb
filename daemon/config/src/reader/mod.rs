//! Deserialization of the JSON tree into the model, with all errors instead of the first.
//!
//! A [`Position`] is a serde deserializer for one value of the tree. The derived code of the model
//! drives it and passes the keys of each struct and the variants of each enum, so that they are
//! listed only once. It differs from serde's own deserializers in three points:
//!
//! - It reports unknown and repeated keys and does not pass them to the derived code, which would
//!   stop at the first one.
//! - It offers a [`Field`](crate::field::Field) as an attempt: if the value cannot be read, the
//!   error is reported and only the attempt fails, not the values around it.
//! - Its messages use the terms of the configuration, not those of Rust.

mod access;

use core::cell::RefCell;
use core::fmt;
use std::collections::BTreeSet;

use serde::de::{DeserializeSeed, Deserializer, Error, Expected, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use crate::problem::{Findings, Path};
use crate::resources::Resources;
use crate::suggest::{one_of, suggest};
use crate::tree::{LIST, Node};
use access::{Attempt, Elements, Entries, Variant};

/// A value of the tree, its path, and the list that receives its problems.
#[derive(Debug)]
pub(crate) struct Position<'a, 'de> {
    node: &'de Node,
    path: Path,
    findings: &'a RefCell<Findings>,
}

const OBJECT: &str = "an object";
const STRING: &str = "a string";
const TRUTH: &str = "true or false";
const WHOLE_NUMBER: &str = "a whole number";

/// Reason why a value could not be read.
#[derive(Debug)]
pub(crate) enum ParseError {
    /// A value of another type was expected: its description.
    Expected(String),
    /// The value is invalid: the message.
    Because(String),
    /// The reason has been reported.
    Reported,
}

impl<'a, 'de> Position<'a, 'de> {
    /// Returns the position of the root.
    pub(crate) fn root(node: &'de Node, findings: &'a RefCell<Findings>) -> Self {
        Self {
            node,
            path: Path::default(),
            findings,
        }
    }

    fn inside(&self, node: &'de Node, path: Path) -> Self {
        Self {
            node,
            path,
            findings: self.findings,
        }
    }

    /// Lets `seed` read this value, and reports its error.
    fn offer<S: DeserializeSeed<'de>>(&self, seed: S) -> Result<S::Value, ParseError> {
        seed.deserialize(self).map_err(|refusal| {
            let message = match refusal {
                ParseError::Expected(what) => {
                    let kind = self.node.kind();
                    format!("must be {what}, not {kind}{}", remedy(self.node, &what))
                }
                ParseError::Because(message) => message,
                ParseError::Reported => return ParseError::Reported,
            };
            self.findings.borrow_mut().add(&self.path, message);
            ParseError::Reported
        })
    }

    /// Returns the entries of an object. Repeated keys, and keys that are not in `known`, are
    /// reported and left out. A misspelled key is read as the known key that it resembles, if that
    /// one is absent: then the known key is not reported as missing, and problems of the value are
    /// found as well.
    fn entries(
        &self,
        entries: &'de [(String, Node)],
        known: Option<&'static [&'static str]>,
    ) -> Vec<(&'de str, Self)> {
        let mut kept = Vec::with_capacity(entries.len());
        let mut seen = BTreeSet::new();
        for (key, node) in entries {
            let (mut key, path) = (key.as_str(), self.path.key(key));
            if let Some(known) = known.filter(|known| !known.contains(&key)) {
                let (meant, message) = unknown(key, known);
                self.findings.borrow_mut().add_unknown(&path, message);
                match meant {
                    Some(meant) if entries.iter().all(|(other, _)| other != meant) => key = meant,
                    _ => continue,
                }
                if !seen.insert(key) {
                    continue;
                }
            } else if !seen.insert(key) {
                self.findings
                    .borrow_mut()
                    .add(&path, "given twice in this object: keep one of them");
                continue;
            }
            kept.push((key, self.inside(node, path)));
        }
        kept
    }
}

/// Returns the `known` key that `key` resembles, if any, and the message.
fn unknown(key: &str, known: &[&'static str]) -> (Option<&'static str>, String) {
    match suggest(key, known.iter().copied()) {
        Some(meant) => (
            Some(meant),
            format!("unknown key: did you mean \"{meant}\"?"),
        ),
        None => (None, format!("unknown key: must be {}", one_of(known))),
    }
}

/// Returns the remedy for `node` where `expected` is required, as an addition to the message.
fn remedy(node: &Node, expected: &str) -> String {
    match (node, expected) {
        (Node::Null, _) => "; to have none, leave the key out".to_owned(),
        (Node::String(text), WHOLE_NUMBER) if text.parse::<i64>().is_ok() => {
            format!("; write {text} without quotes")
        }
        (Node::String(text), TRUTH) if text.parse::<bool>().is_ok() => {
            format!("; write {text} without quotes")
        }
        // Without the value, which may be a password.
        (Node::Number(_), STRING) => "; put it in quotes".to_owned(),
        (Node::String(_) | Node::Object(_), LIST) => "; put it in [ ]".to_owned(),
        _ => String::new(),
    }
}

fn expected<T>(what: impl Into<String>) -> Result<T, ParseError> {
    Err(ParseError::Expected(what.into()))
}

impl Error for ParseError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Because(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, exp: &dyn Expected) -> Self {
        let exp = exp.to_string();
        Self::Expected(if exp.starts_with("struct ") {
            OBJECT.to_owned()
        } else {
            exp
        })
    }
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expected(what) => what,
            Self::Because(message) => message,
            Self::Reported => "reported",
        })
    }
}

impl<'de> Deserializer<'de> for &Position<'_, 'de> {
    type Error = ParseError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        match self.node {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (None, Some(value), _) => visitor.visit_i64(value),
                (None, None, value) => visitor.visit_f64(value.unwrap_or(f64::INFINITY)),
            },
            Node::String(text) => visitor.visit_borrowed_str(text),
            Node::List(elements) => visitor.visit_seq(Elements {
                place: self,
                elements,
                next: 0,
            }),
            Node::Object(entries) => visitor.visit_map(Entries {
                rest: self.entries(entries, None).into_iter(),
                value: None,
            }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        let Node::Bool(value) = self.node else {
            return expected(TRUTH);
        };
        visitor.visit_bool(*value)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        let Node::Number(number) = self.node else {
            return expected(WHOLE_NUMBER);
        };
        // A number outside of i64 is outside of every range, too.
        match number
            .as_i64()
            .or_else(|| number.as_u64().map(|_| i64::MAX))
        {
            Some(value) => visitor.visit_i64(value),
            None => Err(ParseError::Because("must be a whole number".to_owned())),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        let Node::String(text) = self.node else {
            return expected(STRING);
        };
        visitor.visit_borrowed_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        self.deserialize_str(visitor)
    }

    // Only `Field` deserializes an option; the model has no others.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        visitor.visit_seq(Attempt(Some(self)))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        let Node::List(_) = self.node else {
            return expected(LIST);
        };
        self.deserialize_any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ParseError> {
        let Node::Object(_) = self.node else {
            return expected(OBJECT);
        };
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParseError> {
        match self.node {
            Node::Object(entries) => visitor.visit_map(Entries {
                rest: self.entries(entries, Some(fields)).into_iter(),
                value: None,
            }),
            Node::List(_) if name == Resources::NAME => self.deserialize_any(visitor),
            // Derived code would accept a list as the fields in the order of the struct.
            Node::List(_) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::String(_) => {
                self.deserialize_any(visitor)
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParseError> {
        let variant = match self.node {
            Node::String(text) if variants.contains(&text.as_str()) => Variant {
                name: text,
                content: None,
            },
            Node::String(text) => {
                let meant = suggest(text, variants.iter().copied())
                    .map_or(String::new(), |meant| {
                        format!(": did you mean \"{meant}\"?")
                    });
                return Err(ParseError::Because(format!(
                    "must be {}{meant}",
                    one_of(variants)
                )));
            }
            Node::Object(entries) => {
                let mut known = self.entries(entries, Some(variants)).into_iter();
                match (known.next(), known.next()) {
                    (Some((name, content)), None) => Variant {
                        name,
                        content: Some(content),
                    },
                    (None, _) if !entries.is_empty() => return Err(ParseError::Reported),
                    _ => {
                        let variants = one_of(variants);
                        return Err(ParseError::Because(format!(
                            "must have exactly one key: {variants}"
                        )));
                    }
                }
            }
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::List(_) => {
                return expected(one_of(variants));
            }
        };
        visitor.visit_enum(variant)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        newtype_struct tuple tuple_struct identifier ignored_any
    }
}
