//! Sync groups in the configuration: instances that move together.

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

/// Instances that are all master or all backup on a host, and all in fault when one is: a host that
/// cannot serve with one gives up all. The other hosts have to have the same groups.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SyncGroup {
    /// The names of its instances, 1 or more, each in no other group and none with priority 255. The
    /// order is the same on all hosts: of two hosts that differ in priority that one goes first which
    /// does so in the first instance where they differ. The longest of their delays is that of all,
    /// and the weights of their trackers count for all. It takes over from a lower priority where
    /// all of them may (`preempt`).
    #[schemars(length(min = 1))]
    pub(crate) members: Field<Vec<Field<String>>>,
    /// The trackers that all of its instances follow beside their own, each tracker and weight
    /// counted once. Default: none.
    #[serde(default = "none")]
    pub(crate) track: Field<Vec<Field<Follow>>>,
    /// The programs that are told when all of its instances have changed their state. Those of the
    /// instances are run besides. Default: none.
    #[serde(default)]
    pub(crate) notify: Field<Notify>,
}

const fn none() -> Field<Vec<Field<Follow>>> {
    Field::Value(Vec::new())
}

/// The groups that could be read, with their paths.
pub(crate) fn groups(config: &Config) -> impl Iterator<Item = (Path, &SyncGroup)> {
    let path = Path::default().key("syncGroups");
    let groups = config.sync_groups.value().into_iter().flatten();
    groups.filter_map(move |(name, group)| Some((path.key(name), group.value()?)))
}

/// In which group each instance is.
pub(crate) fn memberships(config: &Config) -> BTreeMap<&str, &str> {
    let groups = config.sync_groups.value().into_iter().flatten();
    let members = groups.filter_map(|(name, group)| {
        let members = group.value()?.members.value()?.iter();
        Some(members.filter_map(|member| Some((member.value()?.as_str(), name.as_str()))))
    });
    members.flatten().collect()
}

/// The trackers that `group` names, with the path of the name.
pub(crate) fn followed<'c>(
    path: &Path,
    group: &'c SyncGroup,
) -> impl Iterator<Item = (Path, &'c str)> + use<'c> {
    followed_in(path.key("track"), &group.track)
}

/// The members of `group` that are instances and could be read, with the paths of their names.
fn members<'c>(
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

/// Each member is an instance that can move with others, and in one group.
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
                        "{name} has priority 255 and holds its addresses whatever others do: give it \
                         another priority, or take it out of the group"
                    ),
                );
            }
        }
    }
}

/// What one member says for all without saying it of the others.
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
                    format!("has no effect: {slow} is in the same group and listens for longer"),
                );
            }
            if instance.preempt.value() == Some(&false)
                && let Some(other) = eager.first()
            {
                warnings.add(
                    &path_of("preempt"),
                    format!(
                        "keeps {other}, which is in the same group, from taking over from a lower \
                         priority too"
                    ),
                );
            }
        }
    }
}
