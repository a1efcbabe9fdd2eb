//! Log writer: a thread that writes the log. The other threads hand over a [`Record`] and continue,
//! even when standard error or the journal blocks.
//!
//! Under systemd the lines go to the journal with their values as fields (`journalctl
//! VRRP_INSTANCE=VI_1`); otherwise to standard error.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use tracing::field::display;
use tracing::{Level, debug, error, info, trace, warn};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use vrrp_linux::clock;
use vrrp_proto::notify::{Event, Subject, Then};
use vrrp_proto::operator::{CommandChange, StandingCommand};
use vrrp_proto::{Human, Report, Transition};

use crate::event_log::{Collector, EventLog, Moment};

/// Most records that wait. Further ones are dropped and counted.
const CAPACITY: usize = 4096;

/// Time limit for the last records at the end. A blocked log must not keep the daemon from ending:
/// systemd or the operator waits for that, and the addresses are deleted already.
const LAST_RECORDS: Duration = Duration::from_secs(1);

/// Record for the log.
#[derive(Debug)]
pub(crate) enum Record {
    /// Report of the engine.
    Report(Report),
    /// Result of a tracker that differs from the preceding one.
    Tracker {
        /// Name of the tracker.
        tracker: Arc<str>,
        /// Whether the tracked object is up.
        up: bool,
        /// Description of the result.
        detail: Arc<str>,
    },
    /// End of a notify command.
    Notified {
        /// Instance or group of the event.
        owner: Subject,
        /// Event.
        event: Event,
        /// Whether the command succeeded (exit status 0).
        succeeded: bool,
        /// Exit status and last line of output.
        detail: Arc<str>,
        /// Next step for the command.
        then: Then,
    },
    /// Any other line.
    Note(Level, String),
}

/// Handle of the log writer. Clones lead to the same thread.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Unbounded, because a bounded channel allocates the room for all records at once.
    /// [`CAPACITY`] is the bound.
    records: Sender<(Moment, Record)>,
    count: Arc<Count>,
}

#[derive(Debug, Default)]
struct Count {
    waiting: AtomicUsize,
    lost: AtomicU64,
}

impl Log {
    /// Hands over a record without waiting. When [`CAPACITY`] records wait, it is dropped and
    /// counted.
    pub(crate) fn record(&self, record: Record) {
        let Count { waiting, lost } = &*self.count;
        let is_full = waiting.fetch_add(1, Ordering::Relaxed) >= CAPACITY;
        if is_full || self.records.send((moment(), record)).is_err() {
            waiting.fetch_sub(1, Ordering::Relaxed);
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands over a line.
    pub(crate) fn note(&self, level: Level, text: impl Into<String>) {
        self.record(Record::Note(level, text.into()));
    }
}

/// Thread of the log writer.
#[derive(Debug)]
pub(crate) struct LogWriter {
    /// Closed at the end of the thread.
    ended: Receiver<()>,
}

impl LogWriter {
    /// Waits until everything is written, at most [`LAST_RECORDS`]. The last [`Log`] has to be
    /// dropped before.
    pub(crate) fn finish(self) {
        let _ = self.ended.recv_timeout(LAST_RECORDS);
    }
}

fn moment() -> Moment {
    Moment {
        wall: SystemTime::now(),
        boot: clock::now(),
    }
}

/// Starts the log writer, which keeps the event log in `directory`. It ends when the last [`Log`] is dropped
/// and everything is written.
///
/// # Errors
/// If the system cannot create the thread.
pub(crate) fn start(verbose: bool, directory: PathBuf) -> std::io::Result<(Log, LogWriter)> {
    let (event_log, collector) = EventLog::new(directory);
    initialize(verbose, collector);
    let (records, receiver) = channel();
    let count = Arc::new(Count::default());
    let log = Log {
        records,
        count: Arc::clone(&count),
    };
    let (end, ended) = channel();
    std::thread::Builder::new()
        .name("log-writer".to_owned())
        .spawn(move || {
            write_all(&receiver, &count, event_log);
            drop(end);
        })?;
    Ok((log, LogWriter { ended }))
}

/// Selects the destination: the journal when standard error is connected to it (systemd.exec(5),
/// `$JOURNAL_STREAM`), otherwise standard error.
fn initialize(verbose: bool, collector: Collector) {
    let level = if verbose {
        LevelFilter::TRACE
    } else {
        LevelFilter::INFO
    };
    let journal = is_journal()
        .then(tracing_journald::layer)
        .and_then(Result::ok)
        .map(|layer| layer.with_field_prefix(Some("VRRP".to_owned())));
    let standard_error = journal.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .with_target(false)
            // The message repeats the values; the fields are for the journal.
            .fmt_fields(tracing_subscriber::fmt::format::debug_fn(
                |writer, field, value| match field.name() {
                    "message" => write!(writer, "{value:?}"),
                    _ => Ok(()),
                },
            ))
    });
    // Fails if a subscriber is set already, as in tests; that one is used.
    let _ = tracing_subscriber::registry()
        .with(journal.with_filter(level))
        .with(standard_error.with_filter(level))
        .with(collector.with_filter(LevelFilter::INFO))
        .try_init();
}

