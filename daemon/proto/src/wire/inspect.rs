//! Content of an advertisement for an observer of the network, who has no configuration to compare it with.
//!
//! [`Advert::parse`](super::Advert::parse) drops a packet at the first failed check, as a router has to.
//! [`inspect`] reports what the fields say, and what is wrong with them.

use super::advert::{
    AUTH_NONE, AUTH_PASS, AddressList, TYPE_ADVERTISEMENT, address_len, check_checksum,
};
use super::field;
use super::hmac::Trailer;
use super::{ChecksumForm, DropCause, carp, checksum};
use crate::types::{AdvertInterval, Family, Version, Vrid};
use crate::wire::Packet;

/// Fields of an advertisement as they stand in the packet. A password is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected<'a> {
    /// Protocol version.
    pub version: Version,
    /// VRID of the virtual router.
    pub vrid: Vrid,
    /// Priority of the sender; 0 when it resigns.
    pub priority: u8,
    /// Advertisement interval; `None` for the invalid 0.
    pub interval: Option<AdvertInterval>,
    /// Virtual addresses.
    pub addresses: AddressList<'a>,
    /// Authentication type.
    pub auth: AuthType,
    /// Whether a trailer with an HMAC follows the message.
    pub is_signed: bool,
    /// Checksum.
    pub checksum: Checksum,
}

/// Authentication type of a version 2 message (RFC 2338 section 5.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthType {
    /// None, the only type of version 3.
    None,
    /// Password.
    Pass,
    /// Another type; 2 is the IP authentication header.
    Other(u8),
}

/// Checksum of an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checksum {
    /// Right in this form.
    Right(ChecksumForm),
    /// Wrong in every form that the version permits.
    Wrong {
        /// The checksum in the message.
        found: u16,
        /// The right checksum over the message alone; `None` over IPv6, where this form is not permitted.
        message_only: Option<u16>,
        /// The right checksum with the pseudo-header; `None` in version 2 over IPv4.
        with_pseudo_header: Option<u16>,
        /// The form, not permitted here, in which the found checksum would be right.
        computed_as: Option<ChecksumForm>,
    },
}

/// Reads the fields of an advertisement. TTL and hop limit are not checked.
///
/// # Errors
/// Why the packet is no advertisement of version 2 or 3 that can be read.
pub fn inspect<'a>(packet: &Packet<'a>) -> Result<Inspected<'a>, DropCause> {
    let message = packet.payload;
    if carp::is_advertisement(message) {
        return Err(DropCause::Carp);
    }
    let family = Family::of(packet.source);
    let version_type = *message.get(field::VERSION_TYPE).ok_or(DropCause::Length)?;
    let version = match (version_type >> 4, family) {
        (2, Family::V4) => Version::V2,
        (3, Family::V4 | Family::V6) => Version::V3,
        _ => return Err(DropCause::Version),
    };
    if version_type & 0x0f != TYPE_ADVERTISEMENT {
        return Err(DropCause::Type);
    }
    let (header, rest) = message
        .split_first_chunk::<{ field::HEADER_LEN }>()
        .ok_or(DropCause::Length)?;
    let count = usize::from(header[field::COUNT]);
    let (addresses, rest) = rest
        .split_at_checked(count * address_len(family))
        .ok_or(DropCause::Length)?;
    let (interval, auth, beyond) = match version {
        Version::V2 => {
            let beyond = rest.get(field::AUTH_DATA_LEN..).ok_or(DropCause::Length)?;
            let auth = match header[field::AUTH_TYPE] {
                AUTH_NONE => AuthType::None,
                AUTH_PASS => AuthType::Pass,
                other => AuthType::Other(other),
            };
            let seconds = header[field::INTERVAL_SECONDS];
            (AdvertInterval::from_seconds(seconds), auth, beyond)
        }
        Version::V3 => {
            let [high, low] = [header[4], header[5]];
            let centiseconds = u16::from_be_bytes([high & 0x0f, low]);
            let interval = AdvertInterval::from_centiseconds(centiseconds);
            (interval, AuthType::None, rest)
        }
    };
    let checksum = match check_checksum(packet, beyond.len(), version) {
        Ok(form) => Checksum::Right(form),
        Err(_) => wrong_checksum(packet, beyond.len(), version, family),
    };
    Ok(Inspected {
        version,
        vrid: Vrid::new(header[field::VRID]).ok_or(DropCause::UnknownVrid)?,
        priority: header[field::PRIORITY],
        interval,
        addresses: AddressList::of_bytes(family, addresses),
        auth,
        is_signed: Trailer::parse(beyond).is_ok(),
        checksum,
    })
}

