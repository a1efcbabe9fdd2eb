//! Types of the protocol that cannot hold an invalid value.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU8;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Index of a network interface, assigned by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InterfaceIndex(pub u32);

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// The virtual router MAC address of a virtual router (RFC 9568 section 7.3).
    pub const fn of_virtual_router(family: Family, vrid: Vrid) -> Self {
        // RFC 9568 7.3 MUST: it is 00-00-5E-00-01 or, for IPv6, 02 and the VRID
        let block = match family {
            Family::V4 => 1,
            Family::V6 => 2,
        };
        Self([0, 0, 0x5e, 0, block, vrid.get()])
    }

    /// The Ethernet address of a multicast group (RFC 1112 section 6.4, RFC 2464 section 7).
    pub const fn of_group(group: IpAddr) -> Self {
        match group {
            IpAddr::V4(group) => {
                let [_, b, c, d] = group.octets();
                Self([1, 0, 0x5e, b & 0x7f, c, d])
            }
            IpAddr::V6(group) => {
                let [.., a, b, c, d] = group.octets();
                Self([0x33, 0x33, a, b, c, d])
            }
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Virtual router identifier, 1 to 255 (RFC 9568 section 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// The identifier `id`, or `None` for 0, which no router may have.
    pub const fn new(id: u8) -> Option<Self> {
        match NonZeroU8::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number in the message.
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Priority of a router, 1 to 255 (RFC 9568 section 5.2.4).
///
/// 255 belongs to the router that owns the addresses. The 0 in the last advertisement of a master
/// that resigns is not a priority of a router: see
/// [`Advert::priority`](crate::wire::Advert::priority).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// Default priority (RFC 9568 section 6.1).
    pub const DEFAULT: Self = Self(NonZeroU8::new(100).expect("100 is not 0"));
    /// Priority of the owner of the addresses, 255.
    pub const OWNER: Self = Self(NonZeroU8::MAX);
    /// Highest priority of a router that does not own the addresses.
    pub const MAX_BACKUP: Self = Self(NonZeroU8::new(254).expect("254 is not 0"));
    /// Lowest priority.
    pub const MIN: Self = Self(NonZeroU8::MIN);

    /// The priority `value`, or `None` for 0.
    pub const fn new(value: u8) -> Option<Self> {
        match NonZeroU8::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number in the message.
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Whether this is the owner's 255.
    pub const fn is_owner(self) -> bool {
        self.get() == u8::MAX
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Version of the VRRP protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768, IPv4 only.
    #[serde(rename = "2")]
    V2,
    /// RFC 9568.
    #[serde(rename = "3")]
    V3,
}

impl Version {
    /// The number in the message.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// Address family. To the protocol each family is a virtual router of its own: its advertisements
/// list only addresses of that family (RFC 9568 section 5.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "ipv4")]
    V4,
    /// IPv6, version 3 only.
    #[serde(rename = "ipv6")]
    V6,
}

impl Family {
    /// Both families, in the order in which advertisements are sent.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Length of an address: 32 or 128 bits.
    pub const fn address_bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Advertisement interval of a master, in the units of a protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AdvertInterval {
    centiseconds: u16,
}

impl AdvertInterval {
    /// One second, the default of both versions.
    pub const DEFAULT: Self = Self { centiseconds: 100 };

    /// Interval of version 2: whole seconds, 1 to 255. `None` for 0.
    pub const fn from_seconds(seconds: u8) -> Option<Self> {
        // RFC 3768 5.3.7 MUST: the interval is in whole seconds
        match seconds {
            0 => None,
            _ => Some(Self {
                centiseconds: seconds as u16 * 100,
            }),
        }
    }

    /// Interval of version 3: centiseconds, 1 to 4095. `None` for other values.
    pub const fn from_centiseconds(centiseconds: u16) -> Option<Self> {
        // RFC 9568 5.2.7 MUST: the interval is 1 to 4095 centiseconds
        match centiseconds {
            1..=0x0fff => Some(Self { centiseconds }),
            _ => None,
        }
    }

    /// Interval of exactly `span`, or `None` if `version` cannot express it: out of range, or not a
    /// multiple of the version's unit.
    pub fn exact(version: Version, span: Duration) -> Option<Self> {
        let (unit, range): (u128, _) = match version {
            Version::V2 => (1_000_000_000, 1..=255),
            Version::V3 => (10_000_000, 1..=0x0fff),
        };
        let nanos = span.as_nanos();
        let units = u16::try_from(nanos / unit)
            .ok()
            .filter(|units| range.contains(units))?;
        let centiseconds = match version {
            Version::V2 => units * 100,
            Version::V3 => units,
        };
        (nanos.is_multiple_of(unit)).then_some(Self { centiseconds })
    }

    /// Interval of `centiseconds`, as [`centiseconds`](Self::centiseconds) returns it for either version.
    pub(crate) const fn restore(centiseconds: u16) -> Option<Self> {
        match centiseconds {
            1..=25_500 => Some(Self { centiseconds }),
            _ => None,
        }
    }

    /// The interval as a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.centiseconds as u64 * 10)
    }

    /// The interval in hundredths of a second, 1 to 25,500.
    pub const fn centiseconds(self) -> u16 {
        self.centiseconds
    }

    /// Skew_Time of a router of `priority` behind a master with this interval: the lower the priority, the
    /// longer a backup waits.
    pub fn skew_time(self, version: Version, priority: Priority) -> Duration {
        // RFC 9568 6.1 MUST: Skew_Time is (256 - priority) / 256 of Active_Adver_Interval
        // RFC 3768 6.1 MUST: Skew_Time is (256 - priority) / 256 of a second
        let unit = match version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.duration(),
        };
        unit * (256 - u32::from(priority.get())) / 256
    }

    /// Active_Down_Interval of a router of `priority` behind a master with this interval: three intervals of
    /// the master and the skew.
    pub fn master_down_interval(self, version: Version, priority: Priority) -> Duration {
        // RFC 9568 6.1 MUST: Active_Down_Interval is 3 Active_Adver_Interval and Skew_Time
        // RFC 3768 6.1 MUST: Master_Down_Interval is 3 Advertisement_Interval and Skew_Time
        self.duration() * 3 + self.skew_time(version, priority)
    }
}

/// An address with its prefix length, as on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// Prefix length: up to 32 for IPv4, up to 128 for IPv6.
    pub prefix: u8,
}

impl InterfaceAddress {
    /// Family of the address.
    pub const fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// Whether the address is link-local: fe80::/10 (RFC 4291 section 2.5.6).
    pub const fn is_link_local(&self) -> bool {
        is_link_local(self.address)
    }

    /// First and last address of the network of the address.
    pub fn bounds_of_network(&self) -> [IpAddr; 2] {
        match self.address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let bounds = [v4.to_bits() & !host, v4.to_bits() | host];
                bounds.map(|bits| Ipv4Addr::from_bits(bits).into())
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                let bounds = [v6.to_bits() & !host, v6.to_bits() | host];
                bounds.map(|bits| Ipv6Addr::from_bits(bits).into())
            }
        }
    }

    /// Whether another address is in the network of the address.
    pub fn is_network_of(&self, other: IpAddr) -> bool {
        let [first, last] = self.bounds_of_network();
        // Addresses of different families are never between two of one family.
        (first..=last).contains(&other)
    }

    /// The address, if it is IPv4.
    pub const fn ipv4(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }
}

/// Whether an address is link-local: fe80::/10 (RFC 4291 section 2.5.6). Always false for IPv4.
pub const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl From<InterfaceAddress> for String {
    fn from(address: InterfaceAddress) -> Self {
        address.to_string()
    }
}

/// Error of parsing an address with a prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// The part before the slash is not an IP address.
    #[error("not an IP address")]
    Address,
    /// The part after the slash is not a number, or too large for the family.
    #[error("the prefix length must be 0 to {0}")]
    Prefix(u8),
}

