//! Sync groups in the configuration: instances that change their state together.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::{elements, followed_in};
use crate::field::Field;
use crate::model::{Config, InitialState, Instance};
use crate::notify::Notify;
use crate::problem::{Findings, Path};
use crate::suggest::suggest;
use crate::tracker::Follow;

/// Sync group: its instances are all master or all backup on a host, and all in fault when one of
/// them is, so that a host that cannot serve with one instance gives up all of them. All hosts of
/// the virtual routers need the same groups.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SyncGroup {
    /// Names of the instances, at least 1. An instance is in at most one group and has no priority
    /// of 255. The order has to be the same on all hosts: the first member in which the priorities
    /// of two hosts differ decides the election. The longest `preemptDelay` and `startupDelay` of
    /// the members count for all of them, and so do the weights of their trackers. The group
    /// preempts a master of lower priority only if all members may (`preempt`).
    #[schemars(length(min = 1))]
    pub(crate) members: Field<Vec<Field<String>>>,
    /// Trackers that all instances of the group follow in addition to their own; a tracker with the
    /// same weight counts once. Default: none.
    #[serde(default = "none")]
    pub(crate) track: Field<Vec<Field<Follow>>>,
    /// Programs that the daemon runs when all instances of the group have changed their state. The
    /// programs of the instances are run as well. Default: none.
    #[serde(default)]
    pub(crate) notify: Field<Notify>,
}

const fn none() -> Field<Vec<Field<Follow>>> {
    Field::Value(Vec::new())
}

/// Returns the groups that could be read, with their paths.
pub(crate) fn groups(config: &Config) -> impl Iterator<Item = (Path, &SyncGroup)> {
    let path = Path::default().key("syncGroups");
    let groups = config.sync_groups.value().into_iter().flatten();
    groups.filter_map(move |(name, group)| Some((path.key(name), group.value()?)))
}

/// Maps each instance to its group.
pub(crate) fn memberships(config: &Config) -> BTreeMap<&str, &str> {
    let groups = config.sync_groups.value().into_iter().flatten();
    let members = groups.filter_map(|(name, group)| {
        let members = group.value()?.members.value()?.iter();
        Some(members.filter_map(|member| Some((member.value()?.as_str(), name.as_str()))))
    });
    members.flatten().collect()
}

/// Returns the trackers that `group` follows, each with the path of its name.
pub(crate) fn followed<'c>(
    path: &Path,
    group: &'c SyncGroup,
) -> impl Iterator<Item = (Path, &'c str)> + use<'c> {
    followed_in(path.key("track"), &group.track)
}

/// Returns the members of `group` that are readable instances, each with the path of its name.
pub(crate) fn members<'c>(
    config: &'c Config,
    path: &Path,
    group: &'c SyncGroup,
) -> impl Iterator<Item = (Path, &'c str, &'c Instance)> + use<'c> {
    let instances = config.instances.value();
    elements(path.key("members"), &group.members).filter_map(move |(path, name)| {
        let instance = instances?.get(name)?.value()?;
        Some((path, name.as_str(), instance))
    })
}

/// Checks that each member is a defined instance, is in one group only, and has no priority of 255.
pub(crate) fn members_move_together(config: &Config, problems: &mut Findings) {
    let Some(instances) = config.instances.value() else {
        return;
    };
    let mut first: BTreeMap<&str, Path> = BTreeMap::new();
    for (path, group) in groups(config) {
        for (path, name) in elements(path.key("members"), &group.members) {
            if !instances.contains_key(name) {
                let remedy = suggest(name, instances.keys().map(String::as_str)).map_or_else(
                    || "define it under \"instances\"".to_owned(),
                    |meant| format!("did you mean \"{meant}\"?"),
                );
                problems.add(&path, format!("there is no such instance: {remedy}"));
            } else if let Some(other) = first.get(name.as_str()) {
                let message = format!("{other} is the same instance: keep one of them");
                problems.add(&path, message);
            } else {
                first.insert(name, path);
            }
        }
        for (path, name, instance) in members(config, &path, group) {
            if instance.priority.value().is_some_and(|p| p.0.is_owner()) {
                problems.add(
                    &path,
                    format!(
                        "{name} has priority 255 and always holds its addresses: give it another \
                         priority, or remove it from the group"
                    ),
                );
            }
        }
    }
}

/// Warns of a setting of one member that affects the other members although they differ in it.
pub(crate) fn members_agree(config: &Config, warnings: &mut Findings) {
    for (path, group) in groups(config) {
        let all: Vec<_> = members(config, &path, group).collect();
        let is_backup = |instance: &Instance| instance.state.value() == Some(&InitialState::Backup);
        let preempts = |instance: &Instance| instance.preempt.value() == Some(&true);
        let slow = all.iter().find(|(_, _, instance)| is_backup(instance));
        let eager: BTreeSet<&str> = all
            .iter()
            .filter(|(_, _, instance)| preempts(instance))
            .map(|(_, name, _)| *name)
            .collect();
        for (_, name, instance) in &all {
            let path_of = |key| Path::default().key("instances").key(name).key(key);
            if instance.state.value() == Some(&InitialState::Master)
                && let Some((_, slow, _)) = slow
            {
                warnings.add(
                    &path_of("state"),
                    format!(
                        "has no effect: {slow} in the same group starts as backup and waits longer"
                    ),
                );
            }
            if instance.preempt.value() == Some(&false)
                && let Some(other) = eager.first()
            {
                warnings.add(
                    &path_of("preempt"),
                    format!(
                        "also prevents {other} in the same group from taking over from a lower \
                         priority"
                    ),
                );
            }
        }
    }
}
