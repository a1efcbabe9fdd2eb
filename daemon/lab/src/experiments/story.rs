//! The telling: each step as it happens, what was expected of it, what was seen, and the verdict.
//!
//! A step is a [`Plan`] and a function that does it. [`Story::step`] runs the function, waits
//! until everything is at rest again, and then judges what every step has in common: the client's
//! outage against the protocol's bound, who holds the addresses, and whether two held one at once.
//! What a step has of its own the function asks of its [`Act`]. A failing step is told with both
//! daemons' logs, and the story goes on.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use vrrp_lab::{Moment, Result};

use super::course::Who;
use super::scene::{Overlap, Scene};
use super::{ALLOWANCE, millis};

/// How many lines of each daemon's log a failing step shows.
const TAIL: usize = 15;

/// The client's rhythm: an outage shorter than two asks is none.
const RHYTHM: Duration = Duration::from_millis(10);

/// What a step is to show.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) expected: String,
    /// The longest outage of a client that the protocol allows.
    pub(crate) bound: Duration,
    /// Who holds each instance's address at the end.
    pub(crate) holders: &'static [Who],
    pub(crate) twice: Twice,
}

/// When both hosts may hold an address at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twice {
    /// At no moment.
    Never,
    /// While the first advertisement of a master with a higher priority is under way.
    Handover,
    /// From when the others miss a frozen host until it wakes; and at the handover back.
    Frozen,
}

/// A step that was played.
pub(crate) struct Row {
    pub(crate) experiment: u8,
    pub(crate) name: &'static str,
    pub(crate) expected: String,
    pub(crate) seen: String,
    pub(crate) outage: Duration,
    pub(crate) bound: Duration,
    /// What was not as it must be.
    pub(crate) problems: Vec<String>,
}

/// A step that is being played.
pub(crate) struct Act {
    pub(crate) start: Moment,
    /// From when on the client can expect answers.
    pub(crate) serves_from: Moment,
    /// When a frozen host was woken.
    pub(crate) woken: Option<Moment>,
    why: String,
    facts: Vec<String>,
    /// What took how long, and how long it may.
    times: Vec<(String, Duration, Duration)>,
    problems: Vec<String>,
}

/// All steps of a run.
pub(crate) struct Story {
    begun: Moment,
    experiment: u8,
    verbose: bool,
    /// Whether standard output belongs to the result alone.
    aside: bool,
    rows: Vec<Row>,
}

impl Story {
    pub(crate) fn new(verbose: bool, aside: bool) -> Self {
        Self {
            begun: Moment::now(),
            experiment: 0,
            verbose,
            aside,
            rows: Vec::new(),
        }
    }

    /// Begins an experiment, with a headline.
    pub(crate) fn experiment(&mut self, number: u8, headline: &str) {
        self.experiment = number;
        self.say(format_args!("Experiment {number}: {headline}"));
    }

    /// Plays a step. Whether all was as it must be.
    pub(crate) fn step<'h>(
        &mut self,
        scene: &mut Scene<'h>,
        plan: Plan,
        play: impl FnOnce(&mut Scene<'h>, &mut Act) -> Result<()>,
    ) -> bool {
        let start = Moment::now();
        let mut act = Act {
            start,
            serves_from: start,
            woken: None,
            why: String::new(),
            facts: Vec::new(),
            times: Vec::new(),
            problems: Vec::new(),
        };
        self.say_at(act.start, plan.name);
        let played = play(scene, &mut act);
        if let Err(error) = played.and_then(|()| scene.wait_for_rest(plan.holders)) {
            act.problems.push(error.to_string());
        }
        let end = Moment::now();
        let standstill = scene.standstill(act.start, end);
        if !standstill.is_zero() {
            act.fact(format_args!("machine still for {}", millis(standstill)));
        }
        let granted = ALLOWANCE + standstill;
        let outage = scene.outage(act.serves_from, end);
        if outage > plan.bound + granted {
            act.problems.push(format!(
                "the client had no answer for {}, and the protocol allows {}: {}",
                millis(outage),
                millis(plan.bound),
                scene.gap(act.serves_from, end)
            ));
        }
        act.judge_times(granted);
        act.judge_overlaps(&scene.overlaps(act.start, end), plan.twice, granted);
        if scene.lost_events() {
            act.problems
                .push("the kernel dropped address events".to_owned());
        }
        let row = Row {
            experiment: self.experiment,
            name: plan.name,
            expected: plan.expected,
            seen: act.facts.join(", "),
            outage,
            bound: plan.bound,
            problems: act.problems,
        };
        self.tell(scene, act.start, &act.why, &row);
        let good = row.problems.is_empty();
        self.rows.push(row);
        good
    }

