//! Control socket: sends each client the node's snapshot, completed by the services, as one JSON
//! object. The daemon never reads from the socket, so that clients cannot attack it.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream as AsyncStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tracing::Level;

use super::follower::StatusHandles;
use crate::channel::{Inbox, Message};
use crate::complaints::Complaints;
use crate::log_writer::Log;

/// Most clients that are answered at a time; further ones wait.
const CONCURRENCY: usize = 8;

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
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    // All users may connect: a snapshot contains no secrets.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Registers the socket with the present runtime.
///
/// # Errors
/// If the runtime cannot watch it.
pub(crate) fn adopt(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Answers all clients.
pub(super) async fn serve(
    listener: UnixListener,
    inbox: Inbox,
    status_handles: StatusHandles,
    log: Log,
) {
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    let mut complaints = Complaints::new(log);
    loop {
        // Before `accept`, so that further clients wait in the backlog of the socket.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (inbox, status_handles) = (inbox.clone(), status_handles.clone());
                tokio::spawn(async move {
                    // A slow or disconnected client concerns only itself.
                    let _ = timeout(PATIENCE, answer(stream, inbox, status_handles)).await;
                    drop(place);
                });
            }
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

/// Closes the connections of other daemons that look for this one.
pub(super) async fn dismiss(claim: UnixListener) {
    loop {
        if claim.accept().await.is_err() {
            // No free descriptor: the queue of the socket has room for more.
            tokio::time::sleep(PATIENCE).await;
        }
    }
}

async fn answer(
    mut stream: AsyncStream,
    inbox: Inbox,
    status_handles: StatusHandles,
) -> io::Result<()> {
    let (reply, snapshot) = oneshot::channel();
    if inbox.send(Message::Snapshot(reply)).is_err() {
        return Ok(());
    }
    let Ok(mut snapshot) = snapshot.await else {
        return Ok(());
    };
    status_handles.complete(&mut snapshot);
    let text = serde_json::to_vec(&snapshot)?;
    stream.write_all(&text).await?;
    stream.shutdown().await
}
