//! Routes and rules that follow the masters, and the reaction to their addition or deletion by
//! another program or by the kernel.

use std::sync::Arc;

use super::{Engine, RouterId};
use crate::events::{Output, Report};
use crate::reasons::Loss;
use crate::routing::{Routed, routed};
use crate::time::Instant;
use crate::types::State;

impl Engine {
    /// Returns the routes and rules that this node holds as master or for a successor.
    pub fn held_routing(&self) -> impl Iterator<Item = Routed> + '_ {
        self.instances.iter().flat_map(|instance| {
            routed(&instance.params.routes, &instance.params.rules)
                .filter(|what| instance.holds(what.family()))
        })
    }

    /// Whether a router has routes or rules, so that the caller has to report their changes.
    pub fn has_routing(&self) -> bool {
        !self.routed.is_empty()
    }

    pub(super) fn handle_routing_added(&mut self, now: Instant, what: Routed) {
        let Some(id) = self.owner(now, &what) else {
            return;
        };
        let instance = &mut self.instances[id];
        if !instance.holds(what.family()) {
            instance.counters.routing_strays += 1;
            let router = Arc::clone(&instance.name);
            self.outputs.push_back(Output::Report(Report::RoutingStray {
                router,
                what,
                done: false,
            }));
        }
        // On a master the same route may lead elsewhere: request the configured one.
        self.want_routing(id, Vec::new());
    }

    pub(super) fn handle_routing_removed(&mut self, now: Instant, what: &Routed, loss: Loss) {
        let Some(id) = self.owner(now, what) else {
            return;
        };
        let instance = &mut self.instances[id];
        if instance.router.state() != State::Master {
            return;
        }
        match (&mut instance.grace, what) {
            // The route may need an address or an interface that is missing.
            (Some(grace), Routed::Route(_)) => grace.lose_route(what.clone(), loss),
            (Some(_) | None, _) => {
                self.report_routing_repair(id, what.clone(), loss);
                self.want_routing(id, Vec::new());
            }
        }
    }

    /// Counts and reports a route or rule of a master that is requested again.
    pub(super) fn report_routing_repair(&mut self, id: RouterId, what: Routed, loss: Loss) {
        let instance = &mut self.instances[id];
        instance.counters.routing_repairs += 1;
        self.outputs
            .push_back(Output::Report(Report::RoutingRepaired {
                router: Arc::clone(&instance.name),
                what,
                loss,
                done: false,
            }));
    }

    /// Returns the router that `what` is configured for, after checking that it was not suspended.
    fn owner(&mut self, now: Instant, what: &Routed) -> Option<RouterId> {
        let id = self.routed.get(what).copied()?;
        self.wake(now, id);
        Some(id)
    }
}
