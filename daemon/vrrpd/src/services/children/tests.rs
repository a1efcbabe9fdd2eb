use std::process::Command as Program;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;

use super::*;
use crate::testing::{PATIENCE, block_on};

/// Marks the process that a test starts to run alone.
const ALONE: &str = "VRRPD_TEST_ALONE";

#[test]
fn exit_status_is_available_after_an_interrupted_wait() {
    let status = block_on(async {
        let mut child = Child::start(&mut shell("read line; exit 7")).unwrap();
        let stdin = child.take_stdin();
        let soon = Duration::from_millis(10);
        assert!(timeout(soon, child.wait()).await.is_err());
        drop(stdin);
        child.wait().await.unwrap()
    });
    assert_eq!(status.code(), Some(7));
}

#[test]
fn program_is_waited_for_when_its_handle_is_dropped() {
    block_on(async {
        let child = Child::start(&mut shell("exit 0")).unwrap();
        let pid = child.pid().unwrap();
        drop(child);
        let begun = Instant::now();
        while programs().started.contains(&pid) {
            assert!(begun.elapsed() < PATIENCE);
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn orphans_are_reaped_and_programs_keep_their_statuses() {
    if std::env::var_os(ALONE).is_none() {
        // Children of other tests would count as orphans in this process.
        let name = "services::children::tests::orphans_are_reaped_and_programs_keep_their_statuses";
        let output = Program::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    set_child_subreaper(true).unwrap();
    block_on(async {
        let ends = Ends::of_orphans().unwrap().unwrap();
        tokio::spawn(reap_orphans(ends));
        for number in 0..50 {
            // Two orphans each, one that ends before the program and one that ends about then.
            let script = format!("(: &); (sleep 0.0{number} &); exit {number}");
            let mut together = [(); 4].map(|()| Child::start(&mut shell(&script)).unwrap());
            for child in &mut together {
                assert_eq!(child.wait().await.unwrap().code(), Some(number));
            }
        }
        let begun = Instant::now();
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let found @ (Ok(_) | Err(Errno::EINTR)) = waitid(Id::All, look) {
            assert!(begun.elapsed() < PATIENCE, "{found:?}");
            sleep(Duration::from_millis(5)).await;
        }
    });
}

fn shell(text: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", text])
        .stdin(std::process::Stdio::piped());
    command
}
