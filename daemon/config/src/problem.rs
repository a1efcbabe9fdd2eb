//! Problems of a configuration: path, value, message and remedy.
//!
//! A check that finds a problem adds it to a [`Findings`] with its [`Path`] and a message, and
//! continues. At the end [`Findings::locate`] looks up the paths in the JSON tree, adds the values,
//! and sorts the problems in the order of the file. Only its result consists of [`Problem`]s.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Node;

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

    /// Returns the problems with their values in `tree`, in its order. A problem of a missing key
    /// comes first among the problems of the object that lacks it.
    pub(crate) fn locate(self, tree: &Node) -> Vec<Problem> {
        let mut findings = self.0;
        if findings.is_empty() {
            return Vec::new();
        }
        let mut places = BTreeMap::new();
        index(tree, Path::default(), &mut places);
        findings.sort_by_cached_key(|finding| {
            let place = finding
                .path
                .and_ancestors()
                .find_map(|path| places.get(path));
            place.map_or(0, |(order, _)| *order)
        });

        let unknown = findings.iter().filter(|finding| finding.unknown);
        let unknown: BTreeSet<_> = unknown.map(|finding| finding.path.0.clone()).collect();
        let shown = |path: &Path| {
            let hidden =
                path.is_secret() || path.and_ancestors().any(|path| unknown.contains(path));
            let (_, node) = places
                .get(&path.0)
                .filter(|_| !hidden && !path.0.is_empty())?;
            node.brief()
        };
        let problem = |Finding { path, message, .. }| Problem {
            value: shown(&path),
            path: path.0,
            message,
        };
        findings.into_iter().map(problem).collect()
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

/// Numbers all paths of `node` in the order of the text. Of a repeated key the first occurrence
/// counts.
fn index<'t>(node: &'t Node, path: Path, places: &mut BTreeMap<String, (usize, &'t Node)>) {
    let order = places.len();
    places.entry(path.0.clone()).or_insert((order, node));
    match node {
        Node::List(elements) => {
            for (number, element) in elements.iter().enumerate() {
                index(element, path.index(number), places);
            }
        }
        Node::Object(entries) => {
            for (key, value) in entries {
                index(value, path.key(key), places);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::String(_) => {}
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

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let tree = Node::parse(r#"{ "z": { "b": 1, "a": "x" }, "y": [1, 2] }"#).unwrap();
        let mut findings = Findings::default();
        let root = Path::default();
        findings.add(&root.key("y").index(1), "fourth");
        findings.add(&root.key("z").key("a"), "third");
        findings.add(&root.key("z").key("b"), "second");
        findings.add(&root.key("z").key("lacking"), "first");
        let shown = Problems::new(findings.locate(&tree)).to_string();
        assert_eq!(
            shown,
            "z.lacking: first\nz.b = 1: second\nz.a = \"x\": third\ny[1] = 2: fourth"
        );
    }

    #[test]
    fn secrets_are_not_displayed() {
        let text = r#"{ "i": { "authentication": { "pass": "1111" }, "uthentication": { "pas": "1111" } } }"#;
        let tree = Node::parse(text).unwrap();
        let mut findings = Findings::default();
        let instance = Path::default().key("i");
        findings.add(&instance.key("authentication").key("pass"), "wrong");
        findings.add_unknown(&instance.key("uthentication"), "unknown");
        findings.add(&instance.key("uthentication").key("pas"), "wrong");
        assert_eq!(
            Problems::new(findings.locate(&tree)).to_string(),
            "i.authentication.pass: wrong\ni.uthentication: unknown\ni.uthentication.pas: wrong"
        );
    }
}
