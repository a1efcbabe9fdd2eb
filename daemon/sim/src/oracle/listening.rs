//! What a backup hears: in each family that it speaks for itself, because each is a router of its own
//! to the protocol.
//!
//! That an instance of both families takes over when nobody is left in either, and tells of the
//! family that it waited for, is no RFC's word; it is what was agreed on (docs/simulation.md).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Cause, Family, Instant};

use crate::foreign::skew;
use crate::host::{Datagram, Says};
use crate::scenario::RouterConfig;

/// What a backup hears.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    ears: BTreeMap<Family, Receiver>,
}

/// What it hears in one family.
#[derive(Clone, Debug)]
struct Receiver {
    down_at: Instant,
    heard_at: Instant,
    interval: Duration,
    last: Option<Heard>,
    /// Somebody of lower priority is left in peace: since when, and when it would have been
    /// preempted without a delay.
    in_peace: Option<(Instant, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    from: IpAddr,
    priority: u8,
    obeyed: bool,
}

impl Listening {
    /// Begins to listen in every family, for so many intervals and the skew.
    pub(super) fn begin(config: &RouterConfig, now: Instant, priority: u8, intervals: u32) -> Self {
        let ear = Receiver::begin(config, now, priority, intervals);
        Self {
            ears: config
                .spoken()
                .map(|family| (family, ear.clone()))
                .collect(),
        }
    }

    /// When it takes over unless somebody is heard: when nobody stands in the way in any family.
    pub(super) fn over_at(&self, config: &RouterConfig, priority: u8) -> Instant {
        let overs = self.ears.values().map(|ear| ear.over_at(config, priority));
        overs.max().unwrap_or(Instant::ZERO)
    }

    /// When nobody stands in the way in one family.
    pub(super) fn over_in(&self, family: Family, config: &RouterConfig, priority: u8) -> Instant {
        let ear = self.ears.get(&family);
        ear.map_or(Instant::ZERO, |ear| ear.over_at(config, priority))
    }

    /// Whether it has heard whom it waits for.
    pub(super) fn has_heard(&self, config: &RouterConfig, priority: u8) -> bool {
        let ear = self.awaited(config, priority);
        ear.is_some_and(|ear| ear.last.is_some())
    }

    /// Obeys somebody who was heard before.
    pub(super) fn obey(
        &mut self,
        config: &RouterConfig,
        (family, from): (Family, IpAddr),
        theirs: u8,
        interval: Duration,
        at: Instant,
        priority: u8,
    ) {
        if let Some(ear) = self.ears.get_mut(&family) {
            *ear = Receiver {
                down_at: at + 3 * interval + skew(config.version, priority, interval),
                heard_at: at,
                interval,
                last: Some(Heard {
                    from,
                    priority: theirs,
                    obeyed: true,
                }),
                in_peace: None,
            };
        }
    }

    /// The interval of the one that it waits for.
    pub(super) fn interval(&self, config: &RouterConfig, priority: u8) -> Duration {
        let ear = self.awaited(config, priority);
        ear.map_or(Duration::ZERO, |ear| ear.interval)
    }

    /// Hears somebody. Who has just yielded obeys whatever it hears.
    pub(super) fn hear(
        &mut self,
        config: &RouterConfig,
        arrived: Instant,
        packet: &Datagram,
        says: &Says,
        priority: u8,
        yields: bool,
    ) {
        let Some(ear) = self.ears.get_mut(&packet.family()) else {
            return;
        };
        let preempts = config.preempt || config.priority == 255;
        let from = packet.source;
        let obeyed = says.priority >= priority || !preempts || yields;
        let silent_at =
            |interval| arrived + 3 * interval + skew(config.version, priority, interval);
        let delays = config.preempt_delay > 0 && config.priority != 255;
        if !obeyed && says.priority > 0 && delays {
            // It counts as a master until its time has come, but does not hasten the end of
            // whoever is waited for.
            let could_since = match ear.last {
                Some(Heard { obeyed: true, .. }) => arrived,
                _ => ear.heard_at,
            };
            let fresh = (could_since, ear.down_at);
            let (_, undelayed) = *ear.in_peace.get_or_insert(fresh);
            ear.down_at = silent_at(says.interval).max(undelayed);
            ear.interval = says.interval;
            ear.heard_at = arrived;
            ear.last = Some(Heard {
                from,
                priority: says.priority,
                obeyed,
            });
            return;
        }
        if says.priority == 0 {
            ear.down_at = arrived + skew(config.version, priority, ear.interval);
        } else if obeyed {
            ear.interval = says.interval;
            ear.heard_at = arrived;
            ear.down_at = silent_at(says.interval);
            ear.in_peace = None;
        }
        let obeyed = says.priority == 0 || obeyed;
        let is_third = |last: Heard| last.obeyed && last.from != from;
        if obeyed || !ear.last.is_some_and(is_third) {
            ear.last = Some(Heard {
                from,
                priority: says.priority,
                obeyed,
            });
        }
    }

