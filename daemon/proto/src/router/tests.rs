use core::fmt::Write;
use core::net::Ipv4Addr;

use super::*;
use crate::time::Human;
use crate::types::Vrid;
use crate::wire::{AddressList, Auth};

// --- The whole machine -------------------------------------------------------------------------

/// Every state with every event: what becomes of it, what is sent, which timer runs then. Of the
/// other flavours only what differs from the first is shown.
#[test]
fn the_transition_table_is_the_one_that_was_agreed_on() {
    let no_preemption = Settings {
        preempt: false,
        ..v3(100)
    };
    let mut table = String::new();
    for (title, settings) in [
        ("version 3, priority 100", v3(100)),
        ("version 3, priority 100, no preemption", no_preemption),
        ("version 3, owner", v3(255)),
        ("version 2, priority 100", v2(100)),
    ] {
        writeln!(table, "{title}").unwrap();
        for state in [State::Init, State::Backup, State::Master, State::Fault] {
            for event in Event::ALL {
                let line = outcome(settings, state, event);
                if settings == v3(100) || line != outcome(v3(100), state, event) {
                    writeln!(table, "  {state:6} + {:32} -> {line}", event.words()).unwrap();
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}

// --- Start -------------------------------------------------------------------------------------

// RFC 9568 section 6.4.1: on Startup with priority 255 send an ADVERTISEMENT, announce, set
// Adver_Timer, become Active.
#[test]
fn the_owner_is_master_at_once() {
    let mut router = Router::new(v3(255));
    let reaction = router.start(T0, None, false);
    assert_eq!(reaction.change, Some((State::Init, Cause::Owner)));
    assert_eq!(reaction.send, Some(Send::Advert));
    assert_eq!(router.state(), State::Master);
    assert_eq!(router.deadline().unwrap().0, T0 + SECOND);
}

// RFC 9568 section 6.4.1: otherwise Active_Adver_Interval is the own one, set
// Active_Down_Timer to Active_Down_Interval, become Backup.
#[test]
fn who_is_not_the_owner_listens_first() {
    let mut router = Router::new(v3(100));
    let reaction = router.start(T0, None, false);
    assert_eq!(reaction.change, Some((State::Init, Cause::Started)));
    assert_eq!(reaction.send, None);
    assert_eq!(
        router.deadline(),
        Some((T0 + nanos(3_609_375_000), "master down"))
    );
}

#[test]
fn who_expects_to_be_master_listens_for_one_interval_and_the_skew() {
    let mut router = Router::new(v3(100));
    let _ = router.start(T0, None, true);
    assert_eq!(router.deadline().unwrap().0, T0 + nanos(1_609_375_000));
    let _ = router.handle_advert(T0 + SECOND, &advert(200, 100), HIGH, OWN);
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
        router.start(now, Some(obstacle()), false),
        Reaction::default()
    );
    assert_eq!(router.deadline(), before);
}

// --- Times -------------------------------------------------------------------------------------

// RFC 9568 section 6.1: Skew_Time is (256 - Priority) * Active_Adver_Interval / 256, and
// Active_Down_Interval is 3 * Active_Adver_Interval + Skew_Time.
#[test]
fn version_3_counts_the_skew_in_intervals() {
    for (priority, centiseconds, skewed, down) in [
        (1, 100, 996_093_750, 3_996_093_750),
        (99, 100, 613_281_250, 3_613_281_250),
        (100, 100, 609_375_000, 3_609_375_000),
        (254, 100, 7_812_500, 3_007_812_500),
        (255, 100, 3_906_250, 3_003_906_250),
        // 6,132,812.5 ns: half a nanosecond is lost.
        (99, 1, 6_132_812, 36_132_812),
        (100, 10, 60_937_500, 360_937_500),
        (1, 4095, 40_790_039_062, 163_640_039_062),
    ] {
        let interval = AdvertInterval::from_centiseconds(centiseconds).unwrap();
        let settings = Settings {
            interval,
            ..v3(priority)
        };
        assert_eq!(
            skew(&settings, interval),
            nanos(skewed),
            "skew of {priority}"
        );
        assert_eq!(
            down_interval(&settings, interval),
            nanos(down),
            "down of {priority}"
        );
    }
}

// RFC 3768 section 6.1: Skew_Time is (256 - Priority) / 256 seconds, whatever the interval, and
// Master_Down_Interval is 3 * Advertisement_Interval + Skew_Time.
#[test]
fn version_2_counts_the_skew_in_seconds() {
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
        assert_eq!(
            skew(&settings, interval),
            nanos(skewed),
            "skew of {priority}"
        );
        assert_eq!(
            down_interval(&settings, interval),
            nanos(down),
            "down of {priority}"
        );
    }
}

#[test]
fn ten_thousand_late_ticks_do_not_shift_the_advertisements() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let first = next_advert(&mut router);
    for n in 0..10_000_u32 {
        let due = first + SECOND * n;
        assert_eq!(router.deadline(), Some((due, "advertisement")));
        // Up to 99 ms late, never the same.
        let late = Duration::from_micros(u64::from(n) * 7919 % 99_000);
        assert_eq!(router.handle_tick(due + late).send, Some(Send::Advert));
    }
    assert_eq!(router.deadline().unwrap().0, first + SECOND * 10_000);
}

#[test]
fn lateness_of_more_than_an_interval_keeps_the_phase_and_makes_no_burst() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let due = next_advert(&mut router);
    let now = due + Duration::from_millis(1900);
    assert_eq!(router.handle_tick(now).send, Some(Send::Advert));
    assert_eq!(
        router.handle_tick(now),
        Reaction::default(),
        "one for two that were due"
    );
    assert_eq!(router.deadline().unwrap().0, due + SECOND * 2);
}

