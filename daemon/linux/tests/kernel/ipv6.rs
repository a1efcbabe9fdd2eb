//! IPv6: addresses, sockets and announcements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV6, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use vrrp_linux::announce::AnnounceSocket;
use vrrp_linux::socket::{AdvertSocket, ReceiveBatch};
use vrrp_node::host::Kernel as _;
use vrrp_proto::params::AddressForm;
use vrrp_proto::wire::{GROUP_V4, GROUP_V6, HOP_LIMIT};
use vrrp_proto::{AddressLabel, Family, MacAddress};

use crate::addresses::Node;
use crate::host::{Host, address, pair_v6};
use crate::packets::{flush, message, receive, vrids, wait};

crate::tests! {
    address_is_usable_at_once_and_marked,
    host_address_is_no_source_of_connections,
    configured_address_properties_reach_the_kernel,
    changed_prefix_replaces_the_address,
    foreign_address_changes_are_found_by_dump,
    own_address_changes_are_no_events,
    host_address_counts_after_duplicate_detection,
    duplicate_address_is_never_reported,
    interface_going_down_loses_its_addresses,
    packet_is_received_with_its_header_fields,
    only_packets_for_served_vrids_are_received,
    hop_limit_other_than_255_is_reported,
    unicast_packet_arrives_with_its_hop_limit,
    sent_packet_is_not_looped_back,
    both_families_are_received_side_by_side,
    neighbours_are_answered_while_the_address_is_there,
    neighbours_follow_an_announcement,
}

const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const VIP: &str = "2001:db8::100/64";

// --- Addresses ---------------------------------------------------------------------------------

// RFC 9568 6.4.2 MUST: join the solicited-node group of each IPv6 address
// RFC 9568 6.4.3 MUST: be a member of the solicited-node group of each IPv6 address
// RFC 9568 8.2.2 MAY: the owner leaves out duplicate address detection
fn address_is_usable_at_once_and_marked() {
    const GROUP: &str = "ff0200000000000000000001ff000100";
    let (near, _far) = pair_v6();
    let mut node = Node::start(&near);
    node.hold(&[VIP]);
    // A socket cannot bind to a tentative address.
    near.within(|| UdpSocket::bind("[2001:db8::100]:0"))
        .unwrap();
    // The kernel joins the group in a work queue (addrconf_dad_work).
    until("the host has joined the group", || {
        near.proc_net("igmp6").contains(GROUP)
    });
    let dump = node.kernel.dump().unwrap();
    let ours: Vec<_> = dump
        .addresses
        .iter()
        .filter(|(_, held)| held.ours)
        .map(|(_, held)| held.address.to_string())
        .collect();
    assert_eq!(ours, [VIP]);
    node.assert_mirror_is_right();

    node.release(&[VIP]);
    until("the host has left the group", || {
        !near.proc_net("igmp6").contains(GROUP)
    });
    assert!(
        near.within(|| UdpSocket::bind("[2001:db8::100]:0"))
            .is_err()
    );
}

fn host_address_is_no_source_of_connections() {
    let (near, _far) = pair_v6();
    let mut node = Node::start(&near);
    let source = || {
        near.within(|| {
            let socket = UdpSocket::bind("[::]:0").unwrap();
            socket.connect("[2001:db8::2]:9").unwrap();
            socket.local_addr().unwrap().ip().to_string()
        })
    };
    // The address has more bits in common with the destination than 2001:db8::1 (RFC 6724 section 5,
    // rule 8).
    node.hold(&["2001:db8::3/128"]);
    let shown = near.ip("-6 address show dev eth0");
    assert!(shown.contains("deprecated"), "{shown}");
    assert_eq!(source(), "2001:db8::1");
    let preferred = AddressForm {
        preferred_lifetime: Some(u32::MAX),
        ..AddressForm::default()
    };
    node.release(&["2001:db8::3/128"]);
    node.hold_as("2001:db8::3/128", preferred);
    assert_eq!(source(), "2001:db8::3", "preferred by configuration");
}

