//! Trackers of the kind `tcp`.

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

/// A TCP port that is probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tcp {
    /// Host to connect to.
    pub host: Host,
    /// Port: 1 to 65535.
    pub port: u16,
    /// Source address and interface.
    pub origin: Origin,
    /// Interval, and the timeout of the whole exchange.
    pub rhythm: Rhythm,
    /// Text to send after the connection is established.
    pub send: Option<String>,
    /// Text that the answer has to contain.
    pub expect: Option<String>,
}

/// TCP port. Up means an accepted connection and, if configured, the expected answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedTcp {
    /// Host to connect to: an address, or a name, which is resolved every minute and after a
    /// failure. Several addresses are tried one after the other.
    host: Field<unicast::Peer>,
    /// TCP port, 1 to 65535.
    port: Field<BoundedInteger<Port>>,
    /// Text to send after the connection is established, like `PING\r\n`. Default: none.
    #[serde(default)]
    send: Field<String>,
    /// Text that the first 64 KiB of the answer have to contain, like `220 `. Default: none, no
    /// answer is required.
    #[serde(default)]
    expect: Field<String>,
    /// Source address of the probes, an address of this host. Default: the kernel's choice.
    #[serde(default)]
    source: Field<PlainAddress>,
    /// Interface that the probes use, 1 to 15 bytes; required for a link-local address. Default:
    /// according to the routes.
    #[serde(default)]
    interface: Field<InterfaceName>,
    /// Interval between two connections, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
    /// Timeout of the connection and the answer together, 10 ms to 1 day. Default: 1 s.
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

impl TrackedTcp {
    /// Returns the parameters for the engine and the probe for the daemon. `None` if a problem has
    /// been reported.
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
