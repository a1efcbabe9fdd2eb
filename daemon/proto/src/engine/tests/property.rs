//! Property tests: any sequence of valid inputs keeps the invariants of the engine, and other names change
//! nothing.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::rig::*;
use crate::engine::Engine;
use crate::events::{Input, Output, Report};
use crate::invariants::Invariants;
use crate::params::{
    Announcements, Authentication, Effect, GroupParams, HmacMode, Identity, NodeParams, Peer,
    TrackerKind, TrackerParams, Unicast, Verdict,
};
use crate::reasons::Loss;
use crate::routing::Routed;
use crate::time::Instant;
use crate::types::{
    AdvertInterval, Family, InterfaceAddress, InterfaceIndex, Password, Priority, Version, Vrid,
};
use crate::wire::{AddressList, Advert, Auth, ChecksumForm, group};

/// One input. The domains are small, so that events often concern existing objects.
#[derive(Clone, Debug)]
enum Step {
    /// Routers, and the members of each group by their numbers.
    Configure(Vec<Option<Settings>>, &'static [&'static [u8]]),
    Link {
        index: u32,
        name: u8,
        up: bool,
        carrier: bool,
        ethernet: bool,
    },
    LinkRemoved(u32),
    Address {
        index: u32,
        kind: Kind,
        which: u8,
        added: bool,
        ours: bool,
    },
    Advert {
        index: u32,
        vrid: u8,
        priority: u8,
        source: u8,
        version: Version,
        family: Family,
        cs: u16,
        /// Whether it is sent to an address of this host.
        unicast: bool,
    },
    /// The addresses of the only peer by name.
    Resolved(Vec<u8>),
    Listening {
        index: u32,
        family: Family,
        able: bool,
    },
    Bytes {
        index: u32,
        bytes: Vec<u8>,
    },
    Probe {
        tracker: u8,
        up: bool,
    },
    DropFilter(bool),
    Routing {
        number: u8,
        added: bool,
    },
    Overrun,
    Stop,
    Pass(u64),
    ToDeadline {
        late: u64,
    },
}

/// Kinds of addresses, of the host and virtual ones.
#[derive(Clone, Copy, Debug)]
enum Kind {
    V4,
    LinkLocal,
    V6,
}

impl Kind {
    /// Returns the address with that number.
    fn address(self, which: u8) -> InterfaceAddress {
        match self {
            Self::V4 => address(&format!("10.0.0.{which}/24")),
            Self::LinkLocal => address(&format!("fe80::{which}/64")),
            Self::V6 => address(&format!("2001:db8::{which}/64")),
        }
    }
}

#[derive(Clone, Debug)]
struct Settings {
    interface: u8,
    version: Version,
    /// Kinds of its addresses, in their order.
    kinds: Vec<Kind>,
    /// Interface of the first address, if it is not the router's.
    device: Option<u8>,
    /// Whether the first address is not advertised.
    hides_first: bool,
    /// The source address.
    source: Option<(Kind, u8)>,
    priority: u8,
    centiseconds: u16,
    preempt: bool,
    accept: bool,
    expect_master: bool,
    track: Option<i16>,
    /// Tenths of a second: preempt delay, startup delay, announcement delay and refresh.
    delays: [u64; 4],
    on_lower_priority: bool,
    /// Routes of the router, one bit each; a route of two routers belongs to the first one.
    routes: u8,
    /// Unicast peers, or none for multicast.
    peers: &'static [&'static str],
}

proptest! {
    #[test]
    fn engine_keeps_its_invariants(
        first in any_configuration(),
        steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut engine = Engine::new();
        let mut now = T0;
        let mut invariants = Invariants::default();
        for step in wired().chain([first]).chain(steps) {
            let late = act(&mut engine, &mut now, &step);
            let kept = invariants.check(&mut engine, now);
            prop_assert_eq!(kept, Ok(()), "{:?}", step);
            if late {
                let kept = invariants.check_tick(&mut engine, now);
                prop_assert_eq!(kept, Ok(()), "tick after {:?}", step);
            }
        }
    }
}

