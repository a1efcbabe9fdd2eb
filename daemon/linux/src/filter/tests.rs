use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use vrrp_proto::wire::echo::Echo;
use vrrp_proto::wire::{GROUP_V4, HOP_LIMIT, arp, ipv4};
use vrrp_proto::{MacAddress, Vrid};

use super::*;

#[test]
fn empty_filter_drops_every_packet() {
    assert!(!keeps(NOTHING, &packet(51, 0)));
}

#[test]
fn filter_keeps_only_the_served_vrid() {
    for served in vrids() {
        let program = only(Family::V4, &[served].into_iter().collect());
        for vrid in 0..=255 {
            assert_eq!(
                keeps(&program, &packet(vrid, 0)),
                vrid == served.get(),
                "{served} {vrid}"
            );
        }
    }
}

#[test]
fn ipv4_options_are_skipped_and_short_packets_dropped() {
    let program = only(Family::V4, &vrids().collect());
    assert!(keeps(&program, &packet(51, 40)));
    assert!(!keeps(&program, &packet(51, 0)[..21]));
    assert!(!keeps(&program, &[]));
}

#[test]
fn ipv6_message_begins_at_the_first_byte() {
    for served in vrids() {
        let program = only(Family::V6, &[served].into_iter().collect());
        for vrid in 0..=255 {
            let message = [0x31, vrid, 100, 1, 0, 100, 0, 0];
            assert_eq!(
                keeps(&program, &message),
                vrid == served.get(),
                "{served} {vrid}"
            );
        }
    }
    let program = only(Family::V6, &vrids().collect());
    assert!(!keeps(&program, &[0x31]));
    assert!(!keeps(&program, &[]));
}

#[test]
fn wire_filter_keeps_what_this_host_would_receive() {
    let program = on_wire(&vrids().filter(|vrid| vrid.get() != 50).collect());
    let ipv4 = |vrid, options| {
        let mut packet = packet(vrid, options);
        packet[9] = 112;
        packet
    };
    let mut ipv6 = vec![0x60, 0, 0, 0, 0, 8, 112, 255];
    ipv6.extend([0; 32]);
    ipv6.extend([0x31, 51, 100, 1, 0, 100, 0, 0]);
    let frame = |ethertype: i32, kind, tag| Frame {
        ethertype: ethertype.cast_unsigned(),
        kind,
        tag,
        hop_limit: 0,
    };
    let keeps = |frame, packet: &[u8]| run_on(&program, packet, frame).unwrap_or(DROP) != DROP;
    let (four, six) = (libc::ETH_P_IP, libc::ETH_P_IPV6);
    for kind in 0..=2 {
        assert!(keeps(frame(four, kind, None), &ipv4(51, 0)));
        assert!(keeps(frame(four, kind, None), &ipv4(51, 40)), "IP options");
        assert!(keeps(frame(six, kind, None), &ipv6));
    }
    assert!(
        keeps(frame(four, 2, Some(7 << 13)), &ipv4(51, 0)),
        "priority tag"
    );
    for (dropped, packet) in [
        (frame(four, 3, None), ipv4(51, 0)),
        (frame(four, 4, None), ipv4(51, 0)),
        (frame(six, 4, None), ipv6.clone()),
        (frame(four, 2, Some(10)), ipv4(51, 0)),
        (frame(six, 2, Some(10)), ipv6.clone()),
        (frame(libc::ETH_P_ARP, 2, None), ipv4(51, 0)),
        (frame(six, 2, None), ipv4(51, 0)),
        (frame(four, 2, None), ipv6.clone()),
        (frame(four, 2, None), ipv4(50, 0)),
        (frame(four, 2, None), packet_of(17)),
        (frame(four, 2, None), fragment(0x20)),
        (frame(four, 2, None), fragment(0x01)),
        (frame(six, 2, None), ipv6[..41].to_vec()),
        (
            frame(six, 2, None),
            [&ipv6[..6], &[17], &ipv6[7..]].concat(),
        ),
        (
            frame(six, 2, None),
            [&ipv6[..41], &[50], &ipv6[42..]].concat(),
        ),
    ] {
        assert!(!keeps(dropped, &packet), "{dropped:?} {packet:?}");
    }
}

