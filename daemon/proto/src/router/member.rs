//! What a router shows to whoever decides for it and others, and the orders that it takes.

use core::net::IpAddr;
use core::time::Duration;

use super::backup::Backup;
use super::{Families, Phase, Reaction, Router, Send, down_interval};
use crate::reasons::Cause;
use crate::time::Instant;
use crate::types::{AdvertInterval, Family};
use crate::wire::Advert;

/// Somebody who advertises, as a router that makes way begins to listen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) from: IpAddr,
    pub(crate) priority: u8,
    pub(crate) interval: AdvertInterval,
    /// When it was heard last.
    pub(crate) at: Instant,
}

impl Router {
    /// When nobody stands in a backup's way in a family that it speaks, as far as it knows of others.
    pub(crate) fn over_at(&self, family: Family) -> Option<Instant> {
        match (&self.phase, self.settings.families, family) {
            (_, Families::Ipv4, Family::V6) | (_, Families::Ipv6, Family::V4) => None,
            (Phase::Backup(backup), ..) => Some(backup.over_at(&self.settings, family)),
            (Phase::Init | Phase::Master(_) | Phase::Fault(_), ..) => None,
        }
    }

    /// Until when it does not take over, because it was started a short time ago.
    pub(crate) const fn startup_until(&self) -> Instant {
        self.startup_until
    }

    /// The interval of the master that a backup waits for.
    pub(crate) fn awaited_interval(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Backup(backup) => Some(backup.interval(&self.settings)),
            Phase::Init | Phase::Master(_) | Phase::Fault(_) => None,
        }
    }

    /// Why a backup would take over now.
    pub(crate) fn reason(&self, now: Instant) -> Option<Cause> {
        match &self.phase {
            Phase::Backup(backup) => Some(backup.cause(now, &self.settings)),
            Phase::Init | Phase::Master(_) | Phase::Fault(_) => None,
        }
    }

    /// For how long one waits here for a master with this interval.
    pub(crate) fn wait_for(&self, interval: AdvertInterval) -> Duration {
        down_interval(&self.settings, interval)
    }

    /// Whether it takes over from a master of lower priority.
    pub(crate) fn preempts(&self) -> bool {
        self.settings.preempts()
    }

    /// Becomes master by order, because of a deadline at `due`. It is not asked whether it could.
    pub(crate) fn take_over(&mut self, now: Instant, due: Instant, cause: Cause) -> Reaction {
        match &self.phase {
            Phase::Init => {
                self.startup_until = now;
                self.become_master(now, due, cause)
            }
            Phase::Backup(_) => self.become_master(now, due, cause),
            Phase::Master(_) | Phase::Fault(_) => Reaction::default(),
        }
    }

    /// Makes way by order, with the word `last`, and obeys `sightings`, of which each counts in its
    /// family.
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

    /// As a backup that woke too late to trust its own silence, waits in full once more.
    pub(crate) fn restart_timer(&mut self, now: Instant) -> Reaction {
        let settings = self.settings;
        let Phase::Backup(backup) = &mut self.phase else {
            return Reaction::default();
        };
        backup.restart_timer(now, &settings);
        Reaction {
            late: true,
            ..Reaction::default()
        }
    }

    /// As a backup, takes note of an advertisement that arrived at `heard_at`.
    pub(crate) fn record(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
    ) -> Reaction {
        if let Phase::Backup(backup) = &mut self.phase {
            backup.record(heard_at, advert, source, &self.settings);
        }
        Reaction::default()
    }

    /// As a master, stays one although somebody advertises: it is of lower precedence, or it is not
    /// known yet of which.
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
            master.answer_resignation(now, &settings)
        } else {
            master.assert_mastership(now, &settings)
        }
    }
}
