//! Names, which have a narrower form in vrrpd than in keepalived.

use std::collections::{BTreeMap, BTreeSet};

use crate::read::statement::Statement;
use crate::report::Notes;

/// Longest name in vrrpd.
const LONGEST: usize = 64;

/// Names of one kind, by those of keepalived.
#[derive(Debug, Default)]
pub(super) struct Names<'s>(BTreeMap<&'s str, String>);

impl<'s> Names<'s> {
    pub(super) fn new(blocks: &[(&'s str, &'s Statement)], notes: &mut Notes) -> Self {
        let mut used = BTreeSet::new();
        let name = |(given, statement): &(&'s str, &'s Statement)| {
            let name = unused(given, &mut used);
            if name != *given {
                let message = format!("the name becomes `{name}`: {RULE}");
                notes.differs(statement.value_place(), message);
            }
            (*given, name)
        };
        Self(blocks.iter().map(name).collect())
    }

    /// Name in vrrpd; an unknown name stays, and the check of the result reports it.
    pub(super) fn get(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }
}

/// Form of names in vrrpd.
pub(super) const RULE: &str = "names have 1 to 64 letters, digits and _-.:@, begin with a letter, a digit or _, and are distinct";

/// Returns `given` in the form of vrrpd, different from all of `used`, to which it is added.
pub(super) fn unused(given: &str, used: &mut BTreeSet<String>) -> String {
    let is_right = |c: char| c.is_ascii_alphanumeric() || "_-.:@".contains(c);
    let mut name: String = given
        .chars()
        .map(|c| if is_right(c) { c } else { '-' })
        .take(LONGEST)
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        name.insert(0, '_');
        name.truncate(LONGEST);
    }
    let mut candidate = name.clone();
    let mut number = 2;
    while !used.insert(candidate.clone()) {
        let suffix = format!("-{number}");
        let kept = LONGEST - suffix.len();
        candidate = name.chars().take(kept).chain(suffix.chars()).collect();
        number += 1;
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_the_form_of_vrrpd() {
        let mut used = BTreeSet::new();
        for (given, expected) in [
            ("VI_1", "VI_1"),
            ("VI 1", "VI-1"),
            ("VI/1", "VI-1-2"),
            (".a", "_.a"),
            ("", "_"),
            ("äö", "_--"),
        ] {
            assert_eq!(unused(given, &mut used), expected, "{given}");
        }
        let long = "x".repeat(100);
        assert_eq!(unused(&long, &mut used).len(), 64);
        assert_eq!(unused(&long, &mut used).len(), 64);
    }
}
