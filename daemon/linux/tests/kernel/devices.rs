//! Interfaces with virtual MAC addresses.

use std::io::Read;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::{fs, io};

use socket2::{Domain, Protocol, Socket, Type};
use vrrp_linux::device::Devices;
use vrrp_linux::kernel::Kernel;
use vrrp_linux::request::Requests;
use vrrp_node::cleanup;
use vrrp_node::device::{DeviceChange, plan};
use vrrp_node::mirror::Mirror;
use vrrp_proto::params::VirtualMac;
use vrrp_proto::{DesiredDevice, DeviceState, Family, InterfaceIndex, MacAddress, Vrid};

use crate::host::{Host, pair, pair_v6};
use crate::ipv6::until;

crate::tests! {
    device_is_a_macvlan_with_the_virtual_mac,
    no_address_is_derived_from_the_virtual_mac,
    parent_keeps_arp_settings_until_last_device_is_deleted,
    ipv6_device_leaves_parent_arp_settings_alone,
    restarted_daemon_restores_former_arp_settings,
    former_arp_settings_survive_deletion_of_the_device,
    foreign_device_changes_are_undone,
    blocked_device_sends_nothing,
    device_of_a_backup_is_created_blocked,
    redundant_device_change_is_no_failure,
    failed_device_does_not_stop_the_next_one,
    virtual_mac_in_use_is_a_failure,
    foreign_interface_of_the_name_is_left_alone,
    cleanup_deletes_only_own_devices,
    settings_changed_by_another_program_are_repaired,
}

// --- Properties --------------------------------------------------------------------------------

// RFC 9568 7.3 MUST: it is 00-00-5E-00-01 or, for IPv6, 02 and the VRID
fn device_is_a_macvlan_with_the_virtual_mac() {
    let (near, _far) = pair();
    let mut rig = Rig::new(&near);
    for (family, name, mac) in [
        (Family::V4, "vrrp4.51.eth0", "00:00:5e:00:01:33"),
        (Family::V6, "vrrp6.51.eth0", "00:00:5e:00:02:33"),
    ] {
        rig.want(family, 51, DeviceState::Down);
        let shown = near.ip(&format!("-details link show dev {name}"));
        for part in [
            &format!("{name}@eth0: "),
            mac,
            "macvlan mode vepa",
            "addrgenmode none",
        ] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }
        let flags = shown.split(['<', '>']).nth(1).unwrap();
        assert!(!flags.split(',').any(|flag| flag == "UP"), "{shown}");
    }
}

// RFC 9568 7.4 MUST NOT: derive an interface identifier from the virtual router MAC address
fn no_address_is_derived_from_the_virtual_mac() {
    let (near, far) = pair_v6();
    near.ip("link set eth0 addrgenmode eui64");
    let mut rig = Rig::new(&near);
    for family in Family::ALL {
        rig.want(family, 51, DeviceState::Up);
    }
    // The carrier's notification makes the kernel configure addresses.
    for name in ["vrrp4.51.eth0", "vrrp6.51.eth0"] {
        until("the device has a carrier", || {
            near.ip(&format!("link show dev {name}"))
                .contains("LOWER_UP")
        });
    }
    until("the parent has an address of the prefix", || {
        advertise_prefix(&far);
        near.ip("-6 address show dev eth0")
            .contains("2001:db8:9:0:")
    });
    for name in ["vrrp4.51.eth0", "vrrp6.51.eth0"] {
        let shown = near.ip(&format!("-oneline address show dev {name}"));
        assert_eq!(shown, "");
    }
}

// --- Parent interface --------------------------------------------------------------------------

// RFC 9568 8.1.2 SHOULD NOT: send ARP of the physical MAC address for an owned address
fn parent_keeps_arp_settings_until_last_device_is_deleted() {
    for former in [[0, 0], [8, 1], [2, 2], [1, 2]] {
        let (near, _far) = pair();
        set_arp(&near, former);
        let mut rig = Rig::new(&near);
        rig.want(Family::V4, 51, DeviceState::Down);
        assert_eq!(arp(&near), [1, 2]);
        rig.want(Family::V4, 52, DeviceState::Up);
        rig.want(Family::V6, 51, DeviceState::Down);
        rig.want(Family::V4, 51, DeviceState::Absent);
        assert_eq!(arp(&near), [1, 2], "another device is left");
        rig.want(Family::V4, 52, DeviceState::Absent);
        assert_eq!(arp(&near), former, "only an IPv6 device is left");
        rig.want(Family::V6, 51, DeviceState::Absent);
        assert_eq!(arp(&near), former);
    }
}

