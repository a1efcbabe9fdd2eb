//! One virtual router: the state machine of RFC 9568 section 6.4 (RFC 3768 for version 2).
//!
//! ```text
//!                      start, fault             fault cleared
//!            +------+ ----------------> +-------+ ------------+
//!            | Init |                   | Fault |             |
//!            +------+ <---- stop ------ +-------+             |
//!    start    |  |  ^                    ^     ^              |
//!  (owner) +--+  |  |             fault  |     | fault        |
//!          |     v  | stop               |     |              v
//!          |   +--------+ ---------------+     |         (as at start)
//!          |   | Backup | --- silence, resignation, lower priority --+
//!          |   +--------+ <-- higher priority or address, late wake -+-+
//!          |                                   |                     | |
//!          |   +--------+ ---------------------+                     | |
//!          +-> | Master | <-----------------------------------------+ |
//!              +--------+ ---------------------------------------------+
//! ```
//!
//! An instance of both families is two routers of the protocol that change their state together,
//! and one [`Router`] here: it receives advertisements in each family separately ([`backup`]), and
//! sends its own in both.
//!
//! Data that has a meaning only in one state is part of that state ([`Phase`]). The router knows
//! time as numbers and other routers as addresses; packets, interfaces, trackers and groups are the
//! engine's concern. Every method takes the present time and returns a [`Reaction`]; an early or
//! repeated call has no effect.
//!
//! The engine decides for all members of a sync group together. It reads the state of each member
//! and gives orders through the methods in [`member`].

mod backup;
mod contest;
mod hold_down;
mod master;
mod member;

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

pub(crate) use self::backup::Sighting;
use self::backup::{Backup, Heard};
use self::hold_down::{BURST, HoldDown};
use self::master::Master;
use crate::checkpoint::PhaseCheckpoint;
use crate::params::Announcements;
use crate::reasons::{Cause, Due, FaultReason};
use crate::time::{Human, Instant};
use crate::types::{AdvertInterval, Family, Priority, State, Version};
use crate::wire::Advert;

/// Settings of a router: the part of its configuration that the state machine uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) version: Version,
    /// Effective priority.
    pub(crate) priority: Priority,
    pub(crate) interval: AdvertInterval,
    pub(crate) preempt: bool,
    /// Delay before it preempts a master of lower priority.
    pub(crate) preempt_delay: Duration,
    /// Least time from the start to a take-over.
    pub(crate) startup_delay: Duration,
    /// Repeated announcements of its addresses as master.
    pub(crate) announce: Announcements,
    pub(crate) families: Families,
    /// Whether an advertisement that only the wire shows withholds a take-over.
    pub(crate) trust_wire: bool,
    /// Whether no advertisement leaves this host. The router then yields to any master, because the
    /// other one cannot know of it.
    pub(crate) unsent: bool,
}

/// Address families of a router. With both, it is two routers of the protocol that change their
/// state together, and it advertises in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    Ipv4,
    Ipv6,
    Both,
}

/// The state machine of one virtual router.
#[derive(Debug)]
pub(crate) struct Router {
    settings: Settings,
    phase: Phase,
    /// End of the startup delay: no take-over before.
    startup_until: Instant,
    /// Time from which silence counts: before it a master may not be able to reach this router. Ends
    /// with the first advertisement.
    silence_counts_at: Instant,
    hold_down: HoldDown,
    /// Whether the router never takes over, by order of the operator. Not for the owner.
    barred: bool,
}

/// Reason why a backup delays a take-over, or does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldOff {
    /// Startup delay (`startupDelay`).
    Startup {
        /// Remaining time.
        left: Duration,
    },
    /// Hold-down after several take-overs in quick succession.
    HoldDown {
        /// Remaining time.
        left: Duration,
    },
    /// Preempt delay (`preemptDelay`) for a master of lower priority.
    Preemption {
        /// Address of that master.
        master: IpAddr,
        /// Its advertised priority.
        theirs: u8,
        /// Effective priority of this router.
        ours: u8,
        /// Remaining time.
        left: Duration,
    },
    /// `preempt` is false, and the master has a lower priority.
    NoPreemption {
        /// Address of that master.
        master: IpAddr,
        /// Its advertised priority.
        theirs: u8,
        /// Effective priority of this router.
        ours: u8,
    },
    /// No advertisement left this host when the router was master last, and the master has a lower
    /// priority.
    Unsent {
        /// Address of that master.
        master: IpAddr,
        /// Its advertised priority.
        theirs: u8,
        /// Effective priority of this router.
        ours: u8,
    },
}

