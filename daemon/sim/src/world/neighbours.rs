//! Neighbour entries of the senders of unicast packets, and the invariant that no master is unheard because
//! of them.
//!
//! The kernel of a sender makes an entry for a destination on the network when there is a packet to send,
//! asks for it at most once a second, and drops the packets meanwhile. A station that is asked, by a kernel
//! or by the daemon, records the one that asks. An entry is verified now and then, and is gone with its
//! interface.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Cause, Family, Instant, InterfaceAddress, State, Transition};

use super::World;
use crate::foreign;
use crate::host::Host;
use crate::invariants::{Invariant, Violation};
use crate::network::Station;
use crate::records::Datagram;
use crate::scenario::{RouterConfig, own_ipv4};

/// Time between two requests of a kernel for the same neighbour (retrans_time_ms of neighbour(7)).
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// Time for which an entry is used without a verification: base_reachable_time, and the delay of the first
/// probe.
const VERIFIED: Duration = Duration::from_secs(20);

/// Number of requests of a verification (ucast_solicit).
const PROBES: u32 = 3;

/// Sender, segment and destination.
type Path = (Station, u8, IpAddr);

#[derive(Clone, Copy, Debug)]
enum Entry {
    Known { at: Instant },
    Incomplete { asked: Instant },
}

/// Receiver of a virtual router's packets: the station, the segment and VRID, and the family.
type Receiver = (Station, (u8, u8), Family);

/// Entries of all stations, and the packets that were dropped for lack of one.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    entries: BTreeMap<Path, Entry>,
    /// Last packet of each virtual router that was dropped on its way to a station, in each family: its
    /// sender, its source address and the time.
    dropped: BTreeMap<Receiver, (Station, IpAddr, Instant)>,
}

