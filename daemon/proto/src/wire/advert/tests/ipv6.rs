//! Advertisements over IPv6.

use super::*;

/// Link-local address of the sender.
pub(super) const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x11);

const ADDRESSES: [[u8; 16]; 2] = [
    SOURCE.octets(),
    *b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\x01\0",
];

/// VRID 51, priority 200, 10 ms, fe80::11 and 2001:db8::100.
fn advert(addresses: &[[u8; 16]]) -> Vec<u8> {
    Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority: 200,
        interval: AdvertInterval::from_centiseconds(1).unwrap(),
        addresses: AddressList::new_v6(addresses),
        auth: Auth::None,
    }
    .emit(ChecksumForm::WithPseudoHeader, SOURCE, group(Family::V6))
}

fn packet(payload: &[u8]) -> Packet<'_> {
    packet_from(SOURCE.into(), payload)
}

fn parse<'a>(packet: &Packet<'a>) -> Result<Received<'a>, DropCause> {
    Advert::parse(packet, &expected(Version::V3, Auth::None))
}

/// Corrects the checksum of `bytes` after a change.
fn seal(bytes: &mut [u8]) {
    bytes[field::CHECKSUM].fill(0);
    let sum = checksum::with_pseudo_header(bytes, SOURCE.into(), group(Family::V6));
    bytes[field::CHECKSUM].copy_from_slice(&sum.to_be_bytes());
}

/// Parses a valid advertisement after `change`, with a corrected checksum.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), DropCause> {
    let mut bytes = advert(&ADDRESSES);
    change(&mut bytes);
    if bytes.len() >= field::HEADER_LEN {
        seal(&mut bytes);
    }
    parse(&packet(&bytes)).map(drop)
}

// RFC 9568 5.2.8 MUST: the checksum over IPv6 covers the pseudo-header too
// RFC 9568 7.2 MUST: the checksum is computed
#[test]
fn ipv6_advertisement_has_the_bytes_of_the_rfc() {
    let bytes = advert(&ADDRESSES);
    let mut drawn = vec![0x31, 51, 200, 2, 0x00, 0x01, 0, 0];
    drawn.extend(ADDRESSES.concat());
    // By hand. Pseudo-header: fe80 + 0011 + ff02 + 0012 + 0028 + 0070 = 1fe3d, the message's header
    // 3133 + c802 + 0001 = f936, its addresses fe80 + 0011 + 2001 + 0db8 + 0100 = 12d4a: altogether
    // 424bd, folded 24c1.
    drawn[field::CHECKSUM].copy_from_slice(&(!0x24c1_u16).to_be_bytes());
    assert_eq!(bytes, drawn);
}

// RFC 9568 5.2.9 MUST: the addresses are of the family of the IP header
#[test]
fn addresses_have_the_length_of_the_ip_headers_family() {
    let bytes = advert(&ADDRESSES);
    let received = parse(&packet(&bytes)).unwrap();
    assert_eq!(received.checksum, ChecksumForm::WithPseudoHeader);
    let listed: Vec<_> = received.advert.addresses.iter().collect();
    assert_eq!(listed, ADDRESSES.map(IpAddr::from));

    // Behind an IPv4 header the same message lists two IPv4 addresses, taken from the first eight bytes
    // of the list.
    let mut as_ipv4 = bytes.clone();
    super::seal(&mut as_ipv4[..16]);
    let packet = super::packet(&as_ipv4);
    let received = parse(&packet).unwrap();
    let listed: Vec<_> = received.advert.addresses.iter().collect();
    assert_eq!(listed, [[0xfe, 0x80, 0, 0], [0; 4]].map(IpAddr::from));
}

