//! One virtual router: the state machine of RFC 9568 section 6.4 (RFC 3768 for version 2).
//!
//! ```text
//!                      start, obstacle            obstacle gone
//!            +------+ ----------------> +-------+ ------------+
//!            | Init |                   | Fault |             |
//!            +------+ <---- stop ------ +-------+             |
//!    start    |  |  ^                    ^     ^              |
//!  (owner) +--+  |  |          obstacle  |     | obstacle     |
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
//! What has meaning only in a state lives in that state. The router knows time as numbers and
//! other routers as addresses; packets, interfaces, trackers and groups are the engine's business.
//! Every method takes the present and returns a [`Reaction`]; calling one early or twice is
//! harmless.

use core::net::IpAddr;
use core::time::Duration;

use crate::border::{Cause, Due, Obstacle, State};
use crate::time::Instant;
use crate::types::{AdvertInterval, Priority, Version};
use crate::wire::Advert;

/// How long after a take-over the addresses are announced a second time, for neighbours that the
/// first announcement did not reach.
const SECOND_ANNOUNCEMENT: Duration = Duration::from_secs(1);

/// The least time between two replies to masters of lower precedence or to their resignations: the
/// shortest interval of the protocol, so that a flood of packets is not answered by another.
const REPLY_SPACING: Duration = Duration::from_millis(10);

/// The least time between an announcement and the next because of masters of lower precedence.
const ANNOUNCE_SPACING: Duration = Duration::from_secs(1);

/// For how long after a take-over the former master's last word is no news.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What a router needs to know of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) version: Version,
    /// The effective priority.
    pub(crate) priority: Priority,
    pub(crate) interval: AdvertInterval,
    pub(crate) preempt: bool,
}

/// The state machine of one virtual router.
#[derive(Debug)]
pub(crate) struct Router {
    settings: Settings,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Init,
    Backup(Backup),
    Master(Master),
    Fault(Obstacle),
}

#[derive(Debug)]
struct Backup {
    /// When the router takes over unless it hears of a master.
    down_at: Instant,
    /// Since when there is silence: the last advertisement that was obeyed, or the start.
    heard_at: Instant,
    /// The interval of the master: Active_Adver_Interval.
    interval: AdvertInterval,
    /// The last one that advertised, obeyed or not.
    last: Option<Heard>,
}

/// Somebody who advertised.
#[derive(Clone, Copy, Debug)]
struct Heard {
    from: IpAddr,
    /// 0 after a resignation.
    priority: u8,
    /// Whether its advertisement was obeyed: its priority is not below ours.
    obeyed: bool,
}

#[derive(Debug)]
struct Master {
    /// Since when it is master.
    since: Instant,
    /// When the next advertisement is due: the last due time and the interval.
    advert_at: Instant,
    /// When the last one was sent.
    sent_at: Instant,
    /// The interval that it told the others, by which they wait for the next.
    told: AdvertInterval,
    /// When the addresses are announced again.
    announce_at: Option<Instant>,
    /// When somebody of lower precedence was last replied to or, when that lies ahead, will be.
    replied_at: Option<Instant>,
    /// When the addresses were last announced.
    announced_at: Instant,
}

