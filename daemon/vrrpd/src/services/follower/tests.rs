use std::collections::BTreeMap;
use std::future::pending;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use vrrp_config::{Command, Style};
use vrrp_proto::notify::{Notify, Subject};
use vrrp_proto::params::NodeParams;
use vrrp_proto::resources::{Handover, ResourceParams};
use vrrp_proto::{Cause, Instant, Priority, State, Transition};

use super::super::resources::configured;
use super::*;
use crate::channel::Messages;
use crate::testing::{Directory, PATIENCE, block_on};
use crate::units::fake::{Fake, Fate};

const STARTED: [&str; 2] = ["start vrrp-master@VI_1.target", "start a.service"];

#[test]
fn stop_waits_for_resources_with_handover_after_stop() {
    block_on(async {
        let mut rig = Rig::new(Handover::AfterStop, "true");
        rig.become_master().await;
        rig.fake.next("stop a.service", Fate::Hangs);
        rig.follower.stop();
        rig.asked(3).await;
        assert!(!rig.is_told_to_stop());
        rig.fake.end("a.service", "done");
        rig.asked(4).await;
        rig.drive(|rig| rig.is_told_to_stop()).await;
    });
}

#[test]
fn second_stop_does_not_wait_for_resources_or_commands() {
    block_on(async {
        let mut rig = Rig::new(Handover::AfterStop, "exec sleep 1000");
        rig.become_master().await;
        rig.fake.next("stop a.service", Fate::Hangs);
        rig.follower.stop();
        rig.asked(3).await;
        assert!(!rig.is_told_to_stop());
        rig.follower.stop();
        rig.follower.go_on();
        assert!(rig.is_told_to_stop());
        rig.node_events(State::Master, State::Init);
        let ends = timeout(PATIENCE, rig.follower.finish(pending()));
        assert!(ends.await.is_ok(), "finish still waits");
    });
}

#[test]
fn handover_at_once_precedes_stop_of_resources() {
    block_on(async {
        let mut rig = Rig::new(Handover::AtOnce, "true");
        rig.become_master().await;
        rig.fake.next("stop a.service", Fate::Hangs);
        rig.follower.stop();
        rig.follower.go_on();
        assert!(rig.is_told_to_stop());
        assert_eq!(rig.fake.asked(), STARTED);
    });
}

#[test]
fn transitions_are_notified_and_finish_waits_for_all() {
    block_on(async {
        let mut rig = Rig::new(Handover::AtOnce, "echo $VRRP_TO >> \"$0\"");
        rig.become_master().await;
        rig.follower.stop();
        rig.follower.go_on();
        rig.node_events(State::Master, State::Init);
        let Rig {
            follower,
            fake,
            directory,
            ..
        } = rig;
        timeout(PATIENCE, follower.finish(pending())).await.unwrap();
        let mut asked = fake.asked().split_off(2);
        // A job may be requested again.
        asked.dedup();
        assert_eq!(asked, ["stop a.service", "stop vrrp-master@VI_1.target"]);
        let heard = std::fs::read_to_string(directory.path("heard")).unwrap();
        assert_eq!(heard, "master\ninit\n");
    });
}

#[test]
fn stop_signal_during_finish_ends_the_wait() {
    block_on(async {
        let mut rig = Rig::new(Handover::AtOnce, "exec sleep 1000");
        rig.become_master().await;
        rig.follower.stop();
        rig.follower.go_on();
        rig.fake.next("stop a.service", Fate::Hangs);
        rig.node_events(State::Master, State::Init);
        let Rig { follower, fake, .. } = rig;
        let told_again = async {
            fake.wait_for_asked(3).await;
        };
        let ends = timeout(PATIENCE, follower.finish(told_again)).await;
        assert!(ends.is_ok(), "finish still waits");
    });
}

#[test]
fn stop_does_not_wait_for_a_configuration_that_cannot_be_read() {
    block_on(async {
        let (mut rig, file) = Rig::with_unanswered_file();
        rig.follower.reload(None);
        rig.follower.go_on();
        rig.become_master().await;
        rig.follower.stop();
        rig.follower.go_on();
        assert!(rig.is_told_to_stop());
        // Ends the thread that reads.
        std::fs::write(file, "").unwrap();
    });
}

#[test]
fn reload_during_a_reload_reads_the_file_again() {
    block_on(async {
        let (mut rig, file) = Rig::with_unanswered_file();
        rig.follower.reload(None);
        rig.follower.reload(None);
        let fifo = file.clone();
        let outdated = spawn_blocking(move || std::fs::write(fifo, "{}").unwrap());
        rig.drive(|rig| matches!(&rig.follower.reading, Some(reading) if !reading.is_outdated))
            .await;
        outdated.await.unwrap();
        assert!(
            rig.configured().is_none(),
            "it was read before the second signal"
        );
        let text = r#"{"instances":{"VI_2":{"interface":"eth1","virtualRouterId":52,"virtualAddresses":[]}}}"#;
        let newer = spawn_blocking(move || std::fs::write(file, text).unwrap());
        let mut configured = None;
        rig.drive(|rig| {
            configured = rig.configured();
            configured.is_some()
        })
        .await;
        newer.await.unwrap();
        let names: Vec<_> = configured.unwrap().routers.into_keys().collect();
        assert_eq!(names, ["VI_2".into()]);
    });
}

