//! Received packets: the accepted, the dropped and the reported ones.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::rig::*;
use crate::events::{Advertisement, Input, Output};
use crate::types::{AdvertInterval, Password, Priority, State, Version, Vrid};
use crate::wire::{AddressList, Advert, Auth, ChecksumForm, DropCause, GROUP_V4, Packet};

// RFC 9568 7.1 MUST: a packet that fails a check is discarded
// RFC 9568 7.1 SHOULD: a failed check is logged, at a limited rate
// RFC 9568 7.1 MAY: a failed check is shown to the management
// RFC 9568 7.1 MAY: a list with no address in common is another virtual router
#[test]
fn dropped_packets_are_counted_by_cause_and_change_nothing() {
    let good = advert(51, 200);
    let mutated = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let mut zero_interval = advert(51, 200);
    zero_interval[4..6].fill(0);
    seal(&mut zero_interval);
    let no_addresses = {
        let mut bytes = good[..8].to_vec();
        bytes[3] = 0;
        seal(&mut bytes);
        bytes
    };
    let foreign = {
        let mut bytes = good.clone();
        bytes[8..12].copy_from_slice(&[192, 168, 224, 9]);
        seal(&mut bytes);
        bytes
    };
    let carp = {
        let mut bytes = vec![0xa5; 36];
        bytes[..8].copy_from_slice(&[0x21, 51, 0, 7, 0, 1, 0x12, 0x34]);
        bytes
    };
    let cases = [
        (
            carp,
            DropCause::Carp,
            " (VHID 51: choose another virtualRouterId, or another VHID there)",
        ),
        (
            mutated(0, 0x21),
            DropCause::Version,
            " (version 2, configured 3)",
        ),
        (mutated(0, 0x32), DropCause::Type, " (type 2)"),
        (
            good[..11].to_vec(),
            DropCause::Length,
            " (11 bytes, and a count of 1 addresses)",
        ),
        (mutated(2, 201), DropCause::Checksum, ""),
        (zero_interval, DropCause::ZeroInterval, ""),
        (no_addresses, DropCause::NoAddresses, ""),
        (
            foreign,
            DropCause::ForeignRouter,
            " (lists 192.168.224.9 and none of our addresses: two virtual routers on this network have VRID \
             51; change virtualRouterId of one)",
        ),
    ];
    for make in [Node::running, Node::mastering] {
        let mut node = make(routers([("VI_1", vi_1())]));
        node.sleep(SECOND / 4);
        let (state, due) = (node.state("VI_1"), node.engine.poll_timeout());
        for (bytes, cause, detail) in &cases {
            let lines = node.receive(ETH1, PEER, bytes);
            assert_eq!(
                lines,
                [format!("dropped for VI_1 from {PEER}: {cause}{detail}")]
            );
            assert_eq!(
                node.status("VI_1").counters.dropped.get(*cause),
                1,
                "{cause:?}"
            );
            assert_eq!(
                (node.state("VI_1"), node.engine.poll_timeout()),
                (state, due)
            );
        }
        let counters = node.status("VI_1").counters;
        assert_eq!(counters.dropped.total(), cases.len() as u64);
        assert_eq!(counters.adverts_received, 0);
        assert_eq!(node.engine.snapshot(node.now).dropped.total(), 0);
    }
}

// RFC 9568 7.1 MUST: the TTL is 255
#[test]
fn packet_with_a_lower_ttl_is_dropped() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let bytes = advert(51, 200);
    let far = Packet {
        hop_limit: 254,
        ..packet(ETH1, PEER, &bytes)
    };
    assert_eq!(
        node.give(Input::Packet(far)),
        [
            "dropped for VI_1 from 192.168.224.11: TTL or hop limit below the required one (TTL 254, at least 255 is needed)"
        ]
    );
}

// RFC 9568 7.1 MUST: the VRID is configured on the receiving interface
#[test]
fn packet_of_an_unknown_vrid_counts_for_the_node() {
    let mut node = Node::running(routers([("VI_1", vi_1()), ("VI_2", vi_2())]));
    let unknown = "dropped for no router from 192.168.224.11: no instance with this VRID on the \
         receiving interface";
    assert_eq!(
        node.receive(ETH1, PEER, &advert(52, 200)),
        [unknown],
        "VRID 52 is on eth2"
    );
    assert_eq!(node.receive(ETH1, PEER, &advert(99, 200)), [unknown]);
    let lines = node.receive(ETH1, PEER, &[0x31]);
    assert_eq!(lines.len(), 1);
    let dropped = node.engine.snapshot(node.now).dropped;
    assert_eq!(
        (dropped.UnknownVrid, dropped.Length, dropped.total()),
        (2, 1, 3)
    );
}

