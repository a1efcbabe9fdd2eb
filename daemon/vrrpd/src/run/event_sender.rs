//! The way from the node to the services: what becomes of the routers, told when it has been carried
//! out, in order. The node never waits for whoever listens.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vrrp_proto::{Priority, Report, Transition};

/// Something that has become of the routers.
#[derive(Clone, Debug)]
pub(crate) enum NodeEvent {
    /// A router changed its state.
    Transition(Transition),
    /// The effective priority of a router changed.
    Priority {
        /// Its name.
        router: Arc<str>,
        /// The priority since.
        priority: Priority,
    },
    /// A new configuration is in force, and what came of it was told before.
    Configured,
}

/// The node's side.
#[derive(Debug)]
pub(super) struct EventSender(UnboundedSender<NodeEvent>);

/// The services's side: everything that becomes of the routers, from their start on. It is closed
/// when the node has stopped and everything was handed over.
#[derive(Debug)]
pub(crate) struct NodeEvents(UnboundedReceiver<NodeEvent>);

impl EventSender {
    pub(super) fn new() -> (Self, NodeEvents) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), NodeEvents(receiver))
    }

    /// Tells of a report, if it is of a kind that others go by.
    pub(super) fn tell(&self, report: &Report) {
        match report {
            Report::Transition(transition) => self.send(NodeEvent::Transition(transition.clone())),
            Report::Priority { router, to, .. } => self.send(NodeEvent::Priority {
                router: Arc::clone(router),
                priority: *to,
            }),
            Report::Dropped { .. }
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

    /// Tells that a configuration has been carried out.
    pub(super) fn tell_configured(&self) {
        self.send(NodeEvent::Configured);
    }

    /// An services that is gone has nobody to tell.
    fn send(&self, what: NodeEvent) {
        let _ = self.0.send(what);
    }
}

impl NodeEvents {
    /// The next, or `None` when there will be none any more.
    pub(crate) async fn next(&mut self) -> Option<NodeEvent> {
        self.0.recv().await
    }
}
