//! Each reason and each finding, from constructed observations.

use std::sync::Arc;

use vrrp_proto::wire::ChecksumForm;

use super::*;
use crate::post_mortem::frame::Claim;
use crate::post_mortem::observation::{Claimed, Unreadable};
use crate::post_mortem::stamp::span;
use crate::post_mortem::words;
use vrrp_proto::wire::{Checksum, DropCause};

#[test]
fn single_master_is_present_and_nothing_is_wrong() {
    let result = Capture::new().adverts(A, 100, 0..60).analyse();
    let [router] = &result.virtual_routers[..] else {
        panic!("{result:?}");
    };
    assert_eq!(reasons(router), [(A, Reason::Present)]);
    assert_eq!(router.reigns[0].ended, Ended::Continues);
    assert_eq!(kinds(router), [] as [&str; 0]);
    assert!(!result.has_problem());
}

#[test]
fn priority_zero_is_a_resignation() {
    let result = Capture::new()
        .adverts(A, 200, 0..20)
        .advert(A, 19_050, |advert| advert.priority = 0)
        .announce(19_660)
        .adverts_from(B, 100, 19_661, 20)
        .analyse();
    let router = &result.virtual_routers[0];
    let reason = Reason::Resigned {
        by: ip(A),
        waited: millis(611),
        skew: Duration::from_micros(609_375),
    };
    assert_eq!(reasons(router), [(A, Reason::Present), (B, reason)]);
    assert_eq!(router.reigns[0].ended, Ended::Resigned(at(19_050)));
    assert!(!result.has_problem(), "{:?}", router.findings);
}

#[test]
fn silence_is_compared_with_the_master_down_interval() {
    let result = Capture::new()
        .adverts(A, 200, 0..20)
        .announce(19_000 + 3_610)
        .adverts_from(B, 100, 19_000 + 3_612, 20)
        .analyse();
    let router = &result.virtual_routers[0];
    let reason = Reason::Silence {
        of: ip(A),
        silence: millis(3612),
        interval: millis(1000),
        skew: Duration::from_micros(609_375),
    };
    assert_eq!(router.reigns[1].reason, reason);
    assert_eq!(router.reigns[0].ended, Ended::Silent);
    assert_eq!(kinds(router), ["masterSilent"]);
    let text = words::beginning(&router.reigns[1]);
    let interval =
        "The master-down interval of 10.0.0.12 is 3609 ms: 3 x 1000 ms and a skew time of 609 ms.";
    assert!(text.ends_with(interval), "{text}");
}

#[test]
fn version_2_has_a_skew_time_of_its_own() {
    let two = |advert: &mut Advert| {
        advert.version = Version::V2;
        advert.interval = AdvertInterval::from_seconds(5);
    };
    let mut network = Capture::new();
    for n in 0..4 {
        network = network.advert(A, n * 5_000, two);
    }
    for n in 0..4 {
        network = network.advert(B, 15_000 + 15_610 + n * 5_000, move |advert| {
            two(advert);
            advert.priority = 100;
        });
    }
    let result = network.analyse();
    let reason = &result.virtual_routers[0].reigns[1].reason;
    let Reason::Silence { skew, interval, .. } = reason else {
        panic!("{reason:?}");
    };
    assert_eq!(
        (*skew, *interval),
        (Duration::from_micros(609_375), millis(5000))
    );
}

#[test]
fn take_over_before_the_master_down_interval_is_early() {
    let result = Capture::new()
        .adverts(A, 200, 0..20)
        .adverts_from(B, 100, 19_000 + 2_500, 20)
        .analyse();
    let reason = &result.virtual_routers[0].reigns[1].reason;
    assert!(matches!(reason, Reason::Early { .. }), "{reason:?}");
}

#[test]
fn higher_priority_preempts() {
    let result = Capture::new()
        .adverts(B, 100, 0..10)
        .announce(9_400)
        .adverts_from(A, 200, 9_400, 10)
        .analyse();
    let router = &result.virtual_routers[0];
    let reason = Reason::Preempted {
        of: ip(B),
        than: 100,
    };
    assert_eq!(router.reigns[1].reason, reason);
    assert_eq!(router.reigns[0].ended, Ended::Superseded(ip(A)));
    assert!(!result.has_problem(), "{:?}", router.findings);
    assert_eq!(
        words::beginning(&router.reigns[1]),
        "10.0.0.11 preempts 10.0.0.12: its priority is higher (200 > 100)."
    );
}