#[test]
fn advertisements_are_counted_from_the_deadline_that_made_it_master() {
    let mut router = Router::new(v3(100));
    let _ = router.start(T0, None, false);
    let due = router.deadline().unwrap().0;
    let reaction = router.handle_tick(due + Duration::from_millis(700));
    assert_eq!(reaction.send, Some(Send::Advert));
    assert_eq!(next_advert(&mut router), due + SECOND);
}

#[test]
fn an_early_tick_does_nothing() {
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
fn addresses_are_announced_a_second_time_a_second_after_the_take_over() {
    let interval = AdvertInterval::from_centiseconds(300).unwrap();
    let mut router = Router::new(Settings {
        interval,
        ..v3(100)
    });
    let _ = router.start(T0, None, false);
    let taken = router.deadline().unwrap().0;
    let _ = router.handle_tick(taken);
    assert_eq!(
        router.deadline(),
        Some((taken + SECOND, "second announcement"))
    );
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
        Some((taken + SECOND * 3, "advertisement"))
    );
}

// --- Backup ------------------------------------------------------------------------------------

// RFC 9568 section 6.4.2: priority 0 sets Active_Down_Timer to Skew_Time.
#[test]
fn a_resignation_shortens_the_wait_to_the_skew() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let reaction = router.handle_advert(now, &advert(0, 100), HIGH, OWN);
    assert_eq!(reaction, Reaction::default());
    let due = now + nanos(609_375_000);
    assert_eq!(router.deadline().unwrap().0, due);
    let (_, cause) = router.handle_tick(due).change.unwrap();
    assert_eq!(cause, Cause::Resigned { master: HIGH });
}

// RFC 9568 section 6.4.2: greater or equal priority resets Active_Down_Timer.
#[test]
fn an_advertisement_of_no_lower_priority_restarts_the_wait_in_full() {
    for priority in [100, 101, 255] {
        for source in [LOW, HIGH] {
            let (mut router, now) = in_state(v3(100), State::Backup);
            let _ = router.handle_advert(now, &advert(priority, 100), source, OWN);
            assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
            assert_eq!(router.heard(), Some((source, priority)));
        }
    }
}

