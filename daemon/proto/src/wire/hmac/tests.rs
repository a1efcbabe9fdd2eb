use proptest::prelude::*;

use super::super::{
    AddressList, Advert, Auth, ChecksumForm, Expected, GROUP_V4, GROUP_V6, HOP_LIMIT,
};
use super::*;
use crate::time::Instant;
use crate::types::{AdvertInterval, Family, InterfaceIndex, Version, Vrid};
use crate::wire::Packet;

fn id(number: u8) -> KeyId {
    KeyId::new(number).unwrap()
}

/// Key of the test vectors: the bytes 0 to 31.
fn key() -> Key {
    let secret: [u8; 32] = core::array::from_fn(|n| u8::try_from(n).unwrap());
    Key::new(id(1), &secret).unwrap()
}

/// 0x68000000.5 seconds.
const SEQUENCE: Sequence = Sequence::from_bits(0x6800_0000_8000_0000);

const IPV4: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 10));

/// Version 3 over IPv4 with VRID 51, priority 200, 192.0.2.100.
const VECTOR_IPV4: &[u8] = &[
    0x31, 0x33, 0xc8, 0x01, 0x00, 0x64, 0x44, 0x02, // header
    0xc0, 0x00, 0x02, 0x64, // 192.0.2.100
    0x01, 0x01, 0x00, 0x00, // type, key, reserved
    0x68, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, // sequence
    0x1b, 0x84, 0xbc, 0x4e, 0x8e, 0x43, 0x89, 0x2d, // HMAC
    0xc6, 0xd9, 0x84, 0x48, 0xf8, 0xee, 0x22, 0x65,
];

/// The same advertisement with fe80::100, from fe80::10 to fe80::20.
const VECTOR_IPV6: &[u8] = &[
    0x31, 0x33, 0xc8, 0x01, 0x00, 0x64, 0xa2, 0xe9, // header
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, // fe80::100
    0x01, 0x01, 0x00, 0x00, // type, key, reserved
    0x68, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, // sequence
    0xc8, 0xc5, 0x61, 0x46, 0xeb, 0xfd, 0x66, 0xee, // HMAC
    0x10, 0xec, 0x4d, 0x81, 0x86, 0x46, 0x1b, 0x78,
];

