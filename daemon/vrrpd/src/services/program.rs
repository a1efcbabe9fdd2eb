//! Programs that run for the daemon: collects their output, and kills them after a timeout.
//!
//! Each program has its own process group, which is killed as a whole after the timeout. Processes
//! that a program leaves in the background when it ends, such as a service that it started, are
//! left alone; their output is read further so that they do not block.

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
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::children::Child;

/// Most bytes of output that are kept.
const OUTPUT_LIMIT: usize = 4096;

/// Time limit for the last output after the end of a program.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// Program, never a shell, and its parameters.
#[derive(Debug, Default)]
pub(super) struct Program<'p> {
    /// Path and arguments.
    pub(super) command: &'p [String],
    /// User that runs it; `None` for the daemon's user.
    pub(super) user: Option<&'p str>,
    /// Additions to the daemon's own environment.
    pub(super) environment: &'p [(&'static str, String)],
    /// Standard input; `None` for an empty one.
    pub(super) input: Option<Vec<u8>>,
}

/// End of a run.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The program ended.
    Ended { status: ExitStatus, output: String },
    /// The timeout was exceeded and the program was killed. It may not have ended yet: a process
    /// can be stuck in the kernel.
    TooSlow { after: Duration, child: Child },
    /// The program did not start.
    Impossible { command: String, error: io::Error },
}

impl Outcome {
    /// Whether the program succeeded, and the reason in one line.
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

/// Runs a program once, with the timeout `limit`. Kills it if the future is dropped before its end.
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
    let writer = child.take_stdin().zip(program.input);
    let writer = writer.map(|(mut stream, input)| {
        // A program need not read its whole input.
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
            // A process in the background keeps the pipe open.
            let _ = timeout(LAST_WORDS, reader).await;
            let output = output.lock().unwrap_or_else(PoisonError::into_inner);
            Outcome::Ended {
                status,
                output: String::from_utf8_lossy(&output).into_owned(),
            }
        }
    }
}

/// Starts the program. Both outputs share one pipe, as on a terminal, so that the last line is the
/// latest.
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
    Ok((Child::start(&mut command)?, stream))
}

/// Empty input. The file is opened once, because a hundred scripts a second may need it.
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

/// Process group of a program, killed on drop unless spared: when the program took too long, and
/// when the future that waits for it was dropped.
struct Group(Option<Pid>);

impl Group {
    const fn of(child: &Child) -> Self {
        Self(child.pid())
    }

    fn spare(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The group may have ended already.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Reads a stream to its end, and keeps its beginning.
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