// RFC 9568 section 6.4.2: with Preempt_Mode True a lower priority is discarded.
#[test]
fn an_advertisement_of_lower_priority_touches_no_timer_of_a_backup() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let due = router.deadline();
    for priority in [1, 99] {
        assert_eq!(
            router.handle_advert(now, &advert(priority, 40), HIGH, OWN),
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
            ours: 100
        }
    );
}

// RFC 9568 section 6.4.2: with Preempt_Mode False any priority resets Active_Down_Timer.
#[test]
fn without_preemption_a_backup_obeys_a_lower_priority() {
    let (mut router, now) = in_state(
        Settings {
            preempt: false,
            ..v3(100)
        },
        State::Backup,
    );
    let _ = router.handle_advert(now, &advert(1, 100), LOW, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
}

// RFC 9568 section 6.1: the owner preempts independently of Preempt_Mode.
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
    let _ = router.handle_advert(now, &advert(254, 100), HIGH, OWN);
    assert_eq!(router.deadline(), due);
}

// RFC 9568 section 6.4.2: Active_Adver_Interval becomes the one of the ADVERTISEMENT, and
// Skew_Time and Active_Down_Interval are computed anew.
#[test]
fn a_backup_waits_by_the_interval_that_its_master_advertises() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, &advert(200, 500), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000 * 5));
    let _ = router.handle_advert(now, &advert(200, 1), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, now + nanos(36_093_750));
    let _ = router.handle_advert(now, &advert(0, 500), HIGH, OWN);
    assert_eq!(
        router.deadline().unwrap().0,
        now + nanos(6_093_750),
        "a resignation teaches no interval"
    );
}

#[test]
fn a_new_master_advertises_by_its_own_interval_and_not_by_the_learned_one() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let _ = router.handle_advert(now, &advert(200, 500), HIGH, OWN);
    let taken = router.deadline().unwrap().0;
    let _ = router.handle_tick(taken);
    assert_eq!(next_advert(&mut router), taken + SECOND);
}

// RFC 9568 section 6.4.2: when Active_Down_Timer fires send an ADVERTISEMENT, announce, set
// Adver_Timer, become Active.
#[test]
fn silence_makes_a_backup_master_and_says_how_long_it_lasted() {
    let mut router = Router::new(v3(100));
    let _ = router.start(T0, None, false);
    let heard = T0 + SECOND;
    let _ = router.handle_advert(heard, &advert(200, 100), HIGH, OWN);
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

// RFC 9568 section 6.4.2: on Shutdown cancel Active_Down_Timer, become Initialize.
#[test]
fn a_backup_leaves_in_silence() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    let reaction = router.stop(Cause::Stopped);
    assert_eq!(reaction.change, Some((State::Backup, Cause::Stopped)));
    assert_eq!(reaction.send, None);
    assert_eq!(router.deadline(), None);
    assert_eq!(router.handle_tick(now + SECOND * 100), Reaction::default());
}

// --- Master ------------------------------------------------------------------------------------

// RFC 9568 section 6.4.3: on Shutdown cancel Adver_Timer, send an ADVERTISEMENT with priority 0,
// become Initialize.
#[test]
fn a_master_that_stops_resigns() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let reaction = router.stop(Cause::Stopped);
    assert_eq!(reaction.send, Some(Send::Resignation));
    assert_eq!(reaction.change, Some((State::Master, Cause::Stopped)));
    assert_eq!(router.deadline(), None);
}

// RFC 9568 section 6.4.3: priority 0 makes it send an ADVERTISEMENT and reset Adver_Timer.
#[test]
fn a_master_answers_a_resignation_and_counts_from_there() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let reaction = router.handle_advert(now, &advert(0, 100), HIGH, OWN);
    assert_eq!(
        reaction,
        Reaction {
            send: Some(Send::Advert),
            ..Reaction::default()
        }
    );
    assert_eq!(next_advert(&mut router), now + SECOND);
}

