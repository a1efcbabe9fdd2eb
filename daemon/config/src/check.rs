//! What is right by itself and wrong together, and what is allowed but hardly meant.
//!
//! Every check looks at what could be read and is silent about what could not: that has been
//! reported already, and nobody wants to read what follows from it.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::{BTreeMap, BTreeSet};

use vrrp_proto::params::Peer;
use vrrp_proto::wire::most_addresses;
use vrrp_proto::{Family, InterfaceAddress, Priority, Version};

use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::group::{self, groups};
use crate::model::{AntiReplayBy, Authentication, Config, Instance};
use crate::problem::{Findings, Path};
use crate::suggest::suggest;
use crate::tracker::{Follow, Tracker};
use crate::unit::UnitName;
use crate::value::BoundedInteger;
use crate::virtual_mac::UseVirtualMac;

/// Adds to `problems` what is wrong between the parts of `config`, and to `warnings` what is
/// allowed but hardly meant.
pub(crate) fn check(config: &Config, problems: &mut Findings, warnings: &mut Findings) {
    virtual_routers_are_distinct(config, problems);
    addresses_are_distinct(config, problems);
    trackers_are_defined(config, problems);
    authentication_fits_the_version(config, problems);
    families_fit(config, problems);
    peers_are_others(config, problems);
    peers_are_distinct(config, problems);
    one_instance_synchronises_connections(config, problems);
    resources_are_distinct(config, problems);
    resources_are_watched_once(config, problems);
    group::members_move_together(config, problems);

    something_is_to_be_done(config, warnings);
    trackers_are_followed(config, warnings);
    owners_settings_have_an_effect(config, warnings);
    preemption_is_delayed_where_there_is_one(config, warnings);
    addresses_are_those_of_hosts(config, warnings);
    advertisements_have_room(config, warnings);
    windows_have_an_effect(config, warnings);
    words_of_lvs_have_an_effect(config, warnings);
    group::members_agree(config, warnings);
}

/// The instances that could be read, with their paths.
fn instances(config: &Config) -> impl Iterator<Item = (Path, &Instance)> {
    let path = Path::default().key("instances");
    config
        .instances
        .value()
        .into_iter()
        .flatten()
        .filter_map(move |(name, instance)| Some((path.key(name), instance.value()?)))
}

/// The values of a list that could be read, with their paths.
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

fn addresses(config: &Config) -> impl Iterator<Item = (Path, InterfaceAddress)> {
    instances(config).flat_map(|(path, instance)| addresses_of(&path, instance))
}

/// The virtual addresses of `instance` that could be read, with their paths.
fn addresses_of<'c>(
    path: &Path,
    instance: &'c Instance,
) -> impl Iterator<Item = (Path, InterfaceAddress)> + use<'c> {
    elements(path.key("virtualAddresses"), &instance.virtual_addresses).filter_map(
        |(path, entry)| {
            let address = entry.address.value()?.0;
            let path = if entry.object {
                path.key("address")
            } else {
                path
            };
            Some((path, address))
        },
    )
}

