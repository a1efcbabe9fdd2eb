//! The thread of the node, which owns the engine, the clock and the sockets.
//!
//! It waits for one timer and its descriptors, and never blocks on anything else. What a turn does is
//! [`vrrp_node::node`], which the simulation runs as well.

use std::io;
use std::rc::Rc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::watch;
use tracing::Level;
use vrrp_linux::clock::{self, Timer};
use vrrp_linux::kernel::{Kernel, Watch};
use vrrp_linux::monitor::{Heard, Monitor};
use vrrp_linux::poller::{Events, Poller, Waker};
use vrrp_linux::socket::ReceiveBatch;
use vrrp_node::mirror::Event;
use vrrp_node::node::{Node as Turns, SECOND_LOOK};
use vrrp_proto::params::NodeParams;
use vrrp_proto::snapshot::Snapshot;
use vrrp_proto::{Due, Input, Instant};

use super::event_sender::{EventSender, NodeEvents};
use super::inbox::{Inbox, Message};
use super::machine::{Machine, StateCounts};
use super::sockets;
use crate::log_writer::Log;

/// Tokens of the poller, where those of the [`sockets`] are none.
const TIMER: u64 = 1 << 32;
const INBOX: u64 = TIMER + 1;
const MONITOR: u64 = TIMER + 2;
const REFUSER: u64 = TIMER + 3;
const ROUTING: u64 = TIMER + 4;

/// How many batches of packets are taken from one socket in one turn, unless a take-over is due.
const BATCHES: usize = 32;

/// How long before a take-over the node is awake. A CPU that sleeps takes up to this long to wake
/// up, and a take-over is rare enough to spend it waiting.
const AWAKE: Duration = Duration::from_micros(200);

/// How long after it began to read the node may still act on what it has read, and how often it reads
/// again otherwise: under a flood reading itself takes longer.
const MOMENT: Duration = Duration::from_millis(5);
const ATTEMPTS: u32 = 3;

/// The main thread's own.
#[derive(Debug)]
pub(crate) struct Node {
    turns: Turns,
    machine: Machine,
    poller: Rc<Poller>,
    timer: Timer,
    waker: Waker,
    messages: Receiver<Message>,
    monitor: Monitor,
    /// The time at which it last began to read what had come.
    taken_at: Instant,
    /// The number of configurations that were taken in in this turn.
    configured: u32,
    /// Room that is kept from turn to turn.
    events: Vec<Event>,
    batch: ReceiveBatch,
}

impl Node {
    /// A node that runs `params`, the way to it, its tally, and what it does.
    ///
    /// # Errors
    /// When the kernel does not give the sockets.
    pub(crate) fn new(
        params: NodeParams,
        log: Log,
    ) -> io::Result<(Self, Inbox, watch::Receiver<StateCounts>, NodeEvents)> {
        let poller = Rc::new(Poller::new()?);
        let timer = Timer::new()?;
        let waker = Waker::new()?;
        let kernel = Kernel::watched(Watch {
            poller: Rc::clone(&poller),
            routing: ROUTING,
            drop_rules: REFUSER,
        })?;
        // Before the first dump, so that nothing happens unseen in between.
        let monitor = Monitor::open(kernel.port())?;
        poller.add(&timer, TIMER)?;
        poller.add(&waker, INBOX)?;
        poller.add(&monitor, MONITOR)?;
        let (inbox, messages) = Inbox::new(waker.clone());
        let (state_counts, observer) = watch::channel(StateCounts::default());
        let (events, node_events) = EventSender::new();
        let machine = Machine::new(kernel, Rc::clone(&poller), state_counts, events, log)?;
        let mut node = Self {
            turns: Turns::new(),
            machine,
            poller,
            timer,
            waker,
            messages,
            monitor,
            taken_at: clock::now(),
            configured: 0,
            events: Vec::new(),
            batch: ReceiveBatch::default(),
        };
        let (now, wall) = (clock::now(), clock::wall());
        node.turns.start(now, wall, params, &mut node.machine)?;
        node.machine.publish_state_counts();
        Ok((node, inbox, observer, node_events))
    }

