use super::*;

const INTERFACE: InterfaceIndex = InterfaceIndex(2);

#[test]
fn an_added_address_is_read_back_with_its_mark() {
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
            Some(Event::AddressRemoved(INTERFACE, address))
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
fn a_refusal_says_which_change_it_is_about() {
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
fn a_link_is_read_whatever_else_is_said_of_it() {
    let name = attribute(IFLA_IFNAME, b"ens33\0");
    let mac = attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
    // Statistics that are shorter than any kernel's.
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
    };
    assert_eq!(event(&ether), Some(Event::Link(link.clone())));

    // ARPHRD_TUNNEL6 and the like have addresses that are no Ethernet ones.
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
fn a_port_that_leaves_a_bridge_is_no_link_that_goes() {
    let name = attribute(IFLA_IFNAME, b"ens33\0");
    let port = message(libc::RTM_DELLINK, &[&link_header(7, 1)[..], &name].concat());
    assert_eq!(event(&port), None);
    let link = message(libc::RTM_DELLINK, &[&link_header(0, 1)[..], &name].concat());
    assert_eq!(event(&link), Some(Event::LinkRemoved(INTERFACE)));
}

#[test]
fn what_is_cut_off_is_left_out() {
    let mut bytes = Vec::new();
    let address: InterfaceAddress = "192.168.224.100/24".parse().unwrap();
    push_change(&Change::add(INTERFACE, address), &mut bytes);
    for len in 0..bytes.len() {
        assert_eq!(Message::all_of(&bytes[..len]).count(), 0);
    }
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
