//! Measures the daemon and keepalived alternately in one run, because only ratios are reproducible:
//! the speed of a virtual machine may halve within an hour.
//!
//! - `takeover`: delay of a backup's takeover after the master failed, beyond the limit of the
//!   protocol.
//! - `priority`: time from a lowered priority of the master to the first advertisement of the next one.
//! - `maintenance`: time without an answer for a client, changes of master, and the lateness of advertisements, when
//!   the master's host is drained, or its daemon stopped or restarted.
//! - `jitter`: deviation of a master's advertisements from the interval.
//! - `cost`: CPU time and memory of a pair in normal operation.
//! - `many`: duration of the takeover of many addresses at once.
//! - `trackers`: CPU time of a daemon with a hundred trackers at an interval of one second.
//!
//! `takeover` and `jitter` run also with all cores busy. Each section runs daemons in its own `fixture`;
//! `subject` configures, starts and kills each kind of daemon, `proc` reads /proc, `stats` and
//! `report` compute the figures and compare them with the project's requirements.

mod cost;
mod fixture;
mod jitter;
mod load;
pub(crate) mod proc;
mod report;
mod stats;
pub(crate) mod subject;
mod takeover;
mod trackers;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use vrrp_lab::{Error, Result, daemons};

use cost::Cost;
use load::Load;
use report::{Demand, Report, Row};
use stats::Summary;
use subject::{Kind, Task};
use takeover::{Death, Maintained, Maintenance};
use trackers::Watched;

/// Highest allowed takeover delay, in microseconds.
const LATEST: f64 = 300.0;
/// Greatest allowed lateness of an advertisement at a restart at 1 s, in microseconds.
const LATEST_OF_RESTART: f64 = 50_000.0;
/// Highest allowed cost of a hundred probes at 1 s, in microseconds of CPU time per second: 2 % of
/// a core.
const MOST_FOR_PROBES: f64 = 20_000.0;
/// Number of parallel pairs of each kind where a takeover takes seconds.
const LANES: usize = 5;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Number of killed masters for each figure.
    #[arg(long, value_name = "N", default_value_t = 20)]
    deaths: usize,
    /// Advertisement intervals of the takeovers, in milliseconds.
    #[arg(long, value_name = "MS", value_delimiter = ',', default_values_t = [1000, 100, 10])]
    intervals: Vec<u16>,
    /// Quick run of 90 seconds: fewer takeovers, shorter measurements, 250 instances only.
    #[arg(long)]
    quick: bool,
    /// Runs only these sections.
    #[arg(long, value_name = "SECTION", value_delimiter = ',')]
    only: Vec<Section>,
    /// Prints the results as JSON.
    #[arg(long)]
    json: bool,
    /// Fails if a requirement is not met: takeovers within 300 us of the protocol's limit;
    /// takeovers, CPU time and memory at 250 instances, and CPU time with 100 scripts at most 10 %
    /// above keepalived's; 100 probes in at most 2 % of a core.
    #[arg(long)]
    assert: bool,
    /// Omits keepalived.
    #[arg(long)]
    alone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    Takeover,
    TakeoverBusy,
    Priority,
    Maintenance,
    Jitter,
    JitterBusy,
    Cost,
    Many,
    Trackers,
}

/// Runs the benchmark and prints the report. Returns whether all was measured, and with `--assert`
/// whether all requirements are met.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut bench = Bench::new(options);
    for section in Section::value_variants() {
        if options.only.is_empty() || options.only.contains(section) {
            bench.measure(*section);
        }
    }
    let report = bench.report;
    let text = if options.json {
        format!("{:#}\n", report.json())
    } else {
        report.to_string()
    };
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| Error::new("printing the results", error))?;
    Ok(report.missing.is_empty() && (!options.assert || report.is_met()))
}

struct Bench<'o> {
    options: &'o Options,
    kinds: Vec<Kind>,
    started: Instant,
    report: Report,
}

impl<'o> Bench<'o> {
    fn new(options: &'o Options) -> Self {
        let mut bench = Self {
            options,
            kinds: vec![Kind::Vrrpd],
            started: Instant::now(),
            report: Report::default(),
        };
        if options.alone {
            return bench;
        }
        if daemons::PeerProgram::keepalived().is_some() {
            bench.kinds.push(Kind::Keepalived);
        } else {
            bench.progress("keepalived is not installed: no comparison");
        }
        bench
    }

