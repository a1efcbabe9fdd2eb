//! Those who are told of transitions, in the configuration.

use core::time::Duration;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::{InterfaceAddress, notify};

use crate::command;
use crate::duration::{BoundedDuration, Bounds};
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, Number};

/// Shortest and longest time for one command.
const TIME: Bounds = Bounds {
    least: BoundedDuration(Duration::from_millis(10)),
    most: BoundedDuration(Duration::from_secs(600)),
    words: "10ms to 10m",
};

/// Programs that are run when the state changes, of an instance or of all members of a sync group; one
/// at a time and in order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Notify {
    /// The program to run when this host is master and holds the addresses, with its arguments. No
    /// shell is involved; the program is an absolute path. Default: none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    master: Field<Vec<Field<String>>>,
    /// The program to run when this host is backup and does not hold the addresses any more.
    /// Default: none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    backup: Field<Vec<Field<String>>>,
    /// The program to run when this host cannot serve. Default: none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    fault: Field<Vec<Field<String>>>,
    /// The program to run when the daemon stops, which waits for it, or when a reload removes what it
    /// is told of or makes another one of it. Default: none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    stop: Field<Vec<Field<String>>>,
    /// The program to run at each of these, after the other one. Default: none.
    #[serde(default)]
    #[schemars(length(min = 1))]
    any: Field<Vec<Field<String>>>,
    /// How long one run may take, 10 ms to 10 min. Then it is killed with its process group and
    /// counts as failed. When the daemon stops that is the time for a program altogether.
    /// Default: 30 s.
    #[serde(default = "default::timeout")]
    timeout: Field<BoundedDuration>,
    /// How many times a run that failed is repeated, 0 to 100: a second later, then after twice as
    /// long each time, up to a minute, and not when there is something newer to tell. Default: 2.
    #[serde(default = "default::retries")]
    retries: Field<BoundedInteger<Retries>>,
    /// Whether the state in which it starts is told, which is backup nearly always: whoever was told
    /// last that this host is master, before it died, has to hear it. Default: true.
    #[serde(default = "default::on_start")]
    on_start: Field<bool>,
    /// Whether the present state is told again after a reload. Default: false.
    #[serde(default = "default::on_reload")]
    on_reload: Field<bool>,
    /// What the programs are given. Default: `environment`.
    #[serde(default = "default::style")]
    style: Field<Style>,
    /// The user to run them as, when the daemon was started as root. Default: the daemon's user.
    #[serde(default)]
    user: Field<String>,
}

/// What a program is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Style {
    /// What it is told, in its environment and on its standard input.
    Environment,
    /// Four more arguments, too, as keepalived's `notify` has them: `INSTANCE` or `GROUP`, the name,
    /// `MASTER`, `BACKUP`, `FAULT` or `STOP`, and the priority.
    Keepalived,
}

/// A program that is told of transitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The absolute path of the program, and its arguments.
    pub words: Vec<String>,
    /// The user to run it as when the daemon was started as root; else the daemon's own.
    pub user: Option<String>,
    /// What it is given.
    pub style: Style,
    /// The virtual addresses of whose transitions it is told.
    pub addresses: Arc<[InterfaceAddress]>,
    /// The sync group of which it is told, or that the instance is in.
    pub group: Option<Arc<str>>,
}

/// Of whose transitions programs are told.
pub(crate) struct Audience {
    /// Its virtual addresses, or those of all its members in their order.
    pub(crate) addresses: Arc<[InterfaceAddress]>,
    /// Its group, or itself.
    pub(crate) group: Option<Arc<str>>,
    /// Of a sync group its members.
    pub(crate) members: Vec<Arc<str>>,
}

impl Notify {
    /// How transitions are told. `None` if what is wrong has been reported.
    pub(crate) fn lower(
        &self,
        path: &Path,
        told: Audience,
        findings: &mut Findings,
    ) -> Option<notify::Notify<Arc<Command>>> {
        let user = command::user(&path.key("user"), &self.user, findings);
        let style = self.style.value();
        let mut command = |word: &str, command: &Field<Vec<Field<String>>>| {
            let words = match command.optional()? {
                None => return Some(None),
                Some(words) => command::lower(&path.key(word), words, findings)?,
            };
            Some(Some(Arc::new(Command {
                words,
                user: user.clone()?,
                style: *style?,
                addresses: Arc::clone(&told.addresses),
                group: told.group.clone(),
            })))
        };
        let master = command("master", &self.master);
        let backup = command("backup", &self.backup);
        let fault = command("fault", &self.fault);
        let stop = command("stop", &self.stop);
        let any = command("any", &self.any);
        let timeout = TIME.check(&path.key("timeout"), &self.timeout, findings);
        let commands = [
            &self.master,
            &self.backup,
            &self.fault,
            &self.stop,
            &self.any,
        ];
        if !commands.iter().any(|command| command.is_present()) {
            let message = "tells nobody: write \"any\": [\"/path/to/program\"], or one of \"master\", \
                           \"backup\", \"fault\" and \"stop\"";
            findings.add(path, message);
        }
        Some(notify::Notify {
            master: master?,
            backup: backup?,
            fault: fault?,
            stop: stop?,
            any: any?,
            timeout: timeout?,
            retries: self.retries.value()?.0.0,
            on_start: *self.on_start.value()?,
            on_reload: *self.on_reload.value()?,
            members: told.members,
        })
    }
}

/// How many times a run that failed is repeated: 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retries(u32);

impl Number for Retries {
    const RANGE: (i64, i64) = (0, 100);
    const RULE: &'static str = "must be 0 to 100";

    fn from_number(number: i64) -> Option<Self> {
        let retries = u32::try_from(number).ok()?;
        (retries <= 100).then_some(Self(retries))
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

mod default {
    use super::{BoundedDuration, BoundedInteger, Duration, Field, Retries, Style};

    pub(super) const fn timeout() -> Field<BoundedDuration> {
        Field::Value(BoundedDuration(Duration::from_secs(30)))
    }

    pub(super) const fn retries() -> Field<BoundedInteger<Retries>> {
        Field::Value(BoundedInteger(Retries(2)))
    }

    pub(super) const fn on_start() -> Field<bool> {
        Field::Value(true)
    }

    pub(super) const fn on_reload() -> Field<bool> {
        Field::Value(false)
    }

    pub(super) const fn style() -> Field<Style> {
        Field::Value(Style::Environment)
    }
}
