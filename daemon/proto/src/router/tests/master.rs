//! The state Active, called master.

use super::rig::*;
use crate::router::master::REPLY_SPACING;
use crate::router::*;

// RFC 9568 6.4.3 MUST: Shutdown: cancel Adver_Timer, send priority 0, Initialize
#[test]
fn stopped_master_resigns() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let reaction = router.stop(Cause::Stopped);
    assert_eq!(reaction.send, Some(Send::Resignation));
    assert_eq!(reaction.change, Some((State::Master, Cause::Stopped)));
    assert_eq!(router.deadline(), None);
}

// RFC 9568 6.4.3 MUST: priority 0 is answered at once, and Adver_Timer set again
#[test]
fn master_answers_a_resignation_and_restarts_adver_timer() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let reaction = router.handle_advert(now, now, &advert(0, 100), HIGH, OWN);
    assert_eq!(
        reaction,
        Reaction {
            send: Some(Send::Advert),
            ..Reaction::default()
        }
    );
    assert_eq!(next_advert(&mut router), now + SECOND);
}

// RFC 9568 6.4.3 MUST: priority 0 is answered at once, and Adver_Timer set again
#[test]
fn resignation_flood_is_answered_every_ten_milliseconds() {
    let (router, end) = flooded(0);
    assert!(
        router.deadline().unwrap().0 <= end + REPLY_SPACING,
        "the last one is answered, too, before the skew time of any backup"
    );
}

// RFC 9568 6.4.3 MUST: anything else is discarded and answered at once
#[test]
fn lower_priority_flood_is_answered_every_ten_milliseconds() {
    flooded(99);
}

/// Gives a master an advertisement every microsecond for 100 ms, and checks the number of answers. Returns
/// the router and the end of that time.
fn flooded(priority: u8) -> (Router, Instant) {
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
                .handle_advert(at, at, &advert(priority, 100), HIGH, OWN)
                .send
                .is_some(),
        );
    }
    assert_eq!(sent, 10, "in 100 ms");
    (router, now + Duration::from_millis(100))
}

#[test]
fn delayed_answer_coincides_with_a_due_advertisement() {
    let often = Settings {
        interval: AdvertInterval::from_centiseconds(1).unwrap(),
        ..v3(100)
    };
    let (mut router, now) = in_state(often, State::Master);
    let mut answers = |at| {
        let reaction = router.handle_advert(at, at, &advert(0, 1), HIGH, OWN);
        let sent = reaction.send.is_some();
        (sent, next_advert(&mut router))
    };
    let next = now + REPLY_SPACING;
    assert_eq!(answers(now), (true, next));
    let soon = now + Duration::from_millis(1);
    assert_eq!(
        answers(soon),
        (false, next),
        "delayed to the due advertisement"
    );
    assert!(router.handle_tick(next).send.is_some());
    let soon = next + Duration::from_millis(1);
    let reaction = router.handle_advert(soon, soon, &advert(0, 1), HIGH, OWN);
    assert!(reaction.send.is_some());
}

// RFC 9568 6.4.3 MUST: a greater priority makes it Backup
// RFC 9568 6.4.3 MUST: a master that yields takes the other's interval and sets Active_Down_Timer
// RFC 9568 6.4.3 MUST: a master that yields sends nothing more
#[test]
fn master_yields_to_a_greater_priority() {
    for source in [LOW, HIGH] {
        let (mut router, now) = in_state(v3(100), State::Master);
        let reaction = router.handle_advert(now, now, &advert(101, 200), source, OWN);
        let cause = Cause::HigherPriority {
            master: source,
            theirs: 101,
            ours: 100,
        };
        assert_eq!(reaction, yielded(cause));
        assert_eq!(router.deadline().unwrap().0, now + nanos(3_609_375_000 * 2));
        assert_eq!(heard(&router), Some((source, 101)));
    }
}

// RFC 9568 6.4.3 MUST: an equal priority from a greater address makes it Backup
#[test]
fn greater_address_wins_a_priority_tie() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let reaction = router.handle_advert(now, now, &advert(100, 100), LOW, OWN);
    assert_eq!(reaction.change, None);
    assert!(reaction.second_master);
    let reaction = router.handle_advert(now, now, &advert(100, 100), OWN, OWN);
    assert_eq!(
        reaction.change, None,
        "the address has to be greater, not equal"
    );
    let reaction = router.handle_advert(now, now, &advert(100, 100), HIGH, OWN);
    let cause = Cause::HigherAddress {
        master: HIGH,
        priority: 100,
    };
    assert_eq!(reaction, yielded(cause));
}

