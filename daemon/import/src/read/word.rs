//! Words of a line, and of a command.

use super::line::{Glyph, Line};
use crate::place::Place;

/// A word and its place.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// Splits a line at blanks. Quotes hold words together; a closing quote ends the word.
pub(crate) fn words(line: &Line) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = line.0.iter().peekable();
    while let Some(first) = rest.next() {
        let is_end = |glyph: &Glyph| matches!(glyph.character, ' ' | '\t' | '"');
        let mut word: Vec<Glyph> = Vec::new();
        match first.character {
            ' ' | '\t' => continue,
            '"' => word.extend(rest.by_ref().take_while(|glyph| glyph.character != '"')),
            _ => {
                word.push(*first);
                while let Some(glyph) = rest.next_if(|glyph| !is_end(glyph)) {
                    word.push(*glyph);
                }
            }
        }
        let last = word.last().map_or(first.place, |last| last.place);
        words.push(Word {
            text: word.iter().map(|glyph| glyph.character).collect(),
            place: first.place.to(last),
        });
    }
    words
}

/// Splits a command as keepalived does: at blanks outside of single and double quotes, with the escape
/// sequences of a shell's `$'...'` if `escapes`.
pub(crate) fn shell_words(text: &str, escapes: bool) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match (character, quote) {
            (' ' | '\t', None) => words.extend(word.take()),
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (end, Some(begin)) if end == begin => quote = None,
            ('\\', Some('"') | None) if escapes => {
                let (escaped, after) = escape(rest.as_str());
                rest = after.chars();
                word.get_or_insert_default().push(escaped);
            }
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Reads what follows a backslash, and returns the character and the text after it.
fn escape(text: &str) -> (char, &str) {
    let Some(first) = text.chars().next() else {
        return ('\\', text);
    };
    let rest = text.get(first.len_utf8()..).unwrap_or_default();
    let number = |digits: &str, radix, most: usize| {
        let length = digits
            .chars()
            .take(most)
            .take_while(|c| c.is_digit(radix))
            .count();
        let (digits, rest_of_digits) = digits.split_at(length);
        let character = u32::from_str_radix(digits, radix)
            .ok()
            .and_then(char::from_u32)?;
        Some((character, rest_of_digits.len()))
    };
    let from_end = |length: usize| text.get(text.len() - length..).unwrap_or_default();
    let character = match first {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'E' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '0'..='7' => match number(text, 8, 3) {
            Some((character, left)) => return (character, from_end(left)),
            None => first,
        },
        'x' => match number(rest, 16, 2) {
            Some((character, left)) => return (character, from_end(left)),
            None => first,
        },
        other => other,
    };
    (character, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_quote_ends_word() {
        let line = Line::new(0, 7, r#"  script "/bin/a b"c  d"e""#);
        let words = words(&line);
        let found: Vec<_> = words
            .iter()
            .map(|w| (w.text.as_str(), w.place.column, w.place.width))
            .collect();
        assert_eq!(
            found,
            [
                ("script", 3, 6),
                ("/bin/a b", 10, 9),
                ("c", 20, 1),
                ("d", 23, 1),
                ("e", 24, 2)
            ]
        );
    }

    #[test]
    fn command_has_quotes_and_escapes() {
        assert_eq!(
            shell_words(r#"/bin/a 'b c' "d e"f"#, true),
            ["/bin/a", "b c", "d ef"]
        );
        assert_eq!(shell_words(r"a\ b \x41\102 \t", true), ["a b", "AB", "\t"]);
        assert_eq!(shell_words(r"a\ b", false), ["a\\", "b"]);
        assert_eq!(shell_words(r#"'' """#, true), ["", ""]);
        assert_eq!(shell_words("\\", true), ["\\"]);
    }
}
