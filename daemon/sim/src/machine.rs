//! Environment of a host's node: the model of the kernel, the sockets, and a record of each input and
//! its outputs for the invariants.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use vrrp_node::conflicts::Conflicts;
use vrrp_node::device::DeviceChange;
use vrrp_node::host::{Host, RejectedAdvert, Severity, WitnessedPacket};
use vrrp_node::listeners::{Defended, Listeners, Path, VridSet, Watched};
use vrrp_node::lvs;
use vrrp_node::mirror::{Held, Mirror};
use vrrp_node::node::Node;
use vrrp_proto::params::{NodeParams, Verdict};
use vrrp_proto::snapshot::RouterStatus;
use vrrp_proto::{
    Advertisement, Cause, Desired, DesiredLvs, Engine, Family, FaultReason, Input, Instant,
    InterfaceAddress, InterfaceIndex, Link, MacAddress, Output, Packet, Report, Solicitation,
    Transition, Vrid,
};

use crate::device_reaper::DeviceReaper;
use crate::kernel::Kernel;
use crate::records::{Arrival, Datagram, Fed, Message, News, Record, Sent, Shown};
use crate::scenario::{Config, interface_name, virtual_address};

/// Capacity of a socket buffer, in packets.
pub(crate) const SOCKET_BUFFER: usize = 64;

/// Capacity of the buffer of a packet socket, in packets.
const WITNESS_BUFFER: usize = 1_024;

/// Time between the arrival of a claim and its input.
const CLAIM_DELAY: Duration = Duration::from_millis(100);

/// Number of turns of a master among which one finds a claim of a stranger.
const TURNS_PER_CLAIM: u32 = 16;

/// Hardware address of a host that is no router.
const STRANGER: MacAddress = MacAddress([2, 0, 0, 0, 0xff, 0xff]);

/// State of the machine that ends with its daemon.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) sockets: BTreeMap<Path, Socket>,
    watched: Watched,
    witnessed: BTreeMap<InterfaceIndex, VecDeque<Arrival>>,
    /// Packets that the node has read and not handed in, in the type of the simulation.
    arrivals: Vec<Arrival>,
    /// Claims of virtual addresses by other hosts, and the arrival of the first that waits.
    conflicts: Conflicts,
    claimed_at: Option<Instant>,
    pub(crate) defended: Defended,
    /// Draws the claims of strangers, so that they change nothing else in a scenario.
    strangers: Pcg64Mcg,
    pub(crate) device_reaper: DeviceReaper,
    /// Interface on which the IPVS sync daemon was started.
    started_on: Option<InterfaceIndex>,
    /// Last desired state of the IPVS sync daemon, if the kernel rejected it.
    unkept: Option<DesiredLvs>,
    /// Whether a router may advertise without a destination or without a link.
    may_be_alone: bool,
    now: Instant,
    /// Configuration of the next input, in the type of the simulation.
    config: Option<Config>,
    /// Packet of the next input, in the type of the simulation.
    packet: Option<Fed>,
    /// Present input of the engine, and the deadline before it.
    fed: Option<(Fed, Option<Instant>)>,
    records: Vec<Record>,
    sent: Vec<Sent>,
    /// Advertisements that the kernel rejected in this turn.
    rejected: Vec<RejectedAdvert>,
}

#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) vrids: VridSet,
    pub(crate) queue: VecDeque<(Instant, Rc<Datagram>)>,
}

