//! Host that runs the daemon's node ([`vrrp_node`]) with models of the clock, the kernel and the
//! sockets.
//!
//! The inputs of the engine and the outputs of each are recorded for the invariants.

mod restart;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;
use vrrp_node::node::Node;
use vrrp_node::{cleanup, lvs};
use vrrp_proto::operator::{CommandKey, Order, StandingCommand};
use vrrp_proto::{
    DesiredLvs, Family, Input, Instant, InterfaceAddress, MacAddress, Priority, Vrid,
};

pub(crate) use self::restart::carry_over;
use crate::clock::Clock;
use crate::kernel::Kernel;
use crate::machine::{Machine, Own, SOCKET_BUFFER};
use crate::network::Station;
use crate::records::{Arrival, Datagram, Message, Record, Sent};
use crate::scenario::{
    self, Config, Families, HostSpec, Stations, host_octet, identifier, interface_name, link_local,
    own_ipv4, second_address, virtual_address,
};

/// Wall clock at the start of the world, since 1970.
const BEGINNING: Duration = Duration::from_secs(1_800_000_000);

/// Number of arrived packets that a host remembers for the invariants.
const ARRIVALS: usize = 64;

/// Simulated host.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) id: Station,
    pub(crate) spec: HostSpec,
    pub(crate) stations: Rc<Stations>,
    pub(crate) clock: Clock,
    /// Seconds that the wall clock is ahead. It does not drift, as if it were synchronised by NTP.
    pub(crate) ahead: i16,
    pub(crate) kernel: Kernel,
    /// Content of the configuration file.
    pub(crate) config: Config,
    /// IPVS sync daemons that a former process left and that the configuration file no longer names.
    /// The kernel stores no mark for them.
    pub(crate) orphans: Vec<lvs::Shown>,
    /// Whether the machine has power.
    pub(crate) powered: bool,
    /// Whether the machine is suspended.
    pub(crate) suspended: bool,
    /// Whether the process is frozen.
    pub(crate) frozen: bool,
    pub(crate) process: Option<Process>,
    /// Whether a firewall drops the packets of protocol 112 before the sockets.
    pub(crate) drops_adverts: bool,
    /// Last packets that arrived at the interfaces.
    pub(crate) arrivals: VecDeque<Arrival>,
    /// Unplugged cables, one bit per segment.
    pub(crate) unplugged: u8,
    /// Time of the next turn.
    pub(crate) next_turn: Option<Instant>,
    /// Whether the daemon is to be started again when it has stopped.
    pub(crate) restarts: bool,
    /// Number of the present life: events of an earlier life are ignored.
    pub(crate) life: u32,
    /// Standing commands in the state directory. Those whose time is over may be among them.
    commands: BTreeMap<CommandKey, StandingCommand>,
}

/// Running daemon.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) node: Node,
    pub(crate) own: Own,
    inbox: VecDeque<Message>,
    /// Whether the host has several addresses in a family that can be the source of its advertisements.
    may_choose: bool,
}

/// Turn of a host: one iteration of the daemon's event loop.
#[derive(Debug)]
pub(crate) struct Turn {
    /// By the clock of the host.
    pub(crate) now: Instant,
    pub(crate) records: Vec<Record>,
    /// Interfaces with virtual MAC addresses for which the kernel rejected a request.
    pub(crate) refused: Vec<Arc<str>>,
}