#[test]
fn reign_within_an_interval_of_the_backup_interrupts_its_reign() {
    // B steps down for A, and takes over again before its next advertisement would be overdue.
    let result = Capture::new()
        .adverts(B, 100, 0..10)
        .announce(9_100)
        .adverts_from(A, 200, 9_100, 1)
        .adverts_from(B, 100, 9_102, 1)
        .advert(A, 9_400, |advert| advert.priority = 0)
        .announce(10_010)
        .adverts_from(B, 100, 10_010, 10)
        .analyse();
    let router = &result.virtual_routers[0];
    let senders: Vec<_> = reasons(router)
        .into_iter()
        .map(|(router, _)| router)
        .collect();
    assert_eq!(senders, [B, A, B]);
    assert!(matches!(router.reigns[1].reason, Reason::Preempted { .. }));
    assert!(matches!(router.reigns[2].reason, Reason::Resigned { .. }));
    assert!(!result.has_problem(), "{:?}", router.findings);
}

#[test]
fn silence_after_an_advertisement_under_way_is_a_silence() {
    // The only advertisement of A crosses one of B.
    let result = Capture::new()
        .adverts(B, 100, 0..10)
        .announce(9_100)
        .adverts_from(A, 200, 9_100, 1)
        .adverts_from(B, 100, 9_102, 1)
        .announce(12_710)
        .adverts_from(B, 100, 12_710, 10)
        .analyse();
    let router = &result.virtual_routers[0];
    assert!(matches!(router.reigns[1].reason, Reason::Preempted { .. }));
    assert!(matches!(router.reigns[2].reason, Reason::Silence { .. }));
    assert_eq!(kinds(router), ["masterSilent"]);
}

#[test]
fn owner_of_the_addresses_is_named() {
    let result = Capture::new()
        .adverts(B, 100, 0..10)
        .adverts_from(A, 255, 9_400, 10)
        .analyse();
    let text = words::beginning(&result.virtual_routers[0].reigns[1]);
    assert!(text.contains("priority 255, the owner"), "{text}");
}

#[test]
fn greater_address_decides_between_equal_priorities() {
    let result = Capture::new()
        .adverts(A, 100, 0..10)
        .adverts_from(B, 100, 9_400, 10)
        .analyse();
    let router = &result.virtual_routers[0];
    assert_eq!(
        router.reigns[1].reason,
        Reason::GreaterAddress { of: ip(A) }
    );
    assert!(kinds(router).contains(&"equalPriority"));
}

#[test]
fn two_masters_are_timed() {
    let result = Capture::new()
        .adverts(A, 200, 0..30)
        .adverts_from(B, 100, 10_300, 10)
        .analyse();
    let router = &result.virtual_routers[0];
    let reason = Reason::Unheard {
        of: ip(A),
        priority: 200,
    };
    assert_eq!(reasons(router), [(A, Reason::Present), (B, reason)]);
    let two = What::TwoMasters {
        routers: [ip(A), ip(B)],
        from: at(10_300),
        to: at(19_300),
        stepped_down: Some(ip(B)),
    };
    assert!(router.findings.iter().any(|finding| finding.what == two));
    assert_eq!(router.reigns[0].adverts.len(), 30, "one reign");
    assert!(result.has_problem());
}

#[test]
fn two_masters_until_the_end_are_not_said_to_have_ended() {
    let result = Capture::new()
        .adverts(A, 200, 0..30)
        .adverts_from(B, 100, 10_300, 19)
        .analyse();
    let mut findings = result.virtual_routers[0].findings.iter();
    let two = findings.find_map(|finding| {
        let What::TwoMasters { stepped_down, .. } = finding.what else {
            return None;
        };
        Some(stepped_down)
    });
    assert_eq!(two, Some(None));
}

#[test]
fn silence_without_successor_is_a_time_without_master() {
    let result = Capture::new()
        .adverts(A, 200, 0..10)
        .adverts_from(A, 200, 60_000, 10)
        .until(90_000)
        .analyse();
    let router = &result.virtual_routers[0];
    let gaps: Vec<_> = router
        .findings
        .iter()
        .filter_map(|finding| {
            let What::NoMaster {
                from,
                to,
                until_the_end,
            } = finding.what
            else {
                return None;
            };
            Some((from, to, until_the_end))
        })
        .collect();
    let second = (at(69_000), at(90_000), true);
    assert_eq!(gaps, [(at(9_000), at(60_000), false), second]);
    let returned = Reason::Returned {
        silence: millis(51_000),
        resigned: false,
    };
    assert_eq!(router.reigns[1].reason, returned);
    assert_eq!(router.reigns[1].ended, Ended::Silent);
}

