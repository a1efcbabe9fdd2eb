use std::sync::Arc;

use vrrp_proto::params::{AddressForm, AddressOptions, RouterParams};
use vrrp_proto::routing::{Network, NextHop, Route, RoutePlace, Routed, Table};
use vrrp_proto::snapshot::MissingAddress;
use vrrp_proto::{AddressLabel, Loss, State, Vrid};

use super::*;
use crate::fake::{ETH, FakeHost};
use crate::mirror::Held;
use crate::routing::change::{Installed, Leg};

const T0: Instant = Instant::from_nanos(1_000_000_000_000);
const OWN: &str = "10.0.0.1/24";
const VIRTUAL: &str = "10.0.0.100/24";

#[test]
fn route_lost_with_its_source_is_restored_in_the_same_turn() {
    let (mut node, mut host) = mastering(routed(vi_1()));
    assert_eq!(host.routes.len(), 1);
    host.requests.clear();
    let label = AddressForm {
        label: AddressLabel::new("eth2:v"),
        ..AddressForm::default()
    };
    let options = AddressOptions {
        form: label,
        ..AddressOptions::default()
    };
    let labelled = RouterParams {
        options: Arc::new([(address(VIRTUAL).address, options)].into()),
        ..routed(vi_1())
    };
    node.configure(T0, Duration::ZERO, params(labelled), &mut host);
    node.turn(T0, &mut host);
    assert_eq!(
        host.requests,
        [
            "delete 10.0.0.100/24 from interface 2",
            "add 10.0.0.100/24 to interface 2",
            "add the route 10.1.0.0/16 dev eth2 src 10.0.0.100",
        ]
    );
    assert_eq!(host.routes.len(), 1);
    let loss = Loss::WithAddress(address(VIRTUAL));
    assert_eq!(host.reports, [routing_repaired(loss, true)]);
    assert!(node.is_content());
}

/// The own address changes twice, and the daemon reads the events in three parts.
#[test]
fn outdated_event_of_a_deletion_does_not_leave_the_address() {
    for returns in [false, true] {
        let (mut node, mut host) = mastering(vi_1());
        let other = address("10.0.0.2/24");
        host.delete(address(OWN), Some(Loss::Deleted));
        let first = host.news.remove(0);
        node.take_news(T0, [first].into_iter(), &mut host);
        host.add(other, false);
        node.turn(T0, &mut host);
        assert_eq!(host.addresses(), ["10.0.0.2/24", VIRTUAL]);
        let second = std::mem::take(&mut host.news);
        node.take_news(T0, second.into_iter(), &mut host);
        host.delete(other, Some(Loss::Deleted));
        node.turn(T0, &mut host);
        assert_eq!(host.addresses(), [VIRTUAL], "requested after the deletion");
        if returns {
            host.add(address(OWN), false);
            take_news(&mut node, &mut host);
            assert_eq!(host.addresses(), [OWN, VIRTUAL]);
        } else {
            take_news(&mut node, &mut host);
            let grace = Duration::from_millis(500);
            node.turn(T0 + grace, &mut host);
            assert_eq!(host.addresses(), [""; 0], "in fault");
        }
    }
}

#[test]
fn virtual_address_is_put_behind_own_one_that_came_later() {
    let (mut node, mut host) = mastering(vi_1());
    host.add(address("10.9.0.1/24"), false);
    host.delete(address(OWN), Some(Loss::Deleted));
    take_news(&mut node, &mut host);
    assert_eq!(host.addresses(), ["10.9.0.1/24", VIRTUAL], "still a master");
    host.add(address("10.0.0.2/24"), false);
    take_news(&mut node, &mut host);
    assert_eq!(host.addresses(), ["10.9.0.1/24", "10.0.0.2/24", VIRTUAL]);
    assert_eq!(
        host.log.last().unwrap(),
        "eth2: put the virtual address 10.0.0.100/24 behind 10.0.0.2/24, so that the host sends from its own \
         address"
    );
    host.requests.clear();
    host.add(address("10.0.0.3/24"), false);
    take_news(&mut node, &mut host);
    assert_eq!(host.requests, [""; 0], "it is behind already");
}

/// The own address changes again while the daemon restores the virtual one after the first change.
#[test]
fn virtual_address_added_without_a_primary_is_put_behind_the_next_own_one() {
    let (mut node, mut host) = mastering(vi_1());
    let other = address("10.0.0.2/24");
    host.delete(address(OWN), Some(Loss::Deleted));
    host.add(other, false);
    let news = std::mem::take(&mut host.news);
    node.take_news(T0, news.into_iter(), &mut host);
    host.delete(other, Some(Loss::Deleted));
    node.turn(T0, &mut host);
    host.add(address(OWN), false);
    assert_eq!(host.addresses(), [VIRTUAL, OWN]);
    take_news(&mut node, &mut host);
    assert_eq!(host.addresses(), [OWN, VIRTUAL]);
}