proptest! {
    /// A name is no part of the protocol: with other names after each reload the outputs are the same.
    #[test]
    fn renamed_routers_behave_as_before(
        first in any_configuration(),
        steps in proptest::collection::vec(any_step(), 1..60)) {
        let mut hosts = [(Engine::new(), T0), (Engine::new(), T0)];
        let mut names = Names::default();
        for step in wired().chain([first]).chain(steps) {
            let mut results = Vec::new();
            for (is_renamed, (engine, now)) in [false, true].into_iter().zip(&mut hosts) {
                if let (true, Step::Configure(routers, groups)) = (is_renamed, &step) {
                    let params = names.change(params(routers, groups));
                    engine.handle(*now, Input::Configure(params));
                } else {
                    act(engine, now, &step);
                }
                let outputs = core::iter::from_fn(|| engine.poll())
                    .filter(|output| !matches!(output, Output::Report(Report::Renamed(_))));
                let outputs: Vec<_> = outputs.collect();
                let result = (outputs, engine.poll_timeout(), engine.snapshot(*now));
                results.push(format!("{result:#?}").replace(OTHER, ""));
            }
            prop_assert_eq!(&results[0], &results[1], "{:?}", step);
        }
    }
}

/// End of the other name of a router.
const OTHER: &str = " (renamed)";

/// Present names of the routers of the second engine.
#[derive(Default)]
struct Names {
    known: BTreeMap<Arc<str>, (Identity, bool)>,
}

impl Names {
    /// Gives each router that stays the same its other name.
    fn change(&mut self, mut params: NodeParams) -> NodeParams {
        let mut known = BTreeMap::new();
        for (name, router) in &params.routers {
            let identity = Identity::from(router);
            let is_other = match self.known.get(name) {
                Some((former, is_other)) => *is_other != former.is_same(&identity),
                None => false,
            };
            known.insert(Arc::clone(name), (identity, is_other));
        }
        self.known = known;
        let new = |name: &Arc<str>| match self.known.get(name) {
            Some((_, true)) => format!("{name}{OTHER}").into(),
            _ => Arc::clone(name),
        };
        let routers = core::mem::take(&mut params.routers).into_iter();
        params.routers = routers.map(|(name, router)| (new(&name), router)).collect();
        for group in params.groups.values_mut() {
            group.members = group.members.iter().map(new).collect();
        }
        params
    }
}

/// Two interfaces with the host's own addresses.
fn wired() -> impl Iterator<Item = Step> {
    let wired = [(ETH1.0, 1), (ETH2.0, 2)].map(|(index, name)| {
        let link = Step::Link {
            index,
            name,
            up: true,
            carrier: true,
            ethernet: true,
        };
        let own = [Kind::V4, Kind::LinkLocal].map(|kind| Step::Address {
            index,
            kind,
            which: name,
            added: true,
            ours: false,
        });
        [link].into_iter().chain(own)
    });
    wired.into_iter().flatten()
}

