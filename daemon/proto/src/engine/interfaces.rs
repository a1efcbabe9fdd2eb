//! Interface table: the host's interfaces and addresses, all of them, because a reload may use any.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::instance::attachment::Attachment;
use crate::events::Link;
use crate::params::RouterParams;
use crate::reasons::FaultReason;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, MacAddress, is_link_local};

/// The interfaces of the host.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    by_index: BTreeMap<InterfaceIndex, Interface>,
    by_name: BTreeMap<Arc<str>, InterfaceIndex>,
}

#[derive(Debug)]
struct Interface {
    link: Link,
    /// Addresses that the daemon did not add, in the kernel's order, including virtual addresses
    /// that another program added.
    foreign: Vec<InterfaceAddress>,
    /// Those of `foreign` that the daemon restored for an address owner and deletes with that
    /// router.
    restored: Vec<InterfaceAddress>,
}

/// An interface and source addresses with which a router can run. Without a link it has no source
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) index: InterfaceIndex,
    pub(super) mac: MacAddress,
    /// Source address of the advertisements, in each family in which the router advertises.
    sources: [Option<IpAddr>; 2],
    /// Whether the interface can send and receive.
    pub(super) has_link: bool,
}

impl Endpoint {
    /// Returns the endpoint without the source addresses of the families for which `speaks` is
    /// false.
    pub(super) fn restricted(self, speaks: impl Fn(Family) -> bool) -> Self {
        let source = |family| self.source(family).filter(|_| speaks(family));
        Self {
            sources: Family::ALL.map(source),
            ..self
        }
    }

    /// Endpoint of an earlier process, for [`check_endpoint`](Interfaces::check_endpoint): only the sources
    /// and the link count.
    pub(super) fn former(sources: &[IpAddr], has_link: bool) -> Self {
        let of = |family| sources.iter().copied().find(|at| Family::of(*at) == family);
        Self {
            index: InterfaceIndex(0),
            mac: MacAddress::default(),
            sources: Family::ALL.map(of),
            has_link,
        }
    }

    /// Source address of the advertisements in a family.
    pub(super) const fn source(&self, family: Family) -> Option<IpAddr> {
        self.sources[family as usize]
    }
}

impl Interface {
    /// Returns the source address of the advertisements in a family: `current` while it exists. An
    /// address that the daemon restored for an owner is used for that router only, because it is
    /// deleted with it.
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
    /// Records the state of an interface. Returns the names that now mean another interface or
    /// state: one, two after a rename, or none; and the alternative names, former and present.
    pub(super) fn set_link(&mut self, link: Link) -> Vec<Arc<str>> {
        let mut names = vec![Arc::clone(&link.name)];
        names.extend(link.alternative_names.iter().cloned());
        let Some(known) = self.by_index.get_mut(&link.index) else {
            let name = Arc::clone(&link.name);
            self.by_name.insert(name, link.index);
            self.by_index.insert(
                link.index,
                Interface {
                    link,
                    foreign: Vec::new(),
                    restored: Vec::new(),
                },
            );
            return names;
        };
        if known.link == link {
            return Vec::new();
        }
        names.extend(known.link.alternative_names.iter().cloned());
        if known.link.name != link.name {
            names.insert(0, Arc::clone(&known.link.name));
            // After swapped names the former name already means another interface.
            if self.by_name.get(&known.link.name) == Some(&link.index) {
                self.by_name.remove(&known.link.name);
            }
            self.by_name.insert(Arc::clone(&link.name), link.index);
        }
        known.link = link;
        names
    }

    /// Deletes an interface. Returns its names and its addresses.
    pub(super) fn remove_link(
        &mut self,
        index: InterfaceIndex,
    ) -> Option<(Vec<Arc<str>>, Vec<InterfaceAddress>)> {
        let Interface { link, foreign, .. } = self.by_index.remove(&index)?;
        if self.by_name.get(&link.name) == Some(&index) {
            self.by_name.remove(&link.name);
        }
        let mut names = vec![link.name];
        names.extend(link.alternative_names.iter().cloned());
        Some((names, foreign))
    }

    /// Records an address that the daemon did not add. Returns the name of its interface.
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

    /// Records an address that the daemon restores for its owner.
    pub(super) fn restore(&mut self, index: InterfaceIndex, address: InterfaceAddress) {
        if self.add_address(index, address).is_some()
            && let Some(interface) = self.by_index.get_mut(&index)
        {
            interface.restored.push(address);
        }
    }

    /// Deletes an address. Returns the name of its interface.
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

    /// Deletes the addresses that the daemon itself removes from an interface, with any prefix
    /// length: all, or with `spare_foreign` only those that it restored.
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

