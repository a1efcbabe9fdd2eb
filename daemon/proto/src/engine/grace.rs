//! Grace: tolerates an interface or an address that is missing for a moment.
//!
//! Replacing an address, setting an interface down and up, or creating it again takes a host off
//! its network for milliseconds. A take-over by another host and the way back would cost the
//! clients a second.
//!
//! 1. A master or a backup that a change of the network inhibits keeps its state while the fault is
//!    a [passing](FaultReason::is_passing) one and the only one. When the grace ends, the router
//!    changes to fault. Faults that a reload causes have no grace.
//! 2. The grace lasts half an advertisement interval, and at most 500 ms: a backup, which waits for
//!    three advertisements, misses at most one. A reload does not change its length: the backups
//!    know the interval of the last advertisement.
//! 3. If the take-over of a backup becomes due during the grace, the backup changes to fault at
//!    once: it may have missed advertisements, so that their absence does not prove that the master
//!    failed.
//! 4. During the grace a master sends nothing. If the kernel removed the interface, its index and
//!    its addresses are invalid, and the router has no endpoint.
//! 5. What the kernel deletes during the grace is restored at its end. An interface that has just
//!    lost its own IPv4 address gets no virtual one before: that would become the primary address
//!    of the network, from which the host sends, and the next own address a secondary one, which
//!    the kernel deletes together with the primary one. A route may need what is missing. The
//!    interface with the virtual MAC address of a backup has to be down and does not wait.
//! 6. When the fault of a master ends in time, the master requests its addresses again, sends the
//!    advertisement that became due, and announces the addresses as after a take-over. The kernel
//!    may have removed them, and the cable may be in another port of the switch, which may not
//!    forward frames yet.

use core::time::Duration;
use std::sync::Arc;

use super::{Engine, RouterId};
use crate::events::{Output, Report};
use crate::reasons::{FaultReason, Loss};
use crate::routing::Routed;
use crate::time::Instant;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, State};

/// Upper limit of the grace.
const LONGEST: Duration = Duration::from_millis(500);

/// Upper limit of the time between the kernel's notifications of a deletion, as the caller reads
/// them: those of the secondary addresses and that of the primary one.
const ONE_DELETION: Duration = Duration::from_millis(10);

/// The grace of one router.
#[derive(Clone, Debug)]
pub(super) struct Grace {
    pub(super) fault_reason: FaultReason,
    since: Instant,
    pub(super) until: Instant,
    /// Addresses and routes that disappeared during the grace, to be restored at its end.
    lost_addresses: Vec<(InterfaceAddress, Loss)>,
    lost_routes: Vec<(Routed, Loss)>,
}

impl Grace {
    /// Records an address that is to be restored at the end of the grace.
    pub(super) fn lose_address(&mut self, address: InterfaceAddress, loss: Loss) {
        if !self
            .lost_addresses
            .iter()
            .any(|(known, _)| *known == address)
        {
            self.lost_addresses.push((address, loss));
        }
    }

    /// Records a route that is to be restored at the end of the grace.
    pub(super) fn lose_route(&mut self, what: Routed, loss: Loss) {
        if !self.lost_routes.iter().any(|(known, _)| *known == what) {
            self.lost_routes.push((what, loss));
        }
    }
}

impl Engine {
    /// Begins the grace of a router that a change of the network inhibits.
    pub(super) fn begin_grace(&mut self, now: Instant, id: RouterId) {
        let instance = &self.instances[id];
        let runs = matches!(instance.router.state(), State::Backup | State::Master);
        if !runs || instance.grace.is_some() || self.lasting_fault(id).is_some() {
            return;
        }
        let (_, fault_reason) = self.assess(id);
        let Some(fault_reason) = fault_reason.filter(FaultReason::is_passing) else {
            return;
        };
        let interval = self.instances[id].params.interval.duration();
        let grace = Grace {
            fault_reason,
            since: now,
            until: now + (interval / 2).min(LONGEST),
            lost_addresses: Vec::new(),
            lost_routes: Vec::new(),
        };
        self.graces.insert((grace.until, id));
        let instance = &mut self.instances[id];
        instance.router.depart();
        instance.grace = Some(grace);
        self.retract_repairs(now, id);
    }

    /// Records that an address is restored, in case the interface is about to lose its own one.
    pub(super) fn note_repair(&mut self, now: Instant, id: RouterId, address: InterfaceAddress) {
        let (at, addresses) = &mut self.instances[id].repaired;
        if now.since(*at) > ONE_DELETION {
            addresses.clear();
        }
        *at = now;
        addresses.push(address);
    }

