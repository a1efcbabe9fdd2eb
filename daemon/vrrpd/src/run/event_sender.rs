//! Channel from the node to the services: changes of the routers, in order, sent after they have
//! been carried out. The node never waits for the services.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vrrp_proto::{Priority, Report, Transition};

/// Change of the routers.
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
    /// A configuration is in force. Everything that resulted from it was sent before.
    Configured,
}

/// Sending side, in the node.
#[derive(Debug)]
pub(super) struct EventSender(UnboundedSender<NodeEvent>);

/// Receiving side, in the services: all changes from the start of the routers on. The channel
/// closes when the node has stopped and everything was received.
#[derive(Debug)]
pub(crate) struct NodeEvents(UnboundedReceiver<NodeEvent>);

impl EventSender {
    pub(super) fn new() -> (Self, NodeEvents) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), NodeEvents(receiver))
    }

    /// Sends a report to the services, if it is of a kind that they use.
    pub(super) fn tell(&self, report: &Report) {
        match report {
            Report::Transition(transition) => self.send(NodeEvent::Transition(transition.clone())),
            Report::Priority { router, to, .. } => self.send(NodeEvent::Priority {
                router: Arc::clone(router),
                priority: *to,
            }),
            Report::Dropped { .. }
            | Report::Suppressed { .. }
            | Report::Interrupted { .. }
            | Report::Repaired { .. }
            | Report::Stray { .. }
            | Report::RoutingRepaired { .. }
            | Report::RoutingStray { .. }
            | Report::Verdict { .. }
            | Report::Drift { .. }
            | Report::SecondMaster { .. } => {}
        }
    }

    /// Sends that a configuration is in force.
    pub(super) fn tell_configured(&self) {
        self.send(NodeEvent::Configured);
    }

    /// Sends an event. If the services have ended, it is dropped.
    fn send(&self, what: NodeEvent) {
        let _ = self.0.send(what);
    }
}

impl NodeEvents {
    /// Waits for the next event; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Option<NodeEvent> {
        self.0.recv().await
    }
}
