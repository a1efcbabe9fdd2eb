//! What runs where an instance is master, in the configuration: a list of units, or an object that says
//! more.

use core::fmt;
use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use vrrp_proto::resources::{self, ResourceParams};

use crate::duration::{BoundedDuration, Bounds};
use crate::field::Field;
use crate::lower::all;
use crate::problem::{Findings, Path};
use crate::unit::UnitName;

/// Shortest and longest time that a start or all stops may take.
const PATIENCE: Bounds = Bounds {
    least: BoundedDuration(Duration::from_millis(100)),
    most: BoundedDuration(Duration::from_secs(60 * 60)),
    words: "100ms to 1h",
};

/// As many units as one instance may have: they are started one after another.
const MOST_UNITS: usize = 64;

/// What runs where an instance is master.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) units: Field<Vec<Field<UnitName>>>,
    on_failure: Field<OnFailure>,
    handover: Field<Handover>,
    start_timeout: Field<BoundedDuration>,
    stop_timeout: Field<BoundedDuration>,
    /// Whether it was written as an object.
    pub(crate) object: bool,
}

/// What runs where an instance is master, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ordered {
    /// Units of systemd, up to 64, in the order in which they are started; they are stopped in reverse.
    /// None of them should be enabled: whether they run is this daemon's to say. Default: none, so that
    /// the target alone says who is master.
    #[serde(default = "default::units")]
    #[schemars(length(max = 64))]
    units: Field<Vec<Field<UnitName>>>,
    /// What happens when one cannot be started, or ends by itself while the instance is master, and systemd
    /// has not started it again (`Restart=`) within `startTimeout`: with
    /// `fault` all are stopped and the instance is in fault, so that another host takes over, for 10 s
    /// and after each further failure for twice as long, up to 10 minutes; with `log` that is told and
    /// nothing else. Default: `fault`.
    #[serde(default = "default::on_failure")]
    on_failure: Field<OnFailure>,
    /// Whether the instance resigns `at-once` and its resources are stopped meanwhile, or `after-stop`,
    /// so that no other host starts them before they are stopped here: when the daemon is stopped, when
    /// the instance is removed, and when one of its resources failed. To a higher priority it yields at
    /// once in either case, and so it does when it is in fault for another reason. Default: `at-once`.
    #[serde(default = "default::handover")]
    handover: Field<Handover>,
    /// How long the start of one unit may take, 100 ms to 1 h; then it counts as failed. systemd has
    /// limits of its own (`TimeoutStartSec=`). Default: 30 s.
    #[serde(default = "default::timeout")]
    start_timeout: Field<BoundedDuration>,
    /// How long the stop of all units may be waited for, 100 ms to 1 h: then the rest is stopped without
    /// waiting, and with `after-stop` the instance resigns. systemd has limits of its own
    /// (`TimeoutStopSec=`). Default: 30 s.
    #[serde(default = "default::timeout")]
    stop_timeout: Field<BoundedDuration>,
}

/// What happens when a resource fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "kebab-case")]
enum OnFailure {
    Fault,
    Log,
}

/// When an instance that leaves of its own will resigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "kebab-case")]
enum Handover {
    AtOnce,
    AfterStop,
}

impl Resources {
    /// The keys of the object: those of [`Ordered`].
    const KEYS: &'static [&'static str] = &[
        "handover",
        "onFailure",
        "startTimeout",
        "stopTimeout",
        "units",
    ];

    /// What the daemon is told of it. `None` if what is wrong has been reported.
    pub(crate) fn lower(&self, path: &Path, findings: &mut Findings) -> Option<ResourceParams> {
        let units = self.units.value()?;
        if units.len() > MOST_UNITS {
            findings.add(
                &self.units_path(path),
                format!(
                    "must be at most {MOST_UNITS} units, these are {}: let a target of your own want them",
                    units.len()
                ),
            );
        }
        let names = all(units.iter().map(|unit| Some(unit.value()?.0.clone())));
        let start_timeout =
            PATIENCE.check(&path.key("startTimeout"), &self.start_timeout, findings);
        let stop_timeout = PATIENCE.check(&path.key("stopTimeout"), &self.stop_timeout, findings);
        Some(ResourceParams {
            units: names?,
            on_failure: match self.on_failure.value()? {
                OnFailure::Fault => resources::OnFailure::Fault,
                OnFailure::Log => resources::OnFailure::Log,
            },
            handover: match self.handover.value()? {
                Handover::AtOnce => resources::Handover::AtOnce,
                Handover::AfterStop => resources::Handover::AfterStop,
            },
            start_timeout: start_timeout?,
            stop_timeout: stop_timeout?,
        })
    }

    /// Where the list of units stands.
    pub(crate) fn units_path(&self, path: &Path) -> Path {
        if self.object {
            path.key("units")
        } else {
            path.clone()
        }
    }
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrObject;

        impl<'de> Visitor<'de> for ListOrObject {
            type Value = Resources;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a list of units or { "units": [ … ] }"#)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Resources, A::Error> {
                let units = Vec::deserialize(SeqAccessDeserializer::new(seq))?;
                Ok(Resources {
                    units: Field::Value(units),
                    on_failure: default::on_failure(),
                    handover: default::handover(),
                    start_timeout: default::timeout(),
                    stop_timeout: default::timeout(),
                    object: false,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Resources, A::Error> {
                let Ordered {
                    units,
                    on_failure,
                    handover,
                    start_timeout,
                    stop_timeout,
                } = Ordered::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Resources {
                    units,
                    on_failure,
                    handover,
                    start_timeout,
                    stop_timeout,
                    object: true,
                })
            }
        }

        deserializer.deserialize_struct(Self::NAME, Self::KEYS, ListOrObject)
    }
}

impl Resources {
    /// By which the reader knows that it may be a list.
    pub(crate) const NAME: &'static str = "Resources";
}

impl JsonSchema for Resources {
    fn schema_name() -> Cow<'static, str> {
        Self::NAME.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "description": "The units in the order in which they are started.",
                    "type": "array",
                    "items": generator.subschema_for::<UnitName>(),
                    "maxItems": MOST_UNITS,
                },
                Ordered::json_schema(generator),
            ],
        })
    }
}

mod default {
    use super::{BoundedDuration, Field, Handover, OnFailure, ResourceParams, UnitName};

    pub(super) const fn units() -> Field<Vec<Field<UnitName>>> {
        Field::Value(Vec::new())
    }

    pub(super) const fn on_failure() -> Field<OnFailure> {
        Field::Value(OnFailure::Fault)
    }

    pub(super) const fn handover() -> Field<Handover> {
        Field::Value(Handover::AtOnce)
    }

    pub(super) const fn timeout() -> Field<BoundedDuration> {
        Field::Value(BoundedDuration(ResourceParams::DEFAULT_TIMEOUT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_lists_of_keys_of_resources_agree() {
        let schema = serde_json::to_value(schemars::schema_for!(Ordered)).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, Resources::KEYS);
    }
}
