use std::path::Path;
use std::time::Instant;

use super::*;
use crate::testing::{Directory, PATIENCE, block_on};

#[test]
fn the_exit_status_is_the_verdict_and_the_last_line_its_reason() {
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
fn a_program_that_is_not_there_is_a_failure_with_its_name() {
    let program = Program {
        command: &["/nowhere/check".to_owned(), "1".to_owned()],
        ..Program::default()
    };
    let (succeeded, detail) = block_on(async { super::run(program, PATIENCE).await.describe() });
    assert!(!succeeded);
    assert_eq!(
        detail,
        "cannot run /nowhere/check 1: No such file or directory (os error 2)"
    );
}

#[test]
fn a_user_that_does_not_exist_is_a_failure_with_its_name() {
    let (succeeded, detail) = run_as(Some("no-such-user"), "exit 0");
    assert!(!succeeded);
    assert!(
        detail.ends_with("there is no user no-such-user"),
        "{detail}"
    );
}

#[test]
fn as_root_a_program_runs_as_its_user_without_roots_groups() {
    if !nix::unistd::geteuid().is_root() {
        // Nobody else may become another user.
        return;
    }
    let (succeeded, detail) = run_as(Some("nobody"), "echo $(id -un) $(id -gn) $(id -Gn)");
    assert!(succeeded, "{detail}");
    assert_eq!(detail, "exit status: 0: nobody nogroup nogroup");
}

#[test]
fn a_program_that_hangs_is_killed_with_everything_it_started() {
    let directory = Directory::new();
    let pid_file = directory.path("pid");
    let text = format!("sleep 1000 & echo $! > {}; wait", pid_file.display());
    let (succeeded, detail) = run(&text, Duration::from_millis(500));
    assert!(!succeeded);
    assert_eq!(detail, "killed, because it took longer than 0.5 s");
    wait_until_gone(read_pid(&pid_file));
}

#[test]
fn what_a_program_leaves_in_the_background_lives_on_and_holds_nothing_up() {
    let directory = Directory::new();
    let pid_file = directory.path("pid");
    let started = Instant::now();
    // The service keeps the script's standard output.
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
fn a_flood_of_output_neither_blocks_the_program_nor_fills_the_memory() {
    let (succeeded, detail) = run("head -c 1000000 /dev/zero | tr '\\0' x", PATIENCE);
    assert!(succeeded);
    assert!(detail.len() < OUTPUT_LIMIT + 100, "{} bytes", detail.len());
}

#[test]
fn a_program_is_given_an_environment_and_an_input() {
    let program = Program {
        command: &shell("read line; echo $VRRP_TO $line"),
        environment: &[("VRRP_TO", "master".to_owned())],
        input: Some(b"one line\n".to_vec()),
        ..Program::default()
    };
    let said = block_on(async { super::run(program, PATIENCE).await.describe() });
    assert_eq!(said, (true, "exit status: 0: master one line".to_owned()));
}

#[test]
fn who_does_not_read_its_input_is_held_up_by_nothing() {
    let program = Program {
        command: &shell("exit 4"),
        // More than a pipe takes.
        input: Some(vec![b'x'; 1 << 20]),
        ..Program::default()
    };
    let said = block_on(async { super::run(program, PATIENCE).await.describe() });
    assert_eq!(said, (false, "exit status: 4".to_owned()));
}

#[test]
fn dropping_a_run_kills_its_program() {
    let directory = Directory::new();
    let pid_file = directory.path("pid");
    let command = shell(&format!("echo $$ > {}; sleep 1000", pid_file.display()));
    block_on(async {
        let running = tokio::spawn(async move {
            let program = Program {
                command: &command,
                ..Program::default()
            };
            super::run(program, PATIENCE).await.describe()
        });
        while !std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
    });
    wait_until_gone(read_pid(&directory.path("pid")));
}

fn shell(text: &str) -> [String; 3] {
    ["/bin/sh", "-c", text].map(str::to_owned)
}

fn run(text: &str, limit: Duration) -> (bool, String) {
    let program = Program {
        command: &shell(text),
        ..Program::default()
    };
    block_on(async { super::run(program, limit).await.describe() })
}

fn run_as(user: Option<&str>, text: &str) -> (bool, String) {
    let program = Program {
        command: &shell(text),
        user,
        ..Program::default()
    };
    block_on(async { super::run(program, PATIENCE).await.describe() })
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

/// Waits until a killed process is dead: gone, or a zombie of whoever inherited it.
fn wait_until_gone(pid: Pid) {
    let started = Instant::now();
    loop {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Err(_) => return,
            Ok(stat) if stat.contains(") Z ") => return,
            Ok(_) => assert!(started.elapsed() < PATIENCE, "{pid} is still alive"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
