//! The log, written by a thread of its own: whoever has something to say hands over a
//! [`Record`] and goes on, even when standard error or the journal is stuck.
//!
//! Under systemd the lines go to the journal with their values as fields (`journalctl
//! VRRP_INSTANCE=VI_1`); elsewhere to standard error.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tracing::field::display;
use tracing::{Level, debug, error, info, trace, warn};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use vrrp_proto::notify::{Subject, Then};
use vrrp_proto::{Human, Report, State, Transition};

/// How many records may wait. More are counted and dropped.
const CAPACITY: usize = 4096;

/// How long the last records may take at the end. A log that is stuck must not keep the daemon
/// from ending: whoever told it to stop waits for that, and its addresses are off already.
const LAST_RECORDS: Duration = Duration::from_secs(1);

/// Something for the log.
#[derive(Debug)]
pub(crate) enum Record {
    /// From the engine.
    Report(Report),
    /// A tracker's result, when it differs from the one before.
    Tracker {
        /// Its name.
        tracker: Arc<str>,
        /// Whether the thing is well.
        up: bool,
        /// What it said.
        detail: Arc<str>,
    },
    /// Somebody was told of a transition, or was to be.
    Notified {
        /// Whose transition.
        owner: Subject,
        /// The state since.
        to: State,
        /// Whether the command succeeded (exit status 0).
        succeeded: bool,
        /// What it said.
        detail: Arc<str>,
        /// What comes next.
        then: Then,
    },
    /// Anything else.
    Note(Level, String),
}

/// The way to the scribe. Clones lead to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// Not a bounded channel, which would take the room for all records from the start.
    records: Sender<Record>,
    count: Arc<Count>,
}

#[derive(Debug, Default)]
struct Count {
    waiting: AtomicUsize,
    lost: AtomicU64,
}

impl Log {
    /// Hands over a record. Never waits: when too many are waiting it is lost and counted.
    pub(crate) fn record(&self, record: Record) {
        let Count { waiting, lost } = &*self.count;
        if waiting.fetch_add(1, Ordering::Relaxed) >= CAPACITY || self.records.send(record).is_err()
        {
            waiting.fetch_sub(1, Ordering::Relaxed);
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands over a note.
    pub(crate) fn note(&self, level: Level, text: impl Into<String>) {
        self.record(Record::Note(level, text.into()));
    }
}

/// The scribe's thread.
#[derive(Debug)]
pub(crate) struct LogWriter {
    /// Closed by its end.
    ended: Receiver<()>,
}

impl LogWriter {
    /// Waits until everything is written, as far as that goes. The last [`Log`] is to be dropped
    /// before.
    pub(crate) fn finish(self) {
        let _ = self.ended.recv_timeout(LAST_RECORDS);
    }
}

/// Starts the scribe. It ends when the last [`Log`] is dropped and everything is written.
///
/// # Errors
/// When the system does not give another thread.
pub(crate) fn start(verbose: bool) -> std::io::Result<(Log, LogWriter)> {
    initialize(verbose);
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
            write_all(&receiver, &count);
            drop(end);
        })?;
    Ok((log, LogWriter { ended }))
}

/// Chooses where the lines go: the journal when standard error is connected to it (systemd.exec(5),
/// `$JOURNAL_STREAM`), else standard error.
fn initialize(verbose: bool) {
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
            // The message says it all; the fields are for the journal.
            .fmt_fields(tracing_subscriber::fmt::format::debug_fn(
                |writer, field, value| match field.name() {
                    "message" => write!(writer, "{value:?}"),
                    _ => Ok(()),
                },
            ))
    });
    // Fails when there is one already, as in tests: then that one is good enough.
    let _ = tracing_subscriber::registry()
        .with(journal.with_filter(level))
        .with(standard_error.with_filter(level))
        .try_init();
}

/// Whether standard error is the stream that systemd made for this service: a shell inside of one
/// has the variable too, and a terminal.
fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let standard_error = nix::sys::stat::fstat(std::io::stderr());
    standard_error.is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

fn write_all(records: &Receiver<Record>, count: &Count) {
    for record in records {
        count.waiting.fetch_sub(1, Ordering::Relaxed);
        write(record);
        match count.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            number => warn!(
                number,
                "{number} log records were lost: the log is too slow"
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
            info!(%tracker, up = true, "tracker {tracker}: {detail}");
        }
        Record::Tracker {
            tracker,
            up: false,
            detail,
        } => {
            warn!(%tracker, up = false, "tracker {tracker}: {detail}");
        }
        Record::Notified {
            owner,
            to,
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
                    debug!(instance, group, %to, succeeded, "{name}: told of {to}: {detail}");
                }
                Then::Again(rest) => warn!(
                    instance, group, %to, succeeded,
                    "{name}: not told of {to}: {detail}; trying again in {} s", rest.as_secs(),
                ),
                Then::GivenUp => warn!(
                    instance, group, %to, succeeded,
                    "{name}: not told of {to}: {detail}; not tried again",
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
            instance = %router, %from, %to, %cause, priority = priority.get(),
            "{router}: {from} -> {to} (priority {priority}): {cause}",
        ),
        Report::Dropped {
            router,
            source,
            cause,
        } => {
            let whose = whose(router.as_deref());
            warn!(
                instance = router.as_deref(), %source, cause = cause.word(),
                "{whose}packet from {source} dropped: {cause} (told once a minute)",
            );
        }
        Report::Interrupted {
            router,
            fault_reason,
            lasted,
        } => info!(
            instance = %router, %fault_reason, ?lasted,
            "{router}: no fault: {fault_reason}, for {} only", Human(lasted),
        ),
        Report::Repaired { router, address } => warn!(
            instance = %router, %address,
            "{router}: somebody took {address} away; put back and announced",
        ),
        Report::Stray { router, address } => warn!(
            instance = %router, %address,
            "{router}: {address} was added here although this host is not master; taken off",
        ),
        Report::RoutingRepaired { router, what } => warn!(
            instance = %router, %what,
            "{router}: {what} was gone although this host is master; put back",
        ),
        Report::RoutingStray { router, what } => warn!(
            instance = %router, %what,
            "{router}: {what} was added here although this host is not master; taken away",
        ),
        Report::Verdict {
            tracker,
            up,
            detail,
        } => {
            let verdict = if up { "up" } else { "down" };
            info!(%tracker, up, "tracker {tracker} is {verdict}: {detail}");
        }
        Report::Priority { router, from, to } => info!(
            instance = %router, from = from.get(), to = to.get(),
            "{router}: priority {from} -> {to}",
        ),
        Report::Drift {
            router,
            source,
            how,
        } => warn!(
            instance = %router, %source,
            "{router}: {source} is configured otherwise: {how}; it is heard all the same",
        ),
        Report::SecondMaster {
            router,
            source,
            priority,
        } => {
            warn_second_master(&router, source, priority);
        }
    }
}

fn warn_second_master(router: &str, source: IpAddr, priority: u8) {
    warn!(
        instance = router, %source, priority,
        "{router}: {source} advertises priority {priority} although this host is master: \
         does it hear this host? (told once a minute)",
    );
}

fn whose(router: Option<&str>) -> String {
    router
        .map(|router| format!("{router}: "))
        .unwrap_or_default()
}
