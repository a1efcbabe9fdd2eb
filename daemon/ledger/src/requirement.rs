//! The list of requirements.
//!
//! ```text
//! RFC 9568 6.4.3: Active
//! RFC 9568 6.4.3 MUST: an answer to ARP requests for a virtual address
//!     kernel: it answers for what an interface holds
//! ```
//!
//! A line without indentation names a section or a requirement of it. What is indented says how the
//! requirement stands, when it is not obeyed here, or is a note; deeper indentation goes on with it.
//! Empty lines and those that begin with `#` are for people.

use std::fmt;

use crate::citation::{Line, head};
use crate::{Citation, Fault, Title};

/// A requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its name.
    pub citation: Citation,
    /// How it stands by the list.
    pub standing: Standing,
    /// What else is to be said.
    pub note: Option<String>,
}

/// How a requirement stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Code obeys it and a test shows it.
    Obeyed,
    /// Code does otherwise on purpose, and a test shows that.
    Deviates(String),
    /// The kernel obeys it.
    Kernel(String),
    /// The operator has to obey it.
    Operator(String),
    /// What it is about is not there yet.
    NotBuilt(String),
    /// What it is about will not be there.
    DoesNotApply(String),
    /// As another requirement, of this or another RFC.
    SameAs(Citation),
}

impl Standing {
    /// Its name in the list, and the reason.
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
            (_, None) => f.write_str("obeyed"),
        }
    }
}

/// Reads the list. What cannot be read is left out and told.
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
                .ok_or("belongs to no requirement")
                .and_then(|known| remark_on(known, remark))
            {
                faults.push(wrong(why));
            }
            continue;
        }
        if let Some(title) = title(&text) {
            let again = |known: &Title| known.rfc == title.rfc && known.section == title.section;
            if titles.iter().any(again) {
                faults.push(wrong("the section has a title already"));
            }
            titles.push(title);
            continue;
        }
        let Line::Citation(citation) = Line::read(&text) else {
            faults.push(wrong("names neither a requirement nor a section"));
            continue;
        };
        let stands_below =
            |title: &Title| title.rfc == citation.rfc && title.section == citation.section;
        if !titles.last().is_some_and(stands_below) {
            faults.push(wrong("does not stand below the title of its section"));
        }
        if requirements.iter().any(|r| r.citation == citation) {
            faults.push(wrong("is there twice"));
        }
        requirements.push(Requirement {
            citation,
            standing: Standing::Obeyed,
            note: None,
        });
    }
    (titles, requirements, faults)
}

/// The entries of the list with the numbers of their first lines: without empty lines and remarks
/// for people, and with what goes on over several lines in one.
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

/// `RFC 9568 6.4.2: Backup`.
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
    let (name, text) = remark.split_once(": ").ok_or("says nothing")?;
    if name == "note" {
        if requirement.note.replace(text.to_owned()).is_some() {
            return Err("is a second note");
        }
        return Ok(());
    }
    if requirement.standing != Standing::Obeyed {
        return Err("is a second reason");
    }
    requirement.standing =
        Standing::named(name, text.to_owned()).ok_or("is no reason that there is")?;
    Ok(())
}