/// An advertisement that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Send {
    /// With the effective priority.
    Advert,
    /// With priority 0.
    Resignation,
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
        }
    }

    /// Starts to run: at once as master for the owner, in fault with an obstacle, else listening.
    /// `expect_master` shortens the listening to one interval and the skew.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        obstacle: Option<Obstacle>,
        expect_master: bool,
    ) -> Reaction {
        match (&self.phase, obstacle) {
            (Phase::Init, Some(obstacle)) => {
                self.enter(Phase::Fault(obstacle.clone()), Cause::Unable(obstacle))
            }
            // RFC 9568 6.4.1 MUST: the owner starts as Active and advertises
            (Phase::Init, None) if self.settings.priority.is_owner() => {
                self.become_master(now, now, Cause::Owner)
            }
            // RFC 9568 6.4.1 MUST: who is not the owner starts as Backup of its own interval
            (Phase::Init, None) => {
                let mut backup = Backup::listen(now, &self.settings);
                if expect_master {
                    backup.down_at = now
                        + self.settings.interval.duration()
                        + skew(&self.settings, backup.interval);
                }
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
    pub(crate) fn set_obstacle(&mut self, now: Instant, obstacle: Option<Obstacle>) -> Reaction {
        match (&mut self.phase, obstacle) {
            (Phase::Init, _) | (Phase::Backup(_) | Phase::Master(_), None) => Reaction::default(),
            (Phase::Fault(known), Some(obstacle)) => {
                *known = obstacle;
                Reaction::default()
            }
            (Phase::Backup(_), Some(obstacle)) => {
                self.enter(Phase::Fault(obstacle.clone()), Cause::Unable(obstacle))
            }
            (Phase::Master(_), Some(obstacle)) => Reaction {
                send: Some(Send::Resignation),
                ..self.enter(Phase::Fault(obstacle.clone()), Cause::Unable(obstacle))
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
    /// interval counts at once.
    pub(crate) fn set_settings(&mut self, now: Instant, settings: Settings) {
        if let Phase::Master(master) = &mut self.phase
            && settings.interval != self.settings.interval
        {
            master.advert_at = master.advert_at.min(now + settings.interval.duration());
        }
        self.settings = settings;
    }

    /// Finds out whether it stood still for longer than others wait. To be called before it acts on
    /// anything but packets and ticks, which look for themselves.
    pub(crate) fn wake(&mut self, now: Instant) -> Reaction {
        self.check_overslept(now).unwrap_or_default()
    }

    /// Handles an advertisement that passed all checks. It arrived at `heard_at`, from which a
    /// backup counts, so that its own delay delays no take-over; `own` is the address that this
    /// router sends from.
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
        // RFC 9568 6.1 MUST: the owner preempts whatever Preempt_Mode says
        let preempts = settings.preempt || settings.priority.is_owner();
        match &mut self.phase {
            Phase::Init | Phase::Fault(_) => Reaction::default(),
            Phase::Backup(backup) => {
                if advert.resigns() {
                    // RFC 9568 6.4.2 MUST: priority 0 sets Active_Down_Timer to Skew_Time
                    backup.down_at = heard_at + skew(&settings, backup.interval);
                    backup.last = Some(Heard {
                        from: source,
                        priority: 0,
                        obeyed: true,
                    });
                } else if advert.priority >= settings.priority.get() || !preempts {
                    // RFC 9568 6.4.2 MUST: no lower priority: take its interval, wait in full
                    // RFC 9568 6.4.2 MUST: without Preempt_Mode: take any interval, wait in full
                    backup.interval = advert.interval;
                    backup.down_at = heard_at + down_interval(&settings, advert.interval);
                    backup.heard_at = heard_at;
                    backup.last = Some(Heard {
                        from: source,
                        priority: advert.priority,
                        obeyed: true,
                    });
                } else {
                    // RFC 9568 6.4.2 MUST: discard a lower priority, in Preempt_Mode
                    // Whoever is obeyed is not forgotten because of a third one.
                    let obeyed = backup.last.filter(|last| last.obeyed);
                    if obeyed.is_none_or(|last| last.from == source) {
                        backup.last = Some(Heard {
                            from: source,
                            priority: advert.priority,
                            obeyed: false,
                        });
                    }
                }
                Reaction::default()
            }
            Phase::Master(master) if advert.resigns() => master.answer_resignation(now, &settings),
            Phase::Master(master) => {
                let (theirs, ours) = (advert.priority, settings.priority.get());
                // RFC 9568 6.4.3 MUST: a greater priority makes it Backup
                // RFC 9568 6.4.3 MUST: an equal priority from a greater address makes it Backup
                // RFC 9568 6.4.3 MUST: addresses are compared as unsigned integers in network order
                if theirs > ours {
                    self.yield_to(
                        heard_at,
                        advert,
                        source,
                        Cause::HigherPriority {
                            master: source,
                            theirs,
                            ours,
                        },
                    )
                } else if theirs == ours && source > own {
                    let cause = Cause::HigherAddress {
                        master: source,
                        priority: ours,
                    };
                    self.yield_to(heard_at, advert, source, cause)
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
        match &mut self.phase {
            Phase::Init | Phase::Fault(_) => Reaction::default(),
            Phase::Backup(backup) if now < backup.down_at => Reaction::default(),
            Phase::Backup(backup) => {
                // RFC 9568 6.4.2 MUST: when Active_Down_Timer fires, advertise and become Active
                let due = backup.down_at;
                if now.since(due) > backup.interval.duration() {
                    // Whoever sleeps through its own deadline by an interval has slept through
                    // advertisements too: their absence proves nothing.
                    backup.down_at = now + down_interval(&settings, backup.interval);
                    return Reaction {
                        late: true,
                        ..Reaction::default()
                    };
                }
                let cause = match backup.last {
                    Some(Heard {
                        from, priority: 0, ..
                    }) => Cause::Resigned { master: from },
                    Some(Heard {
                        from,
                        priority,
                        obeyed: false,
                    }) => Cause::Preempted {
                        master: from,
                        theirs: priority,
                        ours: settings.priority.get(),
                    },
                    last => Cause::Silence {
                        master: last.map(|heard| heard.from),
                        lasted: now.since(backup.heard_at),
                    },
                };
                self.become_master(now, due, cause)
            }
            Phase::Master(master) => {
                let mut reaction = Reaction::default();
                if now >= master.advert_at {
                    // RFC 9568 6.4.3 MUST: when Adver_Timer fires, advertise and set it again
                    reaction.send = Some(Send::Advert);
                    master.sent(now, &settings);
                    master.advert_at =
                        next_due(master.advert_at, settings.interval.duration(), now);
                }
                if master.announce_at.is_some_and(|at| now >= at) {
                    master.announce_at = None;
                    master.announced_at = now;
                    reaction.announce = true;
                }
                reaction
            }
        }
    }

    /// When the router wants to be ticked, and why.
    pub(crate) fn deadline(&self) -> Option<(Instant, Due)> {
        match &self.phase {
            Phase::Init | Phase::Fault(_) => None,
            Phase::Backup(backup) => Some((backup.down_at, Due::TakeOver)),
            Phase::Master(Master {
                advert_at,
                announce_at: Some(announce_at),
                ..
            }) if announce_at < advert_at => Some((*announce_at, Due::Announcement)),
            Phase::Master(master) => Some((master.advert_at, Due::Advertisement)),
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
    pub(crate) const fn obstacle(&self) -> Option<&Obstacle> {
        match &self.phase {
            Phase::Fault(obstacle) => Some(obstacle),
            Phase::Init | Phase::Backup(_) | Phase::Master(_) => None,
        }
    }

    /// The settings in force.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The master that a backup listens to and its priority.
    pub(crate) const fn heard(&self) -> Option<(IpAddr, u8)> {
        match &self.phase {
            Phase::Backup(Backup {
                last: Some(heard), ..
            }) => Some((heard.from, heard.priority)),
            Phase::Backup(_) | Phase::Init | Phase::Master(_) | Phase::Fault(_) => None,
        }
    }

    /// Becomes backup of the master that sent `advert`, with a last word: where a network was in two
    /// parts the other one may not know that the neighbours here were told of this router, and
    /// answers by telling them of itself.
    fn yield_to(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        cause: Cause,
    ) -> Reaction {
        // RFC 9568 6.4.3 MUST: who yields takes the interval of the other and waits in full
        let backup = Backup {
            down_at: heard_at + down_interval(&self.settings, advert.interval),
            heard_at,
            interval: advert.interval,
            last: Some(Heard {
                from: source,
                priority: advert.priority,
                obeyed: true,
            }),
        };
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
        let lasted = now.since(master.sent_at);
        let others_wait = down_interval(
            &Settings {
                priority: Priority::MAX_BACKUP,
                ..self.settings
            },
            master.told,
        );
        if lasted <= others_wait || self.settings.priority.is_owner() {
            return None;
        }
        let backup = Backup::listen(now, &self.settings);
        Some(self.enter(Phase::Backup(backup), Cause::Overslept { lasted }))
    }

    /// Becomes master because of a deadline at `due`, from which its advertisements are counted.
    fn become_master(&mut self, now: Instant, due: Instant, cause: Cause) -> Reaction {
        // RFC 9568 6.4.2 MUST: Adver_Timer is set to the own interval
        let interval = self.settings.interval.duration();
        let master = Master {
            since: now,
            advert_at: next_due(due, interval, now),
            sent_at: now,
            told: self.settings.interval,
            announce_at: Some(now + SECOND_ANNOUNCEMENT),
            replied_at: None,
            announced_at: now,
        };
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

impl Backup {
    /// Begins to listen, knowing of nobody.
    fn listen(now: Instant, settings: &Settings) -> Self {
        let interval = settings.interval;
        Self {
            down_at: now + down_interval(settings, interval),
            heard_at: now,
            interval,
            last: None,
        }
    }
}

impl Master {
    fn sent(&mut self, now: Instant, settings: &Settings) {
        self.sent_at = now;
        self.told = settings.interval;
    }

    /// Somebody else gives up mastership that was not its: whoever heard that must hear of us
    /// before it takes over.
    fn answer_resignation(&mut self, now: Instant, settings: &Settings) -> Reaction {
        let earliest = self.replied_at.map_or(now, |at| at + REPLY_SPACING);
        if now < earliest {
            // Put off and not left out, because others wait for no more than their skew now.
            if earliest < self.advert_at {
                self.advert_at = earliest;
                self.replied_at = Some(earliest);
            }
            return Reaction::default();
        }
        // RFC 9568 6.4.3 MUST: priority 0 is answered at once, and Adver_Timer set again
        self.advert_at = now + settings.interval.duration();
        self.replied_at = Some(now);
        self.sent(now, settings);
        Reaction {
            send: Some(Send::Advert),
            ..Reaction::default()
        }
    }

    /// Somebody of lower precedence advertises: it has to learn of us, and the neighbours whom it
    /// may have misled have to learn where the addresses are.
    fn assert_mastership(&mut self, now: Instant, settings: &Settings) -> Reaction {
        let mut reaction = Reaction {
            second_master: now.since(self.since) >= LAST_WORD,
            ..Reaction::default()
        };
        // RFC 9568 6.4.3 MUST: anything else is discarded and answered at once
        // RFC 5798 6.4.3 MUST: anything else is discarded, and not answered
        // RFC 3768 6.4.3 MUST: anything else is discarded, and not answered
        let spaced = self
            .replied_at
            .is_none_or(|at| now.since(at) >= REPLY_SPACING);
        if settings.version == Version::V3 && spaced {
            self.replied_at = Some(now);
            self.sent(now, settings);
            reaction.send = Some(Send::Advert);
        }
        let earliest = self.announced_at + ANNOUNCE_SPACING;
        if now >= earliest {
            self.announced_at = now;
            reaction.announce = true;
        } else if self.announce_at.is_none() {
            // Put off and not left out: the other one may have announced them since.
            self.announce_at = Some(earliest);
        }
        reaction
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
fn down_interval(settings: &Settings, interval: AdvertInterval) -> Duration {
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
