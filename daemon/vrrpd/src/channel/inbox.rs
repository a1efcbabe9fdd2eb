//! Bounded channel to the node.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
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

/// Receiving side, in the node. Its descriptor is readable after a message was sent.
#[derive(Debug)]
pub(crate) struct Messages {
    messages: Receiver<Message>,
    waker: Waker,
}

impl Inbox {
    /// A new channel.
    ///
    /// # Errors
    /// If the process may open no more files.
    pub(crate) fn new() -> io::Result<(Self, Messages)> {
        let waker = Waker::new()?;
        let (sender, receiver) = sync_channel(CAPACITY);
        let inbox = Self {
            messages: sender,
            waker: waker.clone(),
        };
        let messages = Messages {
            messages: receiver,
            waker,
        };
        Ok((inbox, messages))
    }

    /// Sends a message and wakes the node. Blocks while the channel is full: then the node hangs,
    /// and the sender has nothing better to do.
    pub(crate) fn send(&self, message: Message) -> Result<(), Gone> {
        self.messages.send(message).map_err(|_| Gone)?;
        self.waker.wake();
        Ok(())
    }
}

impl Messages {
    /// Makes the descriptor unreadable until a further message is sent.
    pub(crate) fn acknowledge(&self) {
        self.waker.acknowledge();
    }

    /// Next message, if it was sent already.
    pub(crate) fn next_sent(&self) -> Option<Message> {
        self.messages.try_recv().ok()
    }

    /// Waits for the next message, at most `longest`.
    #[cfg(test)]
    pub(crate) fn wait(&self, longest: std::time::Duration) -> Option<Message> {
        self.messages.recv_timeout(longest).ok()
    }
}

impl AsFd for Messages {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}
