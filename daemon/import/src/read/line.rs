//! A line of text whose characters know their place in the file.

use crate::place::Place;

/// A character and its place. A character that stands for a definition has the place of its use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glyph {
    pub(crate) character: char,
    pub(crate) place: Place,
}

/// A line, or a part of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(pub(crate) Vec<Glyph>);

impl Line {
    /// Line `number` of a file, without blanks at its ends.
    pub(crate) fn new(file: usize, number: usize, text: &str) -> Self {
        let glyphs = text.char_indices().map(|(offset, character)| Glyph {
            character,
            place: Place {
                file,
                line: number,
                column: offset + 1,
                width: character.len_utf8(),
            },
        });
        let mut line = Self(glyphs.collect());
        line.trim();
        line
    }

    /// `text` at `place`: a line of a definition.
    pub(crate) fn at(place: Place, text: &str) -> Self {
        let glyph = |character| Glyph { character, place };
        let mut line = Self(text.chars().map(glyph).collect());
        line.trim();
        line
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|glyph| glyph.character).collect()
    }

    pub(crate) fn starts_with(&self, text: &str) -> bool {
        let start = self.0.iter().map(|glyph| glyph.character);
        start.take(text.chars().count()).eq(text.chars())
    }

    pub(crate) fn contains(&self, character: char) -> bool {
        self.0.iter().any(|glyph| glyph.character == character)
    }

    /// Place of the whole line.
    pub(crate) fn place(&self) -> Place {
        match (self.0.first(), self.0.last()) {
            (Some(first), Some(last)) => first.place.to(last.place),
            (None, _) | (_, None) => Place::default(),
        }
    }

    /// Removes `count` characters and the blanks after them from the beginning.
    pub(crate) fn remove_front(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
        self.trim();
    }

    pub(crate) fn trim(&mut self) {
        let is_blank = |glyph: &Glyph| matches!(glyph.character, ' ' | '\t' | '\r');
        while self.0.last().is_some_and(is_blank) {
            self.0.pop();
        }
        let blanks = self.0.iter().take_while(|glyph| is_blank(glyph)).count();
        self.0.drain(..blanks);
    }

    /// Removes a comment, and the backslashes of `\#` and `\!`. Returns the place of a quote that is not
    /// closed.
    pub(crate) fn remove_comment(&mut self) -> Option<Place> {
        let mut kept = Vec::with_capacity(self.0.len());
        let mut quote = None;
        let mut glyphs = core::mem::take(&mut self.0).into_iter().peekable();
        while let Some(glyph) = glyphs.next() {
            match glyph.character {
                '"' => quote = quote.is_none().then_some(glyph.place),
                '\\' => {
                    let is_escape = |next: &Glyph| matches!(next.character, '#' | '!');
                    if quote.is_some() || !glyphs.peek().is_some_and(is_escape) {
                        kept.push(glyph);
                    }
                    kept.extend(glyphs.next());
                    continue;
                }
                '#' | '!' if quote.is_none() => break,
                _ => {}
            }
            kept.push(glyph);
        }
        self.0 = kept;
        self.trim();
        quote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_comment(text: &str) -> (String, bool) {
        let mut line = Line::new(0, 1, text);
        let open = line.remove_comment().is_some();
        (line.text(), open)
    }

    #[test]
    fn comments_are_removed_outside_of_quotes() {
        for (text, rest) in [
            ("  a b # c", "a b"),
            ("a ! b", "a"),
            ("a#b", "a"),
            (r#"a "b # c" ! d"#, r#"a "b # c""#),
            (r"a \# b \! c # d", "a # b ! c"),
            (r#"a "\#""#, r#"a "\#""#),
            (r"a \\# b", r"a \\"),
            ("a \\", "a \\"),
            ("# all", ""),
        ] {
            assert_eq!(without_comment(text), (rest.to_owned(), false), "{text}");
        }
        assert!(without_comment(r#"a "b"#).1, "the quote is open");
    }
}
