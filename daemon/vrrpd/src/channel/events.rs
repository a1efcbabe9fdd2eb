//! Channel from the node to the services. Changes of the routers are sent in order, after they have
//! been carried out. The channel is unbounded: the node never waits for the services.
//!
//! The end of a mastership that is handed over is sent when the addresses are released: notifications
//! and resources serve the clients until a successor does.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vrrp_proto::params::Renames;
use vrrp_proto::{Cause, Priority, Report, State, Transition};

/// Message from the node.
#[derive(Clone, Debug)]
pub(crate) enum NodeEvent {
    /// A router changed its state, or continues in one: then it leaves the state init.
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
    /// Routers have other names from now on.
    Renamed(Renames),
    /// The node has ended and left its state to the next process. No router has stopped.
    Left,
    /// A configuration is in force. Everything that resulted from it was sent before.
    Configured,
}

/// Sending side, in the node.
#[derive(Debug)]
pub(crate) struct EventSender {
    channel: UnboundedSender<NodeEvent>,
    /// Routers that hand over, with the transition that waits for the end of that.
    handing_over: BTreeMap<Arc<str>, Option<Transition>>,
}

/// Receiving side, in the services: all events from the start of the routers on. The channel closes
/// when the node has stopped and everything was received.
#[derive(Debug)]
pub(crate) struct NodeEvents(UnboundedReceiver<NodeEvent>);

impl EventSender {
    /// A new channel.
    pub(crate) fn new() -> (Self, NodeEvents) {
        let (sender, receiver) = unbounded_channel();
        let sender = Self {
            channel: sender,
            handing_over: BTreeMap::new(),
        };
        (sender, NodeEvents(receiver))
    }

    /// Sends a report to the services, if it is of a kind that they use.
    pub(crate) fn tell(&mut self, report: &Report) {
        match report {
            Report::HandsOver { router, .. } => {
                self.handing_over.insert(Arc::clone(router), None);
            }
            Report::HandedOver { router, .. } => self.end_hand_over(router),
            Report::Transition(transition) | Report::Continued(transition) => {
                self.tell_transition(transition);
            }
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
            Report::Renamed(renames) => self.send(NodeEvent::Renamed(renames.clone())),
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
            | Report::Command { .. }
            | Report::Mismatch { .. }
            | Report::Clock { .. }
            | Report::Withheld { .. }
            | Report::SecondMaster { .. }
            | Report::AddressConflict { .. } => {}
        }
    }

    /// Sends an event. If the services have ended, it is dropped.
    pub(crate) fn send(&self, what: NodeEvent) {
        let _ = self.channel.send(what);
    }

    /// Sends a transition. The first one of a router that hands over waits; a further one ends the wait, unless
    /// the router stops: then it still holds its addresses.
    fn tell_transition(&mut self, transition: &Transition) {
        match self.handing_over.get_mut(&transition.router) {
            Some(none @ None) => *none = Some(transition.clone()),
            Some(Some(former)) if transition.to == State::Init => {
                *former = Transition {
                    from: former.from,
                    ..transition.clone()
                };
            }
            Some(Some(_)) => {
                self.end_hand_over(&transition.router);
                self.send(NodeEvent::Transition(transition.clone()));
            }
            None => self.send(NodeEvent::Transition(transition.clone())),
        }
    }

    fn end_hand_over(&mut self, router: &Arc<str>) {
        if let Some(transition) = self.handing_over.remove(router).flatten() {
            self.send(NodeEvent::Transition(transition));
        }
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
