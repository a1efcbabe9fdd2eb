//! Links and addresses of one network namespace, through rtnetlink.
//!
//! A netlink socket belongs to the namespace of the thread that opened it, also when another thread
//! uses it. Each host and segment has one socket, with a small runtime that runs only during a
//! request.

use std::future::Future;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute,
    LinkFlags, LinkMessage, MacVlanMode,
};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::{Handle, LinkBridge, LinkMacVlan, LinkUnspec, LinkVeth, new_connection};
use tokio::runtime::{Builder, Runtime};

use crate::error::{Doing, Result};
use crate::namespace::Namespaces;

/// Netlink socket of one network namespace.
#[derive(Debug)]
pub(crate) struct Netlink {
    runtime: Runtime,
    handle: Handle,
}

impl Netlink {
    pub(crate) fn open(namespaces: &Namespaces) -> Result<Self> {
        namespaces.run(|| {
            let runtime = Builder::new_current_thread()
                .enable_io()
                .build()
                .doing("creating a runtime")?;
            let handle = {
                let _inside = runtime.enter();
                let (connection, handle, _) = new_connection().doing("opening a netlink socket")?;
                runtime.spawn(connection);
                handle
            };
            Ok(Self { runtime, handle })
        })?
    }

    /// Creates a bridge that forwards at once (no STP, no forward delay) and floods multicast (no
    /// snooping); returns its index.
    pub(crate) fn add_bridge(&self, name: &str) -> Result<u32> {
        let bridge = LinkBridge::new(name)
            .stp_state(BridgeStpState::Disabled)
            .forward_delay(0)
            .mcast_snooping(false)
            .up();
        self.wait(self.handle.link().add(bridge.build()).execute())
            .doing(format!("creating the bridge {name}"))?;
        self.index_of(name)
    }

