//! What a backup knows of the masters that it hears, and when it takes over.
//!
//! An instance of both families is run as two routers of the protocol that move together: it hears
//! in each family for itself, and takes over when nobody is left in either.

use core::net::IpAddr;
use core::time::Duration;

use super::member::Sighting;
use super::{Families, HoldOff, Settings, down_interval, skew};
use crate::reasons::Cause;
use crate::time::Instant;
use crate::types::{AdvertInterval, Family};
use crate::wire::Advert;

#[derive(Debug)]
pub(super) struct Backup {
    /// Of the only family, or of IPv4 in an instance of both.
    leg: Leg,
    /// Of IPv6 in an instance of both.
    ipv6: Option<Leg>,
}

/// What is heard in one family.
#[derive(Clone, Debug)]
struct Leg {
    /// When nobody is left in this family unless a master is heard: Active_Down_Timer.
    down_at: Instant,
    /// Since when there is silence: the last advertisement that counted, or the start.
    heard_at: Instant,
    /// The interval of the master: Active_Adver_Interval.
    interval: AdvertInterval,
    /// The last one that advertised, obeyed or not.
    last: Option<Heard>,
    /// While a master of lower priority is left in peace.
    preempt_delay: Option<PreemptDelay>,
}

/// The time for which a master of lower priority is left in peace.
#[derive(Clone, Copy, Debug)]
struct PreemptDelay {
    /// Since when it could be preempted.
    since: Instant,
    /// When it would be preempted without a delay. No silence of its counts before, because it was
    /// not the one that was waited for.
    undelayed: Instant,
}

/// Somebody who advertised.
#[derive(Clone, Copy, Debug)]
struct Heard {
    from: IpAddr,
    /// 0 after a resignation.
    priority: u8,
    /// Whether its advertisement was obeyed: its priority is not below ours.
    followed: bool,
}

impl Backup {
    /// Begins to listen, knowing of nobody.
    pub(super) fn listen(now: Instant, settings: &Settings) -> Self {
        let leg = Leg::listen(now, settings);
        Self {
            ipv6: settings.is_dual().then(|| leg.clone()),
            leg,
        }
    }

    /// Begins to listen for one interval and the skew instead of three.
    pub(super) fn listen_briefly(now: Instant, settings: &Settings) -> Self {
        let mut backup = Self::listen(now, settings);
        for leg in backup.legs_mut() {
            leg.down_at = now + leg.interval.duration() + skew(settings, leg.interval);
        }
        backup
    }

    /// Obeys the master that sent `advert`, which arrived at `heard_at`.
    pub(super) fn follow(
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) -> Self {
        let mut backup = Self::listen(heard_at, settings);
        backup.follow_sighting(&sighting(heard_at, advert, source), settings);
        backup
    }

    /// Obeys somebody in the family that it speaks.
    pub(super) fn follow_sighting(&mut self, sighting: &Sighting, settings: &Settings) {
        self.leg_mut(sighting.from).follow(sighting, settings);
    }

    /// Takes note of an advertisement, whose family is that of its `source`.
    pub(super) fn record(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) {
        let leg = self.leg_mut(source);
        if advert.resigns() {
            // RFC 9568 6.4.2 MUST: priority 0 sets Active_Down_Timer to Skew_Time
            leg.down_at = heard_at + skew(settings, leg.interval);
            leg.last = Some(Heard {
                from: source,
                priority: 0,
                followed: true,
            });
        } else if advert.priority >= settings.priority.get() || !settings.preempts() {
            // RFC 9568 6.4.2 MUST: no lower priority: take its interval, wait in full
            // RFC 9568 6.4.2 MUST: without Preempt_Mode: take any interval, wait in full
            leg.follow(&sighting(heard_at, advert, source), settings);
        } else if settings.delays_preemption() {
            leg.tolerate(heard_at, advert, source, settings);
        } else {
            // RFC 9568 6.4.2 MUST: discard a lower priority, in Preempt_Mode
            // Whoever is obeyed is not forgotten because of a third one.
            let followed = leg.last.filter(|last| last.followed);
            if followed.is_none_or(|last| last.from == source) {
                leg.last = Some(Heard {
                    from: source,
                    priority: advert.priority,
                    followed: false,
                });
            }
        }
    }

    /// When it takes over unless a master is heard: when nobody is left in any family, but not before
    /// `startup_until`. Who was never heard in a family counts there from the start.
    pub(super) fn take_over_at(&self, settings: &Settings, startup_until: Instant) -> Instant {
        let at = self
            .legs()
            .map(|leg| leg.over_at(settings))
            .fold(Instant::ZERO, Instant::max);
        if settings.priority.is_owner() {
            at
        } else {
            at.max(startup_until)
        }
    }

