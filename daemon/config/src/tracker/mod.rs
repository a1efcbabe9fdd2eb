//! Trackers in the configuration: what is watched, and who follows it. Each kind has a module of its
//! own, with its words and with what they mean to the daemon.

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

/// The time between two looks at something, and for one look.
const LOOKING_TIME: Bounds = Bounds {
    least: BoundedDuration(Duration::from_millis(10)),
    most: DAY,
    words: "10ms to 24h",
};

/// How long something has to last.
const LASTING: Bounds = Bounds {
    least: BoundedDuration(Duration::ZERO),
    most: DAY,
    words: "0 to 24h",
};

/// One thing that is watched: exactly one of the kinds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Tracker {
    /// A program that is run again and again; exit status 0 means well.
    Script(TrackedScript),
    /// A network interface; up and with a carrier means well.
    Interface(TrackedInterface),
    /// A whole number in a file, which is multiplied by the weight.
    File(TrackedFile),
    /// Processes of this host; as many as there have to be mean well.
    Process(TrackedProcess),
    /// Another host that is asked by ICMP or ICMPv6 whether it is there, such as a gateway; an answer
    /// means well.
    Ping(TrackedPing),
    /// A port that takes connections, which means well, and that gives the right answer where one is
    /// expected.
    Tcp(TrackedTcp),
    /// A page of a web server; the right status, and the right text where one is expected, mean well.
    /// Redirections are not followed.
    Http(TrackedHttp),
    /// A unit of systemd; active means well.
    Unit(TrackedUnit),
    /// A route of the kernel, whoever put it there; that it is there and leads somewhere means well, and
    /// that its gateway answers, where that is asked for.
    Route(TrackedRoute),
}

/// What the daemon itself has to look at: a tracker that the kernel's news of interfaces say nothing
/// of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Probe {
    /// A program that is run again and again.
    Script(Script),
    /// A file that holds a number.
    File(NumberFile),
    /// Processes of this host.
    Process(Process),
    /// A host that is asked whether it is there.
    Ping(Ping),
    /// A port that is connected to.
    Tcp(Tcp),
    /// A page that is asked for.
    Http(Box<Http>),
    /// A unit of systemd, of which systemd itself tells.
    Unit(Unit),
    /// A route that has to be there.
    Route(Route),
}

impl Probe {
    /// The definition in words that are equal exactly if the definitions are.
    fn canonical(&self) -> String {
        // Strings and numbers alone: there is nothing that JSON has no words for.
        serde_json::to_string(self).unwrap_or_else(|_| format!("{self:?}"))
    }

    /// What the engine is told of it, besides the counts of results.
    fn kind(&self) -> TrackerKind {
        TrackerKind::Probe {
            definition: self.canonical().into(),
        }
    }
}

impl Tracker {
    /// What the engine is told of it, and what the daemon has to look at for it. `None` if what is
    /// wrong has been reported.
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

/// A tracker that an instance follows: its name, so that down means that the instance is in fault,
/// or an object with the name and a weight.
#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) tracker: Field<String>,
    pub(crate) weight: Field<BoundedInteger<Weight>>,
    /// Whether it was written as an object.
    pub(crate) object: bool,
}

/// A tracker that an instance follows, with what it is worth.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Weighted {
    /// The name of the tracker.
    tracker: Field<String>,
    /// A negative weight is added to the priority while the tracker is down, a positive one while
    /// it is up: -253 to 253, not 0; the sum stays within 1 to 254. Default: none, down means that
    /// the instance is in fault.
    #[serde(default)]
    weight: Field<BoundedInteger<Weight>>,
}

impl Follow {
    /// The keys of the object: those of [`Weighted`].
    const KEYS: &'static [&'static str] = &["tracker", "weight"];

    /// What the engine is told of it. `None` if what is wrong has been reported.
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
                    "description": "The name of a tracker. Down means that the instance is in fault.",
                    "type": "string",
                },
                Weighted::json_schema(generator),
            ],
        })
    }
}

/// What a tracker counts as before its first result.
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

/// The defaults that several kinds share.
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

    /// How long an answer over the network may take.
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
    fn the_two_lists_of_keys_of_a_followed_tracker_agree() {
        let schema = serde_json::to_value(schemars::schema_for!(Weighted)).unwrap();
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(keys, Follow::KEYS);
    }
}