#[test]
fn own_packet_returned_by_a_loop_is_dropped() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let (source, message) = next_advert(&mut node);
    let lines = node.receive(ETH1, source, &message);
    assert_eq!(
        lines,
        [
            "dropped for VI_1 from 192.168.224.12: sent from this host's own address: a network \
             loop, or a duplicate address"
        ]
    );
}

#[test]
fn own_packet_with_a_former_checksum_form_is_dropped() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let (source, message) = next_advert(&mut node);
    // From now on the node sends the other checksum form.
    node.receive(
        ETH1,
        PEER,
        &version_3(51, 99, 100, ChecksumForm::MessageOnly),
    );
    let before = node.status("VI_1").counters;
    node.receive(ETH1, source, &message);
    let after = node.status("VI_1").counters;
    assert_eq!((after.dropped.OwnPacket, after.dropped.total()), (1, 1));
    assert_eq!(after.second_masters, before.second_masters);
}

#[test]
fn duplicate_source_address_is_decided_by_priority() {
    let receive_advert = |node: &mut Node, priority| {
        let advert = Advert {
            version: Version::V3,
            vrid: Vrid::new(51).unwrap(),
            priority,
            interval: AdvertInterval::DEFAULT,
            addresses: AddressList::new(&[[192, 168, 224, 100]]),
            auth: Auth::None,
        };
        let own = Ipv4Addr::new(192, 168, 224, 12);
        let bytes = advert.emit(ChecksumForm::default(), own, GROUP_V4);
        only("VI_1", node.receive(ETH1, own, &bytes))
    };
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        receive_advert(&mut node, 99),
        ["VI_1: second master 192.168.224.12, priority 99"]
    );
    assert_eq!(
        receive_advert(&mut node, 101),
        ["VI_1: master -> backup (192.168.224.12 advertises priority 101, ours is 100: yielded)"]
    );
    // A backup sends nothing that a loop could return.
    assert_eq!(receive_advert(&mut node, 100), [""; 0]);
    assert_eq!(node.status("VI_1").master.unwrap().priority, 100);
}

// RFC 9568 7.1 erratum 8298 SHOULD: an owner that receives from another owner logs it and stays Active
// RFC 9568 8.3.2 SHOULD: several routers of priority 255 are logged
// RFC 9568 8.3.2 MAY: several routers of the same priority are logged
#[test]
fn owner_reports_another_master() {
    let mut params = vi_1();
    params.priority = Priority::OWNER;
    let owner = || Node::mastering(routers([("VI_1", params.clone())]));
    for theirs in [100, 254, 255] {
        let lines = only("VI_1", owner().receive_advert(theirs));
        let said = format!("VI_1: second master 192.168.224.11, priority {theirs}");
        assert_eq!(lines, [said]);
    }
    let greater = Ipv4Addr::new(192, 168, 224, 77);
    let bytes = version_3(51, 255, 100, ChecksumForm::MessageOnly);
    // An owner that is below another owner yields, and the transition reports it.
    let mut node = owner();
    let lines = node.receive(ETH1, greater, &bytes);
    assert_eq!(
        only("VI_1", lines),
        [
            "VI_1: master -> backup (192.168.224.77 has the same priority 255 and the greater \
             address)"
        ]
    );
}

// RFC 3768 7.1 MUST: the owner discards all advertisements
// RFC 5798 7.1 MUST: the owner discards all advertisements
#[test]
fn owner_discards_advertisements_in_version_2_only() {
    for (version, bytes, dropped) in [
        (Version::V2, version_2(51, 200, Auth::None), 1),
        (Version::V3, advert(51, 200), 0),
    ] {
        let mut params = vi_1();
        (params.version, params.priority) = (version, Priority::OWNER);
        let mut node = Node::mastering(routers([("VI_1", params)]));
        node.receive(ETH1, PEER, &bytes);
        let counters = node.status("VI_1").counters;
        assert_eq!(
            (counters.dropped.Owner, counters.adverts_received),
            (dropped, 1 - dropped)
        );
        assert_eq!(node.state("VI_1"), State::Master);
    }
}

