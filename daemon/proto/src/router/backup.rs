//! What a backup knows of the masters that it hears, and when it takes over.
//!
//! An instance of both families is run as two routers of the protocol that move together: it hears
//! in each family for itself, and takes over when nobody is left in either.

use core::net::IpAddr;
use core::time::Duration;

use super::member::Voice;
use super::{Families, Patience, Settings, down_interval, skew};
use crate::border::Cause;
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
    respite: Option<Respite>,
}

/// The time for which a master of lower priority is left in peace.
#[derive(Clone, Copy, Debug)]
struct Respite {
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
    obeyed: bool,
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
    pub(super) fn obey(
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) -> Self {
        let mut backup = Self::listen(heard_at, settings);
        backup.obey_voice(&voice(heard_at, advert, source), settings);
        backup
    }

    /// Obeys somebody in the family that it speaks.
    pub(super) fn obey_voice(&mut self, voice: &Voice, settings: &Settings) {
        self.leg_mut(voice.from).obey(voice, settings);
    }

    /// Takes note of an advertisement, whose family is that of its `source`.
    pub(super) fn hear(
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
                obeyed: true,
            });
        } else if advert.priority >= settings.priority.get() || !settings.preempts() {
            // RFC 9568 6.4.2 MUST: no lower priority: take its interval, wait in full
            // RFC 9568 6.4.2 MUST: without Preempt_Mode: take any interval, wait in full
            leg.obey(&voice(heard_at, advert, source), settings);
        } else if settings.delays_preemption() {
            leg.bear(heard_at, advert, source, settings);
        } else {
            // RFC 9568 6.4.2 MUST: discard a lower priority, in Preempt_Mode
            // Whoever is obeyed is not forgotten because of a third one.
            let obeyed = leg.last.filter(|last| last.obeyed);
            if obeyed.is_none_or(|last| last.from == source) {
                leg.last = Some(Heard {
                    from: source,
                    priority: advert.priority,
                    obeyed: false,
                });
            }
        }
    }

    /// When it takes over unless a master is heard: when nobody is left in any family, but not before
    /// `quiet_until`. Who was never heard in a family counts there from the start.
    pub(super) fn take_over_at(&self, settings: &Settings, quiet_until: Instant) -> Instant {
        let at = self
            .legs()
            .map(|leg| leg.over_at(settings))
            .fold(Instant::ZERO, Instant::max);
        if settings.priority.is_owner() {
            at
        } else {
            at.max(quiet_until)
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
    pub(super) fn wait_anew(&mut self, now: Instant, settings: &Settings) {
        for leg in self.legs_mut() {
            leg.down_at = now + down_interval(settings, leg.interval);
            if let Some(respite) = &mut leg.respite {
                respite.undelayed = leg.down_at;
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
                obeyed: false,
            }) if !leg.lost_its_master(now, settings) => Cause::Preempted {
                master: from,
                theirs: priority,
                ours: settings.priority.get(),
                waited: leg
                    .respite
                    .map_or(Duration::ZERO, |respite| now.since(respite.since)),
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
    pub(super) fn patience(&self, now: Instant, settings: &Settings) -> Option<Patience> {
        let leg = self.leading(settings);
        let (heard, at) = (leg.last?, leg.preempts_at(settings)?);
        (now < at).then(|| Patience::Preemption {
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
            respite: None,
        }
    }

    fn obey(&mut self, voice: &Voice, settings: &Settings) {
        self.interval = voice.interval;
        self.down_at = voice.at + down_interval(settings, voice.interval);
        self.heard_at = voice.at;
        self.last = Some(Heard {
            from: voice.from,
            priority: voice.priority,
            obeyed: true,
        });
        self.respite = None;
    }

    /// Leaves a master of lower priority in peace for a time. Meanwhile it is waited for as any
    /// other: its silence and its resignation are noticed.
    fn bear(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) {
        let since = match self.last {
            Some(Heard { obeyed: true, .. }) => heard_at,
            Some(_) | None => self.heard_at,
        };
        let respite = *self.respite.get_or_insert(Respite {
            since,
            undelayed: self.down_at,
        });
        self.interval = advert.interval;
        self.down_at = respite
            .undelayed
            .max(heard_at + down_interval(settings, advert.interval));
        self.heard_at = heard_at;
        self.last = Some(Heard {
            from: source,
            priority: advert.priority,
            obeyed: false,
        });
    }

    /// When nobody stands in the way in this family.
    fn over_at(&self, settings: &Settings) -> Instant {
        let preempts_at = self.preempts_at(settings);
        preempts_at.map_or(self.down_at, |at| at.min(self.down_at))
    }

    /// When the master that it leaves in peace is preempted, if it is still of lower priority.
    fn preempts_at(&self, settings: &Settings) -> Option<Instant> {
        let (respite, last) = (self.respite?, self.last?);
        let is_lower = !last.obeyed && last.priority < settings.priority.get();
        (is_lower && settings.preempts()).then(|| {
            let delayed = respite.since + settings.preempt_delay;
            respite.undelayed.max(delayed)
        })
    }

    /// Whether the master that it left in peace is silent.
    fn lost_its_master(&self, now: Instant, settings: &Settings) -> bool {
        self.respite.is_some() && self.heard_at + down_interval(settings, self.interval) <= now
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

const fn voice(at: Instant, advert: &Advert<'_>, from: IpAddr) -> Voice {
    Voice {
        from,
        priority: advert.priority,
        interval: advert.interval,
        at,
    }
}
