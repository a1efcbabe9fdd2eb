//! The text of keepalived.conf as statements.
//!
//! Each line takes the way that it takes in keepalived, and its characters keep their place:
//!
//! 1. comments are removed;
//! 2. `@ID` and `@^ID` keep or drop the line;
//! 3. `$NAME=VALUE` defines, over several lines with `\` at their ends;
//! 4. `~SEQ` and `~LST` repeat the line from step 2 on;
//! 5. `$NAME` and `${NAME}` are replaced, and the result begins again at step 1;
//! 6. `include` reads other files;
//! 7. braces and blanks separate what is left, and [`statement`] finds the blocks. The text after a brace
//!    takes this way from step 2 on.
//!
//! Each step has a limit ([`limits`](crate::limits)). When one is exceeded, reading ends with an error.

mod definition;
pub(crate) mod line;
mod sequence;
pub(crate) mod statement;
pub(crate) mod word;

use std::path::{Path, PathBuf};

use self::definition::{Beginning, Definition, Definitions};
use self::line::Line;
use self::sequence::repetition;
use self::statement::{Statement, Token};
use crate::files::Files;
use crate::glob;
use crate::limits::{BYTES, CHARACTERS, FILES, INCLUDE_DEPTH, LINE, LINES, NESTING};
use crate::place::{Place, Sources};
use crate::report::Notes;

/// Reads `file` and everything that it includes, for the host or instance `id` in `@ID` lines.
pub(crate) fn read(
    files: &dyn Files,
    file: &Path,
    id: &str,
    sources: &mut Sources,
    notes: &mut Notes,
) -> Vec<Statement> {
    let mut reader = Reader {
        files,
        id,
        sources,
        notes,
        definitions: Definitions::default(),
        tokens: Vec::new(),
        bytes: 0,
        lines: 0,
        characters: 0,
    };
    reader.file(file, None, 0);
    let tokens = reader.tokens;
    statement::parse(tokens, notes)
}

struct Reader<'f> {
    files: &'f dyn Files,
    id: &'f str,
    sources: &'f mut Sources,
    notes: &'f mut Notes,
    definitions: Definitions,
    tokens: Vec<Token>,
    /// Bytes of the files that were read.
    bytes: usize,
    /// Lines that were read or expanded.
    lines: usize,
    /// Characters of these lines, and of those in which a definition was replaced.
    characters: usize,
}