#[test]
fn lateness_is_reported_from_two_intervals_on() {
    let result = Capture::new()
        .adverts(A, 200, 0..10)
        .adverts_from(A, 200, 10_900, 5)
        .analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), [] as [&str; 0]);
    let gap = result.virtual_routers[0].routers[0].gap.unwrap();
    assert_eq!((gap.length, gap.from), (millis(1_900), at(9_000)));
    let result = Capture::new()
        .adverts(A, 200, 0..10)
        .adverts_from(A, 200, 11_100, 5)
        .analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), ["late"]);
}

#[test]
fn wrong_ttl_is_a_fault_of_multicast_only() {
    let low = |advert: &mut Advert| advert.hop_limit = 64;
    let result = Capture::new()
        .advert(A, 0, low)
        .advert(A, 1000, low)
        .analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), ["hopLimit"]);
    let text = words::finding(&result.virtual_routers[0].findings[0].what);
    assert!(
        text.starts_with("10.0.0.11: 2 advertisements with TTL or hop limit 64"),
        "{text}"
    );
    let result = Capture::new()
        .advert(A, 0, |advert| {
            low(advert);
            advert.destination = ip(B);
        })
        .analyse();
    assert!(!result.has_problem());
}

#[test]
fn wrong_checksum_comes_with_the_right_one() {
    let result = Capture::new()
        .advert(A, 0, |advert| {
            advert.checksum = Checksum::Wrong {
                found: 0x1234,
                message_only: None,
                with_pseudo_header: Some(0xabcd),
                computed_as: Some(ChecksumForm::MessageOnly),
            };
        })
        .analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), ["checksum"]);
    let text = words::finding(&result.virtual_routers[0].findings[0].what);
    assert!(
        text.contains("0x1234; right is 0xabcd with the pseudo-header"),
        "{text}"
    );
    assert!(text.ends_with("which IPv6 requires."), "{text}");
}

#[test]
fn differing_settings_of_routers_are_named() {
    let base = || Capture::new().adverts(A, 200, 0..10);
    type Change = fn(&mut Advert);
    let cases: [(Change, &str, &str); 4] = [
        (
            |advert| advert.version = Version::V2,
            "versions",
            "10.0.0.12 has version 2",
        ),
        (
            |advert| advert.auth = Auth::Pass,
            "authentications",
            "10.0.0.12 has a password (PASS)",
        ),
        (
            |advert| advert.interval = AdvertInterval::from_centiseconds(50),
            "intervals",
            "10.0.0.12 has 500 ms",
        ),
        (
            |advert| advert.addresses.push(ip(200)),
            "addresses",
            "10.0.0.12 has 10.0.0.1 10.0.0.200",
        ),
    ];
    for (change, kind, words) in cases {
        let result = base()
            .advert(B, 10_000, |advert| {
                advert.priority = 100;
                change(advert);
            })
            .analyse();
        let found = result.virtual_routers[0]
            .findings
            .iter()
            .find(|finding| finding.what.word() == kind);
        let text = words::finding(&found.unwrap().what);
        assert!(text.contains(words), "{text}");
        assert!(result.has_problem());
    }
}

#[test]
fn interval_of_zero_is_a_fault() {
    let result = Capture::new()
        .advert(A, 0, |advert| advert.interval = None)
        .analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), ["zeroInterval"]);
}

#[test]
fn missing_gratuitous_arp_after_a_take_over_is_reported() {
    let takeover = || {
        Capture::new()
            .adverts(B, 100, 0..10)
            .adverts_from(A, 200, 9_400, 10)
    };
    // A claim elsewhere shows that the capture has ARP.
    let result = takeover().claim(B, 100, true).analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), ["notAnnounced"]);
    let result = takeover().claim(A, 9_410, true).analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), [] as [&str; 0]);
    let result = takeover().claim(A, 9_410, false).analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), ["notAnnounced"]);
    let result = takeover().analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), ["noClaimsCaptured"]);
    assert!(!result.has_problem());
}

#[test]
fn claim_of_a_host_that_is_not_master_is_reported() {
    let result = Capture::new()
        .adverts(A, 200, 0..20)
        .claim(A, 5_000, false)
        .analyse();
    assert!(!result.has_problem());
    let result = Capture::new()
        .adverts(A, 200, 0..20)
        .claim(66, 5_000, false)
        .claim(66, 6_000, false)
        .analyse();
    assert_eq!(
        problem(&result),
        "10.0.0.1 was claimed 2 times by 02:00:00:00:00:42, a host that is none of the routers heard, last at \
         01:46:46.000: two hosts answer for the address."
    );
    // A backup that had been master.
    let result = Capture::new()
        .adverts(B, 100, 0..10)
        .announce(9_400)
        .adverts_from(A, 200, 9_400, 20)
        .claim(B, 20_000, true)
        .analyse();
    let text = problem(&result);
    assert!(
        text.contains("the MAC address of 10.0.0.12, which was not master"),
        "{text}"
    );
}

