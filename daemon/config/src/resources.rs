//! Resources in the configuration: the systemd units of an instance, as a list or as an object with
//! options.

use core::fmt;
use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use vrrp_proto::resources::{self, ResourceParams};

use crate::duration::{BoundedDuration, Bounds};
use crate::field::{Field, all};
use crate::problem::{Findings, Path};
use crate::unit::UnitName;

/// Range of `startTimeout` and `stopTimeout`.
const PATIENCE: Bounds = Bounds {
    least: BoundedDuration(Duration::from_millis(100)),
    most: BoundedDuration(Duration::from_secs(60 * 60)),
    words: "100ms to 1h",
};

/// Maximum number of units of an instance, because they are started one after another.
const MOST_UNITS: usize = 64;

/// Resources of an instance.
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

/// Resources of an instance, with options.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ordered {
    /// systemd units, up to 64, in the order in which they are started; they are stopped in reverse
    /// order. Leave them disabled in systemd, because this daemon starts and stops them. Default:
    /// none, so that only the target `vrrp-master@NAME.target` is started and stopped.
    #[serde(default = "default::units")]
    #[schemars(length(max = 64))]
    units: Field<Vec<Field<UnitName>>>,
    /// Reaction to the failure of a unit: it cannot be started, or it ends while the instance is
    /// master and systemd (`Restart=`) has not started it again within `startTimeout`. Default:
    /// `fault`.
    #[serde(default = "default::on_failure")]
    on_failure: Field<OnFailure>,
    /// Order of resigning and stopping the units when the daemon stops, when a reload removes the
    /// instance, and when a unit has failed. An instance that yields to a higher priority or is in
    /// fault for another reason always steps down at once. Default: `at-once`.
    #[serde(default = "default::handover")]
    handover: Field<Handover>,
    /// Maximum duration of the start of one unit, 100 ms to 1 h; then the start has failed. The
    /// limit of systemd (`TimeoutStartSec=`) applies as well. Default: 30 s.
    #[serde(default = "default::timeout")]
    start_timeout: Field<BoundedDuration>,
    /// Maximum time that the daemon waits for the stop of all units, 100 ms to 1 h. Then it stops
    /// the rest without waiting, and with `after-stop` the instance resigns. The limit of systemd
    /// (`TimeoutStopSec=`) applies as well. Default: 30 s.
    #[serde(default = "default::timeout")]
    stop_timeout: Field<BoundedDuration>,
}

/// Reaction to the failure of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "kebab-case")]
enum OnFailure {
    /// Stops all units and puts the instance into fault, so that another host takes over: for 10 s,
    /// after each further failure for twice the time, up to 10 min.
    Fault,
    /// Logs the failure and does nothing else.
    Log,
}

/// Order of resigning and stopping the units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "kebab-case")]
enum Handover {
    /// Resigns at once and stops the units meanwhile.
    AtOnce,
    /// Stops the units and then resigns, so that no other host starts them earlier.
    AfterStop,
}

impl Resources {
    /// Keys of the object: those of [`Ordered`].
    const KEYS: &'static [&'static str] = &[
        "handover",
        "onFailure",
        "startTimeout",
        "stopTimeout",
        "units",
    ];

    /// Returns the parameters for the daemon. `None` if a problem has been reported.
    pub(crate) fn lower(&self, path: &Path, findings: &mut Findings) -> Option<ResourceParams> {
        let units = self.units.value()?;
        if units.len() > MOST_UNITS {
            findings.add(
                &self.units_path(path),
                format!(
                    "must be at most {MOST_UNITS} units, these are {}: list a target that wants them instead",
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

    /// Returns the path of the list of units.
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
    /// Name of the struct, by which the reader recognises that a list is allowed.
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
                    "description": "Units in the order in which they are started.",
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
    fn resource_keys_match_schema() {
        let schema = serde_json::to_value(schemars::schema_for!(Ordered)).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, Resources::KEYS);
    }
}
