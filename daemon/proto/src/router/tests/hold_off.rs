//! Routers that do not take over although they could: preemptDelay and startupDelay.

use super::rig::*;
use crate::router::*;

/// How long a router of priority 100 waits for a master with an interval of a second.
const WAIT: Duration = Duration::from_nanos(3_609_375_000);
/// Its skew.
const SKEW: Duration = Duration::from_nanos(609_375_000);

const TEN_SECONDS: Duration = Duration::from_secs(10);

fn delayed() -> Settings {
    Settings {
        preempt_delay: TEN_SECONDS,
        ..v3(100)
    }
}

fn slow_to_start() -> Settings {
    Settings {
        startup_delay: SECOND * 60,
        ..v3(100)
    }
}

fn started(settings: Settings) -> Router {
    let mut router = Router::new(settings);
    let _ = router.start(T0, None, false);
    router
}

/// Somebody advertises every second from `from` on, until the router speaks or until `until`.
/// Returns when it did, and why.
fn hear_until(
    router: &mut Router,
    from: Instant,
    until: Instant,
    priority: u8,
) -> Option<(Instant, Cause)> {
    let mut at = from;
    while at < until {
        let due = deadline(router);
        if due <= at {
            let change = router.handle_tick(due).change;
            return change.map(|(_, cause)| (due, cause));
        }
        let _ = router.handle_advert(at, at, &advert(priority, 100), LOW, OWN);
        at = at + SECOND;
    }
    None
}

fn preempted(waited: Duration) -> Cause {
    Cause::Preempted {
        master: LOW,
        theirs: 50,
        ours: 100,
        waited,
    }
}

fn deadline(router: &Router) -> Instant {
    router.deadline().unwrap().0
}

#[test]
fn a_lower_priority_is_preempted_ten_seconds_after_the_start() {
    let mut router = started(delayed());
    let end = T0 + SECOND * 60;
    let (at, cause) = hear_until(&mut router, T0 + SECOND / 2, end, 50).unwrap();
    assert_eq!(
        (at, cause),
        (T0 + TEN_SECONDS, preempted(TEN_SECONDS)),
        "counted from the start of listening"
    );
}

#[test]
fn a_delay_that_is_shorter_than_the_listening_shortens_it_not() {
    let settings = Settings {
        preempt_delay: SECOND,
        ..v3(100)
    };
    let mut router = started(settings);
    let end = T0 + SECOND * 60;
    let (at, cause) = hear_until(&mut router, T0 + SECOND / 2, end, 50).unwrap();
    assert_eq!((at, cause), (T0 + WAIT, preempted(WAIT)));
}

#[test]
fn after_a_master_that_it_obeyed_the_delay_begins_with_the_first_lower_priority() {
    let mut router = started(delayed());
    let _ = router.handle_advert(T0, T0, &advert(150, 100), LOW, OWN);
    // The same one came down.
    let first = T0 + SECOND;
    let end = T0 + SECOND * 60;
    let (at, cause) = hear_until(&mut router, first, end, 50).unwrap();
    assert_eq!((at, cause), (first + TEN_SECONDS, preempted(TEN_SECONDS)));
}

#[test]
fn a_master_that_is_obeyed_ends_the_delay_and_the_next_one_begins_anew() {
    let mut router = started(delayed());
    assert_eq!(
        hear_until(&mut router, T0, T0 + SECOND * 9, 50),
        None,
        "left in peace"
    );
    let greater = T0 + SECOND * 9;
    let _ = router.handle_advert(greater, greater, &advert(100, 100), HIGH, OWN);
    assert_eq!(deadline(&router), greater + WAIT);
    let (first, end) = (T0 + SECOND * 10, T0 + SECOND * 60);
    let (at, cause) = hear_until(&mut router, first, end, 50).unwrap();
    assert_eq!((at, cause), (first + TEN_SECONDS, preempted(TEN_SECONDS)));
}

