//! Reference of the configuration, from the [JSON Schema](crate::schema()): one section for each kind of
//! object, with the places where it stands, its keys and an example.
//!
//! The descriptions, with units, ranges and defaults, are the documentation of the types. `man 5 vrrpd.json` and
//! docs/configuration.md are two renderings of the sections.

mod examples;
#[cfg(test)]
mod markdown;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::schema::schema;

/// Paragraphs before the sections. Words between backticks are literal.
pub const INTRODUCTION: &[&str] = &[
    "The configuration is one JSON object, in UTF-8 and at most 16 MiB long. An unknown or repeated key is a mistake. \
     A key that is absent has its default.",
    "`vrrpd check` reports all mistakes of a file at once, each with its path, such as \
     `instances.VI_1.virtualAddresses[0]`. `vrrpd reload` and SIGHUP apply a changed file. If it has a mistake, the \
     configuration in force stays.",
    "The title of a section is the place of its object in the configuration: `*` is a name or a number that the \
     configuration chooses, `[]` is an element of an array. An example is a part of the whole object if it begins \
     with `trackers`, `instances` or `syncGroups`, and otherwise a part of an instance.",
];

/// Place of the whole configuration.
pub const TOP: &str = "Top level";

/// Objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Places of the object in the configuration, like `instances.*.routes[]`. The first is the title.
    pub places: Vec<String>,
    /// Paragraphs that describe the object, and the other values that may stand in its place.
    pub description: Vec<String>,
    /// Keys of the object: first the required ones, then the others, in alphabetical order.
    pub keys: Vec<Key>,
    /// Example of the object: keys of the configuration or of an instance.
    pub example: &'static str,
}

/// Key of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Name of the key.
    pub name: String,
    /// Whether an object without this key is a mistake.
    pub required: bool,
    /// Types of the value, like `array of strings or object`.
    pub types: String,
    /// Meaning of the value, its range and its default.
    pub description: String,
    /// Values to choose from, with their meanings.
    pub choices: Vec<(String, String)>,
    /// Title of the section about the object in the value.
    pub section: Option<String>,
}

/// Sections of the reference: first the whole configuration, then the objects in it, each before those inside
/// of it.
#[must_use]
pub fn reference() -> Vec<Section> {
    let schema = schema();
    let mut reader = Reader {
        definitions: &schema["$defs"],
        read: Vec::new(),
    };
    reader.read(TOP, "", &schema, "");
    let sections = reader.read.into_iter().map(|(_, section)| section);
    let mut sections: Vec<_> = sections.collect();
    let mut titles = BTreeMap::new();
    for section in &sections {
        titles.extend(
            section
                .places
                .iter()
                .map(|place| (place.clone(), section.places[0].clone())),
        );
    }
    for key in sections.iter_mut().flat_map(|section| &mut section.keys) {
        key.section = key.section.take().and_then(|place| titles.remove(&place));
    }
    sections
}

/// Meaning and form of a duration, the one type that JSON does not have.
#[must_use]
pub fn duration() -> String {
    text(&schema()["$defs"][DURATION])
}

/// Name of the definition of durations.
const DURATION: &str = "LengthOfTime";

/// Walk through the schema.
struct Reader<'a> {
    definitions: &'a Value,
    /// Sections with the names of their definitions.
    read: Vec<(&'a str, Section)>,
}

impl<'a> Reader<'a> {
    /// Adds the section of the object at `place`, which the definition `name` describes, and those of the objects
    /// inside of it. `introduced` is the description of its key, which the section does not repeat.
    fn read(&mut self, place: &str, name: &'a str, definition: &'a Value, introduced: &str) {
        if let Some((_, section)) = self.read.iter_mut().find(|(read, _)| *read == name) {
            section.places.push(place.to_owned());
            return;
        }
        let mut description = vec![text(definition)];
        let mut keys = Vec::new();
        for form in forms(definition) {
            if definition.get("oneOf").is_some() {
                // Each form is an object with another single key, and describes the value of it.
                keys.extend(self.keys(place, form).map(|(mut key, inside)| {
                    key.required = false;
                    key.description = text(form);
                    (key, inside)
                }));
                continue;
            }
            if !core::ptr::eq(form, definition) {
                description.push(format!(
                    "{}: {}",
                    capitalised(&self.types(form)),
                    text(form)
                ));
            }
            keys.extend(self.keys(place, form));
        }
        description.retain(|paragraph| !paragraph.is_empty() && paragraph != introduced);
        keys.sort_by_key(|(key, _)| !key.required);
        let section = Section {
            places: vec![place.to_owned()],
            description,
            keys: keys.iter().map(|(key, _)| key.clone()).collect(),
            example: examples::example(place),
        };
        self.read.push((name, section));
        for (key, inside) in keys {
            if let (Some(place), Some(name)) = (key.section, inside) {
                self.read(&place, name, &self.definitions[name], &key.description);
            }
        }
    }

