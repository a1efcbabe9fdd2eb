use std::sync::Mutex;

use super::*;
use crate::channel::{Inbox, Message, Messages};
use crate::testing::PATIENCE;
use crate::units::fake::{Fake, Fate};

const A: &str = "a.service";

#[tokio::test]
async fn active_unit_is_up() {
    let mut rig = Rig::new(None, "active");
    assert_eq!(rig.result().await, (true, "active".to_owned()));
    rig.fake.set(A, "failed");
    let failed = "failed (failed); see journalctl -u a.service";
    assert_eq!(rig.result().await, (false, failed.to_owned()));
    // A job is about to restart the unit.
    rig.fake.set(A, "restarting");
    rig.fake.set(A, "active");
    assert_eq!(rig.result().await, (true, "active".to_owned()));
    rig.fake.set(A, "activating");
    let again = "activating (auto-restart); see journalctl -u a.service";
    assert_eq!(rig.result().await, (false, again.to_owned()));
    assert_eq!(rig.fake.asked(), [""; 0]);
}

#[tokio::test]
async fn successful_restart_is_not_reported_as_down() {
    let mut rig = Rig::new(Some((2, 300)), "active");
    rig.result().await;
    rig.fake.set(A, "failed");
    let often = |times| {
        (
            true,
            format!("active, restarted {times} of at most 2 times within 300 s"),
        )
    };
    assert_eq!(rig.result().await, often(1));
    rig.fake.set(A, "inactive");
    assert_eq!(rig.result().await, often(2));
    rig.fake.set(A, "failed");
    let (up, detail) = rig.result().await;
    let expected =
        "failed (failed); restarted 2 of at most 2 times within 300 s; no further restart";
    assert_eq!((up, &*detail), (false, expected));
    assert_eq!(rig.fake.asked(), ["start a.service"; 2]);
}

#[tokio::test]
async fn failed_restart_is_down_and_retried() {
    let mut rig = Rig::new(Some((3, 300)), "active");
    rig.result().await;
    rig.fake.next("start a.service", Fate::Ends("failed"));
    rig.fake.set(A, "failed");
    let (up, detail) = rig.result().await;
    let expected = "failed (failed); restart failed: start failed; see journalctl -u a.service";
    assert_eq!((up, &*detail), (false, expected));
    let (up, _) = rig.result().await;
    assert!(up);
    assert_eq!(rig.fake.asked(), ["start a.service"; 2]);
}

#[tokio::test]
async fn failed_restart_pauses_despite_state_changes() {
    let mut rig = Rig::new(Some((3, 300)), "active");
    rig.result().await;
    rig.fake.next("start a.service", Fate::Ends("failed"));
    let ended = Instant::now();
    rig.fake.set(A, "failed");
    rig.result().await;
    rig.fake.set(A, "inactive");
    while !rig.result().await.0 {}
    assert!(ended.elapsed() >= PAUSE, "{:?}", ended.elapsed());
    assert_eq!(rig.fake.asked(), ["start a.service"; 2]);
}

#[tokio::test]
async fn unit_is_down_without_systemd() {
    let mut rig = Rig::at("unix:path=/nonexistent/bus".to_owned(), None, "active");
    let (up, detail) = rig.result().await;
    assert!(
        !up && detail.contains("cannot reach systemd over D-Bus"),
        "{detail}"
    );
}

#[tokio::test]
async fn verdict_stays_while_the_bus_does_not_answer() {
    for active in ["active", "failed"] {
        let mut rig = Rig::new(None, active);
        let (up, _) = rig.result().await;
        assert_eq!(up, active == "active");
        rig.fake.stop();
        let (kept, detail) = rig.result().await;
        assert_eq!(kept, up, "{detail}");
        assert!(
            detail
                .starts_with("no result, the last verdict stays: cannot reach systemd over D-Bus"),
            "{detail}"
        );
        rig.fake.listen();
        rig.fake.set(A, if up { "failed" } else { "active" });
        while rig.result().await.0 == up {}
    }
}

/// A tracker with a simulated systemd, and its messages to the node.
struct Rig {
    fake: Fake,
    messages: Arc<Mutex<Messages>>,
    _task: tokio::task::JoinHandle<()>,
}

impl Rig {
    fn new(restart: Option<(u32, u64)>, active: &'static str) -> Self {
        Self::at(String::new(), restart, active)
    }

    /// Uses the bus at `address`; if it is empty, the one of the simulated systemd.
    fn at(address: String, restart: Option<(u32, u64)>, active: &'static str) -> Self {
        let fake = Fake::start();
        fake.set(A, active);
        let address = if address.is_empty() {
            fake.address()
        } else {
            address
        };
        let unit = Unit {
            name: A.into(),
            restart: restart.map(|(at_most, within)| Restart {
                at_most,
                within: Duration::from_secs(within),
                timeout: Duration::from_secs(10),
            }),
        };
        let (inbox, messages) = Inbox::new().unwrap();
        let log = crate::testing::log();
        let reporter = Reporter {
            tracker: "t".into(),
            last: None,
            shortage: None,
            inbox,
            log,
        };
        let task = tokio::spawn(follow(unit, Units::new(address), reporter));
        Self {
            fake,
            messages: Arc::new(Mutex::new(messages)),
            _task: task,
        }
    }

    /// Next result that the node receives.
    async fn result(&mut self) -> (bool, String) {
        let messages = Arc::clone(&self.messages);
        let waiting = move || {
            let messages = messages.lock().unwrap();
            messages.wait(PATIENCE)
        };
        match tokio::task::spawn_blocking(waiting).await.unwrap() {
            Some(Message::Probe { result, detail, .. }) => (result.up, detail.to_string()),
            other => panic!("{other:?}"),
        }
    }
}
