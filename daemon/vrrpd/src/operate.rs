//! Commands to the running daemon: `vrrpd drain`, `undrain`, `step-down`, `priority`, `announce` and
//! `reload`.

use std::io::{self, ErrorKind, Write as _};
use std::net::Shutdown;
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use vrrp_commands::{Answer, Lasting, Request, Scope};
use vrrp_proto::Priority;
use vrrp_proto::operator::CommandKind;

use crate::cli::{
    AnnounceOptions, DrainOptions, OperateOptions, PriorityOptions, ReloadOptions, StandOptions,
    StepDownOptions,
};
use crate::{Failed, answer, print};

/// Time limit for the daemon's answer. A reload may have to wait for resources or a file system.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of an answer. One about 4,000 instances has 300 KiB.
const LARGEST: u64 = 16 << 20;

/// Times of standing commands without `--for`.
const MINUTE: NonZeroU32 = NonZeroU32::new(60).expect("60 is not 0");
const HOUR: NonZeroU32 = NonZeroU32::new(3600).expect("3600 is not 0");

pub(crate) fn drain(options: DrainOptions) -> Result<(), Failed> {
    let (lasts, reason) = stand(options.stand, HOUR);
    let request = Request::Drain {
        lasts,
        last_resort: options.last_resort.is_on(),
        reason,
    };
    carry_out(&request, &options.operate)
}

pub(crate) fn undrain(options: &OperateOptions) -> Result<(), Failed> {
    let request = Request::End {
        command: CommandKind::Drain,
        instance: Scope::All,
    };
    carry_out(&request, options)
}

pub(crate) fn step_down(options: StepDownOptions) -> Result<(), Failed> {
    let instance = scope(options.instance.instance);
    let request = if options.end {
        Request::End {
            command: CommandKind::StepDown,
            instance,
        }
    } else {
        let (lasts, reason) = stand(options.stand, MINUTE);
        Request::StepDown {
            instance,
            lasts,
            last_resort: options.last_resort.is_on(),
            reason,
        }
    };
    carry_out(&request, &options.operate)
}

pub(crate) fn priority(options: PriorityOptions) -> Result<(), Failed> {
    let instance = Scope::Name(options.instance.into());
    let request = match options.value.and_then(Priority::new) {
        Some(value) => {
            let (lasts, reason) = stand(options.stand, HOUR);
            Request::Priority {
                instance,
                value,
                lasts,
                reason,
            }
        }
        // The command line requires a value, except with --end.
        None => Request::End {
            command: CommandKind::Priority,
            instance,
        },
    };
    carry_out(&request, &options.operate)
}

pub(crate) fn announce(options: AnnounceOptions) -> Result<(), Failed> {
    let instance = scope(options.instance);
    carry_out(&Request::Announce { instance }, &options.operate)
}

pub(crate) fn reload(options: &ReloadOptions) -> Result<(), Failed> {
    let dry_run = options.dry_run;
    carry_out(&Request::Reload { dry_run }, &options.operate)
}

fn scope(instance: Option<String>) -> Scope {
    instance.map_or(Scope::All, |name| Scope::Name(name.into()))
}

fn stand(options: StandOptions, default: NonZeroU32) -> (Lasting, Option<std::sync::Arc<str>>) {
    let lasts = options.lasts.unwrap_or(Lasting::Seconds(default));
    (lasts, options.reason.map(Into::into))
}

/// Sends a request to the daemon and prints its answer.
fn carry_out(request: &Request, options: &OperateOptions) -> Result<(), Failed> {
    let line = request.line();
    let line = line.map_err(|error| Failed::Configuration.reasons(error))?;
    let is_reload = matches!(request, Request::Reload { .. });
    let socket = options.runtime.command_socket();
    let answer = ask(&socket, &line, (!is_reload).then_some(PATIENCE));
    let answer = answer.map_err(|error| Failed::General.reasons(explain(&socket, &error)))?;
    if answer.is_empty() {
        return Err(Failed::General.reasons("the daemon is stopping"));
    }
    let answer = Answer::parse(&answer).map_err(|error| {
        Failed::General.reasons(format_args!(
            "cannot parse the answer: {error}; the running vrrpd may have another version"
        ))
    })?;
    let text: String = answer
        .lines
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    print(&text)?;
    let failed = match is_reload {
        true => Failed::Configuration,
        false => Failed::General,
    };
    for problem in &answer.problems {
        let _ = failed.reasons(problem);
    }
    match answer.done {
        true => Ok(()),
        false => Err(failed),
    }
}

/// Sends a line and reads the answer.
fn ask(socket: &Path, line: &str, patience: Option<Duration>) -> io::Result<Vec<u8>> {
    let until = patience.map(|patience| Instant::now() + patience);
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(patience)?;
    // A daemon that refuses the connection does not read.
    let sent = stream.write_all(line.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let read = answer::read(&mut stream, &mut answer, LARGEST, until);
    match answer.is_empty() {
        true => sent.and(read).map(|()| answer),
        false => Ok(answer),
    }
}

/// Reason why the daemon cannot be asked, and what helps.
fn explain(socket: &Path, error: &io::Error) -> String {
    let socket = socket.display();
    let is_any = |kinds: &[ErrorKind]| kinds.contains(&error.kind());
    if is_any(&[ErrorKind::NotFound, ErrorKind::ConnectionRefused]) {
        format!(
            "no daemon takes commands at {socket}: {error}; is vrrpd running, with this --runtime-dir?"
        )
    } else if is_any(&[ErrorKind::PermissionDenied]) {
        format!(
            "no permission for {socket}: run the command as root, or as a member of the socket's group \
             (usermod --append --groups vrrp USER)"
        )
    } else if is_any(&[ErrorKind::WouldBlock, ErrorKind::TimedOut]) {
        format!("no answer from {socket} within {} s", PATIENCE.as_secs())
    } else {
        format!("cannot send the command to {socket}: {error}")
    }
}
