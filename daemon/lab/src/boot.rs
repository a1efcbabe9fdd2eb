//! One run of a host, from power-on to power-off.
//!
//! A boot is a PID namespace: when its init dies, the kernel kills every process in it at once,
//! including daemonised ones. Processes are started only by the thread of the boot: it is in the
//! host's namespaces and has a "PID namespace for children", so a plain [`Command`] inherits all of
//! them. Init is this program, started again ([`init_main`]).
//!
//! ```text
//! the lab --thread of the boot--+-- init (pid 1: mounts /proc, reaps orphans)
//!                               +-- vrrpd, httpd, ... (their parent is the lab, which reaps them)
//! ```

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::process::{self, Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::{Doing, Error, Result};
use crate::journal::lock;
use crate::namespace::{Namespaces, mount_tmpfs};
use crate::program::exe;

/// Hidden subcommand that runs a host's init.
pub(crate) const INIT: &str = "__init";

/// A running host. Dropping it kills its processes and waits until the last one has ended.
#[derive(Debug)]
pub(crate) struct Boot {
    namespaces: Arc<Namespaces>,
    init: Mutex<Child>,
    init_pid: u32,
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Order {
    command: Command,
    reply: mpsc::Sender<io::Result<Child>>,
}

impl Boot {
    pub(crate) fn start(name: &str, host: &Arc<Namespaces>) -> Result<Self> {
        let doing = format!("powering {name} on");
        let (ready, started) = mpsc::channel();
        let (orders, incoming) = mpsc::channel::<Order>();
        let host = Arc::clone(host);
        let thread = thread::Builder::new()
            .name(format!("boot {name}"))
            .spawn(move || {
                let begun = begin(&host);
                // The thread has entered the namespaces and no longer needs the descriptors.
                drop(host);
                let failed = begun.is_err();
                if ready.send(begun).is_err() || failed {
                    return;
                }
                for Order { mut command, reply } in incoming {
                    let _ = reply.send(command.spawn());
                }
            })
            .doing(doing.as_str())?;
        let (init, namespaces) = started.recv().doing(doing)??;
        Ok(Self {
            namespaces: Arc::new(namespaces),
            init_pid: init.id(),
            init: Mutex::new(init),
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// Starts a program in the boot.
    pub(crate) fn spawn(&self, mut command: Command) -> Result<Child> {
        let doing = format!("starting {}", command.get_program().display());
        if !command.get_envs().any(|(name, _)| name == "PATH") {
            command.env("PATH", search_path());
        }
        let (reply, answer) = mpsc::channel();
        let orders = self
            .orders
            .as_ref()
            .ok_or("the host is off")
            .doing(doing.as_str())?;
        orders
            .send(Order { command, reply })
            .doing(doing.as_str())?;
        answer.recv().doing(doing.as_str())?.doing(doing)
    }

    /// Kills every process of the boot, without waiting.
    pub(crate) fn kill(&self) {
        let _ = lock(&self.init).kill();
    }

    /// Sends SIGTERM to every process of the boot; returns when all have ended or `patience` is
    /// over.
    pub(crate) fn terminate(&self, patience: Duration) {
        let mut init = lock(&self.init);
        let _ = kill(Pid::from_raw(self.init_pid.cast_signed()), Signal::SIGTERM);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && matches!(init.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn namespaces(&self) -> Arc<Namespaces> {
        Arc::clone(&self.namespaces)
    }

    pub(crate) fn init_pid(&self) -> u32 {
        self.init_pid
    }
}

impl Drop for Boot {
    fn drop(&mut self) {
        self.kill();
        let _ = lock(&self.init).wait();
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Search path for programs, with the sbin directories of daemons, which ordinary users seldom
/// have.
fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

/// Moves the calling thread into a new boot of `host` and starts init.
fn begin(host: &Namespaces) -> Result<(Child, Namespaces)> {
    host.enter()?;
    unshare(CloneFlags::CLONE_NEWNS).doing("creating the mount namespace of the boot")?;
    mount_tmpfs("/run")?;
    // Opened before init mounts its own /proc, in which this thread does not exist.
    let namespaces = Namespaces::current()?;
    unshare(CloneFlags::CLONE_NEWPID).doing("creating the PID namespace of the boot")?;
    let mut init = Command::new(exe()?)
        .arg(INIT)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .doing("starting init")?;
    let mut stdout = init
        .stdout
        .take()
        .ok_or("init has no standard output")
        .doing("starting init")?;
    if let Err(error) = stdout.read_exact(&mut [0]) {
        let _ = init.kill();
        let _ = init.wait();
        return Err(Error::new("waiting for init, which exited early", error));
    }
    Ok((init, namespaces))
}

/// Init, the first process of a boot.
pub(crate) fn init_main() -> ! {
    // PDEATHSIG kills init together with the thread of the boot, and so with the lab. If the lab
    // died before this line, the pipe is broken, and the write below ends init.
    let signals = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM]);
    let prepared = signals
        .thread_block()
        .and_then(|()| set_pdeathsig(Signal::SIGKILL));
    // A container may forbid a new /proc; the host then shows the lab's /proc.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let _ = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>);
    if prepared.is_err() || io::stdout().write_all(b"\n").is_err() || io::stdout().flush().is_err()
    {
        process::exit(1);
    }
    loop {
        match signals.wait() {
            Ok(Signal::SIGTERM) => terminate_all(),
            Ok(_) => reap(),
            Err(_) => process::exit(1),
        }
    }
}

/// Sends SIGTERM to every other process and exits when none is left.
fn terminate_all() -> ! {
    let every_process = Pid::from_raw(-1);
    let mut signalled: BTreeSet<Pid> = processes().collect();
    let _ = kill(every_process, Signal::SIGTERM);
    // A stopped process handles SIGTERM only after SIGCONT.
    let _ = kill(every_process, Signal::SIGCONT);
    // Polls: most processes are not children of init, so no signal reports their exit.
    while kill(every_process, None) != Err(Errno::ESRCH) {
        reap();
        // Also signals processes started meanwhile, for example a service that a check script has
        // just restarted.
        for newcomer in processes().filter(|pid| signalled.insert(*pid)) {
            let _ = kill(newcomer, Signal::SIGTERM);
        }
        thread::sleep(Duration::from_millis(2));
    }
    process::exit(0)
}

/// PIDs of all processes except init.
fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number != 1)
        .map(Pid::from_raw)
}

fn reap() {
    while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}
