//! Fuzz target that turns bytes into inputs of an engine.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vrrp_proto::invariants::Invariants;
use vrrp_proto::params::{
    AddressOptions, AntiReplay, Authentication, Effect, GroupParams, HmacMode, HmacParams,
    NodeParams, Peer, RouterParams, Track, TrackerKind, TrackerParams, Unicast, Verdict,
};
use vrrp_proto::wire::hmac::{Key, KeyId, Sequence, TRAILER_LEN, sign};
use vrrp_proto::wire::{AddressList, Advert, Auth, ChecksumForm, group};
use vrrp_proto::{
    AdvertInterval, Engine, Family, Input, Instant, InterfaceAddress, InterfaceIndex, Link, Loss,
    MacAddress, Packet, Password, Priority, Version, Vrid,
};

use crate::choices::Choices;

/// VRID of the routers with unicast peers, and the peer that is configured by name.
const UNICAST: u8 = 3;
const PEER: &str = "peer.example";

/// Maximum number of inputs.
const STEPS: usize = 300;

/// Passes inputs to an engine. The configurations are either such as `vrrp-config` accepts, and the engine
/// has to keep all invariants; or any that the types allow, and the engine must not panic and must come to
/// rest.
///
/// # Panics
///
/// When the engine does not.
pub fn engine(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut node = Node {
        is_valid: choices.mostly(),
        ..Node::default()
    };
    for index in 1..=2 {
        let link = choices.link(index, index);
        node.give(Input::Link(link));
        for _ in 0..2 {
            let input = choices.address_input(index, true);
            node.give(input);
        }
    }
    let params = choices.params(node.is_valid);
    node.give(Input::Configure(params));
    for _ in 0..STEPS {
        if choices.is_used_up() {
            break;
        }
        node.step(&mut choices);
    }
    // The engine can stop in any state. The second stop ends the hand-overs.
    node.give(Input::Stop);
    node.tick();
    node.give(Input::Stop);
    assert_eq!(
        node.engine.held().next(),
        None,
        "an address is held after the stop"
    );
    let snapshot = node.engine.snapshot(node.now);
    assert!(
        snapshot.instances.len() < 20,
        "{} routers",
        snapshot.instances.len()
    );
    for router in snapshot.instances {
        let history = router.history.len();
        assert!(history <= 100, "a history of {history} transitions");
    }
}

struct Node {
    engine: Engine,
    invariants: Invariants,
    now: Instant,
    is_valid: bool,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            engine: Engine::new(),
            invariants: Invariants::default(),
            now: Instant::from_nanos(1_000_000_000_000),
            is_valid: true,
        }
    }
}

impl Node {
    fn give(&mut self, input: Input<'_>) {
        let text = format!("{input:?}");
        self.engine.handle(self.now, input);
        self.check(&text);
    }

    fn check(&mut self, after: &str) {
        if self.is_valid {
            let kept = self.invariants.check(&mut self.engine, self.now);
            assert_eq!(kept, Ok(()), "{after}");
        } else {
            let outputs = core::iter::from_fn(|| self.engine.poll());
            let outputs = outputs.count();
            assert!(outputs < 2_000, "{outputs} outputs after {after}");
        }
    }

