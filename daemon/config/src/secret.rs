//! Passwords and keys in separate files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use vrrp_proto::Password;
use vrrp_proto::params::{AntiReplay, Authentication, HmacMode, HmacParams};
use vrrp_proto::wire::hmac::{Key, KeyId};

use crate::Secrets;
use crate::file::Mode;
use crate::problem::{Findings, Path, Problem, quoted};
use crate::value::{KeyText, TRUNCATION};

/// Authentication that is incomplete until its files have been read.
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

/// Parameters of HMAC authentication before its key files have been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingHmac {
    pub(crate) keys: BTreeMap<KeyId, KeySource>,
    /// One of `keys`.
    pub(crate) active: KeyId,
    pub(crate) mode: HmacMode,
    pub(crate) anti_replay: AntiReplay,
}

/// Source of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    Here(Key),
    File(SecretFile),
}

/// A `passwordFile` or a `keyFile` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretFile {
    /// Path of the key in the configuration.
    path: Path,
    /// Name of the file as written.
    file: PathBuf,
}

/// Parameters and results of the reading of secret files.
pub(crate) struct Reading<'a> {
    pub(crate) secrets: Secrets,
    /// Base directory of relative paths.
    pub(crate) credentials: Option<&'a FilePath>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// Whether a file was skipped ([`Secrets::Skip`]).
    pub(crate) has_skipped: bool,
}

/// Reason why a file contains no usable secret. No message reveals the content of the file.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error(
        "is a relative path and $CREDENTIALS_DIRECTORY is not set: write an absolute path, or let \
         systemd provide it (LoadCredential=)"
    )]
    NoCredentials,
    #[error("is empty: must contain a password of 1 to 8 bytes")]
    NoPassword,
    #[error("contains more than 8 bytes, the maximum length of a password{TRUNCATION}")]
    LongPassword,
    #[error(
        "contains more than {} bytes, the maximum length of a key",
        KeyText::LONGEST
    )]
    LongKey,
    #[error("the key in it {0}")]
    Key(String),
}

impl PendingAuthentication {
    /// Returns the key of this kind of authentication in the configuration.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Hmac(_) => "hmac",
        }
    }

    /// Reads the missing secrets. `None` if a secret cannot be read or must not be read
    /// ([`Secrets::Skip`]).
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
            self.has_skipped = true;
            return None;
        }
        let read = file.read(self.credentials, most).and_then(|(bytes, open)| {
            // Editors and `echo` append a newline, which is not part of the secret.
            let secret = meaning(bytes.strip_suffix(b"\n").unwrap_or(&bytes))?;
            Ok((secret, open))
        });
        match read {
            Ok((secret, open_to_all)) => {
                if open_to_all {
                    let message = "this file is world-readable: chmod o-r";
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
    /// Creates the file that the key at `path` names, and reports an invalid name.
    pub(crate) fn new(path: Path, file: &str, findings: &mut Findings) -> Self {
        if file.is_empty() || file.contains('\0') {
            findings.add(&path, "must be the path of a file");
        }
        let file = file.into();
        Self { path, file }
    }

    /// Returns `message` as a problem of this file.
    fn problem(&self, message: String) -> Problem {
        Problem {
            path: self.path.to_string(),
            value: Some(quoted(&self.file.to_string_lossy())),
            message,
        }
    }

    /// Returns up to `most` bytes and two more, which show whether the file is longer, and whether
    /// the file is world-readable.
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
        let open_to_all = Mode::of(&file.metadata()?).is_readable_by_all();
        // A trailing newline, and one byte that shows that the file is too long.
        let enough = most + 2;
        let mut bytes = Vec::with_capacity(enough);
        file.take(enough as u64).read_to_end(&mut bytes)?;
        Ok((bytes, open_to_all))
    }
}
