//! What the operator writes: the words of the configuration, what is wrong with them, and what they
//! mean to the engine.
//!
//! A configuration is JSON. It takes four steps, each in its module:
//!
//! 1. `tree`: the text as it was written, or where it is no JSON;
//! 2. `reader`: the tree as the types of `model`, which hold all words, ranges and defaults;
//! 3. `check`: what is right by itself and wrong together;
//! 4. `lower`: the parameters of the engine, and for the daemon the probes and who is told.
//!
//! Steps 2 to 4 go on after a problem, and [`Problems`] has all of them, each with its place, the
//! value and what would be right. `secret` then reads the passwords and keys that stand in files of
//! their own. That alone depends on the host; everything before is a function of the text, so that a
//! configuration can be checked where it is built.

mod address;
mod check;
mod command;
mod duration;
mod field;
mod group;
mod lower;
mod lvs;
mod model;
mod notify;
mod problem;
mod reader;
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

use core::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use vrrp_proto::notify::{Notify, Subject};
use vrrp_proto::params::NodeParams;
use vrrp_proto::resources::ResourceParams;

pub use notify::{Command, Style};
pub use problem::{Problem, Problems};
pub use schema::schema;
pub use tracker::{
    Host, Http, Method, NumberFile, Origin, Ping, Probe, Process, Restart, Rhythm, Route, Script,
    Tcp, Trust, Unit, Url, Which,
};

use field::Field;
use lower::Lowered;
use model::Config;
use problem::Findings;
use reader::Position;
use secret::{Pending, Reading};
use tree::Node;

/// Checks a configuration as far as that is possible without the host it is for.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of the text; of an error of syntax the first.
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
        // Whoever gives nothing has reported why.
        _ => Err(Problems::new(problems.locate(&tree))),
    }
}

/// Reads, checks and completes the configuration in `file`.
///
/// # Errors
///
/// See [`LoadError`]. Nothing is half done: either all is well or there is no configuration.
pub fn load(file: &FilePath, secrets: Secrets) -> Result<Loaded, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let mut text = String::new();
    let mut opened = File::open(file).map_err(unreadable)?;
    opened.read_to_string(&mut text).map_err(unreadable)?;
    let open_to_all = secret::readable_by_all(&opened).map_err(unreadable)?;
    let mut checked = parse(&text).map_err(|problems| LoadError::Invalid {
        file: file.to_owned(),
        problems,
    })?;
    if open_to_all {
        checked.warn_of_open_secrets();
    }
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let credentials = credentials.as_deref().map(FilePath::new);
    checked
        .complete(secrets, credentials)
        .map_err(|problems| LoadError::Secrets {
            file: file.to_owned(),
            problems,
        })
}

/// What to do about passwords and keys that stand in files of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Read them: to run the configuration.
    Read,
    /// Do without: to check the configuration where the files need not exist. The routers concerned
    /// have no authentication then, or not all keys, and must not be run.
    Skip,
}

/// A configuration without a problem, before secrets are read. Made by [`parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    lowered: Lowered,
    warnings: Vec<Problem>,
}

/// A configuration that can be run. Made by [`load`] or [`Checked::complete`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What the engine is to run.
    pub node: NodeParams,
    /// What the daemon itself has to look at, by the name of the tracker.
    pub probes: BTreeMap<Arc<str>, Probe>,
    /// Who is told of transitions.
    pub notify: BTreeMap<Subject, Notify<Arc<Command>>>,
    /// What runs where a router is master, by the name of the router: for those that say something of it.
    pub resources: BTreeMap<Arc<str>, ResourceParams>,
    /// What is allowed but hardly meant, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// Why there is no configuration to run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The host's: the file cannot be read, or is not UTF-8.
    #[error("{file}: cannot be read: {source}", file = .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The operator's: the configuration is wrong. Exit status 2.
    #[error("{file}: the configuration is wrong\n{problems}", file = .file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problems: Problems,
    },
    /// The host's: the configuration is well, but files that it names give no password or key.
    #[error("{file}: secrets are missing\n{problems}", file = .file.display())]
    Secrets {
        /// The file with the configuration.
        file: PathBuf,
        /// One for each file without a secret.
        problems: Problems,
    },
}

impl Checked {
    /// What is allowed but hardly meant, in the order of the text.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Adds the passwords and keys that stand in files of their own. A relative path is one in
    /// `credentials`, which systemd names in `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    ///
    /// Every file that gives no secret, with the reason.
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
        };
        for Pending {
            instance,
            authentication,
        } in pending
        {
            if let Some(authentication) = authentication.complete(&mut reading)
                && let Some(router) = node.routers.get_mut(&instance)
            {
                router.authentication = authentication;
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
                "everybody can read this file and the {} in it: chmod o-r, or use {}",
                open.kind, open.instead
            ),
        });
        self.warnings.extend(warnings);
    }
}
