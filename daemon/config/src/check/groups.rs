//! Checks of sync groups.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Config, InitialState, Instance};
use crate::problem::{Findings, Path};
use crate::suggest::suggest;
use crate::walk::{elements, groups, members};

/// Checks that each member is a defined instance, is in one group only, and has no priority of 255.
pub(super) fn members_move_together(config: &Config, problems: &mut Findings) {
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
pub(super) fn members_agree(config: &Config, warnings: &mut Findings) {
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
