//! The world: hosts, foreign routers, networks, and one queue of what happens next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use vrrp_proto::wire::HOP_LIMIT;
use vrrp_proto::{Cause, Instant, InterfaceAddress, Output, Report, State, Version};

use crate::coverage::Coverage;
use crate::foreign::{self, Foreign};
use crate::host::{Datagram, Host, Message, Says, Sent, Turn, host_octet, read};
use crate::junk;
use crate::laws::{Broken, Law};
use crate::network::{Segment, Station, USUAL_DELAY};
use crate::scenario::{
    Action, Config, Make, RouterConfig, Scenario, Step, TrackerConfig, own_address, virtual_address,
};
use crate::witness::Witness;

/// How many networks there are.
pub const SEGMENTS: u8 = 2;

/// How many hosts there are at most.
pub const MAX_HOSTS: usize = 7;

/// How long a process takes at most to come to its turn, in microseconds.
const USUAL_LATENESS: u32 = 200;

/// How long a machine takes from power to a daemon.
const BOOT: Duration = Duration::from_millis(50);

/// Beyond what the protocol needs: delays, lateness, and the second look after a refusal.
const SLACK: Duration = Duration::from_millis(1_050);

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How many things happened.
    pub events: u64,
    /// What was met.
    pub coverage: Coverage,
    /// The law that was broken, and when.
    pub broken: Option<(Instant, Broken)>,
    /// What happened, a line each, when that was asked for.
    pub trace: Vec<String>,
}

/// Plays a scenario until its end, or until a law is broken.
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
    Start(Station, u32),
    Junk {
        segment: u8,
        vrid: u8,
        left: u8,
        kinds: u16,
    },
    Look((u8, u8)),
}

/// What is next: by time, and by the order in which it was arranged.
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
    steps: &'a [Step],
    hosts: Vec<Host>,
    witnesses: Vec<Witness>,
    foreign: Vec<Foreign>,
    segments: Vec<Segment>,
    /// Whom the neighbours believe to have an address.
    neighbours: BTreeMap<InterfaceAddress, Station>,
    /// Which dialects are spoken on a segment, of all virtual routers.
    dialects: BTreeSet<(u8, String)>,
    /// How long a virtual router takes at most until all is as it should be.
    bounds: BTreeMap<(u8, u8), Duration>,
    stable_since: Instant,
    /// Whether it is arranged that all is looked at when it is settled.
    is_looked_after: bool,
    end: Instant,
    rng: Pcg64Mcg,
    coverage: Coverage,
    trace: Option<Vec<String>>,
}

