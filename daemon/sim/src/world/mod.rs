//! Simulated world: hosts, foreign routers, networks, and the queue of events.

mod act;
mod configured;
mod end;
mod group;
mod neighbours;
mod wire;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use vrrp_proto::{Cause, Family, Instant, MacAddress, Output, Report, State, Version};

pub(crate) use self::configured::configured;
use self::configured::dialect;
use self::end::bounds;
use self::neighbours::Neighbours;
use crate::coverage::Coverage;
use crate::foreign::Foreign;
use crate::host::{Host, Turn};
use crate::invariants::{Invariant, Violation};
use crate::kernel::Deferred;
use crate::network::{Segment, Station};
use crate::notifier::Notifier;
use crate::oracle::Oracle;
use crate::records::{Datagram, Fed, Message, Sent, read};
use crate::scenario::{
    Action, Config, MAX_HOSTS, Meaning, PeerConfig, RouterConfig, SEGMENTS, Scenario, Stations,
};

/// Greatest delay of a wake-up of a process, in microseconds.
const USUAL_LATENESS: u32 = 200;

/// Greatest delay of the notification of a new IPv6 address, in microseconds.
const USUAL_WORK: u32 = 3_000;

/// Greatest delay of a report over MLD, in microseconds.
const USUAL_REPORT: u32 = 24_000;

/// Longest duration of duplicate address detection, in microseconds: a random delay of up to one
/// second, and one second for answers (RFC 4862 section 5.4).
const LONGEST_DAD: u32 = 2_000_000;

/// Longest time until a daemon has resolved a name, in microseconds. The daemon detects a changed name
/// within a minute, which differs only in the duration.
const USUAL_LOOKUP: u32 = 300_000;

/// Number of turns of a host among which its daemon is restarted after one.
const TURNS_PER_RESTART: u32 = 32;

/// Pause before the notifier of a suspended or frozen daemon is checked again.
const HELD_UP: Duration = Duration::from_millis(100);

/// Time from power-on to the start of the daemon.
const BOOT: Duration = Duration::from_millis(50);

/// Greatest number of events at one moment. Floods of packets stay far below.
const MOST_AT_ONCE: u32 = 100_000;

/// Result of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Number of events.
    pub events: u64,
    /// Coverage of the run.
    pub coverage: Coverage,
    /// First broken invariant, and its time.
    pub broken: Option<(Instant, Violation)>,
    /// Trace with one line per event, if it was requested.
    pub trace: Vec<String>,
}

/// Plays a scenario to its end, or until an invariant is broken.
pub fn run(scenario: &Scenario, with_trace: bool) -> Outcome {
    let mut world = World::new(scenario, with_trace);
    let broken = world.play().err().map(|broken| (world.now, broken));
    Outcome {
        events: world.events,
        coverage: world.coverage,
        broken,
        trace: world.trace.unwrap_or_default(),
    }
}

#[derive(Debug)]
enum Happening {
    Step(usize),
    Arrive {
        to: Station,
        packet: Rc<Datagram>,
    },
    Turn(Station),
    Timer(usize),
    Thaw(Station, u32),
    Resume(Station, u32),
    CleanUp(Station, u32),
    /// Pending work of a host's kernel.
    Kernel(Station, Deferred),
    Start(Station, u32),
    /// Next change of a host's device reaper.
    Clear(Station, u32),
    /// Completion of the name resolution of a host.
    Resolve(Station, u32),
    Junk {
        segment: u8,
        vrid: u8,
        left: u8,
        kinds: u16,
    },
    /// Replay of an earlier packet, from a position in the list of all packets of the segment.
    Repeat {
        segment: u8,
        at: usize,
        left: u8,
        renamed: bool,
    },
    Forge {
        segment: u8,
        vrid: u8,
        version: Version,
        left: u8,
        ways: u16,
    },
    Look((u8, u8)),
    /// Work of the notifier of a host.
    Notify(Station),
}

