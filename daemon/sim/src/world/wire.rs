//! Packets in the networks, and the foreign routers.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use rand::RngExt;
use vrrp_proto::wire::group;
use vrrp_proto::{AdvertInterval, Family, Instant, Version};

use super::{Happening, World, configured, station};
use crate::foreign;
use crate::forge;
use crate::host::true_time;
use crate::junk;
use crate::network::{Station, USUAL_DELAY};
use crate::records::{Datagram, read};
use crate::scenario::{Make, Place, RouterConfig, SEGMENTS, link_local, own_ipv4, physical_mac};

impl World<'_> {
    pub(super) fn send(&mut self, packet: Datagram) {
        self.note(|| {
            let Datagram {
                from,
                segment,
                source,
                destination,
                content,
                ..
            } = &packet;
            format!("{from} advertises {content:?} on {segment} from {source} to {destination}")
        });
        let packet = Rc::new(packet);
        if let Some(sent) = &mut self.sent {
            sent[usize::from(packet.segment)].push(Rc::clone(&packet));
        }
        self.spread(&packet);
    }

    fn spread(&mut self, packet: &Rc<Datagram>) {
        if !self.finds_neighbour(packet) {
            return;
        }
        let network = self.segment(packet.segment);
        let (loss, duplicates, delay) = (network.loss, network.duplicates, network.delay);
        for to in 0..self.stations() {
            if to == packet.from
                || !self.segment(packet.segment).reaches(packet.from, to)
                || !self.answers_to(to, packet.destination)
            {
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

    /// Whether a station receives packets to an address.
    pub(super) fn answers_to(&self, station: Station, destination: IpAddr) -> bool {
        let index = usize::from(station);
        match self.hosts.get(index) {
            Some(host) => host.answers_to(destination),
            None => {
                let router = &self.foreign[index - self.hosts.len()];
                destination.is_multicast() || router.source() == destination
            }
        }
    }

    pub(super) fn arrive(&mut self, to: Station, packet: &Rc<Datagram>) {
        let usual = Duration::from_micros(USUAL_DELAY.into());
        // A late packet can change a state long after the step that delayed it.
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
                // keepalived announces its addresses again when it receives a lower priority.
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

    /// Sends the advertisements of a foreign router, and schedules its timer.
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
        let receivers = router.receivers.clone();
        if state != before.0 {
            self.note(|| format!("foreign {index} becomes {state:?}"));
            if state == foreign::State::Active {
                self.announce_foreign(index);
            }
        }
        for destination in receivers.into_iter().filter(|_| speaks) {
            let router = &self.foreign[index];
            let (message, content) = router.advertisement(destination);
            self.send(Datagram {
                from: id,
                sent_at: self.now,
                segment,
                source,
                destination,
                hop_limit: router.config().hop_limit(),
                payload: message.into(),
                content: Some(content),
                is_genuine: false,
            });
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
            self.neighbours.insert(address.address, mac);
        }
        self.switches.insert((segment, mac), id);
    }

    pub(super) fn throw_junk(&mut self, segment: u8, vrid: u8, left: u8, kinds: u16) {
        let Some(left) = left.checked_sub(1) else {
            return;
        };
        let segment = segment % SEGMENTS;
        let source = if self.has_ipv6 && self.rng.random() {
            link_local(segment, 99).address
        } else {
            own_ipv4(segment, 99).address
        };
        self.throw(kinds, vrid, segment, source, group(Family::of(source)));
        self.throw_at_peers(kinds, vrid, segment);
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

    /// Sends an invalid message by unicast from the address of one host to another host.
    fn throw_at_peers(&mut self, kinds: u16, vrid: u8, segment: u8) {
        let is_here = |router: &RouterConfig| router.segment == segment && router.unicast.is_some();
        let hosts = station(self.hosts.len());
        if hosts < 2 || !configured(self.scenario).any(is_here) {
            return;
        }
        let to = self.rng.random_range(0..hosts);
        let named = (to + self.rng.random_range(1..hosts)) % hosts;
        let family = match self.has_ipv6 && self.rng.random() {
            true => Family::V6,
            false => Family::V4,
        };
        let place = match self.rng.random() {
            true => Place::First,
            false => Place::Second,
        };
        let stations = &self.hosts[usize::from(to)].stations;
        let address = |of| stations.address(of, segment, family, place);
        let (source, destination) = (address(named), address(to));
        self.throw(kinds, vrid, segment, source, destination);
    }

    fn throw(&mut self, kinds: u16, vrid: u8, segment: u8, source: IpAddr, destination: IpAddr) {
        let its = configured(self.scenario);
        let its = its.filter(|router| (router.segment, router.vrid) == (segment, vrid));
        let mut own = its.flat_map(RouterConfig::virtual_addresses);
        let own = own.find(|own| own.family() == Family::of(source));
        let of = (vrid, own.map(|own| own.address));
        let (payload, hop_limit) = junk::message(kinds, of, source, destination, &mut self.rng);
        self.attack(Datagram {
            from: self.stations(),
            sent_at: self.now,
            segment,
            source,
            destination,
            hop_limit,
            payload: payload.into(),
            content: None,
            is_genuine: false,
        });
    }

    /// Delivers a packet of an attacker to all stations, without loss.
    fn attack(&mut self, packet: Datagram) {
        let packet = Rc::new(packet);
        for to in 0..self.stations() {
            if self.answers_to(to, packet.destination) {
                let packet = Rc::clone(&packet);
                self.arrange(Duration::from_micros(20), Happening::Arrive { to, packet });
            }
        }
    }

    /// Replays earlier packets, one per millisecond.
    pub(super) fn repeat(&mut self, segment: u8, at: usize, left: u8, renamed: bool) {
        let Some(left) = left.checked_sub(1) else {
            return;
        };
        let sent = self.sent.as_ref().map(|sent| &sent[usize::from(segment)]);
        let Some(packet) = sent.and_then(|sent| sent.get(at)).map(Rc::clone) else {
            return;
        };
        let mut copy = Datagram {
            from: self.stations(),
            sent_at: self.now,
            ..(*packet).clone()
        };
        if renamed && self.rng.random() {
            let other = self.rng.random_range(0..self.stations());
            let stations = &self.hosts[0].stations;
            copy.source = stations.address(other, segment, copy.family(), Place::First);
            if copy.source != packet.source {
                copy.is_genuine = false;
                // Over IPv6 the checksum contains the source address.
                let mut payload = copy.payload.to_vec();
                junk::seal_for(&mut payload, copy.source, copy.destination);
                copy.payload = payload.into();
            }
        }
        self.note(|| format!("attacker replays {:?} from {}", copy.content, copy.source));
        self.attack(copy);
        self.disturb();
        let what = Happening::Repeat {
            segment,
            at: at + 1,
            left,
            renamed,
        };
        self.arrange(Duration::from_millis(1), what);
    }

    /// Sends forged advertisements, one per millisecond.
    pub(super) fn forge(&mut self, segment: u8, vrid: u8, version: Version, left: u8, ways: u16) {
        let Some(left) = left.checked_sub(1) else {
            return;
        };
        let family = match version == Version::V3 && self.has_ipv6 && self.rng.random() {
            true => Family::V6,
            false => Family::V4,
        };
        let named = self.rng.random_range(0..self.stations());
        let to = self.rng.random_range(0..self.stations());
        let stations = &self.hosts[0].stations;
        let address = |of| stations.address(of, segment, family, Place::First);
        let destination = match self.rng.random() {
            true => group(family),
            false => address(to),
        };
        let source = address(named);
        // A longer interval would make the routers that accept it wait for longer than the bounds
        // assume.
        let mut routers = configured(self.scenario);
        let usual = routers.find(|router| (router.segment, router.vrid) == (segment, vrid));
        let interval = usual.map_or(AdvertInterval::DEFAULT, RouterConfig::advert_interval);
        let payload = forge::message(
            ways,
            (vrid, version, interval),
            (source, destination),
            true_time(self.now),
            &mut self.rng,
        );
        let content = read(&payload);
        self.note(|| format!("attacker forges {content:?} from {source} to {destination}"));
        self.attack(Datagram {
            from: self.stations(),
            sent_at: self.now,
            segment,
            source,
            destination,
            hop_limit: 255,
            payload: payload.into(),
            content,
            is_genuine: false,
        });
        self.disturb();
        let what = Happening::Forge {
            segment,
            vrid,
            version,
            left,
            ways,
        };
        self.arrange(Duration::from_millis(1), what);
    }

    /// Whether a station reacts to invalid messages: keepalived restarts its timer.
    fn is_wrongly_impressed(&self) -> bool {
        self.foreign
            .iter()
            .any(|router| router.spec.make == Make::Keepalived)
    }
}
