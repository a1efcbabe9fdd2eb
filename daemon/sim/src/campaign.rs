//! Many seeds on all cores, and a watch over those that do not come to an end.
//!
//! The workers take one seed after the other. A seed whose run panics or makes no progress is
//! printed, because the seed is all that is needed to play it again.

use std::cell::Cell;
use std::io::{Write as _, stderr};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use vrrp_proto::Instant;

use crate::coverage::Coverage;
use crate::generate::from_seed;
use crate::invariants::Violation;
use crate::resources;
use crate::world::run;

/// The longest that a seed may take. The slowest known takes a second.
const LONGEST: Duration = Duration::from_secs(180);

/// Which seeds are played.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many seeds are played, or how many events must have happened.
    pub until: Until,
    /// Plays on after a broken law.
    pub keep_going: bool,
}

/// When a campaign ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so many seeds.
    Seeds(u64),
    /// After so many events, however many seeds that takes.
    Events(u64),
}

/// The results of a campaign.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many seeds were played.
    pub played: u64,
    /// How many events happened.
    pub events: u64,
    /// The states and events that were met.
    pub coverage: Coverage,
    /// The seeds that broke a law, in order, and the time in the run.
    pub broken: Vec<(u64, Instant, Violation)>,
}

/// The part of a campaign that its workers share.
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
    /// When a run panics, after the seed was printed.
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
                        if let Some(seed) = find_stuck(&begun, LONGEST) {
                            let _ = writeln!(stderr(), "seed {seed}: no progress for {LONGEST:?}");
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
            // It cannot fail: the watcher receives until this sender is dropped.
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

/// The seed that a worker began last, when it takes longer than `longest`; `None` when the worker
/// ends.
fn find_stuck(begun: &Receiver<u64>, longest: Duration) -> Option<u64> {
    let mut seed = begun.recv().ok()?;
    loop {
        match begun.recv_timeout(longest) {
            Ok(next) => seed = next,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => return Some(seed),
        }
    }
}

thread_local! {
    /// The seed that this thread plays.
    static PLAYED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Lets a panic print the seed that its thread plays. A release build ends at a panic, so that the
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
    fn a_seed_that_makes_no_progress_is_named() {
        let (begins, begun) = channel();
        for seed in 5..8 {
            begins.send(seed).unwrap();
        }
        assert_eq!(find_stuck(&begun, Duration::from_millis(1)), Some(7));
        begins.send(8).unwrap();
        drop(begins);
        assert_eq!(find_stuck(&begun, LONGEST), None);
    }
}
