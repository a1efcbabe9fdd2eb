//! Invalid messages: every router has to reject them, each for one reason.

use std::net::IpAddr;

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use vrrp_proto::wire::{AddressList, Advert, Auth, ChecksumForm, HOP_LIMIT, PROTOCOL};
use vrrp_proto::{AdvertInterval, Family, Password, Version, Vrid};

/// Reason for which the message is invalid.
#[derive(Clone, Copy, Debug)]
enum Kind {
    HopLimit,
    Version,
    Type,
    Truncated,
    Checksum,
    NoAddresses,
    ZeroInterval,
    Password,
    AuthType,
    Noise,
    Empty,
    /// Over IPv6 a checksum of the message alone, without the pseudo-header. Over IPv4 such a checksum
    /// is valid, so the message gets a wrong one instead.
    PlainChecksum,
    /// Addresses of the other family.
    OtherFamily,
}

const KINDS: [Kind; 13] = [
    Kind::HopLimit,
    Kind::Version,
    Kind::Type,
    Kind::Truncated,
    Kind::Checksum,
    Kind::NoAddresses,
    Kind::ZeroInterval,
    Kind::Password,
    Kind::AuthType,
    Kind::Noise,
    Kind::Empty,
    Kind::PlainChecksum,
    Kind::OtherFamily,
];

/// Bit of the message that counts no address.
pub(crate) const NO_ADDRESSES: u16 = 1 << Kind::NoAddresses as u16;

/// Hop limit below the minimum of every configuration.
const FAR: u8 = 63;

/// Returns a message of one of the kinds that the bits of `kinds` select, with its hop limit. It lists `own`, a
/// virtual address of the router: the message of another virtual router would have no effect anyway.
pub(crate) fn message(
    kinds: u16,
    (vrid, own): (u8, Option<IpAddr>),
    source: IpAddr,
    destination: IpAddr,
    rng: &mut Pcg64Mcg,
) -> (Vec<u8>, u8) {
    let kind = one_of(&KINDS, kinds, rng).unwrap_or(Kind::Noise);
    // The priorities with the strongest effect: 255 (owner), or 0 (the master gives up).
    let priority = if rng.random() { 255 } else { 0 };
    let version = if rng.random() {
        Version::V2
    } else {
        Version::V3
    };
    let family = Family::of(source);
    let ipv4 = [match own {
        Some(IpAddr::V4(own)) => own.octets(),
        Some(IpAddr::V6(_)) | None => [10, 0, 0, 100],
    }];
    let ipv6 = [match own {
        Some(IpAddr::V6(own)) => own.octets(),
        Some(IpAddr::V4(_)) | None => [0x20; 16],
    }];
    let list = |family| match family {
        Family::V4 => AddressList::new(&ipv4),
        Family::V6 => AddressList::new_v6(&ipv6),
    };
    let with = |version, auth, addresses| {
        Advert {
            version,
            vrid: Vrid::new(vrid.max(1)).unwrap_or_else(|| unreachable!("1 to 255")),
            priority,
            interval: AdvertInterval::DEFAULT,
            addresses,
            auth,
        }
        .emit(ChecksumForm::MessageOnly, source, destination)
    };
    let of = |version, auth| with(version, auth, list(family));
    let mend_checksum = |message: &mut Vec<u8>| mend_checksum(message, source, destination);
    let mut bytes = of(version, Auth::None);
    match kind {
        // Multicast always requires 255; a unicast configuration may accept less.
        Kind::HopLimit if destination.is_multicast() => return (bytes, HOP_LIMIT - 1),
        Kind::HopLimit => return (bytes, FAR),
        Kind::Version => {
            bytes[0] = 0x41;
            mend_checksum(&mut bytes);
        }
        Kind::Type => {
            bytes[0] = bytes[0] & 0xf0 | 2;
            mend_checksum(&mut bytes);
        }
        Kind::Truncated => bytes.truncate(rng.random_range(2..12)),
        Kind::Checksum => bytes[6] ^= 0x55,
        Kind::NoAddresses => {
            bytes = of(Version::V3, Auth::None);
            bytes.truncate(8);
            bytes[3] = 0;
            mend_checksum(&mut bytes);
        }
        Kind::ZeroInterval => {
            (bytes[4], bytes[5]) = (0, 0);
            mend_checksum(&mut bytes);
        }
        Kind::Password => {
            let wrong = Password::new(b"wrong").map_or(Auth::None, Auth::Pass);
            bytes = of(Version::V2, wrong);
        }
        Kind::AuthType => {
            bytes = of(Version::V2, Auth::None);
            bytes[4] = 2;
            mend_checksum(&mut bytes);
        }
        Kind::Noise => {
            let length = rng.random_range(2..40);
            bytes = (0..length).map(|_| rng.random()).collect();
            bytes[1] = vrid;
            // Version 0 is invalid, regardless of the other random bytes.
            bytes[0] &= 0x0f;
        }
        Kind::Empty => bytes.clear(),
        Kind::PlainChecksum => match family {
            Family::V4 => bytes[6] ^= 0xaa,
            Family::V6 => seal(&mut bytes, 0),
        },
        Kind::OtherFamily => match family {
            // The receiver cannot tell surplus bytes from padding: a count of 16 makes the IPv4 list
            // too short.
            Family::V4 => {
                bytes = with(Version::V3, Auth::None, list(Family::V6));
                bytes[3] = 16;
                mend_checksum(&mut bytes);
            }
            Family::V6 => bytes = with(Version::V3, Auth::None, list(Family::V4)),
        },
    }
    (bytes, HOP_LIMIT)
}

/// Picks one of the elements that `bits` selects.
pub(crate) fn one_of<T: Copy>(all: &[T], bits: u16, rng: &mut Pcg64Mcg) -> Option<T> {
    let chosen = (0..).zip(all).filter(|(bit, _)| bits >> bit & 1 == 1);
    let chosen: Vec<T> = chosen.map(|(_, each)| *each).collect();
    (!chosen.is_empty()).then(|| chosen[rng.random_range(0..chosen.len())])
}

/// Corrects the checksum of an advertisement for another source address. Over IPv6 it covers the whole
/// payload with the trailer, over IPv4 the message alone.
pub(crate) fn seal_for(payload: &mut [u8], source: IpAddr, destination: IpAddr) {
    let Some(&[version_type, _, _, count]) = payload.first_chunk() else {
        return;
    };
    let password = if version_type >> 4 == 2 { 8 } else { 0 };
    let proper = match source {
        IpAddr::V4(_) => 8 + 4 * usize::from(count) + password,
        IpAddr::V6(_) => payload.len(),
    };
    if let Some(message) = payload.get_mut(..proper) {
        mend_checksum(message, source, destination);
    }
}

/// Corrects the checksum: over IPv6 with the pseudo-header of RFC 8200 section 8.1, over IPv4 without.
fn mend_checksum(message: &mut [u8], source: IpAddr, destination: IpAddr) {
    let pseudo_header = match (source, destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = u32::try_from(message.len()).unwrap_or_default();
            sum(&source.octets()) + sum(&destination.octets()) + length + u32::from(PROTOCOL)
        }
        _ => 0,
    };
    seal(message, pseudo_header);
}

/// Writes the checksum of the message, starting with the sum of the pseudo-header (RFC 1071).
fn seal(message: &mut [u8], before: u32) {
    (message[6], message[7]) = (0, 0);
    let mut sum = before + sum(message);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [high, low] = u16::try_from(!sum & 0xffff)
        .unwrap_or_default()
        .to_be_bytes();
    (message[6], message[7]) = (high, low);
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| {
            u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]))
        })
        .sum()
}