/// Event in the queue, ordered by time and then by the order of insertion.
#[derive(Debug)]
struct Next {
    at: Instant,
    order: u64,
    what: Happening,
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Next {}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

struct World<'a> {
    now: Instant,
    order: u64,
    events: u64,
    queue: BinaryHeap<Reverse<Next>>,
    scenario: &'a Scenario,
    hosts: Vec<Host>,
    witnesses: Vec<Oracle>,
    notifiers: Vec<Option<Notifier>>,
    foreign: Vec<Foreign>,
    segments: Vec<Segment>,
    /// Packets of each segment, if a step replays them.
    sent: Option<Vec<Vec<Rc<Datagram>>>>,
    /// Host-name resolution of stations, where it is not the correct one.
    names: BTreeMap<Station, Meaning>,
    /// Neighbour entries of the senders of unicast packets.
    arp: Neighbours,
    /// Neighbour entries of the hosts that use the virtual addresses: hardware address of each.
    neighbours: BTreeMap<IpAddr, MacAddress>,
    /// Forwarding tables of the switches: station of each hardware address, by segment.
    switches: BTreeMap<(u8, MacAddress), Station>,
    /// Whether any router has IPv6 addresses.
    has_ipv6: bool,
    /// Dialects on each segment, of all virtual routers.
    dialects: BTreeSet<(u8, String)>,
    /// Sets of virtual routers that are connected by sync groups.
    entangled: Vec<BTreeSet<(u8, u8)>>,
    /// Longest time in which each virtual router settles.
    bounds: BTreeMap<(u8, u8), Duration>,
    stable_since: Instant,
    /// Whether checks of the final state are scheduled.
    is_looked_after: bool,
    end: Instant,
    rng: Pcg64Mcg,
    /// Draws the restarts of the daemons, which change nothing else in a scenario.
    restarts: Pcg64Mcg,
    coverage: Coverage,
    trace: Option<Vec<String>>,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, with_trace: bool) -> Self {
        let stations = Rc::new(Stations::of(scenario));
        let hosts: Vec<Host> = (0..)
            .zip(scenario.hosts.iter().take(MAX_HOSTS))
            .map(|(id, spec)| Host::new(id, spec, &stations, SEGMENTS))
            .collect();
        let bounds = bounds(scenario);
        let last = bounds.values().max().copied().unwrap_or_default();
        let total: u64 = scenario.steps.iter().map(|step| step.after).sum();
        let has_ipv6 = configured(scenario).any(|router| router.families.has(Family::V6));
        let dad = if has_ipv6 { LONGEST_DAD } else { 0 };
        let mut steps = scenario.steps.iter();
        let catching_up = catching_up(scenario);
        let mut world = Self {
            now: Instant::ZERO,
            order: 0,
            events: 0,
            queue: BinaryHeap::new(),
            scenario,
            witnesses: hosts.iter().map(|_| Oracle::default()).collect(),
            notifiers: hosts.iter().map(|_| None).collect(),
            hosts,
            foreign: scenario
                .foreign
                .iter()
                .map(|router| Foreign::new(router, &stations))
                .collect(),
            sent: steps
                .any(|step| matches!(step.action, Action::Repeat { .. }))
                .then(|| vec![Vec::new(); SEGMENTS.into()]),
            names: BTreeMap::new(),
            segments: (0..SEGMENTS).map(|_| Segment::default()).collect(),
            arp: Neighbours::default(),
            neighbours: BTreeMap::new(),
            switches: BTreeMap::new(),
            has_ipv6,
            dialects: configured(scenario)
                .map(|router| {
                    (
                        router.segment,
                        format!("{} {}", router.vrid, dialect(router)),
                    )
                })
                .collect(),
            bounds,
            entangled: configured::entangled(scenario),
            stable_since: Instant::ZERO,
            is_looked_after: false,
            end: Instant::ZERO
                + Duration::from_micros(total + u64::from(dad))
                + 2 * last
                + catching_up,
            rng: Pcg64Mcg::seed_from_u64(scenario.seed),
            restarts: Pcg64Mcg::seed_from_u64(!scenario.seed),
            coverage: Coverage::default(),
            trace: with_trace.then(Vec::new),
        };
        for host in 0..world.hosts.len() {
            let lateness = world.chance(0, 5_000);
            world.arrange(lateness, Happening::Start(station(host), 0));
        }
        for index in 0..world.foreign.len() {
            world.switch_foreign(index, true);
        }
        if let Some(first) = scenario.steps.first() {
            world.arrange(Duration::from_micros(first.after), Happening::Step(0));
        }
        world.disturb();
        world
    }

    fn play(&mut self) -> Result<(), Violation> {
        let mut at_once = 0;
        while let Some(Reverse(Next { at, what, .. })) = self.queue.pop() {
            if at > self.end {
                break;
            }
            at_once = if at == self.now { at_once + 1 } else { 0 };
            if at_once > MOST_AT_ONCE {
                let how = format!("{MOST_AT_ONCE} events at one moment, the last: {what:?}");
                return Err(Invariant::Progress.broken(how));
            }
            self.now = at;
            self.events += 1;
            self.happen(what)?;
        }
        Ok(())
    }

    fn happen(&mut self, what: Happening) -> Result<(), Violation> {
        match what {
            Happening::Step(index) => self.step(index),
            Happening::Arrive { to, packet } => {
                self.arrive(to, &packet);
                Ok(())
            }
            Happening::Turn(host) => self.turn(host),
            Happening::Timer(index) => {
                self.fire(index);
                Ok(())
            }
            Happening::Thaw(host, life) => {
                self.go_on(host, life, |host| &mut host.frozen);
                Ok(())
            }
            Happening::Resume(host, life) => {
                self.go_on(host, life, |host| &mut host.suspended);
                Ok(())
            }
            Happening::CleanUp(id, life) => {
                if let Some(host) = self.living(id, life)
                    && host.process.is_none()
                {
                    host.clean_up();
                    let id = host.id;
                    self.disturb();
                    return self.check_cleaned(id);
                }
                Ok(())
            }
            Happening::Kernel(id, what) => {
                let host = &mut self.hosts[usize::from(id)];
                if host.powered {
                    host.kernel.happen(what);
                    if matches!(what, Deferred::Settle(..)) {
                        self.coverage.fault("Settle");
                        self.disturb();
                    }
                    self.check_reports(id)?;
                    self.wake(id);
                }
                Ok(())
            }
            Happening::Start(host, life) => self.start(host, life),
            Happening::Clear(host, life) => {
                self.run_device_reaper(host, life);
                Ok(())
            }
            Happening::Resolve(host, life) => {
                self.resolve(host, life);
                Ok(())
            }
            Happening::Junk {
                segment,
                vrid,
                left,
                kinds,
            } => {
                self.throw_junk(segment, vrid, left, kinds);
                Ok(())
            }
            Happening::Repeat {
                segment,
                at,
                left,
                renamed,
            } => {
                self.repeat(segment, at, left, renamed);
                Ok(())
            }
            Happening::Forge {
                segment,
                vrid,
                version,
                left,
                ways,
            } => {
                self.forge(segment, vrid, version, left, ways);
                Ok(())
            }
            Happening::Look(key) => self.look(key),
            Happening::Notify(id) => self.notify(id),
        }
    }

    /// Ends the freeze or the suspension of a host.
    fn go_on(&mut self, host: Station, life: u32, held_up: fn(&mut Host) -> &mut bool) {
        if let Some(living) = self.living(host, life)
            && std::mem::take(held_up(living))
        {
            self.disturb();
            self.wake(host);
        }
    }

    fn living(&mut self, host: Station, life: u32) -> Option<&mut Host> {
        self.hosts
            .get_mut(usize::from(host))
            .filter(|host| host.life == life && host.powered)
    }

    fn arrange(&mut self, after: Duration, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Next {
            at: self.now + after,
            order: self.order,
            what,
        }));
    }

    /// Draws a duration between two numbers of microseconds.
    fn chance(&mut self, from: u32, to: u32) -> Duration {
        Duration::from_micros(self.rng.random_range(from..=to.max(from)).into())
    }

    fn percent(&mut self, percent: u8) -> bool {
        percent > 0 && self.rng.random_range(0..100) < percent
    }

    /// Records an event that can change a state, and schedules the checks of the final state.
    fn disturb(&mut self) {
        self.stable_since = self.now;
        if !std::mem::replace(&mut self.is_looked_after, true) {
            let keys: Vec<_> = self.bounds.keys().copied().collect();
            for key in keys {
                self.arrange(self.bounds[&key], Happening::Look(key));
            }
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let seconds = self.now.as_nanos() / 1_000_000_000;
            let nanos = self.now.as_nanos() % 1_000_000_000;
            trace.push(format!("{seconds:>5}.{nanos:09} {}", line()));
        }
    }

    /// Schedules a turn of a host.
    fn wake(&mut self, host: Station) {
        self.let_kernel_work(host);
        let lateness = self.chance(0, USUAL_LATENESS);
        self.turn_at(host, self.now + lateness);
    }

    /// Schedules the pending work of a kernel.
    fn let_kernel_work(&mut self, id: Station) {
        let Some(host) = self.hosts.get_mut(usize::from(id)) else {
            return;
        };
        if !self.has_ipv6 {
            // Only IPv6 addresses have deferred work, and no router depends on them here.
            return host.kernel.settle();
        }
        for what in host.kernel.take_deferred() {
            let longest = match what {
                Deferred::Tell(..) => USUAL_WORK,
                Deferred::Settle(..) => LONGEST_DAD,
                Deferred::Report(_) => USUAL_REPORT,
            };
            let after = self.chance(0, longest);
            self.arrange(after, Happening::Kernel(id, what));
        }
    }

    fn turn_at(&mut self, host: Station, at: Instant) {
        let Some(known) = self.hosts.get_mut(usize::from(host)) else {
            return;
        };
        if known.next_turn.is_none_or(|next| at < next) {
            known.next_turn = Some(at);
            self.arrange(at.since(self.now), Happening::Turn(host));
        }
    }

    fn start(&mut self, id: Station, life: u32) -> Result<(), Violation> {
        let now = self.now;
        // Each life of each host draws its own notifications.
        let seed = self.scenario.seed ^ (u64::from(life) << 8) ^ u64::from(id);
        let Some(host) = self.living(id, life) else {
            return Ok(());
        };
        if host.is_stopping() {
            host.restarts = true;
            return Ok(());
        }
        if host.process.is_some() || host.suspended {
            return Ok(());
        }
        host.frozen = false;
        let (turn, sent) = host.start_process(now);
        let mut notifier = Notifier::new(seed, &host.config);
        notifier.take(&turn, true);
        self.notifiers[usize::from(id)] = Some(notifier);
        self.witnesses[usize::from(id)].forget();
        self.disturb();
        self.look_names_up(id);
        self.take_turn(id, &turn, sent)
    }

    /// Starts the name resolution of a host's daemon.
    fn look_names_up(&mut self, id: Station) {
        let host = &self.hosts[usize::from(id)];
        let life = host.life;
        if peers(&host.config).any(|(_, peer)| peer.named) {
            let after = self.chance(0, USUAL_LOOKUP);
            self.arrange(after, Happening::Resolve(id, life));
        }
    }

    fn resolve(&mut self, id: Station, life: u32) {
        let names = self.names.clone();
        let Some(host) = self.living(id, life) else {
            return;
        };
        let stations = Rc::clone(&host.stations);
        let named: BTreeMap<String, Vec<IpAddr>> = peers(&host.config)
            .filter(|(_, peer)| peer.named)
            .map(|(segment, peer)| {
                let means = names.get(&peer.station).copied().unwrap_or_default();
                (peer.name(segment), peer.meaning(&stations, segment, means))
            })
            .collect();
        for (name, addresses) in named {
            host.tell(Message::Resolved { name, addresses });
        }
        self.disturb();
        self.wake(id);
    }

    fn turn(&mut self, id: Station) -> Result<(), Violation> {
        let host = &mut self.hosts[usize::from(id)];
        if host.next_turn != Some(self.now) {
            return Ok(());
        }
        host.next_turn = None;
        if !host.runs() {
            return Ok(());
        }
        let Some((turn, sent)) = host.turn(self.now, &mut self.rng) else {
            return Ok(());
        };
        if let Some(notifier) = &mut self.notifiers[usize::from(id)] {
            notifier.take(&turn, false);
        }
        self.take_turn(id, &turn, sent)
    }

    fn take_turn(&mut self, id: Station, turn: &Turn, sent: Vec<Sent>) -> Result<(), Violation> {
        self.note(|| {
            let inputs: Vec<String> = turn.records.iter().map(|it| it.fed.to_string()).collect();
            format!("host {id} turns: {}", inputs.join(", "))
        });
        // The repetition of the request can change the kernel later.
        if host_is_refused(&self.hosts[usize::from(id)]) {
            self.disturb();
        }
        self.let_kernel_work(id);
        self.tell_transitions(id, turn)?;
        self.notify(id)?;
        let index = usize::from(id);
        self.witnesses[index].watch(&self.hosts[index], turn, &mut self.coverage)?;
        if self.witnesses[index].take_delay() {
            self.disturb();
        }
        self.check_came(id)?;
        for sent in sent {
            match sent {
                Sent::Advert {
                    segment,
                    source,
                    destination,
                    hop_limit,
                    mac,
                    payload,
                } => {
                    if let Some(mac) = mac {
                        self.switches.insert((segment, mac), id);
                    }
                    self.check_heard(id, segment, source, &payload)?;
                    let content = read(&payload);
                    self.send(Datagram {
                        from: id,
                        sent_at: self.now,
                        segment,
                        source,
                        destination,
                        hop_limit,
                        payload,
                        content,
                        is_genuine: true,
                    });
                }
                Sent::Announcement {
                    segment,
                    mac,
                    address,
                } => {
                    self.note(|| format!("host {id} announces {address} at {mac} on {segment}"));
                    self.check_announced(id, segment, address, mac)?;
                    self.neighbours.insert(address, mac);
                    self.switches.insert((segment, mac), id);
                    for to in 0..self.stations() {
                        let is_reached = to != id && self.segment(segment).reaches(id, to);
                        if let Some(host) =
                            self.hosts.get_mut(usize::from(to)).filter(|_| is_reached)
                        {
                            host.hear_claim(self.now, segment, address, mac);
                        }
                    }
                }
                Sent::Solicitation {
                    segment,
                    source,
                    target,
                } => self.solicit(id, segment, source, target),
            }
        }
        let host = &mut self.hosts[index];
        if host
            .process
            .as_ref()
            .is_some_and(|process| process.node.has_ended())
        {
            let life = host.life;
            if std::mem::take(&mut host.restarts) {
                self.arrange(Duration::ZERO, Happening::Start(id, life));
            }
            let host = &mut self.hosts[index];
            // The daemon waits for its device reaper before it exits.
            let _ = host.clear(self.now, true);
            host.lose_process();
            host.clean_up();
            if let Some(notifier) = self.notifiers[index].take() {
                notifier.finish(self.now, &mut self.coverage)?;
            }
            self.witnesses[index].forget();
            self.disturb();
            return self.check_cleaned(id);
        }
        self.restart(id)?;
        self.check_kernel(id)?;
        self.check_sockets(id)?;
        self.check_serving(id)?;
        self.start_device_reaper(id);
        let host = &self.hosts[index];
        if host.has_work() {
            self.wake(id);
        } else if let Some(deadline) = host.deadline() {
            let lateness = self.chance(0, USUAL_LATENESS);
            self.turn_at(id, deadline.max(self.now) + lateness);
        }
        Ok(())
    }

    /// Restarts the daemon of a host now and then, after which the world goes on as without.
    fn restart(&mut self, id: Station) -> Result<(), Violation> {
        let index = usize::from(id);
        if self.restarts.random_range(0..TURNS_PER_RESTART) > 0 || !self.hosts[index].may_restart()
        {
            return Ok(());
        }
        self.note(|| format!("host {id} restarts its daemon"));
        self.coverage.fault("Restart");
        let records = self.hosts[index].restart(self.now)?;
        if let Some(notifier) = &mut self.notifiers[index] {
            notifier.restart(self.now, &records)?;
        }
        self.witnesses[index].go_on(&records);
        Ok(())
    }

    /// Schedules the device reaper of a host, if it has work.
    fn start_device_reaper(&mut self, id: Station) {
        let host = &mut self.hosts[usize::from(id)];
        let (clock, life) = (host.clock, host.life);
        let Some(process) = &mut host.process else {
            return;
        };
        if let Some(due) = process.own.device_reaper.due()
            && !std::mem::replace(&mut process.own.device_reaper.is_arranged, true)
        {
            let lateness = self.chance(0, USUAL_LATENESS);
            let at = clock.world(due).max(self.now) + lateness;
            self.arrange(at.since(self.now), Happening::Clear(id, life));
        }
    }

    fn run_device_reaper(&mut self, id: Station, life: u32) {
        let now = self.now;
        let Some(host) = self.living(id, life) else {
            return;
        };
        if let Some(process) = &mut host.process {
            process.own.device_reaper.is_arranged = false;
        }
        // On a suspended or frozen host the reaper continues after the next turn.
        if host.runs() {
            let _ = host.clear(now, false);
            self.start_device_reaper(id);
            self.wake(id);
        }
    }

    /// Ends and starts notification commands, unless the daemon is suspended, frozen or not running.
    fn notify(&mut self, id: Station) -> Result<(), Violation> {
        let index = usize::from(id);
        let host = &self.hosts[index];
        if host.process.is_none() {
            self.notifiers[index] = None;
        }
        let Some(notifier) = &mut self.notifiers[index] else {
            return Ok(());
        };
        let next = match host.runs() {
            true => notifier.work(self.now, &mut self.coverage)?,
            false => Some(self.now + HELD_UP),
        };
        if let Some(at) = next.filter(|at| notifier.is_awaited_before(self.now, *at)) {
            self.arrange(at.since(self.now), Happening::Notify(id));
        }
        Ok(())
    }

    fn tell_transitions(&mut self, id: Station, turn: &Turn) -> Result<(), Violation> {
        let mut reloaded = None;
        let outputs = turn.records.iter().flat_map(|record| {
            let outputs = record.outputs.iter();
            outputs.map(move |output| (&record.fed, output))
        });
        for (fed, output) in outputs {
            if let Fed::Configure(config) = fed {
                reloaded = Some(config);
            }
            let Output::Report(Report::Transition(t)) = output else {
                continue;
            };
            self.note(|| {
                format!(
                    "host {id} {}: {} -> {}: {}",
                    t.router, t.from, t.to, t.cause
                )
            });
            let cause = format!("{:?}", t.cause);
            let kind = cause.split([' ', '(']).next().unwrap_or_default();
            self.coverage.transition(t.from, t.to, kind.to_owned());
            self.check_silence(id, reloaded, t)?;
            self.check_neighbour_entry(id, t)?;
            let key = self.key_of(id, &t.router);
            let yields = matches!(
                t.cause.root(),
                Cause::HigherPriority { .. } | Cause::HigherAddress { .. }
            );
            // The rival was received in the network of the member that the cause names.
            let is_with = matches!(t.cause, Cause::With { .. });
            let reaches = |segment: u8| !is_with || self.is_whole(segment);
            let is_heard = yields
                && key.is_some_and(|key| {
                    let is_reliable = self.segment(key.0).is_reliable();
                    is_reliable && self.is_open() && reaches(key.0) && self.is_mutual(key)
                });
            if t.from == State::Master && !is_heard {
                self.leave_to_find_out(id);
            }
            let Some(key) = key else { continue };
            // A chain of routers that do not all receive each other needs one wait per link.
            let is_settled = self.is_settled(key) && t.from != State::Init && self.is_mutual(key);
            if is_settled && self.is_grouped_alike(key)? {
                return Err(Invariant::Stability.broken(format!(
                    "host {id}: {}: {} -> {} without an event since {:?}",
                    t.router, t.from, t.to, self.stable_since
                )));
            }
        }
        Ok(())
    }

    /// Removes the neighbour entries of a host. Its last advertisement may have been lost, or it
    /// stopped before it could answer one. Real neighbours detect that by their own probes: the kernel
    /// verifies an ARP entry again some time after the last confirmation.
    fn leave_to_find_out(&mut self, of: Station) {
        let config = &self.hosts[usize::from(of)].config;
        let addresses: Vec<IpAddr> = config
            .routers
            .values()
            .flat_map(RouterConfig::virtual_addresses)
            .map(|address| address.address)
            .collect();
        let switches = &self.switches;
        let is_at = |address: &IpAddr, mac: &MacAddress| {
            let mut known = (0..SEGMENTS).filter_map(|segment| switches.get(&(segment, *mac)));
            addresses.contains(address) || known.any(|known| *known == of)
        };
        self.neighbours.retain(|address, mac| !is_at(address, mac));
    }

    fn key_of(&self, id: Station, router: &str) -> Option<(u8, u8)> {
        let config = self.hosts[usize::from(id)].config.routers.get(router)?;
        Some((config.segment, config.vrid))
    }

    /// Whether a virtual router has had enough time to settle.
    fn is_settled(&self, key: (u8, u8)) -> bool {
        let is_reliable = match self.is_entangled(key) {
            true => self.segments.iter().all(Segment::is_reliable),
            false => self.segment(key.0).is_reliable(),
        };
        self.bounds
            .get(&key)
            // A master that receives nothing does not yield.
            .filter(|_| self.is_open())
            .is_some_and(|bound| is_reliable && self.now >= self.stable_since + *bound)
    }

    /// Whether no host drops advertisements or has dropped its own, which makes it yield to any master until
    /// a reload.
    fn is_open(&self) -> bool {
        let is_closed = |host: &Host| {
            host.drops_adverts || host.kernel.forbids() || host.kernel.has_dropped_output()
        };
        !self.hosts.iter().any(is_closed)
    }

    /// Whether a network has no partition.
    fn is_whole(&self, segment: u8) -> bool {
        let segment = self.segment(segment);
        let side = segment.side_of(0);
        (0..self.stations()).all(|station| segment.side_of(station) == side)
    }

    fn segment(&self, segment: u8) -> &Segment {
        &self.segments[usize::from(segment % SEGMENTS)]
    }

    /// A segment of which a property changes.
    fn segment_mut(&mut self, segment: u8) -> &mut Segment {
        let segment = &mut self.segments[usize::from(segment % SEGMENTS)];
        segment.changed_at = self.now;
        segment
    }

    fn stations(&self) -> u8 {
        station(self.hosts.len() + self.foreign.len())
    }
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Whether the kernel rejected a request that the daemon will repeat.
fn host_is_refused(host: &Host) -> bool {
    host.process
        .as_ref()
        .is_some_and(|process| !process.is_content())
}

/// Longest time that a host may be rejected when it was restarted after its clock was set back: until
/// its clock passes its last sequence number. With a short interval the time is limited to 300
/// intervals, to keep the run short.
fn catching_up(scenario: &Scenario) -> Duration {
    let mut steps = scenario.steps.iter();
    let shortest = configured(scenario).map(RouterConfig::interval).min();
    match shortest.filter(|_| steps.any(|step| matches!(step.action, Action::Clock { .. }))) {
        Some(interval) => (interval * 300).min(Duration::from_secs(45)),
        None => Duration::ZERO,
    }
}

/// Peers of all routers in a configuration, each with its segment.
fn peers(config: &Config) -> impl Iterator<Item = (u8, &PeerConfig)> {
    config.routers.values().flat_map(|router| {
        let unicast = router.unicast.iter();
        let peers = unicast.flat_map(|unicast| &unicast.peers);
        peers.map(|peer| (router.segment, peer))
    })
}

fn station(index: usize) -> Station {
    Station::try_from(index).unwrap_or(Station::MAX)
}
