//! Expected behaviour of one router, written from RFC 9568 section 6.4 and RFC 3768, without code of
//! the engine.

mod contest;
pub(super) mod group;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Cause, Family, Instant, State, Transition};

use self::contest::Contesting;
use self::group::Sightings;
use super::announcing::Announcing;
use super::contacts::Contacts;
use super::hand_over::Leaving;
use super::listening::Listening;
use crate::admission::{Numbers, Trailer, is_after, next_number};
use crate::foreign::skew;
use crate::records::{Content, Datagram};
use crate::scenario::{HmacConfig, RouterConfig};

/// Expected state of a router.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) config: RouterConfig,
    /// Signature before the last reload: a late wake-up is noticed before the reload is applied.
    pub(super) signed_before: Option<HmacConfig>,
    pub(super) phase: Phase,
    /// Source address of its last advertisement, by family.
    pub(super) sources: BTreeMap<Family, IpAddr>,
    /// Destinations in each family with advertisements: the multicast group, or the known addresses of
    /// the peers.
    pub(crate) receivers: BTreeMap<Family, BTreeSet<IpAddr>>,
    /// Those of the configuration and of the present answers of the name service.
    pub(super) configured: BTreeMap<Family, BTreeSet<IpAddr>>,
    /// Further unicast peers.
    pub(super) contacts: Contacts,
    /// Time from which silence counts: before it, a master may not be able to reach this router.
    pub(super) silence_counts_at: Instant,
    /// Sequence numbers of the accepted signed advertisements.
    pub(super) numbers: Numbers,
    /// Sequence number of the last advertisement that the router signed.
    pub(super) signed: Option<u64>,
    /// Whether the router may have signed a resignation that the oracle could not assign to it.
    pub(super) may_have_resigned: bool,
    /// Whether the last reload removed all families in which the router advertised. There it sends
    /// nothing any more, not even priority 0.
    pub(super) speaks_otherwise: bool,
    /// End of its grace, while its interface or its own address is missing.
    pub(super) grace_until: Option<Instant>,
    /// Hand-over, while its host holds the addresses for a successor.
    pub(super) leaving: Option<Leaving>,
    /// Whether its interface was deleted, and the router has been neither in fault nor back since.
    pub(super) is_away: bool,
    /// Whether it runs without a link on its interface, and neither sends nor receives.
    pub(crate) is_unlinked: bool,
    /// Number of its advertisements, including those without a destination, where the status shows it.
    pub(super) adverts_sent: u64,
    /// For a master of both families without a rival in IPv4: time since which it loses ties in IPv6,
    /// and time of the last lost tie.
    pub(super) losing: Option<(Instant, Instant)>,
    /// End of the startup delay.
    pub(super) quiet_until: Instant,
    /// Senders with an accepted advertisement. Each stays a peer when its addresses change.
    pub(super) peers: BTreeSet<IpAddr>,
    /// Families in which its last advertisement did not leave its host.
    pub(super) unsent: BTreeSet<Family>,
    /// Whether none of its advertisements leaves, nor those of its group.
    pub(super) is_unsent: bool,
    /// Time of its last take-over, and the time at which five are possible at once again.
    pub(super) took_over_at: Instant,
    pub(super) free_at: Instant,
    /// Whether it never takes over, by order of the operator.
    pub(super) barred: bool,
    /// Time and cause of its last transition.
    pub(super) last: Option<(Instant, Cause)>,
    /// Whether the router is a member of a sync group.
    pub(super) is_member: bool,
    /// Last advertisements of other routers, for a member of a group.
    pub(super) sightings: Sightings,
    /// Rivals of the same priority, by family: those that the group passed over in its last takeover,
    /// and those that remained master, which the group tolerates since.
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
        contesting: Contesting,
    },
}

