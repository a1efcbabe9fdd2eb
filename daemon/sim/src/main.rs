//! Command line of the simulation: plays scenarios and reports coverage and broken invariants.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use vrrp_sim::{Campaign, Invariant, Scenario, Until, from_seed, resources, run, shrink};

/// Plays scenarios of a simulated cluster until an invariant is broken.
#[derive(Debug, Parser)]
struct Options {
    /// Number of scenarios.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Play until this number of events has happened, regardless of the number of seeds.
    #[arg(long)]
    events: Option<u64>,
    /// Play one scenario and print every event: a seed, or a JSON file with a scenario.
    #[arg(long, value_name = "SEED|FILE")]
    replay: Option<String>,
    /// Continue after a broken invariant, and list all seeds that break one.
    #[arg(long)]
    keep_going: bool,
    /// Do not search for the shortest scenario that breaks the invariant.
    #[arg(long)]
    no_shrink: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let (text, up) = match &options.replay {
        Some(which) => replay(which),
        None => play(&options),
    };
    // A write error means that the reader closed the pipe (`| head`): no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if up {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn replay(which: &str) -> (String, bool) {
    let (scenario, followers) = match which.parse() {
        Ok(seed) => (from_seed(seed), resources::play(seed).err()),
        Err(_) => match read(&PathBuf::from(which)) {
            Ok(scenario) => (scenario, None),
            Err(problem) => return (problem, false),
        },
    };
    let outcome = run(&scenario, true);
    let mut text = outcome.trace.join("\n");
    let broken = outcome.broken.or(followers);
    match &broken {
        None => text.push_str("\nno invariant is broken\n"),
        Some((at, broken)) => {
            let _ = writeln!(text, "\n{:?} {broken}", at.as_nanos());
        }
    }
    (text, broken.is_none())
}

fn read(file: &PathBuf) -> Result<Scenario, String> {
    let text = std::fs::read(file).map_err(|error| {
        format!(
            "{}: neither a seed nor a readable file: {error}\n",
            file.display()
        )
    })?;
    serde_json::from_slice(&text)
        .map_err(|error| format!("{}: not a valid scenario: {error}\n", file.display()))
}

fn play(options: &Options) -> (String, bool) {
    let started = Instant::now();
    let campaign = Campaign {
        from: options.from,
        until: options
            .events
            .map_or(Until::Seeds(options.seeds), Until::Events),
        keep_going: options.keep_going,
    };
    let findings = campaign.play();
    let mut text = format!("{}\n", findings.coverage);
    let missing = findings.coverage.missing();
    if !missing.is_empty() {
        let _ = writeln!(text, "never occurred: {missing:?}");
    }
    let _ = writeln!(
        text,
        "{} scenarios, {} events, {:.1} s",
        findings.played,
        findings.events,
        started.elapsed().as_secs_f64()
    );
    for (seed, at, broken) in &findings.broken {
        let at = at.as_nanos() / 1_000_000;
        let _ = writeln!(text, "seed {seed}, {at} ms: {broken}");
    }
    // The resources of a router are simulated separately, without a scenario that could be shrunk.
    if let Some((seed, _, broken)) = findings.broken.first()
        && broken.invariant != Invariant::Resources
        && !options.no_shrink
    {
        let short = shrink(&from_seed(*seed));
        let story = serde_json::to_string_pretty(&short).unwrap_or_default();
        let _ = writeln!(text, "seed {seed}, reduced scenario:\n{story}");
    }
    (text, findings.broken.is_empty())
}
