//! One advertisement: what it means, and its bytes in versions 2 and 3 over IPv4.
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
//! |                        Addresses, 4 bytes each                |
//! +---------------------------------------------------------------+
//! |2: authentication data, 8 bytes                                |
//! +---------------------------------------------------------------+
//! ```

use core::net::{IpAddr, Ipv4Addr};
use core::ops::Range;

use super::checksum::{self, ChecksumForm};
use super::{DropCause, HOP_LIMIT, PRIORITY_RESIGN};
use crate::border::Packet;
use crate::types::{AdvertInterval, Password, Version, Vrid};

/// The only type there is (RFC 9568 section 5.2.2).
const TYPE_ADVERTISEMENT: u8 = 1;

/// Authentication types of RFC 2338 section 5.3.6; RFC 3768 keeps 0 only.
const AUTH_NONE: u8 = 0;
const AUTH_PASS: u8 = 1;

/// Where the fields stand.
mod field {
    use super::Range;

    pub(super) const VERSION_TYPE: usize = 0;
    pub(super) const VRID: usize = 1;
    pub(super) const PRIORITY: usize = 2;
    pub(super) const COUNT: usize = 3;
    pub(super) const AUTH_TYPE: usize = 4;
    pub(super) const INTERVAL_SECONDS: usize = 5;
    pub(super) const INTERVAL_CENTISECONDS: Range<usize> = 4..6;
    pub(super) const CHECKSUM: Range<usize> = 6..8;
    pub(super) const HEADER_LEN: usize = 8;
    pub(super) const ADDRESS_LEN: usize = 4;
    pub(super) const AUTH_DATA_LEN: usize = 8;
}

/// An advertisement, as it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert<'a> {
    /// The version it is written in.
    pub version: Version,
    /// The virtual router that it is about.
    pub vrid: Vrid,
    /// The sender's priority; [`PRIORITY_RESIGN`] when it leaves.
    pub priority: u8,
    /// The time between the sender's advertisements.
    pub interval: AdvertInterval,
    /// The virtual addresses.
    pub addresses: AddressList<'a>,
    /// How it is authenticated.
    pub auth: Auth,
}

/// The authentication of an advertisement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// None: the only one of version 3 and of RFC 3768.
    #[default]
    None,
    /// The password of RFC 2338, readable by everybody on the network.
    Pass(Password),
}

/// The addresses of an advertisement, still in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressList<'a>(&'a [[u8; field::ADDRESS_LEN]]);

impl<'a> AddressList<'a> {
    /// A list in network order, at most 255 long: the rest cannot be advertised and is left out.
    pub fn new(addresses: &'a [[u8; 4]]) -> Self {
        Self(addresses.get(..usize::from(u8::MAX)).unwrap_or(addresses))
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The addresses, in the sender's order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = IpAddr> + 'a {
        self.0
            .iter()
            .map(|octets| IpAddr::V4(Ipv4Addr::from(*octets)))
    }
}

/// What a router demands of an advertisement.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The version it speaks.
    pub version: Version,
    /// Its interval, which version 2 demands of the others too.
    pub interval: AdvertInterval,
    /// Its authentication.
    pub auth: Auth,
}

/// An advertisement that passed all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The advertisement.
    pub advert: Advert<'a>,
    /// What its checksum covers. Version 2 knows [`ChecksumForm::MessageOnly`] alone.
    pub checksum: ChecksumForm,
}

impl<'a> Advert<'a> {
    /// The VRID of a message, whatever else is wrong with it.
    pub fn peek_vrid(message: &[u8]) -> Option<Vrid> {
        Vrid::new(*message.get(field::VRID)?)
    }

    /// Reads and checks a received packet.
    ///
    /// # Errors
    /// The first check that fails, in the order of RFC 9568 section 7.1 and RFC 3768 section 7.1.
    pub fn parse(packet: &Packet<'a>, expected: &Expected) -> Result<Received<'a>, DropCause> {
        let message = packet.payload;

        // RFC 9568 7.1 MUST: the TTL is 255
        if packet.hop_limit != HOP_LIMIT {
            return Err(DropCause::HopLimit);
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
        let (addresses, auth_data) = rest
            .split_at_checked(count * field::ADDRESS_LEN)
            .ok_or(DropCause::Length)?;
        let (addresses, _) = addresses.as_chunks();
        let auth_data = match expected.version {
            Version::V2 => Some(*auth_data.first_chunk::<8>().ok_or(DropCause::Length)?),
            Version::V3 => None,
        };
        // RFC 9568 7.1 MUST: the checksum is right
        let checksum = check_checksum(packet, expected.version)?;

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
                if addresses.is_empty() {
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
                addresses: AddressList(addresses),
                auth,
            },
            checksum,
        })
    }

    /// Whether the sender leaves.
    pub const fn resigns(&self) -> bool {
        self.priority == PRIORITY_RESIGN
    }

    /// The message as bytes. `source` and `destination` are those of its IP header, which a
    /// version 3 checksum covers in the form with the pseudo-header.
    pub fn emit(&self, form: ChecksumForm, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let mut message = vec![0; field::HEADER_LEN];
        message[field::VERSION_TYPE] = self.version.number() << 4 | TYPE_ADVERTISEMENT;
        message[field::VRID] = self.vrid.get();
        message[field::PRIORITY] = self.priority;
        message[field::COUNT] = u8::try_from(self.addresses.len()).unwrap_or(u8::MAX);
        message.extend(self.addresses.0.iter().flatten());
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
            // An interval is never longer than the 12 bits below the reserved ones.
            // RFC 9568 5.2.6 MUST: send the reserved bits as zero
            Version::V3 => message[field::INTERVAL_CENTISECONDS]
                .copy_from_slice(&self.interval.centiseconds().to_be_bytes()),
        }
        // RFC 9568 7.2 MUST: the checksum is computed
        let checksum = match (self.version, form) {
            // RFC 9568 5.2.8 MUST: the checksum over IPv4 covers the message alone
            // RFC 3768 5.3.8 MUST: the checksum covers the message alone
            (Version::V2, _) | (Version::V3, ChecksumForm::MessageOnly) => {
                checksum::plain(&message)
            }
            // RFC 5798 5.2.8 MUST: the checksum covers the pseudo-header too
            (Version::V3, ChecksumForm::WithPseudoHeader) => {
                checksum::with_pseudo_header(&message, source, destination)
            }
        };
        message[field::CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
        message
    }
}

/// Which form of checksum a packet bears.
fn check_checksum(packet: &Packet<'_>, version: Version) -> Result<ChecksumForm, DropCause> {
    if let (Version::V3, IpAddr::V4(source), IpAddr::V4(destination)) =
        (version, packet.source, packet.destination)
        && checksum::with_pseudo_header(packet.payload, source, destination) == 0
    {
        return Ok(ChecksumForm::WithPseudoHeader);
    }
    if checksum::plain(packet.payload) == 0 {
        return Ok(ChecksumForm::MessageOnly);
    }
    Err(DropCause::Checksum)
}

/// The authentication of a version 2 message, when it is the expected one.
fn check_auth(kind: u8, data: &[u8; 8], expected: Auth) -> Result<Auth, DropCause> {
    match (kind, expected) {
        // RFC 3768 5.3.10 SHOULD: ignore authentication data of others
        (AUTH_NONE, Auth::None) => Ok(Auth::None),
        (AUTH_PASS, Auth::Pass(password)) => {
            // All eight bytes are looked at, so that the time taken says nothing.
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
