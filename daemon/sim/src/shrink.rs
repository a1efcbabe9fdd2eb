//! Reduction of a scenario to a short one that breaks the same invariant.

use vrrp_proto::{Family, Version};

use crate::invariants::Invariant;
use crate::scenario::{AnnounceConfig, Behind, Config, Families, RouterConfig, Scenario, Source};
use crate::world::{configured, run};

/// Removes and simplifies everything that the violation does not need, until nothing more can be
/// removed.
///
/// Returns a scenario that breaks no invariant unchanged.
pub fn shrink(scenario: &Scenario) -> Scenario {
    let Some(invariant) = broken(scenario) else {
        return scenario.clone();
    };
    let mut best = scenario.clone();
    loop {
        let before = best.clone();
        shrink_steps(&mut best, invariant);
        for candidate in simpler(&best) {
            if broken(&candidate) == Some(invariant) {
                // The simpler scenario may need fewer steps: remove steps again first.
                best = candidate;
                break;
            }
        }
        if best == before {
            return best;
        }
    }
}

fn broken(scenario: &Scenario) -> Option<Invariant> {
    run(scenario, false)
        .broken
        .map(|(_, broken)| broken.invariant)
}

/// Removes runs of steps, in ever smaller sizes. The time between the remaining steps stays the same.
fn shrink_steps(best: &mut Scenario, invariant: Invariant) {
    let mut size = best.steps.len();
    while size > 0 {
        let mut start = 0;
        while start < best.steps.len() {
            let mut candidate = best.clone();
            let end = (start + size).min(candidate.steps.len());
            let gone: u64 = candidate
                .steps
                .drain(start..end)
                .map(|step| step.after)
                .sum();
            if let Some(next) = candidate.steps.get_mut(start) {
                next.after += gone;
            }
            if broken(&candidate) == Some(invariant) {
                *best = candidate;
            } else {
                start += size;
            }
        }
        size /= 2;
    }
}

/// Whether the daemon would accept a router with this configuration.
fn is_sensible(router: &RouterConfig) -> bool {
    let knows = router.version == Version::V3 || !router.speaks(Family::V6);
    let has = |source: Source| router.families.has(source.family);
    knows && router.spoken().next().is_some() && router.source.is_none_or(has)
}

/// Removes a router from a configuration and from its group.
fn remove(config: &mut Config, name: &str) {
    config.routers.remove(name);
    config.groups.retain(|_, group| {
        group.members.retain(|member| member != name);
        !group.members.is_empty()
    });
}

/// Returns slightly simpler variants of a scenario.
fn simpler(scenario: &Scenario) -> Vec<Scenario> {
    let mut candidates = Vec::new();
    let mut add = |change: &dyn Fn(&mut Scenario)| {
        let mut candidate = scenario.clone();
        change(&mut candidate);
        if candidate != *scenario && configured(&candidate).all(is_sensible) {
            candidates.push(candidate);
        }
    };
    if scenario.hosts.len() > 1 {
        add(&|s| drop(s.hosts.pop()));
    }
    for index in 0..scenario.foreign.len() {
        add(&|s| drop(s.foreign.remove(index)));
    }
    for (index, host) in scenario.hosts.iter().enumerate() {
        add(&|s| s.hosts[index].drift = 0);
        add(&|s| s.hosts[index].marks = true);
        add(&|s| s.hosts[index].promotes = true);
        add(&|s| s.hosts[index].owns.clear());
        add(&|s| s.hosts[index].owns_ipv6.clear());
        add(&|s| s.hosts[index].backwards = false);
        add(&|s| s.hosts[index].second = false);
        add(&|s| s.hosts[index].config.synchronised = None);
        add(&|s| s.hosts[index].config.groups.clear());
        for name in host.config.routers.keys() {
            add(&|s| remove(&mut s.hosts[index].config, name));
            let router = |s: &mut Scenario, change: &dyn Fn(&mut RouterConfig)| {
                if let Some(router) = s.hosts[index].config.routers.get_mut(name) {
                    change(router);
                }
            };
            add(&|s| router(s, &|r| r.addresses.truncate(1)));
            add(&|s| router(s, &|r| r.unadvertised.clear()));
            for families in [Families::Ipv4, Families::Ipv6] {
                add(&|s| router(s, &|r| r.families = families));
            }
            add(&|s| router(s, &|r| r.tracks.clear()));
            add(&|s| router(s, &|r| r.expect_master = false));
            add(&|s| router(s, &|r| r.password = false));
            add(&|s| router(s, &|r| r.preempt = true));
            add(&|s| router(s, &|r| r.trust_wire = true));
            add(&|s| router(s, &|r| r.track_interface = true));
            add(&|s| router(s, &|r| r.accept = true));
            add(&|s| router(s, &|r| r.interval = 100));
            add(&|s| router(s, &|r| r.preempt_delay = 0));
            add(&|s| router(s, &|r| r.startup_delay = 0));
            add(&|s| router(s, &|r| r.announce = AnnounceConfig::default()));
            add(&|s| router(s, &|r| r.behind = Behind::Own));
            add(&|s| router(s, &|r| r.source = None));
            add(&|s| router(s, &|r| r.unicast = None));
            add(&|s| router(s, &|r| r.hmac = None));
        }
        add(&|s| s.hosts[index].config.patience.clear());
        for name in host.config.trackers.keys() {
            add(&|s| {
                s.hosts[index]
                    .config
                    .trackers
                    .retain(|known, _| known != name)
            });
        }
    }
    for (index, step) in scenario.steps.iter().enumerate() {
        for rounder in [
            step.after / 1_000_000 * 1_000_000,
            step.after / 1_000 * 1_000,
        ] {
            add(&|s| s.steps[index].after = rounder);
        }
    }
    candidates
}
