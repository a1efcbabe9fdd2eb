//! The thread of the node, which owns the engine, the clock and the sockets.
//!
//! It waits for one timer and its descriptors, and never blocks elsewhere. A turn is implemented in
//! [`vrrp_node::node`], which the simulation runs as well.

mod conflicts;
mod device_reaper;
mod lvs;
mod machine;
mod operator;
mod sockets;
mod watchdog;
mod witness;
mod worker;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tracing::Level;
use vrrp_linux::clock::{self, Timer};
use vrrp_linux::kernel::{Kernel, Watch};
use vrrp_linux::monitor::{Heard, Monitor};
use vrrp_linux::poller::{Events, Poller};
use vrrp_linux::socket::ReceiveBatch;
use vrrp_node::mirror::Event;
use vrrp_node::node::{Node as Turns, SECOND_LOOK};
use vrrp_proto::checkpoint::{Checkpoint, Notified};
use vrrp_proto::operator::StandingCommand;
use vrrp_proto::params::NodeParams;
use vrrp_proto::snapshot::Snapshot;
use vrrp_proto::{Due, Input, Instant};

use self::conflicts::ConflictListener;
use self::machine::Machine;
use self::watchdog::Watchdog;
use crate::channel::{EventSender, Message, Messages, NodeEvent};
use crate::log_writer::Log;
use crate::state_files::{StateFiles, Unwritten};

/// Tokens of the poller that [`sockets`] does not use.
const TIMER: u64 = 1 << 32;
const INBOX: u64 = TIMER + 1;
const MONITOR: u64 = TIMER + 2;
const REFUSER: u64 = TIMER + 3;
const ROUTING: u64 = TIMER + 4;
const CONFLICTS: u64 = TIMER + 5;

/// Most batches of packets that one turn takes from a socket, unless a take-over is due.
const BATCHES: usize = 32;

/// Time before a take-over at which the node wakes up. A sleeping CPU takes up to this long to wake
/// up; take-overs are rare enough to busy-wait for them.
const AWAKE: Duration = Duration::from_micros(200);

/// Time after the beginning of a read in which the node may act on what it has read, and number of
/// reads beyond that: under a flood the reads themselves take longer.
const MOMENT: Duration = Duration::from_millis(5);
const ATTEMPTS: u32 = 3;

/// State of the main thread.
#[derive(Debug)]
pub(crate) struct Node {
    turns: Turns,
    machine: Machine,
    poller: Rc<Poller>,
    timer: Timer,
    messages: Messages,
    monitor: Monitor,
    /// Beginning of the last read of the descriptors.
    taken_at: Instant,
    /// Configurations that this turn has taken in.
    configured: u32,
    /// What was notified, once the node was asked to leave its state to the next process, and the time to
    /// leave: after an advertisement.
    leaving: Option<(Notified, Instant)>,
    /// Watchdog of the unit, if it has one.
    watchdog: Option<Watchdog>,
    /// Buffers that are kept from turn to turn.
    events: Vec<Event>,
    batch: ReceiveBatch,
}

impl Node {
    /// A node that runs `params` under the standing `commands` of the operator, continues with what the former
    /// process has `left`, receives `messages` and sends `events`.
    ///
    /// # Errors
    /// If the kernel does not provide the sockets.
    pub(crate) fn new(
        params: NodeParams,
        commands: Vec<StandingCommand>,
        left: Option<Checkpoint>,
        messages: Messages,
        events: EventSender,
        log: Log,
    ) -> io::Result<Self> {
        let poller = Rc::new(Poller::new()?);
        let timer = Timer::new()?;
        let kernel = Kernel::watched(Watch {
            poller: Rc::clone(&poller),
            routing: ROUTING,
            drop_rules: REFUSER,
        })?;
        // Opened before the first dump, so that no change in between is missed.
        let monitor = Monitor::open(kernel.port())?;
        poller.add(&timer, TIMER)?;
        poller.add(&messages, INBOX)?;
        poller.add(&monitor, MONITOR)?;
        let watchdog = Watchdog::of_unit(&log);
        let machine = Machine::new(kernel, Rc::clone(&poller), events, log)?;
        let mut node = Self {
            turns: Turns::new(),
            machine,
            poller,
            timer,
            messages,
            monitor,
            taken_at: clock::now(),
            configured: 0,
            leaving: None,
            watchdog,
            events: Vec::new(),
            batch: ReceiveBatch::default(),
        };
        let (now, wall) = (clock::now(), clock::wall());
        for command in commands {
            node.hand(now, Input::Command(command));
        }
        let Self { turns, machine, .. } = &mut node;
        match left {
            Some(left) => turns.resume(now, wall, params, left, machine)?,
            None => turns.start(now, wall, params, machine)?,
        }
        Ok(node)
    }

