//! The configuration file of the daemon: parsing, validation, and translation into the parameters
//! of the engine.
//!
//! A configuration is JSON. It is processed in four steps, each in its module:
//!
//! 1. `tree`: the text as a JSON tree, or the position of a syntax error;
//! 2. `reader`: the tree as the types of `model`, which define all keys, ranges and defaults;
//! 3. `check`: conflicts between values that are valid separately;
//! 4. `lower`: the parameters of the engine and, for the daemon, the probes, notifications and
//!    resources.
//!
//! Steps 2 to 4 continue after a problem, and [`Problems`] contains all problems, each with its
//! path, the value and the remedy. `secret` then reads the passwords and keys from their files, and
//! `programs` looks at the permissions of programs. Only these two depend on the host; the others are
//! functions of the text, so that a configuration can be checked on the machine that builds it. [`compare()`]
//! finds what does not fit together in the configurations of several hosts.

mod address;
mod check;
mod command;
mod compare;
mod duration;
mod excerpt;
mod field;
mod file;
mod group;
mod habits;
mod lower;
mod lvs;
mod model;
mod notify;
mod problem;
mod programs;
mod reader;
pub mod reference;
mod resources;
mod routing;
mod schema;
mod secret;
mod suggest;
mod tracker;
mod tree;
mod unicast;
mod unit;
mod value;
mod virtual_mac;
mod walk;

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use vrrp_proto::notify::{Notify, Subject};
use vrrp_proto::params::NodeParams;
use vrrp_proto::resources::ResourceParams;

pub use compare::{Difference, Host as ComparedHost, Setting, Severity, compare};
pub use excerpt::excerpt;
pub use notify::{Command, Style};
pub use problem::{Path, Problem, Problems};
pub use schema::schema;
pub use suggest::suggest;
pub use tracker::{
    Host, Http, Method, NumberFile, Origin, Ping, Probe, Process, Restart, Rhythm, Route, Script,
    Tcp, Trust, Unit, Url, Which,
};

use field::Field;
use file::{NoText, Text};
use lower::Lowered;
use model::Config;
use problem::Findings;
use reader::Position;
use secret::{Pending, Reading};
use tree::Node;

/// Checks a configuration as far as that is possible without the host that will run it.
///
/// # Errors
///
/// All problems in the order of the text; for a syntax error only the first.
pub fn parse(text: &str) -> Result<Checked, Problems> {
    let tree = Node::parse(text).map_err(|problem| Problems::new(vec![problem]))?;
    let problems = RefCell::default();
    let config =
        Field::<Config>::deserialize(&Position::root(&tree, &problems)).unwrap_or_default();
    let mut problems = problems.into_inner();
    let mut warnings = Findings::default();
    let lowered = config.value().and_then(|config| {
        check::check(config, &mut problems, &mut warnings);
        lower::lower(config, &mut problems)
    });
    match lowered {
        Some(lowered) if problems.is_empty() => Ok(Checked {
            lowered,
            warnings: warnings.locate(&tree),
        }),
        // `lower` returns `None` only after it has reported the reason.
        _ => Err(Problems::new(problems.locate(&tree))),
    }
}

/// Reads and checks the configuration in `file`, and adds the secrets from their files.
///
/// # Errors
///
/// See [`LoadError`]. The configuration is complete, or there is none.
pub fn load(file: &FilePath, secrets: Secrets) -> Result<Loaded, LoadError> {
    let Text { text, mode } = text(file)?;
    let mut checked = parse(&text).map_err(|problems| LoadError::Invalid {
        file: file.to_owned(),
        problems,
    })?;
    if mode.is_readable_by_all() {
        checked.warn_of_open_secrets();
    }
    if mode.is_writable_by_all() {
        checked.warn_of_writable_file();
    }
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let credentials = credentials.as_deref().map(FilePath::new);
    let loaded = checked.complete(secrets, credentials);
    let mut loaded = loaded.map_err(|problems| LoadError::Secrets {
        file: file.to_owned(),
        problems,
    })?;
    if secrets == Secrets::Read {
        loaded.warnings.extend(programs::replaceable(&loaded));
    }
    Ok(loaded)
}

/// Reads a file of text in UTF-8, of at most 16 MiB.
///
/// # Errors
///
/// [`LoadError::Unreadable`] and [`LoadError::Unusable`].
pub fn read(file: &FilePath) -> Result<String, LoadError> {
    text(file).map(|text| text.text)
}

/// Reads a file of text as [`read`], whose comments may have another encoding: U+FFFD replaces bytes that are
/// not UTF-8.
///
/// # Errors
///
/// [`LoadError::Unreadable`] and [`LoadError::Unusable`].
pub fn read_lossy(file: &FilePath) -> Result<String, LoadError> {
    file::read_lossy(file).map_err(|no_text| no_text.of(file))
}

fn text(file: &FilePath) -> Result<Text, LoadError> {
    file::read(file).map_err(|no_text| no_text.of(file))
}

impl NoText {
    fn of(self, file: &FilePath) -> LoadError {
        let file = file.to_owned();
        match self {
            Self::Unreadable(source) => LoadError::Unreadable { file, source },
            Self::Unusable(reason) => LoadError::Unusable { file, reason },
        }
    }
}