/// Executes `step`. Returns whether time may have passed.
fn act(engine: &mut Engine, now: &mut Instant, step: &Step) -> bool {
    match step {
        Step::Configure(routers, groups) => {
            let params = params(routers, groups);
            engine.handle(*now, Input::Configure(params));
        }
        Step::Link {
            index,
            name,
            up,
            carrier,
            ethernet,
        } => {
            let mut link = link(InterfaceIndex(*index), &format!("eth{name}"));
            (link.up, link.carrier) = (*up, *carrier);
            link.mac = link.mac.filter(|_| *ethernet);
            engine.handle(*now, Input::Link(link));
        }
        Step::LinkRemoved(index) => {
            engine.handle(*now, Input::LinkRemoved(InterfaceIndex(*index)));
        }
        Step::Address {
            index,
            kind,
            which,
            added,
            ours,
        } => {
            let (interface, address) = (InterfaceIndex(*index), kind.address(*which));
            let input = if *added {
                Input::AddressAdded {
                    interface,
                    address,
                    ours: *ours,
                }
            } else {
                Input::AddressRemoved {
                    interface,
                    address,
                    loss: Loss::Deleted,
                }
            };
            engine.handle(*now, input);
        }
        Step::Advert {
            index,
            vrid,
            priority,
            source,
            version,
            family,
            cs,
            unicast,
        } => {
            let source: IpAddr = match family {
                Family::V4 => Ipv4Addr::new(10, 0, 0, *source).into(),
                Family::V6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, (*source).into()).into(),
            };
            let interval = match version {
                Version::V2 => AdvertInterval::DEFAULT,
                Version::V3 => AdvertInterval::from_centiseconds(*cs).unwrap(),
            };
            let bytes = Advert {
                version: *version,
                vrid: Vrid::new(*vrid).unwrap(),
                priority: *priority,
                interval,
                addresses: match family {
                    Family::V4 => AddressList::new(&[[10, 0, 0, 100]]),
                    Family::V6 => AddressList::new_v6(&[[0x20; 16]]),
                },
                auth: Auth::None,
            }
            .emit(
                ChecksumForm::WithPseudoHeader,
                source,
                group(Family::of(source)),
            );
            let mut packet = packet(InterfaceIndex(*index), source, &bytes);
            if *unicast {
                packet.destination = match family {
                    Family::V4 => Kind::V4.address(1).address,
                    Family::V6 => Kind::LinkLocal.address(1).address,
                };
            }
            engine.handle(*now, Input::Packet(packet));
        }
        Step::Resolved(addresses) => {
            let addresses = addresses.iter().flat_map(|which| {
                [Kind::V4, Kind::LinkLocal].map(|kind| kind.address(*which).address)
            });
            let addresses: Vec<IpAddr> = addresses.collect();
            let (name, addresses) = ("peer.example", &*addresses);
            engine.handle(*now, Input::Resolved { name, addresses });
        }
        Step::Listening {
            index,
            family,
            able,
        } => {
            let (interface, family) = (InterfaceIndex(*index), *family);
            let error = (!able).then(|| "no socket".into());
            let input = Input::Listening {
                interface,
                family,
                error,
            };
            engine.handle(*now, input);
        }
        Step::Bytes { index, bytes } => {
            let input = Input::Packet(packet(InterfaceIndex(*index), PEER, bytes));
            engine.handle(*now, input);
        }
        Step::Probe { tracker, up } => {
            let tracker = format!("t{tracker}");
            let detail = "".into();
            engine.handle(
                *now,
                Input::Probe {
                    tracker: &tracker,
                    result: Verdict::of(*up),
                    detail,
                },
            );
        }
        Step::DropFilter(able) => {
            let fault_reason = (!able).then(|| "no nf_tables".into());
            engine.handle(*now, Input::DropFilter(fault_reason));
        }
        Step::Routing { number, added } => {
            let what = Routed::Route(route(&format!("10.{number}.0.0/16")).place());
            let input = if *added {
                Input::RoutingAdded(what)
            } else {
                let loss = Loss::Unknown;
                Input::RoutingRemoved { what, loss }
            };
            engine.handle(*now, input);
        }
        Step::Overrun => engine.handle(*now, Input::Overrun),
        Step::Stop => engine.handle(*now, Input::Stop),
        Step::Pass(nanos) => {
            *now = *now + Duration::from_nanos(*nanos);
            return true;
        }
        Step::ToDeadline { late } => {
            if let Some((due, _)) = engine.poll_timeout() {
                *now = (*now).max(due) + Duration::from_nanos(*late);
            }
            return true;
        }
    }
    false
}

