//! Trackers of kind `file`: a number in a file.
//!
//! inotify(7) reports when the file was written and closed, and when the file or a directory of its
//! path is created, deleted or renamed. A file that is still being written is not read, because it
//! may be empty for a moment. After each event all directories of the path are watched anew, and
//! then the file is read.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};
use tracing::Level;
use vrrp_config::NumberFile;
use vrrp_proto::params::Verdict;

use super::complaint::is_shortage;
use super::{Reporter, watched};

/// Most bytes that a number and the space around it may take.
const LONGEST: u64 = 64;

/// Time between two reads where inotify is not available.
const AGAIN: Duration = Duration::from_secs(1);

/// Time limit for the file system.
const ANSWER: Duration = Duration::from_secs(5);

/// Task of one tracker.
pub(super) async fn follow(file: NumberFile, mut reporter: Reporter) {
    let mut was_told = false;
    loop {
        let path = file.path.clone();
        // The file may be on a network file system that does not answer. The watch begins before the file
        // is read, so that no change in between is missed.
        let mut look = tokio::task::spawn_blocking(move || (Watch::begin(&path), look(&path)));
        let looked = match timeout(ANSWER, &mut look).await {
            Ok(looked) => looked,
            Err(_) => {
                let path = file.path.display();
                let detail = format!("{path} cannot be read: no answer within {ANSWER:?}");
                if reporter.tell(Verdict::DOWN, detail).is_err() {
                    return;
                }
                look.await
            }
        };
        let Ok((watch, seen)) = looked else {
            return;
        };
        let (verdict, detail) = match seen {
            Ok(seen) => seen,
            Err(shortage) => {
                if reporter.keep(&shortage).is_err() {
                    return;
                }
                sleep(AGAIN).await;
                continue;
            }
        };
        if reporter.tell(verdict, detail).is_err() {
            return;
        }
        let news = match watch {
            Ok(watch) => watch.news().await,
            Err(error) => Err(error),
        };
        if let Err(error) = news {
            if !was_told {
                was_told = true;
                let path = file.path.display();
                let text = format!(
                    "cannot watch {path} with inotify: {error}; reading it every second instead; if there \
                     are too many inotify instances, raise fs.inotify.max_user_instances"
                );
                reporter.note(Level::WARN, &text);
            }
            sleep(AGAIN).await;
        }
    }
}

/// Verdict of the file's content, with its reason.
///
/// # Errors
/// If this process or host lacks the means to read it, which says nothing of the file.
fn look(path: &Path) -> Result<(Verdict, String), String> {
    let shown = path.display();
    Ok(match read(path) {
        Ok(Some(text)) => match text.trim() {
            "" => (
                Verdict::DOWN,
                format!("{shown} is empty: write a number into it"),
            ),
            number => match number.parse() {
                Ok(value) => (Verdict::saying(value), format!("{shown} contains {value}")),
                Err(_) => (
                    Verdict::DOWN,
                    format!("{shown} contains {number:?}, which is not an integer"),
                ),
            },
        },
        Ok(None) => (
            Verdict::DOWN,
            format!("{shown} contains more than a number"),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (Verdict::DOWN, format!("{shown} does not exist"))
        }
        Err(error) if is_shortage(&error) => return Err(format!("cannot read {shown}: {error}")),
        Err(error) => (Verdict::DOWN, format!("cannot read {shown}: {error}")),
    })
}

/// Reads a file; `None` if it is longer than [`LONGEST`].
fn read(path: &Path) -> io::Result<Option<String>> {
    // Opening a FIFO would block until another process opens it for writing.
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= LONGEST);
    Ok(fits.then(|| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Watches for changes of a file and of its path.
struct Watch {
    inotify: AsyncFd<Descriptor>,
    /// Name of interest in each watched directory.
    names: BTreeMap<i32, OsString>,
}

/// Wrapper for registration with the runtime.
struct Descriptor(Inotify);

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Watch {
    /// Watches all existing directories of the path, and the file if it exists.
    fn begin(path: &Path) -> io::Result<Self> {
        let comes_or_goes = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ATTRIB;
        let is_other =
            AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_ATTRIB;
        let written = AddWatchFlags::IN_CLOSE_WRITE;
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mut names = BTreeMap::new();
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        for pair in ancestors.windows(2) {
            let &[directory, entry] = pair else { continue };
            let mask = comes_or_goes | is_other | written | AddWatchFlags::IN_ONLYDIR;
            match inotify.add_watch(directory, mask) {
                Ok(watch) => {
                    let name = entry.file_name().unwrap_or_default();
                    names.insert(watch.as_raw(), name.to_owned());
                }
                Err(nix::Error::ENOENT | nix::Error::ENOTDIR) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // The file may be a symbolic link to a file elsewhere.
        match inotify.add_watch(path, is_other | written) {
            Ok(_) | Err(nix::Error::ENOENT | nix::Error::ENOTDIR | nix::Error::EACCES) => {}
            Err(error) => return Err(error.into()),
        }
        let inotify = watched(Descriptor(inotify))?;
        Ok(Self { inotify, names })
    }

    /// Waits until the file may have changed.
    async fn news(self) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            match ready.get_inner().0.read_events() {
                Ok(events) if events.iter().any(|event| self.concerns(event)) => return Ok(()),
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether an event concerns the path, and not another entry of one of its directories.
    fn concerns(&self, event: &InotifyEvent) -> bool {
        match (&event.name, self.names.get(&event.wd.as_raw())) {
            (Some(name), Some(wanted)) => name == wanted,
            // Events of the directory or the file itself, and of lost events.
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
