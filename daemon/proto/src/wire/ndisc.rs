//! Neighbour discovery (RFC 4861): unsolicited neighbour advertisements, which announce the hardware
//! address of an IPv6 address to the neighbours, the solicitation of a neighbour, and the subject of a
//! received neighbour advertisement.

use core::net::Ipv6Addr;

use super::{HOP_LIMIT, checksum, ipv6};
use crate::types::MacAddress;

/// Length of the frame in bytes, including the Ethernet header.
pub const FRAME_LEN: usize = ETHERNET_LEN + ipv6::HEADER_LEN + MESSAGE_LEN;

const ETHERNET_LEN: usize = 14;
/// Type, code, checksum, flags, target address, and the option with the hardware address.
const MESSAGE_LEN: usize = 32;

/// EtherType of IPv6 (RFC 2464 section 3).
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// All nodes of the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
/// Type of a neighbour advertisement.
pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// Flags R (the sender is a router) and O (override the cached hardware address).
const ROUTER_AND_OVERRIDE: u8 = 0xa0;
/// Options 1 and 2, source and target link-layer address, of one unit of eight bytes (RFC 4861 section
/// 4.6.1).
const SOURCE_LINK_ADDRESS: [u8; 2] = [1, 1];
const TARGET_LINK_ADDRESS: [u8; 2] = [2, 1];

/// Neighbour advertisement to all nodes that `address` is at `mac`, sent from the address itself.
pub fn unsolicited(mac: MacAddress, address: Ipv6Addr) -> [u8; FRAME_LEN] {
    let mut message = [0; MESSAGE_LEN];
    message[0] = NEIGHBOUR_ADVERTISEMENT;
    // RFC 9568 6.4.2 MUST: the neighbour advertisement has R and O set and S clear
    message[4] = ROUTER_AND_OVERRIDE;
    // RFC 9568 6.4.2 MUST: announce each IPv6 address by an unsolicited neighbour advertisement
    message[8..24].copy_from_slice(&address.octets());
    message[24..26].copy_from_slice(&TARGET_LINK_ADDRESS);
    frame(mac, address, ALL_NODES, message)
}

/// Neighbour solicitation for `target` from `source` at `mac`, to the solicited-node group of the target
/// (RFC 4861 section 4.3).
pub fn solicitation(mac: MacAddress, source: Ipv6Addr, target: Ipv6Addr) -> [u8; FRAME_LEN] {
    let mut message = [0; MESSAGE_LEN];
    message[0] = NEIGHBOUR_SOLICITATION;
    message[8..24].copy_from_slice(&target.octets());
    message[24..26].copy_from_slice(&SOURCE_LINK_ADDRESS);
    frame(mac, source, solicited_node(target), message)
}

/// Target of a neighbour advertisement and its hardware address. `None` without that: such an advertisement
/// changes no neighbour's entry.
pub fn advertised(message: &[u8]) -> Option<(Ipv6Addr, MacAddress)> {
    let (head, mut options) = message.split_first_chunk::<24>()?;
    let target = head.last_chunk::<16>()?;
    // RFC 4861 section 4.6: type, length in units of eight bytes, contents.
    loop {
        let units = options.get(1).copied().filter(|units| *units > 0)?;
        let (option, rest) = options.split_at_checked(8 * usize::from(units))?;
        if let Some(mac) = option.strip_prefix(&TARGET_LINK_ADDRESS) {
            return Some(((*target).into(), MacAddress(*mac.first_chunk()?)));
        }
        options = rest;
    }
}

/// Solicited-node group of an address (RFC 4291 section 2.7.1).
const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high, low)
}

