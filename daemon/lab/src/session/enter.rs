//! Entry into a host from outside, with the caller's terminal.
//!
//! The entering process must have one thread. It moves into the namespaces of the host's init and
//! starts the command as a child, because a process cannot change its own PID namespace.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, Signal};
use vrrp_lab::{Error, Result};

/// Runs `command` in the host with the init process `pid`; programs are searched in `path` first.
pub(crate) fn run(pid: u64, path: &str, command: &[String]) -> Result<ExitCode> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::new("running a command", "the command is empty"));
    };
    enter(pid).map_err(|error| Error::new("entering the host", error))?;
    let inherited = std::env::var("PATH").unwrap_or_default();
    let search = format!("{path}:{inherited}:/usr/local/sbin:/usr/sbin:/sbin");
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", search)
        .spawn()
        .map_err(|error| Error::new(format!("running {program}"), error))?;
    // Ctrl-C is for the command; this process must survive to return its status.
    let _ = SigSet::from_iter([Signal::SIGINT, Signal::SIGQUIT]).thread_block();
    let status = child
        .wait()
        .map_err(|error| Error::new(format!("waiting for {program}"), error))?;
    // 128 + signal number, as shells report it.
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn enter(pid: u64) -> io::Result<()> {
    let mut kinds = vec![
        ("pid", CloneFlags::CLONE_NEWPID),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("net", CloneFlags::CLONE_NEWNET),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    // Root's lab has no separate user namespace, and setns into the current one fails (EINVAL).
    let theirs = fs::metadata(format!("/proc/{pid}/ns/user"))?;
    let ours = fs::metadata("/proc/self/ns/user")?;
    if (theirs.dev(), theirs.ino()) != (ours.dev(), ours.ino()) {
        kinds.insert(0, ("user", CloneFlags::CLONE_NEWUSER));
    }
    // All opened before the first setns, after which /proc shows other processes.
    let opened = kinds
        .into_iter()
        .map(|(kind, flag)| Ok((File::open(format!("/proc/{pid}/ns/{kind}"))?, flag)))
        .collect::<io::Result<Vec<_>>>()?;
    for (namespace, flag) in opened {
        setns(namespace, flag)?;
    }
    std::env::set_current_dir("/")
}
