//! One host with the real engine: what `vrrpd`'s node does, with the clock, the sockets and the
//! kernel replaced.
//!
//! A turn takes in what has come (news, packets, messages), ticks the engine, and carries out all
//! that came of it together. What went in and what came out of each input is recorded, for the laws
//! to look at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;
use vrrp_linux::cleanup::leftovers;
use vrrp_linux::device::{self, DeviceChange};
use vrrp_linux::mirror::{Held, Mirror};
use vrrp_linux::plan::{Change, arrange, plan, strays, unannounced};
use vrrp_linux::{lvs, routing};
use vrrp_proto::params::{NodeParams, Verdict};
use vrrp_proto::snapshot::RouterStatus;
use vrrp_proto::{
    Announcement, Cause, Desired, DesiredDevice, DesiredLvs, DesiredRouting, Engine, Family, Input,
    Instant, InterfaceAddress, InterfaceIndex, Link, MacAddress, Obstacle, Output, Packet,
    Password, Report, Transition, Version, Vrid,
};

use crate::clock::Clock;
use crate::janitor::Janitor;
use crate::kernel::{Kernel, Transaction};
use crate::network::Station;
use crate::refuser::{CannotRefuse, Refuser};
use crate::scenario::{
    Config, Families, HostSpec, Stations, host_octet, identifier, interface_name, link_local,
    own_ipv4, second_address, virtual_address,
};

/// How many packets wait in a socket at most.
const SOCKET_BUFFER: usize = 64;

/// As the daemon: after a refusal of the kernel everything is looked at again, this much later.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// What the wall clock shows at the beginning of the world, since 1970.
const BEGINNING: Duration = Duration::from_secs(1_800_000_000);

/// A packet on its way.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) from: Station,
    pub(crate) sent_at: Instant,
    pub(crate) segment: u8,
    pub(crate) source: IpAddr,
    /// A group, or an address of the receiver.
    pub(crate) destination: IpAddr,
    pub(crate) hop_limit: u8,
    pub(crate) payload: Arc<[u8]>,
    /// What it says, or `None` for what nobody may believe.
    pub(crate) says: Option<Says>,
    /// Whether who signed it, if it is signed, knows the key, and sent it just so from that address.
    pub(crate) is_genuine: bool,
}

impl Datagram {
    pub(crate) const fn family(&self) -> Family {
        Family::of(self.source)
    }
}

/// What an advertisement says, as its sender meant it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) version: Version,
    pub(crate) vrid: Vrid,
    pub(crate) priority: u8,
    pub(crate) interval: Duration,
    pub(crate) password: Option<Password>,
}

/// A host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: Station,
    pub(crate) spec: HostSpec,
    pub(crate) stations: Rc<Stations>,
    pub(crate) clock: Clock,
    /// By how many seconds its wall clock is ahead. It does not drift, because somebody keeps it right.
    pub(crate) ahead: i16,
    pub(crate) kernel: Kernel,
    /// What its configuration file says.
    pub(crate) config: Config,
    /// Sync threads of IPVS of a daemon that died, which its file says no more: they bear no mark.
    pub(crate) orphans: Vec<lvs::plan::Shown>,
    /// Whether it has power.
    pub(crate) powered: bool,
    /// Whether the machine is suspended.
    pub(crate) suspended: bool,
    /// Whether the process stands still.
    pub(crate) frozen: bool,
    pub(crate) process: Option<Process>,
    /// Which cables are out, a bit for each segment.
    pub(crate) unplugged: u8,
    /// When it turns next.
    pub(crate) next_turn: Option<Instant>,
    /// Counts its lives, so that what was meant for one does not happen to another.
    pub(crate) life: u32,
}

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) engine: Engine,
    pub(crate) mirror: Mirror,
    sockets: BTreeMap<(InterfaceIndex, Family), Socket>,
    inbox: VecDeque<Message>,
    refuser: Refuser,
    refuses: bool,
    repaired_at: Option<Instant>,
    /// As far as any router has routes or rules.
    routing: Option<routing::mirror::Mirror>,
    is_routing_looked_at: bool,
    pub(crate) janitor: Janitor,
    /// As [`Turn::refused`], in this turn so far.
    refused: Vec<Arc<str>>,
    /// Where its sync thread of IPVS was started.
    started_on: Option<InterfaceIndex>,
    /// What was wanted of that, if it was refused.
    unkept: Option<DesiredLvs>,
    look_again_at: Option<Instant>,
    is_second_look: bool,
    pub(crate) stopping: bool,
    /// What the wall clock shows in this turn.
    wall: Duration,
    /// Whether some router has peers, and may have nobody to speak to.
    has_peers: bool,
    /// Whether the host has more than one address in a family that it may come to send from.
    may_choose: bool,
}

#[derive(Debug)]
struct Socket {
    vrids: BTreeSet<Vrid>,
    queue: VecDeque<(Instant, Rc<Datagram>)>,
}

/// What the attendant hands to the node.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Configure(Config),
    Probe {
        tracker: String,
        well: bool,
    },
    Resolved {
        name: String,
        addresses: Vec<IpAddr>,
    },
    Stop,
}

/// What went into the engine.
#[derive(Debug)]
pub(crate) enum Fed {
    Configure(Config),
    News(News),
    Packet {
        arrived: Instant,
        interface: InterfaceIndex,
        /// From which address it would be answered, where that may have changed.
        own_source: Option<IpAddr>,
        /// Whether a router listens for it there.
        is_listened_for: bool,
        packet: Rc<Datagram>,
    },
    Probe {
        tracker: String,
        well: bool,
    },
    /// What a name of a peer means.
    Resolved {
        name: String,
        addresses: Vec<IpAddr>,
    },
    /// Whether packets to addresses can be refused.
    Refusal {
        able: bool,
    },
    /// What the wall clock shows.
    WallClock(Duration),
    Overrun,
    Tick,
    Stop,
}

