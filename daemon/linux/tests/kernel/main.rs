//! Tests of the crate against a real kernel, in network namespaces that an unprivileged user may
//! create.
//!
//! They do without the compiler's test harness: a user namespace can be entered only while the process
//! has one thread, and each test moves the thread between its own network namespaces. So the tests run
//! one after the other on the main thread.

#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

mod addresses;
mod claim;
mod conflict;
mod devices;
mod drop_filter;
mod echo;
mod host;
mod ipv6;
mod namespace;
mod packets;
mod reach;
mod routing;
mod steady;
mod takeover;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let unable = host::become_root_of_a_user_namespace().err().map(|error| {
        format!(
            "no user namespace: {error}; remedy: sysctl kernel.unprivileged_userns_clone=1, or \
             kernel.apparmor_restrict_unprivileged_userns=0, or run as root"
        )
    });
    let required = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    if let (Some(unable), true) = (&unable, required) {
        eprintln!("tests of vrrp-linux against the kernel FAILED: {unable}");
        return ExitCode::FAILURE;
    }
    let trials = [
        addresses::TESTS,
        claim::TESTS,
        conflict::TESTS,
        devices::TESTS,
        echo::TESTS,
        ipv6::TESTS,
        namespace::TESTS,
        packets::TESTS,
        reach::TESTS,
        drop_filter::TESTS,
        routing::TESTS,
        steady::TESTS,
        takeover::TESTS,
    ]
    .concat()
    .into_iter()
    .map(|(name, test)| {
        let unable = unable.clone();
        Trial::ignorable_test(name, move || {
            if let Some(unable) = unable {
                return Ok(Completion::ignored_with(unable));
            }
            test();
            Ok(Completion::Completed)
        })
    })
    .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Name of a test, and its function, which panics on failure.
type Test = (&'static str, fn());

/// Lists functions as tests with their names.
macro_rules! tests {
    ($($test:ident,)*) => {
        pub(crate) const TESTS: &[$crate::Test] = &[$((stringify!($test), $test as fn()),)*];
    };
}
use tests;