#[test]
fn the_death_of_the_lower_one_is_noticed_after_the_down_interval() {
    let mut router = started(delayed());
    let last = T0 + SECOND * 3;
    let _ = router.handle_advert(last, last, &advert(50, 100), LOW, OWN);
    assert_eq!(router.deadline(), Some((last + WAIT, Due::TakeOver)));
    let reaction = router.handle_tick(last + WAIT);
    let cause = Cause::Silence {
        master: Some(LOW),
        lasted: WAIT,
    };
    assert_eq!(reaction.change, Some((State::Backup, cause)));
}

#[test]
fn the_lower_one_is_waited_for_by_its_own_interval_but_the_first_listening_is_not_shortened() {
    let mut router = started(delayed());
    let _ = router.handle_advert(T0, T0, &advert(50, 1), LOW, OWN);
    assert_eq!(deadline(&router), T0 + WAIT);
    let later = T0 + SECOND * 3 + SECOND * 6 / 10;
    let _ = router.handle_advert(later, later, &advert(50, 1), LOW, OWN);
    assert_eq!(deadline(&router), later + WAIT / 100);
}

#[test]
fn somebody_else_of_lower_priority_does_not_hasten_the_end_of_the_one_that_is_obeyed() {
    let mut router = started(delayed());
    let _ = router.handle_advert(T0, T0, &advert(200, 100), HIGH, OWN);
    let _ = router.handle_advert(T0, T0, &advert(50, 1), LOW, OWN);
    assert_eq!(deadline(&router), T0 + WAIT);
}

#[test]
fn the_resignation_of_the_lower_one_is_followed_after_the_skew() {
    let mut router = started(delayed());
    let last = T0 + SECOND * 3;
    let _ = router.handle_advert(last, last, &advert(50, 100), LOW, OWN);
    let _ = router.handle_advert(last, last, &advert(0, 100), LOW, OWN);
    assert_eq!(deadline(&router), last + SKEW);
    let reaction = router.handle_tick(last + SKEW);
    let cause = Cause::Resigned { master: LOW };
    assert_eq!(reaction.change, Some((State::Backup, cause)));
}

#[test]
fn who_follows_the_one_that_resigned_does_not_begin_the_delay_anew() {
    let mut router = started(delayed());
    assert_eq!(hear_until(&mut router, T0, T0 + SECOND * 8, 50), None);
    let at = T0 + SECOND * 8;
    let _ = router.handle_advert(at, at, &advert(0, 100), LOW, OWN);
    let _ = router.handle_advert(at, at, &advert(40, 100), HIGH, OWN);
    assert_eq!(deadline(&router), T0 + TEN_SECONDS);
}

#[test]
fn silence_is_followed_at_once_whatever_the_delay() {
    let mut router = started(delayed());
    let _ = router.handle_advert(T0, T0, &advert(200, 100), HIGH, OWN);
    assert_eq!(deadline(&router), T0 + WAIT);
    assert!(router.handle_tick(T0 + WAIT).change.is_some());
    let router = started(delayed());
    assert_eq!(deadline(&router), T0 + WAIT, "nobody was ever heard");
}

#[test]
fn no_delay_holds_back_the_owner() {
    let settings = Settings {
        priority: Priority::OWNER,
        startup_delay: SECOND * 60,
        ..delayed()
    };
    let mut router = Router::new(settings);
    assert_eq!(router.start(T0, None, false).send, Some(Send::Advert));
    // It yields to another owner, and preempts a lower one as soon as that one is gone.
    let _ = router.handle_advert(T0, T0, &advert(255, 100), HIGH, OWN);
    let due = deadline(&router);
    assert_eq!(due, T0 + nanos(3_003_906_250));
    let _ = router.handle_advert(T0, T0, &advert(50, 100), LOW, OWN);
    assert_eq!(deadline(&router), due);
    assert_eq!(router.hold_off(T0), None);
}

#[test]
fn without_preemption_there_is_nothing_to_delay() {
    let settings = Settings {
        preempt: false,
        ..delayed()
    };
    let mut router = started(settings);
    assert_eq!(
        hear_until(&mut router, T0, T0 + SECOND * 60, 50),
        None,
        "it is obeyed for good"
    );
}

