//! Control socket: sends each client the node's snapshot, completed by the services, as one JSON
//! object. The daemon never reads from the socket, so that clients cannot attack it.
//!
//! All local users may connect, so what one of them can cause is limited:
//!
//! - A user has at most [`PER_USER`] connections at a time, and all users together [`TOTAL`]; root and the
//!   daemon's user have as many for themselves. A further connection ends one of the same user whose client
//!   does not read; without such a one it receives an error at once, so that other users do not wait.
//! - Clients that wait at the same time receive the same snapshot. After one that took long the next is taken
//!   later, so that clients use at most a tenth of the time of the node's thread and of this one.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::libc::uid_t;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream as AsyncStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::Level;

use super::follower::StatusHandles;
use super::listener;
use crate::channel::{Inbox, Message};
use crate::complaints::Complaints;
use crate::log_writer::Log;

/// Most connections of one user.
const PER_USER: usize = 8;

/// Most connections of all users, and as many of root and the daemon's user.
const TOTAL: usize = 64;

/// Time after which a client that has not read everything makes room for a further one.
const STALLED: Duration = Duration::from_millis(100);

/// Number of refused connections after which the daemon accepts none for the time [`PACE`].
const UNPACED: u64 = 16;

/// See [`UNPACED`].
const PACE: Duration = Duration::from_millis(1);

/// Time between two snapshots, as a multiple of the time that the first of them took; at most [`PATIENCE`].
const REST: u32 = 9;

/// Only key of the answer to a client that is one too many.
pub(crate) const REFUSAL: &str = "error";