    /// Name of an interface.
    pub(super) fn name(&self, index: InterfaceIndex) -> Option<&Arc<str>> {
        self.by_index
            .get(&index)
            .map(|interface| &interface.link.name)
    }

    /// Checks that an interface of that name exists, is up and has a carrier.
    pub(super) fn check_link(&self, name: &Arc<str>) -> Result<&Link, FaultReason> {
        self.get(name).map(|interface| &interface.link)
    }

    /// Checks that an interface of that name can carry addresses.
    pub(super) fn check_serving(&self, name: &Arc<str>) -> Result<(), FaultReason> {
        self.serving(name).map(drop)
    }

    /// Checks that a router can run on its interface, and returns the endpoint. The source
    /// addresses of `current` are kept while they exist. Addresses for which `is_virtual` is true
    /// are no source.
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
            has_link: true,
        })
    }

    /// Returns the endpoint of a router that does not track its interface, while the interface has no
    /// link. After that it lasts until the host has the source addresses again: network managers
    /// delete them with the carrier, and the kernel deletes the IPv6 ones of an interface that is down.
    pub(super) fn endpoint_without_link(
        &self,
        params: &RouterParams,
        current: Option<Endpoint>,
    ) -> Option<Endpoint> {
        let link = self.link(&params.interface)?;
        let has_link = link.up && link.carrier;
        let goes_on = !has_link || current.is_some_and(|current| !current.has_link);
        (!params.track_interface && goes_on && link.port_of.is_none()).then_some(Endpoint {
            index: link.index,
            mac: link.mac?,
            sources: [None; 2],
            has_link: false,
        })
    }

    /// Finds an address of the host on any interface.
    fn find(&self, address: IpAddr) -> Result<IpAddr, FaultReason> {
        self.has(address)
            .then_some(address)
            .ok_or(FaultReason::NoSource(address))
    }

    /// Whether the host has an address on any interface.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let mut held = self
            .by_index
            .values()
            .flat_map(|interface| &interface.foreign);
        held.any(|known| known.address == address)
    }

    /// Whether an interface of the host has this hardware address.
    pub(super) fn has_mac(&self, mac: MacAddress) -> bool {
        let mut interfaces = self.by_index.values();
        interfaces.any(|interface| interface.link.mac == Some(mac))
    }

    /// Whether an interface has an address of that family for which `is_virtual` is false.
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

    /// Whether an address is on the network of an interface, so that a neighbour has it.
    pub(super) fn is_on_link(&self, index: InterfaceIndex, address: IpAddr) -> bool {
        let on = self.by_index.get(&index);
        is_link_local(address)
            || on.is_some_and(|on| on.foreign.iter().any(|own| own.is_network_of(address)))
    }

    /// Index of the interface of that name, in any state.
    pub(super) fn index(&self, name: &Arc<str>) -> Option<InterfaceIndex> {
        self.by_name.get(name).copied()
    }

    /// The interface of that name, in any state.
    pub(super) fn link(&self, name: &Arc<str>) -> Option<&Link> {
        let index = self.by_name.get(name)?;
        Some(&self.by_index.get(index)?.link)
    }

    /// The interface of an attachment, in any state. With a virtual MAC address it has to have that
    /// address.
    pub(super) fn attachment(&self, attachment: &Attachment) -> Option<&Link> {
        let link = self.link(&attachment.device)?;
        let is_it = attachment
            .virtual_mac
            .is_none_or(|mac| link.mac == Some(mac));
        is_it.then_some(link)
    }

    /// Returns the interface of that name if it is up, has a carrier and is no port of another one.
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

    /// The fault reason where no interface has this name.
    fn missing(&self, name: &Arc<str>) -> FaultReason {
        let links = self.by_index.values().map(|interface| &interface.link);
        let meant = links
            .filter(|link| link.alternative_names.contains(name))
            .map(|link| &link.name);
        match meant.min() {
            Some(meant) => FaultReason::AlternativeName {
                configured: Arc::clone(name),
                name: Arc::clone(meant),
            },
            None => FaultReason::InterfaceMissing(Arc::clone(name)),
        }
    }

    fn get(&self, name: &Arc<str>) -> Result<&Interface, FaultReason> {
        let interface = self
            .by_name
            .get(name)
            .and_then(|index| self.by_index.get(index))
            .ok_or_else(|| self.missing(name))?;
        if !interface.link.up {
            return Err(FaultReason::InterfaceDown(Arc::clone(name)));
        }
        if !interface.link.carrier {
            return Err(FaultReason::NoCarrier(Arc::clone(name)));
        }
        Ok(interface)
    }
}