    fn tick(&mut self) {
        if self.is_valid {
            let kept = self.invariants.check_tick(&mut self.engine, self.now);
            assert_eq!(kept, Ok(()), "a tick");
            return;
        }
        self.engine.handle(self.now, Input::Tick);
        self.check("a tick");
        if let Some((due, why)) = self.engine.poll_timeout() {
            assert!(
                due > self.now,
                "{why} is due in the past, which would be a busy loop"
            );
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let index = choices.number(1..=3_u32);
        match choices.number(0..=24_u8) {
            0 | 1 => {
                let params = choices.params(self.is_valid);
                self.give(Input::Configure(params));
            }
            2 => {
                let name = choices.number(1..=3);
                let link = choices.link(index, name);
                self.give(Input::Link(link));
            }
            3 => self.give(Input::LinkRemoved(InterfaceIndex(index))),
            4..=6 => {
                let input = choices.address_input(index, self.is_valid);
                self.give(input);
            }
            7..=11 => self.receive(choices, index),
            12 | 13 => {
                let tracker = choices.tracker();
                let result = match (&*tracker, choices.coin()) {
                    ("t1", true) => Verdict::saying(-2),
                    ("t1", false) => Verdict::saying(i64::MIN),
                    (_, up) => Verdict::of(up),
                };
                let (tracker, detail) = (&*tracker, "said".into());
                self.give(Input::Probe {
                    tracker,
                    result,
                    detail,
                });
            }
            14 => self.give(Input::Overrun),
            15 => match choices.number(0..=9_u8) {
                9 => {
                    let listeners: Vec<_> = self.engine.listeners().collect();
                    for (interface, family, vrid) in listeners {
                        let error = choices.mostly().then(|| "rejected".into());
                        self.give(Input::Unsent {
                            interface,
                            family,
                            vrid,
                            messages: 1,
                            error,
                        });
                    }
                }
                8 => {
                    let held: Vec<_> = self.engine.held().collect();
                    for (interface, address) in held {
                        let error = choices.mostly().then(|| "rejected".into());
                        self.give(Input::Rejected {
                            interface,
                            address,
                            error,
                        });
                    }
                }
                7 => self.give(Input::Stop),
                6 => self.give(Input::DropFilter(Some("no nf_tables".into()))),
                5 => self.give(Input::DropFilter(None)),
                number @ (3 | 4) => {
                    let error = (number == 4).then(|| "no socket".into());
                    for family in Family::ALL {
                        self.give(Input::Listening {
                            interface: InterfaceIndex(index),
                            family,
                            error: error.clone(),
                        });
                    }
                }
                number => {
                    let answers = (0..number).map(|n| host_address(Family::V4, n + 2).address);
                    let answers: Vec<IpAddr> = answers.collect();
                    self.give(Input::Resolved {
                        name: PEER,
                        addresses: &answers,
                    });
                }
            },
            16 | 17 => {
                let most = choices.pick(&[20_000_000, 2_000_000_000, 60_000_000_000, 1 << 52]);
                let span = choices.number(0..=most);
                self.now = self.now + Duration::from_nanos(span);
                self.tick();
            }
            // Runs until the next deadline, in time or late, and ticks.
            _ => {
                if let Some((due, _)) = self.engine.poll_timeout() {
                    let late = choices.pick(&[0, 0, 0, 0, 1, 1_000_000, 5_000_000_000]);
                    self.now = self.now.max(due) + Duration::from_nanos(late);
                }
                self.tick();
            }
        }
    }

    /// Receives an advertisement, valid or malformed.
    fn receive(&mut self, choices: &mut Choices<'_>, index: u32) {
        let source = host_address(choices.family(), choices.number(1..=5)).address;
        let form = choices.pick(&[ChecksumForm::WithPseudoHeader, ChecksumForm::MessageOnly]);
        let mut bytes = if choices.mostly() {
            choices.advert(source, form, self.now)
        } else {
            choices.bytes(40).to_vec()
        };
        if !bytes.is_empty() && !choices.mostly() {
            let at = choices.number(0..=bytes.len() - 1);
            bytes[at] = choices.number(0..=u8::MAX);
        }
        let early = choices.pick(&[0, 0, 0, 1_000_000, 1_000_000_000, 1 << 52]);
        let at = match choices.mostly() {
            true => self.now - Duration::from_nanos(early),
            false => Instant::MAX,
        };
        let packet = Packet {
            at,
            interface: InterfaceIndex(index),
            source: match choices.mostly() {
                true => source,
                false => Ipv6Addr::LOCALHOST.into(),
            },
            destination: match bytes.get(1) {
                Some(&UNICAST) => host_address(Family::of(source), 1).address,
                Some(_) | None => group(Family::of(source)),
            },
            hop_limit: choices.pick(&[255, 255, 255, 255, 255, 255, 64, 0]),
            payload: &bytes,
        };
        self.give(Input::Packet(packet));
    }
}

impl Choices<'_> {
    fn link(&mut self, index: u32, name: u32) -> Link {
        let mac = MacAddress([2, 0, 0, 0, 0, self.number(1..=2)]);
        Link {
            index: InterfaceIndex(index),
            name: interface_name(name),
            up: self.mostly(),
            carrier: self.mostly(),
            mac: self.mostly().then_some(mac),
            port_of: None,
            alternative_names: Arc::default(),
        }
    }

