use std::io::Write as _;
use std::path::Path;

use nix::unistd::{Gid, Uid};
use vrrp_linux::ids::Ids;

use super::super::children::settle;
use super::*;
use crate::testing::{Directory, PATIENCE, block_on};

#[test]
fn exit_status_is_verdict_and_last_line_its_reason() {
    assert_eq!(run("exit 0", PATIENCE), (true, "exit status: 0".to_owned()));
    assert_eq!(
        run("echo one; echo two >&2; echo; exit 3", PATIENCE),
        (false, "exit status: 3: two".to_owned())
    );
    assert_eq!(
        run("kill -TERM $$", PATIENCE),
        (false, "signal: 15 (SIGTERM)".to_owned())
    );
}

#[test]
fn control_characters_of_the_output_are_escaped() {
    let (_, detail) = run(r"printf 'ok\033[31mred\r2026 forged\n'", PATIENCE);
    assert_eq!(detail, r"exit status: 0: ok\u{1b}[31mred\r2026 forged");
}

#[test]
fn missing_program_is_named() {
    let program = Program {
        command: ["/nowhere/check", "1"].map(str::to_owned).into(),
        ..Program::default()
    };
    let (succeeded, detail) =
        block_on(async { Runner::default().run(program, PATIENCE).await.describe() });
    assert!(!succeeded);
    assert_eq!(
        detail,
        "cannot run /nowhere/check: No such file or directory (os error 2)"
    );
}

#[test]
fn missing_user_is_named() {
    let (succeeded, detail) = run_as(Some("no-such-user"), "exit 0");
    assert!(!succeeded);
    assert!(
        detail.ends_with("there is no user no-such-user"),
        "{detail}"
    );
}

#[test]
fn program_runs_as_user_without_groups_of_root() {
    if !is_root("program_runs_as_user_without_groups_of_root") {
        return;
    }
    let text = "echo $(id -un) $(id -gn) $(id -Gn) $USER $HOME";
    let (succeeded, detail) = run_as(Some("nobody"), text);
    assert!(succeeded, "{detail}");
    assert_eq!(
        detail,
        "exit status: 0: nobody nogroup nogroup nobody /nonexistent"
    );
}

#[test]
fn program_has_all_groups_of_its_user() {
    if !is_root("program_has_all_groups_of_its_user") {
        return;
    }
    let ids = Ids {
        user: Uid::from_raw(4_241),
        group: Gid::from_raw(4_242),
        groups: [4_242, 4_243, 4_244].map(Gid::from_raw).into(),
    };
    let home = "/".into();
    let runner = Runner::default();
    runner.users.learn("guest", Some(Account { ids, home }));
    let program = Program {
        command: shell("echo $(id -u) $(id -G)"),
        user: Some("guest".to_owned()),
        ..Program::default()
    };
    let (_, detail) = block_on(async { runner.run(program, PATIENCE).await.describe() });
    assert_eq!(detail, "exit status: 0: 4241 4242 4243 4244");
}

/// Whether this process may change the user of a program. Without that the test cannot run, and says so.
fn is_root(test: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        // The harness captures what is printed, and cannot ignore a test that runs.
        let _ = writeln!(
            io::stderr(),
            "{test}: NOT RUN: only root may change the user"
        );
    }
    is_root
}

#[test]
fn timeout_kills_process_group() {
    let directory = Directory::new();
    let pid_file = directory.path("pid");
    let text = format!("sleep 1000 & echo $! > {}; wait", pid_file.display());
    let (succeeded, detail) = run(&text, Duration::from_millis(500));
    assert!(!succeeded);
    assert_eq!(detail, "killed, because it took longer than 0.5 s");
    wait_until_gone(read_pid(&pid_file));
}

#[test]
fn background_process_survives_and_is_not_awaited() {
    let directory = Directory::new();
    let pid_file = directory.path("pid");
    let started = std::time::Instant::now();
    // The background process keeps the script's standard output open.
    let text = format!(
        "sleep 1000 & echo $! > {}; echo started",
        pid_file.display()
    );
    assert_eq!(
        run(&text, PATIENCE),
        (true, "exit status: 0: started".to_owned())
    );
    assert!(started.elapsed() < PATIENCE);
    let service = read_pid(&pid_file);
    nix::sys::signal::kill(service, None).expect("the service is alive");
    nix::sys::signal::kill(service, Signal::SIGKILL).unwrap();
}

