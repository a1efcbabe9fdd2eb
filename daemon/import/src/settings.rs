//! The statements of a block by keyword, and their values.
//!
//! The conversion takes the statements that it understands; [`Settings::finish`] reports all others. So
//! no statement is lost silently, and the code that takes a keyword is the only list of the keywords
//! that are converted.

use core::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::place::Place;
use crate::read::statement::Statement;
use crate::read::word::Word;
use crate::report::Notes;

/// Fate of a keyword that is not taken.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Needs no setting, because vrrpd behaves that way.
    Same,
    /// Has no equivalent, for this reason and with this alternative.
    Lacking(&'static str),
    /// As `Lacking`, with a value that is the default and so needs no setting.
    LackingUnless(&'static str, &'static str),
}

/// Keywords that are not taken, with their fate.
pub(crate) type Table = &'static [(&'static [&'static str], Fate)];

/// Statements of a block.
#[derive(Debug)]
pub(crate) struct Settings<'s> {
    statements: BTreeMap<&'s str, Vec<&'s Statement>>,
    taken: RefCell<BTreeSet<&'static str>>,
}

impl<'s> Settings<'s> {
    pub(crate) fn new(statements: impl IntoIterator<Item = &'s Statement>) -> Self {
        let mut by_keyword: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for statement in statements {
            by_keyword
                .entry(statement.keyword.text.as_str())
                .or_default()
                .push(statement);
        }
        Self {
            statements: by_keyword,
            taken: RefCell::default(),
        }
    }

    /// Takes all statements with `keyword`.
    pub(crate) fn all(&self, keyword: &'static str) -> &[&'s Statement] {
        self.taken.borrow_mut().insert(keyword);
        self.statements.get(keyword).map_or(&[], Vec::as_slice)
    }

