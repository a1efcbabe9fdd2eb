//! One router as the RFCs have it, a second time: written from RFC 9568 section 6.4 and RFC 3768, and not
//! from the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Cause, Family, Instant, State, Transition};

use super::announcing::Announcing;
use super::group::Sightings;
use super::listening::Listening;
use crate::admission::{Numbers, Trailer, is_after, next_number};
use crate::foreign::skew;
use crate::host::{Datagram, Says};
use crate::scenario::RouterConfig;

/// A router as the RFCs have it.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) config: RouterConfig,
    pub(super) phase: Phase,
    /// The address from which it spoke last in each family.
    pub(super) sources: BTreeMap<Family, IpAddr>,
    /// Whom it sends to in each family that it speaks: a group, or those peers of which it knows the
    /// addresses.
    pub(crate) receivers: BTreeMap<Family, BTreeSet<IpAddr>>,
    /// The numbers of signed advertisements that it has heard.
    pub(super) numbers: Numbers,
    /// The last one with which it has signed itself.
    pub(super) signed: Option<u64>,
    /// Whether it may have signed a resignation since that is not known to be its own.
    pub(super) may_have_resigned: bool,
    /// Whether the last reload took the families away in which it spoke: there is nothing to say in those
    /// any more, not even to resign.
    pub(super) speaks_otherwise: bool,
    /// Whether its interface is gone, since when it has neither fallen nor come back.
    pub(super) is_away: bool,
    /// How often it has spoken, be it to nobody, where that is told.
    pub(super) words: u64,
    /// As a master of both families that hears nobody else in IPv4: since when it loses ties in IPv6,
    /// and when it lost the last.
    pub(super) losing: Option<(Instant, Instant)>,
    /// Until when it does not take over, because it was started a short time ago.
    pub(super) quiet_until: Instant,
    /// Whether it is in a sync group.
    pub(super) is_member: bool,
    /// Who was heard, as far as it is.
    pub(super) sightings: Sightings,
    /// Who of the same priority was passed over in each family when the group took over last, and who
    /// did not make way.
    pub(super) passed_over: BTreeMap<Family, IpAddr>,
    pub(super) stands: BTreeMap<Family, IpAddr>,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    Init,
    Fault,
    Backup(Listening),
    Master {
        sent_at: Instant,
        told: Duration,
        announcing: Announcing,
    },
}

impl Watched {
    /// Signs a message to a family as it should be signed when its wall clock shows `wall`. To several
    /// receivers in a family it says the same: `is_copy`. Returns whether the message is so.
    pub(super) fn signs(
        &mut self,
        message: &[u8],
        family: Family,
        wall: Duration,
        is_copy: bool,
    ) -> bool {
        let trailer = Trailer::read(family, message);
        let Some(hmac) = self.config.signs() else {
            return trailer.is_none();
        };
        let Some(trailer) = trailer else { return false };
        let number = match self.signed.filter(|_| is_copy) {
            Some(last) => last,
            None => next_number(self.signed, hmac, wall),
        };
        let may_be_ahead = self.may_have_resigned && !is_copy;
        self.signed = Some(trailer.number);
        self.may_have_resigned = false;
        (trailer.kind, trailer.key, trailer.reserved) == (1, hmac.active, [0, 0])
            && (trailer.number == number || may_be_ahead && is_after(trailer.number, number))
    }

    /// Whether there is nobody but itself that it could speak to.
    pub(super) fn is_alone(&self) -> bool {
        self.receivers.iter().all(|(family, receivers)| {
            let own = self.source(*family);
            receivers.iter().all(|receiver| Some(*receiver) == own)
        })
    }

    /// The address from which it spoke last in a family.
    pub(crate) fn source(&self, family: Family) -> Option<IpAddr> {
        self.sources.get(&family).copied()
    }

    pub(crate) const fn state(&self) -> State {
        match self.phase {
            Phase::Init => State::Init,
            Phase::Fault => State::Fault,
            Phase::Backup(_) => State::Backup,
            Phase::Master { .. } => State::Master,
        }
    }
}