#[test]
fn disjoint_addresses_are_two_virtual_routers() {
    let result = Capture::new()
        .adverts(A, 200, 0..10)
        .advert(B, 500, |advert| advert.addresses = vec![ip(77)])
        .advert(B, 1500, |advert| advert.addresses = vec![ip(77)])
        .analyse();
    assert_eq!(result.virtual_routers.len(), 2);
    for router in &result.virtual_routers {
        assert_eq!(router.routers.len(), 1);
        assert!(kinds(router).contains(&"separateClusters"));
        assert!(!kinds(router).contains(&"twoMasters"));
    }
}

#[test]
fn networks_and_vrids_are_separate_virtual_routers() {
    let network = Capture::new()
        .adverts(A, 200, 0..10)
        .advert(B, 500, |advert| advert.network.vlans = vec![10])
        .advert(B, 600, |advert| advert.vrid = Vrid::new(52).unwrap());
    assert_eq!(network.clone().analyse().virtual_routers.len(), 3);
    let only = analyse(&network.seen, Vrid::new(52));
    assert_eq!(only.virtual_routers.len(), 1);
    assert_eq!(only.virtual_routers[0].key.vrid.get(), 52);
}

#[test]
fn unreadable_packets_belong_to_the_virtual_router_with_their_number() {
    let unreadable = |vrid, cause| Unreadable {
        network: Network::default(),
        mac: None,
        source: ip(9),
        vrid: Vrid::new(vrid),
        cause,
    };
    let mut network = Capture::new().adverts(A, 200, 0..10);
    for what in [
        unreadable(51, DropCause::Length),
        unreadable(51, DropCause::Carp),
        unreadable(99, DropCause::Carp),
    ] {
        network.seen.unreadable.push(Sighting {
            at: at(100),
            what: Arc::new(what),
        });
    }
    let result = network.analyse();
    assert_eq!(kinds(&result.virtual_routers[0]), ["carp", "unreadable"]);
    assert!(result.has_problem());
    assert_eq!(result.others.len(), 1);
    assert!(!result.others[0].what.is_problem());
}

#[test]
fn mac_of_the_interface_is_no_fault() {
    let result = Capture::new()
        .advert(A, 0, |advert| advert.mac = Some(mac(A)))
        .analyse();
    assert_eq!(kinds_all(&result.virtual_routers[0]), ["ownMac"]);
    assert!(!result.has_problem());
}

#[test]
fn flood_of_senders_is_limited() {
    let mut network = Capture::new();
    for n in 0..=255 {
        network = network.advert(n, u64::from(n), |_| {});
    }
    let result = network.analyse();
    let router = &result.virtual_routers[0];
    assert_eq!(router.routers.len(), MOST_ROUTERS);
    assert!(kinds(router).contains(&"manySenders"));
}

#[test]
fn flood_of_changes_and_clusters_is_limited() {
    let mut network = Capture::new();
    for n in 0..MOST_REIGNS as u64 + 10 {
        network = network.adverts_from(A, 200, n * 10_000, 1);
    }
    let result = network.analyse();
    assert_eq!(result.virtual_routers[0].reigns.len(), MOST_REIGNS);
    assert!(kinds(&result.virtual_routers[0]).contains(&"manyReigns"));
    let mut network = Capture::new();
    for n in 0..=255 {
        network = network.advert(n, u64::from(n), |advert| {
            advert.addresses = vec![advert.source];
        });
    }
    let result = network.analyse();
    assert_eq!(result.virtual_routers.len(), MOST_CLUSTERS);
    let all = result.virtual_routers.iter().flat_map(kinds);
    assert_eq!(all.filter(|kind| *kind == "manySenders").count(), 1);
}

#[test]
fn durations_of_sentences_are_short() {
    assert_eq!(span(millis(3613)), "3613 ms");
}

const A: u8 = 11;
const B: u8 = 12;

/// Constructed observations of VRID 51 with the address 10.0.0.1.
#[derive(Clone, Debug, Default)]
struct Capture {
    seen: Observations,
}

