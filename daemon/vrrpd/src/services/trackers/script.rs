//! Trackers of kind `script`: a program with its exit status as the verdict.
//!
//! It is [run](program::run) to its end, and only then the next run is due: it never runs twice at
//! a time.

use vrrp_config::Script;

use super::{Reporter, turns};
use crate::services::program::{self, Outcome, Program};

/// Task of one tracker.
pub(super) async fn follow(script: Script, mut reporter: Reporter) {
    let mut turns = turns(script.interval);
    loop {
        turns.tick().await;
        let program = Program {
            command: &script.command,
            user: script.user.as_deref(),
            ..Program::default()
        };
        let outcome = program::run(program, script.timeout).await;
        let (up, detail) = outcome.describe();
        if reporter.report(up, detail).is_err() {
            return;
        }
        if let Outcome::TooSlow { mut child, .. } = outcome {
            // Waits until the killed program has ended, so that it never runs twice at a time.
            let _ = child.wait().await;
        }
    }
}
