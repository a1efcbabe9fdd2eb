//! Trackers of the kind `script`.

use core::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::TrackerParams;

use super::{Assumed, LASTING, LOOKING_TIME, Probe, default};
use crate::command::{self, Words};
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, Count};

/// Program that is run periodically. Up means exit status 0.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedScript {
    /// Program with its arguments. It is an absolute path and runs without a shell.
    command: Field<Words>,
    /// Interval between two starts, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
    /// Maximum duration of one run, 10 ms to 1 day. The daemon then kills the program with its
    /// process group, and the result is bad. Default: the interval, but at least 10 s, because a
    /// script may start the service that it checks.
    #[serde(default)]
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
    /// User that runs the program. Default: `vrrp-scripts` on NixOS and with the Debian package, otherwise the user
    /// of the daemon. Another user has to be allowed for `vrrpd scripts` (`--allow`, which the NixOS module sets),
    /// or the daemon started as root.
    #[serde(default)]
    user: Field<String>,
}

/// A program whose exit status is the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// Absolute path of the program, and its arguments.
    pub command: Vec<String>,
    /// Interval between two starts: 10 ms to 1 day.
    pub interval: Duration,
    /// Maximum duration of a run: 10 ms to 1 day. It may be longer than the interval.
    pub timeout: Duration,
    /// User that runs it; `None` for the default.
    pub user: Option<String>,
}

impl TrackedScript {
    /// The program with its arguments, as configured.
    pub(crate) const fn command(&self) -> &Field<Words> {
        &self.command
    }

    /// Returns the parameters for the engine and the probe for the daemon. `None` if a problem has
    /// been reported.
    pub(super) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(TrackerParams, Probe)> {
        let command = command::required(&path.key("command"), &self.command, findings);
        let interval = LOOKING_TIME.check(&path.key("interval"), &self.interval, findings);
        let timeout = match &self.timeout {
            Field::Absent => self.default_timeout(),
            given @ (Field::Wrong | Field::Value(_)) => {
                LOOKING_TIME.check(&path.key("timeout"), given, findings)
            }
        };
        let user = command::user(&path.key("user"), &self.user, findings);
        let (rise, fall) = (self.rise.value(), self.fall.value());
        let hold = LASTING.check(&path.key("hold"), &self.hold, findings);

        let probe = Probe::Script(Script {
            command: command?,
            interval: interval?,
            timeout: timeout?,
            user: user?,
        });
        let params = TrackerParams {
            rise: rise?.0.0,
            fall: fall?.0.0,
            hold: hold?,
            initial: self.initial.value()?.verdict(),
            ..TrackerParams::new(probe.kind())
        };
        Some((params, probe))
    }

    /// Returns the default timeout, which is long enough for the start of a service.
    fn default_timeout(&self) -> Option<Duration> {
        const LEAST: Duration = Duration::from_secs(10);
        self.interval.value().map(|interval| interval.0.max(LEAST))
    }
}
