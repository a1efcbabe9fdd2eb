//! Routes and rules that follow the masters: whose they are, and what is done when they come or go
//! by somebody else's hand.

use std::sync::Arc;

use super::{Engine, RouterId};
use crate::events::{Output, Report};
use crate::routing::{Routed, routed};
use crate::time::Instant;
use crate::types::State;

impl Engine {
    /// The routes and rules that this node holds now.
    pub fn held_routing(&self) -> impl Iterator<Item = Routed> + '_ {
        self.instances
            .iter()
            .filter(|instance| instance.router.state() == State::Master)
            .flat_map(|instance| routed(&instance.params.routes, &instance.params.rules))
    }

    /// Whether any router has routes or rules, so that their comings and goings are to be heard of.
    pub fn has_routing(&self) -> bool {
        !self.routed.is_empty()
    }

    pub(super) fn handle_routing_added(&mut self, now: Instant, what: Routed) {
        let Some(id) = self.owner(now, &what) else {
            return;
        };
        let instance = &mut self.instances[id];
        if instance.router.state() != State::Master {
            instance.counters.routing_strays += 1;
            let router = Arc::clone(&instance.name);
            self.outputs
                .push_back(Output::Report(Report::RoutingStray { router, what }));
        }
        // Of a master it may lead elsewhere.
        self.want_routing(id, Vec::new());
    }

    pub(super) fn handle_routing_removed(&mut self, now: Instant, what: Routed) {
        let Some(id) = self.owner(now, &what) else {
            return;
        };
        let instance = &mut self.instances[id];
        if instance.router.state() == State::Master {
            instance.counters.routing_repairs += 1;
            let router = Arc::clone(&instance.name);
            self.outputs
                .push_back(Output::Report(Report::RoutingRepaired { router, what }));
            self.want_routing(id, Vec::new());
        }
    }

    /// Whose `what` is, after that one was woken.
    fn owner(&mut self, now: Instant, what: &Routed) -> Option<RouterId> {
        let id = self.routed.get(what).copied()?;
        self.wake(now, id);
        Some(id)
    }
}
