//! A backup: the advertisements that it received, and the time of its take-over.
//!
//! An instance of both families is run as two routers of the protocol that change their state
//! together: it receives advertisements in each family separately, and takes over when no master is
//! left in either.

use core::net::IpAddr;
use core::time::Duration;

use super::{Families, HoldOff, Settings, down_interval, skew};
use crate::checkpoint::{HeardCheckpoint, LegCheckpoint};
use crate::reasons::Cause;
use crate::time::Instant;
use crate::types::{AdvertInterval, Family};
use crate::wire::Advert;

/// Sighting of another router: its last advertisement, from which a router that steps down starts
/// to follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) from: IpAddr,
    pub(crate) priority: u8,
    pub(crate) interval: AdvertInterval,
    /// Arrival of the advertisement.
    pub(crate) at: Instant,
}

impl Sighting {
    /// Sighting of the sender `from` of an advertisement that arrived at `at`.
    pub(crate) const fn new(at: Instant, advert: &Advert<'_>, from: IpAddr) -> Self {
        Self {
            from,
            priority: advert.priority,
            interval: advert.interval,
            at,
        }
    }
}

#[derive(Debug)]
pub(super) struct Backup {
    /// The only family, or IPv4 in an instance of both.
    leg: Leg,
    /// IPv6 in an instance of both families.
    ipv6: Option<Leg>,
}

/// Received advertisements and timers of one family.
#[derive(Clone, Debug)]
struct Leg {
    /// Start of listening, or of the renewed wait after a late wake-up or a time without a link. What
    /// arrived earlier counts from here: later advertisements may have been dropped from a full queue
    /// while the host was suspended.
    listening_since: Instant,
    /// Active_Down_Timer: without further advertisements no master is left in this family then.
    down_at: Instant,
    /// Start of the present silence: arrival of the last advertisement that restarted the timer, or
    /// start of the router.
    heard_at: Instant,
    /// Active_Adver_Interval: advertisement interval of the master.
    interval: AdvertInterval,
    /// Last recorded sender, followed or not.
    last: Option<Heard>,
    /// Preempt delay, while a master of lower priority is tolerated.
    preempt_delay: Option<PreemptDelay>,
    /// Time since which the wire is watched because of the present silence.
    watched_at: Option<Instant>,
}

/// Preempt delay for a master of lower priority.
#[derive(Clone, Copy, Debug)]
struct PreemptDelay {
    /// Start of the delay: the time since when the master could be preempted.
    since: Instant,
    /// Time of the preemption without a delay. Until then Active_Down_Timer is not shortened,
    /// because it was set for another master.
    undelayed: Instant,
}

/// Sender of an advertisement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) from: IpAddr,
    /// Advertised priority; 0 after a resignation.
    pub(crate) priority: u8,
    /// Whether the backup follows it: its priority is not lower than this router's.
    followed: bool,
    /// Arrival of the first of its advertisements that no other router interrupted.
    pub(crate) since: Instant,
}

impl Backup {
    /// Starts listening, without a known master.
    pub(super) fn listen(now: Instant, settings: &Settings) -> Self {
        let leg = Leg::listen(now, settings);
        Self {
            ipv6: settings.is_dual().then(|| leg.clone()),
            leg,
        }
    }

    /// Starts listening for one interval and the skew instead of three intervals and the skew.
    pub(super) fn listen_briefly(now: Instant, settings: &Settings) -> Self {
        let mut backup = Self::listen(now, settings);
        for leg in backup.legs_mut() {
            leg.down_at = now + leg.interval.duration() + skew(settings, leg.interval);
        }
        backup
    }

    /// The timers of each family, for a later process.
    pub(super) fn save(&self, settings: &Settings) -> Vec<LegCheckpoint> {
        let families = [settings.families.first(), Family::V6];
        let legs = self
            .legs()
            .zip(families)
            .map(|(leg, family)| leg.save(family));
        legs.collect()
    }

