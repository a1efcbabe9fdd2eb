//! Drop rules: the addresses to which packets are dropped, compared with the nf_tables table of the daemon.
//! Pure.
//!
//! A drop rule is installed before its address is added and removed after it is deleted:
//! [`want`](DropRules::want) is called before the addresses of a turn are changed, and
//! [`surplus`](DropRules::surplus) after it. An address that the kernel could not delete keeps its rule as
//! long as it is present.
//!
//! A rule matches the destination address on every interface, because Linux accepts packets to any of its
//! addresses on every interface (the weak host model of RFC 1122 section 3.3.4.2). Only an IPv6 link-local
//! address is specific to its interface, and the host may have the same one on another interface: its rule
//! matches the interface by which packets arrive, and so not packets from the host itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vrrp_proto::{Desired, InterfaceAddress, InterfaceIndex};

use crate::mirror::Mirror;

/// Wanted and installed drop rules.
#[derive(Debug, Default)]
pub struct DropRules {
    /// Addresses that need a drop rule, with the interface that holds or will hold them.
    wanted: BTreeSet<AddressKey>,
    /// Released addresses, which keep their drop rule until they are deleted.
    leaving: BTreeSet<AddressKey>,
    /// Rules that the table holds, or has to hold as soon as it exists.
    refused: BTreeSet<DropRule>,
}

/// Rule that drops packets to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DropRule {
    /// Destination address.
    pub address: IpAddr,
    /// Interface by which the packets arrive; only for link-local addresses.
    pub interface: Option<InterfaceIndex>,
}

impl DropRule {
    fn of((address, interface): AddressKey) -> Self {
        let is_link_local =
            matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        Self {
            address,
            interface: is_link_local.then_some(interface),
        }
    }
}

type AddressKey = (IpAddr, InterfaceIndex);

impl DropRules {
    /// Takes in the desired addresses of one router and appends to `missing` the drop rules to install
    /// before an address is added.
    ///
    /// An address that is added and deleted in the same turn gets a rule too: the interface may hold it for
    /// a moment.
    pub fn want(&mut self, desired: &Desired, missing: &mut Vec<DropRule>) {
        let place = |address: &InterfaceAddress| (address.address, desired.interface);
        for place in desired.release.iter().map(place) {
            if self.wanted.remove(&place) {
                self.leaving.insert(place);
            }
        }
        for place in desired.hold.iter().map(place) {
            if desired.accept {
                self.wanted.remove(&place);
                self.leaving.remove(&place);
            } else {
                self.leaving.remove(&place);
                self.wanted.insert(place);
                let refusal = DropRule::of(place);
                if self.refused.insert(refusal) {
                    missing.push(refusal);
                }
            }
        }
    }

    /// Adopts all addresses with the daemon's mark, which an earlier daemon left: they keep a drop rule
    /// until they are deleted.
    pub fn adopt(&mut self, mirror: &Mirror) {
        for (interface, held) in mirror.all().filter(|(_, held)| held.ours) {
            let place = (held.address.address, interface);
            self.leaving.insert(place);
            self.refused.insert(DropRule::of(place));
        }
    }

    /// Returns the drop rules that no address needs any longer, as `mirror` shows after the addresses were
    /// changed, and forgets them.
    pub fn surplus(&mut self, mirror: &Mirror) -> Vec<DropRule> {
        let ours = |(address, interface): &AddressKey| {
            let mut forms = mirror.forms(*interface, *address);
            forms.any(|held| held.ours)
        };
        self.leaving.retain(ours);
        // No router releases an address that disappeared together with its interface.
        self.wanted
            .retain(|(_, interface)| mirror.link(*interface).is_some());
        let places = self.wanted.iter().chain(&self.leaving);
        let needed: BTreeSet<DropRule> = places.copied().map(DropRule::of).collect();
        let surplus: Vec<DropRule> = self.refused.difference(&needed).copied().collect();
        self.refused = needed;
        surplus
    }

    /// All drop rules that are installed, or have to be.
    pub fn refused(&self) -> impl Iterator<Item = DropRule> {
        self.refused.iter().copied()
    }

    /// Whether there is no drop rule, neither installed nor wanted.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty()
    }
}

#[cfg(test)]
mod tests;