impl core::str::FromStr for InterfaceAddress {
    type Err = ParseAddressError;

    /// Parses `ADDRESS/PREFIX`. The default prefix is the length of the address: /32 or /128.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ParseAddressError::Address)?;
        let longest = Family::of(address).address_bits();
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= longest)
                .ok_or(ParseAddressError::Prefix(longest))?,
        };
        Ok(Self { address, prefix })
    }
}

impl TryFrom<String> for InterfaceAddress {
    type Error = ParseAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Label of an IPv4 address (IFA_LABEL): 1 to 15 bytes of text.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AddressLabel([u8; 15]);

impl From<AddressLabel> for String {
    fn from(label: AddressLabel) -> Self {
        label.as_str().to_owned()
    }
}

impl TryFrom<String> for AddressLabel {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text).ok_or("not a label of 1 to 15 bytes")
    }
}

impl AddressLabel {
    /// The label `text`, or `None` if it is empty, longer than 15 bytes, or contains a NUL.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; 15];
        if text.is_empty() || text.contains('\0') {
            return None;
        }
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self(bytes))
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.0.get(..end.unwrap_or(self.0.len()));
        // Always valid: `new` copied a whole string, and the padding is cut off.
        text.and_then(|text| core::str::from_utf8(text).ok())
            .unwrap_or_default()
    }
}

impl fmt::Debug for AddressLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Password of PASS authentication: 1 to 8 bytes, padded with zeros (RFC 2338 section 5.3.6.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password([u8; 8]);

impl Password {
    /// The password `text`, or `None` if it is empty or longer than 8 bytes.
    pub fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 8];
        if text.is_empty() {
            return None;
        }
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self(bytes))
    }

    /// The eight bytes of the authentication field.
    pub const fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password must not appear in logs.
        f.write_str("Password(..)")
    }
}