/// What the kernel told.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Link(Link),
    LinkRemoved(InterfaceIndex),
    AddressAdded,
    AddressRemoved,
    /// Routes or rules came or went.
    Routing,
}

/// One input and what came of it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) fed: Fed,
    /// Of every obstacle that was named, whether the kernel had it so.
    pub(crate) named_truly: bool,
    /// Whether the host has every address that was spoken from, except for the last time.
    pub(crate) speaks_for_itself: bool,
    pub(crate) outputs: Vec<Output>,
    /// What the engine wanted to be ticked for before.
    pub(crate) deadline_before: Option<Instant>,
    pub(crate) deadline_after: Option<Instant>,
    /// The routers that are interrupted, afterwards.
    pub(crate) interrupted: BTreeSet<Arc<str>>,
    /// Where routers have peers: what each shows of itself.
    pub(crate) shown: BTreeMap<Arc<str>, Shown>,
}

/// What a router shows of itself and cannot be seen otherwise when it speaks to nobody.
#[derive(Debug)]
pub(crate) struct Shown {
    /// How often it has spoken.
    pub(crate) words: u64,
    /// The addresses from which it would.
    pub(crate) sources: Vec<IpAddr>,
}

/// A turn of a host.
#[derive(Debug)]
pub(crate) struct Turn {
    /// By its own clock.
    pub(crate) now: Instant,
    pub(crate) records: Vec<Record>,
    /// The interfaces with virtual MAC addresses of which the kernel refused something.
    pub(crate) refused: Vec<Arc<str>>,
}

/// What leaves a host in a turn.
#[derive(Debug)]
pub(crate) enum Sent {
    Advert {
        segment: u8,
        source: IpAddr,
        /// When it does not leave from the interface's own.
        mac: Option<MacAddress>,
        destination: IpAddr,
        hop_limit: u8,
        payload: Arc<[u8]>,
    },
    Announcement {
        segment: u8,
        mac: MacAddress,
        addresses: Arc<[InterfaceAddress]>,
    },
}

impl Host {
    pub(crate) fn new(id: Station, spec: &HostSpec, stations: &Rc<Stations>, segments: u8) -> Self {
        // Far apart, so that one's time means nothing to another.
        let offset = Duration::from_secs(1_000 * (u64::from(id) + 1));
        let mut host = Self {
            id,
            spec: spec.clone(),
            stations: Rc::clone(stations),
            clock: Clock::new(offset, spec.drift),
            ahead: 0,
            kernel: new_kernel(id, spec),
            config: spec.config.clone(),
            powered: true,
            suspended: false,
            frozen: false,
            process: None,
            unplugged: 0,
            next_turn: None,
            life: 0,
            orphans: Vec::new(),
        };
        host.bring_up(segments);
        // It has been up for a while.
        host.kernel.settle();
        host
    }

    /// Makes what the operating system makes at boot, as far as it is missing.
    pub(crate) fn bring_up(&mut self, segments: u8) {
        for segment in 0..segments {
            let plugged = self.is_plugged(segment);
            self.kernel.create(segment, plugged);
            self.kernel.change_link(segment, |link| {
                link.up = true;
                link.carrier = plugged;
                link.name = interface_name(segment).into();
            });
            self.put_own(segment, Families::Both);
        }
    }

    /// The host's own address on a segment, from which it sends.
    pub(crate) fn own(&self, family: Family, segment: u8) -> InterfaceAddress {
        match family {
            Family::V4 => own_ipv4(segment, host_octet(self.id)),
            Family::V6 => link_local(segment, identifier(self.id, &self.spec)),
        }
    }

    /// The host's second address on a segment, if it is to have one.
    pub(crate) fn second(&self, family: Family, segment: u8) -> Option<InterfaceAddress> {
        let end = match family {
            Family::V4 => host_octet(self.id),
            Family::V6 => identifier(self.id, &self.spec),
        };
        let has_second = self.spec.second;
        has_second.then(|| second_address(family, segment, end))
    }

    /// Whether a virtual address is the host's own.
    pub(crate) fn owns(&self, family: Family, segment: u8, number: u8) -> bool {
        owned(&self.spec, family).contains(&(segment, number))
    }

    /// Puts the host's own addresses of a segment where they belong.
    pub(crate) fn put_own(&mut self, segment: u8, families: Families) {
        for family in families.each() {
            self.kernel.put(segment, self.own(family, segment));
            let owned = owned(&self.spec, family);
            for (_, number) in owned.iter().filter(|(on, _)| *on == segment) {
                let address = virtual_address(family, segment, *number);
                self.kernel.put(segment, address);
            }
            self.put_second(segment, family);
        }
    }

    /// Puts its second address where it belongs, if it is to have one.
    pub(crate) fn put_second(&mut self, segment: u8, family: Family) {
        if let Some(second) = self.second(family, segment) {
            self.kernel.put(segment, second);
        }
    }

    /// Whether it is reached by an address over a segment. As on any Linux it does not matter which
    /// interface has it.
    pub(crate) fn answers_to(&self, destination: IpAddr) -> bool {
        let mut held = self.kernel.addresses();
        destination.is_multicast() || held.any(|(_, held, _)| held.address == destination)
    }

