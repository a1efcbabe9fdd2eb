//! Fuzz target that turns bytes into an advertisement.

use core::net::IpAddr;

use vrrp_proto::wire::hmac::{Key, KeyId, Sequence, TRAILER_LEN, Trailer, sign};
use vrrp_proto::wire::ipv4::{self, HEADER_LEN};
use vrrp_proto::wire::{Advert, Auth, DropCause, Expected, HOP_LIMIT, PROTOCOL, group};
use vrrp_proto::{AdvertInterval, Family, Instant, InterfaceIndex, Packet, Password, Version};

/// Length of the message's header.
const HEAD: usize = 8;

/// Bit of the first byte that selects IPv6.
const IPV6: u8 = 0x80;

/// Splits an IPv4 packet and parses its message with the expectations of several routers. For IPv6, where
/// the kernel delivers no header, parses the bytes after a hop limit and a source. The first byte selects
/// the family and the checksum that the message is given, because random bytes have no valid checksum.
///
/// # Panics
///
/// When a complete packet is not split, or an incomplete one is; when an advertisement is not rejected for
/// the first rule that it breaks; and when an accepted one changes by being sent again.
pub fn advert(bytes: &[u8]) {
    let [how, packet @ ..] = bytes else { return };
    if how & IPV6 != 0 {
        if let [hop_limit, rest @ ..] = packet
            && let Some((source, message)) = rest.split_first_chunk::<16>()
        {
            let mut message = message.to_vec();
            judge_all(
                *how,
                (*source).into(),
                group(Family::V6),
                *hop_limit,
                &mut message,
            );
        }
        return;
    }
    let mut packet = packet.to_vec();
    let whole = is_whole(&packet);
    let Some((header, payload)) = ipv4::split(&packet) else {
        assert!(whole.is_none(), "a complete packet is rejected");
        return;
    };
    let Some((head, end)) = whole else {
        panic!("an incomplete packet is accepted");
    };
    assert_eq!(payload, &packet[head..end]);
    assert_eq!(header.source.octets(), packet[12..16]);
    assert_eq!(header.destination.octets(), packet[16..20]);
    assert_eq!(header.ttl, packet[8]);
    let (source, destination) = (header.source.into(), header.destination.into());
    judge_all(
        *how,
        source,
        destination,
        header.ttl,
        &mut packet[head..end],
    );
}

/// Gives a message the checksum that `how` selects, and judges it with the expectations of several routers.
fn judge_all(how: u8, source: IpAddr, destination: IpAddr, hop_limit: u8, payload: &mut [u8]) {
    let proper = proper(payload, Family::of(source)).len();
    let message = &mut payload[..proper];
    match how % 4 {
        1 => seal(message, 0),
        2 => {
            let pseudo = pseudo_header(message, source, destination);
            seal(message, pseudo);
        }
        // Unchanged.
        _ => {}
    }
    let packet = Packet {
        at: Instant::ZERO,
        interface: InterfaceIndex(1),
        source,
        destination,
        hop_limit,
        payload,
    };
    for expected in expectations(payload) {
        judge(&packet, &expected);
    }
}

/// Returns the bounds of the message in a complete IPv4 packet.
fn is_whole(packet: &[u8]) -> Option<(usize, usize)> {
    if packet.len() < HEADER_LEN || packet[0] >> 4 != 4 {
        return None;
    }
    let head = 4 * usize::from(packet[0] & 0x0f);
    let end = 256 * usize::from(packet[2]) + usize::from(packet[3]);
    (HEADER_LEN <= head && head <= end && end <= packet.len()).then_some((head, end))
}

/// Returns the expectations of routers with and without a password and with several intervals, and of one
/// with the password and interval of the message.
fn expectations(message: &[u8]) -> Vec<Expected> {
    let seconds = message
        .get(5)
        .copied()
        .and_then(AdvertInterval::from_seconds);
    let its_own = seconds.unwrap_or(AdvertInterval::DEFAULT);
    let its_password = auth_data(message).and_then(|data| Password::new(&data));
    let passwords = [its_password, Password::new(b"1111")];
    let mut expectations = vec![Expected {
        version: Version::V3,
        interval: AdvertInterval::DEFAULT,
        auth: Auth::None,
        hop_limit: HOP_LIMIT,
        may_be_empty: false,
    }];
    expectations.push(Expected {
        may_be_empty: true,
        ..expectations[0]
    });
    for interval in [AdvertInterval::DEFAULT, its_own] {
        let passes = passwords.into_iter().flatten().map(Auth::Pass);
        expectations.extend(passes.chain([Auth::None]).map(|auth| Expected {
            version: Version::V2,
            interval,
            auth,
            hop_limit: HOP_LIMIT,
            may_be_empty: false,
        }));
    }
    expectations
}

