//! Stall detector: measures whether the machine schedules the lab in time, with a thread on each
//! CPU that wakes every 5 ms and records how late it woke.
//!
//! Tests assert the timing of a daemon. On a virtual machine without its CPUs, or beside a dozen
//! compilers, every program is late by hundreds of milliseconds now and then, and a daemon that is
//! not scheduled cannot advertise. A test that failed during a stall says nothing about the daemon;
//! see [`crate::harness`].

use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::clock::Moment;
use crate::journal::lock;

/// Time between two wake-ups.
const PERIOD: Duration = Duration::from_millis(5);

/// Smallest recorded lateness, below the strictest tolerance of the measurements (10 ms, a tenth of
/// the interval 100 ms).
const NOTED: Duration = Duration::from_millis(3);

/// Lateness that excuses a failed test. Tests allow a daemon more than that.
const LATE: Duration = Duration::from_millis(40);

/// Late wake-ups: time of the wake-up, and lateness.
static STALLS: Mutex<Vec<(Moment, Duration)>> = Mutex::new(Vec::new());

static STARTED: OnceLock<()> = OnceLock::new();

/// Starts the detector, once per process. Call it after [`isolate`](crate::isolate()).
pub fn start() {
    STARTED.get_or_init(|| {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).unwrap_or_default();
        for cpu in (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)) {
            // Without a thread this CPU is not measured; the others still are.
            let _ = thread::Builder::new()
                .name(format!("stalls {cpu}"))
                .spawn(move || {
                    let mut only = CpuSet::new();
                    if only.set(cpu).is_ok() {
                        let _ = sched_setaffinity(this, &only);
                    }
                    measure();
                });
        }
    });
}

/// Longest stall of a CPU since `since`, if it is long enough to excuse a test.
pub(crate) fn worst_since(since: Moment) -> Option<Duration> {
    lock(&STALLS)
        .iter()
        .filter(|(at, _)| *at >= since)
        .map(|(_, late)| *late)
        .filter(|late| *late > LATE)
        .max()
}

/// Sum of the stalls between two moments that are long enough to excuse a test.
pub fn total_between(from: Moment, to: Moment) -> Duration {
    between(from, to).iter().filter(|late| **late > LATE).sum()
}

/// Longest stall of a CPU between two moments, from 3 ms on.
pub fn longest_between(from: Moment, to: Moment) -> Duration {
    between(from, to).into_iter().max().unwrap_or_default()
}

/// Stalls recorded between two moments.
fn between(from: Moment, to: Moment) -> Vec<Duration> {
    lock(&STALLS)
        .iter()
        .filter(|(at, late)| *at >= from && *at <= to + *late)
        .map(|(_, late)| *late)
        .collect()
}

fn measure() {
    loop {
        let asleep = Moment::now();
        thread::sleep(PERIOD);
        let awake = Moment::now();
        let late = awake.since(asleep + PERIOD);
        if late > NOTED {
            lock(&STALLS).push((awake, late));
        }
    }
}
