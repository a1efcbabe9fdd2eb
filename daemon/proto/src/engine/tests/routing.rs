//! Routes and rules that follow the masters.

use super::rig::*;
use crate::events::Input;
use crate::params::RouterParams;
use crate::reasons::Loss;
use crate::routing::Routed;
use crate::types::State;

const HELD: &str = "VI_1 route [10.1.0.0/16 via 192.168.224.1 dev eth1], \
                    rule [priority 1000 from 10.9.0.0/16 lookup 100], release []";
const RELEASED: &str = "VI_1 route [], rule [], release [route 10.1.0.0/16, \
                        rule priority 1000 from 10.9.0.0/16 lookup 100]";

#[test]
fn routes_and_rules_follow_the_master_state() {
    let mut node = Node::running(routers([("VI_1", with_routing())]));
    let lines = node.advance(SECOND * 6);
    assert_eq!(only("VI_1 route", lines), [HELD]);
    let lines = node.receive_advert(200);
    assert_eq!(only("VI_1 route", lines), [RELEASED]);
    assert_eq!(node.engine.held_routing().count(), 0);
}

#[test]
fn router_without_routing_requests_none() {
    let mut node = Node::running(routers([("VI_1", vi_1())]));
    let mut lines = node.advance(SECOND * 6);
    lines.extend(node.give(Input::Overrun));
    assert_eq!(only("VI_1 route", lines), [""; 0]);
    assert!(!node.engine.has_routing());
}

#[test]
fn leftover_routing_is_released_at_start() {
    let mut node = Node::wired();
    let lines = node.configure(routers([("VI_1", with_routing())]));
    assert_eq!(only("VI_1 route", lines), [RELEASED]);
}

#[test]
fn routes_are_released_without_their_interface() {
    let mut node = Node::mastering(routers([("VI_1", with_routing())]));
    let lines = node.lose(Input::LinkRemoved(ETH1));
    assert_eq!(node.state("VI_1"), State::Fault);
    assert_eq!(only("VI_1 route", lines), [RELEASED]);
}

#[test]
fn deleted_routing_is_restored_without_a_transition() {
    for what in [the_route(), the_rule()] {
        let mut node = Node::mastering(routers([("VI_1", with_routing())]));
        node.sleep(SECOND / 4);
        let due = node.engine.poll_timeout();
        assert_eq!(
            node.give(lost(&what)),
            [
                format!("VI_1: repaired {what} was missing"),
                HELD.to_owned()
            ]
        );
        assert_eq!(node.engine.poll_timeout(), due);
        let counters = node.status("VI_1").counters;
        assert_eq!((counters.routing_repairs, counters.became_master), (1, 1));
    }
}

#[test]
fn backup_ignores_deleted_routing() {
    let mut node = Node::running(routers([("VI_1", with_routing())]));
    assert_eq!(node.give(lost(&the_route())), [""; 0]);
}

#[test]
fn stray_routing_on_a_backup_is_deleted() {
    let mut node = Node::running(routers([("VI_1", with_routing())]));
    assert_eq!(
        node.give(Input::RoutingAdded(the_route())),
        ["VI_1: stray route 10.1.0.0/16", RELEASED]
    );
    assert_eq!(node.status("VI_1").counters.routing_strays, 1);
    let unconfigured = Routed::Route(route("10.2.0.0/16").place());
    assert_eq!(node.give(Input::RoutingAdded(unconfigured)), [""; 0]);
}

#[test]
fn replaced_route_of_a_master_is_requested_again() {
    let mut node = Node::mastering(routers([("VI_1", with_routing())]));
    assert_eq!(node.give(Input::RoutingAdded(the_route())), [HELD]);
}

#[test]
fn overslept_master_restores_no_routing() {
    let mut node = Node::mastering(routers([("VI_1", with_routing())]));
    node.sleep(SECOND * 60);
    let lines = node.give(lost(&the_route()));
    assert_eq!(only("VI_1 route", lines), [RELEASED]);
    assert_eq!(node.status("VI_1").counters.routing_repairs, 0);
}

#[test]
fn overrun_repeats_the_routing_request() {
    let mut node = Node::mastering(routers([("VI_1", with_routing())]));
    let lines = node.give(Input::Overrun);
    assert_eq!(only("VI_1 route", lines), [HELD]);
}

#[test]
fn reloaded_routing_is_applied_without_a_transition() {
    let mut node = Node::mastering(routers([("VI_1", with_routing())]));
    let mut params = with_routing();
    params.routes = vec![route("10.2.0.0/16")];
    assert_eq!(
        node.configure(routers([("VI_1", params)])),
        ["VI_1 route [10.2.0.0/16 via 192.168.224.1 dev eth1], \
             rule [priority 1000 from 10.9.0.0/16 lookup 100], release [route 10.1.0.0/16]"]
    );
}

#[test]
fn route_moved_to_another_router_is_never_released() {
    let former = routers([("VI_1", with_routing()), ("VI_2", vi_2())]);
    let mut node = Node::mastering(former);
    let moved = RouterParams {
        routes: with_routing().routes,
        rules: with_routing().rules,
        ..vi_2()
    };
    let lines = node.configure(routers([("VI_1", vi_1()), ("VI_2", moved.clone())]));
    assert_eq!(lines, [HELD.replace("VI_1", "VI_2")]);

    // The same when the former router is removed.
    let mut node = Node::mastering(routers([("VI_1", with_routing()), ("VI_2", vi_2())]));
    let lines = node.configure(routers([("VI_2", moved)]));
    let routing: Vec<_> = lines
        .iter()
        .filter(|line| line.contains(" route ["))
        .collect();
    assert_eq!(routing, [&HELD.replace("VI_1", "VI_2")]);
}

#[test]
fn stop_releases_all_routing() {
    let mut node = Node::mastering(routers([("VI_1", with_routing())]));
    let lines = node.give(Input::Stop);
    assert_eq!(only("VI_1 route", lines), [""; 0], "handing over");
    assert_eq!(node.engine.held_routing().count(), 2);
    let lines = node.receive_advert(90);
    assert_eq!(only("VI_1 route", lines), [RELEASED]);
}

#[test]
fn status_lists_routes_and_rules() {
    let node = Node::running(routers([("VI_1", with_routing())]));
    let status = node.status("VI_1");
    assert_eq!(status.routes, ["10.1.0.0/16 via 192.168.224.1 dev eth1"]);
    assert_eq!(status.rules, ["priority 1000 from 10.9.0.0/16 lookup 100"]);
}

fn with_routing() -> RouterParams {
    RouterParams {
        routes: vec![route("10.1.0.0/16")],
        rules: vec![rule("10.9.0.0/16")],
        ..vi_1()
    }
}

fn the_route() -> Routed {
    Routed::Route(route("10.1.0.0/16").place())
}

fn lost(what: &Routed) -> Input<'static> {
    Input::RoutingRemoved {
        what: what.clone(),
        loss: Loss::Unknown,
    }
}

fn the_rule() -> Routed {
    Routed::Rule(rule("10.9.0.0/16"))
}