    /// Keys of the object at `place`, each with the name of the definition of the object in its value.
    fn keys(&self, place: &str, object: &'a Value) -> impl Iterator<Item = (Key, Option<&'a str>)> {
        let required = object["required"].as_array();
        let properties = object["properties"].as_object();
        let properties = properties.into_iter().flat_map(Map::iter);
        properties.map(move |(name, value)| {
            let inside = inside(value);
            let path = if place == TOP {
                name.clone()
            } else {
                format!("{place}.{name}")
            };
            let key = Key {
                name: name.clone(),
                required: required.is_some_and(|required| required.iter().any(|key| key == name)),
                types: self.types(value),
                description: text(value),
                choices: choices(value),
                section: inside.map(|(below, _)| format!("{path}{below}")),
            };
            (key, inside.map(|(_, definition)| definition))
        })
    }

    /// Types of a value, in words.
    fn types(&self, value: &Value) -> String {
        let name = name_of(value);
        if name == Some(DURATION) {
            return "duration".to_owned();
        }
        let value = name.map_or(value, |name| &self.definitions[name]);
        let mut types = Vec::new();
        for form in forms(value) {
            let found = match form["type"].as_str() {
                Some("array") => format!("array ({})", self.types(&form["items"])),
                Some(name) => name.to_owned(),
                None => unreachable!("a value without a type: {form}"),
            };
            if !types.contains(&found) {
                types.push(found);
            }
        }
        types.join(" or ")
    }
}

/// Path from a value to the object in it that has a section, and the name of its definition: the element of an
/// array, the value of a name, or the value itself.
fn inside(value: &Value) -> Option<(&'static str, &str)> {
    let ways = [
        ("[]", &value["items"]),
        (".*", &value["additionalProperties"]),
        ("", value),
    ];
    ways.into_iter()
        .find_map(|(below, value)| Some((below, name_of(value)?)))
        .filter(|(_, name)| *name != DURATION)
}

/// Name of the definition to which a value refers.
fn name_of(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// Alternatives of a value; one for most values.
fn forms(value: &Value) -> Vec<&Value> {
    let alternatives = value["anyOf"].as_array().or(value["oneOf"].as_array());
    alternatives.map_or_else(|| vec![value], |forms| forms.iter().collect())
}

/// Values to choose from that have a description.
fn choices(value: &Value) -> Vec<(String, String)> {
    let choices = value["oneOf"].as_array().into_iter().flatten();
    choices
        .filter_map(|choice| Some((choice["const"].as_str()?.to_owned(), text(choice))))
        .collect()
}

fn text(value: &Value) -> String {
    value["description"].as_str().unwrap_or_default().to_owned()
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys without a default that are not required: the object needs one of them.
    const EXCEPT: [&str; 2] = ["TrackedProcess.name", "TrackedProcess.commandLine"];

    /// Calls `check` with the name and the schema of each key, and whether the key is required.
    fn each_key(mut check: impl FnMut(&str, &Value, bool)) {
        let schema = schema();
        let definitions = schema["$defs"].as_object().expect("definitions");
        for (name, definition) in definitions {
            let chosen = definition.get("oneOf").is_some();
            for form in forms(definition) {
                let properties = form["properties"].as_object();
                for (key, value) in properties.into_iter().flatten() {
                    let required = form["required"].as_array();
                    let required =
                        required.is_some_and(|names| names.iter().any(|name| name == key));
                    check(&format!("{name}.{key}"), value, chosen || required);
                }
            }
        }
    }

    #[test]
    fn description_of_each_optional_key_states_its_default() {
        each_key(|name, value, required| {
            let description = text(value);
            let stated = description
                .split_once("Default: ")
                .map(|(_, stated)| stated);
            let except = EXCEPT.contains(&name);
            assert_eq!(
                stated.is_none(),
                required || except,
                "{name}: {description}"
            );
            let (Some(stated), Some(default)) = (stated, value.get("default")) else {
                return;
            };
            let expected = match default {
                Value::Number(number) if name_of(value) == Some(DURATION) => {
                    in_words(number.as_f64().expect("seconds"))
                }
                Value::String(word) => word.clone(),
                Value::Number(_) | Value::Bool(_) => default.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return,
            };
            let stated = stated.replace('`', "");
            let rest = stated.strip_prefix(&expected);
            let ends = rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
            assert!(ends, "{name} is {expected} by default: {description}");
        });
    }

    #[test]
    fn description_of_each_integer_states_its_limits() {
        each_key(|name, value, _| {
            let description = text(value);
            for limit in ["minimum", "maximum"] {
                let Some(limit) = value.get(limit) else {
                    continue;
                };
                let limit = limit.to_string();
                let mut numbers = description.split(|c: char| !c.is_ascii_digit() && c != '-');
                let stated = numbers.any(|number| number == limit);
                // The limit of this key is another key.
                let other = name == "TrackedPing.maxLost";
                assert!(stated || other, "{name}, limit {limit}: {description}");
            }
        });
    }

    /// A duration as the descriptions write it.
    fn in_words(seconds: f64) -> String {
        match seconds {
            0.0 => "0".to_owned(),
            _ if seconds < 1.0 => format!("{} ms", seconds * 1000.0),
            _ if seconds >= 60.0 => format!("{} min", seconds / 60.0),
            _ => format!("{seconds} s"),
        }
    }

    #[test]
    fn each_key_has_a_description() {
        for section in reference() {
            for key in &section.keys {
                let place = &section.places[0];
                assert!(!key.description.is_empty(), "{place}.{}", key.name);
            }
        }
    }
}
