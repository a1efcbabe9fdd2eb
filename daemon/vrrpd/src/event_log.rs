//! Event log: the records of the log as JSON lines in the runtime directory, for `vrrpd events`. Two files of
//! bounded size; they outlive the daemon, so that its last events can be read after its death.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use nix::libc;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use vrrp_proto::Instant;

/// Size in bytes from which a new file is begun.
const LARGEST: u64 = 512 << 10;

/// Event of a record without a kind: a line in words alone.
const NOTE: &str = "note";

/// Record of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    /// Wall-clock time (RFC 3339, UTC).
    pub(crate) time: String,
    /// Time since the boot of the host in seconds (`CLOCK_BOOTTIME`).
    pub(crate) boot_time: f64,
    /// Level: `error`, `warn` or `info`.
    pub(crate) level: String,
    /// Kind, for example `transition`.
    pub(crate) kind: String,
    /// The line in the log.
    pub(crate) text: String,
    /// The fields of the record in the journal, without their prefix.
    #[serde(flatten)]
    pub(crate) fields: Map<String, Value>,
}

/// Moment of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Wall clock.
    pub(crate) wall: SystemTime,
    /// Clock of the daemon.
    pub(crate) boot: Instant,
}

/// Files in the runtime directory: the present one, and the full one before it.
pub(crate) const PRESENT: &str = "events.jsonl";
pub(crate) const FORMER: &str = "events.1.jsonl";

/// Writes the events of the log.
#[derive(Debug)]
pub(crate) struct EventLog {
    directory: PathBuf,
    collector: Collector,
    file: Option<(File, u64)>,
    /// Whether the last attempt to write failed.
    has_failed: bool,
}

impl EventLog {
    /// Event log in a directory, and the layer of `tracing` that collects its events.
    pub(crate) fn new(directory: PathBuf) -> (Self, Collector) {
        let collector = Collector::default();
        let log = Self {
            directory,
            collector: collector.clone(),
            file: None,
            has_failed: false,
        };
        (log, collector)
    }

    /// Writes what was logged since the last call, which happened at `moment`. A failure is logged once,
    /// until an attempt succeeds: a full or read-only file system is no reason not to serve.
    pub(crate) fn append(&mut self, moment: Moment) {
        let events = self.collector.take();
        let mut lines = Vec::new();
        for event in events {
            let event = Event {
                time: humantime::format_rfc3339_millis(moment.wall).to_string(),
                boot_time: seconds(moment.boot),
                ..event
            };
            if serde_json::to_writer(&mut lines, &event).is_ok() {
                lines.push(b'\n');
            }
        }
        if lines.is_empty() {
            return;
        }
        let outcome = self.write(&lines);
        let had_failed = std::mem::replace(&mut self.has_failed, outcome.is_err());
        if let Err(error) = outcome {
            self.file = None;
            if !had_failed {
                warn!(
                    "cannot write {}: {error}; vrrpd events will lack what happens until that is mended",
                    self.directory.join(PRESENT).display()
                );
                // Not an event: there is no place for it.
                drop(self.collector.take());
            }
        }
    }

    /// Writes lines with one call, so that a reader sees whole lines.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let path = self.directory.join(PRESENT);
        if self.file.as_ref().is_some_and(|(_, size)| *size >= LARGEST) {
            std::fs::rename(&path, self.directory.join(FORMER))?;
            self.file = None;
        }
        let (file, size) = match &mut self.file {
            Some(open) => open,
            none => none.insert(open(&path)?),
        };
        file.write_all(lines)?;
        *size += lines.len() as u64;
        Ok(())
    }
}

/// Opens the present file for further lines, and returns its size. All users may read it, as they may read
/// the status.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o644);
    // Another program may have put a link or a FIFO there.
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok((file, metadata.len()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact to the microsecond for a century"
)]
fn seconds(instant: Instant) -> f64 {
    instant.as_nanos() as f64 / 1e9
}

/// Layer of `tracing` that keeps the events of the daemon until they are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collector(Arc<Mutex<Vec<Event>>>);

impl Collector {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        // Libraries log too, on their own threads.
        if !event.metadata().target().starts_with("vrrpd") {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut fields = fields.0;
        let mut text = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Some(text),
            Some(_) | None => None,
        };
        let collected = Event {
            level: event.metadata().level().as_str().to_ascii_lowercase(),
            kind: text("kind").unwrap_or_else(|| NOTE.to_owned()),
            text: text("message").unwrap_or_default(),
            fields,
            ..Event::default()
        };
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(collected);
    }
}

/// The fields of an event.
#[derive(Debug, Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }
}

#[cfg(test)]
mod tests;