    /// Takes all statements with `keyword`, of which the last one counts.
    pub(crate) fn last(&self, keyword: &'static str) -> Option<&'s Statement> {
        self.all(keyword).last().copied()
    }

    /// As [`last`](Self::last), for a keyword with several spellings.
    pub(crate) fn last_of(&self, keywords: &[&'static str]) -> Option<&'s Statement> {
        let found = keywords.iter().filter_map(|keyword| self.last(keyword));
        found.max_by_key(|statement| statement.place())
    }

    /// Takes the only statement with `keyword`, for a keyword whose repetition keepalived rejects.
    pub(crate) fn only(&self, keyword: &'static str, notes: &mut Notes) -> Option<&'s Statement> {
        let (first, others) = self.all(keyword).split_first()?;
        for other in others {
            let message = format!("`{keyword}` occurs before: keepalived ignores the second one");
            notes.error(other.place(), message);
        }
        Some(first)
    }

    /// Takes the statements inside of all blocks with `keyword`: a list of values.
    pub(crate) fn entries(&self, keyword: &'static str, notes: &mut Notes) -> Vec<&'s Statement> {
        let mut entries = Vec::new();
        for list in self.all(keyword) {
            if list.block.is_none() {
                notes.error(
                    list.place(),
                    format!("`{keyword}` needs a block: write `{{` and `}}`"),
                );
            }
            if let Some(surplus) = list.arguments.first() {
                notes.error(
                    surplus.place,
                    format!("write the values of `{keyword}` between `{{` and `}}`"),
                );
            }
            entries.extend(list.inside());
        }
        for entry in &entries {
            notes.converted += 1;
            if entry.block.is_some() {
                notes.error(
                    entry.place(),
                    format!("an entry of `{keyword}` has no block"),
                );
            }
        }
        entries
    }

    /// Takes keywords that are looked up where another setting is missing.
    pub(crate) fn take(&self, keywords: &[&'static str]) {
        self.taken.borrow_mut().extend(keywords);
    }

    /// Reports the statements that were not taken. `what` names the kind of the block.
    pub(crate) fn finish(self, what: &str, table: Table, notes: &mut Notes) {
        let taken = self.taken.into_inner();
        for (keyword, statements) in self.statements {
            if taken.contains(keyword) {
                notes.converted += statements.len();
                continue;
            }
            let fate = table
                .iter()
                .find(|(keywords, _)| keywords.contains(&keyword));
            for statement in statements {
                match fate {
                    Some((_, Fate::Same)) => notes.converted += 1,
                    Some((_, Fate::LackingUnless(default, _)))
                        if statement.arguments.first().map_or("", |word| &word.text)
                            == *default =>
                    {
                        notes.converted += 1;
                    }
                    Some((_, Fate::Lacking(reason) | Fate::LackingUnless(_, reason))) => {
                        notes.not_converted(statement.place(), format!("`{keyword}`: {reason}"));
                    }
                    None => {
                        let others = table.iter().flat_map(|(keywords, _)| keywords.iter());
                        let known = taken.iter().chain(others).copied();
                        notes.unknown(
                            statement.place(),
                            &format!("keyword in {what}"),
                            keyword,
                            known,
                        );
                    }
                }
            }
        }
    }
}

/// Value of a statement, and its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl Statement {
    /// Returns the argument if there is exactly one.
    pub(crate) fn one(&self, notes: &mut Notes) -> Option<&Word> {
        self.no_more_than(1, notes);
        let argument = self.arguments.first();
        if argument.is_none() {
            notes.error(
                self.place(),
                format!("`{}` needs a value", self.keyword.text),
            );
        }
        argument
    }

    /// Reports arguments beyond the first `count`, and a block.
    pub(crate) fn no_more_than(&self, count: usize, notes: &mut Notes) {
        if let Some(surplus) = self.arguments.get(count) {
            let message = format!(
                "`{}` has a further word: one value is used",
                self.keyword.text
            );
            notes.not_converted(surplus.place, message);
        }
        if self.block.is_some() {
            notes.error(
                self.place(),
                format!("`{}` has no block", self.keyword.text),
            );
        }
    }

    /// Reports arguments of a keyword that has none.
    pub(crate) fn without_value(&self, notes: &mut Notes) {
        if let Some(surplus) = self.arguments.first() {
            let message = format!(
                "`{}` has no value: keepalived ignores this word, and so it is left out",
                self.keyword.text
            );
            notes.differs(surplus.place, message);
        }
    }

    /// Returns a whole number within a range.
    pub(crate) fn number(
        &self,
        range: core::ops::RangeInclusive<i64>,
        notes: &mut Notes,
    ) -> Option<At<i64>> {
        let word = self.one(notes)?;
        number(&self.keyword.text, word, range, notes)
    }

    /// Returns a time in microseconds, up to `most` seconds.
    pub(crate) fn seconds(&self, most: u64, notes: &mut Notes) -> Option<At<Micros>> {
        let word = self.one(notes)?;
        let micros =
            Micros::parse(&word.text).filter(|micros| micros.0 <= most.saturating_mul(1_000_000));
        if micros.is_none() {
            let message = format!(
                "`{}` must be a number of seconds, 0 to {most}",
                self.keyword.text
            );
            notes.error(word.place, message);
        }
        Some(At {
            value: micros?,
            place: word.place,
        })
    }

    /// Returns a truth value; without an argument it is true.
    pub(crate) fn flag(&self, notes: &mut Notes) -> Option<bool> {
        self.no_more_than(1, notes);
        match self.arguments.first().map(|word| word.text.as_str()) {
            None | Some("true" | "on" | "yes") => Some(true),
            Some("false" | "off" | "no") => Some(false),
            Some(_) => {
                let message = format!("`{}` must be true or false", self.keyword.text);
                notes.error(self.value_place(), message);
                None
            }
        }
    }
}

/// Returns a whole number within a range.
pub(crate) fn number(
    what: &str,
    word: &Word,
    range: core::ops::RangeInclusive<i64>,
    notes: &mut Notes,
) -> Option<At<i64>> {
    let text = word.text.strip_prefix('+').unwrap_or(&word.text);
    let number = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let value = number.filter(|number| range.contains(number));
    if value.is_none() {
        let (least, most) = range.into_inner();
        notes.error(
            word.place,
            format!("`{what}` must be a number, {least} to {most}"),
        );
    }
    Some(At {
        value: value?,
        place: word.place,
    })
}

/// A time in microseconds, the unit of keepalived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Micros(pub(crate) u64);

impl Micros {
    /// Parses a number of seconds with up to six decimals.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || whole.len() + fraction.len() == 0 {
            return None;
        }
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let micros = fraction
            .chars()
            .chain("000000".chars())
            .take(6)
            .collect::<String>()
            .parse::<u64>();
        whole
            .checked_mul(1_000_000)?
            .checked_add(micros.ok()?)
            .map(Self)
    }
}

impl core::fmt::Display for Micros {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.0.is_multiple_of(1_000_000) {
            return write!(f, "{}s", self.0 / 1_000_000);
        }
        let decimals = format!("{:03}", self.0 % 1000);
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{}ms", self.0 / 1000),
            decimals => write!(f, "{}.{decimals}ms", self.0 / 1000),
        }
    }
}

/// Whole seconds as a number, others with a unit.
impl From<Micros> for crate::document::Value {
    fn from(micros: Micros) -> Self {
        match i64::try_from(micros.0 / 1_000_000) {
            Ok(seconds) if micros.0.is_multiple_of(1_000_000) => Self::Number(seconds),
            Ok(_) | Err(_) => Self::Text(micros.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_to_the_microsecond() {
        for (text, shown) in [
            ("1", "1s"),
            ("0.5", "500ms"),
            (".01", "10ms"),
            ("1.000001", "1000.001ms"),
            ("1.0000009", "1s"),
            ("0", "0s"),
        ] {
            assert_eq!(Micros::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in ["", ".", "-1", "1s", "1.2.3", "99999999999999999999"] {
            assert_eq!(Micros::parse(text), None, "{text}");
        }
    }
}