/// Whether standard error is the stream that systemd created for this service. The variable alone
/// proves nothing: a shell in the service inherits it and may have a terminal.
fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let standard_error = nix::sys::stat::fstat(std::io::stderr());
    standard_error.is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

fn write_all(records: &Receiver<(Moment, Record)>, count: &Count, mut event_log: EventLog) {
    for (moment, record) in records {
        count.waiting.fetch_sub(1, Ordering::Relaxed);
        write(record);
        event_log.append(moment);
        match count.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            number => warn!(
                number,
                "{number} log records dropped: the journal or standard error was too slow"
            ),
        }
    }
}

fn write(record: Record) {
    match record {
        Record::Report(report) => write_report(report),
        Record::Tracker {
            tracker,
            up: true,
            detail,
        } => {
            info!(kind = "result", %tracker, up = true, "tracker {tracker}: {detail}");
        }
        Record::Tracker {
            tracker,
            up: false,
            detail,
        } => {
            warn!(kind = "result", %tracker, up = false, "tracker {tracker}: {detail}");
        }
        Record::Notified {
            owner,
            event,
            succeeded,
            detail,
            then,
        } => {
            let name = owner.name();
            let (instance, group) = match &owner {
                Subject::Instance(name) => (Some(display(name)), None),
                Subject::Group(name) => (None, Some(display(name))),
            };
            match then {
                Then::Over => {
                    debug!(
                        kind = "notification", instance, group, %event, succeeded,
                        "{name}: notify command for {event} succeeded: {detail}",
                    );
                }
                Then::Again(rest) => warn!(
                    kind = "notification", instance, group, %event, succeeded,
                    "{name}: notify command for {event} failed: {detail}; retrying in {} s", rest.as_secs(),
                ),
                Then::GivenUp => warn!(
                    kind = "notification", instance, group, %event, succeeded,
                    "{name}: notify command for {event} failed: {detail}; no further attempt",
                ),
            }
        }
        Record::Note(level, text) => match level {
            Level::ERROR => error!("{text}"),
            Level::WARN => warn!("{text}"),
            Level::INFO => info!("{text}"),
            Level::DEBUG => debug!("{text}"),
            Level::TRACE => trace!("{text}"),
        },
    }
}

