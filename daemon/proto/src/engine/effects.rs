//! Outputs: carries out the reactions of a router.

use std::sync::Arc;

use super::instance::attachment::Attachment;
use super::{Engine, RouterId};
use crate::events::{
    Advertisement, Announcement, Desired, DesiredDevice, DesiredRouting, DeviceState, Output,
    Report, Transition,
};
use crate::reasons::Cause;
use crate::router::{Reaction, Send};
use crate::routing::{Routed, routed};
use crate::time::Instant;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, MacAddress, State};

impl Engine {
    /// Carries out the reaction of a router to an event.
    pub(super) fn react(&mut self, now: Instant, id: RouterId, reaction: Reaction) {
        let Reaction {
            change,
            send,
            announce,
            late,
            second_master: _,
            contested,
            hands_over,
        } = reaction;
        let begins = |(from, cause): &(State, Cause)| self.begins_to_listen(id, *from, cause);
        if change.as_ref().is_some_and(begins) {
            self.begin_to_listen(now, id);
        } else if late {
            // The neighbour entries of the peers for a host that was suspended are gone.
            self.solicit(now, id);
        }
        self.update_deadline(now, id);
        let instance = &mut self.instances[id];
        instance.counters.late_wakeups += u64::from(late);
        if let Some(send) = send {
            self.send(now, id, send);
        }
        if hands_over {
            self.begin_hand_over(now, id);
        }
        let became_master = match change {
            Some((from, cause)) => self.transit(now, id, from, cause) == State::Master,
            None => false,
        };
        // RFC 9568 6.4.1 erratum 7947 MUST: a starting owner sends gratuitous ARP for each address
        // RFC 9568 6.4.2 erratum 7949 MUST: the new Active sends gratuitous ARP for each address
        // RFC 9568 6.4.1 MUST: a starting owner announces each IPv6 address likewise
        // RFC 9568 8.1.2 MUST: gratuitous ARP waits until the address is on the interface
        // RFC 9568 8.2.2 MUST: neighbour discovery waits until the address and the MAC address are there
        if became_master || announce {
            self.announce_all(id);
        }
        if let Some(cause) = contested {
            self.end_contest(now, id, cause);
        }
    }

    /// Reports the end of a router's contest, or for a sync group the end of its last one: the other
    /// host moves its group together, whether or not its advertisements arrive in every member.
    fn end_contest(&mut self, now: Instant, id: RouterId, cause: Cause) {
        let Some(group) = self.instances[id].group else {
            return self.report_contest(now, id, cause);
        };
        if self.is_group_contested(group) {
            return;
        }
        let others = self.with(id, &cause);
        for position in 0..self.size(group) {
            let member = self.member_id(group, position);
            let cause = if member == id { &cause } else { &others };
            self.report_contest(now, member, cause.clone());
        }
    }

    fn report_contest(&mut self, now: Instant, id: RouterId, cause: Cause) {
        let instance = &mut self.instances[id];
        instance.router.report_contest(now);
        instance.counters.contests += 1;
        self.outputs.push_back(Output::Report(Report::Contested {
            router: Arc::clone(&instance.name),
            cause,
            priority: instance.priority(),
        }));
        // Another contest, which began meanwhile, is reported no sooner than SPACING allows.
        self.update_deadline(now, id);
    }

    /// Updates the deadline of a router, which for a group of backups is that of the group, and the time
    /// from which it watches the wire.
    pub(super) fn update_deadline(&mut self, now: Instant, id: RouterId) {
        match self.instances[id].group {
            Some(group) if self.instances[id].router.state() != State::Master => {
                self.set_deadlines(now, group);
            }
            Some(_) | None => {
                let deadline = self.instances[id].router.deadline().map(|(at, _)| at);
                self.deadlines.set(id, deadline);
            }
        }
        let watch_at = self.instances[id].router.watch_at();
        self.watches.set(id, watch_at);
    }

    pub(super) fn send(&mut self, now: Instant, id: RouterId, send: Send) {
        let send = match send {
            Send::FinalAdvertisement => {
                self.send(now, id, Send::Advert);
                Send::Resignation
            }
            Send::Advert | Send::Resignation => send,
        };
        let wall = self.wall_clock.at(now);
        let instance = &mut self.instances[id];
        let Some(endpoint) = instance.endpoint else {
            return;
        };
        if instance.grace.is_some() && send == Send::Advert {
            // During its grace the source address may be missing on the host: no final
            // advertisement.
            return;
        }
        let count = match send {
            Send::Advert => &mut instance.counters.adverts_sent,
            Send::Resignation | Send::FinalAdvertisement => {
                &mut instance.counters.resignations_sent
            }
        };
        *count += 1;
        instance.expire_peers(now);
        for family in Family::ALL {
            let Some(source) = endpoint.source(family) else {
                continue;
            };
            // A number that no receiver sees would become the reference of `Sent::next`. If the
            // wall clock is then set back, the next number could be lower than the last one that a
            // receiver saw.
            if instance.receivers(family).iter().all(|to| *to == source) {
                continue;
            }
            let sequence = instance.sequence(wall);
            for number in 0..instance.receivers(family).len() {
                let destination = instance.receivers(family)[number];
                // A peer list may contain the own address: one list for all hosts.
                if destination == source {
                    continue;
                }
                let message = match send {
                    Send::Advert => instance.message(family, number, source, sequence),
                    Send::Resignation | Send::FinalAdvertisement => {
                        instance.resignation(source, destination, sequence)
                    }
                };
                self.outputs.push_back(Output::Advertise(Advertisement {
                    interface: endpoint.index,
                    source,
                    destination,
                    hop_limit: instance.hop_limit(),
                    // RFC 9568 7.2 MUST: send from the virtual router MAC address
                    mac: instance.params.sending_mac(family),
                    message,
                }));
            }
        }
    }