impl Own {
    /// State of a daemon that starts with `config`.
    pub(crate) fn new(now: Instant, config: Config) -> Self {
        Self {
            sockets: BTreeMap::new(),
            watched: Watched::new(),
            witnessed: BTreeMap::new(),
            arrivals: Vec::new(),
            conflicts: Conflicts::default(),
            claimed_at: None,
            defended: Defended::new(),
            strangers: Pcg64Mcg::seed_from_u64(now.as_nanos()),
            device_reaper: DeviceReaper::default(),
            started_on: None,
            unkept: None,
            may_be_alone: may_be_alone(&config),
            now,
            config: Some(config),
            packet: None,
            fed: None,
            records: Vec::new(),
            sent: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// Records a packet that arrived at an interface, if the daemon watches its VRID there.
    pub(crate) fn witness(&mut self, vrid: Vrid, arrival: Arrival) {
        let vrids = self.watched.get(&arrival.interface);
        if vrids.is_some_and(|vrids| vrids.contains(vrid)) {
            let queue = self.witnessed.entry(arrival.interface).or_default();
            // A full buffer drops the packet, as a socket does.
            if queue.len() < WITNESS_BUFFER {
                queue.push_back(arrival);
            }
        }
    }

    /// Records a claim of a virtual address that arrived at an interface.
    pub(crate) fn hear_claim(
        &mut self,
        at: Instant,
        interface: InterfaceIndex,
        address: IpAddr,
        mac: MacAddress,
    ) {
        self.conflicts.record(interface, address, mac);
        self.claimed_at.get_or_insert(at);
    }

    pub(crate) const fn begin_turn(&mut self, now: Instant) {
        self.now = now;
    }
}

/// Environment for the duration of a turn.
#[derive(Debug)]
pub(crate) struct Machine<'h> {
    pub(crate) kernel: &'h mut Kernel,
    pub(crate) own: &'h mut Own,
}

impl Machine<'_> {
    /// Returns the records and the sent packets of this turn.
    pub(crate) fn end_turn(self) -> (Vec<Record>, Vec<Sent>) {
        (
            mem::take(&mut self.own.records),
            mem::take(&mut self.own.sent),
        )
    }

    pub(crate) fn take_message(
        &mut self,
        now: Instant,
        wall: Duration,
        message: Message,
        params: impl Fn(&Config) -> NodeParams,
        node: &mut Node,
    ) {
        match message {
            // The services reload nothing after a stop signal.
            Message::Configure(_) if node.is_stopping() => {}
            Message::Configure(config) => {
                let params = params(&config);
                self.own.may_be_alone = may_be_alone(&config);
                self.own.config = Some(config);
                node.configure(now, wall, params, self);
            }
            Message::Resolved { name, addresses } => {
                let (name, addresses) = (&*name, &*addresses);
                node.handle(now, Input::Resolved { name, addresses }, self);
            }
            Message::Probe { tracker, up } => {
                let input = Input::Probe {
                    tracker: &tracker,
                    result: Verdict::of(up),
                    detail: "".into(),
                };
                node.handle(now, input, self);
            }
            Message::Command(command) => node.handle(now, Input::Command(command), self),
            Message::EndCommand(key) => {
                let by = "operator".into();
                node.handle(now, Input::EndCommand { key, by }, self);
            }
            Message::Announce(router) => {
                node.handle(now, Input::Announce(router.as_deref()), self);
            }
            Message::Stop => node.stop(now, self),
        }
    }

    /// Handles the kernel's notifications of links and addresses.
    pub(crate) fn take_news(&mut self, now: Instant, node: &mut Node) {
        if self.kernel.take_overrun() {
            node.look_at(now);
        }
        let events: Vec<_> = std::iter::from_fn(|| self.kernel.news()).collect();
        node.take_news(now, events.into_iter(), self);
    }

    /// Hands in the claims of other routers, and now and then those of a stranger or of this host.
    pub(crate) fn take_claims(&mut self, now: Instant, node: &mut Node) {
        let defended = &self.own.defended;
        if !defended.is_empty() && self.own.strangers.random_range(0..TURNS_PER_CLAIM) == 0 {
            let which = self.own.strangers.random_range(0..defended.len());
            let (interface, address) = *defended.iter().nth(which).expect("less than its length");
            let own = self.kernel.mac(interface);
            let mac = own
                .filter(|_| self.own.strangers.random())
                .unwrap_or(STRANGER);
            for _ in 0..self.own.strangers.random_range(1..=3) {
                self.own.conflicts.record(interface, address, mac);
            }
        } else if self.own.claimed_at.is_none_or(|at| now < at + CLAIM_DELAY) {
            return;
        }
        self.own.claimed_at = None;
        for conflict in self.own.conflicts.take() {
            node.handle(now, Input::AddressConflict(conflict), self);
        }
    }

