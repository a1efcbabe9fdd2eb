//! Keeps the sync thread of IPVS as the engine wants it, on a thread of its own: the kernel takes its
//! time to start and to stop one, and holds a lock meanwhile that the node needs to change addresses.
//! So it begins when nothing more has come for a while. Our thread is started when there is something to
//! keep for the first time.
//!
//! IPVS tells nobody what happens to it: every now and then it is looked at.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::Level;
use vrrp_linux::lvs::{CannotSync, Reconciled, Reconciler};
use vrrp_node::node::SECOND_LOOK;
use vrrp_proto::DesiredLvs;
use vrrp_proto::snapshot::Snapshot;

use super::complaints::Complaints;
use crate::log_writer::Log;

/// For how long nothing more has to come before it begins.
const QUIET: Duration = Duration::from_millis(100);

/// The time between two looks at what there is. A look is two requests to the kernel.
const LOOK: Duration = Duration::from_secs(5);

/// The thread, and what it has to keep.
#[derive(Debug)]
pub(super) struct LvsReconciler {
    work: Arc<Work>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Work {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    desired: Option<DesiredLvs>,
    /// When that came, unless it was looked at since.
    handed_at: Option<Instant>,
    /// When to look again.
    look_at: Option<Instant>,
    is_last: bool,
    /// For the status.
    error: Option<Arc<str>>,
    repairs: u64,
}

/// What the thread does next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Keep this, now.
    Keep(DesiredLvs),
    /// Wait, for so long or until there is news.
    Wait(Option<Duration>),
    /// End.
    End,
}

impl LvsReconciler {
    /// Starts it.
    ///
    /// # Errors
    /// When the process may start no more threads.
    pub(super) fn start(log: Log) -> io::Result<Self> {
        let work = Arc::new(Work::default());
        let own = Arc::clone(&work);
        let thread = std::thread::Builder::new()
            .name("lvs".to_owned())
            .spawn(move || own.toil(&log))?;
        Ok(Self {
            work,
            thread: Some(thread),
        })
    }

    /// Gives it something to keep from now on.
    pub(super) fn hand(&self, desired: DesiredLvs) {
        let mut state = self.work.lock();
        state.desired = Some(desired);
        state.handed_at = Some(Instant::now());
        self.work.news.notify_one();
    }

    /// Adds what it knows to the status of the instance that it works for.
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        let state = self.work.lock();
        let of_instances = snapshot.instances.iter_mut();
        for status in of_instances.filter_map(|instance| instance.lvs.as_mut()) {
            status.error.clone_from(&state.error);
            status.repairs = state.repairs;
        }
    }
}

