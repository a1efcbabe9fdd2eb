//! Fuzz target that turns bytes into a scenario of the simulation.

use std::collections::BTreeMap;
use std::time::Duration;

use vrrp_sim::scenario::{Action, RouterConfig};
use vrrp_sim::{Scenario, from_bytes, run};

/// Maximum number of events: a tenth of a second in a build without optimisation.
const MOST: u128 = 60_000;

/// Runs the scenario that the bytes encode, unless it would take long.
///
/// # Panics
///
/// When an invariant is broken, or there are more events than the protocol can cause.
pub fn scenario(bytes: &[u8]) {
    let scenario = from_bytes(bytes);
    let most = most_events(&scenario);
    if most > MOST {
        return;
    }
    let outcome = run(&scenario, false);
    if let Some((at, broken)) = outcome.broken {
        let story = serde_json::to_string(&scenario).unwrap_or_default();
        panic!("{} us: {broken}\n{story}", at.as_nanos() / 1_000);
    }
    assert!(
        u128::from(outcome.events) <= most,
        "{} events, expected at most {most}",
        outcome.events
    );
}

/// Upper bound of the number of events. It grows with the simulated time as a multiple of the shortest
/// interval, and with the square of the number of hosts: a few steps may be hours at 10 ms.
fn most_events(scenario: &Scenario) -> u128 {
    let mut shortest: BTreeMap<(u8, u8), Duration> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for router in configured(scenario) {
        let interval = router.interval();
        longest = longest.max(interval);
        let known = shortest
            .entry((router.segment, router.vrid))
            .or_insert(interval);
        *known = interval.min(*known);
    }
    let steps: u64 = scenario.steps.iter().map(|step| step.after).sum();
    // The simulation continues until the state has been stable for long. Clocks may be fast.
    let span = (Duration::from_micros(steps) + 13 * longest + Duration::from_secs(4)) * 106 / 100;
    let stations =
        u128::try_from(scenario.hosts.len() + scenario.foreign.len()).unwrap_or(u128::MAX);
    // Worst case: every host is master. Each packet may be delivered twice, each delivery causes a turn of
    // the receiver, and each timer one of the sender.
    let rounds = shortest
        .values()
        .map(|interval| span.as_nanos() / interval.as_nanos() + 1);
    let said = rounds.sum::<u128>() * stations * (4 * stations + 2);
    // Other events, mostly malformed packets, and the requests that are repeated every second.
    let steps = u128::try_from(scenario.steps.len()).unwrap_or(u128::MAX);
    said + (steps + 1) * 200 * stations + u128::from(span.as_secs()) * stations
}

/// Iterates over all routers that any host is configured to run at any time.
fn configured(scenario: &Scenario) -> impl Iterator<Item = &RouterConfig> {
    let hosts = scenario.hosts.iter().map(|host| &host.config);
    let reloads = scenario.steps.iter().filter_map(|step| {
        let Action::Reload { config, .. } = &step.action else {
            return None;
        };
        Some(config)
    });
    let foreign = scenario.foreign.iter().map(|router| &router.config);
    hosts
        .chain(reloads)
        .flat_map(|config| config.routers.values())
        .chain(foreign)
}
