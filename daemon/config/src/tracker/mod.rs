//! Trackers in the configuration, and the instances that follow them. Each kind has its own module
//! with its keys and its parameters for the daemon.

mod file;
mod http;
mod interface;
mod network;
mod ping;
mod process;
mod route;
mod script;
mod status;
mod tcp;
mod unit;
mod url;

use core::fmt;
use core::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use vrrp_proto::params::{Effect, Track, TrackerKind, TrackerParams, Verdict};

pub use self::file::NumberFile;
pub use self::http::{Http, Method, Trust};
pub use self::network::{Host, Origin, Rhythm};
pub use self::ping::Ping;
pub use self::process::{Process, Which};
pub use self::route::Route;
pub use self::script::Script;
pub use self::tcp::Tcp;
pub use self::unit::{Restart, Unit};
pub use self::url::Url;

use self::file::TrackedFile;
use self::http::TrackedHttp;
use self::interface::TrackedInterface;
use self::ping::TrackedPing;
use self::process::TrackedProcess;
use self::route::TrackedRoute;
use self::script::TrackedScript;
use self::tcp::TrackedTcp;
use self::unit::TrackedUnit;
use crate::duration::{BoundedDuration, Bounds};
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, Count, Weight};

const DAY: BoundedDuration = BoundedDuration(Duration::from_secs(24 * 60 * 60));

/// Range of intervals and timeouts of probes.
const LOOKING_TIME: Bounds = Bounds {
    least: BoundedDuration(Duration::from_millis(10)),
    most: DAY,
    words: "10ms to 24h",
};

/// Range of delays and hold times.
const LASTING: Bounds = Bounds {
    least: BoundedDuration(Duration::ZERO),
    most: DAY,
    words: "0 to 24h",
};

/// Tracker: exactly one of the kinds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Tracker {
    /// Program that is run periodically. Up means exit status 0.
    Script(TrackedScript),
    /// Network interface. Up means administratively up and with a carrier.
    Interface(TrackedInterface),
    /// Whole number in a file, which another program writes. It is multiplied by the weight with
    /// which an instance follows the tracker; the instance is in fault if the product is less than
    /// -253, and without a weight for every number but 0. A missing file and any other content are
    /// down.
    File(TrackedFile),
    /// Processes of this host. Up means a number within the limits. The kernel reports the start
    /// and end of each process (process connector), but only in the initial network, PID and user
    /// namespaces and with CAP_NET_ADMIN; elsewhere the daemon reads /proc periodically.
    Process(TrackedProcess),
    /// Another host, such as a gateway, probed by ICMP or ICMPv6 echo requests. Up means a reply.
    Ping(TrackedPing),
    /// TCP port. Up means an accepted connection and, if configured, the expected answer.
    Tcp(TrackedTcp),
    /// Page of a web server. Up means an accepted status and, if configured, the expected text.
    /// Redirections are not followed.
    Http(TrackedHttp),
    /// systemd unit. Up means active. systemd reports every change within milliseconds. While a job
    /// starts or restarts the unit, the last verdict remains; while systemd waits before an
    /// automatic restart (`Restart=`), the unit is down.
    Unit(TrackedUnit),
    /// Route to exactly one destination in a routing table of the kernel, no matter which program
    /// added it. Up means a route that forwards packets and, with `neighbour`, a gateway that
    /// answers. Routes of the types `unreachable`, `blackhole`, `prohibit` and `throw` and routes
    /// whose link is down are down.
    Route(TrackedRoute),
}

/// Probe that the daemon runs, for a tracker that the kernel's interface events do not cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Probe {
    /// A program that is run periodically.
    Script(Script),
    /// A file that holds a number.
    File(NumberFile),
    /// Processes of this host.
    Process(Process),
    /// A host that is probed by echo requests.
    Ping(Ping),
    /// A TCP port.
    Tcp(Tcp),
    /// A page of a web server.
    Http(Box<Http>),
    /// A systemd unit, whose changes systemd reports.
    Unit(Unit),
    /// A route of the kernel.
    Route(Route),
}

impl Probe {
    /// Returns the definition as text; two texts are equal exactly if the definitions are.
    fn canonical(&self) -> String {
        // Serialization cannot fail: the definition consists of strings and numbers.
        serde_json::to_string(self).unwrap_or_else(|_| format!("{self:?}"))
    }

    /// Returns the kind of the tracker for the engine.
    fn kind(&self) -> TrackerKind {
        TrackerKind::Probe {
            definition: self.canonical().into(),
        }
    }
}

