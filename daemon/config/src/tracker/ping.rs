//! The kind `ping`.

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

/// Another host that is asked by ICMP or ICMPv6 whether it is there, such as a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ping {
    /// Whom to ask.
    pub host: Host,
    /// From where.
    pub origin: Origin,
    /// How often, and how long to wait for the answer to the last request.
    pub rhythm: Rhythm,
    /// How many requests make one result: 1 to 20.
    pub packets: u16,
    /// From one request to the next of the same result: 10 ms to 10 s.
    pub spacing: Duration,
    /// How many of them may stay without an answer: fewer than there are.
    pub max_lost: u16,
}

/// Another host that is asked by ICMP or ICMPv6 whether it is there, such as a gateway; an answer means
/// well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedPing {
    /// Whom to ask: an address, or a name, which is looked up every minute and when nobody answers.
    host: Field<unicast::Peer>,
    /// The address of this host to ask from. Default: the kernel's choice.
    #[serde(default)]
    source: Field<PlainAddress>,
    /// The interface to ask through, 1 to 15 bytes; a link-local address needs one. Default: where the
    /// routes lead.
    #[serde(default)]
    interface: Field<InterfaceName>,
    /// How many requests make one result, 1 to 20. Default: 1.
    #[serde(default = "packets")]
    packets: Field<BoundedInteger<Packets>>,
    /// Time from one request to the next of the same result, 10 ms to 10 s. Default: 100 ms.
    #[serde(default = "spacing")]
    spacing: Field<BoundedDuration>,
    /// How many requests of a result may stay without an answer, 0 to one less than `packets`.
    /// Default: 0.
    #[serde(default = "max_lost")]
    max_lost: Field<BoundedInteger<Lost>>,
    /// Time from one result to the next, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
    /// How long the answer to the last request may take, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::patience")]
    timeout: Field<BoundedDuration>,
    /// How many good results in a row turn the tracker up, 1 to 1000. Default: 1.
    #[serde(default = "default::once")]
    rise: Field<BoundedInteger<Count>>,
    /// How many bad results in a row turn the tracker down, 1 to 1000. Default: 1.
    #[serde(default = "default::once")]
    fall: Field<BoundedInteger<Count>>,
    /// The least time between two changes of the verdict, 0 to 1 day; what is still so when it ends
    /// counts then. Default: 0.
    #[serde(default = "default::none")]
    hold: Field<BoundedDuration>,
    /// What it counts as before the first result: `up`, because what has not been looked at is no
    /// reason to refuse it, or `down`. Default: `up`.
    #[serde(default = "default::up")]
    initial: Field<Assumed>,
}

impl TrackedPing {
    /// What the engine and the daemon are told of it. `None` if what is wrong has been reported.
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
            let message =
                format!("must be less than \"packets\", {packets}: else nobody need answer");
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

/// Shortest and longest time between two requests of one result.
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

/// How many requests make one result: 1 to 20.
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

/// How many of them may get lost: 0 to 19.
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