    /// Records and reports a change of state, and requests the kernel state that follows from it.
    /// Returns the new state.
    fn transit(&mut self, now: Instant, id: RouterId, from: State, cause: Cause) -> State {
        let instance = &mut self.instances[id];
        let to = instance.router.state();
        let transition = Transition {
            router: Arc::clone(&instance.name),
            from,
            to,
            cause,
            priority: instance.priority(),
            at: now,
        };
        instance.counters.became_master += u64::from(to == State::Master);
        instance.withheld = None;
        if to == State::Master {
            // The kernel answers the requests of the new master anew.
            instance.rejected.clear();
        }
        instance.remember(&transition);
        if matches!(to, State::Master | State::Fault) {
            // The new state says which addresses the host holds.
            let _ = self.forget_hand_over(id);
        }
        self.want(id, &[]);
        self.want_routing(id, Vec::new());
        if self.synchronised == Some(id) {
            self.want_lvs();
        }
        self.outputs
            .push_back(Output::Report(Report::Transition(transition)));
        to
    }

    /// Requests from the kernel the present desired state of a router's addresses and devices.
    /// `former` are addresses that the router no longer has and that no other router took over.
    pub(super) fn want(&mut self, id: RouterId, former: &[Attachment]) {
        self.want_devices(id);
        for number in 0..self.instances[id].attachments.len() {
            let attachment = &self.instances[id].attachments[number];
            let former = former
                .iter()
                .find(|former| former.is_same_place(attachment));
            let former = former.map_or_else(Arc::default, |former| Arc::clone(&former.addresses));
            self.want_attachment(id, number, former);
        }
        for left in former {
            let attachments = &self.instances[id].attachments;
            if let Some(interface) = left.index
                && !attachments
                    .iter()
                    .any(|attachment| attachment.is_same_place(left))
            {
                let spare_foreign = self.spares_foreign(id, left, &left.addresses);
                let gone = Arc::clone(&left.addresses);
                self.wish(id, interface, Arc::default(), gone, spare_foreign);
            }
        }
    }

    /// Requests the present desired state of a router's interfaces with virtual MAC addresses.
    pub(super) fn want_devices(&mut self, id: RouterId) {
        for family in Family::ALL {
            if let Some(device) = self.desired_device(id, family) {
                self.outputs.push_back(Output::Device(device));
            }
        }
    }

    /// Returns the desired state of the interface with a router's virtual MAC address, if it has
    /// one. During a hand-over the interface stays as it is.
    pub(super) fn desired_device(&self, id: RouterId, family: Family) -> Option<DesiredDevice> {
        let instance = &self.instances[id];
        if instance.keeps(family) {
            return None;
        }
        let name = instance.params.virtual_device(family)?;
        instance
            .attachments
            .iter()
            .find(|attachment| attachment.device == *name)?;
        Some(DesiredDevice {
            name: Arc::clone(name),
            parent: match instance.endpoint {
                Some(endpoint) => Some(endpoint.index),
                None => self.interfaces.index(&instance.params.interface),
            },
            mac: MacAddress::of_virtual_router(family, instance.params.vrid),
            state: match instance.router.state() {
                State::Init => DeviceState::Absent,
                // RFC 9568 6.4.2 MUST: discard frames to the virtual router MAC address
                State::Backup | State::Fault => DeviceState::Down,
                // RFC 9568 6.4.3 MUST: forward frames to the virtual router MAC address
                State::Master => DeviceState::Up,
            },
        })
    }