    /// Continues with what [`save`](Self::save) returned; a family that is new in `settings` starts
    /// listening. No packet was received since `deaf_since`: after more than an interval of the master its
    /// advertisements were missed, and the timer is restarted. Returns whether it was.
    pub(super) fn restore(
        now: Instant,
        deaf_since: Instant,
        saved: &[LegCheckpoint],
        settings: &Settings,
    ) -> (Self, bool) {
        let mut backup = Self::listen(now, settings);
        let mut is_late = false;
        for saved in saved
            .iter()
            .filter(|saved| settings.families.has(saved.family))
        {
            let leg = backup.leg_mut(saved.family);
            *leg = Leg::restore(saved, settings);
            is_late |= now.since(deaf_since) > leg.interval.duration();
        }
        if is_late {
            backup.restart_timer(now, settings);
        }
        (backup, is_late)
    }

    /// Follows the master that sent `advert`, which arrived at `heard_at`.
    pub(super) fn follow(
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) -> Self {
        let mut backup = Self::listen(heard_at, settings);
        backup.follow_sighting(&Sighting::new(heard_at, advert, source), settings);
        backup
    }

    /// Follows a router in the family of its address.
    pub(super) fn follow_sighting(&mut self, sighting: &Sighting, settings: &Settings) {
        self.leg_mut(Family::of(sighting.from))
            .follow(sighting, settings);
    }

    /// Records an advertisement in the family of its `source`.
    pub(super) fn record(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) {
        let leg = self.leg_mut(Family::of(source));
        let heard_at = heard_at.max(leg.listening_since);
        if advert.resigns() {
            // RFC 9568 6.4.2 MUST: priority 0 sets Active_Down_Timer to Skew_Time
            leg.down_at = heard_at + skew(settings, leg.interval);
            leg.set_last(heard_at, source, 0, true);
        } else if advert.priority >= settings.priority.get() || !settings.preempts() {
            // RFC 9568 6.4.2 MUST: equal or greater priority: take its interval, set Active_Down_Timer
            // RFC 9568 6.4.2 MUST: without Preempt_Mode: take any interval, set Active_Down_Timer
            leg.follow(&Sighting::new(heard_at, advert, source), settings);
        } else if settings.delays_preemption() {
            leg.tolerate(heard_at, advert, source, settings);
        } else {
            // RFC 9568 6.4.2 MUST: discard a lower priority, in Preempt_Mode
            // The followed master stays recorded when a third router of lower priority advertises.
            let followed = leg.last.filter(|last| last.followed);
            if followed.is_none_or(|last| last.from == source) {
                if followed.is_some_and(|last| last.priority > 0) {
                    // Its priority fell below this router's: it gives way, as by a resignation. The RFC
                    // lets Active_Down_Timer run out.
                    leg.down_at = leg.down_at.min(heard_at + skew(settings, leg.interval));
                }
                leg.set_last(heard_at, source, advert.priority, false);
            }
        }
    }

    /// Time of the take-over without further advertisements: when no master is left in either
    /// family, but not before `held_until`. In a family without any advertisement the timer counts from
    /// the start.
    pub(super) fn take_over_at(&self, settings: &Settings, held_until: Instant) -> Instant {
        let at = self
            .legs()
            .map(|leg| leg.over_at(settings))
            .fold(Instant::ZERO, Instant::max);
        if settings.priority.is_owner() {
            at
        } else {
            at.max(held_until)
        }
    }

    /// Time at which no master is left in a family.
    pub(super) fn over_at(&self, settings: &Settings, family: Family) -> Instant {
        self.leg(family).over_at(settings)
    }

    /// Advertisement interval of the awaited master.
    pub(super) fn interval(&self, settings: &Settings) -> Duration {
        self.leading(settings).interval.duration()
    }

    /// Restarts Active_Down_Timer in full, with the interval of the known master.
    pub(super) fn restart_timer(&mut self, now: Instant, settings: &Settings) {
        for leg in self.legs_mut() {
            leg.listening_since = now;
            leg.down_at = now + down_interval(settings, leg.interval);
            if let Some(preempt_delay) = &mut leg.preempt_delay {
                preempt_delay.undelayed = leg.down_at;
            }
        }
    }

    /// Time at which the wire is to be watched in a family in which it is not.
    pub(super) fn watch_at(&self) -> Option<Instant> {
        self.legs().filter_map(Leg::watch_at).min()
    }

