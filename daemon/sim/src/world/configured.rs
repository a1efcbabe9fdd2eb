//! Properties of the configurations of a scenario.

use std::collections::BTreeSet;

use vrrp_proto::Version;

use crate::scenario::{Action, Config, RouterConfig, Scenario};

/// Every router of every host, of all configurations.
pub(crate) fn configured(scenario: &Scenario) -> impl Iterator<Item = &RouterConfig> {
    let routers = configurations(scenario).flat_map(|config| config.routers.values());
    routers.chain(scenario.foreign.iter().map(|router| &router.config))
}

/// Every configuration of every host.
pub(super) fn configurations(scenario: &Scenario) -> impl Iterator<Item = &Config> {
    let reloads = scenario.steps.iter().filter_map(|step| {
        let Action::Reload { config, .. } = &step.action else {
            return None;
        };
        Some(config)
    });
    let hosts = scenario.hosts.iter().map(|host| &host.config);
    hosts.chain(reloads)
}

/// Part of the configuration on which routers have to agree to accept each other's advertisements.
pub(super) fn dialect(config: &RouterConfig) -> String {
    match config.version {
        Version::V2 => format!("2 {} {}", config.interval, config.password().is_some()),
        Version::V3 => "3".to_owned(),
    }
}

/// Sets of virtual routers that are connected by sync groups.
pub(super) fn entangled(scenario: &Scenario) -> Vec<BTreeSet<(u8, u8)>> {
    let mut all: Vec<BTreeSet<(u8, u8)>> = Vec::new();
    for config in configurations(scenario) {
        for group in config.groups.values() {
            let members = group
                .members
                .iter()
                .filter_map(|name| config.routers.get(name));
            let mut keys: BTreeSet<_> = members.map(key_of).collect();
            all.retain(|known| {
                let is_apart = known.is_disjoint(&keys);
                if !is_apart {
                    keys.extend(known);
                }
                is_apart
            });
            all.push(keys);
        }
    }
    all
}

pub(super) fn key_of(config: &RouterConfig) -> (u8, u8) {
    (config.segment, config.vrid)
}
