//! Reads the text of a configuration file, and the permissions of files.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Most bytes of a configuration. One with 4,000 instances has about one MiB.
const LARGEST: u64 = 16 << 20;

/// Time limit for anything but a regular file, such as a pipe of the shell: `vrrpd check <(generate)`.
const ANSWER: Duration = Duration::from_secs(2);

/// Text of a file.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) mode: Mode,
}

/// Permissions of a file (inode(7)).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode(u32);

impl Mode {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self(metadata.permissions().mode())
    }

    /// Whether every local user may read the file.
    pub(crate) const fn is_readable_by_all(self) -> bool {
        self.0 & 0o004 != 0
    }

    /// Whether every local user may write the file.
    pub(crate) const fn is_writable_by_all(self) -> bool {
        self.0 & 0o002 != 0
    }

    /// Whether only its owner may rename or delete a file of this directory.
    pub(crate) const fn is_sticky(self) -> bool {
        self.0 & 0o1000 != 0
    }
}

/// Reason why a file contains no configuration.
#[derive(Debug)]
pub(crate) enum NoText {
    /// Fault of the host.
    Unreadable(io::Error),
    /// Fault of the operator: it is no text file, for this reason.
    Unusable(String),
}

impl From<io::Error> for NoText {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Reads `file`, which is UTF-8 with or without a byte order mark. Blocks while the file system of a
/// regular file does not answer.
pub(crate) fn read(file: &Path) -> Result<Text, NoText> {
    let Contents { bytes, mode } = contents(file)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        NoText::Unusable(format!("line {line} contains bytes that are not UTF-8"))
    })?;
    Ok(Text { text, mode })
}

/// As [`read`], with U+FFFD for bytes that are not UTF-8.
pub(crate) fn read_lossy(file: &Path) -> Result<String, NoText> {
    let Contents { bytes, .. } = contents(file)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads `file` without its byte order mark.
fn contents(file: &Path) -> Result<Contents, NoText> {
    let kind = fs::metadata(file)?.file_type();
    if kind.is_dir() {
        return Err(NoText::Unusable("it is a directory".to_owned()));
    }
    let Contents { bytes, mode } = match kind.is_file() {
        true => Contents::of(file)?,
        false => Contents::within(ANSWER, file)?,
    };
    if bytes.len() as u64 > LARGEST {
        let text = format!("it is larger than {} MiB", LARGEST >> 20);
        return Err(NoText::Unusable(text));
    }
    let bytes = match &*bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            return Err(NoText::Unusable(
                "it is UTF-16: save it as UTF-8".to_owned(),
            ));
        }
        // RFC 8259 section 8.1: a parser may ignore a byte order mark.
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        _ => bytes,
    };
    Ok(Contents { bytes, mode })
}

/// Contents and mode of a file.
#[derive(Debug)]
struct Contents {
    /// Not more than one byte beyond [`LARGEST`].
    bytes: Vec<u8>,
    mode: Mode,
}

impl Contents {
    fn of(file: &Path) -> io::Result<Self> {
        let file = File::open(file)?;
        let mode = Mode::of(&file.metadata()?);
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok(Self { bytes, mode })
    }

    /// As [`of`](Self::of) with a time limit. What is read after that is lost.
    fn within(limit: Duration, file: &Path) -> Result<Self, NoText> {
        let (sender, receiver) = mpsc::channel();
        let file = file.to_owned();
        thread::Builder::new().spawn(move || sender.send(Self::of(&file)))?;
        let contents = receiver.recv_timeout(limit).map_err(|_| {
            NoText::Unusable(format!(
                "it is a pipe or a device, which did not end within {limit:?}"
            ))
        })?;
        Ok(contents?)
    }
}
