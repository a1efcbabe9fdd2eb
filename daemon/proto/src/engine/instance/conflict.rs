//! Address conflicts: another host claims a virtual address of a master by ARP or neighbour discovery (RFC
//! 5227, RFC 4861). The neighbours that believe it send to that host.
//!
//! A claim counts while this router is the only master. The first one, and then one in ten seconds, is answered
//! with an announcement: the neighbours send to this host again. That is the defence of RFC 5227 section 2.4 (b)
//! by a host that does not give the address up. Claims of another router of the same virtual router
//! are no conflicts:
//!
//! - The virtual MAC address is that of an interface of this host, if it is in use here.
//! - While another master advertises beside this one, it may announce the addresses: a second master or a
//!   contest, which the engine reports as such.
//! - A master that was displaced may answer for a moment.
//! - A new master advertises before it announces the addresses. The caller hands in claims a moment after
//!   their arrival, so that this router has yielded before.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use super::Instance;
use crate::engine::Engine;
use crate::events::{AddressConflict, Output, Report};
use crate::limiter::{Matter, Subject};
use crate::snapshot::ConflictStatus;
use crate::time::Instant;
use crate::types::{InterfaceIndex, MacAddress, State};

/// Time for which a claim stays in the status.
const SHOWN: Duration = Duration::from_secs(600);

/// Last claim of an address of a router.
#[derive(Debug)]
pub(in crate::engine) struct Conflict {
    at: Instant,
    interface: Arc<str>,
    address: IpAddr,
    mac: MacAddress,
    /// Number of packets that were not reported.
    unreported: u64,
}

impl Engine {
    /// Returns the virtual addresses of masters, with the interfaces at which claims of other hosts arrive:
    /// that of the address, or the parent of a macvlan.
    pub fn defended(&self) -> impl Iterator<Item = (InterfaceIndex, IpAddr)> + '_ {
        self.instances.iter().flat_map(Instance::defended)
    }

    pub(in crate::engine) fn handle_conflict(&mut self, now: Instant, conflict: &AddressConflict) {
        let &AddressConflict {
            interface,
            address,
            mac,
            packets,
        } = conflict;
        let Some(name) = self.interfaces.name(interface).cloned() else {
            return;
        };
        let users = self.users.get(&name).into_iter();
        let mut users = users.flat_map(|users| &users.routers).copied();
        let is_defended = |id: &usize| {
            let mut defended = self.instances[*id].defended();
            defended.any(|known| known == (interface, address))
        };
        let Some(id) = users.find(is_defended) else {
            return;
        };
        self.wake(now, id);
        let instance = &mut self.instances[id];
        if !instance.router.is_only_master(now) || self.interfaces.has_mac(mac) {
            return;
        }
        instance.counters.address_conflicts += packets;
        let unreported = instance.conflict.as_ref().map_or(0, |it| it.unreported);
        let packets = unreported + packets;
        let (router, vrid) = (Arc::clone(&instance.name), instance.params.vrid.get());
        let subject = Subject {
            interface,
            vrid,
            source: address,
        };
        let reports = self.may_report_on(now, Matter::AddressConflict, subject);
        self.instances[id].conflict = Some(Conflict {
            at: now,
            interface: Arc::clone(&name),
            address,
            mac,
            unreported: if reports { 0 } else { packets },
        });
        if reports {
            self.outputs
                .push_back(Output::Report(Report::AddressConflict {
                    router,
                    interface: name,
                    address,
                    mac,
                    packets,
                }));
        }
        let reaction = self.instances[id].router.defend(now);
        self.react(now, id, reaction);
    }
}

impl Instance {
    fn defended(&self) -> impl Iterator<Item = (InterfaceIndex, IpAddr)> + '_ {
        let is_master = self.router.state() == State::Master;
        let attachments = self.attachments.iter().filter(move |_| is_master);
        attachments.flat_map(|attachment| {
            let parent = self.endpoint.map(|endpoint| endpoint.index);
            let index = match attachment.virtual_mac {
                Some(_) => parent,
                None => attachment.index,
            };
            let addresses = attachment.addresses.iter();
            addresses.filter_map(move |address| Some((index?, address.address)))
        })
    }

    pub(in crate::engine) fn conflict_status(&self, now: Instant) -> Option<ConflictStatus> {
        let conflict = self.conflict.as_ref()?;
        let age = now.since(conflict.at);
        (age < SHOWN).then(|| ConflictStatus {
            address: conflict.address,
            mac: conflict.mac.to_string(),
            interface: Arc::clone(&conflict.interface),
            age: age.as_secs_f64(),
        })
    }
}
