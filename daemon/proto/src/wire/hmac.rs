//! Trailer that authenticates an advertisement: HMAC-SHA-256 as in keepalived 2.4.2 and later
//! (draft-cassen-vrrp-auth-hmac). It follows the message, in both versions and families.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |   Type = 1    |    Key id     |         Reserved = 0          |
//! +---------------+---------------+-------------------------------+
//! |                 Sequence: seconds since 1970                  |
//! +-------------------------------+-------------------------------+
//! |  Sequence: 1/65,536 of them   |       Sequence: counter       |
//! +-------------------------------+-------------------------------+
//! |             The first 16 bytes of the HMAC                    |
//! +---------------------------------------------------------------+
//! ```
//!
//! The HMAC covers, in this order: family (4 or 6), version, VRID, a zero, and the sender's address
//! (an IPv4 address is padded with zeros to 16 bytes); the message with a checksum of zero; the
//! trailer with an HMAC of zeros. So a packet cannot be replayed as one of another virtual router
//! or another sender, and copies for several unicast peers have the same HMAC.

use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU8;
use core::ops::{Range, RangeInclusive};
use core::time::Duration;

use ::hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::checksum;
use super::{DropCause, field};

/// Length of the trailer in bytes.
pub const TRAILER_LEN: usize = 28;

/// Type of HMAC-SHA-256 truncated to 128 bits, the only one.
const TYPE_SHA_256_128: u8 = 1;

/// Offsets of the fields of the trailer.
mod trailer {
    use super::Range;

    pub(super) const TYPE: usize = 0;
    pub(super) const KEY_ID: usize = 1;
    pub(super) const RESERVED: Range<usize> = 2..4;
    pub(super) const SEQUENCE: Range<usize> = 4..12;
    pub(super) const HMAC: Range<usize> = 12..28;
}

/// Id of a key, the same on all hosts, 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(NonZeroU8);

impl KeyId {
    /// The key id `id`, or `None` for 0, which is not valid.
    pub const fn new(id: u8) -> Option<Self> {
        match NonZeroU8::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number in the trailer.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Secret shared by the routers of a virtual router, with the id that the trailer contains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    id: KeyId,
    /// The secret padded with zeros to the block size of SHA-256, as HMAC itself pads it (RFC 2104
    /// section 2).
    block: [u8; 64],
}

impl Key {
    /// Permitted lengths of a secret in bytes.
    pub const SECRET_LEN: RangeInclusive<usize> = 32..=64;

    /// The key `secret` with the id `id`, or `None` if it is shorter than 32 or longer than 64
    /// bytes.
    pub fn new(id: KeyId, secret: &[u8]) -> Option<Self> {
        let mut block = [0; 64];
        if !Self::SECRET_LEN.contains(&secret.len()) {
            return None;
        }
        block.get_mut(..secret.len())?.copy_from_slice(secret);
        Some(Self { id, block })
    }

    /// Id of the key.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Computes the HMAC of a packet from `source`, not finalised yet. `signed` is the message and
    /// the trailer up to its HMAC.
    fn hmac(&self, source: IpAddr, signed: &[u8]) -> Hmac<Sha256> {
        let mut head = [0; 20];
        let version_type = signed.get(field::VERSION_TYPE).copied().unwrap_or_default();
        head[1] = version_type >> 4;
        head[2] = signed.get(field::VRID).copied().unwrap_or_default();
        match source {
            IpAddr::V4(source) => {
                head[0] = 4;
                head[4..8].copy_from_slice(&source.octets());
            }
            IpAddr::V6(source) => {
                head[0] = 6;
                head[4..].copy_from_slice(&source.octets());
            }
        }
        let (before, rest) = signed.split_at(field::CHECKSUM.start.min(signed.len()));
        let mut hmac =
            Hmac::<Sha256>::new_from_slice(&self.block).expect("HMAC takes keys of any length");
        hmac.update(&head);
        hmac.update(before);
        hmac.update(&[0; 2]);
        hmac.update(rest.get(field::CHECKSUM.len()..).unwrap_or_default());
        hmac.update(&[0; trailer::HMAC.end - trailer::HMAC.start]);
        hmac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret must not appear in logs.
        write!(f, "Key({}, ..)", self.id)
    }
}

/// Sequence number of a signed advertisement. It grows with each advertisement: the upper 48 bits
/// are the sender's wall clock (seconds since 1970 and 1/65,536 s), the lower 16 bits a counter for
/// advertisements within one unit. It wraps around in 2106 and is compared as in RFC 1982.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence(u64);

impl Sequence {
    /// Sequence number for a wall clock that reads `wall`, since 1970.
    pub const fn at(wall: Duration) -> Self {
        let fraction = (wall.subsec_nanos() as u64) << 16;
        Self(wall.as_secs() << 32 | (fraction / 1_000_000_000) << 16)
    }

