//! Unicast peers: each host has to name the other ones.

use core::net::IpAddr;
use std::collections::BTreeSet;

use vrrp_proto::Family;
use vrrp_proto::params::{Peer, Unicast};

use super::agreement::Rule;
use super::difference::{Difference, Severity, list};
use super::virtual_router::{Instance, VirtualRouter};

const UNICAST: Rule<'_> = Rule {
    key: "unicast",
    severity: Severity::Error,
    message: "must be set on all hosts or on none: a host with peers accepts no multicast, and sends none",
};

/// Adds the differences between the `unicast` of the instances of `router`.
pub(super) fn check(router: &VirtualRouter<'_>, found: &mut Vec<Difference>) {
    let all: Vec<Instance<'_>> = router.iter().copied().collect();
    let with: Vec<(&Instance<'_>, &Unicast)> = all
        .iter()
        .filter_map(|instance| Some((instance, instance.params.unicast.as_ref()?)))
        .collect();
    found.extend(UNICAST.check(&all, |each| {
        let is_set = each.params.unicast.is_some();
        if is_set { "peers" } else { "none" }.to_owned()
    }));
    for family in Family::ALL {
        unnamed_hosts(&with, family, found);
    }
    distant_hosts(&with, found);
}

/// Reports lists of peers without a host of the virtual router. The address of a host is its `source`; without
/// it, the number of peers is what can be checked.
fn unnamed_hosts(with: &[(&Instance<'_>, &Unicast)], family: Family, found: &mut Vec<Difference>) {
    let source = |instance: &Instance<'_>| {
        instance
            .params
            .source
            .filter(|source| Family::of(*source) == family)
    };
    let speaking: Vec<_> = with
        .iter()
        .filter(|(instance, _)| instance.params.speaks(family))
        .collect();
    let mut settings = Vec::new();
    for (instance, unicast) in &speaking {
        // A name may be that of any host.
        if unicast.names().next().is_some() {
            continue;
        }
        let peers: BTreeSet<IpAddr> = addresses(unicast, family).collect();
        let others = speaking
            .iter()
            .filter(|(other, _)| other.number != instance.number);
        let sources: Vec<_> = others
            .filter_map(|(other, _)| Some((other, source(other)?)))
            .collect();
        let unnamed = sources.iter().filter(|(_, source)| !peers.contains(source));
        let unnamed: Vec<String> = unnamed
            .map(|(other, source)| format!("{source} of {}", other.host.file))
            .collect();
        let own = source(instance);
        let named = peers.iter().filter(|peer| Some(**peer) != own).count();
        let odd = if !unnamed.is_empty() {
            Some(format!("lacks {}", unnamed.join(", ")))
        } else if named + 1 < speaking.len() {
            let missing = speaking.len() - 1;
            Some(format!("names {named} of {missing} other hosts"))
        } else if own.is_none() && is_same_single_peer(&peers, instance, &speaking, family) {
            Some("another host names the same peer: one of them names itself".to_owned())
        } else {
            None
        };
        if odd.is_some() {
            let listed = list(unicast.peers.iter());
            settings.push(instance.setting("unicast.peers", Some(listed), odd));
        }
    }
    if !settings.is_empty() {
        found.push(Difference {
            severity: Severity::Error,
            message: format!(
                "unicast.peers must name all other hosts: a host that receives no {family} advertisements \
                 becomes master too"
            ),
            settings,
        });
    }
}

/// Whether `peers` is one address, and another host names the same one.
fn is_same_single_peer(
    peers: &BTreeSet<IpAddr>,
    instance: &Instance<'_>,
    speaking: &[&(&Instance<'_>, &Unicast)],
    family: Family,
) -> bool {
    peers.len() == 1
        && speaking.iter().any(|(other, unicast)| {
            other.number != instance.number && addresses(unicast, family).eq(peers.iter().copied())
        })
}

/// Returns the peers of a family that are written as addresses.
fn addresses(unicast: &Unicast, family: Family) -> impl Iterator<Item = IpAddr> {
    unicast.peers.iter().filter_map(move |peer| match peer {
        Peer::Address(address) => Some(*address).filter(|address| Family::of(*address) == family),
        Peer::Name(_) => None,
    })
}

/// Reports a TTL that is below the minimum of another host.
fn distant_hosts(with: &[(&Instance<'_>, &Unicast)], found: &mut Vec<Difference>) {
    for (sender, sent) in with {
        let rejecting: Vec<_> = with
            .iter()
            .filter(|(receiver, accepted)| {
                receiver.number != sender.number && sent.ttl < accepted.min_ttl
            })
            .map(|(receiver, accepted)| {
                receiver.setting("unicast.minTtl", Some(accepted.min_ttl.to_string()), None)
            })
            .collect();
        if !rejecting.is_empty() {
            let sent = sender.setting("unicast.ttl", Some(sent.ttl.to_string()), None);
            found.push(Difference {
                severity: Severity::Error,
                message: "unicast.ttl must not be below the minTtl of another host, which would drop the \
                          advertisements"
                    .to_owned(),
                settings: core::iter::once(sent).chain(rejecting).collect(),
            });
        }
    }
}