/// Returns the advertisement in a packet, without the bytes that follow it.
fn proper(x: &[u8], family: Family) -> &[u8] {
    let data = if x.first().is_some_and(|b| b >> 4 == 2) {
        8
    } else {
        0
    };
    let size = usize::from(family.address_bits() / 8);
    let needed = HEAD + size * usize::from(x.get(3).copied().unwrap_or(0)) + data;
    x.get(..needed).unwrap_or(x)
}

/// Returns the authentication data of version 2.
fn auth_data(message: &[u8]) -> Option<[u8; 8]> {
    let at = HEAD + 4 * usize::from(*message.get(3)?);
    message.get(at..at + 8)?.try_into().ok()
}

fn judge(packet: &Packet<'_>, expected: &Expected) {
    let x = packet.payload;
    let received = match (
        Advert::parse(packet, expected),
        first_fault(packet, expected),
    ) {
        (Ok(received), None) => received,
        (Err(cause), Some(fault)) if cause == fault => return,
        (judged, fault) => panic!("parsed as {judged:?}, expected the fault {fault:?}: {packet:?}"),
    };
    let advert = received.advert;
    assert_eq!(Advert::peek_vrid(x), Some(advert.vrid));
    assert_eq!(advert.addresses.family(), Family::of(packet.source));
    let again = advert.emit(received.checksum, packet.source, packet.destination);

    // Ignored fields are sent as zero: reserved bits and the data of no authentication. Bytes after the
    // message are not sent.
    let mut normal = x[..again.len()].to_vec();
    match (expected.version, expected.auth) {
        (Version::V3, _) => normal[4] &= 0x0f,
        (Version::V2, Auth::None) => {
            let at = normal.len() - 8;
            normal[at..].fill(0);
        }
        (Version::V2, Auth::Pass(_)) => {}
    }
    let blank = |message: &[u8]| {
        let mut message = message.to_vec();
        message[6..8].fill(0);
        message
    };
    assert_eq!(blank(&again), blank(&normal));
    if normal == x {
        // 0x0000 and 0xffff are both zero in one's complement.
        let zero = |high: u8, low: u8| (high, low) == (0, 0) || (high, low) == (0xff, 0xff);
        assert!(
            again[6..8] == x[6..8] || zero(again[6], again[7]) && zero(x[6], x[7]),
            "the checksum changed: {again:?} of {x:?}"
        );
    }
    let packet = Packet {
        payload: &again,
        ..*packet
    };
    let read = Advert::parse(&packet, expected).map(|received| received.advert);
    assert_eq!(read, Ok(advert));
    judge_signed(&packet, expected);
}

/// Asserts that a router without HMAC parses a signed advertisement as an unsigned one, and that the
/// signature is valid as long as no byte is changed (except in the checksum).
fn judge_signed(packet: &Packet<'_>, expected: &Expected) {
    let (Some(id), sequence) = (KeyId::new(packet.payload[1]), Sequence::from_bits(7)) else {
        panic!("an advertisement with VRID 0 was accepted");
    };
    let Some(key) = Key::new(id, &[packet.payload[2]; 32]) else {
        panic!("32 bytes were rejected as a key");
    };
    let mut signed = packet.payload.to_vec();
    signed.resize(signed.len() + TRAILER_LEN, 0);
    let (source, destination) = (packet.source, packet.destination);
    sign(&mut signed, source, destination, &key, sequence);
    let read = |packet: &Packet<'_>| {
        let received = Advert::parse(packet, expected).map(|received| received.advert);
        received.map(|advert| format!("{advert:?}"))
    };
    let packet_signed = Packet {
        payload: &signed,
        ..*packet
    };
    assert_eq!(read(&packet_signed), read(packet));
    let is_genuine = |bytes: &[u8]| {
        let trailer = Trailer::parse(bytes);
        trailer.is_ok_and(|trailer| trailer.is_genuine(source, &key))
    };
    assert!(is_genuine(&signed), "{signed:?}");
    let at = usize::from(packet.payload[7]) % signed.len();
    signed[at] ^= 1;
    assert_eq!(is_genuine(&signed), at == 6 || at == 7, "byte {at}");
}

