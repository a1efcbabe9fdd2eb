//! Replay of the corpora with any toolchain.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[test]
fn advertisement_corpus_passes() {
    replay("advert", vrrp_fuzz::advert);
}

#[test]
fn scenario_corpus_keeps_invariants() {
    replay("scenario", vrrp_fuzz::scenario);
}

#[test]
fn configuration_corpus_is_accepted_or_has_reasons() {
    replay("configuration", vrrp_fuzz::configuration);
}

#[test]
fn keepalived_corpus_is_converted_or_has_errors() {
    replay("keepalived", vrrp_fuzz::keepalived);
}

#[test]
fn command_corpus_survives_a_round_trip() {
    replay("command", vrrp_fuzz::command);
}

#[test]
fn engine_corpus_keeps_invariants() {
    replay("engine", vrrp_fuzz::engine);
}

#[test]
fn every_corpus_has_a_libfuzzer_program() {
    let names = |directory: &str| -> Vec<_> {
        let paths = entries(&own().join(directory));
        paths
            .iter()
            .map(|path| path.file_stem().map(ToOwned::to_owned))
            .collect()
    };
    assert_eq!(names("corpus"), names("libfuzzer/fuzz_targets"));
}

/// Replays all inputs in the corpus of a target.
fn replay(name: &str, target: fn(&[u8])) {
    let directory = own().join("corpus").join(name);
    let files = entries(&directory);
    assert!(
        files.len() > 10,
        "too few inputs in {}",
        directory.display()
    );
    for file in files {
        let bytes = fs::read(&file).expect("a readable input");
        let played = catch_unwind(|| target(&bytes));
        assert!(played.is_ok(), "{}", file.display());
    }
}

/// Returns the sorted entries of a directory.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let found =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut entries: Vec<_> = found.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn own() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
