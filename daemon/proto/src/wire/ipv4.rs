//! IPv4 header of an advertisement.

use core::net::Ipv4Addr;

use super::{GROUP_V4, HOP_LIMIT, PROTOCOL, checksum};

/// Length of a header without options.
pub const HEADER_LEN: usize = 20;

/// Type of service 0xc0: internetwork control, as for routing protocols (RFC 791), so that a full
/// queue drops other packets first.
const TOS_INTERNETWORK_CONTROL: u8 = 0xc0;

/// Header of an advertisement of `message_len` bytes from `source` to `destination`: the multicast
/// group with [`HOP_LIMIT`], or a peer. The kernel fills in identification and checksum (raw(7)).
///
/// A message that does not fit an IPv4 packet gets a length of 65,535, which no kernel sends.
pub fn header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: u8,
    message_len: usize,
) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let total = u16::try_from(HEADER_LEN + message_len).unwrap_or(u16::MAX);
    header[0] = 0x45;
    header[1] = TOS_INTERNETWORK_CONTROL;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[8] = ttl;
    // RFC 9568 7.2 MUST: send as protocol 112
    header[9] = PROTOCOL;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    header
}

/// Header to the multicast group with its checksum, for a packet that bypasses the kernel's IP
/// layer; see [`header`].
pub fn sealed_header(source: Ipv4Addr, message_len: usize) -> [u8; HEADER_LEN] {
    let mut header = header(source, GROUP_V4, HOP_LIMIT, message_len);
    let sum = checksum::plain(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

/// Fields of the header of a received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// TTL.
    pub ttl: u8,
}

/// Splits a packet from a raw socket into header fields and payload. `None` if it is not a complete
/// IPv4 packet.
pub fn split(packet: &[u8]) -> Option<(Header, &[u8])> {
    let (head, _) = packet.split_first_chunk::<HEADER_LEN>()?;
    let header_len = usize::from(head[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if head[0] >> 4 != 4 || header_len < HEADER_LEN {
        return None;
    }
    // The total length excludes the padding of a short Ethernet frame.
    let payload = packet.get(header_len..total)?;
    let [.., a, b, c, d, e, f, g, h] = *head;
    Some((
        Header {
            source: Ipv4Addr::new(a, b, c, d),
            destination: Ipv4Addr::new(e, f, g, h),
            ttl: head[8],
        },
        payload,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 168, 224, 11);

    fn packet(message: &[u8]) -> Vec<u8> {
        [
            &header(SOURCE, GROUP_V4, HOP_LIMIT, message.len())[..],
            message,
        ]
        .concat()
    }

    // RFC 9568 5.1.1.3 MUST: send with TTL 255
    // RFC 9568 7.2 MUST: send as protocol 112
    // RFC 9568 7.2 MUST: send to the group 224.0.0.18
    #[test]
    fn ipv4_header_has_the_group_and_ttl_255() {
        let header = header(SOURCE, GROUP_V4, HOP_LIMIT, 16);
        assert_eq!(header[8], 255, "TTL");
        assert_eq!(header[9], 112, "protocol");
        assert_eq!(header[16..20], [224, 0, 0, 18]);
    }

    #[test]
    fn sealed_header_has_a_correct_checksum() {
        assert_eq!(checksum::plain(&sealed_header(SOURCE, 16)), 0);
    }

    #[test]
    fn header_is_parsed_as_it_was_written() {
        let packet = packet(b"abc");
        let (header, payload) = split(&packet).unwrap();
        assert_eq!(
            header,
            Header {
                source: SOURCE,
                destination: GROUP_V4,
                ttl: 255
            }
        );
        assert_eq!(payload, b"abc");
    }

    #[test]
    fn ipv4_options_and_padding_are_not_payload() {
        let mut packet = packet(b"abcdefgh");
        packet[0] = 0x46;
        packet.extend([0; 18]);
        assert_eq!(split(&packet).unwrap().1, b"efgh");
    }

    #[test]
    fn incomplete_ipv4_packet_is_rejected() {
        let whole = packet(b"abc");
        assert_eq!(split(&whole[..22]), None, "shorter than its total length");
        assert_eq!(split(&whole[..19]), None, "shorter than a header");
        let mut six = whole.clone();
        six[0] = 0x65;
        assert_eq!(split(&six), None, "not version 4");
        let mut short = whole;
        short[0] = 0x44;
        assert_eq!(split(&short), None, "a header of 16 bytes");
    }
}