// RFC 3768 7.1 MUST: the authentication is the configured one
// RFC 3768 7.1 MUST: another interval than the own one is discarded
// RFC 3768 7.1 SHOULD: another interval than the own one is logged
#[test]
fn version_2_requires_equal_authentication_and_interval() {
    let course = Auth::Pass(Password::new(b"1111").unwrap());
    let mut params = vi_1();
    (params.version, params.authentication) = (Version::V2, Password::new(b"1111").into());
    let mut node = Node::running(routers([("VI_1", params.clone())]));
    let wrong = Auth::Pass(Password::new(b"2222").unwrap());
    node.receive(ETH1, PEER, &version_2(51, 200, wrong));
    node.receive(ETH1, PEER, &version_2(51, 200, Auth::None));
    let mut slow = version_2(51, 200, course);
    slow[5] = 2;
    seal(&mut slow);
    assert_eq!(node.receive(ETH1, PEER, &slow).len(), 1, "reported");
    let dropped = node.status("VI_1").counters.dropped;
    assert_eq!(
        (dropped.AuthPassword, dropped.AuthType, dropped.Interval),
        (1, 1, 1)
    );
    assert_eq!(node.status("VI_1").master, None);
    assert_eq!(
        node.receive(ETH1, PEER, &version_2(51, 200, course)),
        [""; 0]
    );
    assert_eq!(node.status("VI_1").master.unwrap().priority, 200);
}

// RFC 9568 7.1 SHOULD: a failed check is logged, at a limited rate
#[test]
fn repeated_drop_is_reported_once_a_minute() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let mut bad = advert(51, 200);
    bad[2] = 201;
    let mut reports = Vec::new();
    for second in 0..150_u32 {
        let lines = node.receive(ETH1, PEER, &bad);
        reports.extend(lines.iter().map(|_| second));
        node.advance(SECOND);
    }
    assert_eq!(reports, [0, 60, 120]);
    assert_eq!(node.status("VI_1").counters.dropped.Checksum, 150);
    let other = node.receive(ETH1, Ipv4Addr::new(192, 168, 224, 66), &bad);
    assert_eq!(other.len(), 1, "the limit is per sender");
}

#[test]
fn spoofed_senders_cause_no_flood_of_reports() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let mut reports = 0;
    for n in 0..50_000_u32 {
        reports += node
            .receive(ETH1, Ipv4Addr::from_bits(n), &[0x31, 51, 0, 0])
            .len();
    }
    assert!(reports <= 256, "{reports}");
    assert_eq!(node.status("VI_1").counters.dropped.Length, 50_000);
}

#[test]
fn advertisements_in_fault_are_counted_and_not_reported() {
    let params = with_tracker();
    let mut node = Node::running(params);
    node.probe("httpd", false);
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(node.receive_advert(200), [""; 0]);
    assert_eq!(node.status("VI_1").counters.dropped.NotListening, 1);
}

// RFC 9568 5.2.8 MUST: the checksum over IPv4 covers the message alone
#[test]
fn received_checksum_form_is_counted_and_adopted() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let form = |node: &mut Node| {
        let sent = node.take(Input::Stop);
        let Output::Advertise(Advertisement {
            message,
            source: IpAddr::V4(source),
            ..
        }) = &sent[0]
        else {
            panic!("{sent:?}")
        };
        let mut other = Node::running(routers([("VI_1", vi_1())]));
        other.give(removed(ETH1, own(ETH1)));
        other.give(added(ETH1, "192.168.224.77/24", false));
        other.receive(ETH1, *source, message);
        other.status("VI_1").checksum
    };
    node.receive(
        ETH1,
        PEER,
        &version_3(51, 50, 100, ChecksumForm::MessageOnly),
    );
    assert_eq!(node.status("VI_1").checksum, ChecksumForm::MessageOnly);
    node.advance(SECOND * 4);
    assert_eq!(form(&mut node), ChecksumForm::MessageOnly);

    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.advance(SECOND * 4);
    assert_eq!(
        form(&mut node),
        ChecksumForm::WithPseudoHeader,
        "default before any advertisement"
    );

    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.receive(
        ETH1,
        PEER,
        &version_3(51, 50, 100, ChecksumForm::MessageOnly),
    );
    node.receive(
        ETH1,
        PEER,
        &version_3(51, 50, 100, ChecksumForm::WithPseudoHeader),
    );
    let counters = node.status("VI_1").counters;
    assert_eq!(
        (
            counters.checksums_message_only,
            counters.checksums_with_pseudo_header
        ),
        (1, 1)
    );
    node.advance(SECOND * 4);
    assert_eq!(
        form(&mut node),
        ChecksumForm::WithPseudoHeader,
        "that of the last advertisement"
    );
}

#[test]
fn adopted_checksum_form_is_used_in_the_next_advertisement() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let message = |node: &mut Node| {
        node.now = node.due();
        let sent = node.take(Input::Tick);
        let Output::Advertise(Advertisement { message, .. }) = &sent[0] else {
            panic!("{sent:?}")
        };
        message.clone()
    };
    let before = message(&mut node);
    node.receive(
        ETH1,
        PEER,
        &version_3(51, 50, 100, ChecksumForm::MessageOnly),
    );
    let after = message(&mut node);
    assert_eq!(before[..6], after[..6]);
    assert_ne!(before[6..8], after[6..8], "only the checksum differs");
    assert_eq!(before[8..], after[8..]);
}

