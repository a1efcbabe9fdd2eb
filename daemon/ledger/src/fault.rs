//! Faults of the ledger.

use std::fmt;

use crate::{Citation, Place, Standing};

/// Fault that has to be corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Invalid line in the list of requirements.
    List {
        /// Line number.
        line: usize,
        /// Text of the line.
        text: String,
        /// Reason.
        why: String,
    },
    /// Comment that begins like a citation but is malformed.
    Malformed {
        /// Path of the file.
        file: String,
        /// Line number.
        line: usize,
        /// Text of the comment.
        text: String,
    },
    /// Citation that is followed by no named item.
    Nowhere {
        /// Path of the file.
        file: String,
        /// Line number.
        line: usize,
    },
    /// Citation outside the daemon's code and outside tests.
    NoEvidence(Place),
    /// Citation above a function that no test runner runs.
    NotRun(Place),
    /// Citation of a requirement that is missing in the list.
    Unknown {
        /// Place of the citation.
        place: Place,
        /// Citation.
        citation: Citation,
        /// Most similar requirement.
        meant: Option<Citation>,
    },
    /// Requirement without code and without a reason.
    NoCode(Citation),
    /// Requirement without a test and without a reason.
    NoTest(Citation),
    /// Requirement with a note or a deviation that names no test.
    NotShown(Citation),
    /// Requirement with a note or a deviation that names a test without a citation of the requirement.
    ShownByNothing {
        /// Requirement.
        requirement: Citation,
        /// Name of the test.
        test: String,
    },
    /// Citation of a requirement that is not implemented here for a reason.
    Stale {
        /// Place of the citation.
        place: Place,
        /// Citation.
        citation: Citation,
        /// Standing with the reason.
        standing: Standing,
    },
    /// Requirement that is the same as one missing in the list, or as one that itself refers to another.
    SameAsNothing {
        /// Requirement.
        requirement: Citation,
        /// Requirement that it refers to.
        other: Citation,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List { line, text, why } => {
                write!(f, "requirements.txt:{line}: {why}: {}", text.trim())
            }
            Self::Malformed { file, line, text } => write!(
                f,
                "{file}:{line}: malformed citation: write `// RFC 9568 6.4.2 MUST: words` instead of \
                 `// {text}`"
            ),
            Self::Nowhere { file, line } => {
                write!(f, "{file}:{line}: no item follows this citation")
            }
            Self::NoEvidence(place) => write!(
                f,
                "{place}: a citation has to be in the daemon's code or above a test"
            ),
            Self::NotRun(place) => write!(f, "{place}: has a citation, but no test runner runs it"),
            Self::Unknown {
                place,
                citation,
                meant,
            } => {
                write!(f, "{place}: no such requirement: {citation}")?;
                match meant {
                    Some(meant) => write!(f, "; the most similar is: {meant}"),
                    None => Ok(()),
                }
            }
            Self::NoCode(citation) => write!(f, "no code implements: {citation}"),
            Self::NoTest(citation) => write!(f, "no test verifies: {citation}"),
            Self::NotShown(citation) => write!(
                f,
                "no test is named (`shown by: TEST`) for the note or deviation of: {citation}"
            ),
            Self::ShownByNothing { requirement, test } => write!(
                f,
                "{requirement}: is to be shown by {test}, but no test of that name cites it"
            ),
            Self::Stale {
                place,
                citation,
                standing,
            } => write!(
                f,
                "{place}: cites {citation}, but requirements.txt has the reason: {standing}"
            ),
            Self::SameAsNothing { requirement, other } => {
                write!(
                    f,
                    "{requirement}: refers to an unsuitable requirement: {other}"
                )
            }
        }
    }
}
