//! Routers that wake up late, after the process or host was suspended.

use super::rig::*;
use crate::router::*;

#[test]
fn late_master_steps_down_without_sending() {
    type Wake = fn(&mut Router, Instant) -> Reaction;
    let tick: Wake = |router, now| router.handle_tick(now);
    let lower: Wake = |router, now| router.handle_advert(now, now, &advert(1, 100), HIGH, OWN);
    let higher: Wake = |router, now| router.handle_advert(now, now, &advert(200, 100), HIGH, OWN);
    let leaving: Wake = |router, now| router.handle_advert(now, now, &advert(0, 100), HIGH, OWN);
    for (wake, wait) in [
        (tick, 3_609_375_000),
        (lower, 3_609_375_000),
        (higher, 3_609_375_000),
        (leaving, 609_375_000),
    ] {
        let (mut router, _) = in_state(v3(100), State::Master);
        let sent = next_advert(&mut router);
        let _ = router.handle_tick(sent);
        let now = sent + SECOND * 8;
        let cause = Cause::Overslept { lasted: SECOND * 8 };
        assert_eq!(wake(&mut router, now), changed(State::Master, cause));
        assert_eq!(router.state(), State::Backup);
        assert_eq!(
            router.deadline().unwrap().0,
            now + nanos(wait),
            "as on any backup"
        );
    }
}

#[test]
fn master_may_be_late_until_the_fastest_backup_acts() {
    // A backup of priority 254 waits for three intervals and 2/256 of an interval.
    let limit = nanos(3_007_812_500);
    for (late, state) in [(limit, State::Master), (limit + nanos(1), State::Backup)] {
        let (mut router, _) = in_state(v3(100), State::Master);
        let sent = next_advert(&mut router);
        let _ = router.handle_tick(sent);
        let _ = router.handle_tick(sent + late);
        assert_eq!(router.state(), state);
    }
}

#[test]
fn late_owner_stays_master() {
    let (mut router, now) = in_state(v3(255), State::Master);
    let due = next_advert(&mut router);
    let late = now + SECOND * 3600;
    assert_eq!(router.handle_tick(late).send, Some(Send::Advert));
    let next = router.deadline().unwrap().0;
    assert!(next > late && next <= late + SECOND);
    assert_eq!(next.since(due).subsec_nanos(), 0, "in the same phase");
}

#[test]
fn late_backup_restarts_active_down_timer() {
    let interval = SECOND;
    for (late, state) in [
        (interval, State::Master),
        (interval + nanos(1), State::Backup),
    ] {
        let (mut router, _) = in_state(v3(100), State::Backup);
        let now = router.deadline().unwrap().0 + late;
        let reaction = router.handle_tick(now);
        assert_eq!(router.state(), state);
        if state == State::Backup {
            assert_eq!(
                reaction,
                Reaction {
                    late: true,
                    ..Reaction::default()
                }
            );
            assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
        }
    }
}

#[test]
fn late_backup_uses_the_interval_of_its_known_master() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(200, 1000), HIGH, OWN);
    let late = router.deadline().unwrap().0 + SECOND * 60;
    assert!(router.handle_tick(late).late);
    let due = late + nanos(36_093_750_000);
    assert_eq!(router.deadline().unwrap().0, due);
    let (_, cause) = router.handle_tick(due).change.unwrap();
    let lasted = due.since(now);
    assert_eq!(
        cause,
        Cause::Silence {
            master: Some(HIGH),
            lasted
        }
    );
}

#[test]
fn late_read_advertisement_prevents_a_take_over() {
    let (mut router, _) = in_state(v3(100), State::Backup);
    let now = router.deadline().unwrap().0 + SECOND * 60;
    let _ = router.handle_advert(now, now, &advert(200, 100), HIGH, OWN);
    assert_eq!(router.handle_tick(now), Reaction::default());
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
}

#[test]
fn late_master_steps_down_despite_an_earlier_advertisement() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let sent = next_advert(&mut router);
    let _ = router.handle_tick(sent);
    // It arrived before any backup could have taken over, and is read much later.
    let reaction =
        router.handle_advert(sent + SECOND * 8, sent + SECOND, &advert(1, 100), HIGH, OWN);
    assert_eq!(reaction.send, None);
    assert_eq!(router.state(), State::Backup);
}

/// The queue of a suspended host keeps the first advertisements and drops the later ones.
#[test]
fn arrival_before_a_late_wake_up_does_not_shorten_the_wait() {
    let wait = nanos(3_609_375_000);
    let (mut router, _) = in_state(v3(100), State::Master);
    let sent = next_advert(&mut router);
    let _ = router.handle_tick(sent);
    let now = sent + SECOND * 8;
    let _ = router.handle_tick(now);
    let _ = router.handle_advert(now, sent + SECOND, &advert(200, 100), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + wait);

    let (mut router, started) = in_state(v3(100), State::Backup);
    let now = router.deadline().unwrap().0 + SECOND * 8;
    assert!(router.handle_tick(now).late);
    let _ = router.handle_advert(now, started + SECOND, &advert(200, 100), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + wait);
}
