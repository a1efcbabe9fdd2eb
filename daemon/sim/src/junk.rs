//! Messages that no router may believe, each for one reason.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use vrrp_proto::wire::{AddressList, Advert, Auth, ChecksumForm, GROUP_V4, HOP_LIMIT};
use vrrp_proto::{AdvertInterval, InterfaceAddress, Password, Version, Vrid};

/// Why nobody may believe it.
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
}

const KINDS: [Kind; 11] = [
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
];

/// A message of one of the `kinds` whose bits are set, with its hop limit.
pub(crate) fn message(
    kinds: u16,
    vrid: u8,
    source: InterfaceAddress,
    rng: &mut Pcg64Mcg,
) -> (Vec<u8>, u8) {
    let chosen: Vec<Kind> = (0..)
        .zip(KINDS)
        .filter(|(bit, _)| kinds >> bit & 1 == 1)
        .map(|(_, kind)| kind)
        .collect();
    let kind = match chosen.len() {
        0 => Kind::Noise,
        count => chosen[rng.random_range(0..count)],
    };
    // As convincing as it can be: the greatest priority, or the end of everything.
    let priority = if rng.random() { 255 } else { 0 };
    let version = if rng.random() {
        Version::V2
    } else {
        Version::V3
    };
    let of = |version, auth| {
        let source = source.ipv4().unwrap_or_else(|| unreachable!("IPv4"));
        Advert {
            version,
            vrid: Vrid::new(vrid.max(1)).unwrap_or_else(|| unreachable!("1 to 255")),
            priority,
            interval: AdvertInterval::DEFAULT,
            addresses: AddressList::new(&[[10, 0, 0, 100]]),
            auth,
        }
        .emit(ChecksumForm::MessageOnly, source, GROUP_V4)
    };
    let mut bytes = of(version, Auth::None);
    match kind {
        Kind::HopLimit => return (bytes, HOP_LIMIT - 1),
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
            // Whatever the rest is, of this version there is no router.
            bytes[0] &= 0x0f;
        }
        Kind::Empty => bytes.clear(),
    }
    (bytes, HOP_LIMIT)
}

/// Makes the checksum right again (RFC 1071).
fn mend_checksum(message: &mut [u8]) {
    (message[6], message[7]) = (0, 0);
    let mut sum: u32 = message
        .chunks(2)
        .map(|pair| {
            u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]))
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [high, low] = u16::try_from(!sum & 0xffff)
        .unwrap_or_default()
        .to_be_bytes();
    (message[6], message[7]) = (high, low);
}
