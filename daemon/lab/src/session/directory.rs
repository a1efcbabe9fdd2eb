//! Directory of one user for the keeper's socket and lock.
//!
//! The keeper holds the lock as long as it runs, so the socket of a dead keeper is recognised as
//! stale.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use vrrp_lab::{Error, Result};

/// Path of the directory.
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// Opens or creates `$XDG_RUNTIME_DIR/vrrp-lab`, or `/tmp/vrrp-lab-UID` if this user has no
    /// such runtime directory.
    pub(crate) fn find() -> Result<Self> {
        let user = geteuid().as_raw();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|runtime| fs::metadata(runtime).is_ok_and(|found| found.uid() == user));
        let directory = runtime.map_or_else(
            || PathBuf::from(format!("/tmp/vrrp-lab-{user}")),
            |runtime| runtime.join("vrrp-lab"),
        );
        match own(&directory, user) {
            Ok(()) => Ok(Self(directory)),
            Err(error) => Err(Error::new(
                format!("creating {}", directory.display()),
                error,
            )),
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Takes the lock for a keeper; `None` if another keeper holds it.
    pub(crate) fn lock(&self) -> Result<Option<Flock<File>>> {
        match self.flock(FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(self.unlockable(error)),
        }
    }

    /// Waits until no keeper runs, and deletes its socket.
    pub(crate) fn wait_until_free(&self) -> Result<()> {
        let lock = self
            .flock(FlockArg::LockExclusive)
            .map_err(|error| self.unlockable(error))?;
        let _ = fs::remove_file(self.socket());
        drop(lock);
        Ok(())
    }

    fn flock(&self, how: FlockArg) -> io::Result<Flock<File>> {
        let file = File::create(self.0.join("lock"))?;
        Flock::lock(file, how).map_err(|(_, errno)| errno.into())
    }

    fn unlockable(&self, error: io::Error) -> Error {
        Error::new(format!("locking {}", self.0.display()), error)
    }
}

/// Creates a directory for this user only. An existing directory of another user is rejected: any
/// user can write to /tmp.
fn own(directory: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    // Not `metadata`: a symbolic link in /tmp may lead to a directory of the attacker's choice.
    let found = fs::symlink_metadata(directory)?;
    if found.is_dir() && found.uid() == user && found.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(io::Error::other(
            "the path exists and is not a private directory (mode 0700) of this user",
        ))
    }
}
