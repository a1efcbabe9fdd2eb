use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;

use super::*;
use crate::services::trackers::is_shortage;
use crate::testing::{Directory, PATIENCE, block_on};

/// Runs `test` beside a script runner.
fn beside<T>(allowed: Allowed, test: impl AsyncFnOnce(Runner, &Directory) -> T) -> T {
    let directory = Directory::new();
    let socket = directory.path("socket");
    let listener = StdListener::bind(&socket).unwrap();
    block_on(async {
        let listener = adopt(listener).unwrap();
        let serving = tokio::spawn(answer_all(listener, allowed));
        let result = test(Runner::new(Some(socket)), &directory).await;
        serving.abort();
        result
    })
}

fn shell(text: &str) -> Program {
    Program {
        command: ["/bin/sh", "-c", text].map(str::to_owned).into(),
        ..Program::default()
    }
}

#[test]
fn status_output_and_input_are_those_of_the_program() {
    beside(Allowed::default(), async |runner, _| {
        let program = Program {
            environment: vec![("VRRP_EVENT".into(), "master".to_owned())],
            input: Some("object\n".to_owned()),
            ..shell("read line; echo $line of $VRRP_EVENT; exit 3")
        };
        let outcome = runner.run(program, PATIENCE).await;
        let expected = "exit status: 3: object of master";
        assert_eq!(outcome.describe(), (false, expected.to_owned()));

        let outcome = runner.run(shell("kill -TERM $$"), PATIENCE).await;
        assert_eq!(outcome.describe().1, "signal: 15 (SIGTERM)");
    });
}

#[test]
fn slow_program_is_killed_and_its_end_waited_for() {
    beside(Allowed::default(), async |runner, directory| {
        let pid = directory.path("pid");
        let text = format!("echo $$ > {}; exec sleep 1000", pid.display());
        let limit = Duration::from_millis(200);
        let outcome = runner.run(shell(&text), limit).await;
        let expected = "killed, because it took longer than 0.2 s";
        assert_eq!(outcome.describe(), (false, expected.to_owned()));
        let Outcome::TooSlow { rest, .. } = outcome else {
            unreachable!("it was too slow");
        };
        timeout(PATIENCE, rest.wait()).await.expect("it has ended");
        assert!(!is_running(&pid));
    });
}

#[test]
fn program_is_killed_when_nobody_waits_for_it() {
    beside(Allowed::default(), async |runner, directory| {
        let pid = directory.path("pid");
        let text = format!("echo $$ > {}; exec sleep 1000", pid.display());
        tokio::select! {
            _ = runner.run(shell(&text), PATIENCE) => unreachable!("it sleeps"),
            () = until(|| is_running(&pid)) => {}
        }
        until(|| !is_running(&pid)).await;
    });
}

#[test]
fn missing_program_is_an_error_of_the_program() {
    beside(Allowed::default(), async |runner, _| {
        let program = Program {
            command: vec!["/nowhere/check".to_owned(), "secret".to_owned()],
            ..Program::default()
        };
        let outcome = runner.run(program, PATIENCE).await;
        let expected = "cannot run /nowhere/check: No such file or directory (os error 2)";
        assert_eq!(outcome.describe(), (false, expected.to_owned()));
        let Outcome::Impossible { error, .. } = outcome else {
            unreachable!("there is no such program");
        };
        assert!(!is_shortage(&error));
    });
}

#[test]
fn user_that_was_not_allowed_is_refused() {
    let allowed = Allowed {
        default: Some("nobody".to_owned()),
        others: ["backup".to_owned()].into(),
    };
    let user = |name: &str| {
        allowed
            .user(Some(name.to_owned()))
            .map_err(|it| it.to_string())
    };
    assert_eq!(user("backup"), Ok(Some("backup".to_owned())));
    assert_eq!(user("nobody"), Ok(Some("nobody".to_owned())));
    assert_eq!(allowed.user(None).unwrap(), Some("nobody".to_owned()));
    let expected =
        "the script runner does not run programs as root: start it with --allow root".to_owned();
    assert_eq!(user("root"), Err(expected));
    beside(allowed, async |runner, _| {
        let program = Program {
            user: Some("root".to_owned()),
            ..shell("exit 0")
        };
        let (succeeded, detail) = runner.run(program, PATIENCE).await.describe();
        assert!(!succeeded);
        assert!(detail.ends_with("start it with --allow root"), "{detail}");
    });
}

#[test]
fn missing_script_runner_says_nothing_of_the_program() {
    let directory = Directory::new();
    let socket = directory.path("socket");
    block_on(async {
        let runner = Runner::new(Some(socket.clone()));
        let absent = runner.run(shell("exit 0"), PATIENCE).await;
        assert_lost(&absent, &socket, "No such file or directory");

        // It ends during the run.
        let listener = UnixListener::bind(&socket).unwrap();
        let dying = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.read_u8().await.unwrap();
        };
        let (outcome, ()) = tokio::join!(runner.run(shell("exit 0"), PATIENCE), dying);
        assert_lost(&outcome, &socket, "");
    });
}

fn assert_lost(outcome: &Outcome, socket: &Path, reason: &str) {
    let (succeeded, detail) = outcome.describe();
    assert!(!succeeded);
    let socket = socket.display();
    let expected =
        format!("cannot run /bin/sh: the script runner at {socket} does not answer: {reason}");
    assert!(detail.starts_with(&expected), "{detail}");
    let Outcome::Impossible { error, .. } = outcome else {
        unreachable!("nobody ran it");
    };
    assert!(is_shortage(error));
}

/// Whether the process with the ID in a file runs.
fn is_running(file: &PathBuf) -> bool {
    let pid = std::fs::read_to_string(file).unwrap_or_default();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    // A zombie has ended.
    !pid.is_empty() && stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let waits = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waits).await.expect("it comes true");
}