    /// As [`want`](Self::want), for one attachment.
    pub(super) fn want_attachment(
        &mut self,
        id: RouterId,
        number: usize,
        former: Arc<[InterfaceAddress]>,
    ) {
        let instance = &self.instances[id];
        let attachment = &instance.attachments[number];
        // Addresses are released while their interface exists, also if the router cannot run there.
        let Some(interface) = attachment.index else {
            return;
        };
        let addresses = Arc::clone(&attachment.addresses);
        let is_master = instance.router.state() == State::Master;
        if instance.keeps(attachment.family) && former.is_empty() {
            return;
        }
        let spare_foreign = self.spares_foreign(id, attachment, &former);
        let (hold, release) = match (is_master, former.is_empty()) {
            (true, _) if self.awaits_own_address(id, number) => (Arc::default(), former),
            // RFC 9568 6.4.3 MUST: answer ARP requests for the virtual addresses
            // RFC 9568 6.4.3 MUST: answer neighbour solicitations, with the Router flag
            // RFC 9568 6.4.2 MUST: join the solicited-node group of each IPv6 address
            // RFC 9568 6.4.3 MUST: be a member of the solicited-node group of each IPv6 address
            // RFC 3768 6.4.3 MUST NOT: accept packets to a virtual address unless it is the owner
            (true, _) => (addresses, former),
            // RFC 9568 6.4.2 MUST NOT: answer ARP requests for a virtual address
            // RFC 9568 6.4.2 MUST NOT: answer neighbour solicitations for a virtual address
            // RFC 9568 6.4.2 MUST NOT: accept packets to a virtual address
            (false, true) => (Arc::default(), addresses),
            (false, false) if instance.keeps(attachment.family) => (Arc::default(), former),
            (false, false) => {
                let all = former.iter().chain(addresses.iter()).copied();
                (Arc::default(), all.collect())
            }
        };
        self.instances[id].attachments[number].spared_foreign = spare_foreign;
        self.wish(id, interface, hold, release, spare_foreign);
    }

    /// Requests that the addresses of an attachment are released on its `former` interface, which
    /// still exists but now has another name or another MAC address.
    pub(super) fn leave(&mut self, id: RouterId, number: usize, former: InterfaceIndex) {
        if self.interfaces.name(former).is_some() {
            self.release(id, number, former);
        }
    }

    /// Requests that all addresses of an attachment are released on an interface.
    pub(super) fn release(&mut self, id: RouterId, number: usize, interface: InterfaceIndex) {
        let release = Arc::clone(&self.instances[id].attachments[number].addresses);
        self.wish(id, interface, Arc::default(), release, true);
    }

    pub(super) fn wish(
        &mut self,
        id: RouterId,
        interface: InterfaceIndex,
        hold: Arc<[InterfaceAddress]>,
        release: Arc<[InterfaceAddress]>,
        spare_foreign: bool,
    ) {
        // The caller of the engine does not report addresses that the daemon itself deletes.
        self.interfaces.forget(interface, &release, spare_foreign);
        let params = &self.instances[id].params;
        // RFC 9568 6.4.3 MUST: accept packets to its addresses as owner or in Accept_Mode
        // RFC 9568 6.4.3 MUST NOT: accept packets to a virtual address otherwise
        self.outputs.push_back(Output::Kernel(Desired {
            interface,
            hold,
            options: Arc::clone(&params.options),
            release,
            accept: params.accepts(),
            spare_foreign,
        }));
    }

    /// Requests from the kernel the present desired routes and rules of a router. `former` are
    /// those that it no longer has and that no other router took over.
    pub(super) fn want_routing(&mut self, id: RouterId, former: Vec<Routed>) {
        let instance = &self.instances[id];
        let (routes, rules) = (&instance.params.routes, &instance.params.rules);
        if routes.is_empty() && rules.is_empty() && former.is_empty() {
            return;
        }
        let mut desired = DesiredRouting {
            router: Arc::clone(&instance.name),
            routes: Vec::new(),
            rules: Vec::new(),
            release: former,
        };
        if instance.router.state() == State::Master {
            if instance.grace.is_none() {
                desired.routes.clone_from(routes);
            }
            desired.rules.clone_from(rules);
        } else {
            let gone = routed(routes, rules).filter(|what| !instance.keeps(what.family()));
            desired.release.extend(gone);
            if desired.release.is_empty() {
                return;
            }
        }
        self.outputs.push_back(Output::Routing(desired));
    }

    /// Announces all addresses of a router.
    pub(super) fn announce_all(&mut self, id: RouterId) {
        self.instances[id].counters.announcements += 1;
        for number in 0..self.instances[id].attachments.len() {
            let addresses = Arc::clone(&self.instances[id].attachments[number].addresses);
            self.announce_attachment(id, number, addresses);
        }
    }

    /// Announces some addresses of a router.
    pub(super) fn announce(&mut self, id: RouterId, addresses: &[InterfaceAddress]) {
        self.instances[id].counters.announcements += 1;
        for number in 0..self.instances[id].attachments.len() {
            let attachment = &self.instances[id].attachments[number];
            let here = addresses
                .iter()
                .filter(|a| attachment.addresses.contains(a));
            let here: Arc<[_]> = here.copied().collect();
            if !here.is_empty() {
                self.announce_attachment(id, number, here);
            }
        }
    }

    pub(super) fn announce_attachment(
        &mut self,
        id: RouterId,
        number: usize,
        addresses: Arc<[InterfaceAddress]>,
    ) {
        let instance = &mut self.instances[id];
        let (attachment, announce) = (&mut instance.attachments[number], instance.params.announce);
        attachment.is_unheard &= self
            .interfaces
            .attachment(attachment)
            .is_none_or(|link| !link.up);
        if let (Some(interface), Some(mac)) = (attachment.index, attachment.mac) {
            self.outputs.push_back(Output::Announce(Announcement {
                interface,
                mac,
                addresses,
                burst: announce.burst,
                pace: announce.pace,
            }));
        }
    }
}
