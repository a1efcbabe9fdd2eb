//! New settings for a running router.

use super::rig::*;
use crate::router::*;

#[test]
fn new_priority_does_not_change_a_timer() {
    for state in [State::Backup, State::Master] {
        let (mut router, now) = in_state(v3(100), state);
        let deadline = router.deadline();
        router.set_settings(now, v3(150));
        assert_eq!(router.deadline(), deadline, "{state}");
        assert_eq!(router.state(), state);
    }
}

#[test]
fn new_backup_priority_applies_from_the_next_packet() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    router.set_settings(now, v3(254));
    let _ = router.handle_advert(now, now, &advert(254, 100), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_007_812_500));
    let later = now + SECOND;
    let _ = router.handle_advert(later, later, &advert(253, 100), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, later + nanos(7_812_500));
}

#[test]
fn shorter_interval_applies_at_once() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let due = next_advert(&mut router);
    let in_5_s = AdvertInterval::from_centiseconds(500).unwrap();
    router.set_settings(
        now,
        Settings {
            interval: in_5_s,
            ..v3(100)
        },
    );
    assert_eq!(router.deadline().unwrap().0, due);
    let _ = router.handle_tick(due);
    assert_eq!(router.deadline().unwrap().0, due + SECOND * 5);
    let in_10_ms = AdvertInterval::from_centiseconds(1).unwrap();
    router.set_settings(
        due + SECOND,
        Settings {
            interval: in_10_ms,
            ..v3(100)
        },
    );
    assert_eq!(
        router.deadline().unwrap().0,
        due + SECOND + Duration::from_millis(10)
    );
}

#[test]
fn changed_interval_does_not_look_like_late_wake_up() {
    let in_10_ms = AdvertInterval::from_centiseconds(1).unwrap();
    let in_10_s = AdvertInterval::from_centiseconds(1000).unwrap();
    for (before, after) in [(in_10_s, in_10_ms), (in_10_ms, in_10_s)] {
        let (mut router, _) = in_state(
            Settings {
                interval: before,
                ..v3(100)
            },
            State::Master,
        );
        let mut sent = next_advert(&mut router);
        let _ = router.handle_tick(sent);
        // Late by nearly the old interval, then on time for three new intervals.
        let now = sent + before.duration() - nanos(1);
        router.set_settings(
            now,
            Settings {
                interval: after,
                ..v3(100)
            },
        );
        for _ in 0..3 {
            let due = next_advert(&mut router);
            assert!(due > sent && due <= now.max(sent) + after.duration());
            assert_eq!(router.handle_tick(due).send, Some(Send::Advert));
            sent = due;
        }
        assert_eq!(router.state(), State::Master);
    }
}

#[test]
fn late_wake_up_is_measured_by_last_advertised_interval() {
    let in_10_s = AdvertInterval::from_centiseconds(1000).unwrap();
    let in_10_ms = AdvertInterval::from_centiseconds(1).unwrap();
    let (mut router, _) = in_state(
        Settings {
            interval: in_10_s,
            ..v3(100)
        },
        State::Master,
    );
    let sent = next_advert(&mut router);
    let _ = router.handle_tick(sent);
    router.set_settings(
        sent,
        Settings {
            interval: in_10_ms,
            ..v3(100)
        },
    );
    assert_eq!(
        router.handle_tick(sent + SECOND * 29).send,
        Some(Send::Advert)
    );
    assert_eq!(router.state(), State::Master, "the backups wait for 30 s");
    let _ = router.handle_tick(sent + SECOND * 30);
    assert_eq!(
        router.state(),
        State::Backup,
        "from then on they wait for 30 ms"
    );
}
