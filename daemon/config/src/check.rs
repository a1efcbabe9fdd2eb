//! Checks between values that are valid separately: conflicts, and settings that are probably
//! unintended.
//!
//! Each check uses only the values that could be read. The reader has already reported the
//! unreadable ones, and a consequence of them would only distract.

mod groups;
mod parts;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet};

use vrrp_proto::params::{Peer, spoken_families};
use vrrp_proto::wire::most_addresses;
use vrrp_proto::{Family, Priority, Version, is_link_local};

use self::parts::Parts;
use crate::duration::BoundedDuration;
use crate::field::Field;
use crate::habits;
use crate::model::{AntiReplayBy, Authentication, Config, Instance};
use crate::problem::{Findings, Path};
use crate::suggest::suggest;
use crate::tracker::Tracker;
use crate::unit::UnitName;
use crate::value::BoundedInteger;
use crate::virtual_mac::UseVirtualMac;
use crate::walk::{
    addresses, addresses_of, advertised_of, elements, followed, followed_by_group, groups,
    instances,
};

/// Adds conflicts between the parts of `config` to `problems`, and settings that are valid but
/// probably unintended to `warnings`.
pub(crate) fn check(config: &Config, problems: &mut Findings, warnings: &mut Findings) {
    virtual_routers_are_distinct(config, problems);
    addresses_are_distinct(config, problems);
    trackers_are_defined(config, problems);
    authentication_fits_the_version(config, problems);
    families_fit(config, problems);
    peers_are_others(config, problems);
    peers_are_distinct(config, problems);
    sources_are_own(config, problems);
    one_instance_synchronises_connections(config, problems);
    resources_are_distinct(config, problems);
    resources_are_watched_once(config, problems);
    groups::members_move_together(config, problems);
    parts::are_built_in(config, Parts::OF_THIS_PROGRAM, problems);

    something_is_to_be_done(config, warnings);
    trackers_are_followed(config, warnings);
    owners_settings_have_an_effect(config, warnings);
    preemption_is_delayed_where_there_is_one(config, warnings);
    untracked_interfaces_are_intended(config, warnings);
    addresses_are_those_of_hosts(config, warnings);
    advertisements_have_room(config, warnings);
    windows_have_an_effect(config, warnings);
    words_of_lvs_have_an_effect(config, warnings);
    groups::members_agree(config, warnings);
    habits::check(config, warnings);
}

/// The families in which `instance` advertises, as far as it could be read.
fn spoken(path: &Path, instance: &Instance) -> [bool; 2] {
    let source = instance.source.value().map(|source| source.0);
    let peers = peers_of(path, instance).filter_map(|(_, peer)| match peer {
        Peer::Address(peer) => Some(*peer),
        Peer::Name(_) => None,
    });
    let hints = source.into_iter().chain(peers).map(Family::of);
    let all = addresses_of(path, instance).map(|(_, address)| address.family());
    let advertised = advertised_of(path, instance).map(|(_, address)| address.family());
    let version = instance
        .version
        .value()
        .map_or(Version::V3, |version| version.0);
    spoken_families(version, advertised, hints.chain(all))
}

/// Checks that a VRID is used once on an interface for each address family (RFC 9568 section
/// 5.2.3).
fn virtual_routers_are_distinct(config: &Config, problems: &mut Findings) {
    let mut first = BTreeMap::new();
    for (path, instance) in instances(config) {
        let (Some(interface), Some(vrid)) = (
            instance.interface.value(),
            instance.virtual_router_id.value(),
        ) else {
            continue;
        };
        let spoken = spoken(&path, instance);
        // Each family of a virtual MAC address has an interface of its own, named by the VRID.
        let has_mac = matches!(
            instance.virtual_mac.value(),
            Some(UseVirtualMac::Yes { .. })
        );
        let held: BTreeSet<_> = addresses_of(&path, instance)
            .filter(|_| has_mac)
            .map(|(_, address)| address.family())
            .collect();
        let is_used = move |family: &Family| spoken[*family as usize] || held.contains(family);
        let families: Vec<Family> = Family::ALL.into_iter().filter(is_used).collect();
        let families = families.into_iter();
        let keys = families.map(|family| (&interface.0, family, vrid.0));
        if let Some(other) = keys.clone().find_map(|key| first.get(&key)) {
            problems.add(
                &path.key("virtualRouterId"),
                format!(
                    "{other} already uses this VRID on {}: choose another, or move the addresses to that instance",
                    interface.0
                ),
            );
        } else {
            first.extend(keys.map(|key| (key, path.clone())));
        }
    }
}

