//! Bounded channel to the node.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;
use vrrp_commands::Request;
use vrrp_linux::poller::Waker;
use vrrp_proto::State;
use vrrp_proto::checkpoint::{Checkpoint, Notified};
use vrrp_proto::operator::StandingCommand;
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
    /// Command of the operator.
    Operate(Operation),
    /// Request for a snapshot.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Request for the sequence numbers of signed advertisements.
    Numbers(oneshot::Sender<Checkpoint>),
    /// Leave everything to the next process, which has to know what was notified, and end.
    Leave(Notified),
    /// Hand over mastership and stop.
    Stop,
}

/// Command of the operator, other than a reload.
#[derive(Debug)]
pub(crate) struct Operation {
    /// The command. A reload only waits for the messages before it.
    pub(crate) request: Request,
    /// User who gives it, in words.
    pub(crate) by: Arc<str>,
    /// Receiver of the outcome.
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// Outcome of a command.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The command was carried out.
    Done {
        /// Effect on each instance that the command is for, by name.
        effects: Vec<Effect>,
        /// Commands that stand now.
        standing: Vec<StandingCommand>,
        /// Number of standing commands that it ended.
        ended: usize,
    },
    /// No instance has the name. The names of all instances.
    Unknown(Vec<Arc<str>>),
}

/// Effect of a command on an instance.
#[derive(Debug)]
pub(crate) struct Effect {
    /// Name of the instance.
    pub(crate) instance: Arc<str>,
    /// State before the command.
    pub(crate) from: State,
    /// State after the command.
    pub(crate) to: State,
    /// Whether the instance owns its addresses, so that commands do not concern it.
    pub(crate) is_owner: bool,
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
