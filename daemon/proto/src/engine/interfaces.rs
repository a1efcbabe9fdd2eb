//! What the engine knows of the host's interfaces: all of them, because a reload may name any.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::instance::Attachment;
use crate::events::Link;
use crate::params::RouterParams;
use crate::reasons::FaultReason;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, MacAddress};

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
    /// Those of them that the daemon put back for an owner, and takes off with the router's.
    restored: Vec<InterfaceAddress>,
}

/// An interface on which a router can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) index: InterfaceIndex,
    pub(super) mac: MacAddress,
    /// The addresses from which the router sends, of each family that it speaks.
    sources: [Option<IpAddr>; 2],
}

impl Endpoint {
    /// The same for a router that speaks no families but those for which `speaks` holds.
    pub(super) fn restricted(self, speaks: impl Fn(Family) -> bool) -> Self {
        let source = |family| self.source(family).filter(|_| speaks(family));
        Self {
            sources: Family::ALL.map(source),
            ..self
        }
    }

    /// The address from which the router sends to the others of a family.
    pub(super) const fn source(&self, family: Family) -> Option<IpAddr> {
        self.sources[family as usize]
    }
}

impl Interface {
    /// The address to send from to the others of a family: `current` while it is there. What the daemon
    /// put back for an owner goes with that router, and so is for that router alone.
    fn source(
        &self,
        family: Family,
        params: &RouterParams,
        current: Option<IpAddr>,
        is_virtual: impl Fn(IpAddr) -> bool,
    ) -> Result<IpAddr, FaultReason> {
        let own = || {
            self.foreign
                .iter()
                .filter(|address| match family {
                    // RFC 9568 7.2 MUST: send from the interface's primary IPv4 address
                    Family::V4 => address.family() == family,
                    // RFC 9568 7.2 MUST: send from the interface's link-local IPv6 address
                    Family::V6 => address.is_link_local(),
                })
                .filter(|address| {
                    !self.restored.contains(address) || params.addresses.contains(address)
                })
                .map(|address| address.address)
                .filter(|address| !is_virtual(*address))
        };
        let source = own()
            .find(|address| Some(*address) == current)
            .or_else(|| own().next());
        source.ok_or_else(|| {
            let name = Arc::clone(&self.link.name);
            let of_family = |address: &&InterfaceAddress| address.family() == family;
            match (family, self.foreign.iter().find(of_family)) {
                (Family::V4, Some(address)) => FaultReason::OnlyVirtual {
                    interface: name,
                    address: *address,
                },
                (Family::V4, None) => FaultReason::NoAddress(name),
                (Family::V6, _) => FaultReason::NoLinkLocal(name),
            }
        })
    }
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
                    restored: Vec::new(),
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

    /// Forgets an interface. Returns the name that means none now, and the addresses that are gone
    /// with it.
    pub(super) fn remove_link(
        &mut self,
        index: InterfaceIndex,
    ) -> Option<(Arc<str>, Vec<InterfaceAddress>)> {
        let Interface { link, foreign, .. } = self.by_index.remove(&index)?;
        if self.by_name.get(&link.name) == Some(&index) {
            self.by_name.remove(&link.name);
        }
        Some((link.name, foreign))
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
        interface.restored.retain(|known| *known != address);
        Some(Arc::clone(&interface.link.name))
    }

    /// Takes note of an own address that the daemon puts back for its owner.
    pub(super) fn restore(&mut self, index: InterfaceIndex, address: InterfaceAddress) {
        if self.add_address(index, address).is_some()
            && let Some(interface) = self.by_index.get_mut(&index)
        {
            interface.restored.push(address);
        }
    }

    /// Forgets an address. Returns the name of its interface.
    pub(super) fn remove_address(
        &mut self,
        index: InterfaceIndex,
        address: InterfaceAddress,
    ) -> Option<Arc<str>> {
        let interface = self.by_index.get_mut(&index)?;
        interface.foreign.retain(|known| *known != address);
        interface.restored.retain(|known| *known != address);
        Some(Arc::clone(&interface.link.name))
    }

    /// Forgets addresses that the daemon takes off itself, whatever their prefix: all, or those that it
    /// put there.
    pub(super) fn forget(
        &mut self,
        index: InterfaceIndex,
        addresses: &[InterfaceAddress],
        spare_foreign: bool,
    ) {
        if let Some(Interface {
            foreign, restored, ..
        }) = self.by_index.get_mut(&index)
        {
            let released = |known: &InterfaceAddress| {
                let mut gone = addresses.iter();
                let is_ours = !spare_foreign || restored.contains(known);
                is_ours && gone.any(|gone| gone.address == known.address)
            };
            foreign.retain(|known| !released(known));
            restored.retain(|known| foreign.contains(known));
        }
    }