    pub(crate) fn take_packets(
        &mut self,
        now: Instant,
        may_choose: bool,
        node: &mut Node,
        rng: &mut Pcg64Mcg,
    ) {
        let mut places: Vec<_> = self.own.sockets.keys().copied().collect();
        // The poller reports ready sockets in any order.
        if places.len() > 1 && rng.random() {
            places.reverse();
        }
        for place in places {
            let (interface, family) = place;
            while let Some((arrived, packet)) = self
                .own
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
                let mut listeners = node.engine().listeners();
                let is_listened_for = listeners
                    .any(|(interface, family, vrid)| (interface, family, Some(vrid)) == place);
                drop(listeners);
                let sight = Sight {
                    engine: node.engine(),
                    mirror: node.mirror(),
                    sockets: &self.own.sockets,
                    forbids: self.kernel.forbids(),
                };
                self.own.packet = Some(Fed::Packet {
                    arrived,
                    interface,
                    is_listened_for,
                    own_source: sight.source_for(interface, &packet, may_choose),
                    packet: Rc::clone(&packet),
                });
                node.handle(now, input, self);
            }
        }
    }

    /// Repeats the change of the IPVS sync daemon that the kernel rejected.
    pub(crate) fn synchronise_again(&mut self, now: Instant, node: &mut Node) {
        if let Some(desired) = self.own.unkept.take()
            && self.synchronise(desired).is_err()
        {
            node.see_later(now);
        }
    }

    /// Converts an input to the type that the invariants use.
    fn fed(&mut self, input: &Input<'_>) -> Fed {
        match input {
            Input::Link(link) => Fed::News(News::Link(link.clone())),
            Input::LinkRemoved(index) => Fed::News(News::LinkRemoved(*index)),
            Input::AddressAdded { .. } => Fed::News(News::AddressAdded),
            Input::AddressRemoved { .. } => Fed::News(News::AddressRemoved),
            Input::RoutingAdded(_) | Input::RoutingRemoved { .. } => Fed::News(News::Routing),
            Input::Resume(_) | Input::Leave => Fed::Restart,
            Input::Configure(_) => {
                let config = self.own.config.take();
                Fed::Configure(
                    config.expect("take_message stores the configuration before the input"),
                )
            }
            Input::Packet(_) => {
                let packet = self.own.packet.take();
                packet.expect("take_packets stores the packet before the input")
            }
            Input::Witnessed(packets) => {
                let arrivals = &mut self.own.arrivals;
                let handed = packets.iter().filter_map(|packet| {
                    let is_it = |arrival: &Arrival| {
                        (arrival.at, arrival.interface) == (packet.at, packet.interface)
                            && arrival.packet.source == packet.source
                            && *arrival.packet.payload == *packet.payload
                    };
                    let place = arrivals.iter().position(is_it)?;
                    Some(arrivals.remove(place))
                });
                Fed::Witnessed(handed.collect())
            }
            Input::AddressConflict(conflict) => Fed::AddressConflict {
                conflict: *conflict,
                counted: 0,
            },
            Input::Probe {
                tracker, result, ..
            } => Fed::Probe {
                tracker: (*tracker).to_owned(),
                up: result.up,
            },
            Input::Resolved { name, addresses } => Fed::Resolved {
                name: (*name).to_owned(),
                addresses: addresses.to_vec(),
            },
            Input::Listening { .. } => Fed::Listening,
            Input::Rejected { .. } => Fed::Rejected,
            Input::Unsent {
                interface,
                family,
                vrid,
                error,
                ..
            } => Fed::Unsent {
                interface: *interface,
                family: *family,
                vrid: vrid.get(),
                is_sent: error.is_none(),
            },
            Input::DropFilter(why) => Fed::DropRule {
                able: why.is_none(),
            },
            Input::Command(command) => Fed::Command(command.clone()),
            Input::EndCommand { key, .. } => Fed::EndCommand(key.clone()),
            Input::Announce(router) => Fed::Announce(router.map(str::to_owned)),
            Input::WallClock(shows) => Fed::WallClock(*shows),
            Input::Overrun => Fed::Overrun,
            Input::Tick => Fed::Tick,
            Input::Stop => Fed::Stop,
            Input::Inhibited { .. } => unreachable!("resources are simulated separately"),
        }
    }
}

