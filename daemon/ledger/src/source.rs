//! Scanner that finds citations in Rust sources and the items that they belong to.
//!
//! It recognises only the necessary parts of the language: comments, strings, attributes, braces, and the
//! keywords that begin an item.

use std::collections::BTreeSet;
use std::fmt;

use crate::citation::Line;
use crate::{Citation, DAEMON, Fault, File};

/// Place of a citation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Path of the file below the root of the repository.
    pub file: String,
    /// Function that contains or follows the citation, or another item.
    pub item: String,
    /// Whether that is a test.
    pub is_test: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.item)
    }
}

/// Token of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// Text of a `//` comment that is no documentation.
    Comment(&'a str),
    /// Attribute, brackets included.
    Attribute(&'a str),
    Word(&'a str),
    /// Any other character.
    Mark(char),
}

/// Open pair of braces.
struct Scope {
    /// Function that the braces are the body of, or are part of.
    function: Option<Function>,
    /// Item that the braces belong to.
    item: Option<String>,
    /// Whether the contents are compiled for tests only.
    tests_only: bool,
    /// Number of round and square brackets that are open around the braces.
    brackets: usize,
}

#[derive(Clone)]
struct Function {
    name: String,
    /// Whether the function has the attribute `#[test]`.
    marked: bool,
}

/// Returns the citations in `files`.
pub(crate) fn scan(files: &[File], faults: &mut Vec<Fault>) -> Vec<(Citation, Place)> {
    let run: BTreeSet<&str> = files
        .iter()
        .filter(|file| file.text.contains("tests!"))
        .flat_map(|file| listed_tests(&file.text))
        .collect();
    let mut found = Vec::new();
    for file in files {
        for (citation, place, marked) in read(file, faults) {
            if place.is_test && !marked && !run.contains(place.item.as_str()) {
                faults.push(Fault::NotRun(place.clone()));
            } else if !place.is_test && !is_daemon(&place.file) {
                faults.push(Fault::NoEvidence(place.clone()));
            }
            found.push((citation, place));
        }
    }
    found
}

fn is_daemon(path: &str) -> bool {
    DAEMON
        .iter()
        .any(|name| path.starts_with(&format!("daemon/{name}/src/")))
}

/// Whether a whole file consists of tests, by its path.
fn is_test_file(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| part == "tests" || part == "tests.rs")
}

/// Returns the citations of one file, their places, and whether the function there has `#[test]`.
fn read(file: &File, faults: &mut Vec<Fault>) -> Vec<(Citation, Place, bool)> {
    let in_test_file = is_test_file(&file.path);
    let mut found = Vec::new();
    // Citations between items, which belong to the next item.
    let mut waiting: Vec<(usize, Citation)> = Vec::new();
    let mut scopes: Vec<Scope> = Vec::new();
    // Attributes and name of the next item, as far as read.
    let mut tests_only = false;
    let mut marked = false;
    let mut next: Option<(String, bool)> = None;
    let mut brackets = 0_usize;

    let tokens = tokens(&file.text);
    for (at, (line, token)) in tokens.iter().enumerate() {
        let inside_tests = in_test_file || scopes.iter().any(|scope| scope.tests_only);
        let place = |item: &str| Place {
            file: file.path.clone(),
            item: item.to_owned(),
            is_test: inside_tests,
        };
        match token {
            Token::Comment(text) => match Line::read(text) {
                Line::Other => {}
                Line::Malformed => faults.push(Fault::Malformed {
                    file: file.path.clone(),
                    line: *line,
                    text: (*text).to_owned(),
                }),
                Line::Citation(citation) => {
                    match scopes.iter().rev().find_map(|scope| scope.function.clone()) {
                        Some(Function { name, marked }) => {
                            found.push((citation, place(&name), marked));
                        }
                        None => waiting.push((*line, citation)),
                    }
                }
            },
            Token::Attribute("#[cfg(test)]") => tests_only = true,
            Token::Attribute("#[test]") => marked = true,
            Token::Attribute(_) => {}
            // No other item begins between the name of a function and its body.
            Token::Word(_) if matches!(next, Some((_, true))) => {}
            Token::Word(keyword) => {
                let pointer = at > 0 && tokens[at - 1].1 == Token::Mark('*');
                let Some(name) = item_name(keyword, &tokens[at + 1..]).filter(|_| !pointer) else {
                    continue;
                };
                let is_function = *keyword == "fn";
                for (_, citation) in waiting.drain(..) {
                    found.push((citation, place(name), marked && is_function));
                }
                next = Some((name.to_owned(), is_function));
            }
            Token::Mark('{') => {
                let (item, is_function) = next.take().unzip();
                scopes.push(Scope {
                    function: item
                        .clone()
                        .filter(|_| is_function == Some(true))
                        .map(|name| Function { name, marked }),
                    item,
                    tests_only: core::mem::take(&mut tests_only),
                    brackets: core::mem::take(&mut brackets),
                });
                marked = false;
            }
            Token::Mark('}') => {
                // A citation above a field or a variant belongs to the type.
                let scope = scopes.pop();
                brackets = scope.as_ref().map_or(0, |scope| scope.brackets);
                let item = scope.and_then(|scope| scope.item);
                for (line, citation) in waiting.drain(..) {
                    match &item {
                        Some(item) => found.push((citation, place(item), false)),
                        None => faults.push(nowhere(file, line)),
                    }
                }
            }
            Token::Mark('(' | '[') => brackets += 1,
            Token::Mark(')' | ']') => brackets = brackets.saturating_sub(1),
            Token::Mark(';') if brackets == 0 => {
                (tests_only, marked) = (false, false);
                next = None;
            }
            Token::Mark(_) => {}
        }
    }
    faults.extend(waiting.iter().map(|(line, _)| nowhere(file, *line)));
    found
}

fn nowhere(file: &File, line: usize) -> Fault {
    Fault::Nowhere {
        file: file.path.clone(),
        line,
    }
}

/// Returns the name of the item that `keyword` begins and `rest` continues.
fn item_name<'a>(keyword: &str, rest: &[(usize, Token<'a>)]) -> Option<&'a str> {
    const KEYWORDS: [&str; 8] = [
        "fn", "const", "static", "struct", "enum", "trait", "type", "mod",
    ];
    // `const fn`, `const unsafe fn`, `static mut`.
    const MORE: [&str; 6] = ["fn", "unsafe", "async", "extern", "mut", "_"];
    match rest.first() {
        Some((_, Token::Word(name))) if KEYWORDS.contains(&keyword) && !MORE.contains(name) => {
            Some(name)
        }
        _ => None,
    }
}