/// A follower with the router VI_1, one resource, and one notify command for all transitions.
struct Rig {
    follower: Follower,
    fake: Fake,
    directory: Directory,
    messages: Messages,
    is_told_to_stop: bool,
}

impl Rig {
    /// The command is `script`; its `$0` is a file in the test's directory.
    fn new(handover: Handover, script: &str) -> Self {
        let (fake, directory) = (Fake::start(), Directory::new());
        let (inbox, messages) = Inbox::new().unwrap();
        let log = crate::testing::log();
        let units = Units::new(fake.address());
        let heard = directory.path("heard").display().to_string();
        let words = ["/bin/sh", "-c", script, &heard].map(str::to_owned);
        let command = Command {
            words: words.to_vec(),
            user: None,
            style: Style::Environment,
            addresses: Arc::default(),
            group: None,
        };
        let notify = Notify {
            master: None,
            backup: None,
            fault: None,
            stop: None,
            contested: None,
            any: Some(Arc::new(command)),
            timeout: PATIENCE * 10,
            retries: 0,
            on_start: false,
            on_reload: false,
            members: Vec::new(),
        };
        let resources = ResourceParams {
            handover,
            stop_timeout: PATIENCE * 10,
            ..ResourceParams::new(vec!["a.service".into()])
        };
        let params = ServiceParams {
            node: Arc::default(),
            probes: BTreeMap::new(),
            notify: BTreeMap::from([(Subject::Instance("VI_1".into()), notify)]),
            resources: configured(
                &NodeParams::default(),
                BTreeMap::from([("VI_1".into(), resources)]),
            ),
            names: BTreeSet::new(),
            longest_hand_over: Duration::ZERO,
        };
        Self {
            follower: Follower::new(
                "/nonexistent".into(),
                params,
                Runner::default(),
                units,
                inbox,
                log,
            ),
            fake,
            directory,
            messages,
            is_told_to_stop: false,
        }
    }

    /// The configuration is in a FIFO, which stands for a file system that does not answer.
    fn with_unanswered_file() -> (Self, PathBuf) {
        let mut rig = Self::new(Handover::AtOnce, "true");
        let file = rig.directory.path("vrrp.json");
        mkfifo(&file, Mode::S_IRWXU).unwrap();
        rig.follower.file.clone_from(&file);
        (rig, file)
    }

    fn node_events(&mut self, from: State, to: State) {
        self.follower.take(&NodeEvent::Transition(Transition {
            router: "VI_1".into(),
            from,
            to,
            cause: Cause::Started,
            priority: Priority::DEFAULT,
            at: Instant::ZERO,
        }));
        self.follower.go_on();
    }

    async fn become_master(&mut self) {
        self.node_events(State::Backup, State::Master);
        assert_eq!(self.asked(2).await, STARTED);
    }

    /// Handles events until the condition holds.
    async fn drive(&mut self, mut is_so: impl FnMut(&mut Self) -> bool) {
        self.follower.go_on();
        while !is_so(self) {
            let turn = timeout(PATIENCE, self.follower.turn()).await;
            turn.expect("an event arrives");
            self.follower.go_on();
        }
    }

    /// Waits for `count` requests to systemd, and returns all.
    async fn asked(&mut self, count: usize) -> Vec<String> {
        self.follower.go_on();
        while self.fake.asked().len() < count {
            tokio::select! {
                () = self.follower.turn() => {}
                _ = self.fake.wait_for_asked(count) => {}
            }
            self.follower.go_on();
        }
        self.fake.asked()
    }

    /// The configuration that the node was sent, if there is one.
    fn configured(&self) -> Option<NodeParams> {
        let mut told = std::iter::from_fn(|| self.messages.next_sent());
        told.find_map(|told| match told {
            Message::Configure(params) => Some(params),
            Message::Probe { .. }
            | Message::Resolved { .. }
            | Message::Inhibited { .. }
            | Message::Operate(_)
            | Message::Snapshot(_)
            | Message::Numbers(_)
            | Message::Leave(_)
            | Message::Stop => None,
        })
    }

    fn is_told_to_stop(&mut self) -> bool {
        let mut told = std::iter::from_fn(|| self.messages.next_sent());
        self.is_told_to_stop |= told.any(|told| matches!(told, Message::Stop));
        self.is_told_to_stop
    }
}
