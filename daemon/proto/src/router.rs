//! One virtual router: the state machine of RFC 9568 section 6.4 (RFC 3768 for version 2).
//!
//! ```text
//!                      start, fault_reason            fault_reason gone
//!            +------+ ----------------> +-------+ ------------+
//!            | Init |                   | Fault |             |
//!            +------+ <---- stop ------ +-------+             |
//!    start    |  |  ^                    ^     ^              |
//!  (owner) +--+  |  |          fault_reason  |     | fault_reason     |
//!          |     v  | stop               |     |              v
//!          |   +--------+ ---------------+     |         (as at start)
//!          |   | Backup | --- silence, resignation, lower priority --+
//!          |   +--------+ <-- higher priority or address, oversleep -+-+
//!          |                                   |                     | |
//!          |   +--------+ ---------------------+                     | |
//!          +-> | Master | <-----------------------------------------+ |
//!              +--------+ ---------------------------------------------+
//! ```
//!
//! An instance of both families is two routers of the protocol that move together, and one here: it
//! hears in each family for itself ([`backup`]), and what it sends goes out in both.
//!
//! What has meaning only in a state lives in that state. The router knows time as numbers and
//! other routers as addresses; packets, interfaces, trackers and groups are the engine's business.
//! Every method takes the present and returns a [`Reaction`]; calling one early or twice is
//! harmless.
//!
//! Whoever decides for several routers asks each for its standing, and gives orders ([`member`]).

mod backup;
mod master;
mod member;

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use self::backup::Backup;
use self::master::Master;
pub(crate) use self::member::Sighting;
use crate::events::Due;
use crate::params::Announcements;
use crate::reasons::{Cause, FaultReason};
use crate::time::{Human, Instant};
use crate::types::{AdvertInterval, Priority, State, Version};
use crate::wire::Advert;

/// What a router needs to know of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) version: Version,
    /// The effective priority.
    pub(crate) priority: Priority,
    pub(crate) interval: AdvertInterval,
    pub(crate) preempt: bool,
    /// How long it leaves a master of lower priority in peace.
    pub(crate) preempt_delay: Duration,
    /// How long it listens at least after its start.
    pub(crate) startup_delay: Duration,
    /// When it announces its addresses again as master.
    pub(crate) announce: Announcements,
    pub(crate) families: Families,
}

/// The families that a router speaks. With both it is two routers of the protocol that move together,
/// and advertises in both.
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
    /// Until when it does not take over, because it was started a short time ago.
    startup_until: Instant,
}

/// Why a backup does not take over although it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldOff {
    /// It was started a short time ago.
    Startup {
        /// For how long.
        left: Duration,
    },
    /// It leaves a master of lower priority in peace for a time.
    Preemption {
        /// That master.
        master: IpAddr,
        /// What it advertises.
        theirs: u8,
        /// Our effective priority.
        ours: u8,
        /// For how long.
        left: Duration,
    },
}

impl fmt::Display for HoldOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup { left } => {
                write!(f, "started, listening for {} (startupDelay)", Human(*left))
            }
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

/// An advertisement that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Send {
    /// With the effective priority.
    Advert,
    /// With priority 0.
    Resignation,
    /// With the effective priority, and then with 0: the last word of one that makes way where it is
    /// not known whether the other one is heard.
    FinalAdvertisement,
}

/// What a router does about an event.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub(crate) struct Reaction {
    /// The state it left, and why.
    pub(crate) change: Option<(State, Cause)>,
    /// What it sends.
    pub(crate) send: Option<Send>,
    /// Whether it announces its addresses although its state did not change.
    pub(crate) announce: bool,
    /// Whether it woke too late to trust its own silence, and listens anew.
    pub(crate) late: bool,
    /// Whether somebody of lower precedence advertised while it is master.
    pub(crate) second_master: bool,
}

impl Router {
    /// A router that does not run yet.
    pub(crate) const fn new(settings: Settings) -> Self {
        Self {
            settings,
            phase: Phase::Init,
            startup_until: Instant::ZERO,
        }
    }

    /// Starts to run: at once as master for the owner, in fault with an fault_reason, else listening.
    /// `expect_master` shortens the listening to one interval and the skew. From now on the startup
    /// delay is counted, also while an fault_reason is there.
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
            // RFC 9568 6.4.1 MUST: who is not the owner starts as Backup of its own interval
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

    /// Stops: a master resigns.
    pub(crate) fn stop(&mut self, cause: Cause) -> Reaction {
        match self.phase {
            Phase::Init => Reaction::default(),
            // RFC 9568 6.4.2 MUST: Shutdown: cancel Active_Down_Timer, Initialize
            Phase::Backup(_) | Phase::Fault(_) => self.enter(Phase::Init, cause),
            // RFC 9568 6.4.3 MUST: Shutdown: cancel Adver_Timer, send priority 0, Initialize
            Phase::Master(_) => Reaction {
                send: Some(Send::Resignation),
                ..self.enter(Phase::Init, cause)
            },
        }
    }