impl Host {
    pub(crate) fn new(id: Station, spec: &HostSpec, stations: &Rc<Stations>, segments: u8) -> Self {
        // Far apart, so that a time of one host is implausible on another.
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
            drops_adverts: false,
            arrivals: VecDeque::new(),
            unplugged: 0,
            next_turn: None,
            restarts: false,
            life: 0,
            commands: BTreeMap::new(),
            orphans: Vec::new(),
        };
        host.bring_up(segments);
        // The host booted a while ago: its IPv6 addresses are no longer tentative.
        host.kernel.settle();
        host
    }

    /// Creates the interfaces and addresses that the operating system creates at boot, as far as they
    /// are missing.
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

    /// The host's own address on a segment, the source of its packets.
    pub(crate) fn own(&self, family: Family, segment: u8) -> InterfaceAddress {
        match family {
            Family::V4 => own_ipv4(segment, host_octet(self.id)),
            Family::V6 => link_local(segment, identifier(self.id, &self.spec)),
        }
    }

    /// The host's second address on a segment, if it has one.
    pub(crate) fn second(&self, family: Family, segment: u8) -> Option<InterfaceAddress> {
        let end = match family {
            Family::V4 => host_octet(self.id),
            Family::V6 => identifier(self.id, &self.spec),
        };
        let has_second = self.spec.second;
        has_second.then(|| second_address(family, segment, end))
    }

    /// Whether a virtual address is one of the host's own.
    pub(crate) fn owns(&self, family: Family, segment: u8, number: u8) -> bool {
        owned(&self.spec, family).contains(&(segment, number))
    }

    /// Adds the host's own addresses of a segment.
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

    /// Adds the host's second address of a segment, if it has one.
    pub(crate) fn put_second(&mut self, segment: u8, family: Family) {
        if let Some(second) = self.second(family, segment) {
            self.kernel.put(segment, second);
        }
    }

    /// Whether the host receives packets to an address. As in Linux (weak host model), the address may
    /// be on any interface.
    pub(crate) fn answers_to(&self, destination: IpAddr) -> bool {
        let mut held = self.kernel.addresses();
        destination.is_multicast() || held.any(|(_, held, _)| held.address == destination)
    }

    pub(crate) const fn is_plugged(&self, segment: u8) -> bool {
        self.unplugged >> segment & 1 == 0
    }

    /// Source addresses of one of its routers.
    pub(crate) fn sources(&self, router: &str) -> BTreeMap<Family, IpAddr> {
        let process = self.process.iter();
        let routers =
            process.flat_map(|process| process.node.engine().snapshot(Instant::ZERO).instances);
        routers
            .filter(|known| *known.name == *router)
            .flat_map(|known| [known.source, known.source_ipv6])
            .flatten()
            .map(|source| (Family::of(source), source))
            .collect()
    }

    /// Reading of the wall clock, since 1970.
    fn wall(&self, world: Instant) -> Duration {
        let shows = true_time(world);
        let off = Duration::from_secs(self.ahead.unsigned_abs().into());
        if self.ahead < 0 {
            shows - off
        } else {
            shows + off
        }
    }

    /// Whether a daemon runs and is neither frozen nor suspended.
    pub(crate) const fn runs(&self) -> bool {
        self.powered && !self.suspended && !self.frozen && self.process.is_some()
    }

    /// Whether the daemon was asked to stop and still hands over.
    pub(crate) fn is_stopping(&self) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|process| process.node.is_stopping())
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

    /// Lets the kernel accept the addresses of the daemon again. The administrator reloads, because no event
    /// tells the daemon.
    pub(crate) fn permit(&mut self) {
        if self.kernel.forbid(false) {
            let config = self.config.clone();
            self.tell(Message::Configure(config));
        }
    }

    /// Lets advertisements leave again. The administrator reloads, because no event tells the daemon.
    pub(crate) fn pass_output(&mut self) {
        self.kernel.drop_output(false);
        if self.kernel.forget_dropped_output() {
            let config = self.config.clone();
            self.tell(Message::Configure(config));
        }
    }

    /// Replaces the configuration file.
    pub(crate) fn write_configuration(&mut self, config: Config) {
        if self.process.is_some() {
            // A daemon with an IPVS sync daemon in its configuration has stopped all other ones.
            if self.config.sync().is_some() {
                self.orphans.clear();
            }
        } else if config.sync() != self.config.sync() {
            self.orphans = self.kernel.threads().to_vec();
        }
        self.config = config;
    }

    /// Ends the process without a cleanup: the kernel keeps its configuration.
    pub(crate) fn lose_process(&mut self) {
        // The file no longer names the sync daemon that the process was about to stop after a reload.
        let sync = self.config.sync();
        let is_said = |it: &lvs::Shown| sync.as_ref().is_some_and(|sync| it.sync == **sync);
        let threads = self.kernel.threads().iter();
        self.orphans = threads.filter(|it| !is_said(it)).cloned().collect();
        self.process = None;
        self.restarts = false;
        self.frozen = false;
        self.next_turn = None;
        self.kernel.listen(false);
    }

    /// Does what `vrrpd cleanup` does.
    pub(crate) fn clean_up(&mut self) {
        self.kernel.refuse(0);
        let _ = cleanup::routing(&mut self.kernel);
        let params = self.config.params(self.id, &self.stations);
        let _ = cleanup::addresses(|| params.routers.values(), &mut self.kernel);
        if let Some(sync) = self.config.sync() {
            let (on, role) = (None, None);
            let desired = DesiredLvs { sync, on, role };
            let changes = lvs::plan(&desired, self.kernel.threads(), None);
            let _ = self.kernel.change_threads(&changes);
        }
    }

    /// Adds a virtual address by hand on the interface on which the host would hold it, if that exists.
    pub(crate) fn put_virtual(&mut self, segment: u8, number: u8, address: InterfaceAddress) {
        let mut routers = self.config.routers.values();
        let holder = routers.find(|r| r.segment == segment && r.addresses.contains(&number));
        let device = holder.and_then(|router| router.device(address.family()));
        match device.and_then(|name| self.kernel.macvlan(segment, &name)) {
            // While the interface is down, an IPv6 address would stay tentative.
            Some(link) if link.up || address.family() == Family::V4 => {
                self.kernel.put_on(link.index, address);
            }
            Some(_) => {}
            None => self.kernel.put(segment, address),
        }
    }

    /// Runs the device reaper: its next change if that is due, or all of them. Returns the time of the
    /// following change, by the world's clock.
    pub(crate) fn clear(&mut self, world: Instant, all: bool) -> Option<Instant> {
        let now = self.clock.shows(world);
        let process = self.process.as_mut()?;
        if all {
            process.own.device_reaper.finish(&mut self.kernel);
        } else {
            process.own.device_reaper.toil(now, &mut self.kernel);
        }
        Some(self.clock.world(process.own.device_reaper.due()?))
    }

    /// Starts a daemon. Its start is its first turn.
    pub(crate) fn start_process(&mut self, world: Instant) -> (Turn, Vec<Sent>) {
        let now = self.clock.shows(world);
        let wall = self.wall(world);
        self.kernel.listen(true);
        let config = self.config.clone();
        let params = config.params(self.id, &self.stations);
        let mut node = Node::new();
        let mut own = Own::new(now, config);
        let mut machine = Machine {
            kernel: &mut self.kernel,
            own: &mut own,
        };
        for command in self.commands.values() {
            node.handle(now, Input::Command(command.clone()), &mut machine);
        }
        // Never fails: the model of the kernel always returns a dump.
        let _ = node.start(now, wall, params, &mut machine);
        let (records, sent) = machine.end_turn();
        let refused = self.kernel.take_refused_devices();
        self.process = Some(Process {
            node,
            own,
            inbox: VecDeque::new(),
            may_choose: self.spec.second,
        });
        let turn = Turn {
            now,
            records,
            refused,
        };
        (turn, sent)
    }

    /// Name of the router with this number in the configuration.
    pub(crate) fn router(&self, number: u8) -> Option<Arc<str>> {
        let routers = &self.config.routers;
        let name = routers
            .keys()
            .nth(usize::from(number) % routers.len().max(1));
        name.map(|name| name.as_str().into())
    }

    /// Order of a scenario with the name of its router, if there is one.
    pub(crate) fn order(&self, order: scenario::Order) -> Option<Order> {
        Some(match order {
            scenario::Order::Drain { last_resort } => Order::Drain { last_resort },
            scenario::Order::StepDown {
                router,
                last_resort,
            } => Order::StepDown {
                router: self.router(router)?,
                last_resort,
            },
            scenario::Order::Priority { router, priority } => Order::Priority {
                router: self.router(router)?,
                priority: Priority::new(priority)?,
            },
        })
    }

    /// Gives the daemon a standing command, until a time of the host's clock, and stores it.
    pub(crate) fn command(&mut self, order: Order, until: Option<Instant>) {
        let command = StandingCommand {
            order,
            until,
            by: "operator".into(),
            reason: None,
        };
        self.commands.insert(command.order.key(), command.clone());
        self.tell(Message::Command(command));
    }

    /// Ends a standing command.
    pub(crate) fn end_command(&mut self, key: CommandKey) {
        self.commands.remove(&key);
        self.tell(Message::EndCommand(key));
    }

    /// Queues a message for the daemon, if there is one.
    pub(crate) fn tell(&mut self, message: Message) {
        if let Some(process) = &mut self.process {
            process.inbox.push_back(message);
        }
    }

    /// Receives a packet. Returns whether the daemon has to wake up.
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
        let arrival = Arrival {
            at: now,
            interface: index,
            is_listened_for: false,
            packet: Rc::clone(packet),
        };
        if self.arrivals.len() == ARRIVALS {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(arrival.clone());
        let vrid = packet.payload.get(1).and_then(|vrid| Vrid::new(*vrid));
        if let (Some(process), Some(vrid)) = (&mut self.process, vrid) {
            process.own.witness(vrid, arrival);
        }
        if self.drops_adverts || self.kernel.drops_own_source(index, packet.source) {
            return false;
        }
        let Some(socket) = self
            .process
            .as_mut()
            .and_then(|process| process.own.sockets.get_mut(&(index, packet.family())))
        else {
            return false;
        };
        if vrid.is_none_or(|vrid| !socket.vrids.contains(vrid))
            // A full buffer drops the packet, as a socket does.
            || socket.queue.len() >= SOCKET_BUFFER
        {
            return false;
        }
        socket.queue.push_back((now, Rc::clone(packet)));
        true
    }

    /// Receives a claim of a virtual address.
    pub(crate) fn hear_claim(
        &mut self,
        world: Instant,
        segment: u8,
        address: IpAddr,
        mac: MacAddress,
    ) {
        let now = self.clock.shows(world);
        if self.powered
            && !self.suspended
            && self.kernel.carries(segment)
            && let Some(index) = self.kernel.on(segment)
            && let Some(process) = &mut self.process
        {
            process.own.hear_claim(now, index, address, mac);
        }
    }

    /// Whether the daemon has input to handle before its next deadline.
    pub(crate) fn has_work(&self) -> bool {
        self.kernel.has_news()
            || self.process.as_ref().is_some_and(|process| {
                !process.inbox.is_empty()
                    || process
                        .own
                        .sockets
                        .values()
                        .any(|socket| !socket.queue.is_empty())
            })
    }

    /// Time of the daemon's next deadline, by the world's clock.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let process = self.process.as_ref()?;
        let engine = process.node.engine();
        let due = engine.poll_timeout().map(|(at, _)| at);
        let own = [due, process.node.due()].into_iter().flatten().min()?;
        Some(self.clock.world(own))
    }

    /// Runs one turn of the daemon.
    pub(crate) fn turn(&mut self, world: Instant, rng: &mut Pcg64Mcg) -> Option<(Turn, Vec<Sent>)> {
        let now = self.clock.shows(world);
        let (id, stations) = (self.id, Rc::clone(&self.stations));
        let wall = self.wall(world);
        let Process {
            node,
            own,
            inbox,
            may_choose,
        } = self.process.as_mut()?;
        own.begin_turn(now);
        let mut machine = Machine {
            kernel: &mut self.kernel,
            own,
        };
        if node.engine().wants_wall_clock() {
            node.handle(now, Input::WallClock(wall), &mut machine);
        }
        // The poller reports the ready sources in any order.
        let mut order = [0, 1, 2, 3, 4];
        order.shuffle(rng);
        // The same steps as in the event loop of the daemon.
        for source in order {
            match source {
                0 => {
                    for message in inbox.drain(..) {
                        let params = |config: &Config| config.params(id, &stations);
                        machine.take_message(now, wall, message, params, node);
                    }
                }
                1 => machine.take_news(now, node),
                2 if machine.kernel.take_touched() => node.repair_drop_rules(now, &mut machine),
                3 if machine.kernel.take_routing_news() => node.look_at_routing(now, &mut machine),
                4 => machine.take_packets(now, *may_choose, node, rng),
                _ => {}
            }
        }
        machine.take_claims(now, node);
        let is_second_look = node.due().is_some_and(|at| now >= at);
        node.look_again(now, &mut machine);
        node.turn(now, &mut machine);
        if is_second_look {
            machine.synchronise_again(now, node);
        }
        if node.has_ended() {
            let _ = node.retire_drop_filter(&mut machine);
        }
        let (records, sent) = machine.end_turn();
        let refused = self.kernel.take_refused_devices();
        let turn = Turn {
            now,
            records,
            refused,
        };
        Some((turn, sent))
    }
}

impl Host {
    /// Returns the routers in a grace period: a lost interface or address is no fault yet, and the
    /// kernel configuration that was lost with it is restored at the end of the grace.
    pub(crate) fn interrupted(&self) -> BTreeSet<String> {
        let process = self.process.iter();
        let interrupted = process.flat_map(|process| process.node.engine().interrupted());
        interrupted.map(ToString::to_string).collect()
    }
}

impl Process {
    /// Whether no request of the node is pending after a rejection of the kernel.
    pub(crate) const fn is_content(&self) -> bool {
        self.node.is_content()
    }
}

/// Reading of a correct wall clock, since 1970.
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
