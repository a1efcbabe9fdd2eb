//! Script runner: a process that runs check scripts and notification programs for the daemon, as users
//! without rights over the daemon.
//!
//! The daemon opens a connection for each run, sends one [`Request`] and reads one [`Answer`], each a line of
//! JSON. When it closes the connection before the answer, the program is killed. After an answer that the
//! program was too slow, the script runner closes the connection when the program has ended.
//!
//! Only the daemon may connect: the mode of the socket is the authentication. The daemon chooses the program
//! and the user, but no user that the script runner was not told of ([`Allowed`]).

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::{Outcome, Program, Rest, Runner, RunnerLost, path_of};
use crate::services::listener::adopt;

/// Time in which the script runner answers beyond the timeout of the program.
const ANSWER: Duration = Duration::from_secs(1);

/// Time limit for the request of a client.
const REQUEST: Duration = Duration::from_secs(5);

/// Longest request or answer in bytes. The input of a notification lists the addresses of an instance.
const LONGEST: u64 = 1 << 20;

/// Time after which the users are looked up again.
const USERS: Duration = Duration::from_secs(60);

/// Pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Run of a program.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    program: Program,
    limit: Duration,
}

/// [`Outcome`] of a run.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Ended {
        /// Status as of wait(2).
        status: i32,
        output: String,
        crowds_out: bool,
    },
    TooSlow {
        after: Duration,
        has_started: bool,
    },
    Impossible {
        /// Number of the error (errno(3)).
        number: Option<i32>,
        error: String,
    },
}

impl Answer {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ended {
                status,
                output,
                crowds_out,
            } => Self::Ended {
                status: status.into_raw(),
                output: output.clone(),
                crowds_out: *crowds_out,
            },
            Outcome::TooSlow { after, rest } => Self::TooSlow {
                after: *after,
                has_started: rest.has_started(),
            },
            Outcome::Impossible { error, .. } => Self::Impossible {
                number: error.raw_os_error(),
                error: error.to_string(),
            },
        }
    }
}

/// End of a program that was too slow: the script runner closes the connection then.
#[derive(Debug)]
pub(in crate::services) struct RemoteEnd(BufReader<UnixStream>);

impl RemoteEnd {
    /// Waits until the program has ended.
    pub(super) async fn wait(mut self) {
        let mut buffer = [0; 64];
        while let Ok(1..) = self.0.read(&mut buffer).await {}
    }
}

/// Runs a program once, with the timeout `limit`, in the script runner with this socket. Kills it if the future
/// is dropped before its end.
pub(super) async fn run(socket: &Path, program: Program, limit: Duration) -> Outcome {
    let path = path_of(&program.command);
    let request = Request { program, limit };
    let asked = timeout(limit + ANSWER, ask(socket, &request)).await;
    let answer = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let impossible = |error| Outcome::Impossible {
        program: path,
        error,
    };
    match answer {
        Err(error) => {
            let socket = socket.to_owned();
            impossible(io::Error::other(RunnerLost { socket, error }))
        }
        Ok((answer, connection)) => match answer {
            Answer::Ended {
                status,
                output,
                crowds_out,
            } => Outcome::Ended {
                status: ExitStatus::from_raw(status),
                output,
                crowds_out,
            },
            Answer::TooSlow { after, has_started } => {
                let end = RemoteEnd(connection);
                let rest = Rest::Elsewhere { has_started, end };
                Outcome::TooSlow { after, rest }
            }
            Answer::Impossible { number, error } => impossible(
                number.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error),
            ),
        },
    }
}

async fn ask(socket: &Path, request: &Request) -> io::Result<(Answer, BufReader<UnixStream>)> {
    let mut connection = BufReader::new(UnixStream::connect(socket).await?);
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    connection.write_all(&line).await?;
    let answer = read(&mut connection).await?;
    let answer = answer.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((answer, connection))
}

/// Reads one message; `None` if the other side has closed the connection before.
async fn read<T: DeserializeOwned>(
    connection: &mut BufReader<UnixStream>,
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let mut bounded = connection.take(LONGEST);
    let length = bounded.read_until(b'\n', &mut line).await?;
    match length {
        0 => Ok(None),
        _ => Ok(Some(serde_json::from_slice(&line)?)),
    }
}

/// Users as which the script runner runs programs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed {
    /// User of a program without a user; `None` for the user of the script runner.
    pub(crate) default: Option<String>,
    /// Further users that a program may name.
    pub(crate) others: BTreeSet<String>,
}

impl Allowed {
    /// The user of a program.
    ///
    /// # Errors
    /// If the program names one that is not allowed.
    fn user(&self, wanted: Option<String>) -> io::Result<Option<String>> {
        match wanted {
            None => Ok(self.default.clone()),
            Some(name) if self.names().any(|allowed| *allowed == name) => Ok(Some(name)),
            Some(name) => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "the script runner does not run programs as {name}: start it with --allow {name}"
                ),
            )),
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.others.iter().chain(&self.default)
    }
}

/// Runs programs for the daemon. Ends only by a signal.
///
/// # Errors
/// If the runtime cannot be created or the socket is of no use.
pub(crate) fn serve(
    listener: std::os::unix::net::UnixListener,
    allowed: Allowed,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { answer_all(adopt(listener)?, allowed).await })
}

async fn answer_all(listener: UnixListener, allowed: Allowed) -> io::Result<()> {
    let runner = Runner::default();
    let names: BTreeSet<String> = allowed.names().cloned().collect();
    let users = runner.clone();
    tokio::spawn(async move {
        loop {
            users.look_up(names.clone());
            sleep(USERS).await;
        }
    });
    loop {
        match listener.accept().await {
            Ok((connection, _)) => {
                let (runner, allowed) = (runner.clone(), allowed.clone());
                tokio::spawn(answer(connection, runner, allowed));
            }
            // Out of descriptors: a run that ends gives some back.
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Carries out one request. A client that is no daemon gets no answer.
async fn answer(connection: UnixStream, runner: Runner, allowed: Allowed) {
    let mut connection = BufReader::new(connection);
    let Ok(Ok(Some(Request { mut program, limit }))) =
        timeout(REQUEST, read(&mut connection)).await
    else {
        return;
    };
    let outcome = match allowed.user(program.user.take()) {
        Err(error) => Outcome::Impossible {
            program: path_of(&program.command),
            error,
        },
        Ok(user) => {
            program.user = user;
            tokio::select! {
                outcome = runner.run_here(program, limit) => outcome,
                // The daemon has closed the connection: the program is killed.
                _ = connection.read_u8() => return,
            }
        }
    };
    let Ok(mut line) = serde_json::to_vec(&Answer::of(&outcome)) else {
        return;
    };
    line.push(b'\n');
    if connection.write_all(&line).await.is_ok()
        && let Outcome::TooSlow { rest, .. } = outcome
    {
        rest.wait().await;
    }
}

#[cfg(test)]
mod tests;
