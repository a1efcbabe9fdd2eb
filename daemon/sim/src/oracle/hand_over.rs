//! Expected hand-over of a router that resigned on purpose: its host holds the addresses until another router
//! advertises in their family, or until the longest time in which a successor does.

use std::collections::BTreeSet;
use std::time::Duration;

use vrrp_proto::{
    Announcement, Cause, Desired, Family, HandOverEnd, Instant, Output, Report, State, Transition,
    Version,
};

use super::{Judged, Oracle, Watched, transitions};
use crate::coverage::Coverage;
use crate::host::Host;
use crate::invariants::{Invariant, Violation};
use crate::records::{Fed, Record};
use crate::scenario::RouterConfig;

/// Hand-over of one router.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    until: Instant,
    /// Families with advertisements in which no successor has advertised.
    awaited: BTreeSet<Family>,
    /// Whether no other program and no event of the host has changed its addresses since.
    is_undisturbed: bool,
}

/// Longest time of a hand-over.
fn bound(config: &RouterConfig) -> Duration {
    let second = Duration::from_secs(1);
    let skew = match config.version {
        Version::V2 => second,
        Version::V3 => config.interval().max(second),
    };
    skew + Duration::from_millis(250)
}

impl Watched {
    /// Whether the host may hold the addresses of a family for a successor.
    pub(crate) fn keeps(&self, family: Family) -> bool {
        let is_awaited =
            |leaving: &Leaving| leaving.awaited.contains(&family) || !self.config.speaks(family);
        self.leaving.as_ref().is_some_and(is_awaited)
    }

    /// Whether the host has to hold them: nothing but the daemon can have deleted them.
    pub(crate) fn has_to_keep(&self, family: Family) -> bool {
        self.keeps(family) && self.leaving.as_ref().is_some_and(|it| it.is_undisturbed)
    }

    /// Whether the router hands over.
    pub(crate) const fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }
}

