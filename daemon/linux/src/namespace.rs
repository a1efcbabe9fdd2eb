//! Enters another network namespace than the one that the daemon was started in
//! (network_namespaces(7)).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};

/// Directory of named network namespaces (ip-netns(8)).
const NAMED: &str = "/run/netns";

/// Path of a network namespace: of a name, or of a path with a slash in it (such as
/// `/proc/1234/ns/net`).
pub fn file_of(name: &Path) -> PathBuf {
    // Joining an absolute path would replace the directory anyway.
    match name.components().count() {
        1 => Path::new(NAMED).join(name),
        _ => name.to_owned(),
    }
}

/// Moves this thread into a network namespace. Threads and programs that it starts later inherit it.
///
/// # Errors
///
/// ENOENT when there is none, EINVAL when the file is no network namespace, EPERM without
/// CAP_SYS_ADMIN.
pub fn enter(name: &Path) -> io::Result<()> {
    let file = File::open(file_of(name))?;
    Ok(setns(file, CloneFlags::CLONE_NEWNET)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_name_is_looked_up_as_by_ip_netns() {
        let file = |name: &str| file_of(Path::new(name)).display().to_string();
        assert_eq!(file("blue"), "/run/netns/blue");
        assert_eq!(file("/proc/1/ns/net"), "/proc/1/ns/net");
        assert_eq!(file("./blue"), "./blue");
    }
}
