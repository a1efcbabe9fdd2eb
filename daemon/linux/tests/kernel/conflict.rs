//! Claims of virtual addresses by other hosts.

use std::net::{IpAddr, UdpSocket};

use vrrp_linux::announce::AnnounceSocket;
use vrrp_linux::conflict::ConflictSocket;
use vrrp_linux::socket::ReceiveBatch;
use vrrp_proto::{Family, MacAddress};

use crate::host::{Host, pair, pair_v6};
use crate::packets::wait;

crate::tests! {
    arp_of_another_host_is_heard_and_own_arp_is_not,
    neighbour_advertisement_of_another_host_is_heard,
    arp_request_from_the_address_is_heard,
    flood_of_claims_is_read_in_parts,
    claims_are_heard_after_the_interface_was_down,
}

const STRANGER: MacAddress = MacAddress([2, 0, 0, 0, 0, 0x66]);
const VIRTUAL: &str = "10.0.0.100";

fn open(host: &Host, address: &str) -> ConflictSocket {
    let address: IpAddr = address.parse().unwrap();
    host.within(|| {
        ConflictSocket::open(host.eth0(), Family::of(address), [address].into_iter()).unwrap()
    })
}

/// Has a host announce addresses at the MAC address of a stranger.
fn claim<'a>(host: &Host, addresses: impl IntoIterator<Item = &'a str>) {
    let mut announcer = host.within(|| AnnounceSocket::open().unwrap());
    for address in addresses {
        announcer.queue(host.eth0(), STRANGER, address.parse::<IpAddr>().unwrap());
    }
    announcer.flush(&mut Vec::new(), |_, address, error| {
        panic!("{address}: {error}")
    });
}

fn receive(socket: &ConflictSocket) -> Vec<(String, MacAddress)> {
    let mut claims = Vec::new();
    socket
        .receive(&mut ReceiveBatch::new(), |address, mac| {
            claims.push((address.to_string(), mac));
        })
        .unwrap();
    claims
}

fn of_stranger(address: &str) -> (String, MacAddress) {
    (address.to_owned(), STRANGER)
}

fn arp_of_another_host_is_heard_and_own_arp_is_not() {
    let (near, far) = pair();
    let socket = open(&far, VIRTUAL);
    claim(&far, [VIRTUAL]);
    claim(&near, ["10.0.0.101", VIRTUAL, "10.9.9.100"]);
    wait(&socket);
    let heard = [of_stranger(VIRTUAL), of_stranger("10.9.9.100")];
    assert_eq!(receive(&socket), heard);
    let other = "10.0.0.101".parse().unwrap();
    socket.set_filter([other].into_iter()).unwrap();
    claim(&near, [VIRTUAL, "10.0.0.101"]);
    wait(&socket);
    assert_eq!(receive(&socket), [of_stranger("10.0.0.101")]);
}

fn neighbour_advertisement_of_another_host_is_heard() {
    let (near, far) = pair_v6();
    let socket = open(&far, "2001:db8::100");
    claim(&far, ["2001:db8::100"]);
    claim(&near, ["2001:db8::101", "2001:db8::100"]);
    wait(&socket);
    assert_eq!(receive(&socket), [of_stranger("2001:db8::100")]);
}

/// The other host has the address and sends from it.
fn arp_request_from_the_address_is_heard() {
    let (near, far) = pair();
    let socket = open(&far, VIRTUAL);
    near.ip("address add 10.0.0.100/24 dev eth0");
    near.within(|| {
        let sender = UdpSocket::bind((VIRTUAL, 0)).unwrap();
        sender.send_to(b"x", "10.0.0.2:9").unwrap();
    });
    wait(&socket);
    let heard = receive(&socket);
    assert!(
        heard.iter().all(|(address, _)| address == VIRTUAL),
        "{heard:?}"
    );
    let mac = near.ip("-brief link show dev eth0");
    assert!(mac.contains(&heard[0].1.to_string()), "{mac} {heard:?}");
}

fn flood_of_claims_is_read_in_parts() {
    let (near, far) = pair();
    let socket = open(&far, VIRTUAL);
    for _ in 0..20 {
        claim(&near, [VIRTUAL; 1000]);
    }
    let heard = receive(&socket).len();
    assert!((10..=512).contains(&heard), "{heard}");
    while !receive(&socket).is_empty() {}
}

fn claims_are_heard_after_the_interface_was_down() {
    let (near, far) = pair();
    let socket = open(&far, VIRTUAL);
    far.ip("link set eth0 down");
    far.ip("link set eth0 up");
    far.wait_for_carrier();
    near.wait_for_carrier();
    claim(&near, [VIRTUAL]);
    wait(&socket);
    // The error of the interface may come first.
    let mut heard = receive(&socket);
    if heard.is_empty() {
        wait(&socket);
        heard = receive(&socket);
    }
    assert_eq!(heard, [of_stranger(VIRTUAL)]);
}
