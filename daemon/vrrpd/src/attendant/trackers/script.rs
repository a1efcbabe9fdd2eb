//! Trackers of kind `script`: a program that says by its exit status whether something is well.
//!
//! It is run, its end is waited for, and only then the next turn: it never runs twice at a time. It
//! has a process group of its own, which is killed as a whole when it takes too long. What it leaves running in the background when it ends, such as a
//! service that it started, is left alone, and its output is read on so that nothing blocks there.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use vrrp_config::Script;

use super::{Reporter, turns};

/// How much of a script's output is kept.
const OUTPUT_LIMIT: usize = 4096;

/// How long after a script's end its last output is waited for.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// The life of one tracker.
pub(super) async fn follow(script: Script, mut reporter: Reporter) {
    let mut turns = turns(script.interval);
    loop {
        turns.tick().await;
        let outcome = check(&script).await;
        let (well, detail) = outcome.describe();
        if reporter.report(well, detail).is_err() {
            return;
        }
        if let Outcome::TooSlow { mut child, .. } = outcome {
            // Killed, but not gone before this returns: a process can be stuck in the kernel. It
            // is never started a second time beside itself.
            let _ = child.wait().await;
        }
    }
}

/// How a run ended.
#[derive(Debug)]
enum Outcome {
    /// By itself, having said something.
    Ended { status: ExitStatus, output: String },
    /// By being killed after this time.
    TooSlow { after: Duration, child: Child },
    /// It did not begin.
    Impossible { command: String, error: io::Error },
}

impl Outcome {
    /// The verdict and its reason in one line.
    fn describe(&self) -> (bool, String) {
        match self {
            Self::Ended { status, output } => {
                let line = output.lines().rfind(|line| !line.trim().is_empty());
                let said = line
                    .map(|line| format!(": {}", line.trim()))
                    .unwrap_or_default();
                (status.success(), format!("{status}{said}"))
            }
            Self::TooSlow { after, .. } => (
                false,
                format!(
                    "killed, because it took longer than {} s",
                    after.as_secs_f64()
                ),
            ),
            Self::Impossible { command, error } => {
                (false, format!("cannot run {command}: {error}"))
            }
        }
    }
}

/// Runs the script once.
async fn check(script: &Script) -> Outcome {
    let impossible = |error| Outcome::Impossible {
        command: script.command.join(" "),
        error,
    };
    let mut child = match spawn(script) {
        Ok(child) => child,
        Err(error) => return impossible(error),
    };
    let group = Group::of(&child);
    let output = Arc::new(Mutex::new(Vec::new()));
    let readers = [
        child
            .stdout
            .take()
            .map(|stream| collect(stream, Arc::clone(&output))),
        child
            .stderr
            .take()
            .map(|stream| collect(stream, Arc::clone(&output))),
    ];
    match timeout(script.timeout, child.wait()).await {
        Err(_) => {
            drop(group);
            Outcome::TooSlow {
                after: script.timeout,
                child,
            }
        }
        Ok(Err(error)) => impossible(error),
        Ok(Ok(status)) => {
            group.spare();
            let finished = async {
                for reader in readers.into_iter().flatten() {
                    let _ = reader.await;
                }
            };
            // Whoever is left in the background keeps the other end open.
            let _ = timeout(LAST_WORDS, finished).await;
            let output = output.lock().unwrap_or_else(PoisonError::into_inner);
            Outcome::Ended {
                status,
                output: String::from_utf8_lossy(&output).into_owned(),
            }
        }
    }
}

fn spawn(script: &Script) -> io::Result<Child> {
    let (program, arguments) = script
        .command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(name) = &script.user {
        let user = User::from_name(name)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name}"))
        })?;
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command.spawn()
}

/// The process group of a script, killed unless it is spared: when the script took too long, and
/// when its tracker is removed or the daemon ends while it runs.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    fn spare(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Reads a stream to its end, keeping the first of it.
fn collect(
    mut stream: impl AsyncRead + Unpin + Send + 'static,
    output: Arc<Mutex<Vec<u8>>>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            let room = OUTPUT_LIMIT.saturating_sub(output.len());
            output.extend_from_slice(&buffer[..length.min(room)]);
        }
    })
}

#[cfg(test)]
mod tests;
