//! Filter of system calls (seccomp(2)): a process that starts no program gives up the right to.

use std::collections::BTreeMap;

use libc::{EPERM, SYS_execve, SYS_execveat};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter_all_threads};

/// Filter that cannot be installed.
#[derive(Debug, thiserror::Error)]
#[error("cannot install a filter of system calls: {0}")]
pub struct Error(#[from] seccompiler::Error);

/// Makes execve(2) and execveat(2) fail with EPERM, in all threads of this process and for good. It also sets
/// `no_new_privs` (PR_SET_NO_NEW_PRIVS of prctl(2)).
///
/// # Errors
/// If the kernel or another filter does not permit it, or for an architecture that `seccompiler` lacks.
pub fn forbid_programs() -> Result<(), Error> {
    apply_filter_all_threads(&filter()?)?;
    Ok(())
}

fn filter() -> Result<BpfProgram, Error> {
    let starts = [SYS_execve, SYS_execveat].map(|call| (call, Vec::new()));
    let errno = EPERM.unsigned_abs();
    let architecture = std::env::consts::ARCH.try_into();
    let filter = SeccompFilter::new(
        BTreeMap::from(starts),
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        architecture.map_err(seccompiler::Error::from)?,
    );
    let filter = filter.map_err(seccompiler::Error::from)?;
    let program = filter.try_into();
    Ok(program.map_err(seccompiler::Error::from)?)
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};
    use std::process::{Command, Output};

    use seccompiler::apply_filter;

    use super::*;

    /// Starts this program, the only one that a sandbox is sure to have.
    fn start() -> io::Result<Output> {
        let program = std::env::current_exe()?;
        Command::new(program).arg("--help").output()
    }

    #[test]
    fn filter_forbids_programs_and_nothing_else() {
        // Only this thread: other tests start programs.
        let thread = std::thread::spawn(|| {
            apply_filter(&filter().unwrap()).unwrap();
            assert_eq!(start().unwrap_err().kind(), ErrorKind::PermissionDenied);
            std::fs::read("/proc/self/status").unwrap();
            std::thread::spawn(|| ()).join().unwrap();
        });
        thread.join().unwrap();
        assert!(start().unwrap().status.success());
    }
}