fn ipv6_device_leaves_parent_arp_settings_alone() {
    let (near, _far) = pair();
    set_arp(&near, [2, 1]);
    let mut rig = Rig::new(&near);
    rig.want(Family::V6, 51, DeviceState::Up);
    assert_eq!(arp(&near), [2, 1]);
    rig.want(Family::V6, 51, DeviceState::Absent);
    assert_eq!(arp(&near), [2, 1]);
}

fn restarted_daemon_restores_former_arp_settings() {
    let (near, _far) = pair();
    set_arp(&near, [8, 1]);
    Rig::new(&near).want(Family::V4, 51, DeviceState::Up);
    let mut after = Rig::new(&near);
    // The former settings are known only from the tag of the first device.
    after.want(Family::V4, 52, DeviceState::Down);
    after.want(Family::V4, 51, DeviceState::Absent);
    assert_eq!(arp(&near), [1, 2]);
    Rig::new(&near).want(Family::V4, 52, DeviceState::Absent);
    assert_eq!(arp(&near), [8, 1]);
}

fn former_arp_settings_survive_deletion_of_the_device() {
    let (near, _far) = pair();
    set_arp(&near, [8, 1]);
    let mut rig = Rig::new(&near);
    rig.want(Family::V4, 51, DeviceState::Up);
    near.ip("link delete vrrp4.51.eth0");
    rig.want(Family::V4, 51, DeviceState::Up);
    assert_eq!(arp(&near), [1, 2]);
    rig.want(Family::V4, 51, DeviceState::Absent);
    assert_eq!(arp(&near), [8, 1]);
}

// --- Changes -----------------------------------------------------------------------------------

fn foreign_device_changes_are_undone() {
    let (near, _far) = pair();
    let mut rig = Rig::new(&near);
    rig.want(Family::V4, 51, DeviceState::Up);
    near.ip("link set vrrp4.51.eth0 address 02:00:00:00:00:09");
    near.ip("link set vrrp4.51.eth0 down");
    assert_eq!(
        rig.want(Family::V4, 51, DeviceState::Up),
        ["set the MAC address of vrrp4.51.eth0 to 00:00:5e:00:01:33"]
    );
    assert_eq!(
        rig.want(Family::V4, 51, DeviceState::Up),
        ["set vrrp4.51.eth0 up"]
    );
    assert_eq!(rig.want(Family::V4, 51, DeviceState::Up), [""; 0]);
    // The address is restored while the device is up, too.
    near.ip("link set vrrp4.51.eth0 address 02:00:00:00:00:09");
    assert_eq!(
        rig.want(Family::V4, 51, DeviceState::Up),
        ["set the MAC address of vrrp4.51.eth0 to 00:00:5e:00:01:33"]
    );
    assert_eq!(rig.want(Family::V4, 51, DeviceState::Up), [""; 0]);
    assert_eq!(
        rig.want(Family::V4, 51, DeviceState::Down),
        [
            "block what the kernel sends from vrrp4.51.eth0",
            "set vrrp4.51.eth0 down"
        ]
    );
    assert_eq!(rig.want(Family::V4, 51, DeviceState::Down), [""; 0]);
}

fn blocked_device_sends_nothing() {
    let (near, far) = pair_v6();
    let mut rig = Rig::new(&near);
    let mut sent = Sent::to(&far);
    let [silent, other] = [51, 52];
    for vrid in [silent, other] {
        rig.want(Family::V6, vrid, DeviceState::Up);
        let name = device(vrid);
        near.ip(&format!("address add fe80::{vrid}/64 dev {name} nodad"));
        sent.wait_for(vrid);
    }
    let (index, name) = (rig.index(silent), device(silent).into());
    let block = DeviceChange::Block { index, name };
    for _ in 0..2 {
        assert_eq!(rig.apply(std::slice::from_ref(&block)), []);
    }
    sent.forget();
    // The kernel reports over MLD that it has left the solicited-node group: for the other device, whose
    // address is deleted later, too.
    for vrid in [silent, other] {
        near.ip(&format!("address del fe80::{vrid}/64 dev {}", device(vrid)));
    }
    sent.wait_for(other);
    near.ip(&format!(
        "address add fe80::{silent}/64 dev {} nodad",
        device(silent)
    ));
    near.ip(&format!(
        "address add fe80::{other}/64 dev {} nodad",
        device(other)
    ));
    sent.forget_other_than(silent);
    sent.wait_for(other);
    assert_eq!(sent.by(silent), 0);
    // Unblocked, it sends again.
    let (index, name) = (rig.index(silent), device(silent).into());
    let unblock = DeviceChange::Unblock { index, name };
    for _ in 0..2 {
        assert_eq!(rig.apply(std::slice::from_ref(&unblock)), []);
    }
    near.ip(&format!(
        "address del fe80::{silent}/64 dev {}",
        device(silent)
    ));
    sent.wait_for(silent);
}

