//! Parser of the list of requirements.
//!
//! ```text
//! RFC 9568 6.4.3: Active
//! RFC 9568 6.4.3 MUST: an answer to ARP requests for a virtual address
//!     kernel: it answers for what an interface holds
//! RFC 9568 7.3 MUST: it ends with the VRID
//!     note: with `virtualMac`
//!     shown by: mac_addresses_match_the_rfcs
//! ```
//!
//! A line without indentation is the title of a section or one of its requirements. An indented line gives
//! the reason why the requirement is not implemented here, or a note; deeper indentation continues the
//! line. A note or a deviation names the tests that show what it says, separated by commas. Empty lines and
//! lines that begin with `#` are ignored.

use std::fmt;

use crate::citation::{Line, head};
use crate::{Citation, Fault, Title};

/// Requirement of an RFC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Citation of the requirement.
    pub citation: Citation,
    /// Standing by the list.
    pub standing: Standing,
    /// Note.
    pub note: Option<String>,
    /// Names of the tests that show what the note, or the reason of a deviation, says.
    pub shown_by: Vec<String>,
}

/// Standing of a requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Implemented by code and verified by a test.
    Obeyed,
    /// Deliberately not met by the code, verified by a test.
    Deviates(String),
    /// Met by the kernel.
    Kernel(String),
    /// Left to the operator.
    Operator(String),
    /// About a feature that does not exist yet.
    NotBuilt(String),
    /// About a feature that is not planned.
    DoesNotApply(String),
    /// Same as another requirement, of this or another RFC.
    SameAs(Citation),
}

impl Standing {
    /// Keyword in the list, and the reason.
    pub fn reason(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Obeyed | Self::SameAs(_) => None,
            Self::Deviates(reason) => Some(("deviates", reason)),
            Self::Kernel(reason) => Some(("kernel", reason)),
            Self::Operator(reason) => Some(("operator", reason)),
            Self::NotBuilt(reason) => Some(("not built", reason)),
            Self::DoesNotApply(reason) => Some(("does not apply", reason)),
        }
    }

    fn named(name: &str, reason: String) -> Option<Self> {
        Some(match name {
            "deviates" => Self::Deviates(reason),
            "kernel" => Self::Kernel(reason),
            "operator" => Self::Operator(reason),
            "not built" => Self::NotBuilt(reason),
            "does not apply" => Self::DoesNotApply(reason),
            "same as" => match Line::read(&reason) {
                Line::Citation(other) => Self::SameAs(other),
                Line::Malformed | Line::Other => return None,
            },
            _ => return None,
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.reason()) {
            (Self::SameAs(other), _) => write!(f, "same as: {other}"),
            (_, Some((name, reason))) => write!(f, "{name}: {reason}"),
            (_, None) => f.write_str("implemented"),
        }
    }
}

/// Parses the list. Lines that cannot be parsed are left out and returned as faults.
pub(crate) fn parse(list: &str) -> (Vec<Title>, Vec<Requirement>, Vec<Fault>) {
    let mut titles: Vec<Title> = Vec::new();
    let mut requirements: Vec<Requirement> = Vec::new();
    let mut faults = Vec::new();
    for (number, text) in entries(list) {
        let wrong = |why: &str| Fault::List {
            line: number,
            text: text.clone(),
            why: why.to_owned(),
        };
        if let Some(remark) = text.strip_prefix("    ") {
            let known = requirements.last_mut();
            if let Err(why) = known
                .ok_or("no requirement before this line")
                .and_then(|known| remark_on(known, remark))
            {
                faults.push(wrong(why));
            }
            continue;
        }
        if let Some(title) = title(&text) {
            let again = |known: &Title| known.rfc == title.rfc && known.section == title.section;
            if titles.iter().any(again) {
                faults.push(wrong("second title of the section"));
            }
            titles.push(title);
            continue;
        }
        let Line::Citation(citation) = Line::read(&text) else {
            faults.push(wrong("neither a requirement nor the title of a section"));
            continue;
        };
        let stands_below =
            |title: &Title| title.rfc == citation.rfc && title.section == citation.section;
        if !titles.last().is_some_and(stands_below) {
            faults.push(wrong("not below the title of its section"));
        }
        if requirements.iter().any(|r| r.citation == citation) {
            faults.push(wrong("duplicate requirement"));
        }
        requirements.push(Requirement {
            citation,
            standing: Standing::Obeyed,
            note: None,
            shown_by: Vec::new(),
        });
    }
    (titles, requirements, faults)
}

/// Returns the entries of the list with the numbers of their first lines: without empty lines and comments,
/// and with continuation lines joined.
fn entries(list: &str) -> Vec<(usize, String)> {
    let mut entries: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1..).zip(list.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match (line.strip_prefix("     "), entries.last_mut()) {
            (Some(more), Some((_, entry))) => {
                entry.push(' ');
                entry.push_str(more.trim());
            }
            _ => entries.push((number, line.trim_end().to_owned())),
        }
    }
    entries
}

/// Parses the title of a section, such as `RFC 9568 6.4.2: Backup`.
fn title(text: &str) -> Option<Title> {
    let (rfc, rest) = head(text)?;
    let (section, title) = rest.split_once(": ")?;
    (!section.contains(' ')).then(|| Title {
        rfc,
        section: section.to_owned(),
        text: title.to_owned(),
    })
}

fn remark_on(requirement: &mut Requirement, remark: &str) -> Result<(), &'static str> {
    let (name, text) = remark
        .split_once(": ")
        .ok_or("no text after a keyword and a colon")?;
    if name == "note" {
        if requirement.note.replace(text.to_owned()).is_some() {
            return Err("second note of the requirement");
        }
        return Ok(());
    }
    if name == "shown by" {
        requirement.shown_by = text.split(", ").map(str::to_owned).collect();
        return Ok(());
    }
    if requirement.standing != Standing::Obeyed {
        return Err("second reason of the requirement");
    }
    requirement.standing = Standing::named(name, text.to_owned()).ok_or("unknown reason")?;
    Ok(())
}