/// Time limit for a client to read the answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Listens at `path`. Removes the socket of a dead daemon.
///
/// # Errors
/// If a running daemon listens there, or the directory cannot be created or written.
pub(crate) fn listen(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    if UnixStream::connect(path).is_ok() {
        let text = "another vrrpd is running there; use another --runtime-dir for this one";
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    // All users may connect: a snapshot contains no secrets.
    listener::bind(path, 0o666)
}

/// Answers all clients.
pub(super) async fn serve(
    listener: UnixListener,
    inbox: Inbox,
    status_handles: StatusHandles,
    log: Log,
) {
    let (wishes, waiting) = mpsc::channel(2 * TOTAL);
    tokio::spawn(answer(waiting, inbox, status_handles));
    let places = Places::default();
    let mut complaints = Complaints::new(log);
    let mut refusals = 0_u64;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match places.take(&stream) {
                Some(place) => {
                    let wishes = wishes.clone();
                    let connection = Arc::clone(&place.connection);
                    let task = tokio::spawn(async move {
                        // A slow or disconnected client concerns only itself.
                        let _ = send(stream, &wishes, &place.connection).await;
                        drop(place);
                    });
                    let _ = connection.task.set(task.abort_handle());
                }
                None => {
                    refuse(&stream);
                    refusals += 1;
                    if refusals.is_multiple_of(UNPACED) {
                        tokio::time::sleep(PACE).await;
                    }
                }
            },
            Err(error) => {
                let text = format!(
                    "cannot accept a connection to the control socket: {error} (logged once a minute)"
                );
                complaints.tell(Level::WARN, text);
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

/// Present connections by user. Clones share them.
#[derive(Clone, Debug, Default)]
struct Places(Arc<Mutex<BTreeMap<uid_t, Vec<Arc<Connection>>>>>);

/// A connection, from its acceptance to its end.
#[derive(Debug, Default)]
struct Connection {
    /// Start of the transmission. A client that reads has everything soon after it.
    sends_since: OnceLock<Instant>,
    /// Ends the connection.
    task: OnceLock<AbortHandle>,
}

/// Place of a connection, which is free again when this is dropped.
#[derive(Debug)]
struct Place {
    places: Places,
    user: uid_t,
    connection: Arc<Connection>,
}

impl Places {
    fn take(&self, stream: &AsyncStream) -> Option<Place> {
        self.take_for(stream.peer_cred().ok()?.uid(), Instant::now())
    }

    /// Takes a place for a connection of `user`. If none is free, the oldest connection of this user whose
    /// client does not read ends.
    fn take_for(&self, user: uid_t, now: Instant) -> Option<Place> {
        let is_trusted = |user: uid_t| user == 0 || user == nix::unistd::geteuid().as_raw();
        let mut present = self.present();
        let alike = present
            .iter()
            .filter(|(other, _)| is_trusted(**other) == is_trusted(user));
        let all: usize = alike.map(|(_, connections)| connections.len()).sum();
        let own = present.entry(user).or_default();
        if all >= TOTAL || !is_trusted(user) && own.len() >= PER_USER {
            let stalls = |connection: &Arc<Connection>| {
                let since = connection.sends_since.get();
                since.is_some_and(|since| now.duration_since(*since) >= STALLED)
            };
            let oldest = own.iter().position(stalls)?;
            if let Some(task) = own.remove(oldest).task.get() {
                task.abort();
            }
        }
        let connection = Arc::<Connection>::default();
        own.push(Arc::clone(&connection));
        let places = self.clone();
        Some(Place {
            places,
            user,
            connection,
        })
    }

    fn present(&self) -> MutexGuard<'_, BTreeMap<uid_t, Vec<Arc<Connection>>>> {
        // The lists are consistent whenever the lock is released.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut present = self.places.present();
        if let Some(own) = present.get_mut(&self.user) {
            own.retain(|connection| !Arc::ptr_eq(connection, &self.connection));
            if own.is_empty() {
                present.remove(&self.user);
            }
        }
    }
}

/// Tells a client that it is one too many. The text fits into the empty buffer of the socket.
fn refuse(stream: &AsyncStream) {
    let error = format!(
        "too many connections to the control socket: at most {PER_USER} of one user at a time"
    );
    let text = serde_json::json!({ REFUSAL: error }).to_string();
    let _ = stream.try_write(text.as_bytes());
}

/// Client that waits for the answer.
type Waiting = oneshot::Sender<Arc<[u8]>>;

/// Sends a client the next snapshot.
async fn send(
    mut stream: AsyncStream,
    wishes: &mpsc::Sender<Waiting>,
    connection: &Connection,
) -> io::Result<()> {
    let (reply, text) = oneshot::channel();
    if wishes.send(reply).await.is_err() {
        return Ok(());
    }
    let Ok(text) = text.await else {
        return Ok(());
    };
    let _ = connection.sends_since.set(Instant::now());
    timeout(PATIENCE, stream.write_all(&text)).await??;
    stream.shutdown().await
}

/// Answers the clients that wait, all of them with one snapshot that is taken after they came.
async fn answer(mut waiting: mpsc::Receiver<Waiting>, inbox: Inbox, status_handles: StatusHandles) {
    let mut clients = Vec::new();
    while waiting.recv_many(&mut clients, 2 * TOTAL).await > 0 {
        let start = Instant::now();
        let (reply, snapshot) = oneshot::channel();
        if inbox.send(Message::Snapshot(reply)).is_err() {
            return;
        }
        let Ok(mut snapshot) = snapshot.await else {
            return;
        };
        status_handles.complete(&mut snapshot);
        if let Ok(text) = serde_json::to_vec(&snapshot) {
            let text: Arc<[u8]> = text.into();
            for client in clients.drain(..) {
                let _ = client.send(Arc::clone(&text));
            }
        }
        clients.clear();
        tokio::time::sleep((start.elapsed() * REST).min(PATIENCE)).await;
    }
}

/// Closes the connections of other daemons that look for this one.
pub(super) async fn dismiss(claim: UnixListener) {
    loop {
        if claim.accept().await.is_err() {
            // No free descriptor: the queue of the socket has room for more.
            tokio::time::sleep(PATIENCE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users that run no tests.
    const USERS: std::ops::Range<uid_t> = 1_000_000..2_000_000;
    const NOBODY: uid_t = USERS.start;

    fn fill(places: &Places, user: uid_t, now: Instant) -> Vec<Place> {
        let all = (0..2 * TOTAL).map(|_| places.take_for(user, now));
        all.flatten().collect()
    }

    #[test]
    fn one_user_takes_no_place_of_another() {
        let (places, now) = (Places::default(), Instant::now());
        let held = fill(&places, NOBODY, now);
        assert_eq!(held.len(), PER_USER);
        assert!(places.take_for(NOBODY + 1, now).is_some());
        drop(held);
        assert!(places.take_for(NOBODY, now).is_some());
    }

    #[test]
    fn all_users_together_take_no_place_of_root() {
        let (places, now) = (Places::default(), Instant::now());
        let held: Vec<_> = USERS
            .take(2 * TOTAL)
            .filter_map(|user| places.take_for(user, now))
            .collect();
        assert_eq!(held.len(), TOTAL);
        assert_eq!(fill(&places, 0, now).len(), TOTAL);
    }

    #[test]
    fn client_that_does_not_read_makes_room_for_another_of_its_user() {
        let (places, now) = (Places::default(), Instant::now());
        let held = fill(&places, NOBODY, now);
        let stalled = &held[3].connection;
        stalled.sends_since.set(now).expect("set once");
        assert!(places.take_for(NOBODY, now + STALLED / 2).is_none());
        let next = places.take_for(NOBODY, now + STALLED);
        assert!(next.is_some());
        assert!(places.take_for(NOBODY, now + STALLED).is_none());
        drop(held);
        assert_eq!(places.present()[&NOBODY].len(), 1, "the next one");
    }
}
