//! Processes of a host: output, exit status, and signals to them.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::clock::Moment;
use crate::error::{Doing, Error, Result};
use crate::journal::{Journal, lock};

/// Output line of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Time of arrival.
    pub at: Moment,
    /// Text without the line end.
    pub text: String,
}

/// A running or exited process. Dropping it kills the process, but not the children that it
/// started.
///
/// If the environment variable `VRRP_LAB_LOGS` names a directory, each process also writes its
/// output to `HOST.PROGRAM.PID.log` there.
#[derive(Debug)]
pub struct Process {
    program: String,
    pid: u32,
    end: Arc<End>,
    output: Journal<Line>,
}

#[derive(Debug, Default)]
struct End {
    status: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

impl Process {
    pub(crate) fn start(
        program: &str,
        mut command: Command,
        host: &str,
        spawn: impl FnOnce(Command) -> Result<Child>,
    ) -> Result<Self> {
        let doing = format!("starting {program} on {host}");
        let (reader, writer) = io::pipe().doing(doing.as_str())?;
        let copy = writer.try_clone().doing(doing.as_str())?;
        command.stdin(Stdio::null()).stdout(writer).stderr(copy);
        let child = spawn(command)?;
        let pid = child.id();
        // Before any step that can fail: the PID namespace ends only when the process is reaped.
        let end = Arc::new(End::default());
        let watched = Arc::clone(&end);
        spawn_thread(format!("wait {program}"), move || watched.reap(child))
            .doing(doing.as_str())?;
        let log = std::env::var_os("VRRP_LAB_LOGS")
            .map(|directory| {
                File::create(Path::new(&directory).join(format!("{host}.{program}.{pid}.log")))
            })
            .transpose()
            .doing(doing.as_str())?;
        let output = Journal::new();
        let lines = output.clone();
        spawn_thread(format!("output {program}"), move || {
            record(reader, &lines, log)
        })
        .doing(doing)?;
        Ok(Self {
            program: program.to_owned(),
            pid,
            end,
            output,
        })
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    /// If the process has exited.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        // While the lock is held the process is not reaped, so its PID cannot be reused.
        let status = lock(&self.end.status);
        let doing = || format!("sending {signal} to {self}");
        if let Some(status) = *status {
            return Err(Error::new(doing(), format!("it has exited: {status}")));
        }
        kill(Pid::from_raw(self.pid.cast_signed()), signal).doing(doing())
    }

    /// Waits for the exit of the process, at most `timeout`.
    ///
    /// # Errors
    /// If it is still running after that.
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        self.end.wait(timeout).ok_or_else(|| {
            Error::new(
                format!("waiting for {self} to exit"),
                format!("still running after {timeout:?}"),
            )
        })
    }

    /// Sends SIGTERM and waits for the exit.
    ///
    /// # Errors
    /// If the process has exited before, or is still running after `timeout`.
    pub fn terminate(&self, timeout: Duration) -> Result<ExitStatus> {
        self.kill(Signal::SIGTERM)?;
        self.wait(timeout)
    }

    /// Whether the process is still running.
    pub fn is_running(&self) -> bool {
        lock(&self.end.status).is_none()
    }

    /// PID in the lab's PID namespace (inside the host the process has another).
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lines of standard output and standard error, with the time of each.
    pub fn output(&self) -> &Journal<Line> {
        &self.output
    }

    /// Returns the first line that is `wanted`, past or arriving within `timeout`.
    ///
    /// # Errors
    /// If no such line arrives; the error shows the last ten lines.
    pub fn wait_for_line(
        &self,
        mut wanted: impl FnMut(&str) -> bool,
        timeout: Duration,
    ) -> Result<Line> {
        self.output
            .wait_for(|line| wanted(&line.text), timeout)
            .ok_or_else(|| {
                let lines = self.output.entries();
                let last: Vec<_> = lines
                    .iter()
                    .rev()
                    .take(10)
                    .rev()
                    .map(|line| line.text.as_str())
                    .collect();
                Error::new(
                    format!("waiting {timeout:?} for a line of {self}"),
                    format!("no such line; the last lines are:\n{}", last.join("\n")),
                )
            })
    }

    /// The whole output so far.
    pub fn log(&self) -> String {
        self.output
            .entries()
            .iter()
            .map(|line| format!("{}\n", line.text))
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.kill(Signal::SIGKILL).is_ok() {
            let _ = self.wait(Duration::from_secs(5));
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.program, self.pid)
    }
}

impl End {
    fn reap(&self, mut child: Child) {
        // Waits without reaping (WNOWAIT): a signal must not reach a process that reuses the PID.
        let pid = Pid::from_raw(child.id().cast_signed());
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let mut status = lock(&self.status);
        *status = Some(child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0)));
        self.ended.notify_all();
    }

    fn wait(&self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        let mut status = lock(&self.status);
        while status.is_none() {
            let left = deadline.checked_duration_since(Instant::now())?;
            status = self
                .ended
                .wait_timeout(status, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        *status
    }
}

/// Runs a short command and collects its output.
pub(crate) fn wait_with_output(
    mut command: Command,
    spawn: impl FnOnce(Command) -> Result<Child>,
) -> Result<Output> {
    let doing = format!("running {}", command.get_program().display());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    spawn(command)?.wait_with_output().doing(doing)
}

fn record(reader: PipeReader, lines: &Journal<Line>, mut log: Option<File>) {
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while matches!(reader.read_until(b'\n', &mut bytes), Ok(length) if length > 0) {
        let at = Moment::now();
        let text = String::from_utf8_lossy(&bytes)
            .trim_end_matches('\n')
            .to_owned();
        if let Some(log) = &mut log {
            let _ = writeln!(log, "{at} {text}");
        }
        lines.push(Line { at, text });
        bytes.clear();
    }
}

fn spawn_thread(name: String, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name).spawn(job).map(drop)
}
