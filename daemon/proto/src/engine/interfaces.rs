//! What the engine knows of the host's interfaces: all of them, because a reload may name any.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::border::{Link, Obstacle};
use crate::types::{InterfaceAddress, InterfaceIndex, MacAddress};

/// The interfaces of the host.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    by_index: BTreeMap<InterfaceIndex, Interface>,
    by_name: BTreeMap<Arc<str>, InterfaceIndex>,
}

#[derive(Debug)]
struct Interface {
    link: Link,
    /// Addresses that the daemon did not add, in the kernel's order. A virtual address that
    /// somebody else added is among them.
    foreign: Vec<InterfaceAddress>,
}

/// An interface on which a router can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usable {
    pub(super) index: InterfaceIndex,
    pub(super) mac: MacAddress,
    /// The primary address, from which the router sends.
    pub(super) source: Ipv4Addr,
}

impl Interfaces {
    /// Takes note of an interface. Returns the names that mean another interface now, or another
    /// state of it: one, or two when it was renamed, or none.
    pub(super) fn set_link(&mut self, link: Link) -> Vec<Arc<str>> {
        let Some(known) = self.by_index.get_mut(&link.index) else {
            let name = Arc::clone(&link.name);
            self.by_name.insert(Arc::clone(&name), link.index);
            self.by_index.insert(
                link.index,
                Interface {
                    link,
                    foreign: Vec::new(),
                },
            );
            return vec![name];
        };
        if known.link == link {
            return Vec::new();
        }
        let mut names = vec![Arc::clone(&link.name)];
        if known.link.name != link.name {
            names.insert(0, Arc::clone(&known.link.name));
            if self.by_name.get(&known.link.name) == Some(&link.index) {
                self.by_name.remove(&known.link.name);
            }
            self.by_name.insert(Arc::clone(&link.name), link.index);
        }
        known.link = link;
        names
    }

    /// Forgets an interface. Returns the name that means none now.
    pub(super) fn remove_link(&mut self, index: InterfaceIndex) -> Option<Arc<str>> {
        let gone = self.by_index.remove(&index)?;
        if self.by_name.get(&gone.link.name) == Some(&index) {
            self.by_name.remove(&gone.link.name);
        }
        Some(gone.link.name)
    }

    /// Takes note of a foreign address. Returns the name of its interface.
    pub(super) fn add_address(
        &mut self,
        index: InterfaceIndex,
        address: InterfaceAddress,
    ) -> Option<Arc<str>> {
        let interface = self.by_index.get_mut(&index)?;
        if !interface.foreign.contains(&address) {
            interface.foreign.push(address);
        }
        Some(Arc::clone(&interface.link.name))
    }

    /// Forgets an address. Returns the name of its interface.
    pub(super) fn remove_address(
        &mut self,
        index: InterfaceIndex,
        address: InterfaceAddress,
    ) -> Option<Arc<str>> {
        let interface = self.by_index.get_mut(&index)?;
        interface.foreign.retain(|known| *known != address);
        Some(Arc::clone(&interface.link.name))
    }

    /// Forgets addresses that the daemon takes off itself, whatever their prefix.
    pub(super) fn forget(&mut self, index: InterfaceIndex, addresses: &[InterfaceAddress]) {
        if let Some(interface) = self.by_index.get_mut(&index) {
            let released = |known: IpAddr| addresses.iter().any(|gone| gone.address == known);
            interface.foreign.retain(|known| !released(known.address));
        }
    }

    /// The name of an interface.
    pub(super) fn name(&self, index: InterfaceIndex) -> Option<&Arc<str>> {
        self.by_index
            .get(&index)
            .map(|interface| &interface.link.name)
    }

    /// The number of an interface, however it is.
    pub(super) fn index(&self, name: &Arc<str>) -> Option<InterfaceIndex> {
        self.by_name.get(name).copied()
    }

    /// Whether an interface of that name is up and has a carrier, or what is wrong with it.
    pub(super) fn check_link(&self, name: &Arc<str>) -> Result<&Link, Obstacle> {
        self.get(name).map(|interface| &interface.link)
    }

    /// Whether a router can run on the interface of that name, or what keeps it from it.
    /// `current` is the address that it sends from, which stays as long as it is there; an
    /// address for which `is_virtual` holds is none of the host's own.
    pub(super) fn check_usable(
        &self,
        name: &Arc<str>,
        current: Option<Ipv4Addr>,
        is_virtual: impl Fn(IpAddr) -> bool,
    ) -> Result<Usable, Obstacle> {
        let Interface { link, foreign } = self.get(name)?;
        let mac = link
            .mac
            .ok_or_else(|| Obstacle::NotEthernet(Arc::clone(name)))?;
        let own = || {
            foreign
                .iter()
                .filter(|address| !is_virtual(address.address))
                .filter_map(InterfaceAddress::ipv4)
        };
        // RFC 9568 7.2 MUST: send from the interface's primary IPv4 address
        let source = own()
            .find(|address| Some(*address) == current)
            .or_else(|| own().next())
            .ok_or_else(|| match foreign.first() {
                Some(address) => Obstacle::OnlyVirtual {
                    interface: Arc::clone(name),
                    address: *address,
                },
                None => Obstacle::NoAddress(Arc::clone(name)),
            })?;
        Ok(Usable {
            index: link.index,
            mac,
            source,
        })
    }

    /// Whether the host has an address of its own on an interface, beside those for which
    /// `is_virtual` holds.
    pub(super) fn has_own_address(
        &self,
        index: InterfaceIndex,
        is_virtual: impl Fn(IpAddr) -> bool,
    ) -> bool {
        self.by_index
            .get(&index)
            .is_some_and(|interface| interface.foreign.iter().any(|a| !is_virtual(a.address)))
    }

    fn get(&self, name: &Arc<str>) -> Result<&Interface, Obstacle> {
        let interface = self
            .by_name
            .get(name)
            .and_then(|index| self.by_index.get(index))
            .ok_or_else(|| Obstacle::InterfaceMissing(Arc::clone(name)))?;
        if !interface.link.up {
            return Err(Obstacle::InterfaceDown(Arc::clone(name)));
        }
        if !interface.link.carrier {
            return Err(Obstacle::NoCarrier(Arc::clone(name)));
        }
        Ok(interface)
    }
}