    /// Begins to watch the wire in the families in which it is time. Returns whether there are any.
    pub(super) fn watch(&mut self, now: Instant) -> bool {
        let mut any = false;
        for leg in self.legs_mut() {
            if leg.watch_at().is_some_and(|at| at <= now) {
                leg.watched_at = Some(now);
                any = true;
            }
        }
        any
    }

    /// Stops watching the wire, until it is time again.
    pub(super) fn end_watch(&mut self) {
        for leg in self.legs_mut() {
            leg.watched_at = None;
        }
    }

    /// Whether the wire is watched.
    pub(super) fn is_watching(&self) -> bool {
        self.legs().any(|leg| leg.watched_at.is_some())
    }

    /// Extends the wait in the silent families of `which` whose wire was not watched for an interval
    /// of the master, because the host was not scheduled: the master may be alive, and its
    /// advertisements dropped by this host. Returns whether there are any.
    pub(super) fn watch_longer(
        &mut self,
        now: Instant,
        settings: &Settings,
        which: impl Fn(Family) -> bool,
    ) -> bool {
        let first = settings.families.first();
        let mut any = false;
        for (leg, family) in self.legs_mut().zip([first, Family::V6]) {
            let interval = leg.interval.duration();
            let is_watched = leg.watched_at.is_some_and(|at| at + interval <= now);
            if which(family) && leg.is_silent(now, settings) && !is_watched {
                leg.watched_at.get_or_insert(now);
                leg.down_at = now + interval + skew(settings, leg.interval);
                if let Some(preempt_delay) = &mut leg.preempt_delay {
                    preempt_delay.undelayed = leg.down_at;
                }
                any = true;
            }
        }
        any
    }

    /// Whether `heard_at` belongs to a later advertisement than the one that restarted the timer last in the
    /// family of `source`. The times of arrival at two sockets are converted to the same clock one after the
    /// other and differ by the time in which this thread did not run: less than a quarter of an interval
    /// apart it may be the same advertisement.
    pub(super) fn is_later_than_heard(&self, heard_at: Instant, source: IpAddr) -> bool {
        let leg = self.leg(Family::of(source));
        let margin = match leg.last {
            Some(_) => leg.interval.duration() / 4,
            // The wait began with `listen`, not with an advertisement.
            None => Duration::ZERO,
        };
        heard_at > leg.heard_at + margin
    }

    /// Records an advertisement that arrived at the interface and never at the socket. The wire
    /// stays watched.
    pub(super) fn record_witnessed(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) {
        let family = Family::of(source);
        let watched_at = self.leg(family).watched_at;
        self.record(heard_at, advert, source, settings);
        self.leg_mut(family).watched_at = watched_at;
    }

    /// Cause of a take-over now, because of `family` if that decides alone.
    pub(super) fn cause(&self, now: Instant, settings: &Settings, family: Option<Family>) -> Cause {
        let leg = family.map_or_else(|| self.leading(settings), |family| self.leg(family));
        match leg.last {
            Some(Heard {
                from, priority: 0, ..
            }) => Cause::Resigned { master: from },
            Some(Heard {
                from,
                priority,
                followed: false,
                ..
            }) if !leg.lost_its_master(now, settings) => Cause::Preempted {
                master: from,
                theirs: priority,
                ours: settings.priority.get(),
                waited: leg.preempt_delay.map_or(Duration::ZERO, |preempt_delay| {
                    now.since(preempt_delay.since)
                }),
            },
            last => Cause::Silence {
                master: last.map(|heard| heard.from),
                lasted: now.since(leg.heard_at),
            },
        }
    }

    /// The master.
    pub(super) fn heard(&self, settings: &Settings) -> Option<Heard> {
        self.leading(settings).last
    }