/// Returns the words in `tests! { … }`, the tests of programs with their own test runner.
fn listed_tests(text: &str) -> Vec<&str> {
    let mut listed = Vec::new();
    let mut depth = None;
    let tokens = tokens(text);
    for (at, (_, token)) in tokens.iter().enumerate() {
        let behind = |back: usize| at.checked_sub(back).map(|at| tokens[at].1);
        match (token, &mut depth) {
            (Token::Mark('{' | '['), None)
                if behind(1) == Some(Token::Mark('!'))
                    && behind(2) == Some(Token::Word("tests")) =>
            {
                depth = Some(1);
            }
            (Token::Mark('{' | '['), Some(depth)) => *depth += 1,
            (Token::Mark('}' | ']'), Some(1)) => depth = None,
            (Token::Mark('}' | ']'), Some(depth)) => *depth -= 1,
            (Token::Word(word), Some(_)) => listed.push(*word),
            _ => {}
        }
    }
    listed
}

/// Splits a source into tokens with their line numbers.
fn tokens(text: &str) -> Vec<(usize, Token<'_>)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (token, length) = token(rest, first);
        let (read, behind) = rest.split_at(length);
        tokens.extend(token.map(|token| (line, token)));
        line += read.matches('\n').count();
        rest = behind;
    }
    tokens
}

/// Returns the first token of `rest`, if it is relevant, and its length in bytes.
fn token(rest: &str, first: char) -> (Option<Token<'_>>, usize) {
    if rest.starts_with("//") {
        let length = rest.find('\n').unwrap_or(rest.len());
        let text = &rest[2..length];
        let documents = text.starts_with(['/', '!']);
        return ((!documents).then(|| Token::Comment(text.trim())), length);
    }
    if rest.starts_with("/*") {
        return (None, block_comment(rest));
    }
    if first == '#' && (rest.starts_with("#[") || rest.starts_with("#![")) {
        let length = attribute(rest);
        return (Some(Token::Attribute(&rest[..length])), length);
    }
    if first.is_whitespace() {
        return (None, rest.len() - rest.trim_start().len());
    }
    if let Some(length) = literal(rest) {
        return (None, length);
    }
    if first == '\'' {
        // The name of a lifetime is not a word.
        return (None, 1 + word(&rest[1..]));
    }
    if first.is_alphanumeric() || first == '_' {
        let length = word(rest);
        return (Some(Token::Word(&rest[..length])), length);
    }
    (Some(Token::Mark(first)), first.len_utf8())
}

/// Returns the length of a block comment, including nested ones.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += width(&rest[at..]);
        }
    }
    rest.len()
}

/// Returns the length of an attribute.
fn attribute(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if let Some(length) = literal(&rest[at..]) {
            at += length;
            continue;
        }
        match rest.as_bytes()[at] {
            b'[' => depth += 1,
            b']' if depth == 1 => return at + 1,
            b']' => depth -= 1,
            _ => {}
        }
        at += width(&rest[at..]);
    }
    rest.len()
}

/// Returns the length of the string or character literal at the start of `rest`.
fn literal(rest: &str) -> Option<usize> {
    let behind_prefix = rest
        .strip_prefix("br")
        .or_else(|| rest.strip_prefix("cr"))
        .or_else(|| rest.strip_prefix('r'));
    if let Some(raw) = behind_prefix {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", &raw[..hashes]);
            let open = rest.len() - raw.len() + hashes + 1;
            let close = rest[open..].find(&end).map(|at| at + open + end.len());
            return Some(close.unwrap_or(rest.len()));
        }
    }
    let quoted = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    let prefix = rest.len() - quoted.len();
    match quoted.bytes().next()? {
        b'"' => Some(prefix + escaped(quoted, '"')),
        b'\'' => {
            // A lifetime has no closing quote after its first character.
            let inner = quoted[1..].chars().next()?;
            let closes = quoted[1 + inner.len_utf8()..].starts_with('\'');
            (inner == '\\' || closes).then(|| prefix + escaped(quoted, '\''))
        }
        _ => None,
    }
}

/// Returns the length of a quoted text, including both `quote`s.
fn escaped(quoted: &str, quote: char) -> usize {
    let mut characters = quoted.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return at + quote.len_utf8();
        }
    }
    quoted.len()
}

/// Returns the length of the word at the start of `rest`.
fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len())
}

fn width(rest: &str) -> usize {
    rest.chars().next().map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests;