fn configured_address_properties_reach_the_kernel() {
    let (near, _far) = pair_v6();
    let mut node = Node::start(&near);
    let form = AddressForm {
        label: AddressLabel::new("eth0:vip"),
        scope: Some(253),
        broadcast: Some(Ipv4Addr::new(10, 9, 0, 255)),
        preferred_lifetime: Some(0),
        no_prefix_route: true,
    };
    // All addresses of a network must have the same scope.
    node.hold_as("10.9.0.9/24", form);
    let shown = near.ip("-4 -oneline address show dev eth0");
    let line = shown.lines().find(|line| line.contains("10.9.0.9/24"));
    for word in [
        "brd 10.9.0.255",
        "scope link",
        "deprecated",
        "eth0:vip",
        "valid_lft forever",
    ] {
        assert!(
            line.is_some_and(|line| line.contains(word)),
            "{word}: {shown}"
        );
    }
    let form = AddressForm {
        no_prefix_route: true,
        ..AddressForm::default()
    };
    node.hold_as("2001:db8:9::9/64", form);
    for (options, network) in [("-4", "10.9.0.0/24"), ("-6", "2001:db8:9::/64")] {
        let routes = near.ip(&format!("{options} route show table all"));
        assert!(!routes.contains(network), "{routes}");
    }
    node.release(&["2001:db8:9::9/64"]);
    // The kernel counts the lifetime down.
    let form = AddressForm {
        preferred_lifetime: Some(1),
        ..AddressForm::default()
    };
    node.hold(&["10.0.0.9/24"]);
    for text in [VIP, "10.0.0.9/24"] {
        // An address that is held already changes, too.
        node.hold_as(text, form);
        until("the address is deprecated", || {
            let shown = near.ip("-oneline address show dev eth0 deprecated");
            shown.contains(text)
        });
    }
    assert_eq!(node.all_news(), [""; 0]);
    node.assert_mirror_is_right();
}

fn changed_prefix_replaces_the_address() {
    let (near, _far) = pair_v6();
    let mut node = Node::start(&near);
    node.hold(&[VIP]);
    node.hold(&["2001:db8::100/128"]);
    let there = node.in_kernel();
    assert!(there.contains(&"2001:db8::100/128".to_owned()), "{there:?}");
    assert!(!there.contains(&VIP.to_owned()), "{there:?}");
    assert_eq!(node.all_news(), [""; 0]);
    node.assert_mirror_is_right();
}

fn foreign_address_changes_are_found_by_dump() {
    let (near, _far) = pair_v6();
    let mut node = Node::start(&near);
    node.hold(&[VIP]);
    assert_eq!(node.all_news(), [""; 0]);
    near.ip(&format!("address del {VIP} dev eth0"));
    node.wait_for(&format!("removed {VIP}"));
    node.hold(&[VIP]);
    assert_eq!(node.all_news(), [""; 0]);
    near.ip("address add 2001:db8::7/64 dev eth0 nodad");
    node.wait_for("added 2001:db8::7/64");
    node.assert_mirror_is_right();
}

fn own_address_changes_are_no_events() {
    let (near, _far) = pair_v6();
    let mut node = Node::start(&near);
    assert_eq!(node.all_news(), [""; 0]);
    let vips = [VIP, "2001:db8::101/64", "2001:db8:1::100/128"];
    for round in 0..20 {
        node.hold(&vips);
        node.release(&vips[1..]);
        if round % 3 == 0 {
            // Notifications of earlier changes are out of date and yield no event.
            assert_eq!(node.news(), [""; 0], "round {round}");
        }
        node.hold(&vips);
        node.release(&vips);
        node.hold(&vips[..1]);
    }
    assert_eq!(node.all_news(), [""; 0]);
    assert!(node.mirror.in_doubt().is_empty());
    node.assert_mirror_is_right();
}

fn host_address_counts_after_duplicate_detection() {
    let (near, _far) = pair_v6();
    let mut node = Node::start(&near);
    let added = Instant::now();
    near.ip("address add fe80::77/64 dev eth0");
    let shown = near.ip("-6 address show dev eth0 tentative");
    if shown.contains("fe80::77") {
        // The second may be over if this thread was not scheduled.
        assert!(
            !node.in_kernel().contains(&"fe80::77/64".to_owned()) || added.elapsed().as_secs() > 0
        );
    }
    node.wait_for("added fe80::77/64");
    assert!(
        !near
            .ip("-6 address show dev eth0 tentative")
            .contains("fe80::77")
    );
    node.assert_mirror_is_right();
}