fn wrong_checksum(
    packet: &Packet<'_>,
    beyond: usize,
    version: Version,
    family: Family,
) -> Checksum {
    let mut covered = packet.payload.to_vec();
    if family == Family::V4 {
        covered.truncate(covered.len() - beyond);
    }
    let mut found = [0; 2];
    found.copy_from_slice(&covered[field::CHECKSUM]);
    covered[field::CHECKSUM].fill(0);
    let found = u16::from_be_bytes(found);
    let plain = checksum::plain(&covered);
    let pseudo = checksum::with_pseudo_header(&covered, packet.source, packet.destination);
    let (message_only, with_pseudo_header) = match (family, version) {
        (Family::V4, Version::V2) => (Some(plain), None),
        (Family::V4, Version::V3) => (Some(plain), Some(pseudo)),
        (Family::V6, Version::V2 | Version::V3) => (None, Some(pseudo)),
    };
    let computed_as = if found == plain && message_only.is_none() {
        Some(ChecksumForm::MessageOnly)
    } else if found == pseudo && with_pseudo_header.is_none() {
        Some(ChecksumForm::WithPseudoHeader)
    } else {
        None
    };
    Checksum::Wrong {
        found,
        message_only,
        with_pseudo_header,
        computed_as,
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;
    use crate::types::{InterfaceIndex, Password};
    use crate::wire::{Advert, Auth, GROUP_V4, GROUP_V6, HOP_LIMIT};

    const ADDRESSES: [[u8; 4]; 2] = [[10, 0, 0, 1], [10, 0, 0, 2]];
    const ADDRESSES_V6: [[u8; 16]; 1] = [[0xfe; 16]];

    #[test]
    fn inspected_fields_are_those_that_were_emitted() {
        let password = Auth::Pass(Password::new(b"1111").unwrap());
        for (version, auth, kind) in [
            (Version::V2, Auth::None, AuthType::None),
            (Version::V2, password, AuthType::Pass),
            (Version::V3, Auth::None, AuthType::None),
        ] {
            let bytes = v4(version, auth, ChecksumForm::MessageOnly);
            let seen = inspect(&packet("10.0.0.9", &bytes)).unwrap();
            assert_eq!(seen.version, version);
            assert_eq!((seen.vrid.get(), seen.priority), (51, 100));
            assert_eq!(seen.interval, Some(AdvertInterval::DEFAULT));
            assert_eq!(seen.addresses.len(), 2);
            assert_eq!((seen.auth, seen.is_signed), (kind, false));
            assert_eq!(seen.checksum, Checksum::Right(ChecksumForm::MessageOnly));
        }
        let bytes = v6();
        let seen = inspect(&packet("fe80::9", &bytes)).unwrap();
        assert_eq!(seen.addresses.len(), 1);
        let right = Checksum::Right(ChecksumForm::WithPseudoHeader);
        assert_eq!(seen.checksum, right);
    }

    #[test]
    fn wrong_checksum_comes_with_the_right_ones() {
        let mut bytes = v4(Version::V3, Auth::None, ChecksumForm::MessageOnly);
        let right = u16::from_be_bytes([bytes[6], bytes[7]]);
        bytes[6] ^= 0xff;
        let seen = inspect(&packet("10.0.0.9", &bytes)).unwrap();
        let Checksum::Wrong {
            found,
            message_only,
            with_pseudo_header,
            computed_as,
        } = seen.checksum
        else {
            panic!("{seen:?}");
        };
        assert_eq!(found, right ^ 0xff00);
        assert_eq!(message_only, Some(right));
        assert!(with_pseudo_header.is_some());
        assert_eq!(computed_as, None);
    }

    #[test]
    fn checksum_of_the_other_form_is_named() {
        let mut two = v4(Version::V2, Auth::None, ChecksumForm::MessageOnly);
        two[6..8].fill(0);
        let group = GROUP_V4.into();
        let pseudo = checksum::with_pseudo_header(&two, "10.0.0.9".parse().unwrap(), group);
        two[6..8].copy_from_slice(&pseudo.to_be_bytes());
        assert_eq!(
            computed_as(&packet("10.0.0.9", &two)),
            Some(ChecksumForm::WithPseudoHeader)
        );
        let mut six = v6();
        six[6..8].fill(0);
        let plain = checksum::plain(&six);
        six[6..8].copy_from_slice(&plain.to_be_bytes());
        assert_eq!(
            computed_as(&packet("fe80::9", &six)),
            Some(ChecksumForm::MessageOnly)
        );
    }

    #[test]
    fn other_authentication_types_and_an_interval_of_zero_are_reported() {
        let mut bytes = v4(Version::V2, Auth::None, ChecksumForm::MessageOnly);
        bytes[4] = 2;
        bytes[5] = 0;
        let seen = inspect(&packet("10.0.0.9", &bytes)).unwrap();
        assert_eq!(seen.auth, AuthType::Other(2));
        assert_eq!(seen.interval, None);
    }

    #[test]
    fn unreadable_packets_have_a_cause() {
        let bytes = v4(Version::V2, Auth::None, ChecksumForm::MessageOnly);
        for length in 0..bytes.len() {
            let cause = inspect(&packet("10.0.0.9", &bytes[..length])).unwrap_err();
            assert_eq!(cause, DropCause::Length, "{length} bytes");
        }
        let changed = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            inspect(&packet("10.0.0.9", &bytes)).unwrap_err()
        };
        assert_eq!(changed(0, 0x41), DropCause::Version);
        assert_eq!(changed(0, 0x22), DropCause::Type);
        assert_eq!(changed(1, 0), DropCause::UnknownVrid);
        let mut carp = [0xa5; 36];
        carp[..8].copy_from_slice(&[0x21, 51, 0, 7, 0, 1, 0x12, 0x34]);
        let cause = inspect(&packet("10.0.0.9", &carp)).unwrap_err();
        assert_eq!(cause, DropCause::Carp);
        // Version 2 is of IPv4 only.
        let cause = inspect(&packet("fe80::9", &bytes)).unwrap_err();
        assert_eq!(cause, DropCause::Version);
    }

    fn computed_as(packet: &Packet<'_>) -> Option<ChecksumForm> {
        match inspect(packet).unwrap().checksum {
            Checksum::Wrong { computed_as, .. } => computed_as,
            Checksum::Right(form) => panic!("{form:?}"),
        }
    }

    fn packet<'a>(source: &str, payload: &'a [u8]) -> Packet<'a> {
        let source: IpAddr = source.parse().unwrap();
        Packet {
            at: crate::Instant::ZERO,
            interface: InterfaceIndex(1),
            source,
            destination: crate::wire::group(Family::of(source)),
            hop_limit: HOP_LIMIT,
            payload,
        }
    }

    fn v4(version: Version, auth: Auth, form: ChecksumForm) -> Vec<u8> {
        let source: IpAddr = "10.0.0.9".parse().unwrap();
        advert(version, AddressList::new(&ADDRESSES), auth).emit(form, source, GROUP_V4)
    }

    fn v6() -> Vec<u8> {
        let source: IpAddr = "fe80::9".parse().unwrap();
        let advert = advert(Version::V3, AddressList::new_v6(&ADDRESSES_V6), Auth::None);
        advert.emit(ChecksumForm::WithPseudoHeader, source, GROUP_V6)
    }

    fn advert(version: Version, addresses: AddressList<'_>, auth: Auth) -> Advert<'_> {
        Advert {
            version,
            vrid: Vrid::new(51).unwrap(),
            priority: 100,
            interval: AdvertInterval::DEFAULT,
            addresses,
            auth,
        }
    }
}