impl Tracker {
    /// Returns the parameters for the engine, and the probe that the daemon runs. `None` if a
    /// problem has been reported.
    pub(crate) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(TrackerParams, Option<Probe>)> {
        let (params, probe) = match self {
            Self::Interface(interface) => {
                let params = interface.lower(&path.key("interface"), findings)?;
                return Some((params, None));
            }
            Self::Script(script) => script.lower(&path.key("script"), findings)?,
            Self::File(file) => file.lower(&path.key("file"), findings)?,
            Self::Process(process) => process.lower(&path.key("process"), findings)?,
            Self::Ping(ping) => ping.lower(&path.key("ping"), findings)?,
            Self::Tcp(tcp) => tcp.lower(&path.key("tcp"), findings)?,
            Self::Http(http) => http.lower(&path.key("http"), findings)?,
            Self::Unit(unit) => unit.lower(&path.key("unit"), findings)?,
            Self::Route(route) => route.lower(&path.key("route"), findings)?,
        };
        Some((params, Some(probe)))
    }
}

/// Reference to a tracker: its name, so that the instance is in fault while the tracker is down, or
/// an object with the name and a weight.
#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) tracker: Field<String>,
    pub(crate) weight: Field<BoundedInteger<Weight>>,
    /// Whether it was written as an object.
    pub(crate) object: bool,
}

/// Reference to a tracker, with a weight.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Weighted {
    /// Name of the tracker.
    tracker: Field<String>,
    /// Weight, -253 to 253, not 0. A negative weight is added to the priority while the tracker is
    /// down, a positive one while it is up; the effective priority stays within 1 to 254. Default:
    /// none, the instance is in fault while the tracker is down.
    #[serde(default)]
    weight: Field<BoundedInteger<Weight>>,
}

impl Follow {
    /// Keys of the object: those of [`Weighted`].
    const KEYS: &'static [&'static str] = &["tracker", "weight"];

    /// Returns the parameters for the engine. `None` if a problem has been reported.
    pub(crate) fn lower(&self, path: &Path, findings: &mut Findings) -> Option<Track> {
        const EXAMPLE: &str = r#""tracker": "name""#;
        let name = self
            .tracker
            .required(&path.key("tracker"), EXAMPLE, findings);
        let weight = self.weight.optional();
        Some(Track {
            tracker: name?.as_str().into(),
            effect: weight?.map_or(Effect::Fault, |BoundedInteger(weight)| {
                Effect::Weight(weight.0)
            }),
        })
    }
}

impl<'de> Deserialize<'de> for Follow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrObject;

        impl<'de> Visitor<'de> for NameOrObject {
            type Value = Follow;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"the name of a tracker or { "tracker": NAME, "weight": NUMBER }"#)
            }

            fn visit_str<E>(self, name: &str) -> Result<Follow, E> {
                let tracker = Field::Value(name.to_owned());
                Ok(Follow {
                    tracker,
                    weight: Field::Absent,
                    object: false,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Follow, A::Error> {
                let Weighted { tracker, weight } =
                    Weighted::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Follow {
                    tracker,
                    weight,
                    object: true,
                })
            }
        }

        deserializer.deserialize_struct("Follow", Self::KEYS, NameOrObject)
    }
}

impl JsonSchema for Follow {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Follow".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "description": "Name of a tracker. The instance is in fault while the tracker is down.",
                    "type": "string",
                },
                Weighted::json_schema(generator),
            ],
        })
    }
}

/// Verdict of a tracker before its first result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Assumed {
    Up,
    Down,
}

impl Assumed {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Up => Verdict::UP,
            Self::Down => Verdict::DOWN,
        }
    }
}

/// Defaults that several kinds share.
mod default {
    use core::time::Duration;

    use super::{Assumed, BoundedDuration, BoundedInteger, Count, Field};

    pub(super) const fn interval() -> Field<BoundedDuration> {
        Field::Value(BoundedDuration::SECOND)
    }

    pub(super) const fn none() -> Field<BoundedDuration> {
        Field::Value(BoundedDuration(Duration::ZERO))
    }

    pub(super) const fn up() -> Field<Assumed> {
        Field::Value(Assumed::Up)
    }

    /// Default timeout of an answer over the network.
    pub(super) const fn patience() -> Field<BoundedDuration> {
        Field::Value(BoundedDuration::SECOND)
    }

    pub(super) const fn once() -> Field<BoundedInteger<Count>> {
        Field::Value(BoundedInteger(Count(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follow_keys_match_schema() {
        let schema = serde_json::to_value(schemars::schema_for!(Weighted)).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, Follow::KEYS);
    }
}