fn params(routers: &[Option<Settings>], groups: &[&[u8]]) -> NodeParams {
    let mut node = NodeParams::default();
    for tracker in 0..2_u32 {
        let params = TrackerParams {
            rise: 1 + tracker,
            hold: Duration::from_secs(tracker.into()),
            ..probed(1, 1)
        };
        node.trackers.insert(format!("t{tracker}").into(), params);
    }
    let kind = TrackerKind::Interface {
        name: "eth1".into(),
    };
    let params = TrackerParams {
        hold: Duration::from_secs(2),
        up_delay: Duration::from_millis(500),
        ..TrackerParams::new(kind)
    };
    node.trackers.insert("t2".into(), params);
    let mut free = u8::MAX;
    for (n, settings) in (1_u8..).zip(routers) {
        let Some(settings) = settings else { continue };
        let routes = settings.routes & free;
        free &= !routes;
        let mut router = vi_1();
        router.interface = format!("eth{}", settings.interface).into();
        // Distinct VRIDs and addresses, as vrrp-config guarantees.
        router.vrid = Vrid::new(n).unwrap();
        router.version = settings.version;
        router.priority = Priority::new(settings.priority).unwrap();
        router.interval = match settings.version {
            Version::V2 => AdvertInterval::DEFAULT,
            Version::V3 => AdvertInterval::from_centiseconds(settings.centiseconds).unwrap(),
        };
        router.preempt = settings.preempt;
        router.accept = settings.accept;
        router.expect_master = settings.expect_master;
        let [preempt_delay, startup_delay, delay, refresh] = settings
            .delays
            .map(|delay| Duration::from_millis(100 * delay));
        router.preempt_delay = preempt_delay;
        router.startup_delay = startup_delay;
        router.announce = Announcements {
            delay,
            refresh,
            on_lower_priority: settings.on_lower_priority,
            ..Announcements::DEFAULT
        };
        router.authentication = match settings.version {
            Version::V2 if n == 3 => Password::new(b"1111").into(),
            _ if n == 2 => Authentication::Hmac(hmac(HmacMode::Permissive)),
            Version::V2 | Version::V3 => Authentication::None,
        };
        router.addresses = settings
            .kinds
            .iter()
            .zip(100 + 10 * n..)
            .map(|(kind, number)| kind.address(number))
            .collect();
        let peers = settings.peers.iter().map(|peer| match peer.parse() {
            Ok(address) => Peer::Address(address),
            Err(_) => Peer::Name((*peer).into()),
        });
        let peers: Vec<Peer> = peers.collect();
        router.unicast = (!peers.is_empty()).then(|| Unicast::new(peers));
        router.source = settings
            .source
            .map(|(kind, which)| kind.address(which).address);
        let first = router.addresses[0].address.to_string();
        let mut router = special(router, &first, |options| {
            options.device = settings.device.map(|number| format!("eth{number}").into());
            options.advertise = !settings.hides_first;
        });
        if let Some(weight) = settings.track {
            let effect = if weight == 0 {
                Effect::Fault
            } else {
                Effect::Weight(weight)
            };
            router.tracks = vec![tracked(&format!("t{}", weight.rem_euclid(3)), effect)];
        }
        let routes = (0..8).filter(|bit| routes >> bit & 1 == 1);
        router.routes = routes.map(|n| route(&format!("10.{n}.0.0/16"))).collect();
        node.routers.insert(format!("VI_{n}").into(), router);
    }
    for (n, members) in groups.iter().enumerate() {
        let members = members.iter().map(|member| format!("VI_{member}").into());
        let group = GroupParams {
            members: members
                .filter(|m: &Arc<str>| node.routers.contains_key(m))
                .collect(),
            tracks: vec![tracked("t1", Effect::Weight(-1))],
        };
        node.groups.insert(format!("VG_{n}").into(), group);
    }
    node
}

fn any_step() -> impl Strategy<Value = Step> {
    // Two interfaces that exist at first, and one that does not.
    let index = || 2..5_u32;
    let wait = prop_oneof![
        0..20_000_000_u64,
        0..2_000_000_000_u64,
        0..60_000_000_000_u64
    ];
    let late = prop_oneof![
        9 => Just(0),
        3 => 0..1_000_000_u64,
        1 => 0..5_000_000_000_u64,
    ];
    prop_oneof![
        3 => any_configuration(),
        1 => (index(), 1..3_u8, any_mostly(), any_mostly(), any_mostly()).prop_map(
            |(index, name, up, carrier, ethernet)| Step::Link { index, name, up, carrier, ethernet }
        ),
        1 => index().prop_map(Step::LinkRemoved),
        5 => (
            index(),
            any_kind(),
            prop_oneof![Just(1_u8), Just(2), 110..112_u8],
            any_mostly(),
            any::<bool>(),
        )
            .prop_map(|(index, kind, which, added, ours)| Step::Address {
                index, kind, which, added, ours,
            }),
        4 => (
            index(),
            1..4_u8,
            prop_oneof![Just(0_u8), 98..102_u8, Just(255)],
            1..5_u8,
            any_version(),
            prop_oneof![Just(Family::V4), Just(Family::V6)],
            prop_oneof![Just(1_u16), Just(100), Just(4095)],
            any::<bool>(),
        )
            .prop_map(|(index, vrid, priority, source, version, family, cs, unicast)| Step::Advert {
                index, vrid, priority, source, version, family, cs, unicast,
            }),
        1 => proptest::collection::vec(1..5_u8, 0..4).prop_map(Step::Resolved),
        1 => (index(), prop_oneof![Just(Family::V4), Just(Family::V6)], any_mostly())
            .prop_map(|(index, family, able)| Step::Listening { index, family, able }),
        2 => (0..4_u8, any::<bool>()).prop_map(|(number, added)| Step::Routing { number, added }),
        1 => (index(), proptest::collection::vec(any::<u8>(), 0..24))
            .prop_map(|(index, bytes)| Step::Bytes { index, bytes }),
        2 => (0..4_u8, any::<bool>()).prop_map(|(tracker, up)| Step::Probe { tracker, up }),
        1 => any_mostly().prop_map(Step::DropFilter),
        1 => Just(Step::Overrun),
        1 => prop::bool::weighted(0.1).prop_map(|stop| {
            if stop { Step::Stop } else { Step::Overrun }
        }),
        3 => wait.prop_map(Step::Pass),
        20 => late.prop_map(|late| Step::ToDeadline { late }),
    ]
}

