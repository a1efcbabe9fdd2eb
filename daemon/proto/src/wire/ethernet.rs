//! Frame of an advertisement that is sent from the virtual MAC address instead of the interface's
//! own hardware address.

use core::net::IpAddr;

use super::{GROUP_V6, HOP_LIMIT, group, ipv4, ipv6};
use crate::types::{Family, MacAddress};

/// EtherTypes of IPv4 (RFC 894) and IPv6 (RFC 2464 section 3).
const ETHERTYPES: [[u8; 2]; 2] = [[0x08, 0x00], [0x86, 0xdd]];

/// Length of the Ethernet header.
const HEADER_LEN: usize = 14;

/// Ethernet header and IP header of an advertisement.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; HEADER_LEN + ipv6::HEADER_LEN],
    length: usize,
}

impl Head {
    /// Headers of an advertisement of `message_len` bytes from `mac` and `source` to the multicast group.
    pub fn new(mac: MacAddress, source: IpAddr, message_len: usize) -> Self {
        let family = Family::of(source);
        let mut bytes = [0; HEADER_LEN + ipv6::HEADER_LEN];
        let (ethernet, ip) = bytes.split_at_mut(HEADER_LEN);
        ethernet[0..6].copy_from_slice(&MacAddress::of_group(group(family)).0);
        // RFC 9568 7.2 MUST: send from the virtual router MAC address
        ethernet[6..12].copy_from_slice(&mac.0);
        ethernet[12..14].copy_from_slice(&ETHERTYPES[family as usize]);
        let length = match source {
            IpAddr::V4(source) => {
                ip[..ipv4::HEADER_LEN].copy_from_slice(&ipv4::sealed_header(source, message_len));
                ipv4::HEADER_LEN
            }
            IpAddr::V6(source) => {
                let header = ipv6::header(source, GROUP_V6, HOP_LIMIT, message_len);
                ip.copy_from_slice(&header);
                ipv6::HEADER_LEN
            }
        };
        Self {
            bytes,
            length: HEADER_LEN + length,
        }
    }

    /// The headers as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 9568 7.2 MUST: send from the virtual router MAC address
    #[test]
    fn frame_headers_contain_the_addresses_of_each_family() {
        let mac = MacAddress([0, 0, 0x5e, 0, 1, 51]);
        let v4 = Head::new(mac, "192.0.2.1".parse().unwrap(), 16);
        let v4 = v4.bytes();
        assert_eq!(v4.len(), 34);
        assert_eq!(v4[0..6], [1, 0, 0x5e, 0, 0, 0x12]);
        assert_eq!(v4[6..12], mac.0);
        assert_eq!(v4[12..15], [8, 0, 0x45]);
        let v6 = Head::new(mac, "fe80::1".parse().unwrap(), 24);
        let v6 = v6.bytes();
        assert_eq!(v6.len(), 54);
        assert_eq!(v6[0..6], [0x33, 0x33, 0, 0, 0, 0x12]);
        assert_eq!(v6[12..15], [0x86, 0xdd, 0x6c]);
    }
}
