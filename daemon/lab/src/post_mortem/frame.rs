//! Headers of a captured frame: link layer, VLAN tags and IP, down to VRRP, ARP and neighbour discovery.

use std::net::{IpAddr, Ipv6Addr};

use vrrp_proto::MacAddress;
use vrrp_proto::wire::{PROTOCOL, arp, ipv4, ipv6, ndisc};

/// Link types of the list of tcpdump.org that [`open`] understands.
pub(crate) const ETHERNET: u32 = 1;
const RAW: [u32; 3] = [12, 14, 101];
const RAW_IPV4: u32 = 228;
const RAW_IPV6: u32 = 229;
const LINUX_COOKED: u32 = 113;
const LINUX_COOKED_V2: u32 = 276;

/// Names of these link types, for messages.
pub(crate) const READABLE: &str =
    "Ethernet (1), Linux cooked v1 (113) and v2 (276), and raw IP (12, 14, 101, 228, 229)";

/// Bit of the first byte of an Ethernet address that makes it a group or broadcast address.
const GROUP_BIT: u8 = 1;
/// Packet types of Linux cooked captures: to this host, and to another host. Outgoing packets have a type of their
/// own, whatever their destination.
const TO_ONE_HOST: [u8; 2] = [0, 3];

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// EtherTypes of VLAN tags: 802.1Q, 802.1ad, and the older one of QinQ.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

const ICMPV6: u8 = 58;
const AUTHENTICATION_HEADER: u8 = 51;
/// Extension headers of IPv6 whose length is in units of eight bytes: hop-by-hop, routing, destination.
const EXTENSIONS: [u8; 3] = [0, 43, 60];
const MOST_EXTENSIONS: usize = 8;
/// All nodes of the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Frame whose content matters to VRRP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// VLAN tags, the outermost first.
    pub(crate) vlans: Vec<u16>,
    /// Index of the interface, in a capture on all interfaces.
    pub(crate) interface: Option<u32>,
    /// Source MAC address.
    pub(crate) source: Option<MacAddress>,
    pub(crate) content: Content<'a>,
}

/// Content of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// VRRP, or CARP.
    Vrrp(Vrrp<'a>),
    /// The capture has less of the packet than its headers say.
    Cut,
    /// ARP packet or neighbour advertisement that tells the MAC address of an address.
    Claim(Claim),
}

/// A VRRP message with the fields of its IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vrrp<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) hop_limit: u8,
    /// Whether the message is behind an IP authentication header.
    pub(crate) is_authenticated: bool,
    pub(crate) message: &'a [u8],
}

/// The statement that an address is at a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) address: IpAddr,
    pub(crate) mac: MacAddress,
    /// Whether it is meant for all hosts: a gratuitous ARP, or an unsolicited neighbour advertisement.
    pub(crate) is_announcement: bool,
}

pub(crate) fn is_readable(link: u32) -> bool {
    let single = [ETHERNET, RAW_IPV4, RAW_IPV6, LINUX_COOKED, LINUX_COOKED_V2];
    single.contains(&link) || RAW.contains(&link)
}

/// Reads the headers of a packet. `None` if its content does not matter to VRRP, or its headers are incomplete.
pub(crate) fn open(link: u32, bytes: &[u8]) -> Option<Frame<'_>> {
    let mut is_to_one = false;
    let (interface, source, ethertype, payload) = match link {
        ETHERNET => {
            let (header, payload) = bytes.split_first_chunk::<14>()?;
            let [to, _, _, _, _, _, a, b, c, d, e, f, high, low] = *header;
            is_to_one = to & GROUP_BIT == 0;
            let source = MacAddress([a, b, c, d, e, f]);
            (None, Some(source), u16::from_be_bytes([high, low]), payload)
        }
        LINUX_COOKED => {
            let (header, payload) = bytes.split_first_chunk::<16>()?;
            is_to_one = TO_ONE_HOST.contains(&header[1]);
            let length = u16::from_be_bytes([header[4], header[5]]);
            let source = cooked_source(length, header.get(6..12)?);
            let ethertype = u16::from_be_bytes([header[14], header[15]]);
            (None, source, ethertype, payload)
        }
        LINUX_COOKED_V2 => {
            let (header, payload) = bytes.split_first_chunk::<20>()?;
            is_to_one = TO_ONE_HOST.contains(&header[10]);
            let index = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            let source = cooked_source(header[11].into(), header.get(12..18)?);
            let ethertype = u16::from_be_bytes([header[0], header[1]]);
            (Some(index), source, ethertype, payload)
        }
        RAW_IPV4 => (None, None, IPV4, bytes),
        RAW_IPV6 => (None, None, IPV6, bytes),
        _ if RAW.contains(&link) => match bytes.first()? >> 4 {
            4 => (None, None, IPV4, bytes),
            6 => (None, None, IPV6, bytes),
            _ => return None,
        },
        _ => return None,
    };
    let (vlans, ethertype, payload) = untag(ethertype, payload)?;
    let content = match ethertype {
        IPV4 => of_ipv4(payload)?,
        IPV6 => of_ipv6(payload)?,
        ARP => of_arp(payload, is_to_one)?,
        _ => return None,
    };
    Some(Frame {
        vlans,
        interface,
        source,
        content,
    })
}

