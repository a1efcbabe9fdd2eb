//! IPv6 header of an advertisement (RFC 8200 section 3).

use core::net::Ipv6Addr;

use super::PROTOCOL;

/// Length of a header without extensions.
pub const HEADER_LEN: usize = 40;

/// Version 6 and traffic class 0xc0: internetwork control, as in IPv4.
const VERSION_AND_CLASS: [u8; 2] = [0x6c, 0x00];

/// Header of an advertisement of `message_len` bytes from `source` to `destination`: the multicast
/// group with [`HOP_LIMIT`](super::HOP_LIMIT), or a peer.
///
/// A message that does not fit an IPv6 packet gets a length of 65,535, which no kernel sends.
pub fn header(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    message_len: usize,
) -> [u8; HEADER_LEN] {
    // RFC 9568 7.2 MUST: send as protocol 112
    fields(source, destination, PROTOCOL, hop_limit, message_len)
}

/// Header with the given fields.
pub(super) fn fields(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next_header: u8,
    hop_limit: u8,
    payload_len: usize,
) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let length = u16::try_from(payload_len).unwrap_or(u16::MAX);
    header[0..2].copy_from_slice(&VERSION_AND_CLASS);
    header[4..6].copy_from_slice(&length.to_be_bytes());
    header[6] = next_header;
    header[7] = hop_limit;
    header[8..24].copy_from_slice(&source.octets());
    header[24..40].copy_from_slice(&destination.octets());
    header
}

#[cfg(test)]
mod tests {
    use super::super::{GROUP_V6, HOP_LIMIT};
    use super::*;

    // RFC 9568 5.1.2.3 MUST: send with hop limit 255
    // RFC 9568 7.2 MUST: send to the group ff02::12
    // RFC 9568 7.2 MUST: send as protocol 112
    #[test]
    fn ipv6_header_has_the_group_and_hop_limit_255() {
        let source = "fe80::11".parse::<Ipv6Addr>().unwrap();
        let header = header(source, GROUP_V6, HOP_LIMIT, 24);
        assert_eq!(header[0] >> 4, 6, "version");
        assert_eq!(header[4..6], [0, 24], "length");
        assert_eq!((header[6], header[7]), (112, 255));
        assert_eq!(header[8..24], source.octets());
        assert_eq!(header[24..26], [0xff, 0x02]);
        assert_eq!(
            header[26..40],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12]
        );
    }
}
