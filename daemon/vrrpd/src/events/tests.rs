use std::time::SystemTime;

use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::cli::{Cli, Command};
use crate::testing::Directory;
use crate::text::since;

fn line(instance: &str, time: &str) -> String {
    let event = json!({
        "time": time, "bootTime": 1.5, "level": "info", "kind": "transition",
        "text": format!("{instance}: backup -> master"), "instance": instance,
    });
    format!("{event}\n")
}

fn options(arguments: &[&str]) -> EventsOptions {
    let words = ["vrrpd", "events"].iter().chain(arguments);
    let Command::Events(options) = Cli::try_parse_from(words).unwrap().command else {
        panic!("another command: {arguments:?}");
    };
    options
}

fn append(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn tail_reads_former_file_first_and_no_event_twice() {
    let directory = Directory::new();
    let (former, present) = (directory.path(FORMER), directory.path(PRESENT));
    append(&former, "1\n");
    append(&present, "2\n");
    let mut tail = Tail::new(&directory.path(""));
    let mut read = || String::from_utf8(tail.read().unwrap()).unwrap();
    assert_eq!(read(), "1\n2\n");
    assert_eq!(read(), "");
    append(&present, "3\n4");
    assert_eq!(read(), "3\n");
    append(&present, "5\n");
    std::fs::rename(&present, &former).unwrap();
    append(&present, "6\n");
    assert_eq!(read(), "45\n6\n");
}

#[test]
fn tail_continues_when_the_directory_is_created_again() {
    let directory = Directory::new();
    let runtime = directory.path("runtime");
    let watch = Watch::new(&runtime).unwrap();
    let mut tail = Tail::new(&runtime);
    assert_eq!(tail.read().unwrap(), b"");
    for number in ["1\n", "2\n"] {
        std::fs::create_dir(&runtime).unwrap();
        append(&runtime.join(PRESENT), number);
        watch.wait().unwrap();
        assert_eq!(tail.read().unwrap(), number.as_bytes());
        std::fs::remove_dir_all(&runtime).unwrap();
    }
}

#[test]
fn watch_returns_as_soon_as_an_event_is_written() {
    let directory = Directory::new();
    let path = directory.path(PRESENT);
    append(&path, "1\n");
    let watch = Watch::new(&directory.path("")).unwrap();
    append(&path, "2\n");
    let mut files = [PollFd::new(watch.inotify.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut files, PollTimeout::ZERO).unwrap(), 1);
}

#[test]
fn events_are_filtered_by_instance_and_time() {
    let event = |instance: &str, time: &str| -> Event {
        serde_json::from_str(&line(instance, time)).unwrap()
    };
    let of_instance = options(&["VI_1"]);
    assert!(is_meant(
        &of_instance,
        &event("VI_1", "2026-11-30T07:45:00.000Z")
    ));
    assert!(!is_meant(
        &of_instance,
        &event("VI_2", "2026-11-30T07:45:00.000Z")
    ));
    let since = options(&["--since", "2026-11-30 07:45:00"]);
    assert!(is_meant(&since, &event("VI_1", "2026-11-30T07:45:00.000Z")));
    assert!(!is_meant(
        &since,
        &event("VI_1", "2026-11-30T07:44:59.999Z")
    ));
}

#[test]
fn since_accepts_time_spans_and_times() {
    let now = SystemTime::now();
    let ago = now
        .duration_since(since("10min").unwrap())
        .unwrap_or_default();
    assert!(ago.as_secs() <= 600, "{ago:?}");
    assert!(since("2026-11-30T07:45:00Z").is_ok());
    assert!(
        since("yesterday")
            .unwrap_err()
            .contains("must be a time span")
    );
}
