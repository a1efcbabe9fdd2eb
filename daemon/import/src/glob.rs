//! Patterns of `include` (glob(7)), with alternatives in braces.

use std::path::{Path, PathBuf};

use crate::files::Files;
use crate::limits::PATTERNS;

/// Whether `pattern` may stand for another name than itself.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '{'])
}

/// Returns the files that match `pattern` in the order of their names. Names that begin with a dot match
/// only a pattern that does.
pub(crate) fn matches(files: &dyn Files, base: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for pattern in alternatives(pattern) {
        let mut paths = vec![if pattern.starts_with('/') {
            PathBuf::from("/")
        } else {
            base.to_owned()
        }];
        for component in pattern.split('/').filter(|component| !component.is_empty()) {
            paths = paths
                .into_iter()
                .flat_map(|directory| matches_in(files, &directory, component))
                .take(PATTERNS)
                .collect();
        }
        found.extend(paths);
    }
    found
}

fn matches_in(files: &dyn Files, directory: &Path, component: &str) -> Vec<PathBuf> {
    if !is_pattern(component) {
        return vec![directory.join(component)];
    }
    let mut names = files.entries(directory);
    names.retain(|name| {
        (component.starts_with('.') || !name.starts_with('.')) && fits(name, component)
    });
    names.sort();
    names.iter().map(|name| directory.join(name)).collect()
}

/// Returns the patterns that `a{b,c}` stands for.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let parts = pattern.find('{').and_then(|begin| {
            let end = begin + pattern.get(begin..)?.find('}')?;
            Some((
                pattern.get(..begin)?,
                pattern.get(begin + 1..end)?,
                pattern.get(end + 1..)?,
            ))
        });
        match parts {
            Some((before, inside, after)) if open.len() + done.len() < PATTERNS => {
                let all: Vec<_> = inside
                    .split(',')
                    .map(|word| format!("{before}{word}{after}"))
                    .collect();
                open.extend(all.into_iter().rev());
            }
            Some(_) | None => done.push(pattern),
        }
    }
    done
}

/// Whether `name` fits `pattern`, in time proportional to the product of their lengths.
fn fits(name: &str, pattern: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let pattern = elements(pattern);
    // Positions in the pattern at which the characters so far may end.
    let mut ends = vec![false; pattern.len() + 1];
    let skip = |ends: &mut Vec<bool>| {
        for (at, element) in pattern.iter().enumerate() {
            if matches!(element, Element::Any) && ends.get(at) == Some(&true) {
                ends.splice(at + 1..=at + 1, [true]);
            }
        }
    };
    ends.splice(0..1, [true]);
    skip(&mut ends);
    for character in name {
        let mut next = vec![false; pattern.len() + 1];
        for (at, element) in pattern.iter().enumerate() {
            if ends.get(at) != Some(&true) {
                continue;
            }
            let to = match element {
                Element::Any => at,
                Element::One => at + 1,
                Element::Of(set) if set.has(character) => at + 1,
                Element::Exactly(wanted) if *wanted == character => at + 1,
                Element::Of(_) | Element::Exactly(_) => continue,
            };
            next.splice(to..=to, [true]);
        }
        ends = next;
        skip(&mut ends);
    }
    ends.last() == Some(&true)
}

enum Element {
    Any,
    One,
    Exactly(char),
    Of(Set),
}

/// Characters of `[a-z]`.
struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    fn has(&self, character: char) -> bool {
        let within = |(from, to): &(char, char)| (*from..=*to).contains(&character);
        self.ranges.iter().any(within) != self.negated
    }
}

fn elements(pattern: &str) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        elements.push(match character {
            '*' => Element::Any,
            '?' => Element::One,
            '[' => match set(rest.as_str()) {
                Some((set, after)) => {
                    rest = after.chars();
                    Element::Of(set)
                }
                None => Element::Exactly('['),
            },
            '\\' => Element::Exactly(rest.next().unwrap_or('\\')),
            _ => Element::Exactly(character),
        });
    }
    elements
}

/// Parses what follows `[`, and returns the set and the text after `]`.
fn set(text: &str) -> Option<(Set, &str)> {
    let negated = text.starts_with(['!', '^']);
    let text = if negated { text.get(1..)? } else { text };
    // A `]` at the beginning belongs to the set.
    let first = text.chars().next()?.len_utf8();
    let end = first + text.get(first..)?.find(']')?;
    let mut ranges = Vec::new();
    let mut inside = text.get(..end)?.chars().peekable();
    while let Some(from) = inside.next() {
        let mut ahead = inside.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) => {
                inside = ahead;
                ranges.push((from, to));
            }
            _ => ranges.push((from, from)),
        }
    }
    Some((Set { negated, ranges }, text.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (name, pattern, expected) in [
            ("a.conf", "*.conf", true),
            ("a.conf", "?.conf", true),
            ("ab.conf", "?.conf", false),
            ("vip7", "vip[0-9]", true),
            ("vipx", "vip[!0-9]", true),
            ("vip7", "vip[!0-9]", false),
            ("a]b", "a[]]b", true),
            ("a[b", "a[b", true),
            ("a*b", r"a\*b", true),
            ("axb", r"a\*b", false),
            ("", "**", true),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
        let (long, many) = ("a".repeat(2000), "*a".repeat(500));
        assert!(!fits(&long, &format!("{many}b")), "and in little time");
    }

    #[test]
    fn braces_list_alternatives_in_their_order() {
        assert_eq!(
            alternatives("a{b,c}d{e,f}"),
            ["abde", "abdf", "acde", "acdf"]
        );
        assert_eq!(alternatives("a{b"), ["a{b"]);
        assert!(alternatives(&"{a,b}".repeat(100)).len() <= 2 * PATTERNS);
    }
}