#[test]
fn version_2_has_one_checksum_form() {
    let mut params = vi_1();
    params.version = Version::V2;
    let mut node = Node::running(routers([("VI_1", params)]));
    let before = node.status("VI_1").checksum;
    node.receive(ETH1, PEER, &version_2(51, 200, Auth::None));
    assert_eq!(node.status("VI_1").checksum, before);
}

// RFC 9568 2.5 SHOULD: an Active that is displaced repeatedly logs it
#[test]
fn second_master_is_answered_and_reported() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        node.receive_advert(99),
        [
            "VI_1: second master 192.168.224.11, priority 99",
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
        ]
    );
    node.sleep(SECOND / 4);
    assert_eq!(
        node.receive_advert(99),
        ["advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100"],
        "reported once a minute, announced once a second"
    );
    assert_eq!(node.status("VI_1").counters.second_masters, 2);
}

// RFC 9568 7.1 SHOULD: another interval than the own one is noticed
// RFC 9568 7.1 SHOULD: another interval than the own one is logged
// RFC 9568 7.1 MAY: another list of addresses is noticed
// RFC 9568 7.1 SHOULD: another list of addresses is logged
#[test]
fn different_interval_and_list_are_counted_and_accepted() {
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.100/24", "192.168.224.101/24"]);
    params.interval = AdvertInterval::from_centiseconds(50).unwrap();
    let mut node = Node::running(routers([("VI_1", params)]));
    node.receive_advert(200);
    let status = node.status("VI_1");
    let counters = status.counters;
    assert_eq!(
        (counters.address_list_differs, counters.interval_differs),
        (1, 1)
    );
    assert_eq!(status.master.unwrap().priority, 200);
    // Three intervals of the master and the skew time.
    assert_eq!(node.due().since(node.now).as_nanos(), 3_609_375_000);
}

// RFC 3768 7.1 MUST: another list of addresses, not from the owner, is discarded
#[test]
fn version_2_counts_and_accepts_a_different_list() {
    let mut params = vi_1();
    params.version = Version::V2;
    params.addresses = addresses(&["192.168.224.100/24", "192.168.224.101/24"]);
    let mut node = Node::running(routers([("VI_1", params)]));
    node.receive(ETH1, PEER, &version_2(51, 200, Auth::None));
    let status = node.status("VI_1");
    assert_eq!(status.counters.address_list_differs, 1);
    assert_eq!(status.master.unwrap().priority, 200);
}

#[test]
fn order_of_the_address_list_is_ignored() {
    let twice = |texts: [&str; 2]| {
        let mut params = vi_1();
        params.addresses = addresses(&texts);
        routers([("VI_1", params)])
    };
    let (a, b) = ("192.168.224.100/24", "192.168.224.101/24");
    let mut master = Node::mastering(twice([a, b]));
    master.now = master.due();
    let sent = master.take(Input::Tick);
    let Output::Advertise(Advertisement { message, .. }) = &sent[0] else {
        panic!("{sent:?}")
    };
    let mut backup = Node::running(twice([b, a]));
    backup.give(removed(ETH1, own(ETH1)));
    backup.give(added(ETH1, "192.168.224.77/24", false));
    backup.receive(ETH1, Ipv4Addr::new(192, 168, 224, 12), message);
    let counters = backup.status("VI_1").counters;
    assert_eq!(
        (counters.adverts_received, counters.address_list_differs),
        (1, 0)
    );
}

// RFC 9568 7.1 MAY: another list of addresses is noticed
#[test]
fn list_of_equal_length_can_differ() {
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.101/24", "192.168.224.100/24"]);
    let mut node = Node::running(routers([("VI_1", params)]));
    node.receive_advert(200);
    assert_eq!(node.status("VI_1").counters.address_list_differs, 1);
}

#[test]
fn late_packet_before_a_tick_prevents_the_take_over() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.sleep(SECOND * 30);
    node.receive_advert(200);
    assert_eq!(node.give(Input::Tick), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Backup);
}

/// Returns the next advertisement of a master, and its source.
fn next_advert(node: &mut Node) -> (IpAddr, Arc<[u8]>) {
    node.now = node.due();
    match node.take(Input::Tick).into_iter().next() {
        Some(Output::Advertise(Advertisement {
            source, message, ..
        })) => (source, message),
        other => panic!("{other:?}"),
    }
}

fn with_tracker() -> crate::params::NodeParams {
    use crate::params::Effect;
    let mut params = vi_1();
    params.tracks = vec![tracked("httpd", Effect::Fault)];
    params.vrid = Vrid::new(51).unwrap();
    let mut params = routers([("VI_1", params)]);
    params.trackers.insert("httpd".into(), probed(1, 1));
    params
}