    /// Turns until it is told to stop and has handed everything over.
    ///
    /// # Errors
    /// When waiting fails, for which there is no reason.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::new();
        while !self.turns.is_stopping() {
            self.timer.arm(self.wakeup())?;
            self.poller.wait(&mut events, None)?;
            self.take_in(&events);
            if self.stay_awake() {
                self.poller.wait(&mut events, Some(Duration::ZERO))?;
                self.take_in(&events);
            }
            // A process that was stopped right here has not read the packets that came meanwhile.
            for _ in 0..ATTEMPTS {
                if clock::now().since(self.taken_at) <= MOMENT {
                    break;
                }
                self.poller.wait(&mut events, Some(Duration::ZERO))?;
                self.take_in(&events);
            }
            self.turns.turn(clock::now(), &mut self.machine);
            self.machine.publish_state_counts();
            for _ in 0..std::mem::take(&mut self.configured) {
                self.machine.events.tell_configured();
            }
        }
        // What cannot be deleted is told; `vrrpd cleanup` tries again.
        let _ = self.turns.retire_drop_filter(&mut self.machine);
        Ok(())
    }

    /// When to wake up: early for a take-over, see [`AWAKE`].
    fn wakeup(&self) -> Option<Instant> {
        let due = self
            .turns
            .engine()
            .poll_timeout()
            .map(|(at, what)| match what {
                Due::TakeOver => at - AWAKE,
                Due::Advertisement | Due::Announcement | Due::Verdict | Due::Grace => at,
            });
        [due, self.turns.due()].into_iter().flatten().min()
    }

    /// Waits for a take-over that is due in a moment without going to sleep. Returns whether it
    /// did; then something may have come in meanwhile.
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

    /// Takes in what has come.
    fn take_in(&mut self, events: &Events) {
        let now = clock::now();
        self.taken_at = now;
        if self.turns.engine().wants_wall_clock() {
            self.hand(now, Input::WallClock(clock::wall()));
        }
        for token in events.tokens() {
            match token {
                TIMER => self.timer.acknowledge(),
                INBOX => self.take_messages(now),
                MONITOR => self.take_events(now),
                REFUSER => self.take_drop_filter_news(now),
                ROUTING => self.take_routing_news(now),
                socket => self.take_packets(now, socket),
            }
        }
        self.turns.look_again(now, &mut self.machine);
    }

    fn hand(&mut self, now: Instant, input: Input<'_>) {
        self.turns.handle(now, input, &mut self.machine);
    }

    /// Takes in what is waiting, so that no router acts on a silence that is none. Of a flood only so
    /// much that advertisements are not delayed, unless a take-over is due: then all that had come
    /// when the turn began, because behind the flood may be the master's advertisement.
    fn take_packets(&mut self, now: Instant, token: u64) {
        let Some(place) = sockets::place(token) else {
            return;
        };
        let (interface, _) = place;
        let mut many = false;
        for batch in 0.. {
            if batch >= BATCHES && !self.turns.engine().is_take_over_due(now) {
                break;
            }
            match self.machine.sockets.receive(place, &mut self.batch) {
                Ok(None) => return,
                Ok(Some(packets)) => {
                    let mut more = packets.batch_is_full();
                    for packet in packets {
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
        // Without many there is room. What is lost may have been the master's.
        if many && self.machine.sockets.has_lost(place) {
            let name = self.turns.mirror().name(interface);
            let text = format!(
                "packets come in on {name} faster than they can be read, and some are lost: a silence \
                 may be none (told once a minute)"
            );
            self.complain(Level::WARN, text);
        }
    }

    fn take_messages(&mut self, now: Instant) {
        self.waker.acknowledge();
        while let Ok(message) = self.messages.try_recv() {
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
                // The asking client may have gone away.
                Message::Snapshot(reply) => {
                    let lost = self.machine.sockets.lost();
                    let mut snapshot = self.turns.engine().snapshot(now);
                    if let Some(keeper) = &self.machine.lvs {
                        keeper.complete(&mut snapshot);
                    }
                    drop(reply.send(Snapshot { lost, ..snapshot }));
                }
                Message::Alive(reply) => drop(reply.send(())),
                Message::Stop => self.turns.stop(now, &mut self.machine),
            }
        }
    }

    /// Takes in what the kernel tells of links and addresses.
    fn take_events(&mut self, now: Instant) {
        match self.monitor.read(&mut self.events) {
            Ok(Heard::All) => {}
            Ok(Heard::Overrun) => {
                let text = "the kernel's messages about interfaces overran; looking at everything";
                self.complain(Level::WARN, text.to_owned());
                self.turns.look_at(now);
            }
            Err(error) => {
                let text = format!("cannot hear the kernel's messages: {error}");
                self.complain(Level::ERROR, text);
                self.turns.look_at(now + SECOND_LOOK);
            }
        }
        let events = self.events.drain(..);
        self.turns.take_news(now, events, &mut self.machine);
    }

    /// Looks at routes and rules when another program may have changed some of ours.
    fn take_routing_news(&mut self, now: Instant) {
        match self.machine.kernel.take_routing_news() {
            Ok(false) => {}
            Ok(true) => self.turns.look_at_routing(now, &mut self.machine),
            Err(error) => {
                let text = format!("cannot hear of changes of routes: {error}");
                self.complain(Level::ERROR, text);
                self.turns.look_at(now + SECOND_LOOK);
            }
        }
    }

    /// Repairs the table of refusals when another program may have changed it.
    fn take_drop_filter_news(&mut self, now: Instant) {
        match self.machine.kernel.take_drop_filter_news() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                let text = format!("cannot hear of changes of nf_tables: {error}");
                self.complain(Level::ERROR, text);
            }
        }
        self.turns.repair_drop_rules(now, &mut self.machine);
    }

    fn complain(&mut self, level: Level, text: String) {
        self.machine.complaints.tell(level, text);
    }
}
