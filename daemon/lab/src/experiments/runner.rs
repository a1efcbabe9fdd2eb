//! Runner of the steps: prints each step with its expectation, the observed result, and the
//! verdict.
//!
//! A step is a [`Plan`] and a function that performs it. [`Runner::step`] calls the function, waits
//! until everything is at rest again, and then judges the criteria common to all steps: the
//! client's outage against the limit of the protocol, the holders of the addresses, and whether two
//! hosts held one at once. The function adds the criteria specific to its step to its [`Trial`]. A
//! failed step is printed with both daemons' logs, and the next step runs.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use vrrp_lab::{Moment, Result};

use super::course::Role;
use super::experiment::{Experiment, Overlap};
use super::report::{Row, Times};
use super::{ALLOWANCE, millis};

/// Number of log lines per daemon that a failed step shows.
const TAIL: usize = 15;

/// Request interval of the client: an outage shorter than two intervals is none.
const RHYTHM: Duration = Duration::from_millis(10);

/// A step: name, expectation, and limits.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) expected: String,
    /// Longest outage of a client that the protocol allows.
    pub(crate) bound: Duration,
    /// Holder of each instance's address at the end.
    pub(crate) holders: &'static [Role],
    pub(crate) two_holders: TwoHolders,
}

/// Times at which both hosts may hold an address at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TwoHolders {
    /// Never.
    Never,
    /// While the first advertisement of the next master is under way: of one with a higher priority, or
    /// of the successor of a master that resigned and keeps its address until then.
    Handover,
    /// From the takeover from a frozen host until that host resumes; and at the handover back.
    Frozen,
}

/// A step in progress.
pub(crate) struct Trial {
    pub(crate) start: Moment,
    /// Time from which on the client must receive answers.
    pub(crate) serves_from: Moment,
    /// Time at which a frozen daemon was resumed.
    pub(crate) resumed: Option<Moment>,
    why: String,
    facts: Vec<String>,
    /// Timed events: what, duration, and limit.
    times: Vec<(String, Duration, Duration)>,
    problems: Vec<String>,
}

/// Runner of all steps of a run.
pub(crate) struct Runner {
    begun: Moment,
    experiment: u8,
    verbose: bool,
    /// Whether progress goes to standard error, because standard output is the JSON result.
    to_stderr: bool,
    /// Whether packets are captured for the report.
    pub(crate) has_report: bool,
    rows: Vec<Row>,
}

impl Runner {
    pub(crate) fn new(verbose: bool, to_stderr: bool, has_report: bool) -> Self {
        Self {
            begun: Moment::now(),
            experiment: 0,
            verbose,
            to_stderr,
            has_report,
            rows: Vec::new(),
        }
    }

    /// Begins an experiment and prints its headline.
    pub(crate) fn experiment(&mut self, number: u8, headline: &str) {
        self.experiment = number;
        self.print_line(format_args!("Experiment {number}: {headline}"));
    }

    /// Runs a step. Returns whether it met its expectations.
    pub(crate) fn step<'h>(
        &mut self,
        experiment: &mut Experiment<'h>,
        plan: Plan,
        run: impl FnOnce(&mut Experiment<'h>, &mut Trial) -> Result<()>,
    ) -> bool {
        let start = Moment::now();
        let mut trial = Trial {
            start,
            serves_from: start,
            resumed: None,
            why: String::new(),
            facts: Vec::new(),
            times: Vec::new(),
            problems: Vec::new(),
        };
        self.print_line_at(trial.start, plan.name);
        let ran = run(experiment, &mut trial);
        if let Err(error) = ran.and_then(|()| experiment.wait_for_rest(plan.holders)) {
            trial.problems.push(error.to_string());
        }
        let end = Moment::now();
        let standstill = experiment.standstill(trial.start, end);
        if !standstill.is_zero() {
            trial.fact(format_args!("machine stalled for {}", millis(standstill)));
        }
        // A client or daemon that was not scheduled cannot keep a time.
        let granted = ALLOWANCE + standstill;
        let outage = experiment.outage(trial.serves_from, end);
        if outage > plan.bound + granted {
            trial.problems.push(format!(
                "client without an answer for {}, the protocol allows {}: {}",
                millis(outage),
                millis(plan.bound),
                experiment.gap(trial.serves_from, end)
            ));
        }
        trial.judge_times(granted);
        trial.judge_overlaps(
            &experiment.overlaps(trial.start, end),
            plan.two_holders,
            granted,
        );
        if experiment.lost_events() {
            trial
                .problems
                .push("the kernel dropped address events".to_owned());
        }
        let times = Times {
            begun: trial.start,
            start: trial.start,
            end,
            serves_from: trial.serves_from,
            bound: plan.bound,
        };
        let row = Row {
            experiment: self.experiment,
            name: plan.name,
            expected: plan.expected,
            seen: trial.facts.join(", "),
            outage,
            bound: plan.bound,
            problems: trial.problems,
            drawing: experiment.drawing(plan.name, times),
        };
        self.report(experiment, trial.start, &trial.why, &row);
        let good = row.problems.is_empty();
        self.rows.push(row);
        good
    }