/// Checks that advertised IPv6 addresses have version 3 (RFC 3768 has no IPv6), and that `source` has a
/// family of the advertisements, because otherwise nothing is sent from it.
fn families_fit(config: &Config, problems: &mut Findings) {
    for (path, instance) in instances(config) {
        let mut advertised = advertised_of(&path, instance);
        let version = instance.version.value().map(|version| version.0);
        if version == Some(Version::V2)
            && let Some((path, _)) = advertised.find(|(_, address)| address.family() == Family::V6)
        {
            problems.add(
                &path,
                "VRRP version 2 has no IPv6 (RFC 3768): move it to an instance with version 3, or write it as \
                 { \"address\": ..., \"advertise\": false }",
            );
        }
        if let Some(source) = instance.source.value()
            && !spoken(&path, instance)[Family::of(source.0) as usize]
        {
            problems.add(
                &path.key("source"),
                format!(
                    "the instance advertises no virtual {} address from this source: leave it out",
                    Family::of(source.0)
                ),
            );
        }
    }
}

/// Returns the peers of `instance` that could be read, with their paths.
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

/// Checks that a peer is not a virtual address, which moves between hosts, and that this host's own
/// `source` is not the only peer of its family. Beside others it may be one: all hosts can have the same
/// list.
fn peers_are_others(config: &Config, problems: &mut Findings) {
    for (path, instance) in instances(config) {
        let virtual_addresses: BTreeSet<_> = addresses_of(&path, instance)
            .map(|(_, address)| address.address)
            .collect();
        let source = instance.source.value().map(|source| source.0);
        let is_other = |(_, peer): (Path, &Peer)| match (peer, source) {
            (Peer::Address(peer), Some(own)) => {
                *peer != own && Family::of(*peer) == Family::of(own)
            }
            (Peer::Address(_), None) | (Peer::Name(_), _) => true,
        };
        let has_others = peers_of(&path, instance).any(is_other);
        for (path, peer) in peers_of(&path, instance) {
            let Peer::Address(peer) = peer else { continue };
            if source == Some(*peer) && !has_others {
                let message = "is this host's own address (\"source\"), and no other host is listed: list the \
                               other hosts, too";
                problems.add(&path, message);
            }
            if virtual_addresses.contains(peer) {
                problems.add(
                    &path,
                    "is a virtual address, which this host may hold itself: use an address that \
                     always belongs to the other host",
                );
            }
        }
    }
}

/// Checks that no peer is listed twice: it would receive each advertisement twice.
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

/// Returns the units that `instance` starts and stops, with their paths.
fn resources_of<'c>(
    path: &Path,
    instance: &'c Instance,
) -> impl Iterator<Item = (Path, &'c UnitName)> + use<'c> {
    let path = path.key("resources");
    let resources = instance.resources.value().into_iter();
    resources.flat_map(move |resources| elements(resources.units_path(&path), &resources.units))
}

/// Checks that no two instances share a unit: one would stop it while the other is master.
fn resources_are_distinct(config: &Config, problems: &mut Findings) {
    let mut first = BTreeMap::new();
    for (path, instance) in instances(config) {
        for (path, unit) in resources_of(&path, instance) {
            if let Some(other) = first.get(&unit) {
                let message = format!(
                    "{other} is the same unit: keep one of them; for a unit that several instances \
                     need, list a separate unit in each of them that starts it"
                );
                problems.add(&path, message);
            } else {
                first.insert(unit, path);
            }
        }
    }
}

/// Checks that no instance tracks its own resources with a `unit` tracker. They do not run on a
/// backup, so the tracker would be down there and the backup could never become master.
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
                    "tracks a resource of this instance, which does not run on a backup and which the \
                     daemon monitors on the master anyway: leave it out",
                );
            }
        }
    }
}