#[test]
fn who_becomes_the_lower_one_while_it_waits_waits_for_silence() {
    let mut router = started(delayed());
    let _ = router.handle_advert(T0, T0, &advert(50, 1000), LOW, OWN);
    assert_eq!(deadline(&router), T0 + TEN_SECONDS);
    for lowered in [v3(50), v3(40)] {
        router.set_settings(
            T0,
            Settings {
                priority: lowered.priority,
                ..delayed()
            },
        );
        assert_eq!(deadline(&router), T0 + WAIT * 10);
        assert_eq!(router.hold_off(T0), None);
    }
}

#[test]
fn a_new_delay_counts_at_once_from_where_the_old_one_began() {
    let mut router = started(delayed());
    let now = T0 + SECOND * 4;
    assert_eq!(hear_until(&mut router, T0, now, 50), None);
    for (delay, due) in [
        (SECOND * 6, T0 + SECOND * 6),
        (SECOND * 5, T0 + SECOND * 5),
        (Duration::ZERO, T0 + WAIT),
    ] {
        router.set_settings(
            now,
            Settings {
                preempt_delay: delay,
                ..v3(100)
            },
        );
        assert_eq!(deadline(&router), due);
    }
    let (_, cause) = router.handle_tick(now).change.unwrap();
    assert_eq!(cause, preempted(SECOND * 4));
}

#[test]
fn a_delay_that_is_new_counts_from_the_start_of_listening() {
    let mut router = started(v3(100));
    let at = T0 + SECOND;
    let _ = router.handle_advert(at, at, &advert(50, 100), LOW, OWN);
    assert_eq!(deadline(&router), T0 + WAIT);
    router.set_settings(at, delayed());
    let _ = router.handle_advert(at, at, &advert(50, 1000), LOW, OWN);
    assert_eq!(deadline(&router), T0 + TEN_SECONDS);
}

#[test]
fn who_sleeps_through_the_end_of_the_delay_listens_anew() {
    let mut router = started(delayed());
    assert_eq!(hear_until(&mut router, T0, T0 + SECOND * 9, 50), None);
    let late = T0 + TEN_SECONDS + SECOND + nanos(1);
    assert!(router.handle_tick(late).late);
    assert_eq!(deadline(&router), late + WAIT);
    let _ = router.handle_advert(late, late, &advert(50, 100), LOW, OWN);
    assert_eq!(deadline(&router), late + WAIT, "the delay itself is over");
    let cause = preempted((late + WAIT).since(T0));
    let end = late + SECOND * 60;
    assert_eq!(
        hear_until(&mut router, late + SECOND, end, 50),
        Some((late + WAIT, cause))
    );
}

#[test]
fn in_an_instance_of_both_families_the_delay_is_one() {
    let settings = Settings {
        families: Families::Both,
        ..delayed()
    };
    let mut router = started(settings);
    for n in 1..10_u32 {
        let at = T0 + SECOND * n;
        for source in [LOW, LOW_V6] {
            let own = own_for(source);
            let _ = router.handle_advert(at, at, &advert(50, 100), source, own);
        }
        assert_eq!(router.handle_tick(at), Reaction::default());
    }
    assert_eq!(deadline(&router), T0 + TEN_SECONDS);
    let (_, cause) = router.handle_tick(T0 + TEN_SECONDS).change.unwrap();
    assert_eq!(cause, preempted(TEN_SECONDS));
}

#[test]
fn the_status_says_whom_it_leaves_in_peace_and_for_how_long() {
    let mut router = started(delayed());
    let now = T0 + SECOND;
    assert_eq!(router.hold_off(now), None, "nobody is there");
    let _ = router.handle_advert(now, now, &advert(50, 100), LOW, OWN);
    let hold_off = router.hold_off(now).unwrap();
    assert_eq!(
        hold_off.to_string(),
        "192.168.224.11 advertises priority 50, ours is 100: to be preempted in 9.000 s (preemptDelay)"
    );
    assert_eq!(router.heard(), Some((LOW, 50)));
    assert_eq!(
        preempted(TEN_SECONDS).to_string(),
        "192.168.224.11 advertises priority 50, ours is 100: preempted after 10.000 s"
    );
}

