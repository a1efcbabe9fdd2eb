use super::fake::{Fake, Fate};
use super::*;

const A: &str = "a.service";

#[tokio::test]
async fn job_end_is_awaited_and_described() {
    let fake = Fake::start();
    let units = Units::new(fake.address());
    assert_eq!(units.job(Verb::Start, A.into()).await, Outcome::Done);
    for (verb, result, expected) in [
        (
            Verb::Start,
            "failed",
            "start failed; see journalctl -u a.service",
        ),
        (
            Verb::Stop,
            "failed",
            "stop failed; see journalctl -u a.service",
        ),
        (Verb::Start, "timeout", "systemd's timeout"),
        (
            Verb::Stop,
            "canceled",
            "another job of the unit replaced this one",
        ),
        (
            Verb::Start,
            "dependency",
            "systemctl list-dependencies a.service",
        ),
        (Verb::Start, "skipped", "does not apply"),
        (Verb::Start, "assert", "an assertion"),
        (Verb::Start, "new", "the job ended with \"new\""),
    ] {
        let word = if verb == Verb::Start { "start" } else { "stop" };
        fake.next(&format!("{word} {A}"), Fate::Ends(result));
        match units.job(verb, A.into()).await {
            Outcome::Failed(why) => assert!(why.contains(expected), "{result}: {why}"),
            other @ (Outcome::Done | Outcome::Lost(_)) => panic!("{result}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn job_end_before_its_acceptance_is_recognised() {
    let fake = Fake::start();
    let units = Units::new(fake.address());
    fake.next("start a.service", Fate::EndsEarly("done"));
    assert_eq!(units.job(Verb::Start, A.into()).await, Outcome::Done);
}

#[tokio::test]
async fn hanging_job_does_not_delay_another() {
    let fake = Fake::start();
    let units = Units::new(fake.address());
    fake.next("start a.service", Fate::Hangs);
    let hanging = tokio::spawn({
        let units = units.clone();
        async move { units.job(Verb::Start, A.into()).await }
    });
    fake.wait_for_asked(1).await;
    assert_eq!(
        units.job(Verb::Stop, "b.service".into()).await,
        Outcome::Done
    );
    assert!(!hanging.is_finished());
    fake.end(A, "done");
    assert_eq!(hanging.await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn rejected_job_is_described_with_remedy() {
    let fake = Fake::start();
    let units = Units::new(fake.address());
    for (error, words, expected) in [
        (
            "org.freedesktop.systemd1.NoSuchUnit",
            "Unit a.service not found.",
            "Unit a.service not found; check systemctl cat a.service",
        ),
        (
            "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
            "Interactive authentication required.",
            "needs a polkit rule for org.freedesktop.systemd1.manage-units, unit a.service, verb start",
        ),
        (
            "org.freedesktop.systemd1.UnitMasked",
            "Unit a.service is masked.",
            "systemctl unmask a.service",
        ),
        (
            "com.example.New",
            "",
            "com.example.New; see systemctl status a.service",
        ),
    ] {
        fake.next("start a.service", Fate::Refused(error, words));
        match units.job(Verb::Start, A.into()).await {
            Outcome::Failed(why) => assert!(why.contains(expected), "{why}"),
            other @ (Outcome::Done | Outcome::Lost(_)) => panic!("{error}: {other:?}"),
        }
    }
    let none = Fate::Refused(
        "org.freedesktop.systemd1.NoSuchUnit",
        "Unit a.service not loaded.",
    );
    fake.next("stop a.service", none);
    let stopped = units.job(Verb::Stop, A.into()).await;
    assert_eq!(stopped, Outcome::Done, "a missing unit does not run");
}

#[tokio::test]
async fn unit_state_follows_signals_of_systemd_only() {
    let fake = Fake::start();
    fake.set(A, "active");
    let units = Units::new(fake.address());
    let mut states = units.watch(A.into()).await.unwrap();
    becomes(&mut states, UnitState::Active).await;
    fake.pretend(A, "failed");
    fake.set("b.service", "failed");
    // The end of this job comes after all earlier signals.
    assert_eq!(
        units.job(Verb::Start, "b.service".into()).await,
        Outcome::Done
    );
    assert_eq!(*states.borrow(), Some(UnitState::Active));
    fake.set(A, "activating");
    let changing = |words: &str| UnitState::Changing(words.into());
    let restarting = |words: &str| UnitState::Restarting(words.into());
    becomes(&mut states, restarting("activating (auto-restart)")).await;
    fake.set(A, "restarting");
    becomes(&mut states, changing("inactive (dead)")).await;
    fake.set(A, "failed");
    becomes(&mut states, UnitState::Ended("failed (failed)".into())).await;
    fake.set(A, "reloading");
    becomes(&mut states, UnitState::Active).await;
}

#[tokio::test]
async fn restart_of_systemd_loses_jobs_and_rereads_states() {
    let fake = Fake::start();
    fake.set(A, "active");
    let units = Units::new(fake.address());
    let mut states = units.watch(A.into()).await.unwrap();
    becomes(&mut states, UnitState::Active).await;
    fake.next("stop a.service", Fate::Hangs);
    let job = tokio::spawn({
        let units = units.clone();
        async move { units.job(Verb::Stop, A.into()).await }
    });
    fake.wait_for_asked(1).await;
    fake.begin_anew(A, "failed");
    assert_eq!(
        job.await.unwrap(),
        Outcome::Lost("systemd was restarted".into())
    );
    becomes(&mut states, UnitState::Ended("failed (failed)".into())).await;
    fake.set(A, "active");
    becomes(&mut states, UnitState::Active).await;
    assert_eq!(units.job(Verb::Stop, A.into()).await, Outcome::Done);
}

#[tokio::test]
async fn short_absence_of_systemd_is_awaited() {
    let fake = Fake::start();
    fake.set(A, "active");
    let units = Units::new(fake.address());
    let mut states = units.watch(A.into()).await.unwrap();
    becomes(&mut states, UnitState::Active).await;
    fake.leave();
    assert_eq!(fake.wait_for_asked(1).await, ["owner of systemd's name"]);
    let job = units.job(Verb::Start, "b.service".into());
    let (outcome, ()) = tokio::join!(job, async { fake.come_back(A, "failed") });
    assert_eq!(outcome, Outcome::Done);
    // No other state was reported in between.
    states.changed().await.unwrap();
    let failed = UnitState::Ended("failed (failed)".into());
    assert_eq!(*states.borrow(), Some(failed));
}

#[tokio::test]
async fn unknown_state_is_requested_again() {
    let fake = Fake::start();
    fake.set(A, "active");
    fake.next(
        "load a.service",
        Fate::Refused("org.freedesktop.DBus.Error.LimitsExceeded", "Too much."),
    );
    let units = Units::new(fake.address());
    let mut states = units.watch(A.into()).await.unwrap();
    let why = "cannot read its state from systemd: Too much";
    becomes(&mut states, UnitState::Unknown(why.into())).await;
    becomes(&mut states, UnitState::Active).await;
}

#[tokio::test]
async fn flood_of_changes_does_not_block_jobs() {
    let fake = Fake::start();
    let units = Units::new(fake.address());
    let mut states = units.watch(A.into()).await.unwrap();
    for _ in 0..500 {
        fake.set(A, "active");
        fake.set(A, "failed");
    }
    let ended = UnitState::Ended("failed (failed)".into());
    fake.wait_for_watched(1).await;
    for _ in 0..500 {
        fake.set(A, "active");
        fake.set(A, "failed");
    }
    assert_eq!(
        units.job(Verb::Stop, "b.service".into()).await,
        Outcome::Done
    );
    becomes(&mut states, ended).await;
    fake.set(A, "active");
    becomes(&mut states, UnitState::Active).await;
}

#[tokio::test]
async fn connection_is_restored_after_restart_of_bus() {
    let mut fake = Fake::start();
    fake.set(A, "active");
    let units = Units::new(fake.address());
    let mut states = units.watch(A.into()).await.unwrap();
    becomes(&mut states, UnitState::Active).await;
    fake.next("stop a.service", Fate::Hangs);
    let job = tokio::spawn({
        let units = units.clone();
        async move { units.job(Verb::Stop, A.into()).await }
    });
    fake.wait_for_asked(1).await;
    fake.stop();
    assert_eq!(
        job.await.unwrap(),
        Outcome::Lost("the bus was restarted".into())
    );
    let unknown = |state: &Option<UnitState>| matches!(state, Some(UnitState::Unknown(why)) if why.contains("cannot reach systemd"));
    let lost = timeout(Duration::from_secs(20), states.wait_for(unknown))
        .await
        .is_ok();
    assert!(lost, "the loss is not reported");
    fake.listen();
    becomes(&mut states, UnitState::Active).await;
}

#[test]
fn delay_between_attempts_doubles_up_to_limit() {
    let mut pause = Pause::default();
    let pauses: Vec<u128> = (0..9).map(|_| pause.next().as_millis()).collect();
    assert_eq!(
        pauses,
        [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
    );
}

#[tokio::test]
async fn without_bus_jobs_are_lost_with_remedy() {
    let units = Units::new("unix:path=/nonexistent/bus".to_owned());
    let expected = "cannot reach systemd over D-Bus (unix:path=/nonexistent/bus): No such file or \
                    directory (os error 2); is dbus running, and is this a host with systemd?";
    let lost = units.job(Verb::Start, A.into()).await;
    assert_eq!(lost, Outcome::Lost(expected.into()));
    let mut states = units.watch(A.into()).await.unwrap();
    becomes(&mut states, UnitState::Unknown(expected.into())).await;
}

/// Waits until a unit has this state.
async fn becomes(states: &mut States, expected: UnitState) {
    let mut last = None;
    let becoming = states.wait_for(|state| {
        last.clone_from(state);
        *state == Some(expected.clone())
    });
    let became = timeout(Duration::from_secs(20), becoming).await.is_ok();
    assert!(became, "it is {last:?}, not {expected:?}");
}
