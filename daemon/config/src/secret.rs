//! Passwords and keys that stand in files of their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use vrrp_proto::Password;
use vrrp_proto::params::{AntiReplay, Authentication, HmacMode, HmacParams};
use vrrp_proto::wire::hmac::{Key, KeyId};

use crate::Secrets;
use crate::problem::{Findings, Path, Problem, quoted};
use crate::value::KeyText;

/// An authentication that is complete when its files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) instance: Arc<str>,
    pub(crate) authentication: PendingAuthentication,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PendingAuthentication {
    Pass(SecretFile),
    Hmac(PendingHmac),
}

/// The parameters of an HMAC whose keys are here or in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingHmac {
    pub(crate) keys: BTreeMap<KeyId, KeySource>,
    /// One of `keys`.
    pub(crate) active: KeyId,
    pub(crate) mode: HmacMode,
    pub(crate) anti_replay: AntiReplay,
}

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    Here(Key),
    File(SecretFile),
}

/// A `passwordFile` or a `keyFile` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretFile {
    /// Where the configuration speaks of it.
    path: Path,
    /// Its name as written.
    file: PathBuf,
}

/// What to do about files, and what came of it.
pub(crate) struct Reading<'a> {
    pub(crate) secrets: Secrets,
    /// The directory of relative paths.
    pub(crate) credentials: Option<&'a FilePath>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// Why a file gave no secret. No message says what the file holds.
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
    NoPassword,
    #[error("holds more than the 8 bytes that a password may have")]
    LongPassword,
    #[error(
        "holds more than the {} bytes that the longest key is written with",
        KeyText::LONGEST
    )]
    LongKey,
    #[error("its key {0}")]
    Key(String),
}

impl PendingAuthentication {
    /// Reads what is missing. Gives nothing when a secret cannot be read or is not to be.
    pub(crate) fn complete(self, reading: &mut Reading<'_>) -> Option<Authentication> {
        match self {
            Self::Pass(file) => reading.password(&file).map(Authentication::Pass),
            Self::Hmac(hmac) => hmac.complete(reading).map(Authentication::Hmac),
        }
    }
}

impl PendingHmac {
    fn complete(self, reading: &mut Reading<'_>) -> Option<HmacParams> {
        let keys = self
            .keys
            .into_iter()
            .filter_map(|(id, source)| match source {
                KeySource::Here(key) => Some(key),
                KeySource::File(file) => reading.key(&file, id),
            });
        let (active, others): (Vec<_>, Vec<_>) = keys.partition(|key| key.id() == self.active);
        Some(HmacParams {
            active: *active.first()?,
            others,
            mode: self.mode,
            anti_replay: self.anti_replay,
        })
    }
}

impl Reading<'_> {
    fn password(&mut self, file: &SecretFile) -> Option<Password> {
        self.read(file, 8, |bytes| {
            if bytes.is_empty() {
                return Err(Failure::NoPassword);
            }
            Password::new(bytes).ok_or(Failure::LongPassword)
        })
    }

    fn key(&mut self, file: &SecretFile, id: KeyId) -> Option<Key> {
        self.read(file, KeyText::LONGEST, |bytes| {
            if bytes.len() > KeyText::LONGEST {
                return Err(Failure::LongKey);
            }
            let text = KeyText::parse(bytes).map_err(Failure::Key)?;
            text.key(id).ok_or(Failure::LongKey)
        })
    }

    /// Reads a secret of at most `most` bytes, or enough to see that it is longer.
    fn read<T>(
        &mut self,
        file: &SecretFile,
        most: usize,
        meaning: impl FnOnce(&[u8]) -> Result<T, Failure>,
    ) -> Option<T> {
        if self.secrets == Secrets::Skip {
            return None;
        }
        let read = file.read(self.credentials, most).and_then(|(bytes, open)| {
            // One newline at the end does not count.
            let secret = meaning(bytes.strip_suffix(b"\n").unwrap_or(&bytes))?;
            Ok((secret, open))
        });
        match read {
            Ok((secret, open_to_all)) => {
                if open_to_all {
                    let message = "everybody can read this file: chmod o-r";
                    self.warnings.push(file.problem(message.to_owned()));
                }
                Some(secret)
            }
            Err(failure) => {
                self.problems.push(file.problem(failure.to_string()));
                None
            }
        }
    }
}

impl SecretFile {
    /// The file that `path` names, and what is wrong with the name.
    pub(crate) fn new(path: Path, file: &str, findings: &mut Findings) -> Self {
        if file.is_empty() || file.contains('\0') {
            findings.add(&path, "must be the path of a file");
        }
        let file = file.into();
        Self { path, file }
    }

    /// `message` about this file.
    fn problem(&self, message: String) -> Problem {
        Problem {
            path: self.path.to_string(),
            value: Some(quoted(&self.file.to_string_lossy())),
            message,
        }
    }

    /// At least the first `most` bytes and what shows that there are more, and whether everybody
    /// could have read them, too.
    fn read(
        &self,
        credentials: Option<&FilePath>,
        most: usize,
    ) -> Result<(Vec<u8>, bool), Failure> {
        let file = if self.file.is_absolute() {
            self.file.clone()
        } else {
            credentials.ok_or(Failure::NoCredentials)?.join(&self.file)
        };
        let file = File::open(file)?;
        let open_to_all = readable_by_all(&file)?;
        // A newline, and one byte more.
        let enough = most + 2;
        let mut bytes = Vec::with_capacity(enough);
        file.take(enough as u64).read_to_end(&mut bytes)?;
        Ok((bytes, open_to_all))
    }
}

/// Whether the mode of `file` lets everybody read it.
pub(crate) fn readable_by_all(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.permissions().mode() & 0o004 != 0)
}
