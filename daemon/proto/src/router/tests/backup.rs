//! The state Backup.

use super::rig::*;
use crate::router::*;

// RFC 9568 6.4.2 MUST: priority 0 sets Active_Down_Timer to Skew_Time
#[test]
fn resignation_sets_active_down_timer_to_the_skew() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let reaction = router.handle_advert(now, now, &advert(0, 100), HIGH, OWN);
    assert_eq!(reaction, Reaction::default());
    let due = now + nanos(609_375_000);
    assert_eq!(router.deadline().unwrap().0, due);
    let (_, cause) = router.handle_tick(due).change.unwrap();
    assert_eq!(cause, Cause::Resigned { master: HIGH });
}

// RFC 9568 6.4.2 MUST: equal or greater priority: take its interval, set Active_Down_Timer
#[test]
fn equal_or_greater_priority_restarts_active_down_timer() {
    for priority in [100, 101, 255] {
        for source in [LOW, HIGH] {
            let (mut router, now) = in_state(v3(100), State::Backup);
            let _ = router.handle_advert(now, now, &advert(priority, 100), source, OWN);
            assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
            assert_eq!(heard(&router), Some((source, priority)));
        }
    }
}

// RFC 9568 6.4.2 MUST: discard a lower priority, in Preempt_Mode
#[test]
fn lower_priority_of_another_router_does_not_change_active_down_timer() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let due = router.deadline();
    for priority in [1, 99] {
        assert_eq!(
            router.handle_advert(now, now, &advert(priority, 40), LOW, OWN),
            Reaction::default()
        );
        assert_eq!(router.deadline(), due);
    }
    let (_, cause) = router.handle_tick(due.unwrap().0).change.unwrap();
    assert!(matches!(
        cause,
        Cause::Silence {
            master: Some(HIGH),
            ..
        }
    ));
}

// RFC 9568 6.4.2 MUST: discard a lower priority, in Preempt_Mode
#[test]
fn master_that_lowers_its_priority_is_preempted_after_the_skew() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let due = now + nanos(609_375_000);
    for (after, priority) in [(0, 99), (100, 1)] {
        let at = now + nanos(after * 1_000_000);
        let _ = router.handle_advert(at, at, &advert(priority, 100), HIGH, OWN);
        assert_eq!(router.deadline(), Some((due, Due::TakeOver)));
    }
    let (_, cause) = router.handle_tick(due).change.unwrap();
    let preempted = Cause::Preempted {
        master: HIGH,
        theirs: 1,
        ours: 100,
        waited: Duration::ZERO,
    };
    assert_eq!(cause, preempted);
}

#[test]
fn priority_that_rises_again_restarts_active_down_timer() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(50, 100), HIGH, OWN);
    let at = now + nanos(500_000_000);
    let _ = router.handle_advert(at, at, &advert(255, 100), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, at + nanos(3_609_375_000));
}

#[test]
fn lowered_priority_does_not_shorten_the_wait_after_start() {
    let mut router = Router::new(v3(100));
    let _ = router.start(T0, None, false);
    let due = router.deadline();
    for priority in [90, 50] {
        let _ = router.handle_advert(T0, T0, &advert(priority, 100), HIGH, OWN);
        assert_eq!(router.deadline(), due);
    }
}

// RFC 9568 6.4.2 MUST: without Preempt_Mode: take any interval, set Active_Down_Timer
#[test]
fn without_preempt_mode_a_backup_follows_a_lower_priority() {
    let (mut router, now) = in_state(
        Settings {
            preempt: false,
            ..v3(100)
        },
        State::Backup,
    );
    let _ = router.handle_advert(now, now, &advert(1, 100), LOW, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
    let _ = router.handle_advert(now, now, &advert(1, 500), LOW, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000 * 5));
}