    pub(crate) const fn is_plugged(&self, segment: u8) -> bool {
        self.unplugged >> segment & 1 == 0
    }

    /// The addresses from which one of its routers sends.
    pub(crate) fn sources(&self, router: &str) -> BTreeMap<Family, IpAddr> {
        let process = self.process.iter();
        let routers = process.flat_map(|process| process.engine.snapshot(Instant::ZERO).instances);
        routers
            .filter(|known| *known.name == *router)
            .flat_map(|known| [known.source, known.source_ipv6])
            .flatten()
            .map(|source| (Family::of(source), source))
            .collect()
    }

    /// What its wall clock shows, since 1970.
    fn wall(&self, world: Instant) -> Duration {
        let shows = true_time(world);
        let off = Duration::from_secs(self.ahead.unsigned_abs().into());
        if self.ahead < 0 {
            shows - off
        } else {
            shows + off
        }
    }

    /// Whether a daemon runs here and is not held up.
    pub(crate) const fn runs(&self) -> bool {
        self.powered && !self.suspended && !self.frozen && self.process.is_some()
    }

    /// Cuts the power.
    pub(crate) fn power_off(&mut self) {
        self.life += 1;
        self.powered = false;
        self.suspended = false;
        self.frozen = false;
        self.process = None;
        self.next_turn = None;
        self.kernel = new_kernel(self.id, &self.spec);
        self.orphans.clear();
    }

    /// Its file says something else from now on.
    pub(crate) fn write_configuration(&mut self, config: Config) {
        if self.process.is_some() {
            // A daemon that wants one has stopped all others.
            if self.config.sync().is_some() {
                self.orphans.clear();
            }
        } else if config.sync() != self.config.sync() {
            self.orphans = self.kernel.threads().to_vec();
        }
        self.config = config;
    }

    /// The daemon is gone, and what it put into the kernel stays.
    pub(crate) fn lose_process(&mut self) {
        self.process = None;
        self.frozen = false;
        self.next_turn = None;
        self.kernel.listen(false);
    }

    /// What `vrrpd cleanup` does.
    pub(crate) fn clean_up(&mut self) {
        let mut mirror = Mirror::new();
        let dump = self.kernel.dump();
        mirror.replace(dump);
        let routers = self.config.routers.values();
        let configured: Vec<(String, InterfaceAddress)> = routers
            .filter(|router| !router.configured_priority().is_owner())
            .flat_map(|router| {
                let name = interface_name(router.segment);
                router
                    .virtual_addresses()
                    .map(move |address| (name.clone(), address))
            })
            .collect();
        let configured = configured
            .iter()
            .map(|(name, address)| (name.as_str(), *address));
        let mut changes = leftovers(configured, &mut mirror);
        arrange(&mut changes, &mut mirror);
        self.kernel.refuse(0);
        self.kernel.clean_routing();
        let _ = self.kernel.apply(&changes, &mut mirror);
        let _ = self
            .kernel
            .apply_devices(&device::strays(&mirror, |_| false));
        let _ = self.kernel.transact(&Transaction::Delete);
        if let Some(sync) = self.config.sync() {
            let (on, role) = (None, None);
            let desired = DesiredLvs { sync, on, role };
            let changes = lvs::plan::plan(&desired, self.kernel.threads(), None);
            let _ = self.kernel.change_threads(&changes);
        }
    }

    /// Somebody adds a virtual address where the host would hold it, if that is there.
    pub(crate) fn put_virtual(&mut self, segment: u8, number: u8, address: InterfaceAddress) {
        let mut routers = self.config.routers.values();
        let holder = routers.find(|r| r.segment == segment && r.addresses.contains(&number));
        let device = holder.and_then(|router| router.device(address.family()));
        match device.and_then(|name| self.kernel.macvlan(segment, &name)) {
            // Of IPv6 it would be tentative there as long as the interface is down.
            Some(link) if link.up || address.family() == Family::V4 => {
                self.kernel.put_on(link.index, address);
            }
            Some(_) => {}
            None => self.kernel.put(segment, address),
        }
    }

    /// The janitor does what is next, when that is due, or all that is left. Returns when it goes on,
    /// by the world's clock.
    pub(crate) fn clear(&mut self, world: Instant, all: bool) -> Option<Instant> {
        let now = self.clock.shows(world);
        let process = self.process.as_mut()?;
        if all {
            process.janitor.finish(&mut self.kernel);
        } else {
            process.janitor.toil(now, &mut self.kernel);
        }
        Some(self.clock.world(process.janitor.due()?))
    }

    /// Starts a daemon. What it does first is its first turn.
    pub(crate) fn start_process(&mut self, world: Instant) -> (Turn, Vec<Sent>) {
        let now = self.clock.shows(world);
        let wall = self.wall(world);
        self.kernel.listen(true);
        let mut process = Process {
            engine: Engine::new(),
            mirror: Mirror::new(),
            sockets: BTreeMap::new(),
            inbox: VecDeque::new(),
            refuser: Refuser::default(),
            refuses: false,
            repaired_at: None,
            routing: None,
            is_routing_looked_at: false,
            janitor: Janitor::default(),
            refused: Vec::new(),
            started_on: None,
            unkept: None,
            look_again_at: None,
            is_second_look: false,
            stopping: false,
            wall,
            has_peers: false,
            may_choose: self.spec.second,
        };
        let mut records = Vec::new();
        process.look(now, &mut self.kernel, &mut records);
        let config = self.config.clone();
        let params = config.params(self.id, &self.stations);
        if params.refuses() {
            process.refuser.adopt(&process.mirror);
        }
        process.configure(now, config, params, &mut self.kernel, &mut records);
        let sent = process.act(now, &mut self.kernel, &mut records);
        process.remove_strays(now, &mut self.kernel, &mut records);
        let refused = std::mem::take(&mut process.refused);
        if !process.refuses {
            let _ = self.kernel.transact(&Transaction::Delete);
        }
        if !process.engine.has_routing() {
            self.kernel.clean_routing();
        }
        self.process = Some(process);
        let turn = Turn {
            now,
            records,
            refused,
        };
        (turn, sent)
    }