    /// Sequence number from the trailer.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number in the trailer.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The next number in the same unit of time.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Whether this number is later than `other` (RFC 1982 section 3.2, SERIAL_BITS = 64).
    pub const fn is_after(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    /// Seconds by which the sender's clock is ahead of `wall`, negative if behind. Only whole
    /// seconds count, as in keepalived.
    pub const fn seconds_ahead(self, wall: Duration) -> i64 {
        let ours = Self::at(wall).0 >> 32;
        let ahead = (self.0 >> 32).wrapping_sub(ours) << 32;
        ahead.cast_signed() >> 32
    }
}

/// A well-formed trailer. Its HMAC has not been verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer<'a> {
    /// Id of the key.
    pub key: KeyId,
    /// Sequence number.
    pub sequence: Sequence,
    /// The message and the trailer up to its HMAC.
    signed: &'a [u8],
    hmac: &'a [u8],
}

impl<'a> Trailer<'a> {
    /// Parses the trailer at the end of `payload`.
    ///
    /// # Errors
    ///
    /// [`DropCause::HmacMissing`] when `payload` is shorter than a trailer,
    /// [`DropCause::HmacMalformed`] when the type or the reserved bits are wrong,
    /// [`DropCause::HmacKey`] when the key id is 0.
    pub fn parse(payload: &'a [u8]) -> Result<Self, DropCause> {
        let (message, bytes) = payload
            .split_last_chunk::<TRAILER_LEN>()
            .ok_or(DropCause::HmacMissing)?;
        if bytes[trailer::TYPE] != TYPE_SHA_256_128 || bytes[trailer::RESERVED] != [0; 2] {
            return Err(DropCause::HmacMalformed);
        }
        let key = KeyId::new(bytes[trailer::KEY_ID]).ok_or(DropCause::HmacKey)?;
        let sequence = bytes[trailer::SEQUENCE]
            .try_into()
            .map_or(0, u64::from_be_bytes);
        let (signed, hmac) = payload.split_at(message.len() + trailer::HMAC.start);
        Ok(Self {
            key,
            sequence: Sequence(sequence),
            signed,
            hmac,
        })
    }

    /// Whether the HMAC was computed with `key` for a packet from `source`. Compares in constant
    /// time, so that the duration reveals nothing about the correct HMAC.
    pub fn is_genuine(&self, source: IpAddr, key: &Key) -> bool {
        let hmac = key.hmac(source, self.signed);
        hmac.verify_truncated_left(self.hmac).is_ok()
    }
}

/// Writes the trailer into the last [`TRAILER_LEN`] bytes of `message`, after the advertisement.
/// Over IPv6 the checksum covers the trailer and is computed again; over IPv4 it does not and is
/// unchanged.
pub fn sign(
    message: &mut [u8],
    source: IpAddr,
    destination: IpAddr,
    key: &Key,
    sequence: Sequence,
) {
    let Some(at) = message.len().checked_sub(TRAILER_LEN) else {
        return;
    };
    let (signed, hmac) = message.split_at_mut(at + trailer::HMAC.start);
    let head = &mut signed[at..];
    head[trailer::TYPE] = TYPE_SHA_256_128;
    head[trailer::KEY_ID] = key.id().get();
    head[trailer::RESERVED].fill(0);
    head[trailer::SEQUENCE].copy_from_slice(&sequence.to_bits().to_be_bytes());
    let digest = key.hmac(source, signed).finalize().into_bytes();
    let (first, _) = digest.split_at(hmac.len());
    hmac.copy_from_slice(first);
    if source.is_ipv6() {
        message[field::CHECKSUM].fill(0);
        let checksum = checksum::with_pseudo_header(message, source, destination);
        message[field::CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
