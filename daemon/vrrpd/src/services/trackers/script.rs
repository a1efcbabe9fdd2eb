//! Trackers of kind `script`: a program with its exit status as the verdict.
//!
//! It is [run](Runner::run) to its end, and only then the next run is due: it never runs twice at
//! a time.

use tracing::Level;
use vrrp_config::Script;

use super::complaint::is_shortage;
use super::{Reporter, turns};
use crate::services::program::{Outcome, Program, Runner};

/// Task of one tracker.
pub(super) async fn follow(script: Script, runner: Runner, mut reporter: Reporter) {
    let mut turns = turns(script.interval);
    let mut was_told = false;
    loop {
        turns.tick().await;
        let program = Program {
            command: script.command.clone(),
            user: script.user.clone(),
            ..Program::default()
        };
        let outcome = runner.run(program, script.timeout).await;
        let (up, detail) = outcome.describe();
        let told = match &outcome {
            Outcome::Impossible { error, .. } if is_shortage(error) => reporter.keep(&detail),
            Outcome::Ended { .. } | Outcome::TooSlow { .. } | Outcome::Impossible { .. } => {
                reporter.report(up, detail)
            }
        };
        if told.is_err() {
            return;
        }
        match outcome {
            // So that it never runs twice at a time.
            Outcome::TooSlow { rest, .. } => rest.wait().await,
            Outcome::Ended {
                crowds_out: true, ..
            } if !was_told => {
                was_told = true;
                let text = "each run leaves a process in the background that holds its output: the output \
                            of the earliest is not read any more, and writing to it ends that process; \
                            redirect it (>/dev/null 2>&1)";
                reporter.note(Level::WARN, text);
            }
            Outcome::Ended { .. } | Outcome::Impossible { .. } => {}
        }
    }
}
