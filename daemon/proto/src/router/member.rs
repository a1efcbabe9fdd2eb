//! Interface of a router to the decisions of a sync group: queries and orders.

use core::net::IpAddr;
use core::time::Duration;

use super::backup::{Backup, Sighting};
use super::master::Master;
use super::{Families, Phase, Reaction, Router, Send, Settings, down_interval};
use crate::reasons::Cause;
use crate::time::Instant;
use crate::types::{AdvertInterval, Family, State};
use crate::wire::Advert;

impl Router {
    /// Time at which a backup knows of no master in a family any more. `None` if the router does
    /// not use the family, or is not a backup.
    pub(crate) fn over_at(&self, family: Family) -> Option<Instant> {
        match (&self.phase, self.settings.families, family) {
            (_, Families::Ipv4, Family::V6) | (_, Families::Ipv6, Family::V4) => None,
            (Phase::Backup(backup), ..) => Some(backup.over_at(&self.settings, family)),
            (Phase::Init | Phase::Master(_) | Phase::Fault(_), ..) => None,
        }
    }

    /// Advertisement interval of the master that a backup waits for.
    pub(crate) fn awaited_interval(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Backup(backup) => Some(backup.interval(&self.settings)),
            Phase::Init | Phase::Master(_) | Phase::Fault(_) => None,
        }
    }

    /// Cause of a take-over of a backup now, because of `family` if that decides alone.
    pub(crate) fn reason(&self, now: Instant, family: Option<Family>) -> Option<Cause> {
        match &self.phase {
            Phase::Backup(backup) => Some(backup.cause(now, &self.settings, family)),
            Phase::Init | Phase::Master(_) | Phase::Fault(_) => None,
        }
    }

    /// Active_Down_Interval for a master with this interval.
    pub(crate) fn wait_for(&self, interval: AdvertInterval) -> Duration {
        down_interval(&self.settings, interval)
    }

    /// Whether the router takes over from a master of lower priority.
    pub(crate) fn preempts(&self) -> bool {
        self.settings.preempts()
    }

    /// Becomes master by order, because of a deadline at `due`. The router's own timers are not
    /// checked.
    pub(crate) fn take_over(&mut self, now: Instant, due: Instant, cause: Cause) -> Reaction {
        match &self.phase {
            Phase::Init => {
                // A new member of a group of masters does not wait for its own startup delay.
                self.startup_until = now;
                self.become_master(now, due, cause)
            }
            Phase::Backup(_) => self.become_master(now, due, cause),
            Phase::Master(_) | Phase::Fault(_) => Reaction::default(),
        }
    }

    /// Steps down by order, with the final advertisement `last`, and follows `sightings`, each in
    /// its family.
    pub(crate) fn step_down(
        &mut self,
        now: Instant,
        last: Send,
        sightings: impl IntoIterator<Item = Sighting>,
        cause: Cause,
    ) -> Reaction {
        let Phase::Master(_) = self.phase else {
            return Reaction::default();
        };
        let mut backup = Backup::listen(now, &self.settings);
        for sighting in sightings {
            backup.follow_sighting(&sighting, &self.settings);
        }
        Reaction {
            send: Some(last),
            ..self.enter(Phase::Backup(backup), cause)
        }
    }

    /// Hands over by order: a master resigns and continues as backup.
    pub(crate) fn hand_over(&mut self, now: Instant, cause: Cause) -> Reaction {
        Reaction {
            hands_over: self.state() == State::Master,
            ..self.step_down(now, Send::Resignation, None, cause)
        }
    }

    /// Restarts the timer of a backup that woke up late and may have missed advertisements.
    pub(crate) fn restart_timer(&mut self, now: Instant) -> Reaction {
        let settings = self.settings;
        let Phase::Backup(backup) = &mut self.phase else {
            return Reaction::default();
        };
        backup.restart_timer(now, &settings);
        Reaction::LATE
    }

    /// Extends the wait of a backup in the families of `which` whose wire was not watched for long
    /// enough.
    pub(crate) fn watch_longer(
        &mut self,
        now: Instant,
        which: impl Fn(Family) -> bool,
    ) -> Reaction {
        let settings = self.settings;
        match &mut self.phase {
            Phase::Backup(backup) if settings.trust_wire => {
                match backup.watch_longer(now, &settings, which) {
                    true => Reaction::LATE,
                    false => Reaction::default(),
                }
            }
            Phase::Init | Phase::Backup(_) | Phase::Master(_) | Phase::Fault(_) => {
                Reaction::default()
            }
        }
    }

    /// Records an advertisement that arrived at `heard_at`, on a backup.
    pub(crate) fn record(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
    ) -> Reaction {
        if let Phase::Backup(backup) = &mut self.phase {
            backup.record(heard_at, advert, source, &self.settings);
            self.silence_counts_at = self.silence_counts_at.min(heard_at);
        }
        Reaction::default()
    }

    /// Announces the addresses of a master again, because another master may have announced them.
    pub(crate) fn correct_neighbours(&mut self, now: Instant) -> Reaction {
        self.announce_if(|master, settings| master.correct_neighbours(now, settings))
    }

    /// Announces the addresses of a master again, because a host that is no router claims one of them.
    pub(crate) fn defend(&mut self, now: Instant) -> Reaction {
        self.announce_if(|master, settings| master.defend(now, settings))
    }

    /// Announces the addresses of a master if it `decides` so.
    fn announce_if(&mut self, decides: impl FnOnce(&mut Master, &Settings) -> bool) -> Reaction {
        let announce = match &mut self.phase {
            Phase::Master(master) => decides(master, &self.settings),
            Phase::Init | Phase::Fault(_) | Phase::Backup(_) => false,
        };
        Reaction {
            announce,
            ..Reaction::default()
        }
    }

    /// Remains master after an advertisement: its sender is of lower precedence, or its precedence
    /// is not decided yet.
    pub(crate) fn remain_master(
        &mut self,
        now: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
    ) -> Reaction {
        let settings = self.settings;
        let Phase::Master(master) = &mut self.phase else {
            return Reaction::default();
        };
        master.record_source(source);
        if advert.resigns() {
            master.answer_resignation(now, source, &settings)
        } else {
            master.assert_mastership(now, advert, source, &settings)
        }
    }

    /// Whether another master is present beside this one.
    pub(crate) fn is_contested(&self) -> bool {
        match &self.phase {
            Phase::Master(master) => master.is_contested(),
            Phase::Init | Phase::Backup(_) | Phase::Fault(_) => false,
        }
    }

    /// Whether it is master, no other one is present, and none was displaced a moment ago.
    pub(crate) fn is_only_master(&self, now: Instant) -> bool {
        match &self.phase {
            Phase::Master(master) => master.is_alone(now),
            Phase::Init | Phase::Backup(_) | Phase::Fault(_) => false,
        }
    }

    /// Records that the end of a contest was reported for this router with that of another member.
    pub(crate) const fn report_contest(&mut self, now: Instant) {
        if let Phase::Master(master) = &mut self.phase {
            master.report_contest(now);
        }
    }
}