impl fmt::Display for HoldOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup { left } => {
                write!(f, "started, listening for {} (startupDelay)", Human(*left))
            }
            Self::HoldDown { left } => write!(
                f,
                "flapping: {BURST} take-overs in quick succession, the next one in {} at the earliest",
                Human(*left)
            ),
            Self::Preemption {
                master,
                theirs,
                ours,
                left,
            } => write!(
                f,
                "{master} advertises priority {theirs}, ours is {ours}: to be preempted in {} \
                 (preemptDelay)",
                Human(*left)
            ),
            Self::NoPreemption {
                master,
                theirs,
                ours,
            } => write!(
                f,
                "{master} advertises priority {theirs}, ours is {ours}: it stays master, because \
                 preempt is false"
            ),
            Self::Unsent {
                master,
                theirs,
                ours,
            } => write!(
                f,
                "{master} advertises priority {theirs}, ours is {ours}: it stays master, because no \
                 advertisement left this host; mend that, then reload"
            ),
        }
    }
}

#[derive(Debug)]
enum Phase {
    Init,
    Backup(Backup),
    Master(Master),
    Fault(FaultReason),
}

/// Advertisements to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Send {
    /// One with the effective priority.
    Advert,
    /// One with priority 0.
    Resignation,
    /// One with the effective priority, followed by one with priority 0: for a router that steps
    /// down although it may not receive the advertisements of the new master.
    FinalAdvertisement,
}

/// Consequences of an event for a router.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Reaction {
    /// Former state and cause, if the state changed.
    pub(crate) change: Option<(State, Cause)>,
    /// Advertisements to send.
    pub(crate) send: Option<Send>,
    /// Whether to announce the addresses, apart from a change of state.
    pub(crate) announce: bool,
    /// Whether it woke up late and restarted the master-down timer, because it may have missed
    /// advertisements.
    pub(crate) late: bool,
    /// Whether an advertisement of lower precedence arrived while master.
    pub(crate) second_master: bool,
    /// Cause of the end of a contest: all other masters have gone, and this router remained master.
    pub(crate) contested: Option<Cause>,
    /// Whether the mastership ends on purpose: the addresses stay until a successor advertises.
    pub(crate) hands_over: bool,
}

impl Reaction {
    /// The wait for a master was extended after a late wake-up.
    const LATE: Self = Self {
        change: None,
        send: None,
        announce: false,
        late: true,
        second_master: false,
        contested: None,
        hands_over: false,
    };
}

impl Families {
    /// The only family, or IPv4.
    const fn first(self) -> Family {
        match self {
            Self::Ipv4 | Self::Both => Family::V4,
            Self::Ipv6 => Family::V6,
        }
    }

    /// Whether the router uses a family.
    const fn has(self, family: Family) -> bool {
        matches!(
            (self, family),
            (Self::Both, _) | (Self::Ipv4, Family::V4) | (Self::Ipv6, Family::V6)
        )
    }
}

impl Router {
    /// Router in the state Initialize.
    pub(crate) const fn new(settings: Settings) -> Self {
        Self {
            settings,
            phase: Phase::Init,
            startup_until: Instant::ZERO,
            silence_counts_at: Instant::ZERO,
            hold_down: HoldDown::new(),
            barred: false,
        }
    }