#[test]
fn claims_of_addresses_with_the_same_last_byte_are_kept() {
    let mac = MacAddress([2, 0, 0, 0, 0, 0x66]);
    let arp = |last| {
        let sender = Ipv4Addr::new(10, 0, 0, last);
        arp::request(mac, sender, Ipv4Addr::new(10, 0, 0, 1))[14..].to_vec()
    };
    let advertisement = |last: u8| {
        let target = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into());
        ndisc::unsolicited(mac, target)[54..].to_vec()
    };
    let received = |tag, hop_limit| Frame {
        ethertype: libc::ETH_P_ARP.cast_unsigned(),
        kind: 1,
        tag,
        hop_limit,
    };
    for defended in [vec![0], vec![31, 32, 100], vec![255], (0..=255).collect()] {
        let v4 = defended.iter().map(|last| [10, 0, 0, *last].into());
        let v4 = claims(Family::V4, v4);
        let v6 = defended.iter().map(|last| {
            let address = Ipv6Addr::from(u128::from(*last));
            IpAddr::V6(address)
        });
        let v6 = claims(Family::V6, v6);
        for last in 0..=255 {
            let is_kept = defended.contains(&last);
            for (program, packet) in [(&v4, arp(last)), (&v6, advertisement(last))] {
                let keeps = |frame| run_on(program, &packet, frame).unwrap_or(DROP) != DROP;
                assert_eq!(keeps(received(None, 255)), is_kept, "{defended:?} {last}");
            }
        }
        let keeps = |program: &[Instruction], packet: &[u8], frame| {
            run_on(program, packet, frame).unwrap_or(DROP) != DROP
        };
        let last = defended[0];
        assert!(!keeps(&v4, &arp(last), received(Some(10), 255)), "a VLAN");
        let sent = Frame {
            kind: 4,
            ..received(None, 255)
        };
        assert!(!keeps(&v4, &arp(last), sent), "sent by this host");
        assert!(!keeps(&v4, &arp(last)[..17], received(None, 255)));
        let routed = received(None, 254);
        assert!(!keeps(&v6, &advertisement(last), routed), "no neighbour");
        let mut solicitation = advertisement(last);
        solicitation[0] = 135;
        assert!(!keeps(&v6, &solicitation, received(None, 255)));
    }
}

/// Packet of another protocol.
fn packet_of(protocol: u8) -> Vec<u8> {
    let mut packet = packet(51, 0);
    packet[9] = protocol;
    packet
}

/// Packet with these flags and upper bits of the fragment offset.
fn fragment(upper: u8) -> Vec<u8> {
    let mut packet = packet_of(112);
    packet[6] = upper;
    packet
}

proptest! {
    #[test]
    fn filter_keeps_all_vrids_of_a_set(served in prop::collection::btree_set(1_u8.., 0..255)) {
        let set: VridSet = served.iter().filter_map(|vrid| Vrid::new(*vrid)).collect();
        let program = only(Family::V4, &set);
        for vrid in vrids() {
            prop_assert_eq!(set.contains(vrid), served.contains(&vrid.get()));
            prop_assert_eq!(keeps(&program, &packet(vrid.get(), 0)), set.contains(vrid));
        }
        prop_assert!(!keeps(&program, &packet(0, 0)));
    }
}

#[test]
fn notification_of_own_address_change_is_dropped() {
    let [asked, other] = [[10, 0, 0, 9], [10, 0, 0, 8]];
    let program = all_but_own(7);
    assert!(
        !keeps(&program, &notification(7, asked, asked)),
        "own change"
    );
    assert!(
        keeps(&program, &notification(7, asked, other)),
        "side effect of an own change"
    );
    assert!(
        keeps(&program, &notification(8, asked, asked)),
        "other program"
    );
    assert!(
        keeps(&program, &notification(0, asked, asked)),
        "change of the kernel"
    );
    let without_address = &notification(7, asked, asked)[..32];
    assert!(
        keeps(&program, without_address),
        "own port ID, but no address"
    );
}

#[test]
fn table_changes_of_other_sockets_are_kept() {
    let of = |port| notification(port, [0; 4], [0; 4]);
    assert!(!keeps(&all_but_from(7), &of(7)));
    assert!(keeps(&all_but_from(7), &of(8)));
    assert!(keeps(&all_but_from(7), &of(0)));
}

#[test]
fn foreign_changes_of_marked_routes_and_rules_are_kept() {
    let program = marked_by_others(0x56, 7);
    for kind in [libc::RTM_NEWROUTE, libc::RTM_DELROUTE] {
        assert!(keeps(&program, &route(kind, 0x56, 8)), "other program");
        assert!(keeps(&program, &route(kind, 0x56, 0)), "kernel");
        assert!(!keeps(&program, &route(kind, 0x56, 7)), "own change");
        assert!(!keeps(&program, &route(kind, 186, 8)), "BGP route");
    }
    for kind in [libc::RTM_NEWRULE, libc::RTM_DELRULE] {
        assert!(keeps(&program, &rule(kind, Some(0x56), 8)), "other program");
        assert!(!keeps(&program, &rule(kind, Some(0x56), 7)), "own change");
        assert!(!keeps(&program, &rule(kind, Some(2), 0)), "kernel rule");
        assert!(
            !keeps(&program, &rule(kind, None, 8)),
            "rule without protocol"
        );
    }
    assert!(!keeps(&program, &[]));
}

