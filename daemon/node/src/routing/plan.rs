//! Planning of routes and rules: from the desired state to changes of the kernel. Pure.
//!
//! As with addresses, the engine says which routes and rules one router should hold, and [`plan`] compares
//! them with the [`Mirror`] and returns the missing changes. A second plan for the same desired state is
//! empty. Routes and rules without the daemon's mark are in no mirror, so no plan can touch them; where one
//! conflicts with a desired route or rule, the kernel rejects the addition.

use std::collections::BTreeMap;
use std::sync::Arc;

use vrrp_proto::routing::{Route, Routed};
use vrrp_proto::{DesiredRouting, InterfaceIndex};

use super::change::{Change, Failure, Installed, Leg};
use super::mirror::{Mirror, loses_single_legs};

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