// RFC 9568 6.1 MUST: the owner preempts whatever Preempt_Mode says
#[test]
fn owner_preempts_even_without_preempt_mode() {
    let (mut router, now) = in_state(
        Settings {
            preempt: false,
            ..v3(255)
        },
        State::Backup,
    );
    let _ = router.handle_advert(now, now, &advert(254, 100), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_906_250));
}

// RFC 9568 6.4.2 MUST: equal or greater priority: take its interval, set Active_Down_Timer
#[test]
fn backup_uses_the_advertised_interval_of_its_master() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(200, 500), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000 * 5));
    let _ = router.handle_advert(now, now, &advert(200, 1), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(36_093_750));
    let _ = router.handle_advert(now, now, &advert(0, 500), HIGH, OWN);
    assert_eq!(
        router.deadline().unwrap().0,
        now + nanos(6_093_750),
        "the interval in a resignation is ignored"
    );
}

// RFC 9568 6.4.2 MUST: Adver_Timer is set to the own interval
#[test]
fn new_master_advertises_at_its_own_interval() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(200, 500), HIGH, OWN);
    let taken = router.deadline().unwrap().0;
    let _ = router.handle_tick(taken);
    assert_eq!(next_advert(&mut router), taken + SECOND);
}

// RFC 9568 6.4.2 MUST: when Active_Down_Timer fires, advertise and become Active
#[test]
fn active_down_timer_makes_a_backup_master() {
    let mut router = Router::new(v3(100));
    let _ = router.start(T0, None, false);
    let heard = T0 + SECOND;
    let _ = router.handle_advert(heard, heard, &advert(200, 100), HIGH, OWN);
    let due = router.deadline().unwrap().0;
    let reaction = router.handle_tick(due);
    let cause = Cause::Silence {
        master: Some(HIGH),
        lasted: nanos(3_609_375_000),
    };
    assert_eq!(reaction.change, Some((State::Backup, cause)));
    assert_eq!(reaction.send, Some(Send::Advert));
    assert_eq!(next_advert(&mut router), due + SECOND);
}

#[test]
fn followed_master_stays_recorded_despite_a_lower_third_router() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(150, 100), HIGH, OWN);
    let _ = router.handle_advert(now, now, &advert(50, 100), LOW, OWN);
    assert_eq!(heard(&router), Some((HIGH, 150)));
    let due = router.deadline().unwrap().0;
    let cause = Cause::Silence {
        master: Some(HIGH),
        lasted: due.since(now),
    };
    let reaction = router.handle_tick(due);
    assert_eq!(reaction.change, Some((State::Backup, cause)));

    // The master itself may have lowered its priority.
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(150, 100), HIGH, OWN);
    let _ = router.handle_advert(now, now, &advert(50, 100), HIGH, OWN);
    assert_eq!(heard(&router), Some((HIGH, 50)));
}

// RFC 9568 6.4.2 MUST: Shutdown: cancel Active_Down_Timer, Initialize
#[test]
fn stopped_backup_sends_nothing() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let reaction = router.stop(Cause::Stopped);
    assert_eq!(reaction.change, Some((State::Backup, Cause::Stopped)));
    assert_eq!(reaction.send, None);
    assert_eq!(router.deadline(), None);
    assert_eq!(router.handle_tick(now + SECOND * 100), Reaction::default());
}

#[test]
fn backup_timer_counts_from_packet_arrival() {
    for (priority, wait) in [(200, 3_609_375_000), (0, 609_375_000)] {
        let (mut router, now) = in_state(v3(100), State::Backup);
        let heard_at = now + SECOND;
        let handled_at = heard_at + nanos(5_000_000);
        let _ = router.handle_advert(handled_at, heard_at, &advert(priority, 100), HIGH, OWN);
        assert_eq!(router.deadline().unwrap().0, heard_at + nanos(wait));
    }
}

#[test]
fn yielding_master_timer_counts_from_packet_arrival() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let handled_at = now + nanos(5_000_000);
    let _ = router.handle_advert(handled_at, now, &advert(200, 100), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
}
