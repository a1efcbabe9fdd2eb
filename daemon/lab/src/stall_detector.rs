//! Whether the machine ran: a thread on each CPU that wakes every few milliseconds and notes how
//! late it came.
//!
//! Tests assert what a daemon does in time. A virtual machine that is not given its CPUs, or a
//! dozen compilers beside the tests, make every program late by hundreds of milliseconds now and
//! then, and a daemon that was not run cannot advertise. A test that failed while that happened
//! has shown nothing of the daemon; see [`crate::harness`].

use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::clock::Moment;
use crate::journal::lock;

/// From one beat to the next.
const BEAT: Duration = Duration::from_millis(5);

/// Later than this is worth a note: a tenth of the shortest interval that is measured is 10 ms.
const NOTED: Duration = Duration::from_millis(3);

/// Later than this excuses a test. Tests allow a daemon more than that.
const LATE: Duration = Duration::from_millis(40);

/// When a CPU came late, and how late.
static STALLS: Mutex<Vec<(Moment, Duration)>> = Mutex::new(Vec::new());

static STARTED: OnceLock<()> = OnceLock::new();

/// Starts to watch, once. Call it after [`isolate`](crate::isolate()).
pub fn start() {
    STARTED.get_or_init(|| {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).unwrap_or_default();
        for cpu in (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)) {
            // Where there is no thread to be had, there is one observer less.
            let _ = thread::Builder::new()
                .name(format!("stalls {cpu}"))
                .spawn(move || {
                    let mut only = CpuSet::new();
                    if only.set(cpu).is_ok() {
                        let _ = sched_setaffinity(this, &only);
                    }
                    beat();
                });
        }
    });
}

/// The longest time since `since` that a CPU kept a thread waiting, if that excuses a test.
pub(crate) fn worst_since(since: Moment) -> Option<Duration> {
    lock(&STALLS)
        .iter()
        .filter(|(at, _)| *at >= since)
        .map(|(_, late)| *late)
        .filter(|late| *late > LATE)
        .max()
}

/// For how long between two moments a CPU kept a thread waiting, all that excuses a test together.
pub fn stood_still(from: Moment, to: Moment) -> Duration {
    between(from, to).iter().filter(|late| **late > LATE).sum()
}

/// The longest time between two moments that a CPU kept a thread waiting, from 3 ms on.
pub fn longest_between(from: Moment, to: Moment) -> Duration {
    between(from, to).into_iter().max().unwrap_or_default()
}

/// What was noted between two moments.
fn between(from: Moment, to: Moment) -> Vec<Duration> {
    lock(&STALLS)
        .iter()
        .filter(|(at, late)| *at >= from && *at <= to + *late)
        .map(|(_, late)| *late)
        .collect()
}

fn beat() {
    loop {
        let asleep = Moment::now();
        thread::sleep(BEAT);
        let awake = Moment::now();
        let late = awake.since(asleep + BEAT);
        if late > NOTED {
            lock(&STALLS).push((awake, late));
        }
    }
}
