//! Expected reports of the end of a contest, written from the meaning of the setting and without code of
//! the engine: docs/notify.md has the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Cause, Family, Instant, Output, Report};

use super::{Phase, Watched};
use crate::foreign::skew;
use crate::invariants::{Invariant, Violation};
use crate::oracle::Oracle;
use crate::records::{Content, Datagram, Fed, Record};

/// Least time between two reports.
const SPACING: Duration = Duration::from_secs(10);

/// Time after a takeover from another master in which that master may still send a final advertisement.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Other masters beside a master.
#[derive(Clone, Debug)]
pub(in crate::oracle) struct Contesting {
    /// End of the time in which advertisements are final ones.
    begins: Instant,
    /// Advertisements of other masters, by family.
    rivals: BTreeMap<Family, Rival>,
    reported: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Rival {
    senders: BTreeSet<IpAddr>,
    last: IpAddr,
    priority: u8,
    interval: Duration,
    wait: Duration,
    gone: Instant,
}

impl Contesting {
    /// State of a router that has just become master because of `cause`.
    pub(in crate::oracle) fn since(now: Instant, cause: &Cause) -> Self {
        let was_vacant = matches!(cause.root(), Cause::Silence { .. } | Cause::Resigned { .. });
        Self {
            begins: if was_vacant { now } else { now + LAST_WORD },
            rivals: BTreeMap::new(),
            reported: None,
        }
    }

    /// Continues after an interruption, in which the absence of an advertisement proves nothing.
    pub(in crate::oracle) fn resume(&mut self, now: Instant) {
        for rival in self.rivals.values_mut() {
            rival.gone = rival.gone.max(now + rival.wait);
        }
    }

    /// Time of the report without further advertisements.
    pub(in crate::oracle) fn over(&self) -> Option<Instant> {
        let gone = self.rivals.values().map(|rival| rival.gone).max()?;
        let spaced = self.reported.map_or(gone, |at| at + SPACING);
        Some(gone.max(spaced))
    }

    fn hear(&mut self, now: Instant, packet: &Datagram, content: &Content, wait: Duration) {
        if now < self.begins {
            return;
        }
        let senders = self.rivals.remove(&packet.family());
        let mut senders = senders.map_or_else(BTreeSet::new, |rival| rival.senders);
        senders.insert(packet.source);
        let rival = Rival {
            senders,
            last: packet.source,
            priority: content.priority,
            interval: content.interval,
            wait,
            gone: now + wait,
        };
        self.rivals.insert(packet.family(), rival);
    }

    fn causes(&self) -> impl Iterator<Item = Cause> + '_ {
        let last = self.rivals.values().map(|rival| rival.gone).max();
        let rivals = self.rivals.values();
        rivals
            .filter(move |rival| Some(rival.gone) == last)
            .map(|rival| Cause::Contested {
                master: rival.last,
                theirs: rival.priority,
            })
    }
}

impl Watched {
    fn contesting(&self) -> Option<&Contesting> {
        match &self.phase {
            Phase::Master { contesting, .. } => Some(contesting),
            Phase::Init | Phase::Fault | Phase::Backup(_) => None,
        }
    }

    pub(in crate::oracle) fn is_contested(&self) -> bool {
        let contesting = self.contesting();
        contesting.is_some_and(|contesting| !contesting.rivals.is_empty())
    }

    /// Records an accepted packet to which a master does not yield.
    pub(in crate::oracle) fn meet_rival(
        &mut self,
        now: Instant,
        packet: &Datagram,
        content: &Content,
        priority: u8,
    ) {
        let version = self.config.version;
        let Phase::Master { contesting, .. } = &mut self.phase else {
            return;
        };
        if content.priority > 0 {
            let wait = 3 * content.interval + skew(version, priority, content.interval);
            return contesting.hear(now, packet, content, wait);
        }
        // The resignation of the only other master: as a backup, wait for the skew time.
        if let Some(rival) = contesting.rivals.get_mut(&packet.family())
            && rival.senders.iter().all(|sender| *sender == packet.source)
        {
            rival.wait = skew(version, priority, rival.interval);
            rival.gone = now + rival.wait;
        }
    }
}

impl Oracle {
    /// Checks that the end of each contest is reported in time, once, and for all members of a group
    /// when the last of its members is no longer contested.
    pub(in crate::oracle) fn watch_contests(
        &mut self,
        now: Instant,
        record: &Record,
    ) -> Result<(), Violation> {
        let mut reports: BTreeMap<String, (Cause, u8)> = BTreeMap::new();
        for output in &record.outputs {
            let Output::Report(Report::Contested {
                router,
                cause,
                priority,
            }) = output
            else {
                continue;
            };
            let report = (cause.clone(), priority.get());
            if reports.insert(router.to_string(), report).is_some() {
                return Err(wrong(router, "reports twice"));
            }
        }
        let is_tick = matches!(record.fed, Fed::Tick);
        let names: Vec<String> = self.routers.keys().cloned().collect();
        // What each router that is at the end of its contest may say.
        let mut ended: BTreeMap<String, Vec<Cause>> = BTreeMap::new();
        for name in names.iter().filter(|_| is_tick) {
            let Some(router) = self.routers.get_mut(name) else {
                continue;
            };
            if let Phase::Master { contesting, .. } = &mut router.phase
                && !record.interrupted.contains(&**name)
                && contesting.over().is_some_and(|over| over <= now)
            {
                ended.insert(name.clone(), contesting.causes().collect());
                contesting.rivals.clear();
            }
        }
        for name in &names {
            let members = match self.group_of(name) {
                None => vec![name.clone()],
                Some(group) => self.members_of(&group),
            };
            let deciding: Vec<&String> =
                members.iter().filter(|m| ended.contains_key(*m)).collect();
            let is_over = !members
                .iter()
                .any(|member| self.routers[member].is_contested());
            let report = reports.remove(name);
            if deciding.is_empty() || !is_over {
                if let Some((cause, _)) = report {
                    return Err(wrong(name, &format!("has no reason to report {cause:?}")));
                }
                continue;
            }
            let Some((cause, priority)) = report else {
                return Err(wrong(name, "does not report the end"));
            };
            let router = &self.routers[name];
            let is_true = if let Cause::With { member, cause } = &cause {
                **member != **name && ended.get(&**member).is_some_and(|own| own.contains(cause))
            } else {
                ended.get(name).is_some_and(|own| own.contains(&cause))
            };
            if !is_true || priority != self.priority(&router.config) {
                return Err(wrong(
                    name,
                    &format!("reports {cause:?} and priority {priority}"),
                ));
            }
            if let Some(router) = self.routers.get_mut(name)
                && let Phase::Master { contesting, .. } = &mut router.phase
            {
                contesting.reported = Some(now);
            }
        }
        match reports.into_iter().next() {
            Some((name, _)) => Err(wrong(&name, "is not configured and reports the end")),
            None => Ok(()),
        }
    }
}

fn wrong(name: &str, how: &str) -> Violation {
    Invariant::Contest.broken(format!("{name} {how} of a contest"))
}
