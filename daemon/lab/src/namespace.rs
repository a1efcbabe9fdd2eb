//! Namespaces of one host or segment, held by file descriptors.
//!
//! On Linux a network, mount or UTS namespace belongs to a thread. A short-lived thread creates the
//! namespaces and opens a descriptor for each; any thread can enter them through these. The
//! namespaces vanish with the last descriptor, socket and process in them.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::sethostname;

use crate::error::{Doing, Result};

/// Descriptors of a network, a mount and a UTS namespace.
#[derive(Debug)]
pub(crate) struct Namespaces {
    pub(crate) net: File,
    mnt: File,
    uts: File,
}

impl Namespaces {
    /// Creates namespaces with `name` as the hostname and `disks` as writable directories.
    pub(crate) fn create(name: &str, disks: &[&str]) -> Result<Self> {
        scoped(|| {
            let kinds =
                CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS;
            unshare(kinds).doing(format!("creating the namespaces of {name}"))?;
            sethostname(name).doing(format!("setting the hostname {name}"))?;
            for disk in disks {
                writable(Path::new(disk))?;
            }
            Self::current()
        })
    }

    /// The namespaces of the calling thread.
    pub(crate) fn current() -> Result<Self> {
        let open = |kind: &str| {
            File::open(format!("/proc/thread-self/ns/{kind}"))
                .doing(format!("opening the thread's {kind} namespace"))
        };
        Ok(Self {
            net: open("net")?,
            mnt: open("mnt")?,
            uts: open("uts")?,
        })
    }

    /// Moves the calling thread into the namespaces, permanently.
    pub(crate) fn enter(&self) -> Result<()> {
        // setns to a mount namespace fails (EINVAL) in a thread that shares its root and working
        // directory.
        unshare(CloneFlags::CLONE_FS).doing("unsharing the working directory")?;
        setns(&self.mnt, CloneFlags::CLONE_NEWNS).doing("entering the mount namespace")?;
        setns(&self.uts, CloneFlags::CLONE_NEWUTS).doing("entering the UTS namespace")?;
        setns(&self.net, CloneFlags::CLONE_NEWNET).doing("entering the network namespace")
    }

    /// Runs `job` on a thread inside the namespaces and waits for it.
    pub(crate) fn run<T: Send>(&self, job: impl FnOnce() -> T + Send) -> Result<T> {
        scoped(|| {
            self.enter()?;
            Ok(job())
        })
    }
}

/// Runs `job` on a new thread and waits for it; resumes a panic of that thread here.
fn scoped<T: Send>(job: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(job).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Covers `path` with a tmpfs and binds the previous entries into it, so that files can be added
/// although the directory belongs to another user.
fn writable(path: &Path) -> Result<()> {
    const STAGE: &str = "/run/.stage";
    let shown = path.display();
    fs::create_dir_all(STAGE).doing(format!("creating {STAGE}"))?;
    bind(path, Path::new(STAGE))?;
    mount_tmpfs(&shown.to_string())?;
    for entry in fs::read_dir(STAGE).doing(format!("reading {shown}"))? {
        let entry = entry.doing(format!("reading {shown}"))?;
        let kind = entry.file_type().doing(format!("reading {shown}"))?;
        let target = path.join(entry.file_name());
        if kind.is_symlink() {
            let link = fs::read_link(entry.path()).doing(format!("reading {shown}"))?;
            symlink(link, &target).doing(format!("linking {}", target.display()))?;
            continue;
        }
        if kind.is_dir() {
            fs::create_dir(&target).doing(format!("creating {}", target.display()))?;
        } else {
            fs::write(&target, "").doing(format!("creating {}", target.display()))?;
        }
        bind(&entry.path(), &target)?;
    }
    umount2(STAGE, MntFlags::MNT_DETACH).doing(format!("unmounting {STAGE}"))
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(
        Some(from),
        to,
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )
    .doing(format!("binding {} to {}", from.display(), to.display()))
}

/// Mounts an empty file system over a directory.
pub(crate) fn mount_tmpfs(path: &str) -> Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("lab"), path, Some("tmpfs"), flags, Some("mode=0755"))
        .doing(format!("mounting a tmpfs over {path}"))
}
