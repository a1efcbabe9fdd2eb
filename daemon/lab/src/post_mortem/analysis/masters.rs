//! Reigns: series of advertisements of one router, and the reason of each change of master.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{AdvertInterval, Priority, Version};

use super::{Ended, Gap, MOST_REIGNS, Reason, Reign, Router, longest_wait};
use crate::post_mortem::observation::{Advert, Sighting};
use crate::post_mortem::stamp::Stamp;

/// A reign while its advertisements are collected.
struct Run {
    router: usize,
    /// Priority of the first and of the last advertisement.
    priorities: [u8; 2],
    version: Version,
    interval: AdvertInterval,
    adverts: Vec<Stamp>,
    resigned: Option<Stamp>,
    gap: Option<Gap>,
    /// Last advertisement of another router, and of one with precedence, to which this one has not yet reacted.
    other: Option<Stamp>,
    better: Option<Stamp>,
    /// A reign of a router with precedence began and ended since the last advertisement.
    yielded: bool,
}

impl Run {
    fn first(&self) -> Stamp {
        self.adverts.first().copied().unwrap_or_default()
    }

    fn last(&self) -> Stamp {
        self.adverts.last().copied().unwrap_or_default()
    }

    /// Last advertisement before or at `at`.
    fn last_before(&self, at: Stamp) -> Stamp {
        let count = self.adverts.partition_point(|advert| *advert <= at);
        let last = count
            .checked_sub(1)
            .and_then(|index| self.adverts.get(index));
        last.copied().unwrap_or_default()
    }

    /// Time for which an advertisement that is under way may still follow that of another router.
    fn grace(&self) -> Duration {
        self.interval.duration() / 2
    }

    /// Whether an advertisement at `at` does not continue the run.
    fn is_interrupted_at(&self, at: Stamp) -> bool {
        let gap = at.since(self.last());
        let interval = self.interval.duration();
        self.yielded
            || gap > longest_wait(self.version, self.interval)
            || (self.other.is_some() && gap > interval * 5 / 2)
            || (self.better.is_some() && gap > interval * 3 / 2)
    }
}

/// Finds the reigns in the advertisements of a virtual router, each with the index of its router. Also returns the
/// time after which reigns are left out, if there are too many.
pub(super) fn reigns(
    adverts: &[(&Sighting<Advert>, usize)],
    routers: &[Router],
    begin: Stamp,
    end: Stamp,
) -> (Vec<Reign>, Option<Stamp>) {
    let (mut runs, beyond) = runs(adverts, routers);
    runs.sort_by_key(Run::first);
    let end = beyond.unwrap_or(end);
    let reigns = (0..runs.len())
        .map(|index| {
            let run = &runs[index];
            Reign {
                router: routers[run.router].address,
                priority: run.priorities[0],
                version: run.version,
                interval: run.interval,
                adverts: run.adverts.clone(),
                reason: reason(&runs, index, routers, begin),
                ended: ended(&runs, index, routers, end),
                gap: run.gap,
            }
        })
        .collect();
    (reigns, beyond)
}

fn runs(adverts: &[(&Sighting<Advert>, usize)], routers: &[Router]) -> (Vec<Run>, Option<Stamp>) {
    let mut runs: Vec<Run> = Vec::new();
    // Index of the current run of each router.
    let mut current: Vec<Option<usize>> = vec![None; routers.len()];
    for (sighting, router) in adverts {
        let (at, advert) = (sighting.at, &sighting.what);
        let present = current[*router];
        if advert.priority == 0 {
            current[*router] = None;
            if let Some(index) = present {
                runs[index].resigned = Some(at);
                let (first, ours) = (runs[index].first(), runs[index].rank(routers));
                for other in current.iter().flatten().copied() {
                    let run = &mut runs[other];
                    run.yielded |= first + run.grace() >= run.last() && ours > run.rank(routers);
                }
            }
            continue;
        }
        for index in current.iter().flatten().copied() {
            let run = &mut runs[index];
            if run.router != *router {
                run.other = Some(at);
                if (advert.priority, routers[*router].address) > run.rank(routers) {
                    run.better = Some(at);
                }
            }
        }
        match present {
            Some(index) if !runs[index].is_interrupted_at(at) => runs[index].go_on(at, advert),
            Some(_) | None if runs.len() >= MOST_REIGNS => return (runs, Some(at)),
            Some(_) | None => {
                current[*router] = Some(runs.len());
                runs.push(Run {
                    router: *router,
                    priorities: [advert.priority; 2],
                    version: advert.version,
                    interval: advert.interval(),
                    adverts: vec![at],
                    resigned: None,
                    gap: None,
                    other: None,
                    better: None,
                    yielded: false,
                });
            }
        }
    }
    (runs, None)
}

