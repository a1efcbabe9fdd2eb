//! The report of a conversion: what could not be converted, what behaves otherwise, and mistakes.

use core::fmt;
use std::collections::BTreeSet;
use std::path::PathBuf;

use vrrp_config::{excerpt, suggest};

use crate::limits::ENTRIES;
use crate::place::{Place, Sources};

/// Meaning of an entry for the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A mistake, which keepalived rejects or ignores: there is no result.
    Error,
    /// Valid in keepalived, and without an equivalent here: the result lacks it.
    NotConverted,
    /// Converted, with another behaviour.
    Differs,
    /// A warning of the check of the result.
    Warning,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::NotConverted => "not converted",
            Self::Differs => "differs",
            Self::Warning => "warning",
        })
    }
}

/// One entry of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its meaning.
    pub kind: Kind,
    /// File, line, column and the marked line; `None` if it is about no line.
    pub position: Option<Position>,
    /// Description and remedy in one line.
    pub message: String,
}

/// Position of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// Byte in the line, counted from 1.
    pub column: usize,
    /// The line with a marker, unless it may contain a secret.
    pub excerpt: Option<String>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(position) = &self.position else {
            return write!(f, "{}: {}", self.kind, self.message);
        };
        let Position {
            file,
            line,
            column,
            excerpt,
        } = position;
        write!(
            f,
            "{}:{line}:{column}: {}: {}",
            file.display(),
            self.kind,
            self.message
        )?;
        match excerpt {
            Some(excerpt) => write!(f, "\n{excerpt}"),
            None => Ok(()),
        }
    }
}

/// All entries in the order of the files, and a summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    entries: Vec<Entry>,
    /// Entries beyond the limit.
    omitted: usize,
    /// Keywords that were converted.
    converted: usize,
}

impl Report {
    /// The entries, at most 1000.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there is an entry of `kind`.
    pub fn has(&self, kind: Kind) -> bool {
        self.entries.iter().any(|entry| entry.kind == kind)
    }

    /// Number of keywords that were converted, with the same or with another behaviour.
    pub const fn converted(&self) -> usize {
        self.converted
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            writeln!(f, "{entry}")?;
        }
        if self.omitted > 0 {
            writeln!(f, "{} further entries are omitted", self.omitted)?;
        }
        let count = |kind| {
            self.entries
                .iter()
                .filter(|entry| entry.kind == kind)
                .count()
        };
        write!(
            f,
            "{} converted, {} with another behaviour, {} not converted, {}, {}",
            plural(self.converted, "keyword"),
            count(Kind::Differs),
            count(Kind::NotConverted),
            plural(count(Kind::Warning), "warning"),
            plural(count(Kind::Error), "error"),
        )
    }
}

fn plural(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Entries in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    found: BTreeSet<(Option<Place>, Kind, String)>,
    omitted: usize,
    pub(crate) converted: usize,
    is_stopped: bool,
    /// Files and lines that are not displayed.
    hidden: BTreeSet<(usize, usize)>,
}

impl Notes {
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.add(Kind::Error, Some(place), message.into());
    }

    pub(crate) fn not_converted(&mut self, place: Place, message: impl Into<String>) {
        self.add(Kind::NotConverted, Some(place), message.into());
    }

    pub(crate) fn differs(&mut self, place: Place, message: impl Into<String>) {
        self.add(Kind::Differs, Some(place), message.into());
    }

    /// Reports a word that is none of `known`, with the one that was probably meant.
    pub(crate) fn unknown<'a>(
        &mut self,
        place: Place,
        what: &str,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        /// A longer word is no keyword with a mistake.
        const LONGEST: usize = 64;
        if self.found.len() >= ENTRIES {
            self.omitted += 1;
            return;
        }
        // A repeated line has the same mistake again.
        let first = (Some(place), Kind::Error, String::new());
        let mut from_here = self.found.range(first..);
        if from_here
            .next()
            .is_some_and(|(at, kind, _)| (*at, *kind) == (Some(place), Kind::Error))
        {
            return;
        }
        let meant = (word.len() <= LONGEST)
            .then(|| suggest(word, known))
            .flatten();
        let is_hidden = self.hidden.contains(&(place.file, place.line));
        let shown = if is_hidden && meant.is_none() {
            String::new()
        } else {
            let short: String = word.chars().take(LONGEST).collect();
            format!(" `{short}`")
        };
        let remedy = meant.map_or_else(
            || "correct it, or remove it from the file".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        self.error(place, format!("unknown {what}{shown}: {remedy}"));
    }

    /// Has the line of `place` displayed in no entry, because it may contain a secret.
    pub(crate) fn hide(&mut self, place: Place) {
        self.hidden.insert((place.file, place.line));
    }

    /// Reports that a limit is exceeded. Only the first such entry counts: the reader stops there.
    pub(crate) fn stop(&mut self, place: Place, message: String) {
        if !self.is_stopped {
            self.is_stopped = true;
            self.error(place, message);
        }
    }

    /// Whether a limit was exceeded.
    pub(crate) const fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    pub(crate) fn add(&mut self, kind: Kind, place: Option<Place>, message: String) {
        // An error beyond the limit has to remain visible, because it decides the result.
        if self.found.len() >= ENTRIES && (kind != Kind::Error || self.has_error()) {
            self.omitted += 1;
        } else {
            self.found.insert((place, kind, message));
        }
    }

    pub(crate) fn has_error(&self) -> bool {
        self.found.iter().any(|(_, kind, _)| *kind == Kind::Error)
    }

    /// Returns the report, with the lines of `sources`.
    pub(crate) fn finish(self, sources: &Sources) -> Report {
        let entry = |(place, kind, message): (Option<Place>, Kind, String)| Entry {
            kind,
            message,
            position: place.filter(|place| place.line > 0).map(|place| Position {
                file: sources.path(place.file).to_owned(),
                line: place.line,
                column: place.column,
                excerpt: marked(sources, place)
                    .filter(|_| !self.hidden.contains(&(place.file, place.line))),
            }),
        };
        Report {
            entries: self.found.into_iter().map(entry).collect(),
            omitted: self.omitted,
            converted: self.converted,
        }
    }
}

/// Returns the line of `place` with a marker. A definition may be a secret.
fn marked(sources: &Sources, place: Place) -> Option<String> {
    let line = sources.line(place);
    let is_definition = line.trim_start().starts_with('$') && line.contains('=');
    (!is_definition)
        .then(|| excerpt(place.line, line, place.column, place.width))
        .flatten()
}
