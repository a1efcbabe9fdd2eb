//! Settings that have to agree, and settings that have to differ, between the instances of one virtual
//! router.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use vrrp_proto::params::{Authentication, HmacMode, HmacParams};
use vrrp_proto::{Family, Version};

use super::agreement::Rule;
use super::difference::{Difference, Setting, Severity, list, majority, shortened};
use super::virtual_router::{Instance, VirtualRouter};
use crate::duration::BoundedDuration;

const VRID: Rule<'_> = Rule {
    key: "virtualRouterId",
    severity: Severity::Error,
    message: "must be the same on all hosts: a host ignores advertisements of another VRID and becomes master too",
};

const VERSION: Rule<'_> = Rule {
    key: "version",
    severity: Severity::Error,
    message: "must be the same on all hosts: a host ignores advertisements of another version and becomes master too",
};

/// RFC 3768 section 7.1.
const INTERVAL_2: Rule<'_> = Rule {
    key: "advertInterval",
    severity: Severity::Error,
    message: "must be the same on all hosts: with version 2 a host drops advertisements of another interval and \
              becomes master too",
};

/// RFC 9568 section 6.4.2.
const INTERVAL_3: Rule<'_> = Rule {
    key: "advertInterval",
    severity: Severity::Warning,
    message: "should be the same on all hosts: a backup uses the interval of the master, so the time of a take-over \
              depends on the master",
};

const ACCEPT_MODE: Rule<'_> = Rule {
    key: "acceptMode",
    severity: Severity::Error,
    message: "must be the same on all hosts: the virtual addresses would answer on some masters only",
};

const VIRTUAL_MAC: Rule<'_> = Rule {
    key: "virtualMac",
    severity: Severity::Warning,
    message: "should be the same on all hosts: otherwise the addresses change their MAC address at each take-over",
};

const AUTHENTICATION: Rule<'_> = Rule {
    key: "authentication",
    severity: Severity::Error,
    message: "must be of the same kind on all hosts: other advertisements are dropped",
};

/// Adds the differences between the instances of `router`, except for those of its peers.
pub(super) fn check(router: &VirtualRouter<'_>, found: &mut Vec<Difference>) {
    let all: Vec<Instance<'_>> = router.iter().copied().collect();
    // The owner accepts packets whatever its setting is.
    let is_owner = |instance: &Instance<'_>| instance.params.priority.is_owner();
    let others: Vec<Instance<'_>> = all.iter().filter(|each| !is_owner(each)).copied().collect();
    let has_version_2 = all.iter().any(|each| each.params.version == Version::V2);
    let interval = if has_version_2 {
        INTERVAL_2
    } else {
        INTERVAL_3
    };

    found.extend(VRID.check(&all, |each| each.params.vrid.to_string()));
    found.extend(VERSION.check(&all, |each| each.params.version.number().to_string()));
    found.extend(interval.check(&all, |each| {
        BoundedDuration(each.params.interval.duration()).to_string()
    }));
    found.extend(ACCEPT_MODE.check(&others, |each| each.params.accept.to_string()));
    found.extend(VIRTUAL_MAC.check(&all, |each| each.params.virtual_mac.is_some().to_string()));
    addresses(&all, found);
    found.extend(AUTHENTICATION.check(&all, |each| each.authentication().to_owned()));
    passwords(&all, found);
    keys(&all, found);
    owners(&all, found);
    sources(&all, found);
}

