//! Trackers of the kind `ping`.

use core::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::TrackerParams;

use super::network::{Common, Host, Origin, Rhythm};
use super::{Assumed, Probe, default};
use crate::address::PlainAddress;
use crate::duration::{BoundedDuration, Bounds};
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::unicast;
use crate::value::{BoundedInteger, Count, InterfaceName, Number};

/// Another host that is probed by ICMP or ICMPv6 echo requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ping {
    /// Host to probe.
    pub host: Host,
    /// Source address and interface.
    pub origin: Origin,
    /// Interval between two results, and the timeout of the reply to the last request.
    pub rhythm: Rhythm,
    /// Number of requests for one result: 1 to 20.
    pub packets: u16,
    /// Interval between two requests of the same result: 10 ms to 10 s.
    pub spacing: Duration,
    /// Number of requests that may remain without a reply: less than `packets`.
    pub max_lost: u16,
}

/// Another host, such as a gateway, probed by ICMP or ICMPv6 echo requests. Up means a reply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedPing {
    /// Host to probe: an address, or a name, which is resolved every minute and when no reply
    /// arrives.
    host: Field<unicast::Peer>,
    /// Source address of the probes, an address of this host. Default: the kernel's choice.
    #[serde(default)]
    source: Field<PlainAddress>,
    /// Interface that the probes use, 1 to 15 bytes; required for a link-local address. Default:
    /// according to the routes.
    #[serde(default)]
    interface: Field<InterfaceName>,
    /// Number of requests for one result, 1 to 20. Default: 1.
    #[serde(default = "packets")]
    packets: Field<BoundedInteger<Packets>>,
    /// Interval between two requests of the same result, 10 ms to 10 s. Default: 100 ms.
    #[serde(default = "spacing")]
    spacing: Field<BoundedDuration>,
    /// Number of requests of a result that may remain without a reply, 0 to one less than
    /// `packets`. Default: 0.
    #[serde(default = "max_lost")]
    max_lost: Field<BoundedInteger<Lost>>,
    /// Interval between two results, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
    /// Timeout of the reply to the last request, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::patience")]
    timeout: Field<BoundedDuration>,
    /// Number of good results in a row that turn the tracker up, 1 to 1000. Default: 1.
    #[serde(default = "default::once")]
    rise: Field<BoundedInteger<Count>>,
    /// Number of bad results in a row that turn the tracker down, 1 to 1000. Default: 1.
    #[serde(default = "default::once")]
    fall: Field<BoundedInteger<Count>>,
    /// Minimum time between two changes of the verdict, 0 to 1 day; a change during that time takes
    /// effect at its end if it still applies. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
    /// Verdict before the first result: `up`, so that an untested service does not hold back the
    /// instance, or `down`. Default: `up`.
    #[serde(default = "default::up")]
    initial: Field<Assumed>,
}

impl TrackedPing {
    /// Returns the parameters for the engine and the probe for the daemon. `None` if a problem has
    /// been reported.
    pub(super) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(TrackerParams, Probe)> {
        const EXAMPLE: &str = r#""host": "192.168.224.1""#;
        let place = path.key("host");
        let host = self
            .host
            .required(&place, EXAMPLE, findings)
            .map(Host::from);
        let common = Common {
            source: &self.source,
            interface: &self.interface,
            interval: &self.interval,
            timeout: &self.timeout,
            rise: &self.rise,
            fall: &self.fall,
            hold: &self.hold,
            initial: &self.initial,
        };
        let origin = common.origin(path, (host.as_ref(), &place), findings);
        let rhythm = common.rhythm(path, findings);
        let hold = common.hold(path, findings);
        let packets = self.packets.value().map(|packets| packets.0.0);
        let max_lost = self.max_lost.value().map(|lost| lost.0.0);
        if let (Some(packets), Some(lost)) = (packets, max_lost)
            && lost >= packets
        {
            let message = format!(
                "must be less than \"packets\" ({packets}): one reply at least is required"
            );
            findings.add(&path.key("maxLost"), message);
        }
        let spacing = SPACING.check(&path.key("spacing"), &self.spacing, findings);
        let probe = Probe::Ping(Ping {
            host: host?,
            origin: origin?,
            rhythm: rhythm?,
            packets: packets?,
            spacing: spacing?,
            max_lost: max_lost?,
        });
        Some((common.params(&probe, hold?)?, probe))
    }
}

/// Range of `spacing`.
const SPACING: Bounds = Bounds {
    least: BoundedDuration(Duration::from_millis(10)),
    most: BoundedDuration(Duration::from_secs(10)),
    words: "10ms to 10s",
};

const fn packets() -> Field<BoundedInteger<Packets>> {
    Field::Value(BoundedInteger(Packets(1)))
}

const fn spacing() -> Field<BoundedDuration> {
    Field::Value(BoundedDuration(Duration::from_millis(100)))
}

const fn max_lost() -> Field<BoundedInteger<Lost>> {
    Field::Value(BoundedInteger(Lost(0)))
}

/// Number of requests for one result: 1 to 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packets(u16);

impl Number for Packets {
    const RANGE: (i64, i64) = (1, 20);
    const RULE: &'static str = "must be 1 to 20";

    fn from_number(number: i64) -> Option<Self> {
        let (least, most) = Self::RANGE;
        let packets = u16::try_from(number).ok()?;
        (least..=most).contains(&number).then_some(Self(packets))
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// Number of lost requests of a result: 0 to 19.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost(u16);

impl Number for Lost {
    const RANGE: (i64, i64) = (0, 19);
    const RULE: &'static str = "must be 0 to 19, and less than \"packets\"";

    fn from_number(number: i64) -> Option<Self> {
        let (least, most) = Self::RANGE;
        let lost = u16::try_from(number).ok()?;
        (least..=most).contains(&number).then_some(Self(lost))
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}