    /// The name of an interface.
    pub(super) fn name(&self, index: InterfaceIndex) -> Option<&Arc<str>> {
        self.by_index
            .get(&index)
            .map(|interface| &interface.link.name)
    }

    /// Whether an interface of that name is up and has a carrier, or what is wrong with it.
    pub(super) fn check_link(&self, name: &Arc<str>) -> Result<&Link, FaultReason> {
        self.get(name).map(|interface| &interface.link)
    }

    /// Whether addresses can be on an interface of that name, or what is wrong with it.
    pub(super) fn check_serving(&self, name: &Arc<str>) -> Result<(), FaultReason> {
        self.serving(name).map(drop)
    }

    /// Whether a router can run on its interface, or what keeps it from it. The addresses that it
    /// sends from at `current` stay as long as they are there; an address for which `is_virtual`
    /// holds is none of the host's own.
    pub(super) fn check_endpoint(
        &self,
        params: &RouterParams,
        current: Option<Endpoint>,
        is_virtual: impl Fn(IpAddr) -> bool,
    ) -> Result<Endpoint, FaultReason> {
        let name = &params.interface;
        let interface = self.serving(name)?;
        let link = &interface.link;
        let mac = link
            .mac
            .ok_or_else(|| FaultReason::NotEthernet(Arc::clone(name)))?;
        let mut sources = [None; 2];
        for family in Family::ALL {
            if params.speaks(family) {
                let current = current.and_then(|place| place.source(family));
                let source = match params.source {
                    Some(source) if Family::of(source) == family => self.find(source)?,
                    Some(_) | None => interface.source(family, params, current, &is_virtual)?,
                };
                sources[family as usize] = Some(source);
            }
        }
        Ok(Endpoint {
            index: link.index,
            mac,
            sources,
        })
    }

    /// Finds an address of the host on any interface.
    fn find(&self, address: IpAddr) -> Result<IpAddr, FaultReason> {
        self.by_index
            .values()
            .flat_map(|interface| &interface.foreign)
            .any(|known| known.address == address)
            .then_some(address)
            .ok_or(FaultReason::NoSource(address))
    }

    /// Whether the host has an address of its own of a family on an interface, beside those for
    /// which `is_virtual` holds.
    pub(super) fn has_own_address(
        &self,
        index: InterfaceIndex,
        family: Family,
        is_virtual: impl Fn(IpAddr) -> bool,
    ) -> bool {
        let is_own = |a: &InterfaceAddress| a.family() == family && !is_virtual(a.address);
        self.by_index
            .get(&index)
            .is_some_and(|interface| interface.foreign.iter().any(is_own))
    }

    /// The number of the interface of that name, however it is.
    pub(super) fn index(&self, name: &Arc<str>) -> Option<InterfaceIndex> {
        self.by_name.get(name).copied()
    }

    /// The interface of that name, however it is.
    pub(super) fn link(&self, name: &Arc<str>) -> Option<&Link> {
        let index = self.by_name.get(name)?;
        Some(&self.by_index.get(index)?.link)
    }

    /// The interface that a seat is on, however it is.
    pub(super) fn attachment(&self, attachment: &Attachment) -> Option<&Link> {
        let link = self.link(&attachment.device)?;
        let is_it = attachment
            .virtual_mac
            .is_none_or(|mac| link.mac == Some(mac));
        is_it.then_some(link)
    }

    /// An interface that is up and receives for itself.
    fn serving(&self, name: &Arc<str>) -> Result<&Interface, FaultReason> {
        let interface = self.get(name)?;
        match interface.link.port_of {
            None => Ok(interface),
            Some(of) => Err(FaultReason::Port {
                interface: Arc::clone(name),
                of: match self.name(of) {
                    Some(of) => Arc::clone(of),
                    None => format!("interface {}", of.0).into(),
                },
            }),
        }
    }

    fn get(&self, name: &Arc<str>) -> Result<&Interface, FaultReason> {
        let interface = self
            .by_name
            .get(name)
            .and_then(|index| self.by_index.get(index))
            .ok_or_else(|| FaultReason::InterfaceMissing(Arc::clone(name)))?;
        if !interface.link.up {
            return Err(FaultReason::InterfaceDown(Arc::clone(name)));
        }
        if !interface.link.carrier {
            return Err(FaultReason::NoCarrier(Arc::clone(name)));
        }
        Ok(interface)
    }
}
