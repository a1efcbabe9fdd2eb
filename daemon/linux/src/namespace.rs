//! Another network namespace than the one that the daemon was started in (network_namespaces(7)).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};

/// Where `ip netns` keeps those that have a name (ip-netns(8)).
const NAMED: &str = "/run/netns";

/// The file of a network namespace: that of a name, or the one that a path with a slash in it means
/// (such as `/proc/1234/ns/net`).
pub fn file_of(name: &Path) -> PathBuf {
    // An absolute path replaces what it is joined to.
    match name.components().count() {
        1 => Path::new(NAMED).join(name),
        _ => name.to_owned(),
    }
}

/// Moves this thread into a network namespace, and so the threads and programs that it starts from
/// now on.
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
    fn a_name_is_one_of_ip_netns_and_a_path_is_itself() {
        let file = |name: &str| file_of(Path::new(name)).display().to_string();
        assert_eq!(file("blue"), "/run/netns/blue");
        assert_eq!(file("/proc/1/ns/net"), "/proc/1/ns/net");
        assert_eq!(file("./blue"), "./blue");
    }
}