impl Oracle {
    /// Checks the begin and the end of each hand-over, and that the router is silent in between. To be called
    /// when the transitions of the record are known.
    pub(super) fn watch_hand_overs(
        &mut self,
        host: &Host,
        now: Instant,
        judged: Option<&Judged<'_>>,
        record: &Record,
        coverage: &mut Coverage,
    ) -> Result<(), Violation> {
        let broken = |how: String| Err(Invariant::HandOver.broken(how));
        self.hear_successor(judged, record);
        let is_content = host.process.as_ref().is_some_and(|p| p.is_content());
        // In their order: a router that wakes up late may end a hand-over and take over in one turn.
        for output in &record.outputs {
            if let Output::Report(Report::Transition(transition)) = output {
                self.begin_hand_over(is_content, now, record, transition)?;
            }
            let Output::Report(Report::HandedOver { router, end, .. }) = output else {
                continue;
            };
            if *end == HandOverEnd::Reloaded && self.removed_in_hand_over.remove(&**router) {
                coverage.fault("HandOverCutByReload");
                continue;
            }
            let known = self.routers.get_mut(&**router);
            let Some(leaving) = known.and_then(|router| router.leaving.take()) else {
                return broken(format!("{router} ends a hand-over that did not begin"));
            };
            let (is_true, name) = match end {
                HandOverEnd::Successor(source) => {
                    let is_its = |judged: &Judged<'_>| {
                        judged.router == **router && judged.packet.source == *source
                    };
                    let is_true = judged.is_some_and(is_its) && leaving.awaited.is_empty();
                    (is_true, "HandedOver")
                }
                HandOverEnd::NoSuccessor => {
                    let is_due = matches!(record.fed, Fed::Tick) && now >= leaving.until;
                    (is_due, "HandedOverToNobody")
                }
                HandOverEnd::Fault(_) => (judged.is_none(), "HandOverCutByFault"),
                HandOverEnd::Stopped => (matches!(record.fed, Fed::Stop), "HandOverCutByStop"),
                HandOverEnd::Reloaded => (
                    matches!(record.fed, Fed::Configure(_)),
                    "HandOverCutByReload",
                ),
            };
            if !is_true {
                return broken(format!(
                    "{router} ends its hand-over, but not because: {end}"
                ));
            }
            coverage.fault(name);
        }
        if let Some(router) = self.removed_in_hand_over.pop_first() {
            return broken(format!(
                "{router} is removed and does not end its hand-over"
            ));
        }
        // A fault ends a hand-over with a report, or the transition ends it without one.
        for transition in transitions(record) {
            if transition.to == State::Fault
                && let Some(router) = self.routers.get_mut(&*transition.router)
            {
                router.leaving = None;
            }
        }
        for (name, router) in &self.routers {
            let Some(leaving) = &router.leaving else {
                continue;
            };
            let is_due = matches!(record.fed, Fed::Tick) && now >= leaving.until;
            if leaving.awaited.is_empty() || is_due || self.is_kept_by_tracker(&router.config) {
                return broken(format!("{name} still holds its addresses: {leaving:?}"));
            }
            if record.deadline_after.is_none_or(|at| at > leaving.until) {
                return broken(format!(
                    "{name} hands over until {:?}, the engine asks for {:?}",
                    leaving.until, record.deadline_after
                ));
            }
            // An owner that a reload makes a router with a command against it may announce before it resigns.
            let begins = |output: &Output| matches!(output, Output::Report(Report::HandsOver { router, .. }) if **router == *name);
            let begun = record.outputs.iter().position(begins).unwrap_or(0);
            let mut own = router.config.virtual_addresses();
            let is_active = own.any(|own| {
                record.outputs[begun..].iter().any(|output| {
                    matches!(
                        output,
                        Output::Announce(Announcement { addresses: all, .. })
                            | Output::Kernel(Desired { hold: all, .. })
                            if all.contains(&own)
                    )
                })
            });
            if is_active {
                return broken(format!("{name} requests or announces an address"));
            }
        }
        Ok(())
    }

    fn hear_successor(&mut self, judged: Option<&Judged<'_>>, record: &Record) {
        if matches!(record.fed, Fed::News(_) | Fed::Overrun) {
            let leaving = self.routers.values_mut();
            for leaving in leaving.filter_map(|router| router.leaving.as_mut()) {
                leaving.is_undisturbed = false;
            }
        }
        let is_listened_for = matches!(
            record.fed,
            Fed::Packet {
                is_listened_for: true,
                ..
            }
        );
        let Some(judged) = judged.filter(|_| is_listened_for) else {
            return;
        };
        if let Some(router) = self.routers.get_mut(&judged.router)
            && let Some(leaving) = &mut router.leaving
            && judged.content.is_ok_and(|content| content.priority > 0)
        {
            leaving.awaited.remove(&judged.packet.family());
        }
    }

    /// Takes in a transition, which ends a hand-over if the router becomes master, and begins one if it may. A
    /// master that stops, or that a command of the operator makes backup, hands over if it can serve. A
    /// member that gives up its mastership to join its group does so if the reload does not change it.
    fn begin_hand_over(
        &mut self,
        is_content: bool,
        now: Instant,
        record: &Record,
        transition: &Transition,
    ) -> Result<(), Violation> {
        let Some(router) = self.routers.get_mut(&*transition.router) else {
            return Ok(());
        };
        if transition.to == State::Master {
            router.leaving = None;
        }
        if transition.from != State::Master {
            return Ok(());
        }
        let name = &*transition.router;
        let root = transition.cause.root();
        let is_command = matches!(root, Cause::Command { .. });
        let may_be = is_command || matches!(root, Cause::Stopped | Cause::Joined { .. });
        // A reload may change the addresses of a router that steps down at the same time.
        let is_reload = matches!(record.fed, Fed::Configure(_));
        let has_to = *root == Cause::Stopped || is_command && !is_reload;
        let serves = !router.is_away
            && !router.is_unlinked
            && router.grace_until.is_none()
            && !record.interrupted.contains(name)
            && router.config.virtual_addresses().next().is_some();
        let longest = record.outputs.iter().find_map(|output| {
            let Output::Report(Report::HandsOver { router, longest }) = output else {
                return None;
            };
            (**router == *name).then_some(*longest)
        });
        let expected = bound(&router.config);
        let is_right = match longest {
            Some(longest) => may_be && serves && longest == expected,
            None => !(has_to && serves),
        };
        if !is_right {
            return Err(Invariant::HandOver.broken(format!(
                "{name}: {} -> {} with a hand-over of {longest:?}, expected {expected:?}",
                transition.from, transition.to
            )));
        }
        router.leaving = longest.map(|longest| Leaving {
            until: now + longest,
            awaited: router.config.spoken().collect(),
            is_undisturbed: is_content,
        });
        Ok(())
    }
}