#[test]
fn promoted_virtual_address_is_put_behind_a_second_own_one() {
    let (mut node, mut host) = mastering(vi_1());
    host.promoting.insert(ETH);
    host.add(address("10.0.0.2/24"), false);
    host.delete(address(OWN), Some(Loss::Deleted));
    assert_eq!(host.addresses(), [VIRTUAL, "10.0.0.2/24"]);
    take_news(&mut node, &mut host);
    assert_eq!(host.addresses(), ["10.0.0.2/24", VIRTUAL]);
}

#[test]
fn own_address_returns_before_the_virtual_one() {
    let (mut node, mut host) = mastering(vi_1());
    host.requests.clear();
    host.delete(address(OWN), Some(Loss::Deleted));
    assert_eq!(host.addresses(), [""; 0], "the kernel deletes both");
    take_news(&mut node, &mut host);
    assert_eq!(host.requests, [""; 0]);
    host.add(address("10.0.0.2/24"), false);
    take_news(&mut node, &mut host);
    assert_eq!(host.addresses(), ["10.0.0.2/24", VIRTUAL]);
    assert!(host.held[1].1.secondary);
    let loss = Loss::WithPrimary(address(OWN));
    assert!(
        host.reports.contains(&repaired(loss, true)),
        "{:?}",
        host.reports
    );
}

#[test]
fn repair_is_reported_as_done_once_the_kernel_accepts_it() {
    let (mut node, mut host) = mastering(routed(vi_1()));
    host.rejects_additions = Some(ErrorKind::OutOfMemory);
    host.delete(address(VIRTUAL), Some(Loss::Deleted));
    take_news(&mut node, &mut host);
    let [route, virtual_address] = [
        |done| routing_repaired(Loss::WithAddress(address(VIRTUAL)), done),
        |done| repaired(Loss::Deleted, done),
    ];
    assert_eq!(host.reports, [virtual_address(false), route(false)]);
    host.reports.clear();

    let mut later = T0 + SECOND_LOOK;
    node.look_again(later, &mut host);
    node.turn(later, &mut host);
    assert_eq!(host.reports, [], "still rejected");

    host.rejects_additions = None;
    later = later + SECOND_LOOK;
    node.look_again(later, &mut host);
    node.turn(later, &mut host);
    assert_eq!(host.reports, [virtual_address(true), route(true)]);
    assert!(node.is_content());
}

#[test]
fn router_whose_address_is_rejected_for_good_is_in_fault_in_the_same_turn() {
    let mut host = FakeHost::with_addresses(&[OWN]);
    host.rejects_additions = Some(ErrorKind::PermissionDenied);
    let mut node = started(vi_1(), &mut host);
    let mut now = T0;
    while node.engine().states().next().unwrap().1 == State::Backup {
        now = node.engine().poll_timeout().unwrap().0;
        node.turn(now, &mut host);
    }
    assert_eq!(node.engine().states().next().unwrap().1, State::Fault);
    // The kernel would take it now. A reload tries again, and the rejection of the second attempt counts too.
    node.configure(now, Duration::ZERO, params(vi_1()), &mut host);
    node.turn(now, &mut host);
    assert_eq!(node.engine().states().next().unwrap().1, State::Backup);
    while node.engine().states().next().unwrap().1 == State::Backup {
        now = node.engine().poll_timeout().unwrap().0;
        node.turn(now, &mut host);
    }
    assert_eq!(node.engine().states().next().unwrap().1, State::Fault);
}

#[test]
fn advertisements_that_the_kernel_rejects_are_shown_until_one_is_sent() {
    let (mut node, mut host) = mastering(vi_1());
    let mut now = T0;
    let mut advertise = |node: &mut Node, host: &mut FakeHost| {
        let before = node.engine().snapshot(now).instances[0]
            .counters
            .adverts_sent;
        while node.engine().snapshot(now).instances[0]
            .counters
            .adverts_sent
            == before
        {
            now = node.engine().poll_timeout().unwrap().0;
            node.turn(now, host);
        }
        node.snapshot(now).instances.remove(0)
    };
    host.rejects_adverts = Some(ErrorKind::NetworkUnreachable);
    let status = advertise(&mut node, &mut host);
    assert_eq!(status.counters.adverts_unsent, 1);
    assert_eq!(status.unsent, [], "that may pass");
    host.rejects_adverts = Some(ErrorKind::PermissionDenied);
    for _ in 0..2 {
        let status = advertise(&mut node, &mut host);
        assert_eq!(&*status.unsent[0].error, "permission denied");
    }
    assert_eq!(
        host.log.last().unwrap(),
        "cannot send an advertisement on eth2 from 10.0.0.1: permission denied: a firewall rule of this \
         host drops VRRP (protocol 112) in its output"
    );
    host.rejects_adverts = None;
    let status = advertise(&mut node, &mut host);
    assert_eq!(status.unsent, []);
    assert_eq!(status.counters.adverts_unsent, 3);
}