/// Completes a message by the link-layer address of its option and its checksum, and adds the headers.
fn frame(
    mac: MacAddress,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    mut message: [u8; MESSAGE_LEN],
) -> [u8; FRAME_LEN] {
    message[26..32].copy_from_slice(&mac.0);
    let sum = checksum::upper_layer(ICMPV6, &message, source.into(), destination.into());
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = [0; FRAME_LEN];
    let (ethernet, packet) = frame.split_at_mut(ETHERNET_LEN);
    ethernet[0..6].copy_from_slice(&MacAddress::of_group(destination.into()).0);
    ethernet[6..12].copy_from_slice(&mac.0);
    ethernet[12..14].copy_from_slice(&ETHERTYPE_IPV6);
    let (header, body) = packet.split_at_mut(ipv6::HEADER_LEN);
    header.copy_from_slice(&ipv6::fields(
        source,
        destination,
        ICMPV6,
        HOP_LIMIT,
        MESSAGE_LEN,
    ));
    body.copy_from_slice(&message);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 9568 6.4.2 MUST: announce each IPv6 address by an unsolicited neighbour advertisement
    // RFC 9568 6.4.2 MUST: the neighbour advertisement has R and O set and S clear
    #[test]
    fn neighbour_advertisement_names_the_address_to_all_nodes() {
        let address: Ipv6Addr = "2001:db8::100".parse().unwrap();
        let mac = MacAddress([0, 0, 0x5e, 0, 2, 52]);
        let frame = unsolicited(mac, address);
        assert_eq!(frame[0..6], [0x33, 0x33, 0, 0, 0, 1]);
        assert_eq!(frame[6..12], mac.0);
        assert_eq!(frame[12..14], [0x86, 0xdd]);
        assert_eq!(frame[18..22], [0, 32, 58, 255], "length, ICMPv6, hop limit");
        assert_eq!(frame[22..38], address.octets());
        let message = &frame[54..];
        assert_eq!(message[0..2], [136, 0]);
        assert_eq!(message[4..8], [0b1010_0000, 0, 0, 0], "R and O, not S");
        assert_eq!(message[8..24], address.octets());
        assert_eq!(message[24..], [2, 1, 0, 0, 0x5e, 0, 2, 52]);
        let sum = checksum::upper_layer(58, message, address.into(), ALL_NODES.into());
        assert_eq!(sum, 0);
    }

    #[test]
    fn neighbour_solicitation_goes_to_the_group_of_its_target() {
        let source: Ipv6Addr = "fe80::12".parse().unwrap();
        let target: Ipv6Addr = "2001:db8::1234:5678".parse().unwrap();
        let group: Ipv6Addr = "ff02::1:ff34:5678".parse().unwrap();
        let mac = MacAddress([2, 0, 0, 0, 0, 0x12]);
        let frame = solicitation(mac, source, target);
        assert_eq!(frame[0..6], [0x33, 0x33, 0xff, 0x34, 0x56, 0x78]);
        assert_eq!(frame[6..12], mac.0);
        assert_eq!(frame[18..22], [0, 32, 58, 255], "length, ICMPv6, hop limit");
        assert_eq!(frame[22..38], source.octets());
        assert_eq!(frame[38..54], group.octets());
        let message = &frame[54..];
        assert_eq!(message[0..2], [135, 0]);
        assert_eq!(message[4..8], [0; 4]);
        assert_eq!(message[8..24], target.octets());
        assert_eq!(message[24..], [1, 1, 2, 0, 0, 0, 0, 0x12]);
        let sum = checksum::upper_layer(58, message, source.into(), group.into());
        assert_eq!(sum, 0);
    }

    #[test]
    fn advertised_address_is_read_behind_other_options() {
        let (mac, address) = (
            MacAddress([2, 0, 0, 0, 0, 9]),
            "2001:db8::9".parse().unwrap(),
        );
        let message = &unsolicited(mac, address)[54..];
        assert_eq!(advertised(message), Some((address, mac)));
        let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
        let with_nonce = [&message[..24], &nonce, &message[24..]].concat();
        assert_eq!(advertised(&with_nonce), Some((address, mac)));
        let without_length = [&message[..24], &[14, 0, 1, 2, 3, 4, 5, 6], &message[24..]].concat();
        assert_eq!(advertised(&without_length), None);
        assert_eq!(advertised(&message[..24]), None);
        assert_eq!(advertised(&message[..30]), None);
        assert_eq!(advertised(&message[..23]), None);
    }
}