    /// It has slept through advertisements, and waits in full again.
    pub(super) fn wait_anew(&mut self, config: &RouterConfig, now: Instant, priority: u8) {
        for ear in self.ears.values_mut() {
            let skew = skew(config.version, priority, ear.interval);
            ear.down_at = now + 3 * ear.interval + skew;
            ear.in_peace = ear.in_peace.map(|(since, _)| (since, ear.down_at));
        }
    }

    /// Goes on with other families: those that stay are heard as before.
    pub(super) fn change(&mut self, config: &RouterConfig, now: Instant, priority: u8) {
        self.ears.retain(|family, _| config.speaks(*family));
        for family in config.spoken() {
            let begin = || Receiver::begin(config, now, priority, 3);
            self.ears.entry(family).or_insert_with(begin);
        }
    }

    /// Why it takes over.
    pub(super) fn cause(&self, config: &RouterConfig, now: Instant, priority: u8) -> Cause {
        let Some(ear) = self.awaited(config, priority) else {
            unreachable!("it speaks a family at least");
        };
        let wait = 3 * ear.interval + skew(config.version, priority, ear.interval);
        match ear.last {
            Some(Heard {
                from, priority: 0, ..
            }) => Cause::Resigned { master: from },
            Some(Heard {
                from,
                priority: theirs,
                obeyed: false,
            }) if ear.in_peace.is_none() || now < ear.heard_at + wait => Cause::Preempted {
                master: from,
                theirs,
                ours: priority,
                waited: ear
                    .in_peace
                    .map_or(Duration::ZERO, |(since, _)| now.since(since)),
            },
            last => Cause::Silence {
                master: last.map(|heard| heard.from),
                lasted: now.since(ear.heard_at),
            },
        }
    }

    /// Where it waits for somebody: in IPv6 if somebody was heard there alone, or stands in the way
    /// there for longer by an interval or more. Who speaks both does so at nearly the same time.
    fn awaited(&self, config: &RouterConfig, priority: u8) -> Option<&Receiver> {
        let (ipv4, ipv6) = (self.ears.get(&Family::V4), self.ears.get(&Family::V6));
        let (Some(ipv4), Some(ipv6)) = (ipv4, ipv6) else {
            return ipv4.or(ipv6);
        };
        let in_ipv6 = match (ipv4.last, ipv6.last) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(_), Some(_)) => {
                let there = ipv4.over_at(config, priority);
                ipv6.over_at(config, priority) >= there + ipv6.interval
            }
        };
        Some(if in_ipv6 { ipv6 } else { ipv4 })
    }
}

impl Receiver {
    fn begin(config: &RouterConfig, now: Instant, priority: u8, intervals: u32) -> Self {
        let interval = config.interval();
        Self {
            down_at: now + intervals * interval + skew(config.version, priority, interval),
            heard_at: now,
            interval,
            last: None,
            in_peace: None,
        }
    }

    /// When nobody stands in the way in this family.
    fn over_at(&self, config: &RouterConfig, priority: u8) -> Instant {
        let preempts = config.preempt || config.priority == 255;
        let is_lower = |last: Heard| !last.obeyed && last.priority < priority;
        match self.in_peace {
            Some((since, undelayed)) if preempts && self.last.is_some_and(is_lower) => self
                .down_at
                .min(undelayed.max(since + config.preempt_delay())),
            Some(_) | None => self.down_at,
        }
    }
}