fn device_of_a_backup_is_created_blocked() {
    let (near, _far) = pair();
    let mut rig = Rig::new(&near);
    let shown = || near.ip(&format!("link show dev {}", device(51)));
    rig.want(Family::V6, 51, DeviceState::Down);
    assert!(shown().contains(" qdisc blackhole "), "{}", shown());
    rig.want(Family::V6, 51, DeviceState::Up);
    assert!(shown().contains(" qdisc noqueue "), "{}", shown());
    let down = rig.planned(Family::V6, 51, DeviceState::Down);
    assert_eq!(rig.apply(&down), []);
    assert!(shown().contains(" qdisc blackhole "), "{}", shown());
    rig.want(Family::V6, 51, DeviceState::Absent);
    rig.want(Family::V6, 51, DeviceState::Up);
    assert!(shown().contains(" qdisc noqueue "), "{}", shown());
}

fn redundant_device_change_is_no_failure() {
    let (near, _far) = pair();
    let mut rig = Rig::new(&near);
    let create = rig.planned(Family::V4, 51, DeviceState::Up);
    for _ in 0..2 {
        assert_eq!(rig.apply(&create), []);
    }
    assert_eq!(rig.want(Family::V4, 51, DeviceState::Up), [""; 0]);
    let mut changes = rig.planned(Family::V4, 51, DeviceState::Down);
    changes.extend(rig.planned(Family::V4, 51, DeviceState::Absent));
    let [
        DeviceChange::Block { .. },
        DeviceChange::Set { .. },
        DeviceChange::Block { .. },
        DeviceChange::Delete { .. },
    ] = changes[..]
    else {
        panic!("{changes:?}")
    };
    for _ in 0..2 {
        assert_eq!(rig.apply(&changes), []);
        assert_eq!(arp(&near), [0, 0]);
    }
    assert_eq!(rig.want(Family::V4, 51, DeviceState::Absent), [""; 0]);
}

fn failed_device_does_not_stop_the_next_one() {
    let (near, _far) = pair();
    let mut rig = Rig::new(&near);
    let nowhere = DeviceChange::Create {
        name: "vrrp4.51.eth7".into(),
        parent: InterfaceIndex(9999),
        mac: mac(Family::V4, 51),
        up: true,
    };
    let mut changes = vec![nowhere];
    changes.extend(rig.planned(Family::V4, 52, DeviceState::Down));
    let failures = rig.apply(&changes);
    assert_eq!(failures, [("vrrp4.51.eth7".into(), Some(libc::ENODEV))]);
    assert_eq!(rig.want(Family::V4, 52, DeviceState::Down), [""; 0]);
}

fn virtual_mac_in_use_is_a_failure() {
    let (near, _far) = pair();
    near.ip("link add link eth0 name vrrp.51 address 00:00:5e:00:01:33 type macvlan");
    near.ip("link set vrrp.51 up");
    let mut rig = Rig::new(&near);
    rig.want(Family::V4, 51, DeviceState::Down);
    let up = rig.planned(Family::V4, 51, DeviceState::Up);
    let refused = [("vrrp4.51.eth0".into(), Some(libc::EADDRINUSE))];
    assert_eq!(rig.apply(&up), refused);
    near.ip("link set vrrp.51 down");
    assert_eq!(rig.apply(&up), []);
}

