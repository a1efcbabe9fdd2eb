//! Places of problems: their order and their values in the text.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Findings, Path, Problem};
use crate::tree::Node;

impl Findings {
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
    use crate::problem::Problems;

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
