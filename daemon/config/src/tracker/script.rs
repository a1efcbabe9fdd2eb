//! The kind `script`.

use core::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::TrackerParams;

use super::{Assumed, LASTING, LOOKING_TIME, Probe, default};
use crate::command;
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, Count};

/// A program that is run again and again; exit status 0 means well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedScript {
    /// The program with its arguments. No shell is involved; the program is an absolute path.
    #[schemars(length(min = 1))]
    command: Field<Vec<Field<String>>>,
    /// Time from one start to the next, 10 ms to 1 day. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
    /// How long one run may take, 10 ms to 1 day. Then it is killed with its process group and
    /// counts as failed. Default: the interval, but at least 10 s, because a script may start the
    /// service that it watches.
    #[serde(default)]
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
    /// The user to run it as, when the daemon was started as root. Default: the daemon's user.
    #[serde(default)]
    user: Field<String>,
}

/// A program that tells by its exit status whether something is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// The absolute path of the program, and its arguments.
    pub command: Vec<String>,
    /// From one start to the next: 10 ms to 1 day.
    pub interval: Duration,
    /// How long a run may take: 10 ms to 1 day. It may be longer than the interval.
    pub timeout: Duration,
    /// The user to run it as when the daemon was started as root; else the daemon's own.
    pub user: Option<String>,
}

impl TrackedScript {
    /// What the engine and the daemon are told of it. `None` if what is wrong has been reported.
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

    /// How long a run may take where no timeout is given: as long as the start of a service.
    fn default_timeout(&self) -> Option<Duration> {
        const LEAST: Duration = Duration::from_secs(10);
        self.interval.value().map(|interval| interval.0.max(LEAST))
    }
}
