//! Echo requests and their replies: whether a host is there (RFC 792, RFC 4443 section 4).

use super::checksum;
use crate::types::Family;

/// Length of a request: the header of eight bytes, and as many bytes of data as ping(8) sends.
pub const MESSAGE_LEN: usize = HEADER_LEN + 56;

/// Type, code, checksum, identifier and sequence number.
const HEADER_LEN: usize = 8;

/// The types of the family.
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

/// The type of a reply.
pub const fn reply_type(family: Family) -> u8 {
    types(family).reply
}

/// One of several requests to the same host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Tells the requests of one asker from those of others on its host.
    pub identifier: u16,
    /// The number of the request.
    pub sequence: u16,
    /// What only the asker knows and who is asked hears: who sends it back has got the request.
    pub token: u64,
}

impl Echo {
    /// The request. Its checksum is that of IPv4; over IPv6 it covers the pseudo-header, too, and is
    /// the kernel's to fill in (RFC 3542 section 3.1).
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

    /// What `message` replies to, or `None` when it is no reply to a request of this form. The
    /// checksum is the kernel's to check.
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
    fn a_request_is_one_of_its_family() {
        for (family, kind) in [(Family::V4, 8), (Family::V6, 128)] {
            let request = ECHO.request(family);
            assert_eq!(request[0..2], [kind, 0]);
            assert_eq!(request[4..8], [0x12, 0x34, 0, 7]);
            assert_eq!(request[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(checksum::plain(&request), 0);
        }
    }

    #[test]
    fn a_reply_says_what_it_replies_to() {
        for (family, kind) in [(Family::V4, 0), (Family::V6, 129)] {
            let mut reply = ECHO.request(family);
            assert_eq!(Echo::parse_reply(family, &reply), None, "the request");
            reply[0] = kind;
            assert_eq!(Echo::parse_reply(family, &reply), Some(ECHO));
        }
    }

    #[test]
    fn what_is_no_reply_is_none() {
        let mut reply = ECHO.request(Family::V4);
        reply[0] = 0;
        assert_eq!(Echo::parse_reply(Family::V4, &reply[..15]), None, "short");
        assert_eq!(Echo::parse_reply(Family::V6, &reply), None, "of the other");
        reply[1] = 1;
        assert_eq!(Echo::parse_reply(Family::V4, &reply), None, "a code");
    }
}
