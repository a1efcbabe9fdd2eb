//! Destinations of an instance: the multicast group, or the addresses of its unicast peers, from which
//! it also accepts advertisements.
//!
//! A name service can be wrong, and at the boot of a host it is often not reachable yet. The daemon
//! neither takes over nor falls silent because of that. These further addresses are peers too:
//!
//! | further peer | from | until |
//! | --- | --- | --- |
//! | former address of a name | an answer without it | it has not advertised for the master-down interval and [`FORMER`] |
//! | sender | its first advertisement while the name of a peer is not resolved | the same, or the names of all peers are resolved |
//!
//! A former address stays a peer for a while even if it does not advertise: the backups of this router
//! never advertise, and one that receives nothing takes over. An instance sends to a sender as well,
//! because a router that it cannot tell about itself would remain master beside it.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checkpoint::FurtherPeerCheckpoint;
use crate::params::{Peer, RouterParams, Unicast};
use crate::snapshot::{UnicastPeerStatus, UnicastStatus};
use crate::time::Instant;
use crate::types::Family;
use crate::wire::group;

/// Resolved addresses of the peers that are configured by name; none while a name is not resolved.
pub(super) type Names = BTreeMap<Arc<str>, Arc<[IpAddr]>>;

/// Time for which a former address stays a peer beyond the master-down interval. A name is resolved
/// once a minute: a few wrong or incomplete answers in a row remove no peer.
pub(super) const FORMER: Duration = Duration::from_secs(600);

/// Maximum number of further peers. The packets of an attacker and the answers of a name server do not
/// make the instance send to any number of addresses.
const MOST: usize = 8;

/// Destinations of an instance in each family.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    /// The multicast group, or the peers of the configuration and of the present answers.
    configured: [Vec<IpAddr>; 2],
    further: Vec<Further>,
    /// All of them.
    addresses: [Vec<IpAddr>; 2],
    /// First name of a peer without an address.
    unresolved: Option<Arc<str>>,
}

/// A peer that neither the configuration nor the present answers of the name service contain.
#[derive(Debug)]
struct Further {
    address: IpAddr,
    /// The name that had the address; none for a sender.
    name: Option<Arc<str>>,
    /// End of the silence after which it is no peer any more.
    until: Instant,
}

impl Destinations {
    /// Determines the destinations of an instance that starts.
    pub(super) fn new(params: &RouterParams, names: &Names) -> Self {
        let mut destinations = Self::default();
        let _ = destinations.set(Instant::ZERO, params, names);
        destinations
    }

    /// Destinations in a family.
    pub(super) fn of(&self, family: Family) -> &[IpAddr] {
        &self.addresses[family as usize]
    }

    /// A name of a peer that is not resolved. An instance with such a peer accepts every sender.
    pub(super) fn unresolved(&self) -> Option<&Arc<str>> {
        self.unresolved.as_ref()
    }

    /// Whether an advertisement that arrived at `at` is accepted from this source.
    pub(super) fn admits(&self, source: IpAddr, at: Instant) -> bool {
        let mut further = self.further.iter();
        self.unresolved.is_some()
            || self.is_configured(source)
            || further.any(|further| further.address == source && at < further.until)
    }

    /// Applies changed parameters or newly resolved names. Returns whether the destinations changed.
    pub(super) fn set(&mut self, now: Instant, params: &RouterParams, names: &Names) -> bool {
        self.configured = Family::ALL.map(|family| match &params.unicast {
            Some(unicast) => addresses(unicast, names, family),
            // RFC 9568 7.2 MUST: send to the group 224.0.0.18
            // RFC 9568 7.2 MUST: send to the group ff02::12
            None => vec![group(family)],
        });
        let peer_names = || params.unicast.iter().flat_map(Unicast::names);
        let is_unresolved =
            |name: &&Arc<str>| names.get(*name).is_none_or(|known| known.is_empty());
        self.unresolved = peer_names().find(is_unresolved).cloned();
        let mut further = core::mem::take(&mut self.further);
        further.retain(|further| {
            let still_counts = match &further.name {
                Some(name) => peer_names().any(|configured| configured == name),
                None => self.unresolved.is_some(),
            };
            still_counts && !self.is_configured(further.address)
        });
        self.further = further;
        self.update(now)
    }