/// Returns the first rule of RFC 9568 section 7.1 or RFC 3768 section 7.1 that a packet breaks, determined
/// without the parser.
fn first_fault(packet: &Packet<'_>, expected: &Expected) -> Option<DropCause> {
    let x = packet.payload;
    let is_2 = expected.version == Version::V2;
    let at = |n: usize| x.get(n).copied();
    let data = if is_2 { 8 } else { 0 };
    let (is_ipv6, size) = match packet.source {
        IpAddr::V4(_) => (false, 4),
        IpAddr::V6(_) => (true, 16),
    };
    let needed = HEAD + size * usize::from(at(3).unwrap_or(0)) + data;
    // The checksum does not cover the bytes after the message.
    let message = proper(x, Family::of(packet.source));
    let plain = fold(sum(message)) == 0xffff;
    let pseudo = pseudo_header(message, packet.source, packet.destination);
    let pseudo = fold(sum(message) + pseudo) == 0xffff;
    // Version 2 has no pseudo-header and IPv6 always has one, so no checksum is right for both.
    let is_right = plain && !is_ipv6 || pseudo && !is_2;
    let is_wrong_password = match expected.auth {
        Auth::Pass(password) => auth_data(x) != Some(*password.bytes()),
        Auth::None => false,
    };
    let auth_type = u8::from(expected.auth != Auth::None);
    let seconds = u16::from(at(5).unwrap_or(0));
    let centiseconds = u16::from(at(4).unwrap_or(0) & 0x0f) << 8 | seconds;
    let rules = [
        (packet.hop_limit != HOP_LIMIT, DropCause::HopLimit),
        // netinet/ip_carp.h of the BSDs
        (
            x.len() == 36 && (at(0), at(3)) == (Some(0x21), Some(7)),
            DropCause::Carp,
        ),
        (x.is_empty(), DropCause::Length),
        (
            at(0).map(|b| b >> 4) != Some(expected.version.number()),
            DropCause::Version,
        ),
        (at(0).map(|b| b & 0x0f) != Some(1), DropCause::Type),
        (x.len() < needed, DropCause::Length),
        (!is_right, DropCause::Checksum),
        (at(1) == Some(0), DropCause::UnknownVrid),
        (is_2 && at(4) != Some(auth_type), DropCause::AuthType),
        (is_2 && is_wrong_password, DropCause::AuthPassword),
        (
            is_2 && (seconds == 0 || 100 * seconds != expected.interval.centiseconds()),
            DropCause::Interval,
        ),
        (!is_2 && centiseconds == 0, DropCause::ZeroInterval),
        (
            !is_2 && at(3) == Some(0) && !expected.may_be_empty,
            DropCause::NoAddresses,
        ),
    ];
    let broken = rules.into_iter().find(|(is_broken, _)| *is_broken);
    broken.map(|(_, cause)| cause)
}

/// Gives a message the checksum that is right with `more` added to its sum.
fn seal(message: &mut [u8], more: u64) {
    if message.len() >= HEAD {
        message[6..8].fill(0);
        let checksum = !fold(sum(message) + more);
        message[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Returns the sum of the pseudo-header (RFC 5798 section 5.2.8, RFC 8200 section 8.1).
fn pseudo_header(message: &[u8], source: IpAddr, destination: IpAddr) -> u64 {
    let length = u64::try_from(message.len()).unwrap_or(u64::MAX);
    let address = |address| match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    };
    address(source) + address(destination) + u64::from(PROTOCOL) + length
}

fn sum(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    bytes.chunks(2).map(word).sum()
}

fn fold(sum: u64) -> u16 {
    // Folding the carries gives the remainder, except that a multiple of 0xffff is never folded to zero.
    match u16::try_from(sum % 0xffff) {
        Ok(0) if sum > 0 => 0xffff,
        Ok(rest) => rest,
        Err(_) => unreachable!("less than 65,535"),
    }
}