    fn family(&mut self) -> Family {
        self.pick(&[Family::V4, Family::V6])
    }

    /// Adds or deletes an address of the host, or one that may be virtual.
    fn address_input(&mut self, index: u32, is_valid: bool) -> Input<'static> {
        let interface = InterfaceIndex(index);
        let address = match self.coin() {
            true => host_address(self.family(), self.number(1..=5)),
            false => self.address(is_valid),
        };
        match self.mostly() {
            true => Input::AddressAdded {
                interface,
                address,
                ours: !self.mostly(),
            },
            false => Input::AddressRemoved {
                interface,
                address,
                loss: Loss::Deleted,
            },
        }
    }

    /// Returns an address that a router may have as virtual.
    fn address(&mut self, is_valid: bool) -> InterfaceAddress {
        if is_valid {
            return virtual_address(self.family(), self.number(0..=11));
        }
        let address: IpAddr = match self.number(0..=3_u8) {
            0 => Ipv6Addr::from(self.number(0..=u128::MAX)).into(),
            1 => Ipv4Addr::from(self.number(0..=u32::MAX)).into(),
            _ => return virtual_address(self.family(), self.number(0..=11)),
        };
        let prefix = self.number(0..=u8::MAX);
        InterfaceAddress { address, prefix }
    }

    fn tracker(&mut self) -> Arc<str> {
        format!("t{}", self.number(0..=4_u8)).into()
    }

    fn params(&mut self, is_valid: bool) -> NodeParams {
        let mut node = NodeParams::default();
        for n in 0..self.number(0..=3_u8) {
            let kind = match self.mostly() {
                true => TrackerKind::Probe {
                    definition: self.pick(&["a", "a", "b"]).into(),
                },
                false => TrackerKind::Interface {
                    name: interface_name(self.number(1..=3)),
                },
            };
            let counts = if is_valid {
                [1, 1, 2, 3]
            } else {
                [1, 2, 0, u32::MAX]
            };
            let mut params = TrackerParams {
                rise: self.pick(&counts),
                fall: self.pick(&counts),
                ..TrackerParams::new(kind)
            };
            if n == 2 {
                params.hold = Duration::from_secs(2);
                params.up_delay = Duration::from_secs(1);
                params.initial = Verdict::DOWN;
            }
            node.trackers.insert(format!("t{n}").into(), params);
        }
        for n in 0..self.number(1..=4_u8) {
            let router = self.router(n, is_valid);
            if self.mostly() {
                node.routers.insert(format!("VI_{n}").into(), router);
            }
        }
        put_into_groups(&mut node);
        if is_valid {
            make_valid(&mut node);
        }
        node
    }

    fn router(&mut self, n: u8, is_valid: bool) -> RouterParams {
        let version = self.pick(&[Version::V3, Version::V3, Version::V3, Version::V2]);
        let password = Password::new(b"1111").filter(|_| !self.mostly());
        let addresses: Arc<[_]> = if is_valid {
            let first = self.number(0..=2_u8);
            let count = self.number(1..=3 - first);
            let numbers = first..first + count;
            let families = numbers.map(|a| {
                let family = match version {
                    Version::V2 => Family::V4,
                    Version::V3 => self.family(),
                };
                virtual_address(family, 3 * n + a)
            });
            families.collect()
        } else {
            let count = self.pick(&[0, 1, 2, 3, 300_u16]);
            (0..count).map(|_| self.address(false)).collect()
        };
        let options = self.options(&addresses, is_valid);
        let source = match self.mostly() {
            true => None,
            false => Some(host_address(self.family(), self.number(1..=5)).address),
        };
        let tracks = (0..self.number(0..=2_u8)).map(|_| {
            let weight = match is_valid {
                true => self.number(-253..=253),
                false => self.number(i16::MIN..=i16::MAX),
            };
            Track {
                tracker: self.tracker(),
                effect: match (weight, is_valid) {
                    (0, true) => Effect::Fault,
                    _ if !self.mostly() => Effect::Fault,
                    _ => Effect::Weight(weight),
                },
            }
        });
        let tracks = tracks.collect();
        let interface = interface_name(self.number(1..=2));
        let vrid = vrid(self.pick(&[n + 1, n + 1, 1, 10 + n]));
        RouterParams {
            version,
            priority: self
                .number_or(&[100, 99, 101, 255, 1, 254])
                .unwrap_or(Priority::DEFAULT),
            interval: self.interval(version, is_valid),
            preempt: self.mostly(),
            // It consumes no bytes, so that the inputs in the corpus keep their meaning.
            accept: vrid.get() < 10,
            expect_master: !self.mostly(),
            trust_wire: self.mostly(),
            // It consumes no bytes.
            track_interface: vrid.get() < 10,
            authentication: authentication(version, password, n),
            tracks,
            options: Arc::new(options),
            source,
            // It consumes no bytes either.
            unicast: (vrid.get() == UNICAST).then(|| {
                let address = host_address(Family::V4, 2).address;
                Unicast::new([Peer::Address(address), Peer::Name(PEER.into())])
            }),
            ..RouterParams::new(interface, vrid, addresses)
        }
    }

    /// Returns options that place some addresses on another interface and exclude some from the
    /// advertisements.
    fn options(
        &mut self,
        addresses: &[InterfaceAddress],
        is_valid: bool,
    ) -> BTreeMap<IpAddr, AddressOptions> {
        let mut options = BTreeMap::new();
        // At least one address has to be advertised.
        for address in addresses.iter().skip(usize::from(is_valid)) {
            if !self.mostly() {
                let special = AddressOptions {
                    device: Some(interface_name(self.number(1..=3))).filter(|_| self.coin()),
                    advertise: self.coin(),
                    ..AddressOptions::default()
                };
                options.insert(address.address, special);
            }
        }
        options
    }

    fn number_or(&mut self, usual: &[u8]) -> Option<Priority> {
        let number = match self.mostly() {
            true => self.pick(usual),
            false => self.number(1..=255),
        };
        Priority::new(number)
    }

    fn interval(&mut self, version: Version, is_valid: bool) -> AdvertInterval {
        let interval = match version {
            Version::V2 if is_valid || self.mostly() => {
                AdvertInterval::from_seconds(self.pick(&[1, 1, 1, 2, 255]))
            }
            Version::V2 | Version::V3 => {
                AdvertInterval::from_centiseconds(self.pick(&[100, 100, 1, 37, 4095]))
            }
        };
        interval.unwrap_or(AdvertInterval::DEFAULT)
    }

    /// Builds an advertisement. All wall clocks show the engine's time, so the signature is of `now`.
    fn advert(&mut self, source: IpAddr, form: ChecksumForm, now: Instant) -> Vec<u8> {
        let version = self.pick(&[Version::V3, Version::V3, Version::V3, Version::V2]);
        let password = Password::new(b"1111").filter(|_| !self.mostly());
        let count = self.number(1..=3);
        let auth = match version {
            Version::V2 => password.map_or(Auth::None, Auth::Pass),
            Version::V3 => Auth::None,
        };
        let destination = group(Family::of(source));
        let mut message = Advert {
            version,
            vrid: vrid(self.number(1..=5)),
            priority: self.pick(&[100, 0, 99, 101, 255, 1, 254]),
            interval: self.interval(version, true),
            addresses: match source {
                IpAddr::V4(_) => AddressList::new(&[[10, 0, 0, 100]; 3][..count]),
                IpAddr::V6(_) => AddressList::new_v6(&[[0x20; 16]; 3][..count]),
            },
            auth,
        }
        .emit(form, source, destination);
        if version == Version::V3 && password.is_some() {
            message.resize(message.len() + TRAILER_LEN, 0);
            let sequence = Sequence::at(now.since(Instant::ZERO));
            sign(&mut message, source, destination, &key(), sequence);
        }
        message
    }
}

