//! From the routing that is wanted to what is to be done. Pure.
//!
//! As with addresses: the engine says what one router should hold, [`plan`] compares it with the
//! [`Mirror`] and gives the changes that are missing, and doing it twice does nothing. What does not
//! bear our mark is in no mirror, so that no plan can touch it; where it stands in the way, the kernel
//! refuses.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use vrrp_proto::routing::{Route, Routed, Rule};
use vrrp_proto::{DesiredRouting, InterfaceIndex};

use super::mirror::{Installed, Leg, Mirror, loses_single_legs};

/// One change of the kernel's routes or rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A route comes.
    AddRoute {
        /// The name of the router that it follows.
        router: Arc<str>,
        /// The route in the words of the configuration.
        route: Route,
        /// The same in the kernel's.
        installed: Installed,
    },
    /// A route of several next hops gets back some that the kernel took away (IPv6).
    ExtendRoute {
        /// As of a new route.
        router: Arc<str>,
        /// As of a new route.
        route: Route,
        /// The route as it is to be.
        installed: Installed,
        /// What it lacks.
        missing: Vec<Leg>,
    },
    /// A route goes.
    DeleteRoute(Installed),
    /// A rule comes.
    AddRule {
        /// The name of the router that it follows.
        router: Arc<str>,
        /// The rule.
        rule: Rule,
    },
    /// A rule goes.
    DeleteRule(Rule),
}

impl Change {
    /// Whether something goes. Those come before all changes of addresses, the others after them.
    pub const fn deletes(&self) -> bool {
        matches!(self, Self::DeleteRoute(_) | Self::DeleteRule(_))
    }

    /// What comes or goes.
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
                write!(f, "give {count} next hops back to the route {route}")
            }
            Self::DeleteRoute(installed) => write!(f, "delete the route {}", installed.place),
            Self::AddRule { rule, .. } => write!(f, "add the rule {rule}"),
            Self::DeleteRule(rule) => write!(f, "delete the rule {rule}"),
        }
    }
}

/// Something that is wanted and cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{}cannot {what}: {why}", self.whose())]
pub struct Failure {
    /// The name of the router that wants it; none where an earlier run wanted it.
    pub router: Option<Arc<str>>,
    /// What cannot be done.
    pub what: String,
    /// Why, in words.
    pub why: String,
}

impl Failure {
    /// What came of a change that the kernel refused with `error`, and with `explanation` where it
    /// has one.
    pub fn refused(change: &Change, error: &io::Error, explanation: Option<String>) -> Self {
        let router = match change {
            Change::AddRoute { router, .. }
            | Change::ExtendRoute { router, .. }
            | Change::AddRule { router, .. } => Some(Arc::clone(router)),
            Change::DeleteRoute(_) | Change::DeleteRule(_) => None,
        };
        let why = match (error.kind(), explanation) {
            (io::ErrorKind::AlreadyExists, _) => {
                "another one is there that this daemon did not put there: take that away, or choose \
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

/// Appends to `changes` what makes the kernel hold what is `desired`, of which the last wish counts, and
/// to `failures` what cannot be because a device of that name, of which `device` gives the number,
/// does not exist.
///
/// `mirror` shows the result at once. Whoever carries the changes out, first those that
/// [delete](Change::deletes), corrects it where the kernel refuses.
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

/// Appends to `changes` the removal of all that bears our mark and is not `wanted`: what an earlier
/// daemon left, or somebody put there. As with [`plan`], `mirror` shows the result at once.
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

/// What is wanted of one thing, with the name of the router that wants it.
#[derive(Clone, Copy, Debug)]
enum Wish<'d> {
    Gone,
    Route(&'d Arc<str>, &'d Route),
    Rule(&'d Arc<str>),
}

/// What is wanted in the end. Of one router what it holds counts more than what it releases.
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

/// What makes a route be the only one of ours in its place.
fn hold(router: &Arc<str>, route: &Route, installed: Installed, mirror: &Mirror) -> Vec<Change> {
    let there = mirror.routes(installed.place);
    // Of two that would do, one is too many.
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

/// Whether `known` is what the kernel left of `wanted`.
fn lacks_legs(wanted: &Installed, known: &Installed) -> bool {
    loses_single_legs(wanted)
        && !known.legs.is_empty()
        && wanted.missing_in(known).is_some_and(|m| !m.is_empty())
}

/// A route in the kernel's words, or the name of the device that does not exist.
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
