//! Definitions (`$NAME=VALUE`) and their replacement.

use std::collections::BTreeMap;

use super::line::{Glyph, Line};
use crate::limits::{LINE, REPLACEMENTS};
use crate::place::Place;

/// Value of a definition.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// At least one line.
    lines: Vec<String>,
    /// Whether it was written over several lines. It is replaced at the end of a line only.
    pub(crate) several: bool,
}

impl Definition {
    pub(crate) fn single(value: impl Into<String>) -> Self {
        Self {
            lines: vec![value.into()],
            several: false,
        }
    }
}

/// The beginning of `$NAME=VALUE`.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) name: String,
    pub(crate) definition: Definition,
    /// Whether the value continues in the next line.
    pub(crate) continues: bool,
}

/// Parses a line that begins with `$`. `None` if it is no definition.
pub(crate) fn beginning(line: &Line) -> Option<Beginning> {
    let text = line.text();
    let (name, value) = text.strip_prefix('$')?.split_once('=')?;
    if !is_name(name) {
        return None;
    }
    let value = value.trim_start();
    let (value, continues) = match value.strip_suffix('\\') {
        Some(value) => (value.trim_end(), true),
        None => (value, false),
    };
    Some(Beginning {
        name: name.to_owned(),
        definition: Definition {
            lines: if value.is_empty() && continues {
                Vec::new()
            } else {
                vec![value.to_owned()]
            },
            several: continues,
        },
        continues,
    })
}

impl Beginning {
    /// Adds a further line. Afterwards `continues` says whether another one follows.
    pub(crate) fn add(&mut self, line: &Line) {
        let text = line.text();
        let value = text.strip_suffix('\\');
        self.continues = value.is_some();
        let value = value.unwrap_or(&text).trim_end();
        if !value.is_empty() {
            self.definition.lines.push(value.to_owned());
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Definitions in force.
#[derive(Debug, Default)]
pub(crate) struct Definitions(BTreeMap<String, Definition>);

/// Result of the replacement in a line.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    /// Number of replacements.
    pub(crate) count: usize,
    /// Further lines of a definition, to be read after this one.
    pub(crate) following: Vec<Line>,
    /// Reason for which the replacement ended early, with its place.
    pub(crate) failure: Option<(Place, String)>,
}

/// A use of a definition in a line: the characters that are replaced.
struct Use {
    length: usize,
    name: String,
    is_last: bool,
    braces: bool,
}

impl Definitions {
    pub(crate) fn set(&mut self, name: String, definition: Definition) {
        self.0.insert(name, definition);
    }

    /// Replaces `$NAME` before a blank, and `${NAME}`, in `line`, also in what was replaced. Undefined
    /// names stay. Only a complete line may end with a definition of several lines.
    pub(crate) fn replace(&self, line: &mut Line, is_complete: bool) -> Replaced {
        let mut replaced = Replaced::default();
        let mut at = 0;
        while let Some(offset) = line
            .0
            .iter()
            .skip(at)
            .position(|glyph| glyph.character == '$')
        {
            at += offset;
            let found = self.used(line, at);
            let found = found.filter(|(_, value)| is_complete || !value.several);
            let Some((found, value)) = found else {
                if let Some(failure) = missing(line, at) {
                    replaced.failure.get_or_insert(failure);
                }
                at += 1;
                continue;
            };
            let place = span(line, at, found.length);
            replaced.count += 1;
            let mut values = value.lines.iter();
            let first = values.next().map_or("", String::as_str);
            let glyphs = first.chars().map(|character| Glyph { character, place });
            line.0.splice(at..at + found.length, glyphs);
            if value.several {
                replaced.following = values.map(|value| Line::at(place, value)).collect();
            }
            if replaced.count > REPLACEMENTS || line.len() > LINE {
                let message = format!(
                    "`${}` stands for too much: does it contain itself?",
                    found.name
                );
                replaced.failure = Some((place, message));
                break;
            }
        }
        replaced
    }

    /// Returns the use of a definition that begins at `at`, and its value.
    fn used(&self, line: &Line, at: usize) -> Option<(Use, Definition)> {
        let found = use_at(line, at)?;
        let value = match found.name.as_str() {
            // In quotes the character needs no escape, and would keep it.
            "_HASH" => Definition::single(if is_quoted(line, at) { "#" } else { r"\#" }),
            "_BANG" => Definition::single(if is_quoted(line, at) { "!" } else { r"\!" }),
            name => self.0.get(name)?.clone(),
        };
        (!value.several || found.is_last).then_some((found, value))
    }
}

/// Splits a line before the first brace that is in no quotes and belongs to no `${NAME}`.
pub(crate) fn split_off_block(line: &mut Line) -> Line {
    let mut is_quoted = false;
    let mut is_name = false;
    let mut before = None;
    let brace = line.0.iter().position(|glyph| {
        is_quoted ^= glyph.character == '"';
        let is_brace = match glyph.character {
            '{' if before == Some('$') => {
                is_name = true;
                false
            }
            '}' if is_name => {
                is_name = false;
                false
            }
            character => matches!(character, '{' | '}'),
        };
        before = Some(glyph.character);
        is_brace && !is_quoted
    });
    Line(brace.map_or_else(Vec::new, |at| line.0.split_off(at)))
}

fn use_at(line: &Line, at: usize) -> Option<Use> {
    let mut rest = line
        .0
        .iter()
        .skip(at + 1)
        .map(|glyph| glyph.character)
        .peekable();
    let braces = rest.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(character) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(character);
    }
    let next = rest.next();
    let is_closed = if braces {
        next == Some('}')
    } else {
        matches!(next, None | Some(' ' | '\t'))
    };
    let length = 1 + name.len() + if braces { 2 } else { 0 };
    (is_name(&name) && is_closed).then(|| Use {
        length,
        name,
        is_last: at + length == line.len(),
        braces,
    })
}

/// Returns the message about `${NAME}` outside of quotes without a definition: its braces would begin a
/// block.
fn missing(line: &Line, at: usize) -> Option<(Place, String)> {
    let found = use_at(line, at).filter(|found| found.braces && !is_quoted(line, at))?;
    let message = if matches!(
        found.name.as_str(),
        "_PWD" | "_INSTANCE" | "_RANDOM" | "_ENV"
    ) {
        format!(
            "`${{{}}}` depends on the host and the start of keepalived: write its value",
            found.name
        )
    } else {
        format!(
            "`${{{}}}` is not defined: write `${}=VALUE` before its use",
            found.name, found.name
        )
    };
    Some((span(line, at, found.length), message))
}

fn span(line: &Line, at: usize, length: usize) -> Place {
    let part = line.0.iter().skip(at).take(length).copied();
    Line(part.collect()).place()
}

fn is_quoted(line: &Line, at: usize) -> bool {
    let before = line.0.iter().take(at);
    before.filter(|glyph| glyph.character == '"').count() % 2 == 1
}