    /// Reason why a master of lower priority is not preempted now, with the remaining time of a
    /// preempt delay.
    pub(super) fn hold_off(&self, now: Instant, settings: &Settings) -> Option<HoldOff> {
        let leg = self.leading(settings);
        let heard = leg.last.filter(|heard| heard.priority > 0)?;
        let (theirs, ours) = (heard.priority, settings.priority.get());
        let master = heard.from;
        if settings.unsent {
            return (theirs < ours).then_some(HoldOff::Unsent {
                master,
                theirs,
                ours,
            });
        }
        if !settings.preempts() {
            return (theirs < ours).then_some(HoldOff::NoPreemption {
                master,
                theirs,
                ours,
            });
        }
        let at = leg.preempts_at(settings)?;
        (now < at).then(|| HoldOff::Preemption {
            master,
            theirs,
            ours,
            left: at.since(now),
        })
    }

    /// Changes the families from `before` to those of `settings`. The state of a remaining family
    /// is kept; a new one starts listening.
    pub(super) fn set_families(&mut self, now: Instant, before: Families, settings: &Settings) {
        match (before, settings.families) {
            (Families::Ipv4, Families::Ipv4)
            | (Families::Ipv6, Families::Ipv6)
            | (Families::Both, Families::Both) => {}
            (Families::Ipv4, Families::Both) => self.ipv6 = Some(Leg::listen(now, settings)),
            (Families::Ipv6, Families::Both) => {
                let ipv6 = core::mem::replace(&mut self.leg, Leg::listen(now, settings));
                self.ipv6 = Some(ipv6);
            }
            (Families::Both, Families::Ipv4) => self.ipv6 = None,
            (Families::Both, Families::Ipv6) => {
                if let Some(ipv6) = self.ipv6.take() {
                    self.leg = ipv6;
                }
            }
            (Families::Ipv4, Families::Ipv6) | (Families::Ipv6, Families::Ipv4) => {
                *self = Self::listen(now, settings);
            }
        }
    }

    /// The family that determines status and cause: the one that is awaited longer. A master of
    /// both families advertises in both at nearly the same time; then IPv4 is chosen, so that the
    /// result does not depend on the order of the two packets.
    fn leading(&self, settings: &Settings) -> &Leg {
        match &self.ipv6 {
            Some(ipv6) if ipv6.outlasts(&self.leg, settings) => ipv6,
            Some(_) | None => &self.leg,
        }
    }

    fn leg(&self, family: Family) -> &Leg {
        match (&self.ipv6, family) {
            (Some(ipv6), Family::V6) => ipv6,
            (Some(_), Family::V4) | (None, _) => &self.leg,
        }
    }

    fn leg_mut(&mut self, family: Family) -> &mut Leg {
        match (&mut self.ipv6, family) {
            (Some(ipv6), Family::V6) => ipv6,
            (Some(_), Family::V4) | (None, _) => &mut self.leg,
        }
    }

    fn legs(&self) -> impl Iterator<Item = &Leg> {
        core::iter::once(&self.leg).chain(&self.ipv6)
    }

    fn legs_mut(&mut self) -> impl Iterator<Item = &mut Leg> {
        core::iter::once(&mut self.leg).chain(&mut self.ipv6)
    }
}

impl Leg {
    fn listen(now: Instant, settings: &Settings) -> Self {
        let interval = settings.interval;
        Self {
            listening_since: now,
            down_at: now + down_interval(settings, interval),
            heard_at: now,
            interval,
            last: None,
            preempt_delay: None,
            watched_at: None,
        }
    }

    fn save(&self, family: Family) -> LegCheckpoint {
        LegCheckpoint {
            family,
            listening_since: self.listening_since,
            down_at: self.down_at,
            heard_at: self.heard_at,
            interval: self.interval.centiseconds(),
            last: self.last.map(|last| HeardCheckpoint {
                from: last.from,
                priority: last.priority,
                followed: last.followed,
                since: last.since,
            }),
            preempt_delay: self
                .preempt_delay
                .map(|preempt_delay| (preempt_delay.since, preempt_delay.undelayed)),
        }
    }

    fn restore(saved: &LegCheckpoint, settings: &Settings) -> Self {
        Self {
            listening_since: saved.listening_since,
            down_at: saved.down_at,
            heard_at: saved.heard_at,
            interval: AdvertInterval::restore(saved.interval).unwrap_or(settings.interval),
            last: saved.last.map(|last| Heard {
                from: last.from,
                priority: last.priority,
                followed: last.followed,
                since: last.since,
            }),
            preempt_delay: saved
                .preempt_delay
                .map(|(since, undelayed)| PreemptDelay { since, undelayed }),
            // The packet socket has closed, and what it had recorded is lost: it watches anew.
            watched_at: None,
        }
    }

