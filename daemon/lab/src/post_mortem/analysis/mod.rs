//! Analysis of a capture: the virtual routers, their routers and masters, and what was wrong.
//!
//! A router that advertises believes to be master, and a capture shows nothing else of its state. So a *reign*
//! is a series of advertisements of one router: `masters` finds the reigns and the reason of each change,
//! `findings` compares the routers with each other and with the RFC. All of it is pure.

mod findings;
mod masters;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{AdvertInterval, Family, MacAddress, Version, Vrid};

pub(crate) use self::findings::{Finding, Masters, What};
use super::observation::{Advert, Auth, Network, Observations, Sighting};
use super::stamp::Stamp;

/// Limit of the routers of one virtual router, so that a flood with invented senders stays readable.
const MOST_ROUTERS: usize = 64;
/// Limit of the virtual routers with one VRID in one network.
const MOST_CLUSTERS: usize = 16;
/// Limit of the reigns of one virtual router.
const MOST_REIGNS: usize = 4_000;

/// Result of the analysis.
#[derive(Clone, Debug)]
pub(crate) struct Analysis {
    /// Times of the first and the last packet.
    pub(crate) begin: Stamp,
    pub(crate) end: Stamp,
    pub(crate) virtual_routers: Vec<VirtualRouter>,
    /// Findings that belong to no virtual router.
    pub(crate) others: Vec<Finding>,
}

impl Analysis {
    /// Whether something was wrong.
    pub(crate) fn has_problem(&self) -> bool {
        let of_routers = self
            .virtual_routers
            .iter()
            .flat_map(|router| &router.findings);
        of_routers
            .chain(&self.others)
            .any(|finding| finding.what.is_problem())
    }
}

/// Identity of a virtual router. Two with the same identity have different addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) vrid: Vrid,
    pub(crate) family: Family,
    pub(crate) network: Network,
}

impl Key {
    fn of(advert: &Advert) -> Self {
        Self {
            vrid: advert.vrid,
            family: advert.family(),
            network: advert.network.clone(),
        }
    }
}

/// A virtual router with all that the capture shows of it.
#[derive(Clone, Debug)]
pub(crate) struct VirtualRouter {
    pub(crate) key: Key,
    /// Virtual addresses of all routers.
    pub(crate) addresses: BTreeSet<IpAddr>,
    /// Routers in the order in which they were first heard.
    pub(crate) routers: Vec<Router>,
    /// Reigns in the order of their beginning.
    pub(crate) reigns: Vec<Reign>,
    /// Findings in the order of time; those of the whole capture come first.
    pub(crate) findings: Vec<Finding>,
}

/// A router that advertised.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    pub(crate) address: IpAddr,
    pub(crate) macs: BTreeSet<MacAddress>,
    /// Priorities other than 0.
    pub(crate) priorities: BTreeSet<u8>,
    pub(crate) versions: BTreeSet<Version>,
    pub(crate) intervals: BTreeSet<AdvertInterval>,
    pub(crate) auths: BTreeSet<Auth>,
    /// Lists of virtual addresses, each sorted.
    pub(crate) lists: BTreeSet<Vec<IpAddr>>,
    /// Whether it sends to single peers and not to the group.
    pub(crate) is_unicast: bool,
    pub(crate) adverts: u64,
    /// Largest time between two advertisements of one reign.
    pub(crate) gap: Option<Gap>,
}

/// Time between two advertisements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: Stamp,
    pub(crate) length: Duration,
    /// Interval of the advertisement before.
    pub(crate) interval: Duration,
}

/// Time in which a router advertised without interruption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) router: IpAddr,
    /// Priority at the beginning.
    pub(crate) priority: u8,
    pub(crate) version: Version,
    pub(crate) interval: AdvertInterval,
    /// Times of the advertisements, without the final one of priority 0.
    pub(crate) adverts: Vec<Stamp>,
    pub(crate) reason: Reason,
    pub(crate) ended: Ended,
    pub(crate) gap: Option<Gap>,
}