    /// Hands something to the daemon, if there is one.
    pub(crate) fn tell(&mut self, message: Message) {
        if let Some(process) = &mut self.process {
            process.inbox.push_back(message);
        }
    }

    /// A packet arrives. Returns whether somebody is woken by it.
    pub(crate) fn receive(&mut self, world: Instant, packet: &Rc<Datagram>) -> bool {
        if !self.powered
            || self.suspended
            || !self.kernel.carries(packet.segment)
            || !self.answers_to(packet.destination)
        {
            return false;
        }
        let now = self.clock.shows(world);
        let Some(index) = self.kernel.on(packet.segment) else {
            return false;
        };
        let Some(socket) = self
            .process
            .as_mut()
            .and_then(|process| process.sockets.get_mut(&(index, packet.family())))
        else {
            return false;
        };
        let vrid = packet.payload.get(1).and_then(|vrid| Vrid::new(*vrid));
        if vrid.is_none_or(|vrid| !socket.vrids.contains(&vrid))
            || socket.queue.len() >= SOCKET_BUFFER
        {
            return false;
        }
        socket.queue.push_back((now, Rc::clone(packet)));
        true
    }

    /// Whether the daemon has something to do before its next deadline.
    pub(crate) fn has_work(&self) -> bool {
        self.kernel.has_news()
            || self.process.as_ref().is_some_and(|process| {
                !process.inbox.is_empty()
                    || process
                        .sockets
                        .values()
                        .any(|socket| !socket.queue.is_empty())
            })
    }

    /// When the daemon wants to be woken, by the world's clock.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let process = self.process.as_ref()?;
        let due = process.engine.poll_timeout().map(|(at, _)| at);
        let own = [due, process.look_again_at].into_iter().flatten().min()?;
        Some(self.clock.world(own))
    }

    /// One turn of the daemon.
    pub(crate) fn turn(&mut self, world: Instant, rng: &mut Pcg64Mcg) -> Option<(Turn, Vec<Sent>)> {
        let now = self.clock.shows(world);
        let (id, stations) = (self.id, Rc::clone(&self.stations));
        let wall = self.wall(world);
        let process = self.process.as_mut()?;
        let mut records = Vec::new();
        process.wall = wall;
        if process.engine.wants_wall_clock() {
            process.read_wall_clock(now, &mut records);
        }
        // The poller gives what is ready in any order.
        let mut order = [0, 1, 2];
        order.shuffle(rng);
        for source in order {
            match source {
                0 => {
                    let params = |config: &Config| config.params(id, &stations);
                    process.take_messages(now, params, &mut self.kernel, &mut records);
                }
                1 => process.take_news(now, &mut self.kernel, &mut records),
                _ => process.take_packets(now, rng, &mut records),
            }
        }
        if process.look_again_at.is_some_and(|at| now >= at) {
            process.look_again_at = None;
            process.prepare_refuser(now, &mut self.kernel, &mut records);
            process.look(now, &mut self.kernel, &mut records);
            process.look_at_routing(now, &self.kernel, &mut records);
            process.feed(now, Input::Overrun, Fed::Overrun, &mut records);
            process.remove_strays(now, &mut self.kernel, &mut records);
            process.is_second_look = true;
        }
        process.feed(now, Input::Tick, Fed::Tick, &mut records);
        let sent = process.act(now, &mut self.kernel, &mut records);
        let refused = std::mem::take(&mut process.refused);
        let turn = Turn {
            now,
            records,
            refused,
        };
        Some((turn, sent))
    }
}

impl Host {
    /// The routers that show an absence that is no fault yet: what the kernel lost with it is asked for
    /// when the absence ends.
    pub(crate) fn interrupted(&self) -> BTreeSet<String> {
        let process = self.process.iter();
        let interrupted = process.flat_map(|process| process.engine.interrupted());
        interrupted.map(ToString::to_string).collect()
    }
}

impl Process {
    /// Whether there is nothing left that it has asked of the kernel in vain.
    pub(crate) const fn is_content(&self) -> bool {
        self.look_again_at.is_none()
    }

