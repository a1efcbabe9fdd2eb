//! Advertisements and announcements.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp_linux::announce::AnnounceSocket;
use vrrp_linux::clock;
use vrrp_linux::socket::{AdvertSocket, ReceiveBatch};
use vrrp_node::listeners::VridSet;
use vrrp_proto::wire::{GROUP_V4, HOP_LIMIT, arp};
use vrrp_proto::{Family, InterfaceIndex, MacAddress, Vrid};

use crate::host::{Host, pair};

crate::tests! {
    packet_is_received_with_its_header_fields,
    packet_has_arrival_time_despite_late_read,
    only_packets_for_served_vrids_are_received,
    overflow_counts_lost_but_not_filtered_packets,
    sent_packet_is_not_looped_back,
    ttl_other_than_255_is_reported,
    unicast_packet_reaches_only_the_peer_with_its_ttl,
    hundreds_of_messages_arrive_in_order,
    each_rejected_message_is_reported,
    socket_survives_interface_rename,
    socket_receives_only_from_its_interface,
    announcements_reach_the_neighbour,
    rejected_announcement_does_not_stop_the_next_one,
    advertisement_is_sent_from_a_deleted_address,
}

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn packet_is_received_with_its_header_fields() {
    let (near, far) = pair();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(51, 0));
    flush(&mut sender);
    let mut batch = ReceiveBatch::new();
    wait(&receiver);
    let packets: Vec<_> = receiver.receive(&mut batch).unwrap().collect();
    let [packet] = packets[..] else {
        panic!("{packets:?}")
    };
    assert_eq!(packet.interface, far.eth0());
    assert_eq!(packet.source, IpAddr::V4(SOURCE));
    assert_eq!(packet.destination, IpAddr::V4(GROUP_V4));
    assert_eq!(packet.hop_limit, 255);
    assert_eq!(packet.payload, &*message(51, 0));
    assert_eq!(receiver.receive(&mut batch).unwrap().count(), 0);
}

fn packet_has_arrival_time_despite_late_read() {
    let (near, far) = pair();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    // The two clocks are not read at exactly the same moment.
    let slack = Duration::from_millis(10);
    let mut is_stamped = || {
        let sent = clock::now();
        sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(51, 0));
        flush(&mut sender);
        wait(&receiver);
        let arrived = clock::now();
        // Delay of the reader, which must not count.
        std::thread::sleep(Duration::from_millis(50));
        let mut batch = ReceiveBatch::new();
        let packets: Vec<_> = receiver.receive(&mut batch).unwrap().collect();
        assert!(packets[0].at + slack >= sent, "{packets:?} after {sent:?}");
        packets[0].at <= arrived + slack
    };
    // The kernel begins to stamp packets some time after the first socket asked for it
    // (net_enable_timestamp).
    assert!((0..100).any(|_| is_stamped()), "never stamped");
    assert!((0..5).all(|_| is_stamped()), "not always stamped");
}

fn only_packets_for_served_vrids_are_received() {
    let (near, far) = pair();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[1, 51, 254]));
    let witness = open(&far, &[255]);
    let mut send_all = || {
        (0..=255).for_each(|vrid| sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(vrid, 0)));
        flush(&mut sender);
        // This packet is the last one.
        assert_eq!(receive(&witness, 1), [(255, 0)]);
    };
    send_all();
    assert_eq!(receive(&receiver, 0), [(1, 0), (51, 0), (254, 0)]);
    receiver.set_filter(&vrids(&[52])).unwrap();
    send_all();
    assert_eq!(receive(&receiver, 0), [(52, 0)]);
    receiver.set_filter(&VridSet::default()).unwrap();
    send_all();
    assert_eq!(receive(&receiver, 0), []);
}

fn overflow_counts_lost_but_not_filtered_packets() {
    let (near, far) = pair();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    let mut send = |vrid, count| {
        for _ in 0..count {
            sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(vrid, 0));
        }
        flush(&mut sender);
    };
    send(52, 20_000);
    send(51, 1);
    assert_eq!(receive(&receiver, 1), [(51, 0)]);
    assert_eq!(receiver.lost().unwrap(), 0);
    // Send until the receive buffer is full: kernels account for a packet differently.
    let mut sent = 0;
    while receiver.lost().unwrap() == 0 {
        assert!(sent < 1_000_000, "no packet of {sent} was lost");
        send(51, 1000);
        sent += 1000;
    }
    assert_eq!(
        receive(&receiver, 1).len() + usize::try_from(receiver.lost().unwrap()).unwrap(),
        sent
    );
}

