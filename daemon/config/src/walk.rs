//! Parts of a configuration that could be read, with their paths.

use std::collections::BTreeMap;

use vrrp_proto::InterfaceAddress;

use crate::address::Entry;
use crate::field::Field;
use crate::group::SyncGroup;
use crate::model::{Config, Instance};
use crate::problem::Path;
use crate::tracker::Follow;

/// Returns the instances that could be read, with their paths.
pub(crate) fn instances(config: &Config) -> impl Iterator<Item = (Path, &Instance)> {
    named_instances(config).map(|(_, path, instance)| (path, instance))
}

/// Returns the instances that could be read, with their names and paths.
pub(crate) fn named_instances(config: &Config) -> impl Iterator<Item = (&str, Path, &Instance)> {
    let path = Path::default().key("instances");
    config
        .instances
        .value()
        .into_iter()
        .flatten()
        .filter_map(move |(name, instance)| {
            Some((name.as_str(), path.key(name), instance.value()?))
        })
}

/// Returns the elements of a list that could be read, with their paths.
pub(crate) fn elements<T>(
    path: Path,
    list: &Field<Vec<Field<T>>>,
) -> impl Iterator<Item = (Path, &T)> {
    list.value()
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(move |(index, element)| Some((path.index(index), element.value()?)))
}

/// Returns the virtual addresses of all instances that could be read, with their paths.
pub(crate) fn addresses(config: &Config) -> impl Iterator<Item = (Path, InterfaceAddress)> {
    instances(config).flat_map(|(path, instance)| addresses_of(&path, instance))
}

/// Returns the virtual addresses of `instance` that could be read, with their paths.
pub(crate) fn addresses_of<'c>(
    path: &Path,
    instance: &'c Instance,
) -> impl Iterator<Item = (Path, InterfaceAddress)> + use<'c> {
    addresses_where(path, instance, |_| true)
}

/// Returns the advertised addresses of `instance` that could be read, with their paths.
pub(crate) fn advertised_of<'c>(
    path: &Path,
    instance: &'c Instance,
) -> impl Iterator<Item = (Path, InterfaceAddress)> + use<'c> {
    addresses_where(path, instance, Entry::is_advertised)
}

fn addresses_where<'c, F: Fn(&Entry) -> bool>(
    path: &Path,
    instance: &'c Instance,
    is_meant: F,
) -> impl Iterator<Item = (Path, InterfaceAddress)> + use<'c, F> {
    elements(path.key("virtualAddresses"), &instance.virtual_addresses).filter_map(
        move |(path, entry)| {
            let address = entry.address.value().filter(|_| is_meant(entry))?.0;
            Some((entry.path(path), address))
        },
    )
}

/// Returns the trackers that `instance` follows, each with the path of its name.
pub(crate) fn followed<'c>(
    path: &Path,
    instance: &'c Instance,
) -> impl Iterator<Item = (Path, &'c str)> + use<'c> {
    followed_in(path.key("track"), &instance.track)
}

/// Returns the trackers that the list at `path` follows, each with the path of its name.
fn followed_in(
    path: Path,
    track: &Field<Vec<Field<Follow>>>,
) -> impl Iterator<Item = (Path, &str)> {
    elements(path, track).filter_map(|(path, follow)| {
        let path = if follow.object {
            path.key("tracker")
        } else {
            path
        };
        Some((path, follow.tracker.value()?.as_str()))
    })
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

/// Returns the trackers that `group` follows itself, each with the path of its name.
pub(crate) fn followed_by_group<'c>(
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
