//! Trackers of kind `script`: a program that says by its exit status whether something is well.
//!
//! It is [run](program::run), its end is waited for, and only then the next turn: it never runs twice
//! at a time.

use vrrp_config::Script;

use super::{Reporter, turns};
use crate::services::program::{self, Outcome, Program};

/// The life of one tracker.
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
            // Not gone before this returns: it is never started a second time beside itself.
            let _ = child.wait().await;
        }
    }
}
