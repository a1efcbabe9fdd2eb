//! Citations: lines that name a requirement.

use std::fmt;

/// RFCs that are cited in this form.
const RFCS: [u16; 3] = [9568, 5798, 3768];

/// Requirement as it is cited everywhere: `RFC 9568 6.4.2 MUST: text`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Citation {
    /// Number of the RFC.
    pub rfc: u16,
    /// Section, such as `6.4.2`.
    pub section: String,
    /// Verified erratum that introduced or changed the requirement.
    pub erratum: Option<u16>,
    /// Requirement level.
    pub level: Level,
    /// Text of the requirement in the project's words.
    pub words: String,
}

/// Requirement level (RFC 2119).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// MUST.
    Must,
    /// MUST NOT.
    MustNot,
    /// SHOULD, and RECOMMENDED.
    Should,
    /// SHOULD NOT, and NOT RECOMMENDED.
    ShouldNot,
    /// MAY.
    May,
}

impl Level {
    /// All levels; those of two words before those of one.
    const ALL: [Self; 5] = [
        Self::MustNot,
        Self::Must,
        Self::ShouldNot,
        Self::Should,
        Self::May,
    ];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::MustNot => "MUST NOT",
            Self::Should => "SHOULD",
            Self::ShouldNot => "SHOULD NOT",
            Self::May => "MAY",
        })
    }
}

impl fmt::Display for Citation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RFC {} {}", self.rfc, self.section)?;
        if let Some(erratum) = self.erratum {
            write!(f, " erratum {erratum}")?;
        }
        write!(f, " {}: {}", self.level, self.words)
    }
}

/// Result of reading a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Citation of a requirement.
    Citation(Citation),
    /// Line that begins like a citation but is malformed.
    Malformed,
    /// Any other line.
    Other,
}

impl Line {
    /// Reads the text of a comment.
    pub(crate) fn read(text: &str) -> Self {
        let Some((rfc, rest)) = head(text) else {
            return Self::Other;
        };
        citation(rfc, rest).map_or(Self::Malformed, Self::Citation)
    }
}

/// Returns the number of the RFC that a line begins with and the text after the number, if the RFC is one
/// of [`RFCS`] and a section follows.
pub(crate) fn head(text: &str) -> Option<(u16, &str)> {
    let (rfc, rest) = text.strip_prefix("RFC ")?.split_once(' ')?;
    let rfc = rfc.parse().ok().filter(|rfc| RFCS.contains(rfc))?;
    let mut words = rest.split(' ');
    let next = words.next()?;
    let goes_on = match next {
        // A citation in prose; without the colon it is part of a sentence.
        "section" | "erratum" => words.next()?.ends_with(':'),
        _ => is_section(next.trim_end_matches(':')),
    };
    goes_on.then_some((rfc, rest))
}

fn citation(rfc: u16, rest: &str) -> Option<Citation> {
    let (section, rest) = rest.split_once(' ')?;
    if !is_section(section) {
        return None;
    }
    let (erratum, rest) = match rest.strip_prefix("erratum ") {
        Some(rest) => {
            let (number, rest) = rest.split_once(' ')?;
            (Some(number.parse().ok()?), rest)
        }
        None => (None, rest),
    };
    let (level, words) = rest.split_once(": ")?;
    let level = Level::ALL
        .into_iter()
        .find(|known| known.to_string() == level)?;
    Some(Citation {
        rfc,
        section: section.to_owned(),
        erratum,
        level,
        words: words.to_owned(),
    })
}

/// Whether `text` is a section number: `6.4.2`, or `A.2` in an appendix.
fn is_section(text: &str) -> bool {
    let mut parts = text.split('.');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let first = parts.next().unwrap_or_default();
    let letter = first.len() == 1 && first.bytes().all(|b| b.is_ascii_uppercase());
    (is_number(first) || letter) && parts.all(is_number)
}
