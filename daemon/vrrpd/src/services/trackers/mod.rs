//! What the daemon itself looks at for the trackers of its configuration. Each has a task of its own,
//! the `follow` of its kind's module, which tells the node through its [`Reporter`] what it finds, and
//! ends when the node is gone.

mod file;
mod http;
mod known;
mod network;
mod ping;
mod process;
mod route;
mod script;
mod tcp;
mod time_limit;
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

use self::network::Answer;
use self::process::Census;
use self::tls::Tls;
use crate::log_writer::{Log, Record};
use crate::run::{Inbox, Message};
use crate::units::Units;

/// The trackers that are looked at.
pub(super) struct Trackers {
    running: BTreeMap<Arc<str>, Running>,
    /// Who knows the processes, since somebody asked first.
    census: Option<Census>,
    tls: Arc<Tls>,
    units: Units,
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
    pub(super) fn new(units: Units, inbox: Inbox, log: Log) -> Self {
        Self {
            running: BTreeMap::new(),
            census: None,
            tls: Arc::default(),
            units,
            inbox,
            log,
        }
    }

    /// Looks at exactly these from now on. What stays the same goes on undisturbed.
    pub(super) fn set(&mut self, probes: BTreeMap<Arc<str>, Probe>) {
        self.running
            .retain(|name, running| probes.get(name) == Some(&running.probe));
        for (name, probe) in probes {
            if !self.running.contains_key(&name) {
                let reporter = Reporter {
                    tracker: Arc::clone(&name),
                    last: None,
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
    /// Begins the life of one tracker.
    fn follow(&mut self, probe: Probe, reporter: Reporter) -> JoinHandle<()> {
        match probe {
            Probe::Script(script) => tokio::spawn(script::follow(script, reporter)),
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

/// Whom a tracker tells what it finds: the node each time, and the log when it is something else.
struct Reporter {
    tracker: Arc<str>,
    /// What was found last.
    last: Option<(Verdict, Arc<str>)>,
    inbox: Inbox,
    log: Log,
}

/// The node is gone, and with it the reason to look at anything.
struct NodeIsGone;

impl Reporter {
    /// Tells of a result: whether the thing is well, and in one line why.
    fn report(&mut self, up: bool, detail: String) -> Result<(), NodeIsGone> {
        self.tell(Verdict::of(up), detail)
    }

    /// The same of a thing that may say a number.
    fn tell(&mut self, result: Verdict, detail: String) -> Result<(), NodeIsGone> {
        let detail: Arc<str> = detail.into();
        self.write_down(result, &detail);
        self.send(result, detail)
    }

    /// The same of an answer that took its time. The log is not told how long: that differs each time.
    fn report_answer(&mut self, answer: Result<Answer, String>) -> Result<(), NodeIsGone> {
        match answer {
            Ok(Answer { what, after }) => {
                let millis = after.as_secs_f64() * 1e3;
                let detail = format!("{what} after {millis:.1} ms");
                self.write_down(Verdict::UP, &what.into());
                self.send(Verdict::UP, detail.into())
            }
            Err(complaint) => self.report(false, complaint),
        }
    }

    /// Has the log say it, when it is not what it said last.
    fn write_down(&mut self, result: Verdict, detail: &Arc<str>) {
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

    /// Tells the log something else.
    fn note(&self, level: Level, text: &str) {
        self.log
            .note(level, format!("tracker {}: {text}", self.tracker));
    }
}

/// The turns of what is looked at every `length`, the first of them now. What takes longer has its
/// next turn at once, and makes up for none.
fn turns(length: Duration) -> Interval {
    let mut turns = interval(length);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

/// Lets the runtime wait for a descriptor.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe, because a type might change its descriptor; ours own theirs"
)]
fn watched<T: AsRawFd>(descriptor: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(descriptor)
}