/// One of those that share a virtual router, as the laws of the end see it.
struct Member {
    station: Station,
    is_master: bool,
    priority: u8,
    preempts: bool,
    config: RouterConfig,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, with_trace: bool) -> Self {
        let hosts: Vec<Host> = (0..)
            .zip(scenario.hosts.iter().take(MAX_HOSTS))
            .map(|(id, spec)| Host::new(id, spec, SEGMENTS))
            .collect();
        let bounds = bounds(scenario);
        let last = bounds.values().max().copied().unwrap_or_default();
        let total: u64 = scenario.steps.iter().map(|step| step.after).sum();
        let mut world = Self {
            now: Instant::ZERO,
            order: 0,
            events: 0,
            queue: BinaryHeap::new(),
            steps: &scenario.steps,
            witnesses: hosts.iter().map(|_| Witness::default()).collect(),
            hosts,
            foreign: scenario.foreign.iter().map(Foreign::new).collect(),
            segments: (0..SEGMENTS).map(|_| Segment::default()).collect(),
            neighbours: BTreeMap::new(),
            dialects: configured(scenario)
                .map(|router| {
                    (
                        router.segment,
                        format!("{} {}", router.vrid, dialect(router)),
                    )
                })
                .collect(),
            bounds,
            stable_since: Instant::ZERO,
            is_looked_after: false,
            end: Instant::ZERO + Duration::from_micros(total) + 2 * last,
            rng: Pcg64Mcg::seed_from_u64(scenario.seed),
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

    fn play(&mut self) -> Result<(), Broken> {
        while let Some(Reverse(Next { at, what, .. })) = self.queue.pop() {
            if at > self.end {
                break;
            }
            self.now = at;
            self.events += 1;
            self.happen(what)?;
        }
        Ok(())
    }

    fn happen(&mut self, what: Happening) -> Result<(), Broken> {
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
                if let Some(host) = self.living(host, life)
                    && std::mem::take(&mut host.frozen)
                {
                    let id = host.id;
                    self.disturb();
                    self.wake(id);
                }
                Ok(())
            }
            Happening::Resume(host, life) => {
                if let Some(host) = self.living(host, life)
                    && std::mem::take(&mut host.suspended)
                {
                    let id = host.id;
                    self.disturb();
                    self.wake(id);
                }
                Ok(())
            }
            Happening::CleanUp(host, life) => {
                if let Some(host) = self.living(host, life)
                    && host.process.is_none()
                {
                    host.clean_up();
                    self.disturb();
                }
                Ok(())
            }
            Happening::Start(host, life) => self.start(host, life),
            Happening::Junk {
                segment,
                vrid,
                left,
                kinds,
            } => {
                self.throw_junk(segment, vrid, left, kinds);
                Ok(())
            }
            Happening::Look(key) => self.look(key),
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

    /// Between so many microseconds and so many.
    fn chance(&mut self, from: u32, to: u32) -> Duration {
        Duration::from_micros(self.rng.random_range(from..=to.max(from)).into())
    }

    fn percent(&mut self, percent: u8) -> bool {
        percent > 0 && self.rng.random_range(0..100) < percent
    }

    /// Something happened after which all has to settle anew.
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

    /// The daemon of a host turns soon.
    fn wake(&mut self, host: Station) {
        let lateness = self.chance(0, USUAL_LATENESS);
        self.turn_at(host, self.now + lateness);
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

    fn start(&mut self, id: Station, life: u32) -> Result<(), Broken> {
        let now = self.now;
        let Some(host) = self.living(id, life) else {
            return Ok(());
        };
        if host.process.is_some() || host.suspended {
            return Ok(());
        }
        host.frozen = false;
        let (turn, sent) = host.start_process(now);
        self.witnesses[usize::from(id)].forget();
        self.disturb();
        self.take_turn(id, &turn, sent)
    }

    fn turn(&mut self, id: Station) -> Result<(), Broken> {
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
        self.take_turn(id, &turn, sent)
    }

    fn take_turn(&mut self, id: Station, turn: &Turn, sent: Vec<Sent>) -> Result<(), Broken> {
        self.note(|| format!("host {id} turns"));
        self.tell_transitions(id, turn)?;
        let index = usize::from(id);
        self.witnesses[index].watch(id, turn, &mut self.coverage)?;
        for sent in sent {
            match sent {
                Sent::Advert {
                    segment,
                    source,
                    payload,
                } => {
                    let says = read(&payload);
                    self.send(id, segment, source, payload, says);
                }
                Sent::Announcement { segment, addresses } => {
                    self.note(|| format!("host {id} announces {addresses:?} on {segment}"));
                    for address in addresses.iter() {
                        self.neighbours.insert(*address, id);
                    }
                }
            }
        }
        let host = &mut self.hosts[index];
        if host
            .process
            .as_ref()
            .is_some_and(|process| process.stopping)
        {
            host.lose_process();
            host.clean_up();
            self.witnesses[index].forget();
            self.disturb();
            return self.check_clean(id);
        }
        self.check_kernel(id)?;
        if host_is_refused(&self.hosts[index]) {
            self.disturb();
        }
        let host = &self.hosts[index];
        if host.has_work() {
            self.wake(id);
        } else if let Some(deadline) = host.deadline() {
            let lateness = self.chance(0, USUAL_LATENESS);
            self.turn_at(id, deadline.max(self.now) + lateness);
        }
        Ok(())
    }

    fn tell_transitions(&mut self, id: Station, turn: &Turn) -> Result<(), Broken> {
        for output in turn.records.iter().flat_map(|record| &record.outputs) {
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
            let key = self.key_of(id, &t.router);
            let yields = matches!(
                t.cause,
                Cause::HigherPriority { .. } | Cause::HigherAddress { .. }
            );
            let is_heard = yields && key.is_some_and(|(on, _)| self.segment(on).is_reliable());
            if t.from == State::Master && !is_heard {
                self.leave_to_find_out(id);
            }
            let Some(key) = key else { continue };
            if self.is_settled(key) && t.from != State::Init {
                return Err(Law::Stability.broken(format!(
                    "host {id} {}: {} -> {}, and nothing happened since {:?}",
                    t.router, t.from, t.to, self.stable_since
                )));
            }
        }
        Ok(())
    }

    /// A master ends of which no last word may have been heard: the neighbours that still believe in
    /// it find out by themselves that it does not answer (RFC 4861 section 7.3 for IPv6; the kernel
    /// does the same for ARP).
    fn leave_to_find_out(&mut self, of: Station) {
        self.neighbours.retain(|_, known| *known != of);
    }

    fn key_of(&self, id: Station, router: &str) -> Option<(u8, u8)> {
        let config = self.hosts[usize::from(id)].config.routers.get(router)?;
        Some((config.segment, config.vrid))
    }

    /// Whether a virtual router has had all the time it needs.
    fn is_settled(&self, key: (u8, u8)) -> bool {
        self.bounds.get(&key).is_some_and(|bound| {
            self.segment(key.0).is_reliable() && self.now >= self.stable_since + *bound
        })
    }

    fn segment(&self, segment: u8) -> &Segment {
        &self.segments[usize::from(segment % SEGMENTS)]
    }

    fn segment_mut(&mut self, segment: u8) -> &mut Segment {
        &mut self.segments[usize::from(segment % SEGMENTS)]
    }

    fn stations(&self) -> u8 {
        station(self.hosts.len() + self.foreign.len())
    }

    fn send(
        &mut self,
        from: Station,
        segment: u8,
        source: InterfaceAddress,
        payload: Arc<[u8]>,
        says: Option<Says>,
    ) {
        self.note(|| format!("{from} says {says:?} on {segment}"));
        let packet = Rc::new(Datagram {
            from,
            sent_at: self.now,
            segment,
            source,
            hop_limit: HOP_LIMIT,
            payload,
            says,
        });
        self.spread(&packet);
    }

    fn spread(&mut self, packet: &Rc<Datagram>) {
        let network = self.segment(packet.segment);
        let (loss, duplicates, delay) = (network.loss, network.duplicates, network.delay);
        for to in 0..self.stations() {
            if to == packet.from || !self.segment(packet.segment).reaches(packet.from, to) {
                continue;
            }
            if self.percent(loss) {
                continue;
            }
            let copies = 1 + u8::from(self.percent(duplicates));
            for _ in 0..copies {
                let after = self.chance(20, delay);
                let packet = Rc::clone(packet);
                self.arrange(after, Happening::Arrive { to, packet });
            }
        }
    }

    fn arrive(&mut self, to: Station, packet: &Rc<Datagram>) {
        let usual = Duration::from_micros(USUAL_DELAY.into());
        if self.now.since(packet.sent_at) > usual {
            self.disturb();
        }
        let index = usize::from(to);
        if let Some(host) = self.hosts.get_mut(index) {
            if host.receive(self.now, packet) {
                self.wake(to);
            }
            return;
        }
        let index = index - self.hosts.len();
        let Some(router) = self.foreign.get_mut(index) else {
            return;
        };
        if packet.segment == router.config().segment {
            let before = (router.state, router.timer);
            let speaks = router.receive(self.now, packet);
            self.go_on_foreign(index, before, speaks);
            let router = &self.foreign[index];
            let stays = before.0 == foreign::State::Active && router.state == before.0;
            if speaks && stays && router.spec.make == Make::Keepalived {
                // It announces its addresses again when it hears a lower priority.
                self.announce_foreign(index);
            }
        }
    }

    fn fire(&mut self, index: usize) {
        let router = &mut self.foreign[index];
        if router.timer != Some(self.now) {
            return;
        }
        let before = (router.state, None);
        let speaks = router.fire(self.now);
        self.go_on_foreign(index, before, speaks);
    }

    fn switch_foreign(&mut self, index: usize, on: bool) {
        let Some(router) = self.foreign.get_mut(index) else {
            return;
        };
        let before = (router.state, router.timer);
        match (on, router.state) {
            (true, foreign::State::Initialize) => {
                let speaks = router.start(self.now);
                self.go_on_foreign(index, before, speaks);
            }
            (true, _) => {}
            (false, _) => router.stop(),
        }
    }

    /// Sends what a foreign router has to say, and arranges for its timer.
    fn go_on_foreign(
        &mut self,
        index: usize,
        before: (foreign::State, Option<Instant>),
        speaks: bool,
    ) {
        let router = &self.foreign[index];
        let (state, timer) = (router.state, router.timer);
        let id = station(self.hosts.len() + index);
        let (segment, source) = (router.config().segment, router.source());
        let (message, says) = router.advertisement();
        if state != before.0 {
            self.note(|| format!("foreign {index} becomes {state:?}"));
            if state == foreign::State::Active {
                self.announce_foreign(index);
            }
        }
        if speaks {
            self.send(id, segment, source, message.into(), Some(says));
        }
        if let Some(at) = timer
            && before.1 != timer
        {
            self.arrange(at.since(self.now), Happening::Timer(index));
        }
    }

    fn announce_foreign(&mut self, index: usize) {
        let id = station(self.hosts.len() + index);
        for address in self.foreign[index].config().virtual_addresses() {
            self.neighbours.insert(address, id);
        }
    }

    fn throw_junk(&mut self, segment: u8, vrid: u8, left: u8, kinds: u16) {
        let Some(left) = left.checked_sub(1) else {
            return;
        };
        let segment = segment % SEGMENTS;
        // Somebody whom all hear.
        let from = self.stations();
        let source = own_address(segment, 99);
        let (payload, hop_limit) = junk::message(kinds, vrid, source, &mut self.rng);
        let packet = Rc::new(Datagram {
            from,
            sent_at: self.now,
            segment,
            source,
            hop_limit,
            payload: payload.into(),
            says: None,
        });
        for to in 0..self.stations() {
            let packet = Rc::clone(&packet);
            self.arrange(Duration::from_micros(20), Happening::Arrive { to, packet });
        }
        let what = Happening::Junk {
            segment,
            vrid,
            left,
            kinds,
        };
        self.arrange(Duration::from_millis(1), what);
        if self.is_wrongly_impressed() {
            self.disturb();
        }
    }

    /// Whether there is somebody whom junk does something to.
    fn is_wrongly_impressed(&self) -> bool {
        self.foreign
            .iter()
            .any(|router| router.spec.make == Make::Keepalived)
    }

    fn step(&mut self, index: usize) -> Result<(), Broken> {
        let steps = self.steps;
        if let Some(next) = steps.get(index + 1) {
            self.arrange(
                Duration::from_micros(next.after),
                Happening::Step(index + 1),
            );
        }
        let action = &steps[index].action;
        self.note(|| format!("-- {action:?}"));
        let name = format!("{action:?}");
        self.coverage
            .fault(name.split([' ', '{']).next().unwrap_or_default());
        if self.act(action) {
            self.disturb();
        }
        Ok(())
    }

    /// Lets something happen. Returns whether anybody may change its state because of it.
    fn act(&mut self, action: &Action) -> bool {
        match *action {
            Action::Lose { segment, percent } => self.segment_mut(segment).loss = percent.min(90),
            Action::Delay { segment, micros } => {
                self.segment_mut(segment).delay = micros.max(USUAL_DELAY);
            }
            Action::Duplicate { segment, percent } => {
                self.segment_mut(segment).duplicates = percent.min(100);
                return false;
            }
            Action::Partition { segment, side } => self.segment_mut(segment).side = side,
            Action::Mute { segment, from, to } => {
                self.segment_mut(segment).muted.insert((from, to));
            }
            Action::Heal { segment } => *self.segment_mut(segment) = Segment::default(),
            Action::Junk {
                segment,
                vrid,
                count,
                kinds,
            } => {
                self.throw_junk(segment, vrid, count, kinds);
                return false;
            }
            Action::Foreign { index, on } => self.switch_foreign(index.into(), on),
            Action::Mend => self.mend(),
            Action::Cable { host, .. }
            | Action::Admin { host, .. }
            | Action::Rename { host, .. }
            | Action::Exist { host, .. }
            | Action::TakeVirtual { host, .. }
            | Action::PutVirtual { host, .. }
            | Action::Own { host, .. }
            | Action::LoseNews { host, .. }
            | Action::Refuse { host, .. }
            | Action::Kill { host, .. }
            | Action::Run { host, .. }
            | Action::Freeze { host, .. }
            | Action::Suspend { host, .. }
            | Action::Power { host, .. }
            | Action::Probe { host, .. }
            | Action::Reload { host, .. } => {
                if usize::from(host) >= self.hosts.len() {
                    return false;
                }
                let disturbs = self.act_on(host, action);
                self.wake(host);
                return disturbs;
            }
        }
        true
    }

    fn act_on(&mut self, id: Station, action: &Action) -> bool {
        let host = &mut self.hosts[usize::from(id)];
        let life = host.life;
        match action {
            Action::Power { on: true, .. } => {
                if host.powered {
                    return false;
                }
                host.powered = true;
                host.bring_up(SEGMENTS);
                self.arrange(BOOT, Happening::Start(id, life));
                return true;
            }
            Action::Power { on: false, .. } => {
                host.power_off();
                self.witnesses[usize::from(id)].forget();
                self.leave_to_find_out(id);
                return true;
            }
            Action::Reload { config, .. } => {
                host.config = config.clone();
                host.tell(Message::Configure(config.clone()));
                return true;
            }
            _ if !host.powered => return false,
            Action::Cable {
                segment, plugged, ..
            } => {
                let bit = 1 << (segment % SEGMENTS);
                host.unplugged = if *plugged {
                    host.unplugged & !bit
                } else {
                    host.unplugged | bit
                };
                host.kernel
                    .change_link(segment % SEGMENTS, |link| link.carrier = *plugged);
            }
            Action::Admin { segment, up, .. } => {
                host.kernel
                    .change_link(segment % SEGMENTS, |link| link.up = *up);
            }
            Action::Rename { segment, back, .. } => {
                let segment = segment % SEGMENTS;
                let name = match back {
                    true => crate::scenario::interface_name(segment),
                    false => format!("ren{segment}"),
                };
                host.kernel
                    .change_link(segment, |link| link.name = name.into());
            }
            Action::Exist {
                segment,
                exists: true,
                ..
            } => {
                let segment = segment % SEGMENTS;
                let plugged = host.is_plugged(segment);
                if host.kernel.on(segment).is_none() {
                    host.kernel.create(segment, plugged);
                    host.put_own(segment);
                }
            }
            Action::Exist { segment, .. } => host.kernel.remove(segment % SEGMENTS),
            Action::TakeVirtual {
                segment, number, ..
            } => {
                let segment = segment % SEGMENTS;
                if host.spec.owns.contains(&(segment, *number)) {
                    return false;
                }
                let own = own_address(segment, host_octet(id));
                let index = host.kernel.on(segment);
                let has_own =
                    |host: &Host| index.is_some_and(|i| host.kernel.holds(i, own).is_some());
                let before = has_own(host);
                host.kernel.take(segment, virtual_address(segment, *number));
                return before != has_own(host) || !before;
            }
            Action::PutVirtual {
                segment, number, ..
            } => {
                let segment = segment % SEGMENTS;
                host.kernel.put(segment, virtual_address(segment, *number));
            }
            Action::Own { segment, there, .. } => {
                let segment = segment % SEGMENTS;
                if *there {
                    host.put_own(segment);
                } else {
                    host.kernel
                        .take(segment, own_address(segment, host_octet(id)));
                }
            }
            Action::LoseNews { count, .. } => host.kernel.lose_news(*count),
            Action::Refuse { count, .. } => host.kernel.refuse(*count),
            Action::Kill {
                cleanup, restart, ..
            } => {
                if host.process.is_none() {
                    return false;
                }
                host.life += 1;
                let life = host.life;
                host.suspended = false;
                host.lose_process();
                self.witnesses[usize::from(id)].forget();
                self.leave_to_find_out(id);
                let cleanup = Duration::from_millis((*cleanup).into());
                let restart = cleanup + Duration::from_millis((*restart).into());
                self.arrange(cleanup, Happening::CleanUp(id, life));
                self.arrange(restart, Happening::Start(id, life));
            }
            Action::Run { runs: true, .. } => {
                if host.process.is_none() {
                    self.arrange(Duration::ZERO, Happening::Start(id, life));
                }
            }
            Action::Run { .. } => host.tell(Message::Stop),
            Action::Freeze { millis, .. } => {
                if host.process.is_none() || host.frozen {
                    return false;
                }
                host.frozen = true;
                let span = Duration::from_millis((*millis).into());
                self.arrange(span, Happening::Thaw(id, life));
            }
            Action::Suspend { millis, .. } => {
                if host.suspended {
                    return false;
                }
                host.suspended = true;
                let span = Duration::from_millis((*millis).into());
                self.arrange(span, Happening::Resume(id, life));
            }
            Action::Probe { tracker, well, .. } => {
                let probes = probes(&host.config);
                if let Some(name) = probes.get(usize::from(*tracker) % probes.len().max(1)) {
                    let (tracker, well) = (name.clone(), *well);
                    host.tell(Message::Probe { tracker, well });
                }
            }
            Action::Lose { .. }
            | Action::Delay { .. }
            | Action::Duplicate { .. }
            | Action::Partition { .. }
            | Action::Mute { .. }
            | Action::Heal { .. }
            | Action::Foreign { .. }
            | Action::Junk { .. }
            | Action::Mend => {}
        }
        true
    }

    fn mend(&mut self) {
        for segment in &mut self.segments {
            *segment = Segment::default();
        }
        for id in 0..station(self.hosts.len()) {
            let host = &mut self.hosts[usize::from(id)];
            host.unplugged = 0;
            host.powered = true;
            host.suspended = false;
            host.frozen = false;
            host.kernel.refuse(0);
            host.kernel.lose_news(0);
            host.bring_up(SEGMENTS);
            for tracker in probes(&host.config) {
                // As many as the slowest needs.
                for _ in 0..3 {
                    let (tracker, well) = (tracker.clone(), true);
                    host.tell(Message::Probe { tracker, well });
                }
            }
            let life = host.life;
            self.arrange(BOOT, Happening::Start(id, life));
            self.wake(id);
        }
        for index in 0..self.foreign.len() {
            self.switch_foreign(index, true);
        }
    }

    /// After a turn the kernel holds what the states say.
    fn check_kernel(&self, id: Station) -> Result<(), Broken> {
        let host = &self.hosts[usize::from(id)];
        let Some(process) = &host.process else {
            return Ok(());
        };
        if !process.is_content() || host.kernel.has_news() || !host.kernel.is_willing() {
            return Ok(());
        }
        let mut wanted: BTreeSet<InterfaceAddress> = BTreeSet::new();
        for (name, router) in self.witnesses[usize::from(id)].routers() {
            let config = &router.config;
            let Some(link) = host.kernel.link(config.segment) else {
                continue;
            };
            let is_master = router.state() == State::Master;
            if is_master {
                wanted.extend(config.virtual_addresses());
            }
            let is_here = *link.name == *crate::scenario::interface_name(config.segment);
            for address in config.virtual_addresses() {
                let held = host.kernel.holds(link.index, address);
                let broken = match (is_master, held) {
                    (true, None) => Some("is not there"),
                    (false, Some(ours)) if is_here => {
                        // On an interface that is down it does no harm.
                        let spared = config.priority == 255
                            || !has_own(host, config.segment)
                            || !link.up
                            || !link.carrier;
                        (ours || !spared).then_some("is there")
                    }
                    (true | false, Some(_)) | (false, None) => None,
                };
                if let Some(what) = broken {
                    let state = router.state();
                    return Err(Law::Kernel
                        .broken(format!("host {id} {name} is {state}, and {address} {what}")));
                }
            }
        }
        if !host.spec.marks {
            return Ok(());
        }
        match host
            .kernel
            .addresses()
            .find(|(_, address, ours)| *ours && !wanted.contains(address))
        {
            Some((_, address, _)) => Err(Law::Kernel.broken(format!(
                "host {id} holds {address}, and nobody there is its master"
            ))),
            None => Ok(()),
        }
    }

    /// A host without a daemon holds nothing of it.
    fn check_clean(&self, id: Station) -> Result<(), Broken> {
        let host = &self.hosts[usize::from(id)];
        if !host.spec.marks {
            return Ok(());
        }
        match host.kernel.addresses().find(|(_, _, ours)| *ours) {
            Some((_, address, _)) => {
                Err(Law::Cleanup.broken(format!("host {id} has no daemon and holds {address}")))
            }
            None => Ok(()),
        }
    }

    /// Everything has had its time: the laws of the end.
    fn look(&mut self, key: (u8, u8)) -> Result<(), Broken> {
        let Some(bound) = self.bounds.get(&key).copied() else {
            return Ok(());
        };
        let due = self.stable_since + bound;
        if due > self.now {
            self.arrange(due.since(self.now), Happening::Look(key));
            return Ok(());
        }
        self.is_looked_after = false;
        if !self.is_settled(key) {
            return Ok(());
        }
        self.coverage.ends += 1;
        for id in 0..station(self.hosts.len()) {
            let host = &self.hosts[usize::from(id)];
            if host.process.is_none() && host.powered && !host.suspended {
                self.check_clean(id)?;
            }
        }
        let members = self.members(key)?;
        let mut groups: BTreeMap<String, Vec<&Member>> = BTreeMap::new();
        for member in &members {
            let side = self.segment(key.0).side_of(member.station);
            groups
                .entry(format!("{side} {}", dialect(&member.config)))
                .or_default()
                .push(member);
        }
        for group in groups.values() {
            self.check_group(key, group, groups.len() == 1)?;
        }
        Ok(())
    }

    /// Those who can serve a virtual router.
    fn members(&self, (segment, vrid): (u8, u8)) -> Result<Vec<Member>, Broken> {
        let mut members = Vec::new();
        for (host, witness) in self.hosts.iter().zip(&self.witnesses) {
            if !host.runs() {
                continue;
            }
            for (name, router) in witness.routers() {
                let config = &router.config;
                if (config.segment, config.vrid) != (segment, vrid) {
                    continue;
                }
                let usable = host.kernel.link(segment).is_some_and(|link| {
                    link.up
                        && link.carrier
                        && *link.name == *crate::scenario::interface_name(segment)
                });
                if !usable || !has_own(host, segment) || witness.is_kept_by_tracker(config) {
                    continue;
                }
                if matches!(router.state(), State::Fault | State::Init) {
                    return Err(Law::OneHolder.broken(format!(
                        "host {} {name} could serve and is in {}",
                        host.id,
                        router.state()
                    )));
                }
                members.push(Member {
                    station: host.id,
                    is_master: router.state() == State::Master,
                    priority: witness.priority(config),
                    preempts: config.preempt || config.priority == 255,
                    config: config.clone(),
                });
            }
        }
        for (index, router) in self.foreign.iter().enumerate() {
            let config = router.config();
            if (config.segment, config.vrid) == (segment, vrid)
                && router.state != foreign::State::Initialize
            {
                members.push(Member {
                    station: station(self.hosts.len() + index),
                    is_master: router.state == foreign::State::Active,
                    priority: config.priority,
                    preempts: config.preempt || config.priority == 255,
                    config: config.clone(),
                });
            }
        }
        Ok(members)
    }

    /// Whether others announce the addresses of a segment than those who agree on one master: other
    /// virtual routers, other dialects, and other makes, which do not say a last word.
    fn is_contested(&self, segment: u8) -> bool {
        usize::from(self.stations()) > self.hosts.len()
            || self
                .dialects
                .iter()
                .filter(|(on, _)| *on == segment)
                .count()
                > 1
    }

    fn check_group(
        &self,
        (segment, vrid): (u8, u8),
        group: &[&Member],
        is_alone: bool,
    ) -> Result<(), Broken> {
        let owners = group
            .iter()
            .filter(|member| member.config.priority == 255)
            .count();
        if owners > 1 && group.iter().any(|m| m.config.version == Version::V2) {
            // RFC 3768 section 7.1 has an owner hear nobody: two of them never learn of each other.
            return Ok(());
        }
        let masters: Vec<&&Member> = group.iter().filter(|member| member.is_master).collect();
        let &[master] = &masters[..] else {
            let who: Vec<Station> = masters.iter().map(|master| master.station).collect();
            let all: Vec<Station> = group.iter().map(|member| member.station).collect();
            return Err(Law::OneHolder.broken(format!(
                "VRID {vrid} on {segment}: of {all:?} the masters are {who:?}"
            )));
        };
        if let Some(better) = group
            .iter()
            .find(|member| member.preempts && member.priority > master.priority)
        {
            return Err(Law::Precedence.broken(format!(
                "VRID {vrid} on {segment}: {} is master with priority {}, {} has {}",
                master.station, master.priority, better.station, better.priority
            )));
        }
        let is_deaf = owners > 0 && master.config.version == Version::V2;
        let is_whole = self.segment(segment).side == 0;
        if is_alone && is_whole && !is_deaf && !self.is_contested(segment) {
            for address in master.config.virtual_addresses() {
                // Whoever stands still goes on answering for what it held.
                let answers =
                    |known: Station| self.hosts.get(usize::from(known)).is_none_or(Host::runs);
                if let Some(known) = self.neighbours.get(&address)
                    && *known != master.station
                    && answers(*known)
                {
                    return Err(Law::Neighbours.broken(format!(
                        "{address} is at {}, and the neighbours believe it at {known}",
                        master.station
                    )));
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Whether the kernel refused what the daemon asked for, and it will ask again.
fn host_is_refused(host: &Host) -> bool {
    host.process
        .as_ref()
        .is_some_and(|process| !process.is_content())
}

/// Whether a host has an address on a segment that is not virtual there.
fn has_own(host: &Host, segment: u8) -> bool {
    let Some(index) = host.kernel.on(segment) else {
        return false;
    };
    let here = || {
        host.config
            .routers
            .values()
            .filter(|router| router.segment == segment)
    };
    let owned: BTreeSet<InterfaceAddress> = here()
        .filter(|router| router.priority == 255)
        .flat_map(RouterConfig::virtual_addresses)
        .collect();
    let virtual_addresses: BTreeSet<InterfaceAddress> = here()
        .filter(|router| router.priority != 255)
        .flat_map(RouterConfig::virtual_addresses)
        .collect();
    host.kernel.addresses().any(|(on, address, ours)| {
        let own = !ours && !virtual_addresses.contains(&address) || owned.contains(&address);
        on == index && own
    })
}

/// Those who understand each other have the same.
fn dialect(config: &RouterConfig) -> String {
    match config.version {
        Version::V2 => format!("2 {} {}", config.interval, config.password),
        Version::V3 => "3".to_owned(),
    }
}

fn probes(config: &Config) -> Vec<String> {
    config
        .trackers
        .iter()
        .filter(|(_, tracker)| matches!(tracker, TrackerConfig::Probe { .. }))
        .map(|(name, _)| name.clone())
        .collect()
}

/// How long each virtual router takes at most: a backup that has just begun to listen waits for
/// three intervals and its skew, which is no more than one, and from then on the first word of the
/// new master is heard at once. Clocks may be slow.
fn bounds(scenario: &Scenario) -> BTreeMap<(u8, u8), Duration> {
    let mut bounds = BTreeMap::new();
    let mut dialects: BTreeMap<(u8, u8), BTreeSet<String>> = BTreeMap::new();
    for router in configured(scenario) {
        let key = (router.segment, router.vrid);
        let bound = router.interval() * 4 * 106 / 100 + SLACK;
        let known: &mut Duration = bounds.entry(key).or_default();
        *known = bound.max(*known);
        dialects.entry(key).or_default().insert(dialect(router));
    }
    // Whom every packet that it rejects puts off never comes to rest among those that it rejects.
    for router in scenario
        .foreign
        .iter()
        .filter(|router| router.make == Make::Keepalived)
    {
        let key = (router.config.segment, router.config.vrid);
        if dialects
            .get(&key)
            .is_some_and(|dialects| dialects.len() > 1)
        {
            bounds.remove(&key);
        }
    }
    bounds
}

/// Every router that any host has at any time.
fn configured(scenario: &Scenario) -> impl Iterator<Item = &RouterConfig> {
    let reloads = scenario.steps.iter().filter_map(|step| {
        let Action::Reload { config, .. } = &step.action else {
            return None;
        };
        Some(config)
    });
    scenario
        .hosts
        .iter()
        .map(|host| &host.config)
        .chain(reloads)
        .flat_map(|config| config.routers.values())
        .chain(scenario.foreign.iter().map(|router| &router.config))
}

fn station(index: usize) -> Station {
    Station::try_from(index).unwrap_or(Station::MAX)
}
