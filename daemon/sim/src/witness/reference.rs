//! One router as the RFCs have it, a second time: written from RFC 9568 section 6.4 and RFC 3768, and not
//! from the engine.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Cause, Instant, State, Transition};

use crate::foreign::skew;
use crate::host::{Datagram, Says};
use crate::scenario::RouterConfig;
use crate::witness::announcing::Announcing;

/// A router as the RFCs have it.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) config: RouterConfig,
    pub(super) phase: Phase,
    /// The address from which it spoke last.
    pub(super) source: Option<IpAddr>,
    /// Until when it does not take over, because it was started a short time ago.
    pub(super) quiet_until: Instant,
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

#[derive(Clone, Debug)]
pub(super) struct Listening {
    pub(super) down_at: Instant,
    heard_at: Instant,
    pub(super) interval: Duration,
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

impl Watched {
    /// The address from which it spoke last.
    pub(crate) const fn source(&self) -> Option<IpAddr> {
        self.source
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
pub(super) struct Foretold {
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
    ) -> Option<Foretold> {
        let from = packet.source.address;
        let foretold = match &self.phase {
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
                    self.phase = self.listen_to_all(now, priority);
                    Some(Foretold {
                        to: State::Backup,
                        cause,
                    })
                } else if says.priority == priority
                    && says.priority > 0
                    && self.source.is_some_and(|own| from > own)
                {
                    let cause = Cause::HigherAddress {
                        master: from,
                        priority,
                    };
                    self.phase = self.listen_to_all(now, priority);
                    Some(Foretold {
                        to: State::Backup,
                        cause,
                    })
                } else {
                    return None;
                }
            }
        };
        let preempts = self.config.preempt || self.config.priority == 255;
        let (version, yielding) = (self.config.version, foretold.is_some());
        let overslept = matches!(
            foretold,
            Some(Foretold {
                cause: Cause::Overslept { .. },
                ..
            })
        );
        if let Phase::Backup(listening) = &mut self.phase {
            let obeyed = says.priority >= priority || !preempts || (yielding && !overslept);
            let delays = self.config.preempt_delay > 0 && self.config.priority != 255;
            if !obeyed && says.priority > 0 && delays {
                // It counts as a master until its time has come, but does not hasten the end of
                // whoever is waited for.
                let could_since = match listening.last {
                    Some(Heard { obeyed: true, .. }) => arrived,
                    _ => listening.heard_at,
                };
                let (_, undelayed) = *listening
                    .in_peace
                    .get_or_insert((could_since, listening.down_at));
                let silent_at =
                    arrived + 3 * says.interval + skew(version, priority, says.interval);
                listening.down_at = silent_at.max(undelayed);
                listening.interval = says.interval;
                listening.heard_at = arrived;
                listening.last = Some(Heard {
                    from,
                    priority: says.priority,
                    obeyed,
                });
                return foretold;
            }
            if says.priority == 0 {
                listening.down_at = arrived + skew(version, priority, listening.interval);
            } else if obeyed {
                listening.interval = says.interval;
                listening.heard_at = arrived;
                listening.down_at =
                    arrived + 3 * says.interval + skew(version, priority, says.interval);
                listening.in_peace = None;
            }
            let obeyed = says.priority == 0 || obeyed;
            let is_third = |last: Heard| last.obeyed && last.from != from;
            if obeyed || !listening.last.is_some_and(is_third) {
                listening.last = Some(Heard {
                    from,
                    priority: says.priority,
                    obeyed,
                });
            }
        }
        foretold
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, priority: u8) -> Option<Foretold> {
        let listening = match &self.phase {
            Phase::Init | Phase::Fault => return None,
            Phase::Master { .. } => return self.oversleep(now, priority),
            Phase::Backup(listening) => listening.clone(),
        };
        let due = self.take_over_at(&listening, priority);
        if now < due {
            return None;
        }
        let wait = 3 * listening.interval + skew(self.config.version, priority, listening.interval);
        if now.since(due) > listening.interval {
            // It has slept through advertisements as well.
            self.phase = Phase::Backup(Listening {
                down_at: now + wait,
                in_peace: listening.in_peace.map(|(since, _)| (since, now + wait)),
                ..listening
            });
            return None;
        }
        let cause = match listening.last {
            Some(Heard {
                from, priority: 0, ..
            }) => Cause::Resigned { master: from },
            Some(Heard {
                from,
                priority: theirs,
                obeyed: false,
            }) if listening.in_peace.is_none() || now < listening.heard_at + wait => {
                Cause::Preempted {
                    master: from,
                    theirs,
                    ours: priority,
                    waited: listening
                        .in_peace
                        .map_or(Duration::ZERO, |(since, _)| now.since(since)),
                }
            }
            last => Cause::Silence {
                master: last.map(|heard| heard.from),
                lasted: now.since(listening.heard_at),
            },
        };
        self.phase = self.master(now);
        Some(Foretold {
            to: State::Master,
            cause,
        })
    }

    /// A master that has been silent for as long as others wait listens first.
    fn oversleep(&mut self, now: Instant, priority: u8) -> Option<Foretold> {
        let Phase::Master { sent_at, told, .. } = self.phase else {
            return None;
        };
        let lasted = now.since(sent_at);
        if lasted <= others_wait(&self.config, told) || self.config.priority == 255 {
            return None;
        }
        self.phase = self.listen_to_all(now, priority);
        Some(Foretold {
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
                let interval = self.config.interval();
                let wait = interval + skew(self.config.version, priority, interval);
                Some(Phase::Backup(Listening {
                    down_at: now + wait,
                    heard_at: now,
                    interval,
                    last: None,
                    in_peace: None,
                }))
            }
            (Cause::Started | Cause::Recovered(_), State::Backup) if !owner => {
                Some(self.listen_to_all(now, priority))
            }
            (Cause::Overslept { .. }, State::Backup) => Some(self.listen_to_all(now, priority)),
            (Cause::Owner | Cause::Recovered(_), State::Master) if owner => Some(self.master(now)),
            (Cause::Unable(_), State::Fault) => Some(Phase::Fault),
            (Cause::Stopped | Cause::Removed | Cause::Redefined, State::Init) => Some(Phase::Init),
            _ => None,
        }
    }

    fn listen_to_all(&self, now: Instant, priority: u8) -> Phase {
        let interval = self.config.interval();
        Phase::Backup(Listening {
            down_at: now + 3 * interval + skew(self.config.version, priority, interval),
            heard_at: now,
            interval,
            last: None,
            in_peace: None,
        })
    }

    fn master(&self, now: Instant) -> Phase {
        Phase::Master {
            sent_at: now,
            told: self.config.interval(),
            announcing: Announcing::since(now, &self.config.announce),
        }
    }

    /// When a listening router takes over unless it hears something.
    pub(super) fn take_over_at(&self, listening: &Listening, priority: u8) -> Instant {
        let config = &self.config;
        let mut at = listening.down_at;
        let is_lower = |last: Heard| !last.obeyed && last.priority < priority;
        if let Some((since, undelayed)) = listening.in_peace
            && listening.last.is_some_and(is_lower)
            && config.preempt
        {
            at = at.min(undelayed.max(since + config.preempt_delay()));
        }
        if config.priority == 255 {
            at
        } else {
            at.max(self.quiet_until)
        }
    }

    /// Its settings are others from now on.
    pub(super) fn reconfigure(&mut self, now: Instant, new: &RouterConfig) {
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