/// The trackers that `instance` names, with the path of the name.
fn followed<'c>(
    path: &Path,
    instance: &'c Instance,
) -> impl Iterator<Item = (Path, &'c str)> + use<'c> {
    followed_in(path.key("track"), &instance.track)
}

/// The trackers that a list at `path` names, with the path of the name.
pub(crate) fn followed_in(
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

/// One VRID is one virtual router on an interface and family.
fn virtual_routers_are_distinct(config: &Config, problems: &mut Findings) {
    let mut first = BTreeMap::new();
    for (path, instance) in instances(config) {
        let (Some(interface), Some(vrid)) = (
            instance.interface.value(),
            instance.virtual_router_id.value(),
        ) else {
            continue;
        };
        let mut families: BTreeSet<_> = addresses_of(&path, instance)
            .map(|(_, address)| address.family())
            .collect();
        if families.is_empty() {
            // Its addresses are to be named yet.
            families.insert(Family::V4);
        }
        let keys = families
            .iter()
            .map(|family| (&interface.0, *family, vrid.0));
        if let Some(other) = keys.clone().find_map(|key| first.get(&key)) {
            problems.add(
                &path.key("virtualRouterId"),
                format!(
                    "{other} has it already on {}: choose another number, or put the addresses into that instance",
                    interface.0
                ),
            );
        } else {
            first.extend(keys.map(|key| (key, path.clone())));
        }
    }
}

fn families_fit(config: &Config, problems: &mut Findings) {
    for (path, instance) in instances(config) {
        let of = |family| {
            addresses_of(&path, instance).find(move |(_, address)| address.family() == family)
        };
        let version = instance.version.value().map(|version| version.0);
        if version == Some(Version::V2)
            && let Some((path, _)) = of(Family::V6)
        {
            problems.add(
                &path,
                "version 2 knows no IPv6 (RFC 3768): put it into an instance of version 3",
            );
        }
        if let Some(source) = instance.source.value()
            && of(Family::of(source.0)).is_none()
        {
            problems.add(
                &path.key("source"),
                format!(
                    "the instance has no {} address to be advertised from it: leave it out",
                    Family::of(source.0)
                ),
            );
        }
    }
}

/// The peers of `instance` that could be read, with their paths.
fn peers_of<'c>(
    path: &Path,
    instance: &'c Instance,
) -> impl Iterator<Item = (Path, &'c Peer)> + use<'c> {
    let path = path.key("unicast").key("peers");
    let unicast = instance.unicast.value().into_iter();
    unicast
        .flat_map(move |unicast| elements(path.clone(), &unicast.peers))
        .map(|(path, peer)| (path, &peer.0))
}

/// A peer is another host, by an address that stays there.
fn peers_are_others(config: &Config, problems: &mut Findings) {
    for (path, instance) in instances(config) {
        let virtual_addresses: BTreeSet<_> = addresses_of(&path, instance)
            .map(|(_, address)| address.address)
            .collect();
        for (path, peer) in peers_of(&path, instance) {
            let Peer::Address(peer) = peer else { continue };
            if instance.source.value().is_some_and(|own| own.0 == *peer) {
                let message = "is this host's own address, the \"source\": name the other hosts";
                problems.add(&path, message);
            }
            if virtual_addresses.contains(peer) {
                problems.add(
                    &path,
                    "is a virtual address, which this host may come to hold: name the other host by \
                     an address that it always has",
                );
            }
        }
    }
}

fn peers_are_distinct(config: &Config, problems: &mut Findings) {
    for (path, instance) in instances(config) {
        let mut first = BTreeMap::new();
        for (path, peer) in peers_of(&path, instance) {
            if let Some(other) = first.get(&peer) {
                let message = format!("{other} is the same peer: keep one of them");
                problems.add(&path, message);
            } else {
                first.insert(peer, path);
            }
        }
    }
}

/// The units that `instance` starts and stops, with their paths.
fn resources_of<'c>(
    path: &Path,
    instance: &'c Instance,
) -> impl Iterator<Item = (Path, &'c UnitName)> + use<'c> {
    let path = path.key("resources");
    let resources = instance.resources.value().into_iter();
    resources.flat_map(move |resources| elements(resources.units_path(&path), &resources.units))
}

/// A unit runs where one instance is master, and not where another is.
fn resources_are_distinct(config: &Config, problems: &mut Findings) {
    let mut first = BTreeMap::new();
    for (path, instance) in instances(config) {
        for (path, unit) in resources_of(&path, instance) {
            if let Some(other) = first.get(&unit) {
                let message = format!(
                    "{other} is the same unit: keep one of them; what several instances need may be \
                     started by a unit of its own for each"
                );
                problems.add(&path, message);
            } else {
                first.insert(unit, path);
            }
        }
    }
}

/// Where an instance is no master its resources do not run: whoever watched them there would keep it from
/// becoming one.
fn resources_are_watched_once(config: &Config, problems: &mut Findings) {
    let tracked = |name: &str| {
        let tracker = config.trackers.value()?.get(name)?.value()?;
        let Tracker::Unit(unit) = tracker else {
            return None;
        };
        unit.name.value()
    };
    for (path, instance) in instances(config) {
        for (path_of_name, name) in followed(&path, instance) {
            let unit = tracked(name);
            if unit.is_some_and(|unit| resources_of(&path, instance).any(|(_, own)| own == unit)) {
                problems.add(
                    &path_of_name,
                    "watches a resource of this instance, which does not run while it is a backup and is \
                     watched while it is master: leave it out",
                );
            }
        }
    }
}

fn addresses_are_distinct(config: &Config, problems: &mut Findings) {
    let mut first = BTreeMap::new();
    for (path, InterfaceAddress { address, .. }) in addresses(config) {
        if let Some(other) = first.get(&address) {
            problems.add(
                &path,
                format!("{other} is the same address: keep one of them"),
            );
        } else {
            first.insert(address, path);
        }
    }
}

/// The kernel has one sync thread of each role in a network namespace (start_sync_thread).
fn one_instance_synchronises_connections(config: &Config, problems: &mut Findings) {
    let with = instances(config)
        .filter(|(_, instance)| instance.lvs_sync_interface.value().is_some())
        .map(|(path, _)| path.key("lvsSyncInterface"));
    let paths: Vec<_> = with.collect();
    for path in paths.iter().skip(1) {
        problems.add(
            path,
            format!(
                "{} is there already, and the kernel has one sync thread for all connections: keep one of \
                 them",
                paths[0]
            ),
        );
    }
}

fn words_of_lvs_have_an_effect(config: &Config, warnings: &mut Findings) {
    for (path, instance) in instances(config) {
        if instance.lvs.is_present() && !instance.lvs_sync_interface.is_present() {
            let message = "has no effect without \"lvsSyncInterface\"";
            warnings.add(&path.key("lvs"), message);
        }
    }
}

fn trackers_are_defined(config: &Config, problems: &mut Findings) {
    let Some(trackers) = config.trackers.value() else {
        return;
    };
    let of_instances = instances(config)
        .map(|(path, instance)| ("instance", followed(&path, instance).collect::<Vec<_>>()));
    let of_groups = groups(config)
        .map(|(path, group)| ("group", group::followed(&path, group).collect::<Vec<_>>()));
    for (who, followed) in of_instances.chain(of_groups) {
        let mut seen = BTreeSet::new();
        for (path, name) in followed {
            if !trackers.contains_key(name) {
                let remedy = suggest(name, trackers.keys().map(String::as_str)).map_or_else(
                    || "define it under \"trackers\"".to_owned(),
                    |meant| format!("did you mean \"{meant}\"?"),
                );
                problems.add(&path, format!("there is no such tracker: {remedy}"));
            }
            if !seen.insert(name) {
                let message = format!("the {who} follows this tracker already: keep one of them");
                problems.add(&path, message);
            }
        }
    }
}

fn authentication_fits_the_version(config: &Config, problems: &mut Findings) {
    for (path, instance) in instances(config) {
        let version = instance.version.value().map(|version| version.0);
        if version == Some(Version::V3)
            && let Some(Authentication::Pass(_)) = instance.authentication.value()
        {
            problems.add(
                &path.key("authentication"),
                "version 3 has no password (RFC 9568 section 9): use \"hmac\", leave it out, or write \
                 \"version\": 2",
            );
        }
    }
}

fn something_is_to_be_done(config: &Config, warnings: &mut Findings) {
    if config.instances.value().is_some_and(BTreeMap::is_empty) {
        warnings.add(
            &Path::default().key("instances"),
            "there are none: nothing is to be done",
        );
    }
}

fn trackers_are_followed(config: &Config, warnings: &mut Findings) {
    let of_instances = instances(config).flat_map(|(path, instance)| followed(&path, instance));
    let of_groups = groups(config).flat_map(|(path, group)| group::followed(&path, group));
    let followed: BTreeSet<_> = of_instances
        .chain(of_groups)
        .map(|(_, name)| name)
        .collect();
    for name in config.trackers.value().into_iter().flat_map(BTreeMap::keys) {
        if !followed.contains(name.as_str()) {
            warnings.add(
                &Path::default().key("trackers").key(name),
                "no instance follows it",
            );
        }
    }
}

/// The owner's priority is 255, whatever its trackers say, it always takes over, and it accepts
/// packets to what it owns (RFC 9568 sections 5.2.4, 6.1 and 6.4.3).
fn owners_settings_have_an_effect(config: &Config, warnings: &mut Findings) {
    for (path, instance) in instances(config) {
        if !instance
            .priority
            .value()
            .is_some_and(|priority| priority.0.is_owner())
        {
            continue;
        }
        if instance.preempt.value() == Some(&false) {
            warnings.add(
                &path.key("preempt"),
                "has no effect: with priority 255 it always takes over",
            );
        }
        if is_some_time(&instance.preempt_delay) {
            warnings.add(
                &path.key("preemptDelay"),
                "has no effect: with priority 255 it always takes over at once",
            );
        }
        if is_some_time(&instance.startup_delay) {
            warnings.add(
                &path.key("startupDelay"),
                "has no effect: with priority 255 it is master at once",
            );
        }
        if matches!(
            instance.virtual_mac.value(),
            Some(UseVirtualMac::Yes { .. })
        ) {
            warnings.add(
                &path.key("virtualMac"),
                "has half an effect: for addresses that the host has on the interface itself that \
                 answers, too, by its own hardware address",
            );
        }
        if instance.accept_mode.value() == Some(&false) {
            warnings.add(
                &path.key("acceptMode"),
                "has no effect: with priority 255 it owns the addresses and accepts",
            );
        }
        for (path, follow) in elements(path.key("track"), &instance.track) {
            if follow.weight.is_present() {
                warnings.add(
                    &path.key("weight"),
                    "has no effect: priority 255 never changes",
                );
            }
        }
    }
}

fn preemption_is_delayed_where_there_is_one(config: &Config, warnings: &mut Findings) {
    for (path, instance) in instances(config) {
        let is_owner = |priority: &BoundedInteger<Priority>| priority.0.is_owner();
        if instance.preempt.value() == Some(&false)
            && is_some_time(&instance.preempt_delay)
            && !instance.priority.value().is_some_and(is_owner)
        {
            warnings.add(
                &path.key("preemptDelay"),
                "has no effect: \"preempt\" is false, so that it never takes over from a lower \
                 priority",
            );
        }
    }
}

fn windows_have_an_effect(config: &Config, warnings: &mut Findings) {
    for (path, instance) in instances(config) {
        let Some(Authentication::Hmac(hmac)) = instance.authentication.value() else {
            continue;
        };
        if let Some(hmac) = hmac.value()
            && hmac.anti_replay.value() == Some(&AntiReplayBy::Monotonic)
            && hmac.time_window.is_present()
        {
            let path = path.key("authentication").key("hmac").key("timeWindow");
            warnings.add(
                &path,
                "has no effect: \"monotonic\" does not look at the time",
            );
        }
    }
}

fn is_some_time(span: &Field<BoundedDuration>) -> bool {
    span.value().is_some_and(|span| !span.0.is_zero())
}

fn addresses_are_those_of_hosts(config: &Config, warnings: &mut Findings) {
    for (path, address) in addresses(config) {
        let (IpAddr::V4(v4), 1..=30) = (address.address, address.prefix) else {
            continue;
        };
        let hosts = u32::MAX >> address.prefix;
        let what = match v4.to_bits() & hosts {
            0 => "the address of the network itself",
            all if all == hosts => "the broadcast address of its network",
            _ => continue,
        };
        let example = Ipv4Addr::from_bits(v4.to_bits() & !hosts | 1);
        warnings.add(
            &path,
            format!(
                "is {what}, no host's: {example}/{} would be the first host's",
                address.prefix
            ),
        );
    }
}

fn advertisements_have_room(config: &Config, warnings: &mut Findings) {
    for (path, instance) in instances(config) {
        for family in Family::ALL {
            let all = addresses_of(&path, instance);
            let count = all
                .filter(|(_, address)| address.family() == family)
                .count();
            let most = most_addresses(family);
            if count > most {
                warnings.add(
                    &path.key("virtualAddresses"),
                    format!(
                        "an advertisement has room for {most} {family} addresses: the others are \
                         held and not advertised"
                    ),
                );
            }
        }
    }
}
