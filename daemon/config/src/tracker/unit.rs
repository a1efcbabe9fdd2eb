//! Trackers of the kind `unit`.

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

/// systemd unit. Up means active. systemd reports every change within milliseconds. While a job
/// starts or restarts the unit, and while D-Bus or systemd does not answer, the last verdict remains;
/// while systemd waits before an automatic restart (`Restart=`), the unit is down.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedUnit {
    /// Name of the unit with its type, like `httpd.service`. It need not exist yet.
    pub(crate) name: Field<UnitName>,
    /// Whether the daemon starts the unit when it is not active: `true`, `false`, or an object with
    /// limits. The tracker is down if the start fails or the limit is reached. Default: false.
    #[serde(default = "default::restart")]
    restart: Field<UseRestart>,
    /// Time that a good result has to last until the tracker is up, 0 to 1 day. It does not delay
    /// the first result after the start. Default: 0.
    #[serde(default = "super::default::none")]
    up_delay: Field<BoundedDuration>,
    /// Time that a bad result has to last until the tracker is down, 0 to 1 day. Default: 0.
    #[serde(default = "super::default::none")]
    down_delay: Field<BoundedDuration>,
    /// Minimum time between two changes of the verdict, 0 to 1 day; a change during that time takes
    /// effect at its end if it still applies. Default: 0.
    #[serde(default = "super::default::none")]
    hold: Field<BoundedDuration>,
    /// Verdict before systemd has reported the state of the unit: `up`, so that an unknown state
    /// does not hold back the instance, or `down`. Default: `up`.
    #[serde(default = "super::default::up")]
    initial: Field<Assumed>,
}

/// Whether the daemon starts an inactive unit.
#[derive(Debug)]
enum UseRestart {
    No,
    Yes(Often),
}

/// Starts the unit when it is not active, within limits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Often {
    /// Maximum number of starts in the period `within`, 1 to 1000. Default: 3.
    #[serde(default = "default::at_most")]
    at_most: Field<BoundedInteger<Count>>,
    /// Period of the limit, 10 ms to 1 day. Default: 5 min.
    #[serde(default = "default::within")]
    within: Field<BoundedDuration>,
    /// Maximum duration of one start, 10 ms to 1 day; then the start has failed. Default: 10 s.
    #[serde(default = "default::timeout")]
    timeout: Field<BoundedDuration>,
}

/// A systemd unit that has to be active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// Name with its type.
    pub name: Arc<str>,
    /// Limits of the starts, if the daemon starts it.
    pub restart: Option<Restart>,
}

/// Limits of the starts of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// Maximum number of starts in the period `within`: 1 to 1000.
    pub at_most: u32,
    /// Period of the limit: 10 ms to 1 day.
    pub within: Duration,
    /// Maximum duration of one start: 10 ms to 1 day.
    pub timeout: Duration,
}

impl TrackedUnit {
    /// Returns the parameters for the engine and the probe for the daemon. `None` if a problem has
    /// been reported.
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
    /// Serializes as a boolean, for the default in the schema.
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
                { "description": "Whether the daemon starts the unit when it is not active.", "type": "boolean" },
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
    fn restart_keys_match_schema() {
        let schema = serde_json::to_value(schemars::schema_for!(Often)).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["atMost", "timeout", "within"]);
    }
}
