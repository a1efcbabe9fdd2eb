//! Signal dispositions that a process inherits (signal(7)).

use std::io;

use crate::sys;

/// Lets the kernel keep the exit status of a child until this process waits for it. A process that
/// was started with SIGCHLD ignored never gets one: wait(2) fails with ECHILD, and every check
/// script would count as failed.
///
/// # Errors
/// None is expected.
pub fn keep_exit_statuses() -> io::Result<()> {
    sys::restore_child_signal()
}
