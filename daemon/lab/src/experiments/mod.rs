//! Both experiments of the course, played with the real daemon.
//!
//! `course` has what the course gives, `fixture` the hardware and what runs on it, `scene` the
//! observers, `story` the telling and the verdict, `table` the end. The steps themselves are in
//! `first` and `second`.

mod course;
mod first;
mod fixture;
mod scene;
mod second;
mod story;
mod table;

use std::time::Duration;

use clap::{Args, ValueEnum};
use vrrp_lab::Result;

pub(crate) use self::course::{VI_1, VI_2, Who};
pub(crate) use self::fixture::{CLIENT, Fixture, Machine};
pub(crate) use self::scene::PATIENCE;
use self::story::{Story, print};

/// What is granted beyond the protocol's bounds: the client asks every 10 ms, and processes run
/// when a machine that has other things to do lets them.
const ALLOWANCE: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Plays only these steps, each with what it needs before and after it.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Shows the daemons' logs of each step.
    #[arg(long, short)]
    verbose: bool,
    /// Prints JSON in place of the table, and tells the story on standard error.
    #[arg(long)]
    json: bool,
}

/// A part of the story that begins and ends with the master in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Experiment 1, all of it.
    First,
    /// The web server stops.
    Httpd,
    /// The master loses its power.
    Power,
    /// The master is rebooted.
    Reboot,
    /// The daemon is stopped.
    Stop,
    /// The daemon is killed.
    Kill,
    /// The daemon is frozen.
    Freeze,
    /// The address is deleted by hand.
    Delete,
    /// The cable is pulled.
    Cable,
    /// Experiment 2: two network cards.
    Second,
}

/// Plays the experiments. Whether all was as it must be.
pub(crate) fn run(options: &Options) -> Result<bool> {
    vrrp_lab::stall_detector::start();
    let mut story = Story::new(options.verbose, options.json);
    let wanted = |part: Part| options.only.is_empty() || options.only.contains(&part);
    let parts: Vec<Part> = Part::value_variants()
        .iter()
        .copied()
        .filter(|part| !matches!(part, Part::First | Part::Second))
        .filter(|part| wanted(*part) || wanted(Part::First))
        .collect();
    let mut broken = Vec::new();
    if !parts.is_empty() {
        broken.extend(first::play(&mut story, &parts).err());
    }
    if wanted(Part::Second) {
        broken.extend(second::play(&mut story).err());
    }
    for error in &broken {
        story.say(format_args!("An experiment could not go on: {error}"));
    }
    let rows = story.rows();
    if options.json {
        table::print_json(rows);
    } else {
        table::print_table(rows);
    }
    let failed = rows.iter().filter(|row| !row.problems.is_empty()).count();
    if !options.json {
        let verdict = match (failed, broken.is_empty()) {
            (0, true) => "All is as it must be".to_owned(),
            (0, false) => "NOT all was played".to_owned(),
            _ => format!("{failed} of {} steps FAILED", rows.len()),
        };
        print(format_args!(
            "\n{verdict}, after {:.0} s.",
            story.elapsed().as_secs_f64()
        ));
    }
    Ok(failed == 0 && broken.is_empty())
}

/// Whole milliseconds, as the table shows them.
fn millis(span: Duration) -> String {
    format!("{} ms", span.as_millis())
}
