//! `vrrpd events`: the event log of the daemon, which it writes to its runtime directory. The daemon does not
//! have to run.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde_json::Value;

use crate::cli::EventsOptions;
use crate::event_log::{Event, FORMER, PRESENT};
use crate::{Failed, print_while_read};

/// Longest time until a file is found that was created while its directory did not exist, in milliseconds.
const PAUSE: u16 = 1000;

pub(crate) fn events(options: &EventsOptions) -> Result<(), Failed> {
    let directory = options.runtime.directory();
    let complain = |error: io::Error| {
        Failed::General.reasons(format_args!(
            "cannot read the events in {}: {error}; has vrrpd run, with this --runtime-dir?",
            directory.display()
        ))
    };
    // Before the first read, so that nothing is missed.
    let watch = match options.follow {
        true => Some(Watch::new(&directory).map_err(complain)?),
        false => None,
    };
    let mut tail = Tail::new(&directory);
    let first = tail.read().map_err(complain)?;
    if tail.file.is_none() && watch.is_none() {
        return Err(complain(ErrorKind::NotFound.into()));
    }
    if !show(options, &first)? {
        return Ok(());
    }
    let Some(watch) = watch else { return Ok(()) };
    loop {
        watch.wait().map_err(complain)?;
        if !show(options, &tail.read().map_err(complain)?)? {
            return Ok(());
        }
    }
}

/// Prints those of the lines that are asked for. Returns whether there is still a reader.
fn show(options: &EventsOptions, lines: &[u8]) -> Result<bool, Failed> {
    let mut text = String::new();
    for line in lines
        .split(|byte| *byte == b'\n')
        .filter(|it| !it.is_empty())
    {
        // A line of another version of the daemon, or one that a full file system cut.
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            continue;
        };
        if !is_meant(options, &event) {
            continue;
        }
        match options.json {
            true => text.push_str(&String::from_utf8_lossy(line)),
            false => {
                let Event {
                    time,
                    level,
                    text: words,
                    ..
                } = event;
                text.push_str(&format!("{time} {level:<5} {words}"));
            }
        }
        text.push('\n');
    }
    print_while_read(&text)
}

fn is_meant(options: &EventsOptions, event: &Event) -> bool {
    let is_late = options
        .since
        .is_none_or(|since| humantime::parse_rfc3339(&event.time).is_ok_and(|time| time >= since));
    let is_of = |name: &str| {
        ["instance", "group"]
            .iter()
            .any(|field| event.fields.get(*field).and_then(Value::as_str) == Some(name))
    };
    is_late && options.instance.as_deref().is_none_or(is_of)
}

/// Reads the files of an event log from the oldest event on, and later what was added.
#[derive(Debug)]
struct Tail {
    directory: PathBuf,
    /// The file that was read last, with its inode.
    file: Option<(File, u64)>,
    /// Beginning of a line whose end is not written yet.
    rest: Vec<u8>,
}

impl Tail {
    fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            file: None,
            rest: Vec::new(),
        }
    }

    /// Returns the lines since the last call.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.rest);
        match &mut self.file {
            // It may be the former file now.
            Some((file, _)) => drop(file.read_to_end(&mut bytes)?),
            None => {
                if let Some((mut former, _)) = open(&self.directory.join(FORMER))? {
                    former.read_to_end(&mut bytes)?;
                }
            }
        }
        if let Some((mut present, inode)) = open(&self.directory.join(PRESENT))?
            && self.file.as_ref().is_none_or(|(_, known)| *known != inode)
        {
            present.read_to_end(&mut bytes)?;
            self.file = Some((present, inode));
        }
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        self.rest = bytes.split_off(whole);
        Ok(bytes)
    }
}

/// Opens a file if it exists, and returns its inode.
fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file.metadata()?.ino();
            Ok(Some((file, inode)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until files of the runtime directory change. The directory may be created later, and again.
#[derive(Debug)]
struct Watch {
    inotify: Inotify,
    directory: PathBuf,
}

impl Watch {
    fn new(directory: &Path) -> io::Result<Self> {
        let watch = Self {
            inotify: Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?,
            directory: directory.to_owned(),
        };
        watch.add();
        Ok(watch)
    }

    /// Watches the directory that has this name now; a second request for the same directory does nothing.
    fn add(&self) {
        let mask = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        // If the directory does not exist, the next attempt follows after a second.
        let _ = self.inotify.add_watch(&self.directory, mask);
    }

    fn wait(&self) -> io::Result<()> {
        let mut files = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        poll(&mut files, PollTimeout::from(PAUSE))?;
        while self
            .inotify
            .read_events()
            .is_ok_and(|events| !events.is_empty())
        {}
        self.add();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
