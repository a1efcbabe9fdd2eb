//! What goes through the networks, and the foreign routers at their ends.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use vrrp_proto::Instant;
use vrrp_proto::wire::HOP_LIMIT;

use super::{Happening, SEGMENTS, World, station};
use crate::foreign;
use crate::host::{Datagram, Says};
use crate::junk;
use crate::network::{Station, USUAL_DELAY};
use crate::scenario::{Make, link_local, own_ipv4, physical_mac};

impl World<'_> {
    pub(super) fn send(
        &mut self,
        from: Station,
        segment: u8,
        source: IpAddr,
        payload: Arc<[u8]>,
        says: Option<Says>,
    ) {
        self.note(|| format!("{from} says {says:?} on {segment} from {source}"));
        let packet = Rc::new(Datagram {
            from,
            sent_at: self.now,
            segment,
            source,
            hop_limit: HOP_LIMIT,
            payload,
            says,
        });
        self.spread(&packet);
    }

    fn spread(&mut self, packet: &Rc<Datagram>) {
        let network = self.segment(packet.segment);
        let (loss, duplicates, delay) = (network.loss, network.duplicates, network.delay);
        for to in 0..self.stations() {
            if to == packet.from || !self.segment(packet.segment).reaches(packet.from, to) {
                continue;
            }
            if self.percent(loss) {
                continue;
            }
            let copies = 1 + u8::from(self.percent(duplicates));
            for _ in 0..copies {
                let after = self.chance(20, delay);
                let packet = Rc::clone(packet);
                self.arrange(after, Happening::Arrive { to, packet });
            }
        }
    }

    pub(super) fn arrive(&mut self, to: Station, packet: &Rc<Datagram>) {
        let usual = Duration::from_micros(USUAL_DELAY.into());
        if self.now.since(packet.sent_at) > usual {
            self.disturb();
        }
        let index = usize::from(to);
        if let Some(host) = self.hosts.get_mut(index) {
            if host.receive(self.now, packet) {
                self.wake(to);
            }
            return;
        }
        let index = index - self.hosts.len();
        let Some(router) = self.foreign.get_mut(index) else {
            return;
        };
        if packet.segment == router.config().segment {
            let before = (router.state, router.timer);
            let speaks = router.receive(self.now, packet);
            self.go_on_foreign(index, before, speaks);
            let router = &self.foreign[index];
            let stays = before.0 == foreign::State::Active && router.state == before.0;
            if speaks && stays && router.spec.make == Make::Keepalived {
                // It announces its addresses again when it hears a lower priority.
                self.announce_foreign(index);
            }
        }
    }

    pub(super) fn fire(&mut self, index: usize) {
        let router = &mut self.foreign[index];
        if router.timer != Some(self.now) {
            return;
        }
        let before = (router.state, None);
        let speaks = router.fire(self.now);
        self.go_on_foreign(index, before, speaks);
    }

    pub(super) fn switch_foreign(&mut self, index: usize, on: bool) {
        let Some(router) = self.foreign.get_mut(index) else {
            return;
        };
        let before = (router.state, router.timer);
        match (on, router.state) {
            (true, foreign::State::Initialize) => {
                let speaks = router.start(self.now);
                self.go_on_foreign(index, before, speaks);
            }
            (true, _) => {}
            (false, _) => router.stop(),
        }
    }

    /// Sends what a foreign router has to say, and arranges for its timer.
    fn go_on_foreign(
        &mut self,
        index: usize,
        before: (foreign::State, Option<Instant>),
        speaks: bool,
    ) {
        let router = &self.foreign[index];
        let (state, timer) = (router.state, router.timer);
        let id = station(self.hosts.len() + index);
        let (segment, source) = (router.config().segment, router.source());
        let (message, says) = router.advertisement();
        if state != before.0 {
            self.note(|| format!("foreign {index} becomes {state:?}"));
            if state == foreign::State::Active {
                self.announce_foreign(index);
            }
        }
        if speaks {
            self.send(id, segment, source, message.into(), Some(says));
        }
        if let Some(at) = timer
            && before.1 != timer
        {
            self.arrange(at.since(self.now), Happening::Timer(index));
        }
    }

    fn announce_foreign(&mut self, index: usize) {
        let id = station(self.hosts.len() + index);
        let router = &self.foreign[index];
        let segment = router.config().segment;
        let mac = physical_mac(segment, id);
        for address in router.config().addresses_of(router.family()) {
            self.neighbours.insert(address, mac);
        }
        self.switches.insert((segment, mac), id);
    }

    pub(super) fn throw_junk(&mut self, segment: u8, vrid: u8, left: u8, kinds: u16) {
        let Some(left) = left.checked_sub(1) else {
            return;
        };
        let segment = segment % SEGMENTS;
        // Somebody whom all hear.
        let from = self.stations();
        let source = if self.has_ipv6 && self.rng.random() {
            link_local(segment, 99).address
        } else {
            own_ipv4(segment, 99).address
        };
        let (payload, hop_limit) = junk::message(kinds, vrid, source, &mut self.rng);
        let packet = Rc::new(Datagram {
            from,
            sent_at: self.now,
            segment,
            source,
            hop_limit,
            payload: payload.into(),
            says: None,
        });
        for to in 0..self.stations() {
            let packet = Rc::clone(&packet);
            self.arrange(Duration::from_micros(20), Happening::Arrive { to, packet });
        }
        let what = Happening::Junk {
            segment,
            vrid,
            left,
            kinds,
        };
        self.arrange(Duration::from_millis(1), what);
        if self.is_wrongly_impressed() {
            self.disturb();
        }
    }

    /// Whether there is somebody whom junk does something to.
    fn is_wrongly_impressed(&self) -> bool {
        self.foreign
            .iter()
            .any(|router| router.spec.make == Make::Keepalived)
    }
}
