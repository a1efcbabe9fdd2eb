//! Takeovers after killed masters: the delay of the backup beyond the limit of the protocol.
//!
//! For each virtual router, t0 is the killed master's last advertisement, as it reached the
//! segment; the deadline is three intervals and the skew time later. Measured are the delays of the
//! survivor's first advertisement and of its first gratuitous ARP after the deadline. Then the
//! addresses on the other host are deleted, its daemon starts as backup, and at the next kill the
//! roles are exchanged.
//!
//! A master whose priority a tracked file lowers is not killed: measured is the time from the change of the
//! file to the first advertisement of the other host. Then the file is restored, and the roles are exchanged.
//!
//! For maintenance of a master's host, the outage of a client and the changes of master are measured.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vrrp_lab::{Error, Result};

use super::fixture::{Fixture, Sighting, What};
use super::stats::Summary;
use super::subject::{Begin, Kind, Task};

/// Time for which a client asks before a stop and after the take-over.
const WARM: Duration = Duration::from_millis(50);

/// Result of one killed master, in microseconds after the deadlines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Death {
    /// Delay of the first advertisement of each router.
    pub(crate) adverts: Vec<f64>,
    /// Delay of the first gratuitous ARP of each address.
    pub(crate) announcements: Vec<f64>,
    /// Delay of the last address's first gratuitous ARP after the last deadline.
    pub(crate) last: f64,
    /// Time from the first deadline to the last.
    pub(crate) spread: f64,
}

impl Death {
    /// Longest delay of an address.
    pub(crate) fn latest(&self) -> f64 {
        self.announcements().map_or(f64::NAN, |all| all.max)
    }

    /// Median delay of the addresses.
    pub(crate) fn middle(&self) -> f64 {
        self.announcements().map_or(f64::NAN, |all| all.median)
    }

    fn announcements(&self) -> Option<Summary> {
        Summary::of(self.announcements.iter().copied())
    }
}

/// Measures `count` take-overs of each kind by `series`, in `lanes` parallel fixtures per kind.
///
/// With one lane the kinds alternate, a few takeovers each. With more they run in parallel, which
/// suits intervals at which two daemons are seldom awake at the same time.
pub(crate) fn measure<T: Send>(
    kinds: &[Kind],
    task: Task,
    count: usize,
    lanes: usize,
    series: impl Fn(Kind, Task, usize) -> Result<Vec<T>> + Sync,
) -> Result<BTreeMap<Kind, Vec<T>>> {
    let series = &series;
    let mut all: BTreeMap<Kind, Vec<T>> = BTreeMap::new();
    if lanes > 1 {
        let (sender, results) = mpsc::channel();
        thread::scope(|scope| {
            for lane in 0..lanes {
                for kind in kinds.iter().copied() {
                    let sender = sender.clone();
                    let share = count / lanes + usize::from(lane < count % lanes);
                    scope.spawn(move || {
                        // The receiver outlives the scope, so the send cannot fail.
                        let _ = sender.send((kind, series(kind, task, share)));
                    });
                }
            }
        });
        drop(sender);
        for (kind, result) in results {
            all.entry(kind).or_default().extend(result?);
        }
        return Ok(all);
    }
    // Few rounds: each one starts a pair and waits for its master.
    let rounds = (count / 5).clamp(1, 4);
    for round in 0..rounds {
        let share = count / rounds + usize::from(round < count % rounds);
        for kind in kinds.iter().copied() {
            all.entry(kind)
                .or_default()
                .extend(series(kind, task, share)?);
        }
    }
    Ok(all)
}

/// Measures `deaths` killed masters of one kind in one fixture.
pub(crate) fn series(kind: Kind, task: Task, deaths: usize) -> Result<Vec<Death>> {
    if deaths == 0 {
        return Ok(Vec::new());
    }
    let mut fixture = Fixture::with_pair(kind, task)?;
    let mut found = Vec::new();
    let mut spoilt = 0;
    while found.len() < deaths {
        match death(&mut fixture, task)? {
            Some(death) => found.push(death),
            // On a busy machine the backup may have taken over before its master was killed.
            None if spoilt < deaths => spoilt += 1,
            None => {
                let doing = format!("measuring takeovers of {kind}");
                return Err(Error::new(
                    doing,
                    "the master changes although none was killed",
                ));
            }
        }
    }
    Ok(found)
}

