//! Repeated announcements of a master.

use super::rig::*;
use crate::router::*;

/// Settings with a long advertisement interval, so that deadlines are those of announcements.
fn with(announce: Announcements) -> Settings {
    Settings {
        interval: AdvertInterval::from_centiseconds(4095).unwrap(),
        announce,
        ..v3(100)
    }
}

/// A master, and the time of its take-over.
fn mastering(settings: Settings) -> (Router, Instant) {
    let mut router = Router::new(settings);
    let _ = router.start(T0, None, false);
    let since = router.deadline().unwrap().0;
    let _ = router.handle_tick(since);
    assert_eq!(router.state(), State::Master);
    (router, since)
}

/// Times of the announcements from `since` to `end`, with a tick `late` after every deadline.
fn announced(router: &mut Router, since: Instant, end: Duration, late: Duration) -> Vec<Duration> {
    let mut times = Vec::new();
    while let Some((due, why)) = router.deadline()
        && due <= since + end
    {
        let reaction = router.handle_tick(due + late);
        assert_eq!(reaction.announce, why == Due::Announcement);
        if reaction.announce {
            times.push((due + late).since(since));
        }
    }
    times
}

fn seconds(times: &[u64]) -> Vec<Duration> {
    times.iter().map(|n| Duration::from_secs(*n)).collect()
}

#[test]
fn second_announcement_follows_after_the_delay() {
    for (delay, times) in [(1, seconds(&[1])), (5, seconds(&[5])), (0, seconds(&[]))] {
        let (mut router, since) = mastering(with(Announcements {
            delay: SECOND * delay,
            ..Announcements::DEFAULT
        }));
        let all = announced(&mut router, since, SECOND * 100, Duration::ZERO);
        assert_eq!(all, times, "a delay of {delay} s");
    }
}

#[test]
fn master_repeats_announcements_at_the_refresh_interval() {
    let announce = Announcements {
        refresh: SECOND * 10,
        ..Announcements::DEFAULT
    };
    let (mut router, since) = mastering(with(announce));
    let all = announced(&mut router, since, SECOND * 30, Duration::ZERO);
    assert_eq!(all, seconds(&[1, 10, 20, 30]));
    let now = since + SECOND * 31;
    let _ = router.handle_advert(now, now, &advert(200, 4095), HIGH, OWN);
    assert_eq!(
        router.deadline().unwrap().1,
        Due::TakeOver,
        "no announcement as backup"
    );

    let alone = Announcements {
        delay: Duration::ZERO,
        ..announce
    };
    let (mut router, since) = mastering(with(alone));
    let all = announced(&mut router, since, SECOND * 30, Duration::ZERO);
    assert_eq!(all, seconds(&[10, 20, 30]));
}

#[test]
fn late_announcements_neither_shift_nor_accumulate() {
    let announce = Announcements {
        refresh: SECOND * 10,
        ..Announcements::DEFAULT
    };
    let (mut router, since) = mastering(with(announce));
    let all = announced(&mut router, since, SECOND * 30, SECOND / 2);
    let half = Duration::from_millis(500);
    let late = seconds(&[1, 10, 20, 30])
        .iter()
        .map(|at| *at + half)
        .collect::<Vec<_>>();
    assert_eq!(all, late);
    assert!(router.handle_tick(since + SECOND * 75).announce, "once");
    assert!(!router.handle_tick(since + SECOND * 75).announce);
    assert_eq!(
        router.deadline(),
        Some((since + SECOND * 80, Due::Announcement))
    );
}

#[test]
fn lower_priority_causes_an_announcement_between_the_regular_ones() {
    let announce = Announcements {
        delay: SECOND * 20,
        refresh: SECOND * 50,
        ..Announcements::DEFAULT
    };
    let (mut router, since) = mastering(with(announce));
    let soon = since + SECOND / 2;
    assert!(
        !router
            .handle_advert(soon, soon, &advert(50, 100), LOW, OWN)
            .announce
    );
    let later = since + SECOND * 19 + SECOND / 2;
    let all = announced(&mut router, since, SECOND * 19, Duration::ZERO);
    assert_eq!(all, seconds(&[1]), "delayed to one second after the last");
    assert!(
        router
            .handle_advert(later, later, &advert(50, 100), LOW, OWN)
            .announce
    );
    let again = later + SECOND / 4;
    assert!(
        !router
            .handle_advert(again, again, &advert(50, 100), LOW, OWN)
            .announce
    );
    let all = announced(&mut router, since, SECOND * 60, Duration::ZERO);
    assert_eq!(
        all,
        seconds(&[20, 50]),
        "the delayed announcement coincides with the one that was due"
    );
}

#[test]
fn without_on_lower_priority_a_master_only_replies() {
    let quiet = Announcements {
        on_lower_priority: false,
        ..Announcements::DEFAULT
    };
    let (mut router, since) = mastering(with(quiet));
    let receive_after = |router: &mut Router, after| {
        let at = since + after;
        let reaction = router.handle_advert(at, at, &advert(50, 100), LOW, OWN);
        assert!(!reaction.announce, "{after:?}");
        assert_eq!(reaction.send, Some(Send::Advert));
    };
    receive_after(&mut router, SECOND / 2);
    let all = announced(&mut router, since, SECOND * 2, Duration::ZERO);
    assert_eq!(all, seconds(&[1]), "only the regular second announcement");
    for after in [SECOND * 2, SECOND * 30] {
        receive_after(&mut router, after);
    }
    let all = announced(&mut router, since, SECOND * 120, Duration::ZERO);
    assert_eq!(all, seconds(&[]));
}

#[test]
fn new_announcement_settings_count_from_the_take_over() {
    let refreshed = |refresh| {
        with(Announcements {
            refresh: SECOND * refresh,
            ..Announcements::DEFAULT
        })
    };
    let (mut router, since) = mastering(refreshed(0));
    let all = announced(&mut router, since, SECOND * 7, Duration::ZERO);
    assert_eq!(all, seconds(&[1]));
    router.set_settings(since + SECOND * 7, refreshed(3));
    let all = announced(&mut router, since, SECOND * 14, Duration::ZERO);
    assert_eq!(all, seconds(&[9, 12]));
    router.set_settings(since + SECOND * 14, refreshed(20));
    let all = announced(&mut router, since, SECOND * 40, Duration::ZERO);
    assert_eq!(all, seconds(&[20, 40]));
    router.set_settings(since + SECOND * 40, refreshed(0));
    let all = announced(&mut router, since, SECOND * 200, Duration::ZERO);
    assert_eq!(all, seconds(&[]));
}

#[test]
fn unrelated_new_settings_keep_a_due_announcement() {
    let (mut router, since) = mastering(with(Announcements::DEFAULT));
    let late = since + SECOND * 2;
    let changed = Settings {
        priority: Priority::new(150).unwrap(),
        ..with(Announcements::DEFAULT)
    };
    router.set_settings(late, changed);
    assert_eq!(
        router.deadline(),
        Some((since + SECOND, Due::Announcement)),
        "the announcement is still due"
    );
}
