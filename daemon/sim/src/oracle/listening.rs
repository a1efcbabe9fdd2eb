//! Expected timers of a backup, per family: each family is a separate virtual router in the protocol.
//!
//! No RFC defines that an instance of both families takes over only when the wait is over in both, and
//! that it reports the family that it waited for. docs/simulation.md has the rules.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Cause, Family, Instant};

use crate::foreign::skew;
use crate::records::{Content, Datagram};
use crate::scenario::RouterConfig;

/// Timers of a backup.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    ears: BTreeMap<Family, Receiver>,
    /// Whether it preempts no master, because none of its advertisements leaves its host.
    is_unsent: bool,
}

/// Timer of a backup in one family.
#[derive(Clone, Debug)]
struct Receiver {
    /// Start of the wait, or of the renewed wait after a late wake-up. An earlier arrival counts from
    /// here: later advertisements may have been lost.
    since: Instant,
    down_at: Instant,
    heard_at: Instant,
    interval: Duration,
    last: Option<Heard>,
    /// Time since which the wire is watched because of the present silence.
    watched_at: Option<Instant>,
    /// Preempt delay against a master of lower priority: its start, and the time at which the router
    /// would have preempted without a delay.
    delayed: Option<(Instant, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    from: IpAddr,
    priority: u8,
    is_followed: bool,
}

impl Listening {
    /// Starts the timers in every family, with this number of intervals and the skew.
    pub(super) fn begin(config: &RouterConfig, now: Instant, priority: u8, intervals: u32) -> Self {
        let ear = Receiver::begin(config, now, priority, intervals);
        Self {
            ears: config
                .spoken()
                .map(|family| (family, ear.clone()))
                .collect(),
            is_unsent: false,
        }
    }

    /// Returns the same timers for a router that can send, or cannot.
    pub(super) const fn unsent(mut self, is_unsent: bool) -> Self {
        self.is_unsent = is_unsent;
        self
    }

    /// Start of the wait, or of the renewed wait after a late wake-up.
    pub(super) fn since(&self) -> Option<Instant> {
        self.ears.values().map(|ear| ear.since).max()
    }

    /// Time at which the backup takes over without a further advertisement: the end of the wait in all
    /// families.
    pub(super) fn over_at(&self, config: &RouterConfig, priority: u8) -> Instant {
        let overs = self.ears.values().map(|ear| ear.over_at(config, priority));
        overs.max().unwrap_or(Instant::ZERO)
    }

    /// End of the wait in one family.
    pub(super) fn over_in(&self, family: Family, config: &RouterConfig, priority: u8) -> Instant {
        let ear = self.ears.get(&family);
        ear.map_or(Instant::ZERO, |ear| ear.over_at(config, priority))
    }

    /// Whether the router that the backup waits for has sent an advertisement.
    pub(super) fn has_heard(&self, config: &RouterConfig, priority: u8) -> bool {
        let ear = self.awaited(config, priority);
        ear.is_some_and(|ear| ear.last.is_some())
    }

