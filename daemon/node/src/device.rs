//! Planning of interfaces with virtual MAC addresses (RFC 9568 section 7.3): which macvlans to create,
//! change and delete. Pure.

use std::fmt;
use std::sync::Arc;

use vrrp_proto::params::VirtualMac;
use vrrp_proto::{DesiredDevice, DeviceState, Family, InterfaceIndex, Link, MacAddress, Vrid};

use crate::mirror::Mirror;

/// Change of an interface with a virtual MAC address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChange {
    /// Creates a macvlan.
    Create {
        /// Its name.
        name: Arc<str>,
        /// Interface below the macvlan.
        parent: InterfaceIndex,
        /// Its hardware address.
        mac: MacAddress,
        /// Whether to set it up.
        up: bool,
    },
    /// Restores the hardware address.
    SetMac {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
        /// Its hardware address.
        mac: MacAddress,
    },
    /// Sets the interface up or down.
    Set {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
        /// Whether up.
        up: bool,
    },
    /// Deletes the interface.
    Delete {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
    },
}

impl DeviceChange {
    /// Name of the interface.
    pub const fn name(&self) -> &Arc<str> {
        match self {
            Self::Create { name, .. }
            | Self::SetMac { name, .. }
            | Self::Set { name, .. }
            | Self::Delete { name, .. } => name,
        }
    }

    /// Whether the change has to be made before addresses are added. Otherwise it has to be made after
    /// addresses are deleted.
    pub const fn comes_first(&self) -> bool {
        match self {
            Self::Create { .. } | Self::SetMac { .. } => true,
            Self::Set { up, .. } => *up,
            Self::Delete { .. } => false,
        }
    }
}

impl fmt::Display for DeviceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { name, mac, .. } => {
                write!(f, "create the macvlan {name} with the MAC address {mac}")
            }
            Self::SetMac { name, mac, .. } => write!(f, "set the MAC address of {name} to {mac}"),
            Self::Set { name, up: true, .. } => write!(f, "set {name} up"),
            Self::Set { name, .. } => write!(f, "set {name} down"),
            Self::Delete { name, .. } => write!(f, "delete {name}"),
        }
    }
}

/// Returns the changes between the kernel's interface, as `mirror` shows it, and the `desired` one.
pub fn plan(desired: &DesiredDevice, mirror: &Mirror) -> Vec<DeviceChange> {
    let DesiredDevice {
        name,
        parent,
        mac,
        state,
    } = desired;
    let known = mirror.link_named(name);
    let up = *state == DeviceState::Up;
    let Some(link) = known else {
        let parent = parent.filter(|parent| mirror.link(*parent).is_some());
        let create = |parent| DeviceChange::Create {
            name: Arc::clone(name),
            parent,
            mac: *mac,
            up,
        };
        let parent = parent.filter(|_| *state != DeviceState::Absent);
        return parent.map(create).into_iter().collect();
    };
    let (index, name) = (link.index, Arc::clone(name));
    if *state == DeviceState::Absent {
        // An interface with another MAC address was created or changed by another program.
        let is_ours = link.mac == Some(*mac);
        let delete = DeviceChange::Delete { index, name };
        return is_ours.then_some(delete).into_iter().collect();
    }
    if link.mac != Some(*mac) {
        // Without its MAC address the interface is not known to be the daemon's. The event about this
        // change leads to the next plan.
        let mac = *mac;
        return vec![DeviceChange::SetMac { index, name, mac }];
    }
    let set = DeviceChange::Set { index, name, up };
    (link.up != up).then_some(set).into_iter().collect()
}

/// Returns the deletion of all interfaces that a daemon created and that are not `wanted` by name: an
/// earlier daemon left them.
pub fn strays(mirror: &Mirror, wanted: impl Fn(&str) -> bool) -> Vec<DeviceChange> {
    mirror
        .links()
        .filter(|link| is_ours(link) && !wanted(&link.name))
        .map(|link| DeviceChange::Delete {
            index: link.index,
            name: Arc::clone(&link.name),
        })
        .collect()
}