impl Capture {
    fn new() -> Self {
        let mut new = Self::default();
        (new.seen.begin, new.seen.end) = (at(0), at(0));
        new
    }

    /// Adds an advertisement of a router, changed by `change`.
    fn advert(mut self, router: u8, millis: u64, change: impl Fn(&mut Advert)) -> Self {
        let mut advert = Advert {
            network: Network::default(),
            mac: None,
            source: ip(router),
            destination: vrrp_proto::wire::GROUP_V4.into(),
            hop_limit: 255,
            version: Version::V3,
            vrid: Vrid::new(51).unwrap(),
            priority: 200,
            interval: Some(AdvertInterval::DEFAULT),
            addresses: vec![ip(1)],
            auth: Auth::None,
            checksum: Checksum::Right(ChecksumForm::WithPseudoHeader),
        };
        change(&mut advert);
        self.seen.adverts.push(Sighting {
            at: at(millis),
            what: Arc::new(advert),
        });
        self.until(millis)
    }

    /// Adds advertisements at these seconds.
    fn adverts(self, router: u8, priority: u8, seconds: std::ops::Range<u64>) -> Self {
        self.adverts_from(
            router,
            priority,
            seconds.start * 1000,
            seconds.end - seconds.start,
        )
    }

    /// Adds `count` advertisements, one per second.
    fn adverts_from(self, router: u8, priority: u8, from: u64, count: u64) -> Self {
        (0..count).fold(self, |network, n| {
            network.advert(router, from + n * 1000, |advert| {
                advert.priority = priority;
                advert.mac = Some(virtual_mac());
            })
        })
    }

    /// Adds a claim of the address by the MAC address of a host.
    fn claim(mut self, host: u8, millis: u64, is_announcement: bool) -> Self {
        // The claims are of the hosts' own MAC addresses, which their advertisements have, too.
        for sighting in &mut self.seen.adverts {
            let mut advert = Advert::clone(&sighting.what);
            let IpAddr::V4(source) = advert.source else {
                continue;
            };
            advert.mac = Some(mac(source.octets()[3]));
            sighting.what = Arc::new(advert);
        }
        self.claim_of(mac(host), millis, is_announcement)
    }

    /// Adds an announcement by the virtual MAC address.
    fn announce(self, millis: u64) -> Self {
        self.claim_of(virtual_mac(), millis, true)
    }

    fn claim_of(mut self, mac: MacAddress, millis: u64, is_announcement: bool) -> Self {
        self.seen.has_arp = true;
        self.seen.claims.push(Sighting {
            at: at(millis),
            what: Arc::new(Claimed {
                network: Network::default(),
                claim: Claim {
                    address: ip(1),
                    mac,
                    is_announcement,
                },
            }),
        });
        self
    }

    /// Extends the capture.
    fn until(mut self, millis: u64) -> Self {
        self.seen.end = self.seen.end.max(at(millis));
        self
    }

    fn analyse(mut self) -> Analysis {
        self.seen.adverts.sort_by_key(|sighting| sighting.at);
        self.seen.claims.sort_by_key(|sighting| sighting.at);
        analyse(&self.seen, None)
    }
}

/// Kinds of the findings, without the MAC addresses of the interfaces.
fn kinds(router: &VirtualRouter) -> Vec<&'static str> {
    let mut kinds = kinds_all(router);
    kinds.retain(|kind| *kind != "ownMac");
    kinds
}

/// The only problem, in words.
fn problem(result: &Analysis) -> String {
    let findings = result.virtual_routers[0].findings.iter();
    let problems: Vec<_> = findings
        .filter(|finding| finding.what.is_problem())
        .collect();
    let [finding] = problems[..] else {
        panic!("{problems:?}");
    };
    words::finding(&finding.what)
}

fn kinds_all(router: &VirtualRouter) -> Vec<&'static str> {
    let findings = router.findings.iter();
    findings.map(|finding| finding.what.word()).collect()
}

fn reasons(router: &VirtualRouter) -> Vec<(u8, Reason)> {
    let last = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(_) => 0,
    };
    let reigns = router.reigns.iter();
    reigns
        .map(|reign| (last(reign.router), reign.reason.clone()))
        .collect()
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn mac(last: u8) -> MacAddress {
    MacAddress([2, 0, 0, 0, 0, last])
}

fn virtual_mac() -> MacAddress {
    MacAddress::of_virtual_router(Family::V4, Vrid::new(51).unwrap())
}

/// Milliseconds after 2001-09-09 01:46:40.
fn at(millis: u64) -> Stamp {
    Stamp(1_000_000_000_000_000_000 + millis * 1_000_000)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