/// Checks that no address is listed twice, in one or in two instances: the first instance that steps down
/// would delete it while the other one is master. A link-local address belongs to its link (RFC 4291
/// section 2.5.6), so instances on several interfaces may have the same one, such as fe80::1.
fn addresses_are_distinct(config: &Config, problems: &mut Findings) {
    let mut first: BTreeMap<_, Path> = BTreeMap::new();
    for (instance_path, instance) in instances(config) {
        let mut own = BTreeSet::new();
        for (path, entry) in elements(
            instance_path.key("virtualAddresses"),
            &instance.virtual_addresses,
        ) {
            let Some(address) = entry.address.value().map(|address| address.0.address) else {
                continue;
            };
            let path = entry.path(path);
            let interface = instance.interface.value();
            let link = entry
                .device()
                .or(interface)
                .filter(|_| is_link_local(address));
            let key = (address, link.map(|link| &*link.0));
            // The engine finds the options of an address by the address alone, within an instance.
            let is_new_here = own.insert(address);
            if let Some(other) = first.get(&key) {
                problems.add(
                    &path,
                    format!("{other} is the same address: keep one of them"),
                );
            } else if is_new_here {
                first.insert(key, path);
            } else {
                problems.add(
                    &path,
                    "this instance has the same address on another device: move it to an instance of its own",
                );
            }
        }
    }
}

/// Checks that `source` is not a virtual address: a backup does not have it, and could not send as soon as
/// it becomes master. The owner has its addresses always.
fn sources_are_own(config: &Config, problems: &mut Findings) {
    let owned: BTreeMap<_, _> = instances(config)
        .filter(|(_, instance)| !instance.priority.value().is_some_and(|p| p.0.is_owner()))
        .flat_map(|(path, instance)| addresses_of(&path, instance))
        .map(|(path, address)| (address.address, path))
        .collect();
    for (path, instance) in instances(config) {
        if let Some(source) = instance.source.value()
            && let Some(other) = owned.get(&source.0)
        {
            problems.add(
                &path.key("source"),
                format!(
                    "is the virtual address {other}: must be an address that only this host has"
                ),
            );
        }
    }
}

/// Checks that one instance at most synchronises connections: the kernel has one sync thread of
/// each role in a network namespace (start_sync_thread in net/netfilter/ipvs).
fn one_instance_synchronises_connections(config: &Config, problems: &mut Findings) {
    let with = instances(config)
        .filter(|(_, instance)| instance.lvs_sync_interface.value().is_some())
        .map(|(path, _)| path.key("lvsSyncInterface"));
    let paths: Vec<_> = with.collect();
    for path in paths.iter().skip(1) {
        problems.add(
            path,
            format!(
                "{} is set already, and the kernel has one IPVS sync thread for all connections: keep \
                 one of them",
                paths[0]
            ),
        );
    }
}

/// Warns of `lvs` without `lvsSyncInterface`, which alone enables the synchronisation.
fn words_of_lvs_have_an_effect(config: &Config, warnings: &mut Findings) {
    for (path, instance) in instances(config) {
        if instance.lvs.is_present() && !instance.lvs_sync_interface.is_present() {
            let message = "has no effect without \"lvsSyncInterface\"";
            warnings.add(&path.key("lvs"), message);
        }
    }
}

