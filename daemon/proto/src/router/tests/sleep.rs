//! Routers that stood still.

use super::rig::*;
use crate::router::*;

#[test]
fn a_master_that_stood_still_does_not_send_whatever_wakes_it() {
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
            "as any backup would"
        );
    }
}

#[test]
fn a_master_may_be_as_late_as_the_most_eager_backup_waits() {
    // Priority 254 waits for three intervals and 2/256 of one.
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
fn the_owner_goes_on_after_standing_still() {
    let (mut router, now) = in_state(v3(255), State::Master);
    let due = next_advert(&mut router);
    let late = now + SECOND * 3600;
    assert_eq!(router.handle_tick(late).send, Some(Send::Advert));
    let next = router.deadline().unwrap().0;
    assert!(next > late && next <= late + SECOND);
    assert_eq!(next.since(due).subsec_nanos(), 0, "in the old phase");
}

#[test]
fn a_backup_that_slept_through_its_deadline_listens_anew() {
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
fn a_backup_that_listens_anew_waits_by_the_interval_of_the_master_it_knew() {
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
fn an_advertisement_that_was_read_late_still_proves_that_the_master_lives() {
    let (mut router, _) = in_state(v3(100), State::Backup);
    let now = router.deadline().unwrap().0 + SECOND * 60;
    let _ = router.handle_advert(now, now, &advert(200, 100), HIGH, OWN);
    assert_eq!(router.handle_tick(now), Reaction::default());
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
}

#[test]
fn a_master_that_stood_still_is_not_deceived_by_an_advertisement_from_before() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let sent = next_advert(&mut router);
    let _ = router.handle_tick(sent);
    // It arrived while nobody else could have taken over yet, and is read much later.
    let reaction =
        router.handle_advert(sent + SECOND * 8, sent + SECOND, &advert(1, 100), HIGH, OWN);
    assert_eq!(reaction.send, None);
    assert_eq!(router.state(), State::Backup);
}