    /// The further peers, for a later process.
    pub(super) fn save(&self) -> Vec<FurtherPeerCheckpoint> {
        let further = self.further.iter().map(|further| FurtherPeerCheckpoint {
            address: further.address,
            name: further.name.clone(),
            until: further.until,
        });
        further.collect()
    }

    /// Continues with what [`save`](Self::save) returned, as far as the configuration still has the names.
    pub(super) fn restore(
        &mut self,
        now: Instant,
        saved: &[FurtherPeerCheckpoint],
        params: &RouterParams,
        names: &Names,
    ) {
        let further = saved.iter().take(MOST).map(|saved| Further {
            address: saved.address,
            name: saved.name.clone(),
            until: saved.until,
        });
        self.further = further.collect();
        let _ = self.set(now, params, names);
    }

    /// Keeps an address as a peer that the present answer for `name` no longer contains. To be called
    /// before [`set`](Self::set).
    pub(super) fn retire(&mut self, name: &Arc<str>, address: IpAddr, until: Instant) {
        self.further.retain(|further| further.address != address);
        if self.further.len() == MOST {
            // The address that has been silent for longest makes room.
            let ends = self.further.iter().enumerate();
            if let Some((first, _)) = ends.min_by_key(|(_, further)| further.until) {
                self.further.remove(first);
            }
        }
        let name = Some(Arc::clone(name));
        self.further.push(Further {
            address,
            name,
            until,
        });
    }

    /// Records the sender of an admitted advertisement that arrived at `at`: it stays a peer, or becomes
    /// one, until it has been silent for `silence`. Returns whether the destinations changed.
    pub(super) fn record(&mut self, source: IpAddr, at: Instant, silence: Duration) -> bool {
        if self.is_configured(source) {
            return false;
        }
        let until = at + silence;
        let mut further = self.further.iter_mut();
        if let Some(known) = further.find(|known| known.address == source) {
            known.until = until.max(known.until);
            return false;
        }
        let further = self.further.iter();
        if self.unresolved.is_none() || further.filter(|f| at < f.until).count() >= MOST {
            return false;
        }
        let (address, name) = (source, None);
        self.further.push(Further {
            address,
            name,
            until,
        });
        self.update(at)
    }

    /// Removes the further peers that have been silent for too long. Returns whether there were any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        self.further.iter().any(|further| further.until <= now) && self.update(now)
    }

    /// Determines the addresses. Returns whether they changed.
    fn update(&mut self, now: Instant) -> bool {
        self.further.retain(|further| now < further.until);
        let mut all = self.configured.clone();
        for Further { address, .. } in &self.further {
            all[Family::of(*address) as usize].push(*address);
        }
        let changed = self.addresses != all;
        self.addresses = all;
        changed
    }

    /// Returns the peers as status shows them.
    pub(super) fn status(&self, now: Instant, unicast: &Unicast, names: &Names) -> UnicastStatus {
        let further = |name: Option<&Arc<str>>| {
            let further = self.further.iter();
            let further = further.filter(|f| f.name.as_ref() == name && now < f.until);
            further.map(|further| further.address).collect()
        };
        let peers = unicast.peers.iter().map(|peer| UnicastPeerStatus {
            peer: peer.to_string(),
            addresses: known(peer, names).to_vec(),
            former: match peer {
                Peer::Name(name) => further(Some(name)),
                Peer::Address(_) => Vec::new(),
            },
        });
        UnicastStatus {
            peers: peers.collect(),
            senders: further(None),
            ttl: unicast.ttl,
            min_ttl: unicast.min_ttl,
        }
    }

    fn is_configured(&self, address: IpAddr) -> bool {
        self.configured[Family::of(address) as usize].contains(&address)
    }
}

/// Returns the configured addresses in a family, with the names resolved by `names`.
fn addresses(unicast: &Unicast, names: &Names, family: Family) -> Vec<IpAddr> {
    let all = unicast.peers.iter().flat_map(|peer| known(peer, names));
    let mut addresses = Vec::new();
    for address in all.filter(|address| Family::of(**address) == family) {
        // Several names may resolve to the same address.
        if !addresses.contains(address) {
            addresses.push(*address);
        }
    }
    addresses
}

/// Returns the known addresses of a peer.
fn known<'p>(peer: &'p Peer, names: &'p Names) -> &'p [IpAddr] {
    match peer {
        Peer::Address(address) => core::slice::from_ref(address),
        Peer::Name(name) => names.get(name).map_or(&[], |addresses| addresses),
    }
}