impl Reign {
    pub(crate) fn first(&self) -> Stamp {
        self.adverts.first().copied().unwrap_or_default()
    }

    pub(crate) fn last(&self) -> Stamp {
        self.adverts.last().copied().unwrap_or_default()
    }

    /// Time of the final advertisement of either kind.
    pub(crate) fn to(&self) -> Stamp {
        match self.ended {
            Ended::Resigned(at) => at,
            Ended::Superseded(_) | Ended::Silent | Ended::Continues => self.last(),
        }
    }

    /// Time without an advertisement after which a backup of any priority has become master.
    pub(crate) fn longest_wait(&self) -> Duration {
        longest_wait(self.version, self.interval)
    }
}

/// Reason why a router became master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The router was master when the capture began.
    Present,
    /// No other router was heard before.
    First,
    /// The former master sent priority 0; the new one followed after `waited`.
    Resigned {
        by: IpAddr,
        waited: Duration,
        skew: Duration,
    },
    /// The former master was silent for the master-down interval of the new one.
    Silence {
        of: IpAddr,
        silence: Duration,
        interval: Duration,
        skew: Duration,
    },
    /// The former master was silent, but not for the whole master-down interval.
    Early {
        of: IpAddr,
        silence: Duration,
        down: Duration,
    },
    /// The priority of the new master is higher; 255 is that of the owner of the addresses.
    Preempted { of: IpAddr, than: u8 },
    /// The priorities are equal, and the address of the new master is greater.
    GreaterAddress { of: IpAddr },
    /// The former master was advertising and has precedence, or went on: the new master did not hear the former one.
    Unheard { of: IpAddr, priority: u8 },
    /// The same router was master before, and no other in between.
    Returned { silence: Duration, resigned: bool },
}

/// End of a reign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The master sent priority 0.
    Resigned(Stamp),
    /// The master stopped because another router advertised.
    Superseded(IpAddr),
    /// The master was not heard any more.
    Silent,
    /// The router was master when the capture ended.
    Continues,
}

/// Analyses the observations of a capture; with `vrid` only the virtual routers of this number.
pub(crate) fn analyse(seen: &Observations, vrid: Option<Vrid>) -> Analysis {
    let wanted = |number: Option<Vrid>| vrid.is_none() || number == vrid;
    let mut keys: BTreeMap<Key, Vec<&Sighting<Advert>>> = BTreeMap::new();
    for sighting in &seen.adverts {
        if wanted(Some(sighting.what.vrid)) {
            keys.entry(Key::of(&sighting.what))
                .or_default()
                .push(sighting);
        }
    }
    let mut virtual_routers = Vec::new();
    for (key, sightings) in keys {
        let (clusters, left_out) = clusters(&sightings);
        let mut parts: Vec<Vec<&Sighting<Advert>>> = vec![Vec::new(); clusters.len()];
        for sighting in sightings {
            let is_its = |cluster: &BTreeSet<IpAddr>| cluster.contains(&sighting.what.source);
            if let Some(index) = clusters.iter().position(is_its) {
                parts[index].push(sighting);
            }
        }
        let mut together: Vec<VirtualRouter> = parts
            .iter()
            .map(|part| virtual_router(&key, part, seen))
            .collect();
        findings::of_separate_clusters(&mut together, left_out);
        virtual_routers.extend(together);
    }
    let mut others = Vec::new();
    findings::of_unreadable(seen, wanted, &mut virtual_routers, &mut others);
    findings::of_the_capture(seen, &virtual_routers, &mut others);
    for router in &mut virtual_routers {
        router.findings.sort_by_key(|finding| finding.at);
    }
    Analysis {
        begin: seen.begin,
        end: seen.end,
        virtual_routers,
        others,
    }
}

