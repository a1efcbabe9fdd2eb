//! Findings: what was wrong with the routers of a virtual router, and what is worth knowing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::wire::{Checksum, DropCause, HOP_LIMIT};
use vrrp_proto::{AdvertInterval, Family, MacAddress, Version, Vrid};

use super::{Ended, Key, Reason, Reign, Router, VirtualRouter};
use crate::post_mortem::observation::{Advert, Auth, Claimed, Observations, Sighting, Unreadable};
use crate::post_mortem::stamp::Stamp;

/// Time around a take-over in which the new master has to announce its addresses.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(1);

/// A fact that explains the behaviour of the routers, mostly a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Time of the event, or of the first of several.
    pub(crate) at: Option<Stamp>,
    pub(crate) what: What,
}

/// Kind of a finding, with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Two routers advertised at the same time.
    TwoMasters {
        routers: [IpAddr; 2],
        from: Stamp,
        to: Stamp,
        /// The router that stepped down, unless the capture ended first.
        stepped_down: Option<IpAddr>,
    },
    /// The master was silent, and another took over.
    MasterSilent {
        router: IpAddr,
        successor: IpAddr,
        silence: Duration,
    },
    /// No router advertised for longer than any backup waits.
    NoMaster {
        from: Stamp,
        to: Stamp,
        until_the_end: bool,
    },
    /// The largest gap of a master is two intervals or more.
    Late {
        router: IpAddr,
        gap: Duration,
        interval: Duration,
    },
    HopLimit {
        router: IpAddr,
        hop_limit: u8,
        count: u64,
        is_unicast: bool,
    },
    WrongChecksum {
        router: IpAddr,
        version: Version,
        checksum: Checksum,
        count: u64,
    },
    ZeroInterval {
        router: IpAddr,
        count: u64,
    },
    Unreadable {
        source: IpAddr,
        cause: DropCause,
        count: u64,
    },
    /// CARP with the number of a virtual router, or beside VRRP.
    Carp {
        source: IpAddr,
        vhid: Option<Vrid>,
        count: u64,
        has_same_number: bool,
    },
    Intervals(Vec<(IpAddr, BTreeSet<AdvertInterval>)>),
    Versions(Vec<(IpAddr, BTreeSet<Version>)>),
    Authentications(Vec<(IpAddr, BTreeSet<Auth>)>),
    Addresses(Vec<(IpAddr, BTreeSet<Vec<IpAddr>>)>),
    EqualPriority {
        routers: [IpAddr; 2],
        priority: u8,
    },
    /// A new master did not announce these addresses.
    NotAnnounced {
        router: IpAddr,
        addresses: Vec<IpAddr>,
    },
    /// A host that was not master claimed an address.
    ForeignClaim {
        address: IpAddr,
        mac: MacAddress,
        /// Router with this MAC address.
        router: Option<IpAddr>,
        count: u64,
        last: Stamp,
    },
    /// Another virtual router has the same VRID and other addresses.
    SeparateClusters {
        others: BTreeSet<IpAddr>,
    },
    /// The advertisements come from the MAC address of the interface.
    OwnMac(Vec<(IpAddr, MacAddress)>),
    /// The capture has no ARP or neighbour advertisement, so announcements cannot be judged.
    NoClaimsCaptured(Family),
    /// More routers than the analysis takes.
    ManySenders {
        left_out: usize,
    },
    /// More changes of master than the analysis takes; those after this time are left out.
    ManyReigns {
        after: Stamp,
    },
    /// Observations beyond the limits of memory.
    LeftOut {
        count: u64,
    },
    /// VRRP packets of which the capture has only a part.
    Cut {
        count: u64,
    },
}