/// Lowers the priority of the master `count` times in one fixture. Returns the times to the first
/// advertisement of the other host, in microseconds.
pub(crate) fn lowered(kind: Kind, task: Task, count: usize) -> Result<Vec<f64>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let fixture = Fixture::with_pair(kind, task)?;
    let mut found = Vec::new();
    let mut mark = fixture.mark();
    for _ in 0..count {
        fixture.settle();
        let master = fixture.master(&mark);
        let master = master.ok_or_else(|| Error::new("looking for the master", "no host is"))?;
        mark = fixture.mark();
        let changed = SystemTime::now().duration_since(UNIX_EPOCH);
        let changed = changed.map_err(|error| Error::new("reading the clock", error))?;
        fixture.weigh(master, "-50")?;
        let is_survivors = |sighting: &&Sighting| {
            sighting.from != master && sighting.what == What::Advert && sighting.at > changed
        };
        let sightings = fixture.wait("the other host to take over", &mark, |sightings| {
            sightings.iter().any(|sighting| is_survivors(&sighting))
        })?;
        let first = sightings.iter().find(is_survivors);
        found.extend(first.map(|first| micros_between(changed, first.at)));
        fixture.settle();
        fixture.weigh(master, "0")?;
        mark = fixture.mark();
    }
    Ok(found)
}

/// Maintenance of the host of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maintenance {
    /// The daemon is stopped.
    Stop,
    /// The host is drained. keepalived has no such command.
    Drain,
    /// The daemon is restarted, by another process that takes over from it or, with keepalived, by a stop and a start.
    Restart,
}

/// Result of one maintenance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maintained {
    /// Longest time without an answer for a client, in microseconds.
    pub(crate) outage: f64,
    /// Number of changes of master.
    pub(crate) changes: f64,
    /// Greatest lateness of an advertisement of either host, in microseconds.
    pub(crate) late: f64,
}

/// Maintains the host of the master `count` times in one fixture, while a client sends an echo request to the
/// address every millisecond.
pub(crate) fn maintained(
    maintenance: Maintenance,
    kind: Kind,
    task: Task,
    count: usize,
) -> Result<Vec<Maintained>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut fixture = Fixture::with_pair(kind, task)?;
    let client = fixture.client()?;
    let mut found = Vec::new();
    let mut mark = fixture.mark();
    for _ in 0..count {
        fixture.settle();
        let master = fixture.master(&mark);
        let master = master.ok_or_else(|| Error::new("looking for the master", "no host is"))?;
        let echo = client.echo(Ipv4Addr::new(10, 77, 0, 1))?;
        thread::sleep(WARM);
        mark = fixture.mark();
        match maintenance {
            Maintenance::Stop => fixture.take(master)?.stop()?,
            Maintenance::Drain => fixture.command(master, "drain --for 10m")?,
            Maintenance::Restart => fixture.restart(master)?,
        }
        match maintenance {
            Maintenance::Stop | Maintenance::Drain => {
                fixture.wait("the other host to take over", &mark, |sightings| {
                    let has_sent = |what| fixture.has_sent(sightings, 1 - master, what);
                    has_sent(What::Advert) && has_sent(What::Announcement)
                })?;
            }
            // Within this time another host takes over at the latest.
            Maintenance::Restart => thread::sleep(task.master_down()),
        }
        thread::sleep(WARM);
        let outage = echo.stop()?.outage().as_secs_f64() * 1e6;
        let sightings = fixture.sightings(&mark);
        found.push(Maintained {
            outage,
            changes: changes(&sightings, master, task),
            late: lateness(&sightings, task),
        });
        match maintenance {
            Maintenance::Stop => fixture.start(master, Begin::Backup)?,
            Maintenance::Drain => fixture.command(master, "undrain")?,
            Maintenance::Restart => {}
        }
        mark = fixture.mark();
        fixture.settle();
    }
    Ok(found)
}