    /// When nobody is left in a family that it speaks.
    pub(super) fn over_at(&self, settings: &Settings, family: Family) -> Instant {
        let leg = match (&self.ipv6, family) {
            (Some(ipv6), Family::V6) => ipv6,
            (Some(_), Family::V4) | (None, _) => &self.leg,
        };
        leg.over_at(settings)
    }

    /// The interval of the master that is waited for.
    pub(super) fn interval(&self, settings: &Settings) -> Duration {
        self.leading(settings).interval.duration()
    }

    /// Waits in full once more for those that it knows.
    pub(super) fn restart_timer(&mut self, now: Instant, settings: &Settings) {
        for leg in self.legs_mut() {
            leg.down_at = now + down_interval(settings, leg.interval);
            if let Some(preempt_delay) = &mut leg.preempt_delay {
                preempt_delay.undelayed = leg.down_at;
            }
        }
    }

    /// Why it takes over.
    pub(super) fn cause(&self, now: Instant, settings: &Settings) -> Cause {
        let leg = self.leading(settings);
        match leg.last {
            Some(Heard {
                from, priority: 0, ..
            }) => Cause::Resigned { master: from },
            Some(Heard {
                from,
                priority,
                followed: false,
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

    /// The master that it listens to and its priority.
    pub(super) fn heard(&self, settings: &Settings) -> Option<(IpAddr, u8)> {
        let heard = self.leading(settings).last?;
        Some((heard.from, heard.priority))
    }

    /// The master of lower priority that it leaves in peace.
    pub(super) fn hold_off(&self, now: Instant, settings: &Settings) -> Option<HoldOff> {
        let leg = self.leading(settings);
        let (heard, at) = (leg.last?, leg.preempts_at(settings)?);
        (now < at).then(|| HoldOff::Preemption {
            master: heard.from,
            theirs: heard.priority,
            ours: settings.priority.get(),
            left: at.since(now),
        })
    }

    /// Goes on with other families than `before`. What it knows of a family that stays is kept; in
    /// one that is new it begins to listen.
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

    /// The leg of which the backup tells: the one that is waited for. A master of both families
    /// advertises in both at nearly the same time; then it is IPv4's, so that the answer does not
    /// depend on which packet came first.
    fn leading(&self, settings: &Settings) -> &Leg {
        match &self.ipv6 {
            Some(ipv6) if ipv6.outlasts(&self.leg, settings) => ipv6,
            Some(_) | None => &self.leg,
        }
    }

    fn leg_mut(&mut self, source: IpAddr) -> &mut Leg {
        match &mut self.ipv6 {
            Some(ipv6) if source.is_ipv6() => ipv6,
            Some(_) | None => &mut self.leg,
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
            down_at: now + down_interval(settings, interval),
            heard_at: now,
            interval,
            last: None,
            preempt_delay: None,
        }
    }

    fn follow(&mut self, sighting: &Sighting, settings: &Settings) {
        self.interval = sighting.interval;
        self.down_at = sighting.at + down_interval(settings, sighting.interval);
        self.heard_at = sighting.at;
        self.last = Some(Heard {
            from: sighting.from,
            priority: sighting.priority,
            followed: true,
        });
        self.preempt_delay = None;
    }

    /// Leaves a master of lower priority in peace for a time. Meanwhile it is waited for as any
    /// other: its silence and its resignation are noticed.
    fn tolerate(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) {
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
        self.last = Some(Heard {
            from: source,
            priority: advert.priority,
            followed: false,
        });
    }

    /// When nobody stands in the way in this family.
    fn over_at(&self, settings: &Settings) -> Instant {
        let preempts_at = self.preempts_at(settings);
        preempts_at.map_or(self.down_at, |at| at.min(self.down_at))
    }

    /// When the master that it leaves in peace is preempted, if it is still of lower priority.
    fn preempts_at(&self, settings: &Settings) -> Option<Instant> {
        let (preempt_delay, last) = (self.preempt_delay?, self.last?);
        let is_lower = !last.followed && last.priority < settings.priority.get();
        (is_lower && settings.preempts()).then(|| {
            let delayed = preempt_delay.since + settings.preempt_delay;
            preempt_delay.undelayed.max(delayed)
        })
    }

    /// Whether the master that it left in peace is silent.
    fn lost_its_master(&self, now: Instant, settings: &Settings) -> bool {
        self.preempt_delay.is_some()
            && self.heard_at + down_interval(settings, self.interval) <= now
    }

    /// Whether a master was heard in this family and not in the `other`, or is waited for here longer
    /// than there, by an interval or more.
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

const fn sighting(at: Instant, advert: &Advert<'_>, from: IpAddr) -> Sighting {
    Sighting {
        from,
        priority: advert.priority,
        interval: advert.interval,
        at,
    }
}
