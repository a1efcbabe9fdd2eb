//! The control socket: whoever connects is sent the node's snapshot, with what the services knows, as
//! one JSON object. Nothing is ever read from it, so there is nothing to attack.

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
use crate::log_writer::Log;
use crate::run::{Inbox, Message};

/// How many are answered at once; the others wait.
const CONCURRENCY: usize = 8;

/// How long a reader may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// Listens at `path`. What a dead daemon left there is removed.
///
/// # Errors
/// When a daemon is alive there, or the directory cannot be made or written.
pub(crate) fn listen(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    if UnixStream::connect(path).is_ok() {
        let text = "another vrrpd is running there; give this one a --runtime-dir of its own";
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
    // Everybody may look: there is no secret in a snapshot.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Brings the socket into the present runtime.
///
/// # Errors
/// When the runtime cannot watch it.
pub(crate) fn adopt(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Answers everybody who connects.
pub(super) async fn serve(
    listener: UnixListener,
    inbox: Inbox,
    status_handles: StatusHandles,
    log: Log,
) {
    let places = Arc::new(Semaphore::new(CONCURRENCY));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (inbox, status_handles) = (inbox.clone(), status_handles.clone());
                tokio::spawn(async move {
                    // A reader that is too slow or went away is its own business.
                    let _ = timeout(PATIENCE, answer(stream, inbox, status_handles)).await;
                    drop(place);
                });
            }
            Err(error) => {
                log.note(Level::WARN, format!("the control socket refuses: {error}"));
                tokio::time::sleep(PATIENCE).await;
            }
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
