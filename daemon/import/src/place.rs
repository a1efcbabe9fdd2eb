//! Places in the files, which remain known when the text is expanded.

use std::path::{Path, PathBuf};

/// Characters of a file. Text that stands for a definition has the place at which it was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Number of the file in [`Sources`].
    pub(crate) file: usize,
    /// Line, counted from 1.
    pub(crate) line: usize,
    /// First byte in the line, counted from 1.
    pub(crate) column: usize,
    /// Number of bytes.
    pub(crate) width: usize,
}

impl Place {
    /// The beginning of a file.
    pub(crate) const fn start_of(file: usize) -> Self {
        Self {
            file,
            line: 1,
            column: 1,
            width: 1,
        }
    }

    /// From the beginning of this place to the end of `last`, if both are in one line.
    pub(crate) fn to(self, last: Self) -> Self {
        let end = last.column.saturating_add(last.width);
        if (self.file, self.line) == (last.file, last.line) && end > self.column {
            return Self {
                width: end - self.column,
                ..self
            };
        }
        self
    }
}

/// Files that were read, with their lines.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    path: PathBuf,
    lines: Vec<String>,
}

impl Sources {
    /// Adds a file and returns its number.
    pub(crate) fn add(&mut self, path: &Path, text: &str) -> usize {
        let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        self.0.push(Source {
            path: path.to_owned(),
            lines: lines.map(str::to_owned).collect(),
        });
        self.0.len() - 1
    }

    /// Number of files.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Path of a file.
    pub(crate) fn path(&self, file: usize) -> &Path {
        self.0
            .get(file)
            .map_or(Path::new(""), |source| &source.path)
    }

    /// Line of a place.
    pub(crate) fn line(&self, place: Place) -> &str {
        let source = self.0.get(place.file);
        let line = source.and_then(|source| source.lines.get(place.line.saturating_sub(1)));
        line.map_or("", String::as_str)
    }
}