/// What has to happen.
pub(super) struct Expected {
    pub(super) to: State,
    pub(super) cause: Cause,
}

impl Watched {
    /// Hears an advertisement that is to be believed, as backup or master.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        arrived: Instant,
        packet: &Datagram,
        says: &Says,
        priority: u8,
    ) -> Option<Expected> {
        let from = packet.source;
        let expected = match &self.phase {
            Phase::Init | Phase::Fault => return None,
            Phase::Backup(_) => None,
            Phase::Master { .. } => {
                if let Some(overslept) = self.oversleep(now, priority) {
                    Some(overslept)
                } else if says.priority > priority {
                    let cause = Cause::HigherPriority {
                        master: from,
                        theirs: says.priority,
                        ours: priority,
                    };
                    Some(self.give_way(arrived, priority, cause))
                } else if self.loses_tie(now, packet, says, priority) {
                    let cause = Cause::HigherAddress {
                        master: from,
                        priority,
                    };
                    Some(self.give_way(arrived, priority, cause))
                } else {
                    return None;
                }
            }
        };
        let overslept = |expected: &Expected| matches!(expected.cause, Cause::Overslept { .. });
        let yields = expected
            .as_ref()
            .is_some_and(|expected| !overslept(expected));
        if let Phase::Backup(listening) = &mut self.phase {
            listening.hear(&self.config, arrived, packet, says, priority, yields);
        }
        expected
    }

    /// Whether a master yields to somebody of its own priority: to who has the greater address. In an
    /// instance of both families the addresses of IPv4 decide, and those of IPv6 only against
    /// somebody who goes on speaking it alone for as long as one waits for a master.
    fn loses_tie(&mut self, now: Instant, packet: &Datagram, says: &Says, priority: u8) -> bool {
        let family = packet.family();
        if family == Family::V4 {
            self.losing = None;
        }
        let is_tie = says.priority == priority && says.priority > 0;
        let is_greater = self.source(family).is_some_and(|own| packet.source > own);
        if !is_tie || !is_greater {
            return false;
        }
        if family == Family::V4 || !self.config.is_dual() {
            return true;
        }
        let wait = 3 * says.interval + skew(self.config.version, priority, says.interval);
        let goes_on = |(_, last): &(Instant, Instant)| now.since(*last) < wait;
        let (since, _) = self.losing.filter(goes_on).unwrap_or((now, now));
        self.losing = Some((since, now));
        now.since(since) >= wait
    }

    fn give_way(&mut self, arrived: Instant, priority: u8, cause: Cause) -> Expected {
        self.phase = self.listen_to_all(arrived, priority);
        Expected {
            to: State::Backup,
            cause,
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, priority: u8) -> Option<Expected> {
        let mut listening = match &self.phase {
            Phase::Init | Phase::Fault => return None,
            Phase::Master { .. } => return self.oversleep(now, priority),
            Phase::Backup(listening) => listening.clone(),
        };
        let due = self.take_over_at(&listening, priority);
        if now < due {
            return None;
        }
        if now.since(due) > listening.interval(&self.config, priority) {
            // It has slept through advertisements as well.
            listening.wait_anew(&self.config, now, priority);
            self.phase = Phase::Backup(listening);
            return None;
        }
        let cause = listening.cause(&self.config, now, priority);
        self.phase = self.master(now);
        self.losing = None;
        Some(Expected {
            to: State::Master,
            cause,
        })
    }

    /// A master that has been silent for as long as others wait listens first.
    pub(super) fn oversleep(&mut self, now: Instant, priority: u8) -> Option<Expected> {
        let Phase::Master { sent_at, told, .. } = self.phase else {
            return None;
        };
        let lasted = now.since(sent_at);
        if lasted <= others_wait(&self.config, told) || self.config.priority == 255 {
            return None;
        }
        self.phase = self.listen_to_all(now, priority);
        Some(Expected {
            to: State::Backup,
            cause: Cause::Overslept { lasted },
        })
    }

    /// The phase that a transition leads to for which the host's circumstances are the reason.
    pub(super) fn enter(
        &self,
        now: Instant,
        priority: u8,
        transition: &Transition,
    ) -> Option<Phase> {
        let owner = self.config.priority == 255;
        match (&transition.cause, transition.to) {
            (Cause::Started, State::Backup) if self.config.expect_master => {
                let listening = Listening::begin(&self.config, now, priority, 1);
                Some(Phase::Backup(listening))
            }
            (Cause::Started | Cause::Recovered(_), State::Backup) if !owner => {
                Some(self.listen_to_all(now, priority))
            }
            (Cause::Overslept { .. } | Cause::Joined { .. }, State::Backup) => {
                Some(self.listen_to_all(now, priority))
            }
            (Cause::With { cause, .. }, State::Backup)
                if matches!(**cause, Cause::Overslept { .. }) =>
            {
                Some(self.listen_to_all(now, priority))
            }
            (Cause::Joined { .. }, State::Master) if !owner => Some(self.master(now)),
            (Cause::Owner | Cause::Recovered(_), State::Master) if owner => Some(self.master(now)),
            (Cause::Faulted(_), State::Fault) => Some(Phase::Fault),
            (Cause::Stopped | Cause::Removed | Cause::Redefined, State::Init) => Some(Phase::Init),
            _ => None,
        }
    }

    pub(super) fn listen_to_all(&self, now: Instant, priority: u8) -> Phase {
        Phase::Backup(Listening::begin(&self.config, now, priority, 3))
    }

    pub(super) fn master(&self, now: Instant) -> Phase {
        Phase::Master {
            sent_at: now,
            told: self.config.interval(),
            announcing: Announcing::since(now, &self.config.announce),
        }
    }

    /// When a listening router takes over unless it hears something.
    pub(super) fn take_over_at(&self, listening: &Listening, priority: u8) -> Instant {
        let at = listening.over_at(&self.config, priority);
        if self.config.priority == 255 {
            at
        } else {
            at.max(self.quiet_until)
        }
    }

    /// Its settings are others from now on. Until then it had this priority.
    pub(super) fn reconfigure(&mut self, now: Instant, new: &RouterConfig, priority: u8) {
        if let Phase::Backup(listening) = &mut self.phase {
            listening.change(new, now, priority);
        }
        self.speaks_otherwise = self.config.spoken().all(|family| !new.speaks(family));
        let (before, after) = (self.config.startup_delay(), new.startup_delay());
        if after < before {
            self.quiet_until = self.quiet_until - (before - after);
        }
        if let Phase::Master { announcing, .. } = &mut self.phase
            && new.announce != self.config.announce
        {
            announcing.plan(now, &new.announce);
        }
        self.config.clone_from(new);
    }

    /// It goes on after an interruption.
    pub(super) fn resume(&mut self, now: Instant) {
        self.is_away = false;
        if let Phase::Master { announcing, .. } = &mut self.phase {
            announcing.resume(now, &self.config.announce);
        }
    }

    /// Whether it announces its addresses at a tick, having stayed master.
    pub(super) fn announces_by_time(&mut self, now: Instant) -> bool {
        let config = self.config.announce;
        match &mut self.phase {
            Phase::Master { announcing, .. } => announcing.tick(now, &config),
            Phase::Init | Phase::Fault | Phase::Backup(_) => false,
        }
    }

    /// Whether it announces its addresses because of an advertisement to which it does not yield.
    pub(super) fn announces_against(&mut self, now: Instant, says: &Says) -> bool {
        let config = self.config.announce;
        match &mut self.phase {
            Phase::Master { announcing, .. } if says.priority > 0 && config.on_lower_priority => {
                announcing.contradict(now)
            }
            Phase::Master { .. } | Phase::Init | Phase::Fault | Phase::Backup(_) => false,
        }
    }
}

/// For how long the most eager of the others waits for a master that told its interval.
pub(super) fn others_wait(config: &RouterConfig, told: Duration) -> Duration {
    3 * told + skew(config.version, 254, told)
}