#[test]
fn only_routes_to_the_wanted_destination_are_kept() {
    for (destination, table, other, address) in [
        ("10.0.0.0/8", 254, "10.0.0.0/9", true),
        ("10.0.0.0/8", 254, "11.0.0.0/8", true),
        ("2001:db8::/32", 7, "2001:db9::/32", true),
        ("2001:db8::1/128", 7, "2001:db8::2/128", true),
        ("0.0.0.0/0", 300, "0.0.0.0/1", false),
        ("::/0", 254, "2000::/3", true),
    ] {
        let [destination, other] = [destination, other].map(|text| text.parse().unwrap());
        let table = Table::new(table).unwrap();
        let program = routes_to(destination, table);
        for kind in [libc::RTM_NEWROUTE, libc::RTM_DELROUTE] {
            assert!(keeps(&program, &route_to(kind, destination, table)));
            assert!(!keeps(&program, &route_to(kind, other, table)), "{other}");
            let elsewhere = route_to(kind, destination, Table::new(9).unwrap());
            assert!(!keeps(&program, &elsewhere), "{destination}");
            if address {
                let without = &route_to(kind, other, table)[..28];
                assert!(!keeps(&program, without), "without an address");
            }
        }
        assert!(
            keeps(&program, &notification(7, [0; 4], [0; 4])),
            "no route"
        );
    }
}

#[test]
fn only_echo_replies_with_the_identifier_are_kept() {
    let echo = |identifier| Echo {
        identifier,
        sequence: 1,
        token: 2,
    };
    for family in Family::ALL {
        let header: &[u8] = match family {
            Family::V4 => &ipv4::header(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, 64, 64),
            Family::V6 => &[],
        };
        let program = echo_replies(family, 0x1234);
        let packet = |kind, identifier| {
            let mut message = echo(identifier).request(family);
            message[0] = kind;
            [header, &message].concat()
        };
        let reply = echo::reply_type(family);
        assert!(keeps(&program, &packet(reply, 0x1234)));
        assert!(!keeps(&program, &packet(reply, 0x1235)), "other identifier");
        let request = echo(0x1234).request(family);
        assert!(!keeps(&program, &packet(request[0], 0x1234)), "a request");
        assert!(!keeps(&program, &packet(reply, 0x1234)[..header.len() + 5]));
    }
}

fn vrids() -> impl Iterator<Item = Vrid> {
    (1..=255).filter_map(Vrid::new)
}

/// An IPv4 packet with `options` bytes of options, and the beginning of an advertisement.
fn packet(vrid: u8, options: u8) -> Vec<u8> {
    let mut header = ipv4::header(Ipv4Addr::LOCALHOST, GROUP_V4, HOP_LIMIT, 8).to_vec();
    header[0] += options / 4;
    header.resize(header.len() + usize::from(options), 0xff);
    [&header[..], &[0x31, vrid, 100, 1, 0, 100, 0, 0]].concat()
}

/// An RTM_NEWADDR with an attribute before IFA_ADDRESS.
fn notification(port: u32, sequence: [u8; 4], address: [u8; 4]) -> Vec<u8> {
    let attribute = |kind: u16, value: [u8; 4]| {
        [&8_u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &value].concat()
    };
    [
        &40_u32.to_ne_bytes()[..],
        &20_u16.to_ne_bytes(),
        &[0, 0],
        &sequence,
        &port.to_ne_bytes(),
        &[2, 24, 0, 0, 2, 0, 0, 0],
        &attribute(2, [1, 1, 1, 1]),
        &attribute(1, address),
    ]
    .concat()
}

/// A route message without attributes.
fn route(kind: u16, protocol: u8, port: u32) -> Vec<u8> {
    message(kind, port, &[2, 16, 0, 0, 254, protocol, 0, 1, 0, 0, 0, 0])
}

/// A rule message with an attribute before FRA_PROTOCOL.
fn rule(kind: u16, protocol: Option<u8>, port: u32) -> Vec<u8> {
    let header = [2, 0, 0, 0, 100, 0, 0, 1, 0, 0, 0, 0];
    let attribute = |kind: u16, value: u8| {
        let [low, high] = kind.to_ne_bytes();
        [5_u16.to_ne_bytes(), [low, high], [value, 0], [0, 0]].concat()
    };
    let protocol = protocol.map(|protocol| attribute(21, protocol));
    let body = [
        &header[..],
        &attribute(15, 0x56),
        &protocol.unwrap_or_default(),
    ]
    .concat();
    message(kind, port, &body)
}

