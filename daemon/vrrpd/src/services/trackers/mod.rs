//! Trackers: probes that the daemon runs for its configuration. Each tracker has a task, the
//! `follow` function of the module of its kind. The task sends results to the node through a
//! [`Reporter`], and ends with the node.

mod complaint;
mod file;
#[cfg(feature = "http")]
mod http;
#[cfg(not(feature = "http"))]
#[path = "http/absent.rs"]
mod http;
mod known;
mod network;
mod ping;
mod process;
mod route;
mod script;
mod tcp;
mod time_limit;
#[cfg(feature = "http")]
mod tls;
mod unit;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::Level;
use vrrp_config::Probe;
use vrrp_proto::params::Verdict;

use self::complaint::Complaint;
#[cfg(test)]
pub(super) use self::complaint::is_shortage;
use self::http::Tls;
use self::network::Answer;
use self::process::Census;
use crate::channel::{Inbox, Message};
use crate::log_writer::{Log, Record};
use crate::services::program::Runner;
use crate::units::Units;

/// Trackers that run.
pub(super) struct Trackers {
    running: BTreeMap<Arc<str>, Running>,
    /// Census of processes, begun by the first tracker of kind `process`.
    census: Option<Census>,
    tls: Arc<Tls>,
    units: Units,
    runner: Runner,
    inbox: Inbox,
    log: Log,
}

struct Running {
    probe: Probe,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Trackers {
    pub(super) fn new(units: Units, runner: Runner, inbox: Inbox, log: Log) -> Self {
        Self {
            running: BTreeMap::new(),
            census: None,
            tls: Arc::default(),
            units,
            runner,
            inbox,
            log,
        }
    }

    /// Runs exactly these trackers from now on. Unchanged ones are not interrupted.
    pub(super) fn set(&mut self, probes: BTreeMap<Arc<str>, Probe>) {
        self.running
            .retain(|name, running| probes.get(name) == Some(&running.probe));
        for (name, probe) in probes {
            if !self.running.contains_key(&name) {
                let reporter = Reporter {
                    tracker: Arc::clone(&name),
                    last: None,
                    shortage: None,
                    inbox: self.inbox.clone(),
                    log: self.log.clone(),
                };
                let task = self.follow(probe.clone(), reporter).abort_handle();
                self.running.insert(name, Running { probe, task });
            }
        }
    }
}

impl Trackers {
    /// Starts the task of a tracker.
    fn follow(&mut self, probe: Probe, reporter: Reporter) -> JoinHandle<()> {
        match probe {
            Probe::Script(script) => {
                tokio::spawn(script::follow(script, self.runner.clone(), reporter))
            }
            Probe::File(file) => tokio::spawn(file::follow(file, reporter)),
            Probe::Process(process) => {
                let begin = || Census::begin(self.log.clone());
                let census = self.census.get_or_insert_with(begin).clone();
                tokio::spawn(process::follow(process, census, reporter))
            }
            Probe::Ping(ping) => tokio::spawn(ping::follow(ping, reporter)),
            Probe::Tcp(tcp) => tokio::spawn(tcp::follow(tcp, reporter)),
            Probe::Http(http) => tokio::spawn(http::follow(*http, Arc::clone(&self.tls), reporter)),
            Probe::Unit(unit) => tokio::spawn(unit::follow(unit, self.units.clone(), reporter)),
            Probe::Route(route) => tokio::spawn(route::follow(route, reporter)),
        }
    }
}

/// Sends the results of a tracker: each one to the node, and to the log when it differs from the
/// last one.
struct Reporter {
    tracker: Arc<str>,
    /// Last result.
    last: Option<(Verdict, Arc<str>)>,
    /// Reason why the last probe could not begin.
    shortage: Option<String>,
    inbox: Inbox,
    log: Log,
}

/// Error: the node has ended, and the tracker has no purpose any more.
struct NodeIsGone;

impl Reporter {
    /// Reports whether the tracked object is up, with the reason in one line.
    fn report(&mut self, up: bool, detail: String) -> Result<(), NodeIsGone> {
        self.tell(Verdict::of(up), detail)
    }

    /// Reports a verdict that may contain a number.
    fn tell(&mut self, result: Verdict, detail: String) -> Result<(), NodeIsGone> {
        let detail: Arc<str> = detail.into();
        self.write_down(result, &detail);
        self.send(result, detail)
    }

    /// Reports an answer with the time that it took. The log does not get the time, which differs
    /// in each result.
    fn report_answer(&mut self, answer: Result<Answer, Complaint>) -> Result<(), NodeIsGone> {
        match answer {
            Ok(Answer { what, after }) => {
                let millis = after.as_secs_f64() * 1e3;
                let detail = format!("{what} after {millis:.1} ms");
                self.write_down(Verdict::UP, &what.into());
                self.send(Verdict::UP, detail.into())
            }
            Err(Complaint::Down(detail)) => self.report(false, detail),
            Err(Complaint::Shortage(detail)) => self.keep(&detail),
        }
    }

    /// Keeps the last verdict after a probe that could not begin. Log and status get the reason once.
    fn keep(&mut self, detail: &str) -> Result<(), NodeIsGone> {
        if self.shortage.as_deref() == Some(detail) {
            return Ok(());
        }
        self.shortage = Some(detail.to_owned());
        let text = format!("no result, the last verdict stays: {detail}");
        self.note(Level::WARN, &text);
        match self.last {
            Some((result, _)) => self.send(result, text.into()),
            None => Ok(()),
        }
    }

    /// Logs a result that differs from the last one.
    fn write_down(&mut self, result: Verdict, detail: &Arc<str>) {
        self.shortage = None;
        let found = Some((result, Arc::clone(detail)));
        if self.last != found {
            self.last = found;
            self.log.record(Record::Tracker {
                tracker: Arc::clone(&self.tracker),
                up: result.up,
                detail: Arc::clone(detail),
            });
        }
    }

    fn send(&self, result: Verdict, detail: Arc<str>) -> Result<(), NodeIsGone> {
        let message = Message::Probe {
            tracker: Arc::clone(&self.tracker),
            result,
            detail,
        };
        self.inbox.send(message).map_err(|_| NodeIsGone)
    }

    /// Logs another line about the tracker.
    fn note(&self, level: Level, text: &str) {
        self.log
            .note(level, format!("tracker {}: {text}", self.tracker));
    }
}

/// Clock of a probe that runs every `length`, beginning now. After a slow run the next one starts
/// at once; missed runs are not made up for.
fn turns(length: Duration) -> Interval {
    let mut turns = interval(length);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

/// Registers a descriptor with the runtime.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe, because a type might change its descriptor; ours own theirs"
)]
fn watched<T: AsRawFd>(descriptor: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(descriptor)
}