#[test]
fn a_flood_of_resignations_is_answered_every_ten_milliseconds_and_at_its_end() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let mut sent = 0;
    for n in 0..100_000_u32 {
        let at = now + Duration::from_micros(1) * n;
        while let Some((due, _)) = router.deadline()
            && due <= at
        {
            sent += u32::from(router.handle_tick(at).send.is_some());
        }
        sent += u32::from(
            router
                .handle_advert(at, &advert(0, 100), HIGH, OWN)
                .send
                .is_some(),
        );
    }
    assert_eq!(sent, 10, "in 100 ms");
    let end = now + Duration::from_millis(100);
    assert!(
        router.deadline().unwrap().0 <= end + REPLY_SPACING,
        "the last one is answered too, before anybody else's skew is over"
    );
}

// RFC 9568 section 6.4.3: a greater priority makes it a Backup that waits for
// Active_Down_Interval of the interval in the ADVERTISEMENT.
#[test]
fn a_master_yields_to_a_greater_priority() {
    for source in [LOW, HIGH] {
        let (mut router, now) = in_state(v3(100), State::Master);
        let reaction = router.handle_advert(now, &advert(101, 200), source, OWN);
        let cause = Cause::HigherPriority {
            master: source,
            theirs: 101,
            ours: 100,
        };
        assert_eq!(reaction, changed(State::Master, cause));
        assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000 * 2));
        assert_eq!(router.heard(), Some((source, 101)));
    }
}

// RFC 9568 section 6.4.3: ... or an equal priority and a greater primary address.
#[test]
fn among_equals_the_greater_address_is_master() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let reaction = router.handle_advert(now, &advert(100, 100), LOW, OWN);
    assert_eq!(reaction.change, None);
    assert!(reaction.second_master);
    let reaction = router.handle_advert(now, &advert(100, 100), OWN, OWN);
    assert_eq!(reaction.change, None, "greater, not equal");
    let reaction = router.handle_advert(now, &advert(100, 100), HIGH, OWN);
    let cause = Cause::HigherAddress {
        master: HIGH,
        priority: 100,
    };
    assert_eq!(reaction, changed(State::Master, cause));
}

// RFC 9568 section 6.4.3: the comparison is of unsigned integers in network byte order.
#[test]
fn addresses_are_compared_unsigned_and_from_the_left() {
    let beats = |theirs: [u8; 4], ours: [u8; 4]| {
        let (mut router, now) = in_state(v3(100), State::Master);
        let reaction = router.handle_advert(now, &advert(100, 100), theirs.into(), ours.into());
        reaction.change.is_some()
    };
    assert!(
        beats([192, 0, 2, 1], [10, 0, 0, 9]),
        "128 and above are not negative"
    );
    assert!(
        beats([10, 0, 1, 1], [10, 0, 0, 9]),
        "the left bytes count more"
    );
    assert!(!beats([10, 0, 0, 9], [10, 0, 1, 1]));
}

// RFC 9568 section 6.4.3: anything else is discarded and answered by an ADVERTISEMENT at once.
#[test]
fn version_3_answers_a_lower_priority_without_touching_the_timer() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let due = router.deadline();
    let reaction = router.handle_advert(now, &advert(99, 100), HIGH, OWN);
    assert_eq!(reaction.send, Some(Send::Advert));
    assert_eq!(reaction.change, None);
    assert!(reaction.second_master);
    assert_eq!(router.deadline(), due);
}

// RFC 3768 section 6.4.3: anything else is discarded.
#[test]
fn version_2_does_not_answer_a_lower_priority() {
    let (mut router, now) = in_state(v2(100), State::Master);
    let due = router.deadline();
    let reaction = router.handle_advert(now, &advert(99, 100), HIGH, OWN);
    assert_eq!(reaction.send, None);
    assert_eq!(reaction.change, None);
    assert!(reaction.second_master);
    assert_eq!(router.deadline(), due);
}

#[test]
fn answers_are_ten_milliseconds_apart_and_announcements_a_second() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let start = next_advert(&mut router);
    let (mut sent, mut announced) = (0, 0);
    for n in 0..900_000_u32 {
        let at = start - Duration::from_millis(950) + Duration::from_micros(1) * n;
        let reaction = router.handle_advert(at, &advert(1, 100), HIGH, OWN);
        sent += u32::from(reaction.send.is_some());
        announced += u32::from(reaction.announce);
    }
    assert_eq!(sent, 90, "in 900 ms");
    assert_eq!(announced, 1, "the take-over was more than a second ago");
}

