//! Advertisements over IPv4, and tests of both families; the tests of IPv6 alone are in [`ipv6`].

mod ipv6;

use proptest::prelude::*;

use super::*;
use crate::time::Instant;
use crate::types::InterfaceIndex;
use crate::wire::{GROUP_V4, HOP_LIMIT, group};

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 168, 224, 11);

/// VI_1 of the course: version 2, VRID 51, priority 100, one second, password 1111.
const COURSE: &[u8] = &[
    0x21, 0x33, 0x64, 0x01, 0x01, 0x01, 0x76, 0x5a, // header
    0xc0, 0xa8, 0xe0, 0x64, // 192.168.224.100
    0x31, 0x31, 0x31, 0x31, 0x00, 0x00, 0x00, 0x00, // 1111
];

fn password() -> Auth {
    Auth::Pass(Password::new(b"1111").unwrap())
}

fn packet(payload: &[u8]) -> Packet<'_> {
    packet_from(SOURCE.into(), payload)
}

fn packet_from(source: IpAddr, payload: &[u8]) -> Packet<'_> {
    Packet {
        at: Instant::MAX,
        interface: InterfaceIndex(1),
        source,
        destination: group(Family::of(source)),
        hop_limit: 255,
        payload,
    }
}

fn expected(version: Version, auth: Auth) -> Expected {
    Expected {
        version,
        interval: AdvertInterval::DEFAULT,
        auth,
        hop_limit: HOP_LIMIT,
        may_be_empty: false,
    }
}

/// Corrects the checksum of `bytes` after a change.
fn seal(bytes: &mut [u8]) {
    bytes[field::CHECKSUM].fill(0);
    let sum = checksum::plain(bytes);
    bytes[field::CHECKSUM].copy_from_slice(&sum.to_be_bytes());
}

/// Parses the course's packet after `change`, with a corrected checksum.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), DropCause> {
    let mut bytes = COURSE.to_vec();
    change(&mut bytes);
    if bytes.len() >= field::HEADER_LEN {
        seal(&mut bytes);
    }
    Advert::parse(&packet(&bytes), &expected(Version::V2, password())).map(|_| ())
}

// RFC 3768 5.3.8 MUST: the checksum covers the message alone
#[test]
fn version_2_advertisement_of_the_course_is_parsed() {
    let mut bytes = COURSE.to_vec();
    seal(&mut bytes);
    assert_eq!(bytes, COURSE, "the literal's checksum is correct");
    let received = Advert::parse(&packet(COURSE), &expected(Version::V2, password())).unwrap();
    assert_eq!(received.advert.vrid.get(), 51);
    assert_eq!(received.advert.priority, 100);
    assert_eq!(received.advert.auth, password());
    assert_eq!(
        received.advert.addresses.iter().collect::<Vec<_>>(),
        [IpAddr::from([192, 168, 224, 100])]
    );
    assert_eq!(
        received.advert.emit(received.checksum, SOURCE, GROUP_V4),
        COURSE
    );
}

// RFC 9568 7.1 MUST: the TTL is 255
// RFC 9568 7.1 MUST: the version is 3
// RFC 9568 7.1 MUST: the type is 1
// RFC 9568 7.1 MUST: the checksum is right
// RFC 3768 7.1 MUST: the version is 2
// RFC 3768 7.1 MUST: the packet is complete, authentication data included
// RFC 3768 7.1 MUST: the authentication is the configured one
// RFC 3768 5.3.6 MUST: discard an unknown or another authentication type
// RFC 3768 7.1 MUST: another interval than the own one is discarded
#[test]
fn each_failed_check_has_its_drop_cause() {
    let mut far = packet(COURSE);
    far.hop_limit = 254;
    let parse = |packet: &Packet<'_>, expected: &Expected| {
        Advert::parse(packet, expected).map(|_| ()).unwrap_err()
    };
    let ours = expected(Version::V2, password());
    assert_eq!(parse(&far, &ours), DropCause::HopLimit);
    assert_eq!(
        parse(&packet(COURSE), &expected(Version::V3, Auth::None)),
        DropCause::Version
    );
    let third = version_3(200, &[[10, 0, 0, 1]], ChecksumForm::MessageOnly);
    assert_eq!(parse(&packet(&third), &ours), DropCause::Version);
    assert_eq!(parse(&packet(&[]), &ours), DropCause::Length);
    assert_eq!(
        parse(&packet(COURSE), &expected(Version::V2, Auth::None)),
        DropCause::AuthType,
        "a password where none is configured"
    );
    let mut flipped = COURSE.to_vec();
    flipped[9] ^= 0x10;
    assert_eq!(parse(&packet(&flipped), &ours), DropCause::Checksum);

    assert_eq!(changed(|_| ()), Ok(()));
    assert_eq!(changed(|bytes| bytes[0] = 0x22), Err(DropCause::Type));
    assert_eq!(changed(|bytes| bytes.truncate(7)), Err(DropCause::Length));
    assert_eq!(changed(|bytes| bytes.truncate(19)), Err(DropCause::Length));
    assert_eq!(changed(|bytes| bytes[3] = 2), Err(DropCause::Length));
    assert_eq!(changed(|bytes| bytes[4] = 0), Err(DropCause::AuthType));
    assert_eq!(changed(|bytes| bytes[4] = 2), Err(DropCause::AuthType));
    assert_eq!(
        changed(|bytes| bytes[15] = b'2'),
        Err(DropCause::AuthPassword)
    );
    assert_eq!(changed(|bytes| bytes[5] = 2), Err(DropCause::Interval));
    assert_eq!(changed(|bytes| bytes[5] = 0), Err(DropCause::Interval));
}

