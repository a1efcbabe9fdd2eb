//! Programs that are run for the daemon: what they say is kept, and who takes too long is ended.
//!
//! Each has a process group of its own, which is killed as a whole when it takes too long. What a
//! program leaves running in the background when it ends, such as a service that it started, is left
//! alone, and its output is read on so that nothing blocks there.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How much of a program's output is kept.
const OUTPUT_LIMIT: usize = 4096;

/// How long after a program's end its last output is waited for.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// A program, never a shell, and what it is given.
#[derive(Debug, Default)]
pub(super) struct Program<'p> {
    /// Its path, and the arguments.
    pub(super) command: &'p [String],
    /// Who runs it, unless that is the daemon's user.
    pub(super) user: Option<&'p str>,
    /// What is added to the daemon's own environment.
    pub(super) environment: &'p [(&'static str, String)],
    /// What it can read from its standard input.
    pub(super) input: Option<Vec<u8>>,
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// By itself, having said something.
    Ended { status: ExitStatus, output: String },
    /// By being killed after this time, and it may not be gone yet: a process can be stuck in the
    /// kernel.
    TooSlow { after: Duration, child: Child },
    /// It did not begin.
    Impossible { command: String, error: io::Error },
}

impl Outcome {
    /// The verdict and its reason in one line.
    pub(super) fn describe(&self) -> (bool, String) {
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

/// Runs a program once, for no longer than `limit`. Dropped before its end, this kills it.
pub(super) async fn run(program: Program<'_>, limit: Duration) -> Outcome {
    let impossible = |error| Outcome::Impossible {
        command: program.command.join(" "),
        error,
    };
    let (mut child, stream) = match spawn(&program) {
        Ok(spawned) => spawned,
        Err(error) => return impossible(error),
    };
    let group = Group::of(&child);
    let output = Arc::new(Mutex::new(Vec::new()));
    let reader = collect(stream, Arc::clone(&output));
    let writer = child.stdin.take().zip(program.input);
    let writer = writer.map(|(mut stream, input)| {
        // Who does not read it all is no less well.
        tokio::spawn(async move { stream.write_all(&input).await.is_ok() })
    });
    let ended = timeout(limit, child.wait()).await;
    if let Some(writer) = writer {
        writer.abort();
    }
    match ended {
        Err(_) => {
            drop(group);
            Outcome::TooSlow {
                after: limit,
                child,
            }
        }
        Ok(Err(error)) => impossible(error),
        Ok(Ok(status)) => {
            group.spare();
            // Whoever is left in the background keeps the other end open.
            let _ = timeout(LAST_WORDS, reader).await;
            let output = output.lock().unwrap_or_else(PoisonError::into_inner);
            Outcome::Ended {
                status,
                output: String::from_utf8_lossy(&output).into_owned(),
            }
        }
    }
}

/// Starts it. Both its outputs are one stream, as on a terminal: what it says last comes last.
fn spawn(program: &Program<'_>) -> io::Result<(Child, pipe::Receiver)> {
    let (path, arguments) = program
        .command
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(path);
    command
        .args(arguments)
        .envs(
            program
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .stdin(match program.input {
            Some(_) => Stdio::piped(),
            None => nothing()?,
        })
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    if let Some(name) = program.user {
        let user = User::from_name(name)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name}"))
        })?;
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let stream = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    Ok((command.spawn()?, stream))
}

/// An input that is at its end. It is opened once: a hundred scripts a second need it.
fn nothing() -> io::Result<Stdio> {
    static NOTHING: OnceLock<File> = OnceLock::new();
    let file = match NOTHING.get() {
        Some(file) => file,
        None => {
            let file = File::open("/dev/null")?;
            NOTHING.get_or_init(|| file)
        }
    };
    file.try_clone().map(Stdio::from)
}

/// The process group of a program, killed unless it is spared: when the program took too long, and
/// when nobody waits for it any more.
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
fn collect(mut stream: pipe::Receiver, output: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
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
