//! The kind `unit`.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use vrrp_proto::params::TrackerParams;

use super::{Assumed, LASTING, LOOKING_TIME, Probe};
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::unit::UnitName;
use crate::value::{BoundedInteger, Count};

/// A unit of systemd; active means well. systemd itself tells of every change, so that it is known
/// within milliseconds. While a unit starts or is restarted by a job the last verdict stays; while systemd
/// waits before it starts it again by itself (`Restart=`) it is down.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedUnit {
    /// The name of the unit with its type, like `httpd.service`. It need not exist yet.
    pub(crate) name: Field<UnitName>,
    /// Whether it is started again when it is not active: `true`, `false`, or an object that says how
    /// often. The verdict is down when that fails, or when it was started so often already. Default:
    /// false.
    #[serde(default = "default::restart")]
    restart: Field<UseRestart>,
    /// For how long it has to be well before it is up, 0 to 1 day. At the start it counts as it is.
    /// Default: 0.
    #[serde(default = "super::default::none")]
    up_delay: Field<BoundedDuration>,
    /// For how long it has to be anything but well before it is down, 0 to 1 day. Default: 0.
    #[serde(default = "super::default::none")]
    down_delay: Field<BoundedDuration>,
    /// The least time between two changes of the verdict, 0 to 1 day; what is still so when it ends
    /// counts then. Default: 0.
    #[serde(default = "super::default::none")]
    hold: Field<BoundedDuration>,
    /// What it counts as before systemd has said how it is: `up`, because what has not been looked at is
    /// no reason to refuse it, or `down`. Default: `up`.
    #[serde(default = "super::default::up")]
    initial: Field<Assumed>,
}

/// Whether a unit is started again.
#[derive(Debug)]
enum UseRestart {
    No,
    Yes(Often),
}

/// Starts the unit again, so often and no more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Often {
    /// How many times at most within that time, 1 to 1000. Default: 3.
    #[serde(default = "default::at_most")]
    at_most: Field<BoundedInteger<Count>>,
    /// The time, 10 ms to 1 day. Default: 5 min.
    #[serde(default = "default::within")]
    within: Field<BoundedDuration>,
    /// How long one start may take, 10 ms to 1 day; then it counts as failed. Default: 10 s.
    #[serde(default = "default::timeout")]
    timeout: Field<BoundedDuration>,
}

/// A unit of systemd that is to be active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// Its name with its type.
    pub name: Arc<str>,
    /// How often it is started again, if at all.
    pub restart: Option<Restart>,
}

/// How often a unit is started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// How many times at most within the time: 1 to 1000.
    pub at_most: u32,
    /// The time: 10 ms to 1 day.
    pub within: Duration,
    /// How long one start may take: 10 ms to 1 day.
    pub timeout: Duration,
}

impl TrackedUnit {
    /// What the engine and the daemon are told of it. `None` if what is wrong has been reported.
    pub(super) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(TrackerParams, Probe)> {
        const EXAMPLE: &str = r#""name": "httpd.service""#;
        let name = self.name.required(&path.key("name"), EXAMPLE, findings);
        let restart = match self.restart.value()? {
            UseRestart::No => None,
            UseRestart::Yes(often) => {
                let path = path.key("restart");
                let within = LOOKING_TIME.check(&path.key("within"), &often.within, findings);
                let timeout = LOOKING_TIME.check(&path.key("timeout"), &often.timeout, findings);
                Some(Restart {
                    at_most: often.at_most.value()?.0.0,
                    within: within?,
                    timeout: timeout?,
                })
            }
        };
        let up_delay = LASTING.check(&path.key("upDelay"), &self.up_delay, findings);
        let down_delay = LASTING.check(&path.key("downDelay"), &self.down_delay, findings);
        let hold = LASTING.check(&path.key("hold"), &self.hold, findings);
        let probe = Probe::Unit(Unit {
            name: Arc::clone(&name?.0),
            restart,
        });
        let params = TrackerParams {
            up_delay: up_delay?,
            down_delay: down_delay?,
            hold: hold?,
            initial: self.initial.value()?.verdict(),
            ..TrackerParams::new(probe.kind())
        };
        Some((params, probe))
    }
}

impl<'de> Deserialize<'de> for UseRestart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TruthOrObject;

        impl<'de> Visitor<'de> for TruthOrObject {
            type Value = UseRestart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"true, false or { "atMost": NUMBER, "within": TIME }"#)
            }

            fn visit_bool<E>(self, restarts: bool) -> Result<UseRestart, E> {
                Ok(match restarts {
                    true => UseRestart::Yes(Often {
                        at_most: default::at_most(),
                        within: default::within(),
                        timeout: default::timeout(),
                    }),
                    false => UseRestart::No,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UseRestart, A::Error> {
                Often::deserialize(MapAccessDeserializer::new(map)).map(UseRestart::Yes)
            }
        }

        const KEYS: &[&str] = &["atMost", "timeout", "within"];
        deserializer.deserialize_struct("Restart", KEYS, TruthOrObject)
    }
}

impl Serialize for UseRestart {
    /// For the default in the schema.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(matches!(self, Self::Yes(_)))
    }
}

impl JsonSchema for UseRestart {
    fn schema_name() -> Cow<'static, str> {
        "Restart".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "description": "Whether it is started again.", "type": "boolean" },
                Often::json_schema(generator),
            ],
        })
    }
}

mod default {
    use core::time::Duration;

    use super::{BoundedDuration, BoundedInteger, Count, Field, UseRestart};

    pub(super) const fn restart() -> Field<UseRestart> {
        Field::Value(UseRestart::No)
    }

    pub(super) const fn at_most() -> Field<BoundedInteger<Count>> {
        Field::Value(BoundedInteger(Count(3)))
    }

    pub(super) const fn within() -> Field<BoundedDuration> {
        Field::Value(BoundedDuration(Duration::from_secs(5 * 60)))
    }

    pub(super) const fn timeout() -> Field<BoundedDuration> {
        Field::Value(BoundedDuration(Duration::from_secs(10)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_lists_of_keys_of_a_restart_agree() {
        let schema = serde_json::to_value(schemars::schema_for!(Often)).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["atMost", "timeout", "within"]);
    }
}
