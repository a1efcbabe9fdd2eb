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

/// Pause after the first failed resolution of a name without an address so far, which doubles up to a
/// maximum: when a host boots, its resolver may be reachable a moment later, and an instance does not
/// take over for the first ten seconds.
const AT_FIRST: Duration = Duration::from_millis(250);
const AGAIN_SOON: Duration = Duration::from_secs(5);

/// Maximum number of addresses of a name: each advertisement is sent to all of them.
const MOST: usize = 16;

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
    let mut failures = 0_u32;
    loop {
        let asked_now = now.notified();
        match look_up(&name).await {
            Ok(mut addresses) => {
                failures = 0;
                let total = addresses.len();
                addresses.truncate(MOST);
                if known.as_ref() != Some(&addresses) {
                    let (level, text) = found(&name, known.as_deref(), &addresses);
                    log.note(level, text);
                    if total > MOST {
                        let text = format!(
                            "peer {name} resolves to {total} addresses: advertisements are exchanged \
                             with the first {MOST} only"
                        );
                        log.note(Level::WARN, text);
                    }
                    known = Some(addresses.clone());
                    let name = Arc::clone(&name);
                    if inbox.send(Message::Resolved { name, addresses }).is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                if failures == 0 {
                    let so_far = match &known {
                        Some(addresses) => format!("still using {}", list(addresses)),
                        None => "accepting advertisements of every sender until then".to_owned(),
                    };
                    log.note(
                        Level::WARN,
                        format!("cannot resolve peer {name}: {error}; {so_far}; retrying"),
                    );
                }
                failures = failures.saturating_add(1);
            }
        }
        let pause = match known {
            Some(_) => AGAIN,
            None => pause_after(failures),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = asked_now => {}
        }
    }
}

/// Pause after this number of failed resolutions of a name without an address so far.
fn pause_after(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    AT_FIRST.saturating_mul(doubled).min(AGAIN_SOON)
}

/// Log line for a new answer.
fn found(name: &str, former: Option<&[IpAddr]>, addresses: &[IpAddr]) -> (Level, String) {
    let text = format!("peer {name} resolves to {}", list(addresses));
    let former = former.unwrap_or_default().iter();
    let gone: Vec<IpAddr> = former.copied().filter(|a| !addresses.contains(a)).collect();
    if gone.is_empty() {
        return (Level::INFO, text);
    }
    let text = format!(
        "{text}, no longer to {}: a former address remains a peer while it advertises, and for ten \
         minutes after that",
        list(&gone)
    );
    (Level::WARN, text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_resolutions_are_repeated_soon_and_then_seldom() {
        let pauses = [1, 2, 3, 4, 5, 6, 7, u32::MAX].map(|n| pause_after(n).as_millis());
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
    }

    #[test]
    fn changed_answer_is_a_warning_with_the_former_addresses() {
        let addresses = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let [first, second] = addresses;
        assert_eq!(
            found("b.example", None, &[first]),
            (
                Level::INFO,
                "peer b.example resolves to 192.0.2.1".to_owned()
            )
        );
        let (level, _) = found("b.example", Some(&[first]), &addresses);
        assert_eq!(level, Level::INFO, "nothing is gone");
        let (level, text) = found("b.example", Some(&addresses), &[second]);
        assert_eq!(level, Level::WARN);
        assert_eq!(
            text,
            "peer b.example resolves to 192.0.2.2, no longer to 192.0.2.1: a former address remains a \
             peer while it advertises, and for ten minutes after that"
        );
    }
}