    fn feed(&mut self, now: Instant, input: Input<'_>, fed: Fed, records: &mut Vec<Record>) {
        let deadline = |engine: &Engine| engine.poll_timeout().map(|(at, _)| at);
        let deadline_before = deadline(&self.engine);
        self.engine.handle(now, input);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.engine.poll()).collect();
        let named_truly = obstacles(&outputs).all(|obstacle| self.has(obstacle));
        let speaks_for_itself = self.has_sources(&outputs);
        let shown = if self.has_peers {
            self.show()
        } else {
            BTreeMap::new()
        };
        records.push(Record {
            fed,
            named_truly,
            speaks_for_itself,
            outputs,
            deadline_before,
            deadline_after: deadline(&self.engine),
            interrupted: self.engine.interrupted().cloned().collect(),
            shown,
        });
    }

    fn show(&self) -> BTreeMap<Arc<str>, Shown> {
        let routers = self.engine.snapshot(Instant::ZERO).instances.into_iter();
        let show = |router: RouterStatus| {
            let sources = [router.source, router.source_ipv6];
            let shown = Shown {
                words: router.counters.adverts_sent,
                sources: sources.into_iter().flatten().collect(),
            };
            (router.name, shown)
        };
        routers.map(show).collect()
    }

    fn configure(
        &mut self,
        now: Instant,
        config: Config,
        params: NodeParams,
        kernel: &mut Kernel,
        records: &mut Vec<Record>,
    ) {
        self.refuses = params.refuses();
        let mut routers = config.routers.values();
        self.has_peers = routers.any(|router| router.unicast.is_some());
        self.prepare_refuser(now, kernel, records);
        self.read_wall_clock(now, records);
        self.feed(
            now,
            Input::Configure(params),
            Fed::Configure(config),
            records,
        );
    }

    fn read_wall_clock(&mut self, now: Instant, records: &mut Vec<Record>) {
        let wall = self.wall;
        self.feed(now, Input::WallClock(wall), Fed::WallClock(wall), records);
    }

    /// Has the table ready before a router needs it.
    fn prepare_refuser(&mut self, now: Instant, kernel: &mut Kernel, records: &mut Vec<Record>) {
        if self.refuses {
            let outcome = self.refuser.prepare(kernel);
            self.tell_of_refusal(now, outcome, records);
        }
    }

    fn tell_of_refusal(
        &mut self,
        now: Instant,
        outcome: Result<(), CannotRefuse>,
        records: &mut Vec<Record>,
    ) {
        let able = outcome.is_ok();
        if !able {
            self.look_again_at = Some(now + SECOND_LOOK);
        }
        let input = Input::Refusal((!able).then(|| "".into()));
        self.feed(now, input, Fed::Refusal { able }, records);
    }

    fn take_messages(
        &mut self,
        now: Instant,
        params: impl Fn(&Config) -> NodeParams,
        kernel: &mut Kernel,
        records: &mut Vec<Record>,
    ) {
        while let Some(message) = self.inbox.pop_front() {
            match message {
                Message::Configure(config) => {
                    let params = params(&config);
                    self.configure(now, config, params, kernel, records);
                }
                Message::Resolved { name, addresses } => {
                    let input = Input::Resolved {
                        name: &name,
                        addresses: &addresses,
                    };
                    let fed = Fed::Resolved {
                        name: name.clone(),
                        addresses: addresses.clone(),
                    };
                    self.feed(now, input, fed, records);
                }
                Message::Probe { tracker, well } => {
                    let name = tracker.clone();
                    let input = Input::Probe {
                        tracker: &name,
                        result: Verdict::of(well),
                        detail: "".into(),
                    };
                    self.feed(now, input, Fed::Probe { tracker, well }, records);
                }
                Message::Stop => {
                    self.feed(now, Input::Stop, Fed::Stop, records);
                    self.refuses = false;
                    self.stopping = true;
                }
            }
        }
    }

    fn take_news(&mut self, now: Instant, kernel: &mut Kernel, records: &mut Vec<Record>) {
        if kernel.take_overrun() {
            self.look_again_at = Some(now);
        }
        if kernel.take_touched() {
            self.refuser.doubt();
            let lately = |at| now.since(at) < SECOND_LOOK;
            if self.repaired_at.is_some_and(lately) {
                self.look_again_at.get_or_insert(now + SECOND_LOOK);
            } else {
                self.repaired_at = Some(now);
                if let Err(error) = self.refuser.repair(kernel) {
                    self.tell_of_refusal(now, Err(error), records);
                }
            }
        }
        let mut routes_may_be_gone = kernel.take_routing_news();
        while let Some(event) = kernel.news() {
            let routing = self.routing.as_ref();
            routes_may_be_gone |=
                routing.is_some_and(|routing| routing.is_in_doubt_after(&event, &self.mirror));
            if let Some(input) = self.mirror.apply(event)
                && let Some(kind) = kind_of(&input)
            {
                self.feed(now, input, Fed::News(kind), records);
            }
        }
        if self.mirror.is_in_doubt() {
            self.look(now, kernel, records);
            routes_may_be_gone = true;
        }
        if routes_may_be_gone {
            self.look_at_routing(now, kernel, records);
        }
    }

    fn take_packets(&mut self, now: Instant, rng: &mut Pcg64Mcg, records: &mut Vec<Record>) {
        let mut places: Vec<_> = self.sockets.keys().copied().collect();
        if places.len() > 1 && rng.random() {
            places.reverse();
        }
        for place in places {
            let (interface, family) = place;
            while let Some((arrived, packet)) = self
                .sockets
                .get_mut(&place)
                .and_then(|socket| socket.queue.pop_front())
            {
                let input = Input::Packet(Packet {
                    at: arrived,
                    interface,
                    source: packet.source,
                    destination: packet.destination,
                    hop_limit: packet.hop_limit,
                    payload: &packet.payload,
                });
                let vrid = packet.payload.get(1).copied();
                let place = (interface, family, vrid.and_then(Vrid::new));
                let mut listeners = self.engine.listeners();
                let is_listened_for = listeners
                    .any(|(interface, family, vrid)| (interface, family, Some(vrid)) == place);
                drop(listeners);
                let fed = Fed::Packet {
                    arrived,
                    interface,
                    is_listened_for,
                    own_source: self.source_for(interface, &packet),
                    packet: Rc::clone(&packet),
                };
                self.feed(now, input, fed, records);
            }
        }
    }

    /// From which address the router of a packet would answer it, where that may be another than ever:
    /// a host that has virtual addresses or others of its own may come to send from one.
    fn source_for(&self, interface: InterfaceIndex, packet: &Datagram) -> Option<IpAddr> {
        let vrid = *packet.payload.get(1)?;
        let family = packet.family();
        let first = virtual_address(family, packet.segment, 0);
        let is_virtual = |held: &Held| held.address.family() == family && held.address >= first;
        let has_virtual = self.mirror.addresses(interface).iter().any(is_virtual);
        if !has_virtual && !self.may_choose {
            return None;
        }
        let routers = self.engine.snapshot(Instant::ZERO).instances;
        routers
            .iter()
            .filter(|router| {
                router.virtual_router_id.get() == vrid
                    && *router.interface == *interface_name(packet.segment)
            })
            .flat_map(|router| [router.source, router.source_ipv6])
            .flatten()
            .find(|source| Family::of(*source) == family)
    }

    fn look(&mut self, now: Instant, kernel: &mut Kernel, records: &mut Vec<Record>) {
        for input in self.mirror.replace(kernel.dump()) {
            if let Some(kind) = kind_of(&input) {
                self.feed(now, input, Fed::News(kind), records);
                // The mirror is ahead of what the engine has been told.
                if let Some(record) = records.last_mut() {
                    record.named_truly = true;
                    record.speaks_for_itself = true;
                }
            }
        }
    }

    /// Whether the mirror shows every address that is spoken from, but for who leaves.
    fn has_sources(&self, outputs: &[Output]) -> bool {
        let spoken_from = outputs.iter().filter_map(|output| {
            let Output::Advertise {
                source, message, ..
            } = output
            else {
                return None;
            };
            Some(*source).filter(|_| message.get(2) != Some(&0))
        });
        // An owner whose address was taken away puts it back in the turn in which it speaks.
        let is_added = |source| {
            let mut wishes = outputs.iter();
            wishes.any(|output| {
                matches!(output, Output::Kernel(Desired { hold, .. })
                    if hold.iter().any(|held| held.address == source))
            })
        };
        let has = |source| {
            let held = self.mirror.all();
            held.into_iter()
                .any(|(_, held)| held.address.address == source)
                || is_added(source)
        };
        spoken_from.collect::<BTreeSet<_>>().into_iter().all(has)
    }

    /// Whether the mirror shows what an obstacle says. What trackers say is known elsewhere.
    fn has(&self, obstacle: &Obstacle) -> bool {
        // While news are on their way there may be two of a name.
        let any = |name: &str, is: &dyn Fn(&Link) -> bool| {
            self.mirror
                .links()
                .any(|link| &*link.name == name && is(link))
        };
        match obstacle {
            Obstacle::Member { obstacle, .. } => self.has(obstacle),
            // It may be another one of that name, which the engine says so too.
            Obstacle::InterfaceMissing(_)
            | Obstacle::TrackerDown(_)
            | Obstacle::TrackerValue { .. }
            | Obstacle::CannotRefuse(_)
            | Obstacle::Resource(_) => true,
            Obstacle::InterfaceDown(name) => any(name, &|link| !link.up),
            Obstacle::NoCarrier(name) => any(name, &|link| link.up && !link.carrier),
            Obstacle::NotEthernet(name) => any(name, &|link| link.mac.is_none()),
            Obstacle::Port { interface, .. } => any(interface, &|link| link.port_of.is_some()),
            Obstacle::NoSource(address) => {
                let held = self.mirror.all();
                held.into_iter()
                    .all(|(_, held)| held.ours || held.address.address != *address)
            }
            Obstacle::NoLinkLocal(name) => {
                self.has_none_of_its_own(name, InterfaceAddress::is_link_local)
            }
            Obstacle::NoAddress(name)
            | Obstacle::OnlyVirtual {
                interface: name, ..
            } => self.has_none_of_its_own(name, |address| address.family() == Family::V4),
        }
    }

    /// Whether an interface of that name has no address of a kind that is neither ours nor virtual.
    fn has_none_of_its_own(&self, name: &str, kind: impl Fn(&InterfaceAddress) -> bool) -> bool {
        let routers = self.engine.snapshot(Instant::ZERO).instances;
        let is_virtual = |address: InterfaceAddress| {
            routers.iter().any(|router| {
                let mut own = router.addresses.iter();
                !router.priority.configured.is_owner() && own.any(|a| a.address == address.address)
            })
        };
        // While news are on their way there may be two of a name.
        let mut named = self.mirror.links().filter(|link| &*link.name == name);
        named.any(|link| {
            let held = self.mirror.addresses(link.index);
            held.iter()
                .filter(|held| kind(&held.address))
                .all(|held| held.ours || is_virtual(held.address))
        })
    }

    /// Carries out what the engine wants: who is new is heard first, who leaves speaks before.
    fn act(&mut self, now: Instant, kernel: &mut Kernel, records: &mut Vec<Record>) -> Vec<Sent> {
        let (mut sent, outcome) = self.act_once(now, kernel, records);
        if outcome.is_err() {
            // Whoever has to refuse packets and cannot is in fault: that is to be carried out too.
            let first = records.len();
            self.tell_of_refusal(now, outcome, records);
            let (more, outcome) = self.act_once(now, kernel, &records[first..]);
            sent.extend(more);
            if outcome.is_err() {
                self.tell_of_refusal(now, outcome, records);
            }
        }
        if !self.refuses {
            self.refuser.retire(kernel);
        }
        sent
    }

    fn act_once(
        &mut self,
        now: Instant,
        kernel: &mut Kernel,
        records: &[Record],
    ) -> (Vec<Sent>, Result<(), CannotRefuse>) {
        let mut listeners: BTreeMap<_, BTreeSet<Vrid>> = BTreeMap::new();
        for (interface, family, vrid) in self.engine.listeners() {
            let place = (interface, family);
            listeners.entry(place).or_default().insert(vrid);
        }
        for (place, vrids) in &listeners {
            let socket = self.sockets.entry(*place).or_insert_with(|| Socket {
                vrids: BTreeSet::new(),
                queue: VecDeque::new(),
            });
            socket.vrids.clone_from(vrids);
        }
        let (mut adverts, mut announcements, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        let mut wanted: Vec<&Desired> = Vec::new();
        let (mut routing, mut synchronisation) = (Vec::new(), None);
        let mut devices = BTreeMap::new();
        for output in records.iter().flat_map(|record| &record.outputs) {
            match output {
                Output::Advertise {
                    interface,
                    source,
                    destination,
                    hop_limit,
                    mac,
                    message,
                } => {
                    if let Some(segment) = kernel.segment(*interface)
                        && self
                            .sockets
                            .contains_key(&(*interface, Family::of(*source)))
                        && kernel.carries(segment)
                    {
                        adverts.push(Sent::Advert {
                            segment,
                            source: *source,
                            mac: *mac,
                            destination: *destination,
                            hop_limit: *hop_limit,
                            payload: Arc::clone(message),
                        });
                    }
                }
                Output::Kernel(desired) => wanted.push(desired),
                Output::Routing(desired) => routing.push(desired.clone()),
                Output::Announce(announcement) => announcements.push(announcement.clone()),
                Output::Device(desired) => {
                    devices.insert(Arc::clone(&desired.name), desired.clone());
                }
                Output::Lvs(desired) => synchronisation = Some(desired),
                Output::Report(_) => {}
            }
        }
        let covered = self.refuser.cover(&wanted, kernel);
        for desired in wanted {
            let mut desired = desired.clone();
            if covered.is_err() && !desired.accept {
                desired.hold = Arc::default();
            }
            plan(&desired, &mut self.mirror, &mut changes);
        }
        let routes = self.release_routing(now, kernel, &routing);
        let later = self.change_devices(now, kernel, &devices);
        self.apply(now, kernel, &mut changes);
        self.hold_routing(now, kernel, &routes);
        self.janitor.hand(now, later);
        let uncovered = self.refuser.uncover(&self.mirror, kernel);
        let is_second_look = std::mem::take(&mut self.is_second_look);
        if is_second_look {
            let late = unannounced(&changes, &self.mirror, &announcements);
            announcements.extend(late);
        }
        self.sockets
            .retain(|place, _| listeners.contains_key(place));
        for Announcement {
            interface,
            mac,
            addresses,
            ..
        } in announcements
        {
            if let Some(segment) = kernel.segment(interface)
                && kernel.sends(interface)
            {
                let held =
                    |address: &InterfaceAddress| self.mirror.held(interface, *address).is_some();
                adverts.push(Sent::Announcement {
                    segment,
                    mac,
                    addresses: addresses.iter().copied().filter(held).collect(),
                });
            }
        }
        let unkept = self.unkept.take_if(|_| is_second_look);
        if let Some(desired) = synchronisation.or(unkept.as_ref()) {
            self.synchronise(now, kernel, desired);
        }
        (adverts, covered.and(uncovered))
    }

    /// Carries out what is to be done to interfaces with virtual MAC addresses before addresses come
    /// to them, and returns what is to be done when they are gone.
    fn change_devices(
        &mut self,
        now: Instant,
        kernel: &mut Kernel,
        wishes: &BTreeMap<Arc<str>, DesiredDevice>,
    ) -> Vec<DeviceChange> {
        self.janitor.forget(|name| wishes.contains_key(name));
        let (first, later): (Vec<_>, Vec<_>) = wishes
            .values()
            .flat_map(|desired| device::plan(desired, &self.mirror))
            .partition(DeviceChange::comes_first);
        for refused in kernel.apply_devices(&first) {
            self.refused.push(Arc::clone(refused.name()));
            self.look_again_at = Some(now + SECOND_LOOK);
        }
        later
    }

    /// What the daemon's thread for IPVS does, at once. What the kernel refuses it tries again at the
    /// second look.
    fn synchronise(&mut self, now: Instant, kernel: &mut Kernel, desired: &DesiredLvs) {
        let changes = lvs::plan::plan(desired, kernel.threads(), self.started_on);
        let starts = |change: &lvs::plan::Change| matches!(change, lvs::plan::Change::Start(..));
        self.unkept = None;
        if !kernel.change_threads(&changes) {
            self.unkept = Some(desired.clone());
            self.look_again_at = Some(now + SECOND_LOOK);
        } else if changes.iter().any(starts) {
            self.started_on = desired.on;
        }
    }

    /// Plans what is wanted of routes and rules, and takes away what has to go.
    fn release_routing(
        &mut self,
        now: Instant,
        kernel: &mut Kernel,
        desired: &[DesiredRouting],
    ) -> Vec<routing::plan::Change> {
        let (mut changes, mut failures) = (Vec::new(), Vec::new());
        if desired.is_empty() && !self.is_routing_looked_at {
            return changes;
        }
        let mirror = self.routing.get_or_insert_with(|| {
            kernel.hear_of_routing(true);
            self.is_routing_looked_at = true;
            let mut mirror = routing::mirror::Mirror::new();
            mirror.replace(kernel.dump_routing());
            mirror
        });
        let links = &self.mirror;
        let device = |name: &str| Some(links.link_named(name)?.index);
        routing::plan::plan(desired, device, mirror, &mut changes, &mut failures);
        if std::mem::take(&mut self.is_routing_looked_at) {
            let held: BTreeSet<_> = self.engine.held_routing().collect();
            routing::plan::strays(mirror, |what| held.contains(what), &mut changes);
        }
        let gone = changes.iter().filter(|change| change.deletes());
        if !kernel.apply_routing(gone, mirror) || !failures.is_empty() {
            self.look_again_at = Some(now + SECOND_LOOK);
        }
        changes
    }

    /// Adds what is planned.
    fn hold_routing(
        &mut self,
        now: Instant,
        kernel: &mut Kernel,
        changes: &[routing::plan::Change],
    ) {
        let Some(mirror) = &mut self.routing else {
            return;
        };
        let come = changes.iter().filter(|change| !change.deletes());
        if !kernel.apply_routing(come, mirror) {
            self.look_again_at = Some(now + SECOND_LOOK);
        }
        if mirror.is_empty() && !self.engine.has_routing() {
            self.routing = None;
            kernel.hear_of_routing(false);
        }
    }

    fn look_at_routing(&mut self, now: Instant, kernel: &Kernel, records: &mut Vec<Record>) {
        let Some(mirror) = &mut self.routing else {
            return;
        };
        self.is_routing_looked_at = true;
        for input in mirror.replace(kernel.dump_routing()) {
            self.feed(now, input, Fed::News(News::Routing), records);
        }
    }

    fn remove_strays(&mut self, now: Instant, kernel: &mut Kernel, records: &mut Vec<Record>) {
        let held: BTreeSet<_> = self.engine.held().collect();
        let mut changes = Vec::new();
        let wanted = |interface, address| held.contains(&(interface, address));
        strays(&mut self.mirror, wanted, &mut changes);
        self.apply(now, kernel, &mut changes);
        let wanted: BTreeSet<&str> = self.engine.devices().map(|name| &**name).collect();
        let left = device::strays(&self.mirror, |name| wanted.contains(name));
        self.janitor.hand(now, left);
        let uncovered = self.refuser.uncover(&self.mirror, kernel);
        if uncovered.is_err() {
            self.tell_of_refusal(now, uncovered, records);
        }
    }

    fn apply(&mut self, now: Instant, kernel: &mut Kernel, changes: &mut [Change]) {
        arrange(changes, &mut self.mirror);
        if !kernel.apply(changes, &mut self.mirror) {
            self.look_again_at = Some(now + SECOND_LOOK);
        }
        let routing = self.routing.as_ref();
        if routing.is_some_and(|routing| routing.is_in_doubt_after_own(changes, &self.mirror)) {
            self.look_again_at = Some(now);
        }
    }
}