    /// Says what keeps the router from serving now, if anything does. A router that does not run
    /// is not started by it.
    pub(crate) fn set_fault_reason(
        &mut self,
        now: Instant,
        fault_reason: Option<FaultReason>,
    ) -> Reaction {
        match (&mut self.phase, fault_reason) {
            (Phase::Init, _) | (Phase::Backup(_) | Phase::Master(_), None) => Reaction::default(),
            (Phase::Fault(known), Some(fault_reason)) => {
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

    /// Takes over new settings without a change of state. Timers that run keep running; a shorter
    /// interval or delay counts at once.
    pub(crate) fn set_settings(&mut self, now: Instant, settings: Settings) {
        let before = self.settings.startup_delay;
        self.startup_until = self.startup_until - before.saturating_sub(settings.startup_delay);
        match &mut self.phase {
            Phase::Init | Phase::Fault(_) => {}
            Phase::Backup(backup) => backup.set_families(now, self.settings.families, &settings),
            Phase::Master(master) => master.set_settings(now, &self.settings, &settings),
        }
        self.settings = settings;
    }

    /// Is off its network until it [arrives](Self::arrive) there, or falls: a master is silent.
    pub(crate) const fn depart(&mut self) {
        if let Phase::Master(master) = &mut self.phase {
            master.depart();
        }
    }

    /// Goes on after it was off its network: a master sends what was due meanwhile and announces its
    /// addresses.
    pub(crate) fn arrive(&mut self, now: Instant) -> Reaction {
        match &mut self.phase {
            Phase::Master(master) => master.arrive(now, &self.settings),
            Phase::Init | Phase::Backup(_) | Phase::Fault(_) => Reaction::default(),
        }
    }

    /// Finds out whether it stood still for longer than others wait. To be called before it acts on
    /// anything but packets and ticks, which look for themselves.
    pub(crate) fn wake(&mut self, now: Instant) -> Reaction {
        self.check_overslept(now).unwrap_or_default()
    }

    /// Handles an advertisement that passed all checks. It arrived at `heard_at`, from which a
    /// backup counts, so that its own delay delays no take-over. The family is that of `source`;
    /// `own` is the address that this router sends from in it.
    pub(crate) fn handle_advert(
        &mut self,
        now: Instant,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        own: IpAddr,
    ) -> Reaction {
        if let Some(reaction) = self.check_overslept(now) {
            // As a backup it only takes note.
            let _ = self.handle_advert(now, heard_at, advert, source, own);
            return reaction;
        }
        let settings = self.settings;
        match &mut self.phase {
            Phase::Init | Phase::Fault(_) => Reaction::default(),
            Phase::Backup(backup) => {
                backup.record(heard_at, advert, source, &settings);
                Reaction::default()
            }
            Phase::Master(master) => {
                master.record_source(source);
                if advert.resigns() {
                    return master.answer_resignation(now, &settings);
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
                } else {
                    master.assert_mastership(now, &settings)
                }
            }
        }
    }

    /// Does what is due.
    pub(crate) fn handle_tick(&mut self, now: Instant) -> Reaction {
        if let Some(reaction) = self.check_overslept(now) {
            return reaction;
        }
        let settings = self.settings;
        let startup_until = self.startup_until;
        match &mut self.phase {
            Phase::Init | Phase::Fault(_) => Reaction::default(),
            Phase::Backup(backup) => {
                let due = backup.take_over_at(&settings, startup_until);
                if now < due {
                    return Reaction::default();
                }
                if now.since(due) > backup.interval(&settings) {
                    // Whoever sleeps through its own deadline by an interval has slept through
                    // advertisements too: their absence proves nothing.
                    backup.restart_timer(now, &settings);
                    return Reaction {
                        late: true,
                        ..Reaction::default()
                    };
                }
                // RFC 9568 6.4.2 MUST: when Active_Down_Timer fires, advertise and become Active
                let cause = backup.cause(now, &settings);
                self.become_master(now, due, cause)
            }
            Phase::Master(master) => master.handle_tick(now, &settings),
        }
    }

    /// When the router wants to be ticked, and why.
    pub(crate) fn deadline(&self) -> Option<(Instant, Due)> {
        match &self.phase {
            Phase::Init | Phase::Fault(_) => None,
            Phase::Backup(backup) => {
                let at = backup.take_over_at(&self.settings, self.startup_until);
                Some((at, Due::TakeOver))
            }
            Phase::Master(master) => Some(master.deadline()),
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

    /// What keeps the router in fault.
    pub(crate) const fn fault_reason(&self) -> Option<&FaultReason> {
        match &self.phase {
            Phase::Fault(fault_reason) => Some(fault_reason),
            Phase::Init | Phase::Backup(_) | Phase::Master(_) => None,
        }
    }

    /// The settings in force.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The master that a backup listens to and its priority.
    pub(crate) fn heard(&self) -> Option<(IpAddr, u8)> {
        match &self.phase {
            Phase::Backup(backup) => backup.heard(&self.settings),
            Phase::Init | Phase::Master(_) | Phase::Fault(_) => None,
        }
    }

    /// Why a backup does not take over although it could, and for how long.
    pub(crate) fn hold_off(&self, now: Instant) -> Option<HoldOff> {
        let Phase::Backup(backup) = &self.phase else {
            return None;
        };
        if !self.settings.priority.is_owner() && now < self.startup_until {
            let left = self.startup_until.since(now);
            return Some(HoldOff::Startup { left });
        }
        backup.hold_off(now, &self.settings)
    }

    /// Becomes backup of the master that sent `advert`, with a last word: where a network was in two
    /// parts the other one may not know that the neighbours here were told of this router, and
    /// answers by telling them of itself.
    fn step_down_for(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        cause: Cause,
    ) -> Reaction {
        // RFC 9568 6.4.3 MUST: who yields takes the interval of the other and waits in full
        let backup = Backup::follow(heard_at, advert, source, &self.settings);
        Reaction {
            send: Some(Send::Advert),
            ..self.enter(Phase::Backup(backup), cause)
        }
    }

    /// A master that stood still for longer than others wait must not go on as if nothing had
    /// been: somebody else may be master by now. The owner may, as it may speak first at its
    /// start.
    fn check_overslept(&mut self, now: Instant) -> Option<Reaction> {
        let Phase::Master(master) = &self.phase else {
            return None;
        };
        let (sent_at, told) = master.last_word();
        let lasted = now.since(sent_at);
        let others_wait = down_interval(
            &Settings {
                priority: Priority::MAX_BACKUP,
                ..self.settings
            },
            told,
        );
        if lasted <= others_wait || self.settings.priority.is_owner() {
            return None;
        }
        let backup = Backup::listen(now, &self.settings);
        Some(self.enter(Phase::Backup(backup), Cause::Overslept { lasted }))
    }

    /// Becomes master because of a deadline at `due`, from which its advertisements are counted.
    fn become_master(&mut self, now: Instant, due: Instant, cause: Cause) -> Reaction {
        let master = Master::new(now, due, &self.settings);
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
    /// Whether it takes over from a master of lower priority.
    fn preempts(&self) -> bool {
        // RFC 9568 6.1 MUST: the owner preempts whatever Preempt_Mode says
        self.preempt || self.priority.is_owner()
    }

    /// Whether it is an instance of both families.
    fn is_dual(&self) -> bool {
        self.families == Families::Both
    }

    /// Whether it leaves a master of lower priority in peace for a time.
    fn delays_preemption(&self) -> bool {
        !self.preempt_delay.is_zero() && !self.priority.is_owner()
    }
}

/// Skew_Time: the lower the priority, the longer a backup waits.
fn skew(settings: &Settings, interval: AdvertInterval) -> Duration {
    // RFC 9568 6.1 MUST: Skew_Time is (256 - priority) / 256 of Active_Adver_Interval
    // RFC 3768 6.1 MUST: Skew_Time is (256 - priority) / 256 of a second
    let unit = match settings.version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval.duration(),
    };
    unit * (256 - u32::from(settings.priority.get())) / 256
}

/// Active_Down_Interval: three intervals of the master and the skew.
pub(crate) fn down_interval(settings: &Settings, interval: AdvertInterval) -> Duration {
    // RFC 9568 6.1 MUST: Active_Down_Interval is 3 Active_Adver_Interval and Skew_Time
    // RFC 3768 6.1 MUST: Master_Down_Interval is 3 Advertisement_Interval and Skew_Time
    interval.duration() * 3 + skew(settings, interval)
}

/// The first time after `now` that is a whole number of intervals after the past `due`: a late
/// advertisement neither shifts the following ones nor is made up for by a burst.
fn next_due(due: Instant, interval: Duration, now: Instant) -> Instant {
    let period = interval.as_nanos().max(1);
    let into_period = now.since(due).as_nanos() % period;
    let left = u64::try_from(period - into_period).unwrap_or(u64::MAX);
    now + Duration::from_nanos(left)
}

#[cfg(test)]
mod tests;
