//! Plays many seeds on all cores, with a watchdog for seeds that make no progress.
//!
//! Each worker takes one seed after the other. The seed of a run that panics or makes no progress is
//! printed: the seed alone reproduces the run.

use std::cell::Cell;
use std::io::{Write as _, stderr};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use vrrp_proto::Instant;

use crate::coverage::Coverage;
use crate::generate::from_seed;
use crate::invariants::Violation;
use crate::resources;
use crate::world::run;

/// Longest CPU time that one seed may take. The slowest known seed takes some seconds.
const LONGEST: Duration = Duration::from_secs(120);

/// Time between two looks at the CPU time.
const LOOK: Duration = Duration::from_secs(1);

/// Range of seeds and end condition of a campaign.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// First seed.
    pub from: u64,
    /// End condition: a number of seeds or a number of events.
    pub until: Until,
    /// Whether to continue after a broken invariant.
    pub keep_going: bool,
}

/// End condition of a campaign.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Ends after this number of seeds.
    Seeds(u64),
    /// Ends after this number of events, regardless of the number of seeds.
    Events(u64),
}

/// Results of a campaign.
#[derive(Debug, Default)]
pub struct Findings {
    /// Number of seeds that were played.
    pub played: u64,
    /// Number of events that happened.
    pub events: u64,
    /// Combinations of states and events that occurred.
    pub coverage: Coverage,
    /// Seeds that broke an invariant, in ascending order, each with the time in the run and the
    /// violation.
    pub broken: Vec<(u64, Instant, Violation)>,
}

/// State that the workers of a campaign share.
#[derive(Debug)]
struct Shared {
    campaign: Campaign,
    next: AtomicU64,
    events: AtomicU64,
    is_over: AtomicBool,
}

impl Campaign {
    /// Plays the seeds on all cores. Ends the process when a seed makes no progress.
    ///
    /// # Panics
    ///
    /// When a run panics, after its seed was printed.
    pub fn play(self) -> Findings {
        name_seed_of_panics();
        let shared = Shared {
            campaign: self,
            next: AtomicU64::new(self.from),
            events: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        };
        let shared = &shared;
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let mut all = Findings::default();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers)
                .map(|_| {
                    let (begins, begun) = channel();
                    scope.spawn(move || {
                        if let Some(seed) = find_stuck(&begun, LOOK, || per_worker(workers)) {
                            let _ = writeln!(
                                stderr(),
                                "seed {seed}: no progress in {LONGEST:?} of CPU time"
                            );
                            std::process::exit(1);
                        }
                    });
                    scope.spawn(move || shared.work(&begins))
                })
                .collect();
            for worker in workers {
                match worker.join() {
                    Ok(findings) => all.add(findings),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        all.broken.sort_by_key(|(seed, ..)| *seed);
        all
    }
}

impl Shared {
    fn work(&self, begins: &Sender<u64>) -> Findings {
        let mut findings = Findings::default();
        while let Some(seed) = self.take_seed() {
            // Cannot fail: the watchdog receives until this sender is dropped.
            let _ = begins.send(seed);
            PLAYED.set(Some(seed));
            let outcome = run(&from_seed(seed), false);
            let followers = resources::play(seed);
            PLAYED.set(None);
            self.events.fetch_add(outcome.events, Ordering::Relaxed);
            findings.played += 1;
            findings.events += outcome.events;
            findings.coverage.add(&outcome.coverage);
            if let Some((at, broken)) = outcome.broken.or(followers.err()) {
                findings.broken.push((seed, at, broken));
                // The other workers finish their present seed, so the first broken seed is among the
                // results.
                self.is_over
                    .fetch_or(!self.campaign.keep_going, Ordering::Relaxed);
            }
        }
        findings
    }

    fn take_seed(&self) -> Option<u64> {
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        let is_over = match self.campaign.until {
            Until::Seeds(seeds) => seed - self.campaign.from >= seeds,
            Until::Events(events) => self.events.load(Ordering::Relaxed) >= events,
        };
        (!is_over && !self.is_over.load(Ordering::Relaxed)).then_some(seed)
    }
}

impl Findings {
    fn add(&mut self, other: Self) {
        self.played += other.played;
        self.events += other.events;
        self.coverage.add(&other.coverage);
        self.broken.extend(other.broken);
    }
}

/// Returns the seed that a worker started last when it takes more than [`LONGEST`], or `None` when the
/// worker ends. Looks at `cpu_time` every `look`: on a busy machine the time that passes says nothing.
fn find_stuck(
    begun: &Receiver<u64>,
    look: Duration,
    cpu_time: impl Fn() -> Duration,
) -> Option<u64> {
    let mut seed = begun.recv().ok()?;
    let mut began = cpu_time();
    loop {
        match begun.recv_timeout(look) {
            Ok(next) => (seed, began) = (next, cpu_time()),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) if cpu_time() > began + LONGEST => return Some(seed),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// CPU time of this process, divided by the number of its workers, which are busy all the time.
fn per_worker(workers: usize) -> Duration {
    let spent = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("Linux has this clock");
    Duration::from(spent).div_f64(workers as f64)
}

thread_local! {
    /// The seed that this thread plays.
    static PLAYED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Makes a panic print the seed that its thread plays. A release build aborts at a panic, so the
/// message is the only trace.
fn name_seed_of_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if let Some(seed) = PLAYED.get() {
                let _ = writeln!(stderr(), "seed {seed}:");
            }
            usual(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_seed_is_reported() {
        let (begins, begun) = channel();
        for seed in 5..8 {
            begins.send(seed).unwrap();
        }
        let minutes = Cell::new(0);
        let cpu_time = || {
            minutes.set(minutes.get() + 1);
            Duration::from_mins(minutes.get())
        };
        let look = Duration::from_millis(1);
        assert_eq!(find_stuck(&begun, look, cpu_time), Some(7));
        begins.send(8).unwrap();
        drop(begins);
        assert_eq!(find_stuck(&begun, look, cpu_time), None);
    }
}
