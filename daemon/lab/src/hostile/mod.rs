//! Attacks the daemon, and keepalived beside it, with packets that nobody should believe, as fast as
//! one sender can: what becomes of master and backup, of the advertisements, of memory and log.
//!
//! `attack` knows what is sent, `fixture` who it is sent to and what is observed, `table` shows it.
//!
//! A daemon that got no CPU cannot keep a time: what the machine's own standstills explain is granted
//! to both daemons, and an attack that went wrong while the machine stood still is repeated.

mod attack;
mod fixture;
mod table;

use std::io::{self, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use vrrp_lab::{Error, Flood, Moment, Result, Sent, daemons, stall_detector};

use self::attack::Attack;
use self::fixture::{Fixture, Passed};
use crate::bench::subject::Kind;

/// How often an attack is repeated at most because the machine stood still.
const ATTEMPTS: u32 = 3;

/// What a sender must reach for the attack to count, in packets a second.
const FAST: f64 = 50_000.0;

/// The share of its interval by which an advertisement may be late.
const LATE: u32 = 10;

/// By how much memory may grow, in KiB, whatever is sent: a byte kept of each packet would be more.
/// It is what a first use of code and of tables with an end takes.
const GROWTH: i64 = 512;

/// How many lines a daemon may write: as many senders as it remembers in a minute.
const LINES: usize = 256;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each attack lasts, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u16,
    /// Only these attacks.
    #[arg(long, value_name = "ATTACK", value_delimiter = ',')]
    only: Vec<Attack>,
    /// At whom.
    #[arg(long, value_name = "WHOM", value_delimiter = ',', default_values_t = [At::Master, At::Backup])]
    at: Vec<At>,
    /// How many threads send.
    #[arg(long, value_name = "N", default_value_t = 1)]
    senders: u8,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Without keepalived.
    #[arg(long)]
    alone: bool,
}

/// At whom packets are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum At {
    /// At the master's network card.
    Master,
    /// At the backup's network card.
    Backup,
    /// At the group, and so at both, which share the machine's cores then.
    Both,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Master => "master",
            Self::Backup => "backup",
            Self::Both => "both",
        })
    }
}

impl At {
    /// Whose daemons receive it: 0 is the master, 1 the backup.
    const fn roles(self) -> &'static [usize] {
        match self {
            Self::Master => &[0],
            Self::Backup => &[1],
            Self::Both => &[0, 1],
        }
    }
}

/// What came of one attack.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    pub(crate) attack: Attack,
    pub(crate) at: At,
    /// Packets a second.
    pub(crate) rate: f64,
    /// Changes of state, of master and backup.
    pub(crate) transitions: usize,
    /// Advertisements that the backup sent, which is to be silent.
    pub(crate) usurped: usize,
    /// How late the master's latest advertisement was.
    pub(crate) latest: Duration,
    /// How many were later than allowed and not excused by a standstill.
    pub(crate) late: usize,
    /// How many were later than allowed and are excused.
    pub(crate) excused: usize,
    /// By how much the memory of those attacked grew, in KiB: resident, and proportionally shared.
    pub(crate) rss: i64,
    pub(crate) pss: i64,
    /// Lines in the logs of those attacked.
    pub(crate) lines: usize,
    /// Share of one core that those attacked took.
    pub(crate) cpu: f64,
    /// Packets for which their sockets had no room.
    pub(crate) lost: u64,
    /// The machine's longest standstill meanwhile.
    pub(crate) standstill: Duration,
}

impl Outcome {
    /// What is not as it must be.
    pub(crate) fn problems(&self) -> Vec<&'static str> {
        let lines = LINES * self.at.roles().len();
        [
            (
                self.attack != Attack::Nothing && self.rate < FAST,
                "sender too slow",
            ),
            (self.transitions > 0, "transition"),
            (self.usurped > 0, "two masters"),
            (self.late > 0, "late"),
            (self.rss.max(self.pss) > GROWTH, "memory"),
            (self.lines > lines, "log"),
        ]
        .into_iter()
        .filter_map(|(is, what)| is.then_some(what))
        .collect()
    }
}

/// Whether all was as it must be with our daemon.
pub(crate) fn run(options: &Options) -> Result<bool> {
    stall_detector::start();
    let started = Instant::now();
    let tell = |what: &str| {
        let seconds = started.elapsed().as_secs();
        let _ = writeln!(io::stderr(), "[{seconds:>4} s] {what}");
    };
    let mut kinds = vec![Kind::Vrrpd];
    if !options.alone {
        if daemons::keepalived_program().is_some() {
            kinds.push(Kind::Keepalived);
        } else {
            tell("keepalived is not installed, so there is nothing to compare with");
        }
    }
    let (mut outcomes, mut missing) = (Vec::new(), Vec::new());
    for attack in Attack::value_variants() {
        if !options.only.is_empty() && !options.only.contains(attack) {
            continue;
        }
        for at in &options.at {
            for kind in &kinds {
                let name = format!("{attack}, at {at}, {kind}");
                tell(&name);
                match steadily(*kind, *attack, *at, options, &tell) {
                    Ok(outcome) => outcomes.push(outcome),
                    Err(error) => {
                        tell(&format!("not measured: {error}"));
                        missing.push(format!("{name}: {error}"));
                    }
                }
            }
        }
    }
    let text = if options.json {
        format!("{:#}\n", table::json(&outcomes, &missing))
    } else {
        table::text(&outcomes, &missing)
    };
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| Error::new("printing the results", error))?;
    let ours = |outcome: &&Outcome| outcome.kind == Kind::Vrrpd;
    Ok(missing.is_empty()
        && outcomes
            .iter()
            .filter(ours)
            .all(|outcome| outcome.problems().is_empty()))
}

