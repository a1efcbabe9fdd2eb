//! Heap operations of the engine: in steady state sending and receiving do not allocate, and the cost
//! of an event for one router does not grow with the number of routers.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use core::cell::Cell;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;

use vrrp_proto::params::{
    AntiReplay, Authentication, GroupParams, HmacMode, HmacParams, NodeParams, RouterParams,
};
use vrrp_proto::wire::hmac::{Key, KeyId, Sequence, TRAILER_LEN, sign};
use vrrp_proto::wire::{AddressList, Advert, Auth, ChecksumForm, group};
use vrrp_proto::{
    AdvertInterval, Engine, Family, Input, Instant, InterfaceIndex, Link, Loss, MacAddress, Packet,
    State, Version, Vrid,
};

#[test]
fn master_sends_without_heap_operations() {
    let mut node = Node::mastering(250);
    for _ in 0..10 {
        let (operations, outputs) = node.count_tick();
        assert_eq!(outputs, 250, "one advertisement each");
        assert_eq!(operations, 0);
    }
}

#[test]
fn backup_receives_without_heap_operations() {
    let mut node = Node::listening(250);
    for round in 0..10 {
        for n in 0..250 {
            let (operations, outputs) = node.count_packet(n, 200);
            assert_eq!((operations, outputs), (0, 0), "round {round}, router {n}");
        }
    }
}

#[test]
fn hmac_sends_and_receives_without_heap_operations() {
    let mut node = Node::mastering_with(250, hmac());
    for round in 0..10 {
        assert_eq!(node.count_tick(), (0, 250), "round {round}");
    }
    let mut node = Node::listening_with(250, hmac());
    for round in 0..10 {
        node.now = node.now + Duration::from_millis(20);
        for n in 0..250 {
            let (interface, vrid) = place(n);
            let bytes = signed(advert(vrid.get(), 200), node.now);
            let counted = node.count(Input::Packet(packet(interface, &bytes)));
            // The first advertisement adds its sender to the replay protection.
            assert!(round == 0 || counted == (0, 0), "round {round}, router {n}");
        }
    }
    let counters = node.engine.snapshot(node.now).instances[0].counters;
    assert_eq!(counters.adverts_received, 10);
}

#[test]
fn dual_instance_sends_and_receives_without_heap_operations() {
    let mut node = Node::listening_in(&Family::ALL, 100, Authentication::None);
    for round in 0..10 {
        for n in 0..100 {
            for source in [PEER, PEER_V6] {
                let (operations, outputs) = node.count_packet_from(source, n, 200);
                assert_eq!((operations, outputs), (0, 0), "round {round}, router {n}");
            }
        }
    }
    let mut node = Node::listening_in(&Family::ALL, 100, Authentication::None).mastered();
    for _ in 0..10 {
        let (operations, outputs) = node.count_tick();
        assert_eq!(outputs, 200, "two advertisements each");
        assert_eq!(operations, 0);
    }
}

#[test]
fn sync_group_sends_and_receives_without_heap_operations() {
    let mut node = Node::grouped(20, 8);
    for round in 0..10 {
        node.now = node.now + Duration::from_millis(20);
        for n in 0..20 {
            let counted = node.count_packet(n, 200);
            // The first advertisement adds its sender to the peer table.
            assert!(round == 0 || counted == (0, 0), "round {round}, router {n}");
        }
    }
    let mut node = Node::grouped(20, 8).mastered();
    for _ in 0..10 {
        assert_eq!(node.count_tick(), (0, 20), "one advertisement each");
    }
    let _ = node.count_packet(15, 50);
    for _ in 0..10 {
        node.now = node.now + Duration::from_millis(20);
        assert_eq!(
            node.count_packet(15, 50),
            (0, 1),
            "a second master is answered"
        );
    }
}

#[test]
fn repeated_packet_drop_needs_no_heap_operations() {
    let mut node = Node::listening(250);
    let mut bad = advert(1, 200);
    bad[2] = 201;
    let first = node.count(Input::Packet(packet(InterfaceIndex(1), &bad)));
    assert_eq!(first.1, 1, "one report");
    for _ in 0..10 {
        assert_eq!(
            node.count(Input::Packet(packet(InterfaceIndex(1), &bad))),
            (0, 0)
        );
    }
}

#[test]
fn second_master_is_answered_without_heap_operations() {
    let mut node = Node::mastering(250);
    let _ = node.count_packet(7, 50);
    for _ in 0..10 {
        node.now = node.now + Duration::from_millis(20);
        let (operations, outputs) = node.count_packet(7, 50);
        assert_eq!((operations, outputs), (0, 1));
    }
}

