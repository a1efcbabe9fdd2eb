//! Channel from the node to the services. Changes of the routers are sent in order, after they have
//! been carried out. The channel is unbounded: the node never waits for the services.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vrrp_proto::{Cause, Priority, Report, Transition};

/// Message from the node.
#[derive(Clone, Debug)]
pub(crate) enum NodeEvent {
    /// A router changed its state.
    Transition(Transition),
    /// The effective priority of a router changed.
    Priority {
        /// Name of the router.
        router: Arc<str>,
        /// New priority.
        priority: Priority,
    },
    /// All other masters have gone, and a router remained master.
    Contested {
        /// Name of the router.
        router: Arc<str>,
        /// Cause.
        cause: Cause,
        /// Effective priority of the router.
        priority: Priority,
    },
    /// A configuration is in force. Everything that resulted from it was sent before.
    Configured,
}

/// Sending side, in the node.
#[derive(Debug)]
pub(crate) struct EventSender(UnboundedSender<NodeEvent>);

/// Receiving side, in the services: all events from the start of the routers on. The channel closes
/// when the node has stopped and everything was received.
#[derive(Debug)]
pub(crate) struct NodeEvents(UnboundedReceiver<NodeEvent>);

impl EventSender {
    /// A new channel.
    pub(crate) fn new() -> (Self, NodeEvents) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), NodeEvents(receiver))
    }

    /// Sends a report to the services, if it is of a kind that they use.
    pub(crate) fn tell(&self, report: &Report) {
        match report {
            Report::Transition(transition) => self.send(NodeEvent::Transition(transition.clone())),
            Report::Priority { router, to, .. } => self.send(NodeEvent::Priority {
                router: Arc::clone(router),
                priority: *to,
            }),
            Report::Contested {
                router,
                cause,
                priority,
            } => self.send(NodeEvent::Contested {
                router: Arc::clone(router),
                cause: cause.clone(),
                priority: *priority,
            }),
            Report::Dropped { .. }
            | Report::Suppressed { .. }
            | Report::Interrupted { .. }
            | Report::LinkLost { .. }
            | Report::LinkRestored { .. }
            | Report::Repaired { .. }
            | Report::Repeated { .. }
            | Report::Stray { .. }
            | Report::RoutingRepaired { .. }
            | Report::RoutingStray { .. }
            | Report::Verdict { .. }
            | Report::Drift { .. }
            | Report::Clock { .. }
            | Report::Withheld { .. }
            | Report::SecondMaster { .. }
            | Report::AddressConflict { .. } => {}
        }
    }

    /// Sends an event. If the services have ended, it is dropped.
    pub(crate) fn send(&self, what: NodeEvent) {
        let _ = self.0.send(what);
    }
}

impl NodeEvents {
    /// Waits for the next event; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Option<NodeEvent> {
        self.0.recv().await
    }

    /// Next event, if it was sent already.
    pub(crate) fn next_sent(&mut self) -> Option<NodeEvent> {
        self.0.try_recv().ok()
    }

    /// Whether no further event was sent so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
