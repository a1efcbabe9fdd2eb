//! An instance of both families: two routers of the protocol that change their state together.

use super::rig::*;
use crate::router::*;

/// Active_Down_Interval for a master with an interval of one second.
const WAIT: Duration = Duration::from_nanos(3_609_375_000);

#[test]
fn dual_backup_takes_over_when_both_families_are_silent() {
    for (first, second) in [(HIGH, HIGH_V6), (HIGH_V6, HIGH)] {
        let (mut router, now) = in_state(dual(100), State::Backup);
        let later = now + SECOND;
        let _ = router.handle_advert(now, now, &advert(200, 100), first, own_for(first));
        let _ = router.handle_advert(later, later, &advert(200, 100), second, own_for(second));
        assert_eq!(
            router.deadline(),
            Some((later + WAIT, Due::TakeOver)),
            "the later of the two timers"
        );
        assert_eq!(router.handle_tick(now + WAIT), Reaction::default());
        let reaction = router.handle_tick(later + WAIT);
        assert_eq!(router.state(), State::Master);
        assert_eq!(reaction.send, Some(Send::Advert), "of both families");
    }
}

#[test]
fn silent_family_counts_its_timer_from_the_start() {
    for source in [LOW, LOW_V6] {
        let mut router = Router::new(dual(100));
        let _ = router.start(T0, None, false);
        assert_eq!(router.deadline().unwrap().0, T0 + WAIT);
        // A master of one family alone resigns at once.
        let _ = router.handle_advert(T0, T0, &advert(0, 100), source, own_for(source));
        assert_eq!(router.deadline().unwrap().0, T0 + WAIT);
        let at = T0 + SECOND;
        let _ = router.handle_advert(at, at, &advert(200, 100), source, own_for(source));
        assert_eq!(router.deadline().unwrap().0, at + WAIT);
        assert_eq!(heard(&router), Some((source, 200)));
        let cause = Cause::Silence {
            master: Some(source),
            lasted: WAIT,
        };
        let reaction = router.handle_tick(at + WAIT);
        assert_eq!(reaction.change, Some((State::Backup, cause)));
    }
}

#[test]
fn resignation_shortens_the_timer_of_its_family_only() {
    let skew = nanos(609_375_000);
    for (first, second) in [(HIGH, HIGH_V6), (HIGH_V6, HIGH)] {
        let (mut router, now) = in_state(dual(100), State::Backup);
        let _ = router.handle_advert(now, now, &advert(200, 100), first, own_for(first));
        let _ = router.handle_advert(now, now, &advert(200, 100), second, own_for(second));
        let _ = router.handle_advert(now, now, &advert(0, 100), first, own_for(first));
        assert_eq!(router.deadline().unwrap().0, now + WAIT);
        let at = now + nanos(20_000);
        let _ = router.handle_advert(at, at, &advert(0, 100), second, own_for(second));
        assert_eq!(router.deadline().unwrap().0, at + skew);
        let (_, cause) = router.handle_tick(at + skew).change.unwrap();
        assert_eq!(
            cause,
            Cause::Resigned { master: HIGH },
            "in either order of the two"
        );
    }
}

#[test]
fn lower_priority_in_either_family_does_not_change_timers() {
    for source in [LOW, LOW_V6] {
        let mut router = Router::new(dual(100));
        let _ = router.start(T0, None, false);
        let due = router.deadline();
        let at = T0 + SECOND;
        let _ = router.handle_advert(at, at, &advert(99, 100), source, own_for(source));
        assert_eq!(router.deadline(), due);
        let (_, cause) = router.handle_tick(due.unwrap().0).change.unwrap();
        let (theirs, ours) = (99, 100);
        assert_eq!(
            cause,
            Cause::Preempted {
                master: source,
                theirs,
                ours,
                waited: Duration::ZERO,
            }
        );
    }
}

