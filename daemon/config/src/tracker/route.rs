//! Trackers of the kind `route`.

use core::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::Family;
use vrrp_proto::params::TrackerParams;
use vrrp_proto::routing::{Network, RouteError, Table};

use super::network::Rhythm;
use super::{Assumed, LASTING, LOOKING_TIME, Probe, default};
use crate::address::HostAddress;
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::routing::Destination;
use crate::value::{BoundedInteger, Count, InterfaceName};

/// A route of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Exact destination.
    #[serde(serialize_with = "as_text")]
    pub destination: Network,
    /// Routing table of the route.
    #[serde(serialize_with = "as_text")]
    pub table: Table,
    /// Required gateway.
    pub gateway: Option<IpAddr>,
    /// Required device.
    pub device: Option<Arc<str>>,
    /// Interval and timeout of the gateway probes, if the gateway has to answer.
    pub neighbour: Option<Rhythm>,
}

fn as_text<S: serde::Serializer>(
    value: &impl core::fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Route to exactly one destination in a routing table of the kernel, no matter which program added
/// it. Up means a route that exists and forwards packets; routes of the types `unreachable`,
/// `blackhole`, `prohibit` and `throw` and routes whose link is down are down. The kernel reports
/// changes, so the daemon does not poll.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedRoute {
    /// Destination network, like `10.0.0.0/8` or `2001:db8::/32`, or `default`, which has the
    /// family of the gateway, else IPv4; `::/0` is the IPv6 default route.
    destination: Field<Destination>,
    /// Number of the routing table, 1 to 4294967295. Default: 254 (`main`).
    #[serde(default)]
    table: Field<BoundedInteger<Table>>,
    /// Required gateway: the tracker ignores routes without this one. Default: any or none.
    #[serde(default)]
    gateway: Field<HostAddress>,
    /// Required device, 1 to 15 bytes: the tracker ignores routes without this one. It need not
    /// exist yet. Default: any.
    #[serde(default)]
    device: Field<InterfaceName>,
    /// Whether a gateway of the route also has to answer: the kernel probes it by ARP or neighbour
    /// discovery. Of several gateways one suffices. A permanent neighbour entry (`PERMANENT` or
    /// `NOARP` in `ip neigh`) is not probed and counts as an answer; a route without a gateway has
    /// none that could answer and is down. Default: false.
    #[serde(default = "no")]
    neighbour: Field<bool>,
    /// Interval between two gateway probes, 10 ms to 1 day, with `neighbour`. The kernel repeats an
    /// unanswered probe once a second. Default: 1 s.
    #[serde(default)]
    interval: Field<BoundedDuration>,
    /// Timeout of the answer of the gateway, 10 ms to 1 day, with `neighbour`. Default: 1 s.
    #[serde(default)]
    timeout: Field<BoundedDuration>,
    /// Number of good results in a row that turn the tracker up, 1 to 1000, with `neighbour`.
    /// Default: 1.
    #[serde(default)]
    rise: Field<BoundedInteger<Count>>,
    /// Number of bad results in a row that turn the tracker down, 1 to 1000, with `neighbour`. A
    /// missing route is a bad result, at once and again at each `interval`. Default: 1.
    #[serde(default)]
    fall: Field<BoundedInteger<Count>>,
    /// Time that a good result has to last until the tracker is up, 0 to 1 day. It does not delay
    /// the first result after the start. Default: 0.
    #[serde(default = "default::none")]
    up_delay: Field<BoundedDuration>,
    /// Time that a bad result has to last until the tracker is down, 0 to 1 day. Default: 0.
    #[serde(default = "default::none")]
    down_delay: Field<BoundedDuration>,
    /// Minimum time between two changes of the verdict, 0 to 1 day; a change during that time takes
    /// effect at its end if it still applies. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
    /// Verdict before the first result: `up`, so that an untested service does not hold back the
    /// instance, or `down`. Default: `up`.
    #[serde(default = "default::up")]
    initial: Field<Assumed>,
}

const fn no() -> Field<bool> {
    Field::Value(false)
}

impl TrackedRoute {
    /// Returns the parameters for the engine and the probe for the daemon. `None` if a problem has
    /// been reported.
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
        // An IPv4 route may have an IPv6 gateway (RFC 8950), but not the other way round.
        let family = network.family();
        if family == Family::V6 && gateway.is_some_and(|gateway| Family::of(gateway) != family) {
            let wrong = RouteError::GatewayFamily {
                destination: family,
            };
            findings.add(&path.key("gateway"), wrong.to_string());
        }
        Some(network)
    }

    /// Returns interval and timeout of the gateway probes, if `neighbour` is set.
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
                let message = "applies to the probes of the gateway, which are off: write \
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
