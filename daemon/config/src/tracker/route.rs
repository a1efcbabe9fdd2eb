//! The kind `route`.

use core::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::Family;
use vrrp_proto::params::TrackerParams;
use vrrp_proto::routing::{Network, RouteError, Table};

use super::network::Rhythm;
use super::{Assumed, LASTING, LOOKING_TIME, Probe, default};
use crate::address::PlainAddress;
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::routing::Destination;
use crate::value::{BoundedInteger, Count, InterfaceName};

/// A route of the kernel, whoever put it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Where it leads to, exactly.
    #[serde(serialize_with = "as_text")]
    pub destination: Network,
    /// The table it stands in.
    #[serde(serialize_with = "as_text")]
    pub table: Table,
    /// The gateway that it has to lead by.
    pub gateway: Option<IpAddr>,
    /// The device that it has to lead over.
    pub device: Option<Arc<str>>,
    /// How often its gateway is asked whether it is there, if at all.
    pub neighbour: Option<Rhythm>,
}

fn as_text<S: serde::Serializer>(
    value: &impl core::fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A route in one of the kernel's tables, to exactly one destination, whoever put it there; that it is
/// there and leads somewhere means well. One of the types `unreachable`, `blackhole`, `prohibit` and `throw` leads nowhere,
/// and so does one whose link is down. The kernel tells of changes, nothing is looked at again and again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedRoute {
    /// Where it leads to: a network like `10.0.0.0/8` or `2001:db8::/32`, or `default`, which is of
    /// the family of the gateway, else of IPv4; that of IPv6 is `::/0`, too.
    destination: Field<Destination>,
    /// The number of the routing table, 1 to 4294967295. Default: 254, which is `main`.
    #[serde(default)]
    table: Field<BoundedInteger<Table>>,
    /// The next router; only a route by this one counts. Default: any, or none.
    #[serde(default)]
    gateway: Field<PlainAddress>,
    /// The device, 1 to 15 bytes; only a route over this one counts. It need not exist yet.
    /// Default: any.
    #[serde(default)]
    device: Field<InterfaceName>,
    /// Whether a gateway of the route has to answer, too: the kernel asks it by ARP or neighbour discovery.
    /// Of several gateways one suffices. One whose address at the link is known for good (`ip neigh` shows
    /// `PERMANENT` or `NOARP`) is not asked and counts as if it answered; a route without a gateway has none
    /// that could answer. Default: false.
    #[serde(default = "no")]
    neighbour: Field<bool>,
    /// Time from one question to the next, 10 ms to 1 day, with `neighbour`. Who does not answer is asked again
    /// by the kernel once a second. Default: 1 s.
    #[serde(default)]
    interval: Field<BoundedDuration>,
    /// How long the answer may take, 10 ms to 1 day, with `neighbour`. Default: 1 s.
    #[serde(default)]
    timeout: Field<BoundedDuration>,
    /// How many good results in a row turn the tracker up, 1 to 1000, with `neighbour`. Default: 1.
    #[serde(default)]
    rise: Field<BoundedInteger<Count>>,
    /// How many bad results in a row turn the tracker down, 1 to 1000, with `neighbour`. That there is no
    /// route is one, too, at once and again at each `interval`. Default: 1.
    #[serde(default)]
    fall: Field<BoundedInteger<Count>>,
    /// For how long it has to be well before it is up, 0 to 1 day. At the start it counts as it is.
    /// Default: 0.
    #[serde(default = "default::none")]
    up_delay: Field<BoundedDuration>,
    /// For how long it has to be anything but well before it is down, 0 to 1 day. Default: 0.
    #[serde(default = "default::none")]
    down_delay: Field<BoundedDuration>,
    /// The least time between two changes of the verdict, 0 to 1 day; what is still so when it ends
    /// counts then. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
    /// What it counts as before the first result: `up`, because what has not been looked at is no
    /// reason to refuse it, or `down`. Default: `up`.
    #[serde(default = "default::up")]
    initial: Field<Assumed>,
}

const fn no() -> Field<bool> {
    Field::Value(false)
}

impl TrackedRoute {
    /// What the engine and the daemon are told of it. `None` if what is wrong has been reported.
    pub(super) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(TrackerParams, Probe)> {
        let destination = self.destination(path, findings);
        let rhythm = self.rhythm(path, findings);
        let once = |count: &Field<BoundedInteger<Count>>| {
            let count = count.optional()?;
            Some(count.map_or(1, |count| count.0.0))
        };
        let (rise, fall) = (once(&self.rise), once(&self.fall));
        let up_delay = LASTING.check(&path.key("upDelay"), &self.up_delay, findings);
        let down_delay = LASTING.check(&path.key("downDelay"), &self.down_delay, findings);
        let hold = LASTING.check(&path.key("hold"), &self.hold, findings);
        let probe = Probe::Route(Route {
            destination: destination?,
            table: self.table.optional()?.map_or(Table::MAIN, |table| table.0),
            gateway: self.gateway.optional()?.map(|gateway| gateway.0),
            device: self.device.optional()?.map(|name| Arc::clone(&name.0)),
            neighbour: rhythm?,
        });
        let params = TrackerParams {
            rise: rise?,
            fall: fall?,
            up_delay: up_delay?,
            down_delay: down_delay?,
            hold: hold?,
            initial: self.initial.value()?.verdict(),
            ..TrackerParams::new(probe.kind())
        };
        Some((params, probe))
    }

    fn destination(&self, path: &Path, findings: &mut Findings) -> Option<Network> {
        const EXAMPLE: &str = r#""destination": "default", or a network like "10.0.0.0/8""#;
        let place = path.key("destination");
        let destination = *self.destination.required(&place, EXAMPLE, findings)?;
        let gateway = self.gateway.optional()?.map(|gateway| gateway.0);
        let network = match destination {
            Destination::Network(network) => network,
            Destination::Default => Network::everything(gateway.map_or(Family::V4, Family::of)),
        };
        // A route of IPv4 may lead by a gateway of IPv6 (RFC 8950), and not the other way round.
        let family = network.family();
        if family == Family::V6 && gateway.is_some_and(|gateway| Family::of(gateway) != family) {
            let wrong = RouteError::GatewayFamily {
                destination: family,
            };
            findings.add(&path.key("gateway"), wrong.to_string());
        }
        Some(network)
    }

    /// How often its gateway is asked.
    fn rhythm(&self, path: &Path, findings: &mut Findings) -> Option<Option<Rhythm>> {
        let neighbour = *self.neighbour.value()?;
        let given = [
            ("interval", self.interval.is_present()),
            ("timeout", self.timeout.is_present()),
            ("rise", self.rise.is_present()),
            ("fall", self.fall.is_present()),
        ];
        if !neighbour {
            for (key, _) in given.iter().filter(|(_, given)| *given) {
                let message = "is about the answers of the gateway, which nobody asks: write \
                               \"neighbour\": true, or leave it out";
                findings.add(&path.key(key), message);
            }
            return Some(None);
        }
        let second = default::interval();
        let mut time = |key: &str, given: &Field<BoundedDuration>| {
            let given = if given.is_present() { given } else { &second };
            LOOKING_TIME.check(&path.key(key), given, findings)
        };
        let interval = time("interval", &self.interval);
        let timeout = time("timeout", &self.timeout);
        Some(Some(Rhythm {
            interval: interval?,
            timeout: timeout?,
        }))
    }
}