impl What {
    /// Whether the finding is a fault. The others explain, or limit what the analysis can tell.
    pub(crate) const fn is_problem(&self) -> bool {
        match self {
            Self::TwoMasters { .. }
            | Self::MasterSilent { .. }
            | Self::NoMaster { .. }
            | Self::Late { .. }
            | Self::WrongChecksum { .. }
            | Self::ZeroInterval { .. }
            | Self::Unreadable { .. }
            | Self::Intervals(_)
            | Self::Versions(_)
            | Self::Authentications(_)
            | Self::Addresses(_)
            | Self::EqualPriority { .. }
            | Self::NotAnnounced { .. }
            | Self::ForeignClaim { .. }
            | Self::SeparateClusters { .. }
            | Self::ManySenders { .. }
            | Self::ManyReigns { .. } => true,
            // Unicast peers may be behind IP routers.
            Self::HopLimit { is_unicast, .. } => !*is_unicast,
            Self::Carp {
                has_same_number, ..
            } => *has_same_number,
            Self::OwnMac(_)
            | Self::NoClaimsCaptured(_)
            | Self::LeftOut { .. }
            | Self::Cut { .. } => false,
        }
    }

    /// Name of the kind in JSON.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::TwoMasters { .. } => "twoMasters",
            Self::MasterSilent { .. } => "masterSilent",
            Self::NoMaster { .. } => "noMaster",
            Self::Late { .. } => "late",
            Self::HopLimit { .. } => "hopLimit",
            Self::WrongChecksum { .. } => "checksum",
            Self::ZeroInterval { .. } => "zeroInterval",
            Self::Unreadable { .. } => "unreadable",
            Self::Carp { .. } => "carp",
            Self::Intervals(_) => "intervals",
            Self::Versions(_) => "versions",
            Self::Authentications(_) => "authentications",
            Self::Addresses(_) => "addresses",
            Self::EqualPriority { .. } => "equalPriority",
            Self::NotAnnounced { .. } => "notAnnounced",
            Self::ForeignClaim { .. } => "foreignClaim",
            Self::SeparateClusters { .. } => "separateClusters",
            Self::OwnMac(_) => "ownMac",
            Self::NoClaimsCaptured(_) => "noClaimsCaptured",
            Self::ManySenders { .. } => "manySenders",
            Self::ManyReigns { .. } => "manyReigns",
            Self::LeftOut { .. } => "leftOut",
            Self::Cut { .. } => "cut",
        }
    }
}

/// Adds the findings about a virtual router by itself.
pub(super) fn of_virtual_router(
    whole: &mut VirtualRouter,
    adverts: &[(&Sighting<Advert>, usize)],
    left_out: usize,
    seen: &Observations,
) {
    let mut found = Vec::new();
    of_packets(adverts, &mut found);
    of_differences(&whole.routers, &mut found);
    of_macs(whole, &mut found);
    two_masters(whole, seen.end, &mut found);
    silences(whole, seen.end, &mut found);
    for router in &whole.routers {
        if let Some(gap) = router.gap.filter(|gap| gap.length >= gap.interval * 2) {
            found.push(Finding {
                at: Some(gap.from + gap.length),
                what: What::Late {
                    router: router.address,
                    gap: gap.length,
                    interval: gap.interval,
                },
            });
        }
    }
    announcements(whole, seen, &mut found);
    foreign_claims(whole, seen, &mut found);
    if left_out > 0 {
        found.push(always(What::ManySenders { left_out }));
    }
    whole.findings = found;
}

const fn always(what: What) -> Finding {
    Finding { at: None, what }
}

/// Faults of single packets, counted by router and value.
fn of_packets(adverts: &[(&Sighting<Advert>, usize)], found: &mut Vec<Finding>) {
    let mut hop_limits: BTreeMap<(IpAddr, u8, bool), (Stamp, u64)> = BTreeMap::new();
    let mut zero: BTreeMap<IpAddr, (Stamp, u64)> = BTreeMap::new();
    // With the first wrong checksum as the example.
    let mut checksums: BTreeMap<IpAddr, (Stamp, u64, Version, Checksum)> = BTreeMap::new();
    for (sighting, _) in adverts {
        let (at, advert) = (sighting.at, &sighting.what);
        if advert.hop_limit != HOP_LIMIT {
            let is_unicast = !advert.destination.is_multicast();
            let key = (advert.source, advert.hop_limit, is_unicast);
            hop_limits.entry(key).or_insert((at, 0)).1 += 1;
        }
        if advert.interval.is_none() {
            zero.entry(advert.source).or_insert((at, 0)).1 += 1;
        }
        if let Checksum::Wrong { .. } = advert.checksum {
            let first = (at, 0, advert.version, advert.checksum);
            checksums.entry(advert.source).or_insert(first).1 += 1;
        }
    }
    found.extend(
        hop_limits
            .into_iter()
            .map(|((router, hop_limit, is_unicast), (at, count))| Finding {
                at: Some(at),
                what: What::HopLimit {
                    router,
                    hop_limit,
                    count,
                    is_unicast,
                },
            }),
    );
    found.extend(zero.into_iter().map(|(router, (at, count))| Finding {
        at: Some(at),
        what: What::ZeroInterval { router, count },
    }));
    found.extend(
        checksums
            .into_iter()
            .map(|(router, (at, count, version, checksum))| Finding {
                at: Some(at),
                what: What::WrongChecksum {
                    router,
                    version,
                    checksum,
                    count,
                },
            }),
    );
}

