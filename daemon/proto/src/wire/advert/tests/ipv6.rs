//! Advertisements over IPv6.

use super::*;

/// The sender's link-local address.
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

/// Writes the checksum that `bytes` need after a change.
fn seal(bytes: &mut [u8]) {
    bytes[field::CHECKSUM].fill(0);
    let sum = checksum::with_pseudo_header(bytes, SOURCE.into(), group(Family::V6));
    bytes[field::CHECKSUM].copy_from_slice(&sum.to_be_bytes());
}

/// What becomes of a good advertisement after `change`, with a checksum made right again.
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
fn the_bytes_are_those_that_the_rfc_draws() {
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
fn an_address_takes_sixteen_bytes_over_ipv6_and_four_over_ipv4() {
    let bytes = advert(&ADDRESSES);
    let received = parse(&packet(&bytes)).unwrap();
    assert_eq!(received.checksum, ChecksumForm::WithPseudoHeader);
    let listed: Vec<_> = received.advert.addresses.iter().collect();
    assert_eq!(listed, ADDRESSES.map(IpAddr::from));

    // The same message with the header of IPv4 lists what its first eight bytes say there, and ends
    // with them.
    let mut as_ipv4 = bytes.clone();
    super::seal(&mut as_ipv4[..16]);
    let packet = super::packet(&as_ipv4);
    let received = parse(&packet).unwrap();
    let listed: Vec<_> = received.advert.addresses.iter().collect();
    assert_eq!(listed, [[0xfe, 0x80, 0, 0], [0; 4]].map(IpAddr::from));
}

// RFC 9568 5.2.8 MUST: the checksum over IPv6 covers the pseudo-header too
#[test]
fn a_checksum_of_the_message_alone_is_wrong_over_ipv6() {
    let mut bytes = advert(&ADDRESSES);
    super::seal(&mut bytes);
    assert_eq!(parse(&packet(&bytes)), Err(DropCause::Checksum));
    // Nor does anybody send it, whatever form is used over IPv4.
    let received = advert(&ADDRESSES);
    let received = parse(&packet(&received)).unwrap().advert;
    assert_eq!(
        received.emit(ChecksumForm::MessageOnly, SOURCE, group(Family::V6)),
        advert(&ADDRESSES)
    );
}

#[test]
fn a_checksum_for_another_sender_or_receiver_is_wrong() {
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
fn each_check_has_its_cause_over_ipv6_too() {
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
fn version_2_is_not_spoken_over_ipv6() {
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
fn as_many_addresses_are_listed_as_a_packet_has_room_for() {
    let ethernet = 1500;
    let most = most_addresses(Family::V6);
    let length = |count| 40 + advert(&vec![ADDRESSES[1]; count]).len() + TRAILER_LEN;
    assert!(
        length(most) <= ethernet && length(most + 1) > ethernet,
        "{most}"
    );
    assert_eq!(most_addresses(Family::V4), 255, "as the count can say");
    assert_eq!(AddressList::new_v6(&[ADDRESSES[1]; 300]).len(), 255);
}
