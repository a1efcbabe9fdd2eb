//! Bounded channel from the other threads to the node.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;
use vrrp_linux::poller::Waker;
use vrrp_proto::params::{NodeParams, Verdict};
use vrrp_proto::snapshot::Snapshot;

/// Most messages that wait.
const CAPACITY: usize = 128;

/// Message to the node.
#[derive(Debug)]
pub(crate) enum Message {
    /// Valid new configuration.
    Configure(NodeParams),
    /// Result of a tracker.
    Probe {
        /// Name of the tracker.
        tracker: Arc<str>,
        /// Verdict.
        result: Verdict,
        /// Description of the result.
        detail: Arc<str>,
    },
    /// Addresses to which a peer's name resolves now.
    Resolved {
        /// Name.
        name: Arc<str>,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// A resource inhibits a router, or no longer does.
    Inhibited {
        /// Name of the router.
        router: Arc<str>,
        /// Reason; `None` when the router is no longer inhibited.
        why: Option<Arc<str>>,
    },
    /// Request for a snapshot.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Request for a sign of life, for the watchdog.
    Alive(oneshot::Sender<()>),
    /// Hand over mastership and stop.
    Stop,
}

/// Error: the node has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

/// Sending side. Clones lead to the same node.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    messages: SyncSender<Message>,
    waker: Waker,
}

impl Inbox {
    /// A new channel; the node receives from the second part.
    pub(crate) fn new(waker: Waker) -> (Self, Receiver<Message>) {
        let (messages, receiver) = sync_channel(CAPACITY);
        (Self { messages, waker }, receiver)
    }

    /// Sends a message and wakes the node. Blocks while the channel is full: then the node hangs,
    /// and the sender has nothing better to do.
    pub(crate) fn send(&self, message: Message) -> Result<(), Gone> {
        self.messages.send(message).map_err(|_| Gone)?;
        self.waker.wake();
        Ok(())
    }
}
