//! Skew, intervals and deadlines, to the nanosecond.

use super::rig::*;
use crate::router::*;

// RFC 9568 6.1 MUST: Skew_Time is (256 - priority) / 256 of Active_Adver_Interval
// RFC 9568 6.1 MUST: Active_Down_Interval is 3 Active_Adver_Interval and Skew_Time
#[test]
fn version_3_skew_time_is_a_fraction_of_interval() {
    for (priority, centiseconds, skewed, down) in [
        (1, 100, 996_093_750, 3_996_093_750),
        (99, 100, 613_281_250, 3_613_281_250),
        (100, 100, 609_375_000, 3_609_375_000),
        (254, 100, 7_812_500, 3_007_812_500),
        (255, 100, 3_906_250, 3_003_906_250),
        // 6,132,812.5 ns, rounded down.
        (99, 1, 6_132_812, 36_132_812),
        (100, 10, 60_937_500, 360_937_500),
        (1, 4095, 40_790_039_062, 163_640_039_062),
    ] {
        let interval = AdvertInterval::from_centiseconds(centiseconds).unwrap();
        let settings = Settings {
            interval,
            ..v3(priority)
        };
        assert_waits(&settings, skewed, down);
    }
}

// RFC 3768 6.1 MUST: Skew_Time is (256 - priority) / 256 of a second
// RFC 3768 6.1 MUST: Master_Down_Interval is 3 Advertisement_Interval and Skew_Time
#[test]
fn version_2_skew_time_is_a_fraction_of_second() {
    for (priority, seconds, skewed, down) in [
        (99, 1, 613_281_250, 3_613_281_250),
        (100, 1, 609_375_000, 3_609_375_000),
        (100, 5, 609_375_000, 15_609_375_000),
        (1, 255, 996_093_750, 765_996_093_750),
    ] {
        let interval = AdvertInterval::from_seconds(seconds).unwrap();
        let settings = Settings {
            interval,
            ..v2(priority)
        };
        assert_waits(&settings, skewed, down);
    }
}

// RFC 9568 6.4.3 MUST: when Adver_Timer fires, advertise and set it again
#[test]
fn late_ticks_do_not_shift_the_advertisements() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let first = next_advert(&mut router);
    for n in 0..10_000_u32 {
        let due = first + SECOND * n;
        assert_eq!(router.deadline(), Some((due, Due::Advertisement)));
        // Late by up to 99 ms, varying from tick to tick.
        let late = Duration::from_micros(u64::from(n) * 7919 % 99_000);
        assert_eq!(router.handle_tick(due + late).send, Some(Send::Advert));
    }
    assert_eq!(router.deadline().unwrap().0, first + SECOND * 10_000);
}

#[test]
fn tick_late_by_an_interval_keeps_phase_without_burst() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let due = next_advert(&mut router);
    let now = due + Duration::from_millis(1900);
    assert_eq!(router.handle_tick(now).send, Some(Send::Advert));
    assert_eq!(
        router.handle_tick(now),
        Reaction::default(),
        "one advertisement for two that were due"
    );
    assert_eq!(router.deadline().unwrap().0, due + SECOND * 2);
}

#[test]
fn adver_timer_counts_from_the_take_over_deadline() {
    let mut router = Router::new(v3(100));
    let _ = router.start(T0, None, false);
    let due = router.deadline().unwrap().0;
    let reaction = router.handle_tick(due + Duration::from_millis(700));
    assert_eq!(reaction.send, Some(Send::Advert));
    assert_eq!(next_advert(&mut router), due + SECOND);
}

#[test]
fn early_tick_does_nothing() {
    for state in [State::Backup, State::Master] {
        let (mut router, _) = in_state(v3(100), state);
        let deadline = router.deadline();
        let just_before = deadline.unwrap().0 - nanos(1);
        assert_eq!(
            router.handle_tick(just_before),
            Reaction::default(),
            "{state}"
        );
        assert_eq!(router.deadline(), deadline);
    }
}

#[test]
fn second_announcement_follows_one_second_after_the_take_over() {
    let interval = AdvertInterval::from_centiseconds(300).unwrap();
    let mut router = Router::new(Settings {
        interval,
        ..v3(100)
    });
    let _ = router.start(T0, None, false);
    let taken = router.deadline().unwrap().0;
    let _ = router.handle_tick(taken);
    assert_eq!(router.deadline(), Some((taken + SECOND, Due::Announcement)));
    let reaction = router.handle_tick(taken + SECOND);
    assert_eq!(
        reaction,
        Reaction {
            announce: true,
            ..Reaction::default()
        }
    );
    assert_eq!(
        router.deadline(),
        Some((taken + SECOND * 3, Due::Advertisement))
    );
}

/// Asserts skew and down interval of a router for its own interval, in nanoseconds.
fn assert_waits(settings: &Settings, skewed: u64, down: u64) {
    let Settings {
        priority, interval, ..
    } = *settings;
    assert_eq!(
        skew(settings, interval),
        nanos(skewed),
        "skew of priority {priority}"
    );
    assert_eq!(
        down_interval(settings, interval),
        nanos(down),
        "down interval of priority {priority}"
    );
}