fn duplicate_address_is_never_reported() {
    let (near, far) = pair_v6();
    far.ip("address add fe80::77/64 dev eth0 nodad");
    let mut node = Node::start(&near);
    near.ip("address add fe80::77/64 dev eth0");
    until("the address is found to be a duplicate", || {
        near.ip("-6 address show dev eth0 dadfailed")
            .contains("fe80::77")
    });
    assert!(!node.all_news().contains(&"added fe80::77/64".to_owned()));
    assert!(!node.in_kernel().contains(&"fe80::77/64".to_owned()));
    node.assert_mirror_is_right();
}

fn interface_going_down_loses_its_addresses() {
    let (near, _far) = pair_v6();
    let mut node = Node::start(&near);
    node.hold(&[VIP]);
    assert_eq!(node.all_news(), [""; 0]);
    near.ip("link set eth0 down");
    node.wait_for(&format!("removed {VIP}"));
    node.all_news();
    node.assert_mirror_is_right();
}

// --- Advertisements ----------------------------------------------------------------------------

fn packet_is_received_with_its_header_fields() {
    let (near, far) = pair_v6();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    sender.queue(SOURCE, GROUP_V6, HOP_LIMIT, message(51, 0));
    flush(&mut sender);
    let mut batch = ReceiveBatch::new();
    wait(&receiver);
    let packets: Vec<_> = receiver.receive(&mut batch).unwrap().collect();
    let [packet] = packets[..] else {
        panic!("{packets:?}")
    };
    assert_eq!(packet.interface, far.eth0());
    assert_eq!(packet.source, IpAddr::V6(SOURCE));
    assert_eq!(packet.destination, IpAddr::V6(GROUP_V6));
    assert_eq!(packet.hop_limit, 255);
    assert_eq!(packet.payload, &*message(51, 0));
    assert_eq!(receiver.receive(&mut batch).unwrap().count(), 0);
}

fn only_packets_for_served_vrids_are_received() {
    let (near, far) = pair_v6();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[1, 51, 254]));
    let witness = open(&far, &[255]);
    (0..=255).for_each(|vrid| sender.queue(SOURCE, GROUP_V6, HOP_LIMIT, message(vrid, 0)));
    flush(&mut sender);
    assert_eq!(receive(&witness, 1), [(255, 0)], "the last packet");
    assert_eq!(receive(&receiver, 0), [(1, 0), (51, 0), (254, 0)]);
}

fn hop_limit_other_than_255_is_reported() {
    let (near, far) = pair_v6();
    let receiver = open(&far, &[51]);
    let interface = near.eth0();
    near.within(|| {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(112))).unwrap();
        socket.set_multicast_hops_v6(64).unwrap();
        let group = SocketAddrV6::new(GROUP_V6, 0, 0, interface.0);
        socket.send_to(&message(51, 0), &group.into()).unwrap();
    });
    let mut batch = ReceiveBatch::new();
    wait(&receiver);
    let hop_limits: Vec<_> = receiver
        .receive(&mut batch)
        .unwrap()
        .map(|packet| packet.hop_limit)
        .collect();
    assert_eq!(hop_limits, [64]);
}

fn unicast_packet_arrives_with_its_hop_limit() {
    let (near, far) = pair_v6();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    let pairs = [("fe80::1", "fe80::2"), ("2001:db8::1", "2001:db8::2")];
    for (source, peer) in pairs {
        let [source, peer] = [source, peer].map(|text| text.parse::<Ipv6Addr>().unwrap());
        sender.queue(source, peer, 64, message(51, 0));
        flush(&mut sender);
        wait(&receiver);
        let mut batch = ReceiveBatch::new();
        let packets = receiver.receive(&mut batch).unwrap();
        let arrived: Vec<_> = packets
            .map(|packet| (packet.source, packet.destination, packet.hop_limit))
            .collect();
        assert_eq!(arrived, [(source.into(), peer.into(), 64)]);
    }
}