/// A netlink message.
fn message(kind: u16, port: u32, body: &[u8]) -> Vec<u8> {
    [
        &(16 + u32::try_from(body.len()).unwrap()).to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &[0, 0],
        &[0, 0, 0, 0],
        &port.to_ne_bytes(),
        body,
    ]
    .concat()
}

fn keeps(program: &[Instruction], packet: &[u8]) -> bool {
    run(program, packet).unwrap_or(DROP) != DROP
}

/// Properties of a frame that are not among its bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    ethertype: u32,
    kind: u32,
    tag: Option<u32>,
    hop_limit: u32,
}

fn run(program: &[Instruction], packet: &[u8]) -> Option<u32> {
    run_on(program, packet, Frame::default())
}

/// Interprets `program` as the kernel does. `None` when it reads beyond the end of the packet.
fn run_on(program: &[Instruction], packet: &[u8], frame: Frame) -> Option<u32> {
    let (mut a, mut x, mut stored) = (0_u32, 0_u32, [0_u32; 16]);
    let byte = |at: u32| packet.get(usize::try_from(at).ok()?).copied();
    let word = |at| {
        let bytes = [byte(at)?, byte(at + 1)?, byte(at + 2)?, byte(at + 3)?];
        Some(u32::from_be_bytes(bytes))
    };
    let mut next = 0;
    loop {
        let Instruction {
            code,
            when_true,
            when_false,
            k,
        } = program[next];
        next += 1;
        let mut skip = |count: u32| next += usize::try_from(count).unwrap_or(usize::MAX);
        let mut branch =
            |condition| skip(u32::from(if condition { when_true } else { when_false }));
        match code {
            LOAD => a = k,
            LOAD_X => x = k,
            STORE => stored[usize::try_from(k).ok()?] = a,
            JUMP => skip(k),
            RETURN => return Some(k),
            COPY_TO_X => x = a,
            EQUAL => branch(a == k),
            EQUAL_X => branch(a == x),
            GREATER => branch(a > k),
            LOAD_WORD if k == FIND_ATTRIBUTE => a = find_attribute(packet, a, x),
            LOAD_WORD if k == ETHERTYPE => a = frame.ethertype,
            LOAD_WORD if k == PACKET_TYPE => a = frame.kind,
            LOAD_WORD if k == VLAN_TAG => a = frame.tag.unwrap_or_default(),
            LOAD_WORD if k == VLAN_TAG_PRESENT => a = u32::from(frame.tag.is_some()),
            LOAD_WORD => a = word(k)?,
            LOAD_HALF => a = u32::from(byte(k)?) << 8 | u32::from(byte(k + 1)?),
            LOAD_BYTE if k == IPV6_HOP_LIMIT => a = frame.hop_limit,
            LOAD_BYTE => a = u32::from(byte(k)?),
            LOAD_WORD_AT_X => a = word(x + k)?,
            ANY_BIT => branch(a & k != 0),
            LOAD_HALF_AT_X => a = u32::from(byte(x + k)?) << 8 | u32::from(byte(x + k + 1)?),
            LOAD_BYTE_AT_X => a = u32::from(byte(x + k)?),
            AND => a &= k,
            LOAD_STORED => a = stored[usize::try_from(k).ok()?],
            SHIFT_RIGHT => a >>= k,
            SHIFT_RIGHT_BY_X => a >>= x,
            LOAD_X_IPV4_HEADER_LEN => x = 4 * u32::from(byte(k)? & 0xf),
            other => panic!("unknown instruction {other:#x}"),
        }
    }
}

/// A route notification as the kernel encodes it.
fn route_to(kind: u16, destination: Network, table: Table) -> Vec<u8> {
    let mut message = vec![0; 28];
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[17] = destination.prefix();
    message[20] = u8::try_from(table.get()).unwrap_or(252);
    // The kernel puts RTA_TABLE before the destination.
    message.extend([8_u16, 15].map(u16::to_ne_bytes).concat());
    message.extend(table.get().to_ne_bytes());
    if destination.prefix() > 0 {
        let octets = match destination.address() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let length = u16::try_from(4 + octets.len()).unwrap();
        message.extend([length, 1].map(u16::to_ne_bytes).concat());
        message.extend(octets);
    }
    message
}

fn find_attribute(packet: &[u8], start: u32, wanted: u32) -> u32 {
    let mut at = start;
    while let Some([a, b, c, d, ..]) = packet.get(usize::try_from(at).unwrap()..) {
        if u32::from(u16::from_ne_bytes([*c, *d])) == wanted {
            return at;
        }
        at += u32::from(u16::from_ne_bytes([*a, *b]))
            .next_multiple_of(4)
            .max(4);
    }
    0
}