    /// Prints a progress line.
    pub(crate) fn print_line(&self, line: fmt::Arguments<'_>) {
        if self.to_stderr {
            let _ = writeln!(io::stderr(), "{line}");
        } else {
            print(line);
        }
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Duration of the run so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn report(&self, experiment: &Experiment<'_>, start: Moment, why: &str, row: &Row) {
        let outage = if row.outage < 2 * RHYTHM {
            "client served throughout".to_owned()
        } else {
            format!(
                "client without an answer for {} (bound {})",
                millis(row.outage),
                millis(row.bound)
            )
        };
        let mut lines = vec![row.seen.clone(), why.to_owned(), outage];
        lines.retain(|line| !line.is_empty());
        self.print_line_at(Moment::now(), &format!("  {}", lines.join("; ")));
        if !row.problems.is_empty() {
            self.print_line(format_args!("          FAILED, expected: {}", row.expected));
            for problem in &row.problems {
                self.print_line(format_args!("          problem: {problem}"));
            }
        }
        let (since, tail) = match (row.problems.is_empty(), self.verbose) {
            (true, false) => return,
            (false, false) => (Moment::default(), TAIL),
            (_, true) => (start, usize::MAX),
        };
        for role in [Role::Master, Role::Backup] {
            let lines = experiment.machine(role).log(since);
            for line in lines.iter().skip(lines.len().saturating_sub(tail)) {
                let at = line.at.since(self.begun).as_secs_f64();
                self.print_line(format_args!(
                    "          {at:8.3} {}: {}",
                    role.name(),
                    line.text
                ));
            }
        }
    }

    fn print_line_at(&self, at: Moment, what: &str) {
        let at = at.since(self.begun).as_secs_f64();
        self.print_line(format_args!("{at:6.1} s  {what}"));
    }
}

impl Trial {
    /// Adds an observation.
    pub(crate) fn fact(&mut self, fact: impl fmt::Display) {
        self.facts.push(fact.to_string());
    }

    /// Adds the duration of an event, which must not exceed `bound` plus the tolerance.
    pub(crate) fn took(&mut self, what: &str, took: Duration, bound: Duration) {
        self.fact(format_args!("{what} after {}", millis(took)));
        self.times.push((what.to_owned(), took, bound));
    }

    /// Sets the daemon's reason for the transition.
    pub(crate) fn reason(&mut self, cause: impl fmt::Display) {
        self.why = cause.to_string();
    }

    /// Requires a condition; otherwise adds the problem that `or_else` describes.
    pub(crate) fn require(&mut self, is_so: bool, or_else: impl FnOnce() -> String) {
        if !is_so {
            self.problems.push(or_else());
        }
    }

    fn judge_times(&mut self, granted: Duration) {
        for (what, took, bound) in std::mem::take(&mut self.times) {
            self.require(took <= bound + granted, || {
                format!(
                    "{what} after {}, the limit is {}",
                    millis(took),
                    millis(bound)
                )
            });
        }
    }

    fn judge_overlaps(&mut self, overlaps: &[Overlap], two_holders: TwoHolders, granted: Duration) {
        // The two routers did not know of each other yet: an advertisement was under way.
        let is_brief = |overlap: &Overlap| overlap.length() <= granted;
        for overlap in overlaps {
            let allowed = match two_holders {
                TwoHolders::Never => false,
                TwoHolders::Handover => is_brief(overlap),
                TwoHolders::Frozen => {
                    let resumed = self.resumed.unwrap_or_default();
                    is_brief(overlap) || overlap.to <= resumed + granted
                }
            };
            let length = overlap.length();
            self.require(allowed, || {
                format!("two hosts held the address for {}", precise(length))
            });
        }
        let brief = overlaps.iter().filter(|overlap| is_brief(overlap));
        if let Some(longest) = brief.map(Overlap::length).max() {
            self.fact(format_args!("two holders for {}", precise(longest)));
        }
    }
}

/// Formats milliseconds with two decimals, for durations below one millisecond.
pub(crate) fn precise(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1e3)
}

/// Prints a line on standard output. Errors are ignored: a closed pipe must not stop the run.
pub(crate) fn print(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
