//! The grace for an interface or an address that is away for a moment.
//!
//! Replacing an address, setting an interface down and up or creating it again takes a host off its
//! network for milliseconds. A switch to another host and back would cost its clients a second.
//!
//! 1. A master or a backup that a change of the network keeps from serving goes on as it is while its
//!    obstacle is a [passing](Obstacle::is_passing) one and there is no other. When the grace ends it
//!    is in fault. What a reload changes has no grace.
//! 2. The grace is half of its advertisement interval, and 500 ms at most: of three advertisements
//!    that a backup waits for, one is missed at most.
//! 3. A backup whose take-over is due in the grace is in fault at once, because it may have been
//!    deaf: its silence is none.
//! 4. Until then a master does not speak. An interface that is gone has taken its index and its
//!    addresses along: the router has no place.
//! 5. A master whose obstacle is gone in time asks for its addresses again, sends the advertisement that
//!    was due meanwhile, and announces the addresses as after a take-over: the kernel may have removed
//!    them, and the cable may be in another port of the switch, which may not forward yet.

use core::time::Duration;
use std::sync::Arc;

use super::{Engine, RouterId};
use crate::border::{Obstacle, Output, Report, State};
use crate::time::Instant;
use crate::types::InterfaceIndex;

/// The longest grace.
const LONGEST: Duration = Duration::from_millis(500);

/// The grace that a router has.
#[derive(Clone, Debug)]
pub(super) struct Grace {
    pub(super) obstacle: Obstacle,
    since: Instant,
    pub(super) until: Instant,
}

impl Engine {
    /// Begins the grace of a router when a change of the network keeps it from serving.
    pub(super) fn begin_grace(&mut self, now: Instant, id: RouterId) {
        let slot = &self.slots[id];
        let runs = matches!(slot.router.state(), State::Backup | State::Master);
        if !runs || slot.grace.is_some() || self.lasting_obstacle(id).is_some() {
            return;
        }
        let (_, obstacle) = self.assess(id);
        let Some(obstacle) = obstacle.filter(Obstacle::is_passing) else {
            return;
        };
        let interval = self.slots[id].params.interval.duration();
        let grace = Grace {
            obstacle,
            since: now,
            until: now + (interval / 2).min(LONGEST),
        };
        self.graces.insert((grace.until, id));
        let slot = &mut self.slots[id];
        slot.router.depart();
        slot.grace = Some(grace);
    }

    /// Whether a router goes on although `obstacle` keeps it from serving.
    pub(super) fn tolerates(&self, id: RouterId, obstacle: Option<&Obstacle>) -> bool {
        self.slots[id].grace.is_some()
            && self.moved(id).is_none()
            && obstacle.is_some_and(Obstacle::is_passing)
            && self.lasting_obstacle(id).is_none()
    }

    /// Leaves the interfaces that are gone, without a change of state.
    pub(super) fn leave_missing(&mut self, id: RouterId) {
        let slot = &self.slots[id];
        let is_gone = |index: InterfaceIndex| self.interfaces.name(index).is_none();
        let seats = slot.seats.iter().filter_map(|seat| seat.index);
        let mut left = seats.chain(slot.place.map(|place| place.index));
        if !left.any(is_gone) {
            return;
        }
        for number in 0..slot.seats.len() {
            let index = self.slots[id].seats[number].index;
            if let Some(index) = index.filter(|index| self.interfaces.name(*index).is_none()) {
                self.release(id, number, index);
            }
        }
        let place = self.slots[id].place;
        let place = place.filter(|place| self.interfaces.name(place.index).is_some());
        let _ = self.set_place(id, place);
    }

    /// Ends the grace of a router, if it has one.
    pub(super) fn end_grace(&mut self, id: RouterId) -> Option<Grace> {
        let grace = self.slots[id].grace.take()?;
        self.graces.remove(&(grace.until, id));
        Some(grace)
    }

    /// Goes on after a grace at whose end nothing keeps a router from serving.
    pub(super) fn resume(&mut self, now: Instant, id: RouterId, grace: Grace) {
        let slot = &mut self.slots[id];
        slot.counters.interruptions += 1;
        let is_master = slot.router.state() == State::Master;
        self.outputs.push_back(Output::Report(Report::Interrupted {
            router: Arc::clone(&slot.name),
            obstacle: grace.obstacle,
            lasted: now.since(grace.since),
        }));
        if is_master {
            self.want(id, &[]);
            self.want_routing(id, Vec::new());
        }
        let reaction = self.slots[id].router.arrive(now);
        self.react(now, id, reaction);
    }

    /// Ends the grace of a router with a fault, unless its obstacle is gone.
    pub(super) fn cut_grace(&mut self, now: Instant, id: RouterId) {
        if self.end_grace(id).is_some() {
            self.refresh_router(now, id);
        }
    }

    /// Ends the grace of a router when its obstacle is not the one that the grace is for.
    pub(super) fn end_grace_of_others(&mut self, id: RouterId) {
        let (_, obstacle) = self.assess(id);
        let grace = self.slots[id].grace.as_ref();
        if grace.is_some_and(|grace| obstacle.is_some_and(|other| other != grace.obstacle)) {
            drop(self.end_grace(id));
        }
    }

    /// The routers whose grace ends by `now`.
    pub(super) fn due_graces(&self, now: Instant) -> Vec<RouterId> {
        let due = self.graces.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, id)| *id).collect()
    }
}
