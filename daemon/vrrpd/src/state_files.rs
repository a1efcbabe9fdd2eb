//! State for the next process:
//!
//! | file | directory | written | contents |
//! | --- | --- | --- | --- |
//! | `handover.json` | runtime | when the daemon is restarted | the whole checkpoint and what was notified; the next process takes the file away |
//! | `numbers.json` | runtime | every ten seconds and at the end | the sequence numbers of signed advertisements, so that no recording is believed after any restart |
//! | `numbers.json` | state | every ten seconds | the same for the next boot. Never by the node: a disk may block |
//!
//! All have the mode 0600 and contain no key. A file of another format is not used, and of another boot only the
//! last one, which contains no time.

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
    /// Sequence numbers for the next boot.
    lasting_numbers: PathBuf,
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
    /// The files in the runtime directory and in the state directory.
    pub(crate) fn new(runtime: &Path, state: &Path) -> Self {
        Self {
            handover: runtime.join("handover.json"),
            numbers: runtime.join("numbers.json"),
            lasting_numbers: state.join("numbers.json"),
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

    /// Writes the sequence numbers for a next process of this boot, if there are any.
    pub(crate) fn write_numbers(&self, numbers: Checkpoint) -> Result<(), Unwritten> {
        match Contents::of_numbers(numbers) {
            Some(contents) => write(&self.numbers, &contents),
            None => Ok(()),
        }
    }

    /// Writes the sequence numbers for the next process of any boot, if there are any. May block.
    pub(crate) fn write_lasting_numbers(&self, numbers: Checkpoint) -> Result<(), Unwritten> {
        let Some(contents) = Contents::of_numbers(numbers) else {
            return Ok(());
        };
        // Both are kept if one file system is full.
        let outcome = write(&self.numbers, &contents);
        if let Some(directory) = self.lasting_numbers.parent() {
            // The next request has the reason.
            let _ = fs::create_dir_all(directory);
        }
        write(&self.lasting_numbers, &contents).and(outcome)
    }

    /// Takes what the former process has left. A second process finds the numbers only.
    pub(crate) fn take(&self) -> Taken {
        let handover = read_of_this_boot(&self.handover);
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
        let mut usable = |path: &Path, found: Result<Option<Contents>, String>| {
            found.unwrap_or_else(|why| {
                let text = format!(
                    "cannot use the sequence numbers in {}: {why}; until an advertisement of each sender has \
                     arrived, a recording of an earlier one could be believed",
                    path.display()
                );
                notes.push((Level::WARN, text));
                None
            })
        };
        let checkpoint = usable(&self.numbers, read_of_this_boot(&self.numbers)).or_else(|| {
            let path = &self.lasting_numbers;
            usable(path, read(path))
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
        matches!(read_of_this_boot(&self.handover), Ok(Some(contents)) if clock::now() < contents.until)
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

    /// The contents of a file with sequence numbers, if there are any.
    fn of_numbers(numbers: Checkpoint) -> Option<Self> {
        let is_empty = numbers.routers.is_empty();
        (!is_empty).then(|| Self::new(numbers, Instant::ZERO, Notified::default()))
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

/// Reads a file; `None` if there is none or it belongs to another boot.
fn read_of_this_boot(path: &Path) -> Result<Option<Contents>, String> {
    let contents = read(path)?;
    Ok(contents.filter(|contents| contents.boot_id == boot_id()))
}

/// Reads a file; `None` if there is none.
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
    let contents = serde_json::from_slice(&text);
    contents.map_err(|error| format!("not a state file: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vrrp_proto::{Engine, Input};

    use super::*;
    use crate::testing::Directory;

    /// Files below one directory, and a checkpoint with a router.
    struct Rig {
        directory: Directory,
        files: StateFiles,
    }

    impl Rig {
        fn new() -> Self {
            let directory = Directory::new();
            let files = StateFiles::new(&directory.path("run"), &directory.path("lib/vrrp"));
            fs::create_dir(directory.path("run")).unwrap();
            Self { directory, files }
        }

        /// Lets a file be one of an earlier boot.
        fn reboot(&self, file: &str) {
            let path = self.directory.path(file);
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replace(&boot_id(), "another boot")).unwrap();
        }
    }

    fn checkpoint(taken_at: Instant) -> Checkpoint {
        let router = vrrp_proto::params::RouterParams::new(
            "eth1".into(),
            vrrp_proto::Vrid::new(51).unwrap(),
            Arc::default(),
        );
        let params = vrrp_proto::params::NodeParams {
            routers: [("VI_1".into(), router)].into(),
            ..vrrp_proto::params::NodeParams::default()
        };
        let mut engine = Engine::new();
        engine.handle(taken_at, Input::Configure(params));
        engine.checkpoint(taken_at)
    }

    fn routers(taken: &Taken) -> usize {
        taken
            .checkpoint
            .as_ref()
            .map_or(0, |left| left.routers.len())
    }

    #[test]
    fn state_is_taken_once_and_while_it_is_fresh() {
        let rig = Rig::new();
        assert!(!rig.files.is_awaited());
        let now = clock::now();
        let lifetime = Duration::from_secs(60);
        for (age, continues) in [(Duration::ZERO, true), (FRESH * 2, false)] {
            let left = checkpoint(now - age);
            rig.files
                .leave(left, lifetime, Notified::default())
                .unwrap();
            let first = rig.files.take();
            assert_eq!(routers(&first), 1);
            let text = &first.notes[0].1;
            assert_eq!(text.starts_with("continuing"), continues, "{text}");
            let second = rig.files.take();
            assert_eq!((routers(&second), second.notes.len()), (0, 0));
        }
    }

    #[test]
    fn state_of_another_boot_or_format_is_not_used() {
        let rig = Rig::new();
        let leave = || {
            let left = checkpoint(clock::now());
            let lifetime = Duration::from_secs(60);
            rig.files
                .leave(left, lifetime, Notified::default())
                .unwrap();
        };
        leave();
        assert!(rig.files.is_awaited());
        rig.reboot("run/handover.json");
        assert!(!rig.files.is_awaited());
        assert_eq!(routers(&rig.files.take()), 0);

        leave();
        let path = rig.directory.path("run/handover.json");
        let text = fs::read_to_string(&path).unwrap();
        let other = text.replace(&format!("\"format\":{FORMAT}"), "\"format\":9999");
        fs::write(path, other).unwrap();
        let taken = rig.files.take();
        assert_eq!(routers(&taken), 0);
        assert!(
            taken.notes[0].1.contains("format 9999"),
            "{:?}",
            taken.notes
        );
    }

    #[test]
    fn sequence_numbers_outlive_a_reboot() {
        let rig = Rig::new();
        let numbers = checkpoint(clock::now()).without_states();
        rig.files.write_lasting_numbers(numbers).unwrap();
        assert_eq!(routers(&rig.files.take()), 1);
        rig.reboot("run/numbers.json");
        rig.reboot("lib/vrrp/numbers.json");
        let taken = rig.files.take();
        assert_eq!((routers(&taken), taken.notes.len()), (1, 0));
        assert!(taken.checkpoint.unwrap().routers["VI_1"].phase.is_none());
    }

    #[test]
    fn damaged_file_is_told_and_replaced_by_the_other_one() {
        let rig = Rig::new();
        let numbers = checkpoint(clock::now()).without_states();
        rig.files.write_lasting_numbers(numbers).unwrap();
        fs::write(rig.directory.path("run/numbers.json"), "{").unwrap();
        let taken = rig.files.take();
        assert_eq!(routers(&taken), 1);
        assert!(
            taken.notes[0].1.contains("not a state file"),
            "{:?}",
            taken.notes
        );
    }
}
