//! The Internet checksum, plain and with the pseudo-header.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::PROTOCOL;

/// What a version 3 checksum over IPv4 covers. RFC 9568 says the message alone; RFC 5798 could be
/// read as message and pseudo-header, and keepalived and FRR do so by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChecksumForm {
    /// Pseudo-header and message, which everybody in the field accepts.
    #[default]
    WithPseudoHeader,
    /// The message alone.
    MessageOnly,
}

/// The sum of `bytes` as big-endian words, not yet folded; an odd last byte is padded with zero.
fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words: u32 = words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum();
    words + rest.first().map_or(0, |last| u32::from(*last) << 8)
}

/// The one's complement of the folded sum (RFC 1071).
fn finish(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "folded to 16 bits just above"
    )]
    let folded = sum as u16;
    !folded
}

/// The checksum of `message`, or 0 when `message` bears a right one.
pub(super) fn plain(message: &[u8]) -> u16 {
    finish(sum(message))
}

/// The checksum of `message` with its pseudo-header, or 0 when `message` bears a right one: over
/// IPv6 that of RFC 8200 section 8.1, over IPv4 what RFC 5798 section 5.2.8 was taken to mean.
/// Both have the addresses, the length and the protocol, and so the same sum.
pub(super) fn with_pseudo_header(message: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
    upper_layer(PROTOCOL, message, source, destination)
}

/// The checksum of `message` of `protocol` with the pseudo-header.
pub(super) fn upper_layer(
    protocol: u8,
    message: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> u16 {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX) & 0xffff;
    finish(
        sum(message)
            + sum_of_address(source)
            + sum_of_address(destination)
            + u32::from(protocol)
            + length,
    )
}

fn sum_of_address(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_its_checksum_sums_to_zero() {
        // RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(plain(&words), !0xddf2);
        let mut sealed = words.to_vec();
        sealed.extend((!0xddf2_u16).to_be_bytes());
        assert_eq!(plain(&sealed), 0);
    }

    #[test]
    fn an_odd_last_byte_counts_as_the_upper_half_of_a_word() {
        assert_eq!(plain(&[0x12]), !0x1200);
    }
}
