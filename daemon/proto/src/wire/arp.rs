//! ARP (RFC 826): gratuitous ARP, which announces the hardware address of an IPv4 address to the
//! neighbours, the request for a neighbour, and the sender of a received packet.

use core::net::Ipv4Addr;

use crate::types::MacAddress;

/// Length of the frame in bytes, including the Ethernet header, without padding.
pub const FRAME_LEN: usize = 42;

/// EtherType of ARP (RFC 826).
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];

/// Hardware Ethernet, protocol IPv4, and the lengths of their addresses.
const ETHERNET_AND_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const REQUEST: [u8; 2] = [0, 1];

/// Broadcast ARP request for `address` from `address` itself at `mac`, as recommended for
/// announcements by RFC 5227 section 3 and by RFC 9568 section 6.4.2 with erratum 7949: the target
/// hardware address is the sender's, too.
pub fn gratuitous(mac: MacAddress, address: Ipv4Addr) -> [u8; FRAME_LEN] {
    // RFC 9568 6.4.2 erratum 7949 MUST: the new Active sends gratuitous ARP for each address
    frame((mac, address), (mac, address))
}

/// Broadcast ARP request for `target` from `source` at `mac`.
pub fn request(mac: MacAddress, source: Ipv4Addr, target: Ipv4Addr) -> [u8; FRAME_LEN] {
    let unknown = MacAddress([0; 6]);
    frame((mac, source), (unknown, target))
}

/// Sender of an ARP packet, which begins behind the Ethernet header. `None` if it is not about Ethernet and
/// IPv4.
pub fn sender(packet: &[u8]) -> Option<(Ipv4Addr, MacAddress)> {
    let rest = packet.strip_prefix(&ETHERNET_AND_IPV4)?;
    let (_operation, rest) = rest.split_first_chunk::<2>()?;
    let (mac, rest) = rest.split_first_chunk()?;
    let address = *rest.first_chunk::<4>()?;
    Some((address.into(), MacAddress(*mac)))
}

fn frame(
    (mac, address): (MacAddress, Ipv4Addr),
    (target_mac, target): (MacAddress, Ipv4Addr),
) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    frame[0..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac.0);
    frame[12..14].copy_from_slice(&ETHERTYPE_ARP);
    frame[14..20].copy_from_slice(&ETHERNET_AND_IPV4);
    frame[20..22].copy_from_slice(&REQUEST);
    frame[22..28].copy_from_slice(&mac.0);
    frame[28..32].copy_from_slice(&address.octets());
    frame[32..38].copy_from_slice(&target_mac.0);
    frame[38..42].copy_from_slice(&target.octets());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 9568 6.4.2 erratum 7949 MUST: the new Active sends gratuitous ARP for each address
    #[test]
    fn gratuitous_arp_contains_the_address_twice_and_is_broadcast() {
        let frame = gratuitous(
            MacAddress([2, 0, 0, 0, 0, 0x11]),
            Ipv4Addr::new(192, 168, 224, 100),
        );
        assert_eq!(
            frame,
            [
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x11, 0x08,
                0x06, // Ethernet
                0, 1, 8, 0, 6, 4, 0, 1, // Ethernet and IPv4, request
                2, 0, 0, 0, 0, 0x11, 192, 168, 224, 100, // sender
                2, 0, 0, 0, 0, 0x11, 192, 168, 224, 100, // target
            ]
        );
    }

    #[test]
    fn arp_request_names_its_sender_and_no_target_hardware() {
        let frame = request(
            MacAddress([2, 0, 0, 0, 0, 0x11]),
            Ipv4Addr::new(192, 168, 224, 11),
            Ipv4Addr::new(192, 168, 224, 12),
        );
        assert_eq!(
            frame,
            [
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0x11, 0x08,
                0x06, // Ethernet
                0, 1, 8, 0, 6, 4, 0, 1, // Ethernet and IPv4, request
                2, 0, 0, 0, 0, 0x11, 192, 168, 224, 11, // sender
                0, 0, 0, 0, 0, 0, 192, 168, 224, 12, // target
            ]
        );
    }

    #[test]
    fn sender_is_read_from_requests_and_replies() {
        let (mac, address) = (
            MacAddress([2, 0, 0, 0, 0, 0x66]),
            Ipv4Addr::new(10, 0, 0, 9),
        );
        let mut packet = request(mac, address, Ipv4Addr::new(10, 0, 0, 1))[14..].to_vec();
        for operation in [1, 2] {
            packet[7] = operation;
            assert_eq!(sender(&packet), Some((address, mac)));
        }
        assert_eq!(sender(&packet[..17]), None);
        packet[1] = 6;
        assert_eq!(sender(&packet), None, "not Ethernet");
    }
}
