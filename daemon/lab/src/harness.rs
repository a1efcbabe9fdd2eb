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
//! Each test creates its own hosts, so tests run in parallel. They mostly wait: four at a time take a sixth of two
//! processors, and none is late (`-- --test-threads N` for another number).
//!
//! A test that fails during a stall of the machine is run again: a daemon that is not scheduled
//! cannot keep its timers. The repetition is reported, and the end of the output has their number. A
//! failure without a stall is final.
//!
//! A test that this machine cannot run is ignored, with the reason, and never counted as passed.

use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::clock::Moment;
use crate::isolate::{dispatch, isolate};
use crate::stall_detector;

/// Highest number of runs of a test that fails during a stall each time.
const ATTEMPTS: u32 = 5;

/// Result of a test; any error fails it.
pub type Outcome = Result<(), Failed>;

/// A test: its name, and its function.
pub type Test<'a> = (&'a str, fn() -> Outcome);

/// A test that is generated from data, or that not every machine can run.
pub struct MadeTest {
    /// Name in the output.
    pub name: String,
    /// Function of the test.
    pub test: Box<dyn Fn() -> Outcome + Send>,
    /// What the machine lacks for this test, which is then ignored.
    pub lacking: Option<String>,
}

/// Number of repetitions because of stalls.
static REPETITIONS: AtomicU32 = AtomicU32::new(0);

/// Default number of parallel tests; `--test-threads` overrides it.
const SIDE_BY_SIDE: usize = 4;

/// Runs the tests in new namespaces, with the options of `cargo test`. Call it first in `main`.
///
/// If the machine denies namespaces, no test runs and the result is a failure with the reason; with
/// `VRRP_LAB_OPTIONAL=1` in the environment the tests are ignored with the reason.
pub fn run(tests: &[Test<'_>]) -> ExitCode {
    run_where(tests, &[])
}

/// As [`run`], where `missing` lists the requirements that the machine lacks, each with its remedy.
/// If there are any, no test runs: with `CI` in the environment that is a failure, otherwise the
/// tests are ignored.
pub fn run_where(tests: &[Test<'_>], missing: &[&str]) -> ExitCode {
    let tests = tests.iter().map(|test| MadeTest::new(test, None));
    run_made(tests.collect(), missing, None)
}

/// As [`run_where`], with `side_by_side` parallel tests instead of four: more are for tests that
/// mostly wait.
pub fn run_made(tests: Vec<MadeTest>, missing: &[&str], side_by_side: Option<usize>) -> ExitCode {
    dispatch();
    let mut unable = None;
    if !missing.is_empty() {
        let text = format!("missing: {}", missing.join("; "));
        if std::env::var_os("CI").is_some() {
            return failed(&tests, &text);
        }
        unable = Some(text);
    }
    let mut arguments = Arguments::from_args();
    arguments
        .test_threads
        .get_or_insert(side_by_side.unwrap_or(SIDE_BY_SIDE));
    if !arguments.list && unable.is_none() {
        match isolate() {
            Ok(()) => stall_detector::start(),
            Err(error) => {
                if std::env::var_os("VRRP_LAB_OPTIONAL").is_none_or(|value| value != "1") {
                    return failed(&tests, &error);
                }
                unable = Some(error.to_string());
            }
        }
    }
    let trials = tests.into_iter().map(|test| {
        let MadeTest {
            name,
            test,
            lacking,
        } = test;
        match unable.clone().or(lacking) {
            Some(why) => {
                // One line in the output.
                let why = why.replace('\n', " ");
                Trial::ignorable_test(name, || Ok(Completion::ignored_with(why)))
            }
            None => Trial::test(name.clone(), move || run_steadily(&name, &*test)),
        }
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let repetitions = REPETITIONS.load(Ordering::Relaxed);
    if repetitions > 0 {
        let _ = writeln!(
            io::stderr(),
            "{repetitions} repetitions of tests because of stalls of the machine"
        );
    }
    conclusion.exit_code()
}

fn failed(tests: &[MadeTest], why: &dyn fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "{} tests FAILED: {why}", tests.len());
    ExitCode::FAILURE
}

impl MadeTest {
    /// A test from a list, which is ignored if the machine lacks something.
    pub fn new(&(name, test): &Test<'_>, lacking: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            test: Box::new(test),
            lacking: lacking.map(str::to_owned),
        }
    }
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
            REPETITIONS.fetch_add(1, Ordering::Relaxed);
            attempt += 1;
            continue;
        }
        return outcome.unwrap_or_else(|panic| resume_unwind(panic));
    }
}
