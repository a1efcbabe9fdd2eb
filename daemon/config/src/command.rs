//! Programs in the configuration, and the users that run them.

use core::fmt;
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::field::{Field, all};
use crate::problem::{Findings, Path, quoted};
use crate::tree::LIST;

/// A program and its arguments, one word each: no shell splits them.
#[derive(Debug)]
pub(crate) struct Words(pub(crate) Vec<Field<String>>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(LIST)
            }

            fn visit_str<E: Error>(self, line: &str) -> Result<Words, E> {
                let words = separately(line);
                Err(E::custom(format_args!(
                    "must be a list, not a string: write {words}"
                )))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }

        deserializer.deserialize_any(List)
    }
}

impl JsonSchema for Words {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let word = String::json_schema(generator);
        json_schema!({ "type": "array", "items": word, "minItems": 1 })
    }
}

/// Returns the words of a command line as they are to be written: `["/bin/ping", "-c1"]`.
pub(crate) fn separately(line: &str) -> String {
    let words: Vec<String> = line.split_whitespace().map(quoted).collect();
    format!("[{}]", words.join(", "))
}

/// Returns a required program with its arguments. `None` if a problem has been reported.
pub(crate) fn required(
    path: &Path,
    command: &Field<Words>,
    findings: &mut Findings,
) -> Option<Vec<String>> {
    const EXAMPLE: &str = r#""command": ["/path/to/program"]"#;
    lower(path, command.required(path, EXAMPLE, findings)?, findings)
}

/// Returns a program with its arguments. `None` if a problem has been reported.
pub(crate) fn lower(
    path: &Path,
    Words(words): &Words,
    findings: &mut Findings,
) -> Option<Vec<String>> {
    match words.first() {
        None => {
            findings.add(path, "must not be empty: the first element is the program");
            return None;
        }
        Some(Field::Value(program)) if !program.starts_with('/') => {
            findings.add(
                &path.index(0),
                "the program must be an absolute path, like /usr/local/bin/check",
            );
        }
        Some(_) => {}
    }
    all(words.iter().enumerate().map(|(index, word)| {
        let word = word.value()?;
        if word.contains('\0') {
            findings.add(&path.index(index), "must not contain a NUL character");
        }
        Some(word.clone())
    }))
}

/// Returns the user that runs the program. `None` if a problem has been reported.
pub(crate) fn user(
    path: &Path,
    user: &Field<String>,
    findings: &mut Findings,
) -> Option<Option<String>> {
    let user = user.optional()?;
    let sane = |c: char| c.is_ascii_alphanumeric() || "_-.$".contains(c);
    if user.is_some_and(|user| user.is_empty() || user.starts_with('-') || !user.chars().all(sane))
    {
        findings.add(path, "must be the name of a user, like \"nobody\"");
    }
    Some(user.cloned())
}
