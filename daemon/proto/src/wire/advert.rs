//! Advertisements of versions 2 and 3: their content and their bytes.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |Version| Type  | Virtual Rtr ID|   Priority    | Count of addr.|
//! +-------+-------+---------------+---------------+---------------+
//! |2: auth type   |2: interval, s |                               |
//! |3: reserved, interval in cs    |           Checksum            |
//! +---------------+---------------+-------------------------------+
//! |              Addresses, 4 or, in IPv6, 16 bytes each            |
//! +---------------------------------------------------------------+
//! |2: authentication data, 8 bytes                                |
//! +---------------------------------------------------------------+
//! ```

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::{self, ChecksumForm};
use super::hmac::TRAILER_LEN;
use super::{DropCause, PRIORITY_RESIGN, carp, field};
use crate::types::{AdvertInterval, Family, Password, Version, Vrid};
use crate::wire::Packet;

/// Message type of an advertisement, the only one (RFC 9568 section 5.2.2).
pub(super) const TYPE_ADVERTISEMENT: u8 = 1;

/// Authentication types of RFC 2338 section 5.3.6; RFC 3768 keeps only 0.
pub(super) const AUTH_NONE: u8 = 0;
pub(super) const AUTH_PASS: u8 = 1;

/// Content of an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert<'a> {
    /// Protocol version.
    pub version: Version,
    /// VRID of the virtual router.
    pub vrid: Vrid,
    /// Priority of the sender; [`PRIORITY_RESIGN`] when it resigns.
    pub priority: u8,
    /// Advertisement interval of the sender.
    pub interval: AdvertInterval,
    /// Virtual addresses.
    pub addresses: AddressList<'a>,
    /// Authentication.
    pub auth: Auth,
}

/// Authentication of an advertisement, apart from a trailer with an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// None: the only type of version 3 and of RFC 3768.
    #[default]
    None,
    /// Password of RFC 2338, readable by all hosts on the network.
    Pass(Password),
}

/// Addresses of an advertisement, all of one family, as bytes of the message.
// RFC 9568 5.2.9 MUST: the addresses are of the family of the IP header
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressList<'a> {
    /// IPv4 addresses in network order.
    V4(&'a [[u8; 4]]),
    /// IPv6 addresses in network order.
    V6(&'a [[u8; 16]]),
}

impl<'a> AddressList<'a> {
    /// List of IPv4 addresses. Addresses after the 255th cannot be advertised and are left out.
    pub fn new(addresses: &'a [[u8; 4]]) -> Self {
        Self::V4(addresses.get(..usize::from(u8::MAX)).unwrap_or(addresses))
    }

    /// List of IPv6 addresses; see [`new`](Self::new).
    pub fn new_v6(addresses: &'a [[u8; 16]]) -> Self {
        Self::V6(addresses.get(..usize::from(u8::MAX)).unwrap_or(addresses))
    }

    /// List of the addresses in `bytes`; an incomplete address at the end is left out.
    pub(crate) fn of_bytes(family: Family, bytes: &'a [u8]) -> Self {
        match family {
            Family::V4 => Self::V4(bytes.as_chunks().0),
            Family::V6 => Self::V6(bytes.as_chunks().0),
        }
    }

    /// Family of the addresses.
    pub const fn family(self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }

    /// Number of addresses.
    pub const fn len(self) -> usize {
        match self {
            Self::V4(addresses) => addresses.len(),
            Self::V6(addresses) => addresses.len(),
        }
    }

    /// Whether the list is empty.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Addresses in the order of the message.
    pub fn iter(self) -> impl ExactSizeIterator<Item = IpAddr> + Clone + 'a {
        (0..self.len()).map(move |index| match self {
            Self::V4(addresses) => Ipv4Addr::from(addresses[index]).into(),
            Self::V6(addresses) => Ipv6Addr::from(addresses[index]).into(),
        })
    }

    /// The addresses as they stand in the message.
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::V4(addresses) => addresses.as_flattened(),
            Self::V6(addresses) => addresses.as_flattened(),
        }
    }
}

/// Maximum number of addresses of `family` in an advertisement: the limit of its count field (RFC
/// 9568 section 5.2.5) and of a packet of 1,500 bytes with IP header and a trailer with an HMAC.
pub const fn most_addresses(family: Family) -> usize {
    const MTU: usize = 1500;
    match family {
        Family::V4 => u8::MAX as usize,
        Family::V6 => {
            let room = MTU - super::ipv6::HEADER_LEN - field::HEADER_LEN - TRAILER_LEN;
            room / address_len(family)
        }
    }
}

pub(super) const fn address_len(family: Family) -> usize {
    family.address_bits() as usize / 8
}