/// Checks the set of virtual addresses, their prefixes, and their order.
fn addresses(all: &[Instance<'_>], found: &mut Vec<Difference>) {
    const KEY: &str = "virtualAddresses";
    let mut holders: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for address in all.iter().flat_map(Instance::addresses) {
        *holders.entry(address).or_default() += 1;
    }
    let mut settings = Vec::new();
    let mut is_same = true;
    for instance in all {
        let own: BTreeSet<IpAddr> = instance.addresses().collect();
        // An address of few hosts is too many there; an address of half of the hosts is missing on the others.
        let is_stray = |address: &&IpAddr| 2 * holders[*address] < all.len();
        let lacking = holders.keys().filter(|address| !own.contains(*address));
        let lacking = lacking.filter(|address| !is_stray(address));
        let lacking: Vec<String> = lacking.map(ToString::to_string).collect();
        let strays = own.iter().filter(is_stray).map(ToString::to_string);
        let strays: Vec<String> = strays.collect();
        is_same &= own.len() == holders.len();
        let lacks = (!lacking.is_empty()).then(|| format!("lacks {}", shortened(&lacking)));
        let has = (!strays.is_empty()).then(|| format!("most hosts lack {}", shortened(&strays)));
        let odd: Vec<String> = lacks.into_iter().chain(has).collect();
        let odd = (!odd.is_empty()).then(|| odd.join("; "));
        settings.push(instance.setting(KEY, Some(list(instance.params.addresses.iter())), odd));
    }
    let difference = if !is_same {
        Some((
            Severity::Error,
            "must be the same on all hosts: an address that a host lacks is lost when that host becomes master",
        ))
    } else if differs(all, |instance| {
        BTreeSet::from_iter(instance.params.addresses.iter())
    }) {
        Some((
            Severity::Warning,
            "should have the same prefix lengths on all hosts: the network of an address follows from its prefix",
        ))
    } else if differs(all, |instance| instance.params.addresses.clone()) {
        Some((
            Severity::Note,
            "have another order: vrrpd compares the set of addresses, other implementations may not",
        ))
    } else {
        None
    };
    found.extend(difference.map(|(severity, message)| Difference {
        severity,
        message: format!("{KEY} {message}"),
        settings,
    }));
}

fn differs<'i, T: PartialEq>(
    all: &'i [Instance<'_>],
    value: impl Fn(&'i Instance<'_>) -> T,
) -> bool {
    all.windows(2)
        .any(|pair| value(&pair[0]) != value(&pair[1]))
}