    /// Runs turns until the node was asked to stop and has handed over its addresses, or has left its state to the
    /// next process in `files`.
    ///
    /// # Errors
    /// If a wait fails, which is not expected.
    pub(crate) fn run(&mut self, files: &StateFiles) -> io::Result<()> {
        let mut events = Events::new();
        while !self.turns.has_ended() {
            self.timer.arm(self.wakeup())?;
            self.poller.wait(&mut events, None)?;
            self.take_in(&events);
            if self.stay_awake() {
                self.poller.wait(&mut events, Some(Duration::ZERO))?;
                self.take_in(&events);
            }
            // A process that was suspended at this point has not read the packets that came
            // meanwhile.
            for _ in 0..ATTEMPTS {
                if clock::now().since(self.taken_at) <= MOMENT {
                    break;
                }
                self.poller.wait(&mut events, Some(Duration::ZERO))?;
                self.take_in(&events);
            }
            if self.turns.consult_wire(clock::now(), &mut self.machine) {
                self.poller.wait(&mut events, Some(Duration::ZERO))?;
                self.take_in(&events);
            }
            self.turns.turn(clock::now(), &mut self.machine);
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.feed(clock::now());
            }
            // Only now: the turn has carried out the configurations.
            for _ in 0..std::mem::take(&mut self.configured) {
                self.machine.events.send(NodeEvent::Configured);
            }
            if self.has_to_leave() && self.leave(files) {
                return Ok(());
            }
        }
        let numbers = self.turns.engine().numbers(clock::now());
        if let Err(error) = files.write_numbers(numbers) {
            self.complain(Level::WARN, error.to_string());
        }
        // Failures are logged; `vrrpd cleanup` tries again.
        let _ = self.turns.retire_drop_filter(&mut self.machine);
        Ok(())
    }

    /// Whether the time to leave has come, and the turn for it has been carried out.
    fn has_to_leave(&self) -> bool {
        let is_due = |(_, at): &(Notified, Instant)| *at <= self.taken_at;
        self.leaving.as_ref().is_some_and(is_due)
    }

    /// Leaves the state of the node to the next process, or stops the routers if that fails. Returns whether it
    /// has left.
    fn leave(&mut self, files: &StateFiles) -> bool {
        let Some((notified, _)) = self.leaving.take() else {
            return false;
        };
        match self.hand_over(files, notified) {
            Ok(()) => {
                self.machine.events.send(NodeEvent::Left);
                true
            }
            Err(error) => {
                let text = format!("{error}: handing over mastership to another host");
                self.complain(Level::WARN, text);
                let now = clock::now();
                self.turns.stop(now, &mut self.machine);
                self.turns.turn(now, &mut self.machine);
                false
            }
        }
    }

    /// Hands the state of the node to the next process.
    fn hand_over(&mut self, files: &StateFiles, notified: Notified) -> Result<(), Unwritten> {
        let (checkpoint, lifetime) = self
            .turns
            .hand_over(clock::now(), &mut self.machine)
            .map_err(Unwritten::Lifetimes)?;
        files.write_numbers(self.turns.engine().numbers(clock::now()))?;
        files.leave(checkpoint, lifetime, notified)
    }

    /// Time of the next wake-up, early for a take-over: see [`AWAKE`].
    fn wakeup(&self) -> Option<Instant> {
        let due = self
            .turns
            .engine()
            .poll_timeout()
            .map(|(at, what)| match what {
                Due::TakeOver => at - AWAKE,
                Due::Advertisement
                | Due::Announcement
                | Due::Watch
                | Due::Verdict
                | Due::Grace
                | Due::Contest
                | Due::HandOver
                | Due::Command => at,
            });
        let watchdog = self.watchdog.as_ref().map(Watchdog::due);
        let all = [due, self.turns.due(), watchdog];
        all.into_iter().flatten().min()
    }

    /// Busy-waits for a take-over that is due within [`AWAKE`]. Returns whether it has waited; then
    /// packets may have come in.
    fn stay_awake(&self) -> bool {
        let Some((at, Due::TakeOver)) = self.turns.engine().poll_timeout() else {
            return false;
        };
        let left = at.since(clock::now());
        if left.is_zero() || left > AWAKE {
            return false;
        }
        while clock::now() < at {
            std::hint::spin_loop();
        }
        true
    }

    /// Reads all descriptors that are ready.
    fn take_in(&mut self, events: &Events) {
        let now = clock::now();
        self.taken_at = now;
        if self.turns.engine().wants_wall_clock() {
            self.hand(now, Input::WallClock(clock::wall()));
        }
        if events.tokens().all(|token| token != MONITOR) {
            self.turns.no_news_waits();
        }
        for token in events.tokens() {
            match token {
                TIMER => self.timer.acknowledge(),
                INBOX => self.take_messages(now),
                MONITOR => self.take_events(now),
                REFUSER => self.take_drop_filter_news(now),
                ROUTING => self.take_routing_news(now),
                // After all packets: the advertisement of a new master may be among them.
                CONFLICTS => {}
                socket => self.take_packets(now, socket),
            }
        }
        if events.tokens().any(|token| token == CONFLICTS) {
            self.take_conflicts(now);
        }
        self.turns.look_again(now, &mut self.machine);
    }

    fn take_conflicts(&mut self, now: Instant) {
        let listener = self.machine.conflicts.as_ref();
        for conflict in listener.map(ConflictListener::take).into_iter().flatten() {
            self.hand(now, Input::AddressConflict(conflict));
        }
    }

    fn hand(&mut self, now: Instant, input: Input<'_>) {
        self.turns.handle(now, input, &mut self.machine);
    }

    /// Reads the waiting packets, so that no router takes over although an advertisement is there.
    /// Of a flood it reads only so many that its own advertisements are not delayed. When a
    /// take-over is due, it reads all that came before the turn: the master's advertisement may be
    /// behind the flood.
    fn take_packets(&mut self, now: Instant, token: u64) {
        let Some(place) = sockets::place(token) else {
            return;
        };
        let (interface, _) = place;
        let mut many = false;
        for batch in 0.. {
            let is_enough = batch >= BATCHES || batch > 0 && self.is_late();
            if is_enough && !self.turns.engine().is_take_over_due(now) {
                break;
            }
            match self.machine.sockets.receive(place, &mut self.batch) {
                Ok(None) => return,
                Ok(Some(packets)) => {
                    let mut more = packets.batch_is_full();
                    for packet in packets {
                        // What arrived after the beginning of the turn is left to the next one.
                        more &= packet.at < now;
                        let input = Input::Packet(packet);
                        self.turns.handle(now, input, &mut self.machine);
                    }
                    if !more {
                        break;
                    }
                    many = true;
                }
                Err(error) => {
                    let name = self.turns.mirror().name(interface);
                    let text = format!("cannot receive on {name}: {error}");
                    return self.complain(Level::WARN, text);
                }
            }
        }
        // A short queue cannot have overflowed. After an overflow the master's advertisement may be
        // among the lost ones.
        if many && self.machine.sockets.has_lost(place) {
            let name = self.turns.mirror().name(interface);
            let text = format!(
                "receive buffer overflow on {name}: advertisements lost; a missing master may be alive \
                 (logged once a minute)"
            );
            self.complain(Level::WARN, text);
        }
    }

    /// Whether something else than a take-over is due by now, such as an advertisement.
    fn is_late(&self) -> bool {
        let due = self.turns.engine().poll_timeout();
        due.is_some_and(|(at, due)| due != Due::TakeOver && at <= clock::now())
    }

    fn take_messages(&mut self, now: Instant) {
        self.messages.acknowledge();
        while let Some(message) = self.messages.next_sent() {
            match message {
                Message::Configure(params) => {
                    self.turns
                        .configure(now, clock::wall(), params, &mut self.machine);
                    self.configured += 1;
                }
                Message::Probe {
                    tracker,
                    result,
                    detail,
                } => {
                    let tracker = &*tracker;
                    self.hand(
                        now,
                        Input::Probe {
                            tracker,
                            result,
                            detail,
                        },
                    );
                }
                Message::Resolved { name, addresses } => {
                    let (name, addresses) = (&*name, &*addresses);
                    self.hand(now, Input::Resolved { name, addresses });
                }
                Message::Inhibited { router, why } => {
                    let router = &*router;
                    self.hand(now, Input::Inhibited { router, why });
                }
                Message::Operate(operation) => self.operate(now, operation),
                // The client may have disconnected.
                Message::Snapshot(reply) => {
                    let lost = self.machine.sockets.lost();
                    let mut snapshot = self.turns.snapshot(now);
                    if let Some(keeper) = &self.machine.lvs {
                        keeper.complete(&mut snapshot);
                    }
                    drop(reply.send(Snapshot { lost, ..snapshot }));
                }
                // The services may have ended.
                Message::Numbers(reply) => {
                    drop(reply.send(self.turns.engine().numbers(now)));
                }
                Message::Leave(notified) => {
                    self.leaving = Some((notified, self.turns.engine().quiet_at(now)));
                }
                Message::Stop => self.turns.stop(now, &mut self.machine),
            }
        }
    }

    /// Reads the kernel's events of links and addresses.
    fn take_events(&mut self, now: Instant) {
        match self.monitor.read(&mut self.events) {
            Ok(Heard::All) => {}
            Ok(Heard::Overrun) => {
                let text =
                    "netlink receive buffer overflow: reading all interfaces and addresses again";
                self.complain(Level::WARN, text.to_owned());
                self.turns.look_at(now);
            }
            Err(error) => {
                let text = format!(
                    "cannot receive interface events from the kernel: {error}; reading all interfaces \
                     again in 1 s"
                );
                self.complain(Level::ERROR, text);
                self.turns.look_at(now + SECOND_LOOK);
            }
        }
        let events = self.events.drain(..);
        self.turns.take_news(now, events, &mut self.machine);
    }

    /// Checks routes and rules after an event of another program's change.
    fn take_routing_news(&mut self, now: Instant) {
        match self.machine.kernel.take_routing_news() {
            Ok(false) => {}
            Ok(true) => self.turns.look_at_routing(now, &mut self.machine),
            Err(error) => {
                let text = format!(
                    "cannot receive route events from the kernel: {error}; reading all routes again in 1 s"
                );
                self.complain(Level::ERROR, text);
                self.turns.look_at(now + SECOND_LOOK);
            }
        }
    }

    /// Repairs the drop filter after an event of another program's change.
    fn take_drop_filter_news(&mut self, now: Instant) {
        match self.machine.kernel.take_drop_filter_news() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                let text = format!(
                    "cannot receive nf_tables events from the kernel: {error}; checking the drop filter"
                );
                self.complain(Level::ERROR, text);
            }
        }
        self.turns.repair_drop_rules(now, &mut self.machine);
    }

    fn complain(&mut self, level: Level, text: String) {
        self.machine.complaints.tell(level, text);
    }
}