// RFC 9568 5.2.8 MUST: the checksum over IPv6 covers the pseudo-header too
#[test]
fn ipv6_checksum_without_pseudo_header_is_rejected() {
    let mut bytes = advert(&ADDRESSES);
    super::seal(&mut bytes);
    assert_eq!(parse(&packet(&bytes)), Err(DropCause::Checksum));
    // It is not sent either, whichever form is configured for IPv4.
    let received = advert(&ADDRESSES);
    let received = parse(&packet(&received)).unwrap().advert;
    assert_eq!(
        received.emit(ChecksumForm::MessageOnly, SOURCE, group(Family::V6)),
        advert(&ADDRESSES)
    );
}

#[test]
fn ipv6_checksum_covers_source_and_destination() {
    let bytes = advert(&ADDRESSES);
    let other: IpAddr = "fe80::12".parse().unwrap();
    assert_eq!(parse(&packet_from(other, &bytes)), Err(DropCause::Checksum));
    let unicast = Packet {
        destination: other,
        ..packet(&bytes)
    };
    assert_eq!(parse(&unicast), Err(DropCause::Checksum));
}

// RFC 9568 7.1 MUST: the TTL is 255
// RFC 9568 7.1 MUST: the version is 3
// RFC 9568 7.1 MUST: the type is 1
// RFC 9568 7.1 MUST: the checksum is right
// RFC 9568 7.1 MUST: the packet is complete
// RFC 9568 5.2.5 erratum 8299 MUST: ignore an advertisement that counts no address
// RFC 9568 7.1 erratum 8301 MUST: the interval is not zero
#[test]
fn each_failed_check_over_ipv6_has_its_drop_cause() {
    let bytes = advert(&ADDRESSES);
    let far = Packet {
        hop_limit: 254,
        ..packet(&bytes)
    };
    assert_eq!(parse(&far), Err(DropCause::HopLimit));
    let mut flipped = bytes.clone();
    flipped[20] ^= 0x10;
    assert_eq!(parse(&packet(&flipped)), Err(DropCause::Checksum));

    assert_eq!(changed(|_| ()), Ok(()));
    assert_eq!(changed(|bytes| bytes[0] = 0x21), Err(DropCause::Version));
    assert_eq!(changed(|bytes| bytes[0] = 0x32), Err(DropCause::Type));
    assert_eq!(changed(|bytes| bytes[1] = 0), Err(DropCause::UnknownVrid));
    assert_eq!(changed(|bytes| bytes[3] = 3), Err(DropCause::Length));
    assert_eq!(changed(|bytes| bytes[3] = 0), Err(DropCause::NoAddresses));
    assert_eq!(changed(|bytes| bytes[5] = 0), Err(DropCause::ZeroInterval));
    assert_eq!(changed(|bytes| bytes[4] = 0xf0), Ok(()), "reserved bits");
    for length in 0..bytes.len() {
        assert_eq!(
            parse(&packet(&bytes[..length])),
            Err(DropCause::Length),
            "{length} bytes"
        );
    }
}

#[test]
fn version_2_over_ipv6_is_rejected() {
    let mut bytes = advert(&ADDRESSES);
    (bytes[0], bytes[5]) = (0x21, 1);
    bytes.extend([0; 8]);
    let judge =
        |bytes: &[u8]| Advert::parse(&packet(bytes), &expected(Version::V2, Auth::None)).map(drop);
    for seal in [seal, super::seal] {
        seal(&mut bytes);
        assert_eq!(judge(&bytes), Err(DropCause::Checksum));
    }
}

#[test]
fn address_list_fits_into_an_ethernet_packet() {
    let ethernet = 1500;
    let most = most_addresses(Family::V6);
    let length = |count| 40 + advert(&vec![ADDRESSES[1]; count]).len() + TRAILER_LEN;
    assert!(
        length(most) <= ethernet && length(most + 1) > ethernet,
        "{most}"
    );
    assert_eq!(
        most_addresses(Family::V4),
        255,
        "the limit of the count field"
    );
    assert_eq!(AddressList::new_v6(&[ADDRESSES[1]; 300]).len(), 255);
}