/// Checks the passwords. One that was skipped is not compared.
fn passwords(all: &[Instance<'_>], found: &mut Vec<Difference>) {
    let with = all
        .iter()
        .filter_map(|instance| match instance.params.authentication {
            Authentication::Pass(password) => Some((instance, password)),
            Authentication::None | Authentication::Hmac(_) => None,
        });
    let (instances, passwords): (Vec<&Instance<'_>>, Vec<_>) = with.unzip();
    if passwords.windows(2).all(|pair| pair[0] == pair[1]) {
        return;
    }
    let usual = majority(&passwords);
    let settings = instances
        .iter()
        .zip(&passwords)
        .map(|(instance, password)| {
            let odd = usual.filter(|usual| *usual != password);
            let odd = odd.map(|_| "most hosts have another password".to_owned());
            instance.setting("authentication.pass", None, odd)
        });
    found.push(Difference {
        severity: Severity::Error,
        message: "the password must be the same on all hosts: other advertisements are dropped"
            .to_owned(),
        settings: settings.collect(),
    });
}

/// Checks that the advertisements of each host have an HMAC where another host requires one, by a key that
/// the other host has.
fn keys(all: &[Instance<'_>], found: &mut Vec<Difference>) {
    let with: Vec<(&Instance<'_>, &HmacParams)> = all
        .iter()
        .filter_map(|instance| match &instance.params.authentication {
            Authentication::Hmac(hmac) if !instance.is_incomplete() => Some((instance, hmac)),
            Authentication::Hmac(_) | Authentication::None | Authentication::Pass(_) => None,
        })
        .collect();
    for (sender, hmac) in &with {
        if hmac.mode.signs() {
            let active = hmac.active.id();
            let rejecting = with.iter().filter_map(|(receiver, others)| {
                let odd = match others.key(active) {
                    Some(key) if *key == hmac.active => return None,
                    Some(_) => format!("its key {active} is another one"),
                    None => format!("lacks key {active}"),
                };
                Some(receiver.setting("authentication.hmac.keys", None, Some(odd)))
            });
            found.extend(undelivered(
                sender.setting("authentication.hmac.activeKey", Some(active.to_string()), None),
                "the key that a host signs with must be the same on all hosts: other advertisements are dropped",
                rejecting,
            ));
        } else {
            let rejecting = with
                .iter()
                .filter(|(_, others)| others.mode == HmacMode::Enforce);
            let rejecting = rejecting.map(|(receiver, _)| {
                receiver.setting(
                    "authentication.hmac.mode",
                    Some("\"enforce\"".to_owned()),
                    None,
                )
            });
            found.extend(undelivered(
                sender.setting("authentication.hmac.mode", Some("\"receiveOnly\"".to_owned()), None),
                "a host that enforces HMAC drops the advertisements of a host that does not sign: write \
                 \"permissive\" on both until all hosts sign",
                rejecting,
            ));
        }
    }
}

fn undelivered(
    sent: Setting,
    message: &str,
    rejecting: impl Iterator<Item = Setting>,
) -> Option<Difference> {
    let rejecting: Vec<_> = rejecting.collect();
    (!rejecting.is_empty()).then(|| Difference {
        severity: Severity::Error,
        message: message.to_owned(),
        settings: core::iter::once(sent).chain(rejecting).collect(),
    })
}

/// Checks that at most one host is the owner.
fn owners(all: &[Instance<'_>], found: &mut Vec<Difference>) {
    let owners = all
        .iter()
        .filter(|instance| instance.params.priority.is_owner());
    let owners: Vec<_> = owners
        .map(|owner| owner.setting("priority", Some("255".to_owned()), None))
        .collect();
    if owners.len() > 1 {
        found.push(Difference {
            severity: Severity::Error,
            message: "priority 255 is for one host, whose own addresses the virtual ones are: write 1 to 254 on \
                      the others"
                .to_owned(),
            settings: owners,
        });
    }
}

/// Checks that each host has an own source address.
fn sources(all: &[Instance<'_>], found: &mut Vec<Difference>) {
    let mut by_source: BTreeMap<IpAddr, Vec<&Instance<'_>>> = BTreeMap::new();
    for instance in all {
        if let Some(source) = instance.params.source {
            by_source.entry(source).or_default().push(instance);
        }
    }
    for (source, instances) in by_source
        .into_iter()
        .filter(|(_, instances)| instances.len() > 1)
    {
        let settings = instances
            .iter()
            .map(|instance| instance.setting("source", Some(format!("\"{source}\"")), None));
        found.push(Difference {
            severity: Severity::Error,
            message: "source must be an address of this host alone: a host drops advertisements from its own address"
                .to_owned(),
            settings: settings.collect(),
        });
    }
}

/// Warns of equal priorities in `router`, unless `is_decided` between two hosts by another instance of their
/// sync group.
pub(super) fn ties(
    router: &VirtualRouter<'_>,
    is_decided: impl Fn(usize, usize) -> bool,
    found: &mut Vec<Difference>,
) {
    let mut by_priority: BTreeMap<u8, Vec<(usize, &Instance<'_>)>> = BTreeMap::new();
    for (host, instance) in &router.instances {
        let priority = instance.params.priority;
        if !priority.is_owner() {
            by_priority
                .entry(priority.get())
                .or_default()
                .push((*host, instance));
        }
    }
    for (priority, instances) in by_priority {
        let is_tie = |(host, _): &&(usize, &Instance<'_>)| {
            instances
                .iter()
                .any(|(other, _)| other != host && !is_decided(*host, *other))
        };
        let tied: Vec<&Instance<'_>> = instances
            .iter()
            .filter(is_tie)
            .map(|(_, tied)| *tied)
            .collect();
        if tied.is_empty() {
            continue;
        }
        let settings = tied.iter().map(|instance| {
            let wins = winner(&tied).is_some_and(|winner| winner == instance.params.source);
            let odd = wins.then(|| "stays, with the greatest source address".to_owned());
            instance.setting("priority", Some(priority.to_string()), odd)
        });
        found.push(Difference {
            severity: Severity::Warning,
            message: "equal priorities: a master stays master, so that there is no failback; of two masters the one \
                      with the greater source address stays (RFC 9568 section 6.4.3). Write different priorities \
                      if the hosts have an order"
                .to_owned(),
            settings: settings.collect(),
        });
    }
}

/// Returns the greatest source address, if all of them are known and of one family.
fn winner(tied: &[&Instance<'_>]) -> Option<Option<IpAddr>> {
    let sources: Option<Vec<IpAddr>> = tied.iter().map(|instance| instance.params.source).collect();
    let sources = sources?;
    let families: BTreeSet<Family> = sources.iter().map(|source| Family::of(*source)).collect();
    (families.len() == 1).then(|| sources.into_iter().max())
}