fn foreign_interface_of_the_name_is_left_alone() {
    let (near, _far) = pair();
    near.ip("link add link eth0 name vrrp4.51.eth0 address 02:00:00:00:00:09 type macvlan");
    let mut rig = Rig::new(&near);
    let before = near.ip("link show dev vrrp4.51.eth0");
    for state in [DeviceState::Down, DeviceState::Up] {
        let changes = rig.planned(Family::V4, 51, state);
        let refused = [("vrrp4.51.eth0".into(), Some(libc::EEXIST))];
        assert_eq!(rig.apply(&changes), refused);
    }
    assert_eq!(rig.want(Family::V4, 51, DeviceState::Absent), [""; 0]);
    assert_eq!(near.ip("link show dev vrrp4.51.eth0"), before);
}

fn cleanup_deletes_only_own_devices() {
    const STRANGERS: [&str; 4] = ["vrrp.51", "vrrp4.51", "vrrp4.51.x", "macvlan0"];
    let (near, _far) = pair();
    set_arp(&near, [8, 1]);
    for (name, last) in STRANGERS.into_iter().zip(["33", "34", "35", "36"]) {
        let mac = format!("00:00:5e:00:01:{last}");
        near.ip(&format!(
            "link add link eth0 name {name} address {mac} type macvlan"
        ));
    }
    let mut rig = Rig::new(&near);
    rig.want(Family::V4, 60, DeviceState::Up);
    rig.want(Family::V6, 60, DeviceState::Down);
    let names = |names: &[&str]| -> Vec<Arc<str>> { names.iter().map(|n| (*n).into()).collect() };
    let cleaned = near.within(|| cleanup::addresses(|| [], &mut Kernel::open().unwrap()).unwrap());
    assert_eq!(cleaned.devices, names(&["vrrp4.60.eth0", "vrrp6.60.eth0"]));
    assert!(cleaned.stubborn.is_empty(), "{cleaned:?}");
    assert_eq!(arp(&near), [8, 1]);
    for stranger in STRANGERS {
        near.ip(&format!("link show dev {stranger}"));
    }
    let again = near.within(|| cleanup::addresses(|| [], &mut Kernel::open().unwrap()).unwrap());
    assert_eq!(again.devices, names(&[]));
}

fn settings_changed_by_another_program_are_repaired() {
    let (near, _far) = pair();
    near.ip("link add eth1 type bridge");
    let mut rig = Rig::new(&near);
    let repaired = |rig: &mut Rig<'_>| {
        let all = near.within(|| rig.devices.repair_settings().unwrap());
        let all = all.into_iter();
        all.map(|each| (each.name, each.was, each.is))
            .collect::<Vec<_>>()
    };
    set_arp(&near, [0, 1]);
    rig.want(Family::V6, 51, DeviceState::Down);
    assert_eq!(repaired(&mut rig), [], "the parent is not concerned");
    rig.want(Family::V4, 51, DeviceState::Up);
    assert_eq!(repaired(&mut rig), []);
    set_arp(&near, [0, 0]);
    near.sysctl("ipv4/conf/vrrp4.51.eth0/rp_filter", 1);
    near.sysctl("ipv4/conf/vrrp6.51.eth0/accept_local", 0);
    near.sysctl("ipv4/conf/eth1/arp_ignore", 2);
    let mut all = repaired(&mut rig);
    all.sort_unstable();
    assert_eq!(
        all,
        [
            ("accept_local", 0, 1),
            ("arp_announce", 0, 2),
            ("arp_ignore", 0, 1),
            ("rp_filter", 1, 2),
        ]
    );
    assert_eq!(arp(&near), [1, 2]);
    assert_eq!(repaired(&mut rig), []);
    rig.want(Family::V4, 51, DeviceState::Absent);
    assert_eq!(arp(&near), [0, 1], "as before the first device");
    assert_eq!(repaired(&mut rig), []);
}

/// Plans and applies changes of devices on a host, as the daemon does.
struct Rig<'h> {
    host: &'h Host,
    devices: Devices,
}

impl<'h> Rig<'h> {
    fn new(host: &'h Host) -> Self {
        let devices = host.within(|| Devices::open().unwrap());
        Self { host, devices }
    }

    /// Brings the device of a router on `eth0` to the wanted state. Returns the changes.
    fn want(&mut self, family: Family, vrid: u8, state: DeviceState) -> Vec<String> {
        let changes = self.planned(family, vrid, state);
        assert_eq!(self.apply(&changes), []);
        changes.iter().map(ToString::to_string).collect()
    }

