//! Requests of the daemon to the kernel.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;

use vrrp_node::change::{Change, Failure};
use vrrp_node::device::DeviceChange;
use vrrp_node::host::{self, OwnSources, RepairedSetting, Transaction};
use vrrp_node::mirror::{Dump, Event, Mirror};
use vrrp_node::routing;
use vrrp_proto::{Family, InterfaceAddress, InterfaceIndex, Loss};

use super::{Added, Kernel};

/// Rejected request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

fn refusal() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

impl host::Kernel for Kernel {
    type DropFilterError = Refused;

    fn dump(&mut self) -> io::Result<Dump> {
        self.dumped = true;
        Ok(self.all_in_one_attempt())
    }

    fn dump_interface(&mut self, interface: InterfaceIndex) -> io::Result<Dump> {
        self.dumped = true;
        Ok(self.one(interface))
    }

    fn change_addresses(
        &mut self,
        changes: &[Change],
        mirror: &mut Mirror,
        failures: &mut Vec<Failure>,
    ) {
        let mut reject = |change: &Change, error: io::ErrorKind| {
            mirror.refused(change);
            failures.push(Failure::new(*change, &error.into()));
        };
        for change in changes {
            if let Change::Add { address, .. } = change {
                self.rejected_in_passing.remove(address);
            }
            if self.refusing > 0 {
                self.refusing -= 1;
                if let Change::Add { address, .. } = change {
                    // It passes: its router is not in fault because of it, and requests it again.
                    self.rejected_in_passing.insert(*address);
                }
                reject(change, io::ErrorKind::OutOfMemory);
                continue;
            }
            match *change {
                Change::Add {
                    interface, address, ..
                } => {
                    let is_it = |(on, held, _): (_, _, bool)| (on, held) == (interface, address);
                    if self.forbids && !self.addresses().any(is_it) {
                        reject(change, io::ErrorKind::PermissionDenied);
                        continue;
                    }
                    if !self.interfaces.contains_key(&interface) {
                        reject(change, io::ErrorKind::OutOfMemory);
                    }
                    self.notice_trespass(interface, || change.to_string());
                    // An address that exists already is no failure.
                    let added = self.insert(interface, address, true);
                    // An IPv4 notification contains the process that asked for the change, and the
                    // daemon ignores its own.
                    if let Some(entry) = added
                        && address.family() == Family::V6
                    {
                        self.tell_added(interface, entry);
                    }
                    // With another IPv4 address of the host the daemon waits for none.
                    let lacks_hosts = |on: &super::Interface| {
                        let mut four = on.addresses.iter();
                        let is_hosts = |entry: &super::Entry| {
                            !entry.ours && entry.address.family() == Family::V4
                        };
                        on.macvlan.is_none() && !four.any(is_hosts)
                    };
                    let is_first = added.is_some_and(|entry| !entry.secondary)
                        && address.family() == Family::V4
                        && self.interfaces.get(&interface).is_some_and(lacks_hosts);
                    self.added.push(Added {
                        address,
                        refused: self.refuses(address.address),
                        is_first,
                    });
                }
                Change::Delete { interface, address } => {
                    // The daemon ignores the notification of an IPv4 deletion that it requested. It
                    // handles those of the addresses that were deleted with it.
                    let own = |gone: &InterfaceAddress| {
                        *gone == address && address.family() == Family::V4
                    };
                    let gone = self.delete(interface, address);
                    let others = gone.iter().filter(|gone| **gone != address);
                    self.taken_along.extend(others);
                    for other in gone.into_iter().filter(|gone| !own(gone)) {
                        self.tell(Event::AddressRemoved(interface, other, Loss::Unknown));
                    }
                }
            }
        }
    }

    fn limit_lifetimes(&mut self, additions: &[Change], seconds: Option<u32>) -> io::Result<()> {
        for addition in additions {
            let held = (addition.interface(), addition.address());
            match seconds {
                Some(_) => drop(self.limited.insert(held)),
                None => drop(self.limited.remove(&held)),
            }
        }
        Ok(())
    }

    fn promote_secondaries(
        &mut self,
        interface: InterfaceIndex,
        promotes: bool,
    ) -> io::Result<bool> {
        if self.promotes || !self.interfaces.contains_key(&interface) {
            return Ok(false);
        }
        if !promotes {
            return Ok(self.promoting.remove(&interface));
        }
        if self.refusing > 0 {
            self.refusing -= 1;
            // Not for ever, as a lack of permission would be.
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(self.promoting.insert(interface))
    }

    fn change_devices(
        &mut self,
        changes: &[DeviceChange],
        failed: &mut dyn FnMut(&DeviceChange, io::Error),
    ) -> io::Result<()> {
        for change in self.apply_devices(changes) {
            self.refused_devices.push(Arc::clone(change.name()));
            failed(&change, refusal());
        }
        Ok(())
    }

    fn accept_own_sources(&mut self, on: &BTreeSet<InterfaceIndex>) -> io::Result<OwnSources> {
        if self.refusing > 0 {
            self.refusing -= 1;
            return Err(refusal());
        }
        let restored = self.accepting.difference(on).copied().collect();
        self.accepting = on.clone();
        Ok(OwnSources {
            repaired: Vec::new(),
            restored,
        })
    }

    fn repair_device_settings(&mut self) -> io::Result<Vec<RepairedSetting>> {
        // No program of the simulation changes such settings.
        Ok(Vec::new())
    }

    fn open_routing(&mut self) -> io::Result<()> {
        self.hear_of_routing(true);
        Ok(())
    }

    fn dump_routing(&mut self) -> io::Result<routing::mirror::Dump> {
        Ok(self.all_routing())
    }

    fn change_routing<'c>(
        &mut self,
        changes: impl Iterator<Item = &'c routing::change::Change>,
        mirror: &mut routing::mirror::Mirror,
        failures: &mut Vec<routing::change::Failure>,
    ) {
        for change in changes {
            let done = if self.refusing > 0 {
                self.refusing -= 1;
                false
            } else {
                self.change_route_or_rule(change)
            };
            if !done {
                mirror.refused(change);
                let failure = routing::change::Failure::refused(change, &refusal(), None);
                failures.push(failure);
            }
        }
    }

    fn close_routing(&mut self) {
        self.hear_of_routing(false);
    }

    fn open_drop_rules(&mut self) -> Result<(), Refused> {
        Ok(())
    }

    fn change_drop_rules(&mut self, change: &Transaction<'_>) -> Result<(), Refused> {
        if self.refusing > 0 {
            self.refusing -= 1;
            return Err(Refused);
        }
        match (change, &mut self.table) {
            (Transaction::Replace(all), table) => *table = Some(all.iter().copied().collect()),
            (Transaction::Add(some), Some(table)) => table.extend(*some),
            (Transaction::Remove(some), Some(table)) if some.iter().all(|r| table.contains(r)) => {
                table.retain(|refusal| !some.contains(refusal));
            }
            (Transaction::Add(_), None) | (Transaction::Remove(_), _) => return Err(Refused),
        }
        Ok(())
    }

    fn delete_drop_rules(&mut self) -> Result<bool, Refused> {
        if self.refusing > 0 {
            self.refusing -= 1;
            return Err(Refused);
        }
        Ok(self.table.take().is_some())
    }
}
