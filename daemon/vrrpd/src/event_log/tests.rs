use std::time::Duration;

use tracing::{info, subscriber};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::testing::Directory;

const MOMENT: Moment = Moment {
    wall: SystemTime::UNIX_EPOCH,
    boot: Instant::from_nanos(12_500_000_000),
};

/// Logs with `log`, and writes the events at [`MOMENT`].
fn write(event_log: &mut EventLog, collector: Collector, log: impl FnOnce()) {
    let registry = tracing_subscriber::registry().with(collector);
    subscriber::with_default(registry, || {
        log();
        event_log.append(MOMENT);
    });
}

fn events(path: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn event_has_kind_fields_and_both_times() {
    let directory = Directory::new();
    let (mut event_log, collector) = EventLog::new(directory.path(""));
    write(&mut event_log, collector, || {
        info!(kind = "priority", instance = %"VI_1", from = 100_u8, up = true, "VI_1: priority");
    });
    let text = std::fs::read_to_string(directory.path(PRESENT)).unwrap();
    insta::assert_snapshot!(text, @r#"{"time":"1970-01-01T00:00:00.000Z","bootTime":12.5,"level":"info","kind":"priority","text":"VI_1: priority","from":100,"instance":"VI_1","up":true}"#);
}

#[test]
fn event_without_kind_is_a_note_and_libraries_are_left_out() {
    let directory = Directory::new();
    let (mut event_log, collector) = EventLog::new(directory.path(""));
    write(&mut event_log, collector, || {
        info!(target: "zbus", "connected");
        info!("started");
    });
    let events = events(&directory.path(PRESENT));
    assert_eq!(events.len(), 1);
    assert_eq!((&*events[0].kind, &*events[0].text), ("note", "started"));
}

#[test]
fn full_file_becomes_the_former_one() {
    let directory = Directory::new();
    let (mut event_log, collector) = EventLog::new(directory.path(""));
    let long = "x".repeat(usize::try_from(LARGEST).unwrap() / 4);
    for number in 0..12 {
        write(&mut event_log, collector.clone(), || {
            info!(number, "{long}")
        });
    }
    let numbers = |name| {
        let events = events(&directory.path(name)).into_iter();
        let numbers = events.map(|event| event.fields["number"].as_i64().unwrap());
        numbers.collect::<Vec<_>>()
    };
    let (former, present) = (numbers(FORMER), numbers(PRESENT));
    assert_eq!([former, present].concat(), (4..12).collect::<Vec<_>>());
}

#[test]
fn unwritable_directory_is_logged_once() {
    let directory = Directory::new();
    let missing = directory.path("missing");
    let (mut event_log, collector) = EventLog::new(missing.clone());
    let other = Collector::default();
    let registry = tracing_subscriber::registry()
        .with(collector)
        .with(other.clone());
    subscriber::with_default(registry, || {
        for _ in 0..3 {
            info!("event");
            event_log.append(MOMENT);
        }
        std::fs::create_dir(&missing).unwrap();
        info!("event");
        event_log.append(MOMENT);
    });
    let warnings: Vec<String> = other
        .take()
        .into_iter()
        .filter(|event| event.level == "warn")
        .map(|event| event.text)
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("No such file or directory"),
        "{warnings:?}"
    );
    assert_eq!(events(&missing.join(PRESENT)).len(), 1);
}

#[test]
fn time_is_that_of_the_event() {
    let moment = Moment {
        wall: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        ..MOMENT
    };
    let directory = Directory::new();
    let (mut event_log, collector) = EventLog::new(directory.path(""));
    let registry = tracing_subscriber::registry().with(collector);
    subscriber::with_default(registry, || {
        info!("event");
        event_log.append(moment);
    });
    let events = events(&directory.path(PRESENT));
    assert_eq!(events[0].time, "2023-11-14T22:13:20.123Z");
}