    fn measure(&mut self, section: Section) {
        let load = match section {
            Section::TakeoverBusy | Section::JitterBusy => match Load::start() {
                Ok(load) => Some(load),
                Err(error) => return self.miss("busy cores", &error),
            },
            Section::Takeover
            | Section::Priority
            | Section::Maintenance
            | Section::Jitter
            | Section::Cost
            | Section::Many
            | Section::Trackers => None,
        };
        let how = if load.is_some() {
            ", all cores busy"
        } else {
            ""
        };
        match section {
            Section::Takeover | Section::TakeoverBusy => self.takeovers(how),
            Section::Priority => self.priorities(),
            Section::Maintenance => self.maintenance(),
            Section::Jitter | Section::JitterBusy => self.jitters(how),
            Section::Cost => self.costs(),
            Section::Many => self.many(),
            Section::Trackers => self.trackers(),
        }
    }

    /// Number of samples for each figure about a master that changes.
    fn samples(&self) -> usize {
        match self.options.quick {
            true => self.options.deaths.min(5),
            false => self.options.deaths,
        }
    }

    fn takeovers(&mut self, how: &str) {
        let section = format!("Takeover delay beyond 3 x interval + skew time{how}");
        let deaths = self.samples();
        for millis in self.options.intervals.clone() {
            let lanes = lanes(millis);
            self.progress(&format!("takeovers at {millis} ms{how}"));
            let task = Task::single(Duration::from_millis(millis.into()));
            let found = match takeover::measure(&self.kinds, task, deaths, lanes, takeover::series)
            {
                Ok(found) => found,
                Err(error) => {
                    self.miss(&format!("takeovers at {millis} ms{how}"), &error);
                    continue;
                }
            };
            let of = |pick: fn(&Death) -> &Vec<f64>| {
                summaries(&found, |deaths| {
                    deaths.iter().flat_map(pick).copied().collect()
                })
            };
            for (what, figures) in [
                ("first advertisement", of(|death| &death.adverts)),
                ("first gratuitous ARP", of(|death| &death.announcements)),
            ] {
                let what = format!("{what}, {millis} ms");
                self.add(&section, what, "us", figures, Demand::AtMostAndPeer(LATEST));
            }
        }
    }

    fn priorities(&mut self) {
        let count = self.samples();
        for millis in self.options.intervals.clone() {
            let lanes = lanes(millis);
            let what = format!("new master, {millis} ms");
            self.progress(&format!("lowered priorities at {millis} ms"));
            let task = Task {
                is_weighted: true,
                ..Task::single(Duration::from_millis(millis.into()))
            };
            match takeover::measure(&self.kinds, task, count, lanes, takeover::lowered) {
                Ok(found) => {
                    let figures = summaries(&found, Vec::clone);
                    let section = "From a priority lowered by 50 to the first advertisement";
                    self.add(section, what, "us", figures, Demand::Peer);
                }
                Err(error) => self.miss(&what, &error),
            }
        }
    }

    fn maintenance(&mut self) {
        let count = self.samples();
        let section = "Maintenance of a master's host, for a client that asks every millisecond";
        for (maintenance, name) in [
            (Maintenance::Stop, "stop"),
            (Maintenance::Drain, "drain"),
            (Maintenance::Restart, "restart"),
        ] {
            let mut kinds = self.kinds.clone();
            if maintenance == Maintenance::Drain {
                kinds.retain(|kind| *kind == Kind::Vrrpd);
            }
            for millis in self.options.intervals.clone() {
                let lanes = lanes(millis);
                let what = format!("{name} at {millis} ms");
                self.progress(&format!("maintenance: {what}"));
                let task = Task::single(Duration::from_millis(millis.into()));
                let series =
                    |kind, task, count| takeover::maintained(maintenance, kind, task, count);
                let found = match takeover::measure(&kinds, task, count, lanes, series) {
                    Ok(found) => found,
                    Err(error) => {
                        self.miss(&what, &error);
                        continue;
                    }
                };
                let of = |pick: fn(&Maintained) -> f64| {
                    summaries(&found, |all| all.iter().map(pick).collect())
                };
                let outages = of(|it| it.outage);
                self.add(
                    section,
                    format!("{what}, outage"),
                    "us",
                    outages,
                    Demand::Peer,
                );
                let changes = of(|it| it.changes);
                self.add(
                    section,
                    format!("{what}, changes"),
                    "",
                    changes,
                    Demand::None,
                );
                let late = of(|it| it.late);
                // At shorter intervals the time of a start counts.
                let demand = match (maintenance, millis) {
                    (Maintenance::Restart, 1000) => Demand::AtMostAndPeer(LATEST_OF_RESTART),
                    _ => Demand::None,
                };
                let what = format!("{what}, latest advertisement");
                self.add(section, what, "us", late, demand);
            }
        }
    }

