//! Advertisements that arrive at an interface and that this host drops before its sockets: a firewall, a
//! reverse path filter, a source address that is an address of this host.
//!
//! 1. A backup that has not received its master for 1.25 intervals and its skew time is
//!    [watched](Engine::watched): the caller records the packets of its VRID that arrive at its interface.
//! 2. When a take-over is [due](Engine::watched_and_due), the caller hands in what it recorded for that
//!    router, as [`Input::Witnessed`].
//! 3. Each packet passes the checks of a received one ([`super::admission`]). An advertisement counts as if it had
//!    been received at its arrival, except for counters and for what it shows of its sender.
//! 4. If the wait for a master goes on because of that, the take-over is withheld: counted, reported, and
//!    shown in the status.
//!
//! A router whose take-over is not due ignores these packets, because a packet that a socket received has
//! restarted its timer.
//!
//! [`Input::Witnessed`]: crate::Input::Witnessed

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::admission::Learned;
use super::instance::Instance;
use super::{Engine, RouterId};
use crate::events::{Output, Report};
use crate::limiter::Matter;
use crate::reasons::Unreceived;
use crate::router::Sighting;
use crate::time::Instant;
use crate::types::{Family, InterfaceIndex, State, Vrid};
use crate::wire::Packet;

impl Engine {
    /// Returns the interfaces and VRIDs of the routers that watch the wire.
    /// [`take_begun_watches`](Self::take_begun_watches) tells which are new; it shrinks without a notice.
    pub fn watched(&self) -> impl Iterator<Item = (InterfaceIndex, Vrid)> + '_ {
        self.instances.iter().filter_map(Instance::watched)
    }

    /// Returns the interfaces and VRIDs of the routers that began to watch the wire since the last call.
    pub fn take_begun_watches(&mut self) -> Vec<(InterfaceIndex, Vrid)> {
        core::mem::take(&mut self.begun_watches)
    }

    /// Returns the interfaces and VRIDs of the routers that watch the wire and whose take-over is due by
    /// `now`.
    pub fn watched_and_due(&self, now: Instant) -> Vec<(InterfaceIndex, Vrid)> {
        let due = self.overdue(now);
        let due = due.into_iter().map(|id| &self.instances[id]);
        due.filter_map(Instance::watched).collect()
    }

    /// Begins the watches that are due.
    pub(super) fn begin_watches(&mut self, now: Instant) {
        while let Some((at, id)) = self.watches.first()
            && at <= now
        {
            let instance = &mut self.instances[id];
            if instance.router.watch(now) {
                self.begun_watches.extend(instance.watched());
            }
            let router = &instance.router;
            let next = router.watch_at().filter(|at| *at > now);
            self.watches.set(id, next);
        }
    }

    pub(super) fn handle_witnessed(&mut self, now: Instant, packets: &[Packet<'_>]) {
        let due = self.overdue(now);
        let mut last = BTreeMap::new();
        for packet in packets {
            if let Some(id) = self.record_witnessed(now, packet, &due) {
                last.insert(id, packet);
            }
        }
        for id in due {
            self.update_deadline(now, id);
            if let Some(packet) = last.get(&id)
                && !self.is_over(now, id)
            {
                self.withhold(now, id, packet);
            }
        }
    }

    /// Returns the routers whose take-over, or that of their group, is due.
    fn overdue(&self, now: Instant) -> BTreeSet<RouterId> {
        let due = self.deadlines.due(now).flat_map(|id| {
            let members = self.instances[id]
                .group
                .map(|group| &self.groups[group].members);
            members.into_iter().flatten().copied().chain([id])
        });
        due.filter(|id| self.is_over(now, *id)).collect()
    }

    /// Whether the take-over of a router, or of its group, is due.
    fn is_over(&self, now: Instant, id: RouterId) -> bool {
        let instance = &self.instances[id];
        let router = &instance.router;
        let over_at = match instance.group {
            Some(group) => self.over_at(now, group),
            None => router
                .deadline()
                .filter(|_| router.state() == State::Backup)
                .map(|(at, _)| at),
        };
        router.settings().trust_wire && over_at.is_some_and(|at| at <= now)
    }

    /// Records an advertisement for one of the routers `due`. Returns the router for which it counts as
    /// the advertisement of a living master.
    fn record_witnessed(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        due: &BTreeSet<RouterId>,
    ) -> Option<RouterId> {
        let admitted = self.check(now, packet).ok()?;
        let id = admitted.id;
        // A router that forwards packets between two peers sees what is for another host.
        let is_for_us = packet.destination.is_multicast()
            || packet.destination == admitted.own
            || self.interfaces.has(packet.destination);
        let family = Family::of(packet.source);
        let is_new = self.instances[id]
            .router
            .is_later_than_heard(admitted.heard_at, packet.source);
        if !due.contains(&id) || !is_for_us || !is_new {
            return None;
        }
        let Instance {
            router,
            peer_tables,
            heard,
            group,
            ..
        } = &mut self.instances[id];
        if let Learned::Signed(sender) = admitted.learned {
            heard.record(sender);
        }
        let advert = &admitted.received.advert;
        if group.is_some() {
            let sighting = Sighting::new(admitted.heard_at, advert, packet.source);
            peer_tables[family as usize].record(now, sighting, router);
        }
        router.handle_witnessed(admitted.heard_at, advert, packet.source);
        let over_at = router.over_at(family);
        (!advert.resigns() && over_at.is_some_and(|at| at > now)).then_some(id)
    }

    fn withhold(&mut self, now: Instant, id: RouterId, packet: &Packet<'_>) {
        let instance = &mut self.instances[id];
        instance.counters.withheld += 1;
        let unreceived = Unreceived {
            source: packet.source,
            interface: Arc::clone(&instance.params.interface),
        };
        instance.withheld = Some((unreceived.clone(), packet.at.min(now)));
        let router = Arc::clone(&instance.name);
        let report = Report::Withheld { router, unreceived };
        if self.may_report(now, packet, Matter::Unreceived) {
            self.outputs.push_back(Output::Report(report));
        }
    }
}

impl Instance {
    /// Interface and VRID, if its router watches the wire.
    fn watched(&self) -> Option<(InterfaceIndex, Vrid)> {
        let endpoint = self.endpoint.filter(|_| self.router.is_watching())?;
        Some((endpoint.index, self.params.vrid))
    }
}