impl Host for Machine<'_> {
    type Kernel = Kernel;

    fn kernel(&mut self) -> &mut Kernel {
        self.kernel
    }

    fn listen(&mut self, listeners: &Listeners) -> Vec<(Path, io::Error)> {
        let mut failures = Vec::new();
        for (place, vrids) in listeners {
            let sockets = &mut self.own.sockets;
            if !sockets.contains_key(place) && !self.kernel.opens_socket() {
                failures.push((*place, io::ErrorKind::OutOfMemory.into()));
                continue;
            }
            let socket = sockets.entry(*place).or_insert_with(|| Socket {
                vrids: VridSet::default(),
                queue: VecDeque::new(),
            });
            socket.vrids = *vrids;
        }
        failures
    }

    fn listen_only(&mut self, listeners: &Listeners) {
        let sockets = &mut self.own.sockets;
        // Unread packets of a closed socket are lost with it.
        sockets.retain(|place, _| listeners.contains_key(place));
    }

    fn watch(&mut self, watched: &Watched, _mirror: &Mirror) {
        self.own.watched.clone_from(watched);
        let queues = &mut self.own.witnessed;
        queues.retain(|interface, _| watched.contains_key(interface));
    }

    fn witnessed(&mut self, packets: &mut Vec<WitnessedPacket>) {
        for queue in self.own.witnessed.values_mut() {
            for arrival in queue.drain(..) {
                packets.push(WitnessedPacket {
                    at: arrival.at,
                    interface: arrival.interface,
                    source: arrival.packet.source,
                    destination: arrival.packet.destination,
                    hop_limit: arrival.packet.hop_limit,
                    payload: arrival.packet.payload[..].into(),
                });
                self.own.arrivals.push(arrival);
            }
        }
    }

    fn defend(&mut self, addresses: &Defended) -> io::Result<()> {
        self.own.conflicts.defend(addresses.clone());
        self.own.defended.clone_from(addresses);
        Ok(())
    }

    fn advertise(&mut self, advertisement: Advertisement) {
        let Advertisement {
            interface,
            source,
            destination,
            hop_limit,
            mac,
            message,
        } = advertisement;
        let place = (interface, Family::of(source));
        if let Some(segment) = self.kernel.segment(interface)
            && self.own.sockets.contains_key(&place)
            && self.kernel.carries(segment)
        {
            // A packet socket, which sends from a virtual MAC address, bypasses the firewall.
            if self.kernel.drops_output() && mac.is_none() {
                let error = io::ErrorKind::PermissionDenied.into();
                let rejected = RejectedAdvert::of(interface, source, &message, error);
                self.own.rejected.extend(rejected);
                return;
            }
            self.own.sent.push(Sent::Advert {
                segment,
                source,
                mac,
                destination,
                hop_limit,
                payload: message,
            });
        }
    }

    fn announce(&mut self, interface: InterfaceIndex, mac: MacAddress, address: IpAddr) {
        if let Some(segment) = self.kernel.segment(interface)
            && self.kernel.sends(interface)
            && !self.kernel.is_blocked(interface)
        {
            self.own.sent.push(Sent::Announcement {
                segment,
                mac,
                address,
            });
        }
    }

    fn solicit(&mut self, solicitation: Solicitation) {
        let Solicitation {
            interface,
            source,
            target,
            ..
        } = solicitation;
        if let Some(segment) = self.kernel.segment(interface)
            && self.kernel.sends(interface)
        {
            self.own.sent.push(Sent::Solicitation {
                segment,
                source,
                target,
            });
        }
    }

    fn flush(&mut self, _mirror: &Mirror, rejected: &mut Vec<RejectedAdvert>) {
        rejected.append(&mut self.own.rejected);
    }

    fn defer_devices(&mut self, changes: Vec<DeviceChange>) -> io::Result<()> {
        self.own.device_reaper.hand(self.own.now, changes);
        Ok(())
    }

    fn recall_devices(&mut self, which: &dyn Fn(&str) -> bool) {
        self.own.device_reaper.forget(which);
    }

    /// Done at once; the daemon has a thread for it. A change that the kernel rejects is repeated at
    /// the second look.
    fn synchronise(&mut self, desired: DesiredLvs) -> io::Result<()> {
        self.own.unkept = None;
        let changes = lvs::plan(&desired, self.kernel.threads(), self.own.started_on);
        let starts = |change: &lvs::Change| matches!(change, lvs::Change::Start(..));
        if !self.kernel.change_threads(&changes) {
            self.own.unkept = Some(desired);
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        if changes.iter().any(starts) {
            self.own.started_on = desired.on;
        }
        Ok(())
    }

    fn report(&mut self, _report: Report) {}

    fn complain(&mut self, _severity: Severity, _text: String) {}

    fn note(&mut self, _text: String) {}

    fn before(&mut self, _now: Instant, input: &Input<'_>, engine: &Engine) {
        let mut fed = self.fed(input);
        if let Fed::Witnessed(arrivals) = &mut fed {
            for arrival in arrivals {
                let vrid = arrival.packet.payload.get(1).copied().and_then(Vrid::new);
                let place = (arrival.interface, arrival.packet.family(), vrid);
                let mut listeners = engine.listeners();
                arrival.is_listened_for = listeners
                    .any(|(interface, family, vrid)| (interface, family, Some(vrid)) == place);
            }
        }
        if let Fed::AddressConflict { counted, .. } = &mut fed {
            *counted = conflicts(engine);
        }
        // During a dump the mirror is ahead of the inputs of the engine.
        if !matches!(fed, Fed::News(_)) {
            self.kernel.forget_dump();
        }
        self.own.fed = Some((fed, deadline(engine)));
    }

    fn after(&mut self, outputs: &[Output], engine: &Engine, mirror: &Mirror) {
        let Some((mut fed, deadline_before)) = self.own.fed.take() else {
            return;
        };
        if let Fed::AddressConflict { counted, .. } = &mut fed {
            *counted = conflicts(engine) - *counted;
        }
        let sight = Sight {
            engine,
            mirror,
            sockets: &self.own.sockets,
            forbids: self.kernel.forbids(),
        };
        let is_behind = self.kernel.was_dumped();
        let shown = if self.own.may_be_alone {
            sight.show()
        } else {
            BTreeMap::new()
        };
        self.own.records.push(Record {
            fed,
            named_truly: is_behind
                || fault_reasons(outputs).all(|fault_reason| sight.has(fault_reason)),
            speaks_for_itself: is_behind || sight.has_sources(&self.own.records, outputs),
            outputs: outputs.to_vec(),
            deadline_before,
            deadline_after: deadline(engine),
            interrupted: engine.interrupted().cloned().collect(),
            shown,
        });
    }
}

