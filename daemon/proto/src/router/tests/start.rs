//! Start, fault reasons and recovery.

use super::rig::*;
use crate::router::*;

// RFC 9568 6.4.1 MUST: the owner starts as Active and advertises
// RFC 9568 5.2.4 MUST: the owner's priority is 255
#[test]
fn owner_becomes_master_at_start() {
    let mut router = Router::new(v3(255));
    let reaction = router.start(T0, None, false);
    assert_eq!(reaction.change, Some((State::Init, Cause::Owner)));
    assert_eq!(reaction.send, Some(Send::Advert));
    assert_eq!(router.state(), State::Master);
    assert_eq!(router.deadline().unwrap().0, T0 + SECOND);
}

// RFC 9568 6.4.1 MUST: a router other than the owner starts as Backup with its own interval
#[test]
fn router_other_than_the_owner_listens_first() {
    let mut router = Router::new(v3(100));
    let reaction = router.start(T0, None, false);
    assert_eq!(reaction.change, Some((State::Init, Cause::Started)));
    assert_eq!(reaction.send, None);
    assert_eq!(
        router.deadline(),
        Some((T0 + nanos(3_609_375_000), Due::TakeOver))
    );
}

// RFC 9568 6.4.1 MUST: a router other than the owner starts as Backup with its own interval
#[test]
fn expect_master_shortens_listening_to_one_interval_and_skew() {
    let mut router = Router::new(v3(100));
    let _ = router.start(T0, None, true);
    assert_eq!(router.deadline().unwrap().0, T0 + nanos(1_609_375_000));
    let _ = router.handle_advert(T0 + SECOND, T0 + SECOND, &advert(200, 100), HIGH, OWN);
    assert_eq!(
        router.deadline().unwrap().0,
        T0 + SECOND + nanos(3_609_375_000),
        "only the first listening period is shorter"
    );
}

#[test]
fn repeated_start_has_no_effect() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let before = router.deadline();
    assert_eq!(router.start(now, None, true), Reaction::default());
    assert_eq!(
        router.start(now, Some(fault_reason()), false),
        Reaction::default()
    );
    assert_eq!(router.deadline(), before);
}

#[test]
fn fault_makes_a_master_resign_and_stops_a_backup() {
    for (state, send) in [
        (State::Master, Some(Send::Resignation)),
        (State::Backup, None),
    ] {
        let (mut router, now) = in_state(v3(100), state);
        let reaction = router.set_fault_reason(now, Some(fault_reason()));
        assert_eq!(reaction.send, send);
        assert_eq!(
            reaction.change,
            Some((state, Cause::Faulted(fault_reason())))
        );
        assert_eq!(router.deadline(), None);
    }
}

#[test]
fn recovered_router_listens_first_and_names_the_last_fault() {
    let (mut router, now) = in_state(v3(100), State::Fault);
    let last = FaultReason::TrackerDown("httpd".into());
    assert_eq!(
        router.set_fault_reason(now, Some(last.clone())),
        Reaction::default()
    );
    let reaction = router.set_fault_reason(now, None);
    assert_eq!(reaction, changed(State::Fault, Cause::Recovered(last)));
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
}

#[test]
fn init_and_fault_ignore_advertisements_and_have_no_deadline() {
    for state in [State::Fault, State::Init] {
        let (mut router, now) = in_state(v3(100), state);
        for priority in [0, 1, 100, 200] {
            let reaction = router.handle_advert(now, now, &advert(priority, 100), HIGH, OWN);
            assert_eq!(reaction, Reaction::default());
        }
        assert_eq!(router.handle_tick(now + SECOND * 3600), Reaction::default());
        assert_eq!((router.state(), heard(&router)), (state, None));
    }
}
