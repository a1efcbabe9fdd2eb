//! What can be wrong with the ledger.

use std::fmt;

use crate::{Citation, Place, Standing};

/// Something that has to be put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A line of the list of requirements.
    List {
        /// Its number.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A comment begins like a citation and is none.
    Malformed {
        /// Where.
        file: String,
        /// Its number.
        line: usize,
        /// What it says.
        text: String,
    },
    /// A citation stands above nothing that has a name.
    Nowhere {
        /// Where.
        file: String,
        /// Its number.
        line: usize,
    },
    /// A citation stands where neither anything is obeyed nor shown.
    NoEvidence(Place),
    /// A citation stands above a function that no test runner knows.
    NotRun(Place),
    /// A citation names a requirement that is not in the list.
    Unknown {
        /// Where.
        place: Place,
        /// What it names.
        citation: Citation,
        /// What it may have meant.
        meant: Option<Citation>,
    },
    /// Nothing obeys a requirement, and no reason is given.
    NoCode(Citation),
    /// Nothing shows a requirement, and no reason is given.
    NoTest(Citation),
    /// A requirement has a reason why it is not obeyed here, and is cited.
    Stale {
        /// Where.
        place: Place,
        /// What it names.
        citation: Citation,
        /// The reason.
        standing: Standing,
    },
    /// A requirement is the same as one that is not there, or as one that is the same as another.
    SameAsNothing {
        /// The one.
        requirement: Citation,
        /// The other.
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
                "{file}:{line}: no citation: write `// RFC 9568 6.4.2 MUST: words` instead of \
                 `// {text}`"
            ),
            Self::Nowhere { file, line } => {
                write!(f, "{file}:{line}: this citation stands above nothing")
            }
            Self::NoEvidence(place) => write!(
                f,
                "{place}: a citation belongs into the daemon's code or above a test"
            ),
            Self::NotRun(place) => write!(f, "{place}: cited, but no test that is run"),
            Self::Unknown {
                place,
                citation,
                meant,
            } => {
                write!(f, "{place}: no such requirement: {citation}")?;
                match meant {
                    Some(meant) => write!(f, "; is it: {meant}"),
                    None => Ok(()),
                }
            }
            Self::NoCode(citation) => write!(f, "nothing obeys: {citation}"),
            Self::NoTest(citation) => write!(f, "nothing shows: {citation}"),
            Self::Stale {
                place,
                citation,
                standing,
            } => write!(
                f,
                "{place}: cites {citation}, of which requirements.txt says {standing}"
            ),
            Self::SameAsNothing { requirement, other } => {
                write!(f, "{requirement}: is the same as nothing: {other}")
            }
        }
    }
}
