//! A master: its advertisement timer, its announcements, and its reaction to other masters.

use core::net::IpAddr;
use core::time::Duration;

use super::contest::Contest;
use super::{Reaction, Send, Settings, down_interval, next_due};
use crate::checkpoint::MasterCheckpoint;
use crate::params::Announcements;
use crate::reasons::{Cause, Due};
use crate::time::Instant;
use crate::types::{AdvertInterval, Version};
use crate::wire::Advert;

/// Least time between two replies to advertisements of lower precedence or to resignations: the
/// shortest interval of the protocol, so that a flood of packets does not cause another.
pub(super) const REPLY_SPACING: Duration = Duration::from_millis(10);

/// Least time between two announcements because of masters of lower precedence.
const ANNOUNCE_SPACING: Duration = Duration::from_secs(1);

/// Least time between two announcements because of claims of hosts that are no routers (DEFEND_INTERVAL of RFC
/// 5227 section 2.4): two hosts that both defend an address must not answer each other for ever.
const DEFENCE_SPACING: Duration = Duration::from_secs(10);

/// Time after a take-over during which the final advertisement of the former master is not reported
/// as a second master.
const LAST_WORD: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Master {
    /// Time of the take-over.
    since: Instant,
    /// Whether another router may have been master until the take-over, which then sends a final
    /// advertisement.
    has_displaced: bool,
    /// Adver_Timer: the last due time plus the interval.
    advert_at: Instant,
    /// Time of the last advertisement.
    sent_at: Instant,
    /// Whether the router is disconnected from its network and delays its advertisements.
    is_away: bool,
    /// Whether an advertisement was due during the disconnection.
    missed: bool,
    /// Interval in the last advertisement, which determines for how long backups wait.
    told: AdvertInterval,
    /// Time of the take-over, or the end of the last disconnection. Later announcements count from
    /// it.
    arrived_at: Instant,
    /// Next announcement by the settings (`delay` or `refresh`).
    announce_at: Option<Instant>,
    /// Delayed announcement because of an advertisement of lower precedence.
    correct_at: Option<Instant>,
    /// Last announcement because of a claim of another host, or the claim for which it is delayed.
    defended_at: Option<Instant>,
    /// Last reply to an advertisement of lower precedence, or a delayed one in the future.
    replied_at: Option<Instant>,
    /// Last announcement.
    announced_at: Instant,
    /// Instance of both families: start of the present series of ties lost in IPv6 without
    /// advertisements over IPv4, and the last lost tie.
    losing: Option<(Instant, Instant)>,
    contest: Contest,
}

impl Master {
    /// Becomes master because of a deadline at `due`, from which Adver_Timer counts.
    pub(super) fn new(now: Instant, due: Instant, cause: &Cause, settings: &Settings) -> Self {
        let is_successor = matches!(cause.root(), Cause::Silence { .. } | Cause::Resigned { .. });
        let mut master = Self {
            since: now,
            has_displaced: !is_successor,
            // RFC 9568 6.4.2 MUST: Adver_Timer is set to the own interval
            advert_at: next_due(due, settings.interval.duration(), now),
            sent_at: now,
            is_away: false,
            missed: false,
            told: settings.interval,
            arrived_at: now,
            announce_at: None,
            correct_at: None,
            defended_at: None,
            replied_at: None,
            announced_at: now,
            losing: None,
            contest: Contest::default(),
        };
        master.announce_at = master.next_announcement(now, settings);
        master
    }

    /// The timers, for a later process. `None` during a disconnection, which only this process knows.
    pub(super) fn save(&self) -> Option<MasterCheckpoint> {
        let (rivals, contest_reported_at) = self.contest.save();
        (!self.is_away).then_some(MasterCheckpoint {
            since: self.since,
            has_displaced: self.has_displaced,
            advert_at: self.advert_at,
            sent_at: self.sent_at,
            told: self.told.centiseconds(),
            arrived_at: self.arrived_at,
            announce_at: self.announce_at,
            correct_at: self.correct_at,
            defended_at: self.defended_at,
            replied_at: self.replied_at,
            announced_at: self.announced_at,
            losing: self.losing,
            rivals,
            contest_reported_at,
        })
    }

