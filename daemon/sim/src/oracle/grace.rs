//! Expected grace of a router whose interface or own address is missing for a moment.

use std::time::Duration;

use vrrp_proto::{Cause, FaultReason, Instant, State};

use super::{Oracle, transitions};
use crate::invariants::{Invariant, Violation};
use crate::records::{Fed, Record};
use crate::scenario::RouterConfig;

/// Length of a grace that begins with this configuration.
fn grace(config: &RouterConfig) -> Duration {
    (config.interval() / 2).min(Duration::from_millis(500))
}

impl Oracle {
    /// Checks that an absence of an interface or an address is no fault during the grace, and is one after
    /// it.
    ///
    /// The end of the grace is set when it begins. A reload leaves it, because the backups wait for the
    /// interval of the last advertisement (RFC 9568 section 6.1), and a router in its grace sends none.
    pub(super) fn watch_grace(&mut self, now: Instant, record: &Record) -> Result<(), Violation> {
        let is_of_network = matches!(record.fed, Fed::Tick | Fed::News(_));
        for transition in transitions(record).filter(|_| is_of_network) {
            let Some(router) = self.routers.get(&*transition.router) else {
                continue;
            };
            let is_own = matches!(
                transition.cause,
                Cause::Faulted(FaultReason::NoCarrier(_) | FaultReason::NoAddress(_))
            );
            let is_early = router.grace_until.is_none_or(|until| now < until);
            // A tracker that is down causes a fault without a grace. It can be one of the same interface,
            // which is up again before the end of the turn.
            let is_kept = self.is_kept_by_tracker(&router.config);
            if is_own && is_early && transition.from == State::Master && !is_kept {
                return Err(Invariant::Grace.broken(format!(
                    "{}: {}, with a grace until {:?}",
                    transition.router, transition.cause, router.grace_until
                )));
            }
        }
        for (name, router) in &mut self.routers {
            let begun = router.grace_until.take();
            if !record.interrupted.contains(&**name) {
                continue;
            }
            let until = begun.unwrap_or_else(|| now + grace(&router.config));
            router.grace_until = Some(until);
            let is_late = matches!(record.fed, Fed::Tick) && until <= now;
            if is_late || record.deadline_after.is_none_or(|at| at > until) {
                return Err(Invariant::Grace.broken(format!(
                    "{name} is {} in a grace until {until:?}, the engine asks for {:?}",
                    router.state(),
                    record.deadline_after
                )));
            }
        }
        Ok(())
    }
}
