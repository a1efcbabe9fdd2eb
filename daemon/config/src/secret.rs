//! Passwords that stand in files of their own.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use vrrp_proto::Password;

use crate::problem::{Path, Problem, quoted};

/// A `passwordFile` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PasswordFile {
    pub(crate) instance: Arc<str>,
    /// Where the configuration speaks of it.
    pub(crate) path: Path,
    /// Its name as written.
    pub(crate) file: PathBuf,
}

/// What a file held, and whether everybody could have read it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secret {
    pub(crate) password: Password,
    pub(crate) open_to_all: bool,
}

/// Why a file gave no password. No message says what the file holds.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error(
        "is a relative path and $CREDENTIALS_DIRECTORY is not set: write an absolute path, or let \
         systemd provide it (LoadCredential=)"
    )]
    NoCredentials,
    #[error("is empty: it must hold a password of 1 to 8 bytes")]
    Empty,
    #[error("holds more than the 8 bytes that a password may have")]
    TooLong,
}

impl PasswordFile {
    /// Reads the password: a relative path is one in `credentials`, and one newline at the end does
    /// not count.
    ///
    /// # Errors
    ///
    /// The problem names the file and the reason, never the secret.
    pub(crate) fn read(&self, credentials: Option<&FilePath>) -> Result<Secret, Problem> {
        self.try_read(credentials)
            .map_err(|failure| self.problem(failure.to_string()))
    }

    /// `message` about this file.
    pub(crate) fn problem(&self, message: String) -> Problem {
        Problem {
            path: self.path.to_string(),
            value: Some(quoted(&self.file.to_string_lossy())),
            message,
        }
    }

    fn try_read(&self, credentials: Option<&FilePath>) -> Result<Secret, Failure> {
        let file = if self.file.is_absolute() {
            self.file.clone()
        } else {
            credentials.ok_or(Failure::NoCredentials)?.join(&self.file)
        };
        let file = File::open(file)?;
        let open_to_all = readable_by_all(&file)?;
        // Enough to hold a password with its newline and to see that it is too long.
        let mut bytes = Vec::with_capacity(10);
        file.take(10).read_to_end(&mut bytes)?;
        let secret = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        if secret.is_empty() {
            return Err(Failure::Empty);
        }
        let password = Password::new(secret).ok_or(Failure::TooLong)?;
        Ok(Secret {
            password,
            open_to_all,
        })
    }
}

/// Whether the mode of `file` lets everybody read it.
pub(crate) fn readable_by_all(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.permissions().mode() & 0o004 != 0)
}
