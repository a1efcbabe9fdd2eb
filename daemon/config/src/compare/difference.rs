//! Differences between the configurations of several hosts.

use core::fmt;

/// Meaning of a [`Difference`] for the virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The hosts do not work together.
    Error,
    /// The hosts work together, and probably not as intended.
    Warning,
    /// The difference has no effect.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// A setting that the hosts have not as their virtual router needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its meaning.
    pub severity: Severity,
    /// Rule with its reason or its remedy, in one line.
    pub message: String,
    /// The setting on each host that it concerns.
    pub settings: Vec<Setting>,
}

/// A setting on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// File of the host, as the caller named it.
    pub file: String,
    /// Path of the value, like `instances.VI_1.priority`.
    pub path: String,
    /// The value, also if it is a default; `None` for a secret.
    pub value: Option<String>,
    /// Remedy or contrast, if the host is the odd one.
    pub odd: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        for setting in &self.settings {
            write!(f, "\n  {setting}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.path)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        match &self.odd {
            Some(odd) => write!(f, ": {odd}"),
            None => Ok(()),
        }
    }
}

/// Returns the value that more than half of `values` have.
pub(super) fn majority<T: PartialEq>(values: &[T]) -> Option<&T> {
    values.iter().find(|value| {
        let count = values.iter().filter(|other| other == value).count();
        2 * count > values.len()
    })
}

/// Longest displayed list of values.
const SHOWN: usize = 6;

/// Returns `items` as a list in JSON, shortened if it is long.
pub(super) fn list(items: impl IntoIterator<Item = impl fmt::Display>) -> String {
    let items: Vec<String> = items
        .into_iter()
        .map(|item| format!("\"{item}\""))
        .collect();
    format!("[{}]", shortened(&items))
}

/// Returns `items` separated by commas, shortened if there are many.
pub(super) fn shortened(items: &[String]) -> String {
    match items.get(..SHOWN) {
        Some(first) if items.len() > SHOWN => {
            format!("{} and {} more", first.join(", "), items.len() - SHOWN)
        }
        _ => items.join(", "),
    }
}
