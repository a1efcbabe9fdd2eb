//! Pings of a host.

use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vrrp_linux::echo::{Echoes, OpenError, Route};

use crate::host::{Host, pair, pair_v6};

crate::tests! {
    host_answers_ping_from_raw_socket,
    host_answers_ping_from_ping_socket,
    host_answers_ping_over_ipv6,
    sockets_receive_only_replies_with_their_token,
    unused_address_is_reported_as_host_unreachable,
    missing_interface_target_or_source_is_named,
}

const FAR: &str = "10.0.0.2";

fn host_answers_ping_from_raw_socket() {
    let (near, _far) = pair();
    // A new network namespace permits ping sockets to no group.
    let socket = open(&near, FAR, None).unwrap();
    assert_eq!(ask(&socket, &[1, 2, 3]), [1, 2, 3]);
}

fn host_answers_ping_from_ping_socket() {
    let (near, _far) = pair();
    allow_ping_sockets(&near);
    let socket = open(&near, FAR, None).unwrap();
    assert_eq!(ask(&socket, &[1, 2, 3]), [1, 2, 3]);
}

fn host_answers_ping_over_ipv6() {
    let (near, _far) = pair_v6();
    for _ in 0..2 {
        for (target, interface) in [("2001:db8::2", None), ("fe80::2", Some("eth0"))] {
            let socket = open(&near, target, interface).unwrap();
            assert_eq!(ask(&socket, &[7]), [7], "{target}");
        }
        // The second round uses ping sockets.
        allow_ping_sockets(&near);
    }
}

fn sockets_receive_only_replies_with_their_token() {
    let (near, _far) = pair();
    for _ in 0..2 {
        // Raw sockets with the same identifier both receive all replies; the token distinguishes them.
        let [one, other] = [0x1_0042, 0x2_0042].map(|token| {
            let route = route(FAR, None);
            near.within(|| Echoes::open(route, token).unwrap())
        });
        assert_eq!(ask(&one, &[1]), [1]);
        assert_eq!(ask(&other, &[2]), [2]);
        let nothing = one.0.receive(&one.1).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        allow_ping_sockets(&near);
    }
}

fn unused_address_is_reported_as_host_unreachable() {
    let (near, _far) = pair();
    for _ in 0..2 {
        let (echoes, socket) = open(&near, "10.0.0.9", None).unwrap();
        echoes.ask(&socket, 1).unwrap();
        // The kernel reports the error when address resolution has failed.
        wait(&socket);
        let error = echoes.receive(&socket).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostUnreachable, "{error}");
        allow_ping_sockets(&near);
    }
}

fn missing_interface_target_or_source_is_named() {
    let (near, _far) = pair();
    let complaint = |route| near.within(|| Echoes::open(route, 1).unwrap_err());
    let error = complaint(route(FAR, Some("eth9")));
    assert!(matches!(error, OpenError::Interface { .. }), "{error}");
    let error = complaint(route("192.0.2.1", None));
    assert!(matches!(error, OpenError::Target { .. }), "{error}");
    let from_nowhere = Route {
        source: Some("10.0.0.3".parse().unwrap()),
        ..route(FAR, None)
    };
    let error = complaint(from_nowhere);
    assert!(matches!(error, OpenError::Source { .. }), "{error}");
}

fn route<'a>(target: &str, interface: Option<&'a str>) -> Route<'a> {
    let target: IpAddr = target.parse().unwrap();
    Route {
        target,
        source: None,
        interface,
    }
}

type Asker = (Echoes, UdpSocket);

fn open(host: &Host, target: &str, interface: Option<&str>) -> Result<Asker, OpenError> {
    host.within(|| Echoes::open(route(target, interface), 0x0123_4567_89ab_cdef))
}

/// Permits ping sockets to this process's group, which is root's in its user namespace.
fn allow_ping_sockets(host: &Host) {
    host.within(|| std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").unwrap());
}

/// Sends requests with these numbers, and returns the numbers of the replies.
fn ask((echoes, socket): &Asker, numbers: &[u16]) -> Vec<u16> {
    let mut answers = Vec::new();
    for number in numbers {
        echoes.ask(socket, *number).unwrap();
        answers.push(loop {
            wait(socket);
            match echoes.receive(socket) {
                Ok(number) => break number,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        });
    }
    answers
}

/// Waits until the socket is readable.
fn wait(socket: &UdpSocket) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    while poll(&mut fds, PollTimeout::from(100_u8)) == Ok(0) {
        assert!(Instant::now() < deadline, "no packet received");
    }
}