    /// Creates a veth pair: `name` here with the index `index`, `peer` in the namespace `there`.
    pub(crate) fn add_veth(
        &self,
        (name, index): (&str, u32),
        (peer, there): (&str, &Namespaces),
    ) -> Result<()> {
        let other = LinkUnspec::new_with_name(peer)
            .setns_by_fd(there.net.as_raw_fd())
            .build();
        let link = LinkVeth::new(name, peer)
            .index(index)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(other)))
            .build();
        self.wait(self.handle.link().add(link).execute())
            .doing(format!("creating the veth pair {name} - {peer}"))
    }

    /// Creates a macvlan in mode bridge with the MAC address `mac`, without an IPv6 link-local
    /// address (address generation mode `none`), and returns its index. The link is down.
    pub(crate) fn add_macvlan(&self, name: &str, parent: u32, mac: [u8; 6]) -> Result<u32> {
        let doing = format!("creating the macvlan {name}");
        let link = LinkMacVlan::new(name, parent, MacVlanMode::Bridge)
            .address(mac.to_vec())
            .build();
        self.wait(self.handle.link().add(link).execute())
            .doing(doing.as_str())?;
        let index = self.index_of(name)?;
        // A second request: the kernel accepts IPv6 attributes only for an existing link.
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let link = LinkUnspec::new_with_index(index)
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(
                vec![mode],
            )]))
            .build();
        self.wait(self.handle.link().set(link).execute())
            .doing(doing)?;
        Ok(index)
    }

    /// Sets or clears `protodown` of a link, which removes its carrier regardless of the lower
    /// link.
    pub(crate) fn set_protodown(&self, index: u32, down: bool) -> Result<()> {
        let link = LinkUnspec::new_with_index(index).protodown(down).build();
        self.wait(self.handle.link().set(link).execute())
            .doing(format!("setting protodown {down} for link {index}"))
    }

    pub(crate) fn delete_link(&self, index: u32) -> Result<()> {
        self.wait(self.handle.link().del(index).execute())
            .doing(format!("deleting link {index}"))
    }

    pub(crate) fn set_up(&self, index: u32, up: bool) -> Result<()> {
        let link = LinkUnspec::new_with_index(index);
        let link = if up { link.up() } else { link.down() };
        self.wait(self.handle.link().set(link.build()).execute())
            .doing(format!(
                "setting link {index} {}",
                if up { "up" } else { "down" }
            ))
    }

    /// Adds a link to a bridge; `None` removes it from its bridge.
    pub(crate) fn set_bridge(&self, index: u32, bridge: Option<u32>) -> Result<()> {
        let link = LinkUnspec::new_with_index(index)
            .controller(bridge.unwrap_or(0))
            .build();
        self.wait(self.handle.link().set(link).execute())
            .doing(format!("moving link {index} to bridge {bridge:?}"))
    }

    pub(crate) fn index_of(&self, name: &str) -> Result<u32> {
        let link = self.link(name)?;
        Ok(link.header.index)
    }

    /// Whether a link is up and has a carrier.
    pub(crate) fn is_running(&self, name: &str) -> Result<bool> {
        let flags = self.link(name)?.header.flags;
        Ok(flags.contains(LinkFlags::Up | LinkFlags::LowerUp))
    }

    /// Index and name of every link.
    pub(crate) fn links(&self) -> Result<Vec<(u32, String)>> {
        let links: Vec<LinkMessage> = self
            .wait(self.handle.link().get().execute().try_collect())
            .doing("listing the links")?;
        let named = |link: LinkMessage| {
            let index = link.header.index;
            link.attributes.into_iter().find_map(|attribute| {
                if let LinkAttribute::IfName(name) = attribute {
                    Some((index, name))
                } else {
                    None
                }
            })
        };
        Ok(links.into_iter().filter_map(named).collect())
    }

    pub(crate) fn mac_of(&self, name: &str) -> Result<[u8; 6]> {
        let link = self.link(name)?;
        link.attributes
            .iter()
            .find_map(|attribute| {
                if let LinkAttribute::Address(mac) = attribute {
                    mac.as_slice().try_into().ok()
                } else {
                    None
                }
            })
            .ok_or("it has no MAC address")
            .doing(format!("reading the MAC address of {name}"))
    }

    /// Adds or replaces a stale neighbour entry: the kernel uses it, and verifies it after that.
    pub(crate) fn add_neighbour(&self, index: u32, address: IpAddr, mac: [u8; 6]) -> Result<()> {
        let request = self.handle.neighbours().add(index, address);
        let request = request
            .link_layer_address(&mac)
            .state(NeighbourState::Stale);
        self.wait(request.replace().execute())
            .doing(format!("adding the neighbour {address} of link {index}"))
    }

    /// MAC address of a neighbour in the kernel's neighbour table.
    pub(crate) fn neighbour(&self, address: IpAddr) -> Result<Option<[u8; 6]>> {
        let wanted = match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        };
        let neighbours: Vec<NeighbourMessage> = self
            .wait(self.handle.neighbours().get().execute().try_collect())
            .doing("listing the neighbours")?;
        let is_wanted = |neighbour: &&NeighbourMessage| {
            let destination = NeighbourAttribute::Destination(wanted.clone());
            neighbour.attributes.contains(&destination)
        };
        let mac = |attribute: &NeighbourAttribute| {
            if let NeighbourAttribute::LinkLayerAddress(mac) = attribute {
                mac.as_slice().try_into().ok()
            } else {
                None
            }
        };
        let found = neighbours.iter().find(is_wanted);
        Ok(found.and_then(|neighbour| neighbour.attributes.iter().find_map(mac)))
    }

    /// Addresses of the interface `index`, or of all interfaces.
    pub(crate) fn addresses(&self, index: Option<u32>) -> Result<Vec<(u32, IpAddr, u8)>> {
        let messages = self.address_messages(index)?;
        Ok(messages.iter().filter_map(address_of).collect())
    }

    pub(crate) fn add_address(&self, index: u32, address: IpAddr, prefix: u8) -> Result<()> {
        self.wait(self.handle.address().add(index, address, prefix).execute())
            .doing(format!("adding {address}/{prefix}"))
    }

    pub(crate) fn delete_address(&self, index: u32, address: IpAddr) -> Result<()> {
        let doing = format!("deleting {address}");
        let wanted = |message: &AddressMessage| {
            address_of(message).is_some_and(|(_, held, _)| held == address)
        };
        let message = self
            .address_messages(Some(index))?
            .into_iter()
            .find(wanted)
            .ok_or("the interface does not have it")
            .doing(doing.as_str())?;
        self.wait(self.handle.address().del(message).execute())
            .doing(doing)
    }

    /// Deletes every address of the interface.
    pub(crate) fn flush(&self, index: u32) -> Result<()> {
        for message in self.address_messages(Some(index))? {
            // Ignored: the kernel deletes secondary addresses together with their primary.
            let _ = self.wait(self.handle.address().del(message).execute());
        }
        Ok(())
    }

    fn link(&self, name: &str) -> Result<LinkMessage> {
        let query = self.handle.link().get().match_name(name).execute();
        self.wait(async move { std::pin::pin!(query).try_next().await })
            .doing(format!("looking for {name}"))?
            .ok_or("there is no such interface")
            .doing(format!("looking for {name}"))
    }

    fn address_messages(&self, index: Option<u32>) -> Result<Vec<AddressMessage>> {
        let mut query = self.handle.address().get();
        if let Some(index) = index {
            query = query.set_link_index_filter(index);
        }
        self.wait(query.execute().try_collect())
            .doing("listing the addresses")
    }

    fn wait<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.block_on(request)
    }
}

/// Interface index, address and prefix length of an address message.
pub(crate) fn address_of(message: &AddressMessage) -> Option<(u32, IpAddr, u8)> {
    let (mut local, mut other) = (None, None);
    for attribute in &message.attributes {
        if let AddressAttribute::Local(address) = attribute {
            local = Some(*address);
        } else if let AddressAttribute::Address(address) = attribute {
            other = Some(*address);
        }
    }
    // IPv6 has no "local" attribute; on a point-to-point link "address" is the remote end.
    Some((
        message.header.index,
        local.or(other)?,
        message.header.prefix_len,
    ))
}
