//! Child processes: those that the daemon started, and orphans that became its children.
//!
//! As the first process of a container (PID 1) the daemon becomes the parent of every process whose
//! own parent has ended, such as one that a check script left in the background. A child that has
//! ended is a zombie until its parent waits for it, and counts against the limit of processes
//! (`pids.max`) until then.
//!
//! The runtime waits for each program that the daemon started, by its process ID. Orphans are
//! reaped by [`reap_orphans`], which never waits for those programs: their exit statuses belong to
//! the runtime.

use std::collections::BTreeSet;
use std::io;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::prctl::get_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;
use tokio::process::{ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{sleep, timeout};

/// Most orphans that are reaped before other work of the services gets a turn.
const BATCH: usize = 256;

/// Programs of the daemon.
struct Programs {
    /// Number of programs that are being started.
    starting: usize,
    /// Programs that were started and have not been waited for yet.
    started: BTreeSet<Pid>,
}

/// Static, because the kernel has one list of children for the process as well.
static PROGRAMS: Mutex<Programs> = Mutex::new(Programs {
    starting: 0,
    started: BTreeSet::new(),
});

/// Wakes [`reap_orphans`] after the start of a program of the daemon, and after the wait for one.
static MOVED: Notify = Notify::const_new();

fn programs() -> MutexGuard<'static, Programs> {
    // The state is complete whenever the lock is released.
    PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills a program, unless it has ended and was waited for: then its process ID may be that of another
/// process.
pub(super) fn kill_unless_ended(pid: Pid) {
    let programs = programs();
    if programs.started.contains(&pid) {
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// Program that the daemon started. A task waits for its end, also when this handle is dropped.
#[derive(Debug)]
pub(super) struct Child {
    pid: Option<Pid>,
    stdin: Option<ChildStdin>,
    end: JoinHandle<io::Result<ExitStatus>>,
}

impl Child {
    /// Starts a program. Blocks while its file system does not answer. Requires a runtime.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        // Until the process ID is in the set, the program would look like an orphan.
        programs().starting += 1;
        let spawned = command.spawn();
        let id = spawned.as_ref().ok().and_then(tokio::process::Child::id);
        let pid = id.and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        {
            let mut programs = programs();
            programs.starting -= 1;
            programs.started.extend(pid);
        }
        MOVED.notify_one();
        let mut child = spawned?;
        let stdin = child.stdin.take();
        let end = tokio::spawn(async move {
            let status = child.wait().await;
            if let Some(pid) = pid {
                programs().started.remove(&pid);
            }
            // An orphan that ended meanwhile may be behind this program in the kernel's list.
            MOVED.notify_one();
            status
        });
        Ok(Self { pid, stdin, end })
    }

    /// Process ID.
    pub(super) const fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// Takes the standard input, if it is a pipe.
    pub(super) const fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Waits for the end. Nothing is lost if the future is dropped before its end.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        (&mut self.end)
            .await
            .unwrap_or_else(|error| Err(error.into()))
    }
}

/// Waits until no program is being started, at most for `limit`. A program that is started while the runtime
/// ends would run on unwatched.
pub(super) async fn settle(limit: Duration) {
    let settled = async {
        while programs().starting > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    // A file system that does not answer is not waited for.
    let _ = timeout(limit, settled).await;
}

/// Listener for the end of children, in a process that may have children which it did not start.
#[derive(Debug)]
pub(super) struct Ends(tokio::signal::unix::Signal);

/// Whether this process may have children that it did not start: it is the first process of a
/// container, a subreaper (PR_SET_CHILD_SUBREAPER of prctl(2)), or the shell script that it
/// replaced by `exec` had started some. To be called before the daemon starts a program.
fn has_orphans() -> bool {
    let looks = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    Pid::this().as_raw() == 1
        || get_child_subreaper().unwrap_or(false)
        || waitid(Id::All, looks).is_ok()
}

impl Ends {
    /// Listens, if this process may get orphans. Requires a runtime.
    ///
    /// # Errors
    /// If the handler of SIGCHLD cannot be installed.
    pub(super) fn of_orphans() -> io::Result<Option<Self>> {
        has_orphans()
            .then(|| signal(SignalKind::child()).map(Self))
            .transpose()
    }
}

/// Reaps orphans as they end. Never returns.
pub(super) async fn reap_orphans(mut ends: Ends) {
    loop {
        while reap(BATCH) == BATCH {
            yield_now().await;
        }
        tokio::select! {
            _ = ends.0.recv() => {}
            () = MOVED.notified() => {}
        }
    }
}

/// Reaps at most `most` orphans that have ended, and returns their number. It stops at a program of
/// the daemon that has ended and for which the runtime has not waited yet, and reaps nothing while
/// one is being started; [`MOVED`] continues.
fn reap(most: usize) -> usize {
    let programs = programs();
    if programs.starting > 0 {
        return 0;
    }
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let orphan = || {
        let pid = waitid(Id::All, look).ok()?.pid()?;
        // Reaps this one only.
        let is_orphan = !programs.started.contains(&pid);
        (is_orphan && waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_ok()).then_some(pid)
    };
    std::iter::from_fn(orphan).take(most).count()
}

#[cfg(test)]
mod tests;