fn version_3(priority: u8, addresses: &[[u8; 4]], form: ChecksumForm) -> Vec<u8> {
    Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: AdvertInterval::from_centiseconds(1).unwrap(),
        addresses: AddressList::new(addresses),
        auth: Auth::None,
    }
    .emit(form, SOURCE, GROUP_V4)
}

// RFC 9568 7.1 MUST: the packet is complete
#[test]
fn truncated_version_3_packet_is_rejected() {
    let ours = expected(Version::V3, Auth::None);
    let whole = version_3(
        200,
        &[[10, 0, 0, 1], [10, 0, 0, 2]],
        ChecksumForm::MessageOnly,
    );
    assert!(Advert::parse(&packet(&whole), &ours).is_ok());
    for length in 0..whole.len() {
        assert_eq!(
            Advert::parse(&packet(&whole[..length]), &ours),
            Err(DropCause::Length),
            "{length} bytes"
        );
    }
}

// RFC 9568 7.2 MUST: the checksum is computed
// RFC 9568 5.2.8 MUST: the checksum over IPv4 covers the message alone
// RFC 5798 5.2.8 MUST: the checksum covers the pseudo-header too
#[test]
fn both_forms_of_the_version_3_checksum_are_recognised() {
    for form in [ChecksumForm::WithPseudoHeader, ChecksumForm::MessageOnly] {
        let bytes = version_3(200, &[[10, 0, 0, 1]], form);
        let received = Advert::parse(&packet(&bytes), &expected(Version::V3, Auth::None)).unwrap();
        assert_eq!(received.checksum, form);
        assert_eq!(
            received.advert.interval.centiseconds(),
            1,
            "version 3 accepts any interval"
        );
    }
}

// RFC 5798 5.2.8 MUST: the checksum covers the pseudo-header too
#[test]
fn pseudo_header_checksum_matches_a_manual_calculation() {
    let course = Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority: 100,
        interval: AdvertInterval::DEFAULT,
        addresses: AddressList::new(&[[192, 168, 224, 100]]),
        auth: Auth::None,
    };
    let bytes = course.emit(ChecksumForm::WithPseudoHeader, SOURCE, GROUP_V4);
    // By hand: c0a8 e00b e000 0012 0070 000c, then 3133 6401 0064 c0a8 e064.
    assert_eq!(bytes[field::CHECKSUM], [0x48, 0x16]);
}

// RFC 9568 5.2.5 erratum 8299 MUST: ignore an advertisement that counts no address
// RFC 9568 7.1 erratum 8301 MUST: the interval is not zero
#[test]
fn version_3_rejects_no_addresses_and_zero_interval() {
    let ours = expected(Version::V3, Auth::None);
    let none = version_3(200, &[], ChecksumForm::MessageOnly);
    assert_eq!(
        Advert::parse(&packet(&none), &ours),
        Err(DropCause::NoAddresses)
    );
    let mut zero = version_3(200, &[[10, 0, 0, 1]], ChecksumForm::MessageOnly);
    zero[field::INTERVAL_CENTISECONDS].fill(0);
    seal(&mut zero);
    assert_eq!(
        Advert::parse(&packet(&zero), &ours),
        Err(DropCause::ZeroInterval)
    );
}

// RFC 9568 5.2.6 MUST: send the reserved bits as zero
#[test]
fn longest_interval_leaves_the_reserved_bits_zero() {
    let longest = Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority: 100,
        interval: AdvertInterval::from_centiseconds(4095).unwrap(),
        addresses: AddressList::new(&[[10, 0, 0, 1]]),
        auth: Auth::None,
    };
    let bytes = longest.emit(ChecksumForm::MessageOnly, SOURCE, GROUP_V4);
    assert_eq!(bytes[field::INTERVAL_CENTISECONDS], [0x0f, 0xff]);
}

// RFC 3768 5.3.10 SHOULD: send zeros as authentication data
// RFC 3768 5.3.10 SHOULD: ignore authentication data of others
#[test]
fn authentication_data_without_a_password_are_ignored() {
    let plain = Advert {
        version: Version::V2,
        vrid: Vrid::new(51).unwrap(),
        priority: 100,
        interval: AdvertInterval::DEFAULT,
        addresses: AddressList::new(&[[10, 0, 0, 1]]),
        auth: Auth::None,
    };
    let mut bytes = plain.emit(ChecksumForm::MessageOnly, SOURCE, GROUP_V4);
    assert_eq!(bytes[12..], [0; field::AUTH_DATA_LEN]);
    bytes[12..].copy_from_slice(b"whatever");
    seal(&mut bytes);
    let received = Advert::parse(&packet(&bytes), &expected(Version::V2, Auth::None)).unwrap();
    assert_eq!(received.advert, plain);
}

