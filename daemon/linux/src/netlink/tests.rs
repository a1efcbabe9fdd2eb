use std::net::{Ipv4Addr, Ipv6Addr};

use vrrp_proto::AddressLabel;

use super::*;

const INTERFACE: InterfaceIndex = InterfaceIndex(2);

#[test]
fn address_change_is_parsed_back_with_its_mark() {
    let address: InterfaceAddress = "192.168.224.100/24".parse().unwrap();
    let mut bytes = Vec::new();
    push_change(&Change::add(INTERFACE, address), &mut bytes);
    push_change(
        &Change::Delete {
            interface: INTERFACE,
            address,
        },
        &mut bytes,
    );
    assert_eq!(bytes.len() % 4, 0);
    let events: Vec<_> = Message::all_of(&bytes)
        .map(|message| message.event())
        .collect();
    let held = Held {
        address,
        ours: true,
        secondary: false,
    };
    assert_eq!(
        events,
        [
            Some(Event::AddressAdded(INTERFACE, held)),
            Some(Event::AddressRemoved(INTERFACE, address, Loss::Unknown))
        ]
    );
    for message in Message::all_of(&bytes) {
        assert_eq!(
            message.header.sequence_number.to_ne_bytes(),
            [192, 168, 224, 100]
        );
    }
}

#[test]
fn error_message_contains_the_rejected_change() {
    let address: InterfaceAddress = "192.168.224.100/24".parse().unwrap();
    let change = Change::add(INTERFACE, address);
    let mut request = Vec::new();
    push_change(&change, &mut request);
    let refusal = message(
        NLMSG_ERROR,
        &[&(-libc::EEXIST).to_ne_bytes()[..], &request].concat(),
    );
    let refusal = Message::first_of(&refusal).unwrap();
    assert_eq!(refusal.refused_change(), Some(change));
    let error = refusal.result().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
}

#[test]
fn link_is_parsed_despite_odd_attributes() {
    let name = attribute(IFLA_IFNAME, b"ens33\0");
    let mac = attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
    // Statistics shorter than those of any kernel.
    let odd = attribute(23, &[1]);
    let ether = message(
        libc::RTM_NEWLINK,
        &[&link_header(0, 1)[..], &odd, &name, &mac].concat(),
    );
    let link = Link {
        index: INTERFACE,
        name: "ens33".into(),
        up: true,
        carrier: true,
        mac: Some(MacAddress([2, 0, 0, 0, 0, 1])),
        port_of: None,
        alternative_names: Arc::default(),
    };
    assert_eq!(event(&ether), Some(Event::Link(link.clone())));

    // Devices such as ARPHRD_TUNNEL6 have hardware addresses other than Ethernet.
    let tunnel = message(
        libc::RTM_NEWLINK,
        &[&link_header(0, 769)[..], &name, &mac].concat(),
    );
    assert_eq!(
        event(&tunnel),
        Some(Event::Link(Link { mac: None, ..link }))
    );
}

#[test]
fn alternative_names_are_parsed_from_their_list() {
    let name = attribute(IFLA_IFNAME, b"ens33\0");
    let list = [
        attribute(IFLA_ALT_IFNAME, b"enp2s1\0"),
        // Another property than a name, and a name without its NUL.
        attribute(IFLA_ALT_IFNAME + 1, b"other\0"),
        attribute(IFLA_ALT_IFNAME, b"cut"),
        attribute(IFLA_ALT_IFNAME, b"a-name-of-more-than-15-bytes\0"),
    ];
    let nested = IFLA_PROP_LIST | 0x8000;
    let list = attribute(nested, &list.concat());
    let of_link = message(
        libc::RTM_NEWLINK,
        &[&link_header(0, 1)[..], &name, &list].concat(),
    );
    let Some(Event::Link(link)) = event(&of_link) else {
        panic!("no link");
    };
    let names: Vec<&str> = link.alternative_names.iter().map(|name| &**name).collect();
    assert_eq!(names, ["enp2s1", "a-name-of-more-than-15-bytes"]);
}

#[test]
fn port_is_distinguished_from_vrf_member() {
    let port_of = |kind: &[u8]| {
        let kind = attribute(IFLA_INFO_SLAVE_KIND, kind);
        // As the kernel sends it, beside the link's own kind.
        let info = attribute(IFLA_LINKINFO, &[attribute(1, b"veth\0"), kind].concat());
        let master = attribute(IFLA_MASTER, &9_u32.to_ne_bytes());
        let name = attribute(IFLA_IFNAME, b"ens33\0");
        let body = [&link_header(0, 1)[..], &name, &master, &info].concat();
        match event(&message(libc::RTM_NEWLINK, &body)) {
            Some(Event::Link(link)) => link.port_of,
            other => panic!("{other:?}"),
        }
    };
    for kind in [&b"bridge\0"[..], b"bond\0", b"team\0"] {
        assert_eq!(port_of(kind), Some(InterfaceIndex(9)));
    }
    assert_eq!(port_of(b"vrf\0"), None);
}