/// Differences between the settings of the routers.
fn of_differences(routers: &[Router], found: &mut Vec<Finding>) {
    fn differing<T: Clone + Ord>(
        routers: &[Router],
        value: impl Fn(&Router) -> &BTreeSet<T>,
    ) -> Option<Vec<(IpAddr, BTreeSet<T>)>> {
        let all: BTreeSet<&T> = routers.iter().flat_map(&value).collect();
        let of = |router: &Router| (router.address, value(router).clone());
        (routers.len() > 1 && all.len() > 1).then(|| routers.iter().map(of).collect())
    }
    let kinds = [
        differing(routers, |router| &router.versions).map(What::Versions),
        differing(routers, |router| &router.auths).map(What::Authentications),
        differing(routers, |router| &router.intervals).map(What::Intervals),
        differing(routers, |router| &router.lists).map(What::Addresses),
    ];
    found.extend(kinds.into_iter().flatten().map(always));
    for (index, router) in routers.iter().enumerate() {
        for other in &routers[index + 1..] {
            let common = router.priorities.intersection(&other.priorities).next();
            if let Some(priority) = common {
                found.push(always(What::EqualPriority {
                    routers: [router.address, other.address],
                    priority: *priority,
                }));
            }
        }
    }
}

fn of_macs(whole: &VirtualRouter, found: &mut Vec<Finding>) {
    let virtual_mac = virtual_mac(&whole.key);
    let own = whole.routers.iter().filter_map(|router| {
        let own = router.macs.iter().find(|mac| **mac != virtual_mac)?;
        Some((router.address, *own))
    });
    let own: Vec<_> = own.collect();
    if !own.is_empty() {
        found.push(always(What::OwnMac(own)));
    }
}

fn virtual_mac(key: &Key) -> MacAddress {
    MacAddress::of_virtual_router(key.family, key.vrid)
}

/// Times in which two routers advertised.
fn two_masters(whole: &VirtualRouter, end: Stamp, found: &mut Vec<Finding>) {
    for (index, one) in whole.reigns.iter().enumerate() {
        for other in &whole.reigns[index + 1..] {
            // The reigns are in the order of their beginning.
            if other.first() > one.last() {
                break;
            }
            let (from, to) = (other.first(), one.last().min(other.last()));
            // An advertisement may be under way when the other is sent.
            let grace = one.interval.min(other.interval).duration() / 2;
            if one.router == other.router || to.since(from) <= grace {
                continue;
            }
            let first_to_end = if one.last() <= other.last() {
                one
            } else {
                other
            };
            let at_the_end = end.since(to) <= first_to_end.interval.duration() * 3 / 2;
            let resigned = matches!(first_to_end.ended, Ended::Resigned(_));
            found.push(Finding {
                at: Some(from),
                what: What::TwoMasters {
                    routers: [one.router, other.router],
                    from,
                    to,
                    stepped_down: (!at_the_end || resigned).then_some(first_to_end.router),
                },
            });
        }
    }
}

