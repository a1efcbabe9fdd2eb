//! IPVS sync daemon: keeps it in the state that the engine wants, on a thread of its own. The
//! kernel takes long to start and to stop a sync daemon, and meanwhile holds a lock that the node
//! needs to change addresses. So the thread begins when no further change has come for a while. The
//! first change starts it.
//!
//! IPVS reports no changes: the thread reads the state of the sync daemon again and again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Level;
use vrrp_linux::lvs::{CannotSync, Reconciled, Reconciler};
use vrrp_node::node::SECOND_LOOK;
use vrrp_proto::DesiredLvs;
use vrrp_proto::snapshot::Snapshot;

use super::worker::{Next, Shared, Worker};
use crate::complaints::Complaints;
use crate::log_writer::Log;

/// Time without a further change before the thread begins.
const QUIET: Duration = Duration::from_millis(100);

/// Time between two reads of the present state, two requests to the kernel.
const LOOK: Duration = Duration::from_secs(5);

/// Thread and its work. Dropping it waits until the last change is carried out.
#[derive(Debug)]
pub(super) struct LvsReconciler(Worker<State>);

#[derive(Debug, Default)]
struct State {
    desired: Option<DesiredLvs>,
    /// Time at which `desired` came, unless it was carried out since.
    handed_at: Option<Instant>,
    /// Time of the next read.
    look_at: Option<Instant>,
    /// Last error, for the status.
    error: Option<Arc<str>>,
    repairs: u64,
}

impl LvsReconciler {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the process may start no more threads.
    pub(super) fn start(log: Log) -> io::Result<Self> {
        Worker::start("lvs", move |state: &Shared<State>| toil(state, &log)).map(Self)
    }

    /// Hands over the state to keep from now on.
    pub(super) fn hand(&self, desired: DesiredLvs) {
        self.0.change(|state| {
            state.desired = Some(desired);
            state.handed_at = Some(Instant::now());
        });
    }

    /// Adds errors and repairs to the status of the instance that has the sync daemon.
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        let (error, repairs) = self.0.look(|state| (state.error.clone(), state.repairs));
        let of_instances = snapshot.instances.iter_mut();
        for status in of_instances.filter_map(|instance| instance.lvs.as_mut()) {
            status.error.clone_from(&error);
            status.repairs = repairs;
        }
    }
}

fn toil(state: &Shared<State>, log: &Log) {
    let mut keeper = Reconciler::default();
    let mut complaints = Complaints::new(log.clone());
    while let Some(desired) = state.next(State::next) {
        let kept = keeper.keep(&desired);
        tell(&kept, log, &mut complaints);
        state.record(|state, _| state.note(Instant::now(), &kept));
    }
}

impl State {
    fn next(&mut self, now: Instant, is_last: bool) -> Next<DesiredLvs> {
        let Some(desired) = &self.desired else {
            return if is_last { Next::End } else { Next::Wait(None) };
        };
        let at = match self.handed_at {
            Some(_) if is_last => Some(now),
            Some(handed) => Some(handed + QUIET),
            None if is_last => return Next::End,
            None => self.look_at,
        };
        match at.map(|at| at.saturating_duration_since(now)) {
            Some(Duration::ZERO) => {
                self.handed_at = None;
                Next::Do(desired.clone())
            }
            wait => Next::Wait(wait),
        }
    }

    /// Takes in the result of a comparison.
    fn note(&mut self, now: Instant, kept: &Reconciled) {
        self.repairs += u64::from(kept.is_repair);
        self.error = kept.failure.as_ref().map(|f| f.to_string().into());
        let is_wanted = self.desired.as_ref().is_some_and(|d| d.role.is_some());
        self.look_at = match &kept.failure {
            // Not soon for a missing module: each request makes the kernel look for it.
            Some(failure) if !failure.is_absence() => Some(now + SECOND_LOOK),
            Some(_) => Some(now + LOOK),
            // Without a desired role there is nothing to repair.
            None => is_wanted.then(|| now + LOOK),
        };
    }
}

fn tell(kept: &Reconciled, log: &Log, complaints: &mut Complaints) {
    let (level, why) = match kept.is_repair {
        true => (
            Level::WARN,
            "another program stopped or changed the IPVS sync daemon: ",
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
    format!("{failure}; the instance works without connection synchronisation; retrying")
}

#[cfg(test)]
mod tests {
    use vrrp_proto::params::LvsSync;
    use vrrp_proto::{InterfaceIndex, LvsRole};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    // From asm-generic/errno-base.h.
    const ENOENT: i32 = 2;
    const ENODEV: i32 = 19;

    #[test]
    fn reconciler_waits_until_changes_pause() {
        let now = Instant::now();
        let mut state = State::default();
        assert_eq!(state.next(now, false), Next::Wait(None));
        state.desired = Some(desired(Some(LvsRole::Backup)));
        state.handed_at = Some(now);
        assert_eq!(
            state.next(now + MOMENT, false),
            Next::Wait(Some(QUIET - MOMENT))
        );
        // A further change.
        state.desired = Some(desired(Some(LvsRole::Master)));
        state.handed_at = Some(now + MOMENT);
        assert_eq!(state.next(now + QUIET, false), Next::Wait(Some(MOMENT)));
        let keep = Next::Do(desired(Some(LvsRole::Master)));
        assert_eq!(state.next(now + QUIET + MOMENT, false), keep);
    }

    #[test]
    fn reconciler_reads_periodically_and_sooner_after_error() {
        let now = Instant::now();
        let mut state = State {
            desired: Some(desired(Some(LvsRole::Master))),
            ..State::default()
        };
        state.note(now, &Reconciled::default());
        assert_eq!(state.next(now, false), Next::Wait(Some(LOOK)));
        assert_eq!(
            state.next(now + LOOK, false),
            Next::Do(desired(Some(LvsRole::Master)))
        );
        state.note(now, &refused(ENODEV));
        assert_eq!(state.next(now, false), Next::Wait(Some(SECOND_LOOK)));
        assert!(
            state
                .error
                .as_ref()
                .is_some_and(|t| t.contains("No such device"))
        );
        state.note(now, &refused(ENOENT));
        assert_eq!(state.next(now, false), Next::Wait(Some(LOOK)));
        let repaired = Reconciled {
            is_repair: true,
            ..Reconciled::default()
        };
        state.note(now, &repaired);
        assert_eq!((&state.error, state.repairs), (&None, 1));
    }

    #[test]
    fn reconciler_does_not_read_without_desired_role() {
        let now = Instant::now();
        let mut state = State {
            desired: Some(desired(None)),
            ..State::default()
        };
        state.note(now, &Reconciled::default());
        assert_eq!(state.next(now, false), Next::Wait(None));
    }

    #[test]
    fn end_carries_out_last_change_at_once() {
        let now = Instant::now();
        let mut state = State::default();
        assert_eq!(state.next(now, true), Next::End);
        state.desired = Some(desired(None));
        state.handed_at = Some(now);
        assert_eq!(state.next(now, true), Next::Do(desired(None)));
        state.handed_at = None;
        state.note(now, &refused(ENODEV));
        assert_eq!(state.next(now + LOOK, true), Next::End);
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