impl World<'_> {
    /// Whether the sender of a packet has a neighbour entry for its destination, or gets one. Without an
    /// entry the packet is dropped.
    pub(super) fn finds_neighbour(&mut self, packet: &Datagram) -> bool {
        let (from, segment, to) = (packet.from, packet.segment, packet.destination);
        if to.is_multicast() || !self.is_on_link(from, segment, to) {
            return true;
        }
        let path = (from, segment, to);
        let attempts = match self.arp.entries.get(&path) {
            Some(Entry::Known { at }) if self.now.since(*at) < VERIFIED => return true,
            Some(Entry::Known { .. }) => PROBES,
            Some(Entry::Incomplete { asked }) if self.now.since(*asked) < AGAIN => 0,
            Some(Entry::Incomplete { .. }) | None => 1,
        };
        for _ in 0..attempts {
            if self.asks(path, packet.source) {
                self.arp.entries.insert(path, Entry::Known { at: self.now });
                return true;
            }
        }
        if attempts > 0 {
            let asked = Entry::Incomplete { asked: self.now };
            self.arp.entries.insert(path, asked);
        }
        self.note(|| format!("{from} has no neighbour entry for {to} on {segment}"));
        self.remember_dropped(packet);
        false
    }

    /// Sends a request for a neighbour from `source`. Returns whether it answers. A station with that
    /// address records the one that asks.
    fn asks(&mut self, (from, segment, target): Path, source: IpAddr) -> bool {
        let mut is_answered = false;
        for to in 0..self.stations() {
            let loss = self.segment(segment).loss;
            if to == from
                || !self.is_present(to, segment)
                || !self.answers_to(to, target)
                || !self.segment(segment).reaches(from, to)
                || self.percent(loss)
            {
                continue;
            }
            let entry = Entry::Known { at: self.now };
            self.arp.entries.insert((to, segment, source), entry);
            is_answered |= self.segment(segment).reaches(to, from) && !self.percent(loss);
        }
        is_answered
    }

    /// Sends a request of a daemon.
    pub(super) fn solicit(&mut self, from: Station, segment: u8, source: IpAddr, target: IpAddr) {
        self.note(|| format!("host {from} asks for {target} from {source} on {segment}"));
        let path = (from, segment, target);
        if self.asks(path, source) {
            // An answer completes an entry that waits for one, and makes none.
            let known = Entry::Known { at: self.now };
            if let Some(entry) = self.arp.entries.get_mut(&path) {
                *entry = known;
            }
        }
    }

    /// Removes the entries of a host on interfaces that are down or gone.
    pub(super) fn flush_neighbours(&mut self, of: Station) {
        let host = &self.hosts[usize::from(of)];
        let is_kept = |on| host.powered && host.kernel.carries(on);
        let entries = &mut self.arp.entries;
        entries.retain(|(from, on, _), _| *from != of || is_kept(*on));
    }

    /// Whether a destination is on the network of a station.
    fn is_on_link(&self, from: Station, segment: u8, to: IpAddr) -> bool {
        let mut own: Vec<InterfaceAddress> = Vec::new();
        match self.hosts.get(usize::from(from)) {
            Some(host) => own.extend(addresses_on(host, segment).map(|(held, _)| held)),
            // Only the network matters.
            None => own.push(own_ipv4(segment, 1)),
        }
        vrrp_proto::is_link_local(to) || own.iter().any(|own| own.is_network_of(to))
    }

    /// Whether a station is connected and its kernel runs.
    fn is_present(&self, of: Station, segment: u8) -> bool {
        match self.hosts.get(usize::from(of)) {
            Some(host) => host.powered && !host.suspended && host.kernel.carries(segment),
            None => true,
        }
    }

    fn remember_dropped(&mut self, packet: &Datagram) {
        let Some(vrid) = packet.payload.get(1).copied() else {
            return;
        };
        for to in 0..self.stations() {
            let key = (to, (packet.segment, vrid), packet.family());
            if self.answers_to(to, packet.destination)
                && self.is_present(to, packet.segment)
                && self.segment(packet.segment).reaches(packet.from, to)
            {
                let sent = (packet.from, packet.source, self.now);
                self.arp.dropped.insert(key, sent);
            }
        }
    }

    /// Whether packets of a virtual router from one station to another were dropped for lack of a neighbour
    /// entry. The final advertisement of a master that yields may be one of them, and then the other one
    /// does not know that it has to announce. (Linux keeps the packet until the neighbour answers.)
    pub(super) fn was_dropped_between(&self, from: Station, to: Station, key: (u8, u8)) -> bool {
        let mut dropped = Family::ALL
            .into_iter()
            .filter_map(|family| self.arp.dropped.get(&(to, key, family)));
        dropped.any(|(sender, ..)| *sender == from)
    }

    /// Checks the take-over of a router that has heard no master since it began to listen, or since it woke up
    /// late: a living master's packets were not dropped meanwhile for lack of an entry, if the network is
    /// without trouble and each would accept the other.
    pub(super) fn check_neighbour_entry(
        &self,
        id: Station,
        t: &Transition,
    ) -> Result<(), Violation> {
        let mut routers = self.witnesses[usize::from(id)].routers();
        let router = routers.find(|(name, _)| **name == *t.router);
        // The oracle has not followed this transition yet. Its times are those of the host's clock.
        let waited_since = router.and_then(|(_, router)| router.waits_since());
        let Cause::Silence { lasted, .. } = t.cause.root() else {
            return Ok(());
        };
        let has_heard = waited_since.is_none_or(|since| t.at - *lasted > since);
        let since = waited_since.map(|since| self.now - t.at.since(since));
        let Some(key) = self.key_of(id, &t.router).filter(|_| !has_heard) else {
            return Ok(());
        };
        let config = self.hosts[usize::from(id)].config.routers.get(&*t.router);
        let spoken = config.into_iter().flat_map(RouterConfig::spoken);
        let dropped = spoken.filter_map(|family| self.arp.dropped.get(&(id, key, family)));
        let Some((from, source, at)) = dropped.copied().max_by_key(|(_, _, at)| *at) else {
            return Ok(());
        };
        // It asks only for peers on a network of the host, and without a link it asks for none.
        let own = addresses_on(&self.hosts[usize::from(id)], key.0);
        let mut own = own.filter(|(_, ours)| !ours);
        let is_neighbour = vrrp_proto::is_link_local(source)
            || own.any(|(address, _)| address.is_network_of(source));
        if !is_neighbour || self.is_unlinked(id, &t.router) {
            return Ok(());
        }
        let segment = self.segment(key.0);
        let is_whole = segment.is_reliable() && segment.reaches(from, id);
        let is_untroubled = since.is_some_and(|since| segment.changed_at < since && since < at);
        if is_whole && is_untroubled && self.is_master(from, key) && self.is_mutual(key) {
            return Err(Invariant::UnicastSilence.broken(format!(
                "host {id}: {} becomes master beside {from}, which has no neighbour entry for it: {}",
                t.router, t.cause
            )));
        }
        Ok(())
    }

    /// Whether a router runs without a link on its interface, or without the addresses to send from that the
    /// host lost with it.
    fn is_unlinked(&self, id: Station, router: &str) -> bool {
        let process = self.hosts[usize::from(id)].process.as_ref();
        process.is_some_and(|process| {
            let status = process.node.engine().snapshot(self.now);
            let mut routers = status.instances.iter();
            routers.any(|status| *status.name == *router && status.without_link.is_some())
        })
    }

    fn is_master(&self, of: Station, (segment, vrid): (u8, u8)) -> bool {
        let index = usize::from(of);
        let is_it = |config: &RouterConfig| (config.segment, config.vrid) == (segment, vrid);
        match self.hosts.get(index) {
            Some(host) => {
                let mut routers = self.witnesses[index].routers();
                let is_master = routers
                    .any(|(_, router)| is_it(&router.config) && router.state() == State::Master);
                is_master && host.runs() && host.kernel.carries(segment)
            }
            None => {
                let router = &self.foreign[index - self.hosts.len()];
                is_it(router.config()) && router.state == foreign::State::Active
            }
        }
    }

    /// Checks that a router that is master or backup has a socket in each of its families, and that the host
    /// listens for claims of the addresses of a master.
    pub(super) fn check_sockets(&self, id: Station) -> Result<(), Violation> {
        let host = &self.hosts[usize::from(id)];
        let Some(process) = &host.process else {
            return Ok(());
        };
        let interrupted = host.interrupted();
        for (name, router) in self.witnesses[usize::from(id)].routers() {
            let serves = matches!(router.state(), State::Backup | State::Master);
            let Some(index) = host.kernel.on(router.config.segment) else {
                continue;
            };
            if !serves || interrupted.contains(name) || host.kernel.has_news() {
                continue;
            }
            let mut families = router.config.spoken();
            if let Some(family) =
                families.find(|family| !process.own.sockets.contains_key(&(index, *family)))
            {
                return Err(Invariant::UnicastSilence.broken(format!(
                    "host {id}: {name} is {} without a socket for {family}",
                    router.state()
                )));
            }
            let is_heard = |address: InterfaceAddress| {
                let defended = &process.own.defended;
                defended.contains(&(index, address.address))
            };
            if router.state() == State::Master && !router.config.virtual_addresses().all(is_heard) {
                return Err(Invariant::AddressConflict.broken(format!(
                    "host {id}: {name} is master without listening for claims"
                )));
            }
        }
        Ok(())
    }
}

/// Addresses of a host on its interface in a network, each with whether it has the daemon's mark.
fn addresses_on(host: &Host, segment: u8) -> impl Iterator<Item = (InterfaceAddress, bool)> + '_ {
    let index = host.kernel.on(segment);
    let held = host.kernel.addresses();
    held.filter(move |(on, ..)| Some(*on) == index)
        .map(|(_, address, ours)| (address, ours))
}
