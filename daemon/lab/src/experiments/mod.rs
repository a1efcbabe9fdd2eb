//! Both experiments of the course, run with the real daemon.
//!
//! `course` contains the configurations of the course, `fixture` the hosts and their services,
//! `experiment` the observers of a running experiment, `runner` the steps with their output and
//! verdict, `table` the result table, `report` the page with timelines. The steps themselves are in `first` and `second`.

mod course;
mod experiment;
mod first;
mod fixture;
mod report;
mod runner;
mod second;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use vrrp_lab::Result;

pub(crate) use self::course::{Role, VI_1, VI_2};
pub(crate) use self::experiment::PATIENCE;
pub(crate) use self::fixture::{CLIENT, Fixture, Machine};
use self::runner::{Runner, print};

/// Tolerance beyond the limits of the protocol: the client sends a request every 10 ms, and a busy
/// machine schedules processes late.
const ALLOWANCE: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Runs only these steps, each with the steps that restore the initial state.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Shows the daemons' logs of each step.
    #[arg(long, short)]
    verbose: bool,
    /// Prints JSON instead of the table, and the progress on standard error.
    #[arg(long)]
    json: bool,
    /// Writes DIR/index.html: for each step a timeline of both hosts, the address and the client, with the limits of
    /// the protocol. One file, without scripts.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// A group of steps that begins and ends with the host `master` as master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// All steps of experiment 1.
    First,
    /// Stops the web server.
    Httpd,
    /// Switches the master's power off.
    Power,
    /// Reboots the master.
    Reboot,
    /// Stops the daemon.
    Stop,
    /// Kills the daemon.
    Kill,
    /// Freezes the daemon (SIGSTOP).
    Freeze,
    /// Deletes the address by hand.
    Delete,
    /// Pulls the cable.
    Cable,
    /// Experiment 2: two network cards.
    Second,
}

/// Runs the experiments. Returns whether every step met its expectation.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if let Some(directory) = &options.report {
        report::create(directory)?;
    }
    vrrp_lab::stall_detector::start();
    let mut runner = Runner::new(options.verbose, options.json, options.report.is_some());
    let wanted = |part: Part| options.only.is_empty() || options.only.contains(&part);
    let parts: Vec<Part> = Part::value_variants()
        .iter()
        .copied()
        .filter(|part| !matches!(part, Part::First | Part::Second))
        .filter(|part| wanted(*part) || wanted(Part::First))
        .collect();
    let mut broken = Vec::new();
    if !parts.is_empty() {
        broken.extend(first::run(&mut runner, &parts).err());
    }
    if wanted(Part::Second) {
        broken.extend(second::run(&mut runner).err());
    }
    for error in &broken {
        runner.print_line(format_args!("experiment aborted: {error}"));
    }
    let rows = runner.rows();
    if options.json {
        table::print_json(rows);
    } else {
        table::print_table(rows);
    }
    let failed = rows.iter().filter(|row| !row.problems.is_empty()).count();
    let verdict = match (failed, broken.is_empty()) {
        (0, true) => format!("All {} steps passed", rows.len()),
        (0, false) => "NOT all steps were run".to_owned(),
        _ => format!("{failed} of {} steps FAILED", rows.len()),
    };
    let verdict = format!("{verdict}, in {:.0} s.", runner.elapsed().as_secs_f64());
    if !options.json {
        print(format_args!("\n{verdict}"));
    }
    if let Some(directory) = &options.report {
        let page = report::write(directory, rows, &verdict)?;
        runner.print_line(format_args!(
            "The timelines of all steps are in {}",
            page.display()
        ));
    }
    Ok(failed == 0 && broken.is_empty())
}

/// Formats whole milliseconds, as the table shows them.
fn millis(span: Duration) -> String {
    format!("{} ms", span.as_millis())
}
