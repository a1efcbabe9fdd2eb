//! The result: a configuration of vrrpd whose values know their places.

use std::collections::BTreeMap;

use vrrp_config::Path;

use crate::place::Place;

/// A value and the place of the statement that it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Node>),
    Object(Object),
}

/// Keys with their values, in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(pub(crate) Vec<(String, Node)>);

impl Object {
    /// Adds `key` with a value from `place`.
    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>, place: Place) {
        let node = Node {
            value: value.into(),
            place,
        };
        self.0.push((key.to_owned(), node));
    }

    /// Adds `key` unless its value would be empty.
    pub(crate) fn set_some(&mut self, key: &str, value: impl Into<Value>, place: Place) {
        let value = value.into();
        let is_empty = match &value {
            Value::List(list) => list.is_empty(),
            Value::Object(object) => object.0.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::Text(_) => false,
        };
        if !is_empty {
            self.set(key, value, place);
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let found = self.0.iter().find(|(other, _)| other == key);
        found.map(|(_, node)| node)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        let found = self.0.iter_mut().find(|(other, _)| other == key);
        found.map(|(_, node)| &mut node.value)
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        let at = self.0.iter().position(|(other, _)| other == key)?;
        Some(self.0.remove(at).1)
    }

    /// Exchanges the values of two keys, of which each may be missing.
    pub(crate) fn swap(&mut self, one: &str, other: &str) {
        for (key, _) in &mut self.0 {
            if key == one {
                other.clone_into(key);
            } else if key == other {
                one.clone_into(key);
            }
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<Node>> for Value {
    fn from(value: Vec<Node>) -> Self {
        Self::List(value)
    }
}

impl From<Object> for Value {
    fn from(value: Object) -> Self {
        Self::Object(value)
    }
}

impl Value {
    /// List of texts from one place.
    pub(crate) fn texts(words: Vec<String>, place: Place) -> Self {
        let node = |word| Node {
            value: Self::Text(word),
            place,
        };
        Self::List(words.into_iter().map(node).collect())
    }
}

/// Places of all values by their paths.
pub(crate) fn places(object: &Object) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    let mut open = members(&Path::default(), object);
    while let Some((path, node)) = open.pop() {
        match &node.value {
            Value::List(list) => {
                let items = list.iter().enumerate();
                open.extend(items.map(|(index, node)| (path.index(index), node)));
            }
            Value::Object(object) => open.extend(members(&path, object)),
            Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
        places.insert(path.to_string(), node.place);
    }
    places
}

fn members<'o>(path: &Path, object: &'o Object) -> Vec<(Path, &'o Node)> {
    let members = object.0.iter();
    members.map(|(key, node)| (path.key(key), node)).collect()
}

/// Returns the place of the value at `path`, or of the nearest value that contains it.
pub(crate) fn nearest(places: &BTreeMap<String, Place>, path: &str) -> Option<Place> {
    let mut path = path;
    loop {
        if let Some(place) = places.get(path) {
            return Some(*place);
        }
        path = path.get(..path.rfind(['.', '['])?)?;
    }
}