    /// Continues with what [`save`](Self::save) returned. A shorter interval of `settings` takes effect at
    /// once, as after a reload.
    pub(super) fn restore(now: Instant, saved: &MasterCheckpoint, settings: &Settings) -> Self {
        Self {
            since: saved.since,
            has_displaced: saved.has_displaced,
            advert_at: saved.advert_at.min(now + settings.interval.duration()),
            sent_at: saved.sent_at,
            is_away: false,
            missed: false,
            told: AdvertInterval::restore(saved.told).unwrap_or(settings.interval),
            arrived_at: saved.arrived_at,
            announce_at: saved.announce_at,
            correct_at: saved.correct_at,
            defended_at: saved.defended_at,
            replied_at: saved.replied_at,
            announced_at: saved.announced_at,
            losing: saved.losing,
            contest: Contest::restore(&saved.rivals, saved.contest_reported_at),
        }
    }

    /// Time of the next tick, and the event that is due then.
    pub(super) fn deadline(&self) -> (Instant, Due) {
        let advert = (self.advert_at, Due::Advertisement);
        let announcement = self.announcement().map(|at| (at, Due::Announcement));
        let contest = self.contest_over_at().map(|at| (at, Due::Contest));
        let all = [Some(advert), announcement, contest].into_iter().flatten();
        all.min_by_key(|(at, _)| *at).unwrap_or(advert)
    }

    /// Does the work that is due.
    pub(super) fn handle_tick(&mut self, now: Instant, settings: &Settings) -> Reaction {
        let mut reaction = Reaction::default();
        if now >= self.advert_at {
            // RFC 9568 6.4.3 MUST: when Adver_Timer fires, advertise and set it again
            reaction.send = self.advertise(now, settings);
            self.advert_at = next_due(self.advert_at, settings.interval.duration(), now);
        }
        if self.announcement().is_some_and(|at| now >= at) {
            reaction.announce = true;
            self.announced(now);
            if self.announce_at.is_some_and(|at| now >= at) {
                self.announce_at = self.next_announcement(now, settings);
            }
        }
        if self.contest_over_at().is_some_and(|at| now >= at) {
            reaction.contested = self.contest.end(now);
        }
        reaction
    }

    /// Applies new settings: a shorter interval takes effect at once, and announcements are due as
    /// if the settings had applied since the take-over.
    pub(super) fn set_settings(&mut self, now: Instant, before: &Settings, settings: &Settings) {
        if settings.interval != before.interval {
            self.advert_at = self.advert_at.min(now + settings.interval.duration());
        }
        if settings.announce != before.announce {
            self.announce_at = self.next_announcement(now, settings);
        }
    }

    /// Stops sending until [`arrive`](Self::arrive), because the router is disconnected from its
    /// network.
    pub(super) const fn depart(&mut self) {
        self.is_away = true;
    }

    /// Ends a disconnection: sends an advertisement that was due meanwhile, and announces the
    /// addresses as after a take-over.
    pub(super) fn arrive(&mut self, now: Instant, settings: &Settings) -> Reaction {
        self.arrived_at = now;
        self.announce_at = self.next_announcement(now, settings);
        self.is_away = false;
        self.contest.listen_anew(now);
        let missed = core::mem::take(&mut self.missed);
        let send = if missed {
            self.advertise(now, settings)
        } else {
            None
        };
        Reaction {
            send,
            announce: true,
            ..Reaction::default()
        }
    }

    /// Time of the next advertisement.
    pub(super) const fn advert_at(&self) -> Instant {
        self.advert_at
    }

    /// Time of the last advertisement and the interval in it.
    pub(super) const fn last_word(&self) -> (Instant, AdvertInterval) {
        (self.sent_at, self.told)
    }

    /// Records the sender of an advertisement, whatever its priority.
    pub(super) const fn record_source(&mut self, source: IpAddr) {
        if source.is_ipv4() {
            self.losing = None;
        }
    }

    /// Whether it yields to a router of equal priority with a greater address. In an instance of
    /// both families IPv4 decides: of two hosts each may have the greater address in one family,
    /// and then both would yield. A tie in IPv6 is lost only to a router that has advertised over
    /// IPv6 alone for Active_Down_Interval.
    pub(super) fn yields_to_equal(
        &mut self,
        now: Instant,
        source: IpAddr,
        interval: AdvertInterval,
        settings: &Settings,
    ) -> bool {
        if !settings.is_dual() || source.is_ipv4() {
            return true;
        }
        let wait = down_interval(settings, interval);
        // After a silence of this length the sender is another router or has restarted, and may
        // advertise over IPv4 too: the series starts again.
        let goes_on = |(_, last): &(Instant, Instant)| now.since(*last) < wait;
        let (since, _) = self.losing.filter(goes_on).unwrap_or((now, now));
        self.losing = Some((since, now));
        now.since(since) >= wait
    }

