//! The node: one thread that owns the engine, the clock and the sockets.
//!
//! It waits for one timer and its descriptors, and never blocks on anything else. Each turn takes
//! in what has come (packets before the tick, see [`Engine`]), lets the engine do what is due, and
//! carries out all that came of it together: advertisements, then addresses, then announcements,
//! each with one system call where that is possible, and the log last.

mod effects;
mod refusal;
mod routing;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::watch;
use tracing::Level;
use vrrp_linux::announce::AnnounceSocket;
use vrrp_linux::clock::{self, Timer};
use vrrp_linux::device::Devices;
use vrrp_linux::mirror::{Event, Mirror};
use vrrp_linux::monitor::{Heard, Monitor};
use vrrp_linux::pacer::Pacer;
use vrrp_linux::plan::Change;
use vrrp_linux::poller::{Events, Poller, Waker};
use vrrp_linux::refuse::Refuser;
use vrrp_linux::request::{Failure, Requests};
use vrrp_proto::params::NodeParams;
use vrrp_proto::snapshot::Snapshot;
use vrrp_proto::{
    Announcement, Desired, DesiredDevice, DesiredLvs, Due, Engine, Input, Instant, InterfaceIndex,
    Report,
};

use self::routing::RoutingState;
use super::complaints::Complaints;
use super::inbox::{Inbox, Message};
use super::janitor::Janitor;
use super::lvs::LvsKeeper;
use super::outbox::{Moves, Outbox};
use super::sockets::{self, Sockets};
use crate::scribe::Log;

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

/// After a refusal of the kernel everything is looked at again, this much later.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// How many routers are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) master: usize,
    pub(crate) backup: usize,
    pub(crate) fault: usize,
}

/// The main thread's own.
#[derive(Debug)]
pub(crate) struct Node {
    engine: Engine,
    poller: Poller,
    timer: Timer,
    waker: Waker,
    messages: Receiver<Message>,
    monitor: Monitor,
    requests: Requests,
    mirror: Mirror,
    routing: RoutingState,
    sockets: Sockets,
    announcer: AnnounceSocket,
    pacer: Pacer,
    /// For interfaces with virtual MAC addresses, once there is one.
    devices: Option<(Devices, Janitor)>,
    /// For the sync thread of IPVS, once there is to be one.
    lvs: Option<LvsKeeper>,
    refuser: Refuser,
    /// Whether a router is configured that does not accept packets to its addresses.
    refuses: bool,
    /// When the table of the refuser was last repaired.
    repaired_at: Option<Instant>,
    tally: watch::Sender<Tally>,
    outbox: Outbox,
    log: Log,
    complaints: Complaints,
    /// When it last began to read what had come.
    taken_at: Instant,
    /// When everything is to be looked at again.
    look_again_at: Option<Instant>,
    /// Whether that was just done: what is added then was not announced yet.
    is_second_look: bool,
    stopping: bool,
    /// How many configurations were taken in in this turn.
    configured: u32,
    scratch: Scratch,
}

/// Room that is kept from turn to turn.
#[derive(Debug, Default)]
struct Scratch {
    events: Vec<Event>,
    desired: Vec<Desired>,
    devices: BTreeMap<Arc<str>, DesiredDevice>,
    lvs: Option<DesiredLvs>,
    announcements: Vec<Announcement>,
    reports: Vec<Report>,
    changes: Vec<Change>,
    failures: Vec<Failure>,
    /// Whether something may be refused in vain although nothing else is to be done.
    uncover: bool,
    /// Whether the engine was told something meanwhile, of which more is to be done.
    again: bool,
}