/// Whether a daemon created the interface: its name and its MAC address contain the same VRID.
fn is_ours(link: &Link) -> bool {
    let of_family = |family: Family| {
        let rest = link
            .name
            .strip_prefix(VirtualMac::PREFIXES[family as usize])?;
        let (vrid, _) = rest.split_once('.')?;
        let vrid = Vrid::new(vrid.parse().ok()?)?;
        Some(link.mac? == MacAddress::of_virtual_router(family, vrid))
    };
    Family::ALL
        .into_iter()
        .any(|family| of_family(family).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::Event;

    const ETH1: InterfaceIndex = InterfaceIndex(2);
    const OURS: InterfaceIndex = InterfaceIndex(7);

    fn mac() -> MacAddress {
        MacAddress::of_virtual_router(Family::V4, Vrid::new(51).unwrap())
    }

    fn link(index: InterfaceIndex, name: &str, mac: MacAddress, up: bool) -> Event {
        Event::Link(Link {
            index,
            name: name.into(),
            up,
            carrier: up,
            mac: Some(mac),
            port_of: None,
            alternative_names: Arc::default(),
        })
    }

    fn mirror(device: Option<(MacAddress, bool)>) -> Mirror {
        let mut mirror = Mirror::new();
        mirror.apply(link(ETH1, "eth1", MacAddress([2, 0, 0, 0, 0, 1]), true));
        if let Some((mac, up)) = device {
            mirror.apply(link(OURS, "vrrp4.51.eth1", mac, up));
        }
        mirror
    }

    fn planned(state: DeviceState, mirror: &Mirror) -> Vec<String> {
        let desired = DesiredDevice {
            name: "vrrp4.51.eth1".into(),
            parent: Some(ETH1),
            mac: mac(),
            state,
        };
        plan(&desired, mirror)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn plan_creates_missing_macvlan_and_corrects_wrong_state() {
        let create = "create the macvlan vrrp4.51.eth1 with the MAC address 00:00:5e:00:01:33";
        let set_mac = "set the MAC address of vrrp4.51.eth1 to 00:00:5e:00:01:33";
        let strange = MacAddress([2, 0, 0, 0, 0, 9]);
        for (state, device, expected) in [
            (DeviceState::Down, None, vec![create]),
            (DeviceState::Up, None, vec![create]),
            (DeviceState::Absent, None, vec![]),
            (DeviceState::Down, Some((mac(), false)), vec![]),
            (
                DeviceState::Down,
                Some((mac(), true)),
                vec!["set vrrp4.51.eth1 down"],
            ),
            (DeviceState::Up, Some((mac(), true)), vec![]),
            (
                DeviceState::Up,
                Some((mac(), false)),
                vec!["set vrrp4.51.eth1 up"],
            ),
            (DeviceState::Up, Some((strange, false)), vec![set_mac]),
            (
                DeviceState::Absent,
                Some((mac(), true)),
                vec!["delete vrrp4.51.eth1"],
            ),
            (DeviceState::Absent, Some((strange, true)), vec![]),
        ] {
            assert_eq!(
                planned(state, &mirror(device)),
                expected,
                "{state:?} {device:?}"
            );
        }
    }

    #[test]
    fn missing_parent_interface_gives_empty_plan() {
        assert!(planned(DeviceState::Up, &Mirror::new()).is_empty());
    }

    #[test]
    fn stray_macvlan_has_matching_name_and_mac() {
        let mut mirror = mirror(Some((mac(), true)));
        mirror.apply(link(InterfaceIndex(8), "vrrp4.52.eth1", mac(), true));
        mirror.apply(link(InterfaceIndex(9), "vrrp4-51", mac(), true));
        let names = |wanted: fn(&str) -> bool| {
            let strays = strays(&mirror, wanted);
            strays.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(|_| false), ["delete vrrp4.51.eth1"]);
        assert!(names(|name| name == "vrrp4.51.eth1").is_empty());
    }
}
