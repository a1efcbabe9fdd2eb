//! What is wrong, where, and what would be right.
//!
//! Whoever finds something wrong adds it to a [`Findings`] with the [`Path`] of the place and a
//! message, and goes on. At the end [`Findings::locate`] looks the places up in the text as it was
//! written: it adds the values and puts everything in the order of the file. Only then there are
//! [`Problem`]s.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Node;

/// One thing that is wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place, like `instances.VI_1.track[0].weight`. Empty when it is the text as a whole.
    pub path: String,
    /// The value there as JSON, when it is short and no secret.
    pub value: Option<String>,
    /// What is wrong with it and what would be right: one line, but for an error of syntax, which
    /// brings along the line in question.
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

/// All that is wrong in a configuration, in the order of the file. Displayed one per line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, at least one.
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

/// A place in the configuration, as people read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(String);

impl Path {
    /// The value of `key` in the object here.
    pub(crate) fn key(&self, key: &str) -> Self {
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

    /// The element `index` of the list here.
    pub(crate) fn index(&self, index: usize) -> Self {
        Self(format!("{self}[{index}]"))
    }

    /// Whether this is below an `authentication` or among `headers`, where nothing is shown, be it
    /// right or wrong.
    fn is_secret(&self) -> bool {
        [".authentication", ".headers"]
            .iter()
            .any(|place| self.0.contains(place))
    }

    /// This place, the place around it, and so on.
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

/// Whether `key` can stand in a path as it is.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_alphanumeric() || "_-:@$".contains(c))
}

/// `text` as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What was found so far, in the order in which it was found.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

#[derive(Debug)]
struct Finding {
    path: Path,
    message: String,
    /// Whether it is about a key that nobody knows.
    unknown: bool,
}

impl Findings {
    /// `message` about the value at `path`.
    pub(crate) fn add(&mut self, path: &Path, message: impl Into<String>) {
        self.push(path, message.into(), false);
    }

    /// `message` about the key at the end of `path`, which nobody knows. No value in there is
    /// shown: nobody knows whether it is a secret, either.
    pub(crate) fn add_unknown(&mut self, path: &Path, message: impl Into<String>) {
        self.push(path, message.into(), true);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The findings with their values in `tree`, in its order. What concerns a key that is not
    /// there comes first among what concerns the object that lacks it.
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

/// Numbers all places of `node` in the order of the text. Of a key that is given twice the first
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
    fn a_path_quotes_what_would_mislead() {
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
    fn a_secret_is_not_shown() {
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
