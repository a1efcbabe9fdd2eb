//! Programs that run for the daemon: collects their output, and kills them after a timeout.
//!
//! Each program has its own process group, which is killed as a whole after the timeout. Processes
//! that a program leaves in the background when it ends, such as a service that it started, are
//! left alone; their output is read further so that they do not block, of the last [`LEFT`] runs of a
//! command.
//!
//! A program is started on another thread: its file system or the user database may not answer. The
//! timeout includes that.
//!
//! With a [script runner](script_runner) it is that process which does all this, as other users.

pub(crate) mod script_runner;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};
use vrrp_linux::ids::run_as;

use self::script_runner::RemoteEnd;
use super::children::{Child, kill_unless_ended};
use super::users::{Account, Users};

/// Most bytes of output that are kept.
const OUTPUT_LIMIT: usize = 4096;

/// Time limit for the last output after the end of a program.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// Runs of a command with output that is read further after their end. Each takes a descriptor of the
/// daemon.
const LEFT: usize = 8;

/// Variables of the daemon that are not for its programs: systemd would take their messages for those of
/// the daemon, and its secrets are its own.
const OWN_VARIABLES: [&str; 9] = [
    "CREDENTIALS_DIRECTORY",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MAINPID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Program, never a shell, and its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Program {
    /// Path and arguments.
    pub(super) command: Vec<String>,
    /// User that runs it; `None` for the user of this process, or the default user of the script runner.
    pub(super) user: Option<String>,
    /// Additions to the environment of this process, or of the script runner.
    pub(super) environment: Vec<(Cow<'static, str>, String)>,
    /// Standard input; `None` for an empty one.
    pub(super) input: Option<String>,
}

/// Path of a program in messages, where its arguments may be secrets.
fn path_of(command: &[String]) -> String {
    command.first().cloned().unwrap_or_default()
}

/// End of a run.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The program ended. `crowds_out`: the output of a process that an earlier run left in the background
    /// is not read any more.
    Ended {
        status: ExitStatus,
        output: String,
        crowds_out: bool,
    },
    /// The timeout was exceeded.
    TooSlow { after: Duration, rest: Rest },
    /// The program did not start.
    Impossible { program: String, error: io::Error },
}

/// The script runner did not answer, which says nothing of the program.
#[derive(Debug, thiserror::Error)]
#[error("the script runner at {} does not answer: {error}", socket.display())]
pub(super) struct RunnerLost {
    /// Socket of the script runner.
    pub(super) socket: PathBuf,
    /// The reason.
    pub(super) error: io::Error,
}

/// Text of a program with its control characters escaped: it goes to logs and terminals.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => printable.extend(character.escape_default()),
            false => printable.push(character),
        }
    }
    printable
}

/// Program that exceeded its timeout.
#[derive(Debug)]
pub(super) enum Rest {
    /// It was killed. It may not have ended yet: a process can be stuck in the kernel.
    Killed(Child),
    /// It has not started yet. It is killed as soon as it has.
    Starting(JoinHandle<io::Result<Started>>),
    /// The script runner kills it.
    Elsewhere { has_started: bool, end: RemoteEnd },
}

impl Rest {
    /// Whether the program had started.
    pub(super) const fn has_started(&self) -> bool {
        match self {
            Self::Killed(_) => true,
            Self::Starting(_) => false,
            Self::Elsewhere { has_started, .. } => *has_started,
        }
    }

    /// Waits until the program has ended.
    pub(super) async fn wait(self) {
        let mut child = match self {
            Self::Killed(child) => child,
            Self::Starting(start) => match start.await {
                // Its group is killed here.
                Ok(Ok(Started { child, .. })) => child,
                Ok(Err(_)) | Err(_) => return,
            },
            Self::Elsewhere { end, .. } => return end.wait().await,
        };
        let _ = child.wait().await;
    }
}

impl Outcome {
    /// Whether the program succeeded, and the reason in one line.
    pub(super) fn describe(&self) -> (bool, String) {
        match self {
            Self::Ended { status, output, .. } => {
                let line = output.lines().rfind(|line| !line.trim().is_empty());
                let said = line
                    .map(|line| format!(": {}", printable(line.trim())))
                    .unwrap_or_default();
                (status.success(), format!("{status}{said}"))
            }
            Self::TooSlow { after, rest } => {
                let limit = after.as_secs_f64();
                let text = match rest.has_started() {
                    true => format!("killed, because it took longer than {limit} s"),
                    false => format!(
                        "not started within {limit} s: its file system or the user database does not answer"
                    ),
                };
                (false, text)
            }
            Self::Impossible { program, error } => {
                (false, format!("cannot run {program}: {error}"))
            }
        }
    }
}

/// Runs programs. Clones share what the runs have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Runner {
    users: Users,
    /// Socket of the script runner, if that runs the programs.
    socket: Option<Arc<Path>>,
    /// Readers of the output of processes that ended runs left in the background, by command.
    left: Arc<Mutex<BTreeMap<Vec<String>, VecDeque<AbortHandle>>>>,
}

