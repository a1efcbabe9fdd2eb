//! The names of peers: what they stand for is asked again and again, and told to the node when it is
//! something else. Who answers is the host's own resolver (getaddrinfo(3)), which may take its time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::Level;

use crate::log_writer::Log;
use crate::run::{Inbox, Message};

/// The time between two questions for a name.
const AGAIN: Duration = Duration::from_secs(60);

/// The same for a name that was never answered: at the start of a host nobody may answer yet.
const AGAIN_SOON: Duration = Duration::from_secs(5);

/// The names that are asked for.
pub(super) struct Names {
    asked: BTreeMap<Arc<str>, AbortHandle>,
    /// Wakes all that wait for the next time.
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

    /// Asks for these names from now on, and now.
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

/// Asks for a name until the node is gone.
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
                        format!("the peer {name} is {}", list(&addresses)),
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
                    Some(addresses) => format!("it stays {}", list(addresses)),
                    None => "nothing is sent to it or heard from it".to_owned(),
                };
                log.note(
                    Level::WARN,
                    format!("cannot find the peer {name}: {error}; {so_far}; trying again"),
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

/// The addresses of a name, in an order that does not depend on that of the answer.
async fn look_up(name: &str) -> std::io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    let addresses: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
    Ok(addresses.into_iter().collect())
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" ")
}
