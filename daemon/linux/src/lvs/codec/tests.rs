use super::*;

#[test]
fn family_request_has_the_family_name() {
    let request = find_family(7);
    let message = only(&request);
    assert_eq!(message.header.message_type, GENL_ID_CTRL);
    assert_eq!(message.header.sequence_number, 7);
    assert_eq!(message.body, b"\x03\x01\0\0\x09\0\x02\0IPVS\0\0\0\0");
}

#[test]
fn family_number_is_found_among_other_attributes() {
    let attributes = vec![
        text(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME),
        DefaultNla::new(CTRL_ATTR_FAMILY_ID, 33_u16.to_ne_bytes().to_vec()),
        DefaultNla::new(3, 1_u32.to_ne_bytes().to_vec()),
    ];
    let answer = message(GENL_ID_CTRL, 1, attributes);
    assert_eq!(family(&only(&answer)), Some(33));
    assert_eq!(family(&only(&find_family(1))), None);
}

// Answer of Linux 6.12 to `ipvsadm --list --daemon`.
#[test]
fn sync_daemon_of_the_kernel_is_parsed() {
    let daemon: &[u8] = &[
        8, 0, 1, 0, 2, 0, 0, 0, // backup
        9, 0, 2, 0, b'e', b't', b'h', b'1', 0, 0, 0, 0, // on eth1
        8, 0, 3, 0, 51, 0, 0, 0, // syncId
        6, 0, 4, 0, 0xc0, 0x05, 0, 0, // maxLength
        6, 0, 7, 0, 0x90, 0x22, 0, 0, // port
        5, 0, 8, 0, 1, 0, 0, 0, // ttl
        8, 0, 5, 0, 224, 0, 0, 81, // group
    ];
    let answer = message(33, IPVS_CMD_NEW_DAEMON, vec![nested(daemon)]);
    let expected = Shown {
        role: LvsRole::Backup,
        sync: LvsSync::new("eth1".into(), 51),
    };
    assert_eq!(shown(&only(&answer)), Some(expected));
}

#[test]
fn start_request_has_the_form_of_the_answer() {
    for (role, group) in [
        (LvsRole::Master, "224.0.0.81"),
        (LvsRole::Backup, "239.1.2.3"),
        (LvsRole::Master, "ff02::51"),
    ] {
        let sync = LvsSync {
            interface: "enp3s0f0np0.100".into(),
            sync_id: 255,
            max_length: 65_487,
            port: 8849,
            ttl: 64,
            group: group.parse().unwrap(),
        };
        let change = Change::Start(role, sync.clone().into());
        let request = request(&change, 33, 9);
        let message = only(&request);
        assert_eq!(
            (message.header.message_type, message.body[0]),
            (33, IPVS_CMD_NEW_DAEMON)
        );
        assert_eq!(shown(&message), Some(Shown { role, sync }));
    }
}

#[test]
fn stop_request_has_only_the_role() {
    for (role, state) in [(LvsRole::Master, 1), (LvsRole::Backup, 2)] {
        let request = request(&Change::Stop(role), 33, 9);
        let message = only(&request);
        let expected = [
            IPVS_CMD_DEL_DAEMON,
            1,
            0,
            0,
            12,
            0,
            3,
            0x80,
            8,
            0,
            1,
            0,
            state,
            0,
            0,
            0,
        ];
        assert_eq!(message.body, expected);
    }
}

#[test]
fn mangled_answer_shows_no_sync_daemon() {
    let change = Change::Start(LvsRole::Master, LvsSync::new("eth1".into(), 51).into());
    let whole = request(&change, 33, 9);
    let whole = only(&whole);
    // Older kernels send the message without the last attributes.
    let least = 4 + 4 + 8 + 12 + 8;
    for length in 0..least {
        let body = &whole.body[..length];
        assert_eq!(shown(&Message { body, ..whole }), None, "{length} bytes");
    }
    let mut other = whole.body.to_vec();
    other[12] = 3;
    assert_eq!(
        shown(&Message {
            body: &other,
            ..whole
        }),
        None,
        "an unknown state"
    );
}

fn message(family: u16, command: u8, attributes: Vec<DefaultNla>) -> Vec<u8> {
    let message = Generic {
        family,
        command,
        attributes,
    };
    message.request(0, 1)
}

fn nested(daemon: &[u8]) -> DefaultNla {
    DefaultNla::new(IPVS_CMD_ATTR_DAEMON | NLA_F_NESTED, daemon.to_vec())
}

fn only(bytes: &[u8]) -> Message<'_> {
    let messages: Vec<_> = Message::all_of(bytes).collect();
    let [message] = messages[..] else {
        panic!("{messages:?}")
    };
    message
}