impl Run {
    fn go_on(&mut self, at: Stamp, advert: &Advert) {
        let gap = Gap {
            from: self.last(),
            length: at.since(self.last()),
            interval: self.interval.duration(),
        };
        if self.gap.is_none_or(|largest| largest.length < gap.length) {
            self.gap = Some(gap);
        }
        self.adverts.push(at);
        self.priorities[1] = advert.priority;
        self.interval = advert.interval();
        // This one may have been under way when the other was sent.
        let grace = self.grace();
        let is_recent = |other: &Stamp| at.since(*other) <= grace;
        self.other = self.other.filter(is_recent);
        self.better = self.better.filter(is_recent);
    }

    /// Order of two masters (RFC 9568 section 6.4.3): the higher priority, then the greater address.
    fn rank(&self, routers: &[Router]) -> (u8, IpAddr) {
        (self.priorities[1], routers[self.router].address)
    }
}

fn reason(runs: &[Run], index: usize, routers: &[Router], begin: Stamp) -> Reason {
    let run = &runs[index];
    let at = run.first();
    // The own last advertisement may have been under way when the former master sent its only one.
    let last_sign = |former: &Run| {
        let last = former.last_before(at);
        let resigned = former.resigned.filter(|end| *end <= at).unwrap_or_default();
        let last = last.max(resigned);
        if former.router == run.router {
            last - former.grace()
        } else {
            last
        }
    };
    let before = runs[..index].iter().max_by_key(|former| last_sign(former));
    let Some(former) = before else {
        let is_late = at.since(begin) > run.interval.duration() * 3 / 2;
        return if is_late {
            Reason::First
        } else {
            Reason::Present
        };
    };
    let resigned = former.resigned.filter(|resigned| *resigned <= at);
    if former.router == run.router {
        let silent_since = resigned.unwrap_or(former.last());
        return Reason::Returned {
            silence: at.since(silent_since),
            resigned: resigned.is_some(),
        };
    }
    let of = routers[former.router].address;
    let priority = Priority::new(run.priorities[0]).unwrap_or(Priority::MIN);
    let skew = former.interval.skew_time(run.version, priority);
    if let Some(resigned) = resigned {
        return Reason::Resigned {
            by: of,
            waited: at.since(resigned),
            skew,
        };
    }
    let interval = former.interval.duration();
    let silence = at.since(former.last_before(at));
    let down = former.interval.master_down_interval(run.version, priority);
    // The capturing machine stamps packets with its own delay, and some implementations round.
    let tolerance = down / 50 + Duration::from_millis(5);
    let ours = (run.priorities[0], routers[run.router].address);
    let theirs = former.rank(routers);
    let goes_on = former.last() > at + former.grace();
    if silence + tolerance >= down {
        Reason::Silence {
            of,
            silence,
            interval,
            skew,
        }
    } else if goes_on || (ours < theirs && silence <= interval * 3 / 2) {
        Reason::Unheard {
            of,
            priority: theirs.0,
        }
    } else if ours.0 > theirs.0 {
        Reason::Preempted { of, than: theirs.0 }
    } else if ours.0 == theirs.0 && silence <= interval * 3 / 2 {
        Reason::GreaterAddress { of }
    } else {
        Reason::Early { of, silence, down }
    }
}

fn ended(runs: &[Run], index: usize, routers: &[Router], end: Stamp) -> Ended {
    let run = &runs[index];
    if let Some(at) = run.resigned {
        return Ended::Resigned(at);
    }
    let last = run.last();
    let due = last + run.interval.duration() * 3 / 2;
    let successor = runs
        .iter()
        .filter(|other| other.router != run.router && other.first() <= due && other.last() > last)
        .min_by_key(|other| other.first());
    match successor {
        // While both advertise and the capture ends, neither has stepped down.
        Some(_) if end <= due => Ended::Continues,
        Some(other) => Ended::Superseded(routers[other.router].address),
        None if end.since(last) <= longest_wait(run.version, run.interval) => Ended::Continues,
        None => Ended::Silent,
    }
}
