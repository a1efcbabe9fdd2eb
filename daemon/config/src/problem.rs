//! Problems of a configuration: path, value, message and remedy.
//!
//! A check that finds a problem adds it to a [`Findings`] with its [`Path`] and a message, and
//! continues. At the end [`Findings::locate`] looks up the paths in the JSON tree, adds the values,
//! and sorts the problems in the order of the file. Only its result consists of [`Problem`]s.

mod locate;

use core::fmt;

/// A problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the value, like `instances.VI_1.track[0].weight`. Empty for the text as a whole.
    pub path: String,
    /// The value as JSON, if it is short and not secret.
    pub value: Option<String>,
    /// Description and remedy in one line; a syntax error also contains the affected line.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// All problems of a configuration, in the order of the file. Displayed one per line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Returns the problems, at least one.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    pub(crate) const fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Path of a value in the configuration, in its displayed form.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    /// Returns the path of `key` in the object at this path.
    pub fn key(&self, key: &str) -> Self {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push('.');
        }
        if is_plain(key) {
            path.push_str(key);
        } else {
            path.push_str(&quoted(key));
        }
        Self(path)
    }

    /// Returns the path of the element `index` in the list at this path.
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{self}[{index}]"))
    }

    /// Whether the path is below an `authentication` or in `headers`. No value there is displayed,
    /// valid or invalid.
    fn is_secret(&self) -> bool {
        [".authentication", ".headers"]
            .iter()
            .any(|place| self.0.contains(place))
    }

    /// Returns this path, the path of the value that contains it, and so on up to the root.
    fn and_ancestors(&self) -> impl Iterator<Item = &str> {
        core::iter::successors(Some(self.0.as_str()), |path| {
            (!path.is_empty()).then(|| path.rfind(['.', '[']).map_or("", |end| &path[..end]))
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `key` needs no quotes in a path.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || "_-:@$".contains(c))
}

/// Returns `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Problems in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

#[derive(Debug)]
struct Finding {
    path: Path,
    message: String,
    /// Whether it is about an unknown key.
    unknown: bool,
}

impl Findings {
    /// Adds `message` about the value at `path`.
    pub(crate) fn add(&mut self, path: &Path, message: impl Into<String>) {
        self.push(path, message.into(), false);
    }

    /// Adds `message` about the unknown key at the end of `path`. No value below it is displayed,
    /// because it may be a secret.
    pub(crate) fn add_unknown(&mut self, path: &Path, message: impl Into<String>) {
        self.push(path, message.into(), true);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, path: &Path, message: String, unknown: bool) {
        let path = path.clone();
        self.0.push(Finding {
            path,
            message,
            unknown,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_quotes_ambiguous_keys() {
        let path = Path::default()
            .key("instances")
            .key("a.b")
            .key("track")
            .index(2);
        assert_eq!(path.to_string(), r#"instances."a.b".track[2]"#);
        assert_eq!(Path::default().key("").to_string(), r#""""#);
    }
}
