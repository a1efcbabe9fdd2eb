//! Forged advertisements of a sender without the key.
//!
//! Each is correct apart from its HMAC: a router that does not require an HMAC accepts it.

use std::net::IpAddr;
use std::time::Duration;

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use vrrp_proto::wire::{AddressList, Advert, Auth, ChecksumForm};
use vrrp_proto::{AdvertInterval, Family, Version, Vrid};

use crate::junk::{one_of, seal_for};

/// Defect of the HMAC trailer.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// No trailer.
    Unsigned,
    /// Trailer that is one byte too short.
    Short,
    /// Trailer that is one byte too long.
    Long,
    Type,
    Reserved,
    /// Key number 0.
    NoKey,
    /// Key number that no router has.
    OtherKey,
    /// Random bytes as the HMAC.
    Hmac,
    /// Random bytes as the HMAC, and a time one hour in the past or in the future.
    Time,
}

const WAYS: [Way; 9] = [
    Way::Unsigned,
    Way::Short,
    Way::Long,
    Way::Type,
    Way::Reserved,
    Way::NoKey,
    Way::OtherKey,
    Way::Hmac,
    Way::Time,
];

/// Returns a message with one of the defects that the bits of `ways` select, signed at `wall` (time since
/// 1970).
pub(crate) fn message(
    ways: u16,
    (vrid, version, interval): (u8, Version, AdvertInterval),
    (source, destination): (IpAddr, IpAddr),
    wall: Duration,
    rng: &mut Pcg64Mcg,
) -> Vec<u8> {
    let way = one_of(&WAYS, ways, rng).unwrap_or(Way::Unsigned);
    let mut message = Advert {
        version,
        vrid: Vrid::new(vrid.max(1)).unwrap_or_else(|| unreachable!("1 to 255")),
        // The priorities with the strongest effect apart from that of an owner.
        priority: if rng.random() { 254 } else { 0 },
        interval,
        addresses: match Family::of(source) {
            Family::V4 => AddressList::new(&[[10, 0, 0, 100]]),
            Family::V6 => AddressList::new_v6(&[[0x20; 16]]),
        },
        auth: Auth::None,
    }
    .emit(ChecksumForm::MessageOnly, source, destination);
    let apart = if matches!(way, Way::Time) {
        Duration::from_secs(3_600)
    } else {
        Duration::ZERO
    };
    let wall = if rng.random() {
        wall + apart
    } else {
        wall - apart
    };
    let seconds = u32::try_from(wall.as_secs()).unwrap_or(u32::MAX);
    let mut trailer = [0; 29];
    rng.fill(&mut trailer[8..]);
    (trailer[0], trailer[1]) = (1, 1);
    trailer[2..4].fill(0);
    trailer[4..8].copy_from_slice(&seconds.to_be_bytes());
    let mut length = 28;
    match way {
        Way::Unsigned => length = 0,
        Way::Short => length = 27,
        Way::Long => length = 29,
        Way::Type => trailer[0] = 2,
        Way::Reserved => trailer[3] = 1,
        Way::NoKey => trailer[1] = 0,
        Way::OtherKey => trailer[1] = 9,
        Way::Hmac | Way::Time => {}
    }
    message.extend(&trailer[..length]);
    seal_for(&mut message, source, destination);
    message
}