/// Masters that fell silent, and times without a master.
fn silences(whole: &VirtualRouter, end: Stamp, found: &mut Vec<Finding>) {
    for reign in &whole.reigns {
        if let Reason::Silence { of, silence, .. } | Reason::Early { of, silence, .. } =
            reign.reason
        {
            found.push(Finding {
                at: Some(reign.first() - silence),
                what: What::MasterSilent {
                    router: of,
                    successor: reign.router,
                    silence,
                },
            });
        }
    }
    let mut covered: Option<(&Reign, Stamp)> = None;
    let mut gap = |former: Option<(&Reign, Stamp)>, to: Stamp, until_the_end: bool| {
        let Some((former, from)) = former else { return };
        if to.since(from) > former.longest_wait() + former.interval.duration() / 2 {
            found.push(Finding {
                at: Some(from),
                what: What::NoMaster {
                    from,
                    to,
                    until_the_end,
                },
            });
        }
    };
    for reign in &whole.reigns {
        gap(covered, reign.first(), false);
        if covered.is_none_or(|(_, until)| until < reign.to()) {
            covered = Some((reign, reign.to()));
        }
    }
    gap(covered, end, true);
}

/// Take-overs after which an address was not announced.
fn announcements(whole: &VirtualRouter, seen: &Observations, found: &mut Vec<Finding>) {
    let family = whole.key.family;
    let takeovers: Vec<&Reign> = whole
        .reigns
        .iter()
        .filter(|reign| {
            reign.reason != Reason::Present && seen.end.since(reign.first()) > ANNOUNCED_WITHIN
        })
        .collect();
    let has_claims = match family {
        Family::V4 => seen.has_arp,
        Family::V6 => seen.has_ndp,
    };
    // Unicast peers may be in other networks than the capture.
    let takeovers = takeovers.into_iter().filter(|reign| {
        let router = whole
            .routers
            .iter()
            .find(|router| router.address == reign.router);
        router.is_some_and(|router| !router.is_unicast)
    });
    for reign in takeovers {
        if !has_claims {
            found.push(always(What::NoClaimsCaptured(family)));
            return;
        }
        let times = reign.first() - ANNOUNCED_WITHIN..=reign.first() + ANNOUNCED_WITHIN;
        let from = seen
            .claims
            .partition_point(|claim| claim.at < *times.start());
        let announced: BTreeSet<IpAddr> = seen.claims[from..]
            .iter()
            .take_while(|claim| claim.at <= *times.end())
            .filter(|claim| claim.what.network == whole.key.network)
            .filter(|claim| {
                claim.what.claim.is_announcement
                    && is_of(whole, claim.what.claim.mac, Some(reign.router))
            })
            .map(|claim| claim.what.claim.address)
            .collect();
        let missing: Vec<IpAddr> = whole.addresses.difference(&announced).copied().collect();
        if !missing.is_empty() {
            found.push(Finding {
                at: Some(reign.first()),
                what: What::NotAnnounced {
                    router: reign.router,
                    addresses: missing,
                },
            });
        }
    }
}

/// Whether a MAC address is that of a router, or the virtual one.
fn is_of(whole: &VirtualRouter, mac: MacAddress, router: Option<IpAddr>) -> bool {
    mac == virtual_mac(&whole.key)
        || whole
            .routers
            .iter()
            .any(|known| router == Some(known.address) && known.macs.contains(&mac))
}

/// Times in which each MAC address may claim the addresses: those of the reigns of its router.
pub(crate) struct Masters<'a> {
    whole: &'a VirtualRouter,
    /// Disjoint times in their order.
    times: BTreeMap<MacAddress, Vec<(Stamp, Stamp)>>,
}

impl<'a> Masters<'a> {
    pub(crate) fn of(whole: &'a VirtualRouter) -> Self {
        let mut times: BTreeMap<MacAddress, Vec<(Stamp, Stamp)>> = BTreeMap::new();
        for reign in &whole.reigns {
            // A new master adds the address before it advertises, and one that resigned may keep it until the next
            // one advertises. Before the first packet nothing is known.
            let from = if reign.reason == Reason::Present {
                Stamp::default()
            } else {
                reign.first() - ANNOUNCED_WITHIN
            };
            let until = reign.to() + reign.longest_wait();
            let own = whole
                .routers
                .iter()
                .filter(|router| router.address == reign.router);
            for mac in own.flat_map(|router| &router.macs) {
                let times = times.entry(*mac).or_default();
                match times.last_mut().filter(|last| from <= last.1) {
                    Some(last) => last.1 = last.1.max(until),
                    None => times.push((from, until)),
                }
            }
        }
        Self { whole, times }
    }