    /// Releases the addresses that were restored between the kernel's notification of their deletion
    /// and that of their primary, the host's own address. They are restored at the end of the grace.
    fn retract_repairs(&mut self, now: Instant, id: RouterId) {
        let (at, repaired) = core::mem::take(&mut self.instances[id].repaired);
        if repaired.is_empty() || now.since(at) > ONE_DELETION {
            return;
        }
        for number in 0..self.instances[id].attachments.len() {
            let attachment = &self.instances[id].attachments[number];
            let Some(interface) = attachment
                .index
                .filter(|_| self.awaits_own_address(id, number))
            else {
                continue;
            };
            let here = |address: &&InterfaceAddress| attachment.addresses.contains(address);
            let gone: Arc<[_]> = repaired.iter().filter(here).copied().collect();
            if let Some(grace) = &mut self.instances[id].grace {
                gone.iter()
                    .for_each(|address| grace.lose_address(*address, Loss::Deleted));
            }
            if !gone.is_empty() {
                self.wish(id, interface, Arc::default(), gone, true);
            }
        }
    }

    /// Whether a router keeps its state although `fault_reason` inhibits it.
    pub(super) fn tolerates(&self, id: RouterId, fault_reason: Option<&FaultReason>) -> bool {
        self.instances[id].grace.is_some()
            && self.moved(id).is_none()
            && fault_reason.is_some_and(FaultReason::is_passing)
            && self.lasting_fault(id).is_none()
    }

    /// Whether the virtual IPv4 addresses of an attachment wait for an address of the host: the
    /// router is in its grace, and their interface has no own one. The addresses of an owner are
    /// the host's own.
    pub(super) fn awaits_own_address(&self, id: RouterId, number: usize) -> bool {
        let instance = &self.instances[id];
        let attachment = &instance.attachments[number];
        // A macvlan of the daemon has virtual addresses only.
        instance.grace.is_some()
            && attachment.family == Family::V4
            && attachment.virtual_mac.is_none()
            && !instance.params.priority.is_owner()
            && !self.has_own_address(attachment, &[])
    }

    /// Detaches a router from interfaces that no longer exist, without a change of state.
    pub(super) fn leave_missing(&mut self, id: RouterId) {
        let instance = &self.instances[id];
        let is_gone = |index: InterfaceIndex| self.interfaces.name(index).is_none();
        let attachments = instance
            .attachments
            .iter()
            .filter_map(|attachment| attachment.index);
        let mut left = attachments.chain(instance.endpoint.map(|endpoint| endpoint.index));
        if !left.any(is_gone) {
            return;
        }
        for number in 0..instance.attachments.len() {
            let index = self.instances[id].attachments[number].index;
            if let Some(index) = index.filter(|index| self.interfaces.name(*index).is_none()) {
                self.release(id, number, index);
            }
        }
        let endpoint = self.instances[id].endpoint;
        let endpoint = endpoint.filter(|endpoint| self.interfaces.name(endpoint.index).is_some());
        let _ = self.set_endpoint(id, endpoint);
    }

    /// Ends the grace of a router, if it has one.
    pub(super) fn end_grace(&mut self, id: RouterId) -> Option<Grace> {
        let grace = self.instances[id].grace.take()?;
        self.graces.remove(&(grace.until, id));
        Some(grace)
    }

    /// Continues after a grace that ended without a fault.
    pub(super) fn resume(&mut self, now: Instant, id: RouterId, grace: Grace) {
        let instance = &mut self.instances[id];
        instance.counters.interruptions += 1;
        let is_master = instance.router.state() == State::Master;
        self.outputs.push_back(Output::Report(Report::Interrupted {
            router: Arc::clone(&instance.name),
            fault_reason: grace.fault_reason,
            lasted: now.since(grace.since),
        }));
        if is_master {
            for (address, loss) in grace.lost_addresses {
                self.report_repair(id, address, loss);
            }
            for (what, loss) in grace.lost_routes {
                self.report_routing_repair(id, what, loss);
            }
            self.want(id, &[]);
            self.want_routing(id, Vec::new());
        }
        let reaction = self.instances[id].router.arrive(now);
        self.react(now, id, reaction);
    }

    /// Ends the grace of a router early. The router changes to fault if the reason still exists.
    pub(super) fn cut_grace(&mut self, now: Instant, id: RouterId) {
        // Without the grace `tolerates` is false, and a remaining fault takes effect.
        if self.end_grace(id).is_some() {
            self.refresh_router(now, id);
        }
    }

    /// Ends the grace of a router if its present fault is not the one that the grace is for.
    pub(super) fn end_grace_of_others(&mut self, id: RouterId) {
        let (_, fault_reason) = self.assess(id);
        let grace = self.instances[id].grace.as_ref();
        if grace.is_some_and(|grace| fault_reason.is_some_and(|other| other != grace.fault_reason))
        {
            drop(self.end_grace(id));
        }
    }

    /// Returns the routers with a grace that ends by `now`.
    pub(super) fn due_graces(&self, now: Instant) -> Vec<RouterId> {
        let due = self.graces.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, id)| *id).collect()
    }
}
