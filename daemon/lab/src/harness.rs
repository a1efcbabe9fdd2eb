//! Tests in the lab: a `main` for test files with `harness = false`.
//!
//! The usual harness starts threads before a test runs, and a process with threads cannot enter a
//! user namespace. Here `main` calls [`run`] while the process has one thread:
//!
//! ```no_run
//! fn a_host_has_its_name() -> vrrp_lab::harness::Outcome {
//!     let host = vrrp_lab::Host::new("master")?;
//!     assert_eq!(host.shell("hostname")?, "master\n");
//!     Ok(())
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     vrrp_lab::harness::run(&[("a host has its name", a_host_has_its_name)])
//! }
//! ```
//!
//! Each test makes its own hosts, so tests run side by side; two at a time, because timing matters
//! (`-- --test-threads N` for another number).
//!
//! A test that fails while the machine itself stood still is run again and says so, because a
//! daemon that got no CPU cannot keep a time. One that fails on a machine that ran, fails.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use crate::clock::Moment;
use crate::isolate::{dispatch, isolate};
use crate::stall_detector;

/// How often a test is run at most, when the machine stands still each time.
const ATTEMPTS: u32 = 5;

/// What a test returns: any error fails it.
pub type Outcome = Result<(), Failed>;

/// A test: its name, which is a sentence, and what it does.
pub type Test<'a> = (&'a str, fn() -> Outcome);

/// A test that is made from data: its name, and what it does.
pub type MadeTest = (String, Box<dyn Fn() -> Outcome + Send>);

/// How many tests run side by side, unless they or the command line say something else.
const SIDE_BY_SIDE: usize = 2;

/// Runs the tests in isolation, with the options of `cargo test`. Call it first in `main`.
///
/// Where the machine denies namespaces nothing is run and the result is a failure that says why;
/// with `VRRP_LAB_OPTIONAL=1` in the environment it is a success that says so.
pub fn run(tests: &[Test<'_>]) -> ExitCode {
    run_where(tests, &[])
}

/// As [`run`], where `missing` names what the tests need and the machine does not have, each with
/// its remedy. If there is any, no test is run: with `CI` in the environment that is a failure,
/// otherwise they are shown as ignored.
pub fn run_where(tests: &[Test<'_>], missing: &[&str]) -> ExitCode {
    let made = |&(name, test): &Test<'_>| -> MadeTest { (name.to_owned(), Box::new(test)) };
    run_made(tests.iter().map(made).collect(), missing, SIDE_BY_SIDE)
}

/// As [`run_where`], with `side_by_side` tests at a time: more than the usual two are for tests
/// that mostly wait.
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

/// Runs a test, and again when it failed on a machine that stood still meanwhile.
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
                Ok(Ok(())) | Err(_) => "it panicked, see above",
            };
            let _ = writeln!(
                io::stderr(),
                "{name}: run again, because the machine stood still for {stall:?}: {why}"
            );
            attempt += 1;
            continue;
        }
        return outcome.unwrap_or_else(|panic| resume_unwind(panic));
    }
}
