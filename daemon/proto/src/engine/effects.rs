//! What goes out: the reactions of a router as outputs.

use std::sync::Arc;

use super::{Engine, RouterId};
use crate::border::{Cause, Desired, Output, Report, State, Transition};
use crate::router::{Reaction, Send};
use crate::time::Instant;
use crate::types::InterfaceAddress;

impl Engine {
    /// Carries out what a router does about an event.
    pub(super) fn react(&mut self, now: Instant, id: RouterId, reaction: Reaction) {
        let Reaction {
            change,
            send,
            announce,
            late,
            second_master: _,
        } = reaction;
        let slot = &mut self.slots[id];
        let deadline = slot.router.deadline().map(|(at, _)| at);
        self.deadlines.set(id, deadline);
        slot.counters.late_wakeups += u64::from(late);
        if let Some(send) = send {
            self.send(id, send);
        }
        let became_master = match change {
            Some((from, cause)) => self.transit(now, id, from, cause) == State::Master,
            None => false,
        };
        // RFC 9568 6.4.1 erratum 7947 MUST: a starting owner sends gratuitous ARP for each address
        // RFC 9568 6.4.2 erratum 7949 MUST: the new Active sends gratuitous ARP for each address
        // RFC 9568 8.1.2 MUST: gratuitous ARP waits until the address is on the interface
        if became_master || announce {
            let addresses = Arc::clone(&self.slots[id].params.addresses);
            self.announce(id, addresses);
        }
    }

    pub(super) fn send(&mut self, id: RouterId, send: Send) {
        let slot = &mut self.slots[id];
        let Some(place) = slot.place else { return };
        let message = match send {
            Send::Advert => {
                slot.counters.adverts_sent += 1;
                slot.message(place.source)
            }
            Send::Resignation => {
                slot.counters.resignations_sent += 1;
                slot.resignation(place.source)
            }
        };
        self.outputs.push_back(Output::Advertise {
            interface: place.index,
            source: place.source.into(),
            message,
        });
    }

    /// Tells the world of a change of state. Returns the new one.
    fn transit(&mut self, now: Instant, id: RouterId, from: State, cause: Cause) -> State {
        let slot = &mut self.slots[id];
        let to = slot.router.state();
        let transition = Transition {
            router: Arc::clone(&slot.name),
            from,
            to,
            cause,
            priority: slot.priority(),
            at: now,
        };
        slot.counters.became_master += u64::from(to == State::Master);
        slot.remember(&transition);
        self.want(id, Arc::default());
        self.outputs
            .push_back(Output::Report(Report::Transition(transition)));
        to
    }

    /// Says what the kernel should hold for a router now. `former` are addresses that it has had
    /// and that nobody else took over.
    pub(super) fn want(&mut self, id: RouterId, former: Arc<[InterfaceAddress]>) {
        let slot = &self.slots[id];
        // Addresses are released wherever the interface is, also while no router can run there.
        let index = match slot.place {
            Some(place) => Some(place.index),
            None => self.interfaces.index(&slot.params.interface),
        };
        let Some(interface) = index else { return };
        let addresses = Arc::clone(&slot.params.addresses);
        let is_master = slot.router.state() == State::Master;
        let (hold, release) = match (is_master, former.is_empty()) {
            // RFC 9568 6.1 MUST: Accept_Mode is False when nobody says otherwise
            // RFC 9568 6.4.3 MUST: answer ARP requests for the virtual addresses
            // RFC 9568 6.4.3 MUST: accept packets to its addresses as owner or in Accept_Mode
            // RFC 3768 6.4.3 MUST NOT: accept packets to a virtual address unless it is the owner
            (true, _) => (addresses, former),
            // RFC 9568 6.4.2 MUST NOT: answer ARP requests for a virtual address
            // RFC 9568 6.4.2 MUST NOT: accept packets to a virtual address
            (false, true) => (Arc::default(), addresses),
            (false, false) => {
                let all = former.iter().chain(addresses.iter()).copied();
                (Arc::default(), all.collect())
            }
        };
        let spare_foreign = self.spares_foreign(id, interface);
        self.slots[id].spared_foreign = spare_foreign;
        if !spare_foreign {
            self.interfaces.forget(interface, &release);
        }
        self.outputs.push_back(Output::Kernel(Desired {
            interface,
            hold,
            release,
            spare_foreign,
        }));
    }

    pub(super) fn announce(&mut self, id: RouterId, addresses: Arc<[InterfaceAddress]>) {
        let slot = &mut self.slots[id];
        let Some(place) = slot.place else { return };
        slot.counters.announcements += 1;
        self.outputs.push_back(Output::Announce {
            interface: place.index,
            mac: place.mac,
            addresses,
        });
    }
}