#[test]
fn the_owner_yields_to_nobody_but_another_owner_of_greater_address() {
    for (priority, source, state) in [
        (254, HIGH, State::Master),
        (255, LOW, State::Master),
        (255, HIGH, State::Backup),
    ] {
        let (mut router, now) = in_state(v3(255), State::Master);
        let _ = router.handle_advert(now, &advert(priority, 100), source, OWN);
        assert_eq!(router.state(), state, "{priority} from {source}");
    }
}

// --- Standing still ----------------------------------------------------------------------------

#[test]
fn a_master_that_stood_still_does_not_send_whatever_wakes_it() {
    type Wake = fn(&mut Router, Instant) -> Reaction;
    let tick: Wake = |router, now| router.handle_tick(now);
    let lower: Wake = |router, now| router.handle_advert(now, &advert(1, 100), HIGH, OWN);
    let higher: Wake = |router, now| router.handle_advert(now, &advert(200, 100), HIGH, OWN);
    let leaving: Wake = |router, now| router.handle_advert(now, &advert(0, 100), HIGH, OWN);
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
    let _ = router.handle_advert(now, &advert(200, 1000), HIGH, OWN);
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
    let _ = router.handle_advert(now, &advert(200, 100), HIGH, OWN);
    assert_eq!(router.handle_tick(now), Reaction::default());
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
}

// --- Obstacles ---------------------------------------------------------------------------------

#[test]
fn an_obstacle_makes_a_master_resign_and_a_backup_fall_silent() {
    for (state, send) in [
        (State::Master, Some(Send::Resignation)),
        (State::Backup, None),
    ] {
        let (mut router, now) = in_state(v3(100), state);
        let reaction = router.set_obstacle(now, Some(obstacle()));
        assert_eq!(reaction.send, send);
        assert_eq!(reaction.change, Some((state, Cause::Unable(obstacle()))));
        assert_eq!(router.deadline(), None);
    }
}

#[test]
fn who_recovers_listens_first_and_names_the_last_obstacle() {
    let (mut router, now) = in_state(v3(100), State::Fault);
    let last = Obstacle::TrackerDown("httpd".into());
    assert_eq!(
        router.set_obstacle(now, Some(last.clone())),
        Reaction::default()
    );
    let reaction = router.set_obstacle(now, None);
    assert_eq!(reaction, changed(State::Fault, Cause::Recovered(last)));
    assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000));
}

#[test]
fn in_fault_and_in_init_nothing_is_heard_and_nothing_is_due() {
    for state in [State::Fault, State::Init] {
        let (mut router, now) = in_state(v3(100), state);
        for priority in [0, 1, 100, 200] {
            let reaction = router.handle_advert(now, &advert(priority, 100), HIGH, OWN);
            assert_eq!(reaction, Reaction::default());
        }
        assert_eq!(router.handle_tick(now + SECOND * 3600), Reaction::default());
        assert_eq!((router.state(), router.heard()), (state, None));
    }
}

// --- New settings ------------------------------------------------------------------------------

#[test]
fn a_new_priority_touches_no_timer() {
    for state in [State::Backup, State::Master] {
        let (mut router, now) = in_state(v3(100), state);
        let deadline = router.deadline();
        router.set_settings(now, v3(150));
        assert_eq!(router.deadline(), deadline, "{state}");
        assert_eq!(router.state(), state);
    }
}

#[test]
fn a_backup_with_a_new_priority_judges_and_waits_by_it_from_the_next_packet_on() {
    let (mut router, now) = in_state(v3(100), State::Backup);
    router.set_settings(now, v3(254));
    let _ = router.handle_advert(now, &advert(254, 100), HIGH, OWN);
    let due = now + nanos(3_007_812_500);
    assert_eq!(router.deadline().unwrap().0, due);
    let _ = router.handle_advert(now + SECOND, &advert(253, 100), HIGH, OWN);
    assert_eq!(router.deadline().unwrap().0, due);
}

