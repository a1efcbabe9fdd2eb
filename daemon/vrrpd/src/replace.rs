//! Replacement of a file, at once or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// End that the new content outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlives {
    /// The end of the process.
    Process,
    /// A crash of the host. Waits for the disk.
    Host,
}

/// Writes a file, with the mode 0600, so that `path` has either its former content or the new one.
///
/// # Errors
/// If the file system rejects a step. The former content stays.
pub(crate) fn replace(path: &Path, content: &[u8], outlives: Outlives) -> io::Result<()> {
    let partial = path.with_extension("partial");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // A new file, and not one that a link leads to.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(&partial)?;
    file.write_all(content)?;
    if outlives == Outlives::Host {
        file.sync_all()?;
    }
    fs::rename(&partial, path)?;
    if outlives == Outlives::Host
        && let Some(directory) = path.parent()
    {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::testing::Directory;

    #[test]
    fn replaced_file_is_private_and_leaves_nothing_beside() {
        for outlives in [Outlives::Process, Outlives::Host] {
            let directory = Directory::new();
            let path = directory.path("state.json");
            // A process died before the rename, or another user put a link there.
            symlink("/etc/passwd", directory.path("state.partial")).unwrap();
            for content in ["former", "new"] {
                replace(&path, content.as_bytes(), outlives).unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), content);
            }
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(fs::read_dir(directory.path("")).unwrap().count(), 1);
        }
    }

    #[test]
    fn rejected_replacement_keeps_the_former_file() {
        let directory = Directory::new();
        let path = directory.path("state.json");
        replace(&path, b"former", Outlives::Process).unwrap();
        fs::create_dir(directory.path("state.partial")).unwrap();
        assert!(replace(&path, b"new", Outlives::Process).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"former");
    }
}