fn sent_packet_is_not_looped_back() {
    let (near, far) = pair();
    let (mut sender, other) = (open(&near, &[51]), open(&near, &[51]));
    let receiver = open(&far, &[51]);
    sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(51, 0));
    flush(&mut sender);
    assert_eq!(receive(&receiver, 1), [(51, 0)]);
    assert_eq!(receive(&sender, 0), []);
    assert_eq!(receive(&other, 0), [], "another socket of the same host");
}

fn ttl_other_than_255_is_reported() {
    let (near, far) = pair();
    let receiver = open(&far, &[51]);
    near.within(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112))).unwrap();
        socket.set_multicast_ttl_v4(64).unwrap();
        socket.set_multicast_if_v4(&SOURCE).unwrap();
        let group = SocketAddrV4::new(GROUP_V4, 0);
        socket.send_to(&message(51, 0), &group.into()).unwrap();
    });
    let mut batch = ReceiveBatch::new();
    wait(&receiver);
    let hop_limits: Vec<_> = receiver
        .receive(&mut batch)
        .unwrap()
        .map(|p| p.hop_limit)
        .collect();
    assert_eq!(hop_limits, [64]);
}

fn unicast_packet_reaches_only_the_peer_with_its_ttl() {
    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
    let (near, far) = pair();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    // One batch may have several destinations.
    for (to, ttl, number) in [(NOBODY, 255, 1), (PEER, 64, 2), (GROUP_V4, HOP_LIMIT, 3)] {
        sender.queue(SOURCE, to, ttl, message(51, number));
    }
    flush(&mut sender);
    let mut arrived = Vec::new();
    let mut batch = ReceiveBatch::new();
    while arrived.len() < 2 {
        wait(&receiver);
        let packets = receiver.receive(&mut batch).unwrap();
        arrived.extend(packets.map(|p| (p.destination, p.hop_limit, p.payload[7])));
    }
    // The packet to the peer waits for address resolution, so the order is undefined.
    arrived.sort_by_key(|(_, _, number)| *number);
    assert_eq!(arrived, [(PEER.into(), 64, 2), (GROUP_V4.into(), 255, 3)]);
}

fn hundreds_of_messages_arrive_in_order() {
    let (near, far) = pair();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    for round in 0..3 {
        let numbers: Vec<_> = (0..=200).map(|number| (51, number + round)).collect();
        for (vrid, number) in &numbers {
            sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(*vrid, *number));
        }
        flush(&mut sender);
        assert_eq!(receive(&receiver, numbers.len()), numbers);
    }
}

fn each_rejected_message_is_reported() {
    let (near, far) = pair();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    let too_long: Arc<[u8]> = [&*message(51, 0), &[0; 70_000]].concat().into();
    for message in [message(51, 1), too_long, message(51, 2)] {
        sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message);
    }
    let failures = failures(&mut sender);
    assert_eq!(failures, [(IpAddr::V4(SOURCE), Some(libc::EMSGSIZE))]);
    assert_eq!(receive(&receiver, 2), [(51, 1), (51, 2)]);

    near.ip("link set eth0 down");
    (0..100).for_each(|number| sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(51, number)));
    let unreachable = (IpAddr::V4(SOURCE), Some(libc::ENETUNREACH));
    assert_eq!(self::failures(&mut sender), [unreachable].repeat(100));
    assert_eq!(self::failures(&mut sender), [], "queued twice");
}

fn socket_survives_interface_rename() {
    let (near, far) = pair();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    near.ip("link set eth0 name wan");
    far.ip("link set eth0 name wan");
    sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(51, 0));
    flush(&mut sender);
    assert_eq!(receive(&receiver, 1), [(51, 0)]);
}

fn socket_receives_only_from_its_interface() {
    let (near, far) = pair();
    far.ip("link add eth1 type veth peer name eth2");
    far.ip("link set eth1 up");
    let other = far.within(|| nix::net::if_::if_nametoindex("eth1").unwrap());
    let elsewhere = far
        .within(|| AdvertSocket::open(InterfaceIndex(other), Family::V4, &vrids(&[51])))
        .unwrap();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(51, 0));
    flush(&mut sender);
    assert_eq!(receive(&receiver, 1), [(51, 0)]);
    assert_eq!(receive(&elsewhere, 0), []);

    let missing =
        far.within(|| AdvertSocket::open(InterfaceIndex(9999), Family::V4, &vrids(&[51])));
    assert_eq!(missing.unwrap_err().raw_os_error(), Some(libc::ENODEV));
}