    /// Tells something in a line of its own.
    pub(crate) fn say(&self, line: fmt::Arguments<'_>) {
        if self.aside {
            let _ = writeln!(io::stderr(), "{line}");
        } else {
            print(line);
        }
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// How long it took so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn tell(&self, scene: &Scene<'_>, start: Moment, why: &str, row: &Row) {
        let outage = if row.outage < 2 * RHYTHM {
            "client served throughout".to_owned()
        } else {
            format!(
                "client without answer for {} (bound {})",
                millis(row.outage),
                millis(row.bound)
            )
        };
        let mut lines = vec![row.seen.clone(), why.to_owned(), outage];
        lines.retain(|line| !line.is_empty());
        self.say_at(Moment::now(), &format!("  {}", lines.join("; ")));
        if !row.problems.is_empty() {
            self.say(format_args!("          FAILED, expected: {}", row.expected));
            for problem in &row.problems {
                self.say(format_args!("          seen: {problem}"));
            }
        }
        let (since, tail) = match (row.problems.is_empty(), self.verbose) {
            (true, false) => return,
            (false, false) => (Moment::default(), TAIL),
            (_, true) => (start, usize::MAX),
        };
        for who in [Who::Master, Who::Backup] {
            let lines = scene.machine(who).log(since);
            for line in lines.iter().skip(lines.len().saturating_sub(tail)) {
                let at = line.at.since(self.begun).as_secs_f64();
                self.say(format_args!(
                    "          {at:8.3} {}: {}",
                    who.name(),
                    line.text
                ));
            }
        }
    }

    fn say_at(&self, at: Moment, what: &str) {
        let at = at.since(self.begun).as_secs_f64();
        self.say(format_args!("{at:6.1} s  {what}"));
    }
}

impl Act {
    /// Something that was seen.
    pub(crate) fn fact(&mut self, fact: impl fmt::Display) {
        self.facts.push(fact.to_string());
    }

    /// Something that must not take longer than `bound`, beyond what a busy machine needs.
    pub(crate) fn took(&mut self, what: &str, took: Duration, bound: Duration) {
        self.fact(format_args!("{what} after {}", millis(took)));
        self.times.push((what.to_owned(), took, bound));
    }

    /// What the daemon gives as the reason.
    pub(crate) fn reason(&mut self, cause: impl fmt::Display) {
        self.why = cause.to_string();
    }

    /// Something that must be so, or else what it is instead.
    pub(crate) fn must(&mut self, is_so: bool, or_else: impl FnOnce() -> String) {
        if !is_so {
            self.problems.push(or_else());
        }
    }

    fn judge_times(&mut self, granted: Duration) {
        for (what, took, bound) in std::mem::take(&mut self.times) {
            self.must(took <= bound + granted, || {
                format!("{what} after {} and not {}", millis(took), millis(bound))
            });
        }
    }

    fn judge_overlaps(&mut self, overlaps: &[Overlap], twice: Twice, granted: Duration) {
        // The one just did not know of the other yet: an advertisement was under way.
        let is_brief = |overlap: &Overlap| overlap.length() <= granted;
        for overlap in overlaps {
            let allowed = match twice {
                Twice::Never => false,
                Twice::Handover => is_brief(overlap),
                Twice::Frozen => {
                    let woken = self.woken.unwrap_or_default();
                    is_brief(overlap) || overlap.to <= woken + granted
                }
            };
            let length = overlap.length();
            self.must(allowed, || {
                format!("two hosts held the address for {}", precise(length))
            });
        }
        let brief = overlaps.iter().filter(|overlap| is_brief(overlap));
        if let Some(longest) = brief.map(Overlap::length).max() {
            self.fact(format_args!("two holders for {}", precise(longest)));
        }
    }
}

/// Milliseconds with three decimals, for what takes less than one.
pub(crate) fn precise(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1e3)
}

/// A line on standard output. Nobody reading it is no reason to stop.
pub(crate) fn print(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
