//! A reader of Nix for values without functions: attribute sets, lists, strings, numbers and booleans.

use serde_json::{Map, Value};

/// Parses an expression.
pub(crate) fn parse(text: &str) -> Value {
    let mut reader = Reader { rest: text };
    let value = reader.value();
    assert_eq!(reader.rest.trim(), "", "text after the expression");
    value
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn value(&mut self) -> Value {
        self.rest = self.rest.trim_start();
        match self.rest.chars().next().expect("an expression") {
            '{' => self.set(),
            '[' => self.list(),
            '"' => Value::String(self.string()),
            '(' => {
                self.expect("(");
                let value = self.value();
                self.expect(")");
                value
            }
            _ => serde_json::from_str(&self.word()).expect("a number or a boolean"),
        }
    }

    fn set(&mut self) -> Value {
        self.expect("{");
        let mut map = Map::new();
        while !self.accept("}") {
            let mut names = vec![self.name()];
            while self.accept(".") {
                names.push(self.name());
            }
            self.expect("=");
            let mut value = self.value();
            self.expect(";");
            while names.len() > 1 {
                let inner = names.pop().expect("a name");
                value = Value::Object(Map::from_iter([(inner, value)]));
            }
            let name = names.pop().expect("a name");
            assert!(map.insert(name.clone(), value).is_none(), "{name} twice");
        }
        Value::Object(map)
    }

    fn list(&mut self) -> Value {
        self.expect("[");
        let mut list = Vec::new();
        while !self.accept("]") {
            list.push(self.value());
        }
        Value::Array(list)
    }

    fn name(&mut self) -> String {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('"') {
            return self.string();
        }
        self.word()
    }

    fn word(&mut self) -> String {
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || "_-'".contains(c));
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn string(&mut self) -> String {
        let mut string = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return string;
                }
                '\\' => match characters.next().expect("an escaped character").1 {
                    'n' => string.push('\n'),
                    'r' => string.push('\r'),
                    't' => string.push('\t'),
                    other => string.push(other),
                },
                '$' => {
                    assert!(
                        !self.rest[at..].starts_with("${"),
                        "an expression in a string"
                    );
                    string.push('$');
                }
                other => string.push(other),
            }
        }
        panic!("a string without an end")
    }

    fn accept(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) {
        assert!(self.accept(token), "{token} before {:.40}", self.rest);
    }
}