/// Checks that each followed tracker is defined, and followed once by each instance and group.
fn trackers_are_defined(config: &Config, problems: &mut Findings) {
    let Some(trackers) = config.trackers.value() else {
        return;
    };
    let of_instances = instances(config)
        .map(|(path, instance)| ("instance", followed(&path, instance).collect::<Vec<_>>()));
    let of_groups = groups(config)
        .map(|(path, group)| ("group", followed_by_group(&path, group).collect::<Vec<_>>()));
    let interfaces: BTreeSet<&str> = instances(config)
        .filter_map(|(_, instance)| Some(&*instance.interface.value()?.0))
        .collect();
    for (who, followed) in of_instances.chain(of_groups) {
        let mut seen = BTreeSet::new();
        for (path, name) in followed {
            if !trackers.contains_key(name) {
                let meant = suggest(name, trackers.keys().map(String::as_str));
                let remedy = match meant {
                    // keepalived's `track_interface` lists interfaces.
                    None if interfaces.contains(name) => format!(
                        "to follow the interface, define \"{name}\": {{ \"interface\": {{ \"name\": \
                         \"{name}\" }} }} under \"trackers\""
                    ),
                    None => "define it under \"trackers\"".to_owned(),
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                };
                problems.add(&path, format!("there is no such tracker: {remedy}"));
            }
            if !seen.insert(name) {
                let message = format!("the {who} follows this tracker already: keep one of them");
                problems.add(&path, message);
            }
        }
    }
}

/// Checks that only version 2 has a password: RFC 9568 removed it from the packet.
fn authentication_fits_the_version(config: &Config, problems: &mut Findings) {
    for (path, instance) in instances(config) {
        let version = instance.version.value().map(|version| version.0);
        if version == Some(Version::V3)
            && let Some(Authentication::Pass(_)) = instance.authentication.value()
        {
            problems.add(
                &path.key("authentication"),
                "VRRP version 3 has no password (RFC 9568 section 9): use \"hmac\", leave it out, or write \
                 \"version\": 2",
            );
        }
    }
}

/// Warns of a configuration without instances.
fn something_is_to_be_done(config: &Config, warnings: &mut Findings) {
    if config.instances.value().is_some_and(BTreeMap::is_empty) {
        warnings.add(
            &Path::default().key("instances"),
            "none is defined: the daemon has nothing to do",
        );
    }
}

/// Warns of trackers that neither an instance nor a group follows: the daemon runs them without an effect.
fn trackers_are_followed(config: &Config, warnings: &mut Findings) {
    let of_instances = instances(config).flat_map(|(path, instance)| followed(&path, instance));
    let of_groups = groups(config).flat_map(|(path, group)| followed_by_group(&path, group));
    let followed: BTreeSet<_> = of_instances
        .chain(of_groups)
        .map(|(_, name)| name)
        .collect();
    for name in config.trackers.value().into_iter().flat_map(BTreeMap::keys) {
        if !followed.contains(name.as_str()) {
            warnings.add(
                &Path::default().key("trackers").key(name),
                "no instance or group follows this tracker",
            );
        }
    }
}