#[test]
fn take_over_uses_a_prepared_advertisement() {
    let mut node = Node::listening(1);
    let take_over = |node: &mut Node| {
        let _ = node.count_packet(0, 200);
        let (operations, _) = node.count_tick();
        assert_eq!(node.state(0), State::Master);
        operations
    };
    // Until the history has its full length.
    let usual = (0..100).map(|_| take_over(&mut node)).last();
    let _ = node.count_packet(0, 200);
    // Another hardware address invalidates the prepared advertisement.
    let replaced = link(InterfaceIndex(1), &"eth1".into(), 99);
    let _ = node.count(Input::Link(replaced));
    assert_eq!(Some(take_over(&mut node)), usual);
}

#[test]
fn event_cost_does_not_grow_with_the_routers() {
    let few = costs(10);
    assert_eq!(few, costs(1000));
    assert!(
        few.iter().any(|(_, operations)| *operations > 0),
        "no heap operation was counted"
    );
}

/// Heap operations of the events of one router among `routers`.
fn costs(routers: usize) -> [(&'static str, u64); 4] {
    let interface = InterfaceIndex(1);
    let address = "10.1.0.1/16".parse().unwrap();

    let mut node = Node::mastering(routers);
    let repair = node
        .count(Input::AddressRemoved {
            interface,
            address,
            loss: Loss::Deleted,
        })
        .0;

    let mut node = Node::listening(routers);
    let stray = node
        .count(Input::AddressAdded {
            interface,
            address,
            ours: true,
        })
        .0;
    // All routers but the first receive advertisements.
    node.now = node.now + Duration::from_secs(3);
    for n in 1..routers {
        let _ = node.count_packet(n, 200);
    }
    let (take_over, outputs) = node.count_tick();
    assert_eq!((node.state(0), outputs), (State::Master, 4));
    let yielding = node.count_packet(0, 200).0;
    assert_eq!(node.state(0), State::Backup);
    [
        ("repair", repair),
        ("stray", stray),
        ("take-over", take_over),
        ("yielding", yielding),
    ]
}

// --- A node with many routers ------------------------------------------------------------------

struct Node {
    engine: Engine,
    now: Instant,
}

/// Number of routers on each interface.
const PER_INTERFACE: usize = 250;

impl Node {
    fn listening(routers: usize) -> Self {
        Self::listening_with(routers, Authentication::None)
    }

    fn listening_with(routers: usize, authentication: Authentication) -> Self {
        Self::listening_in(&[Family::V4], routers, authentication)
    }

    /// Node of backups, each with an address of each of the given families.
    fn listening_in(families: &[Family], routers: usize, authentication: Authentication) -> Self {
        Self::running(families, routers, authentication, |_| {})
    }

    /// Node of `routers` backups, of which the last `members` are in one sync group.
    fn grouped(routers: usize, members: usize) -> Self {
        Self::running(&[Family::V4], routers, Authentication::None, |params| {
            let last = params.routers.keys().skip(routers - members);
            let group = GroupParams {
                members: last.cloned().collect(),
                tracks: Vec::new(),
            };
            params.groups.insert("VG".into(), group);
        })
    }

    fn running(
        families: &[Family],
        routers: usize,
        authentication: Authentication,
        change: impl FnOnce(&mut NodeParams),
    ) -> Self {
        let mut engine = Engine::new();
        let now = Instant::from_nanos(1_000_000_000_000);
        let mut params = NodeParams::default();
        for n in 0..routers {
            let (interface, vrid) = place(n);
            let name: Arc<str> = format!("eth{}", interface.0).into();
            if vrid.get() == 1 {
                let index = u8::try_from(interface.0).unwrap();
                engine.handle(now, Input::Link(link(interface, &name, index)));
                for address in [format!("10.{index}.255.12/16"), "fe80::12/64".to_owned()] {
                    engine.handle(
                        now,
                        Input::AddressAdded {
                            interface,
                            address: address.parse().unwrap(),
                            ours: false,
                        },
                    );
                }
            }
            let addresses = families.iter().map(|family| match family {
                Family::V4 => format!("10.{}.0.{vrid}/16", interface.0),
                Family::V6 => format!("2001:db8:{}::{:x}/64", interface.0, vrid.get()),
            });
            let addresses = addresses.map(|text| text.parse().unwrap()).collect();
            let router = RouterParams {
                authentication: authentication.clone(),
                ..RouterParams::new(name, vrid, addresses)
            };
            params.routers.insert(format!("VI_{n:04}").into(), router);
        }
        change(&mut params);
        engine.handle(now, Input::Configure(params));
        while engine.poll().is_some() {}
        Self { engine, now }
    }

    /// Node of masters, with every buffer at its full size.
    fn mastering(routers: usize) -> Self {
        Self::listening(routers).mastered()
    }

    fn mastering_with(routers: usize, authentication: Authentication) -> Self {
        Self::listening_with(routers, authentication).mastered()
    }

    fn mastered(mut self) -> Self {
        for _ in 0..4 {
            let _ = self.count_tick();
        }
        self
    }

    fn state(&self, n: usize) -> State {
        self.engine.states().nth(n).unwrap().1
    }

    /// Heap operations and number of outputs of a tick at the next deadline.
    fn count_tick(&mut self) -> (u64, usize) {
        self.now = self.engine.poll_timeout().unwrap().0;
        self.count(Input::Tick)
    }

    /// Heap operations and number of outputs of an advertisement for the router `n`.
    fn count_packet(&mut self, n: usize, priority: u8) -> (u64, usize) {
        self.count_packet_from(PEER, n, priority)
    }

    /// As [`count_packet`](Self::count_packet), from `source` and over its family.
    fn count_packet_from(&mut self, source: IpAddr, n: usize, priority: u8) -> (u64, usize) {
        let (interface, vrid) = place(n);
        let bytes = advert_from(source, interface, vrid.get(), priority);
        self.count(Input::Packet(packet_from(source, interface, &bytes)))
    }

    fn count(&mut self, input: Input<'_>) -> (u64, usize) {
        let before = OPERATIONS.get();
        self.engine.handle(self.now, input);
        let mut outputs = 0;
        while self.engine.poll().is_some() {
            outputs += 1;
        }
        let _ = self.engine.poll_timeout();
        (OPERATIONS.get() - before, outputs)
    }
}

fn link(index: InterfaceIndex, name: &Arc<str>, last_octet: u8) -> Link {
    Link {
        index,
        name: Arc::clone(name),
        up: true,
        carrier: true,
        mac: Some(MacAddress([2, 0, 0, 0, 0, last_octet])),
        port_of: None,
        alternative_names: Arc::default(),
    }
}

fn place(n: usize) -> (InterfaceIndex, Vrid) {
    let interface = u32::try_from(n / PER_INTERFACE).unwrap() + 1;
    let vrid = u8::try_from(n % PER_INTERFACE).unwrap() + 1;
    (InterfaceIndex(interface), Vrid::new(vrid).unwrap())
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 255, 11));
const PEER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x11));

