//! Floods the daemon, and keepalived where it is installed, with packets that must not change its
//! state, as fast as one sender can, and measures transitions, advertisements, memory and log lines
//! of master and backup.
//!
//! `attack` builds the packets, `clients` disturbs the daemon's sockets, `fixture` contains the attacked
//! hosts and the observations, `table` prints the results.
//!
//! A daemon cannot keep its timers while it is not scheduled: lateness that a stall of the machine
//! explains is subtracted for both daemons, and an attack with a problem during a stall is
//! repeated.

mod attack;
mod clients;
mod fixture;
mod table;

use std::io::{self, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use vrrp_lab::{Error, Flood, Moment, Result, Sent, daemons, stall_detector};

use self::attack::Attack;
use self::clients::Clients;
use self::fixture::{Fixture, Passed};
use crate::bench::subject::Kind;

/// Highest number of attempts for an attack with a problem during a stall of the machine.
const ATTEMPTS: u32 = 3;

/// Allowed lateness of an advertisement, as a divisor of its interval.
const LATE: u32 = 10;

/// Allowed log lines per daemon: the number of senders that it remembers in a minute.
const LINES: usize = 256;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Duration of each attack, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u16,
    /// Runs only these attacks.
    #[arg(long, value_name = "ATTACK", value_delimiter = ',')]
    only: Vec<Attack>,
    /// Targets of the attacks.
    #[arg(long, value_name = "TARGET", value_delimiter = ',', default_values_t = [At::Master, At::Backup])]
    at: Vec<At>,
    /// Number of sending threads.
    #[arg(long, value_name = "N", default_value_t = 1)]
    senders: u8,
    /// Prints the results as JSON.
    #[arg(long)]
    json: bool,
    /// Omits keepalived.
    #[arg(long)]
    alone: bool,
}

/// Target of the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum At {
    /// MAC address of the master.
    Master,
    /// MAC address of the backup.
    Backup,
    /// Multicast group, and so both hosts, which then share the machine's cores.
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
    /// Indexes of the daemons that receive the packets: 0 is the master, 1 the backup.
    const fn roles(self) -> &'static [usize] {
        match self {
            Self::Master => &[0],
            Self::Backup => &[1],
            Self::Both => &[0, 1],
        }
    }
}

/// Result of one attack.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    pub(crate) attack: Attack,
    pub(crate) at: At,
    /// Packets, or connections of clients, per second.
    pub(crate) rate: f64,
    /// Transitions of master and backup.
    pub(crate) transitions: usize,
    /// Advertisements of the backup, which must be silent.
    pub(crate) usurped: usize,
    /// Greatest lateness of an advertisement of the master.
    pub(crate) latest: Duration,
    /// Number of advertisements later than allowed that no stall of the machine excuses.
    pub(crate) late: usize,
    /// Number of advertisements later than allowed that a stall of the machine excuses.
    pub(crate) excused: usize,
    /// Memory growth of the attacked daemons, in KiB: resident, and proportional set size.
    pub(crate) rss: i64,
    pub(crate) pss: i64,
    /// Log lines of the attacked daemons.
    pub(crate) lines: usize,
    /// CPU time of the attacked daemons, as a share of one core.
    pub(crate) cpu: f64,
    /// Packets dropped by full socket buffers.
    pub(crate) lost: u64,
    /// Longest stall of the machine during the attack.
    pub(crate) standstill: Duration,
}

impl Outcome {
    /// Names of the unmet requirements.
    pub(crate) fn problems(&self) -> Vec<&'static str> {
        let lines = LINES * self.at.roles().len();
        [
            (self.rate < self.attack.least_rate(), "sender too slow"),
            (self.transitions > 0, "transition"),
            (self.usurped > 0, "two masters"),
            (self.late > 0, "late advertisement"),
            (
                self.rss.max(self.pss) > self.attack.most_growth(),
                "memory growth",
            ),
            (self.lines > lines, "log lines"),
        ]
        .into_iter()
        .filter_map(|(unmet, what)| unmet.then_some(what))
        .collect()
    }
}