/// Treatment of passwords and keys in separate files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Reads them, to run the configuration.
    Read,
    /// Skips them, to check a configuration where the files need not exist. The affected routers
    /// then have no authentication or lack keys, and must not be run.
    Skip,
}

/// A valid configuration before its secrets are read. Created by [`parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    lowered: Lowered,
    warnings: Vec<Problem>,
}

/// A configuration that can be run. Created by [`load`] or [`Checked::complete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Parameters of the engine.
    pub node: NodeParams,
    /// Probes that the daemon runs, by the name of the tracker.
    pub probes: BTreeMap<Arc<str>, Probe>,
    /// Programs to run at transitions, by instance or group.
    pub notify: BTreeMap<Subject, Notify<Arc<Command>>>,
    /// Resources by the name of the router; a router without `resources` has no entry.
    pub resources: BTreeMap<Arc<str>, ResourceParams>,
    /// Warnings about settings that are valid but probably unintended, in the order of the file.
    pub warnings: Vec<Problem>,
    /// Kind of the authentication (`pass` or `hmac`) of each router with a secret that was skipped.
    pub skipped: BTreeMap<Arc<str>, &'static str>,
}

/// Reason why there is no configuration to run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Fault of the operator: the file is no text in UTF-8. Exit status 2.
    #[error("{file}: no configuration: {reason}", file = .file.display())]
    Unusable {
        /// Path of the configuration file.
        file: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// Fault of the host: the file cannot be read.
    #[error("{file}: cannot be read: {source}", file = .file.display())]
    Unreadable {
        /// Path of the configuration file.
        file: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Fault of the operator: the configuration is invalid. Exit status 2.
    #[error("{file}: invalid configuration\n{problems}", file = .file.display())]
    Invalid {
        /// Path of the configuration file.
        file: PathBuf,
        /// All problems of the configuration.
        problems: Problems,
    },
    /// Fault of the host: the configuration is valid, but a file that it names contains no usable
    /// password or key.
    #[error("{file}: missing secrets\n{problems}", file = .file.display())]
    Secrets {
        /// Path of the configuration file.
        file: PathBuf,
        /// One problem for each file without a usable secret.
        problems: Problems,
    },
}

/// Whether a request header, by its name in lower case, usually contains a password or a token.
fn is_credential(header: &str) -> bool {
    let words = ["authorization", "cookie", "token", "secret", "key"];
    words.iter().any(|word| header.contains(word))
}

impl Checked {
    /// Warnings about settings that are valid but probably unintended, in the order of the text.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Adds the passwords and keys from their files. A relative path is relative to `credentials`,
    /// the directory that systemd names in `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    ///
    /// Each file without a usable secret, with the reason.
    pub fn complete(
        self,
        secrets: Secrets,
        credentials: Option<&FilePath>,
    ) -> Result<Loaded, Problems> {
        let Self {
            lowered:
                Lowered {
                    mut node,
                    probes,
                    notify,
                    resources,
                    pending,
                    ..
                },
            warnings,
        } = self;
        let mut reading = Reading {
            secrets,
            credentials,
            problems: Vec::new(),
            warnings,
            has_skipped: false,
        };
        let mut skipped = BTreeMap::new();
        for Pending {
            instance,
            authentication,
        } in pending
        {
            let kind = authentication.kind();
            reading.has_skipped = false;
            if let Some(authentication) = authentication.complete(&mut reading)
                && let Some(router) = node.routers.get_mut(&instance)
            {
                router.authentication = authentication;
            }
            if reading.has_skipped {
                skipped.insert(instance, kind);
            }
        }
        let Reading {
            problems, warnings, ..
        } = reading;
        if problems.is_empty() {
            Ok(Loaded {
                node,
                probes,
                notify,
                resources,
                warnings,
                skipped,
            })
        } else {
            Err(Problems::new(problems))
        }
    }

    fn warn_of_open_secrets(&mut self) {
        let warnings = self.lowered.open_secrets.iter().map(|open| Problem {
            path: open.path.to_string(),
            value: None,
            message: format!(
                "this file is world-readable and contains the {}: chmod o-r, or use {}",
                open.kind, open.instead
            ),
        });
        self.warnings.extend(warnings);
        let mut headers = Vec::new();
        for (tracker, probe) in &self.lowered.probes {
            let Probe::Http(http) = probe else { continue };
            let path = Path::default().key("trackers").key(tracker).key("http");
            let names = http.headers.keys().filter(|name| is_credential(name));
            headers.extend(names.map(|name| {
                Problem {
                    path: path.key("headers").key(name).to_string(),
                    value: None,
                    message:
                        "this file is world-readable and contains these credentials: chmod o-r"
                            .to_owned(),
                }
            }));
        }
        self.warnings.extend(headers);
    }

    fn warn_of_writable_file(&mut self) {
        let message = "every local user may write this file, and so run commands as the user of scripts: \
                       chmod o-w";
        self.warnings.push(Problem {
            path: String::new(),
            value: None,
            message: message.to_owned(),
        });
    }
}