/// An attack, and again when it went wrong on a machine that stood still meanwhile.
fn steadily(
    kind: Kind,
    attack: Attack,
    at: At,
    options: &Options,
    tell: &impl Fn(&str),
) -> Result<Outcome> {
    let mut attempt = 1;
    loop {
        let outcome = measure(kind, attack, at, options)?;
        let problems = outcome.problems();
        // Longer than this a daemon's own work never keeps another from its core.
        let stood_still = outcome.standstill > Duration::from_millis(40);
        if problems.is_empty() || !stood_still || attempt == ATTEMPTS {
            return Ok(outcome);
        }
        attempt += 1;
        tell(&format!(
            "again, because the machine stood still for {} ms: {}",
            outcome.standstill.as_millis(),
            problems.join(", ")
        ));
    }
}

fn measure(kind: Kind, attack: Attack, at: At, options: &Options) -> Result<Outcome> {
    let interval = attack.interval();
    let span = Duration::from_secs(options.seconds.into());
    let fixture = Fixture::new(kind, attack)?;
    let begun = Moment::now();
    // So that there is one before the attack, from which the first one in it is counted.
    sleep(interval + interval / 2);
    let before = [fixture.counted(0)?, fixture.counted(1)?];
    let from = Moment::now();
    let rate = if attack == Attack::Nothing {
        sleep(span);
        0.0
    } else {
        let floods: Vec<Flood> = (0..options.senders)
            .map(|_| fixture.flood(attack, at))
            .collect::<Result<_>>()?;
        sleep(span);
        let sent: Vec<Sent> = floods.into_iter().map(Flood::stop).collect::<Result<_>>()?;
        sent.iter().map(Sent::rate).sum()
    };
    let to = Moment::now();
    let after = [fixture.counted(0)?, fixture.counted(1)?];
    // And one after it.
    sleep(interval + interval / 2);
    let passed = fixture.passed(begun);
    let Lateness {
        latest,
        late,
        excused,
    } = lateness(&passed, interval, from, Moment::now());
    let of = |role: usize| (&before[role], &after[role]);
    let roles = at.roles();
    let grown = |pick: fn(&fixture::Counted) -> u32| {
        let growth = |(before, after)| i64::from(pick(after)) - i64::from(pick(before));
        roles.iter().map(|role| growth(of(*role))).sum()
    };
    let cpu = |role: &usize| {
        let (before, after) = of(*role);
        let wall = (after.at - before.at).as_secs_f64();
        after.cpu.saturating_sub(before.cpu).as_secs_f64() / wall
    };
    Ok(Outcome {
        kind,
        attack,
        at,
        rate,
        transitions: [0, 1]
            .into_iter()
            .map(|role| fixture.transitions(role, before[role].lines))
            .sum(),
        usurped: passed
            .iter()
            .filter(|passed| passed.from == 1 && passed.at >= from)
            .count(),
        latest,
        late,
        excused,
        rss: grown(|counted| counted.memory.rss),
        pss: grown(|counted| counted.memory.pss),
        lines: roles
            .iter()
            .map(|role| after[*role].lines - before[*role].lines)
            .sum(),
        cpu: roles.iter().map(cpu).sum(),
        lost: roles
            .iter()
            .map(|role| after[*role].lost.saturating_sub(before[*role].lost))
            .sum(),
        standstill: stall_detector::longest_between(from, to),
    })
}

#[derive(Debug, Default)]
struct Lateness {
    latest: Duration,
    late: usize,
    excused: usize,
}

/// How late the master's advertisements were, each counted from the one before it, and the one that
/// is missing at the end.
fn lateness(passed: &[Passed], interval: Duration, from: Moment, end: Moment) -> Lateness {
    let mut found = Lateness::default();
    let mut judge = |gap: Duration, begin: Moment, end: Moment| {
        if end < from {
            return;
        }
        let late = gap.saturating_sub(interval);
        found.latest = found.latest.max(late);
        if late > interval / LATE {
            let granted = stall_detector::longest_between(begin, end);
            if late > interval / LATE + granted {
                found.late += 1;
            } else {
                found.excused += 1;
            }
        }
    };
    let master: Vec<_> = passed.iter().filter(|passed| passed.from == 0).collect();
    for pair in master.windows(2) {
        judge(
            pair[1].wall.saturating_sub(pair[0].wall),
            pair[0].at,
            pair[1].at,
        );
    }
    // A master that has gone silent is as late as the silence is long.
    match master.last() {
        Some(last) if end.since(last.at) > interval * 2 => {
            judge(end.since(last.at), last.at, end);
        }
        Some(_) => {}
        None => judge(end.since(from), from, end),
    }
    found
}
