//! Trackers of kind `unit`: a systemd unit that has to be active, and optionally is restarted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use vrrp_config::{Restart, Unit};
use vrrp_proto::resources::{Outcome, UnitState, Verb};

use super::{NodeIsGone, Reporter};
use crate::units::{States, Units};

/// Pause after a failed restart, during which changes of the unit's state cause no further one.
const PAUSE: Duration = Duration::from_secs(1);

/// Task of one tracker.
pub(super) async fn follow(unit: Unit, units: Units, mut reporter: Reporter) {
    let Some(states) = units.watch(Arc::clone(&unit.name)).await else {
        return;
    };
    let mut watch = Watch {
        unit,
        units,
        states,
        starts: VecDeque::new(),
        failed: None,
    };
    while let Ok(again) = watch.look(&mut reporter).await {
        let changed = watch.states.changed();
        let changed = match again {
            None => changed.await,
            Some(again) => tokio::select! {
                changed = changed => changed,
                () = sleep_until(again) => Ok(()),
            },
        };
        if changed.is_err() {
            return;
        }
    }
}

struct Watch {
    unit: Unit,
    units: Units,
    states: States,
    /// Times of recent restarts.
    starts: VecDeque<Instant>,
    /// End of the pause after a failed restart, and the reason of the failure.
    failed: Option<(Instant, Arc<str>)>,
}

impl Watch {
    /// Reports the state of the unit, and restarts it if necessary. Returns the time at which to
    /// look again without a change.
    async fn look(&mut self, reporter: &mut Reporter) -> Result<Option<Instant>, NodeIsGone> {
        let state = self.states.borrow_and_update().clone();
        match state {
            // While a job starts or stops the unit, the last report stays valid.
            None | Some(UnitState::Changing(_)) => Ok(None),
            Some(UnitState::Active) => {
                self.failed = None;
                let starts = self.starts_lately();
                let detail = match &self.unit.restart {
                    Some(restart) if starts > 0 => format!("active, {}", often(starts, restart)),
                    Some(_) | None => "active".to_owned(),
                };
                reporter.report(true, detail).map(|()| None)
            }
            // A restart of D-Bus says nothing of the unit. Without a verdict the host probably has no systemd.
            Some(UnitState::Unknown(why)) => match reporter.last {
                Some(_) => reporter.keep(&why).map(|()| None),
                None => reporter.report(false, why.to_string()).map(|()| None),
            },
            // During a restart by systemd the unit does not run.
            Some(UnitState::Ended(why) | UnitState::Restarting(why)) => {
                match self.unit.restart.clone() {
                    None => {
                        let see = format!("{why}; see journalctl -u {}", self.unit.name);
                        reporter.report(false, see).map(|()| None)
                    }
                    Some(restart) => self.start_again(&why, &restart, reporter).await,
                }
            }
        }
    }

    /// Restarts the unit. A restart that succeeds is not reported as a failure.
    async fn start_again(
        &mut self,
        why: &str,
        restart: &Restart,
        reporter: &mut Reporter,
    ) -> Result<Option<Instant>, NodeIsGone> {
        if let Some((until, failure)) = &self.failed
            && Instant::now() < *until
        {
            return Self::report_failure(why, failure, *until, reporter);
        }
        let starts = self.starts_lately();
        if starts >= restart.at_most {
            let detail = format!("{why}; {}; no further restart", often(starts, restart));
            let free = self.starts.front().map(|first| *first + restart.within);
            return reporter.report(false, detail).map(|()| free);
        }
        self.starts.push_back(Instant::now());
        let name = Arc::clone(&self.unit.name);
        let job = self.units.job(Verb::Start, name);
        let failure: Arc<str> = match timeout(restart.timeout, job).await {
            // systemd reports the present state.
            Ok(Outcome::Done) if self.states.has_changed().unwrap_or(false) => {
                return Ok(Some(Instant::now()));
            }
            Ok(Outcome::Done) => "it ended immediately".into(),
            Ok(Outcome::Failed(failure) | Outcome::Lost(failure)) => failure,
            Err(_) => {
                let seconds = restart.timeout.as_secs_f64();
                format!("not started within {seconds} s").into()
            }
        };
        let until = Instant::now() + PAUSE;
        self.failed = Some((until, Arc::clone(&failure)));
        Self::report_failure(why, &failure, until, reporter)
    }

    fn report_failure(
        why: &str,
        failure: &str,
        until: Instant,
        reporter: &mut Reporter,
    ) -> Result<Option<Instant>, NodeIsGone> {
        let detail = format!("{why}; restart failed: {failure}");
        reporter.report(false, detail).map(|()| Some(until))
    }

    /// Number of restarts within the configured period.
    fn starts_lately(&mut self) -> u32 {
        if let Some(restart) = &self.unit.restart {
            let now = Instant::now();
            while let Some(first) = self.starts.front()
                && now.duration_since(*first) >= restart.within
            {
                self.starts.pop_front();
            }
        }
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }
}

/// `restarted 2 of at most 3 times within 300 s`.
fn often(starts: u32, restart: &Restart) -> String {
    let Restart {
        at_most, within, ..
    } = restart;
    let within = within.as_secs_f64();
    format!("restarted {starts} of at most {at_most} times within {within} s")
}

#[cfg(test)]
mod tests;
