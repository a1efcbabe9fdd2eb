//! Plays many scenarios, and tells what they met and which law broke.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use vrrp_sim::{Broken, Coverage, Law, Scenario, from_seed, resources, run, shrink};

/// Plays scenarios of a simulated cluster until a law is broken.
#[derive(Debug, Parser)]
struct Options {
    /// How many scenarios.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Go on until so many things have happened, however many seeds that takes.
    #[arg(long)]
    events: Option<u64>,
    /// Play this one, and tell all that happens in it: a seed, or a file with a scenario.
    #[arg(long, value_name = "SEED|FILE")]
    replay: Option<String>,
    /// Go on after a law was broken, and name all such seeds.
    #[arg(long)]
    keep_going: bool,
    /// Do not look for the shortest story in which the law is broken.
    #[arg(long)]
    no_shrink: bool,
}

/// What all workers have found.
#[derive(Debug, Default)]
struct Findings {
    played: u64,
    events: u64,
    coverage: Coverage,
    /// By which seeds laws were broken, and when.
    broken: Vec<(u64, vrrp_proto::Instant, Broken)>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let (text, well) = match &options.replay {
        Some(which) => replay(which),
        None => play(&options),
    };
    // Whoever closes the pipe has seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if well {
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
        None => text.push_str("\nno law is broken\n"),
        Some((at, broken)) => {
            let _ = writeln!(text, "\n{:?} {broken}", at.as_nanos());
        }
    }
    (text, broken.is_none())
}

fn read(file: &PathBuf) -> Result<Scenario, String> {
    let text = std::fs::read(file)
        .map_err(|error| format!("{} is neither a seed nor a file: {error}\n", file.display()))?;
    serde_json::from_slice(&text)
        .map_err(|error| format!("{} holds no scenario: {error}\n", file.display()))
}

fn play(options: &Options) -> (String, bool) {
    let started = Instant::now();
    let findings = play_all(options);
    let mut text = format!("{}\n", findings.coverage);
    let missing = findings.coverage.missing();
    if !missing.is_empty() {
        let _ = writeln!(text, "never met: {missing:?}");
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
    // What follows a master has a world of its own, without a story.
    if let Some((seed, _, broken)) = findings.broken.first()
        && broken.law != Law::Resources
        && !options.no_shrink
    {
        let short = shrink(&from_seed(*seed));
        let story = serde_json::to_string_pretty(&short).unwrap_or_default();
        let _ = writeln!(text, "seed {seed} in short:\n{story}");
    }
    (text, findings.broken.is_empty())
}

fn play_all(options: &Options) -> Findings {
    let next = AtomicU64::new(options.from);
    let happened = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut findings = Findings::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let enough = match options.events {
                Some(events) => happened.load(Ordering::Relaxed) >= events,
                None => seed >= options.from + options.seeds,
            };
            if enough {
                return findings;
            }
            let outcome = run(&from_seed(seed), false);
            happened.fetch_add(outcome.events, Ordering::Relaxed);
            findings.played += 1;
            findings.events += outcome.events;
            findings.coverage.add(&outcome.coverage);
            let followers = resources::play(seed);
            if let Some((at, broken)) = outcome.broken.or(followers.err()) {
                findings.broken.push((seed, at, broken));
                if !options.keep_going {
                    // The others stop as well.
                    next.store(u64::MAX / 2, Ordering::Relaxed);
                    happened.store(u64::MAX / 2, Ordering::Relaxed);
                    return findings;
                }
            }
        }
    };
    let mut all = Findings::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            match thread.join() {
                Ok(findings) => {
                    all.played += findings.played;
                    all.events += findings.events;
                    all.coverage.add(&findings.coverage);
                    all.broken.extend(findings.broken);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all.broken.sort_by_key(|(seed, ..)| *seed);
    all
}