#[test]
fn a_shorter_interval_counts_at_once_and_a_longer_one_from_the_next_advertisement() {
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
fn a_changed_interval_does_not_look_like_standing_still() {
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
        // Late by nearly the old interval, then three new ones as they are due.
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
fn who_told_a_long_interval_may_be_late_by_it_although_the_new_one_is_short() {
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
    assert_eq!(router.state(), State::Master, "the others wait for 30 s");
    let _ = router.handle_tick(sent + SECOND * 30);
    assert_eq!(
        router.state(),
        State::Backup,
        "since then they wait for 30 ms"
    );
}

// --- Helpers -----------------------------------------------------------------------------------

const T0: Instant = Instant::from_nanos(1_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

const LOW: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 224, 11));
const OWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 224, 12));
const HIGH: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 224, 13));

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

fn v3(priority: u8) -> Settings {
    Settings {
        version: Version::V3,
        priority: Priority::new(priority).unwrap(),
        interval: AdvertInterval::DEFAULT,
        preempt: true,
    }
}

fn v2(priority: u8) -> Settings {
    Settings {
        version: Version::V2,
        ..v3(priority)
    }
}

fn obstacle() -> Obstacle {
    Obstacle::NoCarrier("eth1".into())
}

fn changed(from: State, cause: Cause) -> Reaction {
    Reaction {
        change: Some((from, cause)),
        ..Reaction::default()
    }
}

/// An advertisement, of which the router looks at priority and interval alone.
fn advert(priority: u8, centiseconds: u16) -> Advert<'static> {
    Advert {
        version: Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: AdvertInterval::from_centiseconds(centiseconds).unwrap(),
        addresses: AddressList::new(&[[192, 168, 224, 100]]),
        auth: Auth::None,
    }
}

/// When the next advertisement is due, with the second announcement out of the way.
fn next_advert(router: &mut Router) -> Instant {
    loop {
        match router.deadline() {
            Some((at, "second announcement")) => assert!(router.handle_tick(at).announce),
            Some((at, "advertisement")) => return at,
            other => panic!("no master: {other:?}"),
        }
    }
}

/// A router in `state`, in the middle between two events of its life there. A backup obeys
/// [`HIGH`]; a master took over more than a second ago.
fn in_state(settings: Settings, state: State) -> (Router, Instant) {
    let mut router = Router::new(settings);
    let half = settings.interval.duration() / 2;
    let now = match state {
        State::Init => T0,
        State::Fault => {
            let _ = router.start(T0, Some(obstacle()), false);
            T0 + SECOND
        }
        State::Backup => {
            let _ = router.start(T0, None, false);
            let _ = router.handle_advert(T0, &advert(255, 100), HIGH, OWN);
            T0 + half
        }
        State::Master => {
            let _ = router.start(T0, None, false);
            let mut at = T0;
            for _ in 0..3 {
                if router.state() == State::Backup {
                    at = router.deadline().unwrap().0;
                } else {
                    at = next_advert(&mut router);
                }
                let _ = router.handle_tick(at);
            }
            at + half
        }
    };
    assert_eq!(router.state(), state);
    (router, now)
}

#[derive(Clone, Copy)]
enum Event {
    Start,
    StartExpectingMaster,
    StartWithObstacle,
    Stop,
    Obstacle,
    NoObstacle,
    GreaterPriority,
    EqualFromGreaterAddress,
    EqualFromSmallerAddress,
    LowerPriority,
    Resignation,
    TickEarly,
    TickDue,
    TickLate,
    TickOverslept,
    Settings,
}

impl Event {
    const ALL: [Self; 16] = [
        Self::Start,
        Self::StartExpectingMaster,
        Self::StartWithObstacle,
        Self::Stop,
        Self::Obstacle,
        Self::NoObstacle,
        Self::GreaterPriority,
        Self::EqualFromGreaterAddress,
        Self::EqualFromSmallerAddress,
        Self::LowerPriority,
        Self::Resignation,
        Self::TickEarly,
        Self::TickDue,
        Self::TickLate,
        Self::TickOverslept,
        Self::Settings,
    ];