    /// Answers a resignation of another router: a backup that received it takes over after its skew
    /// time unless it receives an advertisement of this master before.
    pub(super) fn answer_resignation(
        &mut self,
        now: Instant,
        source: IpAddr,
        settings: &Settings,
    ) -> Reaction {
        self.contest.record_resignation(now, source, settings);
        let earliest = self.replied_at.map_or(now, |at| at + REPLY_SPACING);
        if now < earliest {
            // Delayed, not skipped, because the backups now wait for no more than their skew time.
            if earliest < self.advert_at {
                self.advert_at = earliest;
                self.replied_at = Some(earliest);
            }
            return Reaction::default();
        }
        // RFC 9568 6.4.3 MUST: priority 0 is answered at once, and Adver_Timer set again
        self.advert_at = now + settings.interval.duration();
        self.replied_at = Some(now);
        Reaction {
            send: self.advertise(now, settings),
            ..Reaction::default()
        }
    }

    /// Reacts to an advertisement of lower precedence: replies, so that its sender steps down, and
    /// announces the addresses, because the sender may have announced them too.
    pub(super) fn assert_mastership(
        &mut self,
        now: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) -> Reaction {
        let is_new = now.since(self.since) < LAST_WORD;
        if !(is_new && self.has_displaced) {
            self.contest
                .record(now, source, advert.priority, advert.interval, settings);
        }
        let mut reaction = Reaction {
            second_master: !is_new,
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
            reaction.send = self.advertise(now, settings);
        }
        reaction.announce = self.correct_neighbours(now, settings);
        reaction
    }

    /// Corrects the neighbours after another master may have announced the addresses. Returns whether to
    /// announce them now. Within
    /// [`ANNOUNCE_SPACING`] of the last announcement they are announced at its end.
    pub(super) fn correct_neighbours(&mut self, now: Instant, settings: &Settings) -> bool {
        if !settings.announce.on_lower_priority {
            return false;
        }
        let earliest = self.announced_at + ANNOUNCE_SPACING;
        if now < earliest {
            // Delayed, not skipped: the other master may have announced them since.
            self.correct_at = Some(earliest);
            return false;
        }
        self.announced(now);
        true
    }

    /// Corrects the neighbours after a claim of a host that is no router, unless that was done within
    /// [`DEFENCE_SPACING`]. Returns whether to announce the addresses now.
    pub(super) fn defend(&mut self, now: Instant, settings: &Settings) -> bool {
        let last = self.defended_at;
        let is_recent = last.is_some_and(|last| now < last + DEFENCE_SPACING);
        // Otherwise a claim that was not answered would keep a later one, after a reload, from being answered.
        if is_recent || !settings.announce.on_lower_priority {
            return false;
        }
        self.defended_at = Some(now);
        self.correct_neighbours(now, settings)
    }

    /// Whether another master is present.
    pub(super) fn is_contested(&self) -> bool {
        self.contest.is_open()
    }

    /// Whether no other master is present, and none was displaced a moment ago.
    pub(super) fn is_alone(&self, now: Instant) -> bool {
        now.since(self.since) >= LAST_WORD && !self.is_contested()
    }

    /// Records that the end of a contest was reported for this router.
    pub(super) const fn report_contest(&mut self, now: Instant) {
        self.contest.report(now);
    }

    /// Time at which the end of a contest is reported. A disconnected router does not notice it.
    fn contest_over_at(&self) -> Option<Instant> {
        self.contest.over_at().filter(|_| !self.is_away)
    }

    /// Time of the next announcement.
    fn announcement(&self) -> Option<Instant> {
        [self.announce_at, self.correct_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time of the next announcement after `now` by the settings: the second one, or a repeated
    /// one.
    fn next_announcement(&self, now: Instant, settings: &Settings) -> Option<Instant> {
        let Announcements { delay, refresh, .. } = settings.announce;
        let second = (!delay.is_zero()).then_some(self.arrived_at + delay);
        let refreshed = (!refresh.is_zero()).then(|| next_due(self.arrived_at, refresh, now));
        let to_come = second.filter(|at| *at > now);
        [to_come, refreshed].into_iter().flatten().min()
    }

    /// Records an announcement. It also replaces a delayed one.
    const fn announced(&mut self, now: Instant) {
        self.announced_at = now;
        self.correct_at = None;
    }

    /// Advertises, or delays the advertisement during a disconnection.
    fn advertise(&mut self, now: Instant, settings: &Settings) -> Option<Send> {
        if self.is_away {
            self.missed = true;
            return None;
        }
        self.sent_at = now;
        self.told = settings.interval;
        Some(Send::Advert)
    }
}
