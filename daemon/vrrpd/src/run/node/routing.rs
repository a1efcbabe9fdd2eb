//! Routes and rules that follow the masters, as long as any router has some.

use std::collections::BTreeSet;
use std::io;

use tracing::Level;
use vrrp_linux::clock;
use vrrp_linux::mirror::Event;
use vrrp_linux::plan::Change as AddressChange;
use vrrp_linux::routing::mirror::Mirror;
use vrrp_linux::routing::plan::{Change, Failure, plan, strays};
use vrrp_linux::routing::{Cleaned, Routing, cleanup};
use vrrp_proto::{DesiredRouting, Instant, InterfaceIndex};

use super::{Node, ROUTING, SECOND_LOOK};

/// What the node knows of the kernel's routing. Without routes nothing is open.
#[derive(Debug, Default)]
pub(super) struct RoutingState {
    open: Option<Open>,
    /// What the engine wants in this turn.
    pub(super) desired: Vec<DesiredRouting>,
    changes: Vec<Change>,
    failures: Vec<Failure>,
    /// Whether everything was just looked at, so that what nobody wants is known.
    is_looked_at: bool,
}

#[derive(Debug)]
struct Open {
    kernel: Routing,
    mirror: Mirror,
}

impl RoutingState {
    /// Whether the kernel may have taken routes away because of `event`.
    pub(super) fn is_affected_by(
        &self,
        event: &Event,
        addresses: &vrrp_linux::mirror::Mirror,
    ) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.mirror.is_in_doubt_after(event, addresses))
    }

    /// Whether the kernel may have taken routes away because of addresses that we took off ourselves.
    pub(super) fn is_affected_by_own(
        &self,
        changes: &[AddressChange],
        addresses: &vrrp_linux::mirror::Mirror,
    ) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.mirror.is_in_doubt_after_own(changes, addresses))
    }
}

impl Node {
    /// Removes what an earlier run left, when this one has neither routes nor rules: who has some
    /// finds that when it looks for the first time.
    pub(super) fn clean_routing(&mut self) {
        if self.engine.has_routing() {
            return;
        }
        match cleanup() {
            Ok(Cleaned { removed, failures }) => {
                for what in removed {
                    let text = format!("left by an earlier run: delete the {what}");
                    self.log.note(Level::WARN, text);
                }
                for failure in failures {
                    self.complaints.tell(Level::ERROR, failure.to_string());
                }
            }
            Err(error) => self.complain_of_routing(&error),
        }
    }

    /// Plans what the engine wants of routes and rules, and takes away what has to go, before any
    /// address does.
    pub(super) fn release_routing(&mut self) {
        if self.routing.desired.is_empty() && !self.routing.is_looked_at {
            return;
        }
        if self.routing.open.is_none()
            && let Err(error) = self.open_routing()
        {
            self.complain_of_routing(&error);
        }
        let RoutingState {
            open,
            desired,
            changes,
            failures,
            is_looked_at,
        } = &mut self.routing;
        if let Some(Open { kernel, mirror }) = open {
            let device = |name: &str| number(&self.mirror, name);
            plan(desired, device, mirror, changes, failures);
            if std::mem::take(is_looked_at) {
                let first = changes.len();
                let held: BTreeSet<_> = self.engine.held_routing().collect();
                strays(mirror, |what| held.contains(what), changes);
                for change in &changes[first..] {
                    let text = format!("left by an earlier run, or by another hand: {change}");
                    self.log.note(Level::WARN, text);
                }
            }
            let gone = changes.iter().filter(|change| change.deletes());
            kernel.apply(gone, mirror, failures);
        }
        desired.clear();
    }

    /// Adds what is planned, after the addresses: a route may need one of them.
    pub(super) fn hold_routing(&mut self) {
        let RoutingState {
            open: Some(Open { kernel, mirror }),
            changes,
            failures,
            ..
        } = &mut self.routing
        else {
            return;
        };
        let come = changes.iter().filter(|change| !change.deletes());
        kernel.apply(come, mirror, failures);
        changes.clear();
        if !failures.is_empty() {
            self.look_again_at = Some(clock::now() + SECOND_LOOK);
        }
        for failure in failures.drain(..) {
            let text = format!("{failure}; trying again every second");
            self.complaints.tell(Level::ERROR, text);
        }
        if mirror.is_empty() && !self.engine.has_routing() {
            // Closing takes a descriptor out of the poller too (epoll(7)).
            self.routing.open = None;
        }
    }

    /// Somebody has changed routes or rules of ours, or is said to have.
    pub(super) fn take_routing_news(&mut self, now: Instant) {
        let Some(Open { kernel, .. }) = &mut self.routing.open else {
            return;
        };
        match kernel.take_news() {
            Ok(false) => {}
            Ok(true) => self.look_at_routing(now),
            Err(error) => self.complain_of_routing(&error),
        }
    }

    /// Tells the engine what of its routes and rules the kernel holds, as far as that is news.
    pub(super) fn look_at_routing(&mut self, now: Instant) {
        let Some(Open { kernel, mirror }) = &mut self.routing.open else {
            return;
        };
        match kernel.dump() {
            Ok(dump) => {
                self.routing.is_looked_at = true;
                for input in mirror.replace(dump) {
                    self.engine.handle(now, input);
                }
            }
            Err(error) => self.complain_of_routing(&error),
        }
    }

    /// Looks for the first time. What is there is not told to the engine: it has said already what it
    /// wants, and the rest was left by an earlier run.
    fn open_routing(&mut self) -> io::Result<()> {
        let mut kernel = Routing::open()?;
        let mut mirror = Mirror::new();
        mirror.replace(kernel.dump()?);
        self.poller.add(&kernel, ROUTING)?;
        self.routing.open = Some(Open { kernel, mirror });
        self.routing.is_looked_at = true;
        Ok(())
    }

    fn complain_of_routing(&mut self, error: &io::Error) {
        let text = format!("cannot ask the kernel for routes: {error}; trying again every second");
        self.complaints.tell(Level::ERROR, text);
        self.look_again_at = Some(clock::now() + SECOND_LOOK);
    }
}

/// The number of the device of that name.
fn number(mirror: &vrrp_linux::mirror::Mirror, name: &str) -> Option<InterfaceIndex> {
    Some(mirror.link_named(name)?.index)
}