/// Adds sync groups: with two trackers the first two routers are in a group that follows the second
/// tracker, and with three the other two are in another group. It consumes no bytes, so that the inputs in
/// the corpus keep their meaning.
fn put_into_groups(node: &mut NodeParams) {
    let groups = [("VG_0", ["VI_0", "VI_1"]), ("VG_1", ["VI_3", "VI_2"])];
    for (name, members) in groups
        .into_iter()
        .take(node.trackers.len().saturating_sub(1))
    {
        let group = GroupParams {
            members: members.map(Arc::from).to_vec(),
            tracks: vec![Track {
                tracker: "t1".into(),
                effect: Effect::Weight(-60),
            }],
        };
        node.groups.insert(name.into(), group);
    }
}

/// Removes what `vrrp-config` rejects: VRIDs that are used twice on an interface, missing trackers, and
/// members that are missing or own their addresses.
fn make_valid(node: &mut NodeParams) {
    let NodeParams {
        routers,
        trackers,
        groups,
    } = node;
    let mut used = BTreeSet::new();
    routers.retain(|_, router| used.insert((Arc::clone(&router.interface), router.vrid)));
    for router in routers.values_mut() {
        let mut followed = BTreeSet::new();
        router.tracks.retain(|track| {
            trackers.contains_key(&track.tracker) && followed.insert(Arc::clone(&track.tracker))
        });
    }
    for group in groups.values_mut() {
        let moves = |name: &Arc<str>| routers.get(name).is_some_and(|r| !r.priority.is_owner());
        group.members.retain(moves);
    }
    groups.retain(|_, group| !group.members.is_empty());
}