impl Drop for LvsReconciler {
    /// Waits until what was handed last is done.
    fn drop(&mut self) {
        self.work.lock().is_last = true;
        self.work.news.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A state is whole whenever it is let go of.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be kept, when it is time to look. `None` when there will be nothing any more.
    fn next(&self) -> Option<DesiredLvs> {
        let mut state = self.lock();
        loop {
            let waited = match state.next(Instant::now()) {
                Next::End => return None,
                Next::Keep(desired) => {
                    state.handed_at = None;
                    return Some(desired);
                }
                Next::Wait(None) => {
                    state = self
                        .news
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                Next::Wait(Some(span)) => self.news.wait_timeout(state, span),
            };
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn toil(&self, log: &Log) {
        let mut keeper = Reconciler::default();
        let mut complaints = Complaints::new(log.clone());
        while let Some(desired) = self.next() {
            let kept = keeper.keep(&desired);
            tell(&kept, log, &mut complaints);
            self.lock().note(Instant::now(), &kept);
        }
    }
}

impl State {
    fn next(&self, now: Instant) -> Next {
        let Some(desired) = &self.desired else {
            return match self.is_last {
                true => Next::End,
                false => Next::Wait(None),
            };
        };
        let at = match self.handed_at {
            Some(_) if self.is_last => Some(now),
            Some(handed) => Some(handed + QUIET),
            None if self.is_last => return Next::End,
            None => self.look_at,
        };
        match at.map(|at| at.saturating_duration_since(now)) {
            Some(Duration::ZERO) => Next::Keep(desired.clone()),
            wait => Next::Wait(wait),
        }
    }

    /// Takes in what became of it.
    fn note(&mut self, now: Instant, kept: &Reconciled) {
        self.repairs += u64::from(kept.is_repair);
        self.error = kept.failure.as_ref().map(|f| f.to_string().into());
        let is_wanted = self.desired.as_ref().is_some_and(|d| d.role.is_some());
        self.look_at = match &kept.failure {
            // The kernel looks for a module each time.
            Some(failure) if !failure.is_absence() => Some(now + SECOND_LOOK),
            Some(_) => Some(now + LOOK),
            // Where nothing is wanted nothing has to be put right.
            None => is_wanted.then(|| now + LOOK),
        };
    }
}

fn tell(kept: &Reconciled, log: &Log, complaints: &mut Complaints) {
    let (level, why) = match kept.is_repair {
        true => (
            Level::WARN,
            "somebody stopped or changed the sync thread of IPVS: ",
        ),
        false => (Level::INFO, ""),
    };
    for change in &kept.changes {
        log.note(level, format!("{why}{change}"));
    }
    if let Some(failure) = &kept.failure {
        complaints.tell(Level::ERROR, complaint(failure));
    }
}

fn complaint(failure: &CannotSync) -> String {
    format!("{failure}; the instance serves all the same, and it is tried again and again")
}

#[cfg(test)]
mod tests {
    use vrrp_proto::params::LvsSync;
    use vrrp_proto::{InterfaceIndex, LvsRole};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    // Of asm-generic/errno-base.h.
    const ENOENT: i32 = 2;
    const ENODEV: i32 = 19;

    #[test]
    fn it_begins_when_nothing_more_has_come_for_a_while() {
        let now = Instant::now();
        let mut state = State::default();
        assert_eq!(state.next(now), Next::Wait(None));
        state.desired = Some(desired(Some(LvsRole::Backup)));
        state.handed_at = Some(now);
        assert_eq!(state.next(now + MOMENT), Next::Wait(Some(QUIET - MOMENT)));
        // More has come.
        state.desired = Some(desired(Some(LvsRole::Master)));
        state.handed_at = Some(now + MOMENT);
        assert_eq!(state.next(now + QUIET), Next::Wait(Some(MOMENT)));
        let keep = Next::Keep(desired(Some(LvsRole::Master)));
        assert_eq!(state.next(now + QUIET + MOMENT), keep);
    }

    #[test]
    fn it_looks_now_and_then_and_sooner_after_a_refusal() {
        let now = Instant::now();
        let mut state = State {
            desired: Some(desired(Some(LvsRole::Master))),
            ..State::default()
        };
        state.note(now, &Reconciled::default());
        assert_eq!(state.next(now), Next::Wait(Some(LOOK)));
        assert_eq!(
            state.next(now + LOOK),
            Next::Keep(desired(Some(LvsRole::Master)))
        );
        state.note(now, &refused(ENODEV));
        assert_eq!(state.next(now), Next::Wait(Some(SECOND_LOOK)));
        assert!(
            state
                .error
                .as_ref()
                .is_some_and(|t| t.contains("No such device"))
        );
        state.note(now, &refused(ENOENT));
        assert_eq!(state.next(now), Next::Wait(Some(LOOK)));
        let repaired = Reconciled {
            is_repair: true,
            ..Reconciled::default()
        };
        state.note(now, &repaired);
        assert_eq!((&state.error, state.repairs), (&None, 1));
    }

    #[test]
    fn where_nothing_is_wanted_nothing_is_looked_at() {
        let now = Instant::now();
        let mut state = State {
            desired: Some(desired(None)),
            ..State::default()
        };
        state.note(now, &Reconciled::default());
        assert_eq!(state.next(now), Next::Wait(None));
    }

    #[test]
    fn at_the_end_what_was_handed_last_is_done_at_once_and_nothing_else() {
        let now = Instant::now();
        let mut state = State {
            is_last: true,
            ..State::default()
        };
        assert_eq!(state.next(now), Next::End);
        state.desired = Some(desired(None));
        state.handed_at = Some(now);
        assert_eq!(state.next(now), Next::Keep(desired(None)));
        state.handed_at = None;
        state.note(now, &refused(ENODEV));
        assert_eq!(state.next(now + LOOK), Next::End);
    }

    fn refused(errno: i32) -> Reconciled {
        let failure = CannotSync::from(io::Error::from_raw_os_error(errno));
        Reconciled {
            failure: Some(failure),
            ..Reconciled::default()
        }
    }

    fn desired(role: Option<LvsRole>) -> DesiredLvs {
        DesiredLvs {
            sync: LvsSync::new("eth1".into(), 51).into(),
            on: Some(InterfaceIndex(2)),
            role,
        }
    }
}
