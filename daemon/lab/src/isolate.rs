//! Isolation of the whole lab: one user, mount and network namespace (for root, without the user
//! namespace).
//!
//! `main` calls [`isolate`] first, while the process has one thread. Afterwards the process is root
//! in its namespaces: it may create namespaces, links and mounts, which are invisible outside and
//! vanish with it. The lab starts the same program again as a host's init or web server;
//! [`isolate`] recognises these by their first argument and does not return.

use std::fs;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use crate::error::{Doing, Error, Result};
use crate::namespace::mount_tmpfs;
use crate::program::exe;
use crate::sys::ignore_setgroups;
use crate::{boot, httpd};

/// Moves the process into new namespaces. Call it first in `main`, before any thread starts.
///
/// Does not return if the process was started as one of the lab's hidden subcommands.
///
/// # Errors
/// If neither user namespaces nor root's privileges are available; the error contains the remedy.
pub fn isolate() -> Result<()> {
    dispatch();
    exe()?;
    let (uid, gid) = (geteuid(), getegid());
    let inner = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
    // Root needs no user namespace. Without one it keeps what a single mapped user lacks: other
    // users and groups for scripts, and real-time scheduling.
    let denied = if uid.is_root() {
        unshare(inner).err()
    } else {
        Some(Errno::EPERM)
    };
    if let Some(denied) = denied {
        unshare(CloneFlags::CLONE_NEWUSER | inner)
            .map_err(|errno| unavailable(errno, uid.is_root().then_some(denied)))?;
        // Required before gid_map is written; Linux before 3.19 has no such file and does not
        // require it.
        let _ = fs::write("/proc/self/setgroups", "deny");
        fs::write("/proc/self/uid_map", format!("0 {uid} 1")).doing("mapping the user to root")?;
        fs::write("/proc/self/gid_map", format!("0 {gid} 1")).doing("mapping the group to root")?;
        ignore_setgroups().doing("installing the setgroups filter")?;
    }
    // Otherwise mounts of the lab would propagate to the machine, and those of hosts to each other.
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .doing("making the mounts private")?;
    mount_tmpfs("/run")
}

/// Runs the hidden subcommand in the arguments, if any, and exits. [`isolate`] calls it too; a
/// program with arguments calls it before it parses them.
pub fn dispatch() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(boot::INIT) => boot::init_main(),
        Some(httpd::HTTPD) => httpd::main(arguments.collect()),
        _ => {}
    }
}

fn unavailable(errno: Errno, denied: Option<Errno>) -> Error {
    let read = |path: &str| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let mut remedies = Vec::new();
    if read("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        remedies.push("sysctl -w kernel.unprivileged_userns_clone=1");
    }
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        remedies.push("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
    }
    if read("/proc/sys/user/max_user_namespaces") == "0" {
        remedies.push("sysctl -w user.max_user_namespaces=15000");
    }
    if remedies.is_empty() {
        remedies
            .push("run the lab as root, or in a container with --security-opt seccomp=unconfined");
    }
    let first = denied.map_or(String::new(), |denied| {
        format!(" (without a user namespace: {denied})")
    });
    Error::new(
        "creating namespaces for the lab",
        format!("{errno}{first}; remedy: {}", remedies.join(", or ")),
    )
}