/// What an advertisement says, read from its bytes by the figures of the RFCs and not by our code.
pub(crate) fn read(message: &[u8]) -> Option<Says> {
    let &[version_type, vrid, priority, count, fourth, fifth, ..] = message else {
        return None;
    };
    let (version, interval) = match version_type >> 4 {
        2 => (Version::V2, Duration::from_secs(fifth.into())),
        3 => {
            let centiseconds = u64::from(fourth & 0x0f) << 8 | u64::from(fifth);
            (Version::V3, Duration::from_millis(centiseconds * 10))
        }
        _ => return None,
    };
    let password = match (version, fourth) {
        (Version::V2, 1) => {
            let data = message.get(8 + 4 * usize::from(count)..)?;
            let end = data
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(data.len());
            Password::new(data.get(..end)?)
        }
        (Version::V2 | Version::V3, _) => None,
    };
    Some(Says {
        version,
        vrid: Vrid::new(vrid)?,
        priority,
        interval,
        password,
    })
}

fn obstacles(outputs: &[Output]) -> impl Iterator<Item = &Obstacle> {
    outputs.iter().filter_map(|output| match output {
        Output::Report(Report::Transition(Transition {
            cause: Cause::Unable(obstacle),
            ..
        })) => Some(obstacle),
        Output::Report(_)
        | Output::Advertise { .. }
        | Output::Kernel(_)
        | Output::Routing(_)
        | Output::Device(_)
        | Output::Lvs(_)
        | Output::Announce(_) => None,
    })
}

