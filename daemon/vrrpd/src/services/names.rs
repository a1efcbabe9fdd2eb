//! Peer names: resolves them again and again, and sends changed addresses to the node. The resolver
//! of the host (getaddrinfo(3)) may be slow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::Level;

use crate::channel::{Inbox, Message};
use crate::log_writer::Log;

/// Time between two resolutions of a name.
const AGAIN: Duration = Duration::from_secs(60);

/// Time between two resolutions of a name without an address so far: when a host boots, its
/// resolver may not be reachable yet.
const AGAIN_SOON: Duration = Duration::from_secs(5);

/// Names that are being resolved.
pub(super) struct Names {
    asked: BTreeMap<Arc<str>, AbortHandle>,
    /// Wakes the tasks of all names before their time.
    now: Arc<Notify>,
    inbox: Inbox,
    log: Log,
}

impl Names {
    pub(super) fn new(inbox: Inbox, log: Log) -> Self {
        Self {
            asked: BTreeMap::new(),
            now: Arc::new(Notify::new()),
            inbox,
            log,
        }
    }

    /// Resolves exactly these names from now on, and all of them now.
    pub(super) fn set(&mut self, mut names: BTreeSet<Arc<str>>) {
        self.asked.retain(|name, task| {
            let stays = names.remove(name);
            if !stays {
                task.abort();
            }
            stays
        });
        self.now.notify_waiters();
        for name in names {
            let now = Arc::clone(&self.now);
            let name_of_task = Arc::clone(&name);
            let follow = follow(name_of_task, now, self.inbox.clone(), self.log.clone());
            self.asked.insert(name, tokio::spawn(follow).abort_handle());
        }
    }
}

/// Resolves a name until the node has ended.
async fn follow(name: Arc<str>, now: Arc<Notify>, inbox: Inbox, log: Log) {
    let mut known: Option<Vec<IpAddr>> = None;
    let mut was_told = false;
    loop {
        let asked_now = now.notified();
        match look_up(&name).await {
            Ok(addresses) => {
                was_told = false;
                if known.as_ref() != Some(&addresses) {
                    log.note(
                        Level::INFO,
                        format!("peer {name} resolves to {}", list(&addresses)),
                    );
                    known = Some(addresses.clone());
                    let name = Arc::clone(&name);
                    if inbox.send(Message::Resolved { name, addresses }).is_err() {
                        return;
                    }
                }
            }
            Err(error) if !was_told => {
                was_told = true;
                let so_far = match &known {
                    Some(addresses) => format!("still using {}", list(addresses)),
                    None => "no advertisements are exchanged with it".to_owned(),
                };
                log.note(
                    Level::WARN,
                    format!("cannot resolve peer {name}: {error}; {so_far}; retrying"),
                );
            }
            Err(_) => {}
        }
        let wait = if known.is_some() { AGAIN } else { AGAIN_SOON };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = asked_now => {}
        }
    }
}

/// Resolves a name. Sorts the addresses, because their order may differ each time.
async fn look_up(name: &str) -> std::io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    let addresses: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
    Ok(addresses.into_iter().collect())
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" ")
}
