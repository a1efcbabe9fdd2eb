//! Command socket: carries out the commands of the operator, one line of JSON each way
//! ([`vrrp_commands`]).
//!
//! Only root, the daemon's user and the members of its group may use it: the mode of the socket refuses
//! all other users, and the credentials of each client are checked as well. What such a user can
//! delay is limited: the number of connections, the length of a request, and the time to send it and to
//! read the answer. Commands are carried out one after the other; a reload, which may take long, delays none.

mod caller;
mod report;
mod store;

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tracing::Level;
use vrrp_commands::{Answer, LONGEST_REQUEST, Request};

use super::listener;
use crate::channel::{Inbox, Message, Operation, Outcome};
use crate::complaints::Complaints;
use crate::log_writer::Log;

pub(crate) use self::store::Store;

/// Most connections at a time.
const CONNECTIONS: usize = 16;

/// Time limit for a client to send its request, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answer while the daemon stops.
const STOPPING: &str = "the daemon is stopping";

/// Request to reload the configuration.
pub(super) struct ReloadRequest {
    /// Whether only to tell the changes.
    pub(super) dry_run: bool,
    /// Receiver of the answer, sent when the new configuration was handed to the node.
    pub(super) reply: oneshot::Sender<Answer>,
}

/// Listens at `path`, for the daemon's user and its group. Removes the socket of a dead daemon: the
/// caller has claimed the directory by the control socket.
///
/// # Errors
/// If the directory cannot be written.
pub(crate) fn listen(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    listener::bind(path, 0o660)
}

/// Executor of commands. Clones share the turn.
#[derive(Clone)]
pub(super) struct Executor {
    inbox: Inbox,
    reloads: mpsc::Sender<ReloadRequest>,
    store: Store,
    log: Log,
    /// Held while a command is carried out and saved, so that the last one is also saved last.
    turn: Arc<Mutex<()>>,
}

/// Answers all clients.
pub(super) async fn serve(listener: UnixListener, executor: Executor) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut complaints = Complaints::new(executor.log.clone());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let executor = executor.clone();
                    tokio::spawn(async move {
                        // A slow or disconnected client concerns only itself.
                        let _ = answer(stream, &executor).await;
                        drop(place);
                    });
                }
                Err(_) => refuse(stream),
            },
            Err(error) => {
                let text = format!(
                    "cannot accept a connection to the command socket: {error} (logged once a minute)"
                );
                complaints.tell(Level::WARN, text);
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

/// Tells a client that it is one too many. The text fits into the empty buffer of the socket.
fn refuse(stream: UnixStream) {
    let text = format!("the daemon carries out {CONNECTIONS} commands already");
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(Answer::refused(text).line().as_bytes());
    }
}

/// Reads the request of a client and answers it.
async fn answer(mut stream: UnixStream, executor: &Executor) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    let answer = match caller::identify(&credentials).await {
        Err(stranger) => Answer::refused(stranger),
        Ok(by) => match timeout(PATIENCE, read(&mut stream)).await {
            Err(_) => Answer::refused(format!("no request within {} s", PATIENCE.as_secs())),
            Ok(line) => match Request::parse(&line?) {
                Err(error) => Answer::refused(error),
                Ok(request) => executor.carry_out(request, by).await,
            },
        },
    };
    timeout(PATIENCE, stream.write_all(answer.line().as_bytes())).await??;
    stream.shutdown().await
}

/// Reads a line, or what precedes the end. A line that is too long is cut behind the limit.
async fn read(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let limit = LONGEST_REQUEST as u64 + 1;
    let mut reader = BufReader::new(stream.take(limit));
    reader.read_until(b'\n', &mut line).await?;
    Ok(line)
}

impl Executor {
    pub(super) fn new(
        inbox: Inbox,
        reloads: mpsc::Sender<ReloadRequest>,
        store: Store,
        log: Log,
    ) -> Self {
        let turn = Arc::default();
        Self {
            inbox,
            reloads,
            store,
            log,
            turn,
        }
    }

    async fn carry_out(&self, request: Request, by: Arc<str>) -> Answer {
        match request {
            Request::Reload { dry_run } => self.reload(dry_run, by).await,
            Request::Drain { .. }
            | Request::StepDown { .. }
            | Request::Priority { .. }
            | Request::End { .. }
            | Request::Announce { .. } => self.operate(request, by).await,
        }
    }

    async fn operate(&self, request: Request, by: Arc<str>) -> Answer {
        if let Request::Announce { .. } = request {
            self.log.note(Level::INFO, format!("announcement by {by}"));
        }
        let _turn = self.turn.lock().await;
        match self.ask_node(request.clone(), by).await {
            None => Answer::refused(STOPPING),
            Some(Outcome::Unknown(known)) => report::unknown(&request, &known),
            Some(Outcome::Done {
                effects,
                standing,
                ended,
            }) => {
                let mut answer = report::done(&request, &effects, &standing, ended);
                if request.lasts().is_some() || matches!(request, Request::End { .. }) {
                    let saved = self.store.save(standing).await;
                    answer.problems.extend(saved.err());
                }
                answer
            }
        }
    }

    /// Saves the standing commands under the new names of their instances.
    pub(super) async fn save_renamed(self) {
        let _turn = self.turn.lock().await;
        // A request without effect, which the node answers with its standing commands.
        let request = Request::Reload { dry_run: false };
        if let Some(Outcome::Done { standing, .. }) = self.ask_node(request, Arc::from("")).await
            && !standing.is_empty()
            && let Err(text) = self.store.save(standing).await
        {
            self.log
                .note(Level::WARN, format!("renamed commands: {text}"));
        }
    }

    /// Reloads the configuration, and waits until the node runs it.
    async fn reload(&self, dry_run: bool, by: Arc<str>) -> Answer {
        if !dry_run {
            self.log.note(Level::INFO, format!("reload by {by}"));
        }
        let (reply, answer) = oneshot::channel();
        let request = ReloadRequest { dry_run, reply };
        if self.reloads.send(request).await.is_err() {
            return Answer::refused(STOPPING);
        }
        let Ok(mut answer) = answer.await else {
            return Answer::refused(STOPPING);
        };
        if answer.done && !dry_run {
            let request = Request::Reload { dry_run };
            if let Some(Outcome::Done { effects, .. }) = self.ask_node(request, by).await {
                answer.lines.extend(report::states(&effects));
            }
        }
        answer
    }

    /// Hands a command to the node; `None` if the node has ended.
    async fn ask_node(&self, request: Request, by: Arc<str>) -> Option<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let operation = Operation { request, by, reply };
        self.inbox.send(Message::Operate(operation)).ok()?;
        outcome.await.ok()
    }
}

#[cfg(test)]
mod tests;
