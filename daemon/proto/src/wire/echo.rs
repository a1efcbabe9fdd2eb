//! Echo requests and replies, as of ping(8): checks whether a host responds (RFC 792, RFC 4443
//! section 4).

use super::checksum;
use crate::types::Family;

/// Length of a request: a header of eight bytes, and as many bytes of data as ping(8) sends.
pub const MESSAGE_LEN: usize = HEADER_LEN + 56;

/// Type, code, checksum, identifier and sequence number.
const HEADER_LEN: usize = 8;

/// Message types of a family.
const fn types(family: Family) -> Types {
    match family {
        Family::V4 => Types {
            request: 8,
            reply: 0,
        },
        Family::V6 => Types {
            request: 128,
            reply: 129,
        },
    }
}

struct Types {
    request: u8,
    reply: u8,
}

/// Message type of a reply.
pub const fn reply_type(family: Family) -> u8 {
    types(family).reply
}

/// An echo request or the reply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Identifier: distinguishes the requests of one tracker from all other requests of the host.
    pub identifier: u16,
    /// Sequence number of the request.
    pub sequence: u16,
    /// Random number in the data of the request. A reply that contains it proves that the target
    /// received the request.
    pub token: u64,
}

impl Echo {
    /// The request as bytes. Its checksum is that of IPv4; the checksum over IPv6 also covers the
    /// pseudo-header and is filled in by the kernel (RFC 3542 section 3.1).
    pub fn request(&self, family: Family) -> [u8; MESSAGE_LEN] {
        let mut message = [0; MESSAGE_LEN];
        message[0] = types(family).request;
        message[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        message[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        message[8..16].copy_from_slice(&self.token.to_be_bytes());
        let sum = checksum::plain(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message
    }

    /// Parses a reply. `None` if `message` is not a reply to a request of this form. The kernel has
    /// already checked the checksum.
    pub fn parse_reply(family: Family, message: &[u8]) -> Option<Self> {
        let (head, _) = message.split_first_chunk::<{ HEADER_LEN + 8 }>()?;
        let [kind, code, _, _, a, b, c, d, token @ ..] = *head;
        (kind == reply_type(family) && code == 0).then_some(Self {
            identifier: u16::from_be_bytes([a, b]),
            sequence: u16::from_be_bytes([c, d]),
            token: u64::from_be_bytes(token),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECHO: Echo = Echo {
        identifier: 0x1234,
        sequence: 7,
        token: 0x0102_0304_0506_0708,
    };

    #[test]
    fn echo_request_has_the_type_of_its_family() {
        for (family, kind) in [(Family::V4, 8), (Family::V6, 128)] {
            let request = ECHO.request(family);
            assert_eq!(request[0..2], [kind, 0]);
            assert_eq!(request[4..8], [0x12, 0x34, 0, 7]);
            assert_eq!(request[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(checksum::plain(&request), 0);
        }
    }

    #[test]
    fn echo_reply_is_matched_to_its_request() {
        for (family, kind) in [(Family::V4, 0), (Family::V6, 129)] {
            let mut reply = ECHO.request(family);
            assert_eq!(Echo::parse_reply(family, &reply), None, "a request");
            reply[0] = kind;
            assert_eq!(Echo::parse_reply(family, &reply), Some(ECHO));
        }
    }

    #[test]
    fn message_other_than_echo_reply_is_ignored() {
        let mut reply = ECHO.request(Family::V4);
        reply[0] = 0;
        assert_eq!(
            Echo::parse_reply(Family::V4, &reply[..15]),
            None,
            "too short"
        );
        assert_eq!(
            Echo::parse_reply(Family::V6, &reply),
            None,
            "reply of the other family"
        );
        reply[1] = 1;
        assert_eq!(
            Echo::parse_reply(Family::V4, &reply),
            None,
            "a code other than 0"
        );
    }
}