impl Runner {
    /// A runner that leaves all programs to the script runner with this socket, if there is one.
    pub(super) fn new(socket: Option<PathBuf>) -> Self {
        Self {
            socket: socket.map(Arc::from),
            ..Self::default()
        }
    }

    /// Looks up the users that run programs, if this process starts them.
    pub(super) fn look_up(&self, names: BTreeSet<String>) {
        if self.socket.is_none() {
            self.users.look_up(names);
        }
    }

    /// Runs a program once, with the timeout `limit`. Kills it if the future is dropped before its end.
    pub(super) async fn run(&self, program: Program, limit: Duration) -> Outcome {
        match &self.socket {
            Some(socket) => script_runner::run(socket, program, limit).await,
            None => self.run_here(program, limit).await,
        }
    }

    /// As [`run`](Self::run), as a child of this process.
    pub(super) async fn run_here(&self, mut program: Program, limit: Duration) -> Outcome {
        let (command, input) = (program.command.clone(), program.input.take());
        let has_input = input.is_some();
        let users = self.users.clone();
        let start = move || start(&program, has_input, &users);
        self.run_started(command, input, limit, start).await
    }

    /// As [`run`](Self::run), with the function that starts the program.
    async fn run_started(
        &self,
        command: Vec<String>,
        input: Option<String>,
        limit: Duration,
        start: impl FnOnce() -> io::Result<Started> + Send + 'static,
    ) -> Outcome {
        let deadline = Instant::now() + limit;
        let impossible = |error| Outcome::Impossible {
            program: path_of(&command),
            error,
        };
        let mut start = spawn_blocking(start);
        let Started {
            mut child,
            group,
            stream,
        } = match timeout_at(deadline, &mut start).await {
            Ok(Ok(Ok(started))) => started,
            Ok(Ok(Err(error))) => return impossible(error),
            Ok(Err(error)) => return impossible(error.into()),
            Err(_) => {
                let (after, rest) = (limit, Rest::Starting(start));
                return Outcome::TooSlow { after, rest };
            }
        };
        let output = Arc::new(Mutex::new(Vec::new()));
        let mut reader = collect(stream, Arc::clone(&output));
        let writer = child.take_stdin().zip(input);
        let writer = writer.map(|(mut stream, input)| {
            // A program need not read its whole input.
            tokio::spawn(async move { stream.write_all(input.as_bytes()).await.is_ok() })
        });
        let ended = timeout_at(deadline, child.wait()).await;
        if let Some(writer) = writer {
            writer.abort();
        }
        match ended {
            Err(_) => {
                drop(group);
                let (after, rest) = (limit, Rest::Killed(child));
                Outcome::TooSlow { after, rest }
            }
            Ok(Err(error)) => impossible(error),
            Ok(Ok(status)) => {
                group.spare();
                // A process in the background keeps the pipe open.
                let has_ended = timeout(LAST_WORDS, &mut reader).await.is_ok();
                let crowds_out = !has_ended && self.read_further(command, reader.abort_handle());
                let output = output.lock().unwrap_or_else(PoisonError::into_inner);
                Outcome::Ended {
                    status,
                    output: String::from_utf8_lossy(&output).into_owned(),
                    crowds_out,
                }
            }
        }
    }

    /// Lets a reader go on, and ends the earliest one of the command beyond [`LEFT`]. Returns whether
    /// there was such a one.
    fn read_further(&self, command: Vec<String>, reader: AbortHandle) -> bool {
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        for readers in all.values_mut() {
            readers.retain(|reader| !reader.is_finished());
        }
        all.retain(|_, readers| !readers.is_empty());
        let readers = all.entry(command).or_default();
        readers.push_back(reader);
        let earliest = (readers.len() > LEFT)
            .then(|| readers.pop_front())
            .flatten();
        earliest.inspect(AbortHandle::abort).is_some()
    }
}

/// Program that was started.
#[derive(Debug)]
pub(super) struct Started {
    child: Child,
    group: Group,
    stream: pipe::Receiver,
}

/// Starts the program. Both outputs share one pipe, as on a terminal, so that the last line is the
/// latest.
fn start(program: &Program, has_input: bool, users: &Users) -> io::Result<Started> {
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
                .map(|(name, value)| (name.as_ref(), value)),
        )
        .stdin(match has_input {
            true => Stdio::piped(),
            false => nothing()?,
        })
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    for name in OWN_VARIABLES {
        command.env_remove(name);
    }
    if let Some(name) = &program.user {
        let Account { ids, home } = users.account(name)?;
        run_as(command.as_std_mut(), ids);
        command
            .env("HOME", home)
            .env("USER", name)
            .env("LOGNAME", name);
    }
    let stream = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    let child = Child::start(&mut command)?;
    let group = Group::of(&child);
    Ok(Started {
        child,
        group,
        stream,
    })
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
#[derive(Debug)]
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
            // The group may have ended already, and the program may have left it.
            let _ = killpg(group, Signal::SIGKILL);
            kill_unless_ended(group);
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
