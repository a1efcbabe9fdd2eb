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
    /// Restores the hardware address of an interface that the daemon created.
    SetMac {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
        /// Its hardware address.
        mac: MacAddress,
        /// Whether the interface is [blocked](Self::Block) before, so that the kernel sends nothing from the
        /// address.
        blocks: bool,
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
    /// Makes the kernel drop everything that it would send from the interface. The interface stays up: to
    /// set it down takes 20 ms.
    Block {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
    },
    /// Reverts [`Block`](Self::Block).
    Unblock {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
    },
    /// Deletes the interface.
    Delete {
        /// The interface.
        index: InterfaceIndex,
        /// Its name.
        name: Arc<str>,
    },
}

/// Time of a change within a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before advertisements are sent, so that the final advertisement of a router is the last frame from its
    /// virtual MAC address.
    BeforeAdvertisements,
    /// Before addresses are changed: addresses are added to the interface.
    BeforeAddresses,
    /// After addresses are deleted, by the device reaper.
    AfterAddresses,
}

impl DeviceChange {
    /// Name of the interface.
    pub const fn name(&self) -> &Arc<str> {
        match self {
            Self::Create { name, .. }
            | Self::SetMac { name, .. }
            | Self::Set { name, .. }
            | Self::Block { name, .. }
            | Self::Unblock { name, .. }
            | Self::Delete { name, .. } => name,
        }
    }

    /// Time of the change within a turn.
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Block { .. } => Stage::BeforeAdvertisements,
            Self::Create { .. }
            | Self::SetMac { .. }
            | Self::Unblock { .. }
            | Self::Set { up: true, .. } => Stage::BeforeAddresses,
            Self::Set { up: false, .. } | Self::Delete { .. } => Stage::AfterAddresses,
        }
    }
}

impl fmt::Display for DeviceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { name, mac, .. } => {
                write!(f, "create the macvlan {name} with the MAC address {mac}")
            }
            Self::SetMac {
                name, mac, blocks, ..
            } => {
                if *blocks {
                    write!(f, "block what the kernel sends from {name}, and ")?;
                }
                write!(f, "set the MAC address of {name} to {mac}")
            }
            Self::Set { name, up: true, .. } => write!(f, "set {name} up"),
            Self::Set { name, .. } => write!(f, "set {name} down"),
            Self::Block { name, .. } => write!(f, "block what the kernel sends from {name}"),
            Self::Unblock { name, .. } => write!(f, "unblock what the kernel sends from {name}"),
            Self::Delete { name, .. } => write!(f, "delete {name}"),
        }
    }
}

/// Returns the changes between the kernel's interface, as `mirror` shows it, and the `desired` one.
/// `is_unblocked` says whether the interface is known to be unblocked.
///
/// When its addresses are deleted, the kernel sends from an interface that is up: an MLD report 10 to 20 ms
/// later, because it leaves the solicited-node groups (RFC 3810 section 6.1), and IGMP reports of other
/// programs. So the interface is blocked before the final advertisement, and set down after it.
pub fn plan(
    desired: &DesiredDevice,
    mirror: &Mirror,
    is_unblocked: impl Fn(InterfaceIndex) -> bool,
) -> Vec<DeviceChange> {
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
    let (index, name) = (link.index, || Arc::clone(name));
    if link.mac != Some(*mac) {
        // An interface with another MAC address was created or changed by another program: it is not known
        // to be the daemon's. The event about the new MAC address leads to the next plan.
        let set_mac = DeviceChange::SetMac {
            index,
            name: name(),
            mac: *mac,
            blocks: !up && link.up,
        };
        let is_wanted = *state != DeviceState::Absent;
        return is_wanted.then_some(set_mac).into_iter().collect();
    }
    let mut changes = Vec::new();
    if up && !is_unblocked(index) {
        let name = name();
        changes.push(DeviceChange::Unblock { index, name });
    }
    if !up && link.up {
        let name = name();
        changes.push(DeviceChange::Block { index, name });
    }
    let name = name();
    if *state == DeviceState::Absent {
        changes.push(DeviceChange::Delete { index, name });
    } else if link.up != up {
        changes.push(DeviceChange::Set { index, name, up });
    }
    changes
}