    /// Follows a master that was recorded earlier.
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
                since: ear.since,
                down_at: at + 3 * interval + skew(config.version, priority, interval),
                heard_at: at,
                interval,
                last: Some(Heard {
                    from,
                    priority: theirs,
                    is_followed: true,
                }),
                watched_at: None,
                delayed: None,
            };
        }
    }

    /// Shortest interval with which any family waits: each watches the wire for as long at least.
    pub(super) fn least_interval(&self) -> Duration {
        let intervals = self.ears.values().map(|ear| ear.interval);
        intervals.min().unwrap_or_default()
    }

    /// Interval of the master that the backup waits for.
    pub(super) fn interval(&self, config: &RouterConfig, priority: u8) -> Duration {
        let ear = self.awaited(config, priority);
        ear.map_or(Duration::ZERO, |ear| ear.interval)
    }

    /// Handles an advertisement. With `yields` the router has just become backup and follows any
    /// priority.
    pub(super) fn hear(
        &mut self,
        config: &RouterConfig,
        arrived: Instant,
        packet: &Datagram,
        content: &Content,
        priority: u8,
        yields: bool,
    ) {
        let is_unsent = self.is_unsent;
        let Some(ear) = self.ears.get_mut(&packet.family()) else {
            return;
        };
        let arrived = arrived.max(ear.since);
        let preempts = !is_unsent && (config.preempt || config.priority == 255);
        let from = packet.source;
        let is_followed = content.priority >= priority || !preempts || yields;
        let silent_at =
            |interval| arrived + 3 * interval + skew(config.version, priority, interval);
        let delays = config.preempt_delay > 0 && config.priority != 255;
        if !is_followed && content.priority > 0 && delays {
            // The lower priority counts as the master until the delay ends, but does not shorten the
            // wait for the former master.
            let could_since = match ear.last {
                Some(Heard {
                    is_followed: true, ..
                }) => arrived,
                _ => ear.heard_at,
            };
            let fresh = (could_since, ear.down_at);
            let (_, undelayed) = *ear.delayed.get_or_insert(fresh);
            ear.down_at = silent_at(content.interval).max(undelayed);
            ear.interval = content.interval;
            ear.heard_at = arrived;
            ear.watched_at = None;
            ear.last = Some(Heard {
                from,
                priority: content.priority,
                is_followed,
            });
            return;
        }
        if content.priority == 0 {
            ear.down_at = arrived + skew(config.version, priority, ear.interval);
        } else if is_followed {
            ear.interval = content.interval;
            ear.heard_at = arrived;
            ear.down_at = silent_at(content.interval);
            ear.watched_at = None;
            ear.delayed = None;
        }
        // The master lowered its priority: a resignation without its address lost.
        let was_followed = |last: Heard| last.is_followed && last.from == from && last.priority > 0;
        if !is_followed && ear.last.is_some_and(was_followed) {
            let soon = arrived + skew(config.version, priority, ear.interval);
            ear.down_at = ear.down_at.min(soon);
        }
        let is_followed = content.priority == 0 || is_followed;
        // A lower priority of a third router does not replace the master in the cause.
        let is_third = |last: Heard| last.is_followed && last.from != from;
        if is_followed || !ear.last.is_some_and(is_third) {
            ear.last = Some(Heard {
                from,
                priority: content.priority,
                is_followed,
            });
        }
    }

    /// Whether an arrival is that of a later advertisement than the last one that restarted the timer of its
    /// family: at least a quarter of an interval after it. Without a received one each arrival is.
    pub(super) fn is_news(&self, family: Family, arrived: Instant) -> bool {
        let ear = self.ears.get(&family);
        ear.is_some_and(|ear| match ear.last {
            Some(_) => arrived > ear.heard_at + ear.interval / 4,
            None => arrived > ear.heard_at,
        })
    }

    /// Handles an advertisement that arrived at the interface and did not reach a socket.
    pub(super) fn hear_witnessed(
        &mut self,
        config: &RouterConfig,
        arrived: Instant,
        packet: &Datagram,
        content: &Content,
        priority: u8,
    ) {
        let watched_at = |listening: &Self| listening.ears.get(&packet.family())?.watched_at;
        let before = watched_at(self);
        self.hear(config, arrived, packet, content, priority, false);
        if let Some(ear) = self.ears.get_mut(&packet.family()) {
            ear.watched_at = before;
        }
    }

    /// Begins to watch the wire of a silent family: when an advertisement is a quarter of an interval
    /// overdue.
    pub(super) fn watch(&mut self, now: Instant) {
        for ear in self.ears.values_mut() {
            let resigned = ear.last.is_some_and(|last| last.priority == 0);
            if ear.watched_at.is_none() && !resigned && now + ear.interval * 7 / 4 >= ear.down_at {
                ear.watched_at = Some(now);
            }
        }
    }

    /// Extends the wait in the silent families of `which` whose wire was not watched for an interval.
    /// Returns whether there are any.
    pub(super) fn watch_longer(
        &mut self,
        config: &RouterConfig,
        now: Instant,
        priority: u8,
        which: impl Fn(Family) -> bool,
    ) -> bool {
        let mut any = false;
        for (family, ear) in &mut self.ears {
            let skew = skew(config.version, priority, ear.interval);
            let is_silent = match ear.last {
                None
                | Some(Heard {
                    is_followed: true, ..
                }) => ear.last.is_none_or(|last| last.priority > 0),
                Some(_) => ear.delayed.is_some() && now >= ear.heard_at + 3 * ear.interval + skew,
            };
            let is_watched = ear.watched_at.is_some_and(|at| now >= at + ear.interval);
            if which(*family) && is_silent && !is_watched {
                ear.watched_at = ear.watched_at.or(Some(now));
                ear.down_at = now + ear.interval + skew;
                ear.delayed = ear.delayed.map(|(since, _)| (since, ear.down_at));
                any = true;
            }
        }
        any
    }

    /// Restarts the timers after a late wake-up, during which advertisements may have been lost.
    pub(super) fn wait_anew(&mut self, config: &RouterConfig, now: Instant, priority: u8) {
        for ear in self.ears.values_mut() {
            let skew = skew(config.version, priority, ear.interval);
            ear.since = now;
            ear.down_at = now + 3 * ear.interval + skew;
            ear.delayed = ear.delayed.map(|(since, _)| (since, ear.down_at));
        }
    }

    /// Stops watching the wire, until it is time again.
    pub(super) fn end_watch(&mut self) {
        for ear in self.ears.values_mut() {
            ear.watched_at = None;
        }
    }

    /// Changes the families. The timers of the remaining families continue.
    pub(super) fn change(&mut self, config: &RouterConfig, now: Instant, priority: u8) {
        self.ears.retain(|family, _| config.speaks(*family));
        for family in config.spoken() {
            let begin = || Receiver::begin(config, now, priority, 3);
            self.ears.entry(family).or_insert_with(begin);
        }
    }

    /// Cause of the takeover, because of `family` if that decides alone.
    pub(super) fn cause(
        &self,
        config: &RouterConfig,
        now: Instant,
        priority: u8,
        family: Option<Family>,
    ) -> Cause {
        let deciding = family.and_then(|family| self.ears.get(&family));
        let Some(ear) = deciding.or_else(|| self.awaited(config, priority)) else {
            unreachable!("a router advertises in at least one family");
        };
        let wait = 3 * ear.interval + skew(config.version, priority, ear.interval);
        match ear.last {
            Some(Heard {
                from, priority: 0, ..
            }) => Cause::Resigned { master: from },
            Some(Heard {
                from,
                priority: theirs,
                is_followed: false,
            }) if ear.delayed.is_none() || now < ear.heard_at + wait => Cause::Preempted {
                master: from,
                theirs,
                ours: priority,
                waited: ear
                    .delayed
                    .map_or(Duration::ZERO, |(since, _)| now.since(since)),
            },
            last => Cause::Silence {
                master: last.map(|heard| heard.from),
                lasted: now.since(ear.heard_at),
            },
        }
    }

    /// Family that the backup waits for: IPv6 if an advertisement was received in IPv6 only, or if the
    /// wait in IPv6 ends later by an interval or more. A router with both families sends both
    /// advertisements at nearly the same time.
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
            since: now,
            down_at: now + intervals * interval + skew(config.version, priority, interval),
            heard_at: now,
            interval,
            last: None,
            watched_at: None,
            delayed: None,
        }
    }

    /// End of the wait in this family.
    fn over_at(&self, config: &RouterConfig, priority: u8) -> Instant {
        let preempts = config.preempt || config.priority == 255;
        let is_lower = |last: Heard| !last.is_followed && last.priority < priority;
        match self.delayed {
            Some((since, undelayed)) if preempts && self.last.is_some_and(is_lower) => self
                .down_at
                .min(undelayed.max(since + config.preempt_delay())),
            Some(_) | None => self.down_at,
        }
    }
}
