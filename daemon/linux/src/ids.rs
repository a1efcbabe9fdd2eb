//! User and groups of a program that the daemon starts (credentials(7)).

use std::process::Command;

use nix::unistd::{Gid, Uid};

use crate::sys;

/// IDs of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// User.
    pub user: Uid,
    /// Group.
    pub group: Gid,
    /// Supplementary groups.
    pub groups: Vec<Gid>,
}

/// Makes a program run with these IDs and no others. The start fails with EPERM if this process may not give
/// them: it needs CAP_SETUID and CAP_SETGID.
pub fn run_as(command: &mut Command, ids: Ids) {
    sys::run_as(command, ids.user, ids.group, ids.groups);
}
