//! Attachments of a router: where the kernel holds its addresses.

use core::net::IpAddr;
use std::sync::Arc;

use super::Instance;
use crate::params::RouterParams;
use crate::types::{Family, InterfaceAddress, InterfaceIndex, MacAddress};

/// Attachment: the addresses of one family that a router has on one interface.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Attachment {
    /// Name of the interface.
    pub(in crate::engine) device: Arc<str>,
    pub(in crate::engine) family: Family,
    pub(in crate::engine) addresses: Arc<[InterfaceAddress]>,
    /// The virtual MAC address, if the interface is made for it. An interface of that name with
    /// another MAC address was made or changed by another program and is not used as attachment.
    pub(in crate::engine) virtual_mac: Option<MacAddress>,
    /// Index of the interface, if one of that name exists.
    pub(in crate::engine) index: Option<InterfaceIndex>,
    /// MAC address that the announcements contain.
    pub(in crate::engine) mac: Option<MacAddress>,
    /// Whether the interface was down when its addresses were announced, or has been down since:
    /// the neighbours may not have received the announcement.
    pub(in crate::engine) is_unheard: bool,
    /// Whether the last request to the kernel spared addresses that the daemon did not add.
    pub(in crate::engine) spared_foreign: bool,
}

impl Attachment {
    /// Returns the attachments for the addresses of `params`, in the order in which they first
    /// occur.
    pub(super) fn all_of(params: &RouterParams) -> Vec<Self> {
        let mut attachments: Vec<(Self, Vec<InterfaceAddress>)> = Vec::new();
        for (device, address) in params.places() {
            let family = address.family();
            let known = attachments.iter_mut().find(|(attachment, _)| {
                attachment.device == *device && attachment.family == family
            });
            match known {
                Some((_, addresses)) => addresses.push(address),
                None => {
                    let attachment = Self {
                        device: Arc::clone(device),
                        family,
                        addresses: Arc::default(),
                        virtual_mac: (params.virtual_device(family) == Some(device))
                            .then(|| MacAddress::of_virtual_router(family, params.vrid)),
                        index: None,
                        mac: None,
                        is_unheard: false,
                        spared_foreign: false,
                    };
                    attachments.push((attachment, vec![address]));
                }
            }
        }
        let attachments = attachments.into_iter();
        attachments
            .map(|(attachment, addresses)| Self {
                addresses: addresses.into(),
                ..attachment
            })
            .collect()
    }

    /// Whether both are for the same family on the same interface.
    pub(in crate::engine) fn is_same_place(&self, other: &Self) -> bool {
        (&self.device, self.family) == (&other.device, other.family)
    }
}

impl Instance {
    /// Rebuilds the attachments from the parameters and keeps the state of those that remain.
    pub(in crate::engine) fn reattach(&mut self) {
        let mut attachments = Attachment::all_of(&self.params);
        for attachment in &mut attachments {
            if let Some(known) = self
                .attachments
                .iter()
                .find(|known| known.is_same_place(attachment))
            {
                attachment.index = known.index;
                attachment.mac = known.mac;
                attachment.is_unheard = known.is_unheard;
                attachment.spared_foreign = known.spared_foreign;
            }
        }
        self.attachments = attachments;
    }

    /// Returns the virtual addresses that the router holds, with their interfaces.
    pub(in crate::engine) fn held(
        &self,
    ) -> impl Iterator<Item = (InterfaceIndex, InterfaceAddress)> + '_ {
        let attachments = self.attachments.iter();
        attachments
            .filter(|attachment| self.holds(attachment.family))
            .filter_map(|attachment| Some((attachment.index?, &attachment.addresses)))
            .flat_map(|(index, addresses)| addresses.iter().map(move |address| (index, *address)))
    }

    /// Returns the position of the attachment that carries an address, regardless of its prefix
    /// length.
    pub(in crate::engine) fn attachment_of(&self, address: IpAddr) -> Option<usize> {
        let has =
            |attachment: &Attachment| attachment.addresses.iter().any(|a| a.address == address);
        self.attachments.iter().position(has)
    }
}
