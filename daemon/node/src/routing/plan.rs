//! Planning of routes and rules: from the desired state to changes of the kernel. Pure.
//!
//! As with addresses, the engine says which routes and rules one router should hold, and [`plan`] compares
//! them with the [`Mirror`] and returns the missing changes. A second plan for the same desired state is
//! empty. Routes and rules without the daemon's mark are in no mirror, so no plan can touch them; where one
//! conflicts with a desired route or rule, the kernel rejects the addition.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use vrrp_proto::routing::{Route, Routed, Rule};
use vrrp_proto::{DesiredRouting, InterfaceIndex};

use super::mirror::{Installed, Leg, Mirror, loses_single_legs};

/// Change of the kernel's routes or rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a route.
    AddRoute {
        /// Name of the router that the route follows.
        router: Arc<str>,
        /// Route as configured.
        route: Route,
        /// Route in the kernel's form.
        installed: Installed,
    },
    /// Restores next hops of a multipath route that the kernel removed (IPv6).
    ExtendRoute {
        /// Name of the router that the route follows.
        router: Arc<str>,
        /// Route as configured.
        route: Route,
        /// Complete route in the kernel's form.
        installed: Installed,
        /// Missing next hops.
        missing: Vec<Leg>,
    },
    /// Deletes a route.
    DeleteRoute(Installed),
    /// Adds a rule.
    AddRule {
        /// Name of the router that the rule follows.
        router: Arc<str>,
        /// The rule.
        rule: Rule,
    },
    /// Deletes a rule.
    DeleteRule(Rule),
}

impl Change {
    /// Whether this is a deletion. Deletions are made before all changes of addresses, the other changes
    /// after them.
    pub const fn deletes(&self) -> bool {
        matches!(self, Self::DeleteRoute(_) | Self::DeleteRule(_))
    }

    /// Route or rule that is added or deleted.
    pub fn what(&self) -> Routed {
        match self {
            Self::AddRoute { installed, .. }
            | Self::ExtendRoute { installed, .. }
            | Self::DeleteRoute(installed) => Routed::Route(installed.place),
            Self::AddRule { rule, .. } | Self::DeleteRule(rule) => Routed::Rule(rule.clone()),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddRoute { route, .. } => write!(f, "add the route {route}"),
            Self::ExtendRoute { route, missing, .. } => {
                let count = missing.len();
                write!(
                    f,
                    "restore next hops ({count} missing) of the route {route}"
                )
            }
            Self::DeleteRoute(installed) => write!(f, "delete the route {}", installed.place),
            Self::AddRule { rule, .. } => write!(f, "add the rule {rule}"),
            Self::DeleteRule(rule) => write!(f, "delete the rule {rule}"),
        }
    }
}

/// Desired change that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{}cannot {what}: {why}", self.whose())]
pub struct Failure {
    /// Name of the router that needs the change; none for the cleanup after an earlier run.
    pub router: Option<Arc<str>>,
    /// Change that cannot be made, as text.
    pub what: String,
    /// Reason, as text.
    pub why: String,
}

impl Failure {
    /// Returns the failure of a change that the kernel rejected with `error` and, if it sent one, an
    /// `explanation` (extended acknowledgement).
    pub fn refused(change: &Change, error: &io::Error, explanation: Option<String>) -> Self {
        let router = match change {
            Change::AddRoute { router, .. }
            | Change::ExtendRoute { router, .. }
            | Change::AddRule { router, .. } => Some(Arc::clone(router)),
            Change::DeleteRoute(_) | Change::DeleteRule(_) => None,
        };
        let why = match (error.kind(), explanation) {
            (io::ErrorKind::AlreadyExists, _) => {
                "the kernel already holds one that another program added: delete that, or choose \
                 another metric, priority or table"
                    .to_owned()
            }
            (_, Some(explanation)) => format!("{explanation} ({error})"),
            (_, None) => error.to_string(),
        };
        Self {
            router,
            what: change.to_string(),
            why,
        }
    }

    fn whose(&self) -> String {
        let prefix = |router: &Arc<str>| format!("{router}: ");
        self.router.as_ref().map(prefix).unwrap_or_default()
    }
}

/// Appends to `changes` the changes after which the kernel holds the `desired` routes and rules; the last
/// request for a route or rule counts. Appends to `failures` the routes over a device that does not exist;
/// `device` returns the index for a device name.
///
/// `mirror` shows the result at once. The caller has to carry out the changes, first those that
/// [delete](Change::deletes), and to correct the mirror where the kernel rejects a change.
pub fn plan(
    desired: &[DesiredRouting],
    device: impl Fn(&str) -> Option<InterfaceIndex>,
    mirror: &mut Mirror,
    changes: &mut Vec<Change>,
    failures: &mut Vec<Failure>,
) {
    let first = changes.len();
    for (what, wish) in last_wishes(desired) {
        match (what, wish) {
            (Routed::Route(place), Wish::Gone) => changes.extend(deletions(mirror.routes(place))),
            (Routed::Rule(rule), Wish::Gone) if mirror.has_rule(&rule) => {
                changes.push(Change::DeleteRule(rule));
            }
            (Routed::Rule(rule), Wish::Rule(router)) if !mirror.has_rule(&rule) => {
                let router = Arc::clone(router);
                changes.push(Change::AddRule { router, rule });
            }
            (_, Wish::Route(router, route)) => match install(route, &device) {
                Ok(installed) => changes.extend(hold(router, route, installed, mirror)),
                Err(missing) => failures.push(Failure {
                    router: Some(Arc::clone(router)),
                    what: format!("add the route {route}"),
                    why: format!("there is no device {missing}"),
                }),
            },
            (_, Wish::Gone | Wish::Rule(_)) => {}
        }
    }
    for change in &changes[first..] {
        mirror.applied(change);
    }
}