/// Requirements of a router on received advertisements.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Protocol version.
    pub version: Version,
    /// Advertisement interval, which version 2 requires to be equal.
    pub interval: AdvertInterval,
    /// Authentication.
    pub auth: Auth,
    /// Minimum TTL or hop limit: [`HOP_LIMIT`](super::HOP_LIMIT), the largest possible, or less for
    /// unicast peers behind IP routers.
    pub hop_limit: u8,
    /// Whether an empty list of addresses is accepted in version 3. keepalived sends one where it has
    /// `no_virtual_ipaddress`.
    pub may_be_empty: bool,
}

/// An advertisement that passed all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The advertisement.
    pub advert: Advert<'a>,
    /// Form of its checksum. In version 2 always [`ChecksumForm::MessageOnly`].
    pub checksum: ChecksumForm,
    /// Bytes after the advertisement: usually none, or the trailer of [`hmac`](super::hmac).
    pub beyond: &'a [u8],
}

impl<'a> Advert<'a> {
    /// The VRID of a message, without any other check.
    pub fn peek_vrid(message: &[u8]) -> Option<Vrid> {
        Vrid::new(*message.get(field::VRID)?)
    }

    /// Parses and checks a received packet.
    ///
    /// # Errors
    /// The first check that fails, in the order of RFC 9568 section 7.1 and RFC 3768 section 7.1.
    pub fn parse(packet: &Packet<'a>, expected: &Expected) -> Result<Received<'a>, DropCause> {
        let message = packet.payload;

        // RFC 9568 7.1 MUST: the TTL is 255
        if packet.hop_limit < expected.hop_limit {
            return Err(DropCause::HopLimit);
        }
        if carp::is_advertisement(message) {
            return Err(DropCause::Carp);
        }
        // RFC 9568 7.1 MUST: the version is 3
        // RFC 3768 7.1 MUST: the version is 2
        let version_type = *message.get(field::VERSION_TYPE).ok_or(DropCause::Length)?;
        if version_type >> 4 != expected.version.number() {
            return Err(DropCause::Version);
        }
        // RFC 9568 7.1 MUST: the type is 1
        if version_type & 0x0f != TYPE_ADVERTISEMENT {
            return Err(DropCause::Type);
        }
        // RFC 9568 7.1 MUST: the packet is complete
        // RFC 3768 7.1 MUST: the packet is complete, authentication data included
        let (header, rest) = message
            .split_first_chunk::<{ field::HEADER_LEN }>()
            .ok_or(DropCause::Length)?;
        let count = usize::from(header[field::COUNT]);
        // RFC 9568 5.2.9 MUST: the addresses are of the family of the IP header
        let family = Family::of(packet.source);
        let (addresses, auth_data) = rest
            .split_at_checked(count * address_len(family))
            .ok_or(DropCause::Length)?;
        let addresses = AddressList::of_bytes(family, addresses);
        let (auth_data, beyond) = match expected.version {
            Version::V2 => {
                let (data, beyond) = auth_data.split_first_chunk().ok_or(DropCause::Length)?;
                (Some(*data), beyond)
            }
            Version::V3 => (None, auth_data),
        };
        // RFC 9568 7.1 MUST: the checksum is right
        let checksum = check_checksum(packet, beyond.len(), expected.version)?;

        let vrid = Vrid::new(header[field::VRID]).ok_or(DropCause::UnknownVrid)?;
        let (interval, auth) = match auth_data {
            Some(data) => {
                // RFC 3768 7.1 MUST: the authentication is the configured one
                let auth = check_auth(header[field::AUTH_TYPE], &data, expected.auth)?;
                // RFC 3768 7.1 MUST: another interval than the own one is discarded
                let interval = AdvertInterval::from_seconds(header[field::INTERVAL_SECONDS])
                    .filter(|interval| *interval == expected.interval)
                    .ok_or(DropCause::Interval)?;
                (interval, auth)
            }
            None => {
                // RFC 9568 5.2.6 MUST: ignore the reserved bits of others
                let [high, low] = [header[4], header[5]];
                let centiseconds = u16::from_be_bytes([high & 0x0f, low]);
                // RFC 9568 7.1 erratum 8301 MUST: the interval is not zero
                let interval = AdvertInterval::from_centiseconds(centiseconds)
                    .ok_or(DropCause::ZeroInterval)?;
                // RFC 9568 5.2.5 erratum 8299 MUST: ignore an advertisement that counts no address
                if addresses.is_empty() && !expected.may_be_empty {
                    return Err(DropCause::NoAddresses);
                }
                (interval, Auth::None)
            }
        };
        Ok(Received {
            advert: Self {
                version: expected.version,
                vrid,
                priority: header[field::PRIORITY],
                interval,
                addresses,
                auth,
            },
            checksum,
            beyond,
        })
    }

    /// Whether the sender resigns.
    pub const fn resigns(&self) -> bool {
        self.priority == PRIORITY_RESIGN
    }

    /// The message as bytes. `source` and `destination` are the addresses of its IP header. A
    /// version 3 checksum with the pseudo-header covers them; over IPv6 the checksum always has
    /// this form.
    pub fn emit(
        &self,
        form: ChecksumForm,
        source: impl Into<IpAddr>,
        destination: impl Into<IpAddr>,
    ) -> Vec<u8> {
        let (source, destination) = (source.into(), destination.into());
        let mut message = vec![0; field::HEADER_LEN];
        message[field::VERSION_TYPE] = self.version.number() << 4 | TYPE_ADVERTISEMENT;
        message[field::VRID] = self.vrid.get();
        message[field::PRIORITY] = self.priority;
        message[field::COUNT] = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        message.extend(self.addresses.bytes());
        match self.version {
            Version::V2 => {
                let seconds = self.interval.centiseconds() / 100;
                message[field::INTERVAL_SECONDS] = u8::try_from(seconds).unwrap_or(u8::MAX);
                match self.auth {
                    // RFC 3768 5.3.10 SHOULD: send zeros as authentication data
                    Auth::None => message.extend([0; field::AUTH_DATA_LEN]),
                    Auth::Pass(password) => {
                        message[field::AUTH_TYPE] = AUTH_PASS;
                        message.extend(password.bytes());
                    }
                }
            }
            // An interval is at most 12 bits long, so the reserved bits stay zero.
            // RFC 9568 5.2.6 MUST: send the reserved bits as zero
            Version::V3 => message[field::INTERVAL_CENTISECONDS]
                .copy_from_slice(&self.interval.centiseconds().to_be_bytes()),
        }
        // RFC 9568 7.2 MUST: the checksum is computed
        let checksum = match (self.addresses.family(), self.version, form) {
            // RFC 9568 5.2.8 MUST: the checksum over IPv4 covers the message alone
            // RFC 3768 5.3.8 MUST: the checksum covers the message alone
            (Family::V4, Version::V2, _) | (Family::V4, Version::V3, ChecksumForm::MessageOnly) => {
                checksum::plain(&message)
            }
            // RFC 5798 5.2.8 MUST: the checksum covers the pseudo-header too
            // RFC 9568 5.2.8 MUST: the checksum over IPv6 covers the pseudo-header too
            (Family::V4, Version::V3, ChecksumForm::WithPseudoHeader) | (Family::V6, _, _) => {
                checksum::with_pseudo_header(&message, source, destination)
            }
        };
        message[field::CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
        message
    }
}

/// Returns the form of a packet's checksum. The last `beyond` bytes are not part of the
/// advertisement.
///
/// The RFCs require a minimum length and do not mention surplus bytes. They are ignored, so that a
/// router without HMAC accepts the advertisements of a router that signs. This costs no security,
/// since a sender that can append bytes can also leave them out. Over IPv4 the checksum is that of
/// the message and does not cover them; over IPv6 it is that of the packet (RFC 8200 section 8.1)
/// and does.
pub(super) fn check_checksum(
    packet: &Packet<'_>,
    beyond: usize,
    version: Version,
) -> Result<ChecksumForm, DropCause> {
    let Packet {
        source,
        destination,
        payload,
        ..
    } = *packet;
    let covered = match Family::of(source) {
        Family::V4 => &payload[..payload.len() - beyond],
        Family::V6 => payload,
    };
    let has_pseudo_header = || checksum::with_pseudo_header(covered, source, destination) == 0;
    let is_plain = || checksum::plain(covered) == 0;
    match (Family::of(source), version) {
        // RFC 9568 5.2.8 MUST: the checksum over IPv6 covers the pseudo-header too
        (Family::V4 | Family::V6, Version::V3) if has_pseudo_header() => {
            Ok(ChecksumForm::WithPseudoHeader)
        }
        (Family::V4, Version::V2 | Version::V3) if is_plain() => Ok(ChecksumForm::MessageOnly),
        (Family::V4 | Family::V6, Version::V2 | Version::V3) => Err(DropCause::Checksum),
    }
}

/// Returns the authentication of a version 2 message if it is the expected one.
fn check_auth(kind: u8, data: &[u8; 8], expected: Auth) -> Result<Auth, DropCause> {
    match (kind, expected) {
        // RFC 3768 5.3.10 SHOULD: ignore authentication data of others
        (AUTH_NONE, Auth::None) => Ok(Auth::None),
        (AUTH_PASS, Auth::Pass(password)) => {
            // Compares all eight bytes, so that the time taken reveals nothing about the password.
            let differing = password
                .bytes()
                .iter()
                .zip(data)
                .fold(0, |acc, (a, b)| acc | (a ^ b));
            if differing == 0 {
                Ok(expected)
            } else {
                Err(DropCause::AuthPassword)
            }
        }
        // RFC 3768 5.3.6 MUST: discard an unknown or another authentication type
        _ => Err(DropCause::AuthType),
    }
}

#[cfg(test)]
mod tests;
