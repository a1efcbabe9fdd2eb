//! Warnings of settings that are usual with keepalived and that have another effect here than the
//! operator probably expects.

use std::collections::BTreeSet;

use vrrp_proto::routing::Rule;

use crate::command::separately;
use crate::field::Field;
use crate::model::{Config, InitialState, Instance};
use crate::problem::{Findings, Path};
use crate::tracker::{Follow, Tracker};
use crate::walk::{elements, groups, instances, members, named_instances};

/// Adds the warnings about `config`.
pub(crate) fn check(config: &Config, warnings: &mut Findings) {
    weights_move_the_master(config, warnings);
    masters_listen_long_enough(config, warnings);
    commands_are_split_into_words(config, warnings);
    rules_leave_table_main(config, warnings);
    masters_have_something_to_do(config, warnings);
}

/// Whether the instance leaves every live master of lower priority alone.
fn never_preempts(instance: &Instance) -> bool {
    let is_owner = instance.priority.value().is_some_and(|p| p.0.is_owner());
    instance.preempt.value() == Some(&false) && !is_owner
}

/// Warns of weights where `preempt` is false: a backup with the higher priority takes over only after
/// the master is silent, and a master with a lowered priority continues to advertise.
fn weights_move_the_master(config: &Config, warnings: &mut Findings) {
    let mut warn = |path: Path, track: &Field<Vec<Field<Follow>>>, whose: &str| {
        for (path, follow) in elements(path.key("track"), track) {
            if follow.weight.is_present() {
                warnings.add(
                    &path.key("weight"),
                    format!(
                        "has no effect on a running master: with \"preempt\": false {whose} never takes over \
                         from a lower priority; leave the weight out, so that the tracker is a reason for \
                         fault, or leave \"preempt\" out"
                    ),
                );
            }
        }
    };
    for (path, instance) in instances(config) {
        if never_preempts(instance) {
            warn(path, &instance.track, "this instance");
        }
    }
    for (path, group) in groups(config) {
        if members(config, &path, group).any(|(_, _, instance)| never_preempts(instance)) {
            warn(path, &group.track, "this group");
        }
    }
}

/// Warns of `state: "master"` where `preempt` is false. keepalived ignores `nopreempt` there; here both
/// hold, and the short first wait can end before the master that is to be left alone is heard.
fn masters_listen_long_enough(config: &Config, warnings: &mut Findings) {
    let waits_briefly = |instance: &Instance| instance.state.value() == Some(&InitialState::Master);
    // A group waits as long as its slowest member.
    let with_slow: BTreeSet<&str> = groups(config)
        .filter(|(path, group)| {
            let mut all = members(config, path, group);
            all.any(|(_, _, instance)| !waits_briefly(instance))
        })
        .flat_map(|(path, group)| members(config, &path, group))
        .map(|(_, name, _)| name)
        .collect();
    for (name, path, instance) in named_instances(config) {
        if never_preempts(instance) && waits_briefly(instance) && !with_slow.contains(name) {
            warnings.add(
                &path.key("state"),
                "waits for one advertisement only after the start: if it is lost, this host takes over from a \
                 master that \"preempt\": false should leave alone; leave \"state\" out",
            );
        }
    }
}

/// Warns of a rule for every packet that comes before the rule of the table `main`: a route of its table,
/// such as a default route, then hides the routes of the host, that to its own network among them.
fn rules_leave_table_main(config: &Config, warnings: &mut Findings) {
    for (path, instance) in instances(config) {
        for (path, rule) in elements(path.key("rules"), &instance.rules) {
            if let Some(priority) = rule.priority_for_all()
                && priority < Rule::PRIORITY_OF_MAIN
            {
                warnings.add(
                    &path,
                    format!(
                        "looks up every packet before the table main does: if main comes first, write \"priority\": \
                         {} or more",
                        Rule::PRIORITY_OF_MAIN + 1
                    ),
                );
            }
        }
    }
}

/// Warns of an instance without addresses and without anything else that follows the master.
fn masters_have_something_to_do(config: &Config, warnings: &mut Findings) {
    // A member of a group decides when the others take over: a heartbeat needs no addresses.
    let in_group: BTreeSet<&str> = groups(config)
        .filter(|(path, group)| {
            group.notify.is_present() || members(config, path, group).nth(1).is_some()
        })
        .flat_map(|(path, group)| members(config, &path, group))
        .map(|(_, name, _)| name)
        .collect();
    for (name, path, instance) in named_instances(config) {
        let is_empty = |list: Option<usize>| list == Some(0);
        if instance.has_no_address()
            && is_empty(instance.routes.value().map(Vec::len))
            && is_empty(instance.rules.value().map(Vec::len))
            && !instance.notify.is_present()
            && !instance.resources.is_present()
            && !instance.lvs_sync_interface.is_present()
            && !in_group.contains(name)
        {
            warnings.add(
                &path.key("virtualAddresses"),
                "the master holds no address, and nothing else depends on its state: list the addresses, or \
                 write \"notify\", \"resources\", \"routes\" or \"rules\"",
            );
        }
    }
}

/// Warns of programs with blanks in their name: most likely a whole command line in one word.
fn commands_are_split_into_words(config: &Config, warnings: &mut Findings) {
    let root = Path::default();
    let trackers = config.trackers.value().into_iter().flatten();
    let scripts = trackers.filter_map(|(name, tracker)| {
        let Tracker::Script(script) = tracker.value()? else {
            return None;
        };
        let path = root.key("trackers").key(name).key("script").key("command");
        Some((path, script.command()))
    });
    let of_instances = instances(config).map(|(path, instance)| (path, &instance.notify));
    let of_groups = groups(config).map(|(path, group)| (path, &group.notify));
    let notified = of_instances.chain(of_groups).flat_map(|(path, notify)| {
        let programs = notify.value().into_iter().flat_map(|n| n.programs());
        programs.map(move |(key, command)| (path.key("notify").key(key), command))
    });
    for (path, command) in scripts.chain(notified) {
        let Some(program) = command.value().and_then(|words| words.0.first()?.value()) else {
            continue;
        };
        if program.contains(char::is_whitespace) {
            warnings.add(
                &path.index(0),
                format!(
                    "is the name of a program, blanks included: write {}",
                    separately(program)
                ),
            );
        }
    }
}