    /// Plans the changes, from a new dump.
    fn planned(&self, family: Family, vrid: u8, state: DeviceState) -> Vec<DeviceChange> {
        let names = VirtualMac::new("eth0", self::vrid(vrid), true).devices;
        let desired = DesiredDevice {
            name: Arc::clone(&names[family as usize]),
            parent: Some(self.host.eth0()),
            mac: mac(family, vrid),
            state,
        };
        let mut mirror = Mirror::new();
        let dump = self
            .host
            .within(|| Requests::open().unwrap().dump().unwrap());
        mirror.replace(dump);
        // The daemon remembers it; the kernel shows it by name only.
        let show = || self.host.ip(&format!("link show dev {}", desired.name));
        plan(&desired, &mirror, |_| !show().contains(" qdisc blackhole "))
    }

    /// Index of the device for IPv6.
    fn index(&self, vrid: u8) -> InterfaceIndex {
        let name = device(vrid);
        let index = || nix::net::if_::if_nametoindex(&*name).unwrap();
        InterfaceIndex(self.host.within(index))
    }

    /// Applies changes. Returns the failures: the interface's name and the errno.
    fn apply(&mut self, changes: &[DeviceChange]) -> Vec<(Arc<str>, Option<i32>)> {
        let mut failures = Vec::new();
        let devices = &mut self.devices;
        let failed = |change: &DeviceChange, error: io::Error| {
            failures.push((Arc::clone(change.name()), error.raw_os_error()));
        };
        self.host.within(|| devices.apply(changes, failed));
        failures
    }
}

/// Frames that a host receives from the virtual MAC addresses of IPv6.
struct Sent {
    socket: Socket,
    vrids: Vec<u8>,
}

impl Sent {
    fn to(host: &Host) -> Self {
        let all = i32::from(0x0003_u16.to_be());
        let kind = Type::RAW.nonblocking();
        let open = || Socket::new(Domain::PACKET, kind, Some(Protocol::from(all))).unwrap();
        Self {
            socket: host.within(open),
            vrids: Vec::new(),
        }
    }

    /// Number of frames from the virtual MAC address of a router.
    fn by(&mut self, vrid: u8) -> usize {
        let mut frame = [0; 2048];
        while let Ok(len) = self.socket.read(&mut frame) {
            if let [0, 0, 0x5e, 0, 2, vrid] = frame[6..12]
                && len > 12
            {
                self.vrids.push(vrid);
            }
        }
        self.vrids.iter().filter(|by| **by == vrid).count()
    }

    fn wait_for(&mut self, vrid: u8) {
        until("a frame of the device", || self.by(vrid) > 0);
    }

    fn forget(&mut self) {
        let _ = self.by(0);
        self.vrids.clear();
    }

    fn forget_other_than(&mut self, vrid: u8) {
        let _ = self.by(vrid);
        self.vrids.retain(|by| *by == vrid);
    }
}

fn device(vrid: u8) -> String {
    format!("vrrp6.{vrid}.eth0")
}

fn vrid(number: u8) -> Vrid {
    Vrid::new(number).unwrap()
}

fn mac(family: Family, vrid: u8) -> MacAddress {
    MacAddress::of_virtual_router(family, self::vrid(vrid))
}

/// `arp_ignore` and `arp_announce` of `eth0`.
fn arp(host: &Host) -> [u8; 2] {
    ["arp_ignore", "arp_announce"].map(|name| {
        let path = format!("/proc/sys/net/ipv4/conf/eth0/{name}");
        let value = host.within(|| fs::read_to_string(path).unwrap());
        value.trim().parse().unwrap()
    })
}

fn set_arp(host: &Host, [ignore, announce]: [u8; 2]) {
    host.sysctl("ipv4/conf/eth0/arp_ignore", ignore);
    host.sysctl("ipv4/conf/eth0/arp_announce", announce);
}

/// Sends a router advertisement from which hosts configure addresses in 2001:db8:9::/64 (RFC 4861
/// section 4.2).
fn advertise_prefix(host: &Host) {
    const LIFETIME: [u8; 4] = [0, 0, 0x0e, 0x10];
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let prefix = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 0);
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    message.extend([3, 4, 64, 0xc0]);
    message.extend([LIFETIME, LIFETIME, [0; 4]].concat());
    message.extend(prefix.octets());
    let interface = host.eth0();
    host.within(|| {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).unwrap();
        socket.set_multicast_hops_v6(255).unwrap();
        let to = SocketAddrV6::new(all_nodes, 0, 0, interface.0);
        socket.send_to(&message, &to.into()).unwrap();
    });
}
