//! Virtual addresses that the kernel does not add, for a reason that lasts: IPv6 is off on the interface, or
//! the address is not valid there.
//!
//! A router without any of its addresses serves no client, so it leaves the mastership to another host. Time
//! alone does not end that fault, because the router would become master and fail again and again. It ends
//! with a reload, with a change of the interface, and with the first other address of the family on it.

use std::sync::Arc;

use super::Engine;
use super::instance::Instance;
use crate::reasons::FaultReason;
use crate::time::Instant;
use crate::types::{Family, InterfaceAddress, InterfaceIndex};

impl Engine {
    pub(super) fn handle_rejected(
        &mut self,
        now: Instant,
        interface: InterfaceIndex,
        address: InterfaceAddress,
        error: Option<Arc<str>>,
    ) {
        let name = self.interfaces.name(interface);
        let users = name.and_then(|name| self.users.get(name));
        let id = users.and_then(|users| users.addresses.get(&address.address));
        let Some(id) = id.copied() else { return };
        let rejected = &mut self.instances[id].rejected;
        let former = match &error {
            Some(error) => rejected.insert(address, Arc::clone(error)),
            None => rejected.remove(&address),
        };
        if former != error {
            self.refresh_router(now, id);
        }
    }

    /// Forgets the rejections of the routers that use an interface, because it has changed: in all families,
    /// or in one of them. The caller reassesses the routers.
    pub(super) fn forget_rejections(&mut self, interface: &Arc<str>, family: Option<Family>) {
        let routers = self.users.get(interface).map(|users| &users.routers);
        for id in routers.into_iter().flatten() {
            let instance = &mut self.instances[*id];
            // The daemon itself sets its macvlans up and down.
            if !instance.is_made(interface) {
                let is_gone =
                    |address: &InterfaceAddress| family.is_none_or(|f| f == address.family());
                instance.rejected.retain(|address, _| !is_gone(address));
            }
        }
    }

    /// Forgets all rejections: the configuration is new.
    pub(super) fn forget_all_rejections(&mut self) {
        for instance in &mut self.instances {
            instance.rejected.clear();
        }
    }
}

impl Instance {
    /// Returns the fault of a router none of whose addresses the kernel adds.
    pub(super) fn rejection(&self) -> Option<FaultReason> {
        let mut addresses = self.attachments.iter().flat_map(|a| a.addresses.iter());
        let is_rejected = |address: &InterfaceAddress| self.rejected.contains_key(address);
        let (address, error) = self.rejected.first_key_value()?;
        addresses
            .all(is_rejected)
            .then(|| FaultReason::AddressesRejected {
                address: *address,
                error: Arc::clone(error),
            })
    }

    /// Whether an interface is one that the daemon makes for this router.
    fn is_made(&self, interface: &Arc<str>) -> bool {
        let mut attachments = self.attachments.iter();
        attachments.any(|a| a.virtual_mac.is_some() && a.device == *interface)
    }
}