#[test]
fn each_family_uses_the_interval_of_its_master() {
    let (mut router, now) = in_state(dual(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(200, 100), HIGH, OWN);
    let _ = router.handle_advert(now, now, &advert(200, 500), HIGH_V6, OWN_V6);
    assert_eq!(router.deadline().unwrap().0, now + WAIT * 5);
    assert_eq!(heard(&router), Some((HIGH_V6, 200)));
    let _ = router.handle_advert(now, now, &advert(200, 100), HIGH_V6, OWN_V6);
    assert_eq!(router.deadline().unwrap().0, now + WAIT);
    assert_eq!(heard(&router), Some((HIGH, 200)));
}

// RFC 9568 6.4.2 MUST: when Active_Down_Timer fires, advertise and become Active
#[test]
fn late_wake_up_restarts_the_timers_of_both_families() {
    let (mut router, now) = in_state(dual(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(200, 100), HIGH, OWN);
    let _ = router.handle_advert(now, now, &advert(200, 500), HIGH_V6, OWN_V6);
    let late = router.deadline().unwrap().0 + SECOND * 5;
    assert_eq!(router.state(), State::Backup);
    let after = late + nanos(1);
    assert!(router.handle_tick(after).late);
    assert_eq!(router.deadline().unwrap().0, after + WAIT * 5);
    let _ = router.handle_advert(after, after, &advert(0, 100), HIGH_V6, OWN_V6);
    assert_eq!(router.deadline().unwrap().0, after + WAIT, "IPv4 too");
}

#[test]
fn dual_master_yields_to_greater_priority_in_either_family() {
    for source in [LOW, HIGH, LOW_V6, HIGH_V6] {
        let (mut router, now) = in_state(dual(100), State::Master);
        let reaction = router.handle_advert(now, now, &advert(101, 100), source, own_for(source));
        let cause = Cause::HigherPriority {
            master: source,
            theirs: 101,
            ours: 100,
        };
        assert_eq!(reaction, yielded(cause));
        assert_eq!(heard(&router), Some((source, 101)));
        let _ = router.handle_advert(now, now, &advert(0, 100), source, own_for(source));
        assert_eq!(
            router.deadline().unwrap().0,
            now + WAIT,
            "the timer of the other family runs as well"
        );
    }
}

#[test]
fn dual_master_replies_in_either_family() {
    for source in [LOW, LOW_V6] {
        let (mut router, now) = in_state(dual(100), State::Master);
        let reaction = router.handle_advert(now, now, &advert(99, 100), source, own_for(source));
        assert_eq!(reaction.send, Some(Send::Advert));
        assert!(reaction.announce && reaction.second_master);
        let at = now + SECOND / 10;
        let reaction = router.handle_advert(at, at, &advert(0, 100), source, own_for(source));
        assert_eq!(reaction.send, Some(Send::Advert));
        assert_eq!(router.state(), State::Master);
    }
}

// RFC 9568 6.4.3 MUST: an equal priority from a greater address makes it Backup
#[test]
fn ipv4_address_decides_a_priority_tie_of_dual_instances() {
    let (mut router, now) = in_state(dual(100), State::Master);
    let _ = router.handle_advert(now, now, &advert(100, 100), LOW, OWN);
    assert_eq!(router.state(), State::Master);
    let reaction = router.handle_advert(now, now, &advert(100, 100), HIGH, OWN);
    let cause = Cause::HigherAddress {
        master: HIGH,
        priority: 100,
    };
    assert_eq!(reaction, yielded(cause));
}

/// Two hosts with opposite orders of their addresses in IPv4 and IPv6, after a network partition has
/// healed. The host with the greater IPv4 address stays master, in either order of the packets and also
/// when some of the IPv4 packets are lost.
#[test]
fn equals_with_opposite_address_orders_keep_one_master() {
    for ipv6_first in [true, false] {
        let (mut router, start) = in_state(dual(100), State::Master);
        let now = next_advert(&mut router).max(start);
        for n in 0..20_u32 {
            let at = now + SECOND * n;
            while router.deadline().unwrap().0 <= at {
                let _ = router.handle_tick(at);
            }
            let mut receive = |source| {
                let _ = router.handle_advert(at, at, &advert(100, 100), source, own_for(source));
            };
            if ipv6_first {
                receive(HIGH_V6);
            }
            if n % 3 == 2 {
                receive(LOW);
            }
            if !ipv6_first {
                receive(HIGH_V6);
            }
            assert_eq!(router.state(), State::Master, "second {n}");
        }
    }
}

#[test]
fn equal_over_ipv6_alone_wins_after_active_down_interval() {
    let (mut router, _) = in_state(dual(100), State::Master);
    let heard_first = next_advert(&mut router);
    let _ = router.handle_tick(heard_first);
    let mut receive_at = |at: Instant, source| {
        while let Some((due, _)) = router.deadline()
            && due <= at
        {
            let _ = router.handle_tick(due);
        }
        router.handle_advert(at, at, &advert(100, 100), source, own_for(source))
    };
    let _ = receive_at(heard_first, HIGH_V6);
    // One advertisement over IPv4 restarts the series.
    let _ = receive_at(heard_first + SECOND, LOW);
    let count_from = heard_first + SECOND * 2;
    let reaction = receive_at(count_from, HIGH_V6);
    assert_eq!(reaction.change, None);
    assert_eq!(
        reaction.send,
        Some(Send::Advert),
        "it remains master and replies"
    );
    assert_eq!(
        receive_at(count_from + WAIT - nanos(1), HIGH_V6).change,
        None
    );
    let cause = Cause::HigherAddress {
        master: HIGH_V6,
        priority: 100,
    };
    assert_eq!(receive_at(count_from + WAIT, HIGH_V6), yielded(cause));
}

#[test]
fn equal_over_ipv6_restarts_its_series_after_a_silence() {
    let (mut router, _) = in_state(dual(100), State::Master);
    let first = next_advert(&mut router);
    for at in [first, first + WAIT] {
        while let Some((due, _)) = router.deadline()
            && due <= at
        {
            let _ = router.handle_tick(due);
        }
        let _ = router.handle_advert(at, at, &advert(100, 100), HIGH_V6, OWN_V6);
        assert_eq!(router.state(), State::Master);
    }
}

#[test]
fn equal_with_smaller_address_over_ipv6_never_wins() {
    let (mut router, _) = in_state(dual(100), State::Master);
    let now = next_advert(&mut router);
    for n in 0..10_u32 {
        let at = now + SECOND * n;
        let _ = router.handle_tick(at);
        let _ = router.handle_advert(at, at, &advert(100, 100), LOW_V6, OWN_V6);
        assert_eq!(router.state(), State::Master, "second {n}");
    }
}

// RFC 9568 6.4.3 MUST: an equal priority from a greater address makes it Backup
// RFC 9568 6.4.3 MUST: addresses are compared as unsigned integers in network order
#[test]
fn ipv6_address_decides_a_priority_tie_of_ipv6_instances() {
    let (mut router, now) = in_state(v6(100), State::Master);
    let _ = router.handle_advert(now, now, &advert(100, 100), LOW_V6, OWN_V6);
    assert_eq!(router.state(), State::Master);
    let _ = router.handle_advert(now, now, &advert(100, 100), HIGH_V6, OWN_V6);
    assert_eq!(router.state(), State::Backup);
    assert_eq!(router.deadline().unwrap().0, now + WAIT);
    let _ = router.handle_advert(now, now, &advert(0, 100), HIGH_V6, OWN_V6);
    assert_eq!(router.deadline().unwrap().0, now + nanos(609_375_000));
}

#[test]
fn backup_with_an_added_family_listens_there_first() {
    for (settings, known, other) in [(v3(100), HIGH, HIGH_V6), (v6(100), HIGH_V6, HIGH)] {
        let mut router = Router::new(settings);
        let _ = router.start(T0, None, false);
        let _ = router.handle_advert(T0, T0, &advert(200, 100), known, own_for(known));
        let now = T0 + SECOND;
        router.set_settings(now, dual(100));
        assert_eq!(router.deadline().unwrap().0, now + WAIT);
        assert_eq!(
            heard(&router),
            Some((known, 200)),
            "the known master stays recorded"
        );
        let _ = router.handle_advert(now, now, &advert(0, 100), other, own_for(other));
        assert_eq!(
            router.deadline().unwrap().0,
            T0 + WAIT,
            "the timer of the first family continues"
        );
    }
}

#[test]
fn backup_with_a_removed_family_keeps_the_other_timer() {
    let skew = nanos(609_375_000);
    for (settings, kept) in [(v3(100), HIGH), (v6(100), HIGH_V6)] {
        let (mut router, now) = in_state(dual(100), State::Backup);
        for source in [HIGH, HIGH_V6] {
            let priority = if source == kept { 0 } else { 200 };
            let advert = advert(priority, 100);
            let _ = router.handle_advert(now, now, &advert, source, own_for(source));
        }
        assert_eq!(router.deadline().unwrap().0, now + WAIT);
        router.set_settings(now, settings);
        assert_eq!(router.deadline().unwrap().0, now + skew);
        assert_eq!(heard(&router), Some((kept, 0)));
    }
}

#[test]
fn backup_with_a_changed_family_listens_from_the_start() {
    for (before, after, known) in [(v3(100), v6(100), HIGH), (v6(100), v3(100), HIGH_V6)] {
        let (mut router, start) = in_state(before, State::Backup);
        let _ = router.handle_advert(start, start, &advert(0, 100), known, own_for(known));
        let now = start + nanos(1);
        router.set_settings(now, after);
        assert_eq!(router.deadline().unwrap().0, now + WAIT);
        assert_eq!(heard(&router), None);
    }
}

#[test]
fn new_settings_of_the_same_families_keep_timers() {
    let (mut router, now) = in_state(dual(100), State::Backup);
    let _ = router.handle_advert(now, now, &advert(200, 500), HIGH_V6, OWN_V6);
    let before = router.deadline();
    router.set_settings(now, dual(150));
    assert_eq!(router.deadline(), before);
}
