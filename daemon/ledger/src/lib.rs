//! Ledger of the RFCs' requirements: the code that implements each requirement, and the test that verifies
//! it.
//!
//! A requirement is one line, with the same text everywhere, so that one search finds all of it: in
//! `requirements.txt`, in a comment above the code that implements it, and in a comment above the test that
//! verifies it.
//!
//! ```text
//! // RFC 9568 6.4.2 MUST: priority 0 sets Active_Down_Timer to Skew_Time
//! ```
//!
//! For a requirement that no code here implements, `requirements.txt` gives the reason.
//! `docs/conformance.md` is generated from both; `docs/router.svg` is generated from the table of the
//! router's transitions. `UPDATE_LEDGER=1 cargo test -p vrrp-ledger` writes both.

mod citation;
mod fault;
pub mod graph;
pub mod page;
mod requirement;
mod source;

use std::collections::BTreeMap;

pub use citation::{Citation, Level};
pub use fault::Fault;
pub use requirement::{Requirement, Standing};
pub use source::Place;

/// Crates of the daemon: only a citation in their `src` counts as an implementation. All other citations
/// count as verification.
pub const DAEMON: [&str; 5] = ["proto", "node", "config", "linux", "vrrpd"];

/// Source file: its path below the root of the repository, with `/`, and its text.
#[derive(Clone, Debug)]
pub struct File {
    /// Path, such as `daemon/proto/src/router.rs`.
    pub path: String,
    /// Contents.
    pub text: String,
}

/// All requirements, with the code and the tests that cite them.
#[derive(Debug)]
pub struct Ledger {
    /// Titles of the sections, in the order of the list.
    pub titles: Vec<Title>,
    /// Requirements, in the order of the list.
    pub rows: Vec<Row>,
}

/// Title of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Number of the RFC.
    pub rfc: u16,
    /// Section, such as `6.4.2`.
    pub section: String,
    /// Title.
    pub text: String,
}

/// Requirement with its citations.
#[derive(Debug)]
pub struct Row {
    /// Requirement.
    pub requirement: Requirement,
    /// Standing, or the standing of the other requirement for one that is the same as another.
    pub standing: Standing,
    /// Code that cites the requirement.
    pub code: Vec<Place>,
    /// Tests that cite the requirement.
    pub tests: Vec<Place>,
}

/// Joins the list of requirements with the citations in `files`. Also returns the faults in either: without
/// faults every requirement has code and a test, or a reason.
pub fn join(list: &str, files: &[File]) -> (Ledger, Vec<Fault>) {
    let (titles, requirements, mut faults) = requirement::parse(list);
    let cited = source::scan(files, &mut faults);

    let known: BTreeMap<&Citation, &Requirement> =
        requirements.iter().map(|r| (&r.citation, r)).collect();
    let mut code: BTreeMap<&Citation, Vec<Place>> = BTreeMap::new();
    let mut tests: BTreeMap<&Citation, Vec<Place>> = BTreeMap::new();
    for (citation, place) in &cited {
        if !known.contains_key(citation) {
            faults.push(Fault::Unknown {
                place: place.clone(),
                citation: citation.clone(),
                meant: nearest(citation, known.keys().copied()),
            });
            continue;
        }
        let found = if place.is_test { &mut tests } else { &mut code };
        let places = found.entry(citation).or_default();
        if !places.contains(place) {
            places.push(place.clone());
        }
    }
    let of = |found: &BTreeMap<&Citation, Vec<Place>>, citation: &Citation| {
        found.get(citation).cloned().unwrap_or_default()
    };

    let mut rows = Vec::with_capacity(requirements.len());
    for requirement in &requirements {
        let mut row = Row {
            requirement: requirement.clone(),
            standing: requirement.standing.clone(),
            code: of(&code, &requirement.citation),
            tests: of(&tests, &requirement.citation),
        };
        if let Standing::SameAs(other) = &requirement.standing {
            match known.get(other).map(|other| &other.standing) {
                None | Some(Standing::SameAs(_)) => faults.push(Fault::SameAsNothing {
                    requirement: requirement.citation.clone(),
                    other: other.clone(),
                }),
                Some(standing) => {
                    row.standing = standing.clone();
                    add_new(&mut row.code, of(&code, other));
                    add_new(&mut row.tests, of(&tests, other));
                }
            }
        }
        check(&row, &mut faults);
        rows.push(row);
    }
    (Ledger { titles, rows }, faults)
}

/// Checks that a requirement has the citations that its standing requires, and none that contradict it.
fn check(row: &Row, faults: &mut Vec<Fault>) {
    let citation = || row.requirement.citation.clone();
    match &row.standing {
        Standing::Obeyed | Standing::Deviates(_) => {
            if row.code.is_empty() {
                faults.push(Fault::NoCode(citation()));
            }
            if row.tests.is_empty() {
                faults.push(Fault::NoTest(citation()));
            }
            check_prose(row, faults);
        }
        // A test may verify what the kernel does.
        Standing::Kernel(_) => stale(row, &row.code, faults),
        Standing::Operator(_) | Standing::NotBuilt(_) | Standing::DoesNotApply(_) => {
            stale(row, &row.code, faults);
            stale(row, &row.tests, faults);
        }
        // The missing target was reported before.
        Standing::SameAs(_) => {}
    }
}

/// Checks that a note or a deviation names tests of the requirement that show what it says.
fn check_prose(row: &Row, faults: &mut Vec<Fault>) {
    let Requirement {
        citation,
        standing,
        note,
        shown_by,
    } = &row.requirement;
    let has_prose = note.is_some() || matches!(standing, Standing::Deviates(_));
    // Missing tests were reported before.
    if has_prose && shown_by.is_empty() && !row.tests.is_empty() {
        faults.push(Fault::NotShown(citation.clone()));
    }
    let unknown = shown_by
        .iter()
        .filter(|name| !row.tests.iter().any(|place| place.item == **name));
    faults.extend(unknown.map(|name| Fault::ShownByNothing {
        requirement: citation.clone(),
        test: name.clone(),
    }));
}

fn stale(row: &Row, places: &[Place], faults: &mut Vec<Fault>) {
    faults.extend(places.iter().map(|place| Fault::Stale {
        place: place.clone(),
        citation: row.requirement.citation.clone(),
        standing: row.standing.clone(),
    }));
}

fn add_new(places: &mut Vec<Place>, more: Vec<Place>) {
    for place in more {
        if !places.contains(&place) {
            places.push(place);
        }
    }
}

/// Returns the known requirement that shares most words with `citation`, if both are in the same section or
/// share at least half of the words.
fn nearest<'a>(citation: &Citation, known: impl Iterator<Item = &'a Citation>) -> Option<Citation> {
    let words = |citation: &Citation| -> Vec<String> {
        citation.words.split(' ').map(str::to_owned).collect()
    };
    let wanted = words(citation);
    let shared = |other: &Citation| {
        let theirs = words(other);
        wanted.iter().filter(|word| theirs.contains(word)).count()
    };
    known
        .filter(|other| other.rfc == citation.rfc)
        .map(|other| (shared(other), other.section == citation.section, other))
        .filter(|(shared, same, _)| (*same && *shared > 0) || shared * 2 >= wanted.len())
        .max_by_key(|(shared, same, _)| (*shared, *same))
        .map(|(_, _, other)| other.clone())
}

#[cfg(test)]
mod tests;
