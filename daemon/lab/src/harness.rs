//! Test harness of the lab: a `main` for test files with `harness = false`.
//!
//! The standard harness starts threads before a test runs, and a process with several threads
//! cannot enter a user namespace. Here `main` calls [`run`] while the process has one thread:
//!
//! ```no_run
//! fn host_has_its_hostname() -> vrrp_lab::harness::Outcome {
//!     let host = vrrp_lab::Host::new("master")?;
//!     assert_eq!(host.shell("hostname")?, "master\n");
//!     Ok(())
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     vrrp_lab::harness::run(&[("host has its hostname", host_has_its_hostname)])
//! }
//! ```
//!
//! Each test creates its own hosts, so tests run in parallel; two at a time, because they measure
//! time (`-- --test-threads N` for another number).
//!
//! A test that fails during a stall of the machine is run again, and the repetition is reported: a
//! daemon that is not scheduled cannot keep its timers. A failure without a stall is final.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::clock::Moment;
use crate::isolate::{dispatch, isolate};
use crate::stall_detector;

/// Highest number of runs of a test that fails during a stall each time.
const ATTEMPTS: u32 = 5;

/// Result of a test; any error fails it.
pub type Outcome = Result<(), Failed>;

/// A test: its name, and its function.
pub type Test<'a> = (&'a str, fn() -> Outcome);

/// A test generated from data: its name, and its function.
pub type MadeTest = (String, Box<dyn Fn() -> Outcome + Send>);

/// Default number of parallel tests; `--test-threads` overrides it.
const SIDE_BY_SIDE: usize = 2;

/// Runs the tests in new namespaces, with the options of `cargo test`. Call it first in `main`.
///
/// If the machine denies namespaces, no test runs and the result is a failure with the reason; with
/// `VRRP_LAB_OPTIONAL=1` in the environment it is a success with the reason.
pub fn run(tests: &[Test<'_>]) -> ExitCode {
    run_where(tests, &[])
}

/// As [`run`], where `missing` lists the requirements that the machine lacks, each with its remedy.
/// If there are any, no test runs: with `CI` in the environment that is a failure, otherwise the
/// tests are reported as ignored.
pub fn run_where(tests: &[Test<'_>], missing: &[&str]) -> ExitCode {
    let made = |&(name, test): &Test<'_>| -> MadeTest { (name.to_owned(), Box::new(test)) };
    run_made(tests.iter().map(made).collect(), missing, SIDE_BY_SIDE)
}

/// As [`run_where`], with `side_by_side` parallel tests: more than the default is for tests that
/// mostly wait.
pub fn run_made(tests: Vec<MadeTest>, missing: &[&str], side_by_side: usize) -> ExitCode {
    dispatch();
    let unable = !missing.is_empty();
    if unable {
        let required = std::env::var_os("CI").is_some();
        let verdict = if required { "FAILED" } else { "NOT RUN" };
        let _ = writeln!(
            io::stderr(),
            "{} tests {verdict}: missing: {}",
            tests.len(),
            missing.join("; ")
        );
        if required {
            return ExitCode::FAILURE;
        }
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(side_by_side);
    if !arguments.list
        && !unable
        && let Err(error) = isolate()
    {
        let optional = std::env::var_os("VRRP_LAB_OPTIONAL").is_some_and(|value| value == "1");
        let verdict = if optional { "NOT RUN" } else { "FAILED" };
        let _ = writeln!(io::stderr(), "{} tests {verdict}: {error}", tests.len());
        return if optional {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    if !arguments.list && !unable {
        stall_detector::start();
    }
    let trials = tests
        .into_iter()
        .map(|(name, test)| {
            Trial::test(name.clone(), move || run_steadily(&name, &*test)).with_ignored_flag(unable)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs a test, and repeats it if it failed during a stall of the machine.
fn run_steadily(name: &str, test: &dyn Fn() -> Outcome) -> Outcome {
    let mut attempt = 1;
    loop {
        let started = Moment::now();
        let outcome = catch_unwind(AssertUnwindSafe(test));
        if !matches!(outcome, Ok(Ok(())))
            && attempt < ATTEMPTS
            && let Some(stall) = stall_detector::worst_since(started)
        {
            let why = match &outcome {
                Ok(Err(failed)) => failed.message().unwrap_or_default(),
                Ok(Ok(())) | Err(_) => "panicked, see above",
            };
            let _ = writeln!(
                io::stderr(),
                "{name}: failed during a stall of the machine of {stall:?}, run again: {why}"
            );
            attempt += 1;
            continue;
        }
        return outcome.unwrap_or_else(|panic| resume_unwind(panic));
    }
}
