//! The result as JSON, or as a fragment of a NixOS configuration in the form that nixfmt gives it.

use crate::document::{Node, Object, Value};

/// Longest line of a list that is written in one line.
const WIDTH: usize = 100;

/// Returns the configuration as JSON.
pub(crate) fn json(object: &Object) -> String {
    let mut text = String::new();
    write_json(&mut text, &Value::Object(object.clone()), 0);
    text.push('\n');
    text
}

fn write_json(text: &mut String, value: &Value, depth: usize) {
    let between = |text: &mut String, index: usize| {
        text.push_str(if index > 0 { ",\n" } else { "\n" });
        indent(text, depth + 1);
    };
    let end = |text: &mut String, bracket: char| {
        text.push('\n');
        indent(text, depth);
        text.push(bracket);
    };
    match value {
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::Text(word) => text.push_str(&json_string(word)),
        Value::List(list) => {
            if let Some(line) = in_one_line(list, json_string, ", ", WIDTH / 2) {
                text.push_str(&format!("[{line}]"));
                return;
            }
            text.push('[');
            for (index, node) in list.iter().enumerate() {
                between(text, index);
                write_json(text, &node.value, depth + 1);
            }
            end(text, ']');
        }
        Value::Object(object) if object.0.is_empty() => text.push_str("{}"),
        Value::Object(object) => {
            text.push('{');
            for (index, (key, node)) in object.0.iter().enumerate() {
                between(text, index);
                text.push_str(&json_string(key));
                text.push_str(": ");
                write_json(text, &node.value, depth + 1);
            }
            end(text, '}');
        }
    }
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the configuration as a NixOS module.
pub(crate) fn nix(object: &Object) -> String {
    let mut text =
        "{\n  services.vrrp = {\n    enable = true;\n    openFirewall = true;\n".to_owned();
    for (key, node) in &object.0 {
        write_binding(&mut text, key, node, 2);
    }
    text.push_str("  };\n}\n");
    text
}

fn write_binding(text: &mut String, key: &str, node: &Node, depth: usize) {
    indent(text, depth);
    text.push_str(&attribute(key));
    text.push_str(" = ");
    write_nix(text, &node.value, depth);
    text.push_str(";\n");
}

fn write_nix(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::Text(word) => text.push_str(&nix_string(word)),
        Value::List(list) if list.is_empty() => text.push_str("[ ]"),
        Value::List(list) => {
            let begun = text.rfind('\n').map_or(0, |end| text.len() - end);
            let room = WIDTH.saturating_sub(begun + 5);
            if let Some(line) = in_one_line(list, nix_string, " ", room).filter(|_| list.len() < 2)
            {
                text.push_str(&format!("[ {line} ]"));
                return;
            }
            text.push_str("[\n");
            for node in list {
                indent(text, depth + 1);
                // A negative number in a list would be a subtraction.
                if let Value::Number(number @ ..0) = &node.value {
                    text.push_str(&format!("({number})"));
                } else {
                    write_nix(text, &node.value, depth + 1);
                }
                text.push('\n');
            }
            indent(text, depth);
            text.push(']');
        }
        Value::Object(object) if object.0.is_empty() => text.push_str("{ }"),
        Value::Object(object) => {
            text.push_str("{\n");
            for (key, node) in &object.0 {
                write_binding(text, key, node, depth + 1);
            }
            indent(text, depth);
            text.push('}');
        }
    }
}

/// Returns the elements of a list of single values if they fit into `width` characters.
fn in_one_line(
    list: &[Node],
    string: fn(&str) -> String,
    separator: &str,
    width: usize,
) -> Option<String> {
    let words = list.iter().map(|node| match &node.value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Text(word) => Some(string(word)),
        Value::List(_) | Value::Object(_) => None,
    });
    let words: Vec<String> = words.collect::<Option<_>>()?;
    let line = words.join(separator);
    (line.chars().count() <= width).then_some(line)
}

/// Returns a name of an attribute, in quotes if Nix demands it.
fn attribute(name: &str) -> String {
    const KEYWORDS: [&str; 9] = [
        "assert", "else", "if", "in", "inherit", "let", "or", "rec", "then",
    ];
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-'".contains(c);
    let is_plain = name.starts_with(is_start)
        && name.chars().all(is_part)
        && !KEYWORDS.contains(&name)
        && name != "with";
    if is_plain {
        name.to_owned()
    } else {
        nix_string(name)
    }
}

fn nix_string(text: &str) -> String {
    let mut string = "\"".to_owned();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' | '\\' => string.extend(['\\', character]),
            '\n' => string.push_str("\\n"),
            '\r' => string.push_str("\\r"),
            '\t' => string.push_str("\\t"),
            '$' if rest.peek() == Some(&'{') => string.push_str("\\$"),
            other => string.push(other),
        }
    }
    string.push('"');
    string
}

fn indent(text: &mut String, depth: usize) {
    text.push_str(&"  ".repeat(depth));
}
