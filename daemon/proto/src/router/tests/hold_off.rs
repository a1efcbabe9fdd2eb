//! Delayed take-overs: preemptDelay, startupDelay, and peers that may not be heard yet.

use super::rig::*;
use crate::router::*;

/// Active_Down_Interval of priority 100 for a master with an interval of one second.
const WAIT: Duration = Duration::from_nanos(3_609_375_000);
/// Skew_Time of priority 100.
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

/// Advertises with `priority` every second from `from` on, until the router takes over or until `until`.
/// Returns the time and the cause of the take-over.
fn advertise_until(
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
fn lower_priority_is_preempted_after_preempt_delay_since_start() {
    let mut router = started(delayed());
    let end = T0 + SECOND * 60;
    let (at, cause) = advertise_until(&mut router, T0 + SECOND / 2, end, 50).unwrap();
    assert_eq!(
        (at, cause),
        (T0 + TEN_SECONDS, preempted(TEN_SECONDS)),
        "counted from the start of listening"
    );
}

#[test]
fn preempt_delay_does_not_shorten_the_first_listening() {
    let settings = Settings {
        preempt_delay: SECOND,
        ..v3(100)
    };
    let mut router = started(settings);
    let end = T0 + SECOND * 60;
    let (at, cause) = advertise_until(&mut router, T0 + SECOND / 2, end, 50).unwrap();
    assert_eq!((at, cause), (T0 + WAIT, preempted(WAIT)));
}

#[test]
fn preempt_delay_starts_with_the_first_lower_priority() {
    let mut router = started(delayed());
    let _ = router.handle_advert(T0, T0, &advert(150, 100), LOW, OWN);
    // The same master lowers its priority.
    let first = T0 + SECOND;
    let end = T0 + SECOND * 60;
    let (at, cause) = advertise_until(&mut router, first, end, 50).unwrap();
    assert_eq!((at, cause), (first + TEN_SECONDS, preempted(TEN_SECONDS)));
}

#[test]
fn followed_master_ends_the_preempt_delay() {
    let mut router = started(delayed());
    assert_eq!(
        advertise_until(&mut router, T0, T0 + SECOND * 9, 50),
        None,
        "tolerated"
    );
    let greater = T0 + SECOND * 9;
    let _ = router.handle_advert(greater, greater, &advert(100, 100), HIGH, OWN);
    assert_eq!(deadline(&router), greater + WAIT);
    let (first, end) = (T0 + SECOND * 10, T0 + SECOND * 60);
    let (at, cause) = advertise_until(&mut router, first, end, 50).unwrap();
    assert_eq!((at, cause), (first + TEN_SECONDS, preempted(TEN_SECONDS)));
}

#[test]
fn silence_of_a_tolerated_master_causes_a_take_over() {
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
fn tolerated_master_sets_the_interval_but_keeps_first_listening() {
    let mut router = started(delayed());
    let _ = router.handle_advert(T0, T0, &advert(50, 1), LOW, OWN);
    assert_eq!(deadline(&router), T0 + WAIT);
    let later = T0 + SECOND * 3 + SECOND * 6 / 10;
    let _ = router.handle_advert(later, later, &advert(50, 1), LOW, OWN);
    assert_eq!(deadline(&router), later + WAIT / 100);
}

#[test]
fn third_router_does_not_shorten_the_followed_masters_timer() {
    let mut router = started(delayed());
    let _ = router.handle_advert(T0, T0, &advert(200, 100), HIGH, OWN);
    let _ = router.handle_advert(T0, T0, &advert(50, 1), LOW, OWN);
    assert_eq!(deadline(&router), T0 + WAIT);
}

#[test]
fn resignation_of_a_tolerated_master_causes_a_take_over() {
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
fn next_lower_master_does_not_restart_the_preempt_delay() {
    let mut router = started(delayed());
    assert_eq!(advertise_until(&mut router, T0, T0 + SECOND * 8, 50), None);
    let at = T0 + SECOND * 8;
    let _ = router.handle_advert(at, at, &advert(0, 100), LOW, OWN);
    let _ = router.handle_advert(at, at, &advert(40, 100), HIGH, OWN);
    assert_eq!(deadline(&router), T0 + TEN_SECONDS);
}

#[test]
fn preempt_delay_does_not_apply_after_silence() {
    let mut router = started(delayed());
    let _ = router.handle_advert(T0, T0, &advert(200, 100), HIGH, OWN);
    assert_eq!(deadline(&router), T0 + WAIT);
    assert!(router.handle_tick(T0 + WAIT).change.is_some());
    let router = started(delayed());
    assert_eq!(deadline(&router), T0 + WAIT, "without any advertisement");
}

#[test]
fn owner_ignores_preempt_delay_and_startup_delay() {
    let settings = Settings {
        priority: Priority::OWNER,
        startup_delay: SECOND * 60,
        ..delayed()
    };
    let mut router = Router::new(settings);
    assert_eq!(router.start(T0, None, false).send, Some(Send::Advert));
    // It yields to another owner, and preempts a lower priority as soon as that owner is silent.
    let _ = router.handle_advert(T0, T0, &advert(255, 100), HIGH, OWN);
    let due = deadline(&router);
    assert_eq!(due, T0 + nanos(3_003_906_250));
    let _ = router.handle_advert(T0, T0, &advert(50, 100), LOW, OWN);
    assert_eq!(deadline(&router), due);
    assert_eq!(router.hold_off(T0), None);
}

#[test]
fn preempt_delay_has_no_effect_without_preempt_mode() {
    let settings = Settings {
        preempt: false,
        ..delayed()
    };
    let mut router = started(settings);
    assert_eq!(
        advertise_until(&mut router, T0, T0 + SECOND * 60, 50),
        None,
        "it follows the master"
    );
}

#[test]
fn router_with_lowered_priority_ends_its_preempt_delay() {
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
fn changed_preempt_delay_counts_from_the_old_start() {
    let mut router = started(delayed());
    let now = T0 + SECOND * 4;
    assert_eq!(advertise_until(&mut router, T0, now, 50), None);
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
fn new_preempt_delay_counts_from_the_start_of_listening() {
    let mut router = started(v3(100));
    let at = T0 + SECOND;
    let _ = router.handle_advert(at, at, &advert(50, 100), LOW, OWN);
    assert_eq!(deadline(&router), T0 + WAIT);
    router.set_settings(at, delayed());
    let _ = router.handle_advert(at, at, &advert(50, 1000), LOW, OWN);
    assert_eq!(deadline(&router), T0 + TEN_SECONDS);
}

#[test]
fn late_wake_up_after_preempt_delay_restarts_the_timer() {
    let mut router = started(delayed());
    assert_eq!(advertise_until(&mut router, T0, T0 + SECOND * 9, 50), None);
    let late = T0 + TEN_SECONDS + SECOND + nanos(1);
    assert!(router.handle_tick(late).late);
    assert_eq!(deadline(&router), late + WAIT);
    let _ = router.handle_advert(late, late, &advert(50, 100), LOW, OWN);
    assert_eq!(deadline(&router), late + WAIT, "the delay itself is over");
    let cause = preempted((late + WAIT).since(T0));
    let end = late + SECOND * 60;
    assert_eq!(
        advertise_until(&mut router, late + SECOND, end, 50),
        Some((late + WAIT, cause))
    );
}

#[test]
fn dual_instance_has_one_preempt_delay() {
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
fn status_shows_the_tolerated_master_and_the_remaining_delay() {
    let mut router = started(delayed());
    let now = T0 + SECOND;
    assert_eq!(router.hold_off(now), None, "no master is known");
    let _ = router.handle_advert(now, now, &advert(50, 100), LOW, OWN);
    let hold_off = router.hold_off(now).unwrap();
    assert_eq!(
        hold_off.to_string(),
        "192.168.224.11 advertises priority 50, ours is 100: to be preempted in 9.000 s (preemptDelay)"
    );
    assert_eq!(heard(&router), Some((LOW, 50)));
    assert_eq!(
        preempted(TEN_SECONDS).to_string(),
        "192.168.224.11 advertises priority 50, ours is 100: preempted after 10.000 s"
    );
}

#[test]
fn status_shows_the_master_that_preempt_leaves_alone() {
    let patient = Settings {
        preempt: false,
        ..v3(100)
    };
    let mut router = started(patient);
    assert_eq!(router.hold_off(T0), None, "no master is known");
    let _ = router.handle_advert(T0, T0, &advert(50, 100), LOW, OWN);
    assert_eq!(
        router.hold_off(T0).unwrap().to_string(),
        "192.168.224.11 advertises priority 50, ours is 100: it stays master, because preempt is false"
    );
    for priority in [100, 200, 0] {
        let _ = router.handle_advert(T0, T0, &advert(priority, 100), LOW, OWN);
        assert_eq!(router.hold_off(T0), None, "{priority}");
    }
}

#[test]
fn startup_delay_holds_back_take_over_until_due() {
    let end = T0 + SECOND * 60;
    for expect_master in [false, true] {
        let mut router = Router::new(slow_to_start());
        let _ = router.start(T0, None, expect_master);
        assert_eq!(router.deadline(), Some((end, Due::TakeOver)));
        assert_eq!(
            router.hold_off(T0 + SECOND * 20).unwrap().to_string(),
            "started, listening for 40.000 s (startupDelay)"
        );
        // Neither a resignation nor a silence in between shortens the delay.
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
fn startup_delay_ends_without_preempting_a_live_master() {
    let mut router = started(slow_to_start());
    let at = T0 + SECOND * 59;
    let _ = router.handle_advert(at, at, &advert(200, 100), HIGH, OWN);
    assert_eq!(deadline(&router), at + WAIT);
}

#[test]
fn startup_delay_runs_during_a_fault_and_only_once() {
    let mut router = Router::new(slow_to_start());
    let _ = router.start(T0, Some(fault_reason()), false);
    let _ = router.set_fault_reason(T0 + SECOND * 5, None);
    assert_eq!(
        deadline(&router),
        T0 + SECOND * 60,
        "the rest of the startup delay"
    );
    let later = T0 + SECOND * 1000;
    let _ = router.set_fault_reason(later, Some(fault_reason()));
    let _ = router.set_fault_reason(later, None);
    assert_eq!(deadline(&router), later + WAIT);
}

#[test]
fn shorter_startup_delay_applies_at_once() {
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

/// In all combinations of settings, including `expect_master`.
#[test]
fn only_the_owner_advertises_before_listening() {
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

/// A backup of which the peers may not be able to reach it for ten seconds.
fn unreached() -> Router {
    let mut router = started(v3(100));
    router.count_silence_from(T0 + TEN_SECONDS);
    router
}

#[test]
fn silence_counts_after_its_time_only() {
    let mut router = unreached();
    assert_eq!(deadline(&router), T0 + TEN_SECONDS);
    assert_eq!(router.discounts_silence(T0 + SECOND), Some(SECOND * 9));
    assert_eq!(router.handle_tick(T0 + SECOND * 5), Reaction::default());
    let change = router.handle_tick(T0 + TEN_SECONDS).change;
    let cause = Cause::Silence {
        master: None,
        lasted: TEN_SECONDS,
    };
    assert_eq!(change, Some((State::Backup, cause)));
    assert_eq!(router.discounts_silence(T0 + SECOND), None);
}

#[test]
fn silence_counts_after_the_first_advertisement() {
    for (priority, due) in [
        (200, T0 + SECOND + WAIT),
        (50, T0 + WAIT),
        (0, T0 + SECOND + SKEW),
    ] {
        let mut router = unreached();
        let at = T0 + SECOND;
        let _ = router.handle_advert(at, at, &advert(priority, 100), LOW, OWN);
        assert_eq!(deadline(&router), due, "{priority}");
    }
    // Not before that advertisement: a lower priority may be preempted at once.
    let mut router = unreached();
    let at = T0 + SECOND * 5;
    let _ = router.handle_advert(at, at, &advert(50, 100), LOW, OWN);
    assert_eq!(deadline(&router), at);
}

#[test]
fn silence_can_count_earlier_but_not_later() {
    let mut router = unreached();
    router.count_silence_by(T0 + SECOND * 20);
    assert_eq!(deadline(&router), T0 + TEN_SECONDS);
    router.count_silence_by(T0 + SECOND * 6);
    assert_eq!(deadline(&router), T0 + SECOND * 6);
    router.count_silence_by(T0);
    assert_eq!(deadline(&router), T0 + WAIT, "the timer still runs");
}

#[test]
fn owner_waits_for_no_peer() {
    let mut router = started(v3(255));
    router.count_silence_from(T0 + TEN_SECONDS);
    assert_eq!(router.state(), State::Master);
}
