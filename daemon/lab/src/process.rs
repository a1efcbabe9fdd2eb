//! A process of a host: its output, its end, and signals to it.

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

/// A line of output of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it arrived.
    pub at: Moment,
    /// The line without its end.
    pub text: String,
}

/// A running or ended process. It is killed when dropped, with nothing that it started itself.
///
/// With the environment variable `VRRP_LAB_LOGS` set to a directory, each process also writes its
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
        mut command: Command,
        host: &str,
        spawn: impl FnOnce(Command) -> Result<Child>,
    ) -> Result<Self> {
        let program = Path::new(command.get_program())
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let doing = format!("starting {program} on {host}");
        let (reader, writer) = io::pipe().doing(doing.as_str())?;
        let copy = writer.try_clone().doing(doing.as_str())?;
        command.stdin(Stdio::null()).stdout(writer).stderr(copy);
        let child = spawn(command)?;
        let pid = child.id();
        // Before anything can fail: its namespace of processes ends when it is reaped.
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
            program,
            pid,
            end,
            output,
        })
    }

    /// Sends a signal, if the process still runs.
    ///
    /// # Errors
    /// When it has ended.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        // The lock keeps the process from being reaped, and its number from being given away.
        let status = lock(&self.end.status);
        let doing = || format!("sending {signal} to {self}");
        if let Some(status) = *status {
            return Err(Error::new(doing(), format!("it has ended: {status}")));
        }
        kill(Pid::from_raw(self.pid.cast_signed()), signal).doing(doing())
    }

    /// Waits for the end, at most `timeout`.
    ///
    /// # Errors
    /// When it still runs after that.
    pub fn wait(&self, timeout: Duration) -> Result<ExitStatus> {
        self.end.wait(timeout).ok_or_else(|| {
            Error::new(
                format!("waiting for {self}"),
                format!("it still runs after {timeout:?}"),
            )
        })
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it has ended before, or still runs after `timeout`.
    pub fn terminate(&self, timeout: Duration) -> Result<ExitStatus> {
        self.kill(Signal::SIGTERM)?;
        self.wait(timeout)
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        lock(&self.end.status).is_none()
    }

    /// Its number as the lab sees it (inside the host it has another).
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The lines it wrote to standard output and standard error, with the time of each.
    pub fn output(&self) -> &Journal<Line> {
        &self.output
    }

    /// The first line that is `wanted`, among those so far and those to come within `timeout`.
    ///
    /// # Errors
    /// When none comes; the error shows the last lines that came instead.
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
                    format!("it did not come; the last ones are:\n{}", last.join("\n")),
                )
            })
    }

    /// All of its output so far.
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
        // Waits without reaping, so that nobody can signal a number that is free again.
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

/// Starts a short command and collects its output.
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
