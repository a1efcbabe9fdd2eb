//! Bytes to a scenario of the simulation.

use std::collections::BTreeMap;
use std::time::Duration;

use vrrp_sim::scenario::{Action, RouterConfig};
use vrrp_sim::{Scenario, from_bytes, run};

/// How many things may happen at most: a tenth of a second where nothing is optimised.
const MOST: u128 = 60_000;

/// Plays the scenario that bytes stand for, when that cannot take long.
///
/// # Panics
///
/// When a law is broken, or more happens than the protocol has cause for.
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
        "{} events, and there is cause for {most}",
        outcome.events
    );
}

/// As many things as can happen at most. It grows with the time that passes in terms of the shortest
/// interval, and with the square of those who speak and hear: a few steps may be hours at 10 ms.
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
    // The world goes on until all is settled for long. Clocks may be fast.
    let span = (Duration::from_micros(steps) + 10 * longest + Duration::from_secs(3)) * 106 / 100;
    let stations =
        u128::try_from(scenario.hosts.len() + scenario.foreign.len()).unwrap_or(u128::MAX);
    // Everybody is master. Each packet may come twice and has its reader take a turn, and so does
    // the speaker for its timer.
    let rounds = shortest
        .values()
        .map(|interval| span.as_nanos() / interval.as_nanos() + 1);
    let said = rounds.sum::<u128>() * stations * (4 * stations + 2);
    // What happens beside, junk above all, and what is asked for again every second.
    let steps = u128::try_from(scenario.steps.len()).unwrap_or(u128::MAX);
    said + (steps + 1) * 200 * stations + u128::from(span.as_secs()) * stations
}

/// Every router that anybody is configured to run at any time.
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
