//! State for the next process, in the runtime directory:
//!
//! | file | written | contents |
//! | --- | --- | --- |
//! | `handover.json` | when the daemon is restarted | the whole checkpoint and what was notified; the next process takes the file away |
//! | `numbers.json` | every ten seconds and at the end | the sequence numbers of signed advertisements, so that no recording is believed after any restart |
//!
//! Both have the mode 0600 and contain no key. A file of another boot or another format is not used.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::Level;
use vrrp_linux::claim::Holder;
use vrrp_linux::clock;
use vrrp_proto::checkpoint::{Checkpoint, FORMAT, Notified};
use vrrp_proto::{Human, Instant};

use crate::replace::{Outlives, replace};

/// Age beyond which the states of the former process are not used. Each router judges its own state before.
const FRESH: Duration = Duration::from_secs(30);

/// Files of one runtime directory.
#[derive(Clone, Debug)]
pub(crate) struct StateFiles {
    handover: PathBuf,
    numbers: PathBuf,
}

/// What the former process has left.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Learned state.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// What was notified.
    pub(crate) notified: Notified,
    /// Lines for the log.
    pub(crate) notes: Vec<(Level, String)>,
}

/// Failure to leave the state to the next process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwritten {
    /// The kernel cannot delete the addresses by itself.
    #[error("cannot limit the lifetime of the virtual addresses: {0}")]
    Lifetimes(io::Error),
    /// A file cannot be written.
    #[error("cannot write {path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, io::Error),
}

/// Contents of a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contents {
    format: u32,
    /// Version of the daemon that wrote the file.
    daemon: String,
    boot_id: String,
    /// Time until which the kernel keeps the addresses without a daemon.
    until: Instant,
    checkpoint: Checkpoint,
    notified: Notified,
}

/// The part of the contents that every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl StateFiles {
    /// The files in a directory.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            handover: directory.join("handover.json"),
            numbers: directory.join("numbers.json"),
        }
    }

    /// Leaves everything to the next process, which has to start within `lifetime`.
    pub(crate) fn leave(
        &self,
        checkpoint: Checkpoint,
        lifetime: Duration,
        notified: Notified,
    ) -> Result<(), Unwritten> {
        let until = checkpoint.taken_at + lifetime;
        write(&self.handover, &Contents::new(checkpoint, until, notified))
    }

    /// Writes the sequence numbers, if there are any.
    pub(crate) fn write_numbers(&self, numbers: Checkpoint) -> Result<(), Unwritten> {
        if numbers.routers.is_empty() {
            return Ok(());
        }
        let contents = Contents::new(numbers, Instant::ZERO, Notified::default());
        write(&self.numbers, &contents)
    }

    /// Takes what the former process has left. A second process finds the numbers only.
    pub(crate) fn take(&self) -> Taken {
        let handover = read(&self.handover);
        let _ = fs::remove_file(&self.handover);
        match handover {
            Ok(Some(contents)) => contents.judge(clock::now()),
            Ok(None) => self.take_numbers(Vec::new()),
            Err(why) => {
                let text = format!(
                    "cannot continue with the state of the former process in {}: {why}; starting anew",
                    self.handover.display()
                );
                self.take_numbers(vec![(Level::WARN, text)])
            }
        }
    }

    /// Takes what the daemon has left that this process has taken over from.
    pub(crate) fn take_from(&self, former: &Holder) -> Taken {
        let has_left = self.handover.exists();
        let mut taken = self.take();
        if !has_left {
            let text = format!(
                "process {} has left no state at {}: it uses another runtime directory, or was stopping \
                 already; starting anew",
                former.pid,
                self.handover.display()
            );
            taken.notes.push((Level::WARN, text));
        }
        taken
    }

    fn take_numbers(&self, mut notes: Vec<(Level, String)>) -> Taken {
        let checkpoint = read(&self.numbers).unwrap_or_else(|why| {
            let text = format!(
                "cannot use the sequence numbers in {}: {why}; until an advertisement of each sender has \
                 arrived, a recording of an earlier one could be believed",
                self.numbers.display()
            );
            notes.push((Level::WARN, text));
            None
        });
        Taken {
            checkpoint: checkpoint.map(|contents| contents.checkpoint.without_states()),
            notified: Notified::default(),
            notes,
        }
    }

    /// Whether the next process is awaited: the former one has left everything to it, and the kernel keeps the
    /// addresses.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(read(&self.handover), Ok(Some(contents)) if clock::now() < contents.until)
    }

    /// Deletes what the former process has left for a restart.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_file(&self.handover);
    }
}

impl Contents {
    fn new(checkpoint: Checkpoint, until: Instant, notified: Notified) -> Self {
        Self {
            format: FORMAT,
            daemon: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: boot_id(),
            until,
            checkpoint,
            notified,
        }
    }

    fn judge(self, now: Instant) -> Taken {
        let Self {
            daemon,
            checkpoint,
            notified,
            ..
        } = self;
        let age = now.since(checkpoint.taken_at);
        if age > FRESH || checkpoint.taken_at > now {
            let text = format!(
                "the state of the former process (vrrpd {daemon}) is {} old, more than {}: starting anew",
                Human(age),
                Human(FRESH)
            );
            return Taken {
                checkpoint: Some(checkpoint.without_states()),
                notified: Notified::default(),
                notes: vec![(Level::WARN, text)],
            };
        }
        let text = format!(
            "continuing with the state of the former process (vrrpd {daemon}), which ended {} ago",
            Human(age)
        );
        Taken {
            checkpoint: Some(checkpoint),
            notified,
            notes: vec![(Level::INFO, text)],
        }
    }
}

/// Identity of this boot, which all times belong to (random(4)).
fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

fn write(path: &Path, contents: &Contents) -> Result<(), Unwritten> {
    let text = serde_json::to_vec(contents).map_err(io::Error::from);
    text.and_then(|text| replace(path, &text, Outlives::Process))
        .map_err(|error| Unwritten::File(path.to_owned(), error))
}

/// Reads a file of this boot; `None` if there is none or it belongs to another boot.
fn read(path: &Path) -> Result<Option<Contents>, String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let Format { format } =
        serde_json::from_slice(&text).map_err(|error| format!("not a state file: {error}"))?;
    if format != FORMAT {
        return Err(format!("format {format}, expected {FORMAT}"));
    }
    let contents: Contents =
        serde_json::from_slice(&text).map_err(|error| format!("not a state file: {error}"))?;
    Ok((contents.boot_id == boot_id()).then_some(contents))
}