/// Appends to `changes` the deletion of all routes and rules that bear the daemon's mark and are not
/// `wanted`: an earlier daemon left them, or another program added them. As with [`plan`], `mirror` shows
/// the result at once.
pub fn strays(mirror: &mut Mirror, wanted: impl Fn(&Routed) -> bool, changes: &mut Vec<Change>) {
    let first = changes.len();
    let routes = mirror
        .all_routes()
        .filter(|route| !wanted(&Routed::Route(route.place)));
    changes.extend(deletions(routes));
    let rules = mirror
        .all_rules()
        .filter(|rule| !wanted(&Routed::Rule((*rule).clone())));
    changes.extend(rules.cloned().map(Change::DeleteRule));
    for change in &changes[first..] {
        mirror.applied(change);
    }
}

/// Desired state of one route or rule, with the name of the router that wants it.
#[derive(Clone, Copy, Debug)]
enum Wish<'d> {
    Gone,
    Route(&'d Arc<str>, &'d Route),
    Rule(&'d Arc<str>),
}

/// Returns the last request for each route and rule. Within the requests of one router, holding takes
/// precedence over releasing.
fn last_wishes(desired: &[DesiredRouting]) -> BTreeMap<Routed, Wish<'_>> {
    let mut wishes = BTreeMap::new();
    for DesiredRouting {
        router,
        routes,
        rules,
        release,
    } in desired
    {
        wishes.extend(release.iter().cloned().map(|what| (what, Wish::Gone)));
        let route = |route: &'_ Route| Routed::Route(route.place());
        wishes.extend(routes.iter().map(|r| (route(r), Wish::Route(router, r))));
        let rules = rules.iter().cloned().map(Routed::Rule);
        wishes.extend(rules.map(|rule| (rule, Wish::Rule(router))));
    }
    wishes
}

fn deletions<'a>(routes: impl IntoIterator<Item = &'a Installed>) -> impl Iterator<Item = Change> {
    routes.into_iter().cloned().map(Change::DeleteRoute)
}

/// Returns the changes after which `route` is the only route with the daemon's mark for its key.
fn hold(router: &Arc<str>, route: &Route, installed: Installed, mirror: &Mirror) -> Vec<Change> {
    let there = mirror.routes(installed.place);
    // At most one existing route is kept: one that fits, or else one that only lacks next hops.
    let kept = there.iter().position(|known| installed.fits(known));
    let kept = kept.or_else(|| there.iter().position(|known| lacks_legs(&installed, known)));
    let others = there
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != kept)
        .map(|(_, other)| other);
    let mut changes: Vec<Change> = deletions(others).collect();
    let (router, route) = (Arc::clone(router), route.clone());
    match kept.and_then(|at| installed.missing_in(&there[at])) {
        None => changes.push(Change::AddRoute {
            router,
            route,
            installed,
        }),
        Some(missing) if missing.is_empty() => {}
        Some(missing) => changes.push(Change::ExtendRoute {
            router,
            route,
            installed,
            missing,
        }),
    }
    changes
}

/// Whether `known` is `wanted` without some of its next hops, as the kernel leaves it when a device goes
/// down.
fn lacks_legs(wanted: &Installed, known: &Installed) -> bool {
    loses_single_legs(wanted)
        && !known.legs.is_empty()
        && wanted.missing_in(known).is_some_and(|m| !m.is_empty())
}

/// Converts a route into the kernel's form. The error is the name of the device that does not exist.
fn install(
    route: &Route,
    device: impl Fn(&str) -> Option<InterfaceIndex>,
) -> Result<Installed, Arc<str>> {
    let number = |name: &Arc<str>| device(name).ok_or_else(|| Arc::clone(name));
    let mut legs = Vec::with_capacity(route.next_hops().len());
    for hop in route.next_hops() {
        legs.push(Leg {
            gateway: hop.gateway(),
            device: hop.device().map(number).transpose()?,
            weight: hop.weight().get().into(),
            on_link: hop.is_on_link(),
        });
    }
    Ok(Installed {
        place: route.place(),
        tos: 0,
        scope: route.scope(),
        source: route.source(),
        legs,
        odd: false,
    })
}

#[cfg(test)]
mod tests;
