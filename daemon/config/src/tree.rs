//! The JSON text as a tree that keeps the order of keys and repeated keys.
//!
//! `serde_json::Value` would keep only the last of two equal keys and lose the order, so that a
//! repeated key could not be reported and problems could not be sorted in the order of the file.

use core::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::excerpt::{SHOWN, excerpt};
use crate::problem::{Problem, quoted};

/// A list, in messages about values.
pub(crate) const LIST: &str = "a list";

/// A value of the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Node {
    /// Parses `text`.
    ///
    /// # Errors
    ///
    /// Syntax errors: line, column, and the line itself with a caret below the position.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        serde_json::from_str(text).map_err(|error| Problem {
            path: String::new(),
            value: None,
            message: syntax(text, &error),
        })
    }

    /// Returns the kind of the value, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// Returns the value as JSON if it is short enough for a message.
    pub(crate) fn brief(&self) -> Option<String> {
        let brief = match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
            Self::String(text) => quoted(text),
            Self::List(elements) => elements.is_empty().then(|| "[]".to_owned())?,
            Self::Object(entries) => entries.is_empty().then(|| "{}".to_owned())?,
        };
        (brief.chars().count() <= SHOWN).then_some(brief)
    }
}

/// Returns the message of a syntax error, with the line and a caret. A line that contains "pass" is
/// left out, because it may contain a password.
fn syntax(text: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    let message = format!("line {line}, column {column}: {what}");
    // The column counts bytes, up to and including the unexpected one.
    let shown = text.lines().nth(line.saturating_sub(1));
    match shown.and_then(|shown| excerpt(line, shown, column, 1)) {
        Some(excerpt) => format!("{message}\n{excerpt}"),
        None => message,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        // JSON has no infinite number, so `from_f64` never fails here.
        Ok(Number::from_f64(value).map_or(Node::Null, Node::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Node::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        Node::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn order_and_repeated_keys_are_kept() {
        let node = Node::parse(r#"{ "b": 1, "a": null, "b": [true] }"#).unwrap();
        let Node::Object(entries) = node else {
            panic!("no object")
        };
        let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["b", "a", "b"]);
    }

    #[test]
    fn syntax_error_shows_line_and_caret() {
        insta::assert_snapshot!(message("{ \"instances\": {\n    \"VI_1\": { \"interface\": \"eth1\" \"priority\": 100 }\n} }"), @r#"
        line 2, column 35: expected `,` or `}`
          2 |     "VI_1": { "interface": "eth1" "priority": 100 }
            |                                   ^
        "#);
        insta::assert_snapshot!(message("{ \"trackers\": {}, }"), @r#"
        line 1, column 19: trailing comma
          1 | { "trackers": {}, }
            |                   ^
        "#);
        insta::assert_snapshot!(message(""), @"line 1, column 0: EOF while parsing a value");
    }

    #[test]
    fn syntax_error_excerpts_long_line() {
        let text = format!("{{ {} x", r#""key": "value", "#.repeat(50));
        insta::assert_snapshot!(message(&text), @r#"
        line 1, column 804: key must be a string
          1 | alue", "key": "value", "key": "value",  x
            |                                         ^
        "#);
    }

    #[test]
    fn syntax_error_hides_line_with_password() {
        assert_eq!(
            message("{\n \"password\": \"1111\" 5 }"),
            "line 2, column 21: expected `,` or `}`"
        );
    }
}
