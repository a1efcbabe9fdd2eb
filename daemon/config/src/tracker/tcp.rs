//! The kind `tcp`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::TrackerParams;

use super::network::{Common, Host, Origin, Rhythm, expected};
use super::{Assumed, Probe, default};
use crate::address::PlainAddress;
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::unicast;
use crate::value::{BoundedInteger, Count, InterfaceName, Port};

/// A port that takes connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tcp {
    /// Whom to ask.
    pub host: Host,
    /// Where: 1 to 65535.
    pub port: u16,
    /// From where.
    pub origin: Origin,
    /// How often, and how long all of it may take.
    pub rhythm: Rhythm,
    /// What to say once it is connected.
    pub send: Option<String>,
    /// What has to be in the answer.
    pub expect: Option<String>,
}

/// A port that takes connections, which means well, and that gives the right answer where one is
/// expected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedTcp {
    /// Whom to ask: an address, or a name, which is looked up every minute and when it goes wrong. Of
    /// several addresses one after the other is tried.
    host: Field<unicast::Peer>,
    /// The port, 1 to 65535.
    port: Field<BoundedInteger<Port>>,
    /// What to say once it is connected, like `PING\r\n`. Default: nothing.
    #[serde(default)]
    send: Field<String>,
    /// A text that has to be in the first 64 KiB of what it says, like `220 `. Default: none, it need not say
    /// anything.
    #[serde(default)]
    expect: Field<String>,
    /// The address of this host to ask from. Default: the kernel's choice.
    #[serde(default)]
    source: Field<PlainAddress>,
    /// The interface to ask through, 1 to 15 bytes; a link-local address needs one. Default: where the
    /// routes lead.
    #[serde(default)]
    interface: Field<InterfaceName>,
    /// Time from one connection to the next, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
    /// How long it may take to connect and to get the answer, 10 ms to 1 day. Default: 1 s.
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

impl TrackedTcp {
    /// What the engine and the daemon are told of it. `None` if what is wrong has been reported.
    pub(super) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(TrackerParams, Probe)> {
        const EXAMPLE: &str = r#""host": "127.0.0.1""#;
        let place = path.key("host");
        let host = self
            .host
            .required(&place, EXAMPLE, findings)
            .map(Host::from);
        let port = &path.key("port");
        let port = self.port.required(port, r#""port": 25"#, findings);
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
        let expect = expected(&path.key("expect"), &self.expect, findings);
        let probe = Probe::Tcp(Tcp {
            host: host?,
            port: port?.0.0,
            origin: origin?,
            rhythm: rhythm?,
            send: self.send.optional()?.cloned(),
            expect: expect?,
        });
        Some((common.params(&probe, hold?)?, probe))
    }
}
