//! The kind `process`.

use core::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::params::TrackerParams;

use super::{Assumed, LASTING, LOOKING_TIME, Probe, default};
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::lower::all;
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, Number};

/// Processes of this host; as many as there have to be mean well. The kernel tells of every process that
/// begins or ends (the process connector, in the first network, process and user namespace alone, with
/// CAP_NET_ADMIN); elsewhere /proc is looked at again and again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrackedProcess {
    /// The name of the program: the last part of the first word of its command line, or what the
    /// kernel calls the process (its first 15 bytes). Either this or `commandLine`.
    #[serde(default)]
    name: Field<String>,
    /// The whole command line, word by word.
    #[serde(default)]
    #[schemars(length(min = 1))]
    command_line: Field<Vec<Field<String>>>,
    /// How many there have to be at least, 0 to 1000000. Default: 1.
    #[serde(default = "one")]
    at_least: Field<BoundedInteger<Quorum>>,
    /// How many there may be at most, 0 to 1000000. Default: any number.
    #[serde(default)]
    at_most: Field<BoundedInteger<Quorum>>,
    /// Time between two looks where the kernel does not tell of processes, 10 ms to 1 day. The
    /// shortest of all trackers counts for all. Default: 1 s.
    #[serde(default = "default::interval")]
    interval: Field<BoundedDuration>,
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

const fn one() -> Field<BoundedInteger<Quorum>> {
    Field::Value(BoundedInteger(Quorum(1)))
}

/// A number of processes: 0 to 1,000,000.
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

/// Processes, and how many of them mean well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Which of them.
    pub which: Which,
    /// How many there have to be.
    pub at_least: u32,
    /// How many there may be, if not any number.
    pub at_most: Option<u32>,
    /// The time between two looks where the kernel does not tell of processes.
    pub interval: Duration,
}

/// Which processes are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// Those of a program: the last part of the first word of their command line, or what the kernel
    /// calls them, of which it keeps 15 bytes.
    Name(String),
    /// Those with exactly this command line.
    CommandLine(Vec<String>),
}

impl TrackedProcess {
    /// What the engine and the daemon are told of it. `None` if what is wrong has been reported.
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
            (None, Some(words)) => {
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
                    "there is a \"commandLine\", too: keep one of them",
                );
                None
            }
        }
    }
}
