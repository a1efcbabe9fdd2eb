//! Notification programs in the configuration.

use core::time::Duration;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vrrp_proto::{InterfaceAddress, notify};

use crate::command::{self, Words};
use crate::duration::{BoundedDuration, Bounds};
use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::value::{BoundedInteger, Number};

/// Range of `timeout`.
const TIME: Bounds = Bounds {
    least: BoundedDuration(Duration::from_millis(10)),
    most: BoundedDuration(Duration::from_secs(600)),
    words: "10ms to 10m",
};

/// Programs that the daemon runs when the state of an instance, or of all members of a sync group,
/// changes; one at a time and in order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Notify {
    /// Program with its arguments, run when this host is master and holds the addresses. It is an
    /// absolute path and runs without a shell. Default: none.
    #[serde(default)]
    master: Field<Words>,
    /// Program run when this host is backup and no longer holds the addresses. Default: none.
    #[serde(default)]
    backup: Field<Words>,
    /// Program run when this host is in fault. Default: none.
    #[serde(default)]
    fault: Field<Words>,
    /// Program run when the daemon stops, which waits for it, or when a reload removes or replaces
    /// the instance or group. Default: none.
    #[serde(default)]
    stop: Field<Words>,
    /// Program run when another host was master too and has gone, and this host was master all the
    /// time (keepalived: `notify_master_rx_lower_pri`), so that it restores what the other host took
    /// and released, such as an address of a cloud; at most every 10 s. Default: the program of
    /// `master`, which then has to work when it runs again.
    #[serde(default)]
    contested: Field<Words>,
    /// Program run for each of the events `master`, `backup`, `fault`, `stop` and `contested`, after
    /// the program of that event. Default: none.
    #[serde(default)]
    any: Field<Words>,
    /// Maximum duration of one run, 10 ms to 10 min. The daemon then kills the program with its
    /// process group, and the run has failed. When the daemon stops, this is the limit for all runs
    /// of a program together. Default: 30 s.
    #[serde(default = "default::timeout")]
    timeout: Field<BoundedDuration>,
    /// Maximum number of retries after a failed run, 0 to 100: the first after 1 s, each next one
    /// after twice the time, up to 1 min. A newer state ends the retries. Default: 2.
    #[serde(default = "default::retries")]
    retries: Field<BoundedInteger<Retries>>,
    /// Whether the state after the start is reported, which is nearly always backup. After a crash
    /// of a master, the systems that its programs control learn so that it is no longer master.
    /// Default: true.
    #[serde(default = "default::on_start")]
    on_start: Field<bool>,
    /// Whether the current state is reported again after a reload. Default: false.
    #[serde(default = "default::on_reload")]
    on_reload: Field<bool>,
    /// Form in which the programs receive the transition. Default: `environment`.
    #[serde(default = "default::style")]
    style: Field<Style>,
    /// User that runs the programs. Default: `vrrp-scripts` on NixOS and with the Debian package, otherwise the user
    /// of the daemon. Another user has to be allowed for `vrrpd scripts` (`--allow`, which the NixOS module sets),
    /// or the daemon started as root.
    #[serde(default)]
    user: Field<String>,
}

/// Form in which a program receives a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Style {
    /// The transition in the environment and as a JSON object on the standard input.
    Environment,
    /// In addition four arguments, as for keepalived's `notify`: `INSTANCE` or `GROUP`, the name,
    /// `MASTER`, `BACKUP`, `FAULT` or `STOP`, and the priority.
    Keepalived,
}

/// A program that receives transitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Absolute path of the program, and its arguments.
    pub words: Vec<String>,
    /// User that runs it; `None` for the default.
    pub user: Option<String>,
    /// Form in which it receives transitions.
    pub style: Style,
    /// Virtual addresses of the instance, or of all members of the group.
    pub addresses: Arc<[InterfaceAddress]>,
    /// The sync group that changes its state, or the group of the instance.
    pub group: Option<Arc<str>>,
}

/// Instance or group whose transitions are reported.
pub(crate) struct Audience {
    /// Virtual addresses of the instance, or of all members in their order.
    pub(crate) addresses: Arc<[InterfaceAddress]>,
    /// The group of the instance, or the group.
    pub(crate) group: Option<Arc<str>>,
    /// Members of the group; empty for an instance.
    pub(crate) members: Vec<Arc<str>>,
}

impl Notify {
    /// The programs, with the keys that name them.
    pub(crate) const fn programs(&self) -> [(&'static str, &Field<Words>); 6] {
        [
            ("master", &self.master),
            ("backup", &self.backup),
            ("fault", &self.fault),
            ("stop", &self.stop),
            ("contested", &self.contested),
            ("any", &self.any),
        ]
    }

    /// Returns the notifications for the engine. `None` if a problem has been reported.
    pub(crate) fn lower(
        &self,
        path: &Path,
        told: Audience,
        findings: &mut Findings,
    ) -> Option<notify::Notify<Arc<Command>>> {
        let user = command::user(&path.key("user"), &self.user, findings);
        let style = self.style.value();
        let mut command = |word: &str, command: &Field<Words>| {
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
        let contested = command("contested", &self.contested);
        let any = command("any", &self.any);
        let timeout = TIME.check(&path.key("timeout"), &self.timeout, findings);
        if !self
            .programs()
            .iter()
            .any(|(_, command)| command.is_present())
        {
            let message = "runs no program: write \"any\": [\"/path/to/program\"], or one of \"master\", \
                           \"backup\", \"fault\", \"stop\" and \"contested\"";
            findings.add(path, message);
        }
        let master = master?;
        Some(notify::Notify {
            contested: contested?.or_else(|| master.clone()),
            master,
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

/// Number of retries: 0 to 100.
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
