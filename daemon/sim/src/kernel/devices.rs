//! Macvlans: those of the daemon and those that were created by hand.

use vrrp_node::device::DeviceChange;
use vrrp_node::mirror::Event;
use vrrp_proto::{InterfaceIndex, Link, MacAddress};

use super::{Interface, Kernel};
use crate::scenario::Meddling;

/// Properties of a macvlan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Macvlan {
    /// Interface below.
    below: InterfaceIndex,
    /// Whether the daemon created it. The tag stays with the interface through all later changes.
    ours: bool,
    /// Whether the kernel drops what it would send from it.
    blocked: bool,
    /// Whether the kernel rejected the last request to block it.
    unblockable: bool,
}

/// Hardware address of manual changes.
const STRANGE: MacAddress = MacAddress([2, 0, 0, 0, 9, 9]);

impl Kernel {
    /// Applies the daemon's changes like `Devices::apply`. Returns the rejected ones.
    pub(crate) fn apply_devices(&mut self, changes: &[DeviceChange]) -> Vec<DeviceChange> {
        let refused = |change: &&DeviceChange| !self.change_device(change);
        changes.iter().filter(refused).cloned().collect()
    }

    /// Link with this name on top of the interface on a segment.
    pub(crate) fn macvlan(&self, segment: u8, name: &str) -> Option<&Link> {
        let below = self.on(segment)?;
        let is_it = |interface: &&Interface| *interface.link.name == *name;
        self.above(below).find(is_it).map(|found| &found.link)
    }

    /// Links that the daemon created.
    pub(crate) fn devices(&self) -> impl Iterator<Item = &Link> {
        let made = |interface: &&Interface| interface.macvlan.is_some_and(|macvlan| macvlan.ours);
        self.interfaces.values().filter(made).map(|made| &made.link)
    }

    /// Changes by hand the daemon's interface with this name and hardware address on a segment, or
    /// creates one that conflicts with it.
    pub(crate) fn meddle(&mut self, segment: u8, name: &str, mac: MacAddress, how: Meddling) {
        let Some(below) = self.on(segment) else {
            return;
        };
        let known = self.macvlan(segment, name).map(|link| link.index);
        match (how, known) {
            (Meddling::Delete, Some(index)) => self.remove_interface(index),
            (Meddling::Rename, Some(index)) => {
                self.change_interface(index, |link| link.name = format!("ren{}", index.0).into());
            }
            (Meddling::Up, Some(index)) => {
                // Fails when another macvlan with this address is up.
                let _ = self.set(index, true);
            }
            (Meddling::Down, Some(index)) => {
                let _ = self.set(index, false);
            }
            (Meddling::Address, Some(index)) => {
                self.change_interface(index, |link| link.mac = Some(STRANGE));
            }
            (Meddling::TakeName, None) => {
                let index = self.make(name, below, STRANGE, false);
                let _ = self.set(index, true);
            }
            (Meddling::TakeAddress, _) => {
                let name = format!("other{}", self.next_index);
                let index = self.make(&name, below, mac, false);
                if !self.set(index, true) {
                    self.remove_interface(index);
                }
            }
            (Meddling::TakeName, Some(_))
            | (
                Meddling::Delete
                | Meddling::Rename
                | Meddling::Up
                | Meddling::Down
                | Meddling::Address,
                None,
            ) => {}
        }
    }

    /// Deletes the macvlans that were created by hand, and those of the daemon that were renamed by
    /// hand.
    pub(crate) fn remove_strange_macvlans(&mut self) {
        let is_strange = |interface: &Interface| {
            let renamed = interface.link.name.starts_with("ren");
            interface.macvlan.is_some_and(|m| !m.ours || renamed)
        };
        let all = self.interfaces.iter();
        let strange: Vec<_> = all
            .filter(|(_, i)| is_strange(i))
            .map(|(i, _)| *i)
            .collect();
        for index in strange {
            self.remove_interface(index);
        }
    }

    /// Returns the first change that the daemon made to an interface of another program.
    pub(crate) fn take_trespass(&mut self) -> Option<String> {
        self.trespassed.take()
    }

    /// Whether the kernel drops what it would send from an interface.
    pub(crate) fn is_blocked(&self, index: InterfaceIndex) -> bool {
        let macvlan = self.interfaces.get(&index).and_then(|i| i.macvlan);
        macvlan.is_some_and(|macvlan| macvlan.blocked)
    }

    /// Interface from which the kernel sends a report over MLD. `None` if it cannot send there, or sends only
    /// because it rejected the request of the daemon to block the interface.
    pub(super) fn report(&self, index: InterfaceIndex) -> Option<&Link> {
        let interface = self.interfaces.get(&index)?;
        let macvlan = interface.macvlan?;
        let sends = self.sends(index) && !macvlan.blocked && !macvlan.unblockable;
        sends.then_some(&interface.link)
    }

