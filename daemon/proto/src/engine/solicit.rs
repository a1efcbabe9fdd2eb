//! Solicitations: a backup that begins to listen asks for its unicast peers.
//!
//! A master sends to its unicast peers through its neighbour entries. The kernel makes an entry when
//! there is a packet to send, asks for the neighbour once a second, and drops the packets meanwhile
//! (RFC 1122 section 2.3.2.1 and RFC 4861 section 7.2.2 limit the rate). So a host that was not there,
//! or has another MAC address now, receives nothing for up to a second after it is there: longer than
//! a backup with a short interval waits. A request from this host fills the entry at once, because a
//! host records the sender of a request for one of its own addresses (RFC 826, RFC 4861 section
//! 7.2.3).
//!
//! 1. A backup asks when it begins to listen: at its start, after a fault, after an interruption or a
//!    late wake-up, and when its own endpoint or the addresses of its peers change; and for the peers of a
//!    network when the interface gets an address in it.
//! 2. It asks for each peer on the network of its interface, once. It cannot ask for a peer behind an IP
//!    router, which delivers through an entry of that router.
//! 3. Instances that begin to listen because of the same input share one request. No packet of another
//!    host causes a request.
//! 4. A peer with an unknown address cannot be asked for: see [`UNRESOLVED`].

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use super::{Engine, RouterId};
use crate::events::{Output, Solicitation};
use crate::reasons::Cause;
use crate::time::Instant;
use crate::types::{Family, InterfaceAddress, State};

/// Time for which an instance that begins to listen does not take over while the name of a peer is not
/// resolved. A master among its peers can reach it only when the master's kernel asks by itself, and
/// two hosts that boot together would both be masters until they know each other's address. The time is
/// limited because the name service may be reachable only by the virtual address, and a name may be
/// deleted together with its host. The first six lookups fall into it.
pub(super) const UNRESOLVED: Duration = Duration::from_secs(10);

impl Engine {
    /// Whether a router begins to listen by its transition from a state. A master that yields has heard
    /// its successor.
    pub(super) fn begins_to_listen(&self, id: RouterId, from: State, cause: &Cause) -> bool {
        let is_backup = self.instances[id].router.state() == State::Backup;
        is_backup
            && (matches!(from, State::Init | State::Fault)
                || matches!(cause.root(), Cause::Overslept { .. }))
    }

    /// Begins to listen as a backup.
    pub(super) fn begin_to_listen(&mut self, now: Instant, id: RouterId) {
        let instance = &mut self.instances[id];
        let is_resolved = instance.destinations.unresolved().is_none();
        // A packet can wake a master that overslept: the backup has heard it.
        let has_heard = instance.router.heard().is_some();
        let counts_at = match is_resolved || has_heard {
            true => now,
            false => now + UNRESOLVED,
        };
        instance.router.count_silence_from(counts_at);
        self.solicit(now, id);
    }

    /// Asks for the peers of a backup.
    pub(super) fn solicit(&mut self, now: Instant, id: RouterId) {
        self.solicit_those(now, id, |_| true);
    }

    /// Asks for the peers in the network of an address that an interface got.
    pub(super) fn solicit_network(
        &mut self,
        now: Instant,
        interface: &Arc<str>,
        network: InterfaceAddress,
    ) {
        let users = self.users.get(interface);
        for id in users.map_or_else(Vec::new, |users| users.routers.clone()) {
            self.solicit_those(now, id, |peer| network.is_network_of(peer));
        }
    }

    fn solicit_those(&mut self, now: Instant, id: RouterId, is_asked: impl Fn(IpAddr) -> bool) {
        self.instances[id].expire_peers(now);
        let instance = &self.instances[id];
        // An interrupted backup asks when the interruption ends.
        let is_listening = instance.router.state() == State::Backup && instance.grace.is_none();
        let (Some(endpoint), Some(_), true) =
            (instance.endpoint, &instance.params.unicast, is_listening)
        else {
            return;
        };
        for family in Family::ALL {
            let own = endpoint.source(family);
            let Some(source) = own.filter(|source| !self.is_virtual_anywhere(*source)) else {
                continue;
            };
            for target in self.instances[id].receivers(family) {
                if *target == source
                    || !is_asked(*target)
                    || !self.interfaces.is_on_link(endpoint.index, *target)
                {
                    continue;
                }
                let solicitation = Solicitation {
                    interface: endpoint.index,
                    mac: endpoint.mac,
                    source,
                    target: *target,
                };
                if self.solicited.insert(solicitation) {
                    self.outputs.push_back(Output::Solicit(solicitation));
                }
            }
        }
    }

    /// Whether an address is a virtual one of an instance that is not the owner of its addresses.
    fn is_virtual_anywhere(&self, address: IpAddr) -> bool {
        let mut interfaces = self.users.keys();
        interfaces.any(|interface| self.is_virtual(interface, address))
    }
}
