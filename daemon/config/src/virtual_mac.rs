//! The virtual MAC address in the configuration: a boolean, or an object with its parameters.

use core::fmt;
use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::field::Field;

/// Use of the virtual MAC address.
#[derive(Debug)]
pub(crate) enum UseVirtualMac {
    No,
    Yes { send_from: Field<SendFrom> },
}

/// Uses the virtual MAC address, with parameters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct How {
    /// Source MAC address of the advertisements. Default: `virtual`; with `unicast` always `base`.
    #[serde(default = "virtual_address")]
    send_from: Field<SendFrom>,
}

/// Source MAC address of advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SendFrom {
    /// The virtual MAC address, as RFC 9568 section 7.2 demands, so that the switches learn its port.
    Virtual,
    /// The MAC address of the interface, for networks that pass no other source address.
    Base,
}

const fn virtual_address() -> Field<SendFrom> {
    Field::Value(SendFrom::Virtual)
}

impl<'de> Deserialize<'de> for UseVirtualMac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TruthOrObject;

        impl<'de> Visitor<'de> for TruthOrObject {
            type Value = UseVirtualMac;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"true, false or { "sendFrom": "virtual" or "base" }"#)
            }

            fn visit_bool<E>(self, used: bool) -> Result<UseVirtualMac, E> {
                Ok(match used {
                    true => UseVirtualMac::Yes {
                        send_from: virtual_address(),
                    },
                    false => UseVirtualMac::No,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UseVirtualMac, A::Error> {
                let How { send_from } = How::deserialize(MapAccessDeserializer::new(map))?;
                Ok(UseVirtualMac::Yes { send_from })
            }
        }

        deserializer.deserialize_struct("VirtualMac", &["sendFrom"], TruthOrObject)
    }
}

impl JsonSchema for UseVirtualMac {
    fn schema_name() -> Cow<'static, str> {
        "VirtualMac".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "description": "Whether the instance uses the virtual MAC address.", "type": "boolean" },
                How::json_schema(generator),
            ],
        })
    }
}
