use std::thread;

use super::*;
use crate::testing::{Directory, block_on, log};

#[test]
fn request_is_carried_out_and_saved() {
    block_on(async {
        let rig = Rig::new();
        let drain = r#"{"drain":{"lasts":{"seconds":60},"lastResort":true}}"#;
        let answer = rig.ask(drain.as_bytes()).await;
        assert!(answer.done, "{answer:?}");
        assert_eq!(answer.problems, [""; 0]);
        assert!(rig.directory.path("commands.json").exists());
    });
}

#[test]
fn request_that_is_malformed_or_too_long_is_refused() {
    block_on(async {
        let rig = Rig::new();
        for (line, problem) in [
            (b"{}\n".to_vec(), "malformed request"),
            (vec![b'x'; 1 << 20], "a request has at most 4096 bytes"),
            (Vec::new(), "malformed request"),
        ] {
            let answer = rig.ask(&line).await;
            assert!(!answer.done);
            assert!(answer.problems[0].starts_with(problem), "{answer:?}");
        }
    });
}

#[test]
fn clients_that_send_nothing_do_not_delay_another() {
    block_on(async {
        let rig = Rig::new();
        let mut silent = Vec::new();
        for _ in 1..CONNECTIONS {
            silent.push(UnixStream::connect(&rig.path).await.unwrap());
        }
        let answer = rig.ask(br#"{"announce":{"instance":"all"}}"#).await;
        assert!(answer.done, "{answer:?}");
        drop(silent);
    });
}

#[test]
fn connection_beyond_the_limit_is_refused() {
    block_on(async {
        let rig = Rig::new();
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(UnixStream::connect(&rig.path).await.unwrap());
        }
        let answer = rig.ask(b"").await;
        assert_eq!(
            answer.problems,
            ["the daemon carries out 16 commands already"]
        );
    });
}

#[test]
fn unknown_instance_is_answered_with_a_suggestion() {
    let request = Request::Announce {
        instance: vrrp_commands::Scope::Name("VI_11".into()),
    };
    let known = ["VI_1".into(), "other".into()];
    let answer = report::unknown(&request, &known);
    assert_eq!(
        answer.problems,
        ["there is no instance VI_11: did you mean VI_1?"]
    );
}

/// Command socket of a node that carries out everything.
struct Rig {
    directory: Directory,
    path: std::path::PathBuf,
}

impl Rig {
    fn new() -> Self {
        let directory = Directory::new();
        let path = directory.path("command.sock");
        let listener = listener::adopt(listen(&path).unwrap()).unwrap();
        let (inbox, messages) = Inbox::new().unwrap();
        // Ends with the last handle of the inbox.
        thread::spawn(move || {
            while let Some(message) = messages.wait(crate::testing::PATIENCE) {
                if let Message::Operate(operation) = message {
                    let (effects, standing) = (Vec::new(), Vec::new());
                    let _ = operation.reply.send(Outcome::Done {
                        effects,
                        standing,
                        ended: 0,
                    });
                }
            }
        });
        let (reloads, _) = mpsc::channel(1);
        let store = Store::in_directory(&directory.path(""));
        let executor = Executor::new(inbox, reloads, store, log());
        tokio::spawn(serve(listener, executor));
        Self { directory, path }
    }

    /// Sends bytes, as far as the daemon takes them, and returns the answer.
    async fn ask(&self, bytes: &[u8]) -> Answer {
        let stream = UnixStream::connect(&self.path).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let sending = async {
            let _ = writer.write_all(bytes).await;
            let _ = writer.shutdown().await;
        };
        let mut line = Vec::new();
        let reading = reader.read_to_end(&mut line);
        let (_, read) = tokio::join!(sending, reading);
        // A request that was cut is answered before it was read to its end.
        assert!(read.is_ok() || !line.is_empty(), "{read:?}");
        Answer::parse(&line).unwrap()
    }
}