#[test]
fn status_of_a_master_names_missing_addresses() {
    let (mut node, mut host) = mastering(vi_1());
    let missing = |node: &Node| node.snapshot(T0).instances[0].missing.clone();
    assert_eq!(missing(&node), []);
    host.rejects_additions = Some(ErrorKind::OutOfMemory);
    host.delete(address(VIRTUAL), Some(Loss::Deleted));
    take_news(&mut node, &mut host);
    let entry = MissingAddress {
        address: address(VIRTUAL),
        interface: "eth2".into(),
        error: Some("out of memory".into()),
    };
    assert_eq!(missing(&node), [entry]);
    host.rejects_additions = None;
    let later = T0 + SECOND_LOOK;
    node.look_again(later, &mut host);
    node.turn(later, &mut host);
    assert_eq!(missing(&node), []);
}

#[test]
fn stray_that_cannot_be_deleted_is_not_reported_as_deleted() {
    let mut host = FakeHost::with_addresses(&[OWN]);
    let mut node = started(vi_1(), &mut host);
    host.rejects_promotion = Some(ErrorKind::OutOfMemory);
    host.add(address(VIRTUAL), false);
    take_news(&mut node, &mut host);
    let stray = |done| Report::Stray {
        router: "VI_1".into(),
        interface: ETH,
        address: address(VIRTUAL),
        done,
    };
    let strays = |host: &FakeHost| {
        let all = host.reports.iter();
        let strays = all.filter(|report| matches!(report, Report::Stray { .. }));
        strays.cloned().collect::<Vec<_>>()
    };
    assert_eq!(strays(&host), [stray(false)]);
    host.rejects_promotion = None;
    node.look_again(T0 + SECOND_LOOK, &mut host);
    node.turn(T0 + SECOND_LOOK, &mut host);
    assert_eq!(strays(&host), [stray(false), stray(true)]);
    assert_eq!(host.addresses(), [OWN]);
}

#[test]
fn stray_route_that_cannot_be_deleted_is_tried_each_second() {
    let (mut node, mut host) = mastering(routed(vi_1()));
    let stray = Installed {
        place: RoutePlace::new(
            Network::new("10.2.0.0".parse().unwrap(), 16).unwrap(),
            Table::MAIN,
            None,
        ),
        ..left_route()
    };
    host.routes.push(stray);
    host.rejects_route_deletions = true;
    node.look_at_routing(T0, &mut host);
    node.turn(T0, &mut host);
    for second in 1..=3 {
        let now = T0 + SECOND_LOOK * second;
        assert_eq!(host.routes.len(), 2, "after {second} s");
        // The third look does not read the kernel.
        host.rejects_route_deletions = second < 3;
        node.look_again(now, &mut host);
        node.turn(now, &mut host);
    }
    assert_eq!(host.routes.len(), 1);
    assert!(node.is_content());
}

#[test]
fn rejected_address_is_requested_each_second_and_rarely_read() {
    let (mut node, mut host) = mastering(vi_1());
    host.rejects_additions = Some(ErrorKind::OutOfMemory);
    host.delete(address(VIRTUAL), Some(Loss::Deleted));
    take_news(&mut node, &mut host);
    host.readings.clear();
    host.requests.clear();
    for second in 1..=60 {
        let now = T0 + SECOND_LOOK * second;
        node.look_again(now, &mut host);
        node.turn(now, &mut host);
    }
    assert_eq!(host.requests.len(), 60, "{:?}", host.requests);
    assert_eq!(host.readings.len(), 6, "after 1, 2, 4, 8, 16 and 32 s");
}

#[test]
fn address_missing_in_interrupted_dump_is_checked_before_repair() {
    let (mut node, mut host) = mastering(vi_1());
    host.interrupts_dumps = true;
    host.readings.clear();
    host.requests.clear();
    node.look_at(T0);
    node.look_again(T0, &mut host);
    node.turn(T0, &mut host);
    assert_eq!(host.readings, [Extent::All, Extent::Interface(ETH)]);
    assert_eq!(host.requests, [""; 0]);
    assert_eq!(host.reports, []);
    assert_eq!(node.due(), Some(T0 + SECOND_LOOK), "reads all again");
}

#[test]
fn doubtful_ipv6_event_causes_reading_of_its_interface() {
    let (mut node, mut host) = mastering(vi_1());
    let marked = Held {
        address: address("2001:db8::9/64"),
        ours: true,
        secondary: false,
    };
    host.readings.clear();
    host.news.push(Event::AddressAdded(ETH, marked));
    take_news(&mut node, &mut host);
    assert_eq!(host.readings, [Extent::Interface(ETH)]);
    assert!(node.is_content());
}