impl Reader<'_> {
    /// Reads a file, which `include` at `from` names.
    fn file(&mut self, path: &Path, from: Option<Place>, depth: usize) {
        let here = from.unwrap_or_default();
        if depth >= INCLUDE_DEPTH {
            let message = format!(
                "more than {INCLUDE_DEPTH} files include each other: is this file among them?"
            );
            return self.notes.stop(here, message);
        }
        if self.sources.len() >= FILES {
            return self.notes.stop(here, format!("more than {FILES} files"));
        }
        let text = match self.files.read(path) {
            Ok(text) => text,
            Err(reason) => {
                let file = self.sources.add(path, "");
                let place = from.unwrap_or_else(|| Place::start_of(file));
                return self.notes.error(place, reason);
            }
        };
        let file = self.sources.add(path, &text);
        self.bytes += text.len();
        if self.bytes > BYTES {
            let place = from.unwrap_or_else(|| Place::start_of(file));
            return self.notes.stop(
                place,
                format!("the files have more than {} MiB", BYTES >> 20),
            );
        }
        let mut defining: Option<Beginning> = None;
        for (number, text) in (1..).zip(text.split('\n')) {
            if self.notes.is_stopped() {
                return;
            }
            if text.len() > LINE {
                let place = Place {
                    file,
                    line: number,
                    column: 1,
                    width: 1,
                };
                self.notes.error(
                    place,
                    format!("the line has more than {LINE} bytes: keepalived ignores it"),
                );
                continue;
            }
            let is_blank = text.trim_end_matches('\r').is_empty();
            let mut line = Line::new(file, number, text);
            self.check(&mut line);
            match &mut defining {
                Some(beginning) if is_blank => beginning.continues = false,
                Some(beginning) if !line.is_empty() => beginning.add(&line),
                Some(_) => {}
                None => {
                    defining = self.line(
                        line,
                        &Location {
                            file,
                            depth,
                            nesting: 0,
                        },
                    );
                }
            }
            if let Some(ended) = defining.take_if(|beginning| !beginning.continues) {
                self.definitions.set(ended.name, ended.definition);
            }
        }
        if let Some(beginning) = defining {
            self.definitions.set(beginning.name, beginning.definition);
        }
    }

    /// Removes the comment of a line, and reports characters that cannot be right.
    fn check(&mut self, line: &mut Line) {
        if let Some(nul) = line.0.iter().find(|glyph| glyph.character == '\0') {
            self.notes.error(
                nul.place,
                "the line contains a NUL character: keepalived ignores it",
            );
            line.0.clear();
        }
        if let Some(quote) = line.remove_comment() {
            self.notes.error(
                quote,
                "this quote is not closed: write another one at the end",
            );
        }
        let mut glyphs = line.0.iter();
        if let Some(lost) = glyphs.find(|glyph| glyph.character == char::REPLACEMENT_CHARACTER) {
            let message = "bytes outside of a comment are not UTF-8: write this line in UTF-8";
            self.notes.error(lost.place, message);
        }
    }

    /// Reads a line without comment. Returns a definition that it begins.
    fn line(&mut self, mut line: Line, at: &Location) -> Option<Beginning> {
        if at.nesting > NESTING {
            let message =
                "definitions over several lines, ~SEQ and ~LST contain each other too often";
            self.notes.stop(line.place(), message.to_owned());
        }
        let mut following = Vec::new();
        // The text after a brace is read like a separate line.
        while !line.is_empty() && self.spend(1, line.len(), line.place()) {
            if line.starts_with("@") && !self.applies(&mut line) {
                break;
            }
            if line.starts_with("$")
                && let Some(beginning) = definition::beginning(&line)
            {
                return Some(beginning);
            }
            if line.starts_with("~") {
                self.repeat(line, at);
                break;
            }
            if line.contains('$') {
                following.extend(self.replace(&mut line)?);
                if line.starts_with("@") || line.starts_with("~") {
                    self.define(line, &at.within());
                    break;
                }
            }
            if let Some(pattern) = included(&line) {
                self.include(&line, &pattern, at);
                break;
            }
            self.tokens.extend(statement::take_tokens(&mut line));
        }
        for line in following {
            self.define(line, &at.within());
        }
        None
    }

    /// Replaces the definitions in a line up to the first brace: those after it may be set by then. Returns
    /// further lines of the last one; `None` if there is a mistake.
    fn replace(&mut self, line: &mut Line) -> Option<Vec<Line>> {
        let rest = definition::split_off_block(line);
        let replaced = self.definitions.replace(line, rest.is_empty());
        line.0.extend(rest.0);
        let characters = line.len().saturating_mul(replaced.count);
        if let Some((place, message)) = replaced.failure {
            self.notes.error(place, message);
            return None;
        }
        if replaced.count > 0 {
            self.check(line);
        }
        self.spend(0, characters, line.place())
            .then_some(replaced.following)
    }

    /// Reads a line of an expansion. A definition in it has one line.
    fn define(&mut self, line: Line, at: &Location) {
        if !self.notes.is_stopped()
            && let Some(Beginning {
                name, definition, ..
            }) = self.line(line, at)
        {
            self.definitions.set(name, definition);
        }
    }

    /// Counts lines and characters. Returns whether they are within the limits.
    fn spend(&mut self, lines: usize, characters: usize, place: Place) -> bool {
        self.lines += lines;
        self.characters += characters;
        if self.lines > LINES {
            self.notes.stop(
                place,
                format!("the files have more than {LINES} lines, or stand for more"),
            );
        }
        if self.characters > CHARACTERS {
            let message =
                format!("the files have more than {CHARACTERS} characters, or stand for more");
            self.notes.stop(place, message);
        }
        !self.notes.is_stopped()
    }

    /// Whether a line with `@ID` or `@^ID` is for this host. Removes the condition.
    fn applies(&mut self, line: &mut Line) -> bool {
        let text = line.text();
        let word = text.split([' ', '\t']).next().unwrap_or_default();
        let rest = word.strip_prefix('@').unwrap_or(word);
        let (id, wanted) = match rest.strip_prefix('^') {
            Some(id) => (id, false),
            None => (rest, true),
        };
        line.remove_front(word.chars().count());
        (id == self.id) == wanted && !line.is_empty()
    }

    /// Reads a line once for each value.
    fn repeat(&mut self, mut line: Line, at: &Location) {
        let place = line.place();
        // Only the values: the rest is replaced in each repetition.
        let end = line.0.iter().position(|glyph| glyph.character == ')');
        let rest = end.map(|end| line.0.split_off(end));
        let replaced = self.definitions.replace(&mut line, false);
        line.0.extend(rest.unwrap_or_default());
        if let Some((place, message)) = replaced.failure {
            return self.notes.error(place, message);
        }
        match repetition(&line) {
            Ok(repetition) => {
                for values in repetition.values {
                    for (name, value) in values {
                        self.definitions.set(name, Definition::single(value));
                    }
                    if self.notes.is_stopped() {
                        return;
                    }
                    self.define(repetition.line.clone(), &at.within());
                }
            }
            Err(right) => self
                .notes
                .error(place, format!("this repeats no line: {right}")),
        }
    }

    /// Reads the files that match `pattern`.
    fn include(&mut self, line: &Line, pattern: &str, at: &Location) {
        let place = line.place();
        let base = self
            .sources
            .path(at.file)
            .parent()
            .map_or_else(PathBuf::new, Path::to_owned);
        let found = glob::matches(self.files, &base, pattern);
        if found.is_empty() && !glob::is_pattern(pattern) {
            self.notes
                .error(place, format!("no file matches `{pattern}`"));
        }
        for path in found {
            if self.notes.is_stopped() {
                return;
            }
            self.file(&path, Some(place), at.depth + 1);
        }
    }
}

/// File of a line, and its depth.
struct Location {
    file: usize,
    /// Files around it.
    depth: usize,
    /// Expansions around it.
    nesting: usize,
}

impl Location {
    const fn within(&self) -> Self {
        Self {
            nesting: self.nesting + 1,
            ..*self
        }
    }
}

/// Returns the pattern of an `include` line.
fn included(line: &Line) -> Option<String> {
    let text = line.text();
    let rest = text.strip_prefix("include")?;
    let rest = rest.strip_prefix(['r', 'm', 'w', 'b', 'a']).unwrap_or(rest);
    let pattern = rest.trim_start();
    let is_word = rest.len() > pattern.len() && !pattern.is_empty();
    is_word.then(|| pattern.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use crate::Kind::Error;
    use crate::testing::instance;

    #[test]
    fn comments_may_have_another_encoding() {
        let found = instance("! \u{fffd}\u{fffd}", "priority 7 # \u{fffd}");
        assert!(found.instance().is_object(), "{found}");
        let found = instance("", "notify_master \"/bin/a \u{fffd}\"");
        assert!(
            found.reports(Error, "4:23: bytes outside of a comment"),
            "{found}"
        );
    }
}