    fn words(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::StartExpectingMaster => "start, expecting to be master",
            Self::StartWithObstacle => "start with an obstacle",
            Self::Stop => "stop",
            Self::Obstacle => "obstacle",
            Self::NoObstacle => "no obstacle",
            Self::GreaterPriority => "advert of greater priority",
            Self::EqualFromGreaterAddress => "advert of equal, greater address",
            Self::EqualFromSmallerAddress => "advert of equal, smaller address",
            Self::LowerPriority => "advert of lower priority",
            Self::Resignation => "advert of priority 0",
            Self::TickEarly => "tick early",
            Self::TickDue => "tick due",
            Self::TickLate => "tick late by half an interval",
            Self::TickOverslept => "tick late by ten intervals",
            Self::Settings => "settings: priority - 10, 500 ms",
        }
    }

    /// Lets it happen to `router`, which has been left alone until `now`. Returns when it did.
    fn happen(self, router: &mut Router, now: Instant) -> (Instant, Reaction) {
        let settings = *router.settings();
        let own = settings.priority.get();
        let interval = settings.interval.duration();
        let due = router.deadline().map_or(now, |(at, _)| at);
        let mut hear = |priority: u8, source| {
            (
                now,
                router.handle_advert(now, &advert(priority, 200), source, OWN),
            )
        };
        match self {
            Self::Start => (now, router.start(now, None, false)),
            Self::StartExpectingMaster => (now, router.start(now, None, true)),
            Self::StartWithObstacle => (now, router.start(now, Some(obstacle()), false)),
            Self::Stop => (now, router.stop(Cause::Stopped)),
            Self::Obstacle => {
                let down = Obstacle::TrackerDown("httpd".into());
                (now, router.set_obstacle(now, Some(down)))
            }
            Self::NoObstacle => (now, router.set_obstacle(now, None)),
            Self::GreaterPriority => hear(own.saturating_add(1), HIGH),
            Self::EqualFromGreaterAddress => hear(own, HIGH),
            Self::EqualFromSmallerAddress => hear(own, LOW),
            Self::LowerPriority => hear(own - 1, HIGH),
            Self::Resignation => hear(0, HIGH),
            Self::TickEarly => (now, router.handle_tick(now)),
            Self::TickDue => (due, router.handle_tick(due)),
            Self::TickLate => (due + interval / 2, router.handle_tick(due + interval / 2)),
            Self::TickOverslept => (due + interval * 10, router.handle_tick(due + interval * 10)),
            Self::Settings => {
                let changed = Settings {
                    priority: Priority::new(own - 10).unwrap(),
                    interval: AdvertInterval::from_centiseconds(50).unwrap(),
                    ..settings
                };
                router.set_settings(now - interval / 4, changed);
                (now - interval / 4, Reaction::default())
            }
        }
    }
}

/// What `event` does to a router in `state`, in words.
fn outcome(settings: Settings, state: State, event: Event) -> String {
    let (mut router, now) = in_state(settings, state);
    let before = router.deadline();
    let (at, reaction) = event.happen(&mut router, now);
    let mut words = vec![router.state().to_string()];
    words.extend(reaction.send.map(|send| match send {
        Send::Advert => "advertises".to_owned(),
        Send::Resignation => "resigns".to_owned(),
    }));
    words.extend(reaction.announce.then(|| "announces".to_owned()));
    words.extend(reaction.late.then(|| "was late".to_owned()));
    words.extend(reaction.second_master.then(|| "second master".to_owned()));
    let after = router.deadline();
    if after != before {
        words.push(after.map_or("timer off".to_owned(), |(due, why)| {
            format!("{why} in {}", Human(due.since(at)))
        }));
    }
    if let Some((from, cause)) = reaction.change {
        assert_eq!(
            from, state,
            "the change is told from the state that it was in"
        );
        words.push(format!("({cause})"));
    }
    words.join("; ")
}