fn packet(interface: InterfaceIndex, payload: &[u8]) -> Packet<'_> {
    packet_from(PEER, interface, payload)
}

fn packet_from(source: IpAddr, interface: InterfaceIndex, payload: &[u8]) -> Packet<'_> {
    Packet {
        at: Instant::MAX,
        interface,
        source,
        destination: group(Family::of(source)),
        hop_limit: 255,
        payload,
    }
}

fn advert(vrid: u8, priority: u8) -> Vec<u8> {
    advert_from(PEER, InterfaceIndex(1), vrid, priority)
}

fn advert_from(source: IpAddr, interface: InterfaceIndex, vrid: u8, priority: u8) -> Vec<u8> {
    let index = u8::try_from(interface.0).unwrap();
    let listed_v4 = [[10, index, 0, vrid]];
    let listed_v6 = [
        0xfe80_u128 << 112 | 0x11,
        0x2001_0db8_0001_u128 << 80 | u128::from(vrid),
    ];
    let listed_v6 = listed_v6.map(u128::to_be_bytes);
    Advert {
        version: Version::V3,
        vrid: Vrid::new(vrid).unwrap(),
        priority,
        interval: AdvertInterval::DEFAULT,
        addresses: match source {
            IpAddr::V4(_) => AddressList::new(&listed_v4),
            IpAddr::V6(_) => AddressList::new_v6(&listed_v6),
        },
        auth: Auth::None,
    }
    .emit(
        ChecksumForm::WithPseudoHeader,
        source,
        group(Family::of(source)),
    )
}

fn key() -> Key {
    Key::new(KeyId::new(1).unwrap(), &[7; 32]).unwrap()
}

fn hmac() -> Authentication {
    Authentication::Hmac(HmacParams {
        active: key(),
        others: Vec::new(),
        mode: HmacMode::Enforce,
        anti_replay: AntiReplay::Time {
            window: Duration::from_secs(5),
        },
    })
}

/// Signs a message, with a wall clock that equals the engine's time.
fn signed(mut message: Vec<u8>, now: Instant) -> Vec<u8> {
    message.resize(message.len() + TRAILER_LEN, 0);
    let sequence = Sequence::at(now.since(Instant::ZERO));
    sign(&mut message, PEER, group(Family::V4), &key(), sequence);
    message
}

// --- The counter -------------------------------------------------------------------------------

thread_local! {
/// Heap operations of this thread; each test runs in its own.
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count_one() {
    OPERATIONS.set(OPERATIONS.get() + 1);
}

#[expect(
    unsafe_code,
    reason = "the trait of a global allocator is unsafe; the methods only call System"
)]
// SAFETY: each method passes its arguments on to `System`, under the same conditions; the counter
// is a constant-initialised thread-local without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller meets the conditions of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count_one();
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}