impl Node {
    /// A node that runs `params`, the way to it, its tally, and what it does.
    ///
    /// # Errors
    /// When the kernel does not give the sockets.
    pub(crate) fn new(
        params: NodeParams,
        log: Log,
    ) -> io::Result<(Self, Inbox, watch::Receiver<Tally>, Moves)> {
        let poller = Poller::new()?;
        let timer = Timer::new()?;
        let waker = Waker::new()?;
        let requests = Requests::open()?;
        // Before the first dump, so that nothing happens unseen in between.
        let monitor = Monitor::open(&requests)?;
        poller.add(&timer, TIMER)?;
        poller.add(&waker, INBOX)?;
        poller.add(&monitor, MONITOR)?;
        let (inbox, messages) = Inbox::new(waker.clone());
        let (tally, observer) = watch::channel(Tally::default());
        let (outbox, moves) = Outbox::new();
        let mut node = Self {
            engine: Engine::new(),
            poller,
            timer,
            waker,
            messages,
            monitor,
            requests,
            mirror: Mirror::new(),
            routing: RoutingState::default(),
            sockets: Sockets::default(),
            announcer: AnnounceSocket::open()?,
            pacer: Pacer::default(),
            devices: None,
            lvs: None,
            refuser: Refuser::new(),
            refuses: false,
            repaired_at: None,
            tally,
            outbox,
            complaints: Complaints::new(log.clone()),
            log,
            taken_at: clock::now(),
            look_again_at: None,
            is_second_look: false,
            stopping: false,
            configured: 0,
            scratch: Scratch::default(),
        };
        node.look()?;
        if params.refuses() {
            node.refuser.adopt(&node.mirror);
        }
        node.configure(clock::now(), params);
        node.act_after_change();
        node.remove_strays();
        node.remove_former_refusals();
        node.clean_routing();
        Ok((node, inbox, observer, moves))
    }

