//! Interfaces with virtual MAC addresses (RFC 9568 section 7.3): which macvlans have to be made,
//! changed and deleted. Pure.

use std::fmt;
use std::sync::Arc;

use vrrp_proto::params::VirtualMac;
use vrrp_proto::{DesiredDevice, DeviceState, Family, InterfaceIndex, Link, MacAddress, Vrid};

use crate::mirror::Mirror;

/// One change of the interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChange {
    /// A macvlan comes into being.
    Create {
        /// Its name.
        name: Arc<str>,
        /// The interface that it is on top of.
        parent: InterfaceIndex,
        /// Its hardware address.
        mac: MacAddress,
        /// Whether it is up.
        up: bool,
    },
    /// It gets its hardware address back.
    SetMac {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
        /// Its hardware address.
        mac: MacAddress,
    },
    /// It is set up or down.
    Set {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
        /// Whether up.
        up: bool,
    },
    /// It goes.
    Delete {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
    },
}

impl DeviceChange {
    /// The name of the interface.
    pub const fn name(&self) -> &Arc<str> {
        match self {
            Self::Create { name, .. }
            | Self::SetMac { name, .. }
            | Self::Set { name, .. }
            | Self::Delete { name, .. } => name,
        }
    }

    /// Whether it has to be done before addresses are added, and not after others are gone.
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
                write!(f, "make the macvlan {name} with the address {mac}")
            }
            Self::SetMac { name, mac, .. } => write!(f, "give {name} the address {mac}"),
            Self::Set { name, up: true, .. } => write!(f, "set {name} up"),
            Self::Set { name, .. } => write!(f, "set {name} down"),
            Self::Delete { name, .. } => write!(f, "delete {name}"),
        }
    }
}

/// The changes that make the kernel have an interface as is `desired`, of what `mirror` shows.
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
        // One with another address was made by another program, or was changed by one.
        let is_ours = link.mac == Some(*mac);
        let delete = DeviceChange::Delete { index, name };
        return is_ours.then_some(delete).into_iter().collect();
    }
    if link.mac != Some(*mac) {
        // Only when it has that it is known to be ours, and what is said then leads here again.
        let mac = *mac;
        return vec![DeviceChange::SetMac { index, name, mac }];
    }
    let set = DeviceChange::Set { index, name, up };
    (link.up != up).then_some(set).into_iter().collect()
}

/// The removal of all interfaces of ours whose names are not `wanted`: what an earlier daemon left.
///
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

/// Whether an interface is one that a daemon made: its name and its address say the same VRID.
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
    fn what_is_missing_is_made_and_what_is_wrong_is_mended() {
        let make = "make the macvlan vrrp4.51.eth1 with the address 00:00:5e:00:01:33";
        let give = "give vrrp4.51.eth1 the address 00:00:5e:00:01:33";
        let strange = MacAddress([2, 0, 0, 0, 0, 9]);
        for (state, device, expected) in [
            (DeviceState::Down, None, vec![make]),
            (DeviceState::Up, None, vec![make]),
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
            (DeviceState::Up, Some((strange, false)), vec![give]),
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
    fn without_the_interface_below_there_is_nothing_to_make() {
        assert!(planned(DeviceState::Up, &Mirror::new()).is_empty());
    }

    #[test]
    fn only_what_is_named_and_addressed_as_ours_is_a_stray() {
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