fn kind_of(input: &Input<'_>) -> Option<News> {
    match input {
        Input::Link(link) => Some(News::Link(link.clone())),
        Input::LinkRemoved(index) => Some(News::LinkRemoved(*index)),
        Input::AddressAdded { .. } => Some(News::AddressAdded),
        Input::AddressRemoved { .. } => Some(News::AddressRemoved),
        Input::RoutingAdded(_) | Input::RoutingRemoved(_) => Some(News::Routing),
        Input::Configure(_)
        | Input::Packet(_)
        | Input::Probe { .. }
        | Input::Refusal(_)
        | Input::Hindered { .. }
        | Input::Resolved { .. }
        | Input::Overrun
        | Input::WallClock(_)
        | Input::Tick
        | Input::Stop => None,
    }
}

/// What a wall clock that is right shows, since 1970.
pub(crate) fn true_time(world: Instant) -> Duration {
    BEGINNING + world.since(Instant::ZERO)
}

fn new_kernel(id: Station, spec: &HostSpec) -> Kernel {
    Kernel::new(id, identifier(id, spec), spec.marks, spec.promotes)
}

fn owned(spec: &HostSpec, family: Family) -> &[(u8, u8)] {
    match family {
        Family::V4 => &spec.owns,
        Family::V6 => &spec.owns_ipv6,
    }
}
