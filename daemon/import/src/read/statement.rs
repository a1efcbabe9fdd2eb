//! Statements and their blocks.

use super::line::{Glyph, Line};
use super::word::{Word, words};
use crate::limits::BLOCK_DEPTH;
use crate::place::Place;
use crate::report::Notes;

/// A keyword with its arguments, and its block if it has one. In blocks that list values the first word
/// is a value.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    /// The first word.
    pub(crate) keyword: Word,
    /// Further words of the line.
    pub(crate) arguments: Vec<Word>,
    /// Text after the first word, for commands.
    pub(crate) rest: String,
    /// Statements between braces.
    pub(crate) block: Option<Vec<Self>>,
    /// Number of statements before this one, also in files that are included.
    pub(crate) order: usize,
}

impl Statement {
    /// Place of the keyword.
    pub(crate) const fn place(&self) -> Place {
        self.keyword.place
    }

    /// Place of the first argument, or else of the keyword.
    pub(crate) fn value_place(&self) -> Place {
        self.arguments
            .first()
            .map_or(self.place(), |word| word.place)
    }

    /// All words of the line.
    pub(crate) fn words(&self) -> impl Iterator<Item = &Word> {
        core::iter::once(&self.keyword).chain(&self.arguments)
    }

    /// Statements of the block; none without a block.
    pub(crate) fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// A line without braces, or a brace.
#[derive(Clone, Debug)]
pub(crate) enum Token {
    Statement(Statement),
    Open(Place),
    Close(Place),
}

/// Takes the tokens from the beginning of a line: a statement, and a brace if one follows or begins the
/// line. The rest of the line is read like a separate line.
pub(crate) fn take_tokens(line: &mut Line) -> impl Iterator<Item = Token> + use<> {
    let mut is_quoted = false;
    let brace = line.0.iter().position(|glyph| {
        is_quoted ^= glyph.character == '"';
        !is_quoted && matches!(glyph.character, '{' | '}')
    });
    let rest = brace.map_or_else(Vec::new, |at| line.0.split_off(at));
    let statement = token(&Line(core::mem::replace(&mut line.0, rest)));
    let brace = line.0.first().map(|glyph| match glyph.character {
        '{' => Token::Open(glyph.place),
        _ => Token::Close(glyph.place),
    });
    line.remove_front(usize::from(brace.is_some()));
    statement.into_iter().chain(brace)
}

fn token(line: &Line) -> Option<Token> {
    let mut words = words(line).into_iter();
    let keyword = words.next()?;
    let is_blank = |glyph: &&Glyph| matches!(glyph.character, ' ' | '\t');
    let blanks = line.0.iter().take_while(is_blank).count();
    let after = line.0.iter().skip(blanks + keyword.text.chars().count());
    let rest: String = after.map(|glyph| glyph.character).collect();
    Some(Token::Statement(Statement {
        keyword,
        arguments: words.collect(),
        rest: rest.trim().to_owned(),
        block: None,
        order: 0,
    }))
}

/// Finds the blocks.
pub(crate) fn parse(tokens: Vec<Token>, notes: &mut Notes) -> Vec<Statement> {
    // The blocks that are open, the outermost first. Each statement but the last of its list is complete.
    let mut open: Vec<Vec<Statement>> = vec![Vec::new()];
    let mut may_open = false;
    let mut order = 0;
    for token in tokens {
        let begins = matches!(token, Token::Statement(_));
        match token {
            Token::Statement(mut statement) => {
                statement.order = order;
                order += 1;
                if let Some(block) = open.last_mut() {
                    block.push(statement);
                }
            }
            Token::Open(place) if !may_open => {
                notes.stop(
                    place,
                    "no keyword before `{`: write the keyword of this block".to_owned(),
                );
                return Vec::new();
            }
            Token::Open(place) if open.len() > BLOCK_DEPTH => {
                notes.stop(
                    place,
                    format!("more than {BLOCK_DEPTH} blocks inside of each other"),
                );
                return Vec::new();
            }
            Token::Open(_) => open.push(Vec::new()),
            Token::Close(place) => {
                if open.len() == 1 {
                    notes.error(place, "no block is open here: remove the `}`");
                } else {
                    close(&mut open);
                }
            }
        }
        may_open = begins;
    }
    while open.len() > 1 {
        close(&mut open);
        if let Some(statement) = open.last().and_then(|block| block.last()) {
            notes.error(
                statement.place(),
                "the block is not closed: write `}` at its end",
            );
        }
    }
    open.pop().unwrap_or_default()
}

/// Gives the innermost block to its statement.
fn close(open: &mut Vec<Vec<Statement>>) {
    let block = open.pop();
    if let Some(statement) = open.last_mut().and_then(|block| block.last_mut()) {
        statement.block = block;
    }
}
