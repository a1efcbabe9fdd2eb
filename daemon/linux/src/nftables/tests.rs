use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

#[test]
fn batch_is_enclosed_by_begin_and_end() {
    let mut batch = Batch::new();
    batch.replace(&[]);
    let bytes = batch.finish();
    let kinds: Vec<_> = Message::all_of(&bytes)
        .map(|message| message.header.message_type)
        .collect();
    let [first, .., last] = kinds[..] else {
        panic!("{kinds:?}")
    };
    assert_eq!((first, last), (NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END));
    let requests: Vec<_> = kinds[1..kinds.len() - 1].iter().map(|k| k & 0xff).collect();
    assert_eq!(
        requests,
        [
            NFT_MSG_NEWTABLE,
            NFT_MSG_DELTABLE,
            NFT_MSG_NEWTABLE,
            NFT_MSG_NEWCHAIN,
            NFT_MSG_NEWSET,
            NFT_MSG_NEWSET,
            NFT_MSG_NEWSET,
            NFT_MSG_NEWRULE,
            NFT_MSG_NEWRULE,
            NFT_MSG_NEWRULE,
            NFT_MSG_NEWRULE,
        ]
    );
    let total: usize = Message::all_of(&bytes).map(|m| m.body.len() + 16).sum();
    assert_eq!(total, bytes.len(), "nothing is left over");
}

#[test]
fn addresses_are_split_by_family_and_message_size() {
    let v4 = (0..5_000).map(|n| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n)));
    let v6 = (0..5_000).map(|n| IpAddr::from(Ipv6Addr::from_bits(0xfd << 120 | n)));
    let anywhere = v4.chain(v6).map(|address| (address, None));
    let link_local = (0..5_000).map(|n| IpAddr::from(Ipv6Addr::from_bits(0xfe80 << 112 | n)));
    let on_eth1 = link_local.map(|address| (address, Some(InterfaceIndex(2))));
    let all: Vec<DropRule> = anywhere
        .chain(on_eth1)
        .map(|(address, interface)| DropRule { address, interface })
        .collect();
    let mut batch = Batch::new();
    batch.add(&all);
    let mut found = Vec::new();
    let bytes = batch.finish();
    let messages: Vec<_> = Message::all_of(&bytes).collect();
    assert_eq!(messages.len(), 2 + 3 + 3 + 3);
    for message in &messages[1..messages.len() - 1] {
        let [table, set, elements] = &attributes(&message.body[4..])[..] else {
            panic!("three attributes")
        };
        assert_eq!(table, &(NFTA_SET_ELEM_LIST_TABLE, b"vrrpd\0".to_vec()));
        for (_, element) in attributes(&elements.1) {
            let (_, key) = attributes(&element).remove(0);
            let (_, value) = attributes(&key).remove(0);
            let address = |bytes: &[u8]| match bytes.len() {
                4 => IpAddr::from(*bytes.first_chunk::<4>().unwrap()),
                _ => IpAddr::from(*bytes.first_chunk::<16>().unwrap()),
            };
            let (name, refusal) = match &value[..] {
                [index @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]
                    if index.len() == 4 =>
                {
                    let index = u32::from_ne_bytes(*index.first_chunk().unwrap());
                    let interface = Some(InterfaceIndex(index));
                    let address = address(&value[4..]);
                    (
                        &b"refused_link_local\0"[..],
                        DropRule { address, interface },
                    )
                }
                _ => {
                    let refusal = DropRule {
                        address: address(&value),
                        interface: None,
                    };
                    let family = if value.len() == 4 { '4' } else { '6' };
                    (format!("refused_ipv{family}\0").leak().as_bytes(), refusal)
                }
            };
            assert_eq!(set.1, name);
            found.push(refusal);
        }
    }
    assert_eq!(found, all);
}

#[test]
fn only_notifications_of_own_table_are_recognised() {
    let mut ours = Batch::new();
    ours.replace(&[DropRule {
        address: Ipv4Addr::LOCALHOST.into(),
        interface: None,
    }]);
    let ours = ours.finish();
    // A request has the same form as its notification.
    for message in Message::all_of(&ours) {
        let in_batch = message.header.message_type > NFNL_MSG_BATCH_END;
        assert_eq!(concerns_us(&message), in_batch);
        let mut another = message.body.to_vec();
        another[0] = 2;
        let of_another_family = Message {
            body: &another,
            ..message
        };
        assert!(!concerns_us(&of_another_family));
    }
    let mut another = Batch::new();
    another.request(NFT_MSG_DELTABLE, 0, |message| {
        message.text(NFTA_TABLE_NAME, "vrrpd2");
    });
    // Notification of a new generation: its number, and the name of the process.
    another.request(15, 0, |message| {
        message.number(1, 7);
        message.text(3, "vrrpd");
    });
    assert!(!Message::all_of(&another.finish()).any(|message| concerns_us(&message)));
}

fn attributes(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    NlasIterator::new(bytes)
        .map(|attribute| {
            let attribute = attribute.unwrap();
            (attribute.kind(), attribute.value().to_vec())
        })
        .collect()
}