    /// Records a change of the daemon to a macvlan that it did not create.
    pub(super) fn notice_trespass(&mut self, index: InterfaceIndex, what: impl Fn() -> String) {
        let macvlan = self.interfaces.get(&index).and_then(|i| i.macvlan);
        if macvlan.is_some_and(|macvlan| !macvlan.ours) {
            self.trespassed.get_or_insert_with(what);
        }
    }

    pub(super) fn macvlans_on(&self, below: InterfaceIndex) -> Vec<InterfaceIndex> {
        self.above(below).map(|above| above.link.index).collect()
    }

    fn above(&self, below: InterfaceIndex) -> impl Iterator<Item = &Interface> {
        let is_above = move |interface: &&Interface| {
            let macvlan = interface.macvlan;
            macvlan.is_some_and(|macvlan| macvlan.below == below)
        };
        self.interfaces.values().filter(is_above)
    }

    /// Applies one change. Returns whether it succeeded; changes of a missing interface succeed.
    fn change_device(&mut self, change: &DeviceChange) -> bool {
        if self.refuses_request() {
            if let DeviceChange::Block { index, .. } = change {
                self.change_macvlan(*index, |macvlan| macvlan.unblockable = true);
            }
            return false;
        }
        match change {
            DeviceChange::Create {
                name,
                parent,
                mac,
                up,
            } => {
                if self.interfaces.values().any(|i| i.link.name == *name) {
                    // The notification of that interface is pending.
                    return true;
                }
                if !self.interfaces.contains_key(parent) {
                    return false;
                }
                let index = self.make(name, *parent, *mac, true);
                self.change_macvlan(index, |macvlan| macvlan.blocked = !up);
                // Creating and setting up are two requests: the second one can be rejected alone.
                !up || !self.refuses_request() && self.set(index, true)
            }
            DeviceChange::SetMac {
                index, mac, blocks, ..
            } => match self.interfaces.get(index) {
                None => true,
                Some(Interface {
                    macvlan:
                        Some(Macvlan {
                            below, ours: true, ..
                        }),
                    link,
                    ..
                }) => {
                    if link.up && self.is_busy(*below, *mac) {
                        return false;
                    }
                    if *blocks {
                        self.change_macvlan(*index, |macvlan| macvlan.blocked = true);
                    }
                    self.change_interface(*index, |link| link.mac = Some(*mac));
                    true
                }
                Some(_) => false,
            },
            DeviceChange::Set { index, up, .. } => {
                self.notice_trespass(*index, || change.to_string());
                self.set(*index, *up)
            }
            DeviceChange::Block { index, .. } | DeviceChange::Unblock { index, .. } => {
                self.notice_trespass(*index, || change.to_string());
                let blocked = matches!(change, DeviceChange::Block { .. });
                self.change_macvlan(*index, |macvlan| {
                    (macvlan.blocked, macvlan.unblockable) = (blocked, false);
                });
                true
            }
            DeviceChange::Delete { index, .. } => {
                self.notice_trespass(*index, || change.to_string());
                if self.interfaces.contains_key(index) {
                    self.remove_interface(*index);
                }
                true
            }
        }
    }

    fn change_macvlan(&mut self, index: InterfaceIndex, change: impl FnOnce(&mut Macvlan)) {
        let interface = self.interfaces.get_mut(&index);
        if let Some(macvlan) = interface.and_then(|interface| interface.macvlan.as_mut()) {
            change(macvlan);
        }
    }

    fn refuses_request(&mut self) -> bool {
        let refuses = self.refusing > 0;
        self.refusing = self.refusing.saturating_sub(1);
        refuses
    }

    fn make(
        &mut self,
        name: &str,
        below: InterfaceIndex,
        mac: MacAddress,
        ours: bool,
    ) -> InterfaceIndex {
        let index = InterfaceIndex(self.next_index);
        self.next_index += 1;
        let link = Link {
            index,
            name: name.into(),
            up: false,
            carrier: self.sends(below),
            mac: Some(mac),
            port_of: None,
            alternative_names: std::sync::Arc::default(),
        };
        let interface = Interface {
            segment: self.segment(below).unwrap_or_default(),
            link: link.clone(),
            addresses: Vec::new(),
            macvlan: Some(Macvlan {
                below,
                ours,
                blocked: false,
                unblockable: false,
            }),
        };
        self.interfaces.insert(index, interface);
        self.tell(Event::Link(link));
        index
    }

    /// Sets a macvlan up or down. Two macvlans of one interface with the same address cannot both be up
    /// (macvlan_open).
    fn set(&mut self, index: InterfaceIndex, up: bool) -> bool {
        let Some(interface) = self.interfaces.get(&index) else {
            return true;
        };
        let (is_up, mac) = (interface.link.up, interface.link.mac);
        if up
            && !is_up
            && let (Some(macvlan), Some(mac)) = (interface.macvlan, mac)
            && self.is_busy(macvlan.below, mac)
        {
            return false;
        }
        self.change_interface(index, |link| link.up = up);
        true
    }

    fn is_busy(&self, below: InterfaceIndex, mac: MacAddress) -> bool {
        let mut above = self.above(below);
        above.any(|other| other.link.up && other.link.mac == Some(mac))
    }
}
