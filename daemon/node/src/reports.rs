//! Reports about the repair of addresses, routes and rules: published with what the kernel holds, not with
//! what was requested.

use std::sync::Arc;

use vrrp_proto::routing::Routed;
use vrrp_proto::{Engine, Instant, Report};

use crate::brake::{Object, Subject, Told};
use crate::mirror::Mirror;
use crate::routing;

/// Reports of changes that the kernel has rejected so far.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    pending: Vec<Report>,
    told: Told,
}

impl Reports {
    /// Completes the `reports` of a turn after its requests, and takes them. One about a change
    /// that the kernel rejected is returned again when the change is made. Repeated ones are counted: see
    /// [`Told`].
    pub(crate) fn confirm<'r>(
        &mut self,
        now: Instant,
        reports: &'r mut Vec<Report>,
        engine: &Engine,
        addresses: &Mirror,
        routing: Option<&routing::mirror::Mirror>,
    ) -> impl Iterator<Item = Report> + use<'r> {
        let known = Known { addresses, routing };
        let mut late = Vec::new();
        self.pending.retain_mut(|report| {
            if known.complete(report) {
                late.push(report.clone());
                return false;
            }
            is_wanted(report, engine)
        });
        for report in &mut *reports {
            if !known.complete(report) && !self.pending.contains(report) {
                self.pending.push(report.clone());
            }
        }
        let told = &mut self.told;
        reports.retain(|report| subject_of(report).is_none_or(|subject| told.admit(now, subject)));
        let omitted = told.take(now);
        reports.drain(..).chain(late).chain(omitted)
    }

    /// Time of the next report on omitted ones.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.told.due()
    }
}

/// State of the kernel, as far as known.
#[derive(Clone, Copy, Debug)]
struct Known<'k> {
    addresses: &'k Mirror,
    routing: Option<&'k routing::mirror::Mirror>,
}

impl Known<'_> {
    /// Sets whether the change of a report is made, and returns that. `true` for a report without a change.
    fn complete(self, report: &mut Report) -> bool {
        let Some(subject) = subject_of(report) else {
            return true;
        };
        let is_made = self.has(&subject.object) == subject.is_addition;
        if let Report::Repaired { done, .. }
        | Report::Stray { done, .. }
        | Report::RoutingRepaired { done, .. }
        | Report::RoutingStray { done, .. } = report
        {
            *done = is_made;
        }
        is_made
    }

    fn has(self, object: &Object) -> bool {
        match object {
            Object::Address(interface, address) => {
                self.addresses.held(*interface, *address).is_some()
            }
            Object::Routed(what) => self.routing.is_some_and(|routing| match what {
                Routed::Route(place) => !routing.routes(*place).is_empty(),
                Routed::Rule(rule) => routing.has_rule(rule),
            }),
        }
    }
}

/// Returns what a report says to be added or deleted.
fn subject_of(report: &Report) -> Option<Subject> {
    let (router, object, is_addition) = match report {
        Report::Repaired {
            router,
            interface,
            address,
            ..
        } => (router, Object::Address(*interface, *address), true),
        Report::Stray {
            router,
            interface,
            address,
            ..
        } => (router, Object::Address(*interface, *address), false),
        Report::RoutingRepaired { router, what, .. } => {
            (router, Object::Routed(what.clone()), true)
        }
        Report::RoutingStray { router, what, .. } => (router, Object::Routed(what.clone()), false),
        Report::Transition(_)
        | Report::Continued(_)
        | Report::Dropped { .. }
        | Report::Interrupted { .. }
        | Report::Verdict { .. }
        | Report::Priority { .. }
        | Report::Command { .. }
        | Report::Mismatch { .. }
        | Report::Clock { .. }
        | Report::Suppressed { .. }
        | Report::Withheld { .. }
        | Report::SecondMaster { .. }
        | Report::AddressConflict { .. }
        | Report::Contested { .. }
        | Report::HandsOver { .. }
        | Report::HandedOver { .. }
        | Report::Repeated { .. }
        | Report::LinkLost { .. }
        | Report::LinkRestored { .. }
        | Report::Renamed(_) => return None,
    };
    Some(Subject {
        router: Arc::clone(router),
        object,
        is_addition,
    })
}

/// Whether the engine still wants the change of a report.
fn is_wanted(report: &Report, engine: &Engine) -> bool {
    subject_of(report).is_some_and(|subject| {
        let is_held = match subject.object {
            Object::Address(interface, address) => {
                engine.held().any(|held| held == (interface, address))
            }
            Object::Routed(what) => engine.held_routing().any(|held| held == what),
        };
        is_held == subject.is_addition
    })
}
