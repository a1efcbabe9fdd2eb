//! Test of this repository's ledger: it is complete, and its pages are up to date.

use std::path::{Path, PathBuf};

use vrrp_ledger::{File, graph, join, page};

/// Path of the snapshot that the graph is drawn from.
const TABLE: &str = "daemon/proto/src/router/tests/snapshots/vrrp_proto__router__tests__table__\
                     transition_table_matches_the_snapshot.snap";

#[test]
fn every_requirement_has_code_and_test_or_reason() {
    let list = read(&root().join("daemon/ledger/requirements.txt"));
    let (ledger, faults) = join(&list, &sources());
    let found: Vec<_> = faults.iter().map(|fault| format!("  {fault}\n")).collect();
    assert!(
        found.is_empty(),
        "{} faults:\n{}",
        found.len(),
        found.concat()
    );
    assert_current("docs/conformance.md", &page::page(&ledger));
}

#[test]
fn router_graph_matches_transition_table() {
    let transitions = graph::parse(&read(&root().join(TABLE))).unwrap();
    assert_eq!(graph::missing(&transitions), []);
    assert_current("docs/router.svg", &graph::draw(&transitions).unwrap());
}

/// Compares a committed page with the generated one, or writes the page if `UPDATE_LEDGER` is set.
fn assert_current(path: &str, current: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_LEDGER").is_some() {
        std::fs::write(&file, current).expect("the page can be written");
    }
    assert!(
        std::fs::read_to_string(&file).unwrap_or_default() == current,
        "{path} is not up to date: write it with UPDATE_LEDGER=1 cargo test -p vrrp-ledger"
    );
}

/// Returns the sources and tests of all crates except this one, which has example citations in its tests.
fn sources() -> Vec<File> {
    let mut files = Vec::new();
    for member in entries(&root().join("daemon")) {
        if member.file_name().is_some_and(|name| name == "ledger") {
            continue;
        }
        for part in ["src", "tests"] {
            collect(&member.join(part), &mut files);
        }
    }
    files
}

fn collect(directory: &Path, files: &mut Vec<File>) {
    for path in entries(directory) {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root()).expect("a path below the root");
            files.push(File {
                path: below.display().to_string(),
                text: read(&path),
            });
        }
    }
}

/// Returns the sorted entries of a directory; none if the directory does not exist.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(found) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut entries: Vec<_> = found.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors()
        .nth(2)
        .expect("daemon/ledger is two levels below the root")
}
