//! Which addresses packets are refused to: what is wanted against what our table of nf_tables has.
//! Pure.
//!
//! An address is refused before it is there and until it is gone: [`want`](DropRules::want) comes
//! before the addresses of a turn are changed, and [`surplus`](DropRules::surplus) after it. What the
//! kernel would not delete stays refused for as long as it is there.
//!
//! Refusing goes by the address alone, whatever interface a packet comes in by: Linux accepts packets
//! to any of its addresses on every interface (the weak host model of RFC 1122 section 3.3.4.2). Only
//! a link-local address of IPv6 is another one on each interface, where the host may have it as its
//! own: it is refused to what comes in by its interface, and so not to the host itself.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vrrp_proto::{Desired, InterfaceAddress, InterfaceIndex};

use crate::mirror::Mirror;

/// What is to be refused, and what is.
#[derive(Debug, Default)]
pub struct DropRules {
    /// To be refused, and on which interface it is or will be.
    wanted: BTreeSet<AddressKey>,
    /// Wanted no longer, and refused until it is gone.
    leaving: BTreeSet<AddressKey>,
    /// What the table has, or has to have as soon as there is one.
    refused: BTreeSet<DropRule>,
}

/// Packets that are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DropRule {
    /// To which address.
    pub address: IpAddr,
    /// By which interface they come in, when that makes a difference.
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
    /// Takes in what one router should hold, and appends to `missing` what is to be refused from now
    /// on, before an address comes.
    ///
    /// An address that comes and goes again in the same turn is among them: it may be there for a
    /// moment.
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

    /// Takes in what an earlier daemon left, which is refused until it is gone: all that bears our
    /// mark.
    pub fn adopt(&mut self, mirror: &Mirror) {
        for (interface, held) in mirror.all().filter(|(_, held)| held.ours) {
            let place = (held.address.address, interface);
            self.leaving.insert(place);
            self.refused.insert(DropRule::of(place));
        }
    }

    /// What is refused for no reason any longer, as `mirror` shows it after the addresses were
    /// changed. It counts as done.
    pub fn surplus(&mut self, mirror: &Mirror) -> Vec<DropRule> {
        let ours = |(address, interface): &AddressKey| {
            let mut forms = mirror.forms(*interface, *address);
            forms.any(|held| held.ours)
        };
        self.leaving.retain(ours);
        // What went with its interface nobody releases.
        self.wanted
            .retain(|(_, interface)| mirror.link(*interface).is_some());
        let places = self.wanted.iter().chain(&self.leaving);
        let needed: BTreeSet<DropRule> = places.copied().map(DropRule::of).collect();
        let surplus: Vec<DropRule> = self.refused.difference(&needed).copied().collect();
        self.refused = needed;
        surplus
    }

    /// All that is refused, or has to be.
    pub fn refused(&self) -> impl Iterator<Item = DropRule> {
        self.refused.iter().copied()
    }

    /// Whether nothing is refused, nor has to be.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty()
    }
}

#[cfg(test)]
mod tests;