fn cooked_source(length: u16, address: &[u8]) -> Option<MacAddress> {
    let address = address.first_chunk()?;
    (length == 6).then_some(MacAddress(*address))
}

/// Removes the VLAN tags. The VLAN 0 of a tag that has only a priority is left out.
fn untag(mut ethertype: u16, mut payload: &[u8]) -> Option<(Vec<u16>, u16, &[u8])> {
    let mut vlans = Vec::new();
    while TAGS.contains(&ethertype) {
        let ([a, b, c, d], rest) = payload.split_first_chunk::<4>()?;
        let vlan = u16::from_be_bytes([*a, *b]) & 0x0fff;
        vlans.extend((vlan != 0).then_some(vlan));
        ethertype = u16::from_be_bytes([*c, *d]);
        payload = rest;
    }
    Some((vlans, ethertype, payload))
}

fn of_ipv4(packet: &[u8]) -> Option<Content<'_>> {
    let protocol = *packet.get(9)?;
    if protocol != PROTOCOL && protocol != AUTHENTICATION_HEADER {
        return None;
    }
    let Some((header, payload)) = ipv4::split(packet) else {
        return (protocol == PROTOCOL).then_some(Content::Cut);
    };
    let message = match protocol {
        PROTOCOL => payload,
        _ => behind_authentication_header(payload)?,
    };
    Some(Content::Vrrp(Vrrp {
        source: header.source.into(),
        destination: header.destination.into(),
        hop_limit: header.ttl,
        is_authenticated: protocol != PROTOCOL,
        message,
    }))
}

fn of_ipv6(packet: &[u8]) -> Option<Content<'_>> {
    let (header, rest) = packet.split_first_chunk::<{ ipv6::HEADER_LEN }>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let source = Ipv6Addr::from(*header.get(8..24)?.first_chunk::<16>()?);
    let destination = Ipv6Addr::from(*header.get(24..40)?.first_chunk::<16>()?);
    let Some(mut payload) = rest.get(..length) else {
        return (header[6] == PROTOCOL).then_some(Content::Cut);
    };
    let mut next = header[6];
    let mut is_authenticated = false;
    for _ in 0..MOST_EXTENSIONS {
        if EXTENSIONS.contains(&next) {
            let units = usize::from(*payload.get(1)?);
            next = *payload.first()?;
            payload = payload.get((units + 1) * 8..)?;
        } else if next == AUTHENTICATION_HEADER {
            is_authenticated = true;
            next = *payload.first()?;
            payload = payload.get((usize::from(*payload.get(1)?) + 2) * 4..)?;
        } else {
            break;
        }
    }
    match next {
        PROTOCOL => Some(Content::Vrrp(Vrrp {
            source: source.into(),
            destination: destination.into(),
            hop_limit: header[7],
            is_authenticated,
            message: payload,
        })),
        ICMPV6 if payload.first() == Some(&ndisc::NEIGHBOUR_ADVERTISEMENT) => {
            let (address, mac) = ndisc::advertised(payload)?;
            Some(Content::Claim(Claim {
                address: address.into(),
                mac,
                is_announcement: destination == ALL_NODES,
            }))
        }
        _ => None,
    }
}

fn of_arp(packet: &[u8], is_to_one: bool) -> Option<Content<'_>> {
    let (address, mac) = arp::sender(packet)?;
    Some(Content::Claim(Claim {
        address: address.into(),
        mac,
        // The kernel of a former master may answer the announcement of the new one, to it alone.
        is_announcement: packet.get(24..28)? == address.octets() && !is_to_one,
    }))
}