    fn jitters(&mut self, how: &str) {
        let section = format!("Jitter of a master's advertisements{how}");
        for (millis, seconds) in [(100, 12), (10, 6)] {
            self.progress(&format!("advertisements at {millis} ms{how}"));
            let interval = Duration::from_millis(millis);
            let span = Duration::from_secs(if self.options.quick { 2 } else { seconds });
            let kinds = &self.kinds;
            // In parallel: the load of the machine disturbs both daemons equally.
            let results: Result<BTreeMap<Kind, _>> = thread::scope(|scope| {
                let start = |kind: Kind| {
                    (
                        kind,
                        scope.spawn(move || jitter::measure(kind, interval, span)),
                    )
                };
                let running: Vec<_> = kinds.iter().copied().map(start).collect();
                let end = |(kind, thread): (Kind, thread::ScopedJoinHandle<'_, _>)| {
                    let panicked = |_| Err(Error::new("measuring jitter", "a thread panicked"));
                    Ok((kind, thread.join().unwrap_or_else(panicked)?))
                };
                running.into_iter().map(end).collect()
            });
            match results {
                Ok(found) => {
                    let gaps = summaries(&found, |jitter| {
                        jitter.deviations.iter().map(|gap| gap.abs()).collect()
                    });
                    let differences = summaries(&found, |jitter| {
                        let median = Summary::of(jitter.deviations.iter().copied());
                        median.map(|summary| summary.median).into_iter().collect()
                    });
                    let what = format!("deviation from the interval, {millis} ms");
                    self.add(&section, what, "us", gaps, Demand::None);
                    let what = format!("drift per advertisement, {millis} ms");
                    self.add(&section, what, "us", differences, Demand::None);
                }
                Err(error) => self.miss(&format!("jitter at {millis} ms{how}"), &error),
            }
        }
    }

    fn costs(&mut self) {
        let quick = self.options.quick;
        for (instances, millis) in [(1, 1000), (50, 1000), (250, 1000), (250, 100)] {
            if quick && (instances, millis) != (250, 1000) {
                continue;
            }
            let many = if instances == 1 {
                "instance"
            } else {
                "instances"
            };
            let name = format!("{instances} {many} at {millis} ms");
            let task = Task {
                instances,
                addresses: 1,
                interval: Duration::from_millis(millis),
                is_weighted: false,
            };
            let mut found: BTreeMap<Kind, Vec<Cost>> = BTreeMap::new();
            // Alternating order: other load on the machine affects both daemons.
            let rounds = if quick { 1 } else { 2 };
            let span = Duration::from_secs(3);
            for kind in self.kinds.repeat(rounds) {
                self.progress(&format!("cost of {name}, {kind}"));
                match cost::measure(kind, task, span) {
                    Ok(cost) => found.entry(kind).or_default().push(cost),
                    Err(error) => self.miss(&format!("cost of {name}, {kind}"), &error),
                }
            }
            self.add_costs(&name, instances, &found);
        }
    }

