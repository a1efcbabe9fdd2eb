//! Trackers of the kind `process`.

use core::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::TrackerParams;

use super::{Assumed, LASTING, LOOKING_TIME, Probe, default};
use crate::command::Words;
use crate::duration::BoundedDuration;
use crate::field::{Field, all};
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, Number};

/// Processes of this host. Up means a number within the limits. The kernel reports the start and
/// end of each process (process connector), but only in the initial network, PID and user
/// namespaces and with CAP_NET_ADMIN; elsewhere the daemon reads /proc periodically.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedProcess {
    /// Name of the program: the last component of the first word of its command line, or the
    /// kernel's name of the process (its first 15 bytes). Either this or `commandLine`.
    #[serde(default)]
    name: Field<String>,
    /// Complete command line, word by word.
    #[serde(default)]
    command_line: Field<Words>,
    /// Minimum number of processes, 0 to 1000000. Default: 1.
    #[serde(default = "one")]
    at_least: Field<BoundedInteger<Quorum>>,
    /// Maximum number of processes, 0 to 1000000. Default: no limit.
    #[serde(default)]
    at_most: Field<BoundedInteger<Quorum>>,
    /// Interval between two scans of /proc where the kernel does not report processes, 10 ms to 1
    /// day. The shortest interval of all trackers applies to all. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
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

const fn one() -> Field<BoundedInteger<Quorum>> {
    Field::Value(BoundedInteger(Quorum(1)))
}

/// Number of processes: 0 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quorum(u32);

impl Number for Quorum {
    const RANGE: (i64, i64) = (0, 1_000_000);
    const RULE: &'static str = "must be 0 to 1000000";

    fn from_number(number: i64) -> Option<Self> {
        let number = u32::try_from(number).ok()?;
        (number <= 1_000_000).then_some(Self(number))
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// Processes of this host, and the limits of their number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Selection of the processes.
    pub which: Which,
    /// Minimum number.
    pub at_least: u32,
    /// Maximum number, if limited.
    pub at_most: Option<u32>,
    /// Interval between two scans of /proc where the kernel does not report processes.
    pub interval: Duration,
}

/// Selection of processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// Processes of a program: the last component of the first word of their command line, or the
    /// kernel's name of the process, which has at most 15 bytes.
    Name(String),
    /// Processes with exactly this command line.
    CommandLine(Vec<String>),
}

impl TrackedProcess {
    /// Returns the parameters for the engine and the probe for the daemon. `None` if a problem has
    /// been reported.
    pub(super) fn lower(
        &self,
        path: &Path,
        findings: &mut Findings,
    ) -> Option<(TrackerParams, Probe)> {
        let which = self.which(path, findings);
        let interval = LOOKING_TIME.check(&path.key("interval"), &self.interval, findings);
        let up_delay = LASTING.check(&path.key("upDelay"), &self.up_delay, findings);
        let down_delay = LASTING.check(&path.key("downDelay"), &self.down_delay, findings);
        let hold = LASTING.check(&path.key("hold"), &self.hold, findings);
        let BoundedInteger(Quorum(at_least)) = *self.at_least.value()?;
        let at_most = self
            .at_most
            .optional()?
            .map(|BoundedInteger(Quorum(most))| *most);
        if at_most.is_some_and(|most| most < at_least) {
            let message = format!("must not be less than \"atLeast\", which is {at_least}");
            findings.add(&path.key("atMost"), message);
        }
        let probe = Probe::Process(Process {
            which: which?,
            at_least,
            at_most,
            interval: interval?,
        });
        let params = TrackerParams {
            up_delay: up_delay?,
            down_delay: down_delay?,
            hold: hold?,
            initial: self.initial.value()?.verdict(),
            ..TrackerParams::new(probe.kind())
        };
        Some((params, probe))
    }

    fn which(&self, path: &Path, findings: &mut Findings) -> Option<Which> {
        match (self.name.optional()?, self.command_line.optional()?) {
            (Some(name), None) => {
                if name.is_empty() || name.contains(['/', '\0']) {
                    let message =
                        "must be the name of a program without its directory, like \"httpd\"";
                    findings.add(&path.key("name"), message);
                }
                Some(Which::Name(name.clone()))
            }
            (None, Some(Words(words))) => {
                let path = path.key("commandLine");
                if words.is_empty() {
                    findings.add(&path, "must not be empty: the first element is the program");
                }
                let words: Vec<String> = all(words.iter().map(|word| word.value().cloned()))?;
                if words.iter().any(|word| word.contains('\0')) {
                    findings.add(&path, "must not contain a NUL character");
                }
                Some(Which::CommandLine(words))
            }
            (None, None) => {
                let message = r#"missing: write "name": "httpd", or a "commandLine""#;
                findings.add(&path.key("name"), message);
                None
            }
            (Some(_), Some(_)) => {
                findings.add(
                    &path.key("name"),
                    "\"commandLine\" is set too: keep one of them",
                );
                None
            }
        }
    }
}