#[test]
fn timeout_includes_the_start_of_the_program() {
    for is_dropped in [false, true] {
        let directory = Directory::new();
        let pid_file = directory.path("pid");
        let program = Program {
            command: shell(&format!("echo $$ > {}; sleep 1000", pid_file.display())),
            ..Program::default()
        };
        let (release, held) = std::sync::mpsc::channel::<()>();
        // Stands for a file system that does not answer.
        let start = move || {
            let _ = held.recv();
            let started = start(&program, false, &Users::default());
            // The program is killed at once; here it may write its process ID before.
            while started.is_ok()
                && !std::fs::read_to_string(&pid_file).is_ok_and(|t| !t.is_empty())
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            started
        };
        block_on(async {
            let limit = Duration::from_millis(50);
            let outcome = Runner::default()
                .run_started(vec![], None, limit, start)
                .await;
            assert_eq!(
                outcome.describe(),
                (
                    false,
                    "not started within 0.05 s: its file system or the user database does not answer"
                        .to_owned()
                )
            );
            let Outcome::TooSlow { rest, .. } = outcome else {
                panic!("{outcome:?}");
            };
            if is_dropped {
                drop(rest);
                drop(release);
                while !directory.path("pid").exists() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            } else {
                drop(release);
                rest.wait().await;
            }
            settle(PATIENCE).await;
        });
        wait_until_gone(read_pid(&directory.path("pid")));
    }
}

#[test]
fn output_of_the_last_background_processes_is_read() {
    // Ends when its output is closed.
    let text = "(while echo x; do sleep 0.01; done) & echo $!";
    block_on(async {
        let (runner, mut services) = (Runner::default(), vec![]);
        for number in 0..LEFT + 2 {
            let program = Program {
                command: shell(text),
                ..Program::default()
            };
            let outcome = runner.run(program, PATIENCE).await;
            let Outcome::Ended {
                output, crowds_out, ..
            } = outcome
            else {
                panic!("{outcome:?}");
            };
            assert_eq!(crowds_out, number >= LEFT, "run {number}");
            let number = output.lines().find(|line| *line != "x").unwrap();
            services.push(Pid::from_raw(number.parse().unwrap()));
        }
        let alive = services.split_off(2);
        let ended = spawn_blocking(move || services.into_iter().for_each(wait_until_gone));
        ended.await.unwrap();
        for pid in alive {
            nix::sys::signal::kill(pid, Signal::SIGKILL).expect("the service is alive");
        }
    });
}

#[test]
fn kept_output_is_limited() {
    let (succeeded, detail) = run("head -c 1000000 /dev/zero | tr '\\0' x", PATIENCE);
    assert!(succeeded);
    assert!(detail.len() < OUTPUT_LIMIT + 100, "{} bytes", detail.len());
}

#[test]
fn program_gets_environment_and_input() {
    let program = Program {
        command: shell("read line; echo $VRRP_TO $line"),
        environment: vec![("VRRP_TO".into(), "master".to_owned())],
        input: Some("one line\n".to_owned()),
        ..Program::default()
    };
    let said = block_on(async { Runner::default().run(program, PATIENCE).await.describe() });
    assert_eq!(said, (true, "exit status: 0: master one line".to_owned()));
}

#[test]
fn unread_input_does_not_block() {
    let program = Program {
        command: shell("exit 4"),
        // More than the buffer of a pipe.
        input: Some("x".repeat(1 << 20)),
        ..Program::default()
    };
    let said = block_on(async { Runner::default().run(program, PATIENCE).await.describe() });
    assert_eq!(said, (false, "exit status: 4".to_owned()));
}

#[test]
fn dropped_run_kills_program() {
    let directory = Directory::new();
    let pid_file = directory.path("pid");
    let command = shell(&format!("echo $$ > {}; sleep 1000", pid_file.display()));
    block_on(async {
        let running = tokio::spawn(async move {
            let program = Program {
                command,
                ..Program::default()
            };
            Runner::default().run(program, PATIENCE).await.describe()
        });
        while !std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        settle(PATIENCE).await;
    });
    wait_until_gone(read_pid(&directory.path("pid")));
}

fn shell(text: &str) -> Vec<String> {
    ["/bin/sh", "-c", text].map(str::to_owned).into()
}

fn run(text: &str, limit: Duration) -> (bool, String) {
    let program = Program {
        command: shell(text),
        ..Program::default()
    };
    block_on(async { Runner::default().run(program, limit).await.describe() })
}

fn run_as(user: Option<&str>, text: &str) -> (bool, String) {
    let program = Program {
        command: shell(text),
        user: user.map(str::to_owned),
        ..Program::default()
    };
    block_on(async { Runner::default().run(program, PATIENCE).await.describe() })
}

fn read_pid(file: &Path) -> Pid {
    Pid::from_raw(
        std::fs::read_to_string(file)
            .unwrap()
            .trim()
            .parse()
            .unwrap(),
    )
}

/// Waits until a killed process has ended: it no longer exists, or is a zombie.
fn wait_until_gone(pid: Pid) {
    let started = std::time::Instant::now();
    loop {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Err(_) => return,
            Ok(stat) if stat.contains(") Z ") => return,
            Ok(_) => assert!(started.elapsed() < PATIENCE, "{pid} is still running"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