impl Watched {
    /// Checks the signature of a message of a family, at `wall` on the wall clock, and records its
    /// sequence number. `hmac` is the configuration that signs. With `is_copy` the message is the same
    /// one to a further destination, with the same number.
    pub(super) fn signs(
        &mut self,
        hmac: Option<&HmacConfig>,
        message: &[u8],
        family: Family,
        wall: Duration,
        is_copy: bool,
    ) -> bool {
        let trailer = Trailer::read(family, message);
        let Some(hmac) = hmac else {
            return trailer.is_none();
        };
        let Some(trailer) = trailer else { return false };
        let number = match self.signed.filter(|_| is_copy) {
            Some(last) => last,
            None => next_number(self.signed, hmac, wall),
        };
        // An unassigned resignation may have used further numbers.
        let may_be_ahead = self.may_have_resigned && !is_copy;
        self.signed = Some(trailer.number);
        self.may_have_resigned = false;
        (trailer.kind, trailer.key, trailer.reserved) == (1, hmac.active, [0, 0])
            && (trailer.number == number || may_be_ahead && is_after(trailer.number, number))
    }

    /// Destinations of its advertisements.
    pub(super) fn destinations(&self) -> BTreeSet<IpAddr> {
        // A router that is in its own list of peers does not send to itself.
        let own: BTreeSet<IpAddr> = self.sources.values().copied().collect();
        let all = self.receivers.values().flatten().copied();
        all.filter(|to| !self.is_unlinked && !own.contains(to))
            .collect()
    }

    /// Source address of the last advertisement in a family.
    pub(crate) fn source(&self, family: Family) -> Option<IpAddr> {
        self.sources.get(&family).copied()
    }

    /// On a backup: start of the wait, or of the renewed wait after a late wake-up.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Backup(listening) => listening.since(),
            Phase::Init | Phase::Fault | Phase::Master { .. } => None,
        }
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

/// Expected transition.
pub(super) struct Expected {
    pub(super) to: State,
    pub(super) cause: Cause,
}