/// Warns of settings that have no effect with priority 255: trackers do not change that priority,
/// the owner always preempts, and it accepts packets to its addresses (RFC 9568 sections 5.2.4, 6.1
/// and 6.4.3).
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
                "has no effect: priority 255 always takes over",
            );
        }
        if is_some_time(&instance.preempt_delay) {
            warnings.add(
                &path.key("preemptDelay"),
                "has no effect: priority 255 always takes over at once",
            );
        }
        if is_some_time(&instance.startup_delay) {
            warnings.add(
                &path.key("startupDelay"),
                "has no effect: priority 255 becomes master at once",
            );
        }
        if matches!(
            instance.virtual_mac.value(),
            Some(UseVirtualMac::Yes { .. })
        ) {
            warnings.add(
                &path.key("virtualMac"),
                "has only a partial effect: for addresses that the interface itself has, the host also \
                 answers with the MAC address of the interface",
            );
        }
        if instance.accept_mode.value() == Some(&false) {
            warnings.add(
                &path.key("acceptMode"),
                "has no effect: priority 255 owns the addresses and always accepts packets to them",
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

/// Warns of a `preemptDelay` of an instance that never preempts.
fn preemption_is_delayed_where_there_is_one(config: &Config, warnings: &mut Findings) {
    for (path, instance) in instances(config) {
        let is_owner = |priority: &BoundedInteger<Priority>| priority.0.is_owner();
        if instance.preempt.value() == Some(&false)
            && is_some_time(&instance.preempt_delay)
            && !instance.priority.value().is_some_and(is_owner)
        {
            warnings.add(
                &path.key("preemptDelay"),
                "has no effect: with \"preempt\": false the instance never takes over from a lower \
                 priority",
            );
        }
    }
}

/// Warns of interfaces whose loss is no fault: by default, although the addresses are there, and without
/// the time that their link takes after the start.
fn untracked_interfaces_are_intended(config: &Config, warnings: &mut Findings) {
    for (path, instance) in instances(config) {
        let Some(interface) = instance.interface.value().map(|interface| &interface.0) else {
            continue;
        };
        if instance.tracks_interface() != Some(false) {
            continue;
        }
        if instance.has_address_on_interface() && !instance.has_no_address() {
            warnings.add(
                &path.key("trackInterface"),
                format!(
                    "without carrier no host reaches the addresses on {interface}: false is for addresses with \
                     another \"device\""
                ),
            );
        } else if !instance.track_interface.is_present() {
            warnings.add(
                &path.key("trackInterface"),
                format!(
                    "is false by default, because {interface} carries none of the addresses: if {interface} \
                     loses its link, this host goes on, and two hosts may be master; write false or true"
                ),
            );
        }
        let is_owner = |priority: &BoundedInteger<Priority>| priority.0.is_owner();
        if !is_some_time(&instance.startup_delay)
            && !instance.priority.value().is_some_and(is_owner)
        {
            warnings.add(
                &path.key("startupDelay"),
                format!(
                    "is 0 with \"trackInterface\": false: after a boot this host becomes master before {interface} \
                     has a link, also beside a master; write the time that the link takes, like \"30s\""
                ),
            );
        }
    }
}

/// Warns of a `timeWindow` with `monotonic`, which compares sequence numbers only.
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
            warnings.add(&path, "has no effect: \"monotonic\" ignores the time");
        }
    }
}

/// Whether the duration is longer than 0, which is the default of all delays.
fn is_some_time(span: &Field<BoundedDuration>) -> bool {
    span.value().is_some_and(|span| !span.0.is_zero())
}

/// Warns of IPv4 addresses that are the network or the broadcast address of their prefix, and of IPv6
/// addresses that are the subnet-router anycast address. Prefixes of 31 (RFC 3021), 32, 127 (RFC 6164) and
/// 128 bits have neither.
fn addresses_are_those_of_hosts(config: &Config, warnings: &mut Findings) {
    for (path, address) in addresses(config) {
        if let (IpAddr::V6(v6), 1..=126) = (address.address, address.prefix)
            && v6.to_bits() & (u128::MAX >> address.prefix) == 0
        {
            let example = Ipv6Addr::from_bits(v6.to_bits() | 1);
            warnings.add(
                &path,
                format!(
                    "is the subnet-router anycast address, which every router of the network has (RFC 4291 \
                     section 2.6.1): write an address of a host, like {example}/{}",
                    address.prefix
                ),
            );
        }
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
                "is {what}, not of a host: the first host address is {example}/{}",
                address.prefix
            ),
        );
    }
}

/// Warns of more addresses of a family than an advertisement can list.
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
                        "an advertisement lists at most {most} {family} addresses: the remaining ones \
                         are held and not advertised"
                    ),
                );
            }
        }
    }
}