    fn follow(&mut self, sighting: &Sighting, settings: &Settings) {
        self.interval = sighting.interval;
        self.down_at = sighting.at + down_interval(settings, sighting.interval);
        self.heard_at = sighting.at;
        self.set_last(sighting.at, sighting.from, sighting.priority, true);
        self.preempt_delay = None;
        self.watched_at = None;
    }

    fn set_last(&mut self, at: Instant, from: IpAddr, priority: u8, followed: bool) {
        let known = self.last.filter(|last| last.from == from);
        self.last = Some(Heard {
            from,
            priority,
            followed,
            since: known.map_or(at, |known| known.since),
        });
    }

    /// Tolerates a master of lower priority during the preempt delay. Meanwhile it is treated like
    /// any master: the router takes over after its silence or its resignation.
    fn tolerate(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) {
        // After a followed master that lowered its priority the delay starts now, else with the silence.
        let since = match self.last {
            Some(Heard { followed: true, .. }) => heard_at,
            Some(_) | None => self.heard_at,
        };
        let preempt_delay = *self.preempt_delay.get_or_insert(PreemptDelay {
            since,
            undelayed: self.down_at,
        });
        self.interval = advert.interval;
        self.down_at = preempt_delay
            .undelayed
            .max(heard_at + down_interval(settings, advert.interval));
        self.heard_at = heard_at;
        self.set_last(heard_at, source, advert.priority, false);
        self.watched_at = None;
    }

    /// Time at which no master is left in this family: end of Active_Down_Timer or preemption.
    fn over_at(&self, settings: &Settings) -> Instant {
        let preempts_at = self.preempts_at(settings);
        preempts_at.map_or(self.down_at, |at| at.min(self.down_at))
    }

    /// Time at which the tolerated master is preempted, if it still has a lower priority.
    fn preempts_at(&self, settings: &Settings) -> Option<Instant> {
        let (preempt_delay, last) = (self.preempt_delay?, self.last?);
        let is_lower = !last.followed && last.priority < settings.priority.get();
        (is_lower && settings.preempts()).then(|| {
            let delayed = preempt_delay.since + settings.preempt_delay;
            preempt_delay.undelayed.max(delayed)
        })
    }

    /// Whether the tolerated master is silent for longer than Active_Down_Interval.
    fn lost_its_master(&self, now: Instant, settings: &Settings) -> bool {
        self.preempt_delay.is_some()
            && self.heard_at + down_interval(settings, self.interval) <= now
    }

    /// Time at which the wire is to be watched, unless it is. A living master's advertisement is a
    /// quarter of an interval overdue then, and three quarters are left for a late wake-up: see
    /// [`Backup::watch_longer`].
    fn watch_at(&self) -> Option<Instant> {
        let is_to_watch = self.watched_at.is_none() && !self.has_resigned();
        is_to_watch.then(|| self.down_at - self.interval.duration() * 7 / 4)
    }

    /// Whether the last sender resigned.
    fn has_resigned(&self) -> bool {
        self.last.is_some_and(|last| last.priority == 0)
    }

    /// Whether the wait ends by silence, and not by a resignation or a preemption.
    fn is_silent(&self, now: Instant, settings: &Settings) -> bool {
        match self.last {
            Some(_) if self.has_resigned() => false,
            Some(last) => last.followed || self.lost_its_master(now, settings),
            None => true,
        }
    }

    /// Whether this family determines status and cause: an advertisement was received in this
    /// family and none in the `other`, or a master is awaited here for longer than there, by an
    /// interval or more.
    fn outlasts(&self, other: &Self, settings: &Settings) -> bool {
        match (self.last, other.last) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(_), Some(_)) => {
                let (here, there) = (self.over_at(settings), other.over_at(settings));
                here >= there + self.interval.duration()
            }
        }
    }
}