    /// Starts the router: as master if it is the owner, in fault if there is a fault reason, else
    /// as backup. `expect_master` shortens the first listening period to one interval and the skew.
    /// The startup delay begins now, even in fault.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        fault_reason: Option<FaultReason>,
        expect_master: bool,
    ) -> Reaction {
        if matches!(self.phase, Phase::Init) {
            self.startup_until = now + self.settings.startup_delay;
        }
        match (&self.phase, fault_reason) {
            (Phase::Init, Some(fault_reason)) => self.enter(
                Phase::Fault(fault_reason.clone()),
                Cause::Faulted(fault_reason),
            ),
            // RFC 9568 6.4.1 MUST: the owner starts as Active and advertises
            (Phase::Init, None) if self.settings.priority.is_owner() => {
                self.become_master(now, now, Cause::Owner)
            }
            // RFC 9568 6.4.1 MUST: a router other than the owner starts as Backup with its own interval
            (Phase::Init, None) => {
                let backup = if expect_master {
                    Backup::listen_briefly(now, &self.settings)
                } else {
                    Backup::listen(now, &self.settings)
                };
                self.enter(Phase::Backup(backup), Cause::Started)
            }
            (Phase::Backup(_) | Phase::Master(_) | Phase::Fault(_), _) => Reaction::default(),
        }
    }

    /// State with its timers, for a later process; `None` if that has to start anew.
    pub(crate) fn save(&self) -> Option<PhaseCheckpoint> {
        match &self.phase {
            Phase::Init | Phase::Fault(_) => None,
            Phase::Backup(backup) => Some(PhaseCheckpoint::Backup(backup.save(&self.settings))),
            Phase::Master(master) => master.save().map(PhaseCheckpoint::Master),
        }
    }

    /// Delays that outlast the state: time from which silence counts, end of the startup delay, and the two
    /// times of the hold-down.
    pub(crate) const fn save_delays(&self) -> [Instant; 4] {
        let (took_over_at, hold_down_until) = self.hold_down.save();
        [
            self.silence_counts_at,
            self.startup_until,
            took_over_at,
            hold_down_until,
        ]
    }

    /// Continues in the state Initialize with the delays that [`save_delays`](Self::save_delays) returned.
    pub(crate) const fn restore_delays(&mut self, delays: [Instant; 4]) {
        let [
            silence_counts_at,
            startup_until,
            took_over_at,
            hold_down_until,
        ] = delays;
        self.startup_until = startup_until;
        self.silence_counts_at = silence_counts_at;
        self.hold_down = HoldDown::restore((took_over_at, hold_down_until));
    }

    /// Continues in the state Initialize with the phase that [`save`](Self::save) returned, which is no
    /// transition. No packet was received since `deaf_since`.
    pub(crate) fn restore(
        &mut self,
        now: Instant,
        deaf_since: Instant,
        saved: &PhaseCheckpoint,
    ) -> Reaction {
        let (phase, late) = match saved {
            PhaseCheckpoint::Backup(saved) => {
                let (backup, late) = Backup::restore(now, deaf_since, saved, &self.settings);
                (Phase::Backup(backup), late)
            }
            PhaseCheckpoint::Master(saved) => {
                let master = Master::restore(now, saved, &self.settings);
                (Phase::Master(master), false)
            }
        };
        self.phase = phase;
        Reaction {
            late,
            ..Reaction::default()
        }
    }

    /// Stops the router. A master resigns and hands over.
    pub(crate) fn stop(&mut self, cause: Cause) -> Reaction {
        match self.phase {
            Phase::Init => Reaction::default(),
            // RFC 9568 6.4.2 MUST: Shutdown: cancel Active_Down_Timer, Initialize
            Phase::Backup(_) | Phase::Fault(_) => self.enter(Phase::Init, cause),
            // RFC 9568 6.4.3 MUST: Shutdown: cancel Adver_Timer, send priority 0, Initialize
            Phase::Master(_) => Reaction {
                send: Some(Send::Resignation),
                hands_over: true,
                ..self.enter(Phase::Init, cause)
            },
        }
    }

    /// Sets or clears the fault reason. Does not start a router in the state Initialize.
    pub(crate) fn set_fault_reason(
        &mut self,
        now: Instant,
        fault_reason: Option<FaultReason>,
    ) -> Reaction {
        match (&mut self.phase, fault_reason) {
            (Phase::Init, _) | (Phase::Backup(_) | Phase::Master(_), None) => Reaction::default(),
            (Phase::Fault(known), Some(fault_reason)) => {
                // The cause of the recovery names the last reason.
                *known = fault_reason;
                Reaction::default()
            }
            (Phase::Backup(_), Some(fault_reason)) => self.enter(
                Phase::Fault(fault_reason.clone()),
                Cause::Faulted(fault_reason),
            ),
            (Phase::Master(_), Some(fault_reason)) => Reaction {
                send: Some(Send::Resignation),
                ..self.enter(
                    Phase::Fault(fault_reason.clone()),
                    Cause::Faulted(fault_reason),
                )
            },
            (Phase::Fault(known), None) => {
                let cause = Cause::Recovered(known.clone());
                if self.settings.priority.is_owner() {
                    self.become_master(now, now, cause)
                } else {
                    let backup = Backup::listen(now, &self.settings);
                    self.enter(Phase::Backup(backup), cause)
                }
            }
        }
    }

    /// Applies new settings without a change of state. Running timers continue, but a shorter
    /// interval or delay takes effect at once.
    pub(crate) fn set_settings(&mut self, now: Instant, settings: Settings) {
        // A shorter delay takes effect at once, a longer one at the next start.
        let before = self.settings.startup_delay;
        self.startup_until = self.startup_until - before.saturating_sub(settings.startup_delay);
        match &mut self.phase {
            Phase::Init | Phase::Fault(_) => {}
            Phase::Backup(backup) => backup.set_families(now, self.settings.families, &settings),
            Phase::Master(master) => master.set_settings(now, &self.settings, &settings),
        }
        self.settings = settings;
    }

    /// Sets whether the router never takes over. A master remains master. At the end a backup waits for
    /// other routers as at its start: the wire was not watched during the silence.
    pub(crate) fn set_barred(&mut self, now: Instant, barred: bool) {
        if core::mem::replace(&mut self.barred, barred)
            && !barred
            && let Phase::Backup(backup) = &mut self.phase
        {
            backup.restart_timer(now, &self.settings);
            backup.end_watch();
        }
    }

    /// Sets whether no advertisement leaves this host.
    pub(crate) const fn set_unsent(&mut self, unsent: bool) {
        self.settings.unsent = unsent;
    }

    /// Returns a master to backup that preempted another one at this moment, because its first
    /// advertisement did not leave this host.
    pub(crate) fn abandon(&mut self, now: Instant, cause: Cause) -> Reaction {
        match self.phase {
            Phase::Master(_) => {
                let backup = Backup::listen(now, &self.settings);
                self.enter(Phase::Backup(backup), cause)
            }
            Phase::Init | Phase::Backup(_) | Phase::Fault(_) => Reaction::default(),
        }
    }

    /// Marks a master as disconnected from its network: it sends nothing until
    /// [`arrive`](Self::arrive), a fault or a stop.
    pub(crate) const fn depart(&mut self) {
        if let Phase::Master(master) = &mut self.phase {
            master.depart();
        }
    }

    /// Ends a disconnection: a master sends an advertisement that was due meanwhile, and announces
    /// its addresses.
    pub(crate) fn arrive(&mut self, now: Instant) -> Reaction {
        match &mut self.phase {
            Phase::Master(master) => master.arrive(now, &self.settings),
            Phase::Init | Phase::Backup(_) | Phase::Fault(_) => Reaction::default(),
        }
    }

    /// Continues with a link, after a time without one: a backup restarts its timer.
    pub(crate) fn reconnect(&mut self, now: Instant) -> Reaction {
        if let Phase::Backup(backup) = &mut self.phase {
            backup.restart_timer(now, &self.settings);
        }
        self.arrive(now)
    }

    /// Checks whether a master was not scheduled for longer than the backups wait. To be called
    /// before other events are handled; packets and ticks include the check.
    pub(crate) fn wake(&mut self, now: Instant) -> Reaction {
        self.check_overslept(now).unwrap_or_default()
    }

    /// Handles an advertisement that passed all checks. A backup restarts its timer from the
    /// arrival at `heard_at`, so that a processing delay does not delay a take-over. The family is
    /// that of `source`; `own` is this router's source address in that family.
    pub(crate) fn handle_advert(
        &mut self,
        now: Instant,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        own: IpAddr,
    ) -> Reaction {
        if let Some(reaction) = self.check_overslept(now) {
            // The router is a backup now, so this only records the advertisement.
            let _ = self.handle_advert(now, heard_at, advert, source, own);
            return reaction;
        }
        let settings = self.settings;
        match &mut self.phase {
            Phase::Init | Phase::Fault(_) => Reaction::default(),
            Phase::Backup(_) => self.record(heard_at, advert, source),
            Phase::Master(master) => {
                master.record_source(source);
                if advert.resigns() {
                    return master.answer_resignation(now, source, &settings);
                }
                let (theirs, ours) = (advert.priority, settings.priority.get());
                // RFC 9568 6.4.3 MUST: a greater priority makes it Backup
                // RFC 9568 6.4.3 MUST: an equal priority from a greater address makes it Backup
                // RFC 9568 6.4.3 MUST: addresses are compared as unsigned integers in network order
                if theirs > ours {
                    self.step_down_for(
                        heard_at,
                        advert,
                        source,
                        Cause::HigherPriority {
                            master: source,
                            theirs,
                            ours,
                        },
                    )
                } else if theirs == ours
                    && source > own
                    && master.yields_to_equal(now, source, advert.interval, &settings)
                {
                    let cause = Cause::HigherAddress {
                        master: source,
                        priority: ours,
                    };
                    self.step_down_for(heard_at, advert, source, cause)
                } else if settings.unsent {
                    // RFC 9568 6.4.3 MUST: anything else is discarded and answered at once
                    let cause = Cause::Unsent {
                        master: source,
                        theirs,
                    };
                    self.step_down_for(heard_at, advert, source, cause)
                } else {
                    master.assert_mastership(now, advert, source, &settings)
                }
            }
        }
    }

    /// Does the work that is due.
    pub(crate) fn handle_tick(&mut self, now: Instant) -> Reaction {
        if let Some(reaction) = self.check_overslept(now) {
            return reaction;
        }
        let settings = self.settings;
        let held_until = self.held_until();
        match &mut self.phase {
            Phase::Init | Phase::Fault(_) => Reaction::default(),
            Phase::Backup(backup) => {
                let due = backup.take_over_at(&settings, held_until);
                if now < due {
                    return Reaction::default();
                }
                if now.since(due) > backup.interval(&settings) {
                    // A backup that was not scheduled for an interval after its deadline may have
                    // missed advertisements as well, so the expired timer does not prove that the
                    // master is down.
                    backup.restart_timer(now, &settings);
                    return Reaction::LATE;
                }
                if settings.trust_wire && backup.watch_longer(now, &settings, |_| true) {
                    return Reaction::LATE;
                }
                // RFC 9568 6.4.2 MUST: when Active_Down_Timer fires, advertise and become Active
                let cause = backup.cause(now, &settings, None);
                self.become_master(now, due, cause)
            }
            Phase::Master(master) => master.handle_tick(now, &settings),
        }
    }

    /// On a backup: time at which the wire is to be watched, unless it is.
    pub(crate) fn watch_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Backup(backup) if self.settings.trust_wire && !self.barred => backup.watch_at(),
            Phase::Init | Phase::Backup(_) | Phase::Master(_) | Phase::Fault(_) => None,
        }
    }

    /// Begins to watch the wire if it is time. Returns whether it does.
    pub(crate) fn watch(&mut self, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Backup(backup) if self.settings.trust_wire => backup.watch(now),
            Phase::Init | Phase::Backup(_) | Phase::Master(_) | Phase::Fault(_) => false,
        }
    }

    /// Whether the wire is watched.
    pub(crate) fn is_watching(&self) -> bool {
        match &self.phase {
            Phase::Backup(backup) => {
                self.settings.trust_wire && !self.barred && backup.is_watching()
            }
            Phase::Init | Phase::Master(_) | Phase::Fault(_) => false,
        }
    }

    /// Whether `heard_at` is after the last advertisement that restarted the timer of a backup in the
    /// family of `source`.
    pub(crate) fn is_later_than_heard(&self, heard_at: Instant, source: IpAddr) -> bool {
        match &self.phase {
            Phase::Backup(backup) => backup.is_later_than_heard(heard_at, source),
            Phase::Init | Phase::Master(_) | Phase::Fault(_) => false,
        }
    }

    /// Handles an advertisement that arrived at the interface at `heard_at` and never at the socket.
    /// To be called when a take-over is due. A backup counts from it as from any other.
    pub(crate) fn handle_witnessed(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
    ) {
        if let Phase::Backup(backup) = &mut self.phase {
            backup.record_witnessed(heard_at, advert, source, &self.settings);
        }
    }

    /// Time of the next tick, and the event that is due then.
    pub(crate) fn deadline(&self) -> Option<(Instant, Due)> {
        match &self.phase {
            Phase::Init | Phase::Fault(_) => None,
            Phase::Backup(backup) => {
                let at = backup.take_over_at(&self.settings, self.held_until());
                (at < Instant::MAX).then_some((at, Due::TakeOver))
            }
            Phase::Master(master) => Some(master.deadline()),
        }
    }

    /// Time of the next advertisement of a master.
    pub(crate) const fn advert_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Master(master) => Some(master.advert_at()),
            Phase::Init | Phase::Backup(_) | Phase::Fault(_) => None,
        }
    }

    /// The state.
    pub(crate) const fn state(&self) -> State {
        match self.phase {
            Phase::Init => State::Init,
            Phase::Backup(_) => State::Backup,
            Phase::Master(_) => State::Master,
            Phase::Fault(_) => State::Fault,
        }
    }

    /// Fault reason, in the state fault.
    pub(crate) const fn fault_reason(&self) -> Option<&FaultReason> {
        match &self.phase {
            Phase::Fault(fault_reason) => Some(fault_reason),
            Phase::Init | Phase::Backup(_) | Phase::Master(_) => None,
        }
    }

    /// Settings in force.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// On a backup: the master.
    pub(crate) fn heard(&self) -> Option<Heard> {
        match &self.phase {
            Phase::Backup(backup) => backup.heard(&self.settings),
            Phase::Init | Phase::Master(_) | Phase::Fault(_) => None,
        }
    }

    /// Reason why a backup delays a take-over, and the remaining time.
    pub(crate) fn hold_off(&self, now: Instant) -> Option<HoldOff> {
        let Phase::Backup(backup) = &self.phase else {
            return None;
        };
        if !self.settings.priority.is_owner() && now < self.startup_until {
            let left = self.startup_until.since(now);
            return Some(HoldOff::Startup { left });
        }
        let held_until = self.hold_down.until(&self.settings);
        if !self.settings.priority.is_owner() && now < held_until {
            let left = held_until.since(now);
            return Some(HoldOff::HoldDown { left });
        }
        backup.hold_off(now, &self.settings)
    }

    /// Time before which a backup does not take over: the end of the startup delay and of the hold-down, and
    /// the time from which silence counts. [`Instant::MAX`] if it never does.
    pub(crate) fn held_until(&self) -> Instant {
        if self.barred {
            return Instant::MAX;
        }
        let all = [
            self.startup_until,
            self.silence_counts_at,
            self.hold_down.until(&self.settings),
        ];
        all.into_iter().fold(Instant::ZERO, Instant::max)
    }

    /// Lets silence count from `at` instead of a former time, for a backup that begins to listen.
    pub(crate) const fn count_silence_from(&mut self, at: Instant) {
        self.silence_counts_at = at;
    }

    /// Lets silence count earlier, from `at`.
    pub(crate) fn count_silence_by(&mut self, at: Instant) {
        self.silence_counts_at = self.silence_counts_at.min(at);
    }

    /// Remaining time in which the silence of a backup's peers does not count, if there is any.
    pub(crate) fn discounts_silence(&self, now: Instant) -> Option<Duration> {
        let left = self.silence_counts_at.since(now);
        (self.state() == State::Backup && !left.is_zero()).then_some(left)
    }

    /// Steps down as backup of the master that sent `advert`, with a final advertisement. After a
    /// network partition the new master may not know that the neighbours on this side learned this
    /// router's MAC address; the final advertisement makes it announce the addresses again.
    fn step_down_for(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        cause: Cause,
    ) -> Reaction {
        // RFC 9568 6.4.3 MUST: a master that yields takes the other's interval and sets Active_Down_Timer
        let backup = Backup::follow(heard_at, advert, source, &self.settings);
        Reaction {
            // RFC 9568 6.4.3 MUST: a master that yields sends nothing more
            send: Some(Send::Advert),
            ..self.enter(Phase::Backup(backup), cause)
        }
    }

    /// Steps down if a master was not scheduled for longer than the most eager backup waits,
    /// because another host may be master by now. The owner stays master, as it may also advertise
    /// without listening at its start.
    fn check_overslept(&mut self, now: Instant) -> Option<Reaction> {
        let Phase::Master(master) = &self.phase else {
            return None;
        };
        let (sent_at, _) = master.last_word();
        let lasted = now.since(sent_at);
        let others_wait = self.others_wait()?;
        if lasted <= others_wait || self.settings.priority.is_owner() {
            return None;
        }
        let backup = Backup::listen(now, &self.settings);
        Some(self.enter(Phase::Backup(backup), Cause::Overslept { lasted }))
    }

    /// Time that the most eager backup of a master waits after its last advertisement.
    pub(crate) fn others_wait(&self) -> Option<Duration> {
        let Phase::Master(master) = &self.phase else {
            return None;
        };
        let (_, told) = master.last_word();
        // Of all possible backups one of priority 254 takes over first.
        let settings = Settings {
            priority: Priority::MAX_BACKUP,
            ..self.settings
        };
        Some(down_interval(&settings, told))
    }

    /// Becomes master because of a deadline at `due`, from which the advertisement timer counts.
    fn become_master(&mut self, now: Instant, due: Instant, cause: Cause) -> Reaction {
        self.hold_down.record(now, &self.settings);
        let master = Master::new(now, due, &cause, &self.settings);
        Reaction {
            send: Some(Send::Advert),
            ..self.enter(Phase::Master(master), cause)
        }
    }

    fn enter(&mut self, phase: Phase, cause: Cause) -> Reaction {
        let from = self.state();
        self.phase = phase;
        Reaction {
            change: Some((from, cause)),
            ..Reaction::default()
        }
    }
}