/// Returns the authentication of a router: version 3 has HMAC instead of a password.
fn authentication(version: Version, password: Option<Password>, n: u8) -> Authentication {
    match (version, password) {
        (_, None) => Authentication::None,
        (Version::V2, Some(password)) => Authentication::Pass(password),
        (Version::V3, Some(_)) => Authentication::Hmac(HmacParams {
            active: key(),
            others: Vec::new(),
            mode: match n % 3 {
                0 => HmacMode::Enforce,
                1 => HmacMode::Permissive,
                _ => HmacMode::ReceiveOnly,
            },
            anti_replay: match n {
                0 | 1 => AntiReplay::Monotonic,
                _ => AntiReplay::Time {
                    window: Duration::from_secs(5),
                },
            },
        }),
    }
}

fn key() -> Key {
    KeyId::new(1)
        .and_then(|id| Key::new(id, &[7; 32]))
        .unwrap_or_else(|| unreachable!("32 bytes are a valid key"))
}

fn interface_name(number: u32) -> Arc<str> {
    format!("eth{number}").into()
}

/// Returns an address of a host, in IPv6 a link-local one.
fn host_address(family: Family, host: u8) -> InterfaceAddress {
    match family {
        Family::V4 => InterfaceAddress {
            address: Ipv4Addr::new(10, 0, 0, host).into(),
            prefix: 24,
        },
        Family::V6 => InterfaceAddress {
            address: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, host.into()).into(),
            prefix: 64,
        },
    }
}

/// Returns an address that may be virtual.
fn virtual_address(family: Family, number: u8) -> InterfaceAddress {
    match family {
        Family::V4 => host_address(family, 100 + number),
        Family::V6 => InterfaceAddress {
            address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()).into(),
            prefix: 64,
        },
    }
}

fn vrid(number: u8) -> Vrid {
    Vrid::new(number).unwrap_or_else(|| unreachable!("{number} is not 0"))
}