fn write_report(report: Report) {
    match report {
        Report::Transition(Transition {
            router,
            from,
            to,
            cause,
            priority,
            at: _,
        }) => info!(
            kind = "transition", instance = %router, %from, %to, %cause, priority = priority.get(),
            "{router}: {from} -> {to} (priority {priority}): {cause}",
        ),
        Report::Dropped {
            router,
            source,
            cause,
            detail,
        } => {
            let whose = whose(router.as_deref());
            let detail = detail.map(|detail| format!(": {detail}"));
            let detail = detail.unwrap_or_default();
            warn!(
                kind = "drop", instance = router.as_deref(), %source, cause = cause.word(),
                "{whose}packet from {source} dropped: {cause}{detail} (logged once a minute)",
            );
        }
        Report::Suppressed { matter, suppressed } => warn!(
            kind = "suppressed",
            suppressed,
            "{suppressed} reports about further senders were not logged, because there were too many senders: \
             {matter}",
        ),
        Report::Interrupted {
            router,
            fault_reason,
            lasted,
        } => info!(
            kind = "interruption", instance = %router, %fault_reason, ?lasted,
            "{router}: short interruption, no fault: {fault_reason}, for {}", Human(lasted),
        ),
        Report::LinkLost {
            router,
            fault_reason,
        } => warn!(
            kind = "link", instance = %router, %fault_reason,
            "{router}: {fault_reason}: no advertisements are sent or received, and no fault (trackInterface \
             is false)",
        ),
        Report::HandsOver { router, longest } => info!(
            instance = %router, ?longest,
            "{router}: handing over: resigned (priority 0); holds its addresses until a successor advertises, {} \
             at most", Human(longest),
        ),
        Report::HandedOver {
            router,
            end,
            lasted,
        } => info!(
            instance = %router, %end, ?lasted,
            "{router}: addresses released {} after the resignation: {end}", Human(lasted),
        ),
        Report::Continued(Transition {
            router,
            to,
            cause,
            priority,
            ..
        }) => info!(
            kind = "restart", instance = %router,
            "{router}: {to} (priority {priority}): {cause}",
        ),
        Report::Renamed(renames) => {
            for (former, router) in renames.iter() {
                info!(
                    kind = "renamed", instance = %router, former = %former,
                    "{router}: renamed from {former}: the state stays",
                );
            }
        }
        Report::LinkRestored { router } => info!(
            kind = "link", instance = %router,
            "{router}: the interface has a link again: advertisements are sent and received",
        ),
        Report::Repaired {
            router,
            address,
            loss,
            done,
            ..
        } => {
            let outcome = match done {
                true => "restored and announced",
                false => "could not be restored",
            };
            warn!(
                kind = "repair", instance = %router, %address, restored = done,
                "{router}: {address} {loss}; {outcome}",
            );
        }
        Report::Stray {
            router,
            address,
            done,
            ..
        } => warn!(
            kind = "removal", instance = %router, %address, deleted = done,
            "{router}: {address} was added although this host is not master; {}", deleted(done),
        ),
        Report::RoutingRepaired {
            router,
            what,
            loss,
            done,
        } => {
            let outcome = match done {
                true => "restored",
                false => "could not be restored",
            };
            warn!(kind = "repair", instance = %router, %what, restored = done, "{router}: {what} {loss}; {outcome}");
        }
        Report::Repeated { router, times } => warn!(
            kind = "repair", instance = %router, times,
            "{router}: {times} more of these repairs or removals: another program changes the same objects \
             again and again (`ip monitor` shows when)",
        ),
        Report::RoutingStray { router, what, done } => warn!(
            kind = "removal", instance = %router, %what, deleted = done,
            "{router}: {what} was added although this host is not master; {}", deleted(done),
        ),
        Report::Verdict {
            tracker,
            up,
            detail,
        } => {
            let verdict = if up { "up" } else { "down" };
            info!(kind = "tracker", %tracker, up, "tracker {tracker} is {verdict}: {detail}");
        }
        Report::Priority { router, from, to } => info!(
            kind = "priority", instance = %router, from = from.get(), to = to.get(),
            "{router}: priority {from} -> {to}",
        ),
        Report::Command { command, change } => {
            let text = command_text(&command, &change);
            let instance = command.order.router().map(display);
            info!(
                instance, command = %command.order.kind(), by = %command.by,
                reason = command.reason.as_deref(), "{text}",
            );
        }
        Report::Mismatch {
            router,
            source,
            how,
        } => warn!(
            kind = "mismatch", instance = %router, %source,
            "{router}: configuration mismatch with {source}: {how}; its advertisements are still accepted",
        ),
        Report::Clock {
            router,
            source,
            ahead,
            window,
        } => {
            let (by, direction) = match ahead < 0 {
                true => (-ahead, "behind"),
                false => (ahead, "ahead of"),
            };
            warn!(
                kind = "clock", instance = %router, %source, ahead,
                "{router}: the clock of {source} is {by} s {direction} this host's: from {} s on, after an \
                 interruption or a restart, its advertisements are rejected, and both hosts are master; \
                 synchronise both clocks (NTP) (logged once a minute)",
                window.as_secs() + 1,
            );
        }
        Report::Withheld { router, unreceived } => warn!(
            kind = "withheld", instance = %router, source = %unreceived.source, interface = %unreceived.interface,
            "{router}: take-over withheld, the master is alive: {unreceived}; accept IP protocol 112 from \
             it, or set trustWire to false (logged once a minute)",
        ),
        Report::SecondMaster {
            router,
            source,
            priority,
        } => {
            warn_second_master(&router, source, priority);
        }
        Report::AddressConflict {
            router,
            interface,
            address,
            mac,
            packets,
        } => {
            let number = match packets {
                1 => String::new(),
                _ => format!(" ({packets} packets)"),
            };
            warn!(
                kind = "addressConflict", instance = %router, %address, %mac, %interface, packets,
                "{router}: address conflict: the host with MAC address {mac} claims {address} on {interface} \
                 although this host is master{number}; neighbours may send to that host: remove the address \
                 from it, or disconnect it (logged once a minute)",
            );
        }
        Report::Contested {
            router,
            cause,
            priority,
        } => info!(
            kind = "contest", instance = %router, %cause, priority = priority.get(),
            "{router}: still master (priority {priority}): {cause}",
        ),
    }
}

/// Line about a standing command of the operator.
fn command_text(command: &StandingCommand, change: &CommandChange) -> String {
    let StandingCommand { order, by, .. } = command;
    let (whose, kind) = (whose(order.router().map(|router| &**router)), order.kind());
    match change {
        CommandChange::Begun(left) => {
            let value = order
                .priority()
                .map_or_else(String::new, |value| format!(" {value}"));
            let last_resort = match order.last_resort() {
                Some(false) => ", without last resort",
                Some(true) | None => "",
            };
            let until = left.map_or_else(
                || " until it is ended".to_owned(),
                |left| format!(" for {}", Human(left)),
            );
            let reason = command.reason.as_deref();
            let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            format!("{whose}{kind}{value} by {by}{until}{last_resort}{reason}")
        }
        CommandChange::Expired => format!("{whose}{kind} by {by} has expired"),
        CommandChange::Ended(user) => format!("{whose}{kind} by {by} ended by {user}"),
    }
}

fn warn_second_master(router: &str, source: IpAddr, priority: u8) {
    warn!(
        kind = "secondMaster", instance = router, %source, priority,
        "{router}: {source} advertises priority {priority} although this host is master: \
         does it receive the advertisements of this host? (logged once a minute)",
    );
}

const fn deleted(done: bool) -> &'static str {
    match done {
        true => "deleted",
        false => "could not be deleted",
    }
}

fn whose(router: Option<&str>) -> String {
    router
        .map(|router| format!("{router}: "))
        .unwrap_or_default()
}