fn any_configuration() -> impl Strategy<Value = Step> {
    let groups = prop_oneof![
        3 => Just(&[] as &[&[u8]]),
        1 => Just(&[&[1_u8, 2] as &[u8]] as &[&[u8]]),
        1 => Just(&[&[3_u8, 1, 2] as &[u8]] as &[&[u8]]),
        1 => Just(&[&[2_u8] as &[u8], &[3, 1]] as &[&[u8]]),
    ];
    let routers = proptest::collection::vec(proptest::option::weighted(0.8, any_settings()), 3);
    (routers, groups).prop_map(|(routers, groups)| Step::Configure(routers, groups))
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let places = (
        1..3_u8,
        any_version(),
        proptest::collection::vec(any_kind(), 1..4),
        proptest::option::weighted(0.2, 1..3_u8),
        prop::bool::weighted(0.2),
        proptest::option::weighted(0.2, (any_kind(), 1..4_u8)),
    );
    let machine = (
        prop_oneof![99..102_u8, Just(255), Just(1)],
        prop_oneof![Just(1_u16), Just(100), Just(1000)],
        any::<bool>(),
        any_mostly(),
        any::<bool>(),
        proptest::option::of(prop_oneof![Just(0_i16), -3..4_i16]),
        any_delays(),
        any_mostly(),
        prop_oneof![3 => Just(0), 1 => 0..8_u8],
        prop_oneof![
            3 => Just(&[] as &[&str]),
            1 => Just(&["10.0.0.2", "10.0.0.1", "fe80::2", "192.0.2.1"] as &[&str]),
            1 => Just(&["10.0.0.2", "peer.example"] as &[&str]),
        ],
    );
    (places, machine).prop_map(|(places, machine)| {
        let (interface, version, mut kinds, device, hides_first, source) = places;
        let (
            priority,
            centiseconds,
            preempt,
            accept,
            expect_master,
            track,
            delays,
            on_lower_priority,
            routes,
            peers,
        ) = machine;
        if version == Version::V2 {
            kinds.fill(Kind::V4);
        }
        Settings {
            interface,
            version,
            device: device.filter(|device| *device != interface),
            // At least one address has to be advertised.
            hides_first: hides_first && kinds.len() > 1,
            kinds,
            source,
            priority,
            centiseconds,
            preempt,
            accept,
            expect_master,
            track,
            delays,
            on_lower_priority,
            routes,
            peers,
        }
    })
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::V4), Just(Kind::LinkLocal), Just(Kind::V6)]
}

/// Mostly zero.
fn any_delays() -> impl Strategy<Value = [u64; 4]> {
    let delay = || prop_oneof![3 => Just(0_u64), 1 => 1..100_u64, 1 => Just(10_000)];
    [delay(), delay(), delay(), delay()]
}

fn any_version() -> impl Strategy<Value = Version> {
    prop_oneof![1 => Just(Version::V2), 3 => Just(Version::V3)]
}

fn any_mostly() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.85)
}
