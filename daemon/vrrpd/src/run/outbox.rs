//! The way from the node to the attendant: what becomes of the routers, told when it has been carried
//! out, in order. The node never waits for whoever listens.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vrrp_proto::Transition;

/// The node's side.
#[derive(Debug)]
pub(super) struct Outbox(UnboundedSender<Transition>);

/// The attendant's side: every transition of every router, from its start on. It is closed when the
/// node has stopped and everything was handed over.
#[derive(Debug)]
pub(crate) struct Moves(UnboundedReceiver<Transition>);

impl Outbox {
    pub(super) fn new() -> (Self, Moves) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), Moves(receiver))
    }

    /// Tells of a transition. An attendant that is gone has nobody to tell.
    pub(super) fn tell(&self, transition: &Transition) {
        let _ = self.0.send(transition.clone());
    }
}

impl Moves {
    /// The next transition, or `None` when there will be none any more.
    pub(crate) async fn next(&mut self) -> Option<Transition> {
        self.0.recv().await
    }
}
