//! Hand-over: a master that leaves on purpose keeps its addresses until its successor advertises.
//!
//! A backup that receives a resignation (priority 0) takes over after its skew time, up to an interval later.
//! If the former master removed its addresses at once, the clients would have none of both hosts meanwhile.
//! So after the resignation everything that belongs to the mastership stays as it is in the kernel: addresses,
//! macvlans, drop rules, routes, rules and the role of the IPVS sync daemon. Nothing is requested, repaired,
//! announced or advertised. The router itself is in its next state from the resignation on.
//!
//! A family is released when another router advertises in it. Addresses of a family without advertisements,
//! and the hand-over, end with the last family. It also ends:
//!
//! - after [`longest_hand_over`](crate::params::RouterParams::longest_hand_over), without a successor;
//! - by a fault reason: a host that cannot serve holds nothing;
//! - by a further stop and by a reload;
//! - when the router becomes master again, which keeps the addresses.
//!
//! A grace or a missing link when the router leaves, a late wake-up and a fault have no hand-over: the router
//! cannot serve, or another host may be master already.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use super::Instance;
use crate::engine::{Engine, RouterId};
use crate::events::{HandOverEnd, Output, Report};
use crate::time::Instant;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, State};

/// Hand-over of one router.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct HandOver {
    since: Instant,
    pub(in crate::engine) until: Instant,
    /// The families in which no successor has advertised yet.
    awaited: [bool; 2],
}

impl Engine {
    /// Whether a router still holds addresses for its successor.
    pub fn is_handing_over(&self) -> bool {
        !self.hand_overs.is_empty()
    }

    /// Whether the router of that name still holds addresses for its successor.
    pub fn hands_over(&self, router: &str) -> bool {
        self.position(router)
            .is_some_and(|id| self.instances[id].hand_over.is_some())
    }

    /// Returns the addresses that this node holds for a successor, with their interfaces. They are not
    /// announced.
    pub fn kept(&self) -> impl Iterator<Item = (InterfaceIndex, InterfaceAddress)> + '_ {
        let ids = self.hand_overs.iter().map(|(_, id)| *id);
        ids.flat_map(|id| self.instances[id].held())
    }

    /// Begins the hand-over of a router that resigned, if it can still serve.
    pub(in crate::engine) fn begin_hand_over(&mut self, now: Instant, id: RouterId) {
        let instance = &mut self.instances[id];
        let has_link = instance.endpoint.is_some_and(|endpoint| endpoint.has_link);
        if !has_link || instance.grace.is_some() || instance.attachments.is_empty() {
            return;
        }
        let longest = instance.params.longest_hand_over();
        let hand_over = HandOver {
            since: now,
            until: now + longest,
            awaited: [true; 2],
        };
        instance.hand_over = Some(hand_over);
        self.hand_overs.insert((hand_over.until, id));
        self.outputs.push_back(Output::Report(Report::HandsOver {
            router: Arc::clone(&instance.name),
            longest,
        }));
    }

    /// Ends the hand-over of a router without a request to the kernel. Returns it, if there was one.
    pub(in crate::engine) fn forget_hand_over(&mut self, id: RouterId) -> Option<HandOver> {
        let hand_over = self.instances[id].hand_over.take()?;
        self.hand_overs.remove(&(hand_over.until, id));
        Some(hand_over)
    }

    /// Ends the hand-over of a router, if it has one, and releases what is left.
    pub(in crate::engine) fn end_hand_over(
        &mut self,
        now: Instant,
        id: RouterId,
        end: HandOverEnd,
    ) {
        let Some(hand_over) = self.forget_hand_over(id) else {
            return;
        };
        self.release_handed_over(id);
        self.outputs.push_back(Output::Report(Report::HandedOver {
            router: Arc::clone(&self.instances[id].name),
            end,
            lasted: now.since(hand_over.since),
        }));
    }

    /// Ends all hand-overs.
    pub(in crate::engine) fn end_hand_overs(&mut self, now: Instant, end: &HandOverEnd) {
        for (_, id) in self.hand_overs.clone() {
            self.end_hand_over(now, id, end.clone());
        }
    }

    /// Records that another router has advertised in the family of `source`.
    pub(in crate::engine) fn hear_successor(&mut self, now: Instant, id: RouterId, source: IpAddr) {
        let instance = &mut self.instances[id];
        let mut families = instance.families();
        let Some(hand_over) = &mut instance.hand_over else {
            return;
        };
        let awaited = &mut hand_over.awaited[Family::of(source) as usize];
        let is_first = core::mem::replace(awaited, false);
        if families.all(|family| !hand_over.awaited[family as usize]) {
            self.end_hand_over(now, id, HandOverEnd::Successor(source));
        } else if is_first {
            self.release_handed_over(id);
        }
    }

    /// Ends the hand-overs that are due.
    pub(in crate::engine) fn cut_hand_overs(&mut self, now: Instant) {
        while let Some((at, id)) = self.hand_overs.first().copied()
            && at <= now
        {
            self.end_hand_over(now, id, HandOverEnd::NoSuccessor);
        }
    }

    /// Requests the release of what a router no longer holds.
    fn release_handed_over(&mut self, id: RouterId) {
        self.want(id, &[]);
        self.want_routing(id, Vec::new());
        if self.synchronised == Some(id) {
            self.want_lvs();
        }
    }
}

impl Instance {
    /// Whether the router keeps what it has in a family for its successor.
    pub(in crate::engine) fn keeps(&self, family: Family) -> bool {
        self.hand_over.is_some_and(|hand_over| {
            hand_over.awaited[family as usize] || !self.params.speaks(family)
        })
    }

    /// Whether the router holds its addresses of a family: as master, or for its successor.
    pub(in crate::engine) fn holds(&self, family: Family) -> bool {
        self.router.state() == State::Master || self.keeps(family)
    }

    /// Remaining time of the hand-over.
    pub(in crate::engine) fn releases_in(&self, now: Instant) -> Option<Duration> {
        self.hand_over.map(|hand_over| hand_over.until.since(now))
    }
}