/// State of a virtual router (RFC 9568 section 6.4; its Active is called master here, as in RFC
/// 3768).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Initialize: before the start and after the stop.
    Init,
    /// Backup: receives advertisements and waits for the master-down timer.
    Backup,
    /// Master: holds the addresses and advertises.
    Master,
    /// Not able to be backup or master.
    Fault,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "init",
            Self::Backup => "backup",
            Self::Master => "master",
            Self::Fault => "fault",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 9568 5.2.7 MUST: the interval is 1 to 4095 centiseconds
    // RFC 3768 5.3.7 MUST: the interval is in whole seconds
    #[test]
    fn advert_interval_accepts_only_values_of_its_version() {
        let exact = |version, millis| {
            AdvertInterval::exact(version, Duration::from_millis(millis))
                .map(AdvertInterval::centiseconds)
        };
        assert_eq!(exact(Version::V2, 1000), Some(100));
        assert_eq!(exact(Version::V2, 255_000), Some(25_500));
        assert_eq!(exact(Version::V2, 256_000), None);
        assert_eq!(exact(Version::V2, 1500), None);
        assert_eq!(exact(Version::V2, 0), None);
        assert_eq!(exact(Version::V3, 10), Some(1));
        assert_eq!(exact(Version::V3, 15), None);
        assert_eq!(exact(Version::V3, 40_950), Some(4095));
        assert_eq!(exact(Version::V3, 40_960), None);
    }

    #[test]
    fn advert_interval_of_zero_is_rejected() {
        assert_eq!(AdvertInterval::from_seconds(0), None);
        assert_eq!(AdvertInterval::from_centiseconds(0), None);
    }

    // RFC 9568 7.3 MUST: it is 00-00-5E-00-01 or, for IPv6, 02 and the VRID
    #[test]
    fn mac_addresses_match_the_rfcs() {
        let vrid = Vrid::new(51).unwrap();
        let of = |family| MacAddress::of_virtual_router(family, vrid).to_string();
        assert_eq!(of(Family::V4), "00:00:5e:00:01:33");
        assert_eq!(of(Family::V6), "00:00:5e:00:02:33");
        let group = |text: &str| MacAddress::of_group(text.parse().unwrap()).to_string();
        assert_eq!(group("224.0.0.18"), "01:00:5e:00:00:12");
        assert_eq!(group("ff02::12"), "33:33:00:00:00:12");
    }

    #[test]
    fn version_and_address_have_their_usual_text() {
        assert_eq!(
            [Version::V2, Version::V3].map(|v| v.to_string()),
            ["2", "3"]
        );
        let address: InterfaceAddress = "192.0.2.1/24".parse().unwrap();
        assert_eq!(String::from(address), "192.0.2.1/24");
    }

    #[test]
    fn address_without_prefix_is_a_host_address() {
        let parse = |text: &str| text.parse::<InterfaceAddress>().map(|a| a.to_string());
        assert_eq!(parse("192.0.2.1").as_deref(), Ok("192.0.2.1/32"));
        assert_eq!(parse("192.0.2.1/24").as_deref(), Ok("192.0.2.1/24"));
        assert_eq!(parse("2001:db8::1").as_deref(), Ok("2001:db8::1/128"));
        assert_eq!(parse("192.0.2.1/33"), Err(ParseAddressError::Prefix(32)));
        assert_eq!(parse("192.0.2.300/24"), Err(ParseAddressError::Address));
        assert_eq!(parse("192.0.2.1/"), Err(ParseAddressError::Prefix(32)));
    }

    #[test]
    fn address_is_of_its_network_and_family_only() {
        let is_network_of = |own: &str, other: &str| {
            let own: InterfaceAddress = own.parse().unwrap();
            own.is_network_of(other.parse().unwrap())
        };
        assert!(is_network_of("192.0.2.1/24", "192.0.2.255"));
        assert!(!is_network_of("192.0.2.1/24", "192.0.3.0"));
        assert!(is_network_of("192.0.2.1/32", "192.0.2.1"));
        assert!(!is_network_of("192.0.2.1/32", "192.0.2.2"));
        assert!(is_network_of("192.0.2.1/0", "10.0.0.1"));
        assert!(!is_network_of("192.0.2.1/0", "::1"));
        assert!(is_network_of("2001:db8::1/64", "2001:db8::ffff"));
        assert!(!is_network_of("2001:db8::1/64", "2001:db8:0:1::1"));
        assert!(!is_network_of("::1/0", "192.0.2.1"));
    }

    #[test]
    fn address_label_keeps_its_text() {
        let label = |text| AddressLabel::new(text).map(|label| label.as_str().to_owned());
        assert_eq!(label("eth1:vip").as_deref(), Some("eth1:vip"));
        assert_eq!(label("123456789012345").as_deref(), Some("123456789012345"));
        assert_eq!(label("1234567890123456"), None);
        assert_eq!(label(""), None);
        assert_eq!(label("a\0b"), None);
    }

    #[test]
    fn password_fits_its_field_and_is_not_logged() {
        assert_eq!(
            Password::new(b"1111").map(|p| *p.bytes()),
            Some(*b"1111\0\0\0\0")
        );
        assert!(Password::new(b"12345678").is_some());
        assert_eq!(Password::new(b"123456789"), None);
        assert_eq!(Password::new(b""), None);
        assert_eq!(
            format!("{:?}", Password::new(b"1111")),
            "Some(Password(..))"
        );
    }
}