fn announcements_reach_the_neighbour() {
    let (near, far) = pair();
    let neighbour = packet_socket(&far);
    let mut socket = near.within(|| AnnounceSocket::open().unwrap());
    let mac = MacAddress([2, 0, 0, 0, 0, 0x11]);
    let addresses: Vec<_> = (0..150).map(|n| Ipv4Addr::new(10, 0, 1, n)).collect();
    for address in &addresses {
        socket.queue(near.eth0(), mac, *address);
    }
    socket.flush(&mut Vec::new(), |_, _, error| panic!("{error}"));
    let expected: Vec<_> = addresses
        .iter()
        .map(|a| arp::gratuitous(mac, *a).to_vec())
        .collect();
    assert_eq!(frames(&neighbour, expected.len()), expected);
}

fn rejected_announcement_does_not_stop_the_next_one() {
    let (near, far) = pair();
    near.ip("link add eth1 type veth peer name eth2");
    let down = InterfaceIndex(near.within(|| nix::net::if_::if_nametoindex("eth1").unwrap()));
    let neighbour = packet_socket(&far);
    let mut socket = near.within(|| AnnounceSocket::open().unwrap());
    let mac = MacAddress([2, 0, 0, 0, 0, 0x11]);
    let missing = InterfaceIndex(9999);
    for interface in [
        missing,
        near.eth0(),
        down,
        InterfaceIndex(u32::MAX),
        near.eth0(),
    ] {
        socket.queue(interface, mac, SOURCE);
    }
    let mut failures = Vec::new();
    socket.flush(&mut Vec::new(), |interface, address, error| {
        assert_eq!(address, SOURCE);
        failures.push((interface, error.raw_os_error().unwrap()));
    });
    use libc::{ENETDOWN, ENXIO};
    assert_eq!(
        failures,
        [
            (missing, ENXIO),
            (down, ENETDOWN),
            (InterfaceIndex(u32::MAX), ENXIO)
        ]
    );
    assert_eq!(frames(&neighbour, 2).len(), 2);
}

fn advertisement_is_sent_from_a_deleted_address() {
    let (near, far) = pair();
    let (mut sender, receiver) = (open(&near, &[]), open(&far, &[51]));
    // The kernel accepts a source address that the host does not have (any more).
    near.ip("address del 10.0.0.1/24 dev eth0");
    sender.queue(SOURCE, GROUP_V4, HOP_LIMIT, message(51, 0));
    flush(&mut sender);
    assert_eq!(receive(&receiver, 1), [(51, 0)]);
}

fn open(host: &Host, served: &[u8]) -> AdvertSocket {
    let interface = host.eth0();
    host.within(|| AdvertSocket::open(interface, Family::V4, &vrids(served)).unwrap())
}

pub(crate) fn vrids(numbers: &[u8]) -> VridSet {
    numbers
        .iter()
        .filter_map(|number| Vrid::new(*number))
        .collect()
}

/// A message with a VRID and a number that identifies it.
pub(crate) fn message(vrid: u8, number: u8) -> Arc<[u8]> {
    Arc::from([0x31, vrid, 100, 0, 0, 100, 0, number])
}

pub(crate) fn flush(socket: &mut AdvertSocket) {
    assert_eq!(failures(socket), []);
}

/// Sends what is queued. Returns source and error of each rejected message.
fn failures(socket: &mut AdvertSocket) -> Vec<(IpAddr, Option<i32>)> {
    let mut rejected = Vec::new();
    socket.flush(&mut rejected);
    let rejected = rejected.into_iter();
    rejected
        .map(|rejected| (rejected.source, rejected.error.raw_os_error()))
        .collect()
}

/// Receives until there are `count` messages and no more are waiting. Returns their VRIDs and numbers.
pub(crate) fn receive(socket: &AdvertSocket, count: usize) -> Vec<(u8, u8)> {
    let mut batch = ReceiveBatch::new();
    let mut messages = Vec::new();
    loop {
        if messages.len() < count {
            wait(socket);
        }
        let before = messages.len();
        let packets = socket.receive(&mut batch).unwrap();
        messages.extend(packets.map(|packet| (packet.payload[1], packet.payload[7])));
        if messages.len() == before {
            return messages;
        }
    }
}

pub(crate) fn wait(socket: impl AsFd) {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    assert_eq!(
        poll(&mut fds, PollTimeout::from(5000_u16)).unwrap(),
        1,
        "no packet received"
    );
}

/// A packet socket that receives all ARP frames of a host.
fn packet_socket(host: &Host) -> Socket {
    let arp = i32::from(0x0806_u16.to_be());
    let kind = Type::RAW.nonblocking();
    host.within(|| Socket::new(Domain::PACKET, kind, Some(Protocol::from(arp))).unwrap())
}

/// As [`receive`] for frames.
fn frames(mut socket: &Socket, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2048];
    let mut frames = Vec::new();
    loop {
        if frames.len() < count {
            wait(socket);
        }
        let Ok(len) = socket.read(&mut buffer) else {
            return frames;
        };
        frames.push(buffer[..len].to_vec());
    }
}