impl Watched {
    /// Handles an accepted advertisement, as backup or master.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        arrived: Instant,
        packet: &Datagram,
        content: &Content,
        priority: u8,
    ) -> Option<Expected> {
        let from = packet.source;
        let expected = match &self.phase {
            Phase::Init | Phase::Fault => return None,
            Phase::Backup(_) => None,
            Phase::Master { .. } => {
                if let Some(overslept) = self.oversleep(now, priority) {
                    Some(overslept)
                } else if content.priority > priority {
                    let cause = Cause::HigherPriority {
                        master: from,
                        theirs: content.priority,
                        ours: priority,
                    };
                    Some(self.give_way(arrived, priority, cause))
                } else if self.loses_tie(now, packet, content, priority) {
                    let cause = Cause::HigherAddress {
                        master: from,
                        priority,
                    };
                    Some(self.give_way(arrived, priority, cause))
                } else if self.is_unsent && content.priority > 0 {
                    let cause = Cause::Unsent {
                        master: from,
                        theirs: content.priority,
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
            listening.hear(&self.config, arrived, packet, content, priority, yields);
        }
        expected
    }

    /// Whether a master yields to a rival of the same priority, which it does to a greater address. In
    /// an instance of both families the IPv4 addresses decide. An IPv6 address decides only against a
    /// rival that advertises in IPv6 alone for a whole master-down interval.
    fn loses_tie(
        &mut self,
        now: Instant,
        packet: &Datagram,
        content: &Content,
        priority: u8,
    ) -> bool {
        let family = packet.family();
        if family == Family::V4 {
            self.losing = None;
        }
        let is_tie = content.priority == priority && content.priority > 0;
        let is_greater = self.source(family).is_some_and(|own| packet.source > own);
        if !is_tie || !is_greater {
            return false;
        }
        if family == Family::V4 || !self.config.is_dual() {
            return true;
        }
        let wait = 3 * content.interval + skew(self.config.version, priority, content.interval);
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

    /// Handles the passing of time.
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
            // The wake-up is so late that advertisements may have been lost.
            listening.wait_anew(&self.config, now, priority);
            self.phase = Phase::Backup(listening);
            return None;
        }
        if self.config.trust_wire && listening.watch_longer(&self.config, now, priority, |_| true) {
            self.phase = Phase::Backup(listening);
            return None;
        }
        let cause = listening.cause(&self.config, now, priority, None);
        self.phase = self.master(now, &cause);
        self.losing = None;
        Some(Expected {
            to: State::Master,
            cause,
        })
    }

    /// Makes a master a backup that has not advertised for as long as other routers wait.
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

    /// Returns the phase after a transition that an event of the host caused, or `None` if no such
    /// transition exists.
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
            (
                Cause::Overslept { .. } | Cause::Joined { .. } | Cause::Command { .. },
                State::Backup,
            ) => Some(self.listen_to_all(now, priority)),
            (Cause::With { cause, .. }, State::Backup)
                if matches!(**cause, Cause::Overslept { .. } | Cause::Command { .. }) =>
            {
                Some(self.listen_to_all(now, priority))
            }
            (Cause::Joined { .. }, State::Master) if !owner => {
                Some(self.master(now, &transition.cause))
            }
            (Cause::Owner | Cause::Recovered(_), State::Master) if owner => {
                Some(self.master(now, &transition.cause))
            }
            (Cause::Faulted(_), State::Fault) => Some(Phase::Fault),
            (Cause::Stopped | Cause::Removed | Cause::Redefined, State::Init) => Some(Phase::Init),
            _ => None,
        }
    }

    pub(super) fn listen_to_all(&self, now: Instant, priority: u8) -> Phase {
        let listening = Listening::begin(&self.config, now, priority, 3);
        Phase::Backup(listening.unsent(self.is_unsent))
    }

    pub(super) fn master(&self, now: Instant, cause: &Cause) -> Phase {
        Phase::Master {
            sent_at: now,
            told: self.config.interval(),
            announcing: Announcing::since(now, &self.config.announce),
            contesting: Contesting::since(now, cause),
        }
    }

    /// Time at which a backup takes over without a further advertisement.
    pub(super) fn take_over_at(&self, listening: &Listening, priority: u8) -> Instant {
        let at = listening.over_at(&self.config, priority);
        if self.config.priority == 255 {
            at
        } else {
            at.max(self.held_until())
        }
    }

    /// Time before which a backup does not take over.
    pub(super) fn held_until(&self) -> Instant {
        if self.barred {
            return Instant::MAX;
        }
        let delays = self.quiet_until.max(self.silence_counts_at);
        let by_rate = self.free_at - 4 * self.spacing();
        delays.max(by_rate.min(self.took_over_at + self.spacing()))
    }

    /// Records a take-over. Five may follow one another at once; then each waits for three intervals after the
    /// last one, and for a second at least. Each such time without one frees a place.
    pub(super) fn count_take_over(&mut self, now: Instant) {
        self.free_at = self.free_at.max(now) + self.spacing();
        self.took_over_at = now;
    }

    fn spacing(&self) -> Duration {
        (3 * self.config.interval()).max(Duration::from_secs(1))
    }

    /// Master-down interval of this router for a master with this interval.
    pub(super) fn wait_for(&self, priority: u8, interval: Duration) -> Duration {
        3 * interval + skew(self.config.version, priority, interval)
    }

    /// Senders of signed advertisements that arrive without interruption.
    pub(crate) fn continuing(&self, now: Instant) -> impl Iterator<Item = IpAddr> + '_ {
        self.numbers.continuing(now)
    }

    /// Records the sender of an accepted advertisement as a peer. Returns whether it is a new one.
    pub(super) fn meet(
        &mut self,
        at: Instant,
        from: IpAddr,
        interval: Duration,
        priority: u8,
    ) -> bool {
        let configured = self.configured.get(&Family::of(from));
        if self.config.unicast.is_none() || configured.is_some_and(|all| all.contains(&from)) {
            return false;
        }
        let wait = self.wait_for(priority, interval);
        let is_new = self.contacts.hear(from, at, wait);
        self.find_receivers(at);
        is_new
    }

    /// Computes the destinations at a time.
    pub(super) fn find_receivers(&mut self, now: Instant) {
        self.receivers.clone_from(&self.configured);
        for address in self.contacts.addresses(now) {
            if let Some(receivers) = self.receivers.get_mut(&Family::of(address)) {
                receivers.insert(address);
            }
        }
    }

    /// Forgets the advertisements that did not leave: a reload makes it preempt again.
    fn forget_unsent(&mut self) {
        self.unsent.clear();
        self.set_unsent(false);
    }

    pub(super) fn set_unsent(&mut self, is_unsent: bool) {
        self.is_unsent = is_unsent;
        if let Phase::Backup(listening) = &self.phase {
            self.phase = Phase::Backup(listening.clone().unsent(is_unsent));
        }
    }

    /// Applies a new configuration. `priority` is the effective priority before it.
    pub(super) fn reconfigure(&mut self, now: Instant, new: &RouterConfig, priority: u8) {
        self.forget_unsent();
        if let Phase::Backup(listening) = &mut self.phase {
            listening.change(new, now, priority);
        }
        self.speaks_otherwise = self.config.spoken().all(|family| !new.speaks(family));
        let (before, after) = (self.config.startup_delay(), new.startup_delay());
        if after < before {
            // A shorter startup delay ends earlier; a longer one does not restart.
            self.quiet_until = self.quiet_until - (before - after);
        }
        if let Phase::Master { announcing, .. } = &mut self.phase
            && new.announce != self.config.announce
        {
            announcing.plan(now, &new.announce);
        }
        self.signed_before = self.config.signs().cloned();
        self.config.clone_from(new);
    }

    /// Continues after an interruption of the interface or the address.
    pub(super) fn resume(&mut self, now: Instant) {
        self.is_away = false;
        if let Phase::Master {
            announcing,
            contesting,
            ..
        } = &mut self.phase
        {
            contesting.resume(now);
            announcing.resume(now, &self.config.announce);
        }
    }

    /// Waits for other routers from now on: the interface has a link again.
    pub(super) fn reconnect(&mut self, now: Instant, priority: u8) {
        if let Phase::Backup(listening) = &mut self.phase {
            listening.wait_anew(&self.config, now, priority);
        }
        self.resume(now);
    }

    /// Returns whether a router that remains master announces its addresses at a tick.
    pub(super) fn announces_by_time(&mut self, now: Instant) -> bool {
        let config = self.config.announce;
        match &mut self.phase {
            Phase::Master { announcing, .. } => announcing.tick(now, &config),
            Phase::Init | Phase::Fault | Phase::Backup(_) => false,
        }
    }

    /// Returns whether the router announces its addresses after a claim of a host that is no router.
    pub(super) fn announces_against_claim(&mut self, now: Instant) -> bool {
        let config = self.config.announce;
        match &mut self.phase {
            Phase::Master { announcing, .. } if config.on_lower_priority => announcing.defend(now),
            Phase::Master { .. } | Phase::Init | Phase::Fault | Phase::Backup(_) => false,
        }
    }

    /// Returns whether the router announces its addresses after an advertisement to which it does not
    /// yield.
    pub(super) fn announces_against(&mut self, now: Instant, content: &Content) -> bool {
        let config = self.config.announce;
        match &mut self.phase {
            Phase::Master { announcing, .. }
                if content.priority > 0 && config.on_lower_priority =>
            {
                announcing.contradict(now)
            }
            Phase::Master { .. } | Phase::Init | Phase::Fault | Phase::Backup(_) => false,
        }
    }
}

/// Master-down interval of the router with the shortest wait, for a master with the interval `told`.
pub(super) fn others_wait(config: &RouterConfig, told: Duration) -> Duration {
    3 * told + skew(config.version, 254, told)
}