    /// Whether a claim is for an address of the virtual router, and not by its master.
    pub(crate) fn is_foreign(&self, sighting: &Sighting<Claimed>) -> bool {
        let claim = &sighting.what.claim;
        if sighting.what.network != self.whole.key.network
            || !self.whole.addresses.contains(&claim.address)
            || claim.mac == virtual_mac(&self.whole.key)
            // In a capture without link-layer addresses nothing tells whose claim it is.
            || self.times.is_empty()
        {
            return false;
        }
        let times = self.times.get(&claim.mac).map_or(&[][..], Vec::as_slice);
        let begun = times.partition_point(|(from, _)| *from <= sighting.at);
        let last = begun.checked_sub(1).and_then(|index| times.get(index));
        last.is_none_or(|(_, until)| *until < sighting.at)
    }
}

/// Claims of an address by a host that was not master.
fn foreign_claims(whole: &VirtualRouter, seen: &Observations, found: &mut Vec<Finding>) {
    let mut claims: BTreeMap<(IpAddr, MacAddress), (Stamp, Stamp, u64)> = BTreeMap::new();
    let masters = Masters::of(whole);
    for sighting in &seen.claims {
        let claim = &sighting.what.claim;
        if masters.is_foreign(sighting) {
            let entry =
                claims
                    .entry((claim.address, claim.mac))
                    .or_insert((sighting.at, sighting.at, 0));
            entry.1 = sighting.at;
            entry.2 += 1;
        }
    }
    for ((address, mac), (first, last, count)) in claims {
        let router = whole
            .routers
            .iter()
            .find(|router| router.macs.contains(&mac));
        found.push(Finding {
            at: Some(first),
            what: What::ForeignClaim {
                address,
                mac,
                router: router.map(|router| router.address),
                count,
                last,
            },
        });
    }
}

/// Adds to each of several virtual routers with the same VRID that the others exist.
pub(super) fn of_separate_clusters(together: &mut [VirtualRouter], left_out: usize) {
    if left_out > 0
        && let Some(first) = together.first_mut()
    {
        first.findings.push(always(What::ManySenders { left_out }));
    }
    let addresses: Vec<_> = together.iter().map(|one| one.addresses.clone()).collect();
    if together.len() < 2 {
        return;
    }
    for (index, one) in together.iter_mut().enumerate() {
        let others = addresses
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let others = others
            .flat_map(|(_, addresses)| addresses)
            .copied()
            .collect();
        one.findings.push(always(What::SeparateClusters { others }));
    }
}

/// Adds the unreadable packets to the virtual router with their number, or else to `others`.
pub(super) fn of_unreadable(
    seen: &Observations,
    wanted: impl Fn(Option<Vrid>) -> bool,
    virtual_routers: &mut [VirtualRouter],
    others: &mut Vec<Finding>,
) {
    let mut counts: BTreeMap<&Unreadable, (Stamp, u64)> = BTreeMap::new();
    for sighting in &seen.unreadable {
        if wanted(sighting.what.vrid) {
            counts.entry(&sighting.what).or_insert((sighting.at, 0)).1 += 1;
        }
    }
    for (packet, (at, count)) in counts {
        let owner = virtual_routers.iter_mut().find(|router| {
            Some(router.key.vrid) == packet.vrid
                && router.key.family == Family::of(packet.source)
                && router.key.network == packet.network
        });
        let (source, cause) = (packet.source, packet.cause);
        let what = if cause == DropCause::Carp {
            What::Carp {
                source,
                vhid: packet.vrid,
                count,
                has_same_number: owner.is_some(),
            }
        } else {
            What::Unreadable {
                source,
                cause,
                count,
            }
        };
        let finding = Finding { at: Some(at), what };
        owner
            .map_or(&mut *others, |router| &mut router.findings)
            .push(finding);
    }
}

/// Adds what limits the analysis as a whole.
pub(super) fn of_the_capture(
    seen: &Observations,
    virtual_routers: &[VirtualRouter],
    others: &mut Vec<Finding>,
) {
    if seen.cut > 0 {
        others.push(always(What::Cut { count: seen.cut }));
    }
    if seen.left_out > 0 && !virtual_routers.is_empty() {
        others.push(always(What::LeftOut {
            count: seen.left_out,
        }));
    }
}