#[test]
fn port_leaving_a_bridge_is_no_deleted_link() {
    let name = attribute(IFLA_IFNAME, b"ens33\0");
    let port = message(libc::RTM_DELLINK, &[&link_header(7, 1)[..], &name].concat());
    assert_eq!(event(&port), None);
    let link = message(libc::RTM_DELLINK, &[&link_header(0, 1)[..], &name].concat());
    assert_eq!(event(&link), Some(Event::LinkRemoved(INTERFACE)));
}

#[test]
fn truncated_message_is_skipped() {
    let mut bytes = Vec::new();
    let address: InterfaceAddress = "192.168.224.100/24".parse().unwrap();
    push_change(&Change::add(INTERFACE, address), &mut bytes);
    for len in 0..bytes.len() {
        assert_eq!(Message::all_of(&bytes[..len]).count(), 0);
    }
}

// RFC 9568 8.2.2 MAY: the owner leaves out duplicate address detection
#[test]
fn ipv6_address_is_added_with_mark_and_nodad() {
    let address: InterfaceAddress = "2001:db8::100/64".parse().unwrap();
    let mut bytes = Vec::new();
    push_change(&Change::add(INTERFACE, address), &mut bytes);
    let message = Message::first_of(&bytes).unwrap();
    let held = Held {
        address,
        ours: true,
        secondary: false,
    };
    assert_eq!(message.event(), Some(Event::AddressAdded(INTERFACE, held)));
    assert_eq!(
        message.header.sequence_number.to_ne_bytes(),
        [0x20, 0x01, 0x0d, 0xb8]
    );
    // struct ifaddrmsg: AF_INET6, prefix, IFA_F_NODAD, universe scope, index of eth0.
    assert_eq!(message.body[..4], [10, 64, 0x02, 0]);
    assert_eq!(message.body[4..8], INTERFACE.0.to_ne_bytes());
    assert_eq!(attribute_of(&message, IFA_PROTO), Some(vec![0x56]));
    assert_eq!(attribute_of(&message, IFA_CACHEINFO), None, "preferred");

    let mut bytes = Vec::new();
    let delete = Change::Delete {
        interface: INTERFACE,
        address,
    };
    push_change(&delete, &mut bytes);
    let message = Message::first_of(&bytes).unwrap();
    assert_eq!(
        message.event(),
        Some(Event::AddressRemoved(INTERFACE, address, Loss::Unknown))
    );
}

#[test]
fn ipv4_address_is_added_without_optional_attributes() {
    let change = Change::add(INTERFACE, "192.168.224.100/24".parse().unwrap());
    let mut bytes = Vec::new();
    push_change(&change, &mut bytes);
    let message = Message::first_of(&bytes).unwrap();
    assert_eq!(message.body[..4], [2, 24, 0, 0]);
    for kind in [IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO] {
        assert_eq!(attribute_of(&message, kind), None);
    }
}

#[test]
fn configured_address_properties_are_encoded() {
    let address = "192.168.224.100/24".parse().unwrap();
    let change = Change::Add {
        interface: INTERFACE,
        address,
        form: AddressForm {
            label: AddressLabel::new("eth1:vip"),
            scope: Some(253),
            broadcast: Some(Ipv4Addr::new(192, 168, 224, 255)),
            preferred_lifetime: Some(7),
            no_prefix_route: true,
        },
    };
    let mut bytes = Vec::new();
    push_change(&change, &mut bytes);
    let message = Message::first_of(&bytes).unwrap();
    assert_eq!(message.body[3], 253, "scope");
    assert_eq!(
        attribute_of(&message, IFA_LABEL),
        Some(b"eth1:vip\0".to_vec())
    );
    assert_eq!(
        attribute_of(&message, IFA_BROADCAST),
        Some(vec![192, 168, 224, 255])
    );
    assert_eq!(lifetimes(&message), Some((7, u32::MAX - 1)));
    let flags = |message: &Message<'_>| attribute_of(message, IFA_FLAGS);
    assert_eq!(flags(&message), Some(0x200_u32.to_ne_bytes().to_vec()));

    // The attribute replaces the flags of the header.
    let change = Change::Add {
        interface: INTERFACE,
        address: "2001:db8::1/64".parse().unwrap(),
        form: AddressForm {
            no_prefix_route: true,
            ..AddressForm::default()
        },
    };
    let mut bytes = Vec::new();
    push_change(&change, &mut bytes);
    let message = Message::first_of(&bytes).unwrap();
    assert_eq!(
        flags(&message),
        Some(0x202_u32.to_ne_bytes().to_vec()),
        "and nodad"
    );
}