/// Returns the changes that block the interfaces which a daemon created, which are up, and from which no
/// master serves. `serves` tells by the name.
pub fn idle(mirror: &Mirror, serves: impl Fn(&str) -> bool) -> Vec<DeviceChange> {
    mirror
        .links()
        .filter(|link| link.up && is_ours(link) && !serves(&link.name))
        .map(|link| DeviceChange::Block {
            index: link.index,
            name: Arc::clone(&link.name),
        })
        .collect()
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
pub(crate) fn is_ours(link: &Link) -> bool {
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

    fn planned(state: DeviceState, mirror: &Mirror, is_unblocked: bool) -> Vec<String> {
        let desired = DesiredDevice {
            name: "vrrp4.51.eth1".into(),
            parent: Some(ETH1),
            mac: mac(),
            state,
        };
        plan(&desired, mirror, |index| is_unblocked && index == OURS)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn plan_creates_missing_macvlan_and_corrects_wrong_state() {
        let create = "create the macvlan vrrp4.51.eth1 with the MAC address 00:00:5e:00:01:33";
        let set_mac = "set the MAC address of vrrp4.51.eth1 to 00:00:5e:00:01:33";
        let block = "block what the kernel sends from vrrp4.51.eth1";
        let strange = MacAddress([2, 0, 0, 0, 0, 9]);
        for (state, device, expected) in [
            (DeviceState::Down, None, vec![create]),
            (DeviceState::Up, None, vec![create]),
            (DeviceState::Absent, None, vec![]),
            (DeviceState::Down, Some((mac(), false)), vec![]),
            (
                DeviceState::Down,
                Some((mac(), true)),
                vec![block, "set vrrp4.51.eth1 down"],
            ),
            (DeviceState::Up, Some((mac(), true)), vec![]),
            (
                DeviceState::Up,
                Some((mac(), false)),
                vec!["set vrrp4.51.eth1 up"],
            ),
            (DeviceState::Up, Some((strange, false)), vec![set_mac]),
            (DeviceState::Down, Some((strange, false)), vec![set_mac]),
            (
                DeviceState::Down,
                Some((strange, true)),
                vec![&format!("{block}, and {set_mac}")],
            ),
            (
                DeviceState::Absent,
                Some((mac(), true)),
                vec![block, "delete vrrp4.51.eth1"],
            ),
            (
                DeviceState::Absent,
                Some((mac(), false)),
                vec!["delete vrrp4.51.eth1"],
            ),
            (DeviceState::Absent, Some((strange, true)), vec![]),
        ] {
            assert_eq!(
                planned(state, &mirror(device), true),
                expected,
                "{state:?} {device:?}"
            );
        }
    }

    #[test]
    fn macvlan_that_may_be_blocked_is_unblocked_before_it_serves() {
        let unblock = "unblock what the kernel sends from vrrp4.51.eth1";
        let up = "set vrrp4.51.eth1 up";
        for (state, is_up, expected) in [
            (DeviceState::Up, true, vec![unblock]),
            (DeviceState::Up, false, vec![unblock, up]),
            (DeviceState::Down, false, vec![]),
        ] {
            let mirror = mirror(Some((mac(), is_up)));
            assert_eq!(planned(state, &mirror, false), expected, "{state:?}");
        }
    }

    #[test]
    fn macvlan_without_master_is_blocked_while_up() {
        let mirror = |up| mirror(Some((mac(), up)));
        let blocked = |mirror: &Mirror, serves| {
            let idle = idle(mirror, |_| serves);
            idle.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            blocked(&mirror(true), false),
            ["block what the kernel sends from vrrp4.51.eth1"]
        );
        assert!(blocked(&mirror(true), true).is_empty());
        assert!(blocked(&mirror(false), false).is_empty());
    }

    #[test]
    fn missing_parent_interface_gives_empty_plan() {
        assert!(planned(DeviceState::Up, &Mirror::new(), true).is_empty());
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
