//! The bounded way from the other threads to the node.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;
use vrrp_linux::poller::Waker;
use vrrp_proto::params::{NodeParams, Verdict};
use vrrp_proto::snapshot::Snapshot;

/// How many messages may wait.
const CAPACITY: usize = 128;

/// What the other threads tell the node.
#[derive(Debug)]
pub(crate) enum Message {
    /// A new configuration, checked.
    Configure(NodeParams),
    /// A tracker's result.
    Probe {
        /// Its name.
        tracker: Arc<str>,
        /// How the thing is.
        result: Verdict,
        /// What it said.
        detail: Arc<str>,
    },
    /// What a peer's name stands for now.
    Resolved {
        /// The name.
        name: Arc<str>,
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// What belongs to a router keeps it from being master for this reason, or no longer.
    Inhibited {
        /// Its name.
        router: Arc<str>,
        /// Why, if so.
        why: Option<Arc<str>>,
    },
    /// Somebody wants to know how things are.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Somebody wants to know whether the node still turns.
    Alive(oneshot::Sender<()>),
    /// Hand over and stop.
    Stop,
}

/// The node is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gone;

/// The senders' side. Clones lead to the same node.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    messages: SyncSender<Message>,
    waker: Waker,
}

impl Inbox {
    /// An inbox, and where the node finds what was put in.
    pub(crate) fn new(waker: Waker) -> (Self, Receiver<Message>) {
        let (messages, receiver) = sync_channel(CAPACITY);
        (Self { messages, waker }, receiver)
    }

    /// Puts a message in. Waits while the inbox is full, which means that the node does not turn;
    /// then there is nothing better to do.
    pub(crate) fn send(&self, message: Message) -> Result<(), Gone> {
        self.messages.send(message).map_err(|_| Gone)?;
        self.waker.wake();
        Ok(())
    }
}