/// Number of changes of master, beginning with `master`: an advertisement of the other host than the one before. A
/// master that yields sends a final one directly after the first one of the next.
fn changes(sightings: &[Sighting], master: usize, task: Task) -> f64 {
    let (mut present, mut heard_at) = (master, Duration::ZERO);
    let mut changes = 0_u32;
    for advert in sightings.iter().filter(|it| it.what == What::Advert) {
        if advert.from == present {
            heard_at = advert.at;
        } else if advert.at > heard_at + task.interval / 10 {
            changes += 1;
            (present, heard_at) = (advert.from, advert.at);
        }
    }
    changes.into()
}

/// Greatest lateness of an advertisement after the one before, of whichever host, in microseconds.
fn lateness(sightings: &[Sighting], task: Task) -> f64 {
    let adverts = sightings.iter().filter(|it| it.what == What::Advert);
    let mut times: Vec<Duration> = adverts.map(|advert| advert.at).collect();
    times.sort();
    let gaps = times.windows(2).map(|two| two[1] - two[0]);
    let late = gaps.map(|gap| gap.saturating_sub(task.interval)).max();
    late.unwrap_or_default().as_secs_f64() * 1e6
}

/// Kills the master once; `None` if both hosts were master around that time.
fn death(fixture: &mut Fixture, task: Task) -> Result<Option<Death>> {
    let mark = fixture.mark();
    fixture.settle();
    let Some(master) = fixture.master(&mark) else {
        return Err(Error::new(
            "looking for the master",
            "no host sends advertisements",
        ));
    };
    let survivor = 1 - master;
    fixture.take(master)?.die()?;
    thread::sleep(task.master_down());
    let sightings = fixture.wait("the survivor to take over", &mark, |sightings| {
        [What::Advert, What::Announcement]
            .into_iter()
            .all(|what| fixture.has_sent(sightings, survivor, what))
    })?;
    let death = judge(&sightings, master, task);
    fixture.clean_up(master)?;
    fixture.start(master, Begin::Backup)?;
    Ok(death)
}

fn judge(sightings: &[Sighting], master: usize, task: Task) -> Option<Death> {
    // First and last time, by host, kind and number.
    let mut times: BTreeMap<_, (Duration, Duration)> = BTreeMap::new();
    for Sighting {
        at,
        from,
        what,
        which,
    } in sightings.iter().copied()
    {
        times.entry((from, what, which)).or_insert((at, at)).1 = at;
    }
    let mut death = Death::default();
    let (mut deadlines, mut last_announcement) = (Vec::new(), Duration::ZERO);
    for router in task.routers() {
        let (_, last) = *times.get(&(master, What::Advert, router))?;
        let (advert, _) = *times.get(&(1 - master, What::Advert, router))?;
        // Both hosts were master for a moment, so there is no takeover to measure.
        if advert <= last {
            return None;
        }
        let deadline = last + task.master_down();
        deadlines.push(deadline);
        death.adverts.push(micros_between(deadline, advert));
        for address in task.addresses(router) {
            let (announcement, _) = *times.get(&(1 - master, What::Announcement, address))?;
            let lateness = micros_between(deadline, announcement);
            death.announcements.push(lateness);
            last_announcement = last_announcement.max(announcement);
        }
    }
    let (first, last) = (*deadlines.iter().min()?, *deadlines.iter().max()?);
    death.spread = micros_between(first, last);
    death.last = micros_between(last, last_announcement);
    Some(death)
}

/// Microseconds from `first` to `second`, negative if `second` is earlier.
pub(crate) fn micros_between(first: Duration, second: Duration) -> f64 {
    if second >= first {
        (second - first).as_secs_f64() * 1e6
    } else {
        -(first - second).as_secs_f64() * 1e6
    }
}
