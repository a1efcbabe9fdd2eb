//! One router as the RFCs have it, a second time: written from RFC 9568 section 6.4 and RFC 3768, and not
//! from the engine.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Cause, Instant, State, Transition};

use crate::foreign::skew;
use crate::host::{Datagram, Says};
use crate::scenario::RouterConfig;

/// A router as the RFCs have it.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) config: RouterConfig,
    pub(super) phase: Phase,
    /// The address from which it spoke last.
    pub(super) source: Option<IpAddr>,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    Init,
    Fault,
    Backup(Listening),
    Master { sent_at: Instant, told: Duration },
}

#[derive(Clone, Debug)]
pub(super) struct Listening {
    pub(super) down_at: Instant,
    heard_at: Instant,
    pub(super) interval: Duration,
    last: Option<Heard>,
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
            if says.priority == 0 {
                listening.down_at = arrived + skew(version, priority, listening.interval);
            } else if obeyed {
                listening.interval = says.interval;
                listening.heard_at = arrived;
                listening.down_at =
                    arrived + 3 * says.interval + skew(version, priority, says.interval);
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
        if now < listening.down_at {
            return None;
        }
        if now.since(listening.down_at) > listening.interval {
            // It has slept through advertisements as well.
            let wait =
                3 * listening.interval + skew(self.config.version, priority, listening.interval);
            self.phase = Phase::Backup(Listening {
                down_at: now + wait,
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
            }) => Cause::Preempted {
                master: from,
                theirs,
                ours: priority,
                waited: Duration::ZERO,
            },
            last => Cause::Silence {
                master: last.map(|heard| heard.from),
                lasted: now.since(listening.heard_at),
            },
        };
        self.phase = Phase::Master {
            sent_at: now,
            told: self.config.interval(),
        };
        Some(Foretold {
            to: State::Master,
            cause,
        })
    }

    /// A master that has been silent for as long as others wait listens first.
    fn oversleep(&mut self, now: Instant, priority: u8) -> Option<Foretold> {
        let Phase::Master { sent_at, told } = self.phase else {
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
                }))
            }
            (Cause::Started | Cause::Recovered(_), State::Backup) if !owner => {
                Some(self.listen_to_all(now, priority))
            }
            (Cause::Overslept { .. }, State::Backup) => Some(self.listen_to_all(now, priority)),
            (Cause::Owner | Cause::Recovered(_), State::Master) if owner => Some(Phase::Master {
                sent_at: now,
                told: self.config.interval(),
            }),
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
        })
    }
}

/// For how long the most eager of the others waits for a master that told its interval.
pub(super) fn others_wait(config: &RouterConfig, told: Duration) -> Duration {
    3 * told + skew(config.version, 254, told)
}
