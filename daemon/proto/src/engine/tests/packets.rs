//! What comes in from the others: what counts, what is dropped, and who hears of it.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::rig::*;
use crate::events::{Advertisement, Input, Output, Packet};
use crate::types::{AdvertInterval, Password, Priority, State, Version, Vrid};
use crate::wire::{AddressList, Advert, Auth, ChecksumForm, DropCause, GROUP_V4};

// RFC 9568 7.1 MUST: a packet that fails a check is discarded
// RFC 9568 7.1 SHOULD: a failed check is logged, at a limited rate
// RFC 9568 7.1 MAY: a failed check is shown to the management
#[test]
fn every_dropped_packet_is_counted_by_its_cause_and_changes_nothing() {
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
    let cases = [
        (mutated(0, 0x21), DropCause::Version),
        (mutated(0, 0x32), DropCause::Type),
        (good[..11].to_vec(), DropCause::Length),
        (mutated(2, 201), DropCause::Checksum),
        (zero_interval, DropCause::ZeroInterval),
        (no_addresses, DropCause::NoAddresses),
    ];
    for make in [Node::running, Node::mastering] {
        let mut node = make(routers([("VI_1", vi_1())]));
        node.sleep(SECOND / 4);
        let (state, due) = (node.state("VI_1"), node.engine.poll_timeout());
        for (bytes, cause) in &cases {
            let lines = node.receive(ETH1, PEER, bytes);
            assert_eq!(lines, [format!("dropped for VI_1 from {PEER}: {cause}")]);
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
fn a_packet_from_another_network_is_dropped() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let bytes = advert(51, 200);
    let far = Packet {
        hop_limit: 254,
        ..packet(ETH1, PEER, &bytes)
    };
    assert_eq!(
        node.give(Input::Packet(far)),
        ["dropped for VI_1 from 192.168.224.11: its TTL is less than demanded"]
    );
}

// RFC 9568 7.1 MUST: the VRID is configured on the receiving interface
#[test]
fn a_packet_for_nobody_here_is_counted_for_the_node() {
    let mut node = Node::running(routers([("VI_1", vi_1()), ("VI_2", vi_2())]));
    let nobody = "dropped for nobody from 192.168.224.11: no router here has its VRID";
    assert_eq!(
        node.receive(ETH1, PEER, &advert(52, 200)),
        [nobody],
        "it is on eth2"
    );
    assert_eq!(node.receive(ETH1, PEER, &advert(99, 200)), [nobody]);
    let lines = node.receive(ETH1, PEER, &[0x31]);
    assert_eq!(lines.len(), 1);
    let dropped = node.engine.snapshot(node.now).dropped;
    assert_eq!(
        (dropped.UnknownVrid, dropped.Length, dropped.total()),
        (2, 1, 3)
    );
}

#[test]
fn an_own_packet_that_comes_back_is_dropped() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let (source, message) = next_advert(&mut node);
    let lines = node.receive(ETH1, source, &message);
    assert_eq!(
        lines,
        [
            "dropped for VI_1 from 192.168.224.12: it bears our own address: a loop, or an address \
          used twice"
        ]
    );
}

#[test]
fn an_own_packet_that_comes_back_in_an_earlier_form_is_dropped() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    let (source, message) = next_advert(&mut node);
    // From now on its checksums are of the other form.
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
fn of_two_that_have_the_same_address_by_mistake_the_greater_priority_is_master() {
    let hear = |node: &mut Node, priority| {
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
        hear(&mut node, 99),
        ["VI_1: second master 192.168.224.12, priority 99"]
    );
    assert_eq!(
        hear(&mut node, 101),
        ["VI_1: master -> backup (192.168.224.12 advertises priority 101, ours is 100: yielded)"]
    );
    // A backup says nothing that could come back.
    assert_eq!(hear(&mut node, 100), [""; 0]);
    assert_eq!(node.status("VI_1").master.unwrap().priority, 100);
}

// RFC 9568 7.1 erratum 8298 SHOULD: the owner that hears another logs it, and goes on
// RFC 9568 8.3.2 SHOULD: several routers of priority 255 are logged
// RFC 9568 8.3.2 MAY: several routers of the same priority are logged
#[test]
fn an_owner_that_hears_another_tells_of_it() {
    let mut params = vi_1();
    params.priority = Priority::OWNER;
    let owner = || Node::mastering(routers([("VI_1", params.clone())]));
    for theirs in [100, 254, 255] {
        let lines = only("VI_1", owner().hear(theirs));
        let said = format!("VI_1: second master 192.168.224.11, priority {theirs}");
        assert_eq!(lines, [said]);
    }
    let greater = Ipv4Addr::new(192, 168, 224, 77);
    let bytes = version_3(51, 255, 100, ChecksumForm::MessageOnly);
    // An owner that is below another yields, and that is told as well.
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

// RFC 3768 7.1 MUST: the owner discards what it hears
// RFC 5798 7.1 MUST: the owner discards what it hears
#[test]
fn the_owner_is_deaf_in_version_2_and_hears_in_version_3() {
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
fn version_2_demands_the_same_authentication_and_the_same_interval() {
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
    assert_eq!(node.receive(ETH1, PEER, &slow).len(), 1, "it is told");
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
fn the_same_drop_is_told_once_a_minute_and_counted_each_time() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let mut bad = advert(51, 200);
    bad[2] = 201;
    let mut told = Vec::new();
    for second in 0..150_u32 {
        let lines = node.receive(ETH1, PEER, &bad);
        told.extend(lines.iter().map(|_| second));
        node.advance(SECOND);
    }
    assert_eq!(told, [0, 60, 120]);
    assert_eq!(node.status("VI_1").counters.dropped.Checksum, 150);
    let other = node.receive(ETH1, Ipv4Addr::new(192, 168, 224, 66), &bad);
    assert_eq!(other.len(), 1, "another sender is another subject");
}

#[test]
fn invented_senders_make_no_flood_of_reports() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let mut told = 0;
    for n in 0..50_000_u32 {
        told += node
            .receive(ETH1, Ipv4Addr::from_bits(n), &[0x31, 51, 0, 0])
            .len();
    }
    assert!(told <= 256, "{told}");
    assert_eq!(node.status("VI_1").counters.dropped.Length, 50_000);
}

#[test]
fn what_others_advertise_to_a_router_in_fault_is_counted_and_no_news() {
    let params = with_tracker();
    let mut node = Node::running(params);
    node.probe("httpd", false);
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(node.hear(200), [""; 0]);
    assert_eq!(node.status("VI_1").counters.dropped.NotListening, 1);
}

// RFC 9568 5.2.8 MUST: the checksum over IPv4 covers the message alone
#[test]
fn both_forms_of_the_checksum_are_counted_and_the_others_form_is_sent() {
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
        "with nobody heard"
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
        "the last one heard"
    );
}

#[test]
fn a_master_that_learns_the_form_sends_it_from_the_next_advertisement_on() {
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
    assert_ne!(before[6..8], after[6..8], "the checksum alone");
    assert_eq!(before[8..], after[8..]);
}

#[test]
fn version_2_knows_one_form_and_learns_none() {
    let mut params = vi_1();
    params.version = Version::V2;
    let mut node = Node::running(routers([("VI_1", params)]));
    let before = node.status("VI_1").checksum;
    node.receive(ETH1, PEER, &version_2(51, 200, Auth::None));
    assert_eq!(node.status("VI_1").checksum, before);
}

// RFC 9568 2.5 SHOULD: an Active that others push aside again and again logs it
#[test]
fn a_second_master_is_answered_reported_and_announced_over() {
    let mut node = Node::mastering(routers([("VI_1", vi_1())]));
    assert_eq!(
        node.hear(99),
        [
            "VI_1: second master 192.168.224.11, priority 99",
            "advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100",
            "announce on 2 at 02:00:00:00:00:02: 192.168.224.100/24",
        ]
    );
    node.sleep(SECOND / 4);
    assert_eq!(
        node.hear(99),
        ["advertise on 2 from 192.168.224.12: VRID 51, priority 100, 192.168.224.100"],
        "it is told once a minute and announced once a second"
    );
    assert_eq!(node.status("VI_1").counters.second_masters, 2);
}

// RFC 9568 7.1 SHOULD: another interval than the own one is noticed
// RFC 9568 7.1 SHOULD: another interval than the own one is logged
// RFC 9568 7.1 MAY: another list of addresses is noticed
// RFC 9568 7.1 SHOULD: another list of addresses is logged
#[test]
fn differences_in_what_is_advertised_are_counted_and_obeyed() {
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.100/24", "192.168.224.101/24"]);
    params.interval = AdvertInterval::from_centiseconds(50).unwrap();
    let mut node = Node::running(routers([("VI_1", params)]));
    node.hear(200);
    let status = node.status("VI_1");
    let counters = status.counters;
    assert_eq!(
        (counters.address_list_differs, counters.interval_differs),
        (1, 1)
    );
    assert_eq!(status.master.unwrap().priority, 200);
    // Three of the master's seconds and the skew in them.
    assert_eq!(node.due().since(node.now).as_nanos(), 3_609_375_000);
}

// RFC 3768 7.1 MUST: another list of addresses, not from the owner, is discarded
#[test]
fn version_2_counts_and_obeys_another_list_of_addresses_too() {
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
fn the_order_of_the_addresses_makes_no_difference() {
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
fn as_many_other_addresses_are_another_list() {
    let mut params = vi_1();
    params.addresses = addresses(&["192.168.224.101/24"]);
    let mut node = Node::running(routers([("VI_1", params)]));
    node.hear(200);
    assert_eq!(node.status("VI_1").counters.address_list_differs, 1);
}

#[test]
fn packets_before_a_tick_prove_that_the_master_lives_however_late_they_are_read() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    node.sleep(SECOND * 30);
    node.hear(200);
    assert_eq!(node.give(Input::Tick), [""; 0]);
    assert_eq!(node.state("VI_1"), State::Backup);
}

/// What a master says next, and from where.
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