// RFC 9568 6.4.3 MUST: addresses are compared as unsigned integers in network order
#[test]
fn addresses_are_compared_as_unsigned_integers() {
    let beats = |theirs: [u8; 4], ours: [u8; 4]| {
        let (mut router, now) = in_state(v3(100), State::Master);
        let reaction =
            router.handle_advert(now, now, &advert(100, 100), theirs.into(), ours.into());
        reaction.change.is_some()
    };
    assert!(
        beats([192, 0, 2, 1], [10, 0, 0, 9]),
        "128 and above are not negative"
    );
    assert!(
        beats([10, 0, 1, 1], [10, 0, 0, 9]),
        "the first bytes are the most significant"
    );
    assert!(!beats([10, 0, 0, 9], [10, 0, 1, 1]));
}

// RFC 9568 6.4.3 MUST: anything else is discarded and answered at once
// RFC 5798 6.4.3 MUST: anything else is discarded, and not answered
#[test]
fn version_3_answers_lower_priority_and_keeps_adver_timer() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let due = router.deadline();
    let reaction = router.handle_advert(now, now, &advert(99, 100), HIGH, OWN);
    assert_eq!(reaction.send, Some(Send::Advert));
    assert_eq!(reaction.change, None);
    assert!(reaction.second_master);
    assert_eq!(router.deadline(), due);
}

// RFC 3768 6.4.3 MUST: anything else is discarded, and not answered
#[test]
fn version_2_does_not_answer_a_lower_priority() {
    let (mut router, now) = in_state(v2(100), State::Master);
    let due = router.deadline();
    let reaction = router.handle_advert(now, now, &advert(99, 100), HIGH, OWN);
    assert_eq!(reaction.send, None);
    assert_eq!(reaction.change, None);
    assert!(reaction.second_master);
    assert_eq!(router.deadline(), due);
}

#[test]
fn final_advertisement_of_the_former_master_is_not_reported() {
    let mut router = Router::new(v3(100));
    let _ = router.start(T0, None, false);
    let due = router.deadline().unwrap().0;
    assert_eq!(router.handle_tick(due).send, Some(Send::Advert));
    let soon = due + nanos(1_000_000);
    let reaction = router.handle_advert(soon, soon, &advert(99, 100), LOW, OWN);
    assert!(!reaction.second_master);
    assert!(
        !reaction.announce,
        "the addresses were announced a millisecond ago"
    );
    let later = due + nanos(1_000_000_000);
    assert!(
        router.handle_tick(later).announce,
        "the regular second announcement"
    );
    let reaction = router.handle_advert(later, later, &advert(99, 100), LOW, OWN);
    assert!(reaction.second_master, "a second master after one second");
}

#[test]
fn too_early_announcement_is_delayed_and_not_skipped() {
    let (mut router, now) = in_state(v3(100), State::Master);
    let reaction = router.handle_advert(now, now, &advert(99, 100), LOW, OWN);
    assert!(reaction.announce);
    let soon = now + nanos(300_000_000);
    let reaction = router.handle_advert(soon, soon, &advert(99, 100), LOW, OWN);
    assert!(!reaction.announce);
    let due = now + nanos(1_000_000_000);
    assert!(!router.handle_tick(due - nanos(1)).announce);
    assert!(router.handle_tick(due).announce);
}

#[test]
fn replies_are_ten_milliseconds_apart_and_announcements_one_second() {
    let (mut router, _) = in_state(v3(100), State::Master);
    let start = next_advert(&mut router);
    let (mut sent, mut announced) = (0, 0);
    for n in 0..900_000_u32 {
        let at = start - Duration::from_millis(950) + Duration::from_micros(1) * n;
        let reaction = router.handle_advert(at, at, &advert(1, 100), HIGH, OWN);
        sent += u32::from(reaction.send.is_some());
        announced += u32::from(reaction.announce);
    }
    assert_eq!(sent, 90, "in 900 ms");
    assert_eq!(announced, 1, "the take-over was more than a second ago");
}

#[test]
fn owner_yields_only_to_an_owner_with_greater_address() {
    for (priority, source, state) in [
        (254, HIGH, State::Master),
        (255, LOW, State::Master),
        (255, HIGH, State::Backup),
    ] {
        let (mut router, now) = in_state(v3(255), State::Master);
        let _ = router.handle_advert(now, now, &advert(priority, 100), source, OWN);
        assert_eq!(router.state(), state, "{priority} from {source}");
    }
}