/// Senders that have addresses in common, directly or through others. A sender without addresses belongs to the
/// first. Also returns the number of senders beyond the limit.
fn clusters(sightings: &[&Sighting<Advert>]) -> (Vec<BTreeSet<IpAddr>>, usize) {
    let mut left_out = BTreeSet::new();
    let mut clusters: Vec<(BTreeSet<IpAddr>, BTreeSet<IpAddr>)> = Vec::new();
    let mut known = BTreeSet::new();
    for sighting in sightings {
        let advert = &sighting.what;
        // Equal contents share their memory.
        if !known.insert(std::sync::Arc::as_ptr(advert)) {
            continue;
        }
        let mut senders = BTreeSet::from([advert.source]);
        let mut addresses: BTreeSet<IpAddr> = advert.addresses.iter().copied().collect();
        let (joined, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut clusters)
                .into_iter()
                .partition(|(others, theirs)| {
                    others.contains(&advert.source)
                        || addresses.is_empty()
                        || !theirs.is_disjoint(&addresses)
                });
        clusters = rest;
        if joined.is_empty() && clusters.len() >= MOST_CLUSTERS {
            left_out.insert(advert.source);
            continue;
        }
        for (others, theirs) in joined {
            senders.extend(others);
            addresses.extend(theirs);
        }
        clusters.push((senders, addresses));
    }
    let clusters = clusters.into_iter().map(|(senders, _)| senders);
    (clusters.collect(), left_out.len())
}

fn virtual_router(
    key: &Key,
    sightings: &[&Sighting<Advert>],
    seen: &Observations,
) -> VirtualRouter {
    let mut routers: Vec<Router> = Vec::new();
    let mut left_out = BTreeSet::new();
    let mut kept = Vec::new();
    for sighting in sightings {
        let advert = &sighting.what;
        let known = routers
            .iter()
            .position(|router| router.address == advert.source);
        let index = match known {
            Some(index) => index,
            None if routers.len() < MOST_ROUTERS => {
                routers.push(Router::new(advert.source));
                routers.len() - 1
            }
            None => {
                left_out.insert(advert.source);
                continue;
            }
        };
        routers[index].meet(advert);
        kept.push((*sighting, index));
    }
    let (reigns, beyond) = masters::reigns(&kept, &routers, seen.begin, seen.end);
    for router in &mut routers {
        let own = reigns.iter().filter(|reign| reign.router == router.address);
        router.gap = own
            .filter_map(|reign| reign.gap)
            .max_by_key(|gap| gap.length);
    }
    let lists = routers.iter().flat_map(|router| &router.lists);
    let mut whole = VirtualRouter {
        key: key.clone(),
        addresses: lists.flatten().copied().collect(),
        routers,
        reigns,
        findings: Vec::new(),
    };
    findings::of_virtual_router(&mut whole, &kept, left_out.len(), seen);
    whole.findings.extend(beyond.map(|after| Finding {
        at: Some(after),
        what: What::ManyReigns { after },
    }));
    whole
}

impl Router {
    const fn new(address: IpAddr) -> Self {
        Self {
            address,
            macs: BTreeSet::new(),
            priorities: BTreeSet::new(),
            versions: BTreeSet::new(),
            intervals: BTreeSet::new(),
            auths: BTreeSet::new(),
            lists: BTreeSet::new(),
            is_unicast: false,
            adverts: 0,
            gap: None,
        }
    }

    fn meet(&mut self, advert: &Advert) {
        self.adverts += 1;
        self.macs.extend(advert.mac);
        if advert.priority != 0 {
            self.priorities.insert(advert.priority);
        }
        self.versions.insert(advert.version);
        self.intervals.extend(advert.interval);
        self.auths.insert(advert.auth);
        self.is_unicast = !advert.destination.is_multicast();
        if !self.lists.contains(&advert.addresses) {
            let mut list = advert.addresses.clone();
            list.sort();
            self.lists.insert(list);
        }
    }
}

/// Master-down interval of the lowest priority.
fn longest_wait(version: Version, interval: AdvertInterval) -> Duration {
    interval.master_down_interval(version, vrrp_proto::Priority::MIN)
}
