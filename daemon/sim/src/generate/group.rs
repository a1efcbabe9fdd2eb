//! Generation of sync groups: the same on all hosts in most worlds.

use super::{Choices, Service, configs_of_each};
use crate::scenario::{Config, GroupConfig, HostSpec, RouterConfig, Step};

/// Puts the routers of some worlds into groups. Runs last, so that earlier bytes keep their meaning.
pub(super) fn groups(
    choices: &mut Choices<'_>,
    services: &[Service],
    hosts: &mut [HostSpec],
    steps: &mut [Step],
) {
    if services.len() < 2 || !choices.percent(60) {
        return;
    }
    let mut members: Vec<String> = services.iter().map(Service::name).collect();
    if choices.percent(50) {
        members.reverse();
    }
    if members.len() > 2 && choices.percent(50) {
        members.pop();
    }
    let tracks = match choices.percent(30) {
        true => vec![("t0".to_owned(), choices.pick(&[0, -10, -60]))],
        false => Vec::new(),
    };
    // In a few worlds the groups of each host are random; in most of the other worlds the routers are
    // made alike.
    let is_wild = choices.percent(15);
    let mut configs: Vec<&mut Config> = configs_of_each(hosts, steps)
        .into_iter()
        .flatten()
        .collect();
    if !is_wild && choices.percent(70) {
        services
            .iter()
            .for_each(|service| make_alike(choices, &service.name(), &mut configs));
    }
    for config in configs {
        let mut members = members.clone();
        if is_wild && choices.percent(30) {
            match choices.pick(&[0, 1, 2]) {
                0 => members.clear(),
                1 => members.reverse(),
                _ => drop(members.remove(0)),
            }
        }
        join(config, members, &tracks);
    }
}

/// Gives nearly every host the router, with the same settings apart from those that decide the
/// election. Owners keep their settings.
fn make_alike(choices: &mut Choices<'_>, name: &str, configs: &mut [&mut Config]) {
    let mut routers = configs.iter().filter_map(|config| config.routers.get(name));
    let Some(usual) = routers.find(|router| router.priority < 255).cloned() else {
        return;
    };
    for config in configs {
        if !config.routers.contains_key(name) && choices.percent(30) {
            continue;
        }
        let own = config.routers.entry(name.to_owned());
        let own = own.or_insert_with(|| usual.clone());
        if own.priority < 255 {
            *own = RouterConfig {
                priority: own.priority,
                preempt: own.preempt,
                preempt_delay: own.preempt_delay,
                startup_delay: own.startup_delay,
                tracks: own.tracks.clone(),
                ..usual.clone()
            };
        }
    }
}

/// Adds the group to a configuration, without owners.
fn join(config: &mut Config, mut members: Vec<String>, tracks: &[(String, i16)]) {
    let routers = &config.routers;
    members.retain(|name| routers.get(name).is_some_and(|r| r.priority < 255));
    if members.is_empty() {
        return;
    }
    let group = GroupConfig {
        members,
        tracks: tracks.to_vec(),
    };
    config.groups.insert("VG".to_owned(), group);
}
