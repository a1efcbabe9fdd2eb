//! What the fuzzer has found worth keeping is as it has to be, on any toolchain.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[test]
fn advertisements_are_read_as_they_were_meant() {
    replay("advert", vrrp_fuzz::advert);
}

#[test]
fn no_scenario_breaks_a_law() {
    replay("scenario", vrrp_fuzz::scenario);
}

#[test]
fn a_configuration_has_a_meaning_or_reasons() {
    replay("configuration", vrrp_fuzz::configuration);
}

#[test]
fn the_engine_keeps_its_promises() {
    replay("engine", vrrp_fuzz::engine);
}

#[test]
fn every_corpus_has_a_program_that_finds_more() {
    let names = |directory: &str| -> Vec<_> {
        let paths = entries(&own().join(directory));
        paths
            .iter()
            .map(|path| path.file_stem().map(ToOwned::to_owned))
            .collect()
    };
    assert_eq!(names("corpus"), names("libfuzzer/fuzz_targets"));
}

/// Plays all that lies in the corpus of a target.
fn replay(name: &str, target: fn(&[u8])) {
    let directory = own().join("corpus").join(name);
    let files = entries(&directory);
    assert!(files.len() > 10, "{} is nearly empty", directory.display());
    for file in files {
        let bytes = fs::read(&file).expect("it was found there");
        let played = catch_unwind(|| target(&bytes));
        assert!(played.is_ok(), "{}", file.display());
    }
}

/// What is in a directory, in order.
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