#[test]
fn nobody_takes_over_before_its_startup_delay_is_over() {
    let end = T0 + SECOND * 60;
    for expect_master in [false, true] {
        let mut router = Router::new(slow_to_start());
        let _ = router.start(T0, None, expect_master);
        assert_eq!(router.deadline(), Some((end, Due::TakeOver)));
        assert_eq!(
            router.hold_off(T0 + SECOND * 20).unwrap().to_string(),
            "started, listening for 40.000 s (startupDelay)"
        );
        // Neither a resignation nor a silence in between hastens it.
        for (after, priority) in [(10, 200), (20, 0), (30, 50)] {
            let at = T0 + SECOND * after;
            let _ = router.handle_advert(at, at, &advert(priority, 100), HIGH, OWN);
            assert_eq!(deadline(&router), end);
        }
        assert_eq!(router.handle_tick(end - nanos(1)), Reaction::default());
        assert_eq!(router.handle_tick(end).send, Some(Send::Advert));
        assert_eq!(router.hold_off(end), None);
    }
}

#[test]
fn a_master_that_lives_when_the_startup_delay_is_over_is_obeyed() {
    let mut router = started(slow_to_start());
    let at = T0 + SECOND * 59;
    let _ = router.handle_advert(at, at, &advert(200, 100), HIGH, OWN);
    assert_eq!(deadline(&router), at + WAIT);
}

#[test]
fn an_obstacle_at_the_start_does_not_use_up_the_startup_delay_nor_does_a_later_one_renew_it() {
    let mut router = Router::new(slow_to_start());
    let _ = router.start(T0, Some(fault_reason()), false);
    let _ = router.set_fault_reason(T0 + SECOND * 5, None);
    assert_eq!(deadline(&router), T0 + SECOND * 60, "the rest of it");
    let later = T0 + SECOND * 1000;
    let _ = router.set_fault_reason(later, Some(fault_reason()));
    let _ = router.set_fault_reason(later, None);
    assert_eq!(deadline(&router), later + WAIT);
}

#[test]
fn a_shorter_startup_delay_counts_at_once_and_a_longer_one_from_the_next_start() {
    let mut router = started(slow_to_start());
    let with = |delay| Settings {
        startup_delay: SECOND * delay,
        ..v3(100)
    };
    let now = T0 + SECOND;
    router.set_settings(now, with(20));
    assert_eq!(deadline(&router), T0 + SECOND * 20);
    router.set_settings(now, with(1000));
    assert_eq!(deadline(&router), T0 + SECOND * 20);
    let _ = router.stop(Cause::Stopped);
    let _ = router.start(now, None, false);
    assert_eq!(deadline(&router), now + SECOND * 1000);
}

/// Whatever the settings are, the hint that it will be master among them.
#[test]
fn nobody_but_the_owner_speaks_before_it_has_listened() {
    for version in [Version::V2, Version::V3] {
        for expect_master in [false, true] {
            for (preempt, families) in [
                (false, Families::Ipv4),
                (true, Families::Ipv4),
                (true, Families::Both),
            ] {
                for delay in [0, 1, 5, 1000] {
                    let settings = Settings {
                        version,
                        preempt,
                        families,
                        preempt_delay: SECOND * delay,
                        startup_delay: SECOND * delay,
                        ..v3(254)
                    };
                    let mut router = Router::new(settings);
                    let least = SECOND + skew(&settings, settings.interval);
                    let least = least.max(settings.startup_delay);
                    let reaction = router.start(T0, None, expect_master);
                    assert_eq!((reaction.send, reaction.announce), (None, false));
                    assert_eq!(router.state(), State::Backup);
                    assert!(deadline(&router) >= T0 + least);
                    let before = T0 + least - nanos(1);
                    assert_eq!(router.handle_tick(before), Reaction::default());
                }
            }
        }
    }
}