fn sent_packet_is_not_looped_back() {
    let (near, far) = pair_v6();
    let (mut sender, other) = (open(&near, &[51]), open(&near, &[51]));
    let receiver = open(&far, &[51]);
    sender.queue(SOURCE, GROUP_V6, HOP_LIMIT, message(51, 0));
    flush(&mut sender);
    assert_eq!(receive(&receiver, 1), [(51, 0)]);
    assert_eq!(receive(&sender, 0), []);
    assert_eq!(receive(&other, 0), [], "another socket of the same host");
}

fn both_families_are_received_side_by_side() {
    let (near, far) = pair_v6();
    let open = |host: &Host, family| {
        let interface = host.eth0();
        host.within(|| AdvertSocket::open(interface, family, &vrids(&[51])).unwrap())
    };
    let [mut v4, mut v6] = Family::ALL.map(|family| open(&near, family));
    let receivers = Family::ALL.map(|family| open(&far, family));
    v4.queue(
        Ipv4Addr::new(10, 0, 0, 1),
        GROUP_V4,
        HOP_LIMIT,
        message(51, 4),
    );
    v6.queue(SOURCE, GROUP_V6, HOP_LIMIT, message(51, 6));
    flush(&mut v4);
    flush(&mut v6);
    assert_eq!(
        receivers.map(|receiver| receive(&receiver, 1)),
        [[(51, 4)], [(51, 6)]]
    );
}

// --- Neighbours --------------------------------------------------------------------------------

// RFC 9568 6.4.3 MUST: answer neighbour solicitations, with the Router flag
// RFC 9568 6.4.2 MUST NOT: answer neighbour solicitations for a virtual address
fn neighbours_are_answered_while_the_address_is_there() {
    let (near, far) = pair_v6();
    near.sysctl("ipv6/conf/all/forwarding", 1);
    let mut node = Node::start(&near);
    node.hold(&[VIP]);
    call(&far);
    let mac = mac_of(&near);
    until("the address is resolved", || neighbour(&far).contains(&mac));
    assert!(neighbour(&far).contains(" router "), "{}", neighbour(&far));

    node.release(&[VIP]);
    far.ip("-6 neighbour flush dev eth0");
    call(&far);
    until("resolution fails", || neighbour(&far).contains("FAILED"));
}

// RFC 9568 6.4.2 MUST: announce each IPv6 address by an unsolicited neighbour advertisement
// RFC 9568 6.4.2 MUST: the neighbour advertisement has R and O set and S clear
// RFC 9568 8.2.4 SHOULD: take unsolicited neighbour advertisements into the neighbour cache
fn neighbours_follow_an_announcement() {
    let (near, far) = pair_v6();
    let mut node = Node::start(&near);
    node.hold(&[VIP]);
    call(&far);
    let before = mac_of(&near);
    until("the address is resolved", || {
        neighbour(&far).contains(&before)
    });
    assert!(!neighbour(&far).contains(" router "), "no forwarding");

    // Announce the address for the MAC address of another host.
    let mut socket = near.within(|| AnnounceSocket::open().unwrap());
    let after = MacAddress([2, 0, 0, 0, 0, 0x11]);
    socket.queue(near.eth0(), after, address(VIP).address);
    socket.flush(&mut Vec::new(), |_, _, error| panic!("{error}"));
    until("the neighbour cache is updated", || {
        let entry = neighbour(&far);
        entry.contains(&after.to_string()) && entry.contains(" router ")
    });
}

/// Sends a packet to the virtual address.
fn call(host: &Host) {
    host.within(|| {
        let socket = UdpSocket::bind("[::]:0").unwrap();
        socket.send_to(b"hello", "[2001:db8::100]:9").unwrap();
    });
}

/// Entry of the virtual address in the neighbour cache of `host`.
fn neighbour(host: &Host) -> String {
    host.ip("-6 neighbour show to 2001:db8::100 dev eth0")
}

fn mac_of(host: &Host) -> String {
    let text = host.ip("-oneline link show dev eth0");
    let (_, rest) = text.split_once("link/ether ").unwrap();
    rest.split(' ').next().unwrap().to_owned()
}

fn open(host: &Host, served: &[u8]) -> AdvertSocket {
    let interface = host.eth0();
    host.within(|| AdvertSocket::open(interface, Family::V6, &vrids(served)).unwrap())
}

/// Polls until a condition holds of which there is no notification.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "timeout: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
