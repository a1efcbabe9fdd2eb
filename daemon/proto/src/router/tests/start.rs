//! Start, obstacles and recovery.

use super::rig::*;
use crate::router::*;

// RFC 9568 6.4.1 MUST: the owner starts as Active and advertises
#[test]
fn the_owner_is_master_at_once() {
    let mut router = Router::new(v3(255));
    let reaction = router.start(T0, None, false);
    assert_eq!(reaction.change, Some((State::Init, Cause::Owner)));
    assert_eq!(reaction.send, Some(Send::Advert));
    assert_eq!(router.state(), State::Master);
    assert_eq!(router.deadline().unwrap().0, T0 + SECOND);
}

// RFC 9568 6.4.1 MUST: who is not the owner starts as Backup of its own interval
#[test]
fn who_is_not_the_owner_listens_first() {
    let mut router = Router::new(v3(100));
    let reaction = router.start(T0, None, false);
    assert_eq!(reaction.change, Some((State::Init, Cause::Started)));
    assert_eq!(reaction.send, None);
    assert_eq!(
        router.deadline(),
        Some((T0 + nanos(3_609_375_000), Due::TakeOver))
    );
}

#[test]
fn who_expects_to_be_master_listens_for_one_interval_and_the_skew() {
    let mut router = Router::new(v3(100));
    let _ = router.start(T0, None, true);
    assert_eq!(router.deadline().unwrap().0, T0 + nanos(1_609_375_000));
    let _ = router.handle_advert(T0 + SECOND, T0 + SECOND, &advert(200, 100), HIGH, OWN);
    assert_eq!(
        router.deadline().unwrap().0,
        T0 + SECOND + nanos(3_609_375_000),
        "the first listening only"
    );
}

#[test]
fn a_start_twice_is_one_start() {
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
fn an_obstacle_makes_a_master_resign_and_a_backup_fall_silent() {
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
fn who_recovers_listens_first_and_names_the_last_obstacle() {
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
fn in_fault_and_in_init_nothing_is_heard_and_nothing_is_due() {
    for state in [State::Fault, State::Init] {
        let (mut router, now) = in_state(v3(100), state);
        for priority in [0, 1, 100, 200] {
            let reaction = router.handle_advert(now, now, &advert(priority, 100), HIGH, OWN);
            assert_eq!(reaction, Reaction::default());
        }
        assert_eq!(router.handle_tick(now + SECOND * 3600), Reaction::default());
        assert_eq!((router.state(), router.heard()), (state, None));
    }
}