/// Number of claims that the routers of a daemon have counted.
fn conflicts(engine: &Engine) -> u64 {
    let routers = engine.snapshot(Instant::ZERO).instances.into_iter();
    routers
        .map(|router| router.counters.address_conflicts)
        .sum()
}

/// Knowledge of a daemon: its engine and its mirror of the kernel.
#[derive(Clone, Copy, Debug)]
struct Sight<'a> {
    engine: &'a Engine,
    mirror: &'a Mirror,
    sockets: &'a BTreeMap<Path, Socket>,
    /// Whether the kernel rejects every address.
    forbids: bool,
}

impl Sight<'_> {
    fn show(&self) -> BTreeMap<Arc<str>, Shown> {
        let routers = self.engine.snapshot(Instant::ZERO).instances.into_iter();
        let show = |router: RouterStatus| {
            let sources = [router.source, router.source_ipv6];
            let shown = Shown {
                adverts_sent: router.counters.adverts_sent,
                sources: sources.into_iter().flatten().collect(),
                silence_counts_at: router.silence_counts_in.map_or(Instant::ZERO, absolute),
                is_unlinked: router.without_link.is_some(),
            };
            (router.name, shown)
        };
        routers.map(show).collect()
    }

    /// Returns the address from which the router of a packet would answer, if the source can have
    /// changed: a host with virtual addresses or a second own address may switch to another one.
    fn source_for(
        &self,
        interface: InterfaceIndex,
        packet: &Datagram,
        may_choose: bool,
    ) -> Option<IpAddr> {
        let vrid = *packet.payload.get(1)?;
        let family = packet.family();
        let first = virtual_address(family, packet.segment, 0);
        let is_virtual = |held: &Held| held.address.family() == family && held.address >= first;
        let has_virtual = self.mirror.addresses(interface).iter().any(is_virtual);
        if !has_virtual && !may_choose {
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

    /// Whether the mirror has the source address of every advertisement, apart from those with priority
    /// 0. `earlier` are the earlier inputs of this turn.
    fn has_sources(&self, earlier: &[Record], outputs: &[Output]) -> bool {
        let spoken_from = outputs.iter().filter_map(|output| {
            let Output::Advertise(Advertisement {
                source, message, ..
            }) = output
            else {
                return None;
            };
            Some(*source).filter(|_| message.get(2) != Some(&0))
        });
        // An owner restores its deleted address in the turn in which it advertises.
        let is_added = |source| {
            let earlier = earlier.iter().flat_map(|record| &record.outputs);
            let mut wishes = earlier.chain(outputs);
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

    /// Whether the mirror confirms a fault reason. The oracle checks the reasons of trackers.
    fn has(&self, fault_reason: &FaultReason) -> bool {
        // While notifications are pending there may be two interfaces with the same name.
        let any = |name: &str, is: &dyn Fn(&Link) -> bool| {
            self.mirror
                .links()
                .any(|link| &*link.name == name && is(link))
        };
        match fault_reason {
            FaultReason::Member { fault_reason, .. } => self.has(fault_reason),
            // Another interface may have the name: the engine reports that as missing too.
            FaultReason::InterfaceMissing(_)
            | FaultReason::AlternativeName { .. }
            | FaultReason::TrackerDown(_)
            | FaultReason::TrackerValue { .. }
            | FaultReason::DropFilterError(_)
            | FaultReason::Resource(_) => true,
            FaultReason::AddressesRejected { .. } => self.forbids,
            FaultReason::InterfaceDown(name) => any(name, &|link| !link.up),
            FaultReason::NoCarrier(name) => any(name, &|link| link.up && !link.carrier),
            FaultReason::NotEthernet(name) => any(name, &|link| link.mac.is_none()),
            FaultReason::CannotReceive { interface, .. } => {
                let links = self.mirror.links().filter(|link| link.name == *interface);
                let mut paths =
                    links.flat_map(|link| Family::ALL.map(|family| (link.index, family)));
                paths.any(|path| !self.sockets.contains_key(&path))
            }
            FaultReason::Port { interface, .. } => any(interface, &|link| link.port_of.is_some()),
            FaultReason::NoSource(address) => {
                let held = self.mirror.all();
                held.into_iter()
                    .all(|(_, held)| held.ours || held.address.address != *address)
            }
            FaultReason::NoLinkLocal(name) => {
                self.has_none_of_its_own(name, InterfaceAddress::is_link_local)
            }
            FaultReason::NoAddress(name)
            | FaultReason::OnlyVirtual {
                interface: name, ..
            } => self.has_none_of_its_own(name, |address| address.family() == Family::V4),
        }
    }

    /// Whether an interface with this name has no address of a kind that is neither the daemon's nor
    /// virtual.
    fn has_none_of_its_own(&self, name: &str, kind: impl Fn(&InterfaceAddress) -> bool) -> bool {
        let routers = self.engine.snapshot(Instant::ZERO).instances;
        let is_virtual = |address: InterfaceAddress| {
            routers.iter().any(|router| {
                let mut own = router.addresses.iter();
                !router.priority.configured.is_owner() && own.any(|a| a.address == address.address)
            })
        };
        // While notifications are pending there may be two interfaces with the same name.
        let mut named = self.mirror.links().filter(|link| &*link.name == name);
        named.any(|link| {
            let held = self.mirror.addresses(link.index);
            held.iter()
                .filter(|held| kind(&held.address))
                .all(|held| held.ours || is_virtual(held.address))
        })
    }
}

/// Time of a status that was taken at the time zero.
fn absolute(seconds: f64) -> Instant {
    Instant::ZERO + Duration::from_secs_f64(seconds)
}

fn deadline(engine: &Engine) -> Option<Instant> {
    engine.poll_timeout().map(|(at, _)| at)
}

/// Whether a router may advertise without a destination or without a link.
fn may_be_alone(config: &Config) -> bool {
    let mut routers = config.routers.values();
    routers.any(|router| router.unicast.is_some() || !router.track_interface)
}

/// Iterates over the transitions in the outputs of an engine.
pub(crate) fn transitions(outputs: &[Output]) -> impl Iterator<Item = &Transition> {
    outputs.iter().filter_map(|output| match output {
        Output::Report(Report::Transition(transition)) => Some(transition),
        Output::Report(_)
        | Output::Advertise(_)
        | Output::Kernel(_)
        | Output::Routing(_)
        | Output::Device(_)
        | Output::Lvs(_)
        | Output::Solicit(_)
        | Output::Announce(_) => None,
    })
}

fn fault_reasons(outputs: &[Output]) -> impl Iterator<Item = &FaultReason> {
    transitions(outputs).filter_map(|transition| {
        let Cause::Faulted(fault_reason) = &transition.cause else {
            return None;
        };
        Some(fault_reason)
    })
}