    fn add_costs(&mut self, name: &str, instances: u16, found: &BTreeMap<Kind, Vec<Cost>>) {
        type Pick = fn(&Cost) -> f64;
        let section = format!("Cost of {name}");
        let demand = if instances == 250 {
            Demand::Peer
        } else {
            Demand::None
        };
        let picks: [(&str, &'static str, Demand, Pick); 8] = [
            ("CPU time, master", "us/s", demand, |cost| cost.master.rate),
            ("CPU time, backup", "us/s", demand, |cost| cost.backup.rate),
            (
                "CPU time per advertisement sent",
                "us",
                Demand::None,
                |cost| cost.master.per_advert,
            ),
            (
                "CPU time per advertisement received",
                "us",
                Demand::None,
                |cost| cost.backup.per_advert,
            ),
            ("memory (PSS), master alone", "KiB", demand, |cost| {
                cost.master_memory.pss.into()
            }),
            (
                "private memory, master alone",
                "KiB",
                Demand::None,
                |cost| cost.master_memory.private.into(),
            ),
            (
                "memory (PSS), backup beside a master",
                "KiB",
                demand,
                |cost| cost.backup_memory.pss.into(),
            ),
            ("private memory, backup", "KiB", Demand::None, |cost| {
                cost.backup_memory.private.into()
            }),
        ];
        for (what, unit, demand, pick) in picks {
            let figures = summaries(found, |costs| costs.iter().map(pick).collect());
            self.add(&section, what.to_owned(), unit, figures, demand);
        }
    }

    fn many(&mut self) {
        let quick = self.options.quick;
        for (instances, addresses) in [(1, 250), (250, 1), (1000, 1)] {
            if quick && instances != 250 {
                continue;
            }
            let name = if instances == 1 {
                format!("Takeover of {addresses} addresses of one instance")
            } else {
                format!("Takeover of {instances} instances with one address each")
            };
            let task = Task {
                instances,
                addresses,
                interval: Duration::from_secs(1),
                is_weighted: false,
            };
            let mut found: BTreeMap<Kind, Vec<Death>> = BTreeMap::new();
            for kind in self.kinds.clone() {
                self.progress(&format!("{name}, {kind}"));
                match takeover::series(kind, task, if quick { 1 } else { 3 }) {
                    Ok(deaths) => found.entry(kind).or_default().extend(deaths),
                    Err(error) => self.miss(&format!("{name}, {kind}"), &error),
                }
            }
            type Pick = fn(&Death) -> f64;
            let picks: [(&str, Pick); 4] = [
                ("last ARP after the last deadline", |death| death.last),
                ("latest ARP after its own deadline", |death| death.latest()),
                ("ARP after its own deadline, median", |death| death.middle()),
                ("first deadline to last deadline", |death| death.spread),
            ];
            for (what, pick) in picks {
                let figures = summaries(&found, |deaths| {
                    deaths.iter().map(|death| pick(death) / 1e3).collect()
                });
                self.add(&name, what.to_owned(), "ms", figures, Demand::None);
            }
        }
    }

    fn trackers(&mut self) {
        let section = format!("{} trackers at 1 s", trackers::MANY);
        let span = Duration::from_secs(if self.options.quick { 4 } else { 10 });
        for watched in [Watched::Script, Watched::Ping, Watched::Port, Watched::Page] {
            let name = watched.name();
            let is_script = watched == Watched::Script;
            let mut found: BTreeMap<Kind, Vec<trackers::Cost>> = BTreeMap::new();
            let rounds = if self.options.quick { 1 } else { 2 };
            for kind in self.kinds.repeat(rounds) {
                if kind == Kind::Keepalived && !is_script {
                    continue;
                }
                self.progress(&format!("cost of {} {name}s, {kind}", trackers::MANY));
                match trackers::measure(kind, watched, span) {
                    Ok(cost) => found.entry(kind).or_default().push(cost),
                    Err(error) => self.miss(&format!("cost of {name}s, {kind}"), &error),
                }
            }
            let of = |pick: fn(&trackers::Cost) -> f64| {
                summaries(&found, |costs| costs.iter().map(pick).collect())
            };
            let own = of(|cost| cost.own);
            if is_script {
                let children = of(|cost| cost.children);
                self.add(
                    &section,
                    format!("{name}, daemon"),
                    "us/s",
                    own,
                    Demand::Peer,
                );
                let what = format!("{name}, child processes");
                self.add(&section, what, "us/s", children, Demand::None);
            } else {
                let demand = Demand::AtMostAndPeer(MOST_FOR_PROBES);
                self.add(&section, name.to_owned(), "us/s", own, demand);
            }
        }
    }

    fn add(
        &mut self,
        section: &str,
        what: String,
        unit: &'static str,
        (vrrpd, keepalived): (Option<Summary>, Option<Summary>),
        demand: Demand,
    ) {
        self.report.rows.push(Row {
            section: section.to_owned(),
            what,
            unit,
            vrrpd,
            keepalived,
            demand,
        });
    }

    fn miss(&mut self, what: &str, error: &Error) {
        let missing = format!("{what}: {error}");
        self.progress(&format!("not measured: {missing}"));
        self.report.missing.push(missing);
    }

    /// Prints progress on standard error.
    fn progress(&self, what: &str) {
        let seconds = self.started.elapsed().as_secs();
        let _ = writeln!(io::stderr(), "[{seconds:>3} s] {what}");
    }
}

/// Number of parallel pairs of each kind at an interval in milliseconds.
const fn lanes(millis: u16) -> usize {
    if millis >= 1000 { LANES } else { 1 }
}

/// Summarises the samples of each kind's measurements, for vrrpd and keepalived.
fn summaries<T>(
    found: &BTreeMap<Kind, T>,
    samples: impl Fn(&T) -> Vec<f64>,
) -> (Option<Summary>, Option<Summary>) {
    let of = |kind| {
        found
            .get(&kind)
            .and_then(|found| Summary::of(samples(found)))
    };
    (of(Kind::Vrrpd), of(Kind::Keepalived))
}