/// Runs the attacks and prints the results. Returns whether `vrrpd` met all requirements.
pub(crate) fn run(options: &Options) -> Result<bool> {
    stall_detector::start();
    let started = Instant::now();
    let progress = |what: &str| {
        let seconds = started.elapsed().as_secs();
        let _ = writeln!(io::stderr(), "[{seconds:>4} s] {what}");
    };
    let mut kinds = vec![Kind::Vrrpd];
    if !options.alone {
        if daemons::PeerProgram::keepalived().is_some() {
            kinds.push(Kind::Keepalived);
        } else {
            progress("keepalived is not installed: no comparison");
        }
    }
    let (mut outcomes, mut missing) = (Vec::new(), Vec::new());
    for attack in Attack::value_variants() {
        if !options.only.is_empty() && !options.only.contains(attack) {
            continue;
        }
        for at in &options.at {
            let kinds = kinds.iter();
            for kind in kinds.filter(|kind| attack.concerns(**kind)) {
                let name = format!("{attack}, at {at}, {kind}");
                progress(&name);
                match measure_repeatedly(*kind, *attack, *at, options, &progress) {
                    Ok(outcome) => outcomes.push(outcome),
                    Err(error) => {
                        progress(&format!("not measured: {error}"));
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

/// Runs an attack, and repeats it after a problem during a stall of the machine.
fn measure_repeatedly(
    kind: Kind,
    attack: Attack,
    at: At,
    options: &Options,
    progress: &impl Fn(&str),
) -> Result<Outcome> {
    let mut attempt = 1;
    loop {
        let outcome = measure(kind, attack, at, options)?;
        let problems = outcome.problems();
        // A daemon's own work never delays another process for longer than this, so the machine
        // did.
        let stalled = outcome.standstill > Duration::from_millis(40);
        if problems.is_empty() || !stalled || attempt == ATTEMPTS {
            return Ok(outcome);
        }
        attempt += 1;
        progress(&format!(
            "repeated, the machine stalled for {} ms: {}",
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
    // Waits for an advertisement before the attack, from which the first gap of the attack is
    // measured.
    sleep(interval + interval / 2);
    let before = [fixture.counted(0)?, fixture.counted(1)?];
    let from = Moment::now();
    let rate = if attack == Attack::Nothing {
        sleep(span);
        0.0
    } else if attack == Attack::Clients {
        let clients = at.roles().iter().map(|role| fixture.disturb(*role));
        let clients: Vec<Clients> = clients.collect::<Result<_>>()?;
        sleep(span);
        let rates: Vec<f64> = clients
            .into_iter()
            .map(Clients::stop)
            .collect::<Result<_>>()?;
        rates.iter().sum()
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
    // Waits for an advertisement after the attack, which ends its last gap.
    sleep(interval + interval / 2);
    let passed = fixture.passed(begun);
    let vrids = attack.routers().into_iter().map(|(vrid, _)| vrid);
    let Lateness {
        latest,
        late,
        excused,
    } = lateness(&passed, vrids, interval, from, Moment::now());
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

/// Computes the lateness of the master's advertisements, each relative to the previous one of its router, and
/// of a missing one at the end.
fn lateness(
    passed: &[Passed],
    vrids: impl IntoIterator<Item = u8>,
    interval: Duration,
    from: Moment,
    end: Moment,
) -> Lateness {
    let mut found = Lateness::default();
    let mut add_gap = |gap: Duration, begin: Moment, end: Moment| {
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
    for vrid in vrids {
        let master = passed.iter().filter(|it| it.from == 0 && it.vrid == vrid);
        let master: Vec<_> = master.collect();
        for pair in master.windows(2) {
            add_gap(
                pair[1].wall.saturating_sub(pair[0].wall),
                pair[0].at,
                pair[1].at,
            );
        }
        // A silent master is as late as its silence is long.
        match master.last() {
            Some(last) if end.since(last.at) > interval * 2 => {
                add_gap(end.since(last.at), last.at, end);
            }
            Some(_) => {}
            None => add_gap(end.since(from), from, end),
        }
    }
    found
}
