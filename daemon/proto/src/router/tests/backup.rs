//! What a backup does.

use super::rig::*;
use crate::router::*;

// RFC 9568 6.4.2 MUST: priority 0 sets Active_Down_Timer to Skew_Time
#[test]
fn a_resignation_shortens_the_wait_to_the_skew() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let reaction = router.handle_advert(now, now, &advert(0, 100), HIGH, OWN);
    assert_eq!(reaction, Reaction::default());
    let due = now + nanos(609_375_000);
    assert_eq!(router.deadline().unwrap().0, due);
    let (_, cause) = router.handle_tick(due).change.unwrap();
    assert_eq!(cause, Cause::Resigned { master: HIGH });
}

// RFC 9568 6.4.2 MUST: no lower priority: take its interval, wait in full
#[test]
fn an_advertisement_of_no_lower_priority_restarts_the_wait_in_full() {
    for priority in [100, 101, 255] {
        for source in [LOW, HIGH] {
            let (mut router, now) = in_state(v3(100), State::Backup);
            let _ = router.handle_advert(now, now, &advert(priority, 100), source, OWN);
            assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
            assert_eq!(router.heard(), Some((source, priority)));
        }
    }
}

// RFC 9568 6.4.2 MUST: discard a lower priority, in Preempt_Mode
#[test]
fn an_advertisement_of_lower_priority_touches_no_timer_of_a_backup() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let due = router.deadline();
    for priority in [1, 99] {
        assert_eq!(
            router.handle_advert(now, now, &advert(priority, 40), HIGH, OWN),
            Reaction::default()
        );
        assert_eq!(router.deadline(), due);
    }
    let (_, cause) = router.handle_tick(due.unwrap().0).change.unwrap();
    assert_eq!(
        cause,
        Cause::Preempted {
            master: HIGH,
            theirs: 99,
            ours: 100,
            waited: Duration::ZERO,
        }
    );
}

// RFC 9568 6.4.2 MUST: without Preempt_Mode: take any interval, wait in full
#[test]
fn without_preemption_a_backup_obeys_a_lower_priority() {
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
fn the_owner_preempts_even_without_preemption() {
    let (mut router, now) = in_state(
        Settings {
            preempt: false,
            ..v3(255)
        },
        State::Backup,
    );
    let due = router.deadline();
    let _ = router.handle_advert(now, now, &advert(254, 100), HIGH, OWN);
    assert_eq!(router.deadline(), due);
}

// RFC 9568 6.4.2 MUST: no lower priority: take its interval, wait in full
#[test]
fn a_backup_waits_by_the_interval_that_its_master_advertises() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(200, 500), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000 * 5));
    let _ = router.handle_advert(now, now, &advert(200, 1), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(36_093_750));
    let _ = router.handle_advert(now, now, &advert(0, 500), HIGH, OWN);
    assert_eq!(
        router.deadline().unwrap().0,
        now + nanos(6_093_750),
        "a resignation teaches no interval"
    );
}

// RFC 9568 6.4.2 MUST: Adver_Timer is set to the own interval
#[test]
fn a_new_master_advertises_by_its_own_interval_and_not_by_the_learned_one() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(200, 500), HIGH, OWN);
    let taken = router.deadline().unwrap().0;
    let _ = router.handle_tick(taken);
    assert_eq!(next_advert(&mut router), taken + SECOND);
}

// RFC 9568 6.4.2 MUST: when Active_Down_Timer fires, advertise and become Active
#[test]
fn silence_makes_a_backup_master_and_says_how_long_it_lasted() {
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

// RFC 9568 6.4.2 MUST: Shutdown: cancel Active_Down_Timer, Initialize
#[test]
fn whoever_is_obeyed_is_not_forgotten_because_of_a_third_one() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(150, 100), HIGH, OWN);
    let _ = router.handle_advert(now, now, &advert(50, 100), LOW, OWN);
    assert_eq!(router.heard(), Some((HIGH, 150)));
    let due = router.deadline().unwrap().0;
    let cause = Cause::Silence {
        master: Some(HIGH),
        lasted: due.since(now),
    };
    let reaction = router.handle_tick(due);
    assert_eq!(reaction.change, Some((State::Backup, cause)));

    // The master itself may have come down.
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(150, 100), HIGH, OWN);
    let _ = router.handle_advert(now, now, &advert(50, 100), HIGH, OWN);
    assert_eq!(router.heard(), Some((HIGH, 50)));
}

#[test]
fn a_backup_leaves_in_silence() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let reaction = router.stop(Cause::Stopped);
    assert_eq!(reaction.change, Some((State::Backup, Cause::Stopped)));
    assert_eq!(reaction.send, None);
    assert_eq!(router.deadline(), None);
    assert_eq!(router.handle_tick(now + SECOND * 100), Reaction::default());
}

#[test]
fn a_backup_counts_from_the_arrival_and_not_from_when_it_looked() {
    for (priority, wait) in [(200, 3_609_375_000), (0, 609_375_000)] {
        let (mut router, now) = in_state(v3(100), State::Backup);
        let heard_at = now + SECOND;
        let looked_at = heard_at + nanos(5_000_000);
        let _ = router.handle_advert(looked_at, heard_at, &advert(priority, 100), HIGH, OWN);
        assert_eq!(router.deadline().unwrap().0, heard_at + nanos(wait));
    }
}

#[test]
fn a_master_that_yields_counts_from_the_arrival_too() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let looked_at = now + nanos(5_000_000);
    let _ = router.handle_advert(looked_at, now, &advert(200, 100), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
}