// RFC 9568 5.2.6 MUST: ignore the reserved bits of others
#[test]
fn version_3_ignores_the_reserved_bits() {
    let mut bytes = version_3(200, &[[10, 0, 0, 1]], ChecksumForm::MessageOnly);
    bytes[4] |= 0xf0;
    seal(&mut bytes);
    let received = Advert::parse(&packet(&bytes), &expected(Version::V3, Auth::None)).unwrap();
    assert_eq!(received.advert.interval.centiseconds(), 1);
}

#[test]
fn address_list_is_truncated_to_255() {
    let many = vec![[10, 0, 0, 1]; 300];
    assert_eq!(AddressList::new(&many).len(), 255);
    assert!(!AddressList::new(&many).is_empty());
    assert!(AddressList::new(&[]).is_empty());
}

/// An advertisement with the receiver's requirements and the sender, which determines the family.
#[derive(Clone, Copy, Debug)]
struct Case {
    advert: Advert<'static>,
    expected: Expected,
    source: IpAddr,
}

impl Case {
    fn emit(&self, form: ChecksumForm) -> Vec<u8> {
        let destination = group(Family::of(self.source));
        self.advert.emit(form, self.source, destination)
    }

    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<Received<'a>, DropCause> {
        Advert::parse(&packet_from(self.source, bytes), &self.expected)
    }
}

/// Addresses of an advertisement, up to as many as fit.
fn any_addresses(family: Family) -> BoxedStrategy<AddressList<'static>> {
    let count = 1..=most_addresses(family);
    match family {
        Family::V4 => proptest::collection::vec(any::<[u8; 4]>(), count)
            .prop_map(|list| AddressList::new(list.leak()))
            .boxed(),
        Family::V6 => proptest::collection::vec(any::<[u8; 16]>(), count)
            .prop_map(|list| AddressList::new_v6(list.leak()))
            .boxed(),
    }
}

fn any_source(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<Ipv4Addr>().prop_map(IpAddr::from).boxed(),
        Family::V6 => any::<Ipv6Addr>().prop_map(IpAddr::from).boxed(),
    }
}

fn any_dialect() -> impl Strategy<Value = (Version, Family)> {
    prop_oneof![
        Just((Version::V2, Family::V4)),
        Just((Version::V3, Family::V4)),
        Just((Version::V3, Family::V6)),
    ]
}

prop_compose! {
    fn any_case()((version, family) in any_dialect())(
        vrid in 1..=255_u8,
        priority in any::<u8>(),
        seconds in 1..=255_u8,
        centiseconds in 1..=4095_u16,
        addresses in any_addresses(family),
        password in proptest::option::of(proptest::collection::vec(1..=255_u8, 1..=8)),
        source in any_source(family),
        version in Just(version),
    ) -> Case {
        let interval = match version {
            Version::V2 => AdvertInterval::from_seconds(seconds),
            Version::V3 => AdvertInterval::from_centiseconds(centiseconds),
        }.unwrap();
        let auth = match (version, password) {
            (Version::V2, Some(text)) => Auth::Pass(Password::new(&text).unwrap()),
            _ => Auth::None,
        };
        let advert = Advert {
            version,
            vrid: Vrid::new(vrid).unwrap(),
            priority,
            interval,
            addresses,
            auth,
        };
        Case { advert, expected: Expected { version, interval, auth, hop_limit: HOP_LIMIT, may_be_empty: false }, source }
    }
}

proptest! {
    #[test]
    fn emitted_advertisement_is_parsed_unchanged(case in any_case(), plain: bool) {
        let form = match (case.advert.version, plain) {
            (Version::V3, false) => ChecksumForm::WithPseudoHeader,
            _ => ChecksumForm::MessageOnly,
        };
        let bytes = case.emit(form);
        prop_assert!(bytes.len() <= 1500 - 40, "{} bytes do not fit into a packet", bytes.len());
        let received = case.parse(&bytes).unwrap();
        prop_assert_eq!(received.advert, case.advert);
    }

    #[test]
    fn parser_accepts_any_bytes_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        (version, family) in any_dialect(),
    ) {
        let source = match family {
            Family::V4 => SOURCE.into(),
            Family::V6 => ipv6::SOURCE.into(),
        };
        let _ = Advert::parse(&packet_from(source, &bytes), &expected(version, password()));
    }

    #[test]
    fn one_flipped_bit_is_rejected(case in any_case(), at: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = case.emit(ChecksumForm::MessageOnly);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(case.parse(&bytes).is_err());
    }
}