impl Settings {
    /// Whether the router takes over from a master of lower priority.
    pub(crate) const fn preempts(&self) -> bool {
        // RFC 9568 6.1 MUST: the owner preempts whatever Preempt_Mode says
        !self.unsent && (self.preempt || self.priority.is_owner())
    }

    /// Whether the router is an instance of both families.
    fn is_dual(&self) -> bool {
        self.families == Families::Both
    }

    /// Whether the router delays the preemption of a master of lower priority.
    fn delays_preemption(&self) -> bool {
        !self.preempt_delay.is_zero() && !self.priority.is_owner()
    }
}

/// Skew_Time of a router with these settings; see [`AdvertInterval::skew_time`].
fn skew(settings: &Settings, interval: AdvertInterval) -> Duration {
    interval.skew_time(settings.version, settings.priority)
}

/// Active_Down_Interval of a router with these settings; see [`AdvertInterval::master_down_interval`].
pub(crate) fn down_interval(settings: &Settings, interval: AdvertInterval) -> Duration {
    interval.master_down_interval(settings.version, settings.priority)
}

/// First time after `now` that is a whole number of intervals after the past `due`, so that a late
/// advertisement neither shifts the following ones nor causes a burst.
fn next_due(due: Instant, interval: Duration, now: Instant) -> Instant {
    let period = interval.as_nanos().max(1);
    let into_period = now.since(due).as_nanos() % period;
    let left = u64::try_from(period - into_period).unwrap_or(u64::MAX);
    now + Duration::from_nanos(left)
}

#[cfg(test)]
mod tests;