fn ipv6(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Overwrites the trailer of `signed` and signs the message again.
fn sign_again(signed: &[u8], source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let mut message = signed.to_vec();
    let end = message.len() - TRAILER_LEN;
    message[end..].fill(0xaa);
    sign(&mut message, source, destination, &key(), SEQUENCE);
    message
}

#[test]
fn hmac_test_vector_over_ipv4_is_reproduced() {
    let signed = sign_again(VECTOR_IPV4, IPV4, GROUP_V4.into());
    assert_eq!(signed, VECTOR_IPV4);
    let trailer = Trailer::parse(VECTOR_IPV4).unwrap();
    assert_eq!((trailer.key, trailer.sequence), (id(1), SEQUENCE));
    assert!(trailer.is_genuine(IPV4, &key()));
}

#[test]
fn hmac_test_vector_over_ipv6_is_reproduced() {
    let (source, destination) = (ipv6("fe80::10"), ipv6("fe80::20"));
    let signed = sign_again(VECTOR_IPV6, source, destination);
    assert_eq!(
        signed, VECTOR_IPV6,
        "with a checksum that covers the trailer"
    );
    let trailer = Trailer::parse(VECTOR_IPV6).unwrap();
    assert!(trailer.is_genuine(source, &key()));
}

#[test]
fn ipv4_checksum_does_not_cover_the_hmac_trailer() {
    let packet = Packet {
        at: Instant::MAX,
        interface: InterfaceIndex(1),
        source: IPV4,
        destination: GROUP_V4.into(),
        hop_limit: 255,
        payload: VECTOR_IPV4,
    };
    let expected = Expected {
        version: Version::V3,
        interval: AdvertInterval::DEFAULT,
        auth: Auth::None,
        hop_limit: HOP_LIMIT,
        may_be_empty: false,
    };
    let received = Advert::parse(&packet, &expected).unwrap();
    assert_eq!(received.checksum, ChecksumForm::MessageOnly);
    assert_eq!(received.beyond, &VECTOR_IPV4[12..]);
    assert_eq!(received.advert.priority, 200);
}

#[test]
fn ipv6_checksum_covers_the_hmac_trailer() {
    let packet = Packet {
        at: Instant::MAX,
        interface: InterfaceIndex(1),
        source: ipv6("fe80::10"),
        destination: ipv6("fe80::20"),
        hop_limit: 255,
        payload: VECTOR_IPV6,
    };
    let expected = Expected {
        version: Version::V3,
        interval: AdvertInterval::DEFAULT,
        auth: Auth::None,
        hop_limit: HOP_LIMIT,
        may_be_empty: false,
    };
    let received = Advert::parse(&packet, &expected).unwrap();
    assert_eq!(received.beyond, &VECTOR_IPV6[24..]);
    let addresses: Vec<IpAddr> = received.advert.addresses.iter().collect();
    assert_eq!(addresses, [ipv6("fe80::100")]);
}

#[test]
fn hmac_of_another_sender_or_key_is_wrong() {
    let trailer = Trailer::parse(VECTOR_IPV4).unwrap();
    let neighbour = IpAddr::from([198, 51, 100, 11]);
    assert!(!trailer.is_genuine(neighbour, &key()));
    let mapped = IpAddr::from([198, 51, 100, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(
        !trailer.is_genuine(mapped, &key()),
        "an IPv6 address with the same bytes"
    );
    let other = Key::new(id(1), &[7; 32]).unwrap();
    assert!(!trailer.is_genuine(IPV4, &other));
}

#[test]
fn hmac_covers_every_bit_except_the_checksum() {
    for at in 0..VECTOR_IPV4.len() {
        for bit in 0..8 {
            let mut changed = VECTOR_IPV4.to_vec();
            changed[at] ^= 1 << bit;
            let genuine =
                Trailer::parse(&changed).is_ok_and(|trailer| trailer.is_genuine(IPV4, &key()));
            assert_eq!(genuine, field::CHECKSUM.contains(&at), "byte {at}");
        }
    }
}

#[test]
fn malformed_hmac_trailer_has_its_drop_cause() {
    let changed = |at: usize, value: u8| {
        let mut changed = VECTOR_IPV4.to_vec();
        changed[12 + at] = value;
        Trailer::parse(&changed).map(|_| ()).unwrap_err()
    };
    assert_eq!(changed(0, 2), DropCause::HmacMalformed);
    assert_eq!(changed(2, 1), DropCause::HmacMalformed);
    assert_eq!(changed(3, 1), DropCause::HmacMalformed);
    assert_eq!(changed(1, 0), DropCause::HmacKey);
    assert_eq!(
        Trailer::parse(&VECTOR_IPV4[13..]),
        Err(DropCause::HmacMissing)
    );
}

#[test]
fn hmac_secret_has_32_to_64_bytes() {
    let key = |length: usize| Key::new(id(7), &vec![b's'; length]);
    for length in [0, 31, 65] {
        assert_eq!(key(length), None);
    }
    assert!(key(32).is_some() && key(64).is_some());
    assert_eq!(format!("{:?}", key(40).unwrap()), "Key(7, ..)");
    assert_eq!(KeyId::new(0), None);
    assert_eq!(id(255).to_string(), "255");
}

#[test]
fn sequence_number_is_the_time_or_the_next_number() {
    let half_past = Duration::new(0x6800_0000, 500_000_000);
    assert_eq!(Sequence::at(half_past), SEQUENCE);
    assert_eq!(SEQUENCE.next().to_bits(), 0x6800_0000_8000_0001);
    assert!(SEQUENCE.next().is_after(SEQUENCE));
    assert!(!SEQUENCE.is_after(SEQUENCE));
    let later = Sequence::at(half_past + Duration::from_micros(16));
    assert!(later.is_after(SEQUENCE.next()));
}

#[test]
fn sequence_number_wraps_around_in_2106() {
    let last = Sequence::from_bits(u64::MAX);
    let first = Sequence::from_bits(0);
    assert_eq!(last.next(), first);
    assert!(first.is_after(last) && !last.is_after(first));
    let end = Duration::from_secs(u32::MAX.into());
    assert_eq!(Sequence::at(end + Duration::from_secs(1)), first);
    assert_eq!(first.seconds_ahead(end), 1);
    assert_eq!(last.seconds_ahead(end + Duration::from_secs(3)), -3);
}

proptest! {
    #[test]
    fn signed_advertisement_is_parsed_and_verified(
        (family, version) in prop_oneof![
            Just((Family::V4, Version::V2)),
            Just((Family::V4, Version::V3)),
            Just((Family::V6, Version::V3)),
        ],
        vrid in 1..=255_u8,
        priority: u8,
        addresses in proptest::collection::vec(any::<[u8; 16]>(), 1..=80),
        number in 1..=255_u8,
        secret in proptest::collection::vec(any::<u8>(), 32..=64),
        sequence: u64,
        plain: bool,
    ) {
        let form = match (family, version, plain) {
            (Family::V4, Version::V2, _) | (Family::V4, _, true) => ChecksumForm::MessageOnly,
            _ => ChecksumForm::WithPseudoHeader,
        };
        let (source, destination) = match family {
            Family::V4 => (IPV4, GROUP_V4.into()),
            Family::V6 => (ipv6("fe80::10"), GROUP_V6.into()),
        };
        let first = addresses.iter().map(|bytes| *bytes.first_chunk().unwrap());
        let first: Vec<[u8; 4]> = first.collect();
        let advert = Advert {
            version,
            vrid: Vrid::new(vrid).unwrap(),
            priority,
            interval: AdvertInterval::DEFAULT,
            addresses: match family {
                Family::V4 => AddressList::new(&first),
                Family::V6 => AddressList::new_v6(&addresses),
            },
            auth: Auth::None,
        };
        let mut bytes = advert.emit(form, source, destination);
        let length = bytes.len();
        bytes.resize(length + TRAILER_LEN, 0);
        let key = Key::new(id(number), &secret).unwrap();
        sign(&mut bytes, source, destination, &key, Sequence::from_bits(sequence));
        let packet = Packet {
            at: Instant::MAX,
            interface: InterfaceIndex(1),
            source,
            destination,
            hop_limit: 255,
            payload: &bytes,
        };
        let expected = Expected { version, interval: AdvertInterval::DEFAULT, auth: Auth::None, hop_limit: HOP_LIMIT, may_be_empty: false };
        let received = Advert::parse(&packet, &expected).unwrap();
        prop_assert_eq!(received.advert, advert);
        prop_assert_eq!(received.checksum, form);
        prop_assert_eq!(received.beyond.len(), TRAILER_LEN);
        let trailer = Trailer::parse(packet.payload).unwrap();
        prop_assert_eq!(trailer.key, key.id());
        prop_assert_eq!(trailer.sequence.to_bits(), sequence);
        prop_assert!(trailer.is_genuine(packet.source, &key));
    }

    #[test]
    fn hmac_functions_accept_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut signed = bytes.clone();
        sign(&mut signed, IPV4, GROUP_V4.into(), &key(), SEQUENCE);
        let judged = Trailer::parse(&bytes).map(|trailer| trailer.is_genuine(IPV4, &key()));
        prop_assert_ne!(judged, Ok(true));
        prop_assert_eq!(signed.len(), bytes.len());
    }
}