#[test]
fn ipv6_host_address_is_deprecated_by_default() {
    let preferred = |text: &str, preferred_lifetime| {
        let change = Change::Add {
            interface: INTERFACE,
            address: text.parse().unwrap(),
            form: AddressForm {
                preferred_lifetime,
                ..AddressForm::default()
            },
        };
        let mut bytes = Vec::new();
        push_change(&change, &mut bytes);
        lifetimes(&Message::first_of(&bytes).unwrap())
    };
    assert_eq!(preferred("2001:db8::100/128", None), Some((0, u32::MAX)));
    assert_eq!(preferred("2001:db8::100/128", Some(9)), Some((9, u32::MAX)));
    assert_eq!(preferred("2001:db8::100/64", None), None, "for ever");
    assert_eq!(preferred("2001:db8::100/64", Some(0)), Some((0, u32::MAX)));
    assert_eq!(preferred("192.0.2.1/32", None), None, "for ever");
    assert_eq!(preferred("192.0.2.1/32", Some(0)), Some((0, u32::MAX)));
}

#[test]
fn tentative_or_duplicate_ipv6_address_is_skipped() {
    let told = |flags: u8| {
        let header = [10, 64, flags, 253, 2, 0, 0, 0];
        let address: Ipv6Addr = "fe80::12".parse().unwrap();
        let attribute = attribute(IFA_ADDRESS, &address.octets());
        event(&message(
            libc::RTM_NEWADDR,
            &[&header[..], &attribute].concat(),
        ))
    };
    let (permanent, tentative, failed, temporary) = (0x80, 0x40, 0x08, 0x01);
    assert_eq!(told(permanent | tentative), None, "being checked");
    assert_eq!(
        told(permanent | tentative | failed),
        None,
        "found to be a duplicate"
    );
    let held = Held {
        address: "fe80::12/64".parse().unwrap(),
        ours: false,
        secondary: false,
    };
    let there = Some(Event::AddressAdded(INTERFACE, held));
    assert_eq!(told(permanent), there);
    assert_eq!(
        told(temporary),
        there,
        "IFA_F_TEMPORARY has the bit of IFA_F_SECONDARY"
    );
}

#[test]
fn ipv6_address_with_peer_yields_the_local_one() {
    let [local, peer] =
        ["2001:db8::1", "2001:db8::2"].map(|text| text.parse::<Ipv6Addr>().unwrap());
    let body = [
        &[10, 128, 0x80, 0, 2, 0, 0, 0][..],
        &attribute(IFA_ADDRESS, &peer.octets()),
        &attribute(IFA_LOCAL, &local.octets()),
    ];
    let held = Held {
        address: "2001:db8::1/128".parse().unwrap(),
        ours: false,
        secondary: false,
    };
    assert_eq!(
        event(&message(libc::RTM_NEWADDR, &body.concat())),
        Some(Event::AddressAdded(INTERFACE, held))
    );
}

// Attributes of an address (linux/if_addr.h).
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_CACHEINFO: u16 = 6;
const IFA_PROTO: u16 = 11;

/// Value of an attribute that occurs at most once in an address message.
fn attribute_of(message: &Message<'_>, kind: u16) -> Option<Vec<u8>> {
    let attributes = NlasIterator::new(&message.body[8..]);
    let mut values = attributes
        .map(Result::unwrap)
        .filter(|attribute| attribute.kind() == kind)
        .map(|attribute| attribute.value().to_vec());
    let value = values.next();
    assert_eq!(values.next(), None, "{kind} twice");
    value
}

/// Preferred and valid lifetime of an address in seconds (struct ifa_cacheinfo).
fn lifetimes(message: &Message<'_>) -> Option<(u32, u32)> {
    let value = attribute_of(message, IFA_CACHEINFO)?;
    let ([preferred, valid, ..], _) = value.as_chunks::<4>() else {
        panic!("{value:?}")
    };
    Some((u32::from_ne_bytes(*preferred), u32::from_ne_bytes(*valid)))
}

fn event(datagram: &[u8]) -> Option<Event> {
    Message::first_of(datagram)?.event()
}

fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_LEN + body.len()).unwrap();
    [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &[0; 10],
        body,
    ]
    .concat()
}

/// struct ifinfomsg of a link that is up and has a carrier.
fn link_header(family: u8, hardware: u16) -> [u8; LINK_HEADER_LEN] {
    let flags = u32::try_from(libc::IFF_UP).unwrap() | (1 << 16);
    let mut header = [0; LINK_HEADER_LEN];
    header[0] = family;
    header[2..4].copy_from_slice(&hardware.to_ne_bytes());
    header[4..8].copy_from_slice(&INTERFACE.0.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
