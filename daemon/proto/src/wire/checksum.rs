//! Internet checksum, with and without the pseudo-header.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::PROTOCOL;

/// Coverage of a version 3 checksum over IPv4. RFC 9568 specifies the message alone; RFC 5798 can
/// be read as message and pseudo-header, which is the default of keepalived and FRR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChecksumForm {
    /// Pseudo-header and message. All known implementations accept this form.
    #[default]
    WithPseudoHeader,
    /// Message alone.
    MessageOnly,
}

/// Sum of `bytes` as big-endian words, not folded; an odd last byte is padded with zero.
fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words: u32 = words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum();
    words + rest.first().map_or(0, |last| u32::from(*last) << 8)
}

/// One's complement of the folded sum (RFC 1071).
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

/// Checksum of `message`, or 0 if `message` contains a correct one.
pub(super) fn plain(message: &[u8]) -> u16 {
    finish(sum(message))
}

/// Checksum of `message` with its pseudo-header, or 0 if `message` contains a correct one: over
/// IPv6 that of RFC 8200 section 8.1, over IPv4 the common reading of RFC 5798 section 5.2.8. Both
/// pseudo-headers consist of the addresses, the length and the protocol, so both sums are computed
/// the same way.
pub(super) fn with_pseudo_header(message: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
    upper_layer(PROTOCOL, message, source, destination)
}

/// Checksum of a `message` of `protocol` with its pseudo-header.
pub(super) fn upper_layer(
    protocol: u8,
    message: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> u16 {
    // No message is longer than 65,535 bytes, so the upper half of the 32-bit length of IPv6 is 0.
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
    fn checksum_of_a_message_with_checksum_is_zero() {
        // RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(plain(&words), !0xddf2);
        let mut sealed = words.to_vec();
        sealed.extend((!0xddf2_u16).to_be_bytes());
        assert_eq!(plain(&sealed), 0);
    }

    #[test]
    fn checksum_pads_an_odd_last_byte_with_zero() {
        assert_eq!(plain(&[0x12]), !0x1200);
    }
}