#[test]
fn leftovers_are_deleted_once_the_kernel_allows_it() {
    let mut host = FakeHost::with_addresses(&[OWN]);
    host.has_table = true;
    host.routes.push(left_route());
    (host.rejects_route_dumps, host.rejects_table_deletion) = (true, true);
    let mut node = started(vi_1(), &mut host);
    assert_eq!(
        host.log,
        [
            "cannot delete the table; trying again every second",
            "cannot read routes and rules from the kernel: out of memory; trying again every second",
        ]
    );
    host.log.clear();
    (host.rejects_route_dumps, host.rejects_table_deletion) = (false, false);
    assert_eq!(node.due(), Some(T0 + SECOND_LOOK));
    node.look_again(T0 + SECOND_LOOK, &mut host);
    node.turn(T0 + SECOND_LOOK, &mut host);
    assert!(!host.has_table && host.routes.is_empty());
    assert_eq!(
        host.log,
        [
            "left by an earlier run: the table inet vrrpd of nf_tables; deleted",
            "left by an earlier run: delete the route 10.1.0.0/16",
        ]
    );
    assert!(node.is_content());
}

#[test]
fn addresses_of_a_master_are_defended_until_it_stops() {
    let (mut node, mut host) = mastering(vi_1());
    let held = address(VIRTUAL).address;
    assert_eq!(host.defended, [Defended::from([(ETH, held)])]);
    host.add(address("10.0.0.2/24"), false);
    take_news(&mut node, &mut host);
    assert_eq!(host.defended.len(), 1, "nothing has changed");
    node.stop(T0, &mut host);
    node.turn(T0, &mut host);
    assert_eq!(host.defended[1..], [Defended::new()]);
}

fn started(router: RouterParams, host: &mut FakeHost) -> Node {
    let mut node = Node::new();
    node.start(T0, Duration::ZERO, params(router), host)
        .unwrap();
    host.news.clear();
    node
}

/// Node with a router that has become master by T0, on a host with [`OWN`].
fn mastering(router: RouterParams) -> (Node, FakeHost) {
    let mut host = FakeHost::with_addresses(&[OWN]);
    let mut node = Node::new();
    let begin = T0 - Duration::from_secs(10);
    node.start(begin, Duration::ZERO, params(router), &mut host)
        .unwrap();
    while let Some((at, _)) = node.engine().poll_timeout().filter(|(at, _)| *at <= T0) {
        node.turn(at, &mut host);
    }
    assert!(
        node.engine()
            .states()
            .all(|(_, state)| state == State::Master)
    );
    assert_eq!(host.addresses(), [OWN, VIRTUAL]);
    host.news.clear();
    host.reports.clear();
    (node, host)
}

/// Passes the notifications of the kernel to the node, and runs its turn.
fn take_news(node: &mut Node, host: &mut FakeHost) {
    let news = std::mem::take(&mut host.news);
    node.take_news(T0, news.into_iter(), host);
    node.turn(T0, host);
}

fn params(router: RouterParams) -> NodeParams {
    NodeParams {
        routers: [("VI_1".into(), router)].into(),
        ..NodeParams::default()
    }
}

fn vi_1() -> RouterParams {
    let vrid = Vrid::new(51).unwrap();
    RouterParams::new("eth2".into(), vrid, [address(VIRTUAL)].into())
}

/// The router with a route that has its address as source.
fn routed(router: RouterParams) -> RouterParams {
    let hop = NextHop::new(None, Some("eth2".into())).unwrap();
    let route = Route::new(place(), [hop]).unwrap();
    RouterParams {
        routes: vec![route.with_source(address(VIRTUAL).address).unwrap()],
        ..router
    }
}

fn place() -> RoutePlace {
    let network = Network::new("10.1.0.0".parse().unwrap(), 16).unwrap();
    RoutePlace::new(network, Table::MAIN, None)
}

/// A route that an earlier run left.
fn left_route() -> Installed {
    Installed {
        place: place(),
        tos: 0,
        scope: vrrp_proto::routing::Scope::LINK,
        source: None,
        legs: vec![Leg {
            gateway: None,
            device: Some(ETH),
            weight: 1,
            on_link: false,
        }],
        odd: false,
    }
}

fn repaired(loss: Loss, done: bool) -> Report {
    Report::Repaired {
        router: "VI_1".into(),
        interface: ETH,
        address: address(VIRTUAL),
        loss,
        done,
    }
}

fn routing_repaired(loss: Loss, done: bool) -> Report {
    Report::RoutingRepaired {
        router: "VI_1".into(),
        what: Routed::Route(place()),
        loss,
        done,
    }
}

fn address(text: &str) -> InterfaceAddress {
    text.parse().unwrap()
}
