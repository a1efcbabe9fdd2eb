//! Names of systemd units in the configuration.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};

/// Types of units that can be started and stopped.
const TYPES: [&str; 10] = [
    "service",
    "socket",
    "target",
    "timer",
    "path",
    "mount",
    "automount",
    "swap",
    "slice",
    "scope",
];

/// Maximum length of a name in bytes (UNIT_NAME_MAX of systemd without the NUL).
const LONGEST: usize = 255;

/// Name of a unit with its type: `httpd.service`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnitName(pub(crate) Arc<str>);

impl<'de> Deserialize<'de> for UnitName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        check(&name).map_err(D::Error::custom)?;
        Ok(Self(name.into()))
    }
}

/// Checks that systemd accepts the name (systemd.unit(5)). The error contains the remedy.
fn check(name: &str) -> Result<(), String> {
    let sane = |c: char| c.is_ascii_alphanumeric() || ":_.\\-@".contains(c);
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(sane) {
        return Err(format!(
            "must be the name of a unit, like \"httpd.service\": 1 to {LONGEST} letters, digits and \
             :_.\\-@; escape other characters as systemd-escape(1) does"
        ));
    }
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    if !TYPES.contains(&kind) {
        return Err(format!(
            "must be the name of a unit with its type: did you mean \"{name}.service\"?"
        ));
    }
    if stem.is_empty() || stem.starts_with('@') {
        return Err(format!(
            "must have a name before its type, like \"httpd.{kind}\""
        ));
    }
    if let Some(template) = stem.strip_suffix('@') {
        return Err(format!(
            "is a template: name one of its instances, like \"{template}@1.{kind}\""
        ));
    }
    Ok(())
}

impl JsonSchema for UnitName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UnitName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 3, "maxLength": LONGEST })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_unit_names_come_with_remedy() {
        let long = format!("{}.service", "a".repeat(248));
        for (name, expected) in [
            ("httpd.service", ""),
            ("getty@tty1.service", ""),
            (r"srv-data\x2dnew.mount", ""),
            ("backup.timer", ""),
            ("a.b.target", ""),
            ("httpd", "did you mean \"httpd.service\"?"),
            ("httpd.conf", "did you mean \"httpd.conf.service\"?"),
            ("getty@.service", "is a template"),
            (".service", "must have a name"),
            ("@1.service", "must have a name"),
            ("a b.service", "must be the name of a unit, like"),
            ("a/b.service", "must be the name of a unit, like"),
            ("", "must be the name of a unit, like"),
            (&long, "must be the name of a unit, like"),
        ] {
            match check(name) {
                Ok(()) => assert_eq!(expected, "", "{name}"),
                Err(message) => {
                    assert!(!expected.is_empty(), "{name}: {message}");
                    assert!(message.contains(expected), "{name}: {message}");
                }
            }
        }
    }
}
