//! What a backup knows of the masters that it hears, and when it takes over.
//!
//! An instance of both families is run as two routers of the protocol that move together: it hears
//! in each family for itself, and takes over when nobody is left in either.

use core::net::IpAddr;

use super::{Settings, down_interval, skew};
use crate::border::Cause;
use crate::time::Instant;
use crate::types::AdvertInterval;
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

impl Backup {
    /// Begins to listen, knowing of nobody.
    pub(super) fn listen(now: Instant, settings: &Settings) -> Self {
        let leg = Leg::listen(now, settings);
        Self {
            ipv6: settings.dual.then(|| leg.clone()),
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
        backup
            .leg_mut(source)
            .obey(heard_at, advert, source, settings);
        backup
    }

    /// Takes note of an advertisement, whose family is that of its `source`.
    pub(super) fn hear(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) {
        // RFC 9568 6.1 MUST: the owner preempts whatever Preempt_Mode says
        let preempts = settings.preempt || settings.priority.is_owner();
        let leg = self.leg_mut(source);
        if advert.resigns() {
            // RFC 9568 6.4.2 MUST: priority 0 sets Active_Down_Timer to Skew_Time
            leg.down_at = heard_at + skew(settings, leg.interval);
            leg.last = Some(Heard {
                from: source,
                priority: 0,
                obeyed: true,
            });
        } else if advert.priority >= settings.priority.get() || !preempts {
            // RFC 9568 6.4.2 MUST: no lower priority: take its interval, wait in full
            // RFC 9568 6.4.2 MUST: without Preempt_Mode: take any interval, wait in full
            leg.obey(heard_at, advert, source, settings);
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

    /// When it takes over unless a master is heard: when nobody is left in any family. Who was never
    /// heard in one counts there from the start.
    pub(super) fn down_at(&self) -> Instant {
        let ipv6 = self.ipv6.as_ref().map(|leg| leg.down_at);
        self.leg.down_at.max(ipv6.unwrap_or(Instant::ZERO))
    }

    /// Whether it slept through its own deadline by an interval. Then it has slept through
    /// advertisements too, and their absence proves nothing.
    pub(super) fn has_overslept(&self, now: Instant) -> bool {
        now.since(self.down_at()) > self.leading().interval.duration()
    }

    /// Waits in full once more for those that it knows.
    pub(super) fn wait_anew(&mut self, now: Instant, settings: &Settings) {
        for leg in self.legs_mut() {
            leg.down_at = now + down_interval(settings, leg.interval);
        }
    }

    /// Why it takes over.
    pub(super) fn cause(&self, now: Instant, settings: &Settings) -> Cause {
        let leg = self.leading();
        match leg.last {
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
                lasted: now.since(leg.heard_at),
            },
        }
    }

    /// The master that it listens to and its priority.
    pub(super) fn heard(&self) -> Option<(IpAddr, u8)> {
        let heard = self.leading().last?;
        Some((heard.from, heard.priority))
    }

    /// Goes on with addresses of both families, or of one. What it knows of a family stays; in one
    /// that is new it begins to listen.
    pub(super) fn set_dual(&mut self, now: Instant, settings: &Settings) {
        match (self.ipv6.take(), settings.dual) {
            (Some(ipv6), true) => self.ipv6 = Some(ipv6),
            (None, false) => {}
            (None, true) => {
                let mut ipv6 = Leg::listen(now, settings);
                if self.leg.last.is_some_and(|heard| heard.from.is_ipv6()) {
                    core::mem::swap(&mut self.leg, &mut ipv6);
                }
                self.ipv6 = Some(ipv6);
            }
            // Which one is left shows who is heard from now on: the longer wait suits both.
            (Some(ipv6), false) if ipv6.down_at > self.leg.down_at => self.leg = ipv6,
            (Some(_), false) => {}
        }
    }

    /// The leg of which the backup tells: the one that is waited for. A master of both families
    /// advertises in both at nearly the same time; then it is IPv4's, so that the answer does not
    /// depend on which packet came first.
    fn leading(&self) -> &Leg {
        match &self.ipv6 {
            Some(ipv6) if ipv6.outlasts(&self.leg) => ipv6,
            Some(_) | None => &self.leg,
        }
    }

    fn leg_mut(&mut self, source: IpAddr) -> &mut Leg {
        match &mut self.ipv6 {
            Some(ipv6) if source.is_ipv6() => ipv6,
            Some(_) | None => &mut self.leg,
        }
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
        }
    }

    fn obey(
        &mut self,
        heard_at: Instant,
        advert: &Advert<'_>,
        source: IpAddr,
        settings: &Settings,
    ) {
        self.interval = advert.interval;
        self.down_at = heard_at + down_interval(settings, advert.interval);
        self.heard_at = heard_at;
        self.last = Some(Heard {
            from: source,
            priority: advert.priority,
            obeyed: true,
        });
    }

    /// Whether a master was heard in this family and not in the `other`, or is waited for here longer
    /// than there, by an interval or more.
    fn outlasts(&self, other: &Self) -> bool {
        match (self.last, other.last) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(_), Some(_)) => self.down_at >= other.down_at + self.interval.duration(),
        }
    }
}