    /// Turns until it is told to stop and has handed everything over.
    ///
    /// # Errors
    /// When waiting fails, for which there is no reason.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::new();
        while !self.stopping {
            self.timer.arm(self.wakeup())?;
            self.poller.wait(&mut events, None)?;
            let mut changed = self.take_in(&events);
            if self.stay_awake() {
                self.poller.wait(&mut events, Some(Duration::ZERO))?;
                changed |= self.take_in(&events);
            }
            // Whoever was stopped right here has not read what came meanwhile.
            for _ in 0..ATTEMPTS {
                if clock::now().since(self.taken_at) <= MOMENT {
                    break;
                }
                self.poller.wait(&mut events, Some(Duration::ZERO))?;
                changed |= self.take_in(&events);
            }
            self.engine.handle(clock::now(), Input::Tick);
            if changed {
                self.act_after_change();
            } else {
                self.act();
            }
            for _ in 0..std::mem::take(&mut self.configured) {
                self.outbox.tell_configured();
            }
        }
        self.retire_refuser();
        Ok(())
    }

    /// Runs `params` instead of what runs.
    fn configure(&mut self, now: Instant, params: NodeParams) {
        self.refuses = params.refuses();
        self.prepare_refuser(now);
        self.engine.handle(now, Input::WallClock(clock::wall()));
        self.engine.handle(now, Input::Configure(params));
    }

    /// When to wake up: early for a take-over, see [`AWAKE`].
    fn wakeup(&self) -> Option<Instant> {
        let due = self.engine.poll_timeout().map(|(at, what)| match what {
            Due::TakeOver => at - AWAKE,
            Due::Advertisement | Due::Announcement | Due::Verdict | Due::Grace => at,
        });
        [due, self.look_again_at, self.pacer.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Waits for a take-over that is due in a moment without going to sleep. Returns whether it
    /// did; then something may have come in meanwhile.
    fn stay_awake(&self) -> bool {
        let Some((at, Due::TakeOver)) = self.engine.poll_timeout() else {
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

    /// Takes in what has come. Returns whether sockets may have to be opened or closed.
    fn take_in(&mut self, events: &Events) -> bool {
        let now = clock::now();
        self.taken_at = now;
        if self.engine.wants_wall_clock() {
            self.engine.handle(now, Input::WallClock(clock::wall()));
        }
        let mut changed = false;
        for token in events.tokens() {
            match token {
                TIMER => self.timer.acknowledge(),
                INBOX => changed |= self.take_messages(now),
                MONITOR => changed |= self.take_events(now),
                REFUSER => self.take_changes_of_refusals(now),
                ROUTING => self.take_routing_news(now),
                socket => self.take_packets(now, socket),
            }
        }
        if self.look_again_at.is_some_and(|at| now >= at) {
            self.look_again(now);
            changed = true;
        }
        changed
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
            if batch >= BATCHES && !self.engine.is_take_over_due(now) {
                break;
            }
            match self.sockets.receive(place) {
                Ok(None) => return,
                Ok(Some(packets)) => {
                    let mut more = packets.batch_is_full();
                    for packet in packets {
                        more &= packet.at < now;
                        self.engine.handle(now, Input::Packet(packet));
                    }
                    if !more {
                        break;
                    }
                    many = true;
                }
                Err(error) => {
                    let name = name(&self.mirror, interface);
                    let text = format!("cannot receive on {name}: {error}");
                    return self.complaints.tell(Level::WARN, text);
                }
            }
        }
        // Without many there is room. What is lost may have been the master's.
        if many && self.sockets.has_lost(place) {
            let name = name(&self.mirror, interface);
            let text = format!(
                "packets come in on {name} faster than they can be read, and some are lost: a silence \
                 may be none (told once a minute)"
            );
            self.complaints.tell(Level::WARN, text);
        }
    }

    /// Returns whether sockets may have to be opened or closed.
    fn take_messages(&mut self, now: Instant) -> bool {
        self.waker.acknowledge();
        let mut changed = false;
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Configure(params) => {
                    self.configure(now, params);
                    self.configured += 1;
                    changed = true;
                }
                Message::Probe {
                    tracker,
                    result,
                    detail,
                } => {
                    self.engine.handle(
                        now,
                        Input::Probe {
                            tracker: &tracker,
                            result,
                            detail,
                        },
                    );
                }
                Message::Resolved { name, addresses } => {
                    let (name, addresses) = (&*name, &*addresses);
                    self.engine.handle(now, Input::Resolved { name, addresses });
                }
                Message::Hindered { router, why } => {
                    let router = &*router;
                    self.engine.handle(now, Input::Hindered { router, why });
                }
                // Whoever asked may have gone away.
                Message::Snapshot(reply) => {
                    let lost = self.sockets.lost();
                    let mut snapshot = self.engine.snapshot(now);
                    if let Some(keeper) = &self.lvs {
                        keeper.complete(&mut snapshot);
                    }
                    drop(reply.send(Snapshot { lost, ..snapshot }));
                }
                Message::Alive(reply) => drop(reply.send(())),
                Message::Stop => {
                    self.engine.handle(now, Input::Stop);
                    self.refuses = false;
                    self.stopping = true;
                }
            }
        }
        changed
    }

    /// Returns whether sockets may have to be opened or closed.
    fn take_events(&mut self, now: Instant) -> bool {
        match self.monitor.read(&mut self.scratch.events) {
            Ok(Heard::All) => {}
            Ok(Heard::Overrun) => {
                let text = "the kernel's messages about interfaces overran; looking at everything";
                self.complaints.tell(Level::WARN, text.to_owned());
                self.look_again_at = Some(now);
            }
            Err(error) => {
                let text = format!("cannot hear the kernel's messages: {error}");
                self.complaints.tell(Level::ERROR, text);
                self.look_again_at = Some(now + SECOND_LOOK);
            }
        }
        let (mut changed, mut routes_may_be_gone) = (false, false);
        for event in self.scratch.events.drain(..) {
            routes_may_be_gone |= self.routing.is_affected_by(&event, &self.mirror);
            if let Some(input) = self.mirror.apply(event) {
                self.engine.handle(now, input);
                changed = true;
            }
        }
        if self.mirror.is_in_doubt() {
            changed = true;
            self.look_or_complain(now);
        } else if routes_may_be_gone {
            self.look_at_routing(now);
        }
        changed
    }

    /// Tells the engine what the kernel holds, as far as that is news.
    fn look(&mut self) -> io::Result<()> {
        let dump = self.requests.dump()?;
        let now = clock::now();
        for input in self.mirror.replace(dump) {
            self.engine.handle(now, input);
        }
        Ok(())
    }

    fn look_or_complain(&mut self, now: Instant) {
        if let Err(error) = self.look() {
            let text = format!("cannot ask the kernel for addresses: {error}");
            self.complaints.tell(Level::ERROR, text);
            self.look_again_at = Some(now + SECOND_LOOK);
        }
        self.look_at_routing(now);
    }

    /// Looks at everything again, and asks for everything again.
    fn look_again(&mut self, now: Instant) {
        self.look_again_at = None;
        self.is_second_look = true;
        self.prepare_refuser(now);
        self.look_or_complain(now);
        self.engine.handle(now, Input::Overrun);
        self.remove_strays();
    }
}

/// The name of an interface, for people.
fn name(mirror: &Mirror, interface: InterfaceIndex) -> String {
    mirror.link(interface).map_or_else(
        || format!("interface {}", interface.0),
        |link| link.name.to_string(),
    )
}