/// Message behind an IP authentication header (RFC 4302 section 2).
fn behind_authentication_header(packet: &[u8]) -> Option<&[u8]> {
    let words = usize::from(*packet.get(1)?) + 2;
    let message = packet.get(words * 4..)?;
    (packet.first() == Some(&PROTOCOL)).then_some(message)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);
    const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    #[test]
    fn vrrp_is_found_behind_each_link_header() {
        let packet = ipv4_packet();
        let ethernet = [&[1, 0, 0x5e, 0, 0, 0x12][..], &MAC.0, &[8, 0], &packet].concat();
        let cooked = [&[0, 1, 0, 1, 0, 6][..], &MAC.0, &[0, 0, 8, 0], &packet].concat();
        let two = [
            &[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 1, 6][..],
            &MAC.0,
            &[0, 0],
            &packet,
        ]
        .concat();
        for (link, bytes, source, interface) in [
            (1, ethernet, Some(MAC), None),
            (113, cooked, Some(MAC), None),
            (276, two, Some(MAC), Some(3)),
            (101, packet.clone(), None, None),
            (228, packet.clone(), None, None),
        ] {
            let frame = open(link, &bytes).unwrap();
            assert_eq!((frame.source, frame.interface), (source, interface));
            let Content::Vrrp(vrrp) = frame.content else {
                panic!("{frame:?}");
            };
            assert_eq!(vrrp.source, IpAddr::from(SOURCE));
            assert_eq!((vrrp.hop_limit, vrrp.message), (255, &b"message"[..]));
            for length in 0..bytes.len() {
                let cut = open(link, &bytes[..length]);
                assert!(
                    cut.is_none_or(|frame| frame.content == Content::Cut),
                    "{length} bytes"
                );
            }
        }
    }

    #[test]
    fn vlan_tags_are_removed() {
        let tags = [0x88, 0xa8, 0x20, 100, 0x81, 0, 0, 7, 8, 0];
        let bytes = [&[0xff; 6][..], &MAC.0, &tags, &ipv4_packet()].concat();
        assert_eq!(open(1, &bytes).unwrap().vlans, [100, 7]);
        let priority_only = [
            &[0xff; 6][..],
            &MAC.0,
            &[0x81, 0, 0xe0, 0, 8, 0],
            &ipv4_packet(),
        ]
        .concat();
        assert!(open(1, &priority_only).unwrap().vlans.is_empty());
    }

    #[test]
    fn vrrp_over_ipv6_is_found_behind_an_extension_header() {
        let source: Ipv6Addr = "fe80::9".parse().unwrap();
        let group = vrrp_proto::wire::GROUP_V6;
        let plain = [&ipv6::header(source, group, 255, 7)[..], b"message"].concat();
        let mut extended = ipv6::header(source, group, 255, 15).to_vec();
        extended[6] = 0;
        extended.extend([PROTOCOL, 0, 1, 4, 0, 0, 0, 0]);
        extended.extend(b"message");
        for packet in [plain, extended] {
            let frame = open(101, &packet).unwrap();
            let Content::Vrrp(vrrp) = frame.content else {
                panic!("{frame:?}");
            };
            assert_eq!(
                (vrrp.source, vrrp.message),
                (source.into(), &b"message"[..])
            );
        }
    }

    #[test]
    fn vrrp_behind_an_authentication_header_is_marked() {
        let mut packet = ipv4::header(SOURCE, vrrp_proto::wire::GROUP_V4, 255, 31).to_vec();
        packet[9] = AUTHENTICATION_HEADER;
        packet.extend([PROTOCOL, 4, 0, 0]);
        packet.extend([0; 20]);
        packet.extend(b"message");
        let Some(Content::Vrrp(vrrp)) = open(101, &packet).map(|frame| frame.content) else {
            panic!("not VRRP");
        };
        assert!(vrrp.is_authenticated);
        assert_eq!(vrrp.message, b"message");
    }

    #[test]
    fn announcements_and_answers_are_claims() {
        let address = Ipv4Addr::new(10, 0, 0, 1);
        let claim = |bytes: &[u8]| match open(1, bytes).map(|frame| frame.content) {
            Some(Content::Claim(claim)) => claim,
            other => panic!("{other:?}"),
        };
        let gratuitous = claim(&arp::gratuitous(MAC, address));
        assert!(gratuitous.is_announcement);
        assert_eq!((gratuitous.address, gratuitous.mac), (address.into(), MAC));
        assert!(!claim(&arp::request(MAC, address, SOURCE)).is_announcement);
        let mut answer = arp::gratuitous(MAC, address);
        answer[..6].copy_from_slice(&[2, 0, 0, 0, 0, 7]);
        assert!(!claim(&answer).is_announcement, "to one host");
        let six: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let advertised = claim(&ndisc::unsolicited(MAC, six));
        assert!(advertised.is_announcement);
        assert_eq!((advertised.address, advertised.mac), (six.into(), MAC));
    }

    fn ipv4_packet() -> Vec<u8> {
        let header = ipv4::header(SOURCE, vrrp_proto::wire::GROUP_V4, 255, 7);
        [&header[..], b"message"].concat()
    }
}
