//! Contests: another master beside this one, and its end.

use super::rig::*;
use crate::router::*;

/// Master-down interval of priority 100 at 1 s.
const WAIT: Duration = Duration::from_nanos(3_609_375_000);

/// Does what is due until `until`. Returns the times at which the end of a contest was reported, with
/// the cause.
fn reports(router: &mut Router, until: Instant) -> Vec<(Instant, Cause)> {
    let mut reports = Vec::new();
    while let Some((at, _)) = router.deadline().filter(|(at, _)| *at <= until) {
        if let Some(cause) = router.handle_tick(at).contested {
            router.report_contest(at);
            reports.push((at, cause));
        }
    }
    reports
}

fn gone(master: IpAddr, theirs: u8) -> Cause {
    Cause::Contested { master, theirs }
}

#[test]
fn silent_second_master_has_gone_after_master_down_interval() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let _ = router.handle_advert(now, now, &advert(99, 100), LOW, OWN);
    let last = now + SECOND;
    assert_eq!(reports(&mut router, last), []);
    let _ = router.handle_advert(last, last, &advert(98, 100), LOW, OWN);
    assert!(router.is_contested());
    let at = last + WAIT;
    assert_eq!(
        reports(&mut router, last + 60 * SECOND),
        [(at, gone(LOW, 98))]
    );
    assert!(!router.is_contested());
}

#[test]
fn resigned_second_master_has_gone_after_skew_time() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let _ = router.handle_advert(now, now, &advert(99, 100), LOW, OWN);
    let resigned = now + nanos(1);
    let _ = router.handle_advert(resigned, resigned, &advert(0, 100), LOW, OWN);
    let at = resigned + nanos(609_375_000);
    assert_eq!(
        reports(&mut router, now + 60 * SECOND),
        [(at, gone(LOW, 99))]
    );
}

#[test]
fn resignation_without_contest_is_not_reported() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let _ = router.handle_advert(now, now, &advert(0, 100), LOW, OWN);
    assert_eq!(reports(&mut router, now + 60 * SECOND), []);
}

#[test]
fn last_of_several_masters_ends_the_contest() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let other = [192, 168, 224, 10].into();
    let _ = router.handle_advert(now, now, &advert(99, 100), LOW, OWN);
    let _ = router.handle_advert(now, now, &advert(98, 100), other, OWN);
    // The resignation of one says nothing of the other.
    let _ = router.handle_advert(now, now, &advert(0, 100), other, OWN);
    assert_eq!(
        reports(&mut router, now + 60 * SECOND),
        [(now + WAIT, gone(other, 98))]
    );
}

#[test]
fn second_master_of_both_families_has_to_go_in_both() {
    let (mut router, now) = in_state(dual(100), State::Master);
    let _ = router.handle_advert(now, now, &advert(99, 100), LOW, OWN);
    let later = now + nanos(5);
    let _ = router.handle_advert(later, later, &advert(99, 100), LOW_V6, OWN_V6);
    let _ = router.handle_advert(later, later, &advert(0, 100), LOW, OWN);
    let at = later + WAIT;
    assert_eq!(
        reports(&mut router, now + 60 * SECOND),
        [(at, gone(LOW_V6, 99))]
    );
}

#[test]
fn contests_are_reported_every_ten_seconds_at_most_and_never_lost() {
    let (mut router, begun) = in_state(v3(100), State::Master);
    let mut all = Vec::new();
    // A host that resigns and advertises again, all the time.
    for second in 0..25 {
        let now = begun + second * SECOND;
        all.extend(reports(&mut router, now));
        let _ = router.handle_advert(now, now, &advert(99, 100), LOW, OWN);
        let _ = router.handle_advert(now, now, &advert(0, 100), LOW, OWN);
    }
    all.extend(reports(&mut router, begun + 60 * SECOND));
    let times: Vec<Duration> = all.iter().map(|(at, _)| at.since(begun)).collect();
    let first = nanos(609_375_000);
    let later = [10, 20, 30].map(|seconds| first + seconds * SECOND);
    assert_eq!(times, [&[first][..], &later].concat());
}

#[test]
fn final_advertisement_of_a_preempted_master_is_no_contest() {
    let take_over = |last: &Advert<'_>| {
        let (mut router, now) = in_state(v3(100), State::Backup);
        let _ = router.handle_advert(now, now, last, HIGH, OWN);
        let due = router.deadline().unwrap().0;
        assert_eq!(router.handle_tick(due).change.unwrap().0, State::Backup);
        let _ = router.handle_advert(due, due, &advert(99, 100), LOW, OWN);
        router.is_contested()
    };
    assert!(!take_over(&advert(99, 100)), "preempted");
    assert!(take_over(&advert(0, 100)), "nobody was left");
    let (mut router, now) = in_state(v3(255), State::Init);
    let _ = router.start(now, None, false);
    let _ = router.handle_advert(now, now, &advert(99, 100), LOW, OWN);
    assert!(!router.is_contested(), "displaced by the owner");
    let later = now + SECOND;
    let _ = router.handle_advert(later, later, &advert(99, 100), LOW, OWN);
    assert!(router.is_contested(), "it does not yield");
}

#[test]
fn disconnected_master_does_not_notice_the_end_of_a_contest() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let _ = router.handle_advert(now, now, &advert(99, 100), LOW, OWN);
    let lost = now + WAIT - nanos(100);
    assert_eq!(reports(&mut router, lost), []);
    router.depart();
    let back = now + WAIT + nanos(100);
    assert_eq!(reports(&mut router, back), []);
    let _ = router.arrive(back);
    let at = back + WAIT;
    assert_eq!(
        reports(&mut router, now + 60 * SECOND),
        [(at, gone(LOW, 99))]
    );
}

#[test]
fn router_that_yields_leaves_the_contest() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let _ = router.handle_advert(now, now, &advert(99, 100), LOW, OWN);
    let _ = router.handle_advert(now, now, &advert(101, 100), HIGH, OWN);
    assert!(!router.is_contested());
    assert_eq!(router.state(), State::Backup);
}
